#include "rl/start.h"

#include <math.h>
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

/* LIBERO's init rows are chosen from more samples; a reset itself also puts objects into each
 * other, which then throw each other over the table (in one of eight episodes of libero_spatial/0).
 * A reset is drawn again when something is pushed further, or turned more, than these before the
 * robot moves. */
static const double pushed_m = 0.1, turned_rad = 0.3;
enum { DRAWS = 20 }; /* the last one is taken as it is */

/* Angle between two orientations. */
static double turn_rad(const double a[4], const double b[4])
{
  double dot = 0;
  for (int k = 0; k < 4; k++)
    dot += a[k] * b[k];
  return 2 * acos(fmin(fabs(dot), 1));
}

/* Whether objects stay about where they are in `state` while the protocol waits. Moves env. */
static vk_status stands(vk_env *env, const vk_protocol *protocol, const double *state,
                        double *after /* [n_state] for what comes of it */, bool *out, vk_err *err)
{
  const vk_scene *scene = vk_env_scene(env);
  vk_step step;
  *out = true;
  VK_TRY(vk_env_set_state(env, state, scene->n_state, err));
  for (int i = 0; i < protocol->n_dummy && *out; i++) {
    vk_status st = vk_env_step(env, protocol->dummy, &step, err);
    *out = st == VK_OK && !step.unstable;
    if (st != VK_OK && st != VK_E_SIM)
      return st;
  }
  vk_env_get_state(env, after);
  for (int i = 0; i < scene->n_object && *out; i++) {
    int adr = 1 + scene->instance[i].qpos_adr;
    const double *a = state + adr, *b = after + adr;
    *out = hypot(b[0] - a[0], b[1] - a[1]) <= pushed_m && turn_rad(a + 3, b + 3) <= turned_rad;
  }
  return VK_OK;
}

/* The same, leaving env as it was. */
static vk_status try_state(vk_env *env, const vk_protocol *protocol, const double *state, bool *out,
                           vk_err *err)
{
  size_t size = vk_env_snapshot_size(env);
  void *before = malloc(size);
  double *after = malloc(sizeof *after * (size_t)vk_env_scene(env)->n_state);
  vk_status st = before && after ? VK_OK : vk_fail(err, VK_E_NOMEM, "no memory for a reset");
  if (st == VK_OK) {
    vk_env_save(env, before);
    st = stands(env, protocol, state, after, out, err);
  }
  if (st == VK_OK)
    st = vk_env_load(env, before, size, err);
  free(before);
  free(after);
  return st;
}

/* The next reset of env, at rest, its arm moved. */
static vk_status draw_state(vk_env *env, vk_philox *rng, double *state, vk_err *err)
{
  const vk_scene *scene = vk_env_scene(env);
  VK_TRY(vk_env_reset(env, err));
  vk_env_get_state(env, state);
  memset(state + 1 + scene->model->nq, 0, sizeof *state * (size_t)scene->model->nv);
  state[0] = 0;
  for (int i = 0; i < VK_N_ARM; i++)
    state[1 + scene->arm_qpos + i] += arm_noise_rad * vk_philox_normal(rng);
  return VK_OK;
}

/* The states that an environment is to be set to, after its resets. */
static vk_status state_sampled(vk_env *env, const vk_start *start, double *state, vk_err *err)
{
  const vk_scene *scene = vk_env_scene(env);
  uint64_t stream = start->rows == VK_ROWS_HELD_OUT ? stream_held_out : stream_reset;
  vk_philox rng;
  vk_philox_init(&rng, vk_start_key(scene->id, start->row), stream + start->seed);
  vk_env_seed(env, vk_philox_u32(&rng));
  bool is_good = false;
  for (int i = 0; i < DRAWS && !is_good; i++) {
    VK_TRY(draw_state(env, &rng, state, err));
    VK_TRY(try_state(env, start->protocol, state, &is_good, err));
  }
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
