/* trace.h - where time went: spans of every thread, written as the JSON that chrome://tracing and
 * Perfetto open. Off is a NULL trace: a span costs one comparison then. On, a span costs two clock
 * reads and no lock.
 *
 *   vk_trace_span span = vk_trace_begin(trace, "sim", "step");
 *   vk_trace_arg(&span, "i_env", i_env);
 *   ...
 *   vk_trace_end(&span);
 *
 * Test: tests/unit/test_trace.c */
#ifndef VK_CORE_TRACE_H
#define VK_CORE_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

typedef struct vk_trace vk_trace;

enum { VK_TRACE_ARGS_MAX = 2 };

/* One stretch of time on one thread. Names are borrowed until vk_trace_write: use literals or
 * vk_trace_keep. */
typedef struct vk_trace_span {
  vk_trace *trace; /* NULL: off */
  const char *category, *name;
  const char *arg_name[VK_TRACE_ARGS_MAX];
  int64_t arg[VK_TRACE_ARGS_MAX];
  int64_t start_ns;
} vk_trace_span;

/* Room for n_max spans, 72 bytes each, paid as they are used; later ones are counted and dropped.
 * path, which vk_trace_write writes, is tried at once, so that a long job does not end in vain.
 * Errors: VK_E_NOMEM, VK_E_NOTFOUND, VK_E_IO. */
VK_NODISCARD vk_status vk_trace_new(vk_trace **out, const char *path, size_t n_max, vk_err *err);
void vk_trace_free(vk_trace *trace);

/* A copy of text that lives as long as the trace, for names that do not. Not while another thread
 * calls it. NULL without memory. */
const char *vk_trace_keep(vk_trace *trace, const char *text);

/* Any thread; end on the thread that began. Spans of a thread nest. A span that is never ended is
 * not in the file. */
vk_trace_span vk_trace_begin(vk_trace *trace, const char *category, const char *name);
void vk_trace_end(vk_trace_span *span);
/* A number shown with the span; the third and later are dropped. */
void vk_trace_arg(vk_trace_span *span, const char *name, int64_t value);

/* A stretch that was timed elsewhere, on a device: on a row of its own beside the threads.
 *   row       its title: "cuda:0 (NVIDIA H200)", borrowed as names are
 *   start_ns  as vk_sys_monotonic_ns tells time; length_ns  at least 0 */
void vk_trace_add(vk_trace *trace, const char *row, const char *category, const char *name,
                  int64_t start_ns, int64_t length_ns);

/* The spans ended so far as one JSON object, swapped in at once: the file is whole or absent,
 * after an interruption too. No span may end meanwhile. Errors: VK_E_NOTFOUND, VK_E_IO. */
VK_NODISCARD vk_status vk_trace_write(const vk_trace *trace, vk_err *err);

#endif
