"""Stopping when told to: SIGTERM, as schedulers and clouds send it before they take a machine away."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

import jax
from jax.experimental import multihost_utils

EXIT_STATUS = 75  # EX_TEMPFAIL: nothing is wrong, run it again


class Interrupted(Exception):
    """Training was told to stop; all is saved, and the same command with --resume goes on."""


class StopRequest:
    """While open, notes SIGTERM instead of dying of it, where this is the main thread.

    Several processes must stop at the same step: there JAX's own service notes the signal and agrees on one.
    """

    def __init__(self) -> None:
        self._noted = False
        self._before: Any = None

    def __enter__(self) -> "StopRequest":
        """Begin to listen."""
        if jax.process_count() == 1 and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Listen no longer."""
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def reached(self, step: int) -> bool:
        """Whether to save and stop after `step`; every process must ask once a step."""
        if jax.process_count() > 1:
            return bool(multihost_utils.reached_preemption_sync_point(step))
        return self._noted

    def _note(self, _signal: int, _frame: FrameType | None) -> None:
        self._noted = True
