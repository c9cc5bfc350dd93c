"""StoreOutput: an archive's output on an object store; scenes are made in a folder and brought there when whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from geoseg.archive.manifest import Entry
from geoseg.archive.outputs.published_place import PublishedPlace
from geoseg.archive.outputs.run_pulse import RunPulse
from geoseg.archive.outputs.store_copy import StoreCopy
from geoseg.archive.outputs.store_manifest import StoreManifest, reading, writing
from geoseg.errors import UsageError
from geoseg.io.files.writing import make_durable_folder, write_json
from geoseg.io.objects.object_folder import ObjectChangedError, ObjectFolder
from geoseg.io.publish.bundle import ARCHIVE_RECORDS
from geoseg.io.publish.finished_output import RUN_RECORD

_MARK = ".geoseg/published"
_COPY = ".published"
_TRIES = 5


class StoreOutput:
    """An archive's output under ``s3://bucket/prefix``, laid out as in a folder.

    Of a scene the layers come first, then ``run.json``, then its record: who believes the records never sees half a
    scene. Several runs may write there at once.

    Args:
        address: the place on the store.
        work: folder of this machine where scenes are made; one run uses it at a time.
        joined: whether one layer over all scenes is published.

    Raises:
        UsageError: see ``ObjectFolder``.
    """

    def __init__(self, address: str, work: Path, *, joined: bool = False) -> None:
        self.folder = ObjectFolder(address)
        self._copy = StoreCopy(self.folder, work / _COPY, joined=joined)
        self.entries = StoreManifest(self.folder)
        self._pulse = RunPulse(self.folder)
        self._work = work
        self._last_run = work / ".geoseg" / "run.json"
        self._dead = ""
        self._marked: bool | None = None

    @contextmanager
    def held(self, run: str) -> Iterator[None]:
        """See ``Output``: the run gives signs of life, and the last one of this folder counts as dead.

        Raises:
            UsageError: the folder where scenes are made holds an archive, whose layers would be moved away.
        """
        if (self._work / ARCHIVE_RECORDS).is_dir():
            raise UsageError(
                f"{self._work}: holds an archive of its own, whose layers would be moved to {self.folder.address}. "
                "Choose another folder as out."
            )
        with suppress(OSError, ValueError, KeyError, TypeError):
            self._dead = str(json.loads(self._last_run.read_bytes())["run"])
        make_durable_folder(self._last_run.parent)
        write_json(self._last_run, {"run": run})
        with writing(self.folder, ".geoseg"):
            self._pulse.beat(run)
        with self._pulse.beating(run):
            yield

    def is_alive(self, run: str) -> bool:
        """See ``Output``."""
        if not run or run == self._dead:
            return False
        with reading(self.folder):
            return self._pulse.is_alive(run)

    def stands(self, entry: Entry) -> bool:
        """See ``Output``: compare the ETags that the store lists."""
        with reading(self.folder):
            there = {state.path: state.e_tag for state in self.folder.list(entry.record.layers)}
        return bool(entry.objects) and all(
            there.get(f"{entry.record.layers}/{name}") == e_tag for name, e_tag in entry.objects.items()
        )

    def deliver(self, entry: Entry) -> Entry:
        """See ``Output``."""
        if entry.record.state != "done":
            return entry
        record = entry.record
        made = sorted(path for path in (self._work / record.layers).iterdir() if path.is_file())
        objects: dict[str, str] = {}
        for path in sorted(made, key=lambda path: path.name == RUN_RECORD):
            self.entries.check_claim(record.name)
            with writing(self.folder, record.name):
                objects[path.name] = self.folder.upload(f"{record.layers}/{path.name}", path)
        return replace(entry, objects=objects)

    def settle(self, entry: Entry) -> None:
        """See ``Output``: remove the scene's folder here, and objects there that are of its earlier layers."""
        if entry.record.state != "done":
            return
        layers = entry.record.layers
        with suppress(OSError):  # they are in nobody's way
            for state in self.folder.list(layers):
                if state.path.removeprefix(f"{layers}/") not in entry.objects:
                    self.folder.remove(state.path)
        with suppress(OSError):  # what is not kept here is fetched when it is needed
            self._copy.take(entry, self._work / layers)
        shutil.rmtree(self._work / layers, ignore_errors=True)

    @property
    def published(self) -> bool:
        """See ``Output``."""
        if self._marked is None:
            with reading(self.folder):
                found = self.folder.head(_MARK)
            self._marked = found is not None and not found.size_bytes
        return self._marked

    def mark_outdated(self) -> None:
        """See ``Output``; the mark is removed each time, as another run may have published since."""
        with writing(self.folder, _MARK):
            self.folder.remove(_MARK)
        self._marked = False

    @contextmanager
    def publishing(self, run: str) -> Iterator[PublishedPlace | None]:
        """See ``Output``: the mark names the run that publishes; who finishes a scene meanwhile removes it."""
        claim = self._claimed(run)
        if claim is None:
            yield None
            return
        with reading(self.folder):
            place = self._copy.fetch(self.entries.entries())
        yield place
        self._copy.bring(taken_over=lambda: self._taken_over(run))
        with writing(self.folder, _MARK):
            try:
                self.folder.write(_MARK, b"", replaces=claim)
            except ObjectChangedError:  # another run has finished a scene meanwhile, and publishes when it ends
                return
        self._marked = True

    def text_of(self, name: str) -> str:
        """See ``Output``."""
        with reading(self.folder):
            found = self.folder.read(name)
        return "" if found is None else found[0].decode(errors="replace")

    def address_of(self, path: Path) -> str:
        """See ``Output``."""
        return f"{self.folder.address}/{path.relative_to(self._copy.root).as_posix()}"

    def _taken_over(self, run: str) -> bool:
        """Return True if the mark names another run, for which this one was dead."""
        with reading(self.folder):
            found = self.folder.read(_MARK)
        return found is not None and found[0] != run.encode()

    def _claimed(self, run: str) -> str | None:
        """Write into the mark that a run publishes; None if another one does, from which nothing is missing."""
        for _ in range(_TRIES):
            with reading(self.folder):
                found = self.folder.read(_MARK)
            publisher = "" if found is None else found[0].decode(errors="replace")
            if publisher != run and self.is_alive(publisher):
                return None
            with writing(self.folder, _MARK), suppress(ObjectChangedError):
                return self.folder.write(_MARK, run.encode(), replaces=None if found is None else found[1])
        return None
