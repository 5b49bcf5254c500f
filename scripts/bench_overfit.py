"""Train a ResNet-50-FPN on two real images until it knows them by heart: `make bench-overfit`.

The images are the first two of `coco_free`'s validation set with at least four objects of two categories, one of them under
32 x 32 pixels; one of the two has a crowd. Learning them is a check of everything between a JSON file and an AP: it ends with
an error where mask AP on the same two images is under 0.9.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from maskrcnn_jax import train
from maskrcnn_jax.cli.compilation_cache import use_compilation_cache
from maskrcnn_jax.cli.show import show
from maskrcnn_jax.config import (
    AnchorConfig,
    AssignConfig,
    AugmentConfig,
    BackboneConfig,
    BoxHeadConfig,
    DataConfig,
    EvalConfig,
    ExperimentConfig,
    FpnConfig,
    InputConfig,
    MaskHeadConfig,
    ModelConfig,
    OptimizerConfig,
    ProposeConfig,
    TrainConfig,
)

TARGET = 0.9
SMALL = 32**2  # COCO's small objects, square pixels


@dataclass(frozen=True, kw_only=True)
class Command:
    """Overfit two images."""

    data: Path = Path("../shared/data/coco_free")
    """Folder with images/ and instances_val.json."""
    weights: str = "../shared/data/backbones/resnet50_ktb_large.npz"
    """ImageNet weights of a ResNet-50 under torchvision's names."""
    out: Path = Path("runs/bench_overfit")
    """Run folder; must not hold an earlier run."""


def two_images(dataset: dict[str, Any]) -> dict[str, Any]:
    """The dataset with the two images alone."""
    chosen = [image for image in sorted(dataset["images"], key=lambda image: image["id"]) if suits(of_image(dataset, image["id"]))][:2]
    ids = {image["id"] for image in chosen}
    annotations = [annotation for annotation in dataset["annotations"] if annotation["image_id"] in ids]
    assert any(annotation["iscrowd"] for annotation in annotations), "one of the images should have a crowd"
    return {**dataset, "images": chosen, "annotations": annotations}


def of_image(dataset: dict[str, Any], image_id: int) -> list[dict[str, Any]]:
    """Annotations of one image without crowds."""
    return [annotation for annotation in dataset["annotations"] if annotation["image_id"] == image_id and not annotation["iscrowd"]]


def suits(objects: list[dict[str, Any]]) -> bool:
    """At least four objects of two categories, one of them small."""
    categories = {annotation["category_id"] for annotation in objects}
    return len(objects) >= 4 and len(categories) >= 2 and any(annotation["area"] < SMALL for annotation in objects)


def experiment(annotations: Path, images: Path, weights: str) -> ExperimentConfig:
    """A small canvas, normalised heads that learn fast, both images in every step."""
    file, folder = str(annotations), str(images)
    return ExperimentConfig(
        model=ModelConfig(
            num_classes=80,
            input=InputConfig(min_side=320, max_side=416, canvases=((320, 416),)),
            backbone=BackboneConfig(depth=50, norm_epsilon=0.0, frozen_stages=3),
            fpn=FpnConfig(channels=128, norm="group_norm"),
            anchors=AnchorConfig(sizes=(6.0, 16.0, 32.0, 64.0, 160.0)),
            propose=ProposeConfig(pre_nms_top_k_train=500, pre_nms_top_k_test=500, post_nms_top_k_train=300, post_nms_top_k_test=300),
            assign=AssignConfig(roi_samples=64, roi_positive_fraction=0.5),
            box_head=BoxHeadConfig(convs=1, conv_channels=128, norm="group_norm", fcs=1, fc_width=512),
            mask_head=MaskHeadConfig(convs=3, channels=128, norm="group_norm"),
        ),
        data=DataConfig(
            train_annotations=file, train_images=folder, val_annotations=file, val_images=folder, augment=AugmentConfig(flip=0.0)
        ),
        optimizer=OptimizerConfig(kind="adamw", learning_rate=1e-3, schedule="cosine", warmup_steps=50, clip_norm=5.0),
        train=TrainConfig(steps=500, batch_size=2, log_every=10, checkpoint_every=500, weights=weights),
        eval=EvalConfig(batch_size=2, pictures=2),
    )


def main() -> None:
    """Choose the images, train, and hold the result against the target."""
    use_compilation_cache()
    command = tyro.cli(Command)
    start = time.perf_counter()
    dataset = two_images(json.loads((command.data / "instances_val.json").read_text()))
    command.out.mkdir(parents=True, exist_ok=True)
    annotations = command.out / "two_images.json"
    annotations.write_text(json.dumps(dataset))
    result = train(experiment(annotations, command.data / "images", command.weights), command.out)
    show(result)
    print(f"images {[image['id'] for image in dataset['images']]}, {(time.perf_counter() - start) / 60:.1f} minutes")
    if result.metrics["segm"].stats["AP"] < TARGET:
        raise SystemExit(f"mask AP lies under {TARGET}")


if __name__ == "__main__":
    main()
