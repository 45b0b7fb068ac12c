/* event_file.h - curves and pictures of a run for TensorBoard: an event file in a folder.
 *
 * A file is a list of records, each written by one call to the system and taken back when that did
 * not succeed (a full disk), so a reader, also of a killed process's file, finds whole records
 * alone. Numbers are little-endian; CRCs are CRC-32C, masked: ((c >> 15) | (c << 17)) + 0xa282ead8.
 *
 *   record    u64 n  u32 CRC of these 8 bytes  n bytes  u32 CRC of the n bytes
 *
 * The bytes are a protobuf message Event; fields by number:
 *
 *   Event     1 wall time f64 (seconds since 1970)  2 step  3 "brain.Event:2", in the first record
 *             5 Summary  7 SessionLog
 *   Summary   1 Value, any number
 *   Value     1 tag  2 f32  4 Image
 *   Image     1 height  2 width  3 channels  4 the bytes of a PNG file
 *   SessionLog  1 status: 1 is START, after which a reader forgets steps from the event's on
 *
 * Source: Protocol Buffers encoding; TensorBoard's summary.proto, event.proto and record format.
 * Test: tests/unit/test_event_file.c */
#ifndef VK_CORE_EVENT_FILE_H
#define VK_CORE_EVENT_FILE_H

#include <stdint.h>

#include "core/err.h"

enum { VK_EVENT_TAG_MAX = 255 }; /* bytes of a tag */

typedef struct vk_event_file vk_event_file;

/* A new file events.out.tfevents.SECONDS.HOST.PID.N in the folder dir, which is made. A run that
 * goes on opens another one with the step that it goes on from: what an earlier file tells of that
 * step and later ones no longer counts. first_step < 0: a new run.
 * Errors: VK_E_IO, VK_E_RANGE (path too long), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_event_file_open(vk_event_file **out, const char *dir, int64_t first_step,
                                          vk_err *err);
void vk_event_file_close(vk_event_file *f); /* NULL is allowed */

/* Its path; lives with f. */
const char *vk_event_file_path(const vk_event_file *f);

/* A point of the curve `tag` ("train/loss"); NaN and infinities are shown as such. Nothing is
 * allocated. Errors: VK_E_IO with the reason: the file is then as it was, and later calls may
 * succeed; VK_E_RANGE for an empty tag, or one that is too long. */
VK_NODISCARD vk_status vk_event_file_scalar(vk_event_file *f, const char *tag, int64_t step,
                                            double value, vk_err *err);
/* A picture: the n bytes of a PNG file of that size, n_channel 1 to 4. Errors as above, and
 * VK_E_RANGE for sizes. */
VK_NODISCARD vk_status vk_event_file_image(vk_event_file *f, const char *tag, int64_t step,
                                           int width, int height, int n_channel, const void *png,
                                           size_t n, vk_err *err);

/* What is written goes to the disk itself. Errors: VK_E_IO. */
VK_NODISCARD vk_status vk_event_file_sync(vk_event_file *f, vk_err *err);

#endif
