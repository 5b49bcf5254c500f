"""Every intermediate of training and of inference, by name.

`backbone`, `pyramid`, `box_features` and `mask_features` are of the config's `compute_dtype`, all other floats of the parameters' dtype.
"""

from typing import Any, NamedTuple

from maskrcnn_jax.structs import AnchorSamples, Array, Candidates, Detections, Proposals, Ratio, RoiSamples

Variables = dict[str, Any]  # {"params": ..., "batch_stats": ...}, each by module: backbone, fpn, rpn_head, box_head, mask_head
Losses = dict[str, Ratio]


class Features(NamedTuple):
    """What training and inference share, with a leading b.

    image: float32[b, h, w, 3], normalised. backbone: C2 ... C5. pyramid: P2 ... P6.
    objectness: logits [b, n] a level. deltas: [b, n, 4] a level. anchors: [n, 4] a level, without b.
    """

    image: Array
    backbone: tuple[Array, ...]
    pyramid: tuple[Array, ...]
    objectness: tuple[Array, ...]
    deltas: tuple[Array, ...]
    anchors: tuple[Array, ...]


class Trace(NamedTuple):
    """Inference, with a leading b.

    box_features: [b, p, q, q, c]. class_logits: [b, p, k]. box_deltas: [b, p, k, 4].
    candidates: before class NMS. mask_features: [b, d, q, q, c]. mask_logits: [b, d, m, m, k]. detections: with masks.
    """

    features: Features
    proposals: Proposals
    box_features: Array
    class_logits: Array
    box_deltas: Array
    candidates: Candidates
    mask_features: Array
    mask_logits: Array
    detections: Detections


class TrainTrace(NamedTuple):
    """Training, with a leading b; the mask branch runs on the first s RoIs, which alone may be positive.

    box_features: [b, r, q, q, c]. class_logits: [b, r, k]. box_deltas: [b, r, k, 4].
    mask_features: [b, s, q, q, c]. mask_logits: [b, s, m, m, k]. mask_targets: [b, s, m, m], 0 ... 1.
    losses: over the whole batch. batch_stats: after this step.
    """

    features: Features
    anchor_samples: AnchorSamples
    proposals: Proposals
    roi_samples: RoiSamples
    box_features: Array
    class_logits: Array
    box_deltas: Array
    mask_features: Array
    mask_logits: Array
    mask_targets: Array
    losses: Losses
    batch_stats: Any
