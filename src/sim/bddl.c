#include "sim/bddl.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names are looked for among those before them: the longest list of LIBERO has 29. */
enum { BDDL_BYTES_MAX = 1 << 20, BDDL_LIST_MAX = 4096 };

typedef struct bddl_token {
  const char *text; /* "(", ")" or a word; NULL at the end of the file */
  int line;
} bddl_token;

typedef struct bddl_reader {
  vk_bddl *b;
  bddl_token *token;
  int at;
  const char *name;
  vk_err *err;
  unsigned seen; /* bit per section */
} bddl_reader;

/* ---- tokens --------------------------------------------------------------------------------- */

/* Splits text, which is lower case by now, at white space and parentheses; words are ended with NUL
 * in place. Room for n + 1 tokens. */
static void split_tokens(char *text, size_t n, bddl_token *token)
{
  int line = 1, n_token = 0;
  bool in_word = false, in_comment = false;
  for (size_t i = 0; i < n; i++) {
    char c = text[i];
    in_comment = c != '\n' && (in_comment || c == ';');
    bool is_word = !in_comment && c != '(' && c != ')' && !isspace((unsigned char)c);
    if (is_word && !in_word)
      token[n_token++] = (bddl_token){text + i, line};
    else if (!in_comment && (c == '(' || c == ')'))
      token[n_token++] = (bddl_token){c == '(' ? "(" : ")", line};
    if (!is_word)
      text[i] = '\0';
    in_word = is_word;
    line += c == '\n';
  }
  token[n_token] = (bddl_token){NULL, line};
}

static const bddl_token *peek(const bddl_reader *r)
{
  return &r->token[r->at];
}

static bool is_paren(const char *text)
{
  return text[0] == '(' || text[0] == ')';
}

static vk_status fail_token(bddl_reader *r, const char *expected)
{
  const bddl_token *t = peek(r);
  if (!t->text)
    return vk_fail(r->err, VK_E_FORMAT, "%s line %d: the file ends, expected %s", r->name, t->line,
                   expected);
  return vk_fail(r->err, VK_E_FORMAT, "%s line %d: found \"%.40s\", expected %s", r->name, t->line,
                 t->text, expected);
}

static bool accept(bddl_reader *r, const char *text)
{
  if (!peek(r)->text || strcmp(peek(r)->text, text) != 0)
    return false;
  r->at++;
  return true;
}

static vk_status expect(bddl_reader *r, const char *text)
{
  char what[60];
  snprintf(what, sizeof what, "\"%s\"", text);
  return accept(r, text) ? VK_OK : fail_token(r, what);
}

static vk_status read_word(bddl_reader *r, const char *what, const char **out)
{
  if (!peek(r)->text || is_paren(peek(r)->text))
    return fail_token(r, what);
  *out = r->token[r->at++].text;
  return VK_OK;
}

static vk_status read_number(bddl_reader *r, double *out)
{
  const char *text = peek(r)->text;
  if (!text || strspn(text, "0123456789+-.e") != strlen(text))
    return fail_token(r, "a number");
  char *end;
  *out = strtod(text, &end);
  if (end == text || *end != '\0' || !isfinite(*out))
    return fail_token(r, "a number");
  r->at++;
  return VK_OK;
}

/* "((n n ...))" with n numbers. */
static vk_status read_numbers(bddl_reader *r, double *out, int n)
{
  VK_TRY(expect(r, "("));
  VK_TRY(expect(r, "("));
  for (int i = 0; i < n; i++)
    VK_TRY(read_number(r, out + i));
  VK_TRY(expect(r, ")"));
  return expect(r, ")");
}

/* ---- sections ------------------------------------------------------------------------------- */

/* Room for one more item; sizes double. */
static vk_status grow(bddl_reader *r, void *array, int n, size_t size)
{
  if (n == BDDL_LIST_MAX)
    return vk_fail(r->err, VK_E_RANGE, "%s line %d: a list of more than %d items", r->name,
                   r->token[r->at].line, BDDL_LIST_MAX);
  if (n > 0 && (n < 8 || (n & (n - 1)) != 0))
    return VK_OK;
  void *old, *p;
  memcpy(&old, array, sizeof old);
  p = realloc(old, (n < 8 ? 8 : 2 * (size_t)n) * size);
  if (!p)
    return vk_fail(r->err, VK_E_NOMEM, "%s: no memory to read it", r->name);
  memcpy(array, &p, sizeof p);
  return VK_OK;
}

static vk_status read_language(bddl_reader *r)
{
  size_t room = 1;
  int first = r->at;
  const char *word;
  while (peek(r)->text && !is_paren(peek(r)->text)) {
    VK_TRY(read_word(r, "a word", &word));
    room += strlen(word) + 1;
  }
  free(r->b->language);
  r->b->language = malloc(room);
  if (!r->b->language)
    return vk_fail(r->err, VK_E_NOMEM, "%s: no memory to read it", r->name);
  char *p = r->b->language;
  for (int i = first; i < r->at; i++) {
    if (i > first)
      *p++ = ' ';
    p = stpcpy(p, r->token[i].text);
  }
  *p = '\0';
  return VK_OK;
}

static vk_status read_region_field(bddl_reader *r, vk_bddl_region *region)
{
  double rgba[4];
  VK_TRY(expect(r, "("));
  if (accept(r, ":target")) {
    if (region->target)
      return fail_token(r, "one :target only");
    VK_TRY(read_word(r, "the name of an object, a fixture or the arena", &region->target));
  } else if (!region->has_range && accept(r, ":ranges")) {
    VK_TRY(read_numbers(r, region->range, 4));
    region->has_range = true;
  } else if (!region->has_yaw && accept(r, ":yaw_rotation")) {
    VK_TRY(read_numbers(r, region->yaw_rad, 2));
    region->has_yaw = true;
  } else if (accept(r, ":rgba")) { /* the colour of a site that is never drawn */
    VK_TRY(expect(r, "("));
    for (int i = 0; i < 4; i++)
      VK_TRY(read_number(r, &rgba[i]));
    VK_TRY(expect(r, ")"));
  } else {
    return fail_token(r, ":target, :ranges, :yaw_rotation or :rgba, once each");
  }
  return expect(r, ")");
}

static vk_status read_regions(bddl_reader *r)
{
  vk_bddl *b = r->b;
  while (accept(r, "(")) {
    VK_TRY(grow(r, &b->region, b->n_region, sizeof *b->region));
    vk_bddl_region *region = &b->region[b->n_region];
    *region = (vk_bddl_region){.line = peek(r)->line};
    const char *own = "";
    VK_TRY(read_word(r, "the name of a region", &own));
    while (peek(r)->text && strcmp(peek(r)->text, "(") == 0)
      VK_TRY(read_region_field(r, region));
    if (!region->target)
      return fail_token(r, "a (:target NAME)");
    VK_TRY(expect(r, ")"));
    if (region->range[2] < region->range[0] || region->range[3] < region->range[1])
      return vk_fail(r->err, VK_E_FORMAT, "%s line %d: region %s ends before it begins", r->name,
                     region->line, own);
    if (asprintf(&region->name, "%s_%s", region->target, own) < 0) {
      region->name = NULL;
      return vk_fail(r->err, VK_E_NOMEM, "%s: no memory to read it", r->name);
    }
    b->n_region++;
    for (int i = 0; i < b->n_region - 1; i++)
      if (strcmp(b->region[i].name, region->name) == 0)
        return vk_fail(r->err, VK_E_FORMAT, "%s line %d: region %s is declared twice", r->name,
                       region->line, region->name);
  }
  return VK_OK;
}

/* "name... - category ...". */
static vk_status read_items(bddl_reader *r, vk_bddl_item **item, int *n_item)
{
  int first = 0;
  while (peek(r)->text && !is_paren(peek(r)->text)) {
    if (accept(r, "-")) {
      const char *category = "";
      if (first == *n_item)
        return fail_token(r, "names before \"- category\"");
      VK_TRY(read_word(r, "a category", &category));
      for (int i = 0; i < first; i++)
        if (strcmp((*item)[i].category, category) == 0)
          return vk_fail(r->err, VK_E_FORMAT,
                         "%s line %d: category %s is declared twice: put all its names on one line",
                         r->name, (*item)[first].line, category);
      for (; first < *n_item; first++)
        (*item)[first].category = category;
      continue;
    }
    VK_TRY(grow(r, item, *n_item, sizeof **item));
    vk_bddl_item *new = &(*item)[*n_item];
    *new = (vk_bddl_item){.line = peek(r)->line};
    VK_TRY(read_word(r, "a name", &new->name));
    for (int i = 0; i < *n_item; i++)
      if (strcmp((*item)[i].name, new->name) == 0)
        return vk_fail(r->err, VK_E_FORMAT, "%s line %d: %s is declared twice", r->name, new->line,
                       new->name);
    (*n_item)++;
  }
  return first == *n_item ? VK_OK : fail_token(r, "\"- category\" after the names");
}

static vk_status read_interest(bddl_reader *r)
{
  vk_bddl *b = r->b;
  while (peek(r)->text && !is_paren(peek(r)->text)) {
    VK_TRY(grow(r, &b->interest, b->n_interest, sizeof *b->interest));
    VK_TRY(read_word(r, "a name", &b->interest[b->n_interest]));
    b->n_interest++;
  }
  return VK_OK;
}

static vk_status read_atoms(bddl_reader *r, vk_bddl_atom **atom, int *n_atom)
{
  while (accept(r, "(")) {
    VK_TRY(grow(r, atom, *n_atom, sizeof **atom));
    vk_bddl_atom *a = &(*atom)[*n_atom];
    const bddl_token *t = peek(r);
    *a = (vk_bddl_atom){.kind = vk_atom_find(t->text ? t->text : ""), .b = "", .line = t->line};
    if (a->kind == VK_ATOM_N)
      return fail_token(r, "On, In, Open, Close, TurnOn or TurnOff");
    r->at++;
    VK_TRY(read_word(r, "a name", &a->a));
    if (a->kind == VK_ATOM_ON || a->kind == VK_ATOM_IN)
      VK_TRY(read_word(r, "a second name", &a->b));
    VK_TRY(expect(r, ")"));
    (*n_atom)++;
  }
  return VK_OK;
}

static vk_status read_goal(bddl_reader *r)
{
  VK_TRY(expect(r, "("));
  VK_TRY(expect(r, "and"));
  VK_TRY(read_atoms(r, &r->b->goal, &r->b->n_goal));
  if (r->b->n_goal == 0)
    return fail_token(r, "an atom");
  return expect(r, ")");
}

static vk_status read_section(bddl_reader *r)
{
  static const char *const names[] = {":domain",  ":language",        ":regions", ":fixtures",
                                      ":objects", ":obj_of_interest", ":init",    ":goal"};
  int k = 0;
  VK_TRY(expect(r, "("));
  while (k < (int)VK_COUNT(names) && ((r->seen >> k & 1) || !accept(r, names[k])))
    k++;
  vk_bddl *b = r->b;
  switch (k) {
  case 0:
    VK_TRY(expect(r, "robosuite"));
    break;
  case 1:
    VK_TRY(read_language(r));
    break;
  case 2:
    VK_TRY(read_regions(r));
    break;
  case 3:
    VK_TRY(read_items(r, &b->fixture, &b->n_fixture));
    break;
  case 4:
    VK_TRY(read_items(r, &b->object, &b->n_object));
    break;
  case 5:
    VK_TRY(read_interest(r));
    break;
  case 6:
    VK_TRY(read_atoms(r, &b->init, &b->n_init));
    break;
  case 7:
    VK_TRY(read_goal(r));
    break;
  default:
    return fail_token(r, ":domain, :language, :regions, :fixtures, :objects, :obj_of_interest, "
                         ":init or :goal, once each");
  }
  r->seen |= 1u << k;
  return expect(r, ")");
}

static vk_status read_file(bddl_reader *r)
{
  VK_TRY(expect(r, "("));
  VK_TRY(expect(r, "define"));
  VK_TRY(expect(r, "("));
  VK_TRY(expect(r, "problem"));
  VK_TRY(read_word(r, "the problem's name", &r->b->problem));
  VK_TRY(expect(r, ")"));
  while (peek(r)->text && strcmp(peek(r)->text, "(") == 0)
    VK_TRY(read_section(r));
  VK_TRY(expect(r, ")"));
  if (peek(r)->text)
    return fail_token(r, "the end of the file");
  if (r->b->n_goal == 0)
    return vk_fail(r->err, VK_E_FORMAT, "%s: there is no (:goal ...)", r->name);
  return VK_OK;
}

vk_status vk_bddl_parse(vk_bddl **out, const void *bytes, size_t n, const char *name, vk_err *err)
{
  *out = NULL;
  if (n > BDDL_BYTES_MAX)
    return vk_fail(err, VK_E_RANGE, "%s: %zu bytes, at most %d are read", name, n, BDDL_BYTES_MAX);
  const char *in = bytes;
  int line = 1;
  for (size_t i = 0; i < n; i++) {
    line += in[i] == '\n';
    if ((in[i] < 0x20 || in[i] > 0x7e) && !isspace((unsigned char)in[i]))
      return vk_fail(err, VK_E_FORMAT, "%s line %d: byte 0x%02x is not ASCII text", name, line,
                     (unsigned char)in[i]);
  }
  vk_bddl *b = calloc(1, sizeof *b);
  bddl_token *token = malloc((n + 1) * sizeof *token);
  char *text = malloc(n + 1);
  vk_status st = VK_OK;
  if (!b || !token || !text) {
    free(text);
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory to read it", name);
    goto done;
  }
  for (size_t i = 0; i < n; i++)
    text[i] = (char)tolower((unsigned char)in[i]);
  text[n] = '\0';
  b->text = text;
  split_tokens(text, n, token);
  bddl_reader r = {.b = b, .token = token, .name = name, .err = err};
  st = read_file(&r);
  if (st == VK_OK && !b->language && !(b->language = strdup("")))
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory to read it", name);
done:
  free(token);
  if (st != VK_OK) {
    vk_bddl_free(b);
    return st;
  }
  *out = b;
  return VK_OK;
}

void vk_bddl_free(vk_bddl *bddl)
{
  if (!bddl)
    return;
  for (int i = 0; i < bddl->n_region; i++)
    free(bddl->region[i].name);
  free(bddl->region);
  free(bddl->fixture);
  free(bddl->object);
  free(bddl->interest);
  free(bddl->init);
  free(bddl->goal);
  free(bddl->language);
  free(bddl->text);
  free(bddl);
}
