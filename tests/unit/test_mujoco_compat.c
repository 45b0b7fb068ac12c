/* test_mujoco_compat.c - the library's version is checked and its fatal errors are survived. */
#include "test.h"

#include <unistd.h>

#include "sim/mujoco_compat.h"

/* Stands before the library's: what is found at run time. */
static int version_found = mjVERSION_HEADER;
int mj_version(void)
{
  return version_found;
}

static void other_versions_are_refused(void **state)
{
  static const int versions[] = {221, 236, 340, 3010000, 0};
  for (size_t i = 0; i < VK_COUNT(versions); i++) {
    vk_err err = VK_ERR_INIT;
    char found[16];
    version_found = versions[i];
    vk_mujoco_version_text(versions[i], found);
    vk_assert_fails(vk_mujoco_check(&err), VK_E_VERSION);
    vk_assert_says(&err, found);
  }
  version_found = mjVERSION_HEADER;
  vk_assert_ok(vk_mujoco_check(NULL), NULL);
}

static void fail_inside(void *arg)
{
  mju_error("out of \"cheese\"");
  *(int *)arg = 1;
}

static void fail_nested(void *arg)
{
  vk_err err = VK_ERR_INIT;
  vk_assert_fails(vk_mujoco_try(fail_inside, arg, &err), VK_E_SIM);
  fail_inside(arg);
}

static void pass(void *arg)
{
  ++*(int *)arg;
}

static void fill_stack(void *arg)
{
  mju_error(arg);
}

static void lack_of_room_is_told_apart(void **state)
{
  static char full[][60] = {"Stack overflow", "mj_stackAlloc: out of memory, stack overflow",
                            "Could not allocate memory", "Could not allocate mjData buffer"};
  for (size_t i = 0; i < VK_COUNT(full); i++)
    vk_assert_fails(vk_mujoco_try(fill_stack, full[i], NULL), VK_E_NOMEM);
}

static void errors_are_caught(void **state)
{
  vk_err err = VK_ERR_INIT;
  int reached = 0;
  vk_assert_fails(vk_mujoco_try(fail_inside, &reached, &err), VK_E_SIM);
  vk_assert_says(&err, "out of \"cheese\"");
  vk_assert_fails(vk_mujoco_try(fail_nested, &reached, &err), VK_E_SIM);
  assert_int_equal(reached, 0);
  vk_assert_ok(vk_mujoco_try(pass, &reached, &err), &err);
  assert_int_equal(reached, 1);
}

static void version_is_spelt(void **state)
{
  char text[16];
  vk_mujoco_version_text(222, text);
  assert_string_equal(text, "2.2.2");
  vk_mujoco_version_text(335, text);
  assert_string_equal(text, "3.3.5");
  vk_mujoco_version_text(3010000, text);
  assert_string_equal(text, "3.10.0");
}

/* The default handler would write a file beside the user. */
static void warnings_leave_no_file(void **state)
{
  mju_warning("a huge value in QACC");
  assert_int_equal(access("MUJOCO_LOG.TXT", F_OK), -1);
}

static void files_in_memory(void **state)
{
  vk_err err = VK_ERR_INIT;
  mjVFS *vfs;
  vk_assert_ok(vk_vfs_new(&vfs, &err), &err);
  vk_assert_ok(vk_vfs_add(vfs, "a.xml", "<mujoco/>", 9, &err), &err);
  vk_assert_fails(vk_vfs_add(vfs, "b.xml", "", 0, &err), VK_E_RANGE);
  vk_assert_fails(vk_vfs_add(vfs, "a.xml", "<mujoco/>", 9, &err), VK_E_NOMEM);
  vk_assert_says(&err, "a.xml");
  vk_vfs_free(vfs);
  vk_vfs_free(NULL);
}

static void models_are_compiled(void **state)
{
  static const char *const mjcf[] = {
      "<mujoco><worldbody><geom type='hfield' hfield='h'/></worldbody></mujoco>",
      "<mujoco><include file='a.xml'/></mujoco>"};
  vk_err err = VK_ERR_INIT;
  for (int i = 0; i < 2; i++) {
    mjVFS *vfs;
    mjModel *m;
    vk_assert_ok(vk_vfs_new(&vfs, &err), &err);
    const char *body = "<mujoco><worldbody><body name='b'/></worldbody></mujoco>";
    vk_assert_ok(vk_vfs_add(vfs, "a.xml", body, strlen(body), &err), &err);
    if (i == 0) {
      vk_assert_fails(vk_mujoco_compile(&m, mjcf[i], vfs, &err), VK_E_FORMAT);
      vk_assert_says(&err, "MuJoCo refuses it: ");
      assert_null(strchr(err.text, '\n'));
      assert_null(m);
    } else {
      vk_assert_ok(vk_mujoco_compile(&m, mjcf[i], vfs, &err), &err);
      assert_int_equal(mj_name2id(m, mjOBJ_BODY, "b"), 1);
      mj_deleteModel(m);
    }
    vk_vfs_free(vfs);
  }
}

static int setup(void **state)
{
  return vk_mujoco_check(NULL) == VK_OK ? 0 : -1;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(other_versions_are_refused), cmocka_unit_test(errors_are_caught),
      cmocka_unit_test(lack_of_room_is_told_apart), cmocka_unit_test(version_is_spelt),
      cmocka_unit_test(warnings_leave_no_file),     cmocka_unit_test(files_in_memory),
      cmocka_unit_test(models_are_compiled),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
