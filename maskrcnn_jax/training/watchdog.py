"""Saying what a run waits for when it stands still."""

import logging
import threading
import time
from types import TracebackType

import jax

logger = logging.getLogger(__name__)


class Watchdog:
    """A thread that warns when the run has waited for one thing for so long, and again each time that doubles."""

    def __init__(self, seconds: float) -> None:
        """Warn after `seconds`."""
        self._seconds = seconds
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

    def waits_for(self, what: str) -> None:
        """From now on the run waits for `what`."""
        with self._lock:
            self._what, self._since, self._limit = what, time.monotonic(), self._seconds

    def _watch(self) -> None:
        while not self._closed.wait(self._seconds / 4):
            with self._lock:
                waited = time.monotonic() - self._since
                if waited < self._limit:
                    continue
                self._limit *= 2
                what = self._what
            logger.warning("process %d has waited %.0f s for %s", jax.process_index(), waited, what)
