/* op_pack.c - the second factor of a product in the order in which its kernel reads it (panels of
 * gemm.h or, with dtype bf16, gemm_bf16.h, of the path isa): bytes for matmul{packed_b, count}.
 * Passes pack and bf16 make it. */
#include "nn/op_bf16.h"

VK_OP_RUN(pack)
{
  const vk_tensor *b = &c->in[0];
  int64_t n_row = vk_shape_n_row(&b->shape), n_column = vk_shape_last(&b->shape), j, end;
  bool trans = c->attr->trans_b;
  int64_t n = trans ? n_row : n_column, k = trans ? n_column : n_row;
  vk_op_part(c, n, VK_GEMM_PANEL, &j, &end);
  if (j >= end)
    return;
  vk_gemm g = {.n = end - j,
               .k = k,
               .b = (const float *)b->data + (trans ? j * n_column : j),
               .ldb = n_column,
               .b_trans = trans};
  if (c->attr->dtype == VK_BF16) {
    uint8_t *out = (uint8_t *)c->out[0].data + vk_gemm_bf16_packed_bytes(j, k);
    vk_op_bf16_path(c->attr)->pack(&g, out);
    return;
  }
  vk_gemm_path_of((vk_isa)c->attr->isa)->pack(&g, (float *)c->out[0].data + j * k);
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need(c, 0, VK_F32, 0, err));
  const vk_value *b = c->in[0];
  if (b->shape.n_dim < 2 || b->extent.sym >= 0)
    return vk_op_fail(c, err, "input 0 must have rows, always as many");
  if (c->attr->isa < 0 || c->attr->isa >= VK_ISA_N)
    return vk_op_fail(c, err, "isa %lld is no path", (long long)c->attr->isa);
  int64_t n_row = vk_shape_n_row(&b->shape), n_column = vk_shape_last(&b->shape);
  c->out[0].dtype = VK_U8;
  c->out[0].order = VK_ORDER_PANELS;
  c->out[0].shape = vk_shape_of(1, 0);
  int64_t n = c->attr->trans_b ? n_row : n_column, k = c->attr->trans_b ? n_column : n_row;
  c->out[0].shape.dim[0] = (int64_t)(c->attr->dtype == VK_BF16 ? vk_gemm_bf16_packed_bytes(n, k)
                                                               : vk_gemm_packed_bytes(n, k));
  return VK_OK;
}

/* Panels of the scalar path: four columns, k by k. The rest of VK_GEMM_PANEL is not written. */
static void ref(const vk_op_call *c)
{
  enum { NR = 4 };
  const double *b = c->in[0].data;
  float *out = c->out[0].data;
  int64_t n_row = vk_shape_n_row(&c->in[0].shape), n_column = vk_shape_last(&c->in[0].shape);
  bool trans = c->attr->trans_b;
  int64_t n = trans ? n_row : n_column, k = trans ? n_column : n_row;
  for (int64_t j = 0; j < n; j += NR)
    for (int64_t p = 0; p < k; p++)
      for (int64_t r = j; r < j + NR; r++)
        *out++ = r >= n ? 0 : (float)(trans ? b[r * n_column + p] : b[p * n_column + r]);
}

static void example(vk_example *e)
{
  e->attr.isa = VK_ISA_SCALAR; /* every path can run it, and gives the same bytes */
  e->attr.trans_b = e->i_case == 0;
  vk_example_f32(e, e->is_large ? vk_shape_of(2, 512, 512)
                                : vk_shape_of(2, (int)vk_example_int(e, 1, 9),
                                              (int)vk_example_int(e, 1, 5) *
                                                  (e->i_case ? VK_GEMM_KC / 4 : 1)));
}

const vk_op_def vk_op_pack = {
    .name = "pack",
    .help = "bytes of b [n, k] (trans_b) or [k, n] in panels for matmul{packed_b}, on path isa",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .n_case = 2,
    .flags = VK_OP_NO_GRAD | VK_OP_EXACT | VK_OP_HIDDEN,
    .tolerance = "exact: bytes move",
    .infer = infer,
    .ref = ref,
    .example = example,
};

#endif
