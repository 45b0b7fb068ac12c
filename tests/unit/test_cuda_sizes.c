/* test_cuda_sizes.c - kernels of attention, of rows of logits and of large products on a GPU, or on
 * tests/emulated, at sizes that the ops' examples do not have: blocks enough for kernels made for
 * many, wide heads, rows of more classes than registers hold, equal logits, products in several
 * chunks. Against the ops' double references.
 *
 *   test_cuda_sizes attention|rows|products    those alone */
#include "cuda_case.h"
#if defined(VK_EMULATED)
#include "emulated/emulated.h"
#endif

/* ---- attention ----------------------------------------------------------------------------- */

/* Segments of `most` rows, or with is_mixed of any that add up to as many; len_q queries against
 * each, 0: as many as keys, in a tensor with them or, with is_apart, in one of their own. */
typedef struct heads {
  int n_seg, most, n_head, hd, len_q;
  bool is_mixed, is_fixed, is_apart;
} heads;

static const heads sizes[] = {
    {.n_seg = 34, .most = 33, .n_head = 4, .hd = 32},
    {.n_seg = 1, .most = 150, .n_head = 4, .hd = 32},
    {.n_seg = 34, .most = 33, .n_head = 4, .hd = 64},
    {.n_seg = 3, .most = 70, .n_head = 2, .hd = 128},
    {.n_seg = 3, .most = 40, .n_head = 2, .hd = 72},
    {.n_seg = 2, .most = 40, .n_head = 1, .hd = 127},
    {.n_seg = 34, .most = 40, .n_head = 4, .hd = 32, .len_q = 8},
    {.n_seg = 5, .most = 40, .n_head = 3, .hd = 64, .len_q = 8},
    {.n_seg = 5, .most = 40, .n_head = 1, .hd = 128, .len_q = 8},
    {.n_seg = 34, .most = 8, .n_head = 4, .hd = 32, .len_q = 33},
    {.n_seg = 20, .most = 12, .n_head = 2, .hd = 32, .is_mixed = true},
    {.n_seg = 9, .most = 20, .n_head = 2, .hd = 32, .is_mixed = true, .is_apart = true},
    {.n_seg = 36, .most = 8, .n_head = 4, .hd = 32, .is_fixed = true},
    {.n_seg = 20, .most = 8, .n_head = 4, .hd = 32, .len_q = 8, .is_fixed = true},
};
static const heads *size;

static void heads_example(vk_example *e)
{
  int n_key = size->n_seg * size->most, n_query = size->len_q ? size->n_seg * size->len_q : n_key;
  int d = size->n_head * size->hd;
  bool is_self = !size->len_q && !size->is_apart;
  e->is_large = !size->is_mixed; /* segments alike */
  e->attr.n_head = size->n_head;
  e->attr.len_q = size->len_q;
  e->attr.len_k = size->is_fixed ? size->most : 0;
  e->attr.max_k = size->is_fixed || size->is_mixed ? 0 : size->most;
  vk_example_f32(e, vk_shape_of(2, n_query, is_self ? 3 * d : d));
  if (is_self)
    vk_example_none(e);
  else
    vk_example_f32(e, vk_shape_of(2, n_key, 2 * d));
  if (!size->is_fixed)
    vk_example_i32(e, vk_shape_of(1, size->n_seg + 1), VK_EXAMPLE_SEGMENTS, n_key);
}

static void heads_grad_example(vk_example *e)
{
  vk_example forward = {.rng = e->rng};
  heads_example(&forward);
  int n = (int)forward.in[0].shape.dim[0], d = size->n_head * size->hd;
  vk_example_f32(e, vk_shape_of(2, n, d));
  vk_example_f32(e, vk_shape_of(2, n, d));
  vk_example_f32(e, vk_shape_of(2, n, size->n_head));
  e->in[2].fill = VK_EXAMPLE_POSITIVE;
  for (int i = 0; i < forward.n_in; i++)
    e->in[e->n_in++] = forward.in[i];
  e->attr = forward.attr;
  e->is_large = forward.is_large;
}

/* Of rounded factors nothing but probabilities, and their gradients, is rounded again: half a unit
 * of 1/128 at most, and in a root mean square far less. */
static void compare_rounded(const op_case *t)
{
  for (int i = 0; i < t->n_out; i++) {
    double apart = 0, all = 0;
    int64_t n = vk_shape_n_item(&t->out[i].shape);
    for (int64_t k = 0; k < n; k++) {
      double want = ((const double *)t->out64[i].data)[k];
      double error = (double)((const float *)t->out[i].data)[k] - want;
      apart += error * error;
      all += want * want;
    }
    if (!(apart <= 2.5e-3 * 2.5e-3 * all)) {
      print_error("%s of %d heads of %d, output %d: %g of its size away\n", t->op->name,
                  (int)t->example.attr.n_head, size->hd, i, sqrt(apart / all));
      fail();
    }
  }
}

static void check_heads(const vk_op_def *op, void (*example)(vk_example *), int i_q)
{
  vk_op_def as = *op;
  as.example = example;
  /* f32; bf16 from f32; bf16 that lies so */
  for (int way = 0; way < (size->len_q ? 1 : 3); way++) {
    op_case t;
    op_case_init(&t, &as, 0, 1 + (uint64_t)way);
    if (way > 0) {
      t.example.attr.dtype = VK_BF16;
      for (int i = i_q; i < t.n_in && i < i_q + 2; i++)
        round_input(&t, i, way == 2);
      if (i_q > 0)
        round_input(&t, 0, false);
    }
    op_case_ref(&t);
    run_on_device(&t, (run_as){.dirt = 0xff});
    char what[64];
    snprintf(what, sizeof what, "size %d", (int)(size - sizes));
    if (way == 0)
      compare(&t, what, op->atol, op->rtol);
    else
      compare_rounded(&t);
    op_case_fini(&t);
  }
}

static void attention_of_any_size(void **state)
{
  for (size = sizes; size < sizes + VK_COUNT(sizes); size++) {
    check_heads(&vk_op_attention, heads_example, 0);
    check_heads(&vk_op_attention_grad, heads_grad_example, 3);
  }
}

/* A head of more channels than kernels take is refused. */
static void wider_heads_are_refused(void **state)
{
  const heads wide = {.n_seg = 1, .most = 2, .n_head = 1, .hd = 129};
  size = &wide;
  vk_op_def as = vk_op_attention;
  as.example = heads_example;
  op_case t;
  op_case_init(&t, &as, 0, 1);
  vk_op_call call = {
      .attr = &t.example.attr, .n_in = t.n_in, .n_out = t.n_out, .in = t.in, .out = t.out};
  assert_int_equal(
      vk_cuda_op_find(&vk_op_attention)->run(&(vk_cuda_call){.op = &call, .stream = stream}),
      cudaErrorNotSupported);
  op_case_fini(&t);
}

/* ---- rows of logits ------------------------------------------------------------------------ */

static const vk_op_def *const row_ops[] = {
    &vk_op_argmax,        &vk_op_median,       &vk_op_sample,  &vk_op_expectation,
    &vk_op_cross_entropy, &vk_op_log_prob,     &vk_op_entropy, &vk_op_cross_entropy_grad,
    &vk_op_log_prob_grad, &vk_op_entropy_grad,
};
static const vk_op_def *row_op;
static int n_class;

static int logits_of(const vk_example *e)
{
  return e->in[0].shape.n_dim == 2 ? 0 : 1;
}

static void row_example(vk_example *e)
{
  row_op->example(e);
  e->in[logits_of(e)].shape.dim[1] = n_class;
}

/* Equal logits, and in rows of argmax some that are no number. */
static void blunt(op_case *t)
{
  int i = logits_of(&t->example);
  float *x = t->in[i].data;
  for (int64_t k = 0; k < vk_shape_n_item(&t->in[i].shape); k++) {
    x[k] = rintf(4 * x[k]) / 4;
    if (row_op == &vk_op_argmax && (k % 5 == 0 || k < n_class))
      x[k] = NAN;
    ((double *)t->in64[i].data)[k] = (double)x[k];
  }
}

static void rows_of_many_classes(void **state)
{
  static const int n_classes[] = {256, 257, 1000};
  for (size_t i = 0; i < VK_COUNT(n_classes) * VK_COUNT(row_ops); i++) {
    n_class = n_classes[i / VK_COUNT(row_ops)];
    row_op = row_ops[i % VK_COUNT(row_ops)];
    vk_op_def as = *row_op;
    as.example = row_example;
    for (int k = 0; k < 2 * n_case_of(&as); k++) {
      op_case t;
      char what[64];
      op_case_init(&t, &as, k / 2, 40 + (uint64_t)k);
      if (k % 2)
        blunt(&t);
      op_case_ref(&t);
      run_on_device(&t, (run_as){.dirt = 0xff});
      snprintf(what, sizeof what, "%d classes, case %d", n_class, k);
      compare(&t, what, row_op->atol, row_op->rtol);
      op_case_fini(&t);
    }
  }
}

/* ---- products in chunks -------------------------------------------------------------------- */

enum { KERNEL = 3, CHANNELS = 16, N_SIDE = 6, A_COLUMNS = 120, B_COLUMNS = 8 };

static vk_dtype factor;

/* Bytes of scratch that a product is given at once: VK_PRODUCT_CHUNK of cuda/round.h. */
static int64_t product_chunk(void)
{
#if defined(VK_EMULATED)
  return vk_emulated_product_chunk;
#else
  return 24 << 20;
#endif
}

/* Rows of so many bytes that are two chunks and some more. */
static int rows_of(int64_t row_bytes)
{
  return (int)(product_chunk() * 9 / 4 / row_bytes) + 3;
}

/* Pictures whose windows are so many rows. */
static vk_shape pictures(vk_example *e)
{
  int side = product_chunk() < 1 << 20 ? N_SIDE : 8 * N_SIDE;
  int row_bytes = KERNEL * KERNEL * CHANNELS * (factor == VK_BF16 ? 2 : 4);
  e->attr.kernel = KERNEL;
  e->attr.stride = 1;
  e->attr.pad = 1;
  e->attr.height = e->attr.width = side;
  return vk_shape_of(4, rows_of(row_bytes) / (side * side) + 2, side, side, CHANNELS);
}

static void weights(vk_example *e)
{
  vk_example_f32(e, vk_shape_of(4, CHANNELS, CHANNELS, KERNEL, KERNEL));
}

static void conv_example(vk_example *e)
{
  vk_example_f32(e, pictures(e));
  weights(e);
  e->attr.height = e->attr.width = 0;
}

static void conv_dx_example(vk_example *e)
{
  vk_example_f32(e, pictures(e));
  weights(e);
}

static void conv_dw_example(vk_example *e)
{
  vk_example_f32(e, pictures(e));
  vk_example_f32(e, pictures(e));
  e->attr.height = e->attr.width = 0;
}

static void rows_example(vk_example *e)
{
  vk_example_f32(e, vk_shape_of(2, rows_of(2 * A_COLUMNS), A_COLUMNS));
  vk_example_f32(e, vk_shape_of(2, A_COLUMNS, B_COLUMNS));
}

static void trans_a_example(vk_example *e)
{
  int n = rows_of(2 * (A_COLUMNS + B_COLUMNS));
  e->attr.trans_a = 1;
  vk_example_f32(e, vk_shape_of(2, n, A_COLUMNS));
  vk_example_f32(e, vk_shape_of(2, n, B_COLUMNS));
}

static const struct {
  const vk_op_def *op;
  void (*example)(vk_example *);
} products[] = {
    {&vk_op_conv, conv_example},       {&vk_op_conv_dx, conv_dx_example},
    {&vk_op_conv_dw, conv_dw_example}, {&vk_op_matmul, rows_example},
    {&vk_op_matmul, trans_a_example},
};

/* -1, 0 or 1: every order of such sums is exact, so that a row too many or too few shows. */
static void draw_whole(op_case *t)
{
  for (int i = 0; i < t->n_in; i++)
    for (int64_t k = 0; k < vk_shape_n_item(&t->in[i].shape); k++) {
      float x = (float)draw(-1, 1);
      ((float *)t->in[i].data)[k] = x;
      ((double *)t->in64[i].data)[k] = x;
    }
}

static void products_in_chunks(void **state)
{
  for (int i = 0; i < 2 * (int)VK_COUNT(products); i++) {
    vk_op_def as = *products[i / 2].op;
    as.example = products[i / 2].example;
    factor = i % 2 ? VK_BF16 : VK_F32;
    op_case t;
    char what[64];
    op_case_init(&t, &as, 0, 1);
    t.example.attr.dtype = factor;
    draw_whole(&t);
    op_case_ref(&t);
    run_on_device(&t, (run_as){.dirt = 0xff});
    snprintf(what, sizeof what, "product %d in %s", i / 2, vk_dtype_name(factor));
    compare(&t, what, 1e-3, 0);
    op_case_fini(&t);
  }
}

static int run_chosen(const char *only)
{
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(attention_of_any_size),
      cmocka_unit_test(wider_heads_are_refused),
      cmocka_unit_test(rows_of_many_classes),
      cmocka_unit_test(products_in_chunks),
  };
  static const char *const names[] = {"attention", "attention", "rows", "products"};
  struct CMUnitTest chosen[VK_COUNT(tests)];
  size_t n = 0;
  for (size_t i = 0; i < VK_COUNT(tests); i++)
    if (!only || strcmp(only, names[i]) == 0)
      chosen[n++] = tests[i];
  if (n == 0) {
    fprintf(stderr, "%s: expected attention, rows or products\n", only);
    return 1;
  }
  return _cmocka_run_group_tests("cuda sizes", chosen, n, NULL, NULL);
}

int main(int argc, char **argv)
{
  int code = gpu_open(&stream, &gemm);
  if (code != 0)
    return code;
  code = run_chosen(argc > 1 ? argv[1] : NULL);
  vk_cuda_gemm_free(gemm);
  (void)cudaStreamDestroy(stream);
  return code;
}
