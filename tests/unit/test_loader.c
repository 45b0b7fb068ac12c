/* Batches: their bits depend on the dataset, the seed and the number of the sample alone; what they
 * hold is what the dataset says; errors of workers arrive. */
#include "demo_world.h"

#include "core/hash.h"
#include "rl/loader.h"

enum { N_DEMO = 3, N_STEP = 9, N_BATCH = 16 };

static vk_dataset *dataset;

static int make_world(void **state)
{
  vk_err err = VK_ERR_INIT;
  char a[VK_FS_PATH_MAX], b[VK_FS_PATH_MAX];
  if (make_demo_world(state) != 0)
    return -1;
  write_store("a.npz", "libero_spatial/0", N_DEMO, N_STEP);
  write_store("b.npz", "libero_goal/3", N_DEMO, N_STEP);
  snprintf(a, sizeof a, "%s", in_dir("a.npz"));
  snprintf(b, sizeof b, "%s", in_dir("b.npz"));
  const char *const path[] = {a, b};
  vk_assert_ok(
      vk_dataset_new(
          &dataset,
          &(vk_dataset_config){.pack = &pack, .path = path, .n_path = 2, .n_validation = 1}, &err),
      &err);
  return 0;
}

static int remove_world(void **state)
{
  vk_dataset_free(dataset);
  return remove_demo_world(state);
}

/* ---- batches as bytes ---- */

static vk_frames *new_frames(const vk_dataset *d, uint64_t cache_bytes, int n_view)
{
  vk_err err = VK_ERR_INIT;
  vk_frames *f;
  vk_assert_ok(vk_frames_new(&f,
                             &(vk_frames_config){.dataset = d,
                                                 .visuals = &visuals,
                                                 .view = vk_view_defaults,
                                                 .n_view = n_view,
                                                 .cache_bytes = cache_bytes},
                             &err),
               &err);
  return f;
}

static vk_loader_config config_of(vk_frames *frames, int n_worker, int64_t first_sample)
{
  return (vk_loader_config){.frames = frames,
                            .n_batch = N_BATCH,
                            .seed = 5,
                            .first_sample = first_sample,
                            .augment = {.shift_px = 4,
                                        .crop = 0.9,
                                        .brightness = 0.2,
                                        .contrast = 0.2,
                                        .word_dropout = 0.1,
                                        .paraphrase = 0.5,
                                        .proprio_dropout = 0.3},
                            .n_worker = n_worker,
                            .n_ahead = 3};
}

/* SHA-256 of all that a model would read of a batch. */
static void hash_batch(const vk_batch *b, int n_view, char hex[65])
{
  vk_sha256 h;
  vk_sha256_init(&h);
  vk_sha256_add(&h, &b->first_sample, sizeof b->first_sample);
  vk_sha256_add(&h, b->target, sizeof *b->target * VK_CHUNK_TARGETS * (size_t)b->n);
  for (int i = 0; i < b->n; i++) {
    const vk_nano_obs *o = &b->obs[i];
    assert_true(o->i_text >= 0 && o->i_text < b->n_text);
    for (int v = 0; v < n_view; v++)
      vk_sha256_add(&h, o->image[v], VK_VIEW_BYTES);
    if (o->proprio)
      vk_sha256_add(&h, o->proprio, sizeof(float) * VK_NANO_PROPRIO);
    vk_sha256_add(&h, b->text[o->i_text], strlen(b->text[o->i_text]) + 1);
  }
  vk_sha256_end_hex(&h, hex);
}

/* Hashes of n batches from a sample on. */
static void run(const vk_loader_config *c, int n, char hex[][65])
{
  vk_err err = VK_ERR_INIT;
  vk_loader *l;
  vk_assert_ok(vk_loader_new(&l, c, &err), &err);
  for (int i = 0; i < n; i++) {
    const vk_batch *b;
    vk_assert_ok(vk_loader_next(l, &b, &err), &err);
    assert_non_null(b);
    assert_int_equal(b->n, c->n_batch);
    assert_int_equal(b->first_sample, c->first_sample + i * c->n_batch);
    hash_batch(b, vk_frames_config_get(c->frames)->n_view, hex[i]);
  }
  vk_loader_free(l);
}

static void test_bits_depend_on_samples_alone(void **state)
{
  enum { N = 8 }; /* over three epochs of 2 x (9 + 10) samples */
  char want[N][65], got[N][65];
  vk_frames *frames = new_frames(dataset, 0, 2);
  vk_loader_config c = config_of(frames, 1, 0);
  run(&c, N, want);
  for (int i = 1; i < N; i++)
    assert_string_not_equal(want[i], want[0]);
  vk_frames_free(frames);
  const struct {
    int n_worker;
    uint64_t cache_bytes;
    int from; /* batch */
  } other[] = {{3, 1 << 30, 0}, {3, 10 * 2 * VK_VIEW_BYTES, 0}, {1, 1 << 30, 3}, {2, 0, 5}};
  for (size_t k = 0; k < VK_COUNT(other); k++) {
    frames = new_frames(dataset, other[k].cache_bytes, 2);
    c = config_of(frames, other[k].n_worker, other[k].from * N_BATCH);
    run(&c, N - other[k].from, got);
    for (int i = other[k].from; i < N; i++)
      assert_string_equal(got[i - other[k].from], want[i]);
    vk_frames_free(frames);
  }
  frames = new_frames(dataset, 1 << 30, 2);
  c = config_of(frames, 1, 0);
  c.seed = 6;
  run(&c, 1, got);
  assert_string_not_equal(got[0], want[0]);
  vk_frames_free(frames);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bits_depend_on_samples_alone),
  };
  return cmocka_run_group_tests(tests, make_world, remove_world);
}
