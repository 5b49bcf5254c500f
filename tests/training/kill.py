"""A config whose training process kills itself, with SIGKILL, at the moment that $KILL_AT names.

`compile`: before the first step is compiled. `log N`: halfway through writing the metrics of step N. `save N`: when the files of
checkpoint N are being written. `saved N`: right after checkpoint N. Empty: never.
"""

import os
import signal
import threading
import time
from pathlib import Path

from maskrcnn_jax.checkpoint import CheckpointWriter
from maskrcnn_jax.training.compiled import CompiledSteps
from maskrcnn_jax.training.metrics import MetricsLog
from tests.tiny import experiment

WHERE, _, STEP = os.environ["KILL_AT"].partition(" ")
RUN = Path(os.environ["RUN"])


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def compile_(*_) -> None:
    die()


def write(log, step, values, *, group, original=MetricsLog.write) -> None:
    if step == int(STEP):
        log._file.write(f'{{"step": {step}, "{group}": {{"lo')
        log._file.flush()
        die()
    original(log, step, values, group=group)


def save(writer, step, *rest, original=CheckpointWriter.save) -> None:
    if step == int(STEP) and WHERE == "save":
        threading.Thread(target=die_at_half_a_checkpoint, daemon=True).start()
    original(writer, step, *rest)
    if step == int(STEP):
        assert WHERE == "saved", "the process should have died while it wrote"
        die()


def die_at_half_a_checkpoint() -> None:
    while not any(path.is_file() for folder in RUN.glob(f"checkpoints/{STEP}*tmp*") for path in folder.rglob("*")):
        time.sleep(0.0005)
    die()


def get_config():
    match WHERE:
        case "compile":
            CompiledSteps.program = compile_
        case "log":
            MetricsLog.write = write
        case "save" | "saved":
            CheckpointWriter.save = save
    return experiment()
