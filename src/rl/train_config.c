#include "rl/train_config.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"

enum { TEXT_BYTES = 1 << 20, FILE_BYTES_MAX = 1 << 20, VALUE_MAX = 200 };

/* A key with its place in the table. */
typedef struct place {
  const vk_train_section *section;
  const vk_opt *key;
  int i; /* of all keys */
} place;

/* The first key (p->key NULL), or the one after p; false at the end. */
static bool next(place *p)
{
  if (p->key) {
    p->key++;
    p->i++;
  } else {
    p->section = vk_train_sections;
    p->key = p->section->keys;
  }
  while (p->key->kind == VK_OPT_KIND_END) {
    if (!(++p->section)->title)
      return false;
    p->key = p->section->keys;
  }
  return true;
}

static void *member(const vk_train_config *c, const vk_opt *key)
{
  return (char *)c + key->offset;
}

/* VK_E_FORMAT or VK_E_USAGE with the nearest key. */
static vk_status find(place *p, const char *name, vk_status code, vk_err *err)
{
  const char *names[VK_TRAIN_KEYS_MAX + 1] = {NULL};
  for (*p = (place){0}; next(p);) {
    VK_ASSERT(p->i < VK_TRAIN_KEYS_MAX);
    names[p->i] = p->key->name;
    if (strcmp(p->key->name, name) == 0)
      return VK_OK;
  }
  const char *near = vk_opt_nearest(name, names);
  if (near)
    return vk_fail(err, code, "unknown key \"%.80s\"; did you mean \"%s\"?", name, near);
  return vk_fail(err, code, "unknown key \"%.80s\"; vlakit train --set list shows all", name);
}

/* What a value must be. */
static void expected(const vk_opt *key, char *out, size_t n)
{
  out[0] = '\0';
  switch (key->kind) {
  case VK_OPT_KIND_FLAG:
    snprintf(out, n, "true or false");
    break;
  case VK_OPT_KIND_I64:
  case VK_OPT_KIND_F64:
    vk_opt_format_range(key, out, n);
    break;
  case VK_OPT_KIND_LIST:
    snprintf(out, n, "a list of at most %d texts", VK_OPT_LIST_MAX);
    break;
  default:
    for (int i = 0; key->choices && key->choices[i]; i++) {
      size_t at = strlen(out);
      snprintf(out + at, n - at, "%s%s", i ? ", " : "one of ", key->choices[i]);
    }
    if (!key->choices)
      snprintf(out, n, "a text");
  }
}

/* ---- values -------------------------------------------------------------------------------- */

vk_status vk_train_config_init(vk_train_config *c, vk_err *err)
{
  *c = vk_train_config_default;
  return vk_arena_init(&c->text, "a training configuration", TEXT_BYTES, err);
}

void vk_train_config_fini(vk_train_config *c)
{
  vk_arena_fini(&c->text);
  *c = (vk_train_config){0};
}

static const char *keep(vk_train_config *c, const char *text, size_t n, vk_err *err)
{
  char *copy = VK_PUSH(&c->text, n + 1, char, err);
  if (copy) {
    memcpy(copy, text, n);
    copy[n] = '\0';
  }
  return copy;
}

/* What is still the default of the method before becomes that of the method now. */
static void follow_method(vk_train_config *c, const char *before)
{
  if (!vk_train_config_is_said(c, "warmup") && c->warmup == vk_train_default_warmup(before))
    c->warmup = vk_train_default_warmup(c->method);
}

static bool is_choice(const vk_opt *key, const char *value)
{
  for (int i = 0; key->choices && key->choices[i]; i++)
    if (strcmp(key->choices[i], value) == 0)
      return true;
  return !key->choices;
}

/* The value of a key out of its JSON. *is_valid out: whether it is what the table says. */
static vk_status assign(vk_train_config *c, const place *p, const cJSON *value, bool *is_valid,
                        vk_err *err)
{
  const vk_opt *key = p->key;
  void *to = member(c, key);
  const char *text = cJSON_GetStringValue(value), *method = c->method;
  double x = cJSON_IsNumber(value) ? value->valuedouble : NAN;
  *is_valid = false;
  switch (key->kind) {
  case VK_OPT_KIND_FLAG:
    if (!cJSON_IsBool(value))
      return VK_OK;
    *(bool *)to = cJSON_IsTrue(value);
    break;
  case VK_OPT_KIND_I64:
    if (!(x >= key->lo && x <= key->hi && x == floor(x)))
      return VK_OK;
    *(int64_t *)to = (int64_t)x;
    break;
  case VK_OPT_KIND_F64:
    if (!(isfinite(x) && x >= key->lo && x <= key->hi))
      return VK_OK;
    *(double *)to = x;
    break;
  case VK_OPT_KIND_LIST: {
    vk_opt_list list = {0};
    const cJSON *item;
    if (!cJSON_IsArray(value) || cJSON_GetArraySize(value) > VK_OPT_LIST_MAX)
      return VK_OK;
    cJSON_ArrayForEach(item, value)
    {
      const char *s = cJSON_GetStringValue(item);
      if (!s || !*s)
        return VK_OK;
      if (!(list.item[list.n++] = keep(c, s, strlen(s), err)))
        return VK_E_NOMEM;
    }
    *(vk_opt_list *)to = list;
    break;
  }
  default:
    if (!text || !*text || !is_choice(key, text))
      return VK_OK;
    if (!(*(const char **)to = keep(c, text, strlen(text), err)))
      return VK_E_NOMEM;
    follow_method(c, method);
  }
  *is_valid = true;
  return VK_OK;
}

static vk_status say(vk_train_config *c, const place *p, const char *where, int line, vk_err *err)
{
  const char *kept = NULL;
  for (int i = 0; i < VK_TRAIN_KEYS_MAX && !kept; i++)
    if (c->said[i].where && strcmp(c->said[i].where, where) == 0)
      kept = c->said[i].where;
  if (!kept && !(kept = keep(c, where, strlen(where), err)))
    return VK_E_NOMEM;
  c->said[p->i].where = kept;
  c->said[p->i].line = line;
  return VK_OK;
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Line of the i-th member of the object that `text`, valid JSON, is. */
static int line_of_member(const char *text, size_t n, int i)
{
  int line = 1, depth = 0;
  bool is_text = false;
  for (size_t k = 0; k < n; k++) {
    char ch = text[k];
    if (is_text && ch == '\\')
      k++;
    else if (ch == '"')
      is_text = !is_text;
    else if (ch == '\n')
      line++;
    else if (!is_text && (ch == '{' || ch == '['))
      depth++;
    else if (!is_text && (ch == '}' || ch == ']'))
      depth--;
    else if (!is_text && ch == ':' && depth == 1 && i-- == 0)
      return line;
  }
  return line;
}

/* what: who says it; NULL: nobody. */
static vk_status read_member(vk_train_config *c, const cJSON *item, const char *what, int line,
                             vk_err *err)
{
  place p;
  bool is_valid;
  char want[VALUE_MAX];
  VK_TRY(find(&p, item->string, VK_E_FORMAT, err));
  VK_TRY(assign(c, &p, item, &is_valid, err));
  if (is_valid)
    return what ? say(c, &p, what, line, err) : VK_OK;
  expected(p.key, want, sizeof want);
  char *found = cJSON_PrintUnformatted(item);
  vk_status st = vk_fail(err, cJSON_IsNumber(item) ? VK_E_RANGE : VK_E_FORMAT,
                         "\"%s\" is %.80s, and must be %s", p.key->name, found ? found : "?", want);
  cJSON_free(found);
  return st;
}

static vk_status read_text(vk_train_config *c, const char *text, size_t n, const char *what,
                           bool is_said, vk_err *err)
{
  cJSON *json = NULL;
  VK_TRY(vk_json_parse(&json, text, n, what, err));
  vk_status st = VK_OK;
  if (!cJSON_IsObject(json))
    st = vk_fail(err, VK_E_FORMAT,
                 "%s: a training configuration is an object of keys: {\"lr\": ...}", what);
  int i = 0;
  for (const cJSON *item = json->child; item && st == VK_OK; item = item->next, i++) {
    int line = line_of_member(text, n, i);
    if ((st = read_member(c, item, is_said ? what : NULL, line, err)) != VK_OK)
      vk_err_prefix(err, "%s:%d", what, line);
  }
  cJSON_Delete(json);
  return st;
}

vk_status vk_train_config_parse(vk_train_config *c, const char *text, size_t n, const char *what,
                                vk_err *err)
{
  return read_text(c, text, n, what, true, err);
}

vk_status vk_train_config_recall(vk_train_config *c, const char *text, size_t n, const char *what,
                                 vk_err *err)
{
  return read_text(c, text, n, what, false, err);
}

/* configs/NAME.json of the program. */
static vk_status find_named(char path[VK_FS_PATH_MAX], const char *word, vk_err *err)
{
  char name[VK_FS_PATH_MAX];
  snprintf(name, sizeof name, "configs/%.200s.json", word);
  vk_status st = vk_fs_find_data(path, name, err);
  if (st == VK_OK)
    return VK_OK;
  const char **names = vk_train_config_names();
  if (!names)
    return vk_fail(err, VK_E_NOMEM, "no memory for the names of configurations");
  if (names[0]) /* else none is installed, and where one could be has been said */
    st = vk_opt_fail_name(err, "configuration", word, names);
  free(names);
  return st;
}

vk_status vk_train_config_read(vk_train_config *c, const char *word, vk_err *err)
{
  char path[VK_FS_PATH_MAX], *text = NULL;
  size_t n = 0;
  if (strchr(word, '/') || strchr(word, '.') || vk_fs_is_file(word))
    VK_TRY(vk_fs_read(&text, &n, word, FILE_BYTES_MAX, err));
  else {
    VK_TRY(find_named(path, word, err));
    VK_TRY(vk_fs_read(&text, &n, path, FILE_BYTES_MAX, err));
  }
  vk_status st = vk_train_config_parse(c, text, n, word, err);
  free(text);
  return st;
}

/* The JSON that a word of the command line means for a key; NULL without memory. */
static cJSON *json_of_word(const vk_opt *key, const char *word)
{
  char *end = NULL;
  if (key->kind == VK_OPT_KIND_LIST) {
    cJSON *list = cJSON_CreateArray();
    for (const char *item = word; *item;) {
      int n = (int)strcspn(item, ",");
      char one[VK_FS_PATH_MAX];
      snprintf(one, sizeof one, "%.*s", n, item);
      cJSON_AddItemToArray(list, cJSON_CreateString(one));
      item += n + (item[n] == ',');
    }
    return list;
  }
  if (key->kind == VK_OPT_KIND_FLAG && strcmp(word, "true") == 0)
    return cJSON_CreateTrue();
  if (key->kind == VK_OPT_KIND_FLAG && strcmp(word, "false") == 0)
    return cJSON_CreateFalse();
  if (key->kind == VK_OPT_KIND_I64 || key->kind == VK_OPT_KIND_F64) {
    double x = strtod(word, &end);
    if (end > word && !*end)
      return cJSON_CreateNumber(x);
  }
  return cJSON_CreateString(word);
}

vk_status vk_train_config_set(vk_train_config *c, const char *assignment, vk_err *err)
{
  char name[VALUE_MAX], want[VALUE_MAX];
  place p;
  bool is_valid = false;
  const char *equals = strchr(assignment, '=');
  if (!equals)
    return vk_fail(err, VK_E_USAGE, "--set takes KEY=VALUE, not '%.80s'", assignment);
  snprintf(name, sizeof name, "%.*s", (int)(equals - assignment), assignment);
  vk_status st = find(&p, name, VK_E_USAGE, err);
  if (st != VK_OK)
    return vk_err_prefix(err, "--set");
  cJSON *value = json_of_word(p.key, equals + 1);
  if (!value)
    return vk_fail(err, VK_E_NOMEM, "no memory for --set %.80s", assignment);
  st = assign(c, &p, value, &is_valid, err);
  cJSON_Delete(value);
  VK_TRY(st);
  if (is_valid)
    return say(c, &p, "--set", 0, err);
  expected(p.key, want, sizeof want);
  return vk_fail(err, VK_E_USAGE, "--set %s: '%.80s' was given, it must be %s", p.key->name,
                 equals + 1, want);
}

vk_status vk_train_config_set_data(vk_train_config *c, const vk_opt_list *path, vk_err *err)
{
  place p;
  bool is_valid;
  VK_TRY(find(&p, "data", VK_E_USAGE, err));
  cJSON *list = cJSON_CreateStringArray((const char *const *)path->item, path->n);
  vk_status st = list ? assign(c, &p, list, &is_valid, err)
                      : vk_fail(err, VK_E_NOMEM, "no memory for %d paths", path->n);
  cJSON_Delete(list);
  return st == VK_OK ? say(c, &p, "--data", 0, err) : st;
}

vk_status vk_train_config_reword(vk_train_config *c, const char *key, const char *text, vk_err *err)
{
  place p;
  VK_TRY(find(&p, key, VK_E_USAGE, err));
  VK_ASSERT(p.key->kind == VK_OPT_KIND_STR && !p.key->choices);
  const char **to = member(c, p.key);
  return (*to = keep(c, text, strlen(text), err)) ? VK_OK : VK_E_NOMEM;
}

const char **vk_train_config_names(void)
{
  enum { NAMES_MAX = 64, NAME_BYTES = 64 };
  vk_fs_data_places places;
  const char **names = calloc(1, (NAMES_MAX + 1) * sizeof *names + NAMES_MAX * NAME_BYTES);
  if (!names)
    return NULL;
  char *text = (char *)(names + NAMES_MAX + 1);
  DIR *dir = NULL;
  vk_fs_find_data_places(&places);
  for (int i = 0; i < places.n && !dir; i++) {
    char folder[VK_FS_PATH_MAX];
    if (vk_fs_join(folder, sizeof folder, places.dir[i], "configs", NULL) == VK_OK)
      dir = opendir(folder);
  }
  int n = 0;
  for (struct dirent *e; dir && n < NAMES_MAX && (e = readdir(dir));) {
    size_t len = strlen(e->d_name);
    if (len <= 5 || len >= NAME_BYTES || strcmp(e->d_name + len - 5, ".json") != 0)
      continue;
    char *name = text + (size_t)n * NAME_BYTES;
    snprintf(name, NAME_BYTES, "%.*s", (int)len - 5, e->d_name);
    int at = n++;
    for (; at > 0 && strcmp(names[at - 1], name) > 0; at--)
      names[at] = names[at - 1];
    names[at] = name;
  }
  if (dir)
    closedir(dir);
  return names;
}

/* ---- rules and writing --------------------------------------------------------------------- */

unsigned vk_train_method(const char *method)
{
  for (unsigned i = 0; vk_train_methods[i]; i++)
    if (strcmp(vk_train_methods[i], method) == 0)
      return 1u << i;
  VK_ASSERT(!"a method of train_list.h");
  return 0;
}

const char *vk_train_config_said_where(const vk_train_config *c, const char *key)
{
  for (place p = {0}; next(&p);)
    if (strcmp(p.key->name, key) == 0)
      return c->said[p.i].where;
  VK_ASSERT(!"a key of the table");
  return NULL;
}

bool vk_train_config_is_said(const vk_train_config *c, const char *key)
{
  return vk_train_config_said_where(c, key) != NULL;
}

/* Whether the run looks at a key at all. */
static bool is_read(const vk_train_config *c, const place *p)
{
  unsigned method = vk_train_method(c->method);
  bool has_demos = !(method & VK_TRAIN_PRACTICE) || c->bc_weight > 0;
  return vk_train_config_methods(p->section, p->key) & method &&
         (has_demos || !vk_train_config_is_of_demos(p->key));
}

/* Whether what a key holds says what the run is: beside init "model" is only held against it. */
static bool is_told(const vk_train_config *c, const place *p)
{
  return is_read(c, p) && !(c->init && strcmp(p->key->name, "model") == 0);
}

/* Whether every key of demonstrations is said: records of practice once held them all, which nobody
 * meant to change anything. */
static bool says_all_of_demos(const vk_train_config *c)
{
  for (place p = {0}; next(&p);)
    if (vk_train_config_is_of_demos(p.key) && !c->said[p.i].where)
      return false;
  return true;
}

/* A key that changes nothing was meant to change something. */
static vk_status check_said(const vk_train_config *c, unsigned method, vk_err *err)
{
  bool is_record = says_all_of_demos(c);
  for (place p = {0}; next(&p);) {
    unsigned methods = vk_train_config_methods(p.section, p.key);
    char names[VK_TRAIN_METHODS_TEXT], line[16] = "";
    const char *where = c->said[p.i].where;
    if (!where || is_read(c, &p))
      continue;
    if (c->said[p.i].line > 0)
      snprintf(line, sizeof line, ":%d", c->said[p.i].line);
    if (!(methods & method)) {
      vk_train_config_name_methods(methods, names, sizeof names);
      return vk_fail(err, VK_E_USAGE,
                     "%s%s: key \"%s\" is read by %s alone, not by %s: leave it out", where, line,
                     p.key->name, names, c->method);
    }
    if (!is_record || !line[0])
      return vk_fail(err, VK_E_USAGE,
                     "%s%s: key \"%s\" is of demonstrations, and bc_weight is 0: %s would not look "
                     "at them; leave it out, or give their loss a weight",
                     where, line, p.key->name, c->method);
  }
  return VK_OK;
}

/* What environments that begin anew allow. */
static vk_status check_partial_reset(const vk_train_config *c, vk_err *err)
{
  if (!c->partial_reset && c->rollout_steps > 0)
    return vk_fail(
        err, VK_E_USAGE,
        "rollout_steps is %lld without partial_reset: an environment has one episode; set "
        "partial_reset=true, or leave it out",
        (long long)c->rollout_steps);
  if (!c->partial_reset)
    return VK_OK;
  if (c->group != 1)
    return vk_fail(err, VK_E_USAGE,
                   "partial_reset with a group of %lld: environments that begin anew are no group; "
                   "set group=1",
                   (long long)c->group);
  if (c->filter_lo > 0 || c->filter_hi < 1)
    return vk_fail(err, VK_E_USAGE,
                   "partial_reset with groups left out (filter_lo %g, filter_hi %g): environments "
                   "that begin anew are no groups; leave both out",
                   c->filter_lo, c->filter_hi);
  if (c->length_norm && vk_train_config_is_said(c, "length_norm"))
    return vk_fail(
        err, VK_E_USAGE,
        "partial_reset with length_norm: an environment's episodes are cut where its steps "
        "end, so that actions count the same; leave length_norm out");
  return VK_OK;
}

static vk_status check_practice(const vk_train_config *c, unsigned method, vk_err *err)
{
  if (c->steps == 0)
    return vk_fail(err, VK_E_USAGE, "steps is 0: method %s practises so many, and knows no epochs",
                   c->method);
  if (method & VK_TRAIN_ppo && c->critic_warmup >= c->steps)
    return vk_fail(err, VK_E_USAGE,
                   "critic_warmup is %lld of %lld steps: the policy would learn nothing; take more "
                   "steps, or a shorter warm-up",
                   (long long)c->critic_warmup, (long long)c->steps);
  if (method & VK_TRAIN_ppo)
    VK_TRY(check_partial_reset(c, err));
  if (c->uniform_share < 1 && c->group == 1)
    return vk_fail(err, VK_E_USAGE,
                   "uniform_share is %g, and a group of one episode is always alike in itself: "
                   "leave it at 1, or take a larger group",
                   c->uniform_share);
  if (c->bc_weight == 0 && c->data.n > 0)
    return vk_fail(err, VK_E_USAGE,
                   "demonstrations are given, and bc_weight is 0: %s would not look at them; leave "
                   "\"data\" out, or give their loss a weight",
                   c->method);
  if (c->bc_weight > 0 && c->bc_batch % c->micro_batch != 0)
    return vk_fail(err, VK_E_USAGE,
                   "bc_batch %lld is no multiple of micro_batch %lld: so many are seen at a time",
                   (long long)c->bc_batch, (long long)c->micro_batch);
  return VK_OK;
}

/* The largest divisor of a batch that is at most so many. */
static int64_t largest_part(int64_t batch, int64_t most)
{
  int64_t n = most < batch ? most : batch;
  while (batch % n != 0)
    n--;
  return n;
}

vk_status vk_train_config_check(const vk_train_config *c, vk_err *err)
{
  unsigned method = vk_train_method(c->method);
  VK_TRY(check_said(c, method, err));
  if (c->micro_batch > c->batch || c->batch % c->micro_batch != 0)
    return vk_fail(err, VK_E_USAGE,
                   "batch %lld is no multiple of micro_batch %lld: gradients of equal parts are "
                   "summed; take micro_batch=%lld",
                   (long long)c->batch, (long long)c->micro_batch,
                   (long long)largest_part(c->batch, c->micro_batch));
  if (method & VK_TRAIN_PRACTICE)
    return check_practice(c, method, err);
  if (c->steps == 0 && c->epochs == 0)
    return vk_fail(err, VK_E_USAGE, "steps and epochs are both 0: one of them says how long");
  return VK_OK;
}

/* NULL: it has none (or there is no memory). */
static cJSON *value_json(const vk_train_config *c, const vk_opt *key)
{
  const void *from = member(c, key);
  switch (key->kind) {
  case VK_OPT_KIND_FLAG:
    return cJSON_CreateBool(*(const bool *)from);
  case VK_OPT_KIND_I64:
    return cJSON_CreateNumber((double)*(const int64_t *)from);
  case VK_OPT_KIND_F64:
    return cJSON_CreateNumber(*(const double *)from);
  case VK_OPT_KIND_LIST: {
    const vk_opt_list *list = from;
    return cJSON_CreateStringArray((const char *const *)list->item, list->n);
  }
  default:
    return *(const char *const *)from ? cJSON_CreateString(*(const char *const *)from) : NULL;
  }
}

cJSON *vk_train_config_json(const vk_train_config *c)
{
  cJSON *o = cJSON_CreateObject();
  for (place p = {0}; o && next(&p);) {
    cJSON *value = is_told(c, &p) ? value_json(c, p.key) : NULL;
    if (value)
      cJSON_AddItemToObject(o, p.key->name, value);
  }
  return o;
}

vk_status vk_train_config_same(const vk_train_config *a, const vk_train_config *b, const char *what,
                               vk_err *err)
{
  for (place p = {0}; next(&p);) {
    if (p.section->is_free || strcmp(p.key->name, "about") == 0 || !is_told(a, &p))
      continue;
    cJSON *x = value_json(a, p.key), *y = value_json(b, p.key);
    char *then = cJSON_PrintUnformatted(x), *now = cJSON_PrintUnformatted(y);
    bool is_same = !then == !now && (!then || strcmp(then, now) == 0);
    if (!is_same)
      vk_fail(err, VK_E_USAGE,
              "%s was started with \"%s\" %.80s, now it is %.80s: a run goes on as it began; start "
              "a new one, or leave that out",
              what, p.key->name, then ? then : "not given", now ? now : "not given");
    cJSON_free(then);
    cJSON_free(now);
    cJSON_Delete(x);
    cJSON_Delete(y);
    if (!is_same)
      return VK_E_USAGE;
  }
  return VK_OK;
}
