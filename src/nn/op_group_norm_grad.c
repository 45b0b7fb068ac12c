/* op_group_norm_grad.c - gradient of group_norm. What lies between x and y is computed again from x
 * and the saved mean and deviation; a picture is read twice while it is in cache.
 *
 *   n = (x - mean) rstd, u = n w + b, y = act(u) (1 + g) + f
 *   du = dy (1 + g) act'(u)          first pass; goes to dx's memory
 *   dx = rstd (w du - mean_of(w du) - n mean_of(w du n))        second pass, means over a group */
#include "nn/group_norm.h"

/* Rows of scratch, each with an item for every item of a period: coefficients, then sums. */
enum { MEAN, RSTD, FACTOR, SHIFT, GAIN, SLOPE, LEVEL, SUM_DU, SUM_DU_N, SUM_DY_ACT, SUM_DY, N_ROW };

#define AT(r) (row + (r) * (size_t)step)

typedef struct job {
  const group_norm_shape *s;
  float *row; /* N_ROW rows of scratch */
  const float *x, *dy;
  float *dx; /* of the picture; may be dy */
} job;

/* du of lanes at x; adds to the sums. */
VK_INLINE vf first(const vf coef[5], vf x, vf dy, vf sum[4], int is_gelu, int is_film)
{
  vf n = (x - coef[0]) * coef[1], u = vf_fma(n, coef[2], coef[3]), act = u, du = dy;
  if (is_film) {
    if (is_gelu)
      act = vf_gelu(u);
    sum[2] = vf_fma(dy, act, sum[2]);
    sum[3] += dy;
    du = dy * coef[4];
  }
  if (is_gelu)
    du = du * vf_gelu_gradient(u);
  sum[0] += du;
  sum[1] = vf_fma(du, n, sum[1]);
  return du;
}

/* n_row rows of n_v vectors of the period from item k on; n_lane < VK_LANES: of one vector. */
VK_INLINE void first_block(const job *j, int64_t r, int64_t n_row, int64_t k, int n_v, int n_lane,
                           int is_gelu, int is_film)
{
  int64_t step = group_norm_row(j->s), period = j->s->period;
  float *row = j->row;
  vf coef[4][5], sum[4][4];
#pragma GCC unroll 4
  for (int v = 0; v < n_v; v++) {
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++)
      coef[v][i] = i < 4 || is_film ? vf_load(AT(MEAN + i) + k + v * VK_LANES) : vf_zero();
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
      sum[v][i] = vf_zero();
  }
  for (int64_t i = r; i < r + n_row; i++)
#pragma GCC unroll 4
    for (int v = 0; v < n_v; v++) {
      int64_t at = i * period + k + v * VK_LANES;
      __builtin_prefetch(j->x + at + GROUP_NORM_BLOCK, 0, 2); /* the next block */
      __builtin_prefetch(j->dy + at + GROUP_NORM_BLOCK, 0, 2);
      if (n_lane == VK_LANES)
        vf_store(j->dx + at,
                 first(coef[v], vf_load(j->x + at), vf_load(j->dy + at), sum[v], is_gelu, is_film));
      else /* dy of the other lanes is 0, and so is what they add */
        vf_store_n(j->dx + at,
                   first(coef[v], vf_load_n(j->x + at, n_lane), vf_load_n(j->dy + at, n_lane),
                         sum[v], is_gelu, is_film),
                   n_lane);
    }
#pragma GCC unroll 4
  for (int v = 0; v < n_v; v++)
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      if (i >= 2 && !is_film)
        continue;
      float *to = AT(SUM_DU + i) + k + v * VK_LANES;
      vf_store(to, vf_load(to) + sum[v][i]);
    }
}

VK_INLINE void first_pass(const job *j, int is_gelu, int is_film)
{
  const group_norm_shape *s = j->s;
  int64_t step = group_norm_row(s), block = group_norm_block_rows(s), n_v = s->period / VK_LANES;
  float *row = j->row;
  memset(AT(SUM_DU), 0, sizeof *row * (size_t)(4 * step));
  for (int64_t r = 0; r < s->n_row; r += block) {
    int64_t n = s->n_row - r < block ? s->n_row - r : block, v = 0;
    for (; v + 2 <= n_v; v += 2)
      first_block(j, r, n, v * VK_LANES, 2, VK_LANES, is_gelu, is_film);
    if (v < n_v)
      first_block(j, r, n, v * VK_LANES, 1, VK_LANES, is_gelu, is_film);
  }
  int64_t rest = s->n_item - s->n_row * s->period;
  for (int64_t k = 0; k < rest; k += VK_LANES)
    first_block(j, s->n_row, 1, k, 1, rest - k < VK_LANES ? (int)(rest - k) : VK_LANES, is_gelu,
                is_film);
}

/* dx of lanes at x from du. */
VK_INLINE vf second(const float *row, int64_t step, int64_t k, vf x, vf du)
{
  vf d = vf_fma(x - vf_load(AT(MEAN) + k), vf_load(AT(SLOPE) + k), vf_load(AT(LEVEL) + k));
  return vf_fma(du, vf_load(AT(FACTOR) + k), d);
}

static void second_pass(const job *j)
{
  const group_norm_shape *s = j->s;
  const float *row = j->row, *x = j->x;
  float *dx = j->dx;
  int64_t step = group_norm_row(s), n = s->n_item - s->n_row * s->period;
  for (int64_t r = 0; r < s->n_row; r++, x += s->period, dx += s->period)
    for (int64_t k = 0; k < s->period; k += VK_LANES)
      vf_store(dx + k, second(row, step, k, vf_load(x + k), vf_load(dx + k)));
  for (int64_t k = 0; k < n; k += VK_LANES) {
    int n_lane = n - k < VK_LANES ? (int)(n - k) : VK_LANES;
    vf_store_n(dx + k, second(row, step, k, vf_load_n(x + k, n_lane), vf_load_n(dx + k, n_lane)),
               n_lane);
  }
}

/* Sums over the items of a period that are of one channel, into its first. */
static void fold(const group_norm_shape *s, float *sum)
{
  for (int64_t k = s->c; k < s->period; k += s->c)
    for (int64_t c = 0; c < s->c; c++)
      sum[c] += sum[k + c];
}

static void set_first(const vk_op_call *c, const group_norm_shape *s, int64_t i, float *row)
{
  int64_t step = group_norm_row(s), n_c = s->c / s->n_group;
  const float *stats = (const float *)c->in[2].data + i * 2 * s->n_group;
  for (int64_t k = 0; k < s->c; k++) {
    AT(MEAN)[k] = stats[2 * (k / n_c)];
    AT(RSTD)[k] = stats[2 * (k / n_c) + 1];
  }
  group_norm_repeat(s, AT(MEAN), AT(MEAN));
  group_norm_repeat(s, AT(RSTD), AT(RSTD));
  group_norm_repeat(s, c->in[3].data, AT(FACTOR));
  group_norm_repeat(s, c->in[4].data, AT(SHIFT));
  if (c->n_in > 5 && c->in[5].data) {
    const float *gb = (const float *)c->in[5].data + i / s->group * 2 * s->c;
    for (int64_t k = 0; k < s->c; k++)
      AT(GAIN)[k] = 1 + gb[k];
    group_norm_repeat(s, AT(GAIN), AT(GAIN));
  }
}

static void set_second(const vk_op_call *c, const group_norm_shape *s, float *row)
{
  int64_t step = group_norm_row(s), n_c = s->c / s->n_group;
  const float *w = c->in[3].data;
  float n = (float)(s->n_item / s->c * n_c);
  for (int64_t g = 0; g < s->n_group; g++) {
    float sum = 0, sum_n = 0, rstd = AT(RSTD)[g * n_c];
    for (int64_t k = g * n_c; k < (g + 1) * n_c; k++) {
      sum += AT(SUM_DU)[k] * w[k];
      sum_n += AT(SUM_DU_N)[k] * w[k];
    }
    for (int64_t k = g * n_c; k < (g + 1) * n_c; k++) {
      AT(SLOPE)[k] = -rstd * rstd * sum_n / n;
      AT(LEVEL)[k] = -rstd * sum / n;
      AT(FACTOR)[k] = rstd * w[k];
    }
  }
  group_norm_repeat(s, AT(SLOPE), AT(SLOPE));
  group_norm_repeat(s, AT(LEVEL), AT(LEVEL));
  group_norm_repeat(s, AT(FACTOR), AT(FACTOR));
}

/* Scratch: the sums of each picture [n, 4, c], then the rows of each part. */
static int64_t sum_floats(const group_norm_shape *s)
{
  return (s->n * 4 * s->c + 15) / 16 * 16;
}

static void run_picture(const vk_op_call *c, const group_norm_shape *s, int64_t i, float *row)
{
  int64_t step = group_norm_row(s);
  job j = {.s = s,
           .row = row,
           .x = (const float *)c->in[1].data + i * s->n_item,
           .dy = (const float *)c->in[0].data + i * s->n_item,
           .dx = (float *)c->out[0].data + i * s->n_item};
  bool is_film = c->n_in > 5 && c->in[5].data, is_gelu = c->attr->act == VK_ACT_GELU;
  set_first(c, s, i, row);
  if (is_gelu && is_film)
    first_pass(&j, 1, 1);
  else if (is_gelu)
    first_pass(&j, 1, 0);
  else if (is_film)
    first_pass(&j, 0, 1);
  else
    first_pass(&j, 0, 0);
  float *sums = (float *)c->scratch + i * 4 * s->c;
  for (int k = 0; k < 4; k++) {
    fold(s, AT(SUM_DU + k));
    memcpy(sums + k * s->c, AT(SUM_DU + k), sizeof *sums * (size_t)s->c);
  }
  set_second(c, s, row);
  second_pass(&j);
}

/* out[k] = sum over pictures [i, i + n) of row r of their sums, for channels [k, end). */
static void add_pictures(const vk_op_call *c, const group_norm_shape *s, int r, int64_t i,
                         int64_t n, int64_t k, int64_t end, float *out)
{
  for (; k < end; k += VK_LANES) {
    int n_lane = end - k < VK_LANES ? (int)(end - k) : VK_LANES;
    const float *in = (const float *)c->scratch + (i * 4 + r) * s->c + k;
    vf sum = vf_zero();
    for (int64_t q = 0; q < n; q++)
      sum += vf_load_n(in + q * 4 * s->c, n_lane);
    vf_store_n(out + k, sum, n_lane);
  }
}

VK_OP_RUN(group_norm_grad)
{
  group_norm_shape s = group_norm_shape_of(&c->in[1].shape, c->attr);
  int64_t i, end;
  if (c->i_phase == 0) {
    float *row = (float *)c->scratch + sum_floats(&s) + c->i_part * N_ROW * group_norm_row(&s);
    vk_op_part(c, s.n, 1, &i, &end);
    for (; i < end; i++)
      run_picture(c, &s, i, row);
    return;
  }
  vk_op_part(c, s.c, 16, &i, &end);
  add_pictures(c, &s, 1, 0, s.n, i, end, c->out[1].data);
  add_pictures(c, &s, 0, 0, s.n, i, end, c->out[2].data);
  if (c->n_in <= 5 || !c->in[5].data)
    return;
  vk_op_part(c, s.n / s.group, 1, &i, &end);
  for (; i < end; i++) {
    float *gb = (float *)c->out[3].data + i * 2 * s.c;
    add_pictures(c, &s, 2, i * s.group, s.group, 0, s.c, gb);
    add_pictures(c, &s, 3, i * s.group, s.group, 0, s.c, gb + s.c);
  }
}

#if VK_PATH_IS_BASE

#include "nn/op_rows.h"

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need(c, 0, VK_F32, 0, err));
  VK_TRY(vk_group_norm_check(c, 1, 3, err));
  VK_TRY(vk_op_need(c, 2, VK_F32, 2, err));
  VK_TRY(vk_op_need_alike(c, 0, 1, err));
  const vk_value *x = c->in[1];
  if (c->in[2]->shape.dim[0] != x->shape.dim[0] || c->in[2]->shape.dim[1] != 2 * c->attr->n_group ||
      !vk_op_same_extent(c->in[2], x))
    return vk_op_fail(c, err, "stats must be [%lld, %lld], with the extent of x",
                      (long long)x->shape.dim[0], (long long)(2 * c->attr->n_group));
  vk_op_same(c, 0, 1);
  for (int i = 1; i < 3; i++) {
    vk_op_same(c, i, 3);
    c->out[i].extent = VK_NO_EXTENT;
  }
  c->out[3].dtype = VK_F32;
  c->out[3].shape = vk_shape_of(1, 0);
  c->out[3].extent = VK_NO_EXTENT;
  if (c->n_in > 5 && c->in[5])
    vk_op_same(c, 3, 5);
  return VK_OK;
}

static size_t scratch(const vk_op_call *c)
{
  group_norm_shape s = group_norm_shape_of(&c->in[1].shape, c->attr);
  return sizeof(float) * (size_t)(sum_floats(&s) + N_ROW * group_norm_row(&s) * c->n_part);
}

/* One channel of one picture: x - mean in units of the deviation, and du. */
typedef struct item {
  double n, du, act, dy;
} item;

static item item_at(const vk_op_call *c, const group_norm_shape *s, int64_t i, int64_t at)
{
  int64_t channel = at % s->c, n_c = s->c / s->n_group;
  const double *stats = (const double *)c->in[2].data + 2 * (i * s->n_group + channel / n_c);
  const double *w = c->in[3].data, *b = c->in[4].data, *gb = c->n_in > 5 ? c->in[5].data : NULL;
  item r = {.dy = ((const double *)c->in[0].data)[i * s->n_item + at]};
  r.n = (((const double *)c->in[1].data)[i * s->n_item + at] - stats[0]) * stats[1];
  double u = r.n * w[channel] + b[channel];
  r.act = u;
  r.du = r.dy * (gb ? 1 + gb[i / s->group * 2 * s->c + channel] : 1);
  if (c->attr->act == VK_ACT_GELU) {
    double cdf = 0.5 * (1 + erf(u * sqrt(0.5)));
    r.act = u * cdf;
    r.du *= cdf + u * exp(-0.5 * u * u) / sqrt(2 * 3.14159265358979323846);
  }
  return r;
}

static void ref(const vk_op_call *c)
{
  group_norm_shape s = group_norm_shape_of(&c->in[1].shape, c->attr);
  const double *w = c->in[3].data;
  double *dx = c->out[0].data, *dw = c->out[1].data, *db = c->out[2].data, *dgb = c->out[3].data;
  int64_t n_c = s.c / s.n_group;
  for (int64_t k = 0; k < s.c; k++)
    dw[k] = db[k] = 0;
  for (int64_t k = 0; k < vk_shape_n_item(&c->out[3].shape); k++)
    dgb[k] = 0;
  for (int64_t i = 0; i < s.n; i++) {
    for (int64_t g = 0; g < s.n_group; g++) {
      double sum = 0, sum_n = 0, n = (double)(s.n_item / s.c * n_c);
      double rstd = ((const double *)c->in[2].data)[2 * (i * s.n_group + g) + 1];
      for (int64_t at = 0; at < s.n_item; at++)
        if (at % s.c / n_c == g) {
          item r = item_at(c, &s, i, at);
          sum += r.du * w[at % s.c];
          sum_n += r.du * w[at % s.c] * r.n;
        }
      for (int64_t at = 0; at < s.n_item; at++)
        if (at % s.c / n_c == g) {
          item r = item_at(c, &s, i, at);
          dx[i * s.n_item + at] = rstd * (w[at % s.c] * r.du - sum / n - r.n * sum_n / n);
        }
    }
    for (int64_t at = 0; at < s.n_item; at++) {
      item r = item_at(c, &s, i, at);
      dw[at % s.c] += r.du * r.n;
      db[at % s.c] += r.du;
      if (vk_shape_n_item(&c->out[3].shape)) {
        dgb[i / s.group * 2 * s.c + at % s.c] += r.dy * r.act;
        dgb[i / s.group * 2 * s.c + s.c + at % s.c] += r.dy;
      }
    }
  }
}

static void example(vk_example *e)
{
  bool has_film;
  vk_shape x = vk_group_norm_example(e, &has_film), channel = vk_shape_of(1, (int)x.dim[3]);
  vk_example_f32(e, x);
  vk_example_f32(e, x);
  vk_example_f32(e, vk_shape_of(2, (int)x.dim[0], (int)(2 * e->attr.n_group)));
  vk_example_f32(e, channel);
  vk_example_f32(e, channel);
  if (has_film)
    vk_example_f32(e, vk_shape_of(2, (int)(x.dim[0] / e->attr.group), (int)(2 * x.dim[3])));
}

const vk_op_def vk_op_group_norm_grad = {
    .name = "group_norm_grad",
    .help = "gradient of group_norm; inputs dy, x, stats, w, b, gb; outputs dx, dw, db, dgb (no "
            "items without gb)",
    .n_in_min = 5,
    .n_in_max = 6,
    .n_out = 4,
    .in_place = 1,
    .n_phase = 2,
    .n_case = VK_GROUP_NORM_N_CASE,
    .flags = VK_OP_NO_GRAD | VK_OP_HIDDEN,
    .rtol = 1e-5,
    .atol = 1e-4,
    .tolerance = "sums over pictures in float, in blocks",
    .infer = infer,
    .scratch = scratch,
    .ref = ref,
    .example = example,
};

#endif
