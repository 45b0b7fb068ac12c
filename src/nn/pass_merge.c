/* pass_merge.c - what pass fusion does, for the backward pass:
 *
 *   gelu_grad(matmul, pre)        matmul{act = gelu_grad} that reads pre
 *   matmul + another gradient     matmul with a residual; where gradients are added to what lies in
 *                                 their memory, the product starts from there, in place
 *   rms_norm_grad + the gradient  rms_norm_grad that adds it: the stream of a residual block
 *     that goes around the norm
 *
 * and values before an activation that no gradient reads (frozen layers, layers that are computed a
 * second time) are not kept. Test: tests/unit/test_passes.c */
#include "nn/op.h"
#include "nn/pass.h"
#include "nn/pass_edit.h"

enum { MATMUL_RESIDUAL = 3, MATMUL_PRE = 4, RMS_NORM_PLUS = 4 };

/* Whether node p is a product with nothing behind it but a bias. */
static bool is_plain_product(const vk_pass_edit *e, int p)
{
  return p >= 0 && e->node[p].op == &vk_op_matmul && e->node[p].attr.act == VK_ACT_NONE &&
         vk_pass_edit_in(&e->node[p], MATMUL_RESIDUAL) == VK_NONE;
}

static void merge_gelu_grad(vk_pass_edit *e, int i)
{
  int p = vk_pass_edit_only(e, i, 0);
  vk_id pre = e->node[i].in[1];
  if (!is_plain_product(e, p) || !vk_pass_edit_alike(e, e->node[i].in[0], pre))
    return;
  vk_node *merged = vk_pass_edit_absorb(e, i, p);
  merged->attr.act = VK_ACT_GELU_GRAD;
  vk_pass_edit_set_in(e, merged, MATMUL_PRE, pre);
}

/* y = a + gradient through a norm, a being there before. */
static bool merge_norm_add(vk_pass_edit *e, int i)
{
  const vk_node *n = &e->node[i];
  for (int k = 1; k >= 0; k--) {
    vk_id a = n->in[1 - k], dx = n->in[k];
    int p = e->maker[dx], made = e->maker[a];
    if (p < 0 || e->n_use[dx] != 1 || made >= p || e->node[p].op != &vk_op_rms_norm_grad ||
        e->node[p].out[0] != dx || vk_pass_edit_in(&e->node[p], RMS_NORM_PLUS) != VK_NONE)
      continue;
    vk_pass_edit_set_in(e, vk_pass_edit_extend(e, i, p), RMS_NORM_PLUS, a);
    return true;
  }
  return false;
}

/* y = a + b: the later one, b, is tried first. */
static void merge_add(vk_pass_edit *e, int i)
{
  const vk_node *n = &e->node[i];
  if (n->attr.scale != 1 || !vk_pass_edit_alike(e, n->in[0], n->in[1]) || merge_norm_add(e, i))
    return;
  for (int k = 1; k >= 0; k--) {
    int p = vk_pass_edit_only(e, i, k);
    vk_id residual = n->in[1 - k];
    if (!is_plain_product(e, p))
      continue;
    vk_pass_edit_set_in(e, vk_pass_edit_absorb(e, i, p), MATMUL_RESIDUAL, residual);
    return;
  }
}

static vk_status run(vk_graph *out, const vk_graph *in, const vk_target *target, vk_err *err)
{
  vk_pass_edit e;
  VK_TRY(vk_pass_edit_init(&e, in, err));
  for (int i = 0; i < in->n_node && target->is_train; i++) {
    vk_node *n = &e.node[i];
    if (n->op == &vk_op_gelu_grad)
      merge_gelu_grad(&e, i);
    else if (n->op == &vk_op_add)
      merge_add(&e, i);
    else if (n->op == &vk_op_matmul && n->attr.keep_pre && e.n_use[n->out[1]] == 0)
      n->attr.keep_pre = 0;
  }
  return vk_pass_edit_end(&e, out, err);
}

const vk_pass_def vk_pass_merge = {
    .name = "merge",
    .help = "slopes of activations and sums of gradients become part of the products before them",
    .run = run,
};
