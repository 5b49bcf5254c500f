"""Knowing what a run waits for: told when it stands still, and summed up for `Profile`."""

import logging
import threading
import time
from types import TracebackType
from typing import Literal, get_args

import jax

logger = logging.getLogger(__name__)

Kind = Literal["input", "compile", "step", "host"]


class Watchdog:
    """A thread that warns when the run has waited for one thing for so long, and again each time that doubles.

    seconds: waited so far for things of each kind, up to the last one.
    """

    def __init__(self, seconds: float) -> None:
        """Warn after `seconds`."""
        self.seconds: dict[Kind, float] = dict.fromkeys(get_args(Kind), 0.0)
        self._kind: Kind = "host"
        self._patience = seconds
        self._what, self._since, self._limit = "the start", time.monotonic(), seconds
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Watchdog":
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Watch no longer."""
        self._closed.set()
        self._thread.join()

    def waits_for(self, what: str, kind: Kind = "host") -> None:
        """From now on the run waits for `what`, which is of a kind: a batch, a compilation, the devices, or anything else."""
        now = time.monotonic()
        with self._lock:
            self.seconds[self._kind] += now - self._since
            self._what, self._kind, self._since, self._limit = what, kind, now, self._patience

    def _watch(self) -> None:
        while not self._closed.wait(self._patience / 4):
            with self._lock:
                waited = time.monotonic() - self._since
                if waited < self._limit:
                    continue
                self._limit *= 2
                what = self._what
            logger.warning("process %d has waited %.0f s for %s", jax.process_index(), waited, what)
