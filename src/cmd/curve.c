#include "cmd/curve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/opt.h"

enum { PLOT_COLUMNS = 64, PLOT_ROWS = 8 };

/* ---- reading ---- */

static vk_status grow(vk_curve *c, vk_err *err)
{
  int room = c->room ? 2 * c->room : 64;
  int64_t *step = realloc(c->step, (size_t)room * sizeof *step);
  if (step)
    c->step = step;
  double *value = realloc(c->value, (size_t)room * sizeof *value);
  if (value)
    c->value = value;
  if (!step || !value)
    return vk_fail(err, VK_E_NOMEM, "no memory for a curve of %d points", room);
  c->room = room;
  return VK_OK;
}

static vk_status take_point(void *arg, const vk_point_row *row, vk_err *err)
{
  vk_curves *all = arg;
  vk_curve *c = all->n ? &all->curve[all->n - 1] : NULL;
  if (!c || strncmp(c->tag, row->tag, sizeof c->tag - 1) != 0) {
    vk_curve *curve = realloc(all->curve, (size_t)(all->n + 1) * sizeof *curve);
    if (!curve)
      return vk_fail(err, VK_E_NOMEM, "no memory for %d curves", all->n + 1);
    all->curve = curve;
    c = &curve[all->n++];
    *c = (vk_curve){.n = 0};
    snprintf(c->tag, sizeof c->tag, "%s", row->tag);
  }
  if (c->n == c->room)
    VK_TRY(grow(c, err));
  c->step[c->n] = row->step;
  c->value[c->n++] = row->value;
  return VK_OK;
}

vk_status vk_curves_load(vk_curves *c, vk_catalog *catalog, const char *id, vk_err *err)
{
  *c = (vk_curves){0};
  vk_status st = vk_catalog_each_point(catalog, id, take_point, c, err);
  if (st != VK_OK)
    vk_curves_free(c);
  return st;
}

void vk_curves_free(vk_curves *c)
{
  for (int i = 0; i < c->n; i++) {
    free(c->curve[i].step);
    free(c->curve[i].value);
  }
  free(c->curve);
  *c = (vk_curves){0};
}

/* The curve of tag is the n_kept-th from now on. */
static vk_status keep(vk_curves *c, int n_kept, const char *tag, vk_err *err)
{
  for (int i = n_kept; i < c->n; i++)
    if (strcmp(c->curve[i].tag, tag) == 0) {
      vk_curve found = c->curve[i];
      memmove(&c->curve[n_kept + 1], &c->curve[n_kept], (size_t)(i - n_kept) * sizeof found);
      c->curve[n_kept] = found;
      return VK_OK;
    }
  for (int i = 0; i < n_kept; i++)
    if (strcmp(c->curve[i].tag, tag) == 0)
      return vk_fail(err, VK_E_USAGE, "--curves: %s stands there twice", tag);
  const char **name = calloc((size_t)c->n + 1, sizeof *name);
  if (!name)
    return vk_fail(err, VK_E_NOMEM, "no memory for %d names", c->n);
  for (int i = 0; i < c->n; i++)
    name[i] = c->curve[i].tag;
  vk_status st = vk_opt_fail_name(err, "curve", tag, name);
  free(name);
  return st;
}

vk_status vk_curves_pick(vk_curves *c, const char *list, vk_err *err)
{
  char *text = strdup(list), *save = NULL;
  if (!text)
    return vk_fail(err, VK_E_NOMEM, "no memory for a list of curves");
  vk_status st = VK_OK;
  int n_kept = 0;
  for (char *tag = strtok_r(text, ",", &save); tag && st == VK_OK; tag = strtok_r(NULL, ",", &save))
    st = keep(c, n_kept++, tag, err);
  free(text);
  VK_TRY(st);
  if (n_kept == 0)
    return vk_fail(err, VK_E_USAGE, "--curves: expected tags with commas between, like %s",
                   c->curve[0].tag);
  for (int i = n_kept; i < c->n; i++) {
    free(c->curve[i].step);
    free(c->curve[i].value);
  }
  c->n = n_kept;
  return VK_OK;
}

cJSON *vk_curves_json(const vk_curves *c)
{
  cJSON *o = cJSON_CreateObject();
  for (int i = 0; i < c->n; i++) {
    const vk_curve *curve = &c->curve[i];
    cJSON *one = cJSON_AddObjectToObject(o, curve->tag);
    cJSON *step = cJSON_AddArrayToObject(one, "step"),
          *value = cJSON_AddArrayToObject(one, "value");
    for (int k = 0; k < curve->n; k++) {
      cJSON_AddItemToArray(step, cJSON_CreateNumber((double)curve->step[k]));
      cJSON_AddItemToArray(value, isfinite(curve->value[k]) ? cJSON_CreateNumber(curve->value[k])
                                                            : cJSON_CreateNull());
    }
  }
  return o;
}

/* ---- the terminal ---- */

bool vk_curve_range(const vk_curve *c, double *lo, double *hi)
{
  *lo = INFINITY;
  *hi = -INFINITY;
  for (int i = 0; i < c->n; i++)
    if (isfinite(c->value[i])) {
      *lo = fmin(*lo, c->value[i]);
      *hi = fmax(*hi, c->value[i]);
    }
  return *lo <= *hi;
}

static void plot(const vk_curve *c, double lo, double hi)
{
  char row[PLOT_ROWS][PLOT_COLUMNS + 1];
  for (int r = 0; r < PLOT_ROWS; r++) {
    memset(row[r], ' ', PLOT_COLUMNS);
    row[r][PLOT_COLUMNS] = '\0';
  }
  double first = (double)c->step[0], span = (double)c->step[c->n - 1] - first;
  for (int i = 0; i < c->n; i++) {
    if (!isfinite(c->value[i]))
      continue;
    double x = span > 0 ? ((double)c->step[i] - first) / span : 0;
    double y = hi > lo ? (c->value[i] - lo) / (hi - lo) : 0.5;
    row[PLOT_ROWS - 1 - (int)lround(y * (PLOT_ROWS - 1))][(int)lround(x * (PLOT_COLUMNS - 1))] =
        '*';
  }
  for (int r = 0; r < PLOT_ROWS; r++) {
    size_t n = PLOT_COLUMNS;
    while (n > 0 && row[r][n - 1] == ' ')
      row[r][--n] = '\0';
    if (r == 0 || r == PLOT_ROWS - 1)
      printf("  %10.4g |%s\n", r == 0 ? hi : lo, row[r]);
    else
      printf("  %10s |%s\n", "", row[r]);
  }
}

void vk_curves_print(const vk_curves *c)
{
  for (int i = 0; i < c->n; i++) {
    const vk_curve *curve = &c->curve[i];
    double lo, hi;
    if (!vk_curve_range(curve, &lo, &hi))
      continue;
    const char *name = strrchr(curve->tag, '/');
    printf("%-24s step %lld: %.4g; step %lld: %.4g; from %.4g to %.4g\n", curve->tag,
           (long long)curve->step[0], curve->value[0], (long long)curve->step[curve->n - 1],
           curve->value[curve->n - 1], lo, hi);
    if (curve->n > 1 && name && (strcmp(name, "/loss") == 0 || strncmp(name, "/success", 8) == 0))
      plot(curve, lo, hi);
  }
}
