#!/bin/sh
# start.sh - from a fresh clone to the main job: installs the Debian packages that are missing,
# builds build/vlakit, and scores the trained policy that comes with the program once on each of the
# 130 LIBERO tasks; where none comes with it, the scripted expert (about a minute on two cores).
#   sh tools/start.sh            all of it; further arguments go to vlakit eval
#   sh tools/start.sh --build    stops when build/vlakit is built
set -eu
cd "$(dirname "$0")/.."
. tools/deps.sh

case ${1:-} in
-h | --help)
  sed -n '2,6s/^# //p' tools/start.sh
  exit 0
  ;;
esac
install_missing $build_packages
if [ ! -f build/build.ninja ]; then
  meson setup build --buildtype=release -Dtests=false -Dwerror=false >/dev/null ||
    { tail -n 20 build/meson-logs/meson-log.txt >&2; exit 1; }
fi
echo "building build/vlakit: about three minutes on two cores"
if [ -t 1 ]; then
  ninja -C build vlakit # its line counts the files
else
  echo "its messages go to build/start.log"
  ninja -C build vlakit >build/start.log || { tail -n 20 build/start.log >&2; false; }
fi || {
  echo "start: the program could not be built; the compiler's messages are above" >&2
  exit 1
}
echo "built: build/vlakit; build/vlakit help lists what it does"
[ "${1:-}" != --build ] || exit 0
policy=expert
for weights in data/policies/*/model.safetensors; do
  [ ! -f "$weights" ] || policy=bundled
done
exec build/vlakit eval --suite libero130 --policy $policy --episodes 1 "$@"
