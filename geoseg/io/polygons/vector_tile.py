"""One Mapbox vector tile: polygons and their properties, encoded column by column."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from mapbox_vector_tile.Mapbox import vector_tile_pb2

from geoseg.io.polygons.tile_cut import EXTENT

I64 = npt.NDArray[np.int64]

_MOVE_TO, _LINE_TO, _CLOSE_PATH = 1, 2, 7


def encode_tile(layer: str, geometry: npt.NDArray[np.object_], ids: I64, columns: dict[str, pa.Array]) -> bytes:
    """Encode polygons as a tile of one layer.

    Args:
        layer: name of the layer.
        geometry: Polygons or MultiPolygons in whole units of the tile, y downward, exterior rings with positive area.
        ids: ids of the features.
        columns: properties: whole numbers, floats or texts; a null is left out.

    Source:
        Mapbox Vector Tile 2.1, https://github.com/mapbox/vector-tile-spec/tree/master/2.1; the messages are those of
        mapbox-vector-tile.
    """
    tile = vector_tile_pb2.tile()
    made = tile.layers.add(name=layer, version=2, extent=EXTENT, keys=list(columns))
    tags = np.full((len(ids), len(columns), 2), -1, np.int64)
    for key, column in enumerate(columns.values()):
        known = column.drop_null().unique()
        tags[:, key, 0] = key
        tags[:, key, 1] = _places(column, known) + len(made.values)
        tags[column.is_null().to_numpy(zero_copy_only=False), key] = -1
        for value in known.to_pylist():
            _set(made.values.add(), value)
    commands, starts = polygon_commands(geometry)
    for index, (number, start, stop) in enumerate(zip(ids.tolist(), starts[:-1], starts[1:], strict=True)):
        feature = made.features.add(id=number, type=vector_tile_pb2.tile.Polygon)
        own = tags[index].ravel()
        feature.tags.extend(own[own >= 0].tolist())
        feature.geometry.extend(commands[start:stop].tolist())
    encoded: bytes = tile.SerializeToString()
    return encoded


def polygon_commands(geometry: npt.NDArray[np.object_]) -> tuple[I64, I64]:
    """Encode polygons as drawing commands.

    Args:
        geometry: Polygons or MultiPolygons in whole units.

    Returns:
        The commands of all polygons, and the start of each one's commands, with the end of the last.

    Source:
        Mapbox Vector Tile 2.1, section 4.3: a ring is MoveTo, LineTo and ClosePath; numbers are differences, zigzag.
    """
    _, points, offsets = shapely.to_ragged_array(geometry, include_z=False)
    rings = np.asarray(offsets[0], np.int64)
    owner_starts = offsets[1] if len(offsets) == 2 else np.asarray(offsets[1])[offsets[2]]
    owner_rings = np.asarray(owner_starts, np.int64)
    count = np.diff(rings) - 1  # the closing point is ClosePath's
    at = np.delete(np.arange(len(points)), rings[1:] - 1)
    xy = points[at].astype(np.int64)
    begins = np.cumsum(np.r_[0, count])
    step = np.diff(xy, axis=0, prepend=0)
    firsts = begins[owner_rings[:-1][np.diff(owner_rings) > 0]]
    step[firsts] = xy[firsts]  # each feature starts at the corner
    zigzag = (step << 1) ^ (step >> 63)
    # a ring of n points is 2 n numbers and 3 commands
    starts = np.cumsum(np.r_[0, 2 * count + 3])
    ring = np.repeat(np.arange(len(count)), count)
    place = np.arange(len(xy)) - begins[ring]
    out = np.empty(starts[-1], np.int64)
    out[starts[:-1]] = _MOVE_TO | 1 << 3
    out[starts[:-1] + 3] = _LINE_TO | (count - 1) << 3
    out[starts[1:] - 1] = _CLOSE_PATH | 1 << 3
    position = starts[ring] + 1 + 2 * place + (place > 0)
    out[position], out[position + 1] = zigzag.T
    return out, starts[owner_rings]


def _places(column: pa.Array, known: pa.Array) -> I64:
    """Return the index of each value among the distinct ones; 0 for null."""
    return np.asarray(pc.fill_null(pc.index_in(column, known), 0).to_numpy(), np.int64)


def _set(value: Any, known: str | float) -> None:
    if isinstance(known, str):
        value.string_value = known
    elif isinstance(known, int):
        value.int_value = known
    else:
        value.double_value = known
