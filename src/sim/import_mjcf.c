#include "sim/import_mjcf.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/hull_frame.h"
#include "sim/import_stl.h"
#include "sim/mjcf.h"
#include "sim/pack_check.h"

/* ---- reading -------------------------------------------------------------------------------- */

/* robosuite knows classes directly below <default>; nested and unnamed ones have no effect there.
 */
static vk_status inline_class(vk_xml *xml, vk_xml_node *node, const vk_xml_node *defaults,
                              vk_err *err)
{
  const char *name = vk_xml_get(node, "class");
  if (!name)
    return VK_OK;
  const vk_xml_node *cls = defaults ? defaults->first : NULL;
  while (cls && !(vk_xml_get(cls, "class") && strcmp(vk_xml_get(cls, "class"), name) == 0))
    cls = cls->next;
  if (!cls)
    return vk_xml_fail(err, VK_E_FORMAT, xml, node, "there is no <default class=\"%.60s\">", name);
  const vk_xml_node *from = vk_xml_child(cls, node->tag, NULL);
  for (int i = 0; from && i < from->n_attr; i++)
    if (!vk_xml_get(node, from->attr[i].key))
      VK_TRY(vk_xml_set(xml, node, from->attr[i].key, from->attr[i].value, err));
  vk_xml_unset(node, "class");
  return VK_OK;
}

/* Takes "./" and "FOLDER/../" out of a path, which wheels do not know. */
static void simplify_path(char *path)
{
  char *to = path;
  for (char *from = path; *from;) {
    size_t n = strcspn(from, "/");
    size_t n_slash = from[n] == '/';
    char *last = to; /* where the folder before begins */
    while (last > path && !(last < to && last[-1] == '/'))
      last--;
    if (n == 2 && strncmp(from, "..", 2) == 0 && last < to && strncmp(last, "../", 3) != 0) {
      to = last;
    } else if (!(n == 1 && from[0] == '.')) {
      memmove(to, from, n + n_slash);
      to += n + n_slash;
    }
    from += n + n_slash;
  }
  *to = '\0';
}

static vk_status resolve_files(vk_xml *xml, const char *end, vk_err *err)
{
  vk_xml_node *asset = vk_xml_child(xml->root, "asset", NULL);
  const char *slash = strrchr(end, '/');
  int n_folder = slash ? (int)(slash - end) + 1 : 0;
  for (vk_xml_node *m = asset ? asset->first : NULL; m; m = m->next) {
    const char *file = vk_xml_get(m, "file");
    char path[1024];
    if ((strcmp(m->tag, "mesh") != 0 && strcmp(m->tag, "texture") != 0) || !file)
      continue;
    snprintf(path, sizeof path, "%.*s%s", n_folder, end, file);
    simplify_path(path);
    VK_TRY(vk_xml_set(xml, m, "file", path, err));
  }
  return VK_OK;
}

/* Files are put together under one <compiler>, which is not their own. */
static vk_status check_compiler(const vk_xml *xml, vk_err *err)
{
  static const char *const needed[][2] = {
      {"angle", "radian"}, {"eulerseq", "xyz"}, {"coordinate", "local"}};
  for (const vk_xml_node *c = xml->root->first; c; c = c->next)
    for (size_t i = 0; i < VK_COUNT(needed) && strcmp(c->tag, "compiler") == 0; i++) {
      const char *value = vk_xml_get(c, needed[i][0]);
      if (value && strcmp(value, needed[i][1]) != 0)
        return vk_xml_fail(err, VK_E_UNSUPPORTED, xml, c,
                           "%s=\"%.60s\", expected \"%s\" as all files have it: convert its poses",
                           needed[i][0], value, needed[i][1]);
    }
  return VK_OK;
}

vk_status vk_mjcf_parse(const void *bytes, size_t n, const char *end, vk_xml **out, vk_err *err)
{
  vk_xml *xml;
  VK_TRY(vk_xml_parse(&xml, bytes, n, end, err));
  vk_status st = VK_OK;
  if (strcmp(xml->root->tag, "mujoco") != 0)
    st = vk_xml_fail(err, VK_E_FORMAT, xml, xml->root, "no MJCF: expected <mujoco>");
  else
    st = check_compiler(xml, err);
  vk_xml_node *defaults = vk_xml_child(xml->root, "default", NULL);
  if (defaults)
    vk_xml_move(defaults, NULL);
  for (vk_xml_node *c = xml->root; st == VK_OK && c; c = vk_xml_walk(xml->root, c))
    st = inline_class(xml, c, defaults, err);
  if (st == VK_OK)
    st = resolve_files(xml, end, err);
  if (st != VK_OK) {
    vk_xml_free(xml);
    return st;
  }
  *out = xml;
  return VK_OK;
}

vk_status vk_mjcf_read(const vk_source *source, const char *end, vk_xml **out, vk_err *err)
{
  void *bytes;
  size_t n;
  VK_TRY(vk_source_read(source, end, &bytes, &n, err));
  vk_status st = vk_mjcf_parse(bytes, n, end, out, err);
  free(bytes);
  return st;
}

/* ---- numbers -------------------------------------------------------------------------------- */

int vk_mjcf_numbers(const char *text, double *value, int n_max)
{
  int n = 0;
  for (;;) {
    while (isspace((unsigned char)*text))
      text++;
    if (*text == '\0')
      return n;
    size_t length = strspn(text, "0123456789+-.eE");
    char *end;
    double v = strtod(text, &end);
    if (n == n_max || length == 0 || end != text + length || !isfinite(v))
      return -1;
    value[n++] = v;
    text = end;
  }
}

vk_status vk_mjcf_get(const vk_xml *xml, const vk_xml_node *node, const char *key, double *value,
                      int n, vk_err *err)
{
  const char *text = vk_xml_get(node, key);
  if (text && vk_mjcf_numbers(text, value, n) == n)
    return VK_OK;
  return vk_xml_fail(err, VK_E_FORMAT, xml, node, "%s=\"%.60s\", expected %d numbers", key,
                     text ? text : "", n);
}

vk_status vk_mjcf_set(vk_xml *xml, vk_xml_node *node, const char *key, const double *value, int n,
                      vk_err *err)
{
  char text[VK_PACK_NUMBER_MAX * 26];
  size_t at = 0;
  VK_ASSERT(n >= 1 && n <= VK_PACK_NUMBER_MAX);
  for (int i = 0; i < n; i++)
    at += (size_t)snprintf(text + at, sizeof text - at, "%s%.17g", i ? " " : "", value[i]);
  return vk_xml_set(xml, node, key, text, err);
}

/* ---- changes -------------------------------------------------------------------------------- */

vk_status vk_mjcf_prefix(vk_xml *xml, vk_xml_node *top, const char *prefix, bool meshes_only,
                         vk_err *err)
{
  static const char *const keys[] = {"mesh",  "name", "joint",    "body1",
                                     "body2", "site", "material", "texture"};
  for (vk_xml_node *node = top; node; node = vk_xml_walk(top, node))
    for (size_t k = 0; k < VK_COUNT(keys); k++) {
      const char *old = vk_xml_get(node, keys[k]);
      char text[300];
      if (!old || (meshes_only && k > 0 && !(k == 1 && strcmp(node->tag, "mesh") == 0)))
        continue;
      if ((size_t)snprintf(text, sizeof text, "%s%s", prefix, old) >= sizeof text)
        return vk_xml_fail(err, VK_E_FORMAT, xml, node, "a name of %zu bytes", strlen(old));
      VK_TRY(vk_xml_set(xml, node, keys[k], text, err));
    }
  return VK_OK;
}

static vk_status name_geoms(vk_xml *xml, vk_xml_node *body, vk_err *err)
{
  int i_geom = 0;
  for (vk_xml_node *node = body, *next; node; node = next) {
    next = vk_xml_walk(body, node);
    if (strcmp(node->tag, "geom") != 0)
      continue;
    double group;
    char name[16];
    snprintf(name, sizeof name, "g%d", i_geom++);
    VK_TRY(vk_mjcf_get(xml, node, "group", &group, 1, err));
    if (group != 0 && group != 1)
      vk_xml_move(node, NULL);
    else if (!vk_xml_get(node, "name"))
      VK_TRY(vk_xml_set(xml, node, "name", name, err));
  }
  return VK_OK;
}

static vk_status add_node(vk_xml *xml, vk_xml_node *body, const char *tag,
                          const char *const (*attr)[2], int n_attr, vk_err *err)
{
  vk_xml_node *node;
  VK_TRY(vk_xml_add(xml, body, tag, &node, err));
  for (int i = 0; i < n_attr; i++)
    VK_TRY(vk_xml_set(xml, node, attr[i][0], attr[i][1], err));
  return VK_OK;
}

vk_status vk_mjcf_take_object(vk_xml *xml, const char *class_name, bool is_movable,
                              vk_xml_node **body, double size[4], vk_err *err)
{
  static const char *const joint[][2] = {
      {"name", "joint0"}, {"type", "free"}, {"damping", "0.0005"}};
  static const char *const site[][2] = {
      {"name", "default_site"}, {"pos", "0 0 0"},   {"size", "0.002 0.002 0.002"},
      {"rgba", "1 0 0 0"},      {"type", "sphere"}, {"group", "0"}};
  vk_xml_node *world = vk_xml_child(xml->root, "worldbody", NULL);
  vk_xml_node *outer = world ? vk_xml_child(world, "body", NULL) : NULL;
  *body = outer ? vk_xml_child(outer, "body", "object") : NULL;
  if (!*body)
    return vk_xml_fail(err, VK_E_FORMAT, xml, xml->root,
                       "there is no <worldbody><body><body name=\"object\">");
  const char *const site_name[3] = {"horizontal_radius_site", "bottom_site", "top_site"};
  double pos[3][3];
  for (int i = 0; i < 3; i++) {
    const vk_xml_node *s = vk_xml_child(outer, "site", site_name[i]);
    if (!s)
      return vk_xml_fail(err, VK_E_FORMAT, xml, outer, "there is no <site name=\"%s\">",
                         site_name[i]);
    VK_TRY(vk_mjcf_get(xml, s, "pos", pos[i], 3, err));
  }
  size[0] = pos[0][0];
  size[1] = pos[0][1];
  size[2] = pos[1][2];
  size[3] = pos[2][2];
  VK_TRY(vk_xml_set(xml, *body, "name", "main", err));
  VK_TRY(name_geoms(xml, *body, err));
  if (is_movable)
    VK_TRY(add_node(xml, *body, "joint", joint, VK_COUNT(joint), err));
  VK_TRY(add_node(xml, *body, "site", site, VK_COUNT(site), err));
  char prefix[VK_PACK_NAME_MAX + 2];
  snprintf(prefix, sizeof prefix, "%s_", class_name);
  return vk_mjcf_prefix(xml, xml->root, prefix, true, err);
}

/* ---- storing -------------------------------------------------------------------------------- */

static bool is_number(const vk_xml_node *node, const char *key, double number, double missing)
{
  const char *text = vk_xml_get(node, key);
  double v = missing;
  return (!text || vk_mjcf_numbers(text, &v, 1) == 1) && v == number;
}

/* Neither collides nor carries mass: inertiagrouprange="0 0" gives mass to group 0 alone. */
static bool is_visual(const vk_xml_node *node)
{
  return strcmp(node->tag, "geom") == 0 && !is_number(node, "group", 0, 0) &&
         is_number(node, "contype", 0, 1) && is_number(node, "conaffinity", 0, 1);
}

static bool is_dropped(const vk_xml_node *node, const char *key)
{
  return strcmp(key, "material") == 0 ||
         (strcmp(node->tag, "geom") == 0 && strcmp(key, "rgba") == 0);
}

/* Keeps what MuJoCo makes of the whole mesh, of which `hull` holds the hull. */
static vk_status put_hull_frame(vk_pack_builder *p, const vk_stl *hull, const void *bytes, size_t n,
                                vk_err *err)
{
  size_t n_vertex = 3 * (size_t)hull->n_triangle;
  float *framed = malloc(3 * n_vertex * sizeof *framed);
  if (!framed)
    return vk_fail(err, VK_E_NOMEM, "no memory for a convex hull");
  vk_pack_hull_frame frame = {0};
  vk_status st = vk_hull_frame_take(&frame, framed, hull->vertex, n_vertex, bytes, n, err);
  if (st == VK_OK) {
    frame.first = vk_pack_put_f32(p, framed, 3 * n_vertex);
    vk_pack_put_hull_frame(p, &frame, 1);
  }
  free(framed);
  return st;
}

static vk_status put_stl(vk_pack_builder *p, const char *name, const void *bytes, size_t n,
                         const char *file, vk_err *err)
{
  vk_stl stl = {0};
  bool is_hull = false;
  vk_status st = vk_stl_parse(&stl, bytes, n, file, err);
  if (st == VK_OK)
    st = vk_stl_reduce_to_hull(&stl, &is_hull, file, err);
  if (st == VK_OK) {
    vk_pack_mesh item = {.n_triangle = stl.n_triangle, .hull_frame = VK_PACK_NONE};
    item.name = vk_pack_put_text(p, name);
    item.first = vk_pack_put_f32(p, stl.vertex, 9 * (size_t)stl.n_triangle);
    if (is_hull) {
      item.hull_frame = (uint32_t)p->n_hull_frame;
      st = put_hull_frame(p, &stl, bytes, n, err);
      if (st != VK_OK)
        vk_err_prefix(err, "%s", file);
    }
    vk_pack_put_mesh(p, &item, 1);
  }
  vk_stl_free(&stl);
  return st;
}

/* Reads the mesh unless the pack has it. */
static vk_status put_mesh(const vk_mjcf_writer *w, const vk_xml *xml, const vk_xml_node *node,
                          const char *name, vk_err *err)
{
  vk_pack_builder *p = w->pack;
  for (size_t i = 0; i < p->n_mesh; i++)
    if (strcmp(p->text.str + p->mesh[i].name, name) == 0)
      return VK_OK;
  const vk_xml_node *asset = vk_xml_child(xml->root, "asset", NULL);
  const vk_xml_node *mesh = asset ? vk_xml_child(asset, "mesh", name) : NULL;
  const char *file = mesh ? vk_xml_get(mesh, "file") : NULL;
  if (!file || vk_xml_get(mesh, "scale"))
    return vk_xml_fail(err, VK_E_UNSUPPORTED, xml, node,
                       "mesh %.60s: a colliding mesh needs a file and no scale", name);
  void *bytes = NULL;
  size_t n = 0;
  VK_TRY(vk_source_read(w->source, file, &bytes, &n, err));
  vk_status st = put_stl(p, name, bytes, n, file, err);
  free(bytes);
  return st;
}

/* A hull stands for its mesh in the geom's own frame (sim/hull_frame.h): a pose would be lost. */
static vk_status check_hull_pose(const vk_pack_builder *p, const vk_xml *xml,
                                 const vk_xml_node *node, vk_err *err)
{
  static const char *const keys[] = {"pos", "quat", "euler", "axisangle", "xyaxes", "zaxis"};
  const char *mesh = vk_xml_get(node, "mesh");
  bool is_hull = false, has_pose = false;
  for (size_t i = 0; mesh && !p->failed && i < p->n_mesh; i++)
    if (strcmp(p->text.str + p->mesh[i].name, mesh) == 0)
      is_hull = p->mesh[i].hull_frame != VK_PACK_NONE;
  for (size_t k = 0; k < VK_COUNT(keys); k++)
    has_pose = has_pose || vk_xml_get(node, keys[k]);
  if (is_hull && has_pose)
    return vk_xml_fail(err, VK_E_UNSUPPORTED, xml, node,
                       "mesh %.60s is not convex: its geom must have no pose of its own", mesh);
  return VK_OK;
}

static vk_status put_attr(const vk_mjcf_writer *w, const vk_xml *xml, const vk_xml_node *node,
                          const vk_xml_attr *attr, vk_err *err)
{
  double number[VK_PACK_NUMBER_MAX];
  int key = vk_mjcf_find_key(attr->key);
  if (key < 0)
    return vk_xml_fail(err, VK_E_UNSUPPORTED, xml, node, "attribute %.40s=\"%.40s\" is not known",
                       attr->key, attr->value);
  vk_pack_attr a = {.key = (uint16_t)key};
  if (vk_mjcf_key_text[key] != 0) {
    if (!vk_pack_is_name(attr->value))
      return vk_xml_fail(err, VK_E_FORMAT, xml, node,
                         "%s=\"%.40s\" is no name (letters, digits, \"_.-\")", attr->key,
                         attr->value);
    a.value = vk_pack_put_text(w->pack, attr->value);
    if (key == VK_MJCF_KEY_MESH)
      VK_TRY(put_mesh(w, xml, node, attr->value, err));
  } else {
    int n = vk_mjcf_numbers(attr->value, number, VK_PACK_NUMBER_MAX);
    if (n < 1)
      return vk_xml_fail(err, VK_E_FORMAT, xml, node, "%s=\"%.40s\", expected 1 to %d numbers",
                         attr->key, attr->value, VK_PACK_NUMBER_MAX);
    a.n = (uint16_t)n;
    a.value = vk_pack_put_num(w->pack, number, (size_t)n);
  }
  vk_pack_put_attr(w->pack, &a, 1);
  return VK_OK;
}

static vk_status put_list(const vk_mjcf_writer *w, const vk_xml *xml, const vk_xml_node *parent,
                          uint32_t i_parent, vk_err *err)
{
  uint32_t last = VK_PACK_NONE;
  for (const vk_xml_node *c = parent->first; c; c = c->next) {
    if (is_visual(c))
      continue;
    uint32_t i;
    VK_TRY(vk_mjcf_put(w, xml, c, &i, err));
    if (w->pack->failed)
      return VK_OK; /* vk_pack_build says so */
    if (last == VK_PACK_NONE)
      w->pack->elem[i_parent].first_child = i;
    else
      w->pack->elem[last].next_sibling = i;
    last = i;
  }
  return VK_OK;
}

vk_status vk_mjcf_put(const vk_mjcf_writer *w, const vk_xml *xml, const vk_xml_node *node,
                      uint32_t *elem, vk_err *err)
{
  int tag = vk_mjcf_find_tag(node->tag);
  if (tag <= VK_MJCF_TAG_ROOT || (node->first && tag != VK_MJCF_TAG_BODY))
    return vk_xml_fail(err, VK_E_UNSUPPORTED, xml, node,
                       "this element is not known, or should have no children");
  vk_pack_elem e = {.tag = (uint16_t)tag,
                    .attr = (uint32_t)w->pack->n_attr,
                    .first_child = VK_PACK_NONE,
                    .next_sibling = VK_PACK_NONE};
  for (int i = 0; i < node->n_attr; i++)
    if (!is_dropped(node, node->attr[i].key)) {
      VK_TRY(put_attr(w, xml, node, &node->attr[i], err));
      e.n_attr++;
    }
  VK_TRY(check_hull_pose(w->pack, xml, node, err));
  *elem = vk_pack_put_elem(w->pack, &e, 1);
  return put_list(w, xml, node, *elem, err);
}

vk_status vk_mjcf_put_children(const vk_mjcf_writer *w, const vk_xml *xml, const vk_xml_node *node,
                               uint32_t *elem, vk_err *err)
{
  vk_pack_elem e = {
      .tag = VK_MJCF_TAG_ROOT, .first_child = VK_PACK_NONE, .next_sibling = VK_PACK_NONE};
  *elem = vk_pack_put_elem(w->pack, &e, 1);
  return node ? put_list(w, xml, node, *elem, err) : VK_OK;
}
