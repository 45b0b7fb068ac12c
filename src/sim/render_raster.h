/* render_raster.h - which samples a triangle covers, block by block. All of it is exact: vertices
 * are whole numbers of 1/256 pixels, samples too. Included by kernels.
 * Test: tests/unit/test_render.c */
#ifndef VK_SIM_RENDER_RASTER_H
#define VK_SIM_RENDER_RASTER_H

#include "sim/render_clip.h"
#include "sim/render_internal.h"
#include "sim/render_lanes.h"

typedef int64_t vl __attribute__((vector_size(32)));

/* How samples lie in blocks. */
typedef struct vk_grid {
  int block_w, block_h; /* pixels, powers of two */
  int n_block_x;
  int x_max, y_max; /* last pixel */
  int first, last;  /* of a pixel's samples, 1/256 pixels, in x and in y */
  int32_t lane_x[VK_LANES], lane_y[VK_LANES]; /* from the block's corner, 1/256 pixels */
} vk_grid;

static inline vk_grid grid_of(const vk_draw *d)
{
  static const int16_t at_x[4] = {96, 224, 32, 160}, at_y[4] = {32, 96, 160, 224};
  vk_grid g = {.n_block_x = d->n_block_x, .x_max = d->width - 1, .y_max = d->height - 1};
  bool is_single = d->n_sample == 1;
  g.block_w = is_single ? 4 : 2;
  g.block_h = is_single ? 2 : 1;
  g.first = is_single ? 128 : 32;
  g.last = is_single ? 128 : 224;
  for (int i = 0; i < VK_LANES; i++) {
    g.lane_x[i] = is_single ? (i & 3) * 256 + 128 : (i >> 2) * 256 + at_x[i & 3];
    g.lane_y[i] = is_single ? (i >> 2) * 256 + 128 : at_y[i & 3];
  }
  return g;
}

/* 1 / depth over a triangle. */
typedef struct vk_depth_plane {
  float x, y, z, zx, zy, lo, hi; /* at (x, y) px it is z */
} vk_depth_plane;

/* A visitor gets a block, the lanes that are covered (some) and 1 / depth there. It says whether it
 * used any. */
typedef bool vk_visit_fn(void *arg, size_t block, vi inside, vf z, vf x, vf y);

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

static inline __attribute__((always_inline)) bool visit_block(const vk_grid *g,
                                                              const vk_depth_plane *p, int bx,
                                                              int by, vi inside, vk_visit_fn visit,
                                                              void *arg)
{
  vf x = to_float(load_i(g->lane_x) + bx * g->block_w * 256) * (1.0f / 256);
  vf y = to_float(load_i(g->lane_y) + by * g->block_h * 256) * (1.0f / 256);
  vf z = p->z + (p->zx * (x - p->x) + p->zy * (y - p->y));
  z = clamp_f(z, p->lo, p->hi);
  return visit(arg, (size_t)by * (size_t)g->n_block_x + (size_t)bx, inside, z, x, y);
}

/* Sides of at most VK_SMALL: 32 bits are enough. */
static inline __attribute__((always_inline)) bool cover_small(const vk_grid *g, const vk_edges *e,
                                                              const vk_depth_plane *p,
                                                              const int box[4], vk_visit_fn visit,
                                                              void *arg)
{
  vi at[3], row[3];
  int corner_x = box[0] * g->block_w * 256, corner_y = box[2] * g->block_h * 256;
  for (int k = 0; k < 3; k++)
    row[k] = (load_i(g->lane_x) + (corner_x - e->x[k])) * e->a[k] +
             (load_i(g->lane_y) + (corner_y - e->y[k])) * e->b[k] + e->bias[k];
  bool any = false;
  for (int by = box[2]; by <= box[3]; by++) {
    for (int k = 0; k < 3; k++)
      at[k] = row[k];
    for (int bx = box[0]; bx <= box[1]; bx++) {
      vi outside = at[0] | at[1] | at[2];
      if (bits_of(outside) != 0xff)
        any |= visit_block(g, p, bx, by, outside >= 0, visit, arg);
      for (int k = 0; k < 3; k++)
        at[k] += e->a[k] * (g->block_w * 256);
    }
    for (int k = 0; k < 3; k++)
      row[k] += e->b[k] * (g->block_h * 256);
  }
  return any;
}

typedef struct vk_wide_edge {
  vl lane[2];          /* what lanes add to e at the block's corner */
  int64_t lo, hi;      /* the least and most of it */
  int64_t row, dx, dy; /* e at the corner, and from a block to the next */
} vk_wide_edge;

static inline vk_wide_edge wide_edge(const vk_grid *g, const vk_edges *e, int k, const int box[4])
{
  vk_wide_edge w;
  int64_t a = e->a[k], b = e->b[k], lane[VK_LANES];
  w.lo = INT64_MAX;
  w.hi = INT64_MIN;
  for (int i = 0; i < VK_LANES; i++) {
    lane[i] = a * g->lane_x[i] + b * g->lane_y[i];
    w.lo = lane[i] < w.lo ? lane[i] : w.lo;
    w.hi = lane[i] > w.hi ? lane[i] : w.hi;
  }
  memcpy(w.lane, lane, sizeof lane);
  w.dx = a * (g->block_w * 256);
  w.dy = b * (g->block_h * 256);
  w.row = a * ((int64_t)box[0] * g->block_w * 256 - e->x[k]) +
          b * ((int64_t)box[2] * g->block_h * 256 - e->y[k]) + e->bias[k];
  return w;
}

static inline __attribute__((always_inline)) bool cover_large(const vk_grid *g, const vk_edges *e,
                                                              const vk_depth_plane *p,
                                                              const int box[4], vk_visit_fn visit,
                                                              void *arg)
{
  vk_wide_edge w[3];
  for (int k = 0; k < 3; k++)
    w[k] = wide_edge(g, e, k, box);
  bool any = false;
  for (int by = box[2]; by <= box[3]; by++) {
    int64_t at[3] = {w[0].row, w[1].row, w[2].row};
    for (int bx = box[0]; bx <= box[1]; bx++) {
      if (at[0] + w[0].hi >= 0 && at[1] + w[1].hi >= 0 && at[2] + w[2].hi >= 0) {
        vi inside = splat_i(-1);
        if (at[0] + w[0].lo < 0 || at[1] + w[1].lo < 0 || at[2] + w[2].lo < 0) {
          vl lo = (w[0].lane[0] + at[0]) | (w[1].lane[0] + at[1]) | (w[2].lane[0] + at[2]);
          vl hi = (w[0].lane[1] + at[0]) | (w[1].lane[1] + at[1]) | (w[2].lane[1] + at[2]);
          inside = __builtin_shufflevector((vi)lo, (vi)hi, 1, 3, 5, 7, 9, 11, 13, 15) >= 0;
        }
        if (bits_of(inside))
          any |= visit_block(g, p, bx, by, inside, visit, arg);
      }
      for (int k = 0; k < 3; k++)
        at[k] += w[k].dx;
    }
    for (int k = 0; k < 3; k++)
      w[k].row += w[k].dy;
  }
  return any;
}

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

/* Visits the blocks of a triangle that faces the camera. */
static inline __attribute__((always_inline)) bool
cover_triangle(const vk_grid *g, const int32_t x[3], const int32_t y[3], const float iw[3],
               vk_visit_fn visit, void *arg)
{
  int32_t x0 = min3(x), x1 = max3(x), y0 = min3(y), y1 = max3(y);
  int px0 = (x0 - g->last + 255) >> 8, px1 = (x1 - g->first) >> 8;
  int py0 = (y0 - g->last + 255) >> 8, py1 = (y1 - g->first) >> 8;
  px0 = px0 < 0 ? 0 : px0;
  py0 = py0 < 0 ? 0 : py0;
  px1 = px1 > g->x_max ? g->x_max : px1;
  py1 = py1 > g->y_max ? g->y_max : py1;
  if (px0 > px1 || py0 > py1)
    return false;
  int64_t dx1 = x[1] - x[0], dy1 = y[1] - y[0], dx2 = x[2] - x[0], dy2 = y[2] - y[0];
  int64_t area = dx1 * dy2 - dx2 * dy1;
  if (area <= 0)
    return false;
  float per_area = VK_SUBPIXEL / (float)area, z1 = iw[1] - iw[0], z2 = iw[2] - iw[0];
  vk_depth_plane p = {.x = (float)x[0] * (1.0f / VK_SUBPIXEL),
                      .y = (float)y[0] * (1.0f / VK_SUBPIXEL),
                      .z = iw[0],
                      .zx = (z1 * (float)dy2 - z2 * (float)dy1) * per_area,
                      .zy = (z2 * (float)dx1 - z1 * (float)dx2) * per_area};
  p.lo = iw[0] < iw[1] ? iw[0] : iw[1];
  p.lo = p.lo < iw[2] ? p.lo : iw[2];
  p.hi = iw[0] > iw[1] ? iw[0] : iw[1];
  p.hi = p.hi > iw[2] ? p.hi : iw[2];
  const int box[4] = {px0 / g->block_w, px1 / g->block_w, py0 / g->block_h, py1 / g->block_h};
  vk_edges e = edges_of(x, y);
  if (x1 - x0 <= VK_SMALL && y1 - y0 <= VK_SMALL)
    return cover_small(g, &e, &p, box, visit, arg);
  return cover_large(g, &e, &p, box, visit, arg);
}

/* The same for a hit of an item, clipped or not. */
static inline __attribute__((always_inline)) bool cover_hit(const vk_draw *d, const vk_grid *g,
                                                            const vk_draw_item *item,
                                                            const vk_hit *hit, vk_visit_fn visit,
                                                            void *arg)
{
  if (hit->iw[0] > 0)
    return cover_triangle(g, hit->x, hit->y, hit->iw, visit, arg);
  vk_screen_vertex c[VK_CLIP_MAX];
  int n = vk_clip_triangle(d, item, hit->vertex, c);
  bool any = false;
  for (int i = 2; i < n; i++) {
    const int32_t x[3] = {c[0].x, c[i - 1].x, c[i].x}, y[3] = {c[0].y, c[i - 1].y, c[i].y};
    const float iw[3] = {c[0].iw, c[i - 1].iw, c[i].iw};
    any |= cover_triangle(g, x, y, iw, visit, arg);
  }
  return any;
}

#endif
