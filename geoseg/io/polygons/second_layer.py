"""SecondLayer: polygons made from some of those of a layer, written behind it into the same file."""

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
class SecondLayer:
    """What a second layer holds.

    Attributes:
        codes: classes whose polygons of the first layer it is made from.
        make: those polygons, in batches that may be gone through several times -> its polygons.
        name: of the layer.
    """

    codes: tuple[int, ...]
    make: Callable[[Iterable[Segments]], Iterator[Segments]]
    name: str = "segments_regular"

    def of_legend(self, legend: Legend) -> Legend:
        """Keep the classes of this layer."""
        return legend.model_copy(update={"classes": tuple(c for c in legend.classes if c.code in self.codes)})


class Spill:
    """Polygons of some classes, kept on disk while all pass by; iterates over them as often as asked.

    The file has no name: nobody else can open it, and it goes with the process.

    Args:
        folder: on the disk that holds it.
        codes: the classes to keep.
    """

    def __init__(self, folder: Path, codes: tuple[int, ...]) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by this class's own exit
        self._codes = codes
        self._starts: list[int] = []

    def passing(self, batches: Iterable[Segments]) -> Iterator[Segments]:
        """Keep what is wanted of all that passes.

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
