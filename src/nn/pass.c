#include "nn/pass.h"

#include <stdlib.h>
#include <string.h>

#include "core/opt.h"

const vk_pass_def *const vk_passes[] = {
#define VK_PASS(name) &vk_pass_##name,
#include "nn/pass_list.h"
#undef VK_PASS
};

int vk_pass_count(void)
{
  return (int)VK_COUNT(vk_passes);
}

vk_status vk_pass_check_name(const char *name, vk_err *err)
{
  const char *names[VK_COUNT(vk_passes) + 1] = {0};
  for (size_t i = 0; i < VK_COUNT(vk_passes); i++) {
    names[i] = vk_passes[i]->name;
    if (strcmp(name, names[i]) == 0)
      return VK_OK;
  }
  return vk_opt_fail_name(err, "pass", name, names);
}

vk_status vk_pass_check_skip(const char *const *name, int n, vk_err *err)
{
  for (int i = 0; i < n; i++) {
    VK_TRY(vk_pass_check_name(name[i], err));
    for (int k = 0; k < vk_pass_count(); k++)
      if (vk_passes[k]->is_needed && strcmp(vk_passes[k]->name, name[i]) == 0)
        return vk_fail(err, VK_E_USAGE, "--no-pass %s: this pass cannot be left out", name[i]);
    for (int k = 0; k < i; k++)
      if (strcmp(name[k], name[i]) == 0)
        return vk_fail(err, VK_E_USAGE, "--no-pass %s: the pass is named twice", name[i]);
  }
  return VK_OK;
}

static bool is_skipped(const vk_target *target, const char *name)
{
  for (int i = 0; i < target->n_skip; i++)
    if (strcmp(target->skip[i], name) == 0)
      return true;
  return false;
}

vk_status vk_pass_run_all(vk_graph *out, const vk_graph *in, const vk_target *target,
                          vk_pass_watch *watch, void *arg, vk_err *err)
{
  vk_graph now = {.name = ""};
  vk_status st = vk_graph_verify(in, err);
  for (int i = 0; i < target->n_skip && st == VK_OK; i++)
    st = vk_pass_check_name(target->skip[i], err);
  if (st == VK_OK && target->is_train && !target->loss)
    st = vk_fail(err, VK_E_NOTFOUND, "%s: training needs the name of an output as its loss",
                 in->name);
  const vk_graph *from = in;
  for (size_t i = 0; i < VK_COUNT(vk_passes) && st == VK_OK; i++) {
    if (!vk_passes[i]->is_needed && is_skipped(target, vk_passes[i]->name))
      continue;
    vk_graph next = {.name = ""};
    st = vk_passes[i]->run(&next, from, target, err);
    if (st == VK_OK)
      st = vk_graph_verify(&next, err);
    if (st != VK_OK)
      vk_err_prefix(err, "pass %s", vk_passes[i]->name);
    else if (watch)
      watch(arg, vk_passes[i], &next);
    vk_graph_fini(&now);
    now = next;
    from = &now;
  }
  vk_graph_fini(out);
  *out = now;
  return st;
}

vk_id *vk_pass_begin(vk_graph *out, const vk_graph *in)
{
  vk_graph_copy_frame(out, in);
  vk_id *map = malloc(sizeof *map * (size_t)(in->n_value + 1));
  if (!map)
    return NULL;
  for (vk_id v = 0; v < in->n_value; v++)
    map[v] = in->value[v].kind == VK_RESULT ? VK_NONE : vk_graph_copy_value(out, in, v);
  return map;
}

vk_status vk_pass_end(vk_graph *out, const vk_graph *in, vk_id *map, vk_err *err)
{
  if (!map)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for a pass", in->name);
  for (int i = 0; i < in->n_output && out->status == VK_OK; i++) {
    const vk_output *o = &in->output[i];
    if (o->is_external)
      vk_graph_output_external(out, o->name, map[o->value]);
    else
      vk_graph_output(out, o->name, map[o->value]);
  }
  free(map);
  return vk_graph_check(out, err);
}

vk_status vk_pass_copy(vk_graph *out, const vk_graph *in, vk_err *err)
{
  vk_id *map = vk_pass_begin(out, in);
  for (int i = 0; map && i < in->n_node; i++)
    vk_graph_copy_node(out, in, i, map);
  return vk_pass_end(out, in, map, err);
}

int *vk_pass_count_uses(const vk_graph *in)
{
  int *n_use = calloc((size_t)in->n_value + 1, sizeof *n_use);
  if (!n_use)
    return NULL;
  for (int i = 0; i < in->n_node; i++)
    for (int k = 0; k < in->node[i].n_in; k++)
      if (in->node[i].in[k] != VK_NONE)
        n_use[in->node[i].in[k]]++;
  for (int i = 0; i < in->n_output; i++)
    n_use[in->output[i].value]++;
  return n_use;
}
