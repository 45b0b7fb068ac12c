/* graph_svg.h - a graph as a drawing: parts of the model from top to bottom, each a box with its
 * nodes, in the colours of families of ops, and lines for what flows between them. Parameters are
 * not drawn. Test: tests/unit/test_passes.c */
#ifndef VK_NN_GRAPH_SVG_H
#define VK_NN_GRAPH_SVG_H

#include <stdio.h>

#include "nn/graph.h"

/* Writes SVG to out, whose errors the caller looks for.
 *   full  a box for each node, in a frame for each part; else a line for each node
 * Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_graph_svg(const vk_graph *g, bool full, FILE *out, vk_err *err);

#endif
