/* cmd.h - what a subcommand is. Adding one takes a file cmd_NAME.c with a vk_cmd_NAME, a line in
 * cmd_list.h and a line in src/cmd/meson.build; dispatch, help, completion and the man page are
 * made from its tables. Test: tests/cmd/test_exit.sh */
#ifndef VK_CMD_CMD_H
#define VK_CMD_CMD_H

#include "core/cpu.h"
#include "core/err.h"
#include "core/opt.h"

/* Options that every command takes (spec: the command line's promises); those that it reads are in
 * its list, vk_cmd.common. */
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
  const vk_opt *common;    /* VK_COMMON: the common options that it reads, which help, man page and
                              completion show; it takes the others, too. NULL: all */
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

/* The common options, for a command's list of those that it reads: where it is said what one of
 * them is to the command, by their help lines. In alphabetical order, but for --help. */
#define VK_COMMON(...)                                                                             \
  (const vk_opt[])                                                                                 \
  {                                                                                                \
    VK_OPT_FLAG_SHORT(vk_common_args, "help", 'h', help, "show this help"), __VA_ARGS__,           \
        VK_OPT_END                                                                                 \
  }
#define VK_COMMON_CATALOG                                                                          \
  VK_OPT_STR(vk_common_args, "catalog", catalog, "FILE",                                           \
             "database of runs (default: $XDG_DATA_HOME/vlakit/catalog.db)")
#define VK_COMMON_DEVICE(help) VK_OPT_STR(vk_common_args, "device", device, "cpu|cuda|cuda:K", help)
#define VK_COMMON_ISA                                                                              \
  VK_OPT_CHOICE(vk_common_args, "isa", isa, "NAME", vk_common_isas,                                \
                "instruction set of the fast paths")
#define VK_COMMON_JSON                                                                             \
  VK_OPT_FLAG(vk_common_args, "json", json, "print one JSON object instead of text")
#define VK_COMMON_PACK                                                                             \
  VK_OPT_STR(vk_common_args, "pack", pack, "FILE",                                                 \
             "scene pack (default: the user's cache, then the installed one)")
#define VK_COMMON_QUIET VK_OPT_FLAG_SHORT(vk_common_args, "quiet", 'q', quiet, "show no progress")
#define VK_COMMON_SEED(help)                                                                       \
  VK_OPT_I64_GIVEN(vk_common_args, "seed", seed, seed_given, 0, 4294967295.0, "N", NULL, help)
#define VK_COMMON_SEED_OF_PROTOCOL                                                                 \
  VK_COMMON_SEED("seed of the generators (default: the protocol's)")
#define VK_COMMON_THREADS                                                                          \
  VK_OPT_I64(vk_common_args, "threads", n_thread, 0, 4096, "N", NULL,                              \
             "threads to use; 0 is one a core")

extern const char *const vk_common_isas[];
extern const vk_opt *const vk_common_opts; /* all, which every command takes */
extern const vk_opt vk_long_opts[];        /* with VK_CMD_LONG */
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
