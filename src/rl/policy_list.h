/* policy_list.h - the policies, sorted: VK_POLICY(NAME) for the vk_policy_NAME in policy_NAME.c. */
VK_POLICY(checkpoint)
VK_POLICY(expert)
VK_POLICY(random)
VK_POLICY(replay)
VK_POLICY(zero)
