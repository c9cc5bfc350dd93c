"""``--subdataset``: one raster of a file is mapped, named in all records, and part of a run's identity."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from conftest import blobs
from rasterio.transform import from_origin
from test_opening_options import geoseg

from geoseg import load_model, open_scene, predict
from geoseg.archive.config import ArchiveConfig, in_configuration
from geoseg.errors import OutputError

pytestmark = pytest.mark.usefixtures("restored_signals")

PAGES = {"1": 0, "2": 5}
SIDE = 64


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """A TIFF of two images of three bands at different places."""
    path = tmp_path / "pages.tif"
    for number, (name, seed) in enumerate(PAGES.items()):
        profile: dict[str, Any] = {"driver": "GTiff", "count": 3, "dtype": "uint8", "height": SIDE, "width": SIDE}
        profile |= {"crs": "EPSG:32632", "photometric": "RGB", "append_subdataset": number > 0}
        with rasterio.open(path, "w", transform=from_origin(500_000, 5_400_000 - int(name), 1, 1), **profile) as file:
            file.write(blobs((SIDE, SIDE), seed=seed))
    return path


def test_a_subdataset_is_mapped_as_a_file_of_its_own_would_be(pages: Path, tiny_model: Path, tmp_path: Path) -> None:
    run: list[str | Path] = [
        "--model",
        tiny_model,
        "--runtime",
        "torch",
        "--device",
        "cpu",
        "--out",
        tmp_path / "out",
        "--quiet",
    ]
    plain = tmp_path / "second.tif"
    profile: dict[str, Any] = {"driver": "GTiff", "count": 3, "dtype": "uint8", "height": SIDE, "width": SIDE}
    with rasterio.open(
        plain, "w", crs="EPSG:32632", photometric="RGB", transform=from_origin(500_000, 5_399_998, 1, 1), **profile
    ) as file:
        file.write(blobs((SIDE, SIDE), seed=PAGES["2"]))
    assert geoseg("predict", plain, *run) == 0
    assert geoseg("predict", pages, *run, "--subdataset", "2") == 0
    with (
        rasterio.open(tmp_path / "out" / "second" / "second_classes.tif") as expected,
        rasterio.open(tmp_path / "out" / "pages_2" / "pages_2_classes.tif") as found,
    ):
        np.testing.assert_array_equal(found.read(), expected.read())
        assert found.transform == expected.transform
    bundle = tmp_path / "out" / "pages_2"
    record = json.loads((bundle / "run.json").read_text())
    assert record["scene"]["subdataset"] == "2"
    assert record["identity"]["pixels"]["subdataset"] == "2"
    assert (record["imagery"]["source"], record["imagery"]["subdataset"]) == ("../../pages.tif", "2")
    item = json.loads((bundle / "pages_2.stac.json").read_text())
    assert [link["geoseg:subdataset"] for link in item["links"] if link["rel"] == "derived_from"] == ["2"]
    assert geoseg("predict", pages, *run, "--subdataset", "2") == 0
    assert geoseg("predict", pages, *run) == 0
    record = json.loads((tmp_path / "out" / "pages" / "run.json").read_text())
    assert "subdataset" not in record["scene"]
    assert "subdataset" not in record["identity"]["pixels"]


def test_another_subdataset_is_another_run(
    pages: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run: list[str | Path] = [
        "--model",
        tiny_model,
        "--runtime",
        "torch",
        "--out",
        tmp_path / "out",
        "--quiet",
        "--no-vector",
    ]
    model = load_model(tiny_model, device="cpu", runtime="torch")
    for asked, refused in (("1", False), ("2", True), ("Page 1 (64P x 64L x 3B)", False)):
        with (
            open_scene(pages, subdataset=asked) as scene,
            pytest.raises(OutputError) if refused else nullcontext(),
        ):
            predict(scene, model, out=tmp_path / "out", name="map")
    assert geoseg("predict", pages, *run, "--subdataset", "3") == 2
    assert "no subdataset is called '3'. Pass --subdataset with one of: 1 1" in capsys.readouterr().err


def test_inspect_lists_what_there_is(pages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert geoseg("inspect", pages, "--model", "buildings-unet") == 0
    printed = capsys.readouterr().out
    assert "subdataset 2: 2 (Page 2" in printed
    assert "pass --subdataset 2" in printed
    assert geoseg("inspect", pages, "--model", "buildings-unet", "--subdataset", "2", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["subdataset"] == "2"
    assert [one["number"] for one in facts["subdatasets"]] == [1, 2]
    assert facts["transform"][5] == 5_399_998


def test_an_archive_has_the_same_option(pages: Path, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    pages.rename(tmp_path / "in" / "pages.tif")
    text = f"source: in\nmodel: {tiny_model}\nout: out\nruntime: torch\nworkers: 0\npredict: {{vector: false}}\n"
    (tmp_path / "a.yaml").write_text(text + "opening: {subdataset: '2'}\n")
    assert geoseg("archive", "run", tmp_path / "a.yaml") == 0
    record = json.loads((tmp_path / "out" / "pages" / "run.json").read_text())
    assert record["scene"]["subdataset"] == "2"
    (tmp_path / "b.yaml").write_text(text)
    chosen, plain = ArchiveConfig.read(tmp_path / "a.yaml"), ArchiveConfig.read(tmp_path / "b.yaml")
    assert chosen.options_digest() != plain.options_digest()
    assert "subdataset" not in plain.opening.pixel_options()
    assert in_configuration("Pass --subdataset with one of: 1.") == "Set opening: subdataset with one of: 1."
