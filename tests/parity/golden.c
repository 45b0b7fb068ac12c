#include "golden.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_PIXEL = 128 * 128 * 3, N_ACTION = 56, N_STATE = 8, N_STEP = 8 };

static const uint64_t file_max = UINT64_C(1) << 32; /* bytes a file may unpack to */

/* ---- numbers of small.npz ------------------------------------------------------------------ */

static uint32_t fnv1a(const char *text)
{
  uint32_t h = 0x811c9dc5u;
  for (; *text; text++)
    h = (h ^ (uint8_t)*text) * 0x01000193u;
  return h;
}

static uint32_t number(uint32_t key, uint32_t i)
{
  uint32_t x = key + i * 0x9e3779b9u;
  x ^= x >> 16;
  x *= 0x85ebca6bu;
  x ^= x >> 13;
  x *= 0xc2b2ae35u;
  return x ^ x >> 16;
}

/* In [-1, 1), exactly. */
static float unit(uint32_t key, uint32_t i)
{
  return (float)(number(key, i) >> 8) * 0x1p-23f - 1;
}

void golden_weight(const char *name, int n_dim, const int64_t *shape, float *out)
{
  size_t n_name = strlen(name);
  int64_t n = 1, fan_in = 1;
  for (int d = 0; d < n_dim; d++) {
    n *= shape[d];
    fan_in *= d ? shape[d] : 1;
  }
  float scale = 0.25f, shift = 0;
  bool is_matrix = n_dim > 1 && strcmp(name, "pos") && strcmp(name, "text.pos") &&
                   strcmp(name, "query") && strcmp(name, "text.table.weight");
  if (strstr(name, "norm") && strcmp(name + n_name - 6, "weight") == 0)
    shift = 1;
  else if (is_matrix)
    scale = ldexpf(1, -(63 - __builtin_clzll((unsigned long long)fan_in)) / 2);
  uint32_t key = fnv1a(name);
  for (int64_t i = 0; i < n; i++)
    out[i] = shift + scale * unit(key, (uint32_t)i);
}

/* ---- reading ------------------------------------------------------------------------------- */

/* The array's items, which must be n of this kind and size (n < 0: any number). */
static vk_status take(const vk_npz *npz, const char *name, char kind, int item_size, int64_t n,
                      const void **out, vk_err *err)
{
  const vk_array *a = vk_npz_find(npz, name);
  *out = NULL;
  if (!a)
    return vk_fail(err, VK_E_NOTFOUND, "there is no array '%s'", name);
  if (a->kind != kind || a->item_size != item_size)
    return vk_fail(err, VK_E_FORMAT, "array '%s' is %c%d, expected %c%d", name, a->kind,
                   a->item_size, kind, item_size);
  if (n >= 0 && a->n_item != n)
    return vk_fail(err, VK_E_SHAPE, "array '%s' has %" PRId64 " items, expected %" PRId64, name,
                   a->n_item, n);
  *out = a->data;
  return VK_OK;
}

static vk_status take_words(golden *g, const vk_npz *npz, vk_err *err)
{
  const void *p;
  VK_TRY(take(npz, "n_words", 'i', 4, -1, &p, err));
  g->n_words = p;
  g->n_sample = vk_npz_find(npz, "n_words")->n_item;
  if (g->n_sample < 1 || g->n_sample > GOLDEN_SAMPLE_MAX)
    return vk_fail(err, VK_E_RANGE, "%" PRId64 " samples, expected 1 to %d", g->n_sample,
                   GOLDEN_SAMPLE_MAX);
  for (int64_t i = 0; i < g->n_sample; i++)
    g->n_word += g->n_words[i];
  VK_TRY(take(npz, "word_offsets", 'i', 4, g->n_word + 1, &p, err));
  g->word_offsets = p;
  VK_TRY(take(npz, "word_ids", 'i', 4, g->word_offsets[g->n_word], &p, err));
  g->word_ids = p;
  return VK_OK;
}

/* A copy, so that both sources end the same way. */
static void *copy(const void *from, size_t n_byte, vk_err *err)
{
  void *to = malloc(n_byte + 1);
  if (to)
    memcpy(to, from, n_byte);
  else
    (void)vk_fail(err, VK_E_NOMEM, "no memory for %zu bytes", n_byte);
  return to;
}

static vk_status take_batch(golden *g, vk_err *err)
{
  const void *images, *proprio, *has, *targets, *value;
  VK_TRY(take_words(g, &g->batch, err));
  VK_TRY(take(&g->batch, "images", 'u', 1, -1, &images, err));
  int64_t n_image = vk_npz_find(&g->batch, "images")->n_item, one = g->n_sample * N_PIXEL;
  g->n_view = n_image / one;
  if (g->n_view < 1 || g->n_view > 2 || n_image % one)
    return vk_fail(err, VK_E_SHAPE,
                   "images have %" PRId64 " items: not one or two views of 128 x "
                   "128 x 3 for %" PRId64 " samples",
                   n_image, g->n_sample);
  VK_TRY(take(&g->batch, "proprio", 'f', 4, g->n_sample * N_STATE, &proprio, err));
  VK_TRY(take(&g->batch, "has_proprio", 'u', 1, g->n_sample, &has, err));
  VK_TRY(take(&g->batch, "targets", 'i', 4, g->n_sample * N_ACTION, &targets, err));
  VK_TRY(take(&g->batch, "value_target", 'f', 4, g->n_sample * N_STEP, &value, err));
  size_t n = (size_t)g->n_sample;
  if (!(g->images = copy(images, (size_t)n_image, err)) ||
      !(g->proprio = copy(proprio, n * N_STATE * 4, err)) ||
      !(g->has_proprio = copy(has, n, err)) ||
      !(g->targets = copy(targets, n * N_ACTION * 4, err)) ||
      !(g->value_target = copy(value, n * N_STEP * 4, err)))
    return VK_E_NOMEM;
  return VK_OK;
}

static vk_status make_batch(golden *g, vk_err *err)
{
  size_t n = (size_t)g->n_sample, n_image = n * 2 * N_PIXEL;
  g->n_view = 2;
  g->images = malloc(n_image);
  g->proprio = malloc(n * N_STATE * 4);
  g->has_proprio = malloc(n);
  g->targets = malloc(n * N_ACTION * 4);
  g->value_target = malloc(n * N_STEP * 4);
  if (!g->images || !g->proprio || !g->has_proprio || !g->targets || !g->value_target)
    return vk_fail(err, VK_E_NOMEM, "no memory for a batch");
  for (uint32_t i = 0; i < n_image; i++)
    g->images[i] = (uint8_t)(number(fnv1a("images"), i) >> 24);
  for (uint32_t i = 0; i < n * N_STATE; i++)
    g->proprio[i] = unit(fnv1a("proprio"), i);
  for (uint32_t i = 0; i < n; i++)
    g->has_proprio[i] = i + 1 < n;
  for (uint32_t i = 0; i < n * N_ACTION; i++)
    g->targets[i] = (int32_t)(number(fnv1a("targets"), i) >> 24);
  for (uint32_t i = 0; i < n * N_STEP; i++)
    g->value_target[i] = unit(fnv1a("value_target"), i);
  return VK_OK;
}

/* Instructions of a file, a line each. */
static vk_status split_lines(golden *g, vk_err *err)
{
  char *p = g->text;
  for (int64_t i = 0; i < g->n_sample; i++) {
    char *end = strchr(p, '\n');
    if (!end)
      return vk_fail(err, VK_E_FORMAT, "instructions: %" PRId64 " lines, expected %" PRId64, i,
                     g->n_sample);
    *end = '\0';
    g->instruction[i] = p;
    p = end + 1;
  }
  return VK_OK;
}

static vk_status read_small(golden *g, const char *path, vk_err *err)
{
  g->is_small = true;
  g->n_want = 1;
  g->want_name[0] = "f64";
  VK_TRY(vk_npz_read(&g->want[0], path, file_max, err));
  VK_TRY(take_words(g, &g->want[0], err));
  enum { LINE = 512 };
  if (!(g->text = calloc((size_t)g->n_sample, LINE)))
    return vk_fail(err, VK_E_NOMEM, "no memory for instructions");
  for (int64_t i = 0; i < g->n_sample; i++) {
    VK_TRY(vk_npz_text(&g->want[0], "texts", i, g->text + i * LINE, LINE, err));
    g->instruction[i] = g->text + i * LINE;
  }
  return make_batch(g, err);
}

static vk_status read_folder(golden *g, const char *path, vk_err *err)
{
  static const char *const files[] = {"outputs.npz", "outputs_f64.npz"};
  char name[VK_FS_PATH_MAX];
  snprintf(g->weights, sizeof g->weights, "%s/weights.safetensors", path);
  snprintf(name, sizeof name, "%s/batch.npz", path);
  VK_TRY(vk_npz_read(&g->batch, name, file_max, err));
  VK_TRY(take_batch(g, err));
  snprintf(name, sizeof name, "%s/instructions.txt", path);
  size_t n;
  VK_TRY(vk_fs_read(&g->text, &n, name, 1 << 20, err));
  VK_TRY(split_lines(g, err));
  for (int i = 0; i < 2; i++) {
    snprintf(name, sizeof name, "%s/%s", path, files[i]);
    VK_TRY(vk_npz_read(&g->want[g->n_want], name, file_max, err));
    g->want_name[g->n_want++] = i ? "f64" : "f32";
  }
  return VK_OK;
}

vk_status golden_read(golden *g, const char *path, vk_err *err)
{
  *g = (golden){0};
  size_t n = strlen(path);
  bool is_file = n > 4 && strcmp(path + n - 4, ".npz") == 0;
  vk_status st = is_file ? read_small(g, path, err) : read_folder(g, path, err);
  return st == VK_OK ? VK_OK : vk_err_prefix(err, "%s", path);
}

void golden_free(golden *g)
{
  vk_npz_free(&g->batch);
  for (int i = 0; i < GOLDEN_WANT_MAX; i++)
    vk_npz_free(&g->want[i]);
  free(g->text);
  free(g->images);
  free(g->proprio);
  free(g->has_proprio);
  free(g->targets);
  free(g->value_target);
  *g = (golden){0};
}

vk_status golden_config(const golden *g, const int32_t **config, vk_err *err)
{
  const void *p;
  VK_TRY(take(&g->want[0], "config", 'i', 4, 8, &p, err));
  *config = p;
  return VK_OK;
}

/* ---- comparing ----------------------------------------------------------------------------- */

static double item(const vk_array *a, int64_t i)
{
  return a->item_size == 8 ? ((const double *)a->data)[i] : ((const float *)a->data)[i];
}

/* Relative Euclidean distance, absolute where the array is zero; NaN when sizes differ. */
static double distance(const vk_npz *npz, const vk_array *want, const float *got, int64_t n)
{
  char name[72];
  snprintf(name, sizeof name, "at.%s", want->name);
  const vk_array *at = vk_npz_find(npz, name);
  const int32_t *index = at ? at->data : NULL;
  int64_t step = at && at->n_dim == 0 ? index[0] : 1;
  bool is_list = at && at->n_dim;
  if (want->kind != 'f' || (at && (at->kind != 'i' || at->item_size != 4 || step < 1)) ||
      (is_list ? at->n_item != want->n_item : (n + step - 1) / step != want->n_item))
    return NAN;
  double sum = 0, scale = 0;
  for (int64_t i = 0; i < want->n_item; i++) {
    int64_t k = is_list ? index[i] : i * step;
    if (k < 0 || k >= n)
      return NAN;
    double w = item(want, i), d = (double)got[k] - w;
    sum += d * d;
    scale += w * w;
  }
  return scale > 0 ? sqrt(sum / scale) : sqrt(sum);
}

static double distance_of_rows(const vk_array *want, const float *got, const int32_t *row,
                               int64_t n_row, int64_t width)
{
  double sum = 0, scale = 0;
  if (want->kind != 'f')
    return NAN;
  for (int64_t i = 0; i < n_row; i++)
    for (int64_t k = 0; k < width; k++) {
      int64_t at = row[i] * width + k;
      if (at < 0 || at >= want->n_item)
        return NAN;
      double w = item(want, at), d = (double)got[i * width + k] - w;
      sum += d * d;
      scale += w * w;
    }
  return scale > 0 ? sqrt(sum / scale) : sqrt(sum);
}

bool golden_compare(golden *g, const char *name, const float *got, int64_t n, double bound)
{
  return golden_compare_rows(g, name, got, NULL, 1, n, bound);
}

bool golden_compare_rows(golden *g, const char *name, const float *got, const int32_t *row,
                         int64_t n_row, int64_t width, double bound)
{
  bool is_found = false;
  for (int i = 0; i < g->n_want; i++) {
    const vk_array *want = vk_npz_find(&g->want[i], name);
    if (!want)
      continue;
    double error = row ? distance_of_rows(want, got, row, n_row, width)
                       : distance(&g->want[i], want, got, n_row * width);
    bool is_bad = !(error <= bound);
    if (!is_found)
      printf("%-36s %9" PRId64, name, n_row * width);
    printf("  %s %.2e%s", g->want_name[i], error, is_bad ? " TOO FAR" : "");
    is_found = true;
    g->n_bad += is_bad;
    bool is_step = strncmp(name, "step_norm.", 10) == 0;
    double *worst = is_step ? &g->worst_step.error : &g->worst.error;
    if (!(error <= *worst) && !isnan(*worst)) {
      *worst = error;
      *(is_step ? &g->worst_step.name : &g->worst.name) = want->name;
    }
  }
  if (is_found)
    printf("  (bound %.0e)\n", bound);
  g->n_compared += is_found;
  return is_found;
}
