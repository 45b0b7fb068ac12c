#include "rl/dataset.h"

#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "core/hash.h"
#include "core/rng.h"
#include "core/signal.h"
#include "rl/demo_folder.h"
#include "rl/demo_scene.h"
#include "sim/picture.h"

enum { N_COMMAND = VK_N_ACTION - 1, PERMUTE_ROUNDS = 8 };

/* Of vk_philox; the key is the run's seed. */
static const uint64_t stream_order = (uint64_t)1 << 56;

/* What is kept of a demonstration. */
typedef struct rows {
  int i_task;           /* in task */
  int n_step, n_sample; /* the first n_sample are samples */
  vk_split split;
  double *picture_state; /* [n_sample, n_picture_state] */
  double *action;        /* [n_step, 7] as demonstrations hold them; until bins are known */
  double *proprio_raw;   /* [n_sample, 8]; likewise */
  uint8_t *bin;          /* [n_step, 7] */
  float *proprio;        /* [n_sample, 8] */
  /* while files are read: what is compared, and where it stands */
  char sha256[65];
  const char *path;
  int number;
} rows;

typedef struct frame {
  int32_t i_rows, t;
} frame;

struct vk_dataset {
  vk_dataset_config config;
  vk_dataset_task **task; /* [n_task] each where it is: what was handed out stays */
  int n_task;
  rows *rows; /* [n_rows] */
  int n_rows, n_rows_room;
  frame *frame; /* [n_frame] */
  int64_t n_frame, n_frame_room;
  int32_t *list[VK_SPLIT_N]; /* [n_list] frames of a split */
  int64_t n_list[VK_SPLIT_N], n_list_room[VK_SPLIT_N];
  vk_norm_stats stats;
  int32_t still[VK_N_ACTION]; /* bins of no motion */
  char hash[65];
  vk_dataset_info info;
};

/* A file that is to be read. */
typedef struct source {
  char *path;
  uint32_t i_task;
} source;

typedef struct sources {
  source *item;
  int n, n_room;
} sources;

/* ---- memory ---- */

/* Room for n items of a list that grows. Errors: VK_E_NOMEM. */
static vk_status grow(void **list, int64_t *n_room, int64_t n, size_t item_bytes, vk_err *err)
{
  if (n <= *n_room)
    return VK_OK;
  int64_t room = n > *n_room * 3 / 2 ? n : *n_room * 3 / 2;
  void *more = realloc(*list, item_bytes * (size_t)room);
  if (!more)
    return vk_fail(err, VK_E_NOMEM, "no memory for %lld samples", (long long)n);
  *list = more;
  *n_room = room;
  return VK_OK;
}

static void free_rows(rows *r)
{
  free(r->picture_state);
  free(r->action);
  free(r->proprio_raw);
  free(r->bin);
  free(r->proprio);
}

void vk_dataset_free(vk_dataset *d)
{
  if (!d)
    return;
  for (int i = 0; i < d->n_rows; i++)
    free_rows(&d->rows[i]);
  for (int i = 0; i < d->n_task; i++)
    free(d->task[i]);
  for (int s = 0; s < VK_SPLIT_N; s++)
    free(d->list[s]);
  free(d->task);
  free(d->rows);
  free(d->frame);
  free(d);
}

/* ---- demonstrations to rows ---- */

static vk_status find_or_add_task(vk_dataset *d, uint32_t i_task, int n_picture_state, int *out,
                                  vk_err *err)
{
  for (*out = 0; *out < d->n_task; ++*out)
    if (d->task[*out]->i_task == i_task)
      return VK_OK;
  vk_dataset_task **more = realloc(d->task, sizeof *more * (size_t)(d->n_task + 1));
  vk_dataset_task *t = calloc(1, sizeof *t);
  if (more)
    d->task = more;
  if (!more || !t) {
    free(t);
    return vk_fail(err, VK_E_NOMEM, "no memory for %d tasks", d->n_task + 1);
  }
  const vk_pack *pack = d->config.pack;
  *t = (vk_dataset_task){.i_task = i_task,
                         .instruction = vk_pack_text(pack, pack->task[i_task].language),
                         .n_picture_state = n_picture_state};
  d->task[d->n_task++] = t;
  return VK_OK;
}

/* Bins and scaled proprioception of a demonstration's rows, by the statistics. */
static vk_status scale_rows(vk_dataset *d, rows *r, vk_err *err)
{
  double action[VK_N_ACTION];
  int32_t bin[VK_N_ACTION];
  size_t n = (size_t)r->n_step, n_sample = (size_t)r->n_sample;
  r->bin = malloc(n * VK_N_ACTION);
  r->proprio = malloc(sizeof *r->proprio * n_sample * VK_VIEW_PROPRIO);
  if (!r->bin || !r->proprio)
    return vk_fail(err, VK_E_NOMEM, "no memory for %d samples", r->n_step);
  for (size_t t = 0; t < n; t++) {
    memcpy(action, r->action + t * VK_N_ACTION, sizeof action);
    action[N_COMMAND] = vk_action_gripper_from_libero(action[N_COMMAND]);
    VK_TRY(vk_action_encode(&d->stats.action, 1, action, bin, err));
    for (int k = 0; k < VK_N_ACTION; k++)
      r->bin[t * VK_N_ACTION + (size_t)k] = (uint8_t)bin[k];
    for (int k = 0; k < VK_VIEW_PROPRIO && t < n_sample; k++) {
      size_t at = t * VK_VIEW_PROPRIO + (size_t)k;
      r->proprio[at] = (float)vk_action_scale(&d->stats.proprio, k, r->proprio_raw[at]);
    }
  }
  return VK_OK;
}

/* The hash goes on with a demonstration. */
static void hash_rows(vk_dataset *d, const rows *r)
{
  vk_sha256 sha;
  const vk_dataset_task *t = d->task[r->i_task];
  char id[VK_PACK_TASK_ID_SIZE], head[VK_PACK_TASK_ID_SIZE + 600];
  vk_pack_task_id(d->config.pack, &d->config.pack->task[t->i_task], id);
  int n_head = snprintf(head, sizeof head, "%s\n%s\n%s\n%d %d\n", d->hash, id, t->instruction,
                        r->n_step, r->split);
  if (r->n_sample < r->n_step)
    snprintf(head + n_head, sizeof head - (size_t)n_head, "%d\n", r->n_sample);
  size_t n = (size_t)r->n_step, n_sample = (size_t)r->n_sample;
  vk_sha256_init(&sha);
  vk_sha256_add(&sha, head, strlen(head));
  vk_sha256_add(&sha, r->picture_state,
                sizeof *r->picture_state * n_sample * (size_t)t->n_picture_state);
  vk_sha256_add(&sha, r->action, sizeof *r->action * n * VK_N_ACTION);
  vk_sha256_add(&sha, r->proprio_raw, sizeof *r->proprio_raw * n_sample * VK_VIEW_PROPRIO);
  vk_sha256_end_hex(&sha, d->hash);
}

/* Copies what samples need. Errors: VK_E_NOTFOUND (an observation or its picture row is missing),
 * VK_E_SHAPE, VK_E_NOMEM; r is then to be freed. */
static vk_status take_rows(vk_dataset *d, rows *r, const vk_demo *demo, uint32_t i_task,
                           int n_sample, vk_err *err)
{
  *r = (rows){.n_step = demo->n_step, .n_sample = n_sample};
  if (!demo->picture_state)
    return vk_fail(err, VK_E_NOTFOUND, "it does not say what its pictures show");
  if (demo->first_obs > 0 || demo->first_obs + demo->n_obs < n_sample)
    return vk_fail(err, VK_E_NOTFOUND, "it has the observations %d to %d, expected 0 to %d",
                   demo->first_obs, demo->first_obs + demo->n_obs - 1, n_sample - 1);
  VK_TRY(find_or_add_task(d, i_task, demo->n_picture_state, &r->i_task, err));
  int n_state = d->task[r->i_task]->n_picture_state;
  if (demo->n_picture_state != n_state)
    return vk_fail(err, VK_E_SHAPE,
                   "picture_state has %d columns, those of other demonstrations of its task have "
                   "%d",
                   demo->n_picture_state, n_state);
  size_t n = (size_t)n_sample, n_row_byte = sizeof(double) * n * (size_t)n_state;
  size_t n_action_byte = sizeof(double) * VK_N_ACTION * (size_t)demo->n_step;
  r->picture_state = malloc(n_row_byte);
  r->action = malloc(n_action_byte);
  r->proprio_raw = malloc(sizeof(double) * n * VK_VIEW_PROPRIO);
  if (!r->picture_state || !r->action || !r->proprio_raw)
    return vk_fail(err, VK_E_NOMEM, "no memory for %d samples", demo->n_step);
  memcpy(r->picture_state, demo->picture_state, n_row_byte);
  memcpy(r->action, demo->action, n_action_byte);
  for (size_t t = 0; t < n; t++) {
    vk_robot_obs obs;
    _Static_assert(sizeof obs == sizeof(double) * VK_N_PROPRIO, "a row of proprioception");
    memcpy(&obs, demo->proprio + t * VK_N_PROPRIO, sizeof obs);
    vk_view_proprio(&obs, r->proprio_raw + t * VK_VIEW_PROPRIO);
  }
  return VK_OK;
}

/* Makes samples of the rows. After an error nothing has changed and r is to be freed. */
static vk_status commit_rows(vk_dataset *d, rows *r, int i_rows, vk_err *err)
{
  size_t n = (size_t)r->n_sample;
  vk_dataset_task *t = d->task[r->i_task];
  VK_TRY(scale_rows(d, r, err));
  VK_TRY(
      grow((void **)&d->frame, &d->n_frame_room, d->n_frame + r->n_sample, sizeof *d->frame, err));
  VK_TRY(grow((void **)&d->list[r->split], &d->n_list_room[r->split],
              d->n_list[r->split] + r->n_sample, sizeof *d->list[0], err));
  hash_rows(d, r);
  free(r->action);
  free(r->proprio_raw);
  r->action = r->proprio_raw = NULL;
  for (int32_t i = 0; i < r->n_sample; i++) {
    d->list[r->split][d->n_list[r->split]++] = (int32_t)d->n_frame;
    d->frame[d->n_frame++] = (frame){i_rows, i};
  }
  t->n_demo[r->split]++;
  t->n_sample[r->split] += r->n_sample;
  d->info.n_demo[r->split]++;
  d->info.n_byte +=
      (int64_t)(n * (sizeof(double) * (size_t)t->n_picture_state +
                     sizeof *r->proprio * VK_VIEW_PROPRIO + sizeof(frame) + sizeof *d->list[0]) +
                (size_t)r->n_step * VK_N_ACTION);
  return VK_OK;
}

static vk_status new_rows(vk_dataset *d, vk_err *err)
{
  int64_t room = d->n_rows_room;
  VK_TRY(grow((void **)&d->rows, &room, d->n_rows + 1, sizeof *d->rows, err));
  d->n_rows_room = (int)room;
  return VK_OK;
}

vk_status vk_dataset_add(vk_dataset *d, const vk_demo *demo, uint32_t i_task, int n_sample,
                         vk_err *err)
{
  rows r = {0};
  int n_task = d->n_task;
  VK_ASSERT(i_task < d->config.pack->n_task && n_sample >= 1 && n_sample <= demo->n_step);
  VK_TRY(new_rows(d, err));
  vk_status st = take_rows(d, &r, demo, i_task, n_sample, err);
  if (st == VK_OK)
    st = commit_rows(d, &r, d->n_rows, err);
  if (st == VK_OK)
    d->rows[d->n_rows++] = r;
  else
    free_rows(&r);
  while (st != VK_OK && d->n_task > n_task)
    free(d->task[--d->n_task]);
  return st;
}

/* ---- files ---- */

static void free_sources(sources *s)
{
  for (int i = 0; i < s->n; i++)
    free(s->item[i].path);
  free(s->item);
}

static vk_status add_source(void *arg, const char *path, vk_err *err)
{
  sources *s = arg;
  int64_t room = s->n_room;
  VK_TRY(grow((void **)&s->item, &room, s->n + 1, sizeof *s->item, err));
  s->n_room = (int)room;
  s->item[s->n] = (source){.path = strdup(path)};
  if (!s->item[s->n].path)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for its name", path);
  s->n++;
  return VK_OK;
}

static int by_task(const void *a, const void *b)
{
  const source *x = a, *y = b;
  int order = (x->i_task > y->i_task) - (x->i_task < y->i_task);
  return order ? order : strcmp(x->path, y->path);
}

/* Rows of another pack may be as long and mean other places. */
static vk_status check_pack(const vk_demo_info *info, const char *path, const vk_pack *pack,
                            vk_err *err)
{
  if (!info->pack_hash[0] || strcmp(info->pack_hash, pack->hash) == 0)
    return VK_OK;
  return vk_fail(err, VK_E_MISMATCH,
                 "%s: made with the pack %.12s, this one is %.12s: its pictures would show other "
                 "scenes; give that pack with --pack, or collect anew",
                 path, info->pack_hash, pack->hash);
}

/* Every file, those of a task side by side; what they are of is in their heads. */
static vk_status list_sources(const vk_dataset *d, sources *s, vk_err *err)
{
  const vk_dataset_config *c = &d->config;
  for (int i = 0; i < c->n_path; i++) {
    int n_before = s->n;
    if (vk_fs_is_dir(c->path[i]))
      VK_TRY(vk_demo_folder_each(c->path[i], add_source, s, err));
    else
      VK_TRY(add_source(s, c->path[i], err));
    if (s->n == n_before)
      return vk_fail(err, VK_E_NOTFOUND,
                     "%s: no demonstrations in this folder (files .npz or .hdf5); make some with "
                     "vlakit collect",
                     c->path[i]);
  }
  if (s->n == 0)
    return vk_fail(err, VK_E_NOTFOUND, "a dataset needs at least one file of demonstrations");
  for (int i = 0; i < s->n; i++) {
    vk_demo_file *file;
    VK_TRY(vk_signal_check(err));
    VK_TRY(vk_demo_open(&file, s->item[i].path, err));
    const vk_demo_info *info = vk_demo_info_get(file);
    vk_status st = check_pack(info, s->item[i].path, c->pack, err);
    if (st == VK_OK)
      st = vk_demo_find_task(info, s->item[i].path, c->pack, &s->item[i].i_task, err);
    vk_demo_close(file);
    VK_TRY(st);
  }
  qsort(s->item, (size_t)s->n, sizeof *s->item, by_task);
  return VK_OK;
}

/* What the pack's scene is needed for: rows of a demonstration that has none. */
static vk_status complete(vk_dataset *d, vk_demo *demo, uint32_t i_task, vk_scene **scene,
                          vk_err *err)
{
  if (!demo->picture_state) {
    if (!*scene)
      VK_TRY(vk_scene_new(scene, d->config.pack, i_task, d->config.cache_dir, err));
    VK_TRY(vk_demo_fits_scene(demo, *scene, err));
    VK_TRY(vk_demo_add_picture_state(demo, *scene, err));
  }
  vk_demo_align(demo);
  if (d->config.drop_noops)
    d->info.n_noop += vk_demo_drop_noops(demo);
  return VK_OK;
}

/* What tells a demonstration from others, whatever file it is in. */
static void hash_demo(const vk_demo *demo, char hex[65])
{
  vk_sha256 sha;
  vk_sha256_init(&sha);
  vk_sha256_add(&sha, demo->action, sizeof(double) * VK_N_ACTION * (size_t)demo->n_step);
  vk_sha256_add(&sha, demo->state, sizeof(double) * (size_t)demo->n_state);
  vk_sha256_end_hex(&sha, hex);
}

static void count_origin(vk_dataset *d, const vk_demo *demo)
{
  d->info.n_eval_row += demo->is_origin_known && demo->origin.rows == VK_ROWS_EVAL;
  d->info.n_unknown_origin += !demo->is_origin_known;
}

/* Adds the rows of a file's successes, up to n_max of the task; *n: how many it has. */
static vk_status read_file(vk_dataset *d, const source *from, vk_scene **scene, int n_max, int *n,
                           vk_err *err)
{
  vk_demo_file *file;
  VK_TRY(vk_demo_open(&file, from->path, err));
  vk_status st = VK_OK;
  for (int i = 0; i < vk_demo_count(file) && *n < n_max && st == VK_OK; i++) {
    vk_demo demo;
    char sha256[65];
    VK_TRY_DONE(vk_signal_check(err));
    VK_TRY_DONE(vk_demo_read(file, i, false, &demo, err));
    if (!demo.success) {
      d->info.n_failure++;
      vk_demo_free(&demo);
      continue;
    }
    count_origin(d, &demo); /* before steps are dropped */
    hash_demo(&demo, sha256);
    st = new_rows(d, err);
    if (st == VK_OK)
      st = complete(d, &demo, from->i_task, scene, err);
    if (st == VK_OK) {
      st = take_rows(d, &d->rows[d->n_rows], &demo, from->i_task, demo.n_step, err);
      rows *r = &d->rows[d->n_rows++];
      snprintf(r->sha256, sizeof r->sha256, "%s", sha256);
      r->path = from->path;
      r->number = vk_demo_number(file, i);
      ++*n;
    }
    vk_demo_free(&demo);
    if (st != VK_OK && st != VK_E_NOMEM)
      vk_err_prefix(err, "%s: demo_%d", from->path, vk_demo_number(file, i));
  }
done:
  vk_demo_close(file);
  return st;
}

/* Errors: VK_E_MISMATCH (two of the rows from first on are of one demonstration). */
static vk_status check_twins(const vk_dataset *d, int first, vk_err *err)
{
  for (int i = first; i < d->n_rows; i++)
    for (int k = first; k < i; k++) {
      const rows *a = &d->rows[k], *b = &d->rows[i];
      if (strcmp(a->sha256, b->sha256) == 0)
        return vk_fail(err, VK_E_MISMATCH,
                       "%s: demo_%d is demo_%d of %s once more: it would count twice, and be held "
                       "out of training as well as in it; leave one of them out",
                       b->path, b->number, a->number, a->path);
    }
  return VK_OK;
}

/* The demonstrations of a task, whose files are from[0 .. n_file - 1], and which are held out. */
static vk_status read_task(vk_dataset *d, const source *from, int n_file, vk_err *err)
{
  const vk_dataset_config *c = &d->config;
  char id[VK_PACK_TASK_ID_SIZE];
  vk_scene *scene = NULL;
  int first = d->n_rows, n = 0, n_max = c->n_demo_per_task > 0 ? c->n_demo_per_task : INT32_MAX;
  vk_status st = VK_OK;
  for (int i = 0; i < n_file && st == VK_OK; i++)
    st = read_file(d, &from[i], &scene, n_max, &n, err);
  vk_scene_free(scene);
  VK_TRY(st);
  VK_TRY(check_twins(d, first, err));
  vk_pack_task_id(c->pack, &c->pack->task[from->i_task], id);
  if (n <= c->n_validation)
    return vk_fail(err, VK_E_NOTFOUND,
                   "%s: %d successful demonstrations of %s; with %d held out for validation, "
                   "training needs at least %d",
                   from->path, n, id, c->n_validation, c->n_validation + 1);
  for (int i = 0; i < c->n_validation; i++)
    d->rows[d->n_rows - 1 - i].split = VK_SPLIT_VALIDATION;
  return VK_OK;
}

/* ---- statistics ---- */

/* The suite that all tasks are of, else libero130. */
static const char *stats_key(const vk_dataset *d)
{
  const vk_pack *pack = d->config.pack;
  const char *suite = vk_pack_suite_of(pack, &pack->task[d->task[0]->i_task]);
  for (int i = 1; i < d->n_task; i++)
    if (strcmp(suite, vk_pack_suite_of(pack, &pack->task[d->task[i]->i_task])) != 0)
      return "libero130";
  return suite;
}

static vk_status take_stats(vk_dataset *d, vk_err *err)
{
  if (d->config.stats) {
    d->stats = *d->config.stats;
    return d->stats.proprio.n_dim == VK_VIEW_PROPRIO
               ? VK_OK
               : vk_fail(err, VK_E_NOTFOUND,
                         "statistics of %s: they have no proprioception, which samples need",
                         d->stats.key);
  }
  int64_t n_step = 0, n_demo = 0, at = 0;
  for (int i = 0; i < d->n_rows; i++)
    if (d->rows[i].split == VK_SPLIT_TRAIN) {
      n_step += d->rows[i].n_step;
      n_demo++;
    }
  double *action = malloc(sizeof *action * VK_N_ACTION * (size_t)n_step);
  double *proprio = malloc(sizeof *proprio * VK_VIEW_PROPRIO * (size_t)n_step);
  vk_status st = action && proprio ? VK_OK
                                   : vk_fail(err, VK_E_NOMEM,
                                             "no memory for statistics of %lld "
                                             "samples",
                                             (long long)n_step);
  for (int i = 0; i < d->n_rows && st == VK_OK; i++) {
    const rows *r = &d->rows[i];
    if (r->split != VK_SPLIT_TRAIN)
      continue;
    size_t n = sizeof(double) * (size_t)r->n_step;
    memcpy(action + at * VK_N_ACTION, r->action, n * VK_N_ACTION);
    memcpy(proprio + at * VK_VIEW_PROPRIO, r->proprio_raw, n * VK_VIEW_PROPRIO);
    at += r->n_step;
  }
  if (st == VK_OK)
    st = vk_norm_stats_from(&d->stats, stats_key(d), n_demo, n_step, action, proprio, err);
  free(action);
  free(proprio);
  return st;
}

static vk_status fill(vk_dataset *d, vk_err *err)
{
  sources s = {0};
  vk_status st = list_sources(d, &s, err);
  for (int i = 0, n; i < s.n && st == VK_OK; i += n) {
    for (n = 1; i + n < s.n && s.item[i + n].i_task == s.item[i].i_task;)
      n++;
    st = read_task(d, &s.item[i], n, err);
  }
  free_sources(&s);
  VK_TRY(st);
  VK_TRY(take_stats(d, err));
  const double none[VK_N_ACTION] = {0};
  VK_TRY(vk_action_encode(&d->stats.action, 1, none, d->still, err));
  for (int i = 0; i < d->n_rows; i++)
    VK_TRY(commit_rows(d, &d->rows[i], i, err));
  return VK_OK;
}

vk_status vk_dataset_new(vk_dataset **out, const vk_dataset_config *config, vk_err *err)
{
  *out = NULL;
  vk_dataset *d = calloc(1, sizeof *d);
  if (!d)
    return vk_fail(err, VK_E_NOMEM, "no memory for a dataset");
  d->config = *config;
  vk_status st = fill(d, err);
  if (st != VK_OK) {
    vk_dataset_free(d);
    return st;
  }
  d->config.path = NULL; /* the caller's */
  d->config.stats = NULL;
  *out = d;
  return VK_OK;
}

/* ---- samples ---- */

int64_t vk_dataset_n(const vk_dataset *d, vk_split split)
{
  return d->n_list[split];
}

int64_t vk_dataset_n_frame(const vk_dataset *d)
{
  return d->n_frame;
}

const vk_pack *vk_dataset_pack(const vk_dataset *d)
{
  return d->config.pack;
}

int vk_dataset_n_task(const vk_dataset *d)
{
  return d->n_task;
}

const vk_dataset_task *vk_dataset_task_get(const vk_dataset *d, int i)
{
  VK_ASSERT(i >= 0 && i < d->n_task);
  return d->task[i];
}

const vk_norm_stats *vk_dataset_stats(const vk_dataset *d)
{
  return &d->stats;
}

const char *vk_dataset_hash(const vk_dataset *d)
{
  return d->hash;
}

void vk_dataset_info_get(const vk_dataset *d, vk_dataset_info *info)
{
  *info = d->info;
}

void vk_dataset_sample(const vk_dataset *d, vk_split split, int64_t i, vk_sample *out)
{
  VK_ASSERT(i >= 0 && i < d->n_list[split]);
  int64_t i_frame = d->list[split][i];
  const frame *f = &d->frame[i_frame];
  const rows *r = &d->rows[f->i_rows];
  const vk_dataset_task *of = d->task[r->i_task];
  *out = (vk_sample){.i_frame = i_frame,
                     .i_task = r->i_task,
                     .instruction = of->instruction,
                     .picture_state = r->picture_state + (size_t)f->t * (size_t)of->n_picture_state,
                     .proprio = r->proprio + (size_t)f->t * VK_VIEW_PROPRIO,
                     .n_step_left = r->n_step - f->t};
  for (int s = 0; s < VK_CHUNK_STEPS; s++) {
    int32_t *to = out->target + s * VK_N_ACTION;
    int t = f->t + s < r->n_step ? f->t + s : r->n_step - 1;
    for (int k = 0; k < VK_N_ACTION; k++)
      to[k] = k < N_COMMAND && s >= out->n_step_left ? d->still[k] : r->bin[t * VK_N_ACTION + k];
  }
}

/* ---- order ---- */

static uint64_t mix(uint64_t x)
{
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/* A Feistel network on the least even number of bits that holds n; what falls beyond n goes round
 * again (Black & Rogaway 2002, cycle walking). */
int64_t vk_dataset_order(uint64_t seed, int64_t n, int64_t k)
{
  VK_ASSERT(n > 0 && n < (int64_t)1 << 40 && k >= 0);
  int n_half = 1;
  while ((int64_t)1 << (2 * n_half) < n)
    n_half++;
  uint64_t key[PERMUTE_ROUNDS], mask = ((uint64_t)1 << n_half) - 1, x = (uint64_t)(k % n);
  vk_philox rng;
  vk_philox_init(&rng, seed, stream_order + (uint64_t)(k / n));
  for (int i = 0; i < PERMUTE_ROUNDS; i++)
    key[i] = vk_philox_u64(&rng);
  do {
    uint64_t left = x >> n_half, right = x & mask;
    for (int i = 0; i < PERMUTE_ROUNDS; i++) {
      uint64_t before = right;
      right = left ^ (mix(right ^ key[i]) & mask);
      left = before;
    }
    x = left << n_half | right;
  } while (x >= (uint64_t)n);
  return (int64_t)x;
}
