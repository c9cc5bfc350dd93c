"""StoreOutput: an archive's output on an object store; scenes are made in a folder and brought there when whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from geoseg.archive.manifest import Entry
from geoseg.archive.outputs.run_pulse import RunPulse
from geoseg.archive.outputs.store_manifest import StoreManifest, reading, writing
from geoseg.errors import UsageError
from geoseg.io.files.writing import make_durable_folder, write_json
from geoseg.io.objects.object_folder import ANY, ObjectFolder
from geoseg.io.publish.bundle import ARCHIVE_RECORDS
from geoseg.io.publish.finished_output import RUN_RECORD

_MARK = ".geoseg/published"


class StoreOutput:
    """An archive's output under ``s3://bucket/prefix``, laid out as in a folder.

    Of a scene the layers come first, then ``run.json``, then its record: who believes the records never sees half a
    scene. Several runs may write there at once.

    Args:
        address: the place on the store.
        work: folder of this machine where scenes are made; one run uses it at a time.

    Raises:
        UsageError: see ``ObjectFolder``.
    """

    def __init__(self, address: str, work: Path) -> None:
        self.folder = ObjectFolder(address)
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
        shutil.rmtree(self._work / layers, ignore_errors=True)

    @property
    def published(self) -> bool:
        """See ``Output``."""
        if self._marked is None:
            with reading(self.folder):
                self._marked = self.folder.head(_MARK) is not None
        return self._marked

    def mark(self, *, published: bool) -> None:
        """See ``Output``; another run may have set the mark since this one removed it, so it is removed each time."""
        if published and self._marked:
            return
        with writing(self.folder, _MARK):
            if published:
                self.folder.write(_MARK, b"", replaces=ANY)
            else:
                self.folder.remove(_MARK)
        self._marked = published
