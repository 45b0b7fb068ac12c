/* test_graph_layout.c - random boxes and nets: nothing overlaps, lines go down and around boxes,
 * and a chain is straight. */
#include "test.h"

#include <stdlib.h>

#include "core/rng.h"
#include "nn/graph_layout.h"

enum { N_BOX_MAX = 40, N_TO_MAX = 3 };

typedef struct layout_case {
  vk_layout layout;
  vk_layout_box box[N_BOX_MAX];
  vk_layout_net net[N_BOX_MAX];
  int to[N_BOX_MAX][N_TO_MAX];
  double to_x[N_BOX_MAX][N_TO_MAX], trunk[N_BOX_MAX][N_BOX_MAX];
} layout_case;

static int draw_int(vk_philox *rng, int n)
{
  return (int)(vk_philox_u64(rng) % (uint64_t)n);
}

static void add_net(layout_case *c, int from, int n_to, const int *to)
{
  int i = c->layout.n_net++;
  c->net[i] = (vk_layout_net){
      .from = from, .n_to = n_to, .to = c->to[i], .to_x = c->to_x[i], .trunk = c->trunk[i]};
  memcpy(c->to[i], to, sizeof *to * (size_t)n_to);
}

static void make(layout_case *c)
{
  vk_err err = VK_ERR_INIT;
  c->layout.box = c->box;
  c->layout.net = c->net;
  c->layout.gap_x = 10;
  c->layout.gap_y = 20;
  c->layout.gap_line = 4;
  vk_assert_ok(vk_layout_make(&c->layout, &err), &err);
}

static void fini(layout_case *c)
{
  free(c->layout.top);
  free(c->layout.bottom);
  free(c);
}

static layout_case *new_case(void)
{
  layout_case *c = calloc(1, sizeof *c);
  assert_non_null(c);
  return c;
}

static layout_case *random_case(uint64_t seed)
{
  vk_philox rng;
  vk_philox_init(&rng, seed, 0);
  layout_case *c = new_case();
  int n = c->layout.n_box = 2 + draw_int(&rng, N_BOX_MAX - 2);
  for (int i = 0; i < n; i++)
    c->box[i] = (vk_layout_box){.w = 10 + draw_int(&rng, 90), .h = 5 + draw_int(&rng, 60)};
  for (int i = 0; i + 1 < n; i++) {
    int to[N_TO_MAX], n_to = 0;
    for (int k = draw_int(&rng, N_TO_MAX + 1); k > 0; k--) {
      int other = i + 1 + draw_int(&rng, n - i - 1);
      for (int m = 0; m < n_to; m++)
        if (to[m] == other)
          other = -1;
      if (other >= 0)
        to[n_to++] = other;
    }
    if (n_to > 0)
      add_net(c, i, n_to, to);
  }
  make(c);
  return c;
}

static bool overlap(double a0, double a1, double b0, double b1)
{
  return a0 < b1 - 1e-6 && b0 < a1 - 1e-6;
}

static void boxes_do_not_overlap(void **state)
{
  for (uint64_t seed = 0; seed < 200; seed++) {
    layout_case *c = random_case(seed);
    for (int i = 0; i < c->layout.n_box; i++) {
      const vk_layout_box *a = &c->box[i];
      assert_true(a->x >= -1e-6 && a->x + a->w <= c->layout.w + 1e-6);
      assert_true(a->y >= -1e-6 && a->y + a->h <= c->layout.h + 1e-6);
      for (int k = 0; k < i; k++)
        assert_false(overlap(a->x, a->x + a->w, c->box[k].x, c->box[k].x + c->box[k].w) &&
                     overlap(a->y, a->y + a->h, c->box[k].y, c->box[k].y + c->box[k].h));
    }
    fini(c);
  }
}

static void lines_go_down_and_around_boxes(void **state)
{
  for (uint64_t seed = 0; seed < 200; seed++) {
    layout_case *c = random_case(seed);
    for (int i = 0; i < c->layout.n_net; i++) {
      const vk_layout_net *n = &c->net[i];
      const vk_layout_box *from = &c->box[n->from];
      int last = from->layer;
      assert_true(n->from_x > from->x && n->from_x < from->x + from->w);
      for (int k = 0; k < n->n_to; k++) {
        const vk_layout_box *to = &c->box[n->to[k]];
        assert_true(to->layer > from->layer && to->y > from->y + from->h);
        assert_true(n->to_x[k] > to->x && n->to_x[k] < to->x + to->w);
        last = to->layer > last ? to->layer : last;
      }
      assert_int_equal(n->n_trunk, last - from->layer - 1);
      for (int t = 0; t < n->n_trunk; t++)
        for (int b = 0; b < c->layout.n_box; b++)
          if (c->box[b].layer == from->layer + 1 + t)
            assert_false(n->trunk[t] > c->box[b].x && n->trunk[t] < c->box[b].x + c->box[b].w);
    }
    fini(c);
  }
}

static void a_chain_is_straight(void **state)
{
  layout_case *c = new_case();
  c->layout.n_box = 6;
  for (int i = 0; i < 6; i++)
    c->box[i] = (vk_layout_box){.w = 20 + 10 * i, .h = 10};
  for (int i = 0; i < 5; i++)
    add_net(c, i, 1, &(const int){i + 1});
  add_net(c, 1, 1, &(const int){4});
  make(c);
  for (int i = 0; i < 6; i++) {
    assert_int_equal(c->box[i].layer, i);
    vk_assert_close(c->box[i].x + 0.5 * c->box[i].w, c->box[5].x + 0.5 * c->box[5].w, 8, 0);
  }
  fini(c);
}

/* A source that is needed late lies just above what needs it; pinned boxes are at the ends. */
static void sources_lie_low_and_pins_hold(void **state)
{
  layout_case *c = new_case();
  c->layout.n_box = 6;
  for (int i = 0; i < 6; i++)
    c->box[i] = (vk_layout_box){.w = 20, .h = 10};
  c->box[4].pin = VK_LAYOUT_FIRST;
  c->box[5].pin = VK_LAYOUT_LAST;
  add_net(c, 0, 1, &(const int){1});
  add_net(c, 1, 1, &(const int){2});
  add_net(c, 3, 1, &(const int){2});
  add_net(c, 4, 1, &(const int){2});
  add_net(c, 0, 1, &(const int){5});
  make(c);
  assert_int_equal(c->box[3].layer, 1);
  assert_int_equal(c->box[4].layer, 0);
  assert_int_equal(c->box[5].layer, 2);
  fini(c);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(boxes_do_not_overlap),
      cmocka_unit_test(lines_go_down_and_around_boxes),
      cmocka_unit_test(a_chain_is_straight),
      cmocka_unit_test(sources_lie_low_and_pins_hold),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
