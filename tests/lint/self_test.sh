#!/bin/sh
# self_test.sh ROOT - each lint passes a small good tree and refuses each kind of bad line.
lint=$1/tests/lint
top=$(mktemp -d) || exit 1
trap 'rm -rf "$top"' EXIT
dir=$top
n_bad=0

# A good tree with the four rooms that matter here.
good() {
  rm -rf "$dir/src" "$dir/tests"
  mkdir -p "$dir/src/core" "$dir/src/sim" "$dir/src/nn" "$dir/src/cmd" "$dir/tests/unit"
  : >"$dir/tests/unit/test_a.c"
  cat >"$dir/src/core/a.h" <<'END'
/* a.h - an example. Test: tests/unit/test_a.c */
#ifndef VK_CORE_A_H
#define VK_CORE_A_H

/* Two functions under
 * one comment. */
int vk_a(int x);
void vk_b(const char *text,
          int n);

int vk_c(void); /* a comment behind */

_Static_assert(sizeof(int) == 4, "int");
#define VK_A(x) vk_a(x)
VK_A_LIST(vk_a, vk_b)
typedef int vk_a_fn(int x);

#endif
END
  printf '#include "core/a.h"\n\nint vk_a(int x)\n{\n  return x;\n}\n' >"$dir/src/core/a.c"
  printf '#include <stdio.h>\n\n#include "core/a.h"\n' >"$dir/src/sim/s.c"
  printf '#include "core/a.h"\n' >"$dir/src/nn/n.c"
  printf '#include "nn/n.h"\n#include "sim/s.h"\n\nvoid f(void)\n{\n  puts("x");\n}\n' >"$dir/src/cmd/c.c"
  printf 'int main(void)\n{\n  exit(1);\n}\n' >"$dir/src/main.c"
}

passes() {
  if ! sh "$lint/$1.sh" "$dir" >"$dir/out" 2>&1; then
    echo "$1.sh refuses a good tree: $(cat "$dir/out")" >&2
    n_bad=1
  fi
}

# refuses LINT FILE TEXT [WORD]: with TEXT at the end of FILE the lint fails and names the file, and
# WORD if given.
refuses() {
  good
  printf "$3\n" >>"$dir/src/$2"
  if sh "$lint/$1.sh" "$dir" >"$dir/out" 2>&1; then
    echo "$1.sh lets through in $2: $3" >&2
    n_bad=1
  elif ! grep -q "src/$2.*$4" "$dir/out"; then
    echo "$1.sh does not say src/$2 $4: $(cat "$dir/out")" >&2
    n_bad=1
  fi
}

all_pass() {
  for name in rooms headers calls paths sizes; do
    passes $name
  done
}

# Files that every lint would refuse in the tree's own folders.
ignored() {
  mkdir -p "$dir/runs/env" "$dir/build/src" "$dir/src/made"
  printf "# $(yes w | head -60 | tr '\n' ' ')\n" | tee "$dir/runs/env/meson.build" >"$dir/build/meson.build"
  for file in core/made.h made/made.c; do
    printf '#include "sim/s.h"\nint f(void)\n{\n  exit(1); // src/core/b.h\n}\n' >"$dir/src/$file"
    printf "/* $(yes w | head -60 | tr '\n' ' ') */\n" >>"$dir/src/$file"
  done
}

good
all_pass

refuses rooms core/a.c '#include "sim/s.h"' 'sim/s.h'
refuses rooms sim/s.c '#include "nn/n.h"'
refuses rooms nn/n.c '  #  include "sim/s.h"'
refuses rooms sim/s.c '#include "cmd/c.h"'
refuses rooms nn/n.c '#include "n.h"' 'nn/n.h'
refuses rooms cmd/c.c '#include "cuda/cuda.h"'
refuses rooms sim/s.c '#ifdef VK_CUDA'
refuses rooms main.c '#include "sim/s.h"'

refuses headers core/a.h 'int vk_d(void);' vk_d
refuses headers core/a.h '/* far away */\n\nint vk_d(void);' vk_d
refuses headers core/a.h '/* one */\nint vk_d(void);\n\nvk_status vk_e(int x,' vk_e
refuses headers core/new.h '/* new.h - no test named */\n#ifndef VK_CORE_NEW_H' 'names no test'
refuses headers core/new.h '/* new.h - x. Test: t */\n#ifndef VK_NEW_H' 'VK_CORE_NEW_H'
refuses headers core/new.h '#ifndef VK_CORE_NEW_H' 'begins with'

refuses calls core/a.c '  exit(1);'
refuses calls cmd/c.c '  exit(1);'
refuses calls sim/s.c '  printf("x");'
refuses calls sim/s.c '  fprintf(stderr, "x");'
refuses calls core/a.c '  return rand();'
refuses calls cmd/c.c '  system("ls");'
refuses calls core/a.c '  strcpy(a, b);'
refuses calls core/a.c '  getenv("VLAKIT_FAST");'

refuses paths core/a.h '/* Test: tests/unit/test_a.c, tests/unit/test_b.c */' 'no tests/unit/test_b.c'
refuses paths core/a.c '// see src/core/b.h' 'no src/core/b.h'

refuses sizes core/a.c "$(yes '' | head -800 | sed 's/$/;/')" '800 lines'
refuses sizes core/a.c "void long_one(int a)\n{\n$(yes '  x();' | head -81)\n}" 'long_one'
refuses sizes core/a.c "/* $(yes w | head -60 | tr '\n' ' ') */" columns
refuses sizes core/meson.build "# $(yes w | head -60 | tr '\n' ' ')" columns

if ! command -v git >/dev/null; then
  exit $n_bad
fi

# What git ignores is not the tree's; what it does not know yet is, and what is gone is not.
good
printf '/build*/\n/runs\nmade*\n' >"$dir/.gitignore"
git -C "$dir" init -q && git -C "$dir" add . || exit 1
ignored
all_pass
refuses sizes core/new.c "/* $(yes w | head -60 | tr '\n' ' ') */" columns
refuses calls core/a.c '  exit(1);'
refuses headers core/new.h 'int vk_d(void);' vk_d
good
rm "$dir/src/core/a.c"
all_pass

# A copy inside a checkout that ignores it is a tree all the same.
mkdir -p "$dir/runs/copy"
dir=$top/runs/copy
good
all_pass
refuses sizes core/a.c "/* $(yes w | head -60 | tr '\n' ' ') */" columns
refuses sizes core/meson.build "# $(yes w | head -60 | tr '\n' ' ')" columns
exit $n_bad
