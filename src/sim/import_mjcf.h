/* import_mjcf.h - MJCF files of LIBERO and robosuite to the element trees of a pack.
 *
 * A file is read into a tree of XML (import_xml.h), changed there as robosuite changes it, and then
 * stored: bodies, inertials, joints, geoms, sites, cameras, lights and actuators with the
 * attributes of sim/mjcf.h, in document order. Left out are geoms that neither collide nor carry
 * mass (a group other than 0, contype 0 and conaffinity 0), and materials and colours of geoms.
 * Anything else that sim/mjcf.h does not know is refused, by file and line. Source:
 * robosuite 1.4.0, models/base.py and models/objects/objects.py. Test:
 * tests/unit/test_import_mjcf.c, tests/fuzz/fuzz_mjcf.c */
#ifndef VK_SIM_IMPORT_MJCF_H
#define VK_SIM_IMPORT_MJCF_H

#include "sim/import_source.h"
#include "sim/import_visuals.h"
#include "sim/import_xml.h"
#include "sim/pack_write.h"

/* Parses a file and writes the attributes of `<default class="C">` into the elements of class C,
 * where those have none of their own. Angles are in radians; a <compiler> that says otherwise (or
 * has another eulerseq, or coordinates that are not local) is refused.
 *   end  the end of the file's path; the `file` of each mesh and texture becomes such an end too */
VK_NODISCARD vk_status vk_mjcf_read(const vk_source *source, const char *end, vk_xml **out,
                                    vk_err *err);
/* The same from bytes. */
VK_NODISCARD vk_status vk_mjcf_parse(const void *bytes, size_t n, const char *end, vk_xml **out,
                                     vk_err *err);

/* Turns an object's file into the body of an instance: the body "object" inside the first body is
 * renamed "main", geoms of groups other than 0 and 1 go, the i-th geom of the document is named
 * "g<i>" unless it has a name, a movable object gets the free joint "joint0" (damping 0.0005), and
 * the site "default_site" is appended. Its meshes are renamed CLASS_mesh.
 *   body  out, in xml
 *   size  out: radius x, radius y, bottom z, top z of the sites horizontal_radius_site, bottom_site
 *         and top_site beside it, m */
VK_NODISCARD vk_status vk_mjcf_take_object(vk_xml *xml, const char *class_name, bool is_movable,
                                           vk_xml_node **body, double size[4], vk_err *err);

/* Puts prefix before every name and reference to one (name, joint, body1, body2, site, mesh,
 * material, texture) below top, or with meshes_only before names of meshes alone. */
VK_NODISCARD vk_status vk_mjcf_prefix(vk_xml *xml, vk_xml_node *top, const char *prefix,
                                      bool meshes_only, vk_err *err);

/* Numbers of a text, separated by white space: how many, or -1 when it holds anything else or more
 * than n_max. */
int vk_mjcf_numbers(const char *text, double *value, int n_max);

/* Sets an attribute to n numbers. */
VK_NODISCARD vk_status vk_mjcf_set(vk_xml *xml, vk_xml_node *node, const char *key,
                                   const double *value, int n, vk_err *err);

/* Reads n_max numbers at most, or exactly n when n > 0. Errors: VK_E_FORMAT. */
VK_NODISCARD vk_status vk_mjcf_get(const vk_xml *xml, const vk_xml_node *node, const char *key,
                                   double *value, int n, vk_err *err);

/* Stores the tree below a body; the collision meshes that it uses are read from source and stored
 * once by name. assets: the <asset> that names their files. */
typedef struct vk_mjcf_writer {
  vk_pack_builder *pack;
  const vk_source *source;
  vk_import_visuals *visuals; /* NULL: physics only */
} vk_mjcf_writer;
VK_NODISCARD vk_status vk_mjcf_put(const vk_mjcf_writer *w, const vk_xml *xml,
                                   const vk_xml_node *node, uint32_t *elem, vk_err *err);
/* Stores a root whose children are those of node. */
VK_NODISCARD vk_status vk_mjcf_put_children(const vk_mjcf_writer *w, const vk_xml *xml,
                                            const vk_xml_node *node, uint32_t *elem, vk_err *err);

#endif
