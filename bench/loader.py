"""Loader speed beside mosaicml-streaming's StreamingDataset, on the same shards, in alternation.

    python3 bench/loader.py [--program target/release/moeworks] [--rounds 5] [--samples 20000] [--length 2048] [--json FILE]

On its first call it makes a Python environment (pip, about 1 GB: torch for the CPU and mosaicml-streaming 0.13.0) in
target/mosaicml-streaming and goes on in it. The package itself writes the shards (64 MiB, hash xxh3_64), which both read
shuffled, one pass a round, from the page cache. Ours checks every hash, which the package does not unless asked; its
time counts from the start of the process to the last batch, theirs from the first sample to the last.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import environment

# Of PyTorch's copy of every batch; workers inherit it.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")

ROOT = environment.ROOT
NEEDS = ["mosaicml-streaming==0.13.0", "torch", "numpy"]
BATCH = 8


def write(folder, samples, length, compression):
    import numpy
    from streaming import MDSWriter

    tokens = numpy.random.default_rng(0).integers(0, 100_000, (2048, length), dtype=numpy.int32)
    with MDSWriter(out=str(folder), columns={"tokens": "ndarray:int32"}, compression=compression,
                   hashes=["xxh3_64"], size_limit=1 << 26) as writer:
        for sample in range(samples):
            writer.write({"tokens": tokens[sample % len(tokens)]})


def theirs(folder, workers):
    """Samples a second of one shuffled pass behind the first sample, and the seconds to that one."""
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory
    from torch.utils.data import DataLoader

    clean_stale_shared_memory()
    began = time.perf_counter()
    dataset = StreamingDataset(local=str(folder), remote=None, shuffle=True, shuffle_seed=1, batch_size=BATCH)
    bare = workers is None
    samples = iter(dataset) if bare else iter(DataLoader(dataset, batch_size=BATCH, num_workers=workers))
    next(samples)
    first = time.perf_counter()
    count = 0
    for sample in samples:
        count += 1 if bare else len(sample["tokens"])
    return count / (time.perf_counter() - first), first - began


def ours(program, folder):
    """Samples a second of one shuffled pass with everything before it, and the seconds to the first batch."""
    began = time.perf_counter()
    words = [program, "bench", "loader", str(folder), "--shuffle", "--batch", str(BATCH), "--epochs", "1",
             "--json"]
    result = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
    seconds = time.perf_counter() - began
    if not result["hashes_checked"]:
        sys.exit("the shards' hashes were not checked")
    return result["samples"] / seconds, result["first_batch_seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "target" / "release" / "moeworks"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--compression", help="such as zstd:3; none if not given")
    parser.add_argument("--workers", type=int, nargs="*", default=[2], help="workers of their DataLoader")
    parser.add_argument("--json", type=pathlib.Path, help="file for the figures of every round")
    flags = parser.parse_args()
    program = str(pathlib.Path(flags.program).resolve())
    folder = pathlib.Path(tempfile.mkdtemp(prefix="loader-bench-"))
    try:
        write(folder / "theirs", flags.samples, flags.length, flags.compression)
        # A copy, because their reader leaves decompressed files beside compressed ones, for all rounds but the first.
        shutil.copytree(folder / "theirs", folder / "ours")
        contenders = {"StreamingDataset": lambda: theirs(folder / "theirs", None)}
        for workers in flags.workers:
            contenders[f"StreamingDataset, DataLoader with {workers} workers"] = lambda w=workers: theirs(folder / "theirs", w)
        contenders["moeworks"] = lambda: ours(program, folder / "ours")
        rounds = {name: [] for name in contenders}
        for _ in range(flags.rounds):
            for name, run in contenders.items():
                rounds[name].append(run())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    base = statistics.median(rate for rate, _ in rounds["StreamingDataset"])
    print(f"{flags.samples} samples of {flags.length} tokens, shuffled, batches of {BATCH}, {flags.rounds} rounds, {os.cpu_count()} CPUs")
    print(f"{'':46} {'samples/s':>10} {'lowest':>10} {'highest':>10} {'MB/s':>7} {'first, s':>9} {'ratio':>7}")
    for name, results in rounds.items():
        rates = sorted(rate for rate, _ in results)
        median, first = statistics.median(rates), statistics.median(first for _, first in results)
        print(f"{name:46} {median:10.0f} {rates[0]:10.0f} {rates[-1]:10.0f} {median * flags.length * 4 / 1e6:7.0f} {first:9.3f} {median / base:6.1f}x")
    if flags.json:
        flags.json.write_text(json.dumps(rounds, indent=1) + "\n")


if __name__ == "__main__":
    environment.enter("mosaicml-streaming", *NEEDS)
    main()
