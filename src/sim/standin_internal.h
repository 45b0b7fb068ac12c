/* standin_internal.h - parts of sim/standin.c: shapes and textures as data/standin.json describes
 * them. All arithmetic is that of IEEE doubles with +, -, *, / and sqrt, so that the bytes are the
 * same on every machine. Test: tests/unit/test_standin.c */
#ifndef VK_SIM_STANDIN_INTERNAL_H
#define VK_SIM_STANDIN_INTERNAL_H

#include "core/image.h"
#include "core/json.h"
#include "sim/mesh.h"
#include "sim/pack.h"

enum {
  VK_STANDIN_LEVELS = 3,
  VK_STANDIN_WHAT = 160, /* bytes of the name of an entry, as errors show it */
  VK_STANDIN_POINTS_MAX = 256
};

/* ---- reading (standin_read.c) ---- */

static inline const cJSON *vk_standin_member(const cJSON *o, const char *key)
{
  return cJSON_GetObjectItemCaseSensitive(o, key);
}

/* Optional members keep what `out` holds. Numbers lie in [lo, hi]. Errors: VK_E_FORMAT, VK_E_RANGE,
 * VK_E_SHAPE; a sentence that names entry and key. */
VK_NODISCARD vk_status vk_standin_number(const cJSON *o, const char *key, double lo, double hi,
                                         double *out, const char *what, vk_err *err);
VK_NODISCARD vk_status vk_standin_count(const cJSON *o, const char *key, int lo, int hi, int *out,
                                        const char *what, vk_err *err);
VK_NODISCARD vk_status vk_standin_numbers(const cJSON *o, const char *key, int n, double lo,
                                          double hi, double *out, const char *what, vk_err *err);
/* As these, but the key must be there. */
VK_NODISCARD vk_status vk_standin_need(const cJSON *o, const char *key, const char *what,
                                       vk_err *err);
/* A list of n_min to VK_STANDIN_POINTS_MAX points of dim numbers each. */
VK_NODISCARD vk_status vk_standin_points(const cJSON *o, const char *key, int dim, int n_min,
                                         double *out, int *n, const char *what, vk_err *err);
/* An optional word among NULL-terminated ones: its number. */
VK_NODISCARD vk_status vk_standin_choice(const cJSON *o, const char *key, const char *const *words,
                                         int *out, const char *what, vk_err *err);
/* The member named `name` of a table of the file and its place in it. */
VK_NODISCARD vk_status vk_standin_find(const cJSON *table, const char *name, const cJSON **item,
                                       uint32_t *index, const char *what, vk_err *err);

/* ---- textures (standin_texture.c) ---- */

/* {"size": [w, h], "rgb": [..], "draw": [steps]}; pixel (0, 0) is the upper left corner, at texture
 * coordinates (0, 0). Free the image. */
VK_NODISCARD vk_status vk_standin_draw(vk_image *image, const cJSON *entry, const char *what,
                                       vk_err *err);

/* ---- shapes (standin_shape.c, standin_lathe.c) ---- */

/* One mesh a level of detail, and how far each is from the described surface. */
typedef struct vk_standin_solid {
  vk_mesh level[VK_STANDIN_LEVELS];
  float error_m[VK_STANDIN_LEVELS];
} vk_standin_solid;

/* A zeroed or freed solid is allowed. */
void vk_standin_solid_free(vk_standin_solid *solid);

/* Collision meshes of a scene pack as they are drawn, made when they are first met. */
typedef struct vk_standin_source {
  const vk_pack *pack;
  vk_standin_solid *mesh; /* [n_mesh], owned */
} vk_standin_source;

/* Errors: VK_E_NOMEM. fini is needed also when init fails. */
VK_NODISCARD vk_status vk_standin_source_init(vk_standin_source *source, const vk_pack *pack,
                                              vk_err *err);
/* A zeroed source is allowed. */
void vk_standin_source_fini(vk_standin_source *source);

/* p -> R p + pos */
typedef struct vk_standin_place {
  double pos[3], R[9];
} vk_standin_place;

extern const vk_standin_place vk_standin_here;
/* Turns by degrees about axis 0, 1, 2 after what `place` does. */
void vk_standin_turn(vk_standin_place *place, int axis, double degree);
void vk_standin_quat(double R[9], const double quat[4]);
/* a after b */
vk_standin_place vk_standin_after(const vk_standin_place *a, const vk_standin_place *b);

/* Appends `more` where `place` puts it; errors become the larger ones. */
VK_NODISCARD vk_status vk_standin_put(vk_standin_solid *solid, const vk_standin_solid *more,
                                      const vk_standin_place *place, vk_err *err);

/* Appends the shape of an entry, in its own frame. body: index in pack->elem whose collision geoms
 * "shape": "collision" means, or VK_PACK_NONE. */
VK_NODISCARD vk_status vk_standin_shape(vk_standin_solid *solid, const cJSON *entry,
                                        vk_standin_source *source, uint32_t body, const char *what,
                                        vk_err *err);

/* The collision geoms of a body itself (not of its children), boxes, cylinders, capsules, balls and
 * meshes: only those that `only` names (NULL: all). repeat_m: how large a texture is on them. */
VK_NODISCARD vk_status vk_standin_collision(vk_standin_solid *solid, vk_standin_source *source,
                                            uint32_t body, const cJSON *only,
                                            const double repeat_m[2], vk_err *err);

/* repeat_m: how large a texture is on it. */
VK_NODISCARD vk_status vk_standin_add_box(vk_standin_solid *solid, const double half_m[3],
                                          const double repeat_m[2], vk_err *err);
VK_NODISCARD vk_status vk_standin_add_ball(vk_standin_solid *solid, const double half_m[3],
                                           int n_side, vk_err *err);

/* Profile [n][2] of radius and height, from below outwards and up, turned about z. */
typedef struct vk_standin_lathe {
  const double *profile;
  int n_point;
  int n_side;      /* around, at the finest level */
  bool is_flat;    /* facets: n_side is kept at every level */
  double arc[2];   /* turns */
  double scale[3]; /* of the result */
  double tile[2], repeat_m[2];
  bool is_fixed;     /* the finest level at every level */
  double crease_cos; /* sharper corners of the profile are edges */
} vk_standin_lathe;

/* Appends it at every level, with fewer sides and points of the profile the coarser it is. Errors:
 * VK_E_NOMEM. */
VK_NODISCARD vk_status vk_standin_add_lathe(vk_standin_solid *solid, const vk_standin_lathe *lathe,
                                            vk_err *err);

/* Attributes of an element; NULL when it has no such one (n: of numbers). */
const double *vk_standin_elem_numbers(const vk_pack *pack, uint32_t elem, int key, int *n);
const char *vk_standin_elem_text(const vk_pack *pack, uint32_t elem, int key);

#endif
