# vlakit train of methods that practise: the same weights after being killed and resumed, what is
# refused, what a run tells.
. "${0%/*}/lib.sh"

learn_from 3 --catalog c.db
"$VLAKIT" train -q --data demos --out init --catalog c.db --set model=model.json steps=2 batch=4 micro_batch=4 \
  validate_every=0 >/dev/null || exit 1
some='init=init tasks=libero_goal/7 episode_steps=12 batch=4 micro_batch=2 save_every=1'
ppo="train -q --config ppo-n2 --catalog c.db --threads 2 --set $some steps=3 groups=2 group=2 critic_warmup=1 kl_stop=0"

step=training_state/training_step.json

# What is refused.
expect 2 train -q --config grpo-n2 --out x
says '"init" names no policy'
expect 2 train -q --config grpo-n2 --out x --set init=init
says '"tasks" names no tasks'
expect 2 train -q --config grpo-n2 --out x --set init=nowhere tasks=libero_goal/7
says 'nowhere'
expect 2 train -q --config grpo-n2 --out x --set $some tasks=libero_gaol/7
says 'libero_goal'
expect 1 train -q --config grpo-n2 --out x --set $some tasks=libero_object/1
says 'has statistics of libero_goal alone, and "tasks" has tasks of libero_object'
expect 1 train -q --config grpo-n2 --out x --set $some eval_suite=libero_object
says 'eval_suite libero_object has tasks of libero_object'
expect 2 train -q --config grpo-n2 --out x --set $some steps=5 warmup=5
says '--set: warmup is 5 of 5 steps'
expect 2 train -q --config grpo-n2 --out x --set $some group=1
says 'group is 1'
expect 1 train -q --config grpo-n2 --out x --set $some groups=4096 group=4096 episode_steps=0
says 'take fewer groups'
expect 2 train -q --config grpo-n2 --out x --set $some steps=0
says 'steps is 0'
expect 2 train -q --config grpo-n2 --out x --set $some logp_level=chunk
says 'rewards of chunks'
expect 2 train -q --config grpo-n2 --out x --set $some dual_clip=0.5
says 'dual_clip is 0.5: expected a bound above 1'
expect 2 train -q --config grpo-n2 --out x --set $some protocol=openpi
says 'executes 5 of 8'
expect 2 train -q --config grpo-n2 --out x --set $some precision=bf16
says 'bf16'
expect 2 train -q --config grpo-n2 --out x --set $some views=1
says 'sees 2 pictures'
expect 2 train -q --config grpo-n2 --out x --set $some bc_weight=0.1
says '"data" names no demonstrations'
expect 2 train -q --config grpo-n2 --out x --set $some workers=2
says '--set: key "workers" is of demonstrations, and bc_weight is 0'
check 'nothing was written' [ ! -e x ]

# What would run.
expect 0 $ppo --out x --dry-run --json
json 'd["dry_run"] and d["n_step"] == 3 and d["n_task"] == 1 and d["step_s"] > 0 and d["bytes"] > 1e6'
json 'd["n_eval"] == 0 and d["n_validation"] == 0 and d["imitation_s"] == 0'
expect 0 $ppo --out x --dry-run --json --set eval_every=2 eval_episodes=1
json 'd["n_eval"] == 2 and d["wall_s"] > d["eval_s"] > 0'
expect 0 $ppo --out x --dry-run
prints '4 episodes a step, in 2 groups, of 1 task'
expect 0 $ppo --out x --dry-run --set group=1 partial_reset=true
prints '2 environments a step, of 32 steps each, of 1 task'
expect 2 $ppo --out x --dry-run --set group=1 partial_reset=true rollout_steps=8
says 'an episode may take 16'
expect 0 train --config grpo-n2 --out x --dry-run --set $some groups=1 group=2 \
  tasks=libero_goal/7,libero_goal/open_the_middle_drawer_of_the_cabinet,libero_goal/7
says '"tasks" names 1 task again (libero_goal/7): each counts once'
prints 'of 2 tasks'
check 'nothing was written' [ ! -e x ]

# A group-relative step: whatever the policy can do.
expect 0 train -q --config grpo-n2 --out group --catalog c.db --set $some steps=1 groups=2 group=2 --json
json 'd["step"] == 1 and d["checkpoint"].endswith("/group/checkpoints/000001")'
run=$(field c.db 'r["run"]')
expect 0 runs "$run" --catalog c.db --json
json '{"env/success_once", "env/episode_len", "rollout/groups_uniform", "rollout/saved", "time/rollout"} <= set(d["runs"][0]["curves"])'
json 'd["runs"][0]["curves"]["env/num_trajectories"]["value"] == [4]'

# A policy that never succeeds gives nothing to compare: that is said at the end.
idle="train -q --config grpo-n2 --catalog c.db --set $some steps=2 groups=1 group=2"
expect 0 $idle --out idle
prints ', nothing learned'
check 'the last line' [ "$(tail -1 out)" = "learned     nothing in 2 of 2 steps, whose groups ended alike or were left out (filter_lo, filter_hi): the policy is what it was" ]
check 'its weights are those that it began with' python3 - <<'PY'
import json, struct
def tensors(path):
    b = open(path, "rb").read()
    n = struct.unpack("<Q", b[:8])[0]
    head = json.loads(b[8:8 + n])
    return {k: b[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]]
            for k, v in head.items() if k != "__metadata__"}
a, b = (tensors(d + "/checkpoints/last/pretrained_model/model.safetensors") for d in ("idle", "init"))
assert a and all(a[k] == b[k] for k in a if k in b)
PY
expect 0 $idle --out idle_json --json
json 'd["n_idle"] == 2'

# What a checkpoint holds trains again.
expect 0 train --config group/checkpoints/last/pretrained_model/train_config.json --out x --dry-run --json
says 'train_config.json: warmup is 3 of 1 steps, and is cut to 0'
json 'd["n_step"] == 1 and d["n_task"] == 1'

# A policy with a value head, uninterrupted.
expect 0 $ppo --out one --json
json 'd["step"] == 3 and d["samples_per_s"] > 0 and d["n_replaced"] == 0 and d["n_idle"] == 0'
json 'd["success_rate"] is None and d["ci95"] is None and d["env_steps_per_s"] is None'
json 'd["practice_ci95"][0] <= d["practice_success_rate"] <= d["practice_ci95"][1]'
json 'd["practice_n_episode"] > 0 and d["practice_env_steps_per_s"] > 0 and d["practice_saved"] == 0'
run=$(field c.db 'r["run"]')
expect 0 runs "$run" --catalog c.db --json
json 'd["runs"][0]["curves"]["train/actor/ratio_away_at_first"]["value"] == [0, 0, 0]'
json 'd["runs"][0]["curves"]["train/actor/updates"]["value"] == [4, 4, 4]'
json 'all(x > 0 for x in d["runs"][0]["curves"]["train/critic/loss"]["value"])'
json 'd["runs"][0]["curves"]["env/steps_per_s"]["step"] == [1, 2, 3]'
check 'the policy says what it began with' python3 - one init <<'PY'
import hashlib, json, os, sys
one, init = (os.path.realpath(d + "/checkpoints/last") + "/pretrained_model" for d in sys.argv[1:])
was = json.load(open(one + "/config.json"))["provenance"]["init"]
digest = hashlib.sha256(open(init + "/model.safetensors", "rb").read()).hexdigest()
assert was == {"path": init, "hash": digest, "step": 2}, was
PY
check 'it is a policy' [ -e one/checkpoints/last/pretrained_model/model.safetensors ]

# kill -9 after the first checkpoint, and going on.
kill_at killed/checkpoints/last $ppo --out killed
check 'killed on the way' [ ! -e killed/checkpoints/000003 ]
run=$(field c.db 'r["run"]')
expect 2 train -q --resume "$run" --catalog c.db --set temperature=2
says "run $run was started with \"temperature\" 1"
mkdir nothing
cd nothing || exit 1
mv ../init ../gone # all that is needed of it is in the run's own checkpoint
expect 0 train -q --resume "$run" --catalog ../c.db --json --set quiet_s=5
mv ../gone ../init
cd .. || exit 1
json 'd["step"] == 3'
same one killed $step

# SIGTERM in the middle of a step: that step is done anew.
terminate c.db $ppo --out stopped
expect 0 train -q --resume "$(field c.db 'r["run"]')" --catalog c.db
same one stopped $step

# Environments that begin anew.
anew="$ppo group=1 partial_reset=true rollout_steps=24 bootstrap=always"
expect 0 $anew --out anew --json
json 'd["step"] == 3'
run=$(field c.db 'r["run"]')
expect 0 runs "$run" --catalog c.db --json
json 'd["runs"][0]["curves"]["rollout/decisions"]["value"] == [6, 6, 6]'

# Demonstrations beside practice: their loss falls out of the way.
demos="--data demos --set bc_weight=0.5 bc_steps=2 bc_batch=4"
expect 0 $ppo --out x --dry-run --json $demos
json 'd["wall_s"] > d["imitation_s"] > 0 and d["n_demo"] == 2 and d["n_sample"] > 0'
expect 0 $ppo --out x --dry-run --json $demos critic_warmup=2
json 'd["imitation_s"] == 0'
expect 0 $ppo --out x --dry-run $demos
prints ' of 1 task, beside '
prints ' of demonstrations beside practice'
expect 0 $ppo --out both --data demos --json --set bc_weight=0.5 bc_steps=2 bc_batch=4 critic_warmup=0
run=$(field c.db 'r["run"]')
expect 0 runs "$run" --catalog c.db --json
json 'd["runs"][0]["curves"]["train/imitation/loss"]["step"] == [1, 2]'
finish
