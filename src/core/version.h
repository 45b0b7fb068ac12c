/* version.h - which program this is. Test: tests/cmd/test_version.sh */
#ifndef VK_CORE_VERSION_H
#define VK_CORE_VERSION_H

/* "0.1.0" */
const char *vk_version(void);

/* Day of the release, "2026-11-25" */
const char *vk_version_date(void);

/* Abbreviated commit, with "-dirty" when the tree had changes; "unknown" outside git. */
const char *vk_version_commit(void);

#endif
