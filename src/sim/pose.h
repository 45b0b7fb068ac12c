/* pose.h - points, rotations and poses in three dimensions, small enough to inline. Vectors are
 * double[3], rotations double[9] row-major (columns are the axes of the rotated frame).
 * Test: tests/unit/test_expert.c */
#ifndef VK_SIM_POSE_H
#define VK_SIM_POSE_H

#include <math.h>
#include <string.h>

/* p_world, R_wb of a body: x_world = R x_body + p. */
typedef struct vk_pose {
  double p[3];
  double R[9];
} vk_pose;

static inline void vk_v3_copy(double o[3], const double a[3])
{
  memcpy(o, a, 3 * sizeof *o);
}

/* o = a + s b; o may be a or b */
static inline void vk_v3_madd(double o[3], const double a[3], double s, const double b[3])
{
  for (int k = 0; k < 3; k++)
    o[k] = a[k] + s * b[k];
}

static inline void vk_v3_sub(double o[3], const double a[3], const double b[3])
{
  vk_v3_madd(o, a, -1, b);
}

static inline double vk_v3_dot(const double a[3], const double b[3])
{
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static inline double vk_v3_norm(const double a[3])
{
  return sqrt(vk_v3_dot(a, a));
}

static inline double vk_v3_dist(const double a[3], const double b[3])
{
  double d[3];
  vk_v3_sub(d, a, b);
  return vk_v3_norm(d);
}

static inline void vk_v3_cross(double o[3], const double a[3], const double b[3])
{
  const double x = a[1] * b[2] - a[2] * b[1], y = a[2] * b[0] - a[0] * b[2];
  o[2] = a[0] * b[1] - a[1] * b[0];
  o[0] = x;
  o[1] = y;
}

/* Unit length; a zero vector stays. */
static inline void vk_v3_unit(double a[3])
{
  const double n = vk_v3_norm(a);
  for (int k = 0; n > 0 && k < 3; k++)
    a[k] /= n;
}

/* o = R a; o is not a */
static inline void vk_m3_apply(double o[3], const double R[9], const double a[3])
{
  for (int r = 0; r < 3; r++)
    o[r] = vk_v3_dot(R + 3 * r, a);
}

/* o = R^T a; o is not a */
static inline void vk_m3_apply_t(double o[3], const double R[9], const double a[3])
{
  for (int r = 0; r < 3; r++)
    o[r] = R[r] * a[0] + R[3 + r] * a[1] + R[6 + r] * a[2];
}

/* o = A B; o is neither */
static inline void vk_m3_mul(double o[9], const double A[9], const double B[9])
{
  for (int r = 0; r < 3; r++)
    for (int c = 0; c < 3; c++)
      o[3 * r + c] = A[3 * r] * B[c] + A[3 * r + 1] * B[3 + c] + A[3 * r + 2] * B[6 + c];
}

/* o = A^T B; o is neither */
static inline void vk_m3_mul_ta(double o[9], const double A[9], const double B[9])
{
  for (int r = 0; r < 3; r++)
    for (int c = 0; c < 3; c++)
      o[3 * r + c] = A[r] * B[c] + A[3 + r] * B[3 + c] + A[6 + r] * B[6 + c];
}

static inline void vk_m3_column(double o[3], const double R[9], int c)
{
  for (int r = 0; r < 3; r++)
    o[r] = R[3 * r + c];
}

static inline void vk_m3_set_column(double R[9], int c, const double a[3])
{
  for (int r = 0; r < 3; r++)
    R[3 * r + c] = a[r];
}

/* Rotation about a unit axis. */
static inline void vk_m3_axis_angle(double R[9], const double u[3], double angle_rad)
{
  const double c = cos(angle_rad), s = sin(angle_rad), v = 1 - c;
  const double m[9] = {
      c + u[0] * u[0] * v,        u[0] * u[1] * v - u[2] * s, u[0] * u[2] * v + u[1] * s,
      u[1] * u[0] * v + u[2] * s, c + u[1] * u[1] * v,        u[1] * u[2] * v - u[0] * s,
      u[2] * u[0] * v - u[1] * s, u[2] * u[1] * v + u[0] * s, c + u[2] * u[2] * v};
  memcpy(R, m, sizeof m);
}

/* The frame whose x is along `x` and whose z is along `z`, made orthogonal to it by moving x. */
static inline void vk_m3_from_zx(double R[9], const double z[3], const double x[3])
{
  double a[3], b[3], c[3];
  vk_v3_copy(c, z);
  vk_v3_unit(c);
  vk_v3_madd(a, x, -vk_v3_dot(x, c), c);
  vk_v3_unit(a);
  vk_v3_cross(b, c, a);
  vk_m3_set_column(R, 0, a);
  vk_m3_set_column(R, 1, b);
  vk_m3_set_column(R, 2, c);
}

/* Rotation vector (axis times angle in [0, pi]) that turns A into B, in world coordinates. */
static inline void vk_m3_error(double o[3], const double A[9], const double B[9])
{
  double T[9], At[9];
  for (int r = 0; r < 3; r++)
    for (int c = 0; c < 3; c++)
      At[3 * r + c] = A[3 * c + r];
  vk_m3_mul(T, B, At);
  double axis[3] = {T[7] - T[5], T[2] - T[6], T[3] - T[1]};
  const double s = vk_v3_norm(axis) / 2, c = (T[0] + T[4] + T[8] - 1) / 2;
  const double angle = atan2(s, c);
  if (s > 1e-9) {
    vk_v3_copy(o, axis);
    for (int k = 0; k < 3; k++)
      o[k] *= angle / (2 * s);
    return;
  }
  memset(o, 0, 3 * sizeof *o);
  if (c > 0)
    return;
  int k = 0; /* half a turn: the axis is the column of T + 1 with the largest diagonal */
  for (int i = 1; i < 3; i++)
    if (T[4 * i] > T[4 * k])
      k = i;
  vk_m3_column(o, T, k);
  o[k] += 1;
  vk_v3_unit(o);
  for (int i = 0; i < 3; i++)
    o[i] *= M_PI;
}

static inline double vk_m3_angle(const double A[9], const double B[9])
{
  double w[3];
  vk_m3_error(w, A, B);
  return vk_v3_norm(w);
}

/* o = a rotated by the rotation vector w; o may be a */
static inline void vk_m3_turn(double o[9], const double w[3], const double a[9])
{
  double u[3], R[9], t[9];
  vk_v3_copy(u, w);
  vk_v3_unit(u);
  vk_m3_axis_angle(R, u, vk_v3_norm(w));
  vk_m3_mul(t, R, a);
  memcpy(o, t, sizeof t);
}

/* o = a b; o may be a or b */
static inline void vk_pose_mul(vk_pose *o, const vk_pose *a, const vk_pose *b)
{
  vk_pose t;
  vk_m3_apply(t.p, a->R, b->p);
  vk_v3_madd(t.p, t.p, 1, a->p);
  vk_m3_mul(t.R, a->R, b->R);
  *o = t;
}

/* o = a^-1 b: b as seen from a; o may be a or b */
static inline void vk_pose_in(vk_pose *o, const vk_pose *a, const vk_pose *b)
{
  vk_pose t;
  double d[3];
  vk_v3_sub(d, b->p, a->p);
  vk_m3_apply_t(t.p, a->R, d);
  vk_m3_mul_ta(t.R, a->R, b->R);
  *o = t;
}

/* o = a^-1; o is not a */
static inline void vk_pose_inv(vk_pose *o, const vk_pose *a)
{
  const vk_pose one = {{0, 0, 0}, {1, 0, 0, 0, 1, 0, 0, 0, 1}};
  vk_pose_in(o, a, &one);
}

static inline void vk_pose_point(double o[3], const vk_pose *a, const double point[3])
{
  double t[3];
  vk_m3_apply(t, a->R, point);
  vk_v3_madd(o, t, 1, a->p);
}

/* Between a (t = 0) and b (t = 1): straight, at constant rates. */
static inline void vk_pose_mix(vk_pose *o, const vk_pose *a, const vk_pose *b, double t)
{
  double w[3];
  vk_m3_error(w, a->R, b->R);
  for (int k = 0; k < 3; k++) {
    w[k] *= t;
    o->p[k] = a->p[k] + t * (b->p[k] - a->p[k]);
  }
  vk_m3_turn(o->R, w, a->R);
}

#endif
