/* video_none.c - core/video.h of a build without films (meson option "film"). */
#include "core/video.h"

static vk_status fail(vk_err *err)
{
  return vk_fail(err, VK_E_UNSUPPORTED,
                 "films are not part of this build; install FFmpeg's libraries (Debian: apt-get "
                 "install libavcodec-dev libavformat-dev libavutil-dev) and build again");
}

vk_status vk_video_version(char *text, size_t n, vk_err *err)
{
  return fail(err);
}

vk_status vk_video_new(vk_video **out, const vk_video_config *config, vk_err *err)
{
  *out = NULL;
  return fail(err);
}

void vk_video_free(vk_video *video)
{
}

vk_status vk_video_add(vk_video *video, const uint8_t *pixel, size_t row_bytes, vk_err *err)
{
  return fail(err);
}

vk_status vk_video_write(vk_video *video, const char *path, vk_err *err)
{
  return fail(err);
}
