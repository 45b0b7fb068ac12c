/* test_trainer.c - what a step of training does to a small network: sums over micro-batches, masks
 * of dropout, what stays as it is, the average that is used, numbers that are not finite. How runs
 * go on is tested by tests/cmd/test_train.sh. */
#include "test.h"

#include <stdlib.h>

#include "small_learner.h"

static void open_cpu(fixture *f, vk_learner_config c, int n_thread)
{
  vk_err err = VK_ERR_INIT;
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  vk_assert_ok(vk_isa_parse("auto", &cpu, &c.isa, &err), &err);
  vk_assert_ok(open_learner(f, "cpu", c, n_thread, &err), &err);
}

static float *weights_of(const fixture *f)
{
  return f->l.replica[0].params.data;
}

static size_t weights_bytes(const fixture *f)
{
  return sizeof(float) * (size_t)f->l.replica[0].params.n_item;
}

/* One step over all samples; the mean loss. */
static double step(vk_learner *l, double lr, int64_t number)
{
  vk_err err = VK_ERR_INIT;
  double loss, norm;
  vk_assert_ok(step_learner(l, lr, number, &loss, &norm, &err), &err);
  assert_true(norm > 0);
  return loss;
}

/* Two halves of a batch are the batch: losses and parameters after some steps. */
static void sums_micro_batches(void **state)
{
  fixture whole, halves;
  open_cpu(&whole, (vk_learner_config){.n_micro = 1, .seed = 1}, 1);
  open_cpu(&halves, (vk_learner_config){.n_micro = 2, .seed = 1}, 2);
  for (int i = 0; i < 3; i++)
    vk_assert_close(step(&halves.l, 1e-3, i), step(&whole.l, 1e-3, i), 0, 1e-5);
  /* Moments are as near as sums in another order are; a step of AdamW moves by lr whatever the
   * gradient, so parameters are compared against what three steps may move. */
  double worst = 0;
  for (int64_t k = 0; k < whole.l.replica[0].params.n_item; k++)
    worst = fmax(worst, fabs(weights_of(&whole)[k] - weights_of(&halves)[k]));
  assert_true(worst < 1e-3);
  double d = 0, moved = 0;
  fixture start;
  open_cpu(&start, (vk_learner_config){.n_micro = 1, .seed = 1}, 1);
  for (int64_t k = 0; k < whole.l.replica[0].params.n_item; k++) {
    d += pow(weights_of(&whole)[k] - weights_of(&halves)[k], 2);
    moved += pow(weights_of(&whole)[k] - weights_of(&start)[k], 2);
  }
  assert_true(moved > 0 && sqrt(d / moved) < 1e-2);
  close_learner(&start);
  close_learner(&whole);
  close_learner(&halves);
}

/* Gradients of as many micro-batches as there are, with what others have added: the same batch
 * three times is one of thrice the gradient. */
static void sums_shares(void **state)
{
  fixture one, three;
  vk_err err = VK_ERR_INIT;
  double loss, norm[2];
  vk_batch b = batch(0, N);
  open_cpu(&one, (vk_learner_config){.n_micro = 1, .seed = 1}, 1);
  open_cpu(&three, (vk_learner_config){.is_sum = true, .seed = 1}, 1);
  for (int n = 3; n >= 0; n -= 3) { /* the second time without micro-batches of its own */
    vk_assert_ok(learn_batch(&one.l, &b, 0, &loss, &err), &err);
    vk_assert_ok(vk_learner_begin(&three.l, &err), &err);
    for (int i = 0; i < n; i++)
      vk_assert_ok(vk_learner_add(&three.l, &b, 0, &err), &err);
    vk_assert_ok(vk_learner_wait(&three.l, &loss, &err), &err);
    for (int64_t k = 0; k < one.l.replica[0].params.n_item && n == 0; k++)
      three.l.replica[0].grad[k] += 3 * one.l.replica[0].grad[k];
    vk_assert_ok(vk_learner_step(&one.l, 0, &norm[0], &err), &err);
    vk_assert_ok(vk_learner_step(&three.l, 0, &norm[1], &err), &err);
    assert_true(norm[0] > 0);
    vk_assert_close(norm[1], 3 * norm[0], 0, 1e-5);
  }
  close_learner(&one);
  close_learner(&three);
}

/* Masks follow from the seed and the micro-batch's number alone. */
static void draws_masks_by_number(void **state)
{
  vk_err err = VK_ERR_INIT;
  const vk_learner_config config = {.n_micro = 1, .seed = 1, .args = {.dropout = 0.3}};
  vk_learner_config other_seed = config;
  other_seed.seed = 2;
  fixture f, again, other;
  double loss[5];
  vk_batch b = batch(0, N);
  open_cpu(&f, config, 1);
  open_cpu(&again, config, 2);
  open_cpu(&other, other_seed, 1);
  memcpy(weights_of(&other), weights_of(&f), weights_bytes(&f));
  vk_learner *const l[] = {&f.l, &f.l, &f.l, &again.l, &other.l};
  const int64_t number[] = {7, 8, 7, 7, 7};
  for (int i = 0; i < 5; i++)
    vk_assert_ok(learn_batch(l[i], &b, number[i], &loss[i], &err), &err);
  assert_true(loss[0] != loss[1]);
  vk_assert_same_bits(loss[0], loss[2]);
  vk_assert_same_bits(loss[0], loss[3]);
  assert_true(loss[0] != loss[4]);
  close_learner(&f);
  close_learner(&again);
  close_learner(&other);
}

static float first_of(const vk_learner *l, const float *block, const char *name)
{
  const vk_param *p = vk_params_find(&l->replica[0].params, name);
  assert_non_null(p);
  return block[p->offset];
}

/* The value head has no loss: weight decay must not pull on it. */
static void leaves_what_has_no_loss(void **state)
{
  fixture f;
  open_cpu(&f, (vk_learner_config){.n_micro = 1}, 1);
  float value = first_of(&f.l, weights_of(&f), "value.0.weight");
  float head = first_of(&f.l, weights_of(&f), "head.weight");
  for (int i = 0; i < 3; i++)
    step(&f.l, 0.1, i);
  assert_true(first_of(&f.l, weights_of(&f), "value.0.weight") == value);
  assert_true(first_of(&f.l, weights_of(&f), "head.weight") != head);
  close_learner(&f);
}

/* What is used is the average, and its loss is what a check computes. */
static void checks_the_average(void **state)
{
  vk_err err = VK_ERR_INIT;
  fixture f, plain;
  double first, loss, of_plain;
  vk_batch b = batch(0, N);
  const vk_learner_config config = {
      .n_micro = 2, .has_check = true, .optim = {.ema_decay = 0.5}, .args = {.dropout = 0.3}};
  vk_learner_config without = config;
  without.optim.ema_decay = 0;
  open_cpu(&f, config, 1);
  open_cpu(&plain, without, 1);
  b.n = N / 2; /* room of a micro-batch */
  vk_assert_ok(vk_learner_check_begin(&f.l, NULL), NULL);
  vk_assert_ok(vk_learner_check(&f.l, &b, &first, &err), &err);
  for (int i = 0; i < 30; i++) {
    step(&f.l, 1e-2, i);
    step(&plain.l, 1e-2, i);
  }
  vk_assert_ok(vk_learner_check_begin(&f.l, NULL), NULL);
  vk_assert_ok(vk_learner_check(&f.l, &b, &loss, &err), &err);
  assert_true(loss < first - 0.5); /* it learns */
  assert_ptr_not_equal(vk_learner_weights(&f.l), weights_of(&f));
  assert_ptr_equal(vk_learner_weights(&plain.l), weights_of(&plain));
  const vk_param *last =
      &f.l.replica[0].params.param[f.l.replica[0].params.n_param - 1]; /* the average ends there */
  memcpy(weights_of(&plain), vk_learner_weights(&f.l),
         sizeof(float) * (size_t)(last->offset + last->n));
  vk_assert_ok(vk_learner_check_begin(&plain.l, NULL), NULL);
  vk_assert_ok(vk_learner_check(&plain.l, &b, &of_plain, &err), &err);
  vk_assert_same_bits(of_plain, loss);
  close_learner(&f);
  close_learner(&plain);
}

/* A micro-batch that is put while the one before is computed, the next step's too, or put and
 * forgotten: the same steps. */
static void puts_ahead(void **state)
{
  vk_err err = VK_ERR_INIT;
  const vk_learner_config config = {.n_micro = 2, .seed = 1, .args = {.dropout = 0.3}};
  fixture ahead, plain;
  open_cpu(&ahead, config, 1);
  open_cpu(&plain, config, 1);
  for (int i = 0; i < 3; i++) {
    double loss, norm;
    vk_assert_ok(vk_learner_begin(&ahead.l, &err), &err);
    assert_int_equal(ahead.l.is_put, i > 0);
    for (int k = 0; k < 2; k++) {
      const vk_batch now = batch(k * N / 2, N / 2), next = batch((1 - k) * N / 2, N / 2);
      if (!ahead.l.is_put)
        vk_assert_ok(vk_learner_put(&ahead.l, &now, i * 2 + k, &err), &err);
      vk_assert_ok(vk_learner_start(&ahead.l, &err), &err);
      vk_assert_ok(vk_learner_put(&ahead.l, &now, 99, &err), &err);
      vk_learner_unput(&ahead.l);
      assert_false(ahead.l.is_put);
      vk_assert_ok(vk_learner_put(&ahead.l, &next, i * 2 + k + 1, &err), &err);
    }
    vk_assert_ok(vk_learner_wait(&ahead.l, &loss, &err), &err);
    vk_assert_ok(vk_learner_step(&ahead.l, 1e-3, &norm, &err), &err);
    vk_assert_same_bits(loss, step(&plain.l, 1e-3, i));
  }
  assert_memory_equal(weights_of(&ahead), weights_of(&plain), weights_bytes(&plain));
  close_learner(&ahead);
  close_learner(&plain);
}

static void refuses_what_is_not_finite(void **state)
{
  vk_err err = VK_ERR_INIT;
  fixture f;
  double loss, norm;
  vk_batch b = batch(0, N);
  open_cpu(&f, (vk_learner_config){.n_micro = 1}, 1);
  vk_assert_ok(learn_batch(&f.l, &b, 0, &loss, &err), &err);
  f.l.replica[0].grad[vk_params_find(&f.l.replica[0].params, "head.weight")->offset] = NAN;
  float before = first_of(&f.l, weights_of(&f), "head.bias");
  vk_assert_fails(vk_learner_step(&f.l, 0.1, &norm, &err), VK_E_DIVERGED);
  assert_true(first_of(&f.l, weights_of(&f), "head.bias") == before);
  weights_of(&f)[vk_params_find(&f.l.replica[0].params, "head.weight")->offset] = NAN;
  vk_assert_fails(learn_batch(&f.l, &b, 1, &loss, &err), VK_E_DIVERGED);
  vk_assert_says(&err, "the loss is nan");
  assert_int_equal(f.l.number, 1);
  b.n = N + 1;
  vk_assert_fails(learn_batch(&f.l, &b, 2, &loss, &err), VK_E_RANGE);
  vk_assert_says(&err, "at most 4 fit");
  close_learner(&f);
}

/* Bytes are what plans and blocks take, and no weights of another model are taken. */
static void counts_bytes_and_refuses_weights(void **state)
{
  vk_err err = VK_ERR_INIT;
  fixture f;
  open_cpu(&f, (vk_learner_config){.n_micro = 1, .optim = {.ema_decay = 0.9}}, 1);
  uint64_t block = 4 * (uint64_t)f.l.replica[0].params.n_item;
  assert_int_equal(vk_learner_bytes(&f.l), vk_plan_bytes(f.l.replica[0].net.plan) + 5 * block);
  vk_learner other;
  vk_learner_config c = f.l.config;
  c.weights = "no/such/file.safetensors";
  vk_assert_fails(vk_learner_new(&other, &c, &err), VK_E_NOTFOUND);
  assert_int_equal(other.n_replica, 0);
  close_learner(&f);
}

/* Less memory, the same bits: also with dropout, and in bf16. */
static void recomputes_bit_for_bit(void **state)
{
  for (int is_bf16 = 0; is_bf16 < 2; is_bf16++) {
    const vk_learner_config c = {.n_micro = 2, .seed = 1, .args.dropout = 0.2, .is_bf16 = is_bf16};
    vk_learner_config again = c;
    fixture kept, computed;
    again.recompute = true;
    open_cpu(&kept, c, 2);
    open_cpu(&computed, again, 2);
    assert_true(vk_learner_bytes(&computed.l) < vk_learner_bytes(&kept.l));
    for (int i = 0; i < 3; i++) {
      double loss = step(&kept.l, 1e-3, i);
      assert_memory_equal(&loss, &(double){step(&computed.l, 1e-3, i)}, sizeof loss);
    }
    assert_memory_equal(weights_of(&kept), weights_of(&computed), weights_bytes(&kept));
    close_learner(&kept);
    close_learner(&computed);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sums_micro_batches),
      cmocka_unit_test(recomputes_bit_for_bit),
      cmocka_unit_test(sums_shares),
      cmocka_unit_test(draws_masks_by_number),
      cmocka_unit_test(leaves_what_has_no_loss),
      cmocka_unit_test(checks_the_average),
      cmocka_unit_test(puts_ahead),
      cmocka_unit_test(refuses_what_is_not_finite),
      cmocka_unit_test(counts_bytes_and_refuses_weights),
  };
  return cmocka_run_group_tests(tests, make_batch, NULL);
}
