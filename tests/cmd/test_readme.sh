# The tour of README.md prints what README.md says.
. "${0%/*}/lib.sh"
check 'the tour' python3 "$VK_SOURCE/tests/cmd/blocks.py" "$VK_SOURCE/README.md"
finish
