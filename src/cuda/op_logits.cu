/* op_logits.cu - rows of logits to classes, losses, log-probabilities and entropies: argmax,
 * median, sample, expectation, cross_entropy, log_prob, entropy and their gradients; what each
 * means is in nn/logits.h and nn/cross_entropy.h. A warp takes a row: lane l holds the classes
 * l, l + 32, ..., in registers where a row has up to 256.
 *
 * Test: tests/unit/test_cuda_ops.c */
#include "cuda/kernel.h"

enum {
  ROW_CHUNKS = 8, /* chunks of 32 classes that registers hold */
  WIDE_BLOCK = 1024,
  WIDE_GRID = 132, /* blocks of a kernel in which each reads the weights of all rows, at most */
};

#define LANES 0xffffffffu /* all of a warp */

/* Rows x[n_row][n], read as scale x. */
typedef struct logits {
  const float *x;
  int64_t n_row, count; /* count: the greatest that count; 0: all */
  int n;
  float scale;
} logits;

/* ---- rows ------------------------------------------------------------------------------------ */

/* CHUNKS of them in registers; 0: what lies in memory, of any number. */
template <int CHUNKS> struct row_of {
  const float *x;
  int n, lane;
  float v[CHUNKS ? CHUNKS : 1];
};

/* For each chunk k, whose class of this lane is j, or none. */
#define EACH_CHUNK(k, j, row)                                                                      \
  _Pragma("unroll") for (int k = 0, j = (row)->lane; CHUNKS ? k < CHUNKS : k * VK_WARP < (row)->n; \
                         k++, j += VK_WARP)

template <int CHUNKS>
static __device__ __forceinline__ void row_load(row_of<CHUNKS> *r, const logits *a, int64_t i)
{
  r->x = a->x + i * a->n;
  r->n = a->n;
  r->lane = threadIdx.x % VK_WARP;
  if (CHUNKS) {
    EACH_CHUNK(k, j, r)
    {
      r->v[k] = j < r->n ? r->x[j] : -INFINITY;
    }
  }
}

/* Class j of chunk k; -infinity where there is none. */
template <int CHUNKS>
static __device__ __forceinline__ float row_at(const row_of<CHUNKS> *r, int k, int j)
{
  return CHUNKS ? r->v[k] : j < r->n ? r->x[j] : -INFINITY;
}

struct lesser {
  static __device__ __forceinline__ int of(int x, int y)
  {
    return y < x ? y : x;
  }
};

/* The greatest; NaN does not count. -infinity when there is none. */
template <int CHUNKS> static __device__ __forceinline__ float row_max(const row_of<CHUNKS> *r)
{
  float m = -INFINITY;
  EACH_CHUNK(k, j, r)
  {
    m = fmaxf(m, row_at(r, k, j));
  }
  return vk_warp_max(m);
}

/* The first that is m, the greatest; 0 when all are NaN. */
template <int CHUNKS>
static __device__ __forceinline__ int row_first(const row_of<CHUNKS> *r, float m)
{
  int first = INT32_MAX;
  EACH_CHUNK(k, j, r)
  {
    if (row_at(r, k, j) == m && j < first)
      first = j;
  }
  first = vk_lanes_all<lesser, VK_WARP>(first);
  return first < r->n ? first : 0;
}

/* A float's place in the order of all floats. */
static __device__ __forceinline__ int place_of(float x)
{
  int bits = __float_as_int(x);
  return bits ^ ((bits >> 31) & INT32_MAX);
}

/* The count-th greatest of a row: entries below it do not count. -infinity unless 0 < count < n. */
template <int CHUNKS>
static __device__ __forceinline__ float row_least(const row_of<CHUNKS> *r, int64_t count)
{
  if (count <= 0 || count >= r->n)
    return -INFINITY;
  /* the last place at or above which there are as many: lo has them, hi has not */
  int64_t lo = INT32_MIN, hi = (int64_t)INT32_MAX + 1;
  while (hi - lo > 1) {
    int mid = (int)(lo + (hi - lo) / 2), n_above = 0;
    EACH_CHUNK(k, j, r)
    {
      n_above += j < r->n && place_of(row_at(r, k, j)) >= mid;
    }
    if (vk_lanes_all<vk_plus, VK_WARP>(n_above) >= count)
      lo = mid;
    else
      hi = mid;
  }
  int place = (int)lo;
  return __int_as_float(place ^ ((place >> 31) & INT32_MAX));
}

/* exp(scale (x - m)), 0 for what does not count. */
static __device__ __forceinline__ float exp_of(float x, float m, float scale, float least)
{
  return x < least ? 0 : expf((x - m) * scale);
}

template <int CHUNKS>
static __device__ __forceinline__ float row_sum_exp(const row_of<CHUNKS> *r, float m, float scale,
                                                    float least)
{
  float sum = 0;
  EACH_CHUNK(k, j, r)
  {
    sum += exp_of(row_at(r, k, j), m, scale, least);
  }
  return vk_warp_sum(sum);
}

template <int CHUNKS>
static __device__ __forceinline__ float row_lse(const row_of<CHUNKS> *r, float scale, float least)
{
  float m = row_max(r);
  return m * scale + logf(row_sum_exp(r, m, scale, least));
}

/* The first class up to which the probabilities of softmax(scale x) add up to more than u. */
template <int CHUNKS>
static __device__ __forceinline__ int row_quantile(const row_of<CHUNKS> *r, float scale,
                                                   float least, double u)
{
  float m = row_max(r);
  double sum = 0, at = 0;
  EACH_CHUNK(k, j, r)
  {
    sum += (double)vk_warp_sum(exp_of(row_at(r, k, j), m, scale, least));
  }
  if (!(sum > 0 && sum < (double)INFINITY))
    return row_first(r, m);
  EACH_CHUNK(k, j, r)
  {
    float e = exp_of(row_at(r, k, j), m, scale, least), up_to = e;
    double next = at + (double)vk_warp_sum(e);
    if (next > u * sum) {
      for (int d = 1; d < VK_WARP; d *= 2) {
        float before = __shfl_up_sync(LANES, up_to, d);
        up_to += r->lane >= d ? before : 0;
      }
      /* the last with a probability up to the one that passes u; rounding may let none pass */
      unsigned pass = __ballot_sync(LANES, at + (double)up_to > u * sum);
      unsigned some = __ballot_sync(LANES, e > 0) & (pass ? pass ^ (pass - 1) : LANES);
      return k * VK_WARP + VK_WARP - 1 - __clz((int)some);
    }
    at = next;
  }
  return row_first(r, m);
}

/* This warp's row. */
static __device__ __forceinline__ int64_t row_index()
{
  return (int64_t)blockIdx.x * (blockDim.x / VK_WARP) + threadIdx.x / VK_WARP;
}

/* ---- classes --------------------------------------------------------------------------------- */

template <int CHUNKS> static __global__ void argmax_kernel(logits a, int32_t *y)
{
  int64_t i = row_index();
  if (i >= a.n_row)
    return;
  row_of<CHUNKS> r;
  row_load(&r, &a, i);
  int first = row_first(&r, row_max(&r));
  if (r.lane == 0)
    y[i] = first;
}

template <int CHUNKS> static __global__ void median_kernel(logits a, int32_t *y)
{
  int64_t i = row_index();
  if (i >= a.n_row)
    return;
  row_of<CHUNKS> r;
  row_load(&r, &a, i);
  int j = row_quantile(&r, 1, -INFINITY, 0.5);
  if (r.lane == 0)
    y[i] = j;
}

/* The first of vk_philox_double in this stream under this key. */
static __device__ double philox_first(uint64_t key, uint64_t stream)
{
  uint32_t word[4];
  vk_philox_words(key, 0, stream, word);
  return (double)((word[0] | (uint64_t)word[1] << 32) >> 11) * (1.0 / 9007199254740992.0);
}

/* Groups of per_key rows have a key of two words, low first; keys NULL: one for all. */
template <int CHUNKS>
static __global__ void sample_kernel(logits a, const int32_t *keys, uint64_t key, int64_t per_key,
                                     int32_t *y)
{
  int64_t i = row_index();
  if (i >= a.n_row)
    return;
  row_of<CHUNKS> r;
  row_load(&r, &a, i);
  int64_t group = i / per_key;
  if (keys)
    key = (uint32_t)keys[2 * group] | (uint64_t)(uint32_t)keys[2 * group + 1] << 32;
  double u = philox_first(key, (uint64_t)(i - group * per_key));
  int j = row_quantile(&r, a.scale, row_least(&r, a.count), u);
  if (r.lane == 0)
    y[i] = j;
}

/* The mean class of those within `reach` of the greatest. */
template <int CHUNKS> static __global__ void expectation_kernel(logits a, int64_t reach, float *y)
{
  int64_t i = row_index();
  if (i >= a.n_row)
    return;
  row_of<CHUNKS> r;
  row_load(&r, &a, i);
  int best = row_first(&r, row_max(&r));
  float m = r.x[best], sum = 0, sum_d = 0;
  EACH_CHUNK(k, j, &r)
  {
    int d = j - best;
    float e = j < r.n && d <= reach && -d <= reach ? expf(row_at(&r, k, j) - m) : 0;
    sum += e;
    sum_d += e * (float)d;
  }
  sum = vk_warp_sum(sum);
  sum_d = vk_warp_sum(sum_d);
  if (r.lane == 0)
    y[i] = (float)best + sum_d / sum;
}

/* ---- cross entropy --------------------------------------------------------------------------- */

typedef struct labels {
  const int32_t *target;
  const float *weight; /* NULL: 1 each */
  int64_t n_row;
  int n, reach;   /* bins on either side of the target that have a label */
  float minus;    /* -1 / (2 sigma^2); 0: the target alone is labelled */
  uint32_t every; /* the last of as many rows, or 0 for none, */
  float factor;   /* weighs as many times as much */
} labels;

/* Weight of row i; rows whose target is no class do not count. */
static __device__ __forceinline__ float label_weight(const labels *l, int64_t i)
{
  int32_t target = l->target[i];
  float w = l->weight ? l->weight[i] : 1;
  if (l->every && (uint32_t)i % l->every == l->every - 1)
    w *= l->factor;
  return target >= 0 && target < l->n ? w : 0;
}

/* The label of a class at a distance of d from the target, before labels are divided by their
 * sum. */
static __device__ __forceinline__ float label_at(const labels *l, int d)
{
  if (l->minus == 0)
    return d == 0 ? 1 : 0;
  return d <= l->reach && -d <= l->reach ? expf((float)(d * d) * l->minus) : 0;
}

/* y[i]: the loss of row i times its weight, or its lse. */
template <int CHUNKS>
static __global__ void row_loss_kernel(logits a, labels l, bool is_loss, float *y)
{
  int64_t i = row_index();
  if (i >= a.n_row)
    return;
  row_of<CHUNKS> r;
  row_load(&r, &a, i);
  float lse = row_lse(&r, 1, -INFINITY);
  if (is_loss) {
    float w = label_weight(&l, i), loss = 0;
    if (w != 0) { /* an infinite loss that does not count is none */
      int target = l.target[i];
      float sum = 0, sum_x = 0;
      EACH_CHUNK(k, j, &r)
      {
        float q = j < r.n ? label_at(&l, j - target) : 0;
        sum += q;
        sum_x += q == 0 ? 0 : q * row_at(&r, k, j);
      }
      sum = vk_warp_sum(sum);
      sum_x = vk_warp_sum(sum_x);
      loss = w * (lse - sum_x / sum);
    }
    lse = loss;
  }
  if (r.lane == 0)
    y[i] = lse;
}

/* The sum over this block's threads of all rows' weights. */
static __device__ __forceinline__ float label_weight_sum(const labels *l)
{
  float w = 0;
  for (int64_t i = threadIdx.x; i < l->n_row; i += blockDim.x)
    w += label_weight(l, i);
  return vk_block_sum(w);
}

/* One block. */
static __global__ void __launch_bounds__(WIDE_BLOCK)
    mean_loss_kernel(labels l, const float *row_loss, float *loss)
{
  float sum = 0, w = label_weight_sum(&l);
  for (int64_t i = threadIdx.x; i < l.n_row; i += blockDim.x)
    sum += row_loss[i];
  sum = vk_block_sum(sum);
  if (threadIdx.x == 0)
    *loss = w == 0 ? 0 : sum / w;
}

/* dx may be x. */
template <int CHUNKS>
static __global__ void __launch_bounds__(WIDE_BLOCK)
    cross_entropy_grad_kernel(logits a, labels l, const float *dloss, const float *lse, float *dx)
{
  float w = label_weight_sum(&l), per = w == 0 ? 0 : *dloss / w;
  for (int64_t i = row_index(); i < a.n_row; i += gridDim.x * (int64_t)(WIDE_BLOCK / VK_WARP)) {
    float g = per * label_weight(&l, i), shift = lse[i], sum = 0;
    int target = g == 0 ? 0 : l.target[i];
    row_of<CHUNKS> r;
    row_load(&r, &a, i);
    EACH_CHUNK(k, j, &r)
    {
      sum += j < r.n ? label_at(&l, j - target) : 0;
    }
    float per_label = g / vk_warp_sum(sum);
    EACH_CHUNK(k, j, &r)
    {
      float q = label_at(&l, j - target), d = g * expf(row_at(&r, k, j) - shift);
      if (j < r.n)
        dx[i * r.n + j] = g == 0 ? 0 : q == 0 ? d : d - per_label * q;
    }
  }
}

/* ---- log-probability and entropy ------------------------------------------------------------- */

template <int CHUNKS>
static __global__ void log_prob_kernel(logits a, const int32_t *action, float *logp, float *lse)
{
  int64_t i = row_index();
  if (i >= a.n_row)
    return;
  row_of<CHUNKS> r;
  row_load(&r, &a, i);
  float least = row_least(&r, a.count), sum = row_lse(&r, a.scale, least);
  int at = action[i];
  if (r.lane == 0) {
    logp[i] = at >= 0 && at < r.n && r.x[at] >= least ? a.scale * r.x[at] - sum : -INFINITY;
    lse[i] = sum;
  }
}

/* dx may be x. */
template <int CHUNKS>
static __global__ void log_prob_grad_kernel(logits a, const float *dy, const int32_t *action,
                                            const float *lse, float *dx)
{
  int64_t i = row_index();
  if (i >= a.n_row)
    return;
  row_of<CHUNKS> r;
  row_load(&r, &a, i);
  float g = dy[i] * a.scale, least = row_least(&r, a.count), shift = lse[i];
  int at = action[i];
  bool counts = g != 0 && at >= 0 && at < r.n && r.x[at] >= least;
  __syncwarp(); /* a lane may write what others compare */
  EACH_CHUNK(k, j, &r)
  {
    float x = row_at(&r, k, j), p = x < least ? 0 : expf(fmaf(x, a.scale, -shift));
    if (j < r.n)
      dx[i * r.n + j] = counts ? (j == at ? g : 0) - g * p : 0;
  }
}

template <int CHUNKS> static __global__ void entropy_kernel(logits a, float *entropy, float *lse)
{
  int64_t i = row_index();
  if (i >= a.n_row)
    return;
  row_of<CHUNKS> r;
  row_load(&r, &a, i);
  float least = row_least(&r, a.count), m = row_max(&r), sum = 0, sum_x = 0;
  EACH_CHUNK(k, j, &r)
  {
    float x = row_at(&r, k, j), e = exp_of(x, m, a.scale, least);
    sum += e; /* what has probability 0 counts for nothing */
    sum_x += e == 0 ? 0 : e * ((x - m) * a.scale);
  }
  sum = vk_warp_sum(sum);
  sum_x = vk_warp_sum(sum_x);
  if (r.lane == 0) {
    entropy[i] = logf(sum) - sum_x / sum;
    lse[i] = m * a.scale + logf(sum);
  }
}

/* dx may be x. */
template <int CHUNKS>
static __global__ void entropy_grad_kernel(logits a, const float *dy, const float *entropy,
                                           const float *lse, float *dx)
{
  int64_t i = row_index();
  if (i >= a.n_row)
    return;
  row_of<CHUNKS> r;
  row_load(&r, &a, i);
  float g = -dy[i] * a.scale, h = entropy[i], shift = lse[i], least = row_least(&r, a.count);
  EACH_CHUNK(k, j, &r)
  {
    float x = row_at(&r, k, j), logp = fmaf(x, a.scale, -shift), p = expf(logp);
    if (j < r.n)
      dx[i * r.n + j] = x < least || p == 0 ? 0 : g * p * (logp + h);
  }
}

/* ---- ops ------------------------------------------------------------------------------------- */

static const void *input(const vk_op_call *c, int i)
{
  return c->n_in > i ? c->in[i].data : NULL;
}

static logits logits_of(const vk_op_call *c, int i)
{
  logits a;
  a.x = (const float *)c->in[i].data;
  a.n_row = vk_shape_n_row(&c->in[i].shape);
  a.n = (int)vk_shape_last(&c->in[i].shape);
  a.count = c->attr->count;
  a.scale = c->attr->scale == 0 ? 1 : (float)c->attr->scale;
  return a;
}

/* Target from input i on, of rows like a's; weights are input i_weight. */
static labels labels_of(const vk_op_call *c, const logits *a, int i, int i_weight)
{
  labels l;
  double sigma = c->attr->sigma;
  l.target = (const int32_t *)c->in[i].data;
  l.weight = (const float *)input(c, i_weight);
  l.n_row = a->n_row;
  l.n = a->n;
  l.reach = (int)ceil(7 * sigma); /* exp(-7^2 / 2) is 2e-11 */
  l.minus = sigma > 0 ? (float)(-1 / (2 * sigma * sigma)) : 0;
  l.every = c->attr->count < UINT32_MAX ? (uint32_t)c->attr->count : 0;
  l.factor = (float)c->attr->weight;
  return l;
}

/* Starts a kernel in which a warp takes a row, if there are rows. */
#define RUN_ROWS(c, kernel, a, ...)                                                                \
  RUN_ROWS_IN(c, kernel, a, vk_grid((a).n_row, VK_BLOCK / VK_WARP), VK_BLOCK, __VA_ARGS__)
#define RUN_ROWS_IN(c, kernel, a, n_block, n_thread, ...)                                          \
  ((a).n_row == 0 ? cudaSuccess                                                                    \
   : (a).n <= ROW_CHUNKS * VK_WARP                                                                 \
       ? vk_launch(kernel<ROW_CHUNKS>, dim3(n_block), dim3(n_thread), 0, (c)->stream, a,           \
                   __VA_ARGS__)                                                                    \
       : vk_launch(kernel<0>, dim3(n_block), dim3(n_thread), 0, (c)->stream, a, __VA_ARGS__))

cudaError_t vk_cuda_run_argmax(const vk_cuda_call *c)
{
  logits a = logits_of(c->op, 0);
  return RUN_ROWS(c, argmax_kernel, a, (int32_t *)c->op->out[0].data);
}

cudaError_t vk_cuda_run_median(const vk_cuda_call *c)
{
  logits a = logits_of(c->op, 0);
  return RUN_ROWS(c, median_kernel, a, (int32_t *)c->op->out[0].data);
}

cudaError_t vk_cuda_run_sample(const vk_cuda_call *c)
{
  logits a = logits_of(c->op, 0);
  const int32_t *keys = (const int32_t *)input(c->op, 1);
  int64_t n_key = keys ? vk_shape_n_item(&c->op->in[1].shape) / 2 : 1;
  int64_t per_key = n_key > 0 && a.n_row >= n_key ? a.n_row / n_key : 1;
  return RUN_ROWS(c, sample_kernel, a, keys, (uint64_t)c->op->attr->seed, per_key,
                  (int32_t *)c->op->out[0].data);
}

cudaError_t vk_cuda_run_expectation(const vk_cuda_call *c)
{
  logits a = logits_of(c->op, 0);
  return RUN_ROWS(c, expectation_kernel, a, a.count, (float *)c->op->out[0].data);
}

/* Losses of rows lie where their lse will, so rows are read a second time. */
cudaError_t vk_cuda_run_cross_entropy(const vk_cuda_call *c)
{
  logits a = logits_of(c->op, 0);
  labels l = labels_of(c->op, &a, 1, 2);
  float *lse = (float *)c->op->out[1].data;
  VK_CUDA_TRY(RUN_ROWS(c, row_loss_kernel, a, l, true, lse));
  VK_CUDA_TRY(vk_launch(mean_loss_kernel, dim3(1), dim3(WIDE_BLOCK), 0, c->stream, l, lse,
                        (float *)c->op->out[0].data));
  return RUN_ROWS(c, row_loss_kernel, a, l, false, lse);
}

cudaError_t vk_cuda_run_cross_entropy_grad(const vk_cuda_call *c)
{
  logits a = logits_of(c->op, 1);
  labels l = labels_of(c->op, &a, 2, 4);
  unsigned n_block = vk_grid(a.n_row, WIDE_BLOCK / VK_WARP), most = WIDE_GRID;
  return RUN_ROWS_IN(c, cross_entropy_grad_kernel, a, n_block < most ? n_block : most, WIDE_BLOCK,
                     l, (const float *)c->op->in[0].data, (const float *)c->op->in[3].data,
                     (float *)c->op->out[0].data);
}

cudaError_t vk_cuda_run_log_prob(const vk_cuda_call *c)
{
  logits a = logits_of(c->op, 0);
  return RUN_ROWS(c, log_prob_kernel, a, (const int32_t *)c->op->in[1].data,
                  (float *)c->op->out[0].data, (float *)c->op->out[1].data);
}

cudaError_t vk_cuda_run_log_prob_grad(const vk_cuda_call *c)
{
  logits a = logits_of(c->op, 1);
  return RUN_ROWS(c, log_prob_grad_kernel, a, (const float *)c->op->in[0].data,
                  (const int32_t *)c->op->in[2].data, (const float *)c->op->in[3].data,
                  (float *)c->op->out[0].data);
}

cudaError_t vk_cuda_run_entropy(const vk_cuda_call *c)
{
  logits a = logits_of(c->op, 0);
  return RUN_ROWS(c, entropy_kernel, a, (float *)c->op->out[0].data, (float *)c->op->out[1].data);
}

cudaError_t vk_cuda_run_entropy_grad(const vk_cuda_call *c)
{
  logits a = logits_of(c->op, 1);
  return RUN_ROWS(c, entropy_grad_kernel, a, (const float *)c->op->in[0].data,
                  (const float *)c->op->in[2].data, (const float *)c->op->in[3].data,
                  (float *)c->op->out[0].data);
}
