"""Check of FlatGeobuf: the header's number of features, and an index that leads to each of them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyogrio
import shapely

from geoseg.io.polygons.ogr_file import OGR_ERRORS

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_MAGIC = b"fgb\x03fgb"
_NODE = np.dtype([("box", "<f8", 4), ("offset", "<u8")])
_FEATURES_COUNT, _NODE_SIZE = 8, 9
_DEFAULT_NODE_SIZE = 16


class _Layout(NamedTuple):
    features: int
    node_size: int
    index_at: int

    @property
    def levels(self) -> list[int]:
        """Number of nodes per level of the packed R-tree, leaves first."""
        counts = [self.features]
        while counts[-1] > 1 or len(counts) == 1:
            counts.append(-(-counts[-1] // self.node_size))
        return counts

    @property
    def nodes(self) -> int:
        return sum(self.levels) if self.node_size and self.features else 0


def check_flatgeobuf(path: Path) -> None:
    """Check a FlatGeobuf file as a whole.

    Raises:
        OSError: its header, its index or a feature is damaged, or the index does not lead to the features.

    Source:
        https://github.com/flatgeobuf/flatgeobuf: magic bytes, header, packed Hilbert R-tree, features with their sizes.
    """
    with path.open("rb") as file:
        head = file.read(12)
        if len(head) < 12 or not head.startswith(_MAGIC):
            raise OSError("its first bytes are not those of FlatGeobuf 3")
        (length,) = struct.unpack_from("<I", head, 8)
        layout = _layout(file.read(length), length)
        size_bytes = path.stat().st_size
        index = np.fromfile(file, _NODE, layout.nodes) if layout.nodes * _NODE.itemsize <= size_bytes else None
        if index is None or len(index) != layout.nodes:
            raise OSError(f"it ends within the index of its {layout.features} features")
        start = layout.index_at + index.nbytes
        file.seek(start)
        starts = _starts(file, size_bytes - start)
    if layout.features and len(starts) != layout.features:
        raise OSError(f"it has {len(starts)} features, its header says {layout.features}")
    if layout.features and not layout.nodes:
        raise OSError("it has no spatial index")
    boxes = _boxes(path)
    if len(boxes) != len(starts):
        raise OSError(f"{len(boxes)} of its {len(starts)} features can be read")
    if layout.nodes:
        _check_index(index, layout, starts, boxes)


def _layout(header: bytes, length: int) -> _Layout:
    """Read two fields of the header's flat buffer."""
    try:
        if len(header) != length:
            raise OSError("it ends within its header")
        (table,) = struct.unpack_from("<I", header, 0)
        fields = table - struct.unpack_from("<i", header, table)[0]
        (size,) = struct.unpack_from("<H", header, fields)

        def field(number: int, kind: str, default: int) -> int:
            place = fields + 4 + 2 * number
            offset = struct.unpack_from("<H", header, place)[0] if place < fields + size else 0
            return int(struct.unpack_from(kind, header, table + offset)[0]) if offset else default

        features = field(_FEATURES_COUNT, "<Q", 0)
        return _Layout(features, field(_NODE_SIZE, "<H", _DEFAULT_NODE_SIZE), 12 + length)
    except struct.error as error:
        raise OSError("its header is damaged") from error


def _starts(file: object, size_bytes: int) -> I64:
    """Walk over the features by their sizes; return the offset of each."""
    starts, at = [], 0
    while at < size_bytes:
        raw = file.read(4)  # type: ignore[attr-defined]
        if len(raw) < 4:
            raise OSError("it ends within the size of a feature")
        starts.append(at)
        at += 4 + int.from_bytes(raw, "little")
        file.seek(at - starts[-1] - 4, 1)  # type: ignore[attr-defined]
    if at != size_bytes:
        raise OSError("it ends within a feature")
    return np.array(starts, np.int64)


def _boxes(path: Path) -> F64:
    """Read the box of each feature, in the file's order."""
    found = []
    try:
        with (
            path.open("rb") as file,
            pyogrio.open_arrow(f"/proc/self/fd/{file.fileno()}", columns=[], use_pyarrow=True) as (meta, reader),
        ):
            name = meta["geometry_name"] or "wkb_geometry"
            for batch in reader:
                shapes = shapely.from_wkb(batch[name].to_numpy(zero_copy_only=False))
                found.append(shapely.bounds(shapes))
    except (*OGR_ERRORS, shapely.GEOSException) as error:
        raise OSError(str(error)) from error
    return np.vstack([np.empty((0, 4)), *found])


def _check_index(index: npt.NDArray[np.void], layout: _Layout, starts: I64, boxes: F64) -> None:
    leaves = index[-layout.features :]
    order = np.argsort(leaves["offset"], kind="stable")
    if not np.array_equal(leaves["offset"][order], starts.astype(np.uint64)):
        raise OSError("its index does not lead to its features")
    if not np.array_equal(leaves["box"][order], boxes, equal_nan=True):
        raise OSError("its index does not lie where its features are")
    children_end = len(index)
    for count, above in zip(layout.levels, layout.levels[1:], strict=False):
        children = index[children_end - count : children_end]
        parents = index[children_end - count - above : children_end - count]
        first = np.arange(0, count, layout.node_size)
        low = np.minimum.reduceat(children["box"][:, :2], first)
        high = np.maximum.reduceat(children["box"][:, 2:], first)
        if not np.array_equal(parents["box"], np.hstack([low, high])):
            raise OSError("a node of its index does not hold those below it")
        children_end -= count
