#include "cmd/fetch.h"

#include <stdio.h>
#include <string.h>

#include "core/hash.h"
#include "core/http.h"
#include "core/progress.h"

static const uint64_t fetch_bytes_max = 4ull << 30;

/* An address taken apart. */
typedef struct address {
  char url[2048];  /* without "#..." */
  char name[256];  /* of the file */
  char sha256[65]; /* "" when the address gives none */
} address;

bool vk_fetch_is_url(const char *word)
{
  return strstr(word, "://") != NULL;
}

static vk_status split_address(address *a, const char *word, vk_err *err)
{
  static const char mark[] = "sha256=";
  size_t n_url = strcspn(word, "#");
  const char *hash = word + n_url;
  a->sha256[0] = '\0';
  if (strncmp(word, "https://", 8) != 0 || n_url >= sizeof a->url)
    return vk_fail(err, VK_E_USAGE, "%.200s: files are fetched from https:// addresses only", word);
  memcpy(a->url, word, n_url);
  a->url[n_url] = '\0';
  if (*hash == '#') {
    hash++;
    if (strncmp(hash, mark, sizeof mark - 1) != 0 || strlen(hash) != sizeof mark - 1 + 64 ||
        strspn(hash + sizeof mark - 1, "0123456789abcdef") != 64)
      return vk_fail(err, VK_E_USAGE, "%.200s: \"#\" must be followed by sha256= and 64 hex digits",
                     word);
    memcpy(a->sha256, hash + sizeof mark - 1, 65);
  }
  size_t n_path = strcspn(a->url, "?");
  size_t begin = n_path;
  while (begin > 8 && a->url[begin - 1] != '/')
    begin--;
  size_t n_name = n_path - begin;
  snprintf(a->name, sizeof a->name, "%.*s", (int)n_name, a->url + begin);
  if (begin == 8 || n_name == 0 || n_name >= sizeof a->name || a->name[0] == '.' ||
      strspn(a->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-") !=
          n_name)
    return vk_fail(err, VK_E_USAGE, "%.200s: the address does not end in the name of a file", word);
  return VK_OK;
}

/* Progress in megabytes. */
static void show(void *user, uint64_t n_done, uint64_t n_total)
{
  vk_progress_set(user, (int64_t)(n_done / 1000000), (int64_t)(n_total / 1000000));
}

vk_status vk_fetch(const char *url, vk_log *log, char path[VK_FS_PATH_MAX], vk_err *err)
{
  address a;
  char dir[VK_FS_PATH_MAX], folder[VK_FS_PATH_MAX], hash[65], label[280];
  VK_TRY(split_address(&a, url, err));
  VK_TRY(vk_fs_cache_dir(dir, err));
  VK_TRY(vk_fs_join(folder, sizeof folder, dir, "wheels", err));
  VK_TRY(vk_fs_make_dirs(folder, err));
  VK_TRY(vk_fs_join(path, VK_FS_PATH_MAX, folder, a.name, err));
  if (a.sha256[0] && vk_sha256_file(path, hash, NULL) == VK_OK && strcmp(hash, a.sha256) == 0)
    return VK_OK;
  vk_progress progress;
  snprintf(label, sizeof label, "fetch %s", a.name);
  vk_progress_init(&progress, log, label, "MB", 0, 0);
  const vk_http_request request = {.url = a.url,
                                   .path = path,
                                   .sha256 = a.sha256[0] ? a.sha256 : NULL,
                                   .max_bytes = fetch_bytes_max,
                                   .progress = show,
                                   .user = &progress};
  vk_status st = vk_http_fetch(&request, err);
  vk_progress_fini(&progress);
  return st;
}
