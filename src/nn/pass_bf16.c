/* pass_bf16.c - products by weights, and gradients of weights, in bfloat16, with sums in f32, where
 * the target asks for it; convolutions too where the processor has instructions
 * for bfloat16, and attention where they are those for tiles.
 * Weights are rounded as they are packed: in training in every run, from the f32 parameters that
 * the optimiser moves. Activations and their gradients are rounded as a product reads them, or
 * before, as they are stored (pass storage). On a GPU there are no panels: all products,
 * convolutions and attention read factors as they lie, and weights are rounded by a copy. */
#include <stdlib.h>

#include "nn/op.h"
#include "nn/pass.h"
#include "nn/pass_edit.h"

/* ---- a GPU --------------------------------------------------------------------------------- */

/* Input of a product by weights that is the weight; -1: there is none. */
static int weight_of(const vk_graph *in, const vk_node *n)
{
  bool reads_weight = n->op == &vk_op_matmul || n->op == &vk_op_conv || n->op == &vk_op_conv_dx;
  return reads_weight && in->value[n->in[1]].kind == VK_PARAM ? 1 : -1;
}

/* Whether the node's factors are rounded. As on the CPU, not those of products of a few terms,
 * which are cheap, and whose errors do not average out. */
static bool is_rounded(const vk_graph *in, const vk_node *n)
{
  enum { TERMS_MIN = 16 };
  if (n->op == &vk_op_matmul)
    return vk_shape_last(&in->value[n->in[0]].shape) >= TERMS_MIN &&
           (!n->attr.trans_a || vk_shape_last(&in->value[n->in[1]].shape) >= TERMS_MIN);
  return n->op == &vk_op_conv || n->op == &vk_op_conv_dw || n->op == &vk_op_conv_dx ||
         ((n->op == &vk_op_attention || n->op == &vk_op_attention_grad) && n->attr.len_q == 0);
}

static void copy_node(vk_graph *out, const vk_graph *in, int i, vk_id *map, vk_id *rounded)
{
  const vk_node *n = &in->node[i];
  int w = is_rounded(in, n) ? weight_of(in, n) : -1;
  vk_id *weight = w >= 0 ? &rounded[n->in[w]] : NULL;
  vk_graph_place(out, "%s", n->place);
  if (weight && *weight == VK_NONE)
    *weight = VK_APPLY(out, copy, VK_IN(map[n->in[w]]), .store = VK_BF16, .isa = VK_PATH_GPU);
  vk_graph_copy_node(out, in, i, map);
  if (out->status != VK_OK || !is_rounded(in, n))
    return;
  vk_node *made = &out->node[out->n_node - 1];
  made->attr.dtype = VK_BF16;
  made->attr.isa = VK_PATH_GPU;
  if (weight)
    made->in[w] = *weight;
}

static vk_status run_gpu(vk_graph *out, const vk_graph *in, vk_err *err)
{
  vk_id *rounded = malloc(sizeof *rounded * ((size_t)in->n_value + 1));
  if (!rounded)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for a pass", in->name);
  for (int v = 0; v < in->n_value; v++)
    rounded[v] = VK_NONE;
  vk_id *map = vk_pass_begin(out, in);
  for (int i = 0; map && i < in->n_node && out->status == VK_OK; i++)
    copy_node(out, in, i, map, rounded);
  free(rounded);
  return vk_pass_end(out, in, map, err);
}

static vk_status run(vk_graph *out, const vk_graph *in, const vk_target *target, vk_err *err)
{
  if (!target->is_bf16)
    return vk_pass_copy(out, in, err);
  if (!vk_target_is_cpu(target))
    return run_gpu(out, in, err);
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  const vk_attrs panel = {.isa = target->isa, .dtype = VK_BF16, .native = cpu.avx512_bf16};
  return vk_pass_write_packed(out, in, &panel, err);
}

const vk_pass_def vk_pass_bf16 = {
    .name = "bf16",
    .help = "products by weights and for their gradients in bf16 with f32 sums, where asked for",
    .run = run,
};
