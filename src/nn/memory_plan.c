#include "nn/memory_plan.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"

enum {
  N_FIT = 2,
  VISITS_MAX = 20000000, /* placed blocks looked at before the search ends: 20 to 60 ms */
  FRUITLESS_MAX = 4000,  /* tries of the search without a better plan after which it ends */
};

typedef enum fit { FIT_TIGHTEST, FIT_LOWEST } fit;

/* A block that has its place. The list of them is sorted by offset. */
typedef struct placed {
  uint64_t offset, end;
  int32_t first, last, block;
} placed;

/* Sorted by major, then minor, both falling, then by number. */
typedef struct key {
  uint64_t major, minor;
  int32_t block;
} key;

typedef struct planner {
  const vk_memory_block *block;
  int n;
  uint64_t *size;   /* rounded up to the alignment */
  uint64_t *height; /* the most bytes alive at a step of the block's life */
  key *key;
  placed *list;      /* of the plan in work */
  placed *base_list; /* of the plan that the search changes */
  int32_t *order, *rank;
  uint64_t *offset, *base_offset;
  uint64_t n_visit;
  int n_placed;
} planner;

const char *vk_memory_strategy_name(vk_memory_strategy strategy)
{
  static const char *const names[VK_MEMORY_N_STRATEGY] = {
      [VK_MEMORY_BY_SIZE] = "size",       [VK_MEMORY_BY_LIFETIME] = "lifetime",
      [VK_MEMORY_BY_AREA] = "area",       [VK_MEMORY_BY_START] = "start",
      [VK_MEMORY_BY_BREADTH] = "breadth", [VK_MEMORY_BY_SEARCH] = "search",
  };
  VK_ASSERT((unsigned)strategy < VK_MEMORY_N_STRATEGY);
  return names[strategy];
}

size_t vk_memory_plan_arena_bytes(int n)
{
  VK_ASSERT(n >= 0);
  size_t one = 5 * sizeof(uint64_t) + sizeof(key) + 2 * sizeof(placed) + 3 * sizeof(int32_t);
  return (size_t)n * one + 16 * VK_ARENA_ALIGN;
}

static int compare_key(const void *pa, const void *pb)
{
  const key *a = pa, *b = pb;
  if (a->major != b->major)
    return a->major > b->major ? -1 : 1;
  if (a->minor != b->minor)
    return a->minor > b->minor ? -1 : 1;
  return a->block < b->block ? -1 : 1;
}

static bool share_step(const vk_memory_block *a, const vk_memory_block *b)
{
  return a->first <= b->last && b->first <= a->last;
}

static uint64_t lifetime(const vk_memory_block *b)
{
  return (uint64_t)((int64_t)b->last - b->first) + 1;
}

static vk_status check_blocks(const vk_memory_block *block, int n, uint64_t align, uint64_t *total,
                              vk_err *err)
{
  const uint64_t most = UINT64_C(1) << 62;
  *total = 0;
  for (int i = 0; i < n; i++) {
    if (block[i].first > block[i].last)
      return vk_fail(err, VK_E_RANGE, "memory block %d lives from step %d to %d: it ends too early",
                     i, block[i].first, block[i].last);
    if (block[i].bytes > most - align || *total > most - block[i].bytes - align)
      return vk_fail(err, VK_E_RANGE, "memory blocks 0 to %d have more than 2^62 bytes in all", i);
    *total += (block[i].bytes + align - 1) & -align;
  }
  return VK_OK;
}

/* Sweeps over the steps at which blocks begin: the live peak is at one of them. Sets the lower
 * bound, the peak's step, and of every block the most bytes alive in its life. */
static void measure_lives(planner *p, vk_memory_plan *plan)
{
  for (int i = 0; i < p->n; i++)
    p->key[i] = (key){(uint64_t)(INT32_MAX - (int64_t)p->block[i].first), 0, i};
  qsort(p->key, (size_t)p->n, sizeof *p->key, compare_key);
  memset(p->height, 0, (size_t)p->n * sizeof *p->height);
  plan->lower_bound = 0;
  plan->peak_step = p->n ? p->block[p->key[0].block].first : 0;
  int n_alive = 0; /* order[0..n_alive): the blocks alive at the step */
  for (int i = 0; i < p->n;) {
    int32_t step = p->block[p->key[i].block].first;
    int n_still = 0;
    uint64_t live = 0;
    for (int j = 0; j < n_alive; j++)
      if (p->block[p->order[j]].last >= step)
        p->order[n_still++] = p->order[j];
    for (; i < p->n && p->block[p->key[i].block].first == step; i++)
      p->order[n_still++] = p->key[i].block;
    n_alive = n_still;
    for (int j = 0; j < n_alive; j++)
      live += p->size[p->order[j]];
    for (int j = 0; j < n_alive; j++)
      if (p->height[p->order[j]] < live)
        p->height[p->order[j]] = live;
    if (live > plan->lower_bound) {
      plan->lower_bound = live;
      plan->peak_step = step;
    }
  }
}

static void list_peak_blocks(planner *p, vk_memory_plan *plan)
{
  int n = 0;
  for (int i = 0; i < p->n; i++)
    if (p->size[i] && p->block[i].first <= plan->peak_step && p->block[i].last >= plan->peak_step)
      p->key[n++] = (key){p->block[i].bytes, 0, i};
  qsort(p->key, (size_t)n, sizeof *p->key, compare_key);
  for (int i = 0; i < n; i++)
    plan->live[i] = p->key[i].block;
  plan->n_live = n;
}

static void make_order(planner *p, vk_memory_strategy strategy)
{
  for (int i = 0; i < p->n; i++) {
    uint64_t size = p->size[i], life = lifetime(&p->block[i]), area;
    key k = {size, life, i};
    if (strategy == VK_MEMORY_BY_LIFETIME)
      k = (key){life, size, i};
    else if (strategy == VK_MEMORY_BY_AREA)
      k.major = __builtin_mul_overflow(size, life, &area) ? UINT64_MAX : area;
    else if (strategy == VK_MEMORY_BY_START)
      k = (key){(uint64_t)(INT32_MAX - (int64_t)p->block[i].first), size, i};
    else if (strategy == VK_MEMORY_BY_BREADTH)
      k = (key){p->height[i], size, i};
    p->key[i] = k;
  }
  qsort(p->key, (size_t)p->n, sizeof *p->key, compare_key);
  for (int i = 0; i < p->n; i++)
    p->order[i] = p->key[i].block;
}

/* Puts block b into a gap between the placed blocks that share a step with it; returns its end. */
static uint64_t place_block(planner *p, int32_t b, fit how)
{
  const vk_memory_block *block = &p->block[b];
  uint64_t size = p->size[b], top = 0, best = 0, best_gap = UINT64_MAX;
  int i;
  for (i = 0; i < p->n_placed; i++) {
    const placed *q = &p->list[i];
    if ((block->first > q->last) | (q->first > block->last)) /* one branch, not two */
      continue;
    if (q->offset > top && q->offset - top >= size && q->offset - top < best_gap) {
      best = top;
      best_gap = q->offset - top;
      if (how == FIT_LOWEST || best_gap == size)
        break;
    }
    if (q->end > top)
      top = q->end;
  }
  p->n_visit += (uint64_t)i + 16;
  if (best_gap == UINT64_MAX)
    best = top;
  p->offset[b] = best;

  int lo = 0, hi = p->n_placed;
  while (lo < hi) {
    int mid = (lo + hi) / 2;
    if (p->list[mid].offset <= best)
      lo = mid + 1;
    else
      hi = mid;
  }
  memmove(&p->list[lo + 1], &p->list[lo], (size_t)(p->n_placed - lo) * sizeof *p->list);
  p->list[lo] = (placed){best, best + size, block->first, block->last, b};
  p->n_placed++;
  return best + size;
}

/* Places order[from..n) beside what is placed; returns the peak, or UINT64_MAX once it exceeds
 * most. */
static uint64_t place_rest(planner *p, int from, fit how, uint64_t peak, uint64_t most)
{
  for (int k = from; k < p->n; k++) {
    int32_t b = p->order[k];
    if (p->size[b] == 0) {
      p->offset[b] = 0;
      continue;
    }
    uint64_t end = place_block(p, b, how);
    if (end > peak)
      peak = end;
    if (peak > most)
      return UINT64_MAX;
  }
  return peak;
}

/* The block at rank `from` goes to rank `to`; those between them move by one. */
static void move_in_order(int32_t *order, int from, int to)
{
  int32_t b = order[from];
  if (to < from)
    memmove(&order[to + 1], &order[to], (size_t)(from - to) * sizeof *order);
  else
    memmove(&order[from], &order[from + 1], (size_t)(to - from) * sizeof *order);
  order[to] = b;
}

/* A block that ends above the lower bound, or one of those that it stands on; -1 when there is
 * none. */
static int32_t pick_block(planner *p, int n_list, uint64_t lower_bound, vk_philox *r)
{
  int n_high = 0;
  int32_t chosen = -1;
  for (int i = 0; i < n_list; i++) {
    const placed *q = &p->base_list[i];
    if (q->end > lower_bound && vk_philox_u32(r) % (uint32_t)++n_high == 0)
      chosen = q->block;
  }
  /* every other time go down one or more blocks of the pile */
  while (chosen >= 0 && vk_philox_u32(r) % 2 == 0) {
    int n_below = 0;
    int32_t below = -1;
    for (int i = 0; i < n_list; i++) {
      const placed *q = &p->base_list[i];
      if (q->end <= p->base_offset[chosen] && share_step(&p->block[q->block], &p->block[chosen]) &&
          vk_philox_u32(r) % (uint32_t)++n_below == 0)
        below = q->block;
    }
    if (below < 0)
      break;
    chosen = below;
  }
  return chosen;
}

/* The rank of one of the blocks before rank `from` that share a step with block b, or 0. */
static int pick_rank(const planner *p, int32_t b, int from, vk_philox *r)
{
  int n = 0, to = 0;
  for (int k = 0; k < from; k++)
    if (share_step(&p->block[p->order[k]], &p->block[b]) && vk_philox_u32(r) % (uint32_t)++n == 0)
      to = k;
  return to;
}

/* list[] := the blocks of the base plan whose rank is below n_keep; returns their peak. */
static uint64_t keep_placed(planner *p, int n_list, int n_keep)
{
  uint64_t peak = 0;
  p->n_placed = 0;
  for (int i = 0; i < n_list; i++) {
    const placed *q = &p->base_list[i];
    if (p->rank[q->block] >= n_keep)
      continue;
    p->list[p->n_placed++] = *q;
    p->offset[q->block] = q->offset;
    if (q->end > peak)
      peak = q->end;
  }
  p->n_visit += (uint64_t)n_list;
  return peak;
}

static void accept_placed(planner *p)
{
  memcpy(p->base_list, p->list, (size_t)p->n_placed * sizeof *p->list);
  memcpy(p->base_offset, p->offset, (size_t)p->n * sizeof *p->offset);
  for (int k = 0; k < p->n; k++)
    p->rank[p->order[k]] = k;
}

/* Changes the order in p->order, the best of the greedy ones: a block that sticks out above the
 * lower bound, or one below it, is placed earlier, and what followed is placed again. Every
 * sixteenth try may be a little worse than the best plan, so that it leaves local optima. */
static void search(planner *p, vk_memory_plan *plan, fit how)
{
  uint64_t best = plan->peak, current;
  vk_philox r;
  vk_philox_init(&r, 1, 0);
  p->n_placed = 0;
  current = place_rest(p, 0, how, 0, UINT64_MAX);
  int n_list = p->n_placed;
  accept_placed(p);
  for (int fruitless = 0; fruitless < FRUITLESS_MAX && p->n_visit < VISITS_MAX; fruitless++) {
    if (best <= plan->lower_bound)
      break;
    int32_t b = pick_block(p, n_list, plan->lower_bound, &r);
    int from = p->rank[b];
    if (from == 0)
      continue;
    int to = pick_rank(p, b, from, &r);
    uint64_t most = fruitless % 16 == 15 ? best + best / 50 : current;
    move_in_order(p->order, from, to);
    plan->n_try++;
    uint64_t kept = keep_placed(p, n_list, to);
    uint64_t peak = place_rest(p, to, how, kept, most);
    if (peak > most) {
      move_in_order(p->order, to, from);
      continue;
    }
    current = peak;
    accept_placed(p);
    if (peak < best) {
      best = peak;
      fruitless = 0;
      memcpy(plan->offset, p->offset, (size_t)p->n * sizeof *p->offset);
    }
  }
  plan->strategy_peak[VK_MEMORY_BY_SEARCH] = best;
  if (best < plan->peak) {
    plan->peak = best;
    plan->strategy = VK_MEMORY_BY_SEARCH;
  }
}

/* Every order with both fits. Returns the fit of the best. */
static fit try_orders(planner *p, vk_memory_plan *plan)
{
  fit best_fit = FIT_TIGHTEST;
  plan->peak = UINT64_MAX;
  for (int s = 0; s < VK_MEMORY_BY_SEARCH; s++) {
    plan->strategy_peak[s] = UINT64_MAX;
    make_order(p, (vk_memory_strategy)s);
    for (int how = 0; how < N_FIT; how++) {
      p->n_placed = 0;
      uint64_t peak = place_rest(p, 0, (fit)how, 0, UINT64_MAX);
      if (peak < plan->strategy_peak[s])
        plan->strategy_peak[s] = peak;
      if (peak >= plan->peak)
        continue;
      plan->peak = peak;
      plan->strategy = (vk_memory_strategy)s;
      best_fit = (fit)how;
      memcpy(plan->offset, p->offset, (size_t)p->n * sizeof *p->offset);
    }
  }
  return best_fit;
}

static vk_status push_planner(planner *p, vk_arena *arena, vk_err *err)
{
  size_t n = (size_t)p->n;
  if (!(p->size = VK_PUSH(arena, n, uint64_t, err)) ||
      !(p->height = VK_PUSH(arena, n, uint64_t, err)) ||
      !(p->offset = VK_PUSH(arena, n, uint64_t, err)) ||
      !(p->base_offset = VK_PUSH(arena, n, uint64_t, err)) ||
      !(p->key = VK_PUSH(arena, n, key, err)) || !(p->list = VK_PUSH(arena, n, placed, err)) ||
      !(p->base_list = VK_PUSH(arena, n, placed, err)) ||
      !(p->order = VK_PUSH(arena, n, int32_t, err)) || !(p->rank = VK_PUSH(arena, n, int32_t, err)))
    return VK_E_NOMEM;
  return VK_OK;
}

vk_status vk_memory_plan_make(vk_memory_plan *plan, const vk_memory_block *block, int n,
                              uint64_t align, vk_arena *arena, vk_err *err)
{
  VK_ASSERT(n >= 0 && align > 0 && (align & (align - 1)) == 0);
  *plan = (vk_memory_plan){.n_block = n};
  VK_TRY(check_blocks(block, n, align, &plan->total, err));
  if (!(plan->offset = VK_PUSH(arena, (size_t)n, uint64_t, err)) ||
      !(plan->live = VK_PUSH(arena, (size_t)n, int32_t, err)))
    return VK_E_NOMEM;
  size_t mark = vk_arena_mark(arena);
  planner p = {.block = block, .n = n};
  vk_status st = push_planner(&p, arena, err);
  if (st == VK_OK) {
    for (int i = 0; i < n; i++)
      p.size[i] = (block[i].bytes + align - 1) & -align;
    measure_lives(&p, plan);
    list_peak_blocks(&p, plan);
    fit how = try_orders(&p, plan);
    plan->strategy_peak[VK_MEMORY_BY_SEARCH] = plan->peak;
    if (plan->peak > plan->lower_bound) {
      make_order(&p, plan->strategy);
      search(&p, plan, how);
    }
    plan->efficiency = plan->peak ? (double)plan->lower_bound / (double)plan->peak : 1;
    st = vk_memory_plan_check(block, n, align, plan->offset, plan->peak, err);
  }
  vk_arena_release(arena, mark);
  return st;
}

vk_status vk_memory_plan_check(const vk_memory_block *block, int n, uint64_t align,
                               const uint64_t *offset, uint64_t peak, vk_err *err)
{
  for (int i = 0; i < n; i++) {
    const vk_memory_block *a = &block[i];
    if (a->bytes == 0)
      continue;
    if (offset[i] % align)
      return vk_fail(err, VK_E_MISMATCH, "memory block %d lies at %llu, which %llu does not divide",
                     i, (unsigned long long)offset[i], (unsigned long long)align);
    if (offset[i] > peak || a->bytes > peak - offset[i])
      return vk_fail(err, VK_E_MISMATCH,
                     "memory block %d of %llu bytes at %llu ends beyond the arena's %llu bytes", i,
                     (unsigned long long)a->bytes, (unsigned long long)offset[i],
                     (unsigned long long)peak);
    for (int j = 0; j < i; j++)
      if (block[j].bytes && share_step(a, &block[j]) && offset[i] < offset[j] + block[j].bytes &&
          offset[j] < offset[i] + a->bytes)
        return vk_fail(err, VK_E_MISMATCH,
                       "memory blocks %d and %d are alive at step %d and overlap at %llu", j, i,
                       a->first > block[j].first ? a->first : block[j].first,
                       (unsigned long long)(offset[i] > offset[j] ? offset[i] : offset[j]));
  }
  return VK_OK;
}
