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

from geoseg.cli.main import app
from geoseg.process.command import run_command


def geoseg(*arguments: str | Path) -> int:
    return run_command(lambda: app(args=[str(a) for a in arguments], standalone_mode=False), debug=False)


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


def test_a_legend_that_lacks_a_code_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_codes(tmp_path / "map.tif", some_codes())
    legend = tmp_path / "legend.yaml"
    legend.write_text("classes:\n- {code: 1, name: grass, colour: '#00ff00'}\n")
    assert geoseg("vectorise", path, "--legend", legend) == 2
    assert "class codes 2 are not in the legend. Add them" in capsys.readouterr().err
    assert not (tmp_path / "map_segments.gpkg").exists()


def test_wrong_inputs_are_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    floats = write_codes(tmp_path / "floats.tif", np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30))
    assert geoseg("vectorise", floats) == 3
    assert "whole numbers" in capsys.readouterr().err
    assert geoseg("vectorise", tmp_path / "missing.tif") == 3
    path = write_codes(tmp_path / "map.tif", some_codes())
    assert geoseg("vectorise", path, "--simplify-m", "-1") == 2
    assert geoseg("vectorise", path, "--legend", tmp_path / "none.yaml") == 2
    assert not (tmp_path / "map_segments.gpkg").exists()


def write_image(path: Path, values: np.ndarray, shift: float = 0.0) -> Path:
    count, height, width = values.shape
    options = {"crs": "EPSG:32633", "transform": from_origin(5e5 + shift, 5e6, 2, 2), "dtype": values.dtype}
    with rasterio.open(path, "w", driver="GTiff", height=height, width=width, count=count, **options) as file:
        file.write(values)
        file.set_band_description(2, "Near Infrared")
    return path


def test_statistics_of_bands_become_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codes = write_codes(tmp_path / "map.tif", some_codes())
    values = np.random.default_rng(1).normal(size=(3, 40, 50)).astype(np.float32)
    values[1, 10:20, 10:30] = np.nan
    image = write_image(tmp_path / "image: one.tif", values)
    other = write_image(tmp_path / "other.tif", values)
    assert geoseg("vectorise", codes, "--zonal", f"{image}:2,1", "--zonal", other, "--block-px", "16") == 0
    frame = geopandas.read_file(tmp_path / "map_segments.gpkg", layer="segments")
    names = [column.removesuffix("_mean") for column in frame.columns if column.endswith("_mean")]
    assert names == ["near_infrared", "b1", "other_b1", "other_near_infrared", "b3"]
    roof = frame[frame.pixels == 200].iloc[0]
    inside = values[0, 10:20, 10:30].astype(float)
    assert roof.b1_count == 200
    assert roof.b1_mean == pytest.approx(inside.mean(), rel=1e-12)
    assert roof.b1_std == pytest.approx(inside.std(), rel=1e-12)
    assert (roof.b1_min, roof.b1_max) == (inside.min(), inside.max())
    assert roof.near_infrared_count == 0
    assert np.isnan(roof.near_infrared_mean)
    capsys.readouterr()
    shifted = write_image(tmp_path / "shifted.tif", values, shift=1.0)
    assert geoseg("vectorise", codes, "--overwrite", "--zonal", shifted) == 3
    assert "--like" in capsys.readouterr().err
    assert geoseg("vectorise", codes, "--overwrite", "--zonal", f"{other}:9") == 2
    assert "no band 9" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])
def test_a_band_called_confidence_shares_no_column_with_the_confidence(tmp_path: Path, suffix: str) -> None:
    codes = write_codes(tmp_path / "map.tif", some_codes())
    percent = write_codes(tmp_path / "percent.tif", np.full((40, 50), 80, np.int16))
    with rasterio.open(percent, "r+") as file:
        file.set_band_description(1, "Confidence")
    out = tmp_path / f"map{suffix}"
    assert geoseg("vectorise", codes, "--confidence", percent, "--zonal", percent, "--out", out) == 0
    frame = geopandas.read_file(out, layer="segments" if suffix == ".gpkg" else None)
    assert set(frame.confidence_min) == {0.8}
    assert set(frame.percent_confidence_min) == {80}


def test_an_empty_map_has_the_columns_too(tmp_path: Path) -> None:
    codes = write_codes(tmp_path / "map.tif", np.full((40, 50), 255, np.uint8))
    image = write_image(tmp_path / "image.tif", np.zeros((2, 40, 50), np.uint8))
    assert geoseg("vectorise", codes, "--zonal", image) == 0
    frame = geopandas.read_file(tmp_path / "map_segments.gpkg", layer="segments")
    assert len(frame) == 0
    assert {"b1_mean", "near_infrared_count"} <= set(frame.columns)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nodata: 2\nnodata: 255\nclasses: [{code: 1, name: a, colour: '#000000'}]", "nodata"),
        ("classes: &a [{code: 1, name: a, colour: '#000000'}]\nnodata: *a", "alias"),
        ("classes: [{code: 300, name: a, colour: red}]", "classes.0.colour"),
    ],
    ids=["a key twice", "an alias", "two faults"],
)
def test_a_faulty_legend_is_refused_with_all_its_faults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    path = write_codes(tmp_path / "map.tif", some_codes())
    legend = tmp_path / "legend.yaml"
    legend.write_text(text)
    assert geoseg("vectorise", path, "--legend", legend) == 2
    error = capsys.readouterr().err
    assert "legend.yaml" in error
    assert said in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("value", [0.75, 101, -1])
def test_a_confidence_that_is_no_whole_percent_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: float
) -> None:
    codes = write_codes(tmp_path / "map.tif", some_codes())
    shares = write_codes(tmp_path / "shares.tif", np.full((40, 50), value, np.float32))
    assert geoseg("vectorise", codes, "--confidence", shares) == 3
    error = capsys.readouterr().err
    assert "shares.tif" in error
    assert f"{value:g}" in error
    assert "percent" in error
    assert not (tmp_path / "map_segments.gpkg").exists()


def test_a_picture_is_not_taken_for_a_class_raster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codes = write_codes(tmp_path / "map.tif", some_codes())
    picture = tmp_path / "picture.tif"
    options = {"crs": "EPSG:32633", "transform": from_origin(5e5, 5e6, 2, 2), "photometric": "rgb"}
    with rasterio.open(picture, "w", driver="GTiff", height=40, width=50, count=3, dtype="uint8", **options) as file:
        file.write(np.stack([some_codes()] * 3))
    for arguments in ([picture], [codes, "--confidence", picture]):
        assert geoseg("vectorise", *arguments) == 3
        error = capsys.readouterr().err
        assert "picture.tif" in error
        assert "red, green, blue" in error


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("value", [1e300, 3e9, -1.0])
def test_a_value_beyond_all_codes_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: float
) -> None:
    codes = some_codes().astype(np.float64)
    codes[3, 3] = value
    assert geoseg("vectorise", write_codes(tmp_path / "map.tif", codes)) == 3
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_confidence_on_another_grid_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codes = write_codes(tmp_path / "map.tif", some_codes())
    percent = write_codes(
        tmp_path / "percent.tif", some_codes().astype(np.int16), transform=from_origin(5e5 + 2, 5e6, 2, 2)
    )
    assert geoseg("vectorise", codes, "--confidence", percent) == 3
    assert "its grid is not that of" in capsys.readouterr().err


def a_village() -> np.ndarray:
    """Houses of code 2 at odd angles, in grass of code 1."""
    rng = np.random.default_rng(4)
    grid = np.indices((240, 300))
    codes = np.ones((240, 300), np.uint8)
    for row in range(30, 240, 60):
        for col in range(30, 300, 60):
            angle = rng.uniform(0, np.pi)
            along = (grid[0] - row) * np.cos(angle) + (grid[1] - col) * np.sin(angle)
            across = (grid[1] - col) * np.cos(angle) - (grid[0] - row) * np.sin(angle)
            codes[(np.abs(along) < 14) & (np.abs(across) < 20)] = 2
    return codes


def test_houses_get_a_layer_with_right_angles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("buildingregulariser")
    path = write_codes(tmp_path / "map.tif", a_village(), transform=from_origin(5e5, 5e6, 0.25, 0.25))
    assert geoseg("vectorise", path, "--regularise", "2", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["layers"] == ["segments", "segments_regular"]
    plain = geopandas.read_file(answer["output"], layer="segments")
    regular = geopandas.read_file(answer["output"], layer="segments_regular")
    houses = plain[plain.class_code == 2].reset_index(drop=True)
    assert len(regular) == len(houses) == 20
    assert (regular.geometry.count_coordinates() == 5).sum() >= 18  # a corner may be cut at 45 degrees
    assert (regular.geometry.count_coordinates() <= 6).all()
    assert houses.geometry.count_coordinates().median() > 50
    assert regular.area_m2.to_numpy() == pytest.approx(28 * 40 * 0.25**2, rel=0.05)
    assert (regular.pixels == houses.pixels).all()


def test_what_cannot_be_regularised_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("buildingregulariser")
    path = write_codes(tmp_path / "map.tif", some_codes())
    assert geoseg("vectorise", path, "--regularise", "roof") == 2
    assert "no class roof. There are class 1 (1), class 2 (2)" in capsys.readouterr().err
    assert geoseg("vectorise", path, "--regularise", "2", "--connectivity", "8") == 2
    assert geoseg("vectorise", path, "--regularise", "2", "--regularise-m", "0") == 2
    assert [p.name for p in tmp_path.iterdir()] == ["map.tif"]


@pytest.mark.parametrize("suffix", [".fgb", ".parquet", ".geojson", ".geojsonl", ".pmtiles"])
def test_the_suffix_of_the_output_chooses_the_format(tmp_path: Path, suffix: str) -> None:
    path = write_codes(tmp_path / "map.tif", some_codes())
    out = tmp_path / f"out{suffix}"
    assert geoseg("vectorise", path, "--out", out, "--connectivity", "8") == 0
    frame = geopandas.read_parquet(out) if suffix == ".parquet" else geopandas.read_file(out)
    assert set(frame.class_code) == {1, 2}
    assert len(frame.to_crs(32633).dissolve("class_code")) == 2
    style = "out.style.json" if suffix == ".pmtiles" else "out.qml"
    assert {file.name for file in tmp_path.iterdir()} == {"map.tif", f"out{suffix}", style}
    assert geoseg("vectorise", path, "--out", out) == 6


def test_an_unknown_format_is_refused_before_the_raster_is_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert geoseg("vectorise", tmp_path / "missing.tif", "--out", tmp_path / "out.shp") == 2
    told = capsys.readouterr().err
    assert "out.shp" in told
    assert ".gpkg, .fgb, .parquet, .geojson, .geojsonl, .pmtiles" in told
    assert told.count("\n") == 1


def test_rotated_pixels_and_ground_control_points_reach_every_format(tmp_path: Path) -> None:
    turned = from_origin(5e5, 5e6, 2, 2) * rasterio.Affine.rotation(20)
    points = [
        rasterio.control.GroundControlPoint(row, col, *(turned * (col, row)))
        for row, col in ((0, 0), (0, 50), (40, 0), (40, 50))
    ]
    rotated = write_codes(tmp_path / "rotated.tif", some_codes(), transform=turned)
    tied = write_codes(tmp_path / "tied.tif", some_codes(), transform=None, gcps=points)
    for suffix in (".fgb", ".parquet", ".geojson"):
        frames = []
        for path in (rotated, tied):
            out = tmp_path / f"{path.stem}{suffix}"
            assert geoseg("vectorise", path, "--out", out) == 0
            frame = geopandas.read_parquet(out) if suffix == ".parquet" else geopandas.read_file(out)
            frames.append(frame.to_crs(32633).sort_values("pixels"))
        one, other = (frame.geometry.to_numpy() for frame in frames)
        assert (shapely.hausdorff_distance(one, other) < 0.05).all()
        assert np.allclose(shapely.area(one) / frames[0].pixels, 4, rtol=0.01)
