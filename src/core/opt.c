#include "core/opt.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  WORD_MAX = 255,  /* longer words are nobody's misspelling */
  NAMES_MAX = 320, /* bytes of a list of names in a sentence of vk_err */
  GIVEN_MAX = 64,  /* options of a command that take one value, with the common ones */
};

/* Levenshtein distance; both words are at most WORD_MAX long. */
static size_t edit_distance(const char *a, const char *b)
{
  size_t row[WORD_MAX + 1];
  size_t n_a = strlen(a), n_b = strlen(b);
  for (size_t i_b = 0; i_b <= n_b; i_b++)
    row[i_b] = i_b;
  for (size_t i_a = 0; i_a < n_a; i_a++) {
    size_t diagonal = row[0];
    row[0] = i_a + 1;
    for (size_t i_b = 0; i_b < n_b; i_b++) {
      size_t best = diagonal + (a[i_a] != b[i_b]);
      if (row[i_b] + 1 < best)
        best = row[i_b] + 1;
      if (row[i_b + 1] + 1 < best)
        best = row[i_b + 1] + 1;
      diagonal = row[i_b + 1];
      row[i_b + 1] = best;
    }
  }
  return row[n_b];
}

/* The search for the nearest of several lists: *best is the name found so far, *d its distance. */
static void nearer(const char *word, const char *candidate, const char **best, size_t *d)
{
  size_t n_word = strlen(word), n = strlen(candidate), limit = 1 + n_word / 3;
  if (n_word > WORD_MAX || n > WORD_MAX || (n > n_word ? n - n_word : n_word - n) > limit)
    return;
  size_t distance = edit_distance(word, candidate);
  if (distance <= limit && (!*best || distance < *d)) {
    *best = candidate;
    *d = distance;
  }
}

const char *vk_opt_nearest(const char *word, const char *const *candidates)
{
  const char *best = NULL;
  size_t d = 0;
  for (; *candidates; candidates++)
    nearer(word, *candidates, &best, &d);
  return best;
}

/* "all, none, some"; what has no room is said by "...". */
static void join_names(const char *const *names, char *out, size_t size)
{
  size_t at = 0;
  out[0] = '\0';
  for (int i = 0; names[i]; i++) {
    const char *gap = i ? ", " : "";
    if (at + strlen(names[i]) + sizeof ", , ..." > size) {
      snprintf(out + at, size - at, "%s...", gap);
      return;
    }
    at += (size_t)snprintf(out + at, size - at, "%s%s", gap, names[i]);
  }
}

vk_status vk_opt_fail_name(vk_err *err, const char *what, const char *word,
                           const char *const *names)
{
  char all[NAMES_MAX];
  const char *best = vk_opt_nearest(word, names);
  if (best)
    return vk_fail(err, VK_E_USAGE, "unknown %s '%.80s'; did you mean %s?", what, word, best);
  join_names(names, all, sizeof all);
  return vk_fail(err, VK_E_USAGE, "unknown %s '%.80s'; there are %s", what, word, all);
}

static vk_status fail_unknown(const vk_opt_set *sets, int n_set, const char *word, vk_err *err)
{
  char name[WORD_MAX + 1];
  snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
  const char *best = NULL;
  size_t d = 0;
  for (int i_set = 0; i_set < n_set; i_set++)
    for (const vk_opt *opt = sets[i_set].opts; opt && opt->kind != VK_OPT_KIND_END; opt++)
      nearer(name + strspn(name, "-"), opt->name, &best, &d);
  if (best)
    return vk_fail(err, VK_E_USAGE, "unknown option %s; did you mean --%s?", name, best);
  return vk_fail(err, VK_E_USAGE, "unknown option %s", name);
}

/* The option that a word "--NAME", "--NAME=V" or "-C" names, and the struct that it fills. */
static const vk_opt *find(const vk_opt_set *sets, int n_set, const char *word, void **args)
{
  bool is_long = word[1] == '-';
  const char *name = word + 2;
  size_t n = strcspn(name, "=");
  for (int i_set = 0; i_set < n_set; i_set++)
    for (const vk_opt *opt = sets[i_set].opts; opt && opt->kind != VK_OPT_KIND_END; opt++) {
      bool is_it = is_long ? strncmp(opt->name, name, n) == 0 && opt->name[n] == '\0'
                           : opt->short_name && opt->short_name == word[1] && !word[2];
      if (is_it) {
        *args = sets[i_set].args;
        return opt;
      }
    }
  return NULL;
}

/* "-5" and "-.5" are values, "-x" and "--x" are options, "-" is standard input. */
static bool is_option_word(const char *word)
{
  if (word[0] != '-' || word[1] == '\0')
    return false;
  return !((word[1] >= '0' && word[1] <= '9') || word[1] == '.');
}

void vk_opt_format_range(const vk_opt *opt, char *out, size_t size)
{
  const char *unit = opt->unit ? opt->unit : "", *gap = opt->unit ? " " : "";
  bool is_open_lo = opt->lo <= -1e18, is_open_hi = opt->hi >= 1e18;
  const char *kind = opt->kind == VK_OPT_KIND_I64 ? "a whole number" : "a number";
  if (is_open_lo && is_open_hi)
    snprintf(out, size, "%s%s%s", kind, gap, unit);
  else if (is_open_hi)
    snprintf(out, size, "%s of at least %.15g%s%s", kind, opt->lo, gap, unit);
  else if (is_open_lo)
    snprintf(out, size, "%s of at most %.15g%s%s", kind, opt->hi, gap, unit);
  else
    snprintf(out, size, "%s from %.15g to %.15g%s%s", kind, opt->lo, opt->hi, gap, unit);
}

static vk_status fail_number(const vk_opt *opt, const char *value, vk_err *err)
{
  char range[160];
  vk_opt_format_range(opt, range, sizeof range);
  return vk_fail(err, VK_E_USAGE, "--%s takes %s, not '%.80s'", opt->name, range, value);
}

static vk_status set_number(const vk_opt *opt, void *member, const char *value, vk_err *err)
{
  char *end = NULL;
  errno = 0;
  /* strtoll and strtod skip white space, which no one types on purpose */
  if (value[strspn(value, " \t\n\v\f\r")] != value[0])
    return fail_number(opt, value, err);
  if (opt->kind == VK_OPT_KIND_I64) {
    long long number = strtoll(value, &end, 10);
    if (end == value || *end || errno || (double)number < opt->lo || (double)number > opt->hi)
      return fail_number(opt, value, err);
    *(int64_t *)member = number;
    return VK_OK;
  }
  double number = strtod(value, &end);
  if (end == value || *end || !isfinite(number) || number < opt->lo || number > opt->hi)
    return fail_number(opt, value, err);
  *(double *)member = number;
  return VK_OK;
}

static vk_status check_choice(const vk_opt *opt, const char *value, vk_err *err)
{
  char all[NAMES_MAX];
  for (int i = 0; opt->choices[i]; i++)
    if (strcmp(opt->choices[i], value) == 0)
      return VK_OK;
  join_names(opt->choices, all, sizeof all);
  const char *best = vk_opt_nearest(value, opt->choices);
  if (best)
    return vk_fail(err, VK_E_USAGE, "--%s is one of %s, not '%.80s'; did you mean %s?", opt->name,
                   all, value, best);
  return vk_fail(err, VK_E_USAGE, "--%s is one of %s, not '%.80s'", opt->name, all, value);
}

static vk_status set_value(const vk_opt *opt, void *args, const char *value, vk_err *err)
{
  void *member = (char *)args + opt->offset;
  if (!*value)
    return vk_fail(err, VK_E_USAGE, "--%s needs a %s, found an empty word", opt->name,
                   opt->metavar ? opt->metavar : "value");
  switch (opt->kind) {
  case VK_OPT_KIND_I64:
  case VK_OPT_KIND_F64:
    VK_TRY(set_number(opt, member, value, err));
    break;
  case VK_OPT_KIND_STR:
    if (opt->choices)
      VK_TRY(check_choice(opt, value, err));
    *(const char **)member = value;
    break;
  case VK_OPT_KIND_LIST: {
    vk_opt_list *list = member;
    if (list->n >= VK_OPT_LIST_MAX)
      return vk_fail(err, VK_E_USAGE, "--%s takes at most %d values", opt->name, VK_OPT_LIST_MAX);
    list->item[list->n++] = value;
    break;
  }
  default:
    VK_ASSERT(!"an option that takes a value");
  }
  if (opt->given_offset != VK_OPT_NO_GIVEN)
    *(bool *)((char *)args + opt->given_offset) = true;
  return VK_OK;
}

/* The options with one value that were there already. */
typedef struct given_opts {
  int n;
  const vk_opt *opt[GIVEN_MAX];
} given_opts;

/* Of two values one would be dropped, and with it half of what was asked for. A flag says the same
 * twice. */
static vk_status note_given(given_opts *given, const vk_opt *opt, vk_err *err)
{
  if (opt->kind == VK_OPT_KIND_FLAG || opt->kind == VK_OPT_KIND_LIST)
    return VK_OK;
  for (int i = 0; i < given->n; i++)
    if (given->opt[i] == opt)
      return vk_fail(err, VK_E_USAGE, "--%s is given twice; it takes one value", opt->name);
  VK_ASSERT(given->n < GIVEN_MAX);
  given->opt[given->n++] = opt;
  return VK_OK;
}

/* Parses the option at argv[*i] with its value or values; *i is left at the last word used. */
static vk_status parse_option(const vk_opt_set *sets, int n_set, int argc, const char *const *argv,
                              int *i, given_opts *given, vk_err *err)
{
  const char *word = argv[*i];
  const char *equals = word[1] == '-' ? strchr(word, '=') : NULL;
  void *args = NULL;
  const vk_opt *opt = find(sets, n_set, word, &args);
  if (!opt)
    return fail_unknown(sets, n_set, word, err);
  VK_TRY(note_given(given, opt, err));
  if (opt->kind == VK_OPT_KIND_FLAG) {
    if (equals)
      return vk_fail(err, VK_E_USAGE, "--%s takes no value, found '%.80s'", opt->name, equals + 1);
    *(bool *)((char *)args + opt->offset) = true;
    if (opt->given_offset != VK_OPT_NO_GIVEN)
      *(bool *)((char *)args + opt->given_offset) = true;
    return VK_OK;
  }
  if (equals)
    return set_value(opt, args, equals + 1, err);
  if (*i + 1 >= argc || is_option_word(argv[*i + 1]))
    return vk_fail(err, VK_E_USAGE, "--%s needs a %s", opt->name,
                   opt->metavar ? opt->metavar : "value");
  do
    VK_TRY(set_value(opt, args, argv[++*i], err));
  while (opt->kind == VK_OPT_KIND_LIST && *i + 1 < argc && !is_option_word(argv[*i + 1]));
  return VK_OK;
}

vk_status vk_opt_parse(const vk_opt_set *sets, int n_set, int argc, const char *const *argv,
                       const char **positional, int *n_positional, vk_err *err)
{
  bool is_ended = false;
  given_opts given = {0};
  *n_positional = 0;
  for (int i = 0; i < argc; i++) {
    if (is_ended || !is_option_word(argv[i]))
      positional[(*n_positional)++] = argv[i];
    else if (strcmp(argv[i], "--") == 0)
      is_ended = true;
    else
      VK_TRY(parse_option(sets, n_set, argc, argv, &i, &given, err));
  }
  return VK_OK;
}
