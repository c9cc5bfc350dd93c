"""The board: what a flow shows in Prefect while it works. A lost API never stops the work."""

from __future__ import annotations

import hashlib
import logging
import re
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import httpx
from prefect.artifacts import (
    Artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from geoseg.archive.record import SceneRecord
from geoseg.core.text import printable
from geoseg.run.report import Silence

_log = logging.getLogger(__name__)
_PATIENCE_S = 30.0
"""After a failure the API is left alone for so long: each attempt costs seconds that the archive could use."""
_BETWEEN_UPDATES_S = 2.0


def note(text: str) -> None:
    """Say something to who watches: in the run's log, and on stderr where the flow was called plainly."""
    _log.info("%s", printable(text))
    with suppress(MissingContextError):
        get_run_logger().info("%s", printable(text))


class LogReporter(Silence):
    """A reporter of what may be worth knowing; progress is shown otherwise."""

    def note(self, text: str) -> None:
        """Say it."""
        note(text)


class RunArtifacts:
    """Artifacts of one flow run under keys of its own.

    Args:
        subject: what the flow works on; becomes the first part of each artifact's key.

    Attributes:
        lost: whether the last attempt to tell the API failed.
    """

    def __init__(self, subject: str) -> None:
        self._subject = artifact_key(subject)
        self._progress: UUID | None = None
        self._not_before = 0.0
        self.lost = False

    def progress(self, done: int, total: int, *, last: bool = False) -> None:
        """Show a share of the work; skipped when the last one was shown a moment ago, unless it is the ``last``."""
        percent = 100.0 * done / total if total else 100.0
        if not last and time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + _BETWEEN_UPDATES_S
        if self._progress is None:
            self._progress = self._tell(
                lambda: create_progress_artifact(
                    progress=percent, key=f"{self._subject}-progress", description=f"Done of {self._subject}"
                )
            )
            return
        known = self._progress
        self._tell(lambda: update_progress_artifact(artifact_id=known, progress=percent))

    def scene(self, number: int, total: int, record: SceneRecord) -> None:
        """Say how a scene ended, the ``number``th of ``total``."""
        note(f"{number} of {total}: {record.name} {record.state} {record.cause}".rstrip())
        self.progress(number, total, last=number == total)

    def table(self, key: str, rows: Sequence[Mapping[str, object]], description: str) -> None:
        """Show a table."""
        self._tell(
            lambda: create_table_artifact(
                [dict(row) for row in rows], key=f"{self._subject}-{key}", description=description
            )
        )

    def markdown(self, key: str, text: str, description: str) -> None:
        """Show a page."""
        self._tell(lambda: create_markdown_artifact(text, key=f"{self._subject}-{key}", description=description))

    def link(self, key: str, address: str, text: str) -> None:
        """Show a link."""
        self._tell(lambda: create_link_artifact(address, link_text=text, key=f"{self._subject}-{key}"))

    def shows(self, key: str, data: str | None = None) -> bool:
        """Return whether this key has an artifact, of any run, and the latest has this content if one is given.

        It is False when the API is lost.
        """
        shown = self._tell(lambda: Artifact.get(f"{self._subject}-{key}"))
        return shown is not None and data in {None, shown.data}

    def _tell(self, call: Callable[[], Any]) -> Any:
        """Call the API with a short timeout; Prefect's retries would delay the archive by a minute each time."""
        try:
            with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}):
                answer = call()
        except (httpx.HTTPError, OSError) as error:
            if not self.lost:
                _log.warning("Prefect's API does not answer (%s); the work goes on.", type(error).__name__)
            self.lost, self._not_before = True, time.monotonic() + _PATIENCE_S
            return None
        self.lost = False
        return answer


class ArtifactReporter(LogReporter):
    """A reporter that shows each stage of one scene's run as a share of its pixels.

    Args:
        artifacts: where.
    """

    def __init__(self, artifacts: RunArtifacts) -> None:
        self._artifacts = artifacts
        self._total = self._done = 0

    def stage(self, name: str, total_px: int, done_px: int = 0) -> None:
        """Begin a stage."""
        note(f"{name} begins")
        self._total, self._done = total_px, done_px

    def advance(self, pixels: int) -> None:
        """Show a share, now and then."""
        self._done += pixels
        if self._total:
            self._artifacts.progress(self._done, self._total)


def artifact_key(text: str) -> str:
    """Turn any text into an artifact's key: small letters, digits and dashes; other scripts become a digest.

    Examples:
        >>> artifact_key("Town of Köln, 2024")
        'town-of-koln-2024'
        >>> artifact_key("東京 2024")
        '2024-c0e29f0a'
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))
    key = re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "archive"
    if all(c.isascii() for c in plain if c.isalnum()):
        return key
    return f"{key}-{hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()[:8]}"
