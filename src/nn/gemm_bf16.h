/* gemm_bf16.h - products in bfloat16: C[m, n] = epilogue(A[m, k] B[k, n]).
 *
 * As gemm.h, but that A and B are rounded to bfloat16 (to nearest, halves to even) before; sums are
 * f32. Weights take half the room, and half the time where they come from memory; machines with
 * instructions for bfloat16 multiply up to twice (AVX-512) or 16 times (AMX) as many a cycle.
 *
 * Bits: on one path as in gemm.h, an element's do not depend on m, n, its place and the number of
 * parts. Paths differ: AVX2, AVX-512 and scalar add products one by one; the instructions for
 * bfloat16 take them in pairs (VDPBF16PS, TDPBF16PS in the Intel SDM) and flush denormals to zero.
 * Test: tests/unit/test_gemm_bf16.c */
#ifndef VK_NN_GEMM_BF16_H
#define VK_NN_GEMM_BF16_H

#include "nn/gemm.h"

/* Bytes of a packed B, the same for every path. */
size_t vk_gemm_bf16_packed_bytes(int64_t n, int64_t k);

/* Bytes of scratch that n_part parts need together, for every product and path. */
size_t vk_gemm_bf16_scratch_bytes(int n_part);

/* Packs g->b [k, n] (or [n, k] with b_trans) into out, aligned to 64 bytes, for one path. */
typedef void vk_gemm_bf16_pack_fn(const vk_gemm *g, void *out);

/* As vk_gemm_run_fn of gemm.h; packed is B from the same path, or NULL: then g has b or a fill_b,
 * and each part rounds and packs a block of it at a time. */
typedef void vk_gemm_bf16_run_fn(const vk_gemm *g, const void *packed, void *scratch, int i_part,
                                 int n_part);

/* Rounds n numbers. */
typedef void vk_gemm_bf16_round_fn(const float *in, int64_t n, uint16_t *out);

vk_gemm_bf16_round_fn VK_KERNEL(vk_gemm_bf16_round);
vk_gemm_bf16_pack_fn VK_KERNEL(vk_gemm_bf16_pack);
vk_gemm_bf16_run_fn VK_KERNEL(vk_gemm_bf16_run);

typedef struct vk_gemm_bf16_path {
  const char *name; /* "scalar", "avx2", "avx512", "avx512bf16", "amx" */
  vk_gemm_bf16_pack_fn *pack;
  vk_gemm_bf16_run_fn *run;
  vk_gemm_bf16_round_fn *round;
} vk_gemm_bf16_path;

/* The best path up to isa that the program has; of AVX-512 with the instructions for bfloat16 where
 * cpu has them. Never NULL. */
const vk_gemm_bf16_path *vk_gemm_bf16_path_of(vk_isa isa, const vk_cpu *cpu);

#endif
