/* cmd_help.c - vlakit help [COMMAND] */
#include "cmd/cmd.h"
#include "cmd/doc.h"

static vk_status run(const vk_cmd_call *call, vk_err *err)
{
  if (!call->n_positional) {
    vk_doc_overview(stdout);
    return VK_OK;
  }
  const vk_cmd *cmd = vk_cmd_find(call->positional[0]);
  if (!cmd)
    return vk_cmd_fail_unknown(call->positional[0], err);
  vk_doc_help(stdout, cmd);
  return VK_OK;
}

const vk_cmd vk_cmd_help = {
    .name = "help",
    .summary = "list the commands, or show a command's options",
    .synopsis = "[COMMAND]",
    .description = "Lists the commands, or shows what one does, its options and examples.",
    .examples = "  vlakit help\n  vlakit help help\n",
    .n_positional_max = 1,
    .run = run,
};
