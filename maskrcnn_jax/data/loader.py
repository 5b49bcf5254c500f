"""Batches by step, prepared ahead by threads or processes."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import cv2
import grain
import numpy as np
from absl import flags

from maskrcnn_jax.config import AugmentConfig, DataConfig, InputConfig
from maskrcnn_jax.data.augment import Another, train_transform
from maskrcnn_jax.data.augmented import Augmentation, apply
from maskrcnn_jax.data.batching import make_batch
from maskrcnn_jax.data.canvas import Size
from maskrcnn_jax.data.check import read_example
from maskrcnn_jax.data.plan import Plan
from maskrcnn_jax.data.source import DataError, Source, image_name, source_name
from maskrcnn_jax.structs import Batch, Example

NO_BOXES, NO_LABELS = np.zeros((0, 4), np.float32), np.zeros(0, np.int32)
NONE = AugmentConfig(flip=0.0)
_THREADS = 2  # of this process, where there are no workers: JAX needs the cores
_STAND_INS = 8  # images tried in place of one that cannot be read
_AHEAD = 4  # whole batches kept ready; one of COCO's takes 80 MB


@dataclass(frozen=True)
class BatchOfStep:
    """Step -> Batch, a pure function: the example at position `i` of the global batch gets the generator (seed, step, i + 1).

    Other images that mosaics and copy-paste put into it are drawn from that generator too.

    NumPy ignores trailing zeros of a seed: (seed, step, 0) would be the plan's generator of epoch `step`.
    """

    source: Source
    plan: Plan
    input_config: InputConfig
    data_config: DataConfig
    seed: int
    positions: Sequence[int] | None = None
    """Of the global batch, what this process makes; None: all."""
    augment: Augmentation | None = None
    """What is done to every image before all else; the user's own."""

    def __call__(self, step: int) -> Batch:
        """The batch of step `step` >= 0.

        Raises:
          DataError: an image of the batch cannot be used, or is not what `structs.Example` says; with `max_unreadable` above 0
            only where those that could stand in for it cannot be used either.
        """
        canvas, indices = self.plan(int(step))
        positions = self._positions(len(indices))
        examples, faults = [], []
        for i in positions:
            rng = np.random.default_rng((self.seed, int(step), i + 1))
            told: list[str] = []
            index = int(indices[i])
            example = self._read(index, rng, self._stand_ins(index, canvas), told)
            examples.append(self._transformed(example, rng, canvas, self._another(told)))
            faults.append(told)
        return self._batch(examples, canvas, positions, faults)

    def void(self, step: int, fault: str) -> Batch:
        """In place of a batch that cannot be made: black images, and the fault."""
        canvas, indices = self.plan(int(step))
        positions = self._positions(len(indices))
        examples = []
        for i in positions:
            height, width = (int(side) for side in self.source.sizes[int(indices[i])])
            masks = np.zeros((0, height, width), np.uint8)
            image = np.zeros((height, width, self.input_config.channels), self.input_config.dtype)
            black = Example(image, -1, masks, NO_BOXES, NO_LABELS, NO_LABELS.astype(np.bool_))
            examples.append(train_transform(black, np.random.default_rng(0), canvas, self.input_config, NONE, self._another([])))
        batch = self._batch(examples, canvas, positions, None)
        return batch._replace(faults=np.array([fault] * len(examples)), void=np.ones(len(examples), np.bool_))

    def _positions(self, count: int) -> Sequence[int]:
        return range(count) if self.positions is None else self.positions

    def _batch(self, examples: list[Example], canvas: Size, positions: Sequence[int], faults: list[list[str]] | None) -> Batch:
        config = self.data_config
        return make_batch(examples, canvas, max_objects=config.max_objects, mask_crop=config.mask_crop, positions=positions, faults=faults)

    def _transformed(self, example: Example, rng: np.random.Generator, canvas: Size, another: Another) -> Example:
        """What training sees of an example; where it cannot be made, as when memory runs out, a DataError that names the image."""
        try:
            return train_transform(example, rng, canvas, self.input_config, self.data_config.augment, another)
        except DataError:  # of another image
            raise
        except Exception as error:
            raise DataError(
                f"{source_name(self.source)}: image id {example.image_id} cannot be resized and augmented ({type(error).__name__}: "
                f"{error}); cut it into tiles if it is large, or leave it out"
            ) from error

    def _stand_ins(self, index: int, canvas: Size) -> Iterator[int]:
        yield from self.plan.stand_ins(index, canvas, _STAND_INS)  # found when the first is asked for

    def _another(self, told: list[str]) -> Another:
        """Draws another image; one that cannot be used is `told`, where others may stand in for it, and another one drawn."""

        def another(rng: np.random.Generator) -> Example:
            return self._read(self.plan.draw(rng), rng, (self.plan.draw(rng) for _ in range(_STAND_INS)), told)

        return another

    def _read(self, index: int, rng: np.random.Generator, stand_ins: Iterator[int], told: list[str]) -> Example:
        """Example `index`, or, where it cannot be used, the first of `stand_ins` that can, and the fault in `told`."""
        try:
            return self._augmented(index, rng)
        except DataError as error:
            if not self.data_config.max_unreadable:
                raise
            for other in stand_ins:
                with contextlib.suppress(DataError):
                    example = self._augmented(other, rng)
                    told.append(str(error))
                    return example
            raise

    def _augmented(self, index: int, rng: np.random.Generator) -> Example:
        example = read_example(self.source, index, self.input_config)
        if self.augment is None:
            return example
        name = image_name(self.source, index, example.image_id)
        return apply(self.augment, example, rng, name, len(self.source.categories), self.input_config)


@dataclass(frozen=True)
class OrVoid:
    """Step -> Batch as `make` does, and a void batch where it raises anything: other processes would wait for this one for ever."""

    make: BatchOfStep

    def __call__(self, step: int) -> Batch:
        """The batch of step `step` >= 0."""
        try:
            return self.make(step)
        except DataError as error:
            return self.make.void(step, str(error))
        except Exception as error:
            return self.make.void(step, f"the images of step {step + 1} cannot be prepared ({type(error).__name__}: {error})")


def batches(
    source: Source,
    plan: Plan,
    input_config: InputConfig,
    data_config: DataConfig,
    *,
    start_step: int,
    stop_step: int,
    seed: int,
    positions: Sequence[int] | None = None,
    augment: Augmentation | None = None,
    voids: bool = False,
) -> Generator[Batch, None, None]:
    """Batches of steps `start_step` ... `stop_step - 1` in order.

    The batch is a pure function of the step: the same for any number of workers, and resuming is starting at another step.
    For validation losses pass a `data_config` with `augment=AugmentConfig(flip=0)`.

    Args:
      data_config: with `workers` above 0 so many processes make whole batches, and a script needs the usual
        `if __name__ == "__main__"` guard; with 0, threads of this process do.
      positions: of the global batch, what this process makes; None: all.
      augment: what is done to every image before all that `data_config` asks for; with workers it must pickle.
      voids: gives a void batch, with the fault, for a step that cannot be made, and goes on: other processes may wait for it.

    Raises:
      DataError: from the iterator, at the step whose image cannot be used, unless `voids`, or when a worker process dies.
    """
    make = BatchOfStep(source, plan, input_config, data_config, seed, positions, augment)
    threads = 1 if data_config.workers else _THREADS
    buffer = 1 if data_config.workers else _AHEAD
    dataset = grain.MapDataset.range(start_step, stop_step).map(OrVoid(make) if voids else make)
    ahead = dataset.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=buffer))
    if data_config.workers:
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()  # Grain sends absl's flags to its workers and refuses unparsed ones
        options = grain.MultiprocessingOptions(num_workers=data_config.workers, per_worker_buffer_size=2)
        ahead = ahead.mp_prefetch(options, worker_init_fn=_begin_worker)
    iterator = iter(ahead)
    try:
        yield from iterator
    except RuntimeError as error:
        if "process was terminated" not in str(error):
            raise
        raise DataError(
            f"a worker process has died ({str(error).split('. ')[0]}), as when memory runs out; lower data.workers, then go "
            "on with --resume"
        ) from error
    finally:
        iterator.close()  # else workers leave shared memory behind


def _begin_worker(_worker: int, _workers: int) -> None:
    """What a worker process does first."""
    cv2.setNumThreads(1)  # OpenCV's own threads would compete with the other workers
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # schedulers send it to all processes; the one that trains decides
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Without it a worker outlives a parent that is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
