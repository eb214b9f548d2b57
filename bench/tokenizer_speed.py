"""Tokenising real text with cl100k: Moeworks beside tiktoken and Hugging Face tokenizers.

    python3 bench/tokenizer_speed.py [--program target/release/moeworks] [--english FILE...] [--code FILE...]

On its first call it makes a Python environment (pip: tiktoken, tokenizers) in target/tokenize and goes on in it. All
three get the same documents, and their ids must be the same. Then they take turns, round by round, with one thread and
with two, so that whatever else the machine does meets all of them.

Without files: English are the dictionaries of Debian's packages dict-gcide and dict-foldoc and code are the sources of
the packages in cargo's registry, 16 MB of each at most. Where those are not there, name files of your own.
"""

import argparse
import base64
import gzip
import hashlib
import itertools
import json
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import time

import environment

ROOT = environment.ROOT
HOME = ROOT / "target" / "tokenize"
NEEDS = ["tiktoken==0.14.0", "tokenizers==0.23.3"]
MOST_BYTES = 16 << 20
# GPT-4's, as crates/text/src/split.rs has it.
PATTERN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def write_text(name, parts):
    """Joins parts of text to a file of at most MOST_BYTES, which is made once."""
    path = HOME / name
    if not path.exists():
        text = bytearray()
        for part in parts:
            text += part
            if len(text) >= MOST_BYTES:
                break
        if not text:
            return []
        path.write_bytes(bytes(text[:MOST_BYTES]).decode("utf-8", "ignore").encode())
    return [path]


def english():
    """Debian's dictionaries, taken out of their packages without installing them."""
    packages = HOME / "debian"
    packages.mkdir(exist_ok=True)
    for name in ["dict-gcide", "dict-foldoc"]:
        if not (packages / name).exists():
            subprocess.run(["apt-get", "download", "-qq", name], cwd=packages, stderr=subprocess.DEVNULL)
            for package in packages.glob(f"{name}_*.deb"):
                subprocess.run(["dpkg-deb", "-x", package, packages / name], check=True)
    return write_text("english.txt", (gzip.open(path).read() for path in sorted(packages.rglob("*.dict.dz"))))


def code():
    """Sources of packages, the same for the same registry."""
    registry = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo")) / "registry" / "src"
    files = (path for path in sorted(registry.glob("*/*/src/**/*.rs")) if path.stat().st_size < 200_000)
    # Every third, so that 16 MB come from packages of many letters.
    return write_text("code.txt", (path.read_bytes() for path in itertools.islice(files, 0, None, 3)))


def ranks():
    """cl100k's tokens by bytes: the file that the crate tiktoken-rs carries, which the tests of crates/text have fetched."""
    registry = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo")) / "registry" / "src"
    found = sorted(registry.glob("*/tiktoken-rs-*/assets/cl100k_base.tiktoken"))
    if not found:
        sys.exit("cl100k_base.tiktoken is not in cargo's registry: `cargo fetch` in this repository brings it")
    lines = (line.split() for line in found[-1].read_bytes().splitlines())
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def tiktoken_encoder(threads):
    import tiktoken
    from tiktoken_ext import openai_public

    # Its own pattern and special tokens; only the ranks would come over the network.
    openai_public.load_tiktoken_bpe = lambda *_, **__: ranks()
    encoding = tiktoken.Encoding(**openai_public.cl100k_base())
    if threads == 1:
        return lambda documents: [encoding.encode_ordinary(document) for document in documents]
    return lambda documents: encoding.encode_ordinary_batch(documents, num_threads=threads)


def merges_of(tokens):
    """The two tokens of which each longer token is made, in rank order: joined until its own rank is next."""
    for token, rank in sorted(tokens.items(), key=lambda item: item[1]):
        parts = [bytes([byte]) for byte in token]
        while len(parts) > 2:
            pairs = (tokens.get(left + right, rank) for left, right in itertools.pairwise(parts))
            lowest, at = min((pair, at) for at, pair in enumerate(pairs))
            assert lowest < rank, f"nothing makes {token}"
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        if len(parts) == 2:
            yield tuple(parts)


def tokenizers_encoder(threads):
    # Both are read when the library starts.
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    visible = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (byte for byte in range(256) if byte not in visible)
    letters = {byte: chr(byte) for byte in visible} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    spell = lambda token: "".join(letters[byte] for byte in token)
    tokens = ranks()
    vocabulary = {spell(token): rank for token, rank in tokens.items()}
    merges = [(spell(left), spell(right)) for left, right in merges_of(tokens)]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    split = pre_tokenizers.Split(Regex(PATTERN), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    return tokenizer.encode_batch_fast


PEERS = {"tiktoken": tiktoken_encoder, "tokenizers": tokenizers_encoder}


def work(peer, threads, chunk, path):
    """What a peer's process does: tells its ids' hash, then for each line it is sent makes a pass and tells the seconds."""
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    documents = [text[at : at + chunk] for at in range(0, len(text), chunk)]
    encode = PEERS[peer](threads)
    digest = hashlib.sha256()
    for ids in encode(documents):
        ids = getattr(ids, "ids", ids)
        digest.update(struct.pack(f"<{len(ids) + 1}I", len(ids), *ids))
    print(digest.hexdigest(), flush=True)
    for _ in sys.stdin:
        begun = time.perf_counter()
        encoded = encode(documents)
        print(time.perf_counter() - begun, flush=True)
        del encoded


class Peer:
    def __init__(self, peer, threads, chunk, path):
        command = [sys.executable, __file__, "--worker", peer, str(threads), str(chunk), str(path)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ids_sha256 = self.process.stdout.readline().strip()

    def seconds(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def ours(program, threads, chunk, path, seconds):
    """One call of the program: what it says with 1 thread and more."""
    command = [program, "bench", "tokenize", "--json", "--text", path, "--chunk", chunk, "--threads", threads]
    command += ["--seconds", seconds]
    done = subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def measure(options, path):
    """Speeds of one text in MB/s by (who, threads), a list of one value a round; and whether all ids are the same."""
    counts = range(1, options.threads + 1)
    peers = {(peer, n): Peer(peer, n, options.chunk, path) for peer in PEERS for n in counts}
    speeds = {key: [] for key in [("moeworks", n) for n in counts] + list(peers)}
    for _ in range(options.rounds):
        answer = ours(options.program, options.threads, options.chunk, path, options.seconds)
        for run in answer["runs"]:
            speeds["moeworks", run["threads"]].append(run["mb_s"])
        for key, peer in peers.items():
            speeds[key].append(answer["bytes"] / peer.seconds() / 1e6)
    differ = [peer for (peer, _), it in peers.items() if it.ids_sha256 != answer["ids_sha256"]]
    for peer in peers.values():
        peer.end()
    per_token = answer["bytes"] / answer["tokens"]
    print(f"{path.name}: {answer['bytes'] / 1e6:.1f} MB, {answer['documents']} documents, {per_token:.2f} bytes a token")
    print(f"  ids {'differ: ' + ', '.join(differ) if differ else 'are the same, SHA-256 ' + answer['ids_sha256'][:16]}")
    return speeds, not differ


def show(speeds):
    print(f"  {'':12} {'threads':>7} {'MB/s':>7} {'lowest':>7} {'highest':>7} {'Moeworks is':>12}")
    for (who, threads), values in speeds.items():
        # Rounds are compared one by one: both met the same machine.
        ratio = statistics.median(us / it for us, it in zip(speeds["moeworks", threads], values))
        times = "" if who == "moeworks" else f"{ratio:11.1f}x"
        figures = (statistics.median(values), min(values), max(values))
        print(f"  {who:12} {threads:7} " + " ".join(f"{figure:7.1f}" for figure in figures) + f" {times}")


def main():
    if sys.argv[1:2] == ["--worker"]:
        peer, threads, chunk, path = sys.argv[2:]
        return work(peer, int(threads), int(chunk), path)
    environment.enter("tokenize", *NEEDS)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "target" / "release" / "moeworks")
    parser.add_argument("--english", type=pathlib.Path, nargs="*", help="files of English text")
    parser.add_argument("--code", type=pathlib.Path, nargs="*", help="files of program text")
    parser.add_argument("--chunk", type=int, default=4096, help="characters of a document")
    parser.add_argument("--threads", type=int, default=2, help="measure with 1 thread, 2, ... up to so many")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="time of the program's passes in a round")
    options = parser.parse_args()
    files = [*(english() if options.english is None else options.english)]
    files += code() if options.code is None else options.code
    if not files:
        sys.exit("there is no text: give --english FILE or --code FILE")
    print(", ".join(NEEDS))
    same = True
    for path in files:
        speeds, agreed = measure(options, path)
        show(speeds)
        same = same and agreed
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
