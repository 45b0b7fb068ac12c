#include "sim/import_libero.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "sim/bddl.h"
#include "sim/import_init.h"
#include "sim/import_scene.h"
#include "sim/import_taskmap.h"
#include "sim/pack_check.h"

typedef struct import_state {
  vk_pack_builder *pack;
  const vk_source *source;
  const cJSON *facts;
  vk_err *err;
} import_state;

/* ---- files that are not there --------------------------------------------------------------- */

/* Name of the distribution that has a file; NULL when facts name none. */
static const char *find_distribution(const cJSON *facts, const char *end)
{
  const cJSON *row, *begin;
  cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(facts, "distributions"))
  {
    cJSON_ArrayForEach(begin, cJSON_GetObjectItemCaseSensitive(row, "begins"))
    {
      const char *text = cJSON_GetStringValue(begin);
      if (text && strncmp(end, text, strlen(text)) == 0)
        return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, "name"));
    }
  }
  return NULL;
}

/* Reads a file; when it is not there the sentence names the distribution that has it. */
static vk_status read_file(const import_state *s, const char *end, void **bytes, size_t *n)
{
  if (vk_source_has(s->source, end))
    return vk_source_read(s->source, end, bytes, n, s->err);
  const char *name = find_distribution(s->facts, end);
  return vk_fail(s->err, VK_E_NOTFOUND,
                 "no file %s below the paths given to --from: it is part of %s, which "
                 "tools/get-assets.sh downloads",
                 end, name ? name : "no known distribution");
}

static bool has_word(const cJSON *list, const char *word)
{
  const cJSON *item;
  cJSON_ArrayForEach(item, list)
  {
    if (strcmp(cJSON_GetStringValue(item), word) == 0)
      return true;
  }
  return false;
}

/* Notes the distribution that has a file. */
static bool note_file(const cJSON *facts, const char *end, cJSON *missing)
{
  const char *name = find_distribution(facts, end);
  if (!name)
    name = end;
  return has_word(missing, name) || cJSON_AddItemToArray(missing, cJSON_CreateString(name));
}

/* Notes the distribution of every file named by a member "xml" or "task_map" below item. */
static bool note_missing(const import_state *s, const cJSON *item, cJSON *missing)
{
  const cJSON *child;
  const char *end = cJSON_GetStringValue(item);
  if (end && item->string &&
      (strcmp(item->string, "xml") == 0 || strcmp(item->string, "task_map") == 0) &&
      !vk_source_has(s->source, end) && !note_file(s->facts, end, missing))
    return false;
  cJSON_ArrayForEach(child, item)
  {
    if (!note_missing(s, child, missing))
      return false;
  }
  return true;
}

vk_status vk_import_libero_missing(const vk_source *source, const cJSON *facts, cJSON **missing,
                                   vk_err *err)
{
  const import_state s = {.source = source, .facts = facts};
  *missing = cJSON_CreateArray();
  if (*missing && note_missing(&s, facts, *missing))
    return VK_OK;
  cJSON_Delete(*missing);
  *missing = NULL;
  return vk_fail(err, VK_E_NOMEM, "no memory to list missing files");
}

/* ---- tasks ---------------------------------------------------------------------------------- */

static vk_status find_item(const import_state *s, const char *name, bool is_class, uint32_t *out)
{
  const vk_pack_builder *p = s->pack;
  size_t n = is_class ? p->n_class_ : p->n_problem;
  for (uint32_t i = 0; i < n; i++)
    if (strcmp(p->text.str + (is_class ? p->class_[i].name : p->problem[i].name), name) == 0) {
      *out = i;
      return VK_OK;
    }
  return vk_fail(s->err, VK_E_FORMAT, "%s \"%s\" has no row in data/libero.json",
                 is_class ? "category" : "problem", name);
}

/* The member "key" of the problem's facts. */
static vk_status problem_fact(const import_state *s, const char *problem, const char *key,
                              const char **out)
{
  const cJSON *row;
  cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(s->facts, "problems"))
  {
    const char *name;
    VK_TRY(vk_json_get_str(row, "name", &name, "a problem", s->err));
    if (strcmp(name, problem) == 0)
      return vk_json_get_str(row, key, out, name, s->err);
  }
  return vk_fail(s->err, VK_E_FORMAT, "problem \"%s\" has no row in data/libero.json", problem);
}

/* Appends the items whose category is not skip. */
static vk_status put_items(const import_state *s, const vk_bddl_item *item, int n, const char *skip,
                           uint32_t kind, uint32_t *first, uint32_t *n_put)
{
  *first = (uint32_t)s->pack->n_instance;
  for (int i = 0; i < n; i++) {
    vk_pack_instance instance;
    if (strcmp(item[i].category, skip) == 0)
      continue;
    VK_TRY(find_item(s, item[i].category, true, &instance.class_index));
    if (s->pack->class_[instance.class_index].kind != kind)
      return vk_fail(s->err, VK_E_FORMAT, "line %d: %s is declared as %s, but its class is not one",
                     item[i].line, item[i].name,
                     kind == VK_CLASS_OBJECT ? "an object" : "a fixture");
    instance.name = vk_pack_put_text(s->pack, item[i].name);
    vk_pack_put_instance(s->pack, &instance, 1);
    (*n_put)++;
  }
  return VK_OK;
}

static vk_status put_regions(const import_state *s, const vk_bddl *b, const char *arena,
                             vk_pack_task *t)
{
  t->region = (uint32_t)s->pack->n_region;
  t->n_region = (uint32_t)b->n_region;
  for (int i = 0; i < b->n_region; i++) {
    const vk_bddl_region *from = &b->region[i];
    const double *range = from->range;
    if (strstr(from->name, arena) &&
        (!from->has_range || !(range[0] < range[2] && range[1] < range[3])))
      return vk_fail(s->err, VK_E_FORMAT,
                     "line %d: region %s of the arena has no :ranges with an area", from->line,
                     from->name);
    vk_pack_region r = {.has_range = from->has_range, .has_yaw = from->has_yaw};
    r.name = vk_pack_put_text(s->pack, from->name);
    r.target = vk_pack_put_text(s->pack, from->target);
    memcpy(r.range, from->range, sizeof r.range);
    memcpy(r.yaw_rad, from->yaw_rad, sizeof r.yaw_rad);
    vk_pack_put_region(s->pack, &r, 1);
  }
  return VK_OK;
}

static bool is_declared(const vk_bddl *b, const char *name)
{
  for (int i = 0; i < b->n_object; i++)
    if (strcmp(b->object[i].name, name) == 0)
      return true;
  for (int i = 0; i < b->n_fixture; i++)
    if (strcmp(b->fixture[i].name, name) == 0)
      return true;
  for (int i = 0; i < b->n_region; i++)
    if (strcmp(b->region[i].name, name) == 0)
      return true;
  return false;
}

static vk_status put_atoms(const import_state *s, const vk_bddl *b, const vk_bddl_atom *atom, int n,
                           uint32_t *first, uint32_t *n_put)
{
  *first = (uint32_t)s->pack->n_atom;
  *n_put = (uint32_t)n;
  for (int i = 0; i < n; i++) {
    const char *name[2] = {atom[i].a, atom[i].b};
    for (int k = 0; k < 2; k++)
      if (name[k][0] != '\0' && !is_declared(b, name[k]))
        return vk_fail(s->err, VK_E_FORMAT, "line %d: %s is neither declared nor a region",
                       atom[i].line, name[k]);
    vk_pack_atom a = {.kind = atom[i].kind};
    a.a = vk_pack_put_text(s->pack, name[0]);
    a.b = vk_pack_put_text(s->pack, name[1]);
    vk_pack_put_atom(s->pack, &a, 1);
  }
  return VK_OK;
}

static vk_status put_bddl(const import_state *s, const vk_bddl *b, vk_pack_task *t)
{
  const char *arena, *skip;
  VK_TRY(find_item(s, b->problem, false, &t->problem));
  VK_TRY(problem_fact(s, b->problem, "arena_name", &arena));
  VK_TRY(problem_fact(s, b->problem, "arena_category", &skip));
  t->bddl_language = vk_pack_put_text(s->pack, b->language);
  VK_TRY(put_items(s, b->object, b->n_object, "", VK_CLASS_OBJECT, &t->object, &t->n_object));
  VK_TRY(
      put_items(s, b->fixture, b->n_fixture, skip, VK_CLASS_FIXTURE, &t->fixture, &t->n_fixture));
  VK_TRY(put_regions(s, b, arena, t));
  VK_TRY(put_atoms(s, b, b->init, b->n_init, &t->init, &t->n_init));
  VK_TRY(put_atoms(s, b, b->goal, b->n_goal, &t->goal, &t->n_goal));
  t->interest = (uint32_t)s->pack->n_word;
  t->n_interest = (uint32_t)b->n_interest;
  for (int i = 0; i < b->n_interest; i++) {
    uint32_t word = vk_pack_put_text(s->pack, b->interest[i]);
    vk_pack_put_word(s->pack, &word, 1);
  }
  return VK_OK;
}

/* Whether column k holds +0 in every row. */
static bool is_zero_column(const vk_init_rows *rows, uint32_t k)
{
  static const unsigned char zero[sizeof(double)];
  for (uint32_t i = 0; i < rows->n_row; i++)
    if (memcmp(&rows->value[(size_t)i * rows->n_col + k], zero, sizeof zero) != 0)
      return false;
  return true;
}

static vk_status put_rows(const import_state *s, const vk_init_rows *rows, const char *name,
                          vk_pack_task *t)
{
  const vk_pack_builder *p = s->pack;
  uint32_t nq = 0, nv = 0;
  if (p->failed)
    return VK_OK; /* vk_pack_build says so */
  vk_import_count_state(p, p->problem[t->problem].robot, &nq, &nv);
  for (uint32_t i = 0; i < t->n_object; i++)
    vk_import_count_state(p, p->class_[p->instance[t->object + i].class_index].body, &nq, &nv);
  for (uint32_t i = 0; i < t->n_fixture; i++)
    vk_import_count_state(p, p->class_[p->instance[t->fixture + i].class_index].body, &nq, &nv);
  if (rows->n_col != 1 + nq + nv)
    return vk_fail(s->err, VK_E_MISMATCH,
                   "%s: rows of %u numbers, but the scene's state has 1 + %u + %u", name,
                   rows->n_col, nq, nv);
  if (!is_zero_column(rows, 0))
    return vk_fail(s->err, VK_E_UNSUPPORTED, "%s: a row begins at a time other than 0", name);
  t->n_row = rows->n_row;
  t->n_state = rows->n_col;
  t->n_stored = rows->n_col - 1;
  while (t->n_stored > 0 && is_zero_column(rows, t->n_stored))
    t->n_stored--;
  t->row = p->n_num;
  for (uint32_t i = 0; i < rows->n_row; i++)
    vk_pack_put_num(s->pack, rows->value + (size_t)i * rows->n_col + 1, t->n_stored);
  return VK_OK;
}

/* The instruction that a file name holds: LIBERO-90 and -10 put "ROOM_SCENEn_" before it. */
static void language_of(const char *task, char *out, size_t n)
{
  const char *scene = isupper((unsigned char)task[0]) ? strstr(task, "SCENE") : NULL;
  if (scene) {
    task = scene + strlen("SCENE");
    while (isdigit((unsigned char)*task))
      task++;
    task += *task == '_';
  }
  snprintf(out, n, "%s", task);
  for (char *p = out; *p; p++)
    if (*p == '_')
      *p = ' ';
}

static vk_status put_task_files(const import_state *s, const char *bddl_end, const char *init_end,
                                vk_pack_task *t)
{
  void *bytes = NULL;
  size_t n = 0;
  vk_bddl *b = NULL;
  vk_init_rows rows = {0};
  vk_status st = VK_OK;
  VK_TRY_DONE(read_file(s, bddl_end, &bytes, &n));
  VK_TRY_DONE(vk_bddl_parse(&b, bytes, n, bddl_end, s->err));
  st = put_bddl(s, b, t);
  if (st != VK_OK) {
    vk_err_prefix(s->err, "%s", bddl_end);
    goto done;
  }
  free(bytes);
  bytes = NULL;
  VK_TRY_DONE(read_file(s, init_end, &bytes, &n));
  VK_TRY_DONE(vk_init_rows_parse(&rows, bytes, n, init_end, s->err));
  st = put_rows(s, &rows, init_end, t);
done:
  free(bytes);
  vk_bddl_free(b);
  vk_init_rows_free(&rows);
  return st;
}

static vk_status put_task(const import_state *s, const cJSON *suite_row, const char *name,
                          uint32_t i_suite, uint32_t index)
{
  const char *bddl_dir, *init_dir;
  char bddl_end[600], init_end[600], language[VK_PACK_NAME_MAX + 1];
  vk_pack_task t = {.suite = i_suite, .index = index};
  VK_TRY(vk_json_get_str(suite_row, "bddl", &bddl_dir, "suite", s->err));
  VK_TRY(vk_json_get_str(suite_row, "init", &init_dir, "suite", s->err));
  if (!vk_pack_is_name(name))
    return vk_fail(s->err, VK_E_FORMAT,
                   "task \"%.200s\": a name has 1 to %d letters, digits and \"_.-\"", name,
                   VK_PACK_NAME_MAX);
  snprintf(bddl_end, sizeof bddl_end, "%.400s/%s.bddl", bddl_dir, name);
  snprintf(init_end, sizeof init_end, "%.400s/%s.pruned_init", init_dir, name);
  language_of(name, language, sizeof language);
  t.name = vk_pack_put_text(s->pack, name);
  t.language = vk_pack_put_text(s->pack, language);
  VK_TRY(put_task_files(s, bddl_end, init_end, &t));
  vk_pack_put_task(s->pack, &t, 1);
  return VK_OK;
}

/* The suite's tasks: its own list "tasks", else those of the task map. */
static vk_status put_suite(const import_state *s, const cJSON *row, const vk_taskmap *map)
{
  static const char *const keys[] = {"name", "bddl", "init", "tasks", NULL};
  const char *name;
  VK_TRY(vk_json_get_str(row, "name", &name, "a suite", s->err));
  VK_TRY(vk_json_check_keys(row, keys, name, s->err));
  vk_pack_suite suite = {.task = (uint32_t)s->pack->n_task};
  uint32_t i_suite = (uint32_t)s->pack->n_suite;
  suite.name = vk_pack_put_text(s->pack, name);
  const cJSON *list = cJSON_GetObjectItemCaseSensitive(row, "tasks"), *item;
  cJSON_ArrayForEach(item, list)
  {
    if (!cJSON_IsString(item))
      return vk_fail(s->err, VK_E_FORMAT, "suite %s: \"tasks\" must be a list of names", name);
    VK_TRY(put_task(s, row, item->valuestring, i_suite, suite.n_task++));
  }
  for (int i = 0; !list && i < map->n_suite; i++)
    for (int k = 0; strcmp(map->suite[i].name, name) == 0 && k < map->suite[i].n_task; k++)
      VK_TRY(put_task(s, row, map->suite[i].task[k], i_suite, suite.n_task++));
  if (suite.n_task == 0)
    return vk_fail(s->err, VK_E_FORMAT, "suite %s has no tasks: the task map does not list it",
                   name);
  vk_pack_put_suite(s->pack, &suite, 1);
  return VK_OK;
}

static vk_status put_suites(const import_state *s, const vk_taskmap *map)
{
  const cJSON *list, *row;
  VK_TRY(vk_import_array_of_named(s->facts, "suites", &list, s->err));
  cJSON_ArrayForEach(row, list)
  {
    VK_TRY(put_suite(s, row, map));
  }
  return VK_OK;
}

vk_status vk_import_libero(vk_pack_builder *pack, vk_import_visuals *visuals,
                           const vk_source *source, const cJSON *facts, cJSON *missing, vk_err *err)
{
  static const char *const keys[] = {"about",    "distributions", "task_map", "suites",
                                     "problems", "robots",        "classes",  NULL};
  const import_state s = {pack, source, facts, err};
  vk_taskmap map = {0};
  VK_TRY(vk_json_check_keys(facts, keys, "facts", err));
  const char *end = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(facts, "task_map"));
  if (end) {
    void *bytes;
    size_t n;
    VK_TRY(read_file(&s, end, &bytes, &n));
    vk_status st = vk_taskmap_parse(&map, bytes, n, end, err);
    free(bytes);
    VK_TRY(st);
  }
  const vk_mjcf_writer w = {pack, source, visuals};
  vk_status st = vk_import_classes(&w, facts, err);
  if (st == VK_OK)
    st = vk_import_problems(&w, facts, err);
  if (st == VK_OK)
    st = put_suites(&s, &map);
  const char *file;
  for (size_t i = 0; visuals && missing && (file = vk_import_visuals_missing(visuals, i)); i++)
    if (!note_file(facts, file, missing))
      st = vk_fail(err, VK_E_NOMEM, "no memory to list missing files");
  vk_taskmap_free(&map);
  return st;
}
