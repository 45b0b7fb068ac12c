/* fiber.c - runs a kernel: one block after the other, each thread a fiber from its first wait on.
 * A thread that never waits is a plain call. In which order threads go on after a wait differs from
 * block to block and from launch to launch, and whole warps run ahead of others, so that a result
 * depends on the order if a barrier is missing. */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "fiber.h"
#include "internal.h"

#if VK_EMULATED_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

enum {
  N_THREAD_MAX = 1024,
  N_LANE = 32,
  N_WARP_MAX = N_THREAD_MAX / N_LANE,
  STACK = VK_EMULATED_ASAN ? 256 << 10 : 64 << 10,
  PAGE = 4096,
  SHARED_GUARD = 256,
};

/* ---- contexts -------------------------------------------------------------------------------- */

typedef struct context {
#if defined(__x86_64__)
  void *sp;
#else
  ucontext_t u;
#endif
  char *stack; /* its lowest address; NULL: of the thread that launches */
#if VK_EMULATED_ASAN
  const void *bottom;
  size_t size;
  void *fake;
#endif
} context;

#if defined(__x86_64__)
void vk_emulated_switch(void **from, void *to);
__asm__(".text\n"
        ".globl vk_emulated_switch\n"
        ".hidden vk_emulated_switch\n"
        ".type vk_emulated_switch, @function\n"
        "vk_emulated_switch:\n"
        "  pushq %rbp\n"
        "  pushq %rbx\n"
        "  pushq %r12\n"
        "  pushq %r13\n"
        "  pushq %r14\n"
        "  pushq %r15\n"
        "  movq %rsp, (%rdi)\n"
        "  movq %rsi, %rsp\n"
        "  popq %r15\n"
        "  popq %r14\n"
        "  popq %r13\n"
        "  popq %r12\n"
        "  popq %rbx\n"
        "  popq %rbp\n"
        "  ret\n"
        ".size vk_emulated_switch, . - vk_emulated_switch\n");
#endif

static context home; /* of the thread that launches */

#if VK_EMULATED_ASAN
static context *left; /* the last that was */

/* home is whichever thread launches: its stack is known once it is left. */
static void context_arrive(void *fake)
{
  bool is_home = left == &home;
  __sanitizer_finish_switch_fiber(fake, is_home ? &home.bottom : NULL, is_home ? &home.size : NULL);
}
#endif

static void context_switch(context *from, context *to)
{
#if VK_EMULATED_ASAN
  left = from;
  __sanitizer_start_switch_fiber(&from->fake, to->bottom, to->size);
#endif
#if defined(__x86_64__)
  vk_emulated_switch(&from->sp, to->sp);
#else
  swapcontext(&from->u, &to->u);
#endif
#if VK_EMULATED_ASAN
  context_arrive(from->fake);
#endif
}

static context fibers[N_THREAD_MAX];

static void context_init(context *c, void (*entry)(void))
{
  if (!c->stack)
    c->stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (c->stack == MAP_FAILED || mprotect(c->stack, PAGE, PROT_NONE) != 0)
    vk_emulated_fatal("no memory for the stack of a thread");
#if VK_EMULATED_ASAN
  c->bottom = c->stack;
  c->size = STACK;
#endif
#if defined(__x86_64__)
  /* what vk_emulated_switch pops: six registers, then where it returns to, then the frame of a
   * function that was called; tops that differ do not compete for the same lines of the cache */
  void **sp = (void **)(c->stack + STACK - (c - fibers) % 61 * 128) - 1;
  *--sp = (void *)(uintptr_t)entry;
  sp -= 6;
  memset(sp, 0, 6 * sizeof *sp);
  c->sp = sp;
#else
  getcontext(&c->u);
  c->u.uc_stack.ss_sp = c->stack;
  c->u.uc_stack.ss_size = STACK;
  c->u.uc_link = NULL;
  makecontext(&c->u, entry, 0);
#endif
}

/* ---- a block --------------------------------------------------------------------------------- */

/* What a thread waits for. */
typedef enum wait_kind { WAIT_NONE, WAIT_BLOCK, WAIT_WARP } wait_kind;

typedef struct thread {
  uint3 idx;
  context *fiber; /* NULL: not begun */
  int rank;       /* its place in the order */
  wait_kind wait;
  int op, arg, width;
  unsigned mask;
  uint64_t value, result;
  const char *file;
  int line;
} thread;

typedef struct warp {
  unsigned alive, waiting; /* bit a lane */
} warp;

/* The block that runs. */
static struct block {
  const vk_emulated_work *work;
  int n_thread, n_alive, n_waiting;  /* at the block's barrier */
  int count;                         /* sum of the values there */
  bool is_cyclic;                    /* go on after the thread that waits, not at the first */
  int last;                          /* rank */
  uint64_t ready[N_THREAD_MAX / 64]; /* bit a rank: has not begun, or need not wait any more */
  thread *order[N_THREAD_MAX];
  thread thread[N_THREAD_MAX];
  warp warp[N_WARP_MAX];
  thread *current;
  context *idle[N_THREAD_MAX];
  int n_idle, n_fiber;
} b;

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;
unsigned char vk_emulated_shared[VK_EMULATED_SHARED_MAX + SHARED_GUARD]
    __attribute__((aligned(128)));

static int index_of(const thread *t)
{
  return (int)(t - b.thread);
}

static void make_ready(thread *t)
{
  t->wait = WAIT_NONE;
  b.ready[t->rank / 64] |= 1ull << t->rank % 64;
}

/* The next thread that can go on, no longer marked; NULL: none. */
static thread *pick(void)
{
  int n_word = (b.n_thread + 63) / 64,
      from = b.is_cyclic && b.last + 1 < b.n_thread ? b.last + 1 : 0;
  int w = from / 64;
  uint64_t bits = b.ready[w] & ~0ull << from % 64;
  for (int i = 0; !bits && i < n_word; i++) {
    w = w + 1 < n_word ? w + 1 : 0;
    bits = b.ready[w];
  }
  if (!bits)
    return NULL;
  b.last = w * 64 + __builtin_ctzll(bits);
  b.ready[w] &= ~(1ull << b.last % 64);
  return b.order[b.last];
}

static void start(thread *t)
{
  b.current = t;
  threadIdx = t->idx;
}

static void where(const thread *t, char *text, size_t n)
{
  snprintf(text, n, "thread (%u, %u, %u) waits at %s:%d for %s", t->idx.x, t->idx.y, t->idx.z,
           t->file, t->line, t->wait == WAIT_BLOCK ? "its block" : "lanes of its warp");
}

static void fatal_block(const char *why, const thread *one, const thread *other)
{
  char a[256] = "", c[256] = "";
  where(one, a, sizeof a);
  if (other)
    where(other, c, sizeof c);
  vk_emulated_fatal("block (%u, %u, %u) of (%u, %u, %u): %s: %s%s%s", blockIdx.x, blockIdx.y,
                    blockIdx.z, gridDim.x, gridDim.y, gridDim.z, why, a, other ? "; " : "", c);
}

static bool same_place(const thread *x, const thread *y)
{
  return x->line == y->line && (x->file == y->file || strcmp(x->file, y->file) == 0);
}

/* Nobody can go on. */
static void deadlock(void)
{
  const thread *one = NULL, *other = NULL;
  for (int i = 0; i < b.n_thread; i++) {
    const thread *t = &b.thread[i];
    if (t->wait == WAIT_NONE)
      continue;
    if (!one)
      one = t;
    else if (!other && (t->wait != one->wait || !same_place(t, one) || t->mask != one->mask))
      other = t;
  }
  fatal_block("its threads wait for ever", one, other);
}

/* ---- fibers ---------------------------------------------------------------------------------- */

static void fiber_main(void);

static context *take_fiber(void)
{
  if (b.n_idle)
    return b.idle[--b.n_idle];
  if (b.n_fiber == N_THREAD_MAX)
    vk_emulated_fatal("more fibers than threads");
  context_init(&fibers[b.n_fiber], fiber_main);
  return &fibers[b.n_fiber++];
}

/* From a fiber, or from home: t, which was picked, goes on. */
static void go_on(context *from, thread *t)
{
  if (!t->fiber)
    t->fiber = take_fiber();
  start(t);
  if (t->fiber != from)
    context_switch(from, t->fiber);
}

/* Leaves the fiber until somebody makes its thread ready and it is picked. */
static void leave(void)
{
  context *self = b.current->fiber;
  thread *next = pick();
  if (next)
    go_on(self, next);
  else /* nobody can go on */
    context_switch(self, &home);
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* All threads of the block that are alive stand at its barrier. */
static void open_barrier(void)
{
  const thread *first = NULL;
  int n = b.n_waiting, count = b.count;
  b.n_waiting = b.count = 0;
  for (int i = 0; i < b.n_thread; i++) {
    thread *t = &b.thread[i];
    if (t->wait != WAIT_BLOCK)
      continue;
    if (first && (!same_place(first, t) || first->op != t->op))
      fatal_block("threads meet at different barriers", first, t);
    first = t;
  }
  for (int i = 0; i < b.n_thread; i++) {
    thread *t = &b.thread[i];
    if (t->wait != WAIT_BLOCK)
      continue;
    t->result = (uint64_t)(t->op == VK_EMULATED_OR    ? count > 0
                           : t->op == VK_EMULATED_AND ? count == n
                                                      : count);
    make_ready(t);
  }
}

int vk_emulated_barrier(int op, int value, const char *file, int line)
{
  thread *t = b.current;
  t->wait = WAIT_BLOCK;
  t->op = op;
  t->file = file;
  t->line = line;
  t->mask = 0;
  b.count += value;
  b.n_waiting++;
  /* the last one waits as well: who goes on first is the order's to say */
  if (b.n_waiting == b.n_alive)
    open_barrier();
  leave();
  return (int)t->result;
}

static int source_of(const thread *t, int lane)
{
  int first = lane & ~(t->width - 1), last = first + t->width - 1, from = lane;
  switch (t->op) {
  case VK_EMULATED_IDX:
    return first + (t->arg & (t->width - 1));
  case VK_EMULATED_UP:
    from = lane - t->arg;
    return from < first ? lane : from;
  case VK_EMULATED_DOWN:
    from = lane + t->arg;
    return from > last ? lane : from;
  default:
    from = lane ^ t->arg;
    return from > last ? lane : from;
  }
}

/* Those of the lanes in group, which met, whose value is not 0. */
static unsigned votes_of(const thread *lanes, unsigned group)
{
  unsigned votes = 0;
  for (unsigned rest = group; rest; rest &= rest - 1)
    votes |= lanes[__builtin_ctz(rest)].value ? rest & -rest : 0;
  return votes;
}

/* What lane gets by a shuffle in group. */
static uint64_t shuffled(const thread *lanes, unsigned group, int lane)
{
  int from = source_of(&lanes[lane], lane);
  /* what a lane that is not there would send is undefined */
  return from >= 0 && from < N_LANE && group >> from & 1 ? lanes[from].value : UINT64_MAX;
}

/* If all lanes that t's mask names stand where t does, they go on. */
static void open_warp(const thread *t)
{
  warp *w = &b.warp[index_of(t) / N_LANE];
  thread *lanes = &b.thread[index_of(t) / N_LANE * N_LANE];
  unsigned group = t->mask & w->alive;
  if ((w->waiting & group) != group)
    return;
  for (unsigned rest = group; rest; rest &= rest - 1) {
    const thread *l = &lanes[__builtin_ctz(rest)];
    if (l->op != t->op || l->mask != t->mask || !same_place(l, t))
      return;
  }
  unsigned votes = t->op < VK_EMULATED_IDX ? votes_of(lanes, group) : 0;
  uint64_t all = t->op == VK_EMULATED_SYNC  ? 0
                 : t->op == VK_EMULATED_OR  ? votes != 0
                 : t->op == VK_EMULATED_AND ? votes == group
                                            : votes;
  for (unsigned rest = group; rest; rest &= rest - 1) {
    int lane = __builtin_ctz(rest);
    lanes[lane].result = t->op < VK_EMULATED_IDX ? all : shuffled(lanes, group, lane);
  }
  for (unsigned rest = group; rest; rest &= rest - 1)
    make_ready(&lanes[__builtin_ctz(rest)]);
  w->waiting &= ~group;
}

uint64_t vk_emulated_warp(int op, unsigned mask, uint64_t value, int arg, int width,
                          const char *file, int line)
{
  thread *t = b.current;
  int lane = index_of(t) % N_LANE;
  t->wait = WAIT_WARP;
  t->op = op;
  t->mask = mask;
  t->value = value;
  t->arg = arg;
  t->width = width;
  t->file = file;
  t->line = line;
  if (!(mask >> lane & 1))
    fatal_block("a mask does not name the thread that says it", t, NULL);
  if (width < 1 || width > N_LANE || (width & (width - 1)))
    fatal_block("a shuffle's width is not a power of 2 up to 32", t, NULL);
  b.warp[index_of(t) / N_LANE].waiting |= 1u << lane;
  open_warp(t);
  leave();
  return t->result;
}

void vk_emulated_trap(const char *file, int line)
{
  vk_emulated_fatal("block (%u, %u, %u), thread (%u, %u, %u): __trap() at %s:%d", blockIdx.x,
                    blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z, file, line);
}

/* The thread has returned: others may have waited for it alone. */
static void finish(thread *t)
{
  int lane = index_of(t) % N_LANE;
  warp *w = &b.warp[index_of(t) / N_LANE];
  t->fiber = NULL;
  b.n_alive--;
  w->alive &= ~(1u << lane);
  if (b.n_waiting && b.n_waiting == b.n_alive)
    open_barrier();
  for (unsigned rest = w->waiting; rest; rest &= rest - 1)
    if (w->waiting & rest & -rest)
      open_warp(&b.thread[index_of(t) / N_LANE * N_LANE + __builtin_ctz(rest)]);
}

/* A fiber: runs the thread that it was begun for, then others that have not begun, until one waits
 * (which leaves from inside) or there are none. */
static void fiber_main(void)
{
#if VK_EMULATED_ASAN
  context_arrive(NULL);
#endif
  for (;;) {
    thread *t = b.current;
    context *self = t->fiber;
    for (;;) {
      b.work->call(b.work->closure);
      finish(t);
      t = pick();
      if (!t || t->fiber)
        break;
      t->fiber = self;
      start(t);
    }
    b.idle[b.n_idle++] = self;
    if (t)
      go_on(self, t);
    else
      context_switch(self, &home);
  }
}

/* ---- the order of threads -------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *x) /* splitmix64 */
{
  uint64_t z = (*x += 0x9e3779b97f4a7c15ull);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return z ^ z >> 31;
}

static void shuffle(int *x, int n, uint64_t *seed)
{
  for (int i = n - 1; i > 0; i--) {
    int j = (int)(next_random(seed) % (uint64_t)(i + 1)), swap = x[i];
    x[i] = x[j];
    x[j] = swap;
  }
}

/* Four kinds: as numbered, backwards, warps and lanes in any order, and the same with a turn for
 * every thread. In the first three a warp runs as far as it can before another one does. */
static void choose_order(uint64_t seed)
{
  int kind = (int)(seed % 4), n_warp = (b.n_thread + N_LANE - 1) / N_LANE, n = 0;
  int warps[N_WARP_MAX], lanes[N_LANE];
  for (int i = 0; i < n_warp; i++)
    warps[i] = kind == 1 ? n_warp - 1 - i : i;
  for (int i = 0; i < N_LANE; i++)
    lanes[i] = kind == 1 ? N_LANE - 1 - i : i;
  if (kind >= 2) {
    shuffle(warps, n_warp, &seed);
    shuffle(lanes, N_LANE, &seed);
  }
  b.is_cyclic = kind == 3;
  b.last = -1;
  for (int i = 0; i < n_warp; i++)
    for (int k = 0; k < N_LANE; k++) {
      int t = warps[i] * N_LANE + lanes[k];
      if (t >= b.n_thread)
        continue;
      b.thread[t].rank = n;
      b.order[n++] = &b.thread[t];
    }
}

static void run_block(uint64_t seed)
{
  const vk_emulated_work *w = b.work;
  choose_order(seed);
  memset(vk_emulated_shared, 0xff, w->shared);
#if !VK_EMULATED_ASAN
  memset(vk_emulated_shared + w->shared, 0xa5, SHARED_GUARD);
#endif
  b.n_alive = b.n_thread;
  b.n_waiting = b.count = 0;
  for (int i = 0; i < b.n_thread; i++)
    b.ready[i / 64] |= 1ull << i % 64;
  for (int i = 0; i < b.n_thread; i += N_LANE)
    b.warp[i / N_LANE] =
        (warp){.alive = b.n_thread - i >= N_LANE ? 0xffffffffu : (1u << (b.n_thread - i)) - 1};
  go_on(&home, pick());
  if (b.n_alive)
    deadlock();
#if !VK_EMULATED_ASAN
  for (int i = 0; i < SHARED_GUARD; i++)
    if (vk_emulated_shared[w->shared + (size_t)i] != 0xa5)
      vk_emulated_fatal("block (%u, %u, %u): wrote %d bytes beyond %zu bytes of shared memory",
                        blockIdx.x, blockIdx.y, blockIdx.z, i + 1, w->shared);
#endif
}

/* ---- faults ---------------------------------------------------------------------------------- */

static sigjmp_buf way_out;

/* On a stack of its own: the fiber's may be what is full. */
static void on_fault(int signal, siginfo_t *info, void *unused)
{
  const char *what = "is no memory of the device";
  for (int i = 0; i < b.n_fiber; i++)
    if ((char *)info->si_addr >= fibers[i].stack && (char *)info->si_addr < fibers[i].stack + PAGE)
      what = "is beyond the thread's stack";
  vk_emulated_say("block (%u, %u, %u) of (%u, %u, %u), thread (%u, %u, %u): %p %s", blockIdx.x,
                  blockIdx.y, blockIdx.z, gridDim.x, gridDim.y, gridDim.z, threadIdx.x, threadIdx.y,
                  threadIdx.z, info->si_addr, what);
  siglongjmp(way_out, 1);
}

typedef struct handlers {
  struct sigaction segv, bus;
  stack_t stack;
} handlers;

static void set_handlers(handlers *old)
{
  static char stack[64 << 10];
  struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  const stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
  if (VK_EMULATED_ASAN) /* which says more */
    return;
  sigemptyset(&act.sa_mask);
  sigaltstack(&own, &old->stack);
  sigaction(SIGSEGV, &act, &old->segv);
  sigaction(SIGBUS, &act, &old->bus);
}

static void restore_handlers(const handlers *old)
{
  if (VK_EMULATED_ASAN)
    return;
  sigaction(SIGSEGV, &old->segv, NULL);
  sigaction(SIGBUS, &old->bus, NULL);
  sigaltstack(&old->stack, NULL);
}

/* ---- launches -------------------------------------------------------------------------------- */

static void run_blocks(uint64_t seed)
{
  const vk_emulated_work *w = b.work;
  uint64_t n_block = (uint64_t)w->grid.x * w->grid.y * w->grid.z;
  for (uint64_t k = 0; k < n_block; k++) {
    uint64_t i = seed >> 32 & 1 ? n_block - 1 - k : k;
    blockIdx = (uint3){(unsigned)(i % w->grid.x), (unsigned)(i / w->grid.x % w->grid.y),
                       (unsigned)(i / w->grid.x / w->grid.y)};
    run_block(seed + k);
  }
}

bool vk_emulated_run(const vk_emulated_work *w, uint64_t seed)
{
  volatile bool is_done = false;
  handlers old;
  b.work = w;
  b.n_thread = (int)(w->block.x * w->block.y * w->block.z);
  blockDim = w->block;
  gridDim = w->grid;
  for (int i = 0; i < b.n_thread; i++) {
    unsigned u = (unsigned)i;
    b.thread[i] =
        (thread){.idx = {u % w->block.x, u / w->block.x % w->block.y, u / w->block.x / w->block.y}};
  }
#if VK_EMULATED_ASAN
  ASAN_UNPOISON_MEMORY_REGION(vk_emulated_shared, sizeof vk_emulated_shared);
  ASAN_POISON_MEMORY_REGION(vk_emulated_shared + w->shared, sizeof vk_emulated_shared - w->shared);
#endif
  set_handlers(&old);
  if (sigsetjmp(way_out, 1) == 0) {
    run_blocks(seed);
    is_done = true;
  } else { /* fibers stand where they were: begin with new ones */
    memset(b.ready, 0, sizeof b.ready);
    b.n_fiber = b.n_idle = 0;
  }
  restore_handlers(&old);
#if VK_EMULATED_ASAN
  ASAN_UNPOISON_MEMORY_REGION(vk_emulated_shared, sizeof vk_emulated_shared);
#endif
  return is_done;
}
