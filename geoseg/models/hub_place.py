"""A repository of the Hugging Face hub as a place of files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final
from urllib.request import Request

from geoseg.errors import OutputError, ResourceError, UsageError
from geoseg.io.files.place import Place

SCHEME: Final = "hf://"
_ADDRESS: Final = re.compile(r"hf://(?P<repository>[\w.-]+/[\w.-]+)(?P<folder>(?:/[\w.-]+)*)")


def place_at(address: str, *, allow_remote: bool) -> Place:
    """Make the place of an address: a folder, a web address, or ``hf://OWNER/REPOSITORY[/FOLDER]``.

    Args:
        address: where.
        allow_remote: send requests.

    Raises:
        UsageError: it is remote and remote places are not allowed, or its kind is not known.
    """
    kind = HubPlace if address.startswith(SCHEME) else Place
    return kind(address, allow_remote=allow_remote)


class HubPlace(Place):
    """A folder of a repository of the Hugging Face hub, on its branch ``main``.

    Files are read over https and written by ``huggingface_hub``, one commit each. The token of the environment
    (``HF_TOKEN``) or of ``hf auth login`` is sent to the hub alone. ``HF_ENDPOINT`` is another hub's address.

    Args:
        address: ``hf://OWNER/REPOSITORY`` or ``hf://OWNER/REPOSITORY/FOLDER``.
        allow_remote: send requests.

    Raises:
        UsageError: the address is another one, or remote places are not allowed.
    """

    def __init__(self, address: str, *, allow_remote: bool) -> None:
        parts = _ADDRESS.fullmatch(address.rstrip("/"))
        if parts is None or ".." in address:
            raise UsageError(f"{address}: hf://OWNER/REPOSITORY or hf://OWNER/REPOSITORY/FOLDER is expected.")
        self._hub = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        if not self._hub.startswith(("http://", "https://")):
            raise UsageError(f"HF_ENDPOINT is {self._hub}: http:// or https:// is expected.")
        self._repository, self._folder = parts["repository"], parts["folder"].lstrip("/")
        self._name = parts[0]
        files = f"{self._hub}/{self._repository}/resolve/main{parts['folder']}"
        super().__init__(files, allow_remote=allow_remote)

    def name_of(self, file: str) -> str:
        """Return the address of a file."""
        return f"{self._name}/{file}"

    def put(self, file: str, source: Path | bytes) -> None:
        """Write a file, as one commit.

        Args:
            file: its name.
            source: a file or its content.

        Raises:
            UsageError: ``huggingface_hub`` is not installed.
            OutputError: the hub refuses it.
            ResourceError: the hub does not answer.
        """
        try:
            from huggingface_hub import HfApi  # noqa: PLC0415 - an extra
            from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415
        except ImportError as error:
            raise UsageError(f"{self._name}: not installed. Run pip install huggingface_hub.") from error
        hub = HfApi(endpoint=self._hub, token=_token() or False)
        try:
            hub.upload_file(
                path_or_fileobj=source,
                path_in_repo=f"{self._folder}/{file}".lstrip("/"),
                repo_id=self._repository,
                commit_message=f"Add {file}",
            )
        except HfHubHTTPError as error:
            why = " ".join(str(error).split())
            raise OutputError(
                f"{self.name_of(file)}: the hub refuses it ({why}). Is there a repository of yours?"
            ) from error
        except Exception as error:  # its HTTP client, whose errors these are, is another one in each version
            why = " ".join(str(error).split()) or type(error).__name__
            raise ResourceError(f"{self.name_of(file)}: the hub does not answer ({why}).") from error

    def _request(self, file: str) -> Request:
        request = super()._request(file)
        if (token := _token()) is not None:
            request.add_header("Authorization", f"Bearer {token}")
        return request


def _token() -> str | None:
    """Return the token of the environment, or of the hub's own login."""
    if named := os.environ.get("HF_TOKEN"):
        return named
    try:
        from huggingface_hub import get_token  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    token = get_token()
    return None if token is None else str(token)
