"""What commands that measure a model share."""

import jax
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from maskrcnn_jax import models, training
from maskrcnn_jax.checkpoint import Checkpoint
from maskrcnn_jax.config import ExperimentConfig
from maskrcnn_jax.data import DataError, Source, open_source
from maskrcnn_jax.inference import Predictor
from maskrcnn_jax.training import Evaluation


def validation_source(name: str, config: ExperimentConfig) -> Source:
    """The validation data of the config of `name`, which an error says first."""
    try:
        return open_source(config.data, "val", config.model.input)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def predictor_of(name: str, stored: Checkpoint) -> Predictor:
    """The model of the checkpoint `name`, as its config describes it, on all devices of this process.

    Raises:
      CheckpointError: its parameters are not those of such a model.
    """
    config = stored.config
    model = models.build(config.model, models.make_mesh(jax.local_devices()))
    training.check_variables(model, stored.variables, name)
    return Predictor(model, stored.variables, stored.categories, batch_size=config.eval.batch_size * model.mesh.size)


def measured(predictor: Predictor, source: Source, config: ExperimentConfig, what: str) -> Evaluation:
    """`training.validate`, with a bar of progress called `what`."""
    console = Console(quiet=not training.is_main())
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(escape(what), total=len(source))
        return training.validate(predictor, source, config, progress=lambda done, total: progress.update(task, completed=done, total=total))
