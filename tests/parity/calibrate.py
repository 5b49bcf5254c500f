"""Gains and biases of a randomly filled model's last layers, so that what it says is neither nothing nor all the same."""

import math

# Spread of a layer's outputs around their channels' means, and these means: about those of the golden networks (tests/golden/*.json).
FPN = (1.0, 0.0)
OBJECTNESS = (0.8, -2.5)
ANCHOR_DELTAS = (0.25, 0.0)
CLASS_SPREAD = 3.0
BOX_DELTAS = (0.9, 0.0)
MASKS = (1.35, 0.0)


def calibrate(torch, model, images):
    """Set them in one forward pass over `images`: a layer's output is corrected before the next layer reads it."""
    head, predictor = model.rpn.head, model.roi_heads.box_predictor
    wanted = [(block[-1], *FPN) for block in model.backbone.fpn.layer_blocks]  # a convolution, or its norm
    wanted += [(head.cls_logits, *OBJECTNESS), (head.bbox_pred, *ANCHOR_DELTAS)]  # as it is at P2, the first level
    classes = torch.zeros(predictor.cls_score.out_features)
    # About the largest of so many normal logits: a good part of the RoIs, but no majority, is something else.
    classes[0] = CLASS_SPREAD * math.sqrt(2 * math.log(len(classes) - 1))
    wanted += [(predictor.cls_score, CLASS_SPREAD, classes), (predictor.bbox_pred, *BOX_DELTAS)]
    wanted += [(model.roi_heads.mask_predictor.mask_fcn_logits, *MASKS)]
    many = model.rpn._post_nms_top_n, model.roi_heads.detections_per_img
    model.rpn._post_nms_top_n, model.roi_heads.detections_per_img = {"testing": 50}, 10  # enough for a spread
    handles = [layer.register_forward_hook(_rescaled(spread, mean)) for layer, spread, mean in wanted]
    with torch.no_grad():
        model.eval()(images)
    for handle in handles:
        handle.remove()
    model.rpn._post_nms_top_n, model.roi_heads.detections_per_img = many


def _rescaled(spread, mean):
    seen = []

    def hook(layer, _, output):
        if seen:  # a layer is shared by levels
            return None
        seen.append(True)
        per_channel = (-1, 1, 1)[: output.dim() - 1]
        means = output.mean([axis for axis in range(output.dim()) if axis != 1])
        gain = spread / (output - means.reshape(per_channel)).std()
        shift = mean - gain * means
        layer.weight.mul_(gain)
        layer.bias.mul_(gain).add_(shift)
        return gain * output + shift.reshape(per_channel)

    return hook
