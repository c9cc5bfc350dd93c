"""Damage that no format tells is found by checksums: of sha256sum, and of STAC items."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import blobs
from test_nonsense_options import geoseg

from geoseg.cli.commands import predict as predict_module
from geoseg.core.window import Window
from geoseg.errors import SceneError, UsageError
from geoseg.io.files.checksums import read_checksums
from geoseg.io.raster import source as source_module
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


def sums_of(folder: Path, *names: str | Path) -> Path:
    """Let sha256sum write a file of checksums."""
    sums = folder / "SHA256SUMS"
    sums.write_bytes(subprocess.run(["sha256sum", "--", *names], cwd=folder, capture_output=True, check=True).stdout)
    return sums


def write_item(folder: Path, **assets: dict[str, Any]) -> Path:
    """Write a STAC item of GeoTIFFs."""
    item = folder / "item.json"
    facts = {"type": "Feature", "stac_version": "1.0.0", "id": "x", "properties": {}}
    kind = {"type": "image/tiff; application=geotiff"}
    item.write_text(json.dumps(facts | {"assets": {key: kind | asset for key, asset in assets.items()}}))
    return item


def stacked(write_scene: Any) -> tuple[Path, list[Path]]:
    """Write an item of three files of one band each."""
    pixels = blobs((60, 70))
    names = ("red", "green", "blue")
    files = [write_scene(pixels[i : i + 1], name=f"{name}.tif", compress=None) for i, name in enumerate(names)]
    bands = {name: {"href": f"{name}.tif", "eo:bands": [{"common_name": name}]} for name in names}
    return write_item(files[0].parent, **bands), files


@pytest.mark.parametrize("damaged", ["red.tif", "blue.tif", "item.json"])
def test_of_a_scene_of_several_files_all_are_compared(
    damaged: str, write_scene: Any, tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    item, files = stacked(write_scene)
    sums = sums_of(item.parent, item.name, *files)
    with item.with_name(damaged).open("ab") as file:
        file.write(b" ")
    assert predict(item, tiny_model, tmp_path / "out", sums) == 3
    assert f"{damaged}: its sha256 is" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_of_a_scene_of_several_files_all_must_be_listed(
    write_scene: Any, tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    item, files = stacked(write_scene)
    assert predict(item, tiny_model, tmp_path / "out", sums_of(item.parent, item.name, *files[:2])) == 2
    assert "blue.tif: " in capfd.readouterr().err
    assert predict(item, tiny_model, tmp_path / "out", sums_of(item.parent, item.name, *files)) == 0


def test_a_sidecar_that_places_a_scene_is_compared(
    tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    picture = tmp_path / "p.png"
    Image.fromarray(np.moveaxis(blobs((60, 70)), 0, -1)).save(picture)
    world = picture.with_suffix(".pgw")
    world.write_text("0.5\n0\n0\n-0.5\n500000\n5400000\n")
    sums = sums_of(tmp_path, picture.name, world.name)
    options = ["--assume-crs", "EPSG:32632"]
    arguments = ["predict", picture, "--model", tiny_model, "--out", tmp_path / "out", "--checksum", sums, *options]
    assert geoseg(*arguments, "--runtime", "torch", "--device", "cpu", "--quiet") == 0
    world.write_text("0.5\n0\n0\n-0.5\n500001\n5400000\n")
    assert geoseg(*arguments, "--runtime", "torch", "--device", "cpu", "--quiet", "--overwrite") == 3
    assert "p.pgw: its sha256 is" in capfd.readouterr().err


def test_a_scene_that_changes_while_others_are_predicted_is_refused(
    scene: Path, write_scene: Any, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_scene(blobs((60, 70)), name="other.tif", **EVENLY)
    sums, real = sums_of(scene.parent, scene.name, other.name), predict_module._one

    def one(ready: Any, opened: Any, name: str | None) -> dict[str, object]:
        flipped(other)
        return real(ready, opened, name)

    monkeypatch.setattr(predict_module, "_one", one)
    options = ["--runtime", "torch", "--device", "cpu", "--quiet", "--checksum", sums]
    assert geoseg("predict", scene, other, "--model", tiny_model, "--out", tmp_path / "out", *options) == 7
    assert not (tmp_path / "out" / "other").exists()
    assert (tmp_path / "out" / "a b").is_dir()


@pytest.mark.parametrize(
    "name", ["a\\nb.tif", "a\nb.tif", "a\rb.tif", "a\\\\nb.tif", "a\u2028b.tif", "a\x0bb.tif", "*a b.tif"]
)
def test_names_are_read_as_sha256sum_writes_them(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"pixels")
    digest = hashlib.sha256(b"pixels").hexdigest()
    assert read_checksums(sums_of(tmp_path, name)).digests == {str((tmp_path / name).resolve()): digest}


def test_lines_may_end_as_on_windows_and_two_digests_of_one_file_are_refused(tmp_path: Path) -> None:
    sums = tmp_path / "sums"
    sums.write_bytes(f"{'A' * 64}  a.tif\r\n\r\n{'a' * 64} *./a.tif\r\n".encode())
    assert read_checksums(sums).digests == {str(tmp_path / "a.tif"): "a" * 64}
    sums.write_text(f"{'a' * 64}  a.tif\n{'b' * 64}  a.tif\n")
    with pytest.raises(UsageError, match="line 2 gives a.tif another digest"):
        read_checksums(sums)


@pytest.mark.parametrize(
    ("name", "code"),
    [("loop.tif", 3), ("file:///a%00b.tif", 3), ("file://[a.tif", 3), ("file://{folder}/a%20b.tif", 0)],
)
def test_names_that_lead_nowhere_are_refused(
    name: str, code: int, scene: Path, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "loop.tif").symlink_to("loop.tif")
    sums = sums_of(scene.parent, scene.name)
    with sums.open("a") as file:
        file.write(f"{'0' * 64}  loop.tif\n")
    address = name.format(folder=scene.parent) if ":" in name else str(tmp_path / name)
    options = ["--runtime", "torch", "--device", "cpu", "--quiet", "--checksum", sums]
    assert geoseg("predict", address, "--model", tiny_model, "--out", tmp_path / "out", *options) == code


def test_a_name_with_a_nul_in_a_file_of_checksums_is_refused(scene: Path, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "sums").write_bytes(b"0" * 64 + b"  a\0b.tif\n")
    assert predict(scene, tiny_model, tmp_path / "out", tmp_path / "sums") == 2


@pytest.mark.parametrize(
    "asset",
    [
        {"href": "loop.tif"},
        {"href": "a\0b.tif"},
        {"href": "a\ud800b.tif"},
        {"href": "file:///etc/hosts"},
        {"href": "file://[a.tif"},
        {"href": "http://[a.tif"},
        {"href": "x" * 5000},
        {"href": "a b.tif", "file:checksum": "1220zz"},
        {"href": "a b.tif", "file:checksum": "1220"},
        {"href": "a b.tif", "file:checksum": "1220\0\ud800"},
        {"href": ["a b.tif"], "roles": [{}]},
    ],
)
def test_assets_that_lead_nowhere_are_refused(
    asset: dict[str, Any], scene: Path, tiny_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    scene.with_name("loop.tif").symlink_to("loop.tif")
    item = write_item(scene.parent, image=asset)
    options = ["--model", tiny_model, "--out", scene.parent / "out", "--runtime", "torch", "--device", "cpu", "--quiet"]
    assert geoseg("predict", item, *options) == 3
    assert "bug" not in capfd.readouterr().err


@pytest.mark.parametrize(("prefix", "function"), [("1220", "sha256"), ("1340", "sha512"), ("1114", "sha1")])
def test_an_asset_is_read_only_if_it_has_the_item_s_checksum(prefix: str, function: str, scene: Path) -> None:
    digest = hashlib.new(function, scene.read_bytes()).hexdigest()
    item = write_item(scene.parent, image={"href": scene.name, "file:checksum": prefix + digest.upper()})
    with open_scene(item) as opened:
        assert opened.read(Window.whole((60, 70))).values.any()
        assert opened.datasets
    flipped(scene)
    with open_scene(item) as opened:
        for _ in range(2):
            with pytest.raises(SceneError, match=f"its {function} is .* as its checksum says"):
                opened.read(Window(0, 1, 0, 1))
        with pytest.raises(SceneError, match=f"its {function} is .* as its checksum says"):
            _ = opened.datasets


def test_only_assets_whose_pixels_are_read_are_compared_and_only_once(
    write_scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, compared, real = blobs((60, 70)), [], source_module.verify_multihash
    files = {name: write_scene(pixels[:1], name=f"{name}.tif", compress=None) for name in ("red", "green", "blue")}
    item = write_item(
        files["red"].parent,
        **{
            name: {
                "href": file.name,
                "eo:bands": [{"common_name": name}],
                "file:checksum": "1220" + hashlib.sha256(file.read_bytes()).hexdigest(),
            }
            for name, file in files.items()
        },
    )
    flipped(files["blue"])

    def seen(uri: str, path: Path, checksum: str) -> None:
        compared.append(path.stem)
        real(uri, path, checksum)

    monkeypatch.setattr(source_module, "verify_multihash", seen)
    with open_scene(item) as opened:
        assert compared == [], "opening hashes nothing"
        for _ in range(2):
            opened.read(Window(0, 8, 0, 8), [1, 2])
        assert compared == ["red", "green"]
        with pytest.raises(SceneError, match="blue.tif"):
            opened.read(Window(0, 8, 0, 8), [2, 3])
