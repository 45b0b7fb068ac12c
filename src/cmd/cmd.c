#include "cmd/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/about.h"
#include "cmd/doc.h"
#include "nn/device.h"

#define VK_CMD(name) extern const vk_cmd vk_cmd_##name;
#include "cmd/cmd_list.h"
#undef VK_CMD

const vk_cmd *const vk_cmds[] = {
#define VK_CMD(name) &vk_cmd_##name,
#include "cmd/cmd_list.h"
#undef VK_CMD
    NULL};

const char *const vk_common_isas[] = {"auto", "scalar", "avx2", "avx512", "amx", NULL};

const vk_common_args vk_common_defaults = {.isa = "auto", .device = "cpu"};

const vk_opt *const vk_common_opts = VK_COMMON(
    VK_COMMON_CATALOG, VK_COMMON_DEVICE("where networks run"), VK_COMMON_ISA, VK_COMMON_JSON,
    VK_COMMON_PACK, VK_COMMON_QUIET, VK_COMMON_SEED_OF_PROTOCOL, VK_COMMON_THREADS);

#define ARGS vk_common_args
const vk_opt vk_long_opts[] = {
    VK_OPT_FLAG(ARGS, "dry-run", dry_run,
                "say what would run, how long and with how much memory, and stop"),
    VK_OPT_STR(ARGS, "trace", trace, "FILE", "write where time went, for Perfetto"),
    VK_OPT_END,
};
#undef ARGS

const vk_opt vk_top_opts[] = {
    VK_OPT_FLAG_SHORT(vk_top_args, "help", 'h', help, "list the commands"),
    VK_OPT_FLAG(vk_top_args, "json", json, "with --version: print one JSON object"),
    VK_OPT_FLAG_SHORT(vk_top_args, "version", 'V', version,
                      "show the version of the program, of MuJoCo, and the processor"),
    VK_OPT_END,
};

const vk_cmd *vk_cmd_find(const char *name)
{
  for (const vk_cmd *const *cmd = vk_cmds; *cmd; cmd++)
    if (strcmp((*cmd)->name, name) == 0)
      return *cmd;
  return NULL;
}

vk_status vk_cmd_fail_unknown(const char *name, vk_err *err)
{
  const char *names[VK_COUNT(vk_cmds)] = {NULL};
  for (size_t i = 0; vk_cmds[i]; i++)
    names[i] = vk_cmds[i]->name;
  return vk_opt_fail_name(err, "command", name, names);
}

/* Options that hold for every command and that their tables cannot judge. */
static vk_status check_common(const vk_cmd *cmd, const vk_common_args *common, vk_isa *isa,
                              vk_err *err)
{
  vk_device_choice choice;
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  VK_TRY(vk_isa_parse(common->isa, &cpu, isa, err));
  VK_TRY(vk_device_choose(&choice, common->device, err));
  if (choice.def == &vk_device_cpu && choice.n == 1)
    return VK_OK;
  if (!(cmd->flags & VK_CMD_DEVICE))
    return vk_fail(err, VK_E_USAGE, "--device %.40s: %s runs no network; leave it out",
                   common->device, cmd->name);
  if (choice.n > 1 && !(cmd->flags & VK_CMD_DEVICES))
    return vk_fail(err, VK_E_USAGE, "--device %.40s: %s runs on one device; name one of them",
                   common->device, cmd->name);
  return vk_device_check(&choice, err);
}

static vk_status check_positional(const vk_cmd *cmd, int n, const char *const *positional,
                                  vk_err *err)
{
  int lo = cmd->n_positional_min, hi = cmd->n_positional_max;
  if (hi >= 0 && n > hi)
    return vk_fail(err, VK_E_USAGE, "one argument too many: '%.80s'; usage: vlakit %s %s",
                   positional[hi], cmd->name, cmd->synopsis);
  if (n < lo)
    return vk_fail(err, VK_E_USAGE, "%d of %d arguments given; usage: vlakit %s %s", n, lo,
                   cmd->name, cmd->synopsis);
  return VK_OK;
}

static bool has_option(const vk_cmd *cmd, const char *name)
{
  for (const vk_opt *o = cmd->opts; o && o->kind != VK_OPT_KIND_END; o++)
    if (strcmp(o->name, name) == 0)
      return true;
  return false;
}

/* A key of the command's file typed as an option: "--steps 4" for "--set steps=4". */
static const vk_opt *find_key(const vk_cmd *cmd, const char *name, size_t n)
{
  vk_doc_group group[VK_DOC_KEY_GROUPS_MAX];
  int n_group = vk_doc_key_groups(cmd, group);
  for (int i = 0; i < n_group; i++)
    for (const vk_opt *key = group[i].opts; key->kind != VK_OPT_KIND_END; key++) {
      size_t k = 0;
      while (k < n && key->name[k] == (name[k] == '-' ? '_' : name[k]))
        k++;
      if (k == n && !key->name[n])
        return key;
    }
  return NULL;
}

/* The sentence about an unknown option names it; its value is in argv. */
static vk_status fail_key(const vk_cmd *cmd, int argc, const char *const *argv, vk_status st,
                          vk_err *err)
{
  static const char before[] = "unknown option --";
  if (strncmp(err->text, before, sizeof before - 1) != 0)
    return st;
  const char *name = err->text + sizeof before - 1;
  const size_t n = strcspn(name, " ;");
  const vk_opt *key = find_key(cmd, name, n);
  const char *value = "VALUE";
  for (int i = 2; key && i < argc; i++) {
    if (strncmp(argv[i], "--", 2) != 0 || strncmp(argv[i] + 2, name, n) != 0)
      continue;
    if (argv[i][2 + n] == '=')
      value = argv[i] + 2 + n + 1;
    else if (!argv[i][2 + n] && i + 1 < argc && argv[i + 1][0] != '-')
      value = argv[i + 1];
    else
      continue;
    break;
  }
  return key ? vk_fail(err, st, "unknown option --%.*s; did you mean --set %s=%.80s?", (int)n, name,
                       key->name, value)
             : st;
}

/* Some commands take --suite, others --task, and who knows one kind tries it with the other. */
static vk_status fail_option(const vk_cmd *cmd, int argc, const char *const *argv, vk_status st,
                             vk_err *err)
{
  static const struct {
    const char *typed, *name, *takes;
  } other[] = {{"suite", "task", "one task, such as libero_goal/7"},
               {"suites", "suite", "suites, with commas between"},
               {"task", "suite", "tasks too, such as libero_goal/7"},
               {"tasks", "suite", "tasks too, such as libero_goal/7"}};
  if (!err)
    return st;
  for (size_t i = 0; i < VK_COUNT(other); i++) {
    char unknown[40];
    size_t n = (size_t)snprintf(unknown, sizeof unknown, "unknown option --%s", other[i].typed);
    if (strncmp(err->text, unknown, n) == 0 && (!err->text[n] || err->text[n] == ';') &&
        has_option(cmd, other[i].name))
      return vk_fail(err, st, "%s; did you mean --%s, which takes %s?", unknown, other[i].name,
                     other[i].takes);
  }
  st = fail_key(cmd, argc, argv, st, err);
  if (strstr(err->text, "did you mean"))
    return st;
  return vk_fail(err, st, "%s (see vlakit help %s)", err->text, cmd->name);
}

/* Parses argv[2..argc) by the command's tables and runs it. */
static vk_status run(const vk_cmd *cmd, int argc, const char *const *argv, vk_err *err)
{
  vk_status st = VK_OK;
  vk_common_args common = vk_common_defaults;
  const char **positional = calloc((size_t)argc, sizeof *positional);
  void *args = malloc(cmd->args_size + 1);
  if (!positional || !args) {
    st = vk_fail(err, VK_E_NOMEM, "no memory for %d arguments", argc);
    goto done;
  }
  if (cmd->args_size)
    memcpy(args, cmd->args_default, cmd->args_size);
  const vk_opt_set sets[] = {{cmd->opts, args},
                             {vk_common_opts, &common},
                             {cmd->flags & VK_CMD_LONG ? vk_long_opts : NULL, &common}};
  int n_positional = 0;
  st = vk_opt_parse(sets, VK_COUNT(sets), argc - 2, argv + 2, positional, &n_positional, err);
  if (st != VK_OK) {
    st = fail_option(cmd, argc, argv, st, err);
    goto done;
  }
  if (common.help) {
    vk_doc_help(stdout, cmd);
    goto done;
  }
  VK_TRY_DONE(check_positional(cmd, n_positional, positional, err));
  vk_isa isa = VK_ISA_SCALAR;
  VK_TRY_DONE(check_common(cmd, &common, &isa, err));
  vk_cmd_call call = {&common, isa, args, n_positional, positional, argc, argv};
  st = cmd->run(&call, err);
done:
  free(args);
  free(positional);
  return st;
}

static bool is_typed(const vk_cmd_call *call, const char *opt)
{
  size_t n = strlen(opt);
  for (int i = 1; i < call->argc && strcmp(call->argv[i], "--") != 0; i++)
    if (strncmp(call->argv[i], "--", 2) == 0 && strncmp(call->argv[i] + 2, opt, n) == 0 &&
        (call->argv[i][2 + n] == '\0' || call->argv[i][2 + n] == '='))
      return true;
  return false;
}

vk_status vk_cmd_check_parts(const vk_cmd_call *call, const vk_cmd_part_opt *opt, size_t n_opt,
                             vk_err *err)
{
  const char *part = call->positional[0];
  for (size_t i = 0; i < n_opt; i++)
    if (!strstr(opt[i].parts, part) && is_typed(call, opt[i].opt))
      return vk_fail(err, VK_E_USAGE, "%s %s has no option --%s: it is one of %s", call->argv[1],
                     part, opt[i].opt, opt[i].parts);
  return VK_OK;
}

/* With what to type first. */
static vk_status fail_no_command(vk_err *err)
{
  return vk_fail(err, VK_E_USAGE,
                 "no command given; begin with `vlakit eval --suite libero_goal --policy expert "
                 "--episodes 1`, or let `vlakit help` list the commands");
}

/* `vlakit --version`, `vlakit --help` and what else begins with a dash. */
static vk_status run_without_command(int argc, const char *const *argv, vk_err *err)
{
  vk_top_args args = {.help = false};
  const vk_opt_set set = {vk_top_opts, &args};
  const char **positional = calloc((size_t)argc, sizeof *positional);
  int n_positional = 0;
  if (!positional)
    return vk_fail(err, VK_E_NOMEM, "no memory for %d arguments", argc);
  vk_status st = vk_opt_parse(&set, 1, argc - 1, argv + 1, positional, &n_positional, err);
  free(positional);
  if (st != VK_OK)
    return vk_fail(err, st, "%s (other options stand after a command)", err ? err->text : "");
  if (n_positional)
    return vk_fail(err, VK_E_USAGE, "options stand after the command: vlakit COMMAND [options]");
  if (args.version)
    return vk_about_print(args.json, err);
  if (args.help)
    return vk_doc_overview(stdout), VK_OK;
  return fail_no_command(err);
}

vk_status vk_cmd_dispatch(int argc, const char *const *argv, vk_err *err)
{
  if (argc < 2)
    return fail_no_command(err);
  if (argv[1][0] == '-')
    return run_without_command(argc, argv, err);
  const vk_cmd *cmd = vk_cmd_find(argv[1]);
  if (!cmd)
    return vk_cmd_fail_unknown(argv[1], err);
  vk_status st = run(cmd, argc, argv, err);
  return st == VK_OK ? VK_OK : vk_err_prefix(err, "%s", cmd->name);
}
