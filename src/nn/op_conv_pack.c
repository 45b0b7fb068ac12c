/* op_conv_pack.c - the weights of a convolution in the order in which its kernel reads them (panels
 * of conv_kernel.h or, with dtype bf16, gemm_bf16.h, of the path isa): bytes for conv{packed_b,
 * count}. Passes pack and bf16 make it. */
#include "nn/conv_bf16.h"

static conv_shape weight_shape(const vk_shape *w)
{
  return (conv_shape){.o = w->dim[0], .c = w->dim[1], .kernel = w->dim[2]};
}

typedef struct taps {
  const float *w; /* of the first column */
  int64_t c, n_tap;
} taps;

/* Row p is a tap's channel, column j a channel of the output. */
static void fill_taps(void *arg, int64_t p, int64_t n_p, int64_t j, int64_t n_j, float *out,
                      int64_t stride)
{
  const taps *t = arg;
  for (int64_t q = 0; q < n_p; q++) {
    const float *w = t->w + (j * t->c + (p + q) % t->c) * t->n_tap + (p + q) / t->c;
    for (int64_t r = 0; r < n_j; r++)
      out[q * stride + r] = w[r * t->c * t->n_tap];
  }
}

static void pack_bf16(const vk_op_call *c)
{
  conv_shape s = weight_shape(&c->in[0].shape);
  int64_t n_tap = s.kernel * s.kernel, k = n_tap * s.c, j, end;
  vk_op_part(c, s.o, VK_GEMM_PANEL, &j, &end);
  if (j >= end)
    return;
  taps t = {(const float *)c->in[0].data + j * k, s.c, n_tap};
  const vk_gemm g = {.n = end - j, .k = k, .fill_b = fill_taps, .fill_b_arg = &t};
  vk_op_bf16_path(c->attr)->pack(&g, (char *)c->out[0].data + vk_gemm_bf16_packed_bytes(j, k));
}

VK_OP_RUN(conv_pack)
{
  if (vk_op_is_bf16(c)) {
    pack_bf16(c);
    return;
  }
  vk_op_run *run = vk_op_kernel(&vk_op_conv_pack, (vk_isa)c->attr->isa);
  if (run != VK_KERNEL(vk_run_conv_pack)) { /* panels of another path */
    run(c);
    return;
  }
  conv_shape s = weight_shape(&c->in[0].shape);
  conv_pack_weight(c, c->in[0].data, &s, c->out[0].data);
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need(c, 0, VK_F32, 4, err));
  const vk_value *w = c->in[0];
  if (w->extent.sym >= 0 || w->shape.dim[2] != w->shape.dim[3])
    return vk_op_fail(c, err, "a weight [o, c, kernel, kernel] was expected");
  if (c->attr->isa < 0 || c->attr->isa >= VK_ISA_N)
    return vk_op_fail(c, err, "isa %lld is no path", (long long)c->attr->isa);
  conv_shape s = weight_shape(&w->shape);
  c->out[0].dtype = VK_U8;
  c->out[0].order = VK_ORDER_PANELS;
  c->out[0].shape = vk_shape_of(1, 0);
  int64_t k = s.kernel * s.kernel * s.c;
  c->out[0].shape.dim[0] = (int64_t)(c->attr->dtype == VK_BF16 ? vk_gemm_bf16_packed_bytes(s.o, k)
                                                               : vk_conv_packed_bytes(s.o, k));
  return VK_OK;
}

/* Panels of the scalar path; what fills up to a multiple of 16 columns is not written. */
static void ref(const vk_op_call *c)
{
  const double *w = c->in[0].data;
  float *out = c->out[0].data;
  conv_shape s = weight_shape(&c->in[0].shape);
  int64_t n_tap = s.kernel * s.kernel, k = n_tap * s.c;
  for (int64_t i = 0; i < conv_n_panel(s.o); i++) {
    conv_panel p = conv_panel_at(s.o, i);
    for (int64_t q = 0; q < k; q++)
      for (int64_t j = p.j; j < p.j + p.n_v; j++)
        *out++ = (float)w[j * k + q % s.c * n_tap + q / s.c];
  }
}

static void example(vk_example *e)
{
  conv_shape s = vk_conv_example(e);
  e->attr.isa = VK_ISA_SCALAR; /* every path can run it, and gives the same bytes */
  vk_example_f32(e, vk_shape_of(4, (int)s.o, (int)s.c, (int)s.kernel, (int)s.kernel));
}

const vk_op_def vk_op_conv_pack = {
    .name = "conv_pack",
    .help = "bytes of w [o, c, kernel, kernel] in panels for conv{packed_b}, on path isa",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .n_case = VK_CONV_N_CASE,
    .flags = VK_OP_NO_GRAD | VK_OP_EXACT | VK_OP_HIDDEN,
    .tolerance = "exact: bytes move",
    .infer = infer,
    .ref = ref,
    .example = example,
};

#endif
