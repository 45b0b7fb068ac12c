/* turn.h - sine and cosine with the same bits on every machine, as libm's are not promised to be.
 * Angles are in turns (1 is 2 pi), which reduce exactly. Test: tests/unit/test_mesh_shape.c */
#ifndef VK_SIM_TURN_H
#define VK_SIM_TURN_H

#include <math.h>

/* Taylor's series about 0 at x in [-pi/4, pi/4]: the first term left out is below 1e-17. */
static inline void vk_turn_series(double x, double *cosine, double *sine)
{
  const double z = x * x;
  double c = 1, s = 1;
  for (int k = 18; k >= 2; k -= 2) {
    c = 1 - z / (double)((k - 1) * k) * c;
    s = 1 - z / (double)(k * (k + 1)) * s;
  }
  *cosine = c;
  *sine = x * s;
}

/* Errors below 1e-15 for |turns| < 1000. */
static inline void vk_turn_cos_sin(double turns, double *cosine, double *sine)
{
  const double quarter = floor(4 * turns + 0.5);
  const double rest = turns - quarter / 4;
  double c, s;
  vk_turn_series(6.283185307179586 * rest, &c, &s);
  switch ((int)(quarter - 4 * floor(quarter / 4))) {
  case 0:
    *cosine = c, *sine = s;
    break;
  case 1:
    *cosine = -s, *sine = c;
    break;
  case 2:
    *cosine = -c, *sine = -s;
    break;
  default:
    *cosine = s, *sine = -c;
    break;
  }
}

#endif
