/* collide_box.c - mjc_BoxBox where a face of one box decides, with the same contacts. Compiled once
 * a path.
 *
 * Of the fifteen axes that may separate two boxes the one with the least overlap decides: when it
 * is a face's normal, the other box's nearest face, edge or corner is clipped against that face.
 * Where a product of edges decides, MuJoCo is asked. */
#include <math.h>
#include <string.h>

#include "sim/forward_kernel.h"

#if VK_MUJOCO_IS_KNOWN

enum { N_POINT_MAX = 24 };

typedef struct boxes {
  const double *pos[2], *mat[2], *size[2];
  double pos21[3], pos12[3]; /* centre of one in the frame of the other */
  double rot[9], rot_abs[9]; /* box 1's frame to box 2's */
  double margin;
} boxes;

/* A frame whose third axis is the face's outer normal, for faces +x +y +z -x -y -z: rows are the
 * box's axes up to sign. */
typedef struct face_frame {
  int axis[3];
  double sign[3];
} face_frame;
static const face_frame faces[6] = {
    {{2, 1, 0}, {-1, 1, 1}}, {{0, 2, 1}, {1, -1, 1}}, {{0, 1, 2}, {1, 1, 1}},
    {{2, 1, 0}, {1, 1, -1}}, {{0, 2, 1}, {1, 1, -1}}, {{0, 1, 2}, {-1, 1, -1}},
};

static void set_frame_matrix(double m[9], const face_frame *f)
{
  memset(m, 0, 9 * sizeof *m);
  for (int k = 0; k < 3; k++)
    m[3 * k + f->axis[k]] = f->sign[k];
}

/* mju_rotVecMat and mju_rotVecMatT */
static void mul_mat(double out[3], const double m[9], const double v[3])
{
  for (int k = 0; k < 3; k++)
    out[k] = m[3 * k] * v[0] + m[3 * k + 1] * v[1] + m[3 * k + 2] * v[2];
}

static void mul_mat_t(double out[3], const double m[9], const double v[3])
{
  for (int k = 0; k < 3; k++)
    out[k] = m[k] * v[0] + m[3 + k] * v[1] + m[6 + k] * v[2];
}

/* a b' as mju_mulMatMatT sums it. */
static void mul_mat_mat_t(double out[9], const double a[9], const double b[9])
{
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++)
      out[3 * i + j] =
          0.0 + (a[3 * i] * b[3 * j] + a[3 * i + 1] * b[3 * j + 1] + a[3 * i + 2] * b[3 * j + 2]);
}

static void prepare(boxes *b)
{
  double d21[3], d12[3];
  for (int k = 0; k < 3; k++) {
    d21[k] = b->pos[1][k] - b->pos[0][k];
    d12[k] = b->pos[0][k] - b->pos[1][k];
  }
  mul_mat_t(b->pos21, b->mat[0], d21);
  mul_mat_t(b->pos12, b->mat[1], d12);
  const double *A = b->mat[0], *B = b->mat[1];
  for (int j = 0; j < 3; j++)
    for (int k = 0; k < 3; k++) {
      double r = (0.0 + B[k] * A[j]) + B[3 + k] * A[3 + j];
      b->rot[3 * j + k] = r + B[6 + k] * A[6 + j];
      b->rot_abs[3 * j + k] = fabs(b->rot[3 * j + k]);
    }
}

/* The face that overlaps least: 0 to 5 of box 1, 6 to 11 of box 2; -1: apart, -2: none. */
static int find_face(const boxes *b, double *overlap)
{
  const double *s1 = b->size[0], *s2 = b->size[1];
  double half1[3], half2[3], least = b->margin;
  mul_mat(half2, b->rot_abs, s2);
  mul_mat_t(half1, b->rot_abs, s1);
  for (int i = 0; i < 3; i++)
    least += s1[i] * 3 + s2[i] * 3;
  int face = -2;
  for (int i = 0; i < 3; i++) {
    double o1 = -fabs(b->pos21[i]) + s1[i] + half2[i], o2 = -fabs(b->pos12[i]) + s2[i] + half1[i];
    if (o1 < -b->margin || o2 < -b->margin)
      return -1;
    if (o1 < least) {
      least = o1;
      face = i + 3 * (b->pos21[i] < 0);
    }
    if (o2 < least) {
      least = o2;
      face = i + 3 * (b->pos12[i] < 0) + 6;
    }
  }
  *overlap = least;
  return face;
}

/* The overlaps along products of edge i of box 1 and the three edges of box 2; lanes where they are
 * parallel are marked in *skip. */
static v4 edge_overlaps(const boxes *b, int i, m4 *skip)
{
  int i1 = i == 0 ? 1 : 0, i2 = i == 2 ? 1 : 2;
  const double *r1 = b->rot + 3 * i1, *r2 = b->rot + 3 * i2, *abs_i = b->rot_abs + 3 * i;
  const double *s1 = b->size[0], *s2 = b->size[1];
  v4 along1 = {r2[0], r2[1], r2[2], 1}, along2 = {r1[0], r1[1], r1[2], 1};
  if (i == 1)
    along2 = -along2;
  else
    along1 = -along1;
  v4 norm = sqrt4(along1 * along1 + along2 * along2);
  *skip = norm < mjMINVAL;
  v4 inv = 1.0 / norm;
  along1 *= inv;
  along2 *= inv;
  v4 dist = b->pos21[i1] * along1 + b->pos21[i2] * along2;
  v4 sum = s1[i1] * abs4(along1);
  sum += s1[i2] * abs4(along2);
  sum += (v4){s2[1] * abs_i[2], s2[0] * abs_i[2], s2[0] * abs_i[1], 0} / norm;
  sum += (v4){s2[2] * abs_i[1], s2[2] * abs_i[0], s2[1] * abs_i[0], 0} / norm;
  return sum - abs4(dist);
}

/* 0: apart along a product of edges; 1: the face decides; 2: a product does. */
static int try_edges(const boxes *b, double overlap)
{
  for (int i = 0; i < 3; i++) {
    m4 skip;
    v4 o = edge_overlaps(b, i, &skip);
    unsigned apart = mask4((o < -b->margin) & ~skip) & 7;
    unsigned less = mask4((o < overlap * (1 - 1e-12)) & ~skip) & 7;
    /* In MuJoCo's order: what comes first counts. */
    if (less && (!apart || (less & -less) < (apart & -apart)))
      return 2;
    if (apart)
      return 0;
  }
  return 1;
}

/* The deciding face and the other box, in the face's frame. */
typedef struct clip {
  double lx, ly, hz; /* half sizes of the face and height of its box */
  double corner[3];  /* lowest corner of the other box */
  double edge[2][3]; /* its edges that lie rather flat */
  int n_edge;
  double point[N_POINT_MAX][3];
  int n;
} clip;

static void set_clip(clip *c, const boxes *b, int side, const face_frame *f, const double turn[9])
{
  double r[9], p[3];
  const double *centre = side ? b->pos12 : b->pos21, *own = b->size[side], *s = b->size[!side];
  if (side)
    mul_mat_mat_t(r, turn, b->rot);
  else
    for (int k = 0; k < 3; k++)
      for (int j = 0; j < 3; j++)
        r[3 * k + j] = b->rot[3 * f->axis[k] + j] * f->sign[k];
  for (int k = 0; k < 3; k++)
    p[k] = centre[f->axis[k]] * f->sign[k];
  c->lx = fabs(own[f->axis[0]] * f->sign[0]);
  c->ly = fabs(own[f->axis[1]] * f->sign[1]);
  c->hz = fabs(own[f->axis[2]] * f->sign[2]);
  p[2] -= c->hz;
  c->n_edge = c->n = 0;
  for (int i = 0; i < 3; i++) {
    double scale = s[i] * (r[6 + i] < 0 ? 1 : -1);
    for (int k = 0; k < 3; k++)
      p[k] += r[3 * k + i] * scale;
    if (fabs(r[6 + i]) < 0.5 && c->n_edge < 2) {
      double length = s[i] * (r[6 + i] < 0 ? -2 : 2);
      for (int k = 0; k < 3; k++)
        c->edge[c->n_edge][k] = r[3 * k + i] * length;
      c->n_edge++;
    }
  }
  memcpy(c->corner, p, sizeof p);
}

/* Where the line from a along d crosses the sides of the face. */
static void clip_line(clip *c, const double a[3], const double d[3])
{
  for (int q = 0; q < 2; q++) {
    if (!(fabs(d[q]) > mjMINVAL))
      continue;
    double half = q ? c->ly : c->lx, other = q ? c->lx : c->ly;
    for (int j = -1; j <= 1; j += 2) {
      double l = half * j, t = (l - a[q]) * (1 / d[q]);
      if (t < 0 || t > 1)
        continue;
      double across = a[1 - q] + d[1 - q] * t;
      if (fabs(across) > other)
        continue;
      double *p = c->point[c->n++];
      for (int k = 0; k < 3; k++)
        p[k] = a[k] + d[k] * t;
    }
  }
}

/* Corners of the face inside the other's flat face. */
static void add_face_corners(clip *c)
{
  const double *e1 = c->edge[0], *e2 = c->edge[1];
  double det = e1[0] * e2[1] - e2[0] * e1[1];
  for (int i = 0; i < 4; i++) {
    double llx = i / 2 ? c->lx : -c->lx, lly = i % 2 ? c->ly : -c->ly;
    double x = llx - c->corner[0], y = lly - c->corner[1];
    double u = (x * e2[1] - y * e2[0]) * (1 / det), v = (y * e1[0] - x * e1[1]) * (1 / det);
    if (u <= 0 || v <= 0 || u >= 1 || v >= 1)
      continue;
    double *p = c->point[c->n++];
    p[0] = llx;
    p[1] = lly;
    p[2] = c->corner[2] + u * e1[2] + v * e2[2];
  }
}

static void add3(double out[3], const double a[3], const double b[3])
{
  for (int k = 0; k < 3; k++)
    out[k] = a[k] + b[k];
}

/* The other's lowest corner, and those along its flat edges that are above the face. */
static void clip_features(clip *c)
{
  double corner[4][3];
  memcpy(corner[0], c->corner, sizeof c->corner);
  if (c->n_edge > 0) {
    add3(corner[1], c->corner, c->edge[0]);
    clip_line(c, c->corner, c->edge[0]);
  }
  if (c->n_edge > 1) {
    add3(corner[2], c->corner, c->edge[1]);
    add3(corner[3], corner[1], c->edge[1]);
    clip_line(c, c->corner, c->edge[1]);
    clip_line(c, corner[1], c->edge[1]);
    clip_line(c, corner[2], c->edge[0]);
    add_face_corners(c);
  }
  for (int i = 0; i < 1 << c->n_edge; i++) {
    const double *p = corner[i];
    bool is_beside = p[0] <= -c->lx || p[0] >= c->lx || p[1] <= -c->ly || p[1] >= c->ly;
    if (!i || !is_beside)
      memcpy(c->point[c->n++], p, sizeof corner[i]);
  }
}

/* Writes the points that are low enough as contacts. */
static int put_contacts(const clip *c, const boxes *b, int side, const double turn[9],
                        mjContact *con)
{
  double r[9];
  int n = 0;
  mul_mat_mat_t(r, b->mat[side], turn);
  for (int i = 0; i < c->n; i++) {
    if (c->point[i][2] > b->margin)
      continue;
    double p[3] = {c->point[i][0], c->point[i][1], c->point[i][2] * 0.5}, world[3];
    con[n].dist = c->point[i][2];
    con[n].dist *= 0.5;
    p[2] += c->hz;
    mul_mat(world, r, p);
    for (int k = 0; k < 3; k++) {
      con[n].pos[k] = world[k] + b->pos[side][k];
      con[n].frame[k] = (side ? -1 : 1) * r[3 * k + 2];
      con[n].frame[3 + k] = 0;
    }
    n++;
  }
  return n;
}

int VK_KERNEL(vk_box_box)(const mjModel *m, const mjData *d, mjContact *con, int g1, int g2,
                          double margin)
{
  boxes b = {.pos = {d->geom_xpos + 3 * g1, d->geom_xpos + 3 * g2},
             .mat = {d->geom_xmat + 9 * g1, d->geom_xmat + 9 * g2},
             .size = {m->geom_size + 3 * g1, m->geom_size + 3 * g2},
             .margin = margin};
  double overlap, turn[9];
  prepare(&b);
  int face = find_face(&b, &overlap);
  if (face == -1)
    return 0;
  int decides = face < 0 ? 2 : try_edges(&b, overlap);
  if (decides != 1)
    return decides ? mjCOLLISIONFUNC[mjGEOM_BOX][mjGEOM_BOX](m, d, con, g1, g2, margin) : 0;
  const face_frame *f = &faces[face % 6];
  clip c;
  set_frame_matrix(turn, f);
  set_clip(&c, &b, face / 6, f, turn);
  clip_features(&c);
  return put_contacts(&c, &b, face / 6, turn, con);
}

#endif
