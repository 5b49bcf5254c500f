"""maskrcnn eval."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax

from maskrcnn_jax import checkpoint, evaluation, models, training
from maskrcnn_jax.cli.experiments import ManyProcesses, connect, experiment_of, first_argument, parse
from maskrcnn_jax.cli.measuring import measured, predictor_of, validation_source
from maskrcnn_jax.cli.show import show
from maskrcnn_jax.config import describe_experiment, load_experiment
from maskrcnn_jax.data import Source
from maskrcnn_jax.inference import Predictor

USAGE = """usage: maskrcnn eval CHECKPOINT_OR_CONFIG [--out DIR] [--FIELD VALUE ...]

CHECKPOINT is a run folder (its best checkpoint is taken) or the folder of one checkpoint, and is measured on the validation
data of its own config. With the name of a config instead, the model is the one that training would start from.
`maskrcnn eval CHECKPOINT --help` and `maskrcnn eval CONFIG --help` list every field. Used most:

  --out DIR                          write detections.json, COCO's results format
  --data.val-annotations JSON --data.val-images DIR
  --eval.batch-size N --eval.max-images N --model.detect.score-threshold SCORE"""


@dataclass(frozen=True, kw_only=True)
class EvalCommand(ManyProcesses):
    """Measure box and mask AP on the validation data, as LVIS does where they have its lists of classes, and as COCO otherwise."""

    out: Path | None = None
    """Folder for detections.json, COCO's results format; by default nothing is written."""


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    name, rest = first_argument(arguments, USAGE)
    connect(rest)
    command, source, predictor = training.in_all(lambda: _prepared(name, rest))
    result = measured(predictor, source, experiment_of(command), "evaluating")
    if not training.is_main():
        return
    if command.out is not None:
        command.out.mkdir(parents=True, exist_ok=True)
        evaluation.write_results(command.out / "detections.json", result.detections)
    show(result)


def _prepared(name: str, arguments: Sequence[str]) -> tuple[EvalCommand, Source, Predictor]:
    """What is asked for, the data and the model."""
    is_folder = Path(name).is_dir() or (len(Path(name).parts) > 1 and not name.endswith(".py"))
    stored = checkpoint.load(name) if is_folder else None
    defaults, about = (stored.config, "") if stored else (load_experiment(name), describe_experiment(name))
    command = parse(EvalCommand, defaults, arguments, prog=f"maskrcnn eval {name}", about=about)
    config = experiment_of(command)
    source = validation_source(name, config)
    if stored:
        return command, source, predictor_of(name, stored._replace(config=config))
    model = models.build(config.model, models.make_mesh(jax.local_devices()))
    training.check_classes(config, source)
    variables = training.initial_variables(model, config.train)
    return command, source, Predictor(model, variables, source.categories, batch_size=config.eval.batch_size * model.mesh.size)
