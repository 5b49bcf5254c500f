"""matterport's shapes sample, learnt from random weights on pictures that are drawn when they are read: python examples/shapes.py."""

import numpy as np

from maskrcnn_jax import matterport


class ShapesConfig(matterport.Config):
    NAME = "shapes"
    BACKBONE, TRAIN_BN = "resnet18", None  # theirs is a resnet101 with COCO's weights, whose batch norms stay frozen
    IMAGES_PER_GPU = 8
    NUM_CLASSES = 1 + 3  # background and shapes
    IMAGE_MIN_DIM = IMAGE_MAX_DIM = 128
    RPN_ANCHOR_SCALES = (8, 16, 32, 64, 128)
    TRAIN_ROIS_PER_IMAGE = 32
    STEPS_PER_EPOCH = 100


class ShapesDataset(matterport.Dataset):
    def load_shapes(self, count, side, draw):
        for number, name in enumerate(("square", "circle", "triangle"), start=1):
            self.add_class("shapes", number, name)
        for i in range(count):
            shapes = [(draw(1, 4), draw(0, side, (2, 1, 1)), draw(side // 6, side // 4), draw(0, 256, 3)) for _ in range(draw(1, 5))]
            shapes.sort(key=lambda shape: -shape[2])  # small ones last: what is drawn later hides what is drawn earlier
            self.add_image("shapes", i, path=None, height=side, width=side, ground=draw(0, 256, 3), shapes=shapes)

    def load_image(self, image_id):
        info = self.image_info[image_id]
        image = np.full((info["height"], info["width"], 3), info["ground"], np.uint8)
        for *shape, colour in info["shapes"]:
            image[self.covered(info, *shape)] = colour
        return image

    def load_mask(self, image_id):
        info = self.image_info[image_id]
        whole = [self.covered(info, *shape) for *shape, _ in info["shapes"]]
        visible = [mask & ~np.any(whole[i + 1 :], axis=0) for i, mask in enumerate(whole)]
        return np.stack(visible, axis=2), np.array([kind for kind, *_ in info["shapes"]])

    def covered(self, info, kind, centre, size):
        y, x = np.mgrid[: info["height"], : info["width"]] - centre
        return ((abs(y) <= size) & (abs(x) <= size), y**2 + x**2 <= size**2, (y <= size) & (2 * abs(x) <= y + size))[kind - 1]


def main(images=(500, 50), logs="logs"):
    datasets = ShapesDataset(), ShapesDataset()
    for seed, (dataset, count) in enumerate(zip(datasets, images, strict=True)):
        dataset.load_shapes(count, ShapesConfig.IMAGE_MAX_DIM, np.random.default_rng(seed).integers)
        dataset.prepare()
    model = matterport.MaskRCNN(mode="training", config=ShapesConfig(), model_dir=logs)
    model.train(*datasets, learning_rate=0.01, epochs=3, layers="all")
    model.train(*datasets, learning_rate=0.001, epochs=4, layers="all")
    model = matterport.MaskRCNN(mode="inference", config=ShapesConfig(), model_dir=logs)
    model.load_weights(model.find_last())
    return model.detect([datasets[1].load_image(i) for i in datasets[1].image_ids[:3]])


if __name__ == "__main__":
    print(*main(), sep="\n")
