/* train_list.h - methods of training, for vk_train_defs: one line a file train_NAME.c. */
VK_TRAIN(sft)
