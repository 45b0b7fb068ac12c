/* collide.c - mj_collision with the same contacts in the same order. Compiled once a path.
 *
 * MuJoCo takes body pairs in ascending order (all with the world, all with a fixed body that has a
 * plane, and those that its sweep along the principal axes of all geoms finds), in each the geoms'
 * pairs in ascending order, drops those whose bounding spheres are apart, and asks the collision
 * function of the types. Here pairs are first dropped by boxes:
 *   - The sweep's boxes hold the bounding spheres, so a pair that touches is in the sweep, unless
 *     its spheres overlap by less than the sweep's rounding (CLOSE_M): then MuJoCo itself is asked.
 *   - Boxes along the world's axes, or along the geoms' own, that are more than SLACK_M apart
 *     cannot touch. For boxes 1/sqrt(3) of the distance at least is along one of the axes that
 *     mjc_BoxBox tries, because the normals of the faces of a difference of boxes that meet in a
 *     corner are at most at right angles; rounding is smaller by many orders.
 *   - A body with a plane is paired with each other body twice when the sweep finds it as well.
 *     Then, as in MuJoCo, each contact appears twice. */
#include <math.h>
#include <string.h>

#include "sim/forward_kernel.h"

#if VK_MUJOCO_IS_KNOWN

/* Positions beyond FAR_M are left to MuJoCo: its sweep compares in single precision. */
#define FAR_M   15.0
#define CLOSE_M 1e-5
#define SLACK_M 1e-4
/* Of the tests that mjc_BoxBox repeats in the same numbers. */
#define BOX_SLACK_M 1e-9
#define WIDE_M      1e30

typedef struct pass {
  vk_forward *f;
  const vk_plan *p;
  const mjModel *m;
  mjData *d;
  bool has_frame; /* of the sweep, made when first needed */
  double frame[9];
  bool gave_up; /* MuJoCo must do it */
  bool is_full;
} pass;

/* ---- boxes --------------------------------------------------------------------------------- */

static void box_slot(vk_boxes *out, int i, const vk_slot *s, const vk_plan *p, const mjData *d)
{
  const double *x = d->geom_xpos + 3 * s->geom, *R = d->geom_xmat + 9 * s->geom;
  double margin = SLACK_M / 2 + 2 * p->pair_class[s->cls * (p->n_class + 1)].margin;
  for (int k = 0; k < 3; k++) {
    const double *r = R + 3 * k;
    out->c[k][i] = x[k] + r[0] * s->offset[0] + r[1] * s->offset[1] + r[2] * s->offset[2];
    out->h[k][i] =
        fabs(r[0]) * s->half[0] + fabs(r[1]) * s->half[1] + fabs(r[2]) * s->half[2] + margin;
  }
}

static void widen(vk_boxes *b, int i)
{
  for (int k = 0; k < 3; k++) {
    b->c[k][i] = 0;
    b->h[k][i] = WIDE_M;
  }
}

/* The box of a body's slots. */
static void box_body(vk_boxes *out, int body, const vk_boxes *slot, int first, int n)
{
  for (int k = 0; k < 3; k++) {
    double lo = INFINITY, hi = -INFINITY;
    for (int i = first; i < first + n; i++) {
      double l = slot->c[k][i] - slot->h[k][i], h = slot->c[k][i] + slot->h[k][i];
      lo = l < lo ? l : lo;
      hi = h > hi ? h : hi;
    }
    out->c[k][body] = 0.5 * (lo + hi);
    out->h[k][body] = 0.5 * (hi - lo) + 1e-12;
  }
}

/* False when something is too far away, or not a number. */
static bool make_boxes(pass *s)
{
  const vk_plan *p = s->p;
  vk_boxes *slot = &s->f->slot_box, *body = &s->f->body_box;
  bool is_near = true;
  for (int b = 0; b < s->m->nbody; b++) {
    int first = p->body_slot[b], n = p->body_n_slot[b];
    if (!n)
      continue;
    for (int i = first; i < first + n; i++) {
      const double *x = s->d->geom_xpos + 3 * p->slot[i].geom;
      for (int k = 0; k < 3; k++)
        is_near = is_near && fabs(x[k]) < FAR_M;
      if (p->slot[i].is_plane)
        widen(slot, i);
      else
        box_slot(slot, i, &p->slot[i], p, s->d);
    }
    if (p->body_has_plane[b])
      widen(body, b);
    else
      box_body(body, b, slot, first, n);
  }
  return is_near;
}

/* Which of n boxes from first on overlap box i of another list; bit k: first + k. n <= 64. */
static uint64_t overlaps(const vk_boxes *a, int i, const vk_boxes *b, int first, int n)
{
  uint64_t bits = 0;
  for (int at = 0; at < n; at += 4) {
    m4 in = {-1, -1, -1, -1};
    for (int k = 0; k < 3; k++) {
      v4 c = load4u(b->c[k] + first + at), h = load4u(b->h[k] + first + at);
      v4 gap = abs4(c - a->c[k][i]) - (h + a->h[k][i]);
      in &= gap <= 0.0;
    }
    bits |= (uint64_t)mask4(in) << at;
  }
  return n < 64 ? bits & ((UINT64_C(1) << n) - 1) : bits;
}

/* ---- the sweep, for bodies with planes ----------------------------------------------------- */

/* The principal axes of all geoms of moving and fixed bodies but the world, as mj_broadphase finds
 * them. */
static void make_frame(pass *s)
{
  const mjModel *m = s->m;
  const double *x = s->d->geom_xpos;
  double cen[3] = {0, 0, 0}, c00 = 0, c01 = 0, c02 = 0, c11 = 0, c12 = 0, c22 = 0;
  int n = 0;
  for (int g = 0; g < m->ngeom; g++)
    if (m->geom_bodyid[g]) {
      for (int k = 0; k < 3; k++)
        cen[k] += x[3 * g + k];
      n++;
    }
  for (int k = 0; k < 3; k++)
    cen[k] /= n;
  for (int g = 0; g < m->ngeom; g++)
    if (m->geom_bodyid[g]) {
      double dx = x[3 * g] - cen[0], dy = x[3 * g + 1] - cen[1], dz = x[3 * g + 2] - cen[2];
      c00 += dx * dx, c01 += dx * dy, c02 += dx * dz;
      c11 += dy * dy, c12 += dy * dz, c22 += dz * dz;
    }
  double cov[9] = {c00, c01, c02, c01, c11, c12, c02, c12, c22}, value[3], quat[4];
  for (int k = 0; k < 9; k++)
    cov[k] /= n;
  mju_eig3(value, s->frame, quat, cov);
  s->has_frame = true;
}

/* A body's bounding spheres along axis k of the sweep. */
static void sweep_interval(const pass *s, int body, int k, double *lo, double *hi)
{
  const mjModel *m = s->m;
  for (int i = 0; i < m->body_geomnum[body]; i++) {
    int g = m->body_geomadr[body] + i;
    const double *x = s->d->geom_xpos + 3 * g, *f = s->frame + 3 * k;
    double c = x[0] * f[0] + x[1] * f[1] + x[2] * f[2];
    double l = c - m->geom_rbound[g] - m->geom_margin[g];
    double h = c + m->geom_rbound[g] + m->geom_margin[g];
    *lo = i && *lo < l ? *lo : l;
    *hi = i && *hi > h ? *hi : h;
  }
}

/* Whether the sweep adds a pair. Where single precision cannot tell which end comes first, the
 * order of equal elements in the C library's sort decides: MuJoCo is asked. */
static bool sweep_finds(pass *s, int b1, int b2)
{
  if (!b1)
    return false;
  if (!s->has_frame)
    make_frame(s);
  double lo1, hi1, lo2, hi2;
  for (int k = 1; k < 3; k++) {
    sweep_interval(s, b1, k, &lo1, &hi1);
    sweep_interval(s, b2, k, &lo2, &hi2);
    if (lo1 > hi2 || hi1 < lo2)
      return false;
  }
  sweep_interval(s, b1, 0, &lo1, &hi1);
  sweep_interval(s, b2, 0, &lo2, &hi2);
  float l1 = (float)lo1, h1 = (float)hi1, l2 = (float)lo2, h2 = (float)hi2;
  if (l1 == h2 || l2 == h1 || h1 == h2 || l1 == l2)
    s->gave_up = true;
  return l1 < h2 && l2 < h1;
}

/* How often the geoms of a pair of bodies are tested. */
static int n_repeat(pass *s, int b1, int b2)
{
  const vk_plan *p = s->p;
  bool has_plane = (b1 && p->body_has_plane[b1]) || p->body_has_plane[b2];
  return has_plane && sweep_finds(s, b1, b2) ? 2 : 1;
}

/* ---- pairs of geoms ------------------------------------------------------------------------ */

/* Whether boxes along the geoms' own axes are further apart than slack along one of their faces'
 * normals or, if with_edges, along a product of edges. */
static bool boxes_are_apart(const pass *s, const vk_slot *a, const vk_slot *b, double slack,
                            bool with_edges)
{
  const double *A = s->d->geom_xmat + 9 * a->geom, *B = s->d->geom_xmat + 9 * b->geom;
  const vk_boxes *box = &s->f->slot_box;
  int ia = (int)(a - s->p->slot), ib = (int)(b - s->p->slot);
  double t[3], rot[3][3], abs_rot[3][3], pa[3], pb[3];
  for (int k = 0; k < 3; k++)
    t[k] = box->c[k][ib] - box->c[k][ia];
  for (int i = 0; i < 3; i++) {
    pa[i] = A[i] * t[0] + A[3 + i] * t[1] + A[6 + i] * t[2];
    pb[i] = B[i] * t[0] + B[3 + i] * t[1] + B[6 + i] * t[2];
    for (int j = 0; j < 3; j++) {
      rot[i][j] = A[i] * B[j] + A[3 + i] * B[3 + j] + A[6 + i] * B[6 + j];
      abs_rot[i][j] = fabs(rot[i][j]);
    }
  }
  const double *ha = a->half, *hb = b->half;
  bool is_apart = false;
  for (int i = 0; i < 3; i++) {
    double ra = ha[i] + abs_rot[i][0] * hb[0] + abs_rot[i][1] * hb[1] + abs_rot[i][2] * hb[2];
    double rb = hb[i] + abs_rot[0][i] * ha[0] + abs_rot[1][i] * ha[1] + abs_rot[2][i] * ha[2];
    is_apart = is_apart || fabs(pa[i]) > ra + slack || fabs(pb[i]) > rb + slack;
  }
  if (is_apart || !with_edges)
    return is_apart;
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) {
      double n2 = 1 - rot[i][j] * rot[i][j];
      if (n2 < 1e-4)
        continue;
      int i1 = (i + 1) % 3, i2 = (i + 2) % 3, j1 = (j + 1) % 3, j2 = (j + 2) % 3;
      double gap = fabs(pa[i2] * rot[i1][j] - pa[i1] * rot[i2][j]) - ha[i1] * abs_rot[i2][j] -
                   ha[i2] * abs_rot[i1][j] - hb[j1] * abs_rot[i][j2] - hb[j2] * abs_rot[i][j1];
      if (gap > 0 && gap * gap > n2 * (slack + 1e-6) * (slack + 1e-6))
        return true;
    }
  return false;
}

/* mj_collideGeoms' tests of bounding spheres, in its numbers; a's type is not above b's. */
static bool spheres_are_apart(const pass *s, const vk_slot *a, const vk_slot *b, double margin)
{
  const double *xa = s->d->geom_xpos + 3 * a->geom, *xb = s->d->geom_xpos + 3 * b->geom;
  if (a->rbound > 0 && b->rbound > 0) {
    double dx = xa[0] - xb[0], dy = xa[1] - xb[1], dz = xa[2] - xb[2];
    return sqrt(dx * dx + dy * dy + dz * dz) > a->rbound + b->rbound + margin;
  }
  if (a->is_plane && b->rbound > 0) {
    const double *R = s->d->geom_xmat + 9 * a->geom;
    double dx = xb[0] - xa[0], dy = xb[1] - xa[1], dz = xb[2] - xa[2];
    return dx * R[2] + dy * R[5] + dz * R[8] > margin + b->rbound;
  }
  return false;
}

/* Whether b's box is above plane a by more than margin and rounding. */
static bool is_above(const pass *s, const vk_slot *a, const vk_slot *b, double margin)
{
  const double *A = s->d->geom_xmat + 9 * a->geom, *B = s->d->geom_xmat + 9 * b->geom;
  const double *xa = s->d->geom_xpos + 3 * a->geom;
  double height = -margin - BOX_SLACK_M;
  int ib = (int)(b - s->p->slot);
  for (int k = 0; k < 3; k++) {
    height += A[3 * k + 2] * (s->f->slot_box.c[k][ib] - xa[k]);
    height -= fabs(A[2] * B[k] + A[5] * B[3 + k] + A[8] * B[6 + k]) * b->half[k];
  }
  return height > 0;
}

static bool are_apart(const pass *s, const vk_slot *a, const vk_slot *b, double margin)
{
  if (spheres_are_apart(s, a, b, margin))
    return true;
  if (a->is_plane)
    return is_above(s, a, b, margin);
  bool are_boxes = a->is_box && b->is_box;
  return boxes_are_apart(s, a, b, are_boxes ? margin + BOX_SLACK_M : 2 * margin + SLACK_M, true);
}

/* Contacts of two boxes at one point: the last one counts. Returns how many stay. */
static int drop_repeated(mjContact *con, int n)
{
  int n_kept = 0;
  for (int i = 0; i < n; i++) {
    int j = i + 1;
    while (j < n && !(con[i].pos[0] == con[j].pos[0] && con[i].pos[1] == con[j].pos[1] &&
                      con[i].pos[2] == con[j].pos[2]))
      j++;
    if (j < n)
      continue;
    if (n_kept < i)
      con[n_kept] = con[i];
    n_kept++;
  }
  return n_kept;
}

static double normalize(double v[3])
{
  double norm = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
  if (norm < mjMINVAL) {
    v[0] = 1;
    v[1] = v[2] = 0;
  } else {
    double inv = 1 / norm;
    for (int k = 0; k < 3; k++)
      v[k] *= inv;
  }
  return norm;
}

/* Completes a contact frame from its first axis and perhaps its second. */
static bool make_contact_frame(double f[9])
{
  if (normalize(f) < 0.5)
    return false;
  double *y = f + 3;
  if (sqrt(y[0] * y[0] + y[1] * y[1] + y[2] * y[2]) < 0.5) {
    bool is_level = f[1] < 0.5 && f[1] > -0.5;
    y[0] = 0;
    y[1] = is_level;
    y[2] = !is_level;
  }
  double dot = f[0] * y[0] + f[1] * y[1] + f[2] * y[2];
  for (int k = 0; k < 3; k++)
    y[k] -= f[k] * dot;
  normalize(y);
  f[6] = f[1] * y[2] - f[2] * y[1];
  f[7] = f[2] * y[0] - f[0] * y[2];
  f[8] = f[0] * y[1] - f[1] * y[0];
  return true;
}

/* What does not depend on the collision function. */
static void complete(mjContact *con, const vk_slot *a, const vk_slot *b, const vk_pair_class *c)
{
  con->dim = c->condim;
  con->geom1 = a->geom;
  con->geom2 = b->geom;
  con->includemargin = c->includemargin;
  memcpy(con->friction, c->friction, sizeof c->friction);
  memcpy(con->solref, c->solref, sizeof c->solref);
  memcpy(con->solimp, c->solimp, sizeof c->solimp);
  con->exclude = !(con->dist < con->includemargin);
  con->efc_address = -1;
  con->mu = 0;
  memset(con->H, 0, sizeof con->H);
}

/* Completes the frames of a pair's contacts: mostly they begin with the same axes. */
static bool complete_frames(mjContact *con, int n)
{
  double axes[6];
  for (int i = 0; i < n; i++) {
    if (i && memcmp(con[i].frame, axes, sizeof axes) == 0) {
      memcpy(con[i].frame, con[i - 1].frame, sizeof con->frame);
      continue;
    }
    memcpy(axes, con[i].frame, sizeof axes);
    if (!make_contact_frame(con[i].frame))
      return false;
  }
  return true;
}

/* MuJoCo's sweep might not have found what touches so lightly. Bodies with planes and the world are
 * paired without the sweep. */
static bool is_doubtful(const pass *s, const vk_slot *a, const vk_slot *b)
{
  const vk_plan *p = s->p;
  if (!a->body || !b->body || p->body_has_plane[a->body] || p->body_has_plane[b->body])
    return false;
  const double *xa = s->d->geom_xpos + 3 * a->geom, *xb = s->d->geom_xpos + 3 * b->geom;
  double dx = xa[0] - xb[0], dy = xa[1] - xb[1], dz = xa[2] - xb[2];
  return sqrt(dx * dx + dy * dy + dz * dz) > a->rbound + b->rbound - CLOSE_M;
}

static void collide_pair(pass *s, const vk_slot *a, const vk_slot *b)
{
  if (a->type > b->type) {
    const vk_slot *swap = a;
    a = b;
    b = swap;
  }
  mjfCollision fn = mjCOLLISIONFUNC[a->type][b->type];
  const vk_pair_class *c = &s->p->pair_class[a->cls * s->p->n_class + b->cls];
  if (!fn || !c->can_touch || are_apart(s, a, b, c->margin))
    return;
  mjData *d = s->d;
  mjContact local[mjMAXCONPAIR];
  bool has_room = d->ncon + mjMAXCONPAIR <= s->m->nconmax;
  mjContact *con = has_room ? d->contact + d->ncon : local;
  bool are_boxes = a->is_box && b->is_box;
  int n = are_boxes ? VK_KERNEL(vk_box_box)(s->m, d, con, a->geom, b->geom, c->margin)
                    : fn(s->m, d, con, a->geom, b->geom, c->margin);
  if (are_boxes)
    n = drop_repeated(con, n);
  if (!n)
    return;
  for (int i = 0; i < n; i++)
    complete(con + i, a, b, c);
  if (!complete_frames(con, n) || is_doubtful(s, a, b)) {
    s->gave_up = true;
    return;
  }
  if (!has_room) {
    int n_room = s->m->nconmax - d->ncon;
    if (n > n_room) {
      mj_warning(d, mjWARN_CONTACTFULL, s->m->nconmax);
      n = n_room;
      s->is_full = true;
    }
    memcpy(d->contact + d->ncon, local, sizeof *local * (size_t)n);
  }
  d->ncon += n;
}

static void collide_bodies(pass *s, int b1, int b2)
{
  const vk_plan *p = s->p;
  const vk_boxes *slot = &s->f->slot_box;
  int n = n_repeat(s, b1, b2), n2 = p->body_n_slot[b2];
  for (int r = 0; r < n; r++)
    for (int i = p->body_slot[b1]; i < p->body_slot[b1] + p->body_n_slot[b1]; i++) {
      if (!overlaps(slot, i, &s->f->body_box, b2, 1))
        continue;
      for (int at = 0; at < n2; at += 64) {
        int first = p->body_slot[b2] + at;
        uint64_t bits = overlaps(slot, i, slot, first, n2 - at < 64 ? n2 - at : 64);
        for (; bits && !s->is_full; bits &= bits - 1)
          collide_pair(s, &p->slot[i], &p->slot[first + __builtin_ctzll(bits)]);
      }
    }
}

static bool collide(vk_forward *f, const mjModel *m, mjData *d)
{
  pass s = {.f = f, .p = &f->plan, .m = m, .d = d};
  d->ncon = 0;
  if (!make_boxes(&s))
    return false;
  for (int b1 = 0; b1 < m->nbody && !s.is_full; b1++) {
    const uint8_t *pair = f->plan.body_pair + b1 * m->nbody;
    for (int at = b1 + 1; at < m->nbody; at += 64) {
      int n = m->nbody - at < 64 ? m->nbody - at : 64;
      uint64_t bits = f->plan.body_n_slot[b1] ? overlaps(&f->body_box, b1, &f->body_box, at, n) : 0;
      for (; bits && !s.is_full; bits &= bits - 1) {
        int b2 = at + __builtin_ctzll(bits);
        if (pair[b2])
          collide_bodies(&s, b1, b2);
      }
    }
  }
  return !s.gave_up;
}

bool VK_KERNEL(vk_collide)(vk_forward *f, const mjModel *m, mjData *d)
{
  return collide(f, m, d);
}

#endif
