/* render_world.h - small worlds for tests of the renderer, built with sim/visuals_write.h, and
 * their pictures. */
#ifndef VK_TEST_RENDER_WORLD_H
#define VK_TEST_RENDER_WORLD_H

#include <stdio.h>
#include <stdlib.h>

#include "core/rng.h"
#include "sim/render_internal.h"
#include "sim/visuals_write.h"
#include "test.h"

/* ---- worlds --------------------------------------------------------------------------------- */

enum { ITEMS_MAX = 64, SIDE = 96 };

typedef struct world {
  vk_visuals_builder b;
  vk_visuals visuals;
  vk_render_item item[ITEMS_MAX];
  vk_view view;
  vk_visuals_look look;
} world;

static const vk_visuals_look plain = {
    .sky = VK_VISUALS_NONE, .headlight_ambient = {1, 1, 1}, .znear_m = 0.01f, .zfar_m = 50};

/* The camera is at the origin and looks along -z, up is y, a metre at depth 1 is half of the
 * picture's height. */
static world *world_new(void)
{
  world *w = calloc(1, sizeof *w);
  assert_non_null(w);
  w->look = plain;
  for (int k = 0; k < 3; k++)
    w->view.camera.R_world[4 * k] = 1;
  w->view.camera.tan_half_fovy = 1;
  return w;
}

static uint32_t add_material(world *w, float r, float g, float b, float a)
{
  vk_visuals_material m = {.texture = VK_VISUALS_NONE, .rgba = {r, g, b, a}};
  return vk_visuals_put_material(&w->b, &m, 1);
}

static vk_render_item *add_item(world *w, uint32_t mesh, uint32_t material)
{
  assert_true(w->view.n_item < ITEMS_MAX);
  vk_render_item *item = &w->item[w->view.n_item++];
  *item =
      (vk_render_item){.mesh = mesh, .material = material, .R_world = {1, 0, 0, 0, 1, 0, 0, 0, 1}};
  return item;
}

/* A rectangle at depth z (negative) that faces the camera. Texture coordinates go from 0 to 1. */
static uint32_t add_rectangle(world *w, float x0, float y0, float x1, float y1, float z)
{
  vk_err err = VK_ERR_INIT;
  vk_mesh mesh = {0};
  for (int i = 0; i < 4; i++) {
    bool right = i == 1 || i == 2, up = i >= 2;
    vk_vertex v = {{right ? x1 : x0, up ? y1 : y0, z}, {0, 0, 1}, {right, up, 0}};
    vk_assert_ok(vk_mesh_add_vertex(&mesh, &v, &err), &err);
  }
  vk_assert_ok(vk_mesh_add_triangle(&mesh, 0, 1, 2, &err), &err);
  vk_assert_ok(vk_mesh_add_triangle(&mesh, 0, 2, 3, &err), &err);
  const float error_m = 0;
  uint32_t i = vk_visuals_put_levels(&w->b, "rectangle", &mesh, &error_m, 1);
  vk_mesh_free(&mesh);
  return i;
}

static uint32_t add_shape(world *w, vk_mesh *mesh)
{
  const float error_m = 0;
  uint32_t i = vk_visuals_put_levels(&w->b, "shape", mesh, &error_m, 1);
  vk_mesh_free(mesh);
  return i;
}

static void world_build(world *w)
{
  vk_err err = VK_ERR_INIT;
  size_t n;
  void *bytes;
  w->look.name = vk_visuals_put_text(&w->b, "look");
  w->look.n_light = (uint32_t)w->b.n_light;
  vk_visuals_put_look(&w->b, &w->look, 1);
  if (!w->b.n_texel)
    vk_visuals_put_texel(&w->b, NULL, 1);
  vk_assert_ok(vk_visuals_build(&w->b, &bytes, &n, &err), &err);
  vk_assert_ok(vk_visuals_open_bytes(&w->visuals, bytes, n, "test", "(test)", &err), &err);
  w->view.visuals = &w->visuals;
  w->view.look = &w->visuals.look[0];
  w->view.item = w->item;
}

static void world_free(world *w)
{
  vk_visuals_close(&w->visuals);
  vk_visuals_builder_fini(&w->b);
  free(w);
}

/* ---- drawing -------------------------------------------------------------------------------- */

enum { GUARD = 64 };

static vk_pool *pool;

/* pixel [height][width][3]; bytes around it and between rows stay as they are. */
static vk_render_stats draw(world *w, const vk_render_config *config, uint8_t *pixel)
{
  vk_err err = VK_ERR_INIT;
  vk_renderer *r;
  vk_render_stats stats;
  size_t width = 3 * (size_t)config->width, row = width + 5, n = row * (size_t)config->height;
  uint8_t *wide = malloc(n + 2 * GUARD);
  assert_non_null(wide);
  memset(wide, 0xa5, n + 2 * GUARD);
  vk_assert_ok(vk_renderer_new(&r, config, pool, &err), &err);
  w->view.pixel = wide + GUARD;
  w->view.row_bytes = row;
  vk_assert_ok(vk_render_view(r, &w->view, &stats, &err), &err);
  vk_renderer_free(r);
  for (size_t i = 0; i < n + 2 * GUARD; i++) {
    size_t at = i - GUARD;
    if (i < GUARD || at >= n || at % row >= width)
      assert_int_equal(wide[i], 0xa5);
    else
      pixel[at / row * width + at % row] = wide[i];
  }
  free(wide);
  return stats;
}

static vk_render_config config_of(int side)
{
  vk_render_config c = vk_render_defaults;
  c.width = c.height = side;
  c.level_error_px = 0;
  c.turn = VK_TURN_GL;
  return c;
}

static void assert_pixel(const uint8_t *pixel, int side, int x, int y, int r, int g, int b)
{
  const uint8_t *p = pixel + 3 * (y * side + x);
  if (p[0] != r || p[1] != g || p[2] != b)
    print_error("pixel %d, %d is %d %d %d, not %d %d %d\n", x, y, p[0], p[1], p[2], r, g, b);
  assert_true(p[0] == r && p[1] == g && p[2] == b);
}

/* ---- at random ------------------------------------------------------------------------------ */

/* Balls, boxes and planes of all materials, turned at random, under three lights. */
static world *random_world(uint32_t seed, bool transparent)
{
  vk_err err = VK_ERR_INIT;
  vk_mt19937 rng;
  vk_mt19937_seed(&rng, seed);
  world *w = world_new();
  uint8_t pixel[6][16 * 16 * 3];
  vk_image face[6];
  for (int i = 0; i < 6; i++) {
    for (size_t k = 0; k < sizeof pixel[i]; k++)
      pixel[i][k] = (uint8_t)vk_mt19937_uniform(&rng, 40, 256);
    face[i] = (vk_image){.width = 16, .height = 16, .n_channel = 3, .pixel = pixel[i]};
  }
  vk_image flat = {.width = 16, .height = 8, .n_channel = 3, .pixel = pixel[0]};
  const uint32_t texture[3] = {VK_VISUALS_NONE, vk_visuals_put_picture(&w->b, "flat", &flat, 64),
                               vk_visuals_put_cube(&w->b, "cube", face, 64)};
  w->look.sky = texture[2];
  vk_visuals_light light[3] = {{.pos_m = {1, 1, 4},
                                .dir = {0, -0.1483405f, -0.9889363f},
                                .diffuse = {0.8f, 0.7f, 0.6f},
                                .specular = {0.3f, 0.3f, 0.3f},
                                .attenuation = {1, 0, 0},
                                .cutoff_deg = 45,
                                .exponent = 10},
                               {.pos_m = {-2, 1, 1},
                                .dir = {0, 0, -1},
                                .ambient = {0.1f, 0.1f, 0.2f},
                                .diffuse = {0.2f, 0.3f, 0.4f},
                                .attenuation = {0.5f, 0.2f, 0.1f},
                                .cutoff_deg = 180},
                               {.dir = {0.6f, 0, -0.8f},
                                .diffuse = {0.2f, 0.2f, 0.2f},
                                .specular = {0.5f, 0.4f, 0.3f},
                                .attenuation = {1, 0, 0},
                                .is_directional = 1}};
  for (int i = 0; i < 3; i++) {
    w->look.headlight_ambient[i] = 0.1f;
    w->look.headlight_diffuse[i] = 0.4f;
    w->look.headlight_specular[i] = 0.5f;
  }
  vk_visuals_put_light(&w->b, light, 3);
  for (int i = 0; i < 24; i++) {
    vk_mesh mesh = {0};
    const float size[3] = {(float)vk_mt19937_uniform(&rng, 0.1, 0.6),
                           (float)vk_mt19937_uniform(&rng, 0.1, 0.6),
                           (float)vk_mt19937_uniform(&rng, 0.1, 0.6)};
    switch (i % 3) {
    case 0:
      vk_assert_ok(vk_mesh_add_box(&mesh, size, &err), &err);
      break;
    case 1:
      vk_assert_ok(vk_mesh_add_ellipsoid(&mesh, size, &err), &err);
      break;
    default:
      vk_assert_ok(vk_mesh_add_plane(&mesh, size, &err), &err);
    }
    vk_visuals_material m = {
        .texture = texture[vk_mt19937_next(&rng) % 3],
        .rgba = {(float)vk_mt19937_uniform(&rng, 0.3, 1), (float)vk_mt19937_uniform(&rng, 0.3, 1),
                 (float)vk_mt19937_uniform(&rng, 0.3, 1), transparent && i % 4 == 0 ? 0.4f : 1},
        .emission = i % 5 == 0 ? 0.3f : 0,
        .specular = (float)vk_mt19937_uniform(&rng, 0, 1),
        .shininess = (float)vk_mt19937_uniform(&rng, 0, 1)};
    vk_render_item *item = add_item(w, add_shape(w, &mesh), vk_visuals_put_material(&w->b, &m, 1));
    double turn[3], R[9];
    const double one[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    for (int k = 0; k < 3; k++) {
      turn[k] = vk_mt19937_uniform(&rng, -3, 3);
      item->p_world[k] = (float)vk_mt19937_uniform(&rng, k == 2 ? -5 : -2, k == 2 ? -1 : 2);
    }
    vk_m3_turn(R, turn, one);
    for (int k = 0; k < 9; k++)
      item->R_world[k] = (float)R[k];
  }
  world_build(w);
  return w;
}

#endif
