/* memory_plan.h - where in one arena the tensors of a graph lie, decided before anything runs.
 *
 * A block is a number of bytes that are needed from one step to another, both included. Two blocks
 * whose lives share a step must not overlap; all others may lie at the same place. The planner
 * knows nothing of graphs: tensors that share memory on purpose (in place, views) are one block,
 * and what lives as long as the model (parameters, optimiser state) is not its affair.
 *
 * No plan is smaller than the live peak, the most bytes that are alive at one step. Greedy orders
 * (Pisarchyk & Lee 2020, "Efficient Memory Management for Deep Neural Net Inference"; Sekiyama et
 * al. 2018, "Profile-guided memory optimization for deep neural networks") are tried one after the
 * other and the best is kept; a local search then moves the blocks that stick out above the live
 * peak, until none does or its fixed amount of work is done. The same blocks always give the same
 * plan. Test: tests/unit/test_memory_plan.c */
#ifndef VK_NN_MEMORY_PLAN_H
#define VK_NN_MEMORY_PLAN_H

#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"

enum { VK_MEMORY_ALIGN = 64 }; /* bytes; what a graph's arena uses */

typedef struct vk_memory_block {
  uint64_t bytes;      /* 0 is allowed: it lies at 0 and overlaps nothing */
  int32_t first, last; /* steps of its life, first <= last */
} vk_memory_block;

/* The order in which blocks are placed, each at the tightest or the lowest gap that holds it. */
typedef enum vk_memory_strategy {
  VK_MEMORY_BY_SIZE,     /* the largest first */
  VK_MEMORY_BY_LIFETIME, /* the longest life first: a stack for lives that are nested */
  VK_MEMORY_BY_AREA,     /* the largest product of size and lifetime first */
  VK_MEMORY_BY_START,    /* as a program would allocate them */
  VK_MEMORY_BY_BREADTH,  /* those of the fullest step first */
  VK_MEMORY_BY_SEARCH,   /* the best of these, changed step by step */
  VK_MEMORY_N_STRATEGY,
} vk_memory_strategy;

typedef struct vk_memory_plan {
  int n_block;
  uint64_t *offset;     /* bytes from the arena's start, a block each */
  uint64_t peak;        /* bytes the arena must have */
  uint64_t lower_bound; /* the live peak, every block rounded up to the alignment */
  uint64_t total;       /* bytes if nothing shared a place */
  double efficiency;    /* lower_bound / peak; 1 when both are 0 */
  vk_memory_strategy strategy;
  uint64_t strategy_peak[VK_MEMORY_N_STRATEGY];
  int n_try; /* orders that the search tried; 0 when a greedy one reached the live peak */
  int32_t peak_step;
  int n_live; /* blocks that are alive at peak_step, the largest first */
  int32_t *live;
} vk_memory_plan;

/* "size", "lifetime", ...; never NULL. */
const char *vk_memory_strategy_name(vk_memory_strategy strategy);

/* Bytes of arena that vk_memory_plan_make needs for n blocks, scratch included. */
size_t vk_memory_plan_arena_bytes(int n);

/* block [n]; align is a power of two. offset and live are pushed on the arena and live with it.
 * Errors: VK_E_RANGE when a life ends before it begins or the sizes are beyond 2^62 bytes in all;
 * VK_E_NOMEM when the arena is full. The plan has been checked. */
VK_NODISCARD vk_status vk_memory_plan_make(vk_memory_plan *plan, const vk_memory_block *block,
                                           int n, uint64_t align, vk_arena *arena, vk_err *err);

/* That every offset is aligned, every block ends at or below peak, and no two blocks overlap that
 * are alive at one step. offset [n]. Errors: VK_E_MISMATCH, which names the blocks by number. */
VK_NODISCARD vk_status vk_memory_plan_check(const vk_memory_block *block, int n, uint64_t align,
                                            const uint64_t *offset, uint64_t peak, vk_err *err);

#endif
