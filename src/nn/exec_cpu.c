/* exec_cpu.c - the CPU as a device: every thread of a team walks through all steps of a plan. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cpu.h"
#include "core/sys.h"
#include "nn/exec_internal.h"

static vk_status count(int *n, vk_err *err)
{
  *n = 1;
  return VK_OK;
}

static vk_status describe(int index, vk_device_info *info, vk_err *err)
{
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  *info = (vk_device_info){.free_bytes = vk_sys_available_bytes()};
  snprintf(info->name, sizeof info->name, "%s", cpu.name);
  snprintf(info->detail, sizeof info->detail, "%s", vk_isa_name(vk_isa_best(&cpu)));
  return VK_OK;
}

static vk_status open(vk_device *d, vk_err *err)
{
  if (d->index != 0)
    return vk_fail(err, VK_E_USAGE,
                   "device cpu:%d: there is one, cpu; --threads says how much of "
                   "it is used",
                   d->index);
  return VK_OK;
}

static void close(vk_device *d)
{
}

static vk_status alloc(const vk_device *d, void **out, size_t bytes, vk_err *err)
{
  size_t n = (bytes + 63) / 64 * 64 + 64;
  *out = aligned_alloc(64, n);
  if (!*out)
    return vk_fail(err, VK_E_NOMEM, "no memory for %.1f MB", (double)bytes * 1e-6);
  memset(*out, 0, n);
  return VK_OK;
}

static void free_memory(const vk_device *d, void *p)
{
  free(p);
}

static vk_status zero(const vk_device *d, void *p, size_t bytes, vk_err *err)
{
  memset(p, 0, bytes);
  return VK_OK;
}

static bool has_op(const vk_op_def *op)
{
  return true;
}

static size_t scratch(const vk_op_def *op, const vk_op_call *call)
{
  return op->scratch ? op->scratch(call) : 0;
}

static size_t round_up(size_t n)
{
  return (n + 63) / 64 * 64;
}

static vk_status exec_open(vk_exec *x, vk_err *err)
{
  const vk_plan *p = x->plan;
  VK_ASSERT(vk_team_n_thread(x->device.team) == p->target.n_thread);
  size_t n = round_up(p->arena_bytes) + round_up(p->once_bytes) + round_up(p->held_bytes) + 64;
  VK_TRY(vk_arena_init(&x->memory, p->graph.name, n, err));
  x->arena = vk_arena_push(&x->memory, n, 1, 64, err);
  if (!x->arena)
    return VK_E_NOMEM;
  x->once = x->arena + round_up(p->arena_bytes);
  x->held = x->once + round_up(p->once_bytes);
  return VK_OK;
}

static void exec_close(vk_exec *x)
{
  if (x->memory.base)
    vk_arena_fini(&x->memory);
}

static void exec_changed(vk_exec *x)
{
}

/* The share of one thread. */
static void run_steps(void *arg, int i_thread)
{
  vk_exec *x = arg;
  for (int i = 0; i < x->n_step; i++) {
    const vk_exec_step *s = &x->step[i];
    if (s->is_once != x->is_once)
      continue;
    vk_op_call call = s->call;
    call.i_part = i_thread;
    bool is_timed = x->is_timed && i_thread == 0;
    double start_s = is_timed ? vk_sys_monotonic_s() : 0;
    vk_trace_span span = vk_trace_begin(i_thread == 0 ? x->trace : NULL, "nn", s->name);
    vk_trace_arg(&span, "i_node", s->i_node);
    for (call.i_phase = 0; call.i_phase < s->n_phase; call.i_phase++) {
      s->run(&call);
      vk_team_barrier(x->device.team);
    }
    vk_trace_end(&span);
    if (is_timed)
      x->node_s[s->i_node] = vk_sys_monotonic_s() - start_s;
  }
}

static vk_status exec_start(vk_exec *x, bool is_once, vk_err *err)
{
  x->is_once = is_once;
  vk_team_run(x->device.team, run_steps, x);
  return VK_OK;
}

const vk_device_def vk_device_cpu = {
    .name = "cpu",
    .help = "threads of this machine's processor",
    .count = count,
    .describe = describe,
    .open = open,
    .close = close,
    .alloc = alloc,
    .free = free_memory,
    .zero = zero,
    .has_op = has_op,
    .scratch = scratch,
    .exec_open = exec_open,
    .exec_close = exec_close,
    .exec_changed = exec_changed,
    .exec_start = exec_start,
};
