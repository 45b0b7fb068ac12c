/* simd_ops.c - see simd_ops.h. Compiled once a path. */
#include "simd_ops.h"

#include "core/kernel_path.h"
#include "nn/simd.h"

#define MAP(name, EXPR)                                                                            \
  static void name##_map(float *out, const float *p, int n)                                        \
  {                                                                                                \
    int i = 0;                                                                                     \
    for (; i + VK_LANES <= n; i += VK_LANES) {                                                     \
      vf x = vf_load(p + i);                                                                       \
      vf_store(out + i, EXPR);                                                                     \
    }                                                                                              \
    vf x = vf_load_n(p + i, n - i);                                                                \
    vf_store_n(out + i, EXPR, n - i);                                                              \
  }
MAP(exp, vf_exp(x))
MAP(log, vf_log(x))
MAP(erf, vf_erf(x))
MAP(gelu, vf_gelu(x))
MAP(gelu_gradient, vf_gelu_gradient(x))
MAP(sqrt, vf_sqrt(x))
MAP(abs, vf_abs(x))
MAP(neg, vf_neg(x))
MAP(round, vf_round(x))

#define MAP2(name, EXPR)                                                                           \
  static void name##_map(float *out, const float *p, const float *q, int n)                        \
  {                                                                                                \
    for (int i = 0; i < n; i += VK_LANES) {                                                        \
      int m = n - i < VK_LANES ? n - i : VK_LANES;                                                 \
      vf x = vf_load_n(p + i, m), y = vf_load_n(q + i, m);                                         \
      vf_store_n(out + i, EXPR, m);                                                                \
    }                                                                                              \
  }
MAP2(min, vf_min(x, y))
MAP2(max, vf_max(x, y))
MAP2(copysign, vf_copysign(x, y))
MAP2(choose, vf_select(vm_or(vm_and(vf_lt(x, y), vm_not(vf_ne(x, x))), vf_eq(y, vf_zero())), x, y))

static void fma_map(float *out, const float *p, const float *q, const float *r, int n)
{
  for (int i = 0; i < n; i += VK_LANES) {
    int m = n - i < VK_LANES ? n - i : VK_LANES;
    vf_store_n(out + i, vf_fma(vf_load_n(p + i, m), vf_load_n(q + i, m), vf_load_n(r + i, m)), m);
  }
}

static float sum(const float *x)
{
  return vf_sum(vf_load(x));
}

static float hmax(const float *x)
{
  return vf_hmax(vf_load(x));
}

static void from_bf16(float *out, const uint16_t *x, int n)
{
  int i = 0;
  for (; i + VK_LANES <= n; i += VK_LANES)
    vf_store(out + i, vf_load_bf16(x + i));
  vf_store_n(out + i, vf_load_bf16_n(x + i, n - i), n - i);
}

static void to_bf16(uint16_t *out, const float *x, int n)
{
  int i = 0;
  for (; i + VK_LANES <= n; i += VK_LANES)
    vf_store_bf16(out + i, vf_load(x + i));
  vf_store_bf16_n(out + i, vf_load_n(x + i, n - i), n - i);
}

const simd_ops VK_KERNEL(simd_ops) = {
    .n_lane = VK_LANES,
    .exp = exp_map,
    .log = log_map,
    .erf = erf_map,
    .gelu = gelu_map,
    .gelu_gradient = gelu_gradient_map,
    .sqrt = sqrt_map,
    .abs = abs_map,
    .neg = neg_map,
    .round = round_map,
    .min = min_map,
    .max = max_map,
    .copysign = copysign_map,
    .choose = choose_map,
    .fma = fma_map,
    .sum = sum,
    .hmax = hmax,
    .from_bf16 = from_bf16,
    .to_bf16 = to_bf16,
};
