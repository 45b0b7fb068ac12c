/* render_raster.h - which samples a triangle covers, block by block. All of it is exact: vertices
 * are whole numbers of 1/256 pixels, samples too. Included by kernels.
 * Test: tests/unit/test_render.c */
#ifndef VK_SIM_RENDER_RASTER_H
#define VK_SIM_RENDER_RASTER_H

#include "sim/render_clip.h"
#include "sim/render_internal.h"
#include "sim/render_lanes.h"

typedef int64_t vl __attribute__((vector_size(32)));

/* ---- samples -------------------------------------------------------------------------------- */

/* How samples lie in blocks. */
typedef struct vk_grid {
  int block_w, block_h; /* pixels */
  int shift_x, shift_y; /* log2 of them */
  int n_block_x;
  int px0, px1, py0, py1; /* pixels that are drawn */
  int first, last;        /* of a pixel's samples, 1/256 pixels, in x and in y */
  int32_t lane_x[VK_LANES], lane_y[VK_LANES]; /* from the block's corner, 1/256 pixels */
} vk_grid;

static inline vk_grid grid_of(const vk_draw *d)
{
  static const int16_t at_x[4] = {96, 224, 32, 160}, at_y[4] = {32, 96, 160, 224};
  vk_grid g = {
      .n_block_x = d->n_block_x, .px0 = d->px0, .px1 = d->px1, .py0 = d->py0, .py1 = d->py1};
  bool is_single = d->n_sample == 1;
  g.shift_x = is_single ? 2 : 1;
  g.shift_y = is_single ? 1 : 0;
  g.block_w = 1 << g.shift_x;
  g.block_h = 1 << g.shift_y;
  g.first = is_single ? 128 : 32;
  g.last = is_single ? 128 : 224;
  for (int i = 0; i < VK_LANES; i++) {
    g.lane_x[i] = is_single ? (i & 3) * 256 + 128 : (i >> 2) * 256 + at_x[i & 3];
    g.lane_y[i] = is_single ? (i >> 2) * 256 + 128 : at_y[i & 3];
  }
  return g;
}

/* Centres of the pixels that a block's lanes are in. */
static inline void centres_of(const vk_grid *g, int bx, int by, vf *x, vf *y)
{
  *x = to_float((load_i(g->lane_x) >> 8) + bx * g->block_w) + 0.5f;
  *y = to_float((load_i(g->lane_y) >> 8) + by * g->block_h) + 0.5f;
}

/* ---- a triangle ----------------------------------------------------------------------------- */

/* A triangle that faces the camera, ready to be covered. */
typedef struct vk_setup {
  int32_t x[3], y[3];
  int32_t px0, px1, py0, py1; /* pixels that it may cover */
  float z, zx, zy, lo, hi;    /* 1 / depth: z at corner 0, its change by a pixel, and its range */
} vk_setup;

static inline int32_t min3(const int32_t v[3])
{
  int32_t m = v[0] < v[1] ? v[0] : v[1];
  return m < v[2] ? m : v[2];
}

static inline int32_t max3(const int32_t v[3])
{
  int32_t m = v[0] > v[1] ? v[0] : v[1];
  return m > v[2] ? m : v[2];
}

/* False: it faces away, or covers nothing. */
static inline bool set_up_one(const vk_grid *g, const int32_t x[3], const int32_t y[3],
                              const float iw[3], vk_setup *s)
{
  int px0 = (min3(x) - g->last + 255) >> 8, px1 = (max3(x) - g->first) >> 8;
  int py0 = (min3(y) - g->last + 255) >> 8, py1 = (max3(y) - g->first) >> 8;
  int64_t dx1 = x[1] - x[0], dy1 = y[1] - y[0], dx2 = x[2] - x[0], dy2 = y[2] - y[0];
  int64_t area = dx1 * dy2 - dx2 * dy1;
  memcpy(s->x, x, sizeof s->x);
  memcpy(s->y, y, sizeof s->y);
  s->px0 = px0 < g->px0 ? g->px0 : px0;
  s->py0 = py0 < g->py0 ? g->py0 : py0;
  s->px1 = px1 > g->px1 ? g->px1 : px1;
  s->py1 = py1 > g->py1 ? g->py1 : py1;
  if (s->px0 > s->px1 || s->py0 > s->py1 || area <= 0)
    return false;
  float per_area = VK_SUBPIXEL / (float)area, z1 = iw[1] - iw[0], z2 = iw[2] - iw[0];
  s->z = iw[0];
  s->zx = (z1 * (float)dy2 - z2 * (float)dy1) * per_area;
  s->zy = (z2 * (float)dx1 - z1 * (float)dx2) * per_area;
  s->lo = iw[0] < iw[1] ? iw[0] : iw[1];
  s->lo = s->lo < iw[2] ? s->lo : iw[2];
  s->hi = iw[0] > iw[1] ? iw[0] : iw[1];
  s->hi = s->hi > iw[2] ? s->hi : iw[2];
  return true;
}

typedef struct vk_edges {
  int32_t a[3], b[3]; /* e = a (x - x0) + b (y - y0) + bias >= 0: inside */
  int32_t x[3], y[3];
  int32_t bias[3]; /* a sample on an edge belongs to the triangle to its right, or below */
} vk_edges;

static inline vk_edges edges_of(const int32_t x[3], const int32_t y[3])
{
  vk_edges e;
  for (int k = 0; k < 3; k++) {
    int next = k == 2 ? 0 : k + 1;
    e.a[k] = y[k] - y[next];
    e.b[k] = x[next] - x[k];
    e.x[k] = x[k];
    e.y[k] = y[k];
    e.bias[k] = e.a[k] > 0 || (e.a[k] == 0 && e.b[k] < 0) ? 0 : -1;
  }
  return e;
}

/* ---- its blocks ----------------------------------------------------------------------------- */

/* A visitor gets a block, its column and row, the lanes that are covered (perhaps none) and
 * 1 / depth there. It returns the lanes that it used. No branch asks whether there are any: it
 * would be mispredicted more often than what it saves. */
typedef vi vk_visit_fn(void *arg, size_t block, vi inside, vf z, int bx, int by);

/* 1 / depth: at the picture's corner, its change by a block, what lanes add, its range. */
typedef struct vk_depths {
  float corner, dx, dy;
  vf lane, lo, hi;
} vk_depths;

static inline vk_depths depths_of(const vk_grid *g, const vk_setup *s)
{
  vk_depths d = {.dx = s->zx * (float)g->block_w, .dy = s->zy * (float)g->block_h};
  d.corner = s->z - (s->zx * (float)s->x[0] + s->zy * (float)s->y[0]) * (1.0f / VK_SUBPIXEL);
  d.lane = (s->zx * to_float(load_i(g->lane_x)) + s->zy * to_float(load_i(g->lane_y))) *
           (1.0f / VK_SUBPIXEL);
  d.lo = splat(s->lo);
  d.hi = splat(s->hi);
  return d;
}

/* Shows a block to the visitor. */
VK_INLINE vi visit_block(const vk_grid *g, const vk_depths *d, int bx, int by, vi inside,
                         vk_visit_fn visit, void *arg)
{
  vf z = d->lane + (d->corner + ((float)bx * d->dx + (float)by * d->dy));
  z = min_f(max_f(z, d->lo), d->hi);
  return visit(arg, (size_t)by * (size_t)g->n_block_x + (size_t)bx, inside, z, bx, by);
}

/* Of few blocks all are visited. Sides are at most VK_SMALL: 32 bits are enough. */
VK_INLINE bool cover_few(const vk_grid *g, const vk_edges *e, const vk_depths *d, const int box[4],
                         vk_visit_fn visit, void *arg)
{
  vi at[3], row[3], any = splat_i(0);
  int corner_x = box[0] * g->block_w * 256, corner_y = box[2] * g->block_h * 256;
  for (int k = 0; k < 3; k++)
    row[k] = (load_i(g->lane_x) + (corner_x - e->x[k])) * e->a[k] +
             (load_i(g->lane_y) + (corner_y - e->y[k])) * e->b[k] + e->bias[k];
  for (int by = box[2]; by <= box[3]; by++) {
    for (int k = 0; k < 3; k++)
      at[k] = row[k];
    for (int bx = box[0]; bx <= box[1]; bx++) {
      any |= visit_block(g, d, bx, by, (at[0] | at[1] | at[2]) >= 0, visit, arg);
      for (int k = 0; k < 3; k++)
        at[k] += e->a[k] * (g->block_w * 256);
    }
    for (int k = 0; k < 3; k++)
      row[k] += e->b[k] * (g->block_h * 256);
  }
  return bits_of(any) != 0;
}

/* First and last block of eight rows of blocks from `row` on that a triangle can reach. In float:
 * a little too much, never too little. */
static inline void spans_of(const vk_grid *g, const vk_edges *e, const int box[4], int row,
                            int32_t first[VK_LANES], int32_t last[VK_LANES])
{
  const vi rows = (vi){0, 1, 2, 3, 4, 5, 6, 7} + row;
  vf bottom = to_float(rows * (g->block_h * 256) + g->first);
  vf top = bottom + (float)((g->block_h - 1) * 256 + g->last - g->first);
  vf lo = splat(1e9f), hi = splat(-1e9f);
  for (int k = 0; k < 3; k++) {
    float x = (float)e->x[k], y = (float)e->y[k], dx = (float)e->b[k], dy = (float)-e->a[k];
    float y0 = dy < 0 ? y + dy : y, y1 = dy < 0 ? y : y + dy, slope = dy != 0 ? dx / dy : 0;
    vi meets = (bottom <= splat(y1)) & (top >= splat(y0));
    vf a = x + (clamp_f(bottom, y0, y1) - y) * slope, b = x + (clamp_f(top, y0, y1) - y) * slope;
    lo = select_f(meets, min_f(lo, min_f(a, b)), lo);
    hi = select_f(meets, max_f(hi, max_f(a, b)), hi);
  }
  const float margin = 16, size = (float)(g->block_w * 256);
  vf from = (lo - (margin + (float)((g->block_w - 1) * 256 + g->last))) / size;
  vf to = (hi + (margin - (float)g->first)) / size;
  store_i(first, max_i(0 - floor_i(0 - from), splat_i(box[0])));
  store_i(last, min_i(floor_i(to), splat_i(box[1])));
}

/* Edges over a block when 32 bits are not enough. */
typedef struct vk_wide_edges {
  vl lane[3][2]; /* what lanes add to e at the block's corner */
} vk_wide_edges;

static inline vk_wide_edges wide_edges(const vk_grid *g, const vk_edges *e)
{
  vk_wide_edges w;
  for (int k = 0; k < 3; k++) {
    int64_t lane[VK_LANES];
    for (int i = 0; i < VK_LANES; i++)
      lane[i] = (int64_t)e->a[k] * g->lane_x[i] + (int64_t)e->b[k] * g->lane_y[i];
    memcpy(w.lane[k], lane, sizeof lane);
  }
  return w;
}

static inline vi wide_inside(const vk_grid *g, const vk_edges *e, const vk_wide_edges *w, int bx,
                             int by)
{
  vl lo = {0}, hi = {0};
  for (int k = 0; k < 3; k++) {
    int64_t at = (int64_t)e->a[k] * (bx * g->block_w * 256 - e->x[k]) +
                 (int64_t)e->b[k] * (by * g->block_h * 256 - e->y[k]) + e->bias[k];
    lo |= w->lane[k][0] + at;
    hi |= w->lane[k][1] + at;
  }
  return __builtin_shufflevector((vi)lo, (vi)hi, 1, 3, 5, 7, 9, 11, 13, 15) >= 0;
}

/* Of many blocks those are visited that the triangle can reach and where it is not farther than all
 * that is there. far: 1 / depth of the farthest sample of each block, or less. */
VK_INLINE bool cover_many(const vk_grid *g, const vk_edges *e, const vk_depths *d,
                          const vk_setup *s, const int box[4], const float *far, vk_visit_fn visit,
                          void *arg)
{
  bool is_wide = max3(s->x) - min3(s->x) > VK_SMALL || max3(s->y) - min3(s->y) > VK_SMALL;
  int32_t first[VK_LANES], last[VK_LANES];
  vk_wide_edges w;
  vi lane[3], any = splat_i(0);
  if (is_wide)
    w = wide_edges(g, e);
  else
    for (int k = 0; k < 3; k++)
      lane[k] = load_i(g->lane_x) * e->a[k] + load_i(g->lane_y) * e->b[k] + e->bias[k];
  for (int by = box[2]; by <= box[3]; by++) {
    int r = (by - box[2]) % VK_LANES;
    if (r == 0)
      spans_of(g, e, box, by, first, last);
    for (int bx = first[r]; bx <= last[r]; bx++) {
      vi inside;
      if (s->hi < far[by * g->n_block_x + bx])
        continue;
      if (is_wide) {
        inside = wide_inside(g, e, &w, bx, by);
      } else {
        vi outside = splat_i(0);
        for (int k = 0; k < 3; k++)
          outside |= lane[k] + (e->a[k] * (bx * g->block_w * 256 - e->x[k]) +
                                e->b[k] * (by * g->block_h * 256 - e->y[k]));
        inside = outside >= 0;
      }
      any |= visit_block(g, d, bx, by, inside, visit, arg);
    }
  }
  return bits_of(any) != 0;
}

/* Boxes of more blocks have so many empty ones that it is worth to look for those. */
enum { VK_FEW_BLOCKS = 8 };

/* Visits the blocks of a triangle. visit_many: the visitor where there are many. */
VK_INLINE bool cover_setup(const vk_grid *g, const vk_setup *s, const float *far, vk_visit_fn visit,
                           vk_visit_fn visit_many, void *arg)
{
  const int box[4] = {s->px0 >> g->shift_x, s->px1 >> g->shift_x, s->py0 >> g->shift_y,
                      s->py1 >> g->shift_y};
  vk_depths d = depths_of(g, s);
  vk_edges e = edges_of(s->x, s->y);
  if ((box[1] - box[0] + 1) * (box[3] - box[2] + 1) <= VK_FEW_BLOCKS &&
      max3(s->x) - min3(s->x) <= VK_SMALL && max3(s->y) - min3(s->y) <= VK_SMALL)
    return cover_few(g, &e, &d, box, visit, arg);
  return cover_many(g, &e, &d, s, box, far, visit_many, arg);
}

/* Visits the blocks of an item's hit, clipped or not. */
VK_INLINE bool cover_hit(const vk_draw *d, const vk_grid *g, const vk_draw_item *item,
                         const vk_hit *hit, vk_visit_fn visit, vk_visit_fn visit_many, void *arg)
{
  vk_screen_vertex c[VK_CLIP_MAX];
  vk_setup s;
  bool any = false;
  int n = 3;
  if (hit->iw[0] > 0)
    for (int i = 0; i < 3; i++)
      c[i] = (vk_screen_vertex){.x = hit->x[i], .y = hit->y[i], .iw = hit->iw[i]};
  else
    n = vk_clip_triangle(d, item, hit->vertex, c);
  for (int i = 2; i < n; i++) {
    const int32_t x[3] = {c[0].x, c[i - 1].x, c[i].x}, y[3] = {c[0].y, c[i - 1].y, c[i].y};
    const float iw[3] = {c[0].iw, c[i - 1].iw, c[i].iw};
    if (set_up_one(g, x, y, iw, &s))
      any |= cover_setup(g, &s, d->canvas->far, visit, visit_many, arg);
  }
  return any;
}

#endif
