# vlakit bench: what it measures and what it refuses. No value is asserted: machines differ.
. "${0%/*}/lib.sh"
PACK=$VK_SOURCE/data/libero.pack

expect 0 bench env --pack "$PACK" --suite libero_goal,libero_90/3 --steps 10 --reps 1 --json
json "{r['name'].split('.')[1] for r in d['results']} == {'libero_goal', 'libero_90'}"
json "{'steps', 'steps_cpu', 'reset', 'first_step', 'memory'} <= {r['name'].split('.')[2] for r in d['results']}"
json "all(r['name'].startswith('env.') and r['unit'] for r in d['results'])"
json "all(r['value'] > 0 for r in d['results'] if not r['name'].endswith('memory'))"
json "not [r for r in d['results'] if 'pictures' in r['name']]"
expect 0 bench env --pack "$PACK" --suite libero_goal --steps 10 --reps 1 --json --picture-every 8 --visuals stand-in
json "{'pictures_8', 'pictures_8_cpu'} <= {r['name'].split('.')[2] for r in d['results'] if r['value'] > 0}"
expect 2 bench env --pack "$PACK" --picture-every 1 --samples 2
says '--samples 2: expected 1 or 4'
expect 0 bench all --pack "$PACK" --suite libero_object --steps 10 --reps 1 --isa scalar --op tile \
  --model nano-n2 --batch 1 --shape 32x256x256
prints data.libero_object.drawn
prints env.libero_object.steps
prints steps/s
prints gemm.f32.32x256x256.share
prints gemm.bf16.32x256x256.rate
prints model.nano-n2.infer.b1.p99
prints render.libero_object.agentview.128.pictures
expect 0 bench data --pack "$PACK" --suite libero_object --steps 20 --reps 1 --visuals stand-in --json
json "{'stage', 'drawn', 'kept', 'kept_as_is'} == {r['name'].split('.')[2] for r in d['results'] if r['value'] > 0}"
expect 0 bench render --pack "$PACK" --suite libero_object --steps 10 --reps 1 --visuals stand-in --json
json "len([r for r in d['results'] if r['name'].endswith('pictures_cpu')]) == 12"
json "all(r['value'] > 0 for r in d['results'])"
expect 0 bench model --model nano-n2 --batch 2 --reps 1 --json
json "{'train.b2', 'train.b2_cpu', 'train.b2.plan_bytes', 'infer.b2', 'infer.b2.rate'} <= {r['name'].split('.', 2)[2] for r in d['results'] if r['value'] > 0}"
expect 0 bench model --model nano-n2 --batch 1 --reps 1 --bf16
prints model.nano-n2.bf16.infer.b1.p99
expect 0 bench model --model nano-n2 --batch 1 --trace trace.json
python3 -c "import json; t = json.load(open('trace.json'))['traceEvents']; assert sum(e['name'] == 'enc.0.matmul' for e in t) >= 10" ||
  fail 'the trace has no slice a node'
expect 2 bench model --model nano-n3
says 'did you mean nano-n2'
for list in , ,, nano-n2, ,nano-n2 nano-n2,,nano-n8; do
  expect 2 bench model --model $list
  says "--model $list: expected 1 to 32 names or paths of models with commas between"
  silent
done
# results of a path have names that those of another machine have, too
mkdir -p some/where else
echo '{"model": "nano", "d_model": 16, "n_head": 2, "n_encoder": 1, "n_decoder": 1, "stem": [8, 8, 8, 16]}' >some/where/tiny.json
cp some/where/tiny.json else/config.json
expect 0 bench model --model some/where/tiny.json,"$T/else/" --batch 1 --json
json "{r['name'].split('.infer')[0] for r in d['results']} == {'model.tiny', 'model.else'}"
json "[r['note'] for r in d['results'] if 'note' in r] == ['some/where/tiny.json', '$T/else/']"
cp some/where/tiny.json else/tiny.json
expect 2 bench model --model some/where/tiny.json,else/tiny.json
says 'results of some/where/tiny.json and else/tiny.json would both be named tiny'
expect 0 bench ops --op matmul --reps 1 --json --isa scalar --pack nowhere.pack
json "d['isa'] == 'scalar' and {'time', 'work', 'moved'} == {r['name'].split('.')[3] for r in d['results']}"
json "all(r['name'].startswith('ops.matmul.') and r['value'] > 0 for r in d['results'])"
json "[r['note'] for r in d['results'] if r['name'] == 'ops.matmul.0.time'] == ['[4448, 256] f32, [512, 256] f32']"
expect 0 bench ops --op cross_entropy --reps 1
prints '[1792, 256] f32, [1792] i32'
expect 2 bench ops --op matmil
says 'did you mean matmul'
expect 2 bench ops --op reshape
says 'op reshape is a view: it moves no bytes and takes no time, so there is nothing to measure'
silent
expect 2 bench ops --op list
says 'vlakit graph ops lists all'
expect 2 bench gemm --op add
says 'bench gemm has no option --op: it is one of ops'
# on a GPU, or the reason why not
if "$VLAKIT" doctor --json | python3 -c "
import json, sys
sys.exit(not next(c for c in json.load(sys.stdin)['checks'] if c['name'] == 'cuda')['devices'])"; then
  expect 0 bench ops --op matmul --device cuda --reps 1 --json
  json "{'ops.large.f32.work', 'ops.large.bf16.work', 'ops.large.copy.moved', 'ops.matmul.0.time', 'ops.matmul.0.work', 'ops.matmul.0.work_share', 'ops.model.matmul.work_share', 'ops.model.rms_norm.moved_share', 'ops.model.attention.moved_share'} <= {r['name'] for r in d['results'] if r['value'] > 0}"
  expect 1 bench ops --op pack --device cuda --reps 1
  says 'op pack has no kernel on device cuda'
  for name in data env gemm render; do
    expect 2 bench $name --device cuda
    says "bench $name measures the CPU"
  done
else
  for name in gemm model ops; do
    expect 1 bench $name --device cuda
    says 'device cuda: '
    silent
  done
fi
expect 0 bench ops --op add --device cpu --reps 1
expect 0 bench gemm --shape 5x33x700 --reps 1 --json
json "[r['name'] for r in d['results'] if r['name'].endswith('rate')] == ['gemm.peak.rate', 'gemm.f32.5x33x700.rate', 'gemm.bf16.5x33x700.rate', 'gemm.f32.5x33x700.dw.rate']"
for shape in 1x1x1 33x7x15; do # fewer terms than panels of bf16 are padded to
  expect 0 bench gemm --shape $shape --reps 1 --json
  json "all(r['value'] > 0 for r in d['results']) and len(d['results']) == 7"
done
for shape in 5x33 5x33x0 5x33x7x 5x-3x7 x5x3 99999x1x1; do
  expect 2 bench gemm --shape $shape
  says "--shape $shape: expected MxNxK"
done
expect 2 bench ops --op add --model=nano-n2
says 'bench ops has no option --model: it is one of model'
expect 2 bench model --visuals stand-in
says 'it is one of data, env, render'
expect 2 bench render --pack "$PACK" --picture-every 3
expect 2 bench
expect 2 bench env render
expect 2 bench enw --pack "$PACK"
says 'did you mean env'
expect 2 bench env --pack "$PACK" --suite libero_gaol
says 'did you mean libero_goal'
expect 2 bench env --pack "$PACK" --steps 0
expect 2 bench render --pack "$PACK" --suite libero_object --visuals nowhere.visuals
says nowhere.visuals
expect 1 bench env --pack nowhere.pack
says nowhere.pack

# a line as soon as it is measured, and Ctrl-C keeps what was measured
check 'Ctrl-C' python3 - "$VLAKIT" <<'PY'
import json, signal, subprocess, sys, time
def start(*words):
    return subprocess.Popen([sys.argv[1], "bench", "gemm", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)
p = start()
assert p.stdout.readline().startswith("gemm.peak.rate")
p.send_signal(signal.SIGINT)
rest, wrong = p.communicate()
assert p.returncode == 130 and wrong.count("\n") == 1 and "1024x1024x1024.dw" not in rest, (p.returncode, wrong, rest)
p = start("--json")
def catches_ctrl_c():
    mask = next(line for line in open("/proc/%d/status" % p.pid) if line.startswith("SigCgt"))
    return int(mask.split()[1], 16) & 1 << signal.SIGINT - 1
while not catches_ctrl_c():
    time.sleep(0.01)
p.send_signal(signal.SIGINT)
text, wrong = p.communicate()
d = json.loads(text)
assert p.returncode == 130 and d["interrupted"] and all(r["value"] > 0 for r in d["results"]), (p.returncode, d)
PY

# the check of a GPU says when there is none, before it builds anything
mkdir no_gpu
printf '#!/bin/sh\nexit 9\n' >no_gpu/nvidia-smi
chmod +x no_gpu/nvidia-smi
PATH=$T/no_gpu:$PATH sh "$VK_SOURCE/tools/check-gpu.sh" >out 2>err
check 'check-gpu.sh without a GPU: exit code 77' [ $? = 77 ]
check 'check-gpu.sh without a GPU: a sentence' grep -qx 'no GPU: nvidia-smi lists none; nothing was checked' out
sh "$VK_SOURCE/tools/check-gpu.sh" --bulid >out 2>err
check 'check-gpu.sh --bulid: exit code 2' [ $? = 2 ]
check 'check-gpu.sh --bulid: its usage' grep -q 'usage: ' err

peer() { # peer CODE TEXT ARGUMENTS...: the peer script ends so, and says so
  want=$1
  text=$2
  shift 2
  n_check=$((n_check + 1))
  python3 "$VK_SOURCE/tests/bench/peer" "$@" >"$T/out" 2>"$T/err"
  got=$?
  [ "$got" = "$want" ] || fail "peer $*: exit code $got, want $want"
  grep -qF -- "$text" "$T/err" || fail "peer $*: does not say '$text'"
}
peer 1 --peer-dir env --peer-dir /nowhere
mkdir peers
touch peers/libero_python.py
peer 1 libero_setup.sh env --peer-dir peers --peer-env /nowhere
peer 1 'name its place with --peer-dir' gemm --peer-dir peers --peer-torch torch
touch peers/gemm_torch.py peers/nano_torch.py peers/nano_ort.py
peer 1 'name its place with --vlakit' gemm --peer-dir peers --peer-torch torch --vlakit /nowhere
peer 1 'name its place with --vlakit' sft --peer-dir peers --peer-torch torch --vlakit /nowhere
peer 1 libero_setup.sh rollout --peer-dir peers --peer-torch torch --peer-env /nowhere
check 'no environment is made in vain' [ ! -e torch ]
peer 2 invalid env2
peer 1 'name its place with --peer-env' render --vlakit "$VLAKIT" --peer-env /nowhere
peer 1 'name its place with --vlakit' render --vlakit /nowhere
peer 1 'name its place with --recordings' pictures --recordings /nowhere
finish
