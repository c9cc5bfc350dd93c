"""PublishedPlace: the folder in which an archive's catalogue, map and reports are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from geoseg.archive.record import SceneRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPlace:
    """Folder of catalogue, index, map and reports.

    Attributes:
        folder: the archive's folder, or the copy of what is needed of an archive on a store.
        records: gives the records of all scenes.
        there: tells whether a layer exists; its path lies in ``folder``.
    """

    folder: Path
    records: Callable[[], Iterator[SceneRecord]]
    there: Callable[[Path], bool] = Path.is_file
