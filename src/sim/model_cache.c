#include "sim/model_cache.h"

#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "sim/mujoco_compat.h"

typedef struct cache_header {
  char magic[8];
  uint8_t sha256[32];
  uint64_t n_home; /* numbers between this header and the model */
} cache_header;

static const char magic[8] = "VLAMJB2\n";
static const size_t max_bytes = 1u << 30;
static const uint64_t max_home = 100000;

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

bool vk_model_cache_load(vk_scene *scene, const char *dir, const char key[65])
{
  char path[VK_FS_PATH_MAX], *bytes = NULL;
  size_t n = 0, n_head = sizeof(cache_header);
  mjVFS *vfs = NULL;
  load_call call = {NULL, NULL};
  cache_header head;
  if (cache_path(path, dir, key) != VK_OK || vk_fs_read(&bytes, &n, path, max_bytes, NULL) != VK_OK)
    return false;
  if (!is_intact(bytes, n))
    goto done;
  memcpy(&head, bytes, sizeof head);
  size_t n_home = head.n_home * sizeof(double);
  if (head.n_home > max_home || n - n_head < n_home || vk_vfs_new(&vfs, NULL) != VK_OK ||
      vk_vfs_add(vfs, "model.mjb", bytes + n_head + n_home, n - n_head - n_home, NULL) != VK_OK)
    goto done;
  call.vfs = vfs;
  if (vk_mujoco_try(load, &call, NULL) != VK_OK || !call.model)
    goto done;
  double *home = malloc(n_home ? n_home : 1);
  if (!home || (uint64_t)call.model->nv != head.n_home) {
    free(home);
    mj_deleteModel(call.model);
    call.model = NULL;
    goto done;
  }
  memcpy(home, bytes + n_head, n_home);
  scene->model = call.model;
  scene->home_warmstart = home;
done:
  vk_vfs_free(vfs);
  free(bytes);
  return scene->model != NULL;
}

void vk_model_cache_store(const vk_scene *scene, const char *dir, const char key[65])
{
  char path[VK_FS_PATH_MAX];
  int n_model = mj_sizeModel(scene->model);
  size_t n_home = sizeof(double) * (size_t)scene->model->nv;
  size_t n = sizeof(cache_header) + n_home + (size_t)n_model;
  /* Zeroed, as MuJoCo's size counts alignment that it does not write. */
  char *bytes = calloc(1, n);
  if (!bytes)
    return;
  cache_header head = {.n_home = (uint64_t)scene->model->nv};
  memcpy(bytes + sizeof head, scene->home_warmstart, n_home);
  mj_saveModel(scene->model, NULL, bytes + sizeof head + n_home, n_model);
  memcpy(head.magic, magic, sizeof magic);
  hash_bytes(bytes + sizeof head, n - sizeof head, head.sha256);
  memcpy(bytes, &head, sizeof head);
  if (vk_fs_make_dirs(dir, NULL) == VK_OK && cache_path(path, dir, key) == VK_OK) {
    vk_status st = vk_fs_write(path, bytes, n, NULL);
    (void)st; /* the next start compiles again */
  }
  free(bytes);
}
