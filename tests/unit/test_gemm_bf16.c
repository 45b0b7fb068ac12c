/* test_gemm_bf16.c - nn/gemm_bf16.h on every path, and AMX in C: against sums in double of rounded
 * factors, nothing touched beside the product, the same bits however the work is cut. */
#include <stdlib.h>

#include "core/cpu.h"
#include "nn/gemm_bf16.h"
#include "test.h"

/* The tiles of gemm_amx.h in C, see meson.build. */
extern vk_gemm_bf16_pack_fn vk_gemm_bf16_pack_emulated;
extern vk_gemm_bf16_run_fn vk_gemm_bf16_run_emulated;
extern vk_gemm_bf16_round_fn vk_gemm_bf16_round_emulated;
static const vk_gemm_bf16_path emulated = {"emulated", vk_gemm_bf16_pack_emulated,
                                           vk_gemm_bf16_run_emulated, vk_gemm_bf16_round_emulated};

static const vk_gemm_bf16_path *path[8];
static int n_path;

static uint64_t seed = 1;

static uint32_t draw(uint32_t n)
{
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)((seed >> 33) % n);
}

static float *draw_floats(int64_t n)
{
  float *x = malloc(sizeof *x * (size_t)n);
  assert_non_null(x);
  for (int64_t i = 0; i < n; i++)
    x[i] = (float)draw(20001) * 1e-4f - 1;
  return x;
}

static void *new_aligned(size_t n_byte)
{
  void *x = aligned_alloc(64, (n_byte + 63) / 64 * 64 + 64);
  assert_non_null(x);
  return x;
}

static double round_bf16(float x)
{
  uint32_t u;
  memcpy(&u, &x, 4);
  u = (u + 0x7fff + (u >> 16 & 1)) & 0xffff0000u;
  memcpy(&x, &u, 4);
  return (double)x;
}

static const float guard = -12345.5f;

static void run_parts(const vk_gemm_bf16_path *o, const vk_gemm *g, const void *packed, int n_part)
{
  size_t n = vk_gemm_bf16_scratch_bytes(n_part) / sizeof(float);
  float *scratch = new_aligned(n * sizeof(float));
  for (size_t i = 0; i < n; i++)
    scratch[i] = NAN;
  for (size_t i = n; i < n + 16; i++)
    scratch[i] = guard;
  for (int i = n_part - 1; i >= 0; i--)
    o->run(g, packed, scratch, i, n_part);
  for (size_t i = n; i < n + 16; i++)
    assert_true(scratch[i] == guard);
  free(scratch);
}

static void fill_a(void *arg, int64_t i, int64_t n_i, int64_t p, int64_t n_p, float *out,
                   int64_t stride)
{
  const vk_gemm *g = arg;
  assert_true(i >= 0 && p >= 0 && i + n_i <= g->m && p + n_p <= g->k && n_p <= VK_GEMM_KC);
  for (int64_t r = 0; r < n_i; r++)
    for (int64_t q = 0; q < n_p; q++)
      out[r * stride + q] =
          g->a_trans ? g->a[(p + q) * g->lda + i + r] : g->a[(i + r) * g->lda + p + q];
}

static void fill_b(void *arg, int64_t p, int64_t n_p, int64_t j, int64_t n_j, float *out,
                   int64_t stride)
{
  const vk_gemm *g = arg;
  assert_true(j >= 0 && p >= 0 && j + n_j <= g->n && p + n_p <= g->k && n_p <= VK_GEMM_KC);
  assert_true(n_j <= VK_GEMM_PANEL);
  for (int64_t q = 0; q < n_p; q++)
    for (int64_t r = 0; r < n_j; r++)
      out[q * stride + r] =
          g->b_trans ? g->b[(j + r) * g->ldb + p + q] : g->b[(p + q) * g->ldb + j + r];
}

/* What these give, rounded. */
static void fill_a_bf16(void *arg, int64_t i, int64_t n_i, int64_t p, int64_t n_p, uint16_t *out,
                        int64_t stride)
{
  float row[VK_GEMM_KC];
  for (int64_t r = 0; r < n_i; r++) {
    fill_a(arg, i + r, 1, p, n_p, row, 0);
    vk_gemm_bf16_round_emulated(row, n_p, out + r * stride);
  }
}

static void fill_b_bf16(void *arg, int64_t p, int64_t n_p, int64_t j, int64_t n_j, uint16_t *out,
                        int64_t stride)
{
  float row[VK_GEMM_PANEL];
  for (int64_t q = 0; q < n_p; q++) {
    fill_b(arg, p + q, 1, j, n_j, row, 0);
    vk_gemm_bf16_round_emulated(row, n_j, out + q * stride);
  }
}

static double a_at(const vk_gemm *g, int64_t i, int64_t p)
{
  return round_bf16(g->a_trans ? g->a[p * g->lda + i] : g->a[i * g->lda + p]);
}

static double b_at(const vk_gemm *g, int64_t p, int64_t j)
{
  return round_bf16(g->b_trans ? g->b[j * g->ldb + p] : g->b[p * g->ldb + j]);
}

static void check_against_double(const vk_gemm *g, const float *residual)
{
  for (int64_t i = 0; i < g->m; i++)
    for (int64_t j = 0; j < g->ldc; j++) {
      if (j >= g->n) {
        assert_true(g->c[i * g->ldc + j] == guard);
        continue;
      }
      double x = 0, size = 0;
      for (int64_t p = 0; p < g->k; p++) {
        double y = a_at(g, i, p) * b_at(g, p, j);
        x += y;
        size += fabs(y);
      }
      double bias = g->bias ? (double)g->bias[j] : 0;
      double add = residual ? (double)residual[i * g->ldr + j] : 0;
      double allowed = 6e-8 * (2.0 * (double)g->k + 8) * (size + fabs(bias) + fabs(add));
      x += bias;
      if (g->act == VK_GEMM_ACT_GELU) {
        x = x * 0.5 * erfc(-x * 0.70710678118654752440);
        allowed = 1.2 * allowed + 1e-6;
      }
      vk_assert_close(g->c[i * g->ldc + j], x + add, allowed, 0);
    }
}

static void check_product(const vk_gemm_bf16_path *o, int64_t m, int64_t n, int64_t k, int n_part)
{
  vk_gemm g = {.m = m, .n = n, .k = k, .ldc = n + draw(3), .a_trans = draw(2), .b_trans = draw(2)};
  g.lda = (g.a_trans ? m : k) + draw(3);
  g.ldb = (g.b_trans ? k : n) + draw(3);
  g.ldr = n;
  int64_t n_a = (g.a_trans ? k - 1 : m - 1) * g.lda + (g.a_trans ? m : k),
          n_b = (g.b_trans ? n - 1 : k - 1) * g.ldb + (g.b_trans ? k : n);
  float *a = draw_floats(n_a), *b = draw_floats(n_b), *bias = draw_floats(n);
  float *c = draw_floats(m * g.ldc), *residual = draw_floats(m * n);
  void *packed = new_aligned(vk_gemm_bf16_packed_bytes(n, k));
  g.a = a;
  g.b = b;
  g.c = c;
  g.bias = draw(2) ? bias : NULL;
  g.residual = draw(2) ? residual : NULL;
  g.act = draw(3) ? VK_GEMM_ACT_NONE : VK_GEMM_ACT_GELU;
  for (int64_t i = 0; i < m * g.ldc; i++)
    c[i] = guard;
  o->pack(&g, packed);
  vk_gemm told = g;
  bool is_packed = draw(2);
  if (is_packed || draw(2)) {
    told.b = NULL;
    if (!is_packed && draw(2))
      told.fill_b = fill_b;
    else if (!is_packed)
      told.fill_b_bf16 = fill_b_bf16;
    told.fill_b_arg = &g;
  }
  if (draw(2)) {
    told.a = NULL;
    if (draw(2))
      told.fill_a = fill_a;
    else
      told.fill_a_bf16 = fill_a_bf16;
    told.fill_a_arg = &g;
  }
  run_parts(o, &told, is_packed ? packed : NULL, n_part);
  check_against_double(&g, g.residual);
  free(a);
  free(b);
  free(bias);
  free(c);
  free(residual);
  free(packed);
}

static void test_products(void **state)
{
  static const int64_t ms[] = {1, 2, 3, 5, 6, 7, 13, 14, 15, 16, 17, 29, 31, 32, 33, 43, 97, 270};
  static const int64_t ns[] = {1, 2, 15, 16, 17, 31, 32, 33, 64, 95, 129, 257, 300};
  static const int64_t ks[] = {1, 2, 3, 31, 32, 33, 100, 127, 256, 511, 512, 513, 600, 1030};
  enum { N_M = sizeof ms / 8, N_N = sizeof ns / 8, N_K = sizeof ks / 8 };
  for (int i = 0; i < 300; i++) {
    int64_t m = ms[draw(N_M)], n = ns[draw(N_N)], k = ks[draw(N_K)];
    while (m * n * k > 1000000)
      m = ms[draw(N_M)], n = ns[draw(N_N)], k = ks[draw(N_K)];
    int n_part = 1 + (int)(draw(2) * draw(6));
    for (int o = 0; o < n_path; o++)
      check_product(path[o], m, n, k, n_part);
  }
}

static void test_every_height(void **state)
{
  for (int64_t m = 1; m <= 70; m++)
    for (int o = 0; o < n_path; o++)
      check_product(path[o], m, 161, 37, 1);
}

/* Rows alone, in a few and in many, by any number of parts. */
static void test_bits(void **state)
{
  enum { M = 301, N = 161, K = 1100 };
  float *a = draw_floats(M * K), *b = draw_floats(N * K), *bias = draw_floats(N);
  float *residual = draw_floats(M * N), *want = draw_floats(M * N), *got = draw_floats(M * N);
  void *packed = new_aligned(vk_gemm_bf16_packed_bytes(N, K));
  for (int o = 0; o < n_path; o++) {
    vk_gemm g = {.m = M, .n = N, .k = K, .a = a, .lda = K, .b = b, .ldb = K, .b_trans = true};
    g.c = want;
    g.ldc = g.ldr = N;
    g.bias = bias;
    g.residual = residual;
    path[o]->pack(&g, packed);
    run_parts(path[o], &g, packed, 1);
    g.c = got;
    static const int64_t first[] = {0, 0, 7, 300, 20, 31, 2, 200},
                         n[] = {M, M, 1, 1, 2, 17, 33, 101};
    for (int i = 0; i < 8; i++) {
      g.m = n[i];
      g.a = a + first[i] * K;
      g.residual = residual + first[i] * N;
      run_parts(path[o], &g, packed, 1 + i % 5);
      assert_memory_equal(got, want + first[i] * N, sizeof *got * (size_t)n[i] * N);
    }
  }
  free(a);
  free(b);
  free(bias);
  free(residual);
  free(want);
  free(got);
  free(packed);
}

/* Sums over many rows: what lies by rows or columns, packed before or in blocks, is one product. */
static void test_sources(void **state)
{
  enum { M = 129, N = 530, K = 1537 };
  float *a = draw_floats(M * K), *a_t = draw_floats(M * K), *b = draw_floats(N * K);
  float *want = draw_floats(M * N), *got = draw_floats(M * N);
  void *packed = new_aligned(vk_gemm_bf16_packed_bytes(N, K));
  for (int i = 0; i < M; i++)
    for (int p = 0; p < K; p++)
      a_t[p * M + i] = a[i * K + p];
  for (int o = 0; o < n_path; o++) {
    vk_gemm g = {.m = M, .n = N, .k = K, .a = a, .lda = K, .b = b, .ldb = N, .c = want, .ldc = N};
    path[o]->pack(&g, packed);
    run_parts(path[o], &g, packed, 1);
    g.c = got;
    g.a = a_t;
    g.lda = M;
    g.a_trans = true;
    for (int n_part = 1; n_part < 7; n_part += 2) {
      run_parts(path[o], &g, n_part == 3 ? packed : NULL, n_part);
      assert_memory_equal(got, want, sizeof *got * M * N);
    }
    g.m = 20; /* rows alone */
    g.a = a_t + 100;
    run_parts(path[o], &g, NULL, 2);
    assert_memory_equal(got, want + 100 * N, sizeof *got * 20 * N);
  }
  free(a);
  free(a_t);
  free(b);
  free(want);
  free(got);
  free(packed);
}

static uint16_t *rounded(const vk_gemm_bf16_path *o, const float *x, int64_t n)
{
  uint16_t *y = malloc(sizeof *y * (size_t)n + 1);
  assert_non_null(y);
  o->round(x, n, y);
  return y;
}

/* The product g with a, b or c in memory in bfloat16 has the bits of g, rounded where c is. */
static void check_stored(const vk_gemm_bf16_path *o, const vk_gemm *g, int64_t n_a, int64_t n_b,
                         const void *packed, int n_part)
{
  int64_t n_c = g->m * g->ldc;
  uint16_t *a = rounded(o, g->a, n_a), *b = rounded(o, g->b, n_b), *want = rounded(o, g->c, n_c);
  uint16_t *c_bf16 = malloc(sizeof *c_bf16 * (size_t)n_c);
  float *c = draw_floats(n_c);
  assert_non_null(c_bf16);
  for (int which = 1; which < 8; which++) {
    vk_gemm told = *g;
    if (which & 1) {
      told.a = NULL;
      told.a_bf16 = a;
    }
    if (which & 2) {
      told.b = NULL;
      told.b_bf16 = b;
    }
    told.c = c;
    for (int64_t i = 0; i < n_c; i++)
      c[i] = guard;
    o->round(c, n_c, c_bf16);
    if (which & 4) {
      if (g->k > VK_GEMM_KC)
        continue;
      told.c = NULL;
      told.c_bf16 = c_bf16;
    }
    run_parts(o, &told, which & 2 ? NULL : packed, n_part);
    if (which & 4)
      assert_memory_equal(c_bf16, want, sizeof *want * (size_t)n_c);
    else
      assert_memory_equal(c, g->c, sizeof *c * (size_t)n_c);
  }
  free(a);
  free(b);
  free(want);
  free(c_bf16);
  free(c);
}

static void test_operands_in_bf16(void **state)
{
  for (int i = 0; i < 150 * n_path; i++) {
    const vk_gemm_bf16_path *o = path[i % n_path];
    int64_t m = 1 + draw(80), n = 1 + draw(150), k = 1 + draw(i % 4 ? 100 : 700);
    vk_gemm g = {.m = m, .n = n, .k = k, .ldc = n + draw(3), .a_trans = draw(2)};
    g.b_trans = draw(2);
    g.lda = (g.a_trans ? m : k) + draw(4);
    g.ldb = (g.b_trans ? k : n) + draw(4);
    g.ldr = n;
    int64_t n_a = (g.a_trans ? k - 1 : m - 1) * g.lda + (g.a_trans ? m : k),
            n_b = (g.b_trans ? n - 1 : k - 1) * g.ldb + (g.b_trans ? k : n);
    float *a = draw_floats(n_a), *b = draw_floats(n_b), *c = draw_floats(m * g.ldc);
    float *bias = draw_floats(n), *residual = draw_floats(m * n), *pre = draw_floats(m * n);
    void *packed = new_aligned(vk_gemm_bf16_packed_bytes(n, k));
    g.a = a;
    g.b = b;
    g.c = c;
    g.bias = draw(2) ? bias : NULL;
    g.act = (vk_gemm_act)draw(3);
    g.residual = draw(2) ? residual : NULL;
    g.pre = g.act != VK_GEMM_ACT_NONE ? pre : NULL;
    g.ldpre = n;
    for (int64_t e = 0; e < m * g.ldc; e++)
      c[e] = guard;
    o->pack(&g, packed);
    run_parts(o, &g, packed, 1);
    check_stored(o, &g, n_a, n_b, packed, 1 + (int)draw(4));
    free(a);
    free(b);
    free(c);
    free(bias);
    free(residual);
    free(pre);
    free(packed);
  }
}

static void test_special_numbers(void **state)
{
  for (int o = 0; o < n_path; o++) {
    float a[2] = {NAN, 1}, b[4] = {1, INFINITY, 3, 4}, both[8];
    void *packed = new_aligned(vk_gemm_bf16_packed_bytes(4, 1));
    vk_gemm g = {.m = 2, .n = 4, .k = 1, .a = a, .lda = 1, .b = b, .ldb = 4, .c = both, .ldc = 4};
    path[o]->pack(&g, packed);
    run_parts(path[o], &g, packed, 1);
    for (int j = 0; j < 4; j++)
      assert_true(isnan(both[j]) && both[4 + j] == b[j]);
    free(packed);
  }
}

static void add_path(const vk_gemm_bf16_path *p)
{
  for (int i = 0; i < n_path; i++)
    if (path[i] == p)
      return;
  path[n_path++] = p;
}

int main(void)
{
  vk_cpu cpu, plain = {0};
  vk_cpu_detect(&cpu);
  add_path(&emulated);
  for (int isa = VK_ISA_SCALAR; isa <= (int)vk_isa_best(&cpu); isa++) {
    add_path(vk_gemm_bf16_path_of((vk_isa)isa, &plain));
    add_path(vk_gemm_bf16_path_of((vk_isa)isa, &cpu));
  }
  for (int i = 0; i < n_path; i++)
    print_message("path %s\n", path[i]->name);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_products),
      cmocka_unit_test(test_every_height),
      cmocka_unit_test(test_bits),
      cmocka_unit_test(test_sources),
      cmocka_unit_test(test_operands_in_bf16),
      cmocka_unit_test(test_special_numbers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
