#!/usr/bin/env python3
"""Prints the tables of src/nn/simd_gelu.h: polynomials of Phi(x) - 1/2 and of Phi(x) - 1/2 + x phi(x) around
k / scale, k < n, in d = x scale - k, |d| <= 1/2. They are interpolated at Chebyshev's points; the first is
exactly 0 at 0 and the last exactly 1/2 at its center, where the function is taken as constant from there on."""
import math
import struct


def cdf(x):
    return math.erf(x / math.sqrt(2)) / 2


def slope(x):
    return cdf(x) + x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def solve(a, y):
    """x of a x = y by elimination with pivots."""
    n = len(y)
    rows = [list(r) + [v] for r, v in zip(a, y)]
    for i in range(n):
        best = max(range(i, n), key=lambda r: abs(rows[r][i]))
        rows[i], rows[best] = rows[best], rows[i]
        for r in range(n):
            if r != i:
                f = rows[r][i] / rows[i][i]
                rows[r] = [u - f * v for u, v in zip(rows[r], rows[i])]
    return [rows[i][n] / rows[i][i] for i in range(n)]


def interpolate(f, lo, hi, degree):
    n = degree + 1
    d = [(lo + hi) / 2 + (hi - lo) / 2 * math.cos(math.pi * (i + 0.5) / n) for i in range(n)]
    return solve([[v ** p for p in range(n)] for v in d], [f(v) for v in d])


def table(f, scale, n, degree):
    cells = []
    for k in range(n):
        if k == n - 1:
            c = [0.5] + interpolate(lambda d: (f((k + d) / scale) - 0.5) / d, -0.5, 0.0, degree - 1)
        else:
            c = interpolate(lambda d: f((k + d) / scale), -0.5, 0.5, degree)
        cells.append([0.0] + c[1:] if k == 0 else c)
    return [[c[p] for c in cells] for p in range(degree + 1)]


def text(x):
    """The fewest digits that give the same float."""
    single = struct.unpack("f", struct.pack("f", x))[0]
    for digits in range(1, 10):
        s = f"{single:.{digits}g}"
        if struct.unpack("f", struct.pack("f", float(s)))[0] == single:
            break
    return (s if "." in s or "e" in s else s + ".0") + "f"


for name, f, scale, n, degree in (("cdf, 32", cdf, 5.5, 32, 4), ("slope, 32", slope, 5.0, 32, 4),
                                  ("cdf, 8", cdf, 1.25, 8, 6), ("slope, 8", slope, 1.125, 8, 7)):
    print("/*", name, "*/")
    for row in table(f, scale, n, degree):
        print("    {" + ", ".join(text(x) for x in row) + "},")
