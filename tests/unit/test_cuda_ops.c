/* test_cuda_ops.c - what holds for every op of cuda/op_list.h: its kernels against its double
 * reference, whatever was in memory; nothing written outside or into inputs; the same bits in
 * every run and in place; no rows; factors in bfloat16. On a GPU, or on tests/emulated.
 *
 *   test_cuda_ops [OP ...]    those alone */
#include "cuda_case.h"
#include "nn/pick.h"

enum { N_SEED = 6 };

static char **names; /* of the ops that are tested; none: all */
static int n_name;

static bool is_chosen(const vk_op_def *op)
{
  for (int i = 0; i < n_name; i++)
    if (strcmp(names[i], op->name) == 0)
      return true;
  return n_name == 0;
}

/* Bytes that no kernel may count on. */
static const int dirt[] = {0x00, 0xff, 0x3f};

/* ---- every op ------------------------------------------------------------------------------ */

#define FOR_CHOSEN(op)                                                                             \
  for (int i_op = 0; i_op < vk_op_count(); i_op++)                                                 \
    for (const vk_op_def *op = vk_ops[i_op]; op; op = NULL)                                        \
      if (is_chosen(op) && vk_cuda_op_find(op))

/* Rows that are named come often: one of two. */
static void name_few_rows(op_case *t)
{
  for (int i = 0; i < t->n_in; i++) {
    int32_t *x = t->in[i].data;
    int64_t n = x ? vk_shape_n_item(&t->in[i].shape) : 0;
    for (int64_t k = 0; k < n; k++) {
      if (t->example.in[i].fill == VK_EXAMPLE_ROW)
        x[k] %= 2;
      else if (t->example.in[i].fill == VK_EXAMPLE_PICK && x[k] != VK_PICK_ZERO)
        x[k] = vk_pick_index(vk_pick_source(x[k]), vk_pick_row(x[k]) % 2);
    }
  }
}

static void kernels_match_reference(void **state)
{
  FOR_CHOSEN(op)
  for (int k = 0; k < N_SEED * n_case_of(op); k++) {
    op_case t;
    op_case_init(&t, op, k % n_case_of(op), 1000 + (uint64_t)k);
    if (k / n_case_of(op) % 2)
      name_few_rows(&t);
    op_case_ref(&t);
    run_on_device(&t, (run_as){.dirt = dirt[k % (int)VK_COUNT(dirt)]});
    compare(&t, NULL, op->atol, op->rtol);
    op_case_fini(&t);
  }
}

static void bits_are_the_same_in_every_run(void **state)
{
  FOR_CHOSEN(op)
  for (int k = 0; k < 4 * n_case_of(op); k++) {
    op_case one, other;
    op_case_init(&one, op, k % n_case_of(op), 7000 + (uint64_t)k);
    op_case_init(&other, op, k % n_case_of(op), 7000 + (uint64_t)k);
    if (k / n_case_of(op) % 2) {
      name_few_rows(&one);
      name_few_rows(&other);
    }
    run_on_device(&one, (run_as){.dirt = 0xff});
    run_on_device(&other, (run_as){.dirt = 0});
    require_same_bits(&one, &other, "other bits in the second run");
    op_case_fini(&one);
    op_case_fini(&other);
  }
}

static void in_place_does_not_change_bits(void **state)
{
  FOR_CHOSEN(op)
  {
    int n_run = 0, i = op->in_place - 1;
    for (int k = 0; k < 2 * n_case_of(op) && op->in_place; k++) {
      op_case apart, over;
      op_case_init(&apart, op, k % n_case_of(op), 400 + (uint64_t)k);
      op_case_init(&over, op, k % n_case_of(op), 400 + (uint64_t)k);
      if (i < over.n_in && over.in[i].data && bytes_of(&over.in[i]) == bytes_of(&over.out[0])) {
        run_on_device(&apart, (run_as){.dirt = 0xff});
        run_on_device(&over, (run_as){.in_place = true});
        require_same_bits(&apart, &over, "other bits in place");
        n_run++;
      }
      op_case_fini(&apart);
      op_case_fini(&over);
    }
    if (op->in_place && n_run == 0) {
      print_error("%s: no example has an input that output 0 may lie over\n", op->name);
      fail();
    }
  }
}

/* ---- no rows ------------------------------------------------------------------------------- */

/* Values that inputs hold when those in `empty` (a bit each) have no rows; false: no valid ones, or
 * only parameters are empty. */
static bool fill_for_no_rows(op_case *t, unsigned empty)
{
  bool is_of_one = vk_shape_n_item(&t->example.in[0].shape) == 1; /* the gradient of a loss */
  bool has_rows = false;
  for (int i = 0; i < t->n_in; i++) {
    const vk_example_in *e = &t->example.in[i];
    if (empty >> i & 1 && (i == 0 || is_of_one || e->dtype != VK_F32 || e->shape.n_dim > 1))
      has_rows = true;
    if (!e->is_used || e->dtype != VK_I32)
      continue;
    if (e->fill == VK_EXAMPLE_RANDOM) { /* a number of the step is one in every run */
      if (empty >> i & 1 && vk_shape_n_item(&e->shape) == 1)
        return false;
      continue;
    }
    int32_t *x = t->in[i].data;
    int64_t n = vk_shape_n_item(&t->in[i].shape);
    if (e->fill == VK_EXAMPLE_ROW && !(empty >> i & 1))
      return false; /* a row of what may be empty */
    if (e->fill == VK_EXAMPLE_SEGMENTS && e->lo > 0 && !(empty >> i & 1))
      return false; /* segments that may not be empty */
    for (int64_t k = 0; k < n; k++)
      x[k] = e->fill == VK_EXAMPLE_PICK ? VK_PICK_ZERO : 0;
  }
  return has_rows;
}

/* The CPU's kernels say what a mean over no rows is; the references may divide by 0. */
static void check_as_cpu(op_case *t, run_as as, unsigned empty, size_t n_scratch)
{
  uint8_t *got[VK_NODE_OUT_MAX];
  run_on_device(t, as);
  for (int i = 0; i < t->n_out; i++) {
    got[i] = malloc(bytes_of(&t->out[i]) + 1);
    assert_non_null(got[i]);
    memcpy(got[i], t->out[i].data, bytes_of(&t->out[i]));
  }
  op_case_run_in(t, VK_ISA_SCALAR, 1, n_scratch);
  char what[96];
  for (int i = 0; i < t->n_out; i++) {
    snprintf(what, sizeof what, "%s, case %d, output %d, no rows in inputs %x", t->op->name,
             t->example.i_case, i, empty);
    if (t->out[i].dtype != VK_F32)
      assert_memory_equal(got[i], t->out[i].data, bytes_of(&t->out[i]));
    for (int64_t k = 0; t->out[i].dtype == VK_F32 && k < vk_shape_n_item(&t->out[i].shape); k++) {
      double want = (double)((const float *)t->out[i].data)[k];
      if (isfinite(want)) /* else there is no such mean on the CPU either */
        vk_assert_close_at((double)((const float *)(const void *)got[i])[k], want, t->op->atol,
                           t->op->rtol, what, __FILE__, __LINE__);
    }
    free(got[i]);
  }
}

/* The call with the inputs in `empty` at no rows: false when the op does not allow it. */
static bool run_without_rows(const vk_op_def *op, int i_case, unsigned empty)
{
  op_case t;
  op_case_init(&t, op, i_case, 50 + empty);
  size_t n_scratch = op_case_scratch(&t, 1); /* the CPU's */
  vk_graph g;
  vk_graph_init(&g, op->name);
  int sym = vk_graph_sym(&g, "rows", 1);
  for (int s = 1; s < VK_SYM_MAX; s++)
    vk_graph_sym(&g, "sym", 0);
  vk_in in = {.n = t.n_in};
  vk_tensor in_most[VK_NODE_IN_MAX], out_most[VK_NODE_OUT_MAX];
  bool is_valid = empty < 1u << t.n_in;
  for (int i = 0; i < t.n_in; i++) {
    char name[8] = {'i', 'n', (char)('0' + i)};
    const vk_example_in *e = &t.example.in[i];
    bool is_empty = empty >> i & 1, is_segments = e->fill == VK_EXAMPLE_SEGMENTS;
    in_most[i] = t.in[i];
    in.id[i] = VK_NONE;
    if (!e->is_used || e->shape.n_dim == 0) {
      is_valid = is_valid && !is_empty;
      if (e->is_used)
        in.id[i] = vk_graph_input(&g, name, e->dtype, e->shape, VK_NO_EXTENT);
      continue;
    }
    int64_t n = e->shape.dim[0];
    is_valid = is_valid && (!is_empty || n > 0);
    vk_extent extent = vk_graph_extent(sym, n - is_segments, is_segments);
    in.id[i] = vk_graph_input(&g, name, e->dtype, e->shape, is_empty ? extent : VK_NO_EXTENT);
    if (is_empty)
      t.in[i].shape.dim[0] = t.in64[i].shape.dim[0] = is_segments;
  }
  vk_id first = is_valid ? vk_apply(&g, op, in, t.example.attr) : VK_NONE;
  is_valid = first != VK_NONE && vk_graph_check(&g, NULL) == VK_OK && fill_for_no_rows(&t, empty);
  for (int i = 0; is_valid && i < t.n_out; i++) {
    const vk_value *v = &g.value[vk_graph_out(&g, first, i)];
    out_most[i] = t.out[i];
    if (v->extent.sym >= 0)
      t.out[i].shape.dim[0] = t.out64[i].shape.dim[0] = v->extent.plus;
  }
  if (is_valid)
    check_as_cpu(&t, (run_as){.dirt = 0xff, .in_most = in_most, .out_most = out_most}, empty,
                 n_scratch);
  vk_graph_fini(&g);
  op_case_fini(&t);
  return is_valid;
}

static void no_rows_are_computed(void **state)
{
  static const vk_op_def *const fixed[] = {&vk_op_tile}; /* as many in every run */
  FOR_CHOSEN(op)
  {
    int n_run = 0;
    bool is_fixed = false;
    for (int i_case = 0; i_case < n_case_of(op); i_case++)
      for (unsigned empty = 1; empty < 1u << op->n_in_max; empty++)
        n_run += run_without_rows(op, i_case, empty);
    for (size_t i = 0; i < VK_COUNT(fixed); i++)
      is_fixed = is_fixed || fixed[i] == op;
    if (is_fixed != (n_run == 0)) {
      print_error("%s: %d sets of inputs without rows\n", op->name, n_run);
      fail();
    }
  }
}

/* ---- bfloat16 ------------------------------------------------------------------------------ */

/* Ops with the attribute dtype: which inputs are factors, and which of them may lie in bf16. */
typedef struct factors {
  const vk_op_def *op;
  unsigned rounded, stored;
  bool is_near; /* what it computes between products is rounded as well */
} factors;
static const factors bf16_ops[] = {
    {&vk_op_attention, 3, 3, true}, {&vk_op_attention_grad, 0, 0, true},
    {&vk_op_conv, 3, 1, false},     {&vk_op_conv_dw, 3, 2, false},
    {&vk_op_conv_dx, 3, 0, false},  {&vk_op_matmul, 3, 3, false},
};

/* Farthest from 0 of an output. */
static double most_of(const op_case *t, int i)
{
  double most = 0;
  for (int64_t k = 0; k < vk_shape_n_item(&t->out64[i].shape); k++)
    most = fmax(most, fabs(((const double *)t->out64[i].data)[k]));
  return most;
}

static void check_factors(const factors *f, int i_case, uint64_t seed)
{
  op_case t;
  op_case_init(&t, f->op, i_case, seed);
  t.example.attr.dtype = VK_BF16;
  if (t.in[0].dtype == VK_U8 || (t.n_in > 1 && t.in[1].dtype == VK_U8)) {
    t.example.attr.scale = 1; /* whole numbers, which bf16 holds */
    t.example.attr.shift = -128;
  }
  for (int i = 0; i < t.n_in; i++)
    if (f->rounded >> i & 1)
      round_input(&t, i, f->stored >> i & seed >> i & 1);
  op_case_ref(&t);
  run_on_device(&t, (run_as){.dirt = 0xff});
  if (f->is_near) {
    double most = 0;
    for (int i = 0; i < t.n_out; i++)
      most = fmax(most, most_of(&t, i));
    compare(&t, NULL, 0.02 * most, 0.02);
  } else {
    bool is_u8 = t.example.attr.scale == 1;
    compare(&t, NULL, is_u8 ? 2e-2 : t.op->atol, t.op->rtol);
  }
  op_case_fini(&t);
}

static void factors_are_rounded(void **state)
{
  for (size_t i = 0; i < VK_COUNT(bf16_ops); i++)
    for (int k = 0; is_chosen(bf16_ops[i].op) && k < 4 * n_case_of(bf16_ops[i].op); k++)
      check_factors(&bf16_ops[i], k / 4, (uint64_t)k);
}

/* Those that know the attribute store. */
static void results_are_stored_in_bf16(void **state)
{
  const vk_op_def *const ops[] = {&vk_op_group_norm, &vk_op_matmul, &vk_op_rms_norm};
  for (size_t i = 0; i < VK_COUNT(ops); i++)
    for (int k = 0; is_chosen(ops[i]) && k < 3 * n_case_of(ops[i]); k++) {
      op_case t;
      op_case_init(&t, ops[i], k / 3, (uint64_t)k);
      t.example.attr.store = VK_BF16;
      t.out[0].dtype = VK_BF16;
      if (ops[i] == &vk_op_matmul) {
        t.example.attr.dtype = VK_BF16;
        round_input(&t, 0, k % 3 == 1);
        round_input(&t, 1, k % 3 == 2);
      }
      op_case_ref(&t);
      run_on_device(&t, (run_as){.dirt = 0xff});
      compare(&t, NULL, ops[i]->atol, ops[i]->rtol);
      op_case_fini(&t);
    }
}

/* ---- the list ------------------------------------------------------------------------------ */

/* All but views and panels. */
static void every_op_has_a_kernel(void **state)
{
  for (int i = 0; i < vk_op_count(); i++) {
    const vk_op_def *op = vk_ops[i];
    bool is_made = !(op->flags & VK_OP_VIEW) && op != &vk_op_pack && op != &vk_op_conv_pack;
    const vk_cuda_op *found = vk_cuda_op_find(op);
    if (is_made != (found != NULL)) {
      print_error("%s: %s\n", op->name, found ? "has a kernel that nothing calls" : "no kernel");
      fail();
    }
    if (found)
      assert_true(found->op == op && found->run);
  }
}

static bool names_are_ops(void)
{
  for (int i = 0; i < n_name; i++)
    if (!vk_op_find(names[i])) {
      fprintf(stderr, "no op is called %s\n", names[i]);
      return false;
    }
  return true;
}

int main(int argc, char **argv)
{
  names = argv + 1;
  n_name = argc - 1;
  if (!names_are_ops())
    return 1;
  int code = gpu_open(&stream, &gemm);
  if (code != 0)
    return code;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_op_has_a_kernel),
      cmocka_unit_test(kernels_match_reference),
      cmocka_unit_test(bits_are_the_same_in_every_run),
      cmocka_unit_test(in_place_does_not_change_bits),
      cmocka_unit_test(no_rows_are_computed),
      cmocka_unit_test(factors_are_rounded),
      cmocka_unit_test(results_are_stored_in_bf16),
  };
  int rc = cmocka_run_group_tests(tests, NULL, NULL);
  vk_cuda_gemm_free(gemm);
  (void)cudaStreamDestroy(stream);
  return rc;
}
