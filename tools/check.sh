#!/bin/sh
# check.sh - installs what is missing, builds with gcc and with clang without a warning, and passes
# every test twice: optimised, and under AddressSanitizer and UBSan. Prints what each part took; the
# last line is "N passed, N failed", summed over both runs. Exit code 1 when anything failed.
set -u
cd "$(dirname "$0")/.." || exit 1
. tools/deps.sh
exec </dev/null

out=build-check
n_passed=0
n_failed=0
n_skipped=0

now() { date +%s; }
begin() { # begin NAME
  printf '%-24s ' "$1"
  part_start=$(now)
}
end() { # end RESULT
  printf '%5d s  %s\n' $(($(now) - part_start)) "$1"
}

# step NAME COMMAND...: counts as one failed test when it fails, and shows its output's end
step() {
  begin "$1"
  shift
  if "$@" >"$out/log" 2>&1; then
    end ok
    return 0
  fi
  end FAILED
  n_failed=$((n_failed + 1))
  tail -n 40 "$out/log"
  return 1
}

# configure CC CXX FOLDER OPTIONS... The C++ compiler is for the stand-in of a GPU.
configure() {
  compiler=$1
  compiler_cxx=$2
  shift 2
  [ -f "$1/build.ninja" ] || CC=$compiler CXX=$compiler_cxx meson setup "$@"
}

# Prints how many tests of a testlog.json passed, failed and were skipped.
count() {
  python3 - "$1" <<'PY'
import json, sys
n = {"passed": 0, "failed": 0, "skipped": 0}
for line in open(sys.argv[1], encoding="utf-8"):
    r = json.loads(line)["result"]
    n["passed" if r in ("OK", "EXPECTEDFAIL") else "skipped" if r == "SKIP" else "failed"] += 1
print(*n.values())
PY
}

# tests NAME FOLDER: runs the tests there and adds their results up
tests() {
  begin "$1"
  rm -f "$2/meson-logs/testlog.json"
  meson test -C "$2" --no-rebuild --print-errorlogs >"$out/log" 2>&1
  code=$?
  # passed, failed, skipped become $1, $2, $3
  set -- $(count "$2/meson-logs/testlog.json" || echo 0 1 0)
  if [ $code != 0 ] && [ "$2" = 0 ]; then
    set -- "$1" 1 "$3"
  fi
  n_passed=$((n_passed + $1))
  n_failed=$((n_failed + $2))
  n_skipped=$((n_skipped + $3))
  end "$1 passed, $2 failed, $3 skipped"
  [ "$2" = 0 ] || grep -v '^ *[0-9]*/[0-9]* .* OK ' "$out/log" | tail -n 150
}

start=$(now)
mkdir -p "$out"
begin packages
install_missing $build_packages clang clang-format g++ libclang-rt-dev libcmocka-dev \
  fish mandoc zsh >"$out/log" 2>&1 || {
  cat "$out/log"
  exit 1
}
end ok

# Where there is nvcc, the first build has the GPU's kernels; the second would compile the same again.
# The program is also installed and tried from its prefix (tests/cmd/test_install.sh).
if step 'gcc: configure' configure gcc g++ "$out/gcc" --buildtype=release --prefix "$PWD/$out/prefix" &&
  step 'gcc: build' ninja -C "$out/gcc"; then
  tests 'gcc: tests' "$out/gcc"
fi

# Reads of what was never written, which the sanitizers do not see: a network with its gradients and
# optimiser, the ops of practice, and products, by AVX2, the last path that valgrind knows.
valgrind_clean() { # valgrind_clean PROGRAM ARGUMENTS...
  valgrind --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite "$@"
}
if command -v valgrind >/dev/null && grep -q ' avx2 ' /proc/cpuinfo && [ -x "$out/gcc/vlakit" ]; then
  for precision in '' --bf16; do
    # shellcheck disable=SC2086
    step "valgrind: network $precision" valgrind_clean "$out/gcc/tests/parity/parity_nano" --isa avx2 \
      --threads 2 $precision tests/parity/small.npz && n_passed=$((n_passed + 1))
  done
  step 'valgrind: practice' valgrind_clean "$out/gcc/tests/parity/parity_rl" --isa avx2 --threads 2 \
    tests/parity/small_rl && n_passed=$((n_passed + 1))
  for shape in 1x1x1 33x7x15 5x65x513; do
    step "valgrind: product $shape" valgrind_clean "$out/gcc/vlakit" bench gemm --shape $shape \
      --isa avx2 --reps 1 && n_passed=$((n_passed + 1))
  done
fi

if step 'clang: configure' configure clang clang++ "$out/sanitized" --buildtype=debugoptimized \
  -Dcuda=disabled -Db_sanitize=address,undefined -Db_lundef=false -Dc_args=-fno-sanitize-recover=all &&
  step 'clang: build' ninja -C "$out/sanitized"; then
  tests 'ASan and UBSan: tests' "$out/sanitized"
fi

echo "$(($(now) - start)) s in all, $n_skipped tests skipped"
echo "$n_passed passed, $n_failed failed"
[ "$n_failed" = 0 ]
