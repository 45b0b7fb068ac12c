#include "sim/scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "sim/home.h"
#include "sim/hull_frame.h"
#include "sim/model_cache.h"

/* ---- compiling -------------------------------------------------------------------------------*/

static vk_status add_meshes(const vk_pack *pack, mjVFS *vfs, vk_err *err)
{
  for (size_t i = 0; i < pack->n_mesh; i++) {
    uint8_t *bytes = NULL;
    size_t n = 0;
    char name[256];
    snprintf(name, sizeof name, "%s.stl", vk_pack_text(pack, pack->mesh[i].name));
    VK_TRY(vk_compose_stl(pack, &pack->mesh[i], &bytes, &n, err));
    vk_status st = vk_vfs_add(vfs, name, bytes, n, err);
    free(bytes);
    if (st != VK_OK)
      return st;
  }
  return VK_OK;
}

vk_status vk_scene_compile(const vk_pack *pack, const char *mjcf, mjModel **out, vk_err *err)
{
  mjVFS *vfs = NULL;
  mjModel *model = NULL;
  vk_status st = VK_OK;
  *out = NULL;
  VK_TRY_DONE(vk_vfs_new(&vfs, err));
  VK_TRY_DONE(add_meshes(pack, vfs, err));
  st = vk_mujoco_compile(&model, mjcf, vfs, err);
  if (st != VK_OK) {
    vk_err_prefix(err, "%s: a composed scene", pack->path);
    goto done;
  }
  VK_TRY_DONE(vk_hull_frame_restore(model, pack, err));
  vk_model_set_capacity(model, VK_SCENE_N_CONTACT, VK_SCENE_N_ROW);
  *out = model;
done:
  if (!*out && model)
    mj_deleteModel(model);
  vk_vfs_free(vfs);
  return st;
}

/* Names the compiled model of this text, these meshes, this MuJoCo. */
static void cache_key(const vk_pack *pack, const char *mjcf, char key[65])
{
  vk_sha256 h;
  int version = mj_version();
  vk_sha256_init(&h);
  vk_sha256_add(&h, &version, sizeof version);
  vk_sha256_add(&h, mjcf, strlen(mjcf) + 1);
  for (size_t i = 0; i < pack->n_mesh; i++) {
    const char *name = vk_pack_text(pack, pack->mesh[i].name);
    vk_sha256_add(&h, name, strlen(name) + 1);
    vk_sha256_add(&h, pack->f32 + pack->mesh[i].first, 36 * (size_t)pack->mesh[i].n_triangle);
    if (pack->mesh[i].hull_frame == VK_PACK_NONE)
      continue;
    const vk_pack_hull_frame *frame = &pack->hull_frame[pack->mesh[i].hull_frame];
    vk_sha256_add(&h, frame, sizeof *frame);
    vk_sha256_add(&h, pack->f32 + frame->first, 36 * (size_t)pack->mesh[i].n_triangle);
  }
  vk_sha256_end_hex(&h, key);
}

/* The model of the composed text, and whether its home must be computed (it was not in a cache). */
static vk_status get_model(vk_scene *scene, const char *cache_dir, char key[65], vk_err *err)
{
  char *mjcf = NULL;
  VK_TRY(vk_compose_mjcf(scene->pack, scene->task, &mjcf, err));
  vk_status st = VK_OK;
  if (cache_dir)
    cache_key(scene->pack, mjcf, key);
  if (cache_dir && vk_model_cache_load(scene, cache_dir, key))
    vk_model_set_capacity(scene->model, VK_SCENE_N_CONTACT, VK_SCENE_N_ROW);
  else
    st = vk_scene_compile(scene->pack, mjcf, &scene->model, err);
  free(mjcf);
  return st;
}

static vk_status get_home(vk_scene *scene, const char *cache_dir, const char key[65], vk_err *err)
{
  if (scene->home_warmstart)
    return VK_OK;
  scene->home_warmstart = malloc(sizeof(double) * (size_t)scene->model->nv);
  if (!scene->home_warmstart)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for the scene", scene->id);
  VK_TRY(vk_home_warmstart(scene, scene->home_warmstart, err));
  if (cache_dir)
    vk_model_cache_store(scene, cache_dir, key);
  return VK_OK;
}

/* ---- names -----------------------------------------------------------------------------------*/

int vk_scene_find_instance(const vk_scene *scene, const char *name)
{
  for (int i = 0; i < scene->n_instance; i++)
    if (strcmp(scene->instance[i].name, name) == 0)
      return i;
  return -1;
}

const vk_pack_region *vk_scene_find_region(const vk_scene *scene, const char *name)
{
  for (uint32_t i = 0; i < scene->task->n_region; i++) {
    const vk_pack_region *region = &scene->pack->region[scene->task->region + i];
    if (strcmp(vk_pack_text(scene->pack, region->name), name) == 0)
      return region;
  }
  return NULL;
}

static const char *object_word(int type)
{
  return type == mjOBJ_BODY ? "body" : type == mjOBJ_JOINT ? "joint" : "site";
}

static vk_status find_id(const vk_scene *scene, int type, const char *name, int *id, vk_err *err)
{
  *id = mj_name2id(scene->model, type, name);
  if (*id < 0)
    return vk_fail(err, VK_E_FORMAT, "%s: the scene has no %s \"%s\"", scene->id, object_word(type),
                   name);
  return VK_OK;
}

/* Joints NAME1, NAME2, ... that must follow each other in qpos and qvel; adr of the first. */
static vk_status find_joints(const vk_scene *scene, const char *name, int n, int *qpos_adr,
                             int *qvel_adr, vk_err *err)
{
  for (int i = 0; i < n; i++) {
    char full[64];
    int id;
    snprintf(full, sizeof full, "%s%d", name, i + 1);
    VK_TRY(find_id(scene, mjOBJ_JOINT, full, &id, err));
    int q = scene->model->jnt_qposadr[id], v = scene->model->jnt_dofadr[id];
    if (i == 0) {
      *qpos_adr = q;
      *qvel_adr = v;
    } else if (q != *qpos_adr + i || v != *qvel_adr + i) {
      return vk_fail(err, VK_E_FORMAT, "%s: joint \"%s\" does not follow the one before it",
                     scene->id, full);
    }
  }
  return VK_OK;
}

static vk_status find_robot(vk_scene *scene, vk_err *err)
{
  int finger_qvel = 0;
  VK_TRY(find_id(scene, mjOBJ_SITE, "gripper0_grip_site", &scene->site_grip, err));
  VK_TRY(find_id(scene, mjOBJ_BODY, "robot0_right_hand", &scene->body_hand, err));
  VK_TRY(find_joints(scene, "robot0_joint", VK_N_ARM, &scene->arm_qpos, &scene->arm_qvel, err));
  VK_TRY(find_joints(scene, "gripper0_finger_joint", VK_N_FINGER, &scene->finger_qpos, &finger_qvel,
                     err));
  if (scene->model->nu != VK_N_ARM + VK_N_FINGER)
    return vk_fail(err, VK_E_FORMAT, "%s: the robot has %d actuators, not %d", scene->id,
                   scene->model->nu, VK_N_ARM + VK_N_FINGER);
  return VK_OK;
}

static vk_status find_instance(vk_scene *scene, int i, vk_err *err)
{
  const vk_pack_task *task = scene->task;
  bool is_object = i < scene->n_object;
  uint32_t at =
      is_object ? task->object + (uint32_t)i : task->fixture + (uint32_t)(i - scene->n_object);
  const vk_pack_instance *from = &scene->pack->instance[at];
  vk_instance *instance = &scene->instance[i];
  char body[256];
  instance->name = vk_pack_text(scene->pack, from->name);
  instance->cls = &scene->pack->class_[from->class_index];
  instance->qpos_adr = instance->qvel_adr = -1;
  snprintf(body, sizeof body, "%s_main", instance->name);
  VK_TRY(find_id(scene, mjOBJ_BODY, body, &instance->body, err));
  if (!is_object)
    return VK_OK;
  int joint = scene->model->body_jntadr[instance->body];
  if (joint < 0 || scene->model->jnt_type[joint] != mjJNT_FREE)
    return vk_fail(err, VK_E_FORMAT, "%s: object \"%s\" has no free joint", scene->id,
                   instance->name);
  instance->qpos_adr = scene->model->jnt_qposadr[joint];
  instance->qvel_adr = scene->model->jnt_dofadr[joint];
  return VK_OK;
}

static vk_status find_instances(vk_scene *scene, vk_err *err)
{
  const vk_pack_task *task = scene->task;
  const mjModel *m = scene->model;
  scene->n_object = (int)task->n_object;
  scene->n_fixture = (int)task->n_fixture;
  scene->n_instance = scene->n_object + scene->n_fixture;
  scene->instance = calloc((size_t)scene->n_instance + 1, sizeof *scene->instance);
  scene->body_owner = calloc((size_t)m->nbody, sizeof *scene->body_owner);
  scene->geom_owner = calloc((size_t)m->ngeom + 1, sizeof *scene->geom_owner);
  if (!scene->instance || !scene->body_owner || !scene->geom_owner)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for the scene", scene->id);
  for (int i = 0; i < scene->n_instance; i++)
    VK_TRY(find_instance(scene, i, err));
  /* A body comes after its parent, so that owners flow down the tree. */
  for (int b = 0; b < m->nbody; b++) {
    scene->body_owner[b] = b ? scene->body_owner[m->body_parentid[b]] : -1;
    for (int i = 0; i < scene->n_instance; i++)
      if (scene->instance[i].body == b)
        scene->body_owner[b] = i;
  }
  for (int g = 0; g < m->ngeom; g++)
    scene->geom_owner[g] = m->geom_group[g] == 0 ? scene->body_owner[m->geom_bodyid[g]] : -1;
  return VK_OK;
}

/* The flame of a class that turns on: the first site "INSTANCE_burner". */
static void find_burner(vk_scene *scene)
{
  scene->site_burner = -1;
  for (int i = 0; i < scene->n_instance; i++) {
    char name[256];
    snprintf(name, sizeof name, "%s_burner", scene->instance[i].name);
    int site = mj_name2id(scene->model, mjOBJ_SITE, name);
    if (site >= 0 && vk_scene_resolve_atom(scene, VK_ATOM_TURNON, scene->instance[i].name, "",
                                           &scene->atom_burner, NULL) == VK_OK) {
      scene->site_burner = site;
      return;
    }
  }
}

static vk_status find_goal(vk_scene *scene, vk_err *err)
{
  scene->n_goal = (int)scene->task->n_goal;
  scene->goal = calloc((size_t)scene->n_goal + 1, sizeof *scene->goal);
  if (!scene->goal)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for the goal", scene->id);
  for (int i = 0; i < scene->n_goal; i++) {
    const vk_pack_atom *atom = &scene->pack->atom[scene->task->goal + (uint32_t)i];
    VK_TRY(vk_scene_resolve_atom(scene, (vk_atom_kind)atom->kind,
                                 vk_pack_text(scene->pack, atom->a),
                                 vk_pack_text(scene->pack, atom->b), &scene->goal[i], err));
  }
  return VK_OK;
}

static vk_status find_names(vk_scene *scene, vk_err *err)
{
  scene->n_state = 1 + scene->model->nq + scene->model->nv;
  if (scene->task->n_row && scene->task->n_state != (uint32_t)scene->n_state)
    return vk_fail(err, VK_E_FORMAT, "%s: init rows have %u numbers, the scene's state has %d",
                   scene->id, scene->task->n_state, scene->n_state);
  VK_TRY(find_robot(scene, err));
  VK_TRY(find_instances(scene, err));
  find_burner(scene);
  return find_goal(scene, err);
}

vk_status vk_scene_new(vk_scene **out, const vk_pack *pack, uint32_t i_task, const char *cache_dir,
                       vk_err *err)
{
  VK_ASSERT(i_task < pack->n_task);
  *out = NULL;
  VK_TRY(vk_mujoco_check(err));
  vk_scene *scene = calloc(1, sizeof *scene);
  if (!scene)
    return vk_fail(err, VK_E_NOMEM, "no memory for a scene");
  scene->pack = pack;
  scene->task = &pack->task[i_task];
  scene->problem = &pack->problem[scene->task->problem];
  vk_pack_task_id(pack, scene->task, scene->id);
  char key[65];
  vk_status st = get_model(scene, cache_dir, key, err);
  if (st == VK_OK)
    st = find_names(scene, err);
  if (st == VK_OK)
    st = get_home(scene, cache_dir, key, err);
  if (st != VK_OK) {
    vk_scene_free(scene);
    return st;
  }
  *out = scene;
  return VK_OK;
}

void vk_scene_free(vk_scene *scene)
{
  if (!scene)
    return;
  if (scene->model)
    mj_deleteModel(scene->model);
  free(scene->instance);
  free(scene->geom_owner);
  free(scene->body_owner);
  free(scene->goal);
  free(scene->home_warmstart);
  free(scene);
}
