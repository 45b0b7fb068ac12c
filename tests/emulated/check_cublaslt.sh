#!/bin/sh
# usage: check_cublaslt.sh CC
# Compiles check_cublaslt.c against the toolkit's cublasLt.h: any difference is an error. 77 (skip)
# without a toolkit: beside nvcc on PATH, or in /usr/local/cuda.
set -eu
here=$(dirname "$0")
nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
include=$(dirname "$(dirname "$(readlink -f "$nvcc")")")/include
[ -f "$include/cublasLt.h" ] || exit 77
exec "$@" -std=gnu11 -isystem "$include" -fsyntax-only "$here/check_cublaslt.c"
