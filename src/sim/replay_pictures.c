#include "sim/replay_pictures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/image.h"

enum { SIDE_MAX = VK_REPLAY_PICTURES_SIDE_MAX, PATH_MAX_BYTES = 2 * VK_FS_PATH_MAX };
static const char *const moments[2] = {"start", "end"};
static const char *const views[2] = {"agentview", "eye_in_hand"};
static const char *const cameras[2] = {"agentview", "robot0_eye_in_hand"};
static const int sides[2] = {128, SIDE_MAX};

double vk_psnr_db(const uint8_t *a, const uint8_t *b, size_t n)
{
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    double d = (double)a[i] - (double)b[i];
    sum += d * d;
  }
  return sum > 0 ? fmin(99, 10 * log10(255.0 * 255.0 * (double)n / sum)) : 99;
}

typedef struct gallery {
  const vk_replay_pictures_config *config;
  char folder[PATH_MAX_BYTES], name[VK_PACK_NAME_MAX + 1];
  vk_stage *stage;
  vk_pool *pool;
  double *state[2]; /* start, end */
  uint8_t *pixel;   /* [SIDE_MAX][SIDE_MAX][3] */
  uint8_t *wide;    /* [SIDE_MAX][3 SIDE_MAX][3] */
} gallery;

/* Splits ".../recordings/NAME.npz" and finds ".../libero_images". */
static vk_status find_folder(gallery *g, vk_err *err)
{
  const char *file = g->config->file, *slash = strrchr(file, '/');
  const char *base = slash ? slash + 1 : file, *dot = strrchr(base, '.');
  size_t n = dot ? (size_t)(dot - base) : strlen(base);
  if (n >= sizeof g->name)
    return vk_fail(err, VK_E_RANGE, "the file's name is too long");
  snprintf(g->name, sizeof g->name, "%.*s", (int)n, base);
  if (g->config->folder)
    snprintf(g->folder, sizeof g->folder, "%s", g->config->folder);
  else
    snprintf(g->folder, sizeof g->folder, "%.*s/../libero_images", slash ? (int)(slash - file) : 1,
             slash ? file : ".");
  return VK_OK;
}

/* Theirs, ours and six times the difference side by side, upright. */
static vk_status keep(gallery *g, const char *name, const uint8_t *want, int side, vk_err *err)
{
  char path[PATH_MAX_BYTES];
  for (int y = 0; y < side; y++)
    for (int x = 0; x < 3 * side; x++) {
      uint8_t *to = g->wide + 3 * ((size_t)y * 3 * (size_t)side + (size_t)x);
      size_t at = 3 * ((size_t)(side - 1 - y) * (size_t)side + (size_t)(x % side));
      for (size_t k = 0; k < 3; k++) {
        int d = 6 * abs(g->pixel[at + k] - want[at + k]);
        to[k] = x < side       ? want[at + k]
                : x < 2 * side ? g->pixel[at + k]
                               : (uint8_t)(d < 255 ? d : 255);
      }
    }
  snprintf(path, sizeof path, "%s/%s_%s.png", g->config->keep_dir, g->name, name);
  return vk_image_write(path, g->wide, 3 * side, side, 3, err);
}

static vk_status draw(const gallery *g, const double *state, const char *camera, int side,
                      vk_err *err)
{
  vk_render_config config = vk_render_defaults;
  config.width = config.height = side;
  config.n_sample = g->config->n_sample;
  config.turn = VK_TURN_GL;
  config.isa = g->config->isa;
  vk_shot shot = {.stage = g->stage, .state = state, .pixel = g->pixel};
  vk_renderer *renderer = NULL;
  VK_TRY(vk_stage_find_camera(g->stage, camera, &shot.i_camera, err));
  VK_TRY(vk_renderer_new(&renderer, &config, g->pool, err));
  vk_status st = vk_render(renderer, &shot, 1, NULL, err);
  vk_renderer_free(renderer);
  return st;
}

static vk_status compare(gallery *g, int i_moment, int i_view, int side, vk_replay_pictures *out,
                         vk_err *err)
{
  char name[40], path[2 * PATH_MAX_BYTES];
  vk_image want = {0};
  snprintf(name, sizeof name, "%s_%s_%d", moments[i_moment], views[i_view], side);
  snprintf(path, sizeof path, "%s/%s_%s.png", g->folder, g->name, name);
  if (!vk_fs_is_file(path))
    return VK_OK;
  VK_TRY(vk_image_read(&want, path, err));
  vk_status st = VK_OK;
  if (want.width != side || want.height != side || want.n_channel != 3) {
    st = vk_fail(err, VK_E_SHAPE, "%s: %d x %d pixels of %d bytes, expected %d x %d of 3", path,
                 want.width, want.height, want.n_channel, side, side);
    goto done;
  }
  VK_TRY_DONE(draw(g, g->state[i_moment], cameras[i_view], side, err));
  snprintf(out->picture[out->n].name, sizeof out->picture[0].name, "%s", name);
  out->picture[out->n].side = side;
  out->picture[out->n].psnr_db = vk_psnr_db(g->pixel, want.pixel, 3 * (size_t)side * (size_t)side);
  out->n++;
  if (g->config->keep_dir)
    st = keep(g, name, want.pixel, side, err);
done:
  vk_image_free(&want);
  return st;
}

static vk_status compare_all(gallery *g, const vk_npz *rec, const vk_scene *scene,
                             vk_replay_pictures *out, vk_err *err)
{
  size_t n = (size_t)vk_picture_n_state(scene);
  g->state[0] = calloc(2 * n, sizeof *g->state[0]);
  g->pixel = malloc(3 * SIDE_MAX * SIDE_MAX);
  g->wide = malloc(9 * SIDE_MAX * SIDE_MAX);
  if (!g->state[0] || !g->pixel || !g->wide)
    return vk_fail(err, VK_E_NOMEM, "no memory for pictures");
  g->state[1] = g->state[0] + n;
  VK_TRY(vk_pool_new(&g->pool, 1, err));
  VK_TRY(vk_stage_new(&g->stage, scene, g->config->visuals, err));
  VK_TRY(vk_replay_picture_states(rec, scene, g->config->isa, g->state[0], g->state[1], err));
  for (int m = 0; m < 2; m++)
    for (int v = 0; v < 2; v++)
      for (int s = 0; s < 2; s++)
        VK_TRY(compare(g, m, v, sides[s], out, err));
  if (out->n == 0)
    return vk_fail(err, VK_E_NOTFOUND,
                   "no picture %s/%s_{start,end}_{agentview,eye_in_hand}_{128,256}.png: name their "
                   "folder with --images",
                   g->folder, g->name);
  return VK_OK;
}

vk_status vk_replay_pictures_run(vk_replay_pictures *out, const vk_npz *rec, const vk_scene *scene,
                                 const vk_replay_pictures_config *config, vk_err *err)
{
  gallery g = {.config = config};
  *out = (vk_replay_pictures){0};
  VK_TRY(find_folder(&g, err));
  vk_status st = compare_all(&g, rec, scene, out, err);
  vk_stage_free(g.stage);
  vk_pool_free(g.pool);
  free(g.state[0]);
  free(g.pixel);
  free(g.wide);
  return st;
}
