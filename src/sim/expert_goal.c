/* Which atom of the goal comes next. Parts are moved before objects, except that a part is closed
 * after what belongs inside; what carries another object is placed first. */
#include "sim/expert_internal.h"

static bool is_part_atom(vk_atom_kind kind)
{
  return kind != VK_ATOM_ON && kind != VK_ATOM_IN;
}

/* The joint that lets the region of a site move, or -1. */
static int site_joint(const vk_expert *e, int site)
{
  const int body = site < 0 ? 0 : e->now.m->site_bodyid[site];
  return e->now.m->body_jntnum[body] ? e->now.m->body_jntadr[body] : -1;
}

/* Whether closing atom c shuts in what atom a puts inside. */
static bool shuts_in(const vk_expert *e, const vk_atom *c, const vk_atom *a)
{
  if (c->kind != VK_ATOM_CLOSE || a->kind != VK_ATOM_IN)
    return false;
  const int joint = site_joint(e, a->site);
  for (int i = 0; i < c->n_joint; i++)
    if (c->joint[i] == joint ||
        (joint < 0 && e->scene->body_owner[e->now.m->jnt_bodyid[c->joint[i]]] == a->site_owner))
      return true;
  return false;
}

/* Smaller ranks come first. */
static int rank_of(const vk_expert *e, int i)
{
  const vk_scene *s = e->scene;
  const vk_atom *a = &s->goal[i];
  int rank = is_part_atom(a->kind) ? 0 : 1;
  for (int k = 0; k < s->n_goal; k++) {
    if (shuts_in(e, a, &s->goal[k]))
      rank = 3;
    if (!is_part_atom(a->kind) && a->b >= 0 && a->site < 0 && s->goal[k].a == a->b)
      rank = 2; /* stands on something that is to be placed first */
  }
  return rank;
}

bool vk_expert_opening_atom(const vk_expert *e, const vk_atom *inside, vk_atom *out)
{
  if (inside->kind != VK_ATOM_IN || site_joint(e, inside->site) < 0)
    return false;
  const char *site = mj_id2name(e->now.m, mjOBJ_SITE, inside->site);
  return site && vk_scene_resolve_atom(e->scene, VK_ATOM_OPEN, site, "", out, NULL) == VK_OK;
}

/* Whether what `inside` needs open is too far shut. */
static bool needs_opening(const vk_expert *e, const vk_atom *inside)
{
  const int joint = site_joint(e, inside->site);
  const mjModel *m = e->now.m;
  const double q = e->now.d->qpos[m->jnt_qposadr[joint]];
  const double *range = m->jnt_range + 2 * joint;
  const double shut = fabs(range[0]) < fabs(range[1]) ? range[0] : range[1];
  const double open = shut == range[0] ? range[1] : range[0];
  return fabs(q) <= 0.6 * fabs(open);
}

bool vk_expert_next_atom(vk_expert *e)
{
  const vk_scene *s = e->scene;
  int best = -1, best_rank = 99;
  for (int i = 0; i < s->n_goal; i++) {
    if (vk_atom_holds(s, e->now.m, e->now.d, &s->goal[i]))
      continue;
    const int rank = rank_of(e, i);
    if (rank < best_rank) {
      best = i;
      best_rank = rank;
    }
  }
  if (best < 0)
    return false;
  e->i_goal = best;
  if (!vk_expert_opening_atom(e, &s->goal[best], &e->atom) || !needs_opening(e, &s->goal[best]))
    e->atom = s->goal[best];
  return true;
}
