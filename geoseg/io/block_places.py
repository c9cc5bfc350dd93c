"""Places for the results of blocks: a folder that all processes see, or an object store."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Protocol

from geoseg.core.types.json_value import JsonDict
from geoseg.errors import WriteError
from geoseg.io.files.writing import replace_file, write_json
from geoseg.io.objects.access import CREDENTIALS_CURE
from geoseg.io.objects.object_folder import ANY, ObjectChangedError, ObjectFolder

_ABOUT = "store.json"


class BlockPlace(Protocol):
    """A place for files of blocks, each there and whole or not there.

    Attributes:
        address: the path or address by which other processes open it.
        cure: advice for a process that does not see it.
    """

    address: str
    cure: str

    def read_about(self) -> JsonDict | None:
        """Read the description of the run whose blocks are there; None if it is missing or invalid."""
        ...

    def create(self, about: JsonDict) -> None:
        """Begin a run: remove the blocks of another one.

        Raises:
            WriteError: it cannot be written.
        """
        ...

    def read(self, name: str) -> bytes | None:
        """Read a file; None if there is none.

        Raises:
            OSError: of that nothing can be said: too many files are open, or the store does not answer.
        """
        ...

    def write(self, name: str, content: bytes) -> None:
        """Write a file, replacing it.

        Raises:
            WriteError: the disk is full or fails, or the store refuses.
        """
        ...

    def remove(self) -> None:
        """Remove all of it."""
        ...


class BlockFolder:
    """A place for blocks on a disk. Files are not synced: damage by a power failure is told by the checksum."""

    cure = "Choose an --out that all workers see under the same path."

    def __init__(self, path: Path) -> None:
        self.address = str(path.absolute())
        self._path = path

    def read_about(self) -> JsonDict | None:
        """See ``BlockPlace``."""
        try:
            return _dict(json.loads((self._path / _ABOUT).read_bytes()))
        except (OSError, ValueError):
            return None

    def create(self, about: JsonDict) -> None:
        """See ``BlockPlace``."""
        path = self._path
        shutil.rmtree(path, ignore_errors=True)
        if path.exists():
            raise WriteError(
                f"{path}: blocks of another run cannot be removed. Remove the folder or choose another --out."
            )
        try:
            path.mkdir(parents=True)
            write_json(path / _ABOUT, about)
        except OSError as error:
            cause = getattr(error, "strerror", None) or error
            raise WriteError(f"{path}: cannot be made: {cause}. Choose another --out.") from error

    def read(self, name: str) -> bytes | None:
        """See ``BlockPlace``."""
        try:
            return (self._path / name).read_bytes()
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE}:
                raise
            return None

    def write(self, name: str, content: bytes) -> None:
        """See ``BlockPlace``."""
        try:
            replace_file(self._path / name, content)
        except OSError as error:
            cause = getattr(error, "strerror", None) or error
            if self._path.is_dir():
                free = shutil.disk_usage(self._path).free
                cure = f"({free / 1e6:.1f} MB are free). Make room, then run again to resume."
            else:
                cure = "(its folder was removed during the run). Run again."
            raise WriteError(f"{self._path}: a block cannot be stored: {cause} {cure}") from error

    def remove(self) -> None:
        """See ``BlockPlace``."""
        shutil.rmtree(self._path, ignore_errors=True)


class BlockObjects:
    """A place for blocks on an object store. The digest of the run is a part of its keys, so runs never mix.

    Args:
        address: the place for all blocks of a scene.
        key: digest of everything that can change a pixel.

    Raises:
        UsageError: see ``ObjectFolder``.
    """

    cure = "Workers need the same store, AWS_ENDPOINT_URL and credentials in their environment."

    def __init__(self, address: str, key: str) -> None:
        self.address = address
        self._folder = ObjectFolder(f"{address.rstrip('/')}/{key[:16]}")

    def read_about(self) -> JsonDict | None:
        """See ``BlockPlace``.

        Raises:
            OSError: the store does not answer.
        """
        found = self.read(_ABOUT)
        try:
            return None if found is None else _dict(json.loads(found))
        except ValueError:
            return None

    def create(self, about: JsonDict) -> None:
        """See ``BlockPlace``; another run of the same digest may have begun it."""
        try:
            self._folder.write(_ABOUT, json.dumps(about).encode(), replaces=None)
        except ObjectChangedError:
            return
        except OSError as error:
            raise self._failed(error) from error

    def read(self, name: str) -> bytes | None:
        """See ``BlockPlace``."""
        found = self._folder.read(name)
        return None if found is None else found[0]

    def write(self, name: str, content: bytes) -> None:
        """See ``BlockPlace``."""
        try:
            self._folder.write(name, content, replaces=ANY)
        except OSError as error:
            raise self._failed(error) from error

    def remove(self) -> None:
        """See ``BlockPlace``; what a store that does not answer keeps is in nobody's way."""
        try:
            for state in list(self._folder.list()):
                self._folder.remove(state.path)
        except OSError:
            return

    def _failed(self, error: OSError) -> WriteError:
        return WriteError(f"{self.address}: a block cannot be stored ({error}). {CREDENTIALS_CURE}")


def _dict(value: object) -> JsonDict | None:
    return value if isinstance(value, dict) else None
