/* What MuJoCo's renderer draws of a file's mesh: normals that are made, scales, sharp corners; and
 * the frame that MuJoCo puts it in. */
#include "sim/import_mesh.h"

#include <stdlib.h>

#include "sim/mujoco_compat.h"
#include "test.h"

/* A roof of two squares, of which the second is turned down by an angle about the y axis. */
static vk_stl make_roof(double angle)
{
  const float c = (float)cos(angle), s = (float)sin(angle);
  const float p[6][3] = {{-1, 0, 0}, {-1, 1, 0}, {0, 0, 0}, {0, 1, 0}, {c, 0, -s}, {c, 1, -s}};
  static const int face[4][3] = {{0, 2, 3}, {0, 3, 1}, {2, 4, 5}, {2, 5, 3}};
  vk_stl stl = {4, malloc(sizeof(float) * 36)};
  for (int i = 0; i < 12; i++)
    memcpy(stl.vertex + 3 * i, p[face[i / 3][i % 3]], sizeof p[0]);
  return stl;
}

static void joins_vertices(void **state)
{
  vk_stl stl = make_roof(0.1);
  stl.vertex[3] = -0.0f; /* is 0 */
  vk_file_mesh m;
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_file_mesh_of_stl(&m, &stl, &err), &err);
  assert_int_equal(m.n_vertex, 6);
  assert_int_equal(m.n_triangle, 4);
  for (int i = 0; i < 12; i++)
    for (int k = 0; k < 3; k++)
      assert_true(m.vertex[3 * m.face[i] + (uint32_t)k] == stl.vertex[3 * i + k]);
  vk_file_mesh_free(&m);
  vk_stl_free(&stl);
}

/* Normal of the ridge's vertex in the first square. */
static void draw_roof(double angle, const double scale[3], float n[3])
{
  vk_stl stl = make_roof(angle);
  vk_file_mesh m;
  vk_mesh out = {0};
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_file_mesh_of_stl(&m, &stl, &err), &err);
  vk_assert_ok(vk_file_mesh_draw(&out, &m, scale, &err), &err);
  assert_int_equal(out.n_triangle, 4);
  assert_int_equal(out.n_vertex, 12);
  for (int i = 0; i < 12; i++)
    for (int k = 0; k < 3; k++)
      vk_assert_close(out.vertex[i].p[k], stl.vertex[3 * i + k] * scale[k], 1e-7, 0);
  memcpy(n, out.vertex[1].n, sizeof out.vertex[1].n);
  vk_mesh_free(&out);
  vk_file_mesh_free(&m);
  vk_stl_free(&stl);
}

static void makes_normals(void **state)
{
  float n[3];
  draw_roof(0.4, (double[3]){1, 1, 1}, n); /* smooth: the mean, here with twice the weight of one */
  vk_assert_close(n[1], 0, 1e-6, 0);
  vk_assert_close(n[0], sin(2 * 0.4 / 3), 0.01, 0);
  vk_assert_close(n[0] * n[0] + n[2] * n[2], 1, 1e-6, 0);
  draw_roof(1.5, (double[3]){1, 1, 1}, n); /* sharp: that of the triangle */
  vk_assert_close(n[0], 0, 1e-6, 0);
  vk_assert_close(n[2], 1, 1e-6, 0);
  float tall[3];
  draw_roof(0.4, (double[3]){1, 1, 1}, n);
  draw_roof(0.4, (double[3]){1, 1, 1.25}, tall); /* normals are scaled as MuJoCo scales them */
  vk_assert_close(tall[0] / tall[2], n[0] / (1.25 * n[2]), 1e-6, 0);
}

/* A ball as an STL file. */
static size_t ball_file(unsigned char **bytes, vk_stl *stl)
{
  vk_mesh ball = {0};
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_mesh_add_ellipsoid(&ball, (float[3]){1, 1, 1}, &err), &err);
  const size_t n = 84 + 50 * (size_t)ball.n_triangle;
  *bytes = calloc(1, n);
  memcpy(*bytes + 80, &ball.n_triangle, 4);
  for (size_t i = 0; i < 3 * (size_t)ball.n_triangle; i++)
    memcpy(*bytes + 84 + 50 * (i / 3) + 12 + 12 * (i % 3), ball.vertex[ball.index[i]].p, 12);
  vk_mesh_free(&ball);
  vk_assert_ok(vk_stl_parse(stl, *bytes, n, "ball.stl", &err), &err);
  return n;
}

static int nearest_vertex(const mjModel *m, const double p[3])
{
  int best = 0;
  double least = HUGE_VAL;
  for (int i = 0; i < m->nmeshvert; i++) {
    const double v[3] = {m->mesh_vert[3 * i], m->mesh_vert[3 * i + 1], m->mesh_vert[3 * i + 2]};
    const double d = mju_dist3(v, p);
    if (d < least) {
      least = d;
      best = i;
    }
  }
  vk_assert_close(least, 0, 1e-5, 0);
  return best;
}

/* Normals that are made are those of MuJoCo's model, of an unequal scale as well. */
static void makes_the_normals_of_mujoco(void **state)
{
  static const char mjcf[] = "<mujoco><asset><mesh name='m' file='ball.stl' scale='1.5 1 .9'/>"
                             "</asset><worldbody><geom type='mesh' mesh='m'/></worldbody></mujoco>";
  unsigned char *bytes;
  vk_stl stl;
  vk_file_mesh file;
  vk_mesh out = {0};
  mjVFS *vfs;
  mjModel *m;
  double R[9];
  vk_err err = VK_ERR_INIT;
  size_t n = ball_file(&bytes, &stl);
  vk_assert_ok(vk_file_mesh_of_stl(&file, &stl, &err), &err);
  vk_assert_ok(vk_file_mesh_draw(&out, &file, (double[3]){1.5, 1, 0.9}, &err), &err);
  vk_assert_ok(vk_mujoco_check(&err), &err);
  vk_assert_ok(vk_vfs_new(&vfs, &err), &err);
  vk_assert_ok(vk_vfs_add(vfs, "ball.stl", bytes, n, &err), &err);
  vk_assert_ok(vk_mujoco_compile(&m, mjcf, vfs, &err), &err);
  mju_quat2Mat(R, m->geom_quat);
  for (uint32_t i = 0; i < out.n_vertex; i++) {
    double d[3], p[3], own[3], want[3];
    for (int k = 0; k < 3; k++)
      d[k] = out.vertex[i].p[k] - m->geom_pos[k];
    mju_mulMatTVec(p, R, d, 3, 3);
    const float *normal = m->mesh_normal + 3 * nearest_vertex(m, p);
    for (int k = 0; k < 3; k++)
      own[k] = normal[k];
    mju_mulMatVec(want, R, own, 3, 3);
    for (int k = 0; k < 3; k++)
      vk_assert_close(out.vertex[i].n[k], want[k], 1e-5, 0);
  }
  mj_deleteModel(m);
  vk_vfs_free(vfs);
  vk_mesh_free(&out);
  vk_file_mesh_free(&file);
  vk_stl_free(&stl);
  free(bytes);
}

/* Normals of a file with texture coordinates are taken as they are. */
static void keeps_normals(void **state)
{
  float p[] = {0, 0, 0, 1, 0, 0, 0, 1, 0}, n[] = {3, 0, 0, 0, 0, 0, 0, 0, 2};
  float t[] = {0, 0, 0.5f, 0.25f, 1, 1};
  uint32_t face[] = {0, 1, 2};
  vk_file_mesh m = {.n_vertex = 3,
                    .n_normal = 3,
                    .n_texcoord = 3,
                    .n_triangle = 1,
                    .vertex = p,
                    .normal = n,
                    .texcoord = t,
                    .face = face};
  vk_mesh out = {0};
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_file_mesh_draw(&out, &m, (double[3]){2, 1, 1}, &err), &err);
  vk_assert_same_bits(out.vertex[0].n[0], 1.0f);
  vk_assert_same_bits(out.vertex[1].n[2], 1.0f); /* one of length 0 becomes z */
  vk_assert_same_bits(out.vertex[1].p[0], 2.0f);
  vk_assert_same_bits(out.vertex[1].t[1], 0.25f);
  m.texcoord = NULL; /* without them, a normal that is far from the triangle's gives way */
  m.n_texcoord = 0;
  vk_mesh_free(&out);
  vk_assert_ok(vk_file_mesh_draw(&out, &m, (double[3]){2, 1, 1}, &err), &err);
  vk_assert_close(out.vertex[0].n[2], 1, 1e-7, 0);
  vk_mesh_free(&out);
}

static void finds_the_frame(void **state)
{
  /* a box of 2 x 1 x 0.5 with a corner at the origin, as an OBJ file */
  static const char obj[] = "v 0 0 0\nv 2 0 0\nv 0 1 0\nv 2 1 0\nv 0 0 .5\nv 2 0 .5\nv 0 1 .5\n"
                            "v 2 1 .5\nf 1 3 2\nf 2 3 4\nf 5 6 7\nf 6 8 7\nf 1 2 5\nf 2 6 5\n"
                            "f 3 7 4\nf 4 7 8\nf 1 5 3\nf 3 5 7\nf 2 4 6\nf 4 8 6\n";
  static const char flat[] = "v 0 0 0\nv 2 0 0\nv 0 1 0\nv 1 1 0\nf 1 2 3\nf 2 4 3\n";
  double pos[3], quat[4], half[3], sorted = 0;
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_file_mesh_frame(obj, sizeof obj - 1, "box.obj", (double[3]){1, 1, 2}, pos, quat,
                                  half, &err),
               &err);
  vk_assert_close(pos[0], 1, 1e-6, 0);
  vk_assert_close(pos[1], 0.5, 1e-6, 0);
  vk_assert_close(pos[2], 0.5, 1e-6, 0);
  for (int k = 0; k < 3; k++)
    sorted = fmax(sorted, half[k]);
  vk_assert_close(sorted, 1, 1e-6, 0);
  vk_status st = vk_file_mesh_frame(flat, sizeof flat - 1, "a/flat.obj", (double[3]){1, 1, 1}, pos,
                                    quat, half, &err);
  assert_true(st == VK_E_FORMAT || st == VK_E_SIM || (st == VK_OK && isfinite(pos[0])));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(joins_vertices),
      cmocka_unit_test(makes_normals),
      cmocka_unit_test(makes_the_normals_of_mujoco),
      cmocka_unit_test(keeps_normals),
      cmocka_unit_test(finds_the_frame),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
