"""A model's modules: what they put out, their parameters, multiply-adds and memory."""

from collections import defaultdict
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Group
from rich.table import Table

from maskrcnn_jax import models, training
from maskrcnn_jax.config import ConfigError, ExperimentConfig, InputConfig, ModelConfig
from maskrcnn_jax.data import Size, canvas_for
from maskrcnn_jax.models import Trace
from maskrcnn_jax.nn import build_trunk
from maskrcnn_jax.reports.operations import Operation, count_operations
from maskrcnn_jax.training.optimizer import check_patterns
from maskrcnn_jax.training.step import split_frozen

STAGES = ("stem", "C2", "C3", "C4", "C5")
LEVELS = ("P2", "P3", "P4", "P5", "P6")
POOLS = ("box RoIAlign", "mask RoIAlign")
# Flax names a module's scope after its class.
MODULES = {"ResNet": "backbone", "Vgg": "backbone", "Fpn": "fpn", "RpnHead": "rpn_head", "BoxHead": "box_head", "MaskHead": "mask_head"}


class ModuleSummary(NamedTuple):
    """A part of the model, for one image, at inference.

    name: module, and stage or level. outputs: shapes, without that of the batch. trained, frozen: parameters. multiply_adds: of its
    convolutions and matrix products. activations: bytes that these, and RoIAlign, put out.
    """

    name: str
    outputs: tuple[tuple[int, ...], ...]
    trained: int
    frozen: int
    multiply_adds: int
    activations: int


class ModelSummary(NamedTuple):
    """A model on one canvas.

    canvas: (height, width), pixels. modules: in the order of the way through the model. memory: bytes of parameters, statistics (of batch
    norms, frozen ones among them), gradients, optimizer and moving average, of training on one device.
    """

    canvas: Size
    modules: list[ModuleSummary]
    memory: dict[str, int]


def summarise(config: ExperimentConfig, canvas: Size | None = None) -> ModelSummary:
    """Trace the model of `config` for one image, and count; nothing is computed or compiled, no weights and no data are read.

    Args:
      config: the experiment.
      canvas: (height, width), pixels; None is the largest of `model.input.canvases`, or where these do not count that of an image of
        `min_side` x `max_side`.

    Raises:
      ConfigError: sides that are no multiples of `model.input.multiple`; a pattern of `optimizer.layer_rates` or `train.freeze` matches
        nothing, or nothing is left to train.
    """
    canvas = summary_canvas(config.model.input, canvas)
    model = models.build(config.model)
    state = training.state_shapes(model, config)
    trainable, _ = split_frozen(state.params, model, replace(config.train, freeze=()))
    check_patterns(trainable, config.optimizer, config.train)
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    pixels = np.float32 if config.model.input.resize == "float" else config.model.input.dtype
    inputs = (jax.ShapeDtypeStruct((1, *canvas, config.model.input.channels), pixels), jax.ShapeDtypeStruct((1, 2), np.int32))
    counts = training.parameter_counts(state.params, model, config.train, lambda path: _part(path[0], path[1], config.model))
    found: defaultdict[str, list[Operation]] = defaultdict(list)
    counted, trace = count_operations(model.trace, variables, *inputs)
    for operation in counted:
        scope, layer = operation.scope.split("/")[:2]
        found[_part(MODULES[scope], layer, config.model)].append(operation)
    modules = [_module(name, outputs, counts.get(name, (0, 0)), found[name]) for name, outputs in _outputs(trace).items()]
    trained, _ = split_frozen(state.params, model, config.train)
    memory = {
        "parameters": _bytes(state.params),
        "statistics": _bytes(state.batch_stats),
        "gradients": _bytes(trained),
        "optimizer": _bytes(state.opt_state),
        "moving average": _bytes(state.average),
    }
    return ModelSummary(canvas, modules, memory)


def summary_canvas(config: InputConfig, canvas: Size | None) -> Size:
    """The canvas to summarise; arguments and errors as in `summarise`."""
    if canvas is None:
        return canvas_for((config.min_side, config.max_side), config) if config.canvas == "multiple" else max(config.canvases, key=np.prod)
    if any(side < 1 or side % config.multiple for side in canvas):
        raise ConfigError(f"a canvas of {canvas[0]} x {canvas[1]}: sides must be positive multiples of {config.multiple}")
    return canvas


def summary_table(summary: ModelSummary) -> Group:
    """For `rich.print`: a table of the modules, and below it what its numbers mean and the memory of training."""
    height, width = summary.canvas
    table = Table("module", title=f"one image on a canvas of {height} x {width}, at inference")
    table.add_column("output")
    for title in ("trained", "frozen", "GFLOPs", "activations, MiB"):
        table.add_column(title, justify="right")
    for i, module in enumerate(summary.modules):
        shapes = ", ".join("x".join(map(str, shape)) for shape in module.outputs)
        table.add_row(module.name, shapes, *_numbers(module), end_section=i == len(summary.modules) - 1)
    sums = [sum(getattr(module, column) for module in summary.modules) for column in ModuleSummary._fields[2:]]
    table.add_row("all", "", *_numbers(ModuleSummary("all", (), *sums)))
    memory = ", ".join(f"{name} {size / 2**20:,.1f}" for name, size in summary.memory.items() if size)
    return Group(
        table,
        "FLOPs: two a multiply-add, of convolutions and matrix products; torchvision, and most papers, count one.",
        "activations: what these and RoIAlign put out; training needs more, see maskrcnn train CONFIG --dry-run.",
        f"memory of training besides these, MiB: {memory}",
    )


def _numbers(module: ModuleSummary) -> tuple[str, ...]:
    return (
        f"{module.trained:,}",
        f"{module.frozen:,}",
        f"{2 * module.multiply_adds / 1e9:,.2f}",
        f"{module.activations / 2**20:,.1f}",
    )


def _part(module: str, layer: str, config: ModelConfig) -> str:
    """The row that a layer belongs to."""
    if module == "backbone":
        return f"backbone {STAGES[build_trunk(config.backbone).stage(layer)]}"
    return f"fpn P{layer[-1]}" if module == "fpn" else module


def _outputs(trace: Trace) -> dict[str, list[Any]]:
    """What each row puts out, as far as the trace names it."""
    features = trace.features
    of_all_levels = [jax.eval_shape(lambda *levels: jnp.concatenate(levels, axis=1), *x) for x in (features.objectness, features.deltas)]
    return {
        "backbone stem": [],
        **{f"backbone {stage}": [x] for stage, x in zip(STAGES[1:], features.backbone, strict=True)},
        **{f"fpn {level}": [x] for level, x in zip(LEVELS, features.pyramid, strict=True)},
        "rpn_head": of_all_levels,
        POOLS[0]: [trace.box_features],
        "box_head": [trace.class_logits, trace.box_deltas],
        POOLS[1]: [trace.mask_features],
        "mask_head": [trace.mask_logits],
    }


def _module(name: str, outputs: list[Any], parameters: tuple[int, int], found: list[Operation]) -> ModuleSummary:
    shapes = [x.shape for x in outputs] or [found[-1].shape]
    activations = _bytes(outputs) if name in POOLS else sum(operation.bytes for operation in found)
    return ModuleSummary(
        name, tuple(shape[1:] for shape in shapes), *parameters, sum(operation.multiply_adds for operation in found), activations
    )


def _bytes(tree: Any) -> int:
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))
