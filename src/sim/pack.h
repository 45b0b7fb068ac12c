/* pack.h - scene pack: everything that is known of a benchmark's tasks, as numbers.
 *
 * A pack is one file, const after opening. It is written by `vlakit import`
 * (sim/import_*.c, sim/pack_write.c) and is the only thing the simulator reads: no XML, BDDL or
 * pickle is touched at run time.
 *
 * Its bytes are those of core/section_file.h with the magic "VLAPACK\n" and the sections of
 * VK_PACK_SECTIONS: arrays of the structs below.
 * All references between items are indices; strings are byte offsets into `str` (NUL-terminated
 * ASCII, offset 0 is ""). vk_pack_open checks the hash, then every index, offset and count: code
 * that reads an open pack needs no checks of its own. What it promises is listed at vk_pack_open.
 * Test: tests/unit/test_pack.c, tests/fuzz/fuzz_pack.c */
#ifndef VK_SIM_PACK_H
#define VK_SIM_PACK_H

#include <stdint.h>

#include "core/err.h"
#include "core/fs.h"
#include "core/section_file.h"

#define VK_PACK_MAGIC   "VLAPACK\n"
#define VK_PACK_VERSION 1
#define VK_PACK_NONE    UINT32_MAX

enum {
  VK_PACK_NAME_MAX = 120, /* bytes of a name */
  VK_PACK_TASK_ID_SIZE = VK_PACK_NAME_MAX + 12,
  VK_PACK_DEPTH_MAX = 40, /* nesting of elements */
  VK_PACK_NUMBER_MAX = 16 /* numbers of an attribute */
};

/* A node of a stored MJCF tree. Children of i are first_child, then each one's next_sibling. */
typedef struct vk_pack_elem {
  uint16_t tag; /* vk_mjcf_tag (sim/mjcf.h) */
  uint16_t n_attr;
  uint32_t attr;                      /* first of n_attr in `attr` */
  uint32_t first_child, next_sibling; /* in `elem`, or VK_PACK_NONE */
} vk_pack_elem;

/* One attribute: n numbers at num[value], or when n is 0 the text at str[value]. */
typedef struct vk_pack_attr {
  uint16_t key; /* vk_mjcf_key */
  uint16_t n;
  uint32_t value;
} vk_pack_attr;

/* A collision mesh: the triangles of its STL, or of its convex hull where the STL was not convex.
 */
typedef struct vk_pack_mesh {
  uint32_t name;
  uint32_t n_triangle;
  uint32_t first;      /* in `f32`: 9 * n_triangle numbers, vertex by vertex, m */
  uint32_t hull_frame; /* in `hull_frame`, of a mesh reduced to its hull; else VK_PACK_NONE */
} vk_pack_mesh;

/* What MuJoCo made of the whole mesh of which only the hull is kept (sim/hull_frame.h), for a geom
 * without a pose of its own. */
typedef struct vk_pack_hull_frame {
  double pos_m[3], quat[4]; /* of MuJoCo's frame in the mesh's */
  double half_size_m[3];    /* of the box about the vertices in that frame */
  double radius_m;          /* of the sphere about its centre */
  uint32_t first;           /* in `f32`: vertices as those of the mesh, in that frame */
  uint32_t zero;
} vk_pack_hull_frame;

enum { VK_PACK_ROTATION_MAX = 3, VK_PACK_ARTICULATION_MAX = 4 };
enum { VK_AXIS_X, VK_AXIS_Y, VK_AXIS_Z };

/* One uniform draw of an angle about an axis when an instance is placed. */
typedef struct vk_pack_rotation {
  double lo_rad, hi_rad;
  uint32_t axis, zero;
} vk_pack_rotation;

typedef enum vk_atom_kind {
  VK_ATOM_ON,
  VK_ATOM_IN,
  VK_ATOM_OPEN,
  VK_ATOM_CLOSE,
  VK_ATOM_TURNON,
  VK_ATOM_TURNOFF,
  VK_ATOM_N
} vk_atom_kind;

/* "on", "in", "open", ... as BDDL writes it in lower case. */
const char *vk_atom_name(vk_atom_kind kind);
/* VK_ATOM_N for any other word. */
vk_atom_kind vk_atom_find(const char *word);

enum { VK_CMP_LT, VK_CMP_LE, VK_CMP_GT, VK_CMP_GE };

/* When a joint of a class counts as open, closed, on, off, and what a reset draws for it. */
typedef struct vk_pack_articulation {
  uint32_t atom;  /* VK_ATOM_OPEN ... VK_ATOM_TURNOFF */
  uint32_t cmp;   /* VK_CMP_*: q cmp threshold */
  uint32_t every; /* 1: all joints must pass, 0: one is enough */
  uint32_t zero;
  double threshold; /* m or rad */
  double draw_lo, draw_hi;
} vk_pack_articulation;

enum { VK_CLASS_OBJECT, VK_CLASS_FIXTURE };

/* A category of objects or fixtures. Its tree holds what the MJCF of an instance contains, before
 * names are prefixed with "INSTANCE_": one body named "main" (objects with their free joint). */
typedef struct vk_pack_class {
  uint32_t name;
  uint32_t kind;
  uint32_t body; /* in `elem` */
  uint32_t n_rotation;
  vk_pack_rotation rotation[VK_PACK_ROTATION_MAX];
  uint32_t is_rotation_product; /* 1: a "dict" of rotations, multiplied in float32 */
  uint32_t n_articulation;
  vk_pack_articulation articulation[VK_PACK_ARTICULATION_MAX];
  double radius_m;   /* horizontal_radius_site x */
  double bottom_m;   /* bottom_site z */
  double top_m;      /* top_site z */
  double radius_y_m; /* horizontal_radius_site y */
} vk_pack_class;

/* A problem class of the benchmark: arena, robot and where things are put. Its three trees are
 * roots whose children are merged into the model in this order: arena worldbody (zone sites are
 * appended to the body or worldbody named by zone_body), robot (mount and gripper merged). */
typedef struct vk_pack_problem {
  uint32_t name;       /* "libero_tabletop_manipulation" */
  uint32_t world;      /* elem: root whose children go into <worldbody> before the robot */
  uint32_t robot;      /* elem: the body "robot0_base", with every name already prefixed */
  uint32_t actuator;   /* elem: root whose children go into <actuator> */
  uint32_t contact;    /* elem: root whose children go into <contact>, or VK_PACK_NONE */
  uint32_t zone_body;  /* str: body that holds the sites of arena regions; "" is the worldbody */
  uint32_t arena_name; /* str: instance name that regions of the arena target ("main_table") */
  uint32_t shrink;     /* 1: x and y ranges of objects shrink by their radius */
  double workspace_offset_m[3];
  double fixture_z_offset_m;
  double object_z_offset_m;
  /* A region of the arena is a box site in zone_body: centre = middle of its rectangle (z 0) plus
   * zone_offset_m, half size = half the rectangle and zone_half_height_m, quat 1 0 0 0, in the
   * order of the task's regions. A region is the arena's when its name contains arena_name. */
  double zone_offset_m[3];
  double zone_half_height_m;
} vk_pack_problem;

/* A region: a rectangle on the arena, or a site of a fixture or object. */
typedef struct vk_pack_region {
  uint32_t name;   /* full key, "main_table_plate_region" */
  uint32_t target; /* str: instance name */
  uint32_t has_range, has_yaw;
  double range[4]; /* x0 y0 x1 y1, m */
  double yaw_rad[2];
} vk_pack_region;

typedef struct vk_pack_instance {
  uint32_t name;
  uint32_t class_index; /* in `class` */
} vk_pack_instance;

/* (On a b), (Open a): b is "" when the atom has one argument. Names of instances or regions. */
typedef struct vk_pack_atom {
  uint32_t kind; /* vk_atom_kind */
  uint32_t a, b; /* str */
  uint32_t zero;
} vk_pack_atom;

typedef struct vk_pack_task {
  uint32_t name;          /* file name of the BDDL without ".bddl" */
  uint32_t language;      /* instruction given to policies, from the file name */
  uint32_t bddl_language; /* the file's own :language */
  uint32_t suite, index;  /* index within the suite */
  uint32_t problem;
  uint32_t object, n_object;   /* in `instance`, movable, declaration order = state order */
  uint32_t fixture, n_fixture; /* in `instance`, without the arena's own (table, floor) */
  uint32_t region, n_region;
  uint32_t init, n_init;         /* in `atom` */
  uint32_t goal, n_goal;         /* in `atom`, all must hold */
  uint32_t interest, n_interest; /* in `word`: str of the obj_of_interest names */
  /* Init states: n_row rows of n_state = 1 + nq + nv numbers [time, qpos, qvel]. Only columns
   * [1, 1 + n_stored) are stored; the others are zero in every row. */
  uint32_t n_row, n_state, n_stored, zero;
  uint64_t row; /* in `num`: n_row * n_stored */
} vk_pack_task;

typedef struct vk_pack_suite {
  uint32_t name;
  uint32_t task, n_task; /* in `task` */
  uint32_t zero;
} vk_pack_suite;

/* X(member, item type): the sections in file order, the arrays of an open pack. */
#define VK_PACK_SECTIONS(X)                                                                        \
  X(str, char)                                                                                     \
  VK_PACK_ITEM_SECTIONS(X)
/* Those that hold anything but text. */
#define VK_PACK_ITEM_SECTIONS(X)                                                                   \
  X(num, double)                                                                                   \
  X(f32, float)                                                                                    \
  X(elem, vk_pack_elem)                                                                            \
  X(attr, vk_pack_attr)                                                                            \
  X(mesh, vk_pack_mesh)                                                                            \
  X(hull_frame, vk_pack_hull_frame)                                                                \
  X(class_, vk_pack_class)                                                                         \
  X(problem, vk_pack_problem)                                                                      \
  X(suite, vk_pack_suite)                                                                          \
  X(task, vk_pack_task)                                                                            \
  X(instance, vk_pack_instance)                                                                    \
  X(region, vk_pack_region)                                                                        \
  X(atom, vk_pack_atom)                                                                            \
  X(word, uint32_t)

#define VK_PACK_COUNT_(member, type) +1
enum { VK_PACK_N_SECTION = 0 VK_PACK_SECTIONS(VK_PACK_COUNT_) };

extern const vk_section_kind vk_pack_kind;

/* An open pack: const arrays into the file's bytes. */
typedef struct vk_pack {
#define X(member, type)                                                                            \
  const type *member;                                                                              \
  size_t n_##member;
  VK_PACK_SECTIONS(X)
#undef X
  char hash[65];             /* the header's SHA-256 in hex */
  char path[VK_FS_PATH_MAX]; /* where it was found, for people */
  void *bytes;               /* the whole file, owned */
  size_t n_byte;
} vk_pack;

_Static_assert(sizeof(vk_pack_elem) == 16 && sizeof(vk_pack_attr) == 8 &&
                   sizeof(vk_pack_mesh) == 16 && sizeof(vk_pack_hull_frame) == 96 &&
                   sizeof(vk_pack_class) == 288 && sizeof(vk_pack_problem) == 104 &&
                   sizeof(vk_pack_region) == 64 && sizeof(vk_pack_instance) == 8 &&
                   sizeof(vk_pack_atom) == 16 && sizeof(vk_pack_task) == 96 &&
                   sizeof(vk_pack_suite) == 16,
               "items of a pack have no padding");

/* Opens PATH, or when path is NULL the first of: $XDG_CACHE_HOME/vlakit/libero.pack (or
 * ~/.cache/vlakit/libero.pack), the installed data folder, data/ of the source tree.
 * An open pack keeps these promises:
 *   - names (of tasks, suites, classes, instances, regions, problems, and in attributes) are 1 to
 *     VK_PACK_NAME_MAX letters, digits and "_.-"; every other string is printable ASCII
 *   - numbers are finite
 *   - elem trees are trees: a child's and a sibling's index is greater than its own, nothing is
 *     reached twice, no deeper than VK_PACK_DEPTH_MAX; a class's root is a body, a problem's world,
 *     actuator and contact are roots, its robot is a body
 *   - an attribute holds text exactly when vk_mjcf_key_text says so, else 1 to VK_PACK_NUMBER_MAX
 *     numbers
 *   - ranges of items lie inside their section, n_stored < n_state, instances of a task are of
 *     the right kind and no two have one name
 * Errors: VK_E_NOTFOUND (with the command that makes one), VK_E_FORMAT (truncated, bad hash, a
 * promise broken), VK_E_VERSION, VK_E_IO. */
VK_NODISCARD vk_status vk_pack_open(vk_pack *pack, const char *path, vk_err *err);
void vk_pack_close(vk_pack *pack);

/* As vk_pack_open, from bytes (malloc'd; owned by the pack also when this fails). `what` names them
 * in errors. */
VK_NODISCARD vk_status vk_pack_open_bytes(vk_pack *pack, void *bytes, size_t n, const char *what,
                                          vk_err *err);

static inline const char *vk_pack_text(const vk_pack *pack, uint32_t offset)
{
  return pack->str + offset;
}

/* "libero_spatial" */
static inline const char *vk_pack_suite_of(const vk_pack *pack, const vk_pack_task *task)
{
  return vk_pack_text(pack, pack->suite[task->suite].name);
}

/* "libero_spatial/3" */
void vk_pack_task_id(const vk_pack *pack, const vk_pack_task *task, char id[VK_PACK_TASK_ID_SIZE]);

/* Copies init row k into state (n_state doubles, out): [time, qpos, qvel].
 * Errors: VK_E_RANGE when k >= n_row. */
VK_NODISCARD vk_status vk_pack_init_row(const vk_pack *pack, const vk_pack_task *task, uint32_t k,
                                        double *state, vk_err *err);

/* Tasks that a word names: a suite, "libero130" (every suite), "SUITE/INDEX", "SUITE/NAME", a
 * task's own name, or a comma list of those, without repeats.
 *   task  out, array of indices into pack->task, room for pack->n_task
 * Errors: VK_E_USAGE with the nearest valid name. */
VK_NODISCARD vk_status vk_pack_find_tasks(const vk_pack *pack, const char *word, uint32_t *task,
                                          uint32_t *n_task, vk_err *err);

#endif
