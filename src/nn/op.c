#include "nn/op.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "nn/pick.h"

const vk_op_def *const vk_ops[] = {
#define VK_OP(name) &vk_op_##name,
#include "nn/op_list.h"
#undef VK_OP
};

#define VK_OP(name)                                                                                \
  vk_op_run vk_run_##name##_scalar;                                                                \
  vk_op_run vk_run_##name##_avx2;                                                                  \
  vk_op_run vk_run_##name##_avx512;
#include "nn/op_list.h"
#undef VK_OP

typedef struct op_kernels {
  vk_op_run *run[VK_ISA_N];
} op_kernels;

static const op_kernels kernels[] = {
#if defined(__x86_64__)
#define VK_OP(name)                                                                                \
  {{vk_run_##name##_scalar, vk_run_##name##_avx2, vk_run_##name##_avx512, vk_run_##name##_avx512}},
#else
#define VK_OP(name)                                                                                \
  {{vk_run_##name##_scalar, vk_run_##name##_scalar, vk_run_##name##_scalar,                        \
    vk_run_##name##_scalar}},
#endif
#include "nn/op_list.h"
#undef VK_OP
};

int vk_op_count(void)
{
  return (int)VK_COUNT(vk_ops);
}

const vk_op_def *vk_op_find(const char *name)
{
  for (size_t i = 0; i < VK_COUNT(vk_ops); i++)
    if (strcmp(vk_ops[i]->name, name) == 0)
      return vk_ops[i];
  return NULL;
}

vk_op_run *vk_op_kernel(const vk_op_def *op, vk_isa isa)
{
  for (size_t i = 0; i < VK_COUNT(vk_ops); i++)
    if (vk_ops[i] == op)
      return kernels[i].run[isa];
  VK_ASSERT(!"an op of op_list.h");
  return NULL;
}

vk_cost vk_op_cost(const vk_op_def *op, const vk_op_call *c)
{
  vk_cost cost = {0};
  for (int i = 0; i < c->n_in + c->n_out; i++) {
    const vk_tensor *t = i < c->n_in ? &c->in[i] : &c->out[i - c->n_in];
    if (t->shape.n_dim || t->data)
      cost.bytes += (double)vk_shape_n_item(&t->shape) * (double)vk_dtype_size(t->dtype);
  }
  if (op->cost)
    op->cost(c, &cost);
  return cost;
}

void vk_grad_fail(const vk_grad *c, const char *format, ...)
{
  if (c->g->status != VK_OK)
    return;
  char text[256];
  va_list ap;
  va_start(ap, format);
  vsnprintf(text, sizeof text, format, ap);
  va_end(ap);
  const vk_node *n = c->node;
  c->g->status = vk_fail(&c->g->err, VK_E_UNSUPPORTED, "%s%s%s: %s", n->place,
                         n->place[0] ? ": " : "", n->op->name, text);
}

/* ---- examples ------------------------------------------------------------------------------ */

int64_t vk_example_int(vk_example *e, int64_t lo, int64_t hi)
{
  VK_ASSERT(lo <= hi);
  return lo + (int64_t)(vk_philox_u64(e->rng) % (uint64_t)(hi - lo + 1));
}

static void add_in(vk_example *e, vk_example_in in)
{
  VK_ASSERT(e->n_in < VK_NODE_IN_MAX);
  e->in[e->n_in++] = in;
}

void vk_example_f32(vk_example *e, vk_shape shape)
{
  add_in(e, (vk_example_in){.dtype = VK_F32, .shape = shape, .is_used = true});
}

void vk_example_u8(vk_example *e, vk_shape shape)
{
  add_in(e, (vk_example_in){.dtype = VK_U8, .shape = shape, .hi = 256, .is_used = true});
}

void vk_example_i32(vk_example *e, vk_shape shape, int fill, int64_t hi)
{
  add_in(e,
         (vk_example_in){.dtype = VK_I32, .shape = shape, .fill = fill, .hi = hi, .is_used = true});
}

void vk_example_none(vk_example *e)
{
  add_in(e, (vk_example_in){.is_used = false});
}

/* Rising from 0 to hi, with n entries; segments of at least lo, unless they are alike. */
static void fill_segments(vk_example *e, const vk_example_in *in, int64_t n, int32_t *x)
{
  for (int64_t i = 0; i < n; i++)
    x[i] = i == 0        ? 0
           : i == n - 1  ? (int32_t)in->hi
           : e->is_large ? (int32_t)(in->hi * i / (n - 1))
                         : (int32_t)vk_example_int(e, in->lo * i, in->hi - in->lo * (n - 1 - i));
  for (int64_t i = 1; i < n; i++) /* insertion sort */
    for (int64_t k = i; k > 0 && x[k - 1] > x[k]; k--) {
      int32_t swap = x[k];
      x[k] = x[k - 1];
      x[k - 1] = swap;
    }
  for (int64_t i = 1; i < n; i++)
    if (x[i] < x[i - 1] + in->lo)
      x[i] = x[i - 1] + (int32_t)in->lo;
  x[n - 1] = (int32_t)in->hi;
}

static int32_t example_pick(vk_example *e, const vk_example_in *in)
{
  int source = (int)vk_example_int(e, e->is_large ? 0 : -1, in->lo - 1);
  return source < 0 ? VK_PICK_ZERO : vk_pick_index(source, vk_example_int(e, 0, in->hi - 1));
}

void vk_example_fill(vk_example *e, const vk_example_in *in, int64_t n, void *data)
{
  if (in->fill == VK_EXAMPLE_SEGMENTS) {
    fill_segments(e, in, n, data);
    return;
  }
  for (int64_t k = 0; k < n; k++) {
    if (in->dtype == VK_F32) {
      float x = (float)vk_philox_normal(e->rng);
      ((float *)data)[k] = in->fill == VK_EXAMPLE_POSITIVE ? fabsf(x) + 0.5f : x;
    } else if (in->fill == VK_EXAMPLE_PICK) {
      ((int32_t *)data)[k] = example_pick(e, in);
    } else if (in->dtype == VK_I32) {
      ((int32_t *)data)[k] = (int32_t)vk_example_int(e, 0, in->hi - 1);
    } else {
      ((uint8_t *)data)[k] = (uint8_t)vk_example_int(e, 0, in->hi - 1);
    }
  }
}
