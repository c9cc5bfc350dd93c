"""What tells valid pixels, names and places when a scene is opened, and what the user is told of it."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp

from geoseg.core.window import Window
from geoseg.errors import GeosegError, SceneError, UsageError
from geoseg.io.files.gdal_messages import suppress_gdal_messages
from geoseg.io.raster.scene import Scene, open_scene

# rasterio says that nodata and alpha are both there
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NodataShadowWarning")

GRID = Affine(0.5, 0, 500000, 0, -0.5, 5400000)
SIDE = 64
WHOLE = Window(0, SIDE, 0, SIDE)


def image(bands: int = 3, dtype: str = "uint8", low: int = 20) -> np.ndarray:
    return np.random.default_rng(bands).integers(low, 200, (bands, SIDE, SIDE)).astype(dtype)


def write(path: Path, values: np.ndarray, *, words: tuple[str | None, ...] = (), **profile: object) -> Path:
    count, height, width = values.shape
    profile = {"driver": "GTiff", "crs": "EPSG:32633", "transform": GRID, "dtype": values.dtype} | profile
    with rasterio.open(path, "w", count=count, height=height, width=width, **profile) as dst:
        dst.write(values)
        if words:
            dst.descriptions = words
    return path


def refused(path: object, **options: object) -> GeosegError:
    with pytest.raises(GeosegError) as caught:
        open_scene(path, **options)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.fixture
def four_bands(tmp_path: Path) -> Path:
    """Red, green, blue and near infrared, as rasterio writes four bands of 8 bits: the fourth tagged as alpha."""
    values = image(4)
    values[3, 10:20, 10:20] = 0  # deep water
    return write(tmp_path / "four.tif", values, words=("red", "green", "blue", "nir"))


def names(scene: Scene) -> list[str]:
    return [band.name for band in scene.bands]


def test_a_described_band_is_data_though_it_is_tagged_as_alpha(four_bands: Path) -> None:
    with rasterio.open(four_bands) as oracle, open_scene(four_bands) as scene:
        assert oracle.colorinterp[3] is ColorInterp.alpha
        assert names(scene) == ["red", "green", "blue", "nir"]
        raster = scene.read(WHOLE)
        np.testing.assert_array_equal(raster.values, oracle.read())
        assert raster.valid.all()
        assert not scene.masked
        assert scene.notes == ("band 4 is tagged as alpha but described as nir: read as data",)
    with open_scene(four_bands, alpha="yes") as scene:
        assert names(scene) == ["red", "green", "blue"]
        assert scene.read(WHOLE).valid.sum() == SIDE**2 - 100


def test_alpha_is_what_the_user_says(tmp_path: Path) -> None:
    values = image(4)
    values[3, :8] = 0
    path = write(tmp_path / "bare.tif", values)
    with open_scene(path) as scene:
        assert scene.alphas == (4,)
        assert scene.read(WHOLE).valid.sum() == SIDE**2 - 8 * SIDE
        assert "--alpha no" in scene.notes[0]
    with open_scene(path, alpha="no") as scene:
        assert names(scene) == ["red", "green", "blue", "band_4"]
        np.testing.assert_array_equal(scene.read(WHOLE, [4, 1]).values, values[[3, 0]])
        assert scene.read(WHOLE).valid.all()
        assert scene.notes == ()
    untagged = write(tmp_path / "untagged.tif", values, photometric="RGB")
    with open_scene(untagged, alpha="yes") as scene:
        assert len(scene.bands) == 3
        assert scene.read(WHOLE).valid.sum() == SIDE**2 - 8 * SIDE
    assert isinstance(refused(write(tmp_path / "one.tif", image(1)), alpha="yes"), UsageError)
    assert isinstance(refused(path, alpha="maybe"), UsageError)


def test_an_alpha_band_of_all_or_nothing_raises_no_doubt(tmp_path: Path) -> None:
    values = image(4)
    values[3] = 255
    values[3, :, :30] = 0
    with open_scene(write(tmp_path / "a.tif", values)) as scene:
        assert scene.notes == ()


def test_alpha_and_mask_both_count(tmp_path: Path) -> None:
    values = image(4)
    values[3, :8] = 0
    path = write(tmp_path / "a.tif", values)
    mask = np.full((SIDE, SIDE), 255, np.uint8)
    mask[:, :8] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dst:
        dst.write_mask(mask)
    with open_scene(path) as scene:
        np.testing.assert_array_equal(scene.read(WHOLE).valid, (values[3] > 0) & (mask > 0))
    with open_scene(path, alpha="no") as scene:
        np.testing.assert_array_equal(scene.read(WHOLE).valid, mask > 0)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_further_nodata_value_counts_where_all_bands_have_it(tmp_path: Path, dtype: str) -> None:
    values = image(3, dtype)
    values[:, :, :10] = 255  # a white collar
    values[0, 30] = 255  # a red roof
    values[:, 40] = 0
    path = write(tmp_path / "a.tif", values, nodata=0)
    expected = np.ones((SIDE, SIDE), bool)
    expected[:, :10] = expected[40] = False
    with open_scene(path, nodata=255) as scene:
        np.testing.assert_array_equal(scene.read(WHOLE).valid, expected)
        array = scene.to_xarray()
        np.testing.assert_array_equal(array.coords["valid"].compute().values, expected)
    with open_scene(path) as scene:
        expected[:40, :10] = expected[41:, :10] = True
        np.testing.assert_array_equal(scene.read(WHOLE).valid, expected)


def test_a_further_nodata_value_that_is_no_measurement_counts_in_any_band(tmp_path: Path) -> None:
    values = image(3, "float32")
    values[1, 5] = -9999
    with open_scene(write(tmp_path / "a.tif", values), nodata=-9999) as scene:
        assert scene.read(WHOLE).valid.sum() == SIDE**2 - SIDE


PAM = "<PAMDataset>{}</PAMDataset>"
PAM_BAND = '<PAMRasterBand band="{}"><NoDataValue>{}</NoDataValue></PAMRasterBand>'


@pytest.mark.parametrize("driver", ["GTiff", "JP2OpenJPEG"])
def test_nodata_beside_a_scene_counts_as_gdal_counts_it(tmp_path: Path, driver: str) -> None:
    values = image(3)
    values[:, :, :16] = 0
    values[0, 20:30, 20:30] = 0
    options = {"QUALITY": "100", "REVERSIBLE": "YES"} if driver == "JP2OpenJPEG" else {"photometric": "RGB"}
    path = write(tmp_path / "a.jp2", values, driver=driver, **options)
    path = path.rename(tmp_path / ("a.jp2" if driver == "JP2OpenJPEG" else "a.tif"))
    with open_scene(path) as scene:
        before = scene.digest()
    (tmp_path / f"{path.name}.aux.xml").write_text(PAM.format("".join(PAM_BAND.format(b, 0) for b in (1, 2, 3))))
    with open_scene(path) as scene, rasterio.open(path) as oracle:
        assert scene.nodata == oracle.nodata == 0
        np.testing.assert_array_equal(scene.read(WHOLE).valid, oracle.dataset_mask() > 0)
        assert scene.geobox.transform == oracle.transform
        assert scene.digest() != before


def test_a_sidecar_by_gdal_s_own_hand_is_read_as_gdal_reads_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jp2", image(2, "uint16"), driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES")
    with rasterio.open(path, "r+") as dst:
        dst.nodata = 21
        dst.scales, dst.offsets = (1e-4, 2e-4), (-0.1, 0.5)
        dst.descriptions = ("red", "nir")
    assert path.with_name("a.jp2.aux.xml").exists()
    with open_scene(path) as scene, rasterio.open(path) as oracle:
        assert scene.nodata == oracle.nodata == 21
        assert tuple(band.scale for band in scene.bands) == oracle.scales
        assert tuple(band.offset for band in scene.bands) == oracle.offsets
        assert names(scene) == ["red", "nir"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<PAMDataset",
        '<!DOCTYPE x [<!ENTITY a "1">]><PAMDataset>' + PAM_BAND.format(1, "&a;") + "</PAMDataset>",
        PAM.format(PAM_BAND.format("one", 5)),
        PAM.format(PAM_BAND.format(1, "five")),
        PAM.format(PAM_BAND.format(99, 5)),
        PAM.format('<PAMRasterBand band="1"><Histograms/></PAMRasterBand>'),
    ],
)
def test_a_sidecar_that_tells_nothing_of_bands_changes_nothing(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "a.tif", image(3), photometric="RGB")
    (tmp_path / "a.tif.aux.xml").write_text(text)
    with open_scene(path) as scene:
        assert scene.nodata is None
        assert scene.read(WHOLE).valid.all()


def test_numbers_of_bands_are_names_where_the_satellite_is_known(tmp_path: Path) -> None:
    words = ("B1", "B2", "B3", "B4")
    with open_scene(write(tmp_path / "export.tif", image(4), words=words, photometric="MINISBLACK")) as scene:
        assert names(scene) == ["band_1", "band_2", "band_3", "band_4"]
    with rasterio.open(tmp_path / "export.tif", "r+") as dst:
        dst.update_tags(SPACECRAFT_ID="LANDSAT_5")
    with open_scene(tmp_path / "export.tif") as scene:
        assert names(scene) == ["blue", "green", "red", "nir"]
    with open_scene(write(tmp_path / "S2A_MSIL2A_x.tif", image(4), words=words, photometric="MINISBLACK")) as scene:
        assert names(scene) == ["coastal", "blue", "green", "red"]


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({}, ["band_1", "band_2"]),
        ({"platform": "planetscope"}, ["band_1", "band_2"]),
        ({"platform": "Sentinel-2B"}, ["red", "nir"]),
        ({"platform": "landsat-8"}, ["red", "pan"]),
    ],
)
def test_numbers_of_bands_in_an_item_are_names_where_it_names_the_satellite(
    tmp_path: Path, properties: dict[str, str], expected: list[str]
) -> None:
    assets = {}
    for key in ("B04", "B08"):
        write(tmp_path / f"{key}.tif", image(1))
        assets[key] = {"href": f"{key}.tif", "type": "image/tiff", "roles": ["data"], "eo:bands": [{"name": key}]}
    item = {"type": "Feature", "stac_version": "1.0.0", "id": "x", "properties": properties, "assets": assets}
    (tmp_path / "item.json").write_text(json.dumps(item))
    with open_scene(tmp_path / "item.json") as scene:
        assert names(scene) == expected


def test_an_item_knows_better_than_the_tag_that_writers_set(tmp_path: Path) -> None:
    values = image(4)
    values[3, :8] = 0
    write(tmp_path / "naip.tif", values)
    words = ["red", "green", "blue", "nir"]
    for bands, expected in ((words, words), (words[:3], words[:3]), ([], words[:3])):
        asset = {"href": "naip.tif", "type": "image/tiff", "eo:bands": [{"common_name": name} for name in bands]}
        item = {"type": "Feature", "stac_version": "1.0.0", "id": "x", "properties": {}, "assets": {"image": asset}}
        (tmp_path / "item.json").write_text(json.dumps(item))
        with open_scene(tmp_path / "item.json") as scene:
            assert names(scene) == expected
            raster = scene.read(WHOLE)
            np.testing.assert_array_equal(raster.values, values[: len(expected)])
            assert raster.valid.all() == (len(expected) == 4)


def jpeg_tile(path: Path, bands: int) -> tuple[Path, int, int]:
    """Write one JPEG tile; its offset and size in the file."""
    values = np.broadcast_to(np.arange(SIDE, dtype="uint8")[:, None] * 3, (bands, SIDE, SIDE)).copy()
    if bands == 4:
        values[3] = 255
    shape = {"tiled": True, "blockxsize": SIDE, "blockysize": SIDE, "compress": "jpeg", "photometric": "RGB"}
    write(path, values, alpha="YES" if bands == 4 else "NO", **shape)
    with rasterio.open(path) as file:
        offset, size = (int(file.get_tag_item(f"BLOCK_{what}_0_0", "TIFF", bidx=1)) for what in ("OFFSET", "SIZE"))
    return path, offset, size


@pytest.mark.parametrize("bands", [3, 4])
def test_a_jpeg_tile_of_which_a_part_is_made_up_is_refused(bands: int, tmp_path: Path) -> None:
    path, offset, size = jpeg_tile(tmp_path / "scene.tif", bands)
    content = bytearray(path.read_bytes())
    content[offset + size // 2 : offset + size // 2 + 2] = b"\xff\xd9"  # the end of the picture
    path.write_bytes(content)
    with open_scene(path) as scene:
        _ = scene.notes  # which look at the alpha band
        with pytest.raises(SceneError, match="rows 0-64, columns 0-64 cannot be decoded .*JPEG"):
            scene.read(WHOLE)


def test_a_few_bytes_too_many_in_a_jpeg_tile_harm_nothing(tmp_path: Path) -> None:
    path, offset, size = jpeg_tile(tmp_path / "scene.tif", 3)
    with open_scene(path) as scene:
        whole = scene.read(WHOLE).values
    content = bytearray(path.read_bytes())
    tile = bytes(content[offset : offset + size])
    assert tile.endswith(b"\xff\xd9")
    for tag, value in ((324, len(content)), (325, size + 2)):  # place and length of the one tile
        (entry,) = [at for kind in (3, 4) if (at := content.find(struct.pack("<HHI", tag, kind, 1))) >= 0]
        content[entry : entry + 12] = struct.pack("<HHII", tag, 4, 1, value)
    path.write_bytes(content + tile[:-2] + b"\0\0\xff\xd9")
    with open_scene(path) as scene:
        np.testing.assert_array_equal(scene.read(WHOLE).values, whole)
        assert any("extraneous bytes" in note for note in scene.notes)


def test_further_images_of_a_file_are_told(tmp_path: Path) -> None:
    path = write(tmp_path / "pages.tif", image())
    with open_scene(path) as scene:
        assert scene.notes == ()
    write(path, image(low=100), append_subdataset=True)
    with open_scene(path) as scene:
        assert [note.partition(";")[0] for note in scene.notes] == ["it holds 2 images and the first is read"]
        np.testing.assert_array_equal(scene.read(WHOLE).values, image())
    masked = write(tmp_path / "overviews.tif", image(), tiled=True, blockxsize=16, blockysize=16)
    with rasterio.open(masked, "r+") as file:
        file.build_overviews([2, 4])
    with open_scene(masked) as scene:
        assert scene.notes == (), "overviews are the same image"


def test_what_gdal_warns_of_is_a_note(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "loop.tif", image(3), photometric="RGB")
    data = bytearray(path.read_bytes())
    first = struct.unpack("<I", data[4:8])[0]
    end = first + 2 + 12 * struct.unpack("<H", data[first : first + 2])[0]
    data[end : end + 4] = struct.pack("<I", first)  # the next directory is this one
    path.write_bytes(data)
    with open_scene(path) as scene:
        scene.read(WHOLE)
        assert [note for note in scene.notes if note.startswith("GDAL warns: ") and "looping" in note]
    assert capfd.readouterr().err == ""


@pytest.fixture
def port() -> Iterator[int]:
    """A port that nobody may ask anything of."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server.getsockname()[1]
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_crs_that_is_none_is_refused_in_one_line_and_asked_for_nowhere(
    tmp_path: Path, port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.tif", image(3), crs=None)
    for text in ("EPSG:banana", "EPSG:999999", "", "x" * 5000, f"http://127.0.0.1:{port}/crs", "/etc/passwd"):
        assert isinstance(refused(path, assume_crs=text), UsageError)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("crs", "transform", "shape", "refusal"),
    [
        ("EPSG:4326", Affine(1e-4, 0, 10, 0, -1e-4, 90.0001), (8, 8), "beyond the pole"),
        ("EPSG:4326", Affine(0.1, 0, 10, 0, -0.1, -89.5), (8, 8), "beyond the pole"),
        ("EPSG:4326", Affine(0.1, 0, 10, 0, 0.1, 89.9), (8, 8), "beyond the pole"),
        ("EPSG:4326", Affine(0.25, 0, -180, 0, -0.25, 90), (720, 1440), None),
        ("EPSG:4326", Affine(0.25, 0, -180.125, 0, -0.25, 90.125), (721, 1440), None),
        ("EPSG:4807", Affine(0.1, 0, 10, 0, -0.1, 100), (8, 8), None),  # in grads the pole is at 100
        ("EPSG:4807", Affine(0.1, 0, 10, 0, -0.1, 100.1), (8, 8), "beyond the pole"),
        ("EPSG:4978", Affine(1, 0, 4e6, 0, -1, 5e6), (8, 8), "Geocentric"),
        ("EPSG:32633", Affine(1, 0, 5e5, 0, -1, 2e7), (8, 8), "no place"),
        ("EPSG:32633", Affine(1, 0, 5e7, 0, -1, 5e6), (8, 8), "no place"),
        ("EPSG:4087", Affine(1, 0, 0, 0, -1, 1.1e7), (8, 8), "no place"),
        ("EPSG:3857", Affine(1, 0, 20.1e6, 0, -1, 2e6), (8, 8), None),  # east of the antimeridian
        ("EPSG:3413", Affine(1000, 0, -4e6, 0, -1000, 4e6), (8, 8), None),
        ("EPSG:32633", Affine(0.5, 0, 0, 0, -0.5, 0), (8, 8), None),
        ("EPSG:25832+5783", Affine(1, 0, 4e5, 0, -1, 5e6), (8, 8), None),
    ],
)
def test_a_grid_lies_on_the_ground_or_is_refused(
    tmp_path: Path, crs: str, transform: Affine, shape: tuple[int, int], refusal: str | None
) -> None:
    path = write(tmp_path / "a.tif", np.zeros((1, *shape), np.uint8), crs=crs, transform=transform)
    if refusal is None:
        open_scene(path).close()
        return
    error = refused(path)
    assert isinstance(error, SceneError)
    assert refusal in str(error)


def test_a_png_cut_short_is_refused_though_gdal_can_read_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    values = (np.indices((64, 64)).sum(axis=0) * 7 % 251).astype(np.uint8)[None].repeat(3, axis=0)
    profile = {"driver": "PNG", "count": 3, "dtype": "uint8", "height": 64, "width": 64}
    with suppress_gdal_messages(), rasterio.open(path, "w", **profile) as file:
        file.write(values)
    content = path.read_bytes()
    assert content[-8:-4] == b"IEND"
    path.write_bytes(content[: len(content) // 2])
    with open_scene(path, unplaced=True) as scene, pytest.raises(SceneError, match="cannot be decoded"):
        scene.read(scene.extent)
