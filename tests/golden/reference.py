"""The golden networks: their weights and pictures by rule, and the presets that they are held to."""

from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path

from maskrcnn_jax.config import presets
from maskrcnn_jax.reports.golden import Golden
from maskrcnn_jax.weights import from_arrays
from tests.golden.rule import fill

FOLDER = Path(__file__).parent
PRESETS = {
    "tv_maskrcnn_resnet50_fpn": ("torchvision", presets.torchvision_v1),
    "tv_maskrcnn_resnet50_fpn_v2": ("torchvision", presets.torchvision_v2),
    "d2_mask_rcnn_R_50_FPN_1x": ("detectron2", presets.detectron2),
    "d2_mask_rcnn_R_50_FPN_100ep_LSJ": ("detectron2", presets.detectron2_lsj),
}


class Reference(Golden):
    """One golden network; the files here leave out what a rule makes."""

    def __init__(self, name):
        super().__init__(FOLDER / f"{name}.npz", PRESETS[name][1]())
        assert self.system == PRESETS[name][0]

    @cached_property
    def weights(self):
        """The state dict."""
        rule = self.about["rule"]
        return fill(self.about["state_dict"], rule["salt"], rule["gains"], rule["overrides"])

    def config(self, group):
        config = super().config(group)
        return replace(config, backbone=replace(config.backbone, norm_epsilon=0.0)) if group == "eps0/" else config

    def variables(self, group):
        """The weights as variables of `config(group)`."""
        return from_arrays(self.system, self.weights, self.config(group))


@lru_cache(maxsize=1)
def reference(name) -> Reference:
    """The golden network `name`, the last one kept."""
    return Reference(name)
