#!/bin/sh
# sizes.sh ROOT - a file has one subject and at most 800 lines, a function at most 80 and a line 100
# columns, also of a meson.build.
. "${0%/*}/files.sh"
files | grep -E '^(src|tests)/.*\.[ch]$|(^|/)meson\.build$' | xargs awk '
function bad(text) {
  print text > "/dev/stderr"
  n_bad++
}
FNR == 1 { begin = 0 }
FNR == 801 { bad(FILENAME ": over 800 lines; a file has one subject") }
length($0) > 100 { bad(FILENAME ":" FNR ": " length($0) " columns, 100 at most") }
/^[^ \t#}].*\)[ \t]*$/ || /^[A-Za-z].*\(/ { name = $0 }
/^\{/ { begin = FNR }
/^\}/ {
  if (begin && FNR - begin - 1 > 80)
    bad(FILENAME ":" begin ": " FNR - begin - 1 " lines in a function, 80 at most: " name)
  begin = 0
}
END { exit n_bad > 0 }' || exit 1
