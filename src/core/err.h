/* err.h - how a function says that something went wrong.
 *
 * What a file, an option, an environment or a device can cause is a vk_status returned, with one
 * sentence in *err. What only wrong code can cause is VK_ASSERT, which stays in release builds.
 * Library code never prints and never exits. Test: tests/unit/test_err.c */
#ifndef VK_CORE_ERR_H
#define VK_CORE_ERR_H

#include <stdbool.h>
#include <stddef.h>

typedef enum vk_status {
  VK_OK = 0,
  VK_E_USAGE,       /* a word or value on the command line; exit code 2 */
  VK_E_IO,          /* the operating system refused: open, read, write, sync, no space */
  VK_E_FORMAT,      /* bytes that do not follow their format */
  VK_E_VERSION,     /* a file or library of another version */
  VK_E_SHAPE,       /* a length or shape other than expected */
  VK_E_RANGE,       /* a number outside its range, NaN and infinity included */
  VK_E_NOMEM,       /* no memory */
  VK_E_NOTFOUND,    /* a name, row or file that is not there */
  VK_E_UNSUPPORTED, /* valid, but not in this build or on this machine */
  VK_E_SIM,         /* the simulator could not go on */
  VK_E_MISMATCH,    /* two things that must agree do not */
  VK_E_INTERRUPTED, /* Ctrl-C or SIGTERM */
  VK_E_DIVERGED,    /* training: a loss or a gradient is not finite */
} vk_status;

/* One error. The caller owns it; a NULL vk_err * is allowed everywhere and loses the sentence. */
typedef struct vk_err {
  vk_status code;
  const char *file; /* where in the source it was made */
  int line;
  char text[512]; /* one sentence: what, where, found, expected, what to do; one that is too long
                     lacks a part of its middle, and control characters became '?' */
} vk_err;

#define VK_ERR_INIT                                                                                \
  {                                                                                                \
    .code = VK_OK                                                                                  \
  }

#if defined(__GNUC__)
#define VK_PRINTF(i_format, i_first) __attribute__((format(printf, i_format, i_first)))
#define VK_NODISCARD                 __attribute__((warn_unused_result))
#define VK_NORETURN                  __attribute__((noreturn))
#else
#define VK_PRINTF(i_format, i_first)
#define VK_NODISCARD
#define VK_NORETURN
#endif

/* Fills *err and returns code. Later calls overwrite: the innermost sentence is usually the best,
 * so callers propagate with VK_TRY and add context with vk_err_prefix. */
#define vk_fail(err, code, ...) vk_fail_at((err), (code), __FILE__, __LINE__, __VA_ARGS__)
vk_status vk_fail_at(vk_err *err, vk_status code, const char *file, int line, const char *format,
                     ...) VK_PRINTF(5, 6);

/* Puts "CONTEXT: " before the sentence and returns err->code (VK_E_IO when err is NULL). */
vk_status vk_err_prefix(vk_err *err, const char *format, ...) VK_PRINTF(2, 3);

#define VK_TRY(call)                                                                               \
  do {                                                                                             \
    vk_status vk_try_status_ = (call);                                                             \
    if (vk_try_status_ != VK_OK)                                                                   \
      return vk_try_status_;                                                                       \
  } while (0)

/* As VK_TRY inside a function that has `vk_status st` and a `done:` label that cleans up. */
#define VK_TRY_DONE(call)                                                                          \
  do {                                                                                             \
    if ((st = (call)) != VK_OK)                                                                    \
      goto done;                                                                                   \
  } while (0)

/* What only wrong code can cause: says where and aborts. */
#define VK_ASSERT(cond) ((cond) ? (void)0 : vk_assert_failed(#cond, __FILE__, __LINE__))
VK_NORETURN void vk_assert_failed(const char *cond, const char *file, int line);

#define VK_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* "IO", "FORMAT", ...; never NULL. */
const char *vk_status_name(vk_status status);

/* The "s" behind what a sentence has n of: "" for one. */
const char *vk_plural(long long n);

/* 0 done, 1 failed, 2 usage, 130 interrupted. */
int vk_status_exit_code(vk_status status);

#endif
