"""The table of docs/numerics.md: the largest difference from the golden outputs at each stage, over all groups of each network."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from maskrcnn_jax.cli.compilation_cache import use_compilation_cache
from maskrcnn_jax.reports import Difference, compare_golden
from maskrcnn_jax.reports.golden import IMAGES
from tests.golden.reference import PRESETS, Reference


def main() -> None:
    """Print the table in Markdown, a column a network."""
    use_compilation_cache()
    columns = {name: _worst(name) for name in PRESETS}
    stages = list(dict.fromkeys(stage for column in columns.values() for stage in column))
    print(f"| stage | {' | '.join(columns)} |")
    print(f"| --- |{' ---: |' * len(columns)}")
    for stage in stages:
        cells = (_cell(column.get(stage)) for column in columns.values())
        print(f"| {stage} | {' | '.join(cells)} |")


def _worst(name: str) -> dict[str, Difference]:
    """Of each stage the row with the largest difference of its scale, levels and pictures together."""
    reference, worst = Reference(name), dict[str, Difference]()
    variables = reference.variables("")
    for group in IMAGES:
        if reference.has(group):
            for row in compare_golden(reference, group, variables):
                stage = re.sub(r" P\d$| \d(?=,|$)", "", row.stage)
                whole = row.largest is not None and not row.note.startswith("mean")  # not a mean over a map
                if whole and (stage not in worst or not _share(row) <= _share(worst[stage])):
                    worst[stage] = row
            print(f"{name} {group}", file=sys.stderr)
    return worst


def _share(row: Difference) -> float:
    """The difference as a share of the largest value."""
    return (row.largest or 0) / (row.scale or 1)


def _cell(row: Difference | None) -> str:
    return "" if row is None else f"{row.largest:.0e} of {row.scale:.3g}"


if __name__ == "__main__":
    main()
