"""Measures `moeworks bench` against another program on the same machine, alternating.

    python3 bench/against.py --rounds 5 "train --shape s --batch 8 --seq 512 --dtype f32" COMMAND...

COMMAND is the peer's; its last line of stdout that is a JSON object must hold tokens_s, and may hold peak_rss_mb. Prints each
round, then medians with spread and the ratio. Nothing else should run meanwhile.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys


def last_object(text):
    try:
        return json.loads(text)
    except ValueError:
        lines = [line for line in text.splitlines() if line.startswith("{")]
        return json.loads(lines[-1])


def measure(command):
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {answer.returncode}:\n{answer.stderr}")
    return last_object(answer.stdout)


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--program", default=str(root / "target" / "release" / "moeworks"))
    parser.add_argument("ours", help="arguments of `moeworks bench`")
    parser.add_argument("peer", nargs=argparse.REMAINDER, help="the peer's command")
    flags = parser.parse_args()
    sides = {"moeworks": [flags.program, "--quiet", "bench", *flags.ours.split(), "--json"], "peer": flags.peer}
    rates, memory = {side: [] for side in sides}, {side: 0.0 for side in sides}
    for number in range(flags.rounds):
        for side, command in sides.items():
            found = measure(command)
            rates[side].append(found["tokens_s"])
            memory[side] = max(memory[side], found.get("peak_rss_mb", 0.0))
            print(f"round {number + 1}  {side:9} {found['tokens_s']:10.1f} tokens/s", flush=True)
    for side, values in rates.items():
        print(f"{side:9} {statistics.median(values):10.1f} tokens/s ({min(values):.1f} to {max(values):.1f}), {memory[side]:.0f} MB at most")
    ratios = [a / b for a, b in zip(rates["moeworks"], rates["peer"])]
    print(f"ratio     {statistics.median(ratios):10.2f} ({min(ratios):.2f} to {max(ratios):.2f}), {flags.rounds} rounds")


if __name__ == "__main__":
    main()
