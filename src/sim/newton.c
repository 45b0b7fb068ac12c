/* newton.c - mj_fwdConstraint with the Newton solver and elliptic cones: the same iterates.
 * Compiled once a path.
 *
 * MuJoCo's products run over all dofs. Rows of J are zero outside one or two trees, and adding an
 * exact zero changes no sum that began with +0, so they run over the trees' groups here, in the
 * same four partial sums. The Hessian J'DJ + M couples only trees that share a contact; its
 * Cholesky factor has no fill outside of the envelope that begins at the lowest coupled tree. What
 * MuJoCo computes and never uses (the last iteration's Hessian) or computes twice (the Hessian for
 * equal states, the warm start's products) is computed once. */
#include <math.h>

#include "sim/forward_kernel.h"

#if VK_MUJOCO_IS_KNOWN

/* One point of the line search. */
typedef struct line_point {
  double alpha, cost, deriv[2];
} line_point;

typedef struct line {
  double gauss[3]; /* the smooth cost along the line: 1, alpha, alpha^2 */
  int n_eval;
} line;

/* ---- products ------------------------------------------------------------------------------ */

/* mju_dot over all dofs of two padded vectors. */
static double dot_dofs(const vk_plan *p, const v4 *a, const v4 *b)
{
  int n = p->nv / 4;
  v4 s = {0};
  for (int g = 0; g < n; g++)
    s += a[g] * b[g];
  double sum = sum4(s);
  return p->n_tail ? sum + sum_tail(a[n] * b[n]) : sum;
}

static inline v2 half4(v4 s)
{
  return __builtin_shufflevector(s, s, 0, 1) + __builtin_shufflevector(s, s, 2, 3);
}

/* mju_dot of n groups of a row with x; the tail's group comes last. */
static inline double dot_row(const v4 *J, const v4 *x, int n, bool has_tail)
{
  v4 s = {0};
  for (int g = 0; g < n - has_tail; g++)
    s += J[g] * x[g];
  double sum = sum4(s);
  return has_tail ? sum + sum_tail(J[n - 1] * x[n - 1]) : sum;
}

static inline __attribute__((always_inline)) void mul_rows(const vk_row_run *run, const v4 *x,
                                                           double *out, int n, bool has_tail)
{
  int r = 0;
  if (!has_tail)
    for (; r + 2 <= run->n_row; r += 2) {
      const v4 *J = run->J + (size_t)r * (size_t)n;
      v4 a = {0}, b = {0};
      for (int g = 0; g < n; g++) {
        a += J[g] * x[g];
        b += J[n + g] * x[g];
      }
      v2 ha = half4(a), hb = half4(b);
      v2 sum = __builtin_shufflevector(ha, hb, 0, 2) + __builtin_shufflevector(ha, hb, 1, 3);
      memcpy(out + r, &sum, sizeof sum);
    }
  for (; r < run->n_row; r++)
    out[r] = dot_row(run->J + (size_t)r * (size_t)n, x, n, has_tail);
}

/* mj_mulJacVec */
static void mul_J(const vk_forward *f, const v4 *vec, double *out)
{
  for (int i = 0; i < f->n_unit; i++)
    out[i] = f->unit[i].sign * ((const double *)vec)[f->unit[i].dof] + 0.0;
  for (int k = 0; k < f->n_run; k++) {
    const vk_row_run *run = f->run + k;
    const vk_row_pattern *p = run->pattern;
    v4 x[VK_PATTERN_MAX];
    for (int g = 0; g < p->n; g++)
      x[g] = vec[p->group[g]];
    double *o = out + run->row;
    if (p->n == 2 && !p->has_tail)
      mul_rows(run, x, o, 2, false);
    else if (p->n == 3 && !p->has_tail)
      mul_rows(run, x, o, 3, false);
    else if (p->n == 3)
      mul_rows(run, x, o, 3, true);
    else
      mul_rows(run, x, o, p->n, p->has_tail);
  }
}

/* mj_mulJacTVec */
static void mul_JT(const vk_forward *f, const double *force, v4 *out)
{
  const vk_plan *plan = &f->plan;
  memset(out, 0, sizeof *out * (size_t)plan->n_group);
  for (int i = 0; i < f->n_unit; i++)
    ((double *)out)[f->unit[i].dof] += f->unit[i].sign * force[i];
  for (int k = 0; k < f->n_run; k++) {
    const vk_row_run *run = f->run + k;
    const vk_row_pattern *p = run->pattern;
    const double *fr = force + run->row;
    for (int at = 0; at < p->n; at += 3) {
      int n = p->n - at < 3 ? p->n - at : 3;
      const v4 *J = run->J + at;
      v4 s[3];
      for (int g = 0; g < 3; g++)
        s[g] = out[p->group[g < n ? at + g : at]];
      for (int r = 0; r < run->n_row; r++, J += p->n) {
        s[0] += J[0] * fr[r];
        if (n > 1)
          s[1] += J[1] * fr[r];
        if (n > 2)
          s[2] += J[2] * fr[r];
      }
      for (int g = 0; g < n; g++)
        out[p->group[at + g]] = s[g];
    }
  }
}

/* mj_mulM */
static void mul_M(const vk_forward *f, const mjModel *m, const mjData *d, const v4 *vec, v4 *out)
{
  const double *v = (const double *)vec;
  double *res = (double *)out;
  memset(out, 0, sizeof *out * (size_t)f->plan.n_group);
  for (int i = 0; i < m->nv; i++) {
    const double *M = d->qM + m->dof_Madr[i];
    if (m->dof_simplenum[i]) {
      res[i] = *M * v[i];
      continue;
    }
    double sum = res[i] + *M++ * v[i];
    for (int j = m->dof_parentid[i]; j >= 0; j = m->dof_parentid[j], M++) {
      sum += *M * v[j];
      res[j] += *M * v[i];
    }
    res[i] = sum;
  }
}

static void copy_in(const vk_plan *p, v4 *to, const double *from)
{
  to[p->n_group - 1] = (v4){0};
  memcpy(to, from, sizeof *from * (size_t)p->nv);
}

static void copy_out(const vk_plan *p, double *to, const v4 *from)
{
  memcpy(to, from, sizeof *to * (size_t)p->nv);
}

/* ---- constraint forces at a point ---------------------------------------------------------- */

/* Force and state of a contact with friction; returns the cost with what was before added. */
static double press_contact(const vk_forward *f, const mjContact *con, int i_con, vk_point *pt,
                            double cost)
{
  int row = f->con_row[i_con], dim = con->dim;
  const double *jar = pt->jar + row, *D = f->D + row;
  double mu = f->con_mu[i_con], *force = pt->force + row, U[VK_DIM_MAX];
  U[0] = jar[0] * mu;
  for (int j = 1; j < dim; j++)
    U[j] = jar[j] * con->friction[j - 1];
  double N = U[0], T = vk_tangent_norm(U, dim);
  uint8_t *state = pt->state + f->n_unit + i_con;
  if (N >= mu * T || (T <= 0 && N >= 0)) {
    memset(force, 0, sizeof *force * (size_t)dim);
    *state = mjCNSTRSTATE_SATISFIED;
  } else if (mu * N + T <= 0 || (T <= 0 && N < 0)) {
    for (int j = 0; j < dim; j++) {
      cost += 0.5 * D[j] * jar[j] * jar[j];
      force[j] = -D[j] * jar[j];
    }
    *state = mjCNSTRSTATE_QUADRATIC;
  } else {
    double Dm = D[0] / (mu * mu * (1 + mu * mu)), NmT = N - mu * T;
    cost += 0.5 * Dm * NmT * NmT;
    force[0] = -Dm * NmT * mu;
    for (int j = 1; j < dim; j++)
      force[j] = -force[0] / T * U[j] * con->friction[j - 1];
    *state = mjCNSTRSTATE_CONE;
    pt->n_cone++;
  }
  return cost;
}

/* Four contacts of three rows of which all push inside their cones: the usual case, at once. False
 * when it is not that. */
static bool press_four(const vk_forward *f, int i, vk_point *pt, double *cost)
{
  int row = f->con_row[i];
  v4 jar[3], mu = load4u(f->con_mu + i), cost_of[3];
  for (int k = 0; k < 3; k++)
    jar[k] = load4u(pt->jar + row + 4 * k);
  v4 x = __builtin_shufflevector(jar[0], jar[1], 0, 3, 6, 6), y, z;
  x = __builtin_shufflevector(x, jar[2], 0, 1, 2, 5);
  y = __builtin_shufflevector(jar[0], jar[1], 1, 4, 7, 7);
  y = __builtin_shufflevector(y, jar[2], 0, 1, 2, 6);
  z = __builtin_shufflevector(jar[0], jar[1], 2, 5, 5, 5);
  z = __builtin_shufflevector(z, jar[2], 0, 1, 4, 7);
  v4 N = x * mu, u = y * load4u(f->con_slip[0] + i), v = z * load4u(f->con_slip[1] + i);
  v4 T = sqrt4(u * u + v * v);
  m4 is_top = (N >= mu * T) | ((T <= 0.0) & (N >= 0.0));
  m4 is_low = (mu * N + T <= 0.0) | ((T <= 0.0) & (N < 0.0));
  if (mask4(is_low & ~is_top) != 15)
    return false;
  for (int k = 0; k < 3; k++) {
    v4 D = load4u(f->D + row + 4 * k), force = -D * jar[k];
    memcpy(pt->force + row + 4 * k, &force, sizeof force);
    cost_of[k] = 0.5 * D * jar[k] * jar[k];
  }
  for (int k = 0; k < 12; k++)
    *cost += cost_of[k / 4][k % 4];
  memset(pt->state + f->n_unit + i, mjCNSTRSTATE_QUADRATIC, 4);
  return true;
}

/* Force and state of a row that can only push. */
static double press_one_sided(double D, double jar, double *force, uint8_t *state, double cost)
{
  if (jar >= 0) {
    *force = 0;
    *state = mjCNSTRSTATE_SATISFIED;
    return cost;
  }
  *force = -D * jar;
  *state = mjCNSTRSTATE_QUADRATIC;
  return cost + 0.5 * D * jar * jar;
}

static double press_friction(const vk_forward *f, int i, vk_point *pt, double cost)
{
  double jar = pt->jar[i], R = f->R[i], D = f->D[i], loss = f->floss[i];
  if (jar <= -R * loss) {
    pt->force[i] = loss;
    pt->state[i] = mjCNSTRSTATE_LINEARNEG;
    return cost + (-0.5 * R * loss * loss - loss * jar);
  }
  if (jar >= R * loss) {
    pt->force[i] = -loss;
    pt->state[i] = mjCNSTRSTATE_LINEARPOS;
    return cost + (-0.5 * R * loss * loss + loss * jar);
  }
  pt->force[i] = -D * jar;
  pt->state[i] = mjCNSTRSTATE_QUADRATIC;
  return cost + 0.5 * D * jar * jar;
}

/* mj_constraintUpdate without J' force: force, state and cost from jar. */
static void press(const vk_forward *f, const mjData *d, vk_point *pt)
{
  double cost = 0;
  pt->n_cone = 0;
  for (int i = 0; i < f->n_friction; i++)
    cost = press_friction(f, i, pt, cost);
  for (int i = f->n_friction; i < f->n_unit; i++)
    cost = press_one_sided(f->D[i], pt->jar[i], pt->force + i, pt->state + i, cost);
  for (int i = 0; i < f->n_con; i++) {
    const mjContact *con = d->contact + f->con[i];
    int row = f->con_row[i];
    static const uint8_t three[4] = {3, 3, 3, 3};
    if (i + 4 <= f->n_con && memcmp(f->con_dim + i, three, 4) == 0 && press_four(f, i, pt, &cost)) {
      i += 3;
      continue;
    }
    if (con->dim == 1)
      cost = press_one_sided(f->D[row], pt->jar[row], pt->force + row, pt->state + f->n_unit + i,
                             cost);
    else
      cost = press_contact(f, con, i, pt, cost);
  }
  pt->cost = cost;
}

/* ---- line search --------------------------------------------------------------------------- */

static void prepare_contact(vk_forward *f, const mjContact *con, int i, const vk_point *pt)
{
  int row = f->con_row[i], dim = con->dim;
  const double *jar = pt->jar + row, *Jv = f->Jv + row, *D = f->D + row;
  double DJ = D[0] * jar[0], mu = f->con_mu[i];
  double q0 = jar[0] * DJ, q1 = Jv[0] * DJ, q2 = Jv[0] * D[0] * Jv[0], UU = 0, UV = 0, VV = 0;
  for (int j = 1; j < dim; j++) {
    DJ = D[j] * jar[j];
    q0 += jar[j] * DJ;
    q1 += Jv[j] * DJ;
    q2 += Jv[j] * D[j] * Jv[j];
    double U = jar[j] * con->friction[j - 1], V = Jv[j] * con->friction[j - 1];
    UU += U * U;
    UV += U * V;
    VV += V * V;
  }
  f->con_quad[i] = (v4){q0 * 0.5, q1, q2 * 0.5, 0};
  /* A contact without friction pushes where its row is negative: a cone without tangent. */
  f->line[0][i] = dim == 1 ? jar[0] : jar[0] * mu;
  f->line[1][i] = dim == 1 ? Jv[0] : Jv[0] * mu;
  f->line[2][i] = UU;
  f->line[3][i] = UV;
  f->line[4][i] = VV;
  f->line[5][i] = mu;
}

/* CGprepare */
static void prepare_line(vk_forward *f, const mjData *d, line *l, double gauss)
{
  const vk_plan *p = &f->plan;
  l->gauss[0] = gauss;
  l->gauss[1] = dot_dofs(p, f->search, f->Ma) - dot_dofs(p, f->search, f->qfrc_smooth);
  l->gauss[2] = 0.5 * dot_dofs(p, f->search, f->Mv);
  l->n_eval = 0;
  for (int i = 0; i < f->n_unit; i++) {
    double jar = f->now->jar[i], Jv = f->Jv[i], D = f->D[i], DJ = D * jar;
    f->unit_quad[i] = (v4){jar * DJ * 0.5, Jv * DJ, Jv * D * Jv * 0.5, 0};
  }
  for (int i = 0; i < f->n_con; i++)
    prepare_contact(f, d->contact + f->con[i], i, f->now);
  for (int k = 0; k < 6; k++)
    memset(f->line[k] + f->n_con, 0, 4 * sizeof(double));
}

/* What a contact in the middle zone adds. */
static void add_cone(const vk_forward *f, int i, line_point *pt)
{
  double U0 = f->line[0][i], V0 = f->line[1][i], UU = f->line[2][i], UV = f->line[3][i],
         VV = f->line[4][i], mu = f->line[5][i], alpha = pt->alpha;
  double Dm = f->D[f->con_row[i]] / (mu * mu * (1 + mu * mu));
  double N = U0 + alpha * V0, T = sqrt(UU + alpha * (2 * UV + alpha * VV));
  double T1 = (UV + alpha * VV) / T, T2 = VV / T - (UV + alpha * VV) * T1 / (T * T);
  pt->cost += 0.5 * Dm * (N - mu * T) * (N - mu * T);
  pt->deriv[0] += Dm * (N - mu * T) * (V0 - mu * T1);
  pt->deriv[1] += Dm * ((V0 - mu * T1) * (V0 - mu * T1) + (N - mu * T) * (-mu * T2));
}

static v4 add_contacts(const vk_forward *f, line_point *pt, v4 total)
{
  v4 alpha = splat4(pt->alpha);
  for (int i = 0; i < f->n_con; i += 4) {
    v4 U0 = load4u(f->line[0] + i), V0 = load4u(f->line[1] + i), UU = load4u(f->line[2] + i),
       UV = load4u(f->line[3] + i), VV = load4u(f->line[4] + i), mu = load4u(f->line[5] + i);
    v4 N = U0 + alpha * V0, T2 = UU + alpha * (2.0 * UV + alpha * VV), T = sqrt4(T2);
    m4 has_tangent = T2 > 0.0, is_top = N >= mu * T, is_low = mu * N + T <= 0.0;
    unsigned bottom = mask4((~has_tangent & (N < 0.0)) | (has_tangent & ~is_top & is_low));
    unsigned middle = mask4(has_tangent & ~is_top & ~is_low);
    int n = f->n_con - i < 4 ? f->n_con - i : 4;
    if (bottom == 15 && n == 4) {
      total += f->con_quad[i];
      total += f->con_quad[i + 1];
      total += f->con_quad[i + 2];
      total += f->con_quad[i + 3];
      continue;
    }
    for (int k = 0; k < n; k++)
      if (bottom >> k & 1)
        total += f->con_quad[i + k];
      else if (middle >> k & 1)
        add_cone(f, i + k, pt);
  }
  return total;
}

/* CGeval */
static void evaluate(const vk_forward *f, line *l, line_point *pt)
{
  double alpha = pt->alpha;
  pt->cost = pt->deriv[0] = pt->deriv[1] = 0;
  v4 total = {l->gauss[0], l->gauss[1], l->gauss[2], 0};
  for (int i = 0; i < f->n_friction; i++) {
    double start = f->now->jar[i], dir = f->Jv[i], x = start + alpha * dir;
    double loss = f->floss[i], Rf = f->R[i] * loss;
    if (-Rf < x && x < Rf)
      total += f->unit_quad[i];
    else if (x <= -Rf)
      total += (v4){loss * (-0.5 * Rf - start), -loss * dir, 0, 0};
    else
      total += (v4){loss * (-0.5 * Rf + start), loss * dir, 0, 0};
  }
  for (int i = f->n_friction; i < f->n_unit; i++)
    if (f->now->jar[i] + alpha * f->Jv[i] < 0)
      total += f->unit_quad[i];
  total = add_contacts(f, pt, total);
  pt->cost += alpha * alpha * total[2] + alpha * total[1] + total[0];
  pt->deriv[0] += 2 * alpha * total[2] + total[1];
  pt->deriv[1] += 2 * total[2];
  if (pt->deriv[1] <= 0)
    pt->deriv[1] = mjMINVAL;
  l->n_eval++;
}

static void step_point(const vk_forward *f, line *l, const line_point *from, line_point *to)
{
  to->alpha = from->alpha - from->deriv[0] / from->deriv[1];
  evaluate(f, l, to);
}

/* updateBracket */
static bool update_bracket(const vk_forward *f, line *l, line_point *p, const line_point *candidate,
                           line_point *next)
{
  bool is_updated = false;
  for (int i = 0; i < 3; i++) {
    const line_point *c = candidate + i;
    if ((p->deriv[0] < 0 && c->deriv[0] < 0 && p->deriv[0] < c->deriv[0]) ||
        (p->deriv[0] > 0 && c->deriv[0] > 0 && p->deriv[0] > c->deriv[0])) {
      *p = *c;
      is_updated = true;
    }
  }
  if (is_updated)
    step_point(f, l, p, next);
  return is_updated;
}

enum { N_EVAL_MAX = 50 };

/* The second half of CGsearch: p1 and p2 are on either side of the minimum. */
static double search_bracket(const vk_forward *f, line *l, const line_point *p0, line_point p1,
                             line_point p2, double gtol)
{
  line_point p2next = p1, p1next;
  step_point(f, l, &p1, &p1next);
  while (l->n_eval < N_EVAL_MAX) {
    line_point mid = {.alpha = 0.5 * (p1.alpha + p2.alpha)};
    evaluate(f, l, &mid);
    line_point candidate[3] = {p1next, p2next, mid};
    int best = -1;
    double best_cost = 0;
    for (int i = 0; i < 3; i++)
      if (fabs(candidate[i].deriv[0]) < gtol && (best < 0 || candidate[i].cost < best_cost)) {
        best_cost = candidate[i].cost;
        best = i;
      }
    if (best >= 0)
      return candidate[best].alpha;
    bool b1 = update_bracket(f, l, &p1, candidate, &p1next);
    bool b2 = update_bracket(f, l, &p2, candidate, &p2next);
    if (!b1 && !b2)
      return mid.alpha;
  }
  if (p1.cost <= p2.cost && p1.cost < p0->cost)
    return p1.alpha;
  if (p2.cost <= p1.cost && p2.cost < p0->cost)
    return p2.alpha;
  return 0;
}

/* CGsearch: how far to go along f->search; 0: nowhere. Sets Mv and Jv. */
static double search_line(vk_forward *f, const mjModel *m, const mjData *d, double gauss)
{
  double snorm = sqrt(dot_dofs(&f->plan, f->search, f->search));
  if (snorm < mjMINVAL)
    return 0;
  double gtol = m->opt.tolerance * 0.01 * snorm * m->stat.meaninertia * m->nv;
  mul_M(f, m, d, f->search, f->Mv);
  mul_J(f, f->search, f->Jv);
  line l;
  prepare_line(f, d, &l, gauss);
  line_point p0 = {.alpha = 0}, p1, p2;
  evaluate(f, &l, &p0);
  step_point(f, &l, &p0, &p1);
  if (p0.cost < p1.cost)
    p1 = p0;
  if (fabs(p1.deriv[0]) < gtol)
    return p1.alpha;
  int dir = p1.deriv[0] < 0 ? 1 : -1;
  p2 = p1;
  bool has_p2 = false;
  while (p1.deriv[0] * dir <= -gtol && l.n_eval < N_EVAL_MAX) {
    p2 = p1;
    has_p2 = true;
    step_point(f, &l, &p2, &p1);
    if (fabs(p1.deriv[0]) < gtol)
      return p1.alpha;
  }
  if (l.n_eval >= N_EVAL_MAX || !has_p2)
    return p1.alpha;
  return search_bracket(f, &l, &p0, p1, p2, gtol);
}

/* ---- solver -------------------------------------------------------------------------------- */

/* The smooth cost of qacc. */
static double gauss_cost(const vk_forward *f, const v4 *qacc, const v4 *Ma, double sum)
{
  const double *a = (const double *)qacc, *as = (const double *)f->qacc_smooth;
  const double *M = (const double *)Ma, *q = (const double *)f->qfrc_smooth;
  for (int i = 0; i < f->plan.nv; i++)
    sum += 0.5 * (M[i] - q[i]) * (a[i] - as[i]);
  return sum;
}

static void set_jar(const vk_forward *f, const v4 *qacc, vk_point *pt)
{
  mul_J(f, qacc, pt->jar);
  for (int i = 0; i < f->n_row; i++)
    pt->jar[i] -= f->aref[i];
}

/* Starts from the better one of qacc_warmstart and qacc_smooth: f->qacc, f->Ma, f->now. */
static void choose_start(vk_forward *f, const mjModel *m, mjData *d)
{
  const vk_plan *p = &f->plan;
  v4 smooth[VK_GROUP_MAX];
  copy_in(p, smooth, d->qacc_smooth);
  if (!f->has_smooth || memcmp(smooth, f->qacc_smooth, sizeof *smooth * (size_t)p->n_group)) {
    memcpy(f->qacc_smooth, smooth, sizeof *smooth * (size_t)p->n_group);
    set_jar(f, f->qacc_smooth, &f->smooth);
    press(f, d, &f->smooth);
    f->has_smooth = true;
  }
  copy_in(p, f->qfrc_smooth, d->qfrc_smooth);
  copy_in(p, f->qacc, d->qacc_warmstart);
  f->now = &f->warm;
  set_jar(f, f->qacc, f->now);
  press(f, d, f->now);
  mul_M(f, m, d, f->qacc, f->Ma);
  if (!(gauss_cost(f, f->qacc, f->Ma, f->now->cost) > f->smooth.cost))
    return;
  /* The smooth point stays for the next solve: work on a copy. */
  memcpy(f->qacc, f->qacc_smooth, sizeof *f->qacc * (size_t)p->n_group);
  size_t n = (size_t)f->n_row;
  memcpy(f->now->jar, f->smooth.jar, sizeof(double) * n);
  memcpy(f->now->force, f->smooth.force, sizeof(double) * n);
  memcpy(f->now->state, f->smooth.state, (size_t)(f->n_unit + f->n_con));
  f->now->cost = f->smooth.cost;
  f->now->n_cone = f->smooth.n_cone;
  mul_M(f, m, d, f->qacc, f->Ma);
}

/* grad = Ma - qfrc_smooth - qfrc_constraint, which is made from the forces. */
static void set_gradient(vk_forward *f)
{
  mul_JT(f, f->now->force, f->qfrc);
  for (int g = 0; g < f->plan.n_group; g++)
    f->grad[g] = f->Ma[g] - f->qfrc_smooth[g] - f->qfrc[g];
}

static void set_search(vk_forward *f)
{
  VK_KERNEL(vk_hessian_solve)(f, f->now->n_cone ? f->H_cone : f->H, f->grad, f->Mgrad);
  for (int g = 0; g < f->plan.n_group; g++)
    f->search[g] = f->Mgrad[g] * -1.0;
}

/* Moves along the search line. */
static void move(vk_forward *f, const mjData *d, double alpha, vk_point *to)
{
  for (int g = 0; g < f->plan.n_group; g++) {
    f->qacc[g] += f->search[g] * alpha;
    f->Ma[g] += f->Mv[g] * alpha;
  }
  for (int i = 0; i < f->n_row; i++)
    to->jar[i] = f->now->jar[i] + f->Jv[i] * alpha;
  press(f, d, to);
}

/* mj_solNewton; returns the iterations made. */
static int iterate(vk_forward *f, const mjModel *m, mjData *d)
{
  double scale = m->stat.meaninertia * m->nv, gauss = gauss_cost(f, f->qacc, f->Ma, 0);
  f->now->cost += gauss;
  VK_KERNEL(vk_hessian_direct)(f, m, d);
  set_gradient(f);
  set_search(f);
  for (int i = 0; i < m->opt.iterations; i++) {
    double alpha = search_line(f, m, d, gauss);
    if (alpha == 0)
      return i;
    vk_point *old = f->now, *next = old == &f->warm ? &f->other : &f->warm;
    move(f, d, alpha, next);
    f->now = next;
    gauss = gauss_cost(f, f->qacc, f->Ma, 0);
    next->cost += gauss;
    set_gradient(f);
    double improvement = (old->cost - next->cost) / scale;
    double gradient = sqrt(dot_dofs(&f->plan, f->grad, f->grad)) / scale;
    if (improvement < m->opt.tolerance || gradient < m->opt.tolerance)
      return i + 1;
    if (i + 1 == m->opt.iterations)
      break;
    VK_KERNEL(vk_hessian_incremental)(f, m, d, old->state);
    set_search(f);
  }
  return m->opt.iterations;
}

static bool is_finite(const vk_plan *p, const v4 *a)
{
  m4 bad = {0};
  for (int g = 0; g < p->n_group; g++)
    bad |= ~((a[g] - a[g]) == 0.0);
  return !mask4(bad);
}

bool VK_KERNEL(vk_newton)(vk_forward *f, const mjModel *m, mjData *d)
{
  const vk_plan *p = &f->plan;
  size_t size = sizeof(double) * (size_t)p->nv;
  d->solver_iter = 0;
  if (!f->n_row) {
    memcpy(d->qacc, d->qacc_smooth, size);
    memcpy(d->qacc_warmstart, d->qacc_smooth, size);
    memset(d->qfrc_constraint, 0, size);
    return true;
  }
  choose_start(f, m, d);
  d->solver_iter = iterate(f, m, d);
  if (!is_finite(p, f->qacc))
    return false;
  copy_out(p, d->qacc, f->qacc);
  copy_out(p, d->qacc_warmstart, f->qacc);
  copy_out(p, d->qfrc_constraint, f->qfrc);
  return true;
}

/* mj_referenceConstraint */
void VK_KERNEL(vk_reference)(vk_forward *f, const mjModel *m, mjData *d)
{
  v4 qvel[VK_GROUP_MAX];
  copy_in(&f->plan, qvel, d->qvel);
  mul_J(f, qvel, f->aref);
  for (int i = 0; i < f->n_row; i++)
    f->aref[i] = -f->B[i] * f->aref[i] - f->KI[i];
}

const vk_kernels VK_KERNEL(vk_kernels) = {
    .collide = VK_KERNEL(vk_collide),
    .make_rows = VK_KERNEL(vk_make_rows),
    .passive = VK_KERNEL(vk_passive),
    .reference = VK_KERNEL(vk_reference),
    .solve = VK_KERNEL(vk_newton),
};

#endif
