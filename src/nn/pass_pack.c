/* pass_pack.c - products by weights that stay (inference) read them in the order of their kernel:
 * matmul(a, b) becomes matmul{packed_b}(a, pack(b)), conv(x, w) becomes conv{packed_b}(x,
 * conv_pack(w)). What packs depends on parameters alone, so the plan runs it once (plan.h). Bits of
 * results do not change. */
#include <stdlib.h>

#include "nn/op.h"
#include "nn/pass.h"
#include "nn/pass_edit.h"

typedef struct packer {
  vk_graph *out;
  vk_attrs panel; /* isa, dtype, native */
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

/* Columns that make a copy of a convolution's windows pay, which f32 reads where they are; 0: none
 * do. Tiles take less time for a product than its copies take; AVX-512's instructions for bf16
 * halve it at best. */
static int64_t columns_for_windows(const vk_attrs *panel)
{
  if (panel->dtype != VK_BF16)
    return 0;
  return panel->isa >= VK_ISA_AMX ? 16 : panel->isa == VK_ISA_AVX512 && panel->native ? 64 : 0;
}

/* Windows of a few channels are many short rows. */
static bool rounds_windows(const vk_attrs *panel, const vk_graph *in, const vk_node *n)
{
  bool is_dw = n->op == &vk_op_conv_dw;
  int64_t n_channel = in->value[n->in[is_dw]].shape.dim[3];
  int64_t n_column = in->value[is_dw ? n->in[0] : n->out[0]].shape.dim[3];
  int64_t least = columns_for_windows(panel);
  return least > 0 && n_channel >= 16 && n_column >= least;
}

/* Panels of bf16 are padded to 32 terms. */
static bool reads_panels(const packer *a, const vk_graph *in, const vk_node *n)
{
  if (n->op == &vk_op_conv)
    return a->panel.dtype == VK_F32 || rounds_windows(&a->panel, in, n);
  return n->op == &vk_op_matmul && !n->attr.trans_a &&
         (a->panel.dtype == VK_F32 || vk_shape_last(&in->value[n->in[0]].shape) >= 16);
}

/* Whether input 1 is a weight to pack. */
static bool is_packable(const packer *a, const vk_graph *in, const vk_node *n)
{
  return reads_panels(a, in, n) && !n->attr.packed_b && a->is_once[n->in[1]] &&
         !a->is_once[n->out[0]];
}

static void set_path(vk_attrs *attr, const vk_attrs *panel)
{
  attr->isa = panel->isa;
  attr->dtype = panel->dtype;
  attr->native = panel->native;
}

static void write_packed(packer *a, const vk_graph *in, int i, vk_id *map)
{
  const vk_node *n = &in->node[i];
  int layout = n->op == &vk_op_conv ? 2 : n->attr.trans_b != 0;
  vk_id b = n->in[1], *pack = &a->pack[layout][b];
  vk_attrs attr = n->attr, panel = a->panel;
  vk_in input = {.n = n->n_in};
  panel.trans_b = attr.trans_b;
  vk_graph_place(a->out, "%s", n->place);
  if (*pack == VK_NONE)
    *pack = vk_apply(a->out, n->op == &vk_op_conv ? &vk_op_conv_pack : &vk_op_pack, VK_IN(map[b]),
                     panel);
  for (int k = 0; k < n->n_in; k++)
    input.id[k] = k == 1 ? *pack : n->in[k] == VK_NONE ? VK_NONE : map[n->in[k]];
  attr.packed_b = 1;
  attr.trans_b = 0;
  attr.count = vk_shape_last(&in->value[n->out[0]].shape);
  if (panel.dtype != VK_F32)
    set_path(&attr, &panel);
  vk_id first = vk_apply(a->out, n->op, input, attr);
  for (int k = 0; k < n->n_out && first != VK_NONE; k++) {
    map[n->out[k]] = vk_graph_out(a->out, first, k);
    a->out->value[map[n->out[k]]].is_boundary = in->value[n->out[k]].is_boundary;
  }
}

/* Products of two activations, summed over rows: weight gradients, but those of a few channels,
 * which are cheap. And convolutions' gradients, and attention of rows to themselves. */
static bool rounds_both(const vk_attrs *panel, const vk_graph *in, const vk_node *n)
{
  if (n->op == &vk_op_conv_dw || n->op == &vk_op_conv_dx)
    return rounds_windows(panel, in, n);
  if (n->op == &vk_op_attention || n->op == &vk_op_attention_grad)
    return panel->dtype == VK_BF16 && panel->isa >= VK_ISA_AMX && n->attr.len_q == 0;
  return panel->dtype == VK_BF16 && n->op == &vk_op_matmul && n->attr.trans_a &&
         vk_shape_last(&in->value[n->in[0]].shape) >= 16 &&
         vk_shape_last(&in->value[n->in[1]].shape) >= 16;
}

vk_status vk_pass_write_packed(vk_graph *out, const vk_graph *in, const vk_attrs *panel,
                               vk_err *err)
{
  size_t n_value = (size_t)in->n_value + 1;
  packer a = {.out = out, .panel = *panel, .is_once = calloc(n_value, 1)};
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
  for (int v = 0; v < in->n_value; v++)
    a.is_once[v] = in->value[v].kind == VK_PARAM || in->value[v].kind == VK_CONST;
  vk_id *map = vk_pass_begin(out, in);
  for (int i = 0; map && i < in->n_node && out->status == VK_OK; i++) {
    mark_once(&a, in, &in->node[i]);
    if (is_packable(&a, in, &in->node[i])) {
      write_packed(&a, in, i, map);
    } else {
      vk_graph_copy_node(out, in, i, map);
      if (out->status == VK_OK && rounds_both(panel, in, &in->node[i]))
        set_path(&out->node[out->n_node - 1].attr, panel);
    }
  }
  free(packs);
  free(a.is_once);
  return vk_pass_end(out, in, map, err);
}

static vk_status run(vk_graph *out, const vk_graph *in, const vk_target *target, vk_err *err)
{
  if (target->is_train || !vk_target_is_cpu(target))
    return vk_pass_copy(out, in, err);
  return vk_pass_write_packed(out, in, &(vk_attrs){.isa = target->isa}, err);
}

const vk_pass_def vk_pass_pack = {
    .name = "pack",
    .help = "weights lie in the order of their kernels (inference)",
    .run = run,
};
