/* graph.h - a model as a static graph of ops for one bucket of shapes.
 *
 * A graph is a list of values (what flows) and a list of nodes (ops, in an order in which they can
 * run). Models build one with VK_APPLY; passes make a new graph from
 * an old one; the executor runs a planned one and nothing else.
 *
 *   vk_id x = vk_graph_input(g, "x", VK_F32, vk_shape_of(2, 32, 128), VK_NO_EXTENT);
 *   vk_id w = vk_graph_param(g, "mlp.weight", vk_shape_of(2, 512, 128));
 *   vk_id y = VK_APPLY(g, matmul, VK_IN(x, w), .trans_b = 1);
 *   vk_graph_output(g, "y", y);
 *   VK_TRY(vk_graph_check(g, err));
 *
 * Errors stick: after the first one every call returns VK_NONE and vk_graph_check tells it, so that
 * a model is written without a test a line.
 *
 * Extents. A batch is rarely full and sentences have few words: the first dimension of a value may
 * be shorter in a run than its capacity. A value's extent says by which symbol ("batch", "token")
 * and how (per * n + plus rows); kernels see the shape of the run, memory is planned for the
 * capacity. What is absent is not there, rather than masked.
 *
 * Test: tests/unit/test_graph.c */
#ifndef VK_NN_GRAPH_H
#define VK_NN_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

/* X(NAME, bytes, spelling). F64 is for reference results alone; no op has I8 yet. */
/* clang-format off */
#define VK_DTYPES(X)                                                                               \
  X(F32, 4, "f32")                                                                                 \
  X(BF16, 2, "bf16")                                                                               \
  X(I8, 1, "i8")                                                                                   \
  X(U8, 1, "u8")                                                                                   \
  X(I32, 4, "i32")                                                                                 \
  X(F64, 8, "f64")
/* clang-format on */
typedef enum vk_dtype {
#define X(NAME, bytes, spelling) VK_##NAME,
  VK_DTYPES(X)
#undef X
      VK_DTYPE_N
} vk_dtype;

/* Bytes of an item; its spelling, never NULL. */
size_t vk_dtype_size(vk_dtype dtype);
const char *vk_dtype_name(vk_dtype dtype);

enum {
  VK_DIM_MAX = 4,
  VK_NODE_IN_MAX = 8,
  VK_NODE_OUT_MAX = 4,
  VK_SYM_MAX = 8,
  VK_SHAPE_TEXT = 96,  /* of vk_shape_text's buffer */
  VK_VALUE_TEXT = 256, /* of others' */
};

/* Row-major; pictures are [n, height, width, channel]. */
typedef struct vk_shape {
  int n_dim;
  int64_t dim[VK_DIM_MAX];
} vk_shape;

/* Counts of items and rows; an empty product is 1. */
vk_shape vk_shape_of(int n_dim, ...); /* dimensions as int or int64_t constants: int arguments */
int64_t vk_shape_n_item(const vk_shape *s);
int64_t vk_shape_last(const vk_shape *s);  /* channels of a row: the last dimension, 1 for [] */
int64_t vk_shape_n_row(const vk_shape *s); /* items / last */
bool vk_shape_equal(const vk_shape *a, const vk_shape *b);
/* "[32, 128]". Returns buf. */
const char *vk_shape_text(const vk_shape *s, char buf[VK_SHAPE_TEXT]);

/* dim[0] in a run: per * n(sym) + plus; sym < 0: always the capacity. */
typedef struct vk_extent {
  int sym;
  int64_t per, plus;
} vk_extent;
#define VK_NO_EXTENT ((vk_extent){.sym = -1})

typedef int vk_id; /* index of a value */
enum { VK_NONE = -1 };

/* What ops need to know beside their inputs. One list for all ops; those that an op does not use
 * stay 0. X(type, name, what it is). */
#define VK_ATTRS(X)                                                                                \
  X(int64_t, trans_a, "matmul: a is [k, m]")                                                       \
  X(int64_t, trans_b, "matmul: b is [n, k], as the weight of a linear layer")                      \
  X(int64_t, packed_b, "matmul: b lies in panels (op pack)")                                       \
  X(int64_t, keep_pre, "output 1 is what goes into the activation; else it has no items")          \
  X(int64_t, act, "activation, vk_act")                                                            \
  X(int64_t, n_head, "heads of an attention")                                                      \
  X(int64_t, len_q, "attention: rows of a query segment; 0: as the keys' segments")                \
  X(int64_t, len_k, "attention: rows of a key segment; 0: from the input seg")                     \
  X(int64_t, max_k, "attention: most rows of a segment of the input seg; 0: as many as keys")      \
  X(int64_t, n_group, "groups of a normalisation")                                                 \
  X(int64_t, group, "rows that share one row of another input")                                    \
  X(int64_t, height, "rows of a picture")                                                          \
  X(int64_t, width, "columns of a picture")                                                        \
  X(int64_t, stride, "convolution: step in pixels")                                                \
  X(int64_t, offset, "first row or channel")                                                       \
  X(int64_t, count, "rows or channels")                                                            \
  X(int64_t, sym, "symbol of the output's extent, if per or plus say how; -1: none")               \
  X(int64_t, per, "rows a unit of that symbol")                                                    \
  X(int64_t, isa, "pack: path whose panels these are, vk_isa")                                     \
  X(int64_t, replay, "1: computed a second time for the backward pass")                            \
  X(int64_t, plus, "rows beyond them")                                                             \
  X(int64_t, kernel, "convolution: height and width of the window in pixels")                      \
  X(int64_t, pad, "convolution: rows and columns of zeros on every side")                          \
  X(int64_t, dtype, "type of panels (pack) or of factors (products)")                              \
  X(int64_t, store, "type of output 0 in memory, where products alone read it")                    \
  X(int64_t, native, "panels of bf16: for the processor's own instructions")                       \
  X(int64_t, seed, "random numbers: key of the op's stream")                                       \
  X(double, eps, "added to a variance or mean square")                                             \
  X(double, scale, "factor")                                                                       \
  X(double, shift, "added after the factor")                                                       \
  X(double, sigma, "soft labels: width in bins; 0: hard labels")                                   \
  X(double, weight, "weight of the last of every count rows")                                      \
  X(double, p, "probability")                                                                      \
  X(double, lo, "lower bound")                                                                     \
  X(double, hi, "upper bound")                                                                     \
  X(double, delta, "huber: where the parabola ends")                                               \
  X(double, dual, "ppo_loss: a loss is at most dual |advantage|; 0: no such bound")                \
  X(double, log_lo, "ppo_loss: the logarithm of the ratio is at least this, if log_hi > log_lo")   \
  X(double, log_hi, "and at most this")
typedef struct vk_attrs {
  char none; /* unused; ends the lists that VK_APPLY makes */
#define X(type, name, what) type name;
  VK_ATTRS(X)
#undef X
} vk_attrs;

typedef enum vk_act {
  VK_ACT_NONE,
  VK_ACT_GELU,
  VK_ACT_GELU_GRAD, /* times the slope of gelu at another input: backward passes */
} vk_act;

/* In which order the items of a value lie. */
typedef enum vk_order {
  VK_ORDER_ROWS,   /* row-major, as the shape says */
  VK_ORDER_PANELS, /* bytes, as the product kernels of a path read weights (ops pack, conv_pack) */
} vk_order;

typedef enum vk_value_kind {
  VK_INPUT,  /* given by the caller for every run */
  VK_PARAM,  /* f32, by its safetensors name */
  VK_CONST,  /* bytes that the graph owns */
  VK_RESULT, /* output of a node */
} vk_value_kind;

typedef struct vk_value {
  const char *name; /* never NULL; parameters: the name in safetensors files */
  vk_value_kind kind;
  vk_dtype dtype;
  vk_order order;
  vk_shape shape; /* capacity */
  vk_extent extent;
  bool is_frozen;   /* PARAM: no gradient */
  bool is_external; /* INPUT: lies in memory of the caller (vk_exec_bind) */
  bool is_boundary; /* kept between recomputed stretches (autodiff.h) */
  const void *data; /* CONST */
  int node, i_out;  /* RESULT: who makes it */
} vk_value;

typedef struct vk_op_def vk_op_def;

typedef struct vk_node {
  const vk_op_def *op;
  const char *place; /* part of the model: "enc.0.attn" */
  vk_attrs attr;
  int n_in, n_out;
  vk_id in[VK_NODE_IN_MAX]; /* VK_NONE: an optional input that is not used */
  vk_id out[VK_NODE_OUT_MAX];
} vk_node;

typedef struct vk_output {
  const char *name;
  vk_id value;
  bool is_external; /* written straight into memory of the caller (vk_exec_bind): gradients */
} vk_output;

typedef struct vk_graph {
  const char *name;
  int n_value, n_node, n_output, n_sym;
  vk_value *value;
  vk_node *node;
  vk_output *output;
  const char *sym[VK_SYM_MAX];
  int64_t sym_cap[VK_SYM_MAX];
  /* private */
  char place[128];
  int room_value, room_node, room_output;
  struct vk_text_block *text;
  vk_status status;
  vk_err err;
} vk_graph;

/* An empty graph; free it also after errors. */
void vk_graph_init(vk_graph *g, const char *name);
void vk_graph_fini(vk_graph *g);

/* The first error of building. Errors: VK_E_SHAPE, VK_E_MISMATCH (a name twice), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_graph_check(vk_graph *g, vk_err *err);

/* A symbol of extents with the most that a run may have. */
int vk_graph_sym(vk_graph *g, const char *name, int64_t cap);
vk_extent vk_graph_extent(int sym, int64_t per, int64_t plus);

/* What a run is given. */
vk_id vk_graph_input(vk_graph *g, const char *name, vk_dtype dtype, vk_shape shape,
                     vk_extent extent);
/* f32; names are unique. */
vk_id vk_graph_param(vk_graph *g, const char *name, vk_shape shape);
/* data is copied. */
vk_id vk_graph_const(vk_graph *g, const char *name, vk_dtype dtype, vk_shape shape,
                     const void *data);
/* In memory of the caller, see vk_value. */
vk_id vk_graph_input_external(vk_graph *g, const char *name, vk_dtype dtype, vk_shape shape);
void vk_graph_output(vk_graph *g, const char *name, vk_id value);
/* The value is written straight into the caller's memory; one that cannot be (no result, a view, an
 * output already) is copied there by a node of its own. */
void vk_graph_output_external(vk_graph *g, const char *name, vk_id value);
/* Later nodes belong to this part of the model: printf format; "" for none. */
void vk_graph_place(vk_graph *g, const char *format, ...) VK_PRINTF(2, 3);

/* Adds a node; returns its first output (the others follow: vk_graph_out). What the op's shape rule
 * refuses becomes the graph's error: op, place and shapes. */
typedef struct vk_in {
  int n;
  vk_id id[VK_NODE_IN_MAX];
} vk_in;
vk_id vk_apply(vk_graph *g, const vk_op_def *op, vk_in in, vk_attrs attr);
#define VK_IN(...)                                                                                 \
  ((vk_in){.n = sizeof((vk_id[]){__VA_ARGS__}) / sizeof(vk_id), .id = {__VA_ARGS__}})
/* VK_APPLY(g, matmul, VK_IN(x, w), .trans_b = 1) */
#define VK_APPLY(g, name, ...)      VK_APPLY_(g, name, __VA_ARGS__, .none = 0)
#define VK_APPLY_(g, name, in, ...) vk_apply((g), &vk_op_##name, (in), (vk_attrs){__VA_ARGS__})
/* Applies the shape rule of a node (of op, place, attributes, inputs) and nothing else.
 *   out  [op->n_out] dtype, shape and extent
 * Errors: VK_E_SHAPE. */
VK_NODISCARD vk_status vk_graph_infer(const vk_graph *g, const vk_node *n, vk_value *out,
                                      vk_err *err);
/* Output i of the node that made value. */
vk_id vk_graph_out(const vk_graph *g, vk_id value, int i_out);

/* VK_NONE when there is none of that name. */
vk_id vk_graph_find(const vk_graph *g, const char *name);        /* inputs and parameters */
vk_id vk_graph_find_output(const vk_graph *g, const char *name); /* outputs */

/* A copy of text that lives with the graph. */
const char *vk_graph_text(vk_graph *g, const char *text);

/* Bytes at capacity. */
size_t vk_value_bytes(const vk_value *v);
/* Shape when sym i has n[i]; n NULL: the capacity. */
vk_shape vk_value_shape(const vk_value *v, const int64_t *n);
/* Shape, the first dimension by its extent: "[batch*3, 24]", "[token+2, 8]". Returns buf. */
const char *vk_value_shape_text(const vk_graph *g, const vk_value *v, char buf[VK_VALUE_TEXT]);

/* Every rule that a graph must keep: order, indices, shapes as the ops derive them, names, what
 * lies in memory of the caller. Errors: VK_E_SHAPE, VK_E_MISMATCH with the node. */
VK_NODISCARD vk_status vk_graph_verify(const vk_graph *g, vk_err *err);
/* That a shape has dimensions in [0, 2^31) and at most 2^40 items, and that the extent's symbol is
 * there and gives the first dimension at capacity. Errors: VK_E_SHAPE with name. */
VK_NODISCARD vk_status vk_graph_check_shape(const vk_graph *g, const char *name, const vk_shape *s,
                                            const vk_extent *e, vk_err *err);

/* Copies what belongs to the graph as a whole (name, symbols) into the empty graph `to`. */
void vk_graph_copy_frame(vk_graph *to, const vk_graph *from);
/* Copies value v (an input, parameter or constant) and returns its id in `to`. */
vk_id vk_graph_copy_value(vk_graph *to, const vk_graph *from, vk_id v);
/* Copies node i with its inputs replaced: map[old id] = new id; fills map for its outputs. */
void vk_graph_copy_node(vk_graph *to, const vk_graph *from, int i, vk_id *map);

#endif
