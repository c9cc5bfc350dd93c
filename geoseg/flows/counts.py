"""Counts of an archive run, and as many scenes by name as a table can show."""

from __future__ import annotations

from dataclasses import dataclass, field

from geoseg.archive.archive import Archive
from geoseg.archive.record import SceneRecord

_SHOWN = 1000

SceneRow = dict[str, str | int | float]
"""Row of the table of scenes."""


@dataclass(slots=True, kw_only=True)
class SceneCounts:
    """Counts of the scenes of a run by their outcome.

    Attributes:
        left: scenes to be segmented when the run began.
        skipped: scenes done before.
        done: scenes finished in this run.
        failed: scenes that failed in this run, or in one that was stopped before it could report them.
        known_bad: scenes that failed in an earlier run and were not tried again, as nothing changed.
        rows: of a table, one for each scene that was tried or failed before; at most a thousand bad and good ones each.
    """

    left: int = 0
    skipped: int = 0
    done: int = 0
    failed: int = 0
    known_bad: int = 0
    _bad: list[SceneRow] = field(default_factory=list)
    _known: list[SceneRow] = field(default_factory=list)
    _good: list[SceneRow] = field(default_factory=list)

    def see(self, record: SceneRecord, *, needs_run: bool, known_bad: bool = False) -> None:
        """Count a scene as it stands before the run."""
        if needs_run:
            self.left += 1
        elif known_bad:
            self.known_bad += 1
            self._keep(record, self._known)
        elif record.state == "failed":
            self.add(record)
        else:
            self.skipped += 1

    def add(self, record: SceneRecord) -> None:
        """Count a scene that ended; one that was let go does not count."""
        if record.state == "done":
            self.done += 1
            self._keep(record, self._good)
        elif record.state == "failed":
            self.failed += 1
            self._keep(record, self._bad)

    @property
    def rows(self) -> list[SceneRow]:
        """Rows of a table, bad scenes first."""
        return [*self._bad, *self._known, *self._good]

    @property
    def tried(self) -> int:
        """Scenes whose end is new: of this run, or of one that was stopped before it could report them."""
        return self.done + self.failed

    @property
    def first_cause(self) -> str:
        """Why the first bad scene is bad."""
        return str(self._bad[0]["cause"]) if self._bad else ""

    @property
    def summary(self) -> str:
        """All of it in one line."""
        text = f"{self.done} scenes done, {self.skipped} done before"
        text += f", {self.known_bad} known bad" if self.known_bad else ""
        return f"{text}, {self.failed} failed" if self.failed else text

    def _keep(self, record: SceneRecord, rows: list[SceneRow]) -> None:
        if len(rows) < _SHOWN:
            row: SceneRow = {
                "scene": record.name,
                "state": record.state,
                "cause": record.cause,
                "attempts": record.attempts,
            }
            seconds = round(sum(record.timings.values()), 1)
            rows.append(row | {"Mpx": round(record.pixels / 1e6, 2), "seconds": seconds})


def count_scenes(archive: Archive, *, retry_failed: bool) -> SceneCounts:
    """Count what is done and what is left; no pixel is read."""
    counts = SceneCounts()
    for _, record in archive.iter_status():
        needs_run = archive.needs_run(record, retry_failed=retry_failed)
        counts.see(record, needs_run=needs_run, known_bad=archive.known_bad(record))
    return counts


def publish_archive(archive: Archive) -> None:
    """Write catalogue, index, map and reports of the whole archive, from what its manifest knows."""
    archive.publish()
