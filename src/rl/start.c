#include "rl/start.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "core/rng.h"

/* Of the arm in LIBERO's init rows. Source: robosuite 1.4.0, initialization_noise. */
static const double arm_noise_rad = 0.02;

/* Of vk_philox; its key is the episode's. */
static const uint64_t stream_reset = (uint64_t)1 << 40;

const char *const vk_start_rows_names[] = {
    [VK_ROWS_EVAL] = "eval", [VK_ROWS_SAMPLED] = "sampled", NULL};

uint64_t vk_start_key(const char *task_id, int row)
{
  char text[VK_PACK_TASK_ID_SIZE + 16], hex[65];
  snprintf(text, sizeof text, "%s %d", task_id, row);
  vk_sha256_hex(text, strlen(text), hex);
  hex[16] = '\0';
  return strtoull(hex, NULL, 16);
}

static vk_status start_sampled(vk_env *env, const vk_start *start, double *state, vk_err *err)
{
  const vk_scene *scene = vk_env_scene(env);
  vk_philox rng;
  vk_philox_init(&rng, vk_start_key(scene->id, start->row), stream_reset + start->seed);
  vk_env_seed(env, vk_philox_u32(&rng));
  VK_TRY(vk_env_reset(env, err));
  vk_env_get_state(env, state);
  memset(state + 1 + scene->model->nq, 0, sizeof *state * (size_t)scene->model->nv);
  state[0] = 0;
  for (int i = 0; i < VK_N_ARM; i++)
    state[1 + scene->arm_qpos + i] += arm_noise_rad * vk_philox_normal(&rng);
  return vk_env_set_state(env, state, scene->n_state, err);
}

static vk_status start_row(vk_env *env, const vk_start *start, double *state, vk_err *err)
{
  const vk_scene *scene = vk_env_scene(env);
  /* first, because a row that is not there may be the two thousand millionth */
  VK_TRY(vk_pack_init_row(scene->pack, scene->task, (uint32_t)start->row, state, err));
  vk_env_seed(env, start->seed);
  VK_TRY(vk_env_skip_resets(env, start->row / start->protocol->n_parallel, err));
  VK_TRY(vk_env_reset(env, err));
  return vk_env_set_state(env, state, scene->n_state, err);
}

vk_status vk_start_env(vk_env *env, const vk_start *start, vk_err *err)
{
  int n = vk_env_scene(env)->n_state;
  double *state = malloc(sizeof *state * (size_t)n);
  if (!state)
    return vk_fail(err, VK_E_NOMEM, "no memory for a state of %d numbers", n);
  vk_status st = start->rows == VK_ROWS_SAMPLED ? start_sampled(env, start, state, err)
                                                : start_row(env, start, state, err);
  free(state);
  return st;
}
