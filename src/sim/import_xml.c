#include "sim/import_xml.h"

#include <expat.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { XML_DEPTH_MAX = 100, XML_NODE_MAX = 1000000, XML_ATTR_MAX = 200, CHUNK_SIZE = 64 << 10 };

/* Memory of a document, freed at once. */
typedef struct vk_xml_chunk {
  struct vk_xml_chunk *next;
  size_t used, size;
  max_align_t data[];
} vk_xml_chunk;

static void *take(vk_xml *xml, size_t n)
{
  n = (n + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
  vk_xml_chunk *c = xml->chunk;
  if (!c || c->size - c->used < n) {
    size_t size = n > CHUNK_SIZE ? n : CHUNK_SIZE;
    c = malloc(sizeof *c + size);
    if (!c)
      return NULL;
    *c = (vk_xml_chunk){.next = xml->chunk, .size = size};
    xml->chunk = c;
  }
  void *p = (char *)c->data + c->used;
  c->used += n;
  return p;
}

static const char *take_text(vk_xml *xml, const char *text)
{
  size_t n = strlen(text) + 1;
  char *p = take(xml, n);
  return p ? memcpy(p, text, n) : NULL;
}

static vk_status fail_nomem(const vk_xml *xml, vk_err *err)
{
  return vk_fail(err, VK_E_NOMEM, "%s: no memory for its elements", xml->name);
}

void vk_xml_free(vk_xml *xml)
{
  if (!xml)
    return;
  while (xml->chunk) {
    vk_xml_chunk *next = xml->chunk->next;
    free(xml->chunk);
    xml->chunk = next;
  }
  free(xml);
}

const char *vk_xml_get(const vk_xml_node *node, const char *key)
{
  for (int i = 0; i < node->n_attr; i++)
    if (strcmp(node->attr[i].key, key) == 0)
      return node->attr[i].value;
  return NULL;
}

static bool is_node(const vk_xml_node *node, const char *tag, const char *name)
{
  if (strcmp(node->tag, tag) != 0)
    return false;
  const char *found = name ? vk_xml_get(node, "name") : NULL;
  return !name || (found && strcmp(found, name) == 0);
}

vk_xml_node *vk_xml_child(const vk_xml_node *node, const char *tag, const char *name)
{
  for (vk_xml_node *c = node->first; c; c = c->next)
    if (is_node(c, tag, name))
      return c;
  return NULL;
}

vk_xml_node *vk_xml_walk(const vk_xml_node *top, vk_xml_node *node)
{
  if (node->first)
    return node->first;
  while (node != top && !node->next)
    node = node->parent;
  return node == top ? NULL : node->next;
}

vk_xml_node *vk_xml_find(vk_xml_node *node, const char *tag, const char *name)
{
  for (vk_xml_node *n = node; n; n = vk_xml_walk(node, n))
    if (is_node(n, tag, name))
      return n;
  return NULL;
}

vk_status vk_xml_set(vk_xml *xml, vk_xml_node *node, const char *key, const char *value,
                     vk_err *err)
{
  const char *text = take_text(xml, value);
  if (!text)
    return fail_nomem(xml, err);
  for (int i = 0; i < node->n_attr; i++)
    if (strcmp(node->attr[i].key, key) == 0) {
      node->attr[i].value = text;
      return VK_OK;
    }
  if (node->n_attr == node->room_attr) {
    int room = 2 * node->room_attr + 4;
    vk_xml_attr *p = take(xml, (size_t)room * sizeof *p);
    if (!p)
      return fail_nomem(xml, err);
    if (node->n_attr > 0)
      memcpy(p, node->attr, (size_t)node->n_attr * sizeof *p);
    node->attr = p;
    node->room_attr = room;
  }
  const char *copy = take_text(xml, key);
  if (!copy)
    return fail_nomem(xml, err);
  node->attr[node->n_attr++] = (vk_xml_attr){copy, text};
  return VK_OK;
}

void vk_xml_unset(vk_xml_node *node, const char *key)
{
  for (int i = 0; i < node->n_attr; i++)
    if (strcmp(node->attr[i].key, key) == 0) {
      memmove(node->attr + i, node->attr + i + 1,
              (size_t)(node->n_attr - i - 1) * sizeof *node->attr);
      node->n_attr--;
      return;
    }
}

void vk_xml_move(vk_xml_node *node, vk_xml_node *parent)
{
  if (node->parent) {
    *(node->prev ? &node->prev->next : &node->parent->first) = node->next;
    *(node->next ? &node->next->prev : &node->parent->last) = node->prev;
  }
  node->parent = parent;
  node->prev = parent ? parent->last : NULL;
  node->next = NULL;
  if (!parent)
    return;
  *(parent->last ? &parent->last->next : &parent->first) = node;
  parent->last = node;
}

vk_status vk_xml_add(vk_xml *xml, vk_xml_node *parent, const char *tag, vk_xml_node **out,
                     vk_err *err)
{
  vk_xml_node *node = take(xml, sizeof *node);
  const char *copy = take_text(xml, tag);
  if (!node || !copy)
    return fail_nomem(xml, err);
  *node = (vk_xml_node){.tag = copy, .line = parent ? parent->line : 0};
  vk_xml_move(node, parent);
  if (out)
    *out = node;
  return VK_OK;
}

vk_status vk_xml_fail(vk_err *err, vk_status code, const vk_xml *xml, const vk_xml_node *node,
                      const char *format, ...)
{
  const char *name = vk_xml_get(node, "name");
  char text[sizeof err->text], where[80] = "";
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (name)
    snprintf(where, sizeof where, " name=\"%.60s\"", name);
  return vk_fail(err, code, "%s line %d: <%.60s%s>: %s", xml->name, node->line, node->tag, where,
                 text);
}

/* ---- expat ---------------------------------------------------------------------------------- */

typedef struct parse_state {
  vk_xml *xml;
  XML_Parser parser;
  vk_xml_node *at;
  int depth, n_node;
  vk_err *err;
  vk_status st;
} parse_state;

static void stop(parse_state *s, vk_status st)
{
  s->st = st;
  XML_StopParser(s->parser, XML_FALSE);
}

static void on_doctype(void *data, const XML_Char *name, const XML_Char *sysid,
                       const XML_Char *pubid, int has_internal)
{
  parse_state *s = data;
  stop(s, vk_fail(s->err, VK_E_FORMAT, "%s line %d: a DOCTYPE, which is not read", s->xml->name,
                  (int)XML_GetCurrentLineNumber(s->parser)));
}

static void on_start(void *data, const XML_Char *tag, const XML_Char **attrs)
{
  parse_state *s = data;
  if (s->st != VK_OK)
    return;
  int line = (int)XML_GetCurrentLineNumber(s->parser);
  if (++s->depth > XML_DEPTH_MAX || ++s->n_node > XML_NODE_MAX) {
    stop(s, vk_fail(s->err, VK_E_FORMAT, "%s line %d: more than %d levels or %d elements",
                    s->xml->name, line, XML_DEPTH_MAX, XML_NODE_MAX));
    return;
  }
  vk_xml_node *node;
  vk_status st = vk_xml_add(s->xml, s->at, tag, &node, s->err);
  if (st == VK_OK) {
    node->line = line;
    if (!s->at)
      s->xml->root = node;
    s->at = node;
  }
  /* Each is looked for among those before it. */
  if (st == VK_OK && XML_GetSpecifiedAttributeCount(s->parser) > 2 * XML_ATTR_MAX)
    st = vk_fail(s->err, VK_E_FORMAT, "%s line %d: an element of more than %d attributes",
                 s->xml->name, line, XML_ATTR_MAX);
  for (int i = 0; st == VK_OK && attrs[i]; i += 2)
    st = vk_xml_set(s->xml, node, attrs[i], attrs[i + 1], s->err);
  if (st != VK_OK)
    stop(s, st);
}

static void on_end(void *data, const XML_Char *tag)
{
  parse_state *s = data;
  if (s->st != VK_OK)
    return;
  s->depth--;
  s->at = s->at->parent;
}

vk_status vk_xml_parse(vk_xml **out, const void *bytes, size_t n, const char *name, vk_err *err)
{
  *out = NULL;
  vk_xml *xml = calloc(1, sizeof *xml);
  XML_Parser parser = XML_ParserCreate(NULL);
  vk_status st = VK_OK;
  if (!xml || !parser) {
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory to read it", name);
    goto done;
  }
  snprintf(xml->name, sizeof xml->name, "%s", name);
  parse_state s = {.xml = xml, .parser = parser, .err = err};
  XML_SetUserData(parser, &s);
  XML_SetElementHandler(parser, on_start, on_end);
  XML_SetStartDoctypeDeclHandler(parser, on_doctype);
  if (n > 1u << 30) {
    st = vk_fail(err, VK_E_RANGE, "%s: %zu bytes of XML are too many", name, n);
    goto done;
  }
  enum XML_Status parsed = XML_Parse(parser, bytes, (int)n, XML_TRUE);
  st = s.st;
  if (st == VK_OK && parsed != XML_STATUS_OK)
    st = vk_fail(err, VK_E_FORMAT, "%s line %d: not well-formed XML: %s", name,
                 (int)XML_GetCurrentLineNumber(parser), XML_ErrorString(XML_GetErrorCode(parser)));
done:
  if (parser)
    XML_ParserFree(parser);
  if (st != VK_OK) {
    vk_xml_free(xml);
    return st;
  }
  *out = xml;
  return VK_OK;
}
