#include "nn/text.h"

#include <string.h>

/* a-z and 0-9, lower-cased; 0 for what separates words */
static uint8_t word_byte(char c)
{
  if (c >= 'A' && c <= 'Z')
    return (uint8_t)(c - 'A' + 'a');
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? (uint8_t)c : 0;
}

/* Byte i of "<word>", n being the word's length. */
static uint8_t marked_byte(const char *word, int64_t n, int64_t i)
{
  return i == 0 ? '<' : i == n + 1 ? '>' : word_byte(word[i - 1]);
}

/* Bucket of the bytes [i, i + n_byte) of "<word>". */
static int32_t bucket_of(const char *word, int64_t n, int64_t i, int64_t n_byte)
{
  uint32_t h = 0x811c9dc5u;
  for (int64_t k = i; k < i + n_byte; k++)
    h = (h ^ marked_byte(word, n, k)) * 0x01000193u;
  return (int32_t)(h % VK_TEXT_N_BUCKET);
}

static vk_status add_word(vk_text_bags *b, const char *word, int64_t n, vk_err *err)
{
  int64_t n_marked = n + 2, n_id = 1;
  for (int64_t g = 3; g <= 5; g++)
    n_id += n_marked >= g ? n_marked - g + 1 : 0;
  if (b->n_word >= b->cap_word)
    return vk_fail(err, VK_E_RANGE,
                   "there is room for %lld words and one more is needed: encode fewer instructions "
                   "at once",
                   (long long)b->cap_word);
  if (n_id > b->cap_id - b->n_id)
    return vk_fail(err, VK_E_RANGE,
                   "there is room for %lld n-grams and %lld more are needed for a word of %lld "
                   "letters: shorten it or encode fewer instructions at once",
                   (long long)b->cap_id, (long long)(n_id - (b->cap_id - b->n_id)), (long long)n);
  for (int64_t g = 3; g <= 5; g++)
    for (int64_t i = 0; i + g <= n_marked; i++)
      b->id[b->n_id++] = bucket_of(word, n, i, g);
  b->id[b->n_id++] = bucket_of(word, n, 0, n_marked);
  b->offset[++b->n_word] = (int32_t)b->n_id;
  return VK_OK;
}

static vk_status add_words(vk_text_bags *b, const char *text, vk_err *err)
{
  int n_word = 0;
  for (const char *p = text; *p && n_word < VK_TEXT_WORD_MAX;) {
    const char *begin = p;
    while (word_byte(*p))
      p++;
    if (p > begin) {
      VK_TRY(add_word(b, begin, p - begin, err));
      n_word++;
    } else {
      p++;
    }
  }
  return n_word ? VK_OK : add_word(b, "", 0, err);
}

vk_status vk_text_add(vk_text_bags *b, const char *text, vk_err *err)
{
  VK_ASSERT(b->cap_id <= INT32_MAX && b->cap_word < INT32_MAX);
  if (b->n_text == 0) {
    b->n_id = b->n_word = 0;
    b->offset[0] = b->begin[0] = 0;
  }
  if (b->n_text >= b->cap_text)
    return vk_fail(err, VK_E_RANGE,
                   "instruction %lld, \"%.60s\": there is room for %lld instructions: encode fewer "
                   "at once",
                   (long long)b->n_text, text, (long long)b->cap_text);
  int64_t n_id = b->n_id, n_word = b->n_word;
  if (add_words(b, text, err) != VK_OK) {
    b->n_id = n_id;
    b->n_word = n_word;
    vk_err_prefix(err, "instruction %lld, \"%.60s\"", (long long)b->n_text, text);
    return VK_E_RANGE;
  }
  b->begin[++b->n_text] = (int32_t)b->n_word;
  return VK_OK;
}

vk_status vk_text_encode(vk_text_bags *b, int64_t n, const char *const *text, vk_err *err)
{
  b->n_text = b->n_id = b->n_word = 0;
  b->offset[0] = b->begin[0] = 0;
  for (int64_t i = 0; i < n; i++)
    VK_TRY(vk_text_add(b, text[i], err));
  return VK_OK;
}

int64_t vk_text_distinct(int64_t n, const char *const *text, int32_t *index, int32_t *first)
{
  int64_t n_distinct = 0;
  for (int64_t i = 0; i < n; i++) {
    int64_t k = 0;
    while (k < n_distinct && text[first[k]] != text[i] && strcmp(text[first[k]], text[i]) != 0)
      k++;
    if (k == n_distinct)
      first[n_distinct++] = (int32_t)i;
    index[i] = (int32_t)k;
  }
  return n_distinct;
}
