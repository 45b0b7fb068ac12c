/* test_hash.c - SHA-256 against the vectors of FIPS 180-4 and its examples. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/hash.h"

static const char abc_hex[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static const char empty_hex[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
static const char million_a_hex[] =
    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

static void known_answers(void **state)
{
  static const struct {
    const char *text, *hex;
  } kat[] = {
      {"", empty_hex},
      {"abc", abc_hex},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno"
       "ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
       "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
  };
  for (size_t i = 0; i < VK_COUNT(kat); i++) {
    char hex[65];
    vk_sha256_hex(kat[i].text, strlen(kat[i].text), hex);
    assert_string_equal(hex, kat[i].hex);
  }
}

static void pieces_equal_the_whole(void **state)
{
  vk_sha256 h;
  vk_sha256_init(&h);
  char piece[997];
  memset(piece, 'a', sizeof piece);
  size_t n_left = 1000000;
  for (size_t n = 1; n_left > 0; n = (n * 7 + 3) % sizeof piece) {
    size_t n_now = n < n_left ? n : n_left;
    vk_sha256_add(&h, piece, n_now);
    n_left -= n_now;
  }
  vk_sha256_add(&h, NULL, 0);
  char hex[65];
  vk_sha256_end_hex(&h, hex);
  assert_string_equal(hex, million_a_hex);
  /* and it starts anew */
  vk_sha256_add(&h, "abc", 3);
  vk_sha256_end_hex(&h, hex);
  assert_string_equal(hex, abc_hex);
}

static void files(void **state)
{
  char dir[] = "/tmp/vk_test_hash_XXXXXX", path[64], hex[65];
  assert_non_null(mkdtemp(dir));
  snprintf(path, sizeof path, "%s/f", dir);
  vk_err err = VK_ERR_INIT;
  vk_assert_fails(vk_sha256_file(path, hex, &err), VK_E_NOTFOUND);
  vk_assert_says(&err, path);
  vk_assert_fails(vk_sha256_file(dir, hex, &err), VK_E_IO);
  assert_int_equal(mkfifo(path, 0600), 0);
  vk_assert_fails(vk_sha256_file(path, hex, &err), VK_E_IO);
  unlink(path);

  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  vk_assert_ok(vk_sha256_file(path, hex, &err), &err);
  assert_string_equal(hex, empty_hex);
  for (int i = 0; i < 1000000; i++)
    fputc('a', f);
  assert_int_equal(fclose(f), 0);
  vk_assert_ok(vk_sha256_file(path, hex, &err), &err);
  assert_string_equal(hex, million_a_hex);
  unlink(path);
  rmdir(dir);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_answers),
      cmocka_unit_test(pieces_equal_the_whole),
      cmocka_unit_test(files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
