"""ObjectFolder: the objects under a prefix of an S3-compatible store, listed, read, and written on a condition."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from geoseg.core.text import without_logins
from geoseg.errors import UsageError
from geoseg.io.objects.access import S3Access, credentials_mark, is_s3

_CODE, _MESSAGE = re.compile(r"<Code>([\w.]+)</Code>"), re.compile(r"<Message>([^<]{1,200})</Message>")
_STATUS = re.compile(r"status code: (\d{3})")
_LISTED_AT_ONCE, _PART_BYTES = 1000, 8 * 2**20
ANY = "*"
"""Any state of an object: it is replaced, whatever it is."""


class ObjectChangedError(OSError):
    """An object is not in the state that a conditional write asked for; nothing was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One object, as the store lists it.

    Attributes:
        path: key below the folder's prefix.
        size_bytes: its size.
        e_tag: the store's name for its content, with its quotes.
        modified: time of its last change by the clock of the store, with a time zone.
    """

    path: str
    size_bytes: int
    e_tag: str
    modified: datetime


class ObjectFolder:
    """Objects under ``s3://bucket/prefix``; picklable, may be used from several threads.

    Writes are whole or not at all, as the store promises. A condition (``replaces``) makes the store refuse a write
    when another process was quicker, so no lock is needed.

    Args:
        address: the bucket with an optional prefix.

    Raises:
        UsageError: it is no such address, obstore is not installed, or there are no credentials.

    Examples:
        >>> folder = ObjectFolder("s3://bucket/maps")  # doctest: +SKIP
        >>> folder.write("note.txt", b"new", replaces=None)  # doctest: +SKIP
        '"22af645d1859cb5ca6da0c484f1f37ea"'
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        bucket, _, prefix = self.address[5:].partition("/")
        if not is_s3(address) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}", bucket):
            raise UsageError(f"{without_logins(address)}: this is no folder of a store. Write s3://BUCKET/PREFIX.")
        self._store = _store(bucket, prefix, S3Access.of_environment(), credentials_mark())

    def list(self, below: str = "") -> Iterator[StoredObject]:
        """List the objects below a folder of it, sorted by key, some hundred at a time.

        Args:
            below: whole parts of the key, ``a/b``; empty: all.

        Raises:
            OSError: the store refuses or cannot be reached; the message has no secret.
        """
        import obstore  # noqa: PLC0415 - an extra

        with _plain_errors():
            for chunk in obstore.list(self._store, prefix=below or None, chunk_size=_LISTED_AT_ONCE):
                yield from map(_stored, chunk)

    def head(self, path: str) -> StoredObject | None:
        """Return the state of one object; None if there is none.

        Raises:
            OSError: see ``list``.
        """
        import obstore  # noqa: PLC0415 - an extra

        try:
            with _plain_errors():
                return _stored(obstore.head(self._store, path))
        except FileNotFoundError:
            return None

    def read(self, path: str) -> tuple[bytes, str] | None:
        """Read an object.

        Returns:
            Its content and its ETag; None if there is none.

        Raises:
            OSError: see ``list``.
        """
        import obstore  # noqa: PLC0415 - an extra

        try:
            with _plain_errors():
                answer = obstore.get(self._store, path)
                return bytes(answer.bytes()), str(answer.meta["e_tag"])
        except FileNotFoundError:
            return None

    def write(self, path: str, content: bytes, *, replaces: str | None) -> str:
        """Write an object, if the store has it in the given state.

        Args:
            path: key below the prefix.
            content: the whole content.
            replaces: ETag of the object that is replaced; None: there must be none; ``ANY``: no condition.

        Returns:
            The ETag of the new object.

        Raises:
            ObjectChangedError: another process has written it meanwhile.
            OSError: see ``list``.
        """
        import obstore  # noqa: PLC0415 - an extra

        mode: Any = "create" if replaces is None else "overwrite" if replaces == ANY else {"e_tag": replaces}
        with _plain_errors():
            return str(obstore.put(self._store, path, content, mode=mode, use_multipart=False)["e_tag"])

    def upload(self, path: str, file: Path) -> str:
        """Write a file as an object, in parts where it is large; return its ETag.

        Raises:
            OSError: the file cannot be read, or see ``list``.
        """
        import obstore  # noqa: PLC0415 - an extra

        with _plain_errors():
            return str(obstore.put(self._store, path, file)["e_tag"])

    def download(self, path: str, file: Path) -> str | None:
        """Copy an object into a file, part by part; return its ETag, None if there is none.

        Raises:
            OSError: the file cannot be written, or see ``list``.
        """
        import obstore  # noqa: PLC0415 - an extra

        try:
            with _plain_errors(), file.open("wb") as target:
                answer = obstore.get(self._store, path)
                for part in answer.stream(min_chunk_size=_PART_BYTES):
                    target.write(part)
                return str(answer.meta["e_tag"])
        except FileNotFoundError:
            file.unlink(missing_ok=True)
            return None

    def remove(self, path: str) -> None:
        """Remove an object; it need not exist.

        Raises:
            OSError: see ``list``.
        """
        import obstore  # noqa: PLC0415 - an extra

        try:
            with _plain_errors():
                obstore.delete(self._store, path)
        except FileNotFoundError:
            return

    def __reduce__(self) -> tuple[type[ObjectFolder], tuple[str]]:
        return type(self), (self.address,)

    def __repr__(self) -> str:
        return f"ObjectFolder({self.address!r})"


def state_of_object(address: str) -> StoredObject | None:
    """Return the state of one object by its address; None if there is none.

    Raises:
        UsageError, OSError: see ``ObjectFolder``.
    """
    folder, _, key = address.rpartition("/")
    return ObjectFolder(folder).head(key)


@lru_cache(maxsize=16)
def _store(bucket: str, prefix: str, access: S3Access, mark: int) -> Any:
    """Make obstore's store, once for each folder and credentials, so that connections are used again."""
    del mark
    try:
        from obstore.store import S3Store  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError(f"s3://{bucket}: needs obstore. Install it: pip install 'geoseg[objects]'.") from error
    options = access.obstore_options(bucket)
    with _plain_errors():
        return S3Store(bucket, prefix=prefix or None, **options)


def _stored(meta: Any) -> StoredObject:
    return StoredObject(
        path=str(meta["path"]),
        size_bytes=int(meta["size"]),
        e_tag=str(meta["e_tag"] or ""),
        modified=meta["last_modified"],
    )


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Convert obstore's errors, whose texts hold whole answers of servers, into an OSError of one line."""
    from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError  # noqa: PLC0415 - an extra

    try:
        yield
    except (AlreadyExistsError, PreconditionError):
        raise ObjectChangedError("another process has written it meanwhile") from None
    except FileNotFoundError as error:
        raise FileNotFoundError(_reason(str(error))) from None
    except BaseError as error:
        raise OSError(_reason(str(error))) from None


def _reason(text: str) -> str:
    """Return what the server says, or else the first line of an error, without addresses' logins and queries."""
    code, message, status = _CODE.search(text), _MESSAGE.search(text), _STATUS.search(text)
    if code is not None:
        return f"{code[1]}: {message[1]}" if message is not None else code[1]
    if status is not None:
        words = {"401": "access is denied", "403": "access is denied", "404": "it does not exist"}
        return f"{words.get(status[1], 'the store refuses')} (HTTP error {status[1]})"
    return without_logins(" ".join(text.partition("Debug source")[0].split()))[:300]
