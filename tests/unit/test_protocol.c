/* Protocols: the numbers that published results were taken with. */
#include "test.h"

#include "rl/protocol.h"

static const vk_protocol *find(const char *name)
{
  const vk_protocol *p = NULL;
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_protocol_find(&p, name, &err), &err);
  return p;
}

static void test_limits(void **state)
{
  static const struct {
    const char *suite;
    int oft, libero;
  } want[] = {{"libero_spatial", 220, 600}, {"libero_object", 280, 600}, {"libero_goal", 300, 600},
              {"libero_10", 520, 600},      {"libero_90", 400, 600},     {"libero_swap", 600, 600}};
  for (size_t i = 0; i < VK_COUNT(want); i++) {
    assert_int_equal(vk_protocol_n_step(find("oft"), want[i].suite), want[i].oft);
    assert_int_equal(vk_protocol_n_step(find("openpi"), want[i].suite), want[i].oft);
    assert_int_equal(vk_protocol_n_step(find("libero"), want[i].suite), want[i].libero);
  }
}

static void test_table(void **state)
{
  const vk_protocol *oft = find("oft"), *openpi = find("openpi"), *libero = find("libero");
  assert_int_equal(oft->seed, 0);
  assert_int_equal(openpi->seed, 7);
  assert_int_equal(oft->n_dummy, 10);
  assert_int_equal(openpi->n_dummy, 10);
  assert_int_equal(libero->n_dummy, 5);
  vk_assert_close(oft->dummy[6], -1, 0, 0);
  vk_assert_close(libero->dummy[6], 0, 0, 0);
  assert_int_equal(oft->n_episode, 50);
  assert_int_equal(libero->n_episode, 20);
}

static void test_unknown(void **state)
{
  const vk_protocol *p = NULL;
  vk_err err = VK_ERR_INIT;
  vk_assert_fails(vk_protocol_find(&p, "opnpi", &err), VK_E_USAGE);
  vk_assert_says(&err, "did you mean openpi?");
  vk_assert_fails(vk_protocol_find(&p, "somethingelse", &err), VK_E_USAGE);
  vk_assert_says(&err, "somethingelse");
}

/* The hash stands in catalogs and results: what it covers may not change unnoticed. */
static void test_hash(void **state)
{
  char text[VK_PROTOCOL_PRINT_SIZE], a[65], b[65];
  vk_protocol_print(find("oft"), 0, "eval", VK_PERTURB_NONE, text);
  assert_string_equal(text, "protocol oft\nseed 0\nn_parallel 1\nrows eval\nn_dummy 10\n"
                            "dummy 0 0 0 0 0 0 -1\nn_step libero_spatial 220\n"
                            "n_step libero_object 280\nn_step libero_goal 300\n"
                            "n_step libero_10 520\nn_step libero_90 400\nn_step default 600\n"
                            "n_replan 8\nimage_px 256\nimage_policy_px 224\n"
                            "image_turn rotate 180\n");
  vk_protocol_hash(find("oft"), 0, "eval", VK_PERTURB_NONE, a);
  vk_protocol_hash(find("oft"), 1, "eval", VK_PERTURB_NONE, b);
  assert_string_not_equal(a, b);
  vk_protocol_hash(find("oft"), 0, "held-out", VK_PERTURB_NONE, b);
  assert_string_not_equal(a, b);
  vk_protocol_hash(find("oft"), 0, "eval", VK_PERTURB_CAMERA, b);
  assert_string_not_equal(a, b);
  for (const vk_protocol *p = vk_protocols; p->name; p++)
    vk_protocol_print(p, UINT32_MAX, "held-out", VK_PERTURB_LANGUAGE, text); /* each fits */
  vk_protocol_print(find("oft"), 0, "eval", VK_PERTURB_POSITION, text);
  assert_non_null(strstr(text, "\nperturb position up to 2 cm along x and y\n"));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_limits),
      cmocka_unit_test(test_table),
      cmocka_unit_test(test_unknown),
      cmocka_unit_test(test_hash),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
