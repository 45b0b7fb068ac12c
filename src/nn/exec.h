/* exec.h - runs a plan on a device. Nothing is allocated after vk_exec_new.
 *
 *   VK_TRY(vk_exec_new(&x, plan, device, NULL, err));
 *   vk_exec_bind(x, vk_graph_find(&plan->graph, "head.weight"), w);     every bound value
 *   VK_TRY(vk_exec_prepare(x, err));                                    and when parameters changed
 *   vk_exec_set_size(x, 0, 3);                                          3 of the batch's rows
 *   memcpy(vk_exec_data(x, image), ...);
 *   VK_TRY(vk_exec_run(x, err));
 *
 * In training the plan's graph has an external output "grad.NAME" for each parameter, to be bound
 * to memory of its size (vk_graph_find_output, vk_exec_bind); net.h does all of this for models.
 * Ids are those of plan->graph, not of the graph that was planned.
 *
 * The same plan, inputs and number of threads give the same bits; without a backward pass the
 * number of threads does not matter either. Test: tests/unit/test_exec.c */
#ifndef VK_NN_EXEC_H
#define VK_NN_EXEC_H

#include "core/trace.h"
#include "nn/device.h"
#include "nn/plan.h"

typedef struct vk_exec vk_exec;

/* plan, what device has and trace (NULL: none) must outlive it; the device is of the plan's kind,
 * and on the CPU its team has the plan's number of threads. With a trace every node is a slice,
 * named as in a dump: "enc.0.matmul#2". Errors: VK_E_NOMEM, those of the device. */
VK_NODISCARD vk_status vk_exec_new(vk_exec **out, const vk_plan *plan, const vk_device *device,
                                   vk_trace *trace, vk_err *err);
void vk_exec_free(vk_exec *x);

/* The caller's memory for a bound value, of vk_device_alloc unless the device is the CPU, aligned
 * to 64 bytes; stays bound until bound anew. */
void vk_exec_bind(vk_exec *x, vk_id value, void *data);
/* Where the caller writes an input before a run and reads an output after it; NULL: the value is
 * nowhere (no node uses it). */
void *vk_exec_data(const vk_exec *x, vk_id value);
/* Its shape at the sizes set. */
vk_shape vk_exec_shape(const vk_exec *x, vk_id value);

/* Symbol sym has n rows in the runs that follow, at most its capacity; at first all have that. */
void vk_exec_set_size(vk_exec *x, int sym, int64_t n);

/* Computes what depends on parameters alone. Every bound value must be bound. Before the first run,
 * and after a value was bound or parameters changed. Errors: those of the device; the CPU has
 * none. */
VK_NODISCARD vk_status vk_exec_prepare(vk_exec *x, vk_err *err);
VK_NODISCARD vk_status vk_exec_run(vk_exec *x, vk_err *err);

/* A run in its parts, for a host that has other things to do meanwhile:
 *
 *   fill, vk_exec_send                inputs of run 0
 *   vk_exec_start                     run 0
 *   fill, vk_exec_send                inputs of run 1, while run 0 is computed
 *   vk_exec_wait                      outputs of run 0, until the next start
 *   vk_exec_start                     run 1 ...
 *
 * vk_exec_run is start and wait. On the CPU start does all of it.
 *
 * send: the inputs as they are, at the sizes set, are on their way to the device; all are to be
 * written anew for the run after, at where vk_exec_data says then. One run's are ahead: sent again,
 * they take the place of those. Only a plan for training has room for them. start without it sends
 * them itself, and they stay.
 * is_busy: whether what was started still runs. */
VK_NODISCARD vk_status vk_exec_send(vk_exec *x, vk_err *err);
VK_NODISCARD vk_status vk_exec_start(vk_exec *x, vk_err *err);
VK_NODISCARD vk_status vk_exec_wait(vk_exec *x, vk_err *err);
bool vk_exec_is_busy(const vk_exec *x);

/* The caller does not read this output: where it is large, a device need not copy it to the host.
 */
void vk_exec_ignore(vk_exec *x, vk_id value);

/* Seconds of node i in the last run; measured when on (two clock reads a node). */
void vk_exec_time_nodes(vk_exec *x, bool on);
double vk_exec_node_s(const vk_exec *x, int i_node);

#endif
