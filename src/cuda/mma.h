/* mma.h - what a GPU does in one instruction for which C has no word: products of small matrices of
 * bfloat16 by a warp, with sums in f32, and copies that no thread waits for. Of a product lane l,
 * with g = l / 4 and t = l % 4, has:
 *
 *   a [16, 16]  a[0]: row g, columns 2 t and 2 t + 1; a[1]: row g + 8; a[2], a[3]: columns 8 on
 *   b [16, 8]   b[0]: column g, rows 2 t and 2 t + 1; b[1]: rows 8 on
 *   c [16, 8]   c[0], c[1]: row g, columns 2 t and 2 t + 1; c[2], c[3]: row g + 8
 *
 * Of two items in one word the first is in the low half. Source: PTX ISA 8.7, "Matrix Fragments for
 * mma.m16n8k16", "ldmatrix" and "cp.async". Test: tests/unit/test_cuda_ops.c */
#ifndef VK_CUDA_MMA_H
#define VK_CUDA_MMA_H

#include "cuda/kernel.h"

#if defined(__CUDACC__)

static __device__ __forceinline__ uint32_t vk_bf16_pair(float x, float y)
{
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(y), "f"(x));
  return pair;
}

/* c += a b */
static __device__ __forceinline__ void vk_mma_bf16(float *c, const uint32_t *a, uint32_t b0,
                                                   uint32_t b1)
{
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
               "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* Four matrices [8, 8] of shared memory. Lane l says where row l % 8 of matrix l / 8 lies, at a
 * multiple of 16 bytes. x[i]: of matrix i row g, columns 2 t and 2 t + 1; with is_trans column g,
 * rows 2 t and 2 t + 1. */
template <bool IS_TRANS>
static __device__ __forceinline__ void vk_load_matrices(uint32_t *x, const uint16_t *row)
{
  uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
  if (IS_TRANS)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
                 : "r"(at));
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
                 : "r"(at));
}

/* Begins to copy 16 bytes of the device's memory to shared memory, both at multiples of 16, or
 * zeros unless is_there: threads go on, and wait once for all that they copy. */
static __device__ __forceinline__ void vk_copy_16(void *shared, const void *from, bool is_there)
{
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :
               : "r"((uint32_t)__cvta_generic_to_shared(shared)), "l"(from), "r"(is_there ? 16 : 0)
               : "memory");
}

/* What this thread copies is there; that of others is behind a barrier. */
static __device__ __forceinline__ void vk_copies_wait(void)
{
  asm volatile("cp.async.wait_all;" ::: "memory");
}

#else /* the same by plain loops: lanes tell each other what they hold */

static inline void vk_copy_16(void *shared, const void *from, bool is_there)
{
  VK_ASSERT(((uintptr_t)shared | (uintptr_t)from) % 16 == 0);
  if (is_there)
    memcpy(shared, from, 16);
  else
    memset(shared, 0, 16);
}

static inline void vk_copies_wait(void)
{
}

static inline uint32_t vk_bf16_pair(float x, float y)
{
  return vk_bf16_of(x) | (uint32_t)vk_bf16_of(y) << 16;
}

static inline float vk_bf16_item(const uint32_t *pairs, int i)
{
  return vk_bf16_to((uint16_t)(pairs[i / 2] >> 16 * (i % 2)));
}

static inline void vk_mma_bf16(float *c, const uint32_t *a, uint32_t b0, uint32_t b1)
{
  __shared__ uint32_t held[VK_WARP][VK_WARP][6];
  int lane = threadIdx.x % VK_WARP, g = lane / 4, t = lane % 4;
  uint32_t(*of)[6] = held[threadIdx.x / VK_WARP];
  memcpy(of[lane], a, 4 * sizeof *a);
  of[lane][4] = b0;
  of[lane][5] = b1;
  __syncwarp();
  for (int i = 0; i < 4; i++)
    for (int k = 0; k < 16; k++) {
      int at = k % 8 / 2, column = 2 * t + i % 2;
      c[i] += vk_bf16_item(&of[4 * g + at][i / 2 + k / 8 * 2], k % 2) *
              vk_bf16_item(&of[4 * column + at][4 + k / 8], k % 2);
    }
  __syncwarp();
}

/* As above. */
template <bool IS_TRANS> static inline void vk_load_matrices(uint32_t *x, const uint16_t *row)
{
  __shared__ const uint16_t *held[VK_WARP][VK_WARP];
  int lane = threadIdx.x % VK_WARP, g = lane / 4, t = lane % 4;
  const uint16_t **of = held[threadIdx.x / VK_WARP];
  VK_ASSERT((uintptr_t)row % 16 == 0);
  of[lane] = row;
  __syncwarp();
  for (int i = 0; i < 4; i++)
    x[i] = IS_TRANS ? of[8 * i + 2 * t][g] | (uint32_t)of[8 * i + 2 * t + 1][g] << 16
                    : of[8 * i + g][2 * t] | (uint32_t)of[8 * i + g][2 * t + 1] << 16;
  __syncwarp();
}

#endif

#endif
