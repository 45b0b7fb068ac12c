#include "nn/model_nano.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/rng.h"
#include "nn/op.h"

/* ---- config -------------------------------------------------------------------------------- */

typedef struct size_row {
  const char *name;
  vk_nano_config config;
} size_row;

static const size_row sizes[] = {
    {"n2", {128, 4, 4, 2, {24, 48, 96, 128}, 2, true}},
    {"n8", {256, 4, 6, 2, {32, 64, 128, 256}, 2, true}},
    {"n20", {384, 6, 6, 2, {48, 96, 192, 384}, 2, true}},
};
static const char *const size_names[] = {"n2", "n8", "n20", NULL};

static vk_status set_size(void *config, const char *size, vk_err *err)
{
  for (size_t i = 0; i < VK_COUNT(sizes); i++)
    if (strcmp(sizes[i].name, size) == 0) {
      memcpy(config, &sizes[i].config, sizeof sizes[i].config);
      return VK_OK;
    }
  return vk_fail(err, VK_E_FORMAT, "nano: size \"%s\": expected n2, n8 or n20", size);
}

/* X(key, member, least, most, help) */
#define KEYS(X)                                                                                    \
  X("d_model", d_model, 8, 4096, "numbers of a token, a multiple of n_head")                       \
  X("n_head", n_head, 1, 64, "heads of an attention")                                              \
  X("n_encoder", n_encoder, 1, 64, "layers of the encoder")                                        \
  X("n_decoder", n_decoder, 1, 64, "layers of the decoder")                                        \
  X("n_view", n_view, 1, 2, "pictures of an observation")

static const vk_model_key keys[] = {
#define X(key, member, least, most, help) {key, #least " to " #most ": " help},
    KEYS(X)
#undef X
        {"stem", "[a, b, c, d], each a multiple of 8: channels of the convolutions; d is d_model"},
    {"shared_kv", "true or false: all decoder layers read the same keys and values"},
    {NULL, NULL},
};

static vk_status check(const vk_nano_config *c, const char *what, vk_err *err)
{
#define X(key, member, least, most, help)                                                          \
  if (c->member < least || c->member > most)                                                       \
    return vk_fail(err, VK_E_RANGE, "%s: %s %lld: expected %d to %d", what, key,                   \
                   (long long)c->member, least, most);
  KEYS(X)
#undef X
  for (int i = 0; i < VK_NANO_STAGES; i++)
    if (c->stem[i] < 8 || c->stem[i] > 4096 || c->stem[i] % 8 != 0)
      return vk_fail(err, VK_E_RANGE, "%s: stem channels %lld: expected a multiple of 8, 8 to 4096",
                     what, (long long)c->stem[i]);
  if (c->stem[VK_NANO_STAGES - 1] != c->d_model)
    return vk_fail(err, VK_E_RANGE, "%s: the last of stem is %lld, expected d_model %lld", what,
                   (long long)c->stem[VK_NANO_STAGES - 1], (long long)c->d_model);
  if (c->d_model % c->n_head != 0)
    return vk_fail(err, VK_E_RANGE, "%s: d_model %lld is no multiple of n_head %lld", what,
                   (long long)c->d_model, (long long)c->n_head);
  return VK_OK;
}

static vk_status read_config(void *config, const cJSON *json, const char *what, vk_err *err)
{
  const char *names[VK_COUNT(keys) + 2] = {"model", "size"};
  for (int i = 0; keys[i].name; i++)
    names[i + 2] = keys[i].name;
  vk_nano_config *c = config;
  VK_TRY(vk_json_check_keys(json, names, what, err));
#define X(key, member, least, most, help)                                                          \
  if (cJSON_GetObjectItemCaseSensitive(json, key))                                                 \
    VK_TRY(vk_json_get_i64(json, key, &c->member, what, err));
  KEYS(X)
#undef X
  if (cJSON_GetObjectItemCaseSensitive(json, "stem")) {
    double stem[VK_NANO_STAGES];
    VK_TRY(vk_json_get_f64s(json, "stem", VK_NANO_STAGES, stem, what, err));
    for (int i = 0; i < VK_NANO_STAGES; i++) {
      if (!(stem[i] >= 0 && stem[i] <= 1e6 && stem[i] == floor(stem[i])))
        return vk_fail(err, VK_E_RANGE, "%s: stem channels %g: expected a multiple of 8", what,
                       stem[i]);
      c->stem[i] = (int64_t)stem[i];
    }
  }
  if (cJSON_GetObjectItemCaseSensitive(json, "shared_kv"))
    VK_TRY(vk_json_get_bool(json, "shared_kv", &c->shared_kv, what, err));
  return check(c, what, err);
}

static cJSON *write_config(const void *config)
{
  const vk_nano_config *c = config;
  cJSON *json = cJSON_CreateObject();
  cJSON_AddStringToObject(json, "model", "nano");
#define X(key, member, least, most, help) cJSON_AddNumberToObject(json, key, (double)c->member);
  KEYS(X)
#undef X
  cJSON *stem = cJSON_AddArrayToObject(json, "stem");
  for (int i = 0; i < VK_NANO_STAGES; i++)
    cJSON_AddItemToArray(stem, cJSON_CreateNumber((double)c->stem[i]));
  if (!cJSON_AddBoolToObject(json, "shared_kv", c->shared_kv)) {
    cJSON_Delete(json);
    return NULL;
  }
  return json;
}

/* ---- the graph ----------------------------------------------------------------------------- */

typedef struct builder {
  vk_graph *g;
  const vk_nano_config *c;
  const vk_model_args *a;
  int n_view;
  vk_id token_seg, text_seg, text_of;
  int n_dropout; /* so far: each has a stream of its own */
  vk_id dropout_step;
} builder;

/* A parameter of one or two dimensions, named "PREFIX.NAME". */
static vk_id param(builder *b, const char *prefix, const char *name, int64_t n, int64_t k)
{
  char full[96];
  snprintf(full, sizeof full, "%s%s%s", prefix, prefix[0] ? "." : "", name);
  return vk_graph_param(b->g, full, k ? vk_shape_of(2, (int)n, (int)k) : vk_shape_of(1, (int)n));
}

/* x W', with a bias when has_bias. */
static vk_id linear(builder *b, vk_id x, const char *name, int64_t n, int64_t k, bool has_bias)
{
  vk_id w = param(b, name, "weight", n, k);
  if (!has_bias)
    return VK_APPLY(b->g, matmul, VK_IN(x, w), .trans_b = 1);
  return VK_APPLY(b->g, matmul, VK_IN(x, w, param(b, name, "bias", n, 0)), .trans_b = 1);
}

static vk_id norm(builder *b, vk_id x, const char *name)
{
  return VK_APPLY(b->g, rms_norm, VK_IN(x, param(b, name, "weight", b->c->d_model, 0)),
                  .eps = 1e-6);
}

static vk_id add(builder *b, vk_id x, vk_id y)
{
  if (b->a->dropout > 0)
    y = VK_APPLY(b->g, dropout, VK_IN(y, b->dropout_step), .p = b->a->dropout,
                 .seed = ++b->n_dropout);
  return VK_APPLY(b->g, add, VK_IN(x, y), .scale = 1);
}

static const char *join(char buf[96], const char *prefix, const char *name)
{
  snprintf(buf, 96, "%s.%s", prefix, name);
  return buf;
}

/* x + wo attention(wqkv norm(x)); segments from seg, of at most `len` rows, or without it of as
 * many each. */
static vk_id self_attention(builder *b, vk_id x, const char *layer, vk_id seg, int64_t len)
{
  char name[96];
  int64_t d = b->c->d_model;
  vk_id y = norm(b, x, join(name, layer, "norm1"));
  y = linear(b, y, join(name, layer, "attn.wqkv"), 3 * d, d, false);
  y = VK_APPLY(b->g, attention, VK_IN(y, VK_NONE, seg), .n_head = b->c->n_head,
               .len_k = seg == VK_NONE ? len : 0, .max_k = seg == VK_NONE ? 0 : len);
  return add(b, x, linear(b, y, join(name, layer, "attn.wo"), d, d, false));
}

/* x + w2 gelu(w1 norm(x)) */
static vk_id mlp(builder *b, vk_id x, const char *layer, const char *norm_name)
{
  char name[96];
  int64_t d = b->c->d_model;
  vk_id y = norm(b, x, join(name, layer, norm_name));
  y = linear(b, y, join(name, layer, "mlp.w1"), 4 * d, d, false);
  y = VK_APPLY(b->g, gelu, VK_IN(y));
  return add(b, x, linear(b, y, join(name, layer, "mlp.w2"), d, 4 * d, false));
}

/* Tokens of a sample, at most. */
static int64_t most_tokens(const builder *b)
{
  return b->n_view * VK_NANO_TOKENS + VK_NANO_WORDS + 1;
}

static vk_id encoder_layer(builder *b, vk_id x, const char *layer, vk_id seg, int64_t most)
{
  vk_graph_place(b->g, "%s", layer);
  x = mlp(b, self_attention(b, x, layer, seg, most), layer, "norm2");
  if (x != VK_NONE)
    b->g->value[x].is_boundary = true;
  return x;
}

static void probe(builder *b, const char *name, vk_id x)
{
  char full[96];
  if (b->a->probe && x != VK_NONE)
    vk_graph_output(b->g, join(full, "act", name), x);
}

/* Instructions to text tokens [word, d] and vectors [text, d]. */
static void text_encoder(builder *b, vk_id *text, vk_id *vec)
{
  vk_graph *g = b->g;
  int64_t d = b->c->d_model, n_text = g->sym_cap[VK_NANO_TEXT];
  int64_t n_word = g->sym_cap[VK_NANO_WORD], n_gram = g->sym_cap[VK_NANO_GRAM];
  vk_graph_place(g, "text");
  vk_id gram = vk_graph_input(g, "gram", VK_I32, vk_shape_of(1, (int)n_gram),
                              vk_graph_extent(VK_NANO_GRAM, 1, 0));
  vk_id start = vk_graph_input(g, "word_start", VK_I32, vk_shape_of(1, (int)n_word + 1),
                               vk_graph_extent(VK_NANO_WORD, 1, 1));
  vk_id word_pos = vk_graph_input(g, "word_pos", VK_I32, vk_shape_of(1, (int)n_word),
                                  vk_graph_extent(VK_NANO_WORD, 1, 0));
  b->text_seg = vk_graph_input(g, "text_seg", VK_I32, vk_shape_of(1, (int)n_text + 1),
                               vk_graph_extent(VK_NANO_TEXT, 1, 1));
  vk_id table = param(b, "text.table", "weight", VK_NANO_BUCKETS, VK_NANO_GRAM_WIDTH);
  vk_id x = VK_APPLY(g, bag, VK_IN(gram, start, table));
  x = linear(b, x, "text.proj", d, VK_NANO_GRAM_WIDTH, true);
  vk_id pos = VK_APPLY(g, pick, VK_IN(word_pos, param(b, "text", "pos", VK_NANO_WORDS, d)));
  x = VK_APPLY(g, add, VK_IN(pos, x), .scale = 1);
  for (int i = 0; i < 2; i++) {
    char layer[32];
    snprintf(layer, sizeof layer, "text.layers.%d", i);
    x = encoder_layer(b, x, layer, b->text_seg, VK_NANO_WORDS);
  }
  vk_graph_place(g, "text");
  *text = norm(b, x, "text.norm");
  *vec = VK_APPLY(g, mean_rows, VK_IN(*text, b->text_seg));
  probe(b, "text", *text);
  probe(b, "text_vec", *vec);
}

/* Pictures to tokens [batch * n_view * 64, d]. */
static vk_id stem(builder *b, vk_id vec)
{
  vk_graph *g = b->g;
  int64_t n_batch = g->sym_cap[VK_NANO_BATCH], c_in = 3;
  vk_id x = vk_graph_input(g, "image", VK_U8,
                           vk_shape_of(4, (int)n_batch * b->n_view, VK_NANO_PX, VK_NANO_PX, 3),
                           vk_graph_extent(VK_NANO_BATCH, b->n_view, 0));
  vk_graph_place(g, "stem.0");
  x = VK_APPLY(g, affine, VK_IN(x), .scale = 1 / 127.5, .shift = -1);
  for (int i = 0; i < VK_NANO_STAGES; i++) {
    char name[32];
    int64_t c = b->c->stem[i];
    vk_graph_place(g, "stem.%d", i);
    snprintf(name, sizeof name, "stem.%d.conv.weight", i);
    vk_id w = vk_graph_param(g, name, vk_shape_of(4, (int)c, (int)c_in, 3, 3));
    x = VK_APPLY(g, conv, VK_IN(x, w), .kernel = 3, .stride = 2, .pad = 1);
    snprintf(name, sizeof name, "stem.%d.norm", i);
    vk_id weight = param(b, name, "weight", c, 0), bias = param(b, name, "bias", c, 0);
    x = VK_APPLY(g, group_norm, VK_IN(x, weight, bias), .n_group = 8, .eps = 1e-5);
    x = VK_APPLY(g, gelu, VK_IN(x));
    if (i >= 2) {
      snprintf(name, sizeof name, "film.%d", i - 2);
      vk_id film = linear(b, vec, name, 2 * c, b->c->d_model, true);
      film = VK_APPLY(g, pick, VK_IN(b->text_of, film));
      x = VK_APPLY(g, film, VK_IN(x, film), .group = b->n_view);
    }
    snprintf(name, sizeof name, "stem%d", i + 1);
    probe(b, name, x);
    if (x != VK_NONE)
      g->value[x].is_boundary = true;
    c_in = c;
  }
  return VK_APPLY(g, reshape, VK_IN(x), .count = b->c->d_model);
}

/* All tokens to the encoder's output [token, d]. */
static vk_id encoder(builder *b, vk_id image, vk_id text)
{
  vk_graph *g = b->g;
  int64_t d = b->c->d_model, n_token = g->sym_cap[VK_NANO_TOKEN];
  int64_t n_batch = g->sym_cap[VK_NANO_BATCH];
  vk_extent token = vk_graph_extent(VK_NANO_TOKEN, 1, 0);
  vk_graph_place(g, "tokens");
  vk_id proprio =
      vk_graph_input(g, "proprio", VK_F32, vk_shape_of(2, (int)n_batch, VK_NANO_PROPRIO),
                     vk_graph_extent(VK_NANO_BATCH, 1, 0));
  vk_id from = vk_graph_input(g, "token_from", VK_I32, vk_shape_of(1, (int)n_token), token);
  vk_id at = vk_graph_input(g, "token_pos", VK_I32, vk_shape_of(1, (int)n_token), token);
  b->token_seg = vk_graph_input(g, "token_seg", VK_I32, vk_shape_of(1, (int)n_batch + 1),
                                vk_graph_extent(VK_NANO_BATCH, 1, 1));
  proprio = linear(b, proprio, "proprio", d, VK_NANO_PROPRIO, true);
  vk_id x = VK_APPLY(g, pick, VK_IN(from, image, text, proprio));
  vk_id pos = VK_APPLY(g, pick, VK_IN(at, param(b, "", "pos", VK_NANO_POSITIONS, d)));
  x = add(b, pos, x);
  for (int i = 0; i < b->c->n_encoder; i++) {
    char layer[32];
    snprintf(layer, sizeof layer, "enc.%d", i);
    x = encoder_layer(b, x, layer, b->token_seg, most_tokens(b));
    snprintf(layer, sizeof layer, "enc%d", i);
    probe(b, layer, x);
  }
  vk_graph_place(g, "memory");
  return norm(b, x, "enc_norm");
}

/* 8 queries a sample to their states [batch * 8, d]. */
static vk_id decoder(builder *b, vk_id memory)
{
  vk_graph *g = b->g;
  int64_t d = b->c->d_model;
  vk_id kv = VK_NONE, x = param(b, "", "query", VK_NANO_STEPS, d);
  if (b->c->shared_kv)
    kv = linear(b, memory, "wkv", 2 * d, d, false);
  for (int i = 0; i < b->c->n_decoder; i++) {
    char layer[32], name[96];
    snprintf(layer, sizeof layer, "dec.%d", i);
    vk_graph_place(g, "%s", layer);
    x = self_attention(b, x, layer, VK_NONE, VK_NANO_STEPS);
    if (i == 0) /* until here all samples have the same states */
      x = VK_APPLY(g, tile, VK_IN(x), .sym = VK_NANO_BATCH, .per = VK_NANO_STEPS,
                   .count = g->sym_cap[VK_NANO_BATCH]);
    if (!b->c->shared_kv)
      kv = linear(b, memory, join(name, layer, "cross.wkv"), 2 * d, d, false);
    vk_id q = norm(b, x, join(name, layer, "norm2"));
    q = linear(b, q, join(name, layer, "cross.wq"), d, d, false);
    q = VK_APPLY(g, attention, VK_IN(q, kv, b->token_seg), .n_head = b->c->n_head,
                 .len_q = VK_NANO_STEPS, .max_k = most_tokens(b));
    x = add(b, x, linear(b, q, join(name, layer, "cross.wo"), d, d, false));
    x = mlp(b, x, layer, "norm3");
    snprintf(name, sizeof name, "dec%d", i);
    probe(b, name, x);
  }
  vk_graph_place(g, "heads");
  return norm(b, x, "dec_norm");
}

static void losses(builder *b, vk_id logits, vk_id value)
{
  vk_graph *g = b->g;
  int64_t n = g->sym_cap[VK_NANO_BATCH];
  vk_graph_place(g, "loss");
  vk_id target =
      vk_graph_input(g, "target", VK_I32, vk_shape_of(1, (int)n * VK_NANO_STEPS * VK_NANO_DIMS),
                     vk_graph_extent(VK_NANO_BATCH, VK_NANO_STEPS * VK_NANO_DIMS, 0));
  vk_id loss =
      VK_APPLY(g, cross_entropy, VK_IN(logits, target), .sigma = b->a->sigma,
               .count = b->a->last_weight > 0 ? VK_NANO_DIMS : 0, .weight = b->a->last_weight);
  vk_graph_output(g, "loss_action", loss);
  if (value != VK_NONE) {
    vk_id want = vk_graph_input(g, "value_target", VK_F32, vk_shape_of(2, (int)n, VK_NANO_STEPS),
                                vk_graph_extent(VK_NANO_BATCH, 1, 0));
    vk_id mse = VK_APPLY(g, mse, VK_IN(value, want));
    vk_graph_output(g, "loss_value", mse);
    if (b->a->value_weight != 0)
      loss = VK_APPLY(g, add, VK_IN(loss, mse), .scale = b->a->value_weight);
  }
  vk_graph_output(g, "loss", loss);
}

static void bins(builder *b, vk_id logits)
{
  vk_graph *g = b->g;
  double scale = b->a->temperature > 0 ? 1 / b->a->temperature : 1;
  vk_id bin;
  if (b->a->temperature > 0) {
    vk_id key = vk_graph_input(g, "key", VK_I32, vk_shape_of(2, (int)b->a->n_batch, 2),
                               vk_graph_extent(VK_NANO_BATCH, 1, 0));
    bin = VK_APPLY(g, sample, VK_IN(logits, key), .scale = scale);
  } else if (b->a->greedy == VK_GREEDY_MEDIAN) {
    bin = VK_APPLY(g, median, VK_IN(logits));
  } else {
    bin = VK_APPLY(g, argmax, VK_IN(logits));
  }
  vk_graph_output(g, "bin", bin);
  if (b->a->with_log_prob)
    vk_graph_output(g, "log_prob", VK_APPLY(g, log_prob, VK_IN(logits, bin), .scale = scale));
}

static void heads(builder *b, vk_id x)
{
  vk_graph *g = b->g;
  int64_t d = b->c->d_model;
  vk_id logits = linear(b, x, "head", VK_NANO_DIMS * VK_NANO_BINS, d, true), value = VK_NONE;
  logits = VK_APPLY(g, reshape, VK_IN(logits), .count = VK_NANO_BINS);
  vk_graph_output(g, "logits", logits);
  if (b->a->with_value) {
    value = VK_APPLY(g, mean_rows, VK_IN(x, VK_NONE), .group = VK_NANO_STEPS);
    value = linear(b, value, "value.0", VK_NANO_VALUE_WIDTH, d, true);
    value = VK_APPLY(g, gelu, VK_IN(value));
    value = linear(b, value, "value.2", VK_NANO_STEPS, VK_NANO_VALUE_WIDTH, true);
    vk_graph_output(g, "value", value);
  }
  if (b->a->part == VK_PART_ACT)
    bins(b, logits);
  if (b->a->with_loss)
    losses(b, logits, value);
}

static vk_status build(vk_graph *g, const void *config, const vk_model_args *a, vk_err *err)
{
  const vk_nano_config *c = config;
  builder b = {.g = g, .c = c, .a = a, .n_view = (int)(a->n_view ? a->n_view : c->n_view)};
  if (b.n_view < 1 || b.n_view > 2)
    return vk_fail(err, VK_E_RANGE, "nano: %d views: expected 1 or 2", b.n_view);
  VK_TRY(check(c, g->name, err));
  int64_t n = a->n_batch, n_token = most_tokens(&b);
  vk_graph_sym(g, "batch", n);
  vk_graph_sym(g, "token", n * n_token);
  vk_graph_sym(g, "text", n);
  vk_graph_sym(g, "word", n * VK_NANO_WORDS);
  vk_graph_sym(g, "gram", n * VK_NANO_GRAMS);
  vk_id text, vec;
  if (a->dropout > 0)
    b.dropout_step = vk_graph_input(g, "step", VK_I32, vk_shape_of(1, 1), VK_NO_EXTENT);
  if (a->part == VK_PART_ACT) {
    text =
        vk_graph_input(g, "text", VK_F32, vk_shape_of(2, (int)(n * VK_NANO_WORDS), (int)c->d_model),
                       vk_graph_extent(VK_NANO_WORD, 1, 0));
    vec = vk_graph_input(g, "text_vec", VK_F32, vk_shape_of(2, (int)n, (int)c->d_model),
                         vk_graph_extent(VK_NANO_TEXT, 1, 0));
  } else {
    text_encoder(&b, &text, &vec);
  }
  if (a->part == VK_PART_TEXT) {
    vk_graph_output(g, "text", text);
    vk_graph_output(g, "text_vec", vec);
    return vk_graph_check(g, err);
  }
  b.text_of = vk_graph_input(g, "text_of", VK_I32, vk_shape_of(1, (int)n),
                             vk_graph_extent(VK_NANO_BATCH, 1, 0));
  heads(&b, decoder(&b, encoder(&b, stem(&b, vec), text)));
  return vk_graph_check(g, err);
}

/* ---- parameters at the start --------------------------------------------------------------- */

static bool ends(const char *name, const char *end)
{
  size_t n = strlen(name), m = strlen(end);
  return n >= m && strcmp(name + n - m, end) == 0;
}

/* Matrices, tables, positions, queries: N(0, .02), those that end a residual branch divided by
 * sqrt(2 layers); convolutions: Kaiming, fan out; norms 1, biases and FiLM 0. */
static void init(vk_params *p, const void *config, uint64_t seed)
{
  const vk_nano_config *c = config;
  for (int i = 0; i < p->n_param; i++) {
    const vk_param *a = &p->param[i];
    float *x = p->data + a->offset;
    double std = 0.02, fill = strstr(a->name, "norm") && !ends(a->name, ".bias") ? 1 : 0;
    bool is_random =
        !strstr(a->name, "norm") && !ends(a->name, ".bias") && strncmp(a->name, "film.", 5) != 0;
    if (strstr(a->name, ".conv."))
      std = sqrt(2.0 / (double)(a->shape.dim[0] * 9));
    else if (ends(a->name, "wo.weight") || ends(a->name, "w2.weight")) {
      int64_t n_layer = a->name[0] == 'e' ? c->n_encoder : a->name[0] == 'd' ? c->n_decoder : 2;
      std /= sqrt(2.0 * (double)n_layer);
    }
    vk_philox rng;
    vk_philox_init(&rng, seed, (uint64_t)i);
    for (int64_t k = 0; k < a->n; k++)
      x[k] = (float)(is_random ? std * vk_philox_normal(&rng) : fill);
  }
}

/* Matrices and convolutions, not positions, queries and the table of n-grams. */
static bool has_decay(const vk_param *p)
{
  return p->shape.n_dim >= 2 && !ends(p->name, "pos") && !ends(p->name, "query") &&
         !ends(p->name, "table.weight");
}

const vk_model_def vk_model_nano = {
    .name = "nano",
    .help = "convolutional stem, text from hashed n-grams, transformer, 8 x 7 x 256 bins",
    .sizes = size_names,
    .keys = keys,
    .config_size = sizeof(vk_nano_config),
    .set_size = set_size,
    .read = read_config,
    .write = write_config,
    .build = build,
    .init = init,
    .has_decay = has_decay,
};
