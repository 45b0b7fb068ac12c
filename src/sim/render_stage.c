#include "sim/render_stage.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/opt.h"

/* A geom of the visuals on a body of the scene. */
typedef struct stage_geom {
  int body;
  uint32_t mesh, material;
  bool is_flame;
  vk_pose pose; /* in the body's frame */
} stage_geom;

struct vk_stage {
  const vk_scene *scene;
  const vk_visuals *visuals;
  const vk_visuals_look *look;
  int n_geom;
  stage_geom *geom;
};

const char *vk_picture_turn_name(vk_picture_turn turn)
{
  static const char *const names[] = {"upright", "none", "rotate 180"};
  return names[turn];
}

/* Adds geoms [first, first + n) of the visuals; prefix: "INSTANCE_", or "" for full names. */
static vk_status add_geoms(vk_stage *s, uint32_t first, uint32_t n, const char *prefix, vk_err *err)
{
  const vk_visuals *v = s->visuals;
  for (uint32_t i = first; i < first + n; i++) {
    const vk_visuals_geom *g = &v->geom[i];
    const char *own = vk_visuals_text(v, g->body);
    char name[2 * VK_PACK_NAME_MAX + 2];
    snprintf(name, sizeof name, "%s%s", prefix, own);
    int body = strcmp(name, "world") == 0 ? 0 : mj_name2id(s->scene->model, mjOBJ_BODY, name);
    if (body < 0)
      return vk_fail(err, VK_E_NOTFOUND,
                     "visuals %s have a shape on body %s, which task %s does not have: they are of "
                     "another scene pack",
                     v->path, name, s->scene->id);
    stage_geom *to = &s->geom[s->n_geom++];
    double quat[4] = {g->quat[0], g->quat[1], g->quat[2], g->quat[3]};
    mju_normalize4(quat);
    *to = (stage_geom){.body = body,
                       .mesh = g->mesh,
                       .material = g->material,
                       .is_flame = (g->flags & VK_VISUALS_FLAME) != 0,
                       .pose.p = {g->pos_m[0], g->pos_m[1], g->pos_m[2]}};
    mju_quat2Mat(to->pose.R, quat);
  }
  return VK_OK;
}

static const vk_visuals_model *find_model(const vk_stage *s, const vk_instance *instance)
{
  return vk_visuals_find_model(s->visuals, vk_pack_text(s->scene->pack, instance->cls->name));
}

static vk_status fill(vk_stage *s, vk_err *err)
{
  const vk_scene *scene = s->scene;
  const char *problem = vk_pack_text(scene->pack, scene->problem->name);
  s->look = vk_visuals_find_look(s->visuals, problem);
  if (!s->look)
    return vk_fail(err, VK_E_NOTFOUND, "visuals %s do not show the arena %s of task %s",
                   s->visuals->path, problem, scene->id);
  size_t n = s->look->n_geom;
  for (int i = 0; i < scene->n_instance; i++) {
    const vk_visuals_model *model = find_model(s, &scene->instance[i]);
    if (!model)
      return vk_fail(err, VK_E_NOTFOUND, "visuals %s do not show %s of task %s", s->visuals->path,
                     vk_pack_text(scene->pack, scene->instance[i].cls->name), scene->id);
    n += model->n_geom;
  }
  s->geom = calloc(n + 1, sizeof *s->geom);
  if (!s->geom)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for %zu shapes", scene->id, n);
  VK_TRY(add_geoms(s, s->look->geom, s->look->n_geom, "", err));
  for (int i = 0; i < scene->n_instance; i++) {
    const vk_visuals_model *model = find_model(s, &scene->instance[i]);
    char prefix[VK_PACK_NAME_MAX + 2];
    snprintf(prefix, sizeof prefix, "%s_", scene->instance[i].name);
    VK_TRY(add_geoms(s, model->geom, model->n_geom, prefix, err));
  }
  return VK_OK;
}

vk_status vk_stage_new(vk_stage **out, const vk_scene *scene, const vk_visuals *visuals,
                       vk_err *err)
{
  *out = NULL;
  vk_stage *s = calloc(1, sizeof *s);
  if (!s)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for a stage", scene->id);
  s->scene = scene;
  s->visuals = visuals;
  vk_status st = fill(s, err);
  if (st == VK_OK)
    *out = s;
  else
    vk_stage_free(s);
  return st;
}

void vk_stage_free(vk_stage *stage)
{
  if (!stage)
    return;
  free(stage->geom);
  free(stage);
}

const vk_scene *vk_stage_scene(const vk_stage *stage)
{
  return stage->scene;
}

const vk_visuals *vk_stage_visuals(const vk_stage *stage)
{
  return stage->visuals;
}

const vk_visuals_look *vk_stage_look(const vk_stage *stage)
{
  return stage->look;
}

vk_status vk_stage_find_camera(const vk_stage *stage, const char *name, int *i_camera, vk_err *err)
{
  const mjModel *m = stage->scene->model;
  *i_camera = mj_name2id(m, mjOBJ_CAMERA, name);
  if (*i_camera >= 0)
    return VK_OK;
  const char **names = calloc((size_t)m->ncam + 1, sizeof *names);
  if (!names)
    return vk_fail(err, VK_E_NOMEM, "no memory for %d names of cameras", m->ncam);
  int n = 0;
  for (int i = 0; i < m->ncam; i++) {
    const char *found = mj_id2name(m, mjOBJ_CAMERA, i);
    if (found)
      names[n++] = found;
  }
  const char *near = vk_opt_nearest(name, names);
  char list[400] = "";
  for (int i = 0, at = 0; i < n && at < (int)sizeof list; i++)
    at += snprintf(list + at, sizeof list - (size_t)at, "%s%s", i ? ", " : "", names[i]);
  vk_status st = near ? vk_fail(err, VK_E_USAGE, "%s has no camera \"%s\": did you mean %s?",
                                stage->scene->id, name, near)
                      : vk_fail(err, VK_E_USAGE, "%s has no camera \"%s\"; it has %s",
                                stage->scene->id, name, list);
  free(names);
  return st;
}

int vk_stage_n_item(const vk_stage *stage)
{
  return stage->n_geom;
}

uint32_t vk_stage_mesh(const vk_stage *stage, int i)
{
  return stage->geom[i].mesh;
}

int vk_stage_items(const vk_stage *stage, const double *state, vk_pose *pose, vk_render_item *item)
{
  int n = 0;
  bool burns = state[vk_picture_n_state(stage->scene) - 1] != 0;
  vk_picture_poses(stage->scene, state, pose);
  for (int i = 0; i < stage->n_geom; i++) {
    const stage_geom *g = &stage->geom[i];
    if (g->is_flame && !burns)
      continue;
    vk_pose world;
    vk_pose_mul(&world, &pose[g->body], &g->pose);
    vk_render_item *to = &item[n++];
    to->mesh = g->mesh;
    to->material = g->material;
    for (int k = 0; k < 9; k++)
      to->R_world[k] = (float)world.R[k];
    for (int k = 0; k < 3; k++)
      to->p_world[k] = (float)world.p[k];
  }
  return n;
}

void vk_stage_camera(const vk_stage *stage, const vk_pose *pose, int i_camera,
                     vk_render_camera *camera)
{
  const mjModel *m = stage->scene->model;
  vk_pose own, world;
  double quat[4];
  mju_copy4(quat, m->cam_quat + 4 * i_camera);
  mju_normalize4(quat);
  vk_v3_copy(own.p, m->cam_pos + 3 * i_camera);
  mju_quat2Mat(own.R, quat);
  vk_pose_mul(&world, &pose[m->cam_bodyid[i_camera]], &own);
  memcpy(camera->p_world, world.p, sizeof camera->p_world);
  memcpy(camera->R_world, world.R, sizeof camera->R_world);
  camera->tan_half_fovy = tan(m->cam_fovy[i_camera] * (M_PI / 360));
}
