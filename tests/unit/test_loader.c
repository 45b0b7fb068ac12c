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
  vk_cpu cpu;
  vk_view_config view = vk_view_defaults;
  vk_cpu_detect(&cpu);
  view.isa = vk_isa_best(&cpu);
  vk_assert_ok(vk_frames_new(&f,
                             &(vk_frames_config){.dataset = d,
                                                 .visuals = &visuals,
                                                 .cache_dir = models_dir(),
                                                 .view = view,
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

/* ---- what is in them ---- */

/* Without augmentation a batch holds what the dataset says, and pictures as they are drawn. */
static void test_batches_hold_samples(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_loader *l;
  vk_frame_reader *reader;
  const vk_batch *b;
  vk_frames *frames = new_frames(dataset, 1 << 30, 2), *again = new_frames(dataset, 0, 2);
  vk_loader_config c = config_of(frames, 2, 40);
  c.augment = (vk_augment){0};
  vk_assert_ok(vk_frame_reader_new(&reader, again, &err), &err);
  vk_assert_ok(vk_loader_new(&l, &c, &err), &err);
  vk_assert_ok(vk_loader_next(l, &b, &err), &err);
  assert_int_equal(b->n_text, 2);
  for (int i = 0; i < b->n; i++) {
    vk_sample s;
    const uint8_t *pixel[VK_VIEW_N];
    int64_t n = vk_dataset_n(dataset, VK_SPLIT_TRAIN);
    vk_dataset_sample(dataset, VK_SPLIT_TRAIN, vk_dataset_order(c.seed, n, 40 + i), &s);
    vk_assert_ok(vk_frames_get(reader, &s, pixel, &err), &err);
    for (int v = 0; v < VK_VIEW_N; v++)
      assert_memory_equal(b->obs[i].image[v], pixel[v], VK_VIEW_BYTES);
    assert_memory_equal(b->obs[i].proprio, s.proprio, sizeof(float) * VK_NANO_PROPRIO);
    assert_string_equal(b->text[b->obs[i].i_text], s.instruction);
    assert_memory_equal(b->target + i * VK_CHUNK_TARGETS, s.target, sizeof s.target);
  }
  vk_loader_free(l);
  vk_frame_reader_free(reader);
  vk_frames_free(frames);
  vk_frames_free(again);
}

/* Augmentation does what it says, as often as it says. */
static void test_augmentation(void **state)
{
  enum { N = 24 };
  vk_err err = VK_ERR_INIT;
  vk_loader *l;
  int n_lacking = 0, n_changed = 0;
  vk_frames *frames = new_frames(dataset, 1 << 30, 1);
  vk_loader_config c = config_of(frames, 1, 0);
  vk_assert_ok(vk_loader_new(&l, &c, &err), &err);
  for (int i = 0; i < N; i++) {
    const vk_batch *b;
    vk_assert_ok(vk_loader_next(l, &b, &err), &err);
    assert_true(b->n_text <= vk_loader_n_text_max(l));
    for (int k = 0; k < b->n; k++) {
      const char *text = b->text[b->obs[k].i_text];
      assert_null(b->obs[k].image[1]);
      n_lacking += !b->obs[k].proprio;
      n_changed += strcmp(text, vk_dataset_task_get(dataset, 0)->instruction) != 0 &&
                   strcmp(text, vk_dataset_task_get(dataset, 1)->instruction) != 0;
      for (int j = 0; j < b->obs[k].i_text; j++) /* each text is there once */
        assert_string_not_equal(b->text[j], text);
    }
  }
  /* 384 draws at 0.3; 32 texts (2 blocks, 2 tasks, 8 variants) of about 14 words, few of which stay
   * whole */
  assert_true(n_lacking > 75 && n_lacking < 155);
  assert_true(n_changed > N * N_BATCH / 2);
  vk_loader_free(l);
  vk_frames_free(frames);
}

/* A block of samples says an instruction in at most VK_LOADER_VARIANTS ways. */
static void test_few_texts(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_loader *l;
  const vk_batch *b;
  vk_frames *frames = new_frames(dataset, 1 << 30, 1);
  vk_loader_config c = config_of(frames, 2, 0);
  c.n_batch = VK_LOADER_TEXT_BLOCK;
  vk_assert_ok(vk_loader_new(&l, &c, &err), &err);
  vk_assert_ok(vk_loader_next(l, &b, &err), &err);
  assert_true(b->n_text > 2 && b->n_text <= 2 * VK_LOADER_VARIANTS);
  vk_loader_free(l);
  vk_frames_free(frames);
}

/* Once through in order, the last batch with what is left, nothing changed. */
static void test_validation(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_loader *l;
  const vk_batch *b;
  vk_frames *frames = new_frames(dataset, 1 << 30, 2);
  vk_loader_config c = config_of(frames, 2, 1234);
  int64_t n = vk_dataset_n(dataset, VK_SPLIT_VALIDATION), k = 0;
  c.split = VK_SPLIT_VALIDATION;
  assert_int_equal(n, 2 * (N_STEP + N_DEMO - 1));
  vk_assert_ok(vk_loader_new(&l, &c, &err), &err);
  for (;;) {
    vk_assert_ok(vk_loader_next(l, &b, &err), &err);
    if (!b)
      break;
    assert_int_equal(b->first_sample, k);
    assert_int_equal(b->n, n - k < N_BATCH ? n - k : N_BATCH);
    for (int i = 0; i < b->n; i++, k++) {
      vk_sample s;
      vk_dataset_sample(dataset, VK_SPLIT_VALIDATION, k, &s);
      assert_memory_equal(b->target + i * VK_CHUNK_TARGETS, s.target, sizeof s.target);
      assert_non_null(b->obs[i].proprio);
      assert_string_equal(b->text[b->obs[i].i_text], s.instruction);
    }
  }
  assert_int_equal(k, n);
  vk_assert_ok(vk_loader_next(l, &b, &err), &err);
  assert_null(b);
  vk_loader_free(l);
  vk_frames_free(frames);
}

/* ---- what is kept ---- */

static void count_drawn(uint64_t cache_bytes, vk_frames_stats *stats)
{
  char hex[6][65]; /* 96 samples of 38 */
  vk_frames *frames = new_frames(dataset, cache_bytes, 2);
  const vk_loader_config c = config_of(frames, 1, 0);
  run(&c, 6, hex);
  vk_frames_stats_get(frames, stats);
  vk_frames_free(frames);
}

static void test_kept_pictures_are_drawn_once(void **state)
{
  int64_t n = vk_dataset_n(dataset, VK_SPLIT_TRAIN);
  vk_frames_stats stats;
  count_drawn(1 << 30, &stats);
  assert_true(stats.n_get >= 96 && stats.n_drawn == n && stats.n_kept == n);
  assert_int_equal(stats.n_stage, 2);
  count_drawn(0, &stats);
  assert_true(stats.n_drawn == stats.n_get && stats.n_kept == 0);
  count_drawn(5 * 2 * VK_VIEW_BYTES + 1, &stats);
  assert_true(stats.n_kept == 5 && stats.n_drawn < stats.n_get && stats.n_drawn > n);
}

/* ---- errors ---- */

/* A worker's error arrives, and again each time; batches before it are given. */
static void test_errors_arrive(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_loader *l;
  const vk_batch *b = NULL;
  vk_dataset *d;
  vk_demo demo;
  vk_demo_file *f;
  char path[VK_FS_PATH_MAX];
  snprintf(path, sizeof path, "%s", in_dir("a.npz"));
  const char *const list[] = {path};
  vk_assert_ok(
      vk_dataset_new(&d, &(vk_dataset_config){.pack = &pack, .path = list, .n_path = 1}, &err),
      &err);
  vk_assert_ok(vk_demo_open(&f, path, &err), &err);
  vk_assert_ok(vk_demo_read(f, 0, false, &demo, &err), &err);
  for (int i = 0; i < demo.n_obs;
       i++) /* a quaternion of length 0, which no rule of files forbids */
    memset(demo.picture_state + (size_t)demo.n_picture_state * (size_t)i, 0,
           sizeof(double) * (size_t)demo.n_picture_state);
  vk_assert_ok(vk_dataset_add(d, &demo, task_index("libero_spatial/0"), demo.n_step, &err), &err);
  for (int n_worker = 1; n_worker <= 3; n_worker += 2) {
    vk_frames *frames = new_frames(d, 1 << 30, 2);
    vk_loader_config c = config_of(frames, n_worker, 0);
    vk_status st = VK_OK;
    c.n_batch = 2;
    c.n_ahead = 4;
    int64_t n = vk_dataset_n(d, VK_SPLIT_TRAIN),
            n_good = 0; /* batches before the first bad sample */
    for (int64_t k = 0; vk_dataset_order(c.seed, n, k) < n - demo.n_step; k++)
      n_good = (k + 1) / c.n_batch;
    vk_assert_ok(vk_loader_new(&l, &c, &err), &err);
    int n_given = 0;
    while ((st = vk_loader_next(l, &b, &err)) == VK_OK)
      n_given++;
    assert_int_equal(n_given, n_good);
    for (int i = 0; i < 2; i++) {
      vk_assert_fails(vk_loader_next(l, &b, &err), VK_E_RANGE);
      vk_assert_says(&err, "demonstrations of libero_spatial/0: ");
      assert_null(b);
    }
    vk_loader_free(l);
    vk_frames_free(frames);
  }
  vk_demo_free(&demo);
  vk_demo_close(f);
  vk_dataset_free(d);
}

static void test_bad_configs(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_loader *l;
  vk_dataset *d;
  char path[VK_FS_PATH_MAX];
  snprintf(path, sizeof path, "%s", in_dir("a.npz"));
  const char *const list[] = {path};
  vk_frames *frames = new_frames(dataset, 0, 2);
  vk_loader_config c = config_of(frames, 1, 0);
  c.n_ahead = 1;
  vk_assert_fails(vk_loader_new(&l, &c, &err), VK_E_RANGE);
  vk_assert_says(&err, "n_ahead is 1, expected 2 to");
  c = config_of(frames, 1, -1);
  vk_assert_fails(vk_loader_new(&l, &c, &err), VK_E_RANGE);
  vk_assert_says(&err, "first_sample is -1");
  c = config_of(frames, 1, 0);
  c.augment.crop = 0.01;
  vk_assert_fails(vk_loader_new(&l, &c, &err), VK_E_RANGE);
  vk_assert_says(&err, "crop is 0.01, expected 0.1 to 1");
  vk_frames_free(frames);
  vk_assert_ok(
      vk_dataset_new(&d, &(vk_dataset_config){.pack = &pack, .path = list, .n_path = 1}, &err),
      &err);
  frames = new_frames(d, 0, 2);
  c = config_of(frames, 1, 0);
  c.split = VK_SPLIT_VALIDATION;
  vk_assert_fails(vk_loader_new(&l, &c, &err), VK_E_NOTFOUND);
  vk_assert_says(&err, "no demonstrations are held out");
  vk_frames_free(frames);
  vk_dataset_free(d);
}

/* A loader may end before anything was taken from it, and with batches that nobody wants. */
static void test_ends_early(void **state)
{
  vk_err err = VK_ERR_INIT;
  for (int n_taken = 0; n_taken < 3; n_taken++) {
    vk_loader *l;
    const vk_batch *b;
    vk_frames *frames = new_frames(dataset, 1 << 30, 2);
    const vk_loader_config c = config_of(frames, 3, 0);
    vk_assert_ok(vk_loader_new(&l, &c, &err), &err);
    for (int i = 0; i < n_taken; i++)
      vk_assert_ok(vk_loader_next(l, &b, &err), &err);
    assert_true(vk_loader_wait_s(l) >= 0);
    vk_loader_free(l);
    vk_frames_free(frames);
  }
  vk_loader_free(NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bits_depend_on_samples_alone),
      cmocka_unit_test(test_batches_hold_samples),
      cmocka_unit_test(test_augmentation),
      cmocka_unit_test(test_few_texts),
      cmocka_unit_test(test_validation),
      cmocka_unit_test(test_kept_pictures_are_drawn_once),
      cmocka_unit_test(test_errors_arrive),
      cmocka_unit_test(test_bad_configs),
      cmocka_unit_test(test_ends_early),
  };
  return cmocka_run_group_tests(tests, make_world, remove_world);
}
