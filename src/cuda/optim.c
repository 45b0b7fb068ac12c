/* optim.c - an optimiser's step on a GPU: both passes follow each other on the device, which finds
 * the norm itself, and the host waits once, at the end. */
#include <stdlib.h>
#include <string.h>

#include "cuda/device.h"

typedef struct optim_state {
  uint8_t *block; /* of the device: chunks, squares, result, factors */
  vk_optim_chunk *chunk;
  double *square, *result;
  vk_optim_factor *factor;
  struct host {
    double result[2];
    vk_optim_factor factor[];
  } * host; /* pinned */
  size_t n_factor;
} optim_state;

static size_t round_up(size_t n)
{
  return (n + 255) / 256 * 256;
}

static size_t group_count(const vk_optim_pass *p)
{
  int32_t n = 0;
  for (int64_t i = 0; i < p->n_chunk; i++)
    n = p->chunk[i].i_group >= n ? p->chunk[i].i_group + 1 : n;
  return (size_t)n;
}

void vk_cuda_optim_close(const vk_device *d, void *state)
{
  optim_state *s = state;
  vk_cuda_try_use(d);
  (void)cudaFree(s->block);
  (void)cudaFreeHost(s->host);
  free(s);
}

static vk_status open_state(const vk_device *d, const vk_optim_pass *p, optim_state *s, vk_err *err)
{
  static const char doing[] = "opening an optimiser";
  size_t n = (size_t)p->n_chunk, n_chunk = round_up(n * sizeof *s->chunk);
  size_t n_square = round_up(n * sizeof *s->square), n_result = round_up(sizeof s->host->result);
  s->n_factor = group_count(p);
  size_t n_factor = round_up(s->n_factor * sizeof *s->factor);
  VK_TRY(
      VK_CUDA_CHECK(cudaMalloc((void **)&s->block, n_chunk + n_square + n_result + n_factor + 256),
                    d, doing, err));
  VK_TRY(VK_CUDA_CHECK(
      cudaMallocHost((void **)&s->host, sizeof *s->host + s->n_factor * sizeof *s->factor), d,
      doing, err));
  s->chunk = (vk_optim_chunk *)s->block;
  s->square = (double *)(s->block + n_chunk);
  s->result = (double *)(s->block + n_chunk + n_square);
  s->factor = (vk_optim_factor *)(s->block + n_chunk + n_square + n_result);
  if (n == 0)
    return VK_OK;
  cudaStream_t stream = vk_cuda_device_of(d)->stream;
  VK_TRY(VK_CUDA_CHECK(
      cudaMemcpyAsync(s->chunk, p->chunk, n * sizeof *s->chunk, cudaMemcpyHostToDevice, stream), d,
      doing, err));
  return VK_CUDA_CHECK(cudaStreamSynchronize(stream), d, doing, err);
}

static vk_status step(const vk_device *d, const vk_optim_pass *p, optim_state *s, vk_err *err)
{
  static const char doing[] = "a step of the optimiser";
  cudaStream_t stream = vk_cuda_device_of(d)->stream;
  size_t n = s->n_factor * sizeof *s->factor;
  memcpy(s->host->factor, p->factor, n);
  if (n)
    VK_TRY(VK_CUDA_CHECK(
        cudaMemcpyAsync(s->factor, s->host->factor, n, cudaMemcpyHostToDevice, stream), d, doing,
        err));
  VK_TRY(
      VK_CUDA_CHECK(vk_cuda_optim_norm(p, s->chunk, s->square, s->result, stream), d, doing, err));
  VK_TRY(VK_CUDA_CHECK(vk_cuda_optim_update(p, s->chunk, s->factor, s->result, stream), d, doing,
                       err));
  VK_TRY(VK_CUDA_CHECK(cudaMemcpyAsync(s->host->result, s->result, sizeof s->host->result,
                                       cudaMemcpyDeviceToHost, stream),
                       d, doing, err));
  return VK_CUDA_CHECK(cudaStreamSynchronize(stream), d, doing, err);
}

vk_status vk_cuda_optim_run(const vk_device *d, const vk_optim_pass *p, void **state, double *norm,
                            vk_err *err)
{
  VK_TRY(vk_cuda_use(d, err));
  if (!*state) {
    optim_state *s = calloc(1, sizeof *s);
    if (!s)
      return vk_fail(err, VK_E_NOMEM, "no memory for an optimiser");
    vk_status st = open_state(d, p, s, err);
    if (st != VK_OK) {
      vk_cuda_optim_close(d, s);
      return st;
    }
    *state = s;
  }
  optim_state *s = *state;
  VK_TRY(step(d, p, s, err));
  *norm = s->host->result[0];
  return VK_OK;
}
