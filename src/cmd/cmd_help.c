/* cmd_help.c - vlakit help [COMMAND] */
#include "cmd/cmd.h"
#include "cmd/doc.h"
#include "core/json.h"

typedef struct args {
  bool man;
} args;

static const vk_opt opts[] = {
    VK_OPT_FLAG(args, "man", man, "print the source of the man page instead"),
    VK_OPT_END,
};

static vk_status run(const vk_cmd_call *call, vk_err *err)
{
  const args *a = call->args;
  const vk_cmd *cmd = NULL;
  if (call->n_positional && !(cmd = vk_cmd_find(call->positional[0])))
    return vk_cmd_fail_unknown(call->positional[0], err);
  if (call->common->json) {
    cJSON *all = vk_doc_json(cmd);
    vk_status st = vk_json_print(all, err);
    cJSON_Delete(all);
    return st;
  }
  if (a->man)
    vk_doc_man(stdout, cmd);
  else if (cmd)
    vk_doc_help(stdout, cmd);
  else
    vk_doc_overview(stdout);
  return VK_OK;
}

const vk_cmd vk_cmd_help = {
    .name = "help",
    .summary = "list the commands, or show a command's options",
    .synopsis = "[COMMAND] [options]",
    .description =
        "Lists the commands, or shows what COMMAND does, its options and examples. "
        "`vlakit COMMAND --help` shows the same.\n"
        "\n"
        "Help, man pages and completion are all made from one table a command. They show the "
        "common options that a command reads; every command takes them all, so that a "
        "script may give the same ones to each.",
    .examples = "vlakit help\n"
                "vlakit help help\n"
                "vlakit help help --man | man -l -\n",
    .opts = opts,
    .args_size = sizeof(args),
    .args_default = &(const args){.man = false},
    .n_positional_max = 1,
    .common = VK_COMMON(VK_COMMON_JSON),
    .run = run,
};
