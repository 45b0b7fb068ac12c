/* autodiff.h - reverse-mode differentiation: a graph and its loss become a graph that also computes
 * the loss's gradient by every parameter that is not frozen. Nodes that no such parameter reaches
 * get no backward node.
 *
 * Recomputation: with it, of the forward pass only values marked as boundaries (is_boundary) stay
 * until the backward pass; what lies between two of them is computed a second time when the
 * backward pass comes there. The bits are the same.
 *
 * Source: Griewank & Walther 2008, chapter 3 (reverse mode), Chen et al. 2016, arXiv:1604.06174
 * (recomputation). Test: tests/unit/test_autodiff.c, tests/unit/test_ops.c */
#ifndef VK_NN_AUTODIFF_H
#define VK_NN_AUTODIFF_H

#include "nn/graph.h"

typedef struct vk_autodiff_args {
  const char *loss; /* name of an output of one f32 item */
  bool recompute;
  bool accumulate; /* gradients are added to what lies in their memory (inputs "sum.NAME", to be
                      bound to the same memory as the outputs "grad.NAME") */
} vk_autodiff_args;

/* out: an empty graph; gets all of `in`, the backward nodes, and an external output "grad.NAME" for
 * each parameter that is not frozen, in their order. A parameter that the loss does not depend on
 * gets zeros. Errors: VK_E_NOTFOUND (no such output), VK_E_SHAPE (it is no single f32),
 * VK_E_UNSUPPORTED (an op on the way, or an output of it after the first, has no gradient),
 * VK_E_NOMEM. */
VK_NODISCARD vk_status vk_autodiff(vk_graph *out, const vk_graph *in, const vk_autodiff_args *args,
                                   vk_err *err);

#endif
