/* op_dropout.c - y = x / (1 - p), or 0 with probability p. The mask is made anew by whoever needs
 * it, also by the gradient: item i of step s is kept if a word of Philox stream s under the key
 * `seed` is at least 2^32 p. Items come in groups of 64: item 64 g + 16 w + b has word w of block
 * 16 g + b, so that lanes are blocks.
 * Source: Srivastava et al. 2014, JMLR 15; Salmon et al. 2011 (Philox, core/rng.h). */
#include "nn/op.h"
#include "nn/simd.h"

/* 64-bit products of lanes: high and low words. */
VK_INLINE void multiply(vu a, uint32_t b, vu *hi, vu *lo)
{
#if defined(__AVX512F__)
  __m512i x = (__m512i)a, y = _mm512_set1_epi32((int32_t)b);
  __m512i even = _mm512_mul_epu32(x, y), odd = _mm512_mul_epu32(_mm512_srli_epi64(x, 32), y);
  *lo = (vu)_mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
  *hi = (vu)_mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
#elif defined(__AVX2__)
  __m256i x = (__m256i)a, y = _mm256_set1_epi32((int32_t)b);
  __m256i even = _mm256_mul_epu32(x, y), odd = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), y);
  *lo = (vu)_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
  *hi = (vu)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
#else
  uint64_t product = (uint64_t)a * b;
  *lo = (uint32_t)product;
  *hi = (uint32_t)(product >> 32);
#endif
}

VK_INLINE vm at_least(vu a, uint32_t b)
{
#if defined(__AVX512F__)
  return _mm512_cmpge_epu32_mask((__m512i)a, _mm512_set1_epi32((int32_t)b));
#elif defined(__AVX2__)
  return (vi)(a >= (vu)vi_set1((int32_t)b));
#else
  return -(a >= b);
#endif
}

/* Words of blocks [block, block + VK_LANES), which do not cross a multiple of 16. */
VK_INLINE void philox(uint64_t key, uint32_t stream, uint64_t block, vu word[4])
{
  static const int32_t lane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  vu c0 = (vu)vi_load(lane) + (vu)vi_set1((int32_t)(uint32_t)block);
  vu c1 = (vu)vi_set1((int32_t)(block >> 32)), c2 = (vu)vi_set1((int32_t)stream), c3 = c2 ^ c2;
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  for (int i_round = 0; i_round < 10; i_round++) {
    vu hi0, lo0, hi1, lo1;
    multiply(c0, 0xd2511f53u, &hi0, &lo0);
    multiply(c2, 0xcd9e8d57u, &hi1, &lo1);
    c0 = hi1 ^ c1 ^ (vu)vi_set1((int32_t)k0);
    c1 = lo1;
    c2 = hi0 ^ c3 ^ (vu)vi_set1((int32_t)k1);
    c3 = lo0;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  word[0] = c0;
  word[1] = c1;
  word[2] = c2;
  word[3] = c3;
}

VK_OP_RUN(dropout)
{
  const float *x = c->in[0].data;
  float *y = c->out[0].data;
  uint32_t step = (uint32_t)((const int32_t *)c->in[1].data)[0];
  uint32_t least = (uint32_t)(c->attr->p * 4294967296.0);
  vf scale = vf_set1((float)(1 / (1 - c->attr->p)));
  int64_t i, end;
  vk_op_part(c, vk_shape_n_item(&c->out[0].shape), 1024, &i, &end);
  for (; i < end; i += 64)
    for (int64_t b = 0; b < 16; b += VK_LANES) {
      vu word[4];
      philox((uint64_t)c->attr->seed, step, (uint64_t)(i / 4 + b), word);
      for (int w = 0; w < 4; w++) {
        int64_t k = i + 16 * w + b;
        int n = end - k >= VK_LANES ? VK_LANES : end > k ? (int)(end - k) : 0;
        vf a = n == VK_LANES ? vf_load(x + k) : n ? vf_load_n(x + k, n) : vf_zero();
        a = vf_select(at_least(word[w], least), a * scale, vf_zero());
        if (n == VK_LANES)
          vf_store(y + k, a);
        else if (n)
          vf_store_n(y + k, a, n);
      }
    }
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need(c, 0, VK_F32, 0, err));
  VK_TRY(vk_op_need(c, 1, VK_I32, 0, err));
  if (vk_shape_n_item(&c->in[1]->shape) != 1)
    return vk_op_fail(c, err, "the step must be one number");
  if (!(c->attr->p >= 0 && c->attr->p < 1))
    return vk_op_fail(c, err, "p is %g, and must be in [0, 1)", c->attr->p);
  vk_op_same(c, 0, 0);
  return VK_OK;
}

static void ref(const vk_op_call *c)
{
  const double *x = c->in[0].data;
  double *y = c->out[0].data, p = c->attr->p;
  for (int64_t i = 0; i < vk_shape_n_item(&c->out[0].shape); i++) {
    vk_philox rng;
    vk_philox_init(&rng, (uint64_t)c->attr->seed, (uint32_t)((const int32_t *)c->in[1].data)[0]);
    rng.block = (uint64_t)(i / 64 * 16 + i % 16);
    uint32_t word = 0;
    for (int64_t w = 0; w <= i % 64 / 16; w++)
      word = vk_philox_u32(&rng);
    y[i] = word >= (uint32_t)(p * 4294967296.0) ? x[i] / (1 - p) : 0;
  }
}

static void grad(vk_grad *c)
{
  c->dx[0] = VK_APPLY(c->g, dropout, VK_IN(c->dy[0], c->node->in[1]), .p = c->node->attr.p,
                      .seed = c->node->attr.seed);
}

static void example(vk_example *e)
{
  e->attr.p = e->i_case ? 0.3 : 0;
  e->attr.seed = vk_example_int(e, 0, INT64_C(1) << 50);
  vk_example_f32(e, e->is_large ? vk_shape_of(2, 4448, 256)
                                : vk_shape_of(2, 3, (int)vk_example_int(e, 1, 900)));
  vk_example_i32(e, vk_shape_of(1, 1), VK_EXAMPLE_RANDOM, INT32_MAX);
}

const vk_op_def vk_op_dropout = {
    .name = "dropout",
    .help = "y = x / (1 - p), or 0 with probability p; inputs x, step i32 [1]; the mask depends on "
            "seed, step and index alone",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .in_place = 1,
    .n_case = 2,
    .rtol = 2e-7,
    .atol = 1e-12,
    .tolerance = "one product",
    .infer = infer,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
