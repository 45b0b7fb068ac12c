/* test_standin.c - stand-in visuals: something for everything in the pack, of the size of what it
 * stands for, told apart by colour, the same bytes each time; and data files that are wrong. */
#include <stdio.h>
#include <stdlib.h>

#include "sim/mjcf.h"
#include "sim/standin.h"
#include "sim/standin_internal.h"
#include "sim/visuals.h"
#include "test.h"

static vk_pack pack;
static vk_visuals visuals;
static vk_err err;

static int setup(void **state)
{
  vk_assert_ok(vk_pack_open(&pack, VK_SOURCE_DIR "/data/libero.pack", &err), &err);
  vk_assert_ok(vk_standin_build(&visuals, &pack, &err), &err);
  return 0;
}

static int teardown(void **state)
{
  vk_visuals_close(&visuals);
  vk_pack_close(&pack);
  return 0;
}

/* ---- what there is -------------------------------------------------------------------------- */

static void check_described(const char *name, uint32_t geom, uint32_t n_geom)
{
  assert_true(n_geom > 0);
  for (uint32_t i = geom; i < geom + n_geom; i++) {
    const vk_visuals_material *m = &visuals.material[visuals.geom[i].material];
    if (strcmp(vk_visuals_text(&visuals, m->name), "plain") == 0)
      fail_msg("data/standin.json does not describe all of %s", name);
  }
}

static void everything_has_a_look(void **state)
{
  assert_string_equal(visuals.name, "stand-in");
  assert_int_equal(visuals.n_model, pack.n_class_);
  for (size_t i = 0; i < pack.n_class_; i++) {
    const char *name = vk_pack_text(&pack, pack.class_[i].name);
    const vk_visuals_model *m = vk_visuals_find_model(&visuals, name);
    assert_non_null(m);
    check_described(name, m->geom, m->n_geom);
  }
  assert_int_equal(visuals.n_look, pack.n_problem);
  for (size_t i = 0; i < pack.n_problem; i++) {
    const char *name = vk_pack_text(&pack, pack.problem[i].name);
    const vk_visuals_look *l = vk_visuals_find_look(&visuals, name);
    assert_non_null(l);
    check_described(name, l->geom, l->n_geom);
    assert_true(l->n_light >= 2 && l->sky != VK_VISUALS_NONE);
  }
}

static void flame_is_the_stoves(void **state)
{
  int n = 0;
  for (size_t i = 0; i < visuals.n_geom; i++)
    n += (visuals.geom[i].flags & VK_VISUALS_FLAME) != 0;
  assert_int_equal(n, 1);
}

static void same_bytes_again(void **state)
{
  vk_visuals again;
  vk_assert_ok(vk_standin_build(&again, &pack, &err), &err);
  assert_string_equal(again.hash, visuals.hash);
  vk_visuals_close(&again);
}

/* Coarser levels are smaller, and the light falls on the outside of every triangle. */
static void meshes_are_sound(void **state)
{
  for (size_t i = 0; i < visuals.n_mesh; i++) {
    const vk_visuals_mesh *mesh = &visuals.mesh[i];
    for (uint32_t k = 0; k < mesh->n_level; k++) {
      const vk_visuals_level *l = &visuals.level[mesh->level + k];
      const uint32_t nv = vk_visuals_padded(l->n_vertex), nt = vk_visuals_padded(l->n_triangle);
      const float *f = visuals.f32 + l->first_f32;
      const uint32_t *index = visuals.index + l->first_index;
      if (k > 0) {
        assert_true(l->n_triangle < l[-1].n_triangle);
        assert_true(l->error_m >= l[-1].error_m && l->error_m < 0.25f * mesh->radius_m);
      }
      for (uint32_t t = 0; t < l->n_triangle; t++) {
        const uint32_t v[3] = {index[t], index[nt + t], index[2 * nt + t]};
        double e[2][3], along = 0, area2 = 0;
        for (uint32_t a = 0; a < 3; a++)
          for (int j = 0; j < 2; j++)
            e[j][a] = (double)f[a * nv + v[j + 1]] - f[a * nv + v[0]];
        for (uint32_t a = 0; a < 3; a++) {
          const uint32_t b = (a + 1) % 3, c = (a + 2) % 3;
          const double n = e[0][b] * e[1][c] - e[0][c] * e[1][b];
          area2 += n * n;
          for (int j = 0; j < 3; j++)
            along += n * f[(3 + a) * nv + v[j]];
        }
        if (area2 > 1e-18 && along < 0)
          fail_msg("%s: a triangle of level %u faces inwards",
                   vk_visuals_text(&visuals, mesh->name), k);
      }
    }
  }
}

/* ---- sizes ---------------------------------------------------------------------------------- */

typedef struct extent {
  double lo[3], hi[3];
  bool is_set;
} extent;

static void extend(extent *e, const double p[3], double margin)
{
  for (int k = 0; k < 3; k++) {
    e->lo[k] = e->is_set ? fmin(e->lo[k], p[k] - margin) : p[k] - margin;
    e->hi[k] = e->is_set ? fmax(e->hi[k], p[k] + margin) : p[k] + margin;
  }
  e->is_set = true;
}

static void collision_extent(extent *e, uint32_t body)
{
  vk_standin_solid solid = {0};
  vk_standin_source source;
  const double repeat_m[2] = {1, 1};
  vk_assert_ok(vk_standin_source_init(&source, &pack, &err), &err);
  vk_assert_ok(vk_standin_collision(&solid, &source, body, NULL, repeat_m, &err), &err);
  for (uint32_t i = 0; i < solid.level[0].n_vertex; i++) {
    const float *p = solid.level[0].vertex[i].p;
    extend(e, (const double[3]){p[0], p[1], p[2]}, 0);
  }
  vk_standin_solid_free(&solid);
  vk_standin_source_fini(&source);
}

static void drawn_extent(extent *e, const vk_visuals_model *model, const char *body)
{
  for (uint32_t i = model->geom; i < model->geom + model->n_geom; i++) {
    const vk_visuals_geom *g = &visuals.geom[i];
    if (strcmp(vk_visuals_text(&visuals, g->body), body) != 0)
      continue;
    const vk_visuals_level *l = &visuals.level[visuals.mesh[g->mesh].level];
    const uint32_t nv = vk_visuals_padded(l->n_vertex);
    const float *f = visuals.f32 + l->first_f32;
    for (uint32_t v = 0; v < l->n_vertex; v++)
      extend(e, (const double[3]){f[v], f[nv + v], f[2 * nv + v]}, 0);
  }
}

/* Tilted boxes reach further with their corners than the round thing that they stand for. */
static const double tolerance_m = 0.0025;

static void check_bodies(const vk_visuals_model *model, uint32_t elem)
{
  const char *name = vk_standin_elem_text(&pack, elem, VK_MJCF_KEY_NAME);
  extent hit = {.is_set = false}, seen = {.is_set = false};
  collision_extent(&hit, elem);
  drawn_extent(&seen, model, name);
  if (hit.is_set) {
    assert_true(seen.is_set);
    for (int k = 0; k < 3; k++)
      if (!(fabs(hit.lo[k] - seen.lo[k]) <= tolerance_m &&
            fabs(hit.hi[k] - seen.hi[k]) <= tolerance_m))
        fail_msg("%s, body %s: along %c it is drawn from %.4f to %.4f m, but collides from %.4f "
                 "to %.4f m",
                 vk_visuals_text(&visuals, model->name), name, "xyz"[k], seen.lo[k], seen.hi[k],
                 hit.lo[k], hit.hi[k]);
  }
  for (uint32_t i = pack.elem[elem].first_child; i != VK_PACK_NONE; i = pack.elem[i].next_sibling)
    if (pack.elem[i].tag == VK_MJCF_TAG_BODY)
      check_bodies(model, i);
}

static void sizes_are_those_that_collide(void **state)
{
  for (size_t i = 0; i < pack.n_class_; i++)
    check_bodies(vk_visuals_find_model(&visuals, vk_pack_text(&pack, pack.class_[i].name)),
                 pack.class_[i].body);
}

/* ---- colours -------------------------------------------------------------------------------- */

/* The mean colour of a texture: its last mipmap. */
static void texture_mean(uint32_t i, double rgb[3])
{
  const vk_visuals_texture *t = &visuals.texture[i];
  size_t n = 0;
  for (uint32_t w = t->width, h = t->height; w > 1 || h > 1;
       w = w > 1 ? w / 2 : 1, h = h > 1 ? h / 2 : 1)
    n += (size_t)w * h;
  for (int k = 0; k < 3; k++)
    rgb[k] = (visuals.texel[t->first + n] >> 8 * k & 255) / 255.0;
}

static double mesh_area(uint32_t i)
{
  const vk_visuals_level *l = &visuals.level[visuals.mesh[i].level];
  const uint32_t nv = vk_visuals_padded(l->n_vertex), nt = vk_visuals_padded(l->n_triangle);
  const float *f = visuals.f32 + l->first_f32;
  const uint32_t *index = visuals.index + l->first_index;
  double sum = 0;
  for (uint32_t t = 0; t < l->n_triangle; t++) {
    double e[2][3], area2 = 0;
    for (uint32_t a = 0; a < 3; a++)
      for (uint32_t j = 0; j < 2; j++)
        e[j][a] = (double)f[a * nv + index[(j + 1) * nt + t]] - f[a * nv + index[t]];
    for (uint32_t a = 0; a < 3; a++) {
      const double n =
          e[0][(a + 1) % 3] * e[1][(a + 2) % 3] - e[0][(a + 2) % 3] * e[1][(a + 1) % 3];
      area2 += n * n;
    }
    sum += sqrt(area2) / 2;
  }
  return sum;
}

static void model_mean(const char *name, double rgb[3])
{
  const vk_visuals_model *model = vk_visuals_find_model(&visuals, name);
  double total = 0;
  assert_non_null(model);
  rgb[0] = rgb[1] = rgb[2] = 0;
  for (uint32_t i = model->geom; i < model->geom + model->n_geom; i++) {
    const vk_visuals_material *m = &visuals.material[visuals.geom[i].material];
    const double area = mesh_area(visuals.geom[i].mesh);
    double t[3] = {1, 1, 1};
    if (m->texture != VK_VISUALS_NONE)
      texture_mean(m->texture, t);
    for (int k = 0; k < 3; k++)
      rgb[k] += area * t[k] * m->rgba[k];
    total += area;
  }
  for (int k = 0; k < 3; k++)
    rgb[k] /= total;
}

static void alike_things_differ_in_colour(void **state)
{
  static const char *const groups[][7] = {
      {"porcelain_mug", "red_coffee_mug", "white_yellow_mug"},
      {"cream_cheese", "butter", "chocolate_pudding", "cookies"},
      {"black_book", "yellow_book"},
      {"milk", "orange_juice"},
      {"alphabet_soup", "tomato_sauce"},
      {"ketchup", "salad_dressing", "new_salad_dressing", "bbq_sauce", "wine_bottle"},
      {"akita_black_bowl", "white_bowl"},
      {"wooden_cabinet", "white_cabinet"},
  };
  for (size_t g = 0; g < VK_COUNT(groups); g++)
    for (int i = 0; groups[g][i]; i++)
      for (int j = 0; j < i; j++) {
        double a[3], b[3], d = 0;
        model_mean(groups[g][i], a);
        model_mean(groups[g][j], b);
        for (int k = 0; k < 3; k++)
          d = fmax(d, fabs(a[k] - b[k]));
        if (d < 0.07)
          fail_msg("%s and %s have almost one colour: they differ by %.3f", groups[g][i],
                   groups[g][j], d);
      }
}

static void colours_are_as_named(void **state)
{
  double c[3];
  model_mean("ketchup", c);
  assert_true(c[0] > 1.8 * c[1] && c[0] > 2 * c[2]);
  model_mean("red_coffee_mug", c);
  assert_true(c[0] > 1.3 * c[1]);
  model_mean("yellow_book", c);
  assert_true(c[0] > 1.5 * c[2] && c[1] > 1.4 * c[2]);
  model_mean("cream_cheese", c);
  assert_true(c[2] > 1.2 * c[0]);
  model_mean("akita_black_bowl", c);
  assert_true(c[0] < 0.5);
}

/* ---- data files ----------------------------------------------------------------------------- */

#define HEAD(textures, materials, classes, looks, robots)                                          \
  "{\"version\": 1, \"textures\": {" textures "}, \"materials\": {" materials                      \
  "}, \"classes\": {" classes "}, \"looks\": {" looks "}, \"robots\": {" robots "}}"
#define FOUR_POINTS  "[0, 0], [1, 0], [1, 1], [0, 1], "
#define BOWL(shapes) HEAD("", "\"m\": {}", "\"white_bowl\": {\"shapes\": [" shapes "]}", "", "")

/* Nothing described: collision geometry, so that a new object is at least visible. */
static void collision_geometry_stands_in(void **state)
{
  static const char text[] = HEAD("", "", "", "", "");
  vk_visuals v;
  vk_assert_ok(vk_standin_build_from(&v, &pack, text, sizeof text - 1, "plain", &err), &err);
  for (size_t i = 0; i < v.n_model; i++)
    assert_true(v.model[i].n_geom > 0);
  for (size_t i = 0; i < v.n_look; i++)
    assert_true(v.look[i].n_geom > 8); /* the links of the robot */
  vk_visuals_close(&v);
}

/* Every shape and every step, drawn to the same bytes by every compiler and processor. */
static void bytes_do_not_depend_on_the_machine(void **state)
{
  static const char text[] = HEAD(
      "\"t\": {\"size\": [32, 16], \"draw\": ["
      "{\"step\": \"fill\", \"rgb\": [1, 0.3, 0]}, {\"step\": \"disk\", \"ring\": 0.5},"
      "{\"step\": \"stripes\", \"slant\": 0.3, \"alpha\": 0.4},"
      "{\"step\": \"noise\", \"octaves\": 3, \"rgb\": [0.1, 0.7, 0.3]},"
      "{\"step\": \"grain\", \"warp\": 2, \"alpha\": 0.3}, {\"step\": \"gaps\", \"alpha\": 0.2},"
      "{\"step\": \"tiles\", \"shift\": 0.3, \"rgb\": [0, 0, 1]}, {\"step\": \"blobs\", \"n\": 3},"
      "{\"step\": \"text\", \"text\": \"AB C\", \"in\": [0, 0, 1, 0.5]}]}",
      "\"m\": {\"texture\": \"t\", \"rgb\": [0.7, 1, 1]}",
      "\"white_bowl\": {\"shapes\": ["
      "{\"shape\": \"box\", \"material\": \"m\", \"half\": [0.1, 0.1, 0.1], "
      "\"at\": [0, 0, 1], \"turn\": [\"x\", 31, \"z\", 5.5]},"
      "{\"shape\": \"sheet\", \"material\": \"m\", \"half\": [1, 1], \"grid\": [2, 3]},"
      "{\"shape\": \"prism\", \"material\": \"m\", \"points\": [[0, 0], [1, 0], [0, 1]], "
      "\"half\": 0.5},"
      "{\"shape\": \"tube\", \"material\": \"m\", \"path\": [[0, 0, 0], [1, 0, 0], [1, 1, 0]], "
      "\"smooth\": 3, \"taper\": 0.5},"
      "{\"shape\": \"lathe\", \"material\": \"m\", \"profile\": [[0, 0], [1, 0], [1, 1], [0, 2]], "
      "\"smooth\": 3, \"arc\": [0, 100], \"scale\": [0.7, 1.1]},"
      "{\"shape\": \"ball\", \"material\": \"m\", \"half\": [1, 2, 3]},"
      "{\"shape\": \"collision\", \"material\": \"m\", \"only\": [\"g1\", \"g2\"]}]}",
      "\"libero_floor_manipulation\": {\"sky\": {\"below\": [0, 0, 0.2], \"above\": [1, 0.9, 1]}}",
      "");
  vk_visuals v;
  vk_assert_ok(vk_standin_build_from(&v, &pack, text, sizeof text - 1, "all", &err), &err);
  /* Changes with what a shape or step draws, and with the pack and the format of visuals. */
  assert_string_equal(v.hash, "b567303d367a16895336a87d40fa294c465782105acb44b8b2ef2efb37d3e468");
  vk_visuals_close(&v);
}

static void wrong_data_is_refused(void **state)
{
  static const struct {
    const char *text, *say[2];
  } cases[] = {
      {"", {"bad.json", ""}},
      {"[]", {"bad.json", ""}},
      {"{\"version\": 2}", {"version 2", "reads 1"}},
      {"{\"version\": 1}", {"\"textures\"", ""}},
      {HEAD("\"t\": {\"size\": [0, 4]}", "", "", "", ""), {"textures.t", "\"size\" has 0"}},
      {HEAD("\"t\": {\"size\": 4}", "", "", "", ""), {"textures.t", "2 numbers"}},
      {HEAD("\"t\": {\"draw\": [{}]}", "", "", "", ""), {"textures.t", "\"step\" is missing"}},
      {HEAD("\"t\": {\"draw\": [{\"step\": \"paint\"}]}", "", "", "", ""), {"paint", "blobs"}},
      {HEAD("\"t\": {\"draw\": [{\"step\": \"text\", \"text\": \"7\"}]}", "", "", "", ""),
       {"textures.t", "letters"}},
      {HEAD("\"t\": {\"draw\": [{\"step\": \"noise\", \"range\": [1, 1]}]}", "", "", "", ""),
       {"textures.t", "\"range\""}},
      {HEAD("", "\"m\": {\"rgb\": [1, 1, 2]}", "", "", ""), {"materials.m", "\"rgb\" has 2"}},
      {HEAD("", "\"m\": {\"texture\": \"no\"}", "", "", ""), {"materials.m", "\"no\""}},
      {HEAD("", "\"m\": {\"colour\": 1}", "", "", ""), {"materials.m", "colour"}},
      {HEAD("", "", "\"white_bowl\": 3", "", ""), {"classes.white_bowl", ""}},
      {HEAD("", "", "\"white_bowl\": {\"like\": \"cup\"}", "", ""), {"classes.white_bowl", "cup"}},
      {HEAD("", "", "\"white_bowl\": {\"like\": \"white_bowl\"}", "", ""),
       {"classes.white_bowl", "like another"}},
      {BOWL("3"), {"classes.white_bowl.shapes[0]", ""}},
      {BOWL("{}"), {"shapes[0]", "\"shape\" is missing"}},
      {BOWL("{\"shape\": \"box\"}"), {"shapes[0]", "\"half\" is missing"}},
      {BOWL("{\"shape\": \"box\", \"half\": [1, 1, 1]}"), {"shapes[0]", "\"material\" is missing"}},
      {BOWL("{\"shape\": \"box\", \"half\": [1, 1, 1], \"material\": \"x\"}"), {"\"x\"", ""}},
      {BOWL("{\"shape\": \"box\", \"half\": [1, 1, -1], \"material\": \"m\"}"),
       {"\"half\" has -1", ""}},
      {BOWL("{\"shape\": \"box\", \"half\": [1, 1, \"1\"], \"material\": \"m\"}"),
       {"\"half\" must hold numbers", ""}},
      {BOWL("{\"shape\": \"box\", \"half\": [1, 1, 1], \"material\": \"m\", \"body\": \"lid\"}"),
       {"no body \"lid\"", ""}},
      {BOWL("{\"shape\": \"box\", \"half\": [1, 1, 1], \"turn\": [\"w\", 1], \"material\": \"m\"}"),
       {"\"turn\"", ""}},
      {BOWL("{\"shape\": \"lathe\", \"profile\": [[0, 0]], \"material\": \"m\"}"),
       {"\"profile\"", "2 to"}},
      {BOWL("{\"shape\": \"lathe\", \"profile\": [[0, 0], [1]], \"material\": \"m\"}"),
       {"\"profile\"", "2 numbers"}},
      {BOWL("{\"shape\": \"lathe\", \"smooth\": 16, \"material\": \"m\", \"profile\": [" FOUR_POINTS
                FOUR_POINTS FOUR_POINTS FOUR_POINTS "[0, 2]]}"),
       {"shapes[0]", "257, at most 256"}},
      {BOWL("{\"shape\": \"prism\", \"points\": [[0, 0], [0, 1], [1, 0]], \"half\": 1, "
            "\"material\": \"m\"}"),
       {"\"points\"", "counterclockwise"}},
      {BOWL("{\"shape\": \"tube\", \"path\": [[0, 0, 0], [0, 0, 1]], \"material\": \"m\"}"),
       {"\"path\"", "\"up\""}},
      {BOWL("{\"shape\": \"collision\", \"only\": [\"no\"], \"material\": \"m\"}"),
       {"shapes[0]", "no such collision geometry"}},
      {HEAD("", "", "", "\"libero_floor_manipulation\": {\"sky\": {\"below\": 1}}", ""),
       {"looks.libero_floor_manipulation", "\"below\""}},
      {HEAD("", "", "", "", "\"robot0_base\": {\"shapes\": 1}"), {"robots.robot0_base", "shapes"}},
  };
  for (size_t i = 0; i < VK_COUNT(cases); i++) {
    vk_visuals v;
    const vk_status st =
        vk_standin_build_from(&v, &pack, cases[i].text, strlen(cases[i].text), "bad.json", &err);
    if (st == VK_OK || !strstr(err.text, "bad.json") || !strstr(err.text, cases[i].say[0]) ||
        !strstr(err.text, cases[i].say[1]))
      fail_msg("%s: \"%s\"", cases[i].text, st == VK_OK ? "was taken" : err.text);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(everything_has_a_look),
      cmocka_unit_test(flame_is_the_stoves),
      cmocka_unit_test(same_bytes_again),
      cmocka_unit_test(meshes_are_sound),
      cmocka_unit_test(sizes_are_those_that_collide),
      cmocka_unit_test(alike_things_differ_in_colour),
      cmocka_unit_test(colours_are_as_named),
      cmocka_unit_test(collision_geometry_stands_in),
      cmocka_unit_test(bytes_do_not_depend_on_the_machine),
      cmocka_unit_test(wrong_data_is_refused),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
