#include "sim/expert_internal.h"

/* The controller turns an action of 1 into 0.265 m/s and 2.65 rad/s when nothing is in the way:
 * goals 0.05 m and 0.5 rad ahead, renewed every 50 ms, at kp 150 and critical damping. */
static const double MPS_PER_UNIT = 0.265, RADPS_PER_UNIT = 2.65;
static const double ACCEL_M_S2 = 0.7;  /* with which ways end */
static const double RATE_PER_S = 4.5;  /* of the last approach to a goal */
static const double W_MAX_RAD_S = 1.5; /* of turning */
static const double AHEAD_M = 0.035;   /* of the point steered to */
static const double CORNER_M = 0.03;   /* corners are cut by so much */

enum { LINE_SAMPLES_MIN = 3 };

/* ---- following ----------------------------------------------------------------------------- */

/* Wish for a velocity towards p and an orientation R. */
static void steer(vk_expert *e, const double p[3], const double R[9], double v_m_s, double w_max)
{
  double d[3], w[3];
  vk_v3_sub(d, p, e->now.tip.p);
  vk_v3_unit(d);
  vk_m3_error(w, e->now.tip.R, R);
  const double angle = vk_v3_norm(w), rate = fmin(RATE_PER_S * angle, w_max);
  for (int k = 0; k < 3; k++) {
    e->wish[k] = d[k] * v_m_s / MPS_PER_UNIT;
    e->wish[3 + k] = angle > 1e-9 ? w[k] / angle * rate / RADPS_PER_UNIT : 0;
  }
}

void vk_expert_reach(vk_expert *e, const vk_pose *goal, double v_max_m_s)
{
  const double dist = vk_v3_dist(goal->p, e->now.tip.p);
  steer(e, goal->p, goal->R, fmin(v_max_m_s, RATE_PER_S * dist), W_MAX_RAD_S);
}

/* Length of the path from the tip's projection on the present piece to its end. */
static double length_left(const vk_path *path, const double p[3])
{
  double left = vk_v3_dist(path->at[path->i].p, p);
  for (int i = path->i; i + 1 < path->n; i++)
    left += vk_v3_dist(path->at[i].p, path->at[i + 1].p);
  return left;
}

/* Speed allowed now for passing the next corner (or ending) at a speed that its angle allows. */
static double speed_limit(const vk_path *path, const double p[3])
{
  double v = path->v_max_m_s, left = vk_v3_dist(path->at[path->i].p, p);
  if (path->i + 1 < path->n) {
    double a[3], b[3];
    vk_v3_sub(a, path->at[path->i].p, path->from.p);
    vk_v3_sub(b, path->at[path->i + 1].p, path->at[path->i].p);
    vk_v3_unit(a);
    vk_v3_unit(b);
    const double c = fmax(vk_v3_dot(a, b), 0), v_corner = path->v_max_m_s * (0.45 + 0.55 * c);
    v = fmin(v, sqrt(v_corner * v_corner + 2 * ACCEL_M_S2 * left));
  }
  left = length_left(path, p);
  v = fmin(v, sqrt(2 * ACCEL_M_S2 * left));
  return fmin(v, RATE_PER_S * left);
}

bool vk_expert_follow(vk_expert *e, double tol_m, double tol_rad)
{
  vk_path *path = &e->path;
  const double *p = e->now.tip.p;
  while (path->i + 1 < path->n && vk_v3_dist(path->at[path->i].p, p) < CORNER_M) {
    path->from = path->at[path->i];
    path->i++;
  }
  const vk_pose *to = &path->at[path->i];
  const bool is_last = path->i + 1 == path->n;
  double along[3], off[3];
  vk_v3_sub(along, to->p, path->from.p);
  vk_v3_sub(off, p, path->from.p);
  const double length = vk_v3_norm(along);
  const double left = length_left(path, p);
  const double turn = vk_m3_angle(e->now.tip.R, to->R);
  if (is_last && left < tol_m && turn < tol_rad)
    return true;
  if (length < 0.01 || left < 0.01) {
    vk_expert_reach(e, to, path->v_max_m_s);
    return false;
  }
  /* Orientation follows the share of the piece that is done; turning that lags slows the hand. */
  const double done = fmin(fmax(vk_v3_dot(off, along) / (length * length), 0), 1);
  const double ahead = fmin(1, done + fmax(AHEAD_M, 0.08 * length) / length);
  vk_pose carrot;
  vk_pose_mix(&carrot, &path->from, to, ahead);
  const double lag = vk_m3_angle(e->now.tip.R, carrot.R);
  double v = speed_limit(path, p);
  if (lag > 0.35)
    v *= fmax(0.15, 0.35 / lag);
  steer(e, carrot.p, carrot.R, v, W_MAX_RAD_S);
  return false;
}

/* ---- planning ------------------------------------------------------------------------------ */

void vk_expert_set_path(vk_expert *e, const vk_pose *goal, double v_max_m_s)
{
  e->path = (vk_path){.n = 1, .from = e->now.tip, .v_max_m_s = v_max_m_s};
  e->path.at[0] = *goal;
}

void vk_expert_move_goal(vk_expert *e, const vk_pose *goal)
{
  e->path.at[e->path.n - 1] = *goal;
}

static bool pose_free(const vk_expert *e, const vk_pose *tip, const vk_held *held, double finger_q,
                      double margin_m)
{
  return vk_world_gripper_free(&e->world, tip, finger_q, margin_m) &&
         vk_world_held_free(&e->world, held, tip, margin_m);
}

/* Number of blocked poses among samples between a and b, the ends included. */
static int count_blocked(const vk_expert *e, const vk_pose *a, const vk_pose *b,
                         const vk_held *held, double finger_q, double margin_m)
{
  const double turn = vk_m3_angle(a->R, b->R);
  const int n = LINE_SAMPLES_MIN + (int)fmax(vk_v3_dist(a->p, b->p) / 0.02, turn / 0.15);
  int blocked = 0;
  for (int i = 0; i <= n; i++) {
    vk_pose at;
    vk_pose_mix(&at, a, b, (double)i / n);
    blocked += !pose_free(e, &at, held, finger_q, margin_m);
  }
  return blocked;
}

bool vk_expert_line_free(const vk_expert *e, const vk_pose *a, const vk_pose *b,
                         const vk_held *held, double finger_q, double margin_m)
{
  return count_blocked(e, a, b, held, finger_q, margin_m) == 0;
}

static vk_pose at_height(const vk_pose *pose, double z)
{
  vk_pose up = *pose;
  up.p[2] = z;
  return up;
}

/* How much of a path is blocked for the arm: it is stepped along with the configuration followed.
 */
static int count_arm_blocked(const vk_expert *e, const vk_pose *a, const vk_pose *b, double *q)
{
  const int n = 1 + (int)(fmax(vk_v3_dist(a->p, b->p) / 0.08, vk_m3_angle(a->R, b->R) / 0.5));
  int blocked = 0;
  for (int i = 1; i <= n; i++) {
    vk_pose at;
    vk_pose_mix(&at, a, b, (double)i / n);
    const bool is_reached = vk_arm_inverse(&e->arm, &at, 0.03, q);
    blocked += is_reached ? !vk_world_arm_free(&e->world, &e->arm, q, 0.01) : 2;
  }
  return blocked;
}

/* Blocked samples of the way over poses at[0 .. n) from start. */
static int count_path(const vk_expert *e, const vk_pose *start, const vk_pose *at, int n,
                      const vk_held *held, double finger_q, double margin_m)
{
  double q[VK_N_ARM];
  int blocked = 0;
  const vk_pose *from = start;
  memcpy(q, e->now.q_rad, sizeof q);
  for (int i = 0; i < n; from = &at[i++]) {
    blocked += count_blocked(e, from, &at[i], held, finger_q, margin_m);
    blocked += count_arm_blocked(e, from, &at[i], q);
  }
  return blocked;
}

/* Up, over and down: rise is above the higher of the two ends; at most three poses. */
static int list_over(const vk_pose *start, const vk_pose *goal, double rise, vk_pose *at)
{
  const double z = fmax(start->p[2], goal->p[2]) + rise;
  int n = 0;
  if (z > start->p[2] + 0.02)
    at[n++] = at_height(start, z);
  if (z > goal->p[2] + 0.02)
    at[n++] = at_height(goal, z);
  at[n++] = *goal;
  return n;
}

static void take_path(vk_path *path, const vk_pose *at, int n, double cost, double *best)
{
  *best = cost;
  path->n = n;
  memcpy(path->at, at, sizeof *at * (size_t)n);
}

void vk_expert_plan_path(vk_expert *e, const vk_pose *goal, const vk_held *held, double finger_q,
                         double v_max_m_s)
{
  static const double margins_m[] = {0.012, 0.005, 0.001};
  const vk_pose *start = &e->now.tip;
  vk_path *path = &e->path;
  vk_expert_set_path(e, goal, v_max_m_s);
  double best = 1e9;
  for (size_t i = 0; i < VK_COUNT(margins_m) && best > 1; i++) {
    for (int k = -1; k < 12 && best > 1; k++) {
      vk_pose at[3] = {*goal};
      const int n = k < 0 ? 1 : list_over(start, goal, 0.03 * k, at);
      /* What cannot be avoided is passed on a low way rather than a high one. */
      const double cost =
          2 * count_path(e, start, at, n, held, finger_q, margins_m[i]) + 0.05 * (k + 1);
      if (cost < best)
        take_path(path, at, n, cost, &best);
    }
    if (best > 1 && i == 0) {
      vk_pose at[VK_PATH_MAX];
      const int n = vk_expert_search_path(e, goal, held, finger_q, at, VK_PATH_MAX);
      const double cost = 2 * count_path(e, start, at, n, held, finger_q, 0.004) + 0.7;
      if (n > 0 && cost < best)
        take_path(path, at, n, cost, &best);
    }
  }
}
