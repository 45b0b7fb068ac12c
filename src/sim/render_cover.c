/* render_cover.c - vertices to the screen, and which triangle is the nearest at each sample.
 * Compiled once a path. */
#include "sim/kernel_path.h"
#include "sim/render_kernel.h"
#include "sim/render_raster.h"

/* ---- vertices ------------------------------------------------------------------------------ */

static inline vf row_times(const float m[4], vf x, vf y, vf z)
{
  return m[0] * x + m[1] * y + m[2] * z + m[3];
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
    vf out[4] = {(vf)floor_i(select_f(ok, sx * 256.0f + 0.5f, splat(0))),
                 (vf)floor_i(select_f(ok, sy * 256.0f + 0.5f, splat(0))),
                 select_f(ok, iw, splat(-1)), splat(0)};
    untranspose4(out, (float *)(void *)(d->canvas->vertex + i), 4);
  }
}

/* ---- triangles ----------------------------------------------------------------------------- */

/* Eight triangles: bits of those that face the camera and may cover a sample, or must be clipped.
 */
static inline unsigned set_up(const vk_draw *d, const vk_grid *g, const uint32_t *index,
                              size_t stride)
{
  vf c[3][4];
  for (size_t k = 0; k < 3; k++) {
    const float *row[VK_LANES];
    for (size_t i = 0; i < VK_LANES; i++)
      row[i] = (const float *)(const void *)(d->canvas->vertex + index[k * stride + i]);
    transpose4(row, c[k]);
  }
  vi xa = (vi)c[0][0], xb = (vi)c[1][0], xc = (vi)c[2][0];
  vi ya = (vi)c[0][1], yb = (vi)c[1][1], yc = (vi)c[2][1];
  vi must_clip = (vi)c[0][2] | (vi)c[1][2] | (vi)c[2][2];
  vi x0 = min_i(min_i(xa, xb), xc), x1 = max_i(max_i(xa, xb), xc);
  vi y0 = min_i(min_i(ya, yb), yc), y1 = max_i(max_i(ya, yb), yc);
  vi px0 = max_i((x0 + (255 - g->last)) >> 8, splat_i(0));
  vi py0 = max_i((y0 + (255 - g->last)) >> 8, splat_i(0));
  vi px1 = min_i((x1 - g->first) >> 8, splat_i(g->x_max));
  vi py1 = min_i((y1 - g->first) >> 8, splat_i(g->y_max));
  vi dx1 = xb - xa, dy1 = yb - ya, dx2 = xc - xa, dy2 = yc - ya;
  /* Exact for small triangles, which are nearly all; of others what is surely not positive goes. */
  vi is_small = (x1 - x0 <= VK_SMALL) & (y1 - y0 <= VK_SMALL);
  vi area = (vi)((vu)dx1 * (vu)dy2 - (vu)dx2 * (vu)dy1);
  vf p = to_float(dx1) * to_float(dy2), q = to_float(dx2) * to_float(dy1);
  vi faces = select_i(is_small, area > 0, p - q > (abs_f(p) + abs_f(q)) * -1e-6f);
  vi keep = faces & (px0 <= px1) & (py0 <= py1);
  return bits_of(select_i(must_clip < 0, splat_i(-1), keep));
}

typedef struct nearest {
  float *depth;
  uint32_t *id;
  int32_t hit;
} nearest;

static inline bool keep_nearest(void *arg, size_t block, vi inside, vf z, vf x, vf y)
{
  const nearest *n = arg;
  float *depth = n->depth + block * VK_LANES;
  uint32_t *id = n->id + block * VK_LANES;
  vf old = load(depth);
  vi wins = inside & (z >= old);
  if (!bits_of(wins))
    return false;
  store(depth, select_f(wins, z, old));
  store_i(id, select_i(wins, splat_i(n->hit), load_i(id)));
  return true;
}

static vk_hit make_hit(const vk_draw *d, const vk_draw_item *item, size_t triangle)
{
  vk_hit h;
  for (size_t k = 0; k < 3; k++) {
    h.vertex[k] = item->index[k * item->n_triangle_padded + triangle];
    const vk_screen_vertex *v = &d->canvas->vertex[h.vertex[k]];
    h.x[k] = v->x;
    h.y[k] = v->y;
    h.iw[k] = v->iw;
  }
  if (h.iw[1] < 0 || h.iw[2] < 0)
    h.iw[0] = -1;
  return h;
}

/* Opaque: a hit is kept when it is the nearest somewhere, for now. */
void VK_KERNEL(vk_cover_item)(vk_draw *d, const vk_grid *g, vk_draw_item *item, bool is_opaque)
{
  nearest n = {.depth = d->canvas->depth, .id = d->canvas->id};
  transform(d, item);
  item->hit = d->n_hit;
  for (size_t i = 0; i < item->n_triangle; i += VK_LANES) {
    unsigned bits = set_up(d, g, item->index + i, item->n_triangle_padded);
    for (; bits; bits &= bits - 1) {
      size_t triangle = i + (size_t)__builtin_ctz(bits);
      n.hit = d->n_hit;
      vk_hit *hit = &d->canvas->hit[n.hit];
      *hit = make_hit(d, item, triangle);
      d->canvas->record_of[n.hit] = 0;
      if (!is_opaque || cover_hit(d, g, item, hit, keep_nearest, &n))
        d->n_hit++;
    }
  }
  item->n_hit = d->n_hit - item->hit;
  d->stats.n_triangle += item->n_triangle;
}
