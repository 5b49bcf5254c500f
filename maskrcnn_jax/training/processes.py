"""The processes of one run: how they find and what they tell each other."""

import json
import os
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from maskrcnn_jax.errors import UserError

T = TypeVar("T")

# Who starts several processes says so to each: SLURM's srun, Open MPI's mpirun, a TPU pod slice (hosts, comma separated).
COUNTS = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
HOSTS = "TPU_WORKER_HOSTNAMES"


class ProcessError(UserError, RuntimeError):
    """Another process of this run has failed; the message is that process's own."""


def connect(
    coordinator: str | None = None, processes: int | None = None, process_id: int | None = None, *, distributed: bool = False
) -> None:
    """Join the other processes of this run; call it before JAX computes anything. Does nothing where nobody says there are others.

    Args:
      coordinator: HOST:PORT of process 0; None takes what SLURM, Open MPI or the TPU pod says, with the other two.
      processes: how many there are.
      process_id: which one this is, from 0.
      distributed: there are others, whom JAX finds, although no launcher says so in the environment: TPU VMs ask their cloud.

    Raises:
      UserError: one of the three is given without the others, or they do not find each other.
    """
    flags = {"coordinator": coordinator, "processes": processes, "process_id": process_id}
    missing = [f"--{name.replace('_', '-')}" for name, value in flags.items() if value is None]
    if 0 < len(missing) < len(flags):
        raise UserError(f"give {' and '.join(missing)} too: they go together, unless SLURM, Open MPI or a TPU pod says them all")
    if missing and not distributed and not started_by_others():
        return
    try:
        jax.distributed.initialize(coordinator, processes, process_id)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"the processes of this run do not find each other ({error}); see that every one of them runs, and that process 0's host "
            "and port can be reached from all"
        ) from error


def started_by_others() -> bool:
    """Whether a launcher says in the environment that there are several processes."""
    several = any(int(os.environ.get(name, "1")) > 1 for name in COUNTS)
    return several or "," in os.environ.get(HOSTS, "")


def is_main() -> bool:
    """Whether this is the process that writes what one of them writes: process 0."""
    return jax.process_index() == 0


def gathered(value: Any) -> list[Any]:
    """The value, anything that JSON can hold, of every process in their order. Every process must call it."""
    if jax.process_count() == 1:
        return [value]
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    lengths = multihost_utils.process_allgather(np.array(len(text), np.int32))
    rows = multihost_utils.process_allgather(np.pad(text, (0, int(lengths.max()) - len(text))))
    return [json.loads(row[:length].tobytes()) for row, length in zip(rows, lengths, strict=True)]


def in_all(function: Callable[[], T]) -> T:
    """What `function` returns in this process; where it raises in one process it does in all. Every process must call it.

    Without it the others would wait for ever for one that has failed.

    Raises:
      ProcessError: it failed in another process.
    """
    failure: Exception | None = None
    result: Any = None
    try:
        result = function()
    except Exception as error:
        failure = error
    faults = gathered(None if failure is None else _told(failure))
    if failure is not None:
        raise failure
    for process, fault in enumerate(faults):
        if fault is not None:
            raise ProcessError(f"process {process}: {fault}")
    return result


def _told(failure: Exception) -> str:
    return str(failure) if isinstance(failure, UserError) else f"{type(failure).__name__}: {failure}"


def share(count: int) -> range:
    """Of `count` things, those that are this process's: side by side, so that all shares one after the other are in order."""
    process, processes = jax.process_index(), jax.process_count()
    return range(count * process // processes, count * (process + 1) // processes)
