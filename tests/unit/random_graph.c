#include "random_graph.h"

#include "test.h"

#include "graph_net.h"

enum { ADAPTER_MAX = 6000 }; /* items of a parameter that brings one shape to another */

int64_t random_graph_int(random_graph *r, int64_t lo, int64_t hi)
{
  return vk_example_int(&r->example, lo, hi);
}

bool random_graph_chance(random_graph *r, double p)
{
  return vk_philox_double(&r->rng) < p;
}

/* What an input must be: the shape of one unit, and whether its rows follow the batch. */
typedef struct want {
  vk_example_in in;
  bool is_scaled;
} want;

/* ---- leaves -------------------------------------------------------------------------------- */

static vk_shape shape_at(const random_graph *r, const want *w, vk_extent *e)
{
  vk_shape s = w->in.shape;
  *e = VK_NO_EXTENT;
  if (w->is_scaled) {
    int64_t plus = w->in.fill == VK_EXAMPLE_SEGMENTS;
    *e = vk_graph_extent(0, s.dim[0] - plus, plus);
    s.dim[0] = e->per * r->cap + plus;
  }
  return s;
}

/* Units one after the other, each as the example wants it. */
static void *fill_units(random_graph *r, const want *w, double scale)
{
  int64_t n = vk_shape_n_item(&w->in.shape), n_unit = w->is_scaled ? r->cap : 1;
  size_t size = vk_dtype_size(w->in.dtype);
  uint8_t *data = net_alloc((size_t)(n * n_unit) * size), *at = data;
  for (int64_t u = 0; u < n_unit; u++) {
    vk_example_fill(&r->example, &w->in, n, at);
    if (w->in.fill == VK_EXAMPLE_SEGMENTS) {
      for (int64_t i = 0; i < n; i++)
        ((int32_t *)at)[i] += (int32_t)(u * w->in.hi);
      at += (size_t)(n - 1) * size; /* the end of one is the start of the next */
    } else {
      at += (size_t)n * size;
    }
  }
  for (int64_t i = 0; i < n * n_unit && w->in.dtype == VK_F32; i++)
    ((float *)data)[i] *= (float)scale;
  return data;
}

/* Notes the numbers of a leaf, in double too. */
static void keep_leaf(random_graph *r, vk_id v, void *data)
{
  const vk_value *x = &r->graph.value[v];
  int64_t n = vk_shape_n_item(&x->shape);
  r->leaf[v] = data;
  r->data[v] = calloc((size_t)n + 1, sizeof *r->data[v]);
  assert_non_null(r->data[v]);
  if (x->dtype == VK_F32)
    for (int64_t i = 0; i < n; i++)
      r->data[v][i] = ((const float *)data)[i];
  else
    memcpy(r->data[v], data, (size_t)n * vk_dtype_size(x->dtype));
}

static vk_id add_param(random_graph *r, const want *w, double scale)
{
  char name[32];
  snprintf(name, sizeof name, "p%d", r->graph.n_value);
  vk_id v = vk_graph_param(&r->graph, name, w->in.shape);
  assert_true(v != VK_NONE);
  r->graph.value[v].is_frozen = random_graph_chance(r, 0.2);
  keep_leaf(r, v, fill_units(r, w, scale));
  return v;
}

static vk_id add_input(random_graph *r, const want *w)
{
  char name[32];
  vk_extent e;
  vk_shape s = shape_at(r, w, &e);
  snprintf(name, sizeof name, "x%d", r->graph.n_value);
  vk_id v = vk_graph_input(&r->graph, name, w->in.dtype, s, e);
  assert_true(v != VK_NONE);
  keep_leaf(r, v, fill_units(r, w, 1));
  return v;
}

/* ---- the pool ------------------------------------------------------------------------------ */

/* Computes what is new; then v may be an input of ops, scaled where it grew. */
static vk_id add_to_pool(random_graph *r, vk_id v)
{
  vk_graph *g = &r->graph;
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_graph_check(g, &err), &err);
  assert_true(g->n_value < RANDOM_VALUE_MAX - 8);
  graph_run_reference_from(g, r->n_done, NULL, (void **)r->data);
  r->n_done = g->n_node;
  double sum = 0;
  int64_t n = vk_shape_n_item(&g->value[v].shape);
  for (int64_t i = 0; i < n; i++)
    sum += r->data[v][i] * r->data[v][i];
  double rms = n ? sqrt(sum / (double)n) : 1;
  if (!(rms < 1e4)) /* some exponential: nothing follows from it */
    return VK_NONE;
  if (rms > 5) {
    v = VK_APPLY(g, affine, VK_IN(v), .scale = (float)(1 / rms));
    assert_true(v != VK_NONE);
    graph_run_reference_from(g, r->n_done, NULL, (void **)r->data);
    r->n_done = g->n_node;
  }
  r->pool[r->n_pool++] = v;
  return v;
}

static bool is_extent(const vk_extent *a, const vk_extent *b)
{
  return a->sym < 0 ? b->sym < 0 : b->sym >= 0 && a->per == b->per && a->plus == b->plus;
}

/* A pool value of just this shape, or VK_NONE. */
static vk_id find_alike(random_graph *r, const want *w)
{
  vk_extent e;
  vk_shape s = shape_at(r, w, &e);
  int at = r->n_pool ? (int)random_graph_int(r, 0, r->n_pool - 1) : 0;
  for (int k = 0; k < r->n_pool; k++) {
    const vk_value *v = &r->graph.value[r->pool[(at + k) % r->n_pool]];
    if (vk_shape_equal(&v->shape, &s) && is_extent(&v->extent, &e))
      return r->pool[(at + k) % r->n_pool];
  }
  return VK_NONE;
}

/* Items a unit of the batch, or of the whole where there is none; 0: rows beyond units. */
static int64_t unit_items(const random_graph *r, vk_id v)
{
  const vk_value *x = &r->graph.value[v];
  int64_t n = vk_shape_n_item(&x->shape);
  return x->extent.sym < 0 ? n : x->extent.plus ? 0 : n / r->cap;
}

static vk_id reshape_to(random_graph *r, vk_id v, const vk_shape *s)
{
  return VK_APPLY(&r->graph, reshape, VK_IN(v), .count = vk_shape_last(s),
                  .group = s->n_dim == 3 ? s->dim[1] : 0, .height = s->n_dim == 4 ? s->dim[1] : 0,
                  .width = s->n_dim == 4 ? s->dim[2] : 0);
}

/* Some pool value brought to the shape by a product, a unit a row. VK_NONE: it cannot be. */
static vk_id adapt(random_graph *r, const want *w)
{
  int64_t n_to = vk_shape_n_item(&w->in.shape);
  if (r->n_pool == 0 || w->in.shape.n_dim < 2 || n_to == 0)
    return VK_NONE;
  vk_id v = r->pool[random_graph_int(r, 0, r->n_pool - 1)];
  int64_t n_from = unit_items(r, v);
  if ((r->graph.value[v].extent.sym >= 0) != w->is_scaled || n_from == 0 ||
      n_from * n_to > ADAPTER_MAX)
    return VK_NONE;
  if (n_from != n_to || random_graph_chance(r, 0.5)) {
    want p = {.in = {.dtype = VK_F32, .shape = vk_shape_of(2, (int)n_to, (int)n_from)}};
    v = VK_APPLY(&r->graph, reshape, VK_IN(v), .count = n_from);
    v = VK_APPLY(&r->graph, matmul, VK_IN(v, add_param(r, &p, 1 / sqrt((double)n_from))),
                 .trans_b = 1);
  }
  return add_to_pool(r, reshape_to(r, v, &w->in.shape));
}

/* A parameter of this shape that is there already, or VK_NONE. */
static vk_id find_param(const random_graph *r, const want *w)
{
  for (vk_id v = 0; v < r->graph.n_value; v++)
    if (r->graph.value[v].kind == VK_PARAM &&
        vk_shape_equal(&r->graph.value[v].shape, &w->in.shape))
      return v;
  return VK_NONE;
}

static vk_id find_input(random_graph *r, const want *w, bool must_be_leaf)
{
  bool is_plain = w->in.dtype == VK_F32 && w->in.fill == VK_EXAMPLE_RANDOM;
  vk_id v = VK_NONE;
  if (is_plain && !must_be_leaf && random_graph_chance(r, 0.7)) {
    v = random_graph_chance(r, 0.7) ? find_alike(r, w) : VK_NONE;
    v = v == VK_NONE ? adapt(r, w) : v;
  }
  if (v == VK_NONE && is_plain && !w->is_scaled && random_graph_chance(r, 0.6)) {
    v = random_graph_chance(r, 0.3) ? find_param(r, w) : VK_NONE;
    v = v == VK_NONE ? add_param(r, w, 1) : v;
  }
  return v == VK_NONE ? add_input(r, w) : v;
}

/* ---- nodes --------------------------------------------------------------------------------- */

/* Whether the op takes inputs like these; *is_scaled: an output's rows then follow the batch. */
static bool is_taken(const random_graph *r, const vk_op_def *op, const vk_example *e, const want *w,
                     bool *is_scaled)
{
  vk_graph g;
  vk_graph_init(&g, "try");
  vk_graph_sym(&g, "batch", r->cap);
  vk_node n = {.op = op, .place = "", .attr = e->attr, .n_in = e->n_in, .n_out = op->n_out};
  for (int i = 0; i < e->n_in; i++) {
    char name[8] = {'x', (char)('0' + i)};
    vk_extent extent;
    vk_shape s = shape_at(r, &w[i], &extent);
    n.in[i] = w[i].in.is_used ? vk_graph_input(&g, name, w[i].in.dtype, s, extent) : VK_NONE;
  }
  vk_value out[VK_NODE_OUT_MAX];
  bool ok = g.status == VK_OK && vk_graph_infer(&g, &n, out, NULL) == VK_OK;
  *is_scaled = false;
  for (int i = 0; i < op->n_out && ok; i++)
    *is_scaled = *is_scaled || out[i].extent.sym >= 0;
  vk_graph_fini(&g);
  return ok;
}

/* Offsets follow the batch only together with all rows that they may be offsets of: as many as the
 * last says, or a few more that are in no segment. */
static bool are_segments_whole(const vk_example *e, unsigned mask)
{
  for (int i = 0; i < e->n_in; i++)
    for (int k = 0; k < e->n_in; k++)
      if (e->in[i].is_used && e->in[i].fill == VK_EXAMPLE_SEGMENTS && mask >> i & 1 &&
          e->in[k].is_used && e->in[k].shape.dim[0] >= e->in[i].hi &&
          e->in[k].shape.dim[0] <= e->in[i].hi + 3 && !(mask >> k & 1))
        return false;
  return true;
}

/* Lets the rows of some inputs follow the batch, where the op allows that. */
static void scale_some(random_graph *r, const vk_op_def *op, const vk_example *e, want *w)
{
  for (int k = 0; k < 10; k++) {
    unsigned mask = k == 0   ? (1u << e->n_in) - 1
                    : k == 1 ? 1
                             : (unsigned)random_graph_int(r, 1, (1 << e->n_in) - 1);
    bool ok = are_segments_whole(e, mask), is_scaled = false;
    for (int i = 0; i < e->n_in; i++) {
      w[i].is_scaled = mask >> i & 1 && w[i].in.is_used;
      ok = ok && !(w[i].is_scaled && (w[i].in.shape.n_dim == 0 || w[i].in.shape.dim[0] == 0));
    }
    if (ok && is_taken(r, op, e, w, &is_scaled) && is_scaled)
      return;
  }
  for (int i = 0; i < e->n_in; i++)
    w[i].is_scaled = false;
}

/* Whether all inputs are numbers of one shape: then any shape may do. */
static bool is_elementwise(const vk_example *e)
{
  for (int i = 0; i < e->n_in; i++)
    if (!e->in[i].is_used || e->in[i].dtype != VK_F32 || e->in[i].fill != VK_EXAMPLE_RANDOM ||
        !vk_shape_equal(&e->in[i].shape, &e->in[0].shape))
      return false;
  return e->n_in > 0;
}

/* All inputs as some value of the pool, if the op takes that. */
static void shape_like_pool(random_graph *r, const vk_op_def *op, const vk_example *e, want *w)
{
  vk_id v = r->pool[random_graph_int(r, 0, r->n_pool - 1)];
  const vk_value *x = &r->graph.value[v];
  want old[VK_NODE_IN_MAX];
  bool is_scaled = x->extent.sym >= 0, any;
  if (is_scaled && x->extent.plus)
    return;
  memcpy(old, w, sizeof old);
  for (int i = 0; i < e->n_in; i++) {
    w[i].in.shape = x->shape;
    w[i].is_scaled = is_scaled;
    if (is_scaled)
      w[i].in.shape.dim[0] = x->extent.per;
  }
  if (!is_taken(r, op, e, w, &any))
    memcpy(w, old, sizeof old);
}

/* Results that are no numbers may jump where an input is off by a rounding. */
static bool has_jumps(random_graph *r, const vk_op_def *op, const vk_example *e, const want *w)
{
  vk_graph g;
  vk_graph_init(&g, "try");
  vk_graph_sym(&g, "batch", r->cap);
  vk_in in = {.n = e->n_in};
  for (int i = 0; i < e->n_in; i++) {
    char name[8] = {'x', (char)('0' + i)};
    vk_extent extent;
    vk_shape s = shape_at(r, &w[i], &extent);
    in.id[i] = w[i].in.is_used ? vk_graph_input(&g, name, w[i].in.dtype, s, extent) : VK_NONE;
  }
  vk_id first = vk_apply(&g, op, in, e->attr);
  bool jumps = false;
  for (int i = 0; i < op->n_out && first != VK_NONE; i++)
    jumps = jumps || g.value[vk_graph_out(&g, first, i)].dtype != VK_F32;
  vk_graph_fini(&g);
  return jumps;
}

/* Adds a call of op as its example wants it. */
static void add_op(random_graph *r, const vk_op_def *op, int i_case)
{
  vk_graph *g = &r->graph;
  vk_example *e = &r->example;
  *e = (vk_example){.rng = &r->rng, .i_case = i_case};
  op->example(e);
  vk_example made = *e; /* filling uses the generator only */
  if (r->is_smooth && made.no_grad)
    return;
  want w[VK_NODE_IN_MAX];
  memset(w, 0, sizeof w);
  for (int i = 0; i < made.n_in; i++)
    w[i].in = made.in[i];
  if (random_graph_chance(r, 0.6))
    scale_some(r, op, &made, w);
  if (is_elementwise(&made) && r->n_pool && random_graph_chance(r, 0.7))
    shape_like_pool(r, op, &made, w);
  bool jumps = has_jumps(r, op, &made, w);
  vk_in in = {.n = made.n_in};
  for (int i = 0; i < made.n_in; i++) {
    in.id[i] = VK_NONE;
    if (!w[i].in.is_used)
      continue;
    in.id[i] =
        r->is_smooth && op->data_in >> i & 1 ? add_input(r, &w[i]) : find_input(r, &w[i], jumps);
    r->has_fixed_index |= w[i].in.dtype == VK_I32;
  }
  vk_graph_place(g, "%s.%d", op->name, g->n_node);
  int n_time = random_graph_chance(r, 0.1) ? 2 : 1;
  for (int k = 0; k < n_time; k++) {
    vk_id y = vk_apply(g, op, in, made.attr);
    vk_err err = VK_ERR_INIT;
    vk_assert_ok(vk_graph_check(g, &err), &err);
    if (g->value[y].dtype == VK_F32)
      add_to_pool(r, y);
  }
}

/* A layer on some value of the pool: what passes fuse. */
static void add_layer(random_graph *r)
{
  vk_graph *g = &r->graph;
  vk_id x = r->pool[random_graph_int(r, 0, r->n_pool - 1)];
  if (g->value[x].shape.n_dim < 2)
    return;
  int64_t k = vk_shape_last(&g->value[x].shape);
  int64_t n = random_graph_chance(r, 0.5) ? k : random_graph_int(r, 1, 40);
  if (k == 0 || n == 0 || n * k > ADAPTER_MAX)
    return;
  vk_graph_place(g, "layer.%d", g->n_node);
  want w = {.in = {.dtype = VK_F32, .shape = vk_shape_of(2, (int)n, (int)k)}};
  want b = {.in = {.dtype = VK_F32, .shape = vk_shape_of(1, (int)n)}};
  vk_id weight = add_param(r, &w, 1 / sqrt((double)k));
  vk_id bias = random_graph_chance(r, 0.5) ? add_param(r, &b, 1) : VK_NONE;
  vk_id y = VK_APPLY(g, matmul, VK_IN(x, weight, bias), .trans_b = 1);
  if (random_graph_chance(r, 0.2))
    add_to_pool(r, y);
  if (random_graph_chance(r, 0.5))
    y = VK_APPLY(g, gelu, VK_IN(y));
  if (n == k && random_graph_chance(r, 0.6))
    y = VK_APPLY(g, add, VK_IN(x, y), .scale = random_graph_chance(r, 0.7) ? 1 : -0.5);
  add_to_pool(r, y);
}

static vk_id product(random_graph *r, vk_id x, int64_t n)
{
  int64_t k = vk_shape_last(&r->graph.value[x].shape);
  want w = {.in = {.dtype = VK_F32, .shape = vk_shape_of(2, (int)n, (int)k)}};
  return VK_APPLY(&r->graph, matmul, VK_IN(x, add_param(r, &w, 1 / sqrt((double)k))), .trans_b = 1);
}

/* A norm, two products and an activation, the values between for nobody else: what may be stored
 * in bf16. */
static void add_block(random_graph *r)
{
  vk_graph *g = &r->graph;
  vk_id x = r->pool[random_graph_int(r, 0, r->n_pool - 1)], y = x;
  int64_t k = vk_shape_last(&g->value[x].shape), n = random_graph_int(r, 16, 40);
  if (g->value[x].shape.n_dim < 2 || k == 0 || n * k > ADAPTER_MAX)
    return;
  vk_graph_place(g, "block.%d", g->n_node);
  want w = {.in = {.dtype = VK_F32, .shape = vk_shape_of(1, (int)k)}};
  if (random_graph_chance(r, 0.7))
    y = VK_APPLY(g, rms_norm, VK_IN(x, add_param(r, &w, 1)), .eps = 0.1);
  y = product(r, y, n);
  if (random_graph_chance(r, 0.5))
    y = VK_APPLY(g, gelu, VK_IN(y));
  add_to_pool(r, product(r, y, random_graph_chance(r, 0.5) ? k : n));
}

/* ---- the loss ------------------------------------------------------------------------------ */

/* Sum of v's items, each times a random weight: [1, 1]. */
static vk_id add_term(random_graph *r, vk_id v)
{
  vk_graph *g = &r->graph;
  int64_t n_unit = unit_items(r, v);
  if (n_unit == 0 || n_unit > ADAPTER_MAX)
    return VK_NONE;
  want w = {.in = {.dtype = VK_F32, .shape = vk_shape_of(2, 1, 1)}, .is_scaled = false};
  w.is_scaled = g->value[v].extent.sym >= 0;
  want u = {.in = {.dtype = VK_F32, .shape = vk_shape_of(2, (int)n_unit, 1)}};
  vk_id rows = VK_APPLY(g, reshape, VK_IN(v), .count = n_unit);
  vk_id of_unit = add_input(r, &w), of_item = add_input(r, &u);
  vk_id sum = VK_APPLY(g, matmul, VK_IN(rows, of_unit), .trans_a = 1);
  sum = VK_APPLY(g, reshape, VK_IN(sum), .count = n_unit);
  sum = VK_APPLY(g, matmul, VK_IN(sum, of_item));
  return VK_APPLY(g, affine, VK_IN(sum), .scale = (float)(1 / sqrt((double)n_unit)));
}

static void add_loss(random_graph *r)
{
  vk_graph *g = &r->graph;
  vk_id loss = VK_NONE;
  vk_graph_place(g, "loss");
  for (int k = 0; k < 3 || (loss == VK_NONE && k < r->n_pool); k++) {
    /* the last of all, which most of the others reach, and some more */
    int i = loss == VK_NONE ? r->n_pool - 1 - k : (int)random_graph_int(r, 0, r->n_pool - 1);
    vk_id term = i < 0 ? VK_NONE : add_term(r, r->pool[i]);
    if (term == VK_NONE)
      continue;
    loss = loss == VK_NONE ? term : VK_APPLY(g, add, VK_IN(loss, term), .scale = 1);
  }
  if (loss == VK_NONE) { /* nothing has items: a parameter's alone */
    want w = {.in = {.dtype = VK_F32, .shape = vk_shape_of(2, 2, 3)}};
    loss = add_term(r, add_param(r, &w, 1));
  }
  vk_graph_output(g, "loss", loss);
}

static void add_outputs(random_graph *r)
{
  vk_graph *g = &r->graph;
  for (int i = 0; i < g->n_node; i++)
    for (int k = 0; k < g->node[i].n_out; k++) {
      char name[32];
      snprintf(name, sizeof name, "y%d", g->node[i].out[k]);
      if (random_graph_chance(r, 0.1))
        vk_graph_output(g, name, g->node[i].out[k]);
      g->value[g->node[i].out[k]].is_boundary = random_graph_chance(r, 0.15);
    }
}

static void build(random_graph *r, uint64_t seed, const vk_op_def *op, int i_case)
{
  vk_philox_init(&r->rng, seed, 77);
  r->seed = seed;
  r->example = (vk_example){.rng = &r->rng};
  r->cap = random_graph_int(r, 1, 4);
  vk_graph_init(&r->graph, "random");
  vk_graph_sym(&r->graph, "batch", r->cap);
  if (op)
    add_op(r, op, i_case);
  int n_op = (int)random_graph_int(r, 2, 9);
  for (int k = 0; k < n_op && r->graph.n_value < RANDOM_VALUE_MAX / 2; k++) {
    if (r->n_pool && random_graph_chance(r, 0.25)) {
      if (random_graph_chance(r, 0.3))
        add_block(r);
      else
        add_layer(r);
      continue;
    }
    const vk_op_def *next = vk_ops[random_graph_int(r, 0, vk_op_count() - 1)];
    if ((next->flags & VK_OP_HIDDEN && random_graph_chance(r, 0.6)) ||
        (r->is_smooth && next->flags & VK_OP_NO_GRAD))
      continue;
    add_op(r, next, (int)random_graph_int(r, 0, (next->n_case ? next->n_case : 1) - 1));
  }
  add_loss(r);
  add_outputs(r);
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_graph_verify(&r->graph, &err), &err);
}

void random_graph_init(random_graph *r, uint64_t seed, const vk_op_def *op, int i_case)
{
  memset(r, 0, sizeof *r);
  build(r, seed, op, i_case);
}

void random_graph_init_smooth(random_graph *r, uint64_t seed)
{
  memset(r, 0, sizeof *r);
  r->is_smooth = true;
  build(r, seed, NULL, 0);
}

void random_graph_fini(random_graph *r)
{
  for (int v = 0; v < RANDOM_VALUE_MAX; v++) {
    free(r->leaf[v]);
    free(r->data[v]);
  }
  vk_graph_fini(&r->graph);
}
