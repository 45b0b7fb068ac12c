/* graph_dump.h - a graph as text: one line a leaf, node and output, equal for equal graphs, and so
 * written that a pass changes only the lines of what it changed.
 *
 *   graph mlp
 *   symbol batch 5
 *   input x f32 [batch*3, 24]
 *   param head.weight f32 [1, 24]
 *   head.matmul f32 [batch*3, 1] = matmul(x [batch*3, 24], head.weight [1, 24]) trans_b=1
 *   output y = head.matmul
 *
 * Results are named by place and op; "#2" is the second node of that name, ":1" its second output.
 * Outputs without items (matmul's pre where nobody keeps it) and attributes that are 0 are left
 * out. Test: tests/unit/test_passes.c */
#ifndef VK_NN_GRAPH_DUMP_H
#define VK_NN_GRAPH_DUMP_H

#include <stdio.h>

#include "nn/graph.h"

/* Writes it to out, whose errors the caller looks for. */
void vk_graph_dump(const vk_graph *g, FILE *out);

/* A value's name in the dump: "enc.0.attn.matmul#2:1". Returns buf. */
const char *vk_graph_value_name(const vk_graph *g, vk_id v, char buf[VK_VALUE_TEXT]);
/* Its shape (vk_value_shape_text). Returns buf. */
const char *vk_graph_value_shape(const vk_graph *g, vk_id v, char buf[VK_VALUE_TEXT]);
/* Attributes of a node that are not 0: " trans_b=1 act=gelu"; "" for none. Returns buf. */
const char *vk_graph_attr_text(const vk_graph *g, const vk_node *n, char buf[VK_VALUE_TEXT]);

#endif
