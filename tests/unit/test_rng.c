/* test_rng.c - bit-for-bit against numpy 1.26.4 (legacy RandomState) and the published
 * known-answer vectors of Philox4x32-10. */
#include "test.h"

#include "core/hash.h"
#include "core/rng.h"

/* The reference values, in numpy:
 *   r = np.random.RandomState(seed); words = r.randint(0, 2**32, 10000, dtype=np.uint32)
 *   r = np.random.RandomState(seed); r.random_sample(), r.uniform(-0.3, 0.7), r.randn(),
 *       r.uniform(2, 5), r.randn(), r.randn(), r.random_sample()
 *   r = np.random.RandomState(seed); for i in range(5000): r.uniform(-0.05, 0.05), r.randn(), and
 *       when i % 3 == 0 r.random_sample()
 * Streams are given by the SHA-256 of their bytes. */
static const struct {
  uint32_t seed;
  double first[7];
  const char *words_sha256, *mix_sha256;
} numpy[] = {
    {0u,
     {0x1.18fe1565f12a8p-1, 0x1.a92766b8ddb33p-2, 0x1.f51d25222c9abp-1, 0x1.a2aef61dee59cp+1,
      0x1.1ed5969e3314ep+1, -0x1.af7986f57fa88p-1, 0x1.c8967883a12f7p-1},
     "c3673b059b45e9ddd0df8ed2c20bfbb2b7f7f89e4382dfd7ddb9b8d835c91972",
     "8856e00110fb6ed33f32c30047be482cb4525ab0750b4498abb7ee12c1f2b8bf"},
    {7u,
     {0x1.388f0a7465c98p-4, 0x1.eb6fd4f5a0e1bp-2, 0x1.b0c64ae2deb29p+0, 0x1.3bc623f7646e3p+2,
      -0x1.dd1eafa1d414dp-2, 0x1.7d9bb2101532ep-4, 0x1.271f16d6b7f40p-4},
     "0cd8613b30947fc828219de271a28ff0e8d86bf1ec7ecad6f08d1d9f22f93fcb",
     "2f120d88dce627e5424ff1b9e13c580a0d29fb332572a25b6a0a5e0c929aedc2"},
    {42u,
     {0x1.7f8771e5f51ecp-2, 0x1.4d2a6cf223cbap-1, 0x1.4b9dd50245e68p-1, 0x1.3be941a566649p+1,
      0x1.85e548e01aa2bp+0, 0x1.1dbd0020eec47p-2, 0x1.6a887d29a8282p-1},
     "d85832ea3fdd45aba234c2d43775a184cc48d3b44da39c1d9b1389de82214741",
     "0caba9edd108c8c5fc29ef9655bb921688fd6117a0b988958ba232d6a4ad15c5"},
    {20260801u,
     {0x1.f91912431720cp-3, -0x1.2c1ef0e20b30bp-2, -0x1.3480f7838c9c4p+0, 0x1.310cc5104fb34p+1,
      -0x1.269a6ba1c89adp+0, -0x1.3f75f378e4750p-1, 0x1.d2334a5005086p-2},
     "1865f244d59de3f5d9234c3ace2b321baa1a2a76a88643e5cd8d0a09839f2699",
     "19ba7fd57064d6810a9d44038643dbc50401058238c6659b9b07b1a2f6662530"},
    {4294967295u,
     {0x1.8fe69a3924820p-4, 0x1.398a3e8a69918p-1, 0x1.4bfc38c486d8ap-1, 0x1.06e38aad9c67dp+1,
      0x1.56b192e507eeep-1, 0x1.4d051339bc741p-4, 0x1.2b3f78b30728cp-3},
     "eb4ae2d927aa04a146304c65d02e919294bc069e67572fd15077fe26c2b34e53",
     "b0bbd5736c757d7678553db1238febe86fe6a7e8ad13cd26ea20ed048b529d30"},
};

static void mt19937_first_values(void **state)
{
  for (size_t i = 0; i < VK_COUNT(numpy); i++) {
    const double *want = numpy[i].first;
    vk_mt19937 r;
    vk_mt19937_seed(&r, numpy[i].seed);
    vk_assert_same_bits(vk_mt19937_double(&r), want[0]);
    vk_assert_same_bits(vk_mt19937_uniform(&r, -0.3, 0.7), want[1]);
    vk_assert_same_bits(vk_mt19937_normal(&r), want[2]);
    vk_assert_same_bits(vk_mt19937_uniform(&r, 2, 5), want[3]);
    vk_assert_same_bits(vk_mt19937_normal(&r), want[4]);
    vk_assert_same_bits(vk_mt19937_normal(&r), want[5]);
    vk_assert_same_bits(vk_mt19937_double(&r), want[6]);
  }
}

static void mt19937_words(void **state)
{
  for (size_t i = 0; i < VK_COUNT(numpy); i++) {
    vk_mt19937 r;
    vk_mt19937_seed(&r, numpy[i].seed);
    vk_sha256 h;
    vk_sha256_init(&h);
    for (int k = 0; k < 10000; k++) {
      uint32_t word = vk_mt19937_next(&r);
      vk_sha256_add(&h, &word, sizeof word);
    }
    char hex[65];
    vk_sha256_end_hex(&h, hex);
    assert_string_equal(hex, numpy[i].words_sha256);
  }
}

static void add_f64(vk_sha256 *h, double x)
{
  vk_sha256_add(h, &x, sizeof x);
}

static void mt19937_long_mix(void **state)
{
  for (size_t i = 0; i < VK_COUNT(numpy); i++) {
    vk_mt19937 r;
    vk_mt19937_seed(&r, numpy[i].seed);
    vk_sha256 h;
    vk_sha256_init(&h);
    for (int k = 0; k < 5000; k++) {
      add_f64(&h, vk_mt19937_uniform(&r, -0.05, 0.05));
      add_f64(&h, vk_mt19937_normal(&r));
      if (k % 3 == 0)
        add_f64(&h, vk_mt19937_double(&r));
    }
    char hex[65];
    vk_sha256_end_hex(&h, hex);
    assert_string_equal(hex, numpy[i].mix_sha256);
  }
}

static void mt19937_seed_empties_cache(void **state)
{
  vk_mt19937 r, fresh;
  vk_mt19937_seed(&r, 7);
  vk_mt19937_normal(&r);
  vk_mt19937_seed(&r, 7);
  vk_mt19937_seed(&fresh, 7);
  vk_assert_same_bits(vk_mt19937_normal(&r), vk_mt19937_normal(&fresh));
}

static void mt19937_copy_is_a_snapshot(void **state)
{
  vk_mt19937 r;
  vk_mt19937_seed(&r, 3);
  for (int i = 0; i < 700; i++)
    vk_mt19937_normal(&r);
  vk_mt19937_normal(&r);
  vk_mt19937 copy = r;
  for (int i = 0; i < 100; i++)
    vk_assert_same_bits(vk_mt19937_normal(&copy), vk_mt19937_normal(&r));
}

/* Random123's kat_vectors, philox4x32 with 10 rounds: counter, key, answer. */
static void philox_known_answers(void **state)
{
  static const struct {
    uint32_t counter[4], key[2], want[4];
  } kat[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (size_t i = 0; i < VK_COUNT(kat); i++) {
    vk_philox r;
    vk_philox_init(&r, kat[i].key[0] | (uint64_t)kat[i].key[1] << 32,
                   kat[i].counter[2] | (uint64_t)kat[i].counter[3] << 32);
    r.block = kat[i].counter[0] | (uint64_t)kat[i].counter[1] << 32;
    for (int k = 0; k < 4; k++)
      assert_int_equal(vk_philox_u32(&r), kat[i].want[k]);
  }
}

static void philox_streams_and_blocks_differ(void **state)
{
  vk_philox a, b, c;
  vk_philox_init(&a, 1, 0);
  vk_philox_init(&b, 1, 1);
  vk_philox_init(&c, 2, 0);
  uint64_t seen[48];
  for (int i = 0; i < 48; i++)
    seen[i] = vk_philox_u64(i % 3 == 0 ? &a : i % 3 == 1 ? &b : &c);
  for (int i = 0; i < 48; i++)
    for (int j = 0; j < i; j++)
      assert_true(seen[i] != seen[j]);
}

static void philox_u64_is_two_words(void **state)
{
  vk_philox a, b;
  vk_philox_init(&a, 5, 9);
  vk_philox_init(&b, 5, 9);
  for (int i = 0; i < 9; i++) {
    uint64_t lo = vk_philox_u32(&a);
    uint64_t hi = vk_philox_u32(&a);
    assert_true(vk_philox_u64(&b) == (lo | hi << 32));
  }
}

/* Moments over 200,000 draws, each within 5 standard errors. */
static void philox_moments(void **state)
{
  enum { N = 200000 };
  vk_philox r;
  vk_philox_init(&r, 11, 4);
  double sum = 0, sum2 = 0, sum4 = 0, lo = 1, hi = 0, sum_u = 0;
  for (int i = 0; i < N; i++) {
    double x = vk_philox_normal(&r), u = vk_philox_double(&r);
    assert_true(isfinite(x));
    sum += x;
    sum2 += x * x;
    sum4 += x * x * x * x;
    sum_u += u;
    lo = fmin(lo, u);
    hi = fmax(hi, u);
  }
  vk_assert_close(sum / N, 0, 5 / sqrt(N), 0);
  vk_assert_close(sum2 / N, 1, 5 * sqrt(2.0 / N), 0);
  vk_assert_close(sum4 / N, 3, 5 * sqrt(96.0 / N), 0);
  vk_assert_close(sum_u / N, 0.5, 5 * sqrt(1.0 / 12 / N), 0);
  assert_true(lo >= 0 && lo < 1e-3 && hi < 1 && hi > 1 - 1e-3);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(mt19937_first_values),
      cmocka_unit_test(mt19937_words),
      cmocka_unit_test(mt19937_long_mix),
      cmocka_unit_test(mt19937_seed_empties_cache),
      cmocka_unit_test(mt19937_copy_is_a_snapshot),
      cmocka_unit_test(philox_known_answers),
      cmocka_unit_test(philox_streams_and_blocks_differ),
      cmocka_unit_test(philox_u64_is_two_words),
      cmocka_unit_test(philox_moments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
