/* env_snapshot.c - saving and restoring an environment, bit for bit: what later steps depend on,
 * and the poses and contacts that the last step left for whoever looks at them. */
#include <stdlib.h>
#include <string.h>

#include "sim/env_internal.h"

typedef struct header {
  const vk_scene *scene;
  int n_contact;
  vk_env_core core;
} header;

typedef enum direction { SIZE, SAVE, LOAD } direction;

/* Walks everything of variable size once, for all three purposes. */
typedef struct walk {
  direction direction;
  char *at;
  size_t n;
} walk;

static void visit(walk *w, void *field, size_t n)
{
  if (w->direction == SAVE)
    memcpy(w->at, field, n);
  else if (w->direction == LOAD)
    memcpy(field, w->at, n);
  if (w->direction != SIZE)
    w->at += n;
  w->n += n;
}

static void visit_doubles(walk *w, double *field, int n)
{
  visit(w, field, sizeof(double) * (size_t)n);
}

static void visit_env(walk *w, vk_env *env, int n_contact)
{
  mjModel *m = &env->model;
  mjData *d = env->data;
  visit_doubles(w, &d->time, 1);
  visit_doubles(w, d->qpos, m->nq);
  visit_doubles(w, d->qvel, m->nv);
  visit_doubles(w, d->qacc_warmstart, m->nv);
  visit_doubles(w, d->ctrl, m->nu);
  for (int i = env->scene->n_object; i < env->scene->n_instance; i++) {
    int body = env->scene->instance[i].body;
    visit_doubles(w, m->body_pos + 3 * body, 3);
    visit_doubles(w, m->body_quat + 4 * body, 4);
  }
  visit(w, m->site_rgba, sizeof(float) * 4 * (size_t)m->nsite);
  visit(w, env->object_obs, sizeof *env->object_obs * (size_t)env->scene->n_object);
  visit_doubles(w, env->picture, vk_picture_n_state(env->scene));
  /* Poses and contacts as the last mj_step left them. */
  visit_doubles(w, d->xpos, 3 * m->nbody);
  visit_doubles(w, d->xquat, 4 * m->nbody);
  visit_doubles(w, d->xmat, 9 * m->nbody);
  visit_doubles(w, d->geom_xpos, 3 * m->ngeom);
  visit_doubles(w, d->geom_xmat, 9 * m->ngeom);
  visit_doubles(w, d->site_xpos, 3 * m->nsite);
  visit_doubles(w, d->site_xmat, 9 * m->nsite);
  visit_doubles(w, d->cam_xpos, 3 * m->ncam);
  visit_doubles(w, d->cam_xmat, 9 * m->ncam);
  visit_doubles(w, d->light_xpos, 3 * m->nlight);
  visit_doubles(w, d->light_xdir, 3 * m->nlight);
  visit(w, d->contact, sizeof(mjContact) * (size_t)n_contact);
}

size_t vk_env_snapshot_size(const vk_env *env)
{
  walk w = {.direction = SIZE};
  visit_env(&w, (vk_env *)env, env->data->ncon);
  return sizeof(header) + w.n;
}

void vk_env_save(const vk_env *env, void *snapshot)
{
  header h = {.scene = env->scene, .n_contact = env->data->ncon, .core = env->core};
  memcpy(snapshot, &h, sizeof h);
  walk w = {.direction = SAVE, .at = (char *)snapshot + sizeof h};
  visit_env(&w, (vk_env *)env, h.n_contact);
}

vk_status vk_env_load(vk_env *env, const void *snapshot, size_t size, vk_err *err)
{
  header h;
  if (size < sizeof h)
    return vk_fail(err, VK_E_SHAPE, "a snapshot of %zu bytes, expected at least %zu", size,
                   sizeof h);
  memcpy(&h, snapshot, sizeof h);
  if (h.scene != env->scene)
    return vk_fail(err, VK_E_MISMATCH, "%s: the snapshot is of another task", env->scene->id);
  if (h.n_contact < 0 || h.n_contact > VK_ENV_CONTACT_MAX)
    return vk_fail(err, VK_E_RANGE, "%s: a snapshot of %d contacts, expected 0 to %d",
                   env->scene->id, h.n_contact, VK_ENV_CONTACT_MAX);
  walk w = {.direction = SIZE};
  visit_env(&w, env, h.n_contact);
  if (size != sizeof h + w.n)
    return vk_fail(err, VK_E_SHAPE, "%s: a snapshot of %zu bytes, expected %zu", env->scene->id,
                   size, sizeof h + w.n);
  VK_TRY(vk_env_reserve_contacts(env, h.n_contact, err));
  env->core = h.core;
  env->data->ncon = h.n_contact;
  w = (walk){.direction = LOAD, .at = (char *)(uintptr_t)snapshot + sizeof h};
  visit_env(&w, env, h.n_contact);
  return VK_OK;
}
