# vlakit eval: what it refuses, what it prints, and that threads change nothing.
. "${0%/*}/lib.sh"

# npy NAME ROWS COLUMNS NUMBER: actions in which the third row begins with NUMBER
npy() {
  python3 - "$@" <<'PY'
import struct, sys
name, n, width, odd = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
head = "{'descr': '<f8', 'fortran_order': False, 'shape': (%d, %d), }" % (n, width)
head += " " * (63 - (10 + len(head)) % 64) + "\n"
data = [0.0] * (n * width)
data[2 * width] = odd
with open(name, "wb") as f:
    f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
    f.write(struct.pack("<%dd" % len(data), *data))
PY
}

# Names and values.
expect 2 eval
says '--suite and --policy are needed'
expect 2 eval --suite libero_goal
expect 2 eval --suite libero_gaol --policy zero
says 'did you mean libero_goal?'
expect 2 eval --suite libero_goal/10 --policy zero
expect 2 eval --suite libero_goal/0 --policy zreo
says 'did you mean zero?'
expect 2 eval --suite libero_goal/0 --policy zero --protocol otf
says 'did you mean oft?'
expect 2 eval --suite libero_goal/0 --policy zero --episodes 0
expect 2 eval --suite libero_goal/0 --policy zero --episodes 51
says 'task libero_goal/0 has 50 init rows, 51 episodes asked for'
expect 0 eval --suite libero_goal/7 --policy zero --episodes 1 --threads 1 --dry-run
prints 'episodes  1 of 1 (1 task, 1 each)'
prints ' MB on 1 thread'
check 'one is no plural' sh -c '! grep -qE "[^0-9.]1 (task|thread|episode)s" out'
expect 2 eval --suite libero_goal/0 --policy zero extra
expect 1 eval --suite libero_goal/0 --policy zero --pack "$T/none.pack"
says none.pack
head -c 1000000 "$VK_SOURCE/data/libero.pack" >cut.pack
expect 1 eval --suite libero_goal/0 --policy zero --pack cut.pack
says cut.pack
expect 2 eval --suite libero_goal/0 --policy replay:none.npz
says none.npz
npy six.npy 5 6 0
expect 1 eval --suite libero_goal/0 --policy replay:six.npy
says 'six.npy: actions have the shape (5, 6), expected (T, 7)'
expect 1 eval --resume 00000000
says 'no run 00000000'
expect 1 eval --suite libero_goal/0 --policy zero --trace none/trace.json
says 'the folder none does not exist'
check 'refusals leave no run behind' [ "$("$VLAKIT" runs)" = 'no runs yet' ]

# Who can act, and what a run would take.
expect 0 eval --policy list
prints 'replay:FILE'
expect 0 eval --policy list --json
json '{"expert", "random", "replay", "zero"} <= {p["name"] for p in d["policies"]}'
expect 0 eval --suite libero_goal --policy zero --dry-run --threads 2
prints '500 of 500 (10 tasks, 50 each), at most 155000 control steps'
prints ' ms an answer of the policy'
expect 0 eval --suite libero_goal --policy zero --protocol libero --dry-run --json
json 'd["n_episode"] == 200 and d["seed"] == 10000 and d["n_step_max"] == 200 * 605'
json 'd["bytes"] > 1e6 and d["wall_s_max"] > 1'
check 'a dry run leaves no run behind' [ "$("$VLAKIT" runs)" = 'no runs yet' ]

# Results, as promised, on one thread and on two.
suite=libero_spatial/1,libero_goal/3
expect 0 eval --suite $suite --policy random --episodes 1 --threads 1 --json --trace trace.json
check 'nothing on standard error but progress' [ "$(grep -vc '^vlakit: eval ' err)" = 0 ]
promised='run suite n_episode n_success success_rate ci95 per_suite per_task episodes errors'
promised="$promised steps_per_s episodes_per_s wall_s seed protocol policy policy_hash pack_hash"
promised="$promised visuals protocol_hash isa"
json "set('$promised'.split()) <= set(d)"
json 'd["n_episode"] == 2 and d["errors"] == 0 and d["seed"] == 0 and d["visuals"] == "none"'
json 'set(d["per_suite"]) == {"libero_spatial", "libero_goal"}'
json 'all(s["n"] == 1 and s["success"] in (0, 1) and len(s["ci95"]) == 2
 for s in d["per_suite"].values())'
json '[t["task"] for t in d["per_task"]] == d["suite"].split(",")'
json 'all(t["n"] == 1 and t["mean_steps"] > 0 for t in d["per_task"])'
json 'all(e["row"] == 0 and e["error"] is None and len(e["state_sha256"]) == 64 and
 e["success"] == (e["steps"] < {"libero_spatial/1": 220, "libero_goal/3": 300}[e["task"]])
 for e in d["episodes"])'
cp out one.json
check 'a trace' python3 -c '
import json
names = {e.get("name") for e in json.load(open("trace.json"))["traceEvents"]}
assert {"scene", "reset", "episode"} <= names, names'
expect 0 eval --suite $suite --policy random --episodes 1 --threads 2 --json -q
check 'quiet' [ ! -s err ]
json 'd["episodes"] == __import__("json").load(open("one.json"))["episodes"]'

# A policy that cannot go on: an error of the episode, with the reason.
for odd in nan inf; do
  npy $odd.npy 5 7 $odd
  expect 1 eval -q --suite libero_spatial/0 --policy replay:$odd.npy --episodes 2
  says 'no episode could be scored'
  says 'policy replay, task libero_spatial/0, row 0, step 2'
  says "$odd"
  prints '2 errors'
done
expect 1 eval -q --suite libero_spatial/0 --policy replay:nan.npy --episodes 1 --seed 3 --json
json 'd["errors"] == 1 and d["n_episode"] == 0 and d["success_rate"] is None and d["seed"] == 3'
json 'd["episodes"][0]["success"] is None and "step 2" in d["episodes"][0]["error"]'

# An unstable simulation resets itself and goes on (it does here in the waiting steps); one that could
# not go on, as another catalog has it, is a failure. Both are counted.
expect 0 eval -q --suite libero_90/85 --policy zero --row 0 --json --catalog shaken.db
json 'd["n_unstable"] == 1 and d["n_halted"] == 0 and d["errors"] == 0 and d["n_episode"] == 1'
json 'd["episodes"][0]["n_unstable"] >= 1 and d["episodes"][0]["halted"] is False'
shaken=$(python3 -c 'import json; print(json.load(open("out"))["run"])')
expect 0 runs "$shaken" --catalog shaken.db
prints 'in 1 episode the simulation became unstable, reset itself and went on, as in the benchmark'
python3 -c '
import sqlite3
sqlite3.connect("shaken.db", isolation_level=None).execute("UPDATE episode SET state_sha256 = NULL")'
expect 0 runs "$shaken" --catalog shaken.db
prints 'in 1 episode the simulation became unstable and could not go on: a failure'
expect 0 runs "$shaken" --catalog shaken.db --json
json 'd["runs"][0]["n_halted"] == 1 and d["runs"][0]["n_episode"] == 1'
json 'd["runs"][0]["episodes"][0]["halted"] and d["runs"][0]["episodes"][0]["success"] is False'

# Two runs of one protocol compare; another seed or protocol is another trial.
run_of() { "$VLAKIT" runs --json | python3 -c "
import json, sys
print([r for r in json.load(sys.stdin)['runs']$1][-1]['run'])"; }
a=$(python3 -c 'import json; print(json.load(open("one.json"))["run"])')
b=$(run_of ' if r["policy"] == "random"')
expect 0 compare "$a" "$b" --json
json 'd["n"] == 2 and d["both"] + d["neither"] == 2 and d["p_value"] == 1'
expect 0 compare "$a" "$b"
prints 'exact McNemar'
seed_3=$(run_of ' if r["seed"] == 3')
expect 1 compare "$a" "$seed_3"
says "differ in the protocol's seed (0 and 3)"
cp "$XDG_DATA_HOME/vlakit/catalog.db" other.db
python3 - "$b" <<'PY'
import sqlite3, sys
db = sqlite3.connect("other.db", isolation_level=None)
db.execute("UPDATE run SET protocol_hash = ? WHERE id = ?", ("0" * 64, sys.argv[1]))
PY
expect 1 compare "$a" "$b" --catalog other.db
says 'differ in what protocol oft is'
expect 1 eval -q --suite libero_spatial/0 --policy replay:nan.npy --episodes 1 --protocol openpi
expect 1 compare "$a" "$(run_of ' if r["protocol"] == "openpi"')"
says 'differ in protocol (oft and openpi)'
expect 1 compare "$a" "$(run_of ' if r["errors"] == 2')"
says 'no scored episode in common'
expect 1 compare "$a" 00000000
expect 1 eval -q --suite libero_spatial/0 --policy zero --episodes 1 --seed 4 --trace /dev/full
says 'the disk is full'
prints 'libero_spatial/0'
check 'a trace that cannot be written costs no result' \
  [ "$("$VLAKIT" runs --json | python3 -c '
import json, sys
print([r["state"] for r in json.load(sys.stdin)["runs"] if r["seed"] == 4])')" = "['done']" ]
expect 2 compare "$a"

# A command line can be pasted into a shell as it is recorded.
expect 1 eval -q --suite libero_spatial/0 --policy replay:nan.npy --episodes 1 --catalog "it's a.db"
expect 0 runs export --catalog "it's a.db"
prints "--episodes 1 --catalog 'it'\\''s a.db'"

# What the catalog says of them.
expect 0 runs
prints "$a"
prints 'random on libero_spatial/1,libero_goal/3, oft: 2 of 2 episodes'
expect 0 runs --json
json 'len(d["runs"]) == 7 and all(r["state"] == "done" and r["start"] for r in d["runs"])'
json '[r["run"] for r in d["runs"]] == sorted(r["run"] for r in d["runs"])'
expect 0 runs "$a"
prints 'libero_goal/3'
prints "command_line  vlakit eval --suite $suite --policy random --episodes 1"
expect 0 runs "$a" --json
json 'len(d["runs"]) == 1 and len(d["runs"][0]["episodes"]) == 2'
json 'd["runs"][0]["config"]["episodes"] == 1'
expect 0 runs export
check 'a CSV file of runs' python3 -c '
import csv
rows = list(csv.DictReader(open("out", newline="")))
assert len(rows) == 7 and rows[0]["policy"] == "random" and rows[0]["n_episode"] == "2", rows'
expect 0 runs export "$a"
check 'a CSV file of episodes' python3 -c '
import csv
rows = list(csv.DictReader(open("out", newline="")))
assert len(rows) == 2 and len(rows[0]["state_sha256"]) == 64, rows'
expect 1 runs 00000000
expect 2 runs "$a" "$b"
expect 1 runs --catalog none.db
says 'there is none yet'
: >empty.db
expect 1 runs --catalog empty.db
says 'empty.db: empty'
check 'reading writes nothing' [ ! -s empty.db ]
expect 1 runs --catalog /dev/null
says 'not a regular file'
env -u HOME -u XDG_DATA_HOME "$VLAKIT" runs >out 2>err
check 'without a home there is no list' [ $? = 1 ]
check 'and a sentence' grep -q 'neither XDG_DATA_HOME nor HOME' err
finish
