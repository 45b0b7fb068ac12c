/* optim_kernel.c - the two passes of an optimiser's step over its block. */
#include <string.h>

#include "nn/optim_internal.h"
#include "nn/simd.h"

/* ---- squares ----
 *
 * Vectors of fixed width, whatever the path, so that all paths add in the same order. Squares of
 * floats are exact in double: fused or not makes no difference. */

typedef float f4 __attribute__((vector_size(16)));
typedef double d4 __attribute__((vector_size(32)));

static inline d4 square_4(const float *p)
{
  f4 f;
  memcpy(&f, p, sizeof f);
  d4 d = __builtin_convertvector(f, d4);
  return d * d;
}

static double sum_squares(const float *p, int64_t n)
{
  d4 sum[8] = {{0}};
  int64_t i = 0;
  for (; i + 32 <= n; i += 32)
    for (int k = 0; k < 8; k++)
      sum[k] += square_4(p + i + 4 * k);
  float rest[32] = {0};
  memcpy(rest, p + i, (size_t)(n - i) * sizeof *rest);
  for (int k = 0; k < 8; k++)
    sum[k] += square_4(rest + 4 * k);
  for (int half = 4; half > 0; half /= 2)
    for (int k = 0; k < half; k++)
      sum[k] += sum[k + half];
  return (sum[0][0] + sum[0][2]) + (sum[0][1] + sum[0][3]);
}

void VK_KERNEL(vk_optim_run_norm)(const vk_optim_pass *p, int i_part, int n_part)
{
  int64_t begin, end;
  vk_optim_part(p, i_part, n_part, &begin, &end);
  for (int64_t i = begin; i < end; i++)
    p->square[i] = sum_squares(p->grad + p->chunk[i].begin, p->chunk[i].n);
}

/* ---- update ---- */

typedef struct lanes {
  vf grad_factor, keep, step, share1, beta2, share2, root, eps, ema_share;
} lanes;

/* n is a constant but at a chunk's end, where alone masks are worth their price. */
VK_INLINE vf load(const float *p, int n)
{
  return n == VK_LANES ? vf_load(p) : vf_load_n(p, n);
}

VK_INLINE void store(float *p, vf a, int n)
{
  if (n == VK_LANES)
    vf_store(p, a);
  else
    vf_store_n(p, a, n);
}

/* n lanes from item i on. */
VK_INLINE void update(const vk_optim_pass *p, const lanes *c, int64_t i, int n, int has_ema)
{
  vf g = load(p->grad + i, n) * c->grad_factor;
  vf m = load(p->m + i, n), v = load(p->v + i, n), x = load(p->param + i, n);
  m = vf_fma(g - m, c->share1, m);
  v = vf_fma(g * g, c->share2, v * c->beta2);
  store(p->m + i, m, n);
  store(p->v + i, v, n);
  vf size = vf_fma(vf_sqrt(v), c->root, c->eps);
  x = x * c->keep - c->step * m / size;
  store(p->param + i, x, n);
  if (has_ema) {
    vf e = load(p->ema + i, n);
    store(p->ema + i, vf_fma(x - e, c->ema_share, e), n);
  }
}

VK_INLINE void update_chunk(const vk_optim_pass *p, const lanes *c, int64_t i, int64_t end,
                            int has_ema)
{
  for (; i + VK_LANES <= end; i += VK_LANES)
    update(p, c, i, VK_LANES, has_ema);
  if (i < end)
    update(p, c, i, (int)(end - i), has_ema);
}

void VK_KERNEL(vk_optim_run_update)(const vk_optim_pass *p, int i_part, int n_part)
{
  int64_t begin, end;
  float grad_factor = vk_optim_grad_factor(p, vk_optim_norm(p));
  if (grad_factor == 0)
    return;
  vk_optim_part(p, i_part, n_part, &begin, &end);
  for (int64_t i = begin; i < end; i++) {
    const vk_optim_chunk *chunk = &p->chunk[i];
    const vk_optim_factor *f = &p->factor[chunk->i_group];
    lanes c = {.grad_factor = vf_set1(grad_factor),
               .keep = vf_set1(f->keep),
               .step = vf_set1(f->step),
               .share1 = vf_set1(p->share1),
               .beta2 = vf_set1(p->beta2),
               .share2 = vf_set1(p->share2),
               .root = vf_set1(p->root),
               .eps = vf_set1(p->eps),
               .ema_share = vf_set1(p->ema_share)};
    if (p->ema)
      update_chunk(p, &c, chunk->begin, chunk->begin + chunk->n, 1);
    else
      update_chunk(p, &c, chunk->begin, chunk->begin + chunk->n, 0);
  }
}
