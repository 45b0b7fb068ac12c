# lib.sh - what the tests of commands share. Sourced by test_*.sh, which meson runs with
#   VLAKIT  the program        VK_SOURCE  the source tree        VK_BUILD  the build folder
# Every test works in its own empty folder, with a data and cache folder of its own.
set -u
VLAKIT=${VLAKIT:?is the program to test}
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM
export XDG_DATA_HOME="$T/data" XDG_CACHE_HOME="$T/cache"
cd "$T" || exit 1
n_check=0
n_fail=0

fail() {
  n_fail=$((n_fail + 1))
  printf 'FAIL: %s\n' "$*"
}

check() { # check WHAT COMMAND...: the command succeeds
  n_check=$((n_check + 1))
  what=$1
  shift
  "$@" || fail "$what"
}

expect() { # expect CODE ARGUMENTS...: runs vlakit; its output is in $T/out and $T/err
  n_check=$((n_check + 1))
  want=$1
  shift
  ran="vlakit $*"
  "$VLAKIT" "$@" >"$T/out" 2>"$T/err" </dev/null
  got=$?
  [ "$got" = "$want" ] || fail "$ran: exit code $got, want $want: $(head -c 300 "$T/err")"
  if [ "$want" != 0 ] && [ "$(wc -l <"$T/err")" != 1 ]; then
    fail "$ran: want one sentence on standard error: $(head -c 300 "$T/err")"
  fi
}

says() { # says TEXT: the last expect's standard error holds it
  n_check=$((n_check + 1))
  grep -qF -- "$1" "$T/err" || fail "$ran: does not say '$1' but: $(head -c 300 "$T/err")"
}

prints() { # prints TEXT: the last expect's standard output holds it
  n_check=$((n_check + 1))
  grep -qF -- "$1" "$T/out" || fail "$ran: does not print '$1'"
}

silent() { # the last expect printed nothing to standard output
  n_check=$((n_check + 1))
  [ ! -s "$T/out" ] || fail "$ran: prints '$(head -c 200 "$T/out")', want nothing"
}

json() { # json [PYTHON]: standard output is one JSON object, named d, for which PYTHON is true
  n_check=$((n_check + 1))
  python3 - "$T/out" "${1:-True}" <<'PY' || fail "$ran: JSON: ${1:-one object}"
import json, sys
def unique(pairs):
    assert len({k for k, _ in pairs}) == len(pairs), "a key comes twice"
    return dict(pairs)
def bare(word):
    raise ValueError(word + " is not JSON")
text = open(sys.argv[1], encoding="utf-8").read()
d = json.loads(text, object_pairs_hook=unique, parse_constant=bare)
ok = isinstance(d, dict) and text.endswith("}\n") and bool(eval(sys.argv[2]))
if not ok:
    print(text[:600])
sys.exit(not ok)
PY
}

commands() { # the names of all commands
  "$VLAKIT" help --json | python3 -c '
import json, sys
print(*(c["command"] for c in json.load(sys.stdin)["commands"]))'
}

# A run in the background, which these two look at through its catalog.
field() { # field CATALOG PYTHON: an expression over the catalog's last run r
  "$VLAKIT" runs --catalog "$1" --json 2>"$T/field" | python3 -c "
import json, sys
r = json.load(sys.stdin)['runs'][-1]
print($2)" 2>"$T/field"
}

can_write() { # can_write CATALOG: nobody is writing
  python3 -c "
import sqlite3, sys
sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).execute('BEGIN IMMEDIATE')" "$1" 2>"$T/field"
}

# wait_for CATALOG PYTHON PID: up to two minutes, until it is true. The process stands still while
# one looks, so that it cannot end meanwhile, and is left standing (kill -CONT), outside of a write.
wait_for() {
  i=0
  while kill -STOP "$3"; do
    [ "$(field "$1" "$2")" = True ] && can_write "$1" && return
    kill -CONT "$3"
    i=$((i + 1))
    [ $i -lt 1200 ] || return 1
    sleep 0.1
  done
  return 1 # it has ended
}

# Training of a network so small that a step takes next to nothing.
learn_from() { # learn_from N [ARGUMENTS...]: makes N demonstrations in demos, and model.json
  n=$1
  shift
  "$VLAKIT" collect -q --suite libero_goal/7 --episodes "$n" --out demos "$@" >"$T/field" || exit 1
  cat >model.json <<'JSON'
{"model": "nano", "d_model": 16, "n_head": 2, "n_encoder": 1, "n_decoder": 1, "stem": [8, 8, 8, 16]}
JSON
}

same() { # same A B [FILE...]: the last checkpoints have the same bits, in these files too
  left=$1
  right=$2
  shift 2
  for file in pretrained_model/model.safetensors training_state/weights.safetensors \
    training_state/optimizer_state.safetensors "$@"; do
    check "$left and $right end with the same $file" cmp "$left/checkpoints/last/$file" \
      "$right/checkpoints/last/$file"
  done
}

kill_at() { # kill_at FILE ARGUMENTS...: vlakit is killed when FILE is there
  at=$1
  shift
  "$VLAKIT" "$@" >"$T/field" 2>&1 &
  pid=$!
  i=0
  while kill -STOP $pid && [ ! -e "$at" ] && [ $i -lt 2400 ]; do
    kill -CONT $pid
    i=$((i + 1))
    sleep 0.02
  done
  kill -9 $pid
  wait $pid 2>"$T/field"
}

terminate() { # terminate CATALOG ARGUMENTS...: vlakit train gets SIGTERM as soon as it runs; says to err
  catalog=$1
  shift
  "$VLAKIT" "$@" >"$T/out" 2>err &
  pid=$!
  wait_for "$catalog" 'r["command"] == "train" and r["state"] == "running"' $pid
  kill -TERM $pid
  kill -CONT $pid
  wait $pid
  code=$?
  check "exit code $code of SIGTERM" [ $code = 143 ]
}

finish() {
  echo "$n_check checks, $n_fail failed"
  [ "$n_fail" = 0 ]
  exit
}

skip() { # skip WHY
  echo "skipped: $*"
  exit 77
}
