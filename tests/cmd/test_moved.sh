# Where the program finds what comes with it: beside itself, wherever a clone or an installation was
# moved to, before the folders that it was built for; and what it says where there is nothing.
. "${0%/*}/lib.sh"

built=$VLAKIT
mkdir -p clone/build inst/bin inst/share empty/bin
cp -r "$VK_SOURCE/data" clone/data || exit 1
cp -r "$VK_SOURCE/data" inst/share/vlakit || exit 1
cp "$built" clone/build/vlakit && cp "$built" inst/bin/vlakit || exit 1
cp clone/data/configs/sft-n2.json clone/data/configs/of-clone.json
cp clone/data/configs/sft-n2.json inst/share/vlakit/configs/of-inst.json

from() { # from FOLDER NAME: everything that comes along is that of FOLDER
  expect 0 doctor --json
  json "[c['found'].startswith('$1/libero.pack: ') for c in d['checks'] if c['name'] == 'pack'] == [True]"
  expect 0 policies --json
  json "{p['path'].startswith('$1/policies/') for p in d['policies'] if p['path']} == {True}"
  expect 0 train --config list
  prints "$2"
  expect 0 render --task libero_goal/0 --visuals stand-in --size 16 --out "$T/goal.png"
}
VLAKIT=$T/clone/build/vlakit
from "$T/clone/data" of-clone
VLAKIT=$T/inst/bin/vlakit
from "$T/inst/share/vlakit" of-inst
# a link to the program is no place of its own
mkdir links
ln -s ../inst/bin/vlakit links/vlakit
VLAKIT=$T/links/vlakit
from "$T/inst/share/vlakit" of-inst
# a renamed clone, in use
mv clone renamed
VLAKIT=$T/renamed/build/vlakit
from "$T/renamed/data" of-clone
expect 0 eval -q --suite libero_goal/7 --policy expert --row 0 --json
json "d['n_success'] == 1 and d['config']['pack'] == '$T/renamed/data/libero.pack'"

# The same program, but for the paths that it was built with: there is nothing there.
python3 - "$built" empty/bin/vlakit "$VK_SOURCE/data" <<'PY' || exit 1
import re, sys
program = open(sys.argv[1], "rb").read()
places = {sys.argv[3].encode()} | set(re.findall(rb"\0(/[^\0]+/share/vlakit)\0", program))
assert len(places) > 1 and all(b"\0" + place + b"\0" in program for place in places), places
for place in places:
    program = program.replace(b"\0" + place + b"\0", b"\0/" + b"x" * (len(place) - 1) + b"\0")
open(sys.argv[2], "wb").write(program)
PY
chmod +x empty/bin/vlakit
VLAKIT=$T/empty/bin/vlakit
expect 1 tasks
says "no scene pack found, and no --pack FILE given: libero.pack is in none of $T/empty/share/vlakit, $T/empty/data, /xxx"
says 'install the program again'
expect 1 doctor
prints "libero.pack is in none of $T/empty/share/vlakit"
prints 'fix: install the program again, or name a scene pack with --pack'
check 'no download is advised for a pack' [ -z "$(grep -A1 '^FAIL  pack' "$T/out" | grep get-assets)" ]
expect 1 eval --suite libero_goal/7 --policy expert --pack "$VK_SOURCE/data/libero.pack"
says "expert.json is in none of $T/empty/share/vlakit"
expect 1 eval --suite libero_goal/7 --policy bundled --pack "$VK_SOURCE/data/libero.pack"
says "policies/list.json is in none of $T/empty/share/vlakit"
expect 1 train --config sft-n2 --data x --out y
says "configs/sft-n2.json is in none of $T/empty/share/vlakit"
finish
