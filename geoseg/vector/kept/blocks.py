"""KeptBlocks: what was traced of blocks, kept on disk: after a small change only few blocks are traced again."""

from __future__ import annotations

import hashlib
import io
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from geoseg.core.segments import Segments
from geoseg.core.window import Window
from geoseg.io.files.writing import replace_file
from geoseg.vector.arcs import Arcs
from geoseg.vector.patch import Patch
from geoseg.vector.polygons import Polygons
from geoseg.vector.regions import Sums
from geoseg.vector.rings import Lines
from geoseg.vector.source import Labels, LabelTable

I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]
Arrays = dict[str, npt.NDArray[Any]]
_DIGEST_BYTES = 32
_VERSION = b"geoseg traced block 1"
_PATCH_ARRAYS = ("is_open", "north", "south", "west", "east")


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockContent:
    """The pixels of a block, told by what their labels mean: labels may be numbered anew, objects keep their ids.

    Attributes:
        window: where the block is.
        digest: of the classes and columns of its labels, and of its confidence.
        labels: (label,) the labels that occur, in an order that depends on their meaning alone.
    """

    window: Window
    digest: bytes
    labels: I32

    @classmethod
    def of(cls, window: Window, padded: Labels, confidence: U8 | None, table: LabelTable) -> BlockContent:
        """Describe a block.

        Args:
            window: where it is.
            padded: (height + 1, width + 1) labels, with a row above and a column to the left.
            confidence: (height, width) percent, or None.
            table: meaning of the labels.
        """
        found, place = np.unique(padded, return_inverse=True)
        meaning: npt.NDArray[Any] = np.zeros(len(found), [("none", "?"), ("code", "u1"), *_fields(table.columns)])
        meaning["none"], meaning["code"] = found == table.none, table.code[found]
        for name, _ in _fields(table.columns):
            meaning[name] = table.columns[name][found]
        order = np.argsort(meaning)
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        digest = hashlib.sha256(_VERSION)
        for part in (meaning[order], rank[place].reshape(padded.shape), confidence):
            if part is None:
                digest.update(b"none")
                continue
            digest.update(f"{part.dtype} {part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data.cast("B") if part.size else b"")
        return cls(window=window, digest=digest.digest(), labels=found[order].astype(np.int32))


class KeptBlocks:
    """Folder of traced blocks. Thread-safe; a file that is damaged or of other pixels counts as missing.

    Args:
        folder: the folder; it is made when needed, and may be removed at any time.
        key: digest of all else that the traced blocks depend on: grid, options, size of blocks.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._folder, self._key = folder, key.encode()

    def load(self, content: BlockContent) -> tuple[Polygons, Patch] | None:
        """Return what was traced of a block; None if it must be traced."""
        try:
            data = self._path(content.window).read_bytes()
            body = data[_DIGEST_BYTES:]
            if data[:_DIGEST_BYTES] != self._digest(content, body):
                return None
            with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
                return _unpacked(dict(arrays), content.labels)
        except (OSError, ValueError, KeyError):
            return None

    def save(self, content: BlockContent, traced: tuple[Polygons, Patch]) -> None:
        """Keep what was traced of a block in place of what was kept of it before; nothing, where the disk fails."""
        buffer = io.BytesIO()
        arrays: Any = _packed(*traced, content.labels)
        np.savez(buffer, **arrays)
        body = buffer.getvalue()
        with suppress(OSError):  # it only saves time
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_file(self._path(content.window), self._digest(content, body) + body)

    def _path(self, window: Window) -> Path:
        return self._folder / f"{window.row_start}_{window.col_start}.npz"

    def _digest(self, content: BlockContent, body: bytes) -> bytes:
        digest = hashlib.sha256(self._key + repr(content.window).encode() + content.digest)
        digest.update(body)
        return digest.digest()


def _packed(polygons: Polygons, patch: Patch, labels: I32) -> Arrays:
    if patch.bands is not None:
        raise ValueError("blocks with statistics of bands are not kept")
    kind, coords, offsets = shapely.to_ragged_array(polygons.segments.geometry) if len(polygons.last) else (0, None, ())
    sums = patch.sums._replace(label=_places(labels, patch.sums.label))
    arrays: Arrays = {"last": polygons.last, "kind": np.array(int(kind)), "known": np.array(patch.known)}
    arrays |= {} if coords is None else {"coords": coords}
    arrays |= {f"offset_{n}": offset for n, offset in enumerate(offsets)}
    arrays |= {
        f"segment_{f.name}": getattr(polygons.segments, f.name) for f in fields(Segments) if f.name != "geometry"
    }
    for name, group in (("sums", sums), ("arcs", patch.arcs), ("lines", patch.lines)):
        arrays |= {f"{name}_{field}": np.asarray(value) for field, value in group._asdict().items()}
    arrays |= {name: getattr(patch, name) for name in _PATCH_ARRAYS}
    return arrays if patch.group is None else arrays | {"group": patch.group}


def _unpacked(arrays: Arrays, labels: I32) -> tuple[Polygons, Patch]:
    offsets = tuple(arrays[f"offset_{n}"] for n in range(3) if f"offset_{n}" in arrays)
    geometry = np.zeros(0, object)
    if "coords" in arrays:
        geometry = shapely.from_ragged_array(shapely.GeometryType(int(arrays["kind"])), arrays["coords"], offsets)
    columns = {f.name: arrays[f"segment_{f.name}"] for f in fields(Segments) if f.name != "geometry"}
    sums = Sums(**{name: arrays[f"sums_{name}"] for name in Sums._fields})
    lines = Lines(arrays["lines_points"], arrays["lines_offset"], int(arrays["lines_scale"]), arrays["lines_straight"])
    top, bottom, left, right = (int(edge) for edge in arrays["known"])
    patch = Patch(
        sums=sums._replace(label=labels[sums.label]),
        bands=None,
        arcs=Arcs(**{name: arrays[f"arcs_{name}"] for name in Arcs._fields}),
        lines=lines,
        group=arrays.get("group"),
        known=(top, bottom, left, right),
        **{name: arrays[name] for name in _PATCH_ARRAYS},
    )
    return Polygons(last=arrays["last"], segments=Segments(geometry=geometry, **columns)), patch


def _places(labels: I32, of: I32) -> I32:
    """Find the places of labels in the list of those of the block."""
    order = np.argsort(labels)
    return np.asarray(order[np.searchsorted(labels, of, sorter=order)], np.int32)


def _fields(table: npt.NDArray[np.void]) -> list[tuple[str, str]]:
    return [(name, table.dtype[name].str) for name in table.dtype.names or ()]
