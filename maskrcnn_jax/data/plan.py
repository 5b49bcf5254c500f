"""Which images make up the batch of a step: the only place that orders data."""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable

import numpy as np
from jaxtyping import Float64, Int

from maskrcnn_jax.config import DataConfig, InputConfig
from maskrcnn_jax.data.canvas import Size, canvas_for, resized_size, train_min_sides
from maskrcnn_jax.data.source import DataError

_GOLDEN = 0.6180339887498949
_ROUNDING = 1e-6  # of sums of rates, which may be whole numbers


class Plan:
    """Step -> canvas and indices, a pure function of the step.

    An epoch reads every usable image at least once, or as often as its rate says: of the rate 1.3 once or twice, of 0.1 in about every
    tenth epoch, and as many images in each. Canvas `fixed`: images are grouped by the canvas that holds them at the
    largest short side of training (so they fit at the smaller ones too), each group is permuted and cut into full batches, the
    last one filled up by wrapping round to the group's first images, and the epoch's batches are permuted. Canvas `multiple`:
    one group, the canvas of a batch is made for its largest sides; one short side only, since others would change the canvas.

    `train_min_sides(data_config.augment, input_config)` says which short sides these are.
    """

    def __init__(
        self,
        sizes: Int[np.ndarray, "n 2"],
        input_config: InputConfig,
        data_config: DataConfig,
        *,
        batch_size: int,
        seed: int,
        indices: Int[np.ndarray, "u"] | None = None,
        shuffle: bool = True,
        name: Callable[[int], str] = "index {} of the source".format,
        rates: Float64[np.ndarray, "n"] | None = None,
    ) -> None:
        """Decide the canvas of every image.

        Args:
          sizes: (height, width) of the source's images, pixels.
          batch_size: images a step.
          seed: of the order.
          indices: the usable images; None: all.
          shuffle: False keeps the order of `indices` within each canvas, and canvases one after the other.
          name: what errors call the image of an index, see `image_name`.
          rates: times an epoch reads each image of the source on average; None: once each, beside those that fill up batches.

        Raises:
          DataError: no usable image, an image that fits no canvas, or canvas `multiple` with several short sides.
        """
        min_sides = train_min_sides(data_config.augment, input_config)
        self._indices = np.arange(len(sizes)) if indices is None else np.asarray(indices)
        if not len(self._indices):
            raise DataError(
                "no usable image; give a source that has some (kind coco: check data.train_annotations or data.val_annotations)"
            )
        if input_config.canvas == "multiple" and len(set(min_sides)) > 1:
            raise DataError(
                f"canvas `multiple` takes one short side in training, data.augment.min_sides is {min_sides}; "
                "give one side, or set model.input.canvas to `fixed`"
            )
        self._input, self._batch_size, self._seed, self._shuffle = input_config, batch_size, seed, shuffle
        self._sizes = np.array(
            [resized_size((int(h), int(w)), max(min_sides), input_config.max_side, input_config.resize) for h, w in sizes]
        )
        self._rates = np.ones(len(sizes)) if rates is None else rates
        self._groups = self._group_by_canvas(name)
        self._reads = [math.ceil(self._rates[group].sum() - _ROUNDING) for group in self._groups]
        self._drawn = np.cumsum(self._rates[self._indices])
        self._epoch: tuple[int, list[Int[np.ndarray, "b"]]] = (-1, [])

    @property
    def steps_per_epoch(self) -> int:
        """Batches an epoch, the same in every epoch."""
        return sum(-(-reads // self._batch_size) for reads in self._reads)

    def __call__(self, step: int) -> tuple[Size, Int[np.ndarray, "b"]]:
        """Canvas (height, width) and indices into the source of step `step` >= 0."""
        epoch, position = divmod(step, self.steps_per_epoch)
        cached, batches = self._epoch
        if cached != epoch:
            batches = self._batches_of(epoch)
            self._epoch = (epoch, batches)
        indices = batches[position]
        height, width = self._sizes[indices].max(axis=0)
        return canvas_for((int(height), int(width)), self._input), indices

    def stand_ins(self, index: int, canvas: Size, count: int) -> list[int]:
        """Images that can take the place of image `index` on `canvas`: up to `count` of its group that follow it and fit."""
        group = next(group for group in self._groups if index in group)
        place = int(np.flatnonzero(group == index)[0])
        fitting = (int(i) for i in np.roll(group, -place)[1:] if (self._sizes[i] <= canvas).all())
        return list(itertools.islice(fitting, count))

    def draw(self, rng: np.random.Generator) -> int:
        """A usable image, of all canvases, as likely as its rate is high: what mosaics and copy-paste add."""
        place = np.searchsorted(self._drawn[:-1], rng.random() * self._drawn[-1], side="right")
        return int(self._indices[place])

    def _group_by_canvas(self, name: Callable[[int], str]) -> list[Int[np.ndarray, "u"]]:
        if self._input.canvas == "multiple":
            return [self._indices]
        groups: dict[Size, list[int]] = defaultdict(list)
        for index in self._indices:
            height, width = (int(side) for side in self._sizes[index])
            groups[canvas_for((height, width), self._input, name(int(index)))].append(int(index))
        return [np.array(groups[canvas]) for canvas in sorted(groups)]

    def _batches_of(self, epoch: int) -> list[Int[np.ndarray, "b"]]:
        rng = np.random.default_rng((self._seed, epoch))
        batches: list[Int[np.ndarray, "b"]] = []
        for group, reads in zip(self._groups, self._reads, strict=True):
            read = np.repeat(group, _times(self._rates[group], reads, epoch))
            order = rng.permutation(read) if self._shuffle else read
            count = -(-len(order) // self._batch_size)
            batches.extend(np.resize(order, (count, self._batch_size)))
        return [batches[i] for i in rng.permutation(len(batches))] if self._shuffle else batches


def _times(rates: Float64[np.ndarray, "u"], reads: int, epoch: int) -> Int[np.ndarray, "u"]:
    """How often an epoch reads each image, `reads` times all together.

    Whole numbers are taken where the rates, laid end to end, cross them: a rate of 1.3 crosses one or two. They are moved by the golden
    ratio from epoch to epoch, which comes near every place soonest, so that every image has its turn.
    """
    ends = np.cumsum(rates)
    ends *= reads / ends[-1]
    ends[-1] = reads
    shift = epoch * _GOLDEN % 1
    return np.diff(np.floor(ends + shift).astype(np.int64), prepend=0)
