/* train_sft.c - behaviour cloning: the cross-entropy of demonstrated actions, as bins with soft
 * labels, over chunks of eight steps. */
#include <stdlib.h>

#include "rl/demo_feed.h"

static void close_sft(void *state)
{
  vk_demo_feed_close(state);
  free(state);
}

static vk_status open_sft(void **state, vk_trainer *t, vk_err *err)
{
  vk_demo_feed *f = *state = calloc(1, sizeof *f); /* close_sft is called in any case */
  if (!f)
    return vk_fail(err, VK_E_NOMEM, "no memory for the data");
  VK_TRY(vk_demo_feed_open(f, t, t->init.stats, err));
  vk_demo_feed_describe(f, t);
  return VK_OK;
}

static vk_status step_sft(void *state, vk_trainer *t, vk_train_step *out, vk_err *err)
{
  return vk_demo_feed_learn(state, t, out, err);
}

static vk_status validate_sft(void *state, vk_trainer *t, double *loss, int64_t *n, vk_err *err)
{
  return vk_demo_feed_validate(state, t, loss, n, err);
}

static vk_status save_batch_sft(void *state, const char *path, vk_err *err)
{
  return vk_demo_feed_save_batch(state, path, err);
}

const vk_train_def vk_train_sft = {
    .name = "sft",
    .help = "imitates demonstrations (behaviour cloning)",
    .open = open_sft,
    .close = close_sft,
    .step = step_sft,
    .validate = validate_sft,
    .save_batch = save_batch_sft,
};
