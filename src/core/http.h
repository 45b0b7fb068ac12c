/* http.h - fetches a file from an https:// address, by libcurl, which is opened on first use: a
 * program that fetches nothing neither loads nor needs it. Test: tests/unit/test_http.c */
#ifndef VK_CORE_HTTP_H
#define VK_CORE_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

typedef struct vk_http_request {
  const char *url;
  const char *path;   /* the file to make or replace, whole or not at all */
  const char *sha256; /* 64 hex digits that it must have; NULL: unknown */
  uint64_t max_bytes; /* more is refused */
  double stall_s;     /* give up after so many seconds without a byte; 0: 60 */
  /* Called about once a second and at the end; n_total is 0 while unknown. May be NULL. */
  void (*progress)(void *user, uint64_t n_done, uint64_t n_total);
  void *user;
  /* For tests: http:// is allowed to 127.0.0.1; another library than the system's libcurl. */
  bool allow_loopback;
  const char *library;
} vk_http_request;

/* Which libcurl there is: "libcurl/7.88.1", cut to n bytes with the NUL. Errors: VK_E_UNSUPPORTED
 * (none; names the package to install). */
VK_NODISCARD vk_status vk_http_version(char *text, size_t n, vk_err *err);

/* Fetches into PATH.part and renames that to PATH at the end. At most 5 redirections, to https
 * only. With sha256 known, a PATH.part that an earlier try left is continued where it ends, and
 * thrown away when the result is wrong; without, nothing would show that it is of another version,
 * and it is fetched anew. Errors: VK_E_USAGE (not https), VK_E_UNSUPPORTED (no libcurl: names the
 * package to install), VK_E_NOTFOUND (404, 410, or no such folder), VK_E_IO (network, server,
 * disk), VK_E_RANGE (larger than max_bytes), VK_E_MISMATCH (SHA-256), VK_E_INTERRUPTED. */
VK_NODISCARD vk_status vk_http_fetch(const vk_http_request *request, vk_err *err);

#endif
