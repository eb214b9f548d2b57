"""Holds `moeworks logits` and `moeworks gradients` to stored values of transformers, on every kernel path of this machine.

    python3 bench/golden.py FOLDER [--program target/release/moeworks]

FOLDER has a subfolder for each model: the model directory, ids.safetensors (input_ids) and golden.safetensors (logits, loss, a gradient
for every parameter). Needs numpy and safetensors. The exit code is 1 if anything differs by more than it may:
logits 2e-4 (max abs), gradients 1e-3 (norm of the difference over norm, each parameter), loss 1e-5 (relative).
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy
from safetensors.numpy import load_file

PATHS = ["portable", "avx2", "avx512", "avx512-bf16", "avx512-dots", "amx", "amx-emulated"]


def run(program, command, model, ids, out, path):
    environment = {**os.environ, "MOEWORKS_ISA": path}
    return subprocess.run([program, command, str(model), str(ids), str(out)], env=environment, capture_output=True, text=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    root = pathlib.Path(__file__).resolve().parent.parent
    parser.add_argument("--program", default=str(root / "target" / "release" / "moeworks"))
    flags = parser.parse_args()
    good = True
    models = sorted(p.parent for p in flags.folder.rglob("golden.safetensors"))
    if not models:
        sys.exit(f"{flags.folder} has no golden.safetensors in it")
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out.safetensors"
        for model in models:
            golden = load_file(model / "golden.safetensors")
            for path in PATHS:
                answer = run(flags.program, "logits", model, model / "ids.safetensors", out, path)
                if answer.returncode == 78:  # this machine does not have it
                    print(f"{model.name:14} {path:13} {answer.stderr.strip()[:90]}")
                    continue
                if answer.returncode != 0:
                    sys.exit(answer.stderr)
                logits = float(numpy.abs(load_file(out)["logits"] - golden["logits"]).max())
                answer = run(flags.program, "gradients", model, model / "ids.safetensors", out, path)
                if answer.returncode != 0:
                    sys.exit(answer.stderr)
                found = load_file(out)
                loss = abs(found["loss"].item() / golden["loss"].item() - 1)
                prefix = "grad." if any(name.startswith("grad.") for name in golden) else ""
                names = [n for n in found if n != "loss"]
                errors = {n: float(numpy.linalg.norm(found[n] - golden[prefix + n]) / max(numpy.linalg.norm(golden[prefix + n]), 1e-12)) for n in names}
                worst = max(errors, key=errors.get)
                ok = logits <= 2e-4 and errors[worst] <= 1e-3 and loss <= 1e-5
                good &= ok
                print(f"{model.name:14} {path:13} logits {logits:.1e}  loss {loss:.1e}  gradients {errors[worst]:.1e} ({worst}, "
                      f"{len(errors)} parameters)  {'ok' if ok else 'TOO MUCH'}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
