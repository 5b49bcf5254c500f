import numpy as np
import pytest

from maskrcnn_jax.config import DataConfig, InputConfig
from maskrcnn_jax.data import DataError, Plan, ShapesSource, batches, check_example, check_source, check_sources, read_example
from maskrcnn_jax.structs import Example
from tests import tiny

GOOD = Example(
    image=np.zeros((4, 6, 3), np.uint8),
    image_id=7,
    masks=np.ones((2, 4, 6), np.uint8),
    boxes=np.array([[0, 0, 6, 4], [1, 1, 2, 2]], np.float32),
    labels=np.array([1, 3], np.int32),
    crowd=np.array([False, True]),
)
NONE = GOOD._replace(masks=GOOD.masks[:0], boxes=GOOD.boxes[:0], labels=GOOD.labels[:0], crowd=GOOD.crowd[:0])

OUT = "out of the image, which is 4 x 6 (height x width); clip it, or leave the object out"


@pytest.mark.parametrize(
    "example",
    [GOOD, NONE, GOOD._replace(image_id=np.int64(7), labels=np.array([1, 3]), boxes=GOOD.boxes.astype(np.float64))],
    ids=["good", "no objects", "other widths"],
)
def test_what_can_be_trained_on_passes(example):
    check_example(example, 3)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("image_id", "seven", "the image id is no integer; number the images"),
        ("image", np.zeros((4, 6, 3)), "image is float64[4, 6, 3]; give uint8[height, width, 3], RGB"),
        ("image", np.zeros((4, 6), np.uint8), "image is uint8[4, 6]; give uint8[height, width, 3], RGB"),
        ("image", np.zeros((4, 6, 4), np.uint8), "image is uint8[4, 6, 4]; give uint8[height, width, 3], RGB"),
        ("image", np.zeros((0, 6, 3), np.uint8), "image is uint8[0, 6, 3]; give uint8[height, width, 3], RGB"),
        ("labels", [1, 3], "labels are list; give int32[n], one an object"),
        ("labels", np.array([1.0, 3.0]), "labels are float64[2]; give int32[n], one an object"),
        ("labels", np.array([[1, 3]]), "labels are int64[1, 2]; give int32[n], one an object"),
        ("masks", np.ones((2, 4, 6), bool), "masks are bool[2, 4, 6]; give uint8[2, 4, 6], one a label, 0 or 1, of the image's size"),
        ("masks", np.ones((2, 6, 4), np.uint8), "masks are uint8[2, 6, 4]; give uint8[2, 4, 6], one a label, 0 or 1, of the image's size"),
        ("masks", np.ones((1, 4, 6), np.uint8), "masks are uint8[1, 4, 6]; give uint8[2, 4, 6], one a label, 0 or 1, of the image's size"),
        ("boxes", np.zeros((2, 4), int), "boxes are int64[2, 4]; give float32[2, 4], one a label"),
        ("boxes", np.zeros((2, 5)), "boxes are float64[2, 5]; give float32[2, 4], one a label"),
        ("boxes", np.zeros((0,)), "boxes are float64[0]; give float32[2, 4], one a label"),
        ("crowd", np.zeros(2, int), "crowd is int64[2]; give bool[2], one a label"),
        ("crowd", np.array([True]), "crowd is bool[1]; give bool[2], one a label"),
        ("masks", GOOD.masks * np.uint8(255), "masks hold 255; give 0 and 1 alone, for example (masks > 0).astype(np.uint8)"),
        ("boxes", np.array([[0, 0, 6, 4], [0, 0, np.nan, 1]]), "a box is NaN or infinite; correct it, or leave the object out"),
        ("boxes", np.array([[0, 0, 6, 4], [0, 0, np.inf, 1]]), "a box is NaN or infinite; correct it, or leave the object out"),
        (
            "boxes",
            np.array([[3.0, 0, 2, 4], [0, 0, 1, 1]]),
            "a box ends before it begins; give (x0, y0, x1, y1), not (x, y, width, height)",
        ),
        ("boxes", np.array([[0, 0, 6, 4], [-1, 0, 2, 1]], float), f"a box reaches {OUT}"),
        ("boxes", np.array([[0, 0, 6.5, 4], [0, 0, 2, 1]], float), f"a box reaches {OUT}"),
        ("boxes", np.array([[0, 0, 6, 4], [2, 2, 3, 5]], float), f"a box reaches {OUT}"),
        ("masks", np.stack([GOOD.masks[0], 0 * GOOD.masks[1]]), "mask 1 has no pixel; draw it, or leave the object out"),
        ("labels", np.array([0, 3]), "labels are 0 ... 3 of 3 categories; give the position in `categories` plus one"),
        ("labels", np.array([1, 4]), "labels are 1 ... 4 of 3 categories; give the position in `categories` plus one"),
    ],
)
def test_what_cannot_is_named_with_the_image_id_and_the_remedy(field, value, message):
    example = GOOD._replace(**{field: value})
    with pytest.raises(DataError) as error:
        check_example(example, 3)
    assert str(error.value) == f"image id {example.image_id!r}: {message}"


SIXTEEN = InputConfig(channels=5, dtype="uint16", mean=(0.0,) * 5, std=(1.0,) * 5)


def test_the_config_says_what_an_image_is():
    check_example(GOOD._replace(image=np.zeros((4, 6, 5), np.uint16)), 3, SIXTEEN)
    for image in (GOOD.image, np.zeros((4, 6, 4), np.uint16), np.zeros((4, 6, 5), np.uint8), np.zeros((4, 6, 5), np.uint16).astype(">u2")):
        with pytest.raises(DataError) as error:
            check_example(GOOD._replace(image=image), 3, SIXTEEN)
        assert str(error.value) == (
            f"image id 7: image is {image.dtype}{list(image.shape)}; give uint16[height, width, 5], "
            "or say otherwise by model.input.channels and model.input.dtype"
        )


def test_training_batches_are_made_of_checked_examples():
    class White(tiny.Squares):
        def __getitem__(self, i):
            example = super().__getitem__(i)
            return example._replace(masks=example.masks * np.uint8(255))

    source, inputs, data = White(2), InputConfig(min_side=64, max_side=64, canvases=((64, 64),)), DataConfig()
    plan = Plan(source.sizes, inputs, data, batch_size=1, seed=0)
    with pytest.raises(DataError, match=r"image id 10[01]: masks hold 255"):
        next(batches(source, plan, inputs, data, start_step=0, stop_step=1, seed=0))


def test_an_image_of_another_size_than_the_source_says_is_told():
    """The plan has a canvas for the size that is said."""

    class Larger(tiny.Squares):
        def __getitem__(self, i):
            return tiny.Squares(2, (64, 80))[i]

    with pytest.raises(DataError) as error:
        read_example(Larger(2), 1)
    assert (
        str(error.value)
        == "Larger: image id 101 is 64 x 80 (height x width), the source's `sizes` say 64 x 64; let `sizes` say what `__getitem__` returns"
    )


def test_what_is_no_example_is_told():
    with pytest.raises(DataError) as error:
        check_example(None, 3)
    assert str(error.value) == "an example is NoneType; return a maskrcnn_jax.Example from __getitem__"


class OneSize(ShapesSource):
    sizes = np.array([[160, 160]])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([1, 2], "list: it has no categories, no sizes; a source has __len__, __getitem__, categories, sizes"),
        (OneSize(0, 2), "OneSize: `sizes` has the shape [1, 2] for 2 examples; give int[2, 2], height and width of each image"),
    ],
)
def test_what_is_no_source_is_told(source, message):
    with pytest.raises(DataError) as error:
        check_source(source)
    assert str(error.value) == message
    with pytest.raises(DataError) as error:
        check_sources((ShapesSource(0, 1), source))
    assert str(error.value) == message


@pytest.mark.parametrize(("sources", "given"), [(ShapesSource(0, 1), "ShapesSource"), ((ShapesSource(0, 1),), "1 of them")])
def test_training_takes_two_sources(sources, given):
    with pytest.raises(DataError) as error:
        check_sources(sources)
    assert str(error.value) == f"sources are {given}; give two, (to train on, to measure on)"


def test_two_sources_pass_even_an_empty_one():
    check_sources((ShapesSource(0, 2), ShapesSource(0, 0)))
