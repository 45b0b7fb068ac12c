/* fuzz_visuals.c - any bytes as visuals, sealed. What opens keeps its promises: everything that a
 * renderer reads lies inside the file. corpus/visuals/small.visuals is that of
 * tests/unit/test_visuals.c. */
#include <math.h>

#include "seal.h"
#include "sim/visuals.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static double sum; /* of everything read, so that no read is left out */

static void use_mesh(const vk_visuals *v, const vk_visuals_mesh *mesh)
{
  for (uint32_t i = 0; i < mesh->n_level; i++) {
    const vk_visuals_level *level = &v->level[mesh->level + i];
    uint32_t n_vertex = vk_visuals_padded(level->n_vertex);
    uint32_t n_triangle = vk_visuals_padded(level->n_triangle);
    for (uint32_t t = 0; t < 3 * n_triangle; t++)
      for (uint32_t s = 0; s < VK_STREAM_N; s++)
        sum += v->f32[level->first_f32 + s * n_vertex + v->index[level->first_index + t]];
  }
}

static void use_texture(const vk_visuals *v, const vk_visuals_texture *t)
{
  uint64_t n = 0;
  for (uint32_t i = 0; i < t->n_level; i++)
    n += (uint64_t)((t->width >> i) ? t->width >> i : 1) * ((t->height >> i) ? t->height >> i : 1) *
         (t->kind == VK_TEXTURE_CUBE ? 6 : 1);
  for (uint64_t i = 0; i < n; i++)
    sum += v->texel[t->first + i];
}

static void use_geoms(const vk_visuals *v, uint32_t first, uint32_t n)
{
  for (uint32_t i = first; i < first + n; i++) {
    const vk_visuals_geom *g = &v->geom[i];
    const vk_visuals_material *m = &v->material[g->material];
    sum += (double)strlen(vk_visuals_text(v, g->body));
    if (v->mesh[g->mesh].n_level > 0)
      use_mesh(v, &v->mesh[g->mesh]);
    if (m->texture != VK_VISUALS_NONE)
      use_texture(v, &v->texture[m->texture]);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  vk_err err = VK_ERR_INIT;
  vk_visuals v;
  if (vk_visuals_open_bytes(&v, seal(&vk_visuals_kind, bytes, n), n, "fuzz", "fuzz", &err) !=
      VK_OK) {
    VK_ASSERT(err.code != VK_OK && err.text[0] && !v.bytes);
    return 0;
  }
  sum = 0;
  for (size_t i = 0; i < v.n_look && i < 4; i++) {
    use_geoms(&v, v.look[i].geom, v.look[i].n_geom);
    for (uint32_t k = 0; k < v.look[i].n_light; k++)
      sum += v.light[v.look[i].light + k].exponent;
    if (v.look[i].sky != VK_VISUALS_NONE)
      use_texture(&v, &v.texture[v.look[i].sky]);
  }
  for (size_t i = 0; i < v.n_model && i < 4; i++)
    use_geoms(&v, v.model[i].geom, v.model[i].n_geom);
  VK_ASSERT(isfinite(sum));
  vk_visuals_close(&v);
  return 0;
}
