#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/mjcf.h"
#include "sim/scene.h"

/* Where text goes, and what a walk over trees must know. An open pack is sound: its names need no
 * escapes, its trees end. */
typedef struct composer {
  const vk_pack *pack;
  const vk_pack_task *task;
  const vk_pack_problem *problem;
  const char *prefix; /* of names, "" or an instance's name */
  FILE *out;
  bool zone_placed; /* the body that holds the arena's zones was met */
  bool *mesh_used;  /* [n_mesh] */
  vk_err *err;
} composer;

static void put_indent(FILE *out, int depth)
{
  for (int i = 0; i < depth; i++)
    fputs("  ", out);
}

/* 17 significant digits name a double exactly. */
static void put_numbers(FILE *out, const double *value, int n)
{
  for (int i = 0; i < n; i++)
    fprintf(out, "%s%.17g", i ? " " : "", value[i]);
}

static vk_status note_mesh(composer *c, const char *name)
{
  for (size_t i = 0; i < c->pack->n_mesh; i++) {
    if (strcmp(vk_pack_text(c->pack, c->pack->mesh[i].name), name) == 0) {
      c->mesh_used[i] = true;
      return VK_OK;
    }
  }
  return vk_fail(c->err, VK_E_FORMAT, "%s: the pack has no mesh \"%s\"", c->pack->path, name);
}

static void put_attr(composer *c, const vk_pack_attr *attr)
{
  fprintf(c->out, " %s=\"", vk_mjcf_key_name[attr->key]);
  if (attr->n) {
    put_numbers(c->out, c->pack->num + attr->value, attr->n);
  } else {
    if (vk_mjcf_key_text[attr->key] == 2 && c->prefix[0])
      fprintf(c->out, "%s_", c->prefix);
    fputs(vk_pack_text(c->pack, attr->value), c->out);
  }
  putc('"', c->out);
}

static const char *elem_name(const composer *c, const vk_pack_elem *elem)
{
  for (uint32_t i = 0; i < elem->n_attr; i++) {
    const vk_pack_attr *attr = &c->pack->attr[elem->attr + i];
    if (attr->key == VK_MJCF_KEY_NAME)
      return vk_pack_text(c->pack, attr->value);
  }
  return "";
}

/* Box sites of the arena's regions, as vk_pack_problem says; the order of additions is that of the
 * benchmark (zones in problems/libero_*_manipulation.py), so that the numbers are the same. */
static void put_zones(composer *c, int depth)
{
  const vk_pack_problem *p = c->problem;
  for (uint32_t i = 0; i < c->task->n_region; i++) {
    const vk_pack_region *region = &c->pack->region[c->task->region + i];
    const char *name = vk_pack_text(c->pack, region->name);
    if (!region->has_range || !strstr(name, vk_pack_text(c->pack, p->arena_name)))
      continue;
    const double *r = region->range, *offset = p->zone_offset_m;
    double pos[3] = {(r[2] + r[0]) / 2 + offset[0], (r[3] + r[1]) / 2 + offset[1], offset[2]};
    double size[3] = {(r[2] - r[0]) / 2, (r[3] - r[1]) / 2, p->zone_half_height_m};
    put_indent(c->out, depth);
    fprintf(c->out, "<site name=\"%s\" type=\"box\" pos=\"", name);
    put_numbers(c->out, pos, 3);
    fputs("\" quat=\"1 0 0 0\" size=\"", c->out);
    put_numbers(c->out, size, 3);
    fputs("\" rgba=\"0 0 1 0\"/>\n", c->out);
  }
}

static vk_status put_children(composer *c, const vk_pack_elem *elem, int depth);

static vk_status put_elem(composer *c, const vk_pack_elem *elem, int depth)
{
  const char *tag = vk_mjcf_tag_name[elem->tag];
  put_indent(c->out, depth);
  fprintf(c->out, "<%s", tag);
  for (uint32_t i = 0; i < elem->n_attr; i++) {
    const vk_pack_attr *attr = &c->pack->attr[elem->attr + i];
    put_attr(c, attr);
    if (attr->key == VK_MJCF_KEY_MESH)
      VK_TRY(note_mesh(c, vk_pack_text(c->pack, attr->value)));
  }
  const char *zone_body = vk_pack_text(c->pack, c->problem->zone_body);
  bool has_zones = elem->tag == VK_MJCF_TAG_BODY && !c->zone_placed && zone_body[0] &&
                   !c->prefix[0] && strcmp(elem_name(c, elem), zone_body) == 0;
  if (elem->first_child == VK_PACK_NONE && !has_zones) {
    fputs("/>\n", c->out);
    return VK_OK;
  }
  fputs(">\n", c->out);
  VK_TRY(put_children(c, elem, depth + 1));
  if (has_zones) {
    put_zones(c, depth + 1);
    c->zone_placed = true;
  }
  put_indent(c->out, depth);
  fprintf(c->out, "</%s>\n", tag);
  return VK_OK;
}

static vk_status put_children(composer *c, const vk_pack_elem *elem, int depth)
{
  for (uint32_t i = elem->first_child; i != VK_PACK_NONE; i = c->pack->elem[i].next_sibling)
    VK_TRY(put_elem(c, &c->pack->elem[i], depth));
  return VK_OK;
}

static vk_status put_instances(composer *c, uint32_t first, uint32_t n)
{
  for (uint32_t i = 0; i < n; i++) {
    const vk_pack_instance *instance = &c->pack->instance[first + i];
    c->prefix = vk_pack_text(c->pack, instance->name);
    VK_TRY(put_elem(c, &c->pack->elem[c->pack->class_[instance->class_index].body], 2));
  }
  c->prefix = "";
  return VK_OK;
}

static vk_status put_world(composer *c)
{
  const vk_pack_problem *p = c->problem;
  VK_TRY(put_children(c, &c->pack->elem[p->world], 2));
  const char *zone_body = vk_pack_text(c->pack, p->zone_body);
  if (!zone_body[0])
    put_zones(c, 2);
  else if (!c->zone_placed)
    return vk_fail(c->err, VK_E_FORMAT, "%s: the arena of %s has no body \"%s\" for its regions",
                   c->pack->path, vk_pack_text(c->pack, p->name), zone_body);
  VK_TRY(put_elem(c, &c->pack->elem[p->robot], 2));
  VK_TRY(put_instances(c, c->task->object, c->task->n_object));
  return put_instances(c, c->task->fixture, c->task->n_fixture);
}

static void put_assets(composer *c)
{
  fputs("  <asset>\n", c->out);
  for (size_t i = 0; i < c->pack->n_mesh; i++) {
    if (!c->mesh_used[i])
      continue;
    const char *name = vk_pack_text(c->pack, c->pack->mesh[i].name);
    fprintf(c->out, "    <mesh name=\"%s\" file=\"%s.stl\"/>\n", name, name);
  }
  fputs("  </asset>\n", c->out);
}

/* The root of robosuite 1.4.0's base.xml, with buffers that fit. */
static vk_status put_model(composer *c)
{
  const vk_pack_problem *p = c->problem;
  fprintf(c->out,
          "<mujoco model=\"base\">\n"
          "  <compiler angle=\"radian\" inertiagrouprange=\"0 0\"/>\n"
          "  <option impratio=\"20\" cone=\"elliptic\" density=\"1.2\" viscosity=\"0.00002\" "
          "timestep=\"0.002\"/>\n"
          "  <size nconmax=\"%d\" njmax=\"%d\"/>\n"
          "  <visual>\n    <map znear=\"0.001\"/>\n  </visual>\n",
          VK_SCENE_N_CONTACT, VK_SCENE_N_ROW);
  fputs("  <worldbody>\n", c->out);
  VK_TRY(put_world(c));
  fputs("  </worldbody>\n", c->out);
  put_assets(c);
  fputs("  <actuator>\n", c->out);
  VK_TRY(put_children(c, &c->pack->elem[p->actuator], 2));
  fputs("  </actuator>\n", c->out);
  if (p->contact != VK_PACK_NONE && c->pack->elem[p->contact].first_child != VK_PACK_NONE) {
    fputs("  <contact>\n", c->out);
    VK_TRY(put_children(c, &c->pack->elem[p->contact], 2));
    fputs("  </contact>\n", c->out);
  }
  fputs("</mujoco>\n", c->out);
  return VK_OK;
}

vk_status vk_compose_mjcf(const vk_pack *pack, const vk_pack_task *task, char **text, vk_err *err)
{
  *text = NULL;
  char *buffer = NULL;
  size_t n = 0;
  composer c = {.pack = pack,
                .task = task,
                .problem = &pack->problem[task->problem],
                .prefix = "",
                .out = open_memstream(&buffer, &n),
                .mesh_used = calloc(pack->n_mesh + 1, sizeof(bool)),
                .err = err};
  vk_status st = VK_OK;
  if (!c.out || !c.mesh_used)
    st = vk_fail(err, VK_E_NOMEM, "no memory for the text of %s", vk_pack_text(pack, task->name));
  else
    st = put_model(&c);
  bool is_lost = c.out && (ferror(c.out) | fclose(c.out));
  free(c.mesh_used);
  if (st == VK_OK && (is_lost || !buffer)) /* glibc's fclose says nothing of a last failure */
    st = vk_fail(err, VK_E_NOMEM, "no memory for the text of %s", vk_pack_text(pack, task->name));
  if (st != VK_OK) {
    free(buffer);
    return st;
  }
  *text = buffer;
  return VK_OK;
}

vk_status vk_compose_stl(const vk_pack *pack, const vk_pack_mesh *mesh, uint8_t **bytes, size_t *n,
                         vk_err *err)
{
  /* 80 bytes of title, u32 number of triangles; each: normal 3 f32, corners 9 f32, u16. MuJoCo
   * reads no normals, so they are zero. */
  size_t n_byte = 84 + 50 * (size_t)mesh->n_triangle;
  uint8_t *out = calloc(1, n_byte);
  if (!out)
    return vk_fail(err, VK_E_NOMEM, "no memory for mesh %s (%zu bytes)",
                   vk_pack_text(pack, mesh->name), n_byte);
  memcpy(out + 80, &mesh->n_triangle, 4);
  for (size_t i = 0; i < mesh->n_triangle; i++)
    memcpy(out + 84 + 50 * i + 12, pack->f32 + mesh->first + 9 * i, 36);
  *bytes = out;
  *n = n_byte;
  return VK_OK;
}
