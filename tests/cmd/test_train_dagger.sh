# vlakit train --method dagger: the same weights after being killed and resumed, labels in files.
. "${0%/*}/lib.sh"

learn_from 3 --catalog c.db
cat >tiny.json <<'JSON'
{
  "method": "dagger",
  "model": "model.json",
  "batch": 4, "micro_batch": 4,
  "steps": 7,
  "warmup": 0,
  "ema_decay": 0.9,
  "save_every": 1,
  "validate_every": 0,
  "dagger_every": 2, "dagger_rounds": 2, "dagger_episodes": 2,
  "episode_steps": 12
}
JSON
train="train -q --config tiny.json --data demos --catalog c.db --threads 2"

expect 2 $train --out x --set group=4
says '--set: key "group" is read by ppo, grpo alone, not by dagger'
expect 2 $train --out x --set protocol=openpi
says 'executes 5 of 8'
check 'nothing was written' [ ! -e x ]

# What would run: no round is run for it.
expect 0 $train --out x --dry-run --json
json 'd["dry_run"] and d["wall_s"] > d["step_s"] > 0 and d["n_eval"] == 0'
json '(d["n_round"], d["n_round_episode"]) == (2, 2) and d["wall_s"] > d["round_s"] > 0'
expect 0 $train --out x --dry-run
check 'the dry run tells of rounds' grep -qE '^of it     at most about [0-9.]+ .* in 2 rounds of 2 episodes with the expert$' "$T/out"
expect 0 $train --out x --dry-run --json --set eval_every=3 eval_episodes=1
json 'd["n_eval"] == 3 and d["wall_s"] > d["eval_s"] > 0'
# Memory is that of all rounds: samples of two pictures of 128 * 128 * 3 bytes.
cp "$T/out" few.json
expect 0 $train --out x --dry-run --json --set eval_every=3 eval_episodes=1 dagger_episodes=52
json 'd["bytes"] - json.load(open("few.json"))["bytes"] > 0.8 * 2 * 50 * 2 * 8 * 2 * 128 * 128 * 3'
check 'nothing was written' [ ! -e x ]

expect 0 $train --out one --json
json 'd["step"] == 7'
run=$(field c.db 'r["run"]')
expect 0 runs "$run" --catalog c.db --json
json 'd["runs"][0]["curves"]["dagger/labels"]["value"] == [4, 8]'
json 'd["runs"][0]["curves"]["dagger/labels"]["step"] == [3, 5]'
json 'd["runs"][0]["curves"]["dagger/samples"]["value"][1] - d["runs"][0]["curves"]["dagger/samples"]["value"][0] == 32'
check 'two rounds' [ "$(ls one/dagger)" = '0000.safetensors
0001.safetensors' ]

# kill -9 between the rounds, and going on.
kill_at killed/checkpoints/000003 $train --out killed
check 'killed on the way' [ ! -e killed/checkpoints/000007 ]
expect 0 train -q --resume "$(field c.db 'r["run"]')" --catalog c.db --json
same one killed training_state/training_step.json
check 'the same labels' cmp one/dagger/0001.safetensors killed/dagger/0001.safetensors

# A policy that is begun with one is asked about at once.
expect 0 $train --out x --dry-run --set init=one
check 'nothing was written' [ ! -e x ]
expect 0 $train --out more --set init=one steps=1 dagger_rounds=1
check 'a round before the first step' [ -e more/dagger/0000.safetensors ]
finish
