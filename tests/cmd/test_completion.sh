# What the shells offer, asked from the shells themselves.
. "${0%/*}/lib.sh"
PATH=$(dirname "$VLAKIT"):$PATH
export PATH

expect 0 completion --words protocols
prints oft
expect 0 completion --words policies
prints zero
prints bundled
expect 1 completion --words suites --pack missing
says missing
expect 2 completion --words suites bash

# A run that is done, and others that are not.
expect 0 eval -q --suite libero_spatial/1 --policy zero --row 0
finished=$("$VLAKIT" completion --words runs)
python3 - <<'PY'
import sqlite3
db = sqlite3.connect("data/vlakit/catalog.db")
columns = [row[1] for row in db.execute("PRAGMA table_info(run)")]
for id, state in ("stopped1", "interrupted"), ("failed01", "failed"):
    taken = ", ".join({"id": f"'{id}'", "state": f"'{state}'"}.get(c, c) for c in columns)
    db.execute(f"INSERT INTO run SELECT {taken} FROM run WHERE state = 'done'")
db.commit()
PY
expect 0 completion --words runs
check 'three runs' [ "$(wc -l <out)" = 3 ]
expect 0 completion --words unfinished
check 'two of them can go on' [ "$(sort out | tr '\n' ' ')" = 'failed01 stopped1 ' ]

cat >"$T/ask.bash" <<'B'
source <(vlakit completion bash)
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_vlakit
echo " ${COMPREPLY[*]} "
B
offers() { # offers WORD LINE...: bash offers the word at the end of the line
  n_check=$((n_check + 1))
  word=$1
  shift
  bash "$T/ask.bash" "$@" >"$T/out" 2>"$T/err"
  [ ! -s "$T/err" ] || fail "bash completion of '$*': $(cat "$T/err")"
  grep -qF -- " $word " "$T/out" || fail "bash completion of '$*' lacks $word: $(cat "$T/out")"
}
offers_no() { # offers_no WORD LINE...: and this not
  n_check=$((n_check + 1))
  word=$1
  shift
  bash "$T/ask.bash" "$@" >"$T/out" 2>&1
  ! grep -qF -- " $word " "$T/out" || fail "bash completion of '$*' has $word"
}
if command -v bash >/dev/null; then
  touch "$T/some_file"
  offers help vlakit ''
  offers --version vlakit --
  offers completion vlakit comp
  offers completion vlakit help ''
  offers zsh vlakit completion ''
  offers --isa vlakit graph --is
  offers avx2 vlakit graph --isa a
  offers avx2 vlakit graph --isa = a
  offers protocols vlakit completion --words ''
  offers libero vlakit import ''
  offers some_file vlakit import libero --from other.whl some
  offers oft vlakit tasks --protocol ''
  if "$VLAKIT" completion --words suites >"$T/suites" 2>/dev/null; then
    offers libero_goal vlakit tasks --suite lib
    offers libero130 vlakit tasks --suite ''
    offers libero_goal/9 vlakit tasks --task libero_goal/
    offers libero_goal/9 vlakit eval --suite libero_goal/
    offers libero_10,libero_goal vlakit eval --suite libero_10,lib
    offers libero_10,libero_goal/9 vlakit eval --suite = libero_10,libero_goal/9
  fi
  for cmd in bench collect demos eval render replay; do
    offers original vlakit $cmd --visuals ''
    offers some_file vlakit $cmd --visuals some
  done
  offers_no --isa vlakit runs -- # which it does not read
  offers --catalog vlakit runs --
  offers env vlakit bench ''
  offers all vlakit bench ''
  offers convert vlakit demos ''
  offers svg vlakit graph ''
  offers nano-n8 vlakit graph show nano
  offers some_file vlakit graph show some
  offers sft-n2 vlakit train --config sft
  offers batch= vlakit train --set ba
  offers method=sft vlakit train --set meth
  offers sft vlakit train --set method = s
  offers nano-n8 vlakit train --set batch=4 model = ''
  offers oft vlakit train --set protocol = ''
  offers true vlakit train --set length_norm = ''
  offers_no method=sft vlakit train --set method = s
  offers remove vlakit runs ''
  offers "$finished" vlakit runs ''
  offers "$finished" vlakit runs remove ''
  offers_no export vlakit runs remove ''
  offers "$finished" vlakit compare "$finished" ''
  offers stopped1 vlakit eval --resume ''
  offers failed01 vlakit eval --resume = f
  offers_no "$finished" vlakit eval --resume ''
  offers export vlakit policies ''
  offers list vlakit policies l
  offers some_file vlakit policies export some
  offers lr= vlakit train --set batch=4 lr
  offers fusion vlakit graph show nano-n2 --no-pass fu
  offers some_file vlakit demos info some
  offers some_file vlakit demos info some_file ''
  offers some_file vlakit replay some
  offers failures vlakit eval --film ''
  offers cuda vlakit eval --device ''
  offers some_file vlakit eval --pack some
fi

if command -v fish >/dev/null; then
  fish_offers() {
    n_check=$((n_check + 1))
    HOME=$T fish -c "vlakit completion fish | source; complete -C '$2'" 2>"$T/err" |
      cut -f1 >"$T/out"
    grep -qxF -- "$1" "$T/out" || fail "fish completion of '$2' lacks $1: $(cat "$T/err")"
  }
  fish_offers completion 'vlakit '
  fish_offers help 'vlakit help '
  fish_offers --isa 'vlakit graph --is'
  fish_offers avx2 'vlakit graph --isa '
  touch "$T/fish_file"
  fish_offers original 'vlakit render --visuals '
  fish_offers fish_file 'vlakit render --visuals '
  fish_offers convert 'vlakit demos '
  fish_offers fish_file 'vlakit demos info '
  fish_offers remove 'vlakit runs '
  fish_offers "$finished" 'vlakit runs remove '
  fish_offers stopped1 'vlakit eval --resume '
  fish_offers method=sft 'vlakit train --set method='
  if [ -s "$T/suites" ]; then
    fish_offers libero_10,libero_goal 'vlakit eval --suite libero_10,lib'
    fish_offers libero_10,libero_goal/9 'vlakit eval --suite libero_10,libero_goal/'
  fi
fi

if command -v zsh >/dev/null; then
  expect 0 completion zsh
  check 'zsh can read it' zsh -n out
fi
finish
