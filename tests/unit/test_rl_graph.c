/* test_rl_graph.c - what policy-gradient training adds to a network: its log-probabilities have
 * the bits of those with which actions are drawn, so that the ratio is 1 before the first step. */
#include "test.h"

#include "nano_small.h"
#include "nn/op.h"
#include "rl/rl_graph.h"

enum { N = 3, TOKENS = VK_NANO_STEPS * VK_NANO_DIMS, PIXELS = VK_NANO_PX * VK_NANO_PX * 3 };

static const char *const text[] = {"pick up the bowl", "open the drawer"};

typedef struct scene {
  uint8_t image[N][2][PIXELS];
  float proprio[N][VK_NANO_PROPRIO];
  vk_nano_obs obs[N];
} scene;

static scene *new_scene(void)
{
  vk_philox rng;
  scene *s = calloc(1, sizeof *s);
  assert_non_null(s);
  vk_philox_init(&rng, 4, 0);
  for (int i = 0; i < N; i++) {
    for (int k = 0; k < 2 * PIXELS; k++)
      s->image[i][k / PIXELS][k % PIXELS] = (uint8_t)vk_philox_u32(&rng);
    for (int k = 0; k < VK_NANO_PROPRIO; k++)
      s->proprio[i][k] = (float)vk_philox_normal(&rng);
    s->obs[i] = (vk_nano_obs){{s->image[i][0], s->image[i][1]}, s->proprio[i], i == 1};
  }
  return s;
}

/* Draws as rollouts do: log_prob of what sample draws, on the graph of PART_ACT. */
static void extend_draw(vk_graph *g, const void *arg)
{
  const vk_rl_graph *p = arg;
  vk_id logits = vk_graph_find_output(g, "logits");
  vk_id bin = VK_APPLY(g, sample, VK_IN(logits), .scale = 1 / p->temperature, .seed = 5);
  vk_graph_output(g, "drawn", bin);
  vk_graph_output(g, "logp",
                  VK_APPLY(g, log_prob, VK_IN(logits, bin), .scale = 1 / p->temperature));
}

static void draw(const vk_model *m, const vk_params *p, const vk_rl_graph *graph, scene *s,
                 int n_thread, bool is_bf16, int32_t *bin, float *logp, float *value)
{
  vk_err err = VK_ERR_INIT;
  vk_team *team;
  vk_net words, act;
  int n_word[2];
  vk_target target = {.isa = small_isa(), .n_thread = n_thread, .is_bf16 = is_bf16};
  vk_assert_ok(vk_team_new(&team, n_thread, &err), &err);
  vk_assert_ok(vk_net_new(&words, m, &(vk_model_args){.part = VK_PART_TEXT, .n_batch = 2}, &target,
                          p, NULL, VK_CPU(team), NULL, &err),
               &err);
  const vk_model_args args = {.part = VK_PART_ACT,
                              .n_batch = N,
                              .with_value = true,
                              .extend = extend_draw,
                              .extend_arg = graph};
  vk_assert_ok(vk_net_new(&act, m, &args, &target, p, NULL, VK_CPU(team), NULL, &err), &err);
  vk_assert_ok(vk_nano_set_text(words.exec, &words.plan->graph, text, 2, n_word, &err), &err);
  vk_assert_ok(vk_exec_run(words.exec, NULL), NULL);
  int n_all = n_word[0] + n_word[1];
  vk_exec_set_size(act.exec, VK_NANO_TEXT, 2);
  vk_exec_set_size(act.exec, VK_NANO_WORD, n_all);
  memcpy(vk_net_data(&act, "text"), vk_net_data(&words, "text"),
         sizeof(float) * 32 * (size_t)n_all);
  memcpy(vk_net_data(&act, "text_vec"), vk_net_data(&words, "text_vec"), sizeof(float) * 32 * 2);
  /* one by one: a decision does not know its batch */
  for (int i = 0; i < N; i++) {
    vk_assert_ok(vk_nano_set_obs(act.exec, &act.plan->graph, &s->obs[i], 1, n_word, 2, &err), &err);
    vk_assert_ok(vk_exec_run(act.exec, NULL), NULL);
    memcpy(bin + i * TOKENS, vk_net_data(&act, "drawn"), sizeof *bin * TOKENS);
    memcpy(logp + i * TOKENS, vk_net_data(&act, "logp"), sizeof *logp * TOKENS);
    memcpy(value + i * VK_NANO_STEPS, vk_net_data(&act, "value"), sizeof *value * VK_NANO_STEPS);
  }
  vk_net_free(&words);
  vk_net_free(&act);
  vk_team_free(team);
}

static void learn(const vk_model *m, const vk_params *p, const vk_rl_graph *graph, scene *s,
                  int n_thread, bool is_bf16, const int32_t *bin, float *logp, float *value)
{
  vk_err err = VK_ERR_INIT;
  vk_team *team;
  vk_net net;
  int n_word[2];
  float *grad;
  vk_assert_ok(vk_params_block(p, &grad, NULL), NULL);
  vk_target target = {.isa = small_isa(),
                      .n_thread = n_thread,
                      .is_train = true,
                      .loss = "loss",
                      .accumulate = true,
                      .is_bf16 = is_bf16};
  const vk_model_args args = {
      .n_batch = N + 1, .with_value = true, .extend = vk_rl_graph_extend, .extend_arg = graph};
  vk_assert_ok(vk_team_new(&team, n_thread, &err), &err);
  vk_assert_ok(vk_net_new(&net, m, &args, &target, p, grad, VK_CPU(team), NULL, &err), &err);
  vk_assert_ok(vk_nano_set_text(net.exec, &net.plan->graph, text, 2, n_word, &err), &err);
  vk_assert_ok(vk_nano_set_obs(net.exec, &net.plan->graph, s->obs, N, n_word, 2, &err), &err);
  memcpy(vk_net_data(&net, "action"), bin, sizeof *bin * N * TOKENS);
  vk_assert_ok(vk_exec_run(net.exec, NULL), NULL);
  memcpy(logp, vk_net_data(&net, "logp"), sizeof *logp * N * TOKENS);
  memcpy(value, vk_net_data(&net, "value"), sizeof *value * N * VK_NANO_STEPS);
  vk_net_free(&net);
  free(grad);
  vk_team_free(team);
}

static void test_same_log_probs(void **state)
{
  vk_model m;
  vk_params p;
  scene *s = new_scene();
  vk_rl_graph graph = {.loss = vk_policy_loss_default(), .temperature = 1.6};
  graph.loss.entropy_bonus = 1;
  small_open(&m, &p, 1);
  for (int k = 0; k < 4; k++) {
    int32_t bin[N * TOKENS];
    float drawn[N * TOKENS], now[N * TOKENS], value[N * VK_NANO_STEPS],
        value_now[N * VK_NANO_STEPS];
    bool is_bf16 = k >= 2;
    draw(&m, &p, &graph, s, 1, is_bf16, bin, drawn, value);
    learn(&m, &p, &graph, s, 1 + k % 2, is_bf16, bin, now, value_now);
    for (int i = 0; i < N * TOKENS; i++) {
      assert_true(drawn[i] < 0 && drawn[i] > -20);
      vk_assert_same_bits(now[i], drawn[i]);
    }
    for (int i = 0; i < N * VK_NANO_STEPS; i++)
      vk_assert_same_bits(value_now[i], value[i]);
  }
  vk_params_free(&p);
  free(s);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_log_probs)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
