"""Facts: totals over the scenes of an archive, accumulated record by record in nearly constant memory."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from geoseg.archive.record import SceneRecord
from geoseg.archive.report.groups import Groups
from geoseg.run.workers.use import WorkerUse

STATES = ("done", "failed", "running", "waiting")
_MOST_CAUSES = 200
_MOST_WORKERS = 200
OTHER_WORKERS = "others"
"""Name of the sum over workers beyond the first two hundred."""
_NUMBER = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*(?!\w)")


@dataclass(slots=True)
class Cause:
    """One reason for which scenes failed.

    Attributes:
        text: the cause, the scene's own name replaced by ``…``; numbers too, where scenes differ in them only.
        exit_code: exit code that ``geoseg predict`` would give.
        count: number of scenes.
        example: name of one of them.
    """

    text: str
    exit_code: int | None
    example: str
    count: int = 0

    @property
    def pattern(self) -> str:
        """The cause without numbers: places in a file, sizes and the like."""
        return _NUMBER.sub("…", self.text)


@dataclass(slots=True)
class Facts:
    """Totals over scenes.

    Attributes:
        states: number of scenes in each state.
        areas_m2: true area of each class, over finished scenes.
        pixels: of finished scenes' grids.
        valid_pixels: number of those that got a class.
        stages_s: seconds by stage, over finished scenes.
        seconds: of each finished scene, from its begin to its end.
        blocks: of finished scenes: total, predicted, empty, resumed.
        workers: work of each process over finished scenes, by its name; beyond 200 of them in one sum.
        retried: scenes that took more than one attempt.
        causes: causes of failures, the first 200 different ones, by exit code and pattern.
        groups: class areas of finished scenes by folder and month.
        first: when the first attempt began.
        last: when the last one ended.
    """

    states: Counter[str] = field(default_factory=Counter)
    areas_m2: dict[str, float] = field(default_factory=dict)
    pixels: int = 0
    valid_pixels: int = 0
    stages_s: dict[str, float] = field(default_factory=dict)
    seconds: array[float] = field(default_factory=lambda: array("d"))
    blocks: Counter[str] = field(default_factory=Counter)
    workers: dict[str, WorkerUse] = field(default_factory=dict)
    retried: int = 0
    causes: dict[tuple[int | None, str], Cause] = field(default_factory=dict)
    groups: Groups = field(default_factory=Groups)
    first: datetime | None = None
    last: datetime | None = None

    @classmethod
    def of(cls, records: Iterable[SceneRecord]) -> Self:
        """Sum up the given records."""
        facts = cls()
        for record in records:
            facts.add(record)
        return facts

    @property
    def scenes(self) -> int:
        """Number of scenes."""
        return sum(self.states.values())

    @property
    def area_m2(self) -> float:
        """True ground area that got a class, m²."""
        return sum(self.areas_m2.values())

    @property
    def elapsed_s(self) -> float:
        """Seconds from the first start to the last end, pauses between runs included; 0 when nothing was tried."""
        return 0.0 if self.first is None or self.last is None else max(0.0, (self.last - self.first).total_seconds())

    def add(self, record: SceneRecord) -> None:
        """Add one scene."""
        self.states[record.state] += 1
        self.retried += record.attempts > 1
        if record.started is not None:
            self.first = record.started if self.first is None else min(self.first, record.started)
        if record.finished is not None:
            self.last = record.finished if self.last is None else max(self.last, record.finished)
        if record.state == "failed":
            self._add_cause(record)
        if record.state != "done":
            return
        self.pixels += record.pixels
        self.valid_pixels += record.valid_pixels
        self.blocks.update(record.blocks)
        self.seconds.append(seconds_of(record))
        self.groups.add(record)
        for use in record.workers:
            self._add_worker(use)
        for name, area_m2 in record.class_areas_m2.items():
            self.areas_m2[name] = self.areas_m2.get(name, 0.0) + area_m2
        for stage, seconds in stages_of(record).items():
            self.stages_s[stage] = self.stages_s.get(stage, 0.0) + seconds

    def _add_worker(self, use: WorkerUse) -> None:
        name = use.name if use.name in self.workers or len(self.workers) < _MOST_WORKERS else OTHER_WORKERS
        self.workers[name] = self.workers.get(name, WorkerUse(name=name)) + use

    def _add_cause(self, record: SceneRecord) -> None:
        text = record.cause or "no cause was recorded"
        for own in sorted({record.uri, record.name, record.uri.rsplit("/", 1)[-1]}, key=len, reverse=True):
            text = text.replace(own, "…") if own else text
        cause = Cause(text=text, exit_code=record.exit_code, example=record.name)
        key = (record.exit_code, cause.pattern)
        if key not in self.causes:
            if len(self.causes) >= _MOST_CAUSES:
                key, cause = (None, ""), Cause(text="other causes", exit_code=None, example=record.name)
            self.causes.setdefault(key, cause)
        if key[1] and self.causes[key].text != text:
            self.causes[key].text = cause.pattern
        self.causes[key].count += 1


def seconds_of(record: SceneRecord) -> float:
    """Duration of a scene's last attempt in seconds; some records hold start and end to the second only."""
    stages = sum(stages_of(record).values())
    if record.started is None or record.finished is None:
        return stages
    return max(stages, (record.finished - record.started).total_seconds())


def stages_of(record: SceneRecord) -> dict[str, float]:
    """Seconds by stage; the names of the stages without their unit."""
    return {stage.removesuffix("_s"): seconds for stage, seconds in record.timings.items()}
