"""What is wrong with a dataset, one thing at a time: training raises the first fault, a check of the data lists them all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn_jax.data.source import DataError


class Fault(NamedTuple):
    """One thing that is wrong with a COCO dataset.

    kind: a short name of the sort of fault, such as "missing-file".
    annotation_file: the COCO JSON.
    message: names file and ids, and says what to do: the text of training's DataError.
    left_out: whether training leaves the object out with a warning; otherwise it stops.
    row: the annotation, as the file has it; None where it is no annotation's fault.
    """

    kind: str
    annotation_file: Path
    message: str
    image_id: int | None = None
    annotation_id: int | None = None
    category_id: int | None = None
    left_out: bool = False
    row: dict[str, Any] | None = None


Tell = Callable[[Fault], None]
"""Hears of each fault; raising in it stops the reading."""


def refusing(left_out: list[Fault]) -> Tell:
    """Training's listener: raises a fault as DataError, but for objects that are left out, which are added to `left_out`."""

    def tell(fault: Fault) -> None:
        if not fault.left_out:
            raise DataError(fault.message)
        left_out.append(fault)

    return tell
