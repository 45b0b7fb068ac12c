/* doc_man.c - man pages and JSON made from the tables. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/doc.h"
#include "core/version.h"

enum { TEXT_MAX = 512, LINE = 76 };

/* Prints n bytes of text as roff input: nothing in it is a request or an escape. */
static void put_n(FILE *out, const char *text, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    bool is_line_start = i == 0 || text[i - 1] == '\n';
    if (is_line_start && (text[i] == '.' || text[i] == '\''))
      fputs("\\&", out);
    if (text[i] == '\\')
      fputs("\\e", out);
    else if (text[i] == '-')
      fputs("\\-", out);
    else if (text[i] == '\'')
      fputs("\\(aq", out);
    else if (text[i] == '`')
      fputs("\\(ga", out);
    else if (text[i] == '^')
      fputs("\\(ha", out);
    else if (text[i] == '~')
      fputs("\\(ti", out);
    else
      fputc(text[i], out);
  }
}

static void put(FILE *out, const char *text)
{
  put_n(out, text, strlen(text));
}

/* Prints the words of n bytes of text as input lines of at most 80 characters. */
static void put_filled(FILE *out, const char *text, size_t n)
{
  size_t at = 0;
  for (size_t i = 0; i < n;) {
    size_t word = 0;
    while (i < n && isspace((unsigned char)text[i]))
      i++;
    while (i + word < n && !isspace((unsigned char)text[i + word]))
      word++;
    if (!word)
      break;
    if (at && at + word > LINE)
      at = 0, fputc('\n', out);
    else if (at)
      fputc(' ', out);
    put_n(out, text + i, word);
    for (size_t k = 0; k < word; k++) /* escapes are longer than what they stand for */
      at += strchr("-'`^~\\", text[i + k]) ? 4 : 1;
    at++;
    i += word;
  }
  fputc('\n', out);
}

/* As print_prose of doc.c: paragraphs are filled, lines that begin with a space are kept. */
static void put_prose(FILE *out, const char *text)
{
  for (bool is_first = true; *text; is_first = false) {
    size_t n = 0;
    text += strspn(text, "\n");
    if (!is_first)
      fputs(".PP\n", out);
    if (*text == ' ') {
      fputs(".nf\n", out);
      for (; *text == ' '; text += n + (text[n] == '\n')) {
        n = strcspn(text, "\n");
        put_n(out, text, n);
        fputc('\n', out);
      }
      fputs(".fi\n", out);
      continue;
    }
    do {
      n += strcspn(text + n, "\n");
      n += text[n] == '\n';
    } while (text[n] && text[n] != '\n' && text[n] != ' ');
    put_filled(out, text, n);
    text += n;
  }
}

static void put_help_line(FILE *out, const vk_doc_group *group, const vk_opt *opt)
{
  char notes[TEXT_MAX], text[2 * TEXT_MAX];
  vk_doc_option_notes(group, opt, notes, sizeof notes);
  int n = snprintf(text, sizeof text, "%s%s%s%s", opt->help, *notes ? " (" : "", notes,
                   *notes ? ")" : "");
  put_filled(out, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

static void put_keys(FILE *out, const vk_cmd *cmd)
{
  vk_doc_group group[VK_DOC_KEY_GROUPS_MAX];
  int n = vk_doc_key_groups(cmd, group);
  if (n)
    fputs(".SH KEYS OF A CONFIGURATION\n", out);
  for (int i = 0; i < n; i++) {
    fputs(".SS ", out);
    put(out, group[i].title);
    fputc('\n', out);
    for (const vk_opt *opt = group[i].opts; opt->kind != VK_OPT_KIND_END; opt++) {
      fputs(".TP\n\\fB", out);
      put(out, opt->name);
      fputs("\\fR\n", out);
      put_help_line(out, &group[i], opt);
    }
  }
}

static void put_options(FILE *out, const vk_doc_group *group)
{
  for (const vk_opt *opt = group->opts; opt->kind != VK_OPT_KIND_END; opt++) {
    fputs(".TP\n", out);
    if (opt->short_name)
      fprintf(out, "\\fB\\-%c\\fR, ", opt->short_name);
    fputs("\\fB\\-\\-", out);
    put(out, opt->name);
    fputs("\\fR", out);
    if (opt->metavar) {
      fputs(" \\fI", out);
      put(out, opt->metavar);
      fprintf(out, "\\fR%s", opt->kind == VK_OPT_KIND_LIST ? " ..." : "");
    }
    fputc('\n', out);
    put_help_line(out, group, opt);
  }
}

static void put_examples(FILE *out, const char *examples)
{
  fputs(".SH EXAMPLES\n.nf\n", out);
  while (*examples) {
    examples += strspn(examples, " ");
    size_t n = strcspn(examples, "\n");
    put_n(out, examples, n);
    fputc('\n', out);
    examples += n + (examples[n] == '\n');
  }
  fputs(".fi\n", out);
}

static void put_exit_status(FILE *out)
{
  fputs(".SH EXIT STATUS\n"
        ".TP\n0\ndone\n"
        ".TP\n1\nfailed; one sentence on standard error says what, where and what was expected\n"
        ".TP\n2\nusage: an unknown command, option, suite, task, policy, protocol or value\n"
        ".TP\n130, 143\nstopped by Ctrl\\-C or SIGTERM, after what was done had been saved\n"
        ".TP\n141\nwhoever read the results went away before the last of them, as head(1) does\n",
        out);
}

static void put_files(FILE *out)
{
  fputs(".SH FILES\n"
        ".TP\n\\fI$XDG_DATA_HOME/vlakit/catalog.db\\fR\n"
        "the catalog of runs, an SQLite database\n"
        "(\\fI\\(ti/.local/share\\fR when XDG_DATA_HOME is not set)\n"
        ".TP\n\\fI$XDG_CACHE_HOME/vlakit/\\fR\n"
        "scene packs that were imported, and compiled models, which may be deleted at\n"
        "any time (\\fI\\(ti/.cache\\fR when XDG_CACHE_HOME is not set)\n",
        out);
}

static void put_see_also(FILE *out, const vk_cmd *self)
{
  fputs(".SH SEE ALSO\n", out);
  if (self)
    fputs(".BR vlakit (1)", out);
  for (int i = 0; vk_cmds[i]; i++) {
    if (vk_cmds[i] == self)
      continue;
    if (self || i)
      fputs(",\n", out);
    fprintf(out, ".BR vlakit\\-%s (1)", vk_cmds[i]->name);
  }
  fputc('\n', out);
}

static void put_overview(FILE *out)
{
  fprintf(out, ".TH VLAKIT 1 \"%s\" \"vlakit %s\" \"vlakit manual\"\n", vk_version_date(),
          vk_version());
  fputs(".SH NAME\nvlakit \\- robot policies on simulated tasks, scored\n"
        ".SH SYNOPSIS\n.B vlakit\n.I COMMAND\n[\\fIoptions\\fR] [\\fIarguments\\fR]\n.br\n"
        ".B vlakit\n\\fB\\-\\-help\\fR | \\fB\\-\\-version\\fR [\\fB\\-\\-json\\fR]\n"
        ".SH DESCRIPTION\n"
        "Runs the tasks of the LIBERO robot benchmark on the MuJoCo physics library and\n"
        "scores policies on them.\n"
        "Results go to standard output, as text or with \\fB\\-\\-json\\fR as one JSON\n"
        "object; progress and errors go to standard error.\n"
        "Every run is kept in a catalog.\n"
        "Pages of commands list the common options that they read; every command takes\n"
        "all of them.\n"
        ".SH COMMANDS\n",
        out);
  for (const vk_cmd *const *cmd = vk_cmds; *cmd; cmd++) {
    fputs(".TP\n\\fBvlakit\\-", out);
    put(out, (*cmd)->name);
    fputs("\\fR(1)\n", out);
    put(out, (*cmd)->summary);
    fputc('\n', out);
  }
}

void vk_doc_man(FILE *out, const vk_cmd *cmd)
{
  vk_doc_group group[VK_DOC_GROUPS_MAX];
  int n_group = vk_doc_groups(cmd, group);
  if (!cmd) {
    put_overview(out);
  } else {
    fputs(".TH VLAKIT\\-", out);
    for (const char *c = cmd->name; *c; c++)
      fputc(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c, out);
    fprintf(out, " 1 \"%s\" \"vlakit %s\" \"vlakit manual\"\n", vk_version_date(), vk_version());
    fputs(".SH NAME\nvlakit\\-", out);
    put(out, cmd->name);
    fputs(" \\-\n", out);
    put_filled(out, cmd->summary, strlen(cmd->summary));
    fputs(".SH SYNOPSIS\n\\fBvlakit ", out);
    put(out, cmd->name);
    fputs("\\fR\n", out);
    put_filled(out, cmd->synopsis, strlen(cmd->synopsis));
    fputs(".SH DESCRIPTION\n", out);
    put_prose(out, cmd->description);
    char *more = cmd->more ? cmd->more() : NULL;
    if (more) {
      fputs(".PP\n", out);
      put_prose(out, more);
      free(more);
    }
  }
  fputs(".SH OPTIONS\n", out);
  for (int i = 0; i < n_group; i++) {
    if (strcmp(group[i].title, "Options") != 0) {
      fputs(".SS ", out);
      put(out, group[i].title);
      fputc('\n', out);
    }
    put_options(out, &group[i]);
  }
  put_keys(out, cmd);
  if (cmd && cmd->examples && *cmd->examples)
    put_examples(out, cmd->examples);
  put_exit_status(out);
  put_files(out);
  put_see_also(out, cmd);
}

static cJSON *option_json(const vk_doc_group *group, const vk_opt *opt)
{
  static const char *const kind[] = {"", "flag", "integer", "number", "text", "list"};
  char text[TEXT_MAX];
  cJSON *all = cJSON_CreateObject();
  cJSON_AddStringToObject(all, "name", opt->name);
  if (opt->short_name)
    cJSON_AddStringToObject(all, "short", (const char[]){opt->short_name, '\0'});
  cJSON_AddStringToObject(all, "kind", kind[opt->kind]);
  if (opt->metavar)
    cJSON_AddStringToObject(all, "metavar", opt->metavar);
  if (opt->kind == VK_OPT_KIND_I64 || opt->kind == VK_OPT_KIND_F64) {
    vk_opt_format_range(opt, text, sizeof text);
    cJSON_AddStringToObject(all, "range", text);
  }
  vk_doc_option_notes(group, opt, text, sizeof text);
  cJSON_AddStringToObject(all, "notes", text);
  cJSON_AddStringToObject(all, "help", opt->help);
  return all;
}

cJSON *vk_doc_keys_json(const vk_cmd *cmd)
{
  vk_doc_group group[VK_DOC_KEY_GROUPS_MAX];
  int n = vk_doc_key_groups(cmd, group);
  cJSON *all = cJSON_CreateArray();
  for (int i = 0; i < n; i++)
    for (const vk_opt *opt = group[i].opts; opt->kind != VK_OPT_KIND_END; opt++) {
      cJSON *one = option_json(&group[i], opt);
      cJSON_AddStringToObject(one, "section", group[i].title);
      cJSON_AddItemToArray(all, one);
    }
  return all;
}

cJSON *vk_doc_json(const vk_cmd *cmd)
{
  vk_doc_group group[VK_DOC_GROUPS_MAX];
  int n_group = vk_doc_groups(cmd, group);
  cJSON *all = cJSON_CreateObject();
  if (cmd) {
    cJSON_AddStringToObject(all, "command", cmd->name);
    cJSON_AddStringToObject(all, "summary", cmd->summary);
    cJSON_AddStringToObject(all, "synopsis", cmd->synopsis);
  } else {
    cJSON *commands = cJSON_AddArrayToObject(all, "commands");
    for (const vk_cmd *const *c = vk_cmds; *c; c++) {
      cJSON *one = cJSON_CreateObject();
      cJSON_AddStringToObject(one, "command", (*c)->name);
      cJSON_AddStringToObject(one, "summary", (*c)->summary);
      cJSON_AddItemToArray(commands, one);
    }
  }
  cJSON *options = cJSON_AddArrayToObject(all, "options");
  for (int i = 0; i < n_group; i++)
    for (const vk_opt *opt = group[i].opts; opt->kind != VK_OPT_KIND_END; opt++)
      cJSON_AddItemToArray(options, option_json(&group[i], opt));
  if (cmd && cmd->keys)
    cJSON_AddItemToObject(all, "keys", vk_doc_keys_json(cmd));
  return all;
}
