# vlakit policies: a trained policy as others get it, and those that come with the program.
. "${0%/*}/lib.sh"

learn_from 2
cat >tiny.json <<'JSON'
{"about": "a|b`c\nd", "model": "model.json", "batch": 4, "micro_batch": 4, "steps": 2, "warmup": 1, "save_every": 1}
JSON
"$VLAKIT" train -q --config tiny.json --data "$PWD/demos" --out run >/dev/null || exit 1
eval="eval -q --suite libero_goal/7 --episodes 2 --visuals stand-in --json"
value() { # value KEY: of the last expect's object
  python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$T/out" "$1"
}
states() { # of the last expect's episodes
  python3 -c 'import json, sys
for e in json.load(open(sys.argv[1]))["episodes"]:
    print(e["row"], e["steps"], e["state_sha256"])' "$T/out"
}

expect 0 policies
prints 'checkpoint:DIR'
prints 'bundled'
cp out list
expect 0 eval --policy list
check 'eval shows the same list' cmp out list

expect 0 policies export run --out given
prints 'policy    run, step 2, 0.3 million parameters'
prints 'given/model.safetensors, bf16, 0.65 MB'
prints 'to 8 of 24 bits: a weight changes by up to 0.39 %'
prints 'its scores are its own'
prints 'given/README.md, of what is recorded'
check 'what is in it' [ "$(LC_ALL=C ls given)" = "README.md
config.json
model.safetensors
train_config.json" ]
check 'no path of this machine' [ "$(grep -rc "$T" given | grep -vc ':0')" = 0 ]
check 'weights are bf16' python3 - <<'PY'
import json, struct
b = open("given/model.safetensors", "rb").read()
n = struct.unpack("<Q", b[:8])[0]
t = json.loads(b[8:8 + n])
c = json.load(open("given/train_config.json"))
assert {v["dtype"] for k, v in t.items() if k != "__metadata__"} == {"BF16"}
assert c["data"] == ["demos"] and c["steps"] == 2, c
PY
check 'its card' python3 - run/checkpoints/last/pretrained_model given <<'PY'
import hashlib, json, sys
card = open(sys.argv[2] + "/README.md", encoding="utf-8").read()
c = json.load(open(sys.argv[1] + "/config.json"))
head, front, body = card.split("---\n", 2)
assert head == "" and "library_name: vlakit\n" in front and "\n- robotics\n" in front, front
weights = open("given/model.safetensors", "rb").read()
source = c["provenance"]
stats = c["norm_stats"]["libero_goal"]
for text in ("# given\n", "| weights | BF16, 0.65 MB |", hashlib.sha256(weights).hexdigest(),
             "| views | `agentview`, `robot0_eye_in_hand`, 128 px |", "| method | `sft` |",
             "| about | `a\\|b'c d` |",
             "| data | `[\"demos\"]` |", "| step of training | `2` |", "| protocol | `oft` |",
             "| visuals | `%s` |" % source["visuals"], source["data_hash"], source["pack_hash"],
             "| `libero_goal` | %d | %d | yes |" % (stats["num_trajectories"], stats["num_transitions"]),
             "vlakit eval --suite libero_goal --policy . --protocol oft --visuals %s\n" % source["visuals"],
             "None are recorded", "## Limits", "## Licence", "weights were rounded"):
    assert text in body, text + " is not in:\n" + card
assert "%" not in body, body # rates are measured, and nothing was
PY
echo 'Results: mine.' >>given/README.md
expect 0 policies export given --out again --dtype bf16 --json
json 'd["card_kept"]'
json 'd["max_relative_change"] == 0 and d["n_zeroed"] == 0 and d["dtype"] == "bf16"'
again=$(value policy_hash)
check 'the same weights keep their card' cmp given/README.md again/README.md
expect 0 policies export given --out wider --dtype f32 --json
json 'not d["card_kept"] and d["max_relative_change"] == 0'
check 'others get one of their own' grep -q '| weights | F32, ' wider/README.md
check 'nothing was rounded' [ "$(grep -c 'rounded' wider/README.md)" = 0 ]
expect 0 $eval --policy given --threads 1
json "d['policy_hash'] == '$again'"
states >one
expect 0 $eval --policy again --threads 2
states >other
check 'what was rounded once acts alike' cmp one other

# In f32 it is the policy itself.
expect 0 policies export run/checkpoints/last --out exact --dtype f32 --json
json 'd["max_relative_change"] == 0 and d["bytes"] > 1e6'
exact=$(value policy_hash)
expect 0 $eval --policy run
json "d['policy_hash'] == '$exact' != '$again'"
states >one
expect 0 $eval --policy exact
json "d['policy_hash'] == '$exact'"
states >other
check 'f32 acts as the run does' cmp one other

# Training begins anew from what was given away.
expect 0 train -q --config tiny.json --data demos --out more --set init=given --json
json 'd["step"] == 2'

expect 2 policies exprt run --out x
says 'did you mean export?'
expect 2 policies export run
says 'export takes a trained policy and --out'
expect 2 policies export --out x
expect 2 policies list run
says 'list takes no argument'
expect 2 policies --out x
says '--out is for export'
expect 2 policies export run --out x --dtype bf61
says 'did you mean bf16?'
expect 2 policies export run --out given
says 'given is there already, and is no empty folder'
expect 2 policies export nowhere --out x
says 'nowhere: there is no such checkpoint'
expect 1 policies export run --out model.json/x
expect 1 policies export run --out "new/deep/$(printf '%250s' '' | tr ' ' x)"
says 'File name too long'
check 'no folder that was made for it is left' [ ! -e new ]
mkdir new
expect 1 policies export run --out "new/deep/$(printf '%250s' '' | tr ' ' x)"
check 'but one that was there' [ "$(ls -A new; rmdir new && echo empty)" = empty ]
run_id=$(python3 -c 'import json
print(json.load(open("run/checkpoints/last/pretrained_model/config.json"))["provenance"]["run"])')
expect 2 policies export "$run_id" --out x
says "$run_id is a run, and a trained policy is named by its folder: give $T/run"
(ulimit -f 60 && "$VLAKIT" policies export run --out x) >out 2>err
check 'exit code of a full disk' [ $? = 1 ]
check 'it names what was asked for' grep -q "$T/x/model.safetensors: " err
check 'and nothing else' [ "$(grep -c 'part' err)" = 0 ]
check 'nothing is left of them' [ "$(ls -a | grep -c -e '^x' -e part)" = 0 ]

# What comes with the program is whole, small, told, and acts.
cat >check.py <<'PY'
import json, os, sys
root = sys.argv[1] + "/data/policies"
names = [p["name"] for p in json.load(open(root + "/list.json"))["policies"]]
folders = sorted(e.name for e in os.scandir(root) if e.is_dir())
assert folders == sorted(names), "%s are listed, %s are there" % (names, folders)
for name in names:
    folder = root + "/" + name
    files = sorted(os.listdir(folder))
    assert open(folder + "/README.md").read(4) == "---\n", "no front matter"
    assert files == ["README.md", "config.json", "model.safetensors", "train_config.json"], files
    assert os.path.getsize(folder + "/model.safetensors") <= 20e6
    card = open(folder + "/README.md", encoding="utf-8").read()
    for word in ("vlakit train", "vlakit eval", "95 %", "n = ", "Limits", "Licence"):
        assert word in card, name + ": README.md does not say '" + word + "'"
    assert "/home/" not in open(folder + "/config.json").read()
print(*names)
PY
check 'data/policies' python3 check.py "$VK_SOURCE" >names
for name in $(cat names); do
  expect 0 eval -q --suite libero_goal/7 --episodes 1 --policy "$name" --json
  json "d['n_episode'] == 1 and d['errors'] == 0"
  # The configuration that its card gives trains, with other demonstrations and first weights.
  expect 0 train -q --config "$VK_SOURCE/data/policies/$name/train_config.json" --data demos \
    --out z --set init="$name" batch=4 micro_batch=4 --dry-run --json
  json "d['dry_run'] and d['n_task'] == 1"
done
expect 0 eval -q --suite libero_goal/7 --policy bundled --dry-run --json
json 'd["visuals_match"] in (True, False) and d["decoding"].startswith("greedy")'
expect 0 train -q --data demos --out from_bundled --json --set init=bundled batch=4 micro_batch=4 steps=1 \
  warmup=0 validate_every=0 visuals=stand-in
json 'd["config"]["init"] == "bundled" and d["step"] == 1'
expect 0 policies export bundled --out mine --json
json 'd["card_kept"] and d["policy_hash"]'
check 'it keeps its card' cmp mine/README.md "$VK_SOURCE/data/policies/$(head -1 names | cut -d" " -f1)/README.md"
expect 2 eval --suite libero_goal/7 --policy bundeld
says 'did you mean bundled?'
expect 0 policies export bundled --out mine_too
prints 'rounding  none: the weights were bf16 already'
finish
