#!/bin/sh
# format.sh ROOT - sources are as clang-format 14 writes them (other versions differ in details).
. "${0%/*}/files.sh"
case $(clang-format --version 2>/dev/null) in
  *' version 14.'*) ;;
  *)
    echo 'skipped: no clang-format 14'
    exit 77
    ;;
esac
files src tests | grep '\.[ch]$' | xargs clang-format --dry-run -Werror
