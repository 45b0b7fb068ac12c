/* The skill of moving a drawer, a door or a knob: get ready, touch or pinch, drive the joint to its
 * target with the hand a little ahead of it, let go. */
#include "sim/expert_internal.h"

enum {
  PHASE_PLAN,
  PHASE_TRANSIT,
  PHASE_APPROACH,
  PHASE_CLOSE,
  PHASE_MOVE,
  PHASE_RELEASE,
  PHASE_RETREAT
};

enum { STALL_STEPS = 25 };

static const double V_FREE = 0.25, V_NEAR = 0.10, V_MOVE = 0.16; /* m/s */
static const double AT_END = 0.01;                               /* of a joint's target, m or rad */
static const double AT_PART_M = 0.02, AT_PART_RAD = 0.5;         /* of the contact */

static void set_phase(vk_expert *e, int phase)
{
  static const char *const names[] = {"plan", "transit", "approach", "close",
                                      "move", "release", "retreat"};
  vk_expert_set_phase(e, phase, names[phase]);
}

static double joint_q(const vk_expert *e)
{
  return e->now.d->qpos[e->now.m->jnt_qposadr[e->part_joint]];
}

static vk_pose part_pose(const vk_expert *e)
{
  vk_pose p;
  vk_v3_copy(p.p, e->now.d->xpos + 3 * e->part_body);
  memcpy(p.R, e->now.d->xmat + 9 * e->part_body, sizeof p.R);
  return p;
}

/* Where the part's body is when its joint has moved by dq; a hinge's turn counts by `follow` for
 * the orientation. */
static vk_pose part_moved(const vk_expert *e, double dq, double follow)
{
  const double *axis = e->now.d->xaxis + 3 * e->part_joint;
  vk_pose p = part_pose(e);
  if (e->now.m->jnt_type[e->part_joint] == mjJNT_SLIDE) {
    vk_v3_madd(p.p, p.p, dq, axis);
    return p;
  }
  const double *anchor = e->now.d->xanchor + 3 * e->part_joint;
  double d[3], R[9], turned[9], w[3];
  vk_v3_sub(d, p.p, anchor);
  vk_m3_axis_angle(R, axis, dq);
  vk_m3_apply(p.p, R, d);
  vk_v3_madd(p.p, p.p, 1, anchor);
  for (int k = 0; k < 3; k++)
    w[k] = axis[k] * dq * follow;
  vk_m3_turn(turned, w, p.R);
  memcpy(p.R, turned, sizeof turned);
  return p;
}

/* The tip's pose at the contact when the joint has moved by dq from now. */
static vk_pose contact_tip(const vk_expert *e, double dq)
{
  const vk_pose body = part_moved(e, dq, 1);
  vk_pose tip, turned;
  vk_pose_point(tip.p, &body, e->tip_in_part.p);
  /* Orientation: that of the plan, turned by the share of the hinge's motion since. */
  const vk_pose part = part_moved(e, dq, 1);
  double w[3];
  vk_m3_error(w, e->part_pose.R, part.R);
  for (int k = 0; k < 3; k++)
    w[k] *= e->part->follow;
  vk_pose_mul(&turned, &e->part_pose, &e->tip_in_part);
  vk_m3_turn(tip.R, w, turned.R);
  return tip;
}

static vk_pose ready_tip(const vk_expert *e)
{
  double off[3];
  vk_pose tip = contact_tip(e, 0);
  const vk_pose body = part_pose(e);
  vk_m3_apply(off, body.R, e->part->pre_m);
  vk_v3_madd(tip.p, tip.p, 1, off);
  return tip;
}

/* ---- planning ------------------------------------------------------------------------------ */

/* Cost of a way to touch the part with the given yaw; negative when it does not work. */
static double try_contact(vk_expert *e, const vk_part_fact *f, bool is_flipped, double tilt)
{
  static const double x[3] = {1, 0, 0}, z[3] = {0, 0, 1};
  const double finger_q = f->grip == VK_GRIP_SHUT ? 0.001 : 0.0395;
  vk_pose flip = {{0, 0, 0}, {0}}, lean = {{0, 0, 0}, {0}};
  double q[VK_N_ARM];
  e->part = f;
  vk_v3_copy(e->tip_in_part.p, f->at_m);
  vk_m3_from_zx(e->tip_in_part.R, f->approach, f->open);
  vk_m3_axis_angle(flip.R, z, is_flipped ? M_PI : 0);
  vk_m3_axis_angle(lean.R, x, tilt);
  vk_pose_mul(&e->tip_in_part, &e->tip_in_part, &lean);
  vk_pose_mul(&e->tip_in_part, &e->tip_in_part, &flip);
  e->part_pose = part_pose(e);
  memcpy(q, e->now.q_rad, sizeof q);
  const vk_pose ready = ready_tip(e), touch = contact_tip(e, 0);
  const vk_pose end = contact_tip(e, f->q_target - joint_q(e));
  double cost = f->cost + 0.15 * vk_m3_angle(e->now.tip.R, ready.R) + 0.3 * fabs(tilt);
  if (!vk_arm_inverse(&e->arm, &ready, 0.06, q))
    cost += 10;
  else if (!vk_world_arm_free(&e->world, &e->arm, q, 0.01))
    cost += 4;
  cost += vk_arm_strain(&e->arm, q);
  if (!vk_arm_inverse(&e->arm, &touch, 0.06, q))
    cost += 10;
  else if (!vk_world_arm_free(&e->world, &e->arm, q, 0.01))
    cost += 4;
  if (!vk_arm_inverse(&e->arm, &end, 0.03, q))
    cost += 5;
  else if (!vk_world_arm_free(&e->world, &e->arm, q, 0.0))
    cost += 2;
  if (!vk_world_gripper_free(&e->world, &ready, finger_q, 0.004))
    cost += 3;
  if (!vk_world_gripper_free(&e->world, &touch, finger_q, -0.003))
    cost += 3;
  return cost;
}

static bool plan(vk_expert *e)
{
  const int owner = e->scene->body_owner[e->part_body];
  const vk_instance *instance = &e->scene->instance[owner];
  const vk_fixture_fact *f =
      vk_facts_fixture(e->facts, vk_pack_text(e->scene->pack, instance->cls->name));
  const char *body = mj_id2name(e->now.m, mjOBJ_BODY, e->part_body);
  const vk_part_fact *best = NULL;
  double best_cost = 1e9;
  bool is_flipped = false;
  double lean = 0;
  vk_world_read(&e->world, e->scene, e->now.m, e->now.d, e->facts);
  for (int i = 0; f && i < f->n_part; i++) {
    const vk_part_fact *p = &f->part[i];
    if (p->atom != e->atom.kind || strcmp(body + strlen(instance->name) + 1, p->body) != 0)
      continue;
    for (int flip = 0; flip <= 1; flip++)
      for (int k = -3; k <= 1; k++) {
        const double tilt = k * p->lean;
        /* Another way each time it is tried again. */
        const double cost =
            try_contact(e, p, flip, tilt) + 2 * ((e->attempt + flip) % 2) * (e->attempt > 0);
        if (cost < best_cost) {
          best_cost = cost;
          best = p;
          is_flipped = flip;
          lean = tilt;
        }
      }
  }
  if (!best)
    return false;
  try_contact(e, best, is_flipped, lean);
  return true;
}

/* ---- phases -------------------------------------------------------------------------------- */

static vk_skill_state transit(vk_expert *e)
{
  const double finger_q = e->part->grip == VK_GRIP_SHUT ? 0.001 : 0.0395;
  const vk_pose ready = ready_tip(e);
  e->grip = e->part->grip == VK_GRIP_SHUT ? 1 : -1;
  if (e->phase_step == 0)
    vk_expert_plan_path(e, &ready, NULL, finger_q, V_FREE);
  vk_expert_move_goal(e, &ready);
  if (vk_expert_follow(e, 0.008, 0.08))
    set_phase(e, PHASE_APPROACH);
  return e->phase_step > 150 || e->now.n_still > VK_EXPERT_STILL_MAX ? VK_SKILL_FAILED
                                                                     : VK_SKILL_RUNNING;
}

static vk_skill_state approach(vk_expert *e)
{
  const vk_pose touch = contact_tip(e, 0);
  if (e->phase_step == 0)
    vk_expert_set_path(e, &touch, V_NEAR);
  vk_expert_move_goal(e, &touch);
  const bool is_there = vk_expert_follow(e, 0.004, 0.06);
  if (is_there || (e->phase_step > 20 && vk_v3_dist(touch.p, e->now.tip.p) < 0.012) ||
      e->phase_step > 35)
    set_phase(e, e->part->grip == VK_GRIP_PINCH ? PHASE_CLOSE : PHASE_MOVE);
  return VK_SKILL_RUNNING;
}

static vk_skill_state close_hand(vk_expert *e)
{
  const vk_pose touch = contact_tip(e, 0);
  e->grip = 1;
  vk_expert_reach(e, &touch, V_NEAR);
  if (e->phase_step >= 4 && (fabs(e->now.gap_rate_m) < 0.001 || e->phase_step > 10))
    set_phase(e, PHASE_MOVE);
  return VK_SKILL_RUNNING;
}

static vk_skill_state move(vk_expert *e)
{
  const double q = joint_q(e), left = e->part->q_target - q, sign = left < 0 ? -1 : 1;
  const vk_pose body = part_pose(e);
  double press[3];
  if (e->phase_step == 0) {
    e->part_best = fabs(left);
    e->part_stall = 0;
  }
  const vk_pose ahead = contact_tip(e, sign * e->part->lead);
  vk_expert_reach(e, &ahead, V_MOVE);
  vk_m3_apply(press, body.R, e->part->press);
  vk_v3_madd(e->wish, e->wish, 1, press);
  e->part_stall = fabs(left) < e->part_best - 0.002 ? 0 : e->part_stall + 1;
  e->part_best = fmin(e->part_best, fabs(left));
  if (vk_atom_holds(e->scene, e->now.m, e->now.d, &e->atom) &&
      (fabs(left) < AT_END || e->part_stall > 3))
    set_phase(e, PHASE_RELEASE);
  else if (e->part_stall > STALL_STEPS)
    return VK_SKILL_FAILED;
  return VK_SKILL_RUNNING;
}

static vk_skill_state release(vk_expert *e)
{
  if (e->phase_step == 0)
    e->path.at[0] = e->now.tip;
  if (e->part->grip == VK_GRIP_PINCH)
    e->grip = -1;
  vk_expert_reach(e, &e->path.at[0], V_NEAR);
  if (e->phase_step >= (e->part->grip == VK_GRIP_PINCH ? 4 : 0))
    set_phase(e, PHASE_RETREAT);
  return VK_SKILL_RUNNING;
}

static vk_skill_state retreat(vk_expert *e)
{
  if (e->phase_step == 0) {
    const vk_pose ready = ready_tip(e);
    vk_expert_set_path(e, &ready, V_NEAR);
  }
  if (vk_expert_follow(e, 0.02, 0.3) || e->phase_step > 14)
    return VK_SKILL_DONE;
  return VK_SKILL_RUNNING;
}

/* The phase that the hand is in, when others have brought it there. */
static int phase_of(const vk_expert *e)
{
  const vk_pose ready = ready_tip(e), touch = contact_tip(e, 0);
  const bool is_shut = e->grip > 0, wants_shut = e->part->grip == VK_GRIP_SHUT;
  double out[3];
  vk_v3_sub(out, ready.p, touch.p);
  const double length = vk_v3_norm(out);
  vk_v3_unit(out);
  const bool is_there = vk_v3_dist(touch.p, e->now.tip.p) < AT_PART_M &&
                        vk_m3_angle(touch.R, e->now.tip.R) < AT_PART_RAD;
  if (is_there && e->part->grip == VK_GRIP_PINCH)
    return is_shut ? PHASE_MOVE : PHASE_CLOSE;
  if (is_there && is_shut == wants_shut)
    return PHASE_MOVE;
  if (length > 0 && is_shut == wants_shut && vk_expert_is_on_way(e, &touch, out, length))
    return PHASE_APPROACH;
  return PHASE_TRANSIT;
}

bool vk_expert_part_is_begun(vk_expert *e)
{
  const bool is_done = e->is_stuck && vk_atom_holds(e->scene, e->now.m, e->now.d, &e->atom);
  return !is_done && plan(e) && phase_of(e) == PHASE_MOVE &&
         fabs(e->part->q_target - joint_q(e)) > AT_END;
}

vk_skill_state vk_expert_skill_part(vk_expert *e)
{
  switch (e->phase) {
  case PHASE_PLAN:
    if (!plan(e))
      return VK_SKILL_FAILED;
    set_phase(e, e->is_resumed ? phase_of(e) : PHASE_TRANSIT);
    e->is_resumed = false;
    return VK_SKILL_RUNNING;
  case PHASE_TRANSIT:
    return transit(e);
  case PHASE_APPROACH:
    return approach(e);
  case PHASE_CLOSE:
    return close_hand(e);
  case PHASE_MOVE:
    return move(e);
  case PHASE_RELEASE:
    return release(e);
  default:
    return retreat(e);
  }
}
