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
fi
finish
