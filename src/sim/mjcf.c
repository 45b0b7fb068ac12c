#include "sim/mjcf.h"

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
