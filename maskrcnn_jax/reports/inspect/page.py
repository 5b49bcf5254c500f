"""The page of one image: every stage in words and pictures, and sliders over class NMS; one file that needs nothing else."""

from typing import Any

from maskrcnn_jax.reports import html
from maskrcnn_jax.reports.inspect.maps import map_sections
from maskrcnn_jax.reports.inspect.record import css, record_of
from maskrcnn_jax.reports.inspect.regions import mask_section, proposal_sections
from maskrcnn_jax.reports.inspect.section import Section, photo_of, scene_of
from maskrcnn_jax.reports.inspect.supervised import comparison_section, training_sections
from maskrcnn_jax.reports.inspect.walking import Walk

LARGEST = 12 * 2**20
"""Bytes that a page stays below, whatever the image, for a model of up to 2,000 candidates and 100 detections; two or three million are
usual."""


def page_of(walk: Walk, *, score_threshold: float = 0.5, iou: float = 0.5) -> str:
    """The page.

    Args:
      walk: of the image.
      score_threshold: above which detections are drawn; where the slider begins, which goes down to 0.
      iou: of boxes, from which a detection and an object of ground truth are matched.
    """
    scene, record = scene_of(walk), record_of(walk, score_threshold=score_threshold, iou=iou)
    before = [*map_sections(walk, scene), *proposal_sections(walk, scene)]
    after = [mask_section(walk, score_threshold=score_threshold)]
    if walk.training is not None:
        after += [comparison_section(walk, score_threshold=score_threshold, iou=iou), *training_sections(walk, walk.training, scene)]
    return html.render(
        "inspect.html",
        name=walk.name,
        record=record,
        embedded=html.embedded(record),
        photo=photo_of(walk),
        before=before,
        after=after,
        cards=_cards(walk),
        css=css,
        contents=_contents(before, after),
    )


def _cards(walk: Walk) -> list[tuple[str, str]]:
    """Numbers at the top of the page, and what they are."""
    height, width = walk.example.image.shape[:2]
    cards = [
        (f"{height} x {width}", "pixels of the image, height x width"),
        (f"{len(walk.categories):,}", "classes of the model"),
        (f"{sum(len(level) for level in walk.trace.features.anchors):,}", "anchors"),
        (f"{int(walk.trace.proposals.valid.sum()):,}", "proposals"),
    ]
    return [*cards, (f"{int((~walk.example.crowd).sum()):,}", "objects in the ground truth")] if walk.training is not None else cards


def _contents(before: list[Section], after: list[Section]) -> list[dict[str, Any]]:
    rows = [(section.name, section.title) for section in before]
    rows += [("detections", "Classification and NMS"), *((section.name, section.title) for section in after)]
    return [{"name": name, "title": title} for name, title in rows]
