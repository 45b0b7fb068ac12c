/* test_gemm.c - nn/gemm.h on every path: against sums in double, with odd sizes and strides,
 * nothing touched beside the product, and the same bits however the work is cut. */
#include <stdlib.h>

#include "core/cpu.h"
#include "nn/gemm.h"
#include "test.h"

static const vk_gemm_path *path[3];
static int n_path;

static uint64_t seed = 1;

static uint32_t draw(uint32_t n)
{
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)((seed >> 33) % n);
}

static float draw_float(void)
{
  return (float)draw(20001) * 1e-4f - 1;
}

/* A block of exactly n floats, so that a sanitizer sees what lies beyond. */
static float *draw_floats(int64_t n)
{
  float *x = malloc(sizeof *x * (size_t)(n > 0 ? n : 1));
  assert_non_null(x);
  for (int64_t i = 0; i < n; i++)
    x[i] = draw_float();
  return x;
}

static float *new_aligned(size_t n_byte)
{
  float *x = aligned_alloc(64, (n_byte + 63) / 64 * 64 + 64);
  assert_non_null(x);
  return x;
}

static int64_t min_i(int64_t a, int64_t b)
{
  return a < b ? a : b;
}

static double a_at(const vk_gemm *g, int64_t i, int64_t p)
{
  return (double)(g->a_trans ? g->a[p * g->lda + i] : g->a[i * g->lda + p]);
}

static double b_at(const vk_gemm *g, int64_t p, int64_t j)
{
  return (double)(g->b_trans ? g->b[j * g->ldb + p] : g->b[p * g->ldb + j]);
}

/* The fills read the matrices of a product; columns or rows that nobody asked for stay as they are.
 */
static void fill_a(void *arg, int64_t i, int64_t n_i, int64_t p, int64_t n_p, float *out,
                   int64_t stride)
{
  const vk_gemm *g = arg;
  assert_true(i >= 0 && p >= 0 && i + n_i <= g->m && p + n_p <= g->k && n_p <= VK_GEMM_KC);
  for (int64_t r = 0; r < n_i; r++)
    for (int64_t q = 0; q < n_p; q++)
      out[r * stride + q] = (float)a_at(g, i + r, p + q);
}

static void fill_b(void *arg, int64_t p, int64_t n_p, int64_t j, int64_t n_j, float *out,
                   int64_t stride)
{
  const vk_gemm *g = arg;
  assert_true(j >= 0 && p >= 0 && j + n_j <= g->n && p + n_p <= g->k);
  assert_true(n_p <= VK_GEMM_KC && n_j <= VK_GEMM_PANEL);
  for (int64_t q = 0; q < n_p; q++)
    for (int64_t r = 0; r < n_j; r++)
      out[q * stride + r] = (float)b_at(g, p + q, j + r);
}

/* ---- one product against its definition
 * ---------------------------------------------------------- */

enum { GUARD = 0x7fc12345 }; /* a NaN */

static void set_guard(float *x, int64_t n)
{
  uint32_t u = GUARD;
  for (int64_t i = 0; i < n; i++)
    memcpy(x + i, &u, 4);
}

static int is_guard(const float *x)
{
  uint32_t u;
  memcpy(&u, x, 4);
  return u == GUARD;
}

static void run_parts(const vk_gemm_path *o, const vk_gemm *g, int n_part)
{
  size_t n = vk_gemm_scratch_bytes(g->n, g->k, g->a_trans || g->fill_a, !g->b_packed, n_part) /
             sizeof(float);
  float *scratch = new_aligned(n * sizeof(float));
  set_guard(scratch, (int64_t)n + 16);
  for (int i = n_part - 1; i >= 0; i--)
    o->run(g, scratch, i, n_part);
  for (size_t i = n; i < n + 16; i++)
    assert_true(is_guard(scratch + i));
  free(scratch);
}

/* x has m rows of n, ld apart, and guards wherever else */
static void check_guards(const float *x, int64_t m, int64_t n, int64_t ld)
{
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = n; j < ld; j++)
      assert_true(is_guard(x + i * ld + j));
}

static void check_against_double(const vk_gemm *g, const float *c, const float *pre,
                                 const float *residual)
{
  double scale = g->scale == 0 ? 1 : (double)g->scale;
  for (int64_t i = 0; i < g->m; i++)
    for (int64_t j = 0; j < g->n; j++) {
      double x = 0, size = 0;
      for (int64_t p = 0; p < g->k; p++) {
        x += a_at(g, i, p) * b_at(g, p, j);
        size += fabs(a_at(g, i, p) * b_at(g, p, j));
      }
      double bias = g->bias ? (double)g->bias[j] : 0;
      double add = residual ? (double)residual[i * g->ldr + j] : 0;
      /* twice for the path that rounds products */
      double n_round = 2.0 * (double)min_i(g->k, VK_GEMM_KC) + (double)(g->k / VK_GEMM_KC) + 4;
      double allowed = 6e-8 * n_round * (fabs(scale) * size + fabs(bias) + fabs(add));
      x = scale * x + bias;
      if (g->act == VK_GEMM_ACT_GELU_GRAD) {
        double at = (double)pre[i * g->ldpre + j];
        x *= 0.5 * erfc(-at * 0.70710678118654752440) +
             at * exp(-0.5 * at * at) * 0.39894228040143267794;
        allowed = 1.2 * allowed + 1e-6 * fabs(x);
      } else if (pre)
        vk_assert_close(pre[i * g->ldpre + j], x, allowed, 0);
      if (g->act == VK_GEMM_ACT_GELU) {
        x = x * 0.5 * erfc(-x * 0.70710678118654752440);
        allowed = 1.2 * allowed + 1e-6;
      }
      vk_assert_close(c[i * g->ldc + j], x + add, allowed, 0);
    }
}

typedef struct options {
  int64_t m, n, k;
  int a_trans, b_trans, is_packed, fills_a, fills_b, n_part;
  int has_bias, has_gelu, has_slope, has_pre, has_scale, has_residual, is_in_place;
} options;

static void check_product(const vk_gemm_path *o, const options *w)
{
  int64_t m = w->m, n = w->n, k = w->k;
  vk_gemm g = {.m = m, .n = n, .k = k, .a_trans = w->a_trans, .b_trans = w->b_trans};
  int64_t rows_a = w->a_trans ? k : m, columns_a = w->a_trans ? m : k;
  int64_t rows_b = w->b_trans ? n : k, columns_b = w->b_trans ? k : n;
  g.lda = columns_a + draw(3);
  g.ldb = columns_b + draw(3);
  float *a = draw_floats((rows_a - 1) * g.lda + columns_a);
  float *b = draw_floats((rows_b - 1) * g.ldb + columns_b), *bias = draw_floats(n);
  g.ldc = n + draw(4);
  g.ldr = w->is_in_place ? g.ldc : n + draw(4);
  g.ldpre = n + draw(4);
  float *c = malloc(sizeof *c * (size_t)(m * g.ldc)),
        *pre = malloc(sizeof *c * (size_t)(m * g.ldpre));
  float *residual = draw_floats(m * g.ldr), *packed = new_aligned(vk_gemm_packed_bytes(n, k));
  assert_true(c && pre);
  g.a = a;
  g.b = b;
  g.c = c;
  set_guard(c, m * g.ldc);
  set_guard(pre, m * g.ldpre);
  if (w->has_bias)
    g.bias = bias;
  if (w->has_gelu)
    g.act = VK_GEMM_ACT_GELU;
  if (w->has_slope) {
    g.act = VK_GEMM_ACT_GELU_GRAD;
    for (int64_t i = 0; i < m; i++)
      memcpy(pre + i * g.ldpre, residual + i * g.ldr, sizeof *pre * (size_t)n);
  }
  if (w->has_pre)
    g.pre = pre;
  if (w->has_scale)
    g.scale = 0.375f;
  if (w->has_residual)
    g.residual = residual;
  if (w->has_residual && w->is_in_place) {
    for (int64_t i = 0; i < m; i++)
      memcpy(c + i * g.ldc, residual + i * g.ldc, sizeof *c * (size_t)n);
    g.residual = c;
  }
  vk_gemm told = g;
  if (w->fills_a) {
    told.a = NULL;
    told.fill_a = fill_a;
    told.fill_a_arg = &g;
  }
  if (w->fills_b) {
    told.b = NULL;
    told.fill_b = fill_b;
    told.fill_b_arg = &g;
  }
  if (w->is_packed) {
    o->pack(&told, packed);
    told.b = NULL;
    told.fill_b = NULL;
    told.b_packed = packed;
  }
  run_parts(o, &told, w->n_part);
  check_guards(c, m, n, g.ldc);
  check_guards(pre, m, w->has_pre ? n : 0, g.ldpre);
  check_against_double(&g, c, w->has_pre ? pre : NULL, w->has_residual ? residual : NULL);
  free(a);
  free(b);
  free(bias);
  free(c);
  free(pre);
  free(residual);
  free(packed);
}

static void test_products(void **state)
{
  static const int64_t ms[] = {1, 2, 3, 4, 5, 6, 7, 8, 11, 13, 14, 15, 19, 28, 29, 43, 57, 97, 130};
  static const int64_t ns[] = {1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 48, 64, 95, 129, 257, 300};
  static const int64_t ks[] = {1, 2, 3, 7, 16, 33, 100, 127, 130, 256, 511, 512, 513, 1030};
  enum { N_M = sizeof ms / 8, N_N = sizeof ns / 8, N_K = sizeof ks / 8 };
  for (int i = 0; i < 600; i++) {
    options w = {.m = ms[draw(N_M)], .n = ns[draw(N_N)], .k = ks[draw(N_K)], .n_part = 1};
    while (w.m * w.n * w.k > 4000000)
      w.m = ms[draw(N_M)], w.n = ns[draw(N_N)], w.k = ks[draw(N_K)];
    w.a_trans = draw(3) == 0;
    w.b_trans = draw(2) == 0;
    w.is_packed = draw(2) == 0;
    w.fills_a = draw(4) == 0;
    w.fills_b = draw(4) == 0;
    w.n_part = 1 + (int)(draw(2) * draw(6));
    w.has_bias = draw(2) == 0;
    w.has_gelu = draw(3) == 0;
    w.has_slope = !w.has_gelu && draw(3) == 0;
    w.has_pre = w.has_slope || (w.has_gelu && draw(2) == 0);
    w.has_scale = draw(3) == 0;
    w.has_residual = draw(3) == 0;
    w.is_in_place = draw(2) == 0 && !((w.has_gelu || w.has_slope) && w.k > VK_GEMM_KC);
    for (int o = 0; o < n_path; o++)
      check_product(path[o], &w);
  }
}

/* Each number of rows meets each kind of A once. */
static void test_every_height(void **state)
{
  for (int64_t m = 1; m <= 44; m++)
    for (int kind = 0; kind < 6; kind++) {
      options w = {.m = m, .n = 161, .k = 37, .n_part = 1, .b_trans = 1};
      w.a_trans = kind % 2;
      w.is_packed = kind % 3 == 0;
      w.b_trans = kind % 3 != 1;
      for (int o = 0; o < n_path; o++)
        check_product(path[o], &w);
    }
}

static void test_nothing(void **state)
{
  for (int o = 0; o < n_path; o++) {
    vk_gemm g = {.m = 0, .n = 5, .k = 3, .lda = 3, .ldb = 3, .ldc = 5};
    run_parts(path[o], &g, 3);
    g.m = 5;
    g.n = 0;
    run_parts(path[o], &g, 3);
  }
}

/* ---- the same bits -----------------------------------------------------------------------------
 */

enum { BIT_M = 61, BIT_N = 301, BIT_K = 1100 };

static float bit_a[BIT_M * BIT_K], bit_b[BIT_N * BIT_K], bit_bias[BIT_N], bit_res[BIT_M * BIT_N];
static float bit_at[BIT_K * BIT_M], bit_bt[BIT_K * BIT_N];
static float bit_want[BIT_M * BIT_N], bit_got[BIT_M * BIT_N];

static vk_gemm bit_product(void)
{
  return (vk_gemm){.m = BIT_M,
                   .n = BIT_N,
                   .k = BIT_K,
                   .a = bit_a,
                   .lda = BIT_K,
                   .b = bit_b,
                   .ldb = BIT_K,
                   .b_trans = true,
                   .c = bit_got,
                   .ldc = BIT_N,
                   .bias = bit_bias,
                   .residual = bit_res,
                   .ldr = BIT_N};
}

static void draw_bit_product(void)
{
  for (int i = 0; i < BIT_M; i++)
    for (int p = 0; p < BIT_K; p++)
      bit_at[p * BIT_M + i] = bit_a[i * BIT_K + p] = draw_float();
  for (int j = 0; j < BIT_N; j++) {
    bit_bias[j] = draw_float();
    for (int p = 0; p < BIT_K; p++)
      bit_bt[p * BIT_N + j] = bit_b[j * BIT_K + p] = draw_float();
  }
  for (int i = 0; i < BIT_M * BIT_N; i++)
    bit_res[i] = draw_float();
}

/* Rows [i, i + g->m) of the whole product, which went to bit_got. */
static void check_bits(const vk_gemm_path *o, const vk_gemm *g, int64_t i, int n_part)
{
  memset(bit_got, 0xff, sizeof bit_got);
  run_parts(o, g, n_part);
  for (int64_t r = 0; r < g->m; r++)
    assert_memory_equal(bit_got + r * BIT_N, bit_want + (i + r) * BIT_N, sizeof *bit_got * BIT_N);
}

/* Rows i to i + m, from each form of the operands. */
static void check_forms(const vk_gemm_path *o, const float *packed, int64_t i, int64_t m,
                        int n_part)
{
  vk_gemm whole = bit_product(), g = whole;
  g.m = m;
  g.a = bit_a + i * BIT_K;
  g.residual = bit_res + i * BIT_N;
  vk_gemm part = g;
  for (int kind = 0; kind < 4; kind++)
    for (int trans = 0; trans < 3; trans++) {
      vk_gemm form = g;
      form.b_trans = kind != 1;
      form.b = kind == 1 ? bit_bt : bit_b;
      form.ldb = kind == 1 ? BIT_N : BIT_K;
      form.b_packed = kind == 2 ? packed : NULL;
      form.fill_b = kind == 3 ? fill_b : NULL;
      form.fill_b_arg = &part;
      form.a_trans = trans == 1;
      form.a = trans == 1 ? bit_at + i : g.a;
      form.lda = trans == 1 ? BIT_M : BIT_K;
      form.fill_a = trans == 2 ? fill_a : NULL;
      form.fill_a_arg = &part;
      check_bits(o, &form, i, n_part);
    }
}

static void test_bits(void **state)
{
  draw_bit_product();
  float *packed = new_aligned(vk_gemm_packed_bytes(BIT_N, BIT_K));
  for (int o = 0; o < n_path; o++) {
    vk_gemm g = bit_product();
    run_parts(path[o], &g, 1);
    memcpy(bit_want, bit_got, sizeof bit_want);
    path[o]->pack(&g, packed);
    for (int n_part = 1; n_part <= 9; n_part += 2)
      check_forms(path[o], packed, 0, BIT_M, n_part);
    static const int64_t first[] = {0, 7, 60, 20, 31, 2, 1, 3}, n[] = {1, 1, 1, 2, 5, 14, 33, 50};
    for (int i = 0; i < 8; i++)
      check_forms(path[o], packed, first[i], n[i], 1 + i % 3);
  }
  free(packed);
}

/* A column's bits do not depend on how many there are. */
static void test_bits_of_columns(void **state)
{
  draw_bit_product();
  for (int o = 0; o < n_path; o++) {
    vk_gemm g = bit_product();
    run_parts(path[o], &g, 1);
    memcpy(bit_want, bit_got, sizeof bit_want);
    for (int64_t n = 1; n < BIT_N; n += 37)
      for (int64_t m = 1; m <= BIT_M; m += 20) {
        g = bit_product();
        g.n = n;
        g.m = m;
        run_parts(path[o], &g, 2);
        for (int64_t i = 0; i < m; i++)
          assert_memory_equal(bit_got + i * BIT_N, bit_want + i * BIT_N, sizeof(float) * (size_t)n);
      }
  }
}

/* The order of additions that gemm.h promises. */
static void test_order(void **state)
{
  draw_bit_product();
  for (int o = 0; o < n_path; o++) {
    vk_gemm g = bit_product();
    run_parts(path[o], &g, 1);
    for (int64_t i = 0; i < BIT_M; i += 5)
      for (int64_t j = 0; j < BIT_N; j += 13) {
        float c = bit_res[i * BIT_N + j];
        for (int64_t p = 0; p < BIT_K;) {
          float sum = 0;
          for (int64_t end = min_i(BIT_K, p + VK_GEMM_KC); p < end; p++)
            sum = o == 0 ? bit_a[i * BIT_K + p] * bit_b[j * BIT_K + p] + sum
                         : fmaf(bit_a[i * BIT_K + p], bit_b[j * BIT_K + p], sum);
          c += sum;
        }
        c += bit_bias[j];
        vk_assert_same_bits((double)bit_got[i * BIT_N + j], (double)c);
      }
  }
}

int main(void)
{
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  for (int isa = VK_ISA_SCALAR; isa <= VK_ISA_AVX512; isa++)
    if (vk_isa_best(&cpu) >= (vk_isa)isa &&
        (!isa || vk_gemm_path_of((vk_isa)isa) != path[n_path - 1]))
      path[n_path++] = vk_gemm_path_of((vk_isa)isa);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_products), cmocka_unit_test(test_every_height),
      cmocka_unit_test(test_nothing),  cmocka_unit_test(test_bits),
      cmocka_unit_test(test_order),    cmocka_unit_test(test_bits_of_columns),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
