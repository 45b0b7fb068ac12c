#include "core/http.h"

/* CURLOPT_PROTOCOLS is used: its successor is newer than many libcurls. */
#define CURL_DISABLE_DEPRECATION
#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/hash.h"
#include "core/signal.h"
#include "core/version.h"

enum { REDIRECT_MAX = 5, CONNECT_S = 30, STALL_S = 60 };

typedef struct curl_lib {
  CURL *(*init)(void);
  CURLcode (*setopt)(CURL *, CURLoption, ...);
  CURLcode (*perform)(CURL *);
  CURLcode (*getinfo)(CURL *, CURLINFO, ...);
  const char *(*strerror)(CURLcode);
  void (*cleanup)(CURL *);
} curl_lib;

typedef struct transfer {
  const vk_http_request *request;
  const curl_lib *lib;
  CURL *curl;
  char part[VK_FS_PATH_MAX];
  int fd;
  uint64_t n_kept;  /* bytes of an earlier try that the request continues */
  uint64_t n_base;  /* those that the server's answer continues: n_kept, or 0 */
  uint64_t n_file;  /* bytes in the file now */
  uint64_t n_range; /* where the server says that its answer starts; UINT64_MAX: does not say */
  bool has_body;    /* the first byte of the final answer was seen */
  vk_status st;     /* why a callback ended the transfer */
  vk_err *err;
} transfer;

/* ---- libcurl ---- */

/* name NULL: the system's; NULL when there is none. The library stays open: it cannot be closed
 * safely once TLS has started in it. */
static void *open_library(const char *name)
{
  static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl-nss.so.4",
                                      "libcurl.so"};
  if (name)
    return dlopen(name, RTLD_NOW | RTLD_LOCAL);
  void *handle = NULL;
  for (size_t i = 0; !handle && i < VK_COUNT(names); i++)
    handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
  return handle;
}

vk_status vk_http_version(char *text, size_t n, vk_err *err)
{
  void *handle = open_library(NULL), *symbol = handle ? dlsym(handle, "curl_version") : NULL;
  const char *(*version)(void);
  memcpy(&version, &symbol, sizeof version); /* ISO C has no cast from data to function */
  if (!version)
    return vk_fail(err, VK_E_UNSUPPORTED, "there is no libcurl; Debian: apt-get install libcurl4");
  const char *all = version(); /* and the libraries that it uses */
  snprintf(text, n, "%.*s", (int)strcspn(all, " "), all);
  return VK_OK;
}

static vk_status open_curl(curl_lib *lib, const vk_http_request *request, vk_err *err)
{
  void *handle = open_library(request->library);
  if (!handle)
    return vk_fail(err, VK_E_UNSUPPORTED,
                   "%s: cannot be fetched without libcurl; install it (Debian: apt-get install "
                   "libcurl4) or fetch the file by other means",
                   request->url);
  const struct {
    const char *name;
    void *into;
  } need[] = {{"curl_easy_init", &lib->init},         {"curl_easy_setopt", &lib->setopt},
              {"curl_easy_perform", &lib->perform},   {"curl_easy_getinfo", &lib->getinfo},
              {"curl_easy_strerror", &lib->strerror}, {"curl_easy_cleanup", &lib->cleanup}};
  for (size_t i = 0; i < VK_COUNT(need); i++) {
    void *function = dlsym(handle, need[i].name);
    if (!function)
      return vk_fail(err, VK_E_UNSUPPORTED, "%s: the libcurl of this machine lacks %s",
                     request->url, need[i].name);
    memcpy(need[i].into, &function, sizeof function);
  }
  return VK_OK;
}

/* ---- what libcurl calls ---- */

static size_t on_header(char *line, size_t one, size_t n, void *user)
{
  transfer *t = user;
  char text[128];
  size_t n_text = n < sizeof text - 1 ? n : sizeof text - 1;
  memcpy(text, line, n_text);
  text[n_text] = '\0';
  uint64_t start;
  if (strncmp(text, "HTTP/", 5) == 0) /* another answer begins, as after a redirection */
    t->n_range = UINT64_MAX;
  else if (strncasecmp(text, "content-range:", 14) == 0 &&
           sscanf(text + 14, " bytes %" SCNu64 "-", &start) == 1)
    t->n_range = start;
  return n;
}

/* Before the first byte: does the answer continue the file, or start it? */
static vk_status start_body(transfer *t)
{
  long code = 0;
  t->lib->getinfo(t->curl, CURLINFO_RESPONSE_CODE, &code);
  t->has_body = true;
  t->n_base = t->n_kept;
  if (code == 206 && t->n_range == t->n_kept)
    return VK_OK;
  if (code == 206)
    return vk_fail(t->err, VK_E_IO, "%s: the server sent another part of the file than asked for",
                   t->request->url);
  if (ftruncate(t->fd, 0) != 0 || lseek(t->fd, 0, SEEK_SET) != 0)
    return vk_fs_fail(t->err, t->part, "empty");
  t->n_base = t->n_file = 0;
  return VK_OK;
}

static vk_status fail_size(const transfer *t)
{
  return vk_fail(t->err, VK_E_RANGE, "%s: larger than the limit here, %" PRIu64 " bytes",
                 t->request->url, t->request->max_bytes);
}

static size_t on_body(char *bytes, size_t one, size_t n, void *user)
{
  transfer *t = user;
  if (!t->has_body && (t->st = start_body(t)) != VK_OK)
    return 0;
  if (n > t->request->max_bytes - t->n_file) {
    t->st = fail_size(t);
    return 0;
  }
  for (size_t done = 0; done < n;) {
    ssize_t rc = write(t->fd, bytes + done, n - done);
    if (rc < 0 && errno == EINTR)
      continue;
    if (rc < 0) {
      t->st = vk_fs_fail(t->err, t->part, "write");
      return 0;
    }
    done += (size_t)rc;
    t->n_file += (size_t)rc;
  }
  return n;
}

static int on_progress(void *user, curl_off_t n_total, curl_off_t n_done, curl_off_t up_total,
                       curl_off_t up_done)
{
  transfer *t = user;
  if (vk_interrupted()) {
    t->st = vk_fail(t->err, VK_E_INTERRUPTED, "%s: interrupted after %" PRIu64 " bytes",
                    t->request->url, t->n_file);
    return 1;
  }
  if (t->request->progress && t->has_body)
    t->request->progress(t->request->user, t->n_file,
                         n_total > 0 ? t->n_base + (uint64_t)n_total : 0);
  return 0;
}

/* ---- one request ---- */

static void set_options(transfer *t, char reason[CURL_ERROR_SIZE], const char *range)
{
  const vk_http_request *r = t->request;
  CURL *c = t->curl;
  CURLcode (*set)(CURL *, CURLoption, ...) = t->lib->setopt;
  long protocols = r->allow_loopback ? CURLPROTO_HTTP : CURLPROTO_HTTPS;
  set(c, CURLOPT_URL, r->url);
  set(c, CURLOPT_PROTOCOLS, protocols);
  set(c, CURLOPT_REDIR_PROTOCOLS, protocols);
  set(c, CURLOPT_FOLLOWLOCATION, 1L);
  set(c, CURLOPT_MAXREDIRS, (long)REDIRECT_MAX);
  set(c, CURLOPT_FAILONERROR, 1L);
  set(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
  set(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(c, CURLOPT_LOW_SPEED_TIME, r->stall_s > 0 ? (long)(r->stall_s + 0.5) : (long)STALL_S);
  set(c, CURLOPT_NOSIGNAL, 1L);
  set(c, CURLOPT_MAXFILESIZE_LARGE,
      (curl_off_t)(r->max_bytes < INT64_MAX ? r->max_bytes : INT64_MAX));
  char agent[64];
  snprintf(agent, sizeof agent, "vlakit/%s", vk_version());
  set(c, CURLOPT_USERAGENT, agent); /* copied */
  set(c, CURLOPT_ERRORBUFFER, reason);
  set(c, CURLOPT_HEADERFUNCTION, on_header);
  set(c, CURLOPT_HEADERDATA, t);
  set(c, CURLOPT_WRITEFUNCTION, on_body);
  set(c, CURLOPT_WRITEDATA, t);
  set(c, CURLOPT_NOPROGRESS, 0L);
  set(c, CURLOPT_XFERINFOFUNCTION, on_progress);
  set(c, CURLOPT_XFERINFODATA, t);
  if (r->allow_loopback)
    set(c, CURLOPT_PROXY, "");
  if (range)
    set(c, CURLOPT_RANGE, range);
}

/* code: the server's answer, 0 when there was none. */
static vk_status fail_transfer(const transfer *t, CURLcode rc, long code, const char *reason)
{
  const char *url = t->request->url;
  if (t->st != VK_OK)
    return t->st;
  if (rc == CURLE_FILESIZE_EXCEEDED)
    return fail_size(t);
  if (rc == CURLE_HTTP_RETURNED_ERROR)
    return vk_fail(t->err, code == 404 || code == 410 ? VK_E_NOTFOUND : VK_E_IO,
                   "%s: the server answered %ld%s", url, code,
                   code == 404 || code == 410 ? ", which means that there is no such file" : "");
  if (rc == CURLE_TOO_MANY_REDIRECTS)
    return vk_fail(t->err, VK_E_IO, "%s: led on more than %d times", url, REDIRECT_MAX);
  char hint[64] = "";
  if (t->n_file > 0 && t->request->sha256)
    snprintf(hint, sizeof hint, "; a new try goes on after %" PRIu64 " bytes", t->n_file);
  return vk_fail(t->err, VK_E_IO, "%s: cannot be fetched: %s%s", url,
                 reason[0] ? reason : t->lib->strerror(rc), hint);
}

/* *code: the server's answer. */
static vk_status run_request(transfer *t, long *code)
{
  char reason[CURL_ERROR_SIZE] = "", range[32];
  snprintf(range, sizeof range, "%" PRIu64 "-", t->n_kept);
  *code = 0;
  t->curl = t->lib->init();
  if (!t->curl)
    return vk_fail(t->err, VK_E_NOMEM, "%s: no memory to fetch it", t->request->url);
  t->has_body = false;
  t->n_file = t->n_kept;
  set_options(t, reason, t->n_kept > 0 ? range : NULL);
  CURLcode rc = t->lib->perform(t->curl);
  t->lib->getinfo(t->curl, CURLINFO_RESPONSE_CODE, code);
  vk_status st = rc == CURLE_OK ? VK_OK : fail_transfer(t, rc, *code, reason);
  if (st == VK_OK && !t->has_body) /* an empty file */
    st = start_body(t);
  t->lib->cleanup(t->curl);
  return st;
}

/* ---- the file ---- */

static vk_status open_part(transfer *t)
{
  const char *part = t->part;
  t->fd = open(part, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
  if (t->fd < 0)
    return vk_fs_fail(t->err, part, "open");
  /* Another process may finish and rename the file between our open and our lock. */
  struct stat info, named;
  if (flock(t->fd, LOCK_EX | LOCK_NB) != 0 || fstat(t->fd, &info) != 0 || stat(part, &named) != 0 ||
      named.st_ino != info.st_ino || named.st_dev != info.st_dev)
    return vk_fail(t->err, VK_E_IO, "%s: is being fetched by another process", t->request->path);
  if (!S_ISREG(info.st_mode))
    return vk_fail(t->err, VK_E_IO, "%s: not a regular file", part);
  t->n_kept = t->request->sha256 && info.st_size > 0 ? (uint64_t)info.st_size : 0;
  if (t->n_kept > t->request->max_bytes)
    t->n_kept = 0;
  if (ftruncate(t->fd, (off_t)t->n_kept) != 0 || lseek(t->fd, 0, SEEK_END) < 0)
    return vk_fs_fail(t->err, part, "open");
  return VK_OK;
}

static vk_status finish_part(transfer *t)
{
  const char *part = t->part, *path = t->request->path;
  if (fsync(t->fd) != 0)
    return vk_fs_fail(t->err, part, "write");
  if (t->request->sha256) {
    char hex[65];
    VK_TRY(vk_sha256_file(part, hex, t->err));
    if (strcasecmp(hex, t->request->sha256) != 0) {
      unlink(part);
      return vk_fail(t->err, VK_E_MISMATCH,
                     "%s: what was fetched has SHA-256 %s, expected %s; it was thrown away",
                     t->request->url, hex, t->request->sha256);
    }
  }
  if (rename(part, path) != 0)
    return vk_fs_fail(t->err, path, "replace");
  if (t->request->progress)
    t->request->progress(t->request->user, t->n_file, t->n_file);
  return VK_OK;
}

static vk_status fetch(transfer *t)
{
  VK_TRY(open_part(t));
  long code;
  vk_status st = run_request(t, &code);
  if (st != VK_OK && code == 416 && t->n_kept > 0) {
    /* The file is no longer than what is here: this is another version of it, or all of it. */
    t->n_kept = 0;
    if (ftruncate(t->fd, 0) != 0 || lseek(t->fd, 0, SEEK_SET) != 0)
      return vk_fs_fail(t->err, t->part, "empty");
    st = run_request(t, &code);
  }
  if (st == VK_OK)
    st = finish_part(t);
  struct stat info;
  if (st != VK_OK && (!t->request->sha256 || (fstat(t->fd, &info) == 0 && info.st_size == 0)))
    unlink(t->part); /* of no use to a later try */
  return st;
}

vk_status vk_http_fetch(const vk_http_request *request, vk_err *err)
{
  const char *url = request->url;
  bool loopback = request->allow_loopback && strncmp(url, "http://127.0.0.1:", 17) == 0;
  if (!loopback && strncasecmp(url, "https://", 8) != 0)
    return vk_fail(err, VK_E_USAGE, "%s: not an https:// address", url);
  if (request->sha256 && strspn(request->sha256, "0123456789abcdefABCDEF") != 64)
    return vk_fail(err, VK_E_USAGE, "%s: '%s' is not a SHA-256 of 64 hex digits", url,
                   request->sha256);
  curl_lib lib;
  VK_TRY(open_curl(&lib, request, err));
  transfer t = {.request = request, .lib = &lib, .fd = -1, .n_range = UINT64_MAX, .err = err};
  int n = snprintf(t.part, sizeof t.part, "%s.part", request->path);
  if (n < 0 || (size_t)n >= sizeof t.part)
    return vk_fail(err, VK_E_RANGE, "%.200s...: a path of more than %d bytes", request->path,
                   VK_FS_PATH_MAX);
  vk_status st = fetch(&t);
  if (t.fd >= 0)
    close(t.fd);
  return st;
}
