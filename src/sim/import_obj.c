#include "sim/import_obj.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A growing array. */
typedef struct list {
  void *item;
  size_t n, room; /* items of 4 bytes */
} list;

typedef struct reader {
  const char *p, *end; /* of the line */
  const char *name;
  size_t line;
  list vertex, normal, texcoord, face, face_normal, face_texcoord;
  vk_err *err;
} reader;

/* ---- numbers -------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
  return c == ' ' || c == '\t' || c == '\r';
}

static void skip_blanks(reader *r)
{
  while (r->p < r->end && is_blank(*r->p))
    r->p++;
}

static bool is_digit(const reader *r)
{
  return r->p < r->end && *r->p >= '0' && *r->p <= '9';
}

static bool take_char(reader *r, char c)
{
  bool is = r->p < r->end && *r->p == c;
  r->p += is;
  return is;
}

/* Appends digits to *value; those beyond 18 count in *scale alone. Returns how many there were. */
static int take_digits(reader *r, uint64_t *value, int *scale, int step)
{
  int n = 0;
  for (; is_digit(r); r->p++, n++)
    if (*value < UINT64_C(100000000000000000)) {
      *value = 10 * *value + (uint64_t)(*r->p - '0');
      *scale += step;
    } else {
      *scale += step + 1;
    }
  return n;
}

/* A decimal number, to within the last bit of a float: strtod would take most of the import's
 * time. */
static bool take_number(reader *r, float *out)
{
  static const double ten[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                               1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
  skip_blanks(r);
  bool is_negative = take_char(r, '-');
  if (!is_negative)
    take_char(r, '+');
  uint64_t digits = 0, power = 0;
  int scale = 0, ignored = 0;
  int n = take_digits(r, &digits, &scale, 0);
  if (take_char(r, '.'))
    n += take_digits(r, &digits, &scale, -1);
  if (n == 0)
    return false;
  if (take_char(r, 'e') || take_char(r, 'E')) {
    bool is_down = take_char(r, '-');
    if (!is_down)
      take_char(r, '+');
    if (take_digits(r, &power, &ignored, 0) == 0 || power > 99)
      return false;
    scale += is_down ? -(int)power : (int)power;
  }
  double v = (double)digits;
  const int rest = abs(scale) % 16;
  for (int i = 0; i < abs(scale) / 16 && v != 0; i++)
    v = scale < 0 ? v / 1e16 : v * 1e16;
  v = scale < 0 ? v / ten[rest] : v * ten[rest];
  *out = (float)(is_negative ? -v : v);
  return isfinite(*out) && (r->p == r->end || is_blank(*r->p));
}

/* A number of an item, from 1 or from the last backwards; *out UINT32_MAX when it is none. */
static bool take_index(reader *r, size_t n_item, uint32_t *out)
{
  bool is_back = take_char(r, '-');
  uint64_t value = 0;
  int scale = 0;
  if (take_digits(r, &value, &scale, 0) == 0 || value == 0 || scale != 0)
    return false;
  *out = UINT32_MAX;
  if (is_back && value <= n_item)
    *out = (uint32_t)(n_item - value);
  else if (!is_back && value <= VK_FILE_MESH_MAX)
    *out = (uint32_t)(value - 1); /* of a line that may still come */
  return true;
}

/* ---- lines ---------------------------------------------------------------------------------- */

static vk_status fail_line(const reader *r, const char *expected)
{
  return vk_fail(r->err, VK_E_FORMAT, "%s line %zu: expected %s", r->name, r->line, expected);
}

static vk_status put(reader *r, list *to, const void *item, size_t n)
{
  if (to->n + n > to->room) {
    size_t room = 2 * to->room + 1024;
    void *p = room <= 4 * (size_t)VK_FILE_MESH_MAX ? realloc(to->item, 4 * room) : NULL;
    if (!p)
      return vk_fail(r->err, VK_E_NOMEM, "%s line %zu: no memory for so large a mesh", r->name,
                     r->line);
    to->item = p;
    to->room = room;
  }
  memcpy((char *)to->item + 4 * to->n, item, 4 * n);
  to->n += n;
  return VK_OK;
}

static vk_status read_numbers(reader *r, list *to, int n)
{
  float v[3];
  for (int i = 0; i < n; i++)
    if (!take_number(r, &v[i]))
      return fail_line(r, n == 3 ? "three numbers" : "two numbers");
  if (n == 2)
    v[1] = 1 - v[1];
  return put(r, to, v, (size_t)n);
}

/* v, v/vt, v//vn or v/vt/vn. */
static vk_status read_corner(reader *r, uint32_t corner[3])
{
  corner[1] = corner[2] = UINT32_MAX;
  bool ok = take_index(r, r->vertex.n / 3, &corner[0]);
  if (ok && take_char(r, '/')) {
    if (r->p < r->end && *r->p != '/')
      ok = take_index(r, r->texcoord.n / 2, &corner[1]);
    if (ok && take_char(r, '/'))
      ok = take_index(r, r->normal.n / 3, &corner[2]);
  }
  if (!ok || !(r->p == r->end || is_blank(*r->p)))
    return fail_line(r, "corners as v, v/vt, v//vn or v/vt/vn with numbers that are not 0");
  return VK_OK;
}

static vk_status put_triangle(reader *r, const uint32_t (*c)[3], int i, int j, int k)
{
  list *to[] = {&r->face, &r->face_texcoord, &r->face_normal};
  for (int m = 0; m < 3; m++) {
    const uint32_t index[] = {c[i][m], c[j][m], c[k][m]};
    VK_TRY(put(r, to[m], index, 3));
  }
  return VK_OK;
}

static vk_status read_face(reader *r)
{
  uint32_t c[VK_OBJ_CORNERS_MAX][3];
  int n = 0;
  for (skip_blanks(r); r->p < r->end; skip_blanks(r)) {
    if (n == VK_OBJ_CORNERS_MAX)
      return fail_line(r, "a polygon of at most 64 corners");
    VK_TRY(read_corner(r, c[n++]));
  }
  if (n < 3)
    return fail_line(r, "a polygon of three corners or more");
  for (int i = 1; i + 1 < n; i++)
    VK_TRY(put_triangle(r, (const uint32_t(*)[3])c, 0, i, i + 1));
  return VK_OK;
}

static vk_status read_line(reader *r)
{
  skip_blanks(r);
  const size_t n = (size_t)(r->end - r->p);
  if (n > 1 && r->p[0] == 'v' && is_blank(r->p[1])) {
    r->p += 1;
    return read_numbers(r, &r->vertex, 3);
  }
  if (n > 2 && r->p[0] == 'v' && r->p[1] == 'n' && is_blank(r->p[2])) {
    r->p += 2;
    return read_numbers(r, &r->normal, 3);
  }
  if (n > 2 && r->p[0] == 'v' && r->p[1] == 't' && is_blank(r->p[2])) {
    r->p += 2;
    return read_numbers(r, &r->texcoord, 2);
  }
  if (n > 1 && r->p[0] == 'f' && is_blank(r->p[1])) {
    r->p += 1;
    return read_face(r);
  }
  return VK_OK;
}

/* ---- the file ------------------------------------------------------------------------------- */

vk_status vk_obj_parse(vk_file_mesh *mesh, const void *bytes, size_t n, const char *name,
                       vk_err *err)
{
  reader r = {.name = name, .err = err};
  const char *p = bytes, *end = p + n;
  vk_status st = VK_OK;
  while (st == VK_OK && p < end) {
    const char *newline = memchr(p, '\n', (size_t)(end - p));
    r.p = p;
    r.end = newline ? newline : end;
    r.line++;
    st = read_line(&r);
    p = newline ? newline + 1 : end;
  }
  *mesh = (vk_file_mesh){.n_vertex = (uint32_t)(r.vertex.n / 3),
                         .n_normal = (uint32_t)(r.normal.n / 3),
                         .n_texcoord = (uint32_t)(r.texcoord.n / 2),
                         .n_triangle = (uint32_t)(r.face.n / 3),
                         .vertex = r.vertex.item,
                         .normal = r.normal.item,
                         .texcoord = r.texcoord.item,
                         .face = r.face.item,
                         .face_normal = r.face_normal.item,
                         .face_texcoord = r.face_texcoord.item};
  if (st == VK_OK)
    st = vk_file_mesh_check(mesh, name, err);
  if (st != VK_OK)
    vk_file_mesh_free(mesh);
  return st;
}
