/* op.h - what an op is. One file op_NAME.c holds all of it, and one line in op_list.h makes it
 * known: the build, the kernels of every path, `vlakit graph ops`, `vlakit bench ops` and the
 * generic tests (shape errors, double reference, finite differences, guard bytes, every path
 * against the scalar one) read that list.
 *
 * Such a file is compiled once a path:
 *
 *   VK_OP_RUN(square) { ... }                   the kernel, over simd.h; on the base path scalar
 *   #if VK_PATH_IS_BASE
 *   static ... infer, ref, grad, example
 *   const vk_op_def vk_op_square = {...};
 *   #endif
 *
 * Test: tests/unit/test_ops.c */
#ifndef VK_NN_OP_H
#define VK_NN_OP_H

#include "core/cpu.h"
#include "core/kernel_path.h"
#include "core/rng.h"
#include "nn/graph.h"

/* A value in a run: the shape has the run's extent. Data is aligned to 64 bytes. */
typedef struct vk_tensor {
  void *data; /* NULL: an optional input that is not used */
  vk_dtype dtype;
  vk_shape shape;
} vk_tensor;

/* One part of a run of a node. Every thread calls the kernel with its i_part, phase by phase; all
 * parts of a phase end before the next begins. Which part computes an item must not change its
 * bits. */
typedef struct vk_op_call {
  const vk_attrs *attr;
  int n_in, n_out;
  const vk_tensor *in;
  const vk_tensor *out;
  void *scratch; /* op->scratch bytes, shared by the parts, aligned to 64 */
  int i_phase, i_part, n_part;
} vk_op_call;

/* Items [begin, end) of n that fall to this part, in blocks of `block`. */
static inline void vk_op_part(const vk_op_call *c, int64_t n, int64_t block, int64_t *begin,
                              int64_t *end)
{
  int64_t n_block = (n + block - 1) / block;
  *begin = n_block * c->i_part / c->n_part * block;
  *end = n_block * (c->i_part + 1) / c->n_part * block;
  *begin = *begin < n ? *begin : n;
  *end = *end < n ? *end : n;
}

typedef void vk_op_run(const vk_op_call *c);
#define VK_OP_RUN(name)                                                                            \
  void VK_KERNEL(vk_run_##name)(const vk_op_call *c);                                              \
  void VK_KERNEL(vk_run_##name)(const vk_op_call *c)

/* Shape rule: in[] are the inputs' values (NULL: absent optional input); fill out[] (dtype, shape,
 * extent). Errors through vk_op_fail, which names op, place and shapes. */
typedef struct vk_infer {
  const vk_graph *graph;
  const vk_op_def *op;
  const char *place;
  const vk_attrs *attr;
  int n_in;
  const vk_value *in[VK_NODE_IN_MAX];
  vk_value *out; /* op->n_out of them */
} vk_infer;

/* "enc.0.attn: attention of [batch*8, 128] f32, [token, 256] f32: SENTENCE" */
vk_status vk_op_fail(const vk_infer *c, vk_err *err, const char *format, ...) VK_PRINTF(3, 4);
/* Input i is of this dtype and number of dimensions (0: any). */
VK_NODISCARD vk_status vk_op_need(const vk_infer *c, int i, vk_dtype dtype, int n_dim, vk_err *err);
/* Inputs i and j have one dtype, shape and extent. */
VK_NODISCARD vk_status vk_op_need_alike(const vk_infer *c, int i, int j, vk_err *err);
/* Input i, if there, has as many rows in every run: no extent. */
VK_NODISCARD vk_status vk_op_need_fixed(const vk_infer *c, int i, vk_err *err);
/* The extent that the attributes sym, per and plus name; none when they are left out. */
vk_extent vk_op_extent(const vk_attrs *a);
/* out[i] is as in[j]. */
void vk_op_same(const vk_infer *c, int i_out, int i_in);

/* Backward rule. dy[0]: gradient of output 0 (the others have none, vk_autodiff refuses them);
 * need[i]: input i wants one. Adds nodes to g and sets dx[i]; entries start as VK_NONE, and those
 * left so have gradient zero. */
typedef struct vk_grad {
  vk_graph *g;
  const vk_node *node;
  const vk_id *dy;
  const bool *need;
  vk_id *dx;
} vk_grad;

/* For what a rule cannot differentiate: the graph's error becomes "PLACE: OP: SENTENCE". */
void vk_grad_fail(const vk_grad *c, const char *format, ...) VK_PRINTF(2, 3);

/* Work of a node at the shapes given: multiply-adds, and bytes that must move (each input and
 * output once unless the op says otherwise). */
typedef struct vk_cost {
  double macs, bytes;
} vk_cost;

enum {
  VK_EXAMPLE_RANDOM,
  VK_EXAMPLE_ROW,
  VK_EXAMPLE_SEGMENTS,
  VK_EXAMPLE_POSITIVE,
  VK_EXAMPLE_PICK,
};

/* A random valid call, for tests and benchmarks: the op makes attributes and inputs.
 *   is_large  a size as in a model, for benchmarks; else a few items, odd sizes
 *   fill      RANDOM    normal; integers any within [0, hi)
 *             ROW       i32 within [0, hi)
 *             POSITIVE  |normal| + 0.5
 *             SEGMENTS  i32 [n + 1] rising from 0 to hi; segments may be empty if lo = 0
 *             PICK      i32: rows within [0, hi) of lo sources, and none (nn/pick.h) */
typedef struct vk_example_in {
  vk_dtype dtype;
  vk_shape shape;
  int fill;
  int64_t hi, lo;
  bool is_used; /* false: an optional input that is left out */
} vk_example_in;
typedef struct vk_example {
  vk_philox *rng;
  bool is_large;
  int i_case;   /* 0, 1, 2...: which variant */
  bool no_grad; /* out: passes alone make this variant, after differentiation */
  vk_attrs attr;
  int n_in;
  vk_example_in in[VK_NODE_IN_MAX];
} vk_example;
/* Random whole number in [lo, hi]. */
int64_t vk_example_int(vk_example *e, int64_t lo, int64_t hi);
/* Adds an input of f32 values drawn from a normal distribution. */
void vk_example_f32(vk_example *e, vk_shape shape);
void vk_example_u8(vk_example *e, vk_shape shape);
void vk_example_i32(vk_example *e, vk_shape shape, int fill, int64_t hi);
void vk_example_none(vk_example *e);
/* n items for an example's input, in its dtype. Those of a large one are as in a model: segments
 * are alike, and every row that is picked is there. */
void vk_example_fill(vk_example *e, const vk_example_in *in, int64_t n, void *data);

/* The attribute isa where factors are rounded on a device that has no panels: they lie as their
 * shapes say, in f32 or bf16. No kernel of the CPU takes that. */
enum { VK_PATH_GPU = VK_ISA_N };

enum {
  VK_OP_NO_GRAD = 1,    /* has no gradient: integers, sampling */
  VK_OP_EXACT = 2,      /* every path gives the same bits (copies, integers) */
  VK_OP_VIEW = 4,       /* output 0 is input 0 under another shape: there is no kernel call */
  VK_OP_HIDDEN = 8,     /* passes make it, models do not */
  VK_OP_ANY_DTYPE = 16, /* input 0 may be of any dtype */
};

struct vk_op_def {
  const char *name;
  const char *help; /* one line: formula, shapes of inputs and outputs */
  int n_in_min, n_in_max, n_out;
  unsigned flags;
  int in_place; /* 1 + i: output 0 may lie over input i if that is not used later; 0: over none */
  int n_phase;  /* 0 means 1 */
  unsigned data_in;  /* bit i: input i is data (weights of rows, masks, targets): no gradient goes
                        there, whatever it was made from */
  int n_case;        /* variants of example; 0 means 1 */
  double rtol, atol; /* |y - ref| <= atol + rtol * |ref|, item by item, see tolerance */
  const char *tolerance; /* why that much */
  vk_status (*infer)(const vk_infer *c, vk_err *err);
  void (*cost)(const vk_op_call *c, vk_cost *cost); /* NULL: bytes of inputs and outputs, no macs */
  size_t (*scratch)(const vk_op_call *c); /* NULL: none; at capacity, for n_part threads */
  void (*ref)(const vk_op_call *c);       /* plain loops in double: floats are F64 here; one part */
  void (*grad)(vk_grad *c);               /* NULL with VK_OP_NO_GRAD */
  void (*example)(vk_example *e);
};

/* The ops in the order of op_list.h. */
extern const vk_op_def *const vk_ops[];
int vk_op_count(void);
/* NULL when there is none of that name. */
const vk_op_def *vk_op_find(const char *name);
/* The kernel of a path; falls back to the next lower path that is built. */
vk_op_run *vk_op_kernel(const vk_op_def *op, vk_isa isa);
/* Cost at the call's shapes. */
vk_cost vk_op_cost(const vk_op_def *op, const vk_op_call *c);

#define VK_OP(name) extern const vk_op_def vk_op_##name;
#include "nn/op_list.h"
#undef VK_OP

#endif
