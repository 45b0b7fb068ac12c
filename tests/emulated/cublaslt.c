/* cublaslt.c - the stand-in for cuBLASLt: cublaslt.h. */
#include "cublaslt.h"

#include <cublasLt.h>
#include <stdlib.h>
#include <string.h>

#include "fiber.h"
#include "internal.h"

vk_emulated_cublaslt vk_cublaslt;

_Static_assert(sizeof(cublasLtMatmulAlgo_t) == VK_CUBLASLT_ALGO_BYTES, "as the library's");
_Static_assert(sizeof(cublasLtMatmulHeuristicResult_t) == VK_CUBLASLT_RESULT_BYTES,
               "as the library's");

struct cublasLtContext {
  int device; /* that was current */
};

struct vk_cublaslt_desc {
  int32_t compute, scale, trans_a, trans_b;
  uint32_t epilogue;
  const void *bias;
};

struct vk_cublaslt_layout {
  uint32_t type;
  int32_t order;
  uint64_t rows, cols;
  int64_t ld;
};

struct vk_cublaslt_preference {
  uint64_t workspace;
  uint32_t schemes, align_a, align_b, align_c, align_d;
};

enum { MAGIC = 0x1a57, FAST_ALIGN = 16, LONG_SUM = 64, SPLIT_BYTES = 1 << 16 };

/* What an algorithm's 64 bytes hold. */
typedef struct algo {
  uint64_t magic, is_fast, m, n, k, workspace, types, trans;
} algo;

_Static_assert(sizeof(algo) == sizeof(cublasLtMatmulAlgo_t), "an algorithm is 64 bytes");

/* ---- handles and descriptors ---------------------------------------------------------------- */

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
  int n = 0;
  if (!handle)
    return CUBLAS_STATUS_INVALID_VALUE;
  if (cudaGetDeviceCount(&n) != cudaSuccess || n == 0)
    return CUBLAS_STATUS_NOT_INITIALIZED;
  *handle = calloc(1, sizeof **handle);
  if (*handle)
    (*handle)->device = vk_emulated_device;
  return *handle ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
  free(handle);
  return handle ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_INITIALIZED;
}

const char *cublasLtGetStatusString(cublasStatus_t status)
{
  switch (status) {
#define X(name, value)                                                                             \
  case name:                                                                                       \
    return #name;
    VK_CUBLAS_STATUSES(X)
#undef X
  }
  return "no status";
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
  *desc = calloc(1, sizeof **desc);
  if (!*desc)
    return CUBLAS_STATUS_ALLOC_FAILED;
  (*desc)->compute = (int32_t)compute;
  (*desc)->scale = (int32_t)scale;
  (*desc)->epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc)
{
  free(desc);
  return CUBLAS_STATUS_SUCCESS;
}

/* Only the size is looked at. */
static cublasStatus_t set(void *to, size_t room, const void *value, size_t size)
{
  if (!value || size != room)
    return CUBLAS_STATUS_INVALID_VALUE;
  memcpy(to, value, size);
  return CUBLAS_STATUS_SUCCESS;
}
#define SET(field) set(&(field), sizeof(field), value, size)

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attr,
                                              const void *value, size_t size)
{
  switch (attr) {
  case CUBLASLT_MATMUL_DESC_TRANSA:
    return SET(desc->trans_a);
  case CUBLASLT_MATMUL_DESC_TRANSB:
    return SET(desc->trans_b);
  case CUBLASLT_MATMUL_DESC_EPILOGUE:
    return SET(desc->epilogue);
  case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
    return SET(desc->bias);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type,
                                          uint64_t rows, uint64_t cols, int64_t ld)
{
  *layout = calloc(1, sizeof **layout);
  if (!*layout)
    return CUBLAS_STATUS_ALLOC_FAILED;
  **layout = (struct vk_cublaslt_layout){(uint32_t)type, 0, rows, cols, ld};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
  free(layout);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attr,
                                                const void *value, size_t size)
{
  switch (attr) {
  case CUBLASLT_MATRIX_LAYOUT_TYPE:
    return SET(layout->type);
  case CUBLASLT_MATRIX_LAYOUT_ORDER:
    return SET(layout->order);
  case CUBLASLT_MATRIX_LAYOUT_ROWS:
    return SET(layout->rows);
  case CUBLASLT_MATRIX_LAYOUT_COLS:
    return SET(layout->cols);
  case CUBLASLT_MATRIX_LAYOUT_LD:
    return SET(layout->ld);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference)
{
  *preference = calloc(1, sizeof **preference);
  if (!*preference)
    return CUBLAS_STATUS_ALLOC_FAILED;
  **preference =
      (struct vk_cublaslt_preference){0, CUBLASLT_REDUCTION_SCHEME_MASK, 256, 256, 256, 256};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
  free(preference);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attr,
                                                    const void *value, size_t size)
{
  switch (attr) {
  case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
    return SET(preference->workspace);
  case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
    return SET(preference->schemes);
  case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
    return SET(preference->align_a);
  case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
    return SET(preference->align_b);
  case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
    return SET(preference->align_c);
  case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
    return SET(preference->align_d);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

/* ---- what can be computed ------------------------------------------------------------------- */

typedef struct problem {
  const struct vk_cublaslt_desc *desc;
  const struct vk_cublaslt_layout *a, *b, *c, *d;
  uint64_t m, n, k;
} problem;

static size_t size_of(uint32_t type)
{
  return type == CUDA_R_16BF ? 2 : 4;
}

static bool is_layout(const struct vk_cublaslt_layout *l)
{
  return (l->type == CUDA_R_32F || l->type == CUDA_R_16BF) && l->order == 0 && l->rows > 0 &&
         l->cols > 0 && l->rows <= INT32_MAX && l->cols <= INT32_MAX && l->ld > 0 &&
         (uint64_t)l->ld >= l->rows;
}

static bool is_desc(const struct vk_cublaslt_desc *d)
{
  return (d->trans_a == CUBLAS_OP_N || d->trans_a == CUBLAS_OP_T) &&
         (d->trans_b == CUBLAS_OP_N || d->trans_b == CUBLAS_OP_T) &&
         (d->epilogue == CUBLASLT_EPILOGUE_DEFAULT || d->epilogue == CUBLASLT_EPILOGUE_BIAS);
}

/* Shapes that do not meet are INVALID_VALUE, types that the library has no kernels for
 * NOT_SUPPORTED. */
static cublasStatus_t problem_of(problem *p, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                 cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                 cublasLtMatrixLayout_t d)
{
  if (!desc || !a || !b || !c || !d || !is_desc(desc) || !is_layout(a) || !is_layout(b) ||
      !is_layout(c) || !is_layout(d))
    return CUBLAS_STATUS_INVALID_VALUE;
  *p = (problem){desc, a, b, c, d, d->rows, d->cols, desc->trans_a ? a->rows : a->cols};
  if ((desc->trans_a ? a->cols : a->rows) != p->m || (desc->trans_b ? b->cols : b->rows) != p->k ||
      (desc->trans_b ? b->rows : b->cols) != p->n || c->rows != p->m || c->cols != p->n)
    return CUBLAS_STATUS_INVALID_VALUE;
  if (desc->compute != CUBLAS_COMPUTE_32F || desc->scale != CUDA_R_32F || a->type != b->type ||
      c->type != d->type || (a->type == CUDA_R_32F && d->type != CUDA_R_32F))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  return CUBLAS_STATUS_SUCCESS;
}

static uint64_t types_of(const problem *p)
{
  return (uint64_t)p->a->type << 8 | p->d->type;
}

static uint64_t trans_of(const problem *p)
{
  return (uint64_t)p->desc->trans_a << 1 | (uint64_t)p->desc->trans_b;
}

static bool has_fast_rows(const struct vk_cublaslt_layout *l)
{
  return (size_t)l->ld * size_of(l->type) % FAST_ALIGN == 0;
}

static bool is_fast_shape(const problem *p)
{
  return has_fast_rows(p->a) && has_fast_rows(p->b) && has_fast_rows(p->c) && has_fast_rows(p->d);
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int n_wanted,
                                              cublasLtMatmulHeuristicResult_t result[],
                                              int *n_found)
{
  vk_cublaslt.n_search++;
  if (!handle)
    return CUBLAS_STATUS_NOT_INITIALIZED;
  if (!preference || !result || !n_found || n_wanted <= 0)
    return CUBLAS_STATUS_INVALID_VALUE;
  *n_found = 0;
  problem p;
  cublasStatus_t st = problem_of(&p, desc, a, b, c, d);
  if (st != CUBLAS_STATUS_SUCCESS || vk_cublaslt.is_empty)
    return st == CUBLAS_STATUS_SUCCESS ? CUBLAS_STATUS_NOT_SUPPORTED : st;
  bool can_split =
      preference->schemes & (p.d->type == CUDA_R_32F ? CUBLASLT_REDUCTION_SCHEME_MASK
                                                     : CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
  uint64_t workspace = p.k > LONG_SUM ? SPLIT_BYTES : 0;
  bool is_fast = is_fast_shape(&p) && preference->align_a >= FAST_ALIGN &&
                 preference->align_b >= FAST_ALIGN && preference->align_c >= FAST_ALIGN &&
                 preference->align_d >= FAST_ALIGN && preference->workspace >= workspace &&
                 (workspace == 0 || can_split) && (uintptr_t)desc->bias % FAST_ALIGN == 0;
  for (int i = is_fast ? 1 : 0; i >= 0 && *n_found < n_wanted; i--) {
    algo found = {MAGIC, (uint64_t)i, p.m, p.n, p.k, i ? workspace : 0, types_of(&p), trans_of(&p)};
    cublasLtMatmulHeuristicResult_t *r = &result[(*n_found)++];
    memset(r, 0, sizeof *r);
    memcpy(&r->algo, &found, sizeof found);
    r->workspaceSize = found.workspace;
    r->state = CUBLAS_STATUS_SUCCESS;
    r->wavesCount = 1;
  }
  return CUBLAS_STATUS_SUCCESS;
}

/* ---- computing it --------------------------------------------------------------------------- */

typedef struct product {
  struct vk_cublaslt_desc desc;
  struct vk_cublaslt_layout a_layout, b_layout, c_layout, d_layout;
  uint64_t m, n, k;
  float alpha, beta;
  const void *a, *b, *c;
  void *d;
} product;

static float load(const void *data, uint32_t type, int64_t i)
{
  if (type == CUDA_R_32F)
    return ((const float *)data)[i];
  uint32_t bits = (uint32_t)((const uint16_t *)data)[i] << 16;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static void store(void *data, uint32_t type, int64_t i, float x)
{
  if (type == CUDA_R_32F) {
    ((float *)data)[i] = x;
    return;
  }
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits = (bits & 0x7fffffffu) > 0x7f800000u ? bits | 0x400000u : bits + 0x7fffu + (bits >> 16 & 1);
  ((uint16_t *)data)[i] = (uint16_t)(bits >> 16);
}

static float at(const void *data, const struct vk_cublaslt_layout *l, bool is_trans, int64_t row,
                int64_t col)
{
  return load(data, l->type, is_trans ? row * l->ld + col : col * l->ld + row);
}

/* Rows of a matrix, or of its transpose, one after the other, and room for a row of sums behind
 * them. */
static float *rows_of(const void *data, const struct vk_cublaslt_layout *l, bool is_trans,
                      int64_t n_row, int64_t n_col)
{
  float *x = malloc((size_t)((n_row + 1) * n_col + 1) * sizeof *x);
  if (!x)
    vk_emulated_fatal("no memory for a product");
  for (int64_t r = 0; r < n_row; r++)
    for (int64_t c = 0; c < n_col; c++)
      x[r * n_col + c] = at(data, l, is_trans, r, c);
  return x;
}

static void run_product(void *data)
{
  const product *p = data;
  int64_t m = (int64_t)p->m, n = (int64_t)p->n, n_k = (int64_t)p->k;
  float *a = rows_of(p->a, &p->a_layout, !p->desc.trans_a, n_k, m), *sum = a + n_k * m;
  float *b = rows_of(p->b, &p->b_layout, !p->desc.trans_b, n, n_k);
  for (int64_t j = 0; j < n; j++) {
    memset(sum, 0, (size_t)m * sizeof *sum);
    for (int64_t k = 0; k < n_k; k++)
      for (int64_t i = 0; i < m; i++)
        sum[i] += a[k * m + i] * b[j * n_k + k];
    for (int64_t i = 0; i < m; i++) {
      float y = sum[i] * p->alpha;
      if (p->beta != 0)
        y += p->beta * at(p->c, &p->c_layout, false, i, j);
      if (p->desc.epilogue == CUBLASLT_EPILOGUE_BIAS)
        y += load(p->desc.bias, p->d_layout.type, i);
      store(p->d, p->d_layout.type, j * p->d_layout.ld + i, y);
    }
  }
  free(a);
  free(b);
}

static bool is_pointer(const void *p, size_t align)
{
  return p && (uintptr_t)p % align == 0;
}

static cublasStatus_t check_pointers(const product *p, bool is_fast)
{
  size_t factor = is_fast ? FAST_ALIGN : size_of(p->a_layout.type);
  size_t result = is_fast ? FAST_ALIGN : size_of(p->d_layout.type);
  bool has_bias = p->desc.epilogue == CUBLASLT_EPILOGUE_BIAS;
  if (!is_pointer(p->a, factor) || !is_pointer(p->b, factor) || !is_pointer(p->d, result) ||
      (p->beta != 0 && !is_pointer(p->c, result)) ||
      (has_bias && !is_pointer(p->desc.bias, result)))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (p->beta != 0 && p->c == p->d && p->c_layout.ld != p->d_layout.ld)
    return CUBLAS_STATUS_INVALID_VALUE;
  if (vk_emulated_is_out_of_reach(p->a) || vk_emulated_is_out_of_reach(p->b) ||
      vk_emulated_is_out_of_reach(p->d) || (p->beta != 0 && vk_emulated_is_out_of_reach(p->c)) ||
      (has_bias && vk_emulated_is_out_of_reach(p->desc.bias)))
    return CUBLAS_STATUS_EXECUTION_FAILED;
  return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t check_algo(const problem *p, const algo *use, const void *workspace,
                                 size_t workspace_bytes)
{
  if (use->magic != MAGIC || use->types != types_of(p) || use->trans != trans_of(p) ||
      use->workspace > workspace_bytes ||
      (use->workspace > 0 &&
       (!is_pointer(workspace, 256) || vk_emulated_is_out_of_reach(workspace))))
    return CUBLAS_STATUS_INVALID_VALUE;
  bool is_same = use->m == p->m && use->n == p->n && use->k == p->k;
  if ((use->is_fast && !is_fast_shape(p)) || (vk_cublaslt.is_strict && !is_same))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t a_layout, const void *b,
                              cublasLtMatrixLayout_t b_layout, const void *beta, const void *c,
                              cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t *algorithm, void *workspace,
                              size_t workspace_bytes, cudaStream_t stream)
{
  if (!handle)
    return CUBLAS_STATUS_NOT_INITIALIZED;
  if (handle->device != vk_emulated_device) {
    vk_emulated_say("a product by a handle of device %d while device %d is current", handle->device,
                    vk_emulated_device);
    return CUBLAS_STATUS_EXECUTION_FAILED;
  }
  problem p;
  algo use = {0};
  cublasStatus_t st = problem_of(&p, desc, a_layout, b_layout, c_layout, d_layout);
  if (st == CUBLAS_STATUS_SUCCESS && (!alpha || !beta || !algorithm))
    st = CUBLAS_STATUS_INVALID_VALUE;
  if (st == CUBLAS_STATUS_SUCCESS) {
    memcpy(&use, algorithm, sizeof use);
    st = check_algo(&p, &use, workspace, workspace_bytes);
  }
  if (st == CUBLAS_STATUS_SUCCESS) {
    product run = {*desc,
                   *a_layout,
                   *b_layout,
                   *c_layout,
                   *d_layout,
                   p.m,
                   p.n,
                   p.k,
                   *(const float *)alpha,
                   *(const float *)beta,
                   a,
                   b,
                   c,
                   d};
    st = check_pointers(&run, use.is_fast);
    if (st == CUBLAS_STATUS_SUCCESS &&
        vk_emulated_enqueue(stream, run_product, &run, sizeof run) != cudaSuccess)
      st = CUBLAS_STATUS_EXECUTION_FAILED;
  }
  if (st == CUBLAS_STATUS_SUCCESS)
    *(use.is_fast ? &vk_cublaslt.n_fast : &vk_cublaslt.n_plain) += 1;
  else
    vk_cublaslt.n_refused++;
  return st;
}
