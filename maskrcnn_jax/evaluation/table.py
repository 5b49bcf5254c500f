"""Metrics -> a table of classes and lines of totals, for people."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from maskrcnn_jax.evaluation.matching import Metrics

_NAMES = {"bbox": "box", "segm": "mask"}


def class_rows(ground_truth: dict[str, Any], metrics: Mapping[str, Metrics]) -> list[tuple[str, ...]]:
    """The heading, then one row a class: name, number of objects, AP of each kind; the last row is the mean over classes with objects.

    Args:
      ground_truth: the dataset `metrics` were measured on; rows are in the order of its categories. Crowds are not counted as objects.
      metrics: as `evaluate` or `evaluate_lvis` returns them; AP is "-" for classes without objects.
    """
    objects = Counter(annotation["category_id"] for annotation in ground_truth["annotations"] if not annotation["iscrowd"])
    rows = [("class", "objects", *(f"{_NAMES[kind]} AP" for kind in metrics))]
    for category in ground_truth["categories"]:
        numbers = [_number(found.per_class[category["id"]]) for found in metrics.values()]
        rows.append((category["name"], str(objects[category["id"]]), *numbers))
    return [*rows, ("all", str(objects.total()), *(_number(found.stats["AP"]) for found in metrics.values()))]


def class_table(ground_truth: dict[str, Any], metrics: Mapping[str, Metrics]) -> Table:
    """`class_rows` as a table for `rich.print`."""
    (first, *others), *classes, total = class_rows(ground_truth, metrics)
    table = Table(first)
    for title in others:
        table.add_column(title, justify="right")
    for row in classes:
        table.add_row(*map(Text, row))  # names with brackets are no markup
    table.add_section()
    table.add_row(*total, style="bold")
    return table


def summary_lines(metrics: Mapping[str, Metrics]) -> list[str]:
    """One line a kind with all its numbers, such as `mask  AP 0.320  AP50 0.562 ...`, and one that explains "-" if there is any."""
    lines = [
        f"{_NAMES[kind]:<4}  " + "  ".join(f"{name} {_number(value)}" for name, value in found.stats.items())
        for kind, found in metrics.items()
    ]
    numbers = [value for found in metrics.values() for value in (*found.stats.values(), *found.per_class.values())]
    return lines + (["-     no object of that class or size to measure on"] if any(map(math.isnan, numbers)) else [])


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
