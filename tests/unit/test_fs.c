/* test_fs.c - files are read with a limit and replaced whole or not at all. */
#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fs.h"

static char dir[] = "/tmp/vk_test_fs_XXXXXX";

static int make_folder(void **state)
{
  signal(SIGXFSZ, SIG_IGN);
  return mkdtemp(dir) ? 0 : -1;
}

static int remove_folder(void **state)
{
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", dir);
  return system(command);
}

static const char *in_dir(const char *name)
{
  static char path[VK_FS_PATH_MAX];
  vk_assert_ok(vk_fs_join(path, sizeof path, dir, name, NULL), NULL);
  return path;
}

/* Entries of the folder, hidden ones included: leftovers would be seen. */
static int n_entry(const char *path)
{
  int n = 0;
  DIR *d = opendir(path);
  assert_non_null(d);
  for (struct dirent *e; (e = readdir(d));)
    n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
  closedir(d);
  return n;
}

static void assert_content(const char *path, const char *want)
{
  vk_err err = VK_ERR_INIT;
  char *bytes;
  size_t n;
  vk_assert_ok(vk_fs_read(&bytes, &n, path, 1 << 20, &err), &err);
  assert_int_equal(n, strlen(want));
  assert_string_equal(bytes, want);
  free(bytes);
}

static void joins(void **state)
{
  char out[16];
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_fs_join(out, sizeof out, "a", "b", &err), &err);
  assert_string_equal(out, "a/b");
  vk_assert_ok(vk_fs_join(out, sizeof out, "a/", "b", &err), &err);
  assert_string_equal(out, "a/b");
  vk_assert_ok(vk_fs_join(out, sizeof out, "/", "b", &err), &err);
  assert_string_equal(out, "/b");
  vk_assert_ok(vk_fs_join(out, sizeof out, "", "b", &err), &err);
  assert_string_equal(out, "b");
  vk_assert_ok(vk_fs_join(out, sizeof out, "a", "/b", &err), &err);
  assert_string_equal(out, "/b");
  vk_assert_ok(vk_fs_join(out, sizeof out, "1234567", "1234567", &err), &err);
  vk_assert_fails(vk_fs_join(out, sizeof out, "1234567", "12345678", &err), VK_E_RANGE);

  char path[VK_FS_PATH_MAX], here[VK_FS_PATH_MAX];
  assert_non_null(getcwd(here, sizeof here));
  vk_assert_ok(vk_fs_absolute(path, "/a//", &err), &err);
  assert_string_equal(path, "/a");
  vk_assert_ok(vk_fs_absolute(path, "not/there/", &err), &err);
  assert_memory_equal(path, here, strlen(here));
  assert_string_equal(path + strlen(here), "/not/there");
  vk_assert_ok(vk_fs_absolute(path, "/", &err), &err);
  assert_string_equal(path, "/");
}

static void makes_folders(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_fs_make_dirs(in_dir("x/y//z"), &err), &err);
  vk_assert_ok(vk_fs_make_dirs(in_dir("x/y/z/"), &err), &err);
  assert_true(vk_fs_is_dir(in_dir("x/y/z")));
  assert_false(vk_fs_is_file(in_dir("x/y/z")));
  vk_assert_ok(vk_fs_make_dirs("/", &err), &err);

  vk_assert_ok(vk_fs_write(in_dir("x/file"), "", 0, &err), &err);
  assert_true(vk_fs_is_file(in_dir("x/file")));
  vk_assert_fails(vk_fs_make_dirs(in_dir("x/file/below"), &err), VK_E_IO);
  vk_assert_says(&err, "x/file: cannot make the folder: something else has this name");
  vk_assert_fails(vk_fs_make_dirs("", &err), VK_E_IO);
}

static void user_folders(void **state)
{
  char out[VK_FS_PATH_MAX];
  vk_err err = VK_ERR_INIT;
  setenv("HOME", "/home/u", 1);
  unsetenv("XDG_DATA_HOME");
  setenv("XDG_CACHE_HOME", "/var/c", 1);
  vk_assert_ok(vk_fs_data_dir(out, &err), &err);
  assert_string_equal(out, "/home/u/.local/share/vlakit");
  vk_assert_ok(vk_fs_cache_dir(out, &err), &err);
  assert_string_equal(out, "/var/c/vlakit");
  setenv("XDG_CACHE_HOME", "relative", 1);
  vk_assert_ok(vk_fs_cache_dir(out, &err), &err);
  assert_string_equal(out, "/home/u/.cache/vlakit");
  unsetenv("HOME");
  vk_assert_fails(vk_fs_cache_dir(out, &err), VK_E_UNSUPPORTED);
  vk_assert_says(&err, "XDG_CACHE_HOME");
}

static void files_of_the_program(void **state)
{
  char out[VK_FS_PATH_MAX];
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_fs_find_data(out, "libero.pack", &err), &err);
  assert_true(vk_fs_is_file(out));
  vk_assert_fails(vk_fs_find_data(out, "no_such_file", &err), VK_E_NOTFOUND);
  vk_assert_says(&err, "no_such_file is in none of /");
  vk_fs_data_places places;
  vk_fs_find_data_places(&places);
  assert_true(places.n > 1);
  for (int i = 0; i < places.n; i++) {
    assert_true(places.dir[i][0] == '/');
    vk_assert_says(&err, places.dir[i]);
    for (int k = 0; k < i; k++)
      assert_string_not_equal(places.dir[i], places.dir[k]);
  }
}

static void reads_with_a_limit(void **state)
{
  vk_err err = VK_ERR_INIT;
  char *bytes;
  size_t n;
  const char *path = in_dir("read");
  vk_assert_fails(vk_fs_read(&bytes, &n, path, 10, &err), VK_E_NOTFOUND);
  vk_assert_says(&err, path);
  assert_null(bytes);
  char long_name[1000];
  memset(long_name, 'x', sizeof long_name - 1);
  long_name[sizeof long_name - 1] = '\0';
  vk_assert_fails(vk_fs_read(&bytes, &n, long_name, 10, &err), VK_E_IO);
  vk_assert_says(&err, "cannot open: File name too long");
  vk_assert_fails(vk_fs_read(&bytes, &n, dir, 10, &err), VK_E_IO);
  vk_assert_says(&err, "folder");
  vk_assert_ok(vk_fs_write(path, "0123456789", 10, &err), &err);
  vk_assert_ok(vk_fs_read(&bytes, &n, path, 10, &err), &err);
  assert_int_equal(n, 10);
  assert_string_equal(bytes, "0123456789");
  free(bytes);
  vk_assert_fails(vk_fs_read(&bytes, &n, path, 9, &err), VK_E_RANGE);
  vk_assert_says(&err, "10 bytes, at most 9");
  assert_null(bytes);

  /* claims to be empty and is not */
  vk_assert_ok(vk_fs_read(&bytes, &n, "/proc/self/status", 1 << 20, &err), &err);
  assert_true(n > 100);
  assert_non_null(strstr(bytes, "VmRSS"));
  free(bytes);
  vk_assert_fails(vk_fs_read(&bytes, &n, "/proc/self/status", 50, &err), VK_E_RANGE);

  unlink(path);
  assert_int_equal(mkfifo(path, 0600), 0);
  vk_assert_fails(vk_fs_read(&bytes, &n, path, 10, &err), VK_E_IO); /* and does not hang */
  vk_assert_says(&err, "not a regular file");
  unlink(path);
}

static void maps(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_fs_map map;
  const char *path = in_dir("map");
  vk_assert_fails(vk_fs_map_open(&map, path, &err), VK_E_NOTFOUND);
  vk_fs_map_close(&map);
  vk_assert_ok(vk_fs_write(path, "", 0, &err), &err);
  vk_assert_ok(vk_fs_map_open(&map, path, &err), &err);
  assert_int_equal(map.n, 0);
  assert_non_null(map.bytes);
  vk_fs_map_close(&map);
  vk_assert_ok(vk_fs_write(path, "abc", 3, &err), &err);
  vk_assert_ok(vk_fs_map_open(&map, path, &err), &err);
  /* the map keeps showing the version it opened */
  vk_assert_ok(vk_fs_write(path, "XYZW", 4, &err), &err);
  assert_int_equal(map.n, 3);
  assert_memory_equal(map.bytes, "abc", 3);
  vk_fs_map_close(&map);
  vk_fs_map_close(&map);
  assert_null(map.bytes);
}

static void replaces_at_commit(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_fs_writer w;
  vk_assert_ok(vk_fs_make_dirs(in_dir("replace"), &err), &err);
  char path[VK_FS_PATH_MAX];
  snprintf(path, sizeof path, "%s", in_dir("replace/f"));
  vk_assert_ok(vk_fs_write(path, "old", 3, &err), &err);
  assert_int_equal(chmod(path, 0640), 0);

  vk_assert_ok(vk_fs_writer_open(&w, path, &err), &err);
  vk_assert_ok(vk_fs_writer_add(&w, "new ", 4, &err), &err);
  fprintf(w.file, "%d", 42);
  fflush(w.file);
  assert_content(path, "old");
  vk_assert_ok(vk_fs_writer_commit(&w, &err), &err);
  vk_fs_writer_abort(&w);
  assert_content(path, "new 42");
  struct stat info;
  assert_int_equal(stat(path, &info), 0);
  assert_int_equal(info.st_mode & 0777, 0640);

  vk_assert_ok(vk_fs_writer_open(&w, path, &err), &err);
  vk_assert_ok(vk_fs_writer_add(&w, "never", 5, &err), &err);
  vk_fs_writer_abort(&w);
  vk_fs_writer_abort(&w);
  assert_content(path, "new 42");
  assert_int_equal(n_entry(in_dir("replace")), 1);
}

static void two_writers_at_once(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_fs_writer a, b;
  const char *path = in_dir("two");
  vk_assert_ok(vk_fs_writer_open(&a, path, &err), &err);
  vk_assert_ok(vk_fs_writer_open(&b, path, &err), &err);
  vk_assert_ok(vk_fs_writer_add(&a, "a", 1, &err), &err);
  vk_assert_ok(vk_fs_writer_add(&b, "b", 1, &err), &err);
  vk_assert_ok(vk_fs_writer_commit(&b, &err), &err);
  assert_content(path, "b");
  vk_assert_ok(vk_fs_writer_commit(&a, &err), &err);
  assert_content(path, "a");
}

static void follows_links(void **state)
{
  vk_err err = VK_ERR_INIT;
  char link[VK_FS_PATH_MAX];
  vk_assert_ok(vk_fs_write(in_dir("target"), "1", 1, &err), &err);
  snprintf(link, sizeof link, "%s", in_dir("link"));
  assert_int_equal(symlink("target", link), 0);
  vk_assert_ok(vk_fs_write(link, "2", 1, &err), &err);
  assert_content(in_dir("target"), "2");
  struct stat info;
  assert_int_equal(lstat(link, &info), 0);
  assert_true(S_ISLNK(info.st_mode));
}

static void refuses_bad_targets(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_fs_writer w;
  vk_assert_fails(vk_fs_writer_open(&w, in_dir("no/such/f"), &err), VK_E_NOTFOUND);
  vk_assert_says(&err, "no/such does not exist");
  vk_fs_writer_abort(&w);
  vk_assert_fails(vk_fs_writer_open(&w, dir, &err), VK_E_IO);
  vk_assert_says(&err, "folder");
  /* a device is written, never replaced */
  vk_assert_ok(vk_fs_write("/dev/null", "x", 1, &err), &err);
  struct stat info;
  assert_int_equal(stat("/dev/null", &info), 0);
  assert_true(S_ISCHR(info.st_mode));
}

static void full_disk(void **state)
{
  vk_err err = VK_ERR_INIT;
  static char big[100000];
  vk_assert_fails(vk_fs_write("/dev/full", big, sizeof big, &err), VK_E_IO);
  vk_assert_says(&err, "/dev/full: the disk is full");
  vk_assert_fails(vk_fs_write("/dev/full", big, 10, &err), VK_E_IO); /* noticed at commit */
  vk_assert_says(&err, "/dev/full: the disk is full");
  vk_fs_writer w; /* what is printed without looking is noticed at commit too */
  vk_assert_ok(vk_fs_writer_open(&w, "/dev/full", &err), &err);
  for (int i = 0; i < 20000; i++)
    fputs("a line", w.file);
  vk_assert_fails(vk_fs_writer_commit(&w, &err), VK_E_IO);
  vk_assert_says(&err, "/dev/full: the disk is full");
}

/* A size limit stands for a disk that fills up in the middle of a real file. */
static void failed_write_leaves_the_old_file(void **state)
{
  vk_err err = VK_ERR_INIT;
  static char big[100000];
  vk_assert_ok(vk_fs_make_dirs(in_dir("limit"), &err), &err);
  char path[VK_FS_PATH_MAX];
  snprintf(path, sizeof path, "%s", in_dir("limit/f"));
  vk_assert_ok(vk_fs_write(path, "old", 3, &err), &err);
  struct rlimit old, small;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
  small = old;
  small.rlim_cur = 50000;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  vk_status big_write = vk_fs_write(path, big, sizeof big, &err);

  vk_fs_writer w;
  vk_status open = vk_fs_writer_open(&w, path, NULL);
  for (int i = 0; open == VK_OK && i < 60000; i++)
    putc('x', w.file); /* a library's output, whose errors nobody looked at */
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
  vk_status commit = open == VK_OK ? vk_fs_writer_commit(&w, NULL) : VK_OK;
  vk_assert_fails(big_write, VK_E_IO);
  vk_assert_says(&err, "limit/f: cannot write: File too large");
  vk_assert_ok(open, NULL);
  vk_assert_fails(commit, VK_E_IO);
  assert_content(path, "old");
  assert_int_equal(n_entry(in_dir("limit")), 1);
}

/* Names as writers make them, of processes that live and of one that does not. */
static void removes_leftovers(void **state)
{
  vk_fs_writer w;
  char name[3][100];
  pid_t pid = fork();
  if (pid == 0)
    _exit(0);
  assert_int_equal(waitpid(pid, NULL, 0), pid);
  snprintf(name[0], sizeof name[0], "left/.film.mp4.%ld-0.tmp", (long)pid);
  snprintf(name[1], sizeof name[1], "left/.film.mp4.%ld-0.tmp", (long)getppid());
  snprintf(name[2], sizeof name[2], "left/film.mp4.%ld-0.tmp", (long)pid); /* not hidden */
  vk_assert_ok(vk_fs_make_dirs(in_dir("left"), NULL), NULL);
  for (int i = 0; i < 3; i++)
    vk_assert_ok(vk_fs_write(in_dir(name[i]), "x", 1, NULL), NULL);
  vk_assert_ok(vk_fs_write(in_dir("left/.x.tmp"), "x", 1, NULL), NULL);
  vk_assert_ok(vk_fs_write(in_dir("left/.1-0.tmp.mp4"), "x", 1, NULL), NULL);
  vk_assert_ok(vk_fs_writer_open(&w, in_dir("left/mine"), NULL), NULL);
  vk_fs_remove_leftovers_of(in_dir("left/film"));
  assert_int_equal(n_entry(in_dir("left")), 6);
  vk_fs_remove_leftovers_of(in_dir("left/film.mp4"));
  assert_int_equal(n_entry(in_dir("left")), 5);
  vk_assert_ok(vk_fs_write(in_dir(name[0]), "x", 1, NULL), NULL);
  vk_fs_remove_leftovers(in_dir("left"));
  vk_fs_remove_leftovers(in_dir("left/none"));
  assert_int_equal(n_entry(in_dir("left")), 5);
  assert_false(vk_fs_is_file(in_dir(name[0])));
  vk_assert_ok(vk_fs_writer_commit(&w, NULL), NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(joins),
      cmocka_unit_test(makes_folders),
      cmocka_unit_test(user_folders),
      cmocka_unit_test(files_of_the_program),
      cmocka_unit_test(reads_with_a_limit),
      cmocka_unit_test(maps),
      cmocka_unit_test(replaces_at_commit),
      cmocka_unit_test(two_writers_at_once),
      cmocka_unit_test(follows_links),
      cmocka_unit_test(refuses_bad_targets),
      cmocka_unit_test(full_disk),
      cmocka_unit_test(failed_write_leaves_the_old_file),
      cmocka_unit_test(removes_leftovers),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
