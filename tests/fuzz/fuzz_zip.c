/* fuzz_zip.c - any bytes as a zip archive: opened, listed, searched and unpacked. */
#include <stdlib.h>
#include <string.h>

#include "core/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  enum { MAX = 1 << 20 };
  vk_err err = VK_ERR_INIT;
  vk_zip *zip;
  if (vk_zip_open_bytes(&zip, bytes, n, "fuzz", &err) != VK_OK) {
    VK_ASSERT(err.code != VK_OK && err.text[0] && !zip);
    return 0;
  }
  for (int i = 0; i < vk_zip_count(zip); i++) {
    const vk_zip_entry *e = vk_zip_get(zip, i);
    VK_ASSERT(vk_zip_find(zip, e->name) == e);
    VK_ASSERT(!vk_zip_name_fault(e->name, strlen(e->name)));
    void *out;
    size_t n_out;
    if (vk_zip_read(zip, e, MAX, &out, &n_out, &err) == VK_OK)
      VK_ASSERT(n_out == e->size && n_out <= MAX && ((char *)out)[n_out] == '\0');
    else
      VK_ASSERT(!out);
    free(out);
  }
  vk_zip_free(zip);
  return 0;
}
