/* cmd.h - what a subcommand is. Adding one takes a file cmd_NAME.c with a vk_cmd_NAME, a line in
 * cmd_list.h and a line in src/cmd/meson.build; dispatch, help, completion and the man page are
 * made from its tables. Test: tests/cmd/test_exit.sh */
#ifndef VK_CMD_CMD_H
#define VK_CMD_CMD_H

#include "core/cpu.h"
#include "core/err.h"
#include "core/opt.h"

/* Options that every command takes (spec: the command line's promises). */
typedef struct vk_common_args {
  bool json;  /* one JSON object on stdout and nothing else */
  bool quiet; /* no progress */
  bool help;
  bool dry_run;     /* commands with VK_CMD_LONG only */
  int64_t n_thread; /* 0: all cores */
  int64_t seed;
  bool seed_given;
  const char *isa;     /* "auto", "scalar", "avx2", "avx512", "amx" */
  const char *catalog; /* NULL: $XDG_DATA_HOME/vlakit/catalog.db */
  const char *pack;    /* NULL: the search order of sim/pack.h */
  const char *device;  /* "cpu" */
  const char *trace;   /* NULL: none */
} vk_common_args;

enum {
  VK_CMD_LONG = 1,    /* runs long: has --dry-run and --trace */
  VK_CMD_DEVICE = 2,  /* runs networks, on the device of --device */
  VK_CMD_DEVICES = 4, /* or on several */
};

/* What run() gets. args points at a copy of the command's defaults, filled by its table. */
typedef struct vk_cmd_call {
  const vk_common_args *common;
  vk_isa isa; /* the path that --isa names */
  void *args;
  int n_positional;
  const char *const *positional;
  int argc; /* the whole command line, for the run's record */
  const char *const *argv;
} vk_cmd_call;

struct vk_doc_group; /* cmd/doc.h */

typedef struct vk_cmd {
  const char *name;
  unsigned flags;
  const char *summary;     /* one line, lower case, no full stop: `vlakit help` */
  const char *synopsis;    /* arguments after the name: "--suite S --policy P [options]" */
  const char *description; /* paragraphs for --help and the man page, a blank line between them;
                              lines that begin with a space are kept as they stand (tables) */
  char *(*more)(void);     /* further ones, from other tables; to be freed, NULL without memory. May
                              be NULL */
  const char *examples;    /* lines "vlakit NAME ...  # what it does" */
  const vk_opt *opts;      /* may be NULL */
  size_t args_size;
  const void *args_default;               /* args_size bytes */
  int n_positional_min, n_positional_max; /* -1: any number */
  /* Keys of a file that the command reads, for help and man page: fills out [VK_DOC_KEY_GROUPS_MAX]
   * and returns how many groups; NULL: it reads none. */
  int (*keys)(struct vk_doc_group *out);
  /* Prints results to stdout. Returns VK_OK or an error whose sentence main prints. */
  vk_status (*run)(const vk_cmd_call *call, vk_err *err);
} vk_cmd;

/* The commands in the order of cmd_list.h, NULL-terminated. */
extern const vk_cmd *const vk_cmds[];
/* NULL when there is none of that name. */
const vk_cmd *vk_cmd_find(const char *name);
/* Always VK_E_USAGE, with the nearest command. */
vk_status vk_cmd_fail_unknown(const char *name, vk_err *err);

extern const vk_opt vk_common_opts[]; /* every command has these */
extern const vk_opt vk_long_opts[];   /* and these, with VK_CMD_LONG */
extern const vk_common_args vk_common_defaults;

/* An option that some parts of a command alone read: "bench gemm", "graph show". */
typedef struct vk_cmd_part_opt {
  const char *opt, *parts; /* "shape", "gemm": names with ", " between */
} vk_cmd_part_opt;
/* That no option was typed which the part, the first positional argument, does not read. Errors:
 * VK_E_USAGE, with those that do. */
VK_NODISCARD vk_status vk_cmd_check_parts(const vk_cmd_call *call, const vk_cmd_part_opt *opt,
                                          size_t n_opt, vk_err *err);

/* Options that stand in place of a command: `vlakit --version`. */
typedef struct vk_top_args {
  bool help, json, version;
} vk_top_args;
extern const vk_opt vk_top_opts[];

/* Runs the command line argv[0..argc), argv[0] being the program's own name. The sentence of an
 * error begins with the command's name. */
VK_NODISCARD vk_status vk_cmd_dispatch(int argc, const char *const *argv, vk_err *err);

#endif
