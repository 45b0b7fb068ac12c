/* library.h - shared libraries of a GPU's tools, opened when something first needs them: the
 * program starts without them, and runs on machines that have none.
 *
 * Test: tests/unit/test_cuda_library.c */
#ifndef VK_CUDA_LIBRARY_H
#define VK_CUDA_LIBRARY_H

#ifdef __cplusplus
extern "C" {
#endif

#include "core/err.h"

typedef struct vk_cuda_library {
  const char *name;          /* as errors call it: "cuBLASLt" */
  const char *package;       /* which package has it */
  const char *const *file;   /* for the system's loader, the first that is there; NULL ends */
  const char *const *symbol; /* functions that must be in it; NULL ends */
  const char *const *dir;    /* folders to look in after that; NULL ends. NULL: those of CUDA's
                                toolkits, which a system's loader need not know */
} vk_cuda_library;

/* Opens the library and looks its functions up. It stays open until the program ends.
 *   function  out, as many as l->symbol has, in that order; unchanged after an error
 * Errors: VK_E_UNSUPPORTED (there is no such library, with what to install, or it lacks a function,
 * with its name). */
VK_NODISCARD vk_status vk_cuda_library_open(const vk_cuda_library *l, void (**function)(void),
                                            vk_err *err);

#ifdef __cplusplus
}
#endif

#endif
