# vlakit demos: what is in files, which rule they break, whether they replay, and conversion.
. "${0%/*}/lib.sh"

suite=libero_goal/7
expect 2 demos
expect 2 demos look x.npz
says 'unknown action'
expect 2 demos info
says 'needs a FILE'
expect 1 demos info none.npz
says 'none.npz: cannot open'
: >empty.hdf5
expect 1 demos info empty.hdf5
says 'empty.hdf5: an empty file'
echo 'no demonstrations, but text' >text.hdf5
expect 1 demos info text.hdf5
says 'text.hdf5: neither a store of demonstrations (.npz) nor HDF5'
silent
mkdir -p folder/suite
expect 2 demos info folder
says 'folder is a folder, and no .npz or .hdf5 is in it'
: >folder/suite/a.hdf5
expect 1 demos check folder
says 'folder/suite/a.hdf5: an empty file'

expect 0 collect -q --suite $suite --episodes 2 --out s.npz --catalog c.db
expect 0 demos info s.npz --json
json 'd["files"][0]["format"] == "store" and d["files"][0]["n_demo"] == 2 and d["files"][0]["ok"]'
json 'd["files"][0]["task"] == "libero_goal/7" and d["files"][0]["errors"] == []'
mkdir -p all/below
cp s.npz all/below/b.npz
cp s.npz all/a.npz
expect 0 demos info all s.npz --json
json '[f["file"] for f in d["files"]] == ["all/a.npz", "all/below/b.npz", "s.npz"]'
expect 2 demos all
says 'is no action but a folder; what is in it: vlakit demos info all'
expect 2 demos s.npz
says "'s.npz' is no action but a file; what is in it: vlakit demos info s.npz"
expect 2 demos not_there.hdf5
says 'vlakit demos info not_there.hdf5'
expect 2 demos convert s.npz --out x.txt
says '--out x.txt: files of demonstrations end in .npz or .hdf5'
check 'nothing was written' [ ! -e x.txt ]
expect 0 demos convert s.npz --format store --out x.txt/
check 'a folder that is meant' [ -f x.txt/s.npz ]
expect 0 demos check -q s.npz --json
json 'd["files"][0]["n_exact"] == 2 and d["files"][0]["n_replay_success"] == 2'
json 'all(m["from"] == "origin" and m["max_abs_qpos"] == 0 for m in d["files"][0]["demos"])'
expect 0 replay -q s.npz --each-step --json
json 'all(f["share_each_step_1e9"] == 1 and f["each_step_success_match"] for f in d["files"])'
expect 0 replay -q s.npz
check 'nothing where nothing applies' grep -qE '^s.npz demo_1 +[0-9]+ +- .* equal +-$' out
expect 2 replay -q s.npz --pictures
says 's.npz holds demonstrations'
expect 1 demos check s.npz --task libero_goal/8
says 's.npz says that it is of libero_goal/'
expect 0 replay -q s.npz --json
json '[f["demo"] for f in d["files"]] == [0, 1] and all(f["success_match"] for f in d["files"])'
expect 0 render --demo s.npz --demo-index 1 --step 3 --size 64 --visuals stand-in --out r.png
check 'a picture' [ -s r.png ]
expect 2 render --demo s.npz --demo-index 9 --out r.png
says 'has no demo_9'
expect 2 render --demo s.npz --step 9999 --out r.png
says '--step 9999: demo_0 of s.npz has the observations 0 to '

# What would change nothing, or cannot be, is refused before anything is done.
expect 2 demos info s.npz --mask success
says '--mask is for vlakit demos convert, not for info'
expect 2 demos check s.npz --obs-align fixed
says '--obs-align is for vlakit demos convert, not for check'
expect 2 demos convert s.npz --from-state --out x.npz
says '--from-state is for vlakit demos check, not for convert'
expect 2 demos convert s.npz --size 64 --out x.hdf5
says '--size is for --pictures'
expect 2 demos convert s.npz --format store --out x.hdf5
says '--out x.hdf5 does not fit --format store'
expect 2 demos convert s.npz s.npz --out x.npz
says 'of 2 files each becomes one'
expect 2 demos convert s.npz s.npz --format store --out both
says 's.npz and s.npz would both become both/s.npz'
check 'nothing was written' [ -z "$(find both x.npz x.hdf5 -type f 2>/dev/null)" ]
expect 0 demos convert s.npz --mask success --out successes.npz
check 'all are successes' [ "$("$VLAKIT" demos info successes.npz | grep -c '2 demonstrations, 2 successes')" = 1 ]
expect 1 demos convert s.npz --mask train --out x.npz
says 'a store has success and failure'

# Every cut of a store, and a changed byte, is refused.
for n in 100 5000 20000; do
  head -c $n s.npz >cut.npz
  expect 1 demos info cut.npz
done
python3 - <<'PY'
import io, json, zipfile
def change(name, edit):
    with zipfile.ZipFile("s.npz") as a, zipfile.ZipFile(name, "w") as b:
        for e in a.namelist():
            data = edit(e, a.read(e))
            if data is not None:
                b.writestr(e, data)
change("lacks.npz", lambda e, d: None if e == "demo_1/states.npy" else d)
change("nan.npz", lambda e, d: d[:-8] + b"\xff" * 8 if e == "demo_0/proprio.npy" else d)
change("other.npz", lambda e, d: d.replace(b'"task":"', b'"task":"x') if e == "meta.npy" else d)
PY
expect 1 demos info lacks.npz
says 'lacks.npz: demo_1: states is missing'
prints '2 demonstrations'
check 'an error once' [ "$(cat out err | grep -c 'states is missing')" = 1 ]
expect 1 demos info lacks.npz s.npz
prints 'error: lacks.npz: demo_1: states is missing'
says '1 of 2 files has faults; the first: lacks.npz'
expect 1 demos info nan.npz --json
says 'nan.npz: demo_0: proprio['
json 'not d["files"][0]["ok"] and "demo_0" in d["files"][0]["errors"][0]'
expect 1 demos info other.npz # a text longer than its type

"$VLAKIT" demos convert s.npz --out h.hdf5 >out 2>err || {
  if grep -q 'HDF5' err; then
    echo "no HDF5 here: $(cat err)"
    finish
  fi
}
prints '2 demonstrations'
expect 2 demos convert s.npz --out h.hdf5
says 'is there already'

# There and back: the same bytes, without and with pictures; the same pictures from either.
expect 0 demos convert h.hdf5 --out back.npz --json
json 'd["files"][0]["n_repeated"] == 2'
check 'there and back' cmp s.npz back.npz
expect 0 demos convert s.npz --pictures --size 32 --visuals stand-in --out p.hdf5 -q
expect 0 demos convert h.hdf5 --pictures --size 32 --visuals stand-in --out q.hdf5 -q
check 'pictures of store and HDF5' cmp p.hdf5 q.hdf5
expect 0 demos convert p.hdf5 --out dropped.hdf5
check 'pictures dropped' cmp h.hdf5 dropped.hdf5
expect 0 demos convert p.hdf5 --pictures --size 32 --out kept.hdf5
check 'pictures kept' cmp p.hdf5 kept.hdf5
expect 0 collect -q --suite $suite --episodes 2 --pictures --size 32 --visuals stand-in --out live.hdf5 \
  --catalog c.db
check 'collected with pictures' cmp p.hdf5 live.hdf5
expect 0 demos convert s.npz --pictures --size 32 --visuals stand-in --obs-align as-published \
  --out late.hdf5
expect 0 demos info late.hdf5 p.hdf5 --json
json '[f["obs_align"] for f in d["files"]] == ["as-published", "fixed"]'
expect 0 demos check -q late.hdf5 p.hdf5 --json
json 'all(f["n_exact"] == 2 for f in d["files"])'
expect 0 demos convert late.hdf5 --pictures --size 32 --out early.hdf5
expect 0 demos info early.hdf5 late.hdf5 --json
json 'd["files"][1]["n_step"] - d["files"][0]["n_step"] == 2' # nothing was observed before step 0
expect 0 demos convert s.npz --format openvla --pictures --visuals stand-in --size 32 --out ov.hdf5
expect 0 demos info ov.hdf5 --json
json 'd["files"][0]["format"] == "openvla" and d["files"][0]["picture_px"] == 32'
expect 1 demos check ov.hdf5
says 'does not say of which task it is'
expect 1 demos convert p.hdf5 --mask train --out m.hdf5
says 'there is no filter mask/train'

# Ctrl-C is heard between the pictures of a demonstration, and nothing half-written stays.
expect 0 collect -q --suite $suite --episodes 1 --out one.npz --catalog c.db
"$VLAKIT" demos convert one.npz --pictures --size 768 --visuals stand-in --threads 1 --out stop.hdf5 -q \
  >out 2>err &
pid=$!
i=0
until [ -n "$(find . -name '.stop.hdf5*')" ] || [ $i = 1000 ]; do
  i=$((i + 1))
  sleep 0.02
done
kill -INT $pid
wait $pid
check 'exit code 130' [ $? = 130 ]
check 'one sentence' [ "$(wc -l <err)" = 1 ]
check 'nothing was written' [ -z "$(find . -name '*stop.hdf5*')" ]

# Cut in the middle of writing.
for n in 1000 30000 60000; do
  head -c $n h.hdf5 >cut.hdf5
  expect 1 demos info cut.hdf5
  says 'cut.hdf5'
done

good=$VK_GOLDEN/hdf5
if [ ! -f "$good/index.json" ]; then
  echo "no HDF5 samples in $VK_GOLDEN"
  finish
fi
expect 0 demos info "$good/libero_published.hdf5" "$good/openvla_regenerated.hdf5" --json
json '[f["format"] for f in d["files"]] == ["libero", "openvla"]'
json '[f["n_step"] for f in d["files"]] == [24, 3] and [f["n_demo"] for f in d["files"]] == [2, 2]'
json 'd["files"][0]["obs_align"] == "as-published" and d["files"][1]["obs_align"] == "fixed"'
json 'd["files"][0]["task"] == "libero_spatial/8" and [m["demo"] for m in d["files"][1]["demos"]] == [0, 2]'
json 'd["files"][0]["language"] == "pick up the black bowl next to the plate and place it on the plate"'
python3 -c '
import json, sys
for f in json.load(open(sys.argv[1]))["files"]:
    if f["behaviour"] == "error":
        print(f["file"], *f["error_names_any_of"])' "$good/index.json" >bad
while read -r name words; do
  expect 1 demos info "$good/$name"
  check "$name names one of: $words" grep -qE "$name.*($(echo "$words" | tr ' ' '|'))" "$T/err"
done <bad
finish
