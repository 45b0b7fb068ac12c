/* cmd_tasks.c - vlakit tasks: what there is to do, and a task's scene as MJCF. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "core/fs.h"
#include "core/json.h"
#include "rl/protocol.h"
#include "sim/scene.h"

typedef struct tasks_args {
  const char *suite;
  const char *task;
  const char *protocol;
  const char *mjcf;
} tasks_args;

static const tasks_args defaults = {.protocol = "oft"};
static const vk_opt opts[] = {
    VK_OPT_STR(tasks_args, "mjcf", mjcf, "DIR",
               "write the tasks' scenes (XML and STL) to a folder"),
    VK_OPT_STR(tasks_args, "protocol", protocol, "PROTOCOL", "whose step limits to show"),
    VK_OPT_STR(tasks_args, "suite", suite, "SUITE",
               "a suite, or a comma list (default: libero130)"),
    VK_OPT_STR(tasks_args, "task", task, "TASK",
               "one task, with its objects: SUITE/INDEX or a name"),
    VK_OPT_END,
};

enum { WORD_MAX = 512 };

static void atom_text(const vk_pack *pack, const vk_pack_atom *atom, char text[WORD_MAX])
{
  const char *b = vk_pack_text(pack, atom->b);
  snprintf(text, WORD_MAX, "%s %s%s%s", vk_atom_name((vk_atom_kind)atom->kind),
           vk_pack_text(pack, atom->a), b[0] ? " " : "", b);
}

static int max_steps(const vk_pack *pack, const vk_pack_task *task, const vk_protocol *protocol)
{
  return vk_protocol_n_step(protocol, vk_pack_suite_of(pack, task));
}

/* The path of a task's scene in the folder of --mjcf. */
static vk_status mjcf_path(const vk_pack *pack, const vk_pack_task *task, const char *dir,
                           char path[VK_FS_PATH_MAX], vk_err *err)
{
  char name[160];
  snprintf(name, sizeof name, "%s_%u.xml", vk_pack_suite_of(pack, task), task->index);
  return vk_fs_join(path, VK_FS_PATH_MAX, dir, name, err);
}

static vk_status write_meshes(const vk_pack *pack, const char *dir, vk_err *err)
{
  for (size_t i = 0; i < pack->n_mesh; i++) {
    char path[VK_FS_PATH_MAX], name[160];
    uint8_t *bytes = NULL;
    size_t n = 0;
    snprintf(name, sizeof name, "%s.stl", vk_pack_text(pack, pack->mesh[i].name));
    VK_TRY(vk_fs_join(path, sizeof path, dir, name, err));
    VK_TRY(vk_compose_stl(pack, &pack->mesh[i], &bytes, &n, err));
    vk_status st = vk_fs_write(path, bytes, n, err);
    free(bytes);
    VK_TRY(st);
  }
  return VK_OK;
}

static vk_status write_scene(const vk_pack *pack, const vk_pack_task *task, const char *dir,
                             vk_err *err)
{
  char path[VK_FS_PATH_MAX], *text = NULL;
  VK_TRY(mjcf_path(pack, task, dir, path, err));
  VK_TRY(vk_compose_mjcf(pack, task, &text, err));
  vk_status st = vk_fs_write(path, text, strlen(text), err);
  free(text);
  return st;
}

static cJSON *names_json(const vk_pack *pack, uint32_t first, uint32_t n)
{
  cJSON *array = cJSON_CreateArray();
  for (uint32_t i = 0; i < n; i++)
    cJSON_AddItemToArray(array,
                         cJSON_CreateString(vk_pack_text(pack, pack->instance[first + i].name)));
  return array;
}

static vk_status print_json(const vk_pack *pack, const uint32_t *i_task, uint32_t n_task,
                            const vk_protocol *protocol, const char *mjcf, vk_err *err)
{
  cJSON *top = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(top, "tasks");
  for (uint32_t i = 0; i < n_task; i++) {
    const vk_pack_task *task = &pack->task[i_task[i]];
    char id[VK_PACK_TASK_ID_SIZE], atom[WORD_MAX], path[VK_FS_PATH_MAX];
    cJSON *item = cJSON_CreateObject(), *goal;
    vk_pack_task_id(pack, task, id);
    cJSON_AddStringToObject(item, "task", id);
    cJSON_AddStringToObject(item, "name", vk_pack_text(pack, task->name));
    cJSON_AddStringToObject(item, "language", vk_pack_text(pack, task->language));
    goal = cJSON_AddArrayToObject(item, "goal");
    for (uint32_t k = 0; k < task->n_goal; k++) {
      atom_text(pack, &pack->atom[task->goal + k], atom);
      cJSON_AddItemToArray(goal, cJSON_CreateString(atom));
    }
    cJSON_AddNumberToObject(item, "max_steps", max_steps(pack, task, protocol));
    cJSON_AddNumberToObject(item, "n_init", task->n_row);
    cJSON_AddStringToObject(item, "problem", vk_pack_text(pack, pack->problem[task->problem].name));
    cJSON_AddItemToObject(item, "objects", names_json(pack, task->object, task->n_object));
    cJSON_AddItemToObject(item, "fixtures", names_json(pack, task->fixture, task->n_fixture));
    if (mjcf && mjcf_path(pack, task, mjcf, path, NULL) == VK_OK)
      cJSON_AddStringToObject(item, "mjcf", path);
    cJSON_AddItemToArray(list, item);
  }
  vk_status st = vk_json_print(top, err);
  cJSON_Delete(top);
  return st;
}

static void print_names(const vk_pack *pack, const char *what, uint32_t first, uint32_t n)
{
  printf("%-10s", what);
  for (uint32_t i = 0; i < n; i++)
    printf(" %s", vk_pack_text(pack, pack->instance[first + i].name));
  putchar('\n');
}

static void print_table(const vk_pack *pack, const uint32_t *i_task, uint32_t n_task,
                        const vk_protocol *protocol)
{
  printf("%-17s %5s %5s  %s\n", "task", "steps", "rows", "instruction, and what must hold");
  for (uint32_t i = 0; i < n_task; i++) {
    const vk_pack_task *task = &pack->task[i_task[i]];
    char id[VK_PACK_TASK_ID_SIZE], atom[WORD_MAX];
    vk_pack_task_id(pack, task, id);
    printf("%-17s %5d %5u  %s\n", id, max_steps(pack, task, protocol), task->n_row,
           vk_pack_text(pack, task->language));
    for (uint32_t k = 0; k < task->n_goal; k++) {
      atom_text(pack, &pack->atom[task->goal + k], atom);
      printf("%29s  %s\n", "", atom);
    }
  }
}

static void print_one(const vk_pack *pack, const vk_pack_task *task, const vk_protocol *protocol)
{
  printf("%-10s %s\n", "name", vk_pack_text(pack, task->name));
  printf("%-10s %s\n", "problem", vk_pack_text(pack, pack->problem[task->problem].name));
  print_names(pack, "objects", task->object, task->n_object);
  print_names(pack, "fixtures", task->fixture, task->n_fixture);
  printf("%-10s %s\n", "protocol", protocol->name);
}

static vk_status run(const vk_cmd_call *call, vk_err *err)
{
  const tasks_args *args = call->args;
  const vk_protocol *protocol;
  vk_pack pack = {0};
  uint32_t *task = NULL, n_task = 0;
  if (args->suite && args->task)
    return vk_fail(err, VK_E_USAGE, "give --suite or --task, not both");
  const char *word = args->task ? args->task : args->suite ? args->suite : "libero130";
  VK_TRY(vk_protocol_find(&protocol, args->protocol, err));
  VK_TRY(vk_pack_open(&pack, call->common->pack, err));
  vk_status st = VK_OK;
  task = calloc(pack.n_task + 1, sizeof *task);
  if (!task) {
    st = vk_fail(err, VK_E_NOMEM, "no memory for %zu tasks", pack.n_task);
    goto done;
  }
  VK_TRY_DONE(vk_pack_find_tasks(&pack, word, task, &n_task, err));
  if (args->mjcf) {
    VK_TRY_DONE(vk_fs_make_dirs(args->mjcf, err));
    VK_TRY_DONE(write_meshes(&pack, args->mjcf, err));
    for (uint32_t i = 0; i < n_task; i++)
      VK_TRY_DONE(write_scene(&pack, &pack.task[task[i]], args->mjcf, err));
  }
  if (call->common->json) {
    st = print_json(&pack, task, n_task, protocol, args->mjcf, err);
    goto done;
  }
  print_table(&pack, task, n_task, protocol);
  if (n_task == 1)
    print_one(&pack, &pack.task[task[0]], protocol);
done:
  free(task);
  vk_pack_close(&pack);
  return st;
}

const vk_cmd vk_cmd_tasks = {
    .name = "tasks",
    .summary = "list tasks: instruction, goal, objects; write their scenes",
    .synopsis = "[--suite S | --task T] [options]",
    .description =
        "Lists the tasks of a suite with the step limit of a protocol, the number of init rows, "
        "the instruction that a policy gets and the atoms that must hold at the end.\n\n"
        "With --mjcf the composed physics scene of each task is written as SUITE_INDEX.xml with "
        "the robot's collision hulls as STL files beside it, which any MuJoCo viewer opens.",
    .examples = "  vlakit tasks --suite libero_goal  # ten tasks\n"
                "  vlakit tasks --task libero_goal/3  # one, with its objects\n"
                "  vlakit tasks --json  # all 130 for scripts\n"
                "  vlakit tasks --task libero_goal/3 --mjcf scene  # scene/libero_goal_3.xml\n",
    .opts = opts,
    .args_size = sizeof defaults,
    .args_default = &defaults,
    .common = VK_COMMON(VK_COMMON_JSON, VK_COMMON_PACK),
    .run = run,
};
