/* test_model_nano.c - the nano family: configs, parts, that a sample's answer depends on that
 * sample alone (not on its batch, the number of threads, who shares its instruction), and that what
 * is absent changes nothing. Values are held against recordings of the Python system in
 * tests/golden. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "nn/model_nano.h"
#include "nn/net.h"
#include "nn/op.h"

enum { N_PIXEL = VK_NANO_PX * VK_NANO_PX * 3, N_LOGIT = 56 * 256, N_SAMPLE = 3 };

static const char small[] =
    "{\"model\": \"nano\", \"d_model\": 32, \"n_head\": 4, \"n_encoder\": 2, "
    "\"n_decoder\": 2, \"stem\": [8, 8, 16, 32]}";
static uint8_t image[N_SAMPLE][2][N_PIXEL];
static float proprio[N_SAMPLE][VK_NANO_PROPRIO];

static vk_isa best_isa(void)
{
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  return vk_isa_best(&cpu);
}

/* A small model with everything moved away from its start, where FiLM and biases are 0. */
static void open_small(vk_model *m, vk_params *p)
{
  vk_err err = VK_ERR_INIT;
  vk_philox rng;
  vk_assert_ok(vk_model_parse(m, small, strlen(small), "small", &err), &err);
  vk_assert_ok(vk_net_params_new(p, m, 1, &err), &err);
  vk_philox_init(&rng, 2, 0);
  for (int i = 0; i < p->n_param; i++)
    for (int64_t k = 0; k < p->param[i].n; k++)
      p->data[p->param[i].offset + k] += 0.1f * (float)vk_philox_normal(&rng);
  for (int i = 0; i < N_SAMPLE; i++)
    for (int v = 0; v < 2; v++)
      for (int k = 0; k < N_PIXEL; k++)
        image[i][v][k] = (uint8_t)vk_philox_u32(&rng);
  for (int i = 0; i < N_SAMPLE; i++)
    for (int k = 0; k < VK_NANO_PROPRIO; k++)
      proprio[i][k] = (float)vk_philox_normal(&rng);
}

typedef struct run_args {
  vk_model_args model;
  int n_thread, n_text, n;
  const char *const *text;
  const vk_nano_obs *obs;
  int n_skip;
  const char *skip[2];
} run_args;

/* Runs a model of that capacity and returns an output's numbers (to be freed). */
static float *run_model(const vk_model *m, const vk_params *p, const run_args *a, const char *name)
{
  vk_err err = VK_ERR_INIT;
  vk_team *team;
  vk_net net;
  int n_word[N_SAMPLE];
  vk_target target = {
      .isa = best_isa(), .n_thread = a->n_thread, .n_skip = a->n_skip, .skip = a->skip};
  vk_assert_ok(vk_team_new(&team, a->n_thread, &err), &err);
  vk_assert_ok(vk_net_new(&net, m, &a->model, &target, p, NULL, VK_CPU(team), NULL, &err), &err);
  const vk_graph *g = &net.plan->graph;
  vk_assert_ok(vk_nano_set_text(net.exec, g, a->text, a->n_text, n_word, &err), &err);
  vk_assert_ok(vk_nano_set_obs(net.exec, g, a->obs, a->n, n_word, a->n_text, &err), &err);
  vk_assert_ok(vk_exec_run(net.exec, NULL), NULL);
  vk_id out = vk_graph_find_output(g, name);
  assert_true(out != VK_NONE);
  vk_shape shape = vk_exec_shape(net.exec, out);
  size_t bytes = (size_t)vk_shape_n_item(&shape) * sizeof(float);
  float *y = malloc(bytes);
  assert_non_null(y);
  memcpy(y, vk_exec_data(net.exec, out), bytes);
  vk_net_free(&net);
  vk_team_free(team);
  return y;
}

static const char *const two_texts[] = {"put the moka pot on the stove", "Open the drawer."};

/* Weight decay pulls on matrices alone, and what ends a residual branch begins smaller. */
static void check_start_and_decay(const vk_model *m, const vk_params *p)
{
  static const struct {
    const char *name;
    bool has_decay;
    double deviation; /* at the start; 0: all are 0, or 1 for a norm */
  } want[] = {{"enc.0.attn.wqkv.weight", true, 0.02},
              {"enc.0.attn.wo.weight", true, 0.02 / 2.8284271},
              {"dec.1.mlp.w2.weight", true, 0.02 / 2},
              {"stem.1.conv.weight", true, 0.0680414}, /* sqrt(2 / (9 * 48)) */
              {"pos", false, 0.02},
              {"query", false, 0.02},
              {"text.pos", false, 0.02},
              {"text.table.weight", false, 0.02},
              {"enc.0.norm1.weight", false, 0},
              {"head.bias", false, 0}};
  for (size_t i = 0; i < VK_COUNT(want); i++) {
    const vk_param *a = vk_params_find(p, want[i].name);
    assert_non_null(a);
    assert_int_equal(m->def->has_decay(a), want[i].has_decay);
    double sum = 0, sum2 = 0;
    for (int64_t k = 0; k < a->n; k++) {
      double x = p->data[a->offset + k];
      sum += x;
      sum2 += x * x;
    }
    double mean = sum / (double)a->n, square = sum2 / (double)a->n - mean * mean;
    /* 1,024 numbers or more: six standard errors */
    vk_assert_close(sqrt(square > 0 ? square : 0), want[i].deviation, 1e-7, 0.14);
  }
}

static void parameters_are_the_published_ones(void **state)
{
  static const struct {
    const char *name;
    int64_t n; /* of the reference: 2 layers of text, value head included */
  } want[] = {{"nano-n2", 2456864}};
  vk_err err = VK_ERR_INIT;
  for (size_t i = 0; i < VK_COUNT(want); i++) {
    vk_model m;
    vk_params p;
    vk_assert_ok(vk_model_open(&m, want[i].name, &err), &err);
    vk_assert_ok(vk_net_params_new(&p, &m, 0, &err), &err);
    assert_int_equal(p.n_used, want[i].n);
    assert_int_equal(p.n_param, 88);
    const vk_param *w = vk_params_find(&p, "stem.1.conv.weight");
    assert_non_null(w);
    assert_int_equal(w->shape.dim[0], 48);
    assert_int_equal(w->shape.dim[1], 24);
    check_start_and_decay(&m, &p);
    vk_params_free(&p);
  }
}

static void a_sample_is_alone(void **state)
{
  vk_model m;
  vk_params p;
  open_small(&m, &p);
  vk_nano_obs obs[N_SAMPLE] = {{{image[0][0], image[0][1]}, proprio[0], 0},
                               {{image[1][0], image[1][1]}, proprio[1], 1},
                               {{image[2][0], image[2][1]}, NULL, 0}};
  run_args a = {.model = {.n_batch = N_SAMPLE, .with_value = true},
                .n_thread = 2,
                .n_text = 2,
                .n = N_SAMPLE,
                .text = two_texts,
                .obs = obs};
  float *all = run_model(&m, &p, &a, "logits");
  for (int i = 0; i < N_SAMPLE; i++) {
    vk_nano_obs one = obs[i];
    run_args b = a;
    b.model.n_batch = i + 1; /* another capacity, another plan */
    b.n_thread = 1 + i;
    b.n = b.n_text = 1;
    b.text = &two_texts[one.i_text];
    one.i_text = 0;
    b.obs = &one;
    float *alone = run_model(&m, &p, &b, "logits");
    assert_memory_equal(alone, all + i * N_LOGIT, N_LOGIT * sizeof(float));
    free(alone);
  }
  free(all);
  vk_params_free(&p);
}

static void absent_things_change_nothing(void **state)
{
  vk_model m;
  vk_params p;
  open_small(&m, &p);
  vk_nano_obs obs = {{image[0][0], NULL}, NULL, 0};
  run_args two = {
      .model = {.n_batch = 1}, .n_thread = 1, .n_text = 1, .n = 1, .text = two_texts, .obs = &obs};
  run_args one = two;
  one.model.n_view = 1;
  float *with_two = run_model(&m, &p, &two, "logits"),
        *with_one = run_model(&m, &p, &one, "logits");
  assert_memory_equal(with_two, with_one, N_LOGIT * sizeof(float));
  /* and what is there does change it */
  obs.image[1] = image[0][1];
  float *other = run_model(&m, &p, &two, "logits");
  assert_memory_not_equal(with_two, other, N_LOGIT * sizeof(float));
  obs.proprio = proprio[0];
  float *third = run_model(&m, &p, &two, "logits");
  assert_memory_not_equal(third, other, N_LOGIT * sizeof(float));
  free(with_two);
  free(with_one);
  free(other);
  free(third);
  vk_params_free(&p);
}

static void configs_are_checked(void **state)
{
  static const struct {
    const char *json, *says;
  } bad[] = {
      {"{\"model\": \"nano\", \"d_modle\": 32}", "d_model"},
      {"{\"model\": \"nona\"}", "nano"},
      {"{\"model\": \"nano\", \"size\": \"n3\"}", "n2"},
      {"{\"model\": \"nano\", \"d_model\": 33}", "33"},
      {"{\"model\": \"nano\", \"d_model\": 64}", "stem"},
      {"{\"model\": \"nano\", \"n_head\": 3}", "n_head"},
      {"{\"model\": \"nano\", \"n_head\": 0}", "n_head"},
      {"{\"model\": \"nano\", \"n_encoder\": 1e9}", "n_encoder"},
      {"{\"model\": \"nano\", \"stem\": [24, 48, 96]}", "stem"},
      {"{\"model\": \"nano\", \"stem\": [24, 48, 97, 128]}", "97"},
      {"{\"model\": \"nano\", \"stem\": [24, 48.5, 96, 128]}", "48.5"},
      {"{\"model\": \"nano\", \"shared_kv\": 1}", "shared_kv"},
      {"{\"size\": \"n2\"}", "model"},
      {"[1]", ""},
      {"{", ""},
  };
  for (size_t i = 0; i < VK_COUNT(bad); i++) {
    vk_err err = VK_ERR_INIT;
    vk_model m;
    assert_true(vk_model_parse(&m, bad[i].json, strlen(bad[i].json), "c.json", &err) != VK_OK);
    if (!strstr(err.text, bad[i].says) || !strstr(err.text, "c.json")) {
      print_error("%s: says %s\n", bad[i].json, err.text);
      fail();
    }
  }
  vk_err err = VK_ERR_INIT;
  vk_model m;
  assert_int_equal(vk_model_open(&m, "nano-n9", &err), VK_E_USAGE);
  assert_int_equal(vk_model_open(&m, "/nowhere/config.json", &err), VK_E_NOTFOUND);
}

static void a_config_survives_writing(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_model m, again;
  char *text = NULL;
  vk_assert_ok(vk_model_parse(&m, small, strlen(small), "small", &err), &err);
  cJSON *json = m.def->write(m.config);
  assert_non_null(json);
  vk_assert_ok(vk_json_text(&text, json, &err), &err);
  vk_assert_ok(vk_model_parse(&again, text, strlen(text), "again", &err), &err);
  assert_memory_equal(m.config, again.config, sizeof m.config);
  cJSON_free(text);
  cJSON_Delete(json);
}

static void inputs_beyond_capacity_are_refused(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_model m;
  vk_params p;
  open_small(&m, &p);
  vk_team *team;
  vk_net net;
  int n_word[N_SAMPLE];
  vk_assert_ok(vk_team_new(&team, 1, &err), &err);
  vk_assert_ok(vk_net_new(&net, &m, &(vk_model_args){.n_batch = 1}, &(vk_target){.n_thread = 1}, &p,
                          NULL, VK_CPU(team), NULL, &err),
               &err);
  const vk_graph *g = &net.plan->graph;
  assert_int_equal(vk_nano_set_text(net.exec, g, two_texts, 2, n_word, &err), VK_E_RANGE);
  vk_assert_ok(vk_nano_set_text(net.exec, g, two_texts, 1, n_word, &err), &err);
  assert_int_equal(n_word[0], 7);
  vk_nano_obs obs[2] = {{{image[0][0]}, NULL, 0}, {{image[0][0]}, NULL, 0}};
  assert_int_equal(vk_nano_set_obs(net.exec, g, obs, 2, n_word, 1, &err), VK_E_RANGE);
  obs[0].i_text = 1;
  assert_int_equal(vk_nano_set_obs(net.exec, g, obs, 1, n_word, 1, &err), VK_E_RANGE);
  vk_net_free(&net);
  vk_team_free(team);
  vk_params_free(&p);
}

/* By one thread and by several; one picture of the batch is missing, one lies in its place. */
static void every_picture_is_copied(void **state)
{
  enum { N = 11 };
  vk_err err = VK_ERR_INIT;
  vk_model m;
  vk_params p;
  open_small(&m, &p);
  vk_team *team;
  vk_net net;
  int n_word[1];
  vk_assert_ok(vk_team_new(&team, 3, &err), &err);
  vk_assert_ok(vk_net_new(&net, &m, &(vk_model_args){.n_batch = N}, &(vk_target){.n_thread = 3}, &p,
                          NULL, VK_CPU(team), NULL, &err),
               &err);
  const vk_graph *g = &net.plan->graph;
  vk_assert_ok(vk_nano_set_text(net.exec, g, two_texts, 1, n_word, &err), &err);
  uint8_t *pixels = vk_net_data(&net, "image");
  vk_nano_obs obs[N];
  for (int i = 0; i < N; i++)
    obs[i] = (vk_nano_obs){.image = {image[i % N_SAMPLE][0], image[i % N_SAMPLE][1]}};
  obs[4].image[1] = NULL;
  obs[7].image[0] = pixels + (size_t)14 * N_PIXEL;
  for (int k = 0; k < 2; k++) {
    memset(pixels, 0xa5, (size_t)2 * N * N_PIXEL);
    vk_assert_ok(vk_nano_set_obs_by(k ? team : NULL, net.exec, g, obs, N, n_word, 1, &err), &err);
    for (int i = 0; i < 2 * N; i++) {
      const uint8_t *at = pixels + (size_t)i * N_PIXEL, *from = obs[i / 2].image[i % 2];
      if (from)
        assert_memory_equal(at, from, N_PIXEL);
      for (int q = 0; q < N_PIXEL && i == 14; q++)
        assert_int_equal(at[q], 0xa5);
      for (int q = 0; q < N_PIXEL && !from; q++)
        assert_int_equal(at[q], 0);
    }
  }
  vk_net_free(&net);
  vk_team_free(team);
  vk_params_free(&p);
}

/* Scratch of attention is for a sample's tokens, not for those of the batch. */
static void check_segments(const vk_graph *g, int64_t n_view)
{
  for (int i = 0; i < g->n_node; i++) {
    const vk_node *n = &g->node[i];
    if (n->op != &vk_op_attention || n->n_in < 3 || n->in[2] == VK_NONE)
      continue;
    bool is_text = strncmp(n->place, "text", 4) == 0;
    assert_int_equal(n->attr.max_k, is_text ? VK_NANO_WORDS : n_view * VK_NANO_TOKENS + 25);
  }
}

static void every_form_can_be_built(void **state)
{
  vk_err err = VK_ERR_INIT;
  for (int form = 0; form < 24; form++) {
    vk_model m;
    vk_graph g;
    char json[200];
    snprintf(json, sizeof json, "{\"model\": \"nano\", \"size\": \"%s\", \"shared_kv\": %s}",
             form % 3 == 0   ? "n2"
             : form % 3 == 1 ? "n8"
                             : "n20",
             form % 2 ? "true" : "false");
    vk_assert_ok(vk_model_parse(&m, json, strlen(json), "form", &err), &err);
    vk_graph_init(&g, "form");
    vk_model_args a = {.part = (vk_model_part)(form / 8),
                       .n_batch = 2,
                       .n_view = 1 + form % 2,
                       .with_value = form % 4 < 2,
                       .with_loss = form % 8 < 4,
                       .sigma = form % 5 ? 1.5 : 0,
                       .last_weight = 2,
                       .dropout = form % 7 ? 0.1 : 0,
                       .probe = true};
    vk_assert_ok(vk_model_build(&g, &m, &a, &err), &err);
    vk_assert_ok(vk_graph_verify(&g, &err), &err);
    check_segments(&g, a.n_view);
    vk_graph_fini(&g);
  }
}

static void what_does_not_fit_is_refused_with_names(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_model m;
  vk_params p;
  vk_net net;
  vk_team *team;
  open_small(&m, &p);
  vk_assert_ok(vk_team_new(&team, 1, &err), &err);
  const vk_target target = {.isa = best_isa(), .n_thread = 1};
  vk_assert_fails(vk_net_new(&net, &m, &(vk_model_args){.n_batch = 1 << 20}, &target, &p, NULL,
                             VK_CPU(team), NULL, &err),
                  VK_E_NOMEM);
  vk_assert_says(&err, "the largest tensors: ");
  vk_assert_says(&err, "[2097152, 64, 64, ");
  assert_null(net.plan);
  vk_team_free(team);
  vk_params_free(&p);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(parameters_are_the_published_ones),
      cmocka_unit_test(a_sample_is_alone),
      cmocka_unit_test(absent_things_change_nothing),
      cmocka_unit_test(configs_are_checked),
      cmocka_unit_test(a_config_survives_writing),
      cmocka_unit_test(inputs_beyond_capacity_are_refused),
      cmocka_unit_test(every_picture_is_copied),
      cmocka_unit_test(every_form_can_be_built),
      cmocka_unit_test(what_does_not_fit_is_refused_with_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
