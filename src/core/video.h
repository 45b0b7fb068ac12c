/* video.h - films: MP4 files with H.264 pictures that players and browsers show, by the libraries
 * of FFmpeg, which are opened on first use: a program that makes no film neither loads nor needs
 * them.
 *
 * Pixels are yuv420p, BT.601 matrix, limited range, sRGB primaries and transfer, and the file says
 * so. The index (moov) comes before the pictures, so that a film plays while it loads. The same
 * pictures give the same bytes with the same libraries.
 *
 * A film is kept in memory until it is complete: its file appears whole or not at all.
 * Test: tests/unit/test_video.c */
#ifndef VK_CORE_VIDEO_H
#define VK_CORE_VIDEO_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

enum { VK_VIDEO_SIDE_MAX = 4096 };

typedef struct vk_video_config {
  int width, height;   /* pixels, even, at most VK_VIDEO_SIDE_MAX */
  int fps;             /* pictures a second, 1 to 240 */
  const char *title;   /* of the file, for players; NULL: none */
  const char *encoder; /* for tests: libavcodec's name of one; NULL: libx264, else libopenh264 */
} vk_video_config;

typedef struct vk_video vk_video;

/* "libx264 of libavcodec 59.37.100", cut to n bytes with the NUL: what films would be made with.
 * Errors: VK_E_UNSUPPORTED (this build has no films, or the libraries or an H.264 encoder are not
 * there: names the package to install). */
VK_NODISCARD vk_status vk_video_version(char *text, size_t n, vk_err *err);

/* Begins a film. Errors: VK_E_RANGE (size, fps), VK_E_UNSUPPORTED (as vk_video_version),
 * VK_E_NOMEM. */
VK_NODISCARD vk_status vk_video_new(vk_video **out, const vk_video_config *config, vk_err *err);

/* Forgets what was not written. NULL is allowed. */
void vk_video_free(vk_video *video);

/* Adds a picture of red, green and blue bytes, the top row first; row_bytes: from one row to the
 * next. Errors: VK_E_NOMEM, VK_E_UNSUPPORTED (the encoder's reason). */
VK_NODISCARD vk_status vk_video_add(vk_video *video, const uint8_t *pixel, size_t row_bytes,
                                    vk_err *err);

/* Completes the film, of at least one picture, and makes or replaces the file; nothing can be added
 * then. Errors: those of vk_video_add, VK_E_NOTFOUND (no such folder), VK_E_IO (one sentence when
 * the disk is full). */
VK_NODISCARD vk_status vk_video_write(vk_video *video, const char *path, vk_err *err);

#endif
