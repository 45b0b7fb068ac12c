/* Compares the compiled scene of every recorded task with the constants of the Python benchmark's
 * compiled model (m_* of the recordings), which holds visual geoms as well: those are passed over,
 * and so are the colours of collision geoms, which no picture shows. Everything else must be there
 * in the same order with the same numbers.
 *
 * Recorded with MuJoCo 2.3.7, whose numbers must be ours to the last bit. 2.2.2 keeps the vertices
 * of meshes in single precision while it measures them; 3.x computes inertia in another order.
 *
 *   test_constants FOLDER   FOLDER/libero/NAME.npz */
#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/npy.h"
#include "sim/scene.h"

enum { SKIP = 77 };

#if mjVERSION_HEADER < 300
static const double allowed = 0;
#else
static const double allowed = 1e-13;
#endif
#if mjVERSION_HEADER == 237
static const double allowed_mesh = 0;
#else
static const double allowed_mesh = 2e-7; /* sizes and frames of mesh geoms, m */
#endif
static const double allowed_hull = 2e-7; /* the pack's frame of a hull is that of MuJoCo 2.2.2 */

typedef struct comparison {
  const vk_pack *pack;
  const vk_npz *npz;
  const char *task;
  double allowed;
  int n_compared, n_differ;
  double worst;
} comparison;

static double item(const vk_array *a, int64_t i)
{
  const char *p = (const char *)a->data + i * a->item_size;
  float f32;
  double f64;
  int32_t i32;
  int64_t i64;
  switch (a->kind) {
  case 'f':
    if (a->item_size == 4)
      return memcpy(&f32, p, 4), f32;
    return memcpy(&f64, p, 8), f64;
  case 'i':
    if (a->item_size == 4)
      return memcpy(&i32, p, 4), i32;
    return memcpy(&i64, p, 8), (double)i64;
  default:
    return (unsigned char)*p;
  }
}

static const vk_array *find(const comparison *c, const char *name)
{
  const vk_array *a = vk_npz_find(c->npz, name);
  if (!a) {
    fprintf(stderr, "%s: the recording has no %s\n", c->task, name);
    exit(1);
  }
  return a;
}

static void differ(comparison *c, const char *what, int64_t i, double want, double got)
{
  if (c->n_differ++ < 8)
    printf("%s: %s[%" PRId64 "]: recorded %.17g, ours %.17g\n", c->task, what, i, want, got);
  if (fabs(want - got) > c->worst)
    c->worst = fabs(want - got);
}

static void compare(comparison *c, const char *what, int64_t i, double want, double got)
{
  c->n_compared++;
  if (!(fabs(want - got) <= c->allowed))
    differ(c, what, i, want, got);
}

/* Row i of ours (width numbers) against row map of the recording. */
#define COMPARE_ROW(c, name, ours, i, width, map)                                                  \
  for (int k_ = 0; k_ < (width); k_++)                                                             \
  compare((c), #name, (int64_t)(i) * (width) + k_,                                                 \
          item(find((c), "m_" #name), (int64_t)(map) * (width) + k_),                              \
          (double)(ours)[(int64_t)(i) * (width) + k_])

/* n rows of ours against the recording's, which has no more. */
#define COMPARE_ROWS(c, name, ours, n, width)                                                      \
  do {                                                                                             \
    const vk_array *a_ = find((c), "m_" #name);                                                    \
    if (a_->n_item != (int64_t)(n) * (width))                                                      \
      differ((c), #name " (length)", 0, (double)a_->n_item, (double)(n) * (width));                \
    else                                                                                           \
      for (int i_ = 0; i_ < (n); i_++)                                                             \
        COMPARE_ROW(c, name, ours, i_, width, i_);                                                 \
  } while (0)

#define COMPARE(c, name, n, width) COMPARE_ROWS(c, name, (m)->name, n, width)

static void compare_names(comparison *c, const mjModel *m, const char *name, int type, int n,
                          const int *map)
{
  const vk_array *a = find(c, name);
  if (!map && a->n_item != n)
    differ(c, name, 0, (double)a->n_item, n);
  for (int i = 0; i < n && (map || i < a->n_item); i++) {
    char want[256];
    vk_err err = VK_ERR_INIT;
    const char *got = mj_id2name(m, type, i);
    if (vk_npz_text(c->npz, name, map ? map[i] : i, want, sizeof want, &err) != VK_OK ||
        strcmp(want, got ? got : "") != 0) {
      printf("%s: %s %d: recorded \"%s\", ours \"%s\"\n", c->task, name, i, want, got ? got : "");
      c->n_differ++;
    }
    c->n_compared++;
  }
}

static void compare_bodies(comparison *c, const mjModel *m)
{
  compare_names(c, m, "m_body_name", mjOBJ_BODY, m->nbody, NULL);
  COMPARE(c, body_parentid, m->nbody, 1);
  COMPARE(c, body_mass, m->nbody, 1);
  COMPARE(c, body_inertia, m->nbody, 3);
  COMPARE(c, body_ipos, m->nbody, 3);
  COMPARE(c, body_iquat, m->nbody, 4);
  COMPARE(c, body_pos, m->nbody, 3);
  COMPARE(c, body_quat, m->nbody, 4);
}

static void compare_joints(comparison *c, const mjModel *m)
{
  compare_names(c, m, "m_jnt_name", mjOBJ_JOINT, m->njnt, NULL);
  COMPARE(c, jnt_type, m->njnt, 1);
  COMPARE(c, jnt_qposadr, m->njnt, 1);
  COMPARE(c, jnt_dofadr, m->njnt, 1);
  COMPARE(c, jnt_bodyid, m->njnt, 1);
  COMPARE(c, jnt_axis, m->njnt, 3);
  COMPARE(c, jnt_pos, m->njnt, 3);
  COMPARE(c, jnt_range, m->njnt, 2);
  COMPARE(c, jnt_limited, m->njnt, 1);
  COMPARE(c, jnt_stiffness, m->njnt, 1);
  COMPARE(c, jnt_margin, m->njnt, 1);
  COMPARE(c, jnt_solref, m->njnt, 2);
  COMPARE(c, jnt_solimp, m->njnt, 5);
  COMPARE(c, dof_armature, m->nv, 1);
  COMPARE(c, dof_damping, m->nv, 1);
  COMPARE(c, dof_frictionloss, m->nv, 1);
  COMPARE(c, dof_solref, m->nv, 2);
  COMPARE(c, dof_solimp, m->nv, 5);
  COMPARE(c, qpos0, m->nq, 1);
  COMPARE(c, qpos_spring, m->nq, 1);
}

/* map[i]: the recording's row of our geom i. False when the number of collision geoms differs. */
static bool map_geoms(comparison *c, const mjModel *m, int *map)
{
  const vk_array *group = find(c, "m_geom_group"), *contype = find(c, "m_geom_contype"),
                 *conaffinity = find(c, "m_geom_conaffinity");
  int n = 0;
  for (int64_t i = 0; i < group->n_item; i++) {
    if (item(group, i) != 0 && item(contype, i) == 0 && item(conaffinity, i) == 0)
      continue;
    if (n < m->ngeom)
      map[n] = (int)i;
    n++;
  }
  if (n != m->ngeom)
    differ(c, "number of collision geoms", 0, n, m->ngeom);
  return n == m->ngeom;
}

/* Our geom i, a mesh, against the recording's geom j. A mesh of the pack that is the hull of its
 * original has fewer vertices, in the same frame: MuJoCo collides the same hull of both. */
static void compare_mesh(comparison *c, const mjModel *m, int i, int j)
{
  int mesh = m->geom_dataid[i], recorded = (int)item(find(c, "m_geom_dataid"), j);
  const char *name = mj_id2name(m, mjOBJ_MESH, mesh);
  compare(c, "geom has a mesh", i, recorded >= 0, 1);
  bool is_hull = false;
  for (size_t k = 0; k < c->pack->n_mesh; k++)
    if (strcmp(vk_pack_text(c->pack, c->pack->mesh[k].name), name) == 0)
      is_hull = c->pack->mesh[k].hull_frame != VK_PACK_NONE;
  if (!is_hull) {
    compare(c, "mesh_vertnum", i, item(find(c, "m_mesh_vertnum"), recorded), m->mesh_vertnum[mesh]);
    compare(c, "mesh_facenum", i, item(find(c, "m_mesh_facenum"), recorded), m->mesh_facenum[mesh]);
  }
  c->allowed = is_hull ? allowed_hull : allowed_mesh;
  COMPARE_ROW(c, geom_size, m->geom_size, i, 3, j);
  COMPARE_ROW(c, geom_pos, m->geom_pos, i, 3, j);
  COMPARE_ROW(c, geom_quat, m->geom_quat, i, 4, j);
  COMPARE_ROW(c, geom_rbound, m->geom_rbound, i, 1, j);
  c->allowed = allowed;
}

static void compare_geom(comparison *c, const mjModel *m, int i, int j)
{
  COMPARE_ROW(c, geom_type, m->geom_type, i, 1, j);
  COMPARE_ROW(c, geom_bodyid, m->geom_bodyid, i, 1, j);
  COMPARE_ROW(c, geom_group, m->geom_group, i, 1, j);
  COMPARE_ROW(c, geom_contype, m->geom_contype, i, 1, j);
  COMPARE_ROW(c, geom_conaffinity, m->geom_conaffinity, i, 1, j);
  COMPARE_ROW(c, geom_condim, m->geom_condim, i, 1, j);
  COMPARE_ROW(c, geom_priority, m->geom_priority, i, 1, j);
  COMPARE_ROW(c, geom_solmix, m->geom_solmix, i, 1, j);
  COMPARE_ROW(c, geom_friction, m->geom_friction, i, 3, j);
  COMPARE_ROW(c, geom_solref, m->geom_solref, i, 2, j);
  COMPARE_ROW(c, geom_solimp, m->geom_solimp, i, 5, j);
  COMPARE_ROW(c, geom_margin, m->geom_margin, i, 1, j);
  COMPARE_ROW(c, geom_gap, m->geom_gap, i, 1, j);
  if (m->geom_type[i] == mjGEOM_MESH) {
    compare_mesh(c, m, i, j);
    return;
  }
  COMPARE_ROW(c, geom_size, m->geom_size, i, 3, j);
  COMPARE_ROW(c, geom_pos, m->geom_pos, i, 3, j);
  COMPARE_ROW(c, geom_quat, m->geom_quat, i, 4, j);
  COMPARE_ROW(c, geom_rbound, m->geom_rbound, i, 1, j);
}

static void compare_geoms(comparison *c, const mjModel *m)
{
  int *map = calloc((size_t)m->ngeom + 1, sizeof *map);
  if (!map)
    exit(1);
  if (map_geoms(c, m, map)) {
    compare_names(c, m, "m_geom_name", mjOBJ_GEOM, m->ngeom, map);
    for (int i = 0; i < m->ngeom; i++)
      compare_geom(c, m, i, map[i]);
  }
  free(map);
}

static void compare_sites(comparison *c, const mjModel *m)
{
  compare_names(c, m, "m_site_name", mjOBJ_SITE, m->nsite, NULL);
  COMPARE(c, site_bodyid, m->nsite, 1);
  COMPARE(c, site_type, m->nsite, 1);
  COMPARE(c, site_pos, m->nsite, 3);
  COMPARE(c, site_size, m->nsite, 3);
  COMPARE(c, site_quat, m->nsite, 4);
  COMPARE(c, site_rgba, m->nsite, 4);
  COMPARE(c, site_group, m->nsite, 1);
}

static void compare_views(comparison *c, const mjModel *m)
{
  compare_names(c, m, "m_cam_name", mjOBJ_CAMERA, m->ncam, NULL);
  COMPARE(c, cam_bodyid, m->ncam, 1);
  COMPARE(c, cam_mode, m->ncam, 1);
  COMPARE(c, cam_pos, m->ncam, 3);
  COMPARE(c, cam_quat, m->ncam, 4);
  COMPARE(c, cam_fovy, m->ncam, 1);
  compare_names(c, m, "m_light_name", mjOBJ_LIGHT, m->nlight, NULL);
  COMPARE(c, light_pos, m->nlight, 3);
  COMPARE(c, light_dir, m->nlight, 3);
#if mjVERSION_HEADER < 333
  COMPARE(c, light_directional, m->nlight, 1);
#endif
  COMPARE(c, light_castshadow, m->nlight, 1);
  COMPARE(c, light_attenuation, m->nlight, 3);
  COMPARE(c, light_cutoff, m->nlight, 1);
  COMPARE(c, light_exponent, m->nlight, 1);
  COMPARE(c, light_ambient, m->nlight, 3);
  COMPARE(c, light_diffuse, m->nlight, 3);
  COMPARE(c, light_specular, m->nlight, 3);
  COMPARE(c, light_active, m->nlight, 1);
}

static void compare_actuators(comparison *c, const mjModel *m)
{
  compare_names(c, m, "m_actuator_name", mjOBJ_ACTUATOR, m->nu, NULL);
  COMPARE(c, actuator_gainprm, m->nu, 10);
  COMPARE(c, actuator_biasprm, m->nu, 10);
  COMPARE(c, actuator_biastype, m->nu, 1);
  COMPARE(c, actuator_ctrlrange, m->nu, 2);
  COMPARE(c, actuator_forcerange, m->nu, 2);
  COMPARE(c, actuator_ctrllimited, m->nu, 1);
  COMPARE(c, actuator_forcelimited, m->nu, 1);
  COMPARE(c, actuator_trnid, m->nu, 2);
  COMPARE(c, actuator_gear, m->nu, 6);
  COMPARE(c, exclude_signature, m->nexclude, 1);
}

static void compare_options(comparison *c, const mjModel *m)
{
  const mjOption *o = &m->opt;
  const double opt[] = {
    o->timestep,
    o->impratio,
    o->tolerance,
    o->density,
    o->viscosity,
    o->o_margin,
    o->integrator,
    o->cone,
    o->solver,
    o->jacobian,
    o->iterations,
    o->noslip_iterations,
#if mjVERSION_HEADER < 320
    o->mpr_iterations,
#else
    o->ccd_iterations,
#endif
    o->disableflags,
    o->enableflags
  };
  COMPARE_ROWS(c, opt, opt, (int)VK_COUNT(opt), 1);
  COMPARE_ROWS(c, opt_gravity, o->gravity, 3, 1);
  COMPARE_ROWS(c, opt_wind, o->wind, 3, 1);
  /* The recording's other sizes and statistics count visual geoms as well. */
  const int size[] = {m->nq, m->nv, m->nu, m->nbody, m->njnt};
  for (int i = 0; i < (int)VK_COUNT(size); i++)
    COMPARE_ROW(c, sizes, size, i, 1, i);
  const double stat[] = {m->stat.meaninertia, m->stat.meanmass};
  for (int i = 0; i < (int)VK_COUNT(stat); i++)
    COMPARE_ROW(c, stat, stat, i, 1, i);
  const double vis[] = {m->vis.map.znear,
                        m->vis.map.zfar,
                        m->vis.headlight.ambient[0],
                        m->vis.headlight.ambient[1],
                        m->vis.headlight.ambient[2],
                        m->vis.headlight.diffuse[0],
                        m->vis.headlight.diffuse[1],
                        m->vis.headlight.diffuse[2],
                        m->vis.headlight.specular[0],
                        m->vis.headlight.specular[1],
                        m->vis.headlight.specular[2],
                        m->vis.headlight.active,
                        m->vis.quality.offsamples,
                        m->vis.map.fogstart,
                        m->vis.map.fogend};
  COMPARE_ROWS(c, vis, vis, (int)VK_COUNT(vis), 1);
}

static vk_status compile_task(const vk_pack *pack, const char *word, mjModel **m, vk_err *err)
{
  char *text;
  uint32_t *task = calloc(pack->n_task + 1, sizeof *task), n_task = 0;
  vk_status st = task ? vk_pack_find_tasks(pack, word, task, &n_task, err) : VK_E_NOMEM;
  if (st == VK_OK)
    st = vk_compose_mjcf(pack, &pack->task[task[0]], &text, err);
  free(task);
  VK_TRY(st);
  st = vk_scene_compile(pack, text, m, err);
  free(text);
  return st;
}

static bool compare_file(const vk_pack *pack, const char *path, long *n_compared)
{
  vk_err err = VK_ERR_INIT;
  vk_npz npz = {0};
  mjModel *m = NULL;
  char suite[64] = "", word[96];
  comparison c = {.pack = pack, .npz = &npz, .task = word, .allowed = allowed};
  vk_status st = VK_OK;
  VK_TRY_DONE(vk_npz_read(&npz, path, 1u << 28, &err));
  VK_TRY_DONE(vk_npz_text(&npz, "suite", 0, suite, sizeof suite, &err));
  snprintf(word, sizeof word, "%s/%d", suite, (int)item(find(&c, "index"), 0));
  VK_TRY_DONE(compile_task(pack, word, &m, &err));
  compare_options(&c, m);
  compare_bodies(&c, m);
  compare_joints(&c, m);
  compare_geoms(&c, m);
  compare_sites(&c, m);
  compare_views(&c, m);
  compare_actuators(&c, m);
  mj_deleteModel(m);
  if (c.n_differ)
    printf("%s: %d of %d constants differ, by %.3g at most\n", word, c.n_differ, c.n_compared,
           c.worst);
  *n_compared += c.n_compared;
done:
  if (st != VK_OK)
    printf("%s: %s\n", path, err.text);
  vk_npz_free(&npz);
  return st == VK_OK && !c.n_differ;
}

static int is_npz(const struct dirent *entry)
{
  size_t n = strlen(entry->d_name);
  return n > 4 && strcmp(entry->d_name + n - 4, ".npz") == 0;
}

int main(int argc, char **argv)
{
  vk_err err = VK_ERR_INIT;
  vk_pack pack;
  struct dirent **entry = NULL;
  char folder[1024];
  snprintf(folder, sizeof folder, "%s/libero", argc > 1 ? argv[1] : "");
  int n = scandir(folder, &entry, is_npz, alphasort), n_good = 0;
  if (n <= 0) {
    printf("no recordings in %s\n", folder);
    return SKIP;
  }
  if (vk_mujoco_check(&err) != VK_OK ||
      vk_pack_open(&pack, VK_SOURCE_DIR "/data/libero.pack", &err) != VK_OK) {
    printf("%s\n", err.text);
    return 1;
  }
  long n_compared = 0;
  for (int i = 0; i < n; i++) {
    char path[1400];
    snprintf(path, sizeof path, "%s/%s", folder, entry[i]->d_name);
    n_good += compare_file(&pack, path, &n_compared);
    free(entry[i]);
  }
  free(entry);
  vk_pack_close(&pack);
  printf("%d of %d recordings agree, %ld constants compared\n", n_good, n, n_compared);
  return n_good == n ? 0 : 1;
}
