/* curve.h - the curves of a training run: for the terminal, as a drawing, as JSON.
 * Test: tests/cmd/test_train.sh */
#ifndef VK_CMD_CURVE_H
#define VK_CMD_CURVE_H

#include <stdio.h>

#include "core/catalog.h"
#include "core/json.h"

enum { VK_CURVE_TAG_SIZE = 64 };

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

/* A line a curve, and a plot of losses and success rates, to stdout. */
void vk_curves_print(const vk_curves *c);
/* Writes SVG to out, a panel a curve; whoever opened it looks for its errors. */
void vk_curves_svg(const vk_curves *c, const char *title, FILE *out);
/* {TAG: {"step": [...], "value": [...]}}; NULL without memory. */
cJSON *vk_curves_json(const vk_curves *c);

/* Least and largest finite value; false when there is none. */
bool vk_curve_range(const vk_curve *c, double *lo, double *hi);

#endif
