# vlakit replay: what it refuses, and with recordings at hand what it says of them.
. "${0%/*}/lib.sh"

expect 2 replay
says 'usage: vlakit replay FILE...'
expect 1 replay none.npz
says 'none.npz: cannot open'
silent
expect 1 replay .
says 'this is a folder'
: >empty.npz
expect 1 replay empty.npz
says 'empty.npz: not a zip archive'
expect 1 replay --json none.npz empty.npz -q
says '2 of 2 recordings could not be replayed; the first: none.npz'
silent

rec=$VK_GOLDEN/libero/libero_spatial_00.npz
if [ ! -f "$rec" ]; then
  echo "no recordings in $VK_GOLDEN"
  finish
fi
cp "$rec" 'a recording.npz'
head -c 20000 "$rec" >cut.npz
keys='file task n_step reset_max_abs max_abs_qpos_10 max_abs_qpos_50 max_abs_qpos first_step_over_1e6'
keys="$keys success_match pred_samples pred_mismatch"
expect 0 replay 'a recording.npz' --json -q
json "len(d['files']) == 1 and set('$keys'.split()) <= set(d['files'][0])"
json "d['files'][0]['task'] == 'libero_spatial/0' and d['files'][0]['file'] == 'a recording.npz'"
json "d['files'][0]['reset_max_abs'] < 1e-9 and d['files'][0]['pred_mismatch'] == 0"
json "'max_abs_each_step' not in d['files'][0]"
cp out best.json
expect 0 replay 'a recording.npz' --json -q --isa scalar
check 'the path changes nothing' cmp out best.json
expect 1 replay cut.npz 'a recording.npz' none.npz -q --each-step
says '2 of 3 recordings could not be replayed; the first: cut.npz: not a zip archive'
prints 'cut.npz                  error: cut.npz: not a zip archive'
prints 'each<1e-9'
check 'the one that could' [ "$(grep -c '^a recording.npz .* equal ' out)" = 1 ]
expect 1 replay cut.npz 'a recording.npz' -q --json --each-step
json "[('error' in f, 'share_each_step_1e9' in f) for f in d['files']] == [(True, False), (False, True)]"

# Pictures: with stand-ins, since the original ones are not of this repository.
expect 2 replay 'a recording.npz' --images .
says '--images, --keep-pictures and --visuals need --pictures'
expect 2 replay 'a recording.npz' --pictures --samples 3
says '--samples 3: expected 1 or 4'
expect 1 replay 'a recording.npz' --pictures --keep-pictures none
says 'there is no such folder'
expect 1 replay 'a recording.npz' --pictures --visuals stand-in -q
says 'no picture ./../libero_images/a recording_{start,end}_{agentview,eye_in_hand}_{128,256}.png'
images=$VK_GOLDEN/libero_images
if [ -f "$images/libero_spatial_00_start_agentview_256.png" ]; then
  mkdir kept images
  expect 0 replay "$rec" --pictures --visuals stand-in --json -q --keep-pictures kept
  json "len(d['files'][0]['psnr_db']) == 8 and d['visuals'] == 'stand-in' and d['samples'] == 4"
  json "min(d['files'][0]['psnr_db'].values()) == d['files'][0]['psnr_db_min'] > 8"
  json "d['psnr_db_min_256'] <= d['psnr_db_mean_256'] < 40 and 'end_eye_in_hand_128' in d['files'][0]['psnr_db']"
  check 'pictures are kept' [ "$(ls kept | wc -l)" = 8 ]
  cp out best.json
  expect 0 replay "$rec" --pictures --visuals stand-in --json -q --isa scalar
  check 'the path changes no picture' cmp out best.json
  cp "$images/libero_spatial_00_end_agentview_128.png" 'images/a recording_start_agentview_256.png'
  expect 1 replay 'a recording.npz' --pictures --images images --visuals stand-in -q
  says '128 x 128 pixels of 3 bytes, expected 256 x 256 of 3'
fi

# Ctrl-C ends it at once.
"$VLAKIT" replay -q "$rec" "$rec" "$rec" "$rec" "$rec" "$rec" >out 2>err &
pid=$!
sleep 0.2
kill -INT $pid
wait $pid
check 'exit code after Ctrl-C' [ $? = 130 ]
check 'no half of a table' [ ! -s out ]
finish
