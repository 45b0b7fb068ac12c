#include "core/trace.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/sys.h"

typedef struct event {
  const char *category, *name;
  const char *arg_name[VK_TRACE_ARGS_MAX];
  int64_t arg[VK_TRACE_ARGS_MAX];
  int64_t start_ns, length_ns;
  int64_t thread;
  const char *row; /* NULL: that of the thread */
} event;

typedef struct kept {
  struct kept *next;
  char text[];
} kept;

struct vk_trace {
  atomic_size_t n; /* spans ended, those that found no room included */
  size_t n_max;
  int64_t start_ns;
  char path[VK_FS_PATH_MAX];
  event *event;
  kept *kept;
};

/* Whether the file can be made. */
static vk_status try_path(const char *path, vk_err *err)
{
  vk_fs_writer w;
  VK_TRY(vk_fs_writer_open(&w, path, err));
  vk_fs_writer_abort(&w);
  return VK_OK;
}

vk_status vk_trace_new(vk_trace **out, const char *path, size_t n_max, vk_err *err)
{
  *out = NULL;
  VK_TRY(try_path(path, err));
  vk_trace *trace = calloc(1, sizeof *trace);
  size_t size;
  void *at = MAP_FAILED;
  if (trace && n_max > 0 && !__builtin_mul_overflow(n_max, sizeof(event), &size))
    at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
              0);
  if (at == MAP_FAILED) {
    free(trace);
    return vk_fail(err, VK_E_NOMEM, "trace: no memory for %zu spans", n_max);
  }
  trace->event = at;
  snprintf(trace->path, sizeof trace->path, "%s", path); /* fits, or the writer had refused it */
  trace->n_max = n_max;
  trace->start_ns = vk_sys_monotonic_ns();
  *out = trace;
  return VK_OK;
}

void vk_trace_free(vk_trace *trace)
{
  if (!trace)
    return;
  munmap(trace->event, trace->n_max * sizeof(event));
  for (kept *k = trace->kept, *next; k; k = next) {
    next = k->next;
    free(k);
  }
  free(trace);
}

const char *vk_trace_keep(vk_trace *trace, const char *text)
{
  size_t n = strlen(text) + 1;
  kept *k = malloc(sizeof *k + n);
  if (!k)
    return NULL;
  k->next = trace->kept;
  trace->kept = k;
  return memcpy(k->text, text, n);
}

vk_trace_span vk_trace_begin(vk_trace *trace, const char *category, const char *name)
{
  vk_trace_span span = {.trace = trace};
  if (!trace)
    return span;
  span.category = category;
  span.name = name;
  span.start_ns = vk_sys_monotonic_ns();
  return span;
}

void vk_trace_arg(vk_trace_span *span, const char *name, int64_t value)
{
  for (int i = 0; span->trace && i < VK_TRACE_ARGS_MAX; i++) {
    if (span->arg_name[i])
      continue;
    span->arg_name[i] = name;
    span->arg[i] = value;
    return;
  }
}

/* The kernel's number of this thread, asked once. */
static int64_t thread_id(void)
{
  static _Thread_local int64_t id;
  if (id == 0)
    id = syscall(SYS_gettid);
  return id;
}

/* NULL when there is no room: it is counted all the same. */
static event *new_event(vk_trace *trace)
{
  size_t i = atomic_fetch_add_explicit(&trace->n, 1, memory_order_relaxed);
  return i < trace->n_max ? &trace->event[i] : NULL;
}

void vk_trace_add(vk_trace *trace, const char *row, const char *category, const char *name,
                  int64_t start_ns, int64_t length_ns)
{
  event *e = trace ? new_event(trace) : NULL;
  if (e)
    *e = (event){.category = category,
                 .name = name,
                 .start_ns = start_ns - trace->start_ns,
                 .length_ns = length_ns,
                 .row = row};
}

void vk_trace_end(vk_trace_span *span)
{
  vk_trace *trace = span->trace;
  if (!trace)
    return;
  span->trace = NULL; /* ending twice counts once */
  int64_t now_ns = vk_sys_monotonic_ns();
  event *e = new_event(trace);
  if (!e)
    return;
  e->category = span->category;
  e->name = span->name;
  for (int k = 0; k < VK_TRACE_ARGS_MAX; k++) {
    e->arg_name[k] = span->arg_name[k];
    e->arg[k] = span->arg[k];
  }
  e->start_ns = span->start_ns - trace->start_ns;
  e->length_ns = now_ns - span->start_ns;
  e->thread = thread_id();
}

static void print_text(FILE *f, const char *text)
{
  putc('"', f);
  for (const char *at = text; *at; at++) {
    if (*at == '"' || *at == '\\')
      fprintf(f, "\\%c", *at);
    else if ((unsigned char)*at < 0x20)
      fprintf(f, "\\u%04x", *at);
    else
      putc(*at, f);
  }
  putc('"', f);
}

/* Microseconds with three digits, exactly. */
static void print_us(FILE *f, int64_t ns)
{
  fprintf(f, "%" PRId64 ".%03d", ns / 1000, (int)(ns % 1000));
}

/* Rows of devices: numbers that no thread has, and a line that says each one's title. */
enum { ROW_MAX = 64, ROW_FIRST = 1 << 30 };

typedef struct row_list {
  int n;
  const char *row[ROW_MAX];
} row_list;

/* Where the row is in the list, which it joins; the last one takes what is too many. */
static int find_row(row_list *l, const char *row)
{
  for (int i = 0; i < l->n; i++)
    if (strcmp(l->row[i], row) == 0)
      return i;
  if (l->n == ROW_MAX)
    return ROW_MAX - 1;
  l->row[l->n] = row;
  return l->n++;
}

static void print_rows(FILE *f, const row_list *l, int pid)
{
  for (int i = 0; i < l->n; i++) {
    fprintf(f,
            ",\n{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":%d,\"tid\":%d,\"args\":{\"name\":",
            pid, ROW_FIRST + i);
    print_text(f, l->row[i]);
    fputs("}}", f);
  }
}

static void print_event(FILE *f, const event *e, int pid, row_list *rows)
{
  int64_t thread = e->row ? ROW_FIRST + find_row(rows, e->row) : e->thread;
  fputs("{\"ph\":\"X\",\"cat\":", f);
  print_text(f, e->category);
  fputs(",\"name\":", f);
  print_text(f, e->name);
  fprintf(f, ",\"pid\":%d,\"tid\":%" PRId64 ",\"ts\":", pid, thread);
  print_us(f, e->start_ns);
  fputs(",\"dur\":", f);
  print_us(f, e->length_ns);
  if (e->arg_name[0]) {
    for (int k = 0; k < VK_TRACE_ARGS_MAX && e->arg_name[k]; k++) {
      fputs(k ? "," : ",\"args\":{", f);
      print_text(f, e->arg_name[k]);
      fprintf(f, ":%" PRId64, e->arg[k]);
    }
    putc('}', f);
  }
  putc('}', f);
}

vk_status vk_trace_write(const vk_trace *trace, vk_err *err)
{
  vk_fs_writer w;
  VK_TRY(vk_fs_writer_open(&w, trace->path, err));
  size_t n_ended = atomic_load(&trace->n), n = n_ended < trace->n_max ? n_ended : trace->n_max;
  int pid = (int)getpid();
  row_list rows = {0};
  fprintf(w.file,
          "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"n_dropped\":%zu},\"traceEvents\":[\n"
          "{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":%d,\"args\":{\"name\":\"vlakit\"}}",
          n_ended - n, pid);
  for (size_t i = 0; i < n; i++) {
    fputs(",\n", w.file);
    print_event(w.file, &trace->event[i], pid, &rows);
  }
  print_rows(w.file, &rows, pid);
  fputs("\n]}\n", w.file);
  return vk_fs_writer_commit(&w, err);
}
