/* bench_gemm.c - vlakit bench gemm: products of matrices, beside what the core could do. */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/bench.h"
#include "core/signal.h"
#include "core/sys.h"
#include "nn/gemm_bf16.h"

enum { N_TOKEN = 4500 };

static const double longest_s = 0.5, sample_s = 0.005;

typedef struct subject {
  bench *b;
  const vk_gemm_path *path;
  const vk_gemm_bf16_path *bf16;
  double peak; /* operations a second */
  double rate; /* of the shape before, to guess how long one takes */
} subject;

static float *new_floats(int64_t n)
{
  float *x = aligned_alloc(64, ((size_t)n * sizeof *x + 63) / 64 * 64);
  for (int64_t i = 0; x && i < n; i++)
    x[i] = (float)(i * 7919 % 1009) * 1e-3f - 0.5f;
  return x;
}

static vk_status measure_peak(subject *s, vk_err *err)
{
  enum { N_ROUND = 200000 };
  for (int i = 0; i < 10 * (int)s->b->args->n_rep; i++) {
    double start_s = vk_sys_thread_cpu_s(), n = s->path->peak(N_ROUND);
    double rate = n / (vk_sys_thread_cpu_s() - start_s);
    s->peak = rate > s->peak ? rate : s->peak;
  }
  s->rate = s->peak;
  return vk_bench_add(s->b, "gemm.peak", "rate", s->peak * 1e-9, "GF/s", err);
}

static void *new_scratch(const vk_gemm *g, bool is_bf16)
{
  size_t n = is_bf16 ? vk_gemm_bf16_scratch_bytes(1)
                     : vk_gemm_scratch_bytes(g->n, g->k, g->a_trans, !g->b_packed, 1);
  return aligned_alloc(64, (n + 63) / 64 * 64);
}

/* The product once. One that takes long is made by blocks of rows, so that Ctrl-C ends it. */
static vk_status run_once(const subject *s, const vk_gemm *g, const void *packed_bf16,
                          void *scratch, vk_err *err)
{
  int64_t step = (int64_t)(longest_s * s->rate / (2.0 * (double)g->n * (double)g->k));
  step = step < 1 ? 1 : step;
  for (int64_t i = 0; i < g->m; i += step) {
    vk_gemm rows = *g;
    rows.m = g->m - i < step ? g->m - i : step;
    rows.a += i * (g->a_trans ? 1 : g->lda);
    rows.c += i * g->ldc;
    rows.residual = g->residual ? g->residual + i * g->ldr : NULL;
    if (packed_bf16)
      s->bf16->run(&rows, packed_bf16, scratch, 0, 1);
    else
      s->path->run(&rows, scratch, 0, 1);
    VK_TRY(vk_signal_check(err));
  }
  return VK_OK;
}

/* The median repetition. B is packed_bf16 unless that is NULL. */
static vk_status measure(subject *s, const vk_gemm *g, const void *packed_bf16, const char *name,
                         vk_err *err)
{
  double n_op = 2.0 * (double)g->m * (double)g->n * (double)g->k;
  int n_rep = (int)s->b->args->n_rep;
  double *sample = malloc(sizeof *sample * (size_t)n_rep);
  void *scratch = new_scratch(g, packed_bf16 != NULL);
  if (!sample || !scratch) {
    free(sample);
    free(scratch);
    return vk_fail(err, VK_E_NOMEM, "no memory for %d numbers and scratch", n_rep);
  }
  /* the first is not counted: it tells how many calls make a repetition */
  vk_status st = VK_OK;
  int64_t n_call = 1;
  for (int i = -1; i < n_rep && st == VK_OK; i++) {
    double start_s = vk_sys_thread_cpu_s();
    for (int64_t e = 0; e < n_call && st == VK_OK; e++)
      st = run_once(s, g, packed_bf16, scratch, err);
    double took_s = vk_sys_thread_cpu_s() - start_s;
    if (i >= 0)
      sample[i] = n_op * (double)n_call / took_s;
    else
      n_call = 1 + (int64_t)(sample_s / (took_s + 1e-7));
  }
  if (st == VK_OK) {
    s->rate = vk_bench_median(sample, n_rep);
    st = vk_bench_add(s->b, name, "rate", s->rate * 1e-9, "GF/s", err);
  }
  free(sample);
  free(scratch);
  if (st == VK_OK)
    st = vk_bench_add(s->b, name, "share", s->rate / s->peak, "of peak", err);
  return st;
}

/* A shape that somebody asks for is measured however long it takes. */
static bool is_too_long(const subject *s, int64_t m, int64_t n, int64_t k)
{
  return !s->b->args->shape && 2.0 * (double)m * (double)n * (double)k > longest_s * s->rate;
}

/* m rows through a layer of n outputs and k inputs. */
static vk_status measure_layer(subject *s, int64_t m, int64_t n, int64_t k, bool is_bf16,
                               vk_err *err)
{
  if (is_too_long(s, m, n, k))
    return VK_OK;
  float *a = new_floats(m * k), *b = new_floats(n * k), *c = new_floats(m * n);
  float *packed =
      aligned_alloc(64, is_bf16 ? vk_gemm_bf16_packed_bytes(n, k) : vk_gemm_packed_bytes(n, k));
  vk_status st = VK_OK;
  if (a && b && c && packed) {
    vk_gemm g = {.m = m, .n = n, .k = k, .a = a, .lda = k, .b = b, .ldb = k, .b_trans = true};
    char name[64];
    snprintf(name, sizeof name, "gemm.%s.%dx%dx%d", is_bf16 ? "bf16" : "f32", (int)m, (int)n,
             (int)k);
    if (is_bf16)
      s->bf16->pack(&g, packed);
    else
      s->path->pack(&g, packed);
    g.b = NULL;
    g.b_packed = packed;
    g.c = c;
    g.ldc = n;
    st = measure(s, &g, is_bf16 ? packed : NULL, name, err);
  } else {
    st =
        vk_fail(err, VK_E_NOMEM, "no memory for a product of %d x %d x %d", (int)m, (int)n, (int)k);
  }
  free(a);
  free(b);
  free(c);
  free(packed);
  return st;
}

/* dw[n, k] += dy' x of m tokens. */
static vk_status measure_gradient(subject *s, int64_t m, int64_t n, int64_t k, vk_err *err)
{
  if (is_too_long(s, m, n, k))
    return VK_OK;
  float *dy = new_floats(m * n), *x = new_floats(m * k), *dw = new_floats(n * k);
  vk_status st = VK_OK;
  if (dy && x && dw) {
    vk_gemm g = {.m = n, .n = k, .k = m, .a = dy, .lda = n, .a_trans = true};
    char name[64];
    snprintf(name, sizeof name, "gemm.f32.%dx%dx%d.dw", (int)m, (int)n, (int)k);
    g.b = x;
    g.c = dw;
    g.residual = dw;
    g.ldb = g.ldc = g.ldr = k;
    st = measure(s, &g, NULL, name, err);
  } else {
    st = vk_fail(err, VK_E_NOMEM, "no memory for a gradient of %d x %d", (int)n, (int)k);
  }
  free(dy);
  free(x);
  free(dw);
  return st;
}

static vk_status measure_shape(subject *s, const int64_t shape[3], vk_err *err)
{
  int64_t m = shape[0], n = shape[1], k = shape[2];
  VK_TRY(measure_layer(s, m, n, k, false, err));
  VK_TRY(measure_layer(s, m, n, k, true, err));
  return measure_gradient(s, m, n, k, err);
}

static vk_status measure_usual_shapes(subject *s, vk_err *err)
{
  static const int64_t rows[] = {1, 8, 32, 128, 256, 512, 1024};
  static const int64_t layers[][2] = {{256, 256},   {768, 256},   {1024, 256},
                                      {1024, 1024}, {4096, 1024}, {4096, 4096}};
  static const int64_t gradients[] = {128, 256, 512, 1024};
  for (int is_bf16 = 0; is_bf16 < 2; is_bf16++)
    for (size_t i = 0; i < VK_COUNT(layers); i++)
      for (size_t j = 0; j < VK_COUNT(rows); j++)
        VK_TRY(measure_layer(s, rows[j], layers[i][0], layers[i][1], is_bf16, err));
  for (size_t i = 0; i < VK_COUNT(gradients); i++)
    VK_TRY(measure_gradient(s, N_TOKEN, gradients[i], gradients[i], err));
  return VK_OK;
}

/* MxNxK, each at least 1. */
static vk_status parse_shape(const char *text, int64_t shape[3], vk_err *err)
{
  enum { MOST = 16384 }; /* a GiB a matrix: memory that is there */
  const char *at = text;
  for (int i = 0; i < 3; i++) {
    char *end;
    shape[i] = strtoll(at, &end, 10);
    if (*at < '0' || *at > '9' || shape[i] < 1 || shape[i] > MOST || *end != (i < 2 ? 'x' : '\0'))
      return vk_fail(err, VK_E_USAGE,
                     "--shape %s: expected MxNxK, whole numbers from 1 to %d, as in 32x256x1024",
                     text, MOST);
    at = end + 1;
  }
  return VK_OK;
}

vk_status vk_bench_gemm(bench *b, vk_err *err)
{
  subject s = {.b = b, .path = vk_gemm_path_of(b->call->isa)};
  int64_t shape[3];
  if (b->args->shape)
    VK_TRY(parse_shape(b->args->shape, shape, err));
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  s.bf16 = vk_gemm_bf16_path_of(b->call->isa, &cpu);
  VK_TRY(measure_peak(&s, err));
  return b->args->shape ? measure_shape(&s, shape, err) : measure_usual_shapes(&s, err);
}
