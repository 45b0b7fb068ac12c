#include "nn/graph_svg.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "nn/graph_dump.h"
#include "nn/graph_layout.h"
#include "nn/op.h"

enum {
  MARGIN = 24,
  HEAD = 64, /* title and legend */
  PAD = 10,  /* inside a box */
  TITLE = 22,
  LINE = 17, /* a node's line */
  PILL = 22, /* height of inputs and outputs */
};
static const double CHAR = 6.65, CHAR_BOLD = 8.2; /* width of a character, of a bold one */

/* Nodes of one place that follow each other. */
typedef struct part {
  const char *place;
  int first, n; /* nodes */
  bool is_back; /* an earlier part has this place: its backward pass */
  int w_label;  /* characters of the longest label, of the longest shape */
  int w_shape;
  vk_layout inner; /* full: nodes, then one box a value that comes in, then one that goes out */
  vk_id *port;     /* [inner.n_box - n] their values */
  int n_port_in;
  vk_id *net_value; /* [inner.n_net] */
  int *to_room;
  double *x_room;
} part;

typedef struct drawing {
  const vk_graph *g;
  FILE *out;
  bool full;
  int n_part;
  part *part;
  int *part_of;  /* [n_node] */
  bool *is_back; /* [n_node] */
  int n_input;
  vk_id *input; /* those that nodes read */
  int n_output;
  int *output;      /* those of g that are no gradients: there is one a parameter */
  vk_layout layout; /* boxes: parts, inputs, outputs; nets: of values */
  vk_id *net_value; /* [layout.n_net] */
  int *net_n;       /* [layout.n_net] values that it stands for; more than one unless full */
  int *to_room;
  double *x_room;
} drawing;

/* ---- what is written in boxes --------------------------------------------------------------- */

typedef struct family {
  const char *name, *fill;
  const char *const *ops; /* beginnings of names */
} family;

static const family families[] = {
    {"products", "#3b82f6", (const char *const[]){"matmul", "conv", "fold", "pack", NULL}},
    {"attention", "#8b5cf6", (const char *const[]){"attention", NULL}},
    {"norms", "#10b981", (const char *const[]){"rms_norm", "group_norm", "layer_norm", NULL}},
    {"losses", "#ef4444", (const char *const[]){"cross_entropy", "mse", "loss", NULL}},
    {"rows", "#64748b",
     (const char *const[]){"pick", "bag", "tile", "mean_rows", "sum_rows", "reshape", "copy",
                           "argmax", NULL}},
    {"elementwise", "#f59e0b", (const char *const[]){"", NULL}},
};

static const family *family_of(const vk_op_def *op)
{
  for (size_t i = 0; i < VK_COUNT(families); i++)
    for (int k = 0; families[i].ops[k]; k++)
      if (strncmp(op->name, families[i].ops[k], strlen(families[i].ops[k])) == 0)
        return &families[i];
  return &families[VK_COUNT(families) - 1];
}

static bool has_in(const vk_node *n, int k)
{
  return k < n->n_in && n->in[k] != VK_NONE;
}

/* "matmul 128 > 512, gelu". Returns buf. */
static const char *node_label(const vk_graph *g, const vk_node *n, char buf[VK_VALUE_TEXT])
{
  size_t at = (size_t)snprintf(buf, VK_VALUE_TEXT, "%s", n->op->name);
#define ADD(...) at += (size_t)snprintf(buf + at, VK_VALUE_TEXT - at, __VA_ARGS__)
  if (n->op == &vk_op_matmul && n->attr.trans_a)
    ADD(" a'b");
  else if (n->op == &vk_op_matmul)
    ADD(" %lld to %lld", (long long)vk_shape_last(&g->value[n->in[0]].shape),
        (long long)vk_shape_last(&g->value[n->out[0]].shape));
  if (n->attr.kernel)
    ADD(" %lldx%lld", (long long)n->attr.kernel, (long long)n->attr.kernel);
  if (n->attr.n_head)
    ADD(" %lld heads", (long long)n->attr.n_head);
  if (n->attr.act == VK_ACT_GELU)
    ADD(", gelu");
  if (n->attr.act == VK_ACT_GELU_GRAD)
    ADD(", gelu'");
  if (n->op == &vk_op_matmul && has_in(n, 3))
    ADD(" + residual");
  if (strncmp(n->op->name, "group_norm", 11) == 0 && has_in(n, 3))
    ADD(", film");
#undef ADD
  return buf;
}

static void put_escaped(FILE *out, const char *text)
{
  for (; *text; text++)
    if (*text == '<' || *text == '>' || *text == '&')
      fprintf(out, *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : "&amp;");
    else
      fputc(*text, out);
}

VK_PRINTF(5, 6)
static void put_text(FILE *out, double x, double y, const char *class, const char *format, ...)
{
  char text[2 * VK_VALUE_TEXT];
  va_list ap;
  va_start(ap, format);
  vsnprintf(text, sizeof text, format, ap);
  va_end(ap);
  fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, class);
  put_escaped(out, text);
  fputs("</text>\n", out);
}

/* Nodes whose only work is to lay out a weight are part of the product that reads it. */
static bool is_listed(const vk_node *n)
{
  return n->op != &vk_op_pack && n->op != &vk_op_conv_pack;
}

/* ---- parts ----------------------------------------------------------------------------------- */

/* Whether node i computes a gradient: all of them come from the constant that differentiation
 * begins with. is_back: of earlier nodes. */
static bool is_backward(const vk_graph *g, int i, const bool *is_back)
{
  for (int k = 0; k < g->node[i].n_in; k++) {
    vk_id v = g->node[i].in[k];
    if (v == VK_NONE)
      continue;
    const vk_value *a = &g->value[v];
    if (a->kind == VK_RESULT ? is_back[a->node] : strcmp(a->name, "grad.one") == 0)
      return true;
  }
  return false;
}

static void find_parts(drawing *d)
{
  const vk_graph *g = d->g;
  for (int i = 0; i < g->n_node; i++) {
    part *p = d->n_part ? &d->part[d->n_part - 1] : NULL;
    d->is_back[i] = is_backward(g, i, d->is_back);
    if (!p || strcmp(p->place, g->node[i].place) != 0 || p->is_back != d->is_back[i]) {
      p = &d->part[d->n_part++];
      *p = (part){.place = g->node[i].place, .first = i, .is_back = d->is_back[i]};
    }
    p->n++;
    d->part_of[i] = d->n_part - 1;
  }
}

/* Characters of labels and shapes, and the size of the box that lists the nodes. */
static void measure_part(const drawing *d, part *p, vk_layout_box *box)
{
  char text[VK_VALUE_TEXT];
  int n_line = 0;
  for (int i = p->first; i < p->first + p->n; i++) {
    const vk_node *n = &d->g->node[i];
    if (!is_listed(n))
      continue;
    int label = (int)strlen(node_label(d->g, n, text));
    int shape = (int)strlen(vk_graph_value_shape(d->g, n->out[0], text));
    p->w_label = label > p->w_label ? label : p->w_label;
    p->w_shape = shape > p->w_shape ? shape : p->w_shape;
    n_line++;
  }
  double title = CHAR_BOLD * ((double)strlen(p->place) + (p->is_back ? 10 : 0));
  box->w = 2 * PAD + 14 + CHAR * (p->w_label + 2 + p->w_shape);
  box->w = box->w < title + 2 * PAD ? title + 2 * PAD : box->w;
  box->h = TITLE + LINE * n_line + PAD;
}

/* ---- what flows between boxes ---------------------------------------------------------------- */

/* The box of the drawing that value v comes from, or -1 (parameters). */
static int box_of(const drawing *d, vk_id v)
{
  const vk_value *a = &d->g->value[v];
  if (a->kind == VK_RESULT)
    return d->part_of[a->node];
  for (int i = 0; i < d->n_input; i++)
    if (d->input[i] == v)
      return d->n_part + i;
  return -1;
}

static void add_to(vk_layout_net *n, int to)
{
  for (int k = 0; k < n->n_to; k++)
    if (n->to[k] == to)
      return;
  if (to != n->from)
    n->to[n->n_to++] = to;
}

static int count_readers(const drawing *d, vk_id v)
{
  int n = 0;
  for (int i = 0; i < d->g->n_node; i++)
    for (int k = 0; k < d->g->node[i].n_in; k++)
      n += d->g->node[i].in[k] == v;
  for (int i = 0; i < d->g->n_output; i++)
    n += d->g->output[i].value == v;
  return n;
}

/* The earlier net from the same box to the same boxes, or -1. */
static int find_same_net(const drawing *d, const vk_layout_net *net)
{
  for (int i = 0; i < d->layout.n_net; i++) {
    const vk_layout_net *n = &d->layout.net[i];
    if (n->from == net->from && n->n_to == net->n_to &&
        memcmp(n->to, net->to, sizeof *n->to * (size_t)n->n_to) == 0)
      return i;
  }
  return -1;
}

/* One net for each value that another box reads; unless full, one for all that go the same way. */
static void find_nets(drawing *d)
{
  const vk_graph *g = d->g;
  int *to = d->to_room;
  double *x = d->x_room;
  for (vk_id v = 0; v < g->n_value; v++) {
    int from = box_of(d, v);
    if (from < 0)
      continue;
    vk_layout_net *net = &d->layout.net[d->layout.n_net];
    *net = (vk_layout_net){.from = from, .to = to, .to_x = x};
    for (int i = 0; i < g->n_node; i++)
      for (int k = 0; k < g->node[i].n_in; k++)
        if (g->node[i].in[k] == v)
          add_to(net, d->part_of[i]);
    for (int i = 0; i < d->n_output; i++)
      if (g->output[d->output[i]].value == v)
        add_to(net, d->n_part + d->n_input + i);
    int same = d->full ? -1 : find_same_net(d, net);
    if (net->n_to == 0 || same >= 0) {
      d->net_n[same >= 0 ? same : 0] += same >= 0;
      continue;
    }
    to += net->n_to;
    net->trunk = x + net->n_to;
    x += net->n_to + d->layout.n_box;
    d->net_n[d->layout.n_net] = 1;
    d->net_value[d->layout.n_net++] = v;
  }
}

/* ---- full: nodes inside parts ---------------------------------------------------------------- */

static int find_port(const part *p, int first, int n, vk_id v)
{
  for (int i = first; i < first + n; i++)
    if (p->port[i] == v)
      return i;
  return -1;
}

/* Values that come in from other boxes, then those that go out: boxes without height. */
static void find_ports(const drawing *d, part *p)
{
  const vk_graph *g = d->g;
  int i_part = (int)(p - d->part), n = 0;
  for (int i = p->first; i < p->first + p->n; i++)
    for (int k = 0; k < g->node[i].n_in; k++) {
      vk_id v = g->node[i].in[k];
      int from = v == VK_NONE ? -1 : box_of(d, v);
      if (from >= 0 && from != i_part && find_port(p, 0, n, v) < 0)
        p->port[n++] = v;
    }
  p->n_port_in = n;
  for (int i = 0; i < d->layout.n_net; i++)
    if (d->layout.net[i].from == i_part)
      p->port[n++] = d->net_value[i];
  p->inner.n_box = p->n + n;
  for (int i = 0; i < n; i++)
    p->inner.box[p->n + i] =
        (vk_layout_box){.w = 4, .pin = i < p->n_port_in ? VK_LAYOUT_FIRST : VK_LAYOUT_LAST};
}

/* The net of value v inside the part. */
static void add_inner_net(const drawing *d, part *p, vk_id v, int from, int **to, double **x)
{
  const vk_graph *g = d->g;
  vk_layout_net *net = &p->inner.net[p->inner.n_net];
  *net = (vk_layout_net){.from = from, .to = *to, .to_x = *x};
  for (int i = p->first; i < p->first + p->n; i++)
    for (int k = 0; k < g->node[i].n_in; k++)
      if (g->node[i].in[k] == v)
        add_to(net, i - p->first);
  int out = find_port(p, p->n_port_in, p->inner.n_box - p->n - p->n_port_in, v);
  if (out >= 0)
    add_to(net, p->n + out);
  if (net->n_to == 0)
    return;
  *to += net->n_to;
  net->trunk = *x + net->n_to;
  *x += net->n_to + p->inner.n_box;
  p->net_value[p->inner.n_net++] = v;
}

static vk_status lay_out_part(drawing *d, part *p, vk_layout_box *box, vk_err *err)
{
  const vk_graph *g = d->g;
  size_t n_value = 0;
  for (int i = p->first; i < p->first + p->n; i++)
    n_value += (size_t)(g->node[i].n_in + g->node[i].n_out);
  size_t n_box = (size_t)p->n + n_value + 1;
  p->port = calloc(n_value + 1, sizeof *p->port);
  p->net_value = calloc(n_value + 1, sizeof *p->net_value);
  p->inner.box = calloc(n_box, sizeof *p->inner.box);
  p->inner.net = calloc(n_value + 1, sizeof *p->inner.net);
  int *to = p->to_room = calloc(2 * n_value + 1, sizeof *to);
  double *x = p->x_room = calloc(2 * n_value + 1 + n_value * n_box, sizeof *x);
  if (!p->port || !p->net_value || !p->inner.box || !p->inner.net || !to || !x)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for a drawing", g->name);
  char text[VK_VALUE_TEXT];
  for (int i = 0; i < p->n; i++) {
    const vk_node *n = &g->node[p->first + i];
    size_t label = strlen(node_label(g, n, text)) + 2;
    size_t shape = strlen(vk_graph_value_shape(g, n->out[0], text));
    p->inner.box[i] = (vk_layout_box){.w = 2 * PAD + CHAR * (double)(label > shape ? label : shape),
                                      .h = 2 * LINE + 2};
  }
  find_ports(d, p);
  for (int i = 0; i < p->n_port_in; i++)
    add_inner_net(d, p, p->port[i], p->n + i, &to, &x);
  for (int i = 0; i < p->n; i++)
    for (int k = 0; k < g->node[p->first + i].n_out; k++)
      add_inner_net(d, p, g->node[p->first + i].out[k], i, &to, &x);
  p->inner.gap_x = 18;
  p->inner.gap_y = 22;
  p->inner.gap_line = 9;
  VK_TRY(vk_layout_make(&p->inner, err));
  double title = CHAR_BOLD * ((double)strlen(p->place) + (p->is_back ? 10 : 0));
  box->w = (p->inner.w > title ? p->inner.w : title) + 2 * PAD;
  box->h = p->inner.h + TITLE + PAD;
  return VK_OK;
}

/* Lines between parts meet those inside at the ports. */
static void join_ports(drawing *d)
{
  for (int i = 0; i < d->layout.n_net; i++) {
    vk_layout_net *net = &d->layout.net[i];
    for (int k = -1; k < net->n_to; k++) {
      int box = k < 0 ? net->from : net->to[k];
      if (box >= d->n_part)
        continue;
      const part *p = &d->part[box];
      int n_out = p->inner.n_box - p->n - p->n_port_in;
      int port = k < 0 ? find_port(p, p->n_port_in, n_out, d->net_value[i])
                       : find_port(p, 0, p->n_port_in, d->net_value[i]);
      const vk_layout_box *b = &p->inner.box[p->n + port];
      double x = d->layout.box[box].x + PAD + b->x + 0.5 * b->w;
      if (k < 0)
        net->from_x = x;
      else
        net->to_x[k] = x;
    }
  }
}

/* ---- drawing --------------------------------------------------------------------------------- */

static void put_curve(FILE *out, double x0, double y0, double x1, double y1)
{
  double middle = 0.5 * (y0 + y1);
  if (x1 - x0 < 0.5 && x0 - x1 < 0.5)
    fprintf(out, "V%.1f", y1);
  else
    fprintf(out, "C%.1f %.1f %.1f %.1f %.1f %.1f", x0, middle, x1, middle, x1, y1);
}

/* One net of a layout whose corner is at (x, y). */
static void draw_net(const drawing *d, const vk_layout *l, const vk_layout_net *n, vk_id v,
                     int n_value, double x, double y)
{
  FILE *out = d->out;
  char name[VK_VALUE_TEXT], shape[VK_VALUE_TEXT];
  const vk_layout_box *from = &l->box[n->from];
  fprintf(out, "<g class=\"net%s\"><title>", n_value > 1 ? " wide" : "");
  put_escaped(out, vk_graph_value_name(d->g, v, name));
  fprintf(out, " %s", vk_graph_value_shape(d->g, v, shape));
  if (n_value > 1)
    fprintf(out, " and %d more", n_value - 1);
  fputs("</title>\n", out);
  int top = from->layer;
  double x0 = x + n->from_x;
  for (int k = 0; k < n->n_trunk; k++) {
    double xa = k ? x + n->trunk[k - 1] : x0, ya = y + (k ? l->bottom[top + k] : from->y + from->h);
    fprintf(out, "<path d=\"M%.1f %.1f", xa, ya);
    if (k == 0)
      fprintf(out, "V%.1f", y + l->bottom[top]);
    put_curve(out, xa, y + l->bottom[top + k], x + n->trunk[k], y + l->top[top + k + 1]);
    fprintf(out, "V%.1f\"/>\n", y + l->bottom[top + k + 1]);
  }
  for (int k = 0; k < n->n_to; k++) {
    const vk_layout_box *to = &l->box[n->to[k]];
    int above = to->layer - 1 - top;
    bool is_end = to->h > 0 && (l != &d->layout || !d->full || n->to[k] >= d->n_part);
    double xa = above ? x + n->trunk[above - 1] : x0, yb = y + l->top[to->layer];
    fprintf(out, "<path%s d=\"M%.1f %.1f", is_end ? " class=\"end\"" : "", xa,
            above ? y + l->bottom[to->layer - 1] : y + from->y + from->h);
    if (!above)
      fprintf(out, "V%.1f", y + l->bottom[top]);
    put_curve(out, xa, y + l->bottom[to->layer - 1], x + n->to_x[k], is_end ? yb - 7 : yb);
    fprintf(out, "V%.1f\"/>\n", y + to->y - is_end);
  }
  fputs("</g>\n", out);
}

static void draw_part(const drawing *d, const part *p, const vk_layout_box *b)
{
  FILE *out = d->out;
  double x = MARGIN + b->x, y = HEAD + b->y;
  char text[VK_VALUE_TEXT];
  fprintf(out, "<rect class=\"part%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n",
          p->is_back ? " back" : "", x, y, b->w, b->h);
  double line = y + TITLE;
  for (int i = p->first; i < p->first + p->n && !d->full; i++) {
    const vk_node *n = &d->g->node[i];
    if (!is_listed(n))
      continue;
    fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"8\" height=\"10\" rx=\"2\" fill=\"%s\"/>\n",
            x + PAD, line + 3, family_of(n->op)->fill);
    put_text(out, x + PAD + 14, line + 12, "op", "%s", node_label(d->g, n, text));
    put_text(out, x + b->w - PAD, line + 12, "shape", "%s",
             vk_graph_value_shape(d->g, n->out[0], text));
    line += LINE;
  }
}

static void draw_pill(const drawing *d, const vk_layout_box *b, const char *name, vk_id v,
                      const char *class)
{
  char shape[VK_VALUE_TEXT];
  double x = MARGIN + b->x, y = HEAD + b->y;
  fprintf(d->out,
          "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"11\"/>\n",
          class, x, y, b->w, b->h);
  fprintf(d->out, "<text x=\"%.1f\" y=\"%.1f\" class=\"pill\"><tspan class=\"bold\">",
          x + 0.5 * b->w, y + 15);
  put_escaped(d->out, name);
  fprintf(d->out, "</tspan> %s%s</text>\n",
          d->g->value[v].dtype == VK_F32 ? "" : vk_dtype_name(d->g->value[v].dtype),
          vk_graph_value_shape(d->g, v, shape));
}

static void draw_inner(const drawing *d, const part *p, const vk_layout_box *b)
{
  FILE *out = d->out;
  double x = MARGIN + b->x + PAD, y = HEAD + b->y + TITLE;
  char text[VK_VALUE_TEXT];
  for (int i = 0; i < p->inner.n_net; i++)
    draw_net(d, &p->inner, &p->inner.net[i], p->net_value[i], 1, x, y);
  for (int i = 0; i < p->inner.n_box - p->n; i++) { /* across the strip of the title and below */
    const vk_layout_box *port = &p->inner.box[p->n + i];
    double at = x + port->x + 0.5 * port->w;
    bool is_in = i < p->n_port_in;
    fprintf(out, "<path class=\"lead\" d=\"M%.1f %.1fV%.1f\"/>\n", at,
            is_in ? y - TITLE : y + p->inner.h, is_in ? y : y + p->inner.h + PAD);
  }
  for (int i = 0; i < p->n; i++) {
    const vk_layout_box *box = &p->inner.box[i];
    const vk_node *n = &d->g->node[p->first + i];
    const char *fill = family_of(n->op)->fill;
    fprintf(out,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"4\" fill=\"#fff\" "
            "stroke=\"%s\" stroke-width=\"1.5\"/>\n",
            x + box->x, y + box->y, box->w, box->h, fill);
    fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"6\" height=\"%.1f\" fill=\"%s\"/>\n",
            x + box->x, y + box->y, box->h, fill);
    put_text(out, x + box->x + PAD + 4, y + box->y + 14, "op", "%s", node_label(d->g, n, text));
    put_text(out, x + box->x + PAD + 4, y + box->y + 29, "small", "%s",
             vk_graph_value_shape(d->g, n->out[0], text));
  }
}

static void draw_head(const drawing *d)
{
  FILE *out = d->out;
  double w = d->layout.w + 2 * MARGIN, h = d->layout.h + HEAD + MARGIN, x = MARGIN;
  w = w < 560 ? 560 : w;
  fprintf(
      out,
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
      "viewBox=\"0 0 %.0f %.0f\">\n<style>\n"
      "text{font-family:DejaVu Sans Mono,Menlo,Consolas,monospace;font-size:11px;fill:#0f172a}\n"
      ".title{font-weight:bold;font-size:12px;paint-order:stroke;stroke:#fff;stroke-width:3px}\n"
      ".name{font-weight:bold;font-size:16px}\n"
      ".shape{text-anchor:end;fill:#64748b}\n"
      ".small{fill:#64748b}\n"
      ".pill{text-anchor:middle}\n"
      ".bold{font-weight:bold}\n"
      ".part{fill:#f8fafc;stroke:#94a3b8;rx:6px}\n"
      ".back{fill:#fff7f5;stroke:#e7b3a6}\n"
      ".in{fill:#dcfce7;stroke:#22a055}\n"
      ".out{fill:#fef3c7;stroke:#d39b1c}\n"
      ".net path,.lead{fill:none;stroke:#8593a8;stroke-width:1.3px}\n"
      ".net .end{marker-end:url(#tip)}\n"
      ".net:hover path{stroke:#e11d48;stroke-width:2.5px}\n"
      "</style>\n"
      "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"6.5\" refY=\"4\" markerWidth=\"6\" "
      "markerHeight=\"6\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#8593a8\"/>"
      "</marker></defs>\n"
      "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
      w, h, w, h);
  put_text(out, x, 24, "name", "%s", d->g->name);
  put_text(out, x + 11 * (double)strlen(d->g->name) + 12, 24, "small", "%d nodes", d->g->n_node);
  for (size_t i = 0; i < VK_COUNT(families); i++) {
    fprintf(out, "<rect x=\"%.1f\" y=\"36\" width=\"8\" height=\"10\" rx=\"2\" fill=\"%s\"/>\n", x,
            families[i].fill);
    put_text(out, x + 12, 45, "small", "%s", families[i].name);
    x += 12 + CHAR * (double)strlen(families[i].name) + 16;
  }
}

static void draw(const drawing *d)
{
  const vk_layout *l = &d->layout;
  const vk_graph *g = d->g;
  draw_head(d);
  for (int i = 0; i < d->n_part; i++)
    draw_part(d, &d->part[i], &l->box[i]);
  for (int i = 0; i < l->n_net; i++)
    draw_net(d, l, &l->net[i], d->net_value[i], d->net_n[i], MARGIN, HEAD);
  for (int i = 0; i < d->n_part && d->full; i++)
    draw_inner(d, &d->part[i], &l->box[i]);
  for (int i = 0; i < d->n_part; i++)
    put_text(d->out, MARGIN + l->box[i].x + PAD, HEAD + l->box[i].y + 16, "title", "%s%s",
             d->part[i].place[0] ? d->part[i].place : "(no place)",
             d->part[i].is_back ? " backward" : "");
  for (int i = 0; i < d->n_input; i++)
    draw_pill(d, &l->box[d->n_part + i], g->value[d->input[i]].name, d->input[i], "in");
  for (int i = 0; i < d->n_output; i++)
    draw_pill(d, &l->box[d->n_part + d->n_input + i], g->output[d->output[i]].name,
              g->output[d->output[i]].value, "out");
  fputs("</svg>\n", d->out);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static double pill_width(const drawing *d, const char *name, vk_id v)
{
  char shape[VK_VALUE_TEXT];
  return 24 + CHAR * (double)(strlen(vk_graph_value_shape(d->g, v, shape)) + 5) +
         CHAR * (double)strlen(name);
}

static vk_status make_layout(drawing *d, vk_err *err)
{
  const vk_graph *g = d->g;
  vk_layout *l = &d->layout;
  find_parts(d);
  for (vk_id v = 0; v < g->n_value; v++)
    if (g->value[v].kind == VK_INPUT && count_readers(d, v) > 0)
      d->input[d->n_input++] = v;
  for (int i = 0; i < g->n_output; i++)
    if (!g->output[i].is_external)
      d->output[d->n_output++] = i;
  l->n_box = d->n_part + d->n_input + d->n_output;
  for (int i = 0; i < d->n_input; i++)
    l->box[d->n_part + i] =
        (vk_layout_box){.w = pill_width(d, g->value[d->input[i]].name, d->input[i]), .h = PILL};
  for (int i = 0; i < d->n_output; i++) {
    const vk_output *o = &g->output[d->output[i]];
    l->box[d->n_part + d->n_input + i] =
        (vk_layout_box){.w = pill_width(d, o->name, o->value), .h = PILL};
  }
  find_nets(d);
  for (int i = 0; i < d->n_part; i++)
    if (d->full)
      VK_TRY(lay_out_part(d, &d->part[i], &l->box[i], err));
    else
      measure_part(d, &d->part[i], &l->box[i]);
  l->gap_x = 28;
  l->gap_y = 40;
  l->gap_line = 9;
  VK_TRY(vk_layout_make(l, err));
  if (d->full)
    join_ports(d);
  return VK_OK;
}

static void drawing_fini(drawing *d)
{
  for (int i = 0; i < d->n_part && d->part; i++) {
    part *p = &d->part[i];
    free(p->port);
    free(p->net_value);
    free(p->inner.box);
    free(p->inner.net);
    free(p->inner.top);
    free(p->inner.bottom);
    free(p->to_room);
    free(p->x_room);
  }
  free(d->part);
  free(d->part_of);
  free(d->is_back);
  free(d->input);
  free(d->output);
  free(d->net_value);
  free(d->net_n);
  free(d->layout.box);
  free(d->layout.net);
  free(d->layout.top);
  free(d->layout.bottom);
  free(d->to_room);
  free(d->x_room);
}

vk_status vk_graph_svg(const vk_graph *g, bool full, FILE *out, vk_err *err)
{
  size_t n_node = (size_t)g->n_node + 1, n_value = (size_t)g->n_value + 1;
  size_t n_box = n_node + n_value + (size_t)g->n_output, n_use = (size_t)g->n_output + 1;
  for (int i = 0; i < g->n_node; i++)
    n_use += (size_t)g->node[i].n_in;
  drawing d = {.g = g, .out = out, .full = full};
  d.part = calloc(n_node, sizeof *d.part);
  d.part_of = calloc(n_node, sizeof *d.part_of);
  d.is_back = calloc(n_node, sizeof *d.is_back);
  d.input = calloc(n_value, sizeof *d.input);
  d.output = calloc((size_t)g->n_output + 1, sizeof *d.output);
  d.net_value = calloc(n_value, sizeof *d.net_value);
  d.layout.box = calloc(n_box, sizeof *d.layout.box);
  d.layout.net = calloc(n_value, sizeof *d.layout.net);
  d.net_n = calloc(n_value, sizeof *d.net_n);
  d.to_room = calloc(n_use, sizeof *d.to_room);
  d.x_room = calloc(n_use + n_value * n_box, sizeof *d.x_room);
  vk_status st = VK_OK;
  if (!d.part || !d.part_of || !d.is_back || !d.input || !d.output || !d.net_value ||
      !d.layout.box || !d.layout.net || !d.to_room || !d.x_room)
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory for a drawing", g->name);
  if (st == VK_OK)
    st = make_layout(&d, err);
  if (st == VK_OK)
    draw(&d);
  drawing_fini(&d);
  return st;
}
