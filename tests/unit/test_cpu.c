/* test_cpu.c - features agree with what the kernel lists, and a path that the machine cannot run
 * is refused. */
#include "test.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/cpu.h"

/* The first "flags" line of /proc/cpuinfo, with a space at both ends; NULL when there is none. */
static char *kernel_flags(void)
{
  FILE *f = fopen("/proc/cpuinfo", "r");
  char *line = NULL;
  size_t n = 0;
  bool is_found = false;
  while (f && !is_found && getline(&line, &n, f) > 0)
    is_found = strncmp(line, "flags", 5) == 0;
  if (f)
    fclose(f);
  if (is_found) {
    line[strcspn(line, "\n")] = ' ';
    return line;
  }
  free(line);
  return NULL;
}

static bool has_flag(const char *flags, const char *flag)
{
  char word[32];
  snprintf(word, sizeof word, " %s ", flag);
  return strstr(flags, word) != NULL;
}

static void agrees_with_the_kernel(void **state)
{
  char *flags = kernel_flags();
  if (!flags)
    skip();
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  assert_int_equal(cpu.sse42, has_flag(flags, "sse4_2"));
  assert_int_equal(cpu.avx, has_flag(flags, "avx"));
  assert_int_equal(cpu.avx2, has_flag(flags, "avx2"));
  assert_int_equal(cpu.fma, has_flag(flags, "fma"));
  assert_int_equal(cpu.f16c, has_flag(flags, "f16c"));
  assert_int_equal(cpu.avx512f, has_flag(flags, "avx512f"));
  assert_int_equal(cpu.avx512dq, has_flag(flags, "avx512dq"));
  assert_int_equal(cpu.avx512bw, has_flag(flags, "avx512bw"));
  assert_int_equal(cpu.avx512vl, has_flag(flags, "avx512vl"));
  assert_int_equal(cpu.avx512_vnni, has_flag(flags, "avx512_vnni"));
  assert_int_equal(cpu.avx512_bf16, has_flag(flags, "avx512_bf16"));
  assert_int_equal(cpu.amx_tile, has_flag(flags, "amx_tile"));
  assert_int_equal(cpu.amx_int8, has_flag(flags, "amx_int8"));
  assert_int_equal(cpu.amx_bf16, has_flag(flags, "amx_bf16"));
  assert_true(cpu.name[0] != '\0' && cpu.name[0] != ' ');
  free(flags);
}

static vk_cpu cpu_of(vk_isa isa)
{
  vk_cpu cpu = {.sse42 = true};
  if (isa >= VK_ISA_AVX2)
    cpu.avx = cpu.avx2 = cpu.fma = cpu.f16c = true;
  if (isa >= VK_ISA_AVX512)
    cpu.avx512f = cpu.avx512dq = cpu.avx512bw = cpu.avx512vl = true;
  if (isa >= VK_ISA_AMX)
    cpu.avx512_vnni = cpu.avx512_bf16 = cpu.amx_tile = cpu.amx_int8 = cpu.amx_bf16 = true;
  return cpu;
}

static void chooses_and_refuses(void **state)
{
  vk_err err = VK_ERR_INIT;
  for (int have = VK_ISA_SCALAR; have < VK_ISA_N; have++) {
    vk_cpu cpu = cpu_of((vk_isa)have);
    vk_isa isa;
    assert_int_equal(vk_isa_best(&cpu), have);
    vk_assert_ok(vk_isa_parse("auto", &cpu, &isa, &err), &err);
    assert_int_equal(isa, have);
    for (int want = VK_ISA_SCALAR; want < VK_ISA_N; want++) {
      vk_status st = vk_isa_parse(vk_isa_name((vk_isa)want), &cpu, &isa, &err);
      if (want <= have) {
        vk_assert_ok(st, &err);
        assert_int_equal(isa, want);
      } else {
        vk_assert_fails(st, VK_E_UNSUPPORTED);
        vk_assert_says(&err, vk_isa_name((vk_isa)have));
      }
    }
  }
}

/* Each feature of a path is needed for it, and is named when it is missing. */
static void needs_every_feature(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_isa isa;
  vk_cpu cpu;
#define CHECK(member, spelling)                                                                    \
  cpu = cpu_of(VK_ISA_AMX);                                                                        \
  if (strcmp(spelling, "sse4.2") != 0 && strcmp(spelling, "avx") != 0) {                           \
    cpu.member = false;                                                                            \
    vk_assert_fails(vk_isa_parse("amx", &cpu, &isa, &err), VK_E_UNSUPPORTED);                      \
    vk_assert_says(&err, "no " spelling ";");                                                      \
  }
  VK_CPU_FEATURES(CHECK)
#undef CHECK
}

static void knows_where_bf16_is_faster(void **state)
{
  vk_cpu intel = cpu_of(VK_ISA_AMX), amd = intel;
  amd.is_amd = true;
  for (int isa = VK_ISA_SCALAR; isa < VK_ISA_N; isa++) {
    assert_int_equal(vk_isa_has_fast_bf16(&intel, (vk_isa)isa), isa == VK_ISA_AMX);
    assert_int_equal(vk_isa_has_fast_bf16(&amd, (vk_isa)isa), isa >= VK_ISA_AVX512);
  }
  amd.avx512_bf16 = false;
  assert_false(vk_isa_has_fast_bf16(&amd, VK_ISA_AVX512));
}

static void bad_words(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_cpu cpu = cpu_of(VK_ISA_AMX);
  vk_isa isa;
  static const char *const word[] = {"", "avx", "AVX2", "avx2 ", "autox"};
  for (size_t i = 0; i < VK_COUNT(word); i++)
    vk_assert_fails(vk_isa_parse(word[i], &cpu, &isa, &err), VK_E_USAGE);
  vk_assert_says(&err, "autox");
}

static void prints_features(void **state)
{
  char text[200];
  vk_cpu cpu = cpu_of(VK_ISA_AVX2);
  vk_cpu_print_features(&cpu, text, sizeof text);
  assert_string_equal(text, "sse4.2 avx avx2 fma f16c");
  vk_cpu_print_features(&cpu, text, 12);
  assert_string_equal(text, "sse4.2 avx ");
  vk_cpu_print_features(&cpu, text, 1);
  assert_string_equal(text, "");
}

static void cpu_count_follows_affinity(void **state)
{
  cpu_set_t old, one;
  assert_int_equal(sched_getaffinity(0, sizeof old, &old), 0);
  assert_int_equal(vk_cpu_count(), CPU_COUNT(&old));
  int first = 0;
  while (!CPU_ISSET(first, &old))
    first++;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
  assert_int_equal(vk_cpu_count(), 1);
  assert_int_equal(sched_setaffinity(0, sizeof old, &old), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(agrees_with_the_kernel),
      cmocka_unit_test(chooses_and_refuses),
      cmocka_unit_test(needs_every_feature),
      cmocka_unit_test(knows_where_bf16_is_faster),
      cmocka_unit_test(bad_words),
      cmocka_unit_test(prints_features),
      cmocka_unit_test(cpu_count_follows_affinity),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
