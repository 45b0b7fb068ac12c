/* forward_kernel.h - vectors of four doubles for the files that are compiled once a path. The
 * compiler makes one AVX register or two SSE registers of them; each operation rounds as its scalar
 * does, so every path gives the same bits (no contraction: -ffp-contract=off).
 * Test: tests/unit/test_forward.c */
#ifndef VK_SIM_FORWARD_KERNEL_H
#define VK_SIM_FORWARD_KERNEL_H

#include <math.h>
#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "core/kernel_path.h"
#include "sim/forward_internal.h"

/* The members of vk_kernels. */
bool VK_KERNEL(vk_collide)(vk_forward *f, const mjModel *m, mjData *d);
bool VK_KERNEL(vk_make_rows)(vk_forward *f, const mjModel *m, mjData *d);
void VK_KERNEL(vk_passive)(vk_forward *f, const mjModel *m, mjData *d);
void VK_KERNEL(vk_reference)(vk_forward *f, const mjModel *m, mjData *d);
bool VK_KERNEL(vk_newton)(vk_forward *f, const mjModel *m, mjData *d);

/* mjc_BoxBox */
int VK_KERNEL(vk_box_box)(const mjModel *m, const mjData *d, mjContact *con, int g1, int g2,
                          double margin);

/* HessianDirect and HessianIncremental for the states of f->now; old: those before. */
void VK_KERNEL(vk_hessian_direct)(vk_forward *f, const mjModel *m, const mjData *d);
void VK_KERNEL(vk_hessian_incremental)(vk_forward *f, const mjModel *m, const mjData *d,
                                       const uint8_t *old);
/* mju_cholSolve: out = inverse(L L') vec. */
void VK_KERNEL(vk_hessian_solve)(const vk_forward *f, const v4 *L, const v4 *vec, v4 *out);

static inline v4 load4u(const double *p)
{
  v4 v;
  memcpy(&v, p, sizeof v);
  return v;
}

static inline v4 splat4(double x)
{
  return (v4){x, x, x, x};
}

static inline v4 abs4(v4 x)
{
  return (v4)((m4)x & INT64_MAX);
}

static inline v4 sqrt4(v4 x)
{
#if defined(__AVX__)
  return (v4)_mm256_sqrt_pd((__m256d)x);
#else
  return (v4){sqrt(x[0]), sqrt(x[1]), sqrt(x[2]), sqrt(x[3])};
#endif
}

/* Bit k: lane k is all ones. */
static inline unsigned mask4(m4 m)
{
#if defined(__AVX__)
  return (unsigned)_mm256_movemask_pd((__m256d)m);
#elif defined(__SSE2__)
  __m128d lo, hi;
  memcpy(&lo, &m, sizeof lo);
  memcpy(&hi, (const char *)&m + sizeof lo, sizeof hi);
  return (unsigned)_mm_movemask_pd(lo) | (unsigned)_mm_movemask_pd(hi) << 2;
#else
  return (unsigned)(m[0] & 1) | (unsigned)(m[1] & 2) | (unsigned)(m[2] & 4) | (unsigned)(m[3] & 8);
#endif
}

/* mju_dot's sum of its four partial sums. */
static inline double sum4(v4 s)
{
  return (s[0] + s[2]) + (s[1] + s[3]);
}

/* What mju_dot adds for the one to three elements that are left: p holds their products. */
static inline double sum_tail(v4 p)
{
  return (p[0] + p[1]) + p[2];
}

/* Norm of a contact's scaled tangent, U[1..dim-1], as mju_norm takes it. */
static inline double vk_tangent_norm(const double *U, int dim)
{
  double s = dim == 6   ? (U[1] * U[1] + U[3] * U[3]) + (U[2] * U[2] + U[4] * U[4]) + U[5] * U[5]
             : dim == 4 ? (U[1] * U[1] + U[2] * U[2]) + U[3] * U[3]
                        : U[1] * U[1] + U[2] * U[2];
  return sqrt(s);
}

#endif
