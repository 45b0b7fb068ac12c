/* fuzz_opt.c - command lines: words separated by newlines. What is accepted must be in range. */
#include <math.h>
#include <string.h>

#include "core/opt.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

typedef struct args {
  bool fast, seed_given;
  int64_t n_episode, seed;
  double dt_s;
  const char *policy, *mode;
  vk_opt_list from;
} args;

static const char *const modes[] = {"all", "failures", "none", NULL};

static const vk_opt opts[] = {
    VK_OPT_FLAG(args, "fast", fast, "be quick"),
    VK_OPT_I64(args, "episodes", n_episode, 1, 1e6, "N", NULL, "episodes"),
    VK_OPT_I64_GIVEN(args, "seed", seed, seed_given, 0, 4294967295.0, "N", NULL, "seed"),
    VK_OPT_F64(args, "dt", dt_s, 1e-5, 0.1, "X", "s", "time step"),
    VK_OPT_STR(args, "policy", policy, "POLICY", "policy"),
    VK_OPT_CHOICE(args, "mode", mode, "MODE", modes, "mode"),
    VK_OPT_LIST(args, "from", from, "FILE", "sources"),
    VK_OPT_END,
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  enum { TEXT_MAX = 8192, WORDS_MAX = 256 };
  char text[TEXT_MAX];
  const char *argv[WORDS_MAX], *positional[WORDS_MAX];
  int argc = 0, n_positional = 0;
  if (n >= sizeof text)
    return 0;
  memcpy(text, bytes, n);
  text[n] = '\0';
  for (char *word = text; word && argc < WORDS_MAX;) {
    argv[argc++] = word;
    char *end = strchr(word, '\n');
    if (end)
      *end = '\0';
    word = end ? end + 1 : NULL;
  }
  vk_err err = VK_ERR_INIT;
  args a = {.n_episode = 50, .dt_s = 0.05};
  const vk_opt_set sets[] = {{opts, &a}, {NULL, NULL}};
  vk_status st = vk_opt_parse(sets, 2, argc, argv, positional, &n_positional, &err);
  VK_ASSERT(st == VK_OK || st == VK_E_USAGE);
  VK_ASSERT(st == VK_OK || strlen(err.text) > 0);
  VK_ASSERT(a.n_episode >= 1 && a.n_episode <= 1000000);
  VK_ASSERT(a.seed >= 0 && a.seed <= 4294967295 && a.dt_s >= 1e-5 && a.dt_s <= 0.1);
  VK_ASSERT(a.from.n >= 0 && a.from.n <= VK_OPT_LIST_MAX && n_positional <= argc);
  VK_ASSERT(!a.mode || vk_opt_nearest(a.mode, modes));
  return 0;
}
