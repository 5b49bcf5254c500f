"""The command: what it hands on, what it writes, what it refuses. The walk itself is tested in tests/reports/inspect."""

import json

import pytest
from PIL import Image

from maskrcnn_jax import checkpoint
from maskrcnn_jax.cli.main import main
from maskrcnn_jax.reports import inspect
from tests.reports.inspect import walks


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Images, annotations, and what the command asks of a walk that is not computed."""
    example, calls = walks.example(), []
    Image.fromarray(example.image).save(tmp_path / "photo.png")
    rows = [
        {"id": i + 1, "image_id": 3, "category_id": int(label), "bbox": [x0, y0, x1 - x0, y1 - y0], "iscrowd": 0}
        | {"segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]]}
        for i, (label, (x0, y0, x1, y1)) in enumerate(zip(example.labels, example.boxes.tolist(), strict=True))
    ]
    document = {
        "images": [{"id": 3, "file_name": "photo.png", "height": 160, "width": 120}],
        "annotations": rows,
        "categories": [{"id": category.id, "name": category.name} for category in walks.stored().categories],
    }
    (tmp_path / "annotations.json").write_text(json.dumps(document))

    def walk(stored, example, name, *, annotated):
        calls.append((stored, example, name, annotated))
        return (walks.walk() if annotated else walks.without_truth())._replace(name=name)

    monkeypatch.setattr(checkpoint, "load", lambda path: walks.stored())
    monkeypatch.setattr(inspect, "walk", walk)
    monkeypatch.chdir(tmp_path)
    return calls


def test_an_image_file_has_no_ground_truth(asked, tmp_path, capsys):
    main(["inspect", "run", "photo.png", "--out", "pages/photo.html"])
    ((stored, example, name, annotated),) = asked
    assert stored is walks.stored()
    assert (example.image == walks.example().image).all()
    assert (name, annotated, len(example.labels)) == ("photo.png", False, 0)
    page = tmp_path / "pages" / "photo.html"
    assert "photo.png, stage by stage" in page.read_text()
    assert "photo.png: pages/photo.html, " in capsys.readouterr().out


def test_annotations_bring_the_ground_truth_and_thresholds_reach_the_page(asked, tmp_path):
    thresholds = ["--iou", "0.75", "--score-threshold", "0.25"]
    main(["inspect", "run", "photo.png", "--out", "a.html", "--annotations", "annotations.json", *thresholds])
    ((_, example, name, annotated),) = asked
    assert (name, annotated) == ("photo.png", True)
    assert example.labels.tolist() == walks.example().labels.tolist()
    embedded = (tmp_path / "a.html").read_text().partition('id="walk">')[2].partition("</script>")[0]
    assert json.loads(embedded)["thresholds"] == {"score": 0.25, "nms": 0.5, "iou": 0.75}
    assert "by an IoU of at least 0.75" in (tmp_path / "a.html").read_text()


def test_a_number_is_an_image_of_the_validation_data(asked):
    main(["inspect", "run", "1000000001", "--out", "a.html"])
    ((_, example, name, annotated),) = asked
    assert (name, annotated, example.image_id) == ("image 1000000001", True, 10**9 + 1)


def test_a_file_whose_name_is_a_number_is_a_file(asked, tmp_path):
    (tmp_path / "photo.png").rename(tmp_path / "1")
    main(["inspect", "run", "1", "--out", "a.html"])
    assert asked[0][2:] == ("1", False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photo.png", "--iou", "0"], "--iou must be above 0 and at most 1; got 0.0"),
        (["photo.png", "--score-threshold", "1.5"], "--score-threshold must lie between 0 and 1; got 1.5"),
        (["gone.png"], "gone.png: no such image file; correct the path, or give the id of an image of the run's validation data"),
        (["99"], "no validation image has the id 99"),
        (["photo.png", "--annotations", "gone.json"], "gone.json"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_computed(arguments, message, asked, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["inspect", "run", *arguments, "--out", "a.html"])
    assert end.value.code == 1
    assert message in capsys.readouterr().err
    assert asked == []
    assert not (tmp_path / "a.html").exists()


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_computed(asked, capsys):
    with pytest.raises(SystemExit):
        main(["inspect", "run", "photo.png", "--out", "photo.png/a.html"])
    assert "photo.png" in capsys.readouterr().err
    assert asked == []


def test_a_file_is_not_written_over(asked, tmp_path, capsys):
    (tmp_path / "a.html").write_text("mine")
    with pytest.raises(SystemExit):
        main(["inspect", "run", "photo.png", "--out", "a.html"])
    assert "maskrcnn inspect: a.html: exists already and would be overwritten; give another file by --out" in capsys.readouterr().err
    assert (tmp_path / "a.html").read_text() == "mine"
    assert asked == []
