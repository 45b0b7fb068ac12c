/* Tests of nn/text.h. The numbers were made by the Python of the reference model. */
#include "nn/text.h"
#include "test.h"

enum { N_ID = 2048, N_WORD = 128, N_TEXT = 8 };

typedef struct bags {
  vk_text_bags b;
  int32_t id[N_ID + 1], offset[N_WORD + 2], begin[N_TEXT + 2];
} bags;

static void bags_init(bags *s)
{
  memset(s, 0x5a, sizeof *s);
  s->b = (vk_text_bags){.id = s->id,
                        .cap_id = N_ID,
                        .offset = s->offset,
                        .cap_word = N_WORD,
                        .begin = s->begin,
                        .cap_text = N_TEXT};
}

/* FNV-1a of the little-endian bytes of x. */
static uint32_t hash_of(const int32_t *x, int64_t n)
{
  uint32_t h = 0x811c9dc5u;
  for (int64_t i = 0; i < n; i++)
    for (int k = 0; k < 4; k++)
      h = (h ^ ((uint32_t)x[i] >> (8 * k) & 255)) * 0x01000193u;
  return h;
}

static void check_one(const char *text, const int32_t *id, int n_id, const int32_t *offset,
                      int n_word)
{
  bags s;
  vk_err err = VK_ERR_INIT;
  bags_init(&s);
  vk_assert_ok(vk_text_encode(&s.b, 1, &text, &err), &err);
  assert_int_equal(s.b.n_text, 1);
  assert_int_equal(s.b.n_word, n_word);
  assert_int_equal(s.b.n_id, n_id);
  assert_memory_equal(s.id, id, (size_t)n_id * sizeof *id);
  assert_memory_equal(s.offset, offset, (size_t)(n_word + 1) * sizeof *offset);
  assert_int_equal(s.begin[0], 0);
  assert_int_equal(s.begin[1], n_word);
}

static void one_instruction(void **state)
{
  static const int32_t drawer[] = {612,  2525, 1008, 2652, 1939, 1225, 3402, 839,  213,  1915,
                                   2351, 540,  3864, 3966, 2950, 448,  448,  2065, 3045, 3532,
                                   3099, 3192, 3964, 47,   3091, 736,  2650, 562,  1553, 3053,
                                   1887, 2924, 2856, 3885, 1014, 753,  1708, 1473, 3640, 1188,
                                   1043, 3836, 3962, 109,  2089, 1474, 2442, 2060, 340};
  static const int32_t plate[] = {
      3628, 2542, 1046, 1160, 624,  2690, 2690, 1999, 1999, 2805, 3120, 2258, 2243, 982, 3449,
      2948, 3263, 1733, 3859, 3030, 938,  3640, 3640, 2351, 540,  3864, 3966, 2950, 448, 448,
      1415, 3976, 1694, 1047, 1636, 2322, 2484, 3361, 3211, 2962, 1027, 1997, 241,  832, 832};
  static const int32_t cafe[] = {2955, 1533, 448, 1559, 505, 651, 651};
  check_one("Open the middle drawer.", drawer, VK_COUNT(drawer), (int32_t[]){0, 10, 17, 33, 49}, 4);
  check_one("put 2 MUGs, on-the PLATE_1", plate, VK_COUNT(plate),
            (int32_t[]){0, 7, 9, 19, 23, 30, 43, 45}, 7);
  check_one("a", (int32_t[]){496, 496}, 2, (int32_t[]){0, 2}, 1);
  /* bytes beyond ASCII separate */
  check_one("caf\xc3\xa9", cafe, VK_COUNT(cafe), (int32_t[]){0, 7}, 1);
}

static void no_words(void **state)
{
  static const char *const text[] = {"", "-- !!", " \t\n"};
  for (size_t i = 0; i < VK_COUNT(text); i++)
    check_one(text[i], (int32_t[]){31}, 1, (int32_t[]){0, 1}, 1);
}

static void words_after_the_last_are_dropped(void **state)
{
  bags s;
  vk_err err = VK_ERR_INIT;
  const char *text =
      "w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 w12 w13 w14 w15 w16 w17 w18 w19 w20 w21 w22 w23 w24 "
      "w25 w26 w27 w28 w29";
  bags_init(&s);
  vk_assert_ok(vk_text_encode(&s.b, 1, &text, &err), &err);
  assert_int_equal(s.b.n_word, VK_TEXT_WORD_MAX);
  assert_int_equal(hash_of(s.id, s.b.n_id), 0xefcc8319u);
  assert_int_equal(hash_of(s.offset, s.b.n_word + 1), 0xc6856710u);
}

static void batch(void **state)
{
  static const char *const text[] = {
      "pick up the black bowl between the plate and the ramekin and place it on the plate",
      "Open the middle drawer.", "put the moka pot on the stove",
      "turn on the stove and put the frying pan on it"};
  bags s;
  vk_err err = VK_ERR_INIT;
  bags_init(&s);
  vk_assert_ok(vk_text_encode(&s.b, 4, text, &err), &err);
  assert_memory_equal(s.begin, ((int32_t[]){0, 17, 21, 28, 39}), 5 * sizeof(int32_t));
  assert_int_equal(s.b.n_id, 354);
  assert_int_equal(hash_of(s.id, s.b.n_id), 0xb0c14acau);
  assert_int_equal(hash_of(s.offset, s.b.n_word + 1), 0xdf9ff95u);
  /* again, one by one */
  s.b.n_text = 0;
  for (int i = 0; i < 4; i++)
    vk_assert_ok(vk_text_add(&s.b, text[i], &err), &err);
  assert_int_equal(hash_of(s.id, s.b.n_id), 0xb0c14acau);
  assert_int_equal(s.b.n_word, 39);
}

static void what_does_not_fit_is_refused(void **state)
{
  bags s;
  vk_err err = VK_ERR_INIT;
  bags_init(&s);
  s.b.cap_text = 2;
  vk_assert_fails(vk_text_encode(&s.b, 3, (const char *const[]){"a", "b", "c"}, &err), VK_E_RANGE);
  vk_assert_says(&err, "instruction 2, \"c\": there is room for 2 instructions");
  assert_int_equal(s.b.n_text, 2);
  s.b.cap_text = N_TEXT;
  s.b.cap_word = 3;
  vk_assert_fails(vk_text_encode(&s.b, 2, (const char *const[]){"a b", "c d"}, &err), VK_E_RANGE);
  vk_assert_says(&err, "instruction 1, \"c d\": there is room for 3 words");
  assert_int_equal(s.b.n_text, 1);
  assert_int_equal(s.b.n_word, 2);
  assert_int_equal(s.b.n_id, 4);
  s.b.cap_word = N_WORD;
  s.b.cap_id = 10;
  vk_assert_ok(vk_text_encode(&s.b, 1, (const char *const[]){"open"}, &err), &err);
  assert_int_equal(s.id[10], 0x5a5a5a5a);
  s.b.cap_id = 9;
  vk_assert_fails(vk_text_encode(&s.b, 1, (const char *const[]){"open"}, &err), VK_E_RANGE);
  vk_assert_says(&err, "room for 9 n-grams and 1 more are needed for a word of 4 letters");
  assert_int_equal(s.b.n_id, 0);
}

static void distinct(void **state)
{
  char copy[] = "open it";
  const char *const text[] = {"open it", "close it", "open it", copy, "Open it", "close it"};
  int32_t index[6], first[6];
  assert_int_equal(vk_text_distinct(6, text, index, first), 3);
  assert_memory_equal(index, ((int32_t[]){0, 1, 0, 0, 2, 1}), sizeof index);
  assert_memory_equal(first, ((int32_t[]){0, 1, 4}), 3 * sizeof *first);
  assert_int_equal(vk_text_distinct(0, text, index, first), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_instruction),
      cmocka_unit_test(no_words),
      cmocka_unit_test(words_after_the_last_are_dropped),
      cmocka_unit_test(batch),
      cmocka_unit_test(what_does_not_fit_is_refused),
      cmocka_unit_test(distinct),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
