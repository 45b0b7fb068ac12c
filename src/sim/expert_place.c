/* Where an object may come to rest so that an atom holds: orientations and positions over the place
 * are tried, and the object is let down there until its boxes touch. */
#include <stdlib.h>

#include "sim/expert_internal.h"

enum { ORIENTATIONS_MAX = 64 };

static const double GRID_M = 0.018; /* between positions tried */

/* ---- what the predicates ask of a position ------------------------------------------------- */

static bool on_site(const double *R, const double *size, const double d[3])
{
  double v[3];
  vk_m3_apply(v, R, d); /* R, not its transpose, as the benchmark has it */
  return v[2] > size[2] - 0.005 && v[2] < size[2] + 0.10 && fabs(v[0]) < size[0] &&
         fabs(v[1]) < size[1];
}

static bool in_site(const double *R, const double *size, const double d[3])
{
  double h[3];
  vk_m3_apply(h, R, size);
  for (int k = 0; k < 3; k++)
    h[k] = fabs(h[k]);
  return fabs(d[0]) < h[0] && fabs(d[1]) < h[1] && d[2] > -h[2] - 0.01 && d[2] < h[2];
}

bool vk_expert_place_fits(const vk_expert *e, const double p_world[3])
{
  const mjModel *m = e->now.m;
  const mjData *d = e->now.d;
  double off[3];
  if (e->atom.site < 0) {
    const vk_pose b = vk_expert_object_pose(e, e->atom.b);
    vk_v3_sub(off, p_world, b.p);
    return off[2] >= 0 && hypot(off[0], off[1]) < 0.03;
  }
  const int s = e->atom.site;
  vk_v3_sub(off, p_world, d->site_xpos + 3 * s);
  return e->atom.kind == VK_ATOM_IN ? in_site(d->site_xmat + 9 * s, m->site_size + 3 * s, off)
                                    : on_site(d->site_xmat + 9 * s, m->site_size + 3 * s, off);
}

/* The same with room to every side. */
static bool fits_well(const vk_expert *e, const double p[3], double room_m)
{
  for (int i = 0; i < 4; i++) {
    const double q[3] = {p[0] + room_m * ((i == 0) - (i == 1)),
                         p[1] + room_m * ((i == 2) - (i == 3)), p[2]};
    if (!vk_expert_place_fits(e, q))
      return false;
  }
  return true;
}

/* ---- orientations -------------------------------------------------------------------------- */

typedef struct orientation {
  double R[9];
  double cost;
} orientation;

static void turn_z(double out[9], double angle, const double R[9])
{
  const double w[3] = {0, 0, angle};
  vk_m3_turn(out, w, R);
}

/* The orientation with its most upright axis made upright. */
static void straighten(double out[9], const double R[9])
{
  int k = 0;
  double axis[3], w[3];
  for (int c = 1; c < 3; c++)
    if (fabs(R[6 + c]) > fabs(R[6 + k]))
      k = c;
  const double up[3] = {0, 0, R[6 + k] > 0 ? 1 : -1};
  vk_m3_column(axis, R, k);
  vk_v3_cross(w, axis, up);
  const double s = vk_v3_norm(w), angle = atan2(s, fabs(axis[2]));
  for (int i = 0; i < 3 && s > 1e-9; i++)
    w[i] *= angle / s;
  vk_m3_turn(out, w, R);
}

/* Angle about z that brings the object's x or y axis, whichever lies flatter, along the frame's. */
static double aligning_yaw(const double frame[9], const double R[9])
{
  const int c = fabs(R[6]) < fabs(R[7]) ? 0 : 1, f = fabs(frame[6]) < 0.5 ? 0 : 2;
  double yaw = atan2(frame[3 + f], frame[f]) - atan2(R[3 + c], R[c]);
  while (yaw > M_PI / 4)
    yaw -= M_PI / 2;
  while (yaw < -M_PI / 4)
    yaw += M_PI / 2;
  return yaw;
}

/* Adds an orientation unless it is there already. */
static int add_orientation(orientation *list, int n, const double R[9], double cost)
{
  for (int i = 0; i < n; i++)
    if (vk_m3_angle(list[i].R, R) < 0.1)
      return n;
  if (n == ORIENTATIONS_MAX)
    return n;
  int k = n;
  for (; k > 0 && list[k - 1].cost > cost; k--)
    list[k] = list[k - 1];
  memcpy(list[k].R, R, sizeof list[k].R);
  list[k].cost = cost;
  return n + 1;
}

/* Upright as it stands and tipped over, at the present yaw and along the frame of the place; by
 * cost. */
static int list_orientations(const vk_expert *e, const double frame[9], bool is_sideways,
                             orientation *out)
{
  static const double tilts_rad[] = {0, M_PI / 2, 1.1, 0.8}, costs[] = {0, 0.8, 1.0, 1.0};
  const vk_pose object = vk_expert_object_pose(e, e->object);
  double upright[9], R[9], tipped[9];
  int n = 0;
  straighten(upright, object.R);
  const double align = aligning_yaw(frame, upright);
  const int f = fabs(frame[6]) > 0.5 ? 2 : 0; /* the flat axis of the frame */
  double side[2] = {frame[f], frame[3 + f]};
  const double norm = hypot(side[0], side[1]);
  for (size_t t = 0; t < VK_COUNT(tilts_rad); t++)
    for (int dir = 0; dir < (t == 0 ? 1 : 4); dir++) {
      const double c = cos(dir * M_PI / 2), s = sin(dir * M_PI / 2);
      const double w[3] = {tilts_rad[t] * (c * side[0] - s * side[1]) / norm,
                           tilts_rad[t] * (s * side[0] + c * side[1]) / norm, 0};
      /* As it is, aligned in quarter turns, and in steps of 45 degrees where it is upright. */
      for (int i = 0; i < (t == 0 && !is_sideways ? 12 : 5); i++) {
        const double yaw = i == 0 ? 0 : i < 5 ? align + (i - 2) * M_PI / 2 : (i - 8) * M_PI / 4;
        turn_z(R, yaw, upright);
        vk_m3_turn(tipped, w, R);
        if (t > 0 && i == 0)
          continue;
        n = add_orientation(out, n, tipped, costs[t] + 0.08 * fabs(yaw));
      }
    }
  return n;
}

/* ---- positions ----------------------------------------------------------------------------- */

typedef struct region {
  double centre[3]; /* where the object's origin goes best, world */
  double half[2];   /* of the positions tried, along x and y of the world */
  double z_lo, z_hi;
  double frame[9];
} region;

static void find_region(const vk_expert *e, region *r)
{
  const mjModel *m = e->now.m;
  const mjData *d = e->now.d;
  if (e->atom.site < 0) {
    const vk_pose b = vk_expert_object_pose(e, e->atom.b);
    vk_v3_copy(r->centre, b.p);
    r->half[0] = r->half[1] = 0.019;
    r->z_lo = b.p[2] - 0.05;
    r->z_hi = b.p[2] + 0.25;
    memcpy(r->frame, b.R, sizeof b.R);
    return;
  }
  const double *R = d->site_xmat + 9 * e->atom.site, *size = m->site_size + 3 * e->atom.site;
  double h[3];
  vk_v3_copy(r->centre, d->site_xpos + 3 * e->atom.site);
  for (int k = 0; k < 3; k++)
    h[k] = fabs(R[3 * k]) * size[0] + fabs(R[3 * k + 1]) * size[1] + fabs(R[3 * k + 2]) * size[2];
  const bool is_in = e->atom.kind == VK_ATOM_IN;
  r->half[0] = h[0];
  r->half[1] = h[1];
  r->z_lo = r->centre[2] - h[2] - 0.03;
  r->z_hi = r->centre[2] + h[2] + (is_in ? -0.003 : 0.095);
  memcpy(r->frame, R, sizeof r->frame);
}

/* Lets the object down from z_hi; false when it is nowhere free, else sets its height at rest. */
static bool settle(const vk_world *near, const vk_held *boxes, vk_pose *at, double z_hi,
                   double z_lo)
{
  const double step = 0.01, margin = -0.001;
  double z = z_hi;
  for (at->p[2] = z; z > z_lo; at->p[2] = z -= step)
    if (vk_world_held_free(near, boxes, at, margin))
      break;
  if (z <= z_lo)
    return false;
  double lo = z;
  while (lo > z_lo && vk_world_held_free(near, boxes, at, margin))
    at->p[2] = lo -= step;
  if (lo <= z_lo)
    return false; /* nothing to rest on */
  double hi = lo + step;
  for (int i = 0; i < 5; i++) {
    at->p[2] = (lo + hi) / 2;
    if (vk_world_held_free(near, boxes, at, margin))
      hi = at->p[2];
    else
      lo = at->p[2];
  }
  at->p[2] = hi;
  return true;
}

/* The way out of the place: what the fixture's row says, else up. */
static void find_way_out(const vk_expert *e, double out[3])
{
  static const double up[3] = {0, 0, 1};
  vk_v3_copy(out, up);
  if (e->atom.site < 0 || e->atom.site_owner < 0)
    return;
  const vk_instance *owner = &e->scene->instance[e->atom.site_owner];
  const vk_fixture_fact *f =
      vk_facts_fixture(e->facts, vk_pack_text(e->scene->pack, owner->cls->name));
  const char *site = mj_id2name(e->now.m, mjOBJ_SITE, e->atom.site);
  for (int i = 0; f && site && i < f->n_entry; i++) {
    const size_t n = strlen(f->entry[i].region), all = strlen(site);
    if (all >= n && strcmp(site + all - n, f->entry[i].region) == 0) {
      const vk_pose pose = vk_expert_object_pose(e, e->atom.site_owner);
      vk_m3_apply(out, pose.R, f->entry[i].out);
      return;
    }
  }
}

/* ---- search -------------------------------------------------------------------------------- */

typedef struct offset {
  double x, y, cost;
} offset;

enum { STEPS_MAX = 7, OFFSETS_MAX = (2 * STEPS_MAX + 1) * (2 * STEPS_MAX + 1) };

static int compare_offset(const void *a, const void *b)
{
  const double x = ((const offset *)a)->cost, y = ((const offset *)b)->cost;
  return (x > y) - (x < y);
}

/* Positions over the region, those near (toward) first. */
static int list_offsets(const region *r, const double toward[2], offset *out)
{
  const int nx = (int)fmin(r->half[0] / GRID_M, STEPS_MAX),
            ny = (int)fmin(r->half[1] / GRID_M, STEPS_MAX);
  int n = 0;
  out[n++] = (offset){toward[0], toward[1], 0};
  for (int ix = -nx; ix <= nx; ix++)
    for (int iy = -ny; iy <= ny && n < OFFSETS_MAX; iy++) {
      const double x = nx ? ix * r->half[0] * 0.92 / nx : 0;
      const double y = ny ? iy * r->half[1] * 0.92 / ny : 0;
      out[n++] = (offset){x, y, 3 * hypot(x - toward[0], y - toward[1])};
    }
  qsort(out, (size_t)n, sizeof *out, compare_offset);
  return n;
}

/* The position for one orientation that is nearest to the middle, or so much further out of what is
 * entered sideways; false when there is none.
 *   outward, aside  shares of the way from the middle to the edge, on the way out and across it */
static bool find_position(const vk_expert *e, const region *r, const vk_held *boxes,
                          const double R[9], double outward, double aside, vk_place *place)
{
  offset list[OFFSETS_MAX];
  double off[3], toward[2], lo[3], hi[3], mid[3];
  /* The middle of the object goes over the middle of the place, as far as the atom allows. */
  const vk_pose object = vk_expert_object_pose(e, e->object);
  vk_world_bounds(&e->world, e->object, &object, lo, hi);
  for (int k = 0; k < 3; k++)
    mid[k] = (lo[k] + hi[k]) / 2;
  vk_m3_apply(off, R, mid);
  for (int k = 0; k < 2; k++)
    toward[k] = fmax(fmin(-off[k], r->half[k] * 0.6), -r->half[k] * 0.6);
  for (int k = 0; k < 2; k++) {
    if (fabs(place->out[k]) > 0.5 && outward > 0)
      toward[k] = copysign(r->half[k] * outward, place->out[k]);
    if (fabs(place->out[k]) < 0.5 && aside != 0)
      toward[k] = r->half[k] * aside;
  }
  const int n = list_offsets(r, toward, list);
  for (int i = 0; i < n; i++) {
    vk_pose at = {{r->centre[0] + list[i].x, r->centre[1] + list[i].y, 0}, {0}};
    memcpy(at.R, R, sizeof at.R);
    if (!settle(&e->near, boxes, &at, r->z_hi, r->z_lo) || !fits_well(e, at.p, 0.004))
      continue;
    place->object = at;
    place->cost = list[i].cost + 0.05 * outward + 0.05 * fabs(aside);
    return true;
  }
  return false;
}

/* What slides in sideways is held half way up the free height, so that it touches no edge. */
static void raise_sideways(const vk_expert *e, const vk_held *boxes, vk_place *place)
{
  static const double heights_m[] = {0.036, 0.024, 0.014, 0.007};
  vk_pose at = place->object;
  if (place->out[2] > 0.5)
    return;
  for (size_t i = 0; i < VK_COUNT(heights_m); i++) {
    at.p[2] = place->object.p[2] + heights_m[i];
    if (!vk_world_held_free(&e->near, boxes, &at, 0))
      continue;
    at.p[2] = place->object.p[2] + heights_m[i] / 2;
    if (vk_expert_place_fits(e, at.p)) {
      place->object = at;
      return;
    }
  }
}

/* Keeps the list by cost; there is room. */
static int insert_place(vk_place *list, int n, const vk_place *place)
{
  int k = n;
  for (; k > 0 && list[k - 1].cost > place->cost; k--)
    list[k] = list[k - 1];
  list[k] = *place;
  return n + 1;
}

int vk_expert_find_places(vk_expert *e, vk_place *out, int max)
{
  orientation way[ORIENTATIONS_MAX];
  region r;
  vk_held boxes;
  int n = 0;
  const vk_pose object = vk_expert_object_pose(e, e->object);
  find_region(e, &r);
  vk_place place;
  find_way_out(e, place.out);
  const bool is_sideways = place.out[2] < 0.5;
  const int n_way = list_orientations(e, r.frame, is_sideways, way);
  vk_world_hold(&e->world, e->is_stacked, &object, &boxes);
  vk_world_select(&e->near, &e->world, e->is_stacked, r.centre,
                  hypot(r.half[0], r.half[1]) + (r.z_hi - r.z_lo) + 0.3);
  /* What is entered sideways is offered at several depths and widths, for the hand's sake. */
  static const double shares[][2] = {{0, 0},        {0.44, 0},    {0.88, 0},    {0.44, 0.35},
                                     {0.44, -0.35}, {0.88, 0.35}, {0.88, -0.35}};
  for (int i = 0; i < n_way; i++)
    for (int k = 0; k < (!is_sideways ? 1 : way[i].cost < 0.5 ? 7 : 3) && n < max; k++) {
      if (!find_position(e, &r, &boxes, way[i].R, shares[k][0], shares[k][1], &place))
        continue;
      raise_sideways(e, &boxes, &place);
      place.cost += way[i].cost;
      n = insert_place(out, n, &place);
    }
  return n;
}
