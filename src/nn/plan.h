/* plan.h - a graph made ready to run: after all passes, with a place in memory for every value. A
 * plan is const; executors (exec.h) share it. All bytes are known here, before anything runs.
 *
 * Where values lie:
 *   arena   results of a run; one block, places are reused when a value is no longer needed
 *   once    results that depend on parameters and constants alone, where parameters do not change
 *           between runs (inference): computed by vk_exec_prepare. Folding of constants and packing
 *           of weights (pass pack) are nothing else: there is no pass that computes, and what is
 *           computed once lies beside the arena for the executor's life.
 *   held    inputs and outputs that the caller reads and writes between runs
 *   bound   parameters, gradients: the caller's memory (vk_exec_bind)
 *   const   in the graph
 *
 * Test: tests/unit/test_plan.c */
#ifndef VK_NN_PLAN_H
#define VK_NN_PLAN_H

#include "nn/graph.h"
#include "nn/memory_plan.h"
#include "nn/op.h"
#include "nn/pass.h"

typedef enum vk_where {
  VK_WHERE_NOWHERE, /* not used by any node */
  VK_WHERE_ARENA,
  VK_WHERE_ONCE,
  VK_WHERE_HELD,
  VK_WHERE_BOUND,
  VK_WHERE_CONST,
} vk_where;

typedef struct vk_value_place {
  vk_where where;
  size_t offset; /* bytes into the block of that kind */
  vk_id root;    /* the value whose memory this is: itself, or what it is a view of or overwrites */
} vk_value_place;

typedef struct vk_plan {
  vk_graph graph;
  vk_target target;
  vk_value_place *place; /* [graph.n_value] */
  bool *is_once;         /* [graph.n_node] */
  size_t *scratch;       /* [graph.n_node] offset of its scratch in the arena */
  size_t arena_bytes, once_bytes, held_bytes;
  vk_memory_plan memory; /* of the arena: strategy, lower bound, efficiency */
  vk_id *block;          /* [memory.n_block] the value of each block; VK_NONE: scratch of a node */
  size_t *block_bytes;   /* [memory.n_block] */
  vk_arena memory_arena; /* holds arrays of `memory` */
} vk_plan;

/* Runs the passes over graph and plans memory. watch: see pass.h.
 * Errors: those of passes; VK_E_NOMEM. */
VK_NODISCARD vk_status vk_plan_new(vk_plan **out, const vk_graph *graph, const vk_target *target,
                                   vk_pass_watch *watch, void *arg, vk_err *err);
void vk_plan_free(vk_plan *plan);

/* Arena, once and held together: what an executor allocates. */
size_t vk_plan_bytes(const vk_plan *plan);
/* Whether inputs are sent ahead: in training, on a device that works while the host goes on, which
 * holds those of two runs. */
bool vk_plan_sends(const vk_plan *plan);
/* What the caller binds: parameters and, in training, gradients. */
size_t vk_plan_bound_bytes(const vk_plan *plan);
enum { VK_PLAN_LARGEST = 300 }; /* room for: */
/* The three largest tensors of the node where the arena is fullest, for a sentence about memory:
 * "stem.0.conv [64, 64, 64, 24] (25.2 MB), ...". Returns text. */
const char *vk_plan_largest(const vk_plan *plan, char *text, size_t n);

/* The call of node i at the symbols' values n (NULL: capacity), its data pointers NULL.
 *   in, out  room for VK_NODE_IN_MAX and VK_NODE_OUT_MAX tensors */
vk_op_call vk_plan_call(const vk_plan *plan, int i_node, const int64_t *n, vk_tensor *in,
                        vk_tensor *out);

#endif
