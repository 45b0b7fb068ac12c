/* Visuals of a small world of our own: what is drawn and what is not, materials with what geoms
 * override, textures shared, lights, sky, clip planes, missing files, and files that are refused.
 */
#include "sim/import_visuals.h"

#include <stdlib.h>

#include "sim/import_mjcf.h"
#include "temp_dir.h"

static const char world_text[] =
    "<mujoco><asset>"
    "<texture type='skybox' builtin='gradient' rgb1='.9 .9 1' rgb2='.2 .3 .4' width='64'/>"
    "<texture name='wood' type='2d' file='../pictures/wood.png'/>"
    "<texture name='wood2' type='2d' file='wood.png'/>"
    "<texture name='wood' type='2d' file='second_is_ignored.png'/>"
    "<texture name='box' file='wood.png'/>"
    "<material name='m' texture='wood' texrepeat='2 2' specular='.25' shininess='1'/>"
    "<material name='m2' texture='wood2' reflectance='.75' emission='.125'/>"
    "<material name='plain' rgba='.5 1 .5 2'/>"
    "<material name='cube' texture='box'/>"
    "<material name='lost' texture='gone'/><texture name='gone' type='2d' file='gone.png'/>"
    "<mesh name='roof' file='./roof.obj' scale='2 1 1'/><mesh name='none' file='none.stl'/>"
    "</asset><worldbody>"
    "<geom name='hidden' type='box' size='1 1 1'/>"
    "<geom name='also' type='box' size='1 1 1' group='3'/>"
    "<geom name='wall' type='box' size='3 4 12' pos='1 2 3' group='1' material='m'/>"
    "<geom name='again' type='box' size='3 4 12' quat='0 0 0 2' group='2' material='m'"
    "  rgba='.5 .5 .5 1'/>"
    "<geom name='clear' type='sphere' size='1' group='1' rgba='1 1 1 0'/>"
    "<site name='mark' size='1'/>"
    "<body name='hut' pos='0 0 1'><geom name='roof' type='mesh' mesh='roof' group='1'"
    "  material='m2' rgba='1 0 0 .5' euler='0 0 1.5707963267948966' pos='7 0 0'/>"
    "  <body name='in'><geom size='.5' group='1' material='plain'/></body>"
    "  <site name='burner' type='cylinder' size='.1 .001' rgba='.9 .05 .05 1'/></body>"
    "<light dir='0 -3 -4' pos='1 1 4' diffuse='.8 .8 .8' castshadow='false'/>"
    "<light directional='true' ambient='.1 .2 .3' cutoff='30' exponent='2'/>"
    "<light active='false'/>"
    "</worldbody></mujoco>";

static const char roof[] = "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nf 1/1 2/2 3/3\n";

static void put_file(const char *name, const void *bytes, size_t n)
{
  char path[VK_FS_PATH_MAX], dir[VK_FS_PATH_MAX];
  snprintf(path, sizeof path, "%s/%s", temp_dir, name);
  snprintf(dir, sizeof dir, "%s", path);
  *strrchr(dir, '/') = '\0';
  vk_assert_ok(vk_fs_make_dirs(dir, NULL), NULL);
  vk_assert_ok(vk_fs_write(path, bytes, n, NULL), NULL);
}

static int put_files(void **state)
{
  make_temp_dir(state);
  put_file("a/world/roof.obj", roof, sizeof roof - 1);
  put_file("a/pictures/x", "", 0);
  const uint8_t pixel[12] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9};
  vk_assert_ok(vk_image_write(in_dir("a/pictures/wood.png"), pixel, 2, 2, 3, NULL), NULL);
  vk_assert_ok(vk_image_write(in_dir("a/world/wood.png"), pixel, 2, 2, 3, NULL), NULL);
  return 0;
}

/* The world with text `from` replaced by `to`. */
static vk_status import(vk_import_visuals **v, const char *from, const char *to, vk_err *err)
{
  static char text[sizeof world_text + 400];
  static vk_source *source;
  const char *at = strstr(world_text, from);
  assert_non_null(at);
  snprintf(text, sizeof text, "%.*s%s%s", (int)(at - world_text), world_text, to,
           at + strlen(from));
  vk_source_free(source);
  vk_assert_ok(vk_source_new(&source, err), err);
  vk_assert_ok(vk_source_add(source, temp_dir, err), err);
  vk_xml *xml;
  vk_assert_ok(vk_mjcf_parse(text, strlen(text), "a/world/w.xml", &xml, err), err);
  vk_assert_ok(vk_import_visuals_new(v, source, err), err);
  const vk_xml_node *world = vk_xml_child(xml->root, "worldbody", NULL);
  vk_status st = vk_import_visuals_arena(*v, xml, world, "w", err);
  if (st == VK_OK)
    st = vk_import_visuals_body(*v, xml, vk_xml_find((vk_xml_node *)world, "body", "in"), err);
  if (st == VK_OK)
    st = vk_import_visuals_model(*v, xml, vk_xml_child(world, "body", "hut"), "hut", err);
  vk_xml_free(xml);
  return st;
}

static void imports_a_world(void **state)
{
  vk_import_visuals *v;
  vk_visuals out;
  vk_err err = VK_ERR_INIT;
  void *bytes;
  size_t n;
  vk_assert_ok(import(&v, "w", "w", &err), &err);
  assert_null(vk_import_visuals_missing(v, 0));
  vk_assert_ok(vk_visuals_build(vk_import_visuals_builder(v), &bytes, &n, &err), &err);
  vk_import_visuals_free(v);
  vk_assert_ok(vk_visuals_open_bytes(&out, bytes, n, "test", "test", &err), &err);
  const vk_visuals_look *look = vk_visuals_find_look(&out, "w");
  const vk_visuals_model *hut = vk_visuals_find_model(&out, "hut");
  assert_non_null(look);
  assert_non_null(hut);
  /* wall, again, roof, in, burner; the body put in last is one more of the look's */
  assert_int_equal(look->n_geom + hut->n_geom, 9);
  const vk_visuals_geom *g = out.geom + look->geom;
  assert_string_equal(vk_visuals_text(&out, g[0].body), "world");
  assert_int_equal(g[0].mesh, g[1].mesh);
  assert_int_equal(g[0].material, g[1].material);
  vk_assert_same_bits(g[1].quat[3], 1.0f);
  vk_assert_same_bits(g[0].pos_m[2], 3.0f);
  assert_string_equal(vk_visuals_text(&out, g[2].body), "hut");
  vk_assert_close(g[2].quat[3], sqrt(0.5), 1e-6, 0);
  const vk_visuals_material *m = out.material + g[2].material;
  vk_assert_close(m->rgba[3], 0.5, 1e-6, 0);
  vk_assert_same_bits(m->rgba[1], 0.0f);
  vk_assert_same_bits(m->emission, 0.125f);
  vk_assert_same_bits(m->specular, 0.5f);    /* MuJoCo's default */
  vk_assert_same_bits(m->reflectance, 0.0f); /* of a mesh */
  m = out.material + g[0].material;
  vk_assert_same_bits(m->specular, 0.25f);
  vk_assert_same_bits(m->rgba[0], 1.0f);
  assert_int_equal(m->texture, out.material[g[2].material].texture); /* the same bytes */
  assert_int_equal(out.n_texture, 3); /* for arenas, for classes, and the sky */
  assert_int_equal(out.texture[look->sky].kind, VK_TEXTURE_CUBE);
  m = out.material + g[3].material;
  vk_assert_same_bits(m->rgba[3], 1.0f);
  assert_int_equal(m->texture, VK_VISUALS_NONE);
  uint32_t n_flame = 0;
  for (uint32_t i = 0; i < hut->n_geom; i++) {
    const vk_visuals_geom *h = &out.geom[hut->geom + i];
    n_flame += h->flags == VK_VISUALS_FLAME;
    assert_string_equal(vk_visuals_text(&out, h->body), i == 1 ? "in" : "hut");
  }
  assert_int_equal(n_flame, 1);
  assert_int_equal(look->n_light, 2);
  const vk_visuals_light *l = out.light + look->light;
  vk_assert_close(l->dir[1], -0.6, 1e-6, 0);
  vk_assert_close(l->diffuse[0], 0.8, 1e-6, 0);
  vk_assert_same_bits(l->specular[0], 0.3f);
  vk_assert_same_bits(l->cutoff_deg, 45.0f);
  assert_int_equal(l[1].is_directional, 1);
  vk_assert_close(look->zfar_m, 50 * 29, 0, 1e-6); /* balls of 13 about two walls, 3 apart in z */
  vk_assert_close(look->znear_m, 0.029, 0, 1e-6);
  vk_visuals_close(&out);
}

static void notes_missing_files(void **state)
{
  vk_import_visuals *v;
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(import(&v, "material='m2'", "material='lost'", &err), &err);
  assert_string_equal(vk_import_visuals_missing(v, 0), "a/world/gone.png");
  assert_null(vk_import_visuals_missing(v, 1));
  vk_import_visuals_free(v);
  vk_assert_ok(import(&v, "mesh='roof'", "mesh='none'", &err), &err);
  assert_string_equal(vk_import_visuals_missing(v, 0), "a/world/none.stl");
  vk_import_visuals_free(v);
}

static void refuses_what_it_cannot_draw(void **state)
{
  static const struct {
    const char *from, *to;
    vk_status code;
    const char *sentence;
  } wrong[] = {
      {"material='m2'", "material='what'", VK_E_FORMAT, "there is no <material name=\"what\">"},
      {"texture='wood2'", "texture='what'", VK_E_FORMAT, "there is no <texture name=\"what\">"},
      {"material='m2'", "material='cube'", VK_E_UNSUPPORTED, "roof.obj: has coordinates for a 2D"},
      {"mesh='roof'", "mesh='what'", VK_E_UNSUPPORTED, "mesh what: a visible mesh needs a file"},
      {"shininess='1'", "shininess='1.5'", VK_E_RANGE, "shininess=\"1.5\", expected 0 to 1"},
      {"cutoff='30'", "cutoff='200'", VK_E_RANGE, "cutoff=\"200\", expected 0 to 180"},
      {"diffuse='.8 .8 .8'", "diffuse='.8 -1'", VK_E_RANGE, "diffuse=\".8 -1\", expected 0 to 10"},
      {"euler='0 0 1.5707963267948966'", "zaxis='1 0 0'", VK_E_UNSUPPORTED, "not by zaxis"},
      {"size='3 4 12'", "size='3 x 12'", VK_E_FORMAT, "size=\"3 x 12\", expected 1 to 3 numbers"},
      {"size='3 4 12'", "size='3 4'", VK_E_UNSUPPORTED, "w.xml line 1: a geom of type \"box\""},
      {"<body name='in'>", "<body>", VK_E_UNSUPPORTED, "in a body without a name"},
      {"builtin='gradient'", "file='x.png'", VK_E_UNSUPPORTED,
       "a sky must be builtin=\"gradient\""},
      {"file='./roof.obj'", "file='wood.png'", VK_E_UNSUPPORTED,
       "a/world/wood.png: expected a mesh"},
      {"file='../pictures/wood.png'", "file='roof.obj'", VK_E_FORMAT, "a/world/roof.obj: "},
  };
  for (size_t i = 0; i < VK_COUNT(wrong); i++) {
    vk_import_visuals *v;
    vk_err err = VK_ERR_INIT;
    vk_assert_fails(import(&v, wrong[i].from, wrong[i].to, &err), wrong[i].code);
    vk_assert_says(&err, wrong[i].sentence);
    vk_import_visuals_free(v);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(imports_a_world),
      cmocka_unit_test(notes_missing_files),
      cmocka_unit_test(refuses_what_it_cannot_draw),
  };
  return cmocka_run_group_tests(tests, put_files, remove_temp_dir);
}
