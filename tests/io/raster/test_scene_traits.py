"""A scene gives exactly the values and masks that rasterio gives, for every trait of a file."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp

from geoseg.core.window import Window
from geoseg.errors import SceneError
from geoseg.io.raster.scene import Scene, open_scene

# rasterio's own window arithmetic warns with affine 3.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

UTM = CRS.from_epsg(32633)
NORTH_UP = Affine(0.5, 0, 500000, 0, -0.5, 5400000)
REAL = Path(__file__).resolve().parents[3] / "../shared/data/geotiffs"


def write(path: Path, values: np.ndarray, mask: np.ndarray | None = None, **profile: object) -> Path:
    count, height, width = values.shape
    interp = profile.pop("colorinterp", None)
    env = profile.pop("env", {})
    profile = {"driver": "GTiff", "crs": UTM, "transform": NORTH_UP, "dtype": values.dtype, **profile}
    with rasterio.Env(**env), rasterio.open(path, "w", count=count, height=height, width=width, **profile) as dst:
        if interp:
            dst.colorinterp = interp
        dst.write(values)
        if mask is not None:
            dst.write_mask(mask)
    return path


def noise(dtype: str, bands: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return random.normal(size=(bands, height, width)).astype(kind)
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    return random.integers(low, high, size=(bands, height, width), dtype=kind, endpoint=True)


def corners(height: int, width: int) -> list[Window]:
    rows = {(0, min(7, height)), (max(0, height - 5), height), (height // 3, height // 3 + 1)}
    cols = {(0, min(9, width)), (max(0, width - 6), width), (width // 2, width // 2 + 1)}
    return [Window(*r, *c) for r, c in itertools.product(rows, cols)] + [Window.whole((height, width))]


def same_as_rasterio(path: Path, scene: Scene, *, masks: bool = True) -> None:
    with rasterio.open(path) as oracle:
        for window in corners(*scene.geobox.shape):
            at = ((window.row_start, window.row_stop), (window.col_start, window.col_stop))
            raster = scene.read(window)
            expected = oracle.read([band.index for band in scene.bands], window=at)
            np.testing.assert_array_equal(raster.values, expected)
            assert raster.values.dtype == expected.dtype
            assert raster.geobox.transform.almost_equals(
                oracle.window_transform(rasterio.windows.Window.from_slices(*at))
            )
            if masks:
                np.testing.assert_array_equal(raster.valid, oracle.dataset_mask(window=at) > 0)


LAYOUTS = {
    "striped": {},
    "strips_of_5": {"blockysize": 5},
    "tiled": {"tiled": True, "blockxsize": 16, "blockysize": 32, "compress": "deflate", "predictor": 2},
    "planar": {"interleave": "band", "compress": "lzw"},
    "bigtiff": {"BIGTIFF": "YES", "compress": "zstd"},
    "big_endian": {"ENDIANNESS": "BIG"},
}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64", "int32", "int8"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("bands", [1, 3, 6])
def test_values_are_the_file_s_own(tmp_path: Path, dtype: str, layout: str, bands: int) -> None:
    options = dict(LAYOUTS[layout])
    if np.dtype(dtype).kind == "f":
        options.pop("predictor", None)
    path = write(tmp_path / "a.tif", noise(dtype, bands, 45, 71), **options)
    with open_scene(path) as scene:
        same_as_rasterio(path, scene)
        assert len(scene.bands) == bands
        assert scene.dtype == np.dtype(dtype)


@pytest.mark.parametrize("shape", [(1, 1), (1, 37), (37, 1), (2, 300)])
def test_a_small_scene_is_a_scene(tmp_path: Path, shape: tuple[int, int]) -> None:
    path = write(tmp_path / "a.tif", noise("uint8", 3, *shape))
    with open_scene(path) as scene:
        same_as_rasterio(path, scene)


@pytest.mark.parametrize(
    "transform",
    [
        NORTH_UP,
        Affine(0.5, 0, 500000, 0, 0.5, 5400000),
        Affine.translation(500000, 5400000) @ Affine.rotation(31) @ Affine.scale(0.5, -0.5),
        Affine(0.5, 0, 500000, 0, -2, 5400000),
    ],
    ids=["north-up", "south-up", "rotated", "non-square"],
)
def test_the_transform_is_the_file_s_own(tmp_path: Path, transform: Affine) -> None:
    path = write(tmp_path / "a.tif", noise("uint8", 1, 20, 30), transform=transform)
    with open_scene(path) as scene, rasterio.open(path) as oracle:
        assert scene.geobox.transform == oracle.transform
        same_as_rasterio(path, scene)


@pytest.mark.parametrize(
    "crs",
    [
        "EPSG:4326",
        "EPSG:3857",
        "+proj=laea +lat_0=10 +lon_0=20 +ellps=GRS80 +units=m",
        "EPSG:25832+5783",
        'LOCAL_CS["site",UNIT["metre",1]]',
    ],
)
def test_any_crs_survives(tmp_path: Path, crs: str) -> None:
    given = CRS.from_wkt(crs) if crs.startswith("LOCAL") else CRS.from_user_input(crs)
    transform = Affine(1e-5, 0, 13, 0, -1e-5, 48) if crs == "EPSG:4326" else NORTH_UP
    path = write(tmp_path / "a.tif", noise("uint8", 1, 8, 8), crs=given, transform=transform)
    with open_scene(path) as scene, rasterio.open(path) as oracle:
        assert CRS.from_wkt(scene.geobox.crs.to_wkt()) == oracle.crs


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [
        ("float32", np.nan),
        ("float32", -9999.0),
        ("float32", -3.4028234663852886e38),
        ("float64", 1e20),
        ("int16", -32768),
    ],
)
def test_a_value_that_is_no_measurement_spoils_a_pixel_in_any_band(tmp_path: Path, dtype: str, nodata: float) -> None:
    values = noise(dtype, 3, 20, 20)
    values[0, :5] = nodata
    values[2, :, :5] = nodata
    values[:, 19, 19] = nodata
    path = write(tmp_path / "a.tif", values, nodata=nodata)
    expected = np.ones((20, 20), bool)
    expected[:5] = expected[:, :5] = expected[19, 19] = False
    with open_scene(path) as scene:
        np.testing.assert_array_equal(scene.read(Window(0, 20, 0, 20)).valid, expected)
        np.testing.assert_array_equal(scene.nodata, nodata)
        only_second = scene.read(Window(0, 20, 0, 20), [2]).valid
        assert only_second.sum() == 399
        same_as_rasterio(path, scene, masks=False)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
@pytest.mark.parametrize("nodata", [0, 100])
def test_a_pure_red_roof_stays_where_nodata_is_also_a_colour(tmp_path: Path, dtype: str, nodata: int) -> None:
    values = noise(dtype, 3, 20, 20, seed=1)
    values[:, :4] = nodata
    values[1:, 10] = nodata
    values[0, 10] = 77
    path = write(tmp_path / "a.tif", values, nodata=nodata)
    with open_scene(path) as scene:
        same_as_rasterio(path, scene)
        valid = scene.read(Window(0, 20, 0, 20)).valid
        assert valid[10].all()
        assert not valid[:4].any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_never_valid(tmp_path: Path, bad: float) -> None:
    values = noise("float32", 2, 6, 6)
    values[1, 2, 3] = bad
    with open_scene(write(tmp_path / "a.tif", values)) as scene:
        valid = scene.read(Window(0, 6, 0, 6)).valid
    assert np.argwhere(~valid).tolist() == [[2, 3]]


@pytest.mark.parametrize("internal", [True, False])
def test_a_mask_band_is_heard(tmp_path: Path, internal: bool) -> None:
    mask = (noise("uint8", 1, 30, 40, seed=2)[0] > 99) * np.uint8(255)
    path = write(tmp_path / "a.tif", noise("uint8", 3, 30, 40), mask=mask, env={"GDAL_TIFF_INTERNAL_MASK": internal})
    assert (tmp_path / "a.tif.msk").exists() is not internal
    with open_scene(path) as scene:
        same_as_rasterio(path, scene)
        assert scene.masked
        assert len(scene.files) == (1 if internal else 2)


def test_an_alpha_band_is_validity_not_data(tmp_path: Path) -> None:
    values = noise("uint8", 4, 30, 40)
    values[3, :9] = 0
    colours = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    path = write(tmp_path / "a.tif", values, colorinterp=colours)
    with open_scene(path) as scene:
        assert [band.name for band in scene.bands] == ["red", "green", "blue"]
        np.testing.assert_array_equal(scene.read(Window(0, 30, 0, 40)).valid, values[3] > 0)
        same_as_rasterio(path, scene)


def test_ground_control_points_give_a_fitted_grid(tmp_path: Path) -> None:
    truth = Affine.translation(500000, 5400000) @ Affine.rotation(12) @ Affine.scale(2, -2)
    places = [(0, 0), (0, 40), (30, 40), (30, 0), (15, 21)]
    points = [GroundControlPoint(row=r, col=c, x=(truth @ (c, r))[0], y=(truth @ (c, r))[1]) for r, c in places]
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=30, width=40, dtype="uint8", gcps=points, crs=UTM
    ) as dst:
        dst.write(noise("uint8", 1, 30, 40))
    with open_scene(path) as scene:
        assert scene.geobox.transform.almost_equals(truth, precision=1e-5)
        assert scene.gcps_crs == UTM
        assert [(g.row, g.col, g.x, g.y) for g in scene.gcps] == [(g.row, g.col, g.x, g.y) for g in points]
        assert "control points" in " ".join(scene.notes)
        assert scene.read(Window(0, 30, 0, 40)).valid.all()


@pytest.mark.parametrize("driver", ["PNG", "JPEG", "JP2OpenJPEG"])
def test_pictures_with_a_world_file(tmp_path: Path, driver: str) -> None:
    name, world = {"PNG": ("a.png", "a.pgw"), "JPEG": ("a.jpg", "a.jgw"), "JP2OpenJPEG": ("a.jp2", "a.j2w")}[driver]
    path, plain = tmp_path / name, {"crs": None, "transform": None}
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        write(path, noise("uint8", 3, 64, 80), driver=driver, **plain)
    (tmp_path / (name + ".aux.xml")).unlink(missing_ok=True)
    with pytest.raises(SceneError, match="assume-crs"):
        open_scene(path)
    with pytest.raises(SceneError, match="transform"):
        open_scene(path, assume_crs="EPSG:32633")
    (tmp_path / world).write_text("0.5\n0\n0\n-0.5\n500000.25\n5399999.75\n")
    with open_scene(path, assume_crs="EPSG:32633") as scene:
        assert scene.geobox.transform == NORTH_UP
        assert "assumed" in " ".join(scene.notes)
    (tmp_path / "a.prj").write_text(UTM.to_wkt(version="WKT1_ESRI"))
    with open_scene(path) as scene:
        assert CRS.from_wkt(scene.geobox.crs.to_wkt()).to_epsg() == 32633
        assert {Path(name).name for name in scene.files} == {name, world, "a.prj"}
        same_as_rasterio(path, scene)


def test_scale_offset_and_descriptions_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", noise("uint16", 2, 5, 5))
    with rasterio.open(path, "r+") as dst:
        dst.scales, dst.offsets = (0.0001, 0.0002), (-0.1, 0)
        dst.descriptions = ("Near Infrared", "something")
    with open_scene(path) as scene:
        assert [(b.scale, b.offset, b.name, b.description) for b in scene.bands] == [
            (0.0001, -0.1, "nir", "Near Infrared"),
            (0.0002, 0.0, "band_2", "something"),
        ]


@pytest.mark.parametrize("path", sorted(REAL.glob("*.tif")), ids=lambda path: path.stem)
def test_real_scenes_read_as_rasterio_reads_them(path: Path) -> None:
    with open_scene(path) as scene:
        same_as_rasterio(path, scene)
        assert all(band.name for band in scene.bands)
        assert len({band.name for band in scene.bands}) == len(scene.bands)
