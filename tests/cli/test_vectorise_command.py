"""``geoseg vectorise``: any class raster, one line when it is none."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin

from geoseg.cli.door import enter
from geoseg.cli.main import app


def geoseg(*arguments: str | Path) -> int:
    return enter(lambda: app(args=[str(a) for a in arguments], standalone_mode=False), debug=False)


def write_codes(path: Path, codes: np.ndarray, **profile: object) -> Path:
    height, width = codes.shape
    options = {"crs": "EPSG:32633", "transform": from_origin(5e5, 5e6, 2, 2), "nodata": 255} | profile
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=1, dtype=codes.dtype, **options
    ) as file:
        file.write(codes, 1)
        if codes.dtype == np.uint8:
            file.write_colormap(1, {1: (255, 0, 0, 255), 2: (0, 0, 255, 255)})
    return path


def some_codes() -> np.ndarray:
    codes = np.ones((40, 50), np.uint8)
    codes[10:20, 10:30] = 2
    codes[5, 5] = 2
    codes[:, 45:] = 255
    return codes


def test_a_class_raster_becomes_a_geopackage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_codes(tmp_path / "map.tif", some_codes())
    assert geoseg("vectorise", path, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["segments"] == 3
    frame = geopandas.read_file(tmp_path / "map_segments.gpkg", layer="segments")
    assert sorted(frame.pixels) == [1, 200, 40 * 45 - 201]
    assert shapely.coverage_is_valid(frame.geometry.to_numpy())
    assert geoseg("vectorise", path) == 6
    assert geoseg("vectorise", path, "--overwrite", "--min-area-m2", "10", "--simplify-m", "3") == 0
    assert len(geopandas.read_file(tmp_path / "map_segments.gpkg", layer="segments")) == 2


def test_names_come_from_the_legend(tmp_path: Path) -> None:
    path = write_codes(tmp_path / "map.tif", some_codes().astype(np.int16), nodata=-1)
    legend = tmp_path / "legend.yaml"
    legend.write_text(
        "nodata: 255\nclasses:\n"
        "- {code: 1, name: grass, colour: '#00ff00'}\n"
        "- {code: 2, name: roof, colour: '#ff0000'}\n"
    )
    out = tmp_path / "out.gpkg"
    assert geoseg("vectorise", path, "--legend", legend, "--out", out) == 0
    assert set(geopandas.read_file(out, layer="segments").class_name) == {"grass", "roof"}


def test_wrong_inputs_are_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    floats = write_codes(tmp_path / "floats.tif", np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30))
    assert geoseg("vectorise", floats) == 3
    assert "whole numbers" in capsys.readouterr().err
    assert geoseg("vectorise", tmp_path / "missing.tif") == 3
    path = write_codes(tmp_path / "map.tif", some_codes())
    assert geoseg("vectorise", path, "--simplify-m", "-1") == 2
    assert geoseg("vectorise", path, "--legend", tmp_path / "none.yaml") == 2
    assert not (tmp_path / "map_segments.gpkg").exists()
