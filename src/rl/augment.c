#include "rl/augment.h"

#include <math.h>
#include <string.h>

enum {
  SIDE = VK_VIEW_PX,
  ROW = SIDE * 3,
  SHIFT_MAX = 32,
  ONE = 1 << 16, /* a pixel, in places */
  N_DRAW = 7
};

static vk_status check(const char *name, double x, double lo, double hi, vk_err *err)
{
  return x >= lo && x <= hi ? VK_OK
                            : vk_fail(err, VK_E_RANGE, "augmentation: %s is %g, expected %g to %g",
                                      name, x, lo, hi);
}

vk_status vk_augment_check(const vk_augment *a, vk_err *err)
{
  VK_TRY(check("shift_px", a->shift_px, 0, SHIFT_MAX, err));
  if (a->crop != 0)
    VK_TRY(check("crop", a->crop, 0.1, 1, err));
  VK_TRY(check("brightness", a->brightness, 0, 1, err));
  VK_TRY(check("contrast", a->contrast, 0, 1, err));
  VK_TRY(check("word_dropout", a->word_dropout, 0, 1, err));
  VK_TRY(check("paraphrase", a->paraphrase, 0, 1, err));
  return check("proprio_dropout", a->proprio_dropout, 0, 1, err);
}

/* Where a row or column of the result comes from: two neighbours, and the weight of the second in
 * 1/256. */
typedef struct tap {
  uint8_t first, second;
  uint16_t weight;
} tap;

/* The part [begin, begin + SIDE * step) of a line of SIDE pixels, in ONEs; beyond its ends the last
 * pixel is repeated. Centres of pixels lie at halves. */
static void make_taps(tap *line, int64_t begin, int64_t step)
{
  for (int i = 0; i < SIDE; i++) {
    int64_t at = begin + step * i + step / 2 - ONE / 2;
    at = at < 0 ? 0 : at > (int64_t)(SIDE - 1) * ONE ? (int64_t)(SIDE - 1) * ONE : at;
    line[i].first = (uint8_t)(at / ONE);
    line[i].second = (uint8_t)(line[i].first + 1 < SIDE ? line[i].first + 1 : SIDE - 1);
    line[i].weight = (uint16_t)((at % ONE + 128) >> 8);
  }
}

/* Brightness, then contrast about the mean of what came before, as one table. */
static void make_table(uint8_t table[256], const uint8_t *from, double bright, double contrast)
{
  uint32_t sum = 0;
  for (int i = 0; i < VK_VIEW_BYTES; i++)
    sum += from[i];
  /* levels and factors in 1/4096 */
  int64_t mean = (int64_t)(sum * 4096.0 / VK_VIEW_BYTES + 0.5);
  int64_t b = (int64_t)(bright * 4096 + 0.5), c = (int64_t)(contrast * 4096 + 0.5);
  for (int i = 0; i < 256; i++) {
    int64_t x = (mean * 4096 + (i * 4096 - mean) * c) * b >> 24;
    x = (x + 2048) >> 12;
    table[i] = (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
  }
}

void vk_augment_picture(const vk_augment *a, vk_philox *rng, const uint8_t *from, uint8_t *to)
{
  double u[N_DRAW];
  for (int i = 0; i < N_DRAW; i++)
    u[i] = vk_philox_double(rng);
  double least = a->crop > 0 ? sqrt(a->crop) : 1, side = least + u[6] * (1 - least);
  int64_t step = (int64_t)(side * ONE), room = (int64_t)SIDE * (ONE - step);
  int64_t shift[2];
  tap x[SIDE], y[SIDE];
  uint8_t table[256];
  for (int i = 0; i < 2; i++) /* whole pixels */
    shift[i] = ((int64_t)(u[i] * (2 * a->shift_px + 1)) - a->shift_px) * ONE;
  make_taps(x, shift[0] + (int64_t)(u[2] * (double)room), step);
  make_taps(y, shift[1] + (int64_t)(u[3] * (double)room), step);
  make_table(table, from, 1 + a->brightness * (2 * u[4] - 1), 1 + a->contrast * (2 * u[5] - 1));
  for (int i = 0; i < SIDE; i++, to += ROW) {
    const uint8_t *above = from + y[i].first * ROW, *below = from + y[i].second * ROW;
    uint16_t row[ROW]; /* between the two, in 1/16 of a level: products with weights fit 32 bits */
    uint16_t w = y[i].weight, v = (uint16_t)(256 - w);
    for (int k = 0; k < ROW; k++)
      row[k] = (uint16_t)((above[k] * v + below[k] * w + 8) >> 4);
    for (int k = 0; k < SIDE; k++) {
      const uint16_t *p = row + 3 * x[k].first, *q = row + 3 * x[k].second;
      unsigned wx = x[k].weight, vx = 256 - wx;
      for (int c = 0; c < 3; c++)
        to[3 * k + c] = table[(p[c] * vx + q[c] * wx + 2048) >> 12];
    }
  }
}
