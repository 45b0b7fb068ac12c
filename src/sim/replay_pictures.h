/* replay_pictures.h - draws what a recording of the Python benchmark took pictures of, and says how
 * far our pictures are from its own.
 *
 * Pictures lie in a folder as NAME_{start,end}_{agentview,eye_in_hand}_{128,256}.png, NAME being
 * the recording's file without ".npz", with the bottom row first. Test: tests/cmd/test_replay.sh,
 * tests/golden/test_pictures.sh */
#ifndef VK_SIM_REPLAY_PICTURES_H
#define VK_SIM_REPLAY_PICTURES_H

#include "sim/render.h"
#include "sim/replay.h"

enum { VK_REPLAY_PICTURES_MAX = 8, VK_REPLAY_PICTURES_SIDE_MAX = 256 };

typedef struct vk_replay_pictures {
  int n; /* found in the folder */
  struct {
    char name[40];  /* "start_agentview_256" */
    int side;       /* pixels */
    double psnr_db; /* over all bytes; 99 when none differs */
  } picture[VK_REPLAY_PICTURES_MAX];
} vk_replay_pictures;

typedef struct vk_replay_pictures_config {
  const vk_visuals *visuals;
  const char *file;     /* of the recording: gives NAME, and the folder when `folder` is NULL */
  const char *folder;   /* of the pictures; NULL: libero_images beside the recording's folder */
  const char *keep_dir; /* where ours are written, difference beside them; NULL: nowhere */
  int n_sample;
  vk_isa isa;
} vk_replay_pictures_config;

/* Errors: VK_E_NOTFOUND (no picture of the recording in the folder), those of vk_replay_run,
 * vk_stage_new, vk_image_read, and VK_E_SHAPE for a picture of another size. */
VK_NODISCARD vk_status vk_replay_pictures_run(vk_replay_pictures *out, const vk_npz *recording,
                                              const vk_scene *scene,
                                              const vk_replay_pictures_config *config, vk_err *err);

/* Peak signal-to-noise ratio of n bytes against n others, in dB. */
double vk_psnr_db(const uint8_t *a, const uint8_t *b, size_t n);

#endif
