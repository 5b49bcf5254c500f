"""Whole networks: backbone and pyramid, inference, training steps."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from pycocotools import mask as mask_utils

from benchmarks.reference import (
    CLASSES,
    INFERENCE,
    NUCLEI_STEP,
    SIZE,
    TRAINING_STEP,
    Reference,
    against,
    config_of,
    detector,
    example,
    targets,
    variables_of,
)
from benchmarks.rows import Row, in_turn, on_one_core
from maskrcnn_jax import load_experiment, models
from maskrcnn_jax.config import ExperimentConfig, OptimizerConfig, TrainConfig
from maskrcnn_jax.data import make_batch
from maskrcnn_jax.inference import Predictor
from maskrcnn_jax.models import compile_ahead
from maskrcnn_jax.reports.compare import partners
from maskrcnn_jax.reports.golden import picture
from maskrcnn_jax.reports.operations import count_operations
from maskrcnn_jax.structs import Category, Example
from maskrcnn_jax.training.compiled import CompiledSteps
from maskrcnn_jax.training.placement import placed, to_devices
from maskrcnn_jax.training.step import TrainState, averaged_variables, init_state
from tests.golden.bounds import BOX_PX, FPN, SCORE

CATEGORIES = [Category(i, str(i)) for i in range(CLASSES)]
OBJECTS, NUCLEI_SIZE, NUCLEI = 2, (256, 320), 30
PRODUCT = 2048  # a side of matrices so large that only the processor limits their product
# Of the largest value of a level. float32: tests/golden/bounds.py. Elsewhere: 50 layers of 8 or 10 bits of mantissa.
SAME = FPN, 5e-2
NEAR_TIES = 2  # detections of 100
SAME_PIXELS = 1e-3  # of the pasted masks: boxes are cut to integers, and probabilities lie near one half


def backbone_fpn(reference: Reference, repeats: int) -> Iterator[Row]:
    """The forward pass up to P6, of the same image."""
    model = models.build(config_of(reference.dtype))
    arguments = jax.device_put((reference.variables, picture(*SIZE, 0)[None], np.array([SIZE], np.int32)))
    compiled = compile_ahead(jax.jit(lambda *arguments: model.trace(*arguments).features.pyramid), *arguments)
    for found, tensor in zip(compiled(*arguments), reference.backbone_fpn().values(), strict=True):
        expected = tensor.float().cpu().numpy().transpose(0, 2, 3, 1)
        worst = np.abs(np.asarray(found, np.float32) - expected).max() / np.abs(expected).max()
        if worst > SAME[not _exact(reference)]:
            raise SystemExit(f"the pyramid differs from torchvision's by {worst:.1e} of its largest value")
    mine, theirs = in_turn(lambda: jax.block_until_ready(compiled(*arguments)), reference.backbone_fpn, repeats=repeats)
    yield Row("backbone+FPN, R50, 800x1088", mine, theirs, "live")


def inference(reference: Reference, repeats: int) -> Iterator[Row]:
    """An image in, 100 detections with masks in its pixels out."""
    predictor = Predictor(models.build(config_of(reference.dtype)), reference.variables, CATEGORIES)
    image = picture(*SIZE, 0)
    tensor = reference.image(image)

    def theirs() -> Any:
        with reference.torch.inference_mode():
            return reference.model([tensor])[0]

    result = predictor([image])[0]
    if _exact(reference):
        _check_result(result, {name: values.numpy() for name, values in theirs().items()})
    note = f"{len(result.scores)} detections, pasted; ours are run lengths too"
    yield against(
        reference,
        "inference, R50-FPN, 800x1088",
        lambda: predictor([image]),
        reference.waited(theirs),
        factor=INFERENCE,
        repeats=repeats,
        note=note,
    )


def training_step(reference: Reference, repeats: int) -> Iterator[Row]:
    """A step of R50-FPN with every layer trained, one of the recipe `nuclei` and, on a CPU, what that can be judged by."""
    examples, config = [example(SIZE, OBJECTS, CLASSES, 0)], experiment(reference.dtype)
    step = Step(config, init_state(reference.variables, models.build(config.model), config), examples)
    live = theirs_step(reference, copy.deepcopy(reference.model), examples)
    name = f"training step, R50-FPN, 800x1088, one image, {OBJECTS} objects"
    yield against(reference, name, step, live, factor=TRAINING_STEP, repeats=repeats, note="every layer trained")
    step.check()

    config = load_experiment("nuclei")
    examples = [example(NUCLEI_SIZE, NUCLEI, 1, seed) for seed in range(config.train.batch_size)]
    network = _nuclei(reference, config)
    model = models.build(config.model)
    state = init_state(variables_of(network, config.model), model, config)
    step = Step(config, state, examples)
    live = theirs_step(reference, network, examples)
    operations, _ = count_operations(model.losses, averaged_variables(state), step.batch, state.key)
    yield against(
        reference,
        "training step of nuclei, 4 images",
        step,
        live,
        factor=NUCLEI_STEP,
        repeats=repeats,
        one_core=True,
        note=f"{sum(operation.multiply_adds for operation in operations) / 1e9:.1f} x 10^9 multiply-adds forward, as convolutions",
    )
    step.check()
    if reference.device == "cpu":
        yield _product(reference, repeats)


def _product(reference: Reference, repeats: int) -> Row:
    """What one core can do: the product of two large matrices."""
    matrix = np.random.default_rng(0).standard_normal((PRODUCT, PRODUCT), np.float32)
    mine, theirs = jax.device_put(matrix), reference.tensor(matrix)
    product = compile_ahead(jax.jit(lambda x: x @ x), mine)
    calls = (lambda: jax.block_until_ready(product(mine)), reference.on_one_thread(lambda: reference.torch.mm(theirs, theirs)))
    ours, live = in_turn(*map(on_one_core, calls), repeats=repeats)
    note = f"{PRODUCT**3 / 1e9:.1f} x 10^9 multiply-adds"
    return Row(f"product of two matrices of {PRODUCT:,} x {PRODUCT:,}, float32, one core", ours, live, "live", note)


def experiment(dtype: Any, batch_size: int = 1) -> ExperimentConfig:
    """Torchvision's model with every layer trained, steps that move it little."""
    model = config_of(dtype)
    return ExperimentConfig(
        model=replace(model, backbone=replace(model.backbone, frozen_stages=0)),
        optimizer=OptimizerConfig(learning_rate=1e-6),
        train=TrainConfig(batch_size=batch_size),
    )


class Step:
    """A training step of ours on one batch, again and again."""

    def __init__(self, config: ExperimentConfig, state: TrainState, examples: list[Example]) -> None:
        """Prepare a batch of `examples`, all of one size, which is the canvas."""
        model = models.build(config.model)
        height, width = examples[0].image.shape[:2]
        host = make_batch(examples, (height, width), max_objects=config.data.max_objects, mask_crop=config.data.mask_crop)
        self.state, self.batch = placed(state, model.mesh, config.train), to_devices(host, model.mesh)
        self._steps = CompiledSteps(model, config, lambda canvas: None)
        self._metrics: dict[str, Any] = {}

    def __call__(self) -> None:
        """One step."""
        self.state, self._metrics = jax.block_until_ready(self._steps(self.state, self.batch))

    def check(self) -> None:
        """The last step moved the model: one whose loss or gradient is not finite does not."""
        if self._metrics["nonfinite"]:
            raise SystemExit("the loss or a gradient of the training step is not finite")


def theirs_step(reference: Reference, model: Any, examples: list[Example]) -> Callable[[], Any]:
    """The same step of torchvision."""
    model = reference.placed(model).train()
    images, wanted = [reference.image(own.image) for own in examples], targets(reference, examples)
    optimizer = reference.torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-6, momentum=0.9, weight_decay=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        with reference.autocast():
            loss = sum(model(images, wanted).values())
        loss.backward()
        optimizer.step()
        reference.wait()

    return step


def _nuclei(reference: Reference, config: ExperimentConfig) -> Any:
    """The recipe's network in torchvision."""
    anchors = reference.torchvision.models.detection.anchor_utils.AnchorGenerator(
        tuple((int(size),) for size in config.model.anchors.sizes), (config.model.anchors.ratios,) * 5
    )
    return detector(
        reference,
        "resnet18",
        config.model.num_classes + 1,
        trainable_layers=3,
        min_size=config.model.input.min_side,
        max_size=config.model.input.max_side,
        rpn_anchor_generator=anchors,
        box_batch_size_per_image=config.model.assign.roi_samples,
    )


def _exact(reference: Reference) -> bool:
    """Whether products are float32's: a GPU rounds their factors."""
    return reference.dtype == "float32" and reference.device == "cpu"


def _check_result(result: Any, expected: dict[str, Any]) -> None:
    """One to one but for near-ties of NMS: where two boxes overlap as much as its threshold, noise decides."""
    pairs, distances = partners(result.boxes, expected["boxes"], result.labels, expected["labels"])
    mine, theirs = pairs.T
    alone = max(len(result.boxes), len(expected["boxes"])) - len(pairs)
    scores = np.abs(result.scores[mine] - expected["scores"][theirs]).max()
    masks = mask_utils.decode([result.masks[row] for row in mine]).transpose(2, 0, 1)
    pixels = (masks != (expected["masks"][theirs, 0] >= 0.5)).mean()
    if not (alone <= NEAR_TIES and distances.max() <= BOX_PX and scores <= SCORE and pixels <= SAME_PIXELS):
        raise SystemExit(
            f"inference differs from torchvision's: {alone} detections without a partner, boxes {distances.max():.1e} px, "
            f"scores {scores:.1e}, {pixels:.1e} of the pixels"
        )
