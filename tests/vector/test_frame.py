"""geoseg.vectorise: DataArrays in, GeoDataFrames out; lazy or not makes no difference."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
import xarray as xr
from label_maps import NODATA, mosaic, vectorised
from scipy import ndimage

import geoseg
from geoseg.core.legend import Legend, LegendClass
from geoseg.errors import UsageError
from geoseg.vector.objects.spec import ObjectSpec
from geoseg.vector.spec import VectorSpec

LEGEND = Legend(
    classes=tuple(LegendClass(code=code, name=f"kind {code}", colour=f"#00{code:02x}00") for code in range(5))
)


def array_of(codes: np.ndarray) -> xr.DataArray:
    import rioxarray  # noqa: F401

    height, width = codes.shape
    y, x = 5000000.0 - np.arange(height) - 0.5, 500000.0 + np.arange(width) + 0.5
    return xr.DataArray(codes, dims=("y", "x"), coords={"y": y, "x": x}).rio.write_crs("EPSG:32633")


def test_a_frame_holds_what_the_stream_holds() -> None:
    codes = mosaic(60, nodata=True)
    frame = geoseg.vectorise(array_of(codes), LEGEND)
    segments = vectorised(codes)
    assert segments is not None
    assert frame.crs.to_epsg() == 32633
    assert list(frame.columns) == [
        "class_code",
        "class_name",
        "area_m2",
        "perimeter_m",
        "confidence",
        "confidence_min",
        "pixels",
        "geometry",
    ]
    assert shapely.equals_identical(frame.geometry.to_numpy(), segments.geometry).all()
    assert (frame.class_name == [f"kind {code}" for code in segments.class_code]).all()
    assert frame.pixels.sum() == (codes != NODATA).sum()


def test_lazy_arrays_give_the_same() -> None:
    codes = array_of(mosaic(60))
    percent = (codes * 10).astype(np.uint8)
    eager = geoseg.vectorise(codes, confidence=percent, simplify_m=1.0)
    lazy = geoseg.vectorise(codes.chunk(17), confidence=(percent / 100).chunk(13), simplify_m=1.0)
    assert eager.equals(lazy)
    assert eager.confidence.to_numpy() == pytest.approx(eager.class_code.to_numpy() / 10, abs=1e-6)


def test_nan_and_other_nodata_are_outside() -> None:
    codes = mosaic(30).astype(np.float32)
    codes[:10] = np.nan
    frame = geoseg.vectorise(array_of(codes))
    assert frame.pixels.sum() == 600
    whole = mosaic(30).astype(np.int32)
    whole[:10] = -9999
    array = array_of(whole)
    array.attrs["_FillValue"] = -9999
    assert geoseg.vectorise(array).geometry.to_numpy().tolist() == frame.geometry.to_numpy().tolist()


def test_a_confidence_may_have_gaps_and_need_not_say_where_it_lies() -> None:
    codes = array_of(mosaic(30))
    percent = np.full(codes.shape, 40, np.int16)
    percent[5:20, 5:20] = -1
    told = xr.DataArray(percent, dims=("y", "x"), attrs={"_FillValue": -1})
    shares = xr.DataArray(np.where(percent < 0, np.nan, 0.4), dims=("y", "x"))
    for confidence in (told, shares):
        frame = geoseg.vectorise(codes, confidence=confidence)
        assert frame.confidence.dropna().to_numpy() == pytest.approx(0.4)
        assert frame.confidence_min.dropna().to_numpy() == pytest.approx(0.4)


@pytest.mark.parametrize("odd", [300, 101, -1, 1.5, -0.1])
def test_what_is_no_confidence_is_refused(odd: float) -> None:
    values = np.full((6, 6), odd, np.int16 if isinstance(odd, int) else np.float32)
    with pytest.raises(UsageError, match="confidence holds"):
        geoseg.vectorise(array_of(mosaic(6)), confidence=array_of(values))


def test_a_confidence_of_another_place_is_refused() -> None:
    codes = array_of(mosaic(30))
    beside = array_of(np.full(codes.shape, 50, np.uint8)).assign_coords(x=codes.x + 3)
    with pytest.raises(UsageError, match="confidence is not on the grid of the codes"):
        geoseg.vectorise(codes, confidence=beside)


def test_nothing_valid_gives_an_empty_frame() -> None:
    frame = geoseg.vectorise(array_of(np.full((5, 6), 255, np.uint8)))
    assert len(frame) == 0
    assert "class_name" in frame.columns
    assert frame.crs.to_epsg() == 32633


def test_wrong_arrays_are_refused() -> None:
    with pytest.raises(UsageError, match="from 0 to 254"):
        geoseg.vectorise(array_of(np.full((4, 4), 300, np.int32)))
    with pytest.raises(UsageError, match="from 0 to 254"):
        geoseg.vectorise(array_of(np.full((4, 4), 0.5, np.float32)))
    with pytest.raises(UsageError, match="grid"):
        geoseg.vectorise(xr.DataArray(np.zeros((4, 4), np.uint8), dims=("y", "x")))
    with pytest.raises(UsageError, match="isel"):
        geoseg.vectorise(xr.DataArray(np.zeros((1, 4, 4), np.uint8), dims=("band", "y", "x")))


@pytest.mark.parametrize(
    "options",
    [
        {"simplify_m": -1.0},
        {"min_area_m2": float("nan")},
        {"method": "chaikin"},
        {"connectivity": 6},
        {"class_min_area_m2": {300: 1.0}},
    ],
)
def test_wrong_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        VectorSpec(**options)  # type: ignore[arg-type]


def bands_like(codes: np.ndarray, count: int) -> xr.DataArray:
    values = np.random.default_rng(3).normal(size=(count, *codes.shape))
    grid = array_of(codes)
    return xr.DataArray(values, dims=("band", "y", "x"), coords={"y": grid.y, "x": grid.x}).rio.write_crs("EPSG:32633")


def test_bands_give_columns_by_their_names_or_numbers() -> None:
    codes = mosaic(40)
    bands = bands_like(codes, 2)
    frame = geoseg.vectorise(array_of(codes), zonal=bands.chunk(11))
    assert frame.b1_mean.mul(frame.b1_count).sum() == pytest.approx(bands[0].to_numpy().sum())
    assert frame.b2_max.max() == bands[1].to_numpy().max()
    named = geoseg.vectorise(array_of(codes), zonal=bands.assign_coords(band=["Red", "nir"]))
    assert [name for name in named.columns if name.endswith("_std")] == ["red_std", "nir_std"]
    assert (named.nir_std == frame.b2_std).all()
    single = geoseg.vectorise(array_of(codes), zonal=bands[0].assign_attrs(long_name="height", nodata=-9999.0))
    assert (single.height_mean == frame.b1_mean).all()


def test_nodata_of_a_band_does_not_count() -> None:
    codes = np.zeros((4, 5), np.uint8)
    bands = bands_like(codes, 1)
    bands[0, 0, :2] = [np.nan, -1.0]
    frame = geoseg.vectorise(array_of(codes), zonal=bands.assign_attrs(_FillValue=-1.0))
    assert frame.b1_count[0] == 18


def test_bands_on_another_grid_are_refused() -> None:
    codes = mosaic(20)
    bands = bands_like(codes, 1)
    with pytest.raises(UsageError, match="reproject"):
        geoseg.vectorise(array_of(codes), zonal=bands.assign_coords(x=bands.x + 0.5))
    with pytest.raises(UsageError, match="band, y, x"):
        geoseg.vectorise(array_of(codes), zonal=bands[:, 1:])


THINGS = Legend(
    classes=(
        LegendClass(code=0, name="ground", colour="#000000"),
        LegendClass(code=1, name="roof", colour="#ff0000", countable=True),
        LegendClass(code=2, name="tree", colour="#00ff00", countable=True),
    )
)


def things() -> np.ndarray:
    codes = np.zeros((20, 30), np.uint8)
    codes[2:10, 2:10] = codes[2:10, 14:22] = codes[5:7, 10:14] = 1  # two squares and a narrow bridge
    codes[14:18, 4:9] = 2
    codes[12:20, 28:] = 1  # at the edge
    return codes


def test_objects_are_those_of_scipy_where_nothing_is_parted() -> None:
    codes = things()
    frame = geoseg.objects(array_of(codes), classes=(1,), spec=ObjectSpec(codes=(1,)))
    labels, count = ndimage.label(codes == 1)
    last = [int(np.flatnonzero(labels == label).max()) for label in range(1, count + 1)]
    assert frame.object_id.tolist() == sorted(last)
    assert sorted(frame.pixels) == sorted(np.bincount(labels.ravel())[1:])
    assert dict(zip(frame.object_id, frame.touches_edge, strict=True))[codes.size - 1] == 1
    assert frame.touches_edge.sum() == 1
    assert frame.crs.to_epsg() == 32633


def test_touching_objects_are_parted_by_width_and_keep_their_pixels() -> None:
    codes = things()
    frame = geoseg.objects(array_of(codes).chunk(11), THINGS, classes="roof")
    assert len(frame) == 3
    assert frame.pixels.sum() == (codes == 1).sum()
    assert (frame.class_name == "roof").all()
    assert not shapely.overlaps(*frame.geometry.to_numpy()[:2])


def test_countable_classes_are_the_default_and_small_ones_are_left_out() -> None:
    array = array_of(things())
    assert set(geoseg.objects(array, THINGS).class_name) == {"roof", "tree"}
    assert set(geoseg.objects(array, THINGS, min_area_m2=21).class_name) == {"roof"}
    with pytest.raises(UsageError, match="no class as countable"):
        geoseg.objects(array, LEGEND)
    with pytest.raises(UsageError, match="pass the legend, or codes"):
        geoseg.objects(array, classes="roof")


def test_objects_of_a_file_are_those_of_its_array(tmp_path) -> None:
    array = array_of(things())
    array.rio.to_raster(tmp_path / "codes.tif")
    assert geoseg.objects(tmp_path / "codes.tif", THINGS).equals(geoseg.objects(array, THINGS))
    with pytest.raises(UsageError, match="objects takes|path of a class raster"):
        geoseg.objects(things(), THINGS)
