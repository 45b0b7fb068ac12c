/* render_shade.c - colour of what is seen: interpolation and textures. Compiled once a path.
 *
 * Filtering is OpenGL's trilinear one, with weights of 8 bits: of the four texels of a level a
 * colour of 8 bits, of the two levels one of 16. */
#include "core/kernel_path.h"
#include "sim/render_kernel.h"

/* Eight records side by side: their floats, a vector each. */
typedef struct lanes {
  vf at[28];
} lanes;

/* Where a record's members begin. */
enum { BASE = 0, GX = 8, GY = 16, REF_X = 24, REF_Y, TEXEL, SHAPE };
_Static_assert(offsetof(vk_record, gx) == 4 * GX && offsetof(vk_record, gy) == 4 * GY &&
                   offsetof(vk_record, ref_x) == 4 * REF_X &&
                   offsetof(vk_record, shape) == 4 * SHAPE,
               "records are arrays of 4 bytes");

static inline void load_lanes(const vk_draw *d, vi record, bool is_one, lanes *l)
{
  int32_t index[VK_LANES];
  const float *row[VK_LANES];
  store_i(index, record);
  for (int i = 0; i < VK_LANES; i++)
    row[i] = (const float *)(const void *)&d->canvas->record[index[i]];
  if (is_one)
    for (int k = 0; k < 28; k++)
      l->at[k] = splat(row[0][k]);
  else
    for (int k = 0; k < 28; k += 4) {
      transpose4(row, l->at + k);
      for (int i = 0; i < VK_LANES; i++)
        row[i] += 4;
    }
}

/* ---- textures ------------------------------------------------------------------------------ */

/* Where lanes look into textures. */
typedef struct look_up {
  vi log_w, log_h; /* of the first level */
  vi texel;        /* of the first level */
  vi is_cube, face;
  bool any_cube;
  vf s, t;           /* in [0, 1] */
  vf sx, sy, tx, ty; /* what they change by a pixel to the right and up */
} look_up;

/* 2^i as a float */
static inline vf power(vi i)
{
  return (vf)((i + 127) << 23);
}

/* Texels of the levels before `level`, of a texture of 2^w x 2^h: while both sides are longer than
 * 1, levels shrink by 4, then by 2. */
static inline vi texels_before(vi w, vi h, vi level)
{
  vi short_side = min_i(w, h), long_side = max_i(w, h);
  vi both = min_i(level, short_side);
  vu whole = splat_u(1) << (vu)(w + h);
  vu n = (whole - (whole >> (vu)(2 * both))) * 4u * 0xaaaaaaabu; /* 1/3 modulo 2^32 */
  vu rest = 2u * ((splat_u(1) << (vu)(long_side - both)) -
                  (splat_u(1) << (vu)max_i(long_side - level, splat_i(0))));
  return (vi)n + select_i(level > short_side, (vi)rest, splat_i(0));
}

/* a + (b - a) w / 256 of bytes in 16 bits */
static inline vh mix(vh a, vh b, vh w)
{
  return (a * ((vh){0} + 256 - w) + b * w + 128) >> 8;
}

/* 16 bits of weight twice in a lane. */
static inline vh twice(vi w)
{
  return (vh)(w | w << 16);
}

/* A level of lanes' textures. */
typedef struct level {
  vi log_w, log_h, first; /* first: its first texel */
} level;

/* Bilinear: red and blue, green and alpha, in halves of lanes. (That pairs of texels are loaded may
 * reach one texel beyond the last one, where visuals have other sections.) */
static inline void sample_level(const vk_draw *d, const look_up *u, const level *l, vh out[2])
{
  vf w = power(l->log_w), h = power(l->log_h);
  vi last_x = to_int(w) - 1, last_y = to_int(h) - 1, first = l->first;
  vf x = u->s * w - 0.5f, y = u->t * h - 0.5f;
  vi x0 = floor_i(x), y0 = floor_i(y);
  vh wx = twice(to_int((x - to_float(x0)) * 256.0f)),
     wy = twice(to_int((y - to_float(y0)) * 256.0f));
  vi x1 = x0 + 1, y1 = y0 + 1;
  if (u->any_cube) {
    vi zero = splat_i(0), side2 = (last_x + 1) * (last_x + 1);
    x0 = select_i(u->is_cube, max_i(x0, zero), x0);
    y0 = select_i(u->is_cube, max_i(y0, zero), y0);
    x1 = select_i(u->is_cube, min_i(x1, last_x), x1);
    y1 = select_i(u->is_cube, min_i(y1, last_y), y1);
    first += u->face * side2;
  }
  x0 &= last_x;
  x1 &= last_x;
  vi row0 = first + ((y0 & last_y) << (vi)l->log_w), row1 = first + ((y1 & last_y) << (vi)l->log_w);
  const uint32_t *texel = d->visuals->texel;
  vu top[2], bottom[2];
  gather_pairs(texel, row0 + x0, top);
  gather_pairs(texel, row1 + x0, bottom);
  if (bits_of(x1 != x0 + 1)) { /* over the seam */
    top[1] = gather(texel, row0 + x1);
    bottom[1] = gather(texel, row1 + x1);
  }
  for (int k = 0; k < 2; k++) {
    vh a = (vh)(top[0] >> (8 * k) & 0xff00ffu), b = (vh)(top[1] >> (8 * k) & 0xff00ffu);
    vh c = (vh)(bottom[0] >> (8 * k) & 0xff00ffu), e = (vh)(bottom[1] >> (8 * k) & 0xff00ffu);
    out[k] = mix(mix(a, b, wx), mix(c, e, wx), wy);
  }
}

/* Colours times 256, in halves of lanes. */
static inline void sample(const vk_draw *d, const look_up *u, vh out[2])
{
  vf w = power(u->log_w), h = power(u->log_h);
  vf ax = u->sx * w, ay = u->sy * w, bx = u->tx * h, by = u->ty * h;
  vf rho2 = max_f(ax * ax + bx * bx, ay * ay + by * by);
  vf at = 0.5f * log2_rough(max_f(rho2, splat(1e-12f)));
  vi last = max_i(u->log_w, u->log_h);
  at = min_f(max_f(at, splat(0)), to_float(last));
  vi l0 = min_i(to_int(at), max_i(last - 1, splat_i(0)));
  vi n_face = splat_i(1);
  if (u->any_cube)
    n_face = select_i(u->is_cube, splat_i(6), n_face);
  level l = {.log_w = max_i(u->log_w - l0, splat_i(0)), .log_h = max_i(u->log_h - l0, splat_i(0))};
  l.first = u->texel + n_face * texels_before(u->log_w, u->log_h, l0);
  sample_level(d, u, &l, out);
  vi weight = to_int((at - to_float(l0)) * 256.0f);
  if (!bits_of(weight > 0)) { /* no lane is between levels */
    out[0] = out[0] << 8;
    out[1] = out[1] << 8;
    return;
  }
  l.first += select_i(l0 < last, n_face << (l.log_w + l.log_h), splat_i(0));
  l.log_w = max_i(l.log_w - 1, splat_i(0));
  l.log_h = max_i(l.log_h - 1, splat_i(0));
  vh next[2], wl = twice(weight);
  sample_level(d, u, &l, next);
  for (int k = 0; k < 2; k++)
    out[k] = out[k] * ((vh){0} + 256 - wl) + next[k] * wl;
}

/* Which face of a cube the direction a meets, and where (OpenGL 4.6, table 8.19). ax, ay: what the
 * direction changes by a pixel. */
static inline void look_into_cube(look_up *u, const vf a[3], const vf ax[3], const vf ay[3])
{
  vf abs[3] = {abs_f(a[0]), abs_f(a[1]), abs_f(a[2])};
  vi is_x = (abs[0] >= abs[1]) & (abs[0] >= abs[2]);
  vi is_y = ~is_x & (abs[1] >= abs[2]);
  vf major = select_f(is_x, a[0], select_f(is_y, a[1], a[2]));
  vi is_minus = (vi)major < 0, sign = is_minus & INT32_MIN;
  /* s: -z x x, the first and the last with the sign of the major axis; t: -y z -y, the middle one
   * with its sign. */
  vi flip_s = select_i(is_x, ~sign & INT32_MIN, select_i(is_y, splat_i(0), sign));
  vi flip_t = select_i(is_y, sign, splat_i(INT32_MIN));
  vf inv = 1.0f / max_f(abs_f(major), splat(1e-30f));
  vf sc[3], tc[3], m[3];
  const vf *from[3] = {a, ax, ay};
  for (int k = 0; k < 3; k++) {
    const vf *f = from[k];
    sc[k] = (vf)((vi)select_f(is_x, f[2], f[0]) ^ flip_s);
    tc[k] = (vf)((vi)select_f(is_y, f[2], f[1]) ^ flip_t);
    m[k] = (vf)((vi)select_f(is_x, f[0], select_f(is_y, f[1], f[2])) ^ sign);
  }
  vf s = sc[0] * inv, t = tc[0] * inv, half = 0.5f * inv;
  vi cube = u->is_cube;
  u->s = select_f(cube, clamp_f(0.5f * s + 0.5f, 0, 1), u->s);
  u->t = select_f(cube, clamp_f(0.5f * t + 0.5f, 0, 1), u->t);
  u->sx = select_f(cube, (sc[1] - s * m[1]) * half, u->sx);
  u->sy = select_f(cube, (sc[2] - s * m[2]) * half, u->sy);
  u->tx = select_f(cube, (tc[1] - t * m[1]) * half, u->tx);
  u->ty = select_f(cube, (tc[2] - t * m[2]) * half, u->ty);
  u->face = cube & (select_i(is_x, splat_i(0), select_i(is_y, splat_i(2), splat_i(4))) - is_minus);
}

/* x - floor(x), in [0, 1] for any x */
static inline vf fraction(vf x)
{
  x = clamp_f(x, -1e6f, 1e6f);
  return x - to_float(floor_i(x));
}

/* Colours times 256 of lanes at value[4..6] of u, v, w. */
static inline void sample_lanes(const vk_draw *d, const lanes *l, vi shape, const vf value[8],
                                vf depth, vh out[2])
{
  look_up u = {.log_w = shape & 0xff,
               .log_h = (shape >> VK_SHAPE_HEIGHT) & 0xff,
               .texel = (vi)l->at[TEXEL],
               .is_cube = (shape & VK_SHAPE_CUBE) != 0};
  u.any_cube = bits_of(u.is_cube) != 0;
  vf gx[3], gy[3];
  for (int k = 0; k < 2 + u.any_cube; k++) {
    gx[k] = (l->at[GX + 4 + k] - value[4 + k] * l->at[GX]) * depth;
    gy[k] = (l->at[GY + 4 + k] - value[4 + k] * l->at[GY]) * depth;
  }
  u.s = fraction(value[4]);
  u.t = fraction(value[5]);
  u.sx = gx[0];
  u.sy = gy[0];
  u.tx = gx[1];
  u.ty = gy[1];
  if (u.any_cube)
    look_into_cube(&u, value + 4, gx, gy);
  sample(d, &u, out);
  vi has = (shape & VK_SHAPE_TEXTURE) != 0;
  if (bits_of(has) != 0xff)
    for (int k = 0; k < 2; k++)
      out[k] = (vh)select_i(has, (vi)out[k], (vi)((vh){0} + 65280));
}

/* ---- colours ------------------------------------------------------------------------------- */

/* colour 0 to 255 times texel 0 to 65280, rounded */
static inline vi modulate(vf colour, vi texel)
{
  return to_int(clamp_f(colour, 0, 255) * to_float(texel) * (1.0f / 65280) + 0.5f);
}

vu VK_KERNEL(vk_shade_lanes)(const vk_draw *d, vi record, bool is_one, vf x, vf y)
{
  lanes l;
  load_lanes(d, record, is_one, &l);
  vf dx = x - l.at[REF_X], dy = y - l.at[REF_Y], value[8];
  vf depth = 1.0f / max_f(l.at[BASE] + (l.at[GX] * dx + l.at[GY] * dy), splat(1e-30f));
  vi shape = (vi)l.at[SHAPE];
  bool has_texture = bits_of((shape & VK_SHAPE_TEXTURE) != 0) != 0;
  for (int k = 1; k < (has_texture ? 7 : 4); k++)
    value[k] = (l.at[BASE + k] + (l.at[GX + k] * dx + l.at[GY + k] * dy)) * depth;
  vh texel[2] = {(vh){0} + 65280, (vh){0} + 65280};
  if (has_texture)
    sample_lanes(d, &l, shape, value, depth, texel);
  vi red = modulate(value[1], (vi)texel[0] & 0xffff);
  vi green = modulate(value[2], (vi)texel[1] & 0xffff);
  vi blue = modulate(value[3], (vi)((vu)texel[0] >> 16));
  return (vu)(red | green << 8 | blue << 16) | 0xff000000u;
}

static inline bool are_equal(vi a)
{
  return bits_of(a == splat_i(a[0])) == 0xff;
}

static void shade_single(vk_draw *d, const vk_grid *g)
{
  const vk_canvas *c = d->canvas;
  for (int by = g->py0 >> g->shift_y; by <= g->py1 >> g->shift_y; by++)
    for (int bx = g->px0 >> g->shift_x; bx <= g->px1 >> g->shift_x; bx++) {
      size_t at = ((size_t)by * (size_t)d->n_block_x + (size_t)bx) * VK_LANES;
      vi id = load_i(c->id + at);
      bool is_one = are_equal(id);
      vi record = is_one ? splat_i((int32_t)c->record_of[id[0]]) : (vi)gather(c->record_of, id);
      vf x, y;
      centres_of(g, bx, by, &x, &y);
      vu colour = VK_KERNEL(vk_shade_lanes)(d, record, is_one, x, y);
      store_i(c->colour + at, (vi)colour);
    }
}

/* ---- four samples -------------------------------------------------------------------------- */

/* Pixels and the triangles in them: each is shaded once, at the pixel's centre, as OpenGL does. */
typedef struct queue {
  int n;
  int32_t record[VK_LANES];
  float x[VK_LANES], y[VK_LANES];
  uint32_t *to[VK_LANES]; /* the pixel's four samples */
  unsigned samples[VK_LANES];
} queue;

static void flush(const vk_draw *d, queue *q)
{
  if (!q->n)
    return;
  for (int i = q->n; i < VK_LANES; i++) {
    q->record[i] = q->record[0];
    q->x[i] = q->x[0];
    q->y[i] = q->y[0];
  }
  vi record = load_i(q->record);
  uint32_t colour[VK_LANES];
  store_i(colour,
          (vi)VK_KERNEL(vk_shade_lanes)(d, record, are_equal(record), load(q->x), load(q->y)));
  for (int i = 0; i < q->n; i++)
    for (int s = 0; s < 4; s++)
      if (q->samples[i] >> s & 1)
        q->to[i][s] = colour[i];
  q->n = 0;
}

static void push(const vk_draw *d, queue *q, uint32_t id, int px, int py, uint32_t *to,
                 unsigned samples)
{
  int i = q->n++;
  q->record[i] = (int32_t)d->canvas->record_of[id];
  q->x[i] = (float)px + 0.5f;
  q->y[i] = (float)py + 0.5f;
  q->to[i] = to;
  q->samples[i] = samples;
  if (q->n == VK_LANES)
    flush(d, q);
}

static void shade_multi(vk_draw *d)
{
  const vk_canvas *c = d->canvas;
  queue q = {0};
  for (int py = d->py0; py <= d->py1; py++)
    for (int px = d->px0; px <= d->px1; px++) {
      size_t at = ((size_t)py * (size_t)d->n_block_x * 2 + (size_t)px) * 4;
      const uint32_t *id = c->id + at;
      for (unsigned left = 0xf; left;) {
        unsigned samples = 0;
        uint32_t first = id[__builtin_ctz(left)];
        for (unsigned s = 0; s < 4; s++)
          samples |= (unsigned)(id[s] == first) << s;
        push(d, &q, first, px, py, c->colour + at, samples);
        left &= ~samples;
      }
    }
  flush(d, &q);
}

void VK_KERNEL(vk_shade_picture)(vk_draw *d, const vk_grid *g)
{
  if (d->n_sample == 1)
    shade_single(d, g);
  else
    shade_multi(d);
}
