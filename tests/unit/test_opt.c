/* test_opt.c - option tables: every kind of value, every refusal, and the nearest name. */
#include "test.h"

#include <limits.h>
#include <stdio.h>

#include "core/opt.h"

typedef struct args {
  bool fast;
  int64_t n_episode, seed;
  bool seed_given;
  double dt_s;
  const char *policy, *mode;
  vk_opt_list from;
} args;

static const char *const modes[] = {"all", "failures", "none", NULL};

static const vk_opt opts[] = {
    VK_OPT_FLAG(args, "fast", fast, "be quick"),
    VK_OPT_I64(args, "episodes", n_episode, 1, 1e6, "N", NULL, "episodes"),
    VK_OPT_I64_GIVEN(args, "seed", seed, seed_given, 0, 4294967295.0, "N", NULL, "seed"),
    VK_OPT_F64(args, "dt", dt_s, 1e-5, 0.1, "X", "s", "time step"),
    VK_OPT_STR(args, "policy", policy, "POLICY", "policy"),
    VK_OPT_CHOICE(args, "mode", mode, "MODE", modes, "mode"),
    VK_OPT_LIST(args, "from", from, "FILE", "sources"),
    VK_OPT_END,
};

typedef struct common {
  bool quiet;
  int64_t wide;
  double free;
} common;

static const vk_opt common_opts[] = {
    VK_OPT_FLAG_SHORT(common, "quiet", 'q', quiet, "say nothing"),
    VK_OPT_I64(common, "wide", wide, (double)INT64_MIN, (double)INT64_MAX, "N", NULL, "any"),
    VK_OPT_F64(common, "free", free, -INFINITY, INFINITY, "X", NULL, "any"),
    VK_OPT_END,
};

typedef struct result {
  args own;
  common shared;
  const char *positional[16];
  int n_positional;
  vk_err err;
} result;

#define PARSE(r, ...)                                                                              \
  parse((r), (const char *const[]){__VA_ARGS__},                                                   \
        (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)))
static vk_status parse(result *r, const char *const *argv, int argc)
{
  *r = (result){.own = {.n_episode = 50, .dt_s = 0.05, .mode = "none"}};
  const vk_opt_set sets[] = {{opts, &r->own}, {common_opts, &r->shared}, {NULL, NULL}};
  assert_true(argc <= 16);
  return vk_opt_parse(sets, 3, argc, argv, r->positional, &r->n_positional, &r->err);
}

static void fills_every_kind(void **state)
{
  result r;
  vk_assert_ok(PARSE(&r, "--fast", "--episodes", "7", "--dt=0.01", "--policy", "expert", "--mode",
                     "all", "--from", "a.whl", "b.whl", "-q", "--from=c.whl"),
               &r.err);
  assert_true(r.own.fast);
  assert_int_equal(r.own.n_episode, 7);
  vk_assert_same_bits(r.own.dt_s, 0.01);
  assert_string_equal(r.own.policy, "expert");
  assert_string_equal(r.own.mode, "all");
  assert_int_equal(r.own.from.n, 3);
  assert_string_equal(r.own.from.item[0], "a.whl");
  assert_string_equal(r.own.from.item[1], "b.whl");
  assert_string_equal(r.own.from.item[2], "c.whl");
  assert_true(r.shared.quiet);
  assert_false(r.own.seed_given);
  assert_int_equal(r.n_positional, 0);
}

static void defaults_stay(void **state)
{
  result r;
  vk_assert_ok(PARSE(&r, "word"), &r.err);
  assert_int_equal(r.own.n_episode, 50);
  vk_assert_same_bits(r.own.dt_s, 0.05);
  assert_null(r.own.policy);
  assert_string_equal(r.own.mode, "none");
  assert_false(r.own.fast);
}

static void given_is_told(void **state)
{
  result r;
  vk_assert_ok(PARSE(&r, "--seed", "0"), &r.err);
  assert_true(r.own.seed_given);
  assert_int_equal(r.own.seed, 0);
}

static void option_of_one_value_given_twice(void **state)
{
  result r;
  vk_assert_fails(PARSE(&r, "--episodes", "3", "--episodes=4"), VK_E_USAGE);
  vk_assert_says(&r.err, "--episodes is given twice");
  vk_assert_fails(PARSE(&r, "--episodes", "3", "--fast", "--episodes", "3"), VK_E_USAGE);
  vk_assert_says(&r.err, "--episodes is given twice");
  vk_assert_ok(PARSE(&r, "--fast", "--fast", "--from", "a", "--from", "b"), &r.err);
  assert_true(r.own.fast);
  assert_int_equal(r.own.from.n, 2);
}

static void positional_words(void **state)
{
  result r;
  vk_assert_ok(PARSE(&r, "a", "--fast", "b", "-", "-5", "--", "--fast", "-x"), &r.err);
  assert_int_equal(r.n_positional, 6);
  assert_string_equal(r.positional[0], "a");
  assert_string_equal(r.positional[1], "b");
  assert_string_equal(r.positional[2], "-");
  assert_string_equal(r.positional[3], "-5");
  assert_string_equal(r.positional[4], "--fast");
  assert_string_equal(r.positional[5], "-x");
  vk_assert_ok(PARSE(&r, "--from", "a", "--", "b"), &r.err);
  assert_int_equal(r.own.from.n, 1);
  assert_int_equal(r.n_positional, 1);
}

static void numbers_at_their_bounds(void **state)
{
  result r;
  vk_assert_ok(PARSE(&r, "--episodes", "1000000", "--dt", "1e-5"), &r.err);
  vk_assert_ok(PARSE(&r, "--episodes", "1", "--dt", ".1"), &r.err);
  vk_assert_ok(PARSE(&r, "--seed", "4294967295"), &r.err);
  assert_int_equal(r.own.seed, 4294967295);
  vk_assert_ok(PARSE(&r, "--wide", "-9223372036854775808", "--free", "-1e300"), &r.err);
  assert_true(r.shared.wide == INT64_MIN);
  vk_assert_ok(PARSE(&r, "--wide", "9223372036854775807"), &r.err);
  assert_true(r.shared.wide == INT64_MAX);
  vk_assert_ok(PARSE(&r, "--free", "-.5"), &r.err);
  vk_assert_same_bits(r.shared.free, -0.5);
}

static void refuses_numbers(void **state)
{
  static const char *const bad_i64[] = {"0",   "1000001", "x",  "1x",  "1.5",
                                        "1e3", "0x10",    " 5", "5 ",  "99999999999999999999",
                                        "",    "-3",      "+",  "nan", "--fast"};
  for (size_t i = 0; i < VK_COUNT(bad_i64); i++) {
    result r;
    vk_assert_fails(PARSE(&r, "--episodes", bad_i64[i]), VK_E_USAGE);
    vk_assert_says(&r.err, "--episodes");
    assert_int_equal(r.own.n_episode, 50);
  }
  static const char *const bad_f64[] = {"nan", "inf", "-1", "0", "0.2", "0.01s", "\t0.01", "1e999"};
  for (size_t i = 0; i < VK_COUNT(bad_f64); i++) {
    result r;
    vk_assert_fails(PARSE(&r, "--dt", bad_f64[i]), VK_E_USAGE);
    vk_assert_says(&r.err, "--dt takes a number from 1e-05 to 0.1 s");
  }
  result r;
  vk_assert_fails(PARSE(&r, "--free", "inf"), VK_E_USAGE);
  vk_assert_fails(PARSE(&r, "--free", "nan"), VK_E_USAGE);
  vk_assert_fails(PARSE(&r, "--wide", "9223372036854775808"), VK_E_USAGE);
}

static void refuses_words(void **state)
{
  result r;
  vk_assert_fails(PARSE(&r, "--episdoes", "3"), VK_E_USAGE);
  vk_assert_says(&r.err, "unknown option --episdoes; did you mean --episodes?");
  vk_assert_fails(PARSE(&r, "--quite"), VK_E_USAGE);
  vk_assert_says(&r.err, "did you mean --quiet?");
  vk_assert_fails(PARSE(&r, "--episode=3"), VK_E_USAGE);
  vk_assert_says(&r.err, "unknown option --episode; did you mean --episodes?");
  vk_assert_fails(PARSE(&r, "--xylophone"), VK_E_USAGE);
  assert_null(strstr(r.err.text, "did you mean"));
  vk_assert_fails(PARSE(&r, "-z"), VK_E_USAGE);
  vk_assert_fails(PARSE(&r, "-qq"), VK_E_USAGE);
  vk_assert_fails(PARSE(&r, "--fast=1"), VK_E_USAGE);
  vk_assert_says(&r.err, "takes no value");
  vk_assert_fails(PARSE(&r, "--policy"), VK_E_USAGE);
  vk_assert_says(&r.err, "--policy needs a POLICY");
  vk_assert_fails(PARSE(&r, "--policy", "--fast"), VK_E_USAGE);
  vk_assert_fails(PARSE(&r, "--policy="), VK_E_USAGE);
  vk_assert_ok(PARSE(&r, "--policy=--fast"), &r.err);
  assert_string_equal(r.own.policy, "--fast");
  vk_assert_fails(PARSE(&r, "--from"), VK_E_USAGE);
  vk_assert_fails(PARSE(&r, "--mode", "al"), VK_E_USAGE);
  vk_assert_says(&r.err, "--mode is one of all, failures, none, not 'al'; did you mean all?");
  vk_assert_fails(PARSE(&r, "--mode", "xylophone"), VK_E_USAGE);
  assert_null(strstr(r.err.text, "did you mean"));
}

static void long_lists_and_words(void **state)
{
  const char *argv[VK_OPT_LIST_MAX + 2] = {"--from"};
  const char *positional[VK_OPT_LIST_MAX + 2];
  int n_positional;
  vk_err err = VK_ERR_INIT;
  args own = {.n_episode = 0};
  vk_opt_set set = {opts, &own};
  for (int i = 1; i < VK_OPT_LIST_MAX + 2; i++)
    argv[i] = "f";
  vk_assert_ok(vk_opt_parse(&set, 1, VK_OPT_LIST_MAX + 1, argv, positional, &n_positional, &err),
               &err);
  assert_int_equal(own.from.n, VK_OPT_LIST_MAX);
  own.from.n = 0;
  vk_assert_fails(vk_opt_parse(&set, 1, VK_OPT_LIST_MAX + 2, argv, positional, &n_positional, &err),
                  VK_E_USAGE);
  char word[5000] = "--";
  memset(word + 2, 'e', sizeof word - 3);
  word[sizeof word - 1] = '\0';
  result r;
  vk_assert_fails(PARSE(&r, word), VK_E_USAGE);
  vk_assert_fails(PARSE(&r, "--mode", word + 2), VK_E_USAGE);
  vk_assert_fails(PARSE(&r, "--episodes", word + 2), VK_E_USAGE);
}

static void nearest(void **state)
{
  static const char *const suites[] = {"libero_spatial", "libero_object", "libero_goal",
                                       "libero_10",      "libero_90",     NULL};
  assert_string_equal(vk_opt_nearest("libero_spatal", suites), "libero_spatial");
  assert_string_equal(vk_opt_nearest("LIBERO_10", (const char *const[]){"LIBERO_90", NULL}),
                      "LIBERO_90");
  assert_string_equal(vk_opt_nearest("libero_91", suites), "libero_90");
  assert_string_equal(vk_opt_nearest("libero10", suites), "libero_10");
  assert_null(vk_opt_nearest("robocasa", suites));
  assert_null(vk_opt_nearest("x", (const char *const[]){NULL}));
  /* one edit is always near, two only for words of three letters and more */
  assert_string_equal(vk_opt_nearest("", (const char *const[]){"a", NULL}), "a");
  assert_null(vk_opt_nearest("ab", (const char *const[]){"cd", NULL}));
  assert_string_equal(vk_opt_nearest("xa", (const char *const[]){"a", NULL}), "a");
  assert_string_equal(vk_opt_nearest("a", (const char *const[]){"xa", NULL}), "xa");
  assert_string_equal(vk_opt_nearest("abc", (const char *const[]){"acb", NULL}), "acb");

  vk_err err = VK_ERR_INIT;
  vk_assert_fails(vk_opt_fail_name(&err, "suite", "libero_gaol", suites), VK_E_USAGE);
  assert_string_equal(err.text, "unknown suite 'libero_gaol'; did you mean libero_goal?");
  vk_assert_fails(vk_opt_fail_name(&err, "thing", "xyz", (const char *const[]){"a", "b", NULL}),
                  VK_E_USAGE);
  assert_string_equal(err.text, "unknown thing 'xyz'; there are a, b");
  const char *many[200] = {NULL}; /* a list that has no room ends after a whole name */
  for (int i = 0; i < 199; i++)
    many[i] = "elephant";
  vk_assert_fails(vk_opt_fail_name(&err, "thing", "xyz", many), VK_E_USAGE);
  assert_true(strlen(err.text) > 300);
  assert_non_null(strstr(err.text, "elephant, elephant, ..."));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fills_every_kind),     cmocka_unit_test(defaults_stay),
      cmocka_unit_test(given_is_told),        cmocka_unit_test(option_of_one_value_given_twice),
      cmocka_unit_test(positional_words),     cmocka_unit_test(numbers_at_their_bounds),
      cmocka_unit_test(refuses_numbers),      cmocka_unit_test(refuses_words),
      cmocka_unit_test(long_lists_and_words), cmocka_unit_test(nearest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
