#include "sim/hull_frame.h"

#include <math.h>
#include <string.h>

#include "sim/mujoco_compat.h"

/* Rounding to float moves a vertex by less; different vertices of a mesh are further apart. */
static const double same_vertex_m = 2e-6;

/* Index of the vertex of mesh i that lies at p once moved by (pos, quat), or -1. */
static int find_vertex(const mjModel *m, int i, const double pos[3], const double quat[4],
                       const float p[3])
{
  int best = -1;
  double best2 = same_vertex_m * same_vertex_m, R[9];
  mju_quat2Mat(R, quat);
  double d[3] = {p[0] - pos[0], p[1] - pos[1], p[2] - pos[2]}, local[3];
  mju_mulMatTVec(local, R, d, 3, 3);
  for (int k = m->mesh_vertadr[i]; k < m->mesh_vertadr[i] + m->mesh_vertnum[i]; k++) {
    const float *v = m->mesh_vert + 3 * k;
    double x = v[0] - local[0], y = v[1] - local[1], z = v[2] - local[2];
    double distance2 = x * x + y * y + z * z;
    if (distance2 < best2) {
      best2 = distance2;
      best = k;
    }
  }
  return best;
}

vk_status vk_hull_frame_take(vk_pack_hull_frame *frame, float *framed, const float *hull,
                             size_t n_vertex, const void *stl, size_t n_stl, vk_err *err)
{
  static const char mjcf[] = "<mujoco><asset><mesh name=\"m\" file=\"whole.stl\"/></asset>"
                             "<worldbody><geom type=\"mesh\" mesh=\"m\"/></worldbody></mujoco>";
  mjVFS *vfs = NULL;
  mjModel *m = NULL;
  vk_status st = VK_OK;
  VK_TRY_DONE(vk_vfs_new(&vfs, err));
  VK_TRY_DONE(vk_vfs_add(vfs, "whole.stl", stl, n_stl, err));
  VK_TRY_DONE(vk_mujoco_compile(&m, mjcf, vfs, err));
  memcpy(frame->pos_m, m->geom_pos, sizeof frame->pos_m);
  memcpy(frame->quat, m->geom_quat, sizeof frame->quat);
  memcpy(frame->half_size_m, m->geom_size, sizeof frame->half_size_m);
  frame->radius_m = m->geom_rbound[0];
  for (size_t i = 0; i < n_vertex; i++) {
    int k = find_vertex(m, 0, frame->pos_m, frame->quat, hull + 3 * i);
    if (k < 0) {
      st = vk_fail(err, VK_E_FORMAT, "vertex %zu of the convex hull is not the mesh's", i);
      goto done;
    }
    memcpy(framed + 3 * i, m->mesh_vert + 3 * k, 3 * sizeof *framed);
  }
done:
  if (m)
    mj_deleteModel(m);
  vk_vfs_free(vfs);
  return st;
}

/* Mesh i of the model, seen in the frame that MuJoCo gave to its geom. */
static vk_status restore(mjModel *m, int i_geom, const vk_pack *pack, const vk_pack_mesh *mesh,
                         vk_err *err)
{
  int i = m->geom_dataid[i_geom];
  const vk_pack_hull_frame *frame = &pack->hull_frame[mesh->hull_frame];
  const float *hull = pack->f32 + mesh->first, *framed = pack->f32 + frame->first;
  double pos[3], quat[4];
  memcpy(pos, m->geom_pos + 3 * i_geom, sizeof pos);
  memcpy(quat, m->geom_quat + 4 * i_geom, sizeof quat);
  /* Each vertex is looked for among those that are not yet replaced, so found once. */
  mjModel before = *m;
  float *copy = mju_malloc(3 * sizeof *copy * (size_t)m->nmeshvert);
  if (!copy)
    return vk_fail(err, VK_E_NOMEM, "no memory for mesh %s", vk_pack_text(pack, mesh->name));
  memcpy(copy, m->mesh_vert, 3 * sizeof *copy * (size_t)m->nmeshvert);
  before.mesh_vert = copy;
  vk_status st = VK_OK;
  for (size_t k = 0; k < 3 * (size_t)mesh->n_triangle && st == VK_OK; k++) {
    int to = find_vertex(&before, i, pos, quat, hull + 3 * k);
    if (to < 0)
      st = vk_fail(err, VK_E_FORMAT, "%s: MuJoCo lost vertex %zu of mesh %s", pack->path, k,
                   vk_pack_text(pack, mesh->name));
    else
      memcpy(m->mesh_vert + 3 * to, framed + 3 * k, 3 * sizeof *framed);
  }
  mju_free(copy);
  if (st != VK_OK)
    return st;
  memcpy(m->geom_pos + 3 * i_geom, frame->pos_m, sizeof frame->pos_m);
  memcpy(m->geom_quat + 4 * i_geom, frame->quat, sizeof frame->quat);
  memcpy(m->geom_size + 3 * i_geom, frame->half_size_m, sizeof frame->half_size_m);
  m->geom_rbound[i_geom] = frame->radius_m;
  return VK_OK;
}

vk_status vk_hull_frame_restore(mjModel *m, const vk_pack *pack, vk_err *err)
{
  for (int i_geom = 0; i_geom < m->ngeom; i_geom++) {
    if (m->geom_type[i_geom] != mjGEOM_MESH)
      continue;
    const char *name = mj_id2name(m, mjOBJ_MESH, m->geom_dataid[i_geom]);
    for (size_t i = 0; i < pack->n_mesh; i++)
      if (pack->mesh[i].hull_frame != VK_PACK_NONE && name &&
          strcmp(vk_pack_text(pack, pack->mesh[i].name), name) == 0)
        VK_TRY(restore(m, i_geom, pack, &pack->mesh[i], err));
  }
  return VK_OK;
}
