"""A slot is held while networks run: not while scenes are opened and hashed, not while layers are written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from geoseg.archive.executor import archive_executor
from geoseg.archive.run import run_archive
from geoseg.run import stages
from geoseg.run.dask_executor import DaskExecutor
from geoseg.run.executor import LocalExecutor


class Slot:
    """Counts how many scenes hold it, and how often it was taken."""

    def __init__(self) -> None:
        self.held = self.taken = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        self.held, self.taken = self.held + 1, self.taken + 1
        try:
            yield
        finally:
            self.held -= 1


class Watcher:
    """Notes whether a slot is held at each stage of a scene."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.seen: list[tuple[str, int]] = []

    def stage(self, name: str, total_px: int, done_px: int = 0) -> None:
        self.seen.append((name, self.slot.held))

    def advance(self, pixels: int) -> None:
        if self.seen[-1][0] in {"predict", "block"}:
            self.seen.append(("block", self.slot.held))

    def note(self, text: str) -> None: ...


def test_one_process_holds_it_while_blocks_are_predicted(make_archive: Any, monkeypatch: Any) -> None:
    slot = Slot()
    watcher = Watcher(slot)
    begun = stages.start_run
    monkeypatch.setattr(
        "geoseg.run.predict.start_run",
        lambda *a, **k: watcher.stage("open", 0) or begun(*a, **k),  # type: ignore[func-returns-value]
    )
    config = make_archive(2)
    with archive_executor(config, slot=slot) as workers:
        assert isinstance(workers, LocalExecutor)
        run_archive(config, workers=workers, reporter=watcher)
    held = {name: {number for stage, number in watcher.seen if stage == name} for name, _ in watcher.seen}
    assert held["block"] == {1}
    assert {name for name, numbers in held.items() if numbers != {0}} == {"block"}, watcher.seen
    assert {"open", "layers"} <= held.keys()
    assert (slot.taken, slot.held) == (2, 0)
    run_archive(config, workers=LocalExecutor(slot=slot))
    assert slot.taken == 2, "nothing is left to predict"


def test_a_cluster_holds_it_while_blocks_are_predicted(crew_of_two: Any, make_archive: Any, monkeypatch: Any) -> None:
    slot, seen = Slot(), list[tuple[str, int]]()
    workers = DaskExecutor(crew_of_two._client, threads=1, slot=slot)
    submit = workers._client.submit

    def noted(call: Any, *args: Any, **options: Any) -> Any:
        seen.append((call.__name__, slot.held))
        return submit(call, *args, **options)

    monkeypatch.setattr(workers._client, "submit", noted)
    config = make_archive(1)
    run_archive(config, workers=workers)
    held = {name: {number for call, number in seen if call == name} for name, _ in seen}
    assert held == {
        "describe_on_worker": {0},
        "start_on_worker": {0},
        "predict_on_worker": {1},
        "finish_on_worker": {0},
    }
    assert (slot.taken, slot.held) == (1, 0)
