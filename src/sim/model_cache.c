#include "sim/model_cache.h"

#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "sim/mujoco_compat.h"

typedef struct cache_header {
  char magic[8];
  uint8_t sha256[32];
} cache_header;

static const char magic[8] = "VLAMJB1\n";
static const size_t max_bytes = 1u << 30;

const char *vk_model_cache_dir(char path[VK_FS_PATH_MAX])
{
  char base[VK_FS_PATH_MAX];
  if (vk_fs_cache_dir(base, NULL) != VK_OK ||
      vk_fs_join(path, VK_FS_PATH_MAX, base, "models", NULL) != VK_OK)
    return NULL;
  return path;
}

static void hash_bytes(const void *bytes, size_t n, uint8_t digest[32])
{
  vk_sha256 h;
  vk_sha256_init(&h);
  vk_sha256_add(&h, bytes, n);
  vk_sha256_end(&h, digest);
}

static vk_status cache_path(char path[VK_FS_PATH_MAX], const char *dir, const char key[65])
{
  char name[80];
  snprintf(name, sizeof name, "%s.mjb", key);
  return vk_fs_join(path, VK_FS_PATH_MAX, dir, name, NULL);
}

/* Whether a file's bytes are a header and the model that it names. */
static bool is_intact(const char *bytes, size_t n)
{
  cache_header head;
  uint8_t digest[32];
  if (n < sizeof head)
    return false;
  memcpy(&head, bytes, sizeof head);
  hash_bytes(bytes + sizeof head, n - sizeof head, digest);
  return memcmp(head.magic, magic, sizeof magic) == 0 &&
         memcmp(head.sha256, digest, sizeof digest) == 0;
}

typedef struct load_call {
  const mjVFS *vfs;
  mjModel *model;
} load_call;

static void load(void *arg)
{
  load_call *call = arg;
  call->model = mj_loadModel("model.mjb", call->vfs);
}

mjModel *vk_model_cache_load(const char *dir, const char key[65])
{
  char path[VK_FS_PATH_MAX], *bytes = NULL;
  size_t n = 0, n_head = sizeof(cache_header);
  mjVFS *vfs = NULL;
  load_call call = {NULL, NULL};
  if (cache_path(path, dir, key) != VK_OK || vk_fs_read(&bytes, &n, path, max_bytes, NULL) != VK_OK)
    return NULL;
  if (is_intact(bytes, n) && vk_vfs_new(&vfs, NULL) == VK_OK &&
      vk_vfs_add(vfs, "model.mjb", bytes + n_head, n - n_head, NULL) == VK_OK) {
    call.vfs = vfs;
    if (vk_mujoco_try(load, &call, NULL) != VK_OK)
      call.model = NULL;
  }
  vk_vfs_free(vfs);
  free(bytes);
  return call.model;
}

void vk_model_cache_store(const char *dir, const char key[65], const mjModel *m)
{
  char path[VK_FS_PATH_MAX];
  int n = mj_sizeModel(m);
  char *bytes = malloc(sizeof(cache_header) + (size_t)n);
  if (!bytes)
    return;
  cache_header head;
  mj_saveModel(m, NULL, bytes + sizeof head, n);
  memcpy(head.magic, magic, sizeof magic);
  hash_bytes(bytes + sizeof head, (size_t)n, head.sha256);
  memcpy(bytes, &head, sizeof head);
  if (vk_fs_make_dirs(dir, NULL) == VK_OK && cache_path(path, dir, key) == VK_OK) {
    vk_status st = vk_fs_write(path, bytes, sizeof head + (size_t)n, NULL);
    (void)st; /* the next start compiles again */
  }
  free(bytes);
}
