#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/standin_internal.h"
#include "sim/turn.h"

enum { SIDE_MAX = 512, STEPS_MAX = 64, TEXT_MAX = 24, OCTAVES_MAX = 4, N_MAX = 200 };

/* A picture while it is drawn, and what the steps have in common. */
typedef struct canvas {
  vk_image *image;
  const char *what;
  double in[4];  /* u0 v0 u1 v1: the part drawn into */
  double rgb[3]; /* colour */
  double alpha;
  int seed;
} canvas;

/* ---- chance --------------------------------------------------------------------------------- */

static uint32_t mix(uint32_t x)
{
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  return x ^ x >> 16;
}

/* In [0, 1), a function of its arguments. */
static double chance(int seed, int x, int y)
{
  const uint32_t h = mix((uint32_t)x + mix((uint32_t)y + mix((uint32_t)seed)));
  return (h >> 8) / 16777216.0;
}

/* Values at the corners of nu x nv cells. */
typedef struct lattice {
  int nu, nv;
  float *value; /* owned */
} lattice;

/* Smooth noise in [0, 1] for u and v in [0, 1), which meets itself at the edges. */
static double noise(const lattice *l, double u, double v)
{
  const double x = u * l->nu, y = v * l->nv;
  const int x0 = (int)x, y0 = (int)y;
  const int x1 = x0 + 1 < l->nu ? x0 + 1 : 0, y1 = y0 + 1 < l->nv ? y0 + 1 : 0;
  const double a = x - x0, b = y - y0;
  const double s = a * a * (3 - 2 * a), t = b * b * (3 - 2 * b);
  const float *upper = l->value + (ptrdiff_t)y0 * l->nu, *lower = l->value + (ptrdiff_t)y1 * l->nu;
  const double top = upper[x0] * (1 - s) + upper[x1] * s;
  const double low = lower[x0] * (1 - s) + lower[x1] * s;
  return top * (1 - t) + low * t;
}

static double clamp01(double x)
{
  return x < 0 ? 0 : x > 1 ? 1 : x;
}

/* ---- pixels --------------------------------------------------------------------------------- */

static void blend(uint8_t *p, const double rgb[3], double alpha)
{
  const double a = clamp01(alpha);
  for (int k = 0; k < 3; k++)
    p[k] = (uint8_t)(p[k] * (1 - a) + 255 * clamp01(rgb[k]) * a + 0.5);
}

/* How much of its colour a step gives to the point (u, v) of the canvas, s and t being 0 to 1
 * within the step's part. */
typedef double (*cover_fn)(const void *how, double s, double t);

static void paint(const canvas *c, cover_fn cover, const void *how)
{
  const int w = c->image->width, h = c->image->height;
  const int x0 = (int)floor(c->in[0] * w + 0.5), x1 = (int)floor(c->in[2] * w + 0.5);
  const int y0 = (int)floor(c->in[1] * h + 0.5), y1 = (int)floor(c->in[3] * h + 0.5);
  for (int y = y0; y < y1; y++)
    for (int x = x0; x < x1; x++) {
      const double s = (x + 0.5 - x0) / (x1 - x0), t = (y + 0.5 - y0) / (y1 - y0);
      const double a = c->alpha * cover(how, s, t);
      if (a > 0)
        blend(c->image->pixel + 3 * ((size_t)y * (size_t)w + (size_t)x), c->rgb, a);
    }
}

/* ---- steps ---------------------------------------------------------------------------------- */

typedef struct step {
  int n, seed, i_across, octaves;
  double cells[2], range[2], share, warp, radius[2], ring, slant, gap[2], shift, size[2];
  const uint8_t *glyphs; /* [n][5]: columns of letters, 7 bits each */
  lattice lattice[OCTAVES_MAX];
  double blob[N_MAX][4]; /* centre, 1 / radius */
} step;

static void set_blobs(step *d)
{
  for (int i = 0; i < d->n; i++) {
    const double k = d->size[0] + (d->size[1] - d->size[0]) * chance(d->seed, i, 2);
    for (int j = 0; j < 2; j++) {
      d->blob[i][j] = chance(d->seed, i, j);
      d->blob[i][2 + j] = 1 / (k * d->radius[j]);
    }
  }
}

static double octaves(const step *d, double u, double v)
{
  double sum = 0, weight = 1, total = 0;
  for (int k = 0; k < d->octaves; k++) {
    sum += weight * noise(&d->lattice[k], u, v);
    total += weight;
    weight *= 0.5;
  }
  return sum / total;
}

static vk_status set_lattices(step *d, const char *what, vk_err *err)
{
  for (int k = 0; k < d->octaves; k++) {
    lattice *l = &d->lattice[k];
    l->nu = (int)d->cells[0] << k;
    l->nv = (int)d->cells[1] << k;
    l->value = malloc((size_t)l->nu * (size_t)l->nv * sizeof *l->value);
    if (!l->value)
      return vk_fail(err, VK_E_NOMEM, "%s: no memory for its cells", what);
    for (int y = 0; y < l->nv; y++)
      for (int x = 0; x < l->nu; x++)
        l->value[y * l->nu + x] = (float)chance(d->seed + k, x, y);
  }
  return VK_OK;
}

static double cover_all(const void *how, double s, double t)
{
  return 1;
}

static double cover_disk(const void *how, double s, double t)
{
  const step *d = how;
  const double x = (s - 0.5) / d->radius[0], y = (t - 0.5) / d->radius[1];
  const double r2 = x * x + y * y;
  return r2 <= 1 && r2 >= d->ring * d->ring;
}

static double cover_stripes(const void *how, double s, double t)
{
  const step *d = how;
  const double a = d->i_across ? t : s, b = d->i_across ? s : t;
  const double x = (a + d->slant * b) * d->n;
  return x - floor(x) < d->share;
}

static double cover_noise(const void *how, double s, double t)
{
  const step *d = how;
  const double x = octaves(d, s, t);
  return clamp01((x - d->range[0]) / (d->range[1] - d->range[0]));
}

/* Lines along s that wander. */
static double cover_grain(const void *how, double s, double t)
{
  const step *d = how;
  const double x = t * d->n + d->warp * octaves(d, s, t);
  const double saw = 2 * fabs(x - floor(x) - 0.5);
  return clamp01((saw - d->range[0]) / (d->range[1] - d->range[0]));
}

/* The tile at (s, t), and where in it. */
static void find_tile(const step *d, double s, double t, int tile[2], double in[2])
{
  const double y = t * d->cells[1], fy = floor(y);
  double x = s * d->cells[0] + d->shift * fy;
  x -= floor(x / d->cells[0]) * d->cells[0];
  const double fx = floor(x);
  tile[0] = (int)fx;
  tile[1] = (int)fy;
  in[0] = x - fx;
  in[1] = y - fy;
}

static double cover_gaps(const void *how, double s, double t)
{
  const step *d = how;
  int tile[2];
  double in[2];
  find_tile(d, s, t, tile, in);
  return in[0] < d->gap[0] || in[1] < d->gap[1];
}

/* Each tile as a whole, by chance. */
static double cover_tiles(const void *how, double s, double t)
{
  const step *d = how;
  int tile[2];
  double in[2];
  find_tile(d, s, t, tile, in);
  return clamp01((chance(d->seed, tile[0], tile[1]) - d->range[0]) / (d->range[1] - d->range[0]));
}

static double cover_blobs(const void *how, double s, double t)
{
  const step *d = how;
  for (int i = 0; i < d->n; i++) {
    double x = s - d->blob[i][0], y = t - d->blob[i][1];
    x = (x - (x > 0.5) + (x < -0.5)) * d->blob[i][2]; /* whole across the edges */
    y = (y - (y > 0.5) + (y < -0.5)) * d->blob[i][3];
    const double r2 = x * x + y * y;
    if (r2 <= 1 && r2 >= d->ring * d->ring)
      return 1;
  }
  return 0;
}

static double cover_text(const void *how, double s, double t)
{
  const step *d = how;
  const int x = (int)(s * (6 * d->n - 1)), y = (int)(t * 7);
  return x % 6 < 5 && d->glyphs[x / 6 * 5 + x % 6] >> y & 1;
}

/* Letters as columns from the left, the upper row in the lowest bit. */
static const uint8_t letters[26][5] = {
    {0x7e, 0x11, 0x11, 0x11, 0x7e}, {0x7f, 0x49, 0x49, 0x49, 0x36}, {0x3e, 0x41, 0x41, 0x41, 0x22},
    {0x7f, 0x41, 0x41, 0x22, 0x1c}, {0x7f, 0x49, 0x49, 0x49, 0x41}, {0x7f, 0x09, 0x09, 0x09, 0x01},
    {0x3e, 0x41, 0x49, 0x49, 0x7a}, {0x7f, 0x08, 0x08, 0x08, 0x7f}, {0x00, 0x41, 0x7f, 0x41, 0x00},
    {0x20, 0x40, 0x41, 0x3f, 0x01}, {0x7f, 0x08, 0x14, 0x22, 0x41}, {0x7f, 0x40, 0x40, 0x40, 0x40},
    {0x7f, 0x02, 0x0c, 0x02, 0x7f}, {0x7f, 0x04, 0x08, 0x10, 0x7f}, {0x3e, 0x41, 0x41, 0x41, 0x3e},
    {0x7f, 0x09, 0x09, 0x09, 0x06}, {0x3e, 0x41, 0x51, 0x21, 0x5e}, {0x7f, 0x09, 0x19, 0x29, 0x46},
    {0x46, 0x49, 0x49, 0x49, 0x31}, {0x01, 0x01, 0x7f, 0x01, 0x01}, {0x3f, 0x40, 0x40, 0x40, 0x3f},
    {0x1f, 0x20, 0x40, 0x20, 0x1f}, {0x3f, 0x40, 0x38, 0x40, 0x3f}, {0x63, 0x14, 0x08, 0x14, 0x63},
    {0x07, 0x08, 0x70, 0x08, 0x07}, {0x61, 0x51, 0x49, 0x45, 0x43}};

static vk_status set_glyphs(const cJSON *o, uint8_t glyphs[TEXT_MAX][5], step *d, const char *what,
                            vk_err *err)
{
  const char *text = NULL;
  VK_TRY(vk_json_get_str(o, "text", &text, what, err));
  const size_t n = strlen(text);
  if (n < 1 || n > TEXT_MAX)
    return vk_fail(err, VK_E_RANGE, "%s: \"text\" must have 1 to %d letters", what, TEXT_MAX);
  memset(glyphs, 0, TEXT_MAX * sizeof *glyphs);
  for (size_t i = 0; i < n; i++) {
    const int c = toupper((unsigned char)text[i]);
    if (c != ' ' && !(c >= 'A' && c <= 'Z'))
      return vk_fail(err, VK_E_FORMAT, "%s: \"text\" may have letters and spaces only", what);
    if (c != ' ')
      memcpy(glyphs[i], letters[c - 'A'], sizeof glyphs[i]);
  }
  d->n = (int)n;
  d->glyphs = glyphs[0];
  return VK_OK;
}

static const char *const step_words[] = {"fill", "disk",  "stripes", "noise", "grain",
                                         "gaps", "tiles", "blobs",   "text",  NULL};
static const cover_fn step_cover[] = {cover_all,   cover_disk,  cover_stripes,
                                      cover_noise, cover_grain, cover_gaps,
                                      cover_tiles, cover_blobs, cover_text};
enum { STEP_NOISE = 3, STEP_GRAIN = 4, STEP_BLOBS = 7, STEP_TEXT = 8 };

static vk_status read_step(const cJSON *o, canvas *c, step *d, vk_err *err)
{
  static const char *const keys[] = {
      "step",  "in",   "rgb",    "alpha", "seed",  "n",   "across", "octaves", "cells", "range",
      "share", "warp", "radius", "ring",  "slant", "gap", "shift",  "size",    "text",  NULL};
  static const char *const axes[] = {"u", "v", NULL};
  const char *what = c->what;
  VK_TRY(vk_json_check_keys(o, keys, what, err));
  VK_TRY(vk_standin_numbers(o, "in", 4, 0, 1, c->in, what, err));
  if (!(c->in[0] < c->in[2] && c->in[1] < c->in[3]))
    return vk_fail(err, VK_E_RANGE, "%s: \"in\" must be left, top, right, bottom", what);
  VK_TRY(vk_standin_numbers(o, "rgb", 3, 0, 1, c->rgb, what, err));
  VK_TRY(vk_standin_number(o, "alpha", 0, 1, &c->alpha, what, err));
  VK_TRY(vk_standin_count(o, "seed", 0, 1000000, &d->seed, what, err));
  VK_TRY(vk_standin_count(o, "n", 1, N_MAX, &d->n, what, err));
  VK_TRY(vk_standin_choice(o, "across", axes, &d->i_across, what, err));
  VK_TRY(vk_standin_count(o, "octaves", 1, OCTAVES_MAX, &d->octaves, what, err));
  VK_TRY(vk_standin_numbers(o, "cells", 2, 1, 256, d->cells, what, err));
  VK_TRY(vk_standin_numbers(o, "range", 2, -4, 4, d->range, what, err));
  if (d->range[0] == d->range[1])
    return vk_fail(err, VK_E_RANGE, "%s: \"range\" must be two different numbers", what);
  VK_TRY(vk_standin_number(o, "share", 0, 1, &d->share, what, err));
  VK_TRY(vk_standin_number(o, "warp", 0, 100, &d->warp, what, err));
  VK_TRY(vk_standin_numbers(o, "radius", 2, 1e-3, 10, d->radius, what, err));
  VK_TRY(vk_standin_number(o, "ring", 0, 1, &d->ring, what, err));
  VK_TRY(vk_standin_number(o, "slant", -10, 10, &d->slant, what, err));
  VK_TRY(vk_standin_numbers(o, "gap", 2, 0, 1, d->gap, what, err));
  VK_TRY(vk_standin_number(o, "shift", 0, 1, &d->shift, what, err));
  return vk_standin_numbers(o, "size", 2, 0.01, 10, d->size, what, err);
}

static vk_status draw_step(vk_image *image, const cJSON *o, const char *what, vk_err *err)
{
  canvas c = {.image = image, .what = what, .in = {0, 0, 1, 1}, .alpha = 1};
  step d = {.n = 8,
            .octaves = 1,
            .cells = {8, 8},
            .range = {0, 1},
            .share = 0.5,
            .warp = 1,
            .radius = {0.5, 0.5},
            .gap = {0.05, 0.05},
            .size = {1, 1}};
  uint8_t glyphs[TEXT_MAX][5];
  int kind = 0;
  if (!cJSON_IsObject(o))
    return vk_fail(err, VK_E_FORMAT, "%s: \"draw\" must hold objects", what);
  VK_TRY(vk_standin_need(o, "step", what, err));
  VK_TRY(vk_standin_choice(o, "step", step_words, &kind, what, err));
  VK_TRY(read_step(o, &c, &d, err));
  if (kind == STEP_TEXT)
    VK_TRY(set_glyphs(o, glyphs, &d, what, err));
  if (kind == STEP_BLOBS)
    set_blobs(&d);
  vk_status st = VK_OK;
  if (kind == STEP_NOISE || kind == STEP_GRAIN)
    st = set_lattices(&d, what, err);
  if (st == VK_OK)
    paint(&c, step_cover[kind], &d);
  for (int k = 0; k < OCTAVES_MAX; k++)
    free(d.lattice[k].value);
  return st;
}

vk_status vk_standin_draw(vk_image *image, const cJSON *entry, const char *what, vk_err *err)
{
  static const char *const keys[] = {"size", "rgb", "draw", NULL};
  double size[2] = {64, 64}, rgb[3] = {1, 1, 1};
  VK_TRY(vk_json_check_keys(entry, keys, what, err));
  VK_TRY(vk_standin_numbers(entry, "size", 2, 1, SIDE_MAX, size, what, err));
  VK_TRY(vk_standin_numbers(entry, "rgb", 3, 0, 1, rgb, what, err));
  const cJSON *draw = vk_standin_member(entry, "draw"), *o;
  if (draw && !(cJSON_IsArray(draw) && cJSON_GetArraySize(draw) <= STEPS_MAX))
    return vk_fail(err, VK_E_FORMAT, "%s: \"draw\" must be at most %d steps in brackets", what,
                   STEPS_MAX);
  *image = (vk_image){.width = (int)size[0], .height = (int)size[1], .n_channel = 3};
  const size_t n = (size_t)image->width * (size_t)image->height;
  image->pixel = calloc(n, 3);
  if (!image->pixel)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for its picture", what);
  for (size_t i = 0; i < n; i++)
    blend(image->pixel + 3 * i, rgb, 1);
  cJSON_ArrayForEach(o, draw)
  {
    VK_TRY(draw_step(image, o, what, err));
  }
  return VK_OK;
}
