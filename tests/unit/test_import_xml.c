/* XML trees: what expat hands over, changes, and documents that are refused. */
#include "sim/import_xml.h"

#include <stdio.h>
#include <stdlib.h>

#include "test.h"

static const char text[] = "<?xml version=\"1.0\"?>\n<a x=\"1\">\n  <!-- no -->\n"
                           "  <b name=\"n1\"/>words<b name=\"n2\" y=\"&lt;2\"><c/></b>\n</a>\n";

static vk_xml *parse(const char *bytes, size_t n)
{
  vk_err err = VK_ERR_INIT;
  vk_xml *xml;
  vk_assert_ok(vk_xml_parse(&xml, bytes, n, "t.xml", &err), &err);
  return xml;
}

static void reads_a_tree(void **state)
{
  vk_xml *xml = parse(text, sizeof text - 1);
  assert_string_equal(xml->root->tag, "a");
  assert_int_equal(xml->root->line, 2);
  assert_string_equal(vk_xml_get(xml->root, "x"), "1");
  assert_null(vk_xml_get(xml->root, "y"));
  vk_xml_node *b = vk_xml_child(xml->root, "b", "n2");
  assert_ptr_equal(b->prev, vk_xml_child(xml->root, "b", NULL));
  assert_string_equal(vk_xml_get(b, "y"), "<2");
  assert_int_equal(b->line, 4);
  assert_ptr_equal(vk_xml_find(xml->root, "c", NULL), b->first);
  assert_null(vk_xml_find(xml->root, "c", "n1"));
  assert_null(vk_xml_child(xml->root, "c", NULL));
  int n = 0;
  for (vk_xml_node *i = xml->root; i; i = vk_xml_walk(xml->root, i))
    n++;
  assert_int_equal(n, 4);
  assert_null(vk_xml_walk(b->first, b->first));
  vk_err err = VK_ERR_INIT;
  vk_assert_fails(vk_xml_fail(NULL, VK_E_RANGE, xml, b, "no"), VK_E_RANGE);
  vk_assert_fails(vk_xml_fail(&err, VK_E_FORMAT, xml, b, "it is %s", "wrong"), VK_E_FORMAT);
  assert_string_equal(err.text, "t.xml line 4: <b name=\"n2\">: it is wrong");
  vk_xml_free(xml);
  vk_xml_free(NULL);
}

static void changes_a_tree(void **state)
{
  vk_xml *xml = parse(text, sizeof text - 1);
  vk_xml_node *a = xml->root, *b1 = a->first, *b2 = a->last, *added;
  for (int i = 0; i < 20; i++) {
    char key[8];
    snprintf(key, sizeof key, "k%d", i);
    vk_assert_ok(vk_xml_set(xml, b1, key, key + 1, NULL), NULL);
  }
  vk_assert_ok(vk_xml_set(xml, b1, "k3", "new", NULL), NULL);
  assert_int_equal(b1->n_attr, 21);
  assert_string_equal(vk_xml_get(b1, "k3"), "new");
  vk_xml_unset(b1, "k3");
  vk_xml_unset(b1, "k3");
  assert_int_equal(b1->n_attr, 20);
  assert_null(vk_xml_get(b1, "k3"));
  assert_string_equal(vk_xml_get(b1, "k19"), "19");
  vk_assert_ok(vk_xml_add(xml, a, "d", &added, NULL), NULL);
  assert_ptr_equal(a->last, added);
  vk_xml_move(b2, NULL); /* the middle one */
  assert_ptr_equal(b1->next, added);
  assert_ptr_equal(added->prev, b1);
  vk_xml_move(b1, NULL);
  assert_ptr_equal(a->first, added);
  vk_xml_move(added, b2);
  assert_null(a->first);
  assert_null(a->last);
  assert_ptr_equal(b2->last, added);
  assert_ptr_equal(b2->first->next, added);
  vk_xml_free(xml);
}

static void refuse(const char *bytes, size_t n, const char *says)
{
  vk_err err = VK_ERR_INIT;
  vk_xml *xml;
  vk_assert_fails(vk_xml_parse(&xml, bytes, n, "t.xml", &err), VK_E_FORMAT);
  vk_assert_says(&err, says);
  assert_null(xml);
}

static void refuses_what_is_wrong(void **state)
{
  static const char bomb[] = "<!DOCTYPE a [<!ENTITY b \"cc\">]>\n<a x=\"&b;\"/>";
  refuse(bomb, sizeof bomb - 1, "t.xml line 1: a DOCTYPE, which is not read");
  static const char open[] = "<a>\n<b>\n</a>";
  refuse(open, sizeof open - 1, "t.xml line 3: not well-formed XML: mismatched tag");
  static const char twice[] = "<a x='1' x='2'/>";
  refuse(twice, sizeof twice - 1, "duplicate attribute");
  refuse("", 0, "no element found");
  for (size_t n = 0; n < sizeof text - 2; n++)
    refuse(text, n, "t.xml line");
  char deep[101 * 3];
  for (int i = 0; i < 101; i++)
    memcpy(deep + (size_t)(3 * i), "<a>", 3);
  refuse(deep, sizeof deep, "more than 100 levels");
  char wide[201 * 8 + 10] = "<a";
  for (int i = 0; i <= 200; i++)
    sprintf(wide + strlen(wide), " k%d=''", i);
  strcat(wide, "/>");
  refuse(wide, strlen(wide), "t.xml line 1: an element of more than 200 attributes");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_a_tree),
      cmocka_unit_test(changes_a_tree),
      cmocka_unit_test(refuses_what_is_wrong),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
