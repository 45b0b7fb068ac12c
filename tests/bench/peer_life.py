"""peer_life - the part of `peer` that compares whole jobs: sft and rollout, one thread each, by processor time.

Both count what further steps cost: a run of a few steps is taken from a run of more, so that starting, reading and
saving cancel out.

sft      `vlakit train` as users run it: pictures are drawn for each sample (nothing is kept), changed, and learned from
         with soft labels and dropout. The peer gets a batch that is ready, and plain labels.
rollout  episodes that `vlakit train --method grpo` practises, of a policy that never succeeds, so that nothing is
         learned from them. The peer is one process with the Python LIBERO, which draws both views at every step, and
         the same network in PyTorch, asked every eighth step. Episodes are a reset, an init state, ten waiting steps
         and --steps more.
"""
import json
import os
import statistics
import tempfile

from peer_nn import Side, Table, cores_of, peer_environment, python_of, run, stop, train_of_peer

N_EPISODE = 2                                                       # of a step of practice
N_STEP = {"n2": (4, 16), "n8": (2, 6)}                              # of training: the shorter and the longer run


def vlakit(args, folder, words):
    """-> processor seconds of `vlakit WORDS`, with a catalog in folder"""
    words = [args.vlakit] + words + ["--catalog", os.path.join(folder, "catalog.db")]
    return run(words, cores_of(args, 1))[2]


def train_seconds(args, folder, words, n_step):
    """Processor seconds that further steps take, and how many these are."""
    spent = []
    for n in n_step:
        out = tempfile.mkdtemp(dir=folder)
        more = ["--isa", args.isa] if args.isa else []
        spent.append(vlakit(args, folder, ["train", "-q", "--out", out, "--threads", "1"] + more + words +
                            ["steps=%d" % n, "visuals=stand-in", "validate_every=0"]))
    return spent[1] - spent[0], n_step[1] - n_step[0]


# ---- sft -------------------------------------------------------------------------------------------------------------
def demonstrations(args, folder):
    """Three, in a file."""
    data = os.path.join(folder, "demos.npz")
    vlakit(args, folder, ["collect", "-q", "--suite", "libero_goal/7", "--episodes", "3", "--out", data, "--threads",
                          "1"])
    return data


def bench_sft(args):
    python, table = python_of(args), Table(args, "sft: training with pictures that are drawn meanwhile, one thread")
    with tempfile.TemporaryDirectory() as folder:
        data = demonstrations(args, folder)
        for precision in args.precision.split(","):
            for size in args.sizes.split(","):
                for batch in map(int, args.batch.split(",")):
                    sft_row(args, python, table, folder, data, precision, size, batch)
    table.end()


def sft_row(args, python, table, folder, data, precision, size, batch):
    mine, theirs, which = Side(), Side(), ""
    words = ["--config", "sft-" + size, "--data", data, "--set", "precision=" + precision, "cache_mb=0",
             "batch=%d" % batch, "micro_batch=%d" % min(batch, 32)]
    for _ in range(args.rounds):
        spent_s, n_step = train_seconds(args, folder, words, N_STEP.get(size, (2, 4)))
        mine.add("train", batch * n_step / spent_s)
        which = train_of_peer(args, python, size, batch, 1, theirs, "fp32" if precision == "f32" else precision)
    table.add_sides("sft.%s.%s.b%d" % (precision, size, batch), "samples/s", mine, theirs, True, "train",
                    "peer: a batch that is ready, " + which)


# ---- rollout ---------------------------------------------------------------------------------------------------------
# One process: LIBERO's environment and the policy. argv: folder of nano_torch.py, site-packages of PyTorch, size,
# suite, index, steps, episodes
EPISODES = r"""
import os, sys
folder, site, size, suite, index, n_step, n_episode = sys.argv[1:8]
for k in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[k] = "1"
sys.path.insert(0, folder)
sys.path.append(site)                                               # behind LIBERO's own packages
sys.argv[1:] = []
import json, pickle, runpy, time, zipfile
import numpy as np, torch, nano_torch as nano
import libero.libero
from libero.libero import get_libero_path
from libero.libero.envs.env_wrapper import ControlEnv
torch.set_num_threads(1)
torch.manual_seed(0)
home = os.path.dirname(libero.libero.__file__)
tasks = runpy.run_path(os.path.join(home, "benchmark", "libero_suite_task_map.py"))["libero_task_map"]
name = tasks[suite][int(index)]
with zipfile.ZipFile(os.path.join(get_libero_path("init_states"), suite, name + ".pruned_init")) as z:
    rows = pickle.loads(z.read("archive/data.pkl"))
env = ControlEnv(bddl_file_name=os.path.join(get_libero_path("bddl_files"), suite, name + ".bddl"),
                 camera_heights=128, camera_widths=128)
env.seed(0)
model = nano.Nano(size).eval().to(memory_format=torch.channels_last)
t = nano.to_torch(nano.make_batch(0, 1, [name.replace("_", " ")], 2))
spent = []
with torch.inference_mode():
    text = model.text(t["word_ids"], t["word_offsets"], t["n_words"])
    for e in range(int(n_episode)):
        at = time.process_time()
        env.reset()
        obs = env.set_init_state(rows[e % len(rows)])
        for _ in range(10):
            obs = env.step([0.0] * 6 + [-1.0])[0]
        for i in range(int(n_step)):
            if i % nano.N_STEP == 0:
                images = np.stack([obs["agentview_image"], obs["robot0_eye_in_hand_image"]])[None, :, ::-1, ::-1]
                proprio = np.concatenate([obs["robot0_eef_pos"], obs["robot0_eef_quat"][:3],
                                          obs["robot0_gripper_qpos"]]).astype(np.float32)[None]
                logits = model(torch.from_numpy(images.copy()), torch.from_numpy(proprio), t["has_proprio"], *text,
                               with_value=False)[0]
                bins = torch.distributions.Categorical(logits=logits[0]).sample().view(nano.N_STEP, nano.N_DIM)
                actions = (bins.double() + 0.5) / (nano.N_BIN / 2) - 1
            obs = env.step(actions[i % nano.N_STEP].tolist())[0]
        spent.append(time.process_time() - at)
print("RESULT " + json.dumps(spent))
"""


def libero_environment(args):
    """The variables that env.sh sets."""
    setup = os.path.join(args.peer_env, "env.sh")
    if not os.path.exists(setup):
        stop("there is no %s; name its place with --peer-env, or make it: sh libero_setup.sh DIR" % setup)
    text = run(["sh", "-c", '. "$1" && env -0', "sh", setup], cores_of(args, 1))[0]
    return {**peer_environment(args, 1), **dict(line.split("=", 1) for line in text.split("\0") if "=" in line)}


def our_rollouts(args, folder, size, suite):
    """Episodes a processor second of a policy that has learned next to nothing."""
    start = os.path.join(folder, "start-" + size)
    if not os.path.exists(start):
        vlakit(args, folder, ["train", "-q", "--config", "sft-" + size, "--data", demonstrations(args, folder), "--out",
                              start, "--set", "steps=1", "batch=1", "micro_batch=1", "visuals=stand-in"])
    words = ["--config", "grpo-n2", "--set", "init=" + start, "model=nano-" + size, "tasks=%s/0" % suite, "groups=1",
             "group=%d" % N_EPISODE, "episode_steps=%d" % args.steps, "save_every=1000"]
    spent_s, n_step = train_seconds(args, folder, words, (1, 4))
    return n_step * N_EPISODE / spent_s


def peer_rollouts(args, environment, site, size, suite):
    words = ["python", "-W", "ignore", "-c", EPISODES, args.peer_dir, site, size, suite, "0", str(args.steps),
             str(N_EPISODE)]
    text = run(words, cores_of(args, 1), environment)[0]
    return 1 / statistics.mean(json.loads(next(t[7:] for t in text.splitlines() if t.startswith("RESULT "))))


def bench_rollout(args):
    environment, python = libero_environment(args), python_of(args)
    site = run([python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"], cores_of(args, 1))[0]
    table = Table(args, "rollout: episodes of %d steps with pictures and a network, one thread" % args.steps)
    with tempfile.TemporaryDirectory() as folder:
        for size in args.sizes.split(","):
            for suite in (args.suite or "libero_goal").split(","):
                mine, theirs = Side(), Side()
                for _ in range(args.rounds):
                    mine.add("episodes", our_rollouts(args, folder, size, suite))
                    theirs.add("episodes", peer_rollouts(args, environment, site.strip(), size, suite))
                table.add_sides("rollout.%s.%s" % (size, suite), "episodes/s", mine, theirs, True, "episodes",
                                "peer: pictures at every step, as its environment makes them")
    table.end()


BENCHES = {"sft": bench_sft, "rollout": bench_rollout}


def add_options(parser):
    parser.add_argument("--precision", default="f32", help="sft: f32, bf16 or both, a comma list")
    parser.add_argument("--steps", type=int, default=100, help="rollout: control steps of an episode")
