/* rl.c - how far this program is from golden files of reinforcement learning: advantages, masks,
 * losses with their gradients, log-probabilities, action tokens. Without arguments it says what it
 * takes. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cpu.h"
#include "core/fs.h"
#include "rl.h"

enum { SKIP = 77, FILE_MAX = 4096, FILE_BYTES = 1 << 28, ARENA_BYTES = 1 << 28 };

static const struct {
  const char *name;
  vk_status (*run)(rl_file *f, vk_err *err);
} kinds[] = {
    {"gae", rl_gae},       {"grpo", rl_grpo},     {"lossmask", rl_lossmask},  {"loss", rl_loss},
    {"policy", rl_policy}, {"action", rl_action}, {"bootstrap", rl_bootstrap}};

static const char usage[] =
    "Usage: tests/parity/rl [--isa ISA] [--threads N] DIR|FILE.npz...\n"
    "\n"
    "Compares advantages, masks, losses with their gradients, log-probabilities and action\n"
    "tokens with golden files, KIND_CASE.npz, whose array meta has hyper-parameters as JSON;\n"
    "tests/parity/small_rl has some.\n"
    "\n"
    "  --isa ISA    scalar, avx2, avx512 or amx (default: the best of this processor)\n"
    "  --threads N  default 1\n"
    "\n"
    "Prints a line a file: how many arrays were compared, the error that is worst beside its\n"
    "bound, that bound, and arrays that nothing was compared with.\n"
    "Exit code 0; 1 when an array is out of its bound, a file cannot be read or nothing was\n"
    "compared; 2 for this text; 77 without golden files or without this ISA.\n";

typedef struct parity {
  vk_target target;
  vk_team *team;
  int n_file, n_array, n_bad, n_unknown;
  char *file[FILE_MAX];
} parity;

static const char *base_name(const char *path)
{
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* Index in kinds of KIND_CASE.npz, or -1. */
static int kind_of(const char *path)
{
  const char *name = base_name(path);
  size_t n = strcspn(name, "_");
  for (size_t i = 0; i < VK_COUNT(kinds); i++)
    if (name[n] == '_' && strlen(kinds[i].name) == n && strncmp(kinds[i].name, name, n) == 0)
      return (int)i;
  return -1;
}

static void print_kinds(void)
{
  printf("Kinds:");
  for (size_t i = 0; i < VK_COUNT(kinds); i++)
    printf(" %s", kinds[i].name);
  puts("");
}

static vk_status read_meta(rl_file *f, const char *path, vk_err *err)
{
  const vk_array *a = vk_npz_find(&f->npz, "meta");
  if (!a || a->kind != 'u' || a->item_size != 1)
    return vk_fail(err, VK_E_FORMAT, "there is no array 'meta' of u1");
  f->is_used[a - f->npz.array] = a - f->npz.array < RL_ARRAY_MAX;
  return vk_json_parse(&f->meta, a->data, (size_t)a->n_item, path, err);
}

static void print_file(const rl_file *f, const char *path)
{
  printf("%-18s %2d arrays", base_name(path), f->n_compared);
  if (f->worst_name)
    printf(", worst error %.1e of %s (bound %.0e)", f->worst, f->worst_name, f->worst_bound);
  const char *between = "; not compared: ";
  for (int i = 0; i < f->npz.n_array && i < RL_ARRAY_MAX; i++)
    if (!f->is_used[i]) {
      printf("%s%s", between, f->npz.array[i].name);
      between = ", ";
    }
  printf("%s%s%s\n", f->note ? " (" : "", f->note ? f->note : "", f->note ? ")" : "");
}

static void compare_file(parity *p, const char *path)
{
  vk_err err = VK_ERR_INIT;
  rl_file f = {.target = p->target, .team = p->team};
  int kind = kind_of(path);
  if (kind < 0) {
    printf("%-18s unknown. ", base_name(path));
    print_kinds();
    p->n_unknown++;
    return;
  }
  vk_status st = vk_npz_read(&f.npz, path, FILE_BYTES, &err);
  if (st == VK_OK && f.npz.n_array > RL_ARRAY_MAX)
    st = vk_fail(&err, VK_E_RANGE, "%s: more than %d arrays", path, RL_ARRAY_MAX);
  if (st == VK_OK)
    st = vk_arena_init(&f.arena, "results", ARENA_BYTES, &err);
  if (st == VK_OK)
    st = read_meta(&f, path, &err);
  if (st == VK_OK)
    st = kinds[kind].run(&f, &err);
  if (st != VK_OK)
    printf("%-18s %s\n", base_name(path), err.text);
  else
    print_file(&f, path);
  p->n_file++;
  p->n_array += f.n_compared;
  p->n_bad += f.n_bad + (st != VK_OK || f.n_compared == 0);
  cJSON_Delete(f.meta);
  vk_npz_free(&f.npz);
  if (f.arena.base)
    vk_arena_fini(&f.arena);
}

/* ---- files ---------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool add_file(char **file, int *n, const char *dir, const char *name)
{
  char path[VK_FS_PATH_MAX];
  if (*n == FILE_MAX || vk_fs_join(path, sizeof path, dir, name, NULL) != VK_OK)
    return false;
  return (file[(*n)++] = strdup(path)) != NULL;
}

/* The .npz files of a folder in the order of their names, or the file itself. */
static bool list_files(char **file, int *n, const char *path)
{
  DIR *dir = opendir(path);
  if (!dir)
    return add_file(file, n, "", path);
  bool ok = true;
  int first = *n;
  for (const struct dirent *e; (e = readdir(dir));) {
    size_t length = strlen(e->d_name);
    if (length > 4 && strcmp(e->d_name + length - 4, ".npz") == 0)
      ok = ok && add_file(file, n, path, e->d_name);
  }
  closedir(dir);
  qsort(file + first, (size_t)(*n - first), sizeof *file, by_name);
  return ok;
}

static bool read_isa(const char *word, vk_isa *isa)
{
  for (int i = 0; i < VK_ISA_N; i++)
    if (strcmp(vk_isa_name((vk_isa)i), word) == 0) {
      *isa = (vk_isa)i;
      return true;
    }
  return false;
}

static bool read_words(parity *p, int argc, char **argv, int *n)
{
  for (int i = 1; i < argc; i++) {
    bool has_value = i + 1 < argc;
    if (strcmp(argv[i], "--isa") == 0 && has_value && read_isa(argv[i + 1], &p->target.isa))
      i++;
    else if (strcmp(argv[i], "--threads") == 0 && has_value && atoi(argv[i + 1]) > 0)
      p->target.n_thread = atoi(argv[++i]);
    else if (argv[i][0] == '-' || !list_files(p->file, n, argv[i]))
      return false;
  }
  return argc > 1;
}

int main(int argc, char **argv)
{
  static parity p;
  int n = 0;
  vk_cpu cpu;
  vk_err err = VK_ERR_INIT;
  vk_cpu_detect(&cpu);
  p.target = (vk_target){.isa = vk_isa_best(&cpu), .n_thread = 1};
  int code = 2;
  if (!read_words(&p, argc, argv, &n))
    fputs(usage, stdout), print_kinds();
  else if (p.target.isa > vk_isa_best(&cpu))
    printf("this processor has no %s\n", vk_isa_name(p.target.isa)), code = SKIP;
  else if (n == 0 || !vk_fs_is_file(p.file[0]))
    printf("no golden files at %s\n", argv[argc - 1]), code = SKIP;
  else if (vk_team_new(&p.team, p.target.n_thread, &err) != VK_OK)
    printf("%s\n", err.text), code = 1;
  else {
    for (int i = 0; i < n; i++)
      compare_file(&p, p.file[i]);
    printf("%d files, %d arrays on %s by %d thread(s): %d out of bounds; %d unknown files\n",
           p.n_file, p.n_array, vk_isa_name(p.target.isa), p.target.n_thread, p.n_bad, p.n_unknown);
    code = p.n_bad > 0 || p.n_array == 0;
    vk_team_free(p.team);
  }
  for (int i = 0; i < n; i++)
    free(p.file[i]);
  return code;
}
