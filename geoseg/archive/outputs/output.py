"""Output: where the layers and records of an archive are kept, as an archive sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from geoseg.archive.config import ArchiveConfig
from geoseg.archive.manifest import Entry
from geoseg.archive.outputs.folder_output import FolderOutput
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

    def mark(self, *, published: bool) -> None:
        """Remember whether what was published covers all scenes that were tried.

        Raises:
            WriteError: it cannot be written.
        """
        ...


def output_of(config: ArchiveConfig) -> Output:
    """Return the output that a configuration names.

    Raises:
        UsageError: the store cannot be used; see ``ObjectFolder``.
    """
    return FolderOutput(config.out) if config.store is None else StoreOutput(config.store, config.out)
