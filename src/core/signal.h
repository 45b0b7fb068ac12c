/* signal.h - Ctrl-C and SIGTERM as a question that long loops ask, so that they can save their
 * state and end. Test: tests/unit/test_signal.c */
#ifndef VK_CORE_SIGNAL_H
#define VK_CORE_SIGNAL_H

#include "core/err.h"

/* Takes over SIGINT and SIGTERM, and makes a write over the file size limit an error instead of a
 * signal (SIGXFSZ). Called once by main. A second request ends the process at once, as the signal
 * by itself does; one within a tenth of a second counts as the same, as some tools send two. */
void vk_signal_init(void);

/* SIGINT or SIGTERM once one came, else 0. Costs one load; any thread may ask. Functions that stop
 * because of it return VK_E_INTERRUPTED; main makes 130 or 143 of it. */
int vk_interrupted(void);

/* The same as a status, for loops that have nothing to save: VK_OK, or VK_E_INTERRUPTED. */
VK_NODISCARD vk_status vk_signal_check(vk_err *err);

#endif
