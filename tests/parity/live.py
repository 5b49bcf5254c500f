"""torchvision's Mask R-CNNs and ours, with the same weights; and what torchvision's computed on the way."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np

from maskrcnn_jax.config import presets
from maskrcnn_jax.data import canvas_for, resized_size
from maskrcnn_jax.reports.golden import constant_norms, picture
from tests.golden.rule import fill
from tests.parity.calibrate import calibrate

# Few RoIs: torchvision's RoIAlign in Python takes two seconds for a hundred, or for 25 of the mask head's.
PRE_NMS, POST_NMS, DETECTIONS, ROIS = 300, 100, 25, 64
# As the golden networks': a first norm that feels its epsilon, and the deconvolution's true fan-in.
GAINS = [("layer1.0.bn1.weight", 0.01), ("layer1.0.bn1.running_var", 1e-4), ("mask_predictor.conv5_mask.weight", 2.0)]
BACKBONES = {
    "resnet18": {"depth": 18},
    "resnet50": {"depth": 50},
    "resnet101": {"depth": 101},
    "resnext50_32x4d": {"depth": 50, "groups": 32, "width_per_group": 4},
}


@dataclass(frozen=True)
class Variant:
    """What is compiled once; `images` are their (height, width)."""

    version: int
    backbone: str
    classes: int
    min_side: int
    max_side: int
    images: tuple[tuple[int, int], ...]
    seeds: int = 3
    trained: int = 0  # seeds that are trained as well

    @property
    def name(self):
        return f"v{self.version}-{self.backbone}-{'x'.join(map(str, self.canvas))}"

    @property
    def title(self):
        sizes = " + ".join(f"{height} x {width}" for height, width in self.sizes)
        return f"v{self.version} {self.backbone}, {self.classes} classes, {sizes}"

    @property
    def sizes(self):
        return [resized_size(size, self.min_side, self.max_side, "float") for size in self.images]

    @property
    def canvas(self):
        preset = presets.torchvision_v1().input
        return canvas_for((max(h for h, _ in self.sizes), max(w for _, w in self.sizes)), preset)

    @property
    def config(self):
        preset = (presets.torchvision_v1 if self.version == 1 else presets.torchvision_v2)(self.classes)
        # The Predictor pads an image alone; on one canvas it pads the batch as torchvision does.
        canvases = {} if len(self.images) == 1 else {"canvas": "fixed", "canvases": (self.canvas,)}
        return replace(
            preset,
            input=replace(preset.input, min_side=self.min_side, max_side=self.max_side, **canvases),
            backbone=replace(preset.backbone, **BACKBONES[self.backbone]),
            propose=replace(preset.propose, pre_nms_top_k_test=PRE_NMS, post_nms_top_k_test=POST_NMS),
            detect=replace(preset.detect, max_detections=DETECTIONS),
        )

    @property
    def training_config(self):
        """With norms held constant, of which gradients are taken all the same."""
        config = constant_norms(self.config)
        return replace(
            config,
            propose=replace(config.propose, pre_nms_top_k_train=PRE_NMS, post_nms_top_k_train=POST_NMS),
            assign=replace(config.assign, roi_samples=ROIS),
        )

    def pictures(self, seed):
        """uint8[h, w, 3] each."""
        return [picture(*size, 100 * seed + i) for i, size in enumerate(self.images)]


def build(torch, torchvision, variant):
    """torchvision's model, its weights its own random ones."""
    detection = torchvision.models.detection
    settings = {
        "num_classes": variant.classes + 1,
        "min_size": variant.min_side,
        "max_size": variant.max_side,
        "rpn_pre_nms_top_n_train": PRE_NMS,
        "rpn_pre_nms_top_n_test": PRE_NMS,
        "rpn_post_nms_top_n_train": POST_NMS,
        "rpn_post_nms_top_n_test": POST_NMS,
        "box_detections_per_img": DETECTIONS,
        "box_batch_size_per_image": ROIS,
    }
    if variant.version == 1:
        frozen = torchvision.ops.misc.FrozenBatchNorm2d
        backbone = detection.backbone_utils.resnet_fpn_backbone(
            backbone_name=variant.backbone, weights=None, trainable_layers=5, norm_layer=frozen
        )
        return detection.MaskRCNN(backbone, **settings)
    if variant.backbone == "resnet50":
        return detection.maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, **settings)
    norm = torch.nn.BatchNorm2d  # the lines of maskrcnn_resnet50_fpn_v2
    trunk = getattr(torchvision.models, variant.backbone)(weights=None)
    backbone = detection.backbone_utils._resnet_fpn_extractor(trunk, 5, norm_layer=norm)
    heads = detection.faster_rcnn
    return detection.MaskRCNN(
        backbone,
        rpn_head=detection.rpn.RPNHead(256, 3, conv_depth=2),
        box_head=heads.FastRCNNConvFCHead((256, 7, 7), [256] * 4, [1024], norm_layer=norm),
        mask_head=detection.mask_rcnn.MaskRCNNHeads(256, [256] * 4, 1, norm_layer=norm),
        **settings,
    )


def filled(torch, torchvision, variant, seed):
    """The model with the weights of `seed`, calibrated on its pictures; for such sizes alone, since its pooler keeps the first ones."""
    model = build(torch, torchvision, variant)
    state = model.state_dict()
    weights = fill({name: tuple(value.shape) for name, value in state.items()}, f"seed{seed}/", GAINS, {})
    model.load_state_dict(state | {name: torch.from_numpy(value) for name, value in weights.items()})
    calibrate(torch, model, tensors(torch, variant.pictures(seed)))
    return model


def arrays(model):
    """The state dict."""
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


def tensors(torch, pictures):
    """As torchvision takes them."""
    return [torch.from_numpy(image.transpose(2, 0, 1).copy()).float() / 255 for image in pictures]


def infer(torch, model, pictures):
    """Every stage of torchvision's inference by name, NHWC."""
    seen = _Watched(
        transform=model.transform,
        trunk=model.backbone.body,
        backbone=model.backbone,
        head=model.rpn.head,
        anchors=model.rpn.anchor_generator,
        rpn=model.rpn,
        heads=model.roi_heads,
    )
    with seen, torch.no_grad():
        results = model.eval()(tensors(torch, pictures))
    images, _ = seen["transform"]
    objectness, deltas = seen["head"]
    return SimpleNamespace(
        image=_nhwc(images.tensors),
        sizes=images.image_sizes,
        trunk=[_nhwc(level) for level in seen["trunk"].values()],
        pyramid=[_nhwc(level) for level in seen["backbone"].values()],
        objectness=[_nhwc(level) for level in objectness],
        deltas=[_nhwc(level) for level in deltas],
        anchors=seen["anchors"][0].numpy(),
        proposals=[boxes.numpy() for boxes in seen["rpn"][0]],
        detections=[_numpy(row) for row in seen["heads"][0]],  # on the canvas, masks as grids
        results=[_numpy(row) for row in results],  # in the pictures' pixels, masks pasted
    )


class _Watched(dict):
    """Outputs of modules, by name, of the last call."""

    def __init__(self, **modules):
        super().__init__()
        self._modules = modules

    def __enter__(self):
        self._handles = [module.register_forward_hook(self._keep(name)) for name, module in self._modules.items()]

    def __exit__(self, *_):
        for handle in self._handles:
            handle.remove()

    def _keep(self, name):
        def hook(module, _, output):
            if name == "heads":  # the model goes on to change these rows
                output = ([dict(row) for row in output[0]], output[1])
            self[name] = output

        return hook


def train(torch, model, pictures, objects, *, last):
    """One step of torchvision's training up to the gradients, the first candidates sampled, or the last ones.

    objects: of each picture its boxes, labels and masks, in its pixels.
    """
    way = slice(None, None, -1 if last else 1)  # torchvision loses it: its samples are masks
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    seen = _Watched(transform=model.transform, anchors=model.rpn.anchor_generator, rpn=model.rpn)
    calls = {}

    def watch(owner, name):
        function = getattr(owner, name)

        def watched(*arguments):
            calls[name] = function(*arguments)
            return calls[name]

        setattr(owner, name, watched)

    watch(model.rpn, "assign_targets_to_anchors")
    watch(model.rpn, "fg_bg_sampler")
    watch(model.roi_heads, "select_training_samples")
    targets = [{name: torch.from_numpy(value) for name, value in row.items()} for row in objects]
    randperm = torch.randperm
    torch.randperm = lambda n, device=None: torch.arange(n).flip(0) if last else torch.arange(n)
    try:
        with seen:
            losses = model(tensors(torch, pictures), targets)
    finally:
        torch.randperm = randperm
    sum(losses.values()).backward()
    images, resized = seen["transform"]
    matched = calls["assign_targets_to_anchors"][1]
    positives, negatives = calls["fg_bg_sampler"]
    rois = zip(*calls["select_training_samples"][:3], strict=True)
    return SimpleNamespace(
        sizes=images.image_sizes,
        objects=[_numpy(row) for row in resized],
        anchors=seen["anchors"][0].numpy(),
        proposals=[boxes.numpy() for boxes in seen["rpn"][0]],
        sampled=[(np.flatnonzero(p.numpy())[way], np.flatnonzero(n.numpy())[way]) for p, n in zip(positives, negatives, strict=True)],
        matched=[boxes.numpy() for boxes in matched],
        rois=[SimpleNamespace(boxes=b.numpy()[way], gt_indices=i.numpy()[way], labels=k.numpy()[way]) for b, i, k in rois],
        losses={name: value.item() for name, value in losses.items()},
        gradients={name: p.grad.numpy() for name, p in model.named_parameters() if p.grad is not None},
    )


def objects(variant, seed):
    """Ellipses to train on, int64 labels, uint8 masks, of about an anchor's size and shape.

    Where the best anchor reaches 0.7 it is positive without being the best: of anchors wholly inside a box, or around it, all have
    the same overlap but for its rounding, and which are best were a matter of that.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for (height, width), (canvas_height, _) in zip(variant.images, variant.sizes, strict=True):
        scale = height / canvas_height
        masks = []
        for h, w in ((32, 32), (64, 64), (45, 91), (91, 45), (128, 128)):
            h, w = h * scale * rng.uniform(0.95, 1.05), w * scale * rng.uniform(0.95, 1.05)
            y, x = rng.uniform(h / 2, height - h / 2), rng.uniform(w / 2, width - w / 2)
            rows_, columns = np.mgrid[0:height, 0:width] + 0.5
            masks.append(((rows_ - y) / (h / 2)) ** 2 + ((columns - x) / (w / 2)) ** 2 < 1)
        masks = np.stack(masks)
        down, across = masks.any(axis=2), masks.any(axis=1)
        boxes = np.stack([across.argmax(1), down.argmax(1), width - across[:, ::-1].argmax(1), height - down[:, ::-1].argmax(1)], axis=1)
        labels = rng.integers(1, variant.classes + 1, len(masks))
        rows.append({"boxes": boxes.astype(np.float32), "labels": labels, "masks": masks.astype(np.uint8)})
    return rows


def _nhwc(tensor):
    return tensor.detach().numpy().transpose(0, 2, 3, 1)


def _numpy(row):
    return {name: value.numpy() for name, value in row.items()}
