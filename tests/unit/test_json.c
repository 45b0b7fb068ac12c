/* test_json.c - JSON is read strictly and written so that numbers come back. */
#include "temp_dir.h"

#include <unistd.h>

#include "core/json.h"

static cJSON *parse(const char *text)
{
  vk_err err = VK_ERR_INIT;
  cJSON *tree;
  vk_assert_ok(vk_json_parse(&tree, text, strlen(text), "x.json", &err), &err);
  return tree;
}

static void refuse_n(const char *text, size_t n, vk_status code, const char *says)
{
  vk_err err = VK_ERR_INIT;
  cJSON *tree;
  vk_assert_fails(vk_json_parse(&tree, text, n, "x.json", &err), code);
  vk_assert_says(&err, says);
  assert_null(tree);
}

static void refuse(const char *text, const char *says)
{
  refuse_n(text, strlen(text), VK_E_FORMAT, says);
}

static void reads(void **state)
{
  cJSON *tree = parse(" {\"a\": [1, -2.5e3, true, null, \"\\u00e4\\n\"],\r\n\t\"b\": {\"a\": 0}} ");
  assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(tree, "a")), 5);
  assert_string_equal(cJSON_GetArrayItem(cJSON_GetObjectItem(tree, "a"), 4)->valuestring,
                      "\xc3\xa4\n");
  cJSON_Delete(tree);
  cJSON_Delete(parse("3"));
  cJSON_Delete(parse("\"\""));
  cJSON_Delete(parse("[\"\xf0\x9f\xa4\x96\"]"));
}

static void refuses(void **state)
{
  refuse("", "x.json:1:1: not valid JSON, or cut short");
  refuse("  ", "x.json:1:2: not valid JSON, or cut short");
  refuse("{\"a\": 1,\n  \"b\": x}", "x.json:2:8: not valid JSON from here on");
  refuse("{\"a\": 1", "not valid JSON, or cut short");
  refuse("{\"a\" 1}", "not valid JSON");
  refuse("[1,]", "not valid JSON");
  refuse("{,}", "not valid JSON");
  refuse("[1 2]", "not valid JSON");
  refuse("1 2", "x.json:1:3: text follows the JSON value");
  refuse("{}\n}", "x.json:2:1: text follows the JSON value");
  refuse("{\"a\": 1, \"b\": {\"a\": 1},\n \"a\": 2}",
         "x.json:2:5: this object already has a member");
  refuse("{\"k\": {\"a\": 1, \"\\u0061\": 2}}", "x.json:1:24: this object already has a member");
  refuse("[01]", "x.json:1:2: not a number of JSON's form");
  refuse("[1.]", "not a number");
  refuse("[.5]", "not valid JSON");
  refuse("[-]", "not a number");
  refuse("[1e]", "not a number");
  refuse("[+1]", "not valid JSON");
  refuse("[NaN]", "not valid JSON");
  refuse("[Infinity]", "not valid JSON");
  refuse("{'a': 1}", "not valid JSON");
  refuse("[1] // comment", "text follows");
  refuse("\"a", "x.json:1:1: a string without its closing quote");
  refuse("\"a\\", "x.json:1:1: a string without its closing quote");
  refuse("\"\\x\"", "not valid JSON");
  refuse("\"\\ud800\"", "not valid JSON");
  refuse("\"a\nb\"", "x.json:1:3: a string holds a control character");
  refuse("\"a\\u0000b\"", "x.json:1:3: a string holds the character U+0000");
  refuse("\"\xff\"", "x.json:1:2: a string is not valid UTF-8");
  refuse("\"\xc0\xaf\"", "not valid UTF-8");
  refuse("\"\xe0\x80\x80\"", "not valid UTF-8");
  refuse("\"\xed\xa0\x80\"", "not valid UTF-8");
  refuse("\"\xf4\x90\x80\x80\"", "not valid UTF-8");
  refuse("\"\xc3\xa4\xc3", "x.json:1:3: a string is not valid UTF-8");
  refuse("[\f1]", "x.json:1:2: a control character");
  refuse_n("[1]\0", 4, VK_E_FORMAT, "x.json:1:4: a control character");
  refuse_n("[1e999]", 7, VK_E_RANGE, "larger than a double");
}

static void refuses_depth(void **state)
{
  char text[2 * 200000];
  for (int depth = 100; depth <= 101; depth++) {
    memset(text, '[', (size_t)depth);
    memset(text + depth, ']', (size_t)depth);
    text[2 * depth] = '\0';
    if (depth == 100)
      cJSON_Delete(parse(text));
    else
      refuse(text, "x.json:1:101: nested more than 100 deep");
  }
  memset(text, '[', sizeof text);
  refuse_n(text, sizeof text, VK_E_FORMAT, "nested more than 100 deep");
  memset(text, ']', sizeof text);
  refuse_n(text, sizeof text, VK_E_FORMAT, "x.json:1:1: not valid JSON");
}

static void survives_damage(void **state)
{
  static const char text[] =
      "{\"name\": \"a\\u00e4\\\"b\", \"list\": [1, 2.5, -3e-2, true, false, null, {}, []]}";
  size_t n_text = sizeof text - 1;
  vk_err err = VK_ERR_INIT;
  cJSON *tree;
  for (size_t n = 0; n < n_text; n++) {
    char *copy = malloc(n + 1); /* exact, so that reads behind it are seen */
    copy = realloc(copy, n ? n : 1);
    memcpy(copy, text, n);
    vk_assert_fails(vk_json_parse(&tree, copy, n, "x", &err), VK_E_FORMAT);
    free(copy);
  }
  for (size_t i = 0; i < n_text; i++)
    for (int byte = 0; byte < 256; byte++) {
      char bad[sizeof text];
      memcpy(bad, text, n_text);
      bad[i] = (char)byte;
      if (vk_json_parse(&tree, bad, n_text, "x", &err) == VK_OK)
        cJSON_Delete(tree);
    }
}

static void gets(void **state)
{
  vk_err err = VK_ERR_INIT;
  cJSON *tree = parse("{\"f\": 1.5, \"i\": -7, \"big\": 9007199254740993e3, \"s\": \"text\","
                      " \"v\": [1, 2, 3], \"mixed\": [1, \"2\"], \"b\": true, \"n\": null}");
  double f, v[3];
  int64_t i;
  const char *s;
  vk_assert_ok(vk_json_get_f64(tree, "f", &f, "config", &err), &err);
  vk_assert_same_bits(f, 1.5);
  vk_assert_ok(vk_json_get_i64(tree, "i", &i, "config", &err), &err);
  assert_int_equal(i, -7);
  vk_assert_ok(vk_json_get_str(tree, "s", &s, "config", &err), &err);
  assert_string_equal(vk_json_str(tree, "s"), s);
  assert_string_equal(vk_json_str(tree, "b"), ""); /* of another type */
  assert_string_equal(vk_json_str(tree, "none"), "");
  assert_string_equal(s, "text");
  vk_assert_ok(vk_json_get_f64s(tree, "v", 3, v, "config", &err), &err);
  vk_assert_same_bits(v[2], 3.0);

  vk_assert_fails(vk_json_get_f64(tree, "F", &f, "config", &err), VK_E_NOTFOUND);
  vk_assert_says(&err, "config: there is no \"F\"");
  vk_assert_fails(vk_json_get_f64(tree, "s", &f, "config", &err), VK_E_FORMAT);
  vk_assert_says(&err, "config: \"s\" is a string, expected a number");
  vk_assert_fails(vk_json_get_f64(tree, "n", &f, "config", &err), VK_E_FORMAT);
  vk_assert_says(&err, "\"n\" is null");
  vk_assert_fails(vk_json_get_i64(tree, "f", &i, "config", &err), VK_E_RANGE);
  vk_assert_says(&err, "config: \"f\" is 1.5, expected a whole number");
  vk_assert_fails(vk_json_get_i64(tree, "big", &i, "config", &err), VK_E_RANGE);
  vk_assert_fails(vk_json_get_str(tree, "b", &s, "config", &err), VK_E_FORMAT);
  vk_assert_says(&err, "\"b\" is true or false, expected a string");
  vk_assert_fails(vk_json_get_f64s(tree, "v", 2, v, "config", &err), VK_E_SHAPE);
  vk_assert_says(&err, "\"v\" has 3 items, expected 2");
  vk_assert_fails(vk_json_get_f64s(tree, "mixed", 2, v, "config", &err), VK_E_FORMAT);
  vk_assert_fails(vk_json_get_f64s(tree, "f", 1, v, "config", &err), VK_E_FORMAT);
  bool b = false;
  vk_assert_ok(vk_json_get_bool(tree, "b", &b, "config", &err), &err);
  assert_true(b);
  vk_assert_fails(vk_json_get_bool(tree, "f", &b, "config", &err), VK_E_FORMAT);
  vk_assert_says(&err, "config: \"f\" is a number, expected true or false");
  cJSON_Delete(tree);
}

static void unknown_keys_are_found(void **state)
{
  static const char *const keys[] = {"width", "height", NULL};
  vk_err err = VK_ERR_INIT;
  cJSON *tree;
  static const char text[] = "{\"width\": 1, \"heigth\": 2, \"z\": [3]}";
  vk_assert_ok(vk_json_parse(&tree, text, sizeof text - 1, "t", &err), &err);
  vk_assert_fails(vk_json_check_keys(tree, keys, "a box", &err), VK_E_FORMAT);
  vk_assert_says(&err, "a box: unknown key \"heigth\"; did you mean \"height\"?");
  cJSON_DeleteItemFromObject(tree, "heigth");
  vk_assert_fails(vk_json_check_keys(tree, keys, "a box", &err), VK_E_FORMAT);
  vk_assert_says(&err, "a box: unknown key \"z\"");
  vk_assert_fails(vk_json_check_keys(cJSON_GetObjectItem(tree, "z"), keys, "z", &err), VK_E_FORMAT);
  vk_assert_says(&err, "z is an array, expected an object");
  cJSON_DeleteItemFromObject(tree, "z");
  vk_assert_ok(vk_json_check_keys(tree, keys, "a box", &err), &err);
  cJSON_Delete(tree);
}

static void assert_prints(double number, const char *want)
{
  vk_err err = VK_ERR_INIT;
  cJSON *value = cJSON_CreateNumber(number);
  char *text;
  vk_assert_ok(vk_json_text(&text, value, &err), &err);
  assert_string_equal(text, want);
  cJSON_free(text);
  cJSON_Delete(value);
}

static void prints_numbers(void **state)
{
  assert_prints(0, "0");
  assert_prints(-0.0, "-0");
  assert_prints(0.1, "0.1");
  assert_prints(1.0 / 3, "0.3333333333333333");
  assert_prints(0.1 + 0.2, "0.30000000000000004");
  assert_prints(1 + 0x1p-52, "1.0000000000000002"); /* cJSON alone prints 1 */
  assert_prints(9007199254740992.0, "9007199254740992");
  assert_prints(1e300, "1e+300");
  assert_prints(5e-324, "4.94065645841247e-324");
  assert_prints(NAN, "null");
  assert_prints(INFINITY, "null");
  assert_prints(-INFINITY, "null");
  uint64_t seed = 1;
  for (int i = 0; i < 20000; i++) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    double number;
    memcpy(&number, &seed, sizeof number);
    if (!isfinite(number))
      continue;
    cJSON *value = cJSON_CreateNumber(number);
    char *text;
    vk_assert_ok(vk_json_text(&text, value, NULL), NULL);
    cJSON *again = parse(text);
    vk_assert_same_bits(again->valuedouble, number);
    cJSON_free(text);
    cJSON_Delete(again);
    cJSON_Delete(value);
  }
}

static void prints(void **state)
{
  vk_err err = VK_ERR_INIT;
  cJSON *tree = parse("{\"a\": [1, \"x\\n\\u00e4\"], \"b\": {}, \"c\": [true, null]}");
  cJSON_AddStringToObject(tree, "file", "caf\xe9");
  char *text;
  vk_assert_ok(vk_json_text(&text, tree, &err), &err);
  assert_string_equal(text,
                      "{\"a\":[1,\"x\\n\xc3\xa4\"],\"b\":{},\"c\":[true,null],\"file\":\"caf?\"}");
  vk_assert_same_bits(cJSON_GetArrayItem(cJSON_GetObjectItem(tree, "a"), 0)->valuedouble, 1.0);
  cJSON_free(text);
  cJSON *number = parse("{\"x\": 0.0015570960972272198}");
  vk_assert_ok(vk_json_text_indented(&text, number, &err), &err);
  assert_string_equal(text, "{\n\t\"x\":\t0.0015570960972272198\n}");
  cJSON_free(text);
  cJSON_Delete(number);

  /* stdout into a file, and into a full disk. */
  fflush(stdout);
  int old = dup(STDOUT_FILENO);
  assert_non_null(freopen(in_dir("out.json"), "w", stdout));
  vk_status ok = vk_json_print(tree, &err);
  assert_non_null(freopen("/dev/full", "w", stdout));
  vk_err full_err = VK_ERR_INIT;
  vk_status full = vk_json_print(tree, &full_err);
  bool is_lost = fflush(stdout) != 0; /* as main finds out */
  clearerr(stdout);
  dup2(old, STDOUT_FILENO);
  close(old);
  vk_assert_ok(ok, &err);
  vk_assert_ok(full, &full_err);
  assert_true(is_lost);
  cJSON *again;
  vk_assert_ok(vk_json_read(&again, in_dir("out.json"), &err), &err);
  assert_int_equal(cJSON_GetArraySize(again), 4);
  cJSON_Delete(again);
  cJSON_Delete(tree);
  vk_assert_fails(vk_json_read(&again, in_dir("none.json"), &err), VK_E_NOTFOUND);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads),          cmocka_unit_test(refuses),
      cmocka_unit_test(refuses_depth),  cmocka_unit_test(survives_damage),
      cmocka_unit_test(gets),           cmocka_unit_test(unknown_keys_are_found),
      cmocka_unit_test(prints_numbers), cmocka_unit_test(prints),
  };
  return cmocka_run_group_tests(tests, make_temp_dir, remove_temp_dir);
}
