"""examples/balloon.py and examples/shapes.py on data made here."""

import json
from pathlib import Path

import numpy as np
import pytest
import tyro
from PIL import Image, ImageDraw

from examples import balloon, shapes
from maskrcnn_jax import CocoSource, DataError, models
from maskrcnn_jax.checkpoint import load
from maskrcnn_jax.data.formats import read_format, write_coco
from maskrcnn_jax.matterport.config import CONSTANTS
from maskrcnn_jax.weights import backbone_to_classifier
from tests import tiny
from tests.matterport.tiny import shrink
from tests.models.small import lively_variables

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize("name", ["balloon", "shapes"])
def test_a_sample_has_at_most_sixty_lines(name):
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= 60


def draw_balloons(folder, count):
    """`count` pictures of one and two balloons, outlined by hand as VIA writes it, and one without any."""
    folder.mkdir(parents=True)
    entries = {}
    for i in range(count + 1):
        outlines = [
            [(8 + 24 * n + 9 * np.cos(a), 20 + 3 * i + 12 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 12, endpoint=False)]
            for n in range(1 + i % 2)
        ] * (i < count)
        image = Image.new("RGB", (48, 60), (20, 40, 90))
        for outline in outlines:
            ImageDraw.Draw(image).polygon(outline, fill=(220, 30, 40))
        image.save(folder / f"{i}.png")
        regions = {
            str(n): {
                "region_attributes": {},
                "shape_attributes": {"name": "polygon", "all_points_x": [x for x, _ in outline], "all_points_y": [y for _, y in outline]},
            }
            for n, outline in enumerate(outlines)
        }
        entries[f"{i}.png1"] = {"filename": f"{i}.png", "size": 1, "fileref": "", "regions": regions, "file_attributes": {}}
    (folder / "via_region_data.json").write_text(json.dumps(entries))


def test_the_balloons_are_those_that_import_data_reads(tmp_path):
    draw_balloons(tmp_path / "train", 4)
    dataset = balloon.BalloonDataset()
    dataset.load_balloon(tmp_path / "train")
    dataset.prepare()
    write_coco(tmp_path / "train.json", read_format("via", tmp_path / "train" / "via_region_data.json", labels=("balloon",)))
    imported = CocoSource(tmp_path / "train.json", tmp_path / "train")
    assert (len(dataset), len(imported)) == (4, 5)  # with the one that has no balloon
    for ours, theirs in zip(dataset, imported, strict=False):
        assert np.array_equal(ours.image, theirs.image)
        assert np.array_equal(ours.masks, theirs.masks)
        assert ours.labels.tolist() == theirs.labels.tolist() == [1] * len(ours.masks)
    document = json.loads((tmp_path / "train" / "via_region_data.json").read_text())
    listed = {name: entry | {"regions": list(entry["regions"].values())} for name, entry in document.items()}  # as VIA 2 writes them
    (tmp_path / "train" / "via_region_data.json").write_text(json.dumps(listed))
    again = balloon.BalloonDataset()
    again.load_balloon(tmp_path / "train")
    assert again.image_info == dataset.image_info
    (tmp_path / "train" / "3.png").unlink()
    with pytest.raises(DataError, match=r"3\.png: no such image file"):
        dataset.load_image(3)


def write_classifier(path):
    """A ResNet-18's weights, random ones, by torchvision's names."""
    variables = lively_variables(models.build(balloon.BalloonConfig().experiment().model))
    np.savez(path, **backbone_to_classifier(variables))


@pytest.mark.slow  # a whole network is traced and compiled, in training and in detection
def test_balloon_trains_heads_on_a_classifier_and_leaves_colour_to_what_it_finds(tmp_path, monkeypatch):
    shrink(monkeypatch, balloon.BalloonConfig)
    monkeypatch.setitem(CONSTANTS, "eval.losses", False)  # which would compile the network once more; test_model.py has them
    for subset, count in (("train", 4), ("val", 2)):
        draw_balloons(tmp_path / "balloon" / subset, count)
    write_classifier(tmp_path / "resnet18.npz")
    commands = {"train": balloon.train, "splash": balloon.splash}
    arguments = f"--dataset {tmp_path}/balloon --weights {tmp_path}/resnet18.npz --epochs 1 --logs {tmp_path}/logs"
    tyro.extras.subcommand_cli_from_dict(commands, args=["train", *arguments.split()])
    (run,) = (tmp_path / "logs").glob("balloon*/epochs_0001_0001")
    trained = load(run)
    assert trained.config.model.backbone.frozen_stages == 5
    kept = backbone_to_classifier(trained.variables)
    assert all(np.array_equal(kept[name], array) for name, array in np.load(tmp_path / "resnet18.npz").items())
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert "mask_AP" in lines[-1]["val"]

    picture = tmp_path / "balloon" / "val" / "1.png"
    arguments = f"--image {picture} --out {tmp_path}/splash.png --logs {tmp_path}/logs"
    tyro.extras.subcommand_cli_from_dict(commands, args=["splash", *arguments.split()])
    before, after = (np.asarray(Image.open(file)) for file in (picture, tmp_path / "splash.png"))
    coloured = (after != after[..., :1]).any(axis=2)
    assert coloured.any()
    assert np.array_equal(after[coloured], before[coloured])
    assert np.array_equal(after[~coloured][:, 0], before[~coloured].mean(axis=1).astype(np.uint8))


def test_shapes_are_squares_circles_and_triangles_of_which_later_ones_hide_earlier_ones():
    dataset = shapes.ShapesDataset()
    dataset.load_shapes(150, 128, np.random.default_rng(0).integers)
    dataset.prepare()
    assert dataset.class_names == ["BG", "square", "circle", "triangle"]
    alone = {}
    for example, info in zip(dataset, dataset.image_info, strict=True):
        assert example.masks.sum(axis=0).max() == 1
        ground = example.masks.max(axis=0) == 0
        assert (example.image[ground] == info["ground"]).all()
        for n, (label, mask) in enumerate(zip(example.labels, example.masks, strict=True)):
            if len(example.masks) == len(info["shapes"]):
                assert (example.image[mask == 1] == info["shapes"][n][-1]).all()
            x0, y0, x1, y1 = example.boxes[n]
            if len(info["shapes"]) == 1 and min(x0, y0) > 0 and max(x1, y1) < 128:
                alone[int(label)] = mask.sum() / ((x1 - x0) * (y1 - y0))
    # Shares of their boxes, whose sides are a pixel longer than twice the radius, which is 21 to 31: of a circle up to 0.05 less.
    assert alone == {1: 1.0, 2: pytest.approx(np.pi / 4, abs=0.05), 3: pytest.approx(0.5, abs=0.05)}


def test_shapes_trains_twice_and_detects(tmp_path, monkeypatch):
    shrink(monkeypatch, shapes.ShapesConfig)
    monkeypatch.setattr(shapes.ShapesConfig, "STEPS_PER_EPOCH", 1)
    monkeypatch.setattr(models, "build", tiny.stand_in)
    found = shapes.main(images=(6, 3), logs=tmp_path)
    assert sorted(run.name for run in tmp_path.glob("shapes*/*")) == ["epochs_0001_0003", "epochs_0004_0004"]
    assert len(found) == 3
    for own in found:
        n = len(own["scores"])
        assert [own[name].shape for name in ("rois", "class_ids", "masks")] == [(n, 4), (n,), (64, 64, n)]
        assert [own[name].dtype for name in ("rois", "class_ids", "scores", "masks")] == [np.int32, np.int32, np.float32, np.bool_]
    assert any(len(own["scores"]) for own in found)
