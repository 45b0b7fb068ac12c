/* mujoco_compat.h - what differs between the MuJoCo releases that vlakit accepts, and how MuJoCo's
 * process-wide handlers are set. The only file of src that asks for mjVERSION_HEADER.
 *
 * Accepted: 2.2.2 to 3.3.5. 3.3.6 moves the solver's warm start into mj_step and 3.4 doubles the
 * depth of box-box contacts, so that recorded LIBERO episodes no longer follow.
 * Test: tests/unit/test_mujoco_compat.c */
#ifndef VK_SIM_MUJOCO_COMPAT_H
#define VK_SIM_MUJOCO_COMPAT_H

#include <mujoco/mujoco.h>
#include <stddef.h>

#include "core/err.h"

#if mjVERSION_HEADER < 222 || mjVERSION_HEADER > 335
#error "vlakit needs MuJoCo 2.2.2 to 3.3.5: 3.3.6 changes the warm start, 3.4 box-box contacts"
#endif

/* Whether sim/forward computes what this release's mj_forward does: it is held against that
 * release alone. */
#define VK_MUJOCO_IS_KNOWN (mjVERSION_HEADER == 222)

/* Call once before anything else of MuJoCo: checks that the library found at run time is that of
 * the header, and sets MuJoCo's handlers (the first call; any thread, any number of times):
 * warnings are counted in mjData and printed nowhere, fatal errors go to vk_mujoco_try. Errors:
 * VK_E_VERSION. */
VK_NODISCARD vk_status vk_mujoco_check(vk_err *err);

/* Calls fn(arg). A fatal error of MuJoCo inside it (which would end the process otherwise) leaves
 * fn at that point and becomes VK_E_SIM with MuJoCo's message, or VK_E_NOMEM when there is no
 * memory or the data has too little room (vk_model_set_capacity); the mjData in use is then good
 * for mj_resetData or mj_deleteData only. fn holds no lock and owns no memory while it calls
 * MuJoCo. May be nested; affects the calling thread alone. A few nanoseconds when nothing happens.
 */
VK_NODISCARD vk_status vk_mujoco_try(void (*fn)(void *arg), void *arg, vk_err *err);

/* Sets how many contacts and constraint rows the data of a model can hold: mjData made from m
 * afterwards has that room, and its warning counters mjWARN_CONTACTFULL and mjWARN_CNSTRFULL
 * say when it was too little. m may be a shallow copy (`mjModel big = *scene->model`) whose arrays
 * belong to another; results do not depend on these sizes. Data must be used with a model of the
 * sizes that it was made with.
 *   n_contact, n_row  1 or more; an elliptic contact of condim 3 takes 3 rows */
void vk_model_set_capacity(mjModel *m, int n_contact, int n_row);

/* Bytes of a model and of data made from it, the solver's stack included, whether touched or not.
 */
size_t vk_model_bytes(const mjModel *m, const mjData *d);

/* Files in memory for mj_loadXML and mj_loadModel. vk_vfs_add copies the bytes.
 * Errors: VK_E_NOMEM, VK_E_RANGE (no byte, or over 2 GiB). */
VK_NODISCARD vk_status vk_vfs_new(mjVFS **out, vk_err *err);
VK_NODISCARD vk_status vk_vfs_add(mjVFS *vfs, const char *name, const void *bytes, size_t n,
                                  vk_err *err);
void vk_vfs_free(mjVFS *vfs);

/* Compiles a model from the text of an MJCF file.
 *   vfs  in/out: the files that it names; it is added to them. The caller frees it
 * Errors: VK_E_FORMAT (MuJoCo refuses it, with its sentence), VK_E_SIM, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_mujoco_compile(mjModel **out, const char *mjcf, mjVFS *vfs, vk_err *err);

/* "2.2.2" of the number that mj_version() and mjVERSION_HEADER use. */
void vk_mujoco_version_text(int version, char text[16]);

#endif
