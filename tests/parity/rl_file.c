#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "rl.h"

double rl_num(const rl_file *f, const char *key, double otherwise)
{
  const cJSON *x = cJSON_GetObjectItemCaseSensitive(f->meta, key);
  return cJSON_IsNumber(x) ? x->valuedouble : otherwise;
}

bool rl_is(const rl_file *f, const char *key, const char *word)
{
  const cJSON *x = cJSON_GetObjectItemCaseSensitive(f->meta, key);
  return cJSON_IsString(x) && strcmp(x->valuestring, word) == 0;
}

bool rl_flag(const rl_file *f, const char *key)
{
  return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(f->meta, key));
}

/* ---- arrays --------------------------------------------------------------------------------- */

static const vk_array *find(const rl_file *f, const char *name)
{
  return vk_npz_find(&f->npz, name);
}

static void use(rl_file *f, const vk_array *a)
{
  int64_t i = a - f->npz.array;
  if (i < RL_ARRAY_MAX)
    f->is_used[i] = true;
}

bool rl_has(const rl_file *f, const char *name)
{
  return find(f, name) != NULL;
}

int64_t rl_n_item(const rl_file *f, const char *name)
{
  const vk_array *a = find(f, name);
  return a ? a->n_item : 0;
}

int64_t rl_dim(const rl_file *f, const char *name, int d)
{
  const vk_array *a = find(f, name);
  return a && d < a->n_dim ? a->shape[d] : 0;
}

static vk_status take(rl_file *f, const char *name, const char *kinds, int size, int64_t n,
                      const void **x, vk_err *err)
{
  const vk_array *a = find(f, name);
  if (!a)
    return vk_fail(err, VK_E_NOTFOUND, "there is no array '%s'", name);
  if (!strchr(kinds, a->kind) || a->item_size != size)
    return vk_fail(err, VK_E_FORMAT, "array '%s' is %c%d, expected %c%d", name, a->kind,
                   a->item_size, kinds[0], size);
  if (a->n_item != n)
    return vk_fail(err, VK_E_SHAPE, "array '%s' has %" PRId64 " items, expected %" PRId64, name,
                   a->n_item, n);
  use(f, a);
  *x = a->data;
  return VK_OK;
}

vk_status rl_f32(rl_file *f, const char *name, int64_t n, const float **x, vk_err *err)
{
  const void *p = NULL;
  VK_TRY(take(f, name, "f", 4, n, &p, err));
  *x = p;
  return VK_OK;
}

vk_status rl_f64(rl_file *f, const char *name, int64_t n, const double **x, vk_err *err)
{
  const void *p = NULL;
  VK_TRY(take(f, name, "f", 8, n, &p, err));
  *x = p;
  return VK_OK;
}

vk_status rl_i64(rl_file *f, const char *name, int64_t n, const int64_t **x, vk_err *err)
{
  const void *p = NULL;
  VK_TRY(take(f, name, "i", 8, n, &p, err));
  *x = p;
  return VK_OK;
}

vk_status rl_flags(rl_file *f, const char *name, int64_t n, const uint8_t **x, vk_err *err)
{
  const void *p = NULL;
  VK_TRY(take(f, name, "bu", 1, n, &p, err));
  *x = p;
  return VK_OK;
}

/* ---- comparing ------------------------------------------------------------------------------ */

static double item(const vk_array *a, int64_t i)
{
  switch (a->kind) {
  case 'f':
    return a->item_size == 8 ? ((const double *)a->data)[i] : (double)((const float *)a->data)[i];
  case 'i':
    return (double)((const int64_t *)a->data)[i]; /* other sizes: see begin */
  default:
    return ((const uint8_t *)a->data)[i];
  }
}

static double distance(double got, double want)
{
  if (got == want || (isnan(got) && isnan(want)))
    return 0;
  double d = fabs(got - want) / fmax(1, fabs(want));
  return isfinite(d) ? d : INFINITY;
}

/* The array to compare n items with, or NULL; *error is infinite when it does not fit. */
static const vk_array *begin(rl_file *f, const char *name, int64_t n, double *error)
{
  const vk_array *a = find(f, name);
  if (!a)
    return NULL;
  use(f, a);
  bool is_readable = (a->kind == 'f' && (a->item_size == 4 || a->item_size == 8)) ||
                     (a->kind == 'i' && a->item_size == 8) ||
                     ((a->kind == 'b' || a->kind == 'u') && a->item_size == 1);
  *error = a->n_item == n && is_readable ? 0 : INFINITY;
  return a;
}

static void end(rl_file *f, const vk_array *a, double error, double bound)
{
  bool is_bad = !(error <= bound);
  double unit = bound > 0 ? bound : 1e-300,
         worst_unit = f->worst_bound > 0 ? f->worst_bound : 1e-300;
  f->n_compared++;
  f->n_bad += is_bad;
  if (is_bad)
    printf("  %s: error %.2e, bound %.0e: TOO FAR\n", a->name, error, bound);
  if (f->worst_name && !(error / unit > f->worst / worst_unit) && f->worst > 0)
    return;
  if (f->worst_name && error == 0)
    return;
  f->worst = error;
  f->worst_bound = bound;
  f->worst_name = a->name;
}

#define COMPARE(get)                                                                               \
  double error;                                                                                    \
  const vk_array *a = begin(f, name, n, &error);                                                   \
  if (!a)                                                                                          \
    return;                                                                                        \
  for (int64_t i = 0; i < n && isfinite(error); i++)                                               \
  error = fmax(error, (get))

void rl_compare(rl_file *f, const char *name, const double *got, int64_t n, double bound)
{
  COMPARE(distance(got[i], item(a, i)));
  end(f, a, error, bound);
}

void rl_compare_f32(rl_file *f, const char *name, const float *got, int64_t n, double bound)
{
  rl_compare_some(f, name, got, n, NULL, bound);
}

void rl_compare_some(rl_file *f, const char *name, const float *got, int64_t n, const uint8_t *skip,
                     double bound)
{
  COMPARE(skip && skip[i] ? 0 : distance((double)got[i], item(a, i)));
  end(f, a, error, bound);
}

void rl_compare_u8(rl_file *f, const char *name, const uint8_t *got, int64_t n)
{
  COMPARE(distance(got[i], item(a, i)));
  end(f, a, error, 0);
}

void rl_compare_i64(rl_file *f, const char *name, const int64_t *got, int64_t n)
{
  COMPARE(distance((double)got[i], item(a, i)));
  end(f, a, error, 0);
}

/* ---- graphs --------------------------------------------------------------------------------- */

static vk_status bind_all(rl_file *f, rl_run *r, vk_err *err)
{
  const vk_graph *g = &r->plan->graph;
  for (vk_id v = 0; v < g->n_value; v++) {
    if (r->plan->place[v].where != VK_WHERE_BOUND || r->plan->place[v].root != v)
      continue;
    size_t n = vk_value_bytes(&g->value[v]);
    uint8_t *p;
    RL_NEW(f, p, n + 1, err);
    vk_exec_bind(r->exec, v, p);
  }
  return VK_OK;
}

vk_status rl_run_open(rl_file *f, rl_run *r, vk_graph *g, const char *loss, vk_err *err)
{
  vk_target target = f->target;
  target.is_train = loss != NULL;
  target.loss = loss;
  *r = (rl_run){0};
  vk_status st = vk_graph_check(g, err);
  if (st == VK_OK)
    st = vk_plan_new(&r->plan, g, &target, NULL, NULL, err);
  vk_graph_fini(g);
  if (st == VK_OK)
    st = vk_exec_new(&r->exec, r->plan, VK_CPU(f->team), NULL, err);
  if (st == VK_OK)
    st = bind_all(f, r, err);
  if (st != VK_OK)
    rl_run_close(r);
  return st;
}

void rl_run_close(rl_run *r)
{
  if (r->exec)
    vk_exec_free(r->exec);
  if (r->plan)
    vk_plan_free(r->plan);
  *r = (rl_run){0};
}

void *rl_run_data(const rl_run *r, const char *name)
{
  vk_id v = vk_graph_find(&r->plan->graph, name);
  v = v == VK_NONE ? vk_graph_find_output(&r->plan->graph, name) : v;
  return v == VK_NONE ? NULL : vk_exec_data(r->exec, v);
}

void rl_run_set(const rl_run *r, const char *name, const void *x, int64_t n, size_t size)
{
  void *to = rl_run_data(r, name);
  if (to)
    memcpy(to, x, (size_t)n * size);
}
