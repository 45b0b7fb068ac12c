#!/bin/sh
# check-gpu.sh - what can only be checked where there is an NVIDIA GPU: builds in build-gpu, runs the
# tests on it, shows its speed, trains on CPU and GPU and compares, and lets compute-sanitizer look
# at the kernels where that is installed. Prints a line a part and ends within ten minutes: what
# finds no time is left out, and said. From the root of the source tree:
#   sh tools/check-gpu.sh            builds first; takes nvcc and what tools/start.sh installs
#   sh tools/check-gpu.sh --build    builds alone, and packs the programs: build-gpu/programs.tar.xz
#   sh tools/check-gpu.sh --built    builds nothing: runs those of the archive, carried from a
#                                    machine like this one, where build-gpu holds nothing else
# Exit code 0: all well; 1: a part failed; 77: there is no GPU. Outputs stay in build-gpu/check.
set -u
cd "$(dirname "$0")/.." || exit 1
exec </dev/null

build=build-gpu
out=$build/check
all_s=570
tests='ops gemm matmul sizes sum'
n_failed=0

case $#:${1:-} in
  0: | 1:--built | 1:--build) mode=${1:-} ;;
  *)
    echo "usage: sh tools/check-gpu.sh [--build|--built]" >&2
    exit 2
    ;;
esac

now() { date +%s; }
start=$(now)

# Seconds for a part that takes at most $1; 0 when the time is over.
time_for() {
  left=$((all_s - $(now) + start))
  [ $left -lt "$1" ] || left=$1
  [ $left -gt 5 ] || left=0
  echo $left
}

line() { # line NAME SECONDS RESULT
  printf '%-28s %4d s  %s\n' "$1" "$2" "$3"
}

failed() { # failed NAME SECONDS RESULT: with the end of what it printed
  n_failed=$((n_failed + 1))
  line "$1" "$2" "FAILED: $3"
  tail -n 25 "$out/$1.txt" | sed 's/^/    /'
}

# run NAME SECONDS COMMAND...: its output goes to $out/NAME.txt; sets code, took_s and, for those
# that ended well, prints nothing.
run() {
  name=$1
  limit=$(time_for "$2")
  shift 2
  part_start=$(now)
  if [ "$limit" = 0 ]; then
    code=none
    took_s=0
    return
  fi
  timeout -k 5 "$limit" "$@" >"$out/$name.txt" 2>&1
  code=$?
  took_s=$(($(now) - part_start))
}

part() { # part NAME SECONDS COMMAND...: run, and a line about it
  run "$@"
  case $code in
    0) line "$name" $took_s ok ;;
    77) line "$name" $took_s "skipped: $(tail -n 1 "$out/$name.txt")" ;;
    none) line "$name" 0 'left out: no time' ;;
    124 | 137) failed "$name" $took_s "not done after $limit s" ;;
    *) failed "$name" $took_s "exit code $code" ;;
  esac
}

bench() { # bench NAME SECONDS ARGUMENTS...: of vlakit bench; prints what it measured
  bench_name=$1
  bench_s=$2
  shift 2
  part "bench-$bench_name" "$bench_s" "$build/vlakit" bench "$@" --device cuda
  [ "$code" != 0 ] || sed 's/^/    /' "$out/bench-$bench_name.txt"
}

sanitizer() { # sanitizer TOOL: over the ops' test; what has no time to end counts as far as it came
  run "sanitizer-$1" 110 compute-sanitizer --tool "$1" --error-exitcode 9 \
    "$build/tests/unit/test_gpu_ops"
  case $code in
    0) line "$name" $took_s ok ;;
    none) line "$name" 0 'left out: no time' ;;
    124 | 137)
      if grep -qE '========= (Invalid|Error|Race|Program hit)' "$out/$name.txt"; then
        failed "$name" $took_s 'see the output'
      else
        line "$name" $took_s "nothing found until its time was over"
      fi
      ;;
    *) failed "$name" $took_s "exit code $code" ;;
  esac
}

train() { # train DEVICE STEPS: the loss goes to $out/DEVICE-STEPS.json
  part "train-$1-$2-steps" 120 sh -c '
    out=$1 device=$2 steps=$3
    rm -rf "$out/run-$device-$steps"
    "$4/vlakit" train -q --json --config data/configs/sft-n2.json --data "$out/demos" \
      --out "$out/run-$device-$steps" --device "$device" --pack data/libero.pack \
      --catalog "$out/catalog.db" --set "steps=$steps" batch=16 micro_batch=16 warmup=0 \
      precision=f32 dropout=0 visuals=stand-in seed=1 >"$out/$device-$steps.json" &&
    cat "$out/$device-$steps.json"' sh "$out" "$1" "$2" "$build"
}

# same_loss STEPS SHARE: both devices' losses after so many steps differ by at most this share
same_loss() {
  [ -s "$out/cpu-$1.json" ] && [ -s "$out/cuda-$1.json" ] || return
  run "losses-$1-steps" 10 awk -v most="$2" '
    { if (!match($0, /"loss":[ \t]*[-0-9.e+]+/)) next
      x = substr($0, RSTART, RLENGTH); sub(/.*:[ \t]*/, "", x); loss[FILENAME] = x + 0; n++
      if (n == 1) a = x + 0; else b = x + 0 }
    END { d = a > b ? a - b : b - a; share = d / (a > 0 ? a : 1)
      printf "loss %.6f on the CPU, %.6f on the GPU: %.2g apart, at most %g allowed\n", a, b, share, most
      exit !(n == 2 && a > 0 && share <= most) }' "$out/cpu-$1.json" "$out/cuda-$1.json"
  if [ "$code" = 0 ]; then
    line "$name" $took_s "$(cat "$out/$name.txt")"
  else
    failed "$name" $took_s 'the devices learn differently'
  fi
}

no_gpu() {
  echo "no GPU: $*; nothing was checked"
  exit 77
}

# Before minutes of building: does the driver know of a GPU?
if [ "$mode" != --build ]; then
  if command -v nvidia-smi >/dev/null; then
    nvidia-smi -L 2>/dev/null | grep -q '^GPU' || no_gpu 'nvidia-smi lists none'
  else
    ls /dev/nvidia[0-9]* >/dev/null 2>&1 || no_gpu 'there is no /dev/nvidia0 and no nvidia-smi'
  fi
fi

mkdir -p "$out"
programs=tests/parity/parity_nano
for t in random_graphs $(printf 'gpu_%s ' $tests); do
  programs="$programs tests/unit/test_$t"
done
if [ "$mode" != --built ]; then
  if [ "$mode" = --build ]; then
    all_s=7200
  fi
  [ -f "$build/build.ninja" ] ||
    part configure 60 meson setup "$build" --buildtype=release -Dcuda=enabled
  [ $n_failed = 0 ] && part build 7200 ninja -C "$build" vlakit $programs
  [ $n_failed = 0 ] || exit 1
  if [ "$mode" = --build ]; then
    part pack 600 sh -c 'source=$PWD && cd "$1" && shift && rm -rf programs && for p in "$@"; do
      mkdir -p "programs/$(dirname "$p")" && strip -o "programs/$p" "$p" || exit
    done && echo "$source" >programs/source && tar -C programs -cf - . | xz --lzma2=preset=3,dict=128MiB >programs.tar.xz' \
      sh "$build" vlakit $programs
    [ $n_failed = 0 ] || exit 1
    du -h "$build/programs.tar.xz"
    exit 0
  fi
elif [ ! -f "$build/build.ninja" ] && [ -f "$build/programs.tar.xz" ]; then
  part unpack 60 sh -c 'mkdir -p "$1/programs" && xz -dc "$1/programs.tar.xz" | tar -C "$1/programs" -xf -' \
    sh "$build"
  build=$build/programs
  # the program knows where its tree was, and looks for data there
  source=$(cat "$build/source")
  if [ $n_failed = 0 ] && [ ! -e "$source/data" ]; then
    mkdir -p "$source" && ln -s "$PWD/data" "$source/data" && echo "made $source/data, a link"
  fi
fi
for p in vlakit $programs; do
  [ -x "$build/$p" ] || {
    echo "there is no $build/$p; sh tools/check-gpu.sh --build makes it" >&2
    exit 1
  }
done

part doctor 60 "$build/vlakit" doctor --pack data/libero.pack
grep -E '^(ok|note) +(cuda|cpu|memory)' "$out/doctor.txt" | sed 's/^/    /'
if grep -q '^ok *cuda *none' "$out/doctor.txt"; then
  failed doctor 0 'the system has a GPU that the program does not find'
  exit 1
fi

for t in $tests; do
  part "test-$t" 120 "$build/tests/unit/test_gpu_$t"
done
part test-random-graphs 120 "$build/tests/unit/test_random_graphs" 1 100 cuda
part test-parity-nano 60 "$build/tests/parity/parity_nano" --device cuda tests/parity/small.npz
part test-parity-nano-bf16 60 "$build/tests/parity/parity_nano" --device cuda --bf16 \
  tests/parity/small.npz

part collect 60 "$build/vlakit" collect -q --suite libero_goal/7 --episodes 6 --out "$out/demos" \
  --pack data/libero.pack --catalog "$out/catalog.db"
for steps in 1 100; do
  for device in cpu cuda; do
    train $device $steps
  done
done
same_loss 1 1e-4
same_loss 100 0.05

for batch in 1 256 1024; do
  bench "model-b$batch" 60 model --model nano-n2,nano-n8 --batch $batch
  bench "model-b$batch-bf16" 60 model --model nano-n2,nano-n8 --batch $batch --bf16
done
bench ops 90 ops

# bar RESULT least|most VALUE FILE: what an H100 or H200 is to reach
bar() {
  [ -s "$out/$4.txt" ] || return
  awk -v name="$1" -v kind="$2" -v bar="$3" '
    $1 == name {
      ratio = (kind == "least") ? $2 / bar : bar / $2
      said = (ratio >= 1) ? "reached" : sprintf("%.2f of it", ratio)
      printf "    %-42s %12.6g, at %s %g: %s\n", name, $2, kind, bar, said
    }
    ' "$out/$4.txt"
}
echo 'bars, of an H100 or H200:'
bar model.nano-n8.bf16.train.b1024 least 15000 bench-model-b1024-bf16
bar model.nano-n2.bf16.train.b1024 least 40000 bench-model-b1024-bf16
bar model.nano-n8.infer.b1 most 0.6 bench-model-b1
bar model.nano-n8.bf16.infer.b1 most 0.6 bench-model-b1-bf16
bar model.nano-n8.bf16.infer.b256.rate least 60000 bench-model-b256-bf16
# memory: what the device lost beside what was planned is the libraries' own
awk '{ v[$1] = $2 }
  END { for (name in v) if (name ~ /taken_bytes$/) { plan = name; sub(/taken/, "learner", plan)
    printf "    %s: %.1f MB taken, %.1f MB planned, %.1f MB of libraries and rounding\n", name,
      v[name] / 1e6, v[plan] / 1e6, (v[name] - v[plan]) / 1e6 } }' "$out"/bench-model-b*.txt 2>/dev/null

if command -v compute-sanitizer >/dev/null; then
  sanitizer memcheck
  sanitizer racecheck
else
  line sanitizer 0 'left out: no compute-sanitizer on PATH'
fi

echo "$(($(now) - start)) s in all, $n_failed parts failed; outputs are in $out"
[ $n_failed = 0 ]
