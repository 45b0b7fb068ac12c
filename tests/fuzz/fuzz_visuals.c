/* fuzz_visuals.c - any bytes as visuals, sealed. What opens keeps its promises: everything that a
 * renderer reads lies inside the file, and what it draws are the same bits on every path.
 * corpus/visuals/small.visuals is that of tests/unit/test_visuals.c. */
#include <math.h>
#include <mujoco/mujoco.h>

#include "seal.h"
#include "sim/render_internal.h"

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

/* ---- drawing -------------------------------------------------------------------------------- */

enum { N_ITEM = 16, WIDTH = 40, HEIGHT = 24, N_TRIANGLE_MAX = 20000 };

static void draw(const vk_view *view, vk_isa isa, int n_sample)
{
  static vk_pool *pool;
  vk_err err = VK_ERR_INIT;
  vk_renderer *r;
  vk_render_config config = vk_render_defaults;
  config.width = WIDTH;
  config.height = HEIGHT;
  config.n_sample = n_sample;
  config.isa = isa;
  config.level_error_px = n_sample == 1 ? 0 : 0.25f;
  VK_ASSERT(pool || vk_pool_new(&pool, 1, &err) == VK_OK);
  VK_ASSERT(vk_renderer_new(&r, &config, pool, &err) == VK_OK);
  VK_ASSERT(vk_render_view(r, view, NULL, &err) == VK_OK);
  vk_renderer_free(r);
}

/* Geoms of any model before a camera at a place that the file chooses: in front of, in or behind
 * them. */
static void draw_model(const vk_visuals *v, const vk_visuals_model *model)
{
  vk_render_item item[N_ITEM];
  uint8_t one[WIDTH * HEIGHT * 3], other[WIDTH * HEIGHT * 3];
  vk_view view = {.visuals = v, .look = &v->look[0], .item = item, .pixel = one};
  vk_cpu cpu;
  size_t n_triangle = 0;
  vk_cpu_detect(&cpu);
  for (uint32_t i = 0; i < model->n_geom && i < N_ITEM; i++) {
    const vk_visuals_geom *g = &v->geom[model->geom + i];
    double quat[4] = {g->quat[0], g->quat[1], g->quat[2], g->quat[3]}, R[9];
    mju_normalize4(quat);
    mju_quat2Mat(R, quat);
    vk_render_item *to = &item[view.n_item++];
    to->mesh = g->mesh;
    to->material = g->material;
    for (int k = 0; k < 9; k++)
      to->R_world[k] = (float)R[k];
    memcpy(to->p_world, g->pos_m, sizeof to->p_world);
    for (uint32_t k = 0; k < v->mesh[g->mesh].n_level; k++)
      n_triangle += v->level[v->mesh[g->mesh].level + k].n_triangle;
  }
  if (view.n_item == 0 || n_triangle > N_TRIANGLE_MAX)
    return;
  const vk_visuals_mesh *m = &v->mesh[item[0].mesh];
  for (int k = 0; k < 3; k++) {
    view.camera.R_world[4 * k] = 1;
    view.camera.p_world[k] = (double)m->centre_m[k] + (k == 2 ? 1.5 * (double)m->radius_m : 0);
  }
  view.camera.tan_half_fovy = 0.7;
  for (int n_sample = 1; n_sample <= 4; n_sample += 3) {
    view.pixel = one;
    draw(&view, VK_ISA_SCALAR, n_sample);
    view.pixel = other;
    draw(&view, vk_isa_best(&cpu), n_sample);
    VK_ASSERT(memcmp(one, other, sizeof one) == 0);
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
  for (size_t i = 0; i < v.n_model && i < 2 && v.n_look > 0; i++)
    draw_model(&v, &v.model[i]);
  vk_visuals_close(&v);
  return 0;
}
