/* group_norm.h - what group_norm and its gradient share.
 *
 * A picture is a flat array in which the channel of item i is i % c. Vectors see the same channels
 * again after `period` items, the least common multiple of c and VK_LANES: what belongs to a
 * channel is kept once for each item of a period, and rows of a period are walked with no
 * remainder. Test: tests/unit/test_ops.c, tests/unit/test_group_norm.c */
#ifndef VK_NN_GROUP_NORM_H
#define VK_NN_GROUP_NORM_H

#include <stdbool.h>

#include "nn/op.h"
#include "nn/simd.h"

enum { GROUP_NORM_BLOCK = 4096 /* items that are summed before they join the others */ };

typedef struct group_norm_shape {
  int64_t n, c, n_item;   /* pictures; channels; items of a picture */
  int64_t n_group, group; /* of channels; pictures that share a row of gb */
  int64_t period, n_row;  /* rows of a picture; a rest of n_item - n_row * period items */
} group_norm_shape;

static inline group_norm_shape group_norm_shape_of(const vk_shape *x, const vk_attrs *a)
{
  group_norm_shape s = {.n = x->dim[0], .c = vk_shape_last(x), .n_item = 1};
  for (int i = 1; i < x->n_dim; i++)
    s.n_item *= x->dim[i];
  s.n_group = a->n_group;
  s.group = a->group > 0 ? a->group : 1;
  s.period = s.c;
  while (s.period % VK_LANES != 0)
    s.period += s.c;
  s.n_row = s.n_item / s.period;
  return s;
}

/* Floats of a row of scratch on any path. */
static inline int64_t group_norm_row(const group_norm_shape *s)
{
  return 16 * s->c;
}

/* out[i] = in[i % c]; in may be out. */
static inline void group_norm_repeat(const group_norm_shape *s, const float *in, float *out)
{
  for (int64_t i = in == out ? s->c : 0; i < s->period; i += s->c)
    memcpy(out + i, in, sizeof *out * (size_t)s->c);
}

/* Rows of a block. */
static inline int64_t group_norm_block_rows(const group_norm_shape *s)
{
  return s->period < GROUP_NORM_BLOCK ? GROUP_NORM_BLOCK / s->period : 1;
}

/* Shape rules of the affine parameters and of gb, inputs i_w, i_w + 1 and i_w + 2 (optional), for
 * pictures x (input i_x). */
VK_NODISCARD vk_status vk_group_norm_check(const vk_infer *c, int i_x, int i_w, vk_err *err);
/* gb is [n / group, 2 c] for x [n, ..., c]. */
VK_NODISCARD vk_status vk_film_check(const vk_infer *c, int i_x, int i_gb, vk_err *err);

/* Shape of x, n_group, group and eps of an example. */
enum { VK_GROUP_NORM_N_CASE = 8 };
vk_shape vk_group_norm_example(vk_example *e, bool *has_film);
/* Shape of x and group of an example of film. */
enum { VK_FILM_N_CASE = 2 };
vk_shape vk_film_example(vk_example *e);

#endif
