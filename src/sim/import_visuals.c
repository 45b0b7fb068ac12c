#include "sim/import_visuals.h"

#include <math.h>
#include <mujoco/mujoco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "core/signal.h"
#include "sim/import_mjcf.h"
#include "sim/import_shape.h"
#include "sim/import_texture.h"
#include "sim/mesh_split.h"

/* Texels of a face of the sky, in whose gradient finer ones would be the same. */
enum { SKY_SIDE = 64 };

/* Meshes longer than this are stored in parts, where they have some. */
static const double part_side_m = 0.5;

/* Items by a text that says all that they depend on. */
typedef struct key_table {
  struct key_row {
    char *key;
    uint32_t item, n_item; /* the first, and how many follow each other */
  } * row;
  size_t n, room;
} key_table;

struct vk_import_visuals {
  const vk_source *source;
  vk_visuals_builder builder;
  key_table mesh, texture, material, missing;
};

/* What is read now. */
typedef struct reading {
  vk_import_visuals *v;
  const vk_xml *xml;
  int side_max; /* of textures */
  vk_err *err;
} reading;

/* Of a geom: its material with what the geom overrides, and how the texture is put on. */
typedef struct look_of {
  vk_visuals_material material;
  vk_texture_map map;
} look_of;

/* ---- tables --------------------------------------------------------------------------------- */

static const struct key_row *find_row(const key_table *t, const char *key)
{
  for (size_t i = 0; i < t->n; i++)
    if (strcmp(t->row[i].key, key) == 0)
      return &t->row[i];
  return NULL;
}

static bool find_key(const key_table *t, const char *key, uint32_t *item)
{
  const struct key_row *row = find_row(t, key);
  if (row)
    *item = row->item;
  return row != NULL;
}

static vk_status put_keys(key_table *t, const char *key, uint32_t item, uint32_t n_item,
                          vk_err *err)
{
  if (t->n == t->room) {
    size_t room = 2 * t->room + 64;
    void *p = realloc(t->row, room * sizeof *t->row);
    if (!p)
      return vk_fail(err, VK_E_NOMEM, "no memory to list visuals");
    t->row = p;
    t->room = room;
  }
  char *copy = strdup(key);
  if (!copy)
    return vk_fail(err, VK_E_NOMEM, "no memory to list visuals");
  t->row[t->n++] = (struct key_row){copy, item, n_item};
  return VK_OK;
}

static vk_status put_key(key_table *t, const char *key, uint32_t item, vk_err *err)
{
  return put_keys(t, key, item, 1, err);
}

static void free_table(key_table *t)
{
  for (size_t i = 0; i < t->n; i++)
    free(t->row[i].key);
  free(t->row);
}

vk_status vk_import_visuals_new(vk_import_visuals **out, const vk_source *source, vk_err *err)
{
  *out = calloc(1, sizeof **out);
  if (!*out)
    return vk_fail(err, VK_E_NOMEM, "no memory for visuals");
  (*out)->source = source;
  return VK_OK;
}

void vk_import_visuals_free(vk_import_visuals *v)
{
  if (!v)
    return;
  vk_visuals_builder_fini(&v->builder);
  free_table(&v->mesh);
  free_table(&v->texture);
  free_table(&v->material);
  free_table(&v->missing);
  free(v);
}

const vk_visuals_builder *vk_import_visuals_builder(const vk_import_visuals *v)
{
  return &v->builder;
}

const char *vk_import_visuals_missing(const vk_import_visuals *v, size_t i)
{
  return i < v->missing.n ? v->missing.row[i].key : NULL;
}

/* ---- attributes ----------------------------------------------------------------------------- */

/* Up to n numbers of an attribute; those not given keep their value. */
static vk_status get_numbers(const reading *r, const vk_xml_node *node, const char *key,
                             double *value, int n)
{
  const char *text = vk_xml_get(node, key);
  int n_given = text ? vk_mjcf_numbers(text, value, n) : 0;
  if (n_given < 0 || (text && n_given == 0))
    return vk_xml_fail(r->err, VK_E_FORMAT, r->xml, node, "%s=\"%.60s\", expected 1 to %d numbers",
                       key, text, n);
  return VK_OK;
}

/* The same, each in [lo, hi]. */
static vk_status get_numbers_in(const reading *r, const vk_xml_node *node, const char *key,
                                double *value, int n, double lo, double hi)
{
  VK_TRY(get_numbers(r, node, key, value, n));
  for (int k = 0; k < n && vk_xml_get(node, key); k++)
    if (!(value[k] >= lo && value[k] <= hi))
      return vk_xml_fail(r->err, VK_E_RANGE, r->xml, node, "%s=\"%.60s\", expected %g to %g", key,
                         vk_xml_get(node, key), lo, hi);
  return VK_OK;
}

static vk_status get_fraction(const reading *r, const vk_xml_node *node, const char *key,
                              float *value)
{
  double v = *value;
  VK_TRY(get_numbers_in(r, node, key, &v, 1, 0, 1));
  *value = (float)v;
  return VK_OK;
}

static vk_status get_rgba(const reading *r, const vk_xml_node *node, float rgba[4])
{
  double v[4] = {rgba[0], rgba[1], rgba[2], rgba[3]};
  VK_TRY(get_numbers(r, node, "rgba", v, 4));
  for (int k = 0; k < 4; k++) /* as OpenGL clamps colours */
    rgba[k] = (float)fmin(fmax(v[k], 0), 1);
  return VK_OK;
}

static bool is_word(const vk_xml_node *node, const char *key, const char *word, bool missing)
{
  const char *text = vk_xml_get(node, key);
  return text ? strcmp(text, word) == 0 : missing;
}

static vk_status get_pose(const reading *r, const vk_xml_node *node, double pos[3], double quat[4])
{
  static const char *const others[] = {"axisangle", "xyaxes", "zaxis", "fromto"};
  double euler[3] = {0};
  pos[0] = pos[1] = pos[2] = 0;
  quat[0] = 1;
  quat[1] = quat[2] = quat[3] = 0;
  for (size_t i = 0; i < VK_COUNT(others); i++)
    if (vk_xml_get(node, others[i]))
      return vk_xml_fail(r->err, VK_E_UNSUPPORTED, r->xml, node,
                         "a geom that is seen may be turned by quat or euler, not by %s",
                         others[i]);
  VK_TRY(get_numbers(r, node, "pos", pos, 3));
  VK_TRY(get_numbers(r, node, "quat", quat, 4));
  VK_TRY(get_numbers(r, node, "euler", euler, 3));
  for (int k = 0; k < 3; k++) { /* eulerseq xyz, each about the turned axes */
    double axis[3] = {k == 0, k == 1, k == 2}, turn[4], q[4];
    mju_axisAngle2Quat(turn, axis, euler[k]);
    mju_copy4(q, quat);
    mju_mulQuat(quat, q, turn);
  }
  mju_normalize4(quat);
  return VK_OK;
}

static const vk_xml_node *asset(const reading *r, const char *tag, const char *name)
{
  const vk_xml_node *assets = vk_xml_child(r->xml->root, "asset", NULL);
  return assets ? vk_xml_child(assets, tag, name) : NULL;
}

/* ---- files ---------------------------------------------------------------------------------- */

/* *bytes stays NULL when the file is not there, which is noted. */
static vk_status read_file(const reading *r, const char *end, void **bytes, size_t *n)
{
  uint32_t item;
  *bytes = NULL;
  if (vk_source_has(r->v->source, end))
    return vk_source_read(r->v->source, end, bytes, n, r->err);
  return find_key(&r->v->missing, end, &item) ? VK_OK : put_key(&r->v->missing, end, 0, r->err);
}

/* "assets/a/metal.png" -> "a/metal": what tells items of one file name apart. */
static void short_name(char *out, size_t n, const char *file)
{
  const char *slash = strrchr(file, '/'), *from = slash;
  while (from && from > file && from[-1] != '/')
    from--;
  snprintf(out, n, "%s", from ? from : file);
  char *dot = strrchr(out, '.');
  if (dot)
    *dot = '\0';
}

/* ---- textures and materials ----------------------------------------------------------------- */

static vk_status put_texture(const reading *r, const vk_xml_node *node, uint32_t *texture)
{
  const char *file = vk_xml_get(node, "file");
  bool is_2d = is_word(node, "type", "2d", false);
  if (!file || vk_xml_get(node, "hflip") || vk_xml_get(node, "vflip") ||
      vk_xml_get(node, "gridsize"))
    return vk_xml_fail(r->err, VK_E_UNSUPPORTED, r->xml, node,
                       "a texture of a visible geom must be one file, not turned or cut");
  char key[1100], hash[65], name[200];
  snprintf(key, sizeof key, "%s %d %.1000s", is_2d ? "2d" : "cube", r->side_max, file);
  *texture = VK_VISUALS_NONE;
  if (find_key(&r->v->texture, key, texture))
    return VK_OK;
  void *bytes;
  size_t n;
  VK_TRY(read_file(r, file, &bytes, &n));
  if (!bytes)
    return VK_OK;
  vk_sha256_hex(bytes, n, hash);
  char same[100];
  snprintf(same, sizeof same, "%s %d %s", is_2d ? "2d" : "cube", r->side_max, hash);
  short_name(name, sizeof name, file);
  vk_status st = VK_OK;
  if (!find_key(&r->v->texture, same, texture)) {
    st = vk_import_png(&r->v->builder, name, bytes, n, !is_2d, r->side_max, texture, r->err);
    if (st == VK_OK)
      st = put_key(&r->v->texture, same, *texture, r->err);
    else
      vk_err_prefix(r->err, "%s", file);
  }
  free(bytes);
  return st == VK_OK ? put_key(&r->v->texture, key, *texture, r->err) : st;
}

static vk_status read_material(const reading *r, const vk_xml_node *geom, const char *name,
                               look_of *look)
{
  const vk_xml_node *node = asset(r, "material", name);
  if (!node)
    return vk_xml_fail(r->err, VK_E_FORMAT, r->xml, geom, "there is no <material name=\"%.60s\">",
                       name);
  vk_visuals_material *m = &look->material;
  VK_TRY(get_rgba(r, node, m->rgba));
  VK_TRY(get_fraction(r, node, "emission", &m->emission));
  VK_TRY(get_fraction(r, node, "specular", &m->specular));
  VK_TRY(get_fraction(r, node, "shininess", &m->shininess));
  VK_TRY(get_fraction(r, node, "reflectance", &m->reflectance));
  VK_TRY(get_numbers(r, node, "texrepeat", look->map.repeat, 2));
  look->map.is_uniform = is_word(node, "texuniform", "true", false);
  const char *texture = vk_xml_get(node, "texture");
  if (!texture)
    return VK_OK;
  const vk_xml_node *t = asset(r, "texture", texture);
  if (!t)
    return vk_xml_fail(r->err, VK_E_FORMAT, r->xml, node, "there is no <texture name=\"%.60s\">",
                       texture);
  look->map.kind = is_word(t, "type", "2d", false) ? VK_MAP_2D : VK_MAP_CUBE;
  return put_texture(r, t, &m->texture);
}

/* Source: MuJoCo 2.3.7, setMaterial. */
static vk_status read_look(const reading *r, const vk_xml_node *geom, look_of *look)
{
  static const float unset[4] = {0.5f, 0.5f, 0.5f, 1};
  *look = (look_of){.material = {.texture = VK_VISUALS_NONE,
                                 .rgba = {1, 1, 1, 1},
                                 .specular = 0.5f,
                                 .shininess = 0.5f},
                    .map = {.repeat = {1, 1}}};
  const char *name = vk_xml_get(geom, "material"), *type = vk_xml_get(geom, "type");
  float rgba[4] = {0.5f, 0.5f, 0.5f, 1};
  if (name)
    VK_TRY(read_material(r, geom, name, look));
  VK_TRY(get_rgba(r, geom, rgba));
  if (!name || memcmp(rgba, unset, sizeof rgba) != 0)
    memcpy(look->material.rgba, rgba, sizeof rgba);
  if (!type || (strcmp(type, "box") != 0 && strcmp(type, "plane") != 0))
    look->material.reflectance = 0; /* which only flat geoms show */
  look->material.name = vk_visuals_put_text(&r->v->builder, name ? name : "");
  return VK_OK;
}

static vk_status put_material(const reading *r, const vk_visuals_material *m, uint32_t *index)
{
  char key[300];
  snprintf(key, sizeof key, "%u %a %a %a %a %a %a %a %a", m->texture, (double)m->rgba[0],
           (double)m->rgba[1], (double)m->rgba[2], (double)m->rgba[3], (double)m->emission,
           (double)m->specular, (double)m->shininess, (double)m->reflectance);
  if (find_key(&r->v->material, key, index))
    return VK_OK;
  *index = vk_visuals_put_material(&r->v->builder, m, 1);
  return put_key(&r->v->material, key, *index, r->err);
}

/* ---- meshes --------------------------------------------------------------------------------- */

static void map_text(char *out, size_t n, const vk_texture_map *map)
{
  if (map->kind == VK_MAP_NONE)
    snprintf(out, n, "none");
  else
    snprintf(out, n, "%s %g %g %d", map->kind == VK_MAP_2D ? "2d" : "cube", map->repeat[0],
             map->repeat[1], map->is_uniform);
}

/* Makes the coarser levels of a part and stores all. */
static vk_status store_part(const reading *r, vk_mesh *mesh, const char *name, int n_level_max,
                            uint32_t *index)
{
  vk_mesh level[VK_MESH_LEVELS_MAX] = {0};
  float error_m[VK_MESH_LEVELS_MAX];
  int n_level = 0;
  vk_status st = vk_mesh_make_levels(mesh, level, error_m, n_level_max, &n_level, r->err);
  if (st == VK_OK)
    *index = vk_visuals_put_levels(&r->v->builder, name, level, error_m, n_level);
  for (int i = 0; i < n_level; i++)
    vk_mesh_free(&level[i]);
  return st;
}

/* Welds it, cuts it up and stores the parts under a key. Flat shapes have one level only: they are
 * divided for the sake of light, which is computed at vertices. */
static vk_status store_mesh(const reading *r, vk_mesh *mesh, const char *name, const char *key,
                            int n_level_max)
{
  vk_mesh *part = NULL;
  uint32_t n_part = 0, first = 0, index;
  VK_TRY(vk_mesh_weld(mesh, r->err));
  if (mesh->n_triangle == 0)
    return vk_fail(r->err, VK_E_FORMAT, "%s: no triangle of the mesh has an area", name);
  if (n_level_max > 1)
    VK_TRY(vk_mesh_split(mesh, part_side_m, &part, &n_part, r->err));
  vk_status st = VK_OK;
  if (n_part == 0)
    st = store_part(r, mesh, name, n_level_max, &first);
  for (uint32_t i = 0; i < n_part; i++) {
    if (st == VK_OK)
      st = store_part(r, &part[i], name, n_level_max, i == 0 ? &first : &index);
    vk_mesh_free(&part[i]);
  }
  free(part);
  return st == VK_OK ? put_keys(&r->v->mesh, key, first, n_part ? n_part : 1, r->err) : st;
}

/* *row stays NULL when the file is not there. */
static vk_status put_file_mesh(const reading *r, const vk_xml_node *geom, const vk_texture_map *map,
                               const struct key_row **row)
{
  const char *word = vk_xml_get(geom, "mesh");
  const vk_xml_node *node = word ? asset(r, "mesh", word) : NULL;
  const char *file = node ? vk_xml_get(node, "file") : NULL;
  if (!file || vk_xml_get(node, "refpos") || vk_xml_get(node, "refquat") ||
      is_word(node, "smoothnormal", "true", false))
    return vk_xml_fail(r->err, VK_E_UNSUPPORTED, r->xml, geom,
                       "mesh %.60s: a visible mesh needs a file, and nothing but a scale",
                       word ? word : "(none)");
  double scale[3] = {1, 1, 1};
  VK_TRY(get_numbers(r, node, "scale", scale, 3));
  char key[1400], map_key[100], name[200];
  map_text(map_key, sizeof map_key, map);
  snprintf(key, sizeof key, "%.1000s %.17g %.17g %.17g %s", file, scale[0], scale[1], scale[2],
           map_key);
  if ((*row = find_row(&r->v->mesh, key)) != NULL)
    return VK_OK;
  void *bytes;
  size_t n;
  VK_TRY(read_file(r, file, &bytes, &n));
  if (!bytes)
    return VK_OK;
  vk_mesh mesh = {0};
  short_name(name, sizeof name, file);
  vk_status st = vk_import_mesh(&mesh, file, bytes, n, scale, map, r->err);
  free(bytes);
  if (st == VK_OK)
    st = store_mesh(r, &mesh, name, key, VK_MESH_LEVELS_MAX);
  vk_mesh_free(&mesh);
  *row = find_row(&r->v->mesh, key);
  return st;
}

static vk_status put_shape(const reading *r, const vk_xml_node *geom, const char *type,
                           const vk_texture_map *map, const struct key_row **row)
{
  double size[3] = {0};
  char key[300], map_key[100];
  VK_TRY(get_numbers(r, geom, "size", size, 3));
  map_text(map_key, sizeof map_key, map);
  snprintf(key, sizeof key, "%.40s %g %g %g %s", type, size[0], size[1], size[2], map_key);
  if ((*row = find_row(&r->v->mesh, key)) != NULL)
    return VK_OK;
  vk_mesh mesh = {0};
  vk_status st = vk_import_shape(&mesh, type, size, map, r->err);
  const bool is_flat = strcmp(type, "box") == 0 || strcmp(type, "plane") == 0;
  if (st == VK_OK)
    st = store_mesh(r, &mesh, type, key, is_flat ? 1 : VK_MESH_LEVELS_MAX);
  else
    vk_err_prefix(r->err, "%s line %d", r->xml->name, geom->line);
  vk_mesh_free(&mesh);
  *row = find_row(&r->v->mesh, key);
  return st;
}

/* ---- geoms ---------------------------------------------------------------------------------- */

static vk_status put_geom(const reading *r, const vk_xml_node *geom, const char *body,
                          uint32_t flags)
{
  const char *type = vk_xml_get(geom, "type");
  look_of look;
  double pos[3], quat[4];
  vk_visuals_geom g = {.flags = flags};
  const struct key_row *meshes;
  if (!body)
    return vk_xml_fail(r->err, VK_E_UNSUPPORTED, r->xml, geom,
                       "a visible geom in a body without a name");
  VK_TRY(read_look(r, geom, &look));
  if (look.material.rgba[3] == 0)
    return VK_OK;
  VK_TRY(get_pose(r, geom, pos, quat));
  if (type && strcmp(type, "mesh") == 0)
    VK_TRY(put_file_mesh(r, geom, &look.map, &meshes));
  else
    VK_TRY(put_shape(r, geom, type ? type : "sphere", &look.map, &meshes));
  VK_TRY(vk_signal_check(r->err));
  if (!meshes)
    return VK_OK; /* its file is missing */
  VK_TRY(put_material(r, &look.material, &g.material));
  g.body = vk_visuals_put_text(&r->v->builder, body);
  for (int k = 0; k < 3; k++)
    g.pos_m[k] = (float)pos[k];
  for (int k = 0; k < 4; k++)
    g.quat[k] = (float)quat[k];
  for (uint32_t i = 0; i < meshes->n_item; i++) {
    g.mesh = meshes->item + i;
    vk_visuals_put_geom(&r->v->builder, &g, 1);
  }
  return VK_OK;
}

/* Of the groups that the benchmark shows. */
static bool is_shown(const vk_xml_node *geom)
{
  double group = 0;
  const char *text = vk_xml_get(geom, "group");
  return text && vk_mjcf_numbers(text, &group, 1) == 1 && (group == 1 || group == 2);
}

/* All sites are hidden but for the stove's flame, which comes and goes. */
static bool is_flame(const vk_xml_node *site)
{
  return is_word(site, "name", "burner", false);
}

static vk_status put_geoms(const reading *r, const vk_xml_node *body, const char *name)
{
  for (const vk_xml_node *c = body->first; c; c = c->next)
    if (strcmp(c->tag, "body") == 0)
      VK_TRY(put_geoms(r, c, vk_xml_get(c, "name")));
    else if (strcmp(c->tag, "geom") == 0 && is_shown(c))
      VK_TRY(put_geom(r, c, name, 0));
    else if (strcmp(c->tag, "site") == 0 && is_flame(c))
      VK_TRY(put_geom(r, c, name, VK_VISUALS_FLAME));
  return VK_OK;
}

vk_status vk_import_visuals_model(vk_import_visuals *v, const vk_xml *xml, const vk_xml_node *body,
                                  const char *name, vk_err *err)
{
  const reading r = {v, xml, VK_IMPORT_CLASS_SIDE_MAX, err};
  vk_visuals_model model = {.geom = (uint32_t)v->builder.n_geom};
  VK_TRY(put_geoms(&r, body, vk_xml_get(body, "name")));
  model.name = vk_visuals_put_text(&v->builder, name);
  model.n_geom = (uint32_t)v->builder.n_geom - model.geom;
  vk_visuals_put_model(&v->builder, &model, 1);
  return VK_OK;
}

/* ---- looks ---------------------------------------------------------------------------------- */

static vk_status get_color(const reading *r, const vk_xml_node *node, const char *key, float *out,
                           double missing)
{
  double v[3] = {missing, missing, missing};
  VK_TRY(get_numbers_in(r, node, key, v, 3, 0, 10));
  for (int k = 0; k < 3; k++)
    out[k] = (float)v[k];
  return VK_OK;
}

/* Defaults are MuJoCo's. */
static vk_status put_light(const reading *r, const vk_xml_node *node)
{
  double pos[3] = {0}, dir[3] = {0, 0, -1}, attenuation[3] = {1, 0, 0}, cutoff = 45, exponent = 10;
  vk_visuals_light light = {.is_directional = is_word(node, "directional", "true", false)};
  if (is_word(node, "active", "false", false))
    return VK_OK;
  VK_TRY(get_numbers(r, node, "pos", pos, 3));
  VK_TRY(get_numbers(r, node, "dir", dir, 3));
  VK_TRY(get_numbers_in(r, node, "attenuation", attenuation, 3, 0, 1000));
  VK_TRY(get_numbers_in(r, node, "cutoff", &cutoff, 1, 0, 180));
  VK_TRY(get_numbers_in(r, node, "exponent", &exponent, 1, 0, 128));
  VK_TRY(get_color(r, node, "ambient", light.ambient, 0));
  VK_TRY(get_color(r, node, "diffuse", light.diffuse, 0.7));
  VK_TRY(get_color(r, node, "specular", light.specular, 0.3));
  mju_normalize3(dir);
  for (int k = 0; k < 3; k++) {
    light.pos_m[k] = (float)pos[k];
    light.dir[k] = (float)dir[k];
    light.attenuation[k] = (float)attenuation[k];
  }
  light.cutoff_deg = (float)cutoff;
  light.exponent = (float)exponent;
  vk_visuals_put_light(&r->v->builder, &light, 1);
  return VK_OK;
}

static vk_status put_sky(const reading *r, uint32_t *texture)
{
  const vk_xml_node *assets = vk_xml_child(r->xml->root, "asset", NULL);
  double rgb1[3] = {0.8, 0.8, 0.8}, rgb2[3] = {0.5, 0.5, 0.5}, width = 0;
  *texture = VK_VISUALS_NONE;
  const vk_xml_node *sky = assets ? assets->first : NULL;
  while (sky && !(strcmp(sky->tag, "texture") == 0 && is_word(sky, "type", "skybox", false)))
    sky = sky->next;
  if (!sky)
    return VK_OK;
  VK_TRY(get_numbers(r, sky, "rgb1", rgb1, 3));
  VK_TRY(get_numbers(r, sky, "rgb2", rgb2, 3));
  VK_TRY(get_numbers(r, sky, "width", &width, 1));
  if (!is_word(sky, "builtin", "gradient", false) || !(width >= 1 && width <= 4096))
    return vk_xml_fail(r->err, VK_E_UNSUPPORTED, r->xml, sky,
                       "a sky must be builtin=\"gradient\" of width 1 to 4096");
  char key[200];
  snprintf(key, sizeof key, "sky %g %g %g %g %g %g %g", width, rgb1[0], rgb1[1], rgb1[2], rgb2[0],
           rgb2[1], rgb2[2]);
  if (find_key(&r->v->texture, key, texture))
    return VK_OK;
  VK_TRY(vk_import_sky(&r->v->builder, "sky", rgb1, rgb2, SKY_SIDE, texture, r->err));
  return put_key(&r->v->texture, key, *texture, r->err);
}

/* MuJoCo's stat.extent of the scenes: the longest side of the box about the balls about all geoms.
 * The walls, boxes right below <worldbody>, are the outermost. */
static vk_status find_extent(const reading *r, const vk_xml_node *world, double *extent_m)
{
  double lo[3], hi[3];
  bool is_first = true;
  for (const vk_xml_node *c = world->first; c; c = c->next) {
    double pos[3] = {0}, size[3] = {0};
    if (strcmp(c->tag, "geom") != 0 || !is_word(c, "type", "box", false))
      continue;
    VK_TRY(get_numbers(r, c, "pos", pos, 3));
    VK_TRY(get_numbers(r, c, "size", size, 3));
    double radius = mju_norm3(size);
    for (int k = 0; k < 3; k++) {
      lo[k] = is_first ? pos[k] - radius : fmin(lo[k], pos[k] - radius);
      hi[k] = is_first ? pos[k] + radius : fmax(hi[k], pos[k] + radius);
    }
    is_first = false;
  }
  *extent_m = 1;
  for (int k = 0; k < 3 && !is_first; k++)
    *extent_m = k == 0 ? hi[k] - lo[k] : fmax(*extent_m, hi[k] - lo[k]);
  return VK_OK;
}

vk_status vk_import_visuals_arena(vk_import_visuals *v, const vk_xml *xml, const vk_xml_node *world,
                                  const char *name, vk_err *err)
{
  const reading r = {v, xml, VK_IMPORT_ARENA_SIDE_MAX, err};
  /* head light and zfar are MuJoCo's defaults, znear is what the benchmark's base scene sets */
  vk_visuals_look look = {.geom = (uint32_t)v->builder.n_geom,
                          .light = (uint32_t)v->builder.n_light,
                          .headlight_ambient = {0.1f, 0.1f, 0.1f},
                          .headlight_diffuse = {0.4f, 0.4f, 0.4f},
                          .headlight_specular = {0.5f, 0.5f, 0.5f}};
  double extent_m;
  VK_TRY(put_sky(&r, &look.sky));
  VK_TRY(find_extent(&r, world, &extent_m));
  look.znear_m = (float)(0.001 * extent_m);
  look.zfar_m = (float)(50 * extent_m);
  VK_TRY(put_geoms(&r, world, "world"));
  for (const vk_xml_node *c = world->first; c; c = c->next)
    if (strcmp(c->tag, "light") == 0)
      VK_TRY(put_light(&r, c));
  look.name = vk_visuals_put_text(&v->builder, name);
  look.n_geom = (uint32_t)v->builder.n_geom - look.geom;
  look.n_light = (uint32_t)v->builder.n_light - look.light;
  if (look.n_light > VK_LIGHTS_MAX)
    return vk_fail(err, VK_E_RANGE, "%s: %u lights, at most %d are drawn", xml->name, look.n_light,
                   VK_LIGHTS_MAX);
  vk_visuals_put_look(&v->builder, &look, 1);
  return VK_OK;
}

vk_status vk_import_visuals_body(vk_import_visuals *v, const vk_xml *xml, const vk_xml_node *body,
                                 vk_err *err)
{
  const reading r = {v, xml, VK_IMPORT_ARENA_SIDE_MAX, err};
  vk_visuals_builder *b = &v->builder;
  if (b->failed || b->n_look == 0)
    return VK_OK;
  VK_TRY(put_geoms(&r, body, vk_xml_get(body, "name")));
  b->look[b->n_look - 1].n_geom = (uint32_t)b->n_geom - b->look[b->n_look - 1].geom;
  return VK_OK;
}
