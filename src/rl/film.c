#include "rl/film.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/canvas.h"
#include "core/opt.h"
#include "core/video.h"
#include "sim/render.h"

/* Pixels of a film: two pictures, a bar that fills up, and words. */
enum {
  SIDE = 256,
  BAR = 4,
  MARGIN = 8,
  CAPTION = 38, /* two lines of the larger font */
  FOOT = 16,
  WIDTH = 2 * SIDE,
  HEIGHT = SIDE + BAR + MARGIN + CAPTION + 2 + FOOT + MARGIN,
  N_HELD = 30 /* times that the last picture is shown: 1.5 s to read the outcome */
};

static const vk_colour paper = {20, 22, 26}, ink = {236, 238, 240}, gray = {150, 156, 164},
                       track = {52, 56, 64}, blue = {88, 166, 255}, green = {63, 185, 80},
                       red = {248, 81, 73}, yellow = {210, 153, 34};

/* What a slot keeps of its episode, and what it draws with. */
typedef struct slot {
  bool is_recording;
  const vk_scene *scene;
  int n_state, n_row, room_row;
  double *row; /* [room_row, n_state]: after the waiting steps, and after each step */
  size_t n_double;
  vk_pool *pool; /* of this thread alone */
  vk_renderer *film, *frame;
  vk_image canvas;
} slot;

/* Failures of a task that have a picture: those of its lowest rows, whatever ended first. */
typedef struct kept {
  int n;
  struct {
    int row;
    const char *outcome;
  } of[VK_FILM_FRAMES_PER_TASK];
} kept;

struct vk_film {
  vk_film_config config;
  vk_eval_watch watch;
  slot *slot; /* [n_slot] */
  pthread_mutex_t mutex;
  kept *kept; /* [n_task]; guarded by the mutex, like what follows */
  vk_film_stats stats;
};

/* ---- choices and names ---- */

vk_status vk_film_parse(vk_film_choice *choice, const char *word, vk_err *err)
{
  static const char *const names[] = {"none", "failures", "all", NULL};
  *choice = (vk_film_choice){0};
  for (int i = 0; names[i]; i++)
    if (strcmp(word, names[i]) == 0) {
      choice->kind = (i == 0) ? VK_FILM_NONE : i == 1 ? VK_FILM_FAILURES : VK_FILM_ALL;
      return VK_OK;
    }
  size_t n_digit = strspn(word, "0123456789");
  long n = n_digit > 0 && n_digit < 7 && !word[n_digit] ? strtol(word, NULL, 10) : 0;
  if (n >= 1 && n <= 100000) {
    *choice = (vk_film_choice){VK_FILM_FIRST, (int)n};
    return VK_OK;
  }
  const char *near = vk_opt_nearest(word, names);
  return vk_fail(err, VK_E_USAGE,
                 "--film: '%s' is neither all, failures, none nor a number of episodes a task from "
                 "1 to 100000%s%s%s",
                 word, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

const char *vk_film_outcome(bool is_error, bool success)
{
  return is_error ? "error" : success ? "success" : "failure";
}

vk_status vk_film_path(char out[VK_FS_PATH_MAX], vk_film_kind kind, const char *task_id, int row,
                       const char *outcome, vk_err *err)
{
  int n_suite = (int)strcspn(task_id, "/");
  const char *number = task_id[n_suite] ? task_id + n_suite + 1 : "";
  /* a name of a suite may begin with a dot */
  int n = snprintf(out, VK_FS_PATH_MAX, "%s/%s%.*s/task%s%s-row%02d-%s.%s",
                   kind == VK_FILM_MP4 ? "films" : "frames", task_id[0] == '.' ? "_" : "", n_suite,
                   task_id, strlen(number) < 2 ? "0" : "", number, row, outcome,
                   kind == VK_FILM_MP4 ? "mp4" : "png");
  if (n < 0 || n >= VK_FS_PATH_MAX)
    return vk_fail(err, VK_E_RANGE, "%.60s...: too long for the name of a file", task_id);
  return VK_OK;
}

/* The same with the folder. */
static vk_status path_of(const vk_film *f, vk_film_kind kind, uint32_t i_task, int row,
                         const char *outcome, char path[VK_FS_PATH_MAX], vk_err *err)
{
  char id[VK_PACK_TASK_ID_SIZE], name[VK_FS_PATH_MAX];
  vk_pack_task_id(f->config.pack, &f->config.pack->task[i_task], id);
  VK_TRY(vk_film_path(name, kind, id, row, outcome, err));
  return vk_fs_join(path, VK_FS_PATH_MAX, f->config.dir, name, err);
}

/* ---- which failures have a picture ---- */

static void remove_picture(const vk_film *f, uint32_t i_task, int row, const char *outcome)
{
  char path[VK_FS_PATH_MAX];
  if (path_of(f, VK_FILM_PNG, i_task, row, outcome, path, NULL) == VK_OK)
    unlink(path);
}

static bool is_kept(const kept *k, int row)
{
  for (int i = 0; i < k->n; i++)
    if (k->of[i].row == row)
      return true;
  return false;
}

/* Whether the failure of this row is to have a picture; that of a higher row may have to go. */
static bool keep_failure(vk_film *f, uint32_t i_task, int row, const char *outcome)
{
  kept *k = &f->kept[i_task];
  int highest = 0;
  if (is_kept(k, row)) /* made once before its run was interrupted */
    return true;
  for (int i = 1; i < k->n; i++)
    highest = k->of[i].row > k->of[highest].row ? i : highest;
  if (k->n < VK_FILM_FRAMES_PER_TASK)
    highest = k->n++;
  else if (row > k->of[highest].row)
    return false;
  else
    remove_picture(f, i_task, k->of[highest].row, k->of[highest].outcome);
  k->of[highest].row = row;
  k->of[highest].outcome = outcome;
  return true;
}

/* What an earlier part of the run has left; one that was killed may have left too much. */
static void find_kept(vk_film *f, uint32_t i_task)
{
  static const char *const outcome[] = {"failure", "error"};
  char path[VK_FS_PATH_MAX];
  const vk_pack_task *task = &f->config.pack->task[i_task];
  if (path_of(f, VK_FILM_PNG, i_task, 0, outcome[0], path, NULL) != VK_OK)
    return;
  *strrchr(path, '/') = '\0';
  if (!vk_fs_is_dir(path)) /* a new run's: no look at 50 rows */
    return;
  for (int row = 0; row < (int)task->n_row; row++)
    for (size_t i = 0; i < VK_COUNT(outcome); i++)
      if (path_of(f, VK_FILM_PNG, i_task, row, outcome[i], path, NULL) == VK_OK &&
          vk_fs_is_file(path) && !keep_failure(f, i_task, row, outcome[i]))
        unlink(path);
}

/* ---- recording ---- */

static void note_failure(vk_film *f, const vk_err *why)
{
  pthread_mutex_lock(&f->mutex);
  if (f->stats.n_failed++ == 0)
    f->stats.first = *why;
  pthread_mutex_unlock(&f->mutex);
}

static void keep_row(slot *s, const vk_env *env)
{
  if (!s->is_recording || s->n_row == s->room_row)
    return;
  memcpy(s->row + (size_t)s->n_row++ * (size_t)s->n_state, vk_env_picture_state(env),
         sizeof *s->row * (size_t)s->n_state);
}

static int step_limit(const vk_film *f, uint32_t i_task)
{
  const vk_pack *pack = f->config.pack;
  return vk_protocol_n_step(f->config.protocol, vk_pack_suite_of(pack, &pack->task[i_task]));
}

static vk_status on_begin(void *arg, int i_slot, const vk_eval_episode *episode, const vk_env *env,
                          vk_err *err)
{
  vk_film *f = arg;
  slot *s = &f->slot[i_slot];
  s->scene = vk_env_scene(env);
  s->n_state = vk_picture_n_state(s->scene);
  s->room_row = 1 + step_limit(f, episode->i_task);
  s->n_row = 0;
  s->is_recording = true;
  size_t n = (size_t)s->n_state * (size_t)s->room_row;
  if (n > s->n_double) {
    free(s->row);
    s->row = malloc(sizeof *s->row * n);
    s->n_double = s->row ? n : 0;
  }
  if (!s->row) {
    vk_err why = VK_ERR_INIT;
    vk_fail(&why, VK_E_NOMEM, "no memory for an episode's %zu numbers", n);
    note_failure(f, &why);
    s->is_recording = false;
  }
  keep_row(s, env);
  return VK_OK;
}

static vk_status on_step(void *arg, int i_slot, const vk_env *env, const vk_step *step, vk_err *err)
{
  vk_film *f = arg;
  keep_row(&f->slot[i_slot], env);
  return VK_OK;
}

/* ---- drawing ---- */

/* An episode that has ended, to be drawn. */
typedef struct scenario {
  vk_film *f;
  slot *s;
  const vk_eval_result *result;
  const char *outcome;
  vk_colour colour; /* of the outcome */
  char id[VK_PACK_TASK_ID_SIZE];
  vk_stage *stage;
  int camera[2];
  int limit;
} scenario;

static const double *row_of(const slot *s, int i)
{
  return s->row + (size_t)i * (size_t)s->n_state;
}

static vk_status need_renderer(const vk_film *f, slot *s, vk_renderer **renderer, int side,
                               int n_sample, vk_err *err)
{
  if (!s->pool)
    VK_TRY(vk_pool_new(&s->pool, 1, err));
  if (*renderer)
    return VK_OK;
  vk_render_config config = vk_render_defaults;
  config.width = config.height = side;
  config.n_sample = n_sample;
  config.isa = f->config.isa;
  return vk_renderer_new(renderer, &config, s->pool, err);
}

/* DIR/..., with its folder made. */
static vk_status file_path(const scenario *c, vk_film_kind kind, char path[VK_FS_PATH_MAX],
                           vk_err *err)
{
  char dir[VK_FS_PATH_MAX];
  VK_TRY(path_of(c->f, kind, c->result->episode.i_task, c->result->episode.row, c->outcome, path,
                 err));
  snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(path, '/') - path), path);
  return vk_fs_make_dirs(dir, err);
}

/* agentview at the first and at the last step. */
static vk_status draw_frames(const scenario *c, vk_err *err)
{
  enum { W = VK_FILM_FRAME_SIDE };
  slot *s = c->s;
  char path[VK_FS_PATH_MAX];
  uint8_t *pixel = calloc((size_t)2 * W * W, 3);
  vk_status st = VK_OK;
  if (!pixel)
    return vk_fail(err, VK_E_NOMEM, "no memory for pictures");
  VK_TRY_DONE(need_renderer(c->f, s, &s->frame, W, 4, err));
  vk_shot shot[2];
  for (int i = 0; i < 2; i++)
    shot[i] = (vk_shot){.stage = c->stage,
                        .state = row_of(s, i ? s->n_row - 1 : 0),
                        .i_camera = c->camera[0],
                        .pixel = pixel + 3 * W * i,
                        .row_bytes = 2 * 3 * W};
  VK_TRY_DONE(vk_render(s->frame, shot, 2, NULL, err));
  VK_TRY_DONE(file_path(c, VK_FILM_PNG, path, err));
  st = vk_image_write(path, pixel, 2 * W, W, 3, err);
done:
  free(pixel);
  return st;
}

/* What is below the pictures at each step of the film. */
static void draw_words(const scenario *c, vk_image *canvas, int i_row, bool is_last)
{
  const vk_font *small = &vk_fonts[0];
  const int foot_y = SIDE + BAR + MARGIN + CAPTION + 2;
  char text[120];
  vk_colour colour = is_last ? c->colour : blue;
  vk_canvas_fill(canvas, 0, SIDE, WIDTH, BAR, track);
  vk_canvas_fill(canvas, 0, SIDE, WIDTH * i_row / c->limit, BAR, colour);
  vk_canvas_fill(canvas, WIDTH / 2, foot_y, WIDTH / 2, FOOT, paper);
  if (is_last)
    snprintf(text, sizeof text, "%s after %d step%s", c->outcome, i_row, vk_plural(i_row));
  else
    snprintf(text, sizeof text, "step %d of at most %d", i_row, c->limit);
  int width = vk_canvas_text_width(small, text, strlen(text));
  vk_canvas_text(canvas, WIDTH - MARGIN - width, foot_y, small, is_last ? colour : gray, text,
                 strlen(text));
}

static void draw_background(const scenario *c, vk_image *canvas)
{
  const vk_pack *pack = c->f->config.pack;
  const vk_pack_task *task = &pack->task[c->result->episode.i_task];
  char text[VK_PACK_TASK_ID_SIZE + 40];
  vk_canvas_fill(canvas, 0, 0, WIDTH, HEIGHT, paper);
  vk_canvas_text_box(canvas, MARGIN, SIDE + BAR + MARGIN, WIDTH - 2 * MARGIN, CAPTION, ink,
                     vk_pack_text(pack, task->language));
  snprintf(text, sizeof text, "%s   init row %d", c->id, c->result->episode.row);
  vk_canvas_text(canvas, MARGIN, SIDE + BAR + MARGIN + CAPTION + 2, &vk_fonts[0], gray, text,
                 strlen(text));
}

static vk_status draw_film_into(const scenario *c, vk_video *video, vk_err *err)
{
  slot *s = c->s;
  vk_image *canvas = &s->canvas;
  draw_background(c, canvas);
  for (int i = 0; i < s->n_row; i++) {
    bool is_last = i == s->n_row - 1;
    vk_shot shot[2];
    for (int k = 0; k < 2; k++)
      shot[k] = (vk_shot){.stage = c->stage,
                          .state = row_of(s, i),
                          .i_camera = c->camera[k],
                          .pixel = canvas->pixel + 3 * SIDE * k,
                          .row_bytes = 3 * WIDTH};
    VK_TRY(vk_render(s->film, shot, 2, NULL, err));
    draw_words(c, canvas, i, is_last);
    for (int k = 0; k < (is_last ? 1 + N_HELD : 1); k++)
      VK_TRY(vk_video_add(video, canvas->pixel, 3 * WIDTH, err));
  }
  return VK_OK;
}

static vk_status draw_film(const scenario *c, vk_err *err)
{
  slot *s = c->s;
  char path[VK_FS_PATH_MAX], title[600];
  const vk_pack *pack = c->f->config.pack;
  vk_video *video = NULL;
  if (!s->canvas.pixel)
    VK_TRY(vk_canvas_init(&s->canvas, WIDTH, HEIGHT, err));
  VK_TRY(need_renderer(c->f, s, &s->film, SIDE, 4, err));
  VK_TRY(file_path(c, VK_FILM_MP4, path, err));
  snprintf(title, sizeof title, "%s, init row %d, %s: %.400s", c->id, c->result->episode.row,
           c->outcome, vk_pack_text(pack, pack->task[c->result->episode.i_task].language));
  const vk_video_config config = {
      .width = WIDTH, .height = HEIGHT, .fps = VK_FILM_FPS, .title = title};
  VK_TRY(vk_video_new(&video, &config, err));
  vk_status st = draw_film_into(c, video, err);
  if (st == VK_OK)
    st = vk_video_write(video, path, err);
  vk_video_free(video);
  return st;
}

/* ---- the end of an episode ---- */

static bool wants_film(const vk_film *f, const vk_eval_result *r)
{
  switch (f->config.choice.kind) {
  case VK_FILM_NONE:
    return false;
  case VK_FILM_FAILURES:
    return r->status != VK_OK || !r->success;
  case VK_FILM_ALL:
    return true;
  case VK_FILM_FIRST:
    return r->episode.row < f->config.choice.n_first;
  }
  return false;
}

static vk_status draw(scenario *c, bool with_film, bool with_frames, vk_err *err)
{
  static const char *const cameras[] = {"agentview", "robot0_eye_in_hand"};
  VK_TRY(vk_stage_new(&c->stage, c->s->scene, c->f->config.visuals, err));
  vk_status st = VK_OK;
  for (int k = 0; k < 2 && st == VK_OK; k++)
    st = vk_stage_find_camera(c->stage, cameras[k], &c->camera[k], err);
  if (st == VK_OK && with_frames)
    st = draw_frames(c, err);
  if (st == VK_OK && with_film)
    st = draw_film(c, err);
  vk_stage_free(c->stage);
  return st;
}

static vk_status on_end(void *arg, int i_slot, const vk_eval_result *r, vk_err *err)
{
  vk_film *f = arg;
  slot *s = &f->slot[i_slot];
  bool is_error = !r->is_scored, is_failure = is_error || !r->success;
  bool with_film = wants_film(f, r);
  if (!s->is_recording || s->n_row == 0)
    return VK_OK;
  s->is_recording = false;
  const char *outcome = vk_film_outcome(is_error, r->success);
  pthread_mutex_lock(&f->mutex);
  bool with_frames = is_failure && keep_failure(f, r->episode.i_task, r->episode.row, outcome);
  pthread_mutex_unlock(&f->mutex);
  if (!with_film && !with_frames)
    return VK_OK;
  scenario c = {.f = f,
                .s = s,
                .result = r,
                .outcome = outcome,
                .colour = is_error     ? yellow
                          : r->success ? green
                                       : red,
                .limit = step_limit(f, r->episode.i_task)};
  vk_pack_task_id(f->config.pack, &f->config.pack->task[r->episode.i_task], c.id);
  vk_err why = VK_ERR_INIT;
  vk_trace_span span = vk_trace_begin(f->config.trace, "eval", "film");
  vk_trace_arg(&span, "n_step", s->n_row - 1);
  vk_status st = draw(&c, with_film, with_frames, &why);
  vk_trace_end(&span);
  if (st != VK_OK)
    note_failure(f, &why);
  pthread_mutex_lock(&f->mutex);
  f->stats.n_film += st == VK_OK && with_film;
  if (with_frames && !is_kept(&f->kept[r->episode.i_task], r->episode.row))
    remove_picture(f, r->episode.i_task, r->episode.row, outcome); /* a lower row has come */
  pthread_mutex_unlock(&f->mutex);
  return VK_OK;
}

/* ---- all of it ---- */

static vk_status prepare_dir(const vk_film_config *config, vk_err *err)
{
  static const char *const below[] = {"films", "frames"};
  char dir[VK_FS_PATH_MAX], sub[VK_FS_PATH_MAX];
  VK_TRY(vk_fs_make_dirs(config->dir, err));
  for (size_t k = 0; k < VK_COUNT(below); k++)
    for (size_t i = 0; i < config->pack->n_suite; i++) {
      VK_TRY(vk_fs_join(dir, sizeof dir, config->dir, below[k], err));
      VK_TRY(vk_fs_join(sub, sizeof sub, dir,
                        vk_pack_text(config->pack, config->pack->suite[i].name), err));
      vk_fs_remove_leftovers(sub);
    }
  return VK_OK;
}

vk_status vk_film_new(vk_film **out, const vk_film_config *config, vk_err *err)
{
  char version[100];
  *out = NULL;
  if (config->choice.kind != VK_FILM_NONE)
    VK_TRY(vk_video_version(version, sizeof version, err));
  VK_TRY(prepare_dir(config, err));
  vk_film *f = calloc(1, sizeof *f);
  if (f) {
    f->config = *config;
    f->slot = calloc((size_t)config->n_slot, sizeof *f->slot);
    f->kept = calloc(config->pack->n_task, sizeof *f->kept);
    pthread_mutex_init(&f->mutex, NULL);
  }
  if (!f || !f->slot || !f->kept) {
    vk_film_free(f);
    return vk_fail(err, VK_E_NOMEM, "no memory for the films of %d slots", config->n_slot);
  }
  for (uint32_t i = 0; i < config->pack->n_task; i++)
    find_kept(f, i);
  f->watch = (vk_eval_watch){.arg = f, .begin = on_begin, .after_step = on_step, .end = on_end};
  *out = f;
  return VK_OK;
}

void vk_film_free(vk_film *f)
{
  if (!f)
    return;
  for (int i = 0; f->slot && i < f->config.n_slot; i++) {
    slot *s = &f->slot[i];
    vk_renderer_free(s->film);
    vk_renderer_free(s->frame);
    vk_pool_free(s->pool);
    vk_image_free(&s->canvas);
    free(s->row);
  }
  free(f->slot);
  free(f->kept);
  pthread_mutex_destroy(&f->mutex);
  free(f);
}

const vk_eval_watch *vk_film_watch(vk_film *film)
{
  return &film->watch;
}

vk_film_stats vk_film_get_stats(const vk_film *film)
{
  return film->stats;
}
