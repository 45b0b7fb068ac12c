#include "sim/standin.h"

vk_status vk_standin_build(vk_visuals *out, const vk_pack *pack, vk_err *err)
{
  (void)out, (void)pack;
  return vk_fail(err, VK_E_UNSUPPORTED, "there are no stand-in visuals yet");
}
