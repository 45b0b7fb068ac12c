/* exec_internal.h - between exec.c and the devices that run its steps. Test: tests/unit/test_exec.c
 *
 * A device's exec_open allocates the three blocks of the plan in its memory (arena, once, held);
 * exec.c then fills data and the steps from them, but for constants that exec_open has put there. A
 * device whose memory the host cannot read fills host[v] too, for inputs that are held and for
 * outputs, in exec_open, and moves them with a run, at its shapes. */
#ifndef VK_NN_EXEC_INTERNAL_H
#define VK_NN_EXEC_INTERNAL_H

#include "core/arena.h"
#include "nn/exec.h"

/* A node with all that its kernel needs. */
typedef struct vk_exec_step {
  vk_op_run *run;   /* of the CPU */
  const char *name; /* in a trace */
  int n_phase, i_node;
  bool is_once;
  vk_op_call call; /* in and out are tensor below */
  vk_tensor tensor[VK_NODE_IN_MAX + VK_NODE_OUT_MAX];
} vk_exec_step;

struct vk_exec {
  const vk_plan *plan;
  vk_device device;
  void *state; /* the device's own */
  vk_trace *trace;
  vk_arena memory; /* of the CPU's blocks */
  uint8_t *arena, *once, *held;
  void **data; /* [n_value] where kernels find it */
  void **host; /* [n_value] where the caller finds it; NULL entries: as data */
  int n_step;
  vk_exec_step *step; /* those that run, in order */
  int64_t size[VK_SYM_MAX];
  bool is_once, is_timed;   /* what the team does now */
  bool is_prepared;         /* what depends on parameters alone is there */
  bool is_sent, is_started; /* inputs of the next run; that run */
  bool *is_ignored;         /* [n_value] outputs that nobody reads */
  double *node_s;           /* [n_node] */
};

#endif
