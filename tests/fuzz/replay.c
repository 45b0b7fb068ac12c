/* replay.c - main of fuzz targets in builds without libFuzzer: runs every file of the folders named
 * as arguments once. Words that begin with "-" are libFuzzer's and are passed over. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* A malloc of exactly the file's size, so that a sanitizer sees reads past its end. */
static int run_file(const char *path)
{
  FILE *file = fopen(path, "rb");
  long n = 0;
  if (!file || fseek(file, 0, SEEK_END) || (n = ftell(file)) < 0 || fseek(file, 0, SEEK_SET)) {
    perror(path);
    return 0;
  }
  uint8_t *bytes = malloc(n ? (size_t)n : 1);
  int ok = bytes && fread(bytes, 1, (size_t)n, file) == (size_t)n;
  fclose(file);
  if (ok)
    LLVMFuzzerTestOneInput(bytes, (size_t)n);
  free(bytes);
  return ok;
}

int main(int argc, char **argv)
{
  int n_run = 0;
  for (int i = 1; i < argc; i++) {
    if (argv[i][0] == '-')
      continue;
    DIR *folder = opendir(argv[i]);
    if (!folder) {
      perror(argv[i]);
      return 1;
    }
    for (struct dirent *entry; (entry = readdir(folder));) {
      char path[4096];
      if (entry->d_name[0] == '.')
        continue;
      snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
      if (!run_file(path))
        return 1;
      n_run++;
    }
    closedir(folder);
  }
  printf("%d inputs\n", n_run);
  return n_run == 0; /* an empty corpus tests nothing */
}
