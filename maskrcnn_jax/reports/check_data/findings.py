"""What a check of the data finds, and the sorts of findings with what each means for training."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from maskrcnn_jax.data import Fault

Severity = Literal["error", "warning"]


class Kind(NamedTuple):
    """A sort of finding. error: training would stop, or learn what is wrong. warning: it works as `meaning` says."""

    severity: Severity
    title: str
    meaning: str


KINDS: Mapping[str, Kind] = {
    "dataset": Kind("error", "dataset that cannot be opened", "Nothing else can be said about it until it opens."),
    "no-rows": Kind("error", "no images or no categories", "There is nothing to learn."),
    "row-without-id": Kind("error", "row without an id", "Training stops at once."),
    "duplicate-id": Kind("error", "id that occurs twice", "Training stops at once. Only the first row of an id is checked here."),
    "category-row": Kind("error", "category without a name", "Training stops at once."),
    "frequency": Kind("error", "category without LVIS's frequency", "Training stops at once."),
    "class-lists": Kind("error", "lists of classes that LVIS's evaluation cannot go by", "Training stops at once."),
    "image-row": Kind("error", "image without a usable name or size", "Training stops at once. Its annotations are not checked here."),
    "unknown-image": Kind("error", "annotation of an unknown image", "Training stops at once."),
    "unknown-category": Kind("error", "annotation of an unknown category", "Training stops at once."),
    "iscrowd": Kind("error", "iscrowd that is neither 0 nor 1", "Training stops at once."),
    "bbox": Kind("error", "unusable bbox", "Training stops at once."),
    "area": Kind("error", "unusable area", "Training stops at once."),
    "segmentation": Kind("error", "unusable segmentation", "Training stops at once."),
    "missing-file": Kind("error", "missing image file", "Training stops at once."),
    "unreadable-image": Kind("error", "unreadable image", "Training stops when it reads it (`data.max_unreadable` lets others stand in)."),
    "image-size": Kind("error", "image of another size than its annotations say", "Training stops when it reads it."),
    "example": Kind("error", "example that is not as `Example` says", "Training stops when it reads it."),
    "no-canvas": Kind("error", "image that fits no canvas", "Training stops before its first step."),
    "classes": Kind("error", "categories that are not the model's", "Training stops before its first step."),
    "plan": Kind("error", "data that no batches can be made of", "Training stops before its first step."),
    "same-id": Kind("error", "validation images with one id", "Evaluation stops: it tells images by their ids."),
    "no-objects": Kind("error", "training data without an object", "There is nothing to learn."),
    "no-area": Kind("warning", "segmentation without area", "The object is left out."),
    "no-pixel": Kind("warning", "object that covers no pixel", "The object is left out: it lies between the centres of the pixels."),
    "degenerate-polygon": Kind("warning", "polygon without area in an object", "The polygon adds a line or nothing to the object's mask."),
    "self-intersection": Kind("warning", "polygon that crosses itself", "It is drawn; parts that it goes round twice may become holes."),
    "box-mask": Kind(
        "warning", "box that disagrees with its mask", "Both are trained on: the box head learns the box, the mask head the mask."
    ),
    "duplicate-annotation": Kind("warning", "object annotated twice", "It counts twice, and of two detections of it one will be right."),
    "duplicate-image": Kind("warning", "image that occurs twice in a split", "It is seen, or measured on, twice as often as others."),
    "across-splits": Kind("warning", "image in both splits", "What is measured on it is not what the model does on unseen images."),
    "exif": Kind("warning", "image with EXIF orientation", "It is turned where the turned image has the size of its annotations."),
    "grey": Kind("warning", "grey image", "The value is repeated in all three channels."),
    "palette": Kind("warning", "image with a palette", "Colours are looked up."),
    "alpha": Kind("warning", "image with an alpha channel", "Alpha is dropped, not blended: colours under transparent pixels show."),
    "cmyk": Kind("warning", "CMYK image", "It is converted to RGB without a colour profile."),
    "16-bit": Kind(
        "warning", "16-bit image", "The high byte is kept (of 32-bit values below 256 the low one): dark images may become black."
    ),
    "other-mode": Kind("warning", "image that is not RGB", "It is converted to RGB."),
    "pages": Kind("warning", "image file of several pages", "The first is read, the others never are."),
    "extra-file": Kind("warning", "image file that no annotation file names", "It is never read."),
    "unused-category": Kind(
        "warning", "category without objects", "The model has an output for it that is never trained, or is not measured."
    ),
    "max-objects": Kind("warning", "image with more objects than training takes", "Crowds, then the last objects, are cut."),
    "max-detections": Kind(
        "warning", "image with more objects than can be found", "Some of its objects count as missed, however good the model."
    ),
    "anchor-iou": Kind(
        "warning", "object whose best anchor has an IoU under 0.5", "Its proposals start far from it; small ones are often missed."
    ),
    "memory": Kind("warning", "step that does not fit in memory", "Training would stop at its first step on this machine."),
}
"""Every sort of finding by its name, in the order of the report: errors first."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a finding is: whatever of these there is.

    dataset: the annotation file, where the split is mixed of several. file: the image file, relative to its folder where it is in it.
    """

    split: str
    dataset: str = ""
    file: str = ""
    image_id: int | None = None
    annotation_id: int | None = None
    category_id: int | None = None

    def __str__(self) -> str:
        numbered = (("image", self.image_id), ("annotation", self.annotation_id), ("category", self.category_id))
        named = [f"{word} {number}" for word, number in numbered if number is not None]
        return " ".join([self.split, *([self.dataset] if self.dataset else []), *(named or ([self.file] if self.file else []))])


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was found: its kind, one of `KINDS`, what it is, and where; two places where it is a pair."""

    kind: str
    message: str
    places: tuple[Place, ...]

    @property
    def severity(self) -> Severity:
        """Of its kind."""
        return KINDS[self.kind].severity


def from_fault(fault: Fault, place: Place) -> Finding:
    """A fault that a reader told of; `place` is its dataset and file, to which the ids are added."""
    where = replace(place, image_id=fault.image_id, annotation_id=fault.annotation_id, category_id=fault.category_id)
    return Finding(kind=fault.kind, message=fault.message, places=(where,))


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings kind by kind as in `KINDS`; those of a kind as they came."""
    rank = {kind: i for i, kind in enumerate(KINDS)}
    return tuple(sorted(findings, key=lambda finding: rank[finding.kind]))
