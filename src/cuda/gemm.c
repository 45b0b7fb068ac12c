/* cuBLASLt's matrices are column-major: what is [m, n] by rows for us is [n, m] by columns for it,
 * so that c = op(a) op(b) becomes c' = op(b)' op(a)', its first factor being our second. A bias has
 * an item for each of its rows, which are our columns. */
#include "cuda/gemm.h"

#include <cublasLt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/library.h"

enum {
  WORKSPACE_BYTES = 32 << 20,
  N_CANDIDATE = 8, /* algorithms that the library is asked for */
  ALIGN = 16,      /* bytes that the fastest kernels load at once */
};

/* clang-format off */
#define FUNCTIONS(X)                                                                               \
  X(cublasLtCreate)                                                                                \
  X(cublasLtDestroy)                                                                               \
  X(cublasLtGetStatusString)                                                                       \
  X(cublasLtMatmul)                                                                                \
  X(cublasLtMatmulAlgoGetHeuristic)                                                                \
  X(cublasLtMatmulDescCreate)                                                                      \
  X(cublasLtMatmulDescDestroy)                                                                     \
  X(cublasLtMatmulDescSetAttribute)                                                                \
  X(cublasLtMatmulPreferenceCreate)                                                                \
  X(cublasLtMatmulPreferenceDestroy)                                                               \
  X(cublasLtMatmulPreferenceSetAttribute)                                                          \
  X(cublasLtMatrixLayoutCreate)                                                                    \
  X(cublasLtMatrixLayoutDestroy)                                                                   \
  X(cublasLtMatrixLayoutSetAttribute)
/* clang-format on */

typedef struct functions {
#define X(name) __typeof__(&name) name;
  FUNCTIONS(X)
#undef X
} functions;

/* What an algorithm was asked for. No byte of it is padding. */
typedef struct algo_key {
  int64_t m, n, k;
  uint8_t dtype, c_dtype, flags;
  uint8_t align[4]; /* bytes: a, b, c and what is added to it, bias */
  uint8_t is_exact; /* for this shape alone; else for all of a bucket */
} algo_key;

enum { A_TRANS = 1, B_TRANS = 2, HAS_BIAS = 4, HAS_ADD = 8 };

typedef struct entry {
  algo_key key;
  bool is_used;
  bool is_refused; /* the library has no algorithm */
  cublasLtMatmulAlgo_t algo;
} entry;

struct vk_cuda_gemm {
  functions lib;
  cublasLtHandle_t handle;
  /* Those of the product that is being started. */
  cublasLtMatmulDesc_t desc;
  cublasLtMatrixLayout_t a, b, c, d;
  cublasLtMatmulPreference_t preference;
  void *workspace;
  entry *entry; /* [n_room] by their hash, a power of two */
  size_t n_entry, n_room;
  const char *call;  /* of the library, the last */
  char failed[128];  /* the call that failed, and its status; "": none since it was asked for */
  char refused[128]; /* the first product that the library refused; "": none, or it was told */
  bool has_refused;
};

/* ---- a handle ------------------------------------------------------------------------------- */

static vk_status open_library(functions *f, vk_err *err)
{
  /* That of the runtime first: another does not start with the driver that this one needs. */
  static const char *const file[] = {
#if CUDART_VERSION >= 13000
    "libcublasLt.so.13",
    "libcublasLt.so.12",
#else
    "libcublasLt.so.12",
    "libcublasLt.so.13",
#endif
    "libcublasLt.so",
    NULL
  };
#define X(name) #name,
  static const char *const symbol[] = {FUNCTIONS(X) NULL};
#undef X
  static const vk_cuda_library library = {
      .name = "cuBLASLt",
      .package = "libcublas of CUDA 13 or 12",
      .file = file,
      .symbol = symbol,
  };
  void (*function[VK_COUNT(symbol) - 1])(void);
  VK_TRY(vk_cuda_library_open(&library, function, err));
  int i = 0;
#define X(name) f->name = (__typeof__(f->name))function[i++];
  FUNCTIONS(X)
#undef X
  return VK_OK;
}

/* What does not depend on a product. */
static cublasStatus_t make_descriptors(vk_cuda_gemm *g)
{
  const functions *f = &g->lib;
  cublasLtMatrixLayout_t *layout[] = {&g->a, &g->b, &g->c, &g->d};
  cublasStatus_t st = f->cublasLtMatmulDescCreate(&g->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  for (size_t i = 0; i < VK_COUNT(layout) && st == CUBLAS_STATUS_SUCCESS; i++)
    st = f->cublasLtMatrixLayoutCreate(layout[i], CUDA_R_32F, 1, 1, 1);
  if (st == CUBLAS_STATUS_SUCCESS)
    st = f->cublasLtMatmulPreferenceCreate(&g->preference);
  uint64_t n = WORKSPACE_BYTES;
  if (st == CUBLAS_STATUS_SUCCESS)
    st = f->cublasLtMatmulPreferenceSetAttribute(
        g->preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &n, sizeof n);
  return st;
}

static vk_status start(vk_cuda_gemm *g, vk_err *err)
{
  VK_TRY(open_library(&g->lib, err));
  cublasStatus_t st = g->lib.cublasLtCreate(&g->handle);
  if (st == CUBLAS_STATUS_SUCCESS)
    st = make_descriptors(g);
  if (st != CUBLAS_STATUS_SUCCESS)
    return vk_fail(err, st == CUBLAS_STATUS_ALLOC_FAILED ? VK_E_NOMEM : VK_E_IO,
                   "cuBLASLt does not start: %s", g->lib.cublasLtGetStatusString(st));
  cudaError_t status = cudaMalloc(&g->workspace, WORKSPACE_BYTES);
  if (status == cudaSuccess)
    return VK_OK;
  (void)cudaGetLastError();
  if (status == cudaErrorMemoryAllocation)
    return vk_fail(err, VK_E_NOMEM, "the GPU has no %d MiB left for products of matrices",
                   WORKSPACE_BYTES >> 20);
  return vk_fail(err, VK_E_IO, "memory for products of matrices: cudaMalloc failed with %s (%s)",
                 cudaGetErrorName(status), cudaGetErrorString(status));
}

vk_status vk_cuda_gemm_new(vk_cuda_gemm **out, vk_err *err)
{
  *out = NULL;
  vk_cuda_gemm *g = calloc(1, sizeof *g);
  if (!g)
    return vk_fail(err, VK_E_NOMEM, "no memory for products of matrices");
  vk_status st = start(g, err);
  if (st != VK_OK) {
    vk_cuda_gemm_free(g);
    return st;
  }
  *out = g;
  return VK_OK;
}

void vk_cuda_gemm_free(vk_cuda_gemm *g)
{
  if (!g)
    return;
  const functions *f = &g->lib;
  cublasLtMatrixLayout_t layout[] = {g->a, g->b, g->c, g->d};
  for (size_t i = 0; i < VK_COUNT(layout); i++)
    if (layout[i])
      f->cublasLtMatrixLayoutDestroy(layout[i]);
  if (g->desc)
    f->cublasLtMatmulDescDestroy(g->desc);
  if (g->preference)
    f->cublasLtMatmulPreferenceDestroy(g->preference);
  if (g->handle)
    f->cublasLtDestroy(g->handle);
  if (g->workspace)
    cudaFree(g->workspace);
  free(g->entry);
  free(g);
}

size_t vk_cuda_gemm_bytes(const vk_cuda_gemm *g)
{
  return g ? WORKSPACE_BYTES : 0;
}

/* ---- which algorithm ------------------------------------------------------------------------ */

/* A power of two of bytes, ALIGN at most, to which rows of the matrix are aligned. */
static unsigned alignment(const void *data, int64_t ld, vk_dtype dtype)
{
  uint64_t bits = (uintptr_t)data | (uint64_t)ld * vk_dtype_size(dtype) | ALIGN;
  return (unsigned)(bits & -bits);
}

static unsigned min_u(unsigned a, unsigned b)
{
  return a < b ? a : b;
}

/* The most of a bucket: numbers of three bits, by powers of two. */
static int64_t bucket_of(int64_t n)
{
  int shift = 0;
  while (n >> shift > 7)
    shift++;
  return (((n - 1) >> shift) + 1) << shift;
}

static const void *added_to(const vk_cuda_product *p)
{
  return p->add ? p->add : p->c;
}

/* Rows of a differ from run to run: m or, where they are summed over, k. */
static algo_key key_of(const vk_cuda_product *p, bool is_exact)
{
  algo_key key = {.m = p->m,
                  .n = p->n,
                  .k = p->k,
                  .dtype = (uint8_t)p->dtype,
                  .c_dtype = (uint8_t)p->c_dtype,
                  .is_exact = is_exact};
  key.flags = (uint8_t)((p->a_trans ? A_TRANS : 0) | (p->b_trans ? B_TRANS : 0) |
                        (p->bias ? HAS_BIAS : 0) | (p->beta != 0 ? HAS_ADD : 0));
  key.align[0] = (uint8_t)alignment(p->a, p->lda, p->dtype);
  key.align[1] = (uint8_t)alignment(p->b, p->ldb, p->dtype);
  key.align[2] = (uint8_t)min_u(alignment(p->c, p->ldc, p->c_dtype),
                                alignment(added_to(p), p->ldc, p->c_dtype));
  key.align[3] = (uint8_t)alignment(p->bias, 0, VK_F32);
  if (!is_exact && !p->a_trans)
    key.m = bucket_of(p->m);
  else if (!is_exact && !p->b_trans)
    key.k = bucket_of(p->k);
  return key;
}

static size_t hash_of(const algo_key *key)
{
  uint64_t word[sizeof *key / sizeof(uint64_t)], h = 0;
  memcpy(word, key, sizeof word);
  for (size_t i = 0; i < VK_COUNT(word); i++) {
    h = (h ^ word[i]) * 0x9e3779b97f4a7c15u;
    h ^= h >> 32;
  }
  return (size_t)h;
}

/* Where the key is, or would be; there is room. */
static entry *slot_of(entry *table, size_t n_room, const algo_key *key)
{
  size_t i = hash_of(key) & (n_room - 1);
  while (table[i].is_used && memcmp(&table[i].key, key, sizeof *key) != 0)
    i = (i + 1) & (n_room - 1);
  return &table[i];
}

static const entry *find(const vk_cuda_gemm *g, const algo_key *key)
{
  const entry *e = g->n_room ? slot_of(g->entry, g->n_room, key) : NULL;
  return e && e->is_used ? e : NULL;
}

/* Half of the room stays free. Without memory the product is asked for again the next time. */
static void keep(vk_cuda_gemm *g, const entry *e)
{
  if (2 * (g->n_entry + 1) > g->n_room) {
    size_t n_room = g->n_room ? 2 * g->n_room : 64;
    entry *table = calloc(n_room, sizeof *table);
    if (!table)
      return;
    for (size_t i = 0; i < g->n_room; i++)
      if (g->entry[i].is_used)
        *slot_of(table, n_room, &g->entry[i].key) = g->entry[i];
    free(g->entry);
    g->entry = table;
    g->n_room = n_room;
  }
  *slot_of(g->entry, g->n_room, &e->key) = *e;
  g->n_entry++;
}

/* ---- a product ------------------------------------------------------------------------------ */

static cudaDataType type_of(vk_dtype dtype)
{
  return dtype == VK_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

/* A row-major matrix as the library sees it: a column for each row. */
static cublasStatus_t set_layout(const functions *f, cublasLtMatrixLayout_t layout, vk_dtype dtype,
                                 int64_t n_row, int64_t n_col, int64_t ld)
{
  uint32_t type = (uint32_t)type_of(dtype);
  uint64_t rows = (uint64_t)n_col, cols = (uint64_t)n_row;
  const struct {
    cublasLtMatrixLayoutAttribute_t attr;
    const void *value;
    size_t size;
  } set[] = {{CUBLASLT_MATRIX_LAYOUT_TYPE, &type, sizeof type},
             {CUBLASLT_MATRIX_LAYOUT_ROWS, &rows, sizeof rows},
             {CUBLASLT_MATRIX_LAYOUT_COLS, &cols, sizeof cols},
             {CUBLASLT_MATRIX_LAYOUT_LD, &ld, sizeof ld}};
  cublasStatus_t st = CUBLAS_STATUS_SUCCESS;
  for (size_t i = 0; i < VK_COUNT(set) && st == CUBLAS_STATUS_SUCCESS; i++)
    st = f->cublasLtMatrixLayoutSetAttribute(layout, set[i].attr, set[i].value, set[i].size);
  return st;
}

static cublasStatus_t set_operation(const vk_cuda_gemm *g, const vk_cuda_product *p)
{
  int32_t trans_a = p->b_trans ? CUBLAS_OP_T : CUBLAS_OP_N; /* its first factor is our second */
  int32_t trans_b = p->a_trans ? CUBLAS_OP_T : CUBLAS_OP_N;
  uint32_t epilogue = p->bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
  const void *bias = p->bias;
  const struct {
    cublasLtMatmulDescAttributes_t attr;
    const void *value;
    size_t size;
  } set[] = {{CUBLASLT_MATMUL_DESC_TRANSA, &trans_a, sizeof trans_a},
             {CUBLASLT_MATMUL_DESC_TRANSB, &trans_b, sizeof trans_b},
             {CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue},
             {CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias}};
  cublasStatus_t st = CUBLAS_STATUS_SUCCESS;
  for (size_t i = 0; i < VK_COUNT(set) && st == CUBLAS_STATUS_SUCCESS; i++)
    st = g->lib.cublasLtMatmulDescSetAttribute(g->desc, set[i].attr, set[i].value, set[i].size);
  return st;
}

/* The descriptors, for m rows of op(a) and k terms. */
static cublasStatus_t describe(vk_cuda_gemm *g, const vk_cuda_product *p, int64_t m, int64_t k)
{
  const functions *f = &g->lib;
  g->call = "cublasLtMatmulDescSetAttribute";
  cublasStatus_t st = set_operation(g, p);
  if (st == CUBLAS_STATUS_SUCCESS)
    g->call = "cublasLtMatrixLayoutSetAttribute";
  if (st == CUBLAS_STATUS_SUCCESS)
    st = set_layout(f, g->a, p->dtype, p->a_trans ? k : m, p->a_trans ? m : k, p->lda);
  if (st == CUBLAS_STATUS_SUCCESS)
    st = set_layout(f, g->b, p->dtype, p->b_trans ? p->n : k, p->b_trans ? k : p->n, p->ldb);
  if (st == CUBLAS_STATUS_SUCCESS)
    st = set_layout(f, g->c, p->c_dtype, m, p->n, p->ldc);
  if (st == CUBLAS_STATUS_SUCCESS)
    st = set_layout(f, g->d, p->c_dtype, m, p->n, p->ldc);
  return st;
}

/* Sums of parts of k may be stored as c is, but not in bf16. */
static cublasStatus_t set_preference(const vk_cuda_gemm *g, const algo_key *key)
{
  uint32_t scheme = key->c_dtype == VK_BF16 ? CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE
                                            : CUBLASLT_REDUCTION_SCHEME_MASK;
  uint32_t align[] = {key->align[1], key->align[0], key->align[2]};
  const struct {
    cublasLtMatmulPreferenceAttributes_t attr;
    const uint32_t *value;
  } set[] = {{CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &scheme},
             {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &align[0]},
             {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &align[1]},
             {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &align[2]},
             {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &align[2]}};
  cublasStatus_t st = CUBLAS_STATUS_SUCCESS;
  for (size_t i = 0; i < VK_COUNT(set) && st == CUBLAS_STATUS_SUCCESS; i++)
    st = g->lib.cublasLtMatmulPreferenceSetAttribute(g->preference, set[i].attr, set[i].value,
                                                     sizeof *set[i].value);
  return st;
}

static cublasStatus_t run_algo(vk_cuda_gemm *g, const vk_cuda_product *p,
                               const cublasLtMatmulAlgo_t *algo, cudaStream_t stream)
{
  const float alpha = 1, beta = p->beta;
  cublasStatus_t st = describe(g, p, p->m, p->k);
  if (st != CUBLAS_STATUS_SUCCESS)
    return st;
  g->call = "cublasLtMatmul";
  return g->lib.cublasLtMatmul(g->handle, g->desc, &alpha, p->b, g->b, p->a, g->a, &beta,
                               added_to(p), g->c, p->c, g->d, algo, g->workspace, WORKSPACE_BYTES,
                               stream);
}

/* Whether another algorithm may do. */
static bool is_refused(cublasStatus_t st)
{
  return st == CUBLAS_STATUS_NOT_SUPPORTED || st == CUBLAS_STATUS_INVALID_VALUE ||
         st == CUBLAS_STATUS_ARCH_MISMATCH;
}

/* Asks for algorithms and runs the first that the library takes; keeps it, or that there is none.
 */
static cublasStatus_t run_new(vk_cuda_gemm *g, const vk_cuda_product *p, const algo_key *key,
                              cudaStream_t stream)
{
  cublasLtMatmulHeuristicResult_t found[N_CANDIDATE];
  int n = 0;
  g->call = "cublasLtMatmulPreferenceSetAttribute";
  cublasStatus_t st = set_preference(g, key);
  if (st == CUBLAS_STATUS_SUCCESS)
    st = describe(g, p, key->m, key->k);
  if (st == CUBLAS_STATUS_SUCCESS)
    g->call = "cublasLtMatmulAlgoGetHeuristic";
  if (st == CUBLAS_STATUS_SUCCESS)
    st = g->lib.cublasLtMatmulAlgoGetHeuristic(g->handle, g->desc, g->b, g->a, g->c, g->d,
                                               g->preference, N_CANDIDATE, found, &n);
  if (st != CUBLAS_STATUS_SUCCESS && st != CUBLAS_STATUS_NOT_SUPPORTED)
    return st;
  entry e = {.key = *key, .is_used = true, .is_refused = true};
  st = CUBLAS_STATUS_NOT_SUPPORTED;
  for (int i = 0; i < n && e.is_refused; i++) {
    if (found[i].state != CUBLAS_STATUS_SUCCESS || found[i].workspaceSize > WORKSPACE_BYTES)
      continue;
    st = run_algo(g, p, &found[i].algo, stream);
    if (st != CUBLAS_STATUS_SUCCESS && !is_refused(st))
      return st;
    e.is_refused = st != CUBLAS_STATUS_SUCCESS;
    e.algo = found[i].algo;
  }
  keep(g, &e);
  return st;
}

static cublasStatus_t run_key(vk_cuda_gemm *g, const vk_cuda_product *p, const algo_key *key,
                              cudaStream_t stream)
{
  const entry *e = find(g, key);
  if (!e)
    return run_new(g, p, key, stream);
  return e->is_refused ? CUBLAS_STATUS_NOT_SUPPORTED : run_algo(g, p, &e->algo, stream);
}

/* What the device was lost by, if it was: the library's own statuses say less. */
static cudaError_t fail_product(vk_cuda_gemm *g, cublasStatus_t st)
{
  snprintf(g->failed, sizeof g->failed, "%s [%s]", g->call, g->lib.cublasLtGetStatusString(st));
  if (st == CUBLAS_STATUS_ALLOC_FAILED)
    return cudaErrorMemoryAllocation;
  cudaError_t e = cudaPeekAtLastError();
  return e == cudaSuccess ? cudaErrorUnknown : e;
}

const char *vk_cuda_gemm_take_failure(vk_cuda_gemm *g, char text[128])
{
  snprintf(text, 128, "%s", g->failed);
  g->failed[0] = '\0';
  return text;
}

/* Once a handle. */
static void remember_refused(vk_cuda_gemm *g, const vk_cuda_product *p)
{
  if (!g->has_refused)
    snprintf(g->refused, sizeof g->refused, "[%lld, %lld] of %lld terms each in %s",
             (long long)p->m, (long long)p->n, (long long)p->k, vk_dtype_name(p->dtype));
  g->has_refused = true;
}

bool vk_cuda_gemm_take_refused(vk_cuda_gemm *g, char text[128])
{
  snprintf(text, 128, "%s", g->refused);
  g->refused[0] = '\0';
  return text[0] != '\0';
}

cudaError_t vk_cuda_gemm_run(vk_cuda_gemm *g, const vk_cuda_product *p, cudaStream_t stream)
{
  VK_ASSERT(p->m > 0 && p->n > 0 && p->k > 0);
  VK_ASSERT(p->c_dtype == VK_F32 || (!p->bias && p->beta == 0));
  algo_key key = key_of(p, false);
  cublasStatus_t st = run_key(g, p, &key, stream);
  if (is_refused(st)) {
    key = key_of(p, true);
    st = run_key(g, p, &key, stream);
  }
  if (st == CUBLAS_STATUS_SUCCESS)
    return cudaSuccess;
  if (!is_refused(st))
    return fail_product(g, st);
  remember_refused(g, p);
  return vk_cuda_gemm_plain(p, stream);
}
