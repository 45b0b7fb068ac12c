/* test_relabel.c - what the expert would do where a policy comes: labels begin in the policy's own
 * states, are the same on any number of threads, and become samples with full chunks. */
#include "demo_world.h"

#include <math.h>
#include <stdatomic.h>

#include "core/safetensors.h"
#include "rl/relabel.h"

enum { N_EPISODE = 3, LIMIT = 20, LONG = 300, N_DECISION = 3 };

static vk_protocol quick;

typedef struct seen {
  vk_robot_obs obs[N_EPISODE][LONG];
  double action[N_EPISODE][LONG][VK_N_ACTION];
  const vk_eval_episode *first;
  int i_episode[16], i_step[16]; /* of each slot */
} seen;

static vk_status on_begin(void *arg, int i_slot, const vk_eval_episode *episode, const vk_env *env,
                          vk_err *err)
{
  seen *s = arg;
  s->i_episode[i_slot] = (int)(episode - s->first);
  s->i_step[i_slot] = 0;
  return VK_OK;
}

static vk_status on_step(void *arg, int i_slot, const vk_env *env, double action[VK_N_ACTION],
                         vk_err *err)
{
  seen *s = arg;
  int e = s->i_episode[i_slot], t = s->i_step[i_slot]++;
  s->obs[e][t] = *vk_env_robot_obs(env);
  memcpy(s->action[e][t], action, sizeof s->action[e][t]);
  return VK_OK;
}

static vk_status ignore(void *arg, const vk_eval_result *r, vk_err *err)
{
  return VK_OK;
}

/* The same episodes watched (out NULL), or relabelled. */
static void run(const char *word, int n_thread, const vk_eval_episode *episode, int n,
                seen *watched, vk_relabel *out)
{
  vk_err err = VK_ERR_INIT;
  vk_pool *pool;
  vk_policy policy;
  vk_expert_facts *facts;
  vk_assert_ok(vk_pool_new(&pool, n_thread, &err), &err);
  vk_assert_ok(vk_expert_facts_open(&facts, VK_SOURCE_DIR "/data/expert.json", &err), &err);
  const vk_policy_args args = {.n_env = vk_eval_n_slot(pool), .seed = 2};
  vk_assert_ok(vk_policy_open(&policy, word, &args, &err), &err);
  vk_eval_config eval = {.pack = &pack,
                         .cache_dir = models_dir(),
                         .protocol = &quick,
                         .seed = 3,
                         .rows = VK_ROWS_SAMPLED,
                         .policy = &policy,
                         .pool = pool};
  if (watched) {
    const vk_eval_watch watch = {.arg = watched, .begin = on_begin, .before_step = on_step};
    watched->first = eval.episode = episode;
    eval.n_episode = n;
    eval.watch = &watch;
    eval.put = ignore;
    vk_assert_ok(vk_evaluate(&eval, NULL, &err), &err);
  } else {
    char note[64];
    vk_progress progress;
    vk_progress_init(&progress, NULL, "train", "steps", 1, 0);
    eval.progress = &progress;
    const vk_relabel_config config = {.eval = eval, .facts = facts};
    vk_assert_ok(vk_relabel_run(out, &config, n, episode, &err), &err);
    snprintf(note, sizeof note, "asking the expert: %d of %d episode%s, %d succeeded", n, n,
             vk_plural(n), out->n_success);
    assert_string_equal(progress.note, note);
    vk_progress_fini(&progress);
  }
  vk_policy_close(&policy);
  vk_expert_facts_free(facts);
  vk_pool_free(pool);
}

static void assert_same(const vk_relabel *a, const vk_relabel *b)
{
  assert_int_equal(a->n, b->n);
  for (int64_t i = 0; i < a->n; i++) {
    const vk_label *x = &a->label[i], *y = &b->label[i];
    assert_int_equal(x->i_task, y->i_task);
    assert_int_equal(x->n_step, y->n_step);
    assert_int_equal(x->n_state, y->n_state);
    assert_memory_equal(x->action, y->action, sizeof x->action[0] * (size_t)x->n_step);
    int n = x->n_step < VK_LABEL_SAMPLES ? x->n_step : VK_LABEL_SAMPLES;
    assert_memory_equal(x->obs, y->obs, sizeof x->obs[0] * (size_t)n);
    assert_memory_equal(x->picture_state, y->picture_state,
                        sizeof(double) * (size_t)(n * x->n_state));
  }
}

/* Demonstrations of the tasks, two of each, that labels are added to. */
static vk_dataset *open_data(int n, const char *const *word)
{
  vk_err err = VK_ERR_INIT;
  vk_dataset *d;
  char path[2][VK_FS_PATH_MAX], name[32];
  const char *list[2] = {path[0], path[1]};
  for (int i = 0; i < n; i++) {
    snprintf(name, sizeof name, "few%d.npz", i);
    write_store(name, word[i], 2, 9);
    snprintf(path[i], sizeof path[i], "%s", in_dir(name));
  }
  const vk_dataset_config config = {.pack = &pack, .path = list, .n_path = n};
  vk_assert_ok(vk_dataset_new(&d, &config, &err), &err);
  return d;
}

static void test_labels_of_visited_states(void **state)
{
  const vk_eval_episode episode[N_EPISODE] = {{task_index("libero_object/0"), 0},
                                              {task_index("libero_object/0"), 1},
                                              {task_index("libero_goal/3"), 0}};
  static seen watched;
  vk_relabel one, three, back;
  run("random", 1, episode, N_EPISODE, &watched, NULL);
  run("random", 1, episode, N_EPISODE, NULL, &one);
  run("random", 3, episode, N_EPISODE, NULL, &three);
  assert_int_equal(one.n, N_EPISODE * N_DECISION);
  assert_int_equal(one.n_episode, N_EPISODE);
  assert_int_equal(one.n_success, 0);
  assert_same(&one, &three);
  for (int64_t i = 0; i < one.n; i++) {
    const vk_label *l = &one.label[i];
    int e = (int)i / N_DECISION, t = (int)i % N_DECISION * VK_CHUNK_STEPS;
    assert_int_equal(l->i_task, episode[e].i_task);
    assert_int_equal(l->n_step, VK_LABEL_STEPS);
    assert_memory_equal(&l->obs[0], &watched.obs[e][t], sizeof l->obs[0]);
    assert_memory_not_equal(&l->obs[1], &l->obs[0], sizeof l->obs[0]);
    /* the expert moves, and not as the policy did */
    assert_memory_not_equal(l->action[0], watched.action[e][t], sizeof l->action[0]);
    for (int k = 0; k < l->n_step; k++)
      assert_true(fabs(l->action[k][6]) == 1);
  }
  /* a file gives all of it back */
  vk_err err = VK_ERR_INIT;
  const char *const word[] = {"libero_object/0", "libero_goal/3"};
  vk_dataset *d = open_data(2, word);
  vk_assert_ok(vk_relabel_write(&one, in_dir("labels.safetensors"), &err), &err);
  vk_assert_ok(vk_relabel_read(&back, in_dir("labels.safetensors"), d, &err), &err);
  assert_same(&one, &back);
  vk_dataset_free(d);
  vk_relabel_free(&one);
  vk_relabel_free(&three);
  vk_relabel_free(&back);
}

/* ---- what goes wrong ----------------------------------------------------------------------- */

static vk_policy sabotaged; /* answers as it, but for what follows */
static _Atomic int n_left;  /* episodes that are still to fail */
static bool is_thrown;      /* by a state that MuJoCo gives up, not by an error */

static vk_status act_sabotaged(void *state, int n, const vk_policy_obs *obs, double *action,
                               vk_err *err)
{
  for (int i = 0; i < n; i++)
    if (obs[i].i_step == 9 && atomic_fetch_sub(&n_left, 1) > 0) {
      if (!is_thrown)
        return vk_fail(err, VK_E_SIM, "the arm has left the room");
      vk_env_data(obs[i].env)->qvel[0] = 1e30;
    }
  return sabotaged.def->act(state, n, obs, action, err);
}

static vk_status run_sabotaged(const vk_eval_episode *episode, int n, int n_fail, vk_relabel *out,
                               vk_err *err)
{
  vk_pool *pool;
  vk_expert_facts *facts;
  vk_assert_ok(vk_pool_new(&pool, 2, err), err);
  vk_assert_ok(vk_expert_facts_open(&facts, VK_SOURCE_DIR "/data/expert.json", err), err);
  const vk_policy_args args = {.n_env = vk_eval_n_slot(pool), .seed = 2};
  vk_assert_ok(vk_policy_open(&sabotaged, "random", &args, err), err);
  vk_policy_def def = *sabotaged.def;
  def.needs |= VK_POLICY_STATE;
  def.act = act_sabotaged;
  vk_policy policy = sabotaged;
  policy.def = &def;
  atomic_store(&n_left, n_fail);
  const vk_relabel_config config = {.eval = {.pack = &pack,
                                             .cache_dir = models_dir(),
                                             .protocol = &quick,
                                             .seed = 3,
                                             .rows = VK_ROWS_SAMPLED,
                                             .policy = &policy,
                                             .pool = pool},
                                    .facts = facts,
                                    .row_stride = 500};
  vk_status st = vk_relabel_run(out, &config, n, episode, err);
  vk_policy_close(&sabotaged);
  vk_expert_facts_free(facts);
  vk_pool_free(pool);
  return st;
}

/* An episode that fails leaves no labels, is counted, and is run again from another first state. */
static void test_failures_are_replaced(void **state)
{
  vk_err err = VK_ERR_INIT;
  const vk_eval_episode episode = {task_index("libero_object/0"), 1};
  const vk_eval_episode third = {episode.i_task, episode.row + 2 * 500};
  vk_relabel want, got;
  quick.n_step_default = LIMIT;
  vk_assert_ok(run_sabotaged(&third, 1, 0, &want, &err), &err);
  assert_int_equal(want.n, N_DECISION);
  assert_int_equal(want.n_replaced, 0);
  for (int i = 0; i < 2; i++) {
    is_thrown = i;
    vk_assert_ok(run_sabotaged(&episode, 1, 2, &got, &err), &err);
    assert_int_equal(got.n_replaced, 2);
    assert_int_equal(got.n_episode, 1);
    assert_same(&want, &got);
    vk_relabel_free(&got);
  }
  vk_assert_fails(run_sabotaged(&episode, 1, 1000, &got, &err), VK_E_SIM);
  vk_assert_says(&err, "in 4 tries");
  assert_int_equal(got.n_replaced, VK_START_REPLACED_MAX);
  vk_relabel_free(&got);
  vk_relabel_free(&want);
}

/* Where the policy is the expert, the first label is what it does, and the others nearly so: what
 * it holds it keeps, and it goes on with what it is about to grip or to put down. When it is done,
 * labels end. */
static void test_labels_of_expert(void **state)
{
  static const char *const tasks[] = {"libero_goal/7", "libero_object/0"};
  static seen watched;
  vk_relabel r;
  quick.n_step_default = LONG;
  for (size_t t = 0; t < VK_COUNT(tasks); t++) {
    const vk_eval_episode episode = {task_index(tasks[t]), 0};
    double off = 0;
    int n = 0, n_grip_off = 0;
    run("expert", 1, &episode, 1, NULL, &r);
    run("expert", 1, &episode, 1, &watched, NULL);
    assert_int_equal(r.n_success, 1);
    assert_true(r.n > 2 && r.label[r.n - 1].n_step < VK_LABEL_STEPS);
    assert_memory_equal(r.label[0].action, watched.action[0],
                        sizeof *r.label[0].action * LIMIT / 2);
    for (int64_t i = 0; i < r.n; i++)
      for (int k = 0; k < VK_CHUNK_STEPS && k < r.label[i].n_step; k++, n++) {
        const double *a = r.label[i].action[k], *b = watched.action[0][i * VK_CHUNK_STEPS + k];
        for (int j = 0; j < VK_N_ACTION - 1; j++)
          off += fabs(a[j] - b[j]) / (VK_N_ACTION - 1);
        n_grip_off += a[VK_N_ACTION - 1] != b[VK_N_ACTION - 1];
      }
    assert_true(n_grip_off <= n / 20);
    assert_true(off <= 0.05 * n);
    vk_relabel_free(&r);
  }
  quick.n_step_default = LIMIT;
}

static void test_samples(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_relabel r;
  vk_sample sample;
  char hash[65];
  const vk_eval_episode episode = {task_index("libero_object/0"), 4};
  vk_dataset *d = open_data(1, &(const char *){"libero_object/0"});
  snprintf(hash, sizeof hash, "%s", vk_dataset_hash(d));
  int64_t n = vk_dataset_n(d, VK_SPLIT_TRAIN);
  run("random", 1, &episode, 1, NULL, &r);
  r.label[1].n_step = 3; /* as if it had been done there */
  vk_assert_ok(vk_relabel_add(&r, d, &err), &err);
  assert_int_equal(vk_dataset_n(d, VK_SPLIT_TRAIN), n + 2 * VK_LABEL_SAMPLES + 3);
  assert_string_not_equal(vk_dataset_hash(d), hash);
  for (int64_t i = 0; i < vk_dataset_n(d, VK_SPLIT_TRAIN) - n; i++) {
    int k = i < 8 ? 0 : i < 11 ? 1 : 2, t = (int)(k == 0 ? i : k == 1 ? i - 8 : i - 11);
    const vk_label *l = &r.label[k];
    vk_dataset_sample(d, VK_SPLIT_TRAIN, n + i, &sample);
    assert_memory_equal(sample.picture_state, l->picture_state + t * l->n_state,
                        sizeof(double) * (size_t)l->n_state);
    for (int s = 0; s < VK_CHUNK_STEPS; s++) {
      double action[VK_N_ACTION] = {0};
      int32_t bin[VK_N_ACTION];
      int from = t + s < l->n_step ? t + s : l->n_step - 1;
      if (t + s < l->n_step)
        memcpy(action, l->action[from], sizeof action);
      action[6] = vk_action_gripper_from_libero(l->action[from][6]);
      vk_assert_ok(vk_action_encode(&vk_dataset_stats(d)->action, 1, action, bin, &err), &err);
      assert_memory_equal(sample.target + s * VK_N_ACTION, bin, sizeof bin);
    }
  }
  vk_relabel_free(&r);
  vk_dataset_free(d);
}

/* Labels that a damaged file may hold are read as they are written, or not at all. */
static void assert_refused(const vk_relabel *r, const vk_dataset *d, const char *what)
{
  vk_err err = VK_ERR_INIT;
  vk_relabel back;
  vk_assert_ok(vk_relabel_write(r, in_dir("damaged.safetensors"), &err), &err);
  vk_assert_fails(vk_relabel_read(&back, in_dir("damaged.safetensors"), d, &err), VK_E_FORMAT);
  vk_assert_says(&err, "damaged.safetensors: ");
  vk_assert_says(&err, what);
}

static void test_refused(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_relabel r;
  const vk_eval_episode episode = {task_index("libero_object/0"), 4};
  vk_dataset *d = open_data(1, &(const char *){"libero_object/0"});
  vk_assert_fails(vk_relabel_read(&r, in_dir("nothing.safetensors"), d, &err), VK_E_NOTFOUND);
  const float x = 1;
  const vk_safetensors_entry e = {"task", VK_SAFETENSORS_F32, 1, {1}, &x};
  vk_assert_ok(vk_safetensors_write(in_dir("other.safetensors"), &e, 1, NULL, 0, &err), &err);
  vk_assert_fails(vk_relabel_read(&r, in_dir("other.safetensors"), d, &err), VK_E_FORMAT);
  vk_assert_says(&err, "no labels");
  run("random", 1, &episode, 1, NULL, &r);
  vk_label *l = &r.label[1], good = *l;
  l->i_task = 4000000000u;
  assert_refused(&r, d, "tensor task, label 1: task 4000000000 of the pack is none of the data's");
  *l = good;
  l->n_state--;
  assert_refused(&r, d, "tensor n_state, label 1: ");
  *l = good;
  l->action[3][2] = NAN;
  assert_refused(&r, d, "of tensor action is nan");
  *l = good;
  l->obs[7].eef_pos_m[1] = INFINITY;
  assert_refused(&r, d, "of tensor obs is inf");
  *l = good;
  l->picture_state[0] = NAN;
  assert_refused(&r, d, "of tensor state is nan");
  vk_relabel_free(&r);
  vk_dataset_free(d);
}

static int set_up(void **state)
{
  quick = vk_protocols[0];
  quick.n_limit = 0;
  quick.n_dummy = 2;
  quick.n_step_default = LIMIT;
  return make_demo_world(state);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_labels_of_visited_states),
      cmocka_unit_test(test_labels_of_expert),
      cmocka_unit_test(test_samples),
      cmocka_unit_test(test_refused),
      cmocka_unit_test(test_failures_are_replaced),
  };
  return cmocka_run_group_tests(tests, set_up, remove_demo_world);
}
