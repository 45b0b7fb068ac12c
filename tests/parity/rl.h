/* rl.h - for parity_rl: a golden file, its arrays by name, its numbers of meta, and how far results
 * are from it. The kinds of files are one function each. */
#ifndef VK_PARITY_RL_H
#define VK_PARITY_RL_H

#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/json.h"
#include "core/npy.h"
#include "nn/exec.h"
#include "rl/advantage.h"

enum { RL_ARRAY_MAX = 64 };

typedef struct rl_file {
  vk_npz npz;
  cJSON *meta;
  vk_arena arena; /* for results; lives as long as the file is read */
  vk_target target;
  vk_team *team;
  bool is_used[RL_ARRAY_MAX]; /* read or compared */
  int n_compared, n_bad;
  double worst, worst_bound; /* the error that is greatest in units of its bound */
  const char *worst_name;
  const char *note; /* printed behind; NULL: none */
} rl_file;

/* Numbers and words of meta; null and missing ones are the default. */
double rl_num(const rl_file *f, const char *key, double otherwise);
bool rl_is(const rl_file *f, const char *key, const char *word);
bool rl_flag(const rl_file *f, const char *key);

/* Whether the file has an array, its number of items (0: none), and length of a dimension. */
bool rl_has(const rl_file *f, const char *name);
int64_t rl_n_item(const rl_file *f, const char *name);
int64_t rl_dim(const rl_file *f, const char *name, int d);

/* The items of an array of n items. Errors: VK_E_NOTFOUND, VK_E_FORMAT, VK_E_SHAPE. */
VK_NODISCARD vk_status rl_f32(rl_file *f, const char *name, int64_t n, const float **x,
                              vk_err *err);
VK_NODISCARD vk_status rl_f64(rl_file *f, const char *name, int64_t n, const double **x,
                              vk_err *err);
VK_NODISCARD vk_status rl_i64(rl_file *f, const char *name, int64_t n, const int64_t **x,
                              vk_err *err);
VK_NODISCARD vk_status rl_flags(rl_file *f, const char *name, int64_t n, const uint8_t **x,
                                vk_err *err);

/* (T *) to n items in the file's arena; returns VK_E_NOMEM from the caller without memory. */
#define RL_NEW(f, p, n, err)                                                                       \
  do {                                                                                             \
    (p) = vk_arena_push(&(f)->arena, (size_t)(n), sizeof *(p), VK_ARENA_ALIGN, (err));             \
    if (!(p))                                                                                      \
      return VK_E_NOMEM;                                                                           \
    memset((p), 0, (size_t)(n) * sizeof *(p));                                                     \
  } while (0)

/* Compare with an array of the file, when it has that: the greatest |got - want| / max(1, |want|)
 * against bound (0: exactly). Infinities and NaN must be equal. Another number of items is an
 * error of any size. */
void rl_compare(rl_file *f, const char *name, const double *got, int64_t n, double bound);
void rl_compare_f32(rl_file *f, const char *name, const float *got, int64_t n, double bound);
void rl_compare_u8(rl_file *f, const char *name, const uint8_t *got, int64_t n);
void rl_compare_i64(rl_file *f, const char *name, const int64_t *got, int64_t n);
/* Items where skip is set do not count. */
void rl_compare_some(rl_file *f, const char *name, const float *got, int64_t n, const uint8_t *skip,
                     double bound);

/* A small graph that runs on the file's path: parameters and gradients in memory of the arena. */
typedef struct rl_run {
  vk_plan *plan;
  vk_exec *exec;
} rl_run;
/* loss: output to differentiate, or NULL. g is freed. */
VK_NODISCARD vk_status rl_run_open(rl_file *f, rl_run *r, vk_graph *g, const char *loss,
                                   vk_err *err);
void rl_run_close(rl_run *r);
/* An input, parameter or output; NULL when there is none. */
void *rl_run_data(const rl_run *r, const char *name);
/* Copies n items of size bytes into an input or parameter; one that no node uses is left out. */
void rl_run_set(const rl_run *r, const char *name, const void *x, int64_t n, size_t size);

/* The kinds: everything is read, computed and compared. */
vk_status rl_gae(rl_file *f, vk_err *err);
vk_status rl_grpo(rl_file *f, vk_err *err);
vk_status rl_lossmask(rl_file *f, vk_err *err);
vk_status rl_bootstrap(rl_file *f, vk_err *err);
vk_status rl_loss(rl_file *f, vk_err *err);
vk_status rl_policy(rl_file *f, vk_err *err);
vk_status rl_action(rl_file *f, vk_err *err);

#endif
