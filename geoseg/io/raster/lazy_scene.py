"""A scene as a lazy DataArray, in rioxarray's conventions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import dask.array as da
import numpy as np
import numpy.typing as npt
import rioxarray  # noqa: F401 - registers the .rio accessor
import xarray as xr

from geoseg.core.types.arrays import AnyArray
from geoseg.core.window import Window
from geoseg.errors import UsageError

if TYPE_CHECKING:
    from geoseg.io.raster.scene import Scene

_CHUNK_PX = 2048


def chunk_shape(
    shape: tuple[int, int], block: tuple[int, int], chunks: int | tuple[int, int] | None
) -> tuple[int, int]:
    """Choose rows and columns of a chunk: as requested, else whole blocks, about 2048 px a side.

    Args:
        shape: (rows, columns) of the scene.
        block: (rows, columns) of the file's blocks.
        chunks: requested side, or (rows, columns); None: the default.

    Raises:
        UsageError: the requested chunk has no pixels.
    """
    if chunks is None:
        rows, cols = (side * max(1, _CHUNK_PX // side) if side < _CHUNK_PX * 4 else _CHUNK_PX for side in block)
        # A strip is as wide as the scene: chunks of its width are decoded once.
        rows, cols = (max(1, _CHUNK_PX**2 // block[1]), block[1]) if block[1] >= shape[1] > _CHUNK_PX else (rows, cols)
    else:
        rows, cols = (chunks, chunks) if isinstance(chunks, int) else chunks
    if rows < 1 or cols < 1:
        raise UsageError(f"chunks of {rows} x {cols} px hold nothing")
    return min(rows, shape[0]), min(cols, shape[1])


def _read_values(scene: Scene, window: Window) -> AnyArray:
    return scene.read(window).values


def _read_valid(scene: Scene, window: Window) -> npt.NDArray[np.bool_]:
    return scene.read(window).valid


def _lazy(
    scene: Scene, rows: list[int], cols: list[int], read: Callable[[Scene, Window], object], leading: int
) -> da.Array:
    """Build a dask array of one task per chunk; the graph holds the scene as its address."""
    dtype: object = scene.dtype if leading else np.dtype(bool)
    token = f"{read.__name__}-{da.core.tokenize(scene.uri, scene.state(), scene.options, rows, cols)}"
    row_edges, col_edges = np.cumsum([0, *rows]).tolist(), np.cumsum([0, *cols]).tolist()
    head = (0,) if leading else ()
    graph: dict[object, object] = {f"scene-{token}": scene}
    for i in range(len(rows)):
        for j in range(len(cols)):
            window = Window(row_edges[i], row_edges[i + 1], col_edges[j], col_edges[j + 1])
            graph[(token, *head, i, j)] = (read, f"scene-{token}", window)
    bands = ((leading,),) if leading else ()
    return da.Array(graph, token, (*bands, tuple(rows), tuple(cols)), dtype=dtype)


def _sides(length: int, side: int) -> list[int]:
    return [min(side, length - start) for start in range(0, length, side)]


def lazy_scene(scene: Scene, chunks: int | tuple[int, int] | None = None) -> xr.DataArray:
    """Open a scene as a dask-backed DataArray (band, y, x).

    Args:
        scene: the scene; the array keeps it open.
        chunks: rows and columns of a chunk.

    Returns:
        Values as stored, with ``band`` (1-based), ``spatial_ref`` and, where rows and columns follow the axes of the
        CRS, ``y`` and ``x`` at pixel centres; attributes ``_FillValue``, ``scale_factor``, ``add_offset`` and
        ``long_name``.
    """
    shape = (int(scene.geobox.shape[0]), int(scene.geobox.shape[1]))
    block = chunk_shape(shape, scene.block_shape, chunks)
    rows, cols = _sides(shape[0], block[0]), _sides(shape[1], block[1])
    transform = scene.geobox.transform
    coords: dict[str, object] = {"band": [band.index for band in scene.bands]}
    if transform.b == transform.d == 0:
        coords["y"] = transform.f + transform.e * (np.arange(shape[0]) + 0.5)
        coords["x"] = transform.c + transform.a * (np.arange(shape[1]) + 0.5)
    if scene.masked:
        coords["valid"] = (("y", "x"), _lazy(scene, rows, cols, _read_valid, 0))
    # a band without a name keeps the file's words: they tell that its place is not known
    names = tuple((band.name == f"band_{band.index}" and band.description) or band.name for band in scene.bands)
    attrs: dict[str, object] = {"long_name": names if len(names) > 1 else names[0]}
    scales, offsets = ([getattr(band, field) for band in scene.bands] for field in ("scale", "offset"))
    attrs["scale_factor"], attrs["add_offset"] = scales[0], offsets[0]
    if len(set(scales)) > 1 or len(set(offsets)) > 1:
        attrs["scales"], attrs["offsets"] = tuple(scales), tuple(offsets)
    values = _lazy(scene, rows, cols, _read_values, len(scene.bands))
    array = xr.DataArray(values, dims=("band", "y", "x"), coords=coords, attrs=attrs, name=scene.stem)
    array = array.rio.write_crs(scene.geobox.crs.to_wkt()).rio.write_transform(transform)
    if scene.nodata is not None:
        array = array.rio.write_nodata(scene.nodata)
    result: xr.DataArray = array
    return result
