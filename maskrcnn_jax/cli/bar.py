"""A bar on the terminal that shows how far a download, or work item by item, is."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import DownloadColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TransferSpeedColumn
from rich.text import Text

from maskrcnn_jax import download


class _Rate(ProgressColumn):
    """Images a second, lately."""

    def render(self, task: Task) -> Text:
        """The rate, once there is one."""
        return Text("" if task.speed is None else f"{task.speed:.1f} images/s", style="progress.data.speed")


BYTES = (DownloadColumn(), TransferSpeedColumn())
ITEMS = (MofNCompleteColumn(),)
IMAGES = (MofNCompleteColumn(), _Rate())


@contextmanager
def bar(what: str, columns: Sequence[ProgressColumn] = BYTES) -> Iterator[download.Progress]:
    """What is called with what is done and what there is to do; the bar, on stderr, appears with the first call."""
    progress = Progress(*Progress.get_default_columns(), *columns, console=Console(stderr=True))
    task = progress.add_task(what, total=None)

    def show(done: int, total: int | None) -> None:
        progress.start()
        progress.update(task, completed=done, total=total)

    try:
        yield show
    finally:
        if progress.live.is_started:
            progress.stop()
