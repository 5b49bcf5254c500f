"""The command `maskrcnn`."""

import sys
from collections.abc import Sequence
from io import TextIOWrapper

import maskrcnn_jax
from maskrcnn_jax.cli import (
    check_data,
    compare,
    convert,
    evaluate,
    import_data,
    inspect,
    predict,
    prepare_data,
    replay,
    report,
    show_data,
    summary,
    train,
)
from maskrcnn_jax.cli.compilation_cache import use_compilation_cache
from maskrcnn_jax.errors import UserError

USAGE = """usage: maskrcnn COMMAND ...

  train        train a model from a config
  eval         measure a checkpoint: box and mask AP, as COCO or LVIS does
  predict      detect objects in images and videos
  inspect      show every stage of a model on one image as a page
  report       a page about what a model does on a dataset, or two models on the same
  check-data   what is wrong with the data of a config, and how the config fits them
  import-data  write a dataset of another format as COCO JSON
  prepare-data copy a dataset of any of these formats to a few large files, or COCO 2017, downloaded if need be
  summary      a model's modules: shapes, parameters, FLOPs, memory
  show-data    draw what training sees of a config's images
  convert      read weights of torchvision and Detectron2, and write them
  compare      two models, or one and stored outputs of another system, stage by stage
  replay       compute a step of training again whose loss was not finite

`maskrcnn COMMAND --help` says more; `maskrcnn --version` prints the version."""

COMMANDS = {
    "train": train.main,
    "eval": evaluate.main,
    "predict": predict.main,
    "inspect": inspect.main,
    "report": report.main,
    "check-data": check_data.main,
    "import-data": import_data.main,
    "prepare-data": prepare_data.main,
    "summary": summary.main,
    "show-data": show_data.main,
    "convert": convert.main,
    "compare": compare.main,
    "replay": replay.main,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; an error that the user can mend is printed without a traceback, and the exit status is 1."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    command, rest = (given[0], given[1:]) if given else ("", [])
    if command in ("-h", "--help"):
        print(USAGE)
    elif command == "--version":
        print(maskrcnn_jax.__version__)
    elif command in COMMANDS:
        _run(command, rest)
    else:
        if command:
            print(f"maskrcnn: no command {command!r}", file=sys.stderr)
        print(USAGE, file=sys.stderr)
        raise SystemExit(2)


def _run(command: str, arguments: list[str]) -> None:
    use_compilation_cache()
    if isinstance(sys.stdout, TextIOWrapper):  # as stderr does: a file name that is no text must not end a report
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        COMMANDS[command](arguments)
    except KeyboardInterrupt:
        print(f"maskrcnn {command}: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except (UserError, OSError) as error:
        print(f"maskrcnn {command}: {error}", file=sys.stderr)
        raise SystemExit(1) from error
