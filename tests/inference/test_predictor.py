import itertools
import logging
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractMesh
from pycocotools import mask as mask_utils

from maskrcnn_jax import ops
from maskrcnn_jax.config import ConfigError, InputConfig, PasteConfig
from maskrcnn_jax.data import DataError
from maskrcnn_jax.inference import Predictor, encode_masks
from maskrcnn_jax.models import DATA_AXIS
from tests import tiny

INPUT = InputConfig(min_side=64, max_side=96, canvases=((64, 64), (64, 96), (96, 64)))
CONFIG = replace(tiny.MODEL, num_classes=2, input=INPUT)


def predictor_of(model, batch_size=1):
    return Predictor(model, model.init(jax.random.key(0)), tiny.Squares.categories, batch_size=batch_size)


def with_square(height, width, x0, y0, x1, y1):
    image = np.full((height, width, 3), 20, np.uint8)
    image[y0:y1, x0:x1] = (255, 0, 0)
    return image


SIZES = [(64, 64), (32, 48), (128, 96), (64, 90), (80, 80), (60, 60)]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_results_keep_the_order_and_come_in_each_image_s_own_pixels(batch_size):
    boxes = [(10 + 2 * i, 8, 26 + 2 * i, 24) for i in range(len(SIZES))]
    images = [with_square(*size, *box) for size, box in zip(SIZES, boxes, strict=True)]
    for size, box, result in zip(SIZES, boxes, predictor_of(tiny.stand_in(CONFIG), batch_size)(images), strict=True):
        assert result.size == size
        assert len(result.boxes) == len(result.scores) == len(result.labels) == len(result.masks) == 1
        assert np.abs(result.boxes[0] - box).max() <= 1.5  # resizing blurs the edge
        (mask,) = result.masks
        assert mask["size"] == list(size)
        drawn = mask_utils.decode(mask)
        assert drawn[12:20, box[0] + 4 : box[2] - 4].all()
        assert drawn.sum() <= (box[2] - box[0] + 3) * (box[3] - box[1] + 3)


def test_a_stream_gives_each_image_its_name_back_and_reads_no_further_than_it_must():
    images = {i: with_square(64, 64, 10 + i % 8, 8, 30, 24) for i in range(40)}
    read = []

    def endless():
        for i in itertools.count():
            read.append(i)
            yield f"image {i}", images[i % 40]

    predictor = predictor_of(tiny.stand_in(CONFIG), 2)
    found = list(itertools.islice(predictor.stream(endless()), 20))
    assert read == list(range(32))  # 2 calls' 16 images, a few of which are waiting
    together = predictor([images[i] for i in range(20)])
    for i, ((name, image, result), alone) in enumerate(zip(found, together, strict=True)):
        assert name == f"image {i}"
        assert image is images[i]
        np.testing.assert_array_equal(result.boxes, alone.boxes)
    assert list(predictor.stream([])) == []


def test_boxes_are_scaled_by_each_axis_own_ratio():
    # 50 x 33 becomes 96 x 63 at a maximum side of 96: the canvas's pixels are 50 / 96 high and 33 / 63 wide.
    image = np.zeros((50, 33, 3), np.uint8)
    image[:25] = 255
    model = tiny.stand_in(CONFIG)
    canvas_box = np.float32([0, 0, 63, 48])

    def fixed(variables, images, sizes):
        found = model.predict(variables, images, sizes)
        return found._replace(boxes=jnp.broadcast_to(canvas_box, found.boxes.shape), mask_frames=found.boxes)

    np.testing.assert_allclose(predictor_of(model._replace(predict=fixed))([image])[0].boxes, [[0, 0, 33, 25]], rtol=1e-6)


def test_boxes_end_at_the_image_s_border():
    model = tiny.stand_in(CONFIG)

    def beyond(variables, images, sizes):
        found = model.predict(variables, images, sizes)
        return found._replace(boxes=jnp.broadcast_to(jnp.float32([-3, -2, 90, 70]), found.boxes.shape))

    result = predictor_of(model._replace(predict=beyond))([with_square(64, 64, 10, 10, 30, 30)])[0]
    assert result.boxes.tolist() == [[0, 0, 64, 64]]


def test_no_images_and_no_detections():
    predictor = predictor_of(tiny.stand_in(CONFIG), 3)
    assert predictor([]) == []
    (result,) = predictor([np.zeros((40, 60, 3), np.uint8)])
    assert result.boxes.shape == (0, 4)
    assert result.scores.shape == result.labels.shape == (0,)
    assert result.masks == []
    assert result.size == (40, 60)


def test_candidates_beyond_the_capacity_are_counted_and_one_warning(caplog):
    model = tiny.stand_in(CONFIG)

    def overfull(variables, images, sizes):
        found = model.predict(variables, images, sizes)
        return found._replace(cut=jnp.where(jnp.any(images > 128, axis=(1, 2, 3)), 7, 0))

    images = [with_square(64, 64, 10, 10, 30, 30), np.zeros((64, 64, 3), np.uint8), with_square(64, 90, 10, 10, 30, 30)]
    with caplog.at_level(logging.WARNING):
        assert [result.cut for result in predictor_of(model)(images)] == [0, 0, 0]
        assert caplog.text == ""
        assert [result.cut for result in predictor_of(model._replace(predict=overfull))(images)] == [7, 0, 7]
    (record,) = caplog.records
    assert "14 candidates in 2 of 3 images" in record.getMessage()
    assert "raise model.detect.max_candidates, now 32" in record.getMessage()


def test_one_program_a_canvas():
    traced = []
    model = tiny.stand_in(CONFIG)

    def counting(variables, images, sizes):
        traced.append(images.shape)
        return model.predict(variables, images, sizes)

    predictor = predictor_of(model._replace(predict=counting), 2)
    images = [with_square(*size, 10, 8, 26, 24) for size in SIZES]
    predictor(images)
    predictor(images[::-1])
    assert sorted(traced) == [(2, 64, 64, 3), (2, 64, 96, 3), (2, 96, 64, 3)]


@pytest.fixture
def compiled(caplog):
    """What was compiled since the last call: level and message of each."""
    caplog.set_level(logging.INFO, "maskrcnn_jax")

    def told():
        found = [(record.levelname, record.getMessage()) for record in caplog.records if "compiling" in record.getMessage()]
        caplog.clear()
        return found

    return told


@pytest.fixture
def backend_compiles():
    """Grows with every program that XLA compiles, or that JAX takes from its cache."""
    seen = []

    def listen(event, seconds, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            seen.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listen)


def test_after_a_warmup_calls_compile_nothing_but_how_masks_are_pasted(compiled, backend_compiles):
    predictor = predictor_of(tiny.stand_in(CONFIG), 2)
    compiled()
    backend_compiles.clear()
    predictor.warmup()
    canvases = ("(2, 64, 64, 3)", "(2, 64, 96, 3)", "(2, 96, 64, 3)")
    assert compiled() == [("INFO", f"compiling the model for images of shape {canvas}") for canvas in canvases]
    assert len(backend_compiles) == 3  # from resized images to detections with masks: one program a canvas
    predictor([with_square(*size, 10, 8, 26, 24) for size in SIZES])
    assert all("how masks are pasted" in message for _, message in compiled())
    predictor.warmup()
    assert compiled() == []


def test_after_a_warmup_for_sizes_calls_compile_nothing(compiled, backend_compiles):
    predictor = predictor_of(tiny.stand_in(replace(CONFIG, input=replace(INPUT, canvas="multiple"))))
    predictor.warmup([(300, 270), (310, 270)])
    assert [message for _, message in compiled()][:1] == ["compiling the model for images of shape (1, 96, 64, 3)"]
    backend_compiles.clear()
    assert len(predictor([with_square(310, 270, 10, 8, 100, 100)])[0].masks) == 1
    assert compiled() == []
    assert backend_compiles == []


def test_a_warmup_that_cannot_know_the_canvases_is_an_error():
    predictor = predictor_of(tiny.stand_in(replace(CONFIG, input=replace(INPUT, canvas="multiple"))))
    with pytest.raises(ValueError, match="give the sizes of those to come"):
        predictor.warmup()
    with pytest.raises(DataError, match=r"^an image of 10 x 900: resized to 1 x 96 \(height x width\) it fits none of"):
        predictor_of(tiny.stand_in(replace(CONFIG, input=replace(INPUT, canvases=((64, 64),))))).warmup([(10, 900)])


def test_many_canvases_are_a_warning_with_the_shape_that_caused_it(compiled):
    config = replace(CONFIG, input=InputConfig(min_side=32, max_side=640, canvas="multiple"))
    predictor = predictor_of(tiny.stand_in(config))
    predictor.warmup([(32, 32 * i) for i in range(1, 9)])
    assert {level for level, _ in compiled()} == {"INFO"}
    predictor.warmup([(32, 32 * 9)])
    assert [line for line in compiled() if line[0] == "WARNING"] == [
        (
            "WARNING",
            "compiling the model for images of shape (1, 32, 288, 3), canvas 9 of this model; with model.input.canvas fixed there are few",
        )
    ]


def test_predictors_of_one_model_share_its_programs(compiled):
    """Training makes one an evaluation."""
    model = tiny.stand_in(CONFIG)
    predictor_of(model).warmup()
    assert len(compiled()) == 3
    predictor_of(model).warmup()
    assert compiled() == []
    predictor_of(model, 2).warmup()
    assert {level for level, _ in compiled()} == {"INFO"}


def test_variables_of_another_dtype_have_programs_of_their_own():
    model, images = tiny.stand_in(CONFIG), [with_square(64, 64, 8, 8, 24, 24)]
    for dtype in (jnp.float32, jnp.bfloat16):
        variables = jax.tree.map(lambda x, dtype=dtype: x.astype(dtype), model.init(jax.random.key(0)))
        (result,) = Predictor(model, variables, tiny.Squares.categories)(images)
        assert len(result.labels) == 1


def test_an_image_that_fits_no_canvas_is_an_error():
    config = replace(CONFIG, input=replace(INPUT, canvases=((64, 64),)))
    with pytest.raises(DataError) as error:
        predictor_of(tiny.stand_in(config))([np.zeros((64, 64, 3), np.uint8), np.zeros((64, 90, 3), np.uint8)])
    assert str(error.value).startswith("image 1 of the list: resized to 64 x 90 (height x width) it fits none of model.input.canvases")
    assert "add a canvas that holds it" in str(error.value)


def test_another_number_of_categories_is_an_error():
    model = tiny.stand_in(CONFIG)
    with pytest.raises(ValueError) as error:
        Predictor(model, model.init(jax.random.key(0)), tiny.Squares.categories[:1])
    assert "2 classes, there are 1 categories; give those it was trained on" in str(error.value)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_size_that_cannot_be_is_an_error(batch_size):
    with pytest.raises(ConfigError) as error:
        predictor_of(tiny.stand_in(CONFIG), batch_size)
    assert str(error.value) == f"batch_size is {batch_size}, which 1 device(s) cannot share evenly; give 1, 2, 3 or so on"


def test_images_are_shared_out_evenly_to_devices():
    mesh = AbstractMesh((4,), (DATA_AXIS,))
    with pytest.raises(ConfigError) as error:
        predictor_of(tiny.stand_in(CONFIG)._replace(mesh=mesh), 6)
    assert str(error.value) == "batch_size is 6, which 4 device(s) cannot share evenly; give 4, 8, 12 or so on"


@pytest.mark.parametrize("kind", ["continuous", "expanded"])
@pytest.mark.parametrize("count", [1, 16, 19])
def test_encoded_masks_are_the_pasted_ones(rng, kind, count):
    height, width = 45, 133
    masks = rng.random((count, 6, 6), np.float32)
    corners = rng.uniform(-10, 100, (count, 2)).astype(np.float32)
    frames = np.concatenate([corners, corners + rng.uniform(2, 60, (count, 2)).astype(np.float32)], axis=1)
    pasted = ops.paste_masks(jnp.asarray(masks), jnp.asarray(frames), height=height, width=width, kind=kind)
    encoded = encode_masks(masks, frames, (height, width), PasteConfig(kind=kind, threshold=0.6))
    assert [mask["size"] for mask in encoded] == [[height, width]] * count
    for mask, expected in zip(encoded, np.asarray(pasted) >= 0.6, strict=True):
        assert np.array_equal(mask_utils.decode(mask), expected)


@pytest.mark.parametrize(
    ("images", "form"),
    [
        ([np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64, 3), np.float32)], "image 1 of the list: image is float32[64, 64, 3]"),
        ([np.zeros((64, 64), np.uint8)], "image 0 of the list: image is uint8[64, 64]"),
        ([np.zeros((3, 64, 64), np.uint8)], "image 0 of the list: image is uint8[3, 64, 64]"),
        (np.zeros((64, 64, 3), np.uint8), "image 0 of the list: image is uint8[64, 3]"),  # the list was forgotten
        (["a.png"], "image 0 of the list: image is str"),
    ],
)
def test_what_is_no_rgb_image_is_refused(images, form):
    with pytest.raises(DataError) as caught:
        predictor_of(tiny.stand_in(CONFIG))(images)
    assert str(caught.value) == f"{form}; give uint8[height, width, 3], RGB"
