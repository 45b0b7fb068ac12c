# files.sh - what files a tree has, for the lints: sourced with ROOT as $1, which becomes the current
# folder. What git ignores there is not the tree's (builds, runs, environments of other programs).
cd "$1" || exit 1

# files PLACE...: paths of the files below these, or of all, sorted. Where the tree is no checkout of
# its own (an archive, a copy inside another checkout) they are those that lie there, but for the
# folders that .gitignore names.
files() {
  { [ -e .git ] && git -c core.quotePath=off ls-files --cached --others --exclude-standard -- "$@" \
    2>/dev/null || find "${@:-.}" \( -path './build*' -o -path ./runs \) -prune -o ! -type d -print \
    2>/dev/null | sed 's|^\./||'; } | sort -u | while read -r file; do
    [ -f "$file" ] && echo "$file" # what the index knows may be gone
  done
}
