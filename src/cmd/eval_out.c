#include "cmd/eval_out.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/report_html.h"

vk_status vk_eval_out_path(char path[VK_FS_PATH_MAX], const char *dir, vk_err *err)
{
  char here[VK_FS_PATH_MAX];
  char *real = realpath(dir, NULL); /* NULL when it does not exist yet */
  vk_status st = VK_OK;
  if (!real && !getcwd(here, sizeof here))
    st = vk_fs_fail(err, ".", "look at");
  else
    st = vk_fs_join(path, VK_FS_PATH_MAX, real ? "" : here, real ? real : dir, err);
  free(real);
  return st;
}

static vk_status fail_used(const char *dir, const char *name, vk_err *err)
{
  return vk_fail(err, VK_E_USAGE,
                 "--out: %s holds the results of another run (%s is there); name another "
                 "folder, or go on with that run by --resume",
                 dir, name);
}

/* A new run does not mix its files with another's. */
static vk_status check_unused(const char *dir, vk_err *err)
{
  static const char *const names[] = {"report.html", "results.json", "films", "frames"};
  char path[VK_FS_PATH_MAX];
  for (size_t i = 0; i < VK_COUNT(names); i++) {
    VK_TRY(vk_fs_join(path, sizeof path, dir, names[i], err));
    if (vk_fs_is_file(path) || vk_fs_is_dir(path))
      return fail_used(dir, names[i], err);
  }
  return VK_OK;
}

/* Makes the folder for pictures, which of two runs that begin at once only one can. */
static vk_status claim(vk_eval_out *out, bool is_resumed, vk_err *err)
{
  char path[VK_FS_PATH_MAX];
  VK_TRY(vk_fs_join(path, sizeof path, out->dir, "frames", err));
  if (mkdir(path, 0777) != 0 && !(is_resumed && errno == EEXIST))
    return errno == EEXIST ? fail_used(out->dir, "frames", err) : vk_fs_fail(err, path, "make");
  out->is_claimed = true;
  return VK_OK;
}

vk_status vk_eval_out_open(vk_eval_out *out, const char *dir, bool is_resumed,
                           const vk_film_config *film, vk_err *err)
{
  memset(out, 0, sizeof *out);
  if (!is_resumed)
    VK_TRY(check_unused(dir, err));
  vk_status st = vk_fs_make_dirs(dir, err);
  if (st == VK_OK && access(dir, W_OK | X_OK) != 0)
    st = vk_fs_fail(err, dir, "write in this folder");
  if (st != VK_OK)
    return vk_err_prefix(err, "--out");
  VK_TRY(vk_eval_out_path(out->dir, dir, err));
  VK_TRY(claim(out, is_resumed, err));
  vk_fs_remove_leftovers(out->dir);
  if (!film->visuals)
    return VK_OK;
  vk_film_config config = *film;
  config.dir = out->dir;
  st = vk_film_new(&out->film, &config, err);
  return st == VK_OK ? st : vk_err_prefix(err, "--film");
}

void vk_eval_out_close(vk_eval_out *out)
{
  char path[VK_FS_PATH_MAX];
  vk_film_free(out->film);
  if (out->is_claimed && vk_fs_join(path, sizeof path, out->dir, "frames", NULL) == VK_OK)
    rmdir(path); /* when it stayed empty */
  memset(out, 0, sizeof *out);
}

static vk_status write_results(const char *dir, const cJSON *results, vk_err *err)
{
  char path[VK_FS_PATH_MAX], *text = NULL;
  vk_fs_writer w;
  VK_TRY(vk_fs_join(path, sizeof path, dir, "results.json", err));
  VK_TRY(vk_json_text(&text, results, err));
  vk_status st = vk_fs_writer_open(&w, path, err);
  if (st == VK_OK)
    st = vk_fs_writer_add(&w, text, strlen(text), err);
  if (st == VK_OK)
    st = vk_fs_writer_add(&w, "\n", 1, err);
  if (st == VK_OK)
    st = vk_fs_writer_commit(&w, err);
  cJSON_free(text);
  return st;
}

vk_status vk_eval_out_write(const vk_eval_out *out, const vk_report *report, const cJSON *results,
                            const vk_pack *pack, const char *repeat, vk_err *err)
{
  VK_TRY(write_results(out->dir, results, err));
  return vk_report_write_html(report, pack, out->dir, repeat, err);
}
