#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/checkpoint_internal.h"

/* A checkpoint under way lies in ".STEP.PID.part", a replaced one for a moment in ".STEP.PID.old".
 */
enum { NAME_SIZE = 48, LIST_STEP = 64 };

static void name_of(int64_t step, char name[NAME_SIZE])
{
  snprintf(name, NAME_SIZE, "%06" PRId64, step);
}

/* Step that a folder's name says, -1: it is none. */
static int64_t step_of(const char *name)
{
  size_t n = strlen(name);
  char *end;
  if (n < 6 || n > 15 || strspn(name, "0123456789") != n)
    return -1;
  return strtoll(name, &end, 10);
}

/* ---- folders ---- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
  return remove(path);
}

void vk_checkpoint_remove_tree(const char *path)
{
  nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void sync_dir(const char *path)
{
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return;
  fsync(fd);
  close(fd);
}

/* What processes that were killed while they saved have left. A replaced checkpoint whose successor
 * did not get to its place goes back. */
static void remove_leftovers(const char *dir)
{
  DIR *d = opendir(dir);
  char path[VK_FS_PATH_MAX], place[VK_FS_PATH_MAX], name[NAME_SIZE];
  for (struct dirent *e; d && (e = readdir(d));) {
    long long step;
    long pid;
    char kind[8], same[80];
    if (sscanf(e->d_name, ".%lld.%ld.%4s", &step, &pid, kind) != 3 || step < 0)
      continue;
    snprintf(same, sizeof same, ".%06lld.%ld.%s", step, pid, kind);
    bool is_old = strcmp(kind, "old") == 0;
    if (strcmp(same, e->d_name) != 0 || (!is_old && strcmp(kind, "part") != 0))
      continue;
    bool is_dead = pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
    name_of(step, name);
    if ((!is_dead && pid != (long)getpid()) ||
        vk_fs_join(path, sizeof path, dir, e->d_name, NULL) != VK_OK ||
        vk_fs_join(place, sizeof place, dir, name, NULL) != VK_OK)
      continue;
    if (!is_old || vk_fs_is_dir(place) || rename(path, place) != 0)
      vk_checkpoint_remove_tree(path);
  }
  if (d)
    closedir(d);
}

/* Points the link DIR/NAME at a folder beside it, whatever it was before. */
static vk_status put_link(const char *dir, const char *name, const char *target, vk_err *err)
{
  char path[VK_FS_PATH_MAX], temp[VK_FS_PATH_MAX], temp_name[NAME_SIZE];
  snprintf(temp_name, sizeof temp_name, ".%s.%ld.tmp", name, (long)getpid());
  VK_TRY(vk_fs_join(path, sizeof path, dir, name, err));
  VK_TRY(vk_fs_join(temp, sizeof temp, dir, temp_name, err));
  unlink(temp);
  if (symlink(target, temp) != 0)
    return vk_fs_fail(err, path, "make the link");
  if (rename(temp, path) == 0)
    return VK_OK;
  vk_status st = vk_fs_fail(err, path, "make the link");
  unlink(temp);
  return st;
}

/* The step that a link points at, -1: there is none. */
static int64_t linked_step(const char *dir, const char *name)
{
  char path[VK_FS_PATH_MAX], to[NAME_SIZE];
  if (vk_fs_join(path, sizeof path, dir, name, NULL) != VK_OK)
    return -1;
  ssize_t n = readlink(path, to, sizeof to - 1);
  if (n < 0)
    return -1;
  to[n] = '\0';
  return step_of(to);
}

/* ---- what is in one ---- */

static vk_status put_json(const char *dir, const char *name, const cJSON *value, vk_err *err)
{
  char path[VK_FS_PATH_MAX];
  VK_TRY(vk_fs_join(path, sizeof path, dir, name, err));
  char *text = NULL;
  VK_TRY(vk_json_text_indented(&text, value, err));
  vk_status st = vk_fs_write(path, text, strlen(text), err);
  cJSON_free(text);
  return st;
}

vk_status vk_checkpoint_put_policy(const char *dir, int64_t step, const vk_checkpoint_write *what,
                                   vk_err *err)
{
  char path[VK_FS_PATH_MAX];
  cJSON *config = NULL;
  VK_TRY(vk_checkpoint_config(&config, what->info, step, err));
  vk_status st = put_json(dir, "config.json", config, err);
  cJSON_Delete(config);
  VK_TRY(st);
  if (what->train_config)
    VK_TRY(put_json(dir, "train_config.json", what->train_config, err));
  VK_TRY(vk_fs_join(path, sizeof path, dir, "model.safetensors", err));
  return vk_params_save(what->params, what->ema, path, what->dtype, NULL, 0, err);
}

static vk_status put_training(const char *dir, int64_t step, const vk_checkpoint_write *what,
                              vk_err *err)
{
  char path[VK_FS_PATH_MAX];
  VK_TRY(vk_fs_join(path, sizeof path, dir, "weights.safetensors", err));
  VK_TRY(vk_params_save(what->params, NULL, path, VK_SAFETENSORS_F32, NULL, 0, err));
  VK_TRY(vk_fs_join(path, sizeof path, dir, "optimizer_state.safetensors", err));
  VK_TRY(vk_optim_save(what->optim, path, err));
  cJSON *empty = cJSON_CreateObject(), *state = cJSON_CreateObject();
  cJSON_AddNumberToObject(state, "step", (double)step);
  vk_status st = VK_OK;
  if (!empty || !cJSON_AddItemReferenceToObject(state, "trainer",
                                                (cJSON *)(what->trainer ? what->trainer : empty)))
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory for the trainer's state", dir);
  if (st == VK_OK)
    st = put_json(dir, "training_step.json", state, err);
  if (st == VK_OK)
    st = put_json(dir, "scheduler_state.json", what->scheduler ? what->scheduler : empty, err);
  cJSON_Delete(state);
  cJSON_Delete(empty);
  return st;
}

static vk_status put_all(const char *part, int64_t step, const vk_checkpoint_write *what,
                         vk_err *err)
{
  char dir[VK_FS_PATH_MAX];
  VK_TRY(vk_fs_join(dir, sizeof dir, part, "pretrained_model", err));
  VK_TRY(vk_fs_make_dirs(dir, err));
  VK_TRY(vk_checkpoint_put_policy(dir, step, what, err));
  if (!what->optim)
    return VK_OK;
  VK_TRY(vk_fs_join(dir, sizeof dir, part, "training_state", err));
  VK_TRY(vk_fs_make_dirs(dir, err));
  return put_training(dir, step, what, err);
}

/* In two steps, where a file system cannot exchange names. */
static vk_status replace(const char *dir, const char *part, const char *path, const char *name,
                         vk_err *err)
{
  char old[VK_FS_PATH_MAX], old_name[NAME_SIZE];
  snprintf(old_name, sizeof old_name, ".%s.%ld.old", name, (long)getpid());
  VK_TRY(vk_fs_join(old, sizeof old, dir, old_name, err));
  bool is_there = rename(path, old) == 0;
  if (rename(part, path) != 0) {
    vk_status st = vk_fs_fail(err, path, "put the checkpoint");
    if (is_there && rename(old, path) != 0)
      return vk_err_prefix(err, "%s has the one before", old);
    return st;
  }
  if (is_there)
    vk_checkpoint_remove_tree(old);
  return VK_OK;
}

/* Moves a finished folder to its place; one of the same step goes. */
static vk_status put_in_place(const char *dir, const char *part, const char *name, vk_err *err)
{
  char path[VK_FS_PATH_MAX];
  VK_TRY(vk_fs_join(path, sizeof path, dir, name, err));
  sync_dir(part);
  if (renameat2(AT_FDCWD, part, AT_FDCWD, path, RENAME_EXCHANGE) == 0)
    vk_checkpoint_remove_tree(part);
  else
    VK_TRY(replace(dir, part, path, name, err));
  sync_dir(dir);
  return VK_OK;
}

/* ---- which ones stay ---- */

static int newer_first(const void *a, const void *b)
{
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x < y) - (x > y);
}

/* Steps that there are: *step to be freed; -1: no memory. */
static int list_steps(const char *dir, int64_t **step)
{
  DIR *d = opendir(dir);
  int n = 0;
  *step = NULL;
  for (struct dirent *e; d && (e = readdir(d));) {
    int64_t s = step_of(e->d_name);
    if (s < 0)
      continue;
    if (n % LIST_STEP == 0) {
      int64_t *more = realloc(*step, sizeof **step * (size_t)(n + LIST_STEP));
      if (!more) {
        n = -1;
        break;
      }
      *step = more;
    }
    (*step)[n++] = s;
  }
  if (d)
    closedir(d);
  return n;
}

/* What cannot be removed stays: no harm but to the disk. */
static void prune(const char *dir, int n_keep)
{
  int64_t *step = NULL, best = linked_step(dir, "best"), last = linked_step(dir, "last");
  int n = list_steps(dir, &step);
  if (n > 0)
    qsort(step, (size_t)n, sizeof *step, newer_first);
  for (int i = n_keep; i < n; i++) {
    char name[NAME_SIZE], path[VK_FS_PATH_MAX];
    name_of(step[i], name);
    if (step[i] != best && step[i] != last &&
        vk_fs_join(path, sizeof path, dir, name, NULL) == VK_OK)
      vk_checkpoint_remove_tree(path);
  }
  free(step);
}

/* In a sentence about a folder that is gone then, the one that it was to become. */
static void name_place(vk_err *err, const char *part, const char *place)
{
  char rest[sizeof err->text];
  char *at = err ? strstr(err->text, part) : NULL;
  if (!at)
    return;
  snprintf(rest, sizeof rest, "%s", at + strlen(part));
  snprintf(at, sizeof err->text - (size_t)(at - err->text), "%s%s", place, rest);
}

vk_status vk_checkpoint_save(const char *dir, int64_t step, const vk_checkpoint_write *what,
                             vk_err *err)
{
  char all[VK_FS_PATH_MAX], part[VK_FS_PATH_MAX], name[NAME_SIZE], part_name[NAME_SIZE + 32];
  VK_ASSERT(step >= 0);
  name_of(step, name);
  snprintf(part_name, sizeof part_name, ".%s.%ld.part", name, (long)getpid());
  VK_TRY(vk_fs_join(all, sizeof all, dir, "checkpoints", err));
  VK_TRY(vk_fs_join(part, sizeof part, all, part_name, err));
  VK_TRY(vk_fs_make_dirs(all, err));
  remove_leftovers(all);
  vk_status st = put_all(part, step, what, err);
  if (st == VK_OK)
    st = put_in_place(all, part, name, err);
  if (st != VK_OK) {
    vk_checkpoint_remove_tree(part);
    return name_place(err, part_name, name), st;
  }
  VK_TRY(put_link(all, "last", name, err));
  if (what->is_best)
    VK_TRY(put_link(all, "best", name, err));
  sync_dir(all);
  if (what->n_keep > 0)
    prune(all, what->n_keep);
  return VK_OK;
}
