/* cpu.h - what this processor and operating system can run, and which path kernels take.
 * Source: Intel SDM vol. 2A (CPUID), vol. 1 ch. 13 (XGETBV), Linux arch_prctl for AMX.
 * Test: tests/unit/test_cpu.c */
#ifndef VK_CORE_CPU_H
#define VK_CORE_CPU_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

/* X(member, spelling) */
#define VK_CPU_FEATURES(X)                                                                         \
  X(sse42, "sse4.2")                                                                               \
  X(avx, "avx")                                                                                    \
  X(avx2, "avx2")                                                                                  \
  X(fma, "fma")                                                                                    \
  X(f16c, "f16c")                                                                                  \
  X(avx512f, "avx512f")                                                                            \
  X(avx512dq, "avx512dq")                                                                          \
  X(avx512bw, "avx512bw")                                                                          \
  X(avx512vl, "avx512vl")                                                                          \
  X(avx512_vnni, "avx512-vnni")                                                                    \
  X(avx512_bf16, "avx512-bf16")                                                                    \
  X(amx_tile, "amx-tile")                                                                          \
  X(amx_int8, "amx-int8")                                                                          \
  X(amx_bf16, "amx-bf16")

/* True when the processor has it and the operating system lets this process use it. */
typedef struct vk_cpu {
#define X(member, spelling) bool member;
  VK_CPU_FEATURES(X)
#undef X
  char name[64]; /* "AMD EPYC 9354 32-Core Processor"; "" when unknown */
  bool is_amd;
} vk_cpu;

/* Asks CPUID; where AMX is found, asks the kernel to permit it to this process. Takes
 * microseconds. Processors other than x86-64 have no feature of the list. */
void vk_cpu_detect(vk_cpu *cpu);

/* The features' spellings with spaces between: "sse4.2 avx avx2 fma"; cut to n bytes with the NUL.
 */
void vk_cpu_print_features(const vk_cpu *cpu, char *out, size_t n);

/* Processors this process may run on (affinity mask), at least 1. */
int vk_cpu_count(void);

/* Paths of kernels, each needing what the ones before it need and more. */
typedef enum vk_isa {
  VK_ISA_SCALAR, /* the baseline that the program is compiled for */
  VK_ISA_AVX2,   /* avx2 fma f16c */
  VK_ISA_AVX512, /* and avx512f/dq/bw/vl; kernels ask for vnni and bf16 themselves */
  VK_ISA_AMX,    /* and amx-tile/int8/bf16, avx512-vnni, avx512-bf16 */
  VK_ISA_N,
} vk_isa;

/* "scalar", "avx2", "avx512", "amx"; never NULL. */
const char *vk_isa_name(vk_isa isa);

/* The best path that cpu can run. */
vk_isa vk_isa_best(const vk_cpu *cpu);

/* Whether products of matrices take less time in bf16 than in f32 on a path: AMX (15 times the rate
 * of f32), and AVX-512 on AMD, whose VDPBF16PS starts as often as an FMA and does twice its work.
 * Intel's starts every other cycle, beside two FMAs in each: of 1,024 rows through 1,024 by 1,024
 * weights `vlakit bench gemm` gives 125 GF/s in f32 and 75 in bf16 on a core of an Emerald Rapids.
 */
bool vk_isa_has_fast_bf16(const vk_cpu *cpu, vk_isa isa);

/* "auto" (the best one) or a path's name.
 * Errors: VK_E_USAGE (no such name), VK_E_UNSUPPORTED (with the first feature that cpu lacks). */
VK_NODISCARD vk_status vk_isa_parse(const char *word, const vk_cpu *cpu, vk_isa *isa, vk_err *err);

#endif
