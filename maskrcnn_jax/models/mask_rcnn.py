"""Mask R-CNN: the one place where stages and modules meet."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int, Key, UInt8, UInt16

from maskrcnn_jax import ops, stages
from maskrcnn_jax.config import ModelConfig, PoolConfig
from maskrcnn_jax.models.losses import mask_losses, of_label, roi_losses, rpn_losses
from maskrcnn_jax.models.per_image import per_image
from maskrcnn_jax.models.traces import Features, Losses, Trace, TrainTrace, Variables
from maskrcnn_jax.nn import BoxHead, Fpn, MaskHead, RpnHead, build_trunk
from maskrcnn_jax.structs import AnchorSamples, Batch, Candidates, Detections, Instances, Proposals, RoiSamples

Canvases = UInt8[Array, "b h w c"] | UInt16[Array, "b h w c"] | Float[Array, "b h w c"]
POOLED_LEVELS = 4  # RoIs are read from P2 ... P5; P6 is the RPN's alone


def init(key: Key[Array, ""], config: ModelConfig) -> Variables:
    """Random variables of the model; no shape depends on the canvas, so tiny inputs are traced."""
    pool, channels = config.pool, config.fpn.channels
    trunk = build_trunk(config.backbone).channels
    inputs = {
        "backbone": jnp.zeros((1, 32, 32, config.input.channels)),
        "fpn": [jnp.zeros((1, side, side, c)) for side, c in zip((8, 4, 2, 1), trunk, strict=True)],
        "rpn_head": [jnp.zeros((1, 1, 1, channels))],
        "box_head": jnp.zeros((1, pool.box_size, pool.box_size, channels)),
        "mask_head": jnp.zeros((1, pool.mask_size, pool.mask_size, channels)),
    }
    variables: Variables = {"params": {}, "batch_stats": {}}
    for (name, x), own in zip(inputs.items(), jax.random.split(key, len(inputs)), strict=True):
        for collection, values in _module(name, config).init(own, x).items():
            variables[collection][name] = values
    return variables


def trace(variables: Variables, images: Canvases, sizes: Int[Array, "b 2"], config: ModelConfig, mesh: Mesh) -> Trace:
    """Walk through inference.

    Args:
      variables: as `init` gives them.
      images: canvases of the channels and values that `config.input` says, RGB bytes say; zero outside the image proper.
      sizes: (height, width) of the image proper, canvas pixels.
      config: the model.
      mesh: devices that the batch is spread over, axis `data`.
    """
    features, _ = compute_features(variables, images, sizes, config, mesh, training=False)
    top_k = (config.propose.pre_nms_top_k_test, config.propose.post_nms_top_k_test)
    image_sizes = sizes.astype(jnp.float32)

    def detect(logits: Array, deltas: Array, proposals: Proposals, size: Array) -> tuple[Candidates, Detections]:
        candidates = stages.classify(logits, deltas, proposals, size, config.detect)
        return candidates, stages.detect(candidates, config.detect)

    proposals = compute_proposals(features, image_sizes, top_k, config, mesh)
    box_features = _pool(features, proposals.boxes, config.pool.box_size, config, mesh)
    (class_logits, box_deltas), _ = _on_rois("box_head", variables, box_features, config)
    candidates, detections = per_image(detect, mesh, class_logits, box_deltas, proposals, image_sizes)
    mask_features = _pool(features, detections.boxes, config.pool.mask_size, config, mesh)
    mask_logits, _ = _on_rois("mask_head", variables, mask_features, config)
    masks = jax.nn.sigmoid(of_label(jnp.moveaxis(mask_logits, -1, 2), detections.labels))
    detections = detections._replace(masks=jnp.where(detections.valid[:, :, None, None], masks, 0))
    return Trace(features, proposals, box_features, class_logits, box_deltas, candidates, mask_features, mask_logits, detections)


def trace_train(variables: Variables, batch: Batch, key: Key[Array, ""], config: ModelConfig, mesh: Mesh) -> TrainTrace:
    """Walk through training up to the losses.

    Args:
      variables: as `init` gives them.
      batch: what one step reads; nothing is sampled of an image that is void, so that it has no weight.
      key: of this step; an image uses fold_in(key, its position).
      config: the model.
      mesh: devices that the batch is spread over, axis `data`.
    """
    features, batch_stats = compute_features(variables, batch.image, batch.sizes, config, mesh, training=True)
    top_k = (config.propose.pre_nms_top_k_train, config.propose.post_nms_top_k_train)
    image_sizes = batch.sizes.astype(jnp.float32)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, batch.positions)

    def sample_anchors(key: Array, size: Array, instances: Instances) -> AnchorSamples:
        anchors = jnp.concatenate(features.anchors)
        usable = stages.usable_anchors(anchors, size, config.anchors)
        priority = jax.random.uniform(jax.random.fold_in(key, 0), usable.shape)
        return stages.assign_anchors(anchors, usable, instances, priority, config.assign)

    def sample_rois(key: Array, proposals: Proposals, instances: Instances) -> RoiSamples:
        candidates = proposals.valid.shape[0] + instances.valid.shape[0]
        priority = jax.random.uniform(jax.random.fold_in(key, 1), (candidates,))
        return stages.assign_rois(proposals, instances, priority, config.assign)

    counts = ~batch.void[:, None]
    anchor_samples = per_image(sample_anchors, mesh, keys, image_sizes, batch.instances)
    anchor_samples = anchor_samples._replace(positive=anchor_samples.positive & counts, valid=anchor_samples.valid & counts)
    proposals = compute_proposals(features, image_sizes, top_k, config, mesh)
    rois = per_image(sample_rois, mesh, keys, proposals, batch.instances)
    rois = rois._replace(valid=rois.valid & counts)
    walk = supervise(variables, batch, features, anchor_samples, proposals, rois, config, mesh)
    return walk._replace(batch_stats=walk.batch_stats | batch_stats)


def supervise(
    variables: Variables,
    batch: Batch,
    features: Features,
    anchor_samples: AnchorSamples,
    proposals: Proposals,
    rois: RoiSamples,
    config: ModelConfig,
    mesh: Mesh,
) -> TrainTrace:
    """The heads and the losses on RoIs and anchors already sampled; other arguments as in `trace_train`.

    Args:
      variables: as `init` gives them.
      batch: for its instances and sizes.
      features: of its images.
      anchor_samples: of every image, a leading b.
      proposals: passed on.
      rois: of every image, a leading b; those that may be positive are the first `config.assign.roi_max_positives`.
      config: the model.
      mesh: devices that the batch is spread over, axis `data`.
    """
    mask_rois = RoiSamples(*(x[:, : config.assign.roi_max_positives] for x in rois))
    box_features = _pool(features, rois.boxes, config.pool.box_size, config, mesh)
    (class_logits, box_deltas), box_stats = _on_rois("box_head", variables, box_features, config, counted=rois.valid)
    mask_features = _pool(features, mask_rois.boxes, config.pool.mask_size, config, mesh)
    positive = mask_rois.valid & (mask_rois.labels > 0)
    mask_logits, mask_stats = _on_rois("mask_head", variables, mask_features, config, counted=positive)
    canvas = (batch.image.shape[1], batch.image.shape[2])
    targets = _mask_targets(batch.instances, mask_rois, batch.sizes.astype(jnp.float32), canvas, config, mesh)
    losses = (
        rpn_losses(features, anchor_samples, config)
        | roi_losses(class_logits, box_deltas, rois, config)
        | mask_losses(mask_logits, targets, mask_rois)
    )
    return TrainTrace(
        features=features,
        anchor_samples=anchor_samples,
        proposals=proposals,
        roi_samples=rois,
        box_features=box_features,
        class_logits=class_logits,
        box_deltas=box_deltas,
        mask_features=mask_features,
        mask_logits=mask_logits,
        mask_targets=targets,
        losses=losses,
        batch_stats=variables["batch_stats"] | box_stats | mask_stats,
    )


def losses(variables: Variables, batch: Batch, key: Key[Array, ""], config: ModelConfig, mesh: Mesh) -> tuple[Losses, Any]:
    """The five losses, each a Ratio over the whole batch, and the batch statistics after this step; arguments as in `trace_train`."""
    walk = trace_train(variables, batch, key, config, mesh)
    return walk.losses, walk.batch_stats


def predict(variables: Variables, images: Canvases, sizes: Int[Array, "b 2"], config: ModelConfig, mesh: Mesh) -> Detections:
    """Detections with masks, in canvas pixels; arguments as in `trace`."""
    return trace(variables, images, sizes, config, mesh).detections


def is_frozen(path: tuple[str, ...], config: ModelConfig) -> bool:
    """Whether the parameter at `path`, (module, layer, ...), is not trained."""
    return path[0] == "backbone" and build_trunk(config.backbone).stage(path[1]) < config.backbone.frozen_stages


def _module(name: str, config: ModelConfig) -> nn.Module:
    classes = config.num_classes + 1
    match name:
        case "backbone":
            return build_trunk(config.backbone, remat=config.remat == "blocks")
        case "fpn":
            return Fpn(config.fpn)
        case "rpn_head":
            return RpnHead(config.rpn_head, len(config.anchors.ratios))
        case "box_head":
            return BoxHead(config.box_head, classes)
        case _:
            return MaskHead(config.mask_head, classes)


def _apply(name: str, variables: Variables, config: ModelConfig, *inputs: Any, training: bool) -> tuple[Any, dict[str, Any]]:
    """A module's outputs, and in training its batch statistics after this step, by its name."""
    own = {collection: modules[name] for collection, modules in variables.items() if name in modules}
    if not training:
        return _module(name, config).apply(own, *inputs), {}
    apply: Callable[..., Any] = partial(_module(name, config).apply, mutable=["batch_stats"])
    if config.remat == "blocks" and name != "backbone":  # whose blocks do so one by one
        apply = jax.checkpoint(apply)
    outputs, changed = apply(own, *inputs)
    return outputs, {name: changed["batch_stats"]} if changed else {}


def _on_rois(
    name: str, variables: Variables, features: Float[Array, "b r q q c"], config: ModelConfig, counted: Bool[Array, "b r"] | None = None
) -> tuple[Any, dict[str, Any]]:
    """A head applied to the RoIs of all images at once; in training, which gives `counted`, only those enter batch statistics."""
    b, r = features.shape[:2]
    rows = features.reshape(b * r, *features.shape[2:])
    if counted is None:
        outputs, stats = _apply(name, variables, config, rows, training=False)
    else:
        outputs, stats = _apply(name, variables, config, rows, counted.reshape(b * r), training=True)
    return jax.tree.map(lambda x: x.reshape(b, r, *x.shape[1:]), outputs), stats


def compute_features(
    variables: Variables, images: Array, sizes: Array, config: ModelConfig, mesh: Mesh, *, training: bool
) -> tuple[Features, dict[str, Any]]:
    """What training and inference share, and in training the batch statistics of trunk and pyramid; arguments as in `trace`."""

    def normalise(image: Array, size: Array) -> Array:
        reverse = config.input.channel_order == "bgr"
        return ops.normalise(image, size, mean=config.input.mean, std=config.input.std, reverse_channels=reverse)

    normalised = per_image(normalise, mesh, images, sizes)
    own = jax.tree.leaves(variables["params"]["fpn"])[0].dtype  # float32, or float64 where somebody computes in it
    dtype = config.compute_dtype if config.compute_dtype == "bfloat16" else own
    backbone, trunk_stats = _apply("backbone", variables, config, normalised.astype(dtype), training=training)
    pyramid, fpn_stats = _apply("fpn", variables, config, backbone, training=training)
    (objectness, deltas), _ = _apply("rpn_head", variables, config, pyramid, training=training)
    grids = [(level.shape[1], level.shape[2]) for level in pyramid]
    anchors = stages.pyramid_anchors((images.shape[1], images.shape[2]), grids, config.anchors)
    return Features(normalised, backbone, pyramid, objectness, deltas, anchors), trunk_stats | fpn_stats


def compute_proposals(features: Features, sizes: Float[Array, "b 2"], top_k: tuple[int, int], config: ModelConfig, mesh: Mesh) -> Proposals:
    """Proposals of every image; `top_k` before and after NMS."""
    anchors, (before, after) = features.anchors, top_k

    def of_image(size: Array, objectness: Any, deltas: Any) -> Proposals:
        usable = [stages.usable_anchors(level, size, config.anchors) for level in anchors]
        return stages.propose(objectness, deltas, anchors, usable, size, config.propose, pre_nms_top_k=before, post_nms_top_k=after)

    return per_image(of_image, mesh, sizes, features.objectness, features.deltas)


def pool_levels(boxes: Float[Array, "r 4"], config: PoolConfig) -> Int[Array, "r"]:
    """Index into P2 ... P5 of the level that each RoI, in canvas pixels, is read from."""
    return ops.roi_levels(
        boxes,
        levels=POOLED_LEVELS,
        finest=stages.FINEST,
        canonical_size=config.canonical_size,
        canonical_level=config.canonical_level,
        epsilon=config.level_epsilon,
        epsilon_at=config.level_epsilon_at,
    )


def _pool(features: Features, boxes: Float[Array, "b r 4"], size: int, config: ModelConfig, mesh: Mesh) -> Float[Array, "b r q q c"]:
    pool = config.pool
    strides = [float(2 ** (stages.FINEST + i)) for i in range(POOLED_LEVELS)]

    def of_image(boxes: Array, *pyramid: Array) -> Array:
        levels = pool_levels(boxes, pool)
        if pool.sampling == "adaptive":  # all boxes lie in the image: the number of those that reach too far, dropped here, is 0
            return ops.roi_align_adaptive(pyramid, boxes, levels, strides=strides, size=size, aligned=pool.aligned)[0]
        return ops.roi_align(pyramid, boxes, levels, strides=strides, size=size, samples=pool.samples, aligned=pool.aligned)

    return per_image(of_image, mesh, boxes, *features.pyramid[:POOLED_LEVELS])


def _mask_targets(
    instances: Instances, rois: RoiSamples, sizes: Float[Array, "b 2"], canvas: tuple[int, int], config: ModelConfig, mesh: Mesh
) -> Float[Array, "b s m m"]:
    cells, aligned = 2 * config.pool.mask_size, config.loss.mask_target_aligned

    def of_image(instances: Instances, rois: RoiSamples, size: Array) -> Array:
        arrays = (instances.masks, instances.mask_frames, rois.boxes, rois.gt_indices, size)
        if config.loss.mask_target_sampling == "adaptive":
            return ops.mask_targets_adaptive(*arrays, size=cells, max_samples=-(-max(canvas) // cells), aligned=aligned)
        return ops.mask_targets(*arrays, size=cells, samples=config.loss.mask_target_samples, aligned=aligned)

    coverage = per_image(of_image, mesh, instances, rois, sizes)
    return (coverage >= 0.5).astype(coverage.dtype) if config.loss.mask_target == "binary" else coverage
