"""StoreManifest: the record of each scene as an object, written on the condition that no other run was quicker."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice

from geoseg.archive.manifest import Entry, packed, parsed, place_of
from geoseg.archive.record import SceneRecord
from geoseg.errors import ClaimedError, ResourceError, WriteError
from geoseg.io.objects.access import CREDENTIALS_CURE
from geoseg.io.objects.object_folder import ObjectChangedError, ObjectFolder
from geoseg.io.publish.bundle import ARCHIVE_RECORDS

_AT_ONCE, _BATCH = 16, 256


class StoreManifest:
    """The manifest of an archive on an object store, under the names that it has in a folder.

    A run claims a scene by writing its record as ``running``: only if the object is the one that it has read, or if
    there is none. The last record of the scene is written only if the claim is still there. So of two runs one
    does a scene, and none overwrites the record of the other, without any lock.

    Args:
        folder: the archive's place on the store.
    """

    def __init__(self, folder: ObjectFolder) -> None:
        self._folder = folder
        self._read: dict[str, str | None] = {}
        self._claims: dict[str, str] = {}

    def entry(self, name: str) -> Entry | None:
        """See ``Entries``.

        Raises:
            ResourceError: the store refuses or cannot be reached.
        """
        with reading(self._folder):
            found = self._folder.read(place_of(name))
        if name not in self._claims:
            self._read[name] = None if found is None else found[1]
        return None if found is None else parsed(found[0])

    def write(self, entry: Entry) -> None:
        """See ``Entries``."""
        name, content = entry.record.name, packed(entry)
        place = place_of(name)
        with writing(self._folder, name):
            try:
                e_tag = self._folder.write(place, content, replaces=self._claims.get(name) or self._read.get(name))
            except ObjectChangedError:
                found = self._folder.read(place)
                if found is None or found[0] != content:  # else it was this write, sent again after a lost answer
                    self._claims.pop(name, None)
                    raise
                e_tag = found[1]
        if entry.record.state == "running":
            self._claims[name] = e_tag
        else:
            self._claims.pop(name, None)
            self._read[name] = e_tag

    def check_claim(self, name: str) -> None:
        """Make sure that a scene is still claimed by this run.

        Raises:
            ClaimedError: another run has taken it, or its record was removed.
            ResourceError: the store refuses or cannot be reached.
        """
        with reading(self._folder):
            state = self._folder.head(place_of(name))
        if state is None or state.e_tag != self._claims.get(name):
            self._claims.pop(name, None)
            raise taken(self._folder, name)

    def entries(self) -> Iterator[Entry]:
        """Iterate over all entries, sorted by their place; several are read at once.

        Raises:
            ResourceError: the store refuses or cannot be reached.
        """
        with reading(self._folder), ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="records") as pool:
            places = (state.path for state in self._folder.list(ARCHIVE_RECORDS.as_posix()))
            while batch := list(islice(places, _BATCH)):
                for found in pool.map(self._folder.read, batch):
                    entry = None if found is None else parsed(found[0])
                    if entry is not None:
                        yield entry

    def records(self) -> Iterator[SceneRecord]:
        """See ``Entries``.

        Raises:
            ResourceError: the store refuses or cannot be reached.
        """
        for entry in self.entries():
            yield entry.record


def taken(folder: ObjectFolder, name: str) -> ClaimedError:
    """Return the error for a scene that another run has taken."""
    return ClaimedError(f"{folder.address}/{name}: another run has taken this scene. Let it end.")


@contextmanager
def reading(folder: ObjectFolder) -> Iterator[None]:
    """Convert errors of a store that is read.

    Raises:
        ResourceError: for any of them.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, ResourceError):
            raise
        raise ResourceError(f"{folder.address}: cannot be read ({error}). {CREDENTIALS_CURE}") from error


@contextmanager
def writing(folder: ObjectFolder, name: str) -> Iterator[None]:
    """Convert errors of a store that is written for a scene.

    Raises:
        ClaimedError: a condition did not hold.
        WriteError: for any other of them.
    """
    try:
        yield
    except ObjectChangedError as error:
        raise taken(folder, name) from error
    except OSError as error:
        if isinstance(error, ResourceError):
            raise
        raise WriteError(f"{folder.address}/{name}: cannot be written ({error}). {CREDENTIALS_CURE}") from error
