/* op_matmul.cu - matmul: products by cuBLASLt, which adds a bias and a residual itself, and one
 * kernel behind them where there is an activation or where more than a product is stored in bf16.
 * What is rounded before or waits for that kernel goes through scratch, in chunks of rows that stay
 * in the cache; rows that are summed over (trans_a) are added chunk by chunk. */
#include "cuda/gemm.h"
#include "cuda/round.h"

/* ---- behind a product ----------------------------------------------------------------------- */

/* y = act(sum + bias) + residual, item by item. */
typedef struct finish_args {
  const float *sum;  /* NULL: zeros */
  const float *bias; /* [n_col] or NULL */
  int64_t n_col;
  float *pre; /* takes sum + bias; NULL: not kept, or it is there already */
  int64_t act;
  const float *slope_at; /* VK_ACT_GELU_GRAD */
  const float *residual; /* or NULL */
  void *y;
  vk_dtype y_dtype;
} finish_args;

/* With a bias, V is 1. */
template <int V> static __global__ void finish_kernel(finish_args f, int64_t n)
{
  VK_EACH(k, n / V)
  {
    int64_t i = k * V;
    vk_lanes<V> x = vk_lanes_zero<V>(), other = x;
    if (f.sum)
      x = vk_lanes_load<V>(f.sum + i);
    if (V == 1 && f.bias)
      x.x[0] += f.bias[i % f.n_col];
    if (f.pre)
      vk_lanes_store<V>(f.pre + i, x);
    if (f.act == VK_ACT_GELU_GRAD)
      other = vk_lanes_load<V>(f.slope_at + i);
    else if (f.residual)
      other = vk_lanes_load<V>(f.residual + i);
#pragma unroll
    for (int v = 0; v < V; v++) {
      if (f.act == VK_ACT_GELU_GRAD)
        x.x[v] *= vk_gelu_slope(other.x[v]);
      else
        x.x[v] = (f.act == VK_ACT_GELU ? vk_gelu(x.x[v]) : x.x[v]) + other.x[v];
    }
    vk_lanes_store_as<V>(f.y, f.y_dtype, i, x);
  }
}

static bool is_aligned(const void *p)
{
  return (uintptr_t)p % sizeof(vk_lanes<4>) == 0;
}

/* n items; f's pointers are those of the first. */
static cudaError_t run_finish(finish_args f, int64_t n, cudaStream_t stream)
{
  bool is_wide = n % 4 == 0 && !f.bias && is_aligned(f.sum) && is_aligned(f.pre) &&
                 is_aligned(f.slope_at) && is_aligned(f.residual) && is_aligned(f.y);
  if (is_wide)
    return vk_launch(finish_kernel<4>, dim3(vk_grid_stride(n / 4)), dim3(VK_BLOCK), 0, stream, f,
                     n);
  return vk_launch(finish_kernel<1>, dim3(vk_grid_stride(n)), dim3(VK_BLOCK), 0, stream, f, n);
}

/* ---- what an op comes to -------------------------------------------------------------------- */

typedef struct plan {
  int64_t m, n, k;
  bool a_trans, b_trans;
  bool round_a, round_b;
  int64_t lda, ldb; /* of the factors that are multiplied */
  int64_t k_all;    /* terms, with the zeros that rounding adds */
  bool has_finish;  /* a kernel behind the product */
  int64_t n_row, chunk;
  size_t a_at, b_at, sum_at, bytes; /* of scratch; sum_at: of what waits for that kernel */
} plan;

static const void *input(const vk_op_call *op, int i)
{
  return op->n_in > i ? op->in[i].data : NULL;
}

/* Whether y has to wait in f32 somewhere else. */
static bool needs_sum(const vk_op_call *op, const plan *p)
{
  return p->has_finish && !op->attr->keep_pre && op->out[0].dtype == VK_BF16;
}

/* Shapes alone say how much scratch there is: inputs that may have data count as if they had. */
static bool has_input(const vk_op_call *op, int i)
{
  return op->n_in > i;
}

static void plan_scratch(const vk_op_call *op, plan *p)
{
  int64_t lda = p->round_a ? p->lda : 0, ldb = p->round_b ? p->ldb : 0;
  int64_t sum = p->has_finish ? p->n : 0; /* that the kernel behind reads, wherever it lies */
  if (p->a_trans)
    p->chunk = vk_chunk_rows(p->k, 2 * (lda + ldb));
  else
    p->chunk = vk_chunk_rows(p->m, 2 * lda + 4 * sum);
  int64_t b_rows = p->a_trans ? p->chunk : p->b_trans ? p->n : p->k_all;
  p->a_at = vk_scratch_put(&p->bytes, 2 * p->chunk * lda);
  p->b_at = vk_scratch_put(&p->bytes, 2 * b_rows * ldb);
  if (needs_sum(op, p))
    p->sum_at = vk_scratch_put(&p->bytes, 4 * (p->a_trans ? p->m : p->chunk) * p->n);
}

static plan plan_of(const vk_op_call *op)
{
  const vk_tensor *a = &op->in[0], *b = &op->in[1], *y = &op->out[0];
  plan p = {};
  p.m = vk_shape_n_row(&y->shape);
  p.n = vk_shape_last(&y->shape);
  p.a_trans = op->attr->trans_a != 0;
  p.b_trans = op->attr->trans_b != 0;
  p.k = p.a_trans ? vk_shape_n_row(&a->shape) : vk_shape_last(&a->shape);
  bool is_bf16 = op->attr->dtype == VK_BF16;
  p.round_a = is_bf16 && a->dtype == VK_F32;
  p.round_b = is_bf16 && b->dtype == VK_F32;
  p.lda = vk_shape_last(&a->shape);
  p.ldb = vk_shape_last(&b->shape);
  p.lda = p.round_a ? vk_round_up(p.lda, VK_ROUND_TO) : p.lda;
  p.ldb = p.round_b ? vk_round_up(p.ldb, VK_ROUND_TO) : p.ldb;
  p.k_all = p.round_a && p.round_b && !p.a_trans ? p.lda : p.k;
  p.has_finish = op->attr->act != VK_ACT_NONE || op->attr->keep_pre ||
                 (y->dtype == VK_BF16 && (p.a_trans || has_input(op, 2) || has_input(op, 3)));
  plan_scratch(op, &p);
  return p;
}

size_t vk_cuda_scratch_matmul(const vk_op_call *op)
{
  return plan_of(op).bytes;
}

/* ---- running it ----------------------------------------------------------------------------- */

typedef struct run {
  const vk_cuda_call *call;
  plan p;
  vk_cuda_product product; /* of a chunk */
  finish_args finish;
} run;

static const void *at(const void *data, vk_dtype dtype, int64_t i)
{
  return (const char *)data + i * (int64_t)vk_dtype_size(dtype);
}

/* The items of a run that do not depend on a chunk. */
static run run_of(const vk_cuda_call *c)
{
  const vk_op_call *op = c->op;
  const vk_tensor *y = &op->out[0];
  run r = {};
  r.call = c;
  r.p = plan_of(op);
  finish_args *f = &r.finish;
  f->n_col = r.p.n;
  f->act = op->attr->act;
  f->slope_at = (const float *)input(op, 4);
  f->residual = (const float *)input(op, 3);
  f->y = y->data;
  f->y_dtype = y->dtype;
  float *pre = op->attr->keep_pre ? (float *)op->out[1].data : NULL;
  char *scratch = (char *)op->scratch;
  vk_cuda_product *g = &r.product;
  g->n = r.p.n;
  g->dtype = op->attr->dtype == VK_BF16 ? VK_BF16 : VK_F32;
  g->a_trans = r.p.a_trans;
  g->b_trans = r.p.b_trans;
  g->lda = r.p.lda;
  g->ldb = r.p.ldb;
  g->ldc = r.p.n;
  g->bias = (const float *)input(op, 2);
  g->c_dtype = r.p.has_finish ? VK_F32 : y->dtype;
  g->c = !r.p.has_finish       ? y->data
         : pre                 ? (void *)pre
         : needs_sum(op, &r.p) ? (void *)(scratch + r.p.sum_at)
                               : y->data;
  f->sum = r.p.has_finish ? (const float *)g->c : NULL;
  if (!r.p.has_finish && f->residual) {
    g->beta = 1;
    g->add = f->residual;
  }
  return r;
}

/* No terms: the sum is zero. */
static cudaError_t run_empty(run *r)
{
  const vk_op_call *op = r->call->op;
  finish_args f = r->finish;
  f.sum = NULL;
  f.bias = (const float *)input(op, 2);
  f.pre = op->attr->keep_pre ? (float *)op->out[1].data : NULL;
  return run_finish(f, r->p.m * r->p.n, r->call->stream);
}

/* Rounds rows [row, row + n) of a, or of both with trans_a; b as a whole with the first of a. Says
 * where the product finds them. */
static cudaError_t round_chunk(run *r, int64_t row, int64_t n)
{
  const vk_op_call *op = r->call->op;
  const plan *p = &r->p;
  const vk_tensor *a = &op->in[0], *b = &op->in[1];
  int64_t n_a = vk_shape_last(&a->shape), n_b = vk_shape_last(&b->shape);
  uint16_t *a_to = (uint16_t *)((char *)op->scratch + p->a_at);
  uint16_t *b_to = (uint16_t *)((char *)op->scratch + p->b_at);
  int64_t b_row = p->a_trans ? row : 0;
  vk_rounding r0 = {}, r1 = {};
  r->product.a = p->round_a ? a_to : at(a->data, a->dtype, row * n_a);
  r->product.b = p->round_b ? b_to : at(b->data, b->dtype, b_row * n_b);
  if (p->round_a)
    r0 = vk_rounding_of((const float *)a->data + row * n_a, a_to, n, n_a);
  if (p->round_b && (p->a_trans || row == 0)) {
    r1 = vk_rounding_of((const float *)b->data + b_row * n_b, b_to,
                        p->a_trans ? n : vk_shape_n_row(&b->shape), n_b);
    if (!p->a_trans && !p->b_trans && p->k_all > p->k) { /* rows of zeros */
      r1.n_row = p->k;
      r1.n_col = n_b;
      r1.n_row_to = p->k_all;
    }
  }
  return p->round_a ? vk_round(r0, r1, r->call->stream) : vk_round(r1, r0, r->call->stream);
}

/* Rows of a are rows of y. */
static cudaError_t run_rows(run *r)
{
  const plan *p = &r->p;
  vk_cuda_product *g = &r->product;
  const vk_cuda_product first = *g;
  bool is_scratch = needs_sum(r->call->op, p);
  for (int64_t row = 0; row < p->m; row += p->chunk) {
    int64_t n = p->m - row < p->chunk ? p->m - row : p->chunk, i = row * p->n;
    VK_CUDA_TRY(round_chunk(r, row, n));
    g->m = n;
    g->k = p->k_all;
    g->c = (void *)at(first.c, g->c_dtype, is_scratch ? 0 : i);
    g->add = first.add ? first.add + i : NULL;
    VK_CUDA_TRY(vk_cuda_gemm_run(r->call->gemm, g, r->call->stream));
    if (!p->has_finish)
      continue;
    finish_args f = r->finish;
    f.sum = (const float *)g->c;
    f.slope_at = f.slope_at ? f.slope_at + i : NULL;
    f.residual = f.residual ? f.residual + i : NULL;
    f.y = (void *)at(f.y, f.y_dtype, i);
    VK_CUDA_TRY(run_finish(f, n * p->n, r->call->stream));
  }
  return cudaSuccess;
}

/* Rows of a and b are summed over. */
static cudaError_t run_sum(run *r)
{
  const plan *p = &r->p;
  vk_cuda_product *g = &r->product;
  g->m = p->m;
  for (int64_t row = 0; row < p->k; row += p->chunk) {
    g->k = p->k - row < p->chunk ? p->k - row : p->chunk;
    VK_CUDA_TRY(round_chunk(r, row, g->k));
    VK_CUDA_TRY(vk_cuda_gemm_run(r->call->gemm, g, r->call->stream));
    g->bias = NULL; /* the next is added to this one */
    g->add = NULL;
    g->beta = 1;
  }
  return p->has_finish ? run_finish(r->finish, p->m * p->n, r->call->stream) : cudaSuccess;
}

cudaError_t vk_cuda_run_matmul(const vk_cuda_call *c)
{
  run r = run_of(c);
  if (r.p.m == 0 || r.p.n == 0)
    return cudaSuccess;
  if (r.p.k == 0)
    return run_empty(&r);
  return r.p.a_trans ? run_sum(&r) : run_rows(&r);
}
