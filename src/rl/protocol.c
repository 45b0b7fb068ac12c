#include "rl/protocol.h"

#include <stdio.h>
#include <string.h>

#include "core/hash.h"
#include "core/opt.h"

/* A little more than the longest demonstration of each suite needs. */
#define LIMITS_OF_DEMONSTRATIONS                                                                   \
  .n_limit = 5, .limit = {{"libero_spatial", 220},                                                 \
                          {"libero_object", 280},                                                  \
                          {"libero_goal", 300},                                                    \
                          {"libero_10", 520},                                                      \
                          {"libero_90", 400}}

const vk_protocol vk_protocols[] = {
    /* OpenVLA-OFT, experiments/robot/libero/run_libero_eval.py and libero_utils.py */
    {
        .name = "oft",
        .help = "OpenVLA and OpenVLA-OFT: seed 0, 10 waiting steps, 50 episodes, limits 220 to 520",
        .seed = 0,
        .n_parallel = 1,
        .n_episode = 50,
        .n_dummy = 10,
        .dummy = {0, 0, 0, 0, 0, 0, -1},
        LIMITS_OF_DEMONSTRATIONS,
        .n_step_default = 600,
        .n_replan = 8,
        .image_px = 256,
        .image_policy_px = 224,
        .image_turn = VK_TURN_ROTATE_180,
    },
    /* openpi, examples/libero/main.py */
    {
        .name = "openpi",
        .help = "openpi (pi0, pi0.5): seed 7, 10 waiting steps, 50 episodes, limits 220 to 520",
        .seed = 7,
        .n_parallel = 1,
        .n_episode = 50,
        .n_dummy = 10,
        .dummy = {0, 0, 0, 0, 0, 0, -1},
        LIMITS_OF_DEMONSTRATIONS,
        .n_step_default = 600,
        .n_replan = 5,
        .image_px = 256,
        .image_policy_px = 224,
        .image_turn = VK_TURN_ROTATE_180,
    },
    /* LIBERO, libero/lifelong/metric.py and configs/{config,eval/default}.yaml. Its twenty
     * processes are forked with one state of the generator, which training has used before: that
     * state cannot be known, the configuration's seed stands for it. */
    {
        .name = "libero",
        .help = "the LIBERO paper's code: seed 10000, 5 waiting steps, 20 episodes, limit 600",
        .seed = 10000,
        .n_parallel = 20,
        .n_episode = 20,
        .n_dummy = 5,
        .n_step_default = 600,
        .n_replan = 1,
        .image_px = 128,
        .image_policy_px = 128,
        .image_turn = VK_TURN_GL,
    },
    {.name = NULL},
};

vk_status vk_protocol_find(const vk_protocol **out, const char *name, vk_err *err)
{
  const char *names[VK_COUNT(vk_protocols)] = {NULL};
  for (size_t i = 0; vk_protocols[i].name; i++) {
    names[i] = vk_protocols[i].name;
    if (strcmp(name, names[i]) == 0) {
      *out = &vk_protocols[i];
      return VK_OK;
    }
  }
  return vk_opt_fail_name(err, "protocol", name, names);
}

vk_status vk_protocol_shortened(vk_protocol *out, const char *name, int64_t n_step, vk_err *err)
{
  const vk_protocol *p;
  VK_TRY(vk_protocol_find(&p, name, err));
  *out = *p;
  for (int i = 0; i < p->n_limit && n_step > 0; i++)
    if (p->limit[i].n_step > n_step)
      out->limit[i].n_step = (int)n_step;
  if (n_step > 0 && p->n_step_default > n_step)
    out->n_step_default = (int)n_step;
  return VK_OK;
}

int vk_protocol_n_step(const vk_protocol *protocol, const char *suite)
{
  for (int i = 0; i < protocol->n_limit; i++)
    if (strcmp(protocol->limit[i].suite, suite) == 0)
      return protocol->limit[i].n_step;
  return protocol->n_step_default;
}

void vk_protocol_print(const vk_protocol *p, uint32_t seed, const char *rows, vk_perturb perturb,
                       char text[VK_PROTOCOL_PRINT_SIZE])
{
  size_t at = 0;
#define ADD(...)                                                                                   \
  do {                                                                                             \
    int n = snprintf(text + at, VK_PROTOCOL_PRINT_SIZE - at, __VA_ARGS__);                         \
    VK_ASSERT(n >= 0 && at + (size_t)n < VK_PROTOCOL_PRINT_SIZE);                                  \
    at += (size_t)n;                                                                               \
  } while (0)
  ADD("protocol %s\nseed %u\nn_parallel %d\nrows %s\nn_dummy %d\ndummy", p->name, seed,
      p->n_parallel, rows, p->n_dummy);
  for (int i = 0; i < VK_N_ACTION; i++)
    ADD(" %g", p->dummy[i]);
  for (int i = 0; i < p->n_limit; i++)
    ADD("\nn_step %s %d", p->limit[i].suite, p->limit[i].n_step);
  ADD("\nn_step default %d\nn_replan %d\nimage_px %d\nimage_policy_px %d\nimage_turn %s\n",
      p->n_step_default, p->n_replan, p->image_px, p->image_policy_px,
      vk_picture_turn_name(p->image_turn));
  if (perturb != VK_PERTURB_NONE)
    ADD("perturb %s %s\n", vk_perturb_names[perturb], vk_perturb_sizes[perturb]);
#undef ADD
}

void vk_protocol_hash(const vk_protocol *protocol, uint32_t seed, const char *rows,
                      vk_perturb perturb, char hex[65])
{
  char text[VK_PROTOCOL_PRINT_SIZE];
  vk_protocol_print(protocol, seed, rows, perturb, text);
  vk_sha256_hex(text, strlen(text), hex);
}
