#include "rl/train_init.h"

#include <stdio.h>
#include <string.h>

#include "nn/model_nano.h"
#include "rl/protocol.h"
#include "sim/visuals_choose.h"

/* Keys that follow. */
static const char *const keys[] = {"protocol", "views", "visuals"};

static vk_status set(vk_train_config *c, const char *key, const char *value, vk_err *err)
{
  char text[VK_FS_PATH_MAX + 32];
  if (!value || vk_train_config_is_said(c, key))
    return VK_OK;
  snprintf(text, sizeof text, "%s=%.4000s", key, value);
  return vk_train_config_set(c, text, err);
}

/* The protocol that a policy was trained by, or the first that turns pictures as it has seen them;
 * NULL: there is none. */
static const char *protocol_of(const vk_checkpoint_info *info)
{
  const vk_protocol *p;
  if (info->source.protocol[0] && vk_protocol_find(&p, info->source.protocol, NULL) == VK_OK &&
      p->image_turn == info->view.turn)
    return p->name;
  for (p = vk_protocols; p->name; p++)
    if (p->image_turn == info->view.turn)
      return p->name;
  return NULL;
}

/* NULL: a file's place is not known. */
static const char *visuals_of(const vk_checkpoint_info *info)
{
  const char *kind = info->source.visuals;
  return vk_visuals_is_name(kind) ? kind : NULL;
}

vk_status vk_train_follow_init(vk_train_config *c, vk_err *err)
{
  vk_checkpoint_info info;
  char views[16];
  if (!c->init)
    return VK_OK;
  VK_TRY(vk_checkpoint_open(&info, c->init, err));
  snprintf(views, sizeof views, "%d", (int)((const vk_nano_config *)info.model.config)->n_view);
  const char *const value[] = {protocol_of(&info), views, visuals_of(&info)};
  vk_status st = VK_OK;
  for (size_t i = 0; i < VK_COUNT(keys) && st == VK_OK; i++)
    st = set(c, keys[i], value[i], err);
  vk_checkpoint_close(&info);
  return st;
}

vk_status vk_train_follow_begun(vk_train_config *c, const vk_train_config *began, vk_err *err)
{
  char views[16];
  snprintf(views, sizeof views, "%lld", (long long)began->views);
  const char *const value[] = {began->protocol, views, began->visuals};
  for (size_t i = 0; i < VK_COUNT(keys); i++)
    VK_TRY(set(c, keys[i], value[i], err));
  return VK_OK;
}

const char *vk_train_init_differences(const vk_checkpoint_info *init, const vk_view_config *view,
                                      const vk_visuals *visuals, const vk_pack *pack,
                                      char text[VK_CHECKPOINT_TEXT])
{
  vk_checkpoint_differences(&init->source, visuals, pack, text);
  size_t n = strlen(text);
  if (init->path[0] && init->view.turn != view->turn)
    snprintf(text + n, VK_CHECKPOINT_TEXT - n, "%spictures of turn \"%s\", not of \"%s\"",
             n ? " and " : "", vk_picture_turn_name(init->view.turn),
             vk_picture_turn_name(view->turn));
  return text;
}
