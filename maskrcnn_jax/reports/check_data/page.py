"""The report as files: JSON, and one HTML page that needs nothing else."""

import json
from dataclasses import dataclass
from pathlib import Path

from maskrcnn_jax.reports import html
from maskrcnn_jax.reports.check_data.charts import charts_of
from maskrcnn_jax.reports.check_data.findings import KINDS, Finding, Kind
from maskrcnn_jax.reports.check_data.lines import advice_lines, verdict
from maskrcnn_jax.reports.check_data.pictures import Picture, Pictures
from maskrcnn_jax.reports.check_data.report import Report

PICTURES, ROWS = 12, 500
"""Of a kind of findings, so many have a picture, and so many a row; report.json has all."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """Findings of one kind: all that there are in number, the first with pictures (None where there is nothing to show) and as rows."""

    name: str
    kind: Kind
    count: int
    pictures: tuple[tuple[Finding, str | None], ...]
    rows: tuple[Finding, ...]


def write_report(folder: Path, report: Report, pictures: Pictures) -> None:
    """Write report.json and report.html to `folder`, which is made if missing; what earlier reports left there is written over."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report.as_json(), indent=1), encoding="utf-8")
    html.write(folder / "report.html", page_of(report, pictures))


def page_of(report: Report, pictures: Pictures) -> str:
    """The page, with its pictures in it."""
    return html.render(
        "check_data.html",
        report=report,
        sections=_sections(report, pictures),
        verdict=verdict(report),
        advice=advice_lines(report),
        charts=charts_of(report),
    )


def _sections(report: Report, pictures: Pictures) -> list[Section]:
    sections = []
    for name in report.counts():
        findings = [finding for finding in report.findings if finding.kind == name]
        drawn = tuple((finding, _uri(pictures.of(finding))) for finding in findings[:PICTURES])
        sections.append(
            Section(
                name=name,
                kind=KINDS[name],
                count=len(findings),
                pictures=drawn if any(uri for _, uri in drawn) else (),
                rows=tuple(findings[:ROWS]),
            )
        )
    return sections


def _uri(picture: Picture | None) -> str | None:
    return None if picture is None else html.picture_uri(picture)
