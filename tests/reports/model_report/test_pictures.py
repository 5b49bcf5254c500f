import numpy as np
import pytest
from pycocotools import mask as mask_utils

from maskrcnn_jax import visualize
from maskrcnn_jax.config import InputConfig
from maskrcnn_jax.evaluation import ground_truth
from maskrcnn_jax.reports.model_report import model_report, worst_images
from maskrcnn_jax.structs import Result
from tests.tiny import Squares

SIZE = (64, 80)  # eight times that is 640 wide: drawn and not resized


def detection(image_id, score, x, y, w, h, category=30):
    mask = np.zeros(SIZE, np.uint8)
    mask[y : y + h, x : x + w] = 1
    rle = mask_utils.encode(np.asfortranarray(mask))
    shape = {"size": rle["size"], "counts": rle["counts"].decode()}
    return {"image_id": image_id, "category_id": category, "bbox": [x, y, w, h], "score": score, "segmentation": shape}


def drawn(source, i, *entries):
    """What `visualize` makes of detections, with the label of each."""
    result = Result(
        boxes=np.array([[x, y, x + w, y + h] for x, y, w, h in (entry["bbox"] for entry, _ in entries)], np.float32).reshape(-1, 4),
        scores=np.array([entry["score"] for entry, _ in entries], np.float32),
        labels=np.array([label for _, label in entries], np.int32),
        masks=[entry["segmentation"] for entry, _ in entries],
        size=SIZE,
    )
    return visualize.draw(source[i].image, result, source.categories)


@pytest.fixture
def measured():
    """Four images, of which a model finds the square of the first two; of the third a part, and something; a second one finds nothing.

    Category 30 is the first of the source, and the second in the order of ids.
    """
    source = Squares(4, SIZE)
    right = [detection(100 + i, 0.9, 8 + i, 4 + i, 16 + i, 16 + i, (30, 20)[i % 2]) for i in range(2)]
    wrong = [detection(102, 0.6, 10, 6, 18, 5), detection(102, 0.8, 50, 40, 20, 10, 20), detection(102, 0.4, 1, 1, 9, 9)]
    models = {"a": [*right, *wrong], "b": []}
    return source, models, model_report("squares", ground_truth(source), models)


def test_the_worst_come_first_with_ground_truth_and_what_each_model_finds(measured):
    source, models, report = measured
    third, fourth = worst_images(report, source, InputConfig(), list(models.values()), 2)
    assert [report.images[of.image]["id"] for of in (third, fourth)] == [102, 103]
    for of, i in ((third, 2), (fourth, 3)):
        np.testing.assert_array_equal(of.truth, visualize.draw_example(source[i], source.categories))
        np.testing.assert_array_equal(of.found[1], drawn(source, i))
    part, other, _ = models["a"][2:]  # the last has too low a score
    np.testing.assert_array_equal(third.found[0], drawn(source, 2, (other, 2), (part, 1)))
    np.testing.assert_array_equal(fourth.found[0], drawn(source, 3))


def test_more_pictures_than_images_are_all_of_them(measured):
    source, models, report = measured
    assert len(worst_images(report, source, InputConfig(), list(models.values()), 99)) == 4
    assert worst_images(report, source, InputConfig(), list(models.values()), 0) == []


def test_a_source_that_tells_its_ids_is_read_no_more_than_needed(measured):
    source, models, report = measured

    read = []

    class Telling(Squares):
        image_ids = np.arange(100, 104)

        def __getitem__(self, i):
            read.append(i)
            return super().__getitem__(i)

    telling = Telling(4, SIZE)
    told = worst_images(report, telling, InputConfig(), list(models.values()), 2)
    assert read == [2, 3]
    for one, other in zip(told, worst_images(report, source, InputConfig(), list(models.values()), 2), strict=True):
        np.testing.assert_array_equal(one.found[0], other.found[0])


def test_large_images_are_made_smaller():
    source = Squares(1, (400, 900))
    (of,) = worst_images(model_report("x", ground_truth(source), {"a": []}), source, InputConfig(), [[]], 1)
    assert of.truth.shape == of.found[0].shape == (284, 640, 3)
