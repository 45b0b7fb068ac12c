/* cmd_doctor.c - vlakit doctor: what this machine offers and what is missing. */
#include <mujoco/mujoco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "core/catalog.h"
#include "core/cpu.h"
#include "core/fs.h"
#include "core/hdf5.h"
#include "core/http.h"
#include "core/json.h"
#include "core/sys.h"
#include "core/video.h"
#include "nn/device.h"
#include "rl/checkpoint.h"
#include "rl/policy_bundled.h"
#include "sim/mujoco_compat.h"
#include "sim/pack.h"
#include "sim/visuals_choose.h"

enum { TEXT_MAX = 512, PATH_SIZE = VK_FS_PATH_MAX, KIND_MAX = 8, DEVICE_MAX = 16 };

/* One finding. found says what is there, fix the command or step that helps when it is not ok. */
typedef struct check {
  const char *name;
  bool is_required; /* eval needs it */
  bool ok;
  char found[TEXT_MAX];
  char fix[TEXT_MAX];
  const vk_device_def *kind; /* of devices; NULL: it is about something else */
  int n_device;              /* of them described */
  vk_device_info device[DEVICE_MAX];
} check;

typedef struct check_def {
  const char *name;
  bool is_required;
  void (*look)(check *c, const vk_common_args *common);
} check_def;

static void look_at_mujoco(check *c, const vk_common_args *common)
{
  vk_err err = VK_ERR_INIT;
  char header[16];
  vk_mujoco_version_text(mjVERSION_HEADER, header);
  c->ok = vk_mujoco_check(&err) == VK_OK;
  if (c->ok)
    snprintf(c->found, TEXT_MAX, "MuJoCo %s, as built for", mj_versionString());
  else
    snprintf(c->found, TEXT_MAX, "%s", err.text);
  snprintf(c->fix, TEXT_MAX, "install MuJoCo %s, or build again: sh tools/start.sh --build",
           header);
}

static void look_at_cpu(check *c, const vk_common_args *common)
{
  vk_cpu cpu;
  char features[256];
  vk_cpu_detect(&cpu);
  vk_cpu_print_features(&cpu, features, sizeof features);
  snprintf(c->found, TEXT_MAX, "%s, path %s (%s)", *cpu.name ? cpu.name : "unknown processor",
           vk_isa_name(vk_isa_best(&cpu)), *features ? features : "no extensions");
  c->ok = true;
}

static void look_at_threads(check *c, const vk_common_args *common)
{
  int n = vk_cpu_count();
  snprintf(c->found, TEXT_MAX, "%d core%s for this process", n, vk_plural(n));
  c->ok = true;
}

static void look_at_memory(check *c, const vk_common_args *common)
{
  /* eval --dry-run knows better; measured were 51 MB on one thread, 77 on two, 120 on four */
  int n = common->n_thread ? (int)common->n_thread : vk_cpu_count();
  double have = (double)vk_sys_available_bytes() / 1e6, want = 50 + 25.0 * n;
  c->ok = have >= want;
  snprintf(c->found, TEXT_MAX, "%.0f MB available, about %.0f MB wanted for %d thread%s", have,
           want, n, vk_plural(n));
  snprintf(c->fix, TEXT_MAX, "end other programs, or run with fewer --threads");
}

static void look_at_pack(check *c, const vk_common_args *common)
{
  vk_err err = VK_ERR_INIT;
  vk_pack pack;
  if (vk_pack_open(&pack, common->pack, &err) == VK_OK) {
    c->ok = true;
    snprintf(c->found, TEXT_MAX, "%.300s: %zu task%s in %zu suite%s, hash %.12s is right",
             pack.path, pack.n_task, vk_plural((long long)pack.n_task), pack.n_suite,
             vk_plural((long long)pack.n_suite), pack.hash);
    vk_pack_close(&pack);
  } else {
    snprintf(c->found, TEXT_MAX, "%s", err.text);
  }
  snprintf(c->fix, TEXT_MAX, "%s",
           common->pack ? "name another file with --pack, or leave it out"
                        : "install the program again, or name a scene pack with --pack");
}

static void look_at_visuals(check *c, const vk_common_args *common)
{
  vk_err err = VK_ERR_INIT;
  vk_visuals visuals;
  const vk_status st = vk_visuals_choose(&visuals, "original", NULL, &err);
  c->ok = st == VK_OK || st == VK_E_NOTFOUND;
  if (st == VK_OK) {
    snprintf(c->found, TEXT_MAX, "the original ones, %.300s: %zu meshes, %zu textures, hash %.12s",
             visuals.path, visuals.n_mesh, visuals.n_texture, visuals.hash);
    vk_visuals_close(&visuals);
  } else if (st == VK_E_NOTFOUND) {
    snprintf(c->found, TEXT_MAX, "stand-ins; tools/get-assets.sh imports the original ones");
  } else {
    snprintf(c->found, TEXT_MAX, "%s", err.text);
  }
  snprintf(c->fix, TEXT_MAX, "sh tools/get-assets.sh, or draw with --visuals stand-in");
}

/* The policies that come with the program: each is whole. */
static void look_at_policy(check *c, const vk_common_args *common)
{
  vk_err err = VK_ERR_INIT;
  vk_bundled list[VK_BUNDLED_MAX];
  int n = 0;
  vk_status st = vk_bundled_list(list, &n, &err);
  for (int i = 0; i < n && st == VK_OK; i++) {
    vk_checkpoint_info info;
    vk_params params;
    st = vk_checkpoint_open(&info, list[i].name, &err);
    if (st != VK_OK)
      break;
    st = vk_checkpoint_load(&info, &params, &err);
    if (st == VK_OK)
      vk_params_free(&params);
    vk_checkpoint_close(&info);
    size_t at = strlen(c->found);
    snprintf(c->found + at, TEXT_MAX - at, "%s%s%s",
             i ? ", " : "trained ones that come along: ", list[i].name, i ? "" : " (bundled)");
  }
  c->ok = st == VK_OK;
  if (!c->ok)
    snprintf(c->found, TEXT_MAX, "%s", err.text);
  else if (n == 0)
    snprintf(c->found, TEXT_MAX, "no trained one comes along; vlakit train makes one");
  snprintf(c->fix, TEXT_MAX, "install the program again, or name another --policy");
}

/* The nearest folder above path that exists. */
static void existing_folder(const char *path, char folder[PATH_SIZE])
{
  snprintf(folder, PATH_SIZE, "%s", path);
  for (;;) {
    char *slash = strrchr(folder, '/');
    if (!slash) {
      snprintf(folder, PATH_SIZE, ".");
      return;
    }
    slash[slash == folder] = '\0';
    if (vk_fs_is_dir(folder) || slash == folder)
      return;
  }
}

/* Whether a file can be made in a folder; permissions alone do not tell, for root least of all. */
static bool can_write_in(const char *folder)
{
  char path[PATH_SIZE + 32];
  snprintf(path, sizeof path, "%s/.vlakit-doctor-XXXXXX", folder);
  int fd = mkstemp(path);
  if (fd < 0)
    return false;
  close(fd);
  unlink(path);
  return true;
}

static bool catalog_path(const vk_common_args *common, char path[PATH_SIZE], check *c)
{
  vk_err err = VK_ERR_INIT;
  if (common->catalog) {
    snprintf(path, PATH_SIZE, "%s", common->catalog);
    return true;
  }
  if (vk_catalog_default_path(path, &err) == VK_OK)
    return true;
  snprintf(c->found, TEXT_MAX, "%s", err.text);
  return false;
}

static void look_at_catalog(check *c, const vk_common_args *common)
{
  char path[PATH_SIZE], folder[PATH_SIZE];
  vk_err err = VK_ERR_INIT;
  snprintf(c->fix, TEXT_MAX, "name a file that can be written with --catalog");
  if (!catalog_path(common, path, c))
    return;
  existing_folder(path, folder);
  bool is_there = access(path, F_OK) == 0;
  if (is_there) {
    vk_catalog *catalog = NULL;
    vk_status st = vk_catalog_open(&catalog, path, VK_CATALOG_READ, &err);
    if (st != VK_OK && st != VK_E_NOTFOUND) { /* an empty file is as good as none */
      snprintf(c->found, TEXT_MAX, "%s", err.text);
      return;
    }
    vk_catalog_close(catalog);
  }
  /* the write-ahead log lies beside the catalog, so its folder must be writable as well */
  c->ok = can_write_in(folder) && (!is_there || access(path, W_OK) == 0);
  snprintf(c->found, TEXT_MAX, "%.400s %s", path,
           !c->ok     ? "cannot be written"
           : is_there ? "can be written"
                      : "will be made by the first run");
}

static void look_at_disk(check *c, const vk_common_args *common)
{
  char path[PATH_SIZE], folder[PATH_SIZE];
  struct statvfs fs;
  snprintf(c->fix, TEXT_MAX, "make room, or name a catalog elsewhere with --catalog");
  if (!catalog_path(common, path, c))
    return;
  existing_folder(path, folder);
  if (statvfs(folder, &fs) != 0) {
    vk_err err = VK_ERR_INIT;
    vk_fs_fail(&err, folder, "measure");
    snprintf(c->found, TEXT_MAX, "%s", err.text);
    return;
  }
  double free_mb = (double)fs.f_bavail * (double)fs.f_frsize / 1e6;
  c->ok = free_mb >= 64; /* 6,500 episodes are 2 MB of rows; compiled models 30 MB */
  snprintf(c->found, TEXT_MAX, "%.0f MB free in %.400s", free_mb, folder);
}

static void look_at_curl(check *c, const vk_common_args *common)
{
  c->ok = vk_http_version(c->found, TEXT_MAX, NULL) == VK_OK;
  if (!c->ok)
    snprintf(c->found, TEXT_MAX, "none; import reads files, but no https:// addresses");
  snprintf(c->fix, TEXT_MAX, "apt-get install libcurl4");
}

static void look_at_film(check *c, const vk_common_args *common)
{
  vk_err err = VK_ERR_INIT;
  c->ok = vk_video_version(c->found, TEXT_MAX, &err) == VK_OK;
  if (!c->ok)
    snprintf(c->found, TEXT_MAX, "none; eval makes no films: %.400s", err.text);
  snprintf(c->fix, TEXT_MAX, "apt-get install libavcodec-dev libavformat-dev, and build again");
}

static void look_at_hdf5(check *c, const vk_common_args *common)
{
  vk_err err = VK_ERR_INIT;
  c->ok = vk_h5_version(c->found, TEXT_MAX, &err) == VK_OK;
  if (!c->ok)
    snprintf(c->found, TEXT_MAX, "none; demonstrations as stores only: %.400s", err.text);
  snprintf(c->fix, TEXT_MAX, "apt-get install libhdf5-dev, and build again");
}

static void device_text(const check *c, int i, char text[TEXT_MAX])
{
  const vk_device_info *d = &c->device[i];
  snprintf(text, TEXT_MAX, "%s:%d %s, %s, %.1f of %.1f GB free", c->name, i, d->name, d->detail,
           (double)d->free_bytes * 1e-9, (double)d->memory_bytes * 1e-9);
}

static vk_status look_at_device(check *c, int i, vk_err *err)
{
  char name[32];
  vk_device device;
  VK_TRY(c->kind->describe(i, &c->device[i], err));
  c->n_device = i + 1;
  snprintf(name, sizeof name, "%s:%d", c->name, i);
  VK_TRY(vk_device_open(&device, name, NULL, err)); /* as a network would */
  vk_device_close(&device);
  return VK_OK;
}

/* Where networks run beside the CPU. A machine without such a device lacks nothing. */
static void look_at_kind(check *c, const vk_device_def *kind)
{
  vk_err err = VK_ERR_INIT;
  char text[TEXT_MAX];
  int n = 0;
  *c = (check){.name = kind->name, .kind = kind};
  vk_status st = kind->count(&n, &err);
  if (st == VK_E_UNSUPPORTED) {
    c->ok = true;
    snprintf(c->found, TEXT_MAX, "none; %s", err.text);
    return;
  }
  for (int i = 0; i < n && i < DEVICE_MAX && st == VK_OK; i++)
    st = look_at_device(c, i, &err);
  c->ok = st == VK_OK;
  if (c->ok)
    device_text(c, 0, text);
  snprintf(c->found, TEXT_MAX, "%s", c->ok ? text : err.text);
  snprintf(c->fix, TEXT_MAX, "look at what its driver says (nvidia-smi); --device cpu needs none");
}

static const check_def defs[] = {
    {"mujoco", true, look_at_mujoco},   {"cpu", true, look_at_cpu},
    {"threads", true, look_at_threads}, {"memory", true, look_at_memory},
    {"pack", true, look_at_pack},       {"visuals", false, look_at_visuals},
    {"policy", false, look_at_policy},  {"catalog", true, look_at_catalog},
    {"disk", true, look_at_disk},       {"curl", false, look_at_curl},
    {"film", false, look_at_film},      {"hdf5", false, look_at_hdf5},
};

static void add_devices(cJSON *one, const check *c)
{
  cJSON *list = cJSON_AddArrayToObject(one, "devices");
  for (int i = 0; i < c->n_device; i++) {
    const vk_device_info *d = &c->device[i];
    char name[32];
    cJSON *o = cJSON_CreateObject();
    snprintf(name, sizeof name, "%s:%d", c->name, i);
    cJSON_AddStringToObject(o, "device", name);
    cJSON_AddStringToObject(o, "name", d->name);
    cJSON_AddStringToObject(o, "detail", d->detail);
    cJSON_AddNumberToObject(o, "memory_bytes", (double)d->memory_bytes);
    cJSON_AddNumberToObject(o, "free_bytes", (double)d->free_bytes);
    cJSON_AddItemToArray(list, o);
  }
}

static vk_status print_json(const check *checks, int n, vk_err *err)
{
  cJSON *all = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(all, "checks");
  for (int i = 0; i < n; i++) {
    cJSON *one = cJSON_CreateObject();
    cJSON_AddStringToObject(one, "name", checks[i].name);
    cJSON_AddBoolToObject(one, "ok", checks[i].ok);
    cJSON_AddBoolToObject(one, "required", checks[i].is_required);
    cJSON_AddStringToObject(one, "found", checks[i].found);
    if (checks[i].ok)
      cJSON_AddNullToObject(one, "fix");
    else
      cJSON_AddStringToObject(one, "fix", checks[i].fix);
    if (checks[i].kind)
      add_devices(one, &checks[i]);
    cJSON_AddItemToArray(list, one);
  }
  vk_status st = vk_json_print(all, err);
  cJSON_Delete(all);
  return st;
}

static void print_text(const check *checks, int n)
{
  for (int i = 0; i < n; i++) {
    const check *c = &checks[i];
    bool is_none = c->kind && c->n_device == 0; /* nothing is wrong, and nothing is there */
    printf("%-5s %-8s %s\n",
           c->ok && !is_none ? "ok"
           : c->is_required  ? "FAIL"
                             : "note",
           c->name, c->found);
    if (!c->ok)
      printf("      %-8s fix: %s\n", "", c->fix);
    for (int k = c->ok ? 1 : 0; k < c->n_device; k++) {
      char text[TEXT_MAX];
      device_text(c, k, text);
      printf("      %-8s %s\n", "", text);
    }
  }
}

static vk_status run(const vk_cmd_call *call, vk_err *err)
{
  check checks[VK_COUNT(defs) + KIND_MAX];
  char failed[TEXT_MAX] = "";
  int n_failed = 0, n = VK_COUNT(defs);
  for (size_t i = 0; i < VK_COUNT(defs); i++) {
    checks[i] = (check){.name = defs[i].name, .is_required = defs[i].is_required};
    defs[i].look(&checks[i], call->common);
    if (checks[i].ok || !checks[i].is_required)
      continue;
    size_t at = strlen(failed);
    snprintf(failed + at, sizeof failed - at, "%s%s", n_failed++ ? ", " : "", checks[i].name);
  }
  for (int i = 0; i < vk_device_def_count(); i++)
    if (vk_device_defs[i] != &vk_device_cpu && n < (int)VK_COUNT(checks))
      look_at_kind(&checks[n++], vk_device_defs[i]);
  if (call->common->json)
    VK_TRY(print_json(checks, n, err));
  else
    print_text(checks, n);
  if (n_failed)
    return vk_fail(err, VK_E_NOTFOUND, "what eval needs is missing: %s", failed);
  return VK_OK;
}

const vk_cmd vk_cmd_doctor = {
    .name = "doctor",
    .summary = "say what this machine offers, what is missing and how to fix it",
    .synopsis = "[options]",
    .description =
        "Looks at everything that the other commands need: MuJoCo, the processor, memory, the "
        "scene pack and its hash, policies that come along, the catalog, disk space, optional "
        "libraries, and GPUs that --device may name. What is missing comes with the command that "
        "helps.\n"
        "\n"
        "The exit code is 1 when something that eval needs is missing (FAIL); what is only "
        "useful is a note.",
    .examples = "vlakit doctor\n"
                "vlakit doctor --pack other.pack --json\n",
    .common = VK_COMMON(VK_COMMON_CATALOG, VK_COMMON_JSON, VK_COMMON_PACK, VK_COMMON_THREADS),
    .run = run,
};
