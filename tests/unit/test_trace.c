/* test_trace.c - what is written parses as JSON and holds the spans of every thread. */
#include "test.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/thread.h"
#include "core/trace.h"

static char path[] = "/tmp/vk_test_trace_XXXXXX";

static int make_path(void **state)
{
  return mkstemp(path) >= 0 ? 0 : -1;
}

static int remove_path(void **state)
{
  return unlink(path);
}

static cJSON *read_back(void)
{
  vk_err err = VK_ERR_INIT;
  char *text;
  size_t n;
  vk_assert_ok(vk_fs_read(&text, &n, path, 64 << 20, &err), &err);
  cJSON *json = cJSON_ParseWithOpts(text, NULL, true);
  free(text);
  assert_non_null(json);
  return json;
}

static vk_trace *new_trace(size_t n_max)
{
  vk_err err = VK_ERR_INIT;
  vk_trace *trace;
  vk_assert_ok(vk_trace_new(&trace, path, n_max, &err), &err);
  return trace;
}

static void write_trace(const vk_trace *trace)
{
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_trace_write(trace, &err), &err);
}

static double number(const cJSON *object, const char *key)
{
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
  assert_true(cJSON_IsNumber(item));
  return item->valuedouble;
}

static const char *text(const cJSON *object, const char *key)
{
  const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
  assert_non_null(value);
  return value;
}

static void off_is_null(void **state)
{
  vk_trace_span span = vk_trace_begin(NULL, "a", "b");
  vk_trace_arg(&span, "x", 1);
  vk_trace_end(&span);
  assert_null(span.trace);
  vk_trace_free(NULL);
}

static void empty_trace_is_valid(void **state)
{
  vk_trace *trace = new_trace(10);
  write_trace(trace);
  cJSON *json = read_back();
  assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "traceEvents")), 1);
  cJSON_Delete(json);
  vk_trace_free(trace);
}

static void nested_spans(void **state)
{
  vk_trace *trace = new_trace(10);
  vk_trace_span outer = vk_trace_begin(trace, "eval", "episode \"1\"\\\n");
  vk_trace_arg(&outer, "row", 3);
  vk_trace_arg(&outer, "task", -7);
  vk_trace_arg(&outer, "dropped", 1);
  vk_trace_span inner = vk_trace_begin(trace, "sim", "step");
  vk_trace_span open = vk_trace_begin(trace, "sim", "never ended");
  assert_non_null(open.trace);
  usleep(2000);
  vk_trace_end(&inner);
  vk_trace_end(&outer);
  vk_trace_end(&outer);
  write_trace(trace);
  cJSON *json = read_back();
  const cJSON *events = cJSON_GetObjectItem(json, "traceEvents");
  assert_int_equal(cJSON_GetArraySize(events), 3);
  const cJSON *in = cJSON_GetArrayItem(events, 1), *out = cJSON_GetArrayItem(events, 2);
  assert_string_equal(text(in, "name"), "step");
  assert_string_equal(text(in, "cat"), "sim");
  assert_string_equal(text(in, "ph"), "X");
  assert_string_equal(text(out, "name"), "episode \"1\"\\\n");
  assert_true(number(in, "dur") >= 2000); /* microseconds */
  assert_true(number(in, "dur") < 60e6);
  assert_true(number(in, "ts") >= number(out, "ts"));
  assert_true(number(in, "ts") + number(in, "dur") <=
              number(out, "ts") + number(out, "dur") + 1e-3);
  assert_null(cJSON_GetObjectItem(in, "args"));
  const cJSON *args = cJSON_GetObjectItem(out, "args");
  assert_int_equal(cJSON_GetArraySize(args), 2);
  vk_assert_close(number(args, "row"), 3, 0, 0);
  vk_assert_close(number(args, "task"), -7, 0, 0);
  cJSON_Delete(json);
  vk_trace_free(trace);
}

static void trace_item(void *arg, int i, int i_thread)
{
  vk_trace_span span = vk_trace_begin(arg, "test", "item");
  vk_trace_arg(&span, "i", i);
  vk_trace_end(&span);
}

static void many_threads_and_no_room(void **state)
{
  enum { N = 20000, N_ROOM = 15000 };
  vk_err err = VK_ERR_INIT;
  vk_pool *pool;
  vk_assert_ok(vk_pool_new(&pool, 4, &err), &err);
  for (int k = 0; k < 2; k++) {
    int n_room = k ? N_ROOM : N;
    vk_trace *trace = new_trace((size_t)n_room);
    vk_pool_run(pool, trace_item, trace, N);
    write_trace(trace);
    cJSON *json = read_back(), *event;
    vk_assert_close(number(cJSON_GetObjectItem(json, "otherData"), "n_dropped"), N - n_room, 0, 0);
    static bool is_seen[N];
    memset(is_seen, 0, sizeof is_seen);
    int n_span = 0;
    cJSON_ArrayForEach(event, cJSON_GetObjectItem(json, "traceEvents"))
    {
      if (strcmp(text(event, "ph"), "X") != 0)
        continue;
      int i = (int)number(cJSON_GetObjectItem(event, "args"), "i");
      assert_true(i >= 0 && i < N && !is_seen[i]);
      is_seen[i] = true;
      n_span++;
    }
    assert_int_equal(n_span, n_room);
    cJSON_Delete(json);
    vk_trace_free(trace);
  }
  vk_pool_free(pool);
}

/* What a device did lies on rows of its own, each with its title, in the time of the threads. */
static void rows_of_devices(void **state)
{
  const char a[] = "gpu 0", again[] = "gpu 0", b[] = "gpu 1";
  vk_trace *trace = new_trace(10);
  vk_trace_span span = vk_trace_begin(trace, "nn", "host");
  int64_t start_ns = span.start_ns;
  vk_trace_add(trace, a, "cuda", "first", start_ns + 1000, 2500);
  vk_trace_add(trace, b, "cuda", "second", start_ns, 0);
  vk_trace_add(trace, again, "cuda", "third", start_ns + 4000, 1);
  vk_trace_add(NULL, a, "cuda", "off", 0, 0);
  vk_trace_end(&span);
  write_trace(trace);
  cJSON *json = read_back();
  const cJSON *events = cJSON_GetObjectItem(json, "traceEvents");
  assert_int_equal(cJSON_GetArraySize(events), 1 + 4 + 2);
  const cJSON *e[7];
  for (int i = 0; i < 7; i++)
    e[i] = cJSON_GetArrayItem(events, i);
  assert_string_equal(text(e[1], "name"), "first");
  vk_assert_close(number(e[1], "dur"), 2.5, 0, 0);
  vk_assert_close(number(e[1], "ts") - number(e[4], "ts"), 1, 1e-9, 0);
  assert_true(number(e[1], "tid") == number(e[3], "tid"));
  assert_true(number(e[1], "tid") != number(e[2], "tid"));
  assert_true(number(e[1], "tid") != number(e[4], "tid"));
  const char *const title[] = {a, b};
  for (int i = 0; i < 2; i++) {
    assert_string_equal(text(e[5 + i], "name"), "thread_name");
    assert_true(number(e[5 + i], "tid") == number(e[1 + i], "tid"));
    assert_string_equal(text(cJSON_GetObjectItem(e[5 + i], "args"), "name"), title[i]);
  }
  cJSON_Delete(json);
  vk_trace_free(trace);
}

static void refusals(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_trace *trace = NULL;
  vk_assert_fails(vk_trace_new(&trace, "/no/such/folder/t.json", 1, &err), VK_E_NOTFOUND);
  vk_assert_says(&err, "/no/such/folder");
  assert_null(trace);
  vk_assert_ok(vk_trace_new(&trace, "/dev/full", 1, &err), &err);
  vk_assert_fails(vk_trace_write(trace, &err), VK_E_IO);
  vk_trace_free(trace);
  vk_assert_fails(vk_trace_new(&trace, path, SIZE_MAX / 8, &err), VK_E_NOMEM);
  assert_null(trace);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(off_is_null),     cmocka_unit_test(empty_trace_is_valid),
      cmocka_unit_test(nested_spans),    cmocka_unit_test(many_threads_and_no_room),
      cmocka_unit_test(rows_of_devices), cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, make_path, remove_path);
}
