# vlakit train: the same weights after kill -9, SIGTERM and resuming, what is refused, what a loss that
# is no number and a full disk leave, and curves.
. "${0%/*}/lib.sh"

learn_from 3 --catalog c.db
cat >tiny.json <<'JSON'
{
  "model": "model.json",
  "batch": 4, "micro_batch": 2,
  "steps": 20,
  "warmup": 2,
  "ema_decay": 0.9,
  "save_every": 5,
  "validate_every": 10
}
JSON
train="train -q --config tiny.json --data demos --catalog c.db"

# Lists.
expect 0 train --config list
prints 'sft-n2 '
expect 0 train --config list --json
json '{"grpo-n2", "ppo-n2", "sft-n2", "sft-n20"} <= {c["name"] for c in d["configs"]}'
expect 0 train --set list
prints 'gripper_weight'
expect 0 train --set list --json
json '{"lr", "data", "out"} <= {k["name"] for k in d["keys"]}'

# What is refused.
expect 2 train
says '--data and --out are needed'
expect 2 train --config sft-n3 --data demos --out x
says "unknown configuration 'sft-n3'; did you mean sft-n"
printf '{\n "lr": 1e-4,\n "weight_deacy": 0.1\n}\n' >wrong.json
expect 1 train --config wrong.json --data demos --out x
says 'wrong.json:3: unknown key "weight_deacy"; did you mean "weight_decay"?'
printf '{"lr": "fast"}' >wrong.json
expect 1 train --config wrong.json --data demos --out x
says 'wrong.json:1: "lr" is "fast", and must be a number of at least 0'
expect 2 $train --out x --set batch=5
says 'batch 5 is no multiple of micro_batch 2: gradients of equal parts are summed; take micro_batch=1'
expect 1 $train --out x --set model=nano-n2 batch=65536 micro_batch=65536
says 'GB in micro-batches of 65536, the machine has '
says 'the largest tensors: stem.0.conv [131072, 64, 64, 24] (51539.6 MB), '
says 'take a smaller micro_batch, or recompute=true'
expect 1 $train --out x --set model=nano-n2 batch=65536 micro_batch=65536 recompute=true
says '; take a smaller micro_batch'
check 'recompute is not advised where it is taken' sh -c '! grep -q "recompute" err'
expect 2 $train --out x --set bach=5
says 'did you mean "batch"?'
expect 2 $train --out x --method magic
says '--method is one of sft, dagger, ppo, grpo'
expect 2 $train --out x --set model=nano-n3
says "unknown model 'nano-n3'"
expect 1 train -q --config tiny.json --data nowhere --out x
says 'nowhere'
expect 2 $train --out x --set eval_suite=libero_gaol
says 'libero_goal'
expect 1 $train --out x --set eval_suite=libero_object
says 'eval_suite libero_object has tasks of libero_object, in which the policy could not act: its statistics are of libero_goal'
mkdir nothing
expect 1 train -q --config tiny.json --data nothing --out x
says 'nothing'
expect 1 $train --out x --set init=nothing
says 'nothing'
"$VLAKIT" collect -q --suite libero_goal/7 --rows eval --episodes 2 --out rows.npz --catalog rows.db \
  >/dev/null || exit 1
expect 2 $train --data rows.npz --out x
says 'demonstrations begin at the init rows that evaluations score'
expect 1 train --resume aaaaaaaa --catalog c.db
says 'no run aaaaaaaa'
expect 2 train --resume demos --catalog c.db
says '--resume: demos is a folder, expected the id of a run'
expect 2 train --resume "$(field c.db 'r["run"]')" --catalog c.db
says 'is of vlakit collect, not of train'
check 'nothing was written' [ ! -e x ]

# What would run.
expect 0 $train --out x --dry-run --json --threads 1
json 'd["dry_run"] and d["n_step"] == 20 and d["n_demo"] == 2 and d["bytes"] > 1e6 and d["wall_s"] > 0'
json 'd["n_validation"] == 2 and d["validation_s"] > 0 and d["n_eval"] == 0 and d["eval_s"] == 0'
json 'd["wall_s"] > d["validation_s"]'
expect 0 $train --out x --dry-run --json --threads 1 --set eval_every=8 eval_episodes=2 validate_every=0
json 'd["n_validation"] == 0 and d["n_eval"] == 3 and d["wall_s"] > d["eval_s"] > 0'
expect 0 $train --out x --dry-run
prints 'held out:'
prints 'in 2 validations'
check 'nothing was written' [ ! -e x ]
expect 0 runs --catalog c.db --json
json 'len(d["runs"]) == 1'

# The rows that were learned from stay with the policy, and with what goes on from it.
rows() {
  python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["provenance"]["rows"])' \
    "$1/checkpoints/last/pretrained_model/config.json"
}
there="train -q --config tiny.json"
once="--set steps=1 warmup=0 validate_every=0"
expect 0 $there --data demos rows.npz --out known --catalog rows.db $once train_on_eval_rows=true
check 'rows of evaluations' [ "$(rows known)" = eval ]
expect 0 $there --data demos --out on --catalog rows.db $once init=known
check 'rows of what it began with' [ "$(rows on)" = eval ]

# A folder is written by one run at a time.
mkdir busy
exec 9<busy
flock 9
expect 1 $train --out busy $once
says 'busy: another process is writing there'
exec 9<&-

# Uninterrupted.
expect 0 $train --out one --threads 2 --json
check 'other rows' [ "$(rows one)" = sampled ]
json 'd["step"] == 20 and 0 < d["loss"] < 6 and 0 < d["val_loss"] < 6 and d["samples_per_s"] > 0'
json 'd["checkpoint"].endswith("/one/checkpoints/000020") and d["n_lost"] == 0 and d["peak_bytes"] > 0'
json 'd["success_rate"] is None and d["config"]["lr"] == 0.0003'
check 'the last' [ "$(readlink one/checkpoints/last)" = 000020 ]
check 'the two newest are kept' [ -d one/checkpoints/000015 ]
check 'older ones are not' [ ! -e one/checkpoints/000005 ]
check 'how it was trained' grep -q '"gripper_weight"' one/checkpoints/last/pretrained_model/train_config.json
expect 0 graph show one/checkpoints/last/pretrained_model --json
run=$(field c.db 'r["run"]')
expect 2 $train --out one
says 'has checkpoints already'
expect 2 train --resume one --catalog c.db
says "its checkpoint is of run $run: --resume $run"
expect 2 train --resume "$run" --catalog c.db
says "run $run is done"

# Weights to begin with are those of init.
for word in one one/checkpoints/last/pretrained_model/model.safetensors; do
  expect 2 $train --out x --set model=$word
  says "say init=$T/$word"
done
check 'nothing was written' [ ! -e x ]
expect 0 $train --out x --dry-run --set model=one/checkpoints/last/pretrained_model/config.json

# Curves.
expect 0 runs --catalog c.db
prints "sft of $T/model.json, in $T/one"
expect 0 runs "$run" --catalog c.db
prints 'train/loss'
prints 'weight_decay = 0.05'
expect 0 runs "$run" --catalog c.db --json --svg curves.svg
json 'd["runs"][0]["curves"]["train/loss"]["step"] == [5, 10, 15, 20]'
json 'd["runs"][0]["curves"]["val/loss"]["step"] == [10, 20]'
check 'the drawing is XML with a line a curve' python3 -c "
import xml.etree.ElementTree as et
lines = et.parse('curves.svg').getroot().findall('.//{http://www.w3.org/2000/svg}polyline')
assert len(lines) == 9, len(lines)"
expect 0 runs "$run" --catalog c.db --curves val/loss,train/loss --svg two.svg
check 'the drawing of two, in the order of the list' python3 -c "
import xml.etree.ElementTree as et
svg = '{http://www.w3.org/2000/svg}'
root = et.parse('two.svg').getroot()
assert [t.text for t in root.iter(svg + 'text') if t.get('class') == 'name'] == ['val/loss', 'train/loss']
assert len(root.findall('.//' + svg + 'polyline')) == 2"
check 'a line says so, and nothing else' [ "$(cat out)" = "two.svg: 2 curves of run $run" ]
expect 0 runs "$run" --catalog c.db --curves val/loss
prints 'val/loss '
check 'these curves alone' sh -c '! grep -q -e weight_decay -e train/loss out'
expect 0 runs "$run" --catalog c.db --curves train/loss --json
json 'list(d["runs"][0]["curves"]) == ["train/loss"]'
expect 2 runs "$run" --catalog c.db --curves train/los
says 'did you mean train/loss'
expect 2 runs "$run" --catalog c.db --curves train/loss,train/loss
says 'train/loss stands there twice'
expect 2 runs "$run" --catalog c.db --curves ,
says 'expected tags with commas between'
expect 2 runs --catalog c.db --curves train/loss
says '--curves is for runs with curves'
expect 2 runs --catalog c.db --svg curves.svg
says '--svg is for runs with curves'
expect 2 runs "$(python3 -c "
import sqlite3
print(sqlite3.connect('c.db').execute('SELECT id FROM run ORDER BY id').fetchone()[0])")" --catalog c.db --svg x.svg
says 'has no curves'
check 'an event file with the tags of RLinf' python3 -c "
import glob
text = open(glob.glob('one/events.out.tfevents.*')[0], 'rb').read()
assert all(t in text for t in (b'train/loss', b'train/actor/lr', b'train/actor/grad_norm', b'time/step'))"

# Fitted beyond the plateau at 4.05 that comes before pictures tell; 5.5 at random.
expect 0 $train --out fitted --threads 2 --set batch=16 micro_batch=16 steps=300 lr=3e-3 warmup=20 shift_px=0 \
  crop=1 brightness=0 contrast=0 dropout=0 word_dropout=0 paraphrase=0 proprio_dropout=0 weight_decay=0 \
  validate_every=0 save_every=300 --json
json 'd["loss"] < 3.8'

# kill -9 after some checkpoints (what is told of the first is in the catalog then), and going on.
kill_at killed/checkpoints/000010 $train --out killed --threads 2
check 'killed on the way' [ ! -e killed/checkpoints/000020 ]
run=$(field c.db 'r["run"]')
expect 2 train -q --resume "$run" --catalog c.db --set lr=1
says "run $run was started with \"lr\" 0.0003"
expect 2 train -q --resume "$run" --catalog c.db --config sft-n2
says "run $run was started with"
expect 2 train -q --resume "$run" --catalog c.db --threads 1
says 'was started with 2'
expect 2 train -q --resume "$run" --catalog c.db --out other
says 'goes on in'
mv killed moved
expect 1 train -q --resume "$run" --catalog c.db
says "its folder $T/killed is not there"
mkdir killed
expect 1 train -q --resume "$run" --catalog c.db
says "$T/killed/checkpoints/last is not there"
rmdir killed && mv moved killed
json=killed/checkpoints/last/training_state/training_step.json
cp $json step.json
sed 's/"precision":[^,]*,/"precision": "f16",/' step.json >$json
expect 1 train -q --resume "$run" --catalog c.db
says 'was trained in f16, this machine takes'
cp step.json $json
cd nothing || exit 1
expect 0 train -q --resume "$run" --catalog ../c.db --json --set keep=5 cache_mb=0 workers=2 recompute=true
cd .. || exit 1
json 'd["step"] == 20'
same one killed
expect 0 runs "$run" --catalog c.db --json
json 'd["runs"][0]["curves"]["train/loss"]["step"] == [5, 10, 15, 20] and d["runs"][0]["state"] == "done"'

# A run that was killed before its first checkpoint does not go on from those of another.
"$VLAKIT" $train --out shared --set steps=100000 save_every=100000 validate_every=0 >"$T/field" 2>&1 &
pid=$!
wait_for c.db 'r["command"] == "train" and r["state"] == "running"' $pid
kill -9 $pid
wait $pid 2>"$T/field"
run=$(field c.db 'r["run"]')
expect 0 $train --out shared $once
expect 1 train -q --resume "$run" --catalog c.db --dry-run
says "run $run: $T/shared/checkpoints/last is of run $(field c.db 'r["run"]')"

# Names mean the same wherever a run goes on, whatever the current folder holds: here a folder for
# the run of a model, and another, of the same names.
mkdir nano-n2 stand-in
expect 0 train --config sft-n2 --data demos --out x --dry-run --json --threads 1 --set visuals=stand-in \
  batch=2 micro_batch=2
json 'd["config"]["model"] == "nano-n2" and d["config"]["visuals"] == "stand-in"'
rmdir nano-n2 stand-in
terminate c.db $train --out nano-n2 --threads 2 --set model=nano-n2 visuals=stand-in steps=100000 \
  validate_every=0
mkdir stand-in
run=$(field c.db 'r["run"]')
expect 0 train -q --resume "$run" --catalog c.db --dry-run
expect 0 train -q --resume "$run" --catalog c.db --dry-run --set visuals=stand-in
rmdir stand-in

# Data that was changed is told before the first checkpoint too.
cp -r demos changing
"$VLAKIT" train -q --config tiny.json --data changing --catalog c.db --out changed \
  --set steps=100000 save_every=100000 validate_every=0 >"$T/field" 2>&1 &
pid=$!
wait_for c.db 'r["command"] == "train" and r["state"] == "running"' $pid
kill -9 $pid
wait $pid 2>"$T/field"
run=$(field c.db 'r["run"]')
expect 0 train -q --resume "$run" --catalog c.db --dry-run
"$VLAKIT" collect -q --suite libero_goal/7 --episodes 2 --out fewer --catalog rows.db >/dev/null || exit 1
rm -r changing
mv fewer changing
expect 1 train -q --resume "$run" --catalog c.db --dry-run
says "run $run began with other data"

# SIGTERM: saved where it was.
terminate c.db $train --out stopped --threads 2 --set save_every=1000
run=$(field c.db 'r["run"]')
check 'says how to go on' grep -q -- "--resume $run" err
expect 0 train -q --resume "$run" --catalog c.db
same one stopped

# Evaluation on the way, and going on with one that was interrupted: the same rate.
expect 0 $train --out scored --threads 2 --set steps=2 eval_every=2 eval_episodes=2 --json
json 'd["ci95"][0] <= d["success_rate"] <= d["ci95"][1] and d["env_steps_per_s"] > 0'
rate=$(python3 -c 'import json; print(json.load(open("out"))["success_rate"])')
run=$(field c.db 'r["run"]')
expect 0 runs "$run" --catalog c.db --json
json "d['runs'][0]['curves']['eval_sampled/n_episode']['value'] == [2]"
json "d['runs'][0]['curves']['eval_sampled/success_once'] == {'step': [2], 'value': [$rate]}"
terminate c.db $train --out paused --threads 2 --set steps=2 eval_every=2 eval_episodes=2
expect 0 train -q --resume "$(field c.db 'r["run"]')" --catalog c.db --json
json "d['step'] == 2 and d['success_rate'] == $rate"
same scored paused

# A run that only has its last step to judge has no loss to tell of.
python3 - scored/checkpoints/last/training_state/training_step.json "$run" <<'PY'
import json, sqlite3, sys
state = json.load(open(sys.argv[1]))
state["trainer"]["is_judged"] = False
json.dump(state, open(sys.argv[1], "w"))
with sqlite3.connect("c.db") as db:
    db.execute("UPDATE run SET state = 'interrupted' WHERE id = ?", (sys.argv[2],))
PY
expect 0 train -q --resume "$run" --catalog c.db
prints 'success '
prints 'loss        of held-out demonstrations '
check 'no loss that is no number' sh -c '! grep -q nan out'

# A loss that is no number.
expect 1 $train --out diverged --set lr=1e6 warmup=6 save_every=1
says 'take a smaller lr'
says "the micro-batch that it came from is in $T/diverged/bad_batch.safetensors"
check 'the batch is there' python3 -c "
import json, struct
f = open('diverged/bad_batch.safetensors', 'rb')
head = json.loads(f.read(struct.unpack('<Q', f.read(8))[0]))
assert head['image']['shape'] == [2, 2, 128, 128, 3] and head['target']['shape'] == [2, 8, 7], head
assert 'bowl' in head['__metadata__']['text.0'] or head['__metadata__']['text.0'], head"
check 'no checkpoint of it' python3 -c "
import glob, struct
for path in glob.glob('diverged/checkpoints/0*/training_state/weights.safetensors'):
    data = open(path, 'rb').read()
    n = struct.unpack('<Q', data[:8])[0]
    assert all(x == x for (x,) in struct.iter_unpack('<f', data[8 + n:])), path"

# A full disk: said, and training goes on; the last checkpoint must be written.
(ulimit -f 600 && "$VLAKIT" train --config tiny.json --data demos --out full --threads 2 --catalog c.db) >out 2>err
check 'exit code of a full disk' [ $? = 1 ]
check 'says that it goes on' grep -q 'training goes on' err
check 'says how to go on' grep -Eq 'could not be saved: .*/full/checkpoints/[0-9]*/.*; there is no checkpoint yet: .* vlakit train --resume [0-9a-z]*$' err
check 'no folder that is gone' [ "$(grep -c '\.part' err)" = 0 ]
check 'says before how long it will take' grep -Eq \
  'train: expected to take about [0-9.]+ (s|min), until 2...-..-.. ..:.., at .* s a step, with .* of validation' err
check 'says when it will be over' \
  grep -q 'step 5: the end is expected at 2...-..-.. ..:.., at .* with .* of validation and 0 s of evaluations' err
check 'nothing half-written' [ -z "$(find full/checkpoints -type f 2>/dev/null)" ]
expect 0 train -q --resume "$(field c.db 'r["run"]')" --catalog c.db
check 'nothing is measured with -q' sh -c '! grep -q expected err'
same one full

# The time that it takes to say so, four micro-batches and pictures, is none of the training's.
expect 0 train --config tiny.json --data demos --out timed --catalog c.db --json \
  --set steps=1 batch=128 micro_batch=128 warmup=0 validate_every=0
check 'it was measured' grep -q 'expected to take' err
cp out timed.json
expect 0 runs "$(field c.db 'r["run"]')" --catalog c.db --json
check 'a run as long as its parts' python3 -c "
import json
wall_s = json.load(open('timed.json'))['wall_s']
curves = json.load(open('out'))['runs'][0]['curves']
step_s, saved_s = (curves['time/' + part]['value'][-1] for part in ('step', 'checkpoint'))
assert wall_s < 3 * step_s + saved_s, (wall_s, step_s, saved_s)"

# What is lost is told by kind: every checkpoint, and points of curves once.
(ulimit -f 200 && "$VLAKIT" train --config tiny.json --data demos --out small --catalog small.db \
  --set steps=50 save_every=1 validate_every=0) >out 2>err
check 'every checkpoint' [ "$(grep -c 'training goes on, without a checkpoint so far' err)" = 49 ]
check 'points once' [ "$(grep -c 'while writing points of a curve' err)" = 1 ]
(ulimit -f 200 && "$VLAKIT" $there --data demos --out quiet --catalog small.db --set steps=3 save_every=1 validate_every=0) \
  >out 2>err
check '-q hides no lost checkpoint' [ "$(grep -c 'training goes on, without a checkpoint so far' err)" = 2 ]
# And with the last one that could be written, and counted at the end.
"$VLAKIT" train --config tiny.json --data demos --catalog c.db --out lossy \
  --set steps=60 save_every=1 validate_every=0 >out 2>lossy.err &
pid=$!
pause_when() { # pause_when COMMAND...: the process is left standing as soon as it succeeds
  i=0
  while kill -STOP $pid && ! "$@" && [ $i -lt 2400 ]; do
    kill -CONT $pid
    i=$((i + 1))
    sleep 0.02
  done
}
lost() {
  grep -c 'training goes on, the last checkpoint is of step [0-9]' lossy.err
}
pause_when [ -e lossy/checkpoints/last ]
mv lossy/checkpoints kept
touch lossy/checkpoints
kill -CONT $pid
pause_when sh -c '[ "$(grep -c "training goes on" lossy.err)" -ge 3 ]'
rm lossy/checkpoints
mv kept lossy/checkpoints
kill -CONT $pid
wait $pid
check 'exit code of lost checkpoints' [ $? = 0 ]
check 'they are said' [ "$(lost)" -ge 3 ]
check 'they are counted' grep -qx "lost        checkpoints: $(lost)" out

# Where time went.
expect 0 $train --out traced --set steps=2 validate_every=1 save_every=1000 --trace t.json
check 'what is judged best is kept, also between checkpoints' [ -d traced/checkpoints/000001 ]
check 'slices of all that a step is made of' python3 -c "
import json
names = {(e.get('cat'), e['name'].split('.')[-1]) for e in json.load(open('t.json'))['traceEvents']}
assert {('train', 'step'), ('train', 'optimiser'), ('train', 'checkpoint'), ('nn', 'conv'),
        ('nn', 'conv_dw')} <= names, names"
finish
