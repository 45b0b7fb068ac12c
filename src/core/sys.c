#include "core/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

int64_t vk_sys_monotonic_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

double vk_sys_monotonic_s(void)
{
  return (double)vk_sys_monotonic_ns() * 1e-9;
}

static double clock_s(clockid_t clock)
{
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double vk_sys_thread_cpu_s(void)
{
  return clock_s(CLOCK_THREAD_CPUTIME_ID);
}

double vk_sys_cpu_s(void)
{
  return clock_s(CLOCK_PROCESS_CPUTIME_ID);
}

void vk_sys_utc_now(char out[VK_SYS_UTC_SIZE])
{
  time_t now = time(NULL);
  struct tm tm;
  gmtime_r(&now, &tm);
  strftime(out, VK_SYS_UTC_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* A file of /proc, cut to the buffer; "" when there is none. */
static void read_proc(const char *path, char *buf, size_t n_buf)
{
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? 0 : read(fd, buf, n_buf - 1);
  buf[n > 0 ? n : 0] = '\0';
  if (fd >= 0)
    close(fd);
}

uint64_t vk_sys_resident_bytes(void)
{
  char buf[128];
  read_proc("/proc/self/statm", buf, sizeof buf);
  unsigned long long n_page = 0;
  return sscanf(buf, "%*u %llu", &n_page) == 1 ? n_page * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

uint64_t vk_sys_peak_resident_bytes(void)
{
  struct rusage usage;
  return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
}

uint64_t vk_sys_available_bytes(void)
{
  char buf[512];
  read_proc("/proc/meminfo", buf, sizeof buf);
  const char *at = strstr(buf, "MemAvailable:");
  return at ? strtoull(at + strlen("MemAvailable:"), NULL, 10) * 1024 : 0;
}
