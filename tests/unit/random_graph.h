/* random_graph.h - valid graphs of random ops and shapes, with the numbers of their leaves, for
 * tests. They come from the examples that the ops themselves give, so that an op takes part as soon
 * as it is in op_list.h: its inputs are results of other ops where these can be brought to the
 * shapes it asks for, and new leaves where not. Some rows follow the symbol "batch". */
#ifndef VK_TESTS_RANDOM_GRAPH_H
#define VK_TESTS_RANDOM_GRAPH_H

#include "nn/op.h"

enum { RANDOM_VALUE_MAX = 1000 };

typedef struct random_graph {
  vk_graph graph; /* outputs: "loss", one number, and some values on the way */
  uint64_t seed;
  int64_t cap;                  /* of batch */
  bool is_smooth;               /* by random_graph_init_smooth */
  bool has_fixed_index;         /* rows are named that a batch of 0 lacks */
  void *leaf[RANDOM_VALUE_MAX]; /* data at capacity of inputs and parameters */
  /* private: for building */
  vk_philox rng;
  vk_example example;
  double *data[RANDOM_VALUE_MAX]; /* reference at capacity; indices of other types as they are */
  int n_done;                     /* nodes computed */
  int n_pool;
  vk_id pool[RANDOM_VALUE_MAX]; /* f32 values that ops may take */
} random_graph;

/* The graph of a seed. op: it takes part first, with variant i_case of its example; NULL: any. */
void random_graph_init(random_graph *r, uint64_t seed, const vk_op_def *op, int i_case);
/* Only ops with a gradient, and only where they have one: the loss's is what differences say. */
void random_graph_init_smooth(random_graph *r, uint64_t seed);
void random_graph_fini(random_graph *r);

/* Whole random number in [lo, hi] of the graph's generator; true with probability p. */
int64_t random_graph_int(random_graph *r, int64_t lo, int64_t hi);
bool random_graph_chance(random_graph *r, double p);

#endif
