/* policy.h - the one way in which evaluation, training and serving see a policy.
 *
 * A policy is a const vk_policy_def in a file policy_NAME.c, its line in meson.build and a line in
 * policy_list.h.
 * Test: tests/unit/test_policy.c */
#ifndef VK_RL_POLICY_H
#define VK_RL_POLICY_H

#include "core/err.h"
#include "core/hash.h"
#include "nn/device.h"
#include "rl/view.h"
#include "sim/env.h"

enum { VK_POLICY_ACTIONS_MAX = 64 }; /* of an answer */

enum {
  VK_POLICY_STATE = 1,    /* looks at the simulator's state (privileged) */
  VK_POLICY_PICTURES = 2, /* looks at camera pictures */
  VK_POLICY_DRAWS = 4,    /* can draw its actions at a temperature */
  VK_POLICY_READS = 8,    /* acts on the instruction's words */
};

/* What an episode's policy sees of one environment in one query. */
typedef struct vk_policy_obs {
  int i_env;  /* slot in [0, n_env) of this policy */
  int i_step; /* control steps since the protocol's waiting steps */
  const char *instruction;
  const char *suite; /* of the task */
  const vk_robot_obs *robot;
  const vk_env *env; /* NULL unless the policy declares VK_POLICY_STATE */
  /* [128, 128, 3] each, as the policy's view says, when it is asked for actions and declares
   * VK_POLICY_PICTURES; else NULL */
  const uint8_t *picture[VK_VIEW_N];
} vk_policy_obs;

typedef struct vk_policy_args {
  const char *argument; /* what stands after "NAME:", or NULL */
  int n_env;            /* slots; each runs one episode at a time */
  uint64_t seed;
  double temperature;      /* of policies that can draw their actions: 0 draws none */
  vk_isa isa;              /* path of a network's kernels */
  const vk_device *device; /* where a network of a checkpoint runs; copied, and what it has must
                              outlive the policy. NULL: the CPU, by one thread an answer */
} vk_policy_args;

typedef struct vk_policy vk_policy;

typedef struct vk_policy_def {
  const char *name;
  const char *help;     /* one line */
  const char *argument; /* metavar of what follows "NAME:", NULL: takes none */
  unsigned needs;       /* VK_POLICY_* */
  vk_status (*open)(void **state, const vk_policy_args *args, vk_err *err);
  void (*close)(void *state);
  /* A new episode begins in slot i_env: env stands after reset, init state and waiting steps.
   * episode is unique per (task, row) and makes generators independent of order. */
  vk_status (*begin)(void *state, const vk_policy_obs *obs, uint64_t episode, vk_err *err);
  /* Next actions of each slot listed: action [n, n_action, 7] out. Called from several threads at
   * once for disjoint slots; the answer for a slot never depends on n or on the other slots. Where
   * it fails for several, each of them is asked anew, alone. */
  vk_status (*act)(void *state, int n, const vk_policy_obs *obs, double *action, vk_err *err);
  /* Whether it can act in tasks of a suite, for those who want to know before anything runs. NULL:
   * in all. */
  vk_status (*check_suite)(const void *state, const char *suite, vk_err *err);
  /* Adds to the hash what stands behind the argument (a file's content). NULL: the argument's own
   * text is all there is. */
  void (*identify)(const void *state, vk_sha256 *hash);
  /* Fills in n_action, n_view, is_batched, view, source, thread_bytes and decoding of a policy
   * that was opened. NULL: one action an answer, no pictures, one environment at a time. */
  void (*describe)(const void *state, vk_policy *policy);
} vk_policy_def;

extern const vk_policy_def *const vk_policy_defs[]; /* NULL-terminated */

#define VK_POLICY(name) extern const vk_policy_def vk_policy_##name;
#include "rl/policy_list.h"
#undef VK_POLICY

struct vk_policy {
  const vk_policy_def *def;
  void *state;
  char hash[65];   /* identifies what acts: name, argument, version, data */
  int n_action;    /* of an answer, at most VK_POLICY_ACTIONS_MAX; it is asked anew when as many of
                      them were executed as it has, or as the protocol allows */
  int n_view;      /* of the pictures, the first so many are looked at */
  bool is_batched; /* answers for many environments at once faster than one by one: it is asked for
                      half of them while the other half steps */
  vk_view_config view;
  const struct vk_checkpoint_source *source; /* what it was trained on; NULL: not known */
  size_t thread_bytes;                       /* memory of each thread that it acts on, about */
  char decoding[40]; /* how actions come about, where there is a choice: "greedy (median)",
                        "sampled at T 0.8" */
};

/* "expert", "replay:FILE", ...; the name of a policy that comes with the program, or a path that is
 * no policy's name, stands for "checkpoint:WORD".
 * Errors: VK_E_USAGE with the nearest name, or for a temperature that it has no use for; those of
 * its open. */
VK_NODISCARD vk_status vk_policy_open(vk_policy *policy, const char *word,
                                      const vk_policy_args *args, vk_err *err);
void vk_policy_close(vk_policy *policy);

enum { VK_POLICY_WORD_MAX = 4096 + 64 };

/* The word as it means the same in any folder: the path of a file or folder that is there becomes
 * a whole one, names stay. Errors: VK_E_IO, VK_E_RANGE (too long). */
VK_NODISCARD vk_status vk_policy_word_absolute(char out[VK_POLICY_WORD_MAX], const char *word,
                                               vk_err *err);

#endif
