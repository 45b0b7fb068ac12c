#include "core/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "core/opt.h"

enum { DEPTH_MAX = 100 };

static const size_t size_max = 1u << 28; /* a JSON file; larger ones are a mistake */
static const double exact_max = 9007199254740992.0;

/* ---- the text, before cJSON sees it ----
 *
 * cJSON is lenient (control characters count as space, 01 and 1. as numbers, \u0000 ends a string)
 * and recursive, so the tokens and the depth are checked first. */

static vk_status fail_at(vk_err *err, const char *text, size_t at, const char *what,
                         const char *fault)
{
  int line = 1, column = 1;
  for (size_t i = 0; i < at; i++) {
    if (text[i] == '\n') {
      line++;
      column = 1;
    } else if (((unsigned char)text[i] & 0xc0) != 0x80) { /* a character's first byte */
      column++;
    }
  }
  return vk_fail(err, VK_E_FORMAT, "%s:%d:%d: %s", what, line, column, fault);
}

/* Bytes of the UTF-8 character at s, 0 when it is not one (overlong, surrogate, beyond U+10FFFF).
 */
static size_t utf8_len(const char *text, size_t n)
{
  const unsigned char *s = (const unsigned char *)text;
  if (n == 0 || s[0] < 0x80)
    return n > 0;
  size_t len = s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : 4;
  if (s[0] < 0xc2 || s[0] > 0xf4 || n < len)
    return 0;
  for (size_t i = 1; i < len; i++)
    if ((s[i] & 0xc0) != 0x80)
      return 0;
  if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
      (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
    return 0;
  return len;
}

static bool is_digit(char c)
{
  return c >= '0' && c <= '9';
}

/* Bytes of the number at text, 0 when it does not follow JSON's grammar. */
static size_t number_len(const char *text, size_t n)
{
  size_t i = n > 0 && text[0] == '-';
  size_t start = i;
  while (i < n && is_digit(text[i]))
    i++;
  if (i == start || (text[start] == '0' && i > start + 1))
    return 0;
  if (i < n && text[i] == '.') {
    start = ++i;
    while (i < n && is_digit(text[i]))
      i++;
    if (i == start)
      return 0;
  }
  if (i < n && (text[i] == 'e' || text[i] == 'E')) {
    i++;
    i += i < n && (text[i] == '+' || text[i] == '-');
    start = i;
    while (i < n && is_digit(text[i]))
      i++;
    if (i == start)
      return 0;
  }
  return i;
}

/* text[*at] is an opening quote; moves *at behind the closing one. NULL, or what is wrong at *at.
 */
static const char *skip_string(const char *text, size_t n, size_t *at)
{
  for (size_t i = *at + 1; i < n;) {
    if (text[i] == '"') {
      *at = i + 1;
      return NULL;
    }
    size_t len = utf8_len(text + i, n - i);
    size_t here = i;
    i += len;
    if (text[here] == '\\') {
      if (n - here >= 6 && memcmp(text + here, "\\u0000", 6) == 0) {
        *at = here;
        return "a string holds the character U+0000";
      }
      i++;
    }
    if (len == 0 || (unsigned char)text[here] < 0x20) {
      *at = here;
      return len == 0 ? "a string is not valid UTF-8" : "a string holds a control character";
    }
  }
  return "a string without its closing quote";
}

/* What is wrong at *at, NULL when nothing is. Every ':' outside strings ends the key of a member;
 * the place of number i_colon (from 0) goes to *colon_at. */
static const char *check_text(const char *text, size_t n, int64_t i_colon, size_t *colon_at,
                              size_t *at)
{
  int64_t depth = 0;
  for (size_t i = 0; i < n;) {
    char c = text[i];
    *at = i;
    if (c == '"') {
      const char *fault = skip_string(text, n, at);
      if (fault)
        return fault;
      i = *at;
    } else if (c == '-' || is_digit(c)) {
      size_t len = number_len(text + i, n - i);
      if (len == 0)
        return "not a number of JSON's form";
      i += len;
    } else {
      if ((unsigned char)c < 0x20 && c != '\n' && c != '\t' && c != '\r')
        return "a control character";
      if (c == '{' || c == '[')
        depth++;
      if (depth > DEPTH_MAX)
        return "nested more than 100 deep";
      if (c == '}' || c == ']')
        depth--;
      if (c == ':' && i_colon-- == 0)
        *colon_at = i;
      i++;
    }
  }
  return NULL;
}

/* ---- the tree that cJSON made of it ---- */

typedef struct key {
  const char *name;
  int64_t i_member; /* members before this one in the whole text */
} key;

static int compare_keys(const void *a, const void *b)
{
  const key *x = a, *y = b;
  int order = strcmp(x->name, y->name);
  return order ? order : (x->i_member > y->i_member) - (x->i_member < y->i_member);
}

typedef struct walk {
  int64_t n_member;    /* seen so far, in the order of the text */
  int64_t i_duplicate; /* a member whose key its object already has; -1: none */
  bool infinite;       /* a number is too large for a double */
  bool no_memory;
} walk;

static void walk_tree(walk *w, const cJSON *value)
{
  if (cJSON_IsNumber(value) && !(value->valuedouble - value->valuedouble == 0))
    w->infinite = true;
  int n = cJSON_GetArraySize(value);
  key *keys = cJSON_IsObject(value) && n > 0 ? malloc((size_t)n * sizeof *keys) : NULL;
  if (cJSON_IsObject(value) && n > 0 && !keys) {
    w->no_memory = true;
    return;
  }
  const cJSON *child;
  int i = 0;
  cJSON_ArrayForEach(child, value)
  {
    if (keys)
      keys[i++] = (key){child->string, w->n_member++};
    walk_tree(w, child);
  }
  if (keys)
    qsort(keys, (size_t)n, sizeof *keys, compare_keys);
  for (i = 1; keys && i < n; i++)
    if (strcmp(keys[i - 1].name, keys[i].name) == 0)
      w->i_duplicate = keys[i].i_member;
  free(keys);
}

static vk_status check_tree(const cJSON *tree, const char *text, size_t n, const char *what,
                            vk_err *err)
{
  walk w = {.i_duplicate = -1};
  walk_tree(&w, tree);
  if (w.no_memory)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory to check it", what);
  if (w.infinite)
    return vk_fail(err, VK_E_RANGE, "%s: a number is larger than a double can hold", what);
  if (w.i_duplicate >= 0) {
    size_t at, colon_at = 0;
    check_text(text, n, w.i_duplicate, &colon_at, &at);
    return fail_at(err, text, colon_at, what, "this object already has a member of that name");
  }
  return VK_OK;
}

vk_status vk_json_parse(cJSON **out, const char *text, size_t n, const char *what, vk_err *err)
{
  *out = NULL;
  size_t at = 0, colon_at;
  const char *fault = check_text(text, n, -1, &colon_at, &at);
  if (fault)
    return fail_at(err, text, at, what, fault);
  /* A copy with a NUL: cJSON before 1.7.18 reads one byte behind a text that ends in a comma. */
  char *copy = malloc(n + 1);
  if (!copy)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory to read it", what);
  memcpy(copy, text, n);
  copy[n] = '\0';
  const char *end = copy;
  cJSON *tree = n > 0 ? cJSON_ParseWithLengthOpts(copy, n, &end, false) : NULL;
  at = (size_t)(end - copy);
  free(copy);
  if (!tree) /* cJSON puts what comes behind the end on the last byte */
    return fail_at(err, text, at, what,
                   at + 1 < n ? "not valid JSON from here on" : "not valid JSON, or cut short");
  while (at < n && strchr(" \n\t\r", text[at]))
    at++;
  vk_status st = at < n ? fail_at(err, text, at, what, "text follows the JSON value")
                        : check_tree(tree, text, n, what, err);
  if (st != VK_OK)
    cJSON_Delete(tree);
  else
    *out = tree;
  return st;
}

vk_status vk_json_read(cJSON **out, const char *path, vk_err *err)
{
  *out = NULL;
  char *text = NULL;
  size_t n = 0;
  VK_TRY(vk_fs_read(&text, &n, path, size_max, err));
  vk_status st = vk_json_parse(out, text, n, path, err);
  free(text);
  return st;
}

/* ---- members ---- */

static vk_status get_member(const cJSON *object, const char *key_name, const cJSON **out,
                            const char *what, vk_err *err)
{
  *out = cJSON_GetObjectItemCaseSensitive(object, key_name);
  return *out ? VK_OK : vk_fail(err, VK_E_NOTFOUND, "%s: there is no \"%s\"", what, key_name);
}

static const char *type_name(const cJSON *value)
{
  return cJSON_IsObject(value)   ? "an object"
         : cJSON_IsArray(value)  ? "an array"
         : cJSON_IsString(value) ? "a string"
         : cJSON_IsNumber(value) ? "a number"
         : cJSON_IsBool(value)   ? "true or false"
                                 : "null";
}

static vk_status fail_type(const cJSON *value, const char *key_name, const char *expected,
                           const char *what, vk_err *err)
{
  return vk_fail(err, VK_E_FORMAT, "%s: \"%s\" is %s, expected %s", what, key_name,
                 type_name(value), expected);
}

vk_status vk_json_check_keys(const cJSON *object, const char *const *keys, const char *what,
                             vk_err *err)
{
  if (!cJSON_IsObject(object))
    return vk_fail(err, VK_E_FORMAT, "%s is %s, expected an object", what, type_name(object));
  const cJSON *member;
  cJSON_ArrayForEach(member, object)
  {
    int i = 0;
    while (keys[i] && strcmp(keys[i], member->string) != 0)
      i++;
    if (keys[i])
      continue;
    const char *near = vk_opt_nearest(member->string, keys);
    return vk_fail(err, VK_E_FORMAT, "%s: unknown key \"%s\"%s%s%s", what, member->string,
                   near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
  }
  return VK_OK;
}

vk_status vk_json_get_bool(const cJSON *object, const char *key_name, bool *out, const char *what,
                           vk_err *err)
{
  const cJSON *value = NULL;
  VK_TRY(get_member(object, key_name, &value, what, err));
  if (!cJSON_IsBool(value))
    return fail_type(value, key_name, "true or false", what, err);
  *out = cJSON_IsTrue(value);
  return VK_OK;
}

vk_status vk_json_get_f64(const cJSON *object, const char *key_name, double *out, const char *what,
                          vk_err *err)
{
  const cJSON *value = NULL;
  VK_TRY(get_member(object, key_name, &value, what, err));
  if (!cJSON_IsNumber(value))
    return fail_type(value, key_name, "a number", what, err);
  *out = value->valuedouble;
  return VK_OK;
}

vk_status vk_json_get_i64(const cJSON *object, const char *key_name, int64_t *out, const char *what,
                          vk_err *err)
{
  double number = 0;
  VK_TRY(vk_json_get_f64(object, key_name, &number, what, err));
  if (!(number >= -exact_max && number <= exact_max) || number != (double)(int64_t)number)
    return vk_fail(err, VK_E_RANGE, "%s: \"%s\" is %.17g, expected a whole number", what, key_name,
                   number);
  *out = (int64_t)number;
  return VK_OK;
}

vk_status vk_json_get_str(const cJSON *object, const char *key_name, const char **out,
                          const char *what, vk_err *err)
{
  const cJSON *value = NULL;
  VK_TRY(get_member(object, key_name, &value, what, err));
  if (!cJSON_IsString(value))
    return fail_type(value, key_name, "a string", what, err);
  *out = value->valuestring;
  return VK_OK;
}

const char *vk_json_str(const cJSON *object, const char *key_name)
{
  const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key_name));
  return text ? text : "";
}

vk_status vk_json_get_f64s(const cJSON *object, const char *key_name, int n, double *out,
                           const char *what, vk_err *err)
{
  const cJSON *value = NULL;
  VK_TRY(get_member(object, key_name, &value, what, err));
  if (!cJSON_IsArray(value))
    return fail_type(value, key_name, "an array of numbers", what, err);
  if (cJSON_GetArraySize(value) != n)
    return vk_fail(err, VK_E_SHAPE, "%s: \"%s\" has %d items, expected %d", what, key_name,
                   cJSON_GetArraySize(value), n);
  const cJSON *item;
  int i = 0;
  cJSON_ArrayForEach(item, value)
  {
    if (!cJSON_IsNumber(item))
      return fail_type(item, key_name, "an array of numbers", what, err);
    out[i++] = item->valuedouble;
  }
  return VK_OK;
}

/* ---- printing ---- */

static void replace_invalid_utf8(char *text)
{
  size_t n = text ? strlen(text) : 0;
  for (size_t i = 0; i < n;) {
    size_t len = utf8_len(text + i, n - i);
    if (len == 0)
      text[i] = '?';
    i += len ? len : 1;
  }
}

/* cJSON prints a number with 15 digits when that is within one part in 2^52 of it, which is not
 * always the same number: numbers are handed to it as text. Strings (file names) that are not UTF-8
 * would make the whole line invalid. False: no memory. */
static bool prepare_to_print(cJSON *value)
{
  replace_invalid_utf8(value->string);
  replace_invalid_utf8(value->valuestring);
  if (cJSON_IsNumber(value) && value->valuedouble - value->valuedouble == 0) {
    char text[32];
    for (int n_digit = 15; n_digit <= 17; n_digit++) {
      snprintf(text, sizeof text, "%.*g", n_digit, value->valuedouble);
      if (strtod(text, NULL) == value->valuedouble)
        break;
    }
    value->valuestring = cJSON_malloc(strlen(text) + 1);
    if (!value->valuestring)
      return false;
    memcpy(value->valuestring, text, strlen(text) + 1);
    value->type = cJSON_Raw;
  }
  cJSON *child;
  cJSON_ArrayForEach(child, value)
  {
    if (!prepare_to_print(child))
      return false;
  }
  return true;
}

static vk_status print(char **out, const cJSON *value, bool is_indented, vk_err *err)
{
  cJSON *copy = cJSON_Duplicate(value, true);
  bool ok = copy && prepare_to_print(copy);
  *out = !ok ? NULL : is_indented ? cJSON_Print(copy) : cJSON_PrintUnformatted(copy);
  cJSON_Delete(copy);
  return *out ? VK_OK : vk_fail(err, VK_E_NOMEM, "no memory to write JSON");
}

vk_status vk_json_text(char **out, const cJSON *value, vk_err *err)
{
  return print(out, value, false, err);
}

vk_status vk_json_text_indented(char **out, const cJSON *value, vk_err *err)
{
  return print(out, value, true, err);
}

vk_status vk_json_print(const cJSON *value, vk_err *err)
{
  char *text = NULL;
  VK_TRY(vk_json_text(&text, value, err));
  fputs(text, stdout);
  fputc('\n', stdout);
  cJSON_free(text);
  return VK_OK;
}
