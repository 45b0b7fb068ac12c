/* op_list.h - the ops: VK_OP(NAME) for the vk_op_NAME in op_NAME.c. The only list: the build, the
 * table of kernels, `vlakit graph ops`, `vlakit bench ops` and the generic tests come from it. */
VK_OP(add)
VK_OP(affine)
VK_OP(copy)
VK_OP(gelu)
VK_OP(gelu_grad)
VK_OP(matmul)
VK_OP(pack)
VK_OP(reshape)
VK_OP(sum_rows)
