/* Forward dynamics against mj_forward, bit for bit: on LIBERO's scenes, on random scenes with every
 * kind of geom, contact and joint, and where it must leave the work to MuJoCo. The argument is the
 * path; one that this machine cannot run is skipped. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/cpu.h"
#include "core/rng.h"
#include "sim/forward.h"
#include "sim/scene.h"

static vk_isa isa;
static vk_pack pack;

/* The same model twice: ours by vk_forward, theirs by the library. */
typedef struct twins {
  mjModel *m;
  mjData *ours, *theirs;
  vk_forward *f;
  const char *name;
} twins;

static void twins_init(twins *t, mjModel *m, const char *name)
{
  vk_err err = VK_ERR_INIT;
  *t = (twins){.m = m, .ours = mj_makeData(m), .theirs = mj_makeData(m), .name = name};
  assert_non_null(t->ours);
  assert_non_null(t->theirs);
  vk_assert_ok(vk_forward_new(&t->f, m, isa, &err), &err);
}

static void twins_fini(twins *t)
{
  vk_forward_free(t->f);
  mj_deleteData(t->ours);
  mj_deleteData(t->theirs);
}

static void assert_same(const twins *t, const char *what, const double *ours, const double *theirs,
                        int n)
{
  for (int i = 0; i < n; i++)
    if (memcmp(ours + i, theirs + i, sizeof *ours)) {
      print_error("%s, time %.3f: %s[%d] is %.17g, MuJoCo's %.17g\n", t->name, t->ours->time, what,
                  i, ours[i], theirs[i]);
      fail();
    }
}

static void assert_same_contacts(const twins *t)
{
  const mjData *a = t->ours, *b = t->theirs;
  if (a->ncon != b->ncon)
    print_error("%s, time %.3f: %d contacts, MuJoCo %d\n", t->name, a->time, a->ncon, b->ncon);
  assert_int_equal(a->ncon, b->ncon);
  for (int i = 0; i < a->ncon; i++) {
    const mjContact *x = a->contact + i, *y = b->contact + i;
    assert_memory_equal(x, y, offsetof(mjContact, mu));
    assert_int_equal(x->dim, y->dim);
    assert_int_equal(x->geom1, y->geom1);
    assert_int_equal(x->geom2, y->geom2);
    assert_int_equal(x->exclude, y->exclude);
  }
}

/* What physics, predicates and pictures read. */
static void assert_twins_same(const twins *t)
{
  const mjModel *m = t->m;
  const struct {
    const char *name;
    size_t at;
    int n;
  } arrays[] = {
#define ROW(array, n) {#array, offsetof(mjData, array), n}
      ROW(qpos, m->nq),
      ROW(qvel, m->nv),
      ROW(qacc, m->nv),
      ROW(qacc_warmstart, m->nv),
      ROW(qacc_smooth, m->nv),
      ROW(qfrc_constraint, m->nv),
      ROW(qfrc_smooth, m->nv),
      ROW(qfrc_bias, m->nv),
      ROW(qfrc_passive, m->nv),
      ROW(qfrc_actuator, m->nv),
      ROW(actuator_force, m->nu),
      ROW(actuator_velocity, m->nu),
      ROW(xpos, 3 * m->nbody),
      ROW(xquat, 4 * m->nbody),
      ROW(xmat, 9 * m->nbody),
      ROW(xipos, 3 * m->nbody),
      ROW(ximat, 9 * m->nbody),
      ROW(geom_xpos, 3 * m->ngeom),
      ROW(geom_xmat, 9 * m->ngeom),
      ROW(site_xpos, 3 * m->nsite),
      ROW(site_xmat, 9 * m->nsite),
      ROW(cam_xpos, 3 * m->ncam),
      ROW(cam_xmat, 9 * m->ncam),
      ROW(light_xpos, 3 * m->nlight),
      ROW(subtree_com, 3 * m->nbody),
      ROW(cdof, 6 * m->nv),
      ROW(cinert, 10 * m->nbody),
      ROW(qM, m->nM),
      ROW(qLD, m->nM),
      ROW(qLDiagInv, m->nv),
      ROW(cvel, 6 * m->nbody),
      ROW(cdof_dot, 6 * m->nv),
#undef ROW
  };
  assert_same_contacts(t);
  for (size_t i = 0; i < VK_COUNT(arrays); i++) {
    const double *ours, *theirs;
    memcpy(&ours, (const char *)t->ours + arrays[i].at, sizeof ours);
    memcpy(&theirs, (const char *)t->theirs + arrays[i].at, sizeof theirs);
    assert_same(t, arrays[i].name, ours, theirs, arrays[i].n);
  }
#if VK_MUJOCO_IS_KNOWN
  assert_int_equal(t->ours->solver_iter, t->theirs->solver_iter);
#endif
}

static void copy_state(const twins *t)
{
  mju_copy(t->theirs->qpos, t->ours->qpos, t->m->nq);
  mju_copy(t->theirs->qvel, t->ours->qvel, t->m->nv);
  mju_copy(t->theirs->ctrl, t->ours->ctrl, t->m->nu);
  mju_copy(t->theirs->qacc_warmstart, t->ours->qacc_warmstart, t->m->nv);
}

/* A substep as environments make it: three solves, the controls change before the third. */
static void substep(twins *t, vk_philox *rng)
{
  vk_forward_run(t->f, t->m, t->ours);
  mj_forward(t->m, t->theirs);
  assert_twins_same(t);
  for (int k = 0; k < 2; k++) {
    vk_forward_again(t->f, t->m, t->ours);
    mj_forwardSkip(t->m, t->theirs, mjSTAGE_VEL, 1);
    assert_twins_same(t);
    for (int i = 0; i < t->m->nu; i++)
      t->ours->ctrl[i] = t->theirs->ctrl[i] = t->ours->ctrl[i] + 4 * vk_philox_double(rng) - 2;
  }
  mj_Euler(t->m, t->ours);
  mj_Euler(t->m, t->theirs);
}

static void jolt(twins *t, vk_philox *rng, double scale)
{
  for (int i = 0; i < t->m->nq; i++)
    t->ours->qpos[i] += scale * (vk_philox_double(rng) - 0.5);
  for (int i = 0; i < t->m->nv; i++)
    t->ours->qvel[i] += 10 * scale * (vk_philox_double(rng) - 0.5);
  copy_state(t);
}

/* ---- LIBERO -------------------------------------------------------------------------------- */

static void run_task(const char *word, uint64_t seed)
{
  vk_err err = VK_ERR_INIT;
  uint32_t i_task, n;
  vk_scene *scene;
  vk_assert_ok(vk_pack_find_tasks(&pack, word, &i_task, &n, &err), &err);
  vk_assert_ok(vk_scene_new(&scene, &pack, i_task, NULL, &err), &err);
  vk_model_set_capacity(scene->model, 300, 1000);
  const char *reason = "";
  twins t;
  twins_init(&t, scene->model, word);
  if (VK_MUJOCO_IS_KNOWN && !vk_forward_is_native(t.f, &reason))
    fail_msg("%s is left to MuJoCo: %s", word, reason);
  double *state = malloc(sizeof *state * (size_t)scene->n_state);
  vk_philox rng;
  vk_philox_init(&rng, seed, 0);
  for (uint32_t row = 0; row < 4; row++) {
    vk_assert_ok(vk_pack_init_row(&pack, scene->task, row, state, &err), &err);
    memcpy(t.ours->qpos, state + 1, sizeof *state * (size_t)t.m->nq);
    mju_zero(t.ours->qvel, t.m->nv);
    mju_zero(t.ours->qacc_warmstart, t.m->nv);
    copy_state(&t);
    const double scales[] = {0, 1e-4, 3e-3, 3e-2};
    jolt(&t, &rng, scales[row]);
    for (int i = 0; i < 12; i++)
      substep(&t, &rng);
  }
  free(state);
  twins_fini(&t);
  vk_scene_free(scene);
}

static void test_libero_scenes(void **state)
{
  const char *words[] = {"libero_spatial/0", "libero_object/0", "libero_object/7", "libero_goal/0",
                         "libero_10/0",      "libero_10/3",     "libero_10/9",     "libero_90/0",
                         "libero_90/20",     "libero_90/35",    "libero_90/47",    "libero_90/80"};
  for (size_t i = 0; i < VK_COUNT(words); i++)
    run_task(words[i], i);
}

/* ---- random scenes ------------------------------------------------------------------------- */

typedef struct writer {
  char text[65536];
  size_t at;
  vk_philox rng;
} writer;

static void put(writer *w, const char *format, ...) VK_PRINTF(2, 3);
static void put(writer *w, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  int n = vsnprintf(w->text + w->at, sizeof w->text - w->at, format, args);
  va_end(args);
  w->at += (size_t)n;
  assert_true(w->at < sizeof w->text);
}

static double uniform(writer *w, double lo, double hi)
{
  return lo + (hi - lo) * vk_philox_double(&w->rng);
}

static int pick(writer *w, int n)
{
  return (int)(vk_philox_double(&w->rng) * n);
}

static void put_geom(writer *w, const char *where)
{
  const char *types[] = {"box", "box", "box", "sphere", "capsule", "ellipsoid", "cylinder", "mesh"};
  const int condims[] = {1, 3, 3, 3, 4, 6};
  const char *type = types[pick(w, 8)];
  put(w, "<geom type='%s' %s condim='%d' ", type, where, condims[pick(w, 6)]);
  if (strcmp(type, "mesh") == 0)
    put(w, "mesh='rock' ");
  else
    put(w, "size='%.3f %.3f %.3f' ", uniform(w, 0.02, 0.1), uniform(w, 0.02, 0.1),
        uniform(w, 0.02, 0.1));
  put(w, "euler='%.2f %.2f %.2f' ", uniform(w, 0, 3), uniform(w, 0, 3), uniform(w, 0, 3));
  put(w, "friction='%.2f %.3f %.4f' ", uniform(w, 0, 1.2), uniform(w, 0, 0.01), 0.001);
  if (pick(w, 4) == 0)
    put(w, "margin='%.3f' gap='%.3f' ", uniform(w, 0, 0.02), uniform(w, 0, 0.01));
  if (pick(w, 4) == 0)
    put(w, "priority='%d' solmix='%.1f' ", pick(w, 2), uniform(w, 0, 2));
  if (pick(w, 3) == 0)
    put(w, "solref='%.3f %.2f' solimp='%.3f 0.95 0.002 0.5 %d' ", uniform(w, 0.001, 0.03),
        uniform(w, 0.5, 1.5), uniform(w, 0.8, 0.99), 1 + pick(w, 3));
  else if (pick(w, 6) == 0)
    put(w, "solref='-2000 -30' ");
  if (pick(w, 8) == 0)
    put(w, "contype='2' conaffinity='1' ");
  put(w, "/>\n");
}

static void put_body(writer *w, int depth)
{
  bool is_root = depth == 0;
  put(w, "<body pos='%.3f %.3f %.3f'>\n", uniform(w, -0.25, 0.25), uniform(w, -0.25, 0.25),
      is_root ? uniform(w, 0.03, 0.4) : uniform(w, -0.1, 0.1));
  int joint = pick(w, is_root ? 5 : 4);
  if (is_root && joint >= 2)
    put(w, "<freejoint/>\n");
  else if (joint == 0)
    put(w,
        "<joint type='hinge' axis='0 1 %d' limited='%s' range='-20 40' frictionloss='%.2f'"
        " damping='0.1' armature='0.01' stiffness='%d'/>\n",
        pick(w, 2), pick(w, 2) ? "true" : "false", pick(w, 2) * 0.1, pick(w, 3));
  else if (joint == 1)
    put(w,
        "<joint type='slide' axis='1 0 0' limited='true' range='-0.05 0.05' margin='0.01'"
        " frictionloss='%.2f'/>\n",
        pick(w, 2) * 0.3);
  else if (joint == 2)
    put(w, "<joint type='ball' damping='0.01' stiffness='%d'/>\n", pick(w, 2));
  char where[64];
  for (int n = 1 + pick(w, 3), i = 0; i < n; i++) {
    snprintf(where, sizeof where, "pos='%.3f %.3f %.3f'", uniform(w, -0.05, 0.05),
             uniform(w, -0.05, 0.05), i ? uniform(w, -0.05, 0.05) : 0);
    put_geom(w, where);
  }
  if (depth < 3 && pick(w, 3) == 0)
    put_body(w, depth + 1);
  put(w, "</body>\n");
}

static void put_scene(writer *w, int n_body)
{
  put(w,
      "<mujoco><compiler angle='degree'/><option impratio='%d' cone='elliptic' density='%.1f'"
      " viscosity='%.5f' timestep='0.002'/><size njmax='700' nconmax='220'/>\n"
      "<asset><mesh name='rock' vertex='-.05 -.04 -.03 .06 -.05 0 0 .07 .01 .01 0 .08 -.03 .03 -.06"
      " .04 .04 .04'/></asset><worldbody>\n",
      1 + 9 * pick(w, 3), uniform(w, -1, 1.5) > 0 ? 1.2 : 0.0, pick(w, 2) * 2e-5);
  if (pick(w, 2))
    put(w, "<geom type='plane' size='2 2 .1' condim='3'/>\n");
  else
    put(w, "<body name='floor'><geom type='plane' size='2 2 .1' pos='%.2f 0 0'/></body>\n",
        pick(w, 2) * 0.1);
  put_geom(w, "pos='.2 .2 .05'");
  put(w, "<body pos='-.2 .1 .1'>\n");
  put_geom(w, "pos='0 0 0'");
  put_geom(w, "pos='.1 0 0'");
  put(w, "</body><light pos='0 0 1'/><camera pos='0 0 1'/>\n");
  for (int i = 0; i < n_body; i++)
    put_body(w, 0);
  /* MuJoCo's list of body pairs has no room for the floor's repeated ones when bodies are few. */
  for (int i = 0; i < 12; i++)
    put(w, "<body pos='0 0 %d'/>\n", i);
  put(w, "</worldbody></mujoco>\n");
}

static mjModel *compile(const char *text)
{
  vk_err err = VK_ERR_INIT;
  mjVFS *vfs;
  mjModel *m;
  vk_assert_ok(vk_vfs_new(&vfs, &err), &err);
  if (vk_mujoco_compile(&m, text, vfs, &err) != VK_OK)
    fail_msg("%s in\n%s", err.text, text);
  vk_vfs_free(vfs);
  return m;
}

static void test_random_scenes(void **state)
{
  static writer w;
  for (uint64_t seed = 0; seed < 40; seed++) {
    w.at = 0;
    vk_philox_init(&w.rng, seed, 1);
    put_scene(&w, 3 + pick(&w, 7));
    char name[32];
    snprintf(name, sizeof name, "scene %d", (int)seed);
    mjModel *m = compile(w.text);
    twins t;
    twins_init(&t, m, name);
    for (int i = 0; i < 60; i++) {
      if (i % 20 == 19)
        jolt(&t, &w.rng, i > 40 ? 1e-3 : 3e-2);
      substep(&t, &w.rng);
    }
    twins_fini(&t);
    mj_deleteModel(m);
  }
}

/* ---- where MuJoCo itself is asked ---------------------------------------------------------- */

static const char scene_text[] =
    "<mujoco><option cone='elliptic' impratio='10'/><size nconmax='%d' njmax='%d'/><worldbody>"
    "<geom type='plane' size='1 1 .1'/>"
    "<body pos='0 0 .05'><freejoint/><geom type='box' size='.05 .05 .051'/></body>"
    "<body pos='0.02 0 .15'><freejoint/><geom type='box' size='.05 .05 .051'/></body>"
    "</worldbody>%s</mujoco>";

static mjModel *boxes(int n_contact, int n_row, const char *more)
{
  char text[2000];
  snprintf(text, sizeof text, scene_text, n_contact, n_row, more);
  return compile(text);
}

static void assert_bad_state_is_mujocos(double q, double v)
{
  mjModel *m = boxes(50, 200, "");
  twins t;
  twins_init(&t, m, "bad state");
  t.ours->qpos[1] = q;
  t.ours->qvel[2] = v;
  copy_state(&t);
  vk_forward_run(t.f, m, t.ours);
  mj_forward(m, t.theirs);
  vk_forward_again(t.f, m, t.ours);
  mj_forwardSkip(m, t.theirs, mjSTAGE_VEL, 1);
  assert_memory_equal(t.ours->qacc, t.theirs->qacc, sizeof(double) * (size_t)m->nv);
  assert_memory_equal(t.ours->qacc_warmstart, t.theirs->qacc_warmstart,
                      sizeof(double) * (size_t)m->nv);
  twins_fini(&t);
  mj_deleteModel(m);
}

static void test_bad_states_are_mujocos(void **state)
{
  const double bad[] = {NAN, INFINITY, 1e12, 1e200};
  for (size_t i = 0; i < VK_COUNT(bad); i++) {
    assert_bad_state_is_mujocos(bad[i], 0);
    assert_bad_state_is_mujocos(0, -bad[i]);
  }
  assert_bad_state_is_mujocos(20, 0);
}

/* The warm start overflows the solver though the state is good: the work is given back. */
static void test_solver_that_diverges_is_mujocos(void **state)
{
  mjModel *m = boxes(50, 200, "");
  twins t;
  twins_init(&t, m, "huge warm start");
  for (int i = 0; i < m->nv; i++)
    t.ours->qacc_warmstart[i] = i % 2 ? NAN : 1e300;
  copy_state(&t);
  vk_forward_run(t.f, m, t.ours);
  mj_forward(m, t.theirs);
  for (int i = 0; i < m->nv; i++)
    assert_true(isnan(t.ours->qacc[i]) == isnan(t.theirs->qacc[i]));
  twins_fini(&t);
  mj_deleteModel(m);
}

static void test_small_buffers_are_noted(void **state)
{
  if (!VK_MUJOCO_IS_KNOWN)
    skip(); /* arenas hold more than is asked for */
  const struct {
    int n_contact, n_row, warning;
  } cases[] = {{5, 200, mjWARN_CONTACTFULL}, {50, 10, mjWARN_CNSTRFULL}};
  for (size_t i = 0; i < VK_COUNT(cases); i++) {
    mjModel *m = boxes(cases[i].n_contact, cases[i].n_row, "");
    twins t;
    twins_init(&t, m, "small buffers");
    vk_forward_run(t.f, m, t.ours);
    assert_true(t.ours->warning[cases[i].warning].number > 0);
    twins_fini(&t);
    mj_deleteModel(m);
  }
}

static void test_foreign_models_are_mujocos(void **state)
{
  mjModel *m = boxes(50, 200, "<option cone='pyramidal'/>");
  twins t;
  twins_init(&t, m, "pyramids");
  const char *reason = NULL;
  assert_false(vk_forward_is_native(t.f, &reason));
  assert_non_null(reason);
  vk_philox rng;
  vk_philox_init(&rng, 1, 1);
  for (int i = 0; i < 10; i++)
    substep(&t, &rng);
  twins_fini(&t);
  mj_deleteModel(m);
}

int main(int argc, char **argv)
{
  vk_cpu cpu;
  vk_err err = VK_ERR_INIT;
  vk_cpu_detect(&cpu);
  if (vk_isa_parse(argc > 1 ? argv[1] : "auto", &cpu, &isa, &err) != VK_OK)
    return VK_TEST_SKIP;
  if (vk_mujoco_check(&err) != VK_OK ||
      vk_pack_open(&pack, VK_SOURCE_DIR "/data/libero.pack", &err) != VK_OK) {
    fprintf(stderr, "%s\n", err.text);
    return 1;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_libero_scenes),
      cmocka_unit_test(test_random_scenes),
      cmocka_unit_test(test_bad_states_are_mujocos),
      cmocka_unit_test(test_solver_that_diverges_is_mujocos),
      cmocka_unit_test(test_small_buffers_are_noted),
      cmocka_unit_test(test_foreign_models_are_mujocos),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  vk_pack_close(&pack);
  return failed;
}
