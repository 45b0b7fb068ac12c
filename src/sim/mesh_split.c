#include "sim/mesh_split.h"

#include <math.h>
#include <meshoptimizer.h>
#include <stdlib.h>
#include <string.h>

/* What hangs together. */
typedef struct piece {
  float lo[3], hi[3];
  uint64_t cell; /* or its own number, when it is long */
} piece;

typedef struct splitting {
  const vk_mesh *mesh;
  uint32_t *place;  /* [n_vertex] the first vertex of its position, then of its piece */
  piece *piece;     /* [n_vertex], those of first vertices are in use */
  uint32_t *number; /* [n_vertex] of a vertex in its part */
  uint64_t *order;  /* [n_triangle, 2] cell and triangle */
} splitting;

static void splitting_free(splitting *s)
{
  free(s->place);
  free(s->piece);
  free(s->number);
  free(s->order);
}

static uint32_t root_of(uint32_t *up, uint32_t i)
{
  while (up[i] != i) {
    up[i] = up[up[i]];
    i = up[i];
  }
  return i;
}

/* place: number of a vertex's position -> the lowest vertex of its piece. */
static bool join(splitting *s)
{
  const vk_mesh *m = s->mesh;
  const struct meshopt_Stream position = {m->vertex[0].p, sizeof m->vertex[0].p, sizeof *m->vertex};
  uint32_t *up = malloc(m->n_vertex * sizeof *up);
  if (!up)
    return false;
  meshopt_generateVertexRemapMulti(s->place, m->index, 3 * (size_t)m->n_triangle, m->n_vertex,
                                   &position, 1);
  for (uint32_t i = 0; i < m->n_vertex; i++)
    up[i] = i;
  for (size_t i = 0; i < m->n_triangle; i++)
    for (size_t k = 1; k < 3; k++) {
      const uint32_t a = root_of(up, s->place[m->index[3 * i]]),
                     b = root_of(up, s->place[m->index[3 * i + k]]);
      up[a > b ? a : b] = a > b ? b : a;
    }
  for (uint32_t i = 0; i < m->n_vertex; i++)
    s->place[i] = root_of(up, s->place[i]);
  free(up);
  return true;
}

static void find_cells(splitting *s, double side_m)
{
  const vk_mesh *m = s->mesh;
  for (uint32_t i = 0; i < m->n_vertex; i++)
    for (int k = 0; k < 3; k++) {
      s->piece[i].lo[k] = HUGE_VALF;
      s->piece[i].hi[k] = -HUGE_VALF;
    }
  for (uint32_t i = 0; i < m->n_vertex; i++)
    for (int k = 0; k < 3; k++) {
      piece *p = &s->piece[s->place[i]];
      p->lo[k] = fminf(p->lo[k], m->vertex[i].p[k]);
      p->hi[k] = fmaxf(p->hi[k], m->vertex[i].p[k]);
    }
  for (uint32_t i = 0; i < m->n_vertex; i++) {
    piece *p = &s->piece[i];
    bool is_long = false;
    uint64_t cell = 1;
    for (int k = 0; k < 3 && p->lo[k] <= p->hi[k]; k++) {
      is_long = is_long || p->hi[k] - p->lo[k] > side_m;
      double at = floor((0.5 * p->lo[k] + 0.5 * p->hi[k]) / side_m) + (1 << 19);
      cell = cell << 20 | (uint64_t)fmin(fmax(at, 0), (1 << 20) - 1);
    }
    p->cell = is_long ? i : cell;
  }
}

static int compare_order(const void *a, const void *b)
{
  const uint64_t *p = a, *q = b;
  int k = p[0] == q[0];
  return p[k] < q[k] ? -1 : p[k] > q[k];
}

static vk_status take_part(vk_mesh *out, const splitting *s, const uint64_t (*order)[2], size_t n,
                           vk_err *err)
{
  const vk_mesh *m = s->mesh;
  for (size_t i = 0; i < n; i++) {
    uint32_t t[3];
    for (size_t k = 0; k < 3; k++) {
      const uint32_t v = m->index[3 * order[i][1] + k];
      if (s->number[v] == UINT32_MAX) {
        s->number[v] = out->n_vertex;
        VK_TRY(vk_mesh_add_vertex(out, &m->vertex[v], err));
      }
      t[k] = s->number[v];
    }
    VK_TRY(vk_mesh_add_triangle(out, t[0], t[1], t[2], err));
  }
  return VK_OK;
}

static bool is_longer(const vk_mesh *mesh, double side_m)
{
  for (int k = 0; k < 3; k++) {
    float lo = HUGE_VALF, hi = -HUGE_VALF;
    for (uint32_t i = 0; i < mesh->n_vertex; i++) {
      lo = fminf(lo, mesh->vertex[i].p[k]);
      hi = fmaxf(hi, mesh->vertex[i].p[k]);
    }
    if (hi - lo > side_m)
      return true;
  }
  return false;
}

/* A vertex lies in one part only, as it belongs to one piece. */
static vk_status take_parts(splitting *s, vk_mesh **part, uint32_t *n_part, vk_err *err)
{
  const uint32_t n = s->mesh->n_triangle;
  const uint64_t(*order)[2] = (const uint64_t(*)[2])s->order;
  uint32_t n_all = 0;
  for (uint32_t i = 0; i < n; i++)
    n_all += i == 0 || order[i][0] != order[i - 1][0];
  if (n_all < 2)
    return VK_OK;
  *part = calloc(n_all, sizeof **part);
  if (!*part)
    return vk_fail(err, VK_E_NOMEM, "no memory to split a mesh");
  memset(s->number, 0xff, s->mesh->n_vertex * sizeof *s->number);
  for (uint32_t i = 0, end; i < n; i = end) {
    for (end = i + 1; end < n && order[end][0] == order[i][0];)
      end++;
    VK_TRY(take_part(&(*part)[(*n_part)++], s, order + i, end - i, err));
  }
  return VK_OK;
}

vk_status vk_mesh_split(const vk_mesh *mesh, double side_m, vk_mesh **part, uint32_t *n_part,
                        vk_err *err)
{
  *part = NULL;
  *n_part = 0;
  if (!is_longer(mesh, side_m))
    return VK_OK;
  splitting s = {.mesh = mesh,
                 .place = malloc(mesh->n_vertex * sizeof *s.place),
                 .piece = malloc(mesh->n_vertex * sizeof *s.piece),
                 .number = malloc(mesh->n_vertex * sizeof *s.number),
                 .order = malloc(mesh->n_triangle * sizeof *s.order * 2)};
  vk_status st = VK_OK;
  if (!s.place || !s.piece || !s.number || !s.order || !join(&s))
    st = vk_fail(err, VK_E_NOMEM, "no memory to split a mesh of %u triangles", mesh->n_triangle);
  if (st == VK_OK) {
    find_cells(&s, side_m);
    for (size_t i = 0; i < mesh->n_triangle; i++) {
      s.order[2 * i] = s.piece[s.place[mesh->index[3 * i]]].cell;
      s.order[2 * i + 1] = i;
    }
    qsort(s.order, mesh->n_triangle, 2 * sizeof *s.order, compare_order);
    st = take_parts(&s, part, n_part, err);
  }
  for (uint32_t i = 0; st != VK_OK && *part && i < *n_part; i++)
    vk_mesh_free(&(*part)[i]);
  if (st != VK_OK) {
    free(*part);
    *part = NULL;
  }
  splitting_free(&s);
  return st;
}
