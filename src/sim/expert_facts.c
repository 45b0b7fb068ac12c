#include "sim/expert_facts.h"

#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "core/hash.h"
#include "core/json.h"
#include "sim/pose.h"

enum { FACTS_BYTES_MAX = 1 << 20, FACTS_VERSION = 1 };

/* ---- members of a row ---------------------------------------------------------------------- */

static const cJSON *member(const cJSON *o, const char *key)
{
  return cJSON_GetObjectItemCaseSensitive(o, key);
}

/* An optional vector; out keeps its value when the key is absent. */
static vk_status get_vec(const cJSON *o, const char *key, double out[3], const char *what,
                         vk_err *err)
{
  return member(o, key) ? vk_json_get_f64s(o, key, 3, out, what, err) : VK_OK;
}

static vk_status get_num(const cJSON *o, const char *key, double *out, const char *what,
                         vk_err *err)
{
  return member(o, key) ? vk_json_get_f64(o, key, out, what, err) : VK_OK;
}

static vk_status get_direction(const cJSON *o, const char *key, double out[3], const char *what,
                               vk_err *err)
{
  VK_TRY(vk_json_get_f64s(o, key, 3, out, what, err));
  if (!(vk_v3_norm(out) > 1e-6))
    return vk_fail(err, VK_E_RANGE, "%s: \"%s\" must be a direction, not a zero vector", what, key);
  vk_v3_unit(out);
  return VK_OK;
}

static vk_status set_name(char out[VK_FACT_NAME], const char *text, const char *what, vk_err *err)
{
  const size_t n = strlen(text);
  if (n >= VK_FACT_NAME)
    return vk_fail(err, VK_E_RANGE, "%s: \"%s\" is longer than %d characters", what, text,
                   VK_FACT_NAME - 1);
  memcpy(out, text, n + 1);
  return VK_OK;
}

static vk_status get_name(const cJSON *o, const char *key, char out[VK_FACT_NAME], const char *what,
                          vk_err *err)
{
  const char *text = NULL;
  VK_TRY(vk_json_get_str(o, key, &text, what, err));
  return set_name(out, text, what, err);
}

/* Which keys a row may have, so that a misspelt one is found. */
static vk_status check_keys(const cJSON *o, const char *const *keys, const char *what, vk_err *err)
{
  if (!cJSON_IsObject(o))
    return vk_fail(err, VK_E_FORMAT, "%s: expected an object", what);
  for (const cJSON *c = o->child; c; c = c->next) {
    int i = 0;
    while (keys[i] && strcmp(keys[i], c->string) != 0)
      i++;
    if (!keys[i])
      return vk_fail(err, VK_E_FORMAT, "%s: unknown key \"%s\"", what, c->string);
  }
  return VK_OK;
}

/* A direction to point and one to open, made orthogonal. */
static vk_status get_frame(const cJSON *o, double approach[3], double open[3], const char *what,
                           vk_err *err)
{
  VK_TRY(get_direction(o, "approach", approach, what, err));
  VK_TRY(get_direction(o, "open", open, what, err));
  vk_v3_madd(open, open, -vk_v3_dot(open, approach), approach);
  if (!(vk_v3_norm(open) > 0.1))
    return vk_fail(err, VK_E_RANGE, "%s: \"open\" is along \"approach\"", what);
  vk_v3_unit(open);
  return VK_OK;
}

/* ---- rows ---------------------------------------------------------------------------------- */

static vk_status read_box(const cJSON *o, vk_gripper_box *box, const char *what, vk_err *err)
{
  static const char *const keys[] = {"at", "half", "finger", "pad", NULL};
  VK_TRY(check_keys(o, keys, what, err));
  VK_TRY(vk_json_get_f64s(o, "at", 3, box->at_m, what, err));
  VK_TRY(vk_json_get_f64s(o, "half", 3, box->half_m, what, err));
  box->is_finger = cJSON_IsTrue(member(o, "finger"));
  box->is_pad = cJSON_IsTrue(member(o, "pad"));
  return VK_OK;
}

static vk_status read_grasp(const cJSON *o, vk_grasp_fact *g, const char *what, vk_err *err)
{
  static const char *const keys[] = {"name",  "at",    "approach", "open", "width", "turn",
                                     "about", "turns", "slide",    "cost", NULL};
  VK_TRY(check_keys(o, keys, what, err));
  VK_TRY(get_name(o, "name", g->name, what, err));
  VK_TRY(vk_json_get_f64s(o, "at", 3, g->at_m, what, err));
  VK_TRY(get_frame(o, g->approach, g->open, what, err));
  VK_TRY(vk_json_get_f64(o, "width", &g->width_m, what, err));
  g->n_turn = 1;
  g->turn_axis[2] = 1;
  if (member(o, "turn")) {
    double n = 0;
    VK_TRY(get_direction(o, "turn", g->turn_axis, what, err));
    VK_TRY(vk_json_get_f64(o, "turns", &n, what, err));
    if (!(n >= 1 && n <= 64))
      return vk_fail(err, VK_E_RANGE, "%s: \"turns\" must be 1 to 64", what);
    g->n_turn = (int)n;
  }
  VK_TRY(get_vec(o, "about", g->turn_at_m, what, err));
  VK_TRY(get_vec(o, "slide", g->slide, what, err));
  return get_num(o, "cost", &g->cost, what, err);
}

static vk_status read_object(const cJSON *o, vk_object_fact *f, vk_err *err)
{
  static const char *const keys[] = {"grasps", "drag", "press", NULL};
  VK_TRY(check_keys(o, keys, f->name, err));
  const cJSON *list = member(o, "grasps"), *c;
  cJSON_ArrayForEach(c, list)
  {
    if (f->n_grasp == VK_FACT_GRASPS_MAX)
      return vk_fail(err, VK_E_RANGE, "%s: more than %d grasps", f->name, VK_FACT_GRASPS_MAX);
    VK_TRY(read_grasp(c, &f->grasp[f->n_grasp++], f->name, err));
  }
  f->is_dragged = member(o, "drag") != NULL;
  VK_TRY(get_vec(o, "drag", f->drag_at_m, f->name, err));
  return get_num(o, "press", &f->press, f->name, err);
}

static vk_status read_part(const cJSON *o, vk_part_fact *p, const char *what, vk_err *err)
{
  static const char *const keys[] = {"body", "atom", "at",     "approach", "open", "pre",  "press",
                                     "q",    "lead", "follow", "grip",     "cost", "lean", NULL};
  static const char *const atoms[VK_ATOM_N] = {[VK_ATOM_OPEN] = "open",
                                               [VK_ATOM_CLOSE] = "close",
                                               [VK_ATOM_TURNON] = "turnon",
                                               [VK_ATOM_TURNOFF] = "turnoff"};
  const char *text = NULL;
  VK_TRY(check_keys(o, keys, what, err));
  VK_TRY(get_name(o, "body", p->body, what, err));
  VK_TRY(vk_json_get_str(o, "atom", &text, what, err));
  int kind = 0;
  while (kind < VK_ATOM_N && (!atoms[kind] || strcmp(atoms[kind], text) != 0))
    kind++;
  if (kind == VK_ATOM_N)
    return vk_fail(err, VK_E_RANGE, "%s: \"atom\" is \"%s\", not open, close, turnon or turnoff",
                   what, text);
  p->atom = (vk_atom_kind)kind;
  VK_TRY(vk_json_get_f64s(o, "at", 3, p->at_m, what, err));
  VK_TRY(get_frame(o, p->approach, p->open, what, err));
  VK_TRY(vk_json_get_f64s(o, "pre", 3, p->pre_m, what, err));
  VK_TRY(get_vec(o, "press", p->press, what, err));
  VK_TRY(vk_json_get_f64(o, "q", &p->q_target, what, err));
  VK_TRY(vk_json_get_f64(o, "lead", &p->lead, what, err));
  VK_TRY(get_num(o, "follow", &p->follow, what, err));
  VK_TRY(get_num(o, "lean", &p->lean, what, err));
  VK_TRY(vk_json_get_str(o, "grip", &text, what, err));
  if (strcmp(text, "shut") != 0 && strcmp(text, "pinch") != 0)
    return vk_fail(err, VK_E_RANGE, "%s: \"grip\" is \"%s\", not shut or pinch", what, text);
  p->grip = strcmp(text, "shut") == 0 ? VK_GRIP_SHUT : VK_GRIP_PINCH;
  return get_num(o, "cost", &p->cost, what, err);
}

static vk_status read_fixture(const cJSON *o, vk_fixture_fact *f, vk_err *err)
{
  static const char *const keys[] = {"parts", "out", NULL};
  VK_TRY(check_keys(o, keys, f->name, err));
  const cJSON *list = member(o, "parts"), *c;
  cJSON_ArrayForEach(c, list)
  {
    if (f->n_part == VK_FACT_PARTS_MAX)
      return vk_fail(err, VK_E_RANGE, "%s: more than %d parts", f->name, VK_FACT_PARTS_MAX);
    VK_TRY(read_part(c, &f->part[f->n_part++], f->name, err));
  }
  list = member(o, "out");
  cJSON_ArrayForEach(c, list)
  {
    if (f->n_entry == VK_FACT_ENTRIES_MAX)
      return vk_fail(err, VK_E_RANGE, "%s: more than %d ways out", f->name, VK_FACT_ENTRIES_MAX);
    vk_entry_fact *e = &f->entry[f->n_entry++];
    VK_TRY(set_name(e->region, c->string, f->name, err));
    VK_TRY(get_direction(list, c->string, e->out, f->name, err));
  }
  return VK_OK;
}

/* ---- the file ------------------------------------------------------------------------------ */

/* A row that is the name of an earlier row repeats it. */
static const cJSON *resolve_row(const cJSON *table, const cJSON *row)
{
  return cJSON_IsString(row) ? member(table, row->valuestring) : row;
}

static vk_status read_tables(const cJSON *root, vk_expert_facts *facts, vk_err *err)
{
  static const char *const keys[] = {"version", "gripper", "objects", "fixtures", NULL};
  VK_TRY(check_keys(root, keys, "the facts", err));
  int64_t version = 0;
  VK_TRY(vk_json_get_i64(root, "version", &version, "the facts", err));
  if (version != FACTS_VERSION)
    return vk_fail(err, VK_E_VERSION, "version %lld, this program reads %d", (long long)version,
                   FACTS_VERSION);
  const cJSON *gripper = member(root, "gripper"), *objects = member(root, "objects"),
              *fixtures = member(root, "fixtures"), *row;
  if (!cJSON_IsArray(gripper) || !cJSON_IsObject(objects) || !cJSON_IsObject(fixtures))
    return vk_fail(err, VK_E_FORMAT,
                   "expected \"gripper\" (an array), \"objects\" and \"fixtures\" (objects)");
  cJSON_ArrayForEach(row, gripper)
  {
    if (facts->n_box == VK_FACT_BOXES_MAX)
      return vk_fail(err, VK_E_RANGE, "more than %d gripper boxes", VK_FACT_BOXES_MAX);
    VK_TRY(read_box(row, &facts->box[facts->n_box++], "gripper", err));
  }
  facts->object = calloc((size_t)cJSON_GetArraySize(objects) + 1, sizeof *facts->object);
  facts->fixture = calloc((size_t)cJSON_GetArraySize(fixtures) + 1, sizeof *facts->fixture);
  if (!facts->object || !facts->fixture)
    return vk_fail(err, VK_E_NOMEM, "no memory for the expert's facts");
  cJSON_ArrayForEach(row, objects)
  {
    vk_object_fact *f = &facts->object[facts->n_object++];
    VK_TRY(set_name(f->name, row->string, "the facts", err));
    VK_TRY(read_object(resolve_row(objects, row), f, err));
  }
  cJSON_ArrayForEach(row, fixtures)
  {
    vk_fixture_fact *f = &facts->fixture[facts->n_fixture++];
    VK_TRY(set_name(f->name, row->string, "the facts", err));
    VK_TRY(read_fixture(resolve_row(fixtures, row), f, err));
  }
  return VK_OK;
}

vk_status vk_expert_facts_open(vk_expert_facts **out, const char *path, vk_err *err)
{
  vk_status st = VK_OK;
  char *text = NULL, found[VK_FS_PATH_MAX];
  size_t n = 0;
  cJSON *root = NULL;
  vk_expert_facts *facts = calloc(1, sizeof *facts);
  *out = NULL;
  if (!facts)
    return vk_fail(err, VK_E_NOMEM, "no memory for the expert's facts");
  if (!path) {
    VK_TRY_DONE(vk_fs_find_data(found, "expert.json", err));
    path = found;
  }
  VK_TRY_DONE(vk_fs_read(&text, &n, path, FACTS_BYTES_MAX, err));
  vk_sha256_hex(text, n, facts->hash);
  VK_TRY_DONE(vk_json_parse(&root, text, n, path, err));
  st = read_tables(root, facts, err);
  if (st != VK_OK)
    vk_err_prefix(err, "%s", path);
done:
  cJSON_Delete(root);
  free(text);
  if (st == VK_OK)
    *out = facts;
  else
    vk_expert_facts_free(facts);
  return st;
}

void vk_expert_facts_free(vk_expert_facts *facts)
{
  if (!facts)
    return;
  free(facts->object);
  free(facts->fixture);
  free(facts);
}

const char *vk_expert_facts_hash(const vk_expert_facts *facts)
{
  return facts->hash;
}

const vk_object_fact *vk_facts_object(const vk_expert_facts *facts, const char *name)
{
  for (int i = 0; i < facts->n_object; i++)
    if (strcmp(facts->object[i].name, name) == 0)
      return &facts->object[i];
  return NULL;
}

const vk_fixture_fact *vk_facts_fixture(const vk_expert_facts *facts, const char *name)
{
  for (int i = 0; i < facts->n_fixture; i++)
    if (strcmp(facts->fixture[i].name, name) == 0)
      return &facts->fixture[i];
  return NULL;
}
