/* op_group_norm.c - y = act((x - mean) rstd w + b), mean and variance over all pixels and the
 * channels of a group, for each picture; then FiLM, y (1 + g) + f. A picture is read twice while it
 * is in cache. Source: Wu & He 2018, arXiv:1803.08494; Perez et al. 2017, arXiv:1709.07871. */
#include "nn/group_norm.h"
#include "nn/op_bf16.h"

/* Scratch is rows with an item for every item of a period. A slot of what is known of a picture has
 * for each of its slices a mean and a sum of squares, and then the items behind the last period;
 * there is one slot a part, or one a picture when pictures are fewer than parts. Then come rows of
 * coefficients for each part, and one for results that are rounded. */
enum { CENTER, FACTOR, SHIFT, GAIN, OFFSET, RESULT, N_ROW };
enum { N_SLICE = 8 /* at most */, SLICE = 4 * GROUP_NORM_BLOCK /* items of one at least */ };

/* Slices of a picture: bits depend on their number, which is therefore the same for every number of
 * parts. */
static int64_t n_slice_of(const group_norm_shape *s)
{
  int64_t n = s->n_item / SLICE;
  return n < 1 ? 1 : n < N_SLICE ? n : N_SLICE;
}

static int64_t slot_floats(const group_norm_shape *s)
{
  return (2 * n_slice_of(s) + 1) * group_norm_row(s);
}

/* First row of slice i. */
static int64_t slice_row(const group_norm_shape *s, int64_t i)
{
  return s->n_row * i / n_slice_of(s);
}

/* ---- mean and variance ----------------------------------------------------------------------
 * For each item of a period: within a block two passes, then blocks join (Chan et al. 1979). Items
 * of a group join in double. */

/* A block of n_row rows joins what mean and square know of `before` rows; n_v vectors at once. */
VK_INLINE void join_block(const float *x, int64_t n_row, int64_t step, int64_t before, int n_v,
                          float *mean, float *square)
{
  vf sum[4][2], one = vf_set1(1.0f / (float)n_row);
#pragma GCC unroll 4
  for (int v = 0; v < n_v; v++)
    sum[v][0] = sum[v][1] = vf_zero();
  int64_t r = 0;
  for (; r + 2 <= n_row; r += 2)
#pragma GCC unroll 4
    for (int v = 0; v < n_v; v++) {
      sum[v][0] += vf_load(x + r * step + v * VK_LANES);
      sum[v][1] += vf_load(x + (r + 1) * step + v * VK_LANES);
    }
  vf center[4];
#pragma GCC unroll 4
  for (int v = 0; v < n_v; v++) {
    if (r < n_row)
      sum[v][0] += vf_load(x + r * step + v * VK_LANES);
    center[v] = (sum[v][0] + sum[v][1]) * one;
    sum[v][0] = sum[v][1] = vf_zero();
  }
  for (r = 0; r + 2 <= n_row; r += 2)
#pragma GCC unroll 4
    for (int v = 0; v < n_v; v++) {
      vf d0 = vf_load(x + r * step + v * VK_LANES) - center[v];
      vf d1 = vf_load(x + (r + 1) * step + v * VK_LANES) - center[v];
      sum[v][0] = vf_fma(d0, d0, sum[v][0]);
      sum[v][1] = vf_fma(d1, d1, sum[v][1]);
    }
  float part = (float)n_row / (float)(before + n_row);
#pragma GCC unroll 4
  for (int v = 0; v < n_v; v++) {
    if (r < n_row) {
      vf d = vf_load(x + r * step + v * VK_LANES) - center[v];
      sum[v][0] = vf_fma(d, d, sum[v][0]);
    }
    vf m = vf_load(mean + v * VK_LANES), d = center[v] - m;
    vf between = d * d * vf_set1(part * (float)before);
    vf_store(mean + v * VK_LANES, vf_fma(d, vf_set1(part), m));
    vf_store(square + v * VK_LANES,
             vf_load(square + v * VK_LANES) + (sum[v][0] + sum[v][1] + between));
  }
}

/* Mean and sum of squares of slice i of the picture x; what lies behind the last period. */
static void join_slice(const group_norm_shape *s, const float *x, int64_t i, float *slot)
{
  int64_t step = group_norm_row(s), r0 = slice_row(s, i), r1 = slice_row(s, i + 1);
  float *mean = slot + 2 * i * step, *square = mean + step;
  memset(mean, 0, sizeof *mean * (size_t)(2 * step));
  int64_t block = group_norm_block_rows(s), n_v = s->period / VK_LANES;
  for (int64_t r = r0; r < r1; r += block) {
    int64_t n = r1 - r < block ? r1 - r : block;
    for (int64_t v = 0; v < n_v; v += 4) {
      int64_t at = v * VK_LANES;
      const float *from = x + r * s->period + at;
      switch (n_v - v) {
      case 1:
        join_block(from, n, s->period, r - r0, 1, mean + at, square + at);
        break;
      case 2:
        join_block(from, n, s->period, r - r0, 2, mean + at, square + at);
        break;
      case 3:
        join_block(from, n, s->period, r - r0, 3, mean + at, square + at);
        break;
      default:
        join_block(from, n, s->period, r - r0, 4, mean + at, square + at);
      }
    }
  }
  if (i == 0)
    memcpy(slot + 2 * n_slice_of(s) * step, x + s->n_row * s->period,
           sizeof *x * (size_t)(s->n_item - s->n_row * s->period));
}

/* Mean and 1 / standard deviation of channels [c0, c1). */
static void find_stats(const group_norm_shape *s, const float *slot, int64_t c0, int64_t c1,
                       double eps, float *out)
{
  int64_t step = group_norm_row(s), n_slice = n_slice_of(s), n_rest = s->n_item % s->period;
  const float *rest = slot + 2 * n_slice * step;
  double sum = 0, sum2 = 0, n = (double)(s->n_item / s->c * (c1 - c0));
  for (int64_t i = 0; i < n_slice; i++) {
    double n_row = (double)(slice_row(s, i + 1) - slice_row(s, i)), part = 0;
    for (int64_t k = 0; k < s->period; k += s->c)
      for (int64_t c = c0; c < c1; c++)
        part += slot[2 * i * step + k + c];
    sum += part * n_row;
  }
  for (int64_t k = 0; k < n_rest; k += s->c)
    for (int64_t c = c0; c < c1; c++)
      sum += rest[k + c];
  double center = sum / n;
  for (int64_t i = 0; i < n_slice; i++) {
    double n_row = (double)(slice_row(s, i + 1) - slice_row(s, i));
    const float *mean = slot + 2 * i * step, *square = mean + step;
    for (int64_t k = 0; k < s->period; k += s->c)
      for (int64_t c = c0; c < c1; c++)
        sum2 += square[k + c] + n_row * (mean[k + c] - center) * (mean[k + c] - center);
  }
  for (int64_t k = 0; k < n_rest; k += s->c)
    for (int64_t c = c0; c < c1; c++)
      sum2 += (rest[k + c] - center) * (rest[k + c] - center);
  out[0] = (float)center;
  out[1] = (float)(1 / sqrt(sum2 / n + eps));
}

/* ---- the second pass ------------------------------------------------------------------------ */

/* Row r of coefficients. */
#define AT(r) (row + (r) * (size_t)step)

VK_INLINE vf apply(const float *row, int64_t step, int64_t k, vf x, int is_gelu, int is_film)
{
  vf y = vf_fma(x - vf_load(AT(CENTER) + k), vf_load(AT(FACTOR) + k), vf_load(AT(SHIFT) + k));
  if (is_gelu)
    y = vf_gelu(y);
  if (is_film)
    y = vf_fma(y, vf_load(AT(GAIN) + k), vf_load(AT(OFFSET) + k));
  return y;
}

/* Slice i of the picture that begins at item `at`. The next one comes to the second cache
 * meanwhile. */
VK_INLINE void apply_slice(const vk_op_call *c, const group_norm_shape *s, float *row, int64_t i,
                           int64_t at, int is_gelu, int is_film)
{
  int64_t step = group_norm_row(s), n_row = slice_row(s, i + 1), n_rest = s->n_item % s->period;
  bool is_bf16 = c->out[0].dtype == VK_BF16;
  const float *x = (const float *)c->in[0].data + at;
  float *y = is_bf16 ? AT(RESULT) : (float *)c->out[0].data + at;
  for (int64_t r = slice_row(s, i); r < n_row; r++) {
    const float *from = x + r * s->period;
    float *to = is_bf16 ? y : y + r * s->period;
    for (int64_t k = 0; k < s->period; k += VK_LANES) {
      __builtin_prefetch(from + k + s->n_item, 0, 2);
      vf_store(to + k, apply(row, step, k, vf_load(from + k), is_gelu, is_film));
    }
    if (is_bf16)
      vk_op_store_bf16(c, at + r * s->period, s->period, to);
  }
  if (n_row < s->n_row)
    return;
  x += n_row * s->period;
  y += is_bf16 ? 0 : n_row * s->period;
  for (int64_t k = 0; k < n_rest; k += VK_LANES) {
    int n = n_rest - k < VK_LANES ? (int)(n_rest - k) : VK_LANES;
    vf_store_n(y + k, apply(row, step, k, vf_load_n(x + k, n), is_gelu, is_film), n);
  }
  if (is_bf16)
    vk_op_store_bf16(c, at + n_row * s->period, n_rest, y);
}

/* Coefficients of picture i from its slot; its statistics, if they are for this part to write. */
static void set_coefficients(const vk_op_call *c, const group_norm_shape *s, int64_t i,
                             const float *slot, float *row, bool is_first)
{
  const float *w = c->in[1].data;
  int64_t step = group_norm_row(s), n_c = s->c / s->n_group;
  for (int64_t g = 0; g < s->n_group; g++) {
    float stats[2];
    find_stats(s, slot, g * n_c, (g + 1) * n_c, c->attr->eps, stats);
    if (is_first)
      memcpy((float *)c->out[1].data + (i * s->n_group + g) * 2, stats, sizeof stats);
    for (int64_t k = g * n_c; k < (g + 1) * n_c; k++) {
      AT(CENTER)[k] = stats[0];
      AT(FACTOR)[k] = stats[1] * w[k];
    }
  }
  group_norm_repeat(s, AT(CENTER), AT(CENTER));
  group_norm_repeat(s, AT(FACTOR), AT(FACTOR));
  group_norm_repeat(s, c->in[2].data, AT(SHIFT));
  if (c->n_in > 3 && c->in[3].data) {
    const float *gb = (const float *)c->in[3].data + i / s->group * 2 * s->c;
    for (int64_t k = 0; k < s->c; k++)
      AT(GAIN)[k] = 1 + gb[k];
    group_norm_repeat(s, AT(GAIN), AT(GAIN));
    group_norm_repeat(s, gb + s->c, AT(OFFSET));
  }
}

/* Slices [k0, k1) of picture i. */
static void finish_slices(const vk_op_call *c, const group_norm_shape *s, int64_t i, int64_t k0,
                          int64_t k1, const float *slot, float *row)
{
  bool is_film = c->n_in > 3 && c->in[3].data, is_gelu = c->attr->act == VK_ACT_GELU;
  int64_t at = i * s->n_item;
  set_coefficients(c, s, i, slot, row, k0 == 0);
  for (int64_t k = k0; k < k1; k++)
    if (is_gelu && is_film)
      apply_slice(c, s, row, k, at, 1, 1);
    else if (is_gelu)
      apply_slice(c, s, row, k, at, 1, 0);
    else if (is_film)
      apply_slice(c, s, row, k, at, 0, 1);
    else
      apply_slice(c, s, row, k, at, 0, 0);
}

/* Pictures one by one, all in the first phase; or, when they are fewer than parts, slices of them
 * in two. */
VK_OP_RUN(group_norm)
{
  group_norm_shape s = group_norm_shape_of(&c->in[0].shape, c->attr);
  int64_t n_slice = n_slice_of(&s), n_slot = slot_floats(&s), i, end;
  float *slots = c->scratch;
  float *row = slots + n_slot * c->n_part + N_ROW * group_norm_row(&s) * c->i_part;
  const float *x = c->in[0].data;
  if (s.n >= c->n_part) {
    float *slot = slots + n_slot * c->i_part;
    vk_op_part(c, c->i_phase ? 0 : s.n, 1, &i, &end);
    for (; i < end; i++) {
      for (int64_t k = 0; k < n_slice; k++)
        join_slice(&s, x + i * s.n_item, k, slot);
      finish_slices(c, &s, i, 0, n_slice, slot, row);
    }
    return;
  }
  vk_op_part(c, s.n * n_slice, 1, &i, &end);
  for (; i < end; i++) {
    float *slot = slots + n_slot * (i / n_slice);
    if (c->i_phase == 0)
      join_slice(&s, x + i / n_slice * s.n_item, i % n_slice, slot);
    else
      finish_slices(c, &s, i / n_slice, i % n_slice, i % n_slice + 1, slot, row);
  }
}

#if VK_PATH_IS_BASE

vk_status vk_film_check(const vk_infer *c, int i_x, int i_gb, vk_err *err)
{
  const vk_value *x = c->in[i_x], *gb = c->in[i_gb];
  int64_t group = c->attr->group > 0 ? c->attr->group : 1;
  VK_TRY(vk_op_need(c, i_gb, VK_F32, 2, err));
  if (gb->shape.dim[0] * group != x->shape.dim[0] ||
      gb->shape.dim[1] != 2 * vk_shape_last(&x->shape) || gb->extent.sym != x->extent.sym ||
      gb->extent.per * group != x->extent.per || gb->extent.plus * group != x->extent.plus)
    return vk_op_fail(c, err, "gb must be [rows of x / %lld, %lld], with the extent of x / %lld",
                      (long long)group, (long long)(2 * vk_shape_last(&x->shape)),
                      (long long)group);
  return VK_OK;
}

vk_status vk_group_norm_check(const vk_infer *c, int i_x, int i_w, vk_err *err)
{
  const vk_shape *x = &c->in[i_x]->shape;
  VK_TRY(vk_op_need(c, i_x, VK_F32, 0, err));
  VK_TRY(vk_op_need(c, i_w, VK_F32, 1, err));
  VK_TRY(vk_op_need(c, i_w + 1, VK_F32, 1, err));
  int64_t n = x->n_dim < 2 ? 0 : x->dim[x->n_dim - 1];
  if (n < 1 || c->in[i_w]->shape.dim[0] != n || c->in[i_w + 1]->shape.dim[0] != n)
    return vk_op_fail(c, err, "factor and shift must have an item for each channel");
  if (c->attr->n_group < 1 || n % c->attr->n_group != 0)
    return vk_op_fail(c, err, "%lld channels do not fall into %lld groups", (long long)n,
                      (long long)c->attr->n_group);
  return i_w + 2 < c->n_in && c->in[i_w + 2] ? vk_film_check(c, i_x, i_w + 2, err) : VK_OK;
}

/* large: 0-3: the stages of a small model, 4-7: of a larger one; activation, FiLM from the third
 * stage on. Else odd sizes; 0: plain, 1: activation, 2: FiLM, 3: both. */
vk_shape vk_group_norm_example(vk_example *e, bool *has_film)
{
  static const int channel[2][4] = {{24, 48, 96, 128}, {32, 64, 128, 256}};
  int k = e->i_case % 4, is_wide = e->i_case / 4;
  if (e->is_large) {
    e->attr.n_group = 8;
    e->attr.eps = 1e-5;
    e->attr.act = VK_ACT_GELU;
    *has_film = k >= 2;
    e->attr.group = k >= 2 ? 2 : 1;
    return vk_shape_of(4, 64, 64 >> k, 64 >> k, channel[is_wide][k]);
  }
  e->attr.eps = 0.01;
  e->attr.act = k & 1 ? VK_ACT_GELU : VK_ACT_NONE;
  *has_film = k >= 2;
  e->attr.group = vk_example_int(e, 1, 2);
  e->attr.n_group = vk_example_int(e, 1, 4);
  int n = (int)(e->attr.group * vk_example_int(e, 1, 2));
  int c = (int)(e->attr.n_group * vk_example_int(e, 1, 10));
  int h = (int)vk_example_int(e, 1, is_wide ? 40 : 5), w = (int)vk_example_int(e, 2, 9);
  return vk_shape_of(4, n, h, w, c);
}

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_group_norm_check(c, 0, 1, err));
  vk_op_same(c, 0, 0);
  vk_op_same(c, 1, 0);
  VK_TRY(vk_op_store(c, err));
  c->out[1].shape = vk_shape_of(2, (int)c->in[0]->shape.dim[0], (int)(2 * c->attr->n_group));
  return VK_OK;
}

static size_t scratch(const vk_op_call *c)
{
  group_norm_shape s = group_norm_shape_of(&c->in[0].shape, c->attr);
  return sizeof(float) * (size_t)((slot_floats(&s) + N_ROW * group_norm_row(&s)) * c->n_part);
}

static void ref(const vk_op_call *c)
{
  group_norm_shape s = group_norm_shape_of(&c->in[0].shape, c->attr);
  const double *w = c->in[1].data, *b = c->in[2].data;
  int64_t n_c = s.c / s.n_group, n_pixel = s.n_item / s.c;
  for (int64_t k = 0; k < s.n * s.n_group; k++) {
    int64_t i = k / s.n_group, g = k % s.n_group;
    const double *x = (const double *)c->in[0].data + i * s.n_item;
    const double *gb = c->n_in > 3 ? c->in[3].data : NULL;
    double *y = (double *)c->out[0].data + i * s.n_item, mean = 0, var = 0;
    for (int64_t q = 0; q < n_pixel * n_c; q++)
      mean += x[q / n_c * s.c + g * n_c + q % n_c] / (double)(n_pixel * n_c);
    for (int64_t q = 0; q < n_pixel * n_c; q++) {
      double d = x[q / n_c * s.c + g * n_c + q % n_c] - mean;
      var += d * d / (double)(n_pixel * n_c);
    }
    double *stats = (double *)c->out[1].data + 2 * k;
    stats[0] = mean;
    stats[1] = 1 / sqrt(var + c->attr->eps);
    for (int64_t q = 0; q < n_pixel * n_c; q++) {
      int64_t channel = g * n_c + q % n_c, at = q / n_c * s.c + channel;
      double u = (x[at] - mean) * stats[1] * w[channel] + b[channel];
      if (c->attr->act == VK_ACT_GELU)
        u *= 0.5 * (1 + erf(u * sqrt(0.5)));
      if (gb) {
        const double *gain = gb + i / s.group * 2 * s.c;
        u = u * (1 + gain[channel]) + gain[s.c + channel];
      }
      y[at] = u;
    }
  }
}

static void grad(vk_grad *c)
{
  const vk_node *n = c->node;
  vk_id gb = n->n_in > 3 ? n->in[3] : VK_NONE;
  vk_id dx = VK_APPLY(
      c->g, group_norm_grad, VK_IN(c->dy[0], n->in[0], n->out[1], n->in[1], n->in[2], gb),
      .n_group = n->attr.n_group, .eps = n->attr.eps, .act = n->attr.act, .group = n->attr.group);
  for (int i = 0; i < n->n_in; i++)
    if (c->need[i])
      c->dx[i] = vk_graph_out(c->g, dx, i);
}

static void example(vk_example *e)
{
  bool has_film;
  vk_shape x = vk_group_norm_example(e, &has_film), channel = vk_shape_of(1, (int)x.dim[3]);
  vk_example_f32(e, x);
  vk_example_f32(e, channel);
  vk_example_f32(e, channel);
  if (has_film)
    vk_example_f32(e, vk_shape_of(2, (int)(x.dim[0] / e->attr.group), (int)(2 * x.dim[3])));
}

const vk_op_def vk_op_group_norm = {
    .name = "group_norm",
    .help = "y = act(norm(x) w + b) (1 + g) + f, x [n, .., c], gb [n / group, 2 c] = [g, f]; "
            "n_group, eps, act, group; outputs y, stats [n, 2 n_group] = mean, 1 / deviation",
    .n_in_min = 3,
    .n_in_max = 4,
    .n_out = 2,
    .in_place = 1,
    .n_phase = 2,
    .n_case = VK_GROUP_NORM_N_CASE,
    .rtol = 4e-6,
    .atol = 2e-5,
    .tolerance = "sums in float, in blocks; 1 / deviation is up to 10",
    .infer = infer,
    .scratch = scratch,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
