/* device_list.h - the kinds of devices: VK_DEVICE(NAME) for a vk_device_NAME. The only list:
 * --device, `vlakit doctor` and the tests read it. */
VK_DEVICE(cpu)
VK_DEVICE(cuda)
