/* graph_show.h - tables and JSON of what `vlakit graph show`, `ops` and `passes` print. Places are
 * one string as in the names of parameters, "enc.0", in JSON too.
 * Test: tests/cmd/test_graph.sh */
#ifndef VK_CMD_GRAPH_SHOW_H
#define VK_CMD_GRAPH_SHOW_H

#include "core/json.h"
#include "nn/plan.h"

/* What was asked for, in words for people: "inference, batch of 1, 2 views". */
void vk_graph_show_print(const vk_plan *plan, const char *asked);

/* Adds nodes, costs, memory plan and parameters to the object. */
void vk_graph_show_add_json(cJSON *object, const vk_plan *plan);

/* The table of ops, and as JSON: {"ops": [{name, help, ...}]}. */
void vk_graph_ops_print(void);
void vk_graph_ops_add_json(cJSON *object);

/* The passes in the order in which they run, and as JSON: {"passes": [{name, help, needed}]}. */
void vk_graph_passes_print(void);
void vk_graph_passes_add_json(cJSON *object);

#endif
