/* test_op_bf16.c - ops with dtype bf16 on every path, by any number of parts. Convolutions and
 * their gradients of small whole numbers, which bfloat16 holds, have the bits of f32; attention is
 * near. Where what they read lies in bf16, bits are those of the same numbers in f32; results in
 * bf16 are those in f32, rounded.
 */
#include <stdlib.h>

#include "core/cpu.h"
#include "nn/conv_bf16.h"
#include "test.h"

static vk_philox rng;
static vk_cpu cpu;

static void *new_aligned(size_t n_byte)
{
  void *x = aligned_alloc(64, (n_byte + 63) / 64 * 64 + 64);
  assert_non_null(x);
  return x;
}

static int64_t count(const vk_tensor *t)
{
  return vk_shape_n_item(&t->shape);
}

static vk_tensor new_tensor(vk_dtype dtype, vk_shape shape)
{
  vk_tensor t = {.dtype = dtype, .shape = shape};
  size_t n = (size_t)count(&t);
  t.data = new_aligned(n * vk_dtype_size(dtype));
  for (size_t i = 0; i < n; i++) {
    uint32_t x = vk_philox_u32(&rng);
    if (dtype == VK_U8)
      ((uint8_t *)t.data)[i] = (uint8_t)x;
    else
      ((float *)t.data)[i] = (float)(x % 17) - 8;
  }
  return t;
}

static const float guard = -12345.5f;

/* All phases by n_part parts, on a path. What was in scratch and the output is not read. */
static void run_op(const vk_op_def *op, vk_isa isa, const vk_attrs *attr, const vk_tensor *in,
                   int n_in, vk_tensor *out, int n_part)
{
  vk_op_call call = {
      .attr = attr, .n_in = n_in, .n_out = op->n_out, .in = in, .out = out, .n_part = n_part};
  size_t n_byte = op->scratch ? op->scratch(&call) : 0, n = n_byte / sizeof(float);
  float *scratch = new_aligned(n_byte + 64);
  for (size_t i = 0; i < n + 16; i++)
    scratch[i] = i < n ? NAN : guard;
  for (int i = 0; i < op->n_out; i++)
    memset(out[i].data, 0xff, (size_t)count(&out[i]) * vk_dtype_size(out[i].dtype));
  call.scratch = scratch;
  for (call.i_phase = 0; call.i_phase < (op->n_phase ? op->n_phase : 1); call.i_phase++)
    for (call.i_part = n_part - 1; call.i_part >= 0; call.i_part--)
      vk_op_kernel(op, isa)(&call);
  for (size_t i = n; i < n + 16; i++)
    assert_true(scratch[i] == guard);
  free(scratch);
}

/* The same numbers in bf16, as the path of attr rounds. */
static vk_tensor in_bf16(const vk_attrs *attr, const vk_tensor *x)
{
  vk_tensor y = {.dtype = VK_BF16, .shape = x->shape, .data = new_aligned((size_t)count(x) * 2)};
  vk_op_bf16_path(attr)->round(x->data, count(x), y.data);
  return y;
}

/* A convolution's tensors, and what f32 gives. */
typedef struct sample {
  conv_shape s;
  vk_attrs attr;
  vk_tensor x, w, bias, dy, y, dx, dw;
} sample;

static void init_sample(sample *a, int i_case)
{
  vk_example e = {.rng = &rng, .i_case = i_case};
  *a = (sample){.s = vk_conv_example(&e)};
  const conv_shape *s = &a->s;
  a->attr = (vk_attrs){.kernel = s->kernel, .stride = s->stride, .pad = s->pad};
  a->attr.height = s->h;
  a->attr.width = s->w;
  if (s->c == 3) {
    a->attr.scale = 1;
    a->attr.shift = -128;
  }
  vk_shape x = vk_shape_of(4, (int)s->n, (int)s->h, (int)s->w, (int)s->c);
  vk_shape y = vk_shape_of(4, (int)s->n, (int)s->y_h, (int)s->y_w, (int)s->o);
  vk_shape w = vk_shape_of(4, (int)s->o, (int)s->c, (int)s->kernel, (int)s->kernel);
  a->x = new_tensor(s->c == 3 ? VK_U8 : VK_F32, x);
  a->dx = new_tensor(VK_F32, x);
  a->w = new_tensor(VK_F32, w);
  a->dw = new_tensor(VK_F32, w);
  a->y = new_tensor(VK_F32, y);
  a->dy = new_tensor(VK_F32, y);
  a->bias = new_tensor(VK_F32, vk_shape_of(1, (int)s->o));
  const vk_tensor forward[3] = {a->x, a->w, a->bias}, by_x[2] = {a->dy, a->w},
                  by_w[2] = {a->dy, a->x};
  run_op(&vk_op_conv, VK_ISA_SCALAR, &a->attr, forward, 3, &a->y, 1);
  run_op(&vk_op_conv_dx, VK_ISA_SCALAR, &a->attr, by_x, 2, &a->dx, 1);
  run_op(&vk_op_conv_dw, VK_ISA_SCALAR, &a->attr, by_w, 2, &a->dw, 1);
}

static void fini_sample(sample *a)
{
  vk_tensor *all[] = {&a->x, &a->w, &a->bias, &a->dy, &a->y, &a->dx, &a->dw};
  for (size_t i = 0; i < VK_COUNT(all); i++)
    free(all[i]->data);
}

static void check_op(const vk_op_def *op, vk_isa isa, const vk_attrs *attr, const vk_tensor *in,
                     int n_in, const vk_tensor *want, int n_part)
{
  vk_tensor got = new_tensor(VK_F32, want->shape);
  run_op(op, isa, attr, in, n_in, &got, n_part);
  assert_memory_equal(got.data, want->data, (size_t)count(want) * sizeof(float));
  free(got.data);
}

static void check_sample(const sample *a, vk_isa isa, bool is_native, int n_part)
{
  vk_attrs attr = a->attr;
  attr.dtype = VK_BF16;
  attr.isa = isa;
  attr.native = is_native;
  const conv_shape *s = &a->s;
  int64_t k = s->kernel * s->kernel * s->c;
  vk_tensor panels = new_tensor(VK_U8, vk_shape_of(1, (int)vk_gemm_bf16_packed_bytes(s->o, k)));
  run_op(&vk_op_conv_pack, isa, &attr, &a->w, 1, &panels, n_part);
  attr.packed_b = 1;
  attr.count = s->o;
  const vk_tensor forward[3] = {a->x, panels, a->bias}, by_x[2] = {a->dy, a->w},
                  by_w[2] = {a->dy, a->x};
  check_op(&vk_op_conv, isa, &attr, forward, 3, &a->y, n_part);
  if (a->x.dtype == VK_F32) {
    vk_tensor x = in_bf16(&attr, &a->x);
    const vk_tensor stored[3] = {x, panels, a->bias}, by_stored[2] = {a->dy, x};
    check_op(&vk_op_conv, isa, &attr, stored, 3, &a->y, n_part);
    check_op(&vk_op_conv_dw, isa, &attr, by_stored, 2, &a->dw, n_part);
    free(x.data);
  }
  attr.packed_b = 0;
  check_op(&vk_op_conv_dx, isa, &attr, by_x, 2, &a->dx, n_part);
  check_op(&vk_op_conv_dw, isa, &attr, by_w, 2, &a->dw, n_part);
  free(panels.data);
}

static void whole_numbers_are_exact(void **state)
{
  for (int i = 0; i < 12 * VK_CONV_N_CASE; i++) {
    sample a;
    init_sample(&a, i % VK_CONV_N_CASE);
    int n_part = 1 + i / VK_CONV_N_CASE % 6;
    for (vk_isa isa = VK_ISA_SCALAR; isa <= vk_isa_best(&cpu); isa++)
      for (int is_native = 0; is_native <= (int)cpu.avx512_bf16; is_native++)
        check_sample(&a, isa, is_native, n_part);
    fini_sample(&a);
  }
}

/* ---- attention ------------------------------------------------------------------------------ */

/* How far from each other, in their size. */
static double distance(const vk_tensor *a, const vk_tensor *b)
{
  double apart = 0, size = 0;
  for (int64_t i = 0; i < count(a); i++) {
    double x = (double)((float *)a->data)[i], y = (double)((float *)b->data)[i];
    apart += (x - y) * (x - y);
    size += x * x;
  }
  return sqrt(apart / size);
}

/* What attention and attention_grad read and give. */
typedef struct heads {
  vk_tensor in[6]; /* dy, y, lse, q, no kv, segments */
  vk_tensor out[2];
} heads;

static void run_heads(heads *a, vk_isa isa, const vk_attrs *attr, int n_part)
{
  run_op(&vk_op_attention, isa, attr, a->in + 3, 3, a->in + 1, n_part);
  run_op(&vk_op_attention_grad, isa, attr, a->in, 6, a->out, n_part);
}

static void init_heads(heads *a, const int32_t *seg, int n_seg, int n_head, int hd)
{
  int n_row = seg[n_seg], d = n_head * hd;
  *a = (heads){.in[0] = new_tensor(VK_F32, vk_shape_of(2, n_row, d)),
               .in[1] = new_tensor(VK_F32, vk_shape_of(2, n_row, d)),
               .in[2] = new_tensor(VK_F32, vk_shape_of(2, n_row, n_head)),
               .in[3] = new_tensor(VK_F32, vk_shape_of(2, n_row, 3 * d)),
               .in[5] = {.dtype = VK_I32, .shape = vk_shape_of(1, n_seg + 1)},
               .out[0] = new_tensor(VK_F32, vk_shape_of(2, n_row, 3 * d)),
               .out[1] = new_tensor(VK_F32, vk_shape_of(1, 0))};
  a->in[5].data = new_aligned(sizeof *seg * (size_t)(n_seg + 1));
  memcpy(a->in[5].data, seg, sizeof *seg * (size_t)(n_seg + 1));
  for (int64_t i = 0; i < count(&a->in[3]); i++) /* no sum of scores has one great term */
    ((float *)a->in[3].data)[i] *= 0.11f;
}

static void fini_heads(heads *a)
{
  for (int i = 0; i < 6; i++)
    free(a->in[i].data);
  free(a->out[0].data);
  free(a->out[1].data);
}

/* Copies what attention and its gradient gave. */
static void keep(const heads *a, vk_tensor kept[2])
{
  kept[0] = new_tensor(VK_F32, a->in[1].shape);
  kept[1] = new_tensor(VK_F32, a->out[0].shape);
  memcpy(kept[0].data, a->in[1].data, (size_t)count(&kept[0]) * sizeof(float));
  memcpy(kept[1].data, a->out[0].data, (size_t)count(&kept[1]) * sizeof(float));
}

static void check_heads(heads *a, vk_isa isa, bool is_native, int n_head, const vk_tensor want[2])
{
  const vk_attrs attr = {.n_head = n_head, .dtype = VK_BF16, .isa = isa, .native = is_native};
  vk_tensor got[2];
  run_heads(a, isa, &attr, 1);
  keep(a, got);
  double y = distance(&want[0], &got[0]), dx = distance(&want[1], &got[1]);
  assert_true(y > 1e-5 && y < 5e-3 && dx > 1e-5 && dx < 8e-3);
  run_heads(a, isa, &attr, 3);
  assert_memory_equal(got[0].data, a->in[1].data, (size_t)count(&got[0]) * sizeof(float));
  assert_memory_equal(got[1].data, a->out[0].data, (size_t)count(&got[1]) * sizeof(float));
  const vk_tensor q = a->in[3];
  a->in[3] = in_bf16(&attr, &q);
  run_heads(a, isa, &attr, 2);
  assert_memory_equal(got[0].data, a->in[1].data, (size_t)count(&got[0]) * sizeof(float));
  assert_memory_equal(got[1].data, a->out[0].data, (size_t)count(&got[1]) * sizeof(float));
  free(a->in[3].data);
  a->in[3] = q;
  free(got[0].data);
  free(got[1].data);
}

/* Segments without rows, of one, and of more than one product takes. */
static void attention_is_near(void **state)
{
  static const int32_t seg[] = {0, 1, 34, 34, 181, 447, 452};
  static const int hd[] = {5, 16, 32};
  for (size_t i = 0; i < VK_COUNT(hd); i++) {
    heads a;
    vk_tensor want[2];
    init_heads(&a, seg, 6, 2, hd[i]);
    run_heads(&a, VK_ISA_SCALAR, &(vk_attrs){.n_head = 2}, 1);
    keep(&a, want);
    for (vk_isa isa = VK_ISA_SCALAR; isa <= vk_isa_best(&cpu); isa++)
      for (int is_native = 0; is_native <= (int)cpu.avx512_bf16; is_native++)
        check_heads(&a, isa, is_native, 2, want);
    fini_heads(&a);
    free(want[0].data);
    free(want[1].data);
  }
}

/* ---- results in bf16 ------------------------------------------------------------------------ */

/* Output 0 of a variant of the op's example, and in bf16. */
static void check_stored(const vk_op_def *op, int i_case, vk_isa isa, int n_part)
{
  vk_example e = {.rng = &rng, .i_case = i_case};
  op->example(&e);
  vk_attrs attr = e.attr;
  attr.isa = isa;
  attr.dtype = op == &vk_op_matmul ? VK_BF16 : VK_F32;
  vk_tensor in[VK_NODE_IN_MAX] = {{0}};
  for (int i = 0; i < e.n_in; i++)
    if (e.in[i].is_used) {
      in[i] = new_tensor(VK_F32, e.in[i].shape);
      vk_example_fill(&e, &e.in[i], count(&in[i]), in[i].data);
    }
  vk_shape y = in[0].shape;
  if (op == &vk_op_matmul) {
    int64_t n = e.in[1].shape.dim[e.attr.trans_b ? 0 : 1], k = vk_shape_last(&y);
    vk_gemm g = {.n = n, .k = k, .b = in[1].data, .b_trans = e.attr.trans_b};
    g.ldb = vk_shape_last(&in[1].shape);
    vk_tensor panels = new_tensor(VK_U8, vk_shape_of(1, (int)vk_gemm_bf16_packed_bytes(n, k)));
    vk_op_bf16_path(&attr)->pack(&g, panels.data);
    free(in[1].data);
    in[1] = panels;
    attr.packed_b = 1;
    attr.trans_b = 0;
    attr.count = y.dim[y.n_dim - 1] = n;
  }
  /* room for statistics of any kind */
  vk_tensor out[2] = {new_tensor(VK_F32, y), new_tensor(VK_F32, y)}, stored[2] = {out[0], out[1]};
  run_op(op, isa, &attr, in, e.n_in, out, 1);
  vk_tensor want = in_bf16(&attr, &out[0]);
  attr.store = VK_BF16;
  stored[0] = in_bf16(&attr, &out[0]);
  run_op(op, isa, &attr, in, e.n_in, stored, n_part);
  assert_memory_equal(stored[0].data, want.data, 2 * (size_t)count(&want));
  for (int i = 0; i < e.n_in; i++)
    free(in[i].data);
  free(out[0].data);
  free(out[1].data);
  free(want.data);
  free(stored[0].data);
}

static void results_are_rounded(void **state)
{
  static const vk_op_def *const ops[] = {&vk_op_rms_norm, &vk_op_group_norm, &vk_op_matmul};
  for (int i = 0; i < 40; i++)
    for (size_t o = 0; o < VK_COUNT(ops); o++)
      for (int k = 0; k < ops[o]->n_case; k++)
        for (vk_isa isa = VK_ISA_SCALAR; isa <= vk_isa_best(&cpu); isa++)
          if (ops[o] != &vk_op_matmul || k != 3) /* a weight gradient has no panels */
            check_stored(ops[o], k, isa, 1 + i % 5);
}

int main(void)
{
  vk_cpu_detect(&cpu);
  vk_philox_init(&rng, 1, 0);
  const struct CMUnitTest tests[] = {cmocka_unit_test(whole_numbers_are_exact),
                                     cmocka_unit_test(attention_is_near),
                                     cmocka_unit_test(results_are_rounded)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
