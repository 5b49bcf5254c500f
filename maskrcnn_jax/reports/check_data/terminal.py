"""The report as one page in the terminal."""

from collections.abc import Iterator

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from maskrcnn_jax.reports.check_data.findings import KINDS
from maskrcnn_jax.reports.check_data.lines import advice_lines, verdict
from maskrcnn_jax.reports.check_data.report import Report

STYLES = {"error": "bold red", "warning": "yellow"}


def summary(report: Report) -> Group:
    """Splits, kinds of findings with the first of each, advice and the verdict, for rich to print."""
    return Group(*_parts(report))


def _parts(report: Report) -> Iterator[Table | Text]:
    if report.splits:
        yield _splits(report)
    if report.findings:
        yield _findings(report)
    advice = Table(show_header=False, box=None, pad_edge=False)
    for about, sentence in advice_lines(report):
        advice.add_row(Text(about, "bold"), escape(sentence))
    yield advice
    yield Text(verdict(report), "bold green" if report.sound else "bold red")


def _splits(report: Report) -> Table:
    table = Table("", title="data", title_justify="left")
    columns = []
    for split in report.splits:
        table.add_column(split.name, justify="right")
        numbers = (split.images, split.empty_images, split.objects, split.crowds, split.most_objects)
        sides = (f"{low} to {high}" if low < high else f"{low}" for low, high in (split.heights, split.widths))
        columns.append([*(f"{number:,}" for number in numbers), *sides, str(len(split.categories))])
    titles = ("images", "without objects", "objects", "crowds", "most objects an image", "height", "width", "categories")
    for row in zip(titles, *columns, strict=True):
        table.add_row(*row)
    return table


def _findings(report: Report) -> Table:
    table = Table("", "what", title="findings", title_justify="left")
    table.add_column("number", justify="right")
    table.add_column("the first", overflow="fold")  # a long path whole
    for name, count in report.counts().items():
        first = next(finding for finding in report.findings if finding.kind == name)
        where = ", ".join(str(place) for place in first.places)
        severity = KINDS[name].severity
        table.add_row(Text(severity, STYLES[severity]), KINDS[name].title, f"{count:,}", Text(f"{where}: {first.message}"))
    return table
