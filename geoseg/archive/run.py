"""One run over an archive: a bounded number of scenes in flight on one set of workers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field

from geoseg.archive.archive import Archive
from geoseg.archive.config import ArchiveConfig
from geoseg.archive.executor import MOST_SCENES, archive_executor, scenes_in_flight
from geoseg.archive.record import SceneRecord
from geoseg.archive.sources.config import FolderSource
from geoseg.archive.sources.files import watch_scenes
from geoseg.archive.sources.scene_ref import SceneRef
from geoseg.errors import UsageError
from geoseg.run.executor import Executor
from geoseg.run.output_state import remove_unfinished
from geoseg.run.report import Reporter, Silence
from geoseg.run.stages import run_paths

_LOOK_AGAIN_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveReport:
    """Result of a run over an archive.

    Attributes:
        done: scenes finished in this run.
        skipped: scenes that were done before.
        failed: scenes that failed in this run, or in one that was stopped before it could report them.
        known_bad: scenes that failed in an earlier run and were not tried again, as nothing changed.
        elsewhere: scenes that other runs on the same store have taken.
    """

    done: int
    skipped: int
    failed: tuple[SceneRecord, ...]
    known_bad: tuple[SceneRecord, ...] = ()
    elsewhere: int = 0

    @property
    def exit_code(self) -> int:
        """0, or 7 when scenes failed."""
        return 7 if self.failed else 0


def run_archive(
    config: ArchiveConfig,
    *,
    workers: Executor | None = None,
    reporter: Reporter | None = None,
    on_record: Callable[[SceneRecord], None] | None = None,
    retry_failed: bool = False,
    watch: threading.Event | None = None,
) -> ArchiveReport:
    """Segment all scenes of an archive that are not done, and publish its catalogue, index, map and reports.

    Args:
        config: the archive.
        workers: executor of the run; default: from the configuration, started only when there is work.
        reporter: receives progress, in pixels, and failures.
        on_record: called with the record of each scene that was tried, in the run's own thread.
        retry_failed: try all failed scenes again.
        watch: watch a folder for new and changed files until this event is set; the catalogue is published
            whenever no scene is pending.

    Raises:
        OutputError: another run works on the archive.
        ClusterLostError: the workers were lost; finished scenes are kept.
        ModelError, UsageError, ResourceError: the run cannot start.
    """
    reporter = reporter or Silence()
    with Archive.open(config, reporter=reporter) as archive, ExitStack() as opened:
        run = _Run(archive, workers, reporter, on_record or _ignore, opened)
        try:
            for ref, record in archive.iter_status() if watch is None else _watched(archive, watch):
                if ref is None or record is None:
                    run.collect(most=None)
                    if not run.running:
                        _publish(archive, reporter)
                elif archive.needs_run(record, retry_failed=retry_failed):
                    run.submit(ref)
                elif archive.elsewhere(record):
                    run.elsewhere[ref.name] = ref
                else:
                    run.count_skipped(record)
                if archive.lost is not None:
                    break
            run.collect(most=0)
            if config.on_lock == "wait":
                run.wait_for_others(retry_failed=retry_failed)
        except BaseException:
            archive.close()  # before the workers go, so that no scene is blamed for their going
            raise
        if archive.lost is not None:
            raise archive.lost
        _publish(archive, reporter)
        return run.report()


def _publish(archive: Archive, reporter: Reporter) -> None:
    if not archive.published:
        reporter.stage("catalogue", 0)
        archive.publish()


def _watched(archive: Archive, stop: threading.Event) -> Iterator[tuple[SceneRef, SceneRecord] | tuple[None, None]]:
    config, source = archive.config, archive.config.source
    if not isinstance(source, FolderSource):
        raise UsageError(f"source: {source.kind}: only a folder can be watched.")
    archive.take_in()
    met: dict[str, SceneRef] = {}  # scenes whose neighbour came or changed, perhaps while they were in work
    for ref in watch_scenes(source, stop, allow_vrt=config.opening.allow_vrt, leave_out=config.out):
        if ref is not None:
            met |= {other.name: other for other in archive.admit(ref)}
            yield ref, archive.status_of(ref)
            continue
        for other in list(met.values()):
            record = archive.status_of(other)
            if record.state == "waiting":
                yield other, record
            elif record.state != "running":
                del met[other.name]
        yield None, None


def _ignore(record: SceneRecord) -> None:
    del record


@dataclass(slots=True)
class _Run:
    """State of a run: scenes in flight, those that other runs have taken, and counts of the others."""

    archive: Archive
    workers: Executor | None
    reporter: Reporter
    on_record: Callable[[SceneRecord], None]
    opened: ExitStack
    pool: ThreadPoolExecutor | None = None
    window: int = 0
    running: set[Future[SceneRecord]] = field(default_factory=set)
    done: int = 0
    skipped: int = 0
    failed: list[SceneRecord] = field(default_factory=list)
    known_bad: list[SceneRecord] = field(default_factory=list)
    elsewhere: dict[str, SceneRef] = field(default_factory=dict)
    submitted: dict[str, SceneRef] = field(default_factory=dict)

    def submit(self, ref: SceneRef) -> None:
        """Start a scene when fewer than the largest number are in flight."""
        workers = self._opened_executor()
        self.submitted[ref.name] = ref
        if not workers.concurrent:
            self._note(self.archive.segment(ref, workers, reporter=self.reporter))
            return
        assert self.pool is not None  # noqa: S101 - _opened_executor makes it
        self.collect(most=self.window - 1)
        self.running.add(self.pool.submit(self.archive.segment, ref, workers))

    def collect(self, most: int | None) -> None:
        """Collect finished scenes; wait until at most the given number are in flight, or do not wait."""
        while True:
            ended = {future for future in self.running if future.done()}
            self.running -= ended
            for future in ended:
                self._note(future.result())
            if most is None or len(self.running) <= most:
                return
            wait(self.running, return_when=FIRST_COMPLETED)

    def count_skipped(self, record: SceneRecord) -> None:
        """Count a skipped scene."""
        if self.archive.known_bad(record):
            self.known_bad.append(record)
        elif record.state == "failed":
            self.failed.append(record)
        else:
            self.skipped += 1
            remove_unfinished(run_paths(self.archive.config.out, record.name))

    def wait_for_others(self, *, retry_failed: bool) -> None:
        """Wait until no scene is in work elsewhere; take over those of runs that died."""
        while self.elsewhere and self.archive.lost is None:
            time.sleep(_LOOK_AGAIN_S)
            for ref in list(self.elsewhere.values()):
                record = self.archive.status_of(ref)
                if self.archive.elsewhere(record):
                    continue
                del self.elsewhere[ref.name]
                if self.archive.needs_run(record, retry_failed=retry_failed):
                    self.submit(ref)
                else:
                    self.count_skipped(record)
            self.collect(most=0)

    def report(self) -> ArchiveReport:
        """Return the result of the run."""
        return ArchiveReport(
            done=self.done,
            skipped=self.skipped,
            failed=tuple(self.failed),
            known_bad=tuple(self.known_bad),
            elsewhere=len(self.elsewhere),
        )

    def _opened_executor(self) -> Executor:
        if self.window == 0:
            self.pool = ThreadPoolExecutor(MOST_SCENES, thread_name_prefix="scene")
            # closed after the workers: once they are stopped, threads that wait for them end
            self.opened.callback(self.pool.shutdown, wait=True, cancel_futures=True)
            if self.workers is None:
                self.workers = self.opened.enter_context(archive_executor(self.archive.config))
            self.archive.load(self.workers)
            self.reporter.stage("archive", 0)
        assert self.workers is not None  # noqa: S101 - set above
        self.window = scenes_in_flight(self.archive.config, self.workers)
        return self.workers

    def _note(self, record: SceneRecord) -> None:
        ref = self.submitted.pop(record.name, None)
        if record.state == "running" and ref is not None:
            self.elsewhere[ref.name] = ref
        if record.state in {"waiting", "running"}:
            return
        if record.state == "done":
            self.done += 1
            self.reporter.advance(record.pixels)
        else:
            self.failed.append(record)
            self.reporter.note(f"failed: {record.cause}")
        self.on_record(record)
