# vlakit collect: files that depend neither on threads nor on being killed, what is refused, and what a
# full disk leaves.
. "${0%/*}/lib.sh"

suite=libero_goal/7 # short episodes

"$VLAKIT" doctor --json >doctor.json 2>/dev/null

# What is refused.
expect 2 collect
says '--suite and --out are needed'
expect 2 collect --suite $suite --episodes 3 --tries 2 --out d
says '--tries 2: to have 3 demonstrations (--episodes) takes as many tries at least'
expect 2 collect --suite $suite --rows held-out --out d
says 'eval, sampled'
expect 2 collect --suite $suite --rows eval --episodes 60 --out d
says 'task libero_goal/7 can be tried 50 times (its init rows; --rows sampled has no end)'
expect 2 collect --suite $suite --out d --pictures --format store
says '--pictures: a store holds none'
expect 2 collect --suite $suite --out d --obs-align as-published
says '--obs-align: a store holds all observations'
expect 2 collect --suite $suite --out d --visuals stand-in
says '--visuals is for --pictures'
expect 2 collect --suite $suite --out d --format hdf
says 'hdf5'
expect 2 collect --suite $suite --out d --rows held-out
expect 2 collect --suite $suite --out d --size 64
says '--size is for --pictures'
expect 2 collect --suite $suite --out d.hdf5 --format store
says '--out d.hdf5 does not fit --format store'
expect 2 collect --suite $suite --out d.npz --format hdf5
says '--out d.npz does not fit --format hdf5'
expect 1 collect --resume aaaaaaaa
says 'catalog'
check 'nothing was written' [ ! -e d ]

# What would run.
expect 0 collect --suite libero_goal --episodes 5 --out d --dry-run --json
json 'd["dry_run"] and d["n_episode"] == 50 and d["n_step_max"] == 15000 and d["wall_s_max"] > 0'
expect 0 collect --suite $suite --episodes 5 --out d.hdf5 --pictures --dry-run
prints 'at most about'
check 'nothing was written' [ ! -e d ]

# Uninterrupted, on one and on two threads: the same bytes.
expect 0 collect -q --suite $suite --episodes 4 --out one --threads 1 --json --catalog one.db
json 'd["n_success"] == 4 and d["n_demo"] == 4 and len(d["files"]) == 1 and d["bytes"] > 0'
json 'd["n_step"] > 40 and d["rows"] == "sampled" and d["seed"] == 0 and d["format"] == "store"'
file=libero_goal/$(python3 -c '
import json
print(json.load(open("out"))["files"][0].split("/")[-1])')
check 'the file' [ -s "one/$file" ]
check 'nothing else' [ "$(find one one.part* 2>/dev/null | wc -l)" = 3 ]
expect 0 collect -q --suite $suite --episodes 4 --out two --threads 2 --catalog one.db
check 'threads change nothing' cmp "one/$file" "two/$file"
expect 2 collect -q --suite $suite --episodes 4 --out one
says "is there already"
expect 0 runs --catalog one.db --json
json '[r["command"] for r in d["runs"]] == ["collect"] * 2 and d["runs"][0]["n_success"] == 4'
expect 0 runs --catalog one.db
prints 'expert on libero_goal/7, oft: 4 of 4 demonstrations, 4 tries'
expect 0 runs "$(field one.db 'r["run"]')" --catalog one.db
prints 'collected     4 of 4, in 4 tries'
expect 2 eval --resume "$(field one.db 'r["run"]')" --catalog one.db
says 'is of vlakit collect, not an evaluation'
tried=$(field one.db 'r["run"]')
expect 2 compare "$tried" "$tried" --catalog one.db
says 'is of vlakit collect, not an evaluation'

# The protocol of what began at init rows is the one that evaluations follow; of others another.
expect 0 eval -q --suite $suite --policy zero --row 0 --json --catalog rows.db
expect 0 collect -q --suite $suite --episodes 1 --rows eval --out from_rows --json --catalog rows.db
expect 0 collect -q --suite $suite --episodes 1 --out sampled --json --catalog rows.db
expect 0 runs --catalog rows.db --json
json '(lambda e, r, s: e == r != s)(*[r["protocol_hash"] for r in d["runs"]])'

# Killed in the middle and resumed: the same bytes.
"$VLAKIT" collect -q --suite $suite --episodes 4 --out kill --threads 1 --catalog kill.db >kill.out 2>&1 &
pid=$!
check 'a first try' wait_for kill.db 'r["n_episode"] >= 1' $pid
run=$(field kill.db 'r["run"]')
expect 1 collect --resume "$run" --catalog kill.db
says "is still running as process $pid"
kill -9 $pid
wait $pid 2>"$T/wait"
check 'it was not done' [ "$(field kill.db 'r["state"], r["n_episode"] < 4')" = 'interrupted True' ]
check 'there is no file' [ ! -e "kill/$file" ]
for more in '--out other' '--episodes 5' '--rows eval' '--noise 0' '--size 64' '--obs-align fixed'; do
  # shellcheck disable=SC2086 # two words
  expect 2 collect --resume "$run" --catalog kill.db $more
  says '--resume goes on as run'
done
: >"$(ls -d kill.part*)/.libero_goal-7-000003.npz.$pid-0.tmp" # as if killed while writing
: >"kill/libero_goal/.${file##*/}.$pid-0.tmp"
rm -f "$(find kill.part* -name '*.npz' | head -1)" # what is lost is made again
expect 0 collect -q --resume "$run" --catalog kill.db --json
json 'd["n_success"] == 4 and d["run"] == "'"$run"'"'
check 'the same bytes' cmp "one/$file" "kill/$file"
check 'nothing waits any more' [ -z "$(find . -name '*.part*')" ]
check 'nothing is left over' [ -z "$(find kill -name '.*')" ]
expect 2 collect --resume "$run" --catalog kill.db
says 'is done, its demonstrations are in'

# Ctrl-C keeps what is done and says how to go on.
"$VLAKIT" collect -q --suite $suite --episodes 4 --out stop --threads 1 --catalog stop.db >stop.out 2>stop.err &
pid=$!
check 'a first try' wait_for stop.db 'r["n_episode"] >= 1' $pid
kill -INT $pid
kill -CONT $pid
wait $pid
check 'exit code 130' [ $? = 130 ]
check 'how to go on' grep -q 'go on with vlakit collect --resume' stop.err

# Another process takes the place of the file meanwhile: it stays, and so does what was collected.
"$VLAKIT" collect -q --suite $suite --episodes 4 --out both.npz --threads 1 --catalog both.db >both.out 2>both.err &
pid=$!
check 'a first try' wait_for both.db 'r["n_episode"] >= 1' $pid
echo mine >both.npz
kill -CONT $pid
wait $pid
check 'exit code' [ $? = 1 ]
check 'what is in the way' grep -q 'both.npz has appeared since this run began' both.err
check 'it stays' [ "$(cat both.npz)" = mine ]
rm both.npz
expect 0 collect -q --resume "$(field both.db 'r["run"]')" --catalog both.db
check 'the same bytes' cmp "one/$file" both.npz

# A full disk: a sentence, what was written stays, --resume goes on.
(ulimit -f 60 && "$VLAKIT" collect -q --suite $suite --episodes 4 --out full.npz --threads 1 \
  --catalog "$T/full.db") >out 2>err
check 'exit code of a full disk' [ $? = 1 ]
check 'one sentence' [ "$(wc -l <err)" = 1 ]
check 'no half file' [ ! -e full.npz ]

# The same while the file with pictures is written, which this one is too large for.
if grep -q '"hdf5","ok":true' doctor.json; then
  (ulimit -f 20000 && "$VLAKIT" collect -q --suite $suite --episodes 2 --pictures --visuals stand-in \
    --out full.hdf5 --catalog "$T/full_hdf5.db") >out 2>err
  check 'exit code of a full disk' [ $? = 1 ]
  check 'what could not be written' grep -q 'full.hdf5: cannot write data/demo_' err
  check 'no half file' [ ! -e full.hdf5 ]
  check 'the demonstrations wait' [ "$(find full.hdf5.part* -name '*.npz' | wc -l)" = 2 ]
  expect 0 collect -q --resume "$(field full_hdf5.db 'r["run"]')" --catalog full_hdf5.db --json
  json 'd["n_success"] == 2 and d["bytes"] > 10e6'
  check 'nothing waits any more' [ -z "$(find . -name 'full.hdf5.part*')" ]
fi

# Noise: other commands than the labels, the same for every number of threads.
expect 0 collect -q --suite $suite --episodes 2 --noise 0.1 --rows sampled --seed 3 --out noise.npz \
  --threads 2 --catalog one.db --json
json 'd["rows"] == "sampled" and d["noise"] == 0.1 and d["seed"] == 3'
expect 0 collect -q --suite $suite --episodes 2 --noise 0.1 --rows sampled --seed 3 --out noise_1.npz \
  --threads 1 --catalog one.db
check 'noise is repeatable' cmp noise.npz noise_1.npz
expect 0 demos info noise.npz --json
json 'all(m["noise"] == 0.1 for m in d["files"][0]["demos"])'
expect 0 demos check -q noise.npz --json
json 'd["files"][0]["n_exact"] == 2 and d["files"][0]["n_replay_success"] == 2'

# What cannot be written is refused before it is a run that could go on.
for out in /proc/a.npz /proc/none/a.npz one.db/a.npz; do
  expect 1 collect -q --suite $suite --episodes 1 --out $out --catalog bad.db
  says 'collect: --out: '
done
expect 0 runs --json --catalog bad.db
json 'd["runs"] == []'

# What fails is left out, or kept with a mark.
expect 1 collect -q --suite libero_goal/8 --episodes 1 --tries 2 --noise 1 --out failed.npz --catalog one.db
says 'no episode of 2 succeeded; nothing was written'
check 'no file' [ ! -e failed.npz ]
expect 0 collect -q --suite libero_goal/8 --episodes 1 --tries 2 --noise 1 --keep-failures \
  --out failed.npz --catalog one.db --json
json 'd["n_success"] == 0 and d["n_demo"] == 2 and d["n_episode"] == 2 and d["n_short"] == 1'
expect 0 demos check -q failed.npz --json
json 'd["files"][0]["n_success"] == 0 and d["files"][0]["n_exact"] == 2 and d["files"][0]["ok"]'

# Several suites, a file a task.
expect 0 collect -q --suite $suite,libero_spatial/0 --episodes 1 --out many --catalog one.db --json
json 'len(d["files"]) == 2 and len(d["per_task"]) == 2 and d["n_short"] == 0'
check 'folders of suites' [ "$(ls many | tr '\n' ' ')" = 'libero_goal libero_spatial ' ]
finish
