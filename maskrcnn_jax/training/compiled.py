"""One compiled step a canvas."""

import logging
import time
from collections.abc import Callable
from typing import Any

import jax
from jax.stages import Compiled

from maskrcnn_jax.config import ExperimentConfig
from maskrcnn_jax.data import expected_canvases
from maskrcnn_jax.models import Model, compile_ahead
from maskrcnn_jax.structs import Batch
from maskrcnn_jax.training.step import StepMetrics, TrainState, make_step

logger = logging.getLogger(__name__)


class CompiledSteps:
    """Calls the step's program for a batch's canvas, compiled at the first batch that needs it; of too many canvases each is told.

    programs: (height, width) of a canvas -> its program; there is never a second one for a canvas.
    seconds: that their compilation took.
    """

    def __init__(self, model: Model, config: ExperimentConfig, on_compile: Callable[[tuple[int, int]], None]) -> None:
        """Prepare to compile.

        Args:
          model: what is trained.
          config: the experiment.
          on_compile: called with the canvas before its program is compiled.
        """
        self.programs: dict[tuple[int, int], Compiled] = {}
        self.seconds = 0.0
        self._step, self._on_compile = make_step(model, config), on_compile
        self._expected = expected_canvases(config.model.input)
        self._options = {"xla_gpu_deterministic_ops": True} if config.train.deterministic else {}

    def __call__(self, state: TrainState, batch: Batch) -> tuple[TrainState, StepMetrics]:
        """State after the step, and its metrics; `state` is used up."""
        return self.program(state, batch)(state, batch)

    def program(self, state: TrainState, batch: Batch) -> Any:
        """The program for this batch's canvas."""
        canvas = (batch.image.shape[1], batch.image.shape[2])
        if canvas not in self.programs:
            self._on_compile(canvas)
            if len(self.programs) >= self._expected:
                logger.warning(
                    "compiling the step for images of %d x %d, canvas %d of this run; with model.input.canvas fixed there are few",
                    *(*canvas, len(self.programs) + 1),
                )
            start = time.perf_counter()
            stays = jax.tree.map(lambda x: x.sharding, state)
            step = jax.jit(self._step, donate_argnums=0, out_shardings=(stays, None), compiler_options=self._options)
            self.programs[canvas] = compile_ahead(step, state, batch)
            self.seconds += time.perf_counter() - start
        return self.programs[canvas]


def jit_once(function: Callable) -> Callable:
    """`jax.jit` for a program that runs once: most of its time is compilation, and this halves that; equal to rounding."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 1})
