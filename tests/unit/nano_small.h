/* nano_small.h - for tests: a small nano model, moved away from its start, and a net of it. */
#ifndef VK_TESTS_NANO_SMALL_H
#define VK_TESTS_NANO_SMALL_H

#include <stdlib.h>
#include <string.h>

#include "core/cpu.h"
#include "core/rng.h"
#include "nn/model_nano.h"
#include "nn/net.h"

/* FiLM and biases are 0 at the start: noise moves everything. */
static inline void small_open(vk_model *m, vk_params *p, uint64_t seed)
{
  static const char config[] =
      "{\"model\": \"nano\", \"d_model\": 32, \"n_head\": 4, \"n_encoder\": 1, "
      "\"n_decoder\": 1, \"stem\": [8, 8, 16, 32]}";
  vk_err err = VK_ERR_INIT;
  vk_philox rng;
  vk_assert_ok(vk_model_parse(m, config, strlen(config), "small", &err), &err);
  vk_assert_ok(vk_net_params_new(p, m, seed, &err), &err);
  vk_philox_init(&rng, seed, 77);
  for (int i = 0; i < p->n_param; i++)
    for (int64_t k = 0; k < p->param[i].n; k++)
      p->data[p->param[i].offset + k] += 0.1f * (float)vk_philox_normal(&rng);
}

static inline vk_isa small_isa(void)
{
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  return vk_isa_best(&cpu);
}

#endif
