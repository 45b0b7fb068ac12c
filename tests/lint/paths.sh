#!/bin/sh
# paths.sh ROOT - every file that a source or script names by its path in the tree (src/, tests/,
# tools/, data/) is there: the test that a header promises above all. Names with capitals in place
# of a word ("tests/unit/test_NAME.c") stand for many files.
. "${0%/*}/files.sh"
n_bad=0
named=$(files src tests tools | grep -E '\.([ch]|sh)$|/meson\.build$' | xargs grep -noE \
  '(^|[^A-Za-z0-9_./$"-])(src|tests|tools|data)/[A-Za-z0-9_./-]+\.(c|h|sh|py|json|pack|txt)([^A-Za-z0-9_]|$)' \
  /dev/null |
  grep -v '^tests/lint/self_test\.sh:' |
  sed -E 's/^([^:]*:[0-9]+):[^A-Za-z0-9]?(.*)$/\1 \2/; s/[^A-Za-z0-9_]$//' | sort -u)
while read -r where path; do
  case $path in '' | *[A-Z][A-Z]*) continue ;; esac
  [ -e "$path" ] && continue
  echo "$where: there is no $path" >&2
  n_bad=1
done <<END
$named
END
exit $n_bad
