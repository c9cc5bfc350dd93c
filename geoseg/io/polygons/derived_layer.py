"""SecondLayer: polygons derived from some of those of a layer, written after it into the same file."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
import shapely

from geoseg.core.legend import Legend
from geoseg.core.segments import Segments


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedLayer:
    """Definition of a second layer.

    Attributes:
        codes: classes whose polygons of the first layer it is made from.
        make: function from those polygons, in re-iterable batches, to its polygons.
        name: name of the layer.
    """

    codes: tuple[int, ...]
    make: Callable[[Iterable[Segments]], Iterator[Segments]]
    name: str = "segments_regular"

    def of_legend(self, legend: Legend) -> Legend:
        """Return the legend with the classes of this layer only."""
        return legend.model_copy(update={"classes": tuple(c for c in legend.classes if c.code in self.codes)})


class Spill:
    """Temporary file of the polygons of some classes, collected from a stream; can be iterated repeatedly.

    The file has no name: other processes cannot open it, and it is removed with this process.

    Args:
        folder: folder on the file system of the temporary file.
        codes: the classes to keep.
    """

    def __init__(self, folder: Path, codes: tuple[int, ...]) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by this class's own exit
        self._codes = codes
        self._starts: list[int] = []

    def passing(self, batches: Iterable[Segments]) -> Iterator[Segments]:
        """Pass batches through and keep the polygons of the classes.

        Raises:
            OSError: the disk is full.
        """
        for segments in batches:
            which = np.isin(segments.class_code, self._codes)
            if which.any():
                columns = {f.name: getattr(segments, f.name)[which] for f in fields(Segments)}
                columns["geometry"] = shapely.to_wkb(columns["geometry"])
                self._starts.append(self._file.seek(0, 2))
                pickle.dump(columns, self._file, protocol=5)
                self._file.flush()
            yield segments

    def __iter__(self) -> Iterator[Segments]:
        for start in self._starts:
            self._file.seek(start)
            columns = pickle.load(self._file)  # noqa: S301 - written above, into a file that only this object has
            yield Segments(**columns | {"geometry": shapely.from_wkb(columns["geometry"])})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
