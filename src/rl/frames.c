#include "rl/frames.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/sys.h"
#include "sim/picture.h"

/* Of a frame in the table; else the number of its place. */
enum { NOT_KEPT = -1, BEING_DRAWN = -2 };

enum { BLOCK_FRAMES = 64 }; /* memory is taken for so many at once */

/* What is drawn of a task. */
typedef struct task_stage {
  pthread_mutex_t building; /* held by who builds it, and who waits for that */
  vk_scene *scene;
  vk_stage *stage; /* NULL: not yet; guarded by the frames' mutex */
} task_stage;

struct vk_frames {
  vk_frames_config config;
  size_t frame_bytes;
  pthread_mutex_t mutex; /* guards what follows */
  task_stage **task;     /* [n_task] each where it is */
  int n_task;
  int32_t *place; /* [n_place] of each frame */
  int64_t n_place;
  uint8_t **block; /* [n_block] of BLOCK_FRAMES frames */
  int64_t n_block, n_kept, n_kept_max;
  vk_frames_stats stats;
};

struct vk_frame_reader {
  vk_frames *frames;
  vk_viewer *viewer;
  uint8_t *pixel; /* of a frame that is not kept */
};

/* ---- making ---- */

vk_status vk_frames_new(vk_frames **out, const vk_frames_config *config, vk_err *err)
{
  *out = NULL;
  VK_ASSERT(config->n_view >= 1 && config->n_view <= VK_VIEW_N);
  vk_frames *f = calloc(1, sizeof *f);
  if (!f)
    return vk_fail(err, VK_E_NOMEM, "no memory for frames");
  f->config = *config;
  f->frame_bytes = (size_t)config->n_view * VK_VIEW_BYTES;
  uint64_t n_max = config->cache_bytes / f->frame_bytes;
  f->n_kept_max = n_max < INT32_MAX ? (int64_t)n_max : INT32_MAX;
  pthread_mutex_init(&f->mutex, NULL);
  *out = f;
  return VK_OK;
}

void vk_frames_free(vk_frames *f)
{
  if (!f)
    return;
  for (int i = 0; i < f->n_task; i++) {
    vk_stage_free(f->task[i]->stage);
    vk_scene_free(f->task[i]->scene);
    pthread_mutex_destroy(&f->task[i]->building);
    free(f->task[i]);
  }
  for (int64_t i = 0; i < f->n_block; i++)
    free(f->block[i]);
  pthread_mutex_destroy(&f->mutex);
  free(f->task);
  free(f->place);
  free(f->block);
  free(f);
}

const vk_frames_config *vk_frames_config_get(const vk_frames *f)
{
  return &f->config;
}

void vk_frames_stats_get(vk_frames *f, vk_frames_stats *stats)
{
  pthread_mutex_lock(&f->mutex);
  *stats = f->stats;
  stats->n_kept = f->n_kept;
  pthread_mutex_unlock(&f->mutex);
}

/* ---- stages ---- */

/* The mutex is held. A dataset may have got tasks since the last call. Errors: VK_E_NOMEM. */
static vk_status find_task(vk_frames *f, int i_task, task_stage **out, vk_err *err)
{
  if (i_task >= f->n_task) {
    task_stage **more = realloc(f->task, sizeof(task_stage *) * (size_t)(i_task + 1));
    if (!more)
      return vk_fail(err, VK_E_NOMEM, "no memory for %d tasks", i_task + 1);
    f->task = more;
    while (f->n_task <= i_task) {
      task_stage *t = calloc(1, sizeof *t);
      if (!t)
        return vk_fail(err, VK_E_NOMEM, "no memory for %d tasks", i_task + 1);
      pthread_mutex_init(&t->building, NULL);
      f->task[f->n_task++] = t;
    }
  }
  *out = f->task[i_task];
  return VK_OK;
}

static vk_status build_stage(vk_frames *f, task_stage *t, uint32_t i_task, vk_stage **stage,
                             vk_err *err)
{
  vk_trace_span span = vk_trace_begin(f->config.trace, "data", "stage");
  vk_trace_arg(&span, "task", i_task);
  double start_s = vk_sys_thread_cpu_s();
  vk_status st =
      vk_scene_new(&t->scene, vk_dataset_pack(f->config.dataset), i_task, f->config.cache_dir, err);
  if (st == VK_OK)
    st = vk_stage_new(stage, t->scene, f->config.visuals, err);
  if (st != VK_OK) {
    vk_scene_free(t->scene);
    t->scene = NULL;
  }
  vk_trace_end(&span);
  pthread_mutex_lock(&f->mutex);
  f->stats.n_stage += st == VK_OK;
  f->stats.stage_s += vk_sys_thread_cpu_s() - start_s;
  pthread_mutex_unlock(&f->mutex);
  return st;
}

/* A stage of a task is built by the first that needs it; others of its task wait for that. */
static vk_status get_stage(vk_frames *f, int i_task, const vk_stage **out, vk_err *err)
{
  task_stage *t = NULL;
  pthread_mutex_lock(&f->mutex);
  vk_status st = find_task(f, i_task, &t, err);
  *out = st == VK_OK ? t->stage : NULL;
  pthread_mutex_unlock(&f->mutex);
  if (st != VK_OK || *out)
    return st;
  pthread_mutex_lock(&t->building);
  vk_stage *stage = t->stage; /* only changed by who holds `building` */
  if (!stage) {
    st = build_stage(f, t, vk_dataset_task_get(f->config.dataset, i_task)->i_task, &stage, err);
    pthread_mutex_lock(&f->mutex);
    t->stage = st == VK_OK ? stage : NULL;
    pthread_mutex_unlock(&f->mutex);
  }
  pthread_mutex_unlock(&t->building);
  *out = stage;
  return st;
}

static vk_status draw(vk_frame_reader *r, const vk_sample *sample, uint8_t *pixel, vk_err *err)
{
  vk_frames *f = r->frames;
  const vk_stage *stage;
  VK_TRY(get_stage(f, sample->i_task, &stage, err));
  const vk_scene *scene = vk_stage_scene(stage);
  vk_view_shot shot = {.stage = stage, .state = sample->picture_state};
  for (int v = 0; v < f->config.n_view; v++)
    shot.pixel[v] = pixel + (size_t)v * VK_VIEW_BYTES;
  vk_trace_span span = vk_trace_begin(f->config.trace, "data", "draw");
  vk_status st = vk_picture_check(
      scene, sample->picture_state,
      vk_dataset_task_get(f->config.dataset, sample->i_task)->n_picture_state, err);
  if (st == VK_OK)
    st = vk_viewer_draw(r->viewer, &shot, 1, err);
  vk_trace_end(&span);
  if (st != VK_OK)
    vk_err_prefix(err, "demonstrations of %s", scene->id);
  return st;
}

/* ---- what is kept ---- */

/* The mutex is held: a table that covers the frame. No memory is no error, it is drawn each time.
 */
static bool cover(vk_frames *f, int64_t i_frame)
{
  if (i_frame < f->n_place)
    return true;
  int64_t n = vk_dataset_n_frame(f->config.dataset);
  int32_t *more = realloc(f->place, sizeof *more * (size_t)n);
  if (!more)
    return false;
  f->place = more;
  while (f->n_place < n)
    f->place[f->n_place++] = NOT_KEPT;
  return true;
}

static uint8_t *pixel_at(const vk_frames *f, int64_t place)
{
  return f->block[place / BLOCK_FRAMES] + (size_t)(place % BLOCK_FRAMES) * f->frame_bytes;
}

/* The mutex is held: the next free place, -1 when there is no room. */
static int64_t take_place(vk_frames *f)
{
  if (f->n_kept >= f->n_kept_max)
    return -1;
  if (f->n_kept == f->n_block * BLOCK_FRAMES) {
    int64_t n = f->n_kept_max - f->n_kept < BLOCK_FRAMES ? f->n_kept_max - f->n_kept : BLOCK_FRAMES;
    uint8_t **more = realloc(f->block, sizeof *more * (size_t)(f->n_block + 1));
    if (more)
      f->block = more;
    uint8_t *block = more ? malloc(f->frame_bytes * (size_t)n) : NULL;
    if (!block) {
      f->n_kept_max = f->n_kept;
      return -1;
    }
    f->block[f->n_block++] = block;
  }
  return f->n_kept++;
}

vk_status vk_frames_get(vk_frame_reader *r, const vk_sample *sample,
                        const uint8_t *pixel[VK_VIEW_N], vk_err *err)
{
  vk_frames *f = r->frames;
  uint8_t *at = r->pixel;
  int64_t place = -1;
  bool is_kept = false;
  pthread_mutex_lock(&f->mutex);
  f->stats.n_get++;
  if (cover(f, sample->i_frame)) {
    int32_t *entry = &f->place[sample->i_frame];
    is_kept = *entry >= 0;
    place = is_kept ? *entry : *entry == NOT_KEPT ? take_place(f) : -1;
    if (place >= 0) {
      at = pixel_at(f, place);
      *entry = is_kept ? *entry : BEING_DRAWN;
    }
  }
  f->stats.n_drawn += !is_kept;
  pthread_mutex_unlock(&f->mutex);
  vk_status st = is_kept ? VK_OK : draw(r, sample, at, err);
  if (!is_kept && place >= 0) { /* the place of what could not be drawn is lost */
    pthread_mutex_lock(&f->mutex);
    f->place[sample->i_frame] = st == VK_OK ? (int32_t)place : NOT_KEPT;
    pthread_mutex_unlock(&f->mutex);
  }
  for (int v = 0; v < VK_VIEW_N; v++)
    pixel[v] = v < f->config.n_view ? at + (size_t)v * VK_VIEW_BYTES : NULL;
  return st;
}

/* ---- readers ---- */

vk_status vk_frame_reader_new(vk_frame_reader **out, vk_frames *f, vk_err *err)
{
  *out = NULL;
  vk_frame_reader *r = calloc(1, sizeof *r);
  if (r)
    r->pixel = malloc(f->frame_bytes);
  vk_status st = r && r->pixel ? vk_viewer_new(&r->viewer, &f->config.view, NULL, err)
                               : vk_fail(err, VK_E_NOMEM, "no memory for a reader of frames");
  if (st != VK_OK) {
    vk_frame_reader_free(r);
    return st;
  }
  r->frames = f;
  *out = r;
  return VK_OK;
}

void vk_frame_reader_free(vk_frame_reader *r)
{
  if (!r)
    return;
  vk_viewer_free(r->viewer);
  free(r->pixel);
  free(r);
}
