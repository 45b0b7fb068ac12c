/* train_list.h - methods of training, for vk_train_defs: one line a vk_train_NAME. */
VK_TRAIN(dagger)
VK_TRAIN(grpo)
VK_TRAIN(ppo)
VK_TRAIN(sft)
