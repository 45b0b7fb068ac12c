/* import_xml.h - an XML document as a small tree that can be changed, read by expat.
 *
 * Text between tags is dropped: the formats read here keep everything in attributes. Documents with
 * a DOCTYPE (entities) are refused. Test: tests/unit/test_import_xml.c, tests/fuzz/fuzz_mjcf.c */
#ifndef VK_SIM_IMPORT_XML_H
#define VK_SIM_IMPORT_XML_H

#include "core/err.h"

typedef struct vk_xml_attr {
  const char *key, *value;
} vk_xml_attr;

typedef struct vk_xml_node {
  const char *tag;
  vk_xml_attr *attr;
  int n_attr, room_attr;
  int line;
  struct vk_xml_node *parent, *first, *last, *next, *prev;
} vk_xml_node;

/* The document. Nodes and texts live until vk_xml_free. */
typedef struct vk_xml {
  vk_xml_node *root;
  char name[200]; /* for errors: the file's name */
  struct vk_xml_chunk *chunk;
} vk_xml;

/* Errors: VK_E_FORMAT (with line; also above 100 levels, 200 attributes or 1e6 elements),
 * VK_E_NOMEM. */
VK_NODISCARD vk_status vk_xml_parse(vk_xml **out, const void *bytes, size_t n, const char *name,
                                    vk_err *err);
void vk_xml_free(vk_xml *xml);

/* NULL when there is none. */
const char *vk_xml_get(const vk_xml_node *node, const char *key);
/* The first child of that tag (and name, unless name is NULL); NULL when there is none. */
vk_xml_node *vk_xml_child(const vk_xml_node *node, const char *tag, const char *name);
/* The same among all descendants in document order, node itself included. */
vk_xml_node *vk_xml_find(vk_xml_node *node, const char *tag, const char *name);
/* The next node in document order below top; NULL after the last. */
vk_xml_node *vk_xml_walk(const vk_xml_node *top, vk_xml_node *node);

/* Sets or adds an attribute; the texts are copied. */
VK_NODISCARD vk_status vk_xml_set(vk_xml *xml, vk_xml_node *node, const char *key,
                                  const char *value, vk_err *err);
void vk_xml_unset(vk_xml_node *node, const char *key);
/* A new last child. */
VK_NODISCARD vk_status vk_xml_add(vk_xml *xml, vk_xml_node *parent, const char *tag,
                                  vk_xml_node **out, vk_err *err);
/* Takes node out of its tree, and puts it below parent as the last child unless parent is NULL.
 * Parent may belong to another document, which must then not outlive the node's own. */
void vk_xml_move(vk_xml_node *node, vk_xml_node *parent);

/* As vk_fail, with "FILE.xml line 12: <geom name="x">: " before the sentence. */
vk_status vk_xml_fail(vk_err *err, vk_status code, const vk_xml *xml, const vk_xml_node *node,
                      const char *format, ...) VK_PRINTF(5, 6);

#endif
