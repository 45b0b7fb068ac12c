/* optim.cu - the kernels of an optimiser's step: nn/optim_kernel.c says the same for the CPU. */
#include "cuda/device.h"
#include "cuda/kernel.h"

static __device__ __forceinline__ double sum_block(double x)
{
  __shared__ double part[VK_BLOCK];
  __syncthreads();
  part[threadIdx.x] = x;
  for (unsigned half = VK_BLOCK / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half)
      part[threadIdx.x] += part[threadIdx.x + half];
  }
  __syncthreads();
  return part[0];
}

/* A block a chunk. */
static __global__ void add_squares(const float *grad, const vk_optim_chunk *chunk, double *square)
{
  const vk_optim_chunk c = chunk[blockIdx.x];
  double sum = 0;
  for (int64_t i = threadIdx.x; i < c.n; i += blockDim.x) {
    double g = (double)grad[c.begin + i];
    sum += g * g;
  }
  sum = sum_block(sum);
  if (threadIdx.x == 0)
    square[blockIdx.x] = sum;
}

/* One block. */
static __global__ void find_factor(const double *square, int64_t n_chunk, double grad_scale,
                                   double max_norm, double *result)
{
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n_chunk; i += blockDim.x)
    sum += square[i];
  sum = sum_block(sum);
  if (threadIdx.x != 0)
    return;
  double norm = sqrt(sum) * grad_scale;
  double clip = max_norm > 0 ? max_norm / (norm + 1e-6) : 1;
  clip = clip < 1 ? clip : 1;
  double factor = grad_scale * clip;
  result[0] = norm;
  result[1] = norm * clip < 1e19 && factor >= FLT_MIN && factor <= FLT_MAX ? factor : 0;
}

typedef struct update {
  float *param, *m, *v, *ema;
  const float *grad;
  float share1, beta2, share2, eps, root, ema_share;
} update;

static __global__ void update_chunk(update u, const vk_optim_chunk *chunk,
                                    const vk_optim_factor *factor, const double *result)
{
  const vk_optim_chunk c = chunk[blockIdx.x];
  const vk_optim_factor f = factor[c.i_group];
  const float grad_factor = (float)result[1];
  if (grad_factor == 0)
    return;
  for (int64_t k = threadIdx.x; k < c.n; k += blockDim.x) {
    int64_t i = c.begin + k;
    float g = u.grad[i] * grad_factor, m = u.m[i], v = u.v[i], x = u.param[i];
    m = fmaf(g - m, u.share1, m);
    v = fmaf(g * g, u.share2, v * u.beta2);
    u.m[i] = m;
    u.v[i] = v;
    x = x * f.keep - f.step * m / fmaf(sqrtf(v), u.root, u.eps);
    u.param[i] = x;
    if (u.ema)
      u.ema[i] = fmaf(x - u.ema[i], u.ema_share, u.ema[i]);
  }
}

extern "C" cudaError_t vk_cuda_optim_norm(const vk_optim_pass *p, const vk_optim_chunk *chunk,
                                          double *square, double *result, cudaStream_t stream)
{
  if (p->n_chunk > 0)
    VK_CUDA_TRY(vk_launch(add_squares, dim3((unsigned)p->n_chunk), dim3(VK_BLOCK), 0, stream,
                          p->grad, chunk, square));
  return vk_launch(find_factor, dim3(1), dim3(VK_BLOCK), 0, stream, square, p->n_chunk,
                   p->grad_scale, p->max_norm, result);
}

extern "C" cudaError_t vk_cuda_optim_update(const vk_optim_pass *p, const vk_optim_chunk *chunk,
                                            const vk_optim_factor *factor, const double *result,
                                            cudaStream_t stream)
{
  if (p->n_chunk == 0)
    return cudaSuccess;
  update u;
  u.param = p->param;
  u.m = p->m;
  u.v = p->v;
  u.ema = p->ema;
  u.grad = p->grad;
  u.share1 = p->share1;
  u.beta2 = p->beta2;
  u.share2 = p->share2;
  u.eps = p->eps;
  u.root = p->root;
  u.ema_share = p->ema_share;
  return vk_launch(update_chunk, dim3((unsigned)p->n_chunk), dim3(VK_BLOCK), 0, stream, u, chunk,
                   factor, result);
}
