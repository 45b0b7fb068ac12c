#include "rl/view.h"

#include <stdlib.h>
#include <string.h>

#include "rl/demo.h"

_Static_assert((int)VK_VIEW_N == (int)VK_DEMO_N_VIEW && (int)VK_VIEW_PX == (int)VK_DEMO_PX,
               "policies see what demonstrations show");

const vk_view_config vk_view_defaults = {
    .turn = VK_TURN_ROTATE_180, .n_sample = 1, .level_error_px = 0.25f, .isa = VK_ISA_SCALAR};

struct vk_viewer {
  vk_pool *own; /* of one thread; NULL: the caller's pool is used */
  vk_renderer *renderer;
  vk_shot *shot; /* [n_room] */
  int n_room;
};

vk_status vk_viewer_new(vk_viewer **out, const vk_view_config *config, vk_pool *pool, vk_err *err)
{
  vk_viewer *v = *out = NULL;
  vk_render_config c = vk_render_defaults;
  c.width = c.height = VK_VIEW_PX;
  c.n_sample = config->n_sample;
  c.turn = config->turn;
  c.isa = config->isa;
  c.level_error_px = config->level_error_px;
  v = calloc(1, sizeof *v);
  if (!v)
    return vk_fail(err, VK_E_NOMEM, "no memory for a renderer");
  vk_status st = pool ? VK_OK : vk_pool_new(&v->own, 1, err);
  if (st == VK_OK)
    st = vk_renderer_new(&v->renderer, &c, pool ? pool : v->own, err);
  if (st != VK_OK) {
    vk_viewer_free(v);
    return st;
  }
  *out = v;
  return VK_OK;
}

void vk_viewer_free(vk_viewer *v)
{
  if (!v)
    return;
  vk_renderer_free(v->renderer);
  vk_pool_free(v->own);
  free(v->shot);
  free(v);
}

vk_status vk_viewer_draw(vk_viewer *v, const vk_view_shot *shot, int n, vk_err *err)
{
  if (VK_VIEW_N * n > v->n_room) {
    vk_shot *more = realloc(v->shot, sizeof *more * VK_VIEW_N * (size_t)n);
    if (!more)
      return vk_fail(err, VK_E_NOMEM, "no memory for %d pictures", VK_VIEW_N * n);
    v->shot = more;
    v->n_room = VK_VIEW_N * n;
  }
  int camera[VK_VIEW_N], n_shot = 0;
  for (int i = 0; i < n; i++) {
    if (i == 0 || shot[i].stage != shot[i - 1].stage)
      for (int k = 0; k < VK_VIEW_N; k++)
        VK_TRY(vk_stage_find_camera(shot[i].stage, vk_demo_camera[k], &camera[k], err));
    for (int k = 0; k < VK_VIEW_N; k++)
      if (shot[i].pixel[k])
        v->shot[n_shot++] = (vk_shot){.stage = shot[i].stage,
                                      .state = shot[i].state,
                                      .i_camera = camera[k],
                                      .moved = k == 0 ? shot[i].moved : NULL,
                                      .pixel = shot[i].pixel[k]};
  }
  return vk_render(v->renderer, v->shot, n_shot, NULL, err);
}

void vk_view_proprio(const vk_robot_obs *obs, double out[VK_VIEW_PROPRIO])
{
  memcpy(out, obs->eef_pos_m, sizeof obs->eef_pos_m);
  vk_demo_axis_angle(obs->eef_quat_xyzw, out + 3);
  memcpy(out + 6, obs->gripper_q_m, sizeof obs->gripper_q_m);
}
