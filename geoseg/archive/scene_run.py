"""Processing of one scene of an archive: every outcome, a failure included, becomes a record."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from geoseg.archive.bands import spec_for
from geoseg.archive.config import ArchiveConfig, in_configuration
from geoseg.archive.fingerprints import Files
from geoseg.archive.manifest import ANY_STATE
from geoseg.archive.record import SceneRecord
from geoseg.archive.sources.scene_ref import SceneRef
from geoseg.core.card import ModelCard
from geoseg.core.types.json_value import JsonDict, UntypedDict
from geoseg.errors import ClaimedError, ClusterLostError, GeosegError, MatchError, SceneError
from geoseg.io.files.drivers import is_remote
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.grid import LayerGrid, footprint
from geoseg.io.publish.stac_item import without_secrets
from geoseg.io.raster.scene import Scene
from geoseg.models.model import Model, ModelSource
from geoseg.run.executor import Executor, SceneRequest, State
from geoseg.run.report import Reporter
from geoseg.run.workers.use import uses_of

_NEVER = re.compile(r"\bHTTP (?:error|\w+ code(?: on \S+)? ?:) (?:400|401|403|404|405|410)\b", re.IGNORECASE)
"""Server errors that a retry will not change, as worded by urllib and GDAL; rows have numbers too."""


_LASTING = frozenset({2, 3, 4})
"""Exit codes of failures that stay as long as imagery, model and options do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Result of a scene, for the manifest.

    Attributes:
        files: sizes and times of the local files it was read from.
        layers: sizes in bytes and times of change in ns of the layers that must exist.
    """

    files: Files
    layers: Files


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneTask:
    """A scene to be segmented.

    Attributes:
        ref: the scene.
        record: its record at the start.
        neighbours: addresses of the scenes that may have the pixels beyond its edges, in order of precedence.
        tried: number of earlier attempts.
    """

    ref: SceneRef
    record: SceneRecord
    neighbours: tuple[str, ...] = ()
    tried: int = 0


class SaveRecord(Protocol):
    """Protocol of the callable that writes a record into the manifest and returns it."""

    def __call__(self, changed: SceneRecord, outcome: Outcome | None = None) -> SceneRecord:
        """Write a record."""
        ...


class SceneRun:
    """Segments scenes of one archive, on any workers; thread-safe.

    Attributes:
        stopped: set when the archive is closed.
    """

    def __init__(self, config: ArchiveConfig, card: ModelCard) -> None:
        self.stopped = threading.Event()
        self._config = config
        self._card = card
        self._models: dict[int, tuple[Executor, Model]] = {}
        self._loading = threading.Lock()

    def run(self, task: SceneTask, workers: Executor, *, reporter: Reporter, keep: SaveRecord) -> SceneRecord | None:
        """Segment a scene and keep its record.

        Args:
            task: the scene.
            workers: executor that segments it.
            reporter: receives progress.
            keep: writes into the manifest.

        Returns:
            The record, done or failed; None if the archive was closed meanwhile.

        Raises:
            ClaimedError: another run has taken the scene.
            ClusterLostError: the workers were lost, so the scene is not marked as failed.
        """
        ref, attempt = task.ref, task.tried + 1
        record = task.record.model_copy(update={"attempts": attempt, "started": datetime.now(UTC)})
        try:
            keep(record)
            for more in range(self._config.attempts):
                attempt = task.tried + 1 + more
                try:
                    bundle, run, state = self._once(ref, task.neighbours, workers, reporter)
                    break
                except SceneError as error:
                    if not self._worth_retrying(ref, error) or more + 1 == self._config.attempts:
                        raise
                    reporter.note(f"{error} Trying again.")
                    self.stopped.wait(self._config.backoff_s * 2**more)
                    if self.stopped.is_set():
                        return None
            done = record_of(record.model_copy(update={"attempts": attempt}), bundle, run)
            files = {name: (size, time) for name, size, time, _ in state}
            return keep(done, Outcome(files=files, layers=_layers(bundle, run)))
        except ClaimedError:
            raise
        except ClusterLostError:
            if self.stopped.is_set():
                return None
            raise
        except Exception as error:  # noqa: BLE001 - one scene's failure, even by a bug of ours, must not stop the others
            if self.stopped.is_set():
                return None
            failed = failed_by(record.model_copy(update={"attempts": attempt}), error, ref.uri)
            failed = failed.model_copy(update={"footprint": self._place(ref)})
            retry = isinstance(error, SceneError) and self._worth_retrying(ref, error)
            return _kept(keep, failed.model_copy(update={"transient": retry or failed.exit_code not in _LASTING}))

    def _once(
        self, ref: SceneRef, neighbours: tuple[str, ...], workers: Executor, reporter: Reporter
    ) -> tuple[Bundle, UntypedDict, State]:
        config = self._config
        if ref.refused:
            raise SceneError(ref.uri, ref.refused)
        spec = spec_for(ref, config.predict, self._card)
        model = self.model(workers)
        bundle = Bundle.in_folder(config.out, ref.name)
        request = SceneRequest(
            uri=ref.uri,
            options=replace(config.opening.options(), neighbours=neighbours),
            name=ref.name,
            out=str(config.out),
            spec=spec,
            overwrite=True,
            blocks=config.blocks,
        )
        return bundle, *workers.segment_scene(request, model, reporter)

    def model(self, workers: Executor) -> Model:
        """Load the model on the workers, once.

        Raises:
            ModelError, ResourceError, UsageError: it cannot be loaded.
        """
        with self._loading:
            known = self._models.get(id(workers))
            if known is None:
                config = self._config
                source = ModelSource(
                    name_or_path=config.model,
                    device=config.device,
                    runtime=config.runtime,
                    precision=config.precision,
                )
                known = self._models[id(workers)] = (workers, workers.load_model(source))
            return known[1]

    def _place(self, ref: SceneRef) -> JsonDict | None:
        """Read the footprint of a failed scene from its file's header; None where that cannot be read."""
        if ref.refused or is_remote(ref.uri):
            return None
        try:
            with Scene(ref.uri, self._config.opening.options()) as scene:
                if not (scene.placed or scene.gcps):
                    return None
                place = footprint(LayerGrid(geobox=scene.geobox, gcps=scene.gcps, gcps_crs=scene.gcps_crs))
        except (GeosegError, OSError):
            return None
        return None if place is None else place[0]

    def _worth_retrying(self, ref: SceneRef, error: SceneError) -> bool:
        item = ref.uri.lower().endswith((".json", ".geojson"))
        over_network = self._config.opening.allow_remote and (is_remote(ref.uri) or item)
        final = ref.refused or isinstance(error, MatchError) or _NEVER.search(error.cause)
        return over_network and not final


def record_of(record: SceneRecord, bundle: Bundle, run: UntypedDict) -> SceneRecord:
    """Make the record of a finished scene from its run record."""
    scene, around = run["scene"], run.get("neighbours", {})
    timings = {name: float(value) for name, value in run["timings"].items() if isinstance(value, int | float)}
    return record.model_copy(
        update={
            "state": "done",
            "layers": bundle.directory.name,
            "scene_digest": scene["sha256"],
            "footprint": _footprint(bundle),
            "pixels": int(scene["height_px"]) * int(scene["width_px"]),
            "valid_pixels": sum(int(entry["pixels"]) for entry in run["classes"]),
            "class_areas_m2": {entry["name"]: float(entry["area_m2"]) for entry in run["classes"]},
            "neighbours": tuple(around.get("used", ())),
            "left_out": dict(around.get("left_out", {})),
            "timings": timings,
            "blocks": {name: int(count) for name, count in run["blocks"].items()},
            "workers": uses_of(run),
            "exit_code": 0,
            "finished": datetime.now(UTC),
        }
    )


def failed_by(record: SceneRecord, error: Exception, uri: str = "") -> SceneRecord:
    """Make the record of a failed scene: the cause in one line, and the exit code of ``geoseg predict``.

    Args:
        record: its record at the start.
        error: the exception.
        uri: address of the scene; credentials in it are removed from the cause.
    """
    if isinstance(error, GeosegError):
        cause, code = in_configuration(str(error)), error.exit_code
    elif isinstance(error, MemoryError):
        cause, code = "out of memory. Set a smaller predict: block_px or tile_px.", 5
    else:
        cause, code = f"a bug in geoseg: {type(error).__name__}: {error}", 1
    cause = cause.replace(uri, printable_uri(uri)) if uri else cause
    line = " ".join("".join(c if c.isprintable() else " " for c in cause).split())
    ended = {"cause": line, "exit_code": code, "finished": datetime.now(UTC)}
    return record.model_copy(update={"state": "failed", **ended})


def printable_uri(uri: str) -> str:
    """Return an address as printable text, without credentials; works for file names that are not UTF-8."""
    return os.fsencode(without_secrets(uri)).decode(errors="backslashreplace")


def _kept(keep: Callable[[SceneRecord], SceneRecord], record: SceneRecord) -> SceneRecord:
    """Record a failure; if that fails too (full disk, lost store), the scene is tried again by the next run."""
    try:
        return keep(record)
    except GeosegError:
        return record


def _footprint(bundle: Bundle) -> JsonDict | None:
    try:
        geometry = json.loads(bundle.item.read_bytes())["geometry"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return geometry if isinstance(geometry, dict) else None


def _layers(bundle: Bundle, run: UntypedDict) -> Files:
    """Current size and time of the rasters and polygons, which the run has verified."""
    states = {"run.json": ANY_STATE}
    for name in run["files"]:
        if name.endswith((".tif", ".gpkg")):
            stat = (bundle.directory / name).stat()
            states[name] = stat.st_size, stat.st_mtime_ns
    return states
