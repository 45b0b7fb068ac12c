#include "core/hash.h"

#include <errno.h>
#include <unistd.h>

#include "core/fs.h"

void vk_sha256_init(vk_sha256 *h)
{
  sha256_init(&h->ctx);
}

void vk_sha256_add(vk_sha256 *h, const void *bytes, size_t n)
{
  if (n)
    sha256_update(&h->ctx, n, bytes);
}

void vk_sha256_end(vk_sha256 *h, uint8_t digest[32])
{
  sha256_digest(&h->ctx, SHA256_DIGEST_SIZE, digest);
}

void vk_sha256_end_hex(vk_sha256 *h, char hex[65])
{
  static const char digit[] = "0123456789abcdef";
  uint8_t digest[32];
  vk_sha256_end(h, digest);
  for (int i = 0; i < 32; i++) {
    hex[2 * i] = digit[digest[i] >> 4];
    hex[2 * i + 1] = digit[digest[i] & 15];
  }
  hex[64] = '\0';
}

void vk_sha256_hex(const void *bytes, size_t n, char hex[65])
{
  vk_sha256 h;
  vk_sha256_init(&h);
  vk_sha256_add(&h, bytes, n);
  vk_sha256_end_hex(&h, hex);
}

vk_status vk_sha256_file(const char *path, char hex[65], vk_err *err)
{
  int fd;
  VK_TRY(vk_fs_open(&fd, path, NULL, err));
  vk_status st = VK_OK;
  vk_sha256 h;
  vk_sha256_init(&h);
  uint8_t buf[32768];
  for (;;) {
    ssize_t n = read(fd, buf, sizeof buf);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      st = vk_fs_fail(err, path, "read");
      goto done;
    }
    if (n == 0)
      break;
    vk_sha256_add(&h, buf, (size_t)n);
  }
  vk_sha256_end_hex(&h, hex);
done:
  close(fd);
  return st;
}
