/* render_mujoco.c - MuJoCo's own renderer on OSMesa, the peer of `vlakit bench render`.
 *
 *   render_mujoco MODEL.xml STATES FRAMES CAMERA SIZE SAMPLES ROUNDS
 * STATES: doubles, rows of nq joint positions. FRAMES: where the pictures go (raw RGB, bottom row
 * first), or "-". Prints one JSON object: the median of update, render and read over all rows and
 * rounds, by the clock and by the process's time (threads of the GL included). */
#include <GL/osmesa.h>
#include <mujoco/mujoco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_ms(clockid_t clock)
{
  struct timespec t;
  clock_gettime(clock, &t);
  return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static int order(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
  if (argc != 8)
    return fprintf(stderr, "usage: render_mujoco MODEL STATES FRAMES CAMERA SIZE SAMPLES ROUNDS\n"),
           2;
  char error[1000] = "";
  int size = atoi(argv[5]), samples = atoi(argv[6]), rounds = atoi(argv[7]);
  mjModel *m = mj_loadXML(argv[1], NULL, error, sizeof error);
  if (!m)
    return fprintf(stderr, "%s\n", error), 1;
  m->vis.quality.offsamples = samples > 1 ? samples : 0;
  m->vis.global.offwidth = m->vis.global.offheight = size;
  for (int i = 0; i < m->nsite; i++)
    m->site_rgba[4 * i + 3] = 0;
  OSMesaContext gl = OSMesaCreateContextExt(GL_RGBA, 24, 8, 8, 0);
  void *buffer = malloc((size_t)size * (size_t)size * 4);
  if (!gl || !OSMesaMakeCurrent(gl, buffer, GL_UNSIGNED_BYTE, size, size))
    return fprintf(stderr, "no OSMesa context\n"), 1;
  mjvScene scene;
  mjvOption option;
  mjrContext context;
  mjvCamera camera;
  mjv_defaultScene(&scene);
  mjv_makeScene(m, &scene, 1000);
  mjv_defaultOption(&option);
  option.geomgroup[0] = 0;
  mjr_defaultContext(&context);
  mjr_makeContext(m, &context, mjFONTSCALE_100);
  mjr_setBuffer(mjFB_OFFSCREEN, &context);
  mjv_defaultCamera(&camera);
  camera.type = mjCAMERA_FIXED;
  camera.fixedcamid = mj_name2id(m, mjOBJ_CAMERA, argv[4]);
  if (camera.fixedcamid < 0)
    return fprintf(stderr, "no camera %s\n", argv[4]), 1;
  mjData *d = mj_makeData(m);
  FILE *states = fopen(argv[2], "rb"), *frames = strcmp(argv[3], "-") ? fopen(argv[3], "wb") : NULL;
  if (!states)
    return fprintf(stderr, "no %s\n", argv[2]), 1;
  unsigned char *pixel = malloc((size_t)size * (size_t)size * 3);
  double *ms = NULL, *cpu_ms = NULL;
  int n = 0;
  while (fread(d->qpos, sizeof(double), (size_t)m->nq, states) == (size_t)m->nq) {
    mj_kinematics(m, d);
    mj_comPos(m, d);
    mj_camlight(m, d);
    for (int r = 0; r < rounds; r++) {
      double start = now_ms(CLOCK_MONOTONIC), cpu_start = now_ms(CLOCK_PROCESS_CPUTIME_ID);
      mjv_updateScene(m, d, &option, NULL, &camera, mjCAT_ALL, &scene);
      mjrRect view = {0, 0, size, size};
      mjr_render(view, &scene, &context);
      mjr_readPixels(pixel, NULL, view, &context);
      ms = realloc(ms, sizeof *ms * (size_t)(n + 1));
      cpu_ms = realloc(cpu_ms, sizeof *ms * (size_t)(n + 1));
      if (!ms || !cpu_ms)
        return fprintf(stderr, "no memory\n"), 1;
      ms[n] = now_ms(CLOCK_MONOTONIC) - start;
      cpu_ms[n++] = now_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu_start;
    }
    if (frames)
      fwrite(pixel, 3, (size_t)size * (size_t)size, frames);
  }
  if (!n)
    return fprintf(stderr, "no states in %s\n", argv[2]), 1;
  qsort(ms, (size_t)n, sizeof *ms, order);
  qsort(cpu_ms, (size_t)n, sizeof *cpu_ms, order);
  printf("{\"ms\": %.4f, \"cpu_ms\": %.4f, \"pictures\": %d, \"geoms\": %d}\n", ms[n / 2],
         cpu_ms[n / 2], n, scene.ngeom);
  return frames && fclose(frames) ? 1 : 0;
}
