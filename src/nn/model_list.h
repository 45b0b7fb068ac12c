/* model_list.h - families of models: VK_MODEL(NAME) for the vk_model_NAME in model_NAME.c. */
VK_MODEL(nano)
