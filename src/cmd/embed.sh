#!/bin/sh
# embed.sh HEADER NAME FILE [NAME FILE]... - prints C source that defines the arrays NAME of the header,
# NULL-terminated: the lines of a text file, each a string of its own as compilers limit their length.
printf '#include "%s"\n\n#include <stddef.h>\n' "$1"
shift
while [ $# -gt 1 ]; do
  printf '\nconst char *const %s[] = {\n' "$1"
  sed 's/[\\"]/\\&/g; s/.*/    "&\\n",/' "$2" || exit 1
  printf '    NULL,\n};\n'
  shift 2
done
