/* frames.h - the pictures of a dataset's samples: drawn when first asked for, kept while there is
 * room. One for all loaders of a dataset.
 *
 * What is kept is the pictures without augmentation, 48 KiB each; once the room is full, the rest
 * are drawn each time. A scene and its stage are built when a picture of the task is first needed,
 * and kept: all 130 take 50 MB, and 0.3 s with compiled models at hand (8 s without). Test:
 * tests/unit/test_loader.c */
#ifndef VK_RL_FRAMES_H
#define VK_RL_FRAMES_H

#include "core/trace.h"
#include "rl/dataset.h"

typedef struct vk_frames_config {
  const vk_dataset *dataset; /* must outlive it, as the visuals must */
  const vk_visuals *visuals;
  const char *cache_dir; /* compiled models; NULL: none */
  vk_view_config view;
  int n_view;           /* pictures a sample: 1 (agentview) or 2 */
  uint64_t cache_bytes; /* for pictures; taken as they come */
  vk_trace *trace;      /* NULL: off */
} vk_frames_config;

typedef struct vk_frames vk_frames;

/* Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_frames_new(vk_frames **out, const vk_frames_config *config, vk_err *err);
/* After all loaders and readers. */
void vk_frames_free(vk_frames *f);
const vk_frames_config *vk_frames_config_get(const vk_frames *f);

/* What one thread gets pictures with. */
typedef struct vk_frame_reader vk_frame_reader;
VK_NODISCARD vk_status vk_frame_reader_new(vk_frame_reader **out, vk_frames *f, vk_err *err);
void vk_frame_reader_free(vk_frame_reader *r);

/* The first n_view pictures of a sample: pixel[v] out, [128, 128, 3] each, valid until the next
 * call with r. Errors: those of scenes, stages and drawing; VK_E_SHAPE and VK_E_RANGE for a row
 * that is none of the task's scene, naming the task. */
VK_NODISCARD vk_status vk_frames_get(vk_frame_reader *r, const vk_sample *sample,
                                     const uint8_t *pixel[VK_VIEW_N], vk_err *err);

typedef struct vk_frames_stats {
  int64_t n_get, n_drawn; /* asked for, and of these drawn */
  int64_t n_kept;
  int n_stage;
  double stage_s; /* building them; processor time */
} vk_frames_stats;
/* What was done so far, by all readers. */
void vk_frames_stats_get(vk_frames *f, vk_frames_stats *stats);

#endif
