/* hdf5_none.c - core/hdf5.h in a build without HDF5's header: every call says how to get it. */
#include "core/hdf5.h"

static vk_status refuse(vk_err *err)
{
  return vk_fail(err, VK_E_UNSUPPORTED,
                 "this vlakit was built without HDF5; install its header (Debian: apt-get install "
                 "libhdf5-dev) and build again with meson setup --reconfigure -Dhdf5=enabled");
}

vk_status vk_h5_version(char *text, size_t n, vk_err *err)
{
  return refuse(err);
}

vk_status vk_h5_open(vk_h5 **out, const char *path, vk_err *err)
{
  *out = NULL;
  return refuse(err);
}

vk_status vk_h5_create(vk_h5 **out, const char *path, vk_err *err)
{
  *out = NULL;
  return refuse(err);
}

vk_status vk_h5_commit(vk_h5 *f, vk_err *err)
{
  return refuse(err);
}

void vk_h5_close(vk_h5 *f)
{
}

vk_h5_kind vk_h5_kind_of(vk_h5 *f, const char *path)
{
  return VK_H5_NONE;
}

bool vk_h5_has_attr(vk_h5 *f, const char *path, const char *attr)
{
  return false;
}

vk_status vk_h5_names(vk_h5 *f, const char *path, char ***names, int *n, vk_err *err)
{
  return refuse(err);
}

void vk_h5_free_names(char **names, int n)
{
}

vk_status vk_h5_describe(vk_h5 *f, const char *path, const char *attr, vk_array *out, vk_err *err)
{
  return refuse(err);
}

vk_status vk_h5_read(vk_h5 *f, const char *path, const char *attr, uint64_t max_bytes,
                     vk_array *out, vk_err *err)
{
  return refuse(err);
}

vk_status vk_h5_read_text(vk_h5 *f, const char *path, const char *attr, char **out, vk_err *err)
{
  return refuse(err);
}

vk_status vk_h5_read_texts(vk_h5 *f, const char *path, char ***out, int *n, vk_err *err)
{
  return refuse(err);
}

vk_status vk_h5_put_group(vk_h5 *f, const char *path, vk_err *err)
{
  return refuse(err);
}

vk_status vk_h5_put(vk_h5 *f, const char *path, const vk_array *array, vk_err *err)
{
  return refuse(err);
}

vk_status vk_h5_put_attr(vk_h5 *f, const char *path, const char *attr, const vk_array *array,
                         vk_err *err)
{
  return refuse(err);
}

vk_status vk_h5_put_text(vk_h5 *f, const char *path, const char *attr, const char *text,
                         vk_err *err)
{
  return refuse(err);
}

vk_status vk_h5_put_texts(vk_h5 *f, const char *path, char *const *text, int n, vk_err *err)
{
  return refuse(err);
}
