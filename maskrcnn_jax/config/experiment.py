"""Configuration of an experiment: data, optimizer, training, evaluation."""

from dataclasses import dataclass, field
from typing import Literal

from maskrcnn_jax.config.augment import AugmentConfig
from maskrcnn_jax.config.check import ConfigError, require
from maskrcnn_jax.config.model import ModelConfig


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where examples come from and how batches are made of them."""

    kind: Literal["coco", "prepared", "shapes", "own"] = "coco"
    """coco: JSON files in COCO's format. prepared: what `maskrcnn prepare-data` wrote. shapes: procedural pictures, made on the fly.
    own: sources given in Python."""
    train_annotations: str = ""
    """COCO JSON of the training images (kind coco), or the folder that they were prepared to (kind prepared)."""
    train_images: str = ""
    """Folder that file names in `train_annotations` are relative to (kind coco)."""
    more_train_annotations: tuple[str, ...] = ()
    """COCO JSON files, or prepared folders, of further training images, of the same categories."""
    more_train_images: tuple[str, ...] = ()
    """Folder of each of `more_train_annotations` (kind coco)."""
    train_weights: tuple[float, ...] = ()
    """Of `train_annotations` and each of `more_train_annotations`, how much of what training reads is of it; empty: every image
    counts the same."""
    val_annotations: str = ""
    """COCO JSON of the validation images (kind coco), or the folder that they were prepared to (kind prepared)."""
    val_images: str = ""
    """Folder that file names in `val_annotations` are relative to (kind coco)."""
    train_size: int = 10_000
    """Training pictures (kind shapes)."""
    val_size: int = 200
    """Validation pictures, none of them in training (kind shapes)."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """What is done to training images."""
    max_objects: int = 100
    """Capacity of ground truth an image; what exceeds it is cut, counted and reported."""
    mask_crop: int | None = 112
    """Side of the ground truth mask grids; None sends whole canvases (parity tests)."""
    drop_empty: bool = True
    """Whether training leaves out images without an object (crowds do not count)."""
    repeat_threshold: float | None = None
    """Repeat-factor sampling: images with a class that fewer than this share of images have are read more often, sqrt(threshold / share)
    times as often; 0.001 for LVIS. None: all are read equally often."""
    workers: int = 0
    """Processes that prepare batches; 0 uses threads of this one."""
    max_unreadable: int = 0
    """How often, counted since the command was started, a training image may turn out unreadable before the run stops; others stand
    in for them, and each time is told and counted."""

    def __post_init__(self) -> None:
        for name in ("train_size", "val_size"):
            require(getattr(self, name) >= 1, self, name, "must be at least 1")
        more = len(self.more_train_annotations)
        folders = 0 if self.kind == "prepared" else more
        of_each = f"must be {more} folders, one for each of more_train_annotations" if folders else "must be empty"
        require(len(self.more_train_images) == folders, self, "more_train_images", of_each)
        shares = self.train_weights
        require(len(shares) in (0, more + 1), self, "train_weights", f"must be {more + 1} numbers, one for each training dataset, or none")
        require(all(share > 0 for share in shares), self, "train_weights", "must be positive")
        threshold = self.repeat_threshold
        require(threshold is None or 0 < threshold <= 1, self, "repeat_threshold", "must be in (0, 1], or None")
        require(self.max_objects >= 1, self, "max_objects", "must be at least 1")
        require(self.mask_crop is None or self.mask_crop >= 1, self, "mask_crop", "must be at least 1, or None")
        for name in ("workers", "max_unreadable"):
            require(getattr(self, name) >= 0, self, name, "must not be negative")


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """How parameters move."""

    kind: Literal["sgd", "adamw"] = "sgd"
    """sgd: stochastic gradient descent with momentum. adamw: Adam with decoupled weight decay."""
    learning_rate: float = 0.02
    """Peak learning rate; with `reference_batch` that of so many images a step."""
    reference_batch: int | None = None
    """Images a step that `learning_rate` is for: the rate is scaled by `train.batch_size` over this. None: it is not scaled."""
    layer_rates: tuple[str, ...] = ()
    """Factors of the learning rate of some parameters, each as PATTERN=FACTOR, such as "backbone/*=0.1"; the first that matches a
    parameter's path (module/layer/.../name) counts."""
    momentum: float = 0.9
    """Momentum of sgd; decay of the first moment of adamw."""
    second_moment: float = 0.999
    """Decay of the second moment of adamw; a short run wants it lower."""
    weight_decay: float = 1e-4
    """L2 penalty added to the gradient (sgd), or share of the parameter taken off each step times the learning rate (adamw)."""
    decay: Literal["all", "not_norms", "kernels"] = "kernels"
    """What decays: every parameter, all but the norms' (Detectron2), or only convolution and dense kernels (no bias, no norm)."""
    schedule: Literal["multi_step", "cosine"] = "multi_step"
    """multi_step: times `gamma` at each of `milestones`. cosine: down to 0 at the last step."""
    milestones: tuple[int, ...] = ()
    """Steps at which the learning rate drops."""
    gamma: float = 0.1
    """Factor of each drop."""
    warmup_steps: int = 1000
    """Steps of linear warm-up."""
    warmup_factor: float = 1e-3
    """Learning rate at step 0 as a share of the peak."""
    clip_norm: float | None = None
    """Upper bound of the global gradient norm; None does not clip."""

    def __post_init__(self) -> None:
        require(self.learning_rate > 0, self, "learning_rate", "must be positive")
        require(self.reference_batch is None or self.reference_batch >= 1, self, "reference_batch", "must be at least 1, or None")
        require(all(_is_factor(rate) for rate in self.layer_rates), self, "layer_rates", 'must read like "backbone/*=0.1"')
        require(0 <= self.momentum < 1, self, "momentum", "must be in [0, 1)")
        require(0 <= self.second_moment < 1, self, "second_moment", "must be in [0, 1)")
        require(self.weight_decay >= 0, self, "weight_decay", "must not be negative")
        require(self.warmup_steps >= 0, self, "warmup_steps", "must not be negative")
        ascending = tuple(sorted(self.milestones)) == self.milestones
        require(ascending and all(step > 0 for step in self.milestones), self, "milestones", "must be positive and ascend")
        require(0 < self.gamma <= 1, self, "gamma", "must be in (0, 1]")
        require(0 <= self.warmup_factor <= 1, self, "warmup_factor", "must be in [0, 1]")
        require(self.clip_norm is None or self.clip_norm > 0, self, "clip_norm", "must be positive, or None")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The training loop."""

    steps: int = 90_000
    """Training steps."""
    batch_size: int = 16
    """Images a step, over all devices of all processes together."""
    devices: int | None = None
    """Devices of each process that are used; None: all."""
    sharding: Literal["replicate", "fsdp"] = "replicate"
    """Where parameters and optimizer state lie. replicate: whole on every device. fsdp: each array in parts, one a device, gathered
    where it is needed."""
    accumulate: int = 1
    """Parts that a step's images are computed in, one after the other: a batch larger than memory holds, with the same gradient.
    Batch norms that are trained see one part at a time, and devices sum their gradients once a part."""
    seed: int = 0
    """Seed of initialisation, order, augmentation and sampling."""
    weights: str | None = None
    """Start of training: a checkpoint of this package, or weights of an ImageNet classifier or of a torchvision or Detectron2 Mask
    R-CNN (a file, its URL, or a name that `maskrcnn convert` lists); None: random."""
    new_classes: bool = False
    """With `weights` of another class count: leave out the layers that depend on it (fine-tuning to other classes)."""
    freeze: tuple[str, ...] = ()
    """Patterns of paths of parameters that are not trained, such as "fpn/*", besides `model.backbone.frozen_stages`."""
    ema: float | None = None
    """Decay of a moving average of the parameters, such as 0.999; evaluation, and whoever loads a checkpoint, takes the average.
    The first steps average over fewer: the decay of step t is at most (1 + t) / (10 + t). None: no average."""
    patience: int | None = None
    """Evaluations in a row without a better mask AP after which training ends early; None: never."""
    max_nonfinite: int = 3
    """Steps in a row with a loss or gradient that is not finite after which the run stops; each of them is skipped."""
    deterministic: bool = False
    """On a GPU, only operations whose result does not vary from run to run (slower); on a CPU all are so."""
    stall_seconds: float = 300.0
    """What the run waits for is told when it has waited so long."""
    log_every: int = 20
    """Steps between lines of metrics."""
    checkpoint_every: int = 5000
    """Steps between checkpoints; the last step always writes one."""
    keep: int = 2
    """Latest checkpoints kept, besides the best by mask AP."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulate", "max_nonfinite", "log_every", "checkpoint_every", "keep"):
            require(getattr(self, name) >= 1, self, name, "must be at least 1")
        for name in ("devices", "patience"):
            require(getattr(self, name) is None or getattr(self, name) >= 1, self, name, "must be at least 1, or None")
        require(self.seed >= 0, self, "seed", "must not be negative")
        require(self.ema is None or 0 < self.ema < 1, self, "ema", "must be in (0, 1), or None")
        require(self.stall_seconds > 0, self, "stall_seconds", "must be positive")


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """Evaluation during and after training."""

    every: int | None = None
    """Steps between evaluations; None: after the last step only."""
    batch_size: int = 1
    """Images in one call of the model on each device."""
    max_images: int | None = None
    """First so many validation images; None: all of them."""
    max_detections: int = 100
    """Best so many detections of a class in an image count; COCO's is 100. LVIS's metrics take 300 of an image, whatever this is."""
    losses: bool = False
    """Whether the five losses are computed on the validation images too."""
    pictures: int = 16
    """Images of each evaluation, the first ones, of which ground truth is drawn beside detections, in one grid."""

    def __post_init__(self) -> None:
        require(self.every is None or self.every >= 1, self, "every", "must be at least 1, or None")
        require(self.batch_size >= 1, self, "batch_size", "must be at least 1")
        require(self.max_images is None or self.max_images >= 1, self, "max_images", "must be at least 1, or None")
        require(self.max_detections > 10, self, "max_detections", "must be above 10")
        require(self.pictures >= 0, self, "pictures", "must not be negative")


def _is_factor(rate: str) -> bool:
    try:
        return float(rate.rpartition("=")[2]) > 0 and "=" in rate
    except ValueError:
        return False


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """Everything one run needs to know."""

    model: ModelConfig = field(default_factory=ModelConfig)
    """The model."""
    data: DataConfig = field(default_factory=DataConfig)
    """The data."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """The optimizer."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """The training loop."""
    eval: EvalConfig = field(default_factory=EvalConfig)
    """Evaluation."""

    def __post_init__(self) -> None:
        channels = self.model.input.channels
        for name in ("saturation", "hue"):
            if channels != 3 and getattr(self.data.augment, name):
                raise ConfigError(
                    f"data.augment.{name} is of RGB, and model.input.channels is {channels}; leave data.augment.{name} at 0 "
                    "(brightness, contrast and all else are of any channels)"
                )
