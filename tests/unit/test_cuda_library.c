/* test_cuda_library.c - cuda/library.h over the C library's own shared libraries: what is there,
 * what is not, and what lacks a function. */
#include "cuda/library.h"

#include "test.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef void function(void);

static const char *const none[] = {"libvlakit-none.so.2", "libvlakit-none.so", NULL};
static const char *const some[] = {"libvlakit-none.so.2", "libm.so.6", "libvlakit-other.so", NULL};
static const char *const maths[] = {"cos", "sqrt", NULL};
static const char *const more[] = {"cos", "cublasLtNothing", NULL};

static void test_opens(void **state)
{
  vk_err err = VK_ERR_INIT;
  const vk_cuda_library l = {.name = "maths", .package = "libc6", .file = some, .symbol = maths};
  function *at[2] = {NULL, NULL};
  vk_assert_ok(vk_cuda_library_open(&l, at, &err), &err);
  assert_true(at[0] && at[1] && at[0] != at[1]);
  double (*root)(double) = (double (*)(double))at[1];
  vk_assert_close(root(2.25), 1.5, 0, 0);
}

/* What the loader does not find by itself is looked for in folders, in their order. */
static void test_folders(void **state)
{
  char dir[] = "/tmp/vk_test_library_XXXXXX", path[64];
  vk_err err = VK_ERR_INIT;
  function *at[2] = {NULL, NULL};
  assert_non_null(mkdtemp(dir));
  snprintf(path, sizeof path, "%s/%s", dir, none[1]);
  void *maths_there = dlopen("libm.so.6", RTLD_LAZY);
  struct link_map *map = NULL;
  assert_true(maths_there && dlinfo(maths_there, RTLD_DI_LINKMAP, &map) == 0);
  assert_int_equal(symlink(map->l_name, path), 0);
  const char *const folders[] = {"/nowhere", dir, NULL};
  const vk_cuda_library l = {
      .name = "maths", .package = "libc6", .file = none, .symbol = maths, .dir = folders};
  vk_assert_ok(vk_cuda_library_open(&l, at, &err), &err);
  assert_true(at[0] && at[1]);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(rmdir(dir), 0);
  dlclose(maths_there);
}

static void test_missing(void **state)
{
  vk_err err = VK_ERR_INIT;
  const vk_cuda_library l = {.name = "maths", .package = "libc6", .file = none, .symbol = maths};
  function *at[2] = {NULL, NULL};
  vk_assert_fails(vk_cuda_library_open(&l, at, &err), VK_E_UNSUPPORTED);
  vk_assert_says(&err, "maths cannot be opened; install libc6");
  vk_assert_says(&err, none[0]);
  assert_null(at[0]);
}

static void test_lacks_function(void **state)
{
  vk_err err = VK_ERR_INIT;
  const vk_cuda_library l = {.name = "maths", .package = "libc6", .file = some, .symbol = more};
  function *at[2] = {NULL, NULL};
  vk_assert_fails(vk_cuda_library_open(&l, at, &err), VK_E_UNSUPPORTED);
  vk_assert_says(&err, "the maths of this machine lacks cublasLtNothing; install libc6");
  assert_null(at[0]);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_opens),
      cmocka_unit_test(test_folders),
      cmocka_unit_test(test_missing),
      cmocka_unit_test(test_lacks_function),
  };
  return cmocka_run_group_tests_name("cuda library", tests, NULL, NULL);
}
