"""torchvision on this machine, and what stands for it where its operators are not compiled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import jax
import numpy as np

from benchmarks.rows import Row, cores, in_turn, on_one_core
from maskrcnn_jax.config import ModelConfig, presets
from maskrcnn_jax.models import Variables
from maskrcnn_jax.reports.golden import picture
from maskrcnn_jax.structs import Example
from maskrcnn_jax.weights import from_arrays
from tests.golden.rule import fill
from tests.parity.calibrate import calibrate
from tests.parity.importing import import_torch, import_torchvision

Dtype = Literal["float32", "bfloat16"]
SIZE = (800, 1088)  # height, width of the yardstick's image
CLASSES = 90
GAINS = [("mask_predictor.conv5_mask.weight", 2.0)]  # a deconvolution's true fan-in, as in the golden networks

# torchvision 0.28.0 with its compiled operators over its own backbone+FPN at SIZE, two threads (docs/benchmarks.md).
INFERENCE, TRAINING_STEP, NUCLEI_STEP = 2.2, 5.4, 2.5
ROI_ALIGN = {(1000, 7): (0.42, 1.03), (512, 7): (0.14, 0.40), (100, 14): (0.07, 0.23)}  # forward, backward
BACKBONE_FPN_MS = 1150  # of the measurements in milliseconds
NMS_MS = {
    ("spread", 1000): 4.5,
    ("spread", 2000): 17.0,
    ("spread", 5000): 104.0,
    ("clustered", 1000): 2.1,
    ("clustered", 2000): 5.0,
    ("clustered", 5000): 20.0,
}


@dataclass
class Reference:
    """torchvision and what a row needs of it; everything is made when first asked for.

    dtype: with bfloat16 its networks run under autocast, their arrays with channels last.
    """

    dtype: Dtype

    @cached_property
    def torch(self) -> Any:
        """PyTorch, with as many threads as cores may be used."""
        torch = import_torch()
        torch.set_num_threads(cores())
        if self.device == "cuda":  # as XLA does: forms of convolutions are tried, and float32 products may round their factors
            torch.backends.cudnn.benchmark = torch.backends.cuda.matmul.allow_tf32 = True
        return torch

    @cached_property
    def _imported(self) -> tuple[Any, bool]:
        return import_torchvision(self.torch)

    @property
    def torchvision(self) -> Any:
        """torchvision, with what stands in for operators it lacks."""
        return self._imported[0]

    @property
    def compiled(self) -> bool:
        """Whether its operators are."""
        return self._imported[1]

    @property
    def device(self) -> str:
        """PyTorch's name of the kind of device that JAX uses."""
        return "cpu" if jax.default_backend() == "cpu" else "cuda"

    def tensor(self, array: np.ndarray) -> Any:
        """The array on the device."""
        return self.torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def image(self, image: np.ndarray) -> Any:
        """uint8[h, w, 3] as torchvision's detectors take it."""
        return self.tensor(image.transpose(2, 0, 1).astype(np.float32) / 255)

    def autocast(self) -> Any:
        """A context in which networks compute in the dtype."""
        return self.torch.autocast(self.device, self.torch.bfloat16, enabled=self.dtype == "bfloat16")

    def wait(self) -> None:
        """Return when the device is done."""
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def waited(self, call: Callable[[], Any]) -> Callable[[], Any]:
        """`call` under autocast, which returns when the device is done."""

        def waiting() -> Any:
            with self.autocast():
                result = call()
            self.wait()
            return result

        return waiting

    @cached_property
    def model(self) -> Any:
        """R50-FPN with random weights that detect something, ready to infer."""
        model = detector(self, "resnet50", CLASSES + 1, max_size=1344)  # the canvas: nothing is resized
        state = model.state_dict()
        weights = fill({name: tuple(value.shape) for name, value in state.items()}, "benchmark/", GAINS, {})
        model.load_state_dict(state | {name: self.torch.from_numpy(value) for name, value in weights.items()})
        calibrate(self.torch, model, [self.torch.from_numpy(picture(*SIZE, 0).transpose(2, 0, 1).astype(np.float32) / 255)])
        return self.placed(model).eval()

    def placed(self, model: Any) -> Any:
        """The model on the device, laid out as is best for the dtype."""
        layout = self.torch.channels_last if self.dtype == "bfloat16" else self.torch.contiguous_format
        return model.to(self.device, memory_format=layout)

    @cached_property
    def variables(self) -> Variables:
        """Its weights as this package's."""
        return variables_of(self.model, presets.torchvision_v1(CLASSES))

    @cached_property
    def backbone_fpn(self) -> Callable[[], Any]:
        """The forward pass at SIZE of a normalised image; what other times are scaled from."""
        config = presets.torchvision_v1(CLASSES).input
        normalised = ((picture(*SIZE, 0) - np.array(config.mean)) / np.array(config.std)).astype(np.float32)
        image, backbone = self.tensor(normalised.transpose(2, 0, 1)[None]), self.model.backbone

        def forward() -> Any:
            with self.torch.inference_mode():
                return backbone(image)

        return self.waited(forward)

    def on_one_thread(self, call: Callable[[], Any]) -> Callable[[], Any]:
        """`call` with one thread of PyTorch's; after it there are as many as before."""

        def alone() -> Any:
            threads = self.torch.get_num_threads()
            self.torch.set_num_threads(1)
            try:
                return call()
            finally:
                self.torch.set_num_threads(threads)

        return alone


def config_of(dtype: Dtype) -> ModelConfig:
    """torchvision's model in this package."""
    return replace(presets.torchvision_v1(CLASSES), compute_dtype=dtype)


def detector(reference: Reference, backbone: str, classes: int, *, trainable_layers: int = 5, **settings: Any) -> Any:
    """torchvision's Mask R-CNN on a frozen-norm ResNet with FPN, its weights its own random ones."""
    detection, frozen = reference.torchvision.models.detection, reference.torchvision.ops.misc.FrozenBatchNorm2d
    trunk = detection.backbone_utils.resnet_fpn_backbone(
        backbone_name=backbone, weights=None, trainable_layers=trainable_layers, norm_layer=frozen
    )
    return detection.MaskRCNN(trunk, classes, **settings)


def variables_of(model: Any, config: ModelConfig) -> Variables:
    """The weights of torchvision's detector as this package's."""
    arrays = {name: value.cpu().numpy().copy() for name, value in model.state_dict().items()}
    return from_arrays("torchvision", arrays, config)


def against(
    reference: Any,
    name: str,
    ours: Callable[[], Any],
    theirs: Callable[[], Any],
    *,
    factor: float,
    repeats: int,
    note: str = "",
    one_core: bool = False,
) -> Row:
    """Ours in turn with torchvision's; or, where its operators are not compiled, with its backbone+FPN, times `factor`.

    Args:
      reference: torchvision.
      name: of the row.
      ours, theirs: each returns when its work is done.
      factor: what `theirs` took over backbone+FPN where it was measured.
      repeats: turns.
      note: of the row.
      one_core: whether `factor` is of one core, so that where it serves both run on one.
    """
    if reference.compiled:
        mine, live = in_turn(ours, theirs, repeats=repeats)
        return Row(name, mine, live, "live", note)
    calls = (
        (on_one_core(ours), on_one_core(reference.on_one_thread(reference.backbone_fpn))) if one_core else (ours, reference.backbone_fpn)
    )
    mine, base = in_turn(*calls, repeats=repeats)
    told = f"torchvision: {factor:.3g} x its backbone+FPN of this run" + ", both on one core" * one_core
    return Row(name, mine, [factor * seconds for seconds in base], "scaled", f"{told}; {note}" if note else told)


def example(size: tuple[int, int], objects: int, labels: int, seed: int) -> Example:
    """A picture with ellipses of 20 to 160 pixels to train on."""
    rng, (height, width) = np.random.default_rng(seed), size
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    y, x = rng.uniform(0.2, 0.8, (2, objects, 1, 1)) * np.array([height, width]).reshape(2, 1, 1, 1)
    b, a = rng.uniform(10, min(80, height / 5), (2, objects, 1, 1))
    masks = (((rows - y) / b) ** 2 + ((columns - x) / a) ** 2 < 1).astype(np.uint8)
    boxes = np.concatenate([x - a, y - b, x + a, y + b], axis=1)[..., 0].astype(np.float32)
    return Example(picture(*size, seed), seed, masks, boxes, rng.integers(1, labels + 1, objects, np.int32), np.zeros(objects, np.bool_))


def targets(reference: Reference, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Of each example what torchvision trains on."""
    rows = ({"boxes": own.boxes, "labels": own.labels.astype(np.int64), "masks": own.masks} for own in examples)
    return [{name: reference.tensor(values) for name, values in row.items()} for row in rows]
