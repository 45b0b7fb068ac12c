/* pass_list.h - the passes in the order in which they run: VK_PASS(NAME) for the vk_pass_NAME in
 * pass_NAME.c. */
VK_PASS(common)
VK_PASS(fusion)
VK_PASS(gradient)
VK_PASS(dead)
VK_PASS(merge)
VK_PASS(bf16)
VK_PASS(pack)
VK_PASS(storage)
