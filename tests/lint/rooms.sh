#!/bin/sh
# rooms.sh ROOT - dependencies point one way: cmd -> rl, nas -> plan, sim, nn -> core. A file in
# src/ROOM may include only headers of the rooms that its line below allows, by their full name
# ("core/err.h"), so that every dependency can be seen. The rooms are described in ARCHITECTURE.md.
cd "$1/src" || exit 1
allowed() {
  case $1 in
  core) echo core ;;
  cuda) echo core cuda emulated nn ;; # tests/emulated: what launches kernels on a CPU
  nn) echo core nn ;;
  sim) echo core sim ;;
  plan) echo core nn plan ;;
  rl) echo core nn plan rl sim ;;
  nas) echo core nas nn plan rl sim ;;
  cmd) echo cmd core nas nn plan rl sim ;;
  main.c) echo cmd core ;;
  *) return 1 ;;
  esac
}

n_bad=0
bad() {
  echo "$*" >&2
  n_bad=$((n_bad + 1))
}

for room in *; do
  case $room in *.c) ;; *) [ -d "$room" ] || continue ;; esac
  rooms=$(allowed "$room") || {
    bad "src/$room: a new room; say in tests/lint/rooms.sh what it may include"
    continue
  }
  # FILE:LINE:HEADER of each include in quotes
  includes=$(grep -rnE --include='*.[ch]' --include='*.cu' --include='*.cuh' '^[ 	]*#[ 	]*include[ 	]*"' "$room" /dev/null |
    sed 's/:[ 	]*#[ 	]*include[ 	]*"\([^"]*\)".*/:\1/')
  for include in $includes; do
    header=${include##*:}
    case $header in
    config.h | commit.h) continue ;; # made by the build
    */*) ;;
    *)
      bad "src/$include: write the room too, \"$room/$header\""
      continue
      ;;
    esac
    case " $rooms " in
    *" ${header%%/*} "*) ;;
    *) bad "src/${include%:*}: includes $header, but $room may only use: $rooms" ;;
    esac
  done
  # only src/cuda knows whether there is CUDA
  [ "$room" = cuda ] && continue
  cuda=$(grep -rnE --include='*.[ch]' '^[ 	]*#[ 	]*(el)?if.*CUDA' "$room" /dev/null)
  [ -z "$cuda" ] || bad "src/$cuda: only src/cuda may ask for CUDA"
done
[ "$n_bad" -eq 0 ] || exit 1
