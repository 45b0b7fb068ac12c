/* test_train_rl.c - training by practice: who learns while the critic warms up, when a step ends
 * early, what is drawn from after groups that do not differ, what is left of a run that diverges.
 */
#include "demo_world.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/safetensors.h"
#include "core/signal.h"
#include "core/version.h"
#include "ears.h"
#include "nano_small.h"
#include "norm_flat.h"
#include "rl/demo_feed.h"
#include "rl/trainer.h"

enum { POINTS = 64 };

static vk_model model;
static vk_params params; /* what training begins with */

static int set_up(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_norm_stats stats = flat_stats("libero130", -1, 1);
  if (make_demo_world(state) != 0)
    return -1;
  small_open(&model, &params, 5);
  const vk_checkpoint_info info = {
      .model = model, .stats = &stats, .n_stats = 1, .view = vk_view_defaults, .n_action_step = 8};
  const vk_checkpoint_write what = {.info = &info, .params = &params, .dtype = VK_SAFETENSORS_F32};
  vk_assert_ok(vk_checkpoint_save(in_dir("init"), 1, &what, &err), &err);
  return 0;
}

static int tear_down(void **state)
{
  vk_params_free(&params);
  return remove_demo_world(state);
}

/* Points of the curves that a run puts. */
typedef struct curves {
  int n;
  struct {
    char tag[48];
    int64_t step;
    double value;
  } point[POINTS * 8];
} curves;

static vk_status put(void *arg, int64_t step, int n, const vk_train_point *point, vk_err *err)
{
  curves *c = arg;
  for (int i = 0; i < n; i++, c->n++) {
    assert_true(c->n < (int)VK_COUNT(c->point));
    snprintf(c->point[c->n].tag, sizeof c->point[0].tag, "%s", point[i].tag);
    c->point[c->n].step = step;
    c->point[c->n].value = point[i].value;
  }
  return VK_OK;
}

static double value_of(const curves *c, const char *tag, int64_t step)
{
  for (int i = 0; i < c->n; i++)
    if (c->point[i].step == step && strcmp(c->point[i].tag, tag) == 0)
      return c->point[i].value;
  fail_msg("no point %s of step %lld", tag, (long long)step);
  return 0;
}

typedef struct training {
  vk_train_config config;
  vk_trainer trainer;
  char dir[VK_FS_PATH_MAX];
} training;

/* By a configuration that comes along, changed by `set`. */
static void open_training(training *all, const char *config, int n_set, const char *const *set,
                          const char *out, curves *c)
{
  vk_err err = VK_ERR_INIT;
  vk_train_config *train = &all->config;
  char init[VK_FS_PATH_MAX + 8];
  static const char *const some[] = {"episode_steps=10", "batch=4",      "micro_batch=2",
                                     "keep=1",           "save_every=9", "visuals=stand-in"};
  static const char *const practice[] = {"tasks=libero_goal/7", "groups=2", "group=2",
                                         "temperature=1.2"};
  *c = (curves){0};
  snprintf(init, sizeof init, "init=%s", in_dir("init"));
  snprintf(all->dir, sizeof all->dir, "%s", in_dir(out));
  vk_assert_ok(vk_fs_make_dirs(all->dir, &err), &err);
  vk_assert_ok(vk_train_config_init(train, &err), &err);
  vk_assert_ok(vk_train_config_read(train, config, &err), &err);
  vk_assert_ok(vk_train_config_set(train, init, &err), &err);
  for (size_t i = 0; i < VK_COUNT(some); i++)
    vk_assert_ok(vk_train_config_set(train, some[i], &err), &err);
  for (size_t i = 0; i < VK_COUNT(practice) && strcmp(train->method, "dagger") != 0; i++)
    vk_assert_ok(vk_train_config_set(train, practice[i], &err), &err);
  for (int i = 0; i < n_set; i++)
    vk_assert_ok(vk_train_config_set(train, set[i], &err), &err);
  vk_assert_ok(vk_train_config_check(train, &err), &err);
  const vk_trainer_config trainer = {.train = train,
                                     .pack = &pack,
                                     .visuals = &visuals,
                                     .cache_dir = models_dir(),
                                     .out = all->dir,
                                     .isa = small_isa(),
                                     .n_thread = 2,
                                     .put = put,
                                     .arg = c};
  vk_assert_ok(vk_trainer_new(&all->trainer, &trainer, &err), &err);
}

static void close_training(training *all)
{
  vk_trainer_free(&all->trainer);
  vk_train_config_fini(&all->config);
}

/* Trains to the end; trained out: the weights. */
static void run_training(training *all, vk_params *trained)
{
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_trainer_run(&all->trainer, "test", &err), &err);
  vk_assert_ok(vk_net_params_new(trained, &model, 1, &err), &err);
  memcpy(trained->data, all->trainer.learner.replica[0].params.data,
         sizeof(float) * (size_t)trained->n_item);
  close_training(all);
}

static void train(const char *config, int n_set, const char *const *set, const char *out, curves *c,
                  vk_params *trained)
{
  training all;
  open_training(&all, config, n_set, set, out, c);
  run_training(&all, trained);
}

/* Whether the parameters whose names begin so are as at the start. */
static bool is_unchanged(const vk_params *p, const char *prefix, bool begins)
{
  for (int i = 0; i < p->n_param; i++) {
    const vk_param *a = &p->param[i];
    if ((strncmp(a->name, prefix, strlen(prefix)) == 0) == begins &&
        memcmp(p->data + a->offset, params.data + a->offset, sizeof(float) * (size_t)a->n) != 0)
      return false;
  }
  return true;
}

static void test_critic_warms_up(void **state)
{
  static curves c;
  vk_params p;
  const char *const warm[] = {"steps=1", "critic_warmup=0", "kl_stop=0", "weight_decay=0.1",
                              "ema_decay=0.9"};
  training all;
  open_training(&all, "ppo-n2", VK_COUNT(warm), warm, "warm", &c);
  all.config.critic_warmup = 1; /* all of it: who trains is not let */
  run_training(&all, &p);
  assert_true(is_unchanged(&p, "value.", false));
  assert_false(is_unchanged(&p, "value.", true));
  assert_true(value_of(&c, "train/actor/updates", 1) == 4); /* 8 decisions, twice */
  assert_true(value_of(&c, "train/actor/approx_kl", 1) == 0);
  vk_params_free(&p);
  const char *const then[] = {"steps=3", "critic_warmup=1", "kl_stop=0", "lr=1e-3", "warmup=1"};
  train("ppo-n2", VK_COUNT(then), then, "then", &c, &p);
  vk_assert_close(value_of(&c, "train/actor/lr", 1), 1e-3, 0, 0); /* the critic's */
  vk_assert_close(value_of(&c, "train/actor/lr", 2), 5e-4, 0, 0); /* then all else begins */
  vk_assert_close(value_of(&c, "train/actor/lr", 3), 1e-3, 0, 0);
  assert_false(is_unchanged(&p, "stem.", true));
  assert_true(value_of(&c, "train/actor/approx_kl", 2) > 0);
  assert_true(value_of(&c, "train/actor/ratio_away_at_first", 2) == 0);
  vk_params_free(&p);
}

/* The first update has a divergence of 0, any further one is too much. */
static void test_stops_early(void **state)
{
  static curves c;
  vk_params p;
  const char *const set[] = {"steps=1", "critic_warmup=0", "kl_stop=1e-12"};
  train("ppo-n2", VK_COUNT(set), set, "stops", &c, &p);
  assert_true(value_of(&c, "train/actor/updates", 1) == 1);
  assert_true(value_of(&c, "train/actor/approx_kl", 1) > 1e-12);
  vk_params_free(&p);
}

/* Groups without a success teach nothing; after them actions are drawn from a flatter
 * distribution, by which the network that learns goes, too. */
static void test_groups_alike(void **state)
{
  static curves c;
  vk_params p;
  const char *const set[] = {"steps=2", "uniform_share=0.7", "temperature_high=1.7"};
  train("grpo-n2", VK_COUNT(set), set, "alike", &c, &p);
  assert_true(is_unchanged(&p, "", true));
  assert_true(value_of(&c, "env/success_once", 1) == 0);
  assert_true(value_of(&c, "rollout/groups_uniform", 1) == 2);
  assert_true(value_of(&c, "rollout/saved", 1) == 1);
  assert_true(value_of(&c, "train/actor/updates", 1) == 0);
  assert_true(value_of(&c, "rollout/temperature", 1) == 1.2);
  assert_true(value_of(&c, "rollout/temperature", 2) == 1.7);
  vk_params_free(&p);
  const char *const ppo[] = {"steps=2", "uniform_share=0.7", "temperature_high=1.7",
                             "critic_warmup=0"};
  train("ppo-n2", VK_COUNT(ppo), ppo, "alike_ppo", &c, &p);
  assert_true(value_of(&c, "rollout/temperature", 2) == 1.7);
  assert_true(value_of(&c, "train/actor/updates", 2) > 0);
  assert_true(value_of(&c, "train/actor/ratio_away_at_first", 2) == 0);
  vk_params_free(&p);
}

/* "data=" and demonstrations of the task. */
static const char *data_of_task(void)
{
  static char set[VK_FS_PATH_MAX + 8];
  write_store("few.npz", "libero_goal/7", 2, 9);
  snprintf(set, sizeof set, "data=%s", in_dir("few.npz"));
  return set;
}

/* Where episodes teach nothing, demonstrations still do, in their share: until it is 0. */
static void test_imitation_of_groups_alike(void **state)
{
  static curves c;
  vk_params p;
  const char *const set[] = {data_of_task(), "bc_weight=0.5", "bc_batch=4", "bc_steps=1",
                             "steps=2",      "warmup=0",      "lr=0.01"};
  train("grpo-n2", VK_COUNT(set), set, "imitates", &c, &p);
  assert_false(is_unchanged(&p, "", true));
  assert_true(value_of(&c, "rollout/decisions", 1) == 0);
  assert_true(value_of(&c, "train/actor/updates", 1) == 2); /* one an epoch */
  assert_true(value_of(&c, "train/imitation/loss", 1) > 0);
  assert_true(value_of(&c, "train/actor/grad_norm", 1) > 0);
  assert_true(value_of(&c, "train/actor/updates", 2) == 0);
  for (int i = 0; i < c.n; i++)
    assert_true(isfinite(c.point[i].value));
  vk_params_free(&p);
}

/* An upper bound has learning in it, whatever the episodes that it was measured with would teach.
 */
static void test_estimate_learns(void **state)
{
  static curves c;
  vk_err err = VK_ERR_INIT;
  vk_train_estimate e;
  training all;
  const char *const set[] = {"steps=2", "filter_lo=0.1", "filter_hi=0.9"};
  open_training(&all, "grpo-n2", VK_COUNT(set), set, "estimate", &c);
  float *norm =
      vk_net_data(&all.trainer.learner.replica[0].net, "norm"); /* given with a micro-batch */
  *norm = 0;
  vk_assert_ok(vk_trainer_estimate(&all.trainer, &e, &err), &err);
  assert_true(*norm > 0);
  assert_true(e.wall_s > 0);
  close_training(&all);
}

/* What is measured before a run leaves its bits as they are, demonstrations beside practice, too.
 */
static void test_estimate_changes_nothing(void **state)
{
  static curves c;
  static training all;
  vk_err err = VK_ERR_INIT;
  vk_train_estimate e;
  vk_params plain, measured;
  const char *const ppo[] = {data_of_task(), "bc_weight=0.5",   "bc_batch=4", "bc_steps=0",
                             "steps=1",      "critic_warmup=0", "kl_stop=0"};
  const char *const dagger[] = {"steps=2",         data_of_task(),      "validate_every=2",
                                "dagger_rounds=1", "dagger_episodes=2", "dagger_every=1"};
  const struct {
    const char *config;
    int n_set;
    const char *const *set;
    const char *out[2];
  } run[] = {{"ppo-n2", VK_COUNT(ppo), ppo, {"plain_ppo", "measured_ppo"}},
             {"dagger-n2", VK_COUNT(dagger), dagger, {"plain_dagger", "measured_dagger"}}};
  for (size_t i = 0; i < VK_COUNT(run); i++) {
    train(run[i].config, run[i].n_set, run[i].set, run[i].out[0], &c, &plain);
    open_training(&all, run[i].config, run[i].n_set, run[i].set, run[i].out[1], &c);
    vk_assert_ok(vk_trainer_estimate(&all.trainer, &e, &err), &err);
    assert_true(e.step_s > 0 && e.wall_s > e.step_s);
    run_training(&all, &measured);
    assert_memory_equal(measured.data, plain.data, sizeof(float) * (size_t)plain.n_item);
    vk_params_free(&plain);
    vk_params_free(&measured);
  }
}

/* Ends at the limit have a value, unless they have none; where environments begin anew, all have as
 * many decisions. */
static void test_bootstrap_and_partial_reset(void **state)
{
  static curves c;
  vk_params none, limit, again, anew;
  enum { N = 5 };
  const char *set[N + 1] = {"steps=1", "critic_warmup=0", "kl_stop=0", "group=1", "bootstrap=none"};
  train("ppo-n2", N, set, "none", &c, &none);
  set[4] = "bootstrap=auto"; /* none, without partial_reset */
  train("ppo-n2", N, set, "again", &c, &again);
  set[4] = "bootstrap=truncation";
  train("ppo-n2", N, set, "limit", &c, &limit);
  size_t n = sizeof(float) * (size_t)none.n_item;
  assert_memory_equal(none.data, again.data, n);
  assert_memory_not_equal(none.data, limit.data, n);
  assert_true(value_of(&c, "rollout/decisions", 1) == 2 * 2);
  set[4] = "partial_reset=true";
  set[5] = "rollout_steps=33";
  train("ppo-n2", N + 1, set, "anew", &c, &anew);
  assert_true(value_of(&c, "rollout/decisions", 1) == 2 * 5);
  assert_true(value_of(&c, "env/num_trajectories", 1) == 2 * 2); /* the third is cut */
  assert_true(value_of(&c, "env/episode_len", 1) == 10);
  assert_true(value_of(&c, "train/actor/ratio_away_at_first", 1) == 0);
  vk_params_free(&none);
  vk_params_free(&again);
  vk_params_free(&limit);
  vk_params_free(&anew);
}

/* ---- interruption -------------------------------------------------------------------------- */

/* Interrupts when a word is said, once, and keeps what is said. */
typedef struct watch {
  vk_progress progress;
  const char *word;
  char said[8192];
  size_t n;
} watch;

static ssize_t hear(void *arg, const char *text, size_t n)
{
  watch *w = arg;
  for (size_t i = 0; i < n && w->n < sizeof w->said - 1; i++)
    w->said[w->n++] = text[i];
  if (w->word && strstr(w->said, w->word)) {
    w->word = NULL;
    raise(SIGINT);
  }
  w->progress.next_s = 0; /* with its mutex held: the next line comes at once */
  return (ssize_t)n;
}

static const char *const interrupted_set[] = {
    NULL, "bc_weight=0.5", "bc_batch=4", "bc_steps=0", "steps=2", "critic_warmup=0", "kl_stop=0"};

/* In a child: a run into `out` that is interrupted at a word must end with n_step done and saved.
 * Returns 0, or what is wrong. */
static int run_interrupted(const char *const *set, const char *word, const char *out,
                           int64_t n_step)
{
  static curves c;
  static watch w;
  static training all;
  vk_err err = VK_ERR_INIT;
  vk_log log;
  FILE *stream = fopencookie(&w, "w", (cookie_io_functions_t){.write = hear});
  if (!stream || setvbuf(stream, NULL, _IOLBF, 4096) != 0)
    return 1;
  vk_signal_init();
  vk_log_init(&log, stream);
  vk_progress_init(&w.progress, &log, "train", "steps", 2, 0);
  w.progress.next_s = 0;
  w.word = word;
  open_training(&all, "ppo-n2", VK_COUNT(interrupted_set), set, out, &c);
  all.trainer.config.log = &log;
  all.trainer.config.progress = &w.progress;
  if (vk_trainer_run(&all.trainer, "test", &err) != VK_E_INTERRUPTED)
    return 2;
  if (all.trainer.step != n_step || all.trainer.saved_step != n_step)
    return 3;
  if (n_step == 0 && !is_unchanged(&all.trainer.learner.replica[0].params, "", true))
    return 4;
  return !strstr(w.said, "it is finished, then saved") == (n_step == 0) ? 0 : 5;
}

/* Before the first update of a step it is left and done anew; after it, done to its end, which is
 * said. Either way the run goes on to the same bits. */
static void test_interrupted_while_learning(void **state)
{
  static const struct {
    const char *word, *out;
    int64_t n_step;
  } at[] = {{"learning", "early", 0}, {"learning, update 1", "late", 1}};
  static curves c;
  static training all;
  vk_err err = VK_ERR_INIT;
  vk_params want, got;
  const char *set[VK_COUNT(interrupted_set)];
  memcpy(set, interrupted_set, sizeof set);
  set[0] = data_of_task();
  train("ppo-n2", VK_COUNT(set), set, "whole", &c, &want);
  for (size_t i = 0; i < VK_COUNT(at); i++) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
      _exit(run_interrupted(set, at[i].word, at[i].out, at[i].n_step));
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    open_training(&all, "ppo-n2", VK_COUNT(set), set, at[i].out, &c);
    vk_assert_ok(vk_trainer_resume(&all.trainer, &err), &err);
    assert_int_equal(all.trainer.step, at[i].n_step);
    run_training(&all, &got);
    assert_memory_equal(got.data, want.data, sizeof(float) * (size_t)want.n_item);
    vk_params_free(&got);
  }
  vk_params_free(&want);
}

/* Episodes that stop are named where warnings are heard, of all methods that act, although nothing
 * else is said (-q). */
static void test_stuck_episodes_are_said(void **state)
{
  static curves c;
  static training all;
  static ears e;
  static sleeper slow;
  vk_params p;
  const char *const grpo[] = {"steps=1", "quiet_s=0.03"};
  const char *const dagger[] = {"steps=1",         "quiet_s=0.03",      data_of_task(),
                                "dagger_rounds=1", "dagger_episodes=2", "dagger_every=1"};
  const struct {
    const char *config;
    int n_set;
    const char *const *set;
  } run[] = {{"grpo-n2", VK_COUNT(grpo), grpo}, {"dagger-n2", VK_COUNT(dagger), dagger}};
  for (size_t i = 0; i < VK_COUNT(run); i++) {
    open_training(&all, run[i].config, run[i].n_set, run[i].set, run[i].config, &c);
    ears_open(&e);
    sleeper_open(&slow, 4, 200000);
    all.trainer.config.warn = &e.log;
    all.trainer.config.progress = &slow.progress;
    run_training(&all, &p);
    vk_params_free(&p);
    assert_true(ears_count(&e, "rollout: the episode of libero_goal/7 from row ") > 0);
    sleeper_close(&slow);
    ears_close(&e);
  }
}

/* Where it is the demonstrations' part that diverges, theirs is the batch that is kept. */
static void test_demonstrations_diverge(void **state)
{
  static curves c;
  vk_err err = VK_ERR_INIT;
  training all;
  vk_safetensors bad;
  const char *const set[] = {data_of_task(), "bc_weight=0.5", "bc_batch=4", "bc_steps=0",
                             "steps=2",      "warmup=0",      "lr=1e30"};
  open_training(&all, "grpo-n2", VK_COUNT(set), set, "diverges_too", &c);
  vk_assert_fails(vk_trainer_run(&all.trainer, "test", &err), VK_E_DIVERGED);
  vk_assert_says(&err, "the loss of demonstrations is ");
  vk_assert_ok(vk_safetensors_open(&bad, in_dir("diverges_too/bad_batch.safetensors"), &err), &err);
  assert_non_null(vk_safetensors_find(&bad, "target"));
  assert_non_null(vk_safetensors_meta(&bad, "text.0"));
  vk_safetensors_close(&bad);
  close_training(&all);
}

/* The same function of other weights, whose gradients are so large that their squares are not. */
static void spoil(const vk_learner *l)
{
  const vk_params *p = &l->replica[0].params;
  const struct {
    const char *name;
    float scale;
  } part[] = {{"dec_norm.weight", 1e25f}, {"head.weight", 1e-25f}, {"value.0.weight", 1e-25f}};
  for (size_t i = 0; i < VK_COUNT(part); i++) {
    const vk_param *a = vk_params_find(p, part[i].name);
    for (int64_t k = 0; a && k < a->n; k++)
      p->data[a->offset + k] *= part[i].scale;
  }
}

/* Norm of the gradient of micro-batch i alone. */
static double norm_of(vk_trainer *t, vk_demo_feed *feed, int i, int n)
{
  vk_err err = VK_ERR_INIT;
  vk_learner *l = &t->learner;
  double loss, sum = 0;
  vk_demo_feed_stop(feed, l);
  vk_assert_ok(vk_demo_feed_next(feed, t, (int64_t)i * n, &err), &err);
  vk_assert_ok(vk_learner_begin(l, &err), &err);
  vk_assert_ok(vk_learner_add(l, feed->batch, i, &err), &err);
  vk_assert_ok(vk_learner_wait(l, &loss, &err), &err);
  for (int64_t k = 0; k < l->replica[0].params.n_item; k++)
    sum += (double)l->replica[0].grad[k] * (double)l->replica[0].grad[k];
  return sqrt(sum);
}

/* Where all losses are finite and the gradient is not, the micro-batch with the largest is kept,
 * and not the one that came last. */
static void test_gradient_diverges(void **state)
{
  static curves c;
  static training all;
  vk_err err = VK_ERR_INIT;
  vk_safetensors bad;
  char first[24];
  double most = 0;
  int largest = -1;
  const char *const set[] = {
      "steps=2",           data_of_task(),     "batch=8",          "warmup=0",    "dagger_rounds=1",
      "dagger_episodes=1", "dagger_every=100", "validate_every=0", "clip_norm=0", "seed=2"};
  open_training(&all, "dagger-n2", VK_COUNT(set), set, "steep", &c);
  vk_trainer *t = &all.trainer;
  spoil(&t->learner);
  vk_assert_fails(vk_trainer_run(t, "test", &err), VK_E_DIVERGED);
  vk_assert_says(&err, "step 0: the gradients' norm is ");
  vk_assert_says(&err, "the micro-batch that it came from is in ");
  for (int i = 0; i < 4; i++) {
    double norm = norm_of(t, t->state, i, 2); /* its first member is the feed */
    largest = norm > most ? i : largest;
    most = fmax(norm, most);
  }
  assert_true(largest >= 0 && largest < 3);
  snprintf(first, sizeof first, "%d", 2 * largest);
  vk_assert_ok(vk_safetensors_open(&bad, in_dir("steep/bad_batch.safetensors"), &err), &err);
  assert_string_equal(vk_safetensors_meta(&bad, "first_sample"), first);
  vk_safetensors_close(&bad);
  close_training(&all);
}

/* The same of practice, whose last micro-batch has two rows of six and the smaller gradient. */
static void test_gradient_of_practice_diverges(void **state)
{
  static curves c;
  static training all;
  vk_err err = VK_ERR_INIT;
  vk_safetensors bad;
  const char *const set[] = {"steps=2",  "groups=3",        "group=1",   "batch=8",
                             "warmup=0", "critic_warmup=0", "kl_stop=0", "micro_batch=4"};
  open_training(&all, "ppo-n2", VK_COUNT(set), set, "steep_too", &c);
  spoil(&all.trainer.learner);
  vk_assert_fails(vk_trainer_run(&all.trainer, "test", &err), VK_E_DIVERGED);
  vk_assert_says(&err, "step 0: the gradients' norm is ");
  vk_assert_ok(vk_safetensors_open(&bad, in_dir("steep_too/bad_batch.safetensors"), &err), &err);
  const vk_safetensor *picture = vk_safetensors_find(&bad, "image");
  assert_true(picture && picture->shape[0] == 4);
  vk_safetensors_close(&bad);
  close_training(&all);
}

/* However many instructions a batch has. */
static void test_batch_of_many_texts(void **state)
{
  enum { N = 70 };
  static int32_t target[N * VK_CHUNK_TARGETS];
  static char text[N][16];
  vk_err err = VK_ERR_INIT;
  vk_nano_obs obs[N];
  const char *said[N];
  vk_safetensors s;
  for (int i = 0; i < N; i++) {
    snprintf(text[i], sizeof text[i], "task %d", i);
    said[i] = text[i];
    obs[i] = (vk_nano_obs){.i_text = N - 1 - i};
  }
  const vk_batch batch = {.n = N, .n_text = N, .obs = obs, .text = said, .target = target};
  const vk_demo_feed feed = {.batch = &batch};
  vk_assert_ok(vk_demo_feed_save_batch(&feed, in_dir("many.safetensors"), &err), &err);
  vk_assert_ok(vk_safetensors_open(&s, in_dir("many.safetensors"), &err), &err);
  assert_string_equal(vk_safetensors_meta(&s, "text.0"), "task 0");
  assert_string_equal(vk_safetensors_meta(&s, "text.69"), "task 69");
  const int32_t first = N - 1;
  assert_memory_equal(vk_safetensors_find(&s, "text_of")->bytes, &first, sizeof first);
  vk_safetensors_close(&s);
}

/* What a step says of its episodes, for its line and for who asks the trainer. */
static void test_practice_is_told(void **state)
{
  static curves c;
  training all;
  vk_err err = VK_ERR_INIT;
  const char *const set[] = {"steps=1", "eval_every=1", "eval_episodes=1", "reward=5"};
  open_training(&all, "grpo-n2", VK_COUNT(set), set, "told", &c);
  vk_assert_ok(vk_trainer_run(&all.trainer, "test", &err), &err);
  const vk_train_practice *p = &all.trainer.practice;
  assert_true(p->n == 4 && p->n_success == 0 && p->saved == 1 && p->env_steps_per_s > 0);
  assert_non_null(strstr(all.trainer.note, "0 of 2 groups differ, saved 100 %"));
  for (int i = 0; i < c.n; i++) /* nothing measures how long the CPU waits */
    assert_string_not_equal(c.point[i].tag, "time/wait");
  double rate = value_of(&c, "eval_sampled/success_once", 1);
  assert_true(value_of(&c, "eval/success_once", 1) == rate);
  assert_true(value_of(&c, "eval/return", 1) == 5 * rate);
  close_training(&all);
}

/* ---- what a checkpoint is made of ---------------------------------------------------------- */

/* Puts other words into a file of the run's last checkpoint; what it held is to be freed. */
static char *change(const char *out, const char *file, const char *from, const char *to)
{
  char path[VK_FS_PATH_MAX], *text, *at;
  vk_err err = VK_ERR_INIT;
  size_t n;
  snprintf(path, sizeof path, "%s/checkpoints/last/%s", in_dir(out), file);
  vk_assert_ok(vk_fs_read(&text, &n, path, 1 << 20, &err), &err);
  at = strstr(text, from);
  if (!at)
    fail_msg("%s does not say %s: %s", file, from, text);
  char *changed = calloc(n + strlen(to) + 1, 1);
  assert_non_null(changed);
  snprintf(changed, n + strlen(to) + 1, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
  vk_assert_ok(vk_fs_write(path, changed, strlen(changed), &err), &err);
  free(changed);
  return text;
}

static void test_mixed_checkpoint(void **state)
{
  static const struct {
    const char *file, *from, *to, *says;
  } mix[] = {
      {"training_state/training_step.json", "\"step\":\t2", "\"step\":\t1",
       "is of step 1, config.json beside it of step 2"},
      {"pretrained_model/config.json", "\"step\":\t2", "\"step\":\t1", "is of step 2, config.json"},
      {"training_state/training_step.json", "\"updates\":\t8", "\"updates\":\t4",
       "has made 8 updates, and its training 4 at step 2"},
      {"training_state/scheduler_state.json", "\"n_step\":\t2", "\"n_step\":\t9",
       "schedule of learning rates is {"},
      {"training_state/scheduler_state.json", "\"next_lr\":\t0", "\"next_lr\":\t1",
       "schedule of learning rates is {"},
  };
  static curves c;
  vk_err err = VK_ERR_INIT;
  training all;
  vk_params p;
  const char *const set[] = {"steps=2", "critic_warmup=0", "kl_stop=0"};
  train("ppo-n2", VK_COUNT(set), set, "mixed", &c, &p);
  vk_params_free(&p);
  for (size_t i = 0; i < VK_COUNT(mix); i++) {
    char path[VK_FS_PATH_MAX];
    char *was = change("mixed", mix[i].file, mix[i].from, mix[i].to);
    open_training(&all, "ppo-n2", VK_COUNT(set), set, "mixed", &c);
    vk_assert_fails(vk_trainer_resume(&all.trainer, &err), VK_E_MISMATCH);
    vk_assert_says(&err, mix[i].says);
    close_training(&all);
    snprintf(path, sizeof path, "%s/checkpoints/last/%s", in_dir("mixed"), mix[i].file);
    vk_assert_ok(vk_fs_write(path, was, strlen(was), &err), &err);
    free(was);
  }
  open_training(&all, "ppo-n2", VK_COUNT(set), set, "mixed", &c); /* as it was */
  vk_assert_ok(vk_trainer_resume(&all.trainer, &err), &err);
  assert_int_equal(all.trainer.step, 2);
  assert_string_equal(all.trainer.init.source.commit, vk_version_commit());
  assert_string_equal(all.trainer.init.source.precision, "f32");
  close_training(&all);
}

/* ---- evaluations on the way ---------------------------------------------------------------- */

enum { N_JUDGED = 2 };

typedef struct judged {
  int n;
  vk_eval_result item[N_JUDGED];
} judged;

static vk_status take_result(void *arg, const vk_eval_result *r, vk_err *err)
{
  judged *j = arg;
  assert_true(j->n < N_JUDGED);
  j->item[j->n++] = *r;
  return VK_OK;
}

/* Episodes of a checkpoint as vlakit eval runs them, from the first states of the first n that were
 * judged. */
static void score(const char *folder, const judged *want, int n, judged *out)
{
  vk_err err = VK_ERR_INIT;
  vk_pool *pool;
  vk_policy policy;
  const vk_protocol *protocol;
  vk_eval_episode episode[N_JUDGED];
  vk_assert_ok(vk_protocol_find(&protocol, "oft", &err), &err);
  vk_assert_ok(vk_pool_new(&pool, 1, &err), &err);
  const vk_policy_args args = {
      .n_env = vk_eval_n_slot(pool), .seed = protocol->seed, .isa = small_isa()};
  vk_assert_ok(vk_policy_open(&policy, folder, &args, &err), &err);
  for (int i = 0; i < n; i++)
    episode[i] = want->item[i].episode;
  const vk_eval_config config = {.pack = &pack,
                                 .cache_dir = models_dir(),
                                 .protocol = protocol,
                                 .seed = protocol->seed,
                                 .rows = VK_ROWS_SAMPLED,
                                 .policy = &policy,
                                 .visuals = &visuals,
                                 .pool = pool,
                                 .n_episode = n,
                                 .episode = episode,
                                 .put = take_result,
                                 .arg = out};
  *out = (judged){0};
  vk_assert_ok(vk_evaluate(&config, NULL, &err), &err);
  assert_int_equal(out->n, n);
  vk_policy_close(&policy);
  vk_pool_free(pool);
}

/* What is said of a checkpoint on the way is what it is scored with: every episode, to the bits of
 * its last state. */
static void test_evaluation_is_that_of_the_checkpoint(void **state)
{
  static curves c;
  static judged told, scored, other;
  training all;
  vk_params p;
  vk_progress progress;
  char note[64];
  const char *const set[] = {"steps=2",      "critic_warmup=0", "kl_stop=0",     "lr=0.02",
                             "eval_every=2", "eval_episodes=2", "ema_decay=0.9", "save_every=2"};
  open_training(&all, "ppo-n2", VK_COUNT(set), set, "judged", &c);
  told = (judged){0};
  all.trainer.config.put = NULL;
  all.trainer.config.put_episode = take_result;
  all.trainer.config.arg = &told;
  vk_progress_init(&progress, NULL, "train", "steps", 2, 0);
  all.trainer.config.progress = &progress;
  run_training(&all, &p);
  vk_params_free(&p);
  assert_int_equal(told.n, N_JUDGED);
  snprintf(note, sizeof note, "evaluation: 2 of 2 episodes, %d succeeded",
           told.item[0].success + told.item[1].success);
  assert_string_equal(progress.note, note);
  vk_progress_fini(&progress);
  score(in_dir("judged/checkpoints/last"), &told, N_JUDGED, &scored);
  for (int i = 0; i < N_JUDGED; i++) {
    const vk_eval_result *a = &told.item[i];
    int k = scored.item[0].episode.row == a->episode.row ? 0 : 1;
    const vk_eval_result *b = &scored.item[k];
    vk_assert_ok(a->status, &a->error);
    assert_true(a->episode.row >= vk_start_ranges[VK_START_JUDGE].first);
    assert_int_equal(a->episode.row, b->episode.row);
    assert_int_equal(a->episode.i_task, b->episode.i_task);
    assert_int_equal(a->success, b->success);
    assert_int_equal(a->steps, b->steps);
    assert_string_equal(a->state_sha256, b->state_sha256);
  }
  score(in_dir("init/checkpoints/last"), &scored, 1, &other); /* others end elsewhere */
  assert_string_not_equal(scored.item[0].state_sha256, other.item[0].state_sha256);
}

/* A status of its own, and all that is needed to look into it. */
static void test_diverges(void **state)
{
  static curves c;
  vk_err err = VK_ERR_INIT;
  training all;
  const char *const set[] = {"steps=3", "critic_warmup=0", "kl_stop=0", "lr=1e30", "save_every=1"};
  open_training(&all, "ppo-n2", VK_COUNT(set), set, "diverges", &c);
  vk_assert_fails(vk_trainer_run(&all.trainer, "test", &err), VK_E_DIVERGED);
  assert_int_equal(err.code, VK_E_DIVERGED);
  vk_assert_says(&err, "step 0: the loss is");
  vk_assert_says(&err, "diverges/bad_batch.safetensors; the weights before are in no checkpoint");
  vk_safetensors bad; /* of the trainer's own rows */
  vk_assert_ok(vk_safetensors_open(&bad, in_dir("diverges/bad_batch.safetensors"), &err), &err);
  const vk_safetensor *picture = vk_safetensors_find(&bad, "image");
  assert_true(picture && picture->shape[0] == 2 && vk_safetensors_find(&bad, "logp_old"));
  vk_safetensors_close(&bad);
  close_training(&all);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_critic_warms_up),
      cmocka_unit_test(test_stops_early),
      cmocka_unit_test(test_stuck_episodes_are_said),
      cmocka_unit_test(test_demonstrations_diverge),
      cmocka_unit_test(test_gradient_diverges),
      cmocka_unit_test(test_gradient_of_practice_diverges),
      cmocka_unit_test(test_batch_of_many_texts),
      cmocka_unit_test(test_practice_is_told),
      cmocka_unit_test(test_mixed_checkpoint),
      cmocka_unit_test(test_groups_alike),
      cmocka_unit_test(test_imitation_of_groups_alike),
      cmocka_unit_test(test_estimate_learns),
      cmocka_unit_test(test_estimate_changes_nothing),
      cmocka_unit_test(test_interrupted_while_learning),
      cmocka_unit_test(test_diverges),
      cmocka_unit_test(test_bootstrap_and_partial_reset),
      cmocka_unit_test(test_evaluation_is_that_of_the_checkpoint),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
