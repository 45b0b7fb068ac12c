/* test_device.c - kinds of devices: names, memory of the CPU, what is said where there is none. */
#include "test.h"

#include <string.h>

#include "nn/device.h"

static void names_are_found(void **state)
{
  vk_err err = VK_ERR_INIT;
  const vk_device_def *def;
  int index;
  for (int i = 0; i < vk_device_def_count(); i++) {
    vk_assert_ok(vk_device_find(&def, vk_device_defs[i]->name, &index, &err), &err);
    assert_ptr_equal(def, vk_device_defs[i]);
    assert_int_equal(index, 0);
    assert_true(strlen(def->help) > 0);
  }
  vk_assert_ok(vk_device_find(&def, "cuda:3", &index, &err), &err);
  assert_ptr_equal(def, &vk_device_cuda);
  assert_int_equal(index, 3);
}

static void wrong_names_are_refused(void **state)
{
  static const char *const wrong[] = {
      "",       "gpu", "cud", "cuda:", "cuda:x", "cuda:-1", "cuda:1 ", "cuda:99999999999999999999",
      "cpucpu", ":0"};
  const vk_device_def *def;
  int index;
  for (size_t i = 0; i < VK_COUNT(wrong); i++) {
    vk_err err = VK_ERR_INIT;
    assert_int_equal(vk_device_find(&def, wrong[i], &index, &err), VK_E_USAGE);
    assert_true(strlen(err.text) > 0);
  }
  vk_err err = VK_ERR_INIT;
  assert_int_equal(vk_device_find(&def, "cud", &index, &err), VK_E_USAGE);
  assert_non_null(strstr(err.text, "cuda"));
}

static void memory_of_the_cpu_is_zeroed(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_device device;
  vk_team *team;
  void *p;
  static const uint8_t zero[1000];
  vk_assert_ok(vk_team_new(&team, 1, &err), &err);
  vk_assert_ok(vk_device_open(&device, "cpu", team, &err), &err);
  vk_assert_ok(vk_device_alloc(&device, &p, sizeof zero, &err), &err);
  assert_int_equal((uintptr_t)p % 64, 0);
  assert_memory_equal(p, zero, sizeof zero);
  memset(p, 7, sizeof zero);
  vk_assert_ok(vk_device_zero(&device, p, sizeof zero, &err), &err);
  assert_memory_equal(p, zero, sizeof zero);
  vk_device_free(&device, p);
  vk_device_free(&device, NULL);
  vk_device_close(&device);
  vk_team_free(team);
  assert_int_equal(vk_device_open(&device, "cpu:1", NULL, &err), VK_E_USAGE);
  vk_device_close(&device);
}

/* A kind says how many there are, or why there is none. */
static void none_is_explained(void **state)
{
  for (int i = 0; i < vk_device_def_count(); i++) {
    vk_err err = VK_ERR_INIT;
    int n = -1;
    vk_status st = vk_device_defs[i]->count(&n, &err);
    assert_true(n >= 0);
    assert_int_equal(st == VK_OK, n > 0);
    if (st != VK_OK) {
      vk_device device;
      assert_true(strlen(err.text) > 20);
      assert_int_not_equal(vk_device_open(&device, vk_device_defs[i]->name, NULL, &err), VK_OK);
      vk_device_close(&device);
      continue;
    }
    vk_device_info info;
    vk_assert_ok(vk_device_defs[i]->describe(0, &info, &err), &err);
    assert_true(info.free_bytes > 0);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_are_found),
      cmocka_unit_test(wrong_names_are_refused),
      cmocka_unit_test(memory_of_the_cpu_is_zeroed),
      cmocka_unit_test(none_is_explained),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
