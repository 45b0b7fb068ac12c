/* film.h - what episodes of an evaluation looked like: films, and pictures of failures.
 *
 * A watch of vk_evaluate. While an episode runs, it only keeps the row of sim/picture.h of every
 * step; when the episode has ended and pictures of it are wanted, they are drawn in the slot's
 * thread. A film shows what agentview and the wrist camera see, side by side, at the speed of the
 * simulation, with instruction, task, init row, step and outcome below. A picture of a failure
 * shows agentview at the first and the last step.
 *
 * Files below the folder: films/SUITE/taskNN-rowNN-OUTCOME.mp4 and frames/SUITE/... .png; outcome
 * is success, failure or error. Each appears whole or not at all.
 *
 * A film that cannot be made costs no result: it is counted, and the episode's result stays.
 * Test: tests/unit/test_film.c, tests/cmd/test_film.sh */
#ifndef VK_RL_FILM_H
#define VK_RL_FILM_H

#include "core/fs.h"
#include "rl/evaluate.h"
#include "sim/visuals.h"

enum {
  VK_FILM_FPS = 20,            /* control steps a second */
  VK_FILM_FRAMES_PER_TASK = 4, /* pictures, of the failures of the lowest rows */
  VK_FILM_FRAME_SIDE = 160     /* pixels; a picture of a failure is two of them wide */
};

/* Of which episodes there shall be films. */
typedef struct vk_film_choice {
  enum { VK_FILM_NONE, VK_FILM_FAILURES, VK_FILM_ALL, VK_FILM_FIRST } kind;
  int n_first; /* of VK_FILM_FIRST: rows 0 to n_first - 1 of each task */
} vk_film_choice;

/* "all", "failures" (and errors), "none", or a number from 1 to 100000. Errors: VK_E_USAGE. */
VK_NODISCARD vk_status vk_film_parse(vk_film_choice *choice, const char *word, vk_err *err);

typedef struct vk_film_config {
  const char *dir; /* made when it is not there; left-over temporary files are removed from it */
  const vk_pack *pack;
  const vk_protocol *protocol;
  const vk_visuals *visuals;
  vk_isa isa;
  int n_slot; /* vk_eval_n_slot */
  vk_film_choice choice;
  vk_trace *trace; /* NULL: off */
} vk_film_config;

typedef struct vk_film vk_film;

/* The config's pointers must outlive it. Errors: VK_E_UNSUPPORTED (films are wanted, and there is
 * no encoder), VK_E_IO (the folder cannot be made), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_film_new(vk_film **out, const vk_film_config *config, vk_err *err);
void vk_film_free(vk_film *film);

/* For vk_eval_config; lives as long as the film. */
const vk_eval_watch *vk_film_watch(vk_film *film);

typedef struct vk_film_stats {
  int n_film;   /* files written */
  int n_failed; /* episodes whose film or picture could not be made */
  vk_err first; /* why, of the first */
} vk_film_stats;

/* When no episode is running. */
vk_film_stats vk_film_get_stats(const vk_film *film);

typedef enum vk_film_kind { VK_FILM_MP4, VK_FILM_PNG } vk_film_kind;

/* Where the file of an episode is, below the folder and with "/" between names: whether it is there
 * or not. outcome: "success", "failure" or "error". Errors: VK_E_RANGE (does not fit). */
VK_NODISCARD vk_status vk_film_path(char out[VK_FS_PATH_MAX], vk_film_kind kind,
                                    const char *task_id, int row, const char *outcome, vk_err *err);
const char *vk_film_outcome(bool is_error, bool success);

#endif
