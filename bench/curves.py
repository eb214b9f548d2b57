"""Loss curves of bf16 and f32 training from the same starts, beside the difference that another seed makes.

    python3 bench/curves.py FOLDER [curves.svg]

FOLDER holds runs named f32-SEED and bf16-SEED of `moeworks train`, which differ in `train.precision` alone. Prints, over windows of
50 steps, how far bf16 lies from f32 of the same seed and how far f32 runs of different seeds lie from one another; draws all of them.
"""

import json
import pathlib
import statistics
import sys

WINDOW = 50
COLOURS = {"f32": "#1f5fa8", "bf16": "#d1662a"}


def losses(run):
    records = (json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines())
    return [r["loss"] for r in records if r["kind"] == "step"]


def windows(values):
    return [statistics.fmean(values[i : i + WINDOW]) for i in range(0, len(values) - WINDOW + 1, WINDOW)]


def draw(runs, path):
    width, height, left, bottom = 820, 420, 50, 40
    steps = max(map(len, runs.values()))
    low, high = min(map(min, runs.values())), max(map(max, runs.values()))
    x = lambda step: left + (width - left - 30) * step / steps
    y = lambda loss: 10 + (height - bottom - 10) * (high - loss) / (high - low)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">']
    parts.append(f'<rect width="{width}" height="{height}" fill="white"/>')
    for loss in range(int(low) + 1, int(high) + 1):
        parts.append(f'<path d="M{left} {y(loss):.1f}H{width - 10}" stroke="#ddd"/><text x="{left - 20}" y="{y(loss) + 4:.1f}">{loss}</text>')
    for step in range(0, steps + 1, 100):
        parts.append(f'<text x="{x(step) - 8:.1f}" y="{height - bottom + 18}">{step}</text>')
    parts.append(f'<text x="{width / 2}" y="{height - 6}">step</text><text x="4" y="20">loss</text>')
    for (precision, _), values in sorted(runs.items(), reverse=True):
        smooth = [statistics.fmean(values[max(0, i - 4) : i + 5]) for i in range(len(values))]
        points = " ".join(f"{x(i):.1f},{y(v):.1f}" for i, v in enumerate(smooth))
        dash = ' stroke-dasharray="5 3"' if precision == "bf16" else ""
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[precision]}" stroke-width="1.2"{dash}/>')
    for i, (precision, colour) in enumerate(COLOURS.items()):
        parts.append(f'<text x="{width - 120}" y="{40 + 18 * i}" fill="{colour}">{precision}, every seed</text>')
    path.write_text("".join(parts) + "</svg>\n")


def main():
    folder = pathlib.Path(sys.argv[1])
    runs = {}
    for run in folder.iterdir():
        precision, _, seed = run.name.partition("-")
        if precision in COLOURS and (run / "metrics.jsonl").exists():
            runs[precision, seed] = losses(run)
    seeds = sorted({seed for precision, seed in runs if precision == "f32" and ("bf16", seed) in runs})
    if len(seeds) < 2:
        sys.exit(f"{folder} needs runs f32-SEED and bf16-SEED of at least two seeds; it has {sorted(runs)}")
    means = {key: windows(values) for key, values in runs.items()}
    apart = lambda a, b: [x - y for x, y in zip(means[a], means[b])]
    precision = [d for seed in seeds for d in apart(("bf16", seed), ("f32", seed))]
    seed = [d for i, a in enumerate(seeds) for b in seeds[i + 1 :] for d in apart(("f32", a), ("f32", b))]
    for name, values in [("bf16 - f32, same seed", precision), ("f32 - f32, other seed", seed)]:
        size = statistics.fmean(map(abs, values))
        print(f"{name}: mean {statistics.fmean(values):+.4f}, mean size {size:.4f}, largest {max(map(abs, values)):.4f}")
    for key in sorted(runs):
        print(f"{key[0]:5} seed {key[1]}: last {WINDOW} of {len(runs[key])} steps {means[key][-1]:.4f}")
    if len(sys.argv) > 2:
        draw(runs, pathlib.Path(sys.argv[2]))


if __name__ == "__main__":
    main()
