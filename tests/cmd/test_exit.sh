# Exit codes, refusals with the nearest name, and what every command has in common.
. "${0%/*}/lib.sh"

expect 2
says 'vlakit: no command given'
says 'begin with `vlakit eval --suite libero_goal --policy expert --episodes 1`'
silent
expect 2 hlep
says "vlakit: unknown command 'hlep'; did you mean help?"
silent
expect 2 xylophone
says "unknown command 'xylophone'; there are bench, collect,"
expect 2 ''
expect 2 help hlpe
says 'did you mean help?'
expect 2 -x
expect 2 --catalog x
expect 2 --version extra
expect 0 --help
prints 'Commands:'
expect 0 -h
expect 0 help

long=$(printf '%5000s' '' | tr ' ' e)
expect 2 "$long"
expect 2 help "$long"
expect 2 help "--$long"
expect 2 help --threads "$long"
expect 2 help "$(printf 'h\303\251\033[31m')"
says "$(printf "unknown command 'h\303\251?[31m'")"
expect 2 help "$(printf 'two\nlines')"
says "unknown command 'two?lines'"
expect 1 tasks --pack "$(printf '%3000s' '' | tr ' ' p)/x.pack"
says 'File name too long'

for c in $(commands); do
  expect 0 "$c" --help
  prints "Usage: vlakit $c"
  expect 0 help "$c"
  prints 'Common options:'
  awk 'length($0) > 100 { exit 1 }' "$T/out" || fail "help $c: lines of over 100 columns"
  expect 2 "$c" --jsno
  says "vlakit: $c: unknown option --jsno; did you mean --json?"
  silent
  expect 2 "$c" --xylophone
  says "see vlakit help $c"
  expect 2 "$c" --json=yes
  says 'takes no value'
  expect 2 "$c" --threads
  says '--threads needs a N'
  expect 2 "$c" --threads -1
  says 'a whole number from 0 to 4096'
  expect 2 "$c" --threads 1.5
  expect 2 "$c" --threads 99999999999999999999
  expect 2 "$c" --seed nan
  expect 2 "$c" --seed 4294967296
  expect 2 "$c" --isa avx3
  says 'did you mean avx2?'
  expect 2 "$c" --catalog ''
  expect 2 "$c" --catalog a.db --json --catalog=b.db
  says "vlakit: $c: --catalog is given twice"
done
expect 2 eval --suite libero_goal/0 --policy zero --suite libero_goal/1
says '--suite is given twice'

# --suite and --task are mistaken for each other.
for c in 'eval --task libero_goal' 'collect --tasks libero_goal/7' 'bench --task=x'; do
  expect 2 $c
  says 'did you mean --suite, which takes tasks too, such as libero_goal/7?'
done
expect 2 render --suite libero_goal/7 --out x.png
says 'unknown option --suite; did you mean --task, which takes one task, such as libero_goal/7?'
# Keys of a configuration are mistaken for options; of two values for one, none is dropped.
for c in '--steps 4' '--steps=4'; do
  expect 2 train $c
  says 'unknown option --steps; did you mean --set steps=4?'
done
expect 2 train --micro-batch 8 --lr
says 'unknown option --micro-batch; did you mean --set micro_batch=8?'
expect 2 train --lr
says 'unknown option --lr; did you mean --set lr=VALUE?'
once='train --config sft-n2 --data x --out y'
expect 2 $once --seed 3 --set seed=4
says '--seed and --set seed=4 both set seed; give one of them'
expect 2 $once --set out=z
says '--out and --set out=z both set out'
expect 2 train --task libero_goal/7
says 'unknown option --task'

# Common options are taken by who does not read them, too, and shown by who reads them.
expect 0 runs --isa scalar --seed 3 --threads 1 --pack none --device cpu -q
expect 0 help help --catalog none.db
prints 'every command takes them all'
check 'no option that help does not read' sh -c '! grep -q -e --catalog out'

expect 2 help a b
says "one argument too many: 'b'"
expect 2 help --device gpu
says 'did you mean cpu?'
expect 2 help --device cuda
says 'runs no network'
expect 2 bench gemm --device cuda:x
says 'expected a number after the colon'
expect 2 bench gemm --device cuda:0,0
says '0 is there twice'
expect 2 eval --device cuda:0,1
says 'eval runs on one device; name one of them'
expect 1 bench gemm --device cuda:99
says 'device cuda'
expect 2 completion
expect 2 completion bsah
says 'did you mean bash?'
expect 2 completion bash zsh
finish
