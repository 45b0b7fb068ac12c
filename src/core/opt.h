/* opt.h - option tables: one table drives parsing, help, completion and the man page.
 *
 * A command keeps its options in a plain struct whose initial value holds the defaults; the table
 * names members by offset, so a wrong type is a compile error and there is no mutable global.
 * Test: tests/unit/test_opt.c, tests/fuzz/fuzz_opt.c */
#ifndef VK_CORE_OPT_H
#define VK_CORE_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

typedef enum vk_opt_kind {
  VK_OPT_KIND_END = 0,
  VK_OPT_KIND_FLAG, /* bool, no value */
  VK_OPT_KIND_I64,  /* int64_t within [lo, hi] */
  VK_OPT_KIND_F64,  /* double within [lo, hi] */
  VK_OPT_KIND_STR,  /* const char *, borrowed from argv */
  VK_OPT_KIND_LIST, /* vk_opt_list: may be repeated, takes every word up to the next option */
} vk_opt_kind;

enum { VK_OPT_LIST_MAX = 64 };
typedef struct vk_opt_list {
  int n;
  const char *item[VK_OPT_LIST_MAX];
} vk_opt_list;

typedef struct vk_opt {
  vk_opt_kind kind;
  const char *name;           /* without "--" */
  char short_name;            /* '\0' when it has none */
  size_t offset;              /* of the member in the command's args struct */
  size_t given_offset;        /* of a bool set when the user gave it, or VK_OPT_NO_GIVEN */
  double lo, hi;              /* I64, F64: inclusive range */
  const char *metavar;        /* "N", "FILE", "all|none|N", ...; NULL for flags. Completion offers
                                 the parts without capitals, and files, suites, policies for FILE,
                                 DIR, PACK, SUITE, TASK, POLICY, PROTOCOL, ID, and for RUN those
                                 that did not end */
  const char *unit;           /* "s", "bytes", ...; NULL when it has none */
  const char *const *choices; /* STR: NULL-terminated valid values, or NULL for any text */
  const char *help;           /* one line, lower case, no full stop */
} vk_opt;

#define VK_OPT_NO_GIVEN ((size_t)-1)
#define VK_OPT_MEMBER_(type, member, want)                                                         \
  (offsetof(type, member) + 0 * sizeof(char[_Generic(((type *)0)->member, want : 1)]))

#define VK_OPT_FLAG(type, name, member, help) VK_OPT_FLAG_SHORT(type, name, 0, member, help)
/* As VK_OPT_FLAG, and "-C" for it. */
#define VK_OPT_FLAG_SHORT(type, name, c, member, help)                                             \
  {                                                                                                \
    VK_OPT_KIND_FLAG, name, c, VK_OPT_MEMBER_(type, member, bool), VK_OPT_NO_GIVEN, 0, 0, NULL,    \
        NULL, NULL, help                                                                           \
  }
#define VK_OPT_I64(type, name, member, lo, hi, metavar, unit, help)                                \
  {                                                                                                \
    VK_OPT_KIND_I64, name, 0, VK_OPT_MEMBER_(type, member, int64_t), VK_OPT_NO_GIVEN, lo, hi,      \
        metavar, unit, NULL, help                                                                  \
  }
/* As VK_OPT_I64, and sets the bool member `given` when the user typed it. */
#define VK_OPT_I64_GIVEN(type, name, member, given, lo, hi, metavar, unit, help)                   \
  {                                                                                                \
    VK_OPT_KIND_I64, name, 0, VK_OPT_MEMBER_(type, member, int64_t),                               \
        VK_OPT_MEMBER_(type, given, bool), lo, hi, metavar, unit, NULL, help                       \
  }
#define VK_OPT_F64(type, name, member, lo, hi, metavar, unit, help)                                \
  {                                                                                                \
    VK_OPT_KIND_F64, name, 0, VK_OPT_MEMBER_(type, member, double), VK_OPT_NO_GIVEN, lo, hi,       \
        metavar, unit, NULL, help                                                                  \
  }
/* As VK_OPT_F64, and sets the bool member `given` when the user typed it. */
#define VK_OPT_F64_GIVEN(type, name, member, given, lo, hi, metavar, unit, help)                   \
  {                                                                                                \
    VK_OPT_KIND_F64, name, 0, VK_OPT_MEMBER_(type, member, double),                                \
        VK_OPT_MEMBER_(type, given, bool), lo, hi, metavar, unit, NULL, help                       \
  }
#define VK_OPT_STR(type, name, member, metavar, help)                                              \
  {                                                                                                \
    VK_OPT_KIND_STR, name, 0, VK_OPT_MEMBER_(type, member, const char *), VK_OPT_NO_GIVEN, 0, 0,   \
        metavar, NULL, NULL, help                                                                  \
  }
#define VK_OPT_CHOICE(type, name, member, metavar, choices, help)                                  \
  {                                                                                                \
    VK_OPT_KIND_STR, name, 0, VK_OPT_MEMBER_(type, member, const char *), VK_OPT_NO_GIVEN, 0, 0,   \
        metavar, NULL, choices, help                                                               \
  }
/* As VK_OPT_CHOICE, and sets the bool member `given` when the user typed it. */
#define VK_OPT_CHOICE_GIVEN(type, name, member, given, metavar, choices, help)                     \
  {                                                                                                \
    VK_OPT_KIND_STR, name, 0, VK_OPT_MEMBER_(type, member, const char *),                          \
        VK_OPT_MEMBER_(type, given, bool), 0, 0, metavar, NULL, choices, help                      \
  }
#define VK_OPT_LIST(type, name, member, metavar, help)                                             \
  {                                                                                                \
    VK_OPT_KIND_LIST, name, 0, VK_OPT_MEMBER_(type, member, vk_opt_list), VK_OPT_NO_GIVEN, 0, 0,   \
        metavar, NULL, NULL, help                                                                  \
  }
#define VK_OPT_END                                                                                 \
  {                                                                                                \
    .kind = VK_OPT_KIND_END                                                                        \
  }

/* One table and the struct it fills. */
typedef struct vk_opt_set {
  const vk_opt *opts;
  void *args;
} vk_opt_set;

/* What a number must be: "a whole number from 1 to 50", "a number of at least 0 s". */
void vk_opt_format_range(const vk_opt *opt, char *out, size_t size);

/* Parses argv[0..argc) against several tables (a command's own and the common ones).
 *   positional  out, argc entries at least: the words that are not options, in order
 *   n_positional out
 * "--x=V" and "--x V" both work; "--" ends options. A word that begins with "-" and is neither "-"
 * nor a number is an option and never a value ("--x=-y" is the way to pass one). Unknown options,
 * values out of range, trailing characters after a number, NaN, missing values and an option of one
 * value that is given twice are VK_E_USAGE, with the nearest valid name ("did you mean
 * --episodes?").
 */
VK_NODISCARD vk_status vk_opt_parse(const vk_opt_set *sets, int n_set, int argc,
                                    const char *const *argv, const char **positional,
                                    int *n_positional, vk_err *err);

/* The candidate nearest to word by edit distance, or NULL when none is near (distance above
 * 1 + strlen(word) / 3). candidates is NULL-terminated. Used for commands, suites, tasks, ... */
const char *vk_opt_nearest(const char *word, const char *const *candidates);

/* VK_E_USAGE: "unknown WHAT 'WORD'; did you mean NAME?", or without a near one "...; there are
 * NAME, NAME". names is NULL-terminated. */
vk_status vk_opt_fail_name(vk_err *err, const char *what, const char *word,
                           const char *const *names);

#endif
