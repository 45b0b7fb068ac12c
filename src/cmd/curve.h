/* curve.h - the curves of training runs: for the terminal, as a drawing, as JSON, as CSV.
 * Test: tests/cmd/test_train.sh, tests/cmd/test_runs.sh */
#ifndef VK_CMD_CURVE_H
#define VK_CMD_CURVE_H

#include <stdio.h>

#include "core/catalog.h"
#include "core/json.h"

enum { VK_CURVE_TAG_SIZE = 64, VK_CURVE_RUNS_MAX = 8 };

typedef struct vk_curve {
  char tag[VK_CURVE_TAG_SIZE]; /* "train/loss" */
  int n, room;
  int64_t *step; /* [n] ascending */
  double *value; /* [n]; may hold NaN */
} vk_curve;

typedef struct vk_curves {
  int n;
  vk_curve *curve; /* by tag */
} vk_curves;

/* Of a run; n = 0: it has none. Errors: the catalog's, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_curves_load(vk_curves *c, vk_catalog *catalog, const char *id,
                                      vk_err *err);
/* A zeroed one is allowed. */
void vk_curves_free(vk_curves *c);

/* Keeps those of list, tags with commas between, in its order. Errors: VK_E_USAGE for a tag that
 * there is none of, or twice; VK_E_NOMEM. */
VK_NODISCARD vk_status vk_curves_pick(vk_curves *c, const char *list, vk_err *err);

/* {TAG: {"step": [...], "value": [...]}}; NULL without memory. */
cJSON *vk_curves_json(const vk_curves *c);

/* A line a step to stdout, a column a curve, under a header; empty where a curve has no point.
 * Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_curves_csv(const vk_curves *c, const char *id, vk_err *err);

/* Least and largest finite value; false when there is none. */
bool vk_curve_range(const vk_curve *c, double *lo, double *hi);

/* Runs whose curves are shown in one frame: the i-th curve of each has the same tag. */
typedef struct vk_curve_runs {
  int n;
  char id[VK_CURVE_RUNS_MAX][VK_RUN_ID_SIZE];
  vk_curves curves[VK_CURVE_RUNS_MAX];
} vk_curve_runs;

/* Of n runs, 1 to VK_CURVE_RUNS_MAX: those of list, which each of them must have, as
 * vk_curves_pick; list NULL: all of one run, of several what they have in common (maybe nothing).
 * Errors: the catalog's, vk_curves_pick's. */
VK_NODISCARD vk_status vk_curve_runs_load(vk_curve_runs *r, vk_catalog *catalog, int n,
                                          const char *const *id, const char *list, vk_err *err);
/* A zeroed one is allowed. */
void vk_curve_runs_free(vk_curve_runs *r);

/* What holds the i-th curve of all runs; false when none has a finite value. */
typedef struct vk_curve_frame {
  double lo, hi;
  int64_t first, last; /* steps */
} vk_curve_frame;
bool vk_curve_runs_frame(const vk_curve_runs *r, int i, vk_curve_frame *frame);

/* A line a curve and run, and a plot of losses and success rates, to stdout. */
void vk_curve_runs_print(const vk_curve_runs *r);
/* Writes SVG to out, a panel a curve; whoever opened it looks for its errors. */
void vk_curve_runs_svg(const vk_curve_runs *r, FILE *out);

#endif
