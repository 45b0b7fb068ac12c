/* Objects' MJCF: default classes, names, what is left out, and what is refused, by file and line.
 */
#include "sim/import_mjcf.h"

#include <stdio.h>
#include <stdlib.h>

#include "sim/mjcf.h"
#include "temp_dir.h"

static const char object[] =
    "<mujoco model=\"thing\">\n"
    "<asset><mesh name=\"seen\" file=\"visual/seen.stl\"/></asset>\n"
    "<default>\n"
    "  <geom friction=\"9 9 9\"/>\n"
    "  <default class=\"solid\"><geom group=\"0\" friction=\"0.95 0.3 0.1\" mass=\"2\"/>"
    "<site rgba=\"1 0 0 0\"/></default>\n"
    "</default>\n"
    "<worldbody><body>\n"
    "  <body name=\"object\" pos=\"0 -.1 0\">\n"
    "    <geom type=\"mesh\" mesh=\"seen\" group=\"1\" contype=\"0\" conaffinity=\"0\"/>\n"
    "    <geom class=\"solid\" type=\"box\" size=\"1 2 3.\" mass=\"5e-1\" rgba=\"1 1 1 1\"/>\n"
    "    <body name=\"part\"><geom name=\"grip\" group=\"1\" size=\".1\" material=\"red\"/>\n"
    "      <geom group=\"4\" size=\"1\"/>\n"
    "      <geom group=\"0\" size=\"1\" contype=\"0\" conaffinity=\"0\"/>\n"
    "      <site class=\"solid\" name=\"region\" size=\"1 1 1\"/></body>\n"
    "  </body>\n"
    "  <site name=\"horizontal_radius_site\" pos=\"0.3 0.4 0\"/>\n"
    "  <site name=\"bottom_site\" pos=\"0 0 -0.5\"/><site name=\"top_site\" pos=\"0 0 0.6\"/>\n"
    "</body></worldbody>\n"
    "</mujoco>\n";

/* Prints a stored tree as "body[name=main pos=0,-0.1,0 geom[...]]". */
static void print_tree(const vk_pack_builder *p, uint32_t i, char *out, size_t room)
{
  const vk_pack_elem *e = &p->elem[i];
  size_t n = strlen(out);
  n += (size_t)snprintf(out + n, room - n, "%s[", vk_mjcf_tag_name[e->tag]);
  for (uint32_t k = 0; k < e->n_attr; k++) {
    const vk_pack_attr *a = &p->attr[e->attr + k];
    n += (size_t)snprintf(out + n, room - n, " %s=", vk_mjcf_key_name[a->key]);
    if (a->n == 0)
      n += (size_t)snprintf(out + n, room - n, "%s", p->text.str + a->value);
    for (uint32_t j = 0; j < a->n; j++)
      n += (size_t)snprintf(out + n, room - n, "%s%g", j ? "," : "", p->num[a->value + j]);
  }
  for (uint32_t c = e->first_child; c != VK_PACK_NONE; c = p->elem[c].next_sibling)
    print_tree(p, c, out, room);
  snprintf(out + strlen(out), room - strlen(out), "]");
}

static vk_status store(vk_pack_builder *p, const char *text, size_t n, bool is_movable,
                       double size[4], uint32_t *elem, vk_err *err)
{
  vk_xml *xml;
  vk_xml_node *body;
  vk_source *source;
  VK_TRY(vk_mjcf_parse(text, n, "assets/thing/thing.xml", &xml, err));
  vk_status st = vk_source_new(&source, err);
  if (st == VK_OK)
    st = vk_mjcf_take_object(xml, "thing", is_movable, &body, size, err);
  const vk_mjcf_writer w = {p, source, NULL};
  if (st == VK_OK)
    st = vk_mjcf_put(&w, xml, body, elem, err);
  vk_source_free(source);
  vk_xml_free(xml);
  return st;
}

static void stores_an_object(void **state)
{
  vk_pack_builder p = {0};
  vk_err err = VK_ERR_INIT;
  double size[4];
  uint32_t elem;
  char tree[2000] = "";
  vk_assert_ok(store(&p, object, sizeof object - 1, true, size, &elem, &err), &err);
  print_tree(&p, elem, tree, sizeof tree);
  assert_string_equal(
      tree, "body[ name=main pos=0,-0.1,0"
            "geom[ type=box size=1,2,3 mass=0.5 group=0 friction=0.95,0.3,0.1 name=g1]"
            "body[ name=part"
            "geom[ name=grip group=1 size=0.1]"
            "geom[ group=0 size=1 contype=0 conaffinity=0 name=g4]"
            "site[ name=region size=1,1,1 rgba=1,0,0,0]]"
            "joint[ name=joint0 type=free damping=0.0005]"
            "site[ name=default_site pos=0,0,0 size=0.002,0.002,0.002 rgba=1,0,0,0 type=sphere "
            "group=0]]");
  const double want[4] = {0.3, 0.4, -0.5, 0.6};
  for (int i = 0; i < 4; i++)
    vk_assert_same_bits(size[i], want[i]);
  vk_assert_ok(store(&p, object, sizeof object - 1, false, size, &elem, &err), &err);
  tree[0] = '\0';
  print_tree(&p, elem, tree, sizeof tree);
  assert_null(strstr(tree, "joint")); /* a fixture has no free joint */
  assert_int_equal(p.n_mesh, 0);      /* the mesh is only seen */
  vk_pack_builder_fini(&p);
}

static void refuse(const char *from, const char *to, vk_status code, const char *says)
{
  char text[3000];
  const char *at = strstr(object, from);
  assert_non_null(at);
  snprintf(text, sizeof text, "%.*s%s%s", (int)(at - object), object, to, at + strlen(from));
  vk_pack_builder p = {0};
  vk_err err = VK_ERR_INIT;
  double size[4];
  uint32_t elem;
  vk_assert_fails(store(&p, text, strlen(text), true, size, &elem, &err), code);
  vk_assert_says(&err, says);
  vk_assert_says(&err, "assets/thing/thing.xml");
  vk_pack_builder_fini(&p);
}

static void refuses_what_is_wrong(void **state)
{
  refuse("<mujoco model=\"thing\">", "<mujoco><bad>", VK_E_FORMAT, "not well-formed");
  refuse("<mujoco model=\"thing\">", "<mujoco><compiler angle=\"degree\"/>", VK_E_UNSUPPORTED,
         "<compiler>: angle=\"degree\", expected \"radian\"");
  refuse("<mujoco model=\"thing\">", "<mujoco><compiler angle=\"radian\" eulerseq=\"XYZ\"/>",
         VK_E_UNSUPPORTED, "eulerseq=\"XYZ\", expected \"xyz\"");
  refuse("class=\"solid\" type", "class=\"soft\" type", VK_E_FORMAT,
         "line 10: <geom>: there is no <default class=\"soft\">");
  refuse("name=\"object\"", "name=\"main\"", VK_E_FORMAT, "<body name=\"object\">");
  refuse("bottom_site", "bottom", VK_E_FORMAT, "there is no <site name=\"bottom_site\">");
  refuse("pos=\"0.3 0.4 0\"", "pos=\"0.3 0.4\"", VK_E_FORMAT, "expected 3 numbers");
  refuse("group=\"1\" size=\".1\"", "size=\".1\"", VK_E_FORMAT, "group=\"\", expected 1 numbers");
  refuse("1 2 3.", "1 2 0x3", VK_E_FORMAT, "line 10: <geom name=\"g1\">: size=\"1 2 0x3\"");
  refuse("1 2 3.", "1 2 inf", VK_E_FORMAT, "expected 1 to 16 numbers");
  refuse("1 2 3.", "", VK_E_FORMAT, "expected 1 to 16 numbers");
  refuse("1 2 3.", "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", VK_E_FORMAT, "expected 1 to 16 numbers");
  refuse("type=\"box\"", "type=\"b x\"", VK_E_FORMAT, "type=\"b x\" is no name");
  refuse("type=\"box\"", "fluidshape=\"box\"", VK_E_UNSUPPORTED,
         "attribute fluidshape=\"box\" is not known");
  refuse("<body name=\"part\">", "<body name=\"part\"><freejoint/>", VK_E_UNSUPPORTED,
         "line 11: <freejoint>: this element is not known");
  refuse("<site class=\"solid\" name=\"region\" size=\"1 1 1\"/>",
         "<site name=\"region\"><site/></site>", VK_E_UNSUPPORTED, "should have no children");
  refuse("type=\"box\"", "type=\"mesh\" mesh=\"lost\"", VK_E_UNSUPPORTED,
         "mesh thing_lost: a colliding mesh needs a file");
}

static void finds_meshes_beside_the_file(void **state)
{
  vk_xml *xml;
  vk_assert_ok(vk_mjcf_parse(object, sizeof object - 1, "a/b/c.xml", &xml, NULL), NULL);
  const vk_xml_node *mesh = vk_xml_find(xml->root, "mesh", "seen");
  assert_string_equal(vk_xml_get(mesh, "file"), "a/b/visual/seen.stl");
  vk_assert_ok(vk_mjcf_prefix(xml, xml->root, "p_", true, NULL), NULL);
  assert_string_equal(vk_xml_get(mesh, "name"), "p_seen");
  assert_non_null(vk_xml_find(xml->root, "body", "part"));
  vk_assert_ok(vk_mjcf_prefix(xml, xml->root, "q_", false, NULL), NULL);
  assert_string_equal(vk_xml_get(mesh, "name"), "q_p_seen");
  assert_non_null(vk_xml_find(xml->root, "body", "q_part"));
  vk_xml_free(xml);
}

/* Five triangles: a tetrahedron and one inside it, so that its hull has fewer vertices. */
static void put_dented_stl(const char *path)
{
  static const float corner[7][3] = {{0, 0, 0},       {1, 0, 0},       {0, 1, 0},      {0, 0, 1},
                                     {.1f, .1f, .1f}, {.2f, .1f, .1f}, {.1f, .2f, .1f}};
  static const int triangle[5][3] = {{0, 2, 1}, {0, 1, 3}, {0, 3, 2}, {1, 2, 3}, {4, 5, 6}};
  unsigned char stl[84 + 50 * 5] = {[80] = 5};
  for (int i = 0; i < 5; i++)
    for (int k = 0; k < 3; k++)
      memcpy(stl + 84 + 50 * i + 12 + 12 * k, corner[triangle[i][k]], 12);
  vk_assert_ok(vk_fs_write(path, stl, sizeof stl, NULL), NULL);
}

/* A colliding mesh is stored once, as its hull, in the frame of the whole; a geom's own pose has no
 * place there. */
static void stores_hulls(void **state)
{
  static const char format[] =
      "<mujoco><asset><mesh name='m' file='dent.stl'/></asset><worldbody><body>"
      "<geom type='mesh' mesh='m' group='0'/><geom type='mesh' mesh='m' group='0'%s/>"
      "</body></worldbody></mujoco>";
  put_dented_stl(in_dir("dent.stl"));
  for (int has_pose = 0; has_pose < 2; has_pose++) {
    char text[500];
    vk_err err = VK_ERR_INIT;
    vk_pack_builder p = {0};
    vk_source *source;
    vk_xml *xml;
    uint32_t elem;
    snprintf(text, sizeof text, format, has_pose ? " quat='0 0 0 1'" : "");
    vk_assert_ok(vk_source_new(&source, &err), &err);
    vk_assert_ok(vk_source_add(source, temp_dir, &err), &err);
    vk_assert_ok(vk_mjcf_parse(text, strlen(text), "arm.xml", &xml, &err), &err);
    const vk_mjcf_writer w = {&p, source, NULL};
    vk_status st =
        vk_mjcf_put_children(&w, xml, vk_xml_child(xml->root, "worldbody", NULL), &elem, &err);
    if (has_pose) {
      assert_int_equal(st, VK_E_UNSUPPORTED);
      vk_assert_says(&err, "mesh m is not convex: its geom must have no pose of its own");
    } else {
      vk_assert_ok(st, &err);
      assert_int_equal(p.n_mesh, 1);
      assert_int_equal(p.n_hull_frame, 1);
      assert_int_equal(p.mesh[0].n_triangle, 4);
    }
    vk_xml_free(xml);
    vk_source_free(source);
    vk_pack_builder_fini(&p);
  }
}

static void numbers_survive(void **state)
{
  vk_xml *xml;
  const double v[3] = {0.1, -1.6666666666666667, 5e-324};
  double back[3];
  vk_assert_ok(vk_mjcf_parse("<mujoco/>", 9, "a.xml", &xml, NULL), NULL);
  vk_assert_ok(vk_mjcf_set(xml, xml->root, "pos", v, 3, NULL), NULL);
  vk_assert_ok(vk_mjcf_get(xml, xml->root, "pos", back, 3, NULL), NULL);
  for (int i = 0; i < 3; i++)
    vk_assert_same_bits(back[i], v[i]);
  vk_assert_fails(vk_mjcf_get(xml, xml->root, "pos", back, 2, NULL), VK_E_FORMAT);
  vk_xml_free(xml);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(stores_an_object),
      cmocka_unit_test(refuses_what_is_wrong),
      cmocka_unit_test(finds_meshes_beside_the_file),
      cmocka_unit_test(stores_hulls),
      cmocka_unit_test(numbers_survive),
  };
  return cmocka_run_group_tests(tests, make_temp_dir, remove_temp_dir);
}
