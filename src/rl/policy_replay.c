/* policy_replay.c - actions from a file, open loop: a recording's `step_action`, or any array of
 * seven numbers a step. After the last one the arm stands still with the gripper as it was. */
#include <stdlib.h>
#include <string.h>

#include "core/npy.h"
#include "rl/policy.h"

static const uint64_t file_bytes_max = (uint64_t)1 << 30;

typedef struct replay_policy {
  int n_step;
  double *action; /* [n_step, 7] */
} replay_policy;

static void close_replay(void *state)
{
  replay_policy *p = state;
  if (p)
    free(p->action);
  free(p);
}

/* The array of actions: `step_action`, `actions` or `action`, else the only one of seven columns.
 */
static const vk_array *find_actions(const vk_npz *npz)
{
  static const char *const name[] = {"step_action", "actions", "action"};
  for (size_t i = 0; i < VK_COUNT(name); i++)
    if (vk_npz_find(npz, name[i]))
      return vk_npz_find(npz, name[i]);
  if (npz->n_array == 1)
    return &npz->array[0];
  const vk_array *found = NULL;
  for (int i = 0; i < npz->n_array; i++) {
    const vk_array *a = &npz->array[i];
    if (a->n_dim != 2 || a->shape[1] != VK_N_ACTION)
      continue;
    if (found)
      return NULL;
    found = a;
  }
  return found;
}

/* A recording of the benchmark begins with the waiting steps, which the protocol makes itself. */
static int64_t n_dummy_of(const vk_npz *npz)
{
  const vk_array *a = vk_npz_find(npz, "n_dummy");
  if (!a || a->n_item != 1 || (a->kind != 'i' && a->kind != 'u'))
    return 0;
  if (a->item_size == 8)
    return *(const int64_t *)a->data;
  return a->item_size == 4 ? *(const int32_t *)a->data : 0;
}

static vk_status read_actions(replay_policy *p, const vk_npz *npz, const char *path, vk_err *err)
{
  const vk_array *a = find_actions(npz);
  if (!a && vk_npz_find(npz, "meta"))
    return vk_fail(err, VK_E_FORMAT,
                   "policy replay: %s holds demonstrations, each with a start of its own: `vlakit "
                   "demos check` replays them, this policy plays one array of actions",
                   path);
  if (!a)
    return vk_fail(
        err, VK_E_NOTFOUND,
        "policy replay: %s holds no array step_action, actions or action, and not exactly "
        "one of shape (T, 7)",
        path);
  char shape[VK_NPY_SHAPE_SIZE];
  if (a->n_dim != 2 || a->shape[1] != VK_N_ACTION || a->shape[0] < 1 || a->shape[0] > INT32_MAX)
    return vk_fail(err, VK_E_SHAPE,
                   "policy replay: %s: actions have the shape %s, expected (T, 7): six pose "
                   "commands and the gripper a step",
                   path, vk_array_shape_text(a, shape));
  if (a->kind != 'f' || (a->item_size != 8 && a->item_size != 4))
    return vk_fail(err, VK_E_FORMAT,
                   "policy replay: %s: actions are of type %c%d, expected f4 or f8", path, a->kind,
                   a->item_size);
  int64_t n_skip = n_dummy_of(npz);
  if (n_skip < 0 || n_skip >= a->shape[0])
    return vk_fail(err, VK_E_RANGE, "policy replay: %s: n_dummy is %lld of %lld actions", path,
                   (long long)n_skip, (long long)a->shape[0]);
  p->n_step = (int)(a->shape[0] - n_skip);
  size_t n_item = (size_t)p->n_step * VK_N_ACTION, first = (size_t)n_skip * VK_N_ACTION;
  p->action = malloc(sizeof *p->action * n_item);
  if (!p->action)
    return vk_fail(err, VK_E_NOMEM, "policy replay: no memory for %d actions", p->n_step);
  for (size_t i = 0; i < n_item; i++)
    p->action[i] = a->item_size == 8 ? ((const double *)a->data)[first + i]
                                     : ((const float *)a->data)[first + i];
  return VK_OK;
}

static vk_status open_replay(void **state, const vk_policy_args *args, vk_err *err)
{
  vk_npz npz = {0};
  vk_array array = {0};
  replay_policy *p = calloc(1, sizeof *p);
  if (!p)
    return vk_fail(err, VK_E_NOMEM, "policy replay: no memory");
  const char *path = args->argument;
  size_t n = strlen(path);
  bool is_npy = n > 4 && strcmp(path + n - 4, ".npy") == 0;
  vk_status st = is_npy ? vk_npy_read(&array, path, file_bytes_max, err)
                        : vk_npz_read(&npz, path, file_bytes_max, err);
  if (st == VK_OK) {
    const vk_npz plain = {1, &array};
    st = read_actions(p, is_npy ? &plain : &npz, path, err);
  }
  vk_array_free(&array);
  vk_npz_free(&npz);
  if (st != VK_OK)
    close_replay(p);
  else
    *state = p;
  return st;
}

static vk_status begin(void *state, const vk_policy_obs *obs, uint64_t episode, vk_err *err)
{
  return VK_OK;
}

static vk_status act(void *state, int n, const vk_policy_obs *obs, double *action, vk_err *err)
{
  const replay_policy *p = state;
  for (int i = 0; i < n; i++) {
    double *out = action + VK_N_ACTION * i;
    int t = obs[i].i_step;
    if (t < p->n_step) {
      memcpy(out, p->action + VK_N_ACTION * t, sizeof *out * VK_N_ACTION);
      continue;
    }
    memset(out, 0, sizeof *out * VK_N_ACTION);
    out[VK_N_ACTION - 1] = p->action[VK_N_ACTION * p->n_step - 1];
  }
  return VK_OK;
}

static void identify(const void *state, vk_sha256 *hash)
{
  const replay_policy *p = state;
  vk_sha256_add(hash, p->action, sizeof *p->action * VK_N_ACTION * (size_t)p->n_step);
}

const vk_policy_def vk_policy_replay = {
    .name = "replay",
    .help = "actions from an .npz or .npy file, open loop",
    .argument = "FILE",
    .open = open_replay,
    .close = close_replay,
    .begin = begin,
    .act = act,
    .identify = identify,
};
