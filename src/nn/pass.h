/* pass.h - a pass makes a new graph from a graph. One file pass_NAME.c and one line in pass_list.h;
 * vk_plan_new runs them in that order, verifies the graph before and after each, and leaves out
 * those that the caller names (--no-pass). Results stay within the ops' tolerance whichever are
 * left out. Test: tests/unit/test_passes.c */
#ifndef VK_NN_PASS_H
#define VK_NN_PASS_H

#include "core/cpu.h"
#include "nn/device.h"
#include "nn/graph.h"

/* What a graph is compiled for. */
typedef struct vk_target {
  const vk_device_def *device; /* NULL: the CPU */
  vk_isa isa;
  int n_thread;
  bool is_train;    /* parameters change from run to run; gradients are wanted */
  const char *loss; /* is_train: the output to differentiate */
  bool recompute;   /* see autodiff.h */
  bool accumulate;  /* see autodiff.h */
  bool is_bf16;     /* products of matrices in bf16 with f32 sums */
  int n_skip;       /* passes left out */
  const char *const *skip;
} vk_target;

/* The target's kind of device, never NULL; whether it is the CPU. */
static inline const vk_device_def *vk_target_device(const vk_target *t)
{
  return t->device ? t->device : &vk_device_cpu;
}
static inline bool vk_target_is_cpu(const vk_target *t)
{
  return vk_target_device(t) == &vk_device_cpu;
}

typedef struct vk_pass_def {
  const char *name;
  const char *help; /* one line */
  bool is_needed;   /* cannot be left out */
  /* `out` is empty and gets the whole graph. Errors: VK_E_NOMEM and what shape rules say. */
  vk_status (*run)(vk_graph *out, const vk_graph *in, const vk_target *target, vk_err *err);
} vk_pass_def;

extern const vk_pass_def *const vk_passes[]; /* in the order of pass_list.h */
/* Of that list. */
int vk_pass_count(void);
/* Errors: VK_E_USAGE with the nearest name. */
VK_NODISCARD vk_status vk_pass_check_name(const char *name, vk_err *err);
/* What somebody typed after --no-pass: passes, each once, that can be left out. Errors: VK_E_USAGE.
 */
VK_NODISCARD vk_status vk_pass_check_skip(const char *const *name, int n, vk_err *err);

/* Called after each pass with its graph; for dumps. May be NULL. */
typedef void vk_pass_watch(void *arg, const vk_pass_def *pass, const vk_graph *g);

/* All passes but those skipped. out: an empty graph. Errors: those of passes, VK_E_USAGE (a pass to
 * skip that there is none of; one that is needed runs all the same), VK_E_NOTFOUND (training
 * without the name of a loss). */
VK_NODISCARD vk_status vk_pass_run_all(vk_graph *out, const vk_graph *in, const vk_target *target,
                                       vk_pass_watch *watch, void *arg, vk_err *err);

/* ---- for passes ---- */

/* map[v] for values of `in` that are no results, copied to `out`; other entries VK_NONE. map has
 * in->n_value entries; free it. NULL without memory, then out has the error. */
vk_id *vk_pass_begin(vk_graph *out, const vk_graph *in);
/* Copies outputs through map, frees it, returns the graph's status. */
VK_NODISCARD vk_status vk_pass_end(vk_graph *out, const vk_graph *in, vk_id *map, vk_err *err);
/* For a pass that has nothing to do: out becomes a copy. */
VK_NODISCARD vk_status vk_pass_copy(vk_graph *out, const vk_graph *in, vk_err *err);
/* How many inputs of nodes, and outputs of the graph, each value feeds: [in->n_value], to be freed;
 * NULL without memory. */
int *vk_pass_count_uses(const vk_graph *in);

#define VK_PASS(name) extern const vk_pass_def vk_pass_##name;
#include "nn/pass_list.h"
#undef VK_PASS

#endif
