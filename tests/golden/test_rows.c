/* Init rows of the pack against recordings: how many, the sum of each and the first, bit for bit.
 *
 *   test_rows FOLDER   FOLDER/libero/NAME.npz */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/npy.h"
#include "sim/pack.h"

enum { SKIP = 77, STATE_MAX = 127 };

/* numpy's pairwise sum of fewer than 128 numbers. */
static double numpy_sum(const double *v, uint32_t n)
{
  double r[8], sum;
  uint32_t i = 8;
  if (n < 8) {
    sum = -0.0;
    for (i = 0; i < n; i++)
      sum += v[i];
    return sum;
  }
  memcpy(r, v, sizeof r);
  for (; i + 8 <= n; i += 8)
    for (int k = 0; k < 8; k++)
      r[k] += v[i + (uint32_t)k];
  sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
  for (; i < n; i++)
    sum += v[i];
  return sum;
}

/* Rows compared, or -1 with the reason printed. */
static int check_file(const vk_pack *pack, const char *path)
{
  vk_npz rec = {0};
  vk_err err = VK_ERR_INIT;
  char name[128];
  uint32_t i_task[2], n_task;
  int n = -1;
  const double *sums, *row0;
  vk_status st = vk_npz_read(&rec, path, 1u << 30, &err);
  if (st == VK_OK)
    st = vk_npz_text(&rec, "task", 0, name, sizeof name, &err);
  if (st == VK_OK)
    st = vk_pack_find_tasks(pack, name, i_task, &n_task, &err);
  if (st == VK_OK)
    st = vk_npz_f64(&rec, "init_row_sums", 1, (int64_t[]){-1}, &sums, &err);
  if (st != VK_OK)
    goto done;
  const vk_pack_task *t = &pack->task[i_task[0]];
  st = vk_npz_f64(&rec, "init_row0", 1, (int64_t[]){t->n_state}, &row0, &err);
  if (st != VK_OK || t->n_state > STATE_MAX)
    goto done;
  if (vk_npz_find(&rec, "init_row_sums")->n_item != t->n_row) {
    printf("FAIL %s: %u rows\n", path, t->n_row);
    goto done;
  }
  for (uint32_t k = 0; k < t->n_row; k++) {
    double row[STATE_MAX];
    if (vk_pack_init_row(pack, t, k, row, &err) != VK_OK)
      goto done;
    double sum = numpy_sum(row, t->n_state);
    if (memcmp(&sum, &sums[k], sizeof sum) != 0 ||
        (k == 0 && memcmp(row, row0, t->n_state * sizeof *row) != 0)) {
      printf("FAIL %s: row %u: sum %.17g, recorded %.17g\n", path, k, sum, sums[k]);
      goto done;
    }
  }
  n = (int)t->n_row;
done:
  if (n < 0 && err.text[0])
    printf("FAIL %s: %s\n", path, err.text);
  vk_npz_free(&rec);
  return n;
}

int main(int argc, char **argv)
{
  vk_err err = VK_ERR_INIT;
  vk_pack pack;
  char folder[1000], path[2000];
  int n_file = 0, n_row = 0, n_bad = 0;
  snprintf(folder, sizeof folder, "%s/libero", argc > 1 ? argv[1] : ".");
  DIR *dir = opendir(folder);
  if (!dir)
    return SKIP;
  if (vk_pack_open(&pack, VK_SOURCE_DIR "/data/libero.pack", &err) != VK_OK) {
    printf("FAIL: %s\n", err.text);
    return 1;
  }
  for (struct dirent *e; (e = readdir(dir));) {
    size_t length = strlen(e->d_name);
    if (length < 4 || strcmp(e->d_name + length - 4, ".npz") != 0)
      continue;
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    int n = check_file(&pack, path);
    n_bad += n < 0;
    n_row += n < 0 ? 0 : n;
    n_file++;
  }
  closedir(dir);
  vk_pack_close(&pack);
  printf("%d rows of %d recordings are equal, %d recordings are not\n", n_row, n_file, n_bad);
  return n_file == 0 ? SKIP : n_bad > 0;
}
