/* pass_bf16.c - products by weights, and gradients of weights, in bfloat16, with sums in f32, where
 * the target asks for it; convolutions too where the processor has instructions
 * for bfloat16, and attention where they are those for tiles.
 * Weights are rounded as they are packed: in training in every run, from the f32 parameters that
 * the optimiser moves. Activations and their gradients are rounded as a product reads them, or
 * before, as they are stored (pass storage). */
#include "nn/op.h"
#include "nn/pass.h"
#include "nn/pass_edit.h"

static vk_status run(vk_graph *out, const vk_graph *in, const vk_target *target, vk_err *err)
{
  if (!target->is_bf16)
    return vk_pass_copy(out, in, err);
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  const vk_attrs panel = {.isa = target->isa, .dtype = VK_BF16, .native = cpu.avx512_bf16};
  return vk_pass_write_packed(out, in, &panel, err);
}

const vk_pass_def vk_pass_bf16 = {
    .name = "bf16",
    .help = "products by weights and for their gradients in bf16 with f32 sums, where asked for",
    .run = run,
};
