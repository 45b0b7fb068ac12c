#include "core/cpu.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct regs {
  uint32_t a, b, c, d;
} regs;

static regs cpuid(uint32_t leaf, uint32_t subleaf)
{
  regs r = {0};
  if (!__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d))
    r = (regs){0};
  return r;
}

static bool bit(uint32_t word, int i)
{
  return word >> i & 1;
}

/* Which register states the operating system saves; needs OSXSAVE. */
static uint32_t xcr0(void)
{
  uint32_t lo, hi;
  __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
  return lo;
}

/* Linux keeps the 8 KiB of tile data from processes that did not ask. */
static bool permit_amx(void)
{
#if defined(__linux__) && defined(SYS_arch_prctl)
  enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
  return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
  return false;
#endif
}

static bool is_amd(void)
{
  regs r = cpuid(0, 0);
  char vendor[12];
  memcpy(vendor, &r.b, 4);
  memcpy(vendor + 4, &r.d, 4);
  memcpy(vendor + 8, &r.c, 4);
  return memcmp(vendor, "AuthenticAMD", sizeof vendor) == 0;
}

static void detect_name(char name[64])
{
  char text[49] = "";
  if (cpuid(0x80000000u, 0).a < 0x80000004u)
    return;
  for (uint32_t i = 0; i < 3; i++) {
    regs r = cpuid(0x80000002u + i, 0);
    memcpy(text + 16 * i, &r, 16);
  }
  const char *start = text + strspn(text, " ");
  size_t n = strlen(start);
  while (n && start[n - 1] == ' ')
    n--;
  snprintf(name, 64, "%.*s", (int)n, start);
}

void vk_cpu_detect(vk_cpu *cpu)
{
  *cpu = (vk_cpu){0};
  regs r1 = cpuid(1, 0), r7 = cpuid(7, 0), r7_1 = {0};
  if (r7.a >= 1)
    r7_1 = cpuid(7, 1);
  uint32_t saved = bit(r1.c, 27) ? xcr0() : 0;
  bool os_avx = (saved & 0x6) == 0x6, os_avx512 = (saved & 0xe6) == 0xe6;
  bool os_amx = (saved & 0x60000) == 0x60000;

  cpu->sse42 = bit(r1.c, 20);
  cpu->avx = os_avx && bit(r1.c, 28);
  cpu->fma = os_avx && bit(r1.c, 12);
  cpu->f16c = os_avx && bit(r1.c, 29);
  cpu->avx2 = os_avx && bit(r7.b, 5);
  cpu->avx512f = os_avx512 && bit(r7.b, 16);
  cpu->avx512dq = os_avx512 && bit(r7.b, 17);
  cpu->avx512bw = os_avx512 && bit(r7.b, 30);
  cpu->avx512vl = os_avx512 && bit(r7.b, 31);
  cpu->avx512_vnni = os_avx512 && bit(r7.c, 11);
  cpu->avx512_bf16 = os_avx512 && bit(r7_1.a, 5);
  if (os_amx && bit(r7.d, 24) && permit_amx()) {
    cpu->amx_tile = true;
    cpu->amx_int8 = bit(r7.d, 25);
    cpu->amx_bf16 = bit(r7.d, 22);
  }
  detect_name(cpu->name);
  cpu->is_amd = is_amd();
}

#else

void vk_cpu_detect(vk_cpu *cpu)
{
  *cpu = (vk_cpu){0};
}

#endif

void vk_cpu_print_features(const vk_cpu *cpu, char *out, size_t n)
{
  size_t at = 0;
  out[0] = '\0';
#define X(member, spelling)                                                                        \
  if (cpu->member && at < n)                                                                       \
    at += (size_t)snprintf(out + at, n - at, "%s%s", at ? " " : "", spelling);
  VK_CPU_FEATURES(X)
#undef X
}

int vk_cpu_count(void)
{
  /* The mask's size is the kernel's choice: grow until it fits. */
  for (int n_cpu = 1024; n_cpu <= 1 << 20; n_cpu *= 4) {
    cpu_set_t *set = CPU_ALLOC((size_t)n_cpu);
    if (!set)
      return 1;
    size_t size = CPU_ALLOC_SIZE((size_t)n_cpu);
    int n = 0, failed = sched_getaffinity(0, size, set);
    if (failed == 0)
      n = CPU_COUNT_S(size, set);
    CPU_FREE(set);
    if (failed == 0)
      return n > 0 ? n : 1;
    if (errno != EINVAL)
      return 1;
  }
  return 1;
}

/* The first feature that the path itself (not the paths before it) needs and cpu lacks, or NULL. */
static const char *own_lack(const vk_cpu *cpu, vk_isa isa)
{
#define NEED(member, spelling)                                                                     \
  if (!cpu->member)                                                                                \
    return spelling;
  switch (isa) {
  case VK_ISA_AVX2:
    NEED(avx2, "avx2")
    NEED(fma, "fma")
    NEED(f16c, "f16c")
    return NULL;
  case VK_ISA_AVX512:
    NEED(avx512f, "avx512f")
    NEED(avx512dq, "avx512dq")
    NEED(avx512bw, "avx512bw")
    NEED(avx512vl, "avx512vl")
    return NULL;
  case VK_ISA_AMX:
    NEED(avx512_vnni, "avx512-vnni")
    NEED(avx512_bf16, "avx512-bf16")
    NEED(amx_tile, "amx-tile")
    NEED(amx_int8, "amx-int8")
    NEED(amx_bf16, "amx-bf16")
    return NULL;
  default:
    return NULL;
  }
#undef NEED
}

static const char *lack(const vk_cpu *cpu, vk_isa isa)
{
  for (int i = 0; i <= (int)isa; i++) {
    const char *feature = own_lack(cpu, (vk_isa)i);
    if (feature)
      return feature;
  }
  return NULL;
}

const char *vk_isa_name(vk_isa isa)
{
  static const char *const name[VK_ISA_N] = {"scalar", "avx2", "avx512", "amx"};
  return (unsigned)isa < VK_ISA_N ? name[isa] : "unknown";
}

vk_isa vk_isa_best(const vk_cpu *cpu)
{
  vk_isa best = VK_ISA_SCALAR;
  for (int i = VK_ISA_SCALAR; i < VK_ISA_N; i++)
    if (!lack(cpu, (vk_isa)i))
      best = (vk_isa)i;
  return best;
}

bool vk_isa_has_fast_bf16(const vk_cpu *cpu, vk_isa isa)
{
  return isa == VK_ISA_AMX || (isa == VK_ISA_AVX512 && cpu->avx512_bf16 && cpu->is_amd);
}

vk_status vk_isa_parse(const char *word, const vk_cpu *cpu, vk_isa *isa, vk_err *err)
{
  if (strcmp(word, "auto") == 0) {
    *isa = vk_isa_best(cpu);
    return VK_OK;
  }
  for (int i = VK_ISA_SCALAR; i < VK_ISA_N; i++) {
    if (strcmp(word, vk_isa_name((vk_isa)i)) != 0)
      continue;
    const char *feature = lack(cpu, (vk_isa)i);
    if (feature)
      return vk_fail(err, VK_E_UNSUPPORTED,
                     "--isa %s: this machine has no %s; the best it can run is %s", word, feature,
                     vk_isa_name(vk_isa_best(cpu)));
    *isa = (vk_isa)i;
    return VK_OK;
  }
  return vk_fail(err, VK_E_USAGE, "--isa %s: auto, scalar, avx2, avx512 or amx expected", word);
}
