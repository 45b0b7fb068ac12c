/* A whole import of a small suite of our own: from a folder and from a zip file, what comes out,
 * and the sentence for each kind of file that is missing or does not fit. */
#include "sim/import_libero.h"

#include <stdio.h>

#include "core/json.h"
#include "init_build.h"
#include "sim/mjcf.h"
#include "temp_dir.h"

static const char *const files[][2] = {
    {"bench/task_map.py", "m = {\"near\": [\"ROOM_SCENE12_put_the_bowl_left\", \"open_it\"]}"},
    {"bddl/near/ROOM_SCENE12_put_the_bowl_left.bddl",
     "(define (problem Room) (:domain robosuite) (:language Put it)\n"
     "(:regions (left (:target table) (:ranges ((0 0 1 1)))))\n"
     "(:fixtures table - table shelf_1 - shelf) (:objects bowl_1 bowl_2 - bowl)\n"
     "(:obj_of_interest bowl_1) (:init (On bowl_1 table_left))\n"
     "(:goal (And (On bowl_1 bowl_2))))"},
    {"bddl/near/open_it.bddl", "(define (problem room)\n(:fixtures shelf_1 - shelf)\n"
                               "(:goal (And (Open shelf_1))))"},
    {"bot/arm.xml",
     "<mujoco><worldbody><body name='base'><body name='hand'><joint name='j1'/></body></body>"
     "</worldbody><actuator><motor name='m1' joint='j1'/></actuator></mujoco>"},
    {"bot/grip.xml",
     "<mujoco><worldbody><body name='palm' pos='9 9 9'><joint name='f' type='slide'/></body>"
     "</worldbody><actuator><position name='p' joint='f'/></actuator>"
     "<contact><exclude body1='palm' body2='palm'/></contact></mujoco>"},
    {"assets/room.xml", "<mujoco><worldbody><geom name='floor' type='plane' size='1 1 1'/>"
                        "<body name='table'/></worldbody></mujoco>"},
    {"assets/bowl.xml",
     "<mujoco><worldbody><body><body name='object'><geom group='0' size='1'/></body>"
     "<site name='horizontal_radius_site' pos='1 2 3'/><site name='bottom_site' pos='0 0 -1'/>"
     "<site name='top_site' pos='0 0 4'/></body></worldbody></mujoco>"},
    {"assets/shelf.xml",
     "<mujoco><worldbody><body><body name='object'><body name='d'><joint "
     "name='door'/></body></body>"
     "<site name='horizontal_radius_site' pos='1 2 3'/><site name='bottom_site' pos='0 0 -1'/>"
     "<site name='top_site' pos='0 0 4'/></body></worldbody></mujoco>"},
};

static const char facts_text[] =
    "{\"distributions\": [{\"begins\": [\"assets/\"], \"name\": \"the-assets 1.0\"},"
    "  {\"begins\": [\"bddl/\", \"init/\", \"bench/\"], \"name\": \"the-tasks 2.0\"}],"
    "\"task_map\": \"bench/task_map.py\","
    "\"suites\": [{\"name\": \"near\", \"bddl\": \"bddl/near\", \"init\": \"init/near\"},"
    "  {\"name\": \"own\", \"bddl\": \"bddl/near\", \"init\": \"init/near\", \"tasks\": "
    "[\"open_it\"]}],"
    "\"problems\": [{\"name\": \"room\", \"xml\": \"assets/room.xml\", \"robot\": \"arm\","
    "  \"robot_pos\": [1, 2, 3], \"arena_name\": \"table\", \"arena_category\": \"table\","
    "  \"zone_body\": \"table\", \"workspace_offset\": [0, 0, 0.5], \"fixture_z_offset\": -0.25,"
    "  \"object_z_offset\": 0.125, \"zone_offset\": [0, 0, 2], \"zone_half_height\": 0.5,"
    "  \"shrink\": true, \"change\": [{\"tag\": \"geom\", \"name\": \"floor\", \"size\": [7, 8, "
    "9]}],"
    "  \"cameras\": [{\"name\": \"eye\", \"pos\": [1, 1, 1], \"quat\": [1, 0, 0, 0]}]}],"
    "\"robots\": [{\"name\": \"arm\", \"xml\": \"bot/arm.xml\", \"prefix\": \"r_\","
    "  \"joints\": {\"armature\": [0.75]},"
    "  \"attach\": [{\"xml\": \"bot/grip.xml\", \"prefix\": \"g_\", \"to\": \"hand\","
    "    \"pos\": [0, 0, 5]}]}],"
    "\"classes\": [{\"name\": \"bowl\", \"kind\": \"object\", \"xml\": \"assets/bowl.xml\","
    "    \"rotation\": [[\"x\", 0, 1], [\"z\", 2, 3]], \"rotation_product\": true},"
    "  {\"name\": \"shelf\", \"kind\": \"fixture\", \"xml\": \"assets/shelf.xml\","
    "    \"articulation\": [[\"open\", \"<\", -0.5, \"any\", -2, -1],"
    "      [\"close\", \">=\", 0, \"all\", 0, 0.5]]}]}";

static void put_file(const char *folder, const char *name, const char *text)
{
  char path[VK_FS_PATH_MAX], dir[VK_FS_PATH_MAX];
  snprintf(path, sizeof path, "%s/%s/%s", temp_dir, folder, name);
  snprintf(dir, sizeof dir, "%s", path);
  *strrchr(dir, '/') = '\0';
  vk_assert_ok(vk_fs_make_dirs(dir, NULL), NULL);
  vk_assert_ok(vk_fs_write(path, text, strlen(text), NULL), NULL);
}

/* The suite in a folder: 1 + nq + nv = 1 + (2 + 14 + 1) + (2 + 12 + 1) and 1 + 3 + 3 columns. */
static void put_suite(const char *folder)
{
  char path[VK_FS_PATH_MAX];
  for (size_t i = 0; i < VK_COUNT(files); i++)
    put_file(folder, files[i][0], files[i][1]);
  double row[2][33] = {{0}, {0}}, row2[7] = {0, -1, 2, 3, 0, 0, 0};
  for (int i = 1; i <= 17; i++)
    row[1][i] = 0.5 * i;
  row[0][20] = -0.0; /* not the zero that may be left out */
  put_file(folder, "init/near/none", "");
  snprintf(path, sizeof path, "%s/%s/init/near/open_it.pruned_init", temp_dir, folder);
  init_write(path, row2, 1, 7);
  snprintf(path, sizeof path, "%s/%s/init/near/ROOM_SCENE12_put_the_bowl_left.pruned_init",
           temp_dir, folder);
  init_write(path, row[0], 2, 33);
}

static vk_status import(vk_pack_builder *pack, const char *path, const char *facts_json,
                        vk_err *err)
{
  cJSON *facts;
  vk_source *source;
  *pack = (vk_pack_builder){0};
  vk_assert_ok(vk_json_parse(&facts, facts_json, strlen(facts_json), "facts", err), err);
  vk_assert_ok(vk_source_new(&source, err), err);
  vk_assert_ok(vk_source_add(source, in_dir(path), err), err);
  vk_status st = vk_import_libero(pack, NULL, source, facts, NULL, err);
  vk_source_free(source);
  cJSON_Delete(facts);
  return st;
}

static vk_pack *open_import(const char *path)
{
  static vk_pack pack;
  vk_pack_builder b;
  vk_err err = VK_ERR_INIT;
  void *bytes;
  size_t n;
  char hash[65];
  vk_assert_ok(import(&b, path, facts_text, &err), &err);
  vk_assert_ok(vk_pack_build(&b, &bytes, &n, hash, &err), &err);
  vk_pack_builder_fini(&b);
  vk_assert_ok(vk_pack_open_bytes(&pack, bytes, n, "small", &err), &err);
  assert_string_equal(pack.hash, hash);
  return &pack;
}

static double number_of(const vk_pack *p, uint32_t elem, int key)
{
  for (uint32_t i = 0; i < p->elem[elem].n_attr; i++)
    if (p->attr[p->elem[elem].attr + i].key == key)
      return p->num[p->attr[p->elem[elem].attr + i].value];
  return NAN;
}

static void imports_a_suite(void **state)
{
  put_suite("good");
  const vk_pack *p = open_import("good");
  assert_int_equal(p->n_suite, 2);
  assert_int_equal(p->n_task, 3);
  const vk_pack_task *t = &p->task[0];
  assert_string_equal(vk_pack_text(p, t->language), "put the bowl left");
  assert_string_equal(vk_pack_text(p, p->task[1].language), "open it");
  assert_string_equal(vk_pack_text(p, t->bddl_language), "put it");
  assert_int_equal(t->n_object, 2);
  assert_int_equal(t->n_fixture, 1); /* the table is the arena */
  assert_int_equal(p->region[t->region].has_range, 1);
  assert_int_equal(p->atom[t->goal].kind, VK_ATOM_ON);
  assert_int_equal(t->n_row, 2);
  assert_int_equal(t->n_state, 33);
  assert_int_equal(t->n_stored, 20);
  double row[33];
  vk_assert_ok(vk_pack_init_row(p, t, 1, row, NULL), NULL);
  vk_assert_same_bits(row[17], 8.5);
  vk_assert_ok(vk_pack_init_row(p, t, 0, row, NULL), NULL);
  vk_assert_same_bits(row[20], -0.0);
  const vk_pack_class *bowl = &p->class_[0], *shelf = &p->class_[1];
  assert_int_equal(bowl->n_rotation, 2);
  assert_int_equal(bowl->rotation[1].axis, VK_AXIS_Z);
  assert_int_equal(bowl->is_rotation_product, 1);
  vk_assert_same_bits(bowl->radius_m, 1.0);
  vk_assert_same_bits(bowl->top_m, 4.0);
  assert_int_equal(shelf->articulation[1].atom, VK_ATOM_CLOSE);
  assert_int_equal(shelf->articulation[1].cmp, VK_CMP_GE);
  assert_int_equal(shelf->articulation[1].every, 1);
  vk_assert_same_bits(shelf->articulation[0].draw_lo, -2.0);
  const vk_pack_problem *q = &p->problem[0];
  vk_assert_same_bits(number_of(p, p->elem[q->world].first_child, VK_MJCF_KEY_SIZE), 7.0);
  vk_assert_same_bits(number_of(p, q->robot, VK_MJCF_KEY_POS), 1.0);
  uint32_t hand = p->elem[q->robot].first_child, joint = p->elem[hand].first_child;
  vk_assert_same_bits(number_of(p, joint, VK_MJCF_KEY_ARMATURE), 0.75);
  uint32_t palm = p->elem[joint].next_sibling;
  assert_string_equal(vk_pack_text(p, p->attr[p->elem[palm].attr].value), "g_palm");
  vk_assert_same_bits(number_of(p, palm, VK_MJCF_KEY_POS), 0.0);
  uint32_t motor = p->elem[q->actuator].first_child;
  assert_int_equal(p->elem[p->elem[motor].next_sibling].tag, VK_MJCF_TAG_POSITION);
  vk_pack_close((vk_pack *)p);
}

/* A zip file of the folder gives the same bytes. */
static void zip_equals_folder(void **state)
{
  char hash[65], command[300];
  vk_pack *p = open_import("good");
  memcpy(hash, p->hash, sizeof hash);
  vk_pack_close(p);
  vk_zip_writer *w;
  vk_assert_ok(vk_zip_create(&w, in_dir("good.whl"), NULL), NULL);
  snprintf(command, sizeof command, "cd %s/good && find . -type f", temp_dir);
  FILE *list = popen(command, "r");
  assert_non_null(list);
  for (char line[300]; fgets(line, sizeof line, list);) {
    char path[VK_FS_PATH_MAX], *bytes;
    size_t n;
    line[strcspn(line, "\n")] = '\0';
    snprintf(path, sizeof path, "%s/good/%s", temp_dir, line + 2);
    vk_assert_ok(vk_fs_read(&bytes, &n, path, 1 << 20, NULL), NULL);
    snprintf(path, sizeof path, "pkg/%s", line + 2);
    vk_assert_ok(vk_zip_add(w, path, bytes, n, true, NULL), NULL);
    free(bytes);
  }
  pclose(list);
  vk_assert_ok(vk_zip_commit(w, NULL), NULL);
  p = open_import("good.whl");
  assert_string_equal(p->hash, hash);
  vk_pack_close(p);
}

/* The suite with one file changed (text NULL: gone) must be refused. */
static void refuse_file(const char *name, const char *text, vk_status code, const char *says)
{
  char path[VK_FS_PATH_MAX];
  vk_pack_builder b;
  vk_err err = VK_ERR_INIT;
  put_suite("bad");
  snprintf(path, sizeof path, "%s/bad/%s", temp_dir, name);
  if (text)
    put_file("bad", name, text);
  else
    assert_int_equal(remove(path), 0);
  vk_assert_fails(import(&b, "bad", facts_text, &err), code);
  vk_assert_says(&err, says);
  vk_pack_builder_fini(&b);
}

static void refuses_files(void **state)
{
  refuse_file("bench/task_map.py", NULL, VK_E_NOTFOUND, "part of the-tasks 2.0");
  refuse_file("bench/task_map.py", "m = {}", VK_E_FORMAT, "suite near has no tasks");
  refuse_file("bench/task_map.py", "m = {'near': ['a b']}", VK_E_FORMAT, "task \"a b\"");
  refuse_file("bddl/near/open_it.bddl", NULL, VK_E_NOTFOUND, "no file bddl/near/open_it.bddl");
  refuse_file("init/near/open_it.pruned_init", NULL, VK_E_NOTFOUND, "part of the-tasks 2.0");
  refuse_file("init/near/open_it.pruned_init", "PK", VK_E_FORMAT, "open_it.pruned_init");
  refuse_file("bddl/near/open_it.bddl", "(define (problem attic) (:goal (And (Open a))))",
              VK_E_FORMAT, "problem \"attic\" has no row in data/libero.json");
  refuse_file("bddl/near/open_it.bddl",
              "(define (problem room) (:fixtures a - cup)\n (:goal (And (Open a))))", VK_E_FORMAT,
              "bddl/near/open_it.bddl: category \"cup\" has no row");
  refuse_file("bddl/near/open_it.bddl",
              "(define (problem room)\n (:objects a - shelf) (:goal (And (Open a))))", VK_E_FORMAT,
              "line 2: a is declared as an object, but its class is not one");
  refuse_file("bddl/near/open_it.bddl",
              "(define (problem room)\n (:fixtures a - shelf)\n (:goal (And (Open b))))",
              VK_E_FORMAT, "line 3: b is neither declared nor a region");
  refuse_file("bddl/near/open_it.bddl",
              "(define (problem room) (:regions (x (:target table)))\n (:fixtures a - shelf)\n"
              " (:goal (And (Open a))))",
              VK_E_FORMAT, "region table_x of the arena has no :ranges");
  refuse_file("bddl/near/open_it.bddl",
              "(define (problem room) (:regions (x (:target table) (:ranges ((1 0 1 1)))))\n"
              " (:fixtures a - shelf) (:goal (And (Open a))))",
              VK_E_FORMAT, "region table_x of the arena has no :ranges with an area");
  refuse_file("bddl/near/open_it.bddl",
              "(define (problem room) (:fixtures a b - shelf) (:goal (And (Open a))))",
              VK_E_MISMATCH, "rows of 7 numbers, but the scene's state has 1 + 4 + 4");
  refuse_file("assets/bowl.xml", "<mujoco/>", VK_E_FORMAT, "assets/bowl.xml");
  refuse_file("assets/room.xml", "<mujoco><worldbody/></mujoco>", VK_E_FORMAT,
              "there is no <geom name=\"floor\"> to change");
  refuse_file("assets/room.xml", "<mujoco/>", VK_E_FORMAT, "there is no <worldbody>");
  refuse_file("bot/grip.xml", "<mujoco/>", VK_E_FORMAT, "bot/grip.xml: has no body");
  refuse_file("bot/arm.xml", "<mujoco><worldbody><body name='base'/></worldbody></mujoco>",
              VK_E_FORMAT, "\"armature\" must have 0 numbers");
}

static void refuses_other_times(void **state)
{
  char path[VK_FS_PATH_MAX];
  const double row[7] = {1, 0, 0, 0, 0, 0, 0};
  vk_pack_builder b;
  vk_err err = VK_ERR_INIT;
  put_suite("late");
  snprintf(path, sizeof path, "%s/late/init/near/open_it.pruned_init", temp_dir);
  init_write(path, row, 1, 7);
  vk_assert_fails(import(&b, "late", facts_text, &err), VK_E_UNSUPPORTED);
  vk_assert_says(&err, "a row begins at a time other than 0");
  vk_pack_builder_fini(&b);
}

static void refuse_fact(const char *from, const char *to, const char *says)
{
  char text[4000];
  const char *at = strstr(facts_text, from);
  assert_non_null(at);
  snprintf(text, sizeof text, "%.*s%s%s", (int)(at - facts_text), facts_text, to,
           at + strlen(from));
  vk_pack_builder b;
  vk_err err = VK_ERR_INIT;
  assert_int_not_equal(import(&b, "good", text, &err), VK_OK);
  vk_assert_says(&err, says);
  vk_pack_builder_fini(&b);
}

static void refuses_facts(void **state)
{
  refuse_fact("\"suites\"", "\"suits\"", "unknown key \"suits\"; did you mean \"suites\"?");
  refuse_fact("\"suites\": [", "\"suites\": 1, \"about\": [", "\"suites\" must be a list");
  refuse_fact("\"init\": \"init/near\"}", "\"inits\": \"init/near\"}",
              "near: unknown key \"inits\"; did you mean \"init\"?");
  refuse_fact("\"name\": \"own\"", "\"name\": \"near\"", "suites: there are two rows \"near\"");
  refuse_fact("\"name\": \"shelf\"", "\"name\": \"bowl\"", "classes: there are two rows \"bowl\"");
  refuse_fact("\"shrink\": true", "\"shrnk\": true", "room: unknown key \"shrnk\"");
  refuse_fact("\"shrink\": true", "\"shrink\": 1", "room: \"shrink\" is a number");
  refuse_fact("\"rotation_product\": true", "\"rotation_product\": \"yes\"",
              "bowl: \"rotation_product\" is a string");
  refuse_fact("\"kind\": \"fixture\"", "\"kind\": \"fixture\", \"rotation\": []",
              "shelf: unknown key \"rotation\"");
  refuse_fact("\"quat\": [1, 0, 0, 0]}", "\"quat\": [1, 0, 0, 0], \"fovy\": 45}",
              "camera: unknown key \"fovy\"");
  refuse_fact("\"size\": [7, 8, 9]", "\"size\": 7",
              "change of floor: \"size\" must be an attribute with a list");
  refuse_fact("\"size\": [7, 8, 9]", "\"sice\": [7]",
              "change of floor: \"sice\" must be an attribute with a list");
  refuse_fact("\"prefix\": \"r_\",", "\"prefix\": \"r_\", \"joint\": {},",
              "robot: unknown key \"joint\"; did you mean \"joints\"?");
  refuse_fact("\"to\": \"hand\",", "\"to\": \"hand\", \"post\": 1,",
              "attach: unknown key \"post\"");
  refuse_fact("\"tasks\": [\"open_it\"]", "\"tasks\": [3]", "\"tasks\" must be a list of names");
  refuse_fact("\"robot\": \"arm\"", "\"robot\": \"leg\"", "there is no robot \"leg\"");
  refuse_fact("\"robot_pos\": [1, 2, 3]", "\"robot_pos\": [1, 2]", "robot_pos");
  refuse_fact("\"size\": [7, 8, 9]", "\"size\": []", "list of 1 to 8 numbers");
  refuse_fact("\"kind\": \"object\"", "\"kind\": \"pet\"", "neither object nor fixture");
  refuse_fact("[\"x\", 0, 1]", "[\"w\", 0, 1]", "class bowl: \"rotation\"");
  refuse_fact("\"rotation_product\": true", "\"rotation_product\": false", "several rotations");
  refuse_fact("[\"open\", \"<\"", "[\"open\", \"!\"", "class shelf: \"articulation\"");
  refuse_fact("\"to\": \"hand\"", "\"to\": \"foot\"", "the robot has no body r_foot");
  refuse_fact("\"armature\": [0.75]", "\"armature\": [0.75, 1]", "must have 1 numbers");
}

static void lists_missing_distributions(void **state)
{
  cJSON *facts, *missing;
  vk_source *source;
  vk_assert_ok(vk_json_parse(&facts, facts_text, strlen(facts_text), "facts", NULL), NULL);
  vk_assert_ok(vk_source_new(&source, NULL), NULL);
  vk_assert_ok(vk_import_libero_missing(source, facts, &missing, NULL), NULL);
  assert_int_equal(cJSON_GetArraySize(missing), 4); /* the robot's files belong to none */
  assert_string_equal(cJSON_GetArrayItem(missing, 0)->valuestring, "the-tasks 2.0");
  assert_string_equal(cJSON_GetArrayItem(missing, 1)->valuestring, "the-assets 1.0");
  cJSON_Delete(missing);
  vk_assert_ok(vk_source_add(source, in_dir("good"), NULL), NULL);
  vk_assert_ok(vk_import_libero_missing(source, facts, &missing, NULL), NULL);
  assert_int_equal(cJSON_GetArraySize(missing), 0);
  cJSON_Delete(missing);
  vk_source_free(source);
  cJSON_Delete(facts);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(imports_a_suite), cmocka_unit_test(zip_equals_folder),
      cmocka_unit_test(refuses_files),   cmocka_unit_test(refuses_other_times),
      cmocka_unit_test(refuses_facts),   cmocka_unit_test(lists_missing_distributions),
  };
  return cmocka_run_group_tests(tests, make_temp_dir, remove_temp_dir);
}
