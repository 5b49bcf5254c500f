import inspect
import re
import shlex
from pathlib import Path
from typing import get_args

import pytest
import tyro

from maskrcnn_jax.cli.import_data import ImportDataCommand
from maskrcnn_jax.cli.main import main
from maskrcnn_jax.config import DataConfig
from maskrcnn_jax.data import open_source
from maskrcnn_jax.data.formats import READERS, Format

DOCS = (Path(__file__).resolve().parent.parent.parent / "docs" / "data.md").read_text(encoding="utf-8")


def test_the_flags_that_it_prints_open_what_it_wrote(balloons, tmp_path, capsys):
    main(["import-data", "via", "my data/via.json", "my balloons.json", "--labels", "balloon"])
    printed = capsys.readouterr()
    assert printed.err == ("my data/via.json: a.png, region 1: left out: a point has no area\nwhat was left out or changed: 1 line above\n")
    first, train, measure = printed.out.splitlines()
    assert first == "my balloons.json: written; images 1, objects 1, classes 1"
    assert shlex.split(train.partition(":")[2]) == [
        "--model.num-classes",
        "1",
        "--data.train-annotations",
        "my balloons.json",
        "--data.train-images",
        "my data",
    ]
    words = shlex.split(measure.partition(":")[2])
    assert words[::2] == ["--data.val-annotations", "--data.val-images"]
    example = open_source(DataConfig(val_annotations=words[1], val_images=words[3]), "val")[0]
    assert example.boxes.tolist() == [[4, 5, 14, 15]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my balloons.json", "my data"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["via", "my data/via.json", "my data/via.json"], "my data/via.json: exists already and would be overwritten; give another name"),
        (["via", "gone.json", "out.json"], "gone.json: no such file or folder; give the via data"),
        (["via", "my data/via.json", "out.json"], "regions have no attributes and so no class; give the one class by --labels"),
        (["via", "my data/via.json", "out.json", "--split", "train"], "via has no option --split; its options are --images, --labels"),
        (["yolo", "my data", "out.json"], "my data: neither data.yaml nor classes.txt names the classes"),
        (["coco", "my data/via.json", "out.json"], "my data/via.json: no list `images`; give a COCO instances file"),
        (["coco", "my data", "out.json"], "my data: is a folder; give a JSON file"),
        (["labelme", "my data", "out.json"], "via.json: no `shapes` and `imagePath`"),
    ],
)
def test_an_error_is_a_line_and_leaves_nothing(assert_refused, arguments, message):
    assert_refused("import-data", arguments, message)


def test_an_unknown_format_is_named_with_those_that_there_are(balloons, capsys):
    with pytest.raises(SystemExit) as end:
        main(["import-data", "labelbox", "my data", "out.json"])
    assert end.value.code == 2
    err = capsys.readouterr().err
    assert "labelbox" in err
    assert "labelme" in err


def test_help_says_what_each_option_means(capsys):
    with pytest.raises(SystemExit) as end:
        main(["import-data", "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("pascal_voc", "SRC DST", "--images", "--split", "--labels", "--attribute", "docs/data.md"))


def test_the_docs_have_an_example_and_a_row_of_each_format():
    lines = re.findall(r"^maskrcnn import-data (.*)$", DOCS, re.MULTILINE)
    commands = [tyro.cli(ImportDataCommand, args=shlex.split(line)) for line in lines]
    assert list(dict.fromkeys(command.format for command in commands)) == list(get_args(Format)) == list(READERS)
    for command in commands:
        options = set(inspect.signature(READERS[command.format]).parameters) - {"source"}
        given = {name for name in ("images", "split", "labels", "attribute") if getattr(command, name)}
        assert given <= options
        (row,) = re.findall(rf"^\| `{command.format}` \|.*$", DOCS, re.MULTILINE)
        assert all(f"`--{option}`" in row for option in options - {"labels"})
