/* cublaslt.h - what tests ask of the stand-in for cuBLASLt beside the library's own functions.
 *
 * It has two algorithms: one for matrices whose addresses and columns are multiples of 16 bytes,
 * which wants workspace where a sum is long, and one for all. Arguments are looked at as the
 * library does: sizes of attributes when they are set, shapes, types and addresses when a product
 * is asked for. Sums are added one by one in float. */
#ifndef VK_EMULATED_CUBLASLT_CONTROL_H
#define VK_EMULATED_CUBLASLT_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vk_emulated_cublaslt {
  bool is_strict;   /* an algorithm runs the shape that it was asked for and no other */
  bool is_empty;    /* no algorithm is found */
  bool is_missing;  /* the library is not there */
  int64_t n_search; /* calls of cublasLtMatmulAlgoGetHeuristic */
  int64_t n_fast, n_plain, n_refused; /* products started, by algorithm; refused */
} vk_emulated_cublaslt;

/* Zeros but for what a test sets. */
extern vk_emulated_cublaslt vk_cublaslt;

#ifdef __cplusplus
}
#endif

#endif
