#include "sim/visuals_write.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void vk_visuals_builder_fini(vk_visuals_builder *b)
{
#define X(member, type) free(b->member);
  VK_VISUALS_ITEM_SECTIONS(X)
#undef X
  vk_text_table_fini(&b->text);
  memset(b, 0, sizeof *b);
}

#define X(member, type)                                                                            \
  uint32_t vk_visuals_put_##member(vk_visuals_builder *b, const type *items, size_t n)             \
  {                                                                                                \
    return vk_section_put((void **)&b->member, &b->n_##member, &b->room_##member, items, n,        \
                          sizeof(type), &b->failed);                                               \
  }
VK_VISUALS_ITEM_SECTIONS(X)
#undef X

uint32_t vk_visuals_put_text(vk_visuals_builder *b, const char *text)
{
  return vk_text_put(&b->text, text, &b->failed);
}

/* ---- meshes --------------------------------------------------------------------------------- */

/* A sphere about the box of all vertices. */
static void bound(vk_visuals_mesh *out, const vk_mesh *level, int n_level)
{
  float lo[3], hi[3];
  for (int k = 0; k < 3; k++)
    lo[k] = hi[k] = level->vertex[0].p[k];
  for (int i = 0; i < n_level; i++)
    for (uint32_t v = 0; v < level[i].n_vertex; v++)
      for (int k = 0; k < 3; k++) {
        lo[k] = fminf(lo[k], level[i].vertex[v].p[k]);
        hi[k] = fmaxf(hi[k], level[i].vertex[v].p[k]);
      }
  for (int k = 0; k < 3; k++)
    out->centre_m[k] = 0.5f * lo[k] + 0.5f * hi[k];
  double r2 = 0;
  for (int i = 0; i < n_level; i++)
    for (uint32_t v = 0; v < level[i].n_vertex; v++) {
      double s = 0;
      for (int k = 0; k < 3; k++) {
        double d = (double)level[i].vertex[v].p[k] - out->centre_m[k];
        s += d * d;
      }
      r2 = fmax(r2, s);
    }
  out->radius_m = (float)(sqrt(r2) * (1 + 1e-6));
}

static void put_level(vk_visuals_builder *b, const vk_mesh *mesh, float error_m)
{
  uint32_t n_vertex = vk_visuals_padded(mesh->n_vertex);
  uint32_t n_triangle = vk_visuals_padded(mesh->n_triangle);
  vk_visuals_level level = {
      .n_vertex = mesh->n_vertex, .n_triangle = mesh->n_triangle, .error_m = error_m};
  level.first_f32 = vk_visuals_put_f32(b, NULL, (size_t)VK_STREAM_N * n_vertex);
  level.first_index = vk_visuals_put_index(b, NULL, (size_t)3 * n_triangle);
  if (b->failed)
    return;
  float *f = b->f32 + level.first_f32;
  for (uint32_t i = 0; i < mesh->n_vertex; i++) {
    const vk_vertex *v = &mesh->vertex[i];
    for (int k = 0; k < 3; k++) {
      f[(size_t)(VK_STREAM_X + k) * n_vertex + i] = v->p[k];
      f[(size_t)(VK_STREAM_NX + k) * n_vertex + i] = v->n[k];
      f[(size_t)(VK_STREAM_U + k) * n_vertex + i] = v->t[k];
    }
  }
  uint32_t *index = b->index + level.first_index;
  for (uint32_t i = 0; i < mesh->n_triangle; i++)
    for (uint32_t c = 0; c < 3; c++)
      index[c * n_triangle + i] = mesh->index[3 * i + c];
  vk_visuals_put_level(b, &level, 1);
}

uint32_t vk_visuals_put_levels(vk_visuals_builder *b, const char *name, const vk_mesh *level,
                               const float *error_m, int n_level)
{
  VK_ASSERT(n_level >= 1 && n_level <= VK_MESH_LEVELS_MAX);
  vk_visuals_mesh mesh = {.name = vk_visuals_put_text(b, name),
                          .level = (uint32_t)b->n_level,
                          .n_level = (uint32_t)n_level};
  for (int i = 0; i < n_level; i++) {
    VK_ASSERT(level[i].n_vertex > 0 && level[i].n_triangle > 0);
    put_level(b, &level[i], error_m[i]);
  }
  bound(&mesh, level, n_level);
  return vk_visuals_put_mesh(b, &mesh, 1);
}

/* ---- textures ------------------------------------------------------------------------------- */

/* A picture while it is resampled: four bytes a texel. */
typedef struct raster {
  int width, height;
  uint32_t *texel; /* owned */
} raster;

static raster raster_new(vk_visuals_builder *b, int width, int height)
{
  raster r = {width, height, malloc((size_t)width * (size_t)height * sizeof *r.texel)};
  b->failed = b->failed || !r.texel;
  return r;
}

static raster raster_of(vk_visuals_builder *b, const vk_image *picture)
{
  raster r = raster_new(b, picture->width, picture->height);
  size_t n = (size_t)r.width * (size_t)r.height;
  for (size_t i = 0; r.texel && i < n; i++) {
    const uint8_t *p = picture->pixel + i * (size_t)picture->n_channel;
    bool is_gray = picture->n_channel < 3;
    r.texel[i] = (uint32_t)p[0] | (uint32_t)p[is_gray ? 0 : 1] << 8 |
                 (uint32_t)p[is_gray ? 0 : 2] << 16 | 0xff000000u;
  }
  return r;
}

/* The power of two that is nearest in proportion, at most side_max. */
static int power_of_two(int side, int side_max)
{
  int p = 1;
  while (2 * p <= side_max && (double)side / p > 1.41421356)
    p *= 2;
  return p;
}

/* The mean of source columns (or rows) that fall on each of n new ones: weights of an area filter;
 * when the source is the smaller one, linear interpolation between centres. */
static void filter_span(double at, double width, int n_source, int *first, int *last,
                        double lo_hi[2])
{
  lo_hi[0] = at;
  lo_hi[1] = at + width;
  *first = (int)floor(at);
  *last = (int)ceil(at + width) - 1;
  if (*last >= n_source)
    *last = n_source - 1;
  if (*first > *last)
    *first = *last;
}

/* Two by two texels become one: what the area filter below does, sooner. */
static void halve(raster *to, const raster *from)
{
  for (int y = 0; y < to->height; y++)
    for (int x = 0; x < to->width; x++) {
      const uint32_t *p = from->texel + (size_t)2 * (size_t)y * (size_t)from->width + 2 * x;
      const uint32_t *q = p + from->width;
      uint32_t t = 0xff000000u;
      for (int k = 0; k < 24; k += 8)
        t |= ((p[0] >> k & 255) + (p[1] >> k & 255) + (q[0] >> k & 255) + (q[1] >> k & 255) + 2) / 4
             << k;
      to->texel[(size_t)y * (size_t)to->width + (size_t)x] = t;
    }
}

/* Area filter to width x height, both at most the source's or the source's own. */
static raster resample(vk_visuals_builder *b, const raster *from, int width, int height)
{
  raster to = raster_new(b, width, height);
  if (!to.texel || !from->texel)
    return to;
  if (from->width == 2 * width && from->height == 2 * height) {
    halve(&to, from);
    return to;
  }
  if (from->width == width && from->height == height) {
    memcpy(to.texel, from->texel, (size_t)width * (size_t)height * sizeof *to.texel);
    return to;
  }
  double sx = (double)from->width / width, sy = (double)from->height / height;
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++) {
      int x0, x1, y0, y1;
      double ex[2], ey[2], sum[3] = {0}, total = 0;
      filter_span(x * sx, sx, from->width, &x0, &x1, ex);
      filter_span(y * sy, sy, from->height, &y0, &y1, ey);
      for (int j = y0; j <= y1; j++)
        for (int i = x0; i <= x1; i++) {
          double w = (fmin(ex[1], i + 1) - fmax(ex[0], i)) * (fmin(ey[1], j + 1) - fmax(ey[0], j));
          uint32_t t = from->texel[(size_t)j * (size_t)from->width + (size_t)i];
          for (int k = 0; k < 3; k++)
            sum[k] += w * (double)(t >> (8 * k) & 255);
          total += w;
        }
      uint32_t t = 0xff000000u;
      for (int k = 0; k < 3; k++)
        t |= (uint32_t)(sum[k] / total + 0.5) << (8 * k);
      to.texel[(size_t)y * (size_t)width + (size_t)x] = t;
    }
  return to;
}

/* The next level of a texture of any size as OpenGL's drivers make it: half as large, rounded down,
 * each texel interpolated where its centre lies. Of odd sizes it is not the mean. */
static void shrink(vk_visuals_builder *b, raster *r)
{
  int width = r->width > 1 ? r->width / 2 : 1, height = r->height > 1 ? r->height / 2 : 1;
  if (r->width == 2 * width && r->height == 2 * height) {
    raster half = resample(b, r, width, height);
    free(r->texel);
    *r = half;
    return;
  }
  raster to = raster_new(b, width, height);
  for (int y = 0; y < height && to.texel && r->texel; y++)
    for (int x = 0; x < width; x++) {
      double at[2] = {(x + 0.5) * r->width / width - 0.5, (y + 0.5) * r->height / height - 0.5};
      int x0 = (int)at[0], y0 = (int)at[1];
      int x1 = x0 + 1 < r->width ? x0 + 1 : x0, y1 = y0 + 1 < r->height ? y0 + 1 : y0;
      double wx = at[0] - x0, wy = at[1] - y0;
      const uint32_t *p = r->texel + (size_t)y0 * (size_t)r->width;
      const uint32_t *q = r->texel + (size_t)y1 * (size_t)r->width;
      uint32_t t = 0xff000000u;
      for (int k = 0; k < 24; k += 8) {
        double lo = (1 - wx) * (p[x0] >> k & 255) + wx * (p[x1] >> k & 255);
        double hi = (1 - wx) * (q[x0] >> k & 255) + wx * (q[x1] >> k & 255);
        t |= (uint32_t)((1 - wy) * lo + wy * hi + 0.5) << k;
      }
      to.texel[(size_t)y * (size_t)width + (size_t)x] = t;
    }
  free(r->texel);
  *r = to;
}

/* Shrinks a picture until it is nearest in size to a level; the first level loses no detail that it
 * has room for. */
static raster level_of(vk_visuals_builder *b, raster *picture, int width, int height, bool is_first)
{
  double ratio = is_first ? 2 : 1.41421356;
  while (picture->texel && picture->width >= ratio * width && picture->height >= ratio * height &&
         (picture->width > 1 || picture->height > 1))
    shrink(b, picture);
  return resample(b, picture, width, height);
}

/* The faces of a cube, or one picture, resampled to one size, then level after level. */
static uint32_t put_texture(vk_visuals_builder *b, const char *name, const vk_image *picture,
                            int n_face, int side_max)
{
  VK_ASSERT(side_max >= 1 && side_max <= VK_TEXTURE_SIDE_MAX);
  int width = power_of_two(picture->width, side_max);
  int height = power_of_two(picture->height, side_max);
  if (n_face > 1)
    height = width;
  vk_visuals_texture texture = {.name = vk_visuals_put_text(b, name),
                                .kind = n_face > 1 ? VK_TEXTURE_CUBE : VK_TEXTURE_2D,
                                .width = (uint32_t)width,
                                .height = (uint32_t)height,
                                .first = (uint32_t)b->n_texel};
  raster face[6] = {{0}};
  for (int i = 0; i < n_face; i++)
    face[i] = raster_of(b, &picture[i]);
  while (!b->failed) {
    for (int i = 0; i < n_face; i++) {
      raster level = level_of(b, &face[i], width, height, texture.n_level == 0);
      if (level.texel)
        vk_visuals_put_texel(b, level.texel, (size_t)width * (size_t)height);
      free(level.texel);
    }
    texture.n_level++;
    if (width == 1 && height == 1)
      break;
    width = width > 1 ? width / 2 : 1;
    height = height > 1 ? height / 2 : 1;
  }
  for (int i = 0; i < n_face; i++)
    free(face[i].texel);
  return vk_visuals_put_texture(b, &texture, 1);
}

uint32_t vk_visuals_put_picture(vk_visuals_builder *b, const char *name, const vk_image *picture,
                                int side_max)
{
  return put_texture(b, name, picture, 1, side_max);
}

uint32_t vk_visuals_put_cube(vk_visuals_builder *b, const char *name, const vk_image face[6],
                             int side_max)
{
  return put_texture(b, name, face, 6, side_max);
}

/* ---- the file ------------------------------------------------------------------------------- */

/* Opens what was built, so that nothing is written that could not be read. */
static vk_status check_built(const void *bytes, size_t n, vk_err *err)
{
  void *copy = aligned_alloc(VK_SECTION_ALIGN, n);
  if (!copy)
    return vk_fail(err, VK_E_NOMEM, "no memory for visuals of %zu bytes", n);
  memcpy(copy, bytes, n);
  vk_visuals v;
  VK_TRY(vk_visuals_open_bytes(&v, copy, n, "new", "(new)", err));
  vk_visuals_close(&v);
  return VK_OK;
}

vk_status vk_visuals_build(const vk_visuals_builder *b, void **bytes, size_t *n, vk_err *err)
{
  if (b->failed)
    return vk_fail(err, VK_E_NOMEM, "no memory for the visuals, or above 2^32 items");
  const vk_section section[] = {{"str", 1, b->text.str, b->text.n_str},
#define X(member, type) {#member, sizeof(type), b->member, b->n_##member},
                                VK_VISUALS_ITEM_SECTIONS(X)
#undef X
  };
  VK_TRY(vk_sections_build(&vk_visuals_kind, section, bytes, n, err));
  vk_status st = check_built(*bytes, *n, err);
  if (st != VK_OK)
    free(*bytes);
  return st;
}
