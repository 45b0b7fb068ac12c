#include "nn/graph_layout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_ORDER_SWEEP = 24, N_PLACE_SWEEP = 200 };

/* A box, or where a trunk passes a layer. */
typedef struct knot {
  double w, x; /* x: of its middle */
  int layer, pos;
  bool is_line;
  double key, weight; /* of the sweep at hand */
  int first[2], n[2]; /* neighbours above and below: edge[first..] of that direction */
} knot;

typedef struct link {
  int a, b; /* knots, b one layer below a */
} link;

typedef struct work {
  vk_layout *l;
  int n_knot, n_link, *n_in_layer;
  knot *knot;
  link *link;
  int *neighbour[2]; /* knots above, below; see knot.first */
  int **layer;       /* [n_layer] knots in order */
  int *layer_room, *best;
  int *trunk_knot; /* [n_net] first knot of its trunk */
} work;

/* ---- layers -------------------------------------------------------------------------------- */

/* Longest path from the top; nets point from boxes to boxes without cycles, in any order. */
static void find_layers(vk_layout *l)
{
  for (int i = 0; i < l->n_box; i++)
    l->box[i].layer = 0;
  bool is_moved = true;
  for (int round = 0; is_moved && round <= l->n_box; round++) {
    is_moved = false;
    for (int i = 0; i < l->n_net; i++)
      for (int k = 0; l->net[i].from >= 0 && k < l->net[i].n_to; k++) {
        int least = l->box[l->net[i].from].layer + 1;
        vk_layout_box *to = &l->box[l->net[i].to[k]];
        is_moved |= to->layer < least;
        to->layer = to->layer < least ? least : to->layer;
      }
  }
  l->n_layer = 1;
  for (int i = 0; i < l->n_box; i++)
    l->n_layer = l->box[i].layer >= l->n_layer ? l->box[i].layer + 1 : l->n_layer;
  for (int i = 0; i < l->n_box; i++)
    if (l->box[i].pin == VK_LAYOUT_LAST)
      l->box[i].layer = l->n_layer - 1;
}

/* What nothing leads to lies just above what it leads to. */
static vk_status lower_sources(vk_layout *l, vk_err *err)
{
  int *below = malloc(sizeof *below * (size_t)(l->n_box + 1));
  if (!below)
    return vk_fail(err, VK_E_NOMEM, "no memory for a drawing");
  for (int i = 0; i < l->n_box; i++)
    below[i] = l->n_layer;
  for (int i = 0; i < l->n_net; i++) {
    const vk_layout_net *n = &l->net[i];
    for (int k = 0; n->from >= 0 && k < n->n_to; k++) {
      int layer = l->box[n->to[k]].layer;
      below[n->from] = layer < below[n->from] ? layer : below[n->from];
    }
  }
  for (int i = 0; i < l->n_net; i++) /* boxes that something leads to stay */
    for (int k = 0; l->net[i].from >= 0 && k < l->net[i].n_to; k++)
      below[l->net[i].to[k]] = -1;
  for (int i = 0; i < l->n_box; i++)
    if (below[i] > 0 && below[i] < l->n_layer && l->box[i].pin == VK_LAYOUT_FREE)
      l->box[i].layer = below[i] - 1;
  free(below);
  return VK_OK;
}

/* ---- knots and links ------------------------------------------------------------------------ */

static int last_layer(const vk_layout *l, const vk_layout_net *n)
{
  int last = 0;
  for (int k = 0; k < n->n_to; k++)
    last = l->box[n->to[k]].layer > last ? l->box[n->to[k]].layer : last;
  return last;
}

static void add_link(work *a, int from, int to)
{
  a->link[a->n_link++] = (link){from, to};
}

static void add_net(work *a, int i)
{
  vk_layout *l = a->l;
  vk_layout_net *n = &l->net[i];
  n->n_trunk = 0;
  if (n->from < 0 || n->n_to == 0)
    return;
  int top = l->box[n->from].layer, bottom = last_layer(l, n), above = n->from;
  a->trunk_knot[i] = a->n_knot;
  for (int layer = top + 1; layer < bottom; layer++) {
    a->knot[a->n_knot] = (knot){.w = l->gap_line, .layer = layer, .is_line = true};
    add_link(a, above, a->n_knot);
    above = a->n_knot++;
    n->n_trunk++;
  }
  for (int k = 0; k < n->n_to; k++) {
    int at = l->box[n->to[k]].layer - 1;
    add_link(a, at == top ? n->from : a->trunk_knot[i] + at - top - 1, n->to[k]);
  }
}

/* neighbour[0]: above, [1]: below; by counting. */
static void index_links(work *a)
{
  for (int i = 0; i < a->n_link; i++) {
    a->knot[a->link[i].b].n[0]++;
    a->knot[a->link[i].a].n[1]++;
  }
  for (int d = 0; d < 2; d++)
    for (int i = 0, at = 0; i < a->n_knot; i++) {
      a->knot[i].first[d] = at;
      at += a->knot[i].n[d];
      a->knot[i].n[d] = 0;
    }
  for (int i = 0; i < a->n_link; i++) {
    knot *up = &a->knot[a->link[i].a], *down = &a->knot[a->link[i].b];
    a->neighbour[0][down->first[0] + down->n[0]++] = a->link[i].a;
    a->neighbour[1][up->first[1] + up->n[1]++] = a->link[i].b;
  }
}

static void fill_layers(work *a)
{
  for (int i = 0; i < a->n_knot; i++)
    a->n_in_layer[a->knot[i].layer]++;
  int at = 0;
  for (int k = 0; k < a->l->n_layer; k++) {
    a->layer[k] = a->layer_room + at;
    at += a->n_in_layer[k];
    a->n_in_layer[k] = 0;
  }
  for (int i = 0; i < a->n_knot; i++) {
    knot *n = &a->knot[i];
    n->pos = a->n_in_layer[n->layer]++;
    a->layer[n->layer][n->pos] = i;
  }
}

/* ---- order in a layer ------------------------------------------------------------------------ */

static int64_t count_crossings(const work *a)
{
  int64_t n = 0;
  for (int i = 0; i < a->n_link; i++)
    for (int k = i + 1; k < a->n_link; k++) {
      const knot *a0 = &a->knot[a->link[i].a], *a1 = &a->knot[a->link[k].a];
      if (a0->layer != a1->layer)
        continue;
      int b0 = a->knot[a->link[i].b].pos, b1 = a->knot[a->link[k].b].pos;
      n += (a0->pos < a1->pos && b0 > b1) || (a0->pos > a1->pos && b0 < b1);
    }
  return n;
}

/* Sorts a layer by key; equal keys stay in order. */
static void sort_layer(work *a, int layer)
{
  int *x = a->layer[layer];
  for (int i = 1; i < a->n_in_layer[layer]; i++) {
    int v = x[i], k = i;
    for (; k > 0 && a->knot[x[k - 1]].key > a->knot[v].key; k--)
      x[k] = x[k - 1];
    x[k] = v;
  }
  for (int i = 0; i < a->n_in_layer[layer]; i++)
    a->knot[x[i]].pos = i;
}

/* One sweep: every layer by the mean place of its neighbours in direction d (0: above). */
static void sweep_order(work *a, int d)
{
  for (int i = 0; i < a->l->n_layer; i++) {
    int layer = d == 0 ? i : a->l->n_layer - 1 - i;
    for (int k = 0; k < a->n_in_layer[layer]; k++) {
      knot *n = &a->knot[a->layer[layer][k]];
      double sum = 0;
      for (int m = 0; m < n->n[d]; m++)
        sum += a->knot[a->neighbour[d][n->first[d] + m]].pos;
      n->key = n->n[d] ? sum / n->n[d] : n->pos;
    }
    sort_layer(a, layer);
  }
}

static void order(work *a)
{
  int64_t fewest = count_crossings(a);
  memcpy(a->best, a->layer_room, sizeof *a->best * (size_t)a->n_knot);
  for (int i = 0; i < N_ORDER_SWEEP && fewest > 0; i++) {
    sweep_order(a, i % 2);
    int64_t n = count_crossings(a);
    if (n >= fewest)
      continue;
    fewest = n;
    memcpy(a->best, a->layer_room, sizeof *a->best * (size_t)a->n_knot);
  }
  memcpy(a->layer_room, a->best, sizeof *a->best * (size_t)a->n_knot);
  for (int i = 0; i < a->l->n_layer; i++)
    for (int k = 0; k < a->n_in_layer[i]; k++)
      a->knot[a->layer[i][k]].pos = k;
}

/* ---- coordinates ---------------------------------------------------------------------------- */

static double distance(const work *a, const knot *left, const knot *right)
{
  double gap = left->is_line || right->is_line ? a->l->gap_line : a->l->gap_x;
  return 0.5 * (left->w + right->w) + gap;
}

/* The places nearest to the keys, by weight, that keep the distances: neighbours that would overlap
 * join and move together. */
static void place_layer(work *a, int layer)
{
  int n = a->n_in_layer[layer], n_run = 0;
  int *x = a->layer[layer];
  double at = 0;
  for (int i = 0; i < n; i++) {
    knot *k = &a->knot[x[i]];
    at += i ? distance(a, &a->knot[x[i - 1]], k) : 0;
    k->x = at; /* what the keys are measured from */
    k->key -= at;
  }
  /* best[] is free by now: it holds where runs of knots that moved together begin */
  for (int i = 0; i < n; i++) {
    a->best[n_run++] = i;
    while (n_run > 1) {
      knot *last = &a->knot[x[a->best[n_run - 1]]], *before = &a->knot[x[a->best[n_run - 2]]];
      if (before->key <= last->key)
        break;
      double w = before->weight + last->weight;
      before->key = (before->key * before->weight + last->key * last->weight) / w;
      before->weight = w;
      n_run--;
    }
  }
  for (int r = 0; r < n_run; r++) {
    double key = a->knot[x[a->best[r]]].key;
    for (int i = a->best[r]; i < (r + 1 < n_run ? a->best[r + 1] : n); i++)
      a->knot[x[i]].x += key;
  }
}

/* Straight trunks matter most; a branch is long whatever one does, and must not pull its box. */
static double link_weight(const knot *a, const knot *b)
{
  return a->is_line && b->is_line ? 8 : a->is_line || b->is_line ? 0.2 : 3;
}

/* d 0: towards neighbours above, 1: below, 2: both. */
static void sweep_place(work *a, int d)
{
  for (int i = 0; i < a->l->n_layer; i++) {
    int layer = d == 1 ? a->l->n_layer - 1 - i : i;
    for (int k = 0; k < a->n_in_layer[layer]; k++) {
      knot *n = &a->knot[a->layer[layer][k]];
      double sum = 0.01 * n->x, weight = 0.01;
      for (int e = d == 1; e <= (d >= 1); e++)
        for (int m = 0; m < n->n[e]; m++) {
          const knot *other = &a->knot[a->neighbour[e][n->first[e] + m]];
          sum += link_weight(n, other) * other->x;
          weight += link_weight(n, other);
        }
      n->key = sum / weight;
      n->weight = weight;
    }
    place_layer(a, layer);
  }
}

static void place(work *a)
{
  for (int i = 0; i < a->l->n_layer; i++) {
    for (int k = 0; k < a->n_in_layer[i]; k++)
      a->knot[a->layer[i][k]].key = 0, a->knot[a->layer[i][k]].weight = 1;
    place_layer(a, i);
  }
  for (int i = 0; i < N_PLACE_SWEEP; i++)
    sweep_place(a, i % 2);
  for (int i = 0; i < 20; i++)
    sweep_place(a, 2);
}

/* ---- results -------------------------------------------------------------------------------- */

/* Lines that meet at one side of a box are spread over it in the order of where they go. */
static double spread(const work *a, int i_box, int d, int other)
{
  const knot *n = &a->knot[i_box];
  int n_left = 0, n_all = 0;
  for (int m = 0; m < n->n[d]; m++) {
    int k = a->neighbour[d][n->first[d] + m];
    n_left += a->knot[k].x < a->knot[other].x || (a->knot[k].x == a->knot[other].x && k < other);
    n_all++;
  }
  return n->x + n->w * ((n_left + 1.0) / (n_all + 1.0) - 0.5);
}

static void write_nets(work *a, double left)
{
  vk_layout *l = a->l;
  for (int i = 0; i < l->n_net; i++) {
    vk_layout_net *n = &l->net[i];
    if (n->from < 0 || n->n_to == 0)
      continue;
    for (int k = 0; k < n->n_trunk; k++)
      n->trunk[k] = a->knot[a->trunk_knot[i] + k].x - left;
    int top = l->box[n->from].layer;
    double sum = 0;
    int n_sum = 0;
    for (int k = 0; k < n->n_to; k++) {
      int at = l->box[n->to[k]].layer - 1;
      int above = at == top ? n->from : a->trunk_knot[i] + at - top - 1;
      n->to_x[k] = spread(a, n->to[k], 0, above) - left;
      if (at == top)
        sum += spread(a, n->from, 1, n->to[k]), n_sum++;
    }
    if (n->n_trunk > 0)
      sum += spread(a, n->from, 1, a->trunk_knot[i]), n_sum++;
    n->from_x = sum / n_sum - left;
  }
}

static vk_status write_boxes(work *a, vk_err *err)
{
  vk_layout *l = a->l;
  double left = 0, right = 0, y = 0;
  l->top = calloc((size_t)l->n_layer, sizeof *l->top);
  l->bottom = calloc((size_t)l->n_layer, sizeof *l->bottom);
  if (!l->top || !l->bottom)
    return vk_fail(err, VK_E_NOMEM, "no memory for a drawing");
  for (int i = 0; i < a->n_knot; i++) {
    const knot *n = &a->knot[i];
    left = i == 0 || n->x - 0.5 * n->w < left ? n->x - 0.5 * n->w : left;
    right = i == 0 || n->x + 0.5 * n->w > right ? n->x + 0.5 * n->w : right;
  }
  for (int layer = 0; layer < l->n_layer; layer++) {
    double h = 0;
    for (int i = 0; i < l->n_box; i++)
      h = l->box[i].layer == layer && l->box[i].h > h ? l->box[i].h : h;
    l->top[layer] = y;
    l->bottom[layer] = y + h;
    y += h + l->gap_y;
  }
  for (int i = 0; i < l->n_box; i++) {
    vk_layout_box *b = &l->box[i];
    b->x = a->knot[i].x - 0.5 * b->w - left;
    b->y = b->pin == VK_LAYOUT_LAST ? l->bottom[b->layer] - b->h : l->top[b->layer];
  }
  l->w = right - left;
  l->h = y - l->gap_y;
  write_nets(a, left);
  return VK_OK;
}

static vk_status lay_out(work *a, vk_err *err)
{
  vk_layout *l = a->l;
  size_t n_knot = (size_t)l->n_box + 1, n_link = 1;
  for (int i = 0; i < l->n_net; i++) {
    n_knot += (size_t)l->n_layer;
    n_link += (size_t)(l->n_layer + l->net[i].n_to);
  }
  a->knot = calloc(n_knot, sizeof *a->knot);
  a->link = calloc(n_link, sizeof *a->link);
  a->neighbour[0] = calloc(n_link, sizeof(int));
  a->neighbour[1] = calloc(n_link, sizeof(int));
  a->layer = calloc((size_t)l->n_layer + 1, sizeof *a->layer);
  a->n_in_layer = calloc((size_t)l->n_layer + 1, sizeof(int));
  a->layer_room = calloc(n_knot, sizeof(int));
  a->best = calloc(n_knot, sizeof(int));
  a->trunk_knot = calloc((size_t)l->n_net + 1, sizeof(int));
  if (!a->knot || !a->link || !a->neighbour[0] || !a->neighbour[1] || !a->layer || !a->n_in_layer ||
      !a->layer_room || !a->best || !a->trunk_knot)
    return vk_fail(err, VK_E_NOMEM, "no memory for a drawing");
  for (int i = 0; i < l->n_box; i++)
    a->knot[a->n_knot++] = (knot){.w = l->box[i].w, .layer = l->box[i].layer};
  for (int i = 0; i < l->n_net; i++)
    add_net(a, i);
  index_links(a);
  fill_layers(a);
  order(a);
  place(a);
  return write_boxes(a, err);
}

vk_status vk_layout_make(vk_layout *l, vk_err *err)
{
  work a = {.l = l};
  find_layers(l);
  vk_status st = lower_sources(l, err);
  if (st == VK_OK)
    st = lay_out(&a, err);
  free(a.knot);
  free(a.link);
  free(a.neighbour[0]);
  free(a.neighbour[1]);
  free(a.layer);
  free(a.n_in_layer);
  free(a.layer_room);
  free(a.best);
  free(a.trunk_knot);
  return st;
}
