#include "sim/visuals_choose.h"

#include <string.h>

#include "sim/standin.h"

bool vk_visuals_is_name(const char *word)
{
  return strcmp(word, "stand-in") == 0 || strcmp(word, "original") == 0;
}

vk_status vk_visuals_word_absolute(char out[VK_FS_PATH_MAX], const char *word, vk_err *err)
{
  if (!vk_visuals_is_name(word) && vk_fs_is_file(word))
    return vk_fs_absolute(out, word, err);
  return vk_fs_join(out, VK_FS_PATH_MAX, "", word, err);
}

vk_status vk_visuals_choose(vk_visuals *visuals, const char *word, const vk_pack *pack, vk_err *err)
{
  char path[VK_FS_PATH_MAX];
  memset(visuals, 0, sizeof *visuals);
  bool is_cached = vk_visuals_cache_path(path, NULL) == VK_OK && vk_fs_is_file(path);
  if ((!word && !is_cached) || (word && strcmp(word, "stand-in") == 0))
    return vk_standin_build(visuals, pack, err);
  if (word && strcmp(word, "original") == 0 && !is_cached)
    return vk_fail(err, VK_E_NOTFOUND,
                   "there are no original visuals in the cache: make them with "
                   "tools/get-assets.sh (`vlakit import libero`), or take stand-in instead");
  if (!word || strcmp(word, "original") == 0)
    return vk_visuals_open_file(visuals, path, "original", err);
  vk_status st = vk_visuals_open_file(visuals, word, "file", err);
  if (st == VK_E_NOTFOUND)
    return vk_fail(err, VK_E_USAGE,
                   "there are no visuals \"%s\", expected stand-in, original or a file made by "
                   "`vlakit import libero`",
                   word);
  return st;
}
