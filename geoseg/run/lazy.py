"""Segment a lazy DataArray: the same tiles, network and blending as a run, as a dask graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import numpy.typing as npt
import rioxarray  # noqa: F401 - registers the .rio accessor
import xarray as xr
from odc.geo.geobox import GeoBox

from geoseg.core.layer import CLASSES
from geoseg.core.raster import Raster
from geoseg.core.spec import PredictSpec
from geoseg.core.tiling import Block
from geoseg.errors import UsageError
from geoseg.inference.passes import block_pixels
from geoseg.io.raster.bands import band_names
from geoseg.io.raster.georeference import refuse_nowhere
from geoseg.io.raster.scene import Scene, SceneBand
from geoseg.io.raster.validity import valid_pixels
from geoseg.models.model import Model, load_model
from geoseg.run.executor import predict_inputs
from geoseg.run.plan import RunPlan, make_plan


def segment(pixels: xr.DataArray | Scene, model: Model | str | Path, *, spec: PredictSpec | None = None) -> xr.Dataset:
    """Segment imagery in memory or in a dask graph.

    Args:
        pixels: (band, y, x) with a CRS, as ``Scene.to_xarray`` and rioxarray give it; band names in ``long_name``.
            Native values, scaled as for ``geoseg.predict``. Or an open scene, which is read lazily.
        model: a loaded model, or its name or path.
        spec: options; those for files have no effect.

    Returns:
        Dataset of ``codes`` (y, x) uint8 and ``confidence`` (y, x) uint8 percent, the legend's nodata and
        255 where there is no result; lazy, one dask chunk per block. With ``spec.uncertainty`` also ``entropy`` and,
        where several predictions are averaged, ``mutual_information``; with ``spec.probabilities`` a
        ``probability_CODE`` of each class; all in percent.

    Raises:
        MatchError: the model cannot read these bands, values or pixel sizes.
        UsageError: the array has no CRS, or an option needs the scene's file.

    Examples:
        >>> lazy = geoseg.segment(scene.to_xarray(), model)  # doctest: +SKIP
        >>> lazy.codes[:512, :512].compute()  # doctest: +SKIP
    """
    spec = spec or PredictSpec()
    pixels = pixels.to_xarray() if isinstance(pixels, Scene) else pixels
    if not isinstance(pixels, xr.DataArray):
        raise UsageError(
            f"segment takes an xarray.DataArray (band, y, x) with a CRS, or an open scene, not {type(pixels).__name__}."
            " Files go to geoseg.predict, or geoseg.open_scene(...).to_xarray()."
        )
    model = model if isinstance(model, Model) else load_model(model)
    if spec.aoi is not None or spec.value_range == "auto":
        raise UsageError("segment: aoi and value_range='auto' need the whole scene; use geoseg.predict for them.")
    scene = _describe(pixels)
    first, *others = (member.card for member in model.members)
    plan = make_plan(scene, first, spec, others=others, whole=model.card)
    if plan.schema.detects:
        raise UsageError(
            f"segment: {model.card.name} detects objects, which blocks alone do not tell apart; use geoseg.predict."
        )
    chosen = pixels.isel(band=[number - 1 for number in plan.bands])
    rows, cols = plan.blocks.shape
    network = dask.delayed(model, pure=False, traverse=False)  # one node, which travels to a worker once
    grid = [
        [_lazy_block(chosen, scene, network, plan, plan.blocks.block(r, c)) for c in range(cols)] for r in range(rows)
    ]
    answers = da.block(grid)
    coords = {name: pixels.coords[name] for name in ("y", "x", "spatial_ref") if name in pixels.coords}
    layers = {}
    for index, plane in enumerate(plan.schema.planes):
        name = "codes" if plane.name == CLASSES else plane.name
        attributes = {"long_name": name, "_FillValue": int(plane.nodata)}
        layers[name] = xr.DataArray(answers[index], dims=("y", "x"), coords=coords, attrs=attributes)
    return xr.Dataset(layers)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Described:
    """The facts about an array that matching needs; see ``geoseg.inference.match.Described``."""

    uri: str
    bands: tuple[SceneBand, ...]
    geobox: GeoBox
    nodata: float | None


def _describe(pixels: xr.DataArray) -> _Described:
    if pixels.dims != ("band", "y", "x"):
        raise UsageError(f"segment: dimensions are {pixels.dims}; (band, y, x) are expected.")
    if pixels.rio.crs is None:
        raise UsageError("segment: the array has no CRS. Give it one with .rio.write_crs(...).")
    count = pixels.sizes["band"]
    named = pixels.attrs.get("long_name")
    labels = (
        [str(name) for name in named] if isinstance(named, (tuple, list)) and len(named) == count else [None] * count
    )
    names = band_names(["undefined"] * count, labels)
    scales = pixels.attrs.get("scales", (pixels.attrs.get("scale_factor", 1.0),) * count)
    offsets = pixels.attrs.get("offsets", (pixels.attrs.get("add_offset", 0.0),) * count)
    bands = tuple(
        SceneBand(
            index=i + 1,
            name=names[i],
            dtype=str(pixels.dtype),
            scale=float(scales[i]),
            offset=float(offsets[i]),
            description=labels[i] or "",
        )
        for i in range(count)
    )
    geobox = GeoBox(pixels.shape[1:], pixels.rio.transform(), pixels.rio.crs.to_wkt())
    refuse_nowhere(str(pixels.name or "array"), geobox)
    return _Described(uri=str(pixels.name or "array"), bands=bands, geobox=geobox, nodata=pixels.rio.nodata)


def _lazy_block(pixels: xr.DataArray, scene: _Described, model: object, plan: RunPlan, block: Block) -> da.Array:
    """One block as a dask array (layer, y, x): codes, confidence and optional layers; ``model`` is a delayed model."""
    window = plan.window_read(block)
    rows, cols = window.slices
    valid = pixels.coords["valid"].data[rows, cols] if "valid" in pixels.coords else None
    grid = scene.geobox[rows, cols]
    result = dask.delayed(_predict_array)(model, plan, block, (pixels.data[:, rows, cols], valid, scene.nodata, grid))
    return da.from_delayed(result, (len(plan.schema.planes), *block.window.shape), np.uint8)


def _predict_array(model: Model, plan: RunPlan, block: Block, source: tuple[Any, ...]) -> npt.NDArray[np.uint8]:
    values, allowed, nodata, grid = source
    valid = valid_pixels(values, [nodata] * len(values))
    if allowed is not None:
        valid &= allowed
    pixels = block_pixels(plan.passes, plan.seen(block), Raster(values=values, valid=valid, geobox=grid))
    result = predict_inputs(model, plan, pixels)
    return np.stack([result.planes[plane.name] for plane in plan.schema.planes])
