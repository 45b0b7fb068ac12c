#include "sim/model_cache.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/hash.h"
#include "sim/mujoco_compat.h"

static const char magic[8] = "VLAMJB1\n";

typedef struct cache_header {
  char magic[8];
  uint64_t n_byte;
  uint8_t sha256[32];
} cache_header;

static void hash_bytes(const void *bytes, size_t n, uint8_t digest[32])
{
  vk_sha256 h;
  vk_sha256_init(&h);
  vk_sha256_add(&h, bytes, n);
  vk_sha256_end(&h, digest);
}

/* The model's bytes (malloc) when the file is whole, else NULL. */
static void *read_bytes(const char *path, size_t *n)
{
  FILE *in = fopen(path, "rb");
  if (!in)
    return NULL;
  cache_header head;
  struct stat info;
  uint8_t digest[32];
  void *bytes = NULL;
  if (fstat(fileno(in), &info) != 0 || fread(&head, sizeof head, 1, in) != 1 ||
      memcmp(head.magic, magic, sizeof magic) != 0 || info.st_size < (off_t)sizeof head ||
      head.n_byte != (uint64_t)info.st_size - sizeof head || head.n_byte > INT_MAX)
    goto done;
  *n = (size_t)head.n_byte;
  bytes = malloc(*n);
  if (!bytes)
    goto done;
  bool is_whole = fread(bytes, 1, *n, in) == *n;
  if (is_whole)
    hash_bytes(bytes, *n, digest);
  if (!is_whole || memcmp(digest, head.sha256, sizeof digest) != 0) {
    free(bytes);
    bytes = NULL;
  }
done:
  fclose(in);
  return bytes;
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
  char path[PATH_MAX];
  size_t n = 0;
  if (snprintf(path, sizeof path, "%s/%s.mjb", dir, key) >= (int)sizeof path)
    return NULL;
  void *bytes = read_bytes(path, &n);
  if (!bytes)
    return NULL;
  load_call call = {NULL, NULL};
  mjVFS *vfs = NULL;
  if (vk_vfs_new(&vfs, NULL) == VK_OK && vk_vfs_add(vfs, "model.mjb", bytes, n, NULL) == VK_OK) {
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
  char path[PATH_MAX], temporary[PATH_MAX];
  if (snprintf(path, sizeof path, "%s/%s.mjb", dir, key) >= (int)sizeof path ||
      snprintf(temporary, sizeof temporary, "%s/%s.XXXXXX", dir, key) >= (int)sizeof temporary)
    return;
  cache_header head;
  memcpy(head.magic, magic, sizeof magic);
  int n = mj_sizeModel(m);
  void *bytes = n > 0 ? malloc((size_t)n) : NULL;
  if (!bytes)
    return;
  mj_saveModel(m, NULL, bytes, n);
  head.n_byte = (uint64_t)n;
  hash_bytes(bytes, (size_t)n, head.sha256);
  mkdir(dir, 0777);
  int fd = mkstemp(temporary);
  FILE *out = fd >= 0 ? fdopen(fd, "wb") : NULL;
  if (out) {
    bool is_whole =
        fwrite(&head, sizeof head, 1, out) == 1 && fwrite(bytes, 1, (size_t)n, out) == (size_t)n;
    is_whole = fclose(out) == 0 && is_whole;
    if (!is_whole || rename(temporary, path) != 0)
      unlink(temporary);
  } else if (fd >= 0) {
    close(fd);
    unlink(temporary);
  }
  free(bytes);
}
