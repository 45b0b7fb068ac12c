/* curve_svg.c - curves of a training run as a drawing: two panels a row, a curve each. */
#include <math.h>
#include <string.h>

#include "cmd/curve.h"

enum {
  COLUMNS = 2,
  PANEL_W = 440,
  PANEL_H = 220,
  MARGIN = 16,
  LEFT = 64, /* of a panel: numbers of the axis */
  TOP = 30,
  BOTTOM = 26,
  RIGHT = 12,
  TITLE = 40,
  DOTS_MAX = 40, /* points that are shown each */
};

static void put_text(FILE *out, const char *text)
{
  for (; *text; text++)
    switch (*text) {
    case '<':
      fputs("&lt;", out);
      break;
    case '>':
      fputs("&gt;", out);
      break;
    case '&':
      fputs("&amp;", out);
      break;
    default:
      fputc(*text, out);
    }
}

/* A step between lines of an axis: 1, 2 or 5 times a power of ten, about a quarter of the span. */
static double tick(double span)
{
  double base = pow(10, floor(log10(span / 4)));
  double share = span / 4 / base;
  return base * (share < 1.5 ? 1 : share < 3.5 ? 2 : share < 7.5 ? 5 : 10);
}

static void draw_lines(FILE *out, double lo, double hi, double w, double h)
{
  double by = tick(hi - lo);
  for (double v = ceil(lo / by) * by; v <= hi + by * 1e-6; v += by) {
    double y = TOP + h * (hi - v) / (hi - lo);
    fprintf(out,
            "<line x1=\"%d\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>"
            "<text x=\"%d\" y=\"%.1f\" class=\"num\" text-anchor=\"end\">%g</text>\n",
            LEFT, y, LEFT + w, y, LEFT - 6, y + 4, fabs(v) < by * 1e-6 ? 0 : v);
  }
}

static void draw(FILE *out, const vk_curve *c)
{
  double lo, hi, w = PANEL_W - LEFT - RIGHT, h = PANEL_H - TOP - BOTTOM;
  fprintf(out, "<text x=\"%d\" y=\"18\" class=\"name\">", LEFT);
  put_text(out, c->tag);
  fputs("</text>\n", out);
  if (!vk_curve_range(c, &lo, &hi))
    return;
  if (hi - lo <= 1e-12 * fabs(hi)) { /* a constant */
    double half = hi != 0 ? fabs(hi) / 2 : 0.5;
    lo -= half;
    hi += half;
  }
  draw_lines(out, lo, hi, w, h);
  double first = (double)c->step[0], last = (double)c->step[c->n - 1];
  double span = last > first ? last - first : 1;
  bool is_open = false; /* a line, which what is not finite breaks */
  for (int i = 0; i < c->n; i++) {
    if (!isfinite(c->value[i])) {
      fputs(is_open ? "\"/>\n" : "", out);
      is_open = false;
      continue;
    }
    fputs(is_open ? " " : "<polyline class=\"curve\" points=\"", out);
    is_open = true;
    fprintf(out, "%.1f,%.1f", LEFT + w * ((double)c->step[i] - first) / span,
            TOP + h * (hi - c->value[i]) / (hi - lo));
  }
  fputs(is_open ? "\"/>\n" : "", out);
  for (int i = 0; i < c->n && c->n <= DOTS_MAX; i++)
    if (isfinite(c->value[i]))
      fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\" class=\"dot\"/>\n",
              LEFT + w * ((double)c->step[i] - first) / span,
              TOP + h * (hi - c->value[i]) / (hi - lo));
  fprintf(out,
          "<text x=\"%d\" y=\"%d\" class=\"num\">%lld</text>"
          "<text x=\"%.1f\" y=\"%d\" class=\"num\" text-anchor=\"end\">step %lld</text>\n",
          LEFT, PANEL_H - 8, (long long)c->step[0], LEFT + w, PANEL_H - 8,
          (long long)c->step[c->n - 1]);
}

void vk_curves_svg(const vk_curves *c, const char *title, FILE *out)
{
  int n_row = (c->n + COLUMNS - 1) / COLUMNS;
  int width = 2 * MARGIN + COLUMNS * PANEL_W, height = 2 * MARGIN + TITLE + n_row * PANEL_H;
  fprintf(out,
          "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
          "viewBox=\"0 0 %d %d\">\n"
          "<style>text{font-family:sans-serif}.title{font-size:16px;font-weight:bold}"
          ".name{font-size:13px;font-weight:bold}.num{font-size:11px;fill:#555}"
          ".grid{stroke:#ddd;stroke-width:1}"
          ".curve{fill:none;stroke:#1f6fb4;stroke-width:1.5;stroke-linejoin:round}.dot{fill:#"
          "1f6fb4}</style>\n"
          "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n"
          "<text x=\"%d\" y=\"%d\" class=\"title\">",
          width, height, width, height, width, height, MARGIN, MARGIN + 16);
  put_text(out, title);
  fputs("</text>\n", out);
  for (int i = 0; i < c->n; i++) {
    fprintf(out, "<g transform=\"translate(%d %d)\">\n", MARGIN + i % COLUMNS * PANEL_W,
            MARGIN + TITLE + i / COLUMNS * PANEL_H);
    draw(out, &c->curve[i]);
    fputs("</g>\n", out);
  }
  fputs("</svg>\n", out);
}
