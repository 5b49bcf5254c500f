"""matterport's balloon sample: find balloons, and leave colour to them alone.

python examples/balloon.py train --dataset balloon --weights resnet101.pth, and then python examples/balloon.py splash --image party.jpg
"""

import json
from pathlib import Path

import numpy as np
import tyro
from PIL import Image

from maskrcnn_jax import matterport
from maskrcnn_jax.data import bitmap, read_image


class BalloonConfig(matterport.Config):
    NAME = "balloon"
    NUM_CLASSES = 1 + 1  # background and balloon
    STEPS_PER_EPOCH = 100
    DETECTION_MIN_CONFIDENCE = 0.9


class BalloonDataset(matterport.Dataset):
    def load_balloon(self, folder):
        self.add_class("balloon", 1, "balloon")
        for entry in json.loads((folder / "via_region_data.json").read_text()).values():
            regions = entry["regions"] if isinstance(entry["regions"], list) else entry["regions"].values()  # of VIA 2, and of VIA 1
            polygons = [region["shape_attributes"] for region in regions]
            if polygons:
                self.add_image("balloon", image_id=entry["filename"], path=folder / entry["filename"], polygons=polygons)

    def load_mask(self, image_id):
        outlines = [np.stack([p["all_points_x"], p["all_points_y"]], axis=1) for p in self.image_info[image_id]["polygons"]]
        masks = [bitmap([outline.ravel().tolist()], *self.sizes[image_id].tolist()) for outline in outlines]
        return np.stack(masks, axis=2), np.ones(len(masks), np.int32)

    def image_reference(self, image_id):
        return self.image_info[image_id]["path"]


def train(dataset: Path, weights: str, epochs: int = 30, logs: Path = Path("logs")):
    model = matterport.MaskRCNN(mode="training", config=BalloonConfig(), model_dir=logs)
    model.load_weights(weights)
    datasets = BalloonDataset(), BalloonDataset()
    for part, subset in zip(datasets, ("train", "val"), strict=True):
        part.load_balloon(dataset / subset)
        part.prepare()
    model.train(*datasets, learning_rate=model.config.LEARNING_RATE, epochs=epochs, layers="heads")


def splash(image: Path, out: Path = Path("splash.png"), logs: Path = Path("logs")):
    model = matterport.MaskRCNN(mode="inference", config=BalloonConfig(), model_dir=logs)
    model.load_weights(model.find_last())
    balloons = model.detect([pixels := read_image(image)])[0]["masks"].any(axis=2, keepdims=True)
    Image.fromarray(np.where(balloons, pixels, pixels.mean(axis=2, keepdims=True)).astype(np.uint8)).save(out)


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict({"train": train, "splash": splash})
