/* mjcf.h - the part of MJCF that packs store and scenes are composed of: tags and attribute keys as
 * numbers, with their spelling. sim/import_mjcf.c writes trees of these, sim/compose.c prints them.
 * Test: tests/unit/test_import_mjcf.c, tests/unit/test_scene.c */
#ifndef VK_SIM_MJCF_H
#define VK_SIM_MJCF_H

/* X(constant, spelling). Packs hold the numbers: append only. */
#define VK_MJCF_TAGS(X)                                                                            \
  X(ROOT, "")                                                                                      \
  X(BODY, "body")                                                                                  \
  X(INERTIAL, "inertial")                                                                          \
  X(JOINT, "joint")                                                                                \
  X(GEOM, "geom")                                                                                  \
  X(SITE, "site")                                                                                  \
  X(CAMERA, "camera")                                                                              \
  X(LIGHT, "light")                                                                                \
  X(MOTOR, "motor")                                                                                \
  X(POSITION, "position")                                                                          \
  X(EXCLUDE, "exclude")

/* X(constant, spelling, text): text is 1 when the value is a word, 2 when it is the name of an
 * element (prefixed with "INSTANCE_"), 0 when it is numbers. */
#define VK_MJCF_KEYS(X)                                                                            \
  X(NAME, "name", 2)                                                                               \
  X(POS, "pos", 0)                                                                                 \
  X(QUAT, "quat", 0)                                                                               \
  X(EULER, "euler", 0)                                                                             \
  X(AXISANGLE, "axisangle", 0)                                                                     \
  X(XYAXES, "xyaxes", 0)                                                                           \
  X(ZAXIS, "zaxis", 0)                                                                             \
  X(FROMTO, "fromto", 0)                                                                           \
  X(SIZE, "size", 0)                                                                               \
  X(TYPE, "type", 1)                                                                               \
  X(MASS, "mass", 0)                                                                               \
  X(DENSITY, "density", 0)                                                                         \
  X(DIAGINERTIA, "diaginertia", 0)                                                                 \
  X(FULLINERTIA, "fullinertia", 0)                                                                 \
  X(FRICTION, "friction", 0)                                                                       \
  X(SOLREF, "solref", 0)                                                                           \
  X(SOLIMP, "solimp", 0)                                                                           \
  X(MARGIN, "margin", 0)                                                                           \
  X(GAP, "gap", 0)                                                                                 \
  X(SOLMIX, "solmix", 0)                                                                           \
  X(CONDIM, "condim", 0)                                                                           \
  X(CONTYPE, "contype", 0)                                                                         \
  X(CONAFFINITY, "conaffinity", 0)                                                                 \
  X(GROUP, "group", 0)                                                                             \
  X(PRIORITY, "priority", 0)                                                                       \
  X(MESH, "mesh", 1)                                                                               \
  X(RGBA, "rgba", 0)                                                                               \
  X(AXIS, "axis", 0)                                                                               \
  X(RANGE, "range", 0)                                                                             \
  X(LIMITED, "limited", 1)                                                                         \
  X(DAMPING, "damping", 0)                                                                         \
  X(ARMATURE, "armature", 0)                                                                       \
  X(FRICTIONLOSS, "frictionloss", 0)                                                               \
  X(STIFFNESS, "stiffness", 0)                                                                     \
  X(SPRINGREF, "springref", 0)                                                                     \
  X(REF, "ref", 0)                                                                                 \
  X(SOLREFLIMIT, "solreflimit", 0)                                                                 \
  X(SOLIMPLIMIT, "solimplimit", 0)                                                                 \
  X(FOVY, "fovy", 0)                                                                               \
  X(MODE, "mode", 1)                                                                               \
  X(DIR, "dir", 0)                                                                                 \
  X(DIRECTIONAL, "directional", 1)                                                                 \
  X(CASTSHADOW, "castshadow", 1)                                                                   \
  X(ACTIVE, "active", 1)                                                                           \
  X(ATTENUATION, "attenuation", 0)                                                                 \
  X(CUTOFF, "cutoff", 0)                                                                           \
  X(EXPONENT, "exponent", 0)                                                                       \
  X(AMBIENT, "ambient", 0)                                                                         \
  X(DIFFUSE, "diffuse", 0)                                                                         \
  X(SPECULAR, "specular", 0)                                                                       \
  X(JOINT, "joint", 2)                                                                             \
  X(KP, "kp", 0)                                                                                   \
  X(GEAR, "gear", 0)                                                                               \
  X(CTRLRANGE, "ctrlrange", 0)                                                                     \
  X(CTRLLIMITED, "ctrllimited", 1)                                                                 \
  X(FORCERANGE, "forcerange", 0)                                                                   \
  X(FORCELIMITED, "forcelimited", 1)                                                               \
  X(BODY1, "body1", 2)                                                                             \
  X(BODY2, "body2", 2)

typedef enum vk_mjcf_tag {
#define X(constant, spelling) VK_MJCF_TAG_##constant,
  VK_MJCF_TAGS(X)
#undef X
      VK_MJCF_TAG_N
} vk_mjcf_tag;

typedef enum vk_mjcf_key {
#define X(constant, spelling, text) VK_MJCF_KEY_##constant,
  VK_MJCF_KEYS(X)
#undef X
      VK_MJCF_KEY_N
} vk_mjcf_key;

extern const char *const vk_mjcf_tag_name[VK_MJCF_TAG_N];
extern const char *const vk_mjcf_key_name[VK_MJCF_KEY_N];
extern const unsigned char vk_mjcf_key_text[VK_MJCF_KEY_N];

/* The number of a spelling, -1 when it is not in the list. */
int vk_mjcf_find_tag(const char *name);
int vk_mjcf_find_key(const char *name);

#endif
