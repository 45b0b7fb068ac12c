/* render_light.c - OpenGL's light at the vertices that are seen, and what is interpolated over the
 * triangles that are seen. Compiled once a path.
 *
 * Colour of a vertex: emission, and for each light, times its attenuation and cone,
 *   ambient + diffuse max(n l, 0) + specular max(n h, 0)^shininess (if n l > 0),
 * with l the direction to the light and h between it and the direction to the camera; clamped. */
#include "core/kernel_path.h"
#include "sim/render_kernel.h"

/* Lights and camera in an item's frame. */
typedef struct lamp_set {
  int n;
  vk_draw_light light[VK_DRAW_LIGHTS];
  float camera[3];
  float emission[3];
  float shininess;
} lamp_set;

/* out = R^T a */
static inline void into_frame(const float R[9], const float a[3], float out[3])
{
  for (int k = 0; k < 3; k++)
    out[k] = R[k] * a[0] + R[3 + k] * a[1] + R[6 + k] * a[2];
}

static void point_into_frame(const vk_draw_item *item, const float a[3], float out[3])
{
  const float rel[3] = {a[0] - item->p_world[0], a[1] - item->p_world[1], a[2] - item->p_world[2]};
  into_frame(item->R_world, rel, out);
}

static void add_light(lamp_set *set, const vk_draw_item *item, const vk_draw_light *light,
                      float tint)
{
  const vk_visuals_material *m = item->material;
  vk_draw_light *to = &set->light[set->n++];
  *to = *light;
  if (light->is_directional)
    into_frame(item->R_world, light->pos, to->pos);
  else
    point_into_frame(item, light->pos, to->pos);
  into_frame(item->R_world, light->dir, to->dir);
  bool shines = false;
  for (int k = 0; k < 3; k++) {
    to->ambient[k] *= 255 * tint * m->rgba[k];
    to->diffuse[k] *= 255 * tint * m->rgba[k];
    to->specular[k] *= 255 * m->specular;
    shines |= to->specular[k] > 0;
  }
  to->is_specular = shines;
}

static lamp_set lamps_of(const vk_draw *d, const vk_draw_item *item)
{
  lamp_set set = {.shininess = 128 * item->material->shininess};
  point_into_frame(item, d->camera, set.camera);
  for (int k = 0; k < 3; k++)
    set.emission[k] = 255 * d->tint * item->material->emission * item->material->rgba[k];
  for (int i = 0; i < d->n_light; i++)
    add_light(&set, item, &d->light[i], d->tint);
  return set;
}

/* a / |a| and |a|; of no length: 0 */
static inline vf unit(vf a[3])
{
  vf length = sqrt_f(a[0] * a[0] + a[1] * a[1] + a[2] * a[2]);
  vf inv = select_f(length > splat(1e-20f), 1.0f / length, splat(0));
  for (int k = 0; k < 3; k++)
    a[k] *= inv;
  return length;
}

static inline vf dot(const vf a[3], const vf b[3])
{
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/* Adds a light at points p with normals n, seen from the direction `view`, to rgb. */
static inline void add_lamp(const lamp_set *set, const vk_draw_light *lamp, const vf p[3],
                            const vf n[3], const vf view[3], vf rgb[3])
{
  vf l[3], factor = splat(1);
  if (lamp->is_directional) {
    for (int k = 0; k < 3; k++)
      l[k] = splat(lamp->pos[k]);
  } else {
    for (int k = 0; k < 3; k++)
      l[k] = lamp->pos[k] - p[k];
    vf far = unit(l);
    if (lamp->is_attenuated)
      factor =
          1.0f / (lamp->attenuation[0] + far * (lamp->attenuation[1] + far * lamp->attenuation[2]));
    if (lamp->cos_cutoff > -1) {
      vf along = splat(0) - (l[0] * lamp->dir[0] + l[1] * lamp->dir[1] + l[2] * lamp->dir[2]);
      vf cone = pow_f(clamp_f(along, 0, 1), lamp->exponent);
      factor *= select_f(along >= splat(lamp->cos_cutoff), cone, splat(0));
    }
  }
  vf nl = max_f(dot(n, l), splat(0));
  vf shine = splat(0);
  if (lamp->is_specular) {
    vf h[3] = {l[0] + view[0], l[1] + view[1], l[2] + view[2]};
    unit(h);
    shine = pow_f(clamp_f(dot(n, h), 0, 1), set->shininess);
    shine = select_f(nl > splat(0), shine, splat(0));
  }
  for (int k = 0; k < 3; k++)
    rgb[k] += factor * (lamp->ambient[k] + nl * lamp->diffuse[k] + shine * lamp->specular[k]);
}

/* Lights vertices `which` (a multiple of eight of them) into their rows of canvas->lit. */
static void light_vertices(const vk_draw *d, const vk_draw_item *item, const lamp_set *set,
                           const uint32_t *which, size_t n)
{
  for (size_t i = 0; i < n; i += VK_LANES) {
    vf a[VK_STREAM_N], rgb[3], view[3];
    for (size_t s = 0; s < VK_STREAM_N; s++)
      a[s] = (vf)gather((const uint32_t *)(const void *)(item->stream + s * item->n_vertex_padded),
                        load_i(which + i));
    for (int k = 0; k < 3; k++) {
      rgb[k] = splat(set->emission[k]);
      view[k] = set->camera[k] - a[k];
    }
    unit(view);
    for (int k = 0; k < set->n; k++)
      add_lamp(set, &set->light[k], a, a + VK_STREAM_NX, view, rgb);
    const vf low[4] = {splat(1), clamp_f(rgb[0], 0, 255), clamp_f(rgb[1], 0, 255),
                       clamp_f(rgb[2], 0, 255)};
    const vf high[4] = {a[VK_STREAM_U], a[VK_STREAM_V], a[VK_STREAM_W], splat(0)};
    float rows[VK_LANES * 8];
    untranspose4(low, rows, 8);
    untranspose4(high, rows + 4, 8);
    for (size_t k = 0; k < VK_LANES; k++)
      memcpy(d->canvas->lit + 8 * (size_t)which[i + k], rows + 8 * k, 8 * sizeof *rows);
  }
}

static void make_record(const vk_hit *h, const float *lit, vk_record *r)
{
  vf v[3];
  for (int k = 0; k < 3; k++)
    v[k] = load(lit + 8 * (size_t)h->vertex[k]) * h->iw[k];
  int64_t dx1 = h->x[1] - h->x[0], dy1 = h->y[1] - h->y[0];
  int64_t dx2 = h->x[2] - h->x[0], dy2 = h->y[2] - h->y[0];
  float per_area = VK_SUBPIXEL / (float)(dx1 * dy2 - dx2 * dy1);
  vf a = v[1] - v[0], b = v[2] - v[0];
  store(r->base, v[0]);
  store(r->gx, a * ((float)dy2 * per_area) - b * ((float)dy1 * per_area));
  store(r->gy, b * ((float)dx1 * per_area) - a * ((float)dx2 * per_area));
  r->ref_x = (float)h->x[0] * (1.0f / VK_SUBPIXEL);
  r->ref_y = (float)h->y[0] * (1.0f / VK_SUBPIXEL);
}

static void set_texture(const vk_draw *d, uint32_t texture, vk_record *r)
{
  r->texel = r->shape = 0;
  if (texture == VK_VISUALS_NONE)
    return;
  const vk_visuals_texture *t = &d->visuals->texture[texture];
  r->texel = t->first;
  r->shape = (uint32_t)__builtin_ctz(t->width) |
             (uint32_t)__builtin_ctz(t->height) << VK_SHAPE_HEIGHT | VK_SHAPE_TEXTURE |
             (t->kind == VK_TEXTURE_CUBE ? VK_SHAPE_CUBE : 0);
}

/* Vertices of the hits, each once; padded with the last one. */
static size_t list_vertices(vk_draw *d, const vk_draw_item *item, bool all)
{
  vk_canvas *c = d->canvas;
  size_t n = 0;
  c->stamp++;
  for (int i = item->hit; i < item->hit + item->n_hit; i++) {
    if (!all && !c->record_of[i])
      continue;
    for (int k = 0; k < 3; k++) {
      uint32_t v = c->hit[i].vertex[k];
      c->wanted[n] = v;
      n += c->lit_by[v] != c->stamp;
      c->lit_by[v] = c->stamp;
    }
  }
  for (; n % VK_LANES; n++)
    c->wanted[n] = c->wanted[n - 1];
  return n;
}

/* Whether a triangle lies in the face that reflects. */
static bool on_face(const vk_draw *d, const vk_draw_item *item, const vk_hit *h)
{
  const float *z = item->stream + VK_STREAM_Z * item->n_vertex_padded;
  return z[h->vertex[0]] >= d->mirror_z && z[h->vertex[1]] >= d->mirror_z &&
         z[h->vertex[2]] >= d->mirror_z;
}

void VK_KERNEL(vk_light_item)(vk_draw *d, const vk_draw_item *item, bool all)
{
  vk_canvas *c = d->canvas;
  bool is_mirror = d->mirror >= 0 && item == &c->item[d->mirror];
  size_t n = list_vertices(d, item, all);
  if (!n)
    return;
  lamp_set set = lamps_of(d, item);
  light_vertices(d, item, &set, c->wanted, n);
  for (int i = item->hit; i < item->hit + item->n_hit; i++) {
    if (!all && !c->record_of[i])
      continue;
    vk_record *r = &c->record[d->n_record];
    c->record_of[i] = (uint32_t)d->n_record++;
    if (c->hit[i].iw[0] > 0)
      make_record(&c->hit[i], c->lit, r);
    else
      vk_clip_record(d, item, c->hit[i].vertex, c->lit, r);
    set_texture(d, item->material->texture, r);
    r->is_mirror = is_mirror && on_face(d, item, &c->hit[i]);
  }
}

void VK_KERNEL(vk_light_sky)(vk_draw *d)
{
  vk_record *r = &d->canvas->record[1];
  memset(r, 0, sizeof *r);
  r->base[0] = 1;
  uint32_t sky = d->is_mirror ? VK_VISUALS_NONE : d->look->sky;
  set_texture(d, sky, r);
  for (int k = 0; k < 3; k++) {
    r->base[1 + k] = sky == VK_VISUALS_NONE ? 0 : 255;
    r->base[4 + k] = d->sky_base[k];
    r->gx[4 + k] = d->sky_gx[k];
    r->gy[4 + k] = d->sky_gy[k];
  }
  d->canvas->record_of[0] = 1;
  d->n_record = 2;
}
