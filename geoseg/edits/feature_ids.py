"""FeatureIds: polygons that an edit did not change keep their feature ids; new ones get numbers never used before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from geoseg.core.segments import Segments
from geoseg.io.edits.layer_tables import fids_by_shape, shape_key
from geoseg.io.polygons.segment_stream import to_wkb

FID = "fid"


class FeatureIds:
    """Feature ids of the polygons of one layer.

    Args:
        files: earlier states of the layer, the latest first.
        layer: its name.
        next_fid: the next number that was never used; 0: follow the earlier states.
    """

    def __init__(self, files: Iterable[Path], layer: str, next_fid: int = 0) -> None:
        self._fids: dict[bytes, list[int]] = {}
        for path in files:
            for key, fids in fids_by_shape(path, layer).items():
                self._fids.setdefault(key, fids)
        highest = max((max(fids) for fids in self._fids.values()), default=0)
        self.next_fid = max(next_fid, highest + 1)

    def numbered(self, batches: Iterable[Segments]) -> Iterator[Segments]:
        """Add a first column ``fid`` to polygons, or fill it anew."""
        for batch in batches:
            names = tuple(name for name in batch.extra.dtype.names or () if name != FID)
            extra = np.zeros(len(batch), [(FID, "i8"), *((name, batch.extra.dtype[name].str) for name in names)])
            for name in names:
                extra[name] = batch.extra[name]
            extra[FID] = [
                self._fid(int(code), bytes(wkb))
                for code, wkb in zip(batch.class_code, to_wkb(batch.geometry), strict=True)
            ]
            yield replace(batch, extra=extra)

    def _fid(self, code: int, wkb: bytes) -> int:
        waiting = self._fids.get(shape_key(code, wkb))
        if waiting:
            return waiting.pop(0)
        self.next_fid += 1
        return self.next_fid - 1
