#include "cmd/doc.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/version.h"

enum { WIDTH = 80, COLUMN = 24, TEXT_MAX = 512 };

/* Prints words of text (up to its end or n bytes) between columns `indent` and WIDTH, the cursor
 * being at column `at`; ends the line. */
static void print_wrapped(FILE *out, const char *text, size_t n, int indent, int at)
{
  const char *end = text + n;
  bool is_first = true;
  while (text < end) {
    size_t gap = 0, word = 0;
    while (text + gap < end && isspace((unsigned char)text[gap]))
      gap++;
    text += gap;
    while (text + word < end && !isspace((unsigned char)text[word]))
      word++;
    if (!word)
      break;
    if (!is_first && at + 1 + (int)word > WIDTH) {
      fputc('\n', out);
      at = 0;
      is_first = true;
    }
    if (is_first && at < indent) {
      fprintf(out, "%*s", indent - at, "");
      at = indent;
    }
    at += fprintf(out, "%s%.*s", is_first ? "" : " ", (int)word, text);
    is_first = false;
    text += word;
  }
  fputc('\n', out);
}

/* Paragraphs are filled, lines that begin with a space are kept. */
static void print_prose(FILE *out, const char *text)
{
  while (*text) {
    size_t n = 0;
    if (*text == ' ' || *text == '\n') {
      n = strcspn(text, "\n");
      fprintf(out, "%.*s\n", (int)n, text);
    } else {
      /* a paragraph ends before an empty line or a kept one */
      do {
        n += strcspn(text + n, "\n");
        n += text[n] == '\n';
      } while (text[n] && text[n] != '\n' && text[n] != ' ');
      print_wrapped(out, text, n, 0, 0);
      n -= text[n - 1] == '\n';
    }
    text += n + (text[n] == '\n');
  }
}

/* Default of an option as text; empty when there is none worth showing. */
static void default_text(const vk_opt *opt, const void *defaults, char *out, size_t size)
{
  const char *member = (const char *)defaults + opt->offset;
  const char *unit = opt->unit ? opt->unit : "", *gap = opt->unit ? " " : "";
  bool is_given_known = opt->given_offset != VK_OPT_NO_GIVEN; /* the help line names it */
  out[0] = '\0';
  if (opt->kind == VK_OPT_KIND_I64 && !(is_given_known && *(const int64_t *)member == 0))
    snprintf(out, size, "%lld%s%s", (long long)*(const int64_t *)member, gap, unit);
  else if (opt->kind == VK_OPT_KIND_FLAG && *(const bool *)member)
    snprintf(out, size, "true");
  else if (opt->kind == VK_OPT_KIND_F64)
    snprintf(out, size, "%g%s%s", *(const double *)member, gap, unit);
  else if (opt->kind == VK_OPT_KIND_STR && *(const char *const *)member)
    snprintf(out, size, "%s", *(const char *const *)member);
}

void vk_doc_option_notes(const vk_doc_group *group, const vk_opt *opt, char *out, size_t size)
{
  char value[TEXT_MAX], choices[TEXT_MAX] = "";
  const char *only = group->only ? group->only(opt) : NULL;
  default_text(opt, group->defaults, value, sizeof value);
  for (int i = 0; opt->choices && opt->choices[i]; i++) {
    size_t at = strlen(choices);
    snprintf(choices + at, sizeof choices - at, "%s%s", i ? ", " : "", opt->choices[i]);
  }
  if (strstr(opt->help, "default")) /* it is no constant, or means another */
    value[0] = '\0';
  snprintf(out, size, "%s%s%s%s%s%s%s", choices, *choices && *value ? "; " : "",
           *value ? "default " : "", value, only && (*choices || *value) ? "; " : "",
           only ? "only " : "", only ? only : "");
}

int vk_doc_groups(const vk_cmd *cmd, vk_doc_group out[VK_DOC_GROUPS_MAX])
{
  static const vk_top_args top_defaults = {.help = false};
  int n = 0;
  if (!cmd) {
    out[n++] = (vk_doc_group){"Options", vk_top_opts, &top_defaults, NULL};
    return n;
  }
  if (cmd->opts && cmd->opts->kind != VK_OPT_KIND_END)
    out[n++] = (vk_doc_group){"Options", cmd->opts, cmd->args_default, NULL};
  if (cmd->flags & VK_CMD_LONG)
    out[n++] = (vk_doc_group){"Options of long commands", vk_long_opts, &vk_common_defaults, NULL};
  const vk_opt *common = cmd->common ? cmd->common : vk_common_opts;
  out[n++] = (vk_doc_group){"Common options", common, &vk_common_defaults, NULL};
  return n;
}

int vk_doc_key_groups(const vk_cmd *cmd, vk_doc_group out[VK_DOC_KEY_GROUPS_MAX])
{
  return cmd && cmd->keys ? cmd->keys(out) : 0;
}

/* The help line of an option, the cursor being at column `at`. */
static void print_help_line(FILE *out, const vk_doc_group *group, const vk_opt *opt, int at)
{
  char text[2 * TEXT_MAX], notes[TEXT_MAX];
  if (at + 2 > COLUMN) {
    fputc('\n', out);
    at = 0;
  }
  vk_doc_option_notes(group, opt, notes, sizeof notes);
  snprintf(text, sizeof text, "%s%s%s%s", opt->help, *notes ? " (" : "", notes, *notes ? ")" : "");
  print_wrapped(out, text, strlen(text), COLUMN, at);
}

static void print_options(FILE *out, const vk_doc_group *group)
{
  fprintf(out, "\n%s:\n", group->title);
  for (const vk_opt *opt = group->opts; opt->kind != VK_OPT_KIND_END; opt++) {
    int at = opt->short_name ? fprintf(out, "  -%c, --%s", opt->short_name, opt->name)
                             : fprintf(out, "  --%s", opt->name);
    if (opt->metavar)
      at += fprintf(out, " %s%s", opt->metavar, opt->kind == VK_OPT_KIND_LIST ? "..." : "");
    print_help_line(out, group, opt, at);
  }
}

void vk_doc_keys(FILE *out, const vk_cmd *cmd)
{
  vk_doc_group group[VK_DOC_KEY_GROUPS_MAX];
  int n = vk_doc_key_groups(cmd, group);
  for (int i = 0; i < n; i++) {
    fprintf(out, "%sKeys: %s\n", i ? "\n" : "", group[i].title);
    for (const vk_opt *opt = group[i].opts; opt->kind != VK_OPT_KIND_END; opt++)
      print_help_line(out, &group[i], opt, fprintf(out, "  %s", opt->name));
  }
}

static void print_all_options(FILE *out, const vk_cmd *cmd)
{
  vk_doc_group group[VK_DOC_GROUPS_MAX];
  int n = vk_doc_groups(cmd, group);
  for (int i = 0; i < n; i++)
    print_options(out, &group[i]);
}

void vk_doc_help(FILE *out, const vk_cmd *cmd)
{
  char usage[TEXT_MAX];
  snprintf(usage, sizeof usage, "vlakit %s %s", cmd->name, cmd->synopsis);
  print_wrapped(out, usage, strlen(usage), 7, fprintf(out, "Usage: "));
  fputc('\n', out);
  print_prose(out, cmd->description);
  char *more = cmd->more ? cmd->more() : NULL;
  if (more) {
    fputc('\n', out);
    print_prose(out, more);
    free(more);
  }
  print_all_options(out, cmd);
  if (cmd->keys) {
    fputc('\n', out);
    vk_doc_keys(out, cmd);
  }
  if (cmd->examples && *cmd->examples)
    fprintf(out, "\nExamples:\n");
  for (const char *line = cmd->examples; line && *line;) {
    line += strspn(line, " ");
    size_t n = strcspn(line, "\n");
    fprintf(out, "  %.*s\n", (int)n, line);
    line += n + (line[n] == '\n');
  }
}

void vk_doc_overview(FILE *out)
{
  fprintf(out, "vlakit %s - robot policies on simulated tasks, scored\n\n", vk_version());
  fprintf(out, "Usage: vlakit COMMAND [options] [arguments]\n\nCommands:\n");
  for (const vk_cmd *const *cmd = vk_cmds; *cmd; cmd++) {
    int at = fprintf(out, "  %-14s", (*cmd)->name);
    print_wrapped(out, (*cmd)->summary, strlen((*cmd)->summary), 16, at);
  }
  print_all_options(out, NULL);
  fprintf(out, "\nvlakit help COMMAND shows a command's options.\n");
}
