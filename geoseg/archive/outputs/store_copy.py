"""StoreCopy: what publishing an archive on a store needs of it, in a folder, and the way of what was made back."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Final

from affine import Affine

from geoseg.archive.manifest import Entry, Manifest, place_of
from geoseg.archive.one_layer.write import FOLDER as JOINED
from geoseg.archive.outputs.published_place import PublishedPlace
from geoseg.archive.outputs.store_manifest import reading, writing
from geoseg.archive.publish import FILES, is_published
from geoseg.archive.report.catalogue import CATALOGUE, COLLECTION
from geoseg.archive.report.catalogue import FOLDER as CATALOGUE_FOLDER
from geoseg.archive.report.history import HISTORY
from geoseg.archive.report.thumbnails import FOLDER as THUMBNAILS
from geoseg.io.files.writing import make_durable_folder, whole_file, write_json
from geoseg.io.objects.object_folder import ObjectFolder
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.finished_output import RUN_RECORD
from geoseg.io.publish.mosaic import north_up

_AT_ONCE, _BATCH = 8, 256
_KEPT_JOINED: Final = ".geoseg/joined"
_STATE: Final = Path(".geoseg", "on_store.json")
_OF_JOINED: Final = re.compile(r"(_joined|\.geoseg/joined)/.*\.(parquet|pmtiles|json)")


class StoreCopy:
    """A folder that holds the records of an archive on a store and, of its layers, what its publication is made from.

    That is the STAC item, the run record, the preview and the polygons of each finished scene; rasters only of scenes
    whose grid is not north up, which the map turns by a VRT. What is here already is not read again. The published
    files are made in the folder as in that of any archive, and brought to the store where they changed.

    Args:
        store: the archive's place.
        root: the folder.
        joined: whether one layer over all scenes is published.
    """

    def __init__(self, store: ObjectFolder, root: Path, *, joined: bool) -> None:
        self.root = root
        self._store = store
        self._manifest = Manifest(root)
        self._joined = joined
        self._there: set[str] = set()

    def take(self, entry: Entry, made: Path) -> None:
        """Keep of a scene's layers, which were brought to the store, what publication needs.

        Args:
            entry: its entry with the ETags of its objects.
            made: folder of its layers; files are moved out of it.

        Raises:
            OSError: the disk is full or fails.
        """
        folder = self.root / entry.record.layers
        shutil.rmtree(folder, ignore_errors=True)
        make_durable_folder(folder)
        for name in _needed(folder):
            if name in entry.objects and (made / name).is_file():
                (made / name).replace(folder / name)
        self._manifest.write(entry)

    def fetch(self, entries: Iterable[Entry]) -> PublishedPlace:
        """Bring here what is missing or has changed, and forget the scenes that are no longer recorded.

        Args:
            entries: of all scenes on the store.

        Raises:
            ResourceError: the store refuses or cannot be reached.
            WriteError: the disk is full or fails.
        """
        make_durable_folder((self.root / _STATE).parent)
        self._there = set()
        seen, layers = set[str](), set[str]()
        plain = (entry for entry in entries if _is_plain(entry))
        with reading(self._store), ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="copy") as pool:
            while batch := list(islice(plain, _BATCH)):
                for entry in pool.map(self._scene, batch):
                    record = entry.record
                    seen.add(record.name)
                    if record.state == "done":
                        layers.add(record.layers)
                        self._there |= {f"{record.layers}/{name}" for name in entry.objects if name.endswith(".tif")}
            self._published(pool)
        gone = [(one.name, one.layers) for one in self._manifest.records() if one.name not in seen]
        for name, folder in gone:
            (self.root / place_of(name)).unlink(missing_ok=True)
            self._forget(folder, layers)
        return PublishedPlace(folder=self.root, records=self._manifest.records, there=self._exists)

    def bring(self, *, taken_over: Callable[[], bool]) -> None:
        """Bring the published files to the store where they changed, the catalogue last; remove earlier ones.

        Args:
            taken_over: tells whether another run publishes instead of this one; then the catalogue is left to it.

        Raises:
            WriteError: the store refuses or cannot be reached.
        """
        there = self._listed()
        known, state = _read_state(self.root / _STATE), dict[str, list[str]]()
        with writing(self._store, CATALOGUE), ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="publish") as pool:

            def upload(path: str) -> tuple[str, list[str]]:
                digest = _digest(self.root / path)
                if path in known and known[path] == [digest, there.get(path, "")]:
                    return path, known[path]
                return path, [digest, self._store.upload(path, self.root / path)]

            here = list(self._local())
            last = [path for path in (COLLECTION, CATALOGUE) if path in here]
            state |= dict(pool.map(upload, [path for path in here if path not in last]))
            if taken_over():
                return
            state |= dict(map(upload, last))
            for path in there.keys() - state.keys():
                self._store.remove(path)
        write_json(self.root / _STATE, state)

    def _scene(self, entry: Entry) -> Entry:
        """Bring here what is needed of one scene."""
        record = entry.record
        known = self._manifest.entry(record.name)
        if known is not None and known.record.layers != record.layers:
            self._forget(known.record.layers, {record.layers})
        if record.state == "done":
            folder = self.root / record.layers
            had = {} if known is None else known.objects
            make_durable_folder(folder)
            for name in _needed(folder):
                self._object(entry, name, had)
            if not _is_north_up(folder):
                for name in entry.objects:
                    if name.endswith(".tif"):
                        self._object(entry, name, had)
        if known != entry:
            self._manifest.write(entry)
        return entry

    def _forget(self, layers: str, others: set[str]) -> None:
        """Remove the folder of a scene's earlier layers, unless it holds those of other scenes."""
        if layers and not any(other == layers or other.startswith(f"{layers}/") for other in others):
            shutil.rmtree(self.root / layers, ignore_errors=True)

    def _object(self, entry: Entry, name: str, had: dict[str, str]) -> None:
        path, e_tag = self.root / entry.record.layers / name, entry.objects.get(name)
        if e_tag is None or (had.get(name) == e_tag and path.is_file()):
            if e_tag is None:
                path.unlink(missing_ok=True)
            return
        if self._download(f"{entry.record.layers}/{name}") != e_tag:
            path.unlink(missing_ok=True)  # the scene counts as one whose layers are missing

    def _download(self, path: str) -> str | None:
        target = self.root / path
        make_durable_folder(target.parent)
        with whole_file(target) as part:
            found = self._store.download(path, part)
            if found is None:
                part.touch()
        if found is None:
            target.unlink()
        return found

    def _published(self, pool: ThreadPoolExecutor) -> None:
        """Bring here what earlier publications, perhaps of other machines, left for the next one."""
        kept = [f"{CATALOGUE_FOLDER}/{THUMBNAILS}", HISTORY, *((JOINED, _KEPT_JOINED) if self._joined else ())]
        there = {path: e_tag for path, e_tag in self._listed().items() if path.startswith(tuple(kept))}
        known = _read_state(self.root / _STATE)

        def fetched(path: str) -> tuple[str, list[str]]:
            local = self.root / path
            if path in known and known[path][1] == there[path] and local.is_file():
                return path, known[path]
            e_tag = self._download(path)
            return path, [_digest(local), e_tag] if e_tag is not None else ["", ""]

        known |= dict(pool.map(fetched, there))
        for path in list(self._local()):
            if path.startswith(tuple(kept)) and path not in there:
                (self.root / path).unlink(missing_ok=True)
        write_json(self.root / _STATE, known)

    def _listed(self) -> dict[str, str]:
        """List the published files on the store, with their ETags."""
        found = dict[str, str]()
        with reading(self._store):
            for below in (CATALOGUE_FOLDER, *((JOINED, _KEPT_JOINED) if self._joined else ())):
                found |= {state.path: state.e_tag for state in self._store.list(below) if self._is_own(state.path)}
            for path in (*FILES, HISTORY):
                state = self._store.head(path)
                if state is not None:
                    found[path] = state.e_tag
        return found

    def _local(self) -> Iterator[str]:
        """List the published files here."""
        for path in (*FILES, HISTORY):
            if (self.root / path).is_file():
                yield path
        for below in (CATALOGUE_FOLDER, *((JOINED, _KEPT_JOINED) if self._joined else ())):
            for path in sorted((self.root / below).rglob("*")):
                relative = path.relative_to(self.root).as_posix()
                if path.is_file() and self._is_own(relative):
                    yield relative

    def _is_own(self, path: str) -> bool:
        return is_published(path) or (self._joined and _OF_JOINED.fullmatch(path) is not None)

    def _exists(self, path: Path) -> bool:
        return path.is_file() or path.relative_to(self.root).as_posix() in self._there


def _is_plain(entry: Entry) -> bool:
    """Return False for a record that names files outside the folder of its scene, which geoseg never writes."""
    record, layers = entry.record, PurePosixPath(entry.record.layers)
    if record.name in {"", ".", ".."} or "/" in record.name or layers.is_absolute() or ".." in layers.parts:
        return False
    hidden = any(part.startswith(".") for part in layers.parts[:1]) or layers.parts[:1] in {
        (JOINED,),
        (CATALOGUE_FOLDER,),
    }
    names = all(name == PurePosixPath(name).name and name != ".." for name in entry.objects)
    return names and not hidden and (record.state != "done" or bool(layers.parts))


def _needed(folder: Path) -> list[str]:
    """Names of the files of a scene from which an archive's publication is made."""
    bundle = Bundle(directory=folder, stem=folder.name)
    return [bundle.item.name, RUN_RECORD, bundle.preview.name, bundle.segments.name]


def _is_north_up(folder: Path) -> bool:
    """Return True if a scene's rasters need no turning on a map, or have no place there."""
    try:
        properties = json.loads(Bundle(directory=folder, stem=folder.name).item.read_bytes())["properties"]
        transform = Affine(*properties["proj:transform"][:6])
    except (OSError, ValueError, TypeError, RecursionError):
        return True
    except KeyError:
        return False
    return north_up(folder, (1, 1), transform) is not None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_state(path: Path) -> dict[str, list[str]]:
    """Read digest and ETag of each published file; empty if it is damaged, so that all are compared anew."""
    with suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {str(name): [str(one) for one in facts] for name, facts in json.loads(path.read_bytes()).items()}
    return {}
