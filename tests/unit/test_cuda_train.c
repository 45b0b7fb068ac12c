/* test_cuda_train.c - training on a GPU that is lost, on tests/emulated: in the middle of a step,
 * of a step of the optimiser, and while a checkpoint is written. The run ends with an error that
 * says so, its last checkpoint is whole, and a run that goes on from it ends with the weights of
 * one that nothing disturbed. And on two, which learn together; and what was learned acts there. */
#include "demo_world.h"

#include "emulated/emulated.h"
#include "rl/trainer.h"

enum { N_STEP = 3 }; /* kernel by kernel, captured, as a graph */

static const char small[] = "{\"model\": \"nano\", \"d_model\": 16, \"n_head\": 2, "
                            "\"n_encoder\": 1, \"n_decoder\": 1, \"stem\": [8, 8, 8, 16]}";

static int set_up(void **state)
{
  vk_err err = VK_ERR_INIT;
  if (make_demo_world(state) != 0)
    return -1;
  vk_emulated_product_chunk = 1 << 18;
  vk_assert_ok(vk_fs_write(in_dir("small.json"), small, strlen(small), &err), &err);
  write_store("few.npz", "libero_goal/7", 2, 9);
  return 0;
}

/* When the device is lost: at the n_call-th call of the runtime after a step was saved (0: never),
 * or, with while_saving, at the first one after it was learned and before it is saved. */
typedef struct loss {
  int64_t after; /* steps */
  int64_t n_call;
  bool while_saving;
} loss;

/* A run, and the calls of the runtime when a step had been learned and when it had been saved. */
typedef struct training {
  vk_train_config config;
  vk_trainer trainer;
  loss loss;
  int64_t learned[N_STEP + 1], saved[N_STEP + 1];
} training;

/* A point of the curves: the mean loss comes before a checkpoint, its time after it. */
static vk_status put(void *arg, int64_t step, int n, const vk_train_point *point, vk_err *err)
{
  training *all = arg;
  for (int i = 0; i < n; i++) {
    bool is_learned = strcmp(point[i].tag, "train/loss") == 0;
    bool is_saved = strcmp(point[i].tag, "time/checkpoint") == 0;
    if (is_learned)
      all->learned[step] = vk_emulated_n_call();
    if (is_saved)
      all->saved[step] = vk_emulated_n_call();
    if (step != all->loss.after)
      continue;
    if (is_learned && all->loss.while_saving)
      vk_emulated_fail_after(1, cudaErrorECCUncorrectable);
    if (is_saved && all->loss.n_call > 0)
      vk_emulated_fail_after(all->loss.n_call, cudaErrorECCUncorrectable);
  }
  return VK_OK;
}

/* Where a run is, and how much a step and a device take at a time. */
typedef struct place {
  const char *device, *batch, *micro_batch;
} place;

static const place one_gpu = {"cuda", "batch=4", "micro_batch=2"};
static const place two_gpus = {"cuda:0,1", "batch=4", "micro_batch=2"};

/* A run in folder `out`, which goes on where it ended. */
static vk_status try_training(training *all, const char *out, place at, loss lost, vk_err *err)
{
  static char dir[VK_FS_PATH_MAX], data[VK_FS_PATH_MAX + 8], network[VK_FS_PATH_MAX + 8];
  const char *const set[] = {data,
                             network,
                             "steps=3",
                             at.batch,
                             at.micro_batch,
                             "save_every=1",
                             "validation_demos=0",
                             "train_on_eval_rows=true",
                             "precision=f32",
                             "warmup=0",
                             "lr=0.01",
                             "visuals=stand-in"};
  *all = (training){.loss = lost};
  snprintf(data, sizeof data, "data=%s", in_dir("few.npz"));
  snprintf(network, sizeof network, "model=%s", in_dir("small.json"));
  snprintf(dir, sizeof dir, "%s", in_dir(out));
  vk_assert_ok(vk_fs_make_dirs(dir, err), err);
  vk_assert_ok(vk_train_config_init(&all->config, err), err);
  for (size_t i = 0; i < VK_COUNT(set); i++)
    vk_assert_ok(vk_train_config_set(&all->config, set[i], err), err);
  vk_assert_ok(vk_train_config_check(&all->config, err), err);
  const vk_trainer_config trainer = {.train = &all->config,
                                     .pack = &pack,
                                     .visuals = &visuals,
                                     .cache_dir = models_dir(),
                                     .out = dir,
                                     .device = at.device,
                                     .n_thread = 1,
                                     .put = put,
                                     .arg = all};
  return vk_trainer_new(&all->trainer, &trainer, err);
}

static void open_training(training *all, const char *out, place at, loss lost)
{
  vk_err err = VK_ERR_INIT;
  vk_emulated_set_device_count(2);
  vk_assert_ok(try_training(all, out, at, lost, &err), &err);
  vk_assert_ok(vk_trainer_resume(&all->trainer, &err), &err);
}

static void close_training(training *all)
{
  vk_trainer_free(&all->trainer);
  vk_train_config_fini(&all->config);
  vk_emulated_reset(); /* a process that ends gives the device back */
  assert_true(vk_emulated_is_clean());
}

/* What a run ends with: parameters and their average. */
typedef struct weights {
  vk_params params;
  float *used;
} weights;

/* To the end of the last parameter; the average ends there. */
static size_t bytes_of_weights(const vk_params *p)
{
  const vk_param *last = &p->param[p->n_param - 1];
  return sizeof(float) * (size_t)(last->offset + last->n);
}

static void take(float *to, const vk_learner *l, const float *block, size_t bytes)
{
  const vk_device *d = &l->config.devices->device[0];
  vk_err err = VK_ERR_INIT;
  void *view;
  vk_assert_ok(vk_device_view(d, block, bytes, &view, &err), &err);
  memcpy(to, view, bytes);
  vk_device_unview(d, view);
}

/* Trains to the end and takes the weights. */
static void run_to_end(training *all, weights *out)
{
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_trainer_run(&all->trainer, "test", &err), &err);
  const vk_learner *l = &all->trainer.learner;
  vk_assert_ok(vk_net_params_new(&out->params, &all->trainer.model, 1, &err), &err);
  size_t bytes = bytes_of_weights(&out->params);
  out->used = malloc(bytes);
  assert_non_null(out->used);
  take(out->params.data, l, l->replica[0].params.data, bytes);
  take(out->used, l, vk_learner_weights(l), bytes);
}

static void free_weights(weights *w)
{
  vk_params_free(&w->params);
  free(w->used);
}

static void require_same(const weights *a, const weights *b)
{
  size_t bytes = bytes_of_weights(&a->params);
  assert_memory_equal(a->params.data, b->params.data, bytes);
  assert_memory_equal(a->used, b->used, bytes);
}

/* Weights of the checkpoint of step n_step, which is the folder's last and all there. */
static vk_params read_checkpoint(const char *out, int64_t n_step)
{
  vk_err err = VK_ERR_INIT;
  vk_checkpoint_info info;
  vk_params p;
  char path[VK_FS_PATH_MAX];
  vk_assert_ok(vk_checkpoint_open(&info, in_dir(out), &err), &err);
  assert_int_equal(info.step, n_step);
  vk_assert_ok(vk_net_params_new(&p, &info.model, 1, &err), &err);
  vk_assert_ok(vk_params_load(&p, info.model.weights, &err), &err);
  vk_checkpoint_close(&info);
  snprintf(path, sizeof path, "%s/checkpoints", in_dir(out));
  DIR *d = opendir(path);
  assert_non_null(d);
  for (struct dirent *e; (e = readdir(d));) /* nothing half-written */
    assert_true(e->d_name[0] != '.' || strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0);
  closedir(d);
  return p;
}

/* The undisturbed run, and what it began with. */
static training whole;
static weights want;
static vk_model whole_model;
static int64_t whole_seed;

static void trains_undisturbed(void **state)
{
  vk_emulated_reset();
  open_training(&whole, "whole", one_gpu, (loss){0});
  run_to_end(&whole, &want);
  for (int i = 1; i <= N_STEP; i++)
    assert_true(whole.learned[i] > 0 && whole.saved[i] > 0);
  whole_model = whole.trainer.model;
  whole_seed = whole.config.seed;
  close_training(&whole);
}

static const char optimiser[] = "a step of the optimiser";

/* A run that loses its device, in the optimiser or elsewhere, and goes on. */
static void lose_and_go_on(const char *out, loss lost, bool in_optimiser)
{
  vk_err err = VK_ERR_INIT;
  training all;
  weights got;
  int64_t n_saved = lost.while_saving ? lost.after - 1 : lost.after; /* steps */
  open_training(&all, out, one_gpu, lost);
  vk_assert_fails(vk_trainer_run(&all.trainer, "test", &err), VK_E_IO);
  vk_assert_says(&err, "device cuda:0");
  vk_assert_says(&err, " failed with cudaErrorECCUncorrectable");
  vk_assert_says(&err, "--resume");
  assert_null(strchr(err.text, '\n'));
  assert_true((strstr(err.text, optimiser) != NULL) == in_optimiser);
  assert_int_equal(all.trainer.saved_step, n_saved);
  close_training(&all);
  vk_params before = read_checkpoint(out, n_saved);
  open_training(&all, out, one_gpu, (loss){0});
  assert_int_equal(all.trainer.step, n_saved);
  run_to_end(&all, &got);
  assert_int_equal(all.trainer.n_sample, 4 * (N_STEP - n_saved));
  close_training(&all);
  require_same(&got, &want);
  vk_params last = read_checkpoint(out, N_STEP);
  /* there was something to go on with */
  assert_memory_not_equal(before.data, last.data, bytes_of_weights(&last));
  vk_params_free(&before);
  vk_params_free(&last);
  free_weights(&got);
}

/* Calls of the step after `after`, the optimiser's at the end. */
static int64_t n_call_of_step(int64_t after)
{
  return whole.learned[after + 1] - whole.saved[after];
}

static void lost_in_a_step(void **state)
{
  lose_and_go_on("early", (loss){.after = 1, .n_call = n_call_of_step(1) / 3}, false);
  lose_and_go_on("late", (loss){.after = 2, .n_call = n_call_of_step(2) / 2}, false);
}

static void lost_in_the_optimiser(void **state)
{
  lose_and_go_on("optimiser", (loss){.after = 2, .n_call = n_call_of_step(2) - 2}, true);
}

static void lost_while_it_saves(void **state)
{
  lose_and_go_on("save", (loss){.after = 2, .while_saving = true}, false);
}

/* Two GPUs, which end where one does but for the order of sums, and go on after one was lost with
 * the bits that they would have had. */
static void two_learn_together(void **state)
{
  vk_err err = VK_ERR_INIT;
  training all;
  weights together, again;
  double d = 0, moved = 0;
  open_training(&all, "two", two_gpus, (loss){0});
  assert_int_equal(all.trainer.learner.n_replica, 2);
  run_to_end(&all, &together);
  close_training(&all);
  vk_params start;
  vk_assert_ok(vk_net_params_new(&start, &whole_model, (uint64_t)whole_seed, &err), &err);
  for (size_t k = 0; k < bytes_of_weights(&start) / sizeof(float); k++) {
    d += pow(together.params.data[k] - want.params.data[k], 2);
    moved += pow(want.params.data[k] - start.data[k], 2);
  }
  assert_true(moved > 0 && sqrt(d / moved) < 1e-2);
  vk_params_free(&start);

  open_training(&all, "two_lost", two_gpus, (loss){.after = 2, .n_call = 5});
  vk_assert_fails(vk_trainer_run(&all.trainer, "test", &err), VK_E_IO);
  close_training(&all);
  open_training(&all, "two_lost", two_gpus, (loss){0});
  assert_int_equal(all.trainer.step, 2);
  run_to_end(&all, &again);
  close_training(&all);
  require_same(&again, &together);
  free_weights(&again);
  free_weights(&together);
}

/* ---- the policy on a GPU ---- */

enum { N_OBS = 5 };

static void look(vk_policy_obs *obs, vk_robot_obs *robot, uint8_t *picture, int i)
{
  for (size_t k = 0; k < (size_t)VK_VIEW_N * VK_VIEW_BYTES; k++)
    picture[k] = (uint8_t)(k * (size_t)(7 + 2 * i) + k / 384 * 13);
  *robot = (vk_robot_obs){.eef_pos_m = {0.1 * i, 0, 1}, .eef_quat_xyzw = {0, 1, 0, 0}};
  *obs = (vk_policy_obs){.i_env = i,
                         .instruction = i % 2 ? "turn on the stove" : "push the plate",
                         .suite = "libero_goal",
                         .robot = robot,
                         .picture = {picture, picture + VK_VIEW_BYTES}};
}

/* It is asked for many environments at once, and answers each as if alone. */
static void answers_for_many(void **state)
{
  enum { N_ANSWER = VK_N_ACTION * VK_POLICY_ACTIONS_MAX };
  static uint8_t picture[N_OBS][VK_VIEW_N * VK_VIEW_BYTES];
  static double together[N_OBS * N_ANSWER], alone[N_ANSWER];
  vk_err err = VK_ERR_INIT;
  vk_device device;
  vk_policy policy;
  vk_policy_obs obs[N_OBS];
  vk_robot_obs robot[N_OBS];
  vk_assert_ok(vk_device_open(&device, "cuda", NULL, &err), &err);
  vk_policy_args args = {.n_env = N_OBS};
  vk_assert_ok(vk_policy_open(&policy, in_dir("whole"), &args, &err), &err);
  assert_false(policy.is_batched); /* on a CPU each thread asks for its own */
  vk_policy_close(&policy);
  args.device = &device;
  vk_assert_ok(vk_policy_open(&policy, in_dir("whole"), &args, &err), &err);
  assert_true(policy.is_batched);
  for (int i = 0; i < N_OBS; i++) {
    look(&obs[i], &robot[i], picture[i], i);
    vk_assert_ok(policy.def->begin(policy.state, &obs[i], (uint64_t)i, &err), &err);
  }
  size_t n = (size_t)VK_N_ACTION * (size_t)policy.n_action;
  vk_assert_ok(policy.def->act(policy.state, N_OBS, obs, together, &err), &err);
  assert_memory_not_equal(together, together + n, n * sizeof *together);
  for (int i = 0; i < N_OBS; i++) {
    vk_assert_ok(policy.def->act(policy.state, 1, &obs[i], alone, &err), &err);
    assert_memory_equal(alone, together + n * (size_t)i, n * sizeof *alone);
  }
  vk_policy_close(&policy);
  vk_device_close(&device);
  vk_emulated_reset();
  assert_true(vk_emulated_is_clean());
}

/* What devices cannot share evenly is refused, with what they can. */
static void uneven_shares_are_refused(void **state)
{
  static const struct {
    place at;
    const char *says;
  } bad[] = {
      {{"cuda:0,1", "batch=4", "micro_batch=4"}, "set micro_batch to 2"},
      {{"cuda:0,1", "batch=12", "micro_batch=4"}, "set micro_batch to 3"},
      {{"cuda:0,1", "batch=3", "micro_batch=1"}, "no multiple of the 2 devices"},
  };
  for (size_t i = 0; i < VK_COUNT(bad); i++) {
    vk_err err = VK_ERR_INIT;
    training all;
    vk_emulated_set_device_count(2);
    vk_assert_fails(try_training(&all, "uneven", bad[i].at, (loss){0}, &err), VK_E_USAGE);
    vk_assert_says(&err, bad[i].says);
    close_training(&all);
  }
}

static int tear_down(void **state)
{
  free_weights(&want);
  return remove_demo_world(state);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(trains_undisturbed),    cmocka_unit_test(lost_in_a_step),
      cmocka_unit_test(lost_in_the_optimiser), cmocka_unit_test(lost_while_it_saves),
      cmocka_unit_test(two_learn_together),    cmocka_unit_test(uneven_shares_are_refused),
      cmocka_unit_test(answers_for_many),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
