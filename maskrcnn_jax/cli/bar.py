"""A bar on the terminal that shows how far a download, or work item by item, is."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import DownloadColumn, MofNCompleteColumn, Progress, ProgressColumn, TransferSpeedColumn

from maskrcnn_jax import download

BYTES = (DownloadColumn(), TransferSpeedColumn())
ITEMS = (MofNCompleteColumn(),)


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
