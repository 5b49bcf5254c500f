"""COCO 2017's zip files, of a server of this process or in a folder."""

import hashlib
import json
import re
import threading
import zipfile
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from maskrcnn_jax.data import CocoSource, PreparedSource, prepared
from maskrcnn_jax.data.prepared import coco2017
from tests.data.prepared.making import no_bar
from tests.data.prepared.test_preparing import listing, refusal
from tests.data.prepared.test_source import same


@pytest.fixture
def published(made, tmp_path, monkeypatch):
    """A server's folder with zip files in the layout of COCO's, whose images are those of the made data, and their digests told."""
    document = json.loads(made.read_text())
    for image in document["images"]:
        image["file_name"] = image["file_name"].removeprefix("sub/")
    place = tmp_path / "server"
    for folder in ("zips", "annotations"):
        (place / folder).mkdir(parents=True)
    for split in coco2017.SPLITS:
        with zipfile.ZipFile(place / coco2017.ARCHIVES[split].place, "w") as file:
            for path in (made.parent / "sub").iterdir():
                file.write(path, f"{split}/{path.name}")
    with zipfile.ZipFile(place / coco2017.ARCHIVES["annotations"].place, "w", zipfile.ZIP_DEFLATED) as file:
        for split in coco2017.SPLITS:
            file.writestr(f"annotations/instances_{split}.json", json.dumps(document))
    for folder, archive in coco2017.ARCHIVES.items():
        digest = hashlib.sha256((place / archive.place).read_bytes()).hexdigest()
        monkeypatch.setitem(coco2017.ARCHIVES, folder, archive._replace(digest=f"sha256:{digest}"))
    (tmp_path / "coco").mkdir()
    return place


@pytest.fixture
def server(published, monkeypatch):
    """Serves the folder; `asked` are the paths."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=published)

        def log_message(self, *arguments):
            running.asked.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.asked = []
        monkeypatch.setattr(coco2017, "SERVER", f"http://127.0.0.1:{running.server_address[1]}")
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def prepare(root, target, bar=no_bar, split="val2017"):
    with prepared.open_dataset("coco2017", root, bar, split=split, images=None) as dataset:
        return prepared.prepare(dataset, target)


def unpack(published, root, folder):
    with zipfile.ZipFile(published / coco2017.ARCHIVES[folder].place) as file:
        file.extractall(root)


def copy(published, root, folder):
    place = coco2017.ARCHIVES[folder].place
    target = root / place.rpartition("/")[2]
    target.write_bytes((published / place).read_bytes())
    return target


def test_what_is_not_there_is_downloaded_once_and_images_are_read_in_the_zip_file(server, made, tmp_path):
    shown = []

    @contextmanager
    def bar(name):
        yield lambda done, total: shown.append((name, done == total))

    root = tmp_path / "coco"
    prepare(root, tmp_path / "val", bar)
    assert shown == [("annotations_trainval2017.zip", True), ("val2017.zip", True)]
    assert listing(root) == ["annotations_trainval2017.zip", "val2017.zip"]
    prepare(root, tmp_path / "train", bar, "train2017")
    assert listing(root) == ["annotations_trainval2017.zip", "train2017.zip", "val2017.zip"]
    assert len(shown) == 3
    coco = CocoSource(made, made.parent)
    for name in ("val", "train"):
        source = PreparedSource(tmp_path / name)
        assert len(source) == 4
        assert all(same(source[i], coco[i]) for i in range(4))
        assert source.record(2).content == (made.parent / "sub" / "none.jpg").read_bytes()


def test_what_is_there_unpacked_is_taken(published, made, tmp_path):
    for folder in ("annotations", "val2017"):
        unpack(published, tmp_path / "coco", folder)
    prepare(tmp_path / "coco", tmp_path / "out")
    assert same(PreparedSource(tmp_path / "out")[0], CocoSource(made, made.parent)[0])
    (tmp_path / "coco" / "val2017" / "grey.png").unlink()
    found = refusal(lambda: prepare(tmp_path / "coco", tmp_path / "again"))
    assert found.endswith("val2017: grey.png (image id 7); unpack the zip file again, or delete the folder")


@pytest.mark.parametrize(
    ("break_", "message"),
    [
        (lambda place: (place / "zips" / "val2017.zip").unlink(), "zips/val2017.zip: the server answers 404"),
        (lambda place: (place / "zips" / "val2017.zip").write_bytes(b"other"), "is not the file with digest sha256:"),
    ],
)
def test_a_download_that_goes_wrong_leaves_nothing_of_it(server, published, tmp_path, break_, message):
    break_(published)

    @contextmanager
    def bar(name):
        yield lambda done, total: None

    assert message in refusal(lambda: prepare(tmp_path / "coco", tmp_path / "out", bar))
    assert listing(tmp_path / "coco") == ["annotations_trainval2017.zip"]
    assert listing(tmp_path) == ["coco", "in", "server"]


def test_files_that_are_not_those_of_coco_are_named(published, tmp_path):
    root = tmp_path / "coco"
    annotations, images = copy(published, root, "annotations"), copy(published, root, "val2017")
    whole = images.read_bytes()

    images.write_bytes(whole[:-30])
    assert refusal(lambda: prepare(root, tmp_path / "out")).startswith(f"{images}: no whole zip file (")
    broken = bytearray(whole)
    start = whole.index(b"after the end")
    broken[start : start + 5] = b"AFTER"
    images.write_bytes(broken)
    found = refusal(lambda: prepare(root, tmp_path / "out"))
    assert found.startswith(f"{root / 'annotations' / 'instances_val2017.json'}: image id 0: {images}: none.jpg cannot be read (Bad CRC-32")
    broken = bytearray(whole)
    for start in (whole.index(b"PK\x03\x04") + 6, whole.index(b"PK\x01\x02") + 8):  # flags of the first file, which says it is encrypted
        broken[start] |= 1
    images.write_bytes(broken)
    assert re.search(rf"image id \d+: {images}: .* cannot be read \(.*encrypted", refusal(lambda: prepare(root, tmp_path / "out")))
    with zipfile.ZipFile(images, "w") as file:
        file.writestr("val2017/grey.png", b"")
    assert "3 of 4 image files are not in" in refusal(lambda: prepare(root, tmp_path / "out"))

    with zipfile.ZipFile(annotations, "w") as file:
        file.writestr("annotations/instances_train2017.json", "{}")
    found = refusal(lambda: prepare(root, tmp_path / "out"))
    assert found == f"{annotations}: holds no annotations/instances_val2017.json; delete it, and it is downloaded anew"
    assert listing(tmp_path) == ["coco", "in", "server"]


def test_a_split_and_a_folder_must_be_given(tmp_path):
    for split in (None, "test2017"):
        found = refusal(lambda split=split: prepare(tmp_path, tmp_path / "out", split=split))
        assert found == "coco2017 has the splits train2017 and val2017; name one by --split"
    assert refusal(lambda: prepare(tmp_path / "no", tmp_path / "out")).startswith(f"{tmp_path / 'no'}: no such folder; give the one that")
