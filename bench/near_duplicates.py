"""Near-duplicate search against datatrove's MinHash pipeline and text-dedup: same rows, same threads, alternating.

    cargo build --release -p moeworks-data --example near_duplicates
    python3 bench/near_duplicates.py FOLDER_OF_JSONL [--bytes 1e9] [--workers 2] [--rounds 1] [--peers datatrove,text-dedup]

FOLDER_OF_JSONL holds .jsonl files (plain, .gz or .zst) with the text under "text". Their first --bytes of text, without exact
duplicates, become the input. All three use shingles of five words and the bands that belong to Jaccard 0.85 (datatrove:
its own 14 x 8; text-dedup: 16 x 8, as here). What is timed ends with the clusters; writing the corpus anew is no part of it. Printed are times, the
memory of all processes together, documents in clusters and to drop, how far the sets agree, and for a sample of the clustered documents the
share that has an exact Jaccard similarity of 0.85 or more with another one of its cluster (precision).

On its first call it makes a Python environment (pip, about 1 GB) in target/near-duplicates-peers and goes on in it.
"""

import argparse
import collections
import gzip
import hashlib
import io
import json
import os
import pathlib
import pickle
import random
import re
import shutil
import statistics
import struct
import subprocess
import sys
import threading
import time

import environment

ROOT = environment.ROOT
NEEDS = ["datatrove==0.10.1", "text-dedup==0.4.0", "tokenizers", "orjson", "spacy", "xxhash<4", "scipy", "zstandard"]
THRESHOLD = 0.85
SAMPLE = 2000


def rows_of(folder):
    import zstandard

    for path in sorted(p for p in folder.rglob("*") if ".jsonl" in p.suffixes[-2:]):
        with path.open("rb") as file:
            if path.suffix == ".zst":
                file = io.BufferedReader(zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(file))
            elif path.suffix == ".gz":
                file = gzip.open(file)
            for line in file:
                yield json.loads(line)["text"]


def make_input(folder, work, limit, parts):
    """Writes `parts` files of about the same size, each of consecutive documents."""
    seen, size, documents, part, out = set(), 0, 0, -1, None
    for text in rows_of(folder):
        digest = hashlib.sha256(text.encode()).digest()
        if digest in seen or not text.strip():
            continue
        seen.add(digest)
        if size * parts >= limit * (part + 1):
            part += 1
            out = (work / f"part-{part:03}.jsonl").open("w", encoding="utf-8")
        out.write(json.dumps({"id": str(documents), "text": text}, ensure_ascii=False) + "\n")
        documents += 1
        size += len(text.encode())
        if size >= limit:
            break
    out.close()
    print(f"{documents} documents, {size / 1e6:.0f} MB of text in {part + 1} files")
    return sorted(work.glob("part-*.jsonl"))


def memory_of_group(group):
    """Proportional set size of all processes of a group, in bytes."""
    total = 0
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rsplit(")", 1)[1].split()[2]) == group:
                rollup = (stat.parent / "smaps_rollup").read_text()
                total += int(re.search(r"^Pss:\s+(\d+)", rollup, re.M)[1]) * 1024
        except (OSError, TypeError, IndexError):
            pass  # it has ended meanwhile
    return total


def measure(command, variables):
    """Seconds and peak memory of a command."""
    start = time.monotonic()
    process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    peak = 0

    def watch():
        nonlocal peak
        while process.poll() is None:
            peak = max(peak, memory_of_group(process.pid))
            time.sleep(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    output = process.stdout.read()
    code = process.wait()
    seconds = time.monotonic() - start
    watcher.join()
    if code != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {code}:\n{output[-3000:]}")
    return seconds, peak


def run_datatrove(work, files, workers):
    """Signatures, buckets, clusters: the pipeline of datatrove's examples/minhash_deduplication.py."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader

    config = MinhashConfig()
    folder = lambda name: str(work / "datatrove" / name)
    reader = JsonlReader(str(files[0].parent), glob_pattern="part-*.jsonl")
    steps = [
        ([reader, MinhashDedupSignature(folder("signatures"), config)], len(files)),
        ([MinhashDedupBuckets(folder("signatures"), folder("buckets"), config=config)], config.num_buckets),
        ([MinhashDedupCluster(folder("buckets"), folder("clusters"), config, save_cluster_id=True)], 1),
    ]
    for number, (pipeline, tasks) in enumerate(steps):
        logs = folder(f"logs-{number}")
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=min(workers, tasks), logging_dir=logs).run()


def clusters_of_datatrove(work, files):
    clusters, first = {}, 0
    for number, file in enumerate(files):
        path = work / "datatrove" / "clusters" / f"{number:06d}.clusters"
        if path.exists():
            clusters.update((first + row, cluster) for row, cluster in struct.iter_unpack("<II", path.read_bytes()))
        with file.open("rb") as rows:
            first += sum(1 for _ in rows)
    return clusters


def clusters_of_text_dedup(work):
    with (work / "text-dedup" / "uf.pkl").open("rb") as file:
        parents = pickle.load(file).parent

    def root(document):
        while parents[document] != document:
            document = parents[document]
        return document

    roots = {document: root(document) for document in parents}
    sizes = collections.Counter(roots.values())
    return {document: cluster for document, cluster in roots.items() if sizes[cluster] > 1}


def clusters_of_ours(work):
    pairs = (line.split() for line in (work / "clusters").read_text().splitlines())
    return {int(document): int(cluster) for document, cluster in pairs}


def shingles(text):
    words = re.findall(r"[^\W_]+", text.lower())
    return {tuple(words[at:at + 5]) for at in range(max(len(words) - 4, 1))} if words else set()


def precision(clusters, texts):
    """Share of clustered documents that are near duplicates of another one in the cluster; at most 50 are looked at."""
    members = collections.defaultdict(list)
    for document, cluster in clusters.items():
        members[cluster].append(document)
    chosen = random.Random(1).sample(sorted(clusters), min(SAMPLE, len(clusters)))
    cache = {}
    of = lambda document: cache.setdefault(document, shingles(texts[document]))
    near = 0
    for document in chosen:
        others = [other for other in members[clusters[document]] if other != document][:50]
        own = of(document)
        near += any(len(own & of(other)) >= THRESHOLD * len(own | of(other)) > 0 for other in others)
        if len(cache) > 5000:
            cache.clear()
    return near / len(chosen) if chosen else 1.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=pathlib.Path, help="folder of JSON lines")
    parser.add_argument("--bytes", type=float, default=1e9)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--peers", default="datatrove,text-dedup")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "target" / "release" / "examples" / "near_duplicates")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "target" / "near-duplicates-bench")
    parser.add_argument("--only-datatrove", action="store_true", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    environment.enter("near-duplicates-peers", *NEEDS)
    work = flags.work.resolve()
    if flags.only_datatrove:
        return run_datatrove(work, sorted(work.glob("part-*.jsonl")), flags.workers)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    files = make_input(flags.rows, work, int(flags.bytes), 2 * flags.workers)
    threads = str(flags.workers)
    variables = {**os.environ, "RAYON_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(work / "cache")}
    sides = {
        "moeworks": ([flags.program.resolve(), work, work / "clusters", *files], lambda: clusters_of_ours(work)),
        "datatrove": ([sys.executable, __file__, flags.rows, "--work", work, "--workers", threads, "--only-datatrove"],
                      lambda: clusters_of_datatrove(work, files)),
        "text-dedup": ([sys.executable, "-m", "text_dedup.minhash", "--path", "json", "--data_files", work / "part-*.jsonl",
                        "--split", "train", "--column", "text", "--cache_dir", work / "cache", "--output", work / "text-dedup",
                        "--num_perm", "128", "--b", "16", "--r", "8", "--ngram", "5", "--threshold", str(THRESHOLD),
                        "--hash_func", "xxh3", "--num_proc", threads, "--debug", "--no-clean_cache"],
                       lambda: clusters_of_text_dedup(work)),
    }
    chosen = ["moeworks", *filter(None, flags.peers.split(","))]
    seconds, memory, clusters = collections.defaultdict(list), collections.Counter(), {}
    for number in range(flags.rounds):
        for side in chosen:
            shutil.rmtree(work / side, ignore_errors=True)
            shutil.rmtree(work / "cache", ignore_errors=True)
            command, read = sides[side]
            took, peak = measure([str(part) for part in command], variables)
            seconds[side].append(took)
            memory[side] = max(memory[side], peak)
            clusters[side] = read()
            print(f"round {number + 1}  {side:10} {took:8.1f} s", flush=True)
    texts = [json.loads(line)["text"] for file in files for line in file.open(encoding="utf-8")]
    print("\n| | seconds | ratio | memory | in clusters | to drop | precision | also found by moeworks | finds of moeworks |\n|---|---|---|---|---|---|---|---|---|")
    ours = clusters["moeworks"].keys()
    for side in chosen:
        found = clusters[side].keys()
        ratio = statistics.median(a / b for a, b in zip(seconds[side], seconds["moeworks"]))
        dropped = len(found) - len(set(clusters[side].values()))
        both = len(found & ours)
        print(f"| {side} | {statistics.median(seconds[side]):.1f} | {ratio:.1f} | {memory[side] / 1e6:.0f} MB | {len(found)} | {dropped} "
              f"| {precision(clusters[side], texts):.3f} | {both / max(len(found), 1):.3f} | {both / max(len(ours), 1):.3f} |")


if __name__ == "__main__":
    main()
