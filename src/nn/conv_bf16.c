#include "nn/conv_bf16.h"

#include <string.h>

/* n numbers of each of n_i windows, at an offset that is the same for all. */
static void copy_windows(const conv_windows *w, int64_t i, int64_t n_i, const uint16_t *at,
                         int64_t n, uint16_t *out, int64_t stride)
{
  int64_t x = i % w->n_x, y = i / w->n_x % w->n_y, picture = i / w->n_x / w->n_y;
#if defined(__AVX512F__)
  int64_t whole = (n - 1) / 32 * 32;
  __mmask32 rest = (__mmask32)(0xffffffffu >> (32 - (n - whole)));
#endif
  while (n_i > 0) {
    const uint16_t *from = at + picture * w->step + y * w->step_y + x * w->step_x;
    int64_t n_x = conv_min(w->n_x - x, n_i);
    for (int64_t r = 0; r < n_x; r++, from += w->step_x, out += stride) {
#if defined(__AVX512F__)
      for (int64_t e = 0; e < whole; e += 32)
        _mm512_storeu_si512(out + e, _mm512_loadu_si512(from + e));
      _mm512_mask_storeu_epi16(out + whole, rest, _mm512_maskz_loadu_epi16(rest, from + whole));
#else
      memcpy(out, from, sizeof *out * (size_t)n);
#endif
    }
    n_i -= n_x;
    x = 0;
    y++;
    if (y == w->n_y) {
      y = 0;
      picture++;
    }
  }
}

void conv_fill_windows(void *arg, int64_t i, int64_t n_i, int64_t q, int64_t n_q, uint16_t *out,
                       int64_t stride)
{
  conv_windows *w = arg;
  conv_ahead_step(&w->ahead[0]);
  conv_ahead_step(&w->ahead[1]);
  for (int64_t e = 0, n; e < n_q; e += n) {
    int64_t row = (w->first + q + e) / w->kc, place = (w->first + q + e) % w->kc;
    n = conv_min(w->kc - place, n_q - e);
    copy_windows(w, i, n_i, w->at + row * w->pitch + place, n, out + e, stride);
  }
}
