"""Damage that no format tells is found by checksums: of sha256sum, and of STAC items."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import blobs
from test_nonsense_options import geoseg

from geoseg.core.window import Window
from geoseg.errors import SceneError
from geoseg.io.raster.scene import open_scene

EVENLY = {"compress": None, "photometric": "RGB"}


def flipped(path: Path) -> None:
    """Flip one bit in the last pixel, as a failing disk does: the file stays a valid TIFF."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.fixture
def scene(write_scene: Any) -> Path:
    path: Path = write_scene(blobs((60, 70)), name="a b.tif", **EVENLY)
    return path


def predict(scene: Path, model: Path, out: Path, checksum: Path) -> int:
    options = ["--runtime", "torch", "--device", "cpu", "--quiet", "--checksum", checksum]
    return geoseg("predict", scene, "--model", model, "--out", out, *options)


def test_a_scene_is_predicted_only_as_sha256sum_saw_it(
    scene: Path, tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sums = scene.with_name("SHA256SUMS")
    sums.write_bytes(subprocess.run(["sha256sum", scene.name], cwd=scene.parent, capture_output=True).stdout)
    assert predict(scene, tiny_model, tmp_path / "whole", sums) == 0
    flipped(scene)
    open_scene(scene).read(Window.whole((60, 70)))  # no reader can tell
    assert predict(scene, tiny_model, tmp_path / "out", sums) == 3
    assert "a b.tif: its sha256 is" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no file"),
        ("nonsense", "line 1 is not of sha256sum"),
        (f"{'0' * 64}  other.tif\n", "has no checksum of it"),
    ],
)
def test_a_file_of_checksums_that_does_not_name_the_scene_is_refused(
    text: str, words: str, scene: Path, tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sums").write_text(text)
    assert predict(scene, tiny_model, tmp_path / "out", tmp_path / "sums") == 2
    assert words in capfd.readouterr().err


@pytest.mark.parametrize(("prefix", "function"), [("1220", "sha256"), ("1340", "sha512"), ("1114", "sha1")])
def test_an_asset_is_read_only_if_it_has_the_item_s_checksum(prefix: str, function: str, scene: Path) -> None:
    digest = hashlib.new(function, scene.read_bytes()).hexdigest()
    asset = {"href": scene.name, "type": "image/tiff; application=geotiff", "file:checksum": prefix + digest}
    item = scene.with_name("item.json")
    facts = {"type": "Feature", "stac_version": "1.0.0", "id": "x", "properties": {}, "assets": {"image": asset}}
    item.write_text(json.dumps(facts))
    with open_scene(item) as opened:
        assert opened.bands
    flipped(scene)
    with pytest.raises(SceneError, match=f"its {function} is .* as its checksum says"):
        open_scene(item)
