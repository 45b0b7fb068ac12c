# What CONTRIBUTING.md tells a newcomer to add is all there is to add: its files and lines are put
# into a copy of the tree, which is built and tried.
. "${0%/*}/lib.sh"

if meson introspect --buildoptions "$VK_BUILD" | python3 -c '
import json, sys
value = next(o["value"] for o in json.load(sys.stdin) if o["name"] == "b_sanitize")
sys.exit(value == "none")'; then
  skip 'said by the build without sanitizers'
fi

mkdir tree
for entry in "$VK_SOURCE"/*; do
  case ${entry##*/} in
    build* | runs) ;;
    *) cp -r "$entry" tree ;;
  esac
done
cat >apply.py <<'PY'
"""Applies "New file `X`:" and "A line in `X`:", each followed by a fenced block."""
import os, re, sys
root = sys.argv[1]
text = open(root + "/CONTRIBUTING.md", encoding="utf-8").read()
n = 0
for what, name, block in re.findall(
        r"(New file|A line in) `([^`]+)`:\n\n```\w*\n(.*?)```\n", text, re.S):
    path = os.path.join(root, name)
    n += 1
    if what == "New file":
        assert not os.path.exists(path), path + " is there already"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w", encoding="utf-8").write(block)
        continue
    # the line stands in order among the lines of its kind: the same but for words
    shape = re.sub(r"\w+", "w", block)
    lines = open(path, encoding="utf-8").read().splitlines(True)
    kind = [i for i, line in enumerate(lines) if re.sub(r"\w+", "w", line) == shape]
    assert kind, path + ": no list that the line " + block + " belongs to"
    at = next((i for i in kind if lines[i] > block), kind[-1] + 1)
    lines.insert(at, block)
    open(path, "w", encoding="utf-8").write("".join(lines))
print(n, "files and lines")
sys.exit(n < 12)
PY
check 'the files and lines' python3 apply.py tree
quietly() { # quietly WHAT COMMAND...: shows the end of its output when it fails
  n_check=$((n_check + 1))
  what=$1
  shift
  "$@" >log 2>&1 || fail "$what: $(tail -n 20 log)"
}
quietly 'configure' meson setup tree/build tree --buildtype=plain -Dwerror=true -Dcuda=disabled
quietly 'build' ninja -C tree/build vlakit tests/unit/test_hello tests/unit/test_ops \
  tests/unit/test_cuda_ops tests/unit/test_random_graphs tests/fuzz/fuzz_hello
check 'what it prints' env VK_SOURCE="$T/tree" VK_BUILD="$T/tree/build" \
  VLAKIT="$T/tree/build/vlakit" python3 tree/tests/cmd/blocks.py tree/CONTRIBUTING.md

# an object of the expert is data: without its row the expert says so, with the row it succeeds
python3 - tree <<'PY'
import json, re, sys
name = sys.argv[1] + "/data/expert.json"
facts = json.load(open(name, encoding="utf-8"))
text = open(sys.argv[1] + "/CONTRIBUTING.md", encoding="utf-8").read()
row = json.loads(next(b for b in re.findall(r"```json\n(.*?)```", text, re.S) if "grasps" in b))
del facts["objects"]["akita_black_bowl"]
json.dump(facts, open(name, "w"))
facts["objects"].update(row)
json.dump(facts, open("with.json", "w"))
PY
VLAKIT=$T/tree/build/vlakit
expect 1 eval -q --suite libero_goal/8 --policy expert --episodes 1 --json
grep -q akita_black_bowl out err || fail 'the object without a row is not named'
cp with.json tree/data/expert.json
expect 0 eval --suite libero_goal/8 --policy expert --episodes 1 --json
json "d['n_success'] == 1"

# a suite is data: LIBERO's own bowl task as a suite of another name
wheels=
for w in "$VK_SOURCE"/runs/wheels/*.whl "$VK_SOURCE"/runs/peer/wheels/*.whl; do
  [ -f "$w" ] && wheels="$wheels $w"
done
if [ -n "$wheels" ]; then
  python3 - "$VK_SOURCE" $wheels <<'PY'
import json, re, sys, zipfile
source, wheels = sys.argv[1], sys.argv[2:]
text = open(source + "/CONTRIBUTING.md", encoding="utf-8").read()
row = json.loads(next(b for b in re.findall(r"```json\n(.*?)```", text, re.S) if "bddl" in b))
facts = json.load(open(source + "/data/libero.json", encoding="utf-8"))
facts["suites"].append(row)
json.dump(facts, open("facts.json", "w"))
import os
for wheel in wheels:
    with zipfile.ZipFile(wheel) as z:
        for name in z.namelist():
            for kind, end in (("bddl", ".bddl"), ("init", ".pruned_init")):
                if name.endswith("libero_goal/" + row["tasks"][0] + end):
                    os.makedirs("mine/" + row[kind], exist_ok=True)
                    open("mine/" + row[kind] + "/" + row["tasks"][0] + end, "wb").write(z.read(name))
PY
  expect 0 import libero --facts facts.json --from mine $wheels --out my.pack
  expect 0 tasks --pack my.pack --suite my_suite --json
  json "[t['name'] for t in d['tasks']] == ['put_the_bowl_on_the_plate']"
  expect 0 eval --pack my.pack --suite my_suite --policy zero --episodes 1 --json
  json "d['n_episode'] == 1 and d['errors'] == 0"
fi
finish
