/* Task files: what is read from good ones, and the sentence, with its line, for each kind of bad.
 */
#include "sim/bddl.h"

#include <stdio.h>
#include <stdlib.h>

#include "test.h"

static const char good[] = "; a comment (with parentheses\n"
                           "(define (problem LIBERO_Tabletop_Manipulation)\n"
                           "  (:domain robosuite)\n"
                           "  (:language Put the bowl\n   on it);why\n"
                           "  (:regions\n"
                           "    (left (:target main_table) (:ranges ((-0.1 0.0 .1 2e-1)))\n"
                           "      (:yaw_rotation ((-1.5 3.14))) (:rgba (1 0 0 1)))\n"
                           "    (top (:target shelf_1)))\n"
                           "  (:fixtures main_table - table shelf_1 - shelf)\n"
                           "  (:objects bowl_1 bowl_2 - Bowl plate_1 - plate)\n"
                           "  (:obj_of_interest bowl_1)\n"
                           "  (:init (On bowl_1 main_table_left) (Open shelf_1_top))\n"
                           "  (:goal (And (In bowl_1 shelf_1_top) (TurnOff shelf_1)))\n"
                           ")\n";

static void reads_everything(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_bddl *b;
  vk_assert_ok(vk_bddl_parse(&b, good, sizeof good - 1, "good.bddl", &err), &err);
  assert_string_equal(b->problem, "libero_tabletop_manipulation");
  assert_string_equal(b->language, "put the bowl on it");
  assert_int_equal(b->n_region, 2);
  assert_string_equal(b->region[0].name, "main_table_left");
  assert_true(b->region[0].has_range && b->region[0].has_yaw);
  const double range[4] = {-0.1, 0, .1, 0.2}, yaw[2] = {-1.5, 3.14};
  for (int i = 0; i < 4; i++)
    vk_assert_same_bits(b->region[0].range[i], range[i]);
  for (int i = 0; i < 2; i++)
    vk_assert_same_bits(b->region[0].yaw_rad[i], yaw[i]);
  assert_string_equal(b->region[1].target, "shelf_1");
  assert_false(b->region[1].has_range || b->region[1].has_yaw);
  assert_int_equal(b->n_fixture, 2);
  assert_string_equal(b->fixture[0].category, "table");
  assert_int_equal(b->n_object, 3);
  assert_string_equal(b->object[1].name, "bowl_2");
  assert_string_equal(b->object[1].category, "bowl");
  assert_int_equal(b->n_interest, 1);
  assert_int_equal(b->n_init, 2);
  assert_int_equal(b->init[1].kind, VK_ATOM_OPEN);
  assert_string_equal(b->init[1].b, "");
  assert_int_equal(b->n_goal, 2);
  assert_int_equal(b->goal[0].kind, VK_ATOM_IN);
  assert_string_equal(b->goal[0].b, "shelf_1_top");
  assert_int_equal(b->goal[1].line, 14);
  vk_bddl_free(b);
  vk_bddl_free(NULL);
}

/* The good file with `from` replaced by `to` must be refused with a sentence that holds `says`. */
static void refuse(const char *from, const char *to, const char *says)
{
  char text[2000];
  const char *at = strstr(good, from);
  assert_non_null(at);
  snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
  vk_err err = VK_ERR_INIT;
  vk_bddl *b;
  vk_assert_fails(vk_bddl_parse(&b, text, strlen(text), "bad.bddl", &err), VK_E_FORMAT);
  vk_assert_says(&err, says);
  assert_null(b);
}

static void refuses_what_is_wrong(void **state)
{
  refuse("(define", "(defined", "bad.bddl line 2: found \"defined\", expected \"define\"");
  refuse("robosuite", "minecraft", "line 3: found \"minecraft\", expected \"robosuite\"");
  refuse("(:language", "(:lang", "line 4: found \":lang\", expected :domain, :language");
  refuse("(:language", "(:domain robosuite) (:language", "once each");
  refuse("(:language Put", "(:language (Put)", "line 4: found \"(\", expected \")\"");
  refuse("(:target shelf_1)", "", "expected a (:target NAME)");
  refuse("(:target shelf_1)", "(:target shelf_1) (:target shelf_1)", "one :target only");
  refuse("(:target shelf_1)", "(:target main_table) (:color 1)", ":ranges, :yaw_rotation or :rgba");
  refuse("(top (:target shelf_1)", "(left (:target main_table)",
         "main_table_left is declared twice");
  refuse("2e-1", "0.2 0.3", "found \"0.3\", expected \")\"");
  refuse("2e-1", "nan", "line 7: found \"nan\", expected a number");
  refuse("2e-1", "1e999", "expected a number");
  refuse("2e-1", "1.2.3", "expected a number");
  refuse("2e-1", "-2e-1", "line 7: region left ends before it begins");
  refuse(" - shelf)", ")", "\"- category\" after the names");
  refuse("bowl_1 bowl_2 - Bowl", "- Bowl", "names before");
  refuse("bowl_2 - Bowl", "- Bowl bowl_2 - Bowl", "category bowl is declared twice");
  refuse("bowl_1 bowl_2", "bowl_1 bowl_1", "line 11: bowl_1 is declared twice");
  refuse("(On bowl_1", "(Up bowl_1", "line 13: found \"up\", expected On, In, Open");
  refuse("(On bowl_1 main_table_left)", "(On bowl_1)", "expected a second name");
  refuse("(Open shelf_1_top)", "(Open shelf_1_top bowl_1)", "found \"bowl_1\", expected \")\"");
  refuse("(And", "(Or", "line 14: found \"or\", expected \"and\"");
  refuse("(In bowl_1 shelf_1_top) (TurnOff shelf_1)", "", "expected an atom");
  refuse("  (:goal (And (In bowl_1 shelf_1_top) (TurnOff shelf_1)))\n", "", "there is no (:goal");
  refuse(")\n)\n", ")\n", "the file ends, expected \")\"");
  refuse(")\n)\n", "))\n(", "expected the end of the file");
  refuse("bowl_2", "b\xc3\xb6wl", "line 11: byte 0xc3 is not ASCII text");
}

static void refuses_every_cut(void **state)
{
  for (size_t n = 0; n < sizeof good - 3; n++) {
    vk_bddl *b;
    char *cut = malloc(n ? n : 1);
    memcpy(cut, good, n);
    vk_assert_fails(vk_bddl_parse(&b, cut, n, "cut.bddl", NULL), VK_E_FORMAT);
    free(cut);
  }
}

static void refuses_huge_files(void **state)
{
  size_t n = (1 << 20) + 1;
  char *text = malloc(n);
  vk_bddl *b;
  memset(text, '(', n);
  vk_assert_fails(vk_bddl_parse(&b, text, n, "huge.bddl", NULL), VK_E_RANGE);
  vk_assert_fails(vk_bddl_parse(&b, text, n - 1, "huge.bddl", NULL), VK_E_FORMAT);
  free(text);
}

/* Each name is compared with those before it: no list may take minutes. */
static void refuses_endless_lists(void **state)
{
  char *text = malloc(1 << 20);
  size_t at = (size_t)sprintf(text, "(define (problem p) (:objects");
  for (int i = 0; i <= 4096; i++)
    at += (size_t)sprintf(text + at, " a%d", i);
  at += (size_t)sprintf(text + at, " - cup) (:goal (And (Open a))))");
  vk_err err = VK_ERR_INIT;
  vk_bddl *b;
  vk_assert_fails(vk_bddl_parse(&b, text, at, "long.bddl", &err), VK_E_RANGE);
  vk_assert_says(&err, "long.bddl line 1: a list of more than 4096 items");
  free(text);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_everything),      cmocka_unit_test(refuses_what_is_wrong),
      cmocka_unit_test(refuses_every_cut),     cmocka_unit_test(refuses_huge_files),
      cmocka_unit_test(refuses_endless_lists),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
