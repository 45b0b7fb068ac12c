#include "cuda/library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* NULL with the loader's reason for the first file when there is none. */
static void *open_first(const vk_cuda_library *l, char *reason, size_t n)
{
  for (int i = 0; l->file[i]; i++) {
    void *handle = dlopen(l->file[i], RTLD_LAZY | RTLD_LOCAL);
    if (handle)
      return handle;
    if (i == 0)
      snprintf(reason, n, "%s", dlerror());
  }
  return NULL;
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
