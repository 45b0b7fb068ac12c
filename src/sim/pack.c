#include "sim/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "core/opt.h"
#include "sim/pack_check.h"

static const size_t pack_bytes_max = 1u << 30; /* far above any pack; bounds what is read */

static const char *const atom_name[VK_ATOM_N] = {"on", "in", "open", "close", "turnon", "turnoff"};

const char *vk_atom_name(vk_atom_kind kind)
{
  return atom_name[kind];
}

vk_atom_kind vk_atom_find(const char *word)
{
  int kind = 0;
  while (kind < VK_ATOM_N && strcmp(atom_name[kind], word) != 0)
    kind++;
  return (vk_atom_kind)kind;
}

/* ---- opening -------------------------------------------------------------------------------- */

const vk_section_kind vk_pack_kind = {
    .noun = "scene pack",
    .magic = VK_PACK_MAGIC,
    .mark = "VLAPACK",
    .remake = "`vlakit import libero`",
    .version = VK_PACK_VERSION,
    .n_section = VK_PACK_N_SECTION,
};

vk_status vk_pack_open_bytes(vk_pack *pack, void *bytes, size_t n, const char *what, vk_err *err)
{
  memset(pack, 0, sizeof *pack);
  pack->bytes = bytes;
  pack->n_byte = n;
  snprintf(pack->path, sizeof pack->path, "%s", what);
  vk_section section[] = {
#define X(member, type) {.name = #member, .item_size = sizeof(type)},
      VK_PACK_SECTIONS(X)
#undef X
  };
  vk_status st = VK_OK;
  VK_TRY_DONE(vk_sections_open(&vk_pack_kind, bytes, n, section, pack->hash, what, err));
  const vk_section *at = section;
#define X(member, type)                                                                            \
  pack->member = at->item;                                                                         \
  pack->n_##member = at++->n;
  VK_PACK_SECTIONS(X)
#undef X
  st = vk_pack_check(pack, err);
  if (st != VK_OK)
    vk_err_prefix(err, "scene pack %s", what);
done:
  if (st != VK_OK)
    vk_pack_close(pack);
  return st;
}

/* VK_E_NOTFOUND when there is no such file. */
static vk_status open_path(vk_pack *pack, const char *path, vk_err *err)
{
  char *bytes;
  size_t n;
  VK_TRY(vk_fs_read(&bytes, &n, path, pack_bytes_max, err));
  return vk_pack_open_bytes(pack, bytes, n, path, err);
}

static vk_status find_pack(char path[VK_FS_PATH_MAX], vk_err *err)
{
  char dir[VK_FS_PATH_MAX];
  if (vk_fs_cache_dir(dir, NULL) == VK_OK &&
      vk_fs_join(path, VK_FS_PATH_MAX, dir, "libero.pack", NULL) == VK_OK && vk_fs_is_file(path))
    return VK_OK;
  if (vk_fs_find_data(path, "libero.pack", err) == VK_OK)
    return VK_OK;
  return vk_err_prefix(err, "no scene pack found, and no --pack FILE given");
}

vk_status vk_pack_open(vk_pack *pack, const char *path, vk_err *err)
{
  memset(pack, 0, sizeof *pack);
  char found[VK_FS_PATH_MAX];
  if (!path) {
    VK_TRY(find_pack(found, err));
    return open_path(pack, found, err);
  }
  vk_status st = open_path(pack, path, err);
  if (st == VK_E_NOTFOUND)
    return vk_fail(err, st, "there is no scene pack %s: `vlakit import libero --out %s` makes one",
                   path, path);
  return st;
}

void vk_pack_task_id(const vk_pack *pack, const vk_pack_task *task, char id[VK_PACK_TASK_ID_SIZE])
{
  snprintf(id, VK_PACK_TASK_ID_SIZE, "%s/%u", vk_pack_suite_of(pack, task), task->index);
}

void vk_pack_close(vk_pack *pack)
{
  free(pack->bytes);
  memset(pack, 0, sizeof *pack);
}

vk_status vk_pack_init_row(const vk_pack *pack, const vk_pack_task *task, uint32_t k, double *state,
                           vk_err *err)
{
  if (k >= task->n_row)
    return vk_fail(err, VK_E_RANGE, "task %s has init rows 0 to %u, no row %u",
                   vk_pack_text(pack, task->name), task->n_row - 1, k);
  memset(state, 0, task->n_state * sizeof *state);
  memcpy(state + 1, pack->num + task->row + (uint64_t)k * task->n_stored,
         task->n_stored * sizeof *state);
  return VK_OK;
}

/* ---- names of tasks ------------------------------------------------------------------------- */

typedef struct find_state {
  const vk_pack *pack;
  unsigned char *seen; /* [n_task] */
  uint32_t *task, *n_task;
} find_state;

static void take_task(find_state *f, uint32_t i)
{
  if (f->seen[i])
    return;
  f->seen[i] = 1;
  f->task[(*f->n_task)++] = i;
}

static void take_suite(find_state *f, const vk_pack_suite *suite)
{
  for (uint32_t i = 0; i < suite->n_task; i++)
    take_task(f, suite->task + i);
}

static const vk_pack_suite *find_suite(const vk_pack *pack, const char *name)
{
  for (size_t i = 0; i < pack->n_suite; i++)
    if (strcmp(vk_pack_text(pack, pack->suite[i].name), name) == 0)
      return &pack->suite[i];
  return NULL;
}

/* The sentence for a word that names nothing, with the nearest name among suites and, when suite is
 * not NULL, that suite's tasks, else all tasks. */
static vk_status fail_word(const vk_pack *pack, const vk_pack_suite *suite, const char *word,
                           const char *part, vk_err *err)
{
  const char **names = calloc(pack->n_suite + pack->n_task + 2, sizeof *names);
  if (!names)
    return vk_fail(err, VK_E_NOMEM, "no memory for %zu task names", pack->n_task);
  size_t n = 0;
  if (!suite) {
    names[n++] = "libero130";
    for (size_t i = 0; i < pack->n_suite; i++)
      names[n++] = vk_pack_text(pack, pack->suite[i].name);
  }
  uint32_t first = suite ? suite->task : 0, n_task = suite ? suite->n_task : (uint32_t)pack->n_task;
  for (uint32_t i = 0; i < n_task; i++)
    names[n++] = vk_pack_text(pack, pack->task[first + i].name);
  const char *near = vk_opt_nearest(part, names);
  vk_status st;
  if (near && suite)
    st = vk_fail(err, VK_E_USAGE, "unknown task \"%s\": did you mean %s/%s?", word,
                 vk_pack_text(pack, suite->name), near);
  else if (near)
    st = vk_fail(err, VK_E_USAGE, "unknown suite or task \"%s\": did you mean %s?", word, near);
  else
    st = vk_fail(err, VK_E_USAGE,
                 "unknown suite or task \"%s\": `vlakit tasks` lists what the pack has", word);
  free(names);
  return st;
}

/* "SUITE/INDEX" or "SUITE/NAME". */
static vk_status take_path(find_state *f, const char *word, const char *slash, vk_err *err)
{
  const vk_pack *pack = f->pack;
  char name[VK_PACK_NAME_MAX + 1];
  if ((size_t)(slash - word) >= sizeof name)
    return fail_word(pack, NULL, word, word, err);
  memcpy(name, word, (size_t)(slash - word));
  name[slash - word] = '\0';
  const vk_pack_suite *suite = find_suite(pack, name);
  if (!suite)
    return fail_word(pack, NULL, word, name, err);
  const char *rest = slash + 1;
  size_t n_digit = strspn(rest, "0123456789");
  if (n_digit > 0 && rest[n_digit] == '\0') {
    unsigned long index = n_digit <= 9 ? strtoul(rest, NULL, 10) : UINT32_MAX;
    if (index >= suite->n_task)
      return vk_fail(err, VK_E_USAGE, "no task %s: suite %s has tasks %s/0 to %s/%u", word, name,
                     name, name, suite->n_task - 1);
    take_task(f, suite->task + (uint32_t)index);
    return VK_OK;
  }
  for (uint32_t i = 0; i < suite->n_task; i++)
    if (strcmp(vk_pack_text(pack, pack->task[suite->task + i].name), rest) == 0) {
      take_task(f, suite->task + i);
      return VK_OK;
    }
  return fail_word(pack, suite, word, rest, err);
}

static vk_status take_word(find_state *f, const char *word, vk_err *err)
{
  const vk_pack *pack = f->pack;
  const vk_pack_suite *suite = find_suite(pack, word);
  if (suite) {
    take_suite(f, suite);
    return VK_OK;
  }
  if (strcmp(word, "libero130") == 0) {
    for (size_t i = 0; i < pack->n_suite; i++)
      take_suite(f, &pack->suite[i]);
    return VK_OK;
  }
  const char *slash = strchr(word, '/');
  if (slash)
    return take_path(f, word, slash, err);
  const vk_pack_task *found = NULL;
  for (size_t i = 0; i < pack->n_task; i++) {
    const vk_pack_task *t = &pack->task[i];
    if (strcmp(vk_pack_text(pack, t->name), word) != 0)
      continue;
    if (found)
      return vk_fail(err, VK_E_USAGE, "task \"%s\" is in two suites: write %s/%u or %s/%u", word,
                     vk_pack_suite_of(pack, found), found->index, vk_pack_suite_of(pack, t),
                     t->index);
    found = t;
  }
  if (!found)
    return fail_word(pack, NULL, word, word, err);
  take_task(f, (uint32_t)(found - pack->task));
  return VK_OK;
}

vk_status vk_pack_find_tasks(const vk_pack *pack, const char *word, uint32_t *task,
                             uint32_t *n_task, vk_err *err)
{
  *n_task = 0;
  char *copy = strdup(word);
  unsigned char *seen = calloc(pack->n_task + 1, 1);
  find_state f = {pack, seen, task, n_task};
  vk_status st = VK_OK;
  if (!copy || !seen) {
    st = vk_fail(err, VK_E_NOMEM, "no memory for %zu task names", pack->n_task);
    goto done;
  }
  char *rest = copy;
  for (char *part; (part = strsep(&rest, ",")) != NULL;)
    VK_TRY_DONE(take_word(&f, part, err));
done:
  free(copy);
  free(seen);
  return st;
}
