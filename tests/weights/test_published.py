"""Weights by name and by URL, from a server of this process."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from maskrcnn_jax.weights import PUBLISHED, WeightsError, locate, published, read_source
from maskrcnn_jax.weights.published import DIGEST, Published

CONTENT = b"weights" * 250_000  # two chunks
SHA256, MD5 = hashlib.sha256(CONTENT).hexdigest(), hashlib.md5(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Whole at /model.pth, half at /half.pth, without its length at /stream.pth, else 404."""

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path == "/busy.pth":
            self.send_error(503)
            return
        if self.path.partition("?")[0] not in ("/model.pth", "/half.pth", "/stream.pth"):
            self.send_error(404)
            return
        self.send_response(200)
        if self.path != "/stream.pth":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if self.path == "/half.pth" else CONTENT)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.asked = []
        running.url = f"http://127.0.0.1:{running.server_address[1]}"
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("MASKRCNN_CACHE", str(folder))
    return folder


def test_a_path_is_itself(tmp_path, cache):
    (tmp_path / "here.pth").touch()
    assert locate(str(tmp_path / "here.pth")) == tmp_path / "here.pth"
    assert not cache.exists()


def test_a_missing_file_is_an_error_that_lists_the_published_ones(tmp_path):
    with pytest.raises(WeightsError) as error:
        locate(str(tmp_path / "gone.pth"))
    start = f"{tmp_path / 'gone.pth'}: no such file or folder; give a run folder, a file of weights, a URL, or one of torchvision/mask"
    assert str(error.value).startswith(start)
    assert all(name in str(error.value) for name in PUBLISHED)


@pytest.mark.parametrize("digest", ["", f"#sha256:{SHA256}", f"#sha256:{SHA256[:8]}", f"#md5:{MD5[:6]}"])
def test_a_url_is_downloaded_once(server, cache, digest):
    seen = []
    file = locate(f"{server.url}/model.pth{digest}", lambda *numbers: seen.append(numbers))
    assert file.read_bytes() == CONTENT
    assert file.parent == cache
    assert file.name.endswith("-model.pth")
    assert seen == [(1 << 20, len(CONTENT)), (len(CONTENT), len(CONTENT))]
    assert locate(f"{server.url}/model.pth{digest}") == file
    assert server.asked == ["/model.pth"]
    assert list(cache.iterdir()) == [file]


def test_a_published_name(server, monkeypatch):
    monkeypatch.setitem(PUBLISHED, "ours/model", Published(f"{server.url}/model.pth", f"md5:{MD5[:6]}"))
    assert locate("ours/model").read_bytes() == CONTENT


def test_a_length_that_the_server_does_not_tell(server):
    seen = []
    assert locate(f"{server.url}/stream.pth", lambda *numbers: seen.append(numbers)).read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), None)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("/gone.pth", "the server answers 404 Not Found; correct the address"),
        ("/busy.pth", "the server answers 503 Service Unavailable; try again later"),
        ("/half.pth", f"broke off after {len(CONTENT) // 2} of {len(CONTENT)} bytes; try again"),
        ("/model.pth#sha256:0123abcd", "what came is not the file with digest sha256:0123abcd, and is not kept"),
        ("/model.pth#sha256:zz", "#sha256:zz: sha256:zz is no digest"),
        ("/model.pth#0123abcd", "#0123abcd: 0123abcd is no digest"),
    ],
)
def test_what_goes_wrong_leaves_nothing(server, cache, address, message):
    with pytest.raises(WeightsError) as error:
        locate(server.url + address)
    assert message in str(error.value)
    assert server.url in str(error.value)
    assert not cache.exists() or list(cache.iterdir()) == []


def test_a_long_query_is_no_part_of_the_cached_name(server, cache):
    assert locate(f"{server.url}/model.pth?signature={'s' * 300}").name.endswith("-model.pth")
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("url", ["http://[bad/x.pth", "://x.pth"])
def test_what_is_no_url_is_an_error(url):
    with pytest.raises(WeightsError, match="cannot be downloaded"):
        locate(url)


def test_what_was_downloaded_and_is_no_file_of_weights_is_not_kept(server, cache, tmp_path):
    with pytest.raises(WeightsError) as error:
        read_source(f"{server.url}/model.pth")
    assert str(error.value).startswith(f"{server.url}/model.pth: what was downloaded cannot be read and is not kept: ")
    assert list(cache.iterdir()) == []
    (tmp_path / "mine.pth").write_bytes(CONTENT)
    with pytest.raises(WeightsError):
        read_source(str(tmp_path / "mine.pth"))
    assert (tmp_path / "mine.pth").exists()


def test_a_download_with_its_digest_is_kept_though_it_cannot_be_read(server, cache):
    url = f"{server.url}/model.pth#sha256:{SHA256}"
    with pytest.raises(WeightsError) as error:
        read_source(url)
    assert str(error.value).startswith(f"{url}: is whole, by its digest, but cannot be read: {cache}")
    assert len(list(cache.iterdir())) == 1


def test_a_download_that_memory_does_not_hold_is_kept(server, cache, monkeypatch):
    def fill_memory(path):
        raise MemoryError

    monkeypatch.setattr(published, "read_weights", fill_memory)
    with pytest.raises(MemoryError):
        read_source(f"{server.url}/model.pth")
    assert len(list(cache.iterdir())) == 1


def test_no_connection_is_an_error_that_says_what_to_do(cache):
    with pytest.raises(WeightsError, match=r"cannot be downloaded .* download it by other means and give the file's path"):
        locate("http://127.0.0.1:1/model.pth")
    assert list(cache.iterdir()) == []


def test_a_file_changed_in_the_cache_is_an_error(server, cache):
    url = f"{server.url}/model.pth#sha256:{SHA256}"
    file = locate(url)
    file.write_bytes(b"other")
    with pytest.raises(WeightsError) as error:
        locate(url)
    assert str(file) in str(error.value)
    assert "delete it, and it is downloaded anew" in str(error.value)


def test_every_published_digest_is_one_and_stands_in_the_file_s_name():
    for url, digest in PUBLISHED.values():
        assert DIGEST.fullmatch(digest)
        assert digest.partition(":")[2][:6] in url.rpartition("/")[2]
        assert url.startswith("https://")
