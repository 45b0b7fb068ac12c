/* stub.c - the device cuda of a build without the CUDA toolkit, or with one that is too old: there
 * is none, and it says so.
 * Test: tests/unit/test_device.c */
#include "nn/device.h"

#if defined(VK_NVCC_TOO_OLD)
#define TOOLKIT "its nvcc was of CUDA " VK_NVCC_TOO_OLD "; install the CUDA toolkit 12 or later"
#else
#define TOOLKIT "install the CUDA toolkit (nvcc)"
#endif

static vk_status missing(vk_err *err)
{
  return vk_fail(err, VK_E_UNSUPPORTED,
                 "device cuda: this build has no CUDA; " TOOLKIT ", then build again: meson setup "
                 "--wipe build && ninja -C build");
}

static vk_status count(int *n, vk_err *err)
{
  *n = 0;
  return missing(err);
}

static vk_status describe(int index, vk_device_info *info, vk_err *err)
{
  return missing(err);
}

static vk_status open(vk_device *d, vk_err *err)
{
  return missing(err);
}

static void close(vk_device *d)
{
}

static bool has_op(const vk_op_def *op)
{
  return false;
}

static size_t scratch(const vk_op_def *op, const vk_op_call *call)
{
  return 0;
}

/* Nothing else can be reached: there is no such device to be had. */
const vk_device_def vk_device_cuda = {
    .name = "cuda",
    .help = "an NVIDIA GPU (this build has no CUDA)",
    .count = count,
    .describe = describe,
    .open = open,
    .close = close,
    .has_op = has_op,
    .scratch = scratch,
};
