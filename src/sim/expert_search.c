/* A free way through a coarse grid of hand positions, for when up, over and down is blocked: A*
 * with soft obstacles, so that what cannot be avoided is passed in the shortest way. Then corners
 * that are not needed are left out. */
#include <stdlib.h>

#include "sim/expert_internal.h"

enum { SIDE_MAX = 24, NODES_MAX = SIDE_MAX * SIDE_MAX * SIDE_MAX, VISITS_MAX = 700 };

static const double STEP_M = 0.04, AROUND_M = 0.20, ABOVE_M = 0.32, BLOCKED_M = 0.5;
static const double MARGIN_M = 0.008;

typedef struct cell {
  float cost;     /* from the start; < 0: not seen */
  float penalty;  /* of being there; < 0: not known */
  int16_t parent; /* direction that it was reached by, -1: the start */
  bool is_closed;
} cell;

typedef struct grid {
  double lo[3];
  int n[3];
  int i_start, i_goal;
  const vk_pose *start, *goal;
  const vk_held *held;
  double finger_q;
  cell *node;
  int *open, n_open; /* indices of seen nodes that are not closed */
} grid;

static void coordinates(const grid *g, int i, int c[3])
{
  c[0] = i % g->n[0];
  c[1] = i / g->n[0] % g->n[1];
  c[2] = i / (g->n[0] * g->n[1]);
}

/* The ends of the way stand for the nodes nearest to them. */
static vk_pose node_pose(const grid *g, int i)
{
  int c[3];
  vk_pose p;
  if (i == g->i_start)
    return *g->start;
  if (i == g->i_goal)
    return *g->goal;
  coordinates(g, i, c);
  for (int k = 0; k < 3; k++)
    p.p[k] = g->lo[k] + c[k] * STEP_M;
  const double a = vk_v3_dist(p.p, g->start->p), b = vk_v3_dist(p.p, g->goal->p);
  vk_pose mix;
  vk_pose_mix(&mix, g->start, g->goal, a / fmax(a + b, 1e-9));
  memcpy(p.R, mix.R, sizeof p.R);
  return p;
}

static int nearest_node(const grid *g, const double p[3])
{
  int c[3];
  for (int k = 0; k < 3; k++)
    c[k] = (int)fmin(fmax(round((p[k] - g->lo[k]) / STEP_M), 0), g->n[k] - 1);
  return c[0] + g->n[0] * (c[1] + g->n[1] * c[2]);
}

static double penalty(const vk_expert *e, grid *g, int i)
{
  cell *at_node = &g->node[i];
  if (at_node->penalty >= 0)
    return at_node->penalty;
  const vk_pose at = node_pose(g, i);
  double q[VK_N_ARM];
  memcpy(q, e->now.q_rad, sizeof q);
  at_node->penalty = 0;
  if (!vk_world_gripper_free(&e->world, &at, g->finger_q, MARGIN_M) ||
      !vk_world_held_free(&e->world, g->held, &at, MARGIN_M))
    at_node->penalty += (float)BLOCKED_M;
  else if (!vk_arm_inverse(&e->arm, &at, 0.03, q))
    at_node->penalty += (float)(2 * BLOCKED_M);
  else if (!vk_world_arm_free(&e->world, &e->arm, q, 0.008))
    at_node->penalty += (float)BLOCKED_M;
  return at_node->penalty;
}

static int take_best(grid *g)
{
  int best = 0;
  double best_f = 1e18;
  for (int k = 0; k < g->n_open; k++) {
    const vk_pose p = node_pose(g, g->open[k]);
    const double f = g->node[g->open[k]].cost + vk_v3_dist(p.p, g->goal->p);
    if (f < best_f) {
      best_f = f;
      best = k;
    }
  }
  const int i = g->open[best];
  g->open[best] = g->open[--g->n_open];
  return i;
}

/* The neighbour in direction d of 27, or -1. */
static int neighbour(const grid *g, int i, int d)
{
  int c[3];
  const int step[3] = {d % 3 - 1, d / 3 % 3 - 1, d / 9 - 1};
  coordinates(g, i, c);
  for (int k = 0; k < 3; k++) {
    c[k] += step[k];
    if (c[k] < 0 || c[k] >= g->n[k])
      return -1;
  }
  return c[0] + g->n[0] * (c[1] + g->n[1] * c[2]);
}

static bool find_way(const vk_expert *e, grid *g)
{
  g->node[g->i_start].cost = 0;
  g->open[g->n_open++] = g->i_start;
  for (int visits = 0; g->n_open > 0 && visits < VISITS_MAX; visits++) {
    const int i = take_best(g);
    if (i == g->i_goal)
      return true;
    g->node[i].is_closed = true;
    const vk_pose from = node_pose(g, i);
    for (int d = 0; d < 27; d++) {
      const int j = d == 13 ? -1 : neighbour(g, i, d);
      if (j < 0 || g->node[j].is_closed)
        continue;
      const vk_pose to = node_pose(g, j);
      const double cost = g->node[i].cost + vk_v3_dist(from.p, to.p) + penalty(e, g, j);
      cell *n = &g->node[j];
      if (n->cost >= 0 && cost >= n->cost)
        continue;
      if (n->cost < 0)
        g->open[g->n_open++] = j;
      n->cost = (float)cost;
      n->parent = (int16_t)d;
    }
  }
  return false;
}

/* Poses from the one after the start to the goal; returns their number. */
static int trace_back(const grid *g, vk_pose *way, int max)
{
  int chain[SIDE_MAX * 4], n = 0;
  for (int i = g->i_goal; i != g->i_start && n < (int)VK_COUNT(chain);) {
    chain[n++] = i;
    i = neighbour(g, i, 26 - g->node[i].parent);
  }
  for (int k = 0; k < n && k < max; k++)
    way[k] = node_pose(g, chain[n - 1 - k]);
  return n < max ? n : max;
}

/* Leaves out poses that a straight line passes by just as freely. */
static int shorten(const vk_expert *e, const grid *g, const vk_pose *way, int n, vk_pose *out,
                   int max)
{
  int n_out = 0, i = 0;
  const vk_pose *from = g->start;
  while (i < n && n_out < max) {
    int far = n - 1;
    while (far > i &&
           !vk_expert_line_free(e, from, &way[far], g->held, g->finger_q, MARGIN_M - 0.002))
      far--;
    if (n_out == max - 1)
      far = n - 1;
    out[n_out++] = way[far];
    from = &way[far];
    i = far + 1;
  }
  return n_out;
}

int vk_expert_search_path(const vk_expert *e, const vk_pose *goal, const vk_held *held,
                          double finger_q, vk_pose *out, int max)
{
  grid g = {.start = &e->now.tip, .goal = goal, .held = held, .finger_q = finger_q};
  vk_pose way[SIDE_MAX * 4];
  int n = 0;
  for (int k = 0; k < 3; k++) {
    const double lo = fmin(g.start->p[k], goal->p[k]), hi = fmax(g.start->p[k], goal->p[k]);
    g.lo[k] = lo - (k == 2 ? STEP_M : AROUND_M);
    g.n[k] = 1 + (int)((hi + (k == 2 ? ABOVE_M : AROUND_M) - g.lo[k]) / STEP_M);
    g.n[k] = g.n[k] < SIDE_MAX ? g.n[k] : SIDE_MAX;
  }
  const int n_node = g.n[0] * g.n[1] * g.n[2];
  g.node = malloc(sizeof *g.node * (size_t)n_node);
  g.open = malloc(sizeof *g.open * (size_t)n_node);
  if (g.node && g.open) {
    for (int i = 0; i < n_node; i++)
      g.node[i] = (cell){.cost = -1, .penalty = -1, .parent = -1};
    g.i_start = nearest_node(&g, g.start->p);
    g.i_goal = nearest_node(&g, goal->p);
    if (g.i_start != g.i_goal && find_way(e, &g))
      n = shorten(e, &g, way, trace_back(&g, way, (int)VK_COUNT(way)), out, max);
  }
  free(g.node);
  free(g.open);
  return n;
}
