"""Configuration of the model: one frozen dataclass a stage; every default lives here, once."""

from dataclasses import dataclass, field
from typing import Literal

from maskrcnn_jax.config.check import require
from maskrcnn_jax.config.norm import WIDTHS, Norm, fits_norm

Resize = Literal["uint8", "pillow", "float"]
Sampling = Literal["fixed", "adaptive"]
RGB_MEAN, RGB_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of ImageNet's photographs, 0-255


@dataclass(frozen=True, kw_only=True)
class InputConfig:
    """From an image of any size to the network's canvas."""

    channels: int = 3
    """Channels of an image. 3 are RGB; for grey, depth, multispectral images give their number, and `mean` and `std` of as many."""
    dtype: Literal["uint8", "uint16"] = "uint8"
    """Type of the values. uint16 keeps 16-bit ones as they are, see docs/data.md; `mean` and `std` are then in their units."""
    channel_order: Literal["rgb", "bgr"] = "rgb"
    """Order of the channels the network reads; images are RGB everywhere else."""
    mean: tuple[float, ...] = RGB_MEAN
    """Subtracted from each channel, in the values' units (0-255 of bytes), in `channel_order`."""
    std: tuple[float, ...] = RGB_STD
    """Divides each channel after the mean, the same units and order."""
    resize: Resize = "uint8"
    """How images are resized, all bilinear. uint8: OpenCV, rounded to the values' type. pillow: Pillow, on bytes, smoothed when
    shrinking (Detectron2). float: on float32, not smoothed and not rounded (torchvision)."""
    min_side: int = 800
    """Short side of the resized image at inference, pixels."""
    max_side: int = 1333
    """Upper bound of the resized image's long side, pixels; it wins over `min_side`."""
    canvas: Literal["fixed", "multiple"] = "fixed"
    """fixed: the smallest of `canvases` that holds the image. multiple: the batch's largest sides rounded up to `multiple`."""
    canvases: tuple[tuple[int, int], ...] = ((800, 1344), (1344, 800))
    """(height, width) of the canvases of `fixed`; one compiled program each."""
    multiple: int = 32
    """Canvas sides are multiples of this (the deepest stride of the pyramid's backbone)."""

    def __post_init__(self) -> None:
        require(0 < self.min_side <= self.max_side, self, "min_side", "must be positive and at most max_side")
        require(all(s > 0 for s in self.std), self, "std", "must be positive")
        require(self.channels >= 1, self, "channels", "must be at least 1")
        for name in ("mean", "std"):
            needed = f"must have a number for each of the {self.channels} channels, in the units of the images' values"
            require(len(getattr(self, name)) == self.channels, self, name, needed)
        is_byte = self.dtype == "uint8"
        require(self.channels == 3 or self.channel_order == "rgb", self, "channel_order", "is of images of 3 channels; leave it at rgb")
        require(is_byte or self.resize != "pillow", self, "resize", "must be uint8 or float with dtype uint16: Pillow resizes bytes")
        require(is_byte or self.std != RGB_STD, self, "std", "is of bytes; with dtype uint16 give mean and std in the units of its values")
        require(self.multiple > 0 and self.multiple % 32 == 0, self, "multiple", "must be a positive multiple of 32")
        require(bool(self.canvases), self, "canvases", "needs at least one (height, width)")
        require(
            all(s > 0 and s % self.multiple == 0 for canvas in self.canvases for s in canvas),
            self,
            "canvases",
            f"sides must be positive multiples of {self.multiple}",
        )


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """The convolutional trunk, C2 ... C5."""

    kind: Literal["resnet", "vgg"] = "resnet"
    """Family of the trunk: ResNet (also ResNeXt and wide ResNet), or VGG with depth 16."""
    depth: Literal[16, 18, 34, 50, 101, 152] = 50
    """Layers; a VGG has 16. Of the ResNets, 18 and 34 have basic blocks, the others bottlenecks."""
    width: int = 64
    """Channels of the first layer; every stage scales with it (64 in the papers)."""
    norm: Norm = "frozen_bn"
    """Normalisation: frozen_bn has constant statistics and affine; batch_norm and group_norm are trained. batch_norm takes its
    statistics from the whole batch, all devices together. none, a plain VGG, has biases instead."""
    norm_epsilon: float = 1e-5
    """Added to the variance."""
    stride_on: Literal["1x1", "3x3"] = "3x3"
    """Which convolution of a bottleneck carries the stride."""
    groups: int = 1
    """Groups of a bottleneck's 3x3 convolution (ResNeXt)."""
    width_per_group: int = 64
    """Channels of one of these groups in C2, where `width` is 64; 64 with one group is a ResNet, 4 with 32 ResNeXt 32x4d."""
    frozen_stages: int = 2
    """How many of stem (in a VGG conv1 and conv2), C2, C3, C4, C5 are not trained, from the input up."""

    def __post_init__(self) -> None:
        vgg = self.kind == "vgg"
        bottlenecks = "where there are no bottlenecks; ResNets of depth 50 and above have them"
        require(vgg == (self.depth == 16), self, "depth", "must be 16 with kind vgg, and with resnet 18, 34, 50, 101 or 152")
        require(vgg or self.norm != "none", self, "norm", "must be frozen_bn, batch_norm or group_norm with kind resnet")
        require(self.width > 0 and self.width % 16 == 0, self, "width", "must be a positive multiple of 16")
        require(self.groups >= 1, self, "groups", "must be at least 1")
        require(self.stride_on == "3x3" or self.depth >= 50, self, "stride_on", f"must be 3x3 {bottlenecks}")
        require(self.groups == 1 or self.depth >= 50, self, "groups", f"must be 1 {bottlenecks}")
        unit = self.width * self.width_per_group
        require(unit > 0 and unit % 64 == 0, self, "width_per_group", "times width / 64 must be a positive integer")
        require(self.width_per_group == 64 or self.depth >= 50, self, "width_per_group", f"must be 64 {bottlenecks}")
        require(fits_norm(self.width, self.norm), self, "width", f"must be {WIDTHS}")
        inner = self.width * self.width_per_group // 64 * self.groups
        require(fits_norm(inner, self.norm), self, "width_per_group", f"times groups times width / 64 must be {WIDTHS}")
        require(self.norm_epsilon >= 0, self, "norm_epsilon", "must not be negative")
        require(0 <= self.frozen_stages <= 5, self, "frozen_stages", "must be 0 ... 5")


@dataclass(frozen=True, kw_only=True)
class FpnConfig:
    """Feature pyramid P2 ... P6; P6 is P5 subsampled by 2."""

    channels: int = 256
    """Channels of every level."""
    norm: Norm = "none"
    """Normalisation after each convolution; a convolution that is followed by one has no bias."""
    norm_epsilon: float = 1e-5
    """Added to the variance."""

    def __post_init__(self) -> None:
        require(fits_norm(self.channels, self.norm), self, "channels", f"must be {WIDTHS}")
        require(self.norm_epsilon >= 0, self, "norm_epsilon", "must not be negative")


@dataclass(frozen=True, kw_only=True)
class AnchorConfig:
    """Anchors: one size a level, every ratio at every cell."""

    sizes: tuple[float, ...] = (32.0, 64.0, 128.0, 256.0, 512.0)
    """Square root of the anchors' area on P2 ... P6, canvas pixels."""
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Height over width."""
    round_base: bool = False
    """Whether the base anchors' corners are rounded to integers (torchvision)."""
    stride: Literal["level", "canvas"] = "level"
    """level: 4, 8, 16, 32, 64. canvas: canvas side // feature side (torchvision; differs where sides do not divide)."""
    in_padding: Literal["keep", "drop"] = "drop"
    """Anchors whose centre lies outside the image proper: kept (torchvision, Detectron2), or neither proposed nor sampled."""

    def __post_init__(self) -> None:
        require(len(self.sizes) == 5, self, "sizes", "needs five values, one a level P2 ... P6")
        require(all(s > 0 for s in self.sizes), self, "sizes", "must be positive")
        require(bool(self.ratios) and all(r > 0 for r in self.ratios), self, "ratios", "needs positive values")


@dataclass(frozen=True, kw_only=True)
class RpnHeadConfig:
    """The region proposal network's head, shared by all levels."""

    convs: int = 1
    """3x3 convolutions before the two outputs."""

    def __post_init__(self) -> None:
        require(self.convs >= 1, self, "convs", "must be at least 1")


@dataclass(frozen=True, kw_only=True)
class ProposeConfig:
    """From objectness and deltas to proposals."""

    coder_weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    """Scale of (dx, dy, dw, dh) in the RPN's targets."""
    max_log_scale: float = 4.135166556742356
    """Upper clip of dw and dh, ln(1000 / 16)."""
    pre_nms_top_k_train: int = 2000
    """Best anchors a level that enter NMS in training."""
    pre_nms_top_k_test: int = 1000
    """Best anchors a level that enter NMS at inference."""
    post_nms_top_k_train: int = 1000
    """Proposals an image after NMS in training, over all levels."""
    post_nms_top_k_test: int = 1000
    """Proposals an image after NMS at inference, over all levels."""
    nms_threshold: float = 0.7
    """IoU above which the lower-ranked box of one level is dropped."""
    rank_by: Literal["logits", "sigmoid"] = "logits"
    """What ranks proposals in and after NMS; float32 sigmoid has coarser steps, so ties differ."""
    min_side: float = 0.0
    """Boxes with a side of 0, or below this, are dropped; canvas pixels."""

    def __post_init__(self) -> None:
        require(all(w > 0 for w in self.coder_weights), self, "coder_weights", "must be positive")
        require(self.max_log_scale > 0, self, "max_log_scale", "must be positive")
        for name in ("pre_nms_top_k_train", "pre_nms_top_k_test", "post_nms_top_k_train", "post_nms_top_k_test"):
            require(getattr(self, name) >= 1, self, name, "must be at least 1")
        require(0 <= self.nms_threshold <= 1, self, "nms_threshold", "must be in [0, 1]")
        require(self.min_side >= 0, self, "min_side", "must not be negative")


@dataclass(frozen=True, kw_only=True)
class AssignConfig:
    """Which anchors and RoIs are trained on what."""

    rpn_foreground_iou: float = 0.7
    """Anchors at or above it are positive."""
    rpn_background_iou: float = 0.3
    """Anchors below it are negative; between the two they are ignored."""
    rpn_low_quality: bool = True
    """Whether the best anchors of each object are positive at any IoU (ties kept)."""
    rpn_samples: int = 256
    """Anchors sampled an image."""
    rpn_positive_fraction: float = 0.5
    """Upper bound of the positive share of the sampled anchors."""
    roi_foreground_iou: float = 0.5
    """RoIs at or above it are positive."""
    roi_background_iou: float = 0.5
    """RoIs below it are negative; between the two they are ignored."""
    roi_samples: int = 512
    """RoIs sampled an image."""
    roi_positive_fraction: float = 0.25
    """Upper bound of the positive share of the sampled RoIs; the mask head runs on so many."""
    append_ground_truth: bool = True
    """Whether the ground truth boxes join the proposals."""
    crowd_ioa: float | None = 0.7
    """Anchors and RoIs not positive whose intersection over own area with a crowd reaches it are not sampled; None: crowds are unknown."""

    def __post_init__(self) -> None:
        for name in ("rpn_foreground_iou", "roi_foreground_iou", "rpn_positive_fraction", "roi_positive_fraction"):
            require(0 < getattr(self, name) <= 1, self, name, "must be in (0, 1]")
        rpn_below, roi_below = "must be in [0, rpn_foreground_iou]", "must be in [0, roi_foreground_iou]"
        require(0 <= self.rpn_background_iou <= self.rpn_foreground_iou, self, "rpn_background_iou", rpn_below)
        require(0 <= self.roi_background_iou <= self.roi_foreground_iou, self, "roi_background_iou", roi_below)
        require(self.rpn_max_positives >= 1, self, "rpn_samples", "times rpn_positive_fraction must be at least 1")
        require(self.roi_max_positives >= 1, self, "roi_samples", "times roi_positive_fraction must be at least 1")
        require(self.crowd_ioa is None or 0 < self.crowd_ioa <= 1, self, "crowd_ioa", "must be in (0, 1], or None")

    @property
    def rpn_max_positives(self) -> int:
        """Upper bound of positive anchors sampled an image."""
        return int(self.rpn_samples * self.rpn_positive_fraction)

    @property
    def roi_max_positives(self) -> int:
        """Upper bound of positive RoIs an image, and the number of RoIs the mask head runs on in training."""
        return int(self.roi_samples * self.roi_positive_fraction)


@dataclass(frozen=True, kw_only=True)
class PoolConfig:
    """RoIAlign and the pyramid level each RoI is read from."""

    box_size: int = 7
    """Bins a side for the box head."""
    mask_size: int = 14
    """Bins a side for the mask head."""
    aligned: bool = True
    """True: pixel centres at +0.5. False: shifted by half a cell, and RoIs are at least one cell wide (torchvision)."""
    sampling: Sampling = "fixed"
    """fixed: `samples` x `samples` points a bin. adaptive: on each axis the RoI's side in cells / bins, rounded up (Detectron2)."""
    samples: int = 2
    """Sampling points a bin side where `sampling` is fixed."""
    canonical_size: float = 224.0
    """A RoI of this size, canvas pixels, is read from `canonical_level`."""
    canonical_level: int = 4
    """See `canonical_size`."""
    level_epsilon: float = 1e-8
    """Keeps sizes just under a power of two on the upper level."""
    level_epsilon_at: Literal["log", "ratio"] = "ratio"
    """Whether `level_epsilon` is added to the logarithm (torchvision) or inside it, to the ratio of sizes (Detectron2)."""

    def __post_init__(self) -> None:
        for name in ("box_size", "mask_size", "samples"):
            require(getattr(self, name) >= 1, self, name, "must be at least 1")
        require(self.canonical_size > 0, self, "canonical_size", "must be positive")
        require(2 <= self.canonical_level <= 5, self, "canonical_level", "must be one of the levels P2 ... P5 that RoIs are read from")
        require(self.level_epsilon >= 0, self, "level_epsilon", "must not be negative")


@dataclass(frozen=True, kw_only=True)
class BoxHeadConfig:
    """From RoI features to class logits and box deltas."""

    convs: int = 0
    """3x3 convolutions before the fully connected layers."""
    conv_channels: int = 256
    """Their channels."""
    norm: Norm = "none"
    """Normalisation after each of these convolutions."""
    norm_epsilon: float = 1e-5
    """Added to the variance."""
    fcs: int = 2
    """Fully connected layers."""
    fc_width: int = 1024
    """Their width."""
    class_agnostic: bool = False
    """One box for all classes instead of one a class."""

    def __post_init__(self) -> None:
        for name in ("convs", "fcs"):
            require(getattr(self, name) >= 0, self, name, "must not be negative")
        require(self.convs + self.fcs > 0, self, "fcs", "the head needs at least one layer")
        require(fits_norm(self.conv_channels, self.norm), self, "conv_channels", f"must be {WIDTHS}")
        require(self.norm_epsilon >= 0, self, "norm_epsilon", "must not be negative")
        require(self.fc_width >= 1, self, "fc_width", "must be at least 1")


@dataclass(frozen=True, kw_only=True)
class MaskHeadConfig:
    """From RoI features to mask logits, twice the resolution of the features."""

    convs: int = 4
    """3x3 convolutions before the deconvolution."""
    channels: int = 256
    """Channels of the convolutions and the deconvolution."""
    norm: Norm = "none"
    """Normalisation after each convolution."""
    norm_epsilon: float = 1e-5
    """Added to the variance."""
    class_agnostic: bool = False
    """One mask for all classes instead of one a class."""

    def __post_init__(self) -> None:
        require(self.convs >= 0, self, "convs", "must not be negative")
        require(fits_norm(self.channels, self.norm), self, "channels", f"must be {WIDTHS}")
        require(self.norm_epsilon >= 0, self, "norm_epsilon", "must not be negative")


@dataclass(frozen=True, kw_only=True)
class DetectConfig:
    """From the box head's outputs to detections."""

    coder_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)
    """Scale of (dx, dy, dw, dh) in the box head's targets."""
    max_log_scale: float = 4.135166556742356
    """Upper clip of dw and dh, ln(1000 / 16)."""
    score_threshold: float = 0.05
    """Detections at or below it are dropped."""
    nms_threshold: float = 0.5
    """IoU above which the lower-scored box of one class is dropped."""
    max_candidates: int = 2000
    """Capacity of class NMS: boxes over the score threshold an image; what exceeds it is counted."""
    max_detections: int = 100
    """Detections an image."""
    min_side: float = 0.0
    """Boxes with a side of 0, or below this, are dropped; canvas pixels."""

    def __post_init__(self) -> None:
        require(all(w > 0 for w in self.coder_weights), self, "coder_weights", "must be positive")
        require(self.max_log_scale > 0, self, "max_log_scale", "must be positive")
        for name in ("score_threshold", "nms_threshold"):
            require(0 <= getattr(self, name) <= 1, self, name, "must be in [0, 1]")
        for name in ("max_candidates", "max_detections"):
            require(getattr(self, name) >= 1, self, name, "must be at least 1")
        require(self.min_side >= 0, self, "min_side", "must not be negative")


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The five losses."""

    rpn_denominator: Literal["sampled", "capacity"] = "sampled"
    """RPN losses are divided by the number of sampled anchors, or by rpn_samples x images (Detectron2)."""
    rpn_box_beta: float = 1 / 9
    """Where the RPN's smooth L1 turns from square to straight, in delta units; 0 is L1."""
    roi_box_beta: float = 1 / 9
    """The same for the box head."""
    mask_target: Literal["soft", "binary"] = "soft"
    """Coverage sampled from the ground truth mask as it is, or thresholded at 0.5."""
    mask_target_aligned: bool = True
    """As PoolConfig.aligned, for sampling mask targets."""
    mask_target_sampling: Sampling = "fixed"
    """As PoolConfig.sampling, for mask targets: adaptive takes on each axis the RoI's side in pixels / cells (both references)."""
    mask_target_samples: int = 2
    """Sampling points a cell side of mask targets where `mask_target_sampling` is fixed."""

    def __post_init__(self) -> None:
        for name in ("rpn_box_beta", "roi_box_beta"):
            require(getattr(self, name) >= 0, self, name, "must not be negative")
        require(self.mask_target_samples >= 1, self, "mask_target_samples", "must be at least 1")


@dataclass(frozen=True, kw_only=True)
class PasteConfig:
    """From a mask's grid to the image's pixels."""

    kind: Literal["continuous", "expanded"] = "continuous"
    """continuous: sampled at pixel centres in the box as it is. expanded: padded by one cell, box rounded to integers (torchvision)."""
    threshold: float = 0.5
    """Pixels whose probability reaches it belong to the object."""

    def __post_init__(self) -> None:
        require(0 < self.threshold <= 1, self, "threshold", "must be in (0, 1]")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A whole model."""

    kind: Literal["mask_rcnn"] = "mask_rcnn"
    """Family of the model."""
    num_classes: int = 80
    """Classes without background."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """dtype of features, convolutions and products. bfloat16 is for GPUs and TPUs, and halves the memory of a feature; parameters,
    optimizer, statistics, logits, losses and boxes are float32 all the same."""
    remat: Literal["none", "blocks"] = "none"
    """What training keeps for the gradient. none: whatever it needs. blocks: what goes into each block of the trunk, the pyramid and
    each head; what is inside is computed a second time. Less memory (not on CPUs, where XLA undoes it), more time, the same numbers."""
    input: InputConfig = field(default_factory=InputConfig)
    """From an image to the canvas."""
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    """The trunk."""
    fpn: FpnConfig = field(default_factory=FpnConfig)
    """The feature pyramid."""
    anchors: AnchorConfig = field(default_factory=AnchorConfig)
    """The anchors."""
    rpn_head: RpnHeadConfig = field(default_factory=RpnHeadConfig)
    """The RPN's head."""
    propose: ProposeConfig = field(default_factory=ProposeConfig)
    """From RPN outputs to proposals."""
    assign: AssignConfig = field(default_factory=AssignConfig)
    """Training targets."""
    pool: PoolConfig = field(default_factory=PoolConfig)
    """RoIAlign."""
    box_head: BoxHeadConfig = field(default_factory=BoxHeadConfig)
    """The box head."""
    mask_head: MaskHeadConfig = field(default_factory=MaskHeadConfig)
    """The mask head."""
    detect: DetectConfig = field(default_factory=DetectConfig)
    """From box head outputs to detections."""
    loss: LossConfig = field(default_factory=LossConfig)
    """The losses."""
    paste: PasteConfig = field(default_factory=PasteConfig)
    """From mask grids to pixels."""

    def __post_init__(self) -> None:
        require(self.num_classes >= 1, self, "num_classes", "must be at least 1")
