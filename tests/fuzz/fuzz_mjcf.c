/* fuzz_mjcf.c - any text as an object's MJCF: read, changed, stored in a pack, and the pack opened
 * again, or refused with a sentence. */
#include <stdlib.h>
#include <string.h>

#include "sim/import_mjcf.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static vk_status put_object(vk_pack_builder *pack, const vk_source *source, vk_xml *xml,
                            vk_err *err)
{
  const vk_mjcf_writer w = {pack, source, NULL};
  vk_xml_node *body;
  double size[4];
  vk_pack_class c = {0};
  VK_TRY(vk_mjcf_take_object(xml, "thing", true, &body, size, err));
  VK_TRY(vk_mjcf_put(&w, xml, body, &c.body, err));
  c.name = vk_pack_put_text(pack, "thing");
  c.radius_m = size[0];
  vk_pack_put_class_(pack, &c, 1);
  return VK_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  vk_err err = VK_ERR_INIT;
  vk_xml *xml = NULL;
  vk_source *source = NULL;
  vk_pack_builder pack = {0};
  void *made = NULL;
  size_t n_made;
  char hash[65];
  vk_status st = vk_mjcf_parse(bytes, n, "a/fuzz.xml", &xml, &err);
  if (st == VK_OK)
    st = vk_source_new(&source, &err); /* without any file: meshes are never found */
  if (st == VK_OK)
    st = put_object(&pack, source, xml, &err);
  if (st == VK_OK)
    st = vk_pack_build(&pack, &made, &n_made, hash, &err); /* opens what it made */
  if (st != VK_OK)
    VK_ASSERT(err.code == st && err.text[0]);
  free(made);
  vk_pack_builder_fini(&pack);
  vk_source_free(source);
  vk_xml_free(xml);
  return 0;
}
