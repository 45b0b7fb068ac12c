/* The renderer: against a reference in double precision, by hand where pixels are known, and the
 * same bits on every path. */
#include "sim/render.h"
#include "sim/visuals_choose.h"

#include "core/cpu.h"
#include "render_reference.h"
#include "render_world.h"

/* ---- tests ---------------------------------------------------------------------------------- */

static void test_rectangles_cover_their_pixels_and_the_nearest_wins(void **state)
{
  world *w = world_new();
  uint8_t p[16 * 16 * 3];
  uint32_t red = add_material(w, 1, 0, 0, 1), green = add_material(w, 0, 1, 0, 1);
  /* At depth 1 a pixel is 1/8 m wide: columns 4 to 11, rows 8 to 11. */
  add_item(w, add_rectangle(w, -0.5f, 0, 0.5f, 0.5f, -1), red);
  /* Behind it at depth 2: columns 6 to 9, all rows; drawn later. */
  add_item(w, add_rectangle(w, -0.5f, -2, 0.5f, 2, -2), green);
  world_build(w);
  vk_render_config c = config_of(16);
  vk_render_stats stats = draw(w, &c, p);
  for (int y = 0; y < 16; y++)
    for (int x = 0; x < 16; x++) {
      bool is_red = x >= 4 && x < 12 && y >= 8 && y < 12, is_green = x >= 6 && x < 10;
      assert_pixel(p, 16, x, y, is_red ? 255 : 0, is_green && !is_red ? 255 : 0, 0);
    }
  assert_int_equal(stats.n_triangle, 4);
  assert_int_equal(stats.n_drawn, 4);
  world_free(w);
}

/* Of equal depths the later item in the view, whichever of their centres is nearer. */
static void test_later_items_win_ties(void **state)
{
  for (int n_sample = 1; n_sample <= 4; n_sample += 3)
    for (int order = 0; order < 2; order++) {
      world *w = world_new();
      uint8_t p[16 * 16 * 3];
      uint32_t red = add_material(w, 1, 0, 0, 1), green = add_material(w, 0, 1, 0, 1);
      /* in one plane; a second rectangle beside it puts the first mesh's centre farther away */
      vk_err err = VK_ERR_INIT;
      vk_mesh near = {0}, far = {0};
      for (int i = 0; i < 8; i++) {
        bool right = (i & 3) == 1 || (i & 3) == 2, up = (i & 3) >= 2;
        vk_vertex v = {{right ? 1 : -1, up ? 1 : -1, i < 4 ? -1 : -8}, {0, 0, 1}, {0}};
        if (i < 4)
          vk_assert_ok(vk_mesh_add_vertex(&near, &v, &err), &err);
        vk_assert_ok(vk_mesh_add_vertex(&far, &v, &err), &err);
      }
      for (uint32_t i = 0; i < 8; i += 4)
        for (uint32_t k = 1; k < 3; k++) {
          vk_assert_ok(vk_mesh_add_triangle(&far, i, i + k, i + k + 1, &err), &err);
          if (i == 0)
            vk_assert_ok(vk_mesh_add_triangle(&near, 0, k, k + 1, &err), &err);
        }
      uint32_t mesh[2] = {add_shape(w, &far), add_shape(w, &near)};
      add_item(w, mesh[order], red);
      add_item(w, mesh[!order], green);
      world_build(w);
      vk_render_config c = config_of(16);
      c.n_sample = n_sample;
      draw(w, &c, p);
      for (int i = 0; i < 256; i++)
        assert_pixel(p, 16, i % 16, i / 16, 0, 255, 0);
      world_free(w);
    }
}

static void test_pictures_are_those_of_the_reference(void **state)
{
  static uint8_t p[SIDE * SIDE * 3];
  static ref_pixel want[SIDE * SIDE];
  static double depth[SIDE * SIDE];
  for (uint32_t seed = 1; seed <= 4; seed++) {
    world *w = random_world(seed, false);
    vk_render_config c = config_of(SIDE);
    draw(w, &c, p);
    ref_draw(&w->view, SIDE, SIDE, want, depth);
    int n_sure = 0, n_off = 0;
    for (int i = 0; i < SIDE * SIDE; i++) {
      if (want[i].is_doubtful)
        continue;
      n_sure++;
      for (int k = 0; k < 3; k++)
        if (fabs(p[3 * i + k] - want[i].rgb[k]) > 3.5) {
          if (n_off++ < 10)
            print_error("seed %u, pixel %d, %d: channel %d is %d, not %.2f\n", seed, i % SIDE,
                        i / SIDE, k, p[3 * i + k], want[i].rgb[k]);
          break;
        }
    }
    assert_true(n_sure > SIDE * SIDE * 8 / 10);
    assert_int_equal(n_off, 0);
    world_free(w);
  }
}

static void test_paths_agree(void **state)
{
  static uint8_t one[SIDE * SIDE * 3], other[SIDE * SIDE * 3];
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  for (int n_sample = 1; n_sample <= 4; n_sample += 3)
    for (uint32_t seed = 1; seed <= 4; seed++) {
      world *w = random_world(seed, true);
      vk_render_config c = config_of(SIDE);
      c.n_sample = n_sample;
      draw(w, &c, one);
      for (c.isa = VK_ISA_AVX2; c.isa <= vk_isa_best(&cpu); c.isa++) {
        draw(w, &c, other);
        assert_memory_equal(one, other, sizeof one);
      }
      world_free(w);
    }
}

/* ---- coverage ------------------------------------------------------------------------------- */

/* A jittered grid of n x n cells, two triangles each, far beyond the picture's sides. */
static uint32_t add_net(world *w, int n, uint32_t seed)
{
  vk_err err = VK_ERR_INIT;
  vk_mesh mesh = {0};
  vk_mt19937 rng;
  vk_mt19937_seed(&rng, seed);
  for (int i = 0; i < (n + 1) * (n + 1); i++) {
    double x = i % (n + 1), y = i / (n + 1);
    if (x > 0 && x < n)
      x += vk_mt19937_uniform(&rng, -0.24, 0.24);
    if (y > 0 && y < n)
      y += vk_mt19937_uniform(&rng, -0.24, 0.24);
    vk_vertex v = {{(float)(x * 2.4 / n - 1.2), (float)(y * 2.4 / n - 1.2), -1}, {0, 0, 1}, {0}};
    vk_assert_ok(vk_mesh_add_vertex(&mesh, &v, &err), &err);
  }
  for (int i = 0; i < n * n; i++) {
    uint32_t a = (uint32_t)(i / n * (n + 1) + i % n), b = a + (uint32_t)n + 1;
    vk_assert_ok(vk_mesh_add_triangle(&mesh, a, a + 1, b, &err), &err);
    vk_assert_ok(vk_mesh_add_triangle(&mesh, a + 1, b + 1, b, &err), &err);
  }
  return add_shape(w, &mesh);
}

/* Drawn transparent, a sample that two triangles cover, or none, has another colour. */
static void test_neighbours_leave_no_gap_and_overlap_nowhere(void **state)
{
  const int cells[] = {1, 2, 3, 16, 150};
  for (size_t i = 0; i < VK_COUNT(cells); i++)
    for (int n_sample = 1; n_sample <= 4; n_sample += 3) {
      world *w = world_new();
      vk_render_item *item =
          add_item(w, add_net(w, cells[i], (uint32_t)i), add_material(w, 1, 1, 1, 0.5f));
      item->p_world[0] = 0.0123f;
      world_build(w);
      vk_render_config c = config_of(150);
      c.n_sample = n_sample;
      uint8_t *p = malloc(150 * 150 * 3);
      draw(w, &c, p);
      for (int k = 0; k < 150 * 150 * 3; k++) {
        if (p[k] != 192) /* 255 (1 - 0.5^2), by way of 128 */
          print_error("%d cells, %d samples: pixel %d, %d is %d\n", cells[i], n_sample, k / 3 % 150,
                      k / 450, p[k]);
        assert_int_equal(p[k], 192);
      }
      free(p);
      world_free(w);
    }
}

static void test_four_samples_are_averaged(void **state)
{
  world *w = world_new();
  uint8_t p[16 * 16 * 3];
  /* From x = 4.5 to 8.25: of pixel 4 the two samples at 0.625 and 0.875, of pixel 8 that at 0.125.
   */
  add_item(w, add_rectangle(w, -3.5f / 8, -2, 0.25f / 8, 2, -1), add_material(w, 1, 1, 1, 1));
  world_build(w);
  vk_render_config c = config_of(16);
  c.n_sample = 4;
  draw(w, &c, p);
  for (int y = 0; y < 16; y++)
    for (int x = 0; x < 16; x++) {
      int want = x == 4 ? 128 : x == 8 ? 64 : x > 4 && x < 8 ? 255 : 0;
      assert_pixel(p, 16, x, y, want, want, want);
    }
  world_free(w);
}

static void test_meshes_seen_from_behind_are_not_drawn(void **state)
{
  world *w = world_new();
  uint8_t p[16 * 16 * 3];
  vk_render_item *item =
      add_item(w, add_rectangle(w, -1, -1, 1, 1, 0), add_material(w, 1, 1, 1, 1));
  item->R_world[0] = item->R_world[8] = -1; /* half a turn about y */
  item->p_world[2] = -1;
  world_build(w);
  vk_render_config c = config_of(16);
  draw(w, &c, p);
  for (int i = 0; i < 256; i++)
    assert_pixel(p, 16, i % 16, i / 16, 0, 0, 0);
  world_free(w);
}

/* ---- clipping ------------------------------------------------------------------------------- */

/* A floor from behind the camera to the distance, as two triangles: its texture must be right up to
 * the picture's lower edge. */
static void test_what_reaches_behind_the_camera_is_clipped(void **state)
{
  static uint8_t p[SIDE * SIDE * 3];
  static ref_pixel want[SIDE * SIDE];
  static double depth[SIDE * SIDE];
  vk_err err = VK_ERR_INIT;
  world *w = world_new();
  uint8_t texel[8 * 8 * 3];
  for (int i = 0; i < 8 * 8 * 3; i++)
    texel[i] = (uint8_t)(37 * i);
  vk_image picture = {.width = 8, .height = 8, .n_channel = 3, .pixel = texel};
  vk_visuals_material m = {.texture = vk_visuals_put_picture(&w->b, "t", &picture, 8),
                           .rgba = {1, 1, 1, 1}};
  vk_mesh mesh = {0};
  for (int i = 0; i < 4; i++) { /* y up is the normal; z from 30 to -40 */
    float x = i == 1 || i == 2 ? 20 : -20, z = i >= 2 ? -40 : 30;
    vk_vertex v = {{x, -0.3f, z}, {0, 1, 0}, {x / 10, z / 10, 0}};
    vk_assert_ok(vk_mesh_add_vertex(&mesh, &v, &err), &err);
  }
  vk_assert_ok(vk_mesh_add_triangle(&mesh, 0, 1, 2, &err), &err);
  vk_assert_ok(vk_mesh_add_triangle(&mesh, 0, 2, 3, &err), &err);
  add_item(w, add_shape(w, &mesh), vk_visuals_put_material(&w->b, &m, 1));
  world_build(w);
  vk_render_config c = config_of(SIDE);
  draw(w, &c, p);
  ref_draw(&w->view, SIDE, SIDE, want, depth);
  int n_floor = 0;
  for (int i = 0; i < SIDE * SIDE; i++) {
    n_floor += depth[i] > 0;
    for (int k = 0; k < 3 && !want[i].is_doubtful; k++)
      vk_assert_close(p[3 * i + k], want[i].rgb[k], 3.5, 0);
  }
  assert_in_range(n_floor, SIDE * SIDE * 45 / 100, SIDE * SIDE / 2);
  world_free(w);
}

static void test_meshes_far_outside_do_no_harm(void **state)
{
  static uint8_t p[SIDE * SIDE * 3];
  vk_err err = VK_ERR_INIT;
  vk_mt19937 rng;
  vk_mt19937_seed(&rng, 5);
  world *w = world_new();
  const float size[3] = {0.5f, 0.5f, 0.5f};
  vk_mesh mesh = {0};
  vk_assert_ok(vk_mesh_add_box(&mesh, size, &err), &err);
  uint32_t box = add_shape(w, &mesh),
           paint[2] = {add_material(w, 1, 0, 0, 1), add_material(w, 0, 1, 0, 0.5f)};
  for (int i = 0; i < 40; i++)
    add_item(w, box, paint[i & 1]);
  world_build(w);
  vk_render_config c = config_of(SIDE);
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  for (int turn = 0; turn < 60; turn++) {
    c.n_sample = turn % 2 ? 4 : 1;
    c.isa = turn % 3 < (int)vk_isa_best(&cpu) ? turn % 3 : 0;
    for (int i = 0; i < w->view.n_item; i++) {
      /* some anywhere, some about the camera, some with a corner in it, some at the planes */
      double far = exp(vk_mt19937_uniform(&rng, -12, turn % 5 ? 3 : 80));
      for (int k = 0; k < 3; k++)
        w->item[i].p_world[k] = (float)(far * vk_mt19937_uniform(&rng, -1, 1));
      if (i % 7 == 0)
        w->item[i].p_world[i % 3] = 0.5f;
      if (i % 7 == 1)
        w->item[i].p_world[2] = -50.5f;
    }
    draw(w, &c, p);
  }
  world_free(w);
}

/* ---- colours -------------------------------------------------------------------------------- */

static void test_transparent_meshes_are_blended_twice(void **state)
{
  world *w = world_new();
  uint8_t p[16 * 16 * 3];
  uint32_t veil = add_material(w, 0, 1, 0, 0.25f);
  /* the farther veil is first in the scene and must be blended first on the way back */
  add_item(w, add_rectangle(w, -3, -3, 3, 3, -2), add_material(w, 0, 0, 1, 0.5f));
  add_item(w, add_rectangle(w, -3, -3, 3, 3, -1), veil);
  add_item(w, add_rectangle(w, -9, -9, 0, 9, -3), add_material(w, 1, 0, 0, 1));
  add_item(w, add_rectangle(w, -4, -4, 4, 4, -4), veil); /* hidden by the red one on the left */
  world_build(w);
  vk_render_config c = config_of(16);
  draw(w, &c, p);
  double left[3] = {255, 0, 0}, right[3] = {0, 0, 0};
  const struct {
    double alpha;
    int channel;
    bool both;
  } layer[6] = {{0.25, 1, true},  {0.5, 2, true}, {0.25, 1, false},
                {0.25, 1, false}, {0.5, 2, true}, {0.25, 1, true}};
  for (int i = 0; i < 6; i++)
    for (int k = 0; k < 3; k++) {
      double add = k == layer[i].channel ? 255 * layer[i].alpha : 0;
      right[k] = right[k] * (1 - layer[i].alpha) + add;
      if (layer[i].both)
        left[k] = left[k] * (1 - layer[i].alpha) + add;
    }
  for (int k = 0; k < 3; k++) {
    vk_assert_close(p[3 * (8 * 16 + 3) + k], left[k], 2, 0);
    vk_assert_close(p[3 * (8 * 16 + 12) + k], right[k], 2, 0);
  }
  world_free(w);
}

/* A wall one texel or 2^k texels a pixel: level k exactly, so its texels as they are. */
static void test_mip_levels_fit_the_distance(void **state)
{
  enum { N = 64 };
  static uint8_t texel[N * N * 3], p[N * N * 3];
  vk_mt19937 rng;
  vk_mt19937_seed(&rng, 3);
  for (int i = 0; i < N * N * 3; i++)
    texel[i] = (uint8_t)(vk_mt19937_next(&rng) & 255);
  for (int k = 0; k < 3; k++) {
    world *w = world_new();
    vk_image picture = {.width = N, .height = N, .n_channel = 3, .pixel = texel};
    vk_visuals_material m = {.texture = vk_visuals_put_picture(&w->b, "t", &picture, N),
                             .rgba = {1, 1, 1, 1}};
    float half = 1.0f / (float)(1 << k);
    add_item(w, add_rectangle(w, -half, -half, half, half, -1),
             vk_visuals_put_material(&w->b, &m, 1));
    world_build(w);
    vk_render_config c = config_of(N);
    draw(w, &c, p);
    const uint32_t *want = w->visuals.texel + w->visuals.texture[0].first;
    int n = N >> k, first = (N - n) / 2;
    for (int i = 0; i < k; i++)
      want += (N >> i) * (N >> i);
    for (int i = 0; i < n * n; i++) {
      const uint8_t *got = p + 3 * ((first + i / n) * N + first + i % n);
      for (int ch = 0; ch < 3; ch++)
        vk_assert_close(got[ch], want[i] >> (8 * ch) & 255, 3, 0);
    }
    world_free(w);
  }
}

/* A floor that reflects shows what stands on it upside down, with half of its colour, added to its
 * own; what is beneath it is not shown. */
static void test_a_flat_face_reflects(void **state)
{
  static uint8_t plain_floor[SIDE * SIDE * 3], below[SIDE * SIDE * 3], got[SIDE * SIDE * 3];
  vk_err err = VK_ERR_INIT;
  const float floor_size[3] = {20, 20, 0.5f}, size[3] = {0.3f, 0.2f, 0.1f};
  vk_mesh mesh = {0};
  for (int n_sample = 1; n_sample <= 4; n_sample += 3) {
    world *w = world_new();
    memset(w->look.headlight_ambient, 0, sizeof w->look.headlight_ambient);
    vk_visuals_material m[4] = {{.rgba = {0.2f, 0.1f, 0.4f, 1}, .reflectance = 0.5f},
                                {.rgba = {0.2f, 0.1f, 0.4f, 1}},
                                {.rgba = {0.8f, 0.4f, 1, 1}},
                                {.rgba = {0.4f, 0.2f, 0.5f, 1}}};
    for (int i = 0; i < 4; i++) {
      m[i].texture = VK_VISUALS_NONE;
      m[i].emission = 1;
    }
    uint32_t paint = vk_visuals_put_material(&w->b, m, 4);
    vk_assert_ok(vk_mesh_add_box(&mesh, floor_size, &err), &err);
    uint32_t floor = add_shape(w, &mesh);
    vk_assert_ok(vk_mesh_add_box(&mesh, size, &err), &err);
    uint32_t box = add_shape(w, &mesh);
    const float lying[9] = {1, 0, 0, 0, 0, 1, 0, -1, 0}; /* its z is up */
    vk_render_item item[4];
    memcpy(add_item(w, floor, paint)->R_world, lying, sizeof lying);
    w->item[0].p_world[1] = -1.1f; /* its face is at y = -0.6 */
    const float at[3][3] = {{0.4f, -0.2f, -2}, {-0.5f, -0.1f, -2.5f}, {0, -0.9f, -2}};
    for (int i = 0; i < 3; i++)
      memcpy(add_item(w, box, paint + 2)->p_world, at[i], sizeof at[i]);
    world_build(w);
    memcpy(item, w->item, sizeof item);
    vk_render_config c = config_of(SIDE);
    c.n_sample = n_sample;
    draw(w, &c, got);
    w->item[0].material = paint + 1;
    draw(w, &c, plain_floor);
    for (int i = 0; i < 2; i++) { /* the boxes below the floor, without it */
      w->item[i] = item[1 + i];
      w->item[i].material = paint + 3;
      w->item[i].p_world[1] = -1.2f - item[1 + i].p_world[1];
    }
    w->view.n_item = 2;
    draw(w, &c, below);
    int n_floor = 0, n_shown = 0;
    for (int i = 0; i < SIDE * SIDE; i++) {
      const uint8_t *p = plain_floor + 3 * i;
      bool is_floor = p[0] == 51 && p[1] == 26 && p[2] == 102;
      n_floor += is_floor;
      n_shown += is_floor && below[3 * i];
      for (int k = 0; k < 3 && (is_floor || !below[3 * i]); k++)
        vk_assert_close(got[3 * i + k], fmin(255, p[k] + (is_floor ? below[3 * i + k] : 0)), 1, 0);
    }
    assert_true(n_floor > SIDE * SIDE / 5);
    assert_true(n_shown > 150);
    world_free(w);
  }
}

/* ---- the picture's form --------------------------------------------------------------------- */

static void test_turns(void **state)
{
  static uint8_t gl[20 * 12 * 3], p[20 * 12 * 3];
  world *w = world_new();
  add_item(w, add_rectangle(w, -0.5f, 0, 0.1f, 0.4f, -1), add_material(w, 1, 0.5f, 0.25f, 1));
  add_item(w, add_rectangle(w, 0.3f, -0.7f, 0.6f, 0.4f, -1), add_material(w, 0, 0.5f, 1, 1));
  world_build(w);
  vk_render_config c = config_of(12);
  c.width = 20;
  draw(w, &c, gl);
  for (c.turn = VK_TURN_UPRIGHT; c.turn <= VK_TURN_ROTATE_180; c.turn++) {
    draw(w, &c, p);
    for (int y = 0; y < 12; y++)
      for (int x = 0; x < 20; x++) {
        int row = c.turn == VK_TURN_GL ? y : 11 - y,
            col = c.turn == VK_TURN_ROTATE_180 ? 19 - x : x;
        assert_memory_equal(p + 3 * (row * 20 + col), gl + 3 * (y * 20 + x), 3);
      }
  }
  assert_pixel(gl, 20, 8, 7, 255, 128, 64);
  world_free(w);
}

static void test_coarser_levels_are_taken_far_away(void **state)
{
  vk_err err = VK_ERR_INIT;
  uint8_t p[16 * 16 * 3];
  world *w = world_new();
  vk_mesh level[2] = {{0}, {0}};
  const float big[3] = {1, 1, 1}, small[3] = {0.9f, 0.9f, 0.01f}, error_m[2] = {0, 0.1f};
  vk_assert_ok(vk_mesh_add_plane(&level[0], big, &err), &err);
  vk_assert_ok(vk_mesh_add_box(&level[1], small, &err), &err);
  uint32_t mesh = vk_visuals_put_levels(&w->b, "plane", level, error_m, 2);
  vk_render_item *item = add_item(w, mesh, add_material(w, 1, 1, 1, 1));
  world_build(w);
  vk_render_config c = config_of(16);
  c.level_error_px = 0.5f;
  /* 0.1 m are 0.8 pixels at depth 1, and less than half a pixel beyond 1.6 m of the sphere. */
  item->p_world[2] = -2;
  int64_t near = draw(w, &c, p).n_triangle;
  item->p_world[2] = -4;
  int64_t far = draw(w, &c, p).n_triangle;
  assert_int_equal(near, level[0].n_triangle);
  assert_int_equal(far, level[1].n_triangle);
  vk_mesh_free(&level[0]);
  vk_mesh_free(&level[1]);
  world_free(w);
}

static void test_what_cannot_be_drawn_is_refused(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_renderer *r;
  vk_render_config c = config_of(7);
  assert_int_equal(vk_renderer_new(&r, &c, pool, &err), VK_E_RANGE);
  assert_non_null(strstr(err.text, "7 pixels wide"));
  c = config_of(64);
  c.height = 2049;
  assert_int_equal(vk_renderer_new(&r, &c, pool, &err), VK_E_RANGE);
  assert_non_null(strstr(err.text, "2049 pixels high"));
  c = config_of(64);
  c.n_sample = 2;
  assert_int_equal(vk_renderer_new(&r, &c, pool, &err), VK_E_RANGE);
  assert_null(r);
  vk_renderer_free(NULL);
}

/* Visuals that are right may still name so much that counters or time would not do. */
static void test_too_much_to_draw_is_refused(void **state)
{
  enum { N = (1 << 14) + 1, N_SIDE = 46 };
  vk_err err = VK_ERR_INIT;
  vk_renderer *r;
  world *w = world_new();
  vk_render_item *item = calloc(N, sizeof *item);
  uint8_t p[16 * 16 * 3];
  uint32_t net = add_net(w, N_SIDE, 1);
  add_item(w, net, add_material(w, 1, 1, 1, 1));
  world_build(w);
  vk_render_config c = config_of(16);
  assert_non_null(item);
  for (int i = 0; i < N; i++)
    item[i] = w->item[0];
  w->view.item = item;
  w->view.pixel = p;
  vk_assert_ok(vk_renderer_new(&r, &c, pool, &err), &err);
  w->view.n_item = N; /* too many items */
  assert_int_equal(vk_render_view(r, &w->view, NULL, &err), VK_E_RANGE);
  assert_non_null(strstr(err.text, "16385 meshes"));
  w->view.n_item = N - 1; /* of 2 * 46 * 46 triangles each */
  assert_int_equal(vk_render_view(r, &w->view, NULL, &err), VK_E_RANGE);
  assert_non_null(strstr(err.text, "69337088 triangles"));
  w->view.n_item = 1;
  vk_assert_ok(vk_render_view(r, &w->view, NULL, &err), &err);
  vk_renderer_free(r);
  world_free(w);
  free(item);
}

/* ---- scenes --------------------------------------------------------------------------------- */

/* A batch of both cameras' pictures has the same bits on one thread and on two, and those of each
 * picture alone. */
static void test_batches_do_not_depend_on_threads(void **state)
{
  enum { N = 6, S = 48 };
  static uint8_t one[N][S * S * 3], two[N][S * S * 3];
  vk_err err = VK_ERR_INIT;
  vk_pack pack;
  vk_visuals visuals;
  vk_scene *scene;
  vk_stage *stage;
  vk_pool *pair;
  vk_renderer *r[2];
  uint32_t task[1], n_task;
  vk_assert_ok(vk_pack_open(&pack, VK_SOURCE_DIR "/data/libero.pack", &err), &err);
  vk_assert_ok(vk_pack_find_tasks(&pack, "libero_object/0", task, &n_task, &err), &err);
  vk_assert_ok(vk_scene_new(&scene, &pack, task[0], NULL, &err), &err);
  vk_assert_ok(vk_visuals_choose(&visuals, "stand-in", &pack, &err), &err);
  vk_assert_ok(vk_stage_new(&stage, scene, &visuals, &err), &err);
  vk_assert_ok(vk_pool_new(&pair, 2, &err), &err);
  size_t n = (size_t)vk_picture_n_state(scene);
  double *row = malloc(N * n * sizeof *row);
  vk_shot shot[N];
  vk_render_config c = config_of(S);
  vk_assert_ok(vk_renderer_new(&r[0], &c, pool, &err), &err);
  vk_assert_ok(vk_renderer_new(&r[1], &c, pair, &err), &err);
  const char *const camera[2] = {"agentview", "robot0_eye_in_hand"};
  for (int i = 0; i < N; i++) {
    vk_picture_default(scene, scene->model->qpos0, row + (size_t)i * n);
    row[(size_t)i * n] += 0.1 * (i / 2); /* the arm's first joint */
    shot[i] = (vk_shot){.stage = stage, .state = row + (size_t)i * n, .pixel = one[i]};
    vk_assert_ok(vk_stage_find_camera(stage, camera[i % 2], &shot[i].i_camera, &err), &err);
  }
  vk_assert_ok(vk_render(r[0], shot, N, NULL, &err), &err);
  for (int i = 0; i < N; i++)
    shot[i].pixel = two[i];
  vk_assert_ok(vk_render(r[1], shot, N, NULL, &err), &err);
  assert_memory_equal(one, two, sizeof one);
  memset(two, 0, sizeof two);
  for (int i = N - 1; i >= 0; i--)
    vk_assert_ok(vk_render(r[1], &shot[i], 1, NULL, &err), &err);
  assert_memory_equal(one, two, sizeof one);
  assert_memory_not_equal(one[0], one[2], sizeof one[0]);
  assert_int_equal(vk_stage_find_camera(stage, "agent", &shot[0].i_camera, &err), VK_E_USAGE);
  assert_non_null(strstr(err.text, "agentview"));
  vk_renderer_free(r[0]);
  vk_renderer_free(r[1]);
  vk_pool_free(pair);
  free(row);
  vk_stage_free(stage);
  vk_visuals_close(&visuals);
  vk_scene_free(scene);
  vk_pack_close(&pack);
}

static int set_up(void **state)
{
  return vk_pool_new(&pool, 1, NULL) == VK_OK ? 0 : -1;
}

static int tear_down(void **state)
{
  vk_pool_free(pool);
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rectangles_cover_their_pixels_and_the_nearest_wins),
      cmocka_unit_test(test_later_items_win_ties),
      cmocka_unit_test(test_pictures_are_those_of_the_reference),
      cmocka_unit_test(test_paths_agree),
      cmocka_unit_test(test_neighbours_leave_no_gap_and_overlap_nowhere),
      cmocka_unit_test(test_four_samples_are_averaged),
      cmocka_unit_test(test_meshes_seen_from_behind_are_not_drawn),
      cmocka_unit_test(test_what_reaches_behind_the_camera_is_clipped),
      cmocka_unit_test(test_meshes_far_outside_do_no_harm),
      cmocka_unit_test(test_transparent_meshes_are_blended_twice),
      cmocka_unit_test(test_mip_levels_fit_the_distance),
      cmocka_unit_test(test_a_flat_face_reflects),
      cmocka_unit_test(test_turns),
      cmocka_unit_test(test_coarser_levels_are_taken_far_away),
      cmocka_unit_test(test_what_cannot_be_drawn_is_refused),
      cmocka_unit_test(test_too_much_to_draw_is_refused),
      cmocka_unit_test(test_batches_do_not_depend_on_threads),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
