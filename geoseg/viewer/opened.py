"""Run and MapView: what was opened, scene by scene; scenes are opened when they are first looked at."""

from __future__ import annotations

import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from shapely.geometry import shape

from geoseg.archive.manifest import Manifest
from geoseg.core.digest import sha256_of_json
from geoseg.core.text import printable
from geoseg.core.types.json_value import UntypedDict
from geoseg.errors import OutputError, SceneError, UsageError
from geoseg.io.containers.safe_product import is_product_folder
from geoseg.io.files.drivers import is_remote
from geoseg.io.publish.bundle import ARCHIVE_RECORDS, Bundle
from geoseg.io.publish.finished_output import RUN_RECORD, bundle_in, finished_folders, read_run_record
from geoseg.io.raster.open_options import OpenOptions
from geoseg.viewer.layers import SceneLayers, bundle_layers, drawn_files, scene_layers, shown_name

_OPEN_SCENES: Final = 8
_MOST_SCENES: Final = 100_000
_MOST_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneEntry:
    """One scene of a run or an archive.

    Attributes:
        name: in the archive; unique.
        state: "done", or why there is nothing to see.
        bundle: its files; None if it is not done, or a scene that nothing was predicted from.
        geometry: footprint, GeoJSON in degrees; None if unknown.
    """

    name: str
    state: str = "done"
    bundle: Bundle | None = None
    geometry: UntypedDict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """Layers of a scene, and the files that they are drawn from."""

    layers: SceneLayers
    files: tuple[Path, ...]


@dataclass(slots=True)
class Run:
    """The scenes of one output, opened on demand; at most eight are open at a time.

    Attributes:
        title: shown above the map.
        scenes: in order.
        archive: True if there are several scenes, shown by footprints.
        opener: opens the layers of a scene.
        files: lists the files that are drawn of a scene.
    """

    title: str
    scenes: tuple[SceneEntry, ...]
    archive: bool
    opener: Callable[[SceneEntry], SceneLayers]
    files: Callable[[SceneEntry], tuple[Path, ...]]
    _open: OrderedDict[int, _Opened] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _nonce: str = field(default_factory=lambda: secrets.token_hex(4))

    def layers(self, index: int) -> SceneLayers | None:
        """Open a scene; None if there is no such scene, or nothing to see of it.

        Raises:
            SceneError: its class map cannot be read.
        """
        if not 0 <= index < len(self.scenes) or self.scenes[index].state != "done":
            return None
        with self._lock:
            known = self._open.get(index)
            if known is not None and known.layers.version != self._version(known.files):
                self._open.pop(index).layers.close()  # another process has written the map anew
                known = None
            if known is None:
                files = self.files(self.scenes[index])
                version = self._version(files)  # taken first: of files that are replaced meanwhile it is the older one
                layers = replace(self.opener(self.scenes[index]), version=version)
                known = self._open[index] = _Opened(layers=layers, files=files)
            self._open.move_to_end(index)
            if len(self._open) > _OPEN_SCENES:
                _, oldest = self._open.popitem(last=False)
                oldest.layers.close()
            return known.layers

    def _version(self, files: tuple[Path, ...]) -> str:
        """Return a text that differs once a file was replaced, and between servers, since browsers keep tiles."""
        return f"{self._nonce}-{sha256_of_json(_state_of(files))[:16]}"

    def forget(self, index: int) -> None:
        """Close a scene whose files have changed, so that it is opened anew."""
        with self._lock:
            known = self._open.pop(index, None)
        if known is not None:
            known.layers.close()

    def index_of(self, name: str) -> int | None:
        """Find a scene by name; in a run of one scene, that one."""
        if len(self.scenes) == 1:
            return 0
        return next((index for index, entry in enumerate(self.scenes) if entry.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapView:
    """Content of a server.

    Attributes:
        run: the output, scene or archive.
        other: another run of the same ground to compare with; None: none.
        edit: whether the page may change it.
        click_model: name or path of the model that answers clicks.
    """

    run: Run
    other: Run | None = None
    edit: bool = False
    click_model: str = "clicks"


def open_run(path: str, options: OpenOptions) -> Run:
    """Open what a path names: a folder of output, of one scene or an archive, or a scene.

    Args:
        path: folder, file or address.
        options: options of opening imagery.

    Raises:
        UsageError: there is no such folder, or no output in it.
        SceneError: it is a scene that is refused, or a class map that cannot be read.
    """
    folder = Path(path)
    if is_remote(path) or not folder.is_dir() or is_product_folder(folder):
        entry = SceneEntry(name=shown_name(path))
        run = Run(
            title=entry.name,
            scenes=(entry,),
            archive=False,
            opener=lambda _: scene_layers(path, options),
            files=lambda _: () if is_remote(path) else (folder,),
        )
        run.layers(0)
        return run

    def opener(entry: SceneEntry) -> SceneLayers:
        assert entry.bundle is not None  # noqa: S101 - only scenes that are done are opened
        return bundle_layers(entry.bundle, options)

    found = finished_folders(folder)
    if found != [folder] and (folder / ARCHIVE_RECORDS).is_dir():
        scenes = _archive_entries(folder)
    else:
        scenes = [_bundle_entry(one) for one in found[:_MOST_SCENES]]
    if not scenes:
        raise UsageError(
            f"{path}: holds no finished output ({RUN_RECORD}). Give the --out of a run or an archive, or a scene."
        )
    title = scenes[0].name if len(scenes) == 1 else printable(folder.resolve().name)
    run = Run(title=title, scenes=tuple(scenes), archive=len(scenes) > 1, opener=opener, files=_files)
    if len(scenes) == 1 and run.layers(0) is None:
        raise SceneError(path, f"there is nothing to see: {scenes[0].state}.", "Run geoseg predict with --overwrite.")
    return run


def _files(entry: SceneEntry) -> tuple[Path, ...]:
    assert entry.bundle is not None  # noqa: S101 - only scenes that are done are opened
    with suppress(OSError):
        return drawn_files(entry.bundle)
    return ()


def _state_of(paths: tuple[Path, ...]) -> list[tuple[str, int, int, int]]:
    """Describe files so that a replaced one is told from the earlier one: name, number, time and size."""
    found = []
    for path in paths:
        with suppress(OSError):
            state = path.stat()
            found.append((path.name, state.st_ino, state.st_mtime_ns, state.st_size))
    return found


def _bundle_entry(folder: Path) -> SceneEntry:
    bundle = _bundle_of(folder)
    return SceneEntry(
        name=printable(bundle.stem),
        state="done" if bundle.classes.is_file() else "without class map",
        bundle=bundle,
        geometry=_footprint(bundle),
    )


def _bundle_of(folder: Path) -> Bundle:
    record: UntypedDict = {}
    with suppress(OutputError):
        record = read_run_record(folder / RUN_RECORD)
    return bundle_in(folder, record)


def _footprint(bundle: Bundle) -> UntypedDict | None:
    with suppress(OSError, ValueError, LookupError, TypeError, RecursionError), bundle.item.open("rb") as file:
        geometry = json.loads(file.read(_MOST_BYTES))["geometry"]
        shape(geometry)
        return geometry if isinstance(geometry, dict) else None
    return None


def _archive_entries(folder: Path) -> list[SceneEntry]:
    found = []
    for record in Manifest(folder).records():
        bundle = None
        if (
            record.state == "done"
            and record.layers
            and (folder / record.layers).resolve().is_relative_to(folder.resolve())
        ):
            bundle = _bundle_of(folder / record.layers)
        state = record.state if record.state != "done" or bundle is not None else "failed"
        cause = f": {record.cause}" if record.cause and state == "failed" else ""
        found.append(
            SceneEntry(
                name=printable(record.name), state=printable(state + cause), bundle=bundle, geometry=record.footprint
            )
        )
        if len(found) >= _MOST_SCENES:
            break
    return sorted(found, key=lambda entry: entry.name)
