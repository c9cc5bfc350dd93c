"""FolderOutput: an archive's output in a folder, where its scenes are made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geoseg.archive.manifest import ANY_STATE, Entry, Manifest
from geoseg.archive.outputs.published_place import PublishedPlace
from geoseg.archive.report.catalogue import CATALOGUE
from geoseg.io.files.writing import write_bytes


class FolderOutput:
    """An archive's output in a folder. One run writes there at a time, by the archive's lock.

    Args:
        out: the folder.
    """

    def __init__(self, out: Path) -> None:
        self.entries = Manifest(out)
        self._out = out
        self._mark = out / ".geoseg" / "published"

    @contextmanager
    def held(self, run: str) -> Iterator[None]:
        """See ``Output``; the archive's lock is enough."""
        del run
        yield

    def is_alive(self, run: str) -> bool:
        """See ``Output``; while the archive's lock is held, no other run is."""
        del run
        return False

    def stands(self, entry: Entry) -> bool:
        """See ``Output``: compare sizes and times; where these differ, the run compares digests."""
        folder = self._out / entry.record.layers
        for name, known in entry.layers.items():
            try:
                stat = (folder / name).stat()
            except OSError:
                return False
            if known not in (ANY_STATE, (stat.st_size, stat.st_mtime_ns)):
                return False
        return bool(entry.layers)

    def deliver(self, entry: Entry) -> Entry:
        """See ``Output``: they were made there."""
        return entry

    def settle(self, entry: Entry) -> None:
        """See ``Output``: nothing is left behind."""

    @contextmanager
    def publishing(self, run: str) -> Iterator[PublishedPlace]:
        """See ``Output``; while the archive's lock is held, no other run publishes."""
        del run
        yield PublishedPlace(folder=self._out, records=self.entries.records)
        write_bytes(self._mark, b"")

    def text_of(self, name: str) -> str:
        """See ``Output``."""
        path = self._out / name
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    def address_of(self, path: Path) -> str:
        """See ``Output``."""
        return str(path)

    @property
    def published(self) -> bool:
        """See ``Output``."""
        return self._mark.exists() and (self._out / CATALOGUE).exists()

    def mark_outdated(self) -> None:
        """See ``Output``."""
        self._mark.unlink(missing_ok=True)
