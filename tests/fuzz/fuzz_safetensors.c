/* fuzz_safetensors.c - any bytes as a file of tensors, as a header with the right length before it,
 * so that mutations need not keep that, and as an index of shards. */
#include <stdlib.h>
#include <string.h>

#include "core/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void read_tensors(const uint8_t *bytes, size_t n)
{
  vk_err err = VK_ERR_INIT;
  vk_safetensors s;
  if (vk_safetensors_parse(&s, bytes, n, "fuzz", &err) != VK_OK) {
    VK_ASSERT(err.code != VK_OK && err.text[0] && !s.tensor && !s.file);
    return;
  }
  size_t n_data = 0;
  volatile uint8_t sum = 0; /* every byte can be read */
  for (int64_t i = 0; i < s.n_tensor; i++) {
    const vk_safetensor *t = &s.tensor[i];
    VK_ASSERT(vk_safetensors_find(&s, t->name) == t);
    VK_ASSERT(t->bytes >= bytes && t->bytes + t->n_byte <= bytes + n);
    n_data += t->n_byte;
    for (size_t k = 0; k < t->n_byte; k++)
      sum = (uint8_t)(sum + t->bytes[k]);
    float *x = malloc(((size_t)t->n_item + 1) * sizeof *x);
    VK_ASSERT(x);
    vk_safetensors_want want = {.name = t->name, .n_dim = t->n_dim, .dst = x};
    memcpy(want.shape, t->shape, sizeof want.shape);
    vk_status st = vk_safetensors_load(&s, &want, 1, &err);
    VK_ASSERT(st == VK_OK || st == VK_E_MISMATCH);
    VK_ASSERT((st == VK_OK) == (s.n_tensor == 1 && vk_safetensors_read_f32(t, x, NULL) == VK_OK));
    free(x);
  }
  uint64_t n_header;
  memcpy(&n_header, bytes, 8);
  VK_ASSERT(8 + n_header + n_data == n);
  vk_safetensors_meta(&s, "format");
  vk_safetensors_close(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  read_tensors(bytes, n);
  /* the header ends at the last '}' */
  size_t n_header = n;
  while (n_header > 0 && bytes[n_header - 1] != '}')
    n_header--;
  uint8_t *file = malloc(8 + n);
  VK_ASSERT(file);
  uint64_t length = n_header;
  memcpy(file, &length, 8);
  if (n > 0)
    memcpy(file + 8, bytes, n);
  read_tensors(file, 8 + n);
  free(file);

  vk_err err = VK_ERR_INIT;
  cJSON *index;
  if (vk_safetensors_parse_index(&index, (const char *)bytes, n, "fuzz", &err) != VK_OK)
    VK_ASSERT(err.text[0] && !index);
  cJSON_Delete(index);
  return 0;
}
