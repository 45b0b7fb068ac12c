/* Packs: what is built is read back; cut, flipped, lying and foreign files are refused; names. */
#include "sim/pack.h"

#include <stdio.h>

#include "core/hash.h"
#include "core/rng.h"
#include "sim/mjcf.h"
#include "sim/pack_write.h"
#include "temp_dir.h"

/* ---- a small pack --------------------------------------------------------------------------- */

static uint32_t put_elem(vk_pack_builder *b, int tag, const char *name)
{
  vk_pack_elem e = {.tag = (uint16_t)tag,
                    .first_child = VK_PACK_NONE,
                    .next_sibling = VK_PACK_NONE,
                    .attr = (uint32_t)b->n_attr};
  const double pos[3] = {1, -2, 0.5};
  if (name) {
    vk_pack_attr attr[2] = {{.key = VK_MJCF_KEY_NAME, .value = vk_pack_put_text(b, name)},
                            {.key = VK_MJCF_KEY_POS, .n = 3, .value = vk_pack_put_num(b, pos, 3)}};
    vk_pack_put_attr(b, attr, 2);
    e.n_attr = 2;
  }
  return vk_pack_put_elem(b, &e, 1);
}

static void put_class(vk_pack_builder *b, const char *name, uint32_t kind)
{
  vk_pack_class c = {.kind = kind, .n_rotation = 1, .rotation = {{.lo_rad = 1, .hi_rad = 2}}};
  c.name = vk_pack_put_text(b, name);
  c.body = put_elem(b, VK_MJCF_TAG_BODY, "main");
  uint32_t joint = put_elem(b, VK_MJCF_TAG_JOINT, "joint0");
  uint32_t site = put_elem(b, VK_MJCF_TAG_SITE, "default_site");
  b->elem[c.body].first_child = joint;
  b->elem[joint].next_sibling = site;
  vk_pack_put_class_(b, &c, 1);
}

static void put_problem(vk_pack_builder *b)
{
  vk_pack_problem p = {.contact = VK_PACK_NONE};
  p.name = vk_pack_put_text(b, "room");
  p.arena_name = vk_pack_put_text(b, "table");
  p.zone_body = vk_pack_put_text(b, "");
  p.world = put_elem(b, VK_MJCF_TAG_ROOT, NULL);
  p.robot = put_elem(b, VK_MJCF_TAG_BODY, "robot0_base");
  p.actuator = put_elem(b, VK_MJCF_TAG_ROOT, NULL);
  vk_pack_put_problem(b, &p, 1);
}

static void put_task(vk_pack_builder *b, const char *name, uint32_t suite, uint32_t index)
{
  vk_pack_task t = {.suite = suite,
                    .index = index,
                    .n_object = 1,
                    .n_fixture = 1,
                    .n_region = 1,
                    .n_init = 1,
                    .n_goal = 1,
                    .n_interest = 1,
                    .n_row = 2,
                    .n_state = 5,
                    .n_stored = 3};
  t.name = vk_pack_put_text(b, name);
  t.language = vk_pack_put_text(b, "put the bowl, (quickly)");
  vk_pack_instance item[2] = {{vk_pack_put_text(b, "bowl_1"), 0},
                              {vk_pack_put_text(b, "shelf_1"), 1}};
  t.object = vk_pack_put_instance(b, item, 2);
  t.fixture = t.object + 1;
  vk_pack_region region = {.has_range = 1, .range = {0, 1, 2, 3}};
  region.name = vk_pack_put_text(b, "table_left");
  region.target = vk_pack_put_text(b, "table");
  t.region = vk_pack_put_region(b, &region, 1);
  vk_pack_atom atom[2] = {{.kind = VK_ATOM_ON, .a = item[0].name, .b = region.name},
                          {.kind = VK_ATOM_OPEN, .a = item[1].name}};
  t.init = vk_pack_put_atom(b, atom, 2);
  t.goal = t.init + 1;
  t.interest = vk_pack_put_word(b, &item[0].name, 1);
  const double row[6] = {1, 2, 3, 4, 5, (double)index};
  t.row = vk_pack_put_num(b, row, 6);
  vk_pack_put_task(b, &t, 1);
}

static void put_all(vk_pack_builder *b)
{
  put_class(b, "bowl", VK_CLASS_OBJECT);
  put_class(b, "shelf", VK_CLASS_FIXTURE);
  put_problem(b);
  const float triangle[9] = {0, 0, 0, 1, 0, 0, 0, 1, 0};
  vk_pack_mesh mesh[2] = {{.n_triangle = 1, .first = vk_pack_put_f32(b, triangle, 9)},
                          {.n_triangle = 1, .first = 0, .hull_frame = VK_PACK_NONE}};
  vk_pack_hull_frame frame = {.quat = {1}, .radius_m = 1, .first = mesh[0].first};
  mesh[0].name = vk_pack_put_text(b, "hull");
  mesh[1].name = vk_pack_put_text(b, "whole");
  vk_pack_put_mesh(b, mesh, 2);
  vk_pack_put_hull_frame(b, &frame, 1);
  vk_pack_suite suite[2] = {{vk_pack_put_text(b, "near"), 0, 2, 0},
                            {vk_pack_put_text(b, "far"), 2, 1, 0}};
  vk_pack_put_suite(b, suite, 2);
  put_task(b, "put_the_bowl_left", 0, 0);
  put_task(b, "open_the_shelf", 0, 1);
  put_task(b, "open_the_shelf", 1, 0);
}

static void *build(size_t *n)
{
  vk_pack_builder b = {0};
  vk_err err = VK_ERR_INIT;
  void *bytes = NULL;
  char hash[65];
  put_all(&b);
  vk_assert_ok(vk_pack_build(&b, &bytes, n, hash, &err), &err);
  vk_pack_builder_fini(&b);
  return bytes;
}

/* Writes length and hash, as a hostile author would. */
static void seal(unsigned char *bytes, size_t n)
{
  vk_sha256 h;
  for (int i = 0; i < 8; i++)
    bytes[16 + i] = (unsigned char)((uint64_t)n >> (8 * i));
  vk_sha256_init(&h);
  vk_sha256_add(&h, bytes + 64, n - 64);
  vk_sha256_end(&h, bytes + 32);
}

static vk_status open_copy(vk_pack *pack, const void *bytes, size_t n, vk_err *err)
{
  unsigned char *copy = malloc(n ? n : 1);
  memcpy(copy, bytes, n);
  return vk_pack_open_bytes(pack, copy, n, "test.pack", err);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void reads_what_was_built(void **state)
{
  size_t n, n2;
  void *bytes = build(&n), *again = build(&n2);
  assert_int_equal(n, n2);
  assert_memory_equal(bytes, again, n);
  vk_err err = VK_ERR_INIT;
  vk_pack pack;
  vk_assert_ok(open_copy(&pack, bytes, n, &err), &err);
  assert_int_equal(pack.n_task, 3);
  assert_string_equal(vk_pack_text(&pack, pack.task[1].name), "open_the_shelf");
  assert_int_equal(pack.task[1].name, pack.task[2].name); /* equal texts are stored once */
  double row[5] = {9, 9, 9, 9, 9};
  vk_assert_ok(vk_pack_init_row(&pack, &pack.task[1], 1, row, &err), &err);
  const double want[5] = {0, 4, 5, 1, 0};
  for (int i = 0; i < 5; i++)
    vk_assert_same_bits(row[i], want[i]);
  vk_assert_fails(vk_pack_init_row(&pack, &pack.task[1], 2, row, &err), VK_E_RANGE);
  vk_assert_says(&err, "open_the_shelf has init rows 0 to 1, no row 2");
  vk_pack_close(&pack);
  vk_pack_close(&pack);
  free(bytes);
  free(again);
}

static void refuses_cut_files(void **state)
{
  size_t n;
  unsigned char *bytes = build(&n);
  for (size_t k = 0; k < n; k++) {
    vk_err err = VK_ERR_INIT;
    vk_pack pack;
    vk_status st = open_copy(&pack, bytes, k, &err);
    assert_int_equal(st, VK_E_FORMAT);
    if (k < 64)
      continue;
    vk_assert_fails(open_copy(&pack, bytes, k, NULL), VK_E_FORMAT);
    unsigned char *cut = malloc(k); /* sealed again: sections outside the file must be seen */
    memcpy(cut, bytes, k);
    seal(cut, k);
    vk_assert_fails(vk_pack_open_bytes(&pack, cut, k, "cut.pack", &err), VK_E_FORMAT);
  }
  free(bytes);
}

static void refuses_every_flipped_bit(void **state)
{
  size_t n;
  unsigned char *bytes = build(&n);
  for (size_t i = 0; i < 8 * n; i++) {
    vk_err err = VK_ERR_INIT;
    vk_pack pack;
    bytes[i / 8] ^= (unsigned char)(1u << i % 8);
    vk_status st = open_copy(&pack, bytes, n, &err);
    bytes[i / 8] ^= (unsigned char)(1u << i % 8);
    bool is_version = i / 8 >= 8 && i / 8 < 12, is_free = i / 8 >= 24 && i / 8 < 32;
    if (st != (is_version ? VK_E_VERSION : VK_E_FORMAT))
      fail_msg("bit %zu%s: %s", i, is_free ? " of the free bytes" : "", vk_status_name(st));
  }
  free(bytes);
}

/* With a right hash, whatever opens keeps the promises: everything can be visited. */
static void survives_sealed_damage(void **state)
{
  size_t n;
  unsigned char *bytes = build(&n);
  vk_philox rng;
  vk_philox_init(&rng, 1, 0);
  int n_open = 0;
  for (int k = 0; k < 20000; k++) {
    unsigned char *bad = malloc(n);
    vk_pack pack;
    memcpy(bad, bytes, n);
    for (int j = 0; j < 1 + k % 3; j++) {
      size_t at = 64 + (size_t)(vk_philox_double(&rng) * (double)(n - 64));
      bad[at] = (unsigned char)(vk_philox_double(&rng) * 256);
    }
    seal(bad, n);
    if (vk_pack_open_bytes(&pack, bad, n, "bad.pack", NULL) != VK_OK)
      continue;
    n_open++;
    double sum = 0;
    for (size_t i = 0; i < pack.n_task; i++) {
      double *row = malloc(pack.task[i].n_state * sizeof *row);
      for (uint32_t j = 0; j < pack.task[i].n_row; j++) {
        vk_assert_ok(vk_pack_init_row(&pack, &pack.task[i], j, row, NULL), NULL);
        sum += row[pack.task[i].n_state - 1];
      }
      free(row);
    }
    assert_true(isfinite(sum));
    vk_pack_close(&pack);
  }
  assert_in_range(n_open, 100, 19000); /* both outcomes happen */
  free(bytes);
}

static void expect_broken(void (*damage)(vk_pack_builder *), const char *says)
{
  vk_pack_builder b = {0};
  vk_err err = VK_ERR_INIT;
  void *bytes = NULL;
  size_t n;
  char hash[65];
  put_all(&b);
  damage(&b);
  vk_assert_fails(vk_pack_build(&b, &bytes, &n, hash, &err), VK_E_FORMAT);
  vk_assert_says(&err, says);
  vk_pack_builder_fini(&b);
}

static void damage_cycle(vk_pack_builder *b)
{
  b->elem[2].next_sibling = 1;
}
static void damage_twice(vk_pack_builder *b)
{
  b->elem[2].next_sibling = 4; /* from the first class into the second */
}
static void damage_nan(vk_pack_builder *b)
{
  b->num[0] = NAN;
}
static void damage_name(vk_pack_builder *b)
{
  b->class_[0].name = vk_pack_put_text(b, "a\"b");
}
static void damage_kind(vk_pack_builder *b)
{
  b->instance[0].class_index = 1;
}
static void damage_same_name(vk_pack_builder *b)
{
  b->instance[1].name = b->instance[0].name;
}
static void damage_suites(vk_pack_builder *b)
{
  b->suite[1].task = 1;
}
static void damage_stored(vk_pack_builder *b)
{
  b->task[0].n_stored = 5;
}
static void damage_root(vk_pack_builder *b)
{
  b->problem[0].world = b->problem[0].robot;
}
static void damage_text(vk_pack_builder *b)
{
  vk_pack_put_text(b, "caf\xc3\xa9");
}
static void damage_mesh(vk_pack_builder *b)
{
  b->mesh[0].n_triangle = 0x80000000u;
}
static void damage_frame(vk_pack_builder *b)
{
  b->mesh[1].hull_frame = 1;
}
static void damage_frame_size(vk_pack_builder *b)
{
  b->hull_frame[0].half_size_m[1] = INFINITY;
}
static void damage_frame_vertices(vk_pack_builder *b)
{
  b->hull_frame[0].first = 1;
}
static void damage_orphan(vk_pack_builder *b)
{
  put_elem(b, VK_MJCF_TAG_BODY, "nobody");
}

static void refuses_broken_promises(void **state)
{
  expect_broken(damage_cycle, "sibling");
  expect_broken(damage_twice, "reached twice");
  expect_broken(damage_nan, "section num: number 0 is not finite");
  expect_broken(damage_name, "class 0: its name");
  expect_broken(damage_kind, "bowl_1 is of the wrong kind");
  expect_broken(damage_same_name, "two instances bowl_1");
  expect_broken(damage_suites, "suite 1: begins with task 1, expected 2");
  expect_broken(damage_stored, "5 of 5 numbers stored a row");
  expect_broken(damage_root, "wrong tag");
  expect_broken(damage_text, "not printable ASCII");
  expect_broken(damage_mesh, "section f32");
  expect_broken(damage_frame, "mesh 1: hull frame 1 of 1");
  expect_broken(damage_frame_size, "hull frame 0: number 1 is not finite");
  expect_broken(damage_frame_vertices, "hull frame of mesh 0: items 1 to 10 of section f32");
  expect_broken(damage_orphan, "belongs to no tree");
}

static void refuses_deep_trees(void **state)
{
  for (int depth = VK_PACK_DEPTH_MAX - 1; depth <= VK_PACK_DEPTH_MAX; depth++) {
    vk_pack_builder b = {0};
    vk_err err = VK_ERR_INIT;
    void *bytes = NULL;
    size_t n;
    char hash[65];
    put_all(&b);
    uint32_t at = b.problem[0].robot;
    for (int i = 0; i < depth; i++) {
      uint32_t child = put_elem(&b, VK_MJCF_TAG_BODY, "link");
      b.elem[at].first_child = child;
      at = child;
    }
    vk_status st = vk_pack_build(&b, &bytes, &n, hash, &err);
    assert_int_equal(st, depth < VK_PACK_DEPTH_MAX ? VK_OK : VK_E_FORMAT);
    free(bytes);
    vk_pack_builder_fini(&b);
  }
}

static void opens_paths(void **state)
{
  size_t n;
  void *bytes = build(&n);
  vk_pack pack;
  vk_err err = VK_ERR_INIT;
  vk_assert_fails(vk_pack_open(&pack, in_dir("none.pack"), &err), VK_E_NOTFOUND);
  vk_assert_says(&err, "vlakit import libero");
  vk_assert_fails(vk_pack_open(&pack, temp_dir, &err), VK_E_IO);
  vk_assert_ok(vk_fs_write(in_dir("empty.pack"), "", 0, &err), &err);
  vk_assert_fails(vk_pack_open(&pack, in_dir("empty.pack"), &err), VK_E_FORMAT);
  vk_assert_says(&err, "is not a scene pack");
  vk_assert_ok(vk_fs_write(in_dir("a.pack"), bytes, n, &err), &err);
  vk_assert_ok(vk_pack_open(&pack, in_dir("a.pack"), &err), &err);
  assert_int_equal(pack.n_suite, 2);
  vk_pack_close(&pack);
  ((unsigned char *)bytes)[8]++;
  vk_assert_ok(vk_fs_write(in_dir("a.pack"), bytes, n, &err), &err);
  vk_assert_fails(vk_pack_open(&pack, in_dir("a.pack"), &err), VK_E_VERSION);
  vk_assert_says(&err, "version 2, this program reads version 1");
  free(bytes);
}

/* The user's cache goes before the pack that comes along; a damaged one is not passed over. */
static void searches_the_cache_first(void **state)
{
  size_t n;
  void *bytes = build(&n);
  vk_pack pack;
  vk_err err = VK_ERR_INIT;
  assert_int_equal(setenv("XDG_CACHE_HOME", temp_dir, 1), 0);
  vk_assert_ok(vk_pack_open(&pack, NULL, &err), &err);
  assert_int_equal(pack.n_task, 130);
  vk_pack_close(&pack);
  vk_assert_ok(vk_fs_make_dirs(in_dir("vlakit"), &err), &err);
  vk_assert_ok(vk_fs_write(in_dir("vlakit/libero.pack"), bytes, n, &err), &err);
  vk_assert_ok(vk_pack_open(&pack, NULL, &err), &err);
  assert_int_equal(pack.n_task, 3);
  assert_string_equal(pack.path, in_dir("vlakit/libero.pack"));
  vk_pack_close(&pack);
  vk_assert_ok(vk_fs_write(in_dir("vlakit/libero.pack"), bytes, n - 1, &err), &err);
  vk_assert_fails(vk_pack_open(&pack, NULL, &err), VK_E_FORMAT);
  free(bytes);
}

static void expect_tasks(const vk_pack *pack, const char *word, int n, const uint32_t *want)
{
  uint32_t got[3], n_got;
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_pack_find_tasks(pack, word, got, &n_got, &err), &err);
  assert_int_equal(n_got, n);
  for (int i = 0; i < n; i++)
    assert_int_equal(got[i], want[i]);
}

static void expect_no_tasks(const vk_pack *pack, const char *word, const char *says)
{
  uint32_t got[3], n_got;
  vk_err err = VK_ERR_INIT;
  vk_assert_fails(vk_pack_find_tasks(pack, word, got, &n_got, &err), VK_E_USAGE);
  vk_assert_says(&err, says);
}

static void finds_tasks(void **state)
{
  size_t n;
  void *bytes = build(&n);
  vk_pack pack;
  vk_assert_ok(open_copy(&pack, bytes, n, NULL), NULL);
  expect_tasks(&pack, "near", 2, (uint32_t[]){0, 1});
  expect_tasks(&pack, "far", 1, (uint32_t[]){2});
  expect_tasks(&pack, "libero130", 3, (uint32_t[]){0, 1, 2});
  expect_tasks(&pack, "near/1", 1, (uint32_t[]){1});
  expect_tasks(&pack, "far/open_the_shelf", 1, (uint32_t[]){2});
  expect_tasks(&pack, "put_the_bowl_left", 1, (uint32_t[]){0});
  expect_tasks(&pack, "far,near/1,near,far/0", 3, (uint32_t[]){2, 1, 0});
  expect_no_tasks(&pack, "neer", "did you mean near?");
  expect_no_tasks(&pack, "put_the_bowl_lift", "did you mean put_the_bowl_left?");
  expect_no_tasks(&pack, "far/open_the_shelv", "did you mean far/open_the_shelf?");
  expect_no_tasks(&pack, "neer/1", "did you mean near?");
  expect_no_tasks(&pack, "near/2", "tasks near/0 to near/1");
  expect_no_tasks(&pack, "near/99999999999999999999", "tasks near/0 to near/1");
  expect_no_tasks(&pack, "open_the_shelf", "near/1 or far/0");
  expect_no_tasks(&pack, "near,,far", "unknown suite or task \"\"");
  expect_no_tasks(&pack, "", "unknown suite or task \"\"");
  expect_no_tasks(&pack, "xyzzyxyzzyxyzzy", "vlakit tasks");
  vk_pack_close(&pack);
  free(bytes);
}

static void spells_mjcf(void **state)
{
  assert_int_equal(vk_mjcf_find_tag("geom"), VK_MJCF_TAG_GEOM);
  assert_int_equal(vk_mjcf_find_tag("flex"), -1);
  assert_int_equal(vk_mjcf_find_key("conaffinity"), VK_MJCF_KEY_CONAFFINITY);
  assert_int_equal(vk_mjcf_find_key("Name"), -1);
  for (int i = 0; i < VK_MJCF_KEY_N; i++)
    assert_int_equal(vk_mjcf_find_key(vk_mjcf_key_name[i]), i); /* no spelling twice */
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_what_was_built),
      cmocka_unit_test(refuses_cut_files),
      cmocka_unit_test(refuses_every_flipped_bit),
      cmocka_unit_test(survives_sealed_damage),
      cmocka_unit_test(refuses_broken_promises),
      cmocka_unit_test(refuses_deep_trees),
      cmocka_unit_test(opens_paths),
      cmocka_unit_test(searches_the_cache_first),
      cmocka_unit_test(finds_tasks),
      cmocka_unit_test(spells_mjcf),
  };
  return cmocka_run_group_tests(tests, make_temp_dir, remove_temp_dir);
}
