#include "cmd/curve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/csv.h"
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

static void free_points(vk_curve *c)
{
  free(c->step);
  free(c->value);
}

void vk_curves_free(vk_curves *c)
{
  for (int i = 0; i < c->n; i++)
    free_points(&c->curve[i]);
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
  for (int i = n_kept; i < c->n; i++)
    free_points(&c->curve[i]);
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

/* ---- CSV ---- */

static int compare_steps(const void *a, const void *b)
{
  const int64_t *x = a, *y = b;
  return (*x > *y) - (*x < *y);
}

/* Gives the steps at which any of the curves has a point, ascending, to be freed. */
static vk_status gather_steps(const vk_curves *c, int64_t **out, int *n, vk_err *err)
{
  size_t n_point = 0;
  for (int i = 0; i < c->n; i++)
    n_point += (size_t)c->curve[i].n;
  int64_t *step = calloc(n_point + 1, sizeof *step);
  if (!step)
    return vk_fail(err, VK_E_NOMEM, "no memory for %zu steps", n_point);
  size_t at = 0;
  for (int i = 0; i < c->n; i++) {
    memcpy(step + at, c->curve[i].step, (size_t)c->curve[i].n * sizeof *step);
    at += (size_t)c->curve[i].n;
  }
  qsort(step, n_point, sizeof *step, compare_steps);
  *n = 0;
  for (size_t k = 0; k < n_point; k++)
    if (*n == 0 || step[*n - 1] != step[k])
      step[(*n)++] = step[k];
  *out = step;
  return VK_OK;
}

vk_status vk_curves_csv(const vk_curves *c, const char *id, vk_err *err)
{
  int64_t *step = NULL;
  int n_step = 0;
  VK_TRY(gather_steps(c, &step, &n_step, err));
  int *at = calloc((size_t)c->n + 1, sizeof *at); /* how many points of each curve are out */
  if (!at) {
    free(step);
    return vk_fail(err, VK_E_NOMEM, "no memory for %d curves", c->n);
  }
  vk_csv_text("run", false);
  vk_csv_text("step", c->n == 0);
  for (int i = 0; i < c->n; i++)
    vk_csv_text(c->curve[i].tag, i + 1 == c->n);
  for (int k = 0; k < n_step; k++) {
    vk_csv_text(id, false);
    vk_csv_number((double)step[k], false);
    for (int i = 0; i < c->n; i++) {
      const vk_curve *curve = &c->curve[i];
      bool has_point = at[i] < curve->n && curve->step[at[i]] == step[k];
      vk_csv_number(has_point ? curve->value[at[i]++] : NAN, i + 1 == c->n);
    }
  }
  free(at);
  free(step);
  return VK_OK;
}

/* ---- several runs ---- */

static const vk_curve *find_tag(const vk_curves *c, const char *tag)
{
  for (int i = 0; i < c->n; i++)
    if (strcmp(c->curve[i].tag, tag) == 0)
      return &c->curve[i];
  return NULL;
}

/* Keeps the curves of c whose tags others has too. */
static void keep_common(vk_curves *c, const vk_curves *others)
{
  int n = 0;
  for (int i = 0; i < c->n; i++)
    if (find_tag(others, c->curve[i].tag))
      c->curve[n++] = c->curve[i];
    else
      free_points(&c->curve[i]);
  c->n = n;
}

static vk_status pick_of_run(vk_curves *c, const char *id, const char *list, bool is_one,
                             vk_err *err)
{
  if (c->n == 0)
    return vk_fail(err, VK_E_USAGE, "--curves: run %s has none; those of vlakit train have", id);
  vk_status st = vk_curves_pick(c, list, err);
  return st == VK_OK || is_one ? st : vk_err_prefix(err, "run %s", id);
}

vk_status vk_curve_runs_load(vk_curve_runs *r, vk_catalog *catalog, int n, const char *const *id,
                             const char *list, vk_err *err)
{
  *r = (vk_curve_runs){.n = n};
  vk_status st = VK_OK;
  for (int k = 0; k < n && st == VK_OK; k++) {
    snprintf(r->id[k], sizeof r->id[k], "%s", id[k]);
    st = vk_curves_load(&r->curves[k], catalog, id[k], err);
    if (st == VK_OK && list)
      st = pick_of_run(&r->curves[k], id[k], list, n == 1, err);
  }
  /* Tags are in one order, so that what is left of the runs is alike. */
  for (int k = 1; k < n && st == VK_OK && !list; k++)
    keep_common(&r->curves[0], &r->curves[k]);
  for (int k = 1; k < n && st == VK_OK && !list; k++)
    keep_common(&r->curves[k], &r->curves[0]);
  if (st != VK_OK)
    vk_curve_runs_free(r);
  return st;
}

void vk_curve_runs_free(vk_curve_runs *r)
{
  for (int k = 0; k < r->n; k++)
    vk_curves_free(&r->curves[k]);
  *r = (vk_curve_runs){0};
}

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

bool vk_curve_runs_frame(const vk_curve_runs *r, int i, vk_curve_frame *frame)
{
  *frame = (vk_curve_frame){INFINITY, -INFINITY, INT64_MAX, 0};
  for (int k = 0; k < r->n; k++) {
    const vk_curve *c = &r->curves[k].curve[i];
    double lo, hi;
    vk_curve_range(c, &lo, &hi);
    frame->lo = fmin(frame->lo, lo);
    frame->hi = fmax(frame->hi, hi);
    frame->first = c->step[0] < frame->first ? c->step[0] : frame->first;
    frame->last = c->step[c->n - 1] > frame->last ? c->step[c->n - 1] : frame->last;
  }
  return frame->lo <= frame->hi;
}

/* ---- the terminal ---- */

static void mark_points(char row[PLOT_ROWS][PLOT_COLUMNS + 1], const vk_curve *c,
                        const vk_curve_frame *f, char mark)
{
  double span = (double)(f->last - f->first);
  for (int i = 0; i < c->n; i++) {
    if (!isfinite(c->value[i]))
      continue;
    double x = span > 0 ? (double)(c->step[i] - f->first) / span : 0;
    double y = f->hi > f->lo ? (c->value[i] - f->lo) / (f->hi - f->lo) : 0.5;
    row[PLOT_ROWS - 1 - (int)lround(y * (PLOT_ROWS - 1))][(int)lround(x * (PLOT_COLUMNS - 1))] =
        mark;
  }
}

/* One run is of '*'; of several each has the letter that stands before its id. */
static char mark_of(const vk_curve_runs *r, int k)
{
  return r->n == 1 ? '*' : (char)('A' + k);
}

static void plot(const vk_curve_runs *r, int i, const vk_curve_frame *f)
{
  char row[PLOT_ROWS][PLOT_COLUMNS + 1];
  for (int y = 0; y < PLOT_ROWS; y++) {
    memset(row[y], ' ', PLOT_COLUMNS);
    row[y][PLOT_COLUMNS] = '\0';
  }
  for (int k = 0; k < r->n; k++)
    mark_points(row, &r->curves[k].curve[i], f, mark_of(r, k));
  for (int y = 0; y < PLOT_ROWS; y++) {
    size_t n = PLOT_COLUMNS;
    while (n > 0 && row[y][n - 1] == ' ')
      row[y][--n] = '\0';
    if (y == 0 || y == PLOT_ROWS - 1)
      printf("  %10.4g |%s\n", y == 0 ? f->hi : f->lo, row[y]);
    else
      printf("  %10s |%s\n", "", row[y]);
  }
}

static void print_ends(const char *name, const vk_curve *c)
{
  double lo, hi;
  if (vk_curve_range(c, &lo, &hi))
    printf("%-24s step %lld: %.4g; step %lld: %.4g; from %.4g to %.4g\n", name,
           (long long)c->step[0], c->value[0], (long long)c->step[c->n - 1], c->value[c->n - 1], lo,
           hi);
}

/* Whether there is more to see than its ends, and it is a loss or a success rate. */
static bool is_plotted(const vk_curve *c, const vk_curve_frame *f)
{
  const char *name = strrchr(c->tag, '/');
  return f->last > f->first && name &&
         (strcmp(name, "/loss") == 0 || strncmp(name, "/success", 8) == 0);
}

void vk_curve_runs_print(const vk_curve_runs *r)
{
  for (int i = 0; i < r->curves[0].n; i++) {
    vk_curve_frame frame;
    char name[VK_CURVE_TAG_SIZE];
    if (!vk_curve_runs_frame(r, i, &frame))
      continue;
    if (r->n > 1)
      puts(r->curves[0].curve[i].tag);
    for (int k = 0; k < r->n; k++) {
      snprintf(name, sizeof name, "  %c  %s", mark_of(r, k), r->id[k]);
      print_ends(r->n > 1 ? name : r->curves[0].curve[i].tag, &r->curves[k].curve[i]);
    }
    if (is_plotted(&r->curves[0].curve[i], &frame))
      plot(r, i, &frame);
  }
}
