/* test_cuda_sizes.c - kernels of attention and of rows of logits on a GPU, or on tests/emulated, at
 * sizes that the ops' examples do not have: blocks enough for kernels made for many, wide heads,
 * rows of more classes than registers hold, equal logits. Against the ops' double references. */
#include "cuda_case.h"

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

int main(void)
{
  if (gpu_open(&stream, NULL) != 0)
    return VK_TEST_SKIP;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(attention_of_any_size),
      cmocka_unit_test(wider_heads_are_refused),
      cmocka_unit_test(rows_of_many_classes),
  };
  int rc = cmocka_run_group_tests(tests, NULL, NULL);
  (void)cudaStreamDestroy(stream);
  return rc;
}
