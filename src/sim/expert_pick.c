/* The skill of moving an object: get ready, approach, close, lift, carry, lower, release, retreat.
 * The phase is kept, but every step checks that its premise still holds. */
#include "sim/expert_internal.h"

enum {
  PHASE_PLAN,
  PHASE_TRANSIT,
  PHASE_APPROACH,
  PHASE_CLOSE,
  PHASE_LIFT,
  PHASE_PLAN_PLACE,
  PHASE_CARRY,
  PHASE_LOWER,
  PHASE_RELEASE,
  PHASE_RETREAT,
  PHASE_AWAY,
  PHASE_DRAG_READY,
  PHASE_DRAG_TOUCH,
  PHASE_DRAG,
};

enum { GRASPS_FEW = 10, GRASPS = 48, PLACES = 96, PLANS_MAX = 12, RELAX_MAX = 2, STALL_MAX = 12 };

static const double V_FREE = 0.25, V_CARRY = 0.22, V_NEAR = 0.12, V_LOWER = 0.10; /* m/s */
static const double OPEN_Q = 0.0395;
static const double EASY_COST = 0.7;
static const double SLACK_M = 0.004;   /* room when a grasp is chosen for a place */
static const double RELEASE_M = 0.008; /* room for each finger to let go */
static const double AT_GRASP_M = 0.008;
static const double SHUT_M = 0.0005; /* there is nothing between the fingers */
static const double WIDER_M = 0.01;  /* than a grasp, before the hand approaches */
static const double WAY_IN_M = 0.30; /* the longest way into a place */
static const double LOWER_M = 0.03;  /* than planned, at most */
static const double READY_M = 0.06;  /* above what is dragged */

static void set_phase(vk_expert *e, int phase)
{
  static const char *const names[] = {"plan",       "transit",    "approach", "close",   "lift",
                                      "plan place", "carry",      "lower",    "release", "retreat",
                                      "away",       "drag ready", "touch",    "drag"};
  vk_expert_set_phase(e, phase, names[phase]);
}

static void grasp_tip(const vk_expert *e, vk_pose *tip)
{
  const vk_pose object = vk_expert_object_pose(e, e->object);
  vk_pose_mul(tip, &object, &e->grasp.tip_in_object);
}

/* The pose `back_m` behind tip along its approach. */
static vk_pose behind(const vk_pose *tip, double back_m)
{
  vk_pose p = *tip;
  double z[3];
  vk_m3_column(z, tip->R, 2);
  vk_v3_madd(p.p, tip->p, -back_m, z);
  return p;
}

static void read_world(vk_expert *e)
{
  vk_world_read(&e->world, e->scene, e->now.m, e->now.d, e->facts);
}

/* The object and everything that stands on it, by height and touch. */
static void find_stack(vk_expert *e)
{
  const mjData *d = e->now.d;
  memset(e->is_stacked, 0, sizeof e->is_stacked);
  e->is_stacked[e->object] = true;
  for (int pass = 0; pass < 2; pass++)
    for (int c = 0; c < d->ncon; c++) {
      const int a = e->scene->geom_owner[d->contact[c].geom1],
                b = e->scene->geom_owner[d->contact[c].geom2];
      if (a < 0 || b < 0 || a >= e->scene->n_object || b >= e->scene->n_object ||
          e->is_stacked[a] == e->is_stacked[b])
        continue;
      const int below = e->is_stacked[a] ? a : b, above = e->is_stacked[a] ? b : a;
      const vk_pose pb = vk_expert_object_pose(e, below), pa = vk_expert_object_pose(e, above);
      if (pa.p[2] > pb.p[2] + 0.004 && hypot(pa.p[0] - pb.p[0], pa.p[1] - pb.p[1]) < 0.05)
        e->is_stacked[above] = true;
    }
}

static void ignore_stack(vk_expert *e, bool is_ignored)
{
  for (int i = 0; i < VK_WORLD_INSTANCES_MAX; i++)
    e->world.is_ignored[i] = is_ignored && e->is_stacked[i];
}

/* Remembers a grasp that did not work, the oldest one makes room. */
static void forbid_grasp(vk_expert *e)
{
  if (e->n_tabu == VK_TABU_MAX) {
    memmove(e->tabu, e->tabu + 1, sizeof e->tabu - sizeof e->tabu[0]);
    e->n_tabu--;
  }
  e->tabu[e->n_tabu++] = (vk_tabu){e->object, e->grasp.tip_in_object};
}

static vk_skill_state fail(vk_expert *e)
{
  forbid_grasp(e);
  e->grip = -1;
  return VK_SKILL_FAILED;
}

/* ---- choosing a grasp and a place together ------------------------------------------------- */

/* Whether a gripped object can be brought to a place: at rest, on the way in and further out.
 *   tip_in_object  how it is gripped, with the fingers at finger_q when letting go
 *   slack_m  room beyond the least that is needed
 *   out_m  out: how far out of the place the way in begins */
static bool test_place(vk_expert *e, const vk_place *place, const vk_pose *tip_in_object,
                       double finger_q, double slack_m, const double *q0, double *out_m)
{
  static const double outs_m[] = {0.06, 0.10, 0.14, 0.18, 0.22, 0.26, 0.30};
  vk_pose tip, at;
  double q[VK_N_ARM];
  vk_held held;
  const vk_pose object = vk_expert_object_pose(e, e->object);
  vk_pose_mul(&tip, &object, tip_in_object);
  vk_world_hold(&e->world, e->is_stacked, &tip, &held);
  vk_pose_mul(&tip, &place->object, tip_in_object);
  at = tip;
  vk_v3_madd(at.p, tip.p, 0.003 + fmax(slack_m, 0), place->out);
  if (!vk_world_gripper_free(&e->world, &at, finger_q, 0.002 + slack_m)) {
    return false;
  }
  bool is_free = false;
  for (size_t i = 0; i < VK_COUNT(outs_m) && !is_free; i++) {
    vk_pose far = tip;
    vk_v3_madd(far.p, tip.p, outs_m[i], place->out);
    if (!vk_expert_line_free(e, &far, &at, &held, finger_q, slack_m)) {
      return false;
    }
    vk_pose above = far;
    above.p[2] += 0.12; /* free above too: not inside of something */
    is_free = vk_world_gripper_free(&e->world, &far, finger_q, 0.008) &&
              vk_world_held_free(&e->world, &held, &far, 0.006) &&
              (place->out[2] > 0.5 || vk_expert_line_free(e, &far, &above, &held, finger_q, 0.004));
    *out_m = outs_m[i];
    at = far;
  }
  if (!is_free) {
    return false;
  }
  memcpy(q, q0, sizeof q);
  if (!vk_arm_inverse(&e->arm, &at, 0.04, q)) {
    return false;
  }
  if (!vk_world_arm_free(&e->world, &e->arm, q, 0.008)) {
    return false;
  }
  if (!vk_arm_inverse(&e->arm, &tip, 0.04, q)) {
    return false;
  }
  return vk_world_arm_free(&e->world, &e->arm, q, 0.002);
}

/* Grasps of what stands there now; the arm is stretched only when nothing else reaches. */
static int find_grasps(vk_expert *e, vk_grasp *grasp, int max)
{
  int n = 0;
  /* What is stacked on the object moves with it: the fingers may reach into it. */
  e->is_stacked[e->object] = false;
  ignore_stack(e, true);
  e->is_stacked[e->object] = true;
  for (int stretch = 0; stretch <= 1 && n == 0; stretch++) {
    vk_arm_stretch(&e->arm, stretch);
    n = vk_expert_find_grasps(e, grasp, max, max > GRASPS_FEW);
  }
  ignore_stack(e, false);
  return n;
}

/* The cheapest pair of a grasp and a place that works: index of the grasp, or -1. */
static int best_pair(vk_expert *e, const vk_grasp *grasp, int n_grasp, const vk_place *place,
                     int n_place, double *cost_out)
{
  double best = 1e9, out_m;
  int i_best = -1;
  ignore_stack(e, true);
  for (int g = 0; g < n_grasp; g++)
    for (int p = 0; p < n_place; p++) {
      const double cost = grasp[g].cost + place[p].cost;
      if (cost < best &&
          test_place(e, &place[p], &grasp[g].tip_in_object, grasp[g].width_m / 2 + RELEASE_M,
                     SLACK_M, grasp[g].q_rad, &out_m)) {
        best = cost;
        i_best = g;
      }
    }
  ignore_stack(e, false);
  *cost_out = best;
  return i_best;
}

/* The grasp that the hand is already on the way to, the nearest of several; -1: none. */
static int find_begun(const vk_expert *e, const vk_grasp *grasp, int n)
{
  const vk_pose object = vk_expert_object_pose(e, e->object);
  double best = 1e9;
  int i_best = -1;
  for (int i = 0; i < n; i++) {
    vk_pose tip;
    vk_pose_mul(&tip, &object, &grasp[i].tip_in_object);
    const double out[3] = {-tip.R[2], -tip.R[5], -tip.R[8]};
    const double far = vk_v3_dist(tip.p, e->now.tip.p) + 0.05 * vk_m3_angle(tip.R, e->now.tip.R);
    if (far < best && vk_expert_is_on_way(e, &tip, out, grasp[i].back_m)) {
      best = far;
      i_best = i;
    }
  }
  return i_best;
}

/* Takes that one, at the least relaxation that has one; without one the least that has a grasp at
 * all stays: how often it was tried before is not known. */
static bool choose_begun(vk_expert *e, vk_grasp grasp[GRASPS])
{
  int least = -1;
  for (e->relax = 0; e->relax <= RELAX_MAX; e->relax++) {
    const int n = find_grasps(e, grasp, GRASPS), begun = find_begun(e, grasp, n);
    least = least < 0 && n > 0 ? e->relax : least;
    if (begun >= 0) {
      e->grasp = grasp[begun];
      return true;
    }
  }
  e->relax = least < 0 ? 0 : least;
  return false;
}

/* A grasp that the hand is on the way to, if others have brought it there; else one that allows to
 * put the object down where it belongs; when none does, the easiest.
 *   is_begun  out: it is the first of these */
static bool choose_grasp(vk_expert *e, bool *is_begun)
{
  vk_grasp grasp[GRASPS];
  vk_place place[PLACES];
  *is_begun = false;
  read_world(e);
  find_stack(e);
  if (e->is_resumed && choose_begun(e, grasp)) {
    *is_begun = true;
    return true;
  }
  int n_grasp = find_grasps(e, grasp, GRASPS_FEW);
  if (n_grasp == 0)
    return false;
  const int n_place = vk_expert_find_places(e, place, PLACES);
  double cost;
  int i_best = best_pair(e, grasp, n_grasp, place, n_place, &cost);
  if (cost > EASY_COST && n_place > 0) { /* is there an easier one among more? */
    n_grasp = find_grasps(e, grasp, GRASPS);
    i_best = best_pair(e, grasp, n_grasp, place, n_place, &cost);
  }
  e->grasp = grasp[i_best < 0 ? 0 : i_best];
  return true;
}

/* ---- sliding a flat object along the table ------------------------------------------------- */

static void drag_tip(const vk_expert *e, double up_m, vk_pose *tip)
{
  const vk_pose object = vk_expert_object_pose(e, e->object);
  vk_pose_point(tip->p, &object, e->object_fact->drag_at_m);
  tip->p[2] += up_m;
  memcpy(tip->R, e->tip_in_object.R, sizeof tip->R);
}

/* The orientation of the hand while dragging (kept in tip_in_object, world): pointing down, opened
 * in a direction that is free and near to the present one. */
static void plan_drag(vk_expert *e)
{
  const double down[3] = {0, 0, -1};
  double x[3], best = 1e9, best_R[9];
  vk_m3_column(x, e->now.tip.R, 0);
  vk_m3_from_zx(best_R, down, x);
  for (int i = -6; i < 6; i++) {
    const double w[3] = {0, 0, i * M_PI / 6};
    double q[VK_N_ARM];
    vk_pose low, high;
    vk_m3_from_zx(low.R, down, x);
    vk_m3_turn(e->tip_in_object.R, w, low.R);
    memcpy(q, e->now.q_rad, sizeof q);
    drag_tip(e, 0.005, &low);
    drag_tip(e, READY_M, &high);
    const double cost = fabs(w[2]) + (vk_arm_inverse(&e->arm, &low, 0.1, q) ? 0 : 20) +
                        (vk_world_gripper_free(&e->world, &high, OPEN_Q, 0.008) ? 0 : 5) +
                        (vk_world_gripper_free(&e->world, &low, OPEN_Q, 0.004) ? 0 : 5);
    if (cost < best) {
      best = cost;
      memcpy(best_R, e->tip_in_object.R, sizeof best_R);
    }
  }
  memcpy(e->tip_in_object.R, best_R, sizeof best_R);
}

/* The phase of dragging that the hand is in, when others have brought it there. */
static int drag_phase(const vk_expert *e)
{
  static const double up[3] = {0, 0, 1};
  vk_pose tip;
  drag_tip(e, 0, &tip);
  if (!vk_expert_is_on_way(e, &tip, up, READY_M))
    return PHASE_DRAG_READY;
  return e->now.touched[0] && e->now.touched[1] ? PHASE_DRAG : PHASE_DRAG_TOUCH;
}

/* ---- phases of getting hold ---------------------------------------------------------------- */

static void plan_transit(vk_expert *e)
{
  vk_pose tip;
  grasp_tip(e, &tip);
  const vk_pose ready = behind(&tip, e->grasp.back_m);
  vk_expert_plan_path(e, &ready, NULL, OPEN_Q, V_FREE);
  set_phase(e, PHASE_TRANSIT);
}

/* The object as it is gripped, for noticing that it slips. */
static void note_grip(vk_expert *e)
{
  const vk_pose object = vk_expert_object_pose(e, e->object);
  vk_pose_in(&e->tip_in_object, &object, &e->now.tip);
}

/* With a grasp that the hand is on the way to. */
static void go_on(vk_expert *e, bool was_shut)
{
  vk_pose tip;
  grasp_tip(e, &tip);
  const bool is_there = vk_v3_dist(tip.p, e->now.tip.p) < AT_GRASP_M;
  if (e->now.gap_m < (was_shut && is_there ? SHUT_M : e->grasp.width_m + WIDER_M))
    plan_transit(e); /* back, until the fingers are open */
  else
    set_phase(e, is_there ? PHASE_CLOSE : PHASE_APPROACH);
}

/* Whether the fingers have let go of the object where it belongs, and are still around it. */
static bool is_released(const vk_expert *e)
{
  return e->grip < 0 && (e->now.is_touching[0][e->object] || e->now.is_touching[1][e->object]) &&
         vk_atom_holds(e->scene, e->now.m, e->now.d, &e->atom);
}

bool vk_expert_pick_is_begun(const vk_expert *e)
{
  return (e->grip > 0 && vk_expert_is_held(e, e->object)) || is_released(e);
}

static vk_skill_state plan(vk_expert *e)
{
  bool is_begun;
  if (e->phase_step > PLANS_MAX)
    return fail(e);
  if (e->is_resumed && is_released(e)) {
    e->is_resumed = false;
    set_phase(e, PHASE_RELEASE);
    return VK_SKILL_RUNNING;
  }
  if (vk_expert_is_held(e, e->object) && e->grip > 0) {
    read_world(e);
    find_stack(e);
    set_phase(e, PHASE_PLAN_PLACE);
    return VK_SKILL_RUNNING;
  }
  const bool was_shut = e->grip > 0;
  e->grip = -1;
  if (e->object_fact->is_dragged && e->object_fact->n_grasp == 0) {
    read_world(e);
    memset(e->is_stacked, 0, sizeof e->is_stacked);
    e->is_stacked[e->object] = true;
    ignore_stack(e, true);
    plan_drag(e);
    ignore_stack(e, false);
    set_phase(e, e->is_resumed ? drag_phase(e) : PHASE_DRAG_READY);
    e->is_resumed = false;
    return VK_SKILL_RUNNING;
  }
  if (!choose_grasp(e, &is_begun)) {
    e->n_tabu = 0;
    e->relax = e->relax < RELAX_MAX ? e->relax + 1 : 0;
    set_phase(e, PHASE_AWAY);
    return VK_SKILL_RUNNING;
  }
  if (is_begun)
    go_on(e, was_shut);
  else
    plan_transit(e);
  e->is_resumed = false;
  return VK_SKILL_RUNNING;
}

/* Out of the way, for another look. */
static vk_skill_state away(vk_expert *e)
{
  e->grip = -1;
  if (e->phase_step == 0)
    vk_expert_plan_path(e, &e->home, NULL, OPEN_Q, V_FREE);
  /* No sooner than that: a plan that fails costs much more than a step. */
  const bool is_there = vk_expert_follow(e, 0.03, 0.2);
  if ((is_there && e->phase_step >= VK_EXPERT_REST) || e->phase_step > 40)
    set_phase(e, PHASE_PLAN);
  return VK_SKILL_RUNNING;
}

static vk_skill_state transit(vk_expert *e)
{
  vk_pose tip;
  grasp_tip(e, &tip);
  const vk_pose ready = behind(&tip, e->grasp.back_m);
  vk_expert_move_goal(e, &ready);
  if (vk_expert_follow(e, 0.012, 0.08) && e->now.gap_m > e->grasp.width_m + WIDER_M)
    set_phase(e, PHASE_APPROACH);
  if (e->phase_step > 150 || e->now.n_still > VK_EXPERT_STILL_MAX)
    return fail(e);
  return VK_SKILL_RUNNING;
}

static vk_skill_state approach(vk_expert *e)
{
  vk_pose tip;
  grasp_tip(e, &tip);
  if (e->phase_step == 0)
    vk_expert_set_path(e, &tip, V_NEAR);
  vk_expert_move_goal(e, &tip);
  const bool is_there = vk_expert_follow(e, 0.004, 0.06);
  const double dist = vk_v3_dist(tip.p, e->now.tip.p);
  if (is_there || (e->phase_step > 25 && dist < 0.008))
    set_phase(e, PHASE_CLOSE);
  else if (e->phase_step > 45 || dist > e->grasp.back_m + 0.06)
    return fail(e);
  return VK_SKILL_RUNNING;
}

static vk_skill_state close_hand(vk_expert *e)
{
  if (e->phase_step == 0)
    e->path.at[0] = e->now.tip;
  e->grip = 1;
  vk_expert_reach(e, &e->path.at[0], V_NEAR);
  const bool is_held = vk_expert_is_held(e, e->object);
  if ((is_held && e->phase_step >= 4 && fabs(e->now.gap_rate_m) < 0.002) || e->phase_step >= 12) {
    if (e->now.gap_m < SHUT_M && !is_held)
      return fail(e);
    note_grip(e);
    set_phase(e, PHASE_LIFT);
  }
  return VK_SKILL_RUNNING;
}

static vk_skill_state lift(vk_expert *e)
{
  const vk_pose object = vk_expert_object_pose(e, e->object);
  vk_pose now;
  if (e->phase_step == 0) {
    vk_pose up = e->now.tip;
    up.p[2] += 0.05;
    vk_expert_set_path(e, &up, V_NEAR);
  }
  const bool is_up = vk_expert_follow(e, 0.015, 0.2);
  vk_pose_in(&now, &object, &e->now.tip);
  if (e->phase_step > 3 && vk_v3_dist(now.p, e->tip_in_object.p) > 0.03)
    return fail(e);
  if (is_up || e->phase_step > 20) {
    if (!vk_expert_is_held(e, e->object))
      return fail(e);
    set_phase(e, PHASE_PLAN_PLACE);
  }
  return VK_SKILL_RUNNING;
}

/* ---- phases of putting down ---------------------------------------------------------------- */

/* The tip's pose that brings the object, as it is gripped now, to where it is to be.
 *   out_m  further out along the way out of the place */
static vk_pose place_tip(const vk_expert *e, double out_m)
{
  vk_pose in_object, tip;
  const vk_pose object = vk_expert_object_pose(e, e->object);
  vk_pose_in(&in_object, &object, &e->now.tip);
  vk_pose_mul(&tip, &e->place.object, &in_object);
  vk_v3_madd(tip.p, tip.p, out_m, e->place.out);
  return tip;
}

/* Index of the best place that the object can be brought to as it is gripped now, the first when
 * there is none. */
static int choose_place(vk_expert *e, const vk_place *place, int n, double *out_m)
{
  static const double slacks_m[] = {0.003, 0, -0.004};
  vk_pose in_object;
  const vk_pose object = vk_expert_object_pose(e, e->object);
  const double finger_q = e->now.gap_m / 2 + RELEASE_M;
  vk_pose_in(&in_object, &object, &e->now.tip);
  for (size_t s = 0; s < VK_COUNT(slacks_m); s++)
    for (int i = 0; i < n; i++) {
      if (test_place(e, &place[i], &in_object, finger_q, slacks_m[s], e->now.q_rad, out_m))
        return i;
    }
  *out_m = 0.12;
  return 0;
}

/* Whether the object touches anything but the hand. */
static bool is_resting(const vk_expert *e)
{
  const mjData *d = e->now.d;
  for (int c = 0; c < d->ncon; c++) {
    const int g1 = d->contact[c].geom1, g2 = d->contact[c].geom2;
    const int a = e->scene->body_owner[e->now.m->geom_bodyid[g1]],
              b = e->scene->body_owner[e->now.m->geom_bodyid[g2]];
    const int robot = e->now.m->body_rootid[e->scene->body_hand];
    if (a != e->object && b != e->object)
      continue;
    const int other = a == e->object ? g2 : g1, owner = a == e->object ? b : a;
    if (e->now.m->body_rootid[e->now.m->geom_bodyid[other]] != robot &&
        (owner < 0 || !e->is_stacked[owner]))
      return true;
  }
  return false;
}

/* The place that the object is already on the way down to; -1: none. */
static int find_begun_place(vk_expert *e, const vk_place *place, int n)
{
  double best = 1e9;
  int i_best = -1;
  for (int i = 0; i < n; i++) {
    e->place = place[i];
    const vk_pose tip = place_tip(e, -LOWER_M); /* it is lowered until it touches */
    const double far = vk_v3_dist(tip.p, e->now.tip.p);
    if (far < best && vk_expert_is_on_way(e, &tip, place[i].out, WAY_IN_M + LOWER_M)) {
      best = far;
      i_best = i;
    }
  }
  return i_best;
}

/* Where others have gripped the object: it goes on down, or up from where it stands.
 * False: neither. */
static bool go_on_with_object(vk_expert *e, const vk_place *place, int n)
{
  const int begun = find_begun_place(e, place, n);
  e->is_resumed = false;
  note_grip(e);
  if (begun >= 0)
    e->place = place[begun];
  else if (!is_resting(e))
    return false;
  set_phase(e, begun >= 0 ? PHASE_LOWER : PHASE_LIFT);
  return true;
}

static vk_skill_state plan_place(vk_expert *e)
{
  vk_place place[PLACES];
  read_world(e);
  ignore_stack(e, e->is_resumed); /* it may be there already */
  const int n = vk_expert_find_places(e, place, PLACES);
  if (n == 0)
    return fail(e);
  if (e->is_resumed && go_on_with_object(e, place, n))
    return VK_SKILL_RUNNING;
  ignore_stack(e, true);
  e->place = place[choose_place(e, place, n, &e->lower_m)];
  const vk_pose ready = place_tip(e, e->lower_m);
  vk_world_hold(&e->world, e->is_stacked, &e->now.tip, &e->held);
  vk_expert_plan_path(e, &ready, &e->held, e->now.gap_m / 2, V_CARRY);
  ignore_stack(e, false);
  set_phase(e, PHASE_CARRY);
  return VK_SKILL_RUNNING;
}

static vk_skill_state carry(vk_expert *e)
{
  const vk_pose ready = place_tip(e, e->lower_m);
  vk_expert_move_goal(e, &ready);
  const bool is_there = vk_expert_follow(e, 0.012, 0.08);
  if (!vk_expert_is_held(e, e->object) && e->phase_step > 2) {
    if (++e->part_stall > 4)
      return fail(e);
  } else {
    e->part_stall = 0;
  }
  if (is_there)
    set_phase(e, PHASE_LOWER);
  else if (e->phase_step > 140 || e->now.n_still > VK_EXPERT_STILL_MAX)
    set_phase(e, PHASE_PLAN_PLACE);
  return VK_SKILL_RUNNING;
}

static vk_skill_state lower(vk_expert *e)
{
  /* From out_m to the place, and a little beyond until it touches. */
  const vk_pose target = place_tip(e, 0);
  const vk_pose object = vk_expert_object_pose(e, e->object);
  const double dist = vk_v3_dist(e->place.object.p, object.p);
  if (e->phase_step == 0) {
    vk_expert_set_path(e, &target, V_LOWER);
    e->part_stall = e->is_stuck ? STALL_MAX : 0;
    e->stall_m = e->is_stuck ? dist : 1e9;
    e->is_stuck = false;
  }
  vk_expert_move_goal(e, &target);
  const bool is_there = vk_expert_follow(e, 0.004, 0.1);
  e->part_stall = dist > e->stall_m - 0.001 ? e->part_stall + 1 : 0;
  e->stall_m = fmin(e->stall_m, dist);
  if (is_there && !is_resting(e) && e->part_stall < STALL_MAX) {
    e->wish[2] -= 0.12; /* down until it touches */
    return VK_SKILL_RUNNING;
  }
  if (is_there || e->part_stall > 8 || e->phase_step > 60)
    set_phase(e, PHASE_RELEASE);
  return VK_SKILL_RUNNING;
}

static vk_skill_state release(vk_expert *e)
{
  if (e->phase_step == 0)
    e->path.at[0] = e->now.tip;
  e->grip = -1;
  vk_expert_reach(e, &e->path.at[0], V_NEAR);
  if (e->phase_step >= 3 && (!(e->now.touched[0] && e->now.touched[1]) || e->phase_step > 7))
    set_phase(e, PHASE_RETREAT);
  return VK_SKILL_RUNNING;
}

static vk_skill_state retreat(vk_expert *e)
{
  if (e->phase_step == 0) {
    /* Back along the fingers, or out of the place when that is another way. */
    vk_pose back = behind(&e->now.tip, 0.08);
    vk_expert_set_path(e, &back, V_NEAR);
  }
  if (vk_expert_follow(e, 0.02, 0.3) || e->phase_step > 14)
    return VK_SKILL_DONE;
  return VK_SKILL_RUNNING;
}

/* ---- sliding: following the plan ------------------------------------------------------------ */

static vk_skill_state drag_ready(vk_expert *e)
{
  vk_pose ready;
  drag_tip(e, READY_M, &ready);
  if (e->phase_step == 0)
    vk_expert_plan_path(e, &ready, NULL, OPEN_Q, V_FREE);
  vk_expert_move_goal(e, &ready);
  if (vk_expert_follow(e, 0.006, 0.05))
    set_phase(e, PHASE_DRAG_TOUCH);
  return e->phase_step > 150 ? VK_SKILL_FAILED : VK_SKILL_RUNNING;
}

static vk_skill_state drag_touch(vk_expert *e)
{
  vk_pose tip;
  drag_tip(e, 0, &tip);
  vk_expert_reach(e, &tip, V_NEAR);
  e->wish[2] -= e->object_fact->press;
  if (e->now.touched[0] && e->now.touched[1])
    set_phase(e, PHASE_DRAG);
  return e->phase_step > 40 ? VK_SKILL_FAILED : VK_SKILL_RUNNING;
}

static vk_skill_state drag(vk_expert *e)
{
  const double *goal = e->now.d->site_xpos + 3 * e->atom.site;
  const vk_pose object = vk_expert_object_pose(e, e->object);
  vk_pose tip;
  drag_tip(e, 0, &tip);
  vk_v3_copy(tip.p, e->now.tip.p);
  for (int k = 0; k < 2; k++)
    tip.p[k] += goal[k] - object.p[k];
  vk_expert_reach(e, &tip, V_NEAR);
  e->wish[2] -= e->object_fact->press;
  if (hypot(goal[0] - object.p[0], goal[1] - object.p[1]) < 0.015)
    set_phase(e, PHASE_RETREAT);
  if (!e->now.touched[0] && !e->now.touched[1] && e->phase_step > 3 && ++e->part_stall > 4)
    return VK_SKILL_FAILED;
  return e->phase_step > 120 ? VK_SKILL_FAILED : VK_SKILL_RUNNING;
}

vk_skill_state vk_expert_skill_pick(vk_expert *e)
{
  switch (e->phase) {
  case PHASE_PLAN:
    return plan(e);
  case PHASE_TRANSIT:
    return transit(e);
  case PHASE_APPROACH:
    return approach(e);
  case PHASE_CLOSE:
    return close_hand(e);
  case PHASE_LIFT:
    return lift(e);
  case PHASE_PLAN_PLACE:
    return plan_place(e);
  case PHASE_CARRY:
    return carry(e);
  case PHASE_LOWER:
    return lower(e);
  case PHASE_RELEASE:
    return release(e);
  case PHASE_RETREAT:
    return retreat(e);
  case PHASE_AWAY:
    return away(e);
  case PHASE_DRAG_READY:
    return drag_ready(e);
  case PHASE_DRAG_TOUCH:
    return drag_touch(e);
  default:
    return drag(e);
  }
}
