/* test_device.c - kinds of devices: names, memory of the CPU, what is said where there is none. */
#include "test.h"

#include <string.h>

#include "nn/device_group.h"

static void names_are_found(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_device_choice c;
  for (int i = 0; i < vk_device_def_count(); i++) {
    vk_assert_ok(vk_device_choose(&c, vk_device_defs[i]->name, &err), &err);
    assert_ptr_equal(c.def, vk_device_defs[i]);
    assert_int_equal(c.n, 1);
    assert_int_equal(c.index[0], 0);
    assert_true(strlen(c.def->help) > 0);
  }
  vk_assert_ok(vk_device_choose(&c, "cuda:3", &err), &err);
  assert_ptr_equal(c.def, &vk_device_cuda);
  assert_int_equal(c.n, 1);
  assert_int_equal(c.index[0], 3);
  vk_assert_ok(vk_device_choose(&c, "cuda:4,0,12", &err), &err);
  assert_int_equal(c.n, 3);
  assert_int_equal(c.index[0], 4);
  assert_int_equal(c.index[1], 0);
  assert_int_equal(c.index[2], 12);
  vk_assert_ok(vk_device_choose(&c, "cpu:all", &err), &err);
  assert_int_equal(c.n, 1);
}

static void wrong_names_are_refused(void **state)
{
  static const char *const wrong[] = {"",
                                      "gpu",
                                      "cud",
                                      "cuda:",
                                      "cuda:x",
                                      "cuda:-1",
                                      "cuda:1 ",
                                      "cpucpu",
                                      ":0",
                                      "cuda:0,",
                                      "cuda:,0",
                                      "cuda:0;1",
                                      "cuda:0,0",
                                      "cuda:all,1",
                                      "cuda:99999999999999999999",
                                      "cuda:0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16"};
  vk_device_choice c;
  for (size_t i = 0; i < VK_COUNT(wrong); i++) {
    vk_err err = VK_ERR_INIT;
    assert_int_equal(vk_device_choose(&c, wrong[i], &err), VK_E_USAGE);
    assert_true(strlen(err.text) > 0);
  }
  vk_err err = VK_ERR_INIT;
  assert_int_equal(vk_device_choose(&c, "cud", &err), VK_E_USAGE);
  vk_assert_says(&err, "cuda");
  assert_int_equal(vk_device_choose(&c, "cuda:2,2", &err), VK_E_USAGE);
  vk_assert_says(&err, "twice");
}

/* A group of one is the device; the CPU is one. */
static void groups(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_device_group g;
  float a[2] = {1, 2};
  vk_assert_ok(vk_device_group_open(&g, "cpu", NULL, &err), &err);
  assert_int_equal(g.n, 1);
  assert_ptr_equal(g.device[0].def, &vk_device_cpu);
  vk_assert_ok(vk_device_group_sum(&g, (float *[]){a}, 2, &err), &err);
  assert_true(a[0] == 1 && a[1] == 2);
  vk_device_group_close(&g);
  vk_assert_fails(vk_device_group_open(&g, "cpu:0,1", NULL, &err), VK_E_USAGE);
  vk_device_group_close(&g);
  vk_device device;
  vk_assert_fails(vk_device_open(&device, "cpu:0,1", NULL, &err), VK_E_USAGE);
  vk_assert_says(&err, "only training takes several");
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
      cmocka_unit_test(groups),
      cmocka_unit_test(memory_of_the_cpu_is_zeroed),
      cmocka_unit_test(none_is_explained),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
