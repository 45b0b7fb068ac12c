#include "rl/paraphrase.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "nn/text.h"

enum { WORDS_MAX = 40, ALTERNATIVES_MAX = 5, N_VARIABLE = 26 };

/* In a form, W X Y Z are one or more words, P and Q a phrase of `where`; anything else is itself.
 */
typedef struct form {
  const char *said;
  const char *instead[ALTERNATIVES_MAX + 1];
} form;

/* Longer ones before those that they begin with. */
static const char *const where[] = {
    "on top of",      "on", "inside", "in", "under", "to the left of", "to the right of",
    "to the front of"};

/* The first form that fits counts. Of each the last way is held out of training. */
static const form forms[] = {
    {"pick up X and place it P Y",
     {"put X P Y", "place X P Y", "take X and put it P Y", "grab X and set it down P Y",
      "lift X and put it P Y"}},
    {"pick up X and put it P Y",
     {"put X P Y", "place X P Y", "take X and place it P Y", "grab X and set it down P Y",
      "lift X and place it P Y"}},
    {"put both X P Y",
     {"place both X P Y", "put X P Y", "pick up both X and put them P Y", "place X both P Y"}},
    {"put X P Y and close it",
     {"place X P Y and close it", "put X P Y then close it", "pick up X put it P Y and close it",
      "place X P Y and shut it"}},
    {"put X P Y and put Z Q W",
     {"place X P Y and place Z Q W", "put X P Y then put Z Q W", "place X P Y and put Z Q W",
      "put X P Y and Z Q W"}},
    {"put X P Y",
     {"place X P Y", "set X down P Y", "pick up X and put it P Y", "take X and place it P Y",
      "grab X and put it P Y"}},
    {"stack X on Y and place them P Z",
     {"put X on Y and place them P Z", "stack X on Y then put both P Z",
      "place X on top of Y and put them P Z"}},
    {"stack X on Y",
     {"put X on Y", "place X on top of Y", "pick up X and stack it on Y", "set X down on Y"}},
    {"push X to Y", {"slide X to Y", "move X to Y", "push X over to Y"}},
    {"turn on X and put Y on it",
     {"switch on X and place Y on it", "turn X on then put Y on it", "switch X on and set Y on it",
      "turn on X and place Y on top of it"}},
    {"turn on X", {"switch on X", "turn X on", "switch X on"}},
    {"turn off X", {"switch off X", "turn X off", "switch X off"}},
    {"open X and put Y inside",
     {"open X and place Y inside", "open X then put Y in it", "pull X open and put Y inside"}},
    {"open X and put Y in it",
     {"open X and place Y in it", "open X then put Y inside", "pull X open and put Y inside"}},
    {"close X and put Y on top of it",
     {"shut X and place Y on top of it", "close X then put Y on top of it",
      "close X and place Y on it"}},
    {"close X and open Y", {"shut X and open Y", "close X then open Y", "shut X and pull Y open"}},
    {"open X and close Y", {"open X then close Y", "pull X open and close Y", "open X and shut Y"}},
    {"open X", {"pull X open", "open up X"}},
    {"close X", {"shut X", "push X shut"}},
};

/* ---- words ---- */

typedef struct words {
  int n;
  struct {
    const char *at;
    int n_byte;
  } item[WORDS_MAX];
} words;

/* False: there are too many. */
static bool split(const char *text, words *w)
{
  w->n = 0;
  for (const char *at = text + strspn(text, " "); *at; at += strspn(at, " ")) {
    int n_byte = (int)strcspn(at, " ");
    if (w->n == WORDS_MAX)
      return false;
    w->item[w->n].at = at;
    w->item[w->n++].n_byte = n_byte;
    at += n_byte;
  }
  return true;
}

static bool is_word(const words *w, int i, const char *word, size_t n_byte)
{
  return i < w->n && (size_t)w->item[i].n_byte == n_byte &&
         memcmp(w->item[i].at, word, n_byte) == 0;
}

/* How many words of w from i on are those of phrase; 0: they differ. */
static int match_phrase(const words *w, int i, const char *phrase)
{
  int n = 0;
  for (const char *at = phrase; *at; n++) {
    size_t n_byte = strcspn(at, " ");
    if (!is_word(w, i + n, at, n_byte))
      return 0;
    at += n_byte + (at[n_byte] == ' ');
  }
  return n;
}

/* ---- forms ---- */

/* Words that each variable stands for: [first, first + n). */
typedef struct binding {
  int first, n;
} binding;

static bool is_variable(const char *at)
{
  return *at >= 'A' && *at <= 'Z' && (at[1] == ' ' || at[1] == '\0');
}

/* Whether the words from i to the end have the form; shorter phrases are tried first. */
static bool match(const words *w, int i, const char *said, binding *bound)
{
  if (*said == '\0')
    return i == w->n;
  size_t n_byte = strcspn(said, " ");
  const char *rest = said + n_byte + (said[n_byte] == ' ');
  if (!is_variable(said))
    return is_word(w, i, said, n_byte) && match(w, i + 1, rest, bound);
  binding *b = &bound[*said - 'A'];
  if (*said == 'P' || *said == 'Q') {
    for (size_t k = 0; k < VK_COUNT(where); k++) {
      *b = (binding){i, match_phrase(w, i, where[k])};
      if (b->n > 0 && match(w, i + b->n, rest, bound))
        return true;
    }
    return false;
  }
  for (*b = (binding){i, 1}; i + b->n <= w->n; b->n++)
    if (match(w, i + b->n, rest, bound))
      return true;
  return false;
}

static const form *find_form(const words *w, binding *bound)
{
  for (size_t i = 0; i < VK_COUNT(forms); i++)
    if (match(w, 0, forms[i].said, bound))
      return &forms[i];
  return NULL;
}

/* Writes words behind what is in out, of which *used bytes are; false when they do not fit. */
static bool put(char *out, size_t n, size_t *used, const char *at, size_t n_byte)
{
  if (*used + (*used > 0) + n_byte + 1 > n)
    return false;
  if (*used > 0)
    out[(*used)++] = ' ';
  memcpy(out + *used, at, n_byte);
  *used += n_byte;
  out[*used] = '\0';
  return true;
}

/* The form with its variables replaced; "" when it does not fit. */
static void fill(const char *instead, const words *w, const binding *bound, char *out, size_t n)
{
  size_t used = 0;
  int n_word = 0;
  bool fits = n > 0;
  for (const char *at = instead; *at && fits;) {
    size_t n_byte = strcspn(at, " ");
    binding b = is_variable(at) ? bound[*at - 'A'] : (binding){0, 0};
    for (int i = b.first; i < b.first + b.n && fits; i++)
      fits = put(out, n, &used, w->item[i].at, (size_t)w->item[i].n_byte);
    if (b.n == 0)
      fits = put(out, n, &used, at, n_byte);
    n_word += b.n ? b.n : 1;
    at += n_byte + (at[n_byte] == ' ');
  }
  if (n > 0 && (!fits || n_word > VK_TEXT_WORD_MAX))
    out[0] = '\0';
}

static int n_alternative(const form *f)
{
  int n = 0;
  while (f && f->instead[n])
    n++;
  return n;
}

int vk_paraphrase_count(const char *instruction)
{
  words w;
  binding bound[N_VARIABLE];
  return split(instruction, &w) ? n_alternative(find_form(&w, bound)) : 0;
}

void vk_paraphrase_at(const char *instruction, int i, char *out, size_t n)
{
  words w;
  binding bound[N_VARIABLE];
  const form *f = split(instruction, &w) ? find_form(&w, bound) : NULL;
  VK_ASSERT(i >= 0 && i < n_alternative(f) && n > 0);
  fill(f->instead[i], &w, bound, out, n);
}

void vk_paraphrase(const char *instruction, vk_paraphrase_set set, vk_philox *rng, char *out,
                   size_t n)
{
  words w;
  binding bound[N_VARIABLE];
  const form *f = split(instruction, &w) ? find_form(&w, bound) : NULL;
  int n_way = n_alternative(f), n_train = n_way > 0 ? n_way - 1 : 0;
  uint32_t draw = vk_philox_u32(rng);
  int i = set == VK_PARAPHRASE_HELD_OUT ? n_train : (int)((uint64_t)draw * (uint64_t)n_train >> 32);
  out[0] = '\0';
  if (n_way > 0)
    fill(f->instead[i], &w, bound, out, n);
  if (out[0] == '\0')
    snprintf(out, n, "%s", instruction);
}

void vk_drop_words(char *text, double p, vk_philox *rng)
{
  words w;
  bool is_dropped[WORDS_MAX];
  int n_left = 0;
  if (!split(text, &w))
    return;
  for (int i = 0; i < w.n; i++) {
    is_dropped[i] = vk_philox_double(rng) < p;
    n_left += !is_dropped[i];
  }
  char *to = text;
  for (int i = 0; i < w.n && n_left > 0; i++) {
    if (is_dropped[i])
      continue;
    if (to > text)
      *to++ = ' ';
    memmove(to, w.item[i].at, (size_t)w.item[i].n_byte);
    to += w.item[i].n_byte;
  }
  if (n_left > 0)
    *to = '\0';
}
