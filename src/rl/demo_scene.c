#include "rl/demo_scene.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/signal.h"
#include "sim/picture.h"

vk_status vk_demo_fits_scene(const vk_demo *d, const vk_scene *scene, vk_err *err)
{
  if (d->n_state != scene->n_state)
    return vk_fail(err, VK_E_SHAPE, "states have %d columns, those of task %s have %d", d->n_state,
                   scene->id, scene->n_state);
  if (d->picture_state && d->n_picture_state != vk_picture_n_state(scene))
    return vk_fail(err, VK_E_SHAPE, "picture_state has %d columns, those of task %s have %d",
                   d->n_picture_state, scene->id, vk_picture_n_state(scene));
  for (int i = 0; d->picture_state && i < d->n_obs; i++)
    VK_TRY(vk_picture_check(scene, d->picture_state + (size_t)d->n_picture_state * (size_t)i,
                            d->n_picture_state, err));
  return VK_OK;
}

/* ---- the model's text ---- */

/* The tag <body ... name="NAME_main" ...> in the text: *end is at its ">" or "/>". NULL: there is
 * none.
 */
static const char *find_body(const char *xml, const char *name, const char **end)
{
  char key[VK_PACK_NAME_MAX + 20];
  snprintf(key, sizeof key, " name=\"%s_main\"", name);
  /* From the name to its tag, so that a text is read once however many bodies it has. */
  for (const char *found = xml; (found = strstr(found, key)); found++) {
    const char *close = strchr(found, '>'), *tag = found;
    while (tag > xml && *tag != '<' && *tag != '>')
      tag--;
    if (!close || strncmp(tag, "<body", 5) != 0)
      continue;
    *end = close[-1] == '/' ? close - 1 : close;
    return tag;
  }
  return NULL;
}

/* Value of ` KEY="` within [tag, end); NULL: there is none. */
static const char *find_value(const char *tag, const char *end, const char *key)
{
  char text[20];
  snprintf(text, sizeof text, " %s=\"", key);
  const char *at = strstr(tag, text);
  return at && at < end ? at + strlen(text) : NULL;
}

/* n numbers, or what is in value where the tag has none. */
static vk_status read_numbers(const char *tag, const char *end, const char *key, double *value,
                              int n, vk_err *err)
{
  const char *at = find_value(tag, end, key);
  for (int i = 0; at && i < n; i++) {
    char *next;
    value[i] = strtod(at, &next);
    if (next == at || !isfinite(value[i]))
      return vk_fail(err, VK_E_FORMAT, "model_file: %s of %.60s is not %d numbers", key, tag, n);
    at = next;
  }
  return VK_OK;
}

vk_status vk_demo_fixtures(const vk_demo *d, const vk_scene *scene, double *pose, bool *is_known,
                           vk_err *err)
{
  const mjModel *m = scene->model;
  *is_known = d->picture_state || d->model_xml;
  if (d->picture_state) {
    memcpy(pose, d->picture_state + m->nq, sizeof *pose * 7 * (size_t)scene->n_fixture);
    return VK_OK;
  }
  for (int i = 0; i < scene->n_fixture; i++, pose += 7) {
    const vk_instance *fixture = &scene->instance[scene->n_object + i];
    const char *end, *tag = d->model_xml ? find_body(d->model_xml, fixture->name, &end) : NULL;
    memcpy(pose, m->body_pos + 3 * fixture->body, 3 * sizeof *pose);
    memcpy(pose + 3, m->body_quat + 4 * fixture->body, 4 * sizeof *pose);
    *is_known = *is_known && tag;
    if (!tag)
      continue;
    VK_TRY(read_numbers(tag, end, "pos", pose, 3, err));
    VK_TRY(read_numbers(tag, end, "quat", pose + 3, 4, err));
  }
  return VK_OK;
}

/* Copies a tag without its pos and quat. */
static void copy_tag(FILE *out, const char *tag, const char *end)
{
  while (tag < end) {
    if (strncmp(tag, " pos=\"", 6) == 0 || strncmp(tag, " quat=\"", 7) == 0) {
      tag = strchr(strchr(tag, '"') + 1, '"') + 1;
      continue;
    }
    putc(*tag++, out);
  }
}

static void put_with_fixtures(FILE *out, const char *xml, const vk_scene *scene, const double *pose)
{
  const char *at = xml;
  for (int i = 0; i < scene->n_fixture; i++, pose += 7) { /* in the order of the text */
    const char *end, *tag = find_body(xml, scene->instance[scene->n_object + i].name, &end);
    VK_ASSERT(tag && tag >= at);
    fwrite(at, 1, (size_t)(tag - at), out);
    copy_tag(out, tag, end);
    fprintf(out, " pos=\"%.17g %.17g %.17g\" quat=\"%.17g %.17g %.17g %.17g\"", pose[0], pose[1],
            pose[2], pose[3], pose[4], pose[5], pose[6]);
    at = end;
  }
  fputs(at, out);
}

vk_status vk_demo_add_model(vk_demo *d, const vk_scene *scene, vk_err *err)
{
  if (d->model_xml)
    return VK_OK;
  char *xml = NULL, *text = NULL;
  size_t n = 0;
  bool is_known;
  double *pose = malloc(sizeof *pose * 7 * ((size_t)scene->n_fixture + 1));
  FILE *out = open_memstream(&text, &n);
  vk_status st = pose && out ? VK_OK : vk_fail(err, VK_E_NOMEM, "no memory for a model's text");
  if (st == VK_OK)
    st = vk_demo_fixtures(d, scene, pose, &is_known, err);
  if (st == VK_OK)
    st = vk_compose_mjcf(scene->pack, scene->task, &xml, err);
  if (st == VK_OK)
    put_with_fixtures(out, xml, scene, pose);
  bool is_lost = out && (ferror(out) | fclose(out));
  free(xml);
  free(pose);
  if (st == VK_OK && (is_lost || !text))
    st = vk_fail(err, VK_E_NOMEM, "no memory for a model's text");
  if (st == VK_OK)
    d->model_xml = text;
  else
    free(text);
  return st;
}

/* ---- pictures ---- */

/* Whether the stove burns at qpos. */
static bool is_burning(const vk_scene *scene, const double *qpos)
{
  const vk_atom *a = &scene->atom_burner;
  if (scene->site_burner < 0 || a->n_joint == 0)
    return false;
  double q = qpos[scene->model->jnt_qposadr[a->joint[0]]];
  return a->articulation ? q >= a->articulation->threshold : false;
}

/* The row of sim/picture.h that a state stands for. */
static void row_of_state(const vk_scene *scene, const double *state, const double *fixture,
                         double *row)
{
  int nq = scene->model->nq, n_pose = 7 * scene->n_fixture;
  memcpy(row, state + 1, sizeof *row * (size_t)nq);
  memcpy(row + nq, fixture, sizeof *row * (size_t)n_pose);
  row[nq + n_pose] = is_burning(scene, state + 1);
}

vk_status vk_demo_add_picture_state(vk_demo *d, const vk_scene *scene, vk_err *err)
{
  if (d->picture_state)
    return VK_OK;
  size_t n = (size_t)vk_picture_n_state(scene);
  bool is_known;
  double *fixture = malloc(sizeof *fixture * 7 * ((size_t)scene->n_fixture + 1));
  double *all = malloc(sizeof *all * n * (size_t)d->n_obs);
  vk_status st =
      fixture && all ? VK_OK : vk_fail(err, VK_E_NOMEM, "no memory for %d observations", d->n_obs);
  if (st == VK_OK)
    st = vk_demo_fixtures(d, scene, fixture, &is_known, err);
  for (int i = 0; i < d->n_obs && st == VK_OK; i++) {
    int t = d->first_obs + i;
    if (t >= d->n_state_row)
      t = d->n_state_row - 1;
    row_of_state(scene, d->state + (size_t)t * (size_t)d->n_state, fixture, all + n * (size_t)i);
  }
  free(fixture);
  if (st != VK_OK) {
    free(all);
    return st;
  }
  d->picture_state = all;
  d->n_picture_state = (int)n;
  return VK_OK;
}

vk_status vk_demo_picture_row(const vk_demo *d, const vk_scene *scene, int t, double *row,
                              vk_err *err)
{
  if (t < 0 || t > d->n_step)
    return vk_fail(err, VK_E_RANGE, "demo_%d has the observations 0 to %d, not %d", d->number,
                   d->n_step, t);
  if (d->picture_state) {
    int i = t - d->first_obs;
    i = i < 0 ? 0 : i >= d->n_obs ? d->n_obs - 1 : i;
    memcpy(row, d->picture_state + (size_t)d->n_picture_state * (size_t)i,
           sizeof *row * (size_t)d->n_picture_state);
    return VK_OK;
  }
  bool is_known;
  double *fixture = malloc(sizeof *fixture * 7 * ((size_t)scene->n_fixture + 1));
  if (!fixture)
    return vk_fail(err, VK_E_NOMEM, "no memory for a picture's state");
  vk_status st = vk_demo_fixtures(d, scene, fixture, &is_known, err);
  if (t >= d->n_state_row)
    t = d->n_state_row - 1;
  if (st == VK_OK)
    row_of_state(scene, d->state + (size_t)t * (size_t)d->n_state, fixture, row);
  free(fixture);
  return st;
}

vk_status vk_demo_render(vk_demo *d, const vk_stage *stage, int px, vk_pool *pool, vk_isa isa,
                         vk_err *err)
{
  size_t n_byte = (size_t)px * (size_t)px * 3, n_shot = VK_DEMO_N_VIEW * (size_t)d->n_obs;
  vk_render_config config = vk_render_defaults;
  config.width = config.height = px;
  config.turn = VK_TURN_GL;
  config.isa = isa;
  vk_renderer *renderer = NULL;
  vk_shot *shot = calloc(n_shot, sizeof *shot);
  vk_status st = shot ? VK_OK : vk_fail(err, VK_E_NOMEM, "no memory for %zu pictures", n_shot);
  for (int v = 0; v < VK_DEMO_N_VIEW && st == VK_OK; v++) {
    int i_camera;
    free(d->pixel[v]);
    d->pixel[v] = malloc(n_byte * (size_t)d->n_obs);
    if (!d->pixel[v])
      st = vk_fail(err, VK_E_NOMEM, "no memory for %d pictures of %d px", d->n_obs, px);
    else
      st = vk_stage_find_camera(stage, vk_demo_camera[v], &i_camera, err);
    for (int i = 0; i < d->n_obs && st == VK_OK; i++)
      shot[v * d->n_obs + i] =
          (vk_shot){.stage = stage,
                    .state = d->picture_state + (size_t)d->n_picture_state * (size_t)i,
                    .i_camera = i_camera,
                    .pixel = d->pixel[v] + n_byte * (size_t)i};
  }
  if (st == VK_OK)
    st = vk_renderer_new(&renderer, &config, pool, err);
  /* A few pictures a thread at a time: Ctrl-C is heard between them. */
  size_t n_at_once = 8 * (size_t)vk_pool_n_thread(pool);
  for (size_t i = 0; i < n_shot && st == VK_OK; i += n_at_once) {
    size_t n = n_shot - i < n_at_once ? n_shot - i : n_at_once;
    st = vk_signal_check(err);
    if (st == VK_OK)
      st = vk_render(renderer, shot + i, (int)n, NULL, err);
  }
  vk_renderer_free(renderer);
  free(shot);
  d->px = px;
  return st;
}
