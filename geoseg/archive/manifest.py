"""The manifest: the record of each scene on disk, one small file per scene, written atomically.

    OUT/.geoseg/scenes/3f/NAME.json     3f: the first byte of the name's SHA-256, so that no folder grows too large

There is no index to be kept in step with the files: to ask for one scene is to open one file. So nothing has to be
repaired after a crash, and the memory of a run does not grow with its archive.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from geoseg.archive.fingerprints import Files
from geoseg.archive.record import SceneRecord
from geoseg.core.types.json_value import JsonDict, UntypedDict
from geoseg.errors import WriteError
from geoseg.io.files.writing import make_durable_folder, write_json
from geoseg.io.publish.bundle import ARCHIVE_RECORDS

_FORMAT = "geoseg-archive-1"
ANY_STATE = (-1, -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Manifest entry of one scene.

    Attributes:
        record: the public record.
        files: sizes and times of the imagery's local files when they were read.
        stamp: state of remote imagery when it was read.
        layers: size in bytes and time of change in ns of the layers that must exist for the scene to be done;
            ``ANY_STATE`` where both may be any.
        run: id of the run that wrote this.
        opening: digest of the run's options for opening scenes; a refusal is valid only for the same options.
        neighbours: state of each neighbouring scene by its name, when the scene was done; None if none were looked for.
        objects: ETag of each layer by its name, where they are kept on an object store.
    """

    record: SceneRecord
    files: Files = field(default_factory=dict)
    stamp: str = ""
    layers: Files = field(default_factory=dict)
    run: str = ""
    opening: str = ""
    neighbours: dict[str, str] | None = None
    objects: dict[str, str] = field(default_factory=dict)


class Manifest:
    """The manifest of an archive. Threads may write different scenes at once.

    Args:
        out: the archive's output folder; it need not exist before the first entry is written.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self.folder = out / ARCHIVE_RECORDS

    def entry(self, name: str) -> Entry | None:
        """Read the entry of a scene; None if there is none or the file is damaged (the scene is then checked anew)."""
        try:
            text = self._path(name).read_bytes()
        except OSError:
            return None
        return parsed(text)

    def write(self, entry: Entry) -> None:
        """Write the entry of a scene atomically.

        Raises:
            WriteError: the disk is full or fails.
        """
        path = self._path(entry.record.name)
        try:
            make_durable_folder(path.parent)
        except OSError as error:
            raise WriteError(f"{path.parent}: cannot be made ({error.strerror}). Choose another out.") from error
        write_json(path, _value(entry))

    def records(self) -> Iterator[SceneRecord]:
        """Iterate over all records, in the same order every time."""
        for folder in sorted(self.folder.glob("??")):
            with os.scandir(folder) as listing:
                names = sorted(entry.name for entry in listing if entry.name.endswith(".json"))
            for name in names:
                try:
                    entry = parsed((folder / name).read_bytes())
                except OSError:
                    continue
                if entry is not None:
                    yield entry.record

    def _path(self, name: str) -> Path:
        return self._out / place_of(name)


def place_of(name: str) -> str:
    """Return the place of a scene's entry below the output of its archive."""
    return f"{ARCHIVE_RECORDS.as_posix()}/{hashlib.sha256(os.fsencode(name)).hexdigest()[:2]}/{name}.json"


def packed(entry: Entry) -> bytes:
    """Return an entry as the content of its file."""
    return json.dumps(_value(entry)).encode(errors="surrogateescape")


def _value(entry: Entry) -> JsonDict:
    value: JsonDict = {
        "format": _FORMAT,
        "record": entry.record.model_dump(mode="json"),
        "files": entry.files,
        "stamp": entry.stamp,
        "layers": entry.layers,
        "run": entry.run,
        "opening": entry.opening,
    }
    if entry.neighbours is not None:
        value["neighbours"] = entry.neighbours
    return value | ({"objects": entry.objects} if entry.objects else {})


def parsed(text: bytes) -> Entry | None:
    """Read an entry from the content of its file; None if it is damaged."""
    try:
        value: UntypedDict = json.loads(text.decode(errors="surrogateescape"))
        if value["format"] != _FORMAT:
            return None
        return Entry(
            record=SceneRecord.model_validate(value["record"]),
            files={name: (int(size), int(time)) for name, (size, time) in value["files"].items()},
            stamp=str(value["stamp"]),
            layers={name: _state(known) for name, known in value["layers"].items()},
            run=str(value["run"]),
            opening=str(value.get("opening", "")),
            neighbours=_texts(value.get("neighbours")),
            objects=_texts(value.get("objects")) or {},
        )
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError, RecursionError):
        return None


def _texts(known: Any) -> dict[str, str] | None:
    return None if known is None else {str(name): str(state) for name, state in known.items()}


def _state(known: Any) -> tuple[int, int]:
    """Read a size and a time; entries of earlier versions have no time, so their layers are checked again."""
    if isinstance(known, int):
        return (known, 0)
    size, time = known
    return (int(size), int(time))
