"""One raster of a file that holds several is read by name or number, and never leads to another file."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from hdf5_samples import NAMES, write_sample
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin
from scipy.io import netcdf_file

import geoseg.io.containers.subdatasets as subdatasets_module
from geoseg.core.window import Window
from geoseg.errors import SceneError, UsageError
from geoseg.io.containers.hdf5_links import refuse_other_files
from geoseg.io.raster.scene import open_scene
from geoseg.io.raster.scene_parts import subdatasets_of

RED = np.arange(96, dtype=np.int16).reshape(12, 8)
LEADS_ELSEWHERE = [name for name in NAMES if "link" in name or "storage" in name or "virtual" in name]
PLAIN = sorted(set(NAMES) - set(LEADS_ELSEWHERE))


def write_pages(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A TIFF of two images of different size and place."""
    pages = np.full((1, 20, 30), 3, np.uint8), np.arange(120, dtype=np.uint8).reshape(1, 10, 12)
    for number, values in enumerate(pages):
        profile: dict[str, Any] = {"driver": "GTiff", "count": 1, "dtype": "uint8", "crs": "EPSG:32632"}
        profile |= {"height": values.shape[1], "width": values.shape[2], "append_subdataset": number > 0}
        with rasterio.open(path, "w", transform=from_origin(500_000 + number, 5_400_000, 1, 1), **profile) as file:
            file.write(values)
    return pages


def write_climate(path: Path, latitudes: np.ndarray) -> np.ndarray:
    """A classic netCDF file in degrees by another library: packed values ``red``, and ``nir``; (y, x) by latitude."""
    values = np.arange(len(latitudes) * 5, dtype=np.int16).reshape(len(latitudes), 5)
    with netcdf_file(path, "w") as file:
        file.Conventions = "CF-1.7"
        for name, degrees, unit in (
            ("lat", latitudes, "degrees_north"),
            ("lon", np.arange(5) * 0.5 + 7, "degrees_east"),
        ):
            file.createDimension(name, len(degrees))
            axis = file.createVariable(name, "d", (name,))
            axis[:] = degrees
            axis.units, axis.standard_name = unit, {"lat": "latitude", "lon": "longitude"}[name]
        for name, plus in (("red", 0), ("nir", 1)):
            variable = file.createVariable(name, "h", ("lat", "lon"))
            variable[:] = values + plus
            variable.scale_factor, variable.add_offset, variable._FillValue = 0.5, 3.0, np.int16(7)
    return values


def test_images_of_a_tiff_are_chosen_by_number(tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    pages = write_pages(path)
    for number, values in enumerate(pages, start=1):
        with open_scene(path, subdataset=str(number)) as scene:
            np.testing.assert_array_equal(scene.read(scene.extent).values, values)
            assert scene.geobox.transform.c == 500_000 + number - 1
            assert (scene.subdataset, scene.stem, scene.notes) == (str(number), f"pages_{number}", ())
            assert scene.files == (str(path),)
    with open_scene(path) as first:
        np.testing.assert_array_equal(first.read(first.extent).values, pages[0])
        assert (first.subdataset, first.stem) == (None, "pages")
    with pytest.raises(UsageError, match=r"no subdataset is called '3'.*1 1 \(.*2 2 \("):
        open_scene(path, subdataset="3")


@pytest.mark.parametrize("south_up", [False, True])
def test_a_variable_is_read_north_up_with_its_scale_and_nodata(south_up: bool, tmp_path: Path) -> None:
    latitudes = np.array([50.5, 50.0, 49.5, 49.0])
    path = tmp_path / "climate.nc"
    values = write_climate(path, latitudes[::-1] if south_up else latitudes)
    north_up = values[::-1] if south_up else values
    with open_scene(path, subdataset="nir", assume_crs="EPSG:4326") as scene:
        assert scene.geobox.crs.to_epsg() == 4326
        assert tuple(scene.geobox.transform)[:6] == (0.5, 0, 6.75, 0, -0.5, 50.75)
        assert (scene.bands[0].name, scene.bands[0].scale, scene.bands[0].offset) == ("nir", 0.5, 3.0)
        whole = scene.read(scene.extent)
        np.testing.assert_array_equal(whole.values[0], north_up + 1)
        np.testing.assert_array_equal(whole.valid, north_up + 1 != 7)
        for row in range(4):  # block by block, in the order that a window cuts
            part = scene.read(Window(row, row + 1, 1, 4))
            np.testing.assert_array_equal(part.values[0], north_up[row : row + 1, 1:4] + 1)
            assert part.geobox.transform.f == 50.75 - row * 0.5
        array = scene.to_xarray(chunks=2)
        np.testing.assert_array_equal(array.values[0], north_up + 1)
        assert list(array.y.values) == list(latitudes)


@pytest.mark.parametrize("kind", ["NC", "NC2", "NC4"])
def test_netcdf_of_every_format_equals_its_source(kind: str, tmp_path: Path) -> None:
    source, path = tmp_path / "source.tif", tmp_path / "copy.nc"
    profile: dict[str, Any] = {"driver": "GTiff", "count": 2, "dtype": "int16", "crs": "EPSG:32632", "nodata": 7}
    profile |= {"height": 12, "width": 8, "transform": from_origin(500_000, 5_400_000, 10, 10)}
    with rasterio.open(source, "w", **profile) as file:
        file.write(np.stack([RED, RED + 1]))
    rasterio.shutil.copy(source, path, driver="netCDF", FORMAT=kind)
    for asked, name, plus in (("Band1", "Band1", 0), ("2", "Band2", 1), ("[12x8] Band2 (16-bit integer)", "Band2", 1)):
        with open_scene(path, subdataset=asked) as scene, rasterio.open(source) as original:
            np.testing.assert_array_equal(scene.read(scene.extent).values[0], RED + plus)
            assert scene.geobox.crs.to_epsg() == 32632
            assert scene.geobox.transform == original.transform
            assert (scene.nodata, scene.subdataset, scene.driver) == (7, name, "netCDF")


def test_a_name_is_whole_or_its_last_part_and_ambiguous_ones_are_refused(tmp_path: Path) -> None:
    path = write_sample(tmp_path / "a.h5", "plain_earliest")
    assert [one.name for one in subdatasets_of(str(path))] == ["g/inner/nir", "g/inner/red", "red"]
    for asked, values in (
        ("nir", RED + 1),
        ("/g/inner/nir", RED + 1),
        ("g/inner/red", RED + 2),
        ("3", RED),
        ("red", RED),
    ):
        with open_scene(path, subdataset=asked, unplaced=True) as scene:
            np.testing.assert_array_equal(scene.read(scene.extent).values[0], values)
    two = [
        subdatasets_module.Subdataset(number=n, name=name, description="")
        for n, name in enumerate(("a/red", "b/red"), start=1)
    ]
    with pytest.raises(UsageError, match=r"several subdatasets are called 'red'.*1 a/red.*2 b/red"):
        subdatasets_module.choose_subdataset("x", two, "red")


def test_a_file_of_several_rasters_is_refused_with_their_list(tmp_path: Path) -> None:
    write_climate(tmp_path / "a.nc", np.array([1.0, 0.0]))
    with pytest.raises(UsageError, match=r"it holds 2 subdatasets.*1 red \(.*2 nir \("):
        open_scene(tmp_path / "a.nc")


@pytest.mark.parametrize("name", ["", " ", "/", 3])
def test_a_choice_is_text(name: object, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="subdataset is"):
        open_scene(tmp_path / "a.nc", subdataset=name)


@pytest.mark.parametrize(
    "name", ["GTIFF_DIR:2:{other}", 'NETCDF:"{other}":red', "2:{other}", "../other.tif", '1":x', "\u0661"]
)
def test_names_of_gdal_choose_nothing(name: str, tmp_path: Path) -> None:
    write_pages(tmp_path / "pages.tif")
    write_pages(tmp_path / "other.tif")
    with pytest.raises(UsageError, match="no subdataset is called"):
        open_scene(tmp_path / "pages.tif", subdataset=name.format(other=tmp_path / "other.tif"))


def test_other_kinds_have_no_subdatasets(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(tmp_path / "a.png", "w", driver="PNG", count=1, height=3, width=3, dtype="uint8") as file:
            file.write(np.ones((1, 3, 3), np.uint8))
    with pytest.raises(UsageError, match="kind PNG has no subdatasets"):
        open_scene(tmp_path / "a.png", subdataset="1")
    with pytest.raises(UsageError, match="remote scene has no subdatasets"):
        open_scene("https://127.0.0.1:9/a.tif", subdataset="1", allow_remote=True)


@pytest.mark.parametrize("suffix", [".h5", ".nc"])
@pytest.mark.parametrize("name", LEADS_ELSEWHERE)
def test_hdf5_that_leads_to_other_files_is_refused(name: str, suffix: str, tmp_path: Path) -> None:
    write_sample(tmp_path / "other.h5", "plain_earliest")
    (tmp_path / "other.bin").write_bytes(bytes(range(24)))
    path = write_sample(tmp_path / f"a{suffix}", name)
    with pytest.raises(SceneError, match="leads to another file"):
        open_scene(path, subdataset="other", unplaced=True)
    with pytest.raises(SceneError, match="leads to another file"):
        open_scene(path, unplaced=True)


@pytest.mark.parametrize("name", PLAIN)
def test_hdf5_of_one_file_is_walked_through(name: str, tmp_path: Path) -> None:
    refuse_other_files("a", write_sample(tmp_path / "a.h5", name))


@pytest.mark.parametrize("name", NAMES)
def test_damaged_hdf5_is_refused_in_words_and_soon(name: str, tmp_path: Path) -> None:
    content = bytearray(write_sample(tmp_path / "a.h5", name).read_bytes())
    draws, refused, begun = np.random.default_rng(7), 0, time.monotonic()
    for _ in range(40):
        damaged = bytearray(content[: int(draws.integers(8, len(content)))] if draws.random() < 0.2 else content)
        for place in draws.integers(8, len(damaged), 8):
            damaged[place] = int(draws.integers(256))
        (tmp_path / "b.h5").write_bytes(damaged)
        try:
            refuse_other_files("a", tmp_path / "b.h5")
        except SceneError as error:
            assert "leads to another file" in str(error) or "may lead to other files" in str(error)  # noqa: PT017
            refused += 1
    assert refused >= (37 if name in LEADS_ELSEWHERE else 15)
    assert time.monotonic() - begun < 60, "a loop in a file is no loop of ours"


def test_a_driver_that_gdal_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_climate(tmp_path / "a.nc", np.array([1.0, 0.0]))
    monkeypatch.setattr(rasterio.Env, "drivers", lambda _: {"GTiff": "GeoTIFF"})
    with pytest.raises(SceneError, match="built without its driver netCDF"):
        open_scene(tmp_path / "a.nc", subdataset="red")


def test_a_path_that_gdal_would_read_otherwise_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'a" "b.nc'
    write_climate(path, np.array([1.0, 0.0]))
    with pytest.raises(SceneError, match="quotation mark"):
        open_scene(path, subdataset="red")
