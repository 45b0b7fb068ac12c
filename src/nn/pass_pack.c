/* pass_pack.c - products by weights that stay (inference) read them in the order of their kernel:
 * matmul(a, b) becomes matmul{packed_b}(a, pack(b)), conv(x, w) becomes conv{packed_b}(x,
 * conv_pack(w)). What packs depends on parameters alone, so the plan runs it once (plan.h). Bits of
 * results do not change. */
#include <stdlib.h>

#include "nn/op.h"
#include "nn/pass.h"

typedef struct packer {
  vk_graph *out;
  const vk_target *target;
  bool *is_once;  /* [in->n_value] depends on parameters and constants alone */
  vk_id *pack[3]; /* [layout][in->n_value] its panels in out, or VK_NONE */
} packer;

static void mark_once(packer *a, const vk_graph *in, const vk_node *n)
{
  bool is_once = true;
  for (int k = 0; k < n->n_in; k++)
    is_once = is_once && (n->in[k] == VK_NONE || a->is_once[n->in[k]]);
  for (int k = 0; k < n->n_out; k++)
    a->is_once[n->out[k]] = is_once && in->value[n->out[k]].extent.sym < 0;
}

/* Whether input 1 is a weight to pack. */
static bool is_packable(const packer *a, const vk_node *n)
{
  bool reads_panels = n->op == &vk_op_conv || (n->op == &vk_op_matmul && !n->attr.trans_a);
  return reads_panels && !n->attr.packed_b && a->is_once[n->in[1]] && !a->is_once[n->out[0]];
}

static void write_packed(packer *a, const vk_graph *in, int i, vk_id *map)
{
  const vk_node *n = &in->node[i];
  int layout = n->op == &vk_op_conv ? 2 : n->attr.trans_b != 0;
  vk_id b = n->in[1], *pack = &a->pack[layout][b];
  vk_attrs attr = n->attr;
  vk_in input = {.n = n->n_in};
  vk_graph_place(a->out, "%s", n->place);
  if (*pack == VK_NONE)
    *pack = n->op == &vk_op_conv ? VK_APPLY(a->out, conv_pack, VK_IN(map[b]), .isa = a->target->isa)
                                 : VK_APPLY(a->out, pack, VK_IN(map[b]), .isa = a->target->isa,
                                            .trans_b = attr.trans_b);
  for (int k = 0; k < n->n_in; k++)
    input.id[k] = k == 1 ? *pack : n->in[k] == VK_NONE ? VK_NONE : map[n->in[k]];
  attr.packed_b = 1;
  attr.trans_b = 0;
  attr.count = vk_shape_last(&in->value[n->out[0]].shape);
  vk_id first = vk_apply(a->out, n->op, input, attr);
  for (int k = 0; k < n->n_out && first != VK_NONE; k++)
    map[n->out[k]] = vk_graph_out(a->out, first, k);
}

static vk_status run(vk_graph *out, const vk_graph *in, const vk_target *target, vk_err *err)
{
  size_t n_value = (size_t)in->n_value + 1;
  packer a = {.out = out, .target = target, .is_once = calloc(n_value, 1)};
  vk_id *packs = malloc(3 * n_value * sizeof *packs);
  if (!packs || !a.is_once) {
    free(packs);
    free(a.is_once);
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for a pass", in->name);
  }
  for (size_t v = 0; v < 3 * n_value; v++)
    packs[v] = VK_NONE;
  for (int i = 0; i < 3; i++)
    a.pack[i] = packs + (size_t)i * n_value;
  for (int v = 0; v < in->n_value && !target->is_train; v++)
    a.is_once[v] = in->value[v].kind == VK_PARAM || in->value[v].kind == VK_CONST;
  vk_id *map = vk_pass_begin(out, in);
  for (int i = 0; map && i < in->n_node && out->status == VK_OK; i++) {
    mark_once(&a, in, &in->node[i]);
    if (is_packable(&a, &in->node[i]))
      write_packed(&a, in, i, map);
    else
      vk_graph_copy_node(out, in, i, map);
  }
  free(packs);
  free(a.is_once);
  return vk_pass_end(out, in, map, err);
}

const vk_pass_def vk_pass_pack = {
    .name = "pack",
    .help = "weights lie in the order of their kernels (inference)",
    .run = run,
};
