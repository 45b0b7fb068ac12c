/* optim_internal.h - between optim.c and its kernels. Test: tests/unit/test_optim.c */
#ifndef VK_NN_OPTIM_INTERNAL_H
#define VK_NN_OPTIM_INTERNAL_H

#include <float.h>
#include <math.h>
#include <stdint.h>

#include "core/err.h"
#include "core/kernel_path.h"

enum { VK_OPTIM_CHUNK = 16384 }; /* items whose squares are added in one go */

typedef struct vk_optim_chunk {
  int64_t begin;    /* its first item in the block */
  int64_t n_before; /* items of the chunks before it */
  int32_t n, i_group;
} vk_optim_chunk;

/* What a group's numbers are in a step. */
typedef struct vk_optim_factor {
  float keep; /* 1 - lr * weight decay */
  float step; /* lr / (1 - beta1^t) */
} vk_optim_factor;

typedef struct vk_optim_pass {
  int64_t n_chunk;
  const vk_optim_chunk *chunk;
  const vk_optim_factor *factor; /* one a group */
  double *square;                /* one a chunk: the sum of its squares */
  float *param, *m, *v, *ema;    /* ema: NULL without an average */
  const float *grad;
  double grad_scale, max_norm;
  float share1, beta2, share2, eps; /* share: 1 - beta, rounded once */
  float root;                       /* 1 / sqrt(1 - beta2^t) */
  float ema_share;                  /* 1 - decay */
} vk_optim_pass;

/* The norm of all gradients, from the chunks' sums in their order. */
static inline double vk_optim_norm(const vk_optim_pass *p)
{
  double sum = 0;
  for (int64_t i = 0; i < p->n_chunk; i++)
    sum += p->square[i];
  return sqrt(sum) * p->grad_scale;
}

/* What gradients are multiplied by, 0 when they are not to be used. max_norm / (norm + 1e-6), as
 * torch clips. The bounds keep v, their square, finite, and the factor a normal number. */
static inline float vk_optim_grad_factor(const vk_optim_pass *p, double norm)
{
  double clip = p->max_norm > 0 ? p->max_norm / (norm + 1e-6) : 1;
  clip = clip < 1 ? clip : 1;
  double factor = p->grad_scale * clip;
  return norm * clip < 1e19 && factor >= FLT_MIN && factor <= FLT_MAX ? (float)factor : 0;
}

/* Chunks [*begin, *end) of a part: those whose first item is in its share of all. */
void vk_optim_part(const vk_optim_pass *p, int i_part, int n_part, int64_t *begin, int64_t *end);

typedef void vk_optim_kernel(const vk_optim_pass *p, int i_part, int n_part);
vk_optim_kernel vk_optim_run_norm_scalar, vk_optim_run_update_scalar;
#if defined(__x86_64__)
vk_optim_kernel vk_optim_run_norm_avx2, vk_optim_run_update_avx2;
vk_optim_kernel vk_optim_run_norm_avx512, vk_optim_run_update_avx512;
#endif

#endif
