# After `meson install` the program finds its data from any folder, and what comes with it is there.
# Runs where the prefix lies inside the build folder, as in tools/check.sh; nothing else is touched.
. "${0%/*}/lib.sh"

prefix=$(meson introspect --buildoptions "$VK_BUILD" | python3 -c '
import json, sys
print(next(o["value"] for o in json.load(sys.stdin) if o["name"] == "prefix"))')
case $prefix in
  "$(dirname "$VK_BUILD")"/*prefix) ;;
  *) skip "the prefix $prefix is not beside the build folder" ;;
esac
rm -rf "$prefix"
meson install -C "$VK_BUILD" --no-rebuild --quiet >"$T/log" 2>&1
check "meson install: $(tail -n 3 "$T/log")" [ $? = 0 ]

VLAKIT=$prefix/bin/vlakit
cd /
expect 0 --version
if [ -f "$VK_SOURCE/data/libero.pack" ]; then
  expect 0 doctor --json
  json "d['checks'][4]['name'] == 'pack'"
  json "d['checks'][4]['found'].startswith('$prefix/share/vlakit/libero.pack:')"
  expect 0 tasks --suite libero_goal --json
  json "len(d['tasks']) == 10"
  # stand-in visuals are built from an installed file
  expect 0 render --task libero_goal/0 --visuals stand-in --size 16 --out "$T/goal.png"
  # the user's cache comes before the installed folder
  mkdir -p "$XDG_CACHE_HOME/vlakit"
  cp "$prefix/share/vlakit/libero.pack" "$XDG_CACHE_HOME/vlakit/"
  expect 0 doctor --json
  json "d['checks'][4]['found'].startswith('$XDG_CACHE_HOME/vlakit/libero.pack:')"
  # and a file that is named before both
  cp "$prefix/share/vlakit/libero.pack" "$T/my.pack"
  expect 0 doctor --pack "$T/my.pack" --json
  json "d['checks'][4]['found'].startswith('$T/my.pack:')"
fi
for c in "$VK_SOURCE"/data/configs/*.json; do
  check "configuration $c" cmp "$c" "$prefix/share/vlakit/configs/${c##*/}"
done
check 'policies that come along' diff -r "$VK_SOURCE/data/policies" "$prefix/share/vlakit/policies"

if [ -f "$VK_SOURCE/data/libero.pack" ]; then
  expect 0 doctor
  prints 'ok    policy   trained ones that come along: '
  expect 0 policies list --json
  json "all(p['path'].startswith('$prefix/share/vlakit/policies/') for p in d['policies'][:1])"
  expect 0 eval -q --suite libero_goal/7 --policy bundled --row 0 --json
  json "d['policy'] == 'bundled' and d['errors'] == 0 and d['n_episode'] == 1"
fi
for c in $(commands); do
  check "man page of $c" [ -s "$prefix/share/man/man1/vlakit-$c.1" ]
done
check 'man page of vlakit' [ -s "$prefix/share/man/man1/vlakit.1" ]
check bash [ -s "$prefix/share/bash-completion/completions/vlakit" ]
check fish [ -s "$prefix/share/fish/vendor_completions.d/vlakit.fish" ]
check zsh [ -s "$prefix/share/zsh/site-functions/_vlakit" ]
finish
