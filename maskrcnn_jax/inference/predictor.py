"""The one way from images on the host to results on the host."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from threading import Lock
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jax.stages import Compiled
from jaxtyping import Array, Bool, Float
from pycocotools import mask as mask_utils

from maskrcnn_jax import ops
from maskrcnn_jax.config import ConfigError, PasteConfig
from maskrcnn_jax.data import Size, canvas_for, check_image, expected_canvases, resize_image, resized_size
from maskrcnn_jax.models import DATA_AXIS, Model, Variables, compile_ahead
from maskrcnn_jax.structs import Category, Detections, Result

T = TypeVar("T")
logger = logging.getLogger(__name__)

CALLS_AT_ONCE = 8  # a stream's images go to the model so many calls together: of various shapes, they fill their canvases' batches
PASTED_AT_ONCE = 16  # masks in one call: bounds memory at so many images of the result's size
PASTE_MULTIPLE = 128  # images are pasted into sides rounded up to this, so that few sizes are compiled

# `Model.predict` -> shapes and dtypes of variables -> batch's shape -> its program, for all Predictors of a model: training makes one an
# evaluation. Calls from several threads compile one after the other.
_programs: WeakKeyDictionary[Any, dict[Any, dict[tuple[int, ...], Compiled]]] = WeakKeyDictionary()
_compiling = Lock()


class Predictor:
    """Images of any size in, results in their own pixels out.

    model, variables, categories: what it was made of. One program is compiled a canvas, from the resized images to detections with
    masks, and one that pastes masks a (rounded) image size; each is logged. `warmup` compiles them ahead.
    """

    def __init__(self, model: Model, variables: Variables, categories: Sequence[Category], *, batch_size: int = 1) -> None:
        """Hold a model ready.

        Args:
          model: from `models.build`.
          variables: parameters and statistics; moved to the model's devices.
          categories: label k is categories[k - 1].
          batch_size: images in one call of the model, a multiple of the mesh's devices.

        Raises:
          ConfigError: `batch_size` is not such a multiple.
          ValueError: the model has another number of classes than `categories`.
        """
        if len(categories) != model.config.num_classes:
            raise ValueError(
                f"the model has {model.config.num_classes} classes, there are {len(categories)} categories; give those it was trained on"
            )
        devices = model.mesh.shape[DATA_AXIS]
        if batch_size < 1 or batch_size % devices:
            several = ", ".join(str(devices * i) for i in (1, 2, 3))
            raise ConfigError(f"batch_size is {batch_size}, which {devices} device(s) cannot share evenly; give {several} or so on")
        self.model, self.categories, self.batch_size = model, tuple(categories), batch_size
        self._rows = NamedSharding(model.mesh, PartitionSpec(DATA_AXIS))
        self.variables = jax.device_put(variables, NamedSharding(model.mesh, PartitionSpec()))
        kind = tuple((x.shape, x.dtype) for x in jax.tree.leaves(self.variables))
        with _compiling:
            self._programs = _programs.setdefault(model.predict, {}).setdefault(kind, {})

    def __call__(self, images: Sequence[Any] | np.ndarray) -> list[Result]:
        """Results of `images`, each uint8[height, width, 3], RGB of any size, or as `model.input` says, in the same order.

        Raises:
          DataError: an image is something else, or fits no canvas of the model's config.
        """
        sizes: list[Size] = []
        groups: dict[Size, list[int]] = defaultdict(list)
        for i, image in enumerate(images):
            size, canvas = self.place(image, f"image {i} of the list")
            sizes.append(size)
            groups[canvas].append(i)
        results: dict[int, Result] = {}
        for canvas, members in groups.items():
            for start in range(0, len(members), self.batch_size):
                chosen = members[start : start + self.batch_size]
                detections = self._run([images[i] for i in chosen], [sizes[i] for i in chosen], canvas)
                for row, i in enumerate(chosen):
                    own = Detections(*(value[row] for value in detections))
                    size = (images[i].shape[0], images[i].shape[1])
                    results[i] = as_result(own, size, sizes[i], self.model.config.paste)
        cut = [result.cut for result in results.values() if result.cut]
        if cut:
            logger.warning(
                "%d candidates in %d of %d images were left out of class NMS; raise model.detect.max_candidates, now %d",
                *(sum(cut), len(cut), len(images), self.model.config.detect.max_candidates),
            )
        return [results[i] for i in range(len(images))]

    def stream(self, images: Iterable[tuple[T, Any]]) -> Iterator[tuple[T, Any, Result]]:
        """Results of any number of images, of which as many as a few calls of the model take are held at a time.

        Args:
          images: pairs of whatever tells the caller which image it is, and the image, as in `__call__`.

        Yields:
          What tells which, the image, and its result, in the same order.

        Raises:
          DataError: as `__call__` does.
        """
        waiting = iter(images)
        while chosen := list(islice(waiting, self.batch_size * CALLS_AT_ONCE)):
            results = self([image for _, image in chosen])
            yield from ((which, image, result) for (which, image), result in zip(chosen, results, strict=True))
            chosen.clear()  # before the next ones are read

    def warmup(self, sizes: Iterable[Size] = ()) -> None:
        """Compile ahead, so that calls do not.

        Args:
          sizes: (height, width) of images to come, for which everything is compiled. Without any, the model is for every canvas of
            the config; the first image of a size still compiles how its masks are pasted.

        Raises:
          ValueError: no sizes, and the config's canvases depend on them (`model.input.canvas` multiple).
          DataError: a size fits no canvas.
        """
        config, sizes = self.model.config.input, list(sizes)
        if not sizes and config.canvas == "multiple":
            raise ValueError("model.input.canvas is multiple, so that canvases depend on the images; give the sizes of those to come")
        for canvas in () if sizes else config.canvases:
            self._program(canvas)
        for size in sizes:
            resized = resized_size(size, config.min_side, config.max_side, config.resize)
            side = self._program(canvas_for(resized, config, f"an image of {size[0]} x {size[1]}")).out_info.masks.shape[-1]
            encode_masks(np.zeros((1, side, side), np.float32), np.zeros((1, 4), np.float32), size, self.model.config.paste)

    def place(self, image: Any, name: str) -> tuple[Size, Size]:
        """The size that an image is resized to and the canvas it is put on, (height, width) each.

        Raises:
          DataError: the image, called `name`, has not the channels and type of the model's config, or fits no canvas.
        """
        config = self.model.config.input
        check_image(image, name, config)
        size = resized_size((image.shape[0], image.shape[1]), config.min_side, config.max_side, config.resize)
        return size, canvas_for(size, config, name)

    def _run(self, images: list[np.ndarray], sizes: list[Size], canvas: Size) -> Detections:
        resized = [resize_image(image, size, self.model.config.input.resize) for image, size in zip(images, sizes, strict=True)]
        batch = np.zeros((self.batch_size, *canvas, self.model.config.input.channels), resized[0].dtype)
        true_sizes = np.ones((self.batch_size, 2), np.int32)  # rows that fill up the batch hold one black pixel
        for row, (image, size) in enumerate(zip(resized, sizes, strict=True)):
            batch[row, : size[0], : size[1]] = image
            true_sizes[row] = size
        return jax.device_get(self._program(canvas)(self.variables, *jax.device_put((batch, true_sizes), self._rows)))

    def _program(self, canvas: Size) -> Compiled:
        """From a batch on `canvas` to detections with masks."""
        with _compiling:
            return self._known_program(canvas)

    def _known_program(self, canvas: Size) -> Compiled:
        config = self.model.config.input
        shape = (self.batch_size, *canvas, config.channels)
        if shape not in self._programs:
            canvases = {known[1:3] for known in self._programs} | {canvas}
            if len(canvases) > expected_canvases(config):
                logger.warning(
                    "compiling the model for images of shape %s, canvas %d of this model; with model.input.canvas fixed there are few",
                    *(shape, len(canvases)),
                )
            else:
                logger.info("compiling the model for images of shape %s", shape)
            images = jax.ShapeDtypeStruct(shape, np.float32 if config.resize == "float" else config.dtype, sharding=self._rows)
            sizes = jax.ShapeDtypeStruct((self.batch_size, 2), np.int32, sharding=self._rows)
            self._programs[shape] = compile_ahead(jax.jit(self.model.predict), self.variables, images, sizes)
        return self._programs[shape]


def as_result(detections: Detections, size: Size, resized: Size, config: PasteConfig) -> Result:
    """One image's detections in its own pixels.

    Args:
      detections: on the canvas, with masks.
      size: (height, width) of the image.
      resized: the size at which the canvas shows it.
      config: how masks are pasted.
    """
    count = int(np.sum(detections.valid))
    scale = np.array([size[1] / resized[1], size[0] / resized[0]] * 2, np.float32)
    return Result(
        boxes=np.clip(detections.boxes[:count] * scale, 0, np.array([size[1], size[0]] * 2, np.float32)),
        scores=detections.scores[:count],
        labels=detections.labels[:count],
        masks=encode_masks(detections.masks[:count], detections.mask_frames[:count] * scale, size, config),
        size=size,
        cut=int(detections.cut),
    )


def encode_masks(
    masks: Float[np.ndarray, "n m m"], frames: Float[np.ndarray, "n 4"], size: Size, config: PasteConfig
) -> list[dict[str, Any]]:
    """Paste mask grids into an image and encode each as COCO run lengths, a few at a time.

    Args:
      masks: probability in each cell.
      frames: box each grid covers, pixels of the image.
      size: (height, width) of the image.
      config: how masks are pasted, and the threshold.
    """
    padded = tuple(-(-side // PASTE_MULTIPLE) * PASTE_MULTIPLE for side in size)
    encodings: list[dict[str, Any]] = []
    for start in range(0, len(masks), PASTED_AT_ONCE):
        count = min(PASTED_AT_ONCE, len(masks) - start)
        rows = np.arange(start, start + PASTED_AT_ONCE).clip(max=len(masks) - 1)
        pasted = np.asarray(
            _paste(masks[rows], frames[rows], height=padded[0], width=padded[1], kind=config.kind, threshold=config.threshold)
        )
        column_major = np.asfortranarray(pasted[:count, : size[0], : size[1]].transpose(1, 2, 0), np.uint8)
        encodings.extend(mask_utils.encode(column_major))
    return encodings


@partial(jax.jit, static_argnames=("height", "width", "kind", "threshold"))
def _paste(masks: Array, frames: Array, *, height: int, width: int, kind: Any, threshold: float) -> Bool[Array, "n {height} {width}"]:
    logger.info("compiling how masks are pasted into %d x %d", height, width)  # a traced function runs once a program
    return ops.paste_masks(jnp.asarray(masks), jnp.asarray(frames), height=height, width=width, kind=kind) >= threshold
