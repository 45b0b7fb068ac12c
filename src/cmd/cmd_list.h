/* cmd_list.h - the commands, sorted: VK_CMD(NAME) for the vk_cmd_NAME in cmd_NAME.c. The only list:
 * declarations, dispatch, help, completion and man pages come from it. */
VK_CMD(bench)
VK_CMD(collect)
VK_CMD(compare)
VK_CMD(completion)
VK_CMD(doctor)
VK_CMD(eval)
VK_CMD(help)
VK_CMD(import)
VK_CMD(render)
VK_CMD(replay)
VK_CMD(runs)
VK_CMD(tasks)
