"""Files are fetched once, checked by the digest in their names, and never left half."""

from __future__ import annotations

import hashlib
import urllib.request
from pathlib import Path

import pytest

from geoseg.errors import ModelError
from geoseg.io.files.download import fetch


def published(folder: Path, content: bytes, digest: str | None = None) -> str:
    name = f"net-{digest or hashlib.sha256(content).hexdigest()[:8]}.pth"
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return (folder / name).as_uri()


def test_a_file_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = published(tmp_path / "web", b"weights" * 1000)
    path = fetch(url, tmp_path / "cache" / "checkpoints")
    assert path.read_bytes() == b"weights" * 1000
    monkeypatch.setattr(urllib.request, "urlopen", None)
    (tmp_path / "web" / path.name).unlink()
    assert fetch(url, tmp_path / "cache" / "checkpoints") == path


def test_what_is_not_the_named_file_is_not_kept(tmp_path: Path) -> None:
    url = published(tmp_path / "web", b"other", digest="0123456789")
    with pytest.raises(ModelError, match="not as its name says"):
        fetch(url, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_offline_is_said_in_one_line_with_the_place_for_the_file(tmp_path: Path) -> None:
    missing = (tmp_path / "web" / "gone.pth").as_uri()
    with pytest.raises(ModelError, match=r"cannot be fetched .*Offline\? Put the file at .*gone\.pth") as refusal:
        fetch(missing, tmp_path / "cache")
    assert "\n" not in str(refusal.value)
    with pytest.raises(ModelError, match="Offline"):
        fetch("http://127.0.0.1:9/closed.pth", tmp_path / "cache")
    with pytest.raises(ModelError, match="an https, http or file address"):
        fetch("ftp://example.org/a.pth", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
