/* check_nccl.c - that src/cuda/nccl.h has the values, types and functions of the library's header,
 * which this is compiled against: check_toolkit.sh. */
#include <nccl.h>

#include "../../src/cuda/nccl.h"

#define X(name, value) _Static_assert(name == value, #name);
VK_NCCL_RESULTS(X)
VK_NCCL_DATA_TYPES(X)
VK_NCCL_OPERATIONS(X)
#undef X
_Static_assert(NCCL_MAJOR == 2, "the library that sum.c opens");
_Static_assert(sizeof(ncclResult_t) == sizeof(int) && sizeof(ncclComm_t) == sizeof(void *),
               "sizes");
