#include "cmd/compare_train.h"

#include <math.h>
#include <string.h>

#include "cmd/run_rows.h"
#include "core/progress.h"

/* ---- settings ---- */

static const cJSON *config_of(const vk_report *r)
{
  return cJSON_GetObjectItemCaseSensitive(r->head, "config");
}

/* Where a run lies and how many steps its epochs are is no setting; keys of train are looked at one
 * by one. */
static bool is_setting(const cJSON *key)
{
  static const char *const no_setting[] = {"out", "n_step", "train", "about"};
  for (size_t i = 0; i < VK_COUNT(no_setting); i++)
    if (strcmp(key->string, no_setting[i]) == 0)
      return false;
  return true;
}

/* Adds {key: [a, b]} for each key of a or b whose values are not the same; null: it is not there.
 * What is no object has no keys; a key that is there already has what it is in a and b from now on.
 */
static void add_differences(cJSON *o, const cJSON *a, const cJSON *b)
{
  const cJSON *both[2] = {cJSON_IsObject(a) ? a : NULL, cJSON_IsObject(b) ? b : NULL}, *key;
  for (int k = 0; k < 2; k++)
    cJSON_ArrayForEach(key, both[k])
    {
      const cJSON *of_a = cJSON_GetObjectItemCaseSensitive(a, key->string);
      const cJSON *of_b = cJSON_GetObjectItemCaseSensitive(b, key->string);
      if (!is_setting(key) || cJSON_Compare(of_a, of_b, true) || (k == 1 && of_a))
        continue;
      cJSON *pair = cJSON_CreateArray();
      cJSON_AddItemToArray(pair, of_a ? cJSON_Duplicate(of_a, true) : cJSON_CreateNull());
      cJSON_AddItemToArray(pair, of_b ? cJSON_Duplicate(of_b, true) : cJSON_CreateNull());
      if (cJSON_GetObjectItemCaseSensitive(o, key->string))
        cJSON_ReplaceItemInObjectCaseSensitive(o, key->string, pair);
      else
        cJSON_AddItemToObject(o, key->string, pair);
    }
}

/* Precision is both a key of train, which may be "auto", and what that came to, which counts. */
static cJSON *settings_json(const vk_train_pair *p)
{
  const cJSON *a = config_of(p->a), *b = config_of(p->b);
  cJSON *o = cJSON_CreateObject();
  add_differences(o, cJSON_GetObjectItemCaseSensitive(a, "train"),
                  cJSON_GetObjectItemCaseSensitive(b, "train"));
  add_differences(o, a, b);
  return o;
}

/* ---- curves ---- */

/* What two curves of one tag say; NAN: there is no such value. */
typedef struct curve_pair {
  int64_t step, last_step[2]; /* step: the last at which both have a point */
  double at_step[2], last[2];
  bool have_step;
} curve_pair;

static curve_pair pair_curves(const vk_train_pair *p, int i)
{
  const vk_curve *c[2] = {&p->curves.curves[0].curve[i], &p->curves.curves[1].curve[i]};
  curve_pair out = {.at_step = {NAN, NAN}};
  for (int k = 0; k < 2; k++) {
    out.last_step[k] = c[k]->step[c[k]->n - 1];
    out.last[k] = c[k]->value[c[k]->n - 1];
  }
  for (int x = c[0]->n - 1, y = c[1]->n - 1; x >= 0 && y >= 0 && !out.have_step;) {
    if (c[0]->step[x] == c[1]->step[y])
      out = (curve_pair){c[0]->step[x],
                         {out.last_step[0], out.last_step[1]},
                         {c[0]->value[x], c[1]->value[y]},
                         {out.last[0], out.last[1]},
                         true};
    else if (c[0]->step[x] > c[1]->step[y])
      x--;
    else
      y--;
  }
  return out;
}

/* ---- for people ---- */

static void print_run(char name, const vk_report *r)
{
  char time[32];
  vk_progress_format_time(vk_report_number(r, "wall_s"), time, sizeof time);
  printf("%c  run %s  ", name, vk_report_text(r, "run"));
  vk_run_print_train(r->head);
  printf("; %s, %s\n", vk_report_text(r, "state"), time);
}

static void print_settings(const vk_train_pair *p)
{
  cJSON *settings = settings_json(p);
  const cJSON *pair;
  if (settings && settings->child)
    printf("\n%-24s  %-24s  %s\n", "setting", "A", "B");
  cJSON_ArrayForEach(pair, settings)
  {
    char *a = cJSON_PrintUnformatted(cJSON_GetArrayItem(pair, 0));
    char *b = cJSON_PrintUnformatted(cJSON_GetArrayItem(pair, 1));
    printf("%-24s  %-24s  %s\n", pair->string, a ? a : "", b ? b : "");
    cJSON_free(a);
    cJSON_free(b);
  }
  cJSON_Delete(settings);
}

static void print_curves(const vk_train_pair *p)
{
  const vk_curves *curves = &p->curves.curves[0];
  if (curves->n == 0) {
    puts("\nThey have no curves in common.");
    return;
  }
  printf("\n%-28s %8s %10s %10s   %-18s %s\n", "curve", "step", "A", "B", "last of A", "last of B");
  for (int i = 0; i < curves->n; i++) {
    const curve_pair c = pair_curves(p, i);
    if (c.have_step)
      printf("%-28s %8lld %10.4g %10.4g", curves->curve[i].tag, (long long)c.step, c.at_step[0],
             c.at_step[1]);
    else
      printf("%-28s %8s %10s %10s", curves->curve[i].tag, "-", "-", "-");
    for (int k = 0; k < 2; k++) {
      char last[64];
      snprintf(last, sizeof last, "%.4g (%lld)", c.last[k], (long long)c.last_step[k]);
      printf(k == 0 ? "   %-18s" : " %s\n", last);
    }
  }
  printf("\nIn one frame: vlakit runs %s %s [--curves TAGS] [--svg FILE]\n",
         vk_report_text(p->a, "run"), vk_report_text(p->b, "run"));
}

void vk_train_pair_print(const vk_train_pair *p)
{
  print_run('A', p->a);
  print_run('B', p->b);
  print_settings(p);
  print_curves(p);
}

/* ---- JSON ---- */

static void add_both(cJSON *o, const char *key, const vk_train_pair *p)
{
  const vk_report *both[2] = {p->a, p->b};
  for (int k = 0; k < 2; k++) {
    char name[32];
    snprintf(name, sizeof name, "%s_%c", key, 'a' + k);
    cJSON *copy = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(both[k]->head, key), true);
    cJSON_AddItemToObject(o, name, copy ? copy : cJSON_CreateNull());
  }
}

static cJSON *curve_json(const curve_pair *c)
{
  cJSON *o = cJSON_CreateObject();
  cJSON_AddNumberToObject(o, "step", c->have_step ? (double)c->step : NAN); /* NaN is null */
  cJSON_AddNumberToObject(o, "a", c->at_step[0]);
  cJSON_AddNumberToObject(o, "b", c->at_step[1]);
  cJSON_AddNumberToObject(o, "last_step_a", (double)c->last_step[0]);
  cJSON_AddNumberToObject(o, "last_a", c->last[0]);
  cJSON_AddNumberToObject(o, "last_step_b", (double)c->last_step[1]);
  cJSON_AddNumberToObject(o, "last_b", c->last[1]);
  return o;
}

cJSON *vk_train_pair_json(const vk_train_pair *p)
{
  static const char *const keys[] = {"run",  "step",     "n_step",      "wall_s",
                                     "loss", "val_loss", "success_rate"};
  cJSON *o = cJSON_CreateObject();
  for (size_t i = 0; i < VK_COUNT(keys); i++)
    add_both(o, keys[i], p);
  cJSON_AddItemToObject(o, "settings", settings_json(p));
  cJSON *curves = cJSON_AddObjectToObject(o, "curves");
  for (int i = 0; i < p->curves.curves[0].n; i++) {
    const curve_pair c = pair_curves(p, i);
    cJSON_AddItemToObject(curves, p->curves.curves[0].curve[i].tag, curve_json(&c));
  }
  return o;
}
