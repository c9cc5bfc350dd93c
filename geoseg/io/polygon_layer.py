"""PolygonLabels: vector polygons, burnt onto a grid window by window."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import geopandas
import numpy as np
import pyogrio
import shapely
from odc.geo.geobox import GeoBox
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.features import rasterize

from geoseg.core.window import Window
from geoseg.errors import SceneError
from geoseg.io.georeference import crop
from geoseg.io.label_layer import UNLABELLED, Labels, Valid

VECTOR_SUFFIXES = frozenset({".gpkg", ".geojson", ".json", ".shp", ".fgb", ".parquet"})


class PolygonLabels:
    """Polygons on a grid; of several on one pixel the last counts.

    All polygons are in memory, the pixels of one window at a time.

    Args:
        path: vector file in any CRS.
        geobox: the grid to burn onto.
        column: field with the class, a code or a name; None: every polygon is code 1.
        names: codes of class names, for a field of names.
        outside: code where no polygon lies; None: unlabelled.
        all_touched: a pixel belongs to a polygon that touches it; else to one that holds its centre.
        code_of: code of a value of the field, instead of ``names``; None of it: the polygon's pixels are unlabelled.

    Raises:
        SceneError: the file cannot be read, has no such field, or names an unknown class.
    """

    def __init__(
        self,
        path: Path,
        geobox: GeoBox,
        *,
        column: str | None = None,
        names: Mapping[str, int] | None = None,
        outside: int | None = 0,
        all_touched: bool = False,
        code_of: Callable[[object], int | None] | None = None,
    ) -> None:
        self.name = str(path)
        self.geobox = geobox
        self._outside = outside
        self._all_touched = all_touched
        self._gaps = outside is None or code_of is not None
        frame = read_polygons(path, geobox, [] if column is None else [column])
        if column is None:
            self._codes = np.ones(len(frame), np.int64)
        elif code_of is not None:
            codes = [code_of(value) for value in frame[column]]
            self._codes = np.array([UNLABELLED if code is None else code for code in codes], np.int64)
        else:
            self._codes = _class_codes(self.name, frame[column], names or {})
        self._shapes = frame.geometry.to_numpy()
        self._tree = shapely.STRtree(self._shapes)

    def read(self, window: Window) -> tuple[Labels, Valid]:
        """Burn a window: labels and where there are any, both (y, x)."""
        grid = crop(self.geobox, window)
        corners = [grid.transform * (col, row) for row in (0, window.height) for col in (0, window.width)]
        found = np.sort(self._tree.query(shapely.MultiPoint(corners).envelope))
        fill = UNLABELLED if self._outside is None else self._outside
        if not found.size:
            labels = np.full(window.shape, fill, np.int64)
        else:
            # burnt by place in the list, so that any code may occur
            shapes = zip(self._shapes[found], range(1, found.size + 1), strict=True)
            places = rasterize(
                shapes,
                out_shape=window.shape,
                transform=grid.transform,
                dtype="int32",
                all_touched=self._all_touched,
            )
            labels = np.concatenate([[fill], self._codes[found]])[places]
        return labels, labels != UNLABELLED if self._gaps else np.ones(window.shape, bool)

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass


def read_polygons(
    path: Path, geobox: GeoBox | None, columns: list[str], *, layer: str | None = None
) -> geopandas.GeoDataFrame:
    """Read the polygons of a vector file, turned into the CRS of a grid.

    Args:
        path: the file.
        geobox: the grid; None: leave the coordinates.
        columns: the fields wanted.
        layer: which layer; None: ``segments`` where there is one, else the first with geometries.

    Raises:
        SceneError: it cannot be read, has no such layer, a field is missing, or it has a CRS and the grid none.
    """
    try:
        with readable(path) as source:
            parquet = path.suffix.lower() == ".parquet"
            frame = geopandas.read_parquet(source) if parquet else _one_layer(source, layer)
    except (DataSourceError, DataLayerError, OSError, ValueError) as error:
        raise SceneError(str(path), f"the polygons cannot be read ({error}).", "Check the path.") from error
    missing = [name for name in columns if name not in frame]
    if missing:
        fields = ", ".join(str(name) for name in frame.columns if name != frame.geometry.name) or "none"
        raise SceneError(str(path), f"it has no field {missing[0]!r}.", f"Its fields are: {fields}.")
    frame = frame[frame.geometry.notna() & ~frame.geometry.is_empty]
    frame = frame[frame.geometry.geom_type.isin(["Polygon", "MultiPolygon"])]
    if geobox is not None and frame.crs is not None:
        if geobox.crs is None:
            raise SceneError(
                str(path), f"it lies in {frame.crs.name}, the prediction nowhere.", "Give a prediction with a CRS."
            )
        frame = frame.to_crs(geobox.crs.to_wkt())
    return frame


@contextmanager
def readable(path: Path) -> Iterator[Path]:
    """Name a vector file, with what lies beside it, so that pyogrio cannot take it for an archive or an address."""
    if not re.search(r"[!?\s]", str(path)):
        yield path
        return
    with TemporaryDirectory() as folder:
        for file in path.parent.glob(f"{glob.escape(path.stem)}.*"):
            Path(folder, f"layer{file.suffix}").symlink_to(file.absolute())
        yield Path(folder, f"layer{path.suffix}")


def _one_layer(path: Path, wanted: str | None) -> geopandas.GeoDataFrame:
    layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    if not layers:
        raise ValueError("it has no layer with geometries")
    if wanted is not None and wanted not in layers:
        raise ValueError(f"it has no layer {wanted!r}, but {', '.join(layers)}")
    return pyogrio.read_dataframe(path, layer=wanted or ("segments" if "segments" in layers else layers[0]))


def _class_codes(name: str, values: object, names: Mapping[str, int]) -> Labels:
    entries = list(values)  # type: ignore[call-overload]
    codes = np.zeros(len(entries), np.int64)
    for place, entry in enumerate(entries):
        if isinstance(entry, str) and entry in names:
            codes[place] = names[entry]
            continue
        try:
            codes[place] = int(entry)
            whole = codes[place] == float(entry)
        except (TypeError, ValueError):
            whole = False
        if not whole:
            known = f" The classes are {', '.join(names)}." if names else ""
            raise SceneError(name, f"{entry!r} is no class.{known}", "Give codes, or a --legend with these names.")
    return codes
