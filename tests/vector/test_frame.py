"""geoseg.vectorise: DataArrays in, GeoDataFrames out; lazy or not makes no difference."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
import xarray as xr
from label_maps import NODATA, mosaic, vectorised

import geoseg
from geoseg.core.legend import Legend, LegendClass
from geoseg.errors import UsageError
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
