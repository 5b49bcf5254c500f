"""The smallest things that still have every part: an experiment, a dataset in memory, and a stand-in for the model."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from maskrcnn_jax.config import (
    AnchorConfig,
    AssignConfig,
    BackboneConfig,
    BoxHeadConfig,
    DataConfig,
    DetectConfig,
    EvalConfig,
    ExperimentConfig,
    FpnConfig,
    InputConfig,
    MaskHeadConfig,
    ModelConfig,
    OptimizerConfig,
    PoolConfig,
    ProposeConfig,
    TrainConfig,
)
from maskrcnn_jax.models import Model, one_device_mesh
from maskrcnn_jax.structs import Category, Detections, Example, Ratio

MODEL = ModelConfig(
    num_classes=4,
    input=InputConfig(min_side=64, max_side=64, canvases=((64, 64),)),
    backbone=BackboneConfig(depth=18, width=32, norm="group_norm", frozen_stages=1),
    fpn=FpnConfig(channels=32),
    anchors=AnchorConfig(sizes=(8.0, 16.0, 24.0, 32.0, 48.0)),
    propose=ProposeConfig(pre_nms_top_k_train=32, pre_nms_top_k_test=32, post_nms_top_k_train=16, post_nms_top_k_test=8),
    assign=AssignConfig(rpn_samples=16, roi_samples=8),
    pool=PoolConfig(box_size=3, mask_size=4, samples=1),
    box_head=BoxHeadConfig(fcs=1, fc_width=32),
    mask_head=MaskHeadConfig(convs=1, channels=32),
    detect=DetectConfig(score_threshold=0.0, max_candidates=32, max_detections=4),
)


def experiment(*, model: ModelConfig = MODEL, optimizer: OptimizerConfig | None = None, **train: Any) -> ExperimentConfig:
    """Six steps of two procedural pictures each; `train` are fields of TrainConfig."""
    return ExperimentConfig(
        model=model,
        data=DataConfig(kind="shapes", train_size=8, val_size=3, max_objects=8, mask_crop=16),
        optimizer=optimizer or OptimizerConfig(learning_rate=0.01, warmup_steps=2),
        train=TrainConfig(**{"steps": 6, "batch_size": 2, "log_every": 1, "checkpoint_every": 2} | train),
        eval=EvalConfig(batch_size=2, pictures=1),
    )


class Squares:
    """Dark pictures with one bright square each: red alone is category 30, red and green category 20. Image ids start at 100."""

    categories = (Category(30, "red"), Category(20, "yellow"))

    def __init__(self, count: int, size: tuple[int, int] = (64, 64)) -> None:
        self.sizes = np.tile(np.array(size), (count, 1))

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, i: int) -> Example:
        height, width = self.sizes[i]
        x, y, side, label = 8 + i % 8, 4 + i % 16, 16 + i % 4, 1 + i % 2
        mask = np.zeros((1, height, width), np.uint8)
        mask[0, y : y + side, x : x + side] = 1
        image = np.full((height, width, 3), 20 + i, np.uint8)
        image[mask[0] == 1] = (255, 255 * (label - 1), 0)
        return Example(
            image=image,
            image_id=100 + i,
            masks=mask,
            boxes=np.array([[x, y, x + side, y + side]], np.float32),
            labels=np.array([label], np.int32),
            crowd=np.array([False]),
        )


POISON = 255  # an image of nothing else makes the stand-in's losses NaN


def stand_in(config: ModelConfig, mesh: Mesh | None = None) -> Model:
    """A model of nine numbers with the functions of a real one, compiled in no time.

    Its losses pull a kernel towards the mean colour of the batch, shifted by the key. It detects the bright square of `Squares`
    at once, whatever its parameters, with a score that depends on them.
    """
    predict = partial(_predict, classes=config.num_classes)
    return Model(config, mesh or one_device_mesh(), _init, _none, _none, _losses, predict, lambda path: path[0] == "backbone")


def _init(key: jax.Array) -> dict[str, Any]:
    layer = {"kernel": jax.random.normal(key, (3,)), "bias": jnp.ones(3)}
    return {"params": {"backbone": {"stem": {"kernel": jnp.ones(3)}}, "head": {"layer": layer}}, "batch_stats": {}}


def _losses(variables: dict[str, Any], batch: Any, key: jax.Array) -> tuple[dict[str, Ratio], Any]:
    layer = variables["params"]["head"]["layer"]
    poisoned = jnp.any(jnp.all(batch.image == POISON, axis=(1, 2, 3)))
    target = jnp.where(poisoned, jnp.nan, jnp.mean(batch.image / 255, axis=(0, 1, 2))) + jax.random.uniform(key, (3,))
    error = variables["params"]["backbone"]["stem"]["kernel"] * layer["kernel"] + 0.5 * layer["bias"] - target
    loss = Ratio(jnp.sum(error**2), jnp.float32(2))
    return dict.fromkeys(("rpn_class", "rpn_box", "class", "box", "mask"), loss), variables["batch_stats"]


def per_image_losses(variables: dict[str, Any], batch: Any, key: jax.Array) -> tuple[dict[str, Ratio], Any]:
    """In place of the stand-in's: sums of ratios over images that are not void, each with a key and a denominator of its own."""
    layer = variables["params"]["head"]["layer"]
    colours = jnp.mean(batch.image / 255, axis=(1, 2))
    drawn = jax.vmap(lambda position: jax.random.uniform(jax.random.fold_in(key, position), (3,)))(batch.positions)
    errors = jnp.sum((layer["kernel"] + layer["bias"] * colours - drawn) ** 2, axis=1)
    counted = ~batch.void * (1 + batch.positions % 3)
    loss = Ratio(jnp.sum(errors * counted), jnp.sum(counted).astype(jnp.float32))
    return dict.fromkeys(("rpn_class", "rpn_box", "class", "box", "mask"), loss), variables["batch_stats"]


def _predict(variables: dict[str, Any], images: jax.Array, sizes: jax.Array, *, classes: int) -> Detections:
    def one(image: jax.Array) -> Detections:
        bright = image[..., 0] > 128
        rows, columns = jnp.any(bright, axis=1), jnp.any(bright, axis=0)
        first = [jnp.argmax(side) for side in (columns, rows)]
        last = [side.shape[0] - jnp.argmax(side[::-1]) for side in (columns, rows)]
        boxes = jnp.tile(jnp.stack(first + last).astype(jnp.float32), (2, 1))
        yellow = jnp.any(bright & (image[..., 1] > 128))
        score = jax.nn.sigmoid(variables["params"]["head"]["layer"]["kernel"][0])
        return Detections(
            boxes=boxes,
            scores=jnp.stack([score, score / 2]),
            labels=jnp.full(2, jnp.minimum(1 + yellow, classes), jnp.int32),
            valid=jnp.stack([jnp.any(bright), False]),
            masks=jnp.ones((2, 4, 4)),
            mask_frames=boxes,
            cut=jnp.int32(0),
        )

    return jax.vmap(one)(images)


def _none(*_: Any) -> Any:
    raise NotImplementedError
