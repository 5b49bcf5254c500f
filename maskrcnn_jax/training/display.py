"""What a person sees while training runs."""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LOSSES = ("loss", "rpn_class", "rpn_box", "class", "box", "mask")


class Display:
    """A progress bar with losses, images a second, time left and what is going on; plain lines where there is no terminal."""

    def __init__(self, console: Console, steps: int, start_step: int) -> None:
        """A bar over `steps` steps, `start_step` of them done."""
        self._console = console
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}"),
        )
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._progress.add_task("training", total=steps, completed=start_step, text="")

    def __enter__(self) -> "Display":
        """Show the bar."""
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Take the bar away."""
        self._progress.stop()

    def doing(self, what: str) -> None:
        """Say what is going on, such as "compiling 800 x 1344"."""
        self._progress.update(self._task, description=what, refresh=True)  # what is short would pass between two redraws
        if not self._console.is_terminal:
            self._console.print(what, highlight=False)

    def training(self) -> None:
        """Say that steps run."""
        self._progress.update(self._task, description="training")

    def evaluated(self, done: int, total: int) -> None:
        """Say how many images of an evaluation are done."""
        self._progress.update(self._task, description=f"evaluating {done}/{total}")

    def step(self, step: int, values: dict[str, float] | None) -> None:
        """Move to `step`; with `values` show them too."""
        self._progress.update(self._task, completed=step)
        if values is None:
            return
        text = "  ".join(f"{name} {values[name]:.3f}" for name in LOSSES) + f"  {values['images_per_second']:.1f} images/s"
        self._progress.update(self._task, text=text)
        if not self._console.is_terminal:
            self._console.print(f"step {step}  {text}", highlight=False, soft_wrap=True)
