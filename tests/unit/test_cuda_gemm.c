/* test_cuda_gemm.c - cuda/gemm.h: every kind of product against a double loop, and nothing written
 * beside it, on a GPU or on tests/emulated; and there, where something stands in for cuBLASLt,
 * which algorithms are asked for and when, and errors. */
#include "core/half.h"
#include "cuda_memory.h"
#if defined(VK_EMULATED)
#include "emulated/cublaslt.h"
#include "emulated/emulated.h"
#endif

/* ---- matrices ------------------------------------------------------------------------------- */

/* n_row rows, ld apart, behind `first` items that belong to nobody; here and on the device. */
typedef struct matrix {
  int64_t n_row, n_col, ld, first, n;
  vk_dtype dtype;
  double *is; /* [n] */
  void *bytes, *device;
} matrix;

static void *at(const matrix *m)
{
  return (char *)m->device + m->first * (int64_t)vk_dtype_size(m->dtype);
}

static void put(matrix *m, int64_t i, float x)
{
  if (m->dtype == VK_BF16)
    ((uint16_t *)m->bytes)[i] = vk_bf16_from_f32(x);
  else
    ((float *)m->bytes)[i] = x;
}

static double get(const matrix *m, int64_t i)
{
  return m->dtype == VK_BF16 ? vk_f32_from_bf16(((uint16_t *)m->bytes)[i]) : ((float *)m->bytes)[i];
}

static void read_back(matrix *m)
{
  device_get(m->device, (size_t)m->n * vk_dtype_size(m->dtype), m->bytes, "a matrix");
  for (int64_t i = 0; i < m->n; i++)
    m->is[i] = get(m, i);
}

static matrix new_matrix(vk_dtype dtype, int64_t n_row, int64_t n_col, int64_t ld, int64_t first)
{
  matrix m = {.n_row = n_row, .n_col = n_col, .ld = ld, .first = first, .dtype = dtype};
  m.n = first + n_row * ld;
  size_t size = (size_t)m.n * vk_dtype_size(dtype);
  m.is = malloc((size_t)m.n * sizeof *m.is);
  m.bytes = malloc(size);
  assert_true(m.is && m.bytes);
  for (int64_t i = 0; i < m.n; i++)
    put(&m, i, (float)draw(-1000, 1000) * 1e-3f);
  m.device = device_copy(m.bytes, size);
  read_back(&m);
  return m;
}

static void free_matrix(matrix *m)
{
  free(m->is);
  free(m->bytes);
  device_free(m->device);
  *m = (matrix){0};
}

static double item(const matrix *m, bool is_trans, int64_t i, int64_t j)
{
  return m->is[m->first + (is_trans ? j * m->ld + i : i * m->ld + j)];
}

/* ---- a product and its result --------------------------------------------------------------- */

typedef struct trial {
  int64_t m, n, k;
  vk_dtype dtype, c_dtype;
  bool a_trans, b_trans, has_bias;
  int add;          /* 0: nothing; 1: what c held; 2: another matrix */
  int64_t first[3]; /* items before a, b, c: addresses */
  int64_t gap[3];   /* between their rows */
} trial;

typedef struct operands {
  matrix a, b, c, bias, add;
} operands;

static operands new_operands(const trial *t)
{
  operands o;
  int64_t a_col = t->a_trans ? t->m : t->k, b_col = t->b_trans ? t->k : t->n;
  o.a = new_matrix(t->dtype, t->a_trans ? t->k : t->m, a_col, a_col + t->gap[0], t->first[0]);
  o.b = new_matrix(t->dtype, t->b_trans ? t->n : t->k, b_col, b_col + t->gap[1], t->first[1]);
  o.c = new_matrix(t->c_dtype, t->m, t->n, t->n + t->gap[2], t->first[2]);
  o.bias = new_matrix(VK_F32, 1, t->n, t->n, 0);
  o.add = new_matrix(VK_F32, t->m, t->n, t->n + t->gap[2], 0);
  return o;
}

static void free_operands(operands *o)
{
  free_matrix(&o->a);
  free_matrix(&o->b);
  free_matrix(&o->c);
  free_matrix(&o->bias);
  free_matrix(&o->add);
}

static vk_cuda_product product_of(const trial *t, const operands *o)
{
  return (vk_cuda_product){.m = t->m,
                           .n = t->n,
                           .k = t->k,
                           .dtype = t->dtype,
                           .a = at(&o->a),
                           .b = at(&o->b),
                           .lda = o->a.ld,
                           .ldb = o->b.ld,
                           .ldc = o->c.ld,
                           .a_trans = t->a_trans,
                           .b_trans = t->b_trans,
                           .bias = t->has_bias ? o->bias.device : NULL,
                           .c = at(&o->c),
                           .c_dtype = t->c_dtype,
                           .beta = t->add ? 1 : 0,
                           .add = t->add == 2 ? o->add.device : NULL};
}

/* The matrix c as it should be, and how much a sum may be off. */
static double want_item(const trial *t, const operands *o, const matrix *old, int64_t i, int64_t j,
                        double *off)
{
  double sum = 0, size = 0;
  for (int64_t k = 0; k < t->k; k++) {
    double x = item(&o->a, t->a_trans, i, k) * item(&o->b, t->b_trans, k, j);
    sum += x;
    size += fabs(x);
  }
  sum += t->has_bias ? o->bias.is[j] : 0;
  sum += t->add == 1 ? item(old, false, i, j) : 0;
  sum += t->add == 2 ? item(&o->add, false, i, j) : 0;
  *off = 1e-6 + size * 2e-6 + (t->c_dtype == VK_BF16 ? fabs(sum) / 256 : 0);
  return sum;
}

static void check_result(const trial *t, operands *o)
{
  matrix old = o->c;
  old.is = malloc((size_t)old.n * sizeof *old.is);
  assert_non_null(old.is);
  memcpy(old.is, o->c.is, (size_t)old.n * sizeof *old.is);
  read_back(&o->c);
  for (int64_t at = 0; at < old.n; at++) {
    int64_t i = (at - old.first) / old.ld, j = (at - old.first) % old.ld;
    if (at < old.first || j >= t->n) {
      vk_assert_same_bits(o->c.is[at], old.is[at]);
      continue;
    }
    double off, want = want_item(t, o, &old, i, j, &off);
    vk_assert_close(o->c.is[at], want, off, 0);
  }
  free(old.is);
}

static void run_trial(vk_cuda_gemm *g, const trial *t)
{
  operands o = new_operands(t);
  vk_cuda_product p = product_of(t, &o);
  assert_int_equal(vk_cuda_gemm_run(g, &p, NULL), cudaSuccess);
  check_result(t, &o);
  free_operands(&o);
}

/* ---- on any device -------------------------------------------------------------------------- */

static vk_cuda_gemm *g;

/* Types, transposes, a bias, what is added; half of the sizes and gaps odd. */
static void test_all_kinds(void **state)
{
  for (int kind = 0; kind < 3 * 4 * 2 * 3; kind++)
    for (int round = 0; round < 6; round++) {
      int type = kind % 3;
      trial t = {.dtype = type ? VK_BF16 : VK_F32,
                 .c_dtype = type == 2 ? VK_BF16 : VK_F32,
                 .a_trans = kind / 3 % 2,
                 .b_trans = kind / 6 % 2,
                 .has_bias = kind / 12 % 2,
                 .add = kind / 24};
      if (t.c_dtype == VK_BF16 && (t.has_bias || t.add))
        continue;
      int64_t step = round % 2 ? 8 : 1;
      t.m = step * draw(1, 40 / step);
      t.n = step * draw(1, 40 / step);
      t.k = step * draw(1, 150 / step);
      for (int i = 0; i < 3; i++) {
        t.gap[i] = step * draw(0, 2);
        t.first[i] = round < 4 ? 0 : step * draw(0, 2);
      }
      run_trial(g, &t);
    }
}

/* The same product has the same bits whatever ran before it. */
static void test_same_bits(void **state)
{
  trial t = {.m = 200, .n = 64, .k = 1000, .dtype = VK_BF16, .c_dtype = VK_F32};
  operands o = new_operands(&t);
  vk_cuda_product p = product_of(&t, &o);
  assert_int_equal(vk_cuda_gemm_run(g, &p, NULL), cudaSuccess);
  read_back(&o.c);
  double *first = malloc((size_t)o.c.n * sizeof *first);
  assert_non_null(first);
  memcpy(first, o.c.is, (size_t)o.c.n * sizeof *first);
  assert_int_equal(vk_cuda_gemm_run(g, &p, NULL), cudaSuccess);
  read_back(&o.c);
  assert_memory_equal(first, o.c.is, (size_t)o.c.n * sizeof *first);
  free(first);
  free_operands(&o);
}

#if defined(VK_EMULATED)

/* ---- over the stand-in ---------------------------------------------------------------------- */

static int setup(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_emulated_reset();
  vk_cublaslt = (vk_emulated_cublaslt){0};
  draw_seed = 1;
  return vk_cuda_gemm_new(&g, &err) == VK_OK ? 0 : -1;
}

static int teardown(void **state)
{
  vk_cuda_gemm_free(g);
  g = NULL;
  bool is_clean = vk_emulated_is_clean();
  vk_emulated_reset();
  return is_clean ? 0 : -1;
}

static void test_algorithms(void **state)
{
  test_all_kinds(state);
  assert_true(vk_cublaslt.n_fast > 100 && vk_cublaslt.n_plain > 100);
  assert_int_equal(vk_cublaslt.n_refused, 0);
}

static int64_t searches(const trial *t)
{
  int64_t before = vk_cublaslt.n_search;
  run_trial(g, t);
  return vk_cublaslt.n_search - before;
}

/* The library is asked once for a shape, rows within a quarter being one. */
static void test_asks_once(void **state)
{
  trial t = {.m = 100, .n = 8, .k = 16, .dtype = VK_F32, .c_dtype = VK_F32};
  assert_int_equal(searches(&t), 1);
  assert_int_equal(searches(&t), 0);
  t.m = 112;
  assert_int_equal(searches(&t), 0);
  t.m = 97;
  assert_int_equal(searches(&t), 0);
  t.m = 113;
  assert_int_equal(searches(&t), 1);
  t.m = 96;
  assert_int_equal(searches(&t), 1);
  t.n = 9;
  assert_int_equal(searches(&t), 1);
  t.k = 17;
  assert_int_equal(searches(&t), 1);
  t.has_bias = true;
  assert_int_equal(searches(&t), 1);
  t.add = 1;
  assert_int_equal(searches(&t), 1);
  t.b_trans = true;
  assert_int_equal(searches(&t), 1);
  t.dtype = VK_BF16;
  assert_int_equal(searches(&t), 1);
  assert_int_equal(searches(&t), 0);
  assert_int_equal(vk_cublaslt.n_refused, 0);
}

/* Rows that are summed over are k. */
static void test_asks_once_for_sums(void **state)
{
  trial t = {.m = 8, .n = 8, .k = 100, .dtype = VK_F32, .c_dtype = VK_F32, .a_trans = true};
  assert_int_equal(searches(&t), 1);
  t.k = 110;
  assert_int_equal(searches(&t), 0);
  t.m = 7;
  assert_int_equal(searches(&t), 1);
}

/* The table grows. */
static void test_many_shapes(void **state)
{
  trial t = {.m = 1, .n = 1, .k = 1, .dtype = VK_F32, .c_dtype = VK_F32};
  for (t.n = 1; t.n <= 300; t.n++)
    assert_int_equal(searches(&t), 1);
  for (t.n = 1; t.n <= 300; t.n++)
    assert_int_equal(searches(&t), 0);
}

/* What runs one shape of a bucket is refused for another, which is then asked for by itself. */
static void test_refused_algorithm(void **state)
{
  trial t = {.m = 112, .n = 8, .k = 8, .dtype = VK_F32, .c_dtype = VK_F32};
  vk_cublaslt.is_strict = true;
  assert_int_equal(searches(&t), 1);
  t.m = 100;
  assert_int_equal(searches(&t), 1);
  assert_int_equal(vk_cublaslt.n_refused, 1);
  assert_int_equal(searches(&t), 0);
  t.m = 90; /* nothing of its bucket runs it */
  assert_int_equal(searches(&t), 2);
  assert_int_equal(searches(&t), 0);
  t.m = 95;
  assert_int_equal(searches(&t), 1);
  t.m = 96; /* the bucket's own number */
  assert_int_equal(searches(&t), 1);
}

/* Addresses and rows decide which algorithm may run. */
static void test_alignment(void **state)
{
  trial t = {.m = 8, .n = 8, .k = 8, .dtype = VK_BF16, .c_dtype = VK_F32};
  run_trial(g, &t);
  assert_int_equal(vk_cublaslt.n_fast, 1);
  for (int i = 0; i < 3; i++) {
    trial odd = t;
    odd.first[i] = 1;
    run_trial(g, &odd);
    odd = t;
    odd.gap[i] = 1;
    run_trial(g, &odd);
    odd.gap[i] = 8;
    odd.first[i] = 8;
    run_trial(g, &odd);
    assert_int_equal(vk_cublaslt.n_plain, 2 * (i + 1));
    assert_int_equal(vk_cublaslt.n_fast, i + 2);
  }
  assert_int_equal(vk_cublaslt.n_refused, 0);
}

/* A stream's turn: operands are read when the product runs. */
static void test_stream(void **state)
{
  trial t = {.m = 5, .n = 6, .k = 7, .dtype = VK_F32, .c_dtype = VK_F32, .has_bias = true};
  operands o = new_operands(&t);
  vk_cuda_product p = product_of(&t, &o);
  cudaStream_t stream;
  assert_int_equal(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  vk_emulated_set_late(true);
  assert_int_equal(vk_cuda_gemm_run(g, &p, stream), cudaSuccess);
  assert_int_equal(cudaStreamSynchronize(stream), cudaSuccess);
  check_result(&t, &o);
  assert_int_equal(cudaStreamDestroy(stream), cudaSuccess);
  free_operands(&o);
}

/* What the library has no way to compute is computed all the same, and it is asked once. */
static void test_not_supported(void **state)
{
  vk_cublaslt.is_empty = true;
  for (int i = 0; i < 64; i++) {
    trial t = {.m = 5 + 20 * (i & 1),
               .n = 6 + 30 * (i >> 1 & 1),
               .k = 7 + i,
               .dtype = i & 4 ? VK_BF16 : VK_F32,
               .c_dtype = VK_F32,
               .a_trans = i & 8,
               .b_trans = i & 16,
               .has_bias = i & 32};
    operands o = new_operands(&t);
    vk_cuda_product p = product_of(&t, &o);
    assert_int_equal(vk_cuda_gemm_run(g, &p, NULL), cudaSuccess);
    assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
    check_result(&t, &o);
    int64_t n = vk_cublaslt.n_search;
    assert_int_equal(vk_cuda_gemm_run(g, &p, NULL), cudaSuccess);
    assert_int_equal(vk_cublaslt.n_search, n);
    free_operands(&o);
  }
}

static void test_lost_device(void **state)
{
  trial t = {.m = 5, .n = 6, .k = 7, .dtype = VK_F32, .c_dtype = VK_F32};
  operands o = new_operands(&t);
  vk_cuda_product p = product_of(&t, &o);
  char text[128];
  vk_emulated_fail_after(1, cudaErrorLaunchFailure);
  assert_int_equal(vk_cuda_gemm_run(g, &p, NULL), cudaErrorLaunchFailure);
  assert_string_equal(vk_cuda_gemm_take_failure(g, text),
                      "cublasLtMatmul [CUBLAS_STATUS_EXECUTION_FAILED]");
  assert_string_equal(vk_cuda_gemm_take_failure(g, text), "");
  vk_emulated_reset();
  assert_int_equal(vk_cuda_gemm_run(g, &p, NULL), cudaSuccess);
  check_result(&t, &o);
  free_operands(&o);
}

/* A handle is of the device that was current when it was made. */
static void test_other_device(void **state)
{
  trial t = {.m = 5, .n = 6, .k = 7, .dtype = VK_F32, .c_dtype = VK_F32};
  operands o = new_operands(&t);
  vk_cuda_product p = product_of(&t, &o);
  vk_emulated_set_device_count(2);
  assert_int_equal(cudaSetDevice(1), cudaSuccess);
  assert_int_equal(vk_cuda_gemm_run(g, &p, NULL), cudaErrorUnknown);
  assert_int_equal(cudaSetDevice(0), cudaSuccess);
  assert_int_equal(vk_cuda_gemm_run(g, &p, NULL), cudaSuccess);
  check_result(&t, &o);
  free_operands(&o);
}

/* ---- handles that are not made -------------------------------------------------------------- */

static int setup_bare(void **state)
{
  vk_emulated_reset();
  vk_cublaslt = (vk_emulated_cublaslt){0};
  return 0;
}

static void expect_failure(vk_status code, const char *word)
{
  vk_err err = VK_ERR_INIT;
  vk_cuda_gemm *none = (vk_cuda_gemm *)&err;
  vk_assert_fails(vk_cuda_gemm_new(&none, &err), code);
  assert_null(none);
  vk_assert_says(&err, word);
}

static void test_no_library(void **state)
{
  vk_cublaslt.is_missing = true;
  expect_failure(VK_E_UNSUPPORTED, "cuBLASLt cannot be opened; install libcublas");
}

/* Tests are skipped where there is no GPU, and for nothing else. */
static void test_what_is_skipped(void **state)
{
  vk_cuda_gemm *none = NULL;
  vk_cublaslt.is_missing = true;
  assert_int_equal(gpu_open(NULL, &none), 1);
  vk_cublaslt.is_missing = false;
  vk_emulated_fail_after(1, cudaErrorECCUncorrectable);
  assert_int_equal(gpu_open(NULL, &none), 1);
  vk_emulated_reset();
  vk_emulated_set_device_count(0);
  assert_int_equal(gpu_open(NULL, &none), VK_TEST_SKIP);
  vk_emulated_reset();
  vk_emulated_set_driver(0);
  assert_int_equal(gpu_open(NULL, &none), VK_TEST_SKIP);
}

static void test_no_device(void **state)
{
  vk_emulated_set_device_count(0);
  expect_failure(VK_E_IO, "cuBLASLt does not start: ");
}

static void test_no_memory(void **state)
{
  vk_emulated_set_memory(1 << 20);
  expect_failure(VK_E_NOMEM, "32 MiB");
}

static void test_lost_while_it_opens(void **state)
{
  vk_emulated_fail_after(2, cudaErrorECCUncorrectable); /* of cublasLtCreate, of the workspace */
  expect_failure(VK_E_IO, "cudaMalloc failed with cudaErrorECCUncorrectable");
  vk_emulated_reset();
}

static void test_bytes(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_cuda_gemm *one;
  vk_assert_ok(vk_cuda_gemm_new(&one, &err), &err);
  assert_int_equal(vk_cuda_gemm_bytes(one), vk_emulated_count().n_byte);
  vk_cuda_gemm_free(one);
  vk_cuda_gemm_free(NULL);
}

static int test_stand_in(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define BARE(test) cmocka_unit_test_setup_teardown(test, setup_bare, teardown)
  const struct CMUnitTest tests[] = {
      WITH(test_algorithms),
      WITH(test_asks_once),
      WITH(test_asks_once_for_sums),
      WITH(test_many_shapes),
      WITH(test_refused_algorithm),
      WITH(test_alignment),
      WITH(test_stream),
      WITH(test_not_supported),
      WITH(test_lost_device),
      WITH(test_other_device),
      BARE(test_no_library),
      BARE(test_what_is_skipped),
      BARE(test_no_device),
      BARE(test_no_memory),
      BARE(test_bytes),
      BARE(test_lost_while_it_opens),
  };
  return cmocka_run_group_tests_name("cuda gemm, stand-in", tests, NULL, NULL);
}

#else

static int test_stand_in(void)
{
  return 0;
}

#endif

int main(void)
{
  int code = gpu_open(NULL, &g);
  if (code != 0)
    return code;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_all_kinds),
      cmocka_unit_test(test_same_bits),
  };
  int rc = cmocka_run_group_tests_name("cuda gemm", tests, NULL, NULL);
  vk_cuda_gemm_free(g);
  g = NULL;
  return rc + test_stand_in();
}
