/* pass_edit.h - a graph being rewritten by a pass that merges nodes: copies of the nodes, which may
 * change, and the way back to a graph. Values keep the ids that they have in the graph that came
 * in.
 *
 *   VK_TRY(vk_pass_edit_init(&e, in, err));
 *   for (int i = 0; i < in->n_node; i++) {
 *     int p = vk_pass_edit_only(&e, i, 0);           its input 0 is made for it alone, by node p
 *     if (p >= 0 && ...)
 *       vk_pass_edit_absorb(&e, i, p)->attr.act = VK_ACT_GELU;
 *   }
 *   return vk_pass_edit_end(&e, out, err);
 *
 * Test: tests/unit/test_passes.c */
#ifndef VK_NN_PASS_EDIT_H
#define VK_NN_PASS_EDIT_H

#include "nn/op.h"
#include "nn/pass.h"

typedef struct vk_pass_edit {
  const vk_graph *in;
  vk_node *node; /* [in->n_node] inputs and outputs are ids of `in` */
  bool *is_gone; /* [in->n_node] */
  int *n_use;    /* [in->n_value] inputs of nodes and outputs of the graph that it feeds */
  int *maker;    /* [in->n_value] the node that makes it now; -1: none */
} vk_pass_edit;

/* Nothing is changed yet. Errors: VK_E_NOMEM, then e holds nothing. */
VK_NODISCARD vk_status vk_pass_edit_init(vk_pass_edit *e, const vk_graph *in, vk_err *err);

/* Writes the nodes that are left to the empty graph and frees e. Errors: those of shape rules. */
VK_NODISCARD vk_status vk_pass_edit_end(vk_pass_edit *e, vk_graph *out, vk_err *err);

/* The node whose output 0 is input k of node i and is read by nothing else, so that it may become
 * part of node i; -1 when there is none, or when that value is a boundary (is_boundary) or another
 * of the node's outputs is read. */
int vk_pass_edit_only(const vk_pass_edit *e, int i, int k);

/* Node i, which has one output, becomes what node p does, at its own place in the order: op,
 * attributes and inputs of p; its output stays its own. Node p is gone. Returns node i, for the
 * caller to add what it did itself. */
vk_node *vk_pass_edit_absorb(vk_pass_edit *e, int i, int p);

/* The other way round: node p, whose output 0 is read by node i alone, does what node i does too,
 * at p's own place: its output 0 becomes that of node i, which is gone. The caller adds inputs. */
vk_node *vk_pass_edit_extend(vk_pass_edit *e, int i, int p);

/* Whether both values have equal dtype, shape and extent. */
bool vk_pass_edit_alike(const vk_pass_edit *e, vk_id a, vk_id b);

/* Input k of the node, VK_NONE when it has none. */
vk_id vk_pass_edit_in(const vk_node *n, int k);

/* Sets input k, which was none, and those before it that were missing to none. */
void vk_pass_edit_set_in(vk_pass_edit *e, vk_node *n, int k, vk_id v);

/* Input k of node i becomes what node p, which made it for node i alone, reads as its input 0. */
void vk_pass_edit_bypass(vk_pass_edit *e, int i, int k, int p);

/* What passes pack and bf16 do on the CPU: writes `in` to the empty graph with weights packed as
 * panel says (isa, dtype, native), those of products once a layout and those of convolutions. With
 * panels of bf16 some stay in f32: weights of products of fewer than 16 terms, and of convolutions
 * of few channels or columns. What reads no panels (gradients of weights, gradients of
 * convolutions, attention) then multiplies in bf16 where that pays, too. With panels of f32 it
 * stays as it is. Errors: VK_E_NOMEM, those of shape rules. */
VK_NODISCARD vk_status vk_pass_write_packed(vk_graph *out, const vk_graph *in,
                                            const vk_attrs *panel, vk_err *err);

#endif
