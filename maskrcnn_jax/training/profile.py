"""Where the time of a training step goes."""

from pathlib import Path

import jax
from rich.console import Console
from rich.table import Table

from maskrcnn_jax.training.watchdog import Kind, Watchdog

SKIPPED, STEPS = 3, 5  # the first steps compile and fill queues; so many after them are profiled
MEANING: dict[Kind, str] = {
    "input": "waiting for the next batch",
    "compile": "of a canvas that came first here",
    "step": "waiting for the devices",
    "host": "everything else: logging, checkpoint, evaluation",
}


class Profile:
    """A trace of a few steps by JAX's profiler, for TensorBoard and Perfetto, and a table of what the loop waited for in them."""

    def __init__(self, folder: Path, watchdog: Watchdog, console: Console) -> None:
        """Prepare to profile.

        Args:
          folder: where the trace is written.
          watchdog: is told what the loop waits for.
          console: where the table is printed.
        """
        self._folder, self._watchdog, self._console = folder, watchdog, console
        self._steps = 0
        self._before: dict[Kind, float] | None = None

    def before_step(self) -> None:
        """Call it before the batch of a step is asked for, while the loop waits for nothing else."""
        if self._steps == SKIPPED:
            jax.profiler.start_trace(self._folder)
            self._watchdog.waits_for("the profile to begin")
            self._before = dict(self._watchdog.seconds)
        elif self._steps == SKIPPED + STEPS:
            self.close()
        self._steps += 1

    def close(self) -> None:
        """End the trace and print the table, unless that is done; a run too short for both says so."""
        if self._steps <= SKIPPED:
            self._console.print(f"no profile: it begins {SKIPPED} steps after the start, and there were no more")
        if self._before is None:
            return
        self._watchdog.waits_for("the profile to be written")
        spent = {kind: seconds - self._before[kind] for kind, seconds in self._watchdog.seconds.items()}
        self._before = None
        jax.profiler.stop_trace()
        self._console.print(time_table(spent, min(self._steps - SKIPPED, STEPS)))
        self._console.print(
            f"trace for TensorBoard (its profile plugin) and Perfetto: {self._folder}", highlight=False, markup=False, soft_wrap=True
        )


def time_table(seconds: dict[Kind, float], steps: int) -> Table:
    """Of `steps` steps: seconds a step and share of each kind of thing that the loop waited for."""
    table = Table("time", "", title=f"where the time of {steps} steps went")
    for title in ("s a step", "share"):
        table.add_column(title, justify="right")
    for kind, spent in seconds.items():
        table.add_row(kind, MEANING[kind], f"{spent / steps:.3f}", f"{spent / sum(seconds.values()):.1%}")
    return table
