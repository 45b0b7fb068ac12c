/* render_cover.c - vertices to the screen, and which triangle is the nearest at each sample.
 * Compiled once a path. */
#include "core/kernel_path.h"
#include "sim/render_kernel.h"
#include "sim/render_raster.h"

/* ---- vertices ------------------------------------------------------------------------------ */

static inline vf row_times(const float m[4], vf x, vf y, vf z)
{
  return m[0] * x + m[1] * y + m[2] * z + m[3];
}

/* Which planes of the view a vertex is outside of. */
static inline vi sides_of(const vk_draw *d, vf xw, vf yw, vf w)
{
  vi s = (w < splat(d->near_m)) & 1;
  s |= (w > splat(d->far_m)) & 2;
  s |= (xw < splat(0)) & 4;
  s |= (xw > (float)d->width * w) & 8;
  s |= (yw < splat(0)) & 16;
  return s | ((yw > (float)d->height * w) & 32);
}

static void transform(const vk_draw *d, const vk_draw_item *item)
{
  size_t n = item->n_vertex_padded;
  const float *px = item->stream + VK_STREAM_X * n, *py = item->stream + VK_STREAM_Y * n,
              *pz = item->stream + VK_STREAM_Z * n;
  for (size_t i = 0; i < n; i += VK_LANES) {
    vf x = load(px + i), y = load(py + i), z = load(pz + i);
    vf xw = row_times(item->screen[0], x, y, z), yw = row_times(item->screen[1], x, y, z),
       w = row_times(item->screen[2], x, y, z);
    vf iw = 1.0f / w, sx = xw * iw, sy = yw * iw;
    vi ok = (w >= splat(d->near_m)) & (w <= splat(d->far_m)) & (abs_f(sx) < splat(VK_GUARD_PX)) &
            (abs_f(sy) < splat(VK_GUARD_PX));
    vf above = splat(0);
    if (d->is_mirror) {
      above = row_times(item->above, x, y, z);
      ok &= above >= splat(0);
    }
    vf out[4] = {sx, sy, iw, splat(0)};
    if (bits_of(ok) != 0xff) {
      out[0] = select_f(ok, sx, splat(0));
      out[1] = select_f(ok, sy, splat(0));
      out[2] = select_f(ok, iw, splat(-1));
      out[3] = (vf)(sides_of(d, xw, yw, w) | ((above < splat(0)) & 64));
    }
    out[0] = (vf)floor_i(out[0] * 256.0f + 0.5f);
    out[1] = (vf)floor_i(out[1] * 256.0f + 0.5f);
    untranspose4(out, (float *)(void *)(d->canvas->vertex + i), 4);
  }
}

/* ---- triangles ----------------------------------------------------------------------------- */

/* Eight triangles. */
typedef struct octet {
  vi x[3], y[3];
  vf iw[3];
  vi px0, px1, py0, py1;
  vf zx, zy, lo, hi;
  unsigned keep, clip; /* bits: which may cover a sample, which have to be clipped first */
} octet;

/* Of those with at most 2 x 2 pixels in reach: whether one's centre is inside. dx, dy: the edges.
 * Other lanes say nothing; their numbers may be too large, so all are unsigned. */
static inline vi covers_few(const octet *o, const vi dx[3], const vi dy[3])
{
  vu e[3], ax[3], by[3];
  vi any = splat_i(0), has_x = o->px1 > o->px0, has_y = o->py1 > o->py0;
  for (int k = 0; k < 3; k++) { /* as edges_of */
    vi a = 0 - dy[k], b = dx[k];
    vi bias = ~((a > 0) | ((a == 0) & (b < 0)));
    e[k] = (vu)(o->px0 * 256 + 128 - o->x[k]) * (vu)a + (vu)(o->py0 * 256 + 128 - o->y[k]) * (vu)b +
           (vu)bias;
    ax[k] = e[k] + (vu)a * 256;
    by[k] = (vu)b * 256;
  }
  any |= (vi)(e[0] | e[1] | e[2]) >= 0;
  any |= ((vi)(ax[0] | ax[1] | ax[2]) >= 0) & has_x;
  any |= ((vi)((e[0] + by[0]) | (e[1] + by[1]) | (e[2] + by[2])) >= 0) & has_y;
  any |= ((vi)((ax[0] + by[0]) | (ax[1] + by[1]) | (ax[2] + by[2])) >= 0) & has_x & has_y;
  return any;
}

static inline void load_corners(const vk_draw *d, const vk_draw_item *item, size_t first, octet *o,
                                vi sides[3])
{
  for (size_t k = 0; k < 3; k++) {
    const float *row[VK_LANES];
    vf c[4];
    for (size_t i = 0; i < VK_LANES; i++)
      row[i] = (const float *)(const void *)(d->canvas->vertex + item->corner[k][first + i]);
    transpose4(row, c);
    o->x[k] = (vi)c[0];
    o->y[k] = (vi)c[1];
    o->iw[k] = c[2];
    sides[k] = (vi)c[3];
  }
}

static inline void set_up(const vk_draw *d, const vk_grid *g, const vk_draw_item *item,
                          size_t first, octet *o)
{
  vi sides[3];
  load_corners(d, item, first, o, sides);
  const vi *x = o->x, *y = o->y;
  vi x0 = min_i(min_i(x[0], x[1]), x[2]), x1 = max_i(max_i(x[0], x[1]), x[2]);
  vi y0 = min_i(min_i(y[0], y[1]), y[2]), y1 = max_i(max_i(y[0], y[1]), y[2]);
  o->px0 = max_i((x0 + (255 - g->last)) >> 8, splat_i(g->px0));
  o->py0 = max_i((y0 + (255 - g->last)) >> 8, splat_i(g->py0));
  o->px1 = min_i((x1 - g->first) >> 8, splat_i(g->px1));
  o->py1 = min_i((y1 - g->first) >> 8, splat_i(g->py1));
  vi dx[3] = {x[1] - x[0], x[2] - x[1], x[0] - x[2]};
  vi dy[3] = {y[1] - y[0], y[2] - y[1], y[0] - y[2]};
  /* Exact for small triangles, which are nearly all; of others what is surely not positive goes. */
  vi is_small = (x1 - x0 <= VK_SMALL) & (y1 - y0 <= VK_SMALL);
  vi exact = (vi)((vu)dx[2] * (vu)dy[0] - (vu)dx[0] * (vu)dy[2]);
  vf fx1 = to_float(dx[0]), fy1 = to_float(dy[0]), fx2 = to_float(0 - dx[2]),
     fy2 = to_float(0 - dy[2]);
  vf p = fx1 * fy2, q = fx2 * fy1, area = select_f(is_small, to_float(exact), p - q);
  vi faces = select_i(is_small, exact > 0, area > (abs_f(p) + abs_f(q)) * -1e-6f);
  vi must_clip = ((vi)o->iw[0] | (vi)o->iw[1] | (vi)o->iw[2]) < 0;
  vi keep = faces & (o->px0 <= o->px1) & (o->py0 <= o->py1) & ~must_clip;
  o->clip = bits_of(must_clip & ((sides[0] & sides[1] & sides[2]) == 0));
  o->keep = bits_of(keep);
  if (g->first == g->last && o->keep) {
    vi is_few = is_small & (o->px1 - o->px0 < 2) & (o->py1 - o->py0 < 2);
    o->keep &= bits_of(~is_few | covers_few(o, dx, dy));
  }
  if (!o->keep)
    return;
  vf per_area = 256.0f / area, z1 = o->iw[1] - o->iw[0], z2 = o->iw[2] - o->iw[0];
  o->zx = (z1 * fy2 - z2 * fy1) * per_area;
  o->zy = (z2 * fx1 - z1 * fx2) * per_area;
  o->lo = min_f(min_f(o->iw[0], o->iw[1]), o->iw[2]);
  o->hi = max_f(max_f(o->iw[0], o->iw[1]), o->iw[2]);
}

/* One of the eight; false: it faces away. */
static inline bool pick(const vk_grid *g, const octet *o, int i, vk_setup *s)
{
  for (int k = 0; k < 3; k++) {
    s->x[k] = o->x[k][i];
    s->y[k] = o->y[k][i];
  }
  s->px0 = o->px0[i];
  s->px1 = o->px1[i];
  s->py0 = o->py0[i];
  s->py1 = o->py1[i];
  s->z = o->iw[0][i];
  s->zx = o->zx[i];
  s->zy = o->zy[i];
  s->lo = o->lo[i];
  s->hi = o->hi[i];
  if (max3(s->x) - min3(s->x) <= VK_SMALL && max3(s->y) - min3(s->y) <= VK_SMALL)
    return true;
  const float iw[3] = {o->iw[0][i], o->iw[1][i], o->iw[2][i]};
  return set_up_one(g, s->x, s->y, iw, s);
}

typedef struct nearest {
  float *depth, *far;
  uint32_t *id;
  int32_t hit;
} nearest;

/* Of equal depths the higher number wins, which is the later item in the view, whatever the order
 * of drawing: what OpenGL does when MuJoCo draws geoms in their order. */
static inline vi keep_nearest(void *arg, size_t block, vi inside, vf z, int bx, int by)
{
  const nearest *n = arg;
  float *depth = n->depth + block * VK_LANES;
  uint32_t *id = n->id + block * VK_LANES;
  vf old = load(depth);
  vi old_id = load_i(id), hit = splat_i(n->hit);
  vi wins = inside & ((z > old) | ((z == old) & (hit > old_id)));
  store(depth, select_f(wins, z, old));
  store_i(id, select_i(wins, hit, old_id));
  return wins;
}

/* The same, and finds out how far the farthest sample of the block is now. */
static inline vi keep_nearest_far(void *arg, size_t block, vi inside, vf z, int bx, int by)
{
  const nearest *n = arg;
  vi wins = keep_nearest(arg, block, inside, z, bx, by);
  n->far[block] = least_of(load(n->depth + block * VK_LANES));
  return wins;
}

static inline void fill_hit(vk_hit *h, const octet *o, int lane, const vk_draw_item *item,
                            size_t triangle)
{
  for (size_t k = 0; k < 3; k++) {
    h->vertex[k] = item->corner[k][triangle];
    h->x[k] = o->x[k][lane];
    h->y[k] = o->y[k][lane];
    h->iw[k] = o->iw[k][lane];
  }
  if (o->clip >> lane & 1)
    h->iw[0] = -1;
}

/* Opaque: a hit is kept when it is the nearest somewhere, for now. */
void VK_KERNEL(vk_cover_item)(vk_draw *d, const vk_grid *g, vk_draw_item *item, bool is_opaque)
{
  vk_canvas *c = d->canvas;
  nearest n = {.depth = c->depth, .far = c->far, .id = c->id};
  transform(d, item);
  item->n_hit = 0;
  for (size_t i = 0; i < item->n_triangle; i += VK_LANES) {
    octet o;
    set_up(d, g, item, i, &o);
    for (unsigned bits = o.keep | o.clip; bits; bits &= bits - 1) {
      int lane = __builtin_ctz(bits);
      bool is_seen = true;
      n.hit = item->hit + item->n_hit;
      vk_hit *hit = &c->hit[n.hit];
      if (o.clip >> lane & 1 || !is_opaque) {
        fill_hit(hit, &o, lane, item, i + (size_t)lane);
        is_seen = !is_opaque || cover_hit(d, g, item, hit, keep_nearest, keep_nearest_far, &n);
      } else {
        vk_setup s;
        is_seen =
            pick(g, &o, lane, &s) && cover_setup(g, &s, c->far, keep_nearest, keep_nearest_far, &n);
        if (is_seen)
          fill_hit(hit, &o, lane, item, i + (size_t)lane);
      }
      c->record_of[n.hit] = 0;
      item->n_hit += is_seen;
    }
  }
  d->stats.n_triangle += item->n_triangle;
}
