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

# Ctrl-C ends it at once.
"$VLAKIT" replay -q "$rec" "$rec" "$rec" "$rec" "$rec" "$rec" >out 2>err &
pid=$!
sleep 0.2
kill -INT $pid
wait $pid
check 'exit code after Ctrl-C' [ $? = 130 ]
check 'no half of a table' [ ! -s out ]
finish
