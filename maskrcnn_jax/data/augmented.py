"""Augmentation of the user's own: any function of an example, Albumentations among them."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from maskrcnn_jax.config import InputConfig
from maskrcnn_jax.data.channels import RGB_BYTES
from maskrcnn_jax.data.check import check_example
from maskrcnn_jax.data.source import DataError, Source
from maskrcnn_jax.data.transforms import drop_vanished, fit_boxes
from maskrcnn_jax.structs import Category, Example

Augmentation = Callable[[Example, np.random.Generator], Example]


class Augmented:
    """A source whose images training changes by `augment`, before all that `AugmentConfig` asks for; evaluation sees them as they are."""

    def __init__(self, source: Source, augment: Augmentation) -> None:
        """Keep both.

        Args:
          source: any; all its members are this one's too.
          augment: example, generator -> example, a pure function: what it draws comes from the generator alone. It may change the
            image's size. With `DataConfig.workers` above 0 it must pickle.
        """
        self.source, self.augment = source, augment

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "source":  # not yet there when it is unpickled
            raise AttributeError(name)
        return getattr(self.source, name)

    @property
    def categories(self) -> tuple[Category, ...]:
        """Those of the source."""
        return self.source.categories

    @property
    def sizes(self) -> Int[np.ndarray, "n 2"]:
        """Those of the source's images, (height, width), unchanged."""
        return self.source.sizes

    def locate(self, i: int) -> tuple[Source, int]:
        """The source, and `i`; see `part_of`."""
        return self.source, i

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, i: int) -> Example:
        """Image `i`, unchanged."""
        return self.source[i]


@dataclass(frozen=True)
class Albumentations:
    """An Albumentations pipeline as an augmentation: `Augmented(source, Albumentations(Compose([...])))`.

    The pipeline gets the image, and as masks the objects' bitmaps in 0 and 255, of which what is above one half remains: with
    `Compose(..., mask_interpolation=cv2.INTER_LINEAR)` masks are resampled as the image is. Boxes are the tight ones of the masks that
    come back, so that it needs no `bbox_params`; objects without a pixel are left out. Of version 1.4.19 or later, which can be seeded.
    """

    pipeline: Any
    """An `albumentations.Compose`."""

    def __call__(self, example: Example, rng: np.random.Generator) -> Example:
        """Example as the pipeline, seeded from `rng`, returns it."""
        pipeline = deepcopy(self.pipeline)  # it keeps state, and threads share it
        pipeline.set_random_seed(int(rng.integers(2**32)))
        masks = list(example.masks * np.uint8(255))
        changed = pipeline(image=example.image, masks=masks) if masks else pipeline(image=example.image)
        image = changed["image"]
        kept = [np.asarray(mask > 127, np.uint8) for mask in changed.get("masks", [])]
        return fit_boxes(example._replace(image=image, masks=np.array(kept, np.uint8).reshape(len(kept), *image.shape[:2])))


def apply(
    augment: Augmentation, example: Example, rng: np.random.Generator, name: str, classes: int, input_config: InputConfig = RGB_BYTES
) -> Example:
    """Example changed by `augment`, without objects that have no pixel left, and checked; its image must be as `input_config` says.

    Raises:
      DataError: it raises anything, or what it returns is not what `structs.Example` says; begins with `name`.
    """
    try:
        changed: Any = augment(example, rng)
        changed = drop_vanished(changed) if isinstance(changed, Example) else changed
    except Exception as error:
        raise DataError(f"{name}: your own augmentation failed ({type(error).__name__}: {error}); mend it, or train without it") from error
    try:
        check_example(changed, classes, input_config)
    except DataError as error:
        raise DataError(f"{name}: what your own augmentation returned cannot be used: {error}") from None
    return changed
