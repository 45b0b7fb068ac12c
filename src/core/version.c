#include "core/version.h"

#include "commit.h"
#include "config.h"

const char *vk_version(void)
{
  return VK_VERSION;
}

const char *vk_version_date(void)
{
  return VK_VERSION_DATE;
}

const char *vk_version_commit(void)
{
  return VK_COMMIT;
}
