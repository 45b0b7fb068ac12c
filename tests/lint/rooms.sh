#!/bin/sh
# rooms.sh ROOT - dependencies point one way: cmd -> rl, nas -> plan, sim, nn -> core. A file in
# src/ROOM may include only headers of the rooms that its line below allows, by their full name
# ("core/err.h"), so that every dependency can be seen. The rooms are described in ARCHITECTURE.md.
. "${0%/*}/files.sh"
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

# in_room NAMES PATTERN: FILE:LINE:TEXT of every line of this room's files of such names that has it.
in_room() {
  files "src/$room" | grep -E "$1" | xargs grep -nE "$2" /dev/null
}

for room in $(files src | sed -nE 's,^src/([^/]*/|[^/]*\.c$).*,\1,p' | tr -d / | sort -u); do
  rooms=$(allowed "$room") || {
    bad "src/$room: a new room; say in tests/lint/rooms.sh what it may include"
    continue
  }
  # FILE:LINE:HEADER of each include in quotes
  includes=$(in_room '\.([ch]|cuh?)$' '^[ 	]*#[ 	]*include[ 	]*"' |
    sed 's/:[ 	]*#[ 	]*include[ 	]*"\([^"]*\)".*/:\1/')
  for include in $includes; do
    header=${include##*:}
    case $header in
    config.h | commit.h) continue ;; # made by the build
    */*) ;;
    *)
      bad "$include: write the room too, \"$room/$header\""
      continue
      ;;
    esac
    case " $rooms " in
    *" ${header%%/*} "*) ;;
    *) bad "${include%:*}: includes $header, but $room may only use: $rooms" ;;
    esac
  done
  # only src/cuda knows whether there is CUDA
  [ "$room" = cuda ] && continue
  cuda=$(in_room '\.[ch]$' '^[ 	]*#[ 	]*(el)?if.*CUDA')
  [ -z "$cuda" ] || bad "$cuda: only src/cuda may ask for CUDA"
done
[ "$n_bad" -eq 0 ] || exit 1
