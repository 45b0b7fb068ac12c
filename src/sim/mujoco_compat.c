#include "sim/mujoco_compat.h"

#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The innermost vk_mujoco_try of this thread. */
typedef struct mujoco_guard {
  jmp_buf jump;
  char message[400];
  struct mujoco_guard *outer;
} mujoco_guard;

static _Thread_local mujoco_guard *guard;

static void on_error(const char *message)
{
  if (!guard)
    vk_assert_failed(message, "MuJoCo", 0);
  snprintf(guard->message, sizeof guard->message, "%s", message);
  longjmp(guard->jump, 1);
}

/* mjData counts warnings by kind; the default handler would write MUJOCO_LOG.TXT beside the user.
 */
static void on_warning(const char *message)
{
}

static void set_handlers(void)
{
  mju_user_error = on_error;
  mju_user_warning = on_warning;
}

void vk_mujoco_version_text(int version, char text[16])
{
  /* One digit a part up to 3.9.0 (390), then 3.10.0 is 3010000. */
  if (version < 1000)
    snprintf(text, 16, "%d.%d.%d", version / 100, version / 10 % 10, version % 10);
  else
    snprintf(text, 16, "%d.%d.%d", version / 1000000 % 100, version / 1000 % 1000, version % 1000);
}

vk_status vk_mujoco_check(vk_err *err)
{
  int version = mj_version();
  if (version != mjVERSION_HEADER) {
    char want[16], found[16];
    vk_mujoco_version_text(mjVERSION_HEADER, want);
    vk_mujoco_version_text(version, found);
    return vk_fail(err, VK_E_VERSION,
                   "this vlakit was built with MuJoCo %s, and the libmujoco found at run time is "
                   "%s: install %s or build vlakit again",
                   want, found, want);
  }
  static pthread_once_t once = PTHREAD_ONCE_INIT; /* scenes are made on several threads */
  pthread_once(&once, set_handlers);
  return VK_OK;
}

vk_status vk_mujoco_try(void (*fn)(void *arg), void *arg, vk_err *err)
{
  mujoco_guard here;
  here.outer = guard;
  if (setjmp(here.jump)) {
    guard = here.outer;
    /* Releases differ in the case of letters. */
    bool is_full = strcasestr(here.message, "stack overflow") ||
                   strcasestr(here.message, "could not allocate");
    return vk_fail(err, is_full ? VK_E_NOMEM : VK_E_SIM, "MuJoCo could not go on: %s",
                   here.message);
  }
  guard = &here;
  fn(arg);
  guard = here.outer;
  return VK_OK;
}

void vk_model_set_capacity(mjModel *m, int n_contact, int n_row)
{
  VK_ASSERT(n_contact >= 1 && n_row >= 1);
  /* What the Newton solver takes from the stack is linear in the rows (8 numbers a row were seen);
   * MuJoCo's own estimate is quadratic, for solvers that vlakit does not use. */
  size_t n_stack = 20000 + 64 * (size_t)n_row + 40 * (size_t)m->nv * (size_t)m->nv +
                   (size_t)m->nbody * (size_t)m->nbody +
                   20 * (size_t)(m->nq + m->nv + m->nu + m->na + m->nbody + m->njnt + m->ngeom +
                                 m->nsite + m->neq + m->ntendon + m->nwrap);
#if mjVERSION_HEADER < 230
  m->nconmax = n_contact;
  m->njmax = n_row;
  m->nstack = n_stack < INT_MAX ? (int)n_stack : INT_MAX;
#else
  /* One arena holds contacts, rows and stack. The limit of contacts keeps them from taking what the
   * stack needs, which would be a fatal error instead of a counted warning. */
  m->nconmax = n_contact;
  m->njmax = -1;
  size_t n_byte = (size_t)n_contact * sizeof(mjContact) + (size_t)m->nv * (3 * sizeof(int)) +
                  (size_t)n_row * (8 * sizeof(int) + 14 * sizeof(mjtNum) +
                                   (size_t)m->nv * (2 * sizeof(int) + 2 * sizeof(mjtNum)) +
                                   (size_t)n_row * (sizeof(int) + sizeof(mjtNum)));
#if mjVERSION_HEADER < 300
  size_t n_number = n_stack + n_byte / sizeof(mjtNum) + 1;
  m->nstack = n_number < INT_MAX ? (int)n_number : INT_MAX;
#else
  m->narena = n_stack * sizeof(mjtNum) + n_byte;
#endif
#endif
}

size_t vk_model_bytes(const mjModel *m, const mjData *d)
{
#if mjVERSION_HEADER < 300
  size_t n_stack = (size_t)m->nstack * sizeof(mjtNum);
#else
  size_t n_stack = (size_t)m->narena;
#endif
  return sizeof *m + (size_t)m->nbuffer + sizeof *d + (size_t)d->nbuffer + n_stack;
}

vk_status vk_vfs_new(mjVFS **out, vk_err *err)
{
  *out = calloc(1, sizeof **out);
  if (!*out)
    return vk_fail(err, VK_E_NOMEM, "no memory for a virtual file system (%zu bytes)",
                   sizeof **out);
  mj_defaultVFS(*out);
  return VK_OK;
}

vk_status vk_vfs_add(mjVFS *vfs, const char *name, const void *bytes, size_t n, vk_err *err)
{
  if (n < 1 || n > INT_MAX)
    return vk_fail(err, VK_E_RANGE, "%s: %zu bytes, MuJoCo takes 1 to %d", name, n, INT_MAX);
#if mjVERSION_HEADER < 320
  int status = mj_makeEmptyFileVFS(vfs, name, (int)n);
  int i = status == 0 ? mj_findFileVFS(vfs, name) : -1;
  if (i < 0)
    return vk_fail(err, VK_E_NOMEM, "%s: no room in the virtual file system (code %d)", name,
                   status);
  memcpy(vfs->filedata[i], bytes, n);
#else
  int status = mj_addBufferVFS(vfs, name, bytes, (int)n);
  if (status != 0)
    return vk_fail(err, VK_E_NOMEM, "%s: no room in the virtual file system (code %d)", name,
                   status);
#endif
  return VK_OK;
}

void vk_vfs_free(mjVFS *vfs)
{
  if (!vfs)
    return;
  mj_deleteVFS(vfs);
  free(vfs);
}

typedef struct compile_call {
  const mjVFS *vfs;
  mjModel *model;
  char message[400];
} compile_call;

static const char mjcf_name[] = "vlakit-model.xml"; /* not that of a mesh or texture */

static void compile(void *arg)
{
  compile_call *c = arg;
  c->model = mj_loadXML(mjcf_name, c->vfs, c->message, sizeof c->message);
  mj_freeLastXML();
}

vk_status vk_mujoco_compile(mjModel **out, const char *mjcf, mjVFS *vfs, vk_err *err)
{
  compile_call call = {.vfs = vfs};
  *out = NULL;
  VK_TRY(vk_vfs_add(vfs, mjcf_name, mjcf, strlen(mjcf), err));
  VK_TRY(vk_mujoco_try(compile, &call, err));
  if (!call.model) {
    call.message[strcspn(call.message, "\n")] = '\0';
    return vk_fail(err, VK_E_FORMAT, "MuJoCo refuses it: %s", call.message);
  }
  *out = call.model;
  return VK_OK;
}
