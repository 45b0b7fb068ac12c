# What the program says of itself.
. "${0%/*}/lib.sh"

expect 0 --version
prints 'vlakit '
prints 'commit '
prints 'MuJoCo '
prints 'CUDA '
expect 0 -V
commit=$(git -C "$VK_SOURCE" rev-parse --short=12 HEAD 2>/dev/null)
if [ -n "$commit" ]; then
  expect 0 --version --json
  json "d['commit'].split('-')[0] == '$commit'"
fi
finish
