#include "sim/standin.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/mjcf.h"
#include "sim/standin_internal.h"
#include "sim/visuals_write.h"

enum {
  DATA_BYTES_MAX = 1 << 20,
  DATA_VERSION = 1,
  GROUPS_MAX = 128,
  GEOMS_MAX = 200,
  KNOWN_MAX = 512
};

/* What is drawn with one material on one body: one mesh. */
typedef struct group {
  const char *body;
  uint32_t material, flags;
  vk_standin_solid solid;
} group;

/* Equal meshes (of the robot in every look, of like classes) are stored once. */
typedef struct known_mesh {
  uint64_t hash;
  uint32_t n, mesh; /* triangles of all levels; index */
} known_mesh;

typedef struct maker {
  const vk_pack *pack;
  const cJSON *root, *textures, *materials, *classes, *looks;
  vk_standin_source source;
  vk_visuals_builder b;
  known_mesh known[KNOWN_MAX]; /* meshes that were put */
  int n_known;
  uint32_t fallback;        /* first of N_FALLBACK materials */
  group groups[GROUPS_MAX]; /* of the model or look in hand */
  int n_group;
  vk_err *err;
} maker;

/* Colours for what the data file does not describe. */
enum { N_FALLBACK = 6 };
static const float fallback_rgb[N_FALLBACK][3] = {{0.85f, 0.55f, 0.2f},  {0.3f, 0.55f, 0.75f},
                                                  {0.45f, 0.65f, 0.35f}, {0.7f, 0.4f, 0.55f},
                                                  {0.8f, 0.75f, 0.4f},   {0.55f, 0.5f, 0.7f}};

/* ---- textures and materials ----------------------------------------------------------------- */

static vk_status put_textures(maker *m)
{
  const cJSON *c;
  cJSON_ArrayForEach(c, m->textures)
  {
    char what[VK_STANDIN_WHAT];
    vk_image image = {0};
    snprintf(what, sizeof what, "textures.%s", c->string);
    const vk_status st = vk_standin_draw(&image, c, what, m->err);
    if (st == VK_OK)
      vk_visuals_put_picture(&m->b, c->string, &image, 256);
    vk_image_free(&image);
    VK_TRY(st);
  }
  return VK_OK;
}

static vk_status read_material(maker *m, const cJSON *o, vk_visuals_material *out, const char *what)
{
  static const char *const keys[] = {"rgb", "texture", "specular", "shininess", "emission", NULL};
  double rgb[3] = {1, 1, 1}, specular = 0.5, shininess = 0.5, emission = 0;
  const cJSON *found;
  VK_TRY(vk_json_check_keys(o, keys, what, m->err));
  VK_TRY(vk_standin_numbers(o, "rgb", 3, 0, 1, rgb, what, m->err));
  VK_TRY(vk_standin_number(o, "specular", 0, 1, &specular, what, m->err));
  VK_TRY(vk_standin_number(o, "shininess", 0, 1, &shininess, what, m->err));
  VK_TRY(vk_standin_number(o, "emission", 0, 1, &emission, what, m->err));
  *out = (vk_visuals_material){.name = vk_visuals_put_text(&m->b, o->string),
                               .texture = VK_VISUALS_NONE,
                               .rgba = {(float)rgb[0], (float)rgb[1], (float)rgb[2], 1},
                               .specular = (float)specular,
                               .shininess = (float)shininess,
                               .emission = (float)emission};
  if (!vk_standin_member(o, "texture"))
    return VK_OK;
  const char *name = NULL;
  VK_TRY(vk_json_get_str(o, "texture", &name, what, m->err));
  return vk_standin_find(m->textures, name, &found, &out->texture, what, m->err);
}

static vk_status put_materials(maker *m)
{
  const cJSON *c;
  cJSON_ArrayForEach(c, m->materials)
  {
    char what[VK_STANDIN_WHAT];
    vk_visuals_material material;
    snprintf(what, sizeof what, "materials.%s", c->string);
    VK_TRY(read_material(m, c, &material, what));
    vk_visuals_put_material(&m->b, &material, 1);
  }
  m->fallback = (uint32_t)m->b.n_material;
  for (int i = 0; i < N_FALLBACK; i++) {
    vk_visuals_material material = {.name = vk_visuals_put_text(&m->b, "plain"),
                                    .texture = VK_VISUALS_NONE,
                                    .rgba = {0, 0, 0, 1},
                                    .specular = 0.3f,
                                    .shininess = 0.4f};
    memcpy(material.rgba, fallback_rgb[i], sizeof fallback_rgb[i]);
    vk_visuals_put_material(&m->b, &material, 1);
  }
  return VK_OK;
}

/* ---- bodies of a scene pack ----------------------------------------------------------------- */

/* The body of that name in a tree or below it, or VK_PACK_NONE. */
static uint32_t find_body(const vk_pack *pack, uint32_t elem, const char *name)
{
  const char *own = vk_standin_elem_text(pack, elem, VK_MJCF_KEY_NAME);
  if (pack->elem[elem].tag == VK_MJCF_TAG_BODY && own && strcmp(own, name) == 0)
    return elem;
  for (uint32_t i = pack->elem[elem].first_child; i != VK_PACK_NONE;
       i = pack->elem[i].next_sibling) {
    const uint32_t found =
        pack->elem[i].tag == VK_MJCF_TAG_BODY ? find_body(pack, i, name) : VK_PACK_NONE;
    if (found != VK_PACK_NONE)
      return found;
  }
  return VK_PACK_NONE;
}

/* The same in the trees of a model or look: `world` is the arena's root. */
static uint32_t find_in(const vk_pack *pack, const uint32_t tree[2], const char *name, bool *found)
{
  *found = true;
  for (int i = 0; i < 2; i++) {
    const uint32_t elem = tree[i] == VK_PACK_NONE ? VK_PACK_NONE : find_body(pack, tree[i], name);
    if (elem != VK_PACK_NONE)
      return elem;
  }
  if (tree[1] != VK_PACK_NONE && strcmp(name, "world") == 0)
    return tree[0];
  *found = false;
  return VK_PACK_NONE;
}

/* ---- groups --------------------------------------------------------------------------------- */

static void drop_groups(maker *m)
{
  for (int i = 0; i < m->n_group; i++)
    vk_standin_solid_free(&m->groups[i].solid);
  m->n_group = 0;
}

static vk_status find_group(maker *m, const char *body, uint32_t material, uint32_t flags,
                            group **out, const char *what)
{
  for (int i = 0; i < m->n_group; i++) {
    group *g = &m->groups[i];
    if (strcmp(g->body, body) == 0 && g->material == material && g->flags == flags) {
      *out = g;
      return VK_OK;
    }
  }
  if (m->n_group == GROUPS_MAX)
    return vk_fail(m->err, VK_E_RANGE, "%s: more than %d bodies and materials", what, GROUPS_MAX);
  *out = &m->groups[m->n_group++];
  **out = (group){.body = body, .material = material, .flags = flags};
  return VK_OK;
}

static uint64_t hash_bytes(uint64_t h, const void *bytes, size_t n)
{
  const uint32_t *word = bytes;
  for (size_t i = 0; i < n / sizeof *word; i++)
    h = (h ^ word[i]) * 0x100000001b3u;
  return h;
}

/* Puts a mesh, or finds the equal one that was put before. */
static uint32_t put_mesh(maker *m, const char *name, const vk_mesh *level, const float *error_m,
                         int n_level)
{
  known_mesh mesh = {.hash = 0xcbf29ce484222325u};
  for (int k = 0; k < n_level; k++) {
    mesh.n += level[k].n_triangle;
    mesh.hash = hash_bytes(mesh.hash, level[k].vertex, level[k].n_vertex * sizeof(vk_vertex));
    mesh.hash = hash_bytes(mesh.hash, level[k].index, level[k].n_triangle * 3 * sizeof(uint32_t));
    mesh.hash = hash_bytes(mesh.hash, &error_m[k], sizeof error_m[k]);
  }
  for (int i = 0; i < m->n_known; i++)
    if (m->known[i].hash == mesh.hash && m->known[i].n == mesh.n)
      return m->known[i].mesh;
  mesh.mesh = vk_visuals_put_levels(&m->b, name, level, error_m, n_level);
  if (m->n_known < KNOWN_MAX)
    m->known[m->n_known++] = mesh;
  return mesh.mesh;
}

/* Levels that have no fewer triangles than the one before are left out. */
static void put_groups(maker *m, const char *name, uint32_t *first, uint32_t *n)
{
  vk_visuals_geom geoms[GROUPS_MAX];
  *n = 0;
  for (int i = 0; i < m->n_group; i++) {
    const group *g = &m->groups[i];
    vk_mesh level[VK_STANDIN_LEVELS];
    float error_m[VK_STANDIN_LEVELS];
    int n_level = 0;
    for (int k = 0; k < VK_STANDIN_LEVELS; k++) {
      const vk_mesh *mesh = &g->solid.level[k];
      if (mesh->n_triangle == 0 ||
          (n_level > 0 && mesh->n_triangle >= level[n_level - 1].n_triangle))
        continue;
      level[n_level] = *mesh;
      error_m[n_level++] = k ? g->solid.error_m[k] : 0;
    }
    if (n_level == 0)
      continue;
    geoms[(*n)++] = (vk_visuals_geom){
        .body = vk_visuals_put_text(&m->b, g->body),
        .mesh = put_mesh(m, name, level, error_m, n_level),
        .material = g->material,
        .flags = g->flags,
        .quat = {1, 0, 0, 0},
    };
  }
  *first = vk_visuals_put_geom(&m->b, geoms, *n);
  drop_groups(m);
}

/* ---- entries -------------------------------------------------------------------------------- */

/* A list of shapes being put: where its bodies are, and what a "like" replaces. */
typedef struct listing {
  uint32_t tree[2]; /* in pack->elem: a class's body, or a problem's world and robot */
  const cJSON *swap, *bodies;
  bool is_optional; /* shapes for bodies that are not there are left out */
} listing;

static const char *swapped(const cJSON *table, const char *name)
{
  const cJSON *c = vk_standin_member(table, name);
  return cJSON_IsString(c) ? c->valuestring : name;
}

/* "at": [x, y, z] and "turn": ["x", degrees, ...]: turned first, in that order. */
static vk_status read_place(maker *m, const cJSON *o, vk_standin_place *place, const char *what)
{
  const cJSON *turn = vk_standin_member(o, "turn");
  *place = vk_standin_here;
  if (turn && (!cJSON_IsArray(turn) || cJSON_GetArraySize(turn) % 2))
    return vk_fail(m->err, VK_E_FORMAT, "%s: \"turn\" must be axes and degrees in brackets", what);
  for (const cJSON *c = turn ? turn->child : NULL; c; c = c->next->next) {
    const bool is_axis = cJSON_IsString(c) && strlen(c->valuestring) == 1 &&
                         c->valuestring[0] >= 'x' && c->valuestring[0] <= 'z';
    if (!is_axis || !cJSON_IsNumber(c->next) ||
        !(c->next->valuedouble >= -360 && c->next->valuedouble <= 360))
      return vk_fail(m->err, VK_E_FORMAT,
                     "%s: \"turn\" must be an axis, \"x\" to \"z\", and degrees from -360 to 360",
                     what);
    vk_standin_turn(place, c->valuestring[0] - 'x', c->next->valuedouble);
  }
  return vk_standin_numbers(o, "at", 3, -100, 100, place->pos, what, m->err);
}

static vk_status put_copy(maker *m, const cJSON *o, const listing *l, const char *body,
                          const vk_standin_solid *solid, const double offset[3], const char *what)
{
  const char *material = NULL, *name = swapped(l->bodies, body);
  const cJSON *item, *flame = vk_standin_member(o, "flame");
  uint32_t index;
  bool is_flame = false, found;
  vk_standin_place place;
  group *g;
  VK_TRY(vk_standin_need(o, "material", what, m->err));
  VK_TRY(vk_json_get_str(o, "material", &material, what, m->err));
  VK_TRY(vk_standin_find(m->materials, swapped(l->swap, material), &item, &index, what, m->err));
  if (flame)
    VK_TRY(vk_json_get_bool(o, "flame", &is_flame, what, m->err));
  VK_TRY(read_place(m, o, &place, what));
  for (int k = 0; k < 3; k++)
    place.pos[k] += offset[k];
  find_in(m->pack, l->tree, name, &found);
  if (!found)
    return l->is_optional
               ? VK_OK
               : vk_fail(m->err, VK_E_FORMAT, "%s: the scene pack has no body \"%s\"", what, name);
  VK_TRY(find_group(m, name, index, is_flame ? VK_VISUALS_FLAME : 0, &g, what));
  return vk_standin_put(&g->solid, solid, &place, m->err);
}

static vk_status put_copies(maker *m, const cJSON *o, const listing *l, const char *body,
                            const vk_standin_solid *solid, const char *what)
{
  static const char *const keys[] = {"body", "at", NULL};
  static const double zero[3] = {0};
  const cJSON *also = vk_standin_member(o, "also"), *c;
  VK_TRY(put_copy(m, o, l, body, solid, zero, what));
  if (also && !cJSON_IsArray(also))
    return vk_fail(m->err, VK_E_FORMAT, "%s: \"also\" must be copies in brackets", what);
  cJSON_ArrayForEach(c, also)
  {
    double at[3] = {0};
    const char *other = body;
    VK_TRY(vk_json_check_keys(c, keys, what, m->err));
    VK_TRY(vk_standin_numbers(c, "at", 3, -100, 100, at, what, m->err));
    if (vk_standin_member(c, "body"))
      VK_TRY(vk_json_get_str(c, "body", &other, what, m->err));
    VK_TRY(put_copy(m, o, l, other, solid, at, what));
  }
  return VK_OK;
}

static vk_status put_shape(maker *m, const cJSON *o, const listing *l, const char *what)
{
  static const char *const keys[] = {
      "shape",  "body",    "material", "at",     "turn",  "flame",  "also",  "tile", "repeat",
      "half",   "grid",    "faces",    "points", "path",  "radius", "taper", "up",   "sides",
      "smooth", "profile", "arc",      "crease", "scale", "flat",   "fixed", "only", NULL};
  const char *body = l->tree[1] == VK_PACK_NONE ? "main" : "world";
  bool found;
  VK_TRY(vk_json_check_keys(o, keys, what, m->err));
  if (vk_standin_member(o, "body"))
    VK_TRY(vk_json_get_str(o, "body", &body, what, m->err));
  const uint32_t elem = find_in(m->pack, l->tree, swapped(l->bodies, body), &found);
  if (!found && l->is_optional)
    return VK_OK;
  vk_standin_solid solid = {0};
  vk_status st = vk_standin_shape(&solid, o, &m->source, elem, what, m->err);
  if (st == VK_OK)
    st = put_copies(m, o, l, body, &solid, what);
  vk_standin_solid_free(&solid);
  return st;
}

static vk_status put_list(maker *m, const cJSON *entry, const char *key, const listing *l,
                          const char *where)
{
  const cJSON *list = vk_standin_member(entry, key), *c;
  int i = 0;
  if (list && (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > GEOMS_MAX))
    return vk_fail(m->err, VK_E_FORMAT, "%s: \"%s\" must be at most %d shapes in brackets", where,
                   key, GEOMS_MAX);
  cJSON_ArrayForEach(c, list)
  {
    char what[VK_STANDIN_WHAT];
    snprintf(what, sizeof what, "%s.%s[%d]", where, key, i++);
    VK_TRY(put_shape(m, c, l, what));
  }
  return VK_OK;
}

static vk_status check_table(const cJSON *entry, const char *key, const char *what, vk_err *err)
{
  const cJSON *table = vk_standin_member(entry, key), *c;
  if (table && !cJSON_IsObject(table))
    return vk_fail(err, VK_E_FORMAT, "%s: \"%s\" must be names in braces", what, key);
  cJSON_ArrayForEach(c, table)
  {
    if (!cJSON_IsString(c))
      return vk_fail(err, VK_E_FORMAT, "%s: \"%s\" must give names for names", what, key);
  }
  return VK_OK;
}

/* The shapes of an entry, after those of the one that it is like. */
static vk_status put_entry(maker *m, const cJSON *table, const cJSON *entry, listing *l,
                           const char *what)
{
  if (vk_standin_member(entry, "like")) {
    const char *name = NULL;
    const cJSON *model;
    uint32_t index;
    VK_TRY(vk_json_get_str(entry, "like", &name, what, m->err));
    VK_TRY(vk_standin_find(table, name, &model, &index, what, m->err));
    if (vk_standin_member(model, "like"))
      return vk_fail(m->err, VK_E_FORMAT, "%s: \"%s\" is itself like another", what, name);
    VK_TRY(check_table(entry, "swap", what, m->err));
    VK_TRY(check_table(entry, "bodies", what, m->err));
    l->swap = vk_standin_member(entry, "swap");
    l->bodies = vk_standin_member(entry, "bodies");
    VK_TRY(put_list(m, model, "shapes", l, what));
  }
  l->swap = l->bodies = NULL;
  return put_list(m, entry, "shapes", l, what);
}

/* ---- what is not described ------------------------------------------------------------------ */

/* Collision geometry of a body and those below it. */
static vk_status put_plain(maker *m, uint32_t elem, uint32_t material, const char *what)
{
  static const double repeat_m[2] = {0.2, 0.2};
  const vk_pack *pack = m->pack;
  const char *name = vk_standin_elem_text(pack, elem, VK_MJCF_KEY_NAME);
  if (pack->elem[elem].tag == VK_MJCF_TAG_ROOT)
    name = "world";
  if (name) {
    group *g;
    VK_TRY(find_group(m, name, material, 0, &g, what));
    VK_TRY(vk_standin_collision(&g->solid, &m->source, elem, NULL, repeat_m, m->err));
  }
  for (uint32_t i = pack->elem[elem].first_child; i != VK_PACK_NONE; i = pack->elem[i].next_sibling)
    if (pack->elem[i].tag == VK_MJCF_TAG_BODY)
      VK_TRY(put_plain(m, i, material, what));
  return VK_OK;
}

static uint32_t plain_material(const maker *m, const char *name)
{
  uint32_t h = 2166136261u;
  for (; *name; name++)
    h = (h ^ (uint8_t)*name) * 16777619u;
  return m->fallback + h % N_FALLBACK;
}

/* ---- models --------------------------------------------------------------------------------- */

static vk_status put_model(maker *m, const vk_pack_class *class_)
{
  static const char *const keys[] = {"like", "swap", "bodies", "shapes", NULL};
  const char *name = vk_pack_text(m->pack, class_->name);
  const cJSON *entry = vk_standin_member(m->classes, name);
  vk_visuals_model model = {.name = vk_visuals_put_text(&m->b, name)};
  char what[VK_STANDIN_WHAT];
  snprintf(what, sizeof what, "classes.%s", name);
  if (entry) {
    listing l = {.tree = {class_->body, VK_PACK_NONE}};
    VK_TRY(vk_json_check_keys(entry, keys, what, m->err));
    VK_TRY(put_entry(m, m->classes, entry, &l, what));
  } else {
    VK_TRY(put_plain(m, class_->body, plain_material(m, name), what));
  }
  put_groups(m, name, &model.geom, &model.n_geom);
  vk_visuals_put_model(&m->b, &model, 1);
  return VK_OK;
}

/* ---- looks ---------------------------------------------------------------------------------- */

static void elem_vec(const vk_pack *pack, uint32_t elem, int key, float *out, int n)
{
  int n_found = 0;
  const double *v = vk_standin_elem_numbers(pack, elem, key, &n_found);
  for (int k = 0; k < n && n_found == n; k++)
    out[k] = (float)v[k];
}

static bool elem_is(const vk_pack *pack, uint32_t elem, int key, const char *word)
{
  const char *text = vk_standin_elem_text(pack, elem, key);
  return text && strcmp(text, word) == 0;
}

/* Lights are those of the arena, with MuJoCo's defaults for what is not said. */
static void put_lights(maker *m, uint32_t world, vk_visuals_look *look)
{
  const vk_pack *pack = m->pack;
  look->light = (uint32_t)m->b.n_light;
  for (uint32_t i = pack->elem[world].first_child; i != VK_PACK_NONE;
       i = pack->elem[i].next_sibling) {
    if (pack->elem[i].tag != VK_MJCF_TAG_LIGHT || look->n_light == VK_LIGHTS_MAX ||
        elem_is(pack, i, VK_MJCF_KEY_ACTIVE, "false"))
      continue;
    vk_visuals_light light = {.dir = {0, 0, -1},
                              .diffuse = {0.7f, 0.7f, 0.7f},
                              .specular = {0.3f, 0.3f, 0.3f},
                              .attenuation = {1, 0, 0},
                              .cutoff_deg = 45,
                              .exponent = 10};
    elem_vec(pack, i, VK_MJCF_KEY_POS, light.pos_m, 3);
    elem_vec(pack, i, VK_MJCF_KEY_DIR, light.dir, 3);
    elem_vec(pack, i, VK_MJCF_KEY_AMBIENT, light.ambient, 3);
    elem_vec(pack, i, VK_MJCF_KEY_DIFFUSE, light.diffuse, 3);
    elem_vec(pack, i, VK_MJCF_KEY_SPECULAR, light.specular, 3);
    elem_vec(pack, i, VK_MJCF_KEY_ATTENUATION, light.attenuation, 3);
    elem_vec(pack, i, VK_MJCF_KEY_CUTOFF, &light.cutoff_deg, 1);
    elem_vec(pack, i, VK_MJCF_KEY_EXPONENT, &light.exponent, 1);
    light.is_directional = elem_is(pack, i, VK_MJCF_KEY_DIRECTIONAL, "true");
    const float *d = light.dir;
    const float l = sqrtf(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
    for (int k = 0; k < 3; k++)
      light.dir[k] = l > 0 ? d[k] / l : (float)-(k == 2);
    vk_visuals_put_light(&m->b, &light, 1);
    look->n_light++;
  }
}

/* A sky from one colour below to another above, as a cube. */
static vk_status put_sky(maker *m, const cJSON *look, vk_visuals_look *out, const char *what)
{
  enum { SIDE = 16 };
  static const char *const keys[] = {"below", "above", NULL};
  const cJSON *o = vk_standin_member(look, "sky");
  double below[3] = {0}, above[3] = {0};
  uint8_t pixel[6][SIDE * SIDE * 3];
  vk_image face[6];
  out->sky = VK_VISUALS_NONE;
  if (!o)
    return VK_OK;
  VK_TRY(vk_json_check_keys(o, keys, what, m->err));
  VK_TRY(vk_standin_numbers(o, "below", 3, 0, 1, below, what, m->err));
  VK_TRY(vk_standin_numbers(o, "above", 3, 0, 1, above, what, m->err));
  for (int f = 0; f < 6; f++) {
    face[f] = (vk_image){SIDE, SIDE, 3, pixel[f]};
    for (int i = 0; i < SIDE * SIDE; i++) {
      const double s = (i % SIDE * 2 + 1.0) / SIDE - 1, t = (i / SIDE * 2 + 1.0) / SIDE - 1;
      const double up[6] = {-s, s, t, -t, 1, -1}; /* z of the face's texel, as OpenGL lays it */
      const double mix = 0.5 + 0.5 * up[f] / sqrt(1 + s * s + t * t);
      for (int k = 0; k < 3; k++)
        pixel[f][3 * i + k] = (uint8_t)(255 * (below[k] + mix * (above[k] - below[k])) + 0.5);
    }
  }
  out->sky = vk_visuals_put_cube(&m->b, "sky", face, SIDE);
  return VK_OK;
}

static vk_status put_view(maker *m, const cJSON *entry, vk_visuals_look *look, const char *what)
{
  double extent_m = 10;
  vk_err *err = m->err;
  VK_TRY(vk_standin_number(entry, "extent", 0.1, 1000, &extent_m, what, err));
  for (int k = 0; k < 3; k++) { /* MuJoCo's default */
    look->headlight_ambient[k] = 0.1f;
    look->headlight_diffuse[k] = 0.4f;
    look->headlight_specular[k] = 0.5f;
  }
  look->znear_m = (float)(0.001 * extent_m);
  look->zfar_m = (float)(50 * extent_m);
  return put_sky(m, entry, look, what);
}

static vk_status put_look(maker *m, const vk_pack_problem *problem)
{
  static const char *const keys[] = {"like", "swap", "bodies", "shapes", "sky", "extent", NULL};
  const char *name = vk_pack_text(m->pack, problem->name);
  const cJSON *entry = vk_standin_member(m->looks, name);
  const vk_pack *pack = m->pack;
  vk_visuals_look look = {.name = vk_visuals_put_text(&m->b, name)};
  char what[VK_STANDIN_WHAT];
  snprintf(what, sizeof what, "looks.%s", name);
  put_lights(m, problem->world, &look);
  VK_TRY(put_view(m, entry, &look, what));
  if (entry) {
    listing l = {.tree = {problem->world, problem->robot}};
    VK_TRY(vk_json_check_keys(entry, keys, what, m->err));
    VK_TRY(put_entry(m, m->looks, entry, &l, what));
  } else {
    VK_TRY(put_plain(m, problem->world, plain_material(m, name), what));
  }
  /* The robot is the same everywhere, but for the bodies of its mount. */
  const char *robot_name = vk_standin_elem_text(pack, problem->robot, VK_MJCF_KEY_NAME);
  const cJSON *robot =
      vk_standin_member(vk_standin_member(m->root, "robots"), robot_name ? robot_name : "");
  if (robot) {
    static const char *const robot_keys[] = {"shapes", NULL};
    listing l = {.tree = {problem->world, problem->robot}, .is_optional = true};
    snprintf(what, sizeof what, "robots.%s", robot_name);
    VK_TRY(vk_json_check_keys(robot, robot_keys, what, m->err));
    VK_TRY(put_list(m, robot, "shapes", &l, what));
  } else {
    VK_TRY(put_plain(m, problem->robot, plain_material(m, "robot"), what));
  }
  put_groups(m, name, &look.geom, &look.n_geom);
  vk_visuals_put_look(&m->b, &look, 1);
  return VK_OK;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static vk_status get_table(const cJSON *root, const char *key, const cJSON **out, vk_err *err)
{
  *out = vk_standin_member(root, key);
  if (!cJSON_IsObject(*out))
    return vk_fail(err, VK_E_FORMAT, "\"%s\" must be there, with entries in braces", key);
  return VK_OK;
}

static vk_status make(maker *m)
{
  static const char *const keys[] = {"about",   "version", "textures", "materials",
                                     "classes", "looks",   "robots",   NULL};
  const cJSON *robots;
  int64_t version = 0;
  VK_TRY(vk_json_check_keys(m->root, keys, "the file", m->err));
  VK_TRY(vk_json_get_i64(m->root, "version", &version, "the file", m->err));
  if (version != DATA_VERSION)
    return vk_fail(m->err, VK_E_VERSION, "version %lld, this program reads %d", (long long)version,
                   DATA_VERSION);
  VK_TRY(get_table(m->root, "textures", &m->textures, m->err));
  VK_TRY(get_table(m->root, "materials", &m->materials, m->err));
  VK_TRY(get_table(m->root, "classes", &m->classes, m->err));
  VK_TRY(get_table(m->root, "looks", &m->looks, m->err));
  VK_TRY(get_table(m->root, "robots", &robots, m->err));
  VK_TRY(put_textures(m));
  VK_TRY(put_materials(m));
  for (size_t i = 0; i < m->pack->n_class_; i++)
    VK_TRY(put_model(m, &m->pack->class_[i]));
  for (size_t i = 0; i < m->pack->n_problem; i++)
    VK_TRY(put_look(m, &m->pack->problem[i]));
  return VK_OK;
}

vk_status vk_standin_build_from(vk_visuals *out, const vk_pack *pack, const char *text, size_t n,
                                const char *what, vk_err *err)
{
  vk_status st = VK_OK;
  cJSON *root = NULL;
  void *bytes = NULL;
  size_t n_byte = 0;
  maker *m = calloc(1, sizeof *m);
  if (!m)
    return vk_fail(err, VK_E_NOMEM, "no memory for stand-in visuals");
  VK_TRY_DONE(vk_json_parse(&root, text, n, what, err));
  m->pack = pack;
  m->root = root;
  m->err = err;
  VK_TRY_DONE(vk_standin_source_init(&m->source, pack, err));
  st = make(m);
  if (st != VK_OK)
    vk_err_prefix(err, "%s", what);
  else
    VK_TRY_DONE(vk_visuals_build(&m->b, &bytes, &n_byte, err));
done:
  drop_groups(m);
  vk_standin_source_fini(&m->source);
  vk_visuals_builder_fini(&m->b);
  free(m);
  cJSON_Delete(root);
  VK_TRY(st);
  return vk_visuals_open_bytes(out, bytes, n_byte, "stand-in", "stand-in", err);
}

vk_status vk_standin_build(vk_visuals *out, const vk_pack *pack, vk_err *err)
{
  char path[VK_FS_PATH_MAX], *text = NULL;
  size_t n = 0;
  VK_TRY(vk_fs_find_data(path, "standin.json", err));
  VK_TRY(vk_fs_read(&text, &n, path, DATA_BYTES_MAX, err));
  const vk_status st = vk_standin_build_from(out, pack, text, n, path, err);
  free(text);
  return st;
}
