/* cmd_completion.c - vlakit completion bash|zsh|fish: scripts made from the option tables. Words
 * that only the machine knows (suites, tasks) are asked from `vlakit completion --words`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/doc.h"
#include "core/catalog.h"
#include "core/json.h"
#include "nn/model.h"
#include "nn/pass.h"
#include "rl/policy.h"
#include "rl/policy_bundled.h"
#include "rl/protocol.h"
#include "rl/train_config.h"
#include "sim/pack.h"

typedef struct args {
  const char *words;
} args;

/* unfinished: runs that --resume goes on with. */
static const char *const word_kinds[] = {"policies", "protocols",  "runs", "suites",
                                         "tasks",    "unfinished", NULL};

static const vk_opt opts[] = {
    VK_OPT_CHOICE(args, "words", words, "KIND", word_kinds,
                  "print the words of a kind, one a line, as the scripts ask for them"),
    VK_OPT_END,
};

enum { WORDS_MAX = 4096 };

/* What may stand at a place: nothing known, fixed words, a kind of `--words`, or files. */
typedef enum slot_kind { SLOT_ANY, SLOT_WORDS, SLOT_DIR, SLOT_FILE, SLOT_KIND } slot_kind;
typedef struct slot {
  slot_kind kind;
  const char *ask;       /* KIND: which */
  char words[WORDS_MAX]; /* separated by blanks: all, or those besides files and the kind's */
} slot;

static void add_word(slot *s, const char *word, size_t n)
{
  size_t at = strlen(s->words);
  snprintf(s->words + at, sizeof s->words - at, "%s%.*s", at ? " " : "", (int)n, word);
}

static void add_names(slot *s, const char **names)
{
  for (int i = 0; names && names[i]; i++)
    add_word(s, names[i], strlen(names[i]));
  free(names);
}

static slot slot_of_option(const vk_opt *opt);

/* "lr=", and with its values where they are names: "method=sft method=dagger". */
static void add_key(slot *s, const vk_opt *key)
{
  const slot value = slot_of_option(key);
  const char *words = key->kind == VK_OPT_KIND_FLAG ? "true false" : value.words;
  char word[128];
  if (!words[0] || key->kind == VK_OPT_KIND_LIST)
    add_word(s, word, (size_t)snprintf(word, sizeof word, "%s=", key->name));
  else
    for (const char *name = words; *name; name += strcspn(name, " "), name += *name == ' ')
      add_word(
          s, word,
          (size_t)snprintf(word, sizeof word, "%s=%.*s", key->name, (int)strcspn(name, " "), name));
}

/* Words of metavars that this program knows by itself. */
static void add_models(slot *s)
{
  add_names(s, vk_model_names());
  s->kind = SLOT_FILE;
}

static void add_configs(slot *s)
{
  add_names(s, vk_train_config_names());
  s->kind = SLOT_FILE;
}

static void add_passes(slot *s)
{
  for (int i = 0; i < vk_pass_count(); i++)
    add_word(s, vk_passes[i]->name, strlen(vk_passes[i]->name));
}

static void add_keys(slot *s)
{
  for (const vk_train_section *section = vk_train_sections; section->title; section++)
    for (const vk_opt *key = section->keys; key->kind != VK_OPT_KIND_END; key++)
      add_key(s, key);
}

static void add_protocols(slot *s)
{
  for (const vk_protocol *protocol = vk_protocols; protocol->name; protocol++)
    add_word(s, protocol->name, strlen(protocol->name));
}

static void add_commands(slot *s)
{
  for (const vk_cmd *const *cmd = vk_cmds; *cmd; cmd++)
    add_word(s, (*cmd)->name, strlen((*cmd)->name));
}

/* What stands for a metavar: files, a kind of words to ask for, or words. */
static const struct {
  const char *metavar;
  slot_kind kind;
  const char *ask;
  void (*add)(slot *s);
} metavars[] = {
    {"CHECKPOINT", SLOT_FILE, NULL, NULL},
    {"COMMAND", SLOT_WORDS, NULL, add_commands},
    {"CONFIG", SLOT_FILE, NULL, add_configs},
    {"DIR", SLOT_DIR, NULL, NULL},
    {"FILE", SLOT_FILE, NULL, NULL},
    {"ID", SLOT_KIND, "runs", NULL},
    {"KEY=VALUE", SLOT_WORDS, NULL, add_keys},
    {"MODEL", SLOT_FILE, NULL, add_models},
    {"PACK", SLOT_FILE, NULL, NULL},
    {"PASS", SLOT_WORDS, NULL, add_passes},
    {"PATH", SLOT_FILE, NULL, NULL},
    {"POLICY", SLOT_KIND, "policies", NULL},
    {"PROTOCOL", SLOT_WORDS, NULL, add_protocols},
    {"RUN", SLOT_KIND, "unfinished", NULL},
    {"RUN_A", SLOT_KIND, "runs", NULL},
    {"RUN_B", SLOT_KIND, "runs", NULL},
    {"SUITE", SLOT_KIND, "suites", NULL},
    {"TASK", SLOT_KIND, "tasks", NULL},
};

static void add_metavar(slot *s, const char *part, size_t n)
{
  for (size_t i = 0; i < VK_COUNT(metavars); i++) {
    if (strlen(metavars[i].metavar) != n || strncmp(part, metavars[i].metavar, n) != 0)
      continue;
    s->kind = metavars[i].kind;
    s->ask = metavars[i].ask;
    if (metavars[i].add)
      metavars[i].add(s);
  }
}

/* Reads a metavar such as "FILE", "SUITE", "all|none|N", "stand-in|original|FILE". */
static slot slot_of_metavar(const char *metavar)
{
  slot s = {.kind = SLOT_ANY};
  for (const char *part = metavar; part && *part;) {
    size_t n = strcspn(part, "|");
    if (strcspn(part, "ABCDEFGHIJKLMNOPQRSTUVWXYZ.") >= n) {
      s.kind = s.kind == SLOT_ANY ? SLOT_WORDS : s.kind;
      add_word(&s, part, n);
    } else {
      add_metavar(&s, part, n);
    }
    part += n + (part[n] == '|');
  }
  return s;
}

static slot slot_of_option(const vk_opt *opt)
{
  slot s = {.kind = SLOT_ANY};
  if (!opt->choices)
    return slot_of_metavar(opt->metavar);
  s.kind = SLOT_WORDS;
  for (int i = 0; opt->choices[i]; i++)
    add_word(&s, opt->choices[i], strlen(opt->choices[i]));
  return s;
}

/* Adds what may stand there by b to a. */
static void merge_slots(slot *a, const slot *b)
{
  if (b->kind > a->kind) {
    a->kind = b->kind;
    a->ask = b->ask;
  }
  if (b->words[0])
    add_word(a, b->words, strlen(b->words));
}

/* What one way of a synopsis, up to end, lets stand first or (is_more) after that:
 * "info|check|convert PATH... [options]". What may be repeated is for all that follow. */
static slot slot_of_way(const char *way, const char *end, bool is_more)
{
  slot s = {.kind = SLOT_ANY};
  bool is_value = false;
  for (int i = 0; way < end && i < (is_more ? 2 : 1);) {
    way += strspn(way, " [");
    size_t n = strcspn(way, " ");
    char part[WORDS_MAX];
    snprintf(part, sizeof part, "%.*s", (int)n, way);
    bool is_repeated = strstr(part, "...") != NULL;
    part[strcspn(part, ".]")] = '\0';
    if (part[0] == '-') {
      is_value = strcspn(way, "]") >= n; /* "--suite S" and not "[--all]" */
    } else if (is_value || strcmp(part, "options") == 0 || strcmp(part, "|") == 0) {
      is_value = false;
    } else if (part[0] && way < end) {
      i++;
      if (i == (is_more ? 2 : 1) || is_repeated)
        s = slot_of_metavar(part);
    }
    way += n;
  }
  return s;
}

/* Of all ways: "[ID...] | export [ID] | remove ID...". */
static slot slot_of_positional(const vk_cmd *cmd, bool is_more)
{
  slot s = {.kind = SLOT_ANY};
  if (cmd->n_positional_max == 0)
    return s;
  for (const char *way = cmd->synopsis; way;) {
    const char *next = strstr(way, " | ");
    const slot one = slot_of_way(way, next ? next : way + strlen(way), is_more);
    merge_slots(&s, &one);
    way = next ? next + strlen(" | ") : NULL;
  }
  return s;
}

static bool is_same_slot(const slot *a, const slot *b)
{
  return a->kind == b->kind && a->ask == b->ask && strcmp(a->words, b->words) == 0;
}

/* Prints text with a backslash before each of the given characters, and single quotes as the
 * shell wants them inside single quotes. */
static void put_quoted(FILE *out, const char *text, const char *special, const char *quote)
{
  for (; *text; text++) {
    if (*text == '\'')
      fputs(quote, out);
    else if (strchr(special, *text))
      fprintf(out, "\\%c", *text);
    else
      fputc(*text, out);
  }
}

static void bash_reply(FILE *out, const slot *s)
{
  switch (s->kind) {
  case SLOT_WORDS:
    if (strchr(s->words, '='))
      fprintf(out, "_vlakit_keys '%s'", s->words);
    else
      fprintf(out, "COMPREPLY=($(compgen -W '%s' -- \"$cur\"))", s->words);
    break;
  case SLOT_KIND:
    fprintf(out, "_vlakit_ask %s '%s'", s->ask, s->words);
    break;
  case SLOT_FILE:
    fprintf(out, "compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -W '%s' -- \"$cur\"))",
            s->words);
    break;
  case SLOT_DIR:
    fputs("compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- \"$cur\"))", out);
    break;
  case SLOT_ANY:
    fputc(':', out);
    break;
  }
}

static void bash_options(FILE *out, const char *name, const vk_doc_group *group, int n_group)
{
  fprintf(out, "    %s) opts='", name);
  for (int i = 0; i < n_group; i++)
    for (const vk_opt *opt = group[i].opts; opt->kind != VK_OPT_KIND_END; opt++) {
      fprintf(out, "--%s ", opt->name);
      if (opt->short_name)
        fprintf(out, "-%c ", opt->short_name);
    }
  fputs("' ;;\n", out);
}

/* Options that take every word up to the next option. */
static void bash_lists(FILE *out)
{
  vk_doc_group group[VK_DOC_GROUPS_MAX];
  for (const vk_cmd *const *cmd = vk_cmds; *cmd; cmd++) {
    int n_group = vk_doc_groups(*cmd, group);
    for (int i = 0; i < n_group; i++)
      for (const vk_opt *opt = group[i].opts; opt->kind != VK_OPT_KIND_END; opt++) {
        slot s = slot_of_option(opt);
        if (opt->kind != VK_OPT_KIND_LIST)
          continue;
        fprintf(out, "    %s--%s) ", (*cmd)->name, opt->name);
        bash_reply(out, &s);
        fputs("; return ;;\n", out);
      }
  }
}

/* What stands after a command and is no option. */
static void bash_positionals(FILE *out)
{
  for (const vk_cmd *const *cmd = vk_cmds; *cmd; cmd++) {
    slot s = slot_of_positional(*cmd, false), more = slot_of_positional(*cmd, true);
    if (s.kind == SLOT_ANY)
      continue;
    fprintf(out, "    %s) ", (*cmd)->name);
    if (!is_same_slot(&s, &more)) {
      fputs("(( COMP_CWORD > 2 )) && { ", out);
      bash_reply(out, &more);
      fputs("; return; }; ", out);
    }
    bash_reply(out, &s);
    fputs(" ;;\n", out);
  }
}

static void print_bash(FILE *out)
{
  vk_doc_group group[VK_DOC_GROUPS_MAX];
  int n_group = vk_doc_groups(NULL, group);
  fputs("# bash completion of vlakit; source <(vlakit completion bash)\n"
        "# words of a kind, and others; suites are lists, in which SUITE/INDEX may stand too\n"
        "_vlakit_ask()\n{\n"
        "  local kind=$1 part=$cur head=\n"
        "  if [[ $kind == suites ]]; then\n"
        "    part=${cur##*,}; head=${cur%\"$part\"}\n"
        "    [[ $part == */* ]] && kind=tasks\n"
        "  fi\n"
        "  COMPREPLY=($(compgen -P \"$head\" -W \"$2 $(vlakit completion --words $kind "
        "2>/dev/null)\" -- \"$part\"))\n}\n"
        "# keys with =, and the values of those whose values have names\n"
        "_vlakit_keys()\n{\n"
        "  COMPREPLY=($(compgen -W \"$1\" -- \"$key$cur\"))\n"
        "  COMPREPLY=(\"${COMPREPLY[@]#\"$key\"}\")\n"
        "  [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null\n}\n"
        "_vlakit()\n{\n"
        "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd= opts= key=\n"
        "  COMPREPLY=()\n"
        "  # --name=value and key=value come as three words\n"
        "  if [[ $cur == = ]]; then cur=; key=$prev=\n"
        "  elif [[ $prev == = && COMP_CWORD -ge 3 ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; "
        "key=$prev=\n"
        "  fi\n"
        "  [[ $key == -* ]] && key=\n"
        "  (( COMP_CWORD > 1 )) && cmd=${COMP_WORDS[1]}\n"
        "  local last= word\n"
        "  for word in \"${COMP_WORDS[@]:2:COMP_CWORD-2}\"; do [[ $word == --* ]] && last=$word; "
        "done\n"
        "  case $cmd in\n",
        out);
  fputs("    '') opts='", out);
  for (const vk_cmd *const *cmd = vk_cmds; *cmd; cmd++)
    fprintf(out, "%s ", (*cmd)->name);
  for (const vk_opt *opt = group[0].opts; n_group && opt->kind != VK_OPT_KIND_END; opt++)
    fprintf(out, "--%s ", opt->name);
  fputs("' ;;\n", out);
  for (const vk_cmd *const *cmd = vk_cmds; *cmd; cmd++)
    bash_options(out, (*cmd)->name, group, vk_doc_groups(*cmd, group));
  fputs("    *) return ;;\n  esac\n  case $cmd$prev in\n", out);
  for (const vk_cmd *const *cmd = vk_cmds; *cmd; cmd++) {
    n_group = vk_doc_groups(*cmd, group);
    for (int i = 0; i < n_group; i++)
      for (const vk_opt *opt = group[i].opts; opt->kind != VK_OPT_KIND_END; opt++) {
        if (opt->kind == VK_OPT_KIND_FLAG)
          continue;
        slot s = slot_of_option(opt);
        fprintf(out, "    %s--%s) ", (*cmd)->name, opt->name);
        bash_reply(out, &s);
        fputs("; return ;;\n", out);
      }
  }
  fputs("  esac\n"
        "  if [[ $cur != -* ]]; then case $cmd$last in\n",
        out);
  bash_lists(out);
  fputs("  esac; fi\n"
        "  if [[ -z $cmd || $cur == -* ]]; then\n"
        "    COMPREPLY=($(compgen -W \"$opts\" -- \"$cur\")); return\n"
        "  fi\n"
        "  case $cmd in\n",
        out);
  bash_positionals(out);
  fputs("    *) COMPREPLY=($(compgen -W \"$opts\" -- \"$cur\")) ;;\n"
        "  esac\n}\n"
        "complete -F _vlakit vlakit\n",
        out);
}

static void zsh_action(FILE *out, const slot *s)
{
  switch (s->kind) {
  case SLOT_WORDS:
    fprintf(out, "(%s)", s->words);
    break;
  case SLOT_KIND:
    fprintf(out, " _vlakit_words %s %s", s->ask, s->words); /* blank: called with these alone */
    break;
  case SLOT_FILE:
    if (s->words[0])
      fprintf(out, " _vlakit_or_files %s", s->words);
    else
      fputs("_files", out);
    break;
  case SLOT_DIR:
    fputs("_files -/", out);
    break;
  case SLOT_ANY:
    fputc(' ', out);
    break;
  }
}

static const char zsh_special[] = "[]:\\", zsh_quote[] = "'\\''";

static void zsh_option(FILE *out, const vk_opt *opt)
{
  fputs("        ", out);
  if (opt->short_name)
    fprintf(out, "'(-%c --%s)'{-%c,--%s}'[", opt->short_name, opt->name, opt->short_name,
            opt->name);
  else
    fprintf(out, "'--%s%s[", opt->name, opt->kind == VK_OPT_KIND_FLAG ? "" : "=");
  put_quoted(out, opt->help, zsh_special, zsh_quote);
  fputc(']', out);
  if (opt->kind != VK_OPT_KIND_FLAG) {
    slot s = slot_of_option(opt);
    fputs(opt->kind == VK_OPT_KIND_LIST ? ":*-*:" : ":", out);
    put_quoted(out, opt->metavar, zsh_special, zsh_quote);
    fputc(':', out);
    zsh_action(out, &s);
  }
  fputs("' \\\n", out);
}

static void print_zsh(FILE *out)
{
  vk_doc_group group[VK_DOC_GROUPS_MAX];
  fputs("#compdef vlakit\n# zsh completion of vlakit; source <(vlakit completion zsh)\n"
        "_vlakit_words() {\n"
        "  local kind=$1\n"
        "  local -a words_\n"
        "  if [[ $kind == suites ]]; then # a list, in which SUITE/INDEX may stand too\n"
        "    compset -P '*,'\n"
        "    [[ $PREFIX == */* ]] && kind=tasks\n"
        "  fi\n"
        "  words_=($argv[2,-1] ${(f)\"$(vlakit completion --words $kind 2>/dev/null)\"})\n"
        "  compadd -a words_\n"
        "}\n"
        "_vlakit_or_files() { compadd -- $@; _files }\n"
        "_vlakit() {\n"
        "  local curcontext=$curcontext state line\n"
        "  local -a commands\n"
        "  commands=(\n",
        out);
  for (const vk_cmd *const *cmd = vk_cmds; *cmd; cmd++) {
    fprintf(out, "    '%s:", (*cmd)->name);
    put_quoted(out, (*cmd)->summary, ":\\", zsh_quote);
    fputs("'\n", out);
  }
  fputs("  )\n  _arguments -C \\\n", out);
  int n_group = vk_doc_groups(NULL, group);
  for (int i = 0; i < n_group; i++)
    for (const vk_opt *opt = group[i].opts; opt->kind != VK_OPT_KIND_END; opt++)
      zsh_option(out, opt);
  fputs("        '1:command:->command' '*::argument:->argument'\n"
        "  case $state in\n"
        "  command) _describe command commands ;;\n"
        "  argument)\n"
        "    case $words[1] in\n",
        out);
  for (const vk_cmd *const *cmd = vk_cmds; *cmd; cmd++) {
    fprintf(out, "    %s) _arguments -s \\\n", (*cmd)->name);
    n_group = vk_doc_groups(*cmd, group);
    for (int i = 0; i < n_group; i++)
      for (const vk_opt *opt = group[i].opts; opt->kind != VK_OPT_KIND_END; opt++)
        zsh_option(out, opt);
    slot s = slot_of_positional(*cmd, false), more = slot_of_positional(*cmd, true);
    if ((*cmd)->n_positional_max != 0) {
      fputs("        '1:argument:", out);
      zsh_action(out, &s);
      fputs("' '*:argument:", out);
      zsh_action(out, &more);
      fputs("'", out);
    }
    fputs("\n      ;;\n", out);
  }
  fputs("    esac ;;\n  esac\n}\n"
        "if [[ $funcstack[1] == _vlakit ]]; then _vlakit \"$@\"; else compdef _vlakit vlakit; fi\n",
        out);
}

static void fish_arguments(FILE *out, const slot *s)
{
  switch (s->kind) {
  case SLOT_WORDS:
    fprintf(out, " -x -a '%s'", s->words);
    break;
  case SLOT_KIND:
    fprintf(out, " -x -a '%s%s(__vlakit_ask %s)'", s->words, s->words[0] ? " " : "", s->ask);
    break;
  case SLOT_FILE:
    fputs(" -r -F", out);
    if (s->words[0])
      fprintf(out, " -a '%s'", s->words);
    break;
  case SLOT_DIR:
    fputs(" -x -a '(__fish_complete_directories)'", out);
    break;
  case SLOT_ANY:
    fputs(" -x", out);
    break;
  }
}

static void fish_option(FILE *out, const char *condition, const vk_opt *opt)
{
  fprintf(out, "complete -c vlakit -n '%s' -l %s", condition, opt->name);
  if (opt->short_name)
    fprintf(out, " -s %c", opt->short_name);
  if (opt->kind != VK_OPT_KIND_FLAG) {
    slot s = slot_of_option(opt);
    fish_arguments(out, &s);
  }
  fputs(" -d '", out);
  put_quoted(out, opt->help, "\\", "\\'");
  fputs("'\n", out);
}

static void print_fish(FILE *out)
{
  vk_doc_group group[VK_DOC_GROUPS_MAX];
  fputs("# fish completion of vlakit; vlakit completion fish | source\n"
        "function __vlakit_is\n"
        "  set -l words (commandline -opc)\n"
        "  test \"$words[2]\" = \"$argv[1]\"\n"
        "end\n"
        "function __vlakit_ask # words of a kind; suites are lists, with SUITE/INDEX in them too\n"
        "  set -l word (string replace -r -- '^--[a-z-]+=' '' (commandline -ct))\n"
        "  set -l head\n"
        "  set -l kind $argv[1]\n"
        "  if test $kind = suites\n"
        "    set head (string match -r -- '^.*,' \"$word\")\n"
        "    string match -q -- '*/*' (string replace -r -- '^.*,' '' \"$word\"); and set kind "
        "tasks\n"
        "  end\n"
        "  for name in (vlakit completion --words $kind 2>/dev/null)\n"
        "    echo \"$head$name\"\n"
        "  end\n"
        "end\n"
        "complete -c vlakit -f\n",
        out);
  int n_group = vk_doc_groups(NULL, group);
  for (int i = 0; i < n_group; i++)
    for (const vk_opt *opt = group[i].opts; opt->kind != VK_OPT_KIND_END; opt++)
      fish_option(out, "__vlakit_is", opt);
  for (const vk_cmd *const *cmd = vk_cmds; *cmd; cmd++) {
    char condition[128];
    snprintf(condition, sizeof condition, "__vlakit_is %s", (*cmd)->name);
    fprintf(out, "complete -c vlakit -n __vlakit_is -a %s -d '", (*cmd)->name);
    put_quoted(out, (*cmd)->summary, "\\", "\\'");
    fputs("'\n", out);
    n_group = vk_doc_groups(*cmd, group);
    for (int i = 0; i < n_group; i++)
      for (const vk_opt *opt = group[i].opts; opt->kind != VK_OPT_KIND_END; opt++)
        fish_option(out, condition, opt);
    for (int is_more = 0; is_more < 2; is_more++) {
      slot s = slot_of_positional(*cmd, is_more);
      if (s.kind == SLOT_ANY)
        continue;
      fprintf(out, "complete -c vlakit -n '%s; and test (count (commandline -opc)) %s 2'",
              condition, is_more ? "-gt" : "-eq");
      fish_arguments(out, &s);
      fputc('\n', out);
    }
  }
}

/* Suites, or tasks as SUITE/INDEX and by name, of the pack at hand; nothing when there is none. */
static vk_status print_pack_words(const char *path, bool is_task, vk_err *err)
{
  vk_pack pack;
  VK_TRY(vk_pack_open(&pack, path, err));
  for (size_t i = 0; i < pack.n_suite; i++) {
    const char *suite = vk_pack_text(&pack, pack.suite[i].name);
    if (!is_task)
      puts(suite);
    for (uint32_t k = 0; is_task && k < pack.suite[i].n_task; k++)
      printf("%s/%u\n%s\n", suite, k, vk_pack_text(&pack, pack.task[pack.suite[i].task + k].name));
  }
  if (!is_task)
    puts("libero130");
  vk_pack_close(&pack);
  return VK_OK;
}

/* What has ended before its end, and can go on. */
static bool is_unfinished(const vk_run_row *row)
{
  return strcmp(row->state, "done") != 0 && strcmp(row->state, "running") != 0;
}

static vk_status print_run(void *arg, const vk_run_row *row, const vk_evaluation_row *evaluation,
                           const vk_episode_sum *sum, vk_err *err)
{
  const bool *only_unfinished = arg;
  if (!*only_unfinished || is_unfinished(row))
    puts(row->id);
  return VK_OK;
}

static vk_status print_runs(const char *path, bool only_unfinished, vk_err *err)
{
  vk_catalog *catalog;
  VK_TRY(vk_catalog_open(&catalog, path, VK_CATALOG_READ, err));
  vk_status st = vk_catalog_each_run(catalog, NULL, print_run, &only_unfinished, err);
  vk_catalog_close(catalog);
  return st;
}

static vk_status print_policies(vk_err *err)
{
  vk_bundled bundled[VK_BUNDLED_MAX];
  int n;
  VK_TRY(vk_bundled_list(bundled, &n, err));
  for (const vk_policy_def *const *def = vk_policy_defs; *def; def++)
    printf("%s%s\n", (*def)->name, (*def)->argument ? ":" : "");
  puts("bundled");
  for (int i = 0; i < n; i++)
    puts(bundled[i].name);
  return VK_OK;
}

static vk_status print_words(const char *kind, const vk_common_args *common, vk_err *err)
{
  if (strcmp(kind, "suites") == 0 || strcmp(kind, "tasks") == 0)
    return print_pack_words(common->pack, strcmp(kind, "tasks") == 0, err);
  if (strcmp(kind, "runs") == 0 || strcmp(kind, "unfinished") == 0)
    return print_runs(common->catalog, strcmp(kind, "unfinished") == 0, err);
  if (strcmp(kind, "policies") == 0)
    return print_policies(err);
  for (const vk_protocol *protocol = vk_protocols; protocol->name; protocol++)
    puts(protocol->name);
  return VK_OK;
}

typedef struct shell {
  const char *name;
  void (*print)(FILE *out);
} shell;

static const shell shells[] = {{"bash", print_bash}, {"fish", print_fish}, {"zsh", print_zsh}};

static vk_status fail_shell(const char *word, vk_err *err)
{
  const char *names[VK_COUNT(shells) + 1] = {NULL};
  for (size_t i = 0; i < VK_COUNT(shells); i++)
    names[i] = shells[i].name;
  return vk_opt_fail_name(err, "shell", word, names);
}

/* Prints the script, or {"shell":...,"script":...}. */
static vk_status print_script(const shell *s, bool as_json, vk_err *err)
{
  if (!as_json) {
    s->print(stdout);
    return VK_OK;
  }
  char *text = NULL;
  size_t n = 0;
  FILE *memory = open_memstream(&text, &n);
  if (!memory)
    return vk_fail(err, VK_E_NOMEM, "no memory for a completion script");
  s->print(memory);
  vk_status st = VK_OK;
  if (fclose(memory) != 0 || !text) /* glibc's fclose says nothing of a last failure */
    st = vk_fail(err, VK_E_NOMEM, "no memory for a completion script");
  if (st == VK_OK) {
    cJSON *all = cJSON_CreateObject();
    cJSON_AddStringToObject(all, "shell", s->name);
    cJSON_AddStringToObject(all, "script", text);
    st = vk_json_print(all, err);
    cJSON_Delete(all);
  }
  free(text);
  return st;
}

static vk_status run(const vk_cmd_call *call, vk_err *err)
{
  const args *a = call->args;
  if (a->words) {
    if (call->n_positional)
      return vk_fail(err, VK_E_USAGE, "--words and a shell ('%.40s') exclude each other",
                     call->positional[0]);
    return print_words(a->words, call->common, err);
  }
  if (!call->n_positional)
    return vk_fail(err, VK_E_USAGE, "a shell is needed: bash, fish or zsh");
  for (size_t i = 0; i < VK_COUNT(shells); i++)
    if (strcmp(call->positional[0], shells[i].name) == 0)
      return print_script(&shells[i], call->common->json, err);
  return fail_shell(call->positional[0], err);
}

const vk_cmd vk_cmd_completion = {
    .name = "completion",
    .summary = "print a completion script for a shell",
    .synopsis = "bash|fish|zsh [options]",
    .description =
        "Prints a script that makes the shell complete commands, options and their "
        "values: of --suite also the suites and tasks of a list, of --set the names that "
        "a key takes, of --resume the runs that did not end. Suites, tasks, policies "
        "and runs are asked from vlakit itself when they are completed, so that they "
        "are those of the scene pack and the catalog in use.",
    .examples = "source <(vlakit completion bash)  # in ~/.bashrc\n"
                "source <(vlakit completion zsh)   # in ~/.zshrc, after compinit\n"
                "vlakit completion fish | source   # in ~/.config/fish/config.fish\n",
    .opts = opts,
    .args_size = sizeof(args),
    .args_default = &(const args){.words = NULL},
    .n_positional_max = 1,
    .common = VK_COMMON(VK_COMMON_CATALOG, VK_COMMON_JSON, VK_COMMON_PACK),
    .run = run,
};
