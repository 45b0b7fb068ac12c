/* op_loss.cu - losses that are a weighted mean of something an item, sum of w l / D, and their
 * gradients: huber, mse and ppo_loss, as nn/loss.h says. One block adds up a loss. In a gradient
 * every block adds up all weights, in one order, rather than waiting for another launch.
 *
 * Test: tests/unit/test_cuda_ops.c */
#include "cuda/kernel.h"

enum {
  LOSS_BLOCK = 1024,
  LOSS_GRID = 132, /* blocks of a gradient, at most: each reads all weights */
};

typedef enum loss_kind { HUBER, MSE, PPO } loss_kind;

typedef struct loss {
  const float *in[3];               /* that have an item each */
  const float *old, *weight, *norm; /* NULL: not there; old: huber's earlier values */
  int64_t n;
  float delta, near;         /* huber */
  float least, most, dual;   /* ppo_loss: bounds of the ratio; 0: no bound of the loss */
  float log_least, log_most; /* and of its logarithm, */
  bool has_log_bounds;       /* if so */
} loss;

/* What an item adds, and its derivative. */
typedef struct loss_item {
  float loss, slope;
} loss_item;

static __device__ __forceinline__ float clamp_to(float x, float lo, float hi)
{
  return fmaxf(fminf(x, hi), lo);
}

static __device__ __forceinline__ loss_item huber_of(float e, float delta)
{
  float size = fabsf(e);
  loss_item y;
  y.loss = size < delta ? 0.5f * e * e : delta * (size - 0.5f * delta);
  y.slope = clamp_to(e, -delta, delta);
  return y;
}

static __device__ __forceinline__ loss_item huber_item(const loss *a, int64_t i)
{
  float v = a->in[0][i], target = a->in[1][i];
  loss_item y = huber_of(v - target, a->delta);
  if (!a->old)
    return y;
  float from = a->old[i], step = v - from, inside = clamp_to(step, -a->near, a->near);
  loss_item clipped = huber_of(from + inside - target, a->delta);
  if (y.loss < clipped.loss)
    y.slope = inside != step ? 0 : clipped.slope;
  y.loss = fmaxf(y.loss, clipped.loss);
  return y;
}

static __device__ __forceinline__ loss_item mse_item(const loss *a, int64_t i)
{
  float d = a->in[0][i] - a->in[1][i];
  loss_item y = {d * d, d + d};
  return y;
}

/* Where clipped and plain loss are equal the plain one counts. */
static __device__ __forceinline__ loss_item ppo_item(const loss *a, int64_t i)
{
  float d = a->in[0][i] - a->in[1][i], minus_a = -a->in[2][i], inside = d;
  if (a->has_log_bounds)
    inside = clamp_to(d, a->log_least, a->log_most);
  float r = expf(inside), plain = minus_a * r, clipped = minus_a * clamp_to(r, a->least, a->most);
  loss_item y;
  y.loss = fmaxf(plain, clipped);
  bool is_flat = plain < clipped || inside != d;
  if (a->dual > 0) {
    float bound = a->dual * fabsf(minus_a);
    is_flat = is_flat || bound < y.loss;
    y.loss = fminf(y.loss, bound);
  }
  y.slope = is_flat ? 0 : plain;
  return y;
}

template <loss_kind KIND>
static __device__ __forceinline__ loss_item item_of(const loss *a, int64_t i)
{
  return KIND == HUBER ? huber_item(a, i) : KIND == MSE ? mse_item(a, i) : ppo_item(a, i);
}

template <loss_kind KIND>
static __global__ void __launch_bounds__(LOSS_BLOCK) loss_kernel(loss a, float *out)
{
  float sum = 0, sum_w = 0;
  for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x) {
    float w = a.weight ? a.weight[i] : 1, l = item_of<KIND>(&a, i).loss;
    sum += w == 0 ? 0 : w * l; /* of weight 0 is absent, whatever it holds */
    sum_w += w;
  }
  sum = vk_block_sum(sum);
  sum_w = vk_block_sum(sum_w);
  if (threadIdx.x == 0) {
    float d = a.norm ? *a.norm : a.weight ? sum_w : (float)a.n;
    *out = d == 0 ? 0 : sum / d;
  }
}

/* dx may be what v or logp is. */
template <loss_kind KIND>
static __global__ void __launch_bounds__(LOSS_BLOCK)
    loss_grad_kernel(loss a, const float *dloss, float *dx)
{
  float d = a.norm ? *a.norm : (float)a.n;
  if (a.weight && !a.norm) {
    float sum_w = 0;
    for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x)
      sum_w += a.weight[i];
    d = vk_block_sum(sum_w);
  }
  float per = d == 0 ? 0 : *dloss / d;
  VK_EACH(i, a.n)
  {
    float g = a.weight ? per * a.weight[i] : per, slope = item_of<KIND>(&a, i).slope;
    dx[i] = g == 0 ? 0 : g * slope;
  }
}

/* ---- ops ------------------------------------------------------------------------------------- */

static const float *input(const vk_op_call *c, int i)
{
  return c->n_in > i ? (const float *)c->in[i].data : NULL;
}

/* n_item inputs from first on have an item each; weights and norm follow them. */
static loss loss_of(const vk_op_call *c, int first, int n_item)
{
  loss a = {};
  for (int i = 0; i < n_item; i++)
    a.in[i] = input(c, first + i);
  a.weight = input(c, first + n_item);
  a.norm = input(c, first + n_item + 1);
  a.n = vk_shape_n_item(&c->in[first].shape);
  return a;
}

static loss huber_loss_of(const vk_op_call *c, int first)
{
  loss a = loss_of(c, first, 2);
  a.old = input(c, first + 4);
  a.delta = (float)c->attr->delta;
  a.near = (float)c->attr->hi;
  return a;
}

static loss ppo_loss_of(const vk_op_call *c, int first)
{
  loss a = loss_of(c, first, 3);
  a.least = (float)(1 - c->attr->lo);
  a.most = (float)(1 + c->attr->hi);
  a.dual = (float)c->attr->dual;
  a.log_least = (float)c->attr->log_lo;
  a.log_most = (float)c->attr->log_hi;
  a.has_log_bounds = c->attr->log_hi > c->attr->log_lo;
  return a;
}

template <loss_kind KIND> static cudaError_t run(const vk_cuda_call *c, loss a)
{
  return vk_launch(loss_kernel<KIND>, dim3(1), dim3(LOSS_BLOCK), 0, c->stream, a,
                   (float *)c->op->out[0].data);
}

template <loss_kind KIND> static cudaError_t run_grad(const vk_cuda_call *c, loss a)
{
  unsigned n_block = vk_grid(a.n, LOSS_BLOCK), most = LOSS_GRID;
  if (n_block == 0)
    return cudaSuccess;
  return vk_launch(loss_grad_kernel<KIND>, dim3(n_block < most ? n_block : most), dim3(LOSS_BLOCK),
                   0, c->stream, a, input(c->op, 0), (float *)c->op->out[0].data);
}

cudaError_t vk_cuda_run_huber(const vk_cuda_call *c)
{
  return run<HUBER>(c, huber_loss_of(c->op, 0));
}

cudaError_t vk_cuda_run_huber_grad(const vk_cuda_call *c)
{
  return run_grad<HUBER>(c, huber_loss_of(c->op, 1));
}

cudaError_t vk_cuda_run_mse(const vk_cuda_call *c)
{
  return run<MSE>(c, loss_of(c->op, 0, 2));
}

cudaError_t vk_cuda_run_mse_grad(const vk_cuda_call *c)
{
  return run_grad<MSE>(c, loss_of(c->op, 1, 2));
}

cudaError_t vk_cuda_run_ppo_loss(const vk_cuda_call *c)
{
  return run<PPO>(c, ppo_loss_of(c->op, 0));
}

cudaError_t vk_cuda_run_ppo_loss_grad(const vk_cuda_call *c)
{
  return run_grad<PPO>(c, ppo_loss_of(c->op, 1));
}
