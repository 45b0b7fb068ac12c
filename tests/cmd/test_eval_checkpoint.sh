# vlakit eval of a trained policy: how it is named, that nothing beside an episode changes it, what is
# refused of its files, rows that nobody trained on, and perturbed episodes.
. "${0%/*}/lib.sh"

learn_from 2
cat >tiny.json <<'JSON'
{"model": "model.json", "batch": 4, "micro_batch": 4, "steps": 2, "warmup": 1, "save_every": 1}
JSON
"$VLAKIT" train -q --config tiny.json --data demos --out run >/dev/null || exit 1
eval="eval -q --suite libero_goal/7 --episodes 2 --visuals stand-in"
last=run/checkpoints/last/pretrained_model
cp -rL "$last" good || exit 1

hashes() { # of the last expect: final states
  python3 -c 'import json, sys
for e in json.load(open(sys.argv[1]))["episodes"]:
    print(e["task"], e["row"], e["steps"], e["error"], e["state_sha256"])' "$T/out"
}

# A policy by its run, checkpoint, folder and file: the same, on any number of threads.
expect 0 $eval --policy run --threads 1 --json
json 'd["decoding"] == "greedy (median)" and d["n_episode"] == 2 and d["errors"] == 0'
json "d['policy'] == '$T/run' and d['config']['policy'] == '$T/run'"
json 'd["config"]["policy_sees_pictures"] and d["visuals"] == "stand-in" and d["perturb"] == "none"'
json 'd["visuals_match"] is True and d["pack_match"] is True'
hashes >one
greedy=$(python3 -c 'import json; print(json.load(open("out"))["run"])')
policy_hash=$(python3 -c 'import json; print(json.load(open("out"))["policy_hash"])')
for word in run/checkpoints run/checkpoints/000002 checkpoint:run good good/model.safetensors \
  "checkpoint:$PWD/good"; do
  expect 0 $eval --policy "$word" --threads 3 --json
  json "d['policy_hash'] == '$policy_hash'"
  hashes >other
  check "$word acts as run does" cmp one other
done
expect 0 $eval --policy run/checkpoints/000001 --json
json "d['policy_hash'] != '$policy_hash'"
expect 0 $eval --policy run
prints 'greedy (median)'
expect 0 eval --policy list
prints 'checkpoint:DIR'
expect 0 eval -q --suite libero_goal/7 --policy run --episodes 1 --dry-run
prints 'eval rows'
prints 'policy    run greedy (median)'
expect 0 $eval --policy run --sample 0.5 --rows held-out --perturb camera --dry-run --json
json '(d["decoding"], d["rows"], d["perturb"]) == ("sampled at T 0.5", "held-out", "camera")'
expect 0 graph show run
expect 0 graph show run/checkpoints/000001

# The record names the folder wherever it is read: another one of that name is another policy, and
# --resume finds it from anywhere.
mkdir -p away/run
cd away || exit 1
expect 0 eval -q --resume "$greedy" --json
json "d['policy'] == '$T/run' and d['policy_hash'] == '$policy_hash'"
expect 0 eval -q --resume "$greedy" --policy ../run --json
expect 2 eval -q --resume "$greedy" --policy run
says '--policy is not what run'
cd .. || exit 1
expect 0 runs
prints "$T/run on libero_goal/7"
expect 0 eval -q --resume "$greedy" --policy run --out shown
check 'the report names the folder' grep -qF "$T/run" shown/report.html

# Drawn actions: other ones, the same for the same seed.
expect 0 $eval --policy run --sample 1.5 --threads 1 --json
json "d['decoding'] == 'sampled at T 1.5' and d['policy_hash'] != '$policy_hash'"
hashes >drawn
sampled=$(python3 -c 'import json; print(json.load(open("out"))["run"])')
check 'drawn actions are other ones' [ "$(cmp one drawn 2>&1)" ]
expect 0 $eval --policy run --sample 1.5 --threads 2 --json
hashes >other
check 'the same draws on two threads' cmp drawn other
expect 0 eval -q --resume "$sampled" --json
json "d['decoding'] == 'sampled at T 1.5'"
expect 2 eval -q --resume "$sampled" --sample 1
says '--sample is not what run'
expect 2 $eval --policy run --sample -1
expect 2 eval --suite libero_goal/7 --policy zero --sample 1
says "policy 'zero' draws no actions"

# Other first states and perturbed episodes: other trials, which compare refuses to pair.
expect 0 $eval --policy run --rows held-out --json
json 'd["rows"] == "held-out" and d["errors"] == 0'
held=$(python3 -c 'import json; print(json.load(open("out"))["run"])')
hashes >other
check 'held-out rows begin elsewhere' [ "$(cmp one other 2>&1)" ]
expect 1 compare "$greedy" "$held"
says "differ in --rows (eval and held-out)"
expect 0 eval -q --suite libero_goal/7 --policy zero --episodes 2 --json
json 'd["visuals"] == "none"'
expect 0 compare "$greedy" "$(python3 -c 'import json; print(json.load(open("out"))["run"])')"
prints 'of 2 pairs'
expect 0 eval -q --suite libero_goal/7 --policy zero --rows held-out --row 70 --json
json 'd["episodes"][0]["row"] == 70 and d["errors"] == 0'
expect 2 eval --suite libero_goal/7 --policy zero --rows sampled
expect 2 eval -q --resume "$held" --rows eval
says '--rows is not what run'
# What other words do to a policy of two training steps is too little to see.
for kind in camera position language; do
  expect 0 $eval --policy run --perturb $kind --threads 1 --json
  json "d['perturb'] == '$kind' and d['errors'] == 0"
  hashes >other
  [ $kind = language ] || check "--perturb $kind changes episodes" [ "$(cmp one other 2>&1)" ]
  changed=$(python3 -c 'import json; print(json.load(open("out"))["run"])')
  expect 0 $eval --policy run --perturb $kind --threads 2 --json
  hashes >again
  check "--perturb $kind depends on the episode alone" cmp other again
done
expect 1 compare "$greedy" "$changed"
says 'differ in --perturb (none and language)'
expect 0 runs "$changed"
prints ', language perturbed (words that no training draws)'
expect 0 runs
prints 'run on libero_goal/7, oft, held-out rows: 2 of 2 episodes'
prints 'run on libero_goal/7, oft, T 1.5: 2 of 2 episodes'
prints 'run on libero_goal/7, oft: 2 of 2 episodes'
prints 'run on libero_goal/7, oft, language perturbed (words that no training draws): 2 of 2'
expect 0 compare "$changed" "$changed"
prints 'trials: language perturbed (words that no training draws)'
expect 0 compare "$held" "$held" --json
json '(d["rows"], d["perturb"], d["trained_on_rows_a"]) == ("held-out", "none", False)'
expect 2 eval --suite libero_goal/7 --policy expert --perturb language
says 'policy expert reads no instructions'
expect 2 eval --suite libero_goal/7 --policy zero --perturb camera
says 'policy zero sees no pictures'
expect 2 $eval --policy run --perturb camrea
says 'did you mean camera?'

# A policy that learned from the rows that are scored is said to have, wherever its results are.
cp -r good learned
learned_from() { # learned_from ROWS
  python3 - "$1" <<'PY'
import json, sys
c = json.load(open("learned/config.json"))
c["provenance"]["rows"] = sys.argv[1]
json.dump(c, open("learned/config.json", "w"))
PY
}
one="eval -q --suite libero_goal/7 --row 0 --visuals stand-in --policy learned"
for rows in sampled:False unknown:None eval:True; do
  learned_from "${rows%:*}"
  expect 0 $one --dry-run --json
  json "d.get('trained_on_rows') is ${rows#*:}"
  expect 0 $one --rows held-out --dry-run --json
  json 'd["trained_on_rows"] is False'
done
expect 0 $one --dry-run
prints 'trained   on the init rows that are scored, too'
expect 0 $one --out said --json
json 'd["trained_on_rows"] is True'
learned=$(python3 -c 'import json; print(json.load(open("out"))["run"])')
check 'the report says it' grep -q 'The policy was trained on the init rows' said/report.html
expect 0 runs "$learned"
prints 'the policy was trained on the init rows that are scored here: --rows held-out tells'
expect 0 compare "$greedy" "$learned"
prints 'B: the policy was trained on the init rows that are scored here'
expect 0 compare "$greedy" "$learned" --json
json 'd["trained_on_rows_a"] is False and d["trained_on_rows_b"] is True'
expect 0 runs "$greedy"
check 'of others nothing is said' [ "$(grep -c 'trained on' out)" = 0 ]
learned_from unknown
expect 0 $one
prints 'whether the policy was trained on the init rows that are scored here is not known'

# The id of a run is no policy: where that one's lies is said.
trained=$(python3 -c 'import json
print(json.load(open("run/checkpoints/last/pretrained_model/config.json"))["provenance"]["run"])')
expect 2 eval --suite libero_goal/7 --policy "$trained"
says "$trained is a run, and a trained policy is named by its folder: give $T/run"
mv run/checkpoints/last hidden
expect 2 eval --suite libero_goal/7 --policy "$trained"
says "$trained is a run without a checkpoint: there is no $T/run/checkpoints/last"
mv hidden run/checkpoints/last
expect 2 eval --suite libero_goal/7 --policy "$greedy"
says "$greedy is a run of vlakit eval, and a policy is what one of train has made"
expect 2 eval --suite libero_goal/7 --policy aaaaaaaa
says "unknown policy 'aaaaaaaa'; there are checkpoint, expert,"
says "and folders of trained ones, of which none is 'aaaaaaaa'"
expect 2 eval --resume run
says "--resume: run is a folder, expected the id of a run; its checkpoint is of run $trained: --resume $trained"
expect 2 eval --resume demos
says '--resume: demos is a folder, expected the id of a run; `vlakit runs` lists them'

# What is no policy, or not all of one: one sentence each, before any run begins.
n_run=$("$VLAKIT" runs | wc -l)
expect 1 eval --suite libero_object/0 --policy run
says 'no statistics for libero_object'
says 'it has libero_goal'
expect 2 $eval --policy nothing/here
says 'nothing/here: there is no such checkpoint'
mkdir empty several
expect 1 $eval --policy empty
says 'empty/config.json'
cp -r good several/b
cp -r run several/a
expect 1 $eval --policy several
says 'there is no several/config.json; did you mean several/a?'
expect 1 $eval --policy run/checkpoints/last/training_state
says 'did you mean run/checkpoints/last/training_state/../pretrained_model?'
expect 1 $eval --policy run/checkpoints/last/training_state/weights.safetensors
says 'there is no config.json beside it, without which weights are no policy'
expect 1 $eval --policy good/config.json
says 'good/config.json is a file of a checkpoint; give its folder, good'
expect 2 $eval --policy checkpoint:nothing
says 'nothing: there is no such checkpoint'
expect 2 $eval --policy checkpoint:
says 'checkpoint:DIR'
expect 2 $eval --policy ''
for t in -1 nan x 101; do
  expect 2 $eval --policy good --sample $t
  says "--sample takes a number from 0 to 100, not '$t'"
done
expect 2 $eval --policy good --perturb wind
says 'camera, position, language'
expect 2 $eval --policy good --rows sampled
says 'eval, held-out'
expect 0 eval -q --suite libero_goal/7 --policy expert --rows held-out --episodes 1 --json
json 'd["rows"] == "held-out" and d["n_success"] == 1 and d["trained_on_rows"] is None'
expect 2 $eval --policy nothing
says "unknown policy 'nothing'"
expect 1 $eval --policy model.json
says 'model.json'

spoil() { # spoil PYTHON: a copy of the policy in bad/, its config c and tensors t changed by PYTHON
  rm -rf bad
  cp -r good bad
  python3 - "$1" <<'PY'
import json, struct, sys
c = json.load(open("bad/config.json"))
b = open("bad/model.safetensors", "rb").read()
n = struct.unpack("<Q", b[:8])[0]
head, data = json.loads(b[8:8 + n]), b[8 + n:]
t = {k: [v["dtype"], v["shape"], data[slice(*v["data_offsets"])]]
     for k, v in head.items() if k != "__metadata__"}
s = c["norm_stats"]["libero_goal"]
exec(sys.argv[1])
out, at, body = {"__metadata__": {"format": "pt"}}, 0, b""
for k, (dtype, shape, item) in t.items():
    out[k] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(item)]}
    at, body = at + len(item), body + item
out = json.dumps(out).encode()
open("bad/model.safetensors", "wb").write(struct.pack("<Q", len(out)) + out + body)
json.dump(c, open("bad/config.json", "w"))
PY
}
refused() { # refused PYTHON TEXT
  spoil "$1"
  expect 1 $eval --policy bad
  says bad
  says "$2"
}
spoil 'pass'
expect 0 $eval --policy bad
# Pictures that it was not trained on: it is told, and not what happens unless asked for. The cache
# holds a file that would be taken for the original visuals, and could not be read.
spoil 'c["provenance"]["visuals_hash"] = c["provenance"]["pack_hash"] = "0" * 64'
expect 0 $eval --policy bad --dry-run --json
says 'policy bad was trained on stand-in visuals (000000000000), not on these stand-in ones'
says ' and pack 000000000000, not on this one'
json 'd["visuals_match"] is False and d["pack_match"] is False'
spoil 'c["provenance"]["visuals"] = "original"'
expect 1 eval -q --suite libero_goal/7 --policy bad
says 'policy bad was trained on original visuals: there are no original visuals in the cache'
echo original >cache/vlakit/libero.visuals
expect 0 eval -q --suite libero_goal/7 --policy run --dry-run --json
json 'd["visuals"] == "stand-in" and d["visuals_match"] is True'
rm cache/vlakit/libero.visuals
refused 't.pop("head.bias")' 'head.bias'
says 'the weights are not of the model that config.json describes'
for x in nan inf -inf; do
  refused "t['head.bias'][2] = struct.pack('<f', float('$x')) * 1792" "tensor head.bias holds $x"
done
refused 't["more"] = ["F32", [1], bytes(4)]' 'more'
refused 't["head.bias"][1] = [1792, 1]' 'head.bias'
refused 't["head.bias"][0], t["head.bias"][1] = "I32", t["head.bias"][1]' 'head.bias'
refused 's["action"]["q99"][2] = s["action"]["q01"][2]' 'q01'
refused 's["action"]["q01"].pop()' 'q01'
refused 's["action"]["q01"][1], s["action"]["q99"][1] = 1, -1' 'q01 of dimension 1 is 1, above its q99 of -1'
refused 's["proprio"]["q99"][0] = s["proprio"]["q01"][0]' 'so that it cannot be scaled'
refused 'c["norm_stats"]["bridge"] = c["norm_stats"].pop("libero_goal")' 'it has bridge'
refused 'c["step"] = -1' 'step -1: expected at least 0'
refused 'c["provenance"]["rows"] = 5' '"rows" is a number, expected a string'
refused 's["action"]["mask"] = 1' 'mask'
refused 'del s["action"]' 'action'
refused 'del c["norm_stats"]' 'norm_stats is missing'
refused 'c["norm_stats"] = {}' 'there are no statistics in it'
refused 'c["type"] = "smolvla"' 'a policy of type "smolvla"'
refused 'del c["type"]; c["model_type"] = "openvla"' 'a policy of model_type "openvla"'
refused 'c["model"]["d_model"] = 32' 'd_model'
refused 'c["model"]["n_encoder"] = 2' 'enc.1'
refused 'c["model"] = {"model": "giant"}' 'giant'
refused 'c["image"]["px"] = 224' 'px 224'
refused 'c["image"]["turn"] = "left"' 'left'
refused 'c["chunk_size"] = 10' 'chunk_size 10'
for n in 0 4 100 2000; do
  rm -rf bad
  cp -r good bad
  head -c $n good/model.safetensors >bad/model.safetensors
  expect 1 $eval --policy bad
  says bad/model.safetensors
done
rm bad/model.safetensors
expect 1 $eval --policy bad
says bad
head -c 200 good/config.json >bad/config.json
expect 1 $eval --policy bad
says bad/config.json
check 'refusals leave no run behind' [ "$("$VLAKIT" runs | wc -l)" = $((n_run + 2)) ] # spoil pass, held-out
finish
