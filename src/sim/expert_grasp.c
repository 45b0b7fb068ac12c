/* Ways to grip an object: the facts' grasps, turned, tilted and moved along the opening, as far as
 * hand and arm are free there and on the last bit of the way. */
#include <stdlib.h>

#include "sim/expert_internal.h"

enum { RAW_MAX = 4096, FREE_MAX = 24 };

static const double FINGER_OPEN_M = 0.0395; /* of one pad from the middle, fully open */
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

/* Tilted about the opening and moved along it, possibly with the fingers exchanged. */
static void vary(const vk_pose *base, double tilt, double offset, bool is_flipped, vk_pose *out)
{
  static const double x[3] = {1, 0, 0}, z[3] = {0, 0, 1};
  vk_pose move = {{offset, 0, 0}, {0}}, flip = {{0, 0, 0}, {0}};
  vk_m3_axis_angle(move.R, x, tilt);
  vk_pose_mul(out, base, &move);
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
  return 0.15 * vk_m3_angle(e->now.tip.R, tip.R) + 0.25 * fabs(tilt) + 0.5 * lean +
         6 * fabs(offset);
}

static int list_raw(const vk_expert *e, raw_grasp *raw)
{
  const vk_pose object = vk_expert_object_pose(e, e->object);
  int n = 0;
  for (int g = 0; g < e->object_fact->n_grasp; g++) {
    const vk_grasp_fact *f = &e->object_fact->grasp[g];
    const bool has_slide = vk_v3_norm(f->slide) > 0;
    const double room = FINGER_OPEN_M - f->width_m / 2 - 0.004;
    for (int i = 0; i < f->n_turn; i++)
      for (int s = has_slide ? -1 : 0; s <= (has_slide ? 1 : 0); s++) {
        vk_pose base;
        turn_fact(f, 2 * M_PI * i / f->n_turn, s, &base);
        for (size_t t = 0; t < VK_COUNT(TILTS_RAD); t++)
          for (int o = -2; o <= 2; o++)
            for (int flip = 0; flip <= 1; flip++) {
              const double offset = 0.011 * o;
              if (fabs(offset) > fmax(room, 0) || n == RAW_MAX)
                continue;
              raw_grasp *r = &raw[n];
              vary(&base, TILTS_RAD[t], offset, flip, &r->tip_in_object);
              vk_pose tip;
              vk_pose_mul(&tip, &object, &r->tip_in_object);
              if (tip.R[8] > -0.35 || is_tabu(e, &r->tip_in_object))
                continue;
              r->width_m = f->width_m;
              r->cost = f->cost + 0.02 * abs(s) +
                        grasp_cost(e, &object, &r->tip_in_object, TILTS_RAD[t], offset);
              n++;
            }
      }
  }
  return n;
}

/* Whether the open hand may be at the grasp and on the way to it; sets how far back it starts. */
static bool test_grasp(vk_expert *e, const vk_pose *object, vk_grasp *g)
{
  static const double margins_m[] = {0.0025, 0.006, 0.008};
  vk_pose tip, at;
  double z[3];
  vk_pose_mul(&tip, object, &g->tip_in_object);
  vk_m3_column(z, tip.R, 2);
  for (int i = 0; i < 3; i++) { /* at the grasp, a little and half way back */
    at = tip;
    vk_v3_madd(at.p, tip.p, -0.018 * i, z);
    if (!vk_world_gripper_free(&e->world, &at, FINGER_OPEN_M, margins_m[i] - 0.001))
      return false;
  }
  g->back_m = 0;
  for (size_t i = 0; i < VK_COUNT(BACKS_M) && g->back_m == 0; i++) {
    vk_v3_madd(at.p, tip.p, -BACKS_M[i], z);
    if (vk_world_gripper_free(&e->world, &at, FINGER_OPEN_M, 0.008))
      g->back_m = BACKS_M[i];
  }
  if (g->back_m == 0)
    return false;
  memcpy(g->q_rad, e->now.q_rad, sizeof g->q_rad);
  vk_v3_madd(at.p, tip.p, -g->back_m, z);
  if (!vk_arm_inverse(&e->arm, &at, 0.05, g->q_rad) ||
      !vk_world_arm_free(&e->world, &e->arm, g->q_rad, 0.005))
    return false;
  return vk_arm_inverse(&e->arm, &tip, 0.05, g->q_rad) &&
         vk_world_arm_free(&e->world, &e->arm, g->q_rad, 0.003);
}

int vk_expert_find_grasps(vk_expert *e, vk_grasp *out, int max)
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
      is_new = vk_m3_angle(out[k].tip_in_object.R, g.tip_in_object.R) > 0.2 ||
               vk_v3_dist(out[k].tip_in_object.p, g.tip_in_object.p) > 0.02;
    if (is_new && test_grasp(e, &object, &g))
      out[n++] = g;
  }
  free(raw);
  return n;
}
