"""Files at a place: a folder of this machine, or an address of the web that takes GET and PUT."""

from __future__ import annotations

import hashlib
import shutil
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO, cast
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request

from geoseg.core.text import without_logins
from geoseg.errors import OutputError, ResourceError, SceneError, UsageError
from geoseg.io.files.drivers import is_remote, local_name
from geoseg.io.files.http import ask, request_with_login
from geoseg.io.files.input_file import open_input, read_input
from geoseg.io.files.targets import make_folder
from geoseg.io.files.writing import whole_file

_TIMEOUT_S = 60.0
_CHUNK = 1 << 20


class Place:
    """A folder that files are read from and written to by name.

    Args:
        address: path, ``file://``, ``http://`` or ``https://``; a user and password in it are sent, and never shown.
        allow_remote: send requests.

    Raises:
        UsageError: it is remote and remote places are not allowed, or its kind is not known.
    """

    def __init__(self, address: str, *, allow_remote: bool) -> None:
        self.address = local_name(address).rstrip("/") or "/"
        self.remote = is_remote(self.address)
        if self.remote and not self.address.startswith(("http://", "https://")):
            raise UsageError(f"{without_logins(address)}: a folder, http:// or https:// is expected.")
        if self.remote and not allow_remote:
            raise UsageError(f"{without_logins(address)} is remote. Pass --allow-remote.")

    def name_of(self, file: str) -> str:
        """Return the address of a file, without user and password."""
        return without_logins(f"{self.address}/{quote(file)}" if self.remote else str(Path(self.address, file)))

    def read(self, file: str, limit: int) -> bytes | None:
        """Read a small file; None if there is none.

        Args:
            file: its name.
            limit: most bytes read.

        Raises:
            SceneError: it cannot be read, or is larger.
        """
        try:
            if self.remote:
                with ask(self._request(file), timeout_s=_TIMEOUT_S) as answer:
                    content = answer.read(limit + 1)
            else:
                content = read_input(Path(self.address, file), limit + 1)
        except FileNotFoundError:
            return None
        except (OSError, HTTPException, ValueError) as error:
            if isinstance(error, HTTPError) and error.code in {404, 410}:
                return None
            raise SceneError(self.name_of(file), f"it cannot be read ({error}).", "Check the address.") from error
        if len(content) > limit:
            raise SceneError(self.name_of(file), f"it has more than {limit} bytes.", "Check the address.")
        return content

    def has(self, file: str) -> bool:
        """Return True if a file is there; it is opened, and not read.

        Raises:
            SceneError: it cannot be opened.
        """
        try:
            self._open(file).close()
        except FileNotFoundError:
            return False
        except (OSError, HTTPException, ValueError) as error:
            if isinstance(error, HTTPError) and error.code in {404, 410}:
                return False
            raise SceneError(self.name_of(file), f"it cannot be read ({error}).", "Check the address.") from error
        return True

    def fetch(self, file: str, target: Path, *, sha256: str, limit: int) -> None:
        """Copy a file here; it appears whole and with the right digest, or not at all.

        Args:
            file: its name.
            target: where to write it; what stands there is replaced.
            sha256: digest that it must have.
            limit: most bytes taken.

        Raises:
            SceneError: it is missing, larger, or has another digest.
            WriteError: the disk is full or fails.
        """
        make_folder(target.absolute().parent)
        try:
            stream = self._open(file)
        except (OSError, HTTPException, ValueError) as error:
            raise SceneError(self.name_of(file), f"it cannot be read ({error}).", "Check the address.") from error
        with stream, whole_file(target) as part, part.open("wb") as output:
            found, taken = hashlib.sha256(), 0
            while chunk := self._chunk(stream, file):
                taken += len(chunk)
                if taken > limit:
                    raise SceneError(self.name_of(file), f"it has more than {limit} bytes.", "Check the address.")
                found.update(chunk)
                output.write(chunk)
            if found.hexdigest() != sha256:
                raise SceneError(
                    self.name_of(file),
                    f"its sha256 is {found.hexdigest()}, not {sha256}.",
                    "It was replaced or damaged: ask its maker.",
                )

    def put(self, file: str, source: Path | bytes) -> None:
        """Write a file.

        Args:
            file: its name.
            source: a file or its content.

        Raises:
            OutputError: the server refuses it.
            ResourceError: the server does not answer.
            WriteError: the disk is full or fails.
        """
        if not self.remote:
            target = Path(self.address, file)
            make_folder(target.absolute().parent)
            with whole_file(target) as part:
                if isinstance(source, bytes):
                    part.write_bytes(source)
                else:
                    shutil.copyfile(source, part)
            return
        try:
            if isinstance(source, bytes):
                self._send(file, source, len(source))
            else:
                with source.open("rb") as stream:
                    self._send(file, stream, source.stat().st_size)
        except HTTPError as error:
            cause = f"the server refuses it ({error.code} {error.reason})"
            raise OutputError(f"{self.name_of(file)}: {cause}. Does it take PUT, from you?") from error
        except (OSError, HTTPException) as error:
            raise ResourceError(f"{self.name_of(file)}: the server does not answer ({error}).") from error

    def _send(self, file: str, content: bytes | BinaryIO, size_bytes: int) -> None:
        request = self._request(file)
        request.method = "PUT"
        request.data = content  # a file is read as it is sent
        request.add_header("Content-Type", "application/octet-stream")
        request.add_header("Content-Length", str(size_bytes))  # after data, whose setter takes it away
        ask(request, timeout_s=_TIMEOUT_S).close()

    def _open(self, file: str) -> BinaryIO:
        if self.remote:
            return cast("BinaryIO", ask(self._request(file), timeout_s=_TIMEOUT_S))
        return open_input(Path(self.address, file))

    def _chunk(self, stream: BinaryIO, file: str) -> bytes:
        try:
            return stream.read(_CHUNK)
        except (OSError, HTTPException) as error:
            raise SceneError(self.name_of(file), f"it cannot be read ({error}).", "Try again.") from error

    def _request(self, file: str) -> Request:
        return request_with_login(f"{self.address}/{quote(file)}")
