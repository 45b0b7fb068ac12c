#include "sim/mjcf.h"

#include <string.h>

const char *const vk_mjcf_tag_name[VK_MJCF_TAG_N] = {
#define X(constant, spelling) spelling,
    VK_MJCF_TAGS(X)
#undef X
};

const char *const vk_mjcf_key_name[VK_MJCF_KEY_N] = {
#define X(constant, spelling, text) spelling,
    VK_MJCF_KEYS(X)
#undef X
};

const unsigned char vk_mjcf_key_text[VK_MJCF_KEY_N] = {
#define X(constant, spelling, text) text,
    VK_MJCF_KEYS(X)
#undef X
};

static int find_name(const char *const *names, int n, const char *name)
{
  for (int i = 0; i < n; i++)
    if (strcmp(names[i], name) == 0)
      return i;
  return -1;
}

int vk_mjcf_find_tag(const char *name)
{
  return find_name(vk_mjcf_tag_name, VK_MJCF_TAG_N, name);
}

int vk_mjcf_find_key(const char *name)
{
  return find_name(vk_mjcf_key_name, VK_MJCF_KEY_N, name);
}
