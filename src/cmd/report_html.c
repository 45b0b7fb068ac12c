#include "cmd/report_html.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/report_html_parts.h"
#include "core/fs.h"
#include "core/progress.h"
#include "core/stats.h"
#include "rl/film.h"

enum { PICTURE_BYTES_MAX = 4 << 20 };

typedef struct page {
  FILE *out;
  const vk_report *r;
  const vk_pack *pack;
  const char *dir, *repeat;
  const char **instruction; /* [r->n_task] */
} page;

/* ---- text ---- */

/* As text or as the value of an attribute in double quotes. */
static void put_text(FILE *out, const char *text)
{
  for (; *text; text++) {
    const char *as = *text == '&'                 ? "&amp;"
                     : *text == '<'               ? "&lt;"
                     : *text == '>'               ? "&gt;"
                     : *text == '"'               ? "&quot;"
                     : *text == '\''              ? "&#39;"
                     : (unsigned char)*text < ' ' ? " "
                                                  : NULL;
    as ? fputs(as, out) : putc(*text, out);
  }
}

/* With places where a comma list may break into lines. */
static void put_list(FILE *out, const char *text)
{
  char part[2] = "";
  for (; *text; text++) {
    part[0] = *text;
    put_text(out, part);
    if (*text == ',')
      fputs("<wbr>", out);
  }
}

/* "2025-03-01T12:00:00Z" as "2025-03-01 12:00 UTC". */
static void put_time(FILE *out, const char *utc)
{
  char text[40];
  if (strlen(utc) == 20 && utc[10] == 'T')
    snprintf(text, sizeof text, "%.10s %.5s UTC", utc, utc + 11);
  else
    snprintf(text, sizeof text, "%.30s", utc);
  put_text(out, text);
}

static void put_base64(FILE *out, const char *bytes, size_t n)
{
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const unsigned char *b = (const unsigned char *)bytes;
  for (size_t i = 0; i < n; i += 3) {
    uint32_t v = (uint32_t)b[i] << 16 | (i + 1 < n ? (uint32_t)b[i + 1] << 8 : 0) |
                 (i + 2 < n ? b[i + 2] : 0);
    putc(digits[v >> 18], out);
    putc(digits[v >> 12 & 63], out);
    putc(i + 1 < n ? digits[v >> 6 & 63] : '=', out);
    putc(i + 2 < n ? digits[v & 63] : '=', out);
  }
}

/* ---- files of episodes ---- */

static const char *outcome_of(const vk_report_episode *e)
{
  return vk_film_outcome(e->error != NULL, e->success);
}

/* Whether the file is in the folder; name: below the folder. */
static bool find_file(const page *p, vk_film_kind kind, const vk_report_episode *e,
                      char name[VK_FS_PATH_MAX])
{
  char path[VK_FS_PATH_MAX];
  return vk_film_path(name, kind, e->task, e->row, outcome_of(e), NULL) == VK_OK &&
         vk_fs_join(path, sizeof path, p->dir, name, NULL) == VK_OK && vk_fs_is_file(path);
}

/* ' NAME="data:image/png;base64,..."'; false: there is no picture. */
static bool put_picture(const page *p, const vk_report_episode *e, const char *attribute)
{
  char name[VK_FS_PATH_MAX], path[VK_FS_PATH_MAX], *bytes;
  size_t n;
  if (!find_file(p, VK_FILM_PNG, e, name) ||
      vk_fs_join(path, sizeof path, p->dir, name, NULL) != VK_OK ||
      vk_fs_read(&bytes, &n, path, PICTURE_BYTES_MAX, NULL) != VK_OK)
    return false;
  fprintf(p->out, " %s=\"data:image/png;base64,", attribute);
  put_base64(p->out, bytes, n);
  putc('"', p->out);
  free(bytes);
  return true;
}

/* ---- rates ---- */

static void put_bar(FILE *out, double rate, double lo, double hi)
{
  fprintf(out,
          "<span class=\"bar\"><i style=\"left:%.1f%%;width:%.1f%%\"></i>"
          "<b style=\"left:%.1f%%\"></b></span>",
          100 * lo, 100 * (hi - lo), 100 * rate);
}

static void put_rate(FILE *out, const vk_report_sum *s, const char *element)
{
  double lo, hi;
  vk_stats_wilson(s->n_success, s->n, VK_STATS_Z95, &lo, &hi);
  if (!s->n) {
    fprintf(out, "<%s class=\"rate\">&ndash;</%s><%s class=\"ci\">no scored episode</%s>", element,
            element, element, element);
    fprintf(out, "<%s class=\"grow\"></%s>", element, element);
    return;
  }
  double rate = (double)s->n_success / s->n;
  fprintf(out, "<%s class=\"rate\">%.1f&nbsp;%%</%s><%s class=\"ci\">%.1f&ndash;%.1f&nbsp;%%</%s>",
          element, 100 * rate, element, element, 100 * lo, 100 * hi, element);
  fprintf(out, "<%s class=\"grow\">", element);
  put_bar(out, rate, lo, hi);
  fprintf(out, "</%s>", element);
}

static void put_errors_count(FILE *out, int n)
{
  if (n)
    fprintf(out, " <span class=\"warn\">%d error%s</span>", n, vk_plural(n));
}

/* ---- head ---- */

static void put_notes(const page *p)
{
  const vk_report *r = p->r;
  const char *state = vk_report_text(r, "state");
  int n_planned = (int)vk_report_number(r, "n_planned");
  if (strcmp(state, "done") != 0) {
    fprintf(p->out,
            "<p class=\"note\">This run is not complete (%s): %d of %d episode%s. Go on with "
            "<code>vlakit eval --resume ",
            strcmp(state, "running") == 0 ? "interrupted" : state, r->n_episode, n_planned,
            vk_plural(n_planned));
    put_text(p->out, vk_report_text(r, "run"));
    fputs("</code></p>\n", p->out);
  }
  char note[VK_REPORT_NOTE_SIZE];
  for (int i = 0; vk_report_note(r, i, note); i++) {
    fprintf(p->out, "<p class=\"note\">%c", toupper((unsigned char)note[0]));
    put_text(p->out, note + 1);
    fputs(".</p>\n", p->out);
  }
}

static void put_header(const page *p)
{
  const vk_report *r = p->r;
  FILE *out = p->out;
  fputs("<header><p class=\"dim\">vlakit eval &middot; run ", out);
  put_text(out, vk_report_text(r, "run"));
  fputs(" &middot; ", out);
  put_time(out, vk_report_text(r, "start"));
  fputs("</p>\n<h1>", out);
  put_text(out, vk_report_text(r, "policy"));
  fputs(" <span>on</span> ", out);
  put_list(out, vk_report_text(r, "suite"));
  char trials[VK_REPORT_NOTE_SIZE];
  put_text(out, vk_report_trials(cJSON_GetObjectItemCaseSensitive(r->head, "config"), trials));
  fputs("</h1>\n<div class=\"big\">", out);
  put_rate(out, &r->all, "span");
  fputs("</div>\n<p class=\"dim\">", out);
  fprintf(out, "%d of %d scored episode%s succeeded; 95&nbsp;%% Wilson interval.", r->all.n_success,
          r->all.n, vk_plural(r->all.n));
  put_errors_count(out, r->all.n_error);
  fputs("</p>\n", out);
  put_notes(p);
  fputs("</header>\n", out);
}

static void put_suites(const page *p)
{
  FILE *out = p->out;
  fputs("<section><h2>Suites</h2>\n<div class=\"scroll\"><table>\n<thead><tr><th>suite</th>"
        "<th class=\"num\">episodes</th><th class=\"num wide\">successes</th><th "
        "class=\"rate\">rate</th>"
        "<th class=\"ci\">95&nbsp;% interval</th><th class=\"grow\"></th></tr></thead>\n<tbody>\n",
        out);
  for (int i = 0; i < p->r->n_suite + (p->r->n_suite > 1); i++) {
    bool is_all = i == p->r->n_suite;
    const vk_report_sum *s = is_all ? &p->r->all : &p->r->suite[i];
    fprintf(out, "<tr%s><td>", is_all ? " class=\"all\"" : "");
    put_text(out, s->name);
    put_errors_count(out, s->n_error);
    fprintf(out, "</td><td class=\"num\">%d</td><td class=\"num wide\">%d</td>", s->n,
            s->n_success);
    put_rate(out, s, "td");
    fputs("</tr>\n", out);
  }
  fputs("</tbody></table></div></section>\n", out);
}

/* ---- failures ---- */

/* The command that repeats an episode, with a film of it. */
static void put_command(const page *p, const vk_report_episode *e)
{
  FILE *out = p->out;
  char folder[VK_PACK_TASK_ID_SIZE];
  snprintf(folder, sizeof folder, "%s", e->task);
  for (char *at = folder; *at; at++)
    *at = *at == '/' ? '-' : *at;
  put_text(out, p->repeat);
  fputs(" --suite ", out);
  put_text(out, e->task);
  fprintf(out, " --row %d --film all --out ", e->row);
  put_text(out, folder);
  fprintf(out, "-row%02d", e->row);
}

static void put_card(const page *p, const vk_report_episode *e)
{
  FILE *out = p->out;
  char film[VK_FS_PATH_MAX], frames[VK_FS_PATH_MAX];
  fputs("<figure>", out);
  if (find_file(p, VK_FILM_MP4, e, film)) {
    fputs("<video controls preload=\"none\" playsinline width=\"512\" height=\"332\" src=\"", out);
    put_text(out, film);
    putc('"', out);
    put_picture(p, e, "poster");
    fputs("></video>", out);
  } else if (find_file(p, VK_FILM_PNG, e, frames)) {
    fprintf(out, "<img alt=\"first and last step\" loading=\"lazy\" width=\"%d\" height=\"%d\"",
            2 * VK_FILM_FRAME_SIDE, VK_FILM_FRAME_SIDE);
    put_picture(p, e, "src");
    putc('>', out);
  }
  fputs("<figcaption><strong>", out);
  put_text(out, e->task);
  fprintf(out, "</strong> row %d <span class=\"%s\">%s after %d step%s</span><br>", e->row,
          e->error ? "warn" : "bad", outcome_of(e), e->steps, vk_plural(e->steps));
  put_text(out, p->instruction[e->i_task]);
  fputs("<details><summary>repeat it</summary><pre>", out);
  put_command(p, e);
  fputs("</pre></details></figcaption></figure>\n", out);
}

/* Chooses failures that can be shown, one of each task, then the second of each, and so on; marks
 * them in is_shown [n_episode]. Returns their number. */
static int choose_cards(const page *p, bool *is_shown)
{
  const vk_report *r = p->r;
  int n = 0;
  for (bool is_more = true; is_more && n < VK_REPORT_CARDS_MAX;) {
    is_more = false;
    int i_task_before = -1;
    for (int i = 0; i < r->n_episode && n < VK_REPORT_CARDS_MAX; i++) {
      const vk_report_episode *e = &r->episode[i];
      char name[VK_FS_PATH_MAX];
      if (e->i_task == i_task_before || is_shown[i] || (!e->error && e->success) ||
          !(find_file(p, VK_FILM_MP4, e, name) || find_file(p, VK_FILM_PNG, e, name)))
        continue;
      i_task_before = e->i_task;
      is_shown[i] = is_more = true;
      n++;
    }
  }
  return n;
}

static void put_failures(const page *p, bool *is_shown)
{
  const vk_report *r = p->r;
  FILE *out = p->out;
  int n_failure = r->all.n - r->all.n_success + r->all.n_error, n = choose_cards(p, is_shown);
  fprintf(out, "<section><h2>Failures <span class=\"dim\">%d", n_failure - r->all.n_error);
  if (r->all.n_error)
    fprintf(out, " and %d error%s", r->all.n_error, vk_plural(r->all.n_error));
  fputs("</span></h2>\n", out);
  if (!n_failure)
    fputs("<p class=\"dim\">There are none.</p>\n", out);
  else if (!n)
    fputs("<p class=\"dim\">No pictures were kept of them; they are among the tasks below.</p>\n",
          out);
  else if (n < n_failure)
    fprintf(out,
            "<p class=\"dim\">Shown are %d of %d, some of each task; all of them are among the "
            "tasks below. Pictures show the first and the last step.</p>\n",
            n, n_failure);
  else
    fputs("<p class=\"dim\">Pictures show the first and the last step.</p>\n", out);
  fputs("<div class=\"cards\">\n", out);
  for (int i = 0; i < r->n_episode; i++)
    if (is_shown[i])
      put_card(p, &r->episode[i]);
  fputs("</div></section>\n", out);
}

static void put_errors(const page *p)
{
  const vk_report *r = p->r;
  int n = 0;
  if (!r->all.n_error)
    return;
  fprintf(p->out,
          "<section><h2>Errors <span class=\"dim\">%d</span></h2>\n<p class=\"dim\">Episodes "
          "that could not be scored; they are not part of the rates.</p>\n<ul>\n",
          r->all.n_error);
  for (int i = 0; i < r->n_episode && n < VK_REPORT_ERRORS_MAX; i++)
    if (r->episode[i].error) {
      fputs("<li>", p->out);
      put_text(p->out, r->episode[i].error);
      fputs("</li>\n", p->out);
      n++;
    }
  fputs("</ul>\n", p->out);
  if (r->all.n_error > n)
    fprintf(p->out, "<p class=\"dim\">and %d more: see results.json</p>\n", r->all.n_error - n);
  fputs("</section>\n", p->out);
}

/* ---- tasks ---- */

static void put_square(const page *p, const vk_report_episode *e)
{
  char film[VK_FS_PATH_MAX];
  bool has_film = find_file(p, VK_FILM_MP4, e, film);
  fprintf(p->out, has_film ? "<a href=\"" : "<button type=\"button\"");
  if (has_film) {
    put_text(p->out, film);
    putc('"', p->out);
  }
  fprintf(p->out, " class=\"%c\" data-r=\"%d\" title=\"row %d: %s after %d step%s%s\"></%s>",
          outcome_of(e)[0], e->row, e->row, outcome_of(e), e->steps, vk_plural(e->steps),
          has_film ? ", film" : "", has_film ? "a" : "button");
}

static void put_tasks(const page *p)
{
  const vk_report *r = p->r;
  FILE *out = p->out;
  fputs(
      "<section><h2>Tasks</h2>\n<p class=\"dim\">A square is an episode, in the order of init "
      "rows: "
      "<i class=\"key s\"></i>&nbsp;success, <i class=\"key f\"></i>&nbsp;failure, "
      "<i class=\"key e\"></i>&nbsp;error. Choose one for its film and the command that repeats "
      "it.</p>\n<p class=\"tools\"><input type=\"search\" placeholder=\"filter tasks\" "
      "aria-label=\"filter tasks\"><button type=\"button\" data-sort=\"i\">by suite</button>"
      "<button type=\"button\" data-sort=\"rate\">worst first</button></p>\n<ol class=\"tasks\">\n",
      out);
  int at = 0;
  for (int i = 0; i < r->n_task; i++) {
    const vk_report_sum *s = &r->task[i];
    fprintf(out, "<li data-i=\"%d\" data-rate=\"%.4f\" data-task=\"", i,
            s->n ? (double)s->n_success / s->n : 2.0);
    put_text(out, s->name);
    fputs("\"><div class=\"line\"><span class=\"name\">", out);
    put_text(out, s->name);
    put_errors_count(out, s->n_error);
    fputs("</span>", out);
    put_rate(out, s, "span");
    fprintf(out, "<span class=\"num\">%d/%d</span></div><p>", s->n_success, s->n);
    put_text(out, p->instruction[i]);
    if (s->n)
      fprintf(out, " <span class=\"dim\">&middot; %.0f steps on average</span>",
              (double)s->steps / s->n);
    fputs("</p><div class=\"squares\">", out);
    for (; at < r->n_episode && r->episode[at].i_task == i; at++)
      put_square(p, &r->episode[at]);
    fputs("</div><div class=\"pick\" hidden></div></li>\n", out);
  }
  fputs("</ol></section>\n", out);
}

/* ---- the record ---- */

static void put_fact(FILE *out, const char *what, const char *value, const char *more)
{
  if (!value[0])
    return;
  fprintf(out, "<dt>%s</dt><dd>", what);
  put_text(out, value);
  if (more[0]) {
    fputs(" <span class=\"hash\">", out);
    put_text(out, more);
    fputs("</span>", out);
  }
  fputs("</dd>\n", out);
}

static void put_record(const page *p)
{
  const vk_report *r = p->r;
  FILE *out = p->out;
  char seed[40], threads[40], time[32];
  snprintf(seed, sizeof seed, "%.0f", vk_report_number(r, "seed"));
  snprintf(threads, sizeof threads, "%.0f", vk_report_number(r, "threads"));
  vk_progress_format_time(vk_report_number(r, "wall_s"), time, sizeof time);
  fputs("<section><h2>Record</h2>\n<dl>\n", out);
  put_fact(out, "run", vk_report_text(r, "run"), "");
  put_fact(out, "command", vk_report_text(r, "command_line"), "");
  put_fact(out, "policy", vk_report_text(r, "policy"), vk_report_text(r, "policy_hash"));
  put_fact(out, "protocol", vk_report_text(r, "protocol"), vk_report_text(r, "protocol_hash"));
  put_fact(out, "decoding", vk_report_text(r, "decoding"), "");
  put_fact(out, "rows", vk_report_text(r, "rows"), "");
  put_fact(out, "perturbed", vk_report_text(r, "perturb"), vk_report_text(r, "perturb_size"));
  put_fact(out, "seed", seed, "");
  put_fact(out, "pack", "SHA-256", vk_report_text(r, "pack_hash"));
  put_fact(out, "visuals", vk_report_text(r, "visuals"), vk_report_text(r, "visuals_hash"));
  put_fact(out, "machine", vk_report_text(r, "machine"), "");
  put_fact(out, "threads", threads, "");
  put_fact(out, "CPU path", vk_report_text(r, "isa"), "");
  put_fact(out, "vlakit", vk_report_text(r, "version"), "");
  put_fact(out, "MuJoCo", vk_report_text(r, "mujoco"), "");
  put_fact(out, "start", vk_report_text(r, "start"), "");
  put_fact(out, "end", vk_report_text(r, "end"), "");
  put_fact(out, "wall time", time, "");
  fputs(
      "</dl>\n<p class=\"dim\">All numbers of this page: <a href=\"results.json\">results.json</a>"
      "</p></section>\n",
      out);
}

/* ---- all of it ---- */

static void find_instructions(const page *p)
{
  char id[VK_PACK_TASK_ID_SIZE];
  for (int i = 0; i < p->r->n_task; i++)
    p->instruction[i] = "";
  for (size_t k = 0; k < p->pack->n_task; k++) {
    vk_pack_task_id(p->pack, &p->pack->task[k], id);
    for (int i = 0; i < p->r->n_task; i++)
      if (strcmp(id, p->r->task[i].name) == 0)
        p->instruction[i] = vk_pack_text(p->pack, p->pack->task[k].language);
  }
}

static void put_page(const page *p, bool *is_shown)
{
  FILE *out = p->out;
  fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n<title>",
        out);
  put_text(out, vk_report_text(p->r, "policy"));
  fputs(" on ", out);
  put_text(out, vk_report_text(p->r, "suite"));
  fputs("</title>\n<style>\n", out);
  for (int i = 0; vk_report_html_style[i]; i++)
    fputs(vk_report_html_style[i], out);
  fputs("</style></head>\n<body data-repeat=\"", out);
  put_text(out, p->repeat);
  fputs("\"><main>\n", out);
  put_header(p);
  put_suites(p);
  put_failures(p, is_shown);
  put_errors(p);
  put_tasks(p);
  put_record(p);
  fputs("</main>\n<script>\n", out);
  for (int i = 0; vk_report_html_script[i]; i++)
    fputs(vk_report_html_script[i], out);
  fputs("</script></body></html>\n", out);
}

vk_status vk_report_write_html(const vk_report *report, const vk_pack *pack, const char *dir,
                               const char *repeat, vk_err *err)
{
  page p = {.r = report, .pack = pack, .dir = dir, .repeat = repeat};
  char path[VK_FS_PATH_MAX];
  vk_fs_writer w = {0};
  vk_status st = vk_fs_join(path, sizeof path, dir, "report.html", err);
  p.instruction = calloc((size_t)report->n_task + 1, sizeof *p.instruction);
  bool *is_shown = calloc((size_t)report->n_episode + 1, sizeof *is_shown);
  if (st == VK_OK && (!p.instruction || !is_shown))
    st = vk_fail(err, VK_E_NOMEM, "no memory for a report of %d episodes", report->n_episode);
  if (st == VK_OK)
    st = vk_fs_writer_open(&w, path, err);
  if (st == VK_OK) {
    p.out = w.file;
    find_instructions(&p);
    put_page(&p, is_shown);
    st = vk_fs_writer_commit(&w, err);
  }
  free(p.instruction);
  free(is_shown);
  return st;
}
