#!/bin/sh
# make-tour.sh - makes the pictures and the film of README.md anew, with stand-in visuals, by
# build/vlakit.
#   sh tools/make-tour.sh
set -eu
cd "$(dirname "$0")/.."
out=docs/tour
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
for task in libero_spatial/2 libero_object/0 libero_goal/8 libero_10/9 libero_90/74; do
  build/vlakit render --task $task --size 192 --visuals stand-in --out "$out/${task%/*}.png"
done
build/vlakit render --task libero_10/3 --rows 0-14 --size 96 --visuals stand-in \
  --out "$out/rows.png"
build/vlakit eval -q --suite libero_goal/7 --policy expert --episodes 1 --film all \
  --visuals stand-in --catalog "$work/catalog.db" --out "$work/look"
mv "$work/look/films/libero_goal/task07-row00-success.mp4" "$out/turn_on_the_stove.mp4"
