/* test_checkpoint.c - what is saved comes back bit for bit; which folders and links there are; a
 * full disk leaves the one before; files that are not what they should be are refused by name. */
#include "temp_dir.h"

#include <sys/stat.h>
#include <unistd.h>

#include "nn/model_nano.h"
#include "rl/checkpoint_internal.h"

static const vk_optim_config optim_config = {
    .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .max_norm = 1, .ema_decay = 0.9};

/* A small model in training. */
typedef struct trained {
  vk_checkpoint_info info;
  vk_params params;
  float *grad;
  vk_optim *optim;
  vk_optim_span *spans;
  vk_norm_stats stats[2];
} trained;

static const char small[] =
    "{\"model\": \"nano\", \"d_model\": 32, \"n_head\": 2, \"n_encoder\": 1, "
    "\"n_decoder\": 1, \"stem\": [8, 8, 16, 32]}";

static void fill_stats(vk_norm_stats *s, const char *key)
{
  *s = (vk_norm_stats){.n_step = 120, .n_demo = 3};
  snprintf(s->key, sizeof s->key, "%s", key);
  s->action.n_dim = VK_N_ACTION;
  s->proprio.n_dim = VK_VIEW_PROPRIO;
  for (int i = 0; i < VK_VIEW_PROPRIO; i++) {
    s->proprio.low[i] = -0.1 - i / 3.0;
    s->proprio.high[i] = 1.0 + i;
    s->proprio.low[6] = 0.0015570960972272198; /* not what 15 digits make of it */
    s->proprio.is_scaled[i] = true;
    if (i < VK_N_ACTION) {
      s->action.low[i] = -0.9 / (i + 1);
      s->action.high[i] = 0.7 + i;
      s->action.is_scaled[i] = i < 6;
    }
  }
}

static void begin(trained *t, uint64_t seed)
{
  vk_err err = VK_ERR_INIT;
  memset(t, 0, sizeof *t);
  vk_assert_ok(vk_model_parse(&t->info.model, small, strlen(small), "small", &err), &err);
  vk_assert_ok(vk_net_params_new(&t->params, &t->info.model, seed, &err), &err);
  vk_assert_ok(vk_params_block(&t->params, &t->grad, &err), &err);
  vk_assert_ok(vk_net_optim_new(&t->optim, &t->spans, &t->info.model, &t->params, t->grad,
                                &optim_config, 0.05, &err),
               &err);
  fill_stats(&t->stats[0], "libero_goal");
  fill_stats(&t->stats[1], "libero_10_no_noops");
  t->info.stats = t->stats;
  t->info.n_stats = 2;
  t->info.view = vk_view_defaults;
  t->info.view.level_error_px = 0.1f;
  t->info.n_action_step = 5;
  snprintf(t->info.source.run, sizeof t->info.source.run, "20300101-1");
  snprintf(t->info.source.pack_hash, sizeof t->info.source.pack_hash, "abc");
}

static void end(trained *t)
{
  vk_optim_free(t->optim);
  free(t->spans);
  free(t->grad);
  vk_params_free(&t->params);
}

/* A step with gradients that depend on its number alone. */
static void step(trained *t, int i)
{
  vk_err err = VK_ERR_INIT;
  for (int64_t k = 0; k < t->params.n_item; k++)
    t->grad[k] = (float)((k * 37 + i * 11) % 23 - 11) * 1e-3f;
  vk_assert_ok(vk_optim_step(t->optim, NULL, 1e-3, 1, NULL, &err), &err);
}

static vk_status save(trained *t, const char *dir, int64_t n, bool is_best, int n_keep, vk_err *err)
{
  cJSON *trainer = cJSON_CreateObject();
  cJSON_AddNumberToObject(trainer, "sample", 1e15 + 1);
  cJSON_AddNumberToObject(trainer, "best", -0.0015570960972272198);
  const vk_checkpoint_write what = {.info = &t->info,
                                    .params = &t->params,
                                    .ema = vk_optim_ema(t->optim),
                                    .dtype = VK_SAFETENSORS_F32,
                                    .train_config = trainer,
                                    .optim = t->optim,
                                    .trainer = trainer,
                                    .is_best = is_best,
                                    .n_keep = n_keep};
  vk_status st = vk_checkpoint_save(dir, n, &what, err);
  cJSON_Delete(trainer);
  return st;
}

static void expect_same_block(const vk_params *p, const float *a, const float *b)
{
  for (int i = 0; i < p->n_param; i++)
    assert_memory_equal(a + p->param[i].offset, b + p->param[i].offset,
                        sizeof *a * (size_t)p->param[i].n);
}

static void test_training_goes_on_bit_for_bit(void **state)
{
  vk_err err = VK_ERR_INIT;
  trained whole, first, second;
  begin(&whole, 1);
  begin(&first, 1);
  begin(&second, 99);
  for (int i = 0; i < 6; i++)
    step(&whole, i);
  for (int i = 0; i < 3; i++)
    step(&first, i);
  char dir[VK_FS_PATH_MAX];
  snprintf(dir, sizeof dir, "%s", in_dir("run"));
  vk_assert_ok(save(&first, dir, 3, false, 0, &err), &err);

  vk_checkpoint_info info;
  vk_params used;
  cJSON *trainer, *scheduler;
  vk_assert_ok(vk_checkpoint_open(&info, dir, &err), &err);
  vk_assert_ok(vk_checkpoint_load(&info, &used, &err), &err);
  expect_same_block(&used, used.data, vk_optim_ema(first.optim)); /* the average is what is used */
  vk_params_free(&used);
  vk_assert_ok(
      vk_checkpoint_resume(&info, &second.params, second.optim, &trainer, &scheduler, &err), &err);
  expect_same_block(&first.params, second.params.data, first.params.data);
  assert_true(cJSON_GetObjectItem(trainer, "sample")->valuedouble == 1e15 + 1);
  assert_true(cJSON_GetObjectItem(trainer, "best")->valuedouble == -0.0015570960972272198);
  cJSON_Delete(trainer);
  cJSON_Delete(scheduler);
  assert_int_equal(vk_optim_n_step(second.optim), 3);
  for (int i = 3; i < 6; i++)
    step(&second, i);
  expect_same_block(&whole.params, second.params.data, whole.params.data);
  expect_same_block(&whole.params, vk_optim_ema(second.optim), vk_optim_ema(whole.optim));
  vk_checkpoint_close(&info);
  end(&whole);
  end(&first);
  end(&second);
}

/* LeRobot's features are what the policy sees: its cameras, and a state where it has learned one.
 */
static void test_features(void **state)
{
  vk_err err = VK_ERR_INIT;
  trained t;
  begin(&t, 1);
  vk_nano_config *model = (vk_nano_config *)t.info.model.config;
  for (int n_view = 1; n_view <= 2; n_view++)
    for (int has_state = 0; has_state < 2; has_state++) {
      cJSON *o;
      model->n_view = n_view;
      for (int i = 0; i < t.info.n_stats; i++)
        t.info.stats[i].proprio.n_dim = has_state ? VK_VIEW_PROPRIO : 0;
      vk_assert_ok(vk_checkpoint_config(&o, &t.info, 3, &err), &err);
      const cJSON *in = cJSON_GetObjectItem(o, "input_features");
      const cJSON *norm = cJSON_GetObjectItem(o, "normalization_mapping");
      assert_int_equal(cJSON_GetArraySize(in), n_view + has_state);
      assert_true(cJSON_HasObjectItem(in, "observation.images.agentview"));
      assert_int_equal(cJSON_HasObjectItem(in, "observation.images.robot0_eye_in_hand"),
                       n_view == 2);
      assert_int_equal(cJSON_HasObjectItem(in, "observation.state"), has_state);
      assert_int_equal(cJSON_HasObjectItem(norm, "STATE"), has_state);
      cJSON_Delete(o);
    }
  end(&t);
}

static void test_what_the_config_says(void **state)
{
  vk_err err = VK_ERR_INIT;
  trained t;
  begin(&t, 1);
  vk_assert_ok(vk_norm_stats_hash(&t.stats[0], t.info.source.statistics_hash, &err), &err);
  snprintf(t.info.source.init, sizeof t.info.source.init, "/x/checkpoints/000002");
  snprintf(t.info.source.init_hash, sizeof t.info.source.init_hash, "def");
  t.info.source.init_step = 2;
  char dir[VK_FS_PATH_MAX];
  snprintf(dir, sizeof dir, "%s", in_dir("config"));
  vk_assert_ok(save(&t, dir, 1234567, true, 0, &err), &err);
  static const char *const word[] = {"config",
                                     "config/",
                                     "config/checkpoints",
                                     "config/checkpoints/1234567",
                                     "config/checkpoints/best",
                                     "config/checkpoints/last/pretrained_model",
                                     "config/checkpoints/best/pretrained_model/model.safetensors"};
  for (size_t i = 0; i < VK_COUNT(word); i++) {
    vk_checkpoint_info info;
    vk_model model;
    vk_params params;
    vk_assert_ok(vk_checkpoint_open(&info, in_dir(word[i]), &err), &err);
    vk_assert_ok(vk_model_open(&model, in_dir(word[i]), &err), &err);
    assert_memory_equal(info.model.config, t.info.model.config, sizeof model.config);
    assert_memory_equal(model.config, t.info.model.config, sizeof model.config);
    vk_assert_ok(vk_checkpoint_load(&info, &params, &err), &err);
    vk_params_free(&params);
    assert_int_equal(info.n_stats, 2);
    assert_string_equal(info.stats[1].key, "libero_10_no_noops");
    assert_memory_equal(&info.stats[0].action, &t.stats[0].action, sizeof info.stats[0].action);
    assert_memory_equal(&info.stats[0].proprio, &t.stats[0].proprio, sizeof info.stats[0].proprio);
    char hash[65]; /* of provenance: can be found again from the file */
    vk_assert_ok(vk_norm_stats_hash(&info.stats[0], hash, &err), &err);
    assert_string_equal(hash, info.source.statistics_hash);
    assert_int_equal(info.view.turn, VK_TURN_ROTATE_180);
    assert_true(info.view.level_error_px == 0.1f && info.view.n_sample == 1);
    assert_int_equal(info.n_action_step, 5);
    assert_int_equal(info.step, 1234567);
    assert_string_equal(info.source.run, "20300101-1");
    assert_string_equal(info.source.pack_hash, "abc");
    assert_string_equal(info.source.init, "/x/checkpoints/000002");
    assert_string_equal(info.source.init_hash, "def");
    assert_int_equal(info.source.init_step, 2);
    vk_checkpoint_close(&info);
  }
  char to[64] = "";
  assert_int_equal(readlink(in_dir("config/checkpoints/last"), to, sizeof to - 1), 7);
  assert_string_equal(to, "1234567"); /* relative: the folder may move */
  end(&t);
}

static bool is_there(const char *run, const char *name)
{
  char path[VK_FS_PATH_MAX];
  snprintf(path, sizeof path, "%s/checkpoints/%s/pretrained_model", in_dir(run), name);
  return vk_fs_is_dir(path);
}

/* The newest, the best, and nothing but what is ours. */
static void test_older_ones_are_removed(void **state)
{
  vk_err err = VK_ERR_INIT;
  trained t;
  begin(&t, 1);
  char dir[VK_FS_PATH_MAX];
  snprintf(dir, sizeof dir, "%s", in_dir("prune"));
  for (int i = 1; i <= 5; i++) {
    vk_assert_ok(save(&t, dir, 100 * i, i == 2, 2, &err), &err);
    assert_true(is_there("prune", "last"));
    if (i == 1) {
      assert_int_equal(mkdir(in_dir("prune/checkpoints/mine"), 0777), 0);
      assert_int_equal(mkdir(in_dir("prune/checkpoints/.000050.999999999.part"), 0777), 0);
    }
  }
  assert_true(is_there("prune", "000500") && is_there("prune", "000400"));
  assert_true(is_there("prune", "000200") && is_there("prune", "best"));
  assert_false(is_there("prune", "000100") || is_there("prune", "000300"));
  assert_true(vk_fs_is_dir(in_dir("prune/checkpoints/mine")));
  assert_false(vk_fs_is_dir(in_dir("prune/checkpoints/.000050.999999999.part")));
  vk_assert_ok(save(&t, dir, 400, false, 2, &err), &err); /* again: replaced, and now the last */
  assert_true(is_there("prune", "000500") && is_there("prune", "000400"));
  vk_checkpoint_info info;
  vk_assert_ok(vk_checkpoint_open(&info, dir, &err), &err);
  assert_int_equal(info.step, 400);
  vk_checkpoint_close(&info);
  /* a process that was killed while it replaced one */
  char place[VK_FS_PATH_MAX];
  snprintf(place, sizeof place, "%s", in_dir("prune/checkpoints/000500"));
  assert_int_equal(rename(place, in_dir("prune/checkpoints/.000500.999999999.old")), 0);
  vk_assert_ok(save(&t, dir, 600, false, 0, &err), &err);
  assert_true(is_there("prune", "000500") && is_there("prune", "000600"));
  end(&t);
}

static int n_in(const char *name)
{
  int n = 0;
  DIR *d = opendir(in_dir(name));
  assert_non_null(d);
  for (struct dirent *e; (e = readdir(d));)
    n++;
  closedir(d);
  return n - 2;
}

static void test_a_full_disk_leaves_the_one_before(void **state)
{
  vk_err err = VK_ERR_INIT;
  trained t;
  begin(&t, 1);
  char dir[VK_FS_PATH_MAX];
  snprintf(dir, sizeof dir, "%s", in_dir("full"));
  vk_assert_ok(save(&t, dir, 1, false, 1, &err), &err);
  int n_before = n_in("full/checkpoints");
  step(&t, 0);
  static const uint64_t room[] = {100, 5000, 200000}; /* config, weights, the optimiser's state */
  for (size_t i = 0; i < VK_COUNT(room); i++) {
    limit_file_size(room[i]);
    vk_status st = save(&t, dir, 2, true, 1, &err);
    limit_file_size(UINT64_MAX);
    vk_assert_fails(st, VK_E_IO);
    /* the sentence names the checkpoint, not a folder that is gone by then */
    vk_assert_says(&err, "full/checkpoints/000002/");
    assert_null(strstr(err.text, ".part"));
    vk_checkpoint_info info;
    assert_int_equal(n_in("full/checkpoints"), n_before);
    vk_assert_ok(vk_checkpoint_open(&info, dir, &err), &err);
    assert_int_equal(info.step, 1);
    vk_checkpoint_close(&info);
  }
  end(&t);
}

/* ---- what is refused ---- */

/* A valid config.json with one piece of its text replaced. */
static vk_status parse_changed(const char *from, const char *to, vk_err *err)
{
  char *text = NULL, changed[20000];
  size_t n = 0;
  vk_assert_ok(vk_fs_read(&text, &n, in_dir("config/checkpoints/last/pretrained_model/config.json"),
                          1 << 20, err),
               err);
  char *at = strstr(text, from);
  if (!at)
    fail_msg("no \"%s\" in the config", from);
  snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
  free(text);
  vk_checkpoint_info info;
  vk_status st = vk_checkpoint_parse(&info, changed, strlen(changed), "it", err);
  if (st == VK_OK)
    vk_checkpoint_close(&info);
  assert_null(info.stats);
  return st;
}

static void test_configs_are_checked(void **state)
{
  static const struct {
    const char *from, *to;
    vk_status status;
    const char *says;
  } bad[] = {
      {"\"type\":\t\"nano\"", "\"type\":\t\"smolvla\"", VK_E_UNSUPPORTED,
       "it: a policy of type \"smolvla\""},
      {"\"norm_stats\"", "\"stats\"", VK_E_FORMAT, "it: norm_stats is missing"},
      {"\"image\"", "\"picture\"", VK_E_FORMAT, "it: image"},
      {"\"turn\":\t\"rotate 180\"", "\"turn\":\t\"left\"", VK_E_FORMAT, "\"left\": expected"},
      {"\"px\":\t128", "\"px\":\t224", VK_E_UNSUPPORTED, "px 224"},
      {"\"chunk_size\":\t8", "\"chunk_size\":\t16", VK_E_RANGE, "chunk_size 16: expected 8"},
      {"\"n_action_steps\":\t5", "\"n_action_steps\":\t9", VK_E_RANGE, "expected 1 to 8"},
      {"\"greedy\":\t\"argmax\"", "\"greedy\":\t\"mode\"", VK_E_RANGE, "expected \"median\" or"},
      {"\"d_model\":\t32", "\"d_model\":\t33", VK_E_RANGE, "it"},
      {"\"d_model\"", "\"d_modle\"", VK_E_FORMAT, "d_model"},
      {"{", "[{", VK_E_FORMAT, "it"},
  };
  for (size_t i = 0; i < VK_COUNT(bad); i++) {
    vk_err err = VK_ERR_INIT;
    vk_assert_fails(parse_changed(bad[i].from, bad[i].to, &err), bad[i].status);
    vk_assert_says(&err, bad[i].says);
  }
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(parse_changed("\"provenance\"", "\"hub\"", &err), &err); /* nothing needs it */
}

static void test_words_that_are_no_checkpoint(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_checkpoint_info info;
  vk_assert_fails(vk_checkpoint_open(&info, in_dir("nowhere"), &err), VK_E_NOTFOUND);
  vk_assert_says(&err, "nowhere: there is no such checkpoint");
  assert_int_equal(mkdir(in_dir("empty"), 0777), 0);
  vk_assert_fails(vk_checkpoint_open(&info, in_dir("empty"), &err), VK_E_NOTFOUND);
  vk_assert_says(&err, "empty/config.json");
}

static void test_weights_without_training_state(void **state)
{
  vk_err err = VK_ERR_INIT;
  trained t;
  begin(&t, 1);
  const vk_checkpoint_write what = {
      .info = &t.info, .params = &t.params, .dtype = VK_SAFETENSORS_BF16};
  vk_assert_ok(vk_checkpoint_save(in_dir("bare"), 0, &what, &err), &err);
  vk_checkpoint_info info;
  vk_params used;
  cJSON *trainer, *scheduler;
  vk_assert_ok(vk_checkpoint_open(&info, in_dir("bare"), &err), &err);
  vk_assert_ok(vk_checkpoint_load(&info, &used, &err), &err);
  for (int64_t i = 0; i < used.n_item; i++)
    vk_assert_close(used.data[i], t.params.data[i], 0, 1.0 / 256);
  vk_params_free(&used);
  vk_assert_fails(vk_checkpoint_resume(&info, &t.params, t.optim, &trainer, &scheduler, &err),
                  VK_E_NOTFOUND);
  vk_assert_says(&err, "training cannot go on");
  vk_checkpoint_close(&info);
  end(&t);
}

/* ---- for others ---- */

static vk_status export_from(const char *from, const char *to, vk_safetensors_dtype dtype,
                             vk_checkpoint_exported *e, vk_err *err)
{
  char word[VK_FS_PATH_MAX];
  snprintf(word, sizeof word, "%s", in_dir(from));
  return vk_checkpoint_export(in_dir(to), word, dtype, e, err);
}

static char *read_file(const char *name)
{
  char *text = NULL;
  size_t n;
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_fs_read(&text, &n, in_dir(name), 1 << 20, &err), &err);
  return text;
}

/* The average, rounded once; names instead of paths; nothing to go on with. */
static void test_an_export_is_what_the_policy_acts_with(void **state)
{
  vk_err err = VK_ERR_INIT;
  trained t;
  vk_checkpoint_exported e;
  begin(&t, 1);
  step(&t, 0);
  snprintf(t.info.source.init, sizeof t.info.source.init,
           "/home/me/runs/first/checkpoints/000007/pretrained_model");
  char dir[VK_FS_PATH_MAX];
  snprintf(dir, sizeof dir, "%s", in_dir("mine"));
  vk_assert_ok(save(&t, dir, 9, false, 0, &err), &err);
  assert_int_equal(mkdir(in_dir("given"), 0777), 0); /* an empty folder is as good as none */
  static const vk_safetensors_dtype dtype[] = {VK_SAFETENSORS_F32, VK_SAFETENSORS_BF16,
                                               VK_SAFETENSORS_F16};
  static const char *const name[] = {"exact", "given", "half"};
  for (int i = 0; i < 3; i++) {
    vk_checkpoint_info info;
    vk_params used;
    vk_assert_ok(export_from("mine", name[i], dtype[i], &e, &err), &err);
    assert_int_equal(e.step, 9);
    assert_int_equal(e.n_parameter, t.params.n_used);
    assert_int_equal(n_in(name[i]), 4);
    vk_assert_ok(vk_checkpoint_open(&info, in_dir(name[i]), &err), &err);
    assert_int_equal(info.step, 9);
    assert_string_equal(info.source.init, "first/checkpoints/000007");
    assert_int_equal(strlen(info.source.exported_from), 64);
    vk_assert_ok(vk_checkpoint_load(&info, &used, &err), &err);
    const float *ema = vk_optim_ema(t.optim);
    double change = 0, all = 0;
    for (int k = 0; k < used.n_param; k++)
      for (int64_t j = used.param[k].offset; j < used.param[k].offset + used.param[k].n; j++) {
        vk_assert_close(used.data[j], ema[j], i == 2 ? 3e-8 : 0,
                        i == 0   ? 0
                        : i == 1 ? 1.0 / 256
                                 : 1.0 / 2048);
        change += ((double)used.data[j] - ema[j]) * ((double)used.data[j] - ema[j]);
        all += (double)ema[j] * ema[j];
      }
    vk_assert_close(e.rms_change, sqrt(change / all), 1e-15, 1e-12);
    assert_true(i == 0 ? e.max_change == 0 : e.max_change > 1e-4 && e.rms_change < e.max_change);
    vk_params_free(&used);
    vk_checkpoint_close(&info);
  }
  /* what is rounded stays as it is */
  vk_assert_ok(export_from("given", "again", VK_SAFETENSORS_BF16, &e, &err), &err);
  assert_true(e.max_change == 0 && e.is_card_kept);
  static const char *const told[] = {"given/config.json", "given/README.md"};
  for (size_t i = 0; i < VK_COUNT(told); i++) {
    char *text = read_file(told[i]);
    assert_non_null(strstr(text, "first/checkpoints/000007"));
    assert_null(strstr(text, "/home"));
    free(text);
  }
  end(&t);
}

static void test_exports_that_are_refused(void **state)
{
  vk_err err = VK_ERR_INIT;
  trained t;
  vk_checkpoint_exported e;
  char dir[VK_FS_PATH_MAX];
  begin(&t, 1);
  snprintf(dir, sizeof dir, "%s", in_dir("broken"));
  float *weight = (float *)vk_optim_ema(t.optim) + t.params.param[3].offset;
  weight[1] = 1e6f;
  vk_assert_ok(save(&t, dir, 1, false, 0, &err), &err);
  vk_assert_fails(export_from("broken", "out", VK_SAFETENSORS_F16, &e, &err), VK_E_RANGE);
  vk_assert_says(&err, "1e+06, too large for F16; take f32");
  vk_assert_says(&err, t.params.param[3].name);
  vk_assert_ok(export_from("broken", "full_folder", VK_SAFETENSORS_BF16, &e, &err), &err);
  vk_assert_fails(export_from("broken", "full_folder", VK_SAFETENSORS_BF16, &e, &err), VK_E_USAGE);
  vk_assert_says(&err, "full_folder is there already");
  weight[1] = NAN;
  vk_assert_ok(save(&t, dir, 2, false, 0, &err), &err);
  vk_assert_fails(export_from("broken", "out", VK_SAFETENSORS_F32, &e, &err), VK_E_RANGE);
  vk_assert_says(&err, "holds nan: its training has failed");
  weight[1] = 0;
  vk_assert_ok(save(&t, dir, 3, false, 0, &err), &err);
  int n_before = n_file_in_dir();
  limit_file_size(5000);
  vk_status st = export_from("broken", "out", VK_SAFETENSORS_F32, &e, &err);
  limit_file_size(UINT64_MAX);
  vk_assert_fails(st, VK_E_IO);
  vk_assert_fails(export_from("nowhere", "out", VK_SAFETENSORS_F32, &e, &err), VK_E_NOTFOUND);
  assert_int_equal(n_file_in_dir(), n_before);
  end(&t);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_training_goes_on_bit_for_bit),
      cmocka_unit_test(test_what_the_config_says),
      cmocka_unit_test(test_features),
      cmocka_unit_test(test_older_ones_are_removed),
      cmocka_unit_test(test_a_full_disk_leaves_the_one_before),
      cmocka_unit_test(test_configs_are_checked),
      cmocka_unit_test(test_words_that_are_no_checkpoint),
      cmocka_unit_test(test_weights_without_training_state),
      cmocka_unit_test(test_an_export_is_what_the_policy_acts_with),
      cmocka_unit_test(test_exports_that_are_refused),
  };
  return cmocka_run_group_tests(tests, make_temp_dir, remove_temp_dir);
}
