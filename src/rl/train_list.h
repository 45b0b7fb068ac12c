/* train_list.h - methods of training: a line each, of which their bits, names and vk_train_defs are
 * made. */
VK_TRAIN(sft)
VK_TRAIN(dagger)
VK_TRAIN(ppo)
VK_TRAIN(grpo)
