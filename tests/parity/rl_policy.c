/* rl_policy.c - logits to log-probabilities, entropies and greedy choices, by the engine's ops. */
#include <math.h>

#include "rl.h"

typedef struct logits {
  int64_t n_row, n_vocab, n_bin,
      first; /* rows of logits; ids of actions are first + 0 .. n_bin-1 */
  int64_t top_k;
  double scale;
  const float *all;
  float *x, *kept; /* [n_row, n_bin] of actions; kept: -inf below the top k of the vocabulary */
  const float *weight;
  int32_t *drawn, *greedy;
} logits;

static vk_status read_all(rl_file *f, logits *l, vk_err *err)
{
  const int64_t *tokens;
  l->first = (int64_t)rl_num(f, "action_token_first", 0);
  l->n_bin = (int64_t)rl_num(f, "n_action_bins", 256);
  l->n_vocab = rl_dim(f, "logits", 2);
  l->n_row = rl_dim(f, "logits", 0) * rl_dim(f, "logits", 1);
  l->top_k = (int64_t)fmax(rl_num(f, "top_k", 0), 0);
  l->scale = 1 / rl_num(f, "temperature", 1);
  if (l->first < 0 || l->n_bin < 1 || l->first + l->n_bin > l->n_vocab || !(l->scale > 0))
    return vk_fail(err, VK_E_SHAPE, "the ids of actions are not in the vocabulary");
  VK_TRY(rl_f32(f, "logits", l->n_row * l->n_vocab, &l->all, err));
  VK_TRY(rl_i64(f, "sampled_tokens", l->n_row, &tokens, err));
  VK_TRY(rl_f32(f, "grad_weight", l->n_row, &l->weight, err));
  RL_NEW(f, l->x, l->n_row * l->n_bin, err);
  RL_NEW(f, l->kept, l->n_row * l->n_bin, err);
  RL_NEW(f, l->drawn, l->n_row, err);
  RL_NEW(f, l->greedy, l->n_row, err);
  for (int64_t i = 0; i < l->n_row; i++) {
    l->drawn[i] = (int32_t)(tokens[i] - l->first);
    const float *row = l->all + i * l->n_vocab;
    for (int64_t j = 0; j < l->n_bin; j++) {
      float x = row[l->first + j];
      int64_t n_above = 0;
      for (int64_t k = 0; k < l->n_vocab && l->top_k; k++)
        n_above += row[k] > x;
      l->x[i * l->n_bin + j] = x;
      l->kept[i * l->n_bin + j] = l->top_k && n_above >= l->top_k ? -INFINITY : x;
    }
  }
  return VK_OK;
}

/* Graph of log_prob and entropy over parameter "logits"; loss: "logp" or "entropy" to
 * differentiate, summed with weights. */
static vk_status open_run(rl_file *f, const logits *l, double scale, int64_t top_k,
                          const char *loss, rl_run *r, vk_err *err)
{
  vk_graph g;
  float one = 1;
  int row = (int)l->n_row;
  vk_graph_init(&g, "logits");
  vk_id x = vk_graph_param(&g, "logits", vk_shape_of(2, row, (int)l->n_bin));
  vk_id action = vk_graph_input(&g, "action", VK_I32, vk_shape_of(1, row), VK_NO_EXTENT);
  vk_id weight = vk_graph_input(&g, "weight", VK_F32, vk_shape_of(1, row), VK_NO_EXTENT);
  vk_id norm = vk_graph_const(&g, "one", VK_F32, vk_shape_of(1, 1), &one);
  vk_id logp = VK_APPLY(&g, log_prob, VK_IN(x, action), .scale = scale, .count = top_k);
  vk_id entropy = VK_APPLY(&g, entropy, VK_IN(x), .scale = scale, .count = top_k);
  vk_graph_output(&g, "logp", logp);
  vk_graph_output(&g, "entropy", entropy);
  vk_graph_output(&g, "greedy", VK_APPLY(&g, argmax, VK_IN(x)));
  if (loss) {
    vk_id y = strcmp(loss, "logp") == 0 ? logp : entropy;
    vk_graph_output(&g, "sum", VK_APPLY(&g, weighted_mean, VK_IN(y, weight, norm)));
  }
  return rl_run_open(f, r, &g, loss ? "sum" : NULL, err);
}

static void run(const logits *l, const rl_run *r, const float *x, const int32_t *action)
{
  rl_run_set(r, "logits", x, l->n_row * l->n_bin, sizeof *x);
  rl_run_set(r, "action", action, l->n_row, sizeof *action);
  rl_run_set(r, "weight", l->weight, l->n_row, sizeof *l->weight);
  VK_ASSERT(vk_exec_prepare(r->exec, NULL) == VK_OK);
  VK_ASSERT(vk_exec_run(r->exec, NULL) == VK_OK);
}

/* Of the rollout: all actions' log-probabilities, those of the drawn ones, the greedy ones. */
static vk_status compare_rollout(rl_file *f, logits *l, vk_err *err)
{
  rl_run r;
  int64_t *ids;
  float *every;
  RL_NEW(f, ids, l->n_row, err);
  RL_NEW(f, every, l->n_row * l->n_bin, err);
  VK_TRY(open_run(f, l, l->scale, l->top_k, NULL, &r, err));
  for (int64_t j = 0; j < l->n_bin; j++) {
    for (int64_t i = 0; i < l->n_row; i++)
      l->greedy[i] = (int32_t)j;
    run(l, &r, l->x, l->greedy);
    const float *logp = rl_run_data(&r, "logp");
    for (int64_t i = 0; i < l->n_row; i++)
      every[i * l->n_bin + j] = logp[i];
  }
  rl_compare_f32(f, "rollout_logprobs_all", every, l->n_row * l->n_bin, 5e-6);
  run(l, &r, l->x, l->drawn);
  rl_compare_f32(f, "rollout_logprobs", rl_run_data(&r, "logp"), l->n_row, 5e-6);
  memcpy(l->greedy, rl_run_data(&r, "greedy"), (size_t)l->n_row * sizeof *l->greedy);
  rl_run_close(&r);
  for (int64_t i = 0; i < l->n_row; i++)
    ids[i] = l->first + l->greedy[i];
  rl_compare_i64(f, "greedy_tokens", ids, l->n_row);
  VK_TRY(open_run(f, l, 1, 0, NULL, &r, err)); /* whatever temperature and top-k are */
  run(l, &r, l->x, l->greedy);
  rl_compare_f32(f, "greedy_logprobs", rl_run_data(&r, "logp"), l->n_row, 5e-6);
  rl_run_close(&r);
  return VK_OK;
}

/* Of training: the published top-k goes over the whole vocabulary. Ours is that of the rollout,
 * which agrees where the k greatest logits are of actions; else it is applied to the logits here.
 */
static vk_status compare_training(rl_file *f, const logits *l, vk_err *err)
{
  rl_run r;
  uint8_t *skip;
  int64_t n = l->n_row * l->n_bin;
  RL_NEW(f, skip, n, err);
  VK_TRY(open_run(f, l, l->scale, 0, "logp", &r, err));
  run(l, &r, l->kept, l->drawn);
  const float *logp = rl_run_data(&r, "logp");
  for (int64_t i = 0; i < n; i++)
    skip[i] = logp[i / l->n_bin] == -INFINITY;
  rl_compare_f32(f, "train_logprobs", logp, l->n_row, 5e-6);
  rl_compare_f32(f, "train_entropy", rl_run_data(&r, "entropy"), l->n_row, 5e-6);
  rl_compare_some(f, "grad_logits_of_logprobs", rl_run_data(&r, "grad.logits"), n, skip, 2e-6);
  rl_run_close(&r);
  VK_TRY(open_run(f, l, l->scale, 0, "entropy", &r, err));
  run(l, &r, l->x, l->drawn);
  rl_compare_f32(f, "grad_logits_of_entropy", rl_run_data(&r, "grad.logits"), n, 2e-6);
  rl_run_close(&r);
  bool is_same = true;
  for (int64_t i = 0; i < l->n_row && l->top_k; i++) {
    int64_t n_kept = 0;
    for (int64_t j = 0; j < l->n_bin; j++)
      n_kept += isfinite(l->kept[i * l->n_bin + j]);
    is_same = is_same && n_kept >= l->top_k;
  }
  if (!is_same) {
    f->note = "top-k over the vocabulary, as published, applied before";
    return VK_OK;
  }
  VK_TRY(open_run(f, l, l->scale, l->top_k, "logp", &r, err));
  run(l, &r, l->x, l->drawn);
  rl_compare_f32(f, "train_logprobs", rl_run_data(&r, "logp"), l->n_row, 5e-6);
  rl_compare_f32(f, "train_entropy", rl_run_data(&r, "entropy"), l->n_row, 5e-6);
  rl_compare_some(f, "grad_logits_of_logprobs", rl_run_data(&r, "grad.logits"), n, skip, 2e-6);
  rl_run_close(&r);
  return VK_OK;
}

vk_status rl_policy(rl_file *f, vk_err *err)
{
  logits l = {0};
  VK_TRY(read_all(f, &l, err));
  VK_TRY(compare_rollout(f, &l, err));
  return compare_training(f, &l, err);
}
