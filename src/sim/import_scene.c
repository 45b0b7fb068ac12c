#include "sim/import_scene.h"

#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "sim/import_mjcf.h"
#include "sim/mjcf.h"

vk_status vk_import_array(const cJSON *object, const char *key, const cJSON **out, const char *what,
                          vk_err *err)
{
  *out = cJSON_GetObjectItemCaseSensitive(object, key);
  if (!cJSON_IsArray(*out))
    return vk_fail(err, VK_E_FORMAT, "%s: \"%s\" must be a list", what, key);
  return VK_OK;
}

/* Item i of a list as a word and as a number. */
static const char *word_at(const cJSON *list, int i)
{
  return cJSON_GetStringValue(cJSON_GetArrayItem(list, i));
}

static bool number_at(const cJSON *list, int i, double *out)
{
  const cJSON *item = cJSON_GetArrayItem(list, i);
  if (cJSON_IsNumber(item))
    *out = item->valuedouble;
  return cJSON_IsNumber(item);
}

/* Index of word in names, -1 when it is not there. */
static int find_word(const char *word, const char *const *names, int n)
{
  for (int i = 0; word && i < n; i++)
    if (strcmp(word, names[i]) == 0)
      return i;
  return -1;
}

vk_status vk_import_array_of_named(const cJSON *object, const char *key, const cJSON **out,
                                   vk_err *err)
{
  const cJSON *row, *other;
  VK_TRY(vk_import_array(object, key, out, "facts", err));
  cJSON_ArrayForEach(row, *out)
  {
    const char *name, *taken;
    VK_TRY(vk_json_get_str(row, "name", &name, key, err));
    for (other = (*out)->child; other != row; other = other->next) {
      VK_TRY(vk_json_get_str(other, "name", &taken, key, err));
      if (strcmp(name, taken) == 0)
        return vk_fail(err, VK_E_FORMAT, "%s: there are two rows \"%s\"", key, name);
    }
  }
  return VK_OK;
}

/* ---- classes -------------------------------------------------------------------------------- */

static vk_status read_rotations(vk_pack_class *c, const cJSON *row, const char *name, vk_err *err)
{
  static const char *const axes[] = {"x", "y", "z"};
  const cJSON *list, *item;
  VK_TRY(vk_import_array(row, "rotation", &list, name, err));
  cJSON_ArrayForEach(item, list)
  {
    vk_pack_rotation r = {0};
    int axis = find_word(word_at(item, 0), axes, VK_COUNT(axes));
    if (c->n_rotation == VK_PACK_ROTATION_MAX || axis < 0 || !number_at(item, 1, &r.lo_rad) ||
        !number_at(item, 2, &r.hi_rad) || cJSON_GetArraySize(item) != 3)
      return vk_fail(err, VK_E_FORMAT,
                     "class %s: \"rotation\" must be up to %d of [axis, low, high]", name,
                     VK_PACK_ROTATION_MAX);
    r.axis = (uint32_t)axis;
    c->rotation[c->n_rotation++] = r;
  }
  bool is_product = false;
  if (cJSON_HasObjectItem(row, "rotation_product"))
    VK_TRY(vk_json_get_bool(row, "rotation_product", &is_product, name, err));
  c->is_rotation_product = is_product;
  if (c->n_rotation > 1 && !c->is_rotation_product)
    return vk_fail(err, VK_E_FORMAT, "class %s: several rotations need \"rotation_product\": true",
                   name);
  return VK_OK;
}

static vk_status read_articulations(vk_pack_class *c, const cJSON *row, const char *name,
                                    vk_err *err)
{
  static const char *const cmps[] = {"<", "<=", ">", ">="};
  static const char *const joins[] = {"any", "all"};
  const cJSON *list, *item;
  VK_TRY(vk_import_array(row, "articulation", &list, name, err));
  cJSON_ArrayForEach(item, list)
  {
    vk_pack_articulation a = {0};
    const char *word = word_at(item, 0);
    vk_atom_kind atom = vk_atom_find(word ? word : "");
    int cmp = find_word(word_at(item, 1), cmps, VK_COUNT(cmps));
    int join = find_word(word_at(item, 3), joins, VK_COUNT(joins));
    if (c->n_articulation == VK_PACK_ARTICULATION_MAX || atom < VK_ATOM_OPEN || atom == VK_ATOM_N ||
        cmp < 0 || join < 0 || !number_at(item, 2, &a.threshold) ||
        !number_at(item, 4, &a.draw_lo) || !number_at(item, 5, &a.draw_hi) ||
        cJSON_GetArraySize(item) != 6)
      return vk_fail(err, VK_E_FORMAT,
                     "class %s: \"articulation\" must be up to %d of [atom, comparison, threshold, "
                     "any or all, low, high]",
                     name, VK_PACK_ARTICULATION_MAX);
    a.atom = atom;
    a.cmp = (uint32_t)cmp;
    a.every = (uint32_t)join;
    c->articulation[c->n_articulation++] = a;
  }
  return VK_OK;
}

static vk_status put_class(const vk_mjcf_writer *w, const cJSON *row, vk_err *err)
{
  static const char *const kinds[] = {"object", "fixture"};
  static const char *const keys[][6] = {
      {"name", "kind", "xml", "rotation", "rotation_product", NULL},
      {"name", "kind", "xml", "articulation", NULL},
  };
  const char *name, *end, *kind;
  VK_TRY(vk_json_get_str(row, "name", &name, "a class", err));
  VK_TRY(vk_json_get_str(row, "xml", &end, name, err));
  VK_TRY(vk_json_get_str(row, "kind", &kind, name, err));
  vk_pack_class c = {0};
  int k = find_word(kind, kinds, VK_COUNT(kinds));
  if (k < 0)
    return vk_fail(err, VK_E_FORMAT, "class %s: kind \"%s\" is neither object nor fixture", name,
                   kind);
  c.kind = (uint32_t)k;
  VK_TRY(vk_json_check_keys(row, keys[k], name, err));
  if (k == VK_CLASS_OBJECT)
    VK_TRY(read_rotations(&c, row, name, err));
  else
    VK_TRY(read_articulations(&c, row, name, err));

  vk_xml *xml;
  VK_TRY(vk_mjcf_read(w->source, end, &xml, err));
  vk_xml_node *body;
  double size[4];
  vk_status st = vk_mjcf_take_object(xml, name, k == VK_CLASS_OBJECT, &body, size, err);
  if (st == VK_OK)
    st = vk_mjcf_put(w, xml, body, &c.body, err);
  if (st == VK_OK && w->visuals)
    st = vk_import_visuals_model(w->visuals, xml, body, name, err);
  vk_xml_free(xml);
  VK_TRY(st);
  c.name = vk_pack_put_text(w->pack, name);
  c.radius_m = size[0];
  c.radius_y_m = size[1];
  c.bottom_m = size[2];
  c.top_m = size[3];
  vk_pack_put_class_(w->pack, &c, 1);
  return VK_OK;
}

vk_status vk_import_classes(const vk_mjcf_writer *w, const cJSON *facts, vk_err *err)
{
  const cJSON *list, *row;
  VK_TRY(vk_import_array_of_named(facts, "classes", &list, err));
  cJSON_ArrayForEach(row, list)
  {
    VK_TRY(put_class(w, row, err));
  }
  return VK_OK;
}

/* ---- robots --------------------------------------------------------------------------------- */

/* A robot's file with gripper and mount put in. The parts' documents own the nodes that moved. */
enum { ROBOT_PART_MAX = 4 };
typedef struct robot_doc {
  vk_xml *xml;
  vk_xml *part[ROBOT_PART_MAX];
  int n_part;
} robot_doc;

static void robot_free(robot_doc *r)
{
  for (int i = 0; i < r->n_part; i++)
    vk_xml_free(r->part[i]);
  vk_xml_free(r->xml);
  *r = (robot_doc){0};
}

/* Sets an attribute of the arm's joints: key to value[i] for the i-th in document order. */
static vk_status set_joints(vk_xml *xml, vk_xml_node *world, const cJSON *values, vk_err *err)
{
  int i = 0;
  for (vk_xml_node *n = world; n; n = vk_xml_walk(world, n)) {
    if (strcmp(n->tag, "joint") != 0)
      continue;
    double v;
    if (!number_at(values, i++, &v))
      return vk_fail(err, VK_E_FORMAT, "robot: \"%s\" has no number for joint %d", values->string,
                     i);
    VK_TRY(vk_mjcf_set(xml, n, values->string, &v, 1, err));
  }
  if (i != cJSON_GetArraySize(values))
    return vk_fail(err, VK_E_FORMAT, "robot: \"%s\" must have %d numbers, one a joint",
                   values->string, i);
  return VK_OK;
}

static vk_xml_node *section(const vk_xml *xml, const char *tag)
{
  return vk_xml_child(xml->root, tag, NULL);
}

/* Moves the children of a section of part to that of xml. */
static vk_status merge_section(vk_xml *xml, vk_xml *part, const char *tag, vk_xml_node *to,
                               vk_err *err)
{
  vk_xml_node *from = section(part, tag);
  if (!from || !from->first)
    return VK_OK;
  if (!to)
    VK_TRY(vk_xml_add(xml, xml->root, tag, &to, err));
  while (from->first)
    vk_xml_move(from->first, to);
  return VK_OK;
}

static vk_status attach(robot_doc *r, const vk_source *source, const cJSON *row, const char *prefix,
                        vk_err *err)
{
  static const char *const keys[] = {"xml", "prefix", "to", "pos", NULL};
  const char *end, *own, *to;
  VK_TRY(vk_json_check_keys(row, keys, "attach", err));
  VK_TRY(vk_json_get_str(row, "xml", &end, "attach", err));
  VK_TRY(vk_json_get_str(row, "prefix", &own, "attach", err));
  VK_TRY(vk_json_get_str(row, "to", &to, "attach", err));
  if (r->n_part == ROBOT_PART_MAX)
    return vk_fail(err, VK_E_FORMAT, "robot: more than %d parts", ROBOT_PART_MAX);
  VK_TRY(vk_mjcf_read(source, end, &r->part[r->n_part], err));
  vk_xml *part = r->part[r->n_part++];
  VK_TRY(vk_mjcf_prefix(part, part->root, own, false, err));
  vk_xml_node *world = section(part, "worldbody");
  char name[300];
  snprintf(name, sizeof name, "%s%s", prefix, to);
  vk_xml_node *body = vk_xml_find(r->xml->root, "body", name);
  if (!world || !world->first || !body)
    return vk_fail(err, VK_E_FORMAT, "%s: has no body, or the robot has no body %s", end, name);
  const cJSON *pos = cJSON_GetObjectItemCaseSensitive(row, "pos");
  if (pos) {
    double p[3];
    VK_TRY(vk_json_get_f64s(row, "pos", 3, p, "attach", err));
    VK_TRY(vk_mjcf_set(part, world->first, "pos", p, 3, err));
  }
  VK_TRY(merge_section(r->xml, part, "worldbody", body, err));
  VK_TRY(merge_section(r->xml, part, "actuator", section(r->xml, "actuator"), err));
  return merge_section(r->xml, part, "asset", section(r->xml, "asset"), err);
}

static vk_status read_robot(robot_doc *r, const vk_source *source, const cJSON *row, vk_err *err)
{
  static const char *const keys[] = {"name", "xml", "prefix", "joints", "attach", NULL};
  const char *end, *prefix;
  VK_TRY(vk_json_check_keys(row, keys, "robot", err));
  VK_TRY(vk_json_get_str(row, "xml", &end, "robot", err));
  VK_TRY(vk_json_get_str(row, "prefix", &prefix, "robot", err));
  VK_TRY(vk_mjcf_read(source, end, &r->xml, err));
  vk_xml_node *world = section(r->xml, "worldbody");
  if (!world || !world->first)
    return vk_fail(err, VK_E_FORMAT, "%s: there is no <worldbody> with a body", end);
  VK_TRY(vk_mjcf_prefix(r->xml, r->xml->root, prefix, false, err));
  const cJSON *joints = cJSON_GetObjectItemCaseSensitive(row, "joints"), *values, *list, *part;
  cJSON_ArrayForEach(values, joints)
  {
    VK_TRY(set_joints(r->xml, world, values, err));
  }
  VK_TRY(vk_import_array(row, "attach", &list, "robot", err));
  cJSON_ArrayForEach(part, list)
  {
    VK_TRY(attach(r, source, part, prefix, err));
  }
  return VK_OK;
}

/* ---- problems ------------------------------------------------------------------------------- */

static vk_status change_arena(vk_xml *xml, vk_xml_node *world, const cJSON *list, vk_err *err)
{
  const cJSON *row, *item;
  cJSON_ArrayForEach(row, list)
  {
    const char *tag, *name;
    VK_TRY(vk_json_get_str(row, "tag", &tag, "change", err));
    VK_TRY(vk_json_get_str(row, "name", &name, "change", err));
    vk_xml_node *node = vk_xml_find(world, tag, name);
    if (!node)
      return vk_fail(err, VK_E_FORMAT, "%s: there is no <%s name=\"%s\"> to change", xml->name, tag,
                     name);
    cJSON_ArrayForEach(item, row)
    {
      double v[8];
      int n = cJSON_GetArraySize(item);
      if (strcmp(item->string, "tag") == 0 || strcmp(item->string, "name") == 0)
        continue;
      if (vk_mjcf_find_key(item->string) < 0 || !cJSON_IsArray(item) || n < 1 ||
          n > (int)VK_COUNT(v))
        return vk_fail(err, VK_E_FORMAT,
                       "change of %s: \"%s\" must be an attribute with a list of 1 to %zu numbers",
                       name, item->string, VK_COUNT(v));
      VK_TRY(vk_json_get_f64s(row, item->string, n, v, name, err));
      VK_TRY(vk_mjcf_set(xml, node, item->string, v, n, err));
    }
  }
  return VK_OK;
}

/* Puts other files into the arena's textures. */
static vk_status set_textures(vk_xml *xml, const cJSON *textures, vk_err *err)
{
  const cJSON *item;
  vk_xml_node *asset = section(xml, "asset");
  cJSON_ArrayForEach(item, textures)
  {
    vk_xml_node *node = asset ? vk_xml_child(asset, "texture", item->string) : NULL;
    if (!node || !cJSON_IsString(item))
      return vk_fail(err, VK_E_FORMAT,
                     "%s: there is no <texture name=\"%s\"> to change, or no file for it",
                     xml->name, item->string);
    VK_TRY(vk_xml_set(xml, node, "file", item->valuestring, err));
  }
  return VK_OK;
}

static vk_status set_cameras(vk_xml *xml, vk_xml_node *world, const cJSON *list, vk_err *err)
{
  static const char *const keys[] = {"name", "pos", "quat", NULL};
  const cJSON *row;
  cJSON_ArrayForEach(row, list)
  {
    const char *name;
    double pos[3], quat[4];
    VK_TRY(vk_json_check_keys(row, keys, "camera", err));
    VK_TRY(vk_json_get_str(row, "name", &name, "camera", err));
    VK_TRY(vk_json_get_f64s(row, "pos", 3, pos, name, err));
    VK_TRY(vk_json_get_f64s(row, "quat", 4, quat, name, err));
    vk_xml_node *node = vk_xml_find(world, "camera", name);
    if (!node) {
      VK_TRY(vk_xml_add(xml, world, "camera", &node, err));
      VK_TRY(vk_xml_set(xml, node, "name", name, err));
    }
    VK_TRY(vk_mjcf_set(xml, node, "pos", pos, 3, err));
    VK_TRY(vk_mjcf_set(xml, node, "quat", quat, 4, err));
  }
  return VK_OK;
}

static vk_status put_arena(const vk_mjcf_writer *w, vk_pack_problem *p, const cJSON *row,
                           const char *name, vk_err *err)
{
  const char *end;
  const cJSON *change, *cameras;
  VK_TRY(vk_json_get_str(row, "xml", &end, name, err));
  VK_TRY(vk_import_array(row, "change", &change, name, err));
  VK_TRY(vk_import_array(row, "cameras", &cameras, name, err));
  vk_xml *xml;
  VK_TRY(vk_mjcf_read(w->source, end, &xml, err));
  vk_xml_node *world = section(xml, "worldbody");
  vk_status st = VK_OK;
  if (!world)
    st = vk_fail(err, VK_E_FORMAT, "%s: there is no <worldbody>", end);
  if (st == VK_OK)
    st = change_arena(xml, world, change, err);
  if (st == VK_OK)
    st = set_cameras(xml, world, cameras, err);
  if (st == VK_OK)
    st = set_textures(xml, cJSON_GetObjectItemCaseSensitive(row, "textures"), err);
  if (st == VK_OK)
    st = vk_mjcf_put_children(w, xml, world, &p->world, err);
  if (st == VK_OK && w->visuals)
    st = vk_import_visuals_arena(w->visuals, xml, world, name, err);
  vk_xml_free(xml);
  return st;
}

static vk_status put_robot(const vk_mjcf_writer *w, vk_pack_problem *p, const cJSON *facts,
                           const cJSON *row, const char *name, vk_err *err)
{
  const char *want, *found;
  double pos[3];
  const cJSON *robots, *robot, *match = NULL;
  VK_TRY(vk_json_get_str(row, "robot", &want, name, err));
  VK_TRY(vk_json_get_f64s(row, "robot_pos", 3, pos, name, err));
  VK_TRY(vk_import_array_of_named(facts, "robots", &robots, err));
  cJSON_ArrayForEach(robot, robots)
  {
    VK_TRY(vk_json_get_str(robot, "name", &found, "a robot", err));
    if (strcmp(found, want) == 0)
      match = robot;
  }
  if (!match)
    return vk_fail(err, VK_E_FORMAT, "problem %s: there is no robot \"%s\"", name, want);
  robot_doc r = {0};
  vk_status st = VK_OK;
  VK_TRY_DONE(read_robot(&r, w->source, match, err));
  vk_xml_node *base = section(r.xml, "worldbody")->first;
  VK_TRY_DONE(vk_mjcf_set(r.xml, base, "pos", pos, 3, err));
  VK_TRY_DONE(vk_mjcf_put(w, r.xml, base, &p->robot, err));
  VK_TRY_DONE(vk_mjcf_put_children(w, r.xml, section(r.xml, "actuator"), &p->actuator, err));
  p->contact = VK_PACK_NONE;
  if (section(r.xml, "contact"))
    VK_TRY_DONE(vk_mjcf_put_children(w, r.xml, section(r.xml, "contact"), &p->contact, err));
  if (w->visuals)
    st = vk_import_visuals_body(w->visuals, r.xml, base, err);
done:
  robot_free(&r);
  return st;
}

static vk_status put_problem(const vk_mjcf_writer *w, const cJSON *facts, const cJSON *row,
                             vk_err *err)
{
  static const char *const keys[] = {"name",
                                     "xml",
                                     "robot",
                                     "robot_pos",
                                     "arena_name",
                                     "arena_category",
                                     "zone_body",
                                     "change",
                                     "textures",
                                     "cameras",
                                     "workspace_offset",
                                     "fixture_z_offset",
                                     "object_z_offset",
                                     "shrink",
                                     "zone_offset",
                                     "zone_half_height",
                                     NULL};
  vk_pack_problem p = {0};
  const char *name, *body, *arena;
  bool shrinks;
  VK_TRY(vk_json_get_str(row, "name", &name, "a problem", err));
  VK_TRY(vk_json_check_keys(row, keys, name, err));
  VK_TRY(vk_json_get_str(row, "zone_body", &body, name, err));
  VK_TRY(vk_json_get_str(row, "arena_name", &arena, name, err));
  VK_TRY(vk_json_get_f64s(row, "workspace_offset", 3, p.workspace_offset_m, name, err));
  VK_TRY(vk_json_get_f64(row, "fixture_z_offset", &p.fixture_z_offset_m, name, err));
  VK_TRY(vk_json_get_f64(row, "object_z_offset", &p.object_z_offset_m, name, err));
  VK_TRY(vk_json_get_f64s(row, "zone_offset", 3, p.zone_offset_m, name, err));
  VK_TRY(vk_json_get_f64(row, "zone_half_height", &p.zone_half_height_m, name, err));
  VK_TRY(vk_json_get_bool(row, "shrink", &shrinks, name, err));
  p.shrink = shrinks;
  p.name = vk_pack_put_text(w->pack, name);
  p.zone_body = vk_pack_put_text(w->pack, body);
  p.arena_name = vk_pack_put_text(w->pack, arena);
  VK_TRY(put_arena(w, &p, row, name, err));
  VK_TRY(put_robot(w, &p, facts, row, name, err));
  vk_pack_put_problem(w->pack, &p, 1);
  return VK_OK;
}

vk_status vk_import_problems(const vk_mjcf_writer *w, const cJSON *facts, vk_err *err)
{
  const cJSON *list, *row;
  VK_TRY(vk_import_array_of_named(facts, "problems", &list, err));
  cJSON_ArrayForEach(row, list)
  {
    VK_TRY(put_problem(w, facts, row, err));
  }
  return VK_OK;
}

void vk_import_count_state(const vk_pack_builder *pack, uint32_t elem, uint32_t *nq, uint32_t *nv)
{
  const vk_pack_elem *e = &pack->elem[elem];
  if (e->tag == VK_MJCF_TAG_JOINT) {
    const char *type = "hinge";
    for (uint32_t i = 0; i < e->n_attr; i++)
      if (pack->attr[e->attr + i].key == VK_MJCF_KEY_TYPE)
        type = pack->text.str + pack->attr[e->attr + i].value;
    bool is_free = strcmp(type, "free") == 0, is_ball = strcmp(type, "ball") == 0;
    *nq += is_free ? 7 : is_ball ? 4 : 1;
    *nv += is_free ? 6 : is_ball ? 3 : 1;
  }
  for (uint32_t c = e->first_child; c != VK_PACK_NONE; c = pack->elem[c].next_sibling)
    vk_import_count_state(pack, c, nq, nv);
}
