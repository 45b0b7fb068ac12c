/* op_case.h - one random call of an op: inputs in float and in double, guarded memory, for the
 * tests that walk the list of ops. */
#ifndef VK_TESTS_OP_CASE_H
#define VK_TESTS_OP_CASE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "guard.h"
#include "nn/op.h"

typedef struct op_case {
  const vk_op_def *op;
  vk_example example;
  vk_philox rng;
  vk_graph graph; /* the one node */
  int n_in, n_out;
  vk_tensor in[VK_NODE_IN_MAX], out[VK_NODE_OUT_MAX];     /* float */
  vk_tensor in64[VK_NODE_IN_MAX], out64[VK_NODE_OUT_MAX]; /* double where the other is float */
  int n_block;
  void *block[64]; /* all memory, to be freed */
} op_case;

static inline int n_case_of(const vk_op_def *op)
{
  return op->n_case ? op->n_case : 1;
}

/* Memory with guard bytes before and after. */
static void *guarded(op_case *t, size_t n)
{
  size_t all = (n + 2 * GUARD + 63) / 64 * 64;
  uint8_t *p = aligned_alloc(64, all);
  assert_non_null(p);
  memset(p, GUARD_BYTE, all);
  assert_true(t->n_block < (int)VK_COUNT(t->block));
  t->block[t->n_block++] = p;
  return p + GUARD;
}

static size_t bytes_of(const vk_tensor *t)
{
  return (size_t)vk_shape_n_item(&t->shape) * vk_dtype_size(t->dtype);
}

static void fill(op_case *t, int i)
{
  const vk_example_in *e = &t->example.in[i];
  int64_t n = vk_shape_n_item(&e->shape);
  vk_example_fill(&t->example, e, n, t->in[i].data);
  for (int64_t k = 0; k < n && e->dtype == VK_F32; k++)
    ((double *)t->in64[i].data)[k] = ((const float *)t->in[i].data)[k];
}

static vk_tensor new_tensor(op_case *t, vk_dtype dtype, vk_shape shape)
{
  vk_tensor x = {.dtype = dtype, .shape = shape};
  x.data = guarded(t, bytes_of(&x));
  return x;
}

/* A call of variant i_case; with the same seed the same one. */
static void op_case_init(op_case *t, const vk_op_def *op, int i_case, uint64_t seed)
{
  vk_err err = VK_ERR_INIT;
  *t = (op_case){.op = op};
  vk_philox_init(&t->rng, seed, (uint64_t)i_case);
  t->example = (vk_example){.rng = &t->rng, .i_case = i_case};
  op->example(&t->example);
  t->n_in = t->example.n_in;
  vk_graph_init(&t->graph, op->name);
  vk_in in = {.n = t->n_in};
  for (int i = 0; i < t->n_in; i++) {
    const vk_example_in *e = &t->example.in[i];
    in.id[i] = VK_NONE;
    if (!e->is_used)
      continue;
    char name[8] = {'i', 'n', (char)('0' + i)};
    in.id[i] = e->dtype == VK_F32
                   ? vk_graph_param(&t->graph, name, e->shape)
                   : vk_graph_input(&t->graph, name, e->dtype, e->shape, VK_NO_EXTENT);
    t->in[i] = new_tensor(t, e->dtype, e->shape);
    t->in64[i] = e->dtype == VK_F32 ? new_tensor(t, VK_F64, e->shape) : t->in[i];
    fill(t, i);
  }
  for (int s = 0; s < VK_SYM_MAX; s++) /* extents that an op's attributes may name */
    vk_graph_sym(&t->graph, "sym", 0);
  vk_id first = vk_apply(&t->graph, op, in, t->example.attr);
  vk_assert_ok(vk_graph_check(&t->graph, &err), &err);
  t->n_out = op->n_out;
  for (int i = 0; i < t->n_out; i++) {
    const vk_value *v = &t->graph.value[vk_graph_out(&t->graph, first, i)];
    t->out[i] = new_tensor(t, v->dtype, v->shape);
    t->out64[i] = new_tensor(t, v->dtype == VK_F32 ? VK_F64 : v->dtype, v->shape);
  }
}

static void op_case_fini(op_case *t)
{
  vk_graph_fini(&t->graph);
  for (int i = 0; i < t->n_block; i++)
    free(t->block[i]);
}

static vk_op_call op_case_call(const op_case *t, int n_part)
{
  return (vk_op_call){.attr = &t->example.attr,
                      .n_in = t->n_in,
                      .n_out = t->n_out,
                      .in = t->in,
                      .out = t->out,
                      .n_part = n_part};
}

static size_t op_case_scratch(const op_case *t, int n_part)
{
  vk_op_call call = op_case_call(t, n_part);
  return t->op->scratch ? t->op->scratch(&call) : 0;
}

/* All parts of all phases, one after the other, on one path, with n_scratch bytes. */
static void op_case_run_in(op_case *t, vk_isa isa, int n_part, size_t n_scratch)
{
  vk_op_call call = op_case_call(t, n_part);
  int mark = t->n_block;
  call.scratch = guarded(t, n_scratch);
  vk_op_run *run = vk_op_kernel(t->op, isa);
  for (call.i_phase = 0; call.i_phase < (t->op->n_phase ? t->op->n_phase : 1); call.i_phase++)
    for (call.i_part = n_part - 1; call.i_part >= 0; call.i_part--)
      run(&call);
  check_guard(call.scratch, n_scratch, t->op->name);
  for (int i = 0; i < t->n_out; i++)
    check_guard(t->out[i].data, bytes_of(&t->out[i]), t->op->name);
  while (t->n_block > mark)
    free(t->block[--t->n_block]);
}

static inline void op_case_run(op_case *t, vk_isa isa, int n_part)
{
  op_case_run_in(t, isa, n_part, op_case_scratch(t, n_part));
}

/* The outputs of two runs of a call. */
static inline void require_same_bits(const op_case *a, const op_case *b, const char *why)
{
  for (int i = 0; i < a->n_out; i++)
    if (memcmp(a->out[i].data, b->out[i].data, bytes_of(&a->out[i])) != 0) {
      print_error("%s, case %d, output %d: %s\n", a->op->name, a->example.i_case, i, why);
      fail();
    }
}

static void op_case_ref(op_case *t)
{
  vk_op_call call = {.attr = &t->example.attr,
                     .n_in = t->n_in,
                     .n_out = t->n_out,
                     .in = t->in64,
                     .out = t->out64,
                     .n_part = 1};
  t->op->ref(&call);
}

#endif
