"""Holds our MDS shards to those of the reference package, mosaicml-streaming: values both ways, and bytes.

    python3 bench/mds_parity.py [--program target/release/examples/mds_parity] [--quick]

The same samples, with a column of every encoding but pickle, are written by both under every compression and level and with every hash.
StreamingDataset reads our shards and we read the package's; shard files and index.json are compared byte for byte. The exit code is 1 if
a value differs, if uncompressed shards or an index differ, or if one side cannot read the other. Compressed files may differ where the two
encoders do (the package's gzip files hold the time, so that not even two of its own are equal); the table says which are equal.

On its first call it makes a Python environment (pip, about 1.5 GB: mosaicml-streaming 0.13 wants torch) in target/mosaicml-streaming and
goes on in it. Without --program the example is built with cargo.
"""

import argparse
import io
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from decimal import Decimal

import environment

ROOT = environment.ROOT
NEEDS = ["mosaicml-streaming==0.13.0", "torch", "numpy"]
SIZE_LIMIT = 1 << 17

LEVELS = {"br": range(12), "bz2": range(1, 10), "gz": range(10), "snappy": [], "zstd": range(1, 23)}
# One compression of each kind decides with --quick.
QUICK = ["br:5", "bz2", "gz", "snappy", "zstd"]


def build_program():
    command = ["cargo", "build", "--release", "-p", "moeworks-data", "--example", "mds_parity"]
    subprocess.run(command, cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    return str(pathlib.Path(target) / "release" / "examples" / "mds_parity")


def image(rng, mode):
    from PIL import Image

    width, height = rng.randint(1, 24), rng.randint(1, 24)
    return Image.frombytes(mode, (width, height), rng.randbytes(width * height * len(mode)))


def text(rng):
    alphabet = "abc \n\t\"\\/\u00e4\u00df\u03b1\u4f60\U0001f469\u0000\u007f\u2028"
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(0, 60)))


def array(rng, dtype, shape=None):
    import numpy

    shape = shape or tuple(rng.randint(1, 5) for _ in range(rng.randint(1, 4)))
    count = int(numpy.prod(shape))
    if dtype.startswith("float"):
        return numpy.array([rng.uniform(-1e4, 1e4) for _ in range(count)], dtype).reshape(shape)
    return numpy.frombuffer(rng.randbytes(count * numpy.dtype(dtype).itemsize), dtype).reshape(shape)


def columns():
    """Name, encoding, and how a value is made; the names are not in the order of the encodings."""
    import numpy

    integers = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    floats = ["float16", "float32", "float64"]

    def scalar(dtype):
        def make(rng):
            kind = numpy.dtype(dtype).type
            if dtype in floats:
                return kind(rng.choice([0.0, -0.0, 1.5, rng.uniform(-6e4, 6e4), float("inf"), float("-inf")]))
            limits = numpy.iinfo(dtype)
            return kind(rng.choice([limits.min, limits.max, rng.randint(limits.min, limits.max)]))
        return make

    def tree(rng, depth=0):
        leaves = [None, True, False, rng.randint(-(1 << 63), (1 << 64) - 1), rng.uniform(-1e300, 1e300), 1e16, 1e-5, 0.1, text(rng)]
        if depth > 2 or rng.random() < 0.3:
            return rng.choice(leaves)
        if rng.random() < 0.5:
            return [tree(rng, depth + 1) for _ in range(rng.randint(0, 4))]
        return {text(rng): tree(rng, depth + 1) for _ in range(rng.randint(0, 4))}

    def images(kind, fewest=0):
        return lambda rng: [image(rng, kind) for _ in range(rng.randint(fewest, 3))]

    def jpegs(rng):
        return [encoded("jpeg", image(rng, "RGB")) for _ in range(rng.randint(1, 3))]

    made = {
        "bytes": lambda rng: rng.randbytes(rng.randint(0, 60)),
        "str": text,
        "int": lambda rng: rng.choice([-(1 << 63), (1 << 63) - 1, 0, rng.randint(-9, 9)]),
        "str_int": lambda rng: rng.choice([-1, 1]) * rng.getrandbits(rng.randint(1, 300)),
        "str_float": lambda rng: rng.choice([0.1, -0.0, 1e300, 5e-324, float("inf"), rng.uniform(-1, 1)]),
        "str_decimal": lambda rng: Decimal(rng.getrandbits(200)).scaleb(rng.randint(-40, 40)),
        "json": tree,
        "pil": lambda rng: image(rng, rng.choice(["L", "RGB", "RGBA"])),
        "jpeg": lambda rng: image(rng, "RGB"),
        "png": lambda rng: image(rng, rng.choice(["L", "RGB", "RGBA"])),
        "jpeg_array": jpegs,
        "jpegarray": jpegs,
        "list[pil]": images("RGB"),
        "list[jpeg]": images("RGB"),
        "list[png]": images("L"),
        "ndarray": lambda rng: array(rng, rng.choice(integers + floats)),
        "ndarray:int32": lambda rng: array(rng, "int32", (rng.choice([1, 255, 256, 300]),)),
        "ndarray:float32:2,3": lambda rng: array(rng, "float32", (2, 3)),
    }
    made |= {dtype: scalar(dtype) for dtype in integers + floats}
    made |= {f"ndarray:{dtype}": (lambda rng, dtype=dtype: array(rng, dtype)) for dtype in integers + floats if dtype != "int32"}
    return [(f"c{(number * 7) % len(made):02}", encoding, make) for number, (encoding, make) in enumerate(made.items())]


def encoded(encoding, value):
    from streaming.base.format.mds.encodings import mds_encode

    return mds_encode(encoding, value)


def spelt(encoding, value):
    """A value as the example program spells it."""
    import numpy

    if encoding == "bytes" or encoding in ("pil", "jpeg", "png", "jpeg_array", "jpegarray") or encoding.startswith("list["):
        return encoded(encoding, value).hex()
    if encoding.startswith("ndarray"):
        return {"dtype": value.dtype.name, "shape": list(value.shape), "hex": value.tobytes().hex()}
    if encoding.startswith("float"):
        return numpy.dtype(encoding).type(value).tobytes().hex()
    if encoding in ("str", "json"):
        return value
    return str(value)


def pixels(value):
    return [(part.mode, part.size, part.tobytes()) for part in (value if isinstance(value, list) else [value])]


def same(encoding, found, value):
    """Whether the reference's reader gave back the value that was written."""
    import numpy
    from PIL import Image

    if encoding in ("jpeg_array", "jpegarray"):
        return pixels(found) == pixels([Image.open(io.BytesIO(part)) for part in value])
    if encoding == "jpeg":
        return pixels(found) == pixels(Image.open(io.BytesIO(encoded("jpeg", value))))
    if encoding == "list[jpeg]":
        return pixels(found) == pixels([Image.open(io.BytesIO(encoded("jpeg", part))) for part in value])
    if encoding in ("pil", "png") or encoding.startswith("list["):
        return pixels(found) == pixels(value)
    if isinstance(value, numpy.ndarray):
        return found.dtype == value.dtype and found.shape == value.shape and found.tobytes() == value.tobytes()
    if isinstance(value, float) or encoding.startswith("float"):
        return struct.pack("d", found) == struct.pack("d", value)
    return found == value and (isinstance(found, type(value)) or encoding == "json")


class Samples:
    """The same samples for both sides."""

    def __init__(self, count):
        self.columns = columns()
        rng = random.Random(17)
        self.rows = [{name: make(rng) for name, _, make in self.columns} for _ in range(count)]
        self.spelt = [[spelt(encoding, row[name]) for name, encoding, _ in self.columns] for row in self.rows]

    def write_ours(self, program, folder, compression, hashes):
        description = {"columns": [column[:2] for column in self.columns], "compression": compression, "hashes": hashes,
                       "size_limit": SIZE_LIMIT, "rows": self.spelt}
        path = folder.with_suffix(".json")
        path.write_text(json.dumps(description))
        subprocess.run([program, "write", str(path), str(folder)], check=True)

    def write_theirs(self, folder, compression, hashes):
        from streaming import MDSWriter

        names = {name: encoding for name, encoding, _ in self.columns}
        with MDSWriter(out=str(folder), columns=names, compression=compression, hashes=hashes, size_limit=SIZE_LIMIT) as writer:
            for row in self.rows:
                writer.write(row)

    def wrong_in_ours(self, folder, validate):
        """The encodings of which StreamingDataset reads other values out of our shards, and how many values it read."""
        from streaming import StreamingDataset

        # Decompressed shards appear in a cache, the folder stays as it is.
        with tempfile.TemporaryDirectory() as cache:
            dataset = StreamingDataset(remote=str(folder), local=os.path.join(cache, "local"), batch_size=1, shuffle=False,
                                       validate_hash=validate)
            if len(dataset) != len(self.rows):
                return [f"{len(dataset)} samples"], 0
            wrong = [encoding for number, row in enumerate(self.rows) for found in [dataset[number]]
                     for name, encoding, _ in self.columns if not same(encoding, found[name], row[name])]
        return wrong, len(self.rows) * len(self.columns)

    def wrong_in_theirs(self, program, folder):
        """The same of what we read out of the package's shards."""
        answer = subprocess.run([program, "read", str(folder)], capture_output=True, text=True)
        if answer.returncode != 0:
            return [answer.stderr.strip()], 0
        found = [json.loads(line) for line in answer.stdout.split("\n") if line]
        if len(found) != len(self.rows):
            return [f"{len(found)} samples"], 0
        # JSON text on both sides, so that floats are compared digit by digit.
        wrong = [encoding for row, values in zip(found, self.spelt) for (name, encoding, _), value in zip(self.columns, values)
                 if json.dumps(row[name]) != json.dumps(value)]
        return wrong, len(found) * len(self.columns)


def compare_files(ours, theirs):
    """Whether the two have the same file names, equal index.json, and how many shard files there are and how many are equal."""
    names = sorted(path.name for path in theirs.iterdir())
    if names != sorted(path.name for path in ours.iterdir()):
        return False, False, 0, 0
    equal = {name: (ours / name).read_bytes() == (theirs / name).read_bytes() for name in names}
    index = equal.pop("index.json")
    return True, index, len(equal), sum(equal.values())


def raw_halves_agree(ours, theirs):
    """Whether the two indices agree in all but the compressed files."""
    both = [json.loads((folder / "index.json").read_text()) for folder in (ours, theirs)]
    for index in both:
        for shard in index["shards"]:
            zip_data = shard["zip_data"] or {}
            zip_data.pop("bytes", None)
            zip_data.pop("hashes", None)
    return both[0] == both[1]


def hash_names():
    from streaming.base.hashing import get_hashes

    return sorted(get_hashes())


def compare(program, samples, folder, compression, hashes, validate):
    """Writes and reads both ways under one compression. Returns a row of the table and whether it is good."""
    ours, theirs = folder / "ours", folder / "theirs"
    samples.write_ours(program, ours, compression, hashes)
    samples.write_theirs(theirs, compression, hashes)
    names, index, shards, equal = compare_files(ours, theirs)
    raw = raw_halves_agree(ours, theirs)
    wrong_ours, read_ours = samples.wrong_in_ours(ours, validate)
    wrong_theirs, read_theirs = samples.wrong_in_theirs(program, theirs)
    for wrong in (wrong_ours, wrong_theirs):
        if wrong:
            print(f"  wrong: {sorted(set(wrong))}")
    good = names and raw and not wrong_ours and not wrong_theirs and (compression is not None or (index and equal == shards))
    shutil.rmtree(ours)
    shutil.rmtree(theirs)
    return (good, read_ours - len(wrong_ours), read_theirs - len(wrong_theirs), raw, equal, shards, index)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", help="the example mds_parity; built if it is not given")
    parser.add_argument("--quick", action="store_true", help="one level of each compression")
    parser.add_argument("--samples", type=int, default=120)
    flags = parser.parse_args()
    environment.enter("mosaicml-streaming", *NEEDS)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from importlib.metadata import version

    program = flags.program or build_program()
    samples = Samples(flags.samples)
    hashes = hash_names()
    compressions = [None] + (QUICK if flags.quick else [name for kind, levels in LEVELS.items()
                                                         for name in [kind, *(f"{kind}:{level}" for level in levels)]])
    packages = ", ".join(f"{name} {version(name)}" for name in
                         ("mosaicml-streaming", "torch", "numpy", "brotli", "python-snappy", "zstd", "xxhash"))
    print(f"{packages}\n{len(samples.rows)} samples, {len(samples.columns)} columns: "
          f"{', '.join(encoding for _, encoding, _ in samples.columns)}\n{len(hashes)} hashes: {', '.join(hashes)}\n")
    good = True
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        print(f"{'compression':12} {'they read ours':>14} {'we read theirs':>14} {'raw shards':>10} {'files equal':>11} {'index':>8}")
        for number, compression in enumerate(compressions):
            # Every hash is in every index; the package checks another one of them each time.
            fine, ours, theirs, raw, equal, shards, index = compare(
                program, samples, folder, compression, hashes, hashes[number % len(hashes)])
            good &= fine
            print(f"{compression or 'none':12} {ours:14} {theirs:14} {'equal' if raw else 'DIFFER':>10} {f'{equal} of {shards}':>11} "
                  f"{'equal' if index else 'differs':>8}{'' if fine else '  WRONG'}", flush=True)
        print(f"\n{'hash':12} {'they check ours':>15} {'we check theirs':>15} {'files and index':>15}")
        for name in hashes:
            fine, ours, theirs, _, _, _, index = compare(program, samples, folder, None, [name], name)
            good &= fine
            print(f"{name:12} {ours:15} {theirs:15} {'equal' if fine and index else 'DIFFER':>15}", flush=True)
    print(f"\n{'everything agrees' if good else 'SOMETHING DIFFERS'}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
