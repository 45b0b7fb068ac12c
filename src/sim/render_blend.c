/* render_blend.c - the whole of a picture's drawing, transparent meshes, and samples to pixels.
 * Compiled once a path. */
#include "core/kernel_path.h"
#include "sim/render_kernel.h"

/* ---- transparent --------------------------------------------------------------------------- */

typedef struct veil {
  const vk_draw *d;
  const vk_grid *g;
  vi record;
  float alpha;
} veil;

/* a + (b - a) alpha of bytes, rounded */
static inline vi mix(vi a, vi b, float alpha)
{
  return to_int(to_float(a) * (1 - alpha) + to_float(b) * alpha + 0.5f);
}

static inline vi blend_block(void *arg, size_t block, vi inside, vf z, int bx, int by)
{
  const veil *v = arg;
  const vk_draw *d = v->d;
  vi seen = inside & (z >= load(d->canvas->depth + block * VK_LANES));
  if (!bits_of(seen))
    return seen;
  vf x, y;
  centres_of(v->g, bx, by, &x, &y);
  uint32_t *to = d->canvas->colour + block * VK_LANES;
  vi old = load_i(to), new = (vi)VK_KERNEL(vk_shade_lanes)(d, v->record, true, x, y);
  vi out = splat_i((int32_t)0xff000000);
  for (int k = 0; k < 24; k += 8)
    out |= mix(old >> k & 0xff, new >> k & 0xff, v->alpha) << k;
  store_i(to, select_i(seen, out, old));
  return seen;
}

static void blend_item(vk_draw *d, const vk_grid *g, const vk_draw_item *item)
{
  veil v = {.d = d, .g = g, .alpha = item->material->rgba[3]};
  v.alpha = v.alpha > 0 ? (v.alpha < 1 ? v.alpha : 1) : 0;
  for (int i = item->hit; i < item->hit + item->n_hit; i++) {
    v.record = splat_i((int32_t)d->canvas->record_of[i]);
    cover_hit(d, g, item, &d->canvas->hit[i], blend_block, blend_block, &v);
  }
}

/* As MuJoCo does: from near to far, and once more from far to near. */
static void blend(vk_draw *d, const vk_grid *g)
{
  vk_draw_item *item = d->canvas->item;
  for (int i = d->n_opaque; i < d->n_item; i++) {
    VK_KERNEL(vk_cover_item)(d, g, &item[i], false);
    VK_KERNEL(vk_light_item)(d, &item[i], true);
  }
  for (int i = d->n_opaque; i < d->n_item; i++)
    blend_item(d, g, &item[i]);
  for (int i = d->n_item - 1; i >= d->n_opaque; i--)
    blend_item(d, g, &item[i]);
}

/* ---- pixels -------------------------------------------------------------------------------- */

static inline uint32_t mean4(const uint32_t c[4])
{
  uint32_t even = 0x00020002, odd = 0x00020002;
  for (int s = 0; s < 4; s++) {
    even += c[s] & 0xff00ff;
    odd += c[s] >> 8 & 0xff00ff;
  }
  return (even >> 2 & 0xff00ff) | (odd >> 2 & 0xff00ff) << 8;
}

static void write_pixels(const vk_draw *d)
{
  bool is_single = d->n_sample == 1, mirrored = d->turn == VK_TURN_ROTATE_180;
  size_t per_row = (size_t)d->n_block_x * VK_LANES;
  for (int y = 0; y < d->height; y++) {
    int row = d->turn == VK_TURN_GL ? y : d->height - 1 - y;
    uint8_t *out = d->pixel + (size_t)row * d->row_bytes;
    ptrdiff_t step = 3;
    if (mirrored) {
      out += 3 * (d->width - 1);
      step = -3;
    }
    const uint32_t *in = d->canvas->colour + (size_t)(is_single ? y / 2 : y) * per_row;
    for (int x = 0; x < d->width; x++, out += step) {
      uint32_t c = is_single ? in[(x >> 2) * VK_LANES + (y & 1) * 4 + (x & 3)] : mean4(in + 4 * x);
      out[0] = (uint8_t)c;
      out[1] = (uint8_t)(c >> 8);
      out[2] = (uint8_t)(c >> 16);
    }
  }
}

/* ---- the picture --------------------------------------------------------------------------- */

/* First block of a row that is drawn, and how many samples from there. */
static size_t row_of(const vk_draw *d, const vk_grid *g, int by, size_t *n)
{
  int first = g->px0 >> g->shift_x, last = g->px1 >> g->shift_x;
  *n = (size_t)(last - first + 1) * VK_LANES;
  return ((size_t)by * (size_t)d->n_block_x + (size_t)first) * VK_LANES;
}

static void clear(vk_draw *d, const vk_grid *g)
{
  vk_canvas *c = d->canvas;
  for (int by = g->py0 >> g->shift_y; by <= g->py1 >> g->shift_y; by++) {
    size_t n, at = row_of(d, g, by, &n);
    memset(c->depth + at, 0, n * sizeof *c->depth);
    memset(c->id + at, 0, n * sizeof *c->id);
    memset(c->far + at / VK_LANES, 0, n / VK_LANES * sizeof *c->far);
  }
}

/* Marks the hits that are seen. */
static void mark_seen(vk_draw *d, const vk_grid *g)
{
  const vk_canvas *c = d->canvas;
  for (int by = g->py0 >> g->shift_y; by <= g->py1 >> g->shift_y; by++) {
    size_t n, at = row_of(d, g, by, &n);
    for (size_t i = at; i < at + n; i++)
      c->record_of[c->id[i]] = 1;
  }
}

static void draw_opaque(vk_draw *d, const vk_grid *g)
{
  vk_canvas *c = d->canvas;
  clear(d, g);
  c->record_of[0] = 0;
  for (int i = 0; i < d->n_opaque; i++)
    VK_KERNEL(vk_cover_item)(d, g, &c->item[i], true);
  mark_seen(d, g);
  VK_KERNEL(vk_light_sky)(d);
  for (int i = 0; i < d->n_opaque; i++)
    VK_KERNEL(vk_light_item)(d, &c->item[i], false);
  VK_KERNEL(vk_shade_picture)(d, g);
  d->stats.n_drawn += d->n_record - 2;
}

/* Ids become 1 where the face that reflects is seen, else 0. True: somewhere it is. */
static bool find_face(vk_draw *d, const vk_grid *g)
{
  const vk_canvas *c = d->canvas;
  bool any = false;
  for (int by = g->py0 >> g->shift_y; by <= g->py1 >> g->shift_y; by++) {
    size_t n, at = row_of(d, g, by, &n);
    for (size_t i = at; i < at + n; i++) {
      c->id[i] = c->record[c->record_of[c->id[i]]].is_mirror;
      any |= c->id[i] != 0;
    }
  }
  return any;
}

/* a + b of each byte, at most 255 */
static inline uint32_t add_colours(uint32_t a, uint32_t b)
{
  uint32_t sum = 0;
  for (int k = 0; k < 32; k += 8) {
    uint32_t s = (a >> k & 255) + (b >> k & 255);
    sum |= (s > 255 ? 255 : s) << k;
  }
  return sum;
}

/* What the face reflects is added to it, as MuJoCo does. */
static void reflect(vk_draw *d, vk_draw *mirror)
{
  vk_canvas *c = d->canvas, reflected = *c;
  const vk_grid g = grid_of(mirror);
  if (!c->item[d->mirror].n_hit || !find_face(d, &g))
    return;
  reflected.depth = c->mirror_depth;
  reflected.id = c->mirror_id;
  reflected.colour = c->mirror_colour;
  reflected.far = c->mirror_far;
  reflected.item = c->mirror_item;
  mirror->canvas = &reflected;
  draw_opaque(mirror, &g);
  c->stamp = reflected.stamp;
  for (int by = g.py0 >> g.shift_y; by <= g.py1 >> g.shift_y; by++) {
    size_t n, at = row_of(d, &g, by, &n);
    for (size_t i = at; i < at + n; i++)
      if (c->id[i])
        c->colour[i] = add_colours(c->colour[i], reflected.colour[i]);
  }
}

void VK_KERNEL(vk_draw_picture)(vk_draw *d, vk_draw *mirror)
{
  const vk_grid g = grid_of(d);
  draw_opaque(d, &g);
  if (mirror)
    reflect(d, mirror);
  blend(d, &g);
  write_pixels(d);
}
