/* fuzz_msh.c - any bytes as a .msh file: what is read can be drawn, and made coarser. */
#include "mesh.h"
#include "sim/import_msh.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  vk_err err = VK_ERR_INIT;
  vk_file_mesh mesh;
  if (vk_msh_parse(&mesh, bytes, n, "fuzz", &err) != VK_OK)
    VK_ASSERT(err.code != VK_OK && err.text[0] && !mesh.vertex && !mesh.face);
  else
    use_file_mesh(&mesh);
  vk_file_mesh_free(&mesh);
  return 0;
}
