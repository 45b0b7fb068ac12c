/* test_random_graphs.c - random graphs of all ops: with and without each pass, on every path, for
 * every number of threads and sizes below capacity, results and gradients are those of the double
 * reference; on a GPU, where there is one, too. Also: test_random_graphs FIRST N runs the seeds
 * FIRST to FIRST + N - 1; test_random_graphs FIRST N cuda is skipped where there is no GPU.
 *
 * How far results may be off is measured, not guessed: the reference runs again with every op's
 * results moved at random by what a sum in float may lose (NOISE of their size, and a little that
 * is absolute), which shows how much the graph amplifies that. */
#include "test.h"

#include <inttypes.h>

#include "graph_net.h"
#include "nn/graph_dump.h"
#include "nn/pass.h"
#include "random_graph.h"

#define NOISE      1e-6
#define NOISE_BF16 4e-3 /* 2^-8, of products */
enum { N_MOVED = 3 };

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(HAS_ASAN)
enum { N_GRAPH = 100 };
#else
enum { N_GRAPH = 1000 };
#endif

static uint64_t first_seed = 1;
static int n_graph = N_GRAPH;
static vk_isa best;
static const vk_device_def *gpu;      /* NULL: there is none */
static int n_op_seen[VK_ISA_N * 256]; /* by op */
static int n_stored;                  /* values in bf16 */
static int n_on_gpu;                  /* graphs */

/* ---- the reference ------------------------------------------------------------------------- */

typedef struct reference {
  vk_graph graph; /* with the backward pass where it trains */
  bool is_bf16;
  int64_t n[VK_SYM_MAX];
  double **want, **moved[N_MOVED]; /* [graph.n_value] */
} reference;

static double *new_doubles(int64_t n)
{
  double *x = calloc((size_t)n + 1, sizeof *x);
  assert_non_null(x);
  return x;
}

/* Data of leaves, by name, as the reference takes them. */
static double **leaves_of(const random_graph *r, const vk_graph *g)
{
  double **data = calloc((size_t)g->n_value + 1, sizeof *data);
  assert_non_null(data);
  for (vk_id v = 0; v < g->n_value; v++) {
    const vk_value *x = &g->value[v];
    int64_t n = vk_shape_n_item(&x->shape);
    if (x->kind == VK_RESULT)
      continue;
    data[v] = new_doubles(n);
    vk_id from = x->kind == VK_CONST ? VK_NONE : vk_graph_find(&r->graph, x->name);
    if (from != VK_NONE)
      memcpy(data[v], r->data[from],
             (size_t)n * (x->dtype == VK_F32 ? 8 : vk_dtype_size(x->dtype)));
    for (int64_t i = 0; i < n && x->kind == VK_CONST && x->dtype == VK_F32; i++)
      data[v][i] = ((const float *)x->data)[i];
  }
  return data;
}

/* Root of the mean square of a value; 1 for an optional input that is not there. */
static double rms_of(const vk_graph *g, vk_id v, const int64_t *n, double **data)
{
  if (v == VK_NONE || g->value[v].dtype != VK_F32)
    return 1;
  vk_shape s = vk_value_shape(&g->value[v], n);
  int64_t n_item = vk_shape_n_item(&s);
  double sum = 0;
  for (int64_t j = 0; j < n_item; j++)
    sum += data[v][j] * data[v][j];
  return sqrt(sum / (double)(n_item ? n_item : 1));
}

/* What a node's results would be in size if nothing cancelled: rounding goes by that. */
static double size_of_terms(const vk_graph *g, const vk_node *node, const int64_t *n, double **data)
{
  if (node->op == &vk_op_add)
    return rms_of(g, node->in[0], n, data);
  if (node->op->n_phase > 1 && vk_shape_n_item(&g->value[node->out[0]].shape) == 1)
    return 4; /* a loss: a mean of terms of about that size, of both signs */
  if (node->op != &vk_op_matmul)
    return 0;
  vk_shape a = vk_value_shape(&g->value[node->in[0]], n);
  int64_t k = node->attr.trans_a ? vk_shape_n_row(&a) : vk_shape_last(&a);
  return sqrt((double)k) * rms_of(g, node->in[0], n, data) * rms_of(g, node->in[1], n, data);
}

/* What pass bf16 may round, of nodes of graphs before passes. */
static bool has_products(const vk_op_def *op)
{
  return op == &vk_op_matmul || op == &vk_op_conv || op == &vk_op_conv_dx || op == &vk_op_conv_dw ||
         op == &vk_op_attention || op == &vk_op_attention_grad;
}

/* Moves results of node i by noise. */
static void add_noise(const vk_graph *g, int i, const int64_t *n, double **data, bool is_bf16,
                      vk_philox *rng)
{
  const vk_node *node = &g->node[i];
  double noise = is_bf16 && has_products(node->op) ? NOISE_BF16 : NOISE;
  if (node->op->flags & (VK_OP_EXACT | VK_OP_VIEW))
    return;
  double least = fmin(node->op->atol, 3e-7); /* GELU of what is far below 0 */
  for (int k = 0; k < node->n_out; k++) {
    const vk_value *v = &g->value[node->out[k]];
    vk_shape s = vk_value_shape(v, n);
    double *y = data[node->out[k]];
    double size = fmax(rms_of(g, node->out[k], n, data), size_of_terms(g, node, n, data));
    for (int64_t j = 0; j < vk_shape_n_item(&s) && v->dtype == VK_F32; j++)
      y[j] += (noise * (size + fabs(y[j])) + least) * (vk_philox_u32(rng) & 1 ? 1 : -1);
  }
}

static double **run_moved(const random_graph *r, const reference *f, uint64_t key)
{
  const vk_graph *g = &f->graph;
  double **data = leaves_of(r, g);
  vk_philox rng;
  vk_philox_init(&rng, key, 5);
  vk_graph head = *g; /* one node more each time */
  for (int i = 0; i < g->n_node; i++) {
    head.n_node = i + 1;
    graph_run_reference_from(&head, i, f->n, (void **)data);
    add_noise(g, i, f->n, data, f->is_bf16, &rng);
  }
  return data;
}

static void reference_init(reference *f, const random_graph *r, const vk_target *t, int64_t n)
{
  *f = (reference){.is_bf16 = t->is_bf16, .n = {n}};
  net_reference_graph(&f->graph, &r->graph, t);
  f->want = leaves_of(r, &f->graph);
  graph_run_reference(&f->graph, f->n, (void **)f->want);
  for (int k = 0; k < N_MOVED; k++)
    f->moved[k] = run_moved(r, f, (uint64_t)k);
}

static void free_data(const vk_graph *g, double **data)
{
  for (int v = 0; v < g->n_value; v++)
    free(data[v]);
  free(data);
}

static void reference_fini(reference *f)
{
  free_data(&f->graph, f->want);
  for (int k = 0; k < N_MOVED; k++)
    free_data(&f->graph, f->moved[k]);
  vk_graph_fini(&f->graph);
}

/* ---- runs ---------------------------------------------------------------------------------- */

static const char *describe(const random_graph *r, const vk_target *t, int64_t n)
{
  static char text[256];
  snprintf(text, sizeof text,
           "seed %" PRIu64 ", %s, %d threads, batch %d of %d, %s%s%s%s, without %s (%d)", r->seed,
           t->device ? t->device->name : vk_isa_name(t->isa), t->n_thread, (int)n, (int)r->cap,
           t->is_train ? "training" : "forward", t->is_bf16 ? ", bf16" : "",
           t->recompute ? ", recompute" : "", t->accumulate ? ", accumulate" : "",
           t->n_skip ? t->skip[0] : "none", t->n_skip);
  return text;
}

/* Opens a run of a graph made of r's, with its numbers in the leaves; sums of gradients start from
 * zero. */
static void open_run(net_run *run, const random_graph *r, const vk_graph *graph, const vk_target *t,
                     int64_t n)
{
  net_open(run, graph, t, NULL);
  vk_exec_set_size(run->exec, 0, n);
  const vk_graph *g = &run->plan->graph;
  for (vk_id v = 0; v < g->n_value; v++) {
    const vk_value *x = &g->value[v];
    void *to = net_at(run, v);
    vk_id from =
        x->kind == VK_INPUT || x->kind == VK_PARAM ? vk_graph_find(&r->graph, x->name) : VK_NONE;
    if (from != VK_NONE && to)
      memcpy(to, r->leaf[from], (size_t)net_n_item(run, v) * vk_dtype_size(x->dtype));
    if (x->kind == VK_INPUT && strncmp(x->name, "sum.", 4) == 0) {
      char name[64];
      snprintf(name, sizeof name, "grad.%s", x->name + 4);
      vk_exec_bind(run->exec, v, run->block[vk_graph_find_output(g, name)]);
    }
  }
  net_send(run);
  vk_assert_ok(vk_exec_prepare(run->exec, NULL), NULL);
}

/* |a - b| over n items. */
static double distance(const double *a, const double *b, int64_t n)
{
  double sum = 0;
  for (int64_t i = 0; i < n; i++)
    sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sqrt(sum);
}

static void check_output(const random_graph *r, const reference *f, const net_run *run,
                         const vk_target *t, int i)
{
  const vk_output *o = &f->graph.output[i];
  vk_id there = vk_graph_find_output(&run->plan->graph, o->name);
  assert_true(there != VK_NONE);
  const vk_value *v = &f->graph.value[o->value];
  int64_t n = net_n_item(run, there);
  const void *got = net_at(run, there);
  if (v->dtype == VK_I32) {
    assert_memory_equal(got, f->want[o->value], (size_t)n * 4);
    return;
  }
  if (v->dtype != VK_F32)
    return;
  double *x = new_doubles(n), *zero = new_doubles(n);
  for (int64_t k = 0; k < n; k++)
    x[k] = ((const float *)got)[k];
  double size = distance(f->want[o->value], zero, n), most = 0;
  for (int k = 0; k < N_MOVED; k++)
    most = fmax(most, distance(f->want[o->value], f->moved[k][o->value], n));
  double error = distance(x, f->want[o->value], n), bound = 4 * most + 2e-6 * size + 1e-30;
  free(x);
  free(zero);
  if (error <= bound || !(size < 1e15)) /* exponentials beyond what floats hold */
    return;
  print_error("%s: %s (%s) is off by %.3g, allowed is %.3g; it is %.3g\n", describe(r, t, f->n[0]),
              o->name, v->name, error, bound, size);
  vk_graph_dump(&r->graph, stderr); /* for whoever looks into it */
  fail();
}

/* Bits of all float outputs after a run, one after the other. */
static uint8_t *bits_of(const net_run *run, size_t *n)
{
  const vk_graph *g = &run->plan->graph;
  uint8_t *bits = NULL;
  *n = 0;
  for (int pass = 0; pass < 2; pass++) {
    size_t at = 0;
    for (int i = 0; i < g->n_output; i++) {
      vk_id v = g->output[i].value;
      size_t bytes = g->value[v].dtype == VK_F32 ? (size_t)net_n_item(run, v) * 4 : 0;
      if (bits && bytes)
        memcpy(bits + at, net_at(run, v), bytes);
      at += bytes;
    }
    if (!bits)
      bits = calloc(at + 1, 1);
    assert_non_null(bits);
    *n = at;
  }
  return bits;
}

/* On a GPU the third run of these sizes is captured and the fourth is that graph again. The third
 * is of other inputs, so that a graph that does nothing shows. */
enum { N_RUN = 2, N_RUN_GPU = 4 };

/* Numbers that runs get anew, times a factor. */
static void put_inputs(const net_run *run, const random_graph *r, float factor)
{
  const vk_graph *g = &run->plan->graph;
  for (vk_id v = 0; v < g->n_value; v++) {
    const vk_value *x = &g->value[v];
    vk_id from = vk_graph_find(&r->graph, x->name);
    float *to = vk_exec_data(run->exec, v);
    if (x->kind != VK_INPUT || x->dtype != VK_F32 || run->plan->place[v].where != VK_WHERE_HELD ||
        from == VK_NONE || !to)
      continue;
    for (int64_t k = 0; k < net_n_item(run, v); k++)
      to[k] = ((const float *)r->leaf[from])[k] * factor;
  }
}

/* What runs add gradients to holds zeros again. */
static void clear_sums(const net_run *run)
{
  const vk_graph *g = &run->plan->graph;
  for (vk_id v = 0; v < g->n_value; v++)
    if (g->value[v].kind == VK_INPUT && strncmp(g->value[v].name, "sum.", 4) == 0) {
      char name[64];
      snprintf(name, sizeof name, "grad.%s", g->value[v].name + 4);
      vk_assert_ok(vk_device_zero(&run->device, run->block[vk_graph_find_output(g, name)],
                                  vk_value_bytes(&g->value[v]), NULL),
                   NULL);
    }
}

/* Runs a graph made of r's for a target again and again, compares it with the reference, and
 * returns the bits. */
static uint8_t *run_graph(const random_graph *r, const reference *f, const vk_graph *graph,
                          const vk_target *t, size_t *n)
{
  net_run run;
  open_run(&run, r, graph, t, f->n[0]);
  vk_assert_ok(vk_exec_run(run.exec, NULL), NULL);
  net_fetch(&run);
  for (int i = 0; i < f->graph.n_output; i++)
    check_output(r, f, &run, t, i);
  uint8_t *bits = bits_of(&run, n);
  for (int i = 2; i <= (t->device == gpu && gpu ? N_RUN_GPU : N_RUN); i++) {
    const bool is_other = i == N_RUN_GPU - 1;
    clear_sums(&run);
    put_inputs(&run, r, is_other ? 0.5f : 1);
    vk_assert_ok(vk_exec_run(run.exec, NULL), NULL);
    net_fetch(&run);
    if (is_other)
      continue;
    uint8_t *again = bits_of(&run, n);
    if (memcmp(bits, again, *n) != 0) {
      print_error("%s: other bits in run %d\n", describe(r, t, f->n[0]), i);
      fail();
    }
    free(again);
  }
  net_close(&run);
  return bits;
}

static uint8_t *run_target(const random_graph *r, const reference *f, const vk_target *t, size_t *n)
{
  return run_graph(r, f, &r->graph, t, n);
}

/* Bits of the graph as passes make it for p, run on path isa. */
static uint8_t *run_for(const random_graph *r, const reference *f, const vk_target *p, vk_isa isa,
                        size_t *n)
{
  vk_err err = VK_ERR_INIT;
  vk_graph planned = {.name = ""}, here;
  vk_assert_ok(vk_pass_run_all(&planned, &r->graph, p, NULL, NULL, &err), &err);
  for (vk_id v = 0; v < planned.n_value; v++)
    n_stored += planned.value[v].dtype == VK_BF16;
  net_take_to(&here, &planned, isa);
  vk_target t = net_target_as_it_is(isa, p->n_thread);
  t.is_bf16 = p->is_bf16;
  t.accumulate = p->accumulate;
  uint8_t *bits = run_graph(r, f, &here, &t, n);
  vk_graph_fini(&here);
  vk_graph_fini(&planned);
  return bits;
}

/* What is stored in bf16 changes no bits, here and with all that machines with tiles round. */
static void check_storage(const random_graph *r, const reference *f, const vk_target *t)
{
  static const char *const skip[] = {"storage"};
  for (int tiles = 0; tiles < 2; tiles++) {
    vk_target p = *t;
    p.isa = tiles ? VK_ISA_AMX : t->isa;
    size_t n, n_want;
    uint8_t *bits = run_for(r, f, &p, t->isa, &n);
    p.skip = skip;
    p.n_skip = 1;
    uint8_t *want = run_for(r, f, &p, t->isa, &n_want);
    assert_int_equal(n, n_want);
    if (memcmp(bits, want, n) != 0) {
      print_error("%s: other bits than with storage in bf16%s\n", describe(r, &p, f->n[0]),
                  tiles ? ", as for tiles" : "");
      vk_graph_dump(&r->graph, stderr);
      fail();
    }
    free(bits);
    free(want);
  }
}

/* The same bits for another number of threads. */
static void check_threads(const random_graph *r, const reference *f, vk_target t,
                          const uint8_t *want, size_t n_want)
{
  size_t n;
  t.n_thread = 1 + t.n_thread % 4;
  uint8_t *bits = run_target(r, f, &t, &n);
  assert_int_equal(n, n_want);
  if (memcmp(bits, want, n) != 0) {
    print_error("%s: other bits than with another number of threads\n", describe(r, &t, f->n[0]));
    fail();
  }
  free(bits);
}

/* Without any pass that is not needed, or all but one; on some path. */
static void check_without_passes(random_graph *r, const reference *f, vk_target t)
{
  size_t n;
  vk_target all = net_target_as_it_is(t.isa, t.n_thread);
  t.skip = all.skip;
  t.n_skip = all.n_skip;
  if (random_graph_chance(r, 0.8)) {
    t.skip += random_graph_int(r, 0, vk_pass_count() - 1);
    t.n_skip = 1;
  }
  t.isa = (vk_isa)random_graph_int(r, 0, (int64_t)best);
  free(run_target(r, f, &t, &n));
}

/* On a GPU, which has kernels for all but the CPU's panels. */
static void check_gpu(const random_graph *r, const reference *f, vk_target t)
{
  size_t n;
  for (int i = 0; i < r->graph.n_node; i++)
    if (!gpu->has_op(r->graph.node[i].op) && !(r->graph.node[i].op->flags & VK_OP_VIEW))
      return;
  t.device = gpu;
  free(run_target(r, f, &t, &n));
  n_on_gpu++;
}

/* Some of all ways to run a graph; over many graphs, each of them. */
static void check_graph(random_graph *r)
{
  vk_target t = {.n_thread = (int)random_graph_int(r, 1, 4),
                 .isa = (vk_isa)random_graph_int(r, 0, (int64_t)best),
                 .is_train = random_graph_chance(r, 0.6),
                 .loss = "loss"};
  t.recompute = t.is_train && random_graph_chance(r, 0.3);
  t.accumulate = t.is_train && random_graph_chance(r, 0.3);
  t.is_bf16 = random_graph_chance(r, 0.2);
  int64_t n = r->cap;
  if (random_graph_chance(r, 0.4))
    n = random_graph_int(r, r->has_fixed_index ? 1 : 0, r->cap);
  reference f;
  reference_init(&f, r, &t, n);
  size_t n_bit;
  uint8_t *bits = run_target(r, &f, &t, &n_bit); /* all passes */
  check_threads(r, &f, t, bits, n_bit);
  free(bits);
  if (t.is_bf16)
    check_storage(r, &f, &t);
  if (gpu)
    check_gpu(r, &f, t);
  for (int k = 0; k < 3; k++)
    check_without_passes(r, &f, t);
  reference_fini(&f);
}

static void random_graphs(void **state)
{
  for (int k = 0; k < n_graph; k++) {
    random_graph r;
    random_graph_init(&r, first_seed + (uint64_t)k, NULL, 0);
    for (int i = 0; i < r.graph.n_node; i++)
      for (int o = 0; o < vk_op_count(); o++)
        n_op_seen[o] += vk_ops[o] == r.graph.node[i].op;
    check_graph(&r);
    random_graph_fini(&r);
  }
}

/* Each variant of each op begins a graph: one that cannot be placed fails here. */
static void every_op_takes_part(void **state)
{
  for (int o = 0; o < vk_op_count(); o++)
    for (int i = 0; i < (vk_ops[o]->n_case ? vk_ops[o]->n_case : 1); i++)
      for (uint64_t seed = 0; seed < 3; seed++) {
        random_graph r;
        random_graph_init(&r, 1000000 + seed, vk_ops[o], i);
        check_graph(&r);
        random_graph_fini(&r);
      }
}

static void seen_often(void **state)
{
  assert_true(!gpu || n_on_gpu > n_graph / 2);
  if (n_graph < 500)
    skip();
  for (int o = 0; o < vk_op_count(); o++)
    if (n_op_seen[o] < n_graph / 100) {
      print_error("op %s was in %d of %d graphs\n", vk_ops[o]->name, n_op_seen[o], n_graph);
      fail();
    }
  assert_true(n_stored > n_graph / 20);
}

int main(int argc, char **argv)
{
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  best = vk_isa_best(&cpu);
  int n_device;
  vk_err err = VK_ERR_INIT;
  vk_status st = vk_device_cuda.count(&n_device, &err);
  if (st == VK_OK)
    gpu = &vk_device_cuda;
  if (argc > 3 && !gpu) {
    fprintf(stderr, "%s\n", err.text);
    return st == VK_E_UNSUPPORTED ? VK_TEST_SKIP : 1;
  }
  if (argc > 2) {
    first_seed = strtoull(argv[1], NULL, 10);
    n_graph = atoi(argv[2]);
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_op_takes_part),
      cmocka_unit_test(random_graphs),
      cmocka_unit_test(seen_often),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
