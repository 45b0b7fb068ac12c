/* newton_hessian.c - the Newton solver's Hessian J'DJ + M as a Cholesky factor inside its envelope,
 * with MuJoCo's updates. Compiled once a path. */
#include <math.h>

#include "sim/forward_kernel.h"

#if VK_MUJOCO_IS_KNOWN

static const m4 lanes_before[4] = {{0, 0, 0, 0}, {-1, 0, 0, 0}, {-1, -1, 0, 0}, {-1, -1, -1, 0}};
static const m4 lane_at[4] = {{-1, 0, 0, 0}, {0, -1, 0, 0}, {0, 0, -1, 0}, {0, 0, 0, -1}};

/* mju_dot of two rows' first 4 * last + n elements: those of group last come in registers, a's with
 * the elements from n on already zero. Groups before first are zero in one of the rows. */
static inline double dot_factor(const v4 *a, const v4 *b, int first, int last, v4 a_last, v4 b_last)
{
  v4 s = {0};
  for (int g = first; g < last; g++)
    s += a[g] * b[g];
  return sum4(s) + sum_tail(a_last * b_last);
}

static inline v4 keep_before(v4 x, int n)
{
  return (v4)((m4)x & lanes_before[n]);
}

static inline v4 put_lane(v4 x, int lane, double value)
{
  return (v4)(((m4)x & ~lane_at[lane]) | ((m4)splat4(value) & lane_at[lane]));
}

/* Where each row of the envelope begins: at the lowest tree that it shares a contact with; and the
 * last row that each column reaches. */
static void find_envelope(vk_forward *f)
{
  const vk_plan *p = &f->plan;
  for (int t = 0; t < p->n_tree; t++)
    for (int i = 0; i < p->tree_n[t]; i++) {
      f->first[p->tree_dof[t] + i] = p->tree_dof[t];
      f->last[p->tree_dof[t] + i] = p->tree_dof[t] + p->tree_n[t] - 1;
    }
  for (int k = 0; k < f->n_run; k++) {
    const vk_row_pattern *q = f->run[k].pattern;
    if (q->tree_a < 0 || q->tree_a == q->tree_b)
      continue;
    int begin = p->tree_dof[q->tree_a], row = p->tree_dof[q->tree_b], n = p->tree_n[q->tree_b];
    for (int i = row; i < row + n; i++)
      f->first[i] = begin < f->first[i] ? begin : f->first[i];
    for (int i = begin; i < row; i++)
      f->last[i] = row + n - 1 > f->last[i] ? row + n - 1 : f->last[i];
  }
}

/* Adds a run's rows to the lower triangle of H; D of rows that do not count is 0. */
static void add_run(vk_forward *f, const vk_row_run *run, const double *D)
{
  const vk_plan *plan = &f->plan;
  const vk_row_pattern *p = run->pattern;
  for (int side = 0; side < 2; side++) {
    int tree = side ? p->tree_b : p->tree_a, at = side ? p->at_b : p->at_a;
    if (tree < 0 || (side && tree == p->tree_a))
      continue;
    int dof = plan->tree_dof[tree];
    for (int i = dof; i < dof + plan->tree_n[tree]; i++) {
      int k = at + i / 4 - dof / 4; /* i's group in the pattern */
      v4 *H = f->H + (size_t)i * (size_t)plan->n_group;
      for (int g = 0; g <= k; g++) {
        const v4 *J = run->J;
        v4 s = H[p->group[g]];
        for (int r = 0; r < run->n_row; r++, J += p->n)
          s += J[g] * (((const double *)J)[4 * k + i % 4] * D[r]);
        H[p->group[g]] = s;
      }
    }
  }
}

/* mju_cholFactor, row by row; the group that is being computed stays in a register. */
static void factor_row(vk_forward *f, int i)
{
  const size_t n_group = (size_t)f->plan.n_group;
  v4 *Li = f->H + (size_t)i * n_group;
  int first = f->first[i] / 4;
  for (int g = first; g <= i / 4; g++) {
    v4 now = Li[g];
    int end = g == i / 4 ? i % 4 : 4;
    for (int lane = g == first ? f->first[i] % 4 : 0; lane < end; lane++) {
      int j = 4 * g + lane;
      const v4 *Lj = f->H + (size_t)j * n_group;
      int from = f->first[j] / 4 > first ? f->first[j] / 4 : first;
      double dot = dot_factor(Li, Lj, from, g, keep_before(now, lane), Lj[g]);
      now = put_lane(now, lane, (now[lane] - dot) * f->inv_diag[j]);
    }
    if (g == i / 4) {
      v4 before = keep_before(now, end);
      double diag = now[end] - dot_factor(Li, Li, first, g, before, before);
      diag = sqrt(diag < mjMINVAL ? mjMINVAL : diag);
      now = put_lane(now, end, diag);
      f->inv_diag[i] = 1 / diag;
    }
    Li[g] = now;
  }
}

static void add_inertia(vk_forward *f, const mjModel *m, const mjData *d)
{
  for (int i = 0; i < m->nv; i++) {
    double *H = (double *)(f->H + (size_t)i * (size_t)f->plan.n_group);
    const double *M = d->qM + m->dof_Madr[i];
    for (int j = i; j >= 0; j = m->dof_parentid[j]) {
      H[j] += *M++;
      if (m->dof_simplenum[i])
        break;
    }
  }
}

/* mju_cholUpdate: L L' + or - x x'. Returns false when the factor lost rank. x is used up. */
static bool update_factor(vk_forward *f, v4 *factor_rows, double *x, bool is_plus)
{
  const vk_plan *p = &f->plan;
  size_t stride = (size_t)p->n_group * 4;
  double *L = (double *)factor_rows;
  bool is_full = true;
  for (int k = 0; k < p->nv; k++) {
    if (!x[k])
      continue;
    double Lkk = L[(size_t)k * stride + (size_t)k];
    double t = Lkk * Lkk + (is_plus ? x[k] * x[k] : -x[k] * x[k]);
    if (t < mjMINVAL) {
      t = mjMINVAL;
      is_full = false;
    }
    double r = sqrt(t), c = r / Lkk, c_inv = 1 / c, s = x[k] / Lkk;
    L[(size_t)k * stride + (size_t)k] = r;
    for (int i = k + 1; i <= f->last[k]; i++) {
      if (f->first[i] > k)
        continue;
      double *at = &L[(size_t)i * stride + (size_t)k];
      *at = is_plus ? (*at + s * x[i]) * c_inv : (*at - s * x[i]) * c_inv;
      x[i] = c * x[i] - s * *at;
    }
  }
  return is_full;
}

/* The Hessian of a contact's cost in the middle zone, lower triangle of its Cholesky factor. */
static void cone_hessian(const vk_forward *f, const mjContact *con, int i_con, double *H)
{
  int row = f->con_row[i_con], dim = con->dim;
  const double *jar = f->now->jar + row;
  double mu = f->con_mu[i_con], U[VK_DIM_MAX];
  U[0] = jar[0] * mu;
  for (int j = 1; j < dim; j++)
    U[j] = jar[j] * con->friction[j - 1];
  double N = U[0], T = vk_tangent_norm(U, dim), Dm = f->D[row] / (mu * mu * (1 + mu * mu));
  double scl = -mu / T;
  H[0] = 1;
  for (int j = 1; j < dim; j++)
    H[j] = scl * U[j];
  scl = mu * N / (T * T * T);
  for (int k = 1; k < dim; k++)
    for (int j = k; j < dim; j++)
      H[k * dim + j] = scl * U[j] * U[k];
  scl = mu * mu - mu * N / T;
  for (int j = 1; j < dim; j++)
    H[j * (dim + 1)] += scl;
  for (int k = 0; k < dim; k++) {
    scl = Dm * (k == 0 ? mu : con->friction[k - 1]);
    for (int j = k; j < dim; j++)
      H[k * dim + j] *= scl * (j == 0 ? mu : con->friction[j - 1]);
  }
  for (int k = 0; k < dim; k++)
    for (int j = k + 1; j < dim; j++)
      H[j * dim + k] = H[k * dim + j];
  mju_cholFactor(H, dim, mjMINVAL);
}

/* L' J of a contact, one row a time, spread over all dofs. */
static void cone_row(const vk_forward *f, const vk_row_run *run, int row, int dim, const double *L,
                     int c, double *x)
{
  const vk_row_pattern *p = run->pattern;
  v4 *out = (v4 *)x;
  memset(x, 0, sizeof *out * (size_t)f->plan.n_group);
  for (int g = 0; g < p->n; g++) {
    v4 s = {0};
    for (int r = c; r < dim; r++)
      s += run->J[(size_t)(row - run->row + r) * (size_t)p->n + (size_t)g] * L[r * dim + c];
    out[p->group[g]] = s;
  }
}

/* HessianCone: H_cone = H and what contacts in the middle zone add. */
static void add_cones(vk_forward *f, const mjData *d)
{
  const vk_plan *p = &f->plan;
  memcpy(f->H_cone, f->H, sizeof *f->H * (size_t)p->nv * (size_t)p->n_group);
  const vk_row_run *run = f->run;
  for (int i = 0; i < f->n_con; i++) {
    if (f->now->state[f->n_unit + i] != mjCNSTRSTATE_CONE)
      continue;
    const mjContact *con = d->contact + f->con[i];
    double L[VK_DIM_MAX * VK_DIM_MAX];
    v4 x[VK_GROUP_MAX];
    cone_hessian(f, con, i, L);
    while (f->con_row[i] >= run->row + run->n_row)
      run++;
    for (int c = 0; c < con->dim; c++) {
      cone_row(f, run, f->con_row[i], con->dim, L, c, (double *)x);
      update_factor(f, f->H_cone, (double *)x, true);
    }
  }
}

/* Adds M and the rows that count to an empty H, and factorises. */
static void make_factor(vk_forward *f, const mjModel *m, const mjData *d)
{
  const vk_plan *p = &f->plan;
  find_envelope(f);
  for (int i = 0; i < p->nv; i++)
    memset(f->H + (size_t)i * (size_t)p->n_group, 0, sizeof *f->H * (size_t)p->n_group);
  for (int i = 0; i < f->n_unit; i++)
    if (f->now->state[i] == mjCNSTRSTATE_QUADRATIC) {
      int dof = f->unit[i].dof;
      ((double *)(f->H + (size_t)dof * (size_t)p->n_group))[dof] += f->D[i];
    }
  for (int i = 0; i < f->n_con; i++)
    for (int r = f->con_row[i]; r < f->con_row[i + 1]; r++)
      f->D_quad[r] = f->now->state[f->n_unit + i] == mjCNSTRSTATE_QUADRATIC ? f->D[r] : 0;
  for (int k = 0; k < f->n_run; k++)
    add_run(f, f->run + k, f->D_quad + f->run[k].row);
  add_inertia(f, m, d);
  for (int i = 0; i < p->nv; i++)
    factor_row(f, i);
}

static bool same_quads(const uint8_t *a, const uint8_t *b, int n)
{
  bool same = true;
  for (int i = 0; i < n; i++)
    same = same && (a[i] == mjCNSTRSTATE_QUADRATIC) == (b[i] == mjCNSTRSTATE_QUADRATIC);
  return same;
}

/* HessianDirect. Rows and M are those of the substep, so equal states give an equal factor. */
void VK_KERNEL(vk_hessian_direct)(vk_forward *f, const mjModel *m, const mjData *d)
{
  int n = f->n_unit + f->n_con;
  if (!f->has_H || !same_quads(f->now->state, f->H_state, n)) {
    make_factor(f, m, d);
    memcpy(f->H_state, f->now->state, (size_t)n);
    f->has_H = true;
  }
  if (f->now->n_cone)
    add_cones(f, d);
}

/* One row's change of state. Returns false when the factor lost rank. */
static bool toggle_row(vk_forward *f, int row, const vk_row_run *run, bool is_on)
{
  const vk_plan *p = &f->plan;
  double root = sqrt(f->D[row]);
  v4 x[VK_GROUP_MAX];
  memset(x, 0, sizeof *x * (size_t)p->n_group);
  if (run)
    for (int g = 0; g < run->pattern->n; g++)
      x[run->pattern->group[g]] =
          run->J[(size_t)(row - run->row) * (size_t)run->pattern->n + (size_t)g] * root;
  else
    ((double *)x)[f->unit[row].dof] = f->unit[row].sign * root;
  return update_factor(f, f->H, (double *)x, is_on);
}

/* HessianIncremental: rank-one updates for rows that became quadratic or stopped being so. */
void VK_KERNEL(vk_hessian_incremental)(vk_forward *f, const mjModel *m, const mjData *d,
                                       const uint8_t *old)
{
  const vk_row_run *run = f->run;
  for (int i = 0; i < f->n_unit + f->n_con; i++) {
    bool was = old[i] == mjCNSTRSTATE_QUADRATIC, is = f->now->state[i] == mjCNSTRSTATE_QUADRATIC;
    if (was == is)
      continue;
    f->has_H = false;
    bool is_unit = i < f->n_unit;
    int row = is_unit ? i : f->con_row[i - f->n_unit];
    int end = is_unit ? i + 1 : f->con_row[i - f->n_unit + 1];
    while (!is_unit && row >= run->row + run->n_row)
      run++;
    for (; row < end; row++)
      if (!toggle_row(f, row, is_unit ? NULL : run, is)) {
        VK_KERNEL(vk_hessian_direct)(f, m, d);
        return;
      }
  }
  if (f->now->n_cone)
    add_cones(f, d);
}

/* mju_cholSolve: out = H^-1 vec. */
void VK_KERNEL(vk_hessian_solve)(const vk_forward *f, const v4 *factor_rows, const v4 *vec, v4 *out)
{
  const vk_plan *p = &f->plan;
  const size_t n_group = (size_t)p->n_group;
  const double *L = (const double *)factor_rows;
  double *x = (double *)out;
  for (int g = 0; g < p->n_group; g++) {
    v4 now = vec[g];
    int end = p->nv - 4 * g < 4 ? p->nv - 4 * g : 4;
    for (int lane = 0; lane < end; lane++) {
      int i = 4 * g + lane;
      const v4 *Li = factor_rows + (size_t)i * n_group;
      double dot = dot_factor(out, Li, f->first[i] / 4, g, keep_before(now, lane), Li[g]);
      now = put_lane(now, lane, (now[lane] - dot) / Li[g][lane]);
    }
    out[g] = now;
  }
  for (int i = p->nv - 1; i >= 0; i--) {
    const double *column = L + i;
    double s = x[i];
    /* Of zeros only the sign of s = -0 could change, hence all rows then. */
    bool all = s == 0 && signbit(s);
    int last = all ? p->nv - 1 : f->last[i];
    for (int j = i + 1; j <= last; j++)
      if (all || f->first[j] <= i)
        s -= column[(size_t)j * n_group * 4] * x[j];
    x[i] = s / column[(size_t)i * n_group * 4];
  }
}

#endif
