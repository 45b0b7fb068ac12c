#!/bin/sh
# check-gpu.sh - what can only be checked where there is an NVIDIA GPU: builds in build-gpu, runs the
# tests on it, shows its speed, trains on CPU and GPU and compares, and lets compute-sanitizer look
# at the kernels where that is installed. Prints a line a part and ends within ten minutes: what
# finds no time, or not enough to end, is left out, and said. From the root of the source tree:
#   sh tools/check-gpu.sh            installs what is missing (Debian) and builds first; takes nvcc
#   sh tools/check-gpu.sh --build    installs and builds alone, and packs the programs with the
#                                    libraries that they need: build-gpu/programs.tar.xz
#   sh tools/check-gpu.sh --built    builds nothing: runs those of the archive, carried from a
#                                    machine like this one, where build-gpu holds nothing else
# Exit code 0: all well; 1: a part failed; 77: there is no GPU. Bars that an H100 or H200 is to reach
# and misses are named in the last lines and fail nothing. Outputs stay in build-gpu/check.
set -u
cd "$(dirname "$0")/.." || exit 1
. tools/deps.sh
exec </dev/null

build=build-gpu
out=$build/check
all_s=570
tests='device ops gemm matmul sizes sum'
n_failed=0
n_left=0
missed=

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
  [ ! -f "$out/$1.txt" ] || tail -n 25 "$out/$1.txt" | sed 's/^/    /'
}

left_out() { # left_out NAME SECONDS WHY
  n_left=$((n_left + 1))
  line "$1" "$2" "left out: $3"
}

miss() { # miss WHAT: a bar, for the last lines
  missed="$missed
    $1"
}

# run NAME SECONDS COMMAND...: its output goes to $out/NAME.txt. Sets took_s and code: the command's,
# none where there was no time to begin, and cut where it got less than SECONDS and did not end.
run() {
  name=$1
  wanted=$2
  limit=$(time_for "$2")
  shift 2
  part_start=$(now)
  rm -f "$out/$name.txt"
  if [ "$limit" = 0 ]; then
    code=none
    took_s=0
    return
  fi
  timeout -k 5 "$limit" "$@" >"$out/$name.txt" 2>&1 </dev/null
  code=$?
  took_s=$(($(now) - part_start))
  case $code in
    124 | 137)
      if [ $took_s -ge "$limit" ] && [ "$limit" -lt "$wanted" ]; then
        code=cut
      fi
      ;;
  esac
}

# There is a GPU: what says that it cannot be tested here has failed, but for the sum without NCCL.
part() { # part NAME SECONDS COMMAND...: run, and a line about it
  run "$@"
  case $code in
    0) line "$name" $took_s ok ;;
    77)
      if [ "$name" = test-sum ]; then
        line "$name" $took_s "skipped: $(tail -n 1 "$out/$name.txt")"
      else
        failed "$name" $took_s 'it was skipped, and there is a GPU'
      fi
      ;;
    none) left_out "$name" 0 'no time' ;;
    cut) left_out "$name" $took_s 'no time to end' ;;
    124 | 137) failed "$name" $took_s "not done after $limit s" ;;
    *) failed "$name" $took_s "exit code $code" ;;
  esac
}

bench() { # bench NAME SECONDS ARGUMENTS...: of vlakit bench; prints what it measured
  bench_name=$1
  bench_s=$2
  shift 2
  part "bench-$bench_name" "$bench_s" "$build/vlakit" bench "$@" --device cuda
  [ ! -s "$out/bench-$bench_name.txt" ] || [ "$code" != 0 ] ||
    sed 's/^/    /' "$out/bench-$bench_name.txt"
}

# A line for each piece of work of the sanitizer: a few ops of the ops' test, or other sizes.
sanitizer_pieces() {
  "$build/vlakit" graph ops | awk '
    /^[a-z]/ && $1 !~ /^(reshape|pack|conv_pack)$/ { names = names " " $1; n++ }
    n == 6 { print "ops" names; names = ""; n = 0 }
    END { if (n) print "ops" names; print "sizes attention\nsizes rows" }'
}

# sanitizer TOOL SECONDS: over the pieces, until its time is over, of which some is left for others.
sanitizer() {
  tool=$1
  end_s=$(($(now) + $(time_for "$2")))
  begin_s=$(now)
  n_clean=0
  n_wrong=0
  rest=
  n_piece=$(wc -l <"$out/pieces")
  i=0
  while read -r test words; do
    i=$((i + 1))
    piece_s=$((end_s - $(now)))
    code=none
    name=sanitizer-$tool-$i
    if [ $piece_s -gt 5 ]; then
      # shellcheck disable=SC2086 # words are arguments
      run "$name" $piece_s compute-sanitizer --tool "$tool" --error-exitcode 9 \
        "$build/tests/unit/test_gpu_$test" $words
    fi
    case $code in
      0) n_clean=$((n_clean + 1)) ;;
      none | cut | 124 | 137)
        if [ -f "$out/$name.txt" ] &&
          grep -qE '========= (Invalid|Error|Race|Program hit|Barrier)' "$out/$name.txt"; then
          n_wrong=$((n_wrong + 1))
          failed "$name" $took_s "see the output: $test $words"
        else
          rest="$rest, $test $words"
        fi
        ;;
      *)
        n_wrong=$((n_wrong + 1))
        failed "$name" $took_s "exit code $code: $test $words"
        ;;
    esac
  done <"$out/pieces"
  took_s=$(($(now) - begin_s))
  if [ -n "$rest" ]; then
    n_left=$((n_left + 1))
    line "sanitizer-$tool" $took_s \
      "PARTIAL: $n_clean of $n_piece pieces clean, $n_wrong failed, no time to end: ${rest#, }"
  elif [ $n_wrong = 0 ]; then
    line "sanitizer-$tool" $took_s "ok: all of $n_piece pieces"
  fi
}

train() { # train DEVICE STEPS: the loss goes to $out/DEVICE-STEPS.json
  part "train-$1-$2-steps" 120 sh -c '
    out=$1 device=$2 steps=$3
    rm -rf "$out/run-$device-$steps" "$out/$device-$steps.json"
    "$4/vlakit" train -q --json --config data/configs/sft-n2.json --data "$out/demos" \
      --out "$out/run-$device-$steps" --device "$device" --pack data/libero.pack \
      --catalog "$out/catalog.db" --set "steps=$steps" batch=16 micro_batch=16 warmup=0 \
      precision=f32 dropout=0 visuals=stand-in seed=1 >"$out/loss.json" &&
    mv "$out/loss.json" "$out/$device-$steps.json" &&
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
  case $code in
    0) line "$name" $took_s "$(cat "$out/$name.txt")" ;;
    none | cut) left_out "$name" $took_s 'no time' ;;
    *) failed "$name" $took_s 'the devices learn differently' ;;
  esac
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

# Those of a run before are not taken for this one's.
rm -rf "$out"
mkdir -p "$out"
programs=tests/parity/parity_nano
for t in random_graphs $(printf 'gpu_%s ' $tests); do
  programs="$programs tests/unit/test_$t"
done

# What the programs need beside what every glibc system has: $build/programs/lib. Libraries that are
# opened when first used are the machine's own: those of the driver and of CUDA, films, HDF5.
pack='
  source=$PWD && cd "$1" && shift && rm -rf programs programs.tar.xz && mkdir -p programs/lib || exit
  for p in "$@"; do
    mkdir -p "programs/$(dirname "$p")" && strip -o "programs/$p" "$p" || exit
    ldd "$p" >ldd.txt || exit
    ! grep "not found" ldd.txt || exit 1
    for l in $(awk "\$2 == \"=>\" && \$3 ~ /^\// { print \$3 }" ldd.txt); do
      case ${l##*/} in
        libc.so* | libm.so* | libdl.so* | librt.so* | libpthread.so* | libresolv.so* | libutil.so*) ;;
        libcuda.so* | libnvidia-*) ;;
        *) [ -f "programs/lib/${l##*/}" ] || strip -o "programs/lib/${l##*/}" "$l" || exit ;;
      esac
    done
  done
  rm ldd.txt
  echo "$source" >programs/source
  tar -C programs -cf - . | xz --lzma2=preset=3,dict=128MiB >programs.tar.xz || exit
  echo "$(ls programs/lib | wc -l) libraries, $(du -sk programs/lib | cut -f1) kB"
  [ "$(du -sm programs.tar.xz | cut -f1)" -lt 60 ] || { echo "the archive has over 60 MB"; exit 1; }'
if [ "$mode" != --built ]; then
  if [ "$mode" = --build ]; then
    all_s=7200
  fi
  # shellcheck disable=SC2086 # a list
  install_missing $build_packages g++ libcmocka-dev || exit 1
  [ -f "$build/build.ninja" ] ||
    part configure 60 meson setup "$build" --buildtype=release -Dcuda=enabled -Dwerror=false
  # shellcheck disable=SC2086
  [ $n_failed = 0 ] && part build 7200 ninja -C "$build" vlakit $programs
  [ $n_failed$n_left = 00 ] || exit 1
  if [ "$mode" = --build ]; then
    # shellcheck disable=SC2086
    part pack 600 sh -c "$pack" sh "$build" vlakit $programs
    [ $n_failed = 0 ] || exit 1
    cat "$out/pack.txt"
    du -h "$build/programs.tar.xz"
    exit 0
  fi
elif [ ! -f "$build/build.ninja" ] && [ -f "$build/programs.tar.xz" ]; then
  part unpack 60 sh -c 'rm -rf "$1/programs" && mkdir -p "$1/programs" &&
    xz -dc "$1/programs.tar.xz" | tar -C "$1/programs" -xf -' sh "$build"
  build=$build/programs
  # the program knows where its tree was, and looks for data there
  source=$(cat "$build/source")
  if [ $n_failed = 0 ] && [ ! -e "$source/data" ]; then
    mkdir -p "$source" && ln -s "$PWD/data" "$source/data" && echo "made $source/data, a link"
  fi
  # What the machine has itself comes first: its driver and CUDA's libraries go with that.
  for l in "$build"/lib/*; do
    ! { ldconfig -p || /sbin/ldconfig -p; } 2>/dev/null | grep -q "^[[:space:]]*${l##*/} (" || rm "$l"
  done
  LD_LIBRARY_PATH=$PWD/$build/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  export LD_LIBRARY_PATH
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
part test-parity-nano 60 "$build/tests/parity/parity_nano" --device cuda tests/parity/small.npz
part test-parity-nano-bf16 60 "$build/tests/parity/parity_nano" --device cuda --bf16 \
  tests/parity/small.npz
part test-random-graphs 120 "$build/tests/unit/test_random_graphs" 1 60 cuda

part collect 60 "$build/vlakit" collect -q --suite libero_goal/7 --episodes 6 --out "$out/demos" \
  --pack data/libero.pack --catalog "$out/catalog.db"
if [ "$code" = 0 ]; then
  for steps in 1 100; do
    for device in cpu cuda; do
      train $device $steps
    done
  done
  same_loss 1 1e-4
  same_loss 100 0.05
fi

# The repetitions of training steps, which a GPU ends in a second or two.
for batch in 1 256 1024; do
  bench "model-b$batch" 60 model --model nano-n2,nano-n8 --batch $batch --reps 20
  bench "model-b$batch-bf16" 60 model --model nano-n2,nano-n8 --batch $batch --bf16 --reps 20
done
bench ops 120 ops

# judge NAME least|most BAR VALUE: a line, and a word for the last lines
judge() {
  if [ -z "$4" ]; then
    printf '    %-42s %12s, at %s %g: not measured\n' "$1" - "$2" "$3"
    miss "$1: not measured"
    return
  fi
  said=$(awk -v kind="$2" -v bar="$3" -v x="$4" 'BEGIN {
    ratio = (kind == "least") ? x / bar : (x > 0 ? bar / x : 1)
    print (ratio >= 1) ? "held" : sprintf("missed: %.2f of it", ratio) }')
  printf '    %-42s %12.6g, at %s %g: %s\n' "$1" "$4" "$2" "$3" "$said"
  [ "$said" = held ] || miss "$1: $4, at $2 $3"
}

# value NAME FILE: what a bench measured
value() {
  [ ! -f "$out/$2.txt" ] || awk -v name="$1" '$1 == name { print $2; exit }' "$out/$2.txt"
}

bar() { # bar RESULT least|most BAR FILE
  judge "$1" "$2" "$3" "$(value "$1" "$4")"
}

# Memory: what the device lost, beside what was planned, in shares of the plan. Of small batches most
# is what libraries keep for themselves; the largest is to hold.
memory_bar() { # memory_bar NAME FILE
  judge "$1: taken over planned, %" most 2 "$(awk -v plan="$(value "$1.learner_bytes" "$2")" \
    -v taken="$(value "$1.taken_bytes" "$2")" \
    'BEGIN { if (plan > 0 && taken != "") printf "%.2f", 100 * (taken / plan - 1) }')"
}

echo 'bars, of an H100 or H200:'
bar model.nano-n8.bf16.train.b1024 least 15000 bench-model-b1024-bf16
bar model.nano-n2.bf16.train.b1024 least 40000 bench-model-b1024-bf16
bar model.nano-n8.infer.b1 most 0.6 bench-model-b1
bar model.nano-n8.bf16.infer.b1 most 0.6 bench-model-b1-bf16
bar model.nano-n8.bf16.infer.b256.rate least 60000 bench-model-b256-bf16
for p in '' .bf16; do
  for model in nano-n2 nano-n8; do
    memory_bar "model.$model$p.train.b1024" "bench-model-b1024$(echo "$p" | tr . -)"
  done
done
awk '{ v[$1] = $2 }
  END { for (name in v) if (name ~ /taken_bytes$/) { plan = name; sub(/taken/, "learner", plan)
    printf "    %s: %.1f MB taken, %.1f MB planned, %.1f MB of libraries and rounding\n", name,
      v[name] / 1e6, v[plan] / 1e6, (v[name] - v[plan]) / 1e6 } }' "$out"/bench-model-b*.txt 2>/dev/null |
  sort

if command -v compute-sanitizer >/dev/null; then
  sanitizer_pieces >"$out/pieces"
  sanitizer memcheck $(($(time_for 600) * 6 / 10))
  sanitizer racecheck $(($(time_for 600) * 6 / 10))
  sanitizer synccheck "$(time_for 600)"
else
  left_out sanitizer 0 'no compute-sanitizer on PATH'
fi

[ -z "$missed" ] || echo "bars missed or not measured:$missed"
echo "$(($(now) - start)) s in all, $n_failed parts failed, $n_left left out in part or whole;" \
  "outputs are in $out"
[ $n_failed = 0 ]
