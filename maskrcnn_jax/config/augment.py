"""Configuration of augmentation: how training images differ from those of the data. All but horizontal flips is off by default."""

from dataclasses import dataclass

from maskrcnn_jax.config.check import require


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """What is done to training images, their boxes and their masks alike."""

    flip: float = 0.5
    """Probability of a horizontal flip."""
    flip_vertical: float = 0.0
    """Probability of a vertical flip."""
    min_sides: tuple[int, ...] = ()
    """Short sides that images are resized to, one drawn for each, pixels; empty: `model.input.min_side` alone."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Large-scale jitter: range of a factor of the resized image's sides; what then exceeds the canvas is cropped at random, and the
    rest of the canvas filled with the mean colour. (0.1, 2.0) in the paper; (1, 1): no jitter."""
    crop: float = 1.0
    """Smallest share of each side that a random crop keeps, objects in their size; 1: no crop."""
    rotate: float = 0.0
    """Largest rotation either way, degrees; the corners that open have the mean colour, until colours are changed, theirs too."""
    brightness: float = 0.0
    """Colours are multiplied by up to 1 plus or minus this."""
    contrast: float = 0.0
    """Distances from the image's mean grey are multiplied by up to 1 plus or minus this."""
    saturation: float = 0.0
    """Distances from the pixel's own grey are multiplied by up to 1 plus or minus this; of RGB alone."""
    hue: float = 0.0
    """Hues are turned by up to this share of the colour circle, either way; of RGB alone."""
    blur: float = 0.0
    """Largest standard deviation of a Gaussian blur, pixels of the resized image."""
    copy_paste: float = 0.0
    """Probability that objects of another image, about half of them, are pasted over an image."""
    mosaic: float = 0.0
    """Probability that an image is put together with three others, one a corner."""

    def __post_init__(self) -> None:
        for name in ("flip", "flip_vertical", "brightness", "contrast", "saturation", "copy_paste", "mosaic"):
            require(0 <= getattr(self, name) <= 1, self, name, "must be in [0, 1]")
        require(all(side > 0 for side in self.min_sides), self, "min_sides", "must be positive")
        require(0 < self.scale[0] <= self.scale[1] <= 10, self, "scale", "must be positive, ascend and be at most 10")
        require(0 < self.crop <= 1, self, "crop", "must be in (0, 1]")
        require(0 <= self.rotate <= 180, self, "rotate", "must be in [0, 180]")
        require(0 <= self.hue <= 0.5, self, "hue", "must be in [0, 0.5]")
        require(0 <= self.blur <= 100, self, "blur", "must be in [0, 100]")

    @property
    def jitters(self) -> bool:
        """Whether there is large-scale jitter, so that every image fills its canvas."""
        return self.scale != (1.0, 1.0)

    @property
    def cuts(self) -> bool:
        """Whether objects may lose parts, so that boxes are made anew."""
        return self.jitters or any((self.crop < 1, self.rotate, self.copy_paste, self.mosaic))
