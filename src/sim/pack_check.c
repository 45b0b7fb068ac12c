#include "sim/pack_check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/mjcf.h"

#define BAD(...) return vk_fail(err, VK_E_FORMAT, __VA_ARGS__)

bool vk_pack_is_name(const char *text)
{
  size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
  return n >= 1 && n <= VK_PACK_NAME_MAX && text[n] == '\0';
}

static bool in_section(uint64_t first, uint64_t n, size_t n_item)
{
  return first <= n_item && n <= n_item - first;
}

static vk_status check_name(const vk_pack *p, uint32_t at, const char *what, size_t i, vk_err *err)
{
  if (at >= p->n_str)
    BAD("%s %zu: its name lies at %u, after the end of the text", what, i, at);
  if (!vk_pack_is_name(p->str + at))
    BAD("%s %zu: its name is not 1 to %d letters, digits and \"_.-\"", what, i, VK_PACK_NAME_MAX);
  return VK_OK;
}

static vk_status check_text(const vk_pack *p, uint32_t at, const char *what, size_t i, vk_err *err)
{
  if (at >= p->n_str)
    BAD("%s %zu: a text lies at %u, after the end of the text", what, i, at);
  return VK_OK;
}

static vk_status check_range(uint64_t first, uint64_t n, size_t n_item, const char *section,
                             const char *what, size_t i, vk_err *err)
{
  if (!in_section(first, n, n_item))
    BAD("%s %zu: items %llu to %llu of section %s, which has %zu", what, i,
        (unsigned long long)first, (unsigned long long)(first + n), section, n_item);
  return VK_OK;
}

static vk_status check_finite(const double *v, size_t n, const char *what, size_t i, vk_err *err)
{
  for (size_t k = 0; k < n; k++)
    if (!isfinite(v[k]))
      BAD("%s %zu: number %zu is not finite", what, i, k);
  return VK_OK;
}

static vk_status check_numbers(const vk_pack *p, vk_err *err)
{
  if (p->n_str == 0 || p->str[0] != '\0' || p->str[p->n_str - 1] != '\0')
    BAD("section str must begin and end with a zero byte");
  for (size_t i = 0; i < p->n_str; i++)
    if (p->str[i] != '\0' && (p->str[i] < 0x20 || p->str[i] > 0x7e))
      BAD("section str: byte %zu is not printable ASCII", i);
  for (size_t i = 0; i < p->n_num; i++)
    if (!isfinite(p->num[i]))
      BAD("section num: number %zu is not finite", i);
  for (size_t i = 0; i < p->n_f32; i++)
    if (!isfinite(p->f32[i]))
      BAD("section f32: number %zu is not finite", i);
  return VK_OK;
}

static vk_status check_attrs(const vk_pack *p, vk_err *err)
{
  for (size_t i = 0; i < p->n_attr; i++) {
    const vk_pack_attr *a = &p->attr[i];
    if (a->key >= VK_MJCF_KEY_N)
      BAD("attribute %zu: unknown key %u", i, a->key);
    bool text = vk_mjcf_key_text[a->key] != 0;
    if (text != (a->n == 0) || a->n > VK_PACK_NUMBER_MAX)
      BAD("attribute %zu (%s): %u numbers", i, vk_mjcf_key_name[a->key], a->n);
    if (text)
      VK_TRY(check_name(p, a->value, "attribute", i, err));
    else
      VK_TRY(check_range(a->value, a->n, p->n_num, "num", "attribute", i, err));
  }
  return VK_OK;
}

/* Marks item i as reached from an item of the given depth. */
static vk_status reach(const vk_pack *p, unsigned char *depth, uint32_t i, unsigned at, vk_err *err)
{
  if (i >= p->n_elem)
    BAD("element %u is referred to, but there are %zu", i, p->n_elem);
  if (depth[i] != 0)
    BAD("element %u is reached twice", i);
  if (at > VK_PACK_DEPTH_MAX)
    BAD("element %u lies deeper than %d", i, VK_PACK_DEPTH_MAX);
  depth[i] = (unsigned char)at;
  return VK_OK;
}

/* The roots of trees are marked with depth 1 before; indices only grow, so one pass sees every
 * parent before its children. */
static vk_status check_elems(const vk_pack *p, unsigned char *depth, vk_err *err)
{
  for (size_t i = 0; i < p->n_elem; i++) {
    const vk_pack_elem *e = &p->elem[i];
    if (e->tag >= VK_MJCF_TAG_N)
      BAD("element %zu: unknown tag %u", i, e->tag);
    if (depth[i] == 0)
      BAD("element %zu (%s) belongs to no tree", i, vk_mjcf_tag_name[e->tag]);
    VK_TRY(check_range(e->attr, e->n_attr, p->n_attr, "attr", "element", i, err));
    if (e->first_child != VK_PACK_NONE) {
      if (e->first_child <= i)
        BAD("element %zu: its child %u comes before it", i, e->first_child);
      if (e->tag != VK_MJCF_TAG_ROOT && e->tag != VK_MJCF_TAG_BODY)
        BAD("element %zu (%s) has a child", i, vk_mjcf_tag_name[e->tag]);
      VK_TRY(reach(p, depth, e->first_child, depth[i] + 1u, err));
    }
    if (e->next_sibling != VK_PACK_NONE) {
      if (e->next_sibling <= i || depth[i] == 1)
        BAD("element %zu: sibling %u of a root, or before it", i, e->next_sibling);
      VK_TRY(reach(p, depth, e->next_sibling, depth[i], err));
    }
    if (depth[i] > 1 && e->tag == VK_MJCF_TAG_ROOT)
      BAD("element %zu: a root inside a tree", i);
  }
  return VK_OK;
}

static vk_status check_root(const vk_pack *p, unsigned char *depth, uint32_t i, int tag,
                            const char *what, size_t i_owner, vk_err *err)
{
  VK_TRY(reach(p, depth, i, 1, err));
  if (p->elem[i].tag != tag)
    BAD("%s %zu: its tree at element %u has the wrong tag %u", what, i_owner, i, p->elem[i].tag);
  return VK_OK;
}

static vk_status check_meshes(const vk_pack *p, vk_err *err)
{
  for (size_t i = 0; i < p->n_hull_frame; i++) {
    const vk_pack_hull_frame *f = &p->hull_frame[i];
    VK_TRY(check_finite(f->pos_m, 3, "hull frame", i, err));
    VK_TRY(check_finite(f->quat, 4, "hull frame", i, err));
    VK_TRY(check_finite(f->half_size_m, 3, "hull frame", i, err));
    VK_TRY(check_finite(&f->radius_m, 1, "hull frame", i, err));
    if (f->half_size_m[0] < 0 || f->half_size_m[1] < 0 || f->half_size_m[2] < 0 || f->radius_m < 0)
      BAD("hull frame %zu: a negative size", i);
  }
  for (size_t i = 0; i < p->n_mesh; i++) {
    const vk_pack_mesh *m = &p->mesh[i];
    VK_TRY(check_name(p, m->name, "mesh", i, err));
    if (m->n_triangle < 1)
      BAD("mesh %zu: no triangles", i);
    VK_TRY(check_range(m->first, 9ull * m->n_triangle, p->n_f32, "f32", "mesh", i, err));
    if (m->hull_frame == VK_PACK_NONE)
      continue;
    if (m->hull_frame >= p->n_hull_frame)
      BAD("mesh %zu: hull frame %u of %zu", i, m->hull_frame, p->n_hull_frame);
    VK_TRY(check_range(p->hull_frame[m->hull_frame].first, 9ull * m->n_triangle, p->n_f32, "f32",
                       "hull frame of mesh", i, err));
  }
  return VK_OK;
}

static vk_status check_class(const vk_pack *p, size_t i, unsigned char *depth, vk_err *err)
{
  const vk_pack_class *c = &p->class_[i];
  VK_TRY(check_name(p, c->name, "class", i, err));
  if (c->kind > VK_CLASS_FIXTURE || c->n_rotation > VK_PACK_ROTATION_MAX ||
      c->n_articulation > VK_PACK_ARTICULATION_MAX || c->is_rotation_product > 1)
    BAD("class %zu: a count or kind out of range", i);
  for (uint32_t k = 0; k < c->n_rotation; k++) {
    const vk_pack_rotation *r = &c->rotation[k];
    if (r->axis > VK_AXIS_Z || !isfinite(r->lo_rad) || !isfinite(r->hi_rad))
      BAD("class %zu: rotation %u out of range", i, k);
  }
  for (uint32_t k = 0; k < c->n_articulation; k++) {
    const vk_pack_articulation *a = &c->articulation[k];
    const double v[3] = {a->threshold, a->draw_lo, a->draw_hi};
    if (a->atom < VK_ATOM_OPEN || a->atom >= VK_ATOM_N || a->cmp > VK_CMP_GE || a->every > 1)
      BAD("class %zu: articulation %u out of range", i, k);
    VK_TRY(check_finite(v, 3, "class", i, err));
  }
  const double size[4] = {c->radius_m, c->bottom_m, c->top_m, c->radius_y_m};
  VK_TRY(check_finite(size, 4, "class", i, err));
  return check_root(p, depth, c->body, VK_MJCF_TAG_BODY, "class", i, err);
}

static vk_status check_problem(const vk_pack *p, size_t i, unsigned char *depth, vk_err *err)
{
  const vk_pack_problem *q = &p->problem[i];
  VK_TRY(check_name(p, q->name, "problem", i, err));
  VK_TRY(check_name(p, q->arena_name, "problem", i, err));
  VK_TRY(check_text(p, q->zone_body, "problem", i, err));
  if (p->str[q->zone_body] != '\0')
    VK_TRY(check_name(p, q->zone_body, "problem", i, err));
  if (q->shrink > 1)
    BAD("problem %zu: shrink is %u", i, q->shrink);
  VK_TRY(check_finite(q->workspace_offset_m, 3, "problem", i, err));
  VK_TRY(check_finite(q->zone_offset_m, 3, "problem", i, err));
  const double v[3] = {q->fixture_z_offset_m, q->object_z_offset_m, q->zone_half_height_m};
  VK_TRY(check_finite(v, 3, "problem", i, err));
  VK_TRY(check_root(p, depth, q->world, VK_MJCF_TAG_ROOT, "problem", i, err));
  VK_TRY(check_root(p, depth, q->robot, VK_MJCF_TAG_BODY, "problem", i, err));
  VK_TRY(check_root(p, depth, q->actuator, VK_MJCF_TAG_ROOT, "problem", i, err));
  if (q->contact != VK_PACK_NONE)
    VK_TRY(check_root(p, depth, q->contact, VK_MJCF_TAG_ROOT, "problem", i, err));
  return VK_OK;
}

static vk_status check_trees(const vk_pack *p, vk_err *err)
{
  unsigned char *depth = calloc(p->n_elem + 1, 1);
  if (!depth)
    return vk_fail(err, VK_E_NOMEM, "no memory to check a scene pack");
  vk_status st = VK_OK;
  for (size_t i = 0; i < p->n_class_; i++)
    VK_TRY_DONE(check_class(p, i, depth, err));
  for (size_t i = 0; i < p->n_problem; i++)
    VK_TRY_DONE(check_problem(p, i, depth, err));
  st = check_elems(p, depth, err);
done:
  free(depth);
  return st;
}

static vk_status check_items(const vk_pack *p, vk_err *err)
{
  for (size_t i = 0; i < p->n_instance; i++) {
    VK_TRY(check_name(p, p->instance[i].name, "instance", i, err));
    if (p->instance[i].class_index >= p->n_class_)
      BAD("instance %zu: class %u of %zu", i, p->instance[i].class_index, p->n_class_);
  }
  for (size_t i = 0; i < p->n_region; i++) {
    const vk_pack_region *r = &p->region[i];
    VK_TRY(check_name(p, r->name, "region", i, err));
    VK_TRY(check_name(p, r->target, "region", i, err));
    if (r->has_range > 1 || r->has_yaw > 1)
      BAD("region %zu: a flag out of range", i);
    VK_TRY(check_finite(r->range, 4, "region", i, err));
    VK_TRY(check_finite(r->yaw_rad, 2, "region", i, err));
  }
  for (size_t i = 0; i < p->n_atom; i++) {
    const vk_pack_atom *a = &p->atom[i];
    if (a->kind >= VK_ATOM_N)
      BAD("atom %zu: unknown kind %u", i, a->kind);
    VK_TRY(check_name(p, a->a, "atom", i, err));
    VK_TRY(check_text(p, a->b, "atom", i, err));
    bool has_two = a->kind == VK_ATOM_ON || a->kind == VK_ATOM_IN;
    if (has_two != (p->str[a->b] != '\0') || (has_two && !vk_pack_is_name(p->str + a->b)))
      BAD("atom %zu: the wrong number of arguments", i);
  }
  for (size_t i = 0; i < p->n_word; i++)
    VK_TRY(check_name(p, p->word[i], "word", i, err));
  return VK_OK;
}

static vk_status check_instances(const vk_pack *p, const vk_pack_task *t, size_t i, vk_err *err)
{
  const uint32_t first[2] = {t->object, t->fixture}, n[2] = {t->n_object, t->n_fixture};
  if (n[0] > 1000 || n[1] > 1000) /* names are compared pair by pair */
    BAD("task %zu: %u objects and %u fixtures", i, n[0], n[1]);
  for (int kind = 0; kind < 2; kind++)
    for (uint32_t k = 0; k < n[kind]; k++) {
      const vk_pack_instance *a = &p->instance[first[kind] + k];
      if (p->class_[a->class_index].kind != (uint32_t)kind)
        BAD("task %zu: instance %s is of the wrong kind", i, vk_pack_text(p, a->name));
      for (int kind_b = 0; kind_b <= kind; kind_b++)
        for (uint32_t l = 0; l < (kind_b == kind ? k : n[kind_b]); l++)
          if (strcmp(p->str + p->instance[first[kind_b] + l].name, p->str + a->name) == 0)
            BAD("task %zu: two instances %s", i, vk_pack_text(p, a->name));
    }
  return VK_OK;
}

static vk_status check_task(const vk_pack *p, size_t i, vk_err *err)
{
  const vk_pack_task *t = &p->task[i];
  VK_TRY(check_name(p, t->name, "task", i, err));
  VK_TRY(check_text(p, t->language, "task", i, err));
  VK_TRY(check_text(p, t->bddl_language, "task", i, err));
  if (t->suite >= p->n_suite || t->index != i - p->suite[t->suite].task)
    BAD("task %zu: number %u of suite %u", i, t->index, t->suite);
  if (t->problem >= p->n_problem)
    BAD("task %zu: problem %u of %zu", i, t->problem, p->n_problem);
  VK_TRY(check_range(t->object, t->n_object, p->n_instance, "instance", "task", i, err));
  VK_TRY(check_range(t->fixture, t->n_fixture, p->n_instance, "instance", "task", i, err));
  VK_TRY(check_range(t->region, t->n_region, p->n_region, "region", "task", i, err));
  VK_TRY(check_range(t->init, t->n_init, p->n_atom, "atom", "task", i, err));
  VK_TRY(check_range(t->goal, t->n_goal, p->n_atom, "atom", "task", i, err));
  VK_TRY(check_range(t->interest, t->n_interest, p->n_word, "word", "task", i, err));
  if (t->n_state < 1 || t->n_stored >= t->n_state || t->n_state > 1000000)
    BAD("task %zu: %u of %u numbers stored a row", i, t->n_stored, t->n_state);
  VK_TRY(check_range(t->row, (uint64_t)t->n_row * t->n_stored, p->n_num, "num", "task", i, err));
  if (t->n_goal < 1)
    BAD("task %zu has no goal", i);
  return check_instances(p, t, i, err);
}

vk_status vk_pack_check(const vk_pack *pack, vk_err *err)
{
  const vk_pack *p = pack;
  VK_TRY(check_numbers(p, err));
  VK_TRY(check_attrs(p, err));
  VK_TRY(check_meshes(p, err));
  VK_TRY(check_trees(p, err));
  VK_TRY(check_items(p, err));
  size_t n_task = 0;
  for (size_t i = 0; i < p->n_suite; i++) {
    VK_TRY(check_name(p, p->suite[i].name, "suite", i, err));
    if (p->suite[i].task != n_task)
      BAD("suite %zu: begins with task %u, expected %zu", i, p->suite[i].task, n_task);
    n_task += p->suite[i].n_task;
  }
  if (n_task != p->n_task)
    BAD("the suites hold %zu tasks, the pack %zu", n_task, p->n_task);
  for (size_t i = 0; i < p->n_task; i++)
    VK_TRY(check_task(p, i, err));
  return VK_OK;
}
