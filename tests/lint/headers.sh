#!/bin/sh
# headers.sh ROOT - what headers promise to readers: an opening comment "NAME.h - what it is" that
# names the tests, an include guard, and a comment at every public function. A comment counts for
# the declarations that follow it without a blank line; one behind a declaration counts too. Inline
# functions show what they do.
. "${0%/*}/files.sh"
files src | grep '\.h$' | grep -v '_list\.h$' | xargs awk '
function bad(text) {
  print text > "/dev/stderr"
  n_bad++
}
function end_file() {
  if (file == "")
    return
  if (!names_test)
    bad(file ": the opening comment names no test (\"Test: tests/...\")")
  if (!has_guard)
    bad(file ": no include guard " guard)
}
FNR == 1 {
  end_file()
  file = FILENAME
  guard = file
  sub(/^src\//, "", guard)
  gsub(/[\/.]/, "_", guard)
  guard = "VK_" toupper(guard)
  name = file
  sub(/.*\//, "", name)
  names_test = has_guard = in_comment = is_covered = 0
  in_opening = 1
  if (index($0, "/* " name " - ") != 1)
    bad(file ":1: the file begins with \"/* " name " - \" and what it is")
}
in_opening && /Test:/ { names_test = 1 }
in_opening && /\*\// { in_opening = 0 }
$0 == "#ifndef " guard { has_guard = 1 }
{
  was_in_comment = in_comment
  line = $0
  if (in_comment || line ~ /^[ \t]*\/\*/) {
    in_comment = line !~ /\*\//
    if (!in_comment)
      is_covered = FNR > 1
    next
  }
}
/^[ \t]*$/ { is_covered = 0; next }
# a declaration: NAME( at file level, and not a macro call
/^[A-Za-z_]/ && !/^(typedef|struct|enum|union|static|VK_INLINE|_Static_assert)[ \t(]/ && match($0, /[a-z_0-9]+\(/) && !/^[A-Z_0-9]+\(/ {
  if (!is_covered && $0 !~ /\/\*.*\*\//)
    bad(file ":" FNR ": no comment at " substr($0, RSTART, RLENGTH - 1))
}
END {
  end_file()
  exit n_bad > 0
}' || exit 1
