#include "sim/visuals_check.h"

#include <math.h>
#include <string.h>

#define BAD(...) return vk_fail(err, VK_E_FORMAT, __VA_ARGS__)

/* Far above any scene; what lies within can be squared and multiplied in float. */
static const float length_max_m = 1e6f;

static vk_status check_range(uint64_t first, uint64_t n, size_t n_item, const char *section,
                             const char *what, size_t i, vk_err *err)
{
  if (first > n_item || n > n_item - first)
    BAD("%s %zu: items %llu to %llu of section %s, which has %zu", what, i,
        (unsigned long long)first, (unsigned long long)(first + n), section, n_item);
  return VK_OK;
}

static vk_status check_name(const vk_visuals *v, uint32_t at, const char *what, size_t i,
                            vk_err *err)
{
  if (at >= v->n_str)
    BAD("%s %zu: its name lies at %u, after the end of the text", what, i, at);
  return VK_OK;
}

/* n numbers within [lo, hi]; NaN is not. */
static vk_status check_numbers(const float *f, size_t n, float lo, float hi, const char *what,
                               size_t i, vk_err *err)
{
  for (size_t k = 0; k < n; k++)
    if (!(f[k] >= lo && f[k] <= hi))
      BAD("%s %zu: number %zu is %g, expected %g to %g", what, i, k, (double)f[k], (double)lo,
          (double)hi);
  return VK_OK;
}

static vk_status check_unit(const float *f, int n, const char *what, size_t i, vk_err *err)
{
  float s = 0;
  VK_TRY(check_numbers(f, (size_t)n, -2, 2, what, i, err));
  for (int k = 0; k < n; k++)
    s += f[k] * f[k];
  if (fabsf(s - 1) > 2e-3f)
    BAD("%s %zu: a direction or quaternion of length %g, expected 1", what, i, (double)sqrtf(s));
  return VK_OK;
}

static vk_status check_text(const vk_visuals *v, vk_err *err)
{
  if (v->n_str == 0 || v->str[0] != '\0' || v->str[v->n_str - 1] != '\0')
    BAD("section str must begin and end with a zero byte");
  for (size_t i = 0; i < v->n_str; i++)
    if (v->str[i] != '\0' && (v->str[i] < 0x20 || v->str[i] > 0x7e))
      BAD("byte %zu of section str is not printable ASCII", i);
  return VK_OK;
}

static vk_status check_texture(const vk_visuals *v, size_t i, vk_err *err)
{
  const vk_visuals_texture *t = &v->texture[i];
  VK_TRY(check_name(v, t->name, "texture", i, err));
  bool is_cube = t->kind == VK_TEXTURE_CUBE;
  if ((t->kind != VK_TEXTURE_2D && !is_cube) || (is_cube && t->width != t->height))
    BAD("texture %zu: neither 2D nor a cube of squares", i);
  uint32_t sides[] = {t->width, t->height};
  for (int k = 0; k < 2; k++)
    if (sides[k] == 0 || sides[k] > VK_TEXTURE_SIDE_MAX || (sides[k] & (sides[k] - 1)) != 0)
      BAD("texture %zu: a side of %u texels, expected a power of two up to %d", i, sides[k],
          VK_TEXTURE_SIDE_MAX);
  uint64_t n_texel = 0;
  uint32_t w = t->width, h = t->height, n_level = 0;
  for (bool is_last = false; !is_last; n_level++) {
    n_texel += (uint64_t)w * h * (is_cube ? 6 : 1);
    is_last = w == 1 && h == 1;
    w = w > 1 ? w / 2 : 1;
    h = h > 1 ? h / 2 : 1;
  }
  if (t->n_level != n_level)
    BAD("texture %zu: %u levels, expected %u", i, t->n_level, n_level);
  return check_range(t->first, n_texel, v->n_texel, "texel", "texture", i, err);
}

static vk_status check_material(const vk_visuals *v, size_t i, vk_err *err)
{
  const vk_visuals_material *m = &v->material[i];
  VK_TRY(check_name(v, m->name, "material", i, err));
  if (m->texture != VK_VISUALS_NONE && m->texture >= v->n_texture)
    BAD("material %zu: texture %u of %zu", i, m->texture, v->n_texture);
  VK_TRY(check_numbers(m->rgba, 4, 0, 1, "material", i, err));
  const float rest[] = {m->emission, m->specular, m->shininess, m->reflectance};
  return check_numbers(rest, 4, 0, 1, "material", i, err);
}

static uint64_t end_of_f32(const vk_visuals_level *l)
{
  return l->first_f32 + (uint64_t)VK_STREAM_N * vk_visuals_padded(l->n_vertex);
}

static uint64_t end_of_index(const vk_visuals_level *l)
{
  return l->first_index + 3 * (uint64_t)vk_visuals_padded(l->n_triangle);
}

/* Whether the padding after n triangles names vertex 0 alone, so that it covers nothing. */
static bool is_padding_empty(const uint32_t *index, uint32_t n)
{
  const uint32_t n_padded = vk_visuals_padded(n);
  uint32_t any = 0;
  for (size_t c = 0; c < 3; c++)
    for (size_t k = n; k < n_padded; k++)
      any |= index[c * n_padded + k];
  return any == 0;
}

/* Arrays of levels follow each other and are not shared, which also bounds the time that checks
 * and drawing take by the size of the file. */
static vk_status check_level(const vk_visuals *v, size_t i, vk_err *err)
{
  const vk_visuals_level *l = &v->level[i];
  if (l->n_vertex == 0 || l->n_triangle == 0 || l->n_vertex > UINT32_MAX / 16 ||
      l->n_triangle > UINT32_MAX / 16)
    BAD("level %zu: %u vertices and %u triangles", i, l->n_vertex, l->n_triangle);
  uint64_t n_f32 = end_of_f32(l) - l->first_f32, n_index = end_of_index(l) - l->first_index;
  VK_TRY(check_range(l->first_f32, n_f32, v->n_f32, "f32", "level", i, err));
  VK_TRY(check_range(l->first_index, n_index, v->n_index, "index", "level", i, err));
  if (l->first_f32 % VK_VERTEX_ALIGN != 0 || l->first_index % VK_VERTEX_ALIGN != 0)
    BAD("level %zu: its arrays do not begin on a multiple of %d", i, VK_VERTEX_ALIGN);
  if (i > 0 && (l->first_f32 < end_of_f32(&l[-1]) || l->first_index < end_of_index(&l[-1])))
    BAD("level %zu: its arrays begin before the end of those of the level before it", i);
  VK_TRY(check_numbers(&l->error_m, 1, 0, length_max_m, "error of level", i, err));
  const uint32_t *index = v->index + l->first_index;
  uint32_t most = 0; /* without a branch in the loop: there are millions */
  for (uint64_t k = 0; k < n_index; k++)
    most = index[k] > most ? index[k] : most;
  if (most >= l->n_vertex)
    BAD("level %zu: a triangle names vertex %u of %u", i, most, l->n_vertex);
  if (!is_padding_empty(index, l->n_triangle))
    BAD("level %zu: its padding is not zero", i);
  return VK_OK;
}

/* One pass without branches; NaN fails every comparison. */
static vk_status check_floats(const vk_visuals *v, vk_err *err)
{
  size_t n_bad = 0;
  for (size_t k = 0; k < v->n_f32; k++)
    n_bad += !(fabsf(v->f32[k]) <= length_max_m);
  if (n_bad > 0)
    BAD("%zu of %zu vertex coordinates are not finite or above %g", n_bad, v->n_f32,
        (double)length_max_m);
  return VK_OK;
}

static vk_status check_mesh(const vk_visuals *v, size_t i, vk_err *err)
{
  const vk_visuals_mesh *m = &v->mesh[i];
  VK_TRY(check_name(v, m->name, "mesh", i, err));
  if (m->n_level == 0 || m->n_level > VK_MESH_LEVELS_MAX)
    BAD("mesh %zu: %u levels, expected 1 to %d", i, m->n_level, VK_MESH_LEVELS_MAX);
  VK_TRY(check_range(m->level, m->n_level, v->n_level, "level", "mesh", i, err));
  VK_TRY(check_numbers(m->centre_m, 3, -length_max_m, length_max_m, "mesh", i, err));
  return check_numbers(&m->radius_m, 1, 0, length_max_m, "radius of mesh", i, err);
}

static vk_status check_geom(const vk_visuals *v, size_t i, vk_err *err)
{
  const vk_visuals_geom *g = &v->geom[i];
  VK_TRY(check_name(v, g->body, "geom", i, err));
  if (g->mesh >= v->n_mesh || g->material >= v->n_material)
    BAD("geom %zu: mesh %u of %zu, material %u of %zu", i, g->mesh, v->n_mesh, g->material,
        v->n_material);
  VK_TRY(check_numbers(g->pos_m, 3, -length_max_m, length_max_m, "geom", i, err));
  return check_unit(g->quat, 4, "geom", i, err);
}

static vk_status check_light(const vk_visuals *v, size_t i, vk_err *err)
{
  const vk_visuals_light *l = &v->light[i];
  VK_TRY(check_numbers(l->pos_m, 3, -length_max_m, length_max_m, "light", i, err));
  VK_TRY(check_unit(l->dir, 3, "light", i, err));
  VK_TRY(check_numbers(l->ambient, 3, 0, 10, "light", i, err));
  VK_TRY(check_numbers(l->diffuse, 3, 0, 10, "light", i, err));
  VK_TRY(check_numbers(l->specular, 3, 0, 10, "light", i, err));
  VK_TRY(check_numbers(l->attenuation, 3, 0, 1e3f, "light", i, err));
  if (!(l->attenuation[0] + l->attenuation[1] + l->attenuation[2] > 0))
    BAD("light %zu: its attenuation is 0 at every distance", i);
  VK_TRY(check_numbers(&l->cutoff_deg, 1, 0, 180, "cutoff of light", i, err));
  return check_numbers(&l->exponent, 1, 0, 128, "exponent of light", i, err);
}

static vk_status check_look(const vk_visuals *v, size_t i, vk_err *err)
{
  const vk_visuals_look *l = &v->look[i];
  VK_TRY(check_name(v, l->name, "look", i, err));
  VK_TRY(check_range(l->geom, l->n_geom, v->n_geom, "geom", "look", i, err));
  VK_TRY(check_range(l->light, l->n_light, v->n_light, "light", "look", i, err));
  if (l->n_light > VK_LIGHTS_MAX)
    BAD("look %zu: %u lights, at most %d", i, l->n_light, VK_LIGHTS_MAX);
  if (l->sky != VK_VISUALS_NONE &&
      (l->sky >= v->n_texture || v->texture[l->sky].kind != VK_TEXTURE_CUBE))
    BAD("look %zu: its sky is not a cube texture", i);
  VK_TRY(check_numbers(l->headlight_ambient, 3, 0, 10, "look", i, err));
  VK_TRY(check_numbers(l->headlight_diffuse, 3, 0, 10, "look", i, err));
  VK_TRY(check_numbers(l->headlight_specular, 3, 0, 10, "look", i, err));
  if (!(l->znear_m >= 1e-6f && l->zfar_m > l->znear_m && l->zfar_m <= length_max_m))
    BAD("look %zu: clip planes at %g and %g m", i, (double)l->znear_m, (double)l->zfar_m);
  return VK_OK;
}

static vk_status check_model(const vk_visuals *v, size_t i, vk_err *err)
{
  const vk_visuals_model *m = &v->model[i];
  VK_TRY(check_name(v, m->name, "model", i, err));
  return check_range(m->geom, m->n_geom, v->n_geom, "geom", "model", i, err);
}

vk_status vk_visuals_check(const vk_visuals *v, vk_err *err)
{
  VK_TRY(check_text(v, err));
  VK_TRY(check_floats(v, err));
#define EACH(member, check)                                                                        \
  for (size_t i = 0; i < v->n_##member; i++)                                                       \
  VK_TRY(check(v, i, err))
  EACH(texture, check_texture);
  EACH(material, check_material);
  EACH(level, check_level);
  EACH(mesh, check_mesh);
  EACH(geom, check_geom);
  EACH(light, check_light);
  EACH(model, check_model);
  EACH(look, check_look);
#undef EACH
  return VK_OK;
}
