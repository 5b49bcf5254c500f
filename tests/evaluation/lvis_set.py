"""A made LVIS dataset, and detections of it, with every case that its evaluation tells apart.

Thirty images and twelve classes. Everything is drawn by `random()`, the numbers of which Python keeps from version to version.
"""

import random
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

HEIGHT, WIDTH = 260, 300
IDS = (3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610)
FREQUENCIES = dict(zip(IDS, "rcfrcfrcfrcf", strict=True))
NOWHERE, NEVER_FOUND = 233, 55  # a rare class without an object, and one without a detection
CROWDED = 2  # the image with more detections than count
SIDES = ((4, 30), (33, 90), (100, 200))  # small, medium, large


class Drawn:
    """Numbers drawn one after the other."""

    def __init__(self, seed: int) -> None:
        self.share = random.Random(seed).random

    def whole(self, low: int, high: int) -> int:
        return low + int(self.share() * (high - low))

    def some(self, values: tuple[int, ...], chance: float) -> list[int]:
        return [value for value in values if self.share() < chance]


def made() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The dataset, and COCO results."""
    draw = Drawn(7)
    truth: dict[str, Any] = {"info": {}, "licenses": [], "images": [], "annotations": []}
    truth["categories"] = [{"id": id_, "name": f"class {id_}", "frequency": FREQUENCIES[id_]} for id_ in IDS]
    detections: list[dict[str, Any]] = []
    for i in range(30):
        image_id = 100 + 7 * (i + 1) % 31
        things = [] if i in (0, 1) else _things(draw, image_id, i)
        present = {thing["category_id"] for thing in things if thing["area"]}
        absent = tuple(id_ for id_ in IDS if id_ not in present)
        lists = {
            "neg_category_ids": [] if i == 0 else draw.some(absent, 0.35),
            "not_exhaustive_category_ids": [] if i == 0 else draw.some(tuple(sorted(present)), 0.3) + draw.some(absent, 0.05),
        }
        truth["images"].append({"id": image_id, "height": HEIGHT, "width": WIDTH, "file_name": f"{image_id}.png", **lists})
        truth["annotations"] += [{"id": len(truth["annotations"]) + k, **thing} for k, thing in enumerate(things, 1)]
        detections += _found(draw, image_id, things, others=400 if i == CROWDED else draw.whole(2, 14))
    return truth, sorted(detections, key=lambda _: draw.share())


def _things(draw: Drawn, image_id: int, i: int) -> list[dict[str, Any]]:
    things = []
    for category in draw.some(tuple(id_ for id_ in IDS if id_ != NOWHERE), 0.25):
        for _ in range(draw.whole(1, 4)):
            x, y, w, h = _rectangle(draw)
            if i % 3:
                polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
            else:
                polygon = [x, y, x + w, y, x + w / 2, y + h]
            things.append(_thing(image_id, category, [x, y, w, h], polygon))
    if i == 5:  # on the border of small and medium, which is both; and one without area, which does not exist
        things.append(_thing(image_id, IDS[0], [8, 8, 32, 32], [8, 8, 40, 8, 40, 40, 8, 40]))
        things.append(_thing(image_id, NOWHERE, [8, 8, 0, 9], [8, 8, 8, 8, 8, 17, 8, 17]))
    return things


def _thing(image_id: int, category: int, box: list[float], polygon: list[float]) -> dict[str, Any]:
    rle = mask_utils.merge(mask_utils.frPyObjects([polygon], HEIGHT, WIDTH))
    return {"image_id": image_id, "category_id": category, "bbox": box, "segmentation": [polygon], "area": float(mask_utils.area(rle))}


def _rectangle(draw: Drawn) -> tuple[int, int, int, int]:
    sides = SIDES[draw.whole(0, 3)]
    w, h = draw.whole(*sides), draw.whole(*sides)
    return draw.whole(0, WIDTH - w), draw.whole(0, HEIGHT - h), w, h


def _found(draw: Drawn, image_id: int, things: list[dict[str, Any]], *, others: int) -> list[dict[str, Any]]:
    """The objects, most of them once or twice and not quite, a few by the name of another class; and what is none."""
    found = []
    for thing in things:
        for _ in range(draw.whole(0, 3)):
            x, y, w, h = (int(side) for side in thing["bbox"])
            moved = [x + draw.whole(-w // 8, w // 8 + 2), y + draw.whole(-h // 8, h // 8 + 2), w, h]
            found.append((thing["category_id"] if draw.share() < 0.9 else IDS[draw.whole(0, len(IDS))], moved))
    found += [(IDS[draw.whole(0, len(IDS))], list(_rectangle(draw))) for _ in range(others)]
    found.append((IDS[1], [9, 9, 0, 7]))  # without area
    return [_detection(draw, image_id, category, box) for category, box in found if category != NEVER_FOUND]


def _detection(draw: Drawn, image_id: int, category: int, box: list[int]) -> dict[str, Any]:
    """Scores are twentieths, so that many are equal; three masks of ten are cut off where their box is not."""
    x, y, w, h = box
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    mask[max(y, 0) : y + h, max(x, 0) : x + (w if draw.share() < 0.7 else w - w // 4)] = 1
    rle = mask_utils.encode(mask)
    shape = {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode("ascii")}
    score = draw.whole(1, 20) / 20
    return {"image_id": image_id, "category_id": category, "bbox": [x + 0.25, y, w, h], "score": score, "segmentation": shape}
