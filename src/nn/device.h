/* device.h - where networks run: on threads of the CPU, or on a GPU. A kind of device is one const
 * struct of functions and one line in device_list.h; plans, executors and optimisers go through it,
 * and nothing else in vlakit knows which it is.
 *
 *   vk_device device;
 *   VK_TRY(vk_device_open(&device, "cuda:1", team, err));
 *   vk_exec_new(&x, plan, &device, NULL, err);        plan's target has .device = device.def
 *   ...
 *   vk_device_close(&device);
 *
 * Memory that vk_device_alloc gives is the device's: parameters, gradients and the optimiser's
 * state lie there. Only the CPU's is the host's as well; whoever does not know which device it is
 * writes by vk_device_write and reads by vk_device_view. The device works on it from vk_exec_start
 * until vk_exec_wait, and in vk_optim_step.
 *
 * Test: tests/unit/test_device.c */
#ifndef VK_NN_DEVICE_H
#define VK_NN_DEVICE_H

#include "nn/op.h"
#include "nn/team.h"

struct vk_exec;
struct vk_optim_pass;
typedef struct vk_device_def vk_device_def;

/* Small, and copied by those that use it; all copies are one device. */
typedef struct vk_device {
  const vk_device_def *def;
  vk_team *team; /* threads of kernels on the CPU; those of the host elsewhere */
  int index;     /* which of its kind, from 0 */
  void *state;   /* the kind's own */
} vk_device;

/* The CPU by the threads of team, which must outlive all that is made with it. */
#define VK_CPU(a_team) (&(vk_device){.def = &vk_device_cpu, .team = (a_team)})

/* What a device is, for people and for the catalog. */
typedef struct vk_device_info {
  char name[128];        /* "NVIDIA H200" */
  char detail[128];      /* "compute capability 9.0, 132 multiprocessors, CUDA 13.0" */
  uint64_t memory_bytes; /* in all; 0 when not known */
  uint64_t free_bytes;   /* now */
} vk_device_info;

enum { VK_DEVICE_NOTE = 384 };

struct vk_device_def {
  const char *name; /* "cuda" */
  const char *help; /* one line */
  bool has_bf16;    /* every device of the kind multiplies in bf16 faster than in f32 */

  /* How many there are. 0 is an error that says why, and what to do. */
  vk_status (*count)(int *n, vk_err *err);
  vk_status (*describe)(int index, vk_device_info *info, vk_err *err);
  /* d has index and team, and gets state. Errors: as count; VK_E_UNSUPPORTED. */
  vk_status (*open)(vk_device *d, vk_err *err);
  void (*close)(vk_device *d);

  /* Zeroed, aligned to 64 bytes. Errors: VK_E_NOMEM with the bytes. */
  vk_status (*alloc)(const vk_device *d, void **out, size_t bytes, vk_err *err);
  void (*free)(const vk_device *d, void *p);
  /* May return before it is done: what the device is given to do afterwards finds zeros. */
  vk_status (*zero)(const vk_device *d, void *p, size_t bytes, vk_err *err);
  /* Between the host's memory and alloc's, after all that optim_run, sum_run and zero were called
   * for; done when they return. NULL: the host's memory and the device's are one. */
  vk_status (*write)(const vk_device *d, void *to, const void *from, size_t bytes, vk_err *err);
  vk_status (*read)(const vk_device *d, void *to, const void *from, size_t bytes, vk_err *err);

  /* What makes work there slower than it could be, a sentence each, once: vk_device_take_note.
   * NULL: nothing does. */
  bool (*take_note)(const vk_device *d, char text[VK_DEVICE_NOTE]);

  /* For how many seconds networks have run there since it was opened, from their start until they
   * were waited for. NULL: not known. */
  double (*busy_s)(const vk_device *d);

  /* Whether it has a kernel for the op, and the kernel's scratch in bytes at the call's shapes. */
  bool (*has_op)(const vk_op_def *op);
  size_t (*scratch)(const vk_op_def *op, const vk_op_call *call);

  /* The part of an executor that is the device's own: nn/exec_internal.h. */
  vk_status (*exec_open)(struct vk_exec *x, vk_err *err);
  void (*exec_close)(struct vk_exec *x);
  void (*exec_changed)(struct vk_exec *x); /* places of values, or which are read; not sizes */
  vk_status (*exec_start)(struct vk_exec *x, bool is_once, vk_err *err);
  /* Those of a device that works while the host goes on; NULL: it has finished when exec_start
   * returns, and inputs are where it reads them. */
  vk_status (*exec_send)(struct vk_exec *x, vk_err *err);
  vk_status (*exec_wait)(struct vk_exec *x, vk_err *err);
  bool (*exec_is_busy)(struct vk_exec *x);

  /* One step of an optimiser over memory of vk_device_alloc: both passes of
   * nn/optim_internal.h; norm gets that of the gradients. state: NULL at first, the device's own
   * between steps, freed by optim_close. NULL: the CPU's kernels do it. */
  vk_status (*optim_run)(const vk_device *d, const struct vk_optim_pass *p, void **state,
                         double *norm, vk_err *err);
  void (*optim_close)(const vk_device *d, void *state);

  /* Sums between devices of the kind, each with a copy of a network that they learn together:
   * nn/device_group.h. NULL: the kind has none.
   *   sum_open  d [n]: open, each another one; they outlive it. state: the kind's own. Errors:
   *             VK_E_UNSUPPORTED: what it needs is not installed; those of the devices
   *   sum_run   p [n]: memory of vk_device_alloc of d[i], n_item numbers each. All become the sum
   * of all, with the same bits everywhere; done when it returns */
  vk_status (*sum_open)(void **state, const vk_device *d, int n, vk_err *err);
  vk_status (*sum_run)(void *state, float *const *p, int64_t n_item, vk_err *err);
  void (*sum_close)(void *state);
};

/* In the order of device_list.h. */
extern const vk_device_def *const vk_device_defs[];
int vk_device_def_count(void);

enum { VK_DEVICES_MAX = 16 };

/* Devices of a kind that a text names; none is opened. */
typedef struct vk_device_choice {
  const vk_device_def *def;
  int n;
  int index[VK_DEVICES_MAX];
} vk_device_choice;

/* text: a kind ("cpu", "cuda": its first), some of it ("cuda:1", "cuda:0,2"), or all ("cuda:all").
 * Errors: VK_E_USAGE: no such kind, with the nearest; what is no number; a device twice; more than
 * VK_DEVICES_MAX; for all, those of the kind's count. */
VK_NODISCARD vk_status vk_device_choose(vk_device_choice *c, const char *text, vk_err *err);
/* That they are there. Errors: VK_E_UNSUPPORTED, those of the kind's count. */
VK_NODISCARD vk_status vk_device_check(const vk_device_choice *c, vk_err *err);

/* The one device that text names. Errors: those of vk_device_choose, VK_E_USAGE: it names several;
 * those of the kind's open. */
VK_NODISCARD vk_status vk_device_open(vk_device *d, const char *text, vk_team *team, vk_err *err);
/* The same, of a choice that was made. */
VK_NODISCARD vk_status vk_device_open_at(vk_device *d, const vk_device_def *def, int index,
                                         vk_team *team, vk_err *err);
/* A zeroed one is allowed. */
void vk_device_close(vk_device *d);

/* See vk_device_def. d NULL: memory of the CPU. NULL is freed too. */
VK_NODISCARD vk_status vk_device_alloc(const vk_device *d, void **out, size_t bytes, vk_err *err);
void vk_device_free(const vk_device *d, void *p);
VK_NODISCARD vk_status vk_device_zero(const vk_device *d, void *p, size_t bytes, vk_err *err);
/* bytes of the host's memory to the device's. */
VK_NODISCARD vk_status vk_device_write(const vk_device *d, void *to, const void *from, size_t bytes,
                                       vk_err *err);
/* *view: bytes of the device's memory as the host sees them: on the CPU p itself, elsewhere a copy,
 * which changes nothing where it came from; vk_device_write takes it back there. To be given back
 * by vk_device_unview, NULL too. Errors: VK_E_NOMEM, those of the device; *view is NULL then. */
VK_NODISCARD vk_status vk_device_view(const vk_device *d, const void *p, size_t bytes, void **view,
                                      vk_err *err);
void vk_device_unview(const vk_device *d, void *view);

/* What a user should know of how the device works, and was not told yet: "device cuda:0 (...):
 * ...". false: nothing. */
bool vk_device_take_note(const vk_device *d, char text[VK_DEVICE_NOTE]);

/* As vk_device_def has it; NAN where it is not known. */
double vk_device_busy_s(const vk_device *d);

#define VK_DEVICE(name) extern const vk_device_def vk_device_##name;
#include "nn/device_list.h"
#undef VK_DEVICE

#endif
