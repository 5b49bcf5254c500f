"""matterport's MaskRCNN: `training.train` a call of `train`, and a `Predictor` whose results have its names."""

import glob
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

from maskrcnn_jax import checkpoint, models
from maskrcnn_jax.checkpoint import CheckpointError
from maskrcnn_jax.config import ConfigError
from maskrcnn_jax.data import Augmented, Source
from maskrcnn_jax.data.augmented import Augmentation
from maskrcnn_jax.inference import Predictor
from maskrcnn_jax.matterport.config import OVERRIDE, PAGE, Config
from maskrcnn_jax.structs import Result
from maskrcnn_jax.training import Evaluation, train
from maskrcnn_jax.weights import WeightsError, differences

LAYERS = {"heads": 5, "5+": 4, "4+": 3, "3+": 2, "all": 0}
"""What `train` trains -> how many of stem, C2 ... C5 it does not."""
CLASS_LAYERS = {"mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_bbox", "mrcnn_mask"}  # the third has no weights
AT_DETECTION = (
    *("model.input.min_side", "model.input.max_side", "model.input.canvases", "model.propose.pre_nms_top_k_test"),
    *("model.propose.post_nms_top_k_test", "model.propose.nms_threshold", "model.detect.max_detections", "model.detect.nms_threshold"),
    "model.detect.score_threshold",
)
"""What a model may do otherwise in detection than it was trained to."""


class MaskRCNN:
    """matterport's model: `load_weights`, then `train` in mode "training", or `detect` in mode "inference".

    Attributes:
      epoch: epochs trained by this object.
      log_dir: where `train` makes a run folder a call: `model_dir`, NAME in lower case and the time.
    """

    def __init__(self, mode: str, config: Config, model_dir: str | Path) -> None:
        """Check the configuration; nothing is written.

        Args:
          mode: "training" or "inference".
          config: an instance of a subclass of `Config`.
          model_dir: folder of the runs.

        Raises:
          ConfigError: as `Config.experiment`, or another mode.
        """
        if mode not in ("training", "inference"):
            raise ConfigError(f'mode is {mode!r}; give "training" or "inference"')
        self.mode, self.config, self.model_dir = mode, config, Path(model_dir)
        self.epoch = 0
        self._experiment = config.experiment()
        self.log_dir = self.model_dir / f"{config.NAME.lower()}{datetime.now():%Y%m%dT%H%M%S}"
        self._predictor: Predictor | None = None

    def find_last(self) -> Path:
        """Folder of the last checkpoint of the last training below `model_dir` of a configuration of this NAME.

        Raises:
          CheckpointError: there is none.
        """
        time = "[0-9]" * 8 + "T" + "[0-9]" * 6
        pattern = f"{glob.escape(self.config.NAME.lower())}{time}/epochs_*"
        steps = {run: checkpoint.latest_step(run) for run in self.model_dir.glob(pattern)}
        runs = [run for run, step in steps.items() if step is not None]
        if not runs:
            raise CheckpointError(f"{self.model_dir}: no training of {self.config.NAME!r} below it; give the folder that it was written to")
        return _last_checkpoint(max(runs))

    def load_weights(self, filepath: str | Path, exclude: Collection[str] | None = None) -> None:
        """Begin `train` with weights, or `detect` with them.

        Args:
          filepath: a run folder (its best checkpoint by mask AP), or the folder of one checkpoint, see `find_last`. To train from, also
            what `train.weights` takes: a classifier's or a detector's file, its URL, or a name of those that `maskrcnn convert` lists.
          exclude: the layers that depend on the classes, by matterport's names, to train them anew.

        Raises:
          ConfigError: other layers are to be excluded.
          WeightsError: matterport's own .h5; in inference, a model that is not what the configuration describes.
          CheckpointError: in inference, no checkpoint.
        """
        if str(filepath).endswith(".h5"):
            raise WeightsError(
                f"{filepath}: Keras weights are of a network with other layers and cannot be read; start from an ImageNet classifier or "
                f"a Detectron2 or torchvision Mask R-CNN, see {PAGE}"
            )
        if exclude and set(exclude) | {"mrcnn_bbox"} != CLASS_LAYERS:
            raise ConfigError(
                f"exclude is {sorted(exclude)}; all that depends on the classes can be left out, {sorted(CLASS_LAYERS)}, or nothing"
            )
        if self.mode == "training":
            started = replace(self._experiment.train, weights=str(filepath), new_classes=bool(exclude))
            self._experiment = replace(self._experiment, train=started)
        elif exclude:
            raise ConfigError('exclude is for training: give mode="training", or leave it out')
        else:
            self._predictor = self._loaded(filepath)

    def train(
        self,
        train_dataset: Source,
        val_dataset: Source,
        learning_rate: float,
        epochs: int,
        layers: str,
        augmentation: Augmentation | None = None,
    ) -> Evaluation:
        """Train up to epoch `epochs`, measure after each, and leave a run folder in `log_dir`; the next call goes on from its weights.

        Args:
          train_dataset: a `Dataset`, prepared, or any source.
          val_dataset: to measure on, of the same classes.
          learning_rate: of all these epochs.
          epochs: how many this object has trained when it is done, so that a second call gives the sum.
          layers: "heads" (all but the trunk), "5+", "4+", "3+" (C5, C4, C3 and what follows), "all".
          augmentation: example, generator -> example: a function, or `data.Albumentations(pipeline)`.

        Returns:
          The evaluation after the last epoch.

        Raises:
          ConfigError: another mode; arguments that cannot be used; a dataset of other classes.
          DataError, WeightsError, CheckpointError, NonFiniteError, Interrupted: as `training.train`.
        """
        self._require("training")
        if layers not in LAYERS:
            raise ConfigError(f"layers is {layers!r}; give one of {', '.join(LAYERS)}, or {OVERRIDE} of the Config and set train.freeze")
        if epochs <= self.epoch:
            raise ConfigError(f"epochs is {epochs}, and {self.epoch} are done; it counts from the first, so give more")
        if type(augmentation).__module__.startswith("imgaug"):
            raise ConfigError(f"augmentation is imgaug's; give data.Albumentations(pipeline), or any function of an example, see {PAGE}")
        if len(train_dataset.categories) + 1 != self.config.NUM_CLASSES:
            raise ConfigError(
                f"NUM_CLASSES is {self.config.NUM_CLASSES}, {type(train_dataset).__name__} has {len(train_dataset.categories)} classes and "
                "the background; make them equal"
            )
        started = self._experiment
        backbone = replace(started.model.backbone, frozen_stages=LAYERS[layers])
        steps = (epochs - self.epoch) * started.train.steps
        config = replace(
            started,
            model=replace(started.model, backbone=backbone),
            optimizer=replace(started.optimizer, learning_rate=learning_rate),
            train=replace(started.train, steps=steps),
        )
        run = self.log_dir / f"epochs_{self.epoch + 1:04d}_{epochs:04d}"
        source = Augmented(train_dataset, augmentation) if augmentation else train_dataset
        result = train(config, run, sources=(source, val_dataset))
        self.epoch = epochs
        self.load_weights(_last_checkpoint(run))
        return result

    def detect(self, images: Sequence[np.ndarray]) -> list[dict[str, np.ndarray]]:
        """What is in `images`, uint8[h, w, 3], RGB, of any number and sizes.

        Returns:
          Of each image, best first, n detections: `rois` int32[n, 4], (y1, x1, y2, x2) in the image's pixels, rounded; `class_ids`
          int32[n]; `scores` float32[n]; `masks` bool[h, w, n]. As with matterport, those whose box is empty once rounded are left out.

        Raises:
          ConfigError: another mode, or no weights.
          DataError: as `Predictor`.
        """
        self._require("inference")
        if self._predictor is None:
            raise ConfigError("there are no weights to detect with; call load_weights first")
        return [_named(result) for result in self._predictor(images)]

    def _require(self, mode: str) -> None:
        if self.mode != mode:
            raise ConfigError(f'this MaskRCNN is made for {self.mode}; make one with mode="{mode}"')

    def _loaded(self, path: str | Path) -> Predictor:
        """The model of a checkpoint, in detection as the configuration says."""
        stored = checkpoint.load(path)
        ours, trained = self._experiment.model, stored.config.model
        others = [line for line in differences(ours, trained) if line.split()[0] not in AT_DETECTION]
        if others or ours.num_classes != trained.num_classes:
            counts = f"model.num_classes is {ours.num_classes} here, {trained.num_classes} there"
            raise WeightsError(
                f"{path}: trained with other values than {type(self.config).__name__} has; give the Config that it was trained with, or "
                "load any model by maskrcnn_jax.load:\n  " + "\n  ".join(others or [counts])
            )
        model = replace(trained, input=ours.input, propose=ours.propose, detect=ours.detect)
        return Predictor(models.build(model), stored.variables, stored.categories, batch_size=self.config.IMAGES_PER_GPU)


def _last_checkpoint(run: Path) -> Path:
    return run / checkpoint.FOLDER / str(checkpoint.latest_step(run))


def _named(result: Result) -> dict[str, Any]:
    """A result with matterport's names, types and order of coordinates."""
    rois = np.rint(result.boxes[:, [1, 0, 3, 2]]).astype(np.int32)
    kept = np.flatnonzero((rois[:, 2:] > rois[:, :2]).all(axis=1))
    masks = [mask_utils.decode(result.masks[i]).astype(bool) for i in kept]
    return {
        "rois": rois[kept],
        "class_ids": result.labels[kept].astype(np.int32),
        "scores": result.scores[kept],
        "masks": np.stack(masks, axis=2) if masks else np.zeros((*result.size, 0), bool),
    }
