import json
import math

import numpy as np
import pytest
from pycocotools import mask as mask_utils
from rich.console import Console

from maskrcnn_jax.evaluation import Metrics, PredictionsFile, class_table, from_coco, summary_lines, to_coco, write_results
from maskrcnn_jax.structs import Category, Result

CATEGORIES = (Category(17, "cat"), Category(90, "toothbrush"))


def result(count):
    mask = np.zeros((6, 8), np.uint8)
    mask[1:4, 2:7] = 1
    return Result(
        boxes=np.array([[2, 1, 7.25, 4]] * count, np.float32).reshape(-1, 4),
        scores=np.full(count, 0.75, np.float32),
        labels=np.full(count, 2, np.int32),
        masks=[mask_utils.encode(np.asfortranarray(mask))] * count,
        size=(6, 8),
    )


def test_entries_have_the_datas_ids_and_corner_with_size():
    (entry,) = to_coco(result(1), np.int64(42), CATEGORIES)
    assert entry.pop("segmentation") == {"size": [6, 8], "counts": result(1).masks[0]["counts"].decode()}
    assert entry == {"image_id": 42, "category_id": 90, "bbox": [2.0, 1.0, 5.25, 3.0], "score": 0.75}
    assert type(entry["image_id"]) is int


def test_a_result_without_detections_has_no_entries():
    assert to_coco(result(0), 42, CATEGORIES) == []


def test_detections_of_a_label_without_a_category_are_left_out():
    assert to_coco(result(2), 42, (CATEGORIES[0], None)) == []


@pytest.mark.parametrize("count", [0, 3])
def test_from_coco_is_the_way_back_best_first(count):
    given = result(count)._replace(scores=np.linspace(0.25, 0.75, count, dtype=np.float32), labels=1 + np.arange(count, dtype=np.int32) % 2)
    back = from_coco(to_coco(given, 42, CATEGORIES), (6, 8), CATEGORIES)
    for one, other in zip(back[:3], given[:3], strict=True):
        np.testing.assert_array_equal(one, other[::-1])
        assert one.dtype == other.dtype
    assert [mask_utils.decode(mask).sum() for mask in back.masks] == [15] * count
    assert back.size == (6, 8)


def test_written_results_read_back_with_their_masks(tmp_path):
    entries = to_coco(result(2), 42, CATEGORIES)
    write_results(tmp_path / "results.json", entries)
    read = json.loads((tmp_path / "results.json").read_text())
    assert read == entries
    assert mask_utils.decode(read[0]["segmentation"])[1:4, 2:7].all()


def test_predictions_are_a_dataset_of_their_own(tmp_path):
    with PredictionsFile(tmp_path / "predictions.json", CATEGORIES) as predictions:
        predictions.add("a.png", result(1))
        predictions.add(tmp_path / "b.png", result(2))
    read = json.loads((tmp_path / "predictions.json").read_text())
    assert read["images"] == [
        {"id": 1, "file_name": "a.png", "height": 6, "width": 8},
        {"id": 2, "file_name": str(tmp_path / "b.png"), "height": 6, "width": 8},
    ]
    assert read["categories"] == [{"id": 17, "name": "cat"}, {"id": 90, "name": "toothbrush"}]
    entries = to_coco(result(1), 1, CATEGORIES) + to_coco(result(2), 2, CATEGORIES)
    assert read["annotations"] == [{"id": i, "iscrowd": 0, **entry} for i, entry in enumerate(entries, 1)]


def test_frames_have_numbers_and_images_without_objects_have_rows(tmp_path):
    with PredictionsFile(tmp_path / "predictions.json", CATEGORIES) as predictions:
        for i in range(3):
            predictions.add("a.mp4", result(i % 2), frame_index=i)
    read = json.loads((tmp_path / "predictions.json").read_text())
    row = {"file_name": "a.mp4", "height": 6, "width": 8}
    assert read["images"] == [{"id": i + 1, **row, "frame_index": i} for i in range(3)]
    assert [(entry["id"], entry["image_id"]) for entry in read["annotations"]] == [(1, 2)]


def test_what_was_added_before_an_error_is_whole_json_and_nothing_makes_no_file(tmp_path):
    for count, name in ((0, "none.json"), (1, "one.json")):
        with pytest.raises(KeyboardInterrupt), PredictionsFile(tmp_path / name, CATEGORIES) as predictions:
            add_and_stop(predictions, count)
    assert [path.name for path in tmp_path.iterdir()] == ["one.json"]
    assert len(json.loads((tmp_path / "one.json").read_text())["annotations"]) == 2


def add_and_stop(predictions, count):
    for _ in range(count):
        predictions.add("a.png", result(2))
    raise KeyboardInterrupt


def test_results_are_written_as_they_come(tmp_path):
    with PredictionsFile(tmp_path / "predictions.json", CATEGORIES) as predictions:
        for _ in range(1000):
            predictions.add("a.png", result(1))
        assert (tmp_path / "predictions.json").stat().st_size > 50_000


def test_writing_into_a_missing_folder_names_it(tmp_path):
    with pytest.raises(OSError) as error:
        write_results(tmp_path / "absent" / "results.json", [])
    assert "absent" in str(error.value)
    with pytest.raises(OSError, match="absent"):
        PredictionsFile(tmp_path / "absent" / "predictions.json", CATEGORIES).add("a.png", result(1))


def metrics(ap, cat):
    return Metrics({"AP": ap, "AP50": 0.5}, {17: cat, 90: float("nan")})


@pytest.mark.parametrize("name", ["cat", "[cat]", "[/cat]"])
def test_table_has_a_row_a_class_and_the_mean(name):
    """Rich takes brackets for markup, and fails on the last name."""
    truth = {
        "categories": [{"id": 90, "name": "toothbrush"}, {"id": 17, "name": name}],
        "annotations": [{"category_id": 17, "iscrowd": 0}, {"category_id": 17, "iscrowd": 0}, {"category_id": 17, "iscrowd": 1}],
    }
    table = class_table(truth, {"bbox": metrics(0.25, 0.25), "segm": metrics(0.125, 0.1234)})
    console = Console(width=80)
    with console.capture() as captured:
        console.print(table)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in captured.get().splitlines() if line.startswith("│")]
    assert [column.header for column in table.columns] == ["class", "objects", "box AP", "mask AP"]
    assert rows == [["toothbrush", "0", "-", "-"], [name, "2", "0.250", "0.123"], ["all", "2", "0.250", "0.125"]]


def test_summary_has_a_line_a_kind():
    whole = {"bbox": Metrics({"AP": 0.0, "AP50": 0.5}, {17: 0.0}), "segm": Metrics({"AP": 0.125, "AP50": 0.5}, {17: 0.125})}
    assert summary_lines(whole) == ["box   AP 0.000  AP50 0.500", "mask  AP 0.125  AP50 0.500"]


@pytest.mark.parametrize(
    ("found", "shown"),
    [(Metrics({"AP": 0.5, "APs": 0.25}, {17: math.nan}), "AP 0.500  APs 0.250"), (Metrics({"APs": math.nan}, {17: 0.5}), "APs -")],
)
def test_what_has_no_object_to_measure_on_is_a_dash_that_is_explained(found, shown):
    assert summary_lines({"segm": found}) == [f"mask  {shown}", "-     no object of that class or size to measure on"]
