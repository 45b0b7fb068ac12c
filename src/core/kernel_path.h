/* kernel_path.h - names in files that are compiled once a path of vk_isa (`sim_kernels` and
 * `nn_kernels` of meson.build): VK_KERNEL(name) is name_scalar, name_avx2, ...; VK_PATH comes from
 * the build, and so does VK_PATH_IS_BASE, which is set for one of them: there such a file may also
 * define what the program has once.
 * Test: tests/unit/test_forward.c, tests/unit/test_render.c */
#ifndef VK_CORE_KERNEL_PATH_H
#define VK_CORE_KERNEL_PATH_H

#ifndef VK_PATH
#define VK_PATH scalar
#endif
#define VK_KERNEL_PASTE(name, path)  name##_##path
#define VK_KERNEL_EXPAND(name, path) VK_KERNEL_PASTE(name, path)
#define VK_KERNEL(name)              VK_KERNEL_EXPAND(name, VK_PATH)

#endif
