#include "sim/forward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/forward_internal.h"

#if VK_MUJOCO_IS_KNOWN

static const vk_kernels *choose(vk_isa isa)
{
#if defined(__x86_64__)
  if (isa >= VK_ISA_AVX512)
    return &vk_kernels_avx512;
  if (isa == VK_ISA_AVX2)
    return &vk_kernels_avx2;
#endif
  return &vk_kernels_scalar;
}

/* ---- memory -------------------------------------------------------------------------------- */

static vk_status push(void *out, vk_arena *a, size_t n, size_t size, vk_err *err)
{
  void *p = vk_arena_push(a, n, size, VK_ARENA_ALIGN, err);
  if (!p)
    return VK_E_NOMEM;
  memset(p, 0, n * size);
  memcpy(out, &p, sizeof p);
  return VK_OK;
}

/* Members that are arrays of a double a row, and vectors of dofs in groups. */
static const size_t doubles_of_rows[] = {
    offsetof(vk_forward, D),          offsetof(vk_forward, R),
    offsetof(vk_forward, B),          offsetof(vk_forward, KI),
    offsetof(vk_forward, floss),      offsetof(vk_forward, aref),
    offsetof(vk_forward, Jv),         offsetof(vk_forward, D_quad),
    offsetof(vk_forward, warm.jar),   offsetof(vk_forward, warm.force),
    offsetof(vk_forward, other.jar),  offsetof(vk_forward, other.force),
    offsetof(vk_forward, smooth.jar), offsetof(vk_forward, smooth.force),
};
static const size_t vectors_of_dofs[] = {
    offsetof(vk_forward, qacc),   offsetof(vk_forward, qacc_smooth),
    offsetof(vk_forward, qfrc),   offsetof(vk_forward, qfrc_smooth),
    offsetof(vk_forward, Ma),     offsetof(vk_forward, Mv),
    offsetof(vk_forward, search), offsetof(vk_forward, grad),
    offsetof(vk_forward, Mgrad),
};

static vk_status push_rows(vk_forward *f, vk_arena *a, vk_err *err)
{
  size_t n_row = (size_t)f->n_row_max + 4, n_con = (size_t)f->n_con_max + 5, n = n_row + n_con;
  size_t n_group = (size_t)f->plan.n_group, nv = (size_t)f->plan.nv;
  for (size_t i = 0; i < VK_COUNT(doubles_of_rows); i++)
    VK_TRY(push((char *)f + doubles_of_rows[i], a, n_row, sizeof(double), err));
  for (size_t i = 0; i < VK_COUNT(vectors_of_dofs); i++)
    VK_TRY(push((char *)f + vectors_of_dofs[i], a, n_group, sizeof(v4), err));
  VK_TRY(push(&f->warm.state, a, n, 1, err));
  VK_TRY(push(&f->other.state, a, n, 1, err));
  VK_TRY(push(&f->smooth.state, a, n, 1, err));
  VK_TRY(push(&f->H_state, a, n, 1, err));
  VK_TRY(push(&f->unit, a, n_row, sizeof *f->unit, err));
  VK_TRY(push(&f->unit_quad, a, n_row, sizeof *f->unit_quad, err));
  VK_TRY(push(&f->con, a, n_con, sizeof *f->con, err));
  VK_TRY(push(&f->con_row, a, n_con, sizeof *f->con_row, err));
  VK_TRY(push(&f->con_mu, a, n_con, sizeof *f->con_mu, err));
  VK_TRY(push(&f->con_slip[0], a, n_con, sizeof *f->con_mu, err));
  VK_TRY(push(&f->con_slip[1], a, n_con, sizeof *f->con_mu, err));
  VK_TRY(push(&f->con_dim, a, n_con, 1, err));
  VK_TRY(push(&f->con_quad, a, n_con, sizeof *f->con_quad, err));
  for (size_t k = 0; k < VK_COUNT(f->line); k++)
    VK_TRY(push(&f->line[k], a, n_con, sizeof(double), err));
  VK_TRY(push(&f->run, a, n_con, sizeof *f->run, err));
  VK_TRY(push(&f->cdof, a, 6 * n_group, sizeof *f->cdof, err));
  VK_TRY(push(&f->H, a, nv * n_group, sizeof *f->H, err));
  VK_TRY(push(&f->H_cone, a, nv * n_group, sizeof *f->H_cone, err));
  VK_TRY(push(&f->first, a, nv, sizeof *f->first, err));
  VK_TRY(push(&f->last, a, nv, sizeof *f->last, err));
  VK_TRY(push(&f->inv_diag, a, nv, sizeof *f->inv_diag, err));
  f->J = vk_arena_push(a, n_row * (size_t)f->plan.max_pattern, sizeof *f->J, VK_ARENA_ALIGN, err);
  return f->J ? VK_OK : VK_E_NOMEM;
}

static vk_status push_boxes(vk_boxes *b, size_t n, vk_arena *a, vk_err *err)
{
  for (int k = 0; k < 3; k++) {
    VK_TRY(push(&b->c[k], a, n + 4, sizeof(double), err));
    VK_TRY(push(&b->h[k], a, n + 4, sizeof(double), err));
  }
  return VK_OK;
}

/* A bound of what all the arrays take; pages that are never used cost nothing. */
static size_t arena_size(const mjModel *m)
{
  size_t nv = (size_t)m->nv, nbody = (size_t)m->nbody, ngeom = (size_t)m->ngeom;
  size_t row = (size_t)(m->njmax > 0 ? m->njmax : 0),
         con = (size_t)(m->nconmax > 0 ? m->nconmax : 0);
  size_t n_group = nv / 4 + 2;
  return (1 << 16) + row * (256 + 32 * (n_group + 4)) + con * 512 + nv * 64 * n_group +
         nbody * (nbody + 64 * n_group + 512) + ngeom * 512 +
         (nv + 2) * (nv + 2) * (64 + 8 * n_group) + ngeom * 64 + 64 * 64 * sizeof(vk_pair_class) +
         ngeom * ngeom * sizeof(vk_pair_class);
}

vk_status vk_forward_new(vk_forward **out, const mjModel *m, vk_isa isa, vk_err *err)
{
  *out = NULL;
  vk_forward *f = calloc(1, sizeof *f);
  if (!f)
    return vk_fail(err, VK_E_NOMEM, "no memory for forward dynamics");
  f->kernels = choose(isa);
  f->n_row_max = m->njmax;
  f->n_con_max = m->nconmax;
  vk_status st = vk_arena_init(&f->arena, "forward dynamics", arena_size(m), err);
  if (st == VK_OK)
    st = vk_plan_init(&f->plan, m, &f->arena, err);
  if (st == VK_OK && f->plan.is_native) {
    VK_TRY_DONE(push(&f->warmstart, &f->arena, (size_t)m->nv, sizeof(double), err));
    VK_TRY_DONE(push(&f->ctrl, &f->arena, (size_t)m->nu, sizeof(double), err));
    VK_TRY_DONE(push(&f->applied, &f->arena, (size_t)m->nv, sizeof(double), err));
    VK_TRY_DONE(push_boxes(&f->slot_box, (size_t)f->plan.n_slot, &f->arena, err));
    VK_TRY_DONE(push_boxes(&f->body_box, (size_t)m->nbody, &f->arena, err));
    VK_TRY_DONE(push_rows(f, &f->arena, err));
  }
done:
  if (st == VK_OK)
    *out = f;
  else
    vk_forward_free(f);
  return st;
}

void vk_forward_free(vk_forward *f)
{
  if (!f)
    return;
  vk_arena_fini(&f->arena);
  free(f);
}

void vk_forward_set_isa(vk_forward *f, vk_isa isa)
{
  f->kernels = choose(isa);
}

bool vk_forward_is_native(const vk_forward *f, const char **reason)
{
  if (reason)
    *reason = f->plan.reason;
  return f->plan.is_native;
}

/* ---- stages -------------------------------------------------------------------------------- */

/* Far from where sums could overflow. */
static bool is_sane(const mjModel *m, const mjData *d)
{
  double worst = 0;
  for (int i = 0; i < m->nq; i++)
    worst = fabs(d->qpos[i]) <= 1e6 ? worst : 1;
  for (int i = 0; i < m->nv; i++)
    worst = fabs(d->qvel[i]) <= 1e8 ? worst : 1;
  return worst == 0;
}

/* mj_fwdPosition and mj_fwdVelocity. */
static void run_position(vk_forward *f, const mjModel *m, mjData *d)
{
  mj_kinematics(m, d);
  mj_comPos(m, d);
  mj_camlight(m, d);
  mj_crb(m, d);
  mj_factorM(m, d);
  mj_transmission(m, d);
  mju_mulMatVec(d->actuator_velocity, d->actuator_moment, d->qvel, m->nu, m->nv);
  mj_comVel(m, d);
  f->kernels->passive(f, m, d);
  if (!f->kernels->collide(f, m, d))
    mj_collision(m, d);
  f->kernels->make_rows(f, m, d);
  f->kernels->reference(f, m, d);
  mj_rne(m, d, 0, d->qfrc_bias);
}

static bool is_zero(const double *x, int n)
{
  bool zero = true;
  for (int i = 0; i < n; i++)
    zero = zero && x[i] == 0;
  return zero;
}

/* mj_fwdAcceleration */
static void run_smooth_acceleration(const mjModel *m, mjData *d)
{
  if (!is_zero(d->xfrc_applied + 6, 6 * (m->nbody - 1))) {
    mj_fwdAcceleration(m, d);
    return;
  }
  for (int i = 0; i < m->nv; i++)
    d->qfrc_smooth[i] =
        ((d->qfrc_passive[i] - d->qfrc_bias[i]) + d->qfrc_applied[i]) + d->qfrc_actuator[i];
  mj_solveM(m, d, d->qacc_smooth, d->qfrc_smooth, 1);
}

/* What the smooth acceleration is made from, beside the state. */
static bool has_same_inputs(const vk_forward *f, const mjModel *m, const mjData *d)
{
  return f->has_inputs && m->na == 0 &&
         memcmp(f->ctrl, d->ctrl, sizeof(double) * (size_t)m->nu) == 0 &&
         memcmp(f->applied, d->qfrc_applied, sizeof(double) * (size_t)m->nv) == 0 &&
         is_zero(d->xfrc_applied + 6, 6 * (m->nbody - 1));
}

static void save_inputs(vk_forward *f, const mjModel *m, const mjData *d)
{
  f->has_inputs = is_zero(d->xfrc_applied + 6, 6 * (m->nbody - 1));
  memcpy(f->ctrl, d->ctrl, sizeof(double) * (size_t)m->nu);
  memcpy(f->applied, d->qfrc_applied, sizeof(double) * (size_t)m->nv);
}

/* The rest of mj_forward; false: not finite. */
static bool run_acceleration(vk_forward *f, const mjModel *m, mjData *d)
{
  if (!has_same_inputs(f, m, d)) {
    mj_fwdActuation(m, d);
    run_smooth_acceleration(m, d);
    save_inputs(f, m, d);
  }
  return f->kernels->solve(f, m, d);
}

static void save_warmstart(vk_forward *f, const mjData *d)
{
  memcpy(f->warmstart, d->qacc_warmstart, sizeof(double) * (size_t)f->plan.nv);
}

static void restore_warmstart(const vk_forward *f, mjData *d)
{
  memcpy(d->qacc_warmstart, f->warmstart, sizeof(double) * (size_t)f->plan.nv);
}

void vk_forward_run(vk_forward *f, const mjModel *m, mjData *d)
{
  f->used_library = true;
  if (!f->plan.is_native || !is_sane(m, d)) {
    mj_forward(m, d);
    return;
  }
  save_warmstart(f, d);
  f->has_inputs = false;
  run_position(f, m, d);
  f->used_library = !run_acceleration(f, m, d);
  if (f->used_library) {
    restore_warmstart(f, d);
    mj_forward(m, d);
  }
}

void vk_forward_again(vk_forward *f, const mjModel *m, mjData *d)
{
  if (f->used_library) {
    mj_forwardSkip(m, d, mjSTAGE_VEL, 1);
    return;
  }
  save_warmstart(f, d);
  f->used_library = !run_acceleration(f, m, d);
  if (f->used_library) {
    restore_warmstart(f, d);
    mj_forward(m, d);
  }
}

#else

vk_status vk_forward_new(vk_forward **out, const mjModel *m, vk_isa isa, vk_err *err)
{
  *out = calloc(1, sizeof **out);
  if (!*out)
    return vk_fail(err, VK_E_NOMEM, "no memory for forward dynamics");
  return VK_OK;
}

void vk_forward_free(vk_forward *f)
{
  free(f);
}

void vk_forward_set_isa(vk_forward *f, vk_isa isa)
{
}

bool vk_forward_is_native(const vk_forward *f, const char **reason)
{
  if (reason)
    *reason = "MuJoCo is not 2.2.2";
  return false;
}

void vk_forward_run(vk_forward *f, const mjModel *m, mjData *d)
{
  mj_forward(m, d);
}

void vk_forward_again(vk_forward *f, const mjModel *m, mjData *d)
{
  mj_forwardSkip(m, d, mjSTAGE_VEL, 1);
}

#endif
