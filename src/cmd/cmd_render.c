/* cmd_render.c - vlakit render --task T --out FILE.png: pictures of tasks. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/cmd.h"
#include "core/canvas.h"
#include "core/image.h"
#include "core/json.h"
#include "core/npy.h"
#include "core/signal.h"
#include "core/sys.h"
#include "rl/demo_convert.h"
#include "rl/start.h"
#include "sim/model_cache.h"
#include "sim/render.h"
#include "sim/visuals_choose.h"

enum { VIEWS_MAX = 2, ROWS_MAX = 1000, BATCH = 16 /* pictures between looks at Ctrl-C */ };
static const char *const both_views[VIEWS_MAX] = {"agentview", "robot0_eye_in_hand"};

typedef struct render_args {
  const char *task, *rows, *state, *demo, *camera, *visuals, *protocol, *out;
  int64_t row, size, n_sample, n_wait, i_demo, i_step;
  bool has_row, has_wait;
} render_args;

static const render_args defaults = {
    .camera = "agentview", .protocol = "oft", .size = 256, .n_sample = 4};
static const vk_opt opts[] = {
    VK_OPT_STR(render_args, "task", task, "TASK", "task to show: SUITE/INDEX or its name"),
    VK_OPT_I64_GIVEN(render_args, "row", row, has_row, 0, INT_MAX, "K", NULL,
                     "init row of the task (default: 0)"),
    VK_OPT_STR(render_args, "rows", rows, "A-B",
               "numbers of init rows: a contact sheet of rows A to B"),
    VK_OPT_STR(render_args, "state", state, "FILE",
               "state to show, .npy: [time, qpos, qvel], or a picture state"),
    VK_OPT_STR(render_args, "demo", demo, "FILE",
               "demonstrations (.npz, .hdf5) of which to show one"),
    VK_OPT_I64(render_args, "demo-index", i_demo, 0, INT_MAX, "N", NULL, "which: demo_N"),
    VK_OPT_I64(render_args, "step", i_step, 0, INT_MAX, "N", NULL,
               "what was observed before its step N"),
    VK_OPT_STR(render_args, "camera", camera, "agentview|wrist|both|CAMERA",
               "camera of the scene; wrist is robot0_eye_in_hand, both draws the two side by side"),
    VK_OPT_I64(render_args, "size", size, VK_RENDER_SIDE_MIN, VK_RENDER_SIDE_MAX, "N", "pixels",
               "side of a square picture"),
    VK_OPT_I64(render_args, "samples", n_sample, 1, 4, "1|4", NULL,
               "samples a pixel: 4 smooths edges as the benchmark's pictures"),
    VK_OPT_I64_GIVEN(render_args, "wait", n_wait, has_wait, 0, 1000, "N", "steps",
                     "waiting steps after the init row (default: the protocol's)"),
    VK_OPT_STR(render_args, "visuals", visuals, "stand-in|original|FILE",
               "what things look like (default: original when imported, else stand-in)"),
    VK_OPT_STR(render_args, "protocol", protocol, "PROTOCOL",
               "evaluation protocol that gives seed and waiting steps"),
    VK_OPT_STR(render_args, "out", out, "FILE", "picture to write, .png"),
    VK_OPT_END,
};

/* What is drawn: n_picture picture states of one task, each from n_view cameras. */
typedef struct job {
  const render_args *args;
  const vk_protocol *protocol;
  uint32_t seed;
  vk_isa isa;
  vk_pool *pool;
  vk_pack pack;
  vk_visuals visuals;
  vk_scene *scene;
  vk_stage *stage;
  vk_demo demo; /* of --demo */
  int first_row, n_picture, n_view;
  int camera[VIEWS_MAX];
  double *state;     /* [n_picture, vk_picture_n_state] */
  vk_env **env;      /* [n_thread] */
  vk_status *status; /* [n_picture] */
  vk_err *error;
  uint8_t *pixel;
  int width, height; /* of the whole sheet, pixels */
  double ms;         /* of rendering one picture */
} job;

/* ---- what is shown ---- */

static vk_status parse_rows(job *j, vk_err *err)
{
  const render_args *a = j->args;
  j->first_row = (int)a->row;
  j->n_picture = 1;
  if (!a->rows)
    return VK_OK;
  long first, last;
  char *end = NULL;
  errno = 0;
  first = strtol(a->rows, &end, 10);
  bool is_range = end > a->rows && *end == '-' && end[1] >= '0' && end[1] <= '9';
  last = is_range ? strtol(end + 1, &end, 10) : 0;
  if (!is_range || *end != '\0' || errno != 0 || first < 0 || last < first || last > INT_MAX ||
      last - first >= ROWS_MAX)
    return vk_fail(err, VK_E_USAGE,
                   "--rows %s: expected two rows of the task such as 0-49, at most %d of them",
                   a->rows, ROWS_MAX);
  j->first_row = (int)first;
  j->n_picture = (int)(last - first) + 1;
  return VK_OK;
}

static vk_status check_args(const render_args *a, vk_err *err)
{
  if (!a->task && !a->demo)
    return vk_fail(err, VK_E_USAGE, "--task is missing: `vlakit tasks` lists them");
  if (!a->out)
    return vk_fail(err, VK_E_USAGE, "--out FILE.png is missing");
  size_t n = strlen(a->out);
  if (strncmp(a->out, "/dev/", 5) != 0 && (n < 4 || strcasecmp(a->out + n - 4, ".png") != 0))
    return vk_fail(err, VK_E_USAGE, "--out %s: pictures are written as .png, give such a name",
                   a->out);
  if (a->n_sample != 1 && a->n_sample != 4)
    return vk_fail(err, VK_E_USAGE, "--samples %d: expected 1 or 4", (int)a->n_sample);
  if (a->has_row + (a->rows != NULL) + (a->state != NULL) + (a->demo != NULL) > 1)
    return vk_fail(err, VK_E_USAGE, "give one of --row, --rows, --state and --demo");
  if ((a->state || a->demo) && a->has_wait)
    return vk_fail(err, VK_E_USAGE, "--wait is for init rows: a state is shown as it is");
  if (!a->demo && (a->i_demo || a->i_step))
    return vk_fail(err, VK_E_USAGE, "--demo-index and --step are for --demo FILE");
  return VK_OK;
}

/* The picture state of init row i of the sheet after the waiting steps. */
static vk_status make_row(job *j, int i, int i_thread, vk_err *err)
{
  VK_TRY(vk_signal_check(err));
  if (!j->env[i_thread]) {
    VK_TRY(vk_env_new(&j->env[i_thread], j->scene, err));
    vk_env_set_isa(j->env[i_thread], j->isa);
  }
  vk_env *env = j->env[i_thread];
  const vk_start start = {.row = j->first_row + i, .seed = j->seed, .protocol = j->protocol};
  VK_TRY(vk_start_env(env, &start, err));
  int n_wait = j->args->has_wait ? (int)j->args->n_wait : j->protocol->n_dummy;
  for (int t = 0; t < n_wait; t++)
    VK_TRY(vk_env_step(env, j->protocol->dummy, NULL, err));
  int n = vk_picture_n_state(j->scene);
  memcpy(j->state + (size_t)i * (size_t)n, vk_env_picture_state(env), sizeof(double) * (size_t)n);
  return VK_OK;
}

static void run_row(void *arg, int i, int i_thread)
{
  job *j = arg;
  j->status[i] = make_row(j, i, i_thread, &j->error[i]);
}

static vk_status make_rows(job *j, vk_err *err)
{
  vk_pool_run(j->pool, run_row, j, j->n_picture);
  for (int i = 0; i < j->n_picture; i++)
    if (j->status[i] != VK_OK) {
      *err = j->error[i];
      return j->status[i];
    }
  return VK_OK;
}

/* A state of the simulator says nothing of the fixtures: they stand where reset 0 puts them. */
static vk_status take_state(job *j, const double *value, int n, vk_err *err)
{
  int n_picture_state = vk_picture_n_state(j->scene);
  if (n == n_picture_state) {
    VK_TRY(vk_picture_check(j->scene, value, n, err));
    memcpy(j->state, value, sizeof *value * (size_t)n);
    return VK_OK;
  }
  if (n != j->scene->n_state)
    return vk_fail(err, VK_E_SHAPE,
                   "%s holds %d numbers, task %s has states of %d ([time, qpos, qvel]) and picture "
                   "states of %d",
                   j->args->state, n, j->scene->id, j->scene->n_state, n_picture_state);
  VK_TRY(vk_env_new(&j->env[0], j->scene, err));
  vk_env_seed(j->env[0], j->seed);
  VK_TRY(vk_env_reset(j->env[0], err));
  VK_TRY(vk_env_set_state(j->env[0], value, n, err));
  memcpy(j->state, vk_env_picture_state(j->env[0]), sizeof *value * (size_t)n_picture_state);
  return VK_OK;
}

static vk_status read_state(job *j, vk_err *err)
{
  vk_array array;
  VK_TRY(vk_npy_read(&array, j->args->state, 1 << 20, err));
  vk_status st = VK_OK;
  char shape[VK_NPY_SHAPE_SIZE];
  if (array.kind != 'f' || array.item_size != 8 || array.n_dim != 1)
    st = vk_fail(err, VK_E_FORMAT, "%s: %c%d of shape %s, expected f8 of one dimension",
                 j->args->state, array.kind, array.item_size, vk_array_shape_text(&array, shape));
  else
    st = take_state(j, array.data, (int)array.n_item, err);
  vk_array_free(&array);
  return st;
}

/* The file with the demonstration that is shown, and its task. */
static vk_status open_demo(job *j, uint32_t *i_task, vk_err *err)
{
  vk_demo_file *file;
  const render_args *a = j->args;
  VK_TRY(vk_demo_open(&file, a->demo, err));
  vk_status st = vk_demo_task_of_file(file, a->demo, a->task, &j->pack, i_task, err);
  int n = vk_demo_count(file), i = 0;
  while (i < n && vk_demo_number(file, i) != a->i_demo)
    i++;
  if (st == VK_OK && i == n)
    st = vk_fail(err, VK_E_USAGE, "--demo-index: %s has no demo_%d, the last of %d is demo_%d",
                 a->demo, (int)a->i_demo, n, vk_demo_number(file, n - 1));
  if (st == VK_OK)
    st = vk_demo_read(file, i, false, &j->demo, err);
  vk_demo_close(file);
  return st;
}

static vk_status take_demo(job *j, vk_err *err)
{
  VK_TRY(vk_demo_fits_scene(&j->demo, j->scene, err));
  if (!j->demo.picture_state && j->demo.is_origin_known) { /* HDF5: the episode once more */
    vk_demo again;
    VK_TRY(vk_env_new(&j->env[0], j->scene, err));
    VK_TRY(vk_demo_repeat(&again, &j->demo, j->env[0], err));
    vk_demo_free(&j->demo);
    j->demo = again;
  }
  if (j->args->i_step > j->demo.n_step)
    return vk_fail(err, VK_E_USAGE, "--step %d: demo_%d of %s has the observations 0 to %d",
                   (int)j->args->i_step, j->demo.number, j->args->demo, j->demo.n_step);
  return vk_demo_picture_row(&j->demo, j->scene, (int)j->args->i_step, j->state, err);
}

/* ---- the sheet ---- */

/* Columns of a sheet of n pictures: about 8 to 5, more where that leaves fewer places empty. */
static int n_column(int n, int n_view)
{
  int first = (int)ceil(sqrt(1.6 * n / n_view)), best = first < n ? first : n;
  for (int c = best; c <= n && c <= first + first / 2; c++)
    if ((c - n % c) % c < (best - n % best) % best)
      best = c;
  return best;
}

/* Writes the row into the corner of each picture of a sheet. */
static void number_rows(job *j, int columns)
{
  vk_image sheet = {.width = j->width, .height = j->height, .n_channel = 3, .pixel = j->pixel};
  const vk_font *font = &vk_fonts[0];
  for (int i = 0; i < j->n_picture; i++) {
    char text[16];
    int n = snprintf(text, sizeof text, "%d", j->first_row + i);
    int x = i % columns * j->n_view * (int)j->args->size, y = i / columns * (int)j->args->size;
    vk_canvas_fill(&sheet, x, y, vk_canvas_text_width(font, text, (size_t)n) + 6, font->height_px,
                   (vk_colour){0, 0, 0});
    vk_canvas_text(&sheet, x + 3, y, font, (vk_colour){255, 255, 255}, text, (size_t)n);
  }
}

static vk_status draw(job *j, vk_err *err)
{
  int size = (int)j->args->size, n_shot = j->n_picture * j->n_view;
  int columns = n_column(j->n_picture, j->n_view), rows = (j->n_picture + columns - 1) / columns;
  j->width = columns * j->n_view * size;
  j->height = rows * size;
  if ((int64_t)j->width * j->height * 3 > VK_IMAGE_BYTES_MAX || j->width > VK_IMAGE_SIDE_MAX ||
      j->height > VK_IMAGE_SIDE_MAX)
    return vk_fail(err, VK_E_USAGE, "a sheet of %d x %d pixels is too large: give a smaller --size",
                   j->width, j->height);
  size_t row_bytes = 3 * (size_t)j->width;
  int n_state = vk_picture_n_state(j->scene);
  vk_renderer *renderer = NULL;
  vk_shot *shot = calloc((size_t)n_shot, sizeof *shot);
  j->pixel = calloc((size_t)j->height, row_bytes);
  vk_status st = VK_OK;
  if (!shot || !j->pixel) {
    st = vk_fail(err, VK_E_NOMEM, "no memory for a sheet of %d x %d pixels", j->width, j->height);
    goto done;
  }
  for (int i = 0; i < n_shot; i++) {
    int i_picture = i / j->n_view, i_view = i % j->n_view;
    size_t x = (size_t)(i_picture % columns * j->n_view + i_view) * (size_t)size;
    size_t y = (size_t)(i_picture / columns) * (size_t)size;
    shot[i] = (vk_shot){.stage = j->stage,
                        .state = j->state + (size_t)i_picture * (size_t)n_state,
                        .i_camera = j->camera[i_view],
                        .pixel = j->pixel + y * row_bytes + 3 * x,
                        .row_bytes = row_bytes};
  }
  vk_render_config config = vk_render_defaults;
  config.width = config.height = size;
  config.n_sample = (int)j->args->n_sample;
  config.isa = j->isa;
  VK_TRY_DONE(vk_renderer_new(&renderer, &config, j->pool, err));
  double start_s = vk_sys_monotonic_s();
  for (int i = 0; i < n_shot; i += BATCH) {
    int n = n_shot - i < BATCH ? n_shot - i : BATCH;
    VK_TRY_DONE(vk_render(renderer, shot + i, n, NULL, err));
    VK_TRY_DONE(vk_signal_check(err));
  }
  j->ms = (vk_sys_monotonic_s() - start_s) * 1000 / n_shot;
  if (j->args->rows)
    number_rows(j, columns);
done:
  vk_renderer_free(renderer);
  free(shot);
  return st;
}

static vk_status find_cameras(job *j, vk_err *err)
{
  bool is_both = strcmp(j->args->camera, "both") == 0;
  j->n_view = is_both ? VIEWS_MAX : 1;
  for (int i = 0; i < j->n_view; i++) {
    const char *name = j->args->camera;
    if (is_both || strcmp(name, "wrist") == 0)
      name = both_views[is_both ? i : 1];
    VK_TRY(vk_stage_find_camera(j->stage, name, &j->camera[i], err));
  }
  return VK_OK;
}

static vk_status find_task(job *j, uint32_t *i_task, vk_err *err)
{
  uint32_t *task = calloc(j->pack.n_task + 1, sizeof *task), n = 0;
  if (!task)
    return vk_fail(err, VK_E_NOMEM, "no memory for %zu tasks", j->pack.n_task);
  vk_status st = vk_pack_find_tasks(&j->pack, j->args->task, task, &n, err);
  *i_task = task[0];
  free(task);
  VK_TRY(st);
  if (n != 1)
    return vk_fail(err, VK_E_USAGE, "--task %s names %u tasks, expected one such as %s/0",
                   j->args->task, n, vk_pack_suite_of(&j->pack, &j->pack.task[*i_task]));
  uint32_t n_row = j->pack.task[*i_task].n_row, last = (uint32_t)(j->first_row + j->n_picture - 1);
  if (!j->args->state && last >= n_row)
    return vk_fail(err, VK_E_USAGE, "--%s: task %s has init rows 0 to %u, row %u asked for",
                   j->args->rows ? "rows" : "row", j->args->task, n_row - 1, last);
  return VK_OK;
}

static vk_status open_task(job *j, const vk_common_args *common, vk_err *err)
{
  char cache[VK_FS_PATH_MAX];
  uint32_t i_task;
  VK_TRY(vk_pack_open(&j->pack, common->pack, err));
  VK_TRY(j->args->demo ? open_demo(j, &i_task, err) : find_task(j, &i_task, err));
  VK_TRY(vk_scene_new(&j->scene, &j->pack, i_task, vk_model_cache_dir(cache), err));
  VK_TRY(vk_visuals_choose(&j->visuals, j->args->visuals, &j->pack, err));
  VK_TRY(vk_stage_new(&j->stage, j->scene, &j->visuals, err));
  return find_cameras(j, err);
}

static vk_status allocate(job *j, vk_err *err)
{
  size_t n = (size_t)j->n_picture;
  j->state = calloc(n * (size_t)vk_picture_n_state(j->scene), sizeof *j->state);
  j->env = calloc((size_t)vk_pool_n_thread(j->pool), sizeof *j->env);
  j->status = calloc(n, sizeof *j->status);
  j->error = calloc(n, sizeof *j->error);
  if (!j->state || !j->env || !j->status || !j->error)
    return vk_fail(err, VK_E_NOMEM, "no memory for %d pictures", j->n_picture);
  return VK_OK;
}

static void fini(job *j)
{
  for (int i = 0; j->env && i < vk_pool_n_thread(j->pool); i++)
    vk_env_free(j->env[i]);
  free(j->env);
  free(j->state);
  free(j->status);
  free(j->error);
  free(j->pixel);
  vk_demo_free(&j->demo);
  vk_stage_free(j->stage);
  vk_visuals_close(&j->visuals);
  vk_scene_free(j->scene);
  vk_pack_close(&j->pack);
  vk_pool_free(j->pool);
}

static vk_status print_result(const job *j, bool as_json, vk_err *err)
{
  const render_args *a = j->args;
  if (!as_json) {
    printf("%s: %d x %d pixels, %s visuals, %.2f ms a picture\n", a->out, j->width, j->height,
           j->visuals.name, j->ms);
    return VK_OK;
  }
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "file", a->out);
  cJSON_AddNumberToObject(o, "width", j->width);
  cJSON_AddNumberToObject(o, "height", j->height);
  cJSON_AddNumberToObject(o, "ms", j->ms);
  cJSON_AddStringToObject(o, "task", j->scene->id);
  cJSON_AddNumberToObject(o, "n_picture", j->n_picture * j->n_view);
  cJSON_AddStringToObject(o, "visuals", j->visuals.name);
  cJSON_AddStringToObject(o, "visuals_hash", j->visuals.hash);
  vk_status st = vk_json_print(o, err);
  cJSON_Delete(o);
  return st;
}

static vk_status run(const vk_cmd_call *call, vk_err *err)
{
  const render_args *args = call->args;
  job j = {.args = args, .isa = call->isa};
  VK_TRY(check_args(args, err));
  VK_TRY(vk_protocol_find(&j.protocol, args->protocol, err));
  VK_TRY(parse_rows(&j, err));
  j.seed = call->common->seed_given ? (uint32_t)call->common->seed : j.protocol->seed;
  vk_status st = VK_OK;
  VK_TRY_DONE(vk_pool_new(&j.pool, (int)call->common->n_thread, err));
  VK_TRY_DONE(open_task(&j, call->common, err));
  VK_TRY_DONE(allocate(&j, err));
  VK_TRY_DONE(args->state  ? read_state(&j, err)
              : args->demo ? take_demo(&j, err)
                           : make_rows(&j, err));
  VK_TRY_DONE(draw(&j, err));
  VK_TRY_DONE(vk_image_write(args->out, j.pixel, j.width, j.height, 3, err));
  st = print_result(&j, call->common->json, err);
done:
  fini(&j);
  return st;
}

const vk_cmd vk_cmd_render = {
    .name = "render",
    .summary = "draw a task: one picture, both cameras, or a sheet of init rows",
    .synopsis = "--task T [--row K | --rows A-B | --state FILE] --out FILE.png [options] | "
                "--demo FILE [--demo-index N] [--step N] --out FILE.png [options]",
    .description =
        "Draws a task as the benchmark's cameras see it, upright, without display or GPU.\n\n"
        "An init row is shown after the protocol's reset and waiting steps: what a policy sees "
        "first. --wait 0 shows the row itself, in which objects hang in the air. --rows draws a "
        "contact sheet, line by line from the upper left, with the row's number in the corner.\n\n"
        "Every scene has the cameras agentview, robot0_eye_in_hand, frontview and galleryview.\n\n"
        "--state takes one float64 array in a .npy file: a state of the simulator (its fixtures "
        "then stand where the first reset with the seed puts them), or a picture state as "
        "demonstrations store it.\n\n"
        "The pictures depend on the visuals: the benchmark's own meshes and textures once "
        "`vlakit import libero` has read them, else stand-ins that come with the program.",
    .examples = "  vlakit render --task libero_goal/0 --out goal.png\n"
                "  vlakit render --task libero_10/3 --rows 0-49 --size 128 --out rows.png\n"
                "  vlakit render --task libero_object/1 --camera both --row 7 --out both.png\n"
                "  vlakit render --demo stove.npz --demo-index 2 --step 40 --out step.png\n",
    .opts = opts,
    .args_size = sizeof(render_args),
    .args_default = &defaults,
    .common = VK_COMMON(VK_COMMON_ISA, VK_COMMON_JSON, VK_COMMON_PACK, VK_COMMON_SEED_OF_PROTOCOL,
                        VK_COMMON_THREADS),
    .run = run,
};
