/* test_bf16_reference.c - a network in bfloat16 against double precision that rounds at the same
 * points: factors of products by weights and for gradients of weights, as pass bf16 says. What is
 * left begins with f32's own rounding, which moves a number now and then over the border between
 * two of bfloat16: 2e-3 in the mean of all tensors, where a reference that does not round is 6e-3
 * away, so that what rounds elsewhere, or not, shows. */
#include "test.h"

#include <math.h>

#include "core/half.h"
#include "graph_net.h"
#include "nano_small.h"

enum { N_SAMPLE = 3, N_PIXEL = VK_NANO_PX * VK_NANO_PX * 3, TERMS_MIN = 16 };

static uint8_t image[N_SAMPLE][2 * N_PIXEL];
static float proprio[N_SAMPLE][VK_NANO_PROPRIO];

static void set_inputs(const vk_net *net)
{
  static const char *const text[] = {"put the moka pot on the stove", "Open the drawer."};
  vk_err err = VK_ERR_INIT;
  vk_nano_obs obs[N_SAMPLE] = {0};
  vk_philox rng;
  vk_philox_init(&rng, 3, 0);
  for (int i = 0; i < N_SAMPLE; i++) {
    for (int k = 0; k < 2 * N_PIXEL; k++)
      image[i][k] = (uint8_t)vk_philox_u32(&rng);
    for (int k = 0; k < VK_NANO_PROPRIO; k++)
      proprio[i][k] = (float)vk_philox_normal(&rng);
    obs[i] = (vk_nano_obs){
        .image = {image[i], image[i] + N_PIXEL}, .proprio = i ? proprio[i] : NULL, .i_text = i % 2};
  }
  int n_word[2];
  const vk_graph *g = &net->plan->graph;
  vk_assert_ok(vk_nano_set_text(net->exec, g, text, 2, n_word, &err), &err);
  vk_assert_ok(vk_nano_set_obs(net->exec, g, obs, N_SAMPLE, n_word, 2, &err), &err);
  int32_t *target = vk_net_data(net, "target");
  for (int i = 0; i < N_SAMPLE * VK_NANO_STEPS * VK_NANO_DIMS; i++)
    target[i] = (int32_t)(vk_philox_u32(&rng) % VK_NANO_BINS);
  float *value = vk_net_data(net, "value_target");
  for (int i = 0; i < N_SAMPLE * VK_NANO_STEPS; i++)
    value[i] = (float)vk_philox_normal(&rng);
}

/* ---- the reference ------------------------------------------------------------------------- */

/* Whether value v depends on parameters alone. */
static bool is_once(const vk_graph *g, vk_id v)
{
  if (v == VK_NONE || g->value[v].kind != VK_RESULT)
    return v == VK_NONE || g->value[v].kind != VK_INPUT;
  const vk_node *n = &g->node[g->value[v].node];
  for (int k = 0; k < n->n_in; k++)
    if (!is_once(g, n->in[k]))
      return false;
  return true;
}

/* Whether the path of AVX2 rounds the node's inputs 0 and 1; pass_pack.c says why. */
static bool is_rounded(const vk_graph *g, const vk_node *n)
{
  if (n->op != &vk_op_matmul)
    return false;
  int64_t a = vk_shape_last(&g->value[n->in[0]].shape),
          b = vk_shape_last(&g->value[n->in[1]].shape);
  if (n->attr.trans_a)
    return a >= TERMS_MIN && b >= TERMS_MIN;
  return g->value[n->in[1]].kind == VK_PARAM && a >= TERMS_MIN && !is_once(g, n->out[0]);
}

static double *rounded(const double *x, int64_t n)
{
  double *y = malloc(sizeof *y * (size_t)(n + 1));
  assert_non_null(y);
  for (int64_t i = 0; i < n; i++)
    y[i] = vk_f32_from_bf16(vk_bf16_from_f32((float)x[i]));
  return y;
}

/* What the network was given, by name, and the sizes that it runs at. */
static void **leaves_of(const vk_graph *g, const vk_net *net, const vk_params *p,
                        int64_t n[VK_SYM_MAX])
{
  void **data = calloc((size_t)g->n_value + 1, sizeof *data);
  assert_non_null(data);
  for (vk_id v = 0; v < g->n_value; v++) {
    const vk_value *x = &g->value[v];
    if (x->kind == VK_RESULT)
      continue;
    vk_shape s = x->shape;
    const vk_param *a = x->kind == VK_PARAM ? vk_params_find(p, x->name) : NULL;
    vk_id there = x->kind == VK_INPUT ? vk_graph_find(&net->plan->graph, x->name) : VK_NONE;
    const void *from = a ? (const void *)(p->data + a->offset) : x->data;
    if (there != VK_NONE && vk_exec_data(net->exec, there)) {
      s = vk_exec_shape(net->exec, there);
      from = vk_exec_data(net->exec, there);
      if (x->extent.sym >= 0 && x->extent.per > 0)
        n[x->extent.sym] = (s.dim[0] - x->extent.plus) / x->extent.per;
    }
    int64_t n_item = vk_shape_n_item(&s);
    data[v] = calloc((size_t)vk_shape_n_item(&x->shape) + 1, sizeof(double));
    assert_non_null(data[v]);
    for (int64_t i = 0; i < n_item && from && x->dtype == VK_F32; i++)
      ((double *)data[v])[i] = ((const float *)from)[i];
    if (from && x->dtype != VK_F32)
      memcpy(data[v], from, (size_t)n_item * vk_dtype_size(x->dtype));
  }
  return data;
}

static int run_rounded(const vk_graph *g, const int64_t *n, void **data)
{
  vk_graph head = *g; /* one node more each time */
  int n_rounded = 0;
  for (int i = 0; i < g->n_node; i++) {
    const vk_node *node = &g->node[i];
    void *kept[2] = {NULL};
    bool rounds = is_rounded(g, node);
    n_rounded += rounds;
    for (int k = 0; k < 2 && rounds; k++) {
      vk_shape s = vk_value_shape(&g->value[node->in[k]], n);
      kept[k] = data[node->in[k]];
      data[node->in[k]] = rounded(kept[k], vk_shape_n_item(&s));
    }
    head.n_node = i + 1;
    graph_run_reference_from(&head, i, n, data);
    for (int k = 1; k >= 0 && rounds; k--) {
      free(data[node->in[k]]);
      data[node->in[k]] = kept[k];
    }
  }
  return n_rounded;
}

/* ---- comparing ----------------------------------------------------------------------------- */

/* The relative Euclidean distance; it and the cosine are within bounds. */
static double compare(const char *name, const float *got, const double *want, int64_t n)
{
  const double bound = 1.5e-2, cosine_bound = 0.99995;
  double d = 0, got2 = 0, want2 = 0, product = 0;
  for (int64_t i = 0; i < n; i++) {
    d += (got[i] - want[i]) * (got[i] - want[i]);
    got2 += (double)got[i] * got[i];
    want2 += want[i] * want[i];
    product += got[i] * want[i];
  }
  double error = want2 > 0 ? sqrt(d / want2) : sqrt(d);
  double cosine = want2 > 0 ? product / sqrt(got2 * want2) : 1;
  if (!(error <= bound && cosine >= cosine_bound))
    fail_msg("%s: relative error %.2e, bound %.1e; cosine %.6f, bound %.5f", name, error, bound,
             cosine, cosine_bound);
  return error;
}

static void a_network_rounds_as_its_reference(void **state)
{
  const double mean_bound = 4e-3;
  vk_err err = VK_ERR_INIT;
  vk_model m;
  vk_params p;
  vk_net net;
  vk_team *team;
  float *grad;
  vk_graph built, g = {.name = ""};
  const vk_model_args args = {
      .n_batch = N_SAMPLE, .with_value = true, .with_loss = true, .value_weight = 0.5};
  vk_target target = {.isa = small_isa() < VK_ISA_AVX2 ? small_isa() : VK_ISA_AVX2,
                      .n_thread = 2,
                      .is_train = true,
                      .loss = "loss",
                      .is_bf16 = true};
  small_open(&m, &p, 1);
  vk_assert_ok(vk_team_new(&team, 2, &err), &err);
  vk_assert_ok(vk_params_block(&p, &grad, &err), &err);
  vk_assert_ok(vk_net_new(&net, &m, &args, &target, &p, grad, VK_CPU(team), NULL, &err), &err);
  set_inputs(&net);
  vk_assert_ok(vk_exec_run(net.exec, &err), &err);

  target.is_bf16 = false;
  vk_graph_init(&built, "reference");
  vk_assert_ok(vk_model_build(&built, &m, &args, &err), &err);
  vk_assert_ok(vk_pass_run_all(&g, &built, &target, NULL, NULL, &err), &err);
  int64_t n[VK_SYM_MAX] = {0};
  void **data = leaves_of(&g, &net, &p, n);
  assert_true(run_rounded(&g, n, data) > 40);

  double sum = 0;
  for (int i = 0; i < g.n_output; i++) {
    const vk_output *o = &g.output[i];
    const char *name = o->name;
    const vk_param *a = strncmp(name, "grad.", 5) ? NULL : vk_params_find(&p, name + 5);
    vk_shape s = vk_value_shape(&g.value[o->value], n);
    const float *got = a ? grad + a->offset : vk_net_data(&net, name);
    sum += compare(name, got, data[o->value], vk_shape_n_item(&s));
  }
  if (!(sum <= mean_bound * g.n_output))
    fail_msg("mean relative error %.2e, bound %.1e", sum / g.n_output, mean_bound);
  for (vk_id v = 0; v < g.n_value; v++)
    free(data[v]);
  free(data);
  vk_graph_fini(&g);
  vk_graph_fini(&built);
  vk_net_free(&net);
  vk_params_block_free(&p, grad);
  vk_params_free(&p);
  vk_team_free(team);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_network_rounds_as_its_reference)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
