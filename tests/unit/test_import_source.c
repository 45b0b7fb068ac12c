/* Files by the end of their path: folders and zip files, which one wins, and what is refused. */
#include "sim/import_source.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/zip.h"
#include "temp_dir.h"

static void put_file(const char *name, const char *text)
{
  char dir[VK_FS_PATH_MAX];
  snprintf(dir, sizeof dir, "%s", in_dir(name));
  *strrchr(dir, '/') = '\0';
  vk_assert_ok(vk_fs_make_dirs(dir, NULL), NULL);
  vk_assert_ok(vk_fs_write(in_dir(name), text, strlen(text), NULL), NULL);
}

static void put_zip(const char *name, const char *entry, const char *text)
{
  vk_zip_writer *w;
  vk_assert_ok(vk_zip_create(&w, in_dir(name), NULL), NULL);
  vk_assert_ok(vk_zip_add(w, "pkg/", "", 0, false, NULL), NULL);
  vk_assert_ok(vk_zip_add(w, entry, text, strlen(text), true, NULL), NULL);
  vk_assert_ok(vk_zip_commit(w, NULL), NULL);
}

static vk_source *new_source(int n, const char *const *path)
{
  vk_source *s;
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_source_new(&s, &err), &err);
  for (int i = 0; i < n; i++)
    vk_assert_ok(vk_source_add(s, in_dir(path[i]), &err), &err);
  return s;
}

static void expect(const vk_source *s, const char *end, const char *text)
{
  void *bytes;
  size_t n;
  vk_err err = VK_ERR_INIT;
  assert_int_equal(vk_source_has(s, end), text != NULL);
  if (!text) {
    vk_assert_fails(vk_source_read(s, end, &bytes, &n, &err), VK_E_NOTFOUND);
    vk_assert_says(&err, end);
    return;
  }
  vk_assert_ok(vk_source_read(s, end, &bytes, &n, &err), &err);
  assert_int_equal(n, strlen(text));
  assert_string_equal(bytes, text);
  free(bytes);
}

static void finds_by_the_end(void **state)
{
  put_file("tree/site/pkg/assets/a.xml", "deep");
  put_file("tree/pkg/assets/a.xml", "shallow");
  put_file("tree/pkg/assets/b.xml", "b");
  put_file("tree/.hidden/assets/h.xml", "h");
  put_file("other/assets/a.xml", "other");
  put_zip("w.whl", "pkg/assets/a.xml", "zipped");
  vk_source *s = new_source(2, (const char *[]){"tree", "w.whl"});
  expect(s, "assets/a.xml", "shallow"); /* the shortest path of the first source */
  expect(s, "site/pkg/assets/a.xml", "deep");
  expect(s, "assets/b.xml", "b");
  expect(s, "ssets/b.xml", NULL); /* whole names only */
  expect(s, "assets/h.xml", NULL);
  expect(s, "pkg/", NULL);
  vk_source_free(s);
  s = new_source(2, (const char *[]){"w.whl", "tree"});
  expect(s, "assets/a.xml", "zipped");
  expect(s, "pkg/assets/a.xml", "zipped");
  expect(s, "assets/b.xml", "b");
  vk_source_free(s);
  s = new_source(2, (const char *[]){"other", "tree"});
  expect(s, "assets/a.xml", "other");
  vk_source_free(s);
  vk_source_free(NULL);
}

static void survives_odd_folders(void **state)
{
  put_file("loop/a/x.xml", "x");
  assert_int_equal(symlink("..", in_dir("loop/a/up")), 0);
  assert_int_equal(symlink("nowhere", in_dir("loop/broken")), 0);
  assert_int_equal(mkfifo(in_dir("loop/pipe.xml"), 0600), 0);
  vk_source *s = new_source(1, (const char *[]){"loop"});
  expect(s, "a/x.xml", "x");
  expect(s, "pipe.xml", NULL);
  vk_source_free(s);
  /* Many ways back: 9^16 of them within the depth that is searched. */
  for (int i = 0; i < 9; i++) {
    char name[32];
    snprintf(name, sizeof name, "loop/back%d", i);
    assert_int_equal(symlink(".", in_dir(name)), 0);
  }
  s = new_source(1, (const char *[]){"loop"});
  expect(s, "a/x.xml", "x");
  expect(s, "back0/a/x.xml", NULL);
  vk_source_free(s);
}

static void refuses_what_is_wrong(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_source *s = new_source(0, NULL);
  vk_assert_fails(vk_source_add(s, in_dir("nothing.whl"), &err), VK_E_NOTFOUND);
  vk_assert_says(&err, "nothing.whl");
  put_file("text.whl", "not a zip");
  vk_assert_fails(vk_source_add(s, in_dir("text.whl"), &err), VK_E_FORMAT);
  put_zip("evil.whl", "pkg/a.xml", "a");
  char *bytes;
  size_t n;
  vk_assert_ok(vk_fs_read(&bytes, &n, in_dir("evil.whl"), 1 << 20, NULL), NULL);
  for (size_t i = 0; i + 9 <= n; i++) /* both headers name a file outside */
    if (memcmp(bytes + i, "pkg/a.xml", 9) == 0)
      memcpy(bytes + i, "../a/.xml", 9);
  vk_assert_ok(vk_fs_write(in_dir("evil.whl"), bytes, n, NULL), NULL);
  free(bytes);
  vk_assert_fails(vk_source_add(s, in_dir("evil.whl"), &err), VK_E_FORMAT);
  expect(s, "a.xml", NULL);
  vk_source_free(s);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_by_the_end),
      cmocka_unit_test(survives_odd_folders),
      cmocka_unit_test(refuses_what_is_wrong),
  };
  return cmocka_run_group_tests(tests, make_temp_dir, remove_temp_dir);
}
