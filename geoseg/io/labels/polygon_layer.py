"""PolygonLabels: vector polygons, rasterised onto a grid window by window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import shapely
from odc.geo.geobox import GeoBox
from rasterio.features import rasterize

from geoseg.core.closing import Closing
from geoseg.core.window import Window
from geoseg.errors import SceneError
from geoseg.io.labels.label_layer import NO_LABEL, Labels, Valid
from geoseg.io.raster.georeference import crop
from geoseg.io.vectors.read import VectorRequest, laid_on_grid, read_everywhere

_CODE = "code of the polygon's class"


class PolygonLabels(Closing):
    """Polygons on a grid; where they overlap the last one counts.

    All polygons are held in memory, but only the pixels of one window at a time.

    Args:
        request: the vector file, in any CRS, and the grid to burn onto.
        column: field with the class, a code or a name; None: every polygon is code 1.
        names: codes of class names, for a field of names.
        outside: code where no polygon lies; None: unlabelled.
        all_touched: a pixel belongs to a polygon that touches it; else to one that holds its centre.
        code_of: maps a value of the field to a code, instead of ``names``; None: the polygon's pixels are unlabelled.

    Raises:
        SceneError: the file cannot be read, has no such field, names an unknown class, or does not lie on the grid.
    """

    hidden: int | None = None

    def __init__(
        self,
        request: VectorRequest,
        *,
        column: str | None = None,
        names: Mapping[str, int] | None = None,
        outside: int | None = 0,
        all_touched: bool = False,
        code_of: Callable[[object], int | None] | None = None,
    ) -> None:
        if request.grid is None:
            raise ValueError("polygons are burnt onto a grid")
        self.name = request.name
        self.geobox: GeoBox = request.grid
        self._outside = outside
        self._all_touched = all_touched
        self._gaps = outside is None or code_of is not None
        request = replace(request, columns=() if column is None else (column,))
        frame = read_everywhere(request)
        if column is None or not len(frame):
            frame[_CODE] = np.ones(len(frame), np.int64)
        elif code_of is not None:
            codes = [code_of(value) for value in frame[column]]
            frame[_CODE] = np.array([NO_LABEL if code is None else code for code in codes], np.int64)
        else:
            frame[_CODE] = _class_codes(self.name, frame[column], names or {})
        frame = laid_on_grid(frame, request)
        self._codes: Labels = frame[_CODE].to_numpy(np.int64)
        self._shapes = frame.geometry.to_numpy()
        self._tree = shapely.STRtree(self._shapes)

    def read(self, window: Window) -> tuple[Labels, Valid]:
        """Rasterise a window: labels and their validity mask, both (y, x)."""
        return self.read_objects(window)[:2]

    def read_objects(self, window: Window) -> tuple[Labels, Valid, Labels]:
        """Rasterise a window: labels, their validity mask and the numbers of the polygons, 0 outside; all (y, x).

        Polygons whose code is that of the pixels outside have the number 0.
        """
        found, places = self._burnt(window)
        fill = NO_LABEL if self._outside is None else self._outside
        labels = np.concatenate([[fill], self._codes[found]])[places]
        counted = ~np.isin(self._codes[found], [fill, NO_LABEL])
        objects = np.concatenate([[0], np.where(counted, found + 1, 0)])[places]
        return labels, labels != NO_LABEL if self._gaps else np.ones(window.shape, bool), objects

    def _burnt(self, window: Window) -> tuple[Labels, Labels]:
        """Find the polygons near a window, and the place of each pixel's polygon among them; 0 outside, else from 1."""
        grid = crop(self.geobox, window)
        corners = [grid.transform * (col, row) for row in (0, window.height) for col in (0, window.width)]
        found = np.sort(self._tree.query(shapely.MultiPoint(corners).envelope))
        if not found.size:
            return found, np.zeros(window.shape, np.int32)
        # burnt by place in the list, so that any code may occur
        places = rasterize(
            zip(self._shapes[found], range(1, found.size + 1), strict=True),
            out_shape=window.shape,
            transform=grid.transform,
            dtype="int32",
            all_touched=self._all_touched,
        )
        return found, places

    def close(self) -> None:
        """Do nothing: no file is open."""


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
