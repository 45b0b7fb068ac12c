#include "nn/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/op.h"

/* Names live in blocks that are freed with the graph. */
typedef struct vk_text_block {
  struct vk_text_block *next;
  size_t used, cap;
  char byte[];
} vk_text_block;

/* ---- the graph's memory -------------------------------------------------------------------- */

void vk_graph_init(vk_graph *g, const char *name)
{
  *g = (vk_graph){.name = ""};
  g->name = vk_graph_text(g, name);
}

void vk_graph_fini(vk_graph *g)
{
  for (int i = 0; i < g->n_value; i++)
    if (g->value[i].kind == VK_CONST)
      free((void *)(uintptr_t)g->value[i].data);
  free(g->value);
  free(g->node);
  free(g->output);
  for (vk_text_block *b = g->text, *next; b; b = next) {
    next = b->next;
    free(b);
  }
  *g = (vk_graph){.name = ""};
}

vk_status vk_graph_check(vk_graph *g, vk_err *err)
{
  if (g->status != VK_OK && err)
    *err = g->err;
  return g->status;
}

/* Keeps the first error. */
static vk_id no_memory(vk_graph *g)
{
  if (g->status == VK_OK)
    g->status =
        vk_fail(&g->err, VK_E_NOMEM, "%s: no memory for a graph of %d nodes", g->name, g->n_node);
  return VK_NONE;
}

const char *vk_graph_text(vk_graph *g, const char *text)
{
  size_t n = strlen(text) + 1;
  if (n == 1)
    return "";
  if (!g->text || g->text->cap - g->text->used < n) {
    size_t cap = n > 4000 ? n : 4000;
    vk_text_block *b = malloc(sizeof *b + cap);
    if (!b) {
      no_memory(g);
      return "";
    }
    *b = (vk_text_block){.next = g->text, .cap = cap};
    g->text = b;
  }
  char *at = g->text->byte + g->text->used;
  memcpy(at, text, n);
  g->text->used += n;
  return at;
}

/* Room for one more of n items; false without memory. */
static bool make_room(vk_graph *g, void *items, int n, int *room, size_t size)
{
  if (n < *room)
    return true;
  int more = *room ? 2 * *room : 64;
  void *old, *p;
  memcpy(&old, items, sizeof old);
  p = realloc(old, (size_t)more * size);
  if (!p) {
    no_memory(g);
    return false;
  }
  memcpy(items, &p, sizeof p);
  *room = more;
  return true;
}

static vk_id add_value(vk_graph *g, vk_value v)
{
  if (g->status != VK_OK || !make_room(g, &g->value, g->n_value, &g->room_value, sizeof *g->value))
    return VK_NONE;
  g->value[g->n_value] = v;
  return g->n_value++;
}

/* ---- building ------------------------------------------------------------------------------ */

int vk_graph_sym(vk_graph *g, const char *name, int64_t cap)
{
  VK_ASSERT(g->n_sym < VK_SYM_MAX && cap >= 0);
  g->sym[g->n_sym] = vk_graph_text(g, name);
  g->sym_cap[g->n_sym] = cap;
  return g->n_sym++;
}

static vk_id add_leaf(vk_graph *g, vk_value v)
{
  if (g->status != VK_OK)
    return VK_NONE;
  if (vk_graph_find(g, v.name) != VK_NONE)
    g->status = vk_fail(&g->err, VK_E_MISMATCH, "%s: %s is there twice", g->name, v.name);
  else
    g->status = vk_graph_check_shape(g, v.name, &v.shape, &v.extent, &g->err);
  v.name = vk_graph_text(g, v.name);
  v.node = VK_NONE;
  return add_value(g, v);
}

vk_id vk_graph_input(vk_graph *g, const char *name, vk_dtype dtype, vk_shape shape,
                     vk_extent extent)
{
  return add_leaf(
      g,
      (vk_value){.name = name, .kind = VK_INPUT, .dtype = dtype, .shape = shape, .extent = extent});
}

vk_id vk_graph_input_external(vk_graph *g, const char *name, vk_dtype dtype, vk_shape shape)
{
  vk_id id = vk_graph_input(g, name, dtype, shape, VK_NO_EXTENT);
  if (id != VK_NONE)
    g->value[id].is_external = true;
  return id;
}

vk_id vk_graph_param(vk_graph *g, const char *name, vk_shape shape)
{
  return add_leaf(
      g,
      (vk_value){
          .name = name, .kind = VK_PARAM, .dtype = VK_F32, .shape = shape, .extent = VK_NO_EXTENT});
}

vk_id vk_graph_const(vk_graph *g, const char *name, vk_dtype dtype, vk_shape shape,
                     const void *data)
{
  vk_value v = {
      .name = name, .kind = VK_CONST, .dtype = dtype, .shape = shape, .extent = VK_NO_EXTENT};
  vk_id id = add_leaf(g, v);
  if (id == VK_NONE)
    return VK_NONE;
  size_t n = vk_value_bytes(&v);
  void *copy = aligned_alloc(64, (n + 63) / 64 * 64 + 64);
  if (!copy)
    return no_memory(g);
  memcpy(copy, data, n);
  g->value[id].data = copy;
  return id;
}

/* Whether memory of the caller may be the place of a value: a result that is no view and no other
 * output. */
static bool is_own(const vk_graph *g, vk_id value)
{
  const vk_value *v = &g->value[value];
  if (v->kind != VK_RESULT || g->node[v->node].op->flags & VK_OP_VIEW)
    return false;
  for (int i = 0; i < g->n_output; i++)
    if (g->output[i].value == value)
      return false;
  return true;
}

static bool is_external_output(const vk_graph *g, vk_id value)
{
  for (int i = 0; i < g->n_output; i++)
    if (g->output[i].value == value && g->output[i].is_external)
      return true;
  return false;
}

static void add_output(vk_graph *g, const char *name, vk_id value, bool is_external)
{
  if (g->status != VK_OK ||
      !make_room(g, &g->output, g->n_output, &g->room_output, sizeof *g->output))
    return;
  VK_ASSERT(value >= 0 && value < g->n_value);
  if (is_external ? !is_own(g, value) : is_external_output(g, value))
    value = VK_APPLY(g, copy, VK_IN(value));
  name = vk_graph_text(g, name);
  if (g->status == VK_OK)
    g->output[g->n_output++] =
        (vk_output){.name = name, .value = value, .is_external = is_external};
}

void vk_graph_output(vk_graph *g, const char *name, vk_id value)
{
  add_output(g, name, value, false);
}

void vk_graph_output_external(vk_graph *g, const char *name, vk_id value)
{
  add_output(g, name, value, true);
}

void vk_graph_place(vk_graph *g, const char *format, ...)
{
  va_list ap;
  va_start(ap, format);
  int n = vsnprintf(g->place, sizeof g->place, format, ap);
  va_end(ap);
  if (g->status == VK_OK && n >= (int)sizeof g->place)
    g->status = vk_fail(&g->err, VK_E_RANGE, "%s: the place %.60s... has more than %zu bytes",
                        g->name, g->place, sizeof g->place - 1);
}

/* Adds the node's outputs with the shapes in out[]. */
static vk_id add_node(vk_graph *g, vk_node *n, const vk_value *out)
{
  char name[192];
  for (int i = 0; i < n->n_out; i++) {
    vk_value v = out[i];
    v.kind = VK_RESULT;
    v.node = g->n_node;
    v.i_out = i;
    snprintf(name, sizeof name, "%s%s%s", n->place, n->place[0] ? "." : "", n->op->name);
    v.name = vk_graph_text(g, name);
    n->out[i] = add_value(g, v);
  }
  if (g->status != VK_OK || !make_room(g, &g->node, g->n_node, &g->room_node, sizeof *g->node))
    return VK_NONE;
  g->node[g->n_node++] = *n;
  return n->out[0];
}

vk_id vk_apply(vk_graph *g, const vk_op_def *op, vk_in in, vk_attrs attr)
{
  if (g->status != VK_OK)
    return VK_NONE;
  VK_ASSERT(in.n >= 0 && in.n <= VK_NODE_IN_MAX && op->n_out <= VK_NODE_OUT_MAX);
  vk_node n = {.op = op,
               .place = vk_graph_text(g, g->place),
               .attr = attr,
               .n_in = in.n,
               .n_out = op->n_out};
  for (int i = 0; i < in.n; i++) {
    VK_ASSERT(in.id[i] >= VK_NONE && in.id[i] < g->n_value);
    n.in[i] = in.id[i];
  }
  vk_value out[VK_NODE_OUT_MAX];
  if (g->status == VK_OK) /* the place may have found no memory */
    g->status = vk_graph_infer(g, &n, out, &g->err);
  return g->status == VK_OK ? add_node(g, &n, out) : VK_NONE;
}

vk_id vk_graph_out(const vk_graph *g, vk_id value, int i_out)
{
  if (value == VK_NONE)
    return VK_NONE;
  const vk_value *v = &g->value[value];
  VK_ASSERT(v->kind == VK_RESULT && i_out < g->node[v->node].n_out);
  return g->node[v->node].out[i_out];
}

vk_id vk_graph_find(const vk_graph *g, const char *name)
{
  for (int i = 0; i < g->n_value; i++)
    if (g->value[i].kind != VK_RESULT && strcmp(g->value[i].name, name) == 0)
      return i;
  return VK_NONE;
}

vk_id vk_graph_find_output(const vk_graph *g, const char *name)
{
  for (int i = 0; i < g->n_output; i++)
    if (strcmp(g->output[i].name, name) == 0)
      return g->output[i].value;
  return VK_NONE;
}

/* ---- copying, for passes ------------------------------------------------------------------- */

void vk_graph_copy_frame(vk_graph *to, const vk_graph *from)
{
  VK_ASSERT(to->n_value == 0 && to->n_sym == 0);
  to->name = vk_graph_text(to, from->name);
  for (int i = 0; i < from->n_sym; i++)
    vk_graph_sym(to, from->sym[i], from->sym_cap[i]);
}

vk_id vk_graph_copy_value(vk_graph *to, const vk_graph *from, vk_id v)
{
  const vk_value *old = &from->value[v];
  VK_ASSERT(old->kind != VK_RESULT);
  vk_id id;
  if (old->kind == VK_CONST) {
    id = vk_graph_const(to, old->name, old->dtype, old->shape, old->data);
  } else {
    id = add_leaf(to, *old);
  }
  if (id != VK_NONE)
    to->value[id].is_boundary = old->is_boundary;
  return id;
}

void vk_graph_copy_node(vk_graph *to, const vk_graph *from, int i, vk_id *map)
{
  const vk_node *old = &from->node[i];
  vk_in in = {.n = old->n_in};
  for (int k = 0; k < old->n_in; k++)
    in.id[k] = old->in[k] == VK_NONE ? VK_NONE : map[old->in[k]];
  vk_graph_place(to, "%s", old->place);
  vk_id first = vk_apply(to, old->op, in, old->attr);
  for (int k = 0; k < old->n_out && first != VK_NONE; k++) {
    map[old->out[k]] = vk_graph_out(to, first, k);
    to->value[map[old->out[k]]].is_boundary = from->value[old->out[k]].is_boundary;
  }
}
