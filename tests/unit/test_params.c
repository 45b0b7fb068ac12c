/* test_params.c - the block of parameters: layout, saving and loading, what does not fit. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "nn/params.h"
#include "temp_dir.h"

static void make_graph(vk_graph *g, int n_last)
{
  vk_graph_init(g, "small");
  vk_graph_param(g, "a.weight", vk_shape_of(2, 3, 5));
  vk_graph_input(g, "x", VK_F32, vk_shape_of(1, 7), VK_NO_EXTENT);
  vk_graph_param(g, "b", vk_shape_of(1, 17));
  vk_graph_param(g, "c", vk_shape_of(1, n_last));
}

static void new_params(vk_params *p, int n_last)
{
  vk_err err = VK_ERR_INIT;
  vk_graph g;
  make_graph(&g, n_last);
  vk_assert_ok(vk_params_new(p, &g, &err), &err);
  vk_graph_fini(&g);
  for (int i = 0; i < p->n_param; i++)
    for (int64_t k = 0; k < p->param[i].n; k++)
      p->data[p->param[i].offset + k] = (float)(100 * i + k) + 0.25f;
}

static void one_block_in_the_models_order(void **state)
{
  vk_params p;
  new_params(&p, 2);
  assert_int_equal(p.n_param, 3);
  assert_int_equal(p.n_used, 15 + 17 + 2);
  assert_int_equal((uintptr_t)p.data % 64, 0);
  for (int i = 0; i < p.n_param; i++) {
    assert_int_equal(p.param[i].offset % 16, 0);
    if (i > 0)
      assert_true(p.param[i].offset >= p.param[i - 1].offset + p.param[i - 1].n);
    assert_true(p.param[i].offset + p.param[i].n <= p.n_item);
  }
  assert_string_equal(p.param[1].name, "b");
  assert_ptr_equal(vk_params_find(&p, "c"), &p.param[2]);
  assert_null(vk_params_find(&p, "x"));
  assert_int_equal((int)p.data[15], 0); /* the gap behind a.weight */
  float *block;
  vk_assert_ok(vk_params_block(&p, &block, NULL), NULL);
  for (int64_t i = 0; i < p.n_item; i++)
    assert_true(block[i] == 0);
  free(block);
  vk_params_free(&p);
}

static void saved_ones_are_read_again(void **state)
{
  vk_err err = VK_ERR_INIT;
  const char *path = in_dir("p.safetensors");
  vk_params p, q;
  new_params(&p, 2);
  new_params(&q, 2);
  memset(q.data, 0, (size_t)q.n_item * sizeof(float));
  vk_assert_ok(vk_params_save(&p, NULL, path, VK_SAFETENSORS_F32, NULL, 0, &err), &err);
  vk_assert_ok(vk_params_load(&q, path, &err), &err);
  assert_memory_equal(p.data, q.data, (size_t)p.n_item * sizeof(float));
  vk_params_free(&q);
  new_params(&q, 4);
  assert_int_equal(vk_params_load(&q, path, &err), VK_E_MISMATCH);
  assert_non_null(strstr(err.text, "c"));
  vk_params_free(&q);
  vk_params_free(&p);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_block_in_the_models_order),
      cmocka_unit_test(saved_ones_are_read_again),
  };
  return cmocka_run_group_tests(tests, make_temp_dir, remove_temp_dir);
}
