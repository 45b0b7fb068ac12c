# vlakit train that begins with a policy: it goes on seeing what it has learned to see, unless told,
# and other pictures are said once.
. "${0%/*}/lib.sh"

learn_from 2 --catalog c.db
cat >tiny.json <<'JSON'
{"model": "model.json", "batch": 4, "micro_batch": 4, "steps": 1, "warmup": 0, "validate_every": 0}
JSON
train="train -q --config tiny.json --data demos --catalog c.db"
"$VLAKIT" $train --out init --set protocol=libero views=1 visuals=stand-in >/dev/null || exit 1
# as if there were original visuals: what is taken for them could not be read
mkdir -p cache/vlakit
echo original >cache/vlakit/libero.visuals

config() { # config RUN PYTHON: for config.json c and train_config.json t of a run's last checkpoint
  n_check=$((n_check + 1))
  python3 - "$1" "$2" <<'PY' || fail "$1: $2"
import json, sys
d = sys.argv[1] + "/checkpoints/last/pretrained_model/"
c, t = json.load(open(d + "config.json")), json.load(open(d + "train_config.json"))
p = c["provenance"]
ok = eval(sys.argv[2])
if not ok:
    print(c["image"], p, t)
sys.exit(not ok)
PY
}
config init 'c["image"]["turn"] == "none" and p["protocol"] == "libero" and p["visuals"] == "stand-in"'

expect 2 $train --out none --set init=bundld
says 'bundld: there is no such checkpoint; did you mean bundled?'
run=$(field c.db 'r["run"]')
expect 2 $train --out none --set init="$run"
says "$run is a run, and a trained policy is named by its folder: give $T/init"
expect 2 $train --out none --set init=init model=nano-n2
says "--set: model nano-n2 is not the network of init $T/init/checkpoints/000001/pretrained_model (d_model is 128, and not 16)"
expect 0 $train --out on --set init=init
check 'nothing is said' [ ! -s err ]
config on 'c["image"]["turn"] == "none" and p["protocol"] == "libero" and p["visuals"] == "stand-in"'
config on '(t["protocol"], t["visuals"], t["views"]) == ("libero", "stand-in", 1)'
config on '"model" not in t and t["init"].endswith("/init/checkpoints/000001/pretrained_model")'
expect 0 runs --catalog c.db
prints "sft of $T/init/checkpoints/000001/pretrained_model, in $T/on"
config on 'c["model"]["n_view"] == 1'

# The same of demonstrations beside practice, and of a policy that was given away.
expect 0 policies export init --out given
grpo="train -q --config grpo-n2 --out practised --catalog c.db --data demos --set init=given tasks=libero_goal/7
  episode_steps=8 batch=4 micro_batch=2 steps=1 groups=1 group=2 bc_weight=0.1 bc_batch=4"
expect 2 $grpo
says 'protocol libero executes 1 of 8'
expect 0 $grpo protocol=oft # for how episodes run; practice goes on seeing what the policy sees
check 'nothing is said' [ ! -s err ]
config practised 'c["image"]["turn"] == "none" and (t["protocol"], t["views"]) == ("oft", 1)'
config practised 'p["init"]["path"].endswith("/given")'

# What is said wins; other pictures are told in one sentence.
expect 0 $train --out other --set init=init protocol=oft views=2
config other 'c["image"]["turn"] == "rotate 180" and p["protocol"] == "oft" and t["views"] == 2'
check 'one sentence' [ "$(cat err)" = "vlakit: train: init $T/init/checkpoints/000001/pretrained_model was trained on pictures of turn \"none\", not of \"rotate 180\"" ] ||
  cat err
python3 - <<'PY'
import json
path = "given/config.json"
c = json.load(open(path))
c["provenance"]["visuals_hash"] = "0" * 64
json.dump(c, open(path, "w"))
PY
expect 0 $train --out seen --set init=given protocol=oft
check 'one sentence' [ "$(wc -l <err)" = 1 ]
says 'given was trained on stand-in visuals (000000000000), not on these stand-in ones'
says ' and pictures of turn "none", not of "rotate 180"'

# A policy of originals that are not there is refused, not shown others.
python3 - <<'PY'
import json
path = "given/config.json"
c = json.load(open(path))
c["provenance"]["visuals"] = "original"
json.dump(c, open(path, "w"))
PY
rm cache/vlakit/libero.visuals
expect 1 $train --out none --set init=given
says 'visuals=original: there are no original visuals in the cache'
check 'nothing was written' [ ! -e none ]
expect 0 $train --out shown --set init=given visuals=stand-in

# A policy of other tasks could not act in these, however long it was trained.
python3 - <<'PY'
import json
path = "given/config.json"
c = json.load(open(path))
c["norm_stats"] = {"libero_spatial": c["norm_stats"].pop("libero_goal")}
json.dump(c, open(path, "w"))
PY
expect 1 $train --out none --set init=given visuals=stand-in
says 'given has statistics of libero_spatial alone, and "data" has tasks of libero_goal, in which the policy could not act'
check 'nothing was written' [ ! -e none ]

# A run that goes on needs not be told again, even when init has gone.
"$VLAKIT" train -q --config tiny.json --data demos --out long --catalog long.db --threads 1 --set init=on \
  steps=100000 save_every=1 >long.out 2>&1 &
pid=$!
for _ in $(seq 600); do
  [ -e long/checkpoints/last ] && break
  sleep 0.1
done
kill -INT $pid
wait $pid
run=$(field long.db 'r["run"]')
mv on gone
expect 2 train -q --resume "$run" --catalog long.db --set protocol=oft
says 'was started with "protocol" "libero", now it is "oft"'
expect 0 train -q --resume "$run" --catalog long.db --dry-run
expect 0 train -q --resume "$run" --catalog long.db --config tiny.json --data demos --dry-run \
  --set init="$T/on/checkpoints/000001/pretrained_model" steps=100000 save_every=1
finish
