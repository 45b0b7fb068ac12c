/* nccl.h - what tests ask of the stand-in for NCCL beside the library's own functions.
 *
 * A sum of a group is work of each device's stream that runs once the streams of all have come so
 * far; numbers are added in the order of ranks, in float. Told in a sentence to stderr:
 *   ends the program (what would wait for ever, or touch memory that is gone): a sum outside of a
 *     group, or one that a rank takes no part in; ranks that sum different numbers; a communicator
 *     that was destroyed, or is destroyed while its sum waits for others
 *   returns an error: the current device or the stream's is not the communicator's; a pointer that
 * is NULL, not aligned, or not into memory that the device reaches, with all that is summed;
 *     buffers that overlap and are not the same; a stream that captures; other types and operations
 * The library itself does not mind which device is current. A device that is lost leaves the sums
 * of the others waiting until their communicators are aborted. vk_emulated_count knows how many
 * communicators there are. */
#ifndef VK_EMULATED_NCCL_CONTROL_H
#define VK_EMULATED_NCCL_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda/nccl.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vk_emulated_nccl {
  bool is_missing;        /* the library is not there */
  bool is_stuck;          /* sums do not end: the wire is gone */
  ncclResult_t behind;    /* what ncclCommGetAsyncError tells of every communicator */
  int64_t fail_in;        /* the call from now (1: the next one) that fails; 0: none */
  ncclResult_t fail_with; /* with this; ncclCommInitAll then leaves a communicator, ncclGroupEnd
                             has begun with the first rank, ncclCommDestroy and Abort are done */
  int64_t n_call;         /* so far, those that ask for texts left out */
  int64_t n_sum;          /* that ended, counted once for all ranks */
  int64_t n_destroyed, n_aborted;
  int n_open; /* groups that were started and not ended */
} vk_emulated_nccl;

/* Zeros but for what a test sets; vk_emulated_reset makes all of it zero. */
extern vk_emulated_nccl vk_nccl;

#ifdef __cplusplus
}
#endif

#endif
