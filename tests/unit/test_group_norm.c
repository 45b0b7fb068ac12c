/* test_group_norm.c - group_norm on pictures that the generic test of ops (test_ops.c) is too small
 * for: several slices, a mean far from zero, as many parts as there may be. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "core/cpu.h"
#include "core/rng.h"
#include "nn/op.h"

enum { N = 3, H = 61, W = 67, C = 13, N_ITEM = N * H * W * C, N_STATS = 2 * N };

typedef struct batch {
  vk_attrs attr;
  float *x, *y, stats[N_STATS], w[C], b[C];
  double *x64, *y64, stats64[N_STATS], w64[C], b64[C];
} batch;

static void batch_init(batch *t, float mean)
{
  vk_philox rng;
  vk_philox_init(&rng, 11, 1);
  *t = (batch){.attr = {.n_group = 1, .eps = 1e-5, .group = 1}};
  t->x = calloc(N_ITEM, sizeof *t->x);
  t->y = calloc(N_ITEM, sizeof *t->y);
  t->x64 = calloc(N_ITEM, sizeof *t->x64);
  t->y64 = calloc(N_ITEM, sizeof *t->y64);
  assert_true(t->x && t->y && t->x64 && t->y64);
  for (int i = 0; i < N_ITEM; i++)
    t->x64[i] = t->x[i] = mean + (float)vk_philox_normal(&rng);
  for (int i = 0; i < C; i++) {
    t->w64[i] = t->w[i] = (float)vk_philox_normal(&rng);
    t->b64[i] = t->b[i] = (float)vk_philox_normal(&rng);
  }
}

static void batch_fini(batch *t)
{
  free(t->x);
  free(t->y);
  free(t->x64);
  free(t->y64);
}

static void run_reference(batch *t)
{
  vk_shape x = vk_shape_of(4, N, H, W, C), c = vk_shape_of(1, C), s = vk_shape_of(2, N, 2);
  vk_tensor in[] = {{t->x64, VK_F64, x}, {t->w64, VK_F64, c}, {t->b64, VK_F64, c}};
  vk_tensor out[] = {{t->y64, VK_F64, x}, {t->stats64, VK_F64, s}};
  vk_op_group_norm.ref(
      &(vk_op_call){.attr = &t->attr, .n_in = 3, .n_out = 2, .in = in, .out = out, .n_part = 1});
}

/* y over x where is_in_place. */
static void run_kernel(batch *t, vk_isa isa, int n_part, bool is_in_place)
{
  vk_shape x = vk_shape_of(4, N, H, W, C), c = vk_shape_of(1, C), s = vk_shape_of(2, N, 2);
  float *y = t->y;
  if (is_in_place)
    memcpy(y, t->x, sizeof *y * N_ITEM);
  vk_tensor in[] = {{is_in_place ? y : t->x, VK_F32, x}, {t->w, VK_F32, c}, {t->b, VK_F32, c}};
  vk_tensor out[] = {{y, VK_F32, x}, {t->stats, VK_F32, s}};
  vk_op_call call = {
      .attr = &t->attr, .n_in = 3, .n_out = 2, .in = in, .out = out, .n_part = n_part};
  size_t n = vk_op_group_norm.scratch(&call);
  call.scratch = aligned_alloc(64, (n + 63) / 64 * 64);
  assert_non_null(call.scratch);
  vk_op_run *run = vk_op_kernel(&vk_op_group_norm, isa);
  for (call.i_phase = 0; call.i_phase < vk_op_group_norm.n_phase; call.i_phase++)
    for (call.i_part = 0; call.i_part < n_part; call.i_part++)
      run(&call);
  free(call.scratch);
}

static vk_isa best_isa(void)
{
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  return vk_isa_best(&cpu);
}

static void compare(const batch *t, double atol)
{
  for (int i = 0; i < N_STATS; i++)
    vk_assert_close(t->stats[i], t->stats64[i], 1e-6, 1e-6);
  for (int i = 0; i < N_ITEM; i++)
    vk_assert_close(t->y[i], t->y64[i], atol, 1e-6);
}

static void large_pictures_match_reference(void **state)
{
  batch t;
  batch_init(&t, 0);
  t.attr.act = VK_ACT_GELU;
  run_reference(&t);
  for (vk_isa isa = VK_ISA_SCALAR; isa <= best_isa(); isa++) {
    run_kernel(&t, isa, 1, false);
    compare(&t, 4e-6);
  }
  batch_fini(&t);
}

/* The mean's own rounding, half of 6e-5, is all that may be lost. */
static void mean_far_from_zero(void **state)
{
  batch t;
  batch_init(&t, 1000);
  run_reference(&t);
  for (vk_isa isa = VK_ISA_SCALAR; isa <= best_isa(); isa++) {
    run_kernel(&t, isa, 1, false);
    compare(&t, 2e-4);
  }
  batch_fini(&t);
}

static void parts_and_place_do_not_change_bits(void **state)
{
  batch t;
  batch_init(&t, 0.5f);
  float *want = calloc(N_ITEM, sizeof *want), stats[N_STATS];
  assert_non_null(want);
  for (vk_isa isa = VK_ISA_SCALAR; isa <= best_isa(); isa++) {
    run_kernel(&t, isa, 1, false);
    memcpy(want, t.y, sizeof *want * N_ITEM);
    memcpy(stats, t.stats, sizeof stats);
    for (int n_part = 2; n_part <= 17; n_part += 3) {
      run_kernel(&t, isa, n_part, true);
      assert_memory_equal(t.y, want, sizeof *want * N_ITEM);
      assert_memory_equal(t.stats, stats, sizeof stats);
    }
  }
  free(want);
  batch_fini(&t);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(large_pictures_match_reference),
      cmocka_unit_test(mean_far_from_zero),
      cmocka_unit_test(parts_and_place_do_not_change_bits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
