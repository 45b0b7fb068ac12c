/* library.c - cuda/library.h where tests/emulated stands in for the GPU: libraries are what is
 * linked. */
#include "cuda/library.h"

#include <cublasLt.h>
#include <string.h>

#include "cublaslt.h"
#include "nccl.h"

typedef void function(void);

static const struct {
  const char *name;
  function *at;
} functions[] = {
#define F(name)                                                                                    \
  {                                                                                                \
#name, (function *)name                                                                        \
  }
    F(cublasLtCreate),
    F(cublasLtDestroy),
    F(cublasLtGetStatusString),
    F(cublasLtMatmul),
    F(cublasLtMatmulAlgoGetHeuristic),
    F(cublasLtMatmulDescCreate),
    F(cublasLtMatmulDescDestroy),
    F(cublasLtMatmulDescSetAttribute),
    F(cublasLtMatmulPreferenceCreate),
    F(cublasLtMatmulPreferenceDestroy),
    F(cublasLtMatmulPreferenceSetAttribute),
    F(cublasLtMatrixLayoutCreate),
    F(cublasLtMatrixLayoutDestroy),
    F(cublasLtMatrixLayoutSetAttribute),
    F(ncclAllReduce),
    F(ncclCommAbort),
    F(ncclCommDestroy),
    F(ncclCommGetAsyncError),
    F(ncclCommInitAll),
    F(ncclGetErrorString),
    F(ncclGetLastError),
    F(ncclGroupEnd),
    F(ncclGroupStart),
#undef F
};

static function *find(const char *name)
{
  for (size_t i = 0; i < VK_COUNT(functions); i++)
    if (strcmp(functions[i].name, name) == 0)
      return functions[i].at;
  return NULL;
}

vk_status vk_cuda_library_open(const vk_cuda_library *l, void (**out)(void), vk_err *err)
{
  if (strcmp(l->name, "NCCL") == 0 ? vk_nccl.is_missing : vk_cublaslt.is_missing)
    return vk_fail(err, VK_E_UNSUPPORTED, "%s cannot be opened; install %s (%s)", l->name,
                   l->package, l->file[0]);
  for (int i = 0; l->symbol[i]; i++)
    if (!find(l->symbol[i]))
      return vk_fail(err, VK_E_UNSUPPORTED, "nothing stands in for %s of %s", l->symbol[i],
                     l->name);
  for (int i = 0; l->symbol[i]; i++)
    out[i] = find(l->symbol[i]);
  return VK_OK;
}
