/* test_predicate.c - each predicate on both sides of each of its limits. */
#include "pack_world.h"

#include "sim/scene.h"

static vk_scene *goal, *kitchen; /* cabinet, stove, rack, bowl, plate; microwave */
static mjModel *model;           /* of goal, with its fixtures set apart as a reset would do */
static mjData *data;

static const vk_scene *scene_with_class(const char *cls, vk_scene **out)
{
  vk_err err = VK_ERR_INIT;
  for (uint32_t t = 0; t < pack.n_task && !*out; t++)
    for (uint32_t i = 0; i < pack.task[t].n_fixture; i++) {
      const vk_pack_instance *f = &pack.instance[pack.task[t].fixture + i];
      if (strcmp(vk_pack_text(&pack, pack.class_[f->class_index].name), cls) == 0 && !*out)
        vk_assert_ok(vk_scene_new(out, &pack, t, NULL, &err), &err);
    }
  assert_non_null(*out);
  return *out;
}

static int setup(void **state)
{
  open_pack(state);
  goal = open_scene("libero_goal/0");
  model = mj_copyModel(NULL, goal->model);
  for (int i = goal->n_object; i < goal->n_instance; i++) {
    mjtNum *p = model->body_pos + 3 * goal->instance[i].body;
    p[0] = -0.2;
    p[1] = 0.5 * (i - goal->n_object - 1);
    p[2] = 0.9;
  }
  scene_with_class("microwave", &kitchen);
  return 0;
}

static int teardown(void **state)
{
  mj_deleteModel(model);
  vk_scene_free(goal);
  vk_scene_free(kitchen);
  return close_pack(state);
}

static int begin(void **state)
{
  vk_err err = VK_ERR_INIT;
  double *row = malloc(sizeof(double) * (size_t)goal->n_state);
  data = mj_makeData(model);
  vk_assert_ok(vk_pack_init_row(&pack, goal->task, 0, row, &err), &err);
  memcpy(data->qpos, row + 1, sizeof(double) * (size_t)model->nq);
  mj_forward(model, data);
  free(row);
  return 0;
}

static int end(void **state)
{
  mj_deleteData(data);
  return 0;
}

static vk_atom atom(vk_atom_kind kind, const char *a, const char *b)
{
  vk_err err = VK_ERR_INIT;
  vk_atom out;
  vk_assert_ok(vk_scene_resolve_atom(goal, kind, a, b, &out, &err), &err);
  return out;
}

static bool holds(vk_atom_kind kind, const char *a, const char *b)
{
  vk_atom it = atom(kind, a, b);
  return vk_atom_holds(goal, model, data, &it);
}

/* Puts an object at p + (dx, dy, dz) and recomputes poses and contacts. */
static void put(const char *name, const mjtNum *p, double dx, double dy, double dz)
{
  const vk_instance *it = &goal->instance[vk_scene_find_instance(goal, name)];
  double *q = data->qpos + it->qpos_adr;
  q[0] = p[0] + dx;
  q[1] = p[1] + dy;
  q[2] = p[2] + dz;
  q[3] = 1;
  q[4] = q[5] = q[6] = 0;
  mj_forward(model, data);
}

static mjtNum *position(const char *name)
{
  return data->xpos + 3 * goal->instance[vk_scene_find_instance(goal, name)].body;
}

static int site_id(const char *name)
{
  int id = mj_name2id(model, mjOBJ_SITE, name);
  assert_true(id >= 0);
  return id;
}

static void on_object(void **state)
{
  const char *bowl = "akita_black_bowl_1", *plate = "plate_1";
  mjtNum p[3];
  memcpy(p, position(plate), sizeof p);
  put(bowl, p, 0, 0, 0.002);
  assert_true(holds(VK_ATOM_ON, bowl, plate));
  assert_false(holds(VK_ATOM_ON, plate, bowl)); /* the plate is below */
  put(bowl, p, 0.0299, 0, 0.002);
  assert_true(holds(VK_ATOM_ON, bowl, plate));
  put(bowl, p, 0.0301, 0, 0.002);
  assert_false(holds(VK_ATOM_ON, bowl, plate));
  put(bowl, p, 0.022, 0.022, 0.002);
  assert_false(holds(VK_ATOM_ON, bowl, plate)); /* the distance counts, not each axis */
  put(bowl, p, 0, 0, 0.5);
  assert_false(holds(VK_ATOM_ON, bowl, plate)); /* no contact */
  put(bowl, p, 0, 0, 0);
  assert_true(holds(VK_ATOM_ON, bowl, plate)); /* equal height counts as above */
  put(bowl, p, 0, 0, -0.001);
  assert_false(holds(VK_ATOM_ON, bowl, plate));
}

static void on_arena_zone(void **state)
{
  const char *bowl = "akita_black_bowl_1", *zone = "main_table_stove_front_region";
  int s = site_id(zone);
  const mjtNum *p = data->site_xpos + 3 * s, *size = model->site_size + 3 * s;
  /* Far above the table: no contact is asked for. */
  put(bowl, p, 0, 0, size[2] + 0.0999);
  assert_true(holds(VK_ATOM_ON, bowl, zone));
  put(bowl, p, 0, 0, size[2] + 0.1001);
  assert_false(holds(VK_ATOM_ON, bowl, zone));
  put(bowl, p, 0, 0, size[2] - 0.0049);
  assert_true(holds(VK_ATOM_ON, bowl, zone));
  put(bowl, p, 0, 0, size[2] - 0.0051);
  assert_false(holds(VK_ATOM_ON, bowl, zone));
  for (int axis = 0; axis < 2; axis++)
    for (int sign = -1; sign <= 1; sign += 2) {
      double in = sign * (size[axis] - 1e-6), out = sign * (size[axis] + 1e-6);
      put(bowl, p, axis == 0 ? in : 0, axis == 1 ? in : 0, 0.05);
      assert_true(holds(VK_ATOM_ON, bowl, zone));
      put(bowl, p, axis == 0 ? out : 0, axis == 1 ? out : 0, 0.05);
      assert_false(holds(VK_ATOM_ON, bowl, zone));
    }
}

/* On a tilted site the benchmark multiplies by R, not by its transpose, and wants contact. */
static void on_tilted_site(void **state)
{
  const char *bowl = "akita_black_bowl_1", *region = "wine_rack_1_top_region";
  int s = site_id(region);
  const mjtNum *p = data->site_xpos + 3 * s, *R = data->site_xmat + 9 * s;
  const double inside[3] = {0, 0, model->site_size[3 * s + 2] + 0.005};
  double by_R[3], by_transpose[3];
  for (int i = 0; i < 3; i++) {
    by_R[i] = R[i] * inside[0] + R[3 + i] * inside[1] + R[6 + i] * inside[2];
    by_transpose[i] = R[3 * i] * inside[0] + R[3 * i + 1] * inside[1] + R[3 * i + 2] * inside[2];
  }
  put(bowl, p, by_R[0], by_R[1], by_R[2]);
  assert_true(holds(VK_ATOM_ON, bowl, region));
  data->ncon = 0;
  assert_false(holds(VK_ATOM_ON, bowl, region));
  put(bowl, p, 10 * by_transpose[0], 10 * by_transpose[1], 10 * by_transpose[2]);
  assert_false(holds(VK_ATOM_ON, bowl, region));
}

static void in_region(void **state)
{
  const char *bowl = "akita_black_bowl_1", *region = "wooden_cabinet_1_top_region";
  int s = site_id(region);
  const mjtNum *p = data->site_xpos + 3 * s, *R = data->site_xmat + 9 * s;
  double half[3];
  for (int i = 0; i < 3; i++) {
    half[i] = 0;
    for (int k = 0; k < 3; k++)
      half[i] += R[3 * i + k] * model->site_size[3 * s + k];
    half[i] = fabs(half[i]);
  }
  put(bowl, p, 0, 0, 0);
  assert_true(holds(VK_ATOM_IN, bowl, region));
  data->ncon = 0;
  assert_true(holds(VK_ATOM_IN, bowl, region)); /* no contact is asked for */
  for (int axis = 0; axis < 3; axis++)
    for (int sign = -1; sign <= 1; sign += 2) {
      double edge = half[axis] + (axis == 2 && sign < 0 ? 0.01 : 0), d[3] = {0, 0, 0};
      d[axis] = sign * (edge - 1e-6);
      put(bowl, p, d[0], d[1], d[2]);
      assert_true(holds(VK_ATOM_IN, bowl, region));
      d[axis] = sign * (edge + 1e-6);
      put(bowl, p, d[0], d[1], d[2]);
      assert_false(holds(VK_ATOM_IN, bowl, region));
    }
}

static void set_joint(const char *name, double q)
{
  int id = mj_name2id(model, mjOBJ_JOINT, name);
  assert_true(id >= 0);
  data->qpos[model->jnt_qposadr[id]] = q;
}

static void drawers(void **state)
{
  const char *top = "wooden_cabinet_1_top_region", *bottom = "wooden_cabinet_1_bottom_region";
  set_joint("wooden_cabinet_1_top_level", -0.14);
  set_joint("wooden_cabinet_1_middle_level", 0);
  set_joint("wooden_cabinet_1_bottom_level", 1e-9);
  assert_false(holds(VK_ATOM_OPEN, top, ""));
  assert_false(holds(VK_ATOM_OPEN, "wooden_cabinet_1", ""));
  set_joint("wooden_cabinet_1_top_level", nextafter(-0.14, -1));
  assert_true(holds(VK_ATOM_OPEN, top, ""));
  assert_false(holds(VK_ATOM_OPEN, bottom, ""));
  assert_true(holds(VK_ATOM_OPEN, "wooden_cabinet_1", "")); /* one drawer is enough */
  assert_true(holds(VK_ATOM_CLOSE, bottom, ""));
  assert_false(holds(VK_ATOM_CLOSE, top, ""));
  assert_false(holds(VK_ATOM_CLOSE, "wooden_cabinet_1", ""));
  set_joint("wooden_cabinet_1_top_level", 0.001);
  assert_false(holds(VK_ATOM_CLOSE, "wooden_cabinet_1", "")); /* the middle one is at exactly 0 */
  set_joint("wooden_cabinet_1_middle_level", 0.001);
  assert_true(holds(VK_ATOM_CLOSE, "wooden_cabinet_1", ""));
}

static void knob(void **state)
{
  set_joint("flat_stove_1_button", 0.5);
  assert_true(holds(VK_ATOM_TURNON, "flat_stove_1", ""));
  assert_false(holds(VK_ATOM_TURNOFF, "flat_stove_1", ""));
  set_joint("flat_stove_1_button", nextafter(0.5, 0));
  assert_false(holds(VK_ATOM_TURNON, "flat_stove_1", ""));
  set_joint("flat_stove_1_button", 0);
  assert_false(holds(VK_ATOM_TURNOFF, "flat_stove_1", ""));
  set_joint("flat_stove_1_button", -1e-9);
  assert_true(holds(VK_ATOM_TURNOFF, "flat_stove_1", ""));
}

static void microwave(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_atom open, closed;
  vk_assert_ok(vk_scene_resolve_atom(kitchen, VK_ATOM_OPEN, "microwave_1", "", &open, &err), &err);
  vk_assert_ok(vk_scene_resolve_atom(kitchen, VK_ATOM_CLOSE, "microwave_1", NULL, &closed, &err),
               &err);
  assert_int_equal(open.n_joint, 1);
  mjData *d = mj_makeData(kitchen->model);
  double *q = d->qpos + kitchen->model->jnt_qposadr[open.joint[0]];
  const struct {
    double q;
    bool open, closed;
  } rows[] = {{-1.3, false, false},
              {-1.3001, true, false},
              {-0.005, false, false},
              {-0.0049, false, true},
              {0, false, true}};
  for (size_t i = 0; i < VK_COUNT(rows); i++) {
    *q = rows[i].q;
    assert_int_equal(vk_atom_holds(kitchen, kitchen->model, d, &open), rows[i].open);
    assert_int_equal(vk_atom_holds(kitchen, kitchen->model, d, &closed), rows[i].closed);
  }
  mj_deleteData(d);
}

/* A region whose body has no joint is never open and always closed. */
static void region_without_joint(void **state)
{
  assert_int_equal(atom(VK_ATOM_OPEN, "wooden_cabinet_1_top_side", "").n_joint, 0);
  assert_false(holds(VK_ATOM_OPEN, "wooden_cabinet_1_top_side", ""));
  assert_true(holds(VK_ATOM_CLOSE, "wooden_cabinet_1_top_side", ""));
}

static void wrong_names(void **state)
{
  static const struct {
    vk_atom_kind kind;
    const char *a, *b, *says;
  } rows[] = {
      {VK_ATOM_ON, "bowl", "plate_1", "bowl"},
      {VK_ATOM_ON, "akita_black_bowl_1", "plate_2", "plate_2"},
      {VK_ATOM_ON, "akita_black_bowl_1", "", "on"},
      {VK_ATOM_ON, "akita_black_bowl_1", NULL, "on"},
      {VK_ATOM_ON, "wooden_cabinet_1_top_region", "plate_1", "not an object"},
      {VK_ATOM_IN, "akita_black_bowl_1", "plate_1", "not a region"},
      {VK_ATOM_OPEN, "plate_1", "", "no meaning"},
      {VK_ATOM_OPEN, "flat_stove_1", "", "no meaning"},
      {VK_ATOM_TURNON, "wooden_cabinet_1", "", "no meaning"},
      {VK_ATOM_OPEN, "main_table_plate_region", "", "no meaning"},
      {VK_ATOM_OPEN, "wooden_cabinet_1", "plate_1", "too many"},
  };
  for (size_t i = 0; i < VK_COUNT(rows); i++) {
    vk_err err = VK_ERR_INIT;
    vk_atom out;
    vk_assert_fails(vk_scene_resolve_atom(goal, rows[i].kind, rows[i].a, rows[i].b, &out, &err),
                    VK_E_NOTFOUND);
    vk_assert_says(&err, rows[i].says);
    vk_assert_says(&err, "libero_goal/0");
  }
}

int main(void)
{
#define WITH_DATA(test) cmocka_unit_test_setup_teardown(test, begin, end)
  const struct CMUnitTest tests[] = {
      WITH_DATA(on_object),
      WITH_DATA(on_arena_zone),
      WITH_DATA(on_tilted_site),
      WITH_DATA(in_region),
      WITH_DATA(drawers),
      WITH_DATA(knob),
      cmocka_unit_test(microwave),
      WITH_DATA(region_without_joint),
      cmocka_unit_test(wrong_names),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
