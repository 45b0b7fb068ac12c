#include "rl/rl_graph.h"

#include "nn/model_nano.h"
#include "nn/op.h"

enum { TOKENS = VK_NANO_STEPS * VK_NANO_DIMS };

/* An input of `per` numbers a row. */
static vk_id input(vk_graph *g, const char *name, vk_dtype dtype, int64_t per)
{
  int64_t n = g->sym_cap[VK_NANO_BATCH];
  return vk_graph_input(g, name, dtype, vk_shape_of(1, (int)(n * per)),
                        vk_graph_extent(VK_NANO_BATCH, per, 0));
}

static vk_id scalar(vk_graph *g, const char *name)
{
  return vk_graph_input(g, name, VK_F32, vk_shape_of(1, 1), VK_NO_EXTENT);
}

static vk_id value_input(vk_graph *g, const char *name)
{
  return vk_graph_input(g, name, VK_F32,
                        vk_shape_of(2, (int)g->sym_cap[VK_NANO_BATCH], VK_NANO_STEPS),
                        vk_graph_extent(VK_NANO_BATCH, 1, 0));
}

static void add_critic(vk_graph *g, vk_policy_loss_in *in)
{
  in->value = vk_graph_find_output(g, "value");
  if (in->value == VK_NONE)
    return;
  in->value_old = value_input(g, "value_old");
  in->returns = value_input(g, "return");
  in->value_weight = value_input(g, "value_weight");
  in->value_norm = scalar(g, "value_norm");
}

void vk_rl_graph_extend(vk_graph *g, const void *arg)
{
  const vk_rl_graph *p = arg;
  vk_id logits = vk_graph_find_output(g, "logits");
  vk_policy_loss_in in = {.value = VK_NONE, .entropy = VK_NONE};
  vk_graph_place(g, "policy");
  vk_id action = input(g, "action", VK_I32, TOKENS);
  in.logp = VK_APPLY(g, log_prob, VK_IN(logits, action), .scale = 1 / p->temperature);
  in.logp_old = input(g, "logp_old", VK_F32, TOKENS);
  in.adv = input(g, "adv", VK_F32, TOKENS / p->loss.group);
  in.weight = input(g, "weight", VK_F32, TOKENS / p->loss.group);
  in.norm = scalar(g, "norm");
  add_critic(g, &in);
  vk_id entropy = VK_APPLY(g, entropy, VK_IN(logits), .scale = 1 / p->temperature);
  if (p->loss.entropy_bonus != 0) {
    in.entropy = entropy;
    in.entropy_weight = input(g, "entropy_weight", VK_F32, TOKENS);
    in.entropy_norm = scalar(g, "entropy_norm");
  }
  const vk_policy_loss_out out = vk_policy_loss_build(g, &p->loss, &in);
  vk_graph_output(g, "logp", in.logp);
  vk_graph_output(g, "entropy", entropy);
  vk_graph_output(g, "loss", out.total);
  vk_graph_output(g, "loss_actor", out.actor);
  if (out.critic != VK_NONE)
    vk_graph_output(g, "loss_critic", out.critic);
  if (out.entropy != VK_NONE)
    vk_graph_output(g, "loss_entropy", out.entropy);
}

void vk_scaled_loss_extend(vk_graph *g, const void *arg)
{
  const float one = 1;
  vk_graph_place(g, "loss");
  vk_id norm = vk_graph_const(g, "one", VK_F32, vk_shape_of(1, 1), &one);
  vk_id loss =
      VK_APPLY(g, weighted_mean, VK_IN(vk_graph_find_output(g, "loss"), scalar(g, "share"), norm));
  vk_graph_output(g, "loss_scaled", loss);
}
