# Results that cannot be written are a failure, never silence; unless nobody wants to read more.
. "${0%/*}/lib.sh"

try() { # try ARGUMENTS...: with standard output closed, full, and read by nobody
  n_check=$((n_check + 3))
  "$VLAKIT" "$@" >&- 2>"$T/err"
  [ $? = 1 ] || fail "vlakit $* >&-: want exit code 1"
  grep -q 'standard output' "$T/err" || fail "vlakit $* >&-: $(cat "$T/err")"
  "$VLAKIT" "$@" >/dev/full 2>"$T/err"
  [ $? = 1 ] || fail "vlakit $* >/dev/full: want exit code 1"
  grep -q 'No space left' "$T/err" || fail "vlakit $* >/dev/full: $(cat "$T/err")"
  unread "$@"
  [ "$code" = 141 ] || fail "vlakit $* into a closed pipe: exit code $code"
  [ ! -s "$T/err" ] || fail "vlakit $* into a closed pipe: $(cat "$T/err")"
}

unread() { # unread ARGUMENTS...: into a pipe whose reader is gone before the first byte is written
  mkfifo "$T/pipe"
  sh -c ': <"$0"' "$T/pipe" &
  {
    wait $!
    "$VLAKIT" "$@" 2>"$T/err"
    echo $? >"$T/code"
  } >"$T/pipe"
  code=$(cat "$T/code")
  rm "$T/pipe"
}

try --version
try --version --json
try --help
try help
try help help
try help --json
try help --man
try completion bash
try completion zsh --json
try tasks
try tasks --json

# a failure stays one
unread help nothing
check 'a failure into a closed pipe: exit code 2' [ "$code" = 2 ]
check 'a failure into a closed pipe: why' grep -q 'unknown command' "$T/err"

# with all three standard files closed nothing that is opened takes their place
"$VLAKIT" help <&- >&- 2>&-
check 'closed standard files: exit code 1' [ $? = 1 ]
finish
