/* test_train_config.c - keys of training configurations: read, refused, set, written, compared. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/fs.h"
#include "rl/train_config.h"

static vk_train_config fresh(void)
{
  vk_err err = VK_ERR_INIT;
  vk_train_config c;
  vk_assert_ok(vk_train_config_init(&c, &err), &err);
  return c;
}

static void reads(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_train_config c = fresh();
  static const char text[] =
      "{\"data\": [\"a\", \"b/c\"], \"lr\": 1e-4,\n\"batch\": 64, \"drop_noops\": false,\n"
      "\"model\": \"nano-n8\", \"schedule\": \"linear\", \"init\": \"old\"}";
  vk_assert_ok(vk_train_config_parse(&c, text, strlen(text), "x.json", &err), &err);
  assert_int_equal(c.data.n, 2);
  assert_string_equal(c.data.item[1], "b/c");
  assert_true(c.lr == 1e-4);
  assert_int_equal(c.batch, 64);
  assert_false(c.drop_noops);
  assert_string_equal(c.model, "nano-n8");
  assert_string_equal(c.schedule, "linear");
  assert_string_equal(c.init, "old");
  assert_true(c.label_sigma == vk_train_config_default.label_sigma); /* as it was */
  vk_assert_ok(vk_train_config_check(&c, &err), &err);
  vk_train_config_fini(&c);
}

static void refuse(const char *text, vk_status code, const char *says)
{
  vk_err err = VK_ERR_INIT;
  vk_train_config c = fresh();
  vk_assert_fails(vk_train_config_parse(&c, text, strlen(text), "x.json", &err), code);
  vk_assert_says(&err, says);
  vk_train_config_fini(&c);
}

static void refuses_with_line_and_nearest(void **state)
{
  refuse("{\n\"lr\": 1,\n\"drop_noop\": true}", VK_E_FORMAT,
         "x.json:3: unknown key \"drop_noop\"; did you mean \"drop_noops\"?");
  refuse("{\"zzzzzzzz\": 1}", VK_E_FORMAT, "x.json:1: unknown key \"zzzzzzzz\"; vlakit train");
  refuse("{\"about\": \"a: {\\\"\",\n\n\"btch\": 1}", VK_E_FORMAT,
         "x.json:3: unknown key \"btch\"");
  refuse("{\"data\": [\"x\",\n\"y\"], \"lr\":\n-1}", VK_E_RANGE,
         "x.json:2: \"lr\" is -1, and must be a number of at least 0");
  refuse("{\"batch\": 1.5}", VK_E_RANGE, "must be a whole number from 1 to 1048576");
  refuse("{\"batch\": \"many\"}", VK_E_FORMAT, "\"batch\" is \"many\", and must be a whole number");
  refuse("{\"drop_noops\": 1}", VK_E_RANGE, "must be true or false");
  refuse("{\"schedule\": \"cosin\"}", VK_E_FORMAT, "must be one of constant, linear, cosine");
  refuse("{\"method\": \"magic\"}", VK_E_FORMAT, "must be one of sft, dagger, ppo, grpo");
  refuse("{\"data\": \"demos\"}", VK_E_FORMAT, "must be a list of at most 64 texts");
  refuse("{\"data\": [1]}", VK_E_FORMAT, "must be a list");
  refuse("{\"model\": \"\"}", VK_E_FORMAT, "must be a text");
  refuse("{\"model\": null}", VK_E_FORMAT, "must be a text");
  refuse("[1]", VK_E_FORMAT, "is an object of keys");
  refuse("{\"lr\": 1, \"lr\": 2}", VK_E_FORMAT, "already has a member");
  refuse("{", VK_E_FORMAT, "x.json:1:");
}

static void sets(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_train_config c = fresh();
  static const char *const good[] = {"lr=2e-3",  "batch=32",        "drop_noops=false",
                                     "data=a,b", "schedule=linear", "about=x=y"};
  for (size_t i = 0; i < VK_COUNT(good); i++)
    vk_assert_ok(vk_train_config_set(&c, good[i], &err), &err);
  assert_true(c.lr == 2e-3);
  assert_int_equal(c.batch, 32);
  assert_false(c.drop_noops);
  assert_int_equal(c.data.n, 2);
  assert_string_equal(c.data.item[0], "a");
  assert_string_equal(c.about, "x=y");
  static const char *const bad[][2] = {
      {"lr", "takes KEY=VALUE"},
      {"lrr=1", "--set: unknown key \"lrr\"; did you mean \"lr\"?"},
      {"lr=", "it must be a number of at least 0"},
      {"lr=1e-4x", "it must be a number"},
      {"lr=nan", "it must be a number"},
      {"lr=inf", "it must be a number"},
      {"lr=-1", "it must be a number of at least 0"},
      {"crop=2", "it must be a number from 0.1 to 1"},
      {"drop_noops=yes", "it must be true or false"},
      {"method=sftt", "it must be one of sft, dagger, ppo, grpo"},
  };
  for (size_t i = 0; i < VK_COUNT(bad); i++) {
    vk_assert_fails(vk_train_config_set(&c, bad[i][0], &err), VK_E_USAGE);
    vk_assert_says(&err, bad[i][1]);
  }
  assert_true(c.lr == 2e-3); /* what is refused changes nothing */
  vk_train_config_fini(&c);
}

static void checks_what_belongs_together(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_train_config c = fresh();
  vk_assert_ok(vk_train_config_check(&c, &err), &err);
  c.micro_batch = 100;
  vk_assert_fails(vk_train_config_check(&c, &err), VK_E_USAGE);
  vk_assert_says(&err, "batch 256 is no multiple of micro_batch 100");
  c.micro_batch = 512;
  vk_assert_fails(vk_train_config_check(&c, &err), VK_E_USAGE);
  c.micro_batch = 256;
  c.epochs = 0;
  vk_assert_fails(vk_train_config_check(&c, &err), VK_E_USAGE);
  vk_assert_says(&err, "steps and epochs are both 0");
  vk_train_config_fini(&c);
}

static vk_train_config said(const char *text)
{
  vk_err err = VK_ERR_INIT;
  vk_train_config c = fresh();
  vk_assert_ok(vk_train_config_parse(&c, text, strlen(text), "x.json", &err), &err);
  return c;
}

static void refuse_together(const char *text, const char *set, const char *says)
{
  vk_err err = VK_ERR_INIT;
  vk_train_config c = said(text);
  if (set)
    vk_assert_ok(vk_train_config_set(&c, set, &err), &err);
  vk_assert_fails(vk_train_config_check(&c, &err), VK_E_USAGE);
  vk_assert_says(&err, says);
  vk_train_config_fini(&c);
}

/* A key that its method does not read is refused by who said it, and one that a record holds is
 * not. */
static void refuses_what_is_not_read(void **state)
{
  static const struct {
    const char *method, *key, *readers, *value; /* NULL: 1 */
  } bad[] = {
      {"grpo", "bootstrap", "ppo", "\"none\""},
      {"grpo", "partial_reset", "ppo", "true"},
      {"sft", "tasks", "ppo, grpo", "[\"x\"]"},
      {"grpo", "rollout_steps", "ppo", NULL},
      {"sft", "group", "ppo, grpo", NULL},
      {"sft", "dagger_every", "dagger", NULL},
      {"sft", "episode_steps", "dagger, ppo, grpo", NULL},
      {"sft", "quiet_s", "dagger, ppo, grpo", NULL},
      {"dagger", "bc_weight", "ppo, grpo", NULL},
      {"grpo", "critic_warmup", "ppo", NULL},
      {"grpo", "gamma", "ppo", NULL},
      {"grpo", "lambda", "ppo", NULL},
      {"grpo", "huber_delta", "ppo", NULL},
      {"grpo", "value_clip", "ppo", NULL},
      {"grpo", "value_lr", "ppo", NULL},
      {"grpo", "value_weight", "ppo", NULL},
      {"grpo", "epochs", "sft, dagger", NULL},
      {"ppo", "epochs", "sft, dagger", NULL},
      {"ppo", "validate_every", "sft, dagger", NULL},
      {"ppo", "dagger_rounds", "dagger", NULL},
  };
  for (size_t i = 0; i < VK_COUNT(bad); i++) {
    vk_err err = VK_ERR_INIT;
    const char *value = bad[i].value ? bad[i].value : "1";
    char text[128], set[64], says[160];
    snprintf(text, sizeof text, "{\"method\": \"%s\", \"steps\": 20,\n\"%s\": %s}", bad[i].method,
             bad[i].key, value);
    snprintf(says, sizeof says, "x.json:2: key \"%s\" is read by %s alone, not by %s", bad[i].key,
             bad[i].readers, bad[i].method);
    refuse_together(text, NULL, says);
    snprintf(set, sizeof set, "%s=%s", bad[i].key,
             value[0] == '"'   ? "none"
             : value[0] == '[' ? "x"
                               : value);
    snprintf(says, sizeof says, "--set: key \"%s\" is read by %s alone", bad[i].key,
             bad[i].readers);
    refuse_together(text, set, says);
    vk_train_config c = fresh();
    vk_assert_ok(vk_train_config_recall(&c, text, strlen(text), "run r", &err), &err);
    vk_assert_ok(vk_train_config_check(&c, &err), &err);
    cJSON *json = vk_train_config_json(&c); /* nor is it recorded */
    assert_null(cJSON_GetObjectItemCaseSensitive(json, bad[i].key));
    cJSON_Delete(json);
    vk_train_config other = fresh(); /* nor does it stand in the way of going on */
    snprintf(text, sizeof text, "{\"method\": \"%s\", \"steps\": 20}", bad[i].method);
    vk_assert_ok(vk_train_config_parse(&other, text, strlen(text), "x", &err), &err);
    vk_assert_ok(vk_train_config_same(&c, &other, "run r", &err), &err);
    vk_train_config_fini(&c);
    vk_train_config_fini(&other);
  }
  refuse_together("{\"method\": \"ppo\", \"steps\": 20}", "model=nano-n2", "read by sft, dagger");
}

/* Practice without a weight for demonstrations reads no key of theirs: one that somebody said is
 * refused, none is recorded, and older records, which hold them all, train on. */
static void refuses_demonstrations_without_weight(void **state)
{
  static const char weighted[] = "{\"method\": \"ppo\", \"steps\": 20, \"bc_weight\": 0.5}";
  vk_err err = VK_ERR_INIT;
  vk_train_config with = said(weighted);
  cJSON *json = vk_train_config_json(&with), *none = cJSON_CreateNumber(0);
  char *text = NULL;
  int n = 0;
  assert_true(cJSON_ReplaceItemInObjectCaseSensitive(json, "bc_weight", none));
  vk_assert_ok(vk_json_text_indented(&text, json, &err), &err);
  vk_train_config record = said(text), recalled = fresh();
  vk_assert_ok(vk_train_config_check(&record, &err), &err);
  vk_assert_ok(vk_train_config_recall(&recalled, text, strlen(text), "run r", &err), &err);
  vk_assert_ok(vk_train_config_check(&recalled, &err), &err);
  cJSON *again = vk_train_config_json(&recalled);
  for (const cJSON *item = json->child; item; item = item->next) {
    char one[96], set[96], says[96];
    bool is_kept = cJSON_HasObjectItem(again, item->string);
    char *value = cJSON_PrintUnformatted(item);
    snprintf(one, sizeof one, "{\"method\": \"grpo\", \"steps\": 20,\n\"%s\": %s}", item->string,
             value);
    snprintf(set, sizeof set, "%s=%s", item->string, value);
    cJSON_free(value);
    if (is_kept)
      continue;
    n++;
    snprintf(says, sizeof says, "x.json:2: key \"%s\" is of demonstrations, and bc_weight is 0",
             item->string);
    refuse_together(one, NULL, says);
    snprintf(says, sizeof says, "--set: key \"%s\" is of demonstrations", item->string);
    refuse_together("{\"method\": \"ppo\", \"steps\": 20}", set, says);
    refuse_together(text, set, says);
    vk_assert_ok(vk_train_config_set(&with, set, &err), &err);
  }
  assert_int_equal(n, 16);
  vk_assert_ok(vk_train_config_check(&with, &err), &err);
  vk_assert_ok(vk_train_config_same(&record, &recalled, "run r", &err), &err);
  cJSON_Delete(json);
  cJSON_Delete(again);
  cJSON_free(text);
  vk_train_config_fini(&with);
  vk_train_config_fini(&record);
  vk_train_config_fini(&recalled);
}

/* Another word for a path does not say a key that nobody said. */
/* Steps of practice are long and few: their warm-up has another default. */
static void follows_the_method(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_train_config c = fresh();
  assert_int_equal(c.warmup, 500);
  vk_assert_ok(vk_train_config_set(&c, "method=grpo", &err), &err);
  assert_int_equal(c.warmup, 3);
  vk_assert_ok(vk_train_config_set(&c, "method=ppo", &err), &err);
  assert_int_equal(c.warmup, 3);
  vk_assert_ok(vk_train_config_set(&c, "method=dagger", &err), &err);
  assert_int_equal(c.warmup, 500);
  vk_assert_ok(vk_train_config_set(&c, "warmup=500", &err), &err);
  vk_assert_ok(vk_train_config_set(&c, "method=grpo", &err), &err);
  assert_int_equal(c.warmup, 500);
  assert_string_equal(vk_train_config_said_where(&c, "warmup"), "--set");
  vk_train_config_fini(&c);
  /* a run's record says what it was, whatever is typed besides */
  c = fresh();
  static const char record[] = "{\"method\": \"ppo\", \"warmup\": 0}";
  vk_assert_ok(vk_train_config_recall(&c, record, strlen(record), "run", &err), &err);
  vk_assert_ok(vk_train_config_set(&c, "method=ppo", &err), &err);
  assert_int_equal(c.warmup, 0);
  vk_train_config_fini(&c);
}

static void rewords(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_train_config c = said("{\"method\": \"grpo\", \"steps\": 3}");
  vk_assert_ok(vk_train_config_reword(&c, "model", "/a/b", &err), &err);
  assert_string_equal(c.model, "/a/b");
  vk_assert_ok(vk_train_config_check(&c, &err), &err);
  vk_train_config_fini(&c);
}

static void checks_practice(void **state)
{
  static const char partial[] =
      "{\"method\": \"ppo\", \"steps\": 2, \"group\": 1, \"partial_reset\": true}";
  vk_err err = VK_ERR_INIT;
  vk_train_config c = said(partial);
  vk_assert_ok(vk_train_config_check(&c, &err), &err);
  vk_train_config_fini(&c);
  refuse_together(partial, "group=2", "set group=1");
  refuse_together(partial, "filter_lo=0.1", "are no groups; leave both out");
  refuse_together(partial, "length_norm=true", "leave length_norm out");
  refuse_together("{\"method\": \"ppo\", \"steps\": 2}", "rollout_steps=80",
                  "rollout_steps is 80 without partial_reset");
  refuse_together("{\"method\": \"ppo\"}", NULL, "steps is 0");
  refuse_together("{\"method\": \"ppo\", \"steps\": 2}", "data=demos", "bc_weight is 0");
  refuse_together("{\"method\": \"ppo\", \"steps\": 10, \"critic_warmup\": 10}", NULL,
                  "critic_warmup is 10 of 10 steps");
  refuse_together("{\"method\": \"ppo\", \"steps\": 10, \"group\": 1, \"uniform_share\": 0.5}",
                  NULL, "uniform_share is 0.5");
  refuse_together("{\"method\": \"grpo\", \"steps\": 10, \"bc_weight\": 1, \"bc_batch\": 48}", NULL,
                  "bc_batch 48 is no multiple of micro_batch 32");
}

/* What is written reads as what it was, and what differs is found. */
static void writes_and_compares(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_train_config a = fresh(), b = fresh();
  static const char *const some[] = {"lr=0.1", "data=x,y", "drop_noops=false", "model=m", "keep=7"};
  for (size_t i = 0; i < VK_COUNT(some); i++)
    vk_assert_ok(vk_train_config_set(&a, some[i], &err), &err);
  cJSON *json = vk_train_config_json(&a);
  char *text = NULL;
  vk_assert_ok(vk_json_text(&text, json, &err), &err);
  vk_assert_ok(vk_train_config_parse(&b, text, strlen(text), "again", &err), &err);
  vk_assert_ok(vk_train_config_same(&a, &b, "run r", &err), &err);
  assert_int_equal(b.keep, 7);
  vk_assert_ok(vk_train_config_set(&b, "keep=9", &err), &err); /* is free */
  vk_assert_ok(vk_train_config_set(&b, "about=other", &err), &err);
  vk_assert_ok(vk_train_config_same(&a, &b, "run r", &err), &err);
  vk_assert_ok(vk_train_config_set(&b, "data=x", &err), &err);
  vk_assert_fails(vk_train_config_same(&a, &b, "run r", &err), VK_E_USAGE);
  vk_assert_says(&err, "run r was started with \"data\" [\"x\",\"y\"], now it is [\"x\"]");
  vk_assert_ok(vk_train_config_set(&b, "data=x,y", &err), &err);
  vk_assert_ok(vk_train_config_set(&b, "init=old", &err), &err);
  vk_assert_fails(vk_train_config_same(&a, &b, "run r", &err), VK_E_USAGE);
  vk_assert_says(&err, "\"init\" not given, now it is \"old\"");
  cJSON_free(text);
  cJSON_Delete(json);
  vk_train_config_fini(&a);
  vk_train_config_fini(&b);
}

/* Every configuration that comes along is valid and says what it is for. */
static void reads_those_that_come_along(void **state)
{
  vk_err err = VK_ERR_INIT;
  const char **names = vk_train_config_names();
  assert_non_null(names);
  int n = 0;
  for (; names[n]; n++) {
    vk_train_config c = fresh();
    vk_assert_ok(vk_train_config_read(&c, names[n], &err), &err);
    vk_assert_ok(vk_train_config_check(&c, &err), &err);
    assert_non_null(c.about);
    assert_true(n == 0 || strcmp(names[n - 1], names[n]) < 0);
    vk_train_config_fini(&c);
  }
  assert_true(n >= 3);
  vk_train_config c = fresh();
  vk_assert_fails(vk_train_config_read(&c, "sft-n3", &err), VK_E_USAGE);
  vk_assert_says(&err, "unknown configuration 'sft-n3'; did you mean sft-n");
  vk_assert_fails(vk_train_config_read(&c, "no/such.json", &err), VK_E_NOTFOUND);
  vk_train_config_fini(&c);
  free(names);
}

/* Names are unique, defaults within their ranges, help as everywhere. */
static void has_a_sound_table(void **state)
{
  const char *names[256];
  int n = 0;
  for (const vk_train_section *s = vk_train_sections; s->title; s++) {
    char who[VK_TRAIN_METHODS_TEXT];
    vk_train_config_name_methods(s->methods, who, sizeof who);
    if (s->methods != VK_TRAIN_ALL) /* help says so */
      assert_non_null(strstr(s->title, who));
    for (const vk_opt *key = s->keys; key->kind != VK_OPT_KIND_END; key++) {
      const char *at = (const char *)&vk_train_config_default + key->offset;
      for (int i = 0; i < n; i++)
        assert_string_not_equal(names[i], key->name);
      names[n++] = key->name;
      if (key->kind == VK_OPT_KIND_I64) {
        double x = (double)*(const int64_t *)at;
        assert_true(x >= key->lo && x <= key->hi);
      } else if (key->kind == VK_OPT_KIND_F64) {
        double x = *(const double *)at;
        assert_true(x >= key->lo && x <= key->hi);
      }
      unsigned methods = vk_train_config_methods(s, key);
      assert_true(methods != 0 && (methods & ~s->methods) == 0);
      assert_true((vk_train_config_only(key) == NULL) == (methods == s->methods));
    }
  }
  for (int i = 0; vk_train_methods[i]; i++) { /* its names are those that are taken */
    vk_train_config c = fresh();
    vk_err err = VK_ERR_INIT;
    char text[64];
    snprintf(text, sizeof text, "method=%s", vk_train_methods[i]);
    vk_assert_ok(vk_train_config_set(&c, text, &err), &err);
    vk_train_config_fini(&c);
  }
  assert_true(n > 40 && n < 128);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads),
      cmocka_unit_test(refuses_with_line_and_nearest),
      cmocka_unit_test(sets),
      cmocka_unit_test(checks_what_belongs_together),
      cmocka_unit_test(refuses_what_is_not_read),
      cmocka_unit_test(refuses_demonstrations_without_weight),
      cmocka_unit_test(follows_the_method),
      cmocka_unit_test(rewords),
      cmocka_unit_test(checks_practice),
      cmocka_unit_test(writes_and_compares),
      cmocka_unit_test(reads_those_that_come_along),
      cmocka_unit_test(has_a_sound_table),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
