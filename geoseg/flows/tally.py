"""The tally of an archive's run: counts, and as many scenes by name as a table can show."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from geoseg.archive.archive import Archive
from geoseg.archive.catalogue import CATALOGUE
from geoseg.archive.publish import publish_archive
from geoseg.archive.record import SceneRecord
from geoseg.engine.ensemble import file_of

_SHOWN = 1000


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a run found, and what became of it.

    Attributes:
        left: scenes to be segmented when the run began.
        skipped: scenes done before.
        done: scenes finished in this run.
        failed: scenes that failed, in this run or before and not tried again.
        rows: of a table, one for each scene that was tried or failed before; at most a thousand bad and good ones each.
        latest: when the last scene, of this run or an earlier one, ended.
    """

    left: int = 0
    skipped: int = 0
    done: int = 0
    failed: int = 0
    latest: datetime = field(default=datetime.min.replace(tzinfo=UTC))
    _bad: list[dict[str, Any]] = field(default_factory=list)
    _good: list[dict[str, Any]] = field(default_factory=list)

    def see(self, record: SceneRecord, *, wanted: bool) -> None:
        """Count a scene as it stands before the run."""
        if wanted:
            self.left += 1
        elif record.state == "failed":
            self.add(record)
        else:
            self.skipped += 1
            self._keep(record)

    def add(self, record: SceneRecord) -> None:
        """Count a scene that ended; one that was let go does not count."""
        if record.state == "done":
            self.done += 1
            self._keep(record, self._good)
        elif record.state == "failed":
            self.failed += 1
            self._keep(record, self._bad)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Rows of a table, bad scenes first."""
        return [*self._bad, *self._good]

    @property
    def first_cause(self) -> str:
        """Why the first bad scene is bad."""
        return str(self._bad[0]["cause"]) if self._bad else ""

    @property
    def summary(self) -> str:
        """All of it in one line."""
        text = f"{self.done} scenes done, {self.skipped} done before"
        return f"{text}, {self.failed} failed" if self.failed else text

    def unpublished(self, out: Path) -> bool:
        """Whether the catalogue in a folder is missing, or was written before the last scene ended."""
        root = out / CATALOGUE
        return not root.is_file() or datetime.fromtimestamp(root.stat().st_mtime, UTC) < self.latest

    def _keep(self, record: SceneRecord, rows: list[dict[str, Any]] | None = None) -> None:
        if record.finished is not None:
            self.latest = max(self.latest, record.finished)
        if rows is not None and len(rows) < _SHOWN:
            row = {"scene": record.name, "state": record.state, "cause": record.cause, "attempts": record.attempts}
            seconds = round(sum(record.timings.values()), 1)
            rows.append(row | {"Mpx": round(record.pixels / 1e6, 2), "seconds": seconds})


def survey_archive(archive: Archive, *, retry_failed: bool) -> Tally:
    """Count what is done and what is left; no pixel is read."""
    tally = Tally()
    for _, record in archive.survey():
        tally.see(record, wanted=archive.wants(record, retry_failed=retry_failed))
    return tally


def publish_known(archive: Archive) -> None:
    """Write catalogue, index, map and reports of the whole archive, from what its manifest knows."""
    config = archive.config
    model = file_of(config.model)
    publish_archive(config.out, archive.records(), legend=archive.card.legend, title=config.title, model=model)
