"""Opens a model that Moeworks wrote with transformers and compares: logits in float32, and the tokenizer's ids.

    python3 bench/transformers_parity.py runs/quickstart/model [--program target/release/moeworks] [--texts FOLDER]

On its first call it makes a Python environment (pip, about 1 GB: torch for the CPU and transformers 4.57) in
target/transformers-parity and goes on in it. The exit code is 1 if anything differs by more than it may.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import environment

ROOT = environment.ROOT
NEEDS = ["torch", "transformers==4.57.6", "safetensors", "numpy"]
MOST = 2e-3


def texts_of(folder):
    """Texts to tokenise: the files of a folder, and what tokenizers stumble over."""
    hard = ["", " ", "a", "\n\n\n", "don't  WON'T", "1234567890 12,345.67", "\u00e9\u0301 e\u0301", "\u4f60\u597d\uff0c\u4e16\u754c", "\U0001f469\u200d\U0001f4bb \U0001f1e9\U0001f1ea",
            "\u0000\u0007\u001b[0m", "<|im_start|>system\n<|im_end|><|endoftext|>", "\tfn main() {\r\n\t}\r\n", "x" * 3000]
    files = sorted(p for p in folder.rglob("*") if p.suffix in (".rs", ".md", ".py", ".toml") and p.is_file())
    skipped = {"target", ".git"}
    files = [p for p in files if not skipped.intersection(p.relative_to(folder).parts)]
    return hard + [p.read_text(encoding="utf-8") for p in files[:400]]


def compare_logits(program, model_dir):
    import numpy
    import torch
    import transformers
    from safetensors.numpy import load_file, save_file

    model = transformers.AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    config = model.config
    positions = min(getattr(config, "max_seq_len", None) or config.max_position_embeddings, 256)
    worst = 0.0
    generator = torch.Generator().manual_seed(5)
    with tempfile.TemporaryDirectory() as folder:
        for rows, length in [(1, 1), (1, positions), (3, positions // 2)]:
            ids = torch.randint(config.vocab_size, (rows, length), generator=generator)
            inputs, outputs = os.path.join(folder, "ids.safetensors"), os.path.join(folder, "logits.safetensors")
            save_file({"input_ids": ids.numpy().astype(numpy.int64)}, inputs)
            subprocess.run([program, "logits", str(model_dir), inputs, outputs], check=True)
            with torch.no_grad():
                expected = model(ids).logits.numpy()
            found = load_file(outputs)["logits"]
            difference = float(numpy.abs(found - expected).max())
            agree = float((found.argmax(-1) == expected.argmax(-1)).mean())
            print(f"logits of {rows} x {length} tokens: max abs difference {difference:.2e} "
                  f"(logits up to {numpy.abs(expected).max():.1f}), same choice {agree:.2%}")
            worst = max(worst, difference)
    print(f"{type(model).__name__}, transformers {transformers.__version__}, torch {torch.__version__}: "
          f"{worst:.2e}, may be {MOST:.0e}: {'ok' if worst <= MOST else 'TOO MUCH'}")
    return worst <= MOST


def compare_ids(program, model_dir, folder):
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(model_dir)
    texts = texts_of(folder)
    differ, tokens = 0, 0
    for text in texts:
        if "\0" in text:  # cannot be an argument of a program
            text = text.replace("\0", "")
        if len(text.encode()) > 100_000:
            text = text[:25_000]
        answer = subprocess.run([program, "tokenizer", "show", str(model_dir), "--json", "--", text],
                                check=True, capture_output=True)
        found = json.loads(answer.stdout)["ids"]
        expected = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        tokens += len(expected)
        if found != expected:
            differ += 1
            print(f"  ids differ for {text[:60]!r}")
    print(f"{type(tokenizer).__name__}: {len(texts)} texts, {tokens} tokens, {differ} texts differ")
    return differ == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path, help="a model directory, such as runs/quickstart/model")
    parser.add_argument("--program", default=str(ROOT / "target" / "release" / "moeworks"))
    parser.add_argument("--texts", type=pathlib.Path, default=ROOT, help="folder of texts to tokenise")
    flags = parser.parse_args()
    environment.enter("transformers-parity", *NEEDS)
    good = [compare_logits(flags.program, flags.model), compare_ids(flags.program, flags.model, flags.texts)]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
