/* render_reference.h - a picture by the book: each pixel's centre against each triangle, in double
 * precision and with the C library's functions. Slow. */
#ifndef VK_TEST_RENDER_REFERENCE_H
#define VK_TEST_RENDER_REFERENCE_H

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "sim/render_internal.h"

typedef struct ref_pixel {
  double rgb[3];    /* 0 to 255 */
  bool is_doubtful; /* an edge or a nearer surface is so close that rounding may decide */
} ref_pixel;

static double ref_dot(const double a[3], const double b[3])
{
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void ref_unit(double a[3])
{
  double n = sqrt(ref_dot(a, a));
  for (int k = 0; k < 3 && n > 0; k++)
    a[k] /= n;
}

/* ---- light ---------------------------------------------------------------------------------- */

static void ref_add_light(const vk_visuals_light *l, const vk_visuals_material *m,
                          const double p[3], const double n[3], const double camera[3],
                          double rgb[3])
{
  double to[3], view[3], half[3], factor = 1;
  for (int k = 0; k < 3; k++) {
    to[k] = l->is_directional ? -l->dir[k] : l->pos_m[k] - p[k];
    view[k] = camera[k] - p[k];
  }
  double far = sqrt(ref_dot(to, to));
  ref_unit(to);
  ref_unit(view);
  if (!l->is_directional) {
    factor = 1 / (l->attenuation[0] + far * l->attenuation[1] + far * far * l->attenuation[2]);
    double along = -(to[0] * l->dir[0] + to[1] * l->dir[1] + to[2] * l->dir[2]);
    if (l->cutoff_deg < 180)
      factor *= along < cos(l->cutoff_deg * M_PI / 180) ? 0 : pow(fmax(along, 0), l->exponent);
  }
  for (int k = 0; k < 3; k++)
    half[k] = to[k] + view[k];
  ref_unit(half);
  double nl = fmax(ref_dot(n, to), 0);
  double shine = nl > 0 ? pow(fmax(ref_dot(n, half), 0), 128.0 * m->shininess) : 0;
  for (int k = 0; k < 3; k++)
    rgb[k] += 255 * factor *
              (l->ambient[k] * m->rgba[k] + nl * l->diffuse[k] * m->rgba[k] +
               shine * l->specular[k] * m->specular);
}

static void ref_light(const vk_view *view, const vk_visuals_material *m, const double p[3],
                      const double n[3], double rgb[3])
{
  const vk_visuals_look *look = view->look;
  vk_visuals_light head = {.is_directional = 1};
  for (int k = 0; k < 3; k++) {
    head.dir[k] = (float)-view->camera.R_world[3 * k + 2];
    head.ambient[k] = look->headlight_ambient[k];
    head.diffuse[k] = look->headlight_diffuse[k];
    head.specular[k] = look->headlight_specular[k];
    rgb[k] = 255 * m->emission * m->rgba[k];
  }
  ref_add_light(&head, m, p, n, view->camera.p_world, rgb);
  for (uint32_t i = 0; i < look->n_light; i++)
    ref_add_light(&view->visuals->light[look->light + i], m, p, n, view->camera.p_world, rgb);
  for (int k = 0; k < 3; k++)
    rgb[k] = fmin(fmax(rgb[k], 0), 255);
}

/* ---- textures ------------------------------------------------------------------------------- */

static int ref_wrap(int i, int n, bool is_cube)
{
  if (is_cube)
    return i < 0 ? 0 : i >= n ? n - 1 : i;
  return (i % n + n) % n;
}

static void ref_level(const uint32_t *texel, int w, int h, bool is_cube, double s, double t,
                      double rgb[3])
{
  double x = s * w - 0.5, y = t * h - 0.5;
  int x0 = (int)floor(x), y0 = (int)floor(y);
  for (int k = 0; k < 3; k++) {
    rgb[k] = 0;
    for (int j = 0; j < 2; j++)
      for (int i = 0; i < 2; i++) {
        uint32_t c = texel[ref_wrap(y0 + j, h, is_cube) * w + ref_wrap(x0 + i, w, is_cube)];
        rgb[k] += (i ? x - x0 : 1 - x + x0) * (j ? y - y0 : 1 - y + y0) * (c >> (8 * k) & 255);
      }
  }
}

/* rho: texels of level 0 in a pixel */
static void ref_texture(const vk_visuals *v, const vk_visuals_texture *t, int face, double s,
                        double u, double rho, double rgb[3])
{
  double level = fmin(fmax(log2(fmax(rho, 1e-9)), 0), t->n_level - 1);
  int n_face = t->kind == VK_TEXTURE_CUBE ? 6 : 1;
  for (int k = 0; k < 3; k++)
    rgb[k] = 0;
  for (int i = 0; i < 2; i++) {
    int l = (int)level + i;
    double weight = i ? level - floor(level) : 1 - level + floor(level), part[3];
    if (weight == 0)
      continue;
    const uint32_t *texel = v->texel + t->first;
    int w = (int)t->width, h = (int)t->height;
    for (int k = 0; k < l; k++) {
      texel += n_face * w * h;
      w = w > 1 ? w / 2 : 1;
      h = h > 1 ? h / 2 : 1;
    }
    ref_level(texel + face * w * h, w, h, n_face == 6, s, u, part);
    for (int k = 0; k < 3; k++)
      rgb[k] += weight * part[k];
  }
}

/* Into a cube: the face and where in it (OpenGL 4.6, table 8.19). */
static int ref_face(const double a[3], double *s, double *t)
{
  double x = fabs(a[0]), y = fabs(a[1]), z = fabs(a[2]), sc, tc, ma;
  int face;
  if (x >= y && x >= z) {
    face = a[0] < 0;
    ma = x;
    sc = a[0] < 0 ? a[2] : -a[2];
    tc = -a[1];
  } else if (y >= z) {
    face = 2 + (a[1] < 0);
    ma = y;
    sc = a[0];
    tc = a[1] < 0 ? -a[2] : a[2];
  } else {
    face = 4 + (a[2] < 0);
    ma = z;
    sc = a[2] < 0 ? -a[0] : a[0];
    tc = -a[1];
  }
  *s = 0.5 * (sc / ma + 1);
  *t = 0.5 * (tc / ma + 1);
  return face;
}

/* ---- triangles ------------------------------------------------------------------------------ */

/* x w, y w, w of a vertex; p, n in the world */
static void ref_vertex(const vk_view *view, const vk_render_item *item,
                       const vk_visuals_level *level, uint32_t i, int width, int height,
                       double h[3], double p[3], double n[3], double t[3])
{
  const float *f = view->visuals->f32 + level->first_f32;
  size_t stride = vk_visuals_padded(level->n_vertex);
  const vk_render_camera *c = &view->camera;
  for (int r = 0; r < 3; r++) {
    p[r] = item->p_world[r];
    n[r] = 0;
    t[r] = f[(VK_STREAM_U + (size_t)r) * stride + i];
    for (int k = 0; k < 3; k++) {
      p[r] += (double)item->R_world[3 * r + k] * (double)f[(size_t)k * stride + i];
      n[r] += (double)item->R_world[3 * r + k] * (double)f[(VK_STREAM_NX + (size_t)k) * stride + i];
    }
  }
  double q[3] = {0};
  for (int r = 0; r < 3; r++)
    for (int k = 0; k < 3; k++)
      q[r] += c->R_world[3 * k + r] * (p[k] - c->p_world[k]);
  double focal = height / 2.0 / c->tan_half_fovy;
  h[2] = -q[2];
  h[0] = focal * q[0] + width / 2.0 * h[2];
  h[1] = focal * q[1] + height / 2.0 * h[2];
}

/* Planes over the screen of what is linear over the triangle, divided by depth: row i of m is a
 * vertex's x w, y w, w. Also right when vertices are behind the camera. */
static bool ref_invert(double m[3][3], double inv[3][3])
{
  double det = 0;
  for (int i = 0; i < 3; i++) {
    const double *a = m[(i + 1) % 3], *b = m[(i + 2) % 3];
    inv[0][i] = a[1] * b[2] - a[2] * b[1];
    inv[1][i] = a[2] * b[0] - a[0] * b[2];
    inv[2][i] = a[0] * b[1] - a[1] * b[0];
  }
  for (int k = 0; k < 3; k++)
    det += m[0][k] * inv[k][0];
  if (!(det > 1e-14)) /* seen from behind */
    return false;
  for (int i = 0; i < 9; i++)
    inv[i / 3][i % 3] /= det;
  return true;
}

typedef struct ref_triangle {
  double inv[3][3];
  double rgb[3][3], t[3][3];
  const vk_visuals_material *m;
} ref_triangle;

static void ref_planes(const ref_triangle *tri, const double value[3], double plane[3])
{
  for (int k = 0; k < 3; k++)
    plane[k] = tri->inv[k][0] * value[0] + tri->inv[k][1] * value[1] + tri->inv[k][2] * value[2];
}

/* value and its changes over the screen at (x, y) */
static void ref_value(const ref_triangle *tri, const double corner[3], double x, double y,
                      double out[3])
{
  const double ones[3] = {1, 1, 1};
  double one[3], a[3];
  ref_planes(tri, ones, one);
  ref_planes(tri, corner, a);
  double iw = one[0] * x + one[1] * y + one[2];
  out[0] = (a[0] * x + a[1] * y + a[2]) / iw;
  out[1] = (a[0] - out[0] * one[0]) / iw;
  out[2] = (a[1] - out[0] * one[1]) / iw;
}

static void ref_shade(const vk_visuals *v, const ref_triangle *tri, double x, double y,
                      double rgb[3])
{
  double texel[3] = {255, 255, 255}, a[3][3], value[3];
  for (int k = 0; k < 3; k++) {
    const double corner[3] = {tri->rgb[0][k], tri->rgb[1][k], tri->rgb[2][k]};
    ref_value(tri, corner, x, y, value);
    rgb[k] = fmin(fmax(value[0], 0), 255);
    const double at[3] = {tri->t[0][k], tri->t[1][k], tri->t[2][k]};
    ref_value(tri, at, x, y, a[k]);
  }
  if (tri->m->texture != VK_VISUALS_NONE) {
    const vk_visuals_texture *t = &v->texture[tri->m->texture];
    double s = a[0][0], u = a[1][0], step[2];
    int face = 0;
    if (t->kind == VK_TEXTURE_CUBE) {
      const double dir[3] = {a[0][0], a[1][0], a[2][0]};
      face = ref_face(dir, &s, &u);
    }
    for (int i = 0; i < 2; i++) {
      double ds = a[0][1 + i], du = a[1][1 + i];
      if (t->kind == VK_TEXTURE_CUBE) {
        const double e = 1e-6;
        const double next[3] = {a[0][0] + e * a[0][1 + i], a[1][0] + e * a[1][1 + i],
                                a[2][0] + e * a[2][1 + i]};
        double s2, u2;
        ref_face(next, &s2, &u2);
        ds = (s2 - s) / e;
        du = (u2 - u) / e;
      }
      step[i] = hypot(ds * t->width, du * t->height);
    }
    ref_texture(v, t, face, s, u, fmax(step[0], step[1]), texel);
  }
  for (int k = 0; k < 3; k++)
    rgb[k] *= texel[k] / 255;
}

/* Draws the opaque triangles over out [height][width], bottom row first; depth [same] of 1/w. */
static void ref_draw_triangle(const vk_view *view, const ref_triangle *tri, int width, int height,
                              ref_pixel *out, double *depth)
{
  const double ones[3] = {1, 1, 1};
  double one[3], edge[3][3];
  ref_planes(tri, ones, one);
  for (int k = 0; k < 3; k++) {
    const double corner[3] = {k == 0, k == 1, k == 2};
    ref_planes(tri, corner, edge[k]);
  }
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++) {
      double sx = x + 0.5, sy = y + 0.5, inside = INFINITY;
      double iw = one[0] * sx + one[1] * sy + one[2];
      for (int k = 0; k < 3; k++) {
        double e = edge[k][0] * sx + edge[k][1] * sy + edge[k][2];
        inside = fmin(inside, e / hypot(edge[k][0], edge[k][1])); /* px */
      }
      int i = y * width + x;
      if (inside < -0.02 || iw < 1 / (double)view->look->zfar_m ||
          iw > 1 / (double)view->look->znear_m)
        continue;
      if (inside < 0.02 && iw > depth[i] * (1 - 1e-4))
        out[i].is_doubtful = true;
      if (inside < 0 || iw < depth[i] * (1 - 1e-4))
        continue;
      bool is_near = iw < depth[i] * (1 + 1e-4);
      if (iw > depth[i]) {
        depth[i] = iw;
        ref_shade(view->visuals, tri, sx, sy, out[i].rgb);
        out[i].is_doubtful = (out[i].is_doubtful && inside < 0.02) || inside < 0.02;
      }
      out[i].is_doubtful |= is_near;
    }
}

static void ref_sky(const vk_view *view, int width, int height, ref_pixel *out)
{
  const vk_render_camera *c = &view->camera;
  double focal = height / 2.0 / c->tan_half_fovy;
  for (int i = 0; i < width * height; i++) {
    double at[2][3], s[3], t[3];
    int face = 0;
    out[i] = (ref_pixel){{0}, false};
    if (view->look->sky == VK_VISUALS_NONE)
      continue;
    const vk_visuals_texture *tex = &view->visuals->texture[view->look->sky];
    for (int e = 0; e < 3; e++) {
      double x = (i % width + 0.5 + (e == 1) * 1e-5 - width / 2.0) / focal,
             y = (i / width + 0.5 + (e == 2) * 1e-5 - height / 2.0) / focal;
      for (int k = 0; k < 3; k++)
        at[0][k] = c->R_world[3 * k] * x + c->R_world[3 * k + 1] * y - c->R_world[3 * k + 2];
      int f = ref_face(at[0], &s[e], &t[e]);
      face = e ? face : f;
    }
    double rx = hypot(s[1] - s[0], t[1] - t[0]), ry = hypot(s[2] - s[0], t[2] - t[0]);
    ref_texture(view->visuals, tex, face, s[0], t[0], fmax(rx, ry) * 1e5 * tex->width, out[i].rgb);
    /* near a face's edge the difference above is none */
    out[i].is_doubtful = fmin(fmin(s[0], 1 - s[0]), fmin(t[0], 1 - t[0])) < 0.02;
  }
}

/* Opaque items at their finest level; out [height][width], bottom row first. */
static void ref_draw(const vk_view *view, int width, int height, ref_pixel *out, double *depth)
{
  const vk_visuals *v = view->visuals;
  ref_sky(view, width, height, out);
  memset(depth, 0, sizeof *depth * (size_t)(width * height));
  for (int i = 0; i < view->n_item; i++) {
    const vk_render_item *item = &view->item[i];
    const vk_visuals_level *level = &v->level[v->mesh[item->mesh].level];
    const uint32_t *index = v->index + level->first_index;
    size_t stride = vk_visuals_padded(level->n_triangle);
    for (uint32_t k = 0; k < level->n_triangle; k++) {
      ref_triangle tri = {.m = &v->material[item->material]};
      double m[3][3], p[3], n[3];
      for (int c = 0; c < 3; c++) {
        ref_vertex(view, item, level, index[(size_t)c * stride + k], width, height, m[c], p, n,
                   tri.t[c]);
        ref_light(view, tri.m, p, n, tri.rgb[c]);
      }
      if (ref_invert(m, tri.inv))
        ref_draw_triangle(view, &tri, width, height, out, depth);
    }
  }
}

#endif
