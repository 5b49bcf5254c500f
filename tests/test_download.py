"""What weights and data share of a download; tests of either have the servers."""

import hashlib

import pytest

from maskrcnn_jax.download import DIGEST, DownloadError, download, has_digest

CONTENT = b"content" * 300_000  # three chunks
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def url(tmp_path):
    (tmp_path / "published").write_bytes(CONTENT)
    return (tmp_path / "published").as_uri()


@pytest.mark.parametrize("digest", ["", SHA256, SHA256[:15], "md5:" + hashlib.md5(CONTENT).hexdigest()])
def test_a_file_is_there_whole_and_its_bytes_were_told(url, tmp_path, digest):
    seen = []
    file = tmp_path / "new" / "file"
    download(url, file, digest=digest, progress=lambda *numbers: seen.append(numbers))
    assert file.read_bytes() == CONTENT
    assert list(file.parent.iterdir()) == [file]
    assert seen == [(min(n << 20, len(CONTENT)), len(CONTENT)) for n in (1, 2, 3)]
    assert DIGEST.fullmatch(digest or "md5:0")
    assert has_digest(file, digest)


def test_another_digest_leaves_nothing(url, tmp_path):
    with pytest.raises(DownloadError, match="what came is not the file with digest sha256:0"):
        download(url, tmp_path / "new" / "file", digest="sha256:0" + SHA256[7:20])
    assert list((tmp_path / "new").iterdir()) == []


def test_what_ends_a_download_leaves_nothing(url, tmp_path):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(url, tmp_path / "new" / "file", progress=interrupt)
    assert list((tmp_path / "new").iterdir()) == []
