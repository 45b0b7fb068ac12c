/* fuzz_pack.c - any bytes as a scene pack; mark, version, length and hash are made right, so that
 * mutations get behind them. What opens can be composed, named and read without another check.
 * corpus/pack/small.pack is the pack of tests/unit/test_pack.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "seal.h"
#include "sim/scene.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void use_task(const vk_pack *pack, const vk_pack_task *task)
{
  char *text = NULL;
  uint32_t *found = calloc(pack->n_task + 1, sizeof *found), n_found;
  double *row = calloc(task->n_state, sizeof *row);
  VK_ASSERT(found && row);
  if (vk_compose_mjcf(pack, task, &text, NULL) == VK_OK)
    VK_ASSERT(strlen(text) > 0);
  free(text);
  if (task->n_row > 0) {
    VK_ASSERT(vk_pack_init_row(pack, task, task->n_row - 1, row, NULL) == VK_OK);
    for (uint32_t k = 0; k < task->n_state; k++)
      VK_ASSERT(isfinite(row[k]));
  }
  if (vk_pack_find_tasks(pack, vk_pack_text(pack, task->name), found, &n_found, NULL) == VK_OK)
    VK_ASSERT(n_found >= 1 && n_found <= pack->n_task);
  free(found);
  free(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  vk_err err = VK_ERR_INIT;
  vk_pack pack;
  if (vk_pack_open_bytes(&pack, seal(&vk_pack_kind, bytes, n), n, "fuzz", &err) != VK_OK) {
    VK_ASSERT(err.code != VK_OK && err.text[0] && !pack.bytes);
    return 0;
  }
  for (size_t i = 0; i < pack.n_mesh && pack.mesh[i].n_triangle < 1000; i++) {
    uint8_t *stl = NULL;
    size_t n_stl;
    if (vk_compose_stl(&pack, &pack.mesh[i], &stl, &n_stl, NULL) == VK_OK)
      VK_ASSERT(n_stl == 84 + 50 * (size_t)pack.mesh[i].n_triangle);
    free(stl);
  }
  for (size_t i = 0; i < pack.n_task && i < 8; i++)
    use_task(&pack, &pack.task[i]);
  vk_pack_close(&pack);
  return 0;
}
