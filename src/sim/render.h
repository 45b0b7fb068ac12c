/* render.h - pictures of scenes, as MuJoCo's renderer draws them, on the CPU alone.
 *
 * Perspective with MuJoCo's clip planes, light at vertices (head light and the look's lights:
 * ambient, diffuse, specular, spot cone, attenuation), 2D and cube textures with mipmaps, alpha
 * blending, a sky, and what the first flat geom with a reflectance shows of opaque ones (LIBERO's
 * stove). No shadows: no light of LIBERO casts any.
 *
 * The bits of a picture do not depend on the path (ISA), the number of threads or what else is
 * drawn with it.
 * Test: tests/unit/test_render.c, `vlakit replay --pictures` against pictures of the benchmark */
#ifndef VK_SIM_RENDER_H
#define VK_SIM_RENDER_H

#include "core/cpu.h"
#include "core/thread.h"
#include "sim/picture.h"
#include "sim/visuals.h"

enum { VK_RENDER_SIDE_MIN = 8, VK_RENDER_SIDE_MAX = 2048 };

/* ---- a scene with its visuals ---- */

/* What is drawn of a scene: const after making, shared by every renderer. */
typedef struct vk_stage vk_stage;

/* scene and visuals must outlive it. Errors: VK_E_NOTFOUND (visuals without this arena or a class
 * of the scene, or a body that the scene does not have), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_stage_new(vk_stage **out, const vk_scene *scene,
                                    const vk_visuals *visuals, vk_err *err);
void vk_stage_free(vk_stage *stage);
const vk_scene *vk_stage_scene(const vk_stage *stage);
const vk_visuals *vk_stage_visuals(const vk_stage *stage);

/* Number of a camera of the scene's model. Errors: VK_E_USAGE with the nearest name. */
VK_NODISCARD vk_status vk_stage_find_camera(const vk_stage *stage, const char *name, int *i_camera,
                                            vk_err *err);

/* ---- pictures ---- */

/* Which row comes first, and mirroring. */
typedef enum vk_picture_turn {
  VK_TURN_UPRIGHT,   /* files and films */
  VK_TURN_GL,        /* bottom row first: what the Python benchmark returns */
  VK_TURN_ROTATE_180 /* of the GL rows: upright and mirrored (OpenVLA) */
} vk_picture_turn;

/* "upright", "none" (the GL rows as they are), "rotate 180". */
const char *vk_picture_turn_name(vk_picture_turn turn);

typedef struct vk_render_config {
  int width, height; /* pixels, VK_RENDER_SIDE_MIN to VK_RENDER_SIDE_MAX */
  int n_sample;      /* 1, or 4 for anti-aliasing as MuJoCo's, in 2.2 to 2.8 times the time */
  vk_picture_turn turn;
  vk_isa isa;
  float level_error_px; /* how far a coarser level's surface may be off on the screen; 0: always the
                           finest. Nearness to the benchmark's pictures of 256 pixels: 42 dB at 0,
                           41 at 0.1, 35 at 0.25; time of a picture of 128 pixels at 0.25, 0.1, 0:
                           1, 1.3, 2 to 3 */
} vk_render_config;

extern const vk_render_config vk_render_defaults; /* 256 x 256, 1 sample, upright */

/* A picture to draw. */
typedef struct vk_shot {
  const vk_stage *stage;
  const double *state;  /* a row of sim/picture.h */
  int i_camera;         /* of the scene's model */
  const vk_pose *moved; /* motion of the camera in its own frame; NULL: none */
  uint8_t *pixel;       /* out: rows of width x 3 bytes, red green blue */
  size_t row_bytes;     /* from one row to the next; 0: no gap */
} vk_shot;

typedef struct vk_render_stats {
  int64_t n_triangle; /* that were set up, after culling of whole geoms */
  int64_t n_drawn;    /* that covered a sample */
} vk_render_stats;

typedef struct vk_renderer vk_renderer;

/* A renderer draws for one caller at a time, each picture on one thread of the pool. Memory is
 * taken here and when a larger scene comes, not for each picture. Errors: VK_E_RANGE (size,
 * samples), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_renderer_new(vk_renderer **out, const vk_render_config *config,
                                       vk_pool *pool, vk_err *err);
void vk_renderer_free(vk_renderer *renderer);

/* Draws n pictures; stats (may be NULL) are summed over them. Errors: VK_E_NOMEM, VK_E_RANGE
 * (visuals too large to draw). */
VK_NODISCARD vk_status vk_render(vk_renderer *renderer, const vk_shot *shot, int n,
                                 vk_render_stats *stats, vk_err *err);

#endif
