# vlakit render: pictures, sheets, states; equal bits whatever the path and the threads; what is
# refused. With stand-in visuals: the original ones are not in the cache of a test.
. "${0%/*}/lib.sh"
PACK=$VK_SOURCE/data/libero.pack

# npy NAME PYTHON: writes an array of numbers as NAME
npy() {
  python3 - "$1" "$2" <<'PY'
import struct, sys
values = eval(sys.argv[2])
head = "{'descr': '<f8', 'fortran_order': False, 'shape': (%d,), }" % len(values)
head += " " * (117 - len(head)) + "\n"
open(sys.argv[1], "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() +
                              struct.pack("<%dd" % len(values), *values))
PY
}

expect 0 render --pack "$PACK" --task libero_goal/0 --size 64 --out a.png --json
json "d['file'] == 'a.png' and d['width'] == d['height'] == 64 and d['ms'] > 0"
json "d['visuals'] == 'stand-in' and len(d['visuals_hash']) == 64 and d['task'] == 'libero_goal/0'"
check 'a PNG was written' sh -c 'head -c 4 a.png | grep -q PNG'
expect 0 render --pack "$PACK" --task libero_goal/0 --camera both --size 32 --out both.png --json
json "(d['width'], d['height']) == (64, 32)"
expect 0 render --pack "$PACK" --task libero_10/3 --rows 3-9 --size 32 --out rows.png --json
json "(d['width'], d['height']) == (128, 64) and d['n_picture'] == 7"
expect 0 render --pack "$PACK" --task libero_goal/0 --size 64 --out b.png --threads 2
prints 'b.png: 64 x 64 pixels, stand-in visuals'
check 'the same bits again' cmp a.png b.png
for isa in scalar avx2 avx512; do
  "$VLAKIT" render --pack "$PACK" --task libero_goal/0 --size 64 --isa $isa --out $isa.png \
    >"$T/out" 2>"$T/err" || { grep -q 'this machine has no' "$T/err" && continue; }
  check "the same bits on path $isa" cmp a.png $isa.png
done
expect 0 render --pack "$PACK" --task libero_goal/0 --row 1 --size 64 --out row1.png
check 'another row, another picture' sh -c '! cmp -s a.png row1.png'
expect 0 render --pack "$PACK" --task libero_goal/0 --wait 0 --size 64 --out wait0.png
check 'before the waiting steps it looks different' sh -c '! cmp -s a.png wait0.png'
expect 0 render --pack "$PACK" --task libero_goal/0 --samples 1 --size 64 --out one.png
check 'edges differ with one sample' sh -c '! cmp -s a.png one.png'

npy short.npy '[0.0] * 78'
npy state.npy '[0.0] + [0.0, -0.16, 0, -2.44, 0, 2.23, 0.78, 0.02, -0.02] + [0.1, 0.2, 1, 1, 0, 0, 0] * 4 + [0.0] * 41'
npy nan.npy '[0.0] * 5 + [float("nan")] + [0.0] * 73'
expect 0 render --pack "$PACK" --task libero_goal/0 --state state.npy --size 64 --out state.png
expect 1 render --pack "$PACK" --task libero_goal/0 --state short.npy --out x.png
says '78 numbers'
expect 1 render --pack "$PACK" --task libero_goal/0 --state nan.npy --out x.png
says 'nan'
expect 1 render --pack "$PACK" --task libero_goal/0 --state none.npy --out x.png
says none.npy
expect 2 render --pack "$PACK" --out x.png
says '--task is missing'
expect 2 render --pack "$PACK" --task libero_goal/0
says '--out'
expect 2 render --pack "$PACK" --task libero_goal --out x.png
says '10 tasks'
expect 2 render --pack "$PACK" --task libero_gaol/0 --out x.png
says 'did you mean libero_goal'
expect 2 render --pack "$PACK" --task libero_goal/0 --camera agentveiw --out x.png
says 'did you mean agentview'
expect 2 render --pack "$PACK" --task libero_goal/0 --camera list --out x.png
says robot0_eye_in_hand
expect 2 render --pack "$PACK" --task libero_goal/0 --out x.jpg
says '.png'
expect 2 render --pack "$PACK" --task libero_goal/0 --rows 9-3 --out x.png
says '--rows 9-3'
expect 2 render --pack "$PACK" --task libero_goal/0 --rows 99999999999-99999999999 --out x.png
expect 2 render --pack "$PACK" --task libero_goal/0 --row 2000000000 --out x.png
says 'row 2000000000'
expect 2 render --pack "$PACK" --task libero_goal/0 --rows 0-500 --out x.png
says '--rows: task libero_goal/0 has init rows 0 to'
expect 2 render --pack "$PACK" --task libero_goal/0 --rows 1-2 --row 4 --out x.png
expect 2 render --pack "$PACK" --task libero_goal/0 --samples 2 --out x.png
expect 2 render --pack "$PACK" --task libero_goal/0 --size 5000 --out x.png
expect 2 render --pack "$PACK" --task libero_goal/0 --visuals standin --out x.png
says 'stand-in'
expect 1 render --pack "$PACK" --task libero_goal/0 --visuals original --out x.png
says 'get-assets.sh'
expect 2 render --pack "$PACK" --task libero_goal/0 --row 50 --out x.png
says 'row 50'
: >empty.visuals
expect 1 render --pack "$PACK" --task libero_goal/0 --visuals empty.visuals --out x.png
says '0 bytes'
expect 1 render --pack "$PACK" --task libero_goal/0 --out nowhere/x.png
says nowhere
check 'nothing half-written is left' test ! -e x.png

# Ctrl-C ends a sheet of seconds at once.
"$VLAKIT" render --pack "$PACK" --task libero_10/3 --rows 0-49 --size 1024 --out x.png >out 2>err &
pid=$!
sleep 0.7
kill -INT $pid
wait $pid
check 'exit code after Ctrl-C' [ $? = 130 ]
check 'one word about it' [ "$(cat err)" = 'vlakit: render: interrupted' ]
check 'no picture' test ! -e x.png
if [ -w /dev/full ]; then
  expect 1 render --pack "$PACK" --task libero_goal/0 --size 32 --out /dev/full
fi
finish
