#include "cuda/library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* That of the build first. */
static const char *const toolkits[] = {
#if defined(VK_CUDA_LIB_DIR)
    VK_CUDA_LIB_DIR,
#endif
    "/usr/local/cuda/lib64",
    NULL,
};

/* NULL with the loader's reason for the first file when there is none. dir: NULL: the loader's. */
static void *open_in(const vk_cuda_library *l, const char *dir, char *reason, size_t n)
{
  for (int i = 0; l->file[i]; i++) {
    char path[1024];
    int n_path = snprintf(path, sizeof path, "%s%s%s", dir ? dir : "", dir ? "/" : "", l->file[i]);
    void *handle = n_path < (int)sizeof path ? dlopen(path, RTLD_LAZY | RTLD_LOCAL) : NULL;
    if (handle)
      return handle;
    if (i == 0 && !dir)
      snprintf(reason, n, "%s", dlerror());
  }
  return NULL;
}

static void *open_first(const vk_cuda_library *l, char *reason, size_t n)
{
  const char *const *dir = l->dir ? l->dir : toolkits;
  void *handle = open_in(l, NULL, reason, n);
  for (int i = 0; dir[i] && !handle; i++)
    handle = open_in(l, dir[i], reason, n);
  return handle;
}

vk_status vk_cuda_library_open(const vk_cuda_library *l, void (**function)(void), vk_err *err)
{
  char reason[256] = "";
  void *handle = open_first(l, reason, sizeof reason);
  if (!handle)
    return vk_fail(err, VK_E_UNSUPPORTED, "%s cannot be opened; install %s (%s)", l->name,
                   l->package, reason);
  for (int i = 0; l->symbol[i]; i++)
    if (!dlsym(handle, l->symbol[i])) {
      dlclose(handle);
      return vk_fail(err, VK_E_UNSUPPORTED, "the %s of this machine lacks %s; install %s", l->name,
                     l->symbol[i], l->package);
    }
  for (int i = 0; l->symbol[i]; i++) {
    void *at = dlsym(handle, l->symbol[i]);
    memcpy(&function[i], &at, sizeof at); /* ISO C has no cast from data to function */
  }
  return VK_OK;
}
