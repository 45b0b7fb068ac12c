/* The scripted expert: its facts file, the quality of its actions, and that it solves tasks. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "sim/env.h"
#include "sim/expert_facts.h"
#include "temp_dir.h"

enum { N_DUMMY = 10 };

static vk_pack pack;
static vk_expert_facts *facts;

static int setup(void **state)
{
  vk_err err = VK_ERR_INIT;
  assert_int_equal(make_temp_dir(state), 0);
  vk_assert_ok(vk_pack_open(&pack, VK_SOURCE_DIR "/data/libero.pack", &err), &err);
  vk_assert_ok(vk_expert_facts_open(&facts, VK_SOURCE_DIR "/data/expert.json", &err), &err);
  return 0;
}

static int teardown(void **state)
{
  vk_expert_facts_free(facts);
  vk_pack_close(&pack);
  return remove_temp_dir(state);
}

/* ---- episodes ------------------------------------------------------------------------------ */

typedef struct episode {
  bool success;
  int n_step, n_noop, n_grip_change;
  double mean_change; /* of an action's six motions from step to step */
  double last_action[VK_N_ACTION];
} episode;

/* Resets as episode `row` of the protocol does, then waits. */
static vk_env *begin_env(const vk_scene *scene, int row)
{
  vk_err err = VK_ERR_INIT;
  const double wait[VK_N_ACTION] = {0, 0, 0, 0, 0, 0, -1};
  double *q = malloc(sizeof(double) * (size_t)scene->n_state);
  vk_env *env;
  vk_step step;
  vk_assert_ok(vk_env_new(&env, scene, &err), &err);
  vk_env_seed(env, 0);
  vk_assert_ok(vk_env_skip_resets(env, row, &err), &err);
  vk_assert_ok(vk_env_reset(env, &err), &err);
  vk_assert_ok(vk_pack_init_row(&pack, scene->task, (uint32_t)row, q, &err), &err);
  vk_assert_ok(vk_env_set_state(env, q, scene->n_state, &err), &err);
  for (int i = 0; i < N_DUMMY; i++)
    vk_assert_ok(vk_env_step(env, wait, &step, &err), &err);
  free(q);
  return env;
}

static void act_and_step(vk_expert *expert, vk_env *env, episode *e)
{
  vk_err err = VK_ERR_INIT;
  double action[VK_N_ACTION], change = 0, size = 0;
  vk_step step;
  vk_expert_act(expert, env, action);
  for (int k = 0; k < 6; k++) {
    assert_true(fabs(action[k]) <= 1);
    change += fabs(action[k] - e->last_action[k]) / 6;
    size = fmax(size, fabs(action[k]));
  }
  assert_true(action[6] == 1 || action[6] == -1);
  if (e->n_step > 0) {
    e->mean_change += change;
    e->n_grip_change += action[6] != e->last_action[6];
    e->n_noop += size < 1e-4 && action[6] == e->last_action[6];
  }
  memcpy(e->last_action, action, sizeof action);
  vk_assert_ok(vk_env_step(env, action, &step, &err), &err);
  e->n_step++;
  e->success = step.success;
}

/* every: another controller might have come so far: the expert resumes after so many steps; 0: it
 * does all itself. */
static episode run_episode(const char *word, int row, int n_step_max, int every)
{
  vk_err err = VK_ERR_INIT;
  uint32_t *task = calloc(pack.n_task, sizeof *task), n;
  vk_scene *scene;
  vk_expert *expert;
  episode e = {0};
  vk_assert_ok(vk_pack_find_tasks(&pack, word, task, &n, &err), &err);
  vk_assert_ok(vk_scene_new(&scene, &pack, task[0], NULL, &err), &err);
  vk_env *env = begin_env(scene, row);
  vk_assert_ok(vk_expert_new(&expert, facts, &err), &err);
  vk_assert_ok(vk_expert_begin(expert, env, &err), &err);
  while (!e.success && e.n_step < n_step_max) {
    if (every > 0 && e.n_step > 0 && e.n_step % every == 0)
      vk_assert_ok(vk_expert_resume(expert, env, e.last_action, &err), &err);
    act_and_step(expert, env, &e);
  }
  e.mean_change /= fmax(e.n_step - 1, 1);
  vk_expert_free(expert);
  vk_env_free(env);
  vk_scene_free(scene);
  free(task);
  return e;
}

/* The step limits are those of the protocol. */
static void check_solved(const char *word, int row, int n_step_max)
{
  const episode e = run_episode(word, row, n_step_max, 0);
  if (!e.success)
    fail_msg("%s row %d: not solved in %d steps", word, row, n_step_max);
  assert_true(e.mean_change <= 0.15);
  assert_true(e.n_noop <= 0.05 * e.n_step);
  assert_true(e.n_grip_change <= 4);
}

static void test_picks_and_places(void **state)
{
  check_solved("libero_object/0", 0, 280);
  check_solved("libero_goal/8", 1, 300);
}

static void test_moves_parts(void **state)
{
  check_solved("libero_goal/0", 0, 300); /* opens a drawer */
  check_solved("libero_goal/7", 0, 300); /* turns a knob */
}

static void test_same_actions_again(void **state)
{
  const episode a = run_episode("libero_goal/7", 2, 300, 0),
                b = run_episode("libero_goal/7", 2, 300, 0);
  assert_int_equal(a.n_step, b.n_step);
  for (int k = 0; k < VK_N_ACTION; k++)
    vk_assert_same_bits(a.last_action[k], b.last_action[k]);
}

/* What it does follows from where things are and what was done last: it comes as far when it has to
 * find out anew, every 8 steps, what it is doing. */
static void test_resumes(void **state)
{
  static const struct {
    const char *word;
    int n_step_max;
  } cases[] = {
      {"libero_object/0", 280}, {"libero_spatial/0", 220}, {"libero_goal/0", 300},
      {"libero_goal/7", 300},   {"libero_10/0", 520},
  };
  for (size_t i = 0; i < VK_COUNT(cases); i++) {
    const episode own = run_episode(cases[i].word, 0, cases[i].n_step_max, 0);
    const episode resumed = run_episode(cases[i].word, 0, cases[i].n_step_max, 8);
    if (!resumed.success || resumed.n_step > 1.2 * own.n_step)
      fail_msg("%s: %d steps, of which %s; without interruptions %d", cases[i].word, resumed.n_step,
               resumed.success ? "the last solves it" : "none solves it", own.n_step);
    assert_true(resumed.n_grip_change <= own.n_grip_change + 2);
  }
}

/* ---- facts --------------------------------------------------------------------------------- */

static vk_status open_text(const char *text, vk_err *err)
{
  vk_expert_facts *f = NULL;
  const char *path = in_dir("facts.json");
  vk_assert_ok(vk_fs_write(path, text, strlen(text), err), err);
  const vk_status st = vk_expert_facts_open(&f, path, err);
  assert_true((st == VK_OK) == (f != NULL));
  vk_expert_facts_free(f);
  return st;
}

static void check_refused(const char *text, vk_status want, const char *hint)
{
  vk_err err = VK_ERR_INIT;
  assert_int_equal(open_text(text, &err), want);
  if (!strstr(err.text, hint))
    fail_msg("\"%s\" does not name \"%s\"", err.text, hint);
}

static void test_facts_errors(void **state)
{
  vk_err err = VK_ERR_INIT;
  const char *good = "{\"version\":1,\"gripper\":[],\"objects\":{\"cup\":{\"grasps\":[]},"
                     "\"mug\":\"cup\"},\"fixtures\":{}}";
  vk_assert_ok(open_text(good, &err), &err);
  check_refused("{", VK_E_FORMAT, "facts.json");
  check_refused("{\"version\":2,\"gripper\":[],\"objects\":{},\"fixtures\":{}}", VK_E_VERSION, "2");
  check_refused("{\"version\":1,\"gripper\":[],\"objects\":{}}", VK_E_FORMAT, "fixtures");
  check_refused("{\"version\":1,\"gripper\":[],\"objects\":{\"cup\":{\"grip\":1}},\"fixtures\":{}}",
                VK_E_FORMAT, "grip");
  check_refused("{\"version\":1,\"gripper\":[],\"objects\":{\"cup\":{\"grasps\":[{\"name\":\"a\","
                "\"at\":[0,0,0],\"approach\":[0,0,0],\"open\":[1,0,0],\"width\":0}]}},"
                "\"fixtures\":{}}",
                VK_E_RANGE, "approach");
  check_refused("{\"version\":1,\"gripper\":[],\"objects\":{},\"fixtures\":{\"box\":{\"parts\":[{"
                "\"body\":\"lid\",\"atom\":\"on\"}]}}}",
                VK_E_RANGE, "turnoff");
  vk_expert_facts *f;
  assert_int_equal(vk_expert_facts_open(&f, "/nonexistent/expert.json", &err), VK_E_NOTFOUND);
}

static void test_facts_cover_the_tasks(void **state)
{
  for (size_t t = 0; t < pack.n_task; t++) {
    const vk_pack_task *task = &pack.task[t];
    for (uint32_t i = 0; i < task->n_object; i++) {
      const vk_pack_instance *o = &pack.instance[task->object + i];
      for (uint32_t g = 0; g < task->n_goal; g++)
        if (strcmp(vk_pack_text(&pack, pack.atom[task->goal + g].a),
                   vk_pack_text(&pack, o->name)) == 0)
          assert_non_null(
              vk_facts_object(facts, vk_pack_text(&pack, pack.class_[o->class_index].name)));
    }
  }
  assert_int_equal(strlen(vk_expert_facts_hash(facts)), 64);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_facts_errors),       cmocka_unit_test(test_facts_cover_the_tasks),
      cmocka_unit_test(test_picks_and_places),   cmocka_unit_test(test_moves_parts),
      cmocka_unit_test(test_same_actions_again), cmocka_unit_test(test_resumes),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
