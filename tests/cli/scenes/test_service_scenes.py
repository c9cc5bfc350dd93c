"""A scene of a tile service is mapped as a file of the same pixels is, and its login stands nowhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine
from test_opening_options import geoseg

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "io" / "services"))
from map_server import LEFT, PIXEL_M, TOP, ZOOM, MapServer, bounds_of, known_image, serving

ROWS, COLS = (200, 320), (200, 330)

pytestmark = pytest.mark.usefixtures("restored_signals")


@pytest.fixture
def server() -> Iterator[MapServer]:
    with serving() as served:
        yield served


def address(server: MapServer) -> str:
    url = server.address.replace("//", "//me:s3cret@")
    return f"xyz:{url}/t/{{z}}/{{x}}/{{y}}.png?key=t0ken#zoom={ZOOM}&{bounds_of(*ROWS, *COLS)}"


def write_file(path: Path) -> Path:
    """The same pixels as a GeoTIFF."""
    transform = Affine(PIXEL_M, 0, LEFT + COLS[0] * PIXEL_M, 0, -PIXEL_M, TOP - ROWS[0] * PIXEL_M)
    values = known_image()[:, slice(*ROWS), slice(*COLS)]
    with rasterio.open(
        path, "w", driver="GTiff", count=3, dtype="uint8", height=values.shape[1], width=values.shape[2],
        crs="EPSG:3857", transform=transform, photometric="RGB",
    ) as file:  # fmt: skip
        file.write(values)
    return path


def test_a_service_is_mapped_as_a_file_is(
    server: MapServer, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run: list[str | Path] = ["--model", tiny_model, "--runtime", "torch", "--device", "cpu", "--out", tmp_path / "out"]
    run += ["--gsd-m", "3.07"]
    assert geoseg("predict", write_file(tmp_path / "file.tif"), *run, "--quiet") == 0
    assert geoseg("predict", address(server), *run, "--json") == 2
    assert "--allow-remote" in capsys.readouterr().err
    assert server.asked == []
    assert geoseg("predict", address(server), *run, "--allow-remote", "--json") == 0
    printed = capsys.readouterr()
    bundle = Path(json.loads(printed.out)["output"])
    assert len(server.asked) == len(set(server.asked)) == 4, "a run asks for each tile once"
    assert set(server.logins) == {"me:s3cret"}
    with (
        rasterio.open(tmp_path / "out" / "file" / "file_classes.tif") as expected,
        rasterio.open(bundle / f"{bundle.name}_classes.tif") as found,
    ):
        np.testing.assert_array_equal(found.read(), expected.read())
        assert found.transform.almost_equals(expected.transform, precision=1e-6)
        assert found.crs == expected.crs
    for file in bundle.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        assert b"s3cret" not in content, file
        assert b"t0ken" not in content, file
    assert "s3cret" not in printed.out + printed.err + bundle.name
    record = json.loads((bundle / "run.json").read_text())
    assert record["scene"]["uri"] == f"xyz:{server.address}/t/{{z}}/{{x}}/{{y}}.png"
    assert record["scene"]["service"]["zoom"] == ZOOM
    assert any("terms of use" in note for note in record["notes"])
    assert record["imagery"] is None
    assert any("no imagery: the address of the service holds a login" in note for note in record["notes"])
    item = json.loads((bundle / f"{bundle.name}.stac.json").read_text())
    (link,) = [link for link in item["links"] if link["rel"] == "derived_from"]
    assert link["href"] == f"{server.address}/t/%7Bz%7D/%7Bx%7D/%7By%7D.png"
    assert link["geoseg:service"]["kind"] == "xyz"
    assert geoseg("check", tmp_path / "out") == 0
    capsys.readouterr()
    assert geoseg("predict", address(server), *run, "--allow-remote") == 0
    assert "done already" in capsys.readouterr().out


def test_a_server_s_refusal_ends_in_words_and_leaves_no_map(
    server: MapServer, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer = lambda row, _: (200, b"<html><body>quota</body></html>") if row == 1 else None
    run: list[str | Path] = ["--model", tiny_model, "--runtime", "torch", "--out", tmp_path / "out", "--allow-remote"]
    run += ["--gsd-m", "3.07"]
    assert geoseg("predict", address(server), *run) == 3
    message = capsys.readouterr().err
    assert "HTML page in place of an image" in message
    assert "s3cret" not in message
    assert "t0ken" not in message
    assert not list((tmp_path / "out").glob("*/*_classes.tif"))


def test_inspect_asks_for_one_tile_and_tells_what_is_read(
    server: MapServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert geoseg("inspect", address(server), "--allow-remote", "--model", "buildings-unet", "--json") == 0
    printed = capsys.readouterr().out
    facts = json.loads(printed)
    assert (facts["height_px"], facts["width_px"], facts["crs"]) == (120, 130, "EPSG:3857")
    assert facts["service"]["kind"] == "xyz"
    assert "s3cret" not in printed
    assert len(server.asked) == 1
    assert geoseg("inspect", address(server), "--allow-remote", "--model", "buildings-unet") == 0
    assert f"service: kind xyz, zoom {ZOOM}" in capsys.readouterr().out
    server.answer = lambda *_: (403, b"")
    assert geoseg("inspect", address(server), "--allow-remote", "--model", "buildings-unet") == 3


def test_an_archive_takes_addresses_from_a_list(server: MapServer, tiny_model: Path, tmp_path: Path) -> None:
    tiles = f"xyz:{server.address.replace('//', '//me:s3cret@')}/t/{{z}}/{{x}}/{{y}}.png"
    lines = [f"{tiles}#zoom={ZOOM}&{bounds_of(*ROWS, *cols)}" for cols in (COLS, (600, 700))]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    text = f"source: {{kind: list, path: list.txt}}\nmodel: {tiny_model}\nout: out\nruntime: torch\nworkers: 0\n"
    text += "predict: {gsd_m: 3.07}\n"
    (tmp_path / "a.yaml").write_text(f"{text}opening: {{allow_remote: true}}\n")
    assert geoseg("archive", "run", tmp_path / "a.yaml") == 0
    records = [json.loads(path.read_text()) for path in sorted((tmp_path / "out").glob("*/run.json"))]
    assert sorted(record["scene"]["width_px"] for record in records) == [100, 130]
    assert all(path.parent.name.startswith("127.0.0.1") for path in (tmp_path / "out").glob("*/run.json"))
    for file in (tmp_path / "out").rglob("*"):
        assert not file.is_file() or b"s3cret" not in file.read_bytes(), file
