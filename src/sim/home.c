#include "sim/home.h"

#include <string.h>

#include "sim/mujoco_compat.h"

/* Contacts a scene may have while everything overlaps; LIBERO's reach 2,800. */
enum { CONTACT_LIMIT = 4000, ROW_LIMIT = 13000 };

const double vk_home_arm_q_rad[VK_N_ARM] = {0,         -0.161037389,          0, -2.44459747, 0,
                                            2.2267522, 0.78539816339744830962};
const double vk_home_finger_q_m[VK_N_FINGER] = {0.020833, -0.020833};

typedef struct home_call {
  const vk_scene *scene;
  mjModel model; /* the scene's with room for everything */
  mjData *data;
  int n_contact, n_row;
  double *warmstart;
  bool is_full;
} home_call;

static void put_arm_home(home_call *c)
{
  memcpy(c->data->qpos + c->scene->arm_qpos, vk_home_arm_q_rad, sizeof vk_home_arm_q_rad);
}

static int count_rows(const home_call *c)
{
  int n = 0;
  for (int i = 0; i < c->data->ncon; i++)
    n += c->data->contact[i].dim;
  return n;
}

static void collide(home_call *c)
{
  mj_kinematics(&c->model, c->data);
  mj_comPos(&c->model, c->data);
  mj_collision(&c->model, c->data);
  int n_row = count_rows(c);
  c->n_contact = c->data->ncon > c->n_contact ? c->data->ncon : c->n_contact;
  c->n_row = n_row > c->n_row ? n_row : c->n_row;
}

/* Contacts need no constraint rows, so counting them first is cheap. */
static void count_contacts(void *arg)
{
  home_call *c = arg;
  c->data = mj_makeData(&c->model);
  if (!c->data)
    return;
  collide(c);
  put_arm_home(c);
  collide(c);
  c->is_full = c->data->warning[mjWARN_CONTACTFULL].number > 0;
}

static void run_forwards(void *arg)
{
  home_call *c = arg;
  const mjModel *m = &c->model;
  c->data = mj_makeData(m);
  if (!c->data)
    return;
  mjData *d = c->data;
  mj_forward(m, d);
  mj_forward(m, d);
  put_arm_home(c);
  mj_forward(m, d);
  mj_forward(m, d);
  memcpy(c->warmstart, d->qacc_warmstart, sizeof(double) * (size_t)m->nv);
  c->is_full = d->warning[mjWARN_CONTACTFULL].number > 0 || d->warning[mjWARN_CNSTRFULL].number > 0;
}

/* Runs fn on data of the given capacity, which lives no longer than that. */
static vk_status run_with_capacity(home_call *c, void (*fn)(void *arg), int n_contact, int n_row,
                                   vk_err *err)
{
  vk_model_set_capacity(&c->model, n_contact, n_row);
  c->data = NULL;
  vk_status st = vk_mujoco_try(fn, c, err);
  if (st == VK_OK && !c->data)
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory for the overlapping objects of a reset",
                 c->scene->id);
  if (c->data)
    mj_deleteData(c->data);
  if (st == VK_OK && c->is_full)
    st =
        vk_fail(err, VK_E_SIM, "%s: %d contacts are too few for the overlapping objects of a reset",
                c->scene->id, n_contact);
  return st;
}

vk_status vk_home_warmstart(const vk_scene *scene, double *warmstart, vk_err *err)
{
  const mjModel *m = scene->model;
  home_call c = {.scene = scene, .model = *m, .warmstart = warmstart};
  VK_TRY(run_with_capacity(&c, count_contacts, CONTACT_LIMIT, 1, err));
  /* Rows of friction losses and limits come beside those of contacts. */
  int n_row = c.n_row + m->nv + 2 * m->njnt + 16;
  if (n_row > ROW_LIMIT)
    return vk_fail(err, VK_E_SIM, "%s: a reset needs %d constraint rows, MuJoCo can hold %d",
                   scene->id, n_row, ROW_LIMIT);
  return run_with_capacity(&c, run_forwards, c.n_contact + 8, n_row, err);
}
