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

# A policy that comes with the program is a folder and a row: here it gets one.
if [ -f "$VK_SOURCE/data/libero.pack" ]; then
  cd "$T" || exit 1
  cat >model.json <<'JSON'
{"model": "nano", "d_model": 16, "n_head": 2, "n_encoder": 1, "n_decoder": 1, "stem": [8, 8, 8, 16]}
JSON
  cat >tiny.json <<'JSON'
{"model": "model.json", "batch": 4, "micro_batch": 4, "steps": 1, "warmup": 1}
JSON
  "$VLAKIT" collect -q --suite libero_goal/7 --episodes 2 --out demos >log || fail "$(cat log)"
  "$VLAKIT" train -q --config tiny.json --data demos --out run >log || fail "$(cat log)"
  policies=$prefix/share/vlakit/policies
  mkdir -p "$policies"
  printf '{"policies": [{"name": "tiny", "about": "a test"}]}\n' >"$policies/list.json"
  expect 1 eval --suite libero_goal/7 --policy bundled
  says 'the policy tiny that comes with the program is not installed'
  expect 0 policies
  prints 'a test (not installed)'
  expect 0 doctor
  prints 'note  policy   tiny: the policy tiny that comes with the program is not installed'
  expect 0 policies export run --out "$policies/tiny" --json
  json 'd["dtype"] == "bf16" and d["bytes"] < 1e6'
  hash=$(python3 -c 'import json; print(json.load(open("out"))["policy_hash"])')
  expect 0 policies list --json
  json "[p['path'] for p in d['policies'] if p['name'] in ('bundled', 'tiny')] == 2 * ['$policies/tiny']"
  expect 0 doctor
  prints 'ok    policy   trained ones that come along: tiny'
  cd /
  for word in bundled tiny checkpoint:bundled; do
    expect 0 eval -q --suite libero_goal/7 --episodes 1 --policy $word --json
    json "d['policy_hash'] == '$hash' and d['policy'] == '$word' and d['errors'] == 0"
  done
  expect 2 eval --suite libero_goal/7 --policy tinny
  says 'did you mean tiny?'
  cd "$T" || exit 1
  expect 0 train -q --config tiny.json --data demos --out more --set init=bundled --json
  json 'd["config"]["init"] == "bundled" and d["step"] == 1'
  check 'what it began with' grep -qF "$policies/tiny" more/checkpoints/last/pretrained_model/config.json
  cd /
fi
for c in $(commands); do
  check "man page of $c" [ -s "$prefix/share/man/man1/vlakit-$c.1" ]
done
check 'man page of vlakit' [ -s "$prefix/share/man/man1/vlakit.1" ]
check bash [ -s "$prefix/share/bash-completion/completions/vlakit" ]
check fish [ -s "$prefix/share/fish/vendor_completions.d/vlakit.fish" ]
check zsh [ -s "$prefix/share/zsh/site-functions/_vlakit" ]
finish
