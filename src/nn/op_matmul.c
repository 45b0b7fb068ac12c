/* op_matmul.c - y = act(op(a) op(b) + bias) + residual, rows of a being all but its last dimension.
 * With dtype bf16 (pass bf16) both factors are rounded, and sums are f32; then factors may lie in
 * bf16, and y may be stored so if the sum has one block (pass storage).
 * With act VK_ACT_GELU_GRAD (pass merge) y = (op(a) op(b) + bias) gelu'(pre), pre being input 4.
 * A linear layer is trans_b = 1 with the weight [n, k]; weight gradients are trans_a = 1, which
 * sums over the rows of both. */
#include <string.h>

#include "nn/op_bf16.h"

/* The product at the call's shapes. */
static vk_gemm product_of(const vk_op_call *c)
{
  const vk_tensor *a = &c->in[0], *b = &c->in[1], *y = &c->out[0];
  int64_t n = vk_shape_last(&y->shape);
  vk_gemm g = {.m = vk_shape_n_row(&y->shape),
               .n = n,
               .a = a->dtype == VK_F32 ? a->data : NULL,
               .a_bf16 = a->dtype == VK_BF16 ? a->data : NULL,
               .lda = vk_shape_last(&a->shape),
               .a_trans = c->attr->trans_a,
               .c = y->dtype == VK_F32 ? y->data : NULL,
               .c_bf16 = y->dtype == VK_BF16 ? y->data : NULL,
               .ldc = n};
  g.k = c->attr->trans_a ? vk_shape_n_row(&a->shape) : vk_shape_last(&a->shape);
  if (c->attr->packed_b) {
    g.b_packed = b->data;
  } else {
    g.b = b->dtype == VK_F32 ? b->data : NULL;
    g.b_bf16 = b->dtype == VK_BF16 ? b->data : NULL;
    g.ldb = vk_shape_last(&b->shape);
    g.b_trans = c->attr->trans_b;
  }
  if (c->n_in > 2)
    g.bias = c->in[2].data;
  if (c->n_in > 3 && c->in[3].data) {
    g.residual = c->in[3].data;
    g.ldr = n;
  }
  if (c->attr->act == VK_ACT_GELU) {
    g.act = VK_GEMM_ACT_GELU;
    g.pre = c->attr->keep_pre ? c->out[1].data : NULL;
    g.ldpre = n;
  }
  if (c->attr->act == VK_ACT_GELU_GRAD) {
    g.act = VK_GEMM_ACT_GELU_GRAD;
    g.pre = c->in[4].data;
    g.ldpre = n;
  }
  return g;
}

static void fill_zeros(void *arg, int64_t i, int64_t n_i, int64_t p, int64_t n_p, float *out,
                       int64_t stride)
{
  for (int64_t r = 0; r < n_i; r++)
    memset(out + r * stride, 0, (size_t)n_p * sizeof *out);
}

static void run_product(const vk_op_call *c, const vk_gemm *g)
{
  if (c->attr->dtype != VK_BF16) {
    VK_KERNEL(vk_gemm_run)(g, c->scratch, c->i_part, c->n_part);
    return;
  }
  vk_op_bf16_path(c->attr)->run(g, g->b_packed, c->scratch, c->i_part, c->n_part);
}

/* A sum over no rows (gradients of weights that no row of this run went through) is one over a row
 * of zeros. */
static void run_empty(const vk_op_call *c, vk_gemm *g)
{
  g->k = 1;
  g->a_trans = g->b_trans = false;
  g->a = g->b = g->b_packed = NULL;
  g->a_bf16 = g->b_bf16 = NULL;
  g->fill_a = g->fill_b = fill_zeros;
  run_product(c, g);
}

VK_OP_RUN(matmul)
{
  vk_gemm g = product_of(c);
  if (g.k == 0 && g.m > 0 && g.n > 0)
    run_empty(c, &g);
  else if (g.m > 0 && g.n > 0)
    run_product(c, &g);
}

#if VK_PATH_IS_BASE

#include <math.h>

#include "nn/op_rows.h"

/* [m, n] with the rows' leading dimensions and extent. */
static vk_status infer_sizes(const vk_infer *c, int64_t *n, int64_t *k, vk_err *err)
{
  const vk_value *a = c->in[0], *b = c->in[1];
  if (a->shape.n_dim < 2)
    return vk_op_fail(c, err, "input 0 must have rows");
  *k = c->attr->trans_a ? vk_shape_n_row(&a->shape) : vk_shape_last(&a->shape);
  if (c->attr->dtype != VK_F32 &&
      (c->attr->dtype != VK_BF16 || c->attr->isa > VK_PATH_GPU ||
       !(c->attr->packed_b || c->attr->trans_a || c->attr->isa == VK_PATH_GPU)))
    return vk_op_fail(c, err, "bf16 needs panels, trans_a or a GPU, and a path (isa)");
  if (c->attr->packed_b) {
    *n = c->attr->count;
    if (c->attr->trans_a || b->order != VK_ORDER_PANELS || *n <= 0)
      return vk_op_fail(c, err, "packed_b needs panels, a count of columns, and no trans_a");
    bool is_bf16 = c->attr->dtype == VK_BF16;
    if (vk_value_bytes(b) !=
        (is_bf16 ? vk_gemm_bf16_packed_bytes(*n, *k) : vk_gemm_packed_bytes(*n, *k)))
      return vk_op_fail(c, err, "the panels are not those of %lld rows and %lld columns",
                        (long long)*k, (long long)*n);
    return VK_OK;
  }
  VK_TRY(vk_op_need_factor(c, 1, 0, err));
  if (b->shape.n_dim < 2 || (c->attr->trans_a && c->attr->trans_b))
    return vk_op_fail(c, err, "input 1 must have rows, and only one of both can be transposed");
  int64_t rows = vk_shape_n_row(&b->shape), last = vk_shape_last(&b->shape);
  *n = c->attr->trans_b ? rows : last;
  if ((c->attr->trans_b ? last : rows) != *k)
    return vk_op_fail(c, err, "%lld terms of the one meet %lld of the other", (long long)*k,
                      (long long)(c->attr->trans_b ? last : rows));
  if (c->attr->trans_a ? !vk_op_same_extent(a, b) : b->extent.sym >= 0)
    return vk_op_fail(c, err, "the rows summed over must have one extent");
  return VK_OK;
}

/* As many items in every run. */
static bool has_items_of(const vk_value *a, const vk_value *b)
{
  return vk_shape_n_item(&a->shape) == vk_shape_n_item(&b->shape) && vk_op_same_extent(a, b);
}

static vk_status infer(const vk_infer *c, vk_err *err)
{
  int64_t n = 0, k = 0;
  VK_TRY(vk_op_need_factor(c, 0, 0, err));
  VK_TRY(infer_sizes(c, &n, &k, err));
  vk_op_same(c, 0, 0);
  VK_TRY(vk_op_store(c, err));
  if (c->attr->store == VK_BF16 &&
      (c->attr->dtype != VK_BF16 || (k > VK_GEMM_KC && c->attr->isa != VK_PATH_GPU)))
    return vk_op_fail(c, err, "a sum of %lld terms in blocks of %d cannot be stored in bf16",
                      (long long)k, VK_GEMM_KC);
  if (c->attr->trans_a) {
    c->out[0].shape = vk_shape_of(2, (int)vk_shape_last(&c->in[0]->shape), (int)n);
    c->out[0].extent = VK_NO_EXTENT;
  } else {
    c->out[0].shape.dim[c->out[0].shape.n_dim - 1] = n;
  }
  for (int i = 2; i < c->n_in; i++)
    if (c->in[i])
      VK_TRY(vk_op_need(c, i, VK_F32, 0, err));
  if (c->n_in > 2 && c->in[2] &&
      (vk_shape_n_item(&c->in[2]->shape) != n || c->in[2]->extent.sym >= 0))
    return vk_op_fail(c, err, "a bias of %lld for %lld columns",
                      (long long)vk_shape_n_item(&c->in[2]->shape), (long long)n);
  if (c->n_in > 3 && c->in[3] && !has_items_of(c->in[3], &c->out[0]))
    return vk_op_fail(c, err, "the residual must have the output's shape and extent");
  if (c->attr->act != VK_ACT_NONE && c->n_in > 3 && c->in[3])
    return vk_op_fail(c, err, "an activation and a residual at once");
  bool has_pre = c->n_in > 4 && c->in[4];
  if (has_pre != (c->attr->act == VK_ACT_GELU_GRAD) ||
      (has_pre && !has_items_of(c->in[4], &c->out[0])))
    return vk_op_fail(c, err,
                      "gelu_grad needs input 4, of the output's shape and extent, and it alone");
  c->out[1] = c->out[0];
  c->out[1].dtype = VK_F32;
  if (!c->attr->keep_pre) {
    c->out[1].shape = vk_shape_of(1, 0);
    c->out[1].extent = VK_NO_EXTENT;
  }
  return VK_OK;
}

static void cost(const vk_op_call *c, vk_cost *cost)
{
  const vk_shape *a = &c->in[0].shape;
  cost->macs = (double)vk_shape_n_item(&c->out[0].shape) *
               (double)(c->attr->trans_a ? vk_shape_n_row(a) : vk_shape_last(a));
}

static size_t scratch(const vk_op_call *c)
{
  if (c->attr->dtype == VK_BF16)
    return vk_gemm_bf16_scratch_bytes(c->n_part);
  vk_gemm g = product_of(c);
  return vk_gemm_scratch_bytes(g.n, g.k, g.a_trans, !c->attr->packed_b, c->n_part);
}

static double at(const vk_tensor *t, int64_t i, int64_t j, bool trans)
{
  int64_t ld = vk_shape_last(&t->shape);
  return ((const double *)t->data)[trans ? j * ld + i : i * ld + j];
}

static void ref(const vk_op_call *c)
{
  const vk_tensor *a = &c->in[0], *b = &c->in[1];
  double *y = c->out[0].data, *pre = c->out[1].data;
  int64_t m = vk_shape_n_row(&c->out[0].shape), n = vk_shape_last(&c->out[0].shape);
  int64_t k = c->attr->trans_a ? vk_shape_n_row(&a->shape) : vk_shape_last(&a->shape);
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = c->n_in > 2 && c->in[2].data ? ((const double *)c->in[2].data)[j] : 0;
      for (int64_t p = 0; p < k; p++)
        sum += at(a, i, p, c->attr->trans_a) * at(b, p, j, c->attr->trans_b);
      if (c->attr->keep_pre)
        pre[i * n + j] = sum;
      if (c->attr->act == VK_ACT_GELU)
        sum *= 0.5 * (1 + erf(sum * sqrt(0.5)));
      if (c->attr->act == VK_ACT_GELU_GRAD) {
        double x = ((const double *)c->in[4].data)[i * n + j];
        sum *= 0.5 * (1 + erf(x * sqrt(0.5))) +
               x * exp(-0.5 * x * x) / sqrt(2 * 3.14159265358979323846);
      }
      if (c->n_in > 3 && c->in[3].data)
        sum += ((const double *)c->in[3].data)[i * n + j];
      y[i * n + j] = sum;
    }
}

static void grad(vk_grad *c)
{
  vk_graph *g = c->g;
  const vk_node *n = c->node;
  vk_id a = n->in[0], b = n->in[1], dy = c->dy[0];
  if (n->n_in > 3)
    c->dx[3] = dy;
  if (n->attr.act == VK_ACT_GELU && !n->attr.keep_pre) {
    vk_grad_fail(c, "its activation has a gradient only if keep_pre is set");
    return;
  }
  if (n->attr.act == VK_ACT_GELU)
    dy = VK_APPLY(g, gelu_grad, VK_IN(dy, n->out[1]));
  if (n->n_in > 2 && c->need[2])
    c->dx[2] = VK_APPLY(g, sum_rows, VK_IN(dy));
  if (n->attr.trans_a) {
    if (c->need[0])
      c->dx[0] = VK_APPLY(g, matmul, VK_IN(b, dy), .trans_b = 1);
    if (c->need[1])
      c->dx[1] = VK_APPLY(g, matmul, VK_IN(a, dy), .trans_b = 0);
    return;
  }
  if (c->need[0])
    c->dx[0] = VK_APPLY(g, matmul, VK_IN(dy, b), .trans_b = !n->attr.trans_b);
  if (c->need[1])
    c->dx[1] = n->attr.trans_b ? VK_APPLY(g, matmul, VK_IN(dy, a), .trans_a = 1)
                               : VK_APPLY(g, matmul, VK_IN(a, dy), .trans_a = 1);
}

/* 0: linear layer; 1: with bias; 2: plain; 3: weight gradient; 4: bias, activation; 5: residual;
 * 6: times the slope of gelu */
static void example(vk_example *e)
{
  int m = e->is_large ? 4448 : (int)vk_example_int(e, 1, 37);
  int n = e->is_large ? 512 : (int)vk_example_int(e, 1, 70);
  int k = e->is_large ? 256 : (int)vk_example_int(e, 1, 70);
  if (e->i_case == 3) {
    e->attr.trans_a = 1;
    vk_example_f32(e, vk_shape_of(2, m, k));
    vk_example_f32(e, vk_shape_of(2, m, n));
    return;
  }
  e->attr.trans_b = e->i_case != 2;
  vk_example_f32(e, vk_shape_of(2, m, k));
  vk_example_f32(e, e->attr.trans_b ? vk_shape_of(2, n, k) : vk_shape_of(2, k, n));
  if (e->i_case == 1 || e->i_case == 4)
    vk_example_f32(e, vk_shape_of(1, n));
  if (e->i_case == 4) {
    e->attr.act = VK_ACT_GELU;
    e->attr.keep_pre = 1;
  }
  if (e->i_case == 5) {
    vk_example_none(e);
    vk_example_f32(e, vk_shape_of(2, m, n));
  }
  if (e->i_case == 6) {
    e->no_grad = true;
    e->attr.act = VK_ACT_GELU_GRAD;
    vk_example_none(e);
    vk_example_none(e);
    vk_example_f32(e, vk_shape_of(2, m, n));
  }
}

const vk_op_def vk_op_matmul = {
    .name = "matmul",
    .help = "y = act(a b + bias) + residual; inputs a, b, bias, residual; trans_a, trans_b; "
            "outputs y, pre "
            "(with keep_pre)",
    .n_in_min = 2,
    .n_in_max = 5,
    .n_out = 2,
    .in_place = 4,
    .n_case = 7,
    .rtol = 2e-6,
    .atol = 2e-5,
    .tolerance = "sum of k products in float, one chain a block of 512",
    .infer = infer,
    .cost = cost,
    .scratch = scratch,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
