"""Archive: its scenes, its lock, and the record of each scene."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self
from uuid import uuid4

from geoseg.archive.config import ArchiveConfig, in_configuration
from geoseg.archive.fingerprints import Files, state_of
from geoseg.archive.manifest import Entry
from geoseg.archive.neighbours import Neighbour, Neighbourhood
from geoseg.archive.one_layer.sheets import sheets_of
from geoseg.archive.one_layer.write import FOLDER, write_one_layer
from geoseg.archive.outputs.output import output_of
from geoseg.archive.publish import ArchiveFiles, publish_archive
from geoseg.archive.record import SceneRecord
from geoseg.archive.scene_run import Outcome, SceneRun, SceneTask, failed_by, printable_uri
from geoseg.archive.sources.find import find_scenes
from geoseg.archive.sources.scene_ref import SceneRef
from geoseg.core.card import ModelCard
from geoseg.core.digest import sha256_of_json
from geoseg.core.types.json_value import UntypedDict
from geoseg.errors import ClaimedError, ClusterLostError, GeosegError, OutputError, SceneError, WriteError
from geoseg.io.files.drivers import is_remote
from geoseg.io.files.output_lock import holder, locked
from geoseg.io.polygons.vector_formats import writer_for
from geoseg.models.ensemble import card_of, file_of
from geoseg.models.model import Model
from geoseg.run.executor import Executor
from geoseg.run.report import Reporter, Silence

_LOOK_AGAIN_S = 0.5


class Archive:
    """An archive. An instance made directly is for reading; ``Archive.open`` takes the lock that writing needs.

    Attributes:
        config: its configuration.
        card: card of its model.
        model_digest: digest of the card, the weights (of an ensemble: of all members) and the requested runtime.
        options_digest: digest of all options that change a layer; the digest of a scene also covers the band names
            that its source gives.
        lost: reason for which the workers were lost; None while they are available.

    Raises:
        ModelError: the model does not exist or its card is broken.

    Examples:
        >>> with Archive.open(config) as archive, archive_executor(config) as workers:  # doctest: +SKIP
        ...     records = [archive.segment(ref, workers) for ref in archive.left()]
    """

    def __init__(self, config: ArchiveConfig) -> None:
        self.config = config
        self.card: ModelCard = card_of(config.model)
        asked = {"device": config.device, "runtime": config.runtime, "precision": config.precision}
        self.model_digest = sha256_of_json({"card": self.card.identity(config.precision), "asked": asked})
        self.options_digest = config.options_digest()
        self._opening = sha256_of_json(config.opening.model_dump(mode="json"))
        self.lost: ClusterLostError | None = None
        self.output = output_of(config)
        self._held = False
        self._run = uuid4().hex
        self._scenes = SceneRun(config, self.card)
        self._near: Neighbourhood | None = None
        if config.neighbours == "auto":
            self._near = Neighbourhood(config.out, config.opening.options(), self._reach_px())
        self._state = threading.Lock()
        self._in_flight: dict[str, str] = {}
        self._reported = self.published

    @classmethod
    @contextmanager
    def open(cls, config: ArchiveConfig, *, reporter: Reporter | None = None) -> Iterator[Self]:
        """Hold the archive's lock for the duration of the ``with``; the lock of a process that died counts as free.

        Args:
            config: the archive.
            reporter: receives a note that names the run being waited for.

        Raises:
            UsageError: PMTiles are requested and their packages are not installed.
            OutputError: another run works on it and ``config.on_lock`` is ``refuse``.
            ModelError: the model does not exist or its card is broken.
            WriteError: the output folder or store cannot be written.
        """
        if config.one_layer == "pmtiles":
            writer_for(config.out / FOLDER / "all.pmtiles")  # before any scene is segmented
        archive = cls(config)
        with ExitStack() as held:
            last_note = ""
            while True:
                try:
                    held.enter_context(locked(archive.lock, config.out))
                    held.enter_context(archive.output.held(archive._run))
                    break
                except WriteError as error:
                    error.reword(in_configuration)
                    raise
                except OutputError as error:
                    error.reword(in_configuration)
                    if config.on_lock == "refuse":
                        raise
                    if str(error) != last_note and reporter is not None:
                        reporter.note(f"waiting: {error}")
                    last_note = str(error)
                    time.sleep(_LOOK_AGAIN_S)
            archive._held = True
            archive._reported = archive.published
            try:
                yield archive
            except GeosegError as error:
                error.reword(in_configuration)
                raise
            finally:
                archive.close()

    @property
    def lock(self) -> Path:
        """The archive's lock file."""
        return self.config.out / ".geoseg" / "archive.lock"

    def iter_status(self) -> Iterator[tuple[SceneRef, SceneRecord]]:
        """List every scene of the source with its current state; no pixels are read.

        Raises:
            UsageError, SceneError: the source does not exist, cannot be read or holds no scene.
        """
        running, empty = not self._held and holder(self.lock) is not None, True
        for ref in self._found():
            empty = False
            yield ref, self.status_of(ref, running=running)
        if empty and not self.config.allow_empty:
            cure = "Check that it is mounted, its glob and its filters; set allow_empty: true where it may be empty."
            raise SceneError(str(self.config.source.path), "there is no scene in the archive's source.", cure)

    def _found(self) -> Iterable[SceneRef]:
        """List the scenes of the source; where neighbours count, all are taken into their index first."""
        if self._near is None:
            return find_scenes(self.config)
        remote = self.config.opening.allow_remote and self._held
        states = [(ref, state_of(ref, allow_remote=remote)) for ref in find_scenes(self.config)]
        self._near.load(states, open_new=self._held)
        # a server is asked for the state of a scene once
        return [replace(ref, stamp=ref.stamp or stamp) for ref, (_, stamp) in states]

    def take_in(self) -> None:
        """Take the scenes that are there into the index of neighbours, before the first is segmented."""
        if self._near is not None:
            self._found()

    def admit(self, ref: SceneRef) -> list[SceneRef]:
        """Take a new or changed scene into the index of neighbours; return the scenes whose neighbour it is or was."""
        if self._near is None:
            return []
        return self._near.add(ref, state_of(ref, allow_remote=self.config.opening.allow_remote))

    def iter_records(self) -> Iterator[SceneRecord]:
        """List the state of every scene of the source, each once, then the finished scenes that left the source.

        Raises:
            UsageError, SceneError: see ``iter_status``.
        """
        seen = set()
        for ref, record in self.iter_status():
            if ref.name not in seen:
                seen.add(ref.name)
                yield record
        yield from (record for record in self.records() if record.state == "done" and record.name not in seen)

    def status_of(self, ref: SceneRef, *, running: bool = False) -> SceneRecord:
        """Return the record of one scene; ``waiting`` if never tried, or tried with other imagery, model or options.

        Args:
            ref: the scene.
            running: True if a run is active, so that a started scene may still be in progress.
        """
        entry = self.output.entries.entry(ref.name)
        waiting = SceneRecord(name=ref.name, uri=printable_uri(ref.uri))
        of_now = entry is not None and self._of_now(entry, ref)
        if entry is not None and entry.record.state == "running":
            in_work = self._is_elsewhere(entry) or (of_now and (running or entry.run == self._run))
            return entry.record if in_work else waiting
        if entry is None or not of_now:
            return waiting
        now = state_of(ref, entry.files, allow_remote=self.config.opening.allow_remote)
        if (entry.files, entry.stamp) != now or self._meets_others(entry, ref):
            return waiting
        if entry.record.state == "failed":
            return entry.record if entry.opening == self._opening else waiting
        if is_remote(ref.uri) and not entry.stamp:
            return waiting
        return waiting if entry.record.state == "done" and not self.output.stands(entry) else entry.record

    def left(self, *, retry_failed: bool = False) -> Iterator[SceneRef]:
        """Iterate over the scenes that are not done for this imagery, model and options.

        A refused scene is skipped until it, the model or an option changes; a scene that failed for lack of disk,
        memory or network is tried again.

        Args:
            retry_failed: try all failed scenes again.
        """
        for ref, record in self.iter_status():
            if self.needs_run(record, retry_failed=retry_failed):
                yield ref

    def needs_run(self, record: SceneRecord, *, retry_failed: bool = False) -> bool:
        """Return True if the scene of this record must be segmented; see ``left``.

        ``retry_failed`` also tries again the scenes that were done without a damaged neighbour.
        """
        if record.state == "done":
            return retry_failed and bool(record.left_out)
        return record.state == "waiting" or (record.state == "failed" and (retry_failed or record.transient))

    def known_bad(self, record: SceneRecord) -> bool:
        """Return True if a scene failed in an earlier run that reported it, so that this run skips it."""
        return record.state == "failed" and not record.transient and self._reported

    def load(self, workers: Executor) -> Model:
        """Load the model on the workers first, so that an error of the model is not recorded as one of a scene.

        Raises:
            ModelError, ResourceError, UsageError: it cannot be loaded.
        """
        return self._scenes.model(workers)

    def segment(self, ref: SceneRef, workers: Executor, *, reporter: Reporter | None = None) -> SceneRecord:
        """Segment one scene; may be called from several threads.

        A bad scene gives a failed record, with its cause and the exit code of ``geoseg predict``. If the archive is
        closed meanwhile, the workers are lost (``lost``), or another thread is segmenting the same scene, the scene
        stays ``waiting``. One that another run on the same store has taken is ``running``.

        Args:
            ref: the scene.
            workers: executor that segments it.
            reporter: receives progress.
        """
        waiting = SceneRecord(name=ref.name, uri=printable_uri(ref.uri))
        with self._state:
            if self._scenes.stopped.is_set() or self.lost is not None:
                return waiting
            if self._in_flight.get(ref.name) == ref.uri:  # a list may hold it twice; whoever has it does it
                return waiting
            if ref.name in self._in_flight:
                return failed_by(waiting, OutputError(f"{ref.uri}: a scene of the same name, {ref.name}, is in work."))
            self._in_flight[ref.name] = ref.uri
        try:
            return self._segment(ref, workers, reporter or Silence()) or waiting
        except ClaimedError:
            return waiting.model_copy(update={"state": "running"})
        except ClusterLostError as error:
            self.lost = error
            return waiting
        finally:
            with self._state:
                del self._in_flight[ref.name]

    def records(self) -> Iterator[SceneRecord]:
        """Iterate over the records of all scenes that were ever tried, including those that left the source."""
        yield from self.output.entries.records()

    @property
    def published(self) -> bool:
        """True if catalogue, index, map and reports cover all scenes that were tried."""
        return self.output.published

    def publish(self, *, title: str = "", untried: bool = False) -> ArchiveFiles | None:
        """Write catalogue, index, map and reports of all records.

        Args:
            title: title instead of the configuration's.
            untried: list the scenes of the source that were not tried too.

        Returns:
            Paths of the files; None if another run on the same store is publishing the same.

        Raises:
            WriteError: the disk is full or fails, or the store refuses.
            ResourceError: the store cannot be reached.
        """
        config = self.config
        with self.output.publishing(self._run) as place:
            if place is None:
                return None
            files = publish_archive(
                place.folder,
                self.iter_records() if untried else place.records(),
                legend=self.card.legend,
                title=title or config.title or config.out.name,
                model=file_of(config.model),
                there=place.there,
            )
            if config.one_layer != "none":
                sheets = sheets_of(place.folder, place.records())
                write_one_layer(place.folder, sheets, self.card.legend, pmtiles=config.one_layer == "pmtiles")
        return files

    def close(self) -> None:
        """Release the archive; scenes in flight end without a record."""
        self._scenes.stopped.set()

    def _segment(self, ref: SceneRef, workers: Executor, reporter: Reporter) -> SceneRecord | None:
        before = self.output.entries.entry(ref.name)
        if before is not None and self._is_elsewhere(before):
            return before.record
        uri = printable_uri(ref.uri)
        known = () if before is None else before.files
        files, stamp = state_of(ref, known, allow_remote=self.config.opening.allow_remote)
        record = SceneRecord(
            name=ref.name,
            uri=uri,
            time=ref.time,
            state="running",
            model_digest=self.model_digest,
            options_digest=self._options_of(ref),
        )
        if before is not None and before.run == self._run and before.record.uri != uri:
            return failed_by(record, OutputError(f"{uri}: {before.record.uri} has the same name, {ref.name}."))
        if before is not None and before.record.uri != uri and _is_another(before, ref):
            cause = f"{self.config.place}/{ref.name} holds the layers of {before.record.uri}, which is still there"
            return failed_by(record, OutputError(f"{uri}: {cause}. Choose another out, one for each archive."))
        same = before is not None and self._of_now(before, ref) and (before.files, before.stamp) == (files, stamp)
        tried = before.record.attempts if before is not None and same else 0
        around = () if self._near is None else self._near.of(ref.name)

        def keep(changed: SceneRecord, outcome: Outcome | None = None) -> SceneRecord:
            self.output.mark_outdated()
            read: Files = files if outcome is None else files | outcome.files
            layers = {} if outcome is None else outcome.layers
            run: UntypedDict = {"run": self._run, "opening": self._opening, "neighbours": _states(around)}
            entry = self.output.deliver(Entry(record=changed, files=read, stamp=stamp, layers=layers, **run))
            self.output.entries.write(entry)
            self.output.settle(entry)
            return changed

        task = SceneTask(ref=ref, record=record, neighbours=tuple(one.uri for one in around), tried=tried)
        return self._scenes.run(task, workers, reporter=reporter, keep=keep)

    def _meets_others(self, entry: Entry, ref: SceneRef) -> bool:
        """Return True if a scene was done with other neighbours than it has, and shall be done again for that.

        Entries of versions that knew no neighbours stand.
        """
        if entry.neighbours is None or not self.config.redo_neighbours:
            return False
        around = () if self._near is None else self._near.of(ref.name)
        return entry.neighbours != _states(around)

    def _reach_px(self) -> int:
        """Return the distance in pixels within which a scene is a neighbour: the largest halo, and a CRF's context."""
        spec = self.config.predict
        crf_px = 0 if spec.crf is None else spec.crf.reach_px
        return crf_px + 1 + max(self.card.halo_px if spec.halo_px is None else spec.halo_px, 1)

    def _options_of(self, ref: SceneRef) -> str:
        return self.options_digest if ref.bands is None else sha256_of_json([self.options_digest, list(ref.bands)])

    def _of_now(self, entry: Entry, ref: SceneRef) -> bool:
        record = entry.record
        return (record.model_digest, record.options_digest) == (self.model_digest, self._options_of(ref))

    def elsewhere(self, record: SceneRecord) -> bool:
        """Return True if another run on the same store is segmenting a scene, by its record from ``iter_status``."""
        return self.config.store is not None and record.state == "running" and record.name not in self._in_flight

    def _is_elsewhere(self, entry: Entry) -> bool:
        running = entry.record.state == "running" and entry.run != self._run
        return running and self.output.is_alive(entry.run)


def _states(around: Iterable[Neighbour]) -> dict[str, str]:
    return {one.name: one.state for one in around}


def _is_another(entry: Entry, ref: SceneRef) -> bool:
    """Return True if finished layers were made from other imagery than this scene, which still exists unchanged.

    Imagery of the same file names and sizes counts as a copy; missing or changed imagery counts as replaced.
    """
    if entry.record.state != "done" or not entry.files:
        return False
    there, _ = state_of(SceneRef(name=ref.name, uri=entry.record.uri), entry.files)
    own, _ = state_of(ref)
    return there == entry.files and _sizes(there) != _sizes(own)


def _sizes(files: Files) -> list[tuple[str, int]]:
    return sorted((Path(name).name, size) for name, (size, _) in files.items())
