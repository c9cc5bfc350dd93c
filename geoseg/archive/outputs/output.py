"""Output: where the layers and records of an archive are kept, as an archive sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from geoseg.archive.config import ArchiveConfig
from geoseg.archive.manifest import Entry
from geoseg.archive.outputs.folder_output import FolderOutput
from geoseg.archive.outputs.published_place import PublishedPlace
from geoseg.archive.outputs.store_output import StoreOutput
from geoseg.archive.record import SceneRecord


class Entries(Protocol):
    """The record of each scene; threads may write different scenes at once."""

    def entry(self, name: str) -> Entry | None:
        """Read the entry of a scene; None if there is none, or it is damaged."""
        ...

    def write(self, entry: Entry) -> None:
        """Write the entry of a scene, whole or not at all.

        Raises:
            ClaimedError: another run has written it meanwhile.
            WriteError: it cannot be written.
        """
        ...

    def records(self) -> Iterator[SceneRecord]:
        """Iterate over all records."""
        ...


class Output(Protocol):
    """Place of an archive's layers and records.

    Attributes:
        entries: the record of each scene.
    """

    @property
    def entries(self) -> Entries:
        """The record of each scene."""
        ...

    def held(self, run: str) -> AbstractContextManager[None]:
        """Return the context in which a run may write there.

        Raises:
            UsageError: the folder where scenes are made is an archive of its own.
            ResourceError: it cannot be reached or written.
        """
        ...

    def is_alive(self, run: str) -> bool:
        """Return True if another run that writes there is at work."""
        ...

    def stands(self, entry: Entry) -> bool:
        """Return True if the layers of a finished scene are there as they were written."""
        ...

    def deliver(self, entry: Entry) -> Entry:
        """Bring the layers of a finished scene to their final place; return the entry that says where they stand.

        Raises:
            ClaimedError: another run has taken the scene.
            WriteError: they cannot be written.
        """
        ...

    def settle(self, entry: Entry) -> None:
        """Remove what a scene leaves behind when its entry is written."""
        ...

    @property
    def published(self) -> bool:
        """True if what was published covers all scenes that were tried."""
        ...

    def mark_outdated(self) -> None:
        """Remember that what was published does not cover all scenes that were tried.

        Raises:
            WriteError: it cannot be written.
        """
        ...

    def publishing(self, run: str) -> AbstractContextManager[PublishedPlace | None]:
        """Return the context in which a run writes catalogue, map and reports; at its end all is published.

        It gives the folder to write them in; None if another run is publishing what this one would.

        Raises:
            WriteError: they cannot be written.
            ResourceError: the place cannot be reached.
        """
        ...

    def text_of(self, name: str) -> str:
        """Read a published file by its name; empty if there is none.

        Raises:
            ResourceError: the place cannot be reached.
        """
        ...

    def address_of(self, path: Path) -> str:
        """Return where a file that was written while publishing can be found."""
        ...


def output_of(config: ArchiveConfig) -> Output:
    """Return the output that a configuration names.

    Raises:
        UsageError: the store cannot be used; see ``ObjectFolder``.
    """
    if config.store is None:
        return FolderOutput(config.out)
    return StoreOutput(config.store, config.out, joined=config.one_layer != "none")
