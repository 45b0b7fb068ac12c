#!/usr/bin/env python3
"""make_small.py - writes small.npz: what PyTorch computes in float64 for a small nano policy.

  python tests/parity/make_small.py --peer-dir DIR     DIR holds nano_torch.py; needs torch and NumPy

Weights and batch are not in the file, because nano.c makes the same numbers: each is drawn by number() below from its
array's name and its place in the array. There is no seed. Of larger arrays the file holds some items: at.NAME is either
the step from one to the next, or where they are. Of the gradient of the n-grams' table it holds all that is not zero: one
row has 80 % of its square, so that a few items would say little of its size.
"""
import argparse
import math
import os
import sys

import numpy as np

SIZE = dict(d=32, heads=2, enc=1, dec=2, stem=(8, 16, 16, 32))
TEXTS = ["put the red mug on the left plate 2 times", " ".join("word%d" % i for i in range(26)), "..."]
N_KEEP = 400                                                       # items of an array that are kept, about


def fnv1a(data):
    h = 0x811C9DC5
    for byte in data:
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h


def number(name, n):
    """n 32-bit numbers of an array: FNV-1a of its name, plus i times the golden ratio, mixed as MurmurHash3 ends."""
    x = (fnv1a(name.encode()) + np.arange(n, dtype=np.uint64) * 0x9E3779B9).astype(np.uint32)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x85EBCA6B)
    x ^= x >> np.uint32(13)
    x *= np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))


def unit(name, n):
    """The same as float32 in [-1, 1), exactly."""
    return (number(name, n) >> np.uint32(8)).astype(np.float32) * np.float32(2.0 ** -23) - np.float32(1)


def weight(name, shape):
    """Exact in float32: a power of two times unit(), and 1 more for the weights of norms."""
    u = unit(name, int(np.prod(shape))).reshape(shape)
    if "norm" in name and name.endswith("weight"):
        return 1 + u * np.float32(0.25)
    if len(shape) == 1 or name in ("pos", "text.pos", "query", "text.table.weight"):
        return u * np.float32(0.25)
    fan_in = int(np.prod(shape[1:]))
    return u * np.float32(2.0 ** -(int(math.log2(fan_in)) // 2))


def batch(nano):
    b = len(TEXTS)
    ids, offsets, n_words = nano.hash_instructions(TEXTS)
    return dict(images=(number("images", b * 2 * 128 * 128 * 3) >> np.uint32(24)).astype(np.uint8).reshape(b, 2, 128, 128, 3),
                proprio=unit("proprio", b * 8).reshape(b, 8), has_proprio=np.array([1] * (b - 1) + [0], np.uint8),
                word_ids=ids, word_offsets=offsets, n_words=n_words,
                targets=(number("targets", b * 56) >> np.uint32(24)).astype(np.int32).reshape(b, 56),
                value_target=unit("value_target", b * 8).reshape(b, 8))


def compute(nano, torch):
    F = torch.nn.functional
    net = nano.Nano("small").double()
    with torch.no_grad():
        for name, p in net.named_parameters():
            p.copy_(torch.from_numpy(weight(name, tuple(p.shape))))
    t = nano.to_torch(batch(nano), torch.float64)
    optimizer = nano.make_optimizer(net)
    before = {k: v.detach().clone() for k, v in net.named_parameters()}
    logits, value = nano.run_model(net, t)
    ce = F.cross_entropy(logits.flatten(0, 1), t["targets"].flatten())
    mse = ((value - t["value_target"]) ** 2).mean()
    loss = ce + 0.5 * mse
    loss.backward()
    out = dict(logits=logits, value=value, loss_ce=ce, loss_value=mse, loss=loss,
               loss_soft=nano.soft_loss(logits, t["targets"]))
    out.update({"grad." + k: p.grad.clone() for k, p in net.named_parameters()})
    out["grad_norm"] = torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()
    out.update({"step_norm." + k: (p.detach() - before[k]).norm() for k, p in net.named_parameters()})
    return {k: v.detach().numpy() for k, v in out.items()}


def keep_some(found):
    kept = {}
    for name, a in found.items():
        flat = a.ravel()
        at = None
        if name == "grad.text.table.weight":                       # most of it is zero
            at = np.flatnonzero(flat).astype(np.int32)
        elif flat.size > 2 * N_KEEP:
            at = np.int32(flat.size // N_KEEP | 1)                 # odd, so that every column is met
        if at is not None:
            kept["at." + name] = at
            flat = flat[at] if at.ndim else flat[::int(at)]
            a = flat
        kept[name] = a.astype(np.float32) if a.size > 1 else a
    return kept


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-dir", required=True)
    args = parser.parse_args()
    sys.path.insert(0, args.peer_dir)
    import torch
    import nano_torch as nano
    nano.SIZES["small"] = SIZE
    found = compute(nano, torch)
    kept = keep_some(found)
    ids, offsets, n_words = nano.hash_instructions(TEXTS)
    kept.update(word_ids=ids, word_offsets=offsets, n_words=n_words, texts=np.array(TEXTS).astype("S"),
                config=np.array([SIZE["d"], SIZE["heads"], SIZE["enc"], SIZE["dec"], *SIZE["stem"]], np.int32))
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "small.npz")
    np.savez_compressed(path, **kept)
    print(path, os.path.getsize(path), "bytes;", {k: float(found[k]) for k in ("loss", "loss_soft", "grad_norm")})
    low = min((np.abs(v).max(), k) for k, v in found.items())
    print("smallest array:", low)


if __name__ == "__main__":
    main()
