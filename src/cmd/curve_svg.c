/* curve_svg.c - curves of training runs as a drawing: two panels a row, a curve each, in which
 * every run has its colour. */
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

/* Told apart also by who does not see all colours (Okabe and Ito's, the first a little stronger).
 */
static const char *const colour[VK_CURVE_RUNS_MAX] = {"#1f6fb4", "#d55e00", "#009e73", "#cc79a7",
                                                      "#000000", "#e69f00", "#56b4e9", "#b8a800"};

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

/* Where a value of a frame lies in its panel. */
typedef struct panel {
  vk_curve_frame f;
  double w, h;
} panel;

static double x_of(const panel *p, int64_t step)
{
  int64_t span = p->f.last > p->f.first ? p->f.last - p->f.first : 1;
  return LEFT + p->w * (double)(step - p->f.first) / (double)span;
}

static double y_of(const panel *p, double value)
{
  return TOP + p->h * (p->f.hi - value) / (p->f.hi - p->f.lo);
}

static void draw_curve(FILE *out, const panel *p, const vk_curve *c, const char *stroke)
{
  bool is_open = false; /* a line, which what is not finite breaks */
  for (int i = 0; i < c->n; i++) {
    if (!isfinite(c->value[i])) {
      fputs(is_open ? "\"/>\n" : "", out);
      is_open = false;
      continue;
    }
    if (is_open)
      fputc(' ', out);
    else
      fprintf(out, "<polyline class=\"curve\" stroke=\"%s\" points=\"", stroke);
    is_open = true;
    fprintf(out, "%.1f,%.1f", x_of(p, c->step[i]), y_of(p, c->value[i]));
  }
  fputs(is_open ? "\"/>\n" : "", out);
  for (int i = 0; i < c->n && c->n <= DOTS_MAX; i++)
    if (isfinite(c->value[i]))
      fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\" fill=\"%s\"/>\n", x_of(p, c->step[i]),
              y_of(p, c->value[i]), stroke);
}

static void draw(FILE *out, const vk_curve_runs *r, int i)
{
  panel p = {.w = PANEL_W - LEFT - RIGHT, .h = PANEL_H - TOP - BOTTOM};
  fprintf(out, "<text x=\"%d\" y=\"18\" class=\"name\">", LEFT);
  put_text(out, r->curves[0].curve[i].tag);
  fputs("</text>\n", out);
  if (!vk_curve_runs_frame(r, i, &p.f))
    return;
  if (p.f.hi - p.f.lo <= 1e-12 * fabs(p.f.hi)) { /* a constant */
    double half = p.f.hi != 0 ? fabs(p.f.hi) / 2 : 0.5;
    p.f.lo -= half;
    p.f.hi += half;
  }
  draw_lines(out, p.f.lo, p.f.hi, p.w, p.h);
  for (int k = 0; k < r->n; k++)
    draw_curve(out, &p, &r->curves[k].curve[i], colour[k]);
  fprintf(out,
          "<text x=\"%d\" y=\"%d\" class=\"num\">%lld</text>"
          "<text x=\"%.1f\" y=\"%d\" class=\"num\" text-anchor=\"end\">step %lld</text>\n",
          LEFT, PANEL_H - 8, (long long)p.f.first, LEFT + p.w, PANEL_H - 8, (long long)p.f.last);
}

/* "vlakit train, run ID", of several their ids in their colours. */
static void draw_title(FILE *out, const vk_curve_runs *r)
{
  fprintf(out, "<text x=\"%d\" y=\"%d\" class=\"title\">vlakit train, run%s", MARGIN, MARGIN + 16,
          vk_plural(r->n));
  for (int k = 0; k < r->n; k++) {
    fprintf(out, r->n > 1 ? " <tspan fill=\"%s\">" : " ", colour[k]);
    put_text(out, r->id[k]);
    fputs(r->n > 1 ? "</tspan>" : "", out);
  }
  fputs("</text>\n", out);
}

void vk_curve_runs_svg(const vk_curve_runs *r, FILE *out)
{
  int n = r->curves[0].n, n_row = (n + COLUMNS - 1) / COLUMNS;
  int width = 2 * MARGIN + COLUMNS * PANEL_W, height = 2 * MARGIN + TITLE + n_row * PANEL_H;
  fprintf(out,
          "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
          "viewBox=\"0 0 %d %d\">\n"
          "<style>text{font-family:sans-serif}.title{font-size:16px;font-weight:bold}"
          ".name{font-size:13px;font-weight:bold}.num{font-size:11px;fill:#555}"
          ".grid{stroke:#ddd;stroke-width:1}"
          ".curve{fill:none;stroke-width:1.5;stroke-linejoin:round}</style>\n"
          "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
          width, height, width, height, width, height);
  draw_title(out, r);
  for (int i = 0; i < n; i++) {
    fprintf(out, "<g transform=\"translate(%d %d)\">\n", MARGIN + i % COLUMNS * PANEL_W,
            MARGIN + TITLE + i / COLUMNS * PANEL_H);
    draw(out, r, i);
    fputs("</g>\n", out);
  }
  fputs("</svg>\n", out);
}
