/* test_scene.c - scenes of the committed pack: what their names resolve to, the cache of compiled
 * models and the room of their data. */
#include "pack_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fs.h"
#include "sim/model_cache.h"
#include "sim/scene.h"

static vk_scene *new_scene(const char *word, const char *cache_dir)
{
  vk_err err = VK_ERR_INIT;
  vk_scene *scene;
  vk_assert_ok(vk_scene_new(&scene, &pack, task_index(word), cache_dir, &err), &err);
  return scene;
}

/* ---- names ---------------------------------------------------------------------------------- */

static void check_scene(const vk_scene *s)
{
  const mjModel *m = s->model;
  assert_int_equal(s->n_state, 1 + m->nq + m->nv);
  assert_int_equal(s->n_state, s->task->n_state);
  assert_int_equal(s->arm_qpos, 0);
  assert_int_equal(s->arm_qvel, 0);
  assert_int_equal(s->finger_qpos, 7);
  assert_string_equal(mj_id2name(m, mjOBJ_SITE, s->site_grip), "gripper0_grip_site");
  assert_string_equal(mj_id2name(m, mjOBJ_BODY, s->body_hand), "robot0_right_hand");
  for (int i = 0; i < s->n_instance; i++) {
    const vk_instance *instance = &s->instance[i];
    char body[128];
    snprintf(body, sizeof body, "%s_main", instance->name);
    assert_string_equal(mj_id2name(m, mjOBJ_BODY, instance->body), body);
    assert_int_equal(vk_scene_find_instance(s, instance->name), i);
    assert_int_equal(s->body_owner[instance->body], i);
    bool is_object = i < s->n_object;
    assert_int_equal(instance->qpos_adr, is_object ? 9 + 7 * i : -1);
    assert_int_equal(instance->qvel_adr, is_object ? 9 + 6 * i : -1);
    assert_int_equal(instance->cls->kind, is_object ? VK_CLASS_OBJECT : VK_CLASS_FIXTURE);
  }
  assert_int_equal(s->n_goal, s->task->n_goal);
  assert_true(s->n_goal > 0);
  assert_int_equal(vk_scene_find_instance(s, "main_table_1"), -1);
}

static void names_resolve(void **state)
{
  /* One scene of each problem. */
  static const char *const words[] = {"libero_spatial/0", "libero_object/0", "libero_goal/0",
                                      "libero_10/0",      "libero_90/0",     "libero_90/80"};
  for (size_t i = 0; i < VK_COUNT(words); i++) {
    vk_scene *scene = new_scene(words[i], NULL);
    check_scene(scene);
    vk_scene_free(scene);
  }
}

/* Geoms carry their instance's name before their own; those of the robot and arena carry none. */
static void owners_follow_names(void **state)
{
  vk_scene *s = new_scene("libero_spatial/0", NULL);
  int n_owned = 0;
  for (int g = 0; g < s->model->ngeom; g++) {
    const char *name = mj_id2name(s->model, mjOBJ_GEOM, g);
    int owner = s->geom_owner[g], want = -1;
    for (int i = 0; name && i < s->n_instance; i++) {
      size_t n = strlen(s->instance[i].name);
      if (strncmp(name, s->instance[i].name, n) == 0 && name[n] == '_')
        want = i;
    }
    if (name)
      assert_int_equal(owner, s->model->geom_group[g] == 0 ? want : -1);
    n_owned += owner >= 0;
  }
  assert_true(n_owned > 100);
  vk_scene_free(s);
}

/* The dressing's free body is empty: geoms and mass lie in a child of it. */
static void owner_of_child_body(void **state)
{
  const vk_pack_task *found = NULL;
  for (size_t t = 0; t < pack.n_task && !found; t++)
    for (uint32_t i = 0; i < pack.task[t].n_object; i++)
      if (strcmp(vk_pack_text(&pack, pack.instance[pack.task[t].object + i].name),
                 "new_salad_dressing_1") == 0)
        found = &pack.task[t];
  assert_non_null(found);
  vk_err err = VK_ERR_INIT;
  vk_scene *s;
  vk_assert_ok(vk_scene_new(&s, &pack, (uint32_t)(found - pack.task), NULL, &err), &err);
  int owner = vk_scene_find_instance(s, "new_salad_dressing_1"), n_geom = 0;
  assert_true(owner >= 0);
  assert_int_equal(s->model->body_geomnum[s->instance[owner].body], 0);
  for (int g = 0; g < s->model->ngeom; g++)
    n_geom += s->geom_owner[g] == owner;
  assert_true(n_geom > 0);
  vk_scene_free(s);
}

static void burner_is_found(void **state)
{
  vk_scene *s = new_scene("libero_goal/0", NULL);
  assert_string_equal(mj_id2name(s->model, mjOBJ_SITE, s->site_burner), "flat_stove_1_burner");
  assert_string_equal(mj_id2name(s->model, mjOBJ_JOINT, s->atom_burner.joint[0]),
                      "flat_stove_1_button");
  vk_scene_free(s);
  s = new_scene("libero_object/0", NULL);
  assert_int_equal(s->site_burner, -1);
  vk_scene_free(s);
}

/* Numbers of zone sites are the region's, to the last bit. */
static void zones_are_exact(void **state)
{
  vk_scene *s = new_scene("libero_90/80", NULL);
  const double *offset = s->problem->zone_offset_m;
  int n_zone = 0;
  for (uint32_t i = 0; i < s->task->n_region; i++) {
    const vk_pack_region *region = &pack.region[s->task->region + i];
    const char *name = vk_pack_text(&pack, region->name);
    assert_ptr_equal(vk_scene_find_region(s, name), region);
    if (!strstr(name, vk_pack_text(&pack, s->problem->arena_name)) || !region->has_range)
      continue;
    int site = mj_name2id(s->model, mjOBJ_SITE, name);
    assert_true(site >= 0);
    const double *r = region->range;
    double x = (r[2] + r[0]) / 2 + offset[0], sx = (r[2] - r[0]) / 2;
    vk_assert_same_bits(s->model->site_pos[3 * site], x);
    vk_assert_same_bits(s->model->site_size[3 * site], sx);
    n_zone++;
  }
  assert_true(n_zone > 0);
  assert_null(vk_scene_find_region(s, "nowhere"));
  vk_scene_free(s);
}

/* ---- compiling ------------------------------------------------------------------------------ */

static void refused_text_is_an_error(void **state)
{
  vk_err err = VK_ERR_INIT;
  mjModel *m;
  vk_assert_fails(
      vk_scene_compile(&pack, "<mujoco><worldbody><geom/></worldbody></mujoco>", &m, &err),
      VK_E_FORMAT);
  assert_null(m);
  vk_assert_says(&err, "MuJoCo refuses");
  vk_assert_fails(vk_scene_compile(&pack, "<muj", &m, &err), VK_E_FORMAT);
  vk_assert_fails(vk_scene_compile(&pack, "", &m, &err), VK_E_RANGE);
}

/* ---- cache ---------------------------------------------------------------------------------- */

/* A scene of few boxes, which is ready soon. */
static const char quick[] = "libero_90/86";

static size_t model_bytes(const mjModel *m, char **bytes)
{
  int n = mj_sizeModel(m);
  *bytes = calloc(1, (size_t)n);
  mj_saveModel(m, NULL, *bytes, n);
  return (size_t)n;
}

static void assert_same_model(const mjModel *a, const mjModel *b)
{
  char *bytes_a, *bytes_b;
  size_t n_a = model_bytes(a, &bytes_a), n_b = model_bytes(b, &bytes_b);
  assert_int_equal(n_a, n_b);
  assert_memory_equal(bytes_a, bytes_b, n_a);
  free(bytes_a);
  free(bytes_b);
}

/* The one file of the folder. */
static void only_file(const char *dir, char path[VK_FS_PATH_MAX])
{
  DIR *open_dir = opendir(dir);
  int n = 0;
  assert_non_null(open_dir);
  for (struct dirent *e; (e = readdir(open_dir));) {
    if (e->d_name[0] == '.')
      continue;
    snprintf(path, VK_FS_PATH_MAX, "%s/%s", dir, e->d_name);
    n++;
  }
  closedir(open_dir);
  assert_int_equal(n, 1);
}

static void check_cached(const vk_scene *fresh, const char *dir)
{
  vk_scene *scene = new_scene(quick, dir);
  assert_same_model(scene->model, fresh->model);
  assert_memory_equal(scene->home_warmstart, fresh->home_warmstart,
                      sizeof(double) * (size_t)fresh->model->nv);
  vk_scene_free(scene);
}

/* Whatever happens to the file, the same model comes back and the file is whole again. */
static void damaged_cache_is_repaired(void **state)
{
  char dir[] = "/tmp/vk_test_scene_XXXXXX", sub[64], path[VK_FS_PATH_MAX], key[65];
  char *whole, *now;
  size_t n, n_now;
  assert_non_null(mkdtemp(dir));
  snprintf(sub, sizeof sub, "%s/a/models", dir);
  vk_scene *fresh = new_scene(quick, NULL);
  check_cached(fresh, sub);
  check_cached(fresh, sub);
  only_file(sub, path);
  snprintf(key, sizeof key, "%s", strrchr(path, '/') + 1);
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_fs_read(&whole, &n, path, 1u << 28, &err), &err);
  const size_t at[] = {0, 9, 41, 60, n / 2, n - 1};
  for (size_t i = 0; i < 2 * VK_COUNT(at); i++) {
    /* A flipped bit, then a file cut short. */
    size_t place = at[i / 2], n_left = i % 2 ? place : n;
    char *bytes = malloc(n);
    memcpy(bytes, whole, n);
    bytes[place] ^= 4;
    vk_assert_ok(vk_fs_write(path, bytes, n_left, &err), &err);
    free(bytes);
    vk_scene none = {0};
    assert_false(vk_model_cache_load(&none, sub, key));
    check_cached(fresh, sub);
    vk_assert_ok(vk_fs_read(&now, &n_now, path, 1u << 28, &err), &err);
    assert_int_equal(n_now, n);
    assert_memory_equal(now, whole, n);
    free(now);
  }
  free(whole);
  vk_scene_free(fresh);
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", dir);
  assert_int_equal(system(command), 0);
}

static void useless_cache_is_no_error(void **state)
{
  vk_scene_free(new_scene(quick, "/dev/null/models"));
  vk_scene_free(new_scene(quick, ""));
}

/* ---- data ----------------------------------------------------------------------------------- */

/* qpos after n steps from init row 0, and how often room was lacking. */
static void run_steps(const mjModel *m, const vk_scene *s, int n, double *qpos, int *n_full)
{
  vk_err err = VK_ERR_INIT;
  double *row = malloc(sizeof(double) * (size_t)s->n_state);
  vk_assert_ok(vk_pack_init_row(&pack, s->task, 0, row, &err), &err);
  mjData *d = mj_makeData(m);
  assert_non_null(d);
  memcpy(d->qpos, row + 1, sizeof(double) * (size_t)m->nq);
  for (int i = 0; i < n; i++)
    mj_step(m, d);
  memcpy(qpos, d->qpos, sizeof(double) * (size_t)m->nq);
  *n_full = d->warning[mjWARN_CONTACTFULL].number + d->warning[mjWARN_CNSTRFULL].number;
  mj_deleteData(d);
  free(row);
}

static void capacity_changes_no_bit(void **state)
{
  vk_scene *s = new_scene("libero_spatial/0", NULL);
  mjModel big = *s->model;
  double a[128], b[128];
  int n_full;
  assert_true(s->model->nq <= 128);
  run_steps(s->model, s, 50, a, &n_full);
  assert_int_equal(n_full, 0);
  vk_model_set_capacity(&big, 1000, 3000);
  run_steps(&big, s, 50, b, &n_full);
  assert_int_equal(n_full, 0);
  assert_memory_equal(a, b, sizeof(double) * (size_t)big.nq);
  vk_scene_free(s);
}

static void too_little_room_is_counted(void **state)
{
#if mjVERSION_HEADER < 300 /* later releases have one arena, which holds more than is asked for */
  vk_scene *s = new_scene("libero_spatial/0", NULL);
  mjModel small = *s->model;
  double q[128];
  int n_full;
  vk_model_set_capacity(&small, 10, 300);
  run_steps(&small, s, 50, q, &n_full);
  assert_true(n_full > 0);
#if mjVERSION_HEADER < 230 /* later releases have no limit of rows */
  vk_model_set_capacity(&small, 240, 20);
  run_steps(&small, s, 50, q, &n_full);
  assert_true(n_full > 0);
#endif
  assert_int_equal(access("MUJOCO_LOG.TXT", F_OK), -1);
  vk_scene_free(s);
#else
  skip();
#endif
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_resolve),
      cmocka_unit_test(owners_follow_names),
      cmocka_unit_test(owner_of_child_body),
      cmocka_unit_test(burner_is_found),
      cmocka_unit_test(zones_are_exact),
      cmocka_unit_test(refused_text_is_an_error),
      cmocka_unit_test(damaged_cache_is_repaired),
      cmocka_unit_test(useless_cache_is_no_error),
      cmocka_unit_test(capacity_changes_no_bit),
      cmocka_unit_test(too_little_room_is_counted),
  };
  return cmocka_run_group_tests(tests, open_pack, close_pack);
}
