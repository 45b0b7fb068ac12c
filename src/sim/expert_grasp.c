/* Ways to grip an object: the facts' grasps, turned, tilted and moved along the opening, as far as
 * hand and arm are free there and on the last bit of the way. */
#include <stdlib.h>

#include "sim/expert_internal.h"

enum { RAW_MAX = 4096, FREE_MAX = 24 };

static const double FINGER_OPEN_M = 0.0395; /* of one pad from the middle, fully open */
static const double FINGER_HALF_M = 0.0085; /* half its thickness across the opening */
static const double TILTS_RAD[] = {0, 0.3, -0.3, 0.6, -0.6, 0.9, -0.9};
static const double BACKS_M[] = {0.09, 0.06, 0.035};

typedef struct raw_grasp {
  vk_pose tip_in_object;
  double width_m, cost;
} raw_grasp;

static int compare_cost(const void *a, const void *b)
{
  const double x = ((const raw_grasp *)a)->cost, y = ((const raw_grasp *)b)->cost;
  return (x > y) - (x < y);
}

static bool is_tabu(const vk_expert *e, const vk_pose *tip_in_object)
{
  for (int i = 0; i < e->n_tabu; i++)
    if (e->tabu[i].object == e->object &&
        vk_v3_dist(e->tabu[i].tip_in_object.p, tip_in_object->p) < 0.012 &&
        vk_m3_angle(e->tabu[i].tip_in_object.R, tip_in_object->R) < 0.25)
      return true;
  return false;
}

/* The grasp as the fact has it, turned by `angle` about its axis. */
static void turn_fact(const vk_grasp_fact *f, double angle, double slide, vk_pose *out)
{
  double R[9], d[3], at[3];
  vk_pose base;
  vk_v3_madd(at, f->at_m, slide, f->slide);
  vk_m3_from_zx(base.R, f->approach, f->open);
  vk_m3_axis_angle(R, f->turn_axis, angle);
  vk_v3_sub(d, at, f->turn_at_m);
  vk_m3_apply(out->p, R, d);
  vk_v3_madd(out->p, out->p, 1, f->turn_at_m);
  vk_m3_mul(out->R, R, base.R);
}

/* Tilted about the opening, moved along it and held back, possibly with the fingers exchanged. */
static void vary(const vk_pose *base, double tilt, double offset, double back_m, bool is_flipped,
                 vk_pose *out)
{
  static const double x[3] = {1, 0, 0}, z[3] = {0, 0, 1};
  vk_pose move = {{offset, 0, 0}, {0}}, flip = {{0, 0, 0}, {0}};
  const vk_pose back = {{0, 0, -back_m}, {1, 0, 0, 0, 1, 0, 0, 0, 1}};
  vk_m3_axis_angle(move.R, x, tilt);
  vk_pose_mul(out, base, &move);
  vk_pose_mul(out, out, &back);
  if (is_flipped) {
    vk_m3_axis_angle(flip.R, z, M_PI);
    vk_pose_mul(out, out, &flip);
  }
}

/* What speaks against a grasp before anything is tested. */
static double grasp_cost(const vk_expert *e, const vk_pose *object, const vk_pose *tip_in_object,
                         double tilt, double offset)
{
  vk_pose tip;
  double down[3];
  vk_pose_mul(&tip, object, tip_in_object);
  vk_m3_column(down, tip.R, 2);
  const double lean = acos(fmin(fmax(-down[2], -1), 1));
  return 0.15 * vk_m3_angle(e->now.tip.R, tip.R) + 0.5 * fabs(tilt) + 0.5 * lean + 6 * fabs(offset);
}

static int list_variations(const vk_expert *e, const vk_grasp_fact *f, const vk_pose *base,
                           double cost, const vk_pose *object, raw_grasp *raw, int n)
{
  const double room = FINGER_OPEN_M - f->width_m / 2 - 0.004;
  for (size_t t = 0; t < VK_COUNT(TILTS_RAD); t++)
    for (int o = -2; o <= 2; o++)
      for (int i = 0; i < 4 && n < RAW_MAX; i++) {
        const double tilt = TILTS_RAD[t], offset = 0.011 * o;
        /* A tilted finger reaches lower with one edge: held back by as much it clears the ground.
         */
        const double back = i < 2 ? 0 : FINGER_HALF_M * tan(fabs(tilt));
        raw_grasp *r = &raw[n];
        vk_pose tip;
        if (fabs(offset) > fmax(room, 0) || (i >= 2 && tilt == 0))
          continue;
        vary(base, tilt, offset, back, i % 2, &r->tip_in_object);
        vk_pose_mul(&tip, object, &r->tip_in_object);
        if (tip.R[8] > -0.35 || is_tabu(e, &r->tip_in_object))
          continue;
        r->width_m = f->width_m;
        r->cost =
            f->cost + cost + 10 * back + grasp_cost(e, object, &r->tip_in_object, tilt, offset);
        n++;
      }
  return n;
}

static int list_raw(const vk_expert *e, raw_grasp *raw)
{
  const vk_pose object = vk_expert_object_pose(e, e->object);
  int n = 0;
  for (int g = 0; g < e->object_fact->n_grasp; g++) {
    const vk_grasp_fact *f = &e->object_fact->grasp[g];
    const bool has_slide = vk_v3_norm(f->slide) > 0;
    for (int i = 0; i < f->n_turn; i++)
      for (int s = has_slide ? -1 : 0; s <= (has_slide ? 1 : 0); s++) {
        vk_pose base;
        turn_fact(f, 2 * M_PI * i / f->n_turn, s, &base);
        n = list_variations(e, f, &base, 0.02 * abs(s), &object, raw, n);
      }
  }
  return n;
}

/* Whether the open hand may be at the grasp and on the way to it; sets how far back it starts. */
static bool hand_free(vk_expert *e, const vk_pose *tip, vk_grasp *g)
{
  static const double margins_m[] = {0.0015, 0.005, 0.007};
  const double less = 0.003 * e->relax;
  vk_pose at = *tip;
  double z[3];
  vk_m3_column(z, tip->R, 2);
  for (int i = 0; i < 3; i++) { /* at the grasp, a little and half way back */
    vk_v3_madd(at.p, tip->p, -0.018 * i, z);
    if (!vk_world_gripper_free(&e->world, &at, FINGER_OPEN_M, margins_m[i] - less))
      return false;
  }
  e->world.is_ignored[e->object] = true;
  const bool is_alone = vk_world_gap_free(&e->world, tip, FINGER_OPEN_M);
  e->world.is_ignored[e->object] = false;
  if (!is_alone)
    return false;
  for (size_t i = 0; i < VK_COUNT(BACKS_M); i++) {
    vk_v3_madd(at.p, tip->p, -BACKS_M[i], z);
    g->back_m = BACKS_M[i];
    if (vk_world_gripper_free(&e->world, &at, FINGER_OPEN_M, 0.008 - 2 * less))
      return true;
  }
  return false;
}

/* Whether the arm gets there; sets the configuration and what its stretch costs. */
static bool arm_fits(const vk_expert *e, const vk_pose *tip, vk_grasp *g)
{
  vk_pose at = *tip;
  double z[3];
  vk_m3_column(z, tip->R, 2);
  vk_v3_madd(at.p, tip->p, -g->back_m, z);
  memcpy(g->q_rad, e->now.q_rad, sizeof g->q_rad);
  if (!vk_arm_inverse(&e->arm, &at, 0.05, g->q_rad)) {
    return false;
  }
  if (e->relax < 2 && !vk_world_arm_free(&e->world, &e->arm, g->q_rad, 0.005 - 0.02 * e->relax)) {
    return false;
  }
  if (!vk_arm_inverse(&e->arm, tip, 0.05, g->q_rad)) {
    return false;
  }
  g->cost += vk_arm_strain(&e->arm, g->q_rad);
  return e->relax > 1 || vk_world_arm_free(&e->world, &e->arm, g->q_rad, 0.003 - 0.02 * e->relax);
}

int vk_expert_find_grasps(vk_expert *e, vk_grasp *out, int max, bool is_wide)
{
  raw_grasp *raw = malloc(sizeof *raw * RAW_MAX);
  const vk_pose object = vk_expert_object_pose(e, e->object);
  int n = 0;
  if (!raw)
    return 0;
  const int n_raw = list_raw(e, raw);
  qsort(raw, (size_t)n_raw, sizeof *raw, compare_cost);
  for (int i = 0; i < n_raw && n < max; i++) {
    vk_grasp g = {
        .tip_in_object = raw[i].tip_in_object, .width_m = raw[i].width_m, .cost = raw[i].cost};
    bool is_new = true; /* a variation that hardly differs from one already found adds nothing */
    for (int k = 0; k < n && is_new; k++)
      is_new = vk_m3_angle(out[k].tip_in_object.R, g.tip_in_object.R) > (is_wide ? 0.45 : 0.2) ||
               vk_v3_dist(out[k].tip_in_object.p, g.tip_in_object.p) > (is_wide ? 0.03 : 0.02);
    vk_pose tip;
    vk_pose_mul(&tip, &object, &g.tip_in_object);
    if (!is_new || !hand_free(e, &tip, &g) || !arm_fits(e, &tip, &g))
      continue;
    int k = n++;
    for (; k > 0 && out[k - 1].cost > g.cost; k--)
      out[k] = out[k - 1];
    out[k] = g;
  }
  free(raw);
  return n;
}
