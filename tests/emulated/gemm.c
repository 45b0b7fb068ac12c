/* gemm.c - cuda/gemm.h where there is no cuBLAS: plain loops that add in double, at the stream's
 * turn. Wrong products are errors, as they are of the library's. */
#include "cuda/gemm.h"

#include <stdlib.h>
#include <string.h>

#include "fiber.h"
#include "internal.h"

struct vk_cuda_gemm {
  void *workspace;
};

enum { WORKSPACE = 4096 };

vk_status vk_cuda_gemm_new(vk_cuda_gemm **out, vk_err *err)
{
  *out = NULL;
  vk_cuda_gemm *g = calloc(1, sizeof *g);
  if (!g)
    return vk_fail(err, VK_E_NOMEM, "no memory for a handle of products");
  cudaError_t status = cudaMalloc(&g->workspace, WORKSPACE);
  if (status != cudaSuccess) {
    free(g);
    return vk_fail(err, status == cudaErrorMemoryAllocation ? VK_E_NOMEM : VK_E_IO,
                   "no workspace of %d bytes for products: %s", WORKSPACE,
                   cudaGetErrorString(status));
  }
  *out = g;
  return VK_OK;
}

void vk_cuda_gemm_free(vk_cuda_gemm *g)
{
  if (!g)
    return;
  (void)cudaFree(g->workspace);
  free(g);
}

size_t vk_cuda_gemm_bytes(const vk_cuda_gemm *g)
{
  return WORKSPACE;
}

static float from_bf16(uint16_t x)
{
  uint32_t bits = (uint32_t)x << 16;
  float y;
  memcpy(&y, &bits, sizeof y);
  return y;
}

static uint16_t to_bf16(float x)
{
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

static double at(const void *x, vk_dtype dtype, int64_t ld, bool trans, int64_t i, int64_t j)
{
  int64_t k = trans ? j * ld + i : i * ld + j;
  return dtype == VK_BF16 ? (double)from_bf16(((const uint16_t *)x)[k])
                          : (double)((const float *)x)[k];
}

static void run_product(void *data)
{
  const vk_cuda_product *p = data;
  for (int64_t i = 0; i < p->m; i++)
    for (int64_t j = 0; j < p->n; j++) {
      double sum = p->bias ? (double)p->bias[j] : 0;
      for (int64_t k = 0; k < p->k; k++)
        sum += at(p->a, p->dtype, p->lda, p->a_trans, i, k) *
               at(p->b, p->dtype, p->ldb, p->b_trans, k, j);
      int64_t c = i * p->ldc + j;
      if (p->c_dtype == VK_BF16)
        ((uint16_t *)p->c)[c] = to_bf16((float)sum);
      else if (p->beta != 0)
        ((float *)p->c)[c] += (float)sum;
      else
        ((float *)p->c)[c] = (float)sum;
    }
}

static bool reaches(const void *x, int64_t rows, int64_t columns, int64_t ld, size_t item)
{
  size_t n;
  vk_emulated_place place = vk_emulated_find(x, &n);
  return place != VK_PLACE_PAGEABLE && columns <= ld &&
         (size_t)((rows - 1) * ld + columns) * item <= n;
}

cudaError_t vk_cuda_gemm_run(vk_cuda_gemm *g, const vk_cuda_product *p, cudaStream_t stream)
{
  size_t item = vk_dtype_size(p->dtype);
  bool is_right = g && p->m > 0 && p->n > 0 && p->k > 0 &&
                  (p->dtype == VK_F32 || p->dtype == VK_BF16) &&
                  (p->c_dtype == VK_F32 || (p->c_dtype == VK_BF16 && p->beta == 0)) &&
                  (p->beta == 0 || p->beta == 1) &&
                  reaches(p->a, p->a_trans ? p->k : p->m, p->a_trans ? p->m : p->k, p->lda, item) &&
                  reaches(p->b, p->b_trans ? p->n : p->k, p->b_trans ? p->k : p->n, p->ldb, item) &&
                  reaches(p->c, p->m, p->n, p->ldc, vk_dtype_size(p->c_dtype)) &&
                  (!p->bias || reaches(p->bias, 1, p->n, p->n, sizeof(float)));
  if (!is_right) {
    vk_emulated_say("a product of [%lld, %lld] by [%lld, %lld] reads or writes outside of its "
                    "memory, or is of a kind that the library does not know",
                    (long long)p->m, (long long)p->k, (long long)p->k, (long long)p->n);
    return cudaErrorUnknown;
  }
  return vk_emulated_enqueue(stream, run_product, p, sizeof *p);
}
