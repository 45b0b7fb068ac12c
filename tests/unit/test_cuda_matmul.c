/* test_cuda_matmul.c - matmul's kernels on a GPU, or on tests/emulated, in combinations that
 * nn/op_matmul.c makes no example of: any bias, residual, activation and type of factors with any
 * transpose, sums over few and many rows, against the op's double reference. */
#include "core/half.h"
#include "cuda/op.h"
#include "cuda_memory.h"

enum { N_IN = 5, N_OUT = 2, N_TRIAL = 400 };

static vk_cuda_gemm *gemm;

static float draw_short(void) /* that bf16 holds */
{
  return (float)draw(-128, 128) / 64;
}

/* A value as the kernels have it and as the reference does. */
typedef struct value {
  vk_tensor device, wide;
  size_t n, bytes;
} value;

static void new_value(value *v, vk_dtype dtype, vk_shape shape, bool is_result)
{
  v->n = (size_t)vk_shape_n_item(&shape);
  v->bytes = v->n * vk_dtype_size(dtype);
  char *bytes = malloc(v->bytes + 1);
  double *wide = malloc((v->n + 1) * sizeof *wide);
  assert_true(bytes && wide);
  memset(bytes, 0xff, v->bytes);
  for (size_t i = 0; i < v->n && !is_result; i++) {
    float x = draw_short();
    uint16_t short_x = vk_bf16_from_f32(x);
    size_t size = vk_dtype_size(dtype);
    memcpy(bytes + i * size, dtype == VK_BF16 ? (void *)&short_x : (void *)&x, size);
    wide[i] = x;
  }
  v->device = (vk_tensor){device_copy(bytes, v->bytes), dtype, shape};
  free(bytes);
  v->wide = (vk_tensor){wide, VK_F64, shape};
}

static void free_value(value *v)
{
  device_free(v->device.data);
  free(v->wide.data);
}

/* What a kernel wrote, and that it wrote nothing beside it. */
static void check_value(const value *v, const char *what)
{
  unsigned char *bytes = malloc(v->bytes + 1);
  assert_non_null(bytes);
  device_get(v->device.data, v->bytes, bytes, what);
  for (size_t i = 0; i < v->n; i++) {
    bool is_short = v->device.dtype == VK_BF16;
    double want = ((double *)v->wide.data)[i], got;
    if (is_short)
      got = (double)vk_f32_from_bf16(((uint16_t *)(void *)bytes)[i]);
    else
      got = (double)((float *)(void *)bytes)[i];
    vk_assert_close_at(got, want, 2e-4, is_short ? 1.0 / 256 : 1e-5, what, __FILE__, __LINE__);
  }
  free(bytes);
}

typedef struct trial {
  vk_attrs attr;
  int64_t m, n, k, k_most; /* k_most: at capacity */
  bool has[N_IN];
  vk_dtype dtype[N_IN];
} trial;

/* Half of them multiples of 8. */
static int64_t draw_size(void)
{
  return draw(0, 1) ? 8 * draw(1, 7) : draw(1, 60);
}

static trial draw_trial(void)
{
  trial t = {.has = {true, true}};
  t.attr.trans_a = draw(0, 1);
  t.attr.trans_b = t.attr.trans_a ? 0 : draw(0, 1);
  t.attr.dtype = draw(0, 2) ? VK_BF16 : VK_F32;
  t.attr.store = t.attr.dtype == VK_BF16 && draw(0, 1) ? VK_BF16 : VK_F32;
  t.attr.act = draw(0, 1) ? VK_ACT_NONE : draw(VK_ACT_GELU, VK_ACT_GELU_GRAD);
  t.attr.keep_pre = draw(0, 3) == 0;
  t.has[2] = draw(0, 1);
  t.has[3] = t.attr.act == VK_ACT_NONE && draw(0, 1);
  t.has[4] = t.attr.act == VK_ACT_GELU_GRAD;
  t.m = draw_size();
  t.n = draw_size();
  t.k = draw_size();
  if (draw(0, 15) == 0)
    t.k = 0;
  t.k_most = t.attr.trans_a ? t.k + draw(0, 20) : t.k;
  for (int i = 0; i < N_IN; i++)
    t.dtype[i] = i < 2 && t.attr.dtype == VK_BF16 && draw(0, 1) ? VK_BF16 : VK_F32;
  return t;
}

static vk_shape shape_of(const trial *t, int i_in, int64_t k)
{
  int m = (int)t->m, n = (int)t->n;
  if (i_in == 0)
    return t->attr.trans_a ? vk_shape_of(2, (int)k, m) : vk_shape_of(2, m, (int)k);
  if (i_in == 1)
    return t->attr.trans_b ? vk_shape_of(2, n, (int)k) : vk_shape_of(2, (int)k, n);
  return i_in == 2 ? vk_shape_of(1, n) : vk_shape_of(2, m, n);
}

/* Bytes of scratch at capacity. */
static size_t scratch_of(const trial *t, vk_op_call call)
{
  vk_tensor most[N_IN];
  for (int i = 0; i < N_IN; i++) {
    most[i] = call.in[i];
    most[i].shape = shape_of(t, i, t->k_most);
  }
  call.in = most;
  return vk_cuda_scratch_matmul(&call);
}

static void run_trial(const trial *t)
{
  value in[N_IN] = {{.n = 0}}, out[N_OUT] = {{.n = 0}}, scratch = {.n = 0};
  vk_tensor in_at[N_IN] = {{.data = NULL}}, in_wide[N_IN] = {{.data = NULL}};
  int n_in = 2;
  for (int i = 0; i < N_IN; i++)
    if (t->has[i]) {
      new_value(&in[i], t->dtype[i], shape_of(t, i, t->k), false);
      in_at[i] = in[i].device;
      in_wide[i] = in[i].wide;
      n_in = i + 1;
    }
  vk_shape y = vk_shape_of(2, (int)t->m, (int)t->n), none = vk_shape_of(1, 0);
  new_value(&out[0], (vk_dtype)t->attr.store, y, true);
  new_value(&out[1], VK_F32, t->attr.keep_pre ? y : none, true);
  vk_tensor out_at[] = {out[0].device, out[1].device}, out_wide[] = {out[0].wide, out[1].wide};
  vk_op_call call = {
      .attr = &t->attr, .n_in = n_in, .n_out = N_OUT, .in = in_at, .out = out_at, .n_part = 1};
  new_value(&scratch, VK_U8, vk_shape_of(1, (int)scratch_of(t, call)), true);
  call.scratch = scratch.device.data;
  const vk_cuda_call cuda_call = {.op = &call, .gemm = gemm};
  assert_int_equal(vk_cuda_run_matmul(&cuda_call), cudaSuccess);
  assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
  call.in = in_wide;
  call.out = out_wide;
  vk_op_matmul.ref(&call);
  check_value(&out[0], "y");
  check_value(&out[1], "pre");
  scratch.n = 0; /* its guard bytes alone */
  check_value(&scratch, "scratch");
  for (int i = 0; i < N_IN; i++)
    free_value(&in[i]);
  for (int i = 0; i < N_OUT; i++)
    free_value(&out[i]);
  free_value(&scratch);
}

static void test_any_combination(void **state)
{
  for (int i = 0; i < N_TRIAL; i++) {
    trial t = draw_trial();
    run_trial(&t);
  }
}

int main(void)
{
  int code = gpu_open(NULL, &gemm);
  if (code != 0)
    return code;
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_any_combination)};
  int rc = cmocka_run_group_tests_name("cuda matmul", tests, NULL, NULL);
  vk_cuda_gemm_free(gemm);
  return rc;
}
