"""Every error that geoseg raises on purpose.

    GeosegError
    ├── UsageError (ValueError)        2  a wrong option or configuration
    ├── LegendError (KeyError)         2  a class code that is not in the legend
    ├── SceneError (ValueError)        3  an input that cannot be read as it is
    │   ├── ElsewhereError             3  a vector file of which nothing lies where it should
    │   └── MatchError                 3  a scene that the model cannot read
    ├── ModelError (ValueError)        4  a model file that is broken or does not fit
    ├── ResourceError (RuntimeError)   5  disk, memory or device
    │   ├── WriteError (OSError)       5  a file could not be written whole
    │   └── ClusterLostError           5  the connection to a Dask cluster was lost
    └── OutputError (RuntimeError)     6  output exists, is locked or failed its check
        ├── LockedError                6  another run or session is writing there
        ├── ClaimedError               6  another run has taken a scene of an archive
        └── StaleRevisionError         6  another session has changed the map meanwhile

Each carries its exit code (``exit_code``) and a message of one line that names the file, the cause and the cure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar


class GeosegError(Exception):
    """The root of the tree: anything geoseg refuses or fails at for a known reason."""

    exit_code: ClassVar[int] = 1

    def reword(self, rewrite: Callable[[str], str]) -> None:
        """Replace the message by the result of ``rewrite``."""
        self.args = tuple(rewrite(part) if isinstance(part, str) else part for part in self.args)


class UsageError(GeosegError, ValueError):
    """A wrong option, argument or configuration file."""

    exit_code = 2


class LegendError(GeosegError, KeyError):
    """A class code that is not in the legend."""

    exit_code = 2

    def __str__(self) -> str:
        return Exception.__str__(self)  # a KeyError would put itself in quotes


class SceneError(GeosegError, ValueError):
    """An input that cannot be read as it is.

    Args:
        uri: The scene's path or address.
        cause: Cause of the refusal.
        cure: Advice for the user, one sentence.
    """

    exit_code = 3

    def __init__(self, uri: str, cause: str, cure: str = "") -> None:
        super().__init__(f"{uri}: {cause}" + (f" {cure}" if cure else ""))
        self.uri = uri
        self.cause = cause
        self.cure = cure

    def reword(self, rewrite: Callable[[str], str]) -> None:
        """Replace cause and cure, and the message that is made of them."""
        self.cause, self.cure = rewrite(self.cause), rewrite(self.cure)
        self.args = (f"{self.uri}: {self.cause}" + (f" {self.cure}" if self.cure else ""),)

    def __reduce__(self) -> tuple[type[SceneError], tuple[str, str, str]]:
        return type(self), (self.uri, self.cause, self.cure)


class ElsewhereError(SceneError):
    """A vector file of which nothing lies on the ground that it is for."""


class MatchError(SceneError):
    """A readable scene that the chosen model cannot read: bands, values or ground sample distance differ."""


class ModelError(GeosegError, ValueError):
    """A model that is unknown, broken or does not fit its card."""

    exit_code = 4


class ResourceError(GeosegError, RuntimeError):
    """Too little disk or memory, or a device that is not there."""

    exit_code = 5


class DeviceError(ResourceError):
    """The GPU failed: nothing runs on it any more in this process; finished work is kept."""


class WriteError(ResourceError, OSError):
    """A file could not be written completely; nothing was created at its final path."""


class ClusterLostError(ResourceError):
    """The Dask cluster was lost; finished work is kept."""


class OutputError(GeosegError, RuntimeError):
    """The output exists already, is locked by another run, or failed its check."""

    exit_code = 6


class LockedError(OutputError):
    """Another run or session holds the lock of the output."""


class ClaimedError(OutputError):
    """Another run has taken a scene of an archive; nothing of it was overwritten."""


class StaleRevisionError(OutputError):
    """A map was changed by another session since the revision that a change was made on; nothing was done.

    If both revisions are the same, the map itself was predicted anew.

    Args:
        folder: The folder of the map.
        expected: The revision that the change was made on.
        latest: The latest revision.
    """

    def __init__(self, folder: object, expected: int, latest: int) -> None:
        cause = f"is at revision {latest}, the change was made on revision {expected}: another session has"
        if expected == latest:
            cause = "was predicted anew"
        super().__init__(f"{folder}: {cause} meanwhile. Read the map again and repeat the change.")
        self.folder, self.expected, self.latest = str(folder), expected, latest

    def __reduce__(self) -> tuple[type[StaleRevisionError], tuple[str, int, int]]:
        return type(self), (self.folder, self.expected, self.latest)
