/* render_stage.h - what the renderer asks of a stage: where each mesh stands in a picture, and the
 * camera. Test: tests/unit/test_render.c */
#ifndef VK_SIM_RENDER_STAGE_H
#define VK_SIM_RENDER_STAGE_H

#include "sim/render.h"

/* A mesh in the world: x_world = R_world x_mesh + p_world. */
typedef struct vk_render_item {
  uint32_t mesh, material; /* of the stage's visuals */
  float R_world[9];        /* row major */
  float p_world[3];        /* m */
} vk_render_item;

typedef struct vk_render_camera {
  double p_world[3];
  double R_world[9]; /* columns: right, up, back (it looks along -z) */
  double tan_half_fovy;
} vk_render_camera;

/* The most items that a picture of the stage can have. */
int vk_stage_n_item(const vk_stage *stage);
/* Mesh of the one that is i-th when all are drawn. */
uint32_t vk_stage_mesh(const vk_stage *stage, int i);

/* The items of a picture, in the order in which MuJoCo draws geoms of one kind: arena and robot,
 * objects, fixtures. Returns their number.
 *   state  a row of sim/picture.h
 *   pose   [nbody] out, where bodies stand
 *   item   [vk_stage_n_item] out */
int vk_stage_items(const vk_stage *stage, const double *state, vk_pose *pose, vk_render_item *item);

/* pose: as vk_stage_items left it. */
void vk_stage_camera(const vk_stage *stage, const vk_pose *pose, int i_camera,
                     vk_render_camera *camera);

/* The arena of the stage, its lights and its clip planes. */
const vk_visuals_look *vk_stage_look(const vk_stage *stage);

#endif
