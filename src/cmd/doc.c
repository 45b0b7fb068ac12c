#include "cmd/doc.h"

#include <ctype.h>
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
static void default_text(const vk_opt *opt, const void *args, char *out, size_t size)
{
  const char *member = (const char *)args + opt->offset;
  const char *unit = opt->unit ? opt->unit : "", *gap = opt->unit ? " " : "";
  bool is_given_known = opt->given_offset != VK_OPT_NO_GIVEN; /* the help line names it */
  out[0] = '\0';
  if (opt->kind == VK_OPT_KIND_I64 && !(is_given_known && *(const int64_t *)member == 0))
    snprintf(out, size, "%lld%s%s", (long long)*(const int64_t *)member, gap, unit);
  else if (opt->kind == VK_OPT_KIND_F64)
    snprintf(out, size, "%g%s%s", *(const double *)member, gap, unit);
  else if (opt->kind == VK_OPT_KIND_STR && *(const char *const *)member)
    snprintf(out, size, "%s", *(const char *const *)member);
}

void vk_doc_option_notes(const vk_opt *opt, const void *args, char *out, size_t size)
{
  char value[TEXT_MAX], choices[TEXT_MAX] = "";
  default_text(opt, args, value, sizeof value);
  for (int i = 0; opt->choices && opt->choices[i]; i++) {
    size_t at = strlen(choices);
    snprintf(choices + at, sizeof choices - at, "%s%s", i ? ", " : "", opt->choices[i]);
  }
  snprintf(out, size, "%s%s%s%s", choices, *choices && *value ? "; " : "", *value ? "default " : "",
           value);
}

static void print_options(FILE *out, const vk_opt *opts, const void *args)
{
  for (const vk_opt *opt = opts; opt && opt->kind != VK_OPT_KIND_END; opt++) {
    char text[2 * TEXT_MAX], notes[TEXT_MAX];
    int at = opt->short_name ? fprintf(out, "  -%c, --%s", opt->short_name, opt->name)
                             : fprintf(out, "  --%s", opt->name);
    if (opt->metavar)
      at += fprintf(out, " %s%s", opt->metavar, opt->kind == VK_OPT_KIND_LIST ? "..." : "");
    if (at + 2 > COLUMN) {
      fputc('\n', out);
      at = 0;
    }
    vk_doc_option_notes(opt, args, notes, sizeof notes);
    snprintf(text, sizeof text, "%s%s%s%s", opt->help, *notes ? " (" : "", notes,
             *notes ? ")" : "");
    print_wrapped(out, text, strlen(text), COLUMN, at);
  }
}

void vk_doc_help(FILE *out, const vk_cmd *cmd)
{
  char usage[TEXT_MAX];
  snprintf(usage, sizeof usage, "vlakit %s %s", cmd->name, cmd->synopsis);
  print_wrapped(out, usage, strlen(usage), 7, fprintf(out, "Usage: "));
  fputc('\n', out);
  print_prose(out, cmd->description);
  if (cmd->opts && cmd->opts->kind != VK_OPT_KIND_END) {
    fprintf(out, "\nOptions:\n");
    print_options(out, cmd->opts, cmd->args_default);
  }
  fprintf(out, "\nCommon options:\n");
  print_options(out, vk_common_opts, &vk_common_defaults);
  if (cmd->flags & VK_CMD_LONG)
    print_options(out, vk_long_opts, &vk_common_defaults);
  if (cmd->examples && *cmd->examples)
    fprintf(out, "\nExamples:\n%s", cmd->examples);
}

void vk_doc_overview(FILE *out)
{
  fprintf(out, "vlakit %s - robot policies on simulated tasks, scored\n\n", vk_version());
  fprintf(out, "Usage: vlakit COMMAND [options] [arguments]\n\nCommands:\n");
  for (const vk_cmd *const *cmd = vk_cmds; *cmd; cmd++) {
    int at = fprintf(out, "  %-14s", (*cmd)->name);
    print_wrapped(out, (*cmd)->summary, strlen((*cmd)->summary), 16, at);
  }
  fprintf(out, "\nOptions:\n");
  print_options(out, vk_top_opts, &(vk_top_args){.help = false});
  fprintf(out, "\nvlakit help COMMAND shows a command's options.\n");
}
