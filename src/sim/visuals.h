/* visuals.h - what scenes look like: meshes with levels of detail, textures with mipmaps, materials
 * and lights, in one file. Physics never reads it.
 *
 * A file of visuals is const after opening and drawn by sim/render.h. The original ones are written
 * by `vlakit import libero` (sim/import_visuals.c), stand-ins of our own are built in memory
 * (sim/standin.h); both put them together with sim/visuals_write.h.
 *
 * Its bytes are those of core/section_file.h with the magic "VLAVIS\n\0" and the sections of
 * VK_VISUALS_SECTIONS: arrays of the structs below. References between items are indices, texts
 * are offsets into `str`. Lengths are in m, colours 0 to 1 (not linear: as in MuJoCo, whose
 * arithmetic on them this follows).
 * Test: tests/unit/test_visuals.c, tests/fuzz/fuzz_visuals.c */
#ifndef VK_SIM_VISUALS_H
#define VK_SIM_VISUALS_H

#include "core/err.h"
#include "core/fs.h"
#include "core/section_file.h"
#include "sim/pack.h"

#define VK_VISUALS_MAGIC   "VLAVIS\n\0"
#define VK_VISUALS_VERSION 1
#define VK_VISUALS_NONE    UINT32_MAX

enum {
  VK_TEXTURE_SIDE_MAX = 4096,
  VK_MESH_LEVELS_MAX = 8,
  VK_VERTEX_ALIGN = 16, /* vertices and triangles of a level are padded to multiples */
  VK_LIGHTS_MAX = 8     /* of a look */
};

/* The streams of a vertex, each an array of its own. */
enum {
  VK_STREAM_X, /* position in the mesh's frame, m */
  VK_STREAM_Y,
  VK_STREAM_Z,
  VK_STREAM_NX, /* unit normal */
  VK_STREAM_NY,
  VK_STREAM_NZ,
  VK_STREAM_U, /* texture coordinates as they are looked up, repeats and sizes applied: u, v of a 2D
                  texture (1 is its width or height), or u, v, w of the direction into a cube */
  VK_STREAM_V,
  VK_STREAM_W,
  VK_STREAM_N
};

typedef enum vk_texture_kind { VK_TEXTURE_2D, VK_TEXTURE_CUBE } vk_texture_kind;

/* Texels are u32, red in the lowest byte, then green, blue, alpha (255). Mipmap levels follow each
 * other, each half as wide and high as the one before (at least 1), down to 1 x 1. Rows begin at
 * v = 0. A level of a cube holds its faces +x -x +y -y +z -z, with the orientation of OpenGL. */
typedef struct vk_visuals_texture {
  uint32_t name;
  uint32_t kind;          /* vk_texture_kind */
  uint32_t width, height; /* powers of two; of a cube's face: equal */
  uint32_t n_level;
  uint32_t first; /* in `texel` */
} vk_visuals_texture;

/* As MuJoCo's material, with what a geom overrides applied. */
typedef struct vk_visuals_material {
  uint32_t name;
  uint32_t texture; /* or VK_VISUALS_NONE */
  float rgba[4];
  float emission, specular, shininess, reflectance; /* 0 to 1 */
} vk_visuals_material;

/* Level of detail of a mesh: stream s of its vertices is f32[first_f32 + s * n_vertex_padded ...],
 * corner c of its triangles (counterclockwise from outside) index[first_index + c *
 * n_triangle_padded ...]. Padding vertices are zero, padding triangles are (0, 0, 0). */
typedef struct vk_visuals_level {
  uint32_t n_vertex, n_triangle; /* without padding, at least 1 */
  uint32_t first_f32, first_index;
  float error_m; /* how far 99 % of the whole mesh's surface are from this one, at most */
  uint32_t zero;
} vk_visuals_level;

/* Levels from the finest to the coarsest. */
typedef struct vk_visuals_mesh {
  uint32_t name;
  uint32_t level, n_level;
  float centre_m[3], radius_m; /* a sphere about all of it */
  uint32_t zero;
} vk_visuals_mesh;

enum { VK_VISUALS_FLAME = 1 }; /* drawn while the stove burns */

/* A mesh fixed to a body. */
typedef struct vk_visuals_geom {
  uint32_t body; /* str: in a model of a class the body's name without "INSTANCE_" ("main"), in a
                    look the full name ("world", "robot0_link3") */
  uint32_t mesh, material;
  uint32_t flags; /* VK_VISUALS_* */
  float pos_m[3]; /* of the mesh in the body's frame */
  float quat[4];  /* wxyz, unit */
  uint32_t zero;
} vk_visuals_geom;

/* An object or fixture: the geoms of each of its instances. */
typedef struct vk_visuals_model {
  uint32_t name; /* that of the class in the scene pack */
  uint32_t geom, n_geom;
  uint32_t zero;
} vk_visuals_model;

/* As MuJoCo's light, fixed in the world. */
typedef struct vk_visuals_light {
  float pos_m[3], dir[3]; /* dir: unit, the way that the light goes */
  float ambient[3], diffuse[3], specular[3];
  float attenuation[3]; /* constant, linear, quadratic in m */
  float cutoff_deg, exponent;
  uint32_t is_directional;
} vk_visuals_light;

/* An arena with its robot, and how scenes of its problem class are lit and seen. */
typedef struct vk_visuals_look {
  uint32_t name; /* that of the problem in the scene pack */
  uint32_t geom, n_geom;
  uint32_t light, n_light;
  uint32_t sky; /* cube texture, looked up by the direction in the world, or NONE: black */
  float headlight_ambient[3], headlight_diffuse[3],
      headlight_specular[3]; /* along the camera's view */
  float znear_m, zfar_m;
  uint32_t zero;
} vk_visuals_look;

/* X(member, item type): the sections in file order, the arrays of open visuals. */
#define VK_VISUALS_SECTIONS(X)                                                                     \
  X(str, char)                                                                                     \
  VK_VISUALS_ITEM_SECTIONS(X)
#define VK_VISUALS_ITEM_SECTIONS(X)                                                                \
  X(f32, float)                                                                                    \
  X(index, uint32_t)                                                                               \
  X(texel, uint32_t)                                                                               \
  X(texture, vk_visuals_texture)                                                                   \
  X(material, vk_visuals_material)                                                                 \
  X(level, vk_visuals_level)                                                                       \
  X(mesh, vk_visuals_mesh)                                                                         \
  X(geom, vk_visuals_geom)                                                                         \
  X(light, vk_visuals_light)                                                                       \
  X(model, vk_visuals_model)                                                                       \
  X(look, vk_visuals_look)

#define VK_VISUALS_COUNT_(member, type) +1
enum { VK_VISUALS_N_SECTION = 0 VK_VISUALS_SECTIONS(VK_VISUALS_COUNT_) };

extern const vk_section_kind vk_visuals_kind;

/* Open visuals: const arrays into the file's bytes. */
typedef struct vk_visuals {
#define X(member, type)                                                                            \
  const type *member;                                                                              \
  size_t n_##member;
  VK_VISUALS_SECTIONS(X)
#undef X
  char hash[65];             /* SHA-256 of the content in hex */
  char path[VK_FS_PATH_MAX]; /* where they were found, or "stand-in" */
  const char *name;          /* "original", "stand-in", "file" */
  vk_fs_map map;             /* of a file, or */
  void *bytes;               /* owned memory */
} vk_visuals;

_Static_assert(sizeof(vk_visuals_texture) == 24 && sizeof(vk_visuals_material) == 40 &&
                   sizeof(vk_visuals_level) == 24 && sizeof(vk_visuals_mesh) == 32 &&
                   sizeof(vk_visuals_geom) == 48 && sizeof(vk_visuals_model) == 16 &&
                   sizeof(vk_visuals_light) == 84 && sizeof(vk_visuals_look) == 72,
               "items of visuals have no padding");

/* Opens a file. path, name: as in vk_visuals; name must outlive it.
 *
 * Open visuals keep these promises, so that code which draws them needs no checks:
 *   - indices, offsets and counts lie inside their sections; indices of a level inside its
 *     vertices, its padding triangles are zero; levels follow each other and share nothing
 *   - floats are finite, quaternions and directions of unit length to 1e-3, radii not negative
 *   - sides of textures are powers of two, n_level leads down to 1 x 1
 * Errors: VK_E_NOTFOUND, VK_E_FORMAT, VK_E_VERSION, VK_E_IO, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_visuals_open_file(vk_visuals *visuals, const char *path, const char *name,
                                            vk_err *err);
void vk_visuals_close(vk_visuals *visuals);

/* From bytes (aligned_alloc'd; owned also when this fails). name: as in vk_visuals. */
VK_NODISCARD vk_status vk_visuals_open_bytes(vk_visuals *visuals, void *bytes, size_t n,
                                             const char *name, const char *what, vk_err *err);

/* $XDG_CACHE_HOME/vlakit/libero.visuals: where the import writes the original ones. */
VK_NODISCARD vk_status vk_visuals_cache_path(char path[VK_FS_PATH_MAX], vk_err *err);

static inline const char *vk_visuals_text(const vk_visuals *visuals, uint32_t offset)
{
  return visuals->str + offset;
}

/* NULL when there is none of that name. */
const vk_visuals_model *vk_visuals_find_model(const vk_visuals *visuals, const char *name);
const vk_visuals_look *vk_visuals_find_look(const vk_visuals *visuals, const char *name);

static inline uint32_t vk_visuals_padded(uint32_t n)
{
  return (n + VK_VERTEX_ALIGN - 1) / VK_VERTEX_ALIGN * VK_VERTEX_ALIGN;
}

#endif
