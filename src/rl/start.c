#include "rl/start.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "core/rng.h"

/* Of the arm in LIBERO's init rows. Source: robosuite 1.4.0, initialization_noise. */
static const double arm_noise_rad = 0.02;

/* Of vk_philox; its key is the episode's, the seed is added. */
static const uint64_t stream_reset = (uint64_t)1 << 40, stream_held_out = (uint64_t)3 << 40;

const char *const vk_start_rows_names[] = {
    [VK_ROWS_EVAL] = "eval", [VK_ROWS_SAMPLED] = "sampled", [VK_ROWS_HELD_OUT] = "held-out", NULL};

/* They lie side by side: what is of one use ends where the next begins. */
const vk_start_range vk_start_ranges[VK_START_USES] = {
    [VK_START_DEMO] = {"demonstrations", 0, 1 << 23},
    [VK_START_JUDGE] = {"evaluations on the way", 1 << 23, 1 << 23},
    [VK_START_PRACTICE] = {"practice", 1 << 24, 1 << 24},
    [VK_START_DAGGER] = {"dagger", 1 << 25, VK_START_STRIDE - (1 << 25)},
    [VK_START_REPLACED] = {"replacements", VK_START_STRIDE, VK_START_REPLACED_MAX *VK_START_STRIDE},
};

int vk_start_row(vk_start_use use, int64_t i)
{
  const vk_start_range *r = &vk_start_ranges[use];
  VK_ASSERT(i >= 0 && i < r->n);
  return (int)(r->first + i);
}

uint64_t vk_start_key(const char *task_id, int row)
{
  char text[VK_PACK_TASK_ID_SIZE + 16], hex[65];
  snprintf(text, sizeof text, "%s %d", task_id, row);
  vk_sha256_hex(text, strlen(text), hex);
  hex[16] = '\0';
  return strtoull(hex, NULL, 16);
}

/* The states that an environment is to be set to, after its resets. */
static vk_status state_sampled(vk_env *env, const vk_start *start, double *state, vk_err *err)
{
  const vk_scene *scene = vk_env_scene(env);
  uint64_t stream = start->rows == VK_ROWS_HELD_OUT ? stream_held_out : stream_reset;
  vk_philox rng;
  vk_philox_init(&rng, vk_start_key(scene->id, start->row), stream + start->seed);
  vk_env_seed(env, vk_philox_u32(&rng));
  VK_TRY(vk_env_reset(env, err));
  vk_env_get_state(env, state);
  memset(state + 1 + scene->model->nq, 0, sizeof *state * (size_t)scene->model->nv);
  state[0] = 0;
  for (int i = 0; i < VK_N_ARM; i++)
    state[1 + scene->arm_qpos + i] += arm_noise_rad * vk_philox_normal(&rng);
  return VK_OK;
}

static vk_status state_row(vk_env *env, const vk_start *start, double *state, vk_err *err)
{
  const vk_scene *scene = vk_env_scene(env);
  /* first, because a row that is not there may be the two thousand millionth */
  VK_TRY(vk_pack_init_row(scene->pack, scene->task, (uint32_t)start->row, state, err));
  vk_env_seed(env, start->seed);
  VK_TRY(vk_env_skip_resets(env, start->row / start->protocol->n_parallel, err));
  return vk_env_reset(env, err);
}

vk_status vk_start_env_perturbed(vk_env *env, const vk_start *start, vk_perturb perturb,
                                 vk_err *err)
{
  const vk_scene *scene = vk_env_scene(env);
  int n = scene->n_state;
  double *state = malloc(sizeof *state * (size_t)n);
  if (!state)
    return vk_fail(err, VK_E_NOMEM, "no memory for a state of %d numbers", n);
  vk_status st = start->rows == VK_ROWS_EVAL ? state_row(env, start, state, err)
                                             : state_sampled(env, start, state, err);
  if (st == VK_OK && perturb == VK_PERTURB_POSITION)
    st = vk_perturb_position(env, vk_start_key(scene->id, start->row), start->seed, state, err);
  if (st == VK_OK)
    st = vk_env_set_state(env, state, n, err);
  free(state);
  return st;
}

vk_status vk_start_env(vk_env *env, const vk_start *start, vk_err *err)
{
  return vk_start_env_perturbed(env, start, VK_PERTURB_NONE, err);
}
