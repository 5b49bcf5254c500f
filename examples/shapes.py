"""matterport's shapes sample, learnt from random weights on pictures that are drawn when they are read: python examples/shapes.py."""

import numpy as np

from maskrcnn_jax import matterport


class ShapesConfig(matterport.Config):
    NAME = "shapes"
    BACKBONE = "resnet18"  # theirs is a resnet101 with COCO's weights, whose batch norms stay frozen
    TRAIN_BN = None
    IMAGES_PER_GPU = 8
    NUM_CLASSES = 1 + 3  # background and shapes
    IMAGE_MIN_DIM = IMAGE_MAX_DIM = 128
    RPN_ANCHOR_SCALES = (8, 16, 32, 64, 128)
    TRAIN_ROIS_PER_IMAGE = 32
    STEPS_PER_EPOCH = 100
    VALIDATION_STEPS = 5


class ShapesDataset(matterport.Dataset):
    def load_shapes(self, count, side, seed):
        rng = np.random.default_rng(seed)
        for number, name in enumerate(("square", "circle", "triangle"), start=1):
            self.add_class("shapes", number, name)
        for i in range(count):
            shapes = [(self.random_shape(rng, side), rng.integers(0, 256, 3)) for _ in range(rng.integers(1, 5))]
            self.add_image("shapes", i, path=None, height=side, width=side, ground=rng.integers(0, 256, 3), shapes=shapes)

    def random_shape(self, rng, side):
        return rng.integers(1, 4), rng.integers(side // 6, side - side // 6, (2, 1, 1)), rng.integers(side // 6, side // 4)

    def load_image(self, image_id):
        info = self.image_info[image_id]
        image = np.full((info["height"], info["width"], 3), info["ground"], np.uint8)
        for shape, colour in info["shapes"]:
            image[draw(shape, info)] = colour
        return image

    def load_mask(self, image_id):
        info = self.image_info[image_id]
        whole = [draw(shape, info) for shape, _ in info["shapes"]]
        visible = [mask & ~np.any(whole[i + 1 :], axis=0) for i, mask in enumerate(whole)]  # later ones hide earlier ones
        return np.stack(visible, axis=2), np.array([kind for (kind, *_), _ in info["shapes"]])


def draw(shape, info):
    kind, centre, size = shape
    y, x = np.mgrid[: info["height"], : info["width"]] - centre
    return ((abs(y) <= size) & (abs(x) <= size), y**2 + x**2 <= size**2, (y <= size) & (2 * abs(x) <= y + size))[kind - 1]


def main(images=(500, 50), epochs=(3, 4), logs="logs"):
    datasets = ShapesDataset(), ShapesDataset()
    for seed, (dataset, count) in enumerate(zip(datasets, images, strict=True)):
        dataset.load_shapes(count, ShapesConfig.IMAGE_MAX_DIM, seed)
        dataset.prepare()
    model = matterport.MaskRCNN(mode="training", config=ShapesConfig(), model_dir=logs)
    model.train(*datasets, learning_rate=0.01, epochs=epochs[0], layers="all")
    model.train(*datasets, learning_rate=0.001, epochs=epochs[1], layers="all")
    model = matterport.MaskRCNN(mode="inference", config=ShapesConfig(), model_dir=logs)
    model.load_weights(model.find_last())
    return model.detect([datasets[1].load_image(i) for i in datasets[1].image_ids[:3]])


if __name__ == "__main__":
    for found in main():
        print(found["class_ids"], found["rois"].tolist())
