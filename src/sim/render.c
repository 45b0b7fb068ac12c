#include "sim/render.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/render_internal.h"

const vk_render_config vk_render_defaults = {.width = 256,
                                             .height = 256,
                                             .n_sample = 1,
                                             .turn = VK_TURN_UPRIGHT,
                                             .isa = VK_ISA_SCALAR,
                                             .level_error_px = 0.1f};

/* Alpha from which MuJoCo takes a geom for opaque. */
#define VK_OPAQUE 0.995f

/* What canvases have room for. */
typedef struct canvas_size {
  size_t n_vertex;   /* of the largest mesh, padded */
  size_t n_triangle; /* of all items */
  size_t n_item, n_body;
} canvas_size;

struct vk_renderer {
  vk_render_config config;
  vk_pool *pool;
  void (*draw)(vk_draw *d, vk_draw *mirror);
  int n_thread;
  canvas_size size;
  vk_canvas *canvas; /* [n_thread] */
};

static void (*choose(vk_isa isa))(vk_draw *d, vk_draw *mirror)
{
#if defined(__x86_64__)
  if (isa >= VK_ISA_AVX512)
    return vk_draw_picture_avx512;
  if (isa == VK_ISA_AVX2)
    return vk_draw_picture_avx2;
#endif
  return vk_draw_picture_scalar;
}

/* ---- memory -------------------------------------------------------------------------------- */

static size_t n_block_x(const vk_render_config *c)
{
  return (size_t)(c->n_sample == 1 ? (c->width + 3) / 4 : (c->width + 1) / 2);
}

static size_t n_block_y(const vk_render_config *c)
{
  return (size_t)(c->n_sample == 1 ? (c->height + 1) / 2 : c->height);
}

/* Aligned to a vector and beyond; NULL without memory. */
static void *take(size_t n, size_t size, bool clear)
{
  size_t bytes = (n * size + 127) / 64 * 64;
  void *p = aligned_alloc(64, bytes);
  if (p && clear)
    memset(p, 0, bytes);
  return p;
}

static void release_scene(vk_canvas *c)
{
  free(c->vertex);
  free(c->lit);
  free(c->lit_by);
  free(c->wanted);
  free(c->hit);
  free(c->record_of);
  free(c->record);
  free(c->pose);
  free(c->stage_item);
  free(c->item);
  free(c->mirror_item);
  c->vertex = NULL;
  c->lit = NULL;
  c->lit_by = c->wanted = c->record_of = NULL;
  c->hit = NULL;
  c->record = NULL;
  c->pose = NULL;
  c->stage_item = NULL;
  c->item = c->mirror_item = NULL;
}

static bool take_scene(vk_canvas *c, const canvas_size *s)
{
  release_scene(c);
  c->stamp = 0;
  c->vertex = take(s->n_vertex, sizeof *c->vertex, false);
  c->lit = take(8 * s->n_vertex, sizeof *c->lit, false);
  c->lit_by = take(s->n_vertex, sizeof *c->lit_by, true);
  c->wanted = take(s->n_vertex + VK_VERTEX_ALIGN, sizeof *c->wanted, false);
  c->hit = take(s->n_triangle + 1, sizeof *c->hit, false);
  c->record_of = take(s->n_triangle + 1, sizeof *c->record_of, false);
  c->record = take(s->n_triangle + 2, sizeof *c->record, false);
  c->pose = take(s->n_body, sizeof *c->pose, false);
  c->stage_item = take(s->n_item, sizeof *c->stage_item, false);
  c->item = take(s->n_item, sizeof *c->item, false);
  c->mirror_item = take(s->n_item, sizeof *c->item, false);
  return c->vertex && c->lit && c->lit_by && c->wanted && c->hit && c->record_of && c->record &&
         c->pose && c->stage_item && c->item && c->mirror_item;
}

/* Of a view: far above any scene. Hits are counted in 31 bits; items are sorted by insertion. */
static const size_t n_triangle_max = 1 << 26, n_item_max = 1 << 14;

static size_t larger(size_t a, size_t b)
{
  return a > b ? a : b;
}

/* Room for views of that size; keeps what there is when it is enough. */
static vk_status make_room(vk_renderer *r, const canvas_size *need, vk_err *err)
{
  canvas_size *s = &r->size;
  if (need->n_vertex <= s->n_vertex && need->n_triangle <= s->n_triangle &&
      need->n_item <= s->n_item && need->n_body <= s->n_body)
    return VK_OK;
  canvas_size more = {.n_vertex = larger(need->n_vertex, s->n_vertex),
                      .n_triangle = larger(need->n_triangle, s->n_triangle),
                      .n_item = larger(need->n_item, s->n_item),
                      .n_body = larger(need->n_body, s->n_body)};
  if (more.n_triangle > n_triangle_max || more.n_item > n_item_max)
    return vk_fail(err, VK_E_RANGE,
                   "a scene of %zu meshes of %zu triangles: at most %zu of %zu can be drawn",
                   more.n_item, more.n_triangle, n_item_max, n_triangle_max);
  *s = (canvas_size){0};
  for (int i = 0; i < r->n_thread; i++)
    if (!take_scene(&r->canvas[i], &more))
      return vk_fail(err, VK_E_NOMEM, "no memory to draw %zu triangles on %d threads",
                     more.n_triangle, r->n_thread);
  *s = more;
  return VK_OK;
}

static void add_mesh(canvas_size *size, const vk_visuals *v, uint32_t mesh)
{
  const vk_visuals_mesh *m = &v->mesh[mesh];
  size_t n_triangle = 0;
  for (uint32_t i = m->level; i < m->level + m->n_level; i++) {
    size->n_vertex = larger(size->n_vertex, vk_visuals_padded(v->level[i].n_vertex));
    n_triangle = larger(n_triangle, v->level[i].n_triangle);
  }
  size->n_triangle += n_triangle;
}

static void size_of_stage(canvas_size *size, const vk_stage *stage)
{
  canvas_size s = {.n_body = (size_t)vk_stage_scene(stage)->model->nbody,
                   .n_item = (size_t)vk_stage_n_item(stage)};
  for (int i = 0; i < vk_stage_n_item(stage); i++)
    add_mesh(&s, vk_stage_visuals(stage), vk_stage_mesh(stage, i));
  size->n_vertex = larger(size->n_vertex, s.n_vertex);
  size->n_triangle = larger(size->n_triangle, s.n_triangle);
  size->n_item = larger(size->n_item, s.n_item);
  size->n_body = larger(size->n_body, s.n_body);
}

vk_status vk_renderer_new(vk_renderer **out, const vk_render_config *config, vk_pool *pool,
                          vk_err *err)
{
  *out = NULL;
  const int sides[2] = {config->width, config->height};
  for (int i = 0; i < 2; i++)
    if (sides[i] < VK_RENDER_SIDE_MIN || sides[i] > VK_RENDER_SIDE_MAX)
      return vk_fail(err, VK_E_RANGE, "a picture %d pixels %s: %d to %d can be drawn", sides[i],
                     i ? "high" : "wide", VK_RENDER_SIDE_MIN, VK_RENDER_SIDE_MAX);
  if (config->n_sample != 1 && config->n_sample != 4)
    return vk_fail(err, VK_E_RANGE, "%d samples a pixel: 1 or 4 can be drawn", config->n_sample);
  vk_renderer *r = calloc(1, sizeof *r);
  if (!r)
    return vk_fail(err, VK_E_NOMEM, "no memory for a renderer");
  r->config = *config;
  r->pool = pool;
  r->draw = choose(config->isa);
  r->n_thread = vk_pool_n_thread(pool);
  r->canvas = calloc((size_t)r->n_thread, sizeof *r->canvas);
  size_t n = n_block_x(config) * n_block_y(config) * VK_BLOCK;
  bool ok = r->canvas != NULL;
  for (int i = 0; ok && i < r->n_thread; i++) {
    vk_canvas *c = &r->canvas[i];
    c->depth = take(n, sizeof *c->depth, false);
    c->id = take(n, sizeof *c->id, false);
    c->colour = take(n, sizeof *c->colour, false);
    c->far = take(n / VK_BLOCK, sizeof *c->far, false);
    c->mirror_far = take(n / VK_BLOCK, sizeof *c->far, false);
    c->mirror_depth = take(n, sizeof *c->depth, false);
    c->mirror_id = take(n, sizeof *c->id, false);
    c->mirror_colour = take(n, sizeof *c->colour, false);
    ok = c->depth && c->id && c->colour && c->far && c->mirror_depth && c->mirror_id &&
         c->mirror_colour && c->mirror_far;
  }
  if (!ok) {
    vk_renderer_free(r);
    return vk_fail(err, VK_E_NOMEM, "no memory for pictures of %d x %d pixels", config->width,
                   config->height);
  }
  *out = r;
  return VK_OK;
}

void vk_renderer_free(vk_renderer *renderer)
{
  if (!renderer)
    return;
  for (int i = 0; renderer->canvas && i < renderer->n_thread; i++) {
    vk_canvas *c = &renderer->canvas[i];
    release_scene(c);
    free(c->depth);
    free(c->id);
    free(c->colour);
    free(c->far);
    free(c->mirror_far);
    free(c->mirror_depth);
    free(c->mirror_id);
    free(c->mirror_colour);
  }
  free(renderer->canvas);
  free(renderer);
}

/* ---- lights -------------------------------------------------------------------------------- */

static void set3(float out[3], const float a[3])
{
  memcpy(out, a, 3 * sizeof *out);
}

static void add_light(vk_draw *d, const vk_visuals_light *l)
{
  vk_draw_light *to = &d->light[d->n_light++];
  *to = (vk_draw_light){.cos_cutoff = -1, .is_directional = l->is_directional != 0};
  set3(to->pos, l->pos_m);
  set3(to->dir, l->dir);
  set3(to->ambient, l->ambient);
  set3(to->diffuse, l->diffuse);
  set3(to->specular, l->specular);
  set3(to->attenuation, l->attenuation);
  if (to->is_directional) {
    for (int k = 0; k < 3; k++)
      to->pos[k] = -l->dir[k];
    return;
  }
  to->is_attenuated = l->attenuation[0] != 1 || l->attenuation[1] != 0 || l->attenuation[2] != 0;
  if (l->cutoff_deg < 180) {
    to->cos_cutoff = (float)cos((double)l->cutoff_deg * (M_PI / 180));
    to->exponent = l->exponent > 0 ? l->exponent : 0;
  }
}

/* The head light comes from behind the camera, along its view, on all of the scene. */
static void plan_lights(vk_draw *d, const vk_render_camera *camera)
{
  const vk_visuals_look *look = d->look;
  vk_visuals_light head = {.is_directional = 1};
  for (int k = 0; k < 3; k++)
    head.dir[k] = (float)-camera->R_world[3 * k + 2];
  set3(head.ambient, look->headlight_ambient);
  set3(head.diffuse, look->headlight_diffuse);
  set3(head.specular, look->headlight_specular);
  add_light(d, &head);
  for (uint32_t i = 0; i < look->n_light && d->n_light < VK_DRAW_LIGHTS; i++)
    add_light(d, &d->visuals->light[look->light + i]);
}

/* ---- items in the view --------------------------------------------------------------------- */

/* The camera with its picture: x right, y up, depth along its view. */
typedef struct lens {
  vk_render_camera camera;
  double focal_px, centre_x, centre_y;
} lens;

static lens lens_of(const vk_render_config *c, const vk_render_camera *camera)
{
  lens l = {.camera = *camera, .centre_x = c->width / 2.0, .centre_y = c->height / 2.0};
  l.focal_px = l.centre_y / camera->tan_half_fovy;
  return l;
}

/* Where a point of the world is: right, up, depth. */
static void to_camera(const lens *l, const double p[3], double out[3])
{
  double rel[3];
  vk_v3_sub(rel, p, l->camera.p_world);
  vk_m3_apply_t(out, l->camera.R_world, rel);
  out[2] = -out[2];
}

/* Whether a sphere reaches from pixel `from` to higher ones; sign -1: to lower ones. across: where
 * its centre is to the right (or up). */
static bool is_beyond(double from, double sign, double across, double depth, const lens *l,
                      double centre, double radius)
{
  double slope =
      centre - from; /* of the plane through the camera and that pixel, in focal lengths */
  return sign * (l->focal_px * across + slope * depth) >= -radius * hypot(l->focal_px, slope);
}

/* Whether a sphere may be seen. */
static bool is_in_view(const vk_draw *d, const lens *l, const double c[3], double radius)
{
  return c[2] + radius >= (double)d->near_m && c[2] - radius <= (double)d->far_m &&
         is_beyond(d->px0, 1, c[0], c[2], l, l->centre_x, radius) &&
         is_beyond(d->px1 + 1, -1, c[0], c[2], l, l->centre_x, radius) &&
         is_beyond(d->py0, 1, c[1], c[2], l, l->centre_y, radius) &&
         is_beyond(d->py1 + 1, -1, c[1], c[2], l, l->centre_y, radius);
}

/* The coarsest level that is off by at most so many pixels at that depth. */
static const vk_visuals_level *choose_level(const vk_visuals *v, const vk_visuals_mesh *m,
                                            double allowed_m)
{
  uint32_t i = m->level;
  for (uint32_t k = m->level + 1; k < m->level + m->n_level; k++)
    if ((double)v->level[k].error_m <= allowed_m)
      i = k;
  return &v->level[i];
}

/* Matrix from the item's frame to the screen. */
static void set_screen(vk_draw_item *to, const lens *l, const vk_render_item *item)
{
  double R[9], axes[9], p[3], p_camera[3];
  for (int k = 0; k < 9; k++)
    R[k] = (double)item->R_world[k];
  for (int k = 0; k < 3; k++)
    p[k] = (double)item->p_world[k];
  vk_m3_mul_ta(axes, l->camera.R_world, R);
  to_camera(l, p, p_camera);
  for (int k = 0; k < 4; k++) {
    double right = k < 3 ? axes[k] : p_camera[0], up = k < 3 ? axes[3 + k] : p_camera[1],
           depth = k < 3 ? -axes[6 + k] : p_camera[2];
    to->screen[0][k] = (float)(l->focal_px * right + l->centre_x * depth);
    to->screen[1][k] = (float)(l->focal_px * up + l->centre_y * depth);
    to->screen[2][k] = (float)depth;
  }
}

/* False: it is not seen. */
static bool plan_item(const vk_draw *d, const lens *l, float error_px, const vk_render_item *item,
                      vk_draw_item *to)
{
  const vk_visuals *v = d->visuals;
  const vk_visuals_mesh *m = &v->mesh[item->mesh];
  double centre[3], c[3];
  for (int k = 0; k < 3; k++)
    centre[k] = (double)item->R_world[3 * k] * (double)m->centre_m[0] +
                (double)item->R_world[3 * k + 1] * (double)m->centre_m[1] +
                (double)item->R_world[3 * k + 2] * (double)m->centre_m[2] +
                (double)item->p_world[k];
  to_camera(l, centre, c);
  double radius = (double)m->radius_m * 1.0001 + 1e-6;
  to->material = &v->material[item->material];
  if (!is_in_view(d, l, c, radius) || !(to->material->rgba[3] > 0))
    return false;
  double near_m = fmax(vk_v3_norm(c) - radius, 0);
  to->distance = (float)(vk_v3_norm(c) - radius);
  to->depth = (float)c[2];
  const vk_visuals_level *level = choose_level(v, m, (double)error_px * near_m / l->focal_px);
  to->n_vertex = level->n_vertex;
  to->n_triangle = level->n_triangle;
  to->n_vertex_padded = vk_visuals_padded(level->n_vertex);
  to->n_triangle_padded = vk_visuals_padded(level->n_triangle);
  to->stream = v->f32 + level->first_f32;
  for (int k = 0; k < 3; k++) /* a mirror turns triangles over */
    to->corner[k] =
        v->index + level->first_index + (size_t)(d->is_mirror ? 2 - k : k) * to->n_triangle_padded;
  memcpy(to->R_world, item->R_world, sizeof to->R_world);
  memcpy(to->p_world, item->p_world, sizeof to->p_world);
  set_screen(to, l, item);
  return true;
}

static bool is_opaque(const vk_draw_item *item)
{
  return !(item->material->rgba[3] < VK_OPAQUE);
}

/* Whether a is drawn before b: opaque items from near to far by their centres, as what is hidden
 * costs less when it comes later; then the others by their nearest points, as MuJoCo sorts them. */
static bool is_before(const vk_draw_item *a, const vk_draw_item *b)
{
  if (is_opaque(a) != is_opaque(b))
    return is_opaque(a);
  return is_opaque(a) ? a->depth < b->depth : a->distance < b->distance;
}

static void order_items(vk_draw *d, vk_draw_item *item)
{
  for (int i = 1; i < d->n_item; i++) {
    vk_draw_item moved = item[i];
    int k = i;
    for (; k > 0 && is_before(&moved, &item[k - 1]); k--)
      item[k] = item[k - 1];
    item[k] = moved;
  }
  d->n_opaque = 0;
  while (d->n_opaque < d->n_item && is_opaque(&item[d->n_opaque]))
    d->n_opaque++;
}

static void plan_sky(vk_draw *d, const lens *l)
{
  const double *R = l->camera.R_world;
  if (d->look->sky == VK_VISUALS_NONE)
    return;
  for (int k = 0; k < 3; k++) {
    double right = R[3 * k] / l->focal_px, up = R[3 * k + 1] / l->focal_px;
    d->sky_gx[k] = (float)right;
    d->sky_gy[k] = (float)up;
    d->sky_base[k] = (float)(-R[3 * k + 2] - l->centre_x * right - l->centre_y * up);
  }
}

/* Plans the items of a view; skip: one that is left out, -1: none. */
static void plan_items(vk_draw *d, const lens *l, float error_px, const vk_view *view, int skip)
{
  vk_draw_item *item = d->is_mirror ? d->canvas->mirror_item : d->canvas->item;
  int n_hit = 1;
  for (int i = 0; i < view->n_item; i++) {
    vk_draw_item *to = &item[d->n_item];
    if (i == skip || !plan_item(d, l, error_px, &view->item[i], to))
      continue;
    to->source = i;
    to->hit = n_hit;
    n_hit += (int)to->n_triangle;
    d->n_item++;
  }
  order_items(d, item);
}

/* ---- what a flat face reflects -------------------------------------------------------------- */

/* A plane in the world: n x = at. */
typedef struct plane {
  double n[3], at;
} plane;

/* Of a view's items the one that reflects, as MuJoCo allows it: the first. -1: none. */
static int find_mirror(const vk_view *view)
{
  for (int i = 0; i < view->n_item; i++) {
    const vk_visuals_material *m = &view->visuals->material[view->item[i].material];
    if (m->reflectance > 0 && !(m->rgba[3] < VK_OPAQUE))
      return i;
  }
  return -1;
}

/* The face of an item at its greatest z: sets d->mirror_z, the plane, and in the mirror's draw the
 * pixels that it may cover. False: it is not seen. */
static bool plan_face(vk_draw *d, const vk_draw_item *item, plane *face, vk_draw *mirror)
{
  size_t n = item->n_vertex_padded;
  const float *x = item->stream + VK_STREAM_X * n, *y = item->stream + VK_STREAM_Y * n,
              *z = item->stream + VK_STREAM_Z * n;
  d->mirror_z = z[0];
  for (uint32_t i = 1; i < item->n_vertex; i++)
    d->mirror_z = fmaxf(d->mirror_z, z[i]);
  face->at = 0;
  for (int k = 0; k < 3; k++) {
    face->n[k] = (double)item->R_world[3 * k + 2];
    face->at += face->n[k] * ((double)item->p_world[k] + face->n[k] * (double)d->mirror_z);
  }
  double lo[2] = {d->width, d->height}, hi[2] = {0, 0};
  for (uint32_t i = 0; i < item->n_vertex; i++) {
    double at[3];
    if (z[i] < d->mirror_z)
      continue;
    for (int r = 0; r < 3; r++) {
      const float *m = item->screen[r];
      at[r] = (double)(m[0] * x[i] + m[1] * y[i] + m[2] * z[i] + m[3]);
    }
    for (int r = 0; r < 2; r++) {
      bool is_near = !(at[2] > (double)d->near_m);
      double px = is_near ? 0 : at[r] / at[2];
      lo[r] = fmin(lo[r], is_near ? 0 : px);
      hi[r] = fmax(hi[r], is_near ? (r ? d->height : d->width) : px);
    }
  }
  mirror->px0 = (int)fmax(floor(lo[0]) - 1, 0);
  mirror->py0 = (int)fmax(floor(lo[1]) - 1, 0);
  mirror->px1 = (int)fmin(fmax(ceil(hi[0]), 0), d->width - 1);
  mirror->py1 = (int)fmin(fmax(ceil(hi[1]), 0), d->height - 1);
  return lo[0] < d->width && lo[1] < d->height && hi[0] > 0 && hi[1] > 0;
}

/* The camera as the plane shows it; its frame is left-handed. */
static vk_render_camera reflect_camera(const vk_render_camera *camera, const plane *p)
{
  vk_render_camera c = *camera;
  vk_v3_madd(c.p_world, camera->p_world, -2 * (vk_v3_dot(p->n, camera->p_world) - p->at), p->n);
  for (int i = 0; i < 3; i++) {
    double axis[3];
    vk_m3_column(axis, camera->R_world, i);
    vk_v3_madd(axis, axis, -2 * vk_v3_dot(p->n, axis), p->n);
    vk_m3_set_column(c.R_world, i, axis);
  }
  return c;
}

/* Of a planned item in a mirror: how far points are above its plane. False: all of it is below. */
static bool set_above(vk_draw_item *item, const vk_render_item *source, const vk_visuals *v,
                      const plane *p)
{
  const vk_visuals_mesh *m = &v->mesh[source->mesh];
  double above = -p->at, centre = 0;
  for (int k = 0; k < 3; k++) {
    double slope = 0;
    for (int r = 0; r < 3; r++)
      slope += p->n[r] * (double)item->R_world[3 * r + k];
    above += p->n[k] * (double)item->p_world[k];
    centre += slope * (double)m->centre_m[k];
    item->above[k] = (float)slope;
  }
  item->above[3] = (float)above;
  return above + centre + (double)m->radius_m > 0;
}

/* Plans what d's item d->mirror, item i of the view, reflects. False: nothing. */
static bool plan_mirror(vk_draw *d, const vk_render_config *c, const vk_view *view, int i,
                        vk_draw *mirror)
{
  const vk_draw_item *item = &d->canvas->item[d->mirror];
  plane p;
  *mirror = *d;
  mirror->is_mirror = true;
  mirror->tint = item->material->reflectance;
  mirror->n_item = mirror->n_opaque = 0;
  mirror->mirror = -1;
  if (!plan_face(d, item, &p, mirror) || vk_v3_dot(p.n, view->camera.p_world) < p.at)
    return false;
  vk_render_camera camera = reflect_camera(&view->camera, &p);
  for (int k = 0; k < 3; k++)
    mirror->camera[k] = (float)camera.p_world[k];
  lens l = lens_of(c, &camera);
  plan_items(mirror, &l, c->level_error_px, view, i);
  vk_draw_item *kept = d->canvas->mirror_item;
  int n = 0;
  for (int k = 0; k < mirror->n_opaque; k++) {
    kept[n] = kept[k];
    n += set_above(&kept[n], &view->item[kept[n].source], view->visuals, &p);
  }
  mirror->n_item = mirror->n_opaque = n;
  return true;
}

/* ---- pictures ------------------------------------------------------------------------------- */

static void draw_view(const vk_renderer *r, const vk_view *view, vk_canvas *canvas,
                      vk_render_stats *stats)
{
  const vk_render_config *c = &r->config;
  vk_draw d = {.visuals = view->visuals,
               .look = view->look,
               .canvas = canvas,
               .width = c->width,
               .height = c->height,
               .px1 = c->width - 1,
               .py1 = c->height - 1,
               .n_sample = c->n_sample,
               .n_block_x = (int)n_block_x(c),
               .n_block_y = (int)n_block_y(c),
               .tint = 1,
               .mirror = -1,
               .near_m = fmaxf(view->look->znear_m, 1e-6f),
               .far_m = fminf(view->look->zfar_m, 1e9f),
               .pixel = view->pixel,
               .row_bytes = view->row_bytes ? view->row_bytes : 3 * (size_t)c->width,
               .turn = c->turn};
  vk_draw mirror;
  if (canvas->stamp > UINT32_MAX / 2) { /* long before it comes round to stamps that are left */
    memset(canvas->lit_by, 0, r->size.n_vertex * sizeof *canvas->lit_by);
    canvas->stamp = 0;
  }
  for (int k = 0; k < 3; k++)
    d.camera[k] = (float)view->camera.p_world[k];
  lens l = lens_of(c, &view->camera);
  plan_lights(&d, &view->camera);
  plan_sky(&d, &l);
  plan_items(&d, &l, c->level_error_px, view, -1);
  int i_mirror = find_mirror(view);
  for (int i = 0; i < d.n_opaque && i_mirror >= 0; i++)
    if (canvas->item[i].source == i_mirror)
      d.mirror = i;
  bool reflects = d.mirror >= 0 && plan_mirror(&d, c, view, i_mirror, &mirror);
  r->draw(&d, reflects ? &mirror : NULL);
  *stats = d.stats;
}

static vk_status check_visuals(const vk_visuals *v, vk_err *err)
{
  if (v->n_texel <= INT32_MAX && v->n_f32 <= INT32_MAX)
    return VK_OK;
  return vk_fail(err, VK_E_RANGE, "visuals %s are too large to draw: %zu texels", v->path,
                 v->n_texel);
}

vk_status vk_render_view(vk_renderer *r, const vk_view *view, vk_render_stats *stats, vk_err *err)
{
  canvas_size need = {.n_item = (size_t)view->n_item};
  VK_TRY(check_visuals(view->visuals, err));
  for (int i = 0; i < view->n_item; i++)
    add_mesh(&need, view->visuals, view->item[i].mesh);
  VK_TRY(make_room(r, &need, err));
  vk_render_stats sum;
  draw_view(r, view, &r->canvas[0], &sum);
  if (stats)
    *stats = sum;
  return VK_OK;
}

typedef struct batch {
  const vk_renderer *r;
  const vk_shot *shot;
  int64_t n_triangle, n_drawn; /* atomic */
} batch;

static void move_camera(vk_render_camera *camera, const vk_pose *moved)
{
  vk_pose at, to;
  memcpy(at.p, camera->p_world, sizeof at.p);
  memcpy(at.R, camera->R_world, sizeof at.R);
  vk_pose_mul(&to, &at, moved);
  memcpy(camera->p_world, to.p, sizeof to.p);
  memcpy(camera->R_world, to.R, sizeof to.R);
}

static void draw_shot(void *arg, int i, int i_thread)
{
  batch *b = arg;
  const vk_shot *s = &b->shot[i];
  vk_canvas *c = &b->r->canvas[i_thread];
  vk_view view = {.visuals = vk_stage_visuals(s->stage),
                  .look = vk_stage_look(s->stage),
                  .item = c->stage_item,
                  .pixel = s->pixel,
                  .row_bytes = s->row_bytes};
  view.n_item = vk_stage_items(s->stage, s->state, c->pose, c->stage_item);
  vk_stage_camera(s->stage, c->pose, s->i_camera, &view.camera);
  if (s->moved)
    move_camera(&view.camera, s->moved);
  vk_render_stats stats;
  draw_view(b->r, &view, c, &stats);
  __atomic_fetch_add(&b->n_triangle, stats.n_triangle, __ATOMIC_RELAXED);
  __atomic_fetch_add(&b->n_drawn, stats.n_drawn, __ATOMIC_RELAXED);
}

vk_status vk_render(vk_renderer *renderer, const vk_shot *shot, int n, vk_render_stats *stats,
                    vk_err *err)
{
  canvas_size need = {0};
  for (int i = 0; i < n; i++) {
    if (i && shot[i].stage == shot[i - 1].stage)
      continue;
    VK_TRY(check_visuals(vk_stage_visuals(shot[i].stage), err));
    size_of_stage(&need, shot[i].stage);
  }
  VK_TRY(make_room(renderer, &need, err));
  batch b = {.r = renderer, .shot = shot};
  vk_pool_run(renderer->pool, draw_shot, &b, n);
  if (stats)
    *stats = (vk_render_stats){.n_triangle = b.n_triangle, .n_drawn = b.n_drawn};
  return VK_OK;
}
