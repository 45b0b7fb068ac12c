/* test_http.c - fetching from a server on 127.0.0.1 that this test runs: whole, continued, led on,
 * cut, stalled, too large, wrong. Skipped where there is no libcurl. */
#include "temp_dir.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/hash.h"
#include "core/http.h"

enum { N_BYTE = 300000 };

static uint8_t content[N_BYTE];
static char content_sha256[65];
static int listen_fd;
static int port;
static char last_range[64]; /* of the last request; written before it is answered */

/* ---- the server ---- */

static void send_all(int fd, const void *bytes, size_t n)
{
  for (const char *p = bytes; n > 0;) {
    ssize_t rc = send(fd, p, n, MSG_NOSIGNAL);
    if (rc <= 0)
      return;
    p += rc;
    n -= (size_t)rc;
  }
}

/* n_sent bytes of the content from start, announced as n; says "206" when status does. */
static void send_file(int fd, const char *status, size_t start, size_t said_start, size_t n,
                      size_t n_sent)
{
  char head[300];
  int at = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n", status, n);
  if (strncmp(status, "206", 3) == 0)
    at += snprintf(head + at, sizeof head - (size_t)at, "Content-Range: bytes %zu-%d/%d\r\n",
                   said_start, N_BYTE - 1, N_BYTE);
  at += snprintf(head + at, sizeof head - (size_t)at, "Connection: close\r\n\r\n");
  send_all(fd, head, (size_t)at);
  send_all(fd, content + start, n_sent);
}

static void answer(int fd, const char *path, size_t start)
{
  char head[200];
  if (strcmp(path, "/whole") == 0) {
    if (start >= N_BYTE)
      send_file(fd, "416 Range Not Satisfiable", 0, 0, 0, 0);
    else if (start > 0)
      send_file(fd, "206 Partial Content", start, start, N_BYTE - start, N_BYTE - start);
    else
      send_file(fd, "200 OK", 0, 0, N_BYTE, N_BYTE);
  } else if (strcmp(path, "/norange") == 0) {
    send_file(fd, "200 OK", 0, 0, N_BYTE, N_BYTE);
  } else if (strcmp(path, "/wrongrange") == 0) {
    send_file(fd, "206 Partial Content", start + 5, start + 5, N_BYTE - start - 5,
              N_BYTE - start - 5);
  } else if (strcmp(path, "/empty") == 0) {
    send_file(fd, "200 OK", 0, 0, 0, 0);
  } else if (strcmp(path, "/cut") == 0) {
    send_file(fd, "200 OK", 0, 0, N_BYTE, 100000);
  } else if (strcmp(path, "/endless") == 0) { /* no length: until the client leaves */
    send_all(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", 38);
    while (send(fd, content, N_BYTE, MSG_NOSIGNAL) > 0) {
    }
  } else if (strcmp(path, "/stall") == 0) {
    send_file(fd, "200 OK", 0, 0, N_BYTE, 1000);
    while (recv(fd, head, sizeof head, 0) > 0) {
    }
  } else {
    const char *to = strcmp(path, "/moved") == 0   ? "/whole"
                     : strcmp(path, "/loop") == 0  ? "/loop"
                     : strcmp(path, "/local") == 0 ? "file:///etc/passwd"
                                                   : NULL;
    if (to)
      snprintf(
          head, sizeof head,
          "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 9\r\nConnection: close\r\n\r\n"
          "elsewhere",
          to);
    else
      snprintf(head, sizeof head,
               "HTTP/1.1 %s\r\nContent-Length: 9\r\nConnection: close\r\n\r\nnot there",
               strcmp(path, "/broken") == 0 ? "500 Oops" : "404 Not Found");
    send_all(fd, head, strlen(head));
  }
}

static void *serve(void *user)
{
  for (int fd; (fd = accept(listen_fd, NULL, NULL)) >= 0; close(fd)) {
    char text[2048] = "", path[64] = "";
    size_t n = 0, start = 0;
    for (ssize_t rc; !strstr(text, "\r\n\r\n") && n < sizeof text - 1; n += (size_t)rc) {
      if ((rc = recv(fd, text + n, sizeof text - 1 - n, 0)) <= 0)
        break;
      text[n + (size_t)rc] = '\0';
    }
    const char *range = strstr(text, "Range: ");
    snprintf(last_range, sizeof last_range, "%.*s", range ? (int)strcspn(range, "\r") : 0,
             range ? range : "");
    if (range)
      sscanf(range, "Range: bytes=%zu-", &start);
    if (sscanf(text, "GET %60s", path) == 1)
      answer(fd, path, start);
  }
  return NULL;
}

static int start_server(void **state)
{
  uint32_t seed = 3;
  for (size_t i = 0; i < N_BYTE; i++)
    content[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
  vk_sha256_hex(content, N_BYTE, content_sha256);
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t n = sizeof here;
  listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listen_fd < 0 || bind(listen_fd, (struct sockaddr *)&here, n) != 0 ||
      listen(listen_fd, 5) != 0 || getsockname(listen_fd, (struct sockaddr *)&here, &n) != 0)
    return -1;
  port = ntohs(here.sin_port);
  pthread_t thread;
  if (pthread_create(&thread, NULL, serve, NULL) != 0)
    return -1;
  pthread_detach(thread);
  return make_temp_dir(state);
}

/* ---- the client ---- */

static vk_http_request request_for(const char *path)
{
  static char url[200], file[VK_FS_PATH_MAX];
  snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, path);
  snprintf(file, sizeof file, "%s", in_dir("file"));
  return (vk_http_request){.url = url,
                           .path = file,
                           .max_bytes = 1 << 20,
                           .allow_loopback = true,
                           .sha256 = content_sha256};
}

static void clean(void)
{
  unlink(in_dir("file"));
  unlink(in_dir("file.part"));
  assert_int_equal(n_file_in_dir(), 0);
}

static void assert_fetched(void)
{
  char *bytes;
  size_t n;
  vk_assert_ok(vk_fs_read(&bytes, &n, in_dir("file"), 1 << 20, NULL), NULL);
  assert_int_equal(n, N_BYTE);
  assert_memory_equal(bytes, content, N_BYTE);
  free(bytes);
  assert_int_equal(n_file_in_dir(), 1); /* no .part is left */
}

static uint64_t n_part(void)
{
  char *bytes;
  size_t n = 0;
  if (vk_fs_read(&bytes, &n, in_dir("file.part"), 1 << 20, NULL) == VK_OK)
    free(bytes);
  return n;
}

static void fails(const char *path, vk_status code, const char *says)
{
  vk_err err = VK_ERR_INIT;
  vk_http_request r = request_for(path);
  vk_assert_fails(vk_http_fetch(&r, &err), code);
  vk_assert_says(&err, r.url);
  vk_assert_says(&err, says);
  assert_false(vk_fs_is_file(in_dir("file")));
}

static void on_progress(void *user, uint64_t n_done, uint64_t n_total)
{
  uint64_t *last = user;
  assert_true(n_done >= last[0]);
  last[0] = n_done;
  last[1] = n_total;
}

static void fetches(void **state)
{
  vk_err err = VK_ERR_INIT;
  clean();
  uint64_t last[2] = {0};
  vk_http_request r = request_for("/whole");
  r.progress = on_progress;
  r.user = last;
  vk_assert_ok(vk_http_fetch(&r, &err), &err);
  assert_fetched();
  assert_int_equal(last[0], N_BYTE);
  assert_int_equal(last[1], N_BYTE);
  assert_string_equal(last_range, "");
  /* Over an old file, without a known hash, and led on. */
  vk_assert_ok(vk_fs_write(in_dir("file"), "old", 3, &err), &err);
  r = request_for("/moved");
  r.sha256 = NULL;
  vk_assert_ok(vk_http_fetch(&r, &err), &err);
  assert_fetched();
  clean();
  r = request_for("/empty");
  r.sha256 = NULL;
  vk_assert_ok(vk_http_fetch(&r, &err), &err);
  assert_true(vk_fs_is_file(in_dir("file")));
  clean();
}

static void put_part(const void *bytes, size_t n)
{
  vk_assert_ok(vk_fs_write(in_dir("file.part"), bytes, n, NULL), NULL);
}

static void continues(void **state)
{
  vk_err err = VK_ERR_INIT;
  clean();
  uint64_t last[2] = {0};
  put_part(content, 12345);
  vk_http_request r = request_for("/whole");
  r.progress = on_progress;
  r.user = last;
  vk_assert_ok(vk_http_fetch(&r, &err), &err);
  assert_string_equal(last_range, "Range: bytes=12345-");
  assert_fetched();
  assert_int_equal(last[0], N_BYTE);
  clean();
  /* A server without ranges sends all of it. */
  put_part("wrong", 5);
  r = request_for("/norange");
  vk_assert_ok(vk_http_fetch(&r, &err), &err);
  assert_string_equal(last_range, "Range: bytes=5-");
  assert_fetched();
  clean();
  /* All of it, and more than all of it, is here already. */
  put_part(content, N_BYTE);
  r = request_for("/whole");
  vk_assert_ok(vk_http_fetch(&r, &err), &err);
  assert_fetched();
  clean();
  /* Without a hash nothing is continued. */
  put_part("wrong", 5);
  r = request_for("/whole");
  r.sha256 = NULL;
  vk_assert_ok(vk_http_fetch(&r, &err), &err);
  assert_string_equal(last_range, "");
  assert_fetched();
  clean();
  /* What is here is of another version: seen by the hash, thrown away, right the next time. */
  put_part("wrong", 5);
  fails("/whole", VK_E_MISMATCH, "it was thrown away");
  assert_int_equal(n_file_in_dir(), 0);
  /* Another part than asked for. */
  put_part(content, 100);
  fails("/wrongrange", VK_E_IO, "another part of the file than asked for");
  assert_int_equal(n_part(), 100);
  clean();
}

static void network_faults(void **state)
{
  vk_err err = VK_ERR_INIT;
  clean();
  fails("/none", VK_E_NOTFOUND, "the server answered 404, which means that there is no such file");
  fails("/broken", VK_E_IO, "the server answered 500");
  fails("/loop", VK_E_IO, "led on more than 5 times");
  fails("/local", VK_E_IO, "cannot be fetched");
  assert_int_equal(n_file_in_dir(), 0);
  /* Cut: what came is kept and continued. */
  fails("/cut", VK_E_IO, "a new try goes on after 100000 bytes");
  assert_int_equal(n_part(), 100000);
  vk_http_request r = request_for("/whole");
  vk_assert_ok(vk_http_fetch(&r, &err), &err);
  assert_string_equal(last_range, "Range: bytes=100000-");
  assert_fetched();
  clean();
  r = request_for("/cut");
  r.sha256 = NULL;
  vk_assert_fails(vk_http_fetch(&r, &err), VK_E_IO);
  assert_int_equal(n_file_in_dir(), 0);
  r = request_for("/stall");
  r.stall_s = 1;
  vk_assert_fails(vk_http_fetch(&r, &err), VK_E_IO);
  vk_assert_says(&err, "a new try goes on after 1000 bytes");
  clean();
  /* Nobody listens. */
  r = request_for("/whole");
  char url[100];
  snprintf(url, sizeof url, "http://127.0.0.1:1/");
  r.url = url;
  vk_assert_fails(vk_http_fetch(&r, &err), VK_E_IO);
  assert_int_equal(n_file_in_dir(), 0);
}

static void limits(void **state)
{
  vk_err err = VK_ERR_INIT;
  clean();
  vk_http_request r = request_for("/whole");
  r.max_bytes = N_BYTE - 1;
  vk_assert_fails(vk_http_fetch(&r, &err), VK_E_RANGE);
  vk_assert_says(&err, "larger than the limit here, 299999 bytes");
  assert_int_equal(n_file_in_dir(), 0); /* the length was announced */
  r.max_bytes = N_BYTE;
  vk_assert_ok(vk_http_fetch(&r, &err), &err);
  assert_fetched();
  clean();
  r = request_for("/endless");
  r.sha256 = NULL;
  vk_assert_fails(vk_http_fetch(&r, &err), VK_E_RANGE);
  assert_int_equal(n_file_in_dir(), 0);
  /* A full disk keeps what fits. */
  r = request_for("/whole");
  limit_file_size(100000);
  vk_status st = vk_http_fetch(&r, &err);
  limit_file_size(UINT64_MAX);
  vk_assert_fails(st, VK_E_IO);
  vk_assert_says(&err, "file.part: cannot write: ");
  assert_int_equal(n_part(), 100000);
  vk_assert_ok(vk_http_fetch(&r, &err), &err);
  assert_fetched();
  clean();
}

static void refuses(void **state)
{
  vk_err err = VK_ERR_INIT;
  clean();
  vk_http_request r = request_for("/whole");
  r.allow_loopback = false;
  vk_assert_fails(vk_http_fetch(&r, &err), VK_E_USAGE);
  vk_assert_says(&err, "not an https:// address");
  r.allow_loopback = true;
  static const char *const bad[] = {"http://127.0.0.1.example.org/",
                                    "http://example.org/",
                                    "ftp://x/",
                                    "file:///etc/passwd",
                                    "/etc/passwd",
                                    ""};
  for (size_t i = 0; i < VK_COUNT(bad); i++) {
    r.url = bad[i];
    vk_assert_fails(vk_http_fetch(&r, &err), VK_E_USAGE);
  }
  r = request_for("/whole");
  r.sha256 = "abc";
  vk_assert_fails(vk_http_fetch(&r, &err), VK_E_USAGE);
  r = request_for("/whole");
  r.path = in_dir("no/folder");
  vk_assert_fails(vk_http_fetch(&r, &err), VK_E_NOTFOUND);
  /* Two at once. */
  r = request_for("/whole");
  put_part("", 0);
  FILE *other = fopen(in_dir("file.part"), "r");
  assert_non_null(other);
  assert_int_equal(flock(fileno(other), LOCK_EX), 0);
  vk_assert_fails(vk_http_fetch(&r, &err), VK_E_IO);
  vk_assert_says(&err, "is being fetched by another process");
  fclose(other);
  vk_assert_ok(vk_http_fetch(&r, &err), &err);
  assert_fetched();
  clean();
}

static void without_libcurl(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_http_request r = request_for("/whole");
  r.library = "libcurl-that-is-not-there.so";
  vk_assert_fails(vk_http_fetch(&r, &err), VK_E_UNSUPPORTED);
  vk_assert_says(&err, "apt-get install libcurl4");
  r.library = "libz.so.1";
  vk_assert_fails(vk_http_fetch(&r, &err), VK_E_UNSUPPORTED);
  vk_assert_says(&err, "lacks curl_easy_init");
  assert_int_equal(n_file_in_dir(), 0);
}

int main(void)
{
  vk_err err = VK_ERR_INIT;
  vk_http_request probe = {.url = "https://", .path = "/nowhere/file"};
  if (vk_http_fetch(&probe, &err) == VK_E_UNSUPPORTED) {
    printf("%s\n", err.text);
    return VK_TEST_SKIP;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fetches), cmocka_unit_test(continues), cmocka_unit_test(network_faults),
      cmocka_unit_test(limits),  cmocka_unit_test(refuses),   cmocka_unit_test(without_libcurl),
  };
  return cmocka_run_group_tests(tests, start_server, remove_temp_dir);
}
