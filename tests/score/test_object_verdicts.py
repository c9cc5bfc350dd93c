"""Hits, misses and false alarms as a report, a layer and a picture, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from PIL import Image

from geoseg.cli.main import app
from geoseg.io.polygons.verdicts import COLOURS
from geoseg.process.command import run_command

HERE = (500000.0, 4000000.0)


def boxes(*corners: tuple[float, float, float, float]) -> list[shapely.Polygon]:
    x, y = HERE
    return [shapely.box(x + a, y + b, x + c, y + d) for a, b, c, d in corners]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Two objects are found, one of them with an overlap of 0.62; one is missed, one is invented."""
    truth = boxes((0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10))
    found = boxes((0, 0, 10, 10), (20, 0, 26.2, 10), (70, 0, 80, 10))
    reference, prediction = tmp_path / "truth.gpkg", tmp_path / "found.gpkg"
    geopandas.GeoDataFrame(geometry=truth, crs="EPSG:32632").to_crs(4326).to_file(reference)
    geopandas.GeoDataFrame({"score": [0.9, 0.8, 0.7]}, geometry=found, crs="EPSG:32632").to_file(prediction)
    return prediction, reference


def run(*arguments: object) -> int:
    words = ["evaluate", "objects", *map(str, arguments)]
    return run_command(lambda: app(args=words, standalone_mode=False), debug=False)


def test_report_layer_and_picture_agree(files, tmp_path, capsys) -> None:
    prediction, reference = files
    layer, picture = tmp_path / "verdicts.gpkg", tmp_path / "verdicts.png"
    inputs = ("--prediction", prediction, "--reference", reference)
    assert run(*inputs, "--verdicts", layer, "--picture", picture, "--cell", 35, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["predicted"], report["reference"], report["matched"]) == (3, 3, 2)
    assert report["f1"] == pytest.approx(2 / 3)
    assert [line["f1"] for line in report["f1_by_iou"]][:4] == pytest.approx([2 / 3, 2 / 3, 2 / 3, 1 / 3])
    # precision is 1 up to a recall of 2 / 3, of 101 recalls; from 0.65 on up to 1 / 3
    assert report["mask"]["ap50"] == pytest.approx(67 / 101)
    assert report["mask"]["ap"] == pytest.approx((3 * 67 + 7 * 34) / 1010)
    assert report["per_area"]["error"] == 0
    frame = geopandas.read_file(layer, layer="verdicts")
    assert frame["verdict"].value_counts().to_dict() == {"hit": 2, "miss": 1, "false alarm": 1}
    assert frame.crs.to_epsg() == 32632
    missed = frame.geometry[frame["verdict"] == "miss"].iloc[0]
    assert missed.centroid.distance(shapely.Point(HERE[0] + 45, HERE[1] + 5)) < 0.01
    pixels = np.asarray(Image.open(picture).convert("RGB")).reshape(-1, 3)
    for colour in COLOURS.values():
        rgb = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
        assert (pixels == rgb).all(axis=1).sum() > 100


@pytest.mark.parametrize(("option", "name"), [("--picture", "a.jpg"), ("--verdicts", "a.tif")])
def test_files_of_another_kind_are_refused(files, tmp_path, option, name) -> None:
    assert run("--prediction", files[0], "--reference", files[1], option, tmp_path / name) == 2


def test_no_verdict_replaces_a_file_unasked(files, tmp_path) -> None:
    taken = tmp_path / "taken.png"
    taken.write_bytes(b"mine")
    assert run("--prediction", files[0], "--reference", files[1], "--picture", taken) == 6
    assert taken.read_bytes() == b"mine"
