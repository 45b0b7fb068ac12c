#!/bin/sh
# check_toolkit.sh FILE CC... - compiles FILE, which compares what stands in for a header of CUDA's
# with the toolkit's own, the first that it includes: any difference is an error. 77 (skip) without a
# toolkit (beside nvcc on PATH, or in /usr/local/cuda) or without that header, in it or in
# /usr/include.
set -eu
file=$1
shift
nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
include=$(dirname "$(dirname "$(readlink -f "$nvcc")")")/include
header=$(sed -n 's/^#include <\(.*\)>$/\1/p' "$file" | head -n 1)
[ -f "$include/cuda_runtime_api.h" ] || exit 77
[ -f "$include/$header" ] || [ -f "/usr/include/$header" ] || exit 77
exec "$@" -std=gnu11 -Wall -Wextra -Wpedantic -Werror -isystem "$include" -fsyntax-only "$file"
