#include <stdarg.h>
#include <stdio.h>

#include "nn/graph.h"

size_t vk_dtype_size(vk_dtype dtype)
{
  static const size_t size[] = {
#define X(NAME, bytes, spelling) bytes,
      VK_DTYPES(X)
#undef X
  };
  return size[dtype];
}

const char *vk_dtype_name(vk_dtype dtype)
{
  static const char *const name[] = {
#define X(NAME, bytes, spelling) spelling,
      VK_DTYPES(X)
#undef X
  };
  return (unsigned)dtype < VK_DTYPE_N ? name[dtype] : "?";
}

vk_shape vk_shape_of(int n_dim, ...)
{
  VK_ASSERT(n_dim >= 0 && n_dim <= VK_DIM_MAX);
  vk_shape s = {.n_dim = n_dim};
  va_list ap;
  va_start(ap, n_dim);
  for (int i = 0; i < n_dim; i++)
    s.dim[i] = va_arg(ap, int);
  va_end(ap);
  return s;
}

int64_t vk_shape_n_item(const vk_shape *s)
{
  int64_t n = 1;
  for (int i = 0; i < s->n_dim; i++)
    n *= s->dim[i];
  return n;
}

int64_t vk_shape_last(const vk_shape *s)
{
  return s->n_dim ? s->dim[s->n_dim - 1] : 1;
}

int64_t vk_shape_n_row(const vk_shape *s)
{
  int64_t n = 1;
  for (int i = 0; i + 1 < s->n_dim; i++)
    n *= s->dim[i];
  return n;
}

bool vk_shape_equal(const vk_shape *a, const vk_shape *b)
{
  if (a->n_dim != b->n_dim)
    return false;
  for (int i = 0; i < a->n_dim; i++)
    if (a->dim[i] != b->dim[i])
      return false;
  return true;
}

const char *vk_shape_text(const vk_shape *s, char buf[VK_SHAPE_TEXT])
{
  size_t at = 0;
  buf[at++] = '[';
  for (int i = 0; i < s->n_dim && at < VK_SHAPE_TEXT - 24; i++)
    at += (size_t)snprintf(buf + at, VK_SHAPE_TEXT - at, "%s%lld", i ? ", " : "",
                           (long long)s->dim[i]);
  snprintf(buf + at, VK_SHAPE_TEXT - at, "]");
  return buf;
}

vk_shape vk_value_shape(const vk_value *v, const int64_t *n)
{
  vk_shape s = v->shape;
  if (n && v->extent.sym >= 0 && s.n_dim > 0)
    s.dim[0] = v->extent.per * n[v->extent.sym] + v->extent.plus;
  return s;
}

size_t vk_value_bytes(const vk_value *v)
{
  return (size_t)vk_shape_n_item(&v->shape) * vk_dtype_size(v->dtype);
}

vk_extent vk_graph_extent(int sym, int64_t per, int64_t plus)
{
  return (vk_extent){.sym = sym, .per = per, .plus = plus};
}

const char *vk_value_shape_text(const vk_graph *g, const vk_value *v, char buf[VK_VALUE_TEXT])
{
  if (v->extent.sym < 0 || v->shape.n_dim == 0) {
    vk_shape_text(&v->shape, buf);
    return buf;
  }
  int at = snprintf(buf, VK_VALUE_TEXT, "[%.100s", g->sym[v->extent.sym]);
  if (v->extent.per != 1)
    at += snprintf(buf + at, VK_VALUE_TEXT - (size_t)at, "*%lld", (long long)v->extent.per);
  if (v->extent.plus)
    at += snprintf(buf + at, VK_VALUE_TEXT - (size_t)at, "%+lld", (long long)v->extent.plus);
  for (int i = 1; i < v->shape.n_dim; i++)
    at += snprintf(buf + at, VK_VALUE_TEXT - (size_t)at, ", %lld", (long long)v->shape.dim[i]);
  snprintf(buf + at, VK_VALUE_TEXT - (size_t)at, "]");
  return buf;
}

vk_status vk_graph_check_shape(const vk_graph *g, const char *name, const vk_shape *s,
                               const vk_extent *e, vk_err *err)
{
  char text[VK_SHAPE_TEXT];
  int64_t n = 1, most;
  if (s->n_dim < 0 || s->n_dim > VK_DIM_MAX)
    return vk_fail(err, VK_E_SHAPE, "%s: %s: %d dimensions, expected at most %d", g->name, name,
                   s->n_dim, VK_DIM_MAX);
  bool fits = true;
  for (int i = 0; i < s->n_dim && fits; i++)
    fits = s->dim[i] >= 0 && s->dim[i] <= INT32_MAX &&
           !__builtin_mul_overflow(n, s->dim[i] ? s->dim[i] : 1, &n) && n <= INT64_C(1) << 40;
  if (!fits)
    return vk_fail(err, VK_E_SHAPE,
                   "%s: %s: %s is not a shape: dimensions of at least 0 and below 2^31, at most "
                   "2^40 items",
                   g->name, name, vk_shape_text(s, text));
  if (e->sym < 0)
    return VK_OK;
  if (e->sym >= g->n_sym || s->n_dim == 0 || e->per < 0 || e->plus < 0 ||
      __builtin_mul_overflow(e->per, g->sym_cap[e->sym], &most) ||
      __builtin_add_overflow(most, e->plus, &most) || s->dim[0] != most)
    return vk_fail(err, VK_E_SHAPE,
                   "%s: %s: the first dimension of %s is not %lld times the symbol's capacity plus "
                   "%lld",
                   g->name, name, vk_shape_text(s, text), (long long)e->per, (long long)e->plus);
  return VK_OK;
}
