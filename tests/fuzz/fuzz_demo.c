/* fuzz_demo.c - any arrays as a store of demonstrations. The input is a meta text of u16 bytes,
 * then arrays: u8 name, u8 type, u8 dimensions, u8 each; their items are made of what follows. (An
 * npz archive's checksums would keep mutations out: fuzz_npz reads those.) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rl/demo_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

typedef struct input {
  const uint8_t *p, *end;
} input;

static unsigned take(input *in)
{
  return in->p < in->end ? *in->p++ : 0;
}

static bool add_array(vk_npz *npz, const char *name, char kind, int item_size, int n_dim,
                      const int64_t *shape, const void *data, size_t n)
{
  vk_array *a = &npz->array[npz->n_array];
  *a = (vk_array){.kind = kind, .item_size = item_size, .n_dim = n_dim, .n_item = 1};
  snprintf(a->name, sizeof a->name, "%s", name);
  for (int d = 0; d < n_dim; d++)
    a->n_item *= a->shape[d] = shape[d];
  size_t n_byte = (size_t)a->n_item * (size_t)a->item_size;
  a->data = calloc(n_byte + 1, 1);
  if (!a->data)
    return false;
  memcpy(a->data, data, n < n_byte ? n : n_byte);
  npz->n_array++;
  return true;
}

static void take_arrays(vk_npz *npz, input *in)
{
  static const char *const names[] = {"actions", "executed",      "states", "proprio",
                                      "rewards", "picture_state", "odd"};
  static const char kinds[] = "ffuf";
  static const int sizes[] = {8, 8, 1, 4};
  while (in->p < in->end && npz->n_array < 30) {
    char name[40];
    unsigned which = take(in), type = take(in) % 4, n_dim = take(in) % 4;
    int64_t shape[4];
    for (unsigned d = 0; d < n_dim; d++)
      shape[d] = take(in) % 40;
    snprintf(name, sizeof name, "demo_%u/%s", which / 16, names[which % VK_COUNT(names)]);
    size_t left = (size_t)(in->end - in->p);
    if (!add_array(npz, name, kinds[type], sizes[type], (int)n_dim, shape, in->p, left))
      return;
    size_t n_byte = (size_t)npz->array[npz->n_array - 1].n_item * (size_t)sizes[type];
    in->p += n_byte < left ? n_byte : left;
  }
}

/* Everything that a demonstration says can be read. */
static void use(const vk_demo *d)
{
  VK_ASSERT(d->n_step > 0 && d->n_obs > 0 && d->n_state_row >= d->n_step);
  volatile double sum = 0;
  for (int i = 0; i < d->n_step * VK_N_ACTION; i++)
    sum = sum + d->action[i] + d->executed[i];
  for (int i = 0; i < d->n_state_row * d->n_state; i++)
    sum = sum + d->state[i];
  for (int i = 0; i < d->n_obs * VK_N_PROPRIO; i++)
    sum = sum + d->proprio[i];
  for (int i = 0; i < d->n_obs * d->n_picture_state; i++)
    sum = sum + d->picture_state[i];
  for (int t = 0; t < d->n_step; t++)
    sum = sum + d->reward[t] + d->done[t];
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  input in = {bytes, bytes + n};
  vk_npz npz = {.array = calloc(32, sizeof *npz.array)};
  vk_demo_info info;
  vk_err err = VK_ERR_INIT;
  void *state = NULL;
  int *number = NULL, n_demo = 0;
  if (!npz.array)
    return 0;
  size_t n_meta = take(&in);
  n_meta = n_meta * 256 + take(&in);
  n_meta = n_meta < (size_t)(in.end - in.p) ? n_meta : (size_t)(in.end - in.p);
  if (n_meta > 0)
    add_array(&npz, "meta", 'S', (int)n_meta, 0, NULL, in.p, n_meta);
  in.p += n_meta;
  take_arrays(&npz, &in);
  vk_status st = vk_demo_store_take(&state, &npz, "fuzz", &info, &number, &n_demo, &err);
  VK_ASSERT(st == VK_OK || (err.code == st && err.text[0]));
  for (int i = 0; st == VK_OK && i < n_demo; i++) {
    vk_demo d = {0};
    st = vk_demo_store_reader.read(state, &info, number[i], false, &d, &err);
    if (st == VK_OK && vk_demo_check(&d, &err) == VK_OK) {
      use(&d);
      vk_demo_drop_noops(&d);
      use(&d);
    }
    VK_ASSERT(st == VK_OK || (err.code == st && err.text[0]));
    vk_demo_free(&d);
    st = VK_OK;
  }
  if (state)
    vk_demo_store_reader.close(state);
  free(number);
  return 0;
}
