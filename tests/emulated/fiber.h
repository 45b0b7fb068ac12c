/* fiber.h - what device code and launches call of fiber.c and runtime.c. */
#ifndef VK_EMULATED_FIBER_H
#define VK_EMULATED_FIBER_H

#include <cuda_runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of the thread that runs. */
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

enum { /* of a barrier or a meeting of lanes */
       VK_EMULATED_SYNC,
       VK_EMULATED_OR,
       VK_EMULATED_AND,
       VK_EMULATED_COUNT,
       VK_EMULATED_BALLOT,
       VK_EMULATED_IDX, /* from here on shuffles */
       VK_EMULATED_UP,
       VK_EMULATED_DOWN,
       VK_EMULATED_XOR,
};
/* This thread waits for those of its block, or those of its warp that mask names. Returns what they
 * make of their values. */
int vk_emulated_barrier(int op, int value, const char *file, int line);
uint64_t vk_emulated_warp(int op, unsigned mask, uint64_t value, int arg, int width,
                          const char *file, int line);
__attribute__((noreturn)) void vk_emulated_trap(const char *file, int line);

/* The block's memory whose size the launch says. */
extern unsigned char vk_emulated_shared[];
/* call(closure), n bytes, is one thread. */
cudaError_t vk_emulated_launch(const void *kernel, void (*call)(const void *closure),
                               const void *closure, size_t n, dim3 grid, dim3 block, size_t shared,
                               cudaStream_t stream);
/* Whether p is neither NULL nor memory that the current device reaches; the error for that. */
int vk_emulated_is_out_of_reach(const void *p);
cudaError_t vk_emulated_refuse_pointer(void);

#ifdef __cplusplus
}
#endif

#endif
