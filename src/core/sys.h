/* sys.h - the time, and the memory of this process and machine. Test: tests/unit/test_sys.c */
#ifndef VK_CORE_SYS_H
#define VK_CORE_SYS_H

#include <stdint.h>

/* Time since an arbitrary start, never set back. For durations. */
int64_t vk_sys_monotonic_ns(void);
double vk_sys_monotonic_s(void);

/* Processor time of the calling thread, of all threads of this process: what the machine's other
 * users take does not count. */
double vk_sys_thread_cpu_s(void);
double vk_sys_cpu_s(void);

enum { VK_SYS_UTC_SIZE = 21 };
/* Now, as "2026-08-01T12:34:56Z" (ISO 8601): sorts by time as text. */
void vk_sys_utc_now(char out[VK_SYS_UTC_SIZE]);

/* Memory of this process in RAM now and at its peak, and memory that the machine can still give
 * without swapping; bytes, 0 when the system does not tell. */
uint64_t vk_sys_resident_bytes(void);
uint64_t vk_sys_peak_resident_bytes(void);
uint64_t vk_sys_available_bytes(void);

#endif
