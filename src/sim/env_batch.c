#include "sim/env_batch.h"

#include <stdlib.h>
#include <string.h>

/* A range of environments on its way. */
typedef struct ticket {
  struct vk_env_batch *batch;
  vk_job job;
  int first, n;
  const bool *mask;
  bool is_busy;
} ticket;

struct vk_env_batch {
  int n;
  vk_pool *pool;
  vk_env_slices slices;
  vk_env **env;
  ticket *ticket; /* [n]: at most n disjoint ranges */
  bool has_isa;
  vk_isa isa;
};

vk_status vk_env_batch_new(vk_env_batch **out, int n, vk_pool *pool, const vk_env_slices *slices,
                           vk_err *err)
{
  *out = NULL;
  VK_ASSERT(n > 0 && slices->action);
  vk_env_batch *b = calloc(1, sizeof *b);
  if (!b)
    return vk_fail(err, VK_E_NOMEM, "no memory for %d environments", n);
  *b = (vk_env_batch){.n = n, .pool = pool, .slices = *slices};
  b->env = calloc((size_t)n, sizeof *b->env);
  b->ticket = calloc((size_t)n, sizeof *b->ticket);
  if (!b->env || !b->ticket) {
    vk_env_batch_free(b);
    return vk_fail(err, VK_E_NOMEM, "no memory for %d environments", n);
  }
  *out = b;
  return VK_OK;
}

void vk_env_batch_free(vk_env_batch *b)
{
  if (!b)
    return;
  for (int i = 0; b->env && i < b->n; i++)
    vk_env_free(b->env[i]);
  free(b->env);
  free(b->ticket);
  free(b);
}

vk_status vk_env_batch_set_scene(vk_env_batch *b, int i, const vk_scene *scene, vk_err *err)
{
  VK_ASSERT(i >= 0 && i < b->n);
  if (b->env[i]) {
    vk_status st = vk_env_set_scene(b->env[i], scene, err);
    if (st != VK_OK) { /* it has no scene now */
      vk_env_free(b->env[i]);
      b->env[i] = NULL;
    }
    return st;
  }
  VK_TRY(vk_env_new(&b->env[i], scene, err));
  if (b->has_isa)
    vk_env_set_isa(b->env[i], b->isa);
  return VK_OK;
}

void vk_env_batch_set_isa(vk_env_batch *b, vk_isa isa)
{
  b->has_isa = true;
  b->isa = isa;
  for (int i = 0; i < b->n; i++)
    if (b->env[i])
      vk_env_set_isa(b->env[i], isa);
}

vk_env *vk_env_batch_get(vk_env_batch *b, int i)
{
  VK_ASSERT(i >= 0 && i < b->n);
  return b->env[i];
}

static void step_one(void *arg, int i_job, int i_thread)
{
  (void)i_thread;
  const ticket *t = arg;
  vk_env_batch *b = t->batch;
  const vk_env_slices *s = &b->slices;
  int i = t->first + i_job;
  if (t->mask && !t->mask[i])
    return;
  vk_step step = {0};
  vk_err err = VK_ERR_INIT;
  vk_status st = b->env[i] ? vk_env_step(b->env[i], s->action + VK_N_ACTION * i, &step, &err)
                           : vk_fail(&err, VK_E_NOTFOUND, "environment %d has no scene", i);
  if (s->step)
    s->step[i] = step;
  if (s->status)
    s->status[i] = st;
  if (s->error)
    s->error[i] = err;
  if (s->proprio && b->env[i]) {
    const vk_robot_obs *o = vk_env_robot_obs(b->env[i]);
    double *p = s->proprio + VK_N_PROPRIO * i;
    memcpy(p, o->eef_pos_m, sizeof o->eef_pos_m), p += 3;
    memcpy(p, o->eef_quat_xyzw, sizeof o->eef_quat_xyzw), p += 4;
    memcpy(p, o->gripper_q_m, sizeof o->gripper_q_m), p += 2;
    memcpy(p, o->joint_q_rad, sizeof o->joint_q_rad);
  }
}

void vk_env_batch_step_async(vk_env_batch *b, int first, int n, const bool *mask)
{
  VK_ASSERT(first >= 0 && n >= 0 && first + n <= b->n);
  if (n == 0)
    return;
  ticket *t = &b->ticket[first]; /* disjoint ranges have different first entries */
  VK_ASSERT(!t->is_busy);
  *t = (ticket){.batch = b, .first = first, .n = n, .mask = mask, .is_busy = true};
  vk_pool_start(b->pool, &t->job, step_one, t, n);
}

void vk_env_batch_wait(vk_env_batch *b, int first, int n)
{
  if (n == 0)
    return;
  ticket *t = &b->ticket[first];
  VK_ASSERT(t->is_busy && t->n == n);
  vk_pool_wait(b->pool, &t->job);
  t->is_busy = false;
}
