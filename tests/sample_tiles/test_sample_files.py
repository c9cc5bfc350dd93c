"""The shipped files have the traits that their names claim, and are what the script writes."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pystac
import pytest
import rasterio
import rasterio.warp
from affine import Affine
from PIL import Image
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning
from scipy import ndimage

from geoseg.core.isprs_legend import TOWN_LEGEND

ROOT = Path(__file__).resolve().parents[2] / "sample_tiles"
TRAITS = ROOT / "traits"
RASTERS = (".tif", ".jpg", ".png", ".jp2", ".vrt")


def trait(name: str) -> rasterio.DatasetReader:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(TRAITS / name)


def pixels(path: Path) -> npt.NDArray[np.float64]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as source:
            return source.read().astype(float)


def make(out: Path, *parts: str) -> None:
    subprocess.run([sys.executable, ROOT / "make.py", "--out", out, "--only", *parts], check=True, capture_output=True)


def assert_shipped(out: Path, folder: str) -> None:
    names = sorted(p.relative_to(out) for p in (out / folder).rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(ROOT) for p in (ROOT / folder).rglob("*") if p.is_file())
    for name in names:
        if name.suffix in RASTERS:
            shipped, made = pixels(ROOT / name), pixels(out / name)
            assert shipped.shape == made.shape, name
            # Another processor may round a sine differently, which tips a grey value here and there.
            differs = ~np.isclose(shipped, made, equal_nan=True)
            assert differs.mean() < 1e-3, name
        else:
            assert (ROOT / name).read_text() == (out / name).read_text(), name


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("folder", ["traits", "deepglobe", "vaihingen", "potsdam"])
def test_the_shipped_files_are_what_the_script_writes(folder: str, tmp_path: Path) -> None:
    make(tmp_path, folder)
    assert_shipped(tmp_path, folder)


@pytest.mark.slow
def test_the_shipped_town_is_what_the_script_draws(tmp_path: Path) -> None:
    make(tmp_path, "town")
    for name in ("town.tif", "town_labels.tif"):
        assert (pixels(ROOT / name) != pixels(tmp_path / name)).mean() < 1e-3, name


def test_the_samples_are_small() -> None:
    assert sum(p.stat().st_size for p in ROOT.rglob("*") if p.is_file()) < 12_000_000


def test_the_town_lies_in_utm_with_labels_on_the_same_grid() -> None:
    with rasterio.open(ROOT / "town.tif") as image, rasterio.open(ROOT / "town_labels.tif") as labels:
        assert image.crs.to_epsg() == labels.crs.to_epsg() == 32632
        assert image.transform == labels.transform
        assert image.shape == labels.shape == (2048, 2048)
        assert image.count == 3
        assert image.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == labels.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert image.overviews(1)
        assert image.res == pytest.approx((0.09, 0.09))
        assert set(np.unique(labels.read())) == set(TOWN_LEGEND.codes)
        colours = labels.colormap(1)
    assert [colours[entry.code][:3] for entry in TOWN_LEGEND.classes] == [entry.rgb for entry in TOWN_LEGEND.classes]


def test_every_trait_file_opens_and_shows_something() -> None:
    for path in sorted(TRAITS.iterdir()):
        if path.suffix in RASTERS and path.name not in {"all_nodata.tif", "one_pixel.tif", "one_row.tif"}:
            values = pixels(path)
            assert max(values.shape[1:]) <= 128
            assert np.nanstd(values) > 0.03, path.name


@pytest.mark.parametrize(
    ("name", "dtype", "nodata"),
    [
        ("utm_uint16_nodata0.tif", "uint16", 0),
        ("int16_nodata_minus9999.tif", "int16", -9999),
        ("all_nodata.tif", "uint8", 0),
        ("float32_reflectance.tif", "float32", None),
        ("uint16_reflectance_scaled.tif", "uint16", None),
    ],
)
def test_values_are_stored_as_the_name_says(name: str, dtype: str, nodata: float | None) -> None:
    with trait(name) as source:
        assert set(source.dtypes) == {dtype}
        assert source.nodata == nodata
        invalid = (source.read_masks() == 0).mean()
    assert invalid == 1 if name == "all_nodata.tif" else (0.1 < invalid < 0.6) == (nodata is not None)


def test_reflectance_is_physical() -> None:
    with trait("uint16_reflectance_scaled.tif") as source:
        assert source.scales == (0.0001,) * 4
        scaled = source.read() * 0.0001
    real = pixels(TRAITS / "float32_reflectance.tif")
    assert np.abs(real - scaled).max() < 1e-4
    assert 0 <= real.min() < real.max() <= 1


def test_grids_are_laid_as_the_name_says() -> None:
    with trait("rotated_float_nan.tif") as source:
        assert np.isnan(source.nodata)
        assert np.degrees(np.arctan2(source.transform.d, source.transform.a)) == pytest.approx(17)
        assert source.transform.determinant < 0
    with trait("south_up.tif") as source:
        assert source.transform.e > 0
    with trait("nonsquare.tif") as source:
        assert -source.transform.e == pytest.approx(2 * source.transform.a)
    with trait("mercator_3857.tif") as source:
        assert source.crs.to_epsg() == 3857
    with trait("no_epsg.tif") as source:
        assert source.crs.to_epsg() is None
        assert source.crs.is_projected
    with trait("strips_rgba_4326.tif") as source:
        assert source.crs.to_epsg() == 4326
        assert source.block_shapes[0] == (5, source.width)
        assert source.colorinterp[3] == ColorInterp.alpha
    with trait("gcps_only.tif") as source:
        assert source.transform == Affine.identity()
        assert source.crs is None
        assert len(source.gcps[0]) == 4
        assert source.gcps[1].to_epsg() == 4326
    with trait("one_pixel.tif") as source:
        assert source.shape == (1, 1)
    with trait("one_row.tif") as source:
        assert source.shape == (1, 64)


def test_bands_are_laid_as_the_name_says() -> None:
    with trait("mask_band.tif") as source:
        assert source.mask_flag_enums[0] == [MaskFlags.per_dataset]
        assert 0 < (source.dataset_mask() == 0).mean() < 0.5
    with trait("alpha_band.tif") as source:
        assert source.colorinterp[3] == ColorInterp.alpha
    with trait("four_band_rgbn.tif") as source:
        assert source.descriptions == ("red", "green", "blue", "nir")
        assert source.colorinterp[3] != ColorInterp.alpha
        rgbn = source.read()
    with trait("bgr_order.tif") as source:
        assert source.descriptions == ("blue", "green", "red")
        assert np.array_equal(source.read(), rgbn[2::-1])


def test_containers_are_what_the_name_says() -> None:
    assert (TRAITS / "bigtiff.tif").read_bytes()[2] == 43
    assert (TRAITS / "uncompressed.tif").read_bytes()[2] == 42
    with trait("uncompressed.tif") as source:
        assert source.compression is None
    with trait("cog.tif") as source:
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert source.overviews(1)
    with trait("jpeg2000.jp2") as source, trait("uncompressed.tif") as plain:
        assert source.driver == "JP2OpenJPEG"
        assert source.crs.to_epsg() == 32632
        assert source.transform.almost_equals(plain.transform)
        assert np.array_equal(source.read(), plain.read())
    for name in ("jpeg_worldfile.jpg", "png_worldfile.png"):
        with trait(name) as source, trait("uncompressed.tif") as plain:
            assert source.transform.almost_equals(plain.transform, precision=1e-6)
    assert rasterio.crs.CRS.from_wkt((TRAITS / "jpeg_worldfile.prj").read_text()).to_epsg() == 32632


def test_the_mosaic_joins_its_sources() -> None:
    parts = [pixels(TRAITS / f"mosaic_{side}.tif") for side in ("west", "east")]
    assert np.array_equal(pixels(TRAITS / "mosaic.vrt"), np.concatenate(parts, axis=2))


def test_the_item_points_at_the_cog_and_covers_it() -> None:
    item = pystac.Item.from_dict(json.loads((TRAITS / "item.json").read_text()))
    with rasterio.open(TRAITS / item.assets["image"].href) as source:
        bounds = rasterio.warp.transform_bounds(source.crs, 4326, *source.bounds)
    assert item.bbox == pytest.approx(bounds, abs=1e-6)


@pytest.mark.parametrize("folder", ["vaihingen", "potsdam"])
def test_labels_wear_the_published_colours_and_the_eroded_ones_black_borders(folder: str) -> None:
    full = sorted(
        p for p in (ROOT / folder).rglob("*.tif") if p.parent.name in {"gts_for_participants", "5_Labels_all"}
    )
    eroded = sorted(p for p in (ROOT / folder).rglob("*_noBoundary.tif"))
    assert len(full) == len(eroded) == 2
    colours = {entry.rgb for entry in TOWN_LEGEND.classes}
    for whole, kept in zip(full, eroded, strict=True):
        labels, inner = (pixels(path).transpose(1, 2, 0).astype(int) for path in (whole, kept))
        assert {tuple(c) for c in np.unique(labels.reshape(-1, 3), axis=0).tolist()} <= colours
        code = labels @ (65536, 256, 1)
        step = np.zeros(code.shape, bool)
        step[1:] |= code[1:] != code[:-1]
        step[:, 1:] |= code[:, 1:] != code[:, :-1]
        step[:-1] |= code[1:] != code[:-1]
        step[:, :-1] |= code[:, 1:] != code[:, :-1]
        black = ~inner.any(2)
        far = ndimage.distance_transform_edt(~step)
        # A pixel beside the border is at distance 0; the disc reaches those two pixels farther in.
        assert black[far <= 1.9].all()
        assert not black[far > 3].any()
        assert np.array_equal(inner[~black], labels[~black])


def test_surface_models_lie_on_the_grid_of_their_picture() -> None:
    pairs = [
        ("vaihingen/top/top_mosaic_09cm_area1.tif", "vaihingen/dsm/dsm_09cm_matching_area1.tif"),
        ("potsdam/4_Ortho_RGBIR/top_potsdam_2_10_RGBIR.tif", "potsdam/1_DSM/dsm_potsdam_02_10.tif"),
    ]
    for picture, surface in pairs:
        with rasterio.open(ROOT / picture) as image, rasterio.open(ROOT / surface) as dsm:
            assert (image.crs, image.transform, image.shape) == (dsm.crs, dsm.transform, dsm.shape)
            assert dsm.dtypes == ("float32",)


def test_band_sets_of_potsdam_agree() -> None:
    rgb, irrg, rgbir = (
        pixels(ROOT / f"potsdam/{folder}/top_potsdam_2_13_{folder.split('_')[-1]}.tif")
        for folder in ("2_Ortho_RGB", "3_Ortho_IRRG", "4_Ortho_RGBIR")
    )
    assert np.array_equal(rgbir[:3], rgb)
    assert np.array_equal(irrg, rgbir[[3, 0, 1]])


def test_land_cover_masks_use_the_seven_published_colours() -> None:
    published = {(0, 255, 255), (255, 255, 0), (255, 0, 255), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)}
    seen: set[tuple[int, ...]] = set()
    for path in sorted((ROOT / "deepglobe/train").glob("*_mask.png")):
        with Image.open(path) as picture, Image.open(path.with_name(path.name.replace("_mask.png", "_sat.jpg"))) as sat:
            mask, size = np.asarray(picture), sat.size
        seen |= {tuple(c) for c in np.unique(mask.reshape(-1, 3), axis=0).tolist()}
        assert size == mask.shape[1::-1]
    assert seen <= published
    assert len(seen) >= 4
