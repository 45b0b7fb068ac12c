#include "sim/render_clip.h"

#include <math.h>

/* x w, y w, w: homogeneous coordinates on the screen. */
typedef struct corner {
  double c[3];
  double above; /* the mirror's plane, if there is one */
  bool is_vertex;
  uint32_t vertex;
} corner;

/* As the kernels do it, in float and in this order. */
static void transform(const vk_draw_item *item, uint32_t vertex, float c[4])
{
  size_t n = item->n_vertex_padded;
  float x = item->stream[VK_STREAM_X * n + vertex], y = item->stream[VK_STREAM_Y * n + vertex],
        z = item->stream[VK_STREAM_Z * n + vertex];
  for (int r = 0; r < 4; r++) {
    const float *m = r < 3 ? item->screen[r] : item->above;
    c[r] = m[0] * x + m[1] * y + m[2] * z + m[3];
  }
}

/* How far inside of plane k a corner is. */
static double inside_of(const vk_draw *d, const corner *a, int k)
{
  const double guard = VK_GUARD_PX;
  switch (k) {
  case 0:
    return a->c[2] - (double)d->near_m;
  case 1:
    return (double)d->far_m - a->c[2];
  case 2:
    return guard * a->c[2] + a->c[0];
  case 3:
    return guard * a->c[2] - a->c[0];
  case 4:
    return guard * a->c[2] + a->c[1];
  case 5:
    return guard * a->c[2] - a->c[1];
  default:
    return a->above;
  }
}

/* Always from the corner inside to the one outside, so that both triangles of an edge get the same
 * point. */
static corner cut(const corner *in, const corner *out, double at_in, double at_out)
{
  double t = at_in / (at_in - at_out);
  corner a = {.is_vertex = false};
  for (int r = 0; r < 3; r++)
    a.c[r] = in->c[r] + t * (out->c[r] - in->c[r]);
  a.above = in->above + t * (out->above - in->above);
  return a;
}

static int clip_plane(const vk_draw *d, int k, const corner *in, int n, corner *out)
{
  int n_out = 0;
  for (int i = 0; i < n; i++) {
    const corner *a = &in[i], *b = &in[(i + 1) % n];
    double at_a = inside_of(d, a, k), at_b = inside_of(d, b, k);
    bool has_a = at_a >= 0, has_b = at_b >= 0;
    if (has_a && n_out < VK_CLIP_MAX)
      out[n_out++] = *a;
    if (has_a != has_b && n_out < VK_CLIP_MAX)
      out[n_out++] = has_a ? cut(a, b, at_a, at_b) : cut(b, a, at_b, at_a);
  }
  return n_out < 3 ? 0 : n_out;
}

static bool to_screen(const vk_draw_item *item, const corner *a, vk_screen_vertex *out)
{
  if (a->is_vertex) {
    float c[4];
    transform(item, a->vertex, c);
    float iw = 1.0f / c[2];
    *out = (vk_screen_vertex){.x = (int32_t)floorf(c[0] * iw * VK_SUBPIXEL + 0.5f),
                              .y = (int32_t)floorf(c[1] * iw * VK_SUBPIXEL + 0.5f),
                              .iw = iw};
    return true;
  }
  double iw = 1 / a->c[2], x = a->c[0] * iw, y = a->c[1] * iw;
  if (!(fabs(x) < VK_GUARD_PX + 1 && fabs(y) < VK_GUARD_PX + 1 && iw > 0))
    return false;
  *out = (vk_screen_vertex){.x = (int32_t)floor(x * VK_SUBPIXEL + 0.5),
                            .y = (int32_t)floor(y * VK_SUBPIXEL + 0.5),
                            .iw = (float)iw};
  return true;
}

int vk_clip_triangle(const vk_draw *d, const vk_draw_item *item, const uint32_t vertex[3],
                     vk_screen_vertex out[VK_CLIP_MAX])
{
  corner ring[2][VK_CLIP_MAX];
  for (int i = 0; i < 3; i++) {
    float c[4];
    transform(item, vertex[i], c);
    for (int r = 0; r < 3; r++) {
      if (!(fabsf(c[r]) <= 1e18f))
        return 0;
      ring[0][i].c[r] = (double)c[r];
    }
    ring[0][i].above = (double)c[3];
    ring[0][i].is_vertex = true;
    ring[0][i].vertex = vertex[i];
  }
  int n = 3;
  int n_plane = d->is_mirror ? 7 : 6;
  for (int k = 0; k < n_plane && n; k++)
    n = clip_plane(d, k, ring[k & 1], n, ring[(k + 1) & 1]);
  for (int i = 0; i < n; i++)
    if (!to_screen(item, &ring[n_plane & 1][i], &out[i]))
      return 0;
  return n;
}

void vk_clip_record(const vk_draw *d, const vk_draw_item *item, const uint32_t vertex[3],
                    const float *lit, vk_record *record)
{
  double m[3][3], at[3] = {d->width / 2, d->height / 2, 1};
  for (int i = 0; i < 3; i++) {
    float c[4];
    transform(item, vertex[i], c);
    m[i][0] = (double)c[0] - at[0] * (double)c[2];
    m[i][1] = (double)c[1] - at[1] * (double)c[2];
    m[i][2] = (double)c[2];
  }
  /* Row i of m times (gx, gy, base) is the value at vertex i. */
  double adj[3][3], det = 0;
  for (int i = 0; i < 3; i++) {
    const double *a = m[(i + 1) % 3], *b = m[(i + 2) % 3];
    adj[0][i] = a[1] * b[2] - a[2] * b[1];
    adj[1][i] = a[2] * b[0] - a[0] * b[2];
    adj[2][i] = a[0] * b[1] - a[1] * b[0];
  }
  for (int k = 0; k < 3; k++)
    det += m[0][k] * adj[k][0];
  double inv = fabs(det) > 1e-30 ? 1 / det : 0;
  record->ref_x = (float)at[0];
  record->ref_y = (float)at[1];
  for (int j = 0; j < 8; j++) {
    double g[3];
    for (int k = 0; k < 3; k++) {
      g[k] = 0;
      for (int i = 0; i < 3; i++)
        g[k] += adj[k][i] * (double)lit[8 * (size_t)vertex[i] + (size_t)j];
      g[k] = fmin(fmax(g[k] * inv, -1e30), 1e30);
    }
    record->gx[j] = (float)g[0];
    record->gy[j] = (float)g[1];
    record->base[j] = (float)g[2];
  }
}
