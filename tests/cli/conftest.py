import json

import numpy as np
import pytest
from PIL import Image

from maskrcnn_jax.cli.main import main


@pytest.fixture
def balloons(tmp_path, monkeypatch):
    """A VIA file beside its image, in the folder `my data`, where the command runs."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my data"
    folder.mkdir()
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(folder / "a.png")
    shapes = [{"name": "rect", "x": 4, "y": 5, "width": 10, "height": 10}, {"name": "point", "cx": 4, "cy": 5}]
    regions = [{"shape_attributes": shape, "region_attributes": {}} for shape in shapes]
    (folder / "via.json").write_text(json.dumps({"a.png9": {"filename": "a.png", "size": 9, "regions": regions}}))
    return folder


@pytest.fixture
def assert_refused(balloons, tmp_path, capsys):
    """Of a command on `balloons`: it ends with an error of a line that has the message, and leaves nothing."""

    def check(command, arguments, message):
        with pytest.raises(SystemExit) as end:
            main([command, *arguments])
        printed = capsys.readouterr()
        assert end.value.code == 1
        assert printed.err.startswith(f"maskrcnn {command}: ")
        assert message in printed.err
        assert [path.name for path in tmp_path.iterdir()] == ["my data"]

    return check
