"""``geoseg.vectorise`` and ``geoseg.objects``: a DataArray of class codes becomes a GeoDataFrame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geoseg.core.class_choice import COUNTABLE, object_codes
from geoseg.core.paths import path_text
from geoseg.core.segments import Segments
from geoseg.core.types.arrays import AnyArray
from geoseg.errors import UsageError
from geoseg.io.raster.scene import open_scene
from geoseg.vector.lazy_source import NODATA, LazyBands, LazyCodes, geobox_of
from geoseg.vector.objects.spec import ObjectSpec
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import Tracing, vectorise_codes, vectorise_labels
from geoseg.vector.zonal import band_columns

if TYPE_CHECKING:
    import geopandas
    import xarray as xr
    from odc.geo.geobox import GeoBox

    from geoseg.core.choices import SplitMethod
    from geoseg.core.legend import Legend


def vectorise(
    codes: xr.DataArray | str | Path,
    legend: Legend | None = None,
    *,
    confidence: xr.DataArray | None = None,
    zonal: xr.DataArray | None = None,
    simplify_m: float = 0.0,
    min_area_m2: float = 0.0,
    spec: VectorSpec | None = None,
) -> geopandas.GeoDataFrame:
    """Turn class codes into polygons that tile the valid area without gap or overlap.

    Args:
        codes: (y, x) whole numbers 0-254 with a CRS and coordinates, in memory or lazy; the array's nodata, the
            legend's nodata, NaN and 255 mean no class. Or the path of a class raster.
        legend: names of the codes; without one a class is called by its code.
        confidence: (y, x) on the same grid: probabilities in [0, 1], or uint8 percent with 255 for none.
        zonal: (band, y, x) or (y, x) on the same grid: bands whose statistics each polygon gets. NaN and the array's
            nodata do not count.
        simplify_m: tolerance on the ground, metres; 0 gives polygons that follow every pixel.
        min_area_m2: regions smaller than this go to a neighbour.
        spec: all options at once, in place of the two above.

    Returns:
        One row per polygon, in the order of their last pixels: class_code, class_name, area_m2 (true ground area),
        perimeter_m, confidence (mean, 0-1), confidence_min, pixels, geometry; for each zonal band its mean, min, max
        and std, and the count of pixels that have a value, as ``b1_mean`` or by the band's name.

    Raises:
        UsageError: the array has no grid, is not two-dimensional, or holds other values; the bands lie on another grid.

    Examples:
        >>> frame = geoseg.vectorise(codes, legend, simplify_m=0.5)  # doctest: +SKIP
    """
    codes = _as_array(codes, "vectorise")
    geobox = geobox_of(codes)
    options = spec or VectorSpec(simplify_m=simplify_m, min_area_m2=min_area_m2)
    source = LazyCodes(codes, confidence, None if legend is None else legend.nodata)
    bands = None if zonal is None else LazyBands(zonal, codes)
    batches = list(vectorise_codes(source, geobox, nodata=NODATA, spec=options, bands=bands))
    return _frame(batches, legend, band_columns(() if bands is None else bands.names), geobox)


def objects(
    codes: xr.DataArray | str | Path,
    legend: Legend | None = None,
    *,
    classes: str | Sequence[int] = COUNTABLE,
    confidence: xr.DataArray | None = None,
    min_area_m2: float = 0.0,
    simplify_m: float = 0.0,
    spec: ObjectSpec | None = None,
) -> geopandas.GeoDataFrame:
    """Turn the things of a class map into polygons, one for each, also where they touch.

    Args:
        codes: see ``vectorise``.
        legend: names of the codes.
        classes: classes that are counted: codes, or names and codes with commas between them, or ``countable``, those
            that the legend marks so.
        confidence: see ``vectorise``; where it is given, touching things are parted where the class is less sure, else
            where the region is narrow.
        min_area_m2: smaller parts join a neighbour, smaller regions are left out.
        simplify_m: tolerance on the ground, metres; 0 gives polygons that follow every pixel.
        spec: all options of the objects at once, in place of ``classes`` and ``min_area_m2``.

    Returns:
        One row per object, in the order of their last pixels: the columns of ``vectorise``, object_id (number of the
        object's last pixel, ``row * width + column``) and touches_edge (1 where it may go on beyond the data).

    Raises:
        UsageError: as ``vectorise``; or there is no such class.

    Examples:
        >>> frame = geoseg.objects(codes, legend, classes="building", min_area_m2=10)  # doctest: +SKIP
    """
    from geoseg.vector.objects.scene import COLUMNS, BlockRun, SceneObjects  # noqa: PLC0415 - kernels take a second

    codes = _as_array(codes, "objects")
    geobox = geobox_of(codes)
    source = LazyCodes(codes, confidence, None if legend is None else legend.nodata)
    if spec is None:
        split: SplitMethod = "distance" if confidence is None else "confidence"
        spec = ObjectSpec(codes=_object_codes(classes, legend), split=split, min_area_m2=min_area_m2)
    how = Tracing(spec=VectorSpec(simplify_m=simplify_m, connectivity=spec.connectivity))
    with SceneObjects.find(source, geobox, spec, BlockRun(nodata=NODATA)) as found:
        return _frame(list(vectorise_labels(found, geobox, found.table, how)), legend, COLUMNS, geobox)


def _object_codes(classes: str | Sequence[int], legend: Legend | None) -> tuple[int, ...]:
    if not isinstance(classes, str):
        return tuple(classes)
    if legend is None:
        raise UsageError(f"objects: classes={classes!r} are names; pass the legend, or codes such as classes=(1,).")
    return object_codes(classes, legend)


def _frame(
    batches: list[Segments], legend: Legend | None, extra_columns: np.dtype[np.void], geobox: GeoBox
) -> geopandas.GeoDataFrame:
    """Make one frame of all batches."""
    import geopandas  # noqa: PLC0415 - a second of import time that streaming to a file does not need

    names = {} if legend is None else dict(zip(legend.codes, legend.names, strict=True))
    plain = [name for name in Segments.__dataclass_fields__ if name not in {"geometry", "extra"}]
    columns = {name: _column(batches, name) for name in plain}
    extra = np.concatenate([np.zeros(0, extra_columns), *(batch.extra for batch in batches)])
    columns |= {name: extra[name] for name in extra.dtype.names or ()}
    class_names = np.array([names.get(int(code), str(code)) for code in columns["class_code"]], dtype=object)
    return geopandas.GeoDataFrame(
        {"class_code": columns.pop("class_code"), "class_name": class_names, **columns},
        geometry=np.concatenate([batch.geometry for batch in batches]) if batches else [],
        crs=None if geobox.crs is None else geobox.crs.to_wkt(),
    )


def _as_array(codes: object, function: str) -> xr.DataArray:
    import xarray as xr  # noqa: PLC0415 - as geopandas above

    if isinstance(codes, xr.DataArray):
        return codes
    array = "an xarray.DataArray (y, x) with a CRS and coordinates, or the path of a class raster"
    path = path_text(codes, function=function, meant=array, instead="Georeference an array with odc.geo.xr.wrap_xr.")
    with open_scene(path, palette_codes=True) as scene:
        pixels: xr.DataArray = scene.to_xarray().isel(band=0).load()
    return pixels


def _column(batches: list[Segments], name: str) -> AnyArray:
    kinds = {"class_code": np.uint8, "pixels": np.int64, "confidence": np.float32, "confidence_min": np.float32}
    empty = np.empty(0, kinds.get(name, np.float64))
    return np.concatenate([empty, *(getattr(batch, name) for batch in batches)])
