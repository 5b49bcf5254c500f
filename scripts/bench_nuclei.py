"""Train the config `nuclei` with several seeds and print AP, losses and time as a table: `make bench-nuclei`.

What torchvision reaches with the same recipe, to compare with, stands in docs/benchmarks.md.
"""

import json
import platform
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import tyro

from maskrcnn_jax import load_experiment, train
from maskrcnn_jax.cli.compilation_cache import use_compilation_cache

LAST = 20  # steps that the mean losses are over
TARGET = 0.446 - 0.02  # mask AP: torchvision's with the same recipe and one seed, and what ours may fall short of it
LOSSES = ("class", "box", "mask", "rpn_class", "rpn_box")


@dataclass(frozen=True, kw_only=True)
class Command:
    """Fine-tune on nuclei, once a seed."""

    weights: str = "../shared/data/backbones/resnet18_ktb_small.npz"
    """ImageNet weights of a ResNet-18 under torchvision's names."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds, one run each."""
    out: Path = Path("runs/bench_nuclei")
    """Folder of the run folders; must not hold earlier ones."""


def run(command: Command, seed: int) -> dict[str, float]:
    """One run: its AP, mean losses of the last lines, seconds a step (median), minutes in all."""
    config = load_experiment("nuclei")
    config = replace(config, train=replace(config.train, weights=command.weights, seed=seed, log_every=1))
    folder = command.out / f"seed{seed}"
    start = time.perf_counter()
    result = train(config, folder)
    minutes = (time.perf_counter() - start) / 60
    lines = [line["train"] for line in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()) if "train" in line]
    seconds = statistics.median(config.train.batch_size / line["images_per_second"] for line in lines)
    means = {f"loss {name}": statistics.mean(line[name] for line in lines[-LAST:]) for name in LOSSES}
    box, mask = result.metrics["bbox"].stats, result.metrics["segm"].stats
    ap = {"box AP": box["AP"], "box AP50": box["AP50"], "mask AP": mask["AP"], "mask AP50": mask["AP50"], "mask AP75": mask["AP75"]}
    return {**ap, **means, "s a step": seconds, "minutes": minutes}


def main() -> None:
    """Run every seed, then print the table."""
    use_compilation_cache()
    command = tyro.cli(Command)
    rows = {seed: run(command, seed) for seed in command.seeds}
    print(f"\n{platform.processor() or platform.machine()}, {jax.devices()}, jax {jax.__version__}\n")
    names = list(next(iter(rows.values())))
    print("| seed | " + " | ".join(names) + " |")
    print("| --- |" + " ---: |" * len(names))
    for seed, row in rows.items():
        print(f"| {seed} | " + " | ".join(f"{row[name]:.3f}" for name in names) + " |")
    if len(rows) > 1:
        for title, spread in (("mean", statistics.mean), ("stdev", statistics.stdev)):
            print(f"| {title} | " + " | ".join(f"{spread([row[name] for row in rows.values()]):.3f}" for name in names) + " |")
    if min(row["mask AP"] for row in rows.values()) < TARGET:
        raise SystemExit(f"a mask AP lies under {TARGET:.3f}")


if __name__ == "__main__":
    main()
