#include "sim/import_taskmap.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct taskmap_reader {
  char *p;
  int line;
  const char *name;
  vk_err *err;
} taskmap_reader;

static void skip_space(taskmap_reader *r)
{
  for (;; r->p++) {
    if (*r->p == '#')
      r->p += strcspn(r->p, "\n");
    if (*r->p == '\n')
      r->line++;
    if (!isspace((unsigned char)*r->p))
      return;
  }
}

static vk_status fail_at(const taskmap_reader *r, const char *expected)
{
  return vk_fail(r->err, VK_E_FORMAT, "%s line %d: found \"%.20s\", expected %s", r->name, r->line,
                 r->p, expected);
}

static bool accept(taskmap_reader *r, char c)
{
  skip_space(r);
  if (*r->p != c)
    return false;
  r->p++;
  return true;
}

/* A string in quotes, ended with NUL in place. */
static vk_status read_string(taskmap_reader *r, const char **out)
{
  skip_space(r);
  char quote = *r->p;
  if (quote != '"' && quote != '\'')
    return fail_at(r, "a string in quotes");
  char *end = r->p + 1;
  while (*end != quote && *end != '\0' && *end != '\n' && *end != '\\')
    end++;
  if (*end != quote)
    return fail_at(r, "a string that ends on its line and has no backslash");
  *out = r->p + 1;
  *end = '\0';
  r->p = end + 1;
  return VK_OK;
}

static vk_status grow(taskmap_reader *r, void *array, int n, size_t size)
{
  void *old, *p;
  memcpy(&old, array, sizeof old);
  p = realloc(old, ((size_t)n + 1) * size);
  if (!p)
    return vk_fail(r->err, VK_E_NOMEM, "%s: no memory to read it", r->name);
  memcpy(array, &p, sizeof p);
  return VK_OK;
}

static vk_status read_suite(taskmap_reader *r, vk_taskmap_suite *suite)
{
  VK_TRY(read_string(r, &suite->name));
  if (!accept(r, ':') || !accept(r, '['))
    return fail_at(r, "\": [\"");
  while (!accept(r, ']')) {
    VK_TRY(grow(r, &suite->task, suite->n_task, sizeof *suite->task));
    VK_TRY(read_string(r, &suite->task[suite->n_task]));
    suite->n_task++;
    if (accept(r, ']'))
      break;
    if (!accept(r, ','))
      return fail_at(r, "\",\" or \"]\"");
  }
  return VK_OK;
}

static vk_status read_map(taskmap_reader *r, vk_taskmap *map)
{
  skip_space(r);
  while (isalnum((unsigned char)*r->p) || *r->p == '_')
    r->p++;
  if (!accept(r, '=') || !accept(r, '{'))
    return fail_at(r, "NAME = {");
  while (!accept(r, '}')) {
    VK_TRY(grow(r, &map->suite, map->n_suite, sizeof *map->suite));
    map->suite[map->n_suite] = (vk_taskmap_suite){0};
    VK_TRY(read_suite(r, &map->suite[map->n_suite++]));
    if (accept(r, '}'))
      break;
    if (!accept(r, ','))
      return fail_at(r, "\",\" or \"}\"");
  }
  skip_space(r);
  return *r->p == '\0' ? VK_OK : fail_at(r, "the end of the file");
}

vk_status vk_taskmap_parse(vk_taskmap *map, const void *bytes, size_t n, const char *name,
                           vk_err *err)
{
  *map = (vk_taskmap){.text = malloc(n + 1)};
  if (!map->text)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory to read it", name);
  memcpy(map->text, bytes, n);
  map->text[n] = '\0';
  taskmap_reader r = {.p = map->text, .line = 1, .name = name, .err = err};
  vk_status st = strlen(map->text) == n
                     ? read_map(&r, map)
                     : vk_fail(err, VK_E_FORMAT, "%s: holds a zero byte, so it is no text", name);
  if (st != VK_OK)
    vk_taskmap_free(map);
  return st;
}

void vk_taskmap_free(vk_taskmap *map)
{
  for (int i = 0; i < map->n_suite; i++)
    free(map->suite[i].task);
  free(map->suite);
  free(map->text);
  *map = (vk_taskmap){0};
}
