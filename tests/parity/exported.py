"""A torchvision model that computes what a config of ours says, for weights written by `maskrcnn convert --to-torchvision`."""

import numpy as np

STRIDES = (4, 8, 16, 32, 64)


def build(torch, torchvision, config, file):
    """torchvision's model with the weights in `file`.

    Four things are not arguments of torchvision's: base anchors that are not rounded, strides by level, aligned RoIAlign, and
    pictures that are resized already.
    """
    detection, ops = torchvision.models.detection, torchvision.ops

    class Anchors(detection.anchor_utils.AnchorGenerator):
        def generate_anchors(self, scales, aspect_ratios, dtype=torch.float32, device="cpu"):
            roots = torch.sqrt(torch.tensor(aspect_ratios, dtype=dtype))
            heights, widths = roots * scales[0], scales[0] / roots
            return torch.stack([-widths, -heights, widths, heights], dim=1) / 2

        def grid_anchors(self, grid_sizes, strides):
            return super().grid_anchors(grid_sizes, [[torch.tensor(stride)] * 2 for stride in STRIDES])

    class Pool(ops.MultiScaleRoIAlign):
        def __init__(self, size):
            super().__init__(["0", "1", "2", "3"], size, config.pool.samples)

        def forward(self, x, boxes, image_shapes):
            pool, pyramid, (boxes,) = config.pool, x, boxes
            areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
            levels = torch.floor(pool.canonical_level + torch.log2(areas.sqrt() / pool.canonical_size + pool.level_epsilon)).clamp(2, 5) - 2
            pooled = torch.zeros(len(boxes), pyramid["0"].shape[1], *self.output_size)
            for level, stride in enumerate(STRIDES[:4]):
                chosen = levels == level
                if chosen.any():
                    pooled[chosen] = ops.roi_align(
                        pyramid[str(level)], [boxes[chosen]], self.output_size, 1 / stride, sampling_ratio=pool.samples, aligned=True
                    )
            return pooled

    class Transform(detection.transform.GeneralizedRCNNTransform):
        def resize(self, image, target=None):
            return image, target

    backbone = detection.backbone_utils.resnet_fpn_backbone(
        backbone_name=f"resnet{config.backbone.depth}", weights=None, trainable_layers=5, norm_layer=ops.misc.FrozenBatchNorm2d
    )
    model = detection.MaskRCNN(
        backbone,
        num_classes=config.num_classes + 1,
        rpn_anchor_generator=Anchors(tuple((size,) for size in config.anchors.sizes), (config.anchors.ratios,) * 5),
        rpn_pre_nms_top_n_test=config.propose.pre_nms_top_k_test,
        rpn_post_nms_top_n_test=config.propose.post_nms_top_k_test,
        box_detections_per_img=config.detect.max_detections,
        box_roi_pool=Pool(config.pool.box_size),
        mask_roi_pool=Pool(config.pool.mask_size),
    )
    mean, std = np.array(config.input.mean) / 255, np.array(config.input.std) / 255
    model.transform = Transform(1, 1, mean.tolist(), std.tolist())
    model.load_state_dict(torch.load(file, weights_only=True))
    return model.eval()


def detections(torch, model, image):
    """Boxes, labels, scores and mask grids of an image float32[h, w, 3], 0-255, that is resized already."""
    kept = {}

    def keep(module, _, output):
        kept.update({name: value.clone() for name, value in output[0][0].items()})

    handle = model.roi_heads.register_forward_hook(keep)
    with torch.no_grad():
        model([torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), np.float32) / 255)])
    handle.remove()
    return {name: value.numpy() for name, value in kept.items()}
