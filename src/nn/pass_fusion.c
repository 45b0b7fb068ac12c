/* pass_fusion.c - what follows a product, convolution or norm element by element becomes part of
 * its kernel, so that the values between are never written:
 *
 *   gelu(matmul)               matmul{act}, which keeps the value before it for a gradient
 *   matmul + residual          matmul with a residual
 *   conv(affine(u8 pictures))  conv{scale, shift}
 *   gelu(group_norm)           group_norm{act}
 *   film(group_norm)           group_norm with the film's scale and shift
 *
 * A norm before a product stays a node: it takes 0.8 % of a training step of nano-n2 (its gradient
 * 0.5 to 0.9 %), 0.5 to 0.6 % of nano-n8's (0.4 %; 32 samples, AVX2) and 0.6 % of a decision of
 * nano-n2, of which it would keep the larger part, for products in tiles hold no whole rows whose
 * squares they could sum, and the weight's gradient reads the norm's result again.
 *
 * Runs before the backward pass, which then sees the fused nodes. Test: tests/unit/test_passes.c */
#include <stdlib.h>

#include "nn/op.h"
#include "nn/pass.h"
#include "nn/pass_edit.h"

/* Inputs beyond those that such an op must have. */
enum { MATMUL_RESIDUAL = 3, GROUP_NORM_GB = 3 };

/* need[v]: a parameter that is not frozen reaches value v. NULL without memory. */
static bool *find_need(const vk_graph *g)
{
  bool *need = calloc((size_t)g->n_value + 1, sizeof *need);
  if (!need)
    return NULL;
  for (int v = 0; v < g->n_value; v++)
    need[v] = g->value[v].kind == VK_PARAM && !g->value[v].is_frozen;
  for (int i = 0; i < g->n_node; i++)
    for (int k = 0; k < g->node[i].n_in; k++)
      for (int o = 0; o < g->node[i].n_out && vk_pass_edit_in(&g->node[i], k) != VK_NONE; o++)
        need[g->node[i].out[o]] |= need[g->node[i].in[k]];
  return need;
}

static void fuse_gelu(vk_pass_edit *e, int i, bool need)
{
  int p = vk_pass_edit_only(e, i, 0);
  if (p < 0 || e->node[p].attr.act != VK_ACT_NONE)
    return;
  const vk_node *n = &e->node[p];
  if (n->op == &vk_op_matmul && vk_pass_edit_in(n, MATMUL_RESIDUAL) == VK_NONE) {
    vk_node *fused = vk_pass_edit_absorb(e, i, p);
    fused->attr.act = VK_ACT_GELU;
    fused->attr.keep_pre = need;
  } else if (n->op == &vk_op_group_norm && vk_pass_edit_in(n, GROUP_NORM_GB) == VK_NONE) {
    vk_pass_edit_absorb(e, i, p)->attr.act = VK_ACT_GELU;
  }
}

/* Whether node p is a product that can start from another value than zero. */
static bool takes_residual(const vk_pass_edit *e, int p)
{
  const vk_node *n = &e->node[p];
  return n->op == &vk_op_matmul && n->attr.act == VK_ACT_NONE &&
         vk_pass_edit_in(n, MATMUL_RESIDUAL) == VK_NONE;
}

/* y = a + scale b, one of them a product. */
static void fuse_add(vk_pass_edit *e, int i)
{
  const vk_node *n = &e->node[i];
  for (int k = 1; k >= 0 && n->attr.scale == 1; k--) {
    int p = vk_pass_edit_only(e, i, k);
    vk_id residual = n->in[1 - k];
    if (p < 0 || !takes_residual(e, p) || !vk_pass_edit_alike(e, n->in[0], n->in[1]))
      continue;
    vk_pass_edit_set_in(e, vk_pass_edit_absorb(e, i, p), MATMUL_RESIDUAL, residual);
    return;
  }
}

static void fuse_conv(vk_pass_edit *e, int i)
{
  vk_node *n = &e->node[i];
  int p = vk_pass_edit_only(e, i, 0);
  if (p < 0 || e->node[p].op != &vk_op_affine || n->attr.scale != 0 || n->attr.shift != 0 ||
      e->node[p].attr.scale == 0 || e->in->value[e->node[p].in[0]].dtype != VK_U8)
    return;
  n->attr.scale = e->node[p].attr.scale;
  n->attr.shift = e->node[p].attr.shift;
  vk_pass_edit_bypass(e, i, 0, p);
}

static void fuse_film(vk_pass_edit *e, int i)
{
  int p = vk_pass_edit_only(e, i, 0);
  if (p < 0 || e->node[p].op != &vk_op_group_norm ||
      vk_pass_edit_in(&e->node[p], GROUP_NORM_GB) != VK_NONE)
    return;
  vk_id gb = e->node[i].in[1];
  int64_t group = e->node[i].attr.group;
  vk_node *fused = vk_pass_edit_absorb(e, i, p);
  vk_pass_edit_set_in(e, fused, GROUP_NORM_GB, gb);
  fused->attr.group = group;
}

static vk_status run(vk_graph *out, const vk_graph *in, const vk_target *target, vk_err *err)
{
  vk_pass_edit e;
  VK_TRY(vk_pass_edit_init(&e, in, err));
  bool *need = find_need(in);
  for (int i = 0; i < in->n_node && need; i++) {
    const vk_node *n = &e.node[i];
    if (n->op == &vk_op_gelu)
      fuse_gelu(&e, i, target->is_train && need[n->in[0]]);
    else if (n->op == &vk_op_add)
      fuse_add(&e, i);
    else if (n->op == &vk_op_conv)
      fuse_conv(&e, i);
    else if (n->op == &vk_op_film)
      fuse_film(&e, i);
  }
  vk_status st = vk_pass_edit_end(&e, out, err);
  if (!need && st == VK_OK)
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory for a pass", in->name);
  free(need);
  return st;
}

const vk_pass_def vk_pass_fusion = {
    .name = "fusion",
    .help = "activation, residual, scale and film become part of the kernel before them",
    .run = run,
};
