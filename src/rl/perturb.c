#include "rl/perturb.h"

#include <stdlib.h>
#include <string.h>

/* How far things go. */
static const double camera_m = 0.03, camera_rad = 3 * M_PI / 180, object_m = 0.02;

/* An object may touch what is around it, or stand in it as deep as it did before. */
static const double depth_m = 0.001;

/* Shares of the way that are tried in turn. */
static const double share[] = {1, 0.5, 0.25};

/* Of vk_philox; the key is the episode's. */
static const uint64_t stream_perturb = (uint64_t)4 << 40;

const char *const vk_perturb_names[] = {[VK_PERTURB_NONE] = "none",
                                        [VK_PERTURB_CAMERA] = "camera",
                                        [VK_PERTURB_POSITION] = "position",
                                        [VK_PERTURB_LANGUAGE] = "language",
                                        NULL};

const char *const vk_perturb_sizes[] = {[VK_PERTURB_NONE] = "",
                                        [VK_PERTURB_CAMERA] =
                                            "up to 3 cm along and 3 degrees about each axis",
                                        [VK_PERTURB_POSITION] = "up to 2 cm along x and y",
                                        [VK_PERTURB_LANGUAGE] = "words that no training draws"};

static double uniform(vk_philox *rng, double half)
{
  return half * (2 * vk_philox_double(rng) - 1);
}

void vk_perturb_camera(uint64_t key, uint32_t seed, vk_pose *moved)
{
  vk_philox rng;
  double turn[3];
  vk_philox_init(&rng, key, stream_perturb + seed);
  for (int k = 0; k < 3; k++)
    moved->p[k] = uniform(&rng, camera_m);
  for (int k = 0; k < 3; k++)
    turn[k] = uniform(&rng, camera_rad);
  double angle = vk_v3_norm(turn);
  vk_v3_unit(turn);
  vk_m3_axis_angle(moved->R, turn, angle);
}

/* How deep object i stands in anything. */
static double depth_of(const vk_env *env, int i)
{
  const vk_scene *scene = vk_env_scene(env);
  const mjData *d = vk_env_data(env);
  double depth = 0;
  for (int c = 0; c < d->ncon; c++) {
    const mjContact *contact = &d->contact[c];
    if (scene->geom_owner[contact->geom1] == i || scene->geom_owner[contact->geom2] == i)
      depth = fmax(depth, -contact->dist);
  }
  return depth;
}

/* Moves object i as far along its way as there is room. env stands in `state`. */
static vk_status move_object(vk_env *env, int i, const double way[2], double *state, vk_err *err)
{
  const vk_scene *scene = vk_env_scene(env);
  double *p = state + 1 + scene->instance[i].qpos_adr;
  const double from[2] = {p[0], p[1]};
  double most = fmax(depth_of(env, i), depth_m);
  for (size_t k = 0; k < VK_COUNT(share); k++) {
    for (int a = 0; a < 2; a++)
      p[a] = from[a] + share[k] * way[a];
    VK_TRY(vk_env_set_state(env, state, scene->n_state, err));
    if (depth_of(env, i) <= most)
      return VK_OK;
  }
  for (int a = 0; a < 2; a++)
    p[a] = from[a];
  return vk_env_set_state(env, state, scene->n_state, err);
}

vk_status vk_perturb_position(vk_env *env, uint64_t key, uint32_t seed, double *state, vk_err *err)
{
  const vk_scene *scene = vk_env_scene(env);
  size_t size = vk_env_snapshot_size(env);
  void *before = malloc(size);
  if (!before)
    return vk_fail(err, VK_E_NOMEM, "no memory for %zu bytes of an environment", size);
  vk_env_save(env, before);
  vk_philox rng;
  vk_philox_init(&rng, key, stream_perturb + seed);
  vk_status st = vk_env_set_state(env, state, scene->n_state, err);
  for (int i = 0; i < scene->n_object && st == VK_OK; i++) {
    double way[2] = {uniform(&rng, object_m), 0};
    way[1] = uniform(&rng, object_m);
    st = move_object(env, i, way, state, err);
  }
  /* what was tried leaves no trace: forced observations are counted, warm starts move */
  if (st == VK_OK)
    st = vk_env_load(env, before, size, err);
  free(before);
  return st;
}

void vk_perturb_language(const char *instruction, uint64_t key, uint32_t seed,
                         char out[VK_PARAPHRASE_SIZE])
{
  vk_philox rng;
  vk_philox_init(&rng, key, stream_perturb + seed);
  vk_paraphrase(instruction, VK_PARAPHRASE_HELD_OUT, &rng, out, VK_PARAPHRASE_SIZE);
}
