import re
import shlex
from pathlib import Path
from typing import get_args

import pytest
import tyro

from maskrcnn_jax.cli.main import main
from maskrcnn_jax.cli.prepare_data import PrepareDataCommand
from maskrcnn_jax.config import DataConfig
from maskrcnn_jax.data import open_source
from maskrcnn_jax.data.formats import Format

DOCS = (Path(__file__).resolve().parent.parent.parent / "docs" / "data.md").read_text(encoding="utf-8")


def test_the_flags_that_it_prints_open_what_it_wrote(balloons, tmp_path, capsys):
    main(["prepare-data", "via", "my data/via.json", "my balloons", "--labels", "balloon"])
    printed = capsys.readouterr()
    left_out = "my data/via.json: a.png, region 1: left out: a point has no area\nwhat was left out or changed: 1 line above\n"
    assert printed.err.endswith(left_out)
    assert "1/1" in printed.err
    first, train, measure = printed.out.splitlines()
    assert first == "my balloons: written; images 1, objects 1, classes 1"
    expected = ["--data.kind", "prepared", "--model.num-classes", "1", "--data.train-annotations", "my balloons"]
    assert shlex.split(train.partition(":")[2]) == expected
    assert shlex.split(measure.partition(":")[2]) == ["--data.kind", "prepared", "--data.val-annotations", "my balloons"]
    example = open_source(DataConfig(kind="prepared", val_annotations="my balloons"), "val")[0]
    assert example.boxes.tolist() == [[4, 5, 14, 15]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my balloons", "my data"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["via", "my data/via.json", "my data", "--labels", "balloon"], "my data: exists already; give the name of a new folder"),
        (["via", "gone.json", "out"], "gone.json: no such file or folder; give the via data"),
        (["via", "my data/via.json", "out", "--split", "train"], "via has no option --split; its options are --images, --labels"),
        (["coco", "my data/via.json", "out"], "my data/via.json: no list `images`; give a COCO instances file"),
        (["coco2017", "my data", "out"], "coco2017 has the splits train2017 and val2017; name one by --split"),
    ],
)
def test_an_error_is_a_line_and_leaves_nothing(assert_refused, arguments, message):
    assert_refused("prepare-data", arguments, message)


def test_help_says_what_each_option_means(capsys):
    with pytest.raises(SystemExit) as end:
        main(["prepare-data", "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert all(word in out for word in (*get_args(Format), "coco2017", "--images", "--split", "--labels", "--attribute", "docs/data.md"))


def test_the_docs_commands_are_taken():
    lines = re.findall(r"^maskrcnn prepare-data (.*)$", DOCS, re.MULTILINE)
    commands = [tyro.cli(PrepareDataCommand, args=shlex.split(line)) for line in lines]
    assert {command.format for command in commands} == {"coco", "coco2017"}
