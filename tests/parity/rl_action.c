/* rl_action.c - bins, actions, statistics, grippers. */
#include <math.h>

#include "nn/action_codec.h"
#include "rl.h"

/* A token is the vocabulary's size - 1 - bin. */
static int64_t token_of(const rl_file *f, double x)
{
  return (int64_t)rl_num(f, "vocab_size", 32000) - 1 - vk_action_bin(x);
}

static vk_status compare_tokens(rl_file *f, const char *in, const char *out, bool is_f32,
                                vk_err *err)
{
  int64_t n = rl_n_item(f, in), *got;
  const double *x64 = NULL;
  const float *x32 = NULL;
  if (!rl_has(f, in))
    return VK_OK;
  if (is_f32)
    VK_TRY(rl_f32(f, in, n, &x32, err));
  else
    VK_TRY(rl_f64(f, in, n, &x64, err));
  RL_NEW(f, got, n, err);
  for (int64_t i = 0; i < n; i++)
    got[i] = token_of(f, x32 ? (double)x32[i] : x64[i]);
  rl_compare_i64(f, out, got, n);
  return VK_OK;
}

static vk_status compare_bins(rl_file *f, vk_err *err)
{
  double edge[VK_ACTION_N_BIN], centre[VK_ACTION_N_BIN], *decoded;
  const int64_t *id;
  int64_t n = rl_n_item(f, "decode_ids"), vocab = (int64_t)rl_num(f, "vocab_size", 32000);
  for (int b = 0; b < VK_ACTION_N_BIN; b++) {
    edge[b] = vk_action_edge(b);
    centre[b] = vk_action_centre(b);
  }
  rl_compare(f, "bins", edge, VK_ACTION_N_BIN, 0);
  rl_compare(f, "bin_centers", centre, VK_ACTION_N_BIN - 1, 0);
  VK_TRY(rl_i64(f, "decode_ids", n, &id, err));
  RL_NEW(f, decoded, n, err);
  for (int64_t i = 0; i < n; i++)
    decoded[i] = vk_action_centre(vocab - 1 - id[i]);
  rl_compare(f, "decode_out", decoded, n, 0);
  VK_TRY(compare_tokens(f, "encode_in_f64", "encode_out_f64", false, err));
  VK_TRY(compare_tokens(f, "encode_in_f32", "encode_out_f32", true, err));
  return compare_tokens(f, "encode_edge_in", "encode_edge_out", false, err);
}

static vk_status read_stats(rl_file *f, vk_action_stats *s, const char *low, const char *high,
                            vk_err *err)
{
  int64_t n = rl_n_item(f, low);
  const double *lo, *hi;
  const uint8_t *mask = NULL;
  if (n < 1 || n > VK_ACTION_DIM_MAX)
    return vk_fail(err, VK_E_SHAPE, "statistics of %lld dimensions", (long long)n);
  VK_TRY(rl_f64(f, low, n, &lo, err));
  VK_TRY(rl_f64(f, high, n, &hi, err));
  if (rl_has(f, "mask") && n == rl_n_item(f, "mask"))
    VK_TRY(rl_flags(f, "mask", n, &mask, err));
  s->n_dim = (int)n;
  for (int i = 0; i < s->n_dim; i++) {
    s->low[i] = lo[i];
    s->high[i] = hi[i];
    s->is_scaled[i] = !mask || mask[i];
  }
  return VK_OK;
}

/* OpenVLA's own numbers lack the 1e-8 of the range: at most that much apart. */
static vk_status compare_chunks(rl_file *f, vk_err *err)
{
  int64_t n = rl_n_item(f, "chunk_ids"), vocab = (int64_t)rl_num(f, "vocab_size", 32000);
  const int64_t *id;
  int32_t *bin;
  double *got;
  vk_action_stats s, quantiles;
  bool is_quantile = rl_is(f, "normalization", "bounds_q99");
  VK_TRY(rl_i64(f, "chunk_ids", n, &id, err));
  VK_TRY(read_stats(f, &s, is_quantile ? "q01" : "min", is_quantile ? "q99" : "max", err));
  VK_TRY(read_stats(f, &quantiles, "q01", "q99", err));
  if (n % s.n_dim || quantiles.n_dim != s.n_dim)
    return vk_fail(err, VK_E_SHAPE, "chunks are no rows of %d", s.n_dim);
  RL_NEW(f, bin, n, err);
  RL_NEW(f, got, n, err);
  for (int64_t i = 0; i < n; i++)
    bin[i] = (int32_t)(vocab - 1 - id[i]);
  vk_action_decode(&quantiles, n / s.n_dim, bin, got);
  rl_compare(f, "chunk_actions_openvla", got, n, 2e-8);
  vk_action_decode(&s, n / s.n_dim, bin, got);
  rl_compare(f, "chunk_actions", got, n, 0);
  for (int64_t i = s.n_dim - 1; i < n; i += s.n_dim)
    got[i] = vk_action_gripper_to_libero(got[i]);
  rl_compare(f, "chunk_actions_libero", got, n, 0);
  return VK_OK;
}

vk_status rl_action(rl_file *f, vk_err *err)
{
  const double *x;
  double *got;
  int64_t n = rl_n_item(f, "gripper_in");
  vk_action_stats s;
  VK_TRY(compare_bins(f, err));
  VK_TRY(compare_chunks(f, err));
  if (rl_has(f, "gripper_in")) {
    VK_TRY(rl_f64(f, "gripper_in", n, &x, err));
    RL_NEW(f, got, n, err);
    for (int64_t i = 0; i < n; i++)
      got[i] = vk_action_gripper_to_libero(x[i]);
    rl_compare(f, "gripper_libero", got, n, 0);
  }
  if (!rl_has(f, "proprio_in"))
    return VK_OK;
  n = rl_n_item(f, "proprio_in");
  VK_TRY(rl_f64(f, "proprio_in", n, &x, err));
  VK_TRY(read_stats(f, &s, "proprio_q01", "proprio_q99", err));
  RL_NEW(f, got, n, err);
  for (int64_t i = 0; i < n; i++)
    got[i] = vk_action_scale(&s, (int)(i % s.n_dim), x[i]);
  rl_compare(f, "proprio_out", got, n, 0);
  f->note = "WidowX's gripper is of a robot that is not here";
  return VK_OK;
}
