/* launch.h - kernel.h's launches where tests/emulated stands in for the GPU. */
#ifndef VK_EMULATED_LAUNCH_H
#define VK_EMULATED_LAUNCH_H

#include "emulated/emulated.h"
#include "emulated/fiber.h"

#define VK_SHARED(type, name) type *name = (type *)vk_emulated_shared

template <typename T> static inline bool vk_emulated_is_bad_arg(const T &)
{
  return false;
}
template <typename T> static inline bool vk_emulated_is_bad_arg(T *const &p)
{
  return vk_emulated_is_out_of_reach((const void *)p);
}

template <typename... P, typename... A>
static inline cudaError_t vk_launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
                                    cudaStream_t stream, A... args)
{
  if ((vk_emulated_is_bad_arg((P)args) || ...))
    return vk_emulated_refuse_pointer();
  auto closure = [=] { kernel((P)args...); };
  typedef decltype(closure) closure_type;
  return vk_emulated_launch((const void *)kernel,
                            [](const void *c) { (*(const closure_type *)c)(); }, &closure,
                            sizeof closure, grid, block, shared, stream);
}

#endif
