#!/usr/bin/env python3
"""Writes the first inputs of the fuzz targets for file formats: corpus/{json,model,npz,png,safetensors,zip}.

The files are committed; this is how they were made. Needs nothing but Python.
"""
import io
import os
import struct
import zipfile
import zlib

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def save(kind, name, data):
    os.makedirs(os.path.join(here, kind), exist_ok=True)
    with open(os.path.join(here, kind, name), "wb") as f:
        f.write(data)


def npy(descr, shape, items, fortran=False, version=1):
    text = "{'descr': %s, 'fortran_order': %s, 'shape': %s, }" % (descr, fortran, shape)
    size = 10 if version == 1 else 12
    text += " " * (-(len(text) + size + 1) % 64) + "\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode() + items


def make_zip(entries, method=zipfile.ZIP_DEFLATED, comment=b""):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, data in entries:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = method
            z.writestr(info, data)
        z.comment = comment
    return out.getvalue()


class NoSeek(io.RawIOBase):
    """A pipe: makes zipfile put the sizes behind the data."""

    def __init__(self):
        self.data = b""

    def writable(self):
        return True

    def write(self, data):
        self.data += bytes(data)
        return len(data)


def zip64(name, data):
    """As torch writes: stored, zip64 records, padding in the local extra field."""
    crc = zlib.crc32(data)
    n = len(data)
    common = struct.pack("<HHHIIII", 0x808, 0, 0, 0, crc, n, n)
    local = b"PK\3\4\0\0" + common + struct.pack("<HH", len(name), 6) + name + b"FB\2\0ZZ" + data
    extra = struct.pack("<HHQQQ", 1, 24, n, n, 0)
    all_ones = struct.pack("<HHHIIII", 0x808, 0, 0, 0, crc, 2**32 - 1, 2**32 - 1)
    entry = b"PK\1\2\0\0\0\0" + all_ones + struct.pack(
        "<HHHHHII", len(name), len(extra), 0, 0, 0, 0, 2**32 - 1) + name + extra
    end64 = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 0, 0, 0, 0, 1, 1, len(entry), len(local))
    locator = struct.pack("<IIQI", 0x07064B50, 0, len(local) + len(entry), 1)
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
    return local + entry + end64 + locator + end


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, bits, color, rows, interlace=0, extra=b""):
    head = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, interlace)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra
            + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def main():
    text = b"line of text\n" * 20
    save("zip", "stored", make_zip([("a.txt", text), ("b/c.txt", b"x")], zipfile.ZIP_STORED))
    save("zip", "deflated", make_zip([("a.txt", text), ("b/", b""), ("b/c", b"")], comment=b"hi"))
    save("zip", "empty", make_zip([]))
    save("zip", "zip64", zip64(b"archive/data.pkl", text))
    pipe = NoSeek()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr(zipfile.ZipInfo("streamed", (1980, 1, 1, 0, 0, 0)), text)
    save("zip", "streamed", pipe.data)
    save("zip", "escapes", make_zip([("../x", b"x")]))
    save("zip", "other_name", make_zip([("x", b"x")]).replace(b"x", b"y", 1))
    bomb = bytearray(make_zip([("bomb", b"\0" * 100000)]))
    at = bomb.index(b"PK\1\2")
    bomb[22:26] = bomb[at + 24:at + 28] = struct.pack("<I", 100)
    save("zip", "bomb", bytes(bomb))

    arrays = {
        "f8": npy("'<f8'", "(2, 3)", struct.pack("<6d", *range(6))),
        "f4_fortran": npy("'<f4'", "(2, 3)", struct.pack("<6f", *range(6)), fortran=True),
        "i4_big": npy("'>i4'", "(3,)", struct.pack(">3i", 1, 2, 3), version=2),
        "scalar": npy("'<i8'", "()", struct.pack("<q", 7), version=3),
        "bytes": npy("'|S5'", "(2,)", b"one\0\0three"),
        "bool": npy("'|b1'", "(3,)", b"\1\0\1"),
        "none": npy("'<f8'", "(0, 7)", b""),
        "object": npy("'|O'", "(1,)", b"\x80\2."),
        "record": npy("[('a', '<f8')]", "(1,)", struct.pack("<d", 1)),
        "huge": npy("'<f8'", "(4294967296, 4294967296)", b""),
    }
    for name, data in arrays.items():
        save("npz", name + ".npy", data)
    good = [(k + ".npy", v) for k, v in arrays.items() if k not in ("object", "record", "huge")]
    save("npz", "good.npz", make_zip(good))
    save("npz", "stored.npz", make_zip(good[:2], zipfile.ZIP_STORED))

    save("json", "all", b'{"a": [1, -2.5e-3, true, false, null, "x\\u00e4\\n\\ud83e\\udd16"], "b": {}}')
    save("json", "numbers", b"[0, -0, 0.1, 1e308, 5e-324, 9007199254740993, 0.30000000000000004]")
    save("json", "duplicate", b'{"a": 1,\n "\\u0061": 2}')
    save("json", "deep", b"[" * 60 + b"]" * 60)
    save("json", "too_deep", b"[" * 200)
    save("json", "get", b'{"a": [1, 2, 3]}')
    save("json", "get_text", b'{"a": "text"}')
    save("json", "bad_utf8", b'["\xed\xa0\x80"]')
    save("json", "comma_at_end", b'{"a":1,')

    save("png", "rgb", png(3, 2, 8, 2, (b"\0" + bytes(range(9))) * 2))
    save("png", "gray_filters", png(4, 4, 8, 0, b"".join(bytes([f, 1, 2, 3, 4]) for f in (1, 2, 3, 4))))
    save("png", "palette", png(4, 1, 2, 3, b"\0\x1b", extra=chunk(b"PLTE", bytes(range(12)))
                               + chunk(b"tRNS", b"\0")))
    save("png", "gray_1_bit", png(9, 1, 1, 0, b"\0\xaa\x80"))
    save("png", "rgba_16", png(1, 1, 16, 6, b"\0" + bytes(range(8))))
    save("png", "interlaced", png(3, 3, 8, 0, b"\0\1" + b"\0\2" + b"\0\3\4" + b"\0\5\0\6" + b"\0\7\1\2",
                                  interlace=1, extra=chunk(b"gAMA", struct.pack(">I", 45455))))
    save("png", "large", png(9000, 9000, 8, 2, b"\0" * 100))

    for name, (header, n_data) in {
        "float": (b'{"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}', 8),
        "bf16": (b'{"a":{"dtype":"BF16","shape":[3],"data_offsets":[0,6]}}  ', 6),
        "all": (b'{"__metadata__":{"format":"pt"},"h":{"dtype":"F16","shape":[],"data_offsets":[0,2]},'
                b'"e":{"dtype":"F64","shape":[0,2],"data_offsets":[2,2]},'
                b'"b":{"dtype":"BOOL","shape":[2],"data_offsets":[10,12]},'
                b'"d":{"dtype":"F64","shape":[1],"data_offsets":[2,10]}}', 12),
        "hole": (b'{"a":{"dtype":"I8","shape":[2],"data_offsets":[1,3]}}', 3),
        "overlap": (b'{"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},'
                    b'"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}', 3),
        "huge": (b'{"a":{"dtype":"I64","shape":[4294967296,536870912],"data_offsets":[0,0]}}', 0),
        "meta": (b'{"__metadata__":{"format":1}}', 0),
        "empty": (b"{}", 0),
    }.items():
        save("safetensors", name, struct.pack("<Q", len(header)) + header + bytes(range(n_data)))
        save("safetensors", name + "_header", header + bytes(range(n_data)))
    save("safetensors", "index", b'{"metadata":{"total_size":8},"weight_map":{"a":"model-1.safetensors"}}')
    save("safetensors", "index_bad", b'{"weight_map":{"a":"../x","b":2}}')

    for name, text in {
        "size": b'{"model":"nano","size":"n8"}',
        "keys": b'{"model":"nano","d_model":64,"n_head":4,"n_encoder":1,"n_decoder":2,'
                b'"stem":[8,16,32,64],"n_view":1,"shared_kv":false}',
        "large": b'{"model":"nano","d_model":4096,"n_head":64,"n_encoder":64,"n_decoder":64,'
                 b'"stem":[4096,4096,4096,4096],"n_view":2}',
        "misspelt": b'{"model":"nano","n_heads":4}',
        "uneven": b'{"model":"nano","size":"n2","n_head":5}',
        "whole": b'{"model":"nano","n_head":4.5}',
        "stem": b'{"model":"nano","stem":[8,16]}',
        "other": b'{"model":"micro"}',
    }.items():
        save("model", name, text)


main()
