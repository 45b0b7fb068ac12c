/* render_internal.h - what render.c and its kernels (render_*.c, compiled once a path) share.
 *
 * A picture is drawn in these steps, each over what the one before it left:
 *   plan      render.c: meshes in the view, their level of detail, matrices, lights in their frames
 *   cover     render_cover.c: vertices to the screen, triangles that can cover a sample, which one
 *             does (depth and number of a hit for each sample)
 *   light     render_light.c: light at the vertices of triangles that are seen, planes of what is
 *             interpolated over them (records)
 *   shade     render_shade.c: colour of each sample, once
 *   reflect   render_blend.c: the same once more for what a flat face reflects, if one is seen
 *   blend     render_blend.c: transparent meshes over that; then samples to pixels
 *
 * Screen coordinates are OpenGL's: y is up, the first pixel's centre is (0.5, 0.5). Positions of
 * vertices are rounded to 1/256 pixel and all that decides coverage is exact from there on, so
 * that triangles with an edge in common neither leave a gap nor cover a sample twice.
 *
 * Samples lie in blocks of eight, which kernels take at once: 4 x 2 pixels, or 2 x 1 pixels of four
 * samples. Test: tests/unit/test_render.c */
#ifndef VK_SIM_RENDER_INTERNAL_H
#define VK_SIM_RENDER_INTERNAL_H

#include "sim/render.h"
#include "sim/render_stage.h"

enum {
  VK_BLOCK = 8,          /* samples */
  VK_SUBPIXEL = 256,     /* steps of a vertex's position in a pixel */
  VK_GUARD_PX = 1 << 14, /* vertices farther out are clipped */
  VK_SMALL = 64 * 256,   /* triangles at most so wide and high are covered in 32 bits */
  VK_DRAW_LIGHTS = VK_LIGHTS_MAX + 1
};

/* A light, in the world or in an item's frame. */
typedef struct vk_draw_light {
  float pos[3];                              /* of directional lights: the direction to it */
  float dir[3];                              /* the way that it goes */
  float ambient[3], diffuse[3], specular[3]; /* in an item's frame: 255 times the material's */
  float attenuation[3];
  float cos_cutoff, exponent; /* a cosine of -1: no cone */
  bool is_directional, is_attenuated, is_specular;
} vk_draw_light;

/* An item in the view. */
typedef struct vk_draw_item {
  const float *stream;       /* VK_STREAM_N of n_vertex_padded */
  const uint32_t *corner[3]; /* of n_triangle_padded, counterclockwise as it is seen */
  uint32_t n_vertex, n_triangle;
  uint32_t n_vertex_padded, n_triangle_padded;
  const vk_visuals_material *material;
  float screen[3][4]; /* of a vertex (x, y, z, 1): x w, y w in pixels, and the depth w */
  float above[4];     /* in a mirror: of it, how far it is above the mirror's plane */
  float R_world[9], p_world[3];
  float distance; /* of its sphere from the camera: order of transparent items */
  float depth;    /* of its sphere's centre: order of opaque items */
  int source;     /* its number in the view */
  int hit, n_hit; /* the first of as many as it has triangles, in the view's order; those in use */
} vk_draw_item;

/* A vertex on the screen. */
typedef struct vk_screen_vertex {
  int32_t x, y;  /* 1 / VK_SUBPIXEL pixels */
  float iw;      /* 1 / depth; negative: has to be clipped, x and y are nothing */
  int32_t sides; /* of those: bits of the planes of the view that it is outside of */
} vk_screen_vertex;

/* A triangle that covers a sample or could. */
typedef struct vk_hit {
  int32_t x[3], y[3];
  float iw[3]; /* the first is negative: it was clipped */
  uint32_t vertex[3];
} vk_hit;

/* What is interpolated over a triangle: value / depth = base + gx * (x - ref_x) + gy * (y - ref_y)
 * of 1, red, green, blue (0 to 255), u, v, w. */
typedef struct vk_record {
  float base[8], gx[8], gy[8];
  float ref_x, ref_y;
  uint32_t texel;     /* of its texture's first level */
  uint32_t shape;     /* VK_SHAPE_* */
  uint32_t is_mirror; /* of the face that reflects */
  uint32_t zero[3];
} vk_record;

/* shape: log2 of the width, of the height, what it is */
enum {
  VK_SHAPE_HEIGHT = 8, /* shift */
  VK_SHAPE_TEXTURE = 1 << 16,
  VK_SHAPE_CUBE = 1 << 17
};

/* One thread's memory. */
typedef struct vk_canvas {
  uint32_t stamp;           /* counts items that are lit */
  vk_screen_vertex *vertex; /* of one item */
  float *lit;               /* [, 8] of one item's vertices: 1, red, green, blue, u, v, w, 0 */
  uint32_t *lit_by;         /* the canvas' `stamp` when a vertex of the item is lit */
  uint32_t *wanted;         /* list of vertices to light */
  vk_hit *hit;              /* of all items; hit 0 is the sky */
  uint32_t *record_of;      /* of each hit: 0 not seen, else its record */
  vk_record *record;        /* record 0 is not used, record 1 is the sky */
  float *depth;             /* 1 / depth of the nearest, 0: sky; of each sample, in blocks */
  uint32_t *id;             /* hit of each sample */
  uint32_t *colour;         /* red in the lowest byte, of each sample */
  float *far;               /* 1 / depth of the farthest sample of each block, or less */
  float *mirror_depth;      /* the same for what is reflected */
  float *mirror_far;
  uint32_t *mirror_id, *mirror_colour;
  vk_draw_item *mirror_item;
  vk_pose *pose;
  vk_render_item *stage_item;
  vk_draw_item *item;
} vk_canvas;

/* A picture being drawn. */
typedef struct vk_draw {
  const vk_visuals *visuals;
  const vk_visuals_look *look;
  vk_canvas *canvas;
  int width, height, n_sample;
  int n_block_x, n_block_y;
  int px0, px1, py0, py1; /* pixels that are drawn, both ends included */
  int n_item, n_opaque;   /* opaque items first, then transparent ones from near to far */
  bool is_mirror;         /* what a flat geom reflects: without sky, above its plane */
  float tint;             /* of all colours but of highlights */
  int mirror;             /* opaque item that reflects, -1: none */
  float mirror_z;         /* where its flat face is, in its frame */
  int n_light;
  vk_draw_light light[VK_DRAW_LIGHTS]; /* in the world, without the material */
  float camera[3];                     /* position in the world */
  float near_m, far_m;
  float sky_base[3], sky_gx[3], sky_gy[3]; /* direction in the world: of the picture's corner, a
                                              pixel to the right, up */
  int n_record;
  uint8_t *pixel;
  size_t row_bytes;
  vk_picture_turn turn;
  vk_render_stats stats;
} vk_draw;

/* What a renderer needs to know to draw: a shot, with its stage asked. */
typedef struct vk_view {
  const vk_visuals *visuals;
  const vk_visuals_look *look;
  const vk_render_item *item;
  int n_item;
  vk_render_camera camera;
  uint8_t *pixel;
  size_t row_bytes;
} vk_view;

/* One picture on the calling thread: vk_render without a stage. Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_render_view(vk_renderer *renderer, const vk_view *view,
                                      vk_render_stats *stats, vk_err *err);

/* Everything after the plan. mirror: what d->mirror reflects, planned alike; NULL: nothing. */
void vk_draw_picture_scalar(vk_draw *d, vk_draw *mirror);
#if defined(__x86_64__)
void vk_draw_picture_avx2(vk_draw *d, vk_draw *mirror);
void vk_draw_picture_avx512(vk_draw *d, vk_draw *mirror);
#endif

#endif
