#!/bin/sh
# make-tour.sh - makes the scenes and the graph of README.md anew, with stand-in visuals, by
# build/vlakit. The film is one of `vlakit eval --film`, film.png and report.png are screenshots of
# its report.
#   sh tools/make-tour.sh
set -eu
cd "$(dirname "$0")/.."
out=docs/tour
mkdir -p "$out"
for task in libero_spatial/2 libero_object/0 libero_goal/8 libero_10/9 libero_90/74; do
  build/vlakit render --task $task --size 192 --visuals stand-in --out "$out/${task%/*}.png"
done
build/vlakit render --task libero_10/3 --rows 0-14 --size 96 --visuals stand-in \
  --out "$out/rows.png"
build/vlakit graph svg nano-n2 --out "$out/nano-n2.svg"
