"""peer_nn - the part of `peer` that compares networks: gemm, nano and memory, beside PyTorch and onnxruntime.

--peer-dir holds gemm_torch.py, nano_torch.py and nano_ort.py. --peer-torch is a virtual environment with PyTorch and
onnxruntime; it is made when it is not there (gigabytes). Rounds alternate, ours and the peer's, on the same cores;
medians are compared. Work of one thread is compared by processor time, which others on the machine do not take from
it; of two threads by the clock; 99th percentiles by both. A row is noisy when a side's rounds are further apart than 15 %
of their median or, by the clock, when a side got less than nine tenths of its cores: take it again.

Both sides do the same work, but ours leaves out words that an instruction does not have, and encodes an instruction
once that several samples of a batch share (four in all); the peer pads and encodes every sample's.
"""
import collections
import json
import math
import os
import statistics
import subprocess
import sys
import time

PACKAGES = ["torch==2.13.0", "numpy", "onnx", "onnxruntime", "safetensors"]
SIZES, BATCHES = ["n2", "n8"], [32, 128]
# The least ratio that we want, by the beginning of a row's name.
BARS = {
    "gemm.mean": 1.0, "gemm.worst": 0.8, "gemm.m1.mean": 1.3, "gemm.m1.worst": 1.0,
    "nano.n2.train": 1.4, "nano.n8.train": 1.2, "nano.n2.infer.eager": 2.0, "nano.n8.infer.eager": 1.45,
    "nano.n2.infer.onnxruntime": 1.1, "nano.n8.infer.onnxruntime": 1.05, "nano.n2.infer.p99.": 1.0,
    "nano.n8.infer.p99.": 1.0, "memory.": 1 / 0.6,
    "sft.f32.n2": 1.3, "sft.f32.n8": 1.15, "sft.bf16": 1.5, "rollout": 20,
}

Seen = collections.namedtuple("Seen", "value cpu_share")        # cpu_share: of the cores it was given; None: unknown


class Side:
    """What one side reached, round after round."""

    def __init__(self):
        self.seen = {}

    def add(self, name, value, cpu_share=None):
        self.seen.setdefault(name, []).append(Seen(value, cpu_share))

    def median(self, name):
        return statistics.median(s.value for s in self.seen[name])

    def spread(self, name):
        values = [s.value for s in self.seen[name]]
        return (max(values) - min(values)) / statistics.median(values)

    def is_noisy(self, name):
        shares = [s.cpu_share for s in self.seen[name] if s.cpu_share is not None]
        return self.spread(name) > 0.15 or (shares and statistics.median(shares) < 0.9)


class Table:
    """Rows, printed as they come or as one JSON object."""

    def __init__(self, args, heading):
        self.args, self.results = args, []
        self.machine = dict(cores=args.cores, rounds=args.rounds, isa=args.isa or "best", load=os.getloadavg()[0])
        if not args.json:
            print("%s on cores %s, %d rounds, load of the machine %.1f" %
                  (heading, args.cores, args.rounds, self.machine["load"]), flush=True)

    def add(self, name, unit, ours, peer, more_is_better, noisy=False, note=""):
        ratio = ours / peer if more_is_better else peer / ours
        bar = max((b for b in BARS.items() if name.startswith(b[0])), key=lambda b: len(b[0]), default=(None, None))[1]
        row = {"name": name, "value": ours, "unit": unit, "peer_value": peer, "ratio": ratio, "bar": bar,
               "noisy": bool(noisy)}
        if note:
            row["note"] = note
        self.results.append(row)
        if not self.args.json:
            words = "%-34s %10.4g %-10s peer %10.4g   ratio %6.2f" % (name, ours, unit, peer, ratio)
            words += "   bar %.2f%s" % (bar, "" if ratio >= bar else " missed") if bar else ""
            print(words + ("   " + note if note else "") + ("   noisy" if noisy else ""), flush=True)

    def add_sides(self, name, unit, ours, peer, more_is_better, key=None, note=""):
        key = key or name
        self.add(name, unit, ours.median(key), peer.median(key), more_is_better,
                 ours.is_noisy(key) or peer.is_noisy(key), note)

    def end(self):
        if self.args.json:
            print(json.dumps({"results": self.results, "machine": self.machine}))


def stop(text):
    sys.exit("peer: " + text)


def python_of(args):
    """The interpreter of --peer-torch, which is made when it is not there."""
    for name in ("gemm_torch.py", "nano_torch.py", "nano_ort.py"):
        if not os.path.exists(os.path.join(args.peer_dir, name)):
            stop("there is no %s in %s; name its place with --peer-dir" % (name, args.peer_dir))
    if not os.path.exists(args.vlakit):
        stop("there is no %s; name its place with --vlakit" % args.vlakit)
    python = os.path.join(args.peer_torch, "bin", "python")
    if not os.path.exists(python):
        print("peer: making %s with %s: gigabytes, minutes" % (args.peer_torch, " ".join(PACKAGES)), file=sys.stderr)
        for words in ([sys.executable, "-m", "venv", args.peer_torch],
                      [os.path.join(args.peer_torch, "bin", "pip"), "install", "--quiet"] + PACKAGES):
            if subprocess.run(words).returncode:
                stop("%s failed; remove %s before another try" % (" ".join(words), args.peer_torch))
    return python


def run(words, cores, environment=None, stdin=None):
    """-> standard output, seconds, processor seconds, largest resident memory in bytes"""
    began = time.perf_counter()
    p = subprocess.Popen(["taskset", "-c", cores] + words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                         stdin=subprocess.PIPE if stdin else None, env=environment)
    if stdin:
        p.stdin.write(stdin)
        p.stdin.close()
    text = p.stdout.read()
    wrong = p.stderr.read()
    _, status, used = os.wait4(p.pid, 0)
    if status:
        stop("%s failed: %s" % (" ".join(words[:4]), wrong.strip()[-600:]))
    return text, time.perf_counter() - began, used.ru_utime + used.ru_stime, 1024 * used.ru_maxrss


def cores_of(args, n_thread):
    return ",".join(args.cores.split(",")[:n_thread])


def peer_environment(args, n_thread):
    e = dict(os.environ)
    if n_thread > 1:
        e["OMP_WAIT_POLICY"] = "passive"
    if args.isa == "avx2":                                          # onnxruntime cannot be held back
        e.update(ATEN_CPU_CAPABILITY="avx2", ONEDNN_MAX_CPU_ISA="AVX2", MKL_ENABLE_INSTRUCTIONS="AVX2")
    return e


def ours(args, n_thread, words):
    """vlakit bench WORDS -> {name: value}, its share of the cores, its largest memory"""
    words = [args.vlakit, "bench"] + words + ["--threads", str(n_thread), "--json"]
    words += ["--isa", args.isa] if args.isa else []
    text, wall, cpu, memory = run(words, cores_of(args, n_thread))
    return {r["name"]: r["value"] for r in json.loads(text)["results"]}, cpu / wall / n_thread, memory


def peer_rows(args, python, n_thread, script, words):
    """Measurements of a script of --peer-dir, one thread a core."""
    words = [python, os.path.join(args.peer_dir, script)] + words + ["--threads", str(n_thread), "--json"]
    text = run(words, cores_of(args, n_thread), peer_environment(args, n_thread))[0]
    rows = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    for r in rows:
        if "error" in r:
            stop("%s: %s" % (script, r["error"]))
    return [r for r in rows if "median_s" in r]


def share(row):
    return row["cpu_s"] / row["median_s"] / row["threads"]


def rate(row):
    """GF/s by processor time, of one thread"""
    return row["gflops"] * row["median_s"] / row["cpu_s"]


# ---- gemm ------------------------------------------------------------------------------------------------------------
def geometric_mean(x):
    return math.exp(statistics.fmean(map(math.log, x)))


def bench_gemm(args):
    python, mine, theirs = python_of(args), Side(), Side()
    for _ in range(args.rounds):
        found, _, _ = ours(args, 1, ["gemm"])
        for name, value in found.items():
            mine.add(name, value)
        for r in peer_rows(args, python, 1, "gemm_torch.py", ["--kinds", "fp32", "--reps", "3", "--budget", "5"]):
            theirs.add("gemm.f32.%dx%dx%d.rate" % (r["m"], r["n"], r["k"]), rate(r))
    table, ratios = Table(args, "gemm, f32, one thread, M x N x K"), {}
    for name in theirs.seen:
        if name not in mine.seen:                                   # it leaves out what takes long
            continue
        table.add_sides(name, "GF/s", mine, theirs, True,
                        note="%3.0f %% of peak" % (100 * mine.median(name[:-4] + "share")))
        ratios[name] = mine.median(name) / theirs.median(name)
    for what, names in (("gemm.m1", [n for n in ratios if n.startswith("gemm.f32.1x")]),
                        ("gemm", [n for n in ratios if not n.startswith("gemm.f32.1x")])):
        if names:
            worst = min(names, key=lambda n: ratios[n])
            table.add(what + ".mean", "ratio", geometric_mean([ratios[n] for n in names]), 1, True)
            table.add(what + ".worst", "ratio", ratios[worst], 1, True, note=worst)
    if not ratios:
        stop("vlakit bench gemm has none of the shapes of gemm_torch.py")
    table.end()


# ---- nano ------------------------------------------------------------------------------------------------------------
# One observation with cached text, call by call. argv: folder of nano_torch.py, size, kind, calls
LATENCY = r"""
import sys
folder, size, kind, n_call = sys.argv[1:5]
sys.path.insert(0, folder)
sys.argv[1:] = []
import json, time, torch, nano_torch as nano
torch.set_num_threads(1)
torch.manual_seed(0)
nano.Nano.channels_last = kind == "eager"
model = nano.Nano(size).eval()
model = model.to(memory_format=torch.channels_last) if kind == "eager" else model
t = nano.to_torch(nano.make_batch(0, 1, nano.TEXTS[:1], 2))
with torch.inference_mode():
    text = model.text(t["word_ids"], t["word_offsets"], t["n_words"])
    x = (t["images"], t["proprio"], t["has_proprio"], *text)
    act = lambda: model(*x, with_value=False)[0].argmax(-1)
    if kind == "onnxruntime":
        import io, logging, warnings, onnxruntime
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        class Act(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.model = model
            def forward(self, *x):
                return self.model(*x, with_value=False)[0]
        names, f = ["images", "proprio", "has_proprio", "text", "text_valid", "text_vec"], io.BytesIO()
        torch.onnx.export(Act(), x, f, input_names=names, output_names=["logits"], opset_version=17, dynamo=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(f.getvalue(), options, providers=["CPUExecutionProvider"])
        feed = {n: v.numpy() for n, v in zip(names, x) if n in {i.name for i in session.get_inputs()}}
        act = lambda: session.run(None, feed)[0].argmax(-1)
    for _ in range(20):
        act()
    wall, cpu = [], []
    for _ in range(int(n_call)):
        at, at_cpu = time.perf_counter(), time.process_time()
        act()
        wall.append(time.perf_counter() - at)
        cpu.append(time.process_time() - at_cpu)
middle = lambda x: sorted(x)[len(x) // 2]
late = lambda x: sorted(x)[len(x) * 99 // 100]
print(json.dumps({"median_s": middle(wall), "p99_s": late(wall), "cpu_s": middle(cpu), "cpu_p99_s": late(cpu),
                  "threads": 1}))
"""


def latency_of_peer(args, python, size, kind):
    words = [python, "-c", LATENCY, args.peer_dir, size, kind, str(args.calls)]
    return json.loads(run(words, cores_of(args, 1), peer_environment(args, 1))[0].splitlines()[-1])


def train_of_peer(args, python, size, batch, n_thread, side, dtype="fp32"):
    """Adds the better of the runs that PyTorch has for that many threads: of one by processor time."""
    best, speed = None, lambda r: r["batch"] / r["cpu_s" if n_thread == 1 else "median_s"]
    for threads in range(1, n_thread + 1):
        for more in ([], ["--keep-heap"]):
            words = ["--size", size, "--dtype", dtype, "--what", "train", "--batch", str(batch), "--reps", "3",
                     "--budget", str(args.budget)] + more
            r = peer_rows(args, python, threads, "nano_torch.py", words)[0]
            if not best or speed(r) > speed(best):
                best = r
    side.add("train", speed(best), None if n_thread == 1 else share(best))
    return "%d thread%s%s" % (best["threads"], "" if best["threads"] == 1 else "s", ", keep-heap" * ("keep_heap" in best))


def ours_model(args, n_thread, size, what, batch):
    """-> {"train": value} or, of batch 1, {"infer": .., "infer.p99": ..}, share of the cores, memory"""
    found, cpu, memory = ours(args, n_thread, ["model", "--model", "nano-" + size, "--batch", str(batch)])
    head, tail = "model.nano-%s." % size, ".b%d" % batch
    found = {n[len(head):].replace(tail, "", 1): v for n, v in found.items() if n.startswith(head)}
    if what not in found:
        stop("vlakit bench model has no result %s%s%s" % (head, what, tail))
    return found, cpu, memory


def bench_train(args, python, table, size, batch, n_thread):
    mine, theirs, which = Side(), Side(), ""
    for _ in range(args.rounds):
        found, cpu, _ = ours_model(args, n_thread, size, "train", batch)
        if n_thread == 1:
            mine.add("train", found["train_cpu"])
        else:
            mine.add("train", found["train"], cpu)
        which = train_of_peer(args, python, size, batch, n_thread, theirs)
    table.add_sides("nano.%s.train.b%d.t%d" % (size, batch, n_thread), "samples/s", mine, theirs, True, "train",
                    "peer: " + which)


def bench_infer(args, python, table, size):
    mine, theirs = Side(), Side()
    for _ in range(args.rounds):
        found, cpu, _ = ours_model(args, 1, size, "infer", 1)
        mine.add("ms", found["infer_cpu"])
        mine.add("tail", found["infer_cpu.p99"] / found["infer_cpu"])
        mine.add("tail_wall", found["infer.p99"] / found["infer"], cpu)
        for kind in ("eager", "onnxruntime"):
            r = latency_of_peer(args, python, size, kind)
            theirs.add(kind, 1e3 * r["cpu_s"])
            theirs.add(kind + ".tail", r["cpu_p99_s"] / r["cpu_s"])
            theirs.add(kind + ".tail_wall", r["p99_s"] / r["median_s"], share(r))
        r = peer_rows(args, python, 1, "nano_ort.py", ["--size", size, "--kinds", "fp32", "--batch", "1"])[0]
        theirs.add("onnxruntime", 1e3 * r["cpu_s"])
    name = "nano.%s.infer." % size
    for kind in ("eager", "onnxruntime"):
        table.add(name + kind, "ms", mine.median("ms"), theirs.median(kind), False,
                  mine.is_noisy("ms") or theirs.is_noisy(kind),
                  "which takes no notice of --isa" if args.isa and kind == "onnxruntime" else "")
    for kind in ("eager", "onnxruntime"):
        for tail, word in (("tail", "p99."), ("tail_wall", "p99_wall.")):
            table.add(name + word + kind, "of median", mine.median(tail), theirs.median(kind + "." + tail), False,
                      mine.is_noisy(tail) or theirs.is_noisy(kind + "." + tail))


def bench_nano(args):
    python, table = python_of(args), Table(args, "nano, f32")
    n_core = len(args.cores.split(","))
    for size in args.sizes.split(","):
        if "infer" in args.what:
            bench_infer(args, python, table, size)
        for batch in map(int, args.batch.split(",")) if "train" in args.what else []:
            for n_thread in range(1, min(n_core, 2) + 1):
                bench_train(args, python, table, size, batch, n_thread)
    table.end()


# ---- memory ----------------------------------------------------------------------------------------------------------
# Two training steps. argv: folder of nano_torch.py, size, batch
TRAIN = r"""
import sys
folder, size, batch = sys.argv[1:4]
sys.path.insert(0, folder)
sys.argv[1:] = []
import torch, nano_torch as nano
torch.set_num_threads(1)
torch.manual_seed(0)
model = nano.Nano(size).to(memory_format=torch.channels_last).train()
optimizer = nano.make_optimizer(model)
t = nano.to_torch(nano.make_batch(0, int(batch), [nano.TEXTS[i % 4] for i in range(int(batch))], 2))
for _ in range(2):
    nano.train_step(nano.run_model, model, optimizer, t, False)
for line in open("/proc/self/status"):
    if line.startswith("VmHWM"):
        print(1024 * int(line.split()[1]))
"""


def bench_memory(args):
    python, table = python_of(args), Table(args, "memory of a training step: largest resident set")
    for size in args.sizes.split(","):
        for batch in map(int, args.batch.split(",")):
            _, _, mine = ours_model(args, 1, size, "train", batch)
            words = [python, "-c", TRAIN, args.peer_dir, size, str(batch)]
            text = run(words, cores_of(args, 1), peer_environment(args, 1))[0]
            table.add("memory.%s.b%d" % (size, batch), "MB", 1e-6 * mine, 1e-6 * int(text.split()[-1]), False,
                      note="%.2f times the peer's" % (mine / int(text.split()[-1])))
    table.end()


BENCHES = {"gemm": bench_gemm, "nano": bench_nano, "memory": bench_memory}


def add_options(parser, root):
    parser.add_argument("--peer-torch", default=os.path.join(root, "runs", "peer-torch"),
                        help="gemm, nano, memory: virtual environment with PyTorch; made when it is not there")
    parser.add_argument("--cores", default="", help="nano: cores such as 0,1; two of them: training also by two threads")
    parser.add_argument("--sizes", default=",".join(SIZES), help="nano, memory: sizes of the policy")
    parser.add_argument("--batch", default=",".join(map(str, BATCHES)), help="nano, memory: batches of training")
    parser.add_argument("--what", default="train,infer", help="nano: train, infer or both")
    parser.add_argument("--calls", type=int, default=300, help="nano: calls for the 99th percentile of a latency")
    parser.add_argument("--budget", type=float, default=10, help="nano: seconds that a measurement of the peer may take")
    parser.add_argument("--isa", default="", help="gemm, nano, memory: what we run (PyTorch follows avx2)")
