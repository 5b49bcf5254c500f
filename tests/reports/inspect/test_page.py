"""The page: well formed, nothing from elsewhere, its numbers, its size; and what its sliders do, in Chromium."""

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pycocotools import mask as mask_utils

from maskrcnn_jax import checkpoint, evaluation, models
from maskrcnn_jax.config import InputConfig
from maskrcnn_jax.reports import html, inspect
from maskrcnn_jax.reports.inspect.page import LARGEST
from maskrcnn_jax.reports.inspect.section import LARGE
from maskrcnn_jax.reports.inspect.walking import BEST, Boxes
from maskrcnn_jax.structs import Example, Result
from tests.reports.inspect import walks
from tests.reports.inspect.test_walk import POSITIONS, detected

SECTIONS = ["input", "backbone", "pyramid", "anchors", "objectness", "proposals", "rois", "detections", "masks"]


@pytest.fixture(scope="module")
def page():
    return inspect.page_of(walks.walk(), score_threshold=0.2)


def read(page):
    """The page, by a parser that forgives nothing."""
    return ElementTree.fromstring(page)


def test_every_stage_is_explained_and_has_a_picture(page):
    for text, more in ((page, ["comparison", "matches", "targets"]), (inspect.page_of(walks.without_truth(), score_threshold=0.2), [])):
        tree = read(text)
        sections = {section.get("id"): section for section in tree.iter("section")}
        assert list(sections) == SECTIONS + more
        assert [element.get("href") for element in tree.iter("a")] == [f"#{name}" for name in sections]
        for name, section in sections.items():
            assert len("".join(section.find("p").itertext()).split()) > 8, name
            assert list(section.iter("img")) or list(section.iter("svg")), name


def test_ids_are_unique_and_nothing_comes_from_elsewhere(page):
    tree = read(page)
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    without_pictures = re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", "", page)
    assert re.findall(r"\w+://[^\"]*", without_pictures) == ["http://www.w3.org/2000/svg"]  # a name, not an address
    assert not re.search(r"@import|url\(|<link|<iframe|fetch\(|XMLHttp", without_pictures)
    for element in tree.iter():
        assert element.get("src", "data:").startswith("data:")
        assert element.get("href", "#").startswith(("#", "data:"))


def test_names_that_look_like_markup_are_text(page):
    assert walks.NAME in "".join(read(page).find("body").find("main").find("h1").itertext())
    named = walks.walk()._replace(categories=tuple(c._replace(name="</script><b>&'") for c in walks.walk().categories))
    tree = read(inspect.page_of(named))
    (embedded,) = [element for element in tree.iter("script") if element.get("id") == "walk"]
    assert json.loads(embedded.text)["categories"][0]["name"] == "</script><b>&'"


def test_facts_are_the_walk_s(page):
    facts = {
        row.find("th").text: row.find("td").text
        for row in read(page).iter("tr")
        if row.find("th") is not None and row.find("td") is not None
    }
    walk = walks.walk()
    assert facts["image"] == "160 x 120 (height x width), 3 channels of uint8"
    assert facts["canvas"] == "64 x 64; the image is 75% of it"
    assert facts["proposals"] == f"{walk.trace.proposals.valid.sum()}; there is room for 40"
    assert facts["loss mask"] == f"{walk.training.losses['mask']:.4f}"
    result = Result(*(field[: (walk.result.scores > 0.2).sum()] for field in walk.result[:4]), size=walk.result.size)
    found, aside, missed = (flags.sum() for flags in evaluation.outcomes(result, walk.example, iou=0.5))
    assert facts["true positives"] == str(found)
    assert facts["false positives"] == str(len(result.scores) - found - aside)
    assert facts["missed"] == str(missed)


def test_pictures_have_a_largest_size(page):
    sizes = []
    for element in read(page).iter("img"):
        jpeg = base64.b64decode(element.get("src").partition(",")[2])
        sizes.append(max(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape))
    assert len(sizes) == 38
    assert max(sizes) <= LARGE


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (5, np.uint16)])
def test_images_of_other_channels_and_features_of_bfloat16_have_a_page(channels, dtype):
    walk = walks.walk()
    features = walk.trace.features
    image = np.asarray(features.image)[..., np.arange(channels) % 3]
    pyramid = tuple(level.astype(jnp.bfloat16) for level in features.pyramid)
    trace = walk.trace._replace(
        features=features._replace(image=image, pyramid=pyramid), box_features=walk.trace.box_features.astype(jnp.bfloat16)
    )
    shown = [
        of._replace(image=of.image[..., np.arange(channels) % 3].astype(dtype) * np.iinfo(dtype).max // 255)
        for of in (walk.example, walk.resized)
    ]
    text = inspect.page_of(walk._replace(example=shown[0], resized=shown[1], trace=trace))
    assert f"160 x 120 (height x width), {channels} channels of {np.dtype(dtype)}" in text


def test_a_model_that_computes_nothing_finite_has_a_page():
    """People look at those too; red is what is not finite."""
    walk = walks.walk()
    nan = lambda tree: jax.tree.map(lambda x: np.full_like(x, np.nan), tree)  # noqa: E731
    features, candidates, proposals = walk.trace.features, walk.trace.candidates, walk.trace.proposals
    features = features._replace(**{name: nan(getattr(features, name)) for name in ("backbone", "pyramid", "objectness", "deltas")})
    trace = walk.trace._replace(
        features=features,
        candidates=candidates._replace(valid=np.zeros_like(candidates.valid)),
        proposals=proposals._replace(valid=np.zeros_like(proposals.valid)),
    )
    result = walk.result._replace(**{name: getattr(walk.result, name)[:0] for name in ("boxes", "scores", "labels", "masks")})
    training = walk.training._replace(mask_logits=nan(walk.training.mask_logits), losses=dict.fromkeys(walk.training.losses, float("nan")))
    text = inspect.page_of(
        walk._replace(trace=trace, boxes=walk.boxes._replace(moved=nan(walk.boxes.moved)), result=result, training=training)
    )
    assert "all 0 detections with a score above 0.5" in text
    uri = re.search(r'src="data:image/jpeg;base64,([^"]+)" alt="Backbone', text)[1]
    blue, green, red = cv2.imdecode(np.frombuffer(base64.b64decode(uri), np.uint8), cv2.IMREAD_COLOR).reshape(-1, 3).mean(axis=0)
    assert red > 200 > 60 > max(blue, green)


def test_an_image_known_to_have_no_object_has_a_page():
    walk = walks.walk()
    none = {name: getattr(walk.resized, name)[:0] for name in ("masks", "boxes", "labels", "crowd")}
    rois = walk.training.roi_samples._replace(labels=np.zeros_like(walk.training.roi_samples.labels))
    anchors = walk.training.anchor_samples._replace(positive=np.zeros_like(walk.training.anchor_samples.positive))
    training = walk.training._replace(roi_samples=rois, anchor_samples=anchors)
    shown = walk._replace(
        training=training, resized=walk.resized._replace(**none), example=walk.example._replace(**none | {"masks": walk.example.masks[:0]})
    )
    text = inspect.page_of(shown, score_threshold=0.2)
    assert "0 positive anchors and" in text
    assert '"truth":{"boxes":[],"labels":[],"crowd":[]}' in text


def test_the_python_of_the_docs_writes_a_page(monkeypatch, tmp_path):
    docs = (Path(__file__).resolve().parents[3] / "docs" / "inspect.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", docs, re.DOTALL | re.MULTILINE)
    names = {}
    exec(compile(block, "inspect.md", "exec"), names)
    monkeypatch.setattr(checkpoint, "load", lambda path: walks.stored())
    monkeypatch.setattr(inspect, "walk", lambda stored, example, name, *, annotated: walks.walk()._replace(name=name))
    names["write_page"]("run", walks.example(), tmp_path / "a.html")
    assert "my image, stage by stage" in (tmp_path / "a.html").read_text()


def noise_walk():
    """Of a photograph of noise, on the largest canvas of the COCO recipes: what compresses least, with all that a page can show."""
    rng = np.random.default_rng(0)
    canvas, config = (800, 1344), walks.stored().config
    model = replace(config.model, input=InputConfig(), detect=replace(config.model.detect, max_candidates=2000, max_detections=100))
    model = replace(model, propose=replace(model.propose, pre_nms_top_k_test=1000, post_nms_top_k_test=1000))
    built, image = models.build(model), rng.integers(0, 256, (800, 1333, 3), np.uint8)
    shapes = jax.eval_shape(
        built.trace, walks.stored().variables, np.zeros((1, *canvas, 3), np.uint8), np.array([image.shape[:2]], np.int32)
    )
    trace = jax.tree.map(lambda x: rng.random(x.shape, np.float32)[0] if x.dtype == np.float32 else np.ones(x.shape[1:], x.dtype), shapes)
    anchors = tuple(boxes(rng, len(level), 300) for level in shapes.features.anchors)
    detections, candidates, proposals = trace.detections, trace.candidates, trace.proposals
    candidates = candidates._replace(boxes=boxes(rng, 2000, 300), scores=np.sort(candidates.scores)[::-1])
    detections = detections._replace(boxes=candidates.boxes[:100], scores=candidates.scores[:100], labels=candidates.labels[:100])
    trace = trace._replace(
        features=trace.features._replace(anchors=anchors),
        proposals=proposals._replace(boxes=boxes(rng, 1000, 300)),
        candidates=candidates,
        detections=detections,
    )
    example = Example(image, 1, np.zeros((0, 800, 1333), np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, np.int32), np.zeros(0, bool))
    speckle = [mask_of(rng, box) for box in detections.boxes]
    result = Result(detections.boxes, detections.scores, detections.labels, speckle, (800, 1333))
    best = Boxes(boxes(rng, BEST, 300), boxes(rng, BEST, 300), np.int32(1), np.zeros(1000, np.int32))
    return walks.without_truth()._replace(
        example=example, resized=example, canvas=canvas, config=replace(config, model=model), trace=trace, result=result, boxes=best
    )


def boxes(rng, count, side):
    corner = rng.uniform(0, 700, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(10, side, (count, 2))], axis=1).astype(np.float32)


def mask_of(rng, box):
    """Of a grid of 28 x 28 cells of noise in a box."""
    mask = np.zeros((800, 1333), np.uint8)
    x0, y0, x1, y1 = (int(side) for side in box)
    grid = cv2.resize(rng.random((28, 28), np.float32), (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    part = mask[y0:y1, x0:x1]
    part[...] = grid[: part.shape[0], : part.shape[1]] > 0.5
    return mask_utils.encode(np.asfortranarray(mask))


def test_the_page_of_the_worst_image_is_bounded():
    assert len(inspect.page_of(noise_walk(), score_threshold=0.0).encode()) < LARGEST


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "inspect.html"
    html.write(path, inspect.page_of(walks.lucky(), score_threshold=0.2))
    return path


@pytest.fixture
def shown(written, browser):
    """The browser with the page anew; at the end nothing stands on the console."""
    browser.open(written)
    yield browser
    assert browser.complaints() == []


def test_counts_in_the_page_are_those_of_the_stages_at_three_positions(shown):
    """Boxes in the picture, rows of the table and numbers, against `stages.detect` and COCO's matching."""
    truth = walks.lucky().resized
    shown.click("#show-dropped")
    seen = []
    for (score, nms), iou in zip(POSITIONS, (0.3, 0.6, 0.95), strict=True):
        for name, value in (("score", score), ("nms", nms), ("iou", iou)):
            shown.slide(f"#{name}", value)
        candidates, found = detected(score, nms)
        numbers = {name: int(shown.text(f"#count-{name}")) for name in ("candidates", "dropped", "kept", "found", "wrong", "missed")}
        assert numbers["kept"] == found.valid.sum() == shown.count("#scene rect.kept") == shown.count("#rows tr")
        assert numbers["candidates"] == candidates.valid.sum()
        assert numbers["dropped"] == shown.count("#scene rect.dropped")
        result = Result(*(field[found.valid] for field in (found.boxes, found.scores, found.labels)), masks=[], size=(64, 48))
        hits, aside, missed = (flags.sum() for flags in evaluation.outcomes(result, truth, iou=iou))
        assert numbers["found"] == hits == shown.count("#scene rect.truth.found")
        assert numbers["wrong"] == numbers["kept"] - hits - aside
        assert numbers["missed"] == missed == shown.count("#scene rect.truth.missed")
        assert shown.count("#scene rect.truth") == len(truth.boxes) == 4
        assert float(shown.text("#score-value")) == score
        seen.append((numbers["kept"], hits, aside, missed))
    assert len(set(seen)) == 3
    assert np.min(seen, axis=0)[1] < np.max(seen, axis=0)[1]  # of the true positives, as of crowds and misses, there are some, not always
    assert all(np.max(seen, axis=0) > 0)


def test_the_button_sets_the_model_s_own_thresholds(shown):
    shown.slide("#score", 0.9)
    shown.slide("#nms", 0.9)
    shown.click("#reset")
    assert shown.run("return [document.getElementById('score').value, document.getElementById('nms').value]") == ["0.2", "0.5"]
    assert int(shown.text("#count-kept")) == detected(0.2, 0.5)[1].valid.sum()


def test_below_the_floor_the_page_says_that_candidates_are_missing(shown):
    assert shown.run("return document.getElementById('cut').hidden")
    shown.slide("#score", 0)
    assert not shown.run("return document.getElementById('cut').hidden")
    assert not shown.run("return document.getElementById('beyond').hidden")  # 8 are shown
    assert shown.count("#scene rect.kept") == 8


def test_masks_names_truth_and_colours_can_be_switched(shown):
    kept = shown.count("#scene rect.kept")
    assert shown.count("#scene path.mask") == kept
    assert 0 < shown.count("#scene .label") <= kept
    colors = "return [...document.querySelectorAll('#scene rect.kept')].map((box) => box.style.stroke)"
    outcomes = set(shown.run(colors))
    for switch in ("masks", "names", "truth", "outcomes"):
        shown.click(f"#show-{switch}")
    assert shown.count("#scene path.mask") == shown.count("#scene .label") == shown.count("#scene rect.truth") == 0
    assert len(set(shown.run(colors))) == len(set(detected(0.2, 0.5)[1].labels.tolist()) - {0}) > 1
    assert not outcomes & set(shown.run(colors))
    for switch in ("masks", "names", "truth", "outcomes"):
        shown.click(f"#show-{switch}")
    assert shown.count("#scene path.mask") == kept


def test_a_row_lights_up_its_box(shown):
    shown.run("document.querySelector('#rows tr:nth-child(2)').dispatchEvent(new Event('mouseover', {bubbles: true}))")
    second = shown.run("return document.querySelector('#rows tr:nth-child(2)').dataset.candidate")
    assert shown.run("return [...document.querySelectorAll('#scene rect.lit')].map((box) => box.dataset.candidate)") == [second]


def test_labels_keep_their_size_on_the_screen(shown):
    """Of an image of 48 pixels, which is shown larger, letters are 12 pixels of the screen."""
    heights = shown.run("return [...document.querySelectorAll('#scene .label text')].map((text) => text.getBoundingClientRect().height)")
    assert heights
    assert all(10 < height < 20 for height in heights)


def test_a_page_without_ground_truth_works_too(browser, tmp_path):
    path = tmp_path / "plain.html"
    html.write(path, inspect.page_of(walks.without_truth(), score_threshold=0.2))
    browser.open(path)
    assert browser.count("#iou") == browser.count("#count-found") == 0
    assert browser.count("#scene rect.kept") == detected(0.2, 0.5)[1].valid.sum()
    assert browser.complaints() == []
