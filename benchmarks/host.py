"""What runs on the host: the input pipeline and evaluation."""

import contextlib
import io
import json
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from benchmarks.reference import Reference
from benchmarks.rows import Row, cores, in_turn
from maskrcnn_jax import evaluation
from maskrcnn_jax.config import AugmentConfig, DataConfig, ModelConfig
from maskrcnn_jax.data import CocoSource, Plan, nonempty_indices
from maskrcnn_jax.data.loader import BatchOfStep

SAME_PX = 1.0  # resized sides are rounded by different rules
SAME_AP = 1e-12  # the same matches, summed in another order


def input_pipeline(reference: Reference, repeats: int, data: Path) -> Iterator[Row]:
    """An image read, resized to 800 with its masks, flipped, and made a batch; on one thread."""
    annotations, images = data / "coco_free" / "instances_train.json", data / "coco_free" / "images"
    source, config = CocoSource(annotations, images), ModelConfig().input
    indices = nonempty_indices(source)
    plan = Plan(source.sizes, config, DataConfig(), batch_size=1, seed=0, indices=indices)
    make = BatchOfStep(source, plan, config, DataConfig(), seed=0)
    loader = _loader(reference, annotations, images, indices.tolist(), config.min_side, config.max_side, flip=0.5)
    _check_boxes(reference, source, annotations, images, indices.tolist())
    cv2.setNumThreads(1)
    reference.torch.set_num_threads(1)
    count = len(indices)
    # Nothing is kept: a pass of theirs would fill gigabytes.
    passes = in_turn(lambda: deque(map(make, range(count)), 0), lambda: deque(loader, 0), repeats=repeats)
    cv2.setNumThreads(cores())
    reference.torch.set_num_threads(cores())
    mine, theirs = ([seconds / count for seconds in samples] for samples in passes)
    note = f"{1 / np.median(mine):.1f} and {1 / np.median(theirs):.1f} images a second and core, {count} images of coco_free"
    yield Row("input pipeline, an image at 800 px with masks", mine, theirs, "live", note)


def _loader(reference: Reference, annotations: Path, images: Path, indices: list[int], min_side: int, max_side: int, *, flip: float) -> Any:
    """torchvision's: CocoDetection, transforms v2, DataLoader."""
    datasets = reference.torchvision.datasets
    from torchvision.transforms import v2  # after what it lacks has been put in its place

    steps = [
        v2.ToImage(),
        v2.RandomHorizontalFlip(flip),
        v2.Resize([min_side], max_size=max_side),
        v2.ToDtype(reference.torch.float32, scale=True),
        v2.SanitizeBoundingBoxes(),
        v2.ToPureTensor(),
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = datasets.CocoDetection(str(images), str(annotations), transforms=v2.Compose(steps))
    dataset = datasets.wrap_dataset_for_transforms_v2(dataset, target_keys=("image_id", "boxes", "labels", "masks"))
    places = {image_id: i for i, image_id in enumerate(dataset.ids)}
    ids = CocoSource(annotations, images).image_ids
    subset = reference.torch.utils.data.Subset(dataset, [places[int(ids[i])] for i in indices])
    return reference.torch.utils.data.DataLoader(subset, batch_size=1, collate_fn=lambda rows: tuple(zip(*rows, strict=True)))


def _check_boxes(reference: Reference, source: CocoSource, annotations: Path, images: Path, indices: list[int]) -> None:
    """Of the first images, without flips, every box of theirs is one of ours."""
    config, still = ModelConfig().input, DataConfig(augment=AugmentConfig(flip=0))
    indices = indices[:8]
    plan = Plan(source.sizes, config, still, batch_size=1, seed=0, indices=np.array(indices))
    made = (BatchOfStep(source, plan, config, still, seed=0)(step) for step in range(plan.steps_per_epoch))
    found = {int(batch.image_ids[0]): batch.instances.boxes[0][batch.instances.valid[0]] for batch in made}
    for _, (target,) in _loader(reference, annotations, images, indices, config.min_side, config.max_side, flip=0):
        expected, boxes = target["boxes"].numpy(), found[target["image_id"]]
        far = np.abs(expected[:, None] - boxes[None]).max(axis=2).min(axis=1).max()
        if len(boxes) != len(expected) or far > SAME_PX:
            raise SystemExit(f"image id {target['image_id']}: {len(boxes)} boxes and {len(expected)}, {far:.2f} px apart")


def evaluate(repeats: int, data: Path) -> Iterator[Row]:
    """Box and mask AP of the COCO API's own example, from its JSON files."""
    folder = data / "coco_eval"
    truth = folder / "instances_val2014_100.json"
    for kind, name in (("bbox", "box"), ("segm", "mask")):
        file = folder / f"instances_val2014_fake{kind}100_results.json"
        mine, theirs = _ours(truth, file, kind), _theirs(truth, file, kind)
        if abs(mine - theirs) > SAME_AP:
            raise SystemExit(f"{name} AP is {mine}, pycocotools says {theirs}")
        ours, reference = in_turn(partial(_ours, truth, file, kind), partial(_theirs, truth, file, kind), repeats=repeats)
        yield Row(f"evaluation, {name} AP of 100 images", ours, reference, "live", f"pycocotools; AP {mine:.4f} by both")


def _ours(truth: Path, detections: Path, kind: str) -> float:
    found = evaluation.evaluate(json.loads(truth.read_text()), json.loads(detections.read_text()), kinds=(kind,))
    return found[kind].stats["AP"]


def _theirs(truth: Path, detections: Path, kind: str) -> float:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(truth))
        run = COCOeval(coco, coco.loadRes(str(detections)), kind)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return float(run.stats[0])
