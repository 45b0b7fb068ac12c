/* nano_inputs.c - fills the inputs of a nano graph from observations and instructions. */
#include <string.h>

#include "nn/model_nano.h"
#include "nn/pick.h"
#include "nn/text.h"

enum {
  IMAGE_BYTES = VK_NANO_PX * VK_NANO_PX * 3,
  SHARED_MIN = 16, /* pictures that threads share: fewer are copied before those that sleep wake */
};

/* Where input `name` lies; NULL when no node of the graph reads it. */
static void *input(const vk_exec *x, const vk_graph *g, const char *name)
{
  vk_id v = vk_graph_find(g, name);
  return v == VK_NONE ? NULL : vk_exec_data(x, v);
}

static vk_status check_count(const vk_graph *g, int sym, int64_t n, vk_err *err)
{
  if (n >= 0 && n <= g->sym_cap[sym])
    return VK_OK;
  return vk_fail(err, VK_E_RANGE, "%s: %lld of %s: at most %lld fit", g->name, (long long)n,
                 g->sym[sym], (long long)g->sym_cap[sym]);
}

/* The tokens of one sample, from token n on. Returns the number behind them. */
static int64_t put_tokens(int32_t *from, int32_t *pos, int64_t n, const vk_nano_obs *o, int i,
                          int n_view, int first_word, int n_word)
{
  for (int v = 0; v < n_view; v++)
    for (int k = 0; o->image[v] && k < VK_NANO_TOKENS; k++, n++) {
      from[n] = vk_pick_index(0, (i * n_view + v) * VK_NANO_TOKENS + k);
      pos[n] = vk_pick_index(0, v * VK_NANO_TOKENS + k);
    }
  for (int k = 0; k < n_word; k++, n++) {
    from[n] = vk_pick_index(1, first_word + k);
    pos[n] = vk_pick_index(0, 2 * VK_NANO_TOKENS + k);
  }
  if (o->proprio) {
    from[n] = vk_pick_index(2, i);
    pos[n++] = vk_pick_index(0, VK_NANO_POSITIONS - 1);
  }
  return n;
}

typedef struct picture_copy {
  uint8_t *to;
  const vk_nano_obs *obs;
  int n_picture, n_view, n_thread;
} picture_copy;

/* The share of one thread. */
static void copy_pictures(void *arg, int i_thread)
{
  const picture_copy *c = arg;
  for (int i = i_thread; i < c->n_picture; i += c->n_thread) {
    uint8_t *to = c->to + (size_t)i * IMAGE_BYTES;
    const uint8_t *from = c->obs[i / c->n_view].image[i % c->n_view];
    if (from == to)
      continue; /* it was drawn in place */
    if (from)
      memcpy(to, from, IMAGE_BYTES);
    else
      memset(to, 0, IMAGE_BYTES);
  }
}

vk_status vk_nano_set_obs(vk_exec *x, const vk_graph *g, const vk_nano_obs *obs, int n,
                          const int *n_word, int n_text, vk_err *err)
{
  return vk_nano_set_obs_by(NULL, x, g, obs, n, n_word, n_text, err);
}

vk_status vk_nano_set_obs_by(vk_team *team, vk_exec *x, const vk_graph *g, const vk_nano_obs *obs,
                             int n, const int *n_word, int n_text, vk_err *err)
{
  VK_TRY(check_count(g, VK_NANO_BATCH, n, err));
  vk_id image = vk_graph_find(g, "image");
  VK_ASSERT(image != VK_NONE);
  int n_view = (int)(g->value[image].shape.dim[0] / g->sym_cap[VK_NANO_BATCH]);
  uint8_t *pixels = vk_exec_data(x, image);
  float *proprio = input(x, g, "proprio");
  int32_t *from = input(x, g, "token_from"), *pos = input(x, g, "token_pos");
  int32_t *seg = input(x, g, "token_seg"), *text_of = input(x, g, "text_of");
  int64_t n_token = 0;
  for (int i = 0; i < n; i++) {
    const vk_nano_obs *o = &obs[i];
    int first_word = 0;
    if (o->i_text < 0 || o->i_text >= n_text)
      return vk_fail(err, VK_E_RANGE, "%s: sample %d has instruction %d of %d", g->name, i,
                     o->i_text, n_text);
    for (int t = 0; t < o->i_text; t++)
      first_word += n_word[t];
    if (o->proprio)
      memcpy(proprio + i * VK_NANO_PROPRIO, o->proprio, sizeof(float) * VK_NANO_PROPRIO);
    else
      memset(proprio + i * VK_NANO_PROPRIO, 0, sizeof(float) * VK_NANO_PROPRIO);
    text_of[i] = vk_pick_index(0, o->i_text);
    seg[i] = (int32_t)n_token;
    n_token = put_tokens(from, pos, n_token, o, i, n_view, first_word, n_word[o->i_text]);
  }
  seg[n] = (int32_t)n_token;
  bool is_shared = team && n * n_view >= SHARED_MIN;
  picture_copy c = {pixels, obs, n * n_view, n_view, is_shared ? vk_team_n_thread(team) : 1};
  if (is_shared)
    vk_team_run(team, copy_pictures, &c);
  else
    copy_pictures(&c, 0);
  vk_exec_set_size(x, VK_NANO_BATCH, n);
  vk_exec_set_size(x, VK_NANO_TOKEN, n_token);
  return VK_OK;
}

vk_status vk_nano_set_text(vk_exec *x, const vk_graph *g, const char *const *text, int n,
                           int *n_word, vk_err *err)
{
  VK_TRY(check_count(g, VK_NANO_TEXT, n, err));
  int32_t *word_pos = input(x, g, "word_pos");
  vk_text_bags bags = {.id = input(x, g, "gram"),
                       .offset = input(x, g, "word_start"),
                       .begin = input(x, g, "text_seg"),
                       .cap_id = g->sym_cap[VK_NANO_GRAM],
                       .cap_word = g->sym_cap[VK_NANO_WORD],
                       .cap_text = g->sym_cap[VK_NANO_TEXT]};
  VK_TRY(vk_text_encode(&bags, n, text, err));
  for (int i = 0; i < n; i++) {
    n_word[i] = bags.begin[i + 1] - bags.begin[i];
    for (int k = 0; k < n_word[i]; k++)
      word_pos[bags.begin[i] + k] = vk_pick_index(0, k);
  }
  vk_exec_set_size(x, VK_NANO_TEXT, n);
  vk_exec_set_size(x, VK_NANO_WORD, bags.n_word);
  vk_exec_set_size(x, VK_NANO_GRAM, bags.n_id);
  return VK_OK;
}
