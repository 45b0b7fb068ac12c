/* temp_dir.h - one folder for a test program's files: pass make_temp_dir and remove_temp_dir to
 * cmocka_run_group_tests. */
#ifndef VK_TEMP_DIR_H
#define VK_TEMP_DIR_H

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "core/fs.h"
#include "test.h"

static char temp_dir[] = "/tmp/vk_test_XXXXXX";

static int make_temp_dir(void **state)
{
  signal(SIGXFSZ, SIG_IGN);
  return mkdtemp(temp_dir) ? 0 : -1;
}

static int remove_temp_dir(void **state)
{
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", temp_dir);
  return system(command);
}

static inline const char *in_dir(const char *name)
{
  static char path[2][VK_FS_PATH_MAX];
  static int i;
  i = !i;
  vk_assert_ok(vk_fs_join(path[i], sizeof path[i], temp_dir, name, NULL), NULL);
  return path[i];
}

/* Entries of the folder, hidden ones included: leftovers are seen. */
static inline int n_file_in_dir(void)
{
  int n = 0;
  DIR *d = opendir(temp_dir);
  assert_non_null(d);
  for (struct dirent *e; (e = readdir(d));)
    n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
  closedir(d);
  return n;
}

/* Files cannot grow beyond n bytes, as on a full disk; UINT64_MAX lifts that. */
static inline void limit_file_size(uint64_t n)
{
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = n > limit.rlim_max ? limit.rlim_max : n;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

#endif
