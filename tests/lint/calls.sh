#!/bin/sh
# calls.sh ROOT - what library code leaves to the command: it never prints, never exits, reads no
# environment variable but the user's folders and terminal, and starts no other program.
. "${0%/*}/files.sh"
n_bad=0

# in_sources PATTERN: FILE:LINE:TEXT of every line of src that has it.
in_sources() {
  files src | grep '\.[ch]$' | xargs grep -nE "$1" /dev/null
}

# refuse WHY PATTERN FILES_THAT_MAY: calls of PATTERN anywhere else are refused.
refuse() {
  found=$(in_sources "(^|[^A-Za-z0-9_.>])($2)" |
    grep -vE '^[^:]*:[0-9]+:[ 	]*(/?\*|//)' | grep -vE "^src/($3):")
  [ -z "$found" ] && return
  echo "$found" | sed "s|\$|   <- $1|" >&2
  n_bad=1
}

refuse 'only main ends the program' '(_?exit|_Exit|quick_exit|abort)\(' 'main\.c|core/err\.c'
refuse 'library code returns errors, commands print' \
  '((v?printf|puts|putchar|perror)\(|(stdout|stderr)([^A-Za-z0-9_]|$))' \
  'main\.c|cmd/[^:]*|core/err\.c|core/json\.[ch]|core/log\.[ch]|core/progress\.[ch]'
refuse 'one generator per environment: core/rng.h' '(s?rand|s?random|[dlm]rand48)\(' '-'
refuse 'no other program is started' '(system|popen|exec[lv]p?e?)\(' '-'
refuse 'not safe with threads' '(strtok|gmtime|localtime|asctime|ctime|readdir_r|tmpnam|setlocale)\(' '-'
refuse 'no way to see how much fits' '(gets|strcpy|strcat|sprintf|vsprintf)\(' '-'

env=$(in_sources '(^|[^A-Za-z0-9_])(secure_)?getenv\(' |
  grep -vE 'getenv\("(XDG_[A-Z_]+|HOME|TERM)"\)|getenv\(variable\)')
if [ -n "$env" ]; then
  echo "$env" | sed 's|$|   <- behaviour is an option, not an environment variable|' >&2
  n_bad=1
fi
exit $n_bad
