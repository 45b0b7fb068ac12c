/* env_batch.h - N environments stepped by the thread pool, into slices that the caller owns.
 * Results do not depend on N, on order or on the number of threads.
 * Test: tests/unit/test_evaluate.c */
#ifndef VK_SIM_ENV_BATCH_H
#define VK_SIM_ENV_BATCH_H

#include "core/thread.h"
#include "sim/env.h"

enum { VK_N_PROPRIO = 16 }; /* eef pos 3, eef quat xyzw 4, fingers 2, joints 7 */

/* Slices for n environments, borrowed for the batch's life; all but action may be NULL. */
typedef struct vk_env_slices {
  const double *action; /* [n, 7] in */
  double *proprio;      /* [n, 16] out, as sampled by the step */
  vk_step *step;        /* [n] out */
  vk_status *status;    /* [n] out: VK_OK, or why an environment did not step */
  vk_err *error;        /* [n] out: the sentence when status is not VK_OK */
} vk_env_slices;

typedef struct vk_env_batch vk_env_batch;

/* A batch of n places without environments. Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_env_batch_new(vk_env_batch **out, int n, vk_pool *pool,
                                        const vk_env_slices *slices, vk_err *err);
void vk_env_batch_free(vk_env_batch *batch);

/* Makes the environment of place i, or points it at another scene. Errors: those of vk_env_new; the
 * place has no environment then. */
VK_NODISCARD vk_status vk_env_batch_set_scene(vk_env_batch *batch, int i, const vk_scene *scene,
                                              vk_err *err);

/* The path that environments take from now on (vk_env_set_isa). */
void vk_env_batch_set_isa(vk_env_batch *batch, vk_isa isa);

/* NULL while place i has no scene. */
vk_env *vk_env_batch_get(vk_env_batch *batch, int i);

/* Starts a control step of places [first, first + n) whose mask entry (mask[i], NULL: all) is true
 * and returns at once. Disjoint ranges may be under way together; slices and mask of a range belong
 * to the batch until it was waited for. */
void vk_env_batch_step_async(vk_env_batch *batch, int first, int n, const bool *mask);

/* Waits for the range started with the same first and n. */
void vk_env_batch_wait(vk_env_batch *batch, int first, int n);

#endif
