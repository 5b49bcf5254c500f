"""Large-scale jitter and copy-paste on the config `nuclei`, against none: `make bench-augment`.

Each seed is trained once without and once with them, for as many steps, from the same weights: the differences in AP are paired. The
interval is Student's, at 95 %, over the seeds.
"""

import math
import platform
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import tyro

from maskrcnn_jax import load_experiment, train
from maskrcnn_jax.cli.compilation_cache import use_compilation_cache
from maskrcnn_jax.config import ExperimentConfig

STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # two-sided 95 % quantiles of so many pairs
NAMES = ("box AP", "mask AP", "mask AP50")


@dataclass(frozen=True, kw_only=True)
class Command:
    """Fine-tune on nuclei twice a seed: without, and with large-scale jitter and copy-paste."""

    weights: str = "../shared/data/backbones/resnet18_ktb_small.npz"
    """ImageNet weights of a ResNet-18 under torchvision's names."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds, two runs each; two to five of them."""
    steps: int = 400
    """Steps of every run; the learning rate falls after three quarters of them."""
    scale: tuple[float, float] = (0.5, 2.0)
    """`data.augment.scale`: the paper's 0.1 leaves nothing of nuclei that are ten pixels wide."""
    copy_paste: float = 0.5
    """`data.augment.copy_paste`."""
    out: Path = Path("runs/bench_augment")
    """Folder of the run folders; must not hold earlier ones."""


def run(config: ExperimentConfig, folder: Path) -> list[float]:
    """The AP of one run, as `NAMES`."""
    start = time.perf_counter()
    found = train(config, folder).metrics
    print(f"{folder}: {(time.perf_counter() - start) / 60:.0f} min")
    return [found["bbox"].stats["AP"], found["segm"].stats["AP"], found["segm"].stats["AP50"]]


def main() -> None:
    """Train, then print the table."""
    use_compilation_cache()
    command = tyro.cli(Command)
    if len(command.seeds) not in STUDENT:
        raise SystemExit(f"{len(command.seeds)} seeds; give {min(STUDENT)} to {max(STUDENT)}")
    plain = load_experiment("nuclei")
    optimizer = replace(plain.optimizer, milestones=(command.steps * 3 // 4,), warmup_steps=command.steps // 4)
    plain = replace(plain, optimizer=optimizer, train=replace(plain.train, weights=command.weights, steps=command.steps))
    augment = replace(plain.data.augment, scale=command.scale, copy_paste=command.copy_paste)
    arms = {"none": plain, "jitter and copy-paste": replace(plain, data=replace(plain.data, augment=augment))}
    pairs = []
    print(f"{platform.processor() or platform.machine()}, {jax.devices()}, jax {jax.__version__}, {command.steps} steps")
    for seed in command.seeds:
        of_seed = (replace(config, train=replace(config.train, seed=seed)) for config in arms.values())
        pairs.append([run(config, command.out / f"seed{seed}_{i}") for i, config in enumerate(of_seed)])
    print("\n| seed | augmentation | " + " | ".join(NAMES) + " |\n| --- | --- |" + " ---: |" * len(NAMES))
    for seed, pair in zip(command.seeds, pairs, strict=True):
        for name, row in zip(arms, pair, strict=True):
            print(f"| {seed} | {name} | " + " | ".join(f"{value:.3f}" for value in row) + " |")
    print(
        "| all | difference | " + " | ".join(_interval([after[k] - before[k] for before, after in pairs]) for k in range(len(NAMES))) + " |"
    )


def _interval(differences: list[float]) -> str:
    half = STUDENT[len(differences)] * statistics.stdev(differences) / math.sqrt(len(differences))
    return f"{statistics.mean(differences):+.3f} ± {half:.3f}"


if __name__ == "__main__":
    main()
