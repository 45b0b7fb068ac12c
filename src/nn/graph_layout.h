/* graph_layout.h - places boxes in layers from top to bottom so that lines between them are short,
 * cross seldom, and go around boxes. A net is a line from one box to several others below it: it
 * has one trunk from layer to layer, and branches off it.
 *
 * Layers are longest paths; the order in a layer comes from sweeps by mean neighbours, of which the
 * one with the fewest crossings is kept (Sugiyama, Tagawa, Toda 1981); coordinates from sweeps in
 * which a layer's boxes take the places nearest to their neighbours that do not overlap. The same
 * input always gives the same drawing. Test: tests/unit/test_graph_layout.c */
#ifndef VK_NN_GRAPH_LAYOUT_H
#define VK_NN_GRAPH_LAYOUT_H

#include "core/err.h"

enum { VK_LAYOUT_FREE, VK_LAYOUT_FIRST, VK_LAYOUT_LAST };

typedef struct vk_layout_box {
  double w, h; /* in */
  int pin;     /* in: in the first or last layer whatever its lines say */
  double x, y; /* out: upper left corner */
  int layer;   /* out */
} vk_layout_box;

typedef struct vk_layout_net {
  int from; /* box, or -1: the net begins nowhere and is not drawn */
  int n_to;
  int *to;       /* boxes, each once; not `from`, and no cycle */
  double from_x; /* out: where it leaves that box */
  double *to_x;  /* out [n_to]: where it enters them */
  double *trunk; /* out: x in layers from.layer + 1 on; room for one a layer, at most n_box */
  int n_trunk;   /* out */
} vk_layout_net;

typedef struct vk_layout {
  int n_box, n_net;
  vk_layout_box *box;
  vk_layout_net *net;
  double gap_x, gap_y, gap_line; /* in: between boxes, layers, lines */
  int n_layer;
  double *top, *bottom; /* out, to be freed: [n_layer] of each layer's boxes */
  double w, h;          /* out: of all */
} vk_layout;

/* Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_layout_make(vk_layout *l, vk_err *err);

#endif
