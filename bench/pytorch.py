"""Trains a peer of `bench/against.py` in PyTorch, of a shape that the peer's scripts do not name.

    python3 bench/pytorch.py SCRIPT NAME=d_model,n_layers,n_heads,kv_n_heads,ffn,vocab [arguments of SCRIPT]

SCRIPT lies beside a module `common` whose SHAPES are extended, and takes `--model NAME`.
"""

import pathlib
import runpy
import sys

KEYS = ("d_model", "n_layers", "n_heads", "kv_n_heads", "ffn", "vocab")


def main():
    script, (name, _, sizes) = pathlib.Path(sys.argv[1]), sys.argv[2].partition("=")
    sys.path.insert(0, str(script.parent))
    import common

    common.SHAPES[name] = dict(zip(KEYS, map(int, sizes.split(",")), strict=True))
    sys.argv = [str(script), "--model", name, *sys.argv[3:]]
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
