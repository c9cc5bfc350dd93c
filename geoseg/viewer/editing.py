"""Routes of corrections: apply, undo, redo and save with a revision number, and clicks that outline an object."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
import numpy.typing as npt
import shapely
from fastapi import FastAPI, HTTPException, Request
from fastapi import Path as PathParameter
from pydantic import BaseModel, ConfigDict, Field
from pyproj import Transformer
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from geoseg.core.text import printable
from geoseg.core.types.json_value import UntypedDict
from geoseg.edits.edit_file import read_geometry
from geoseg.edits.session import EditSession, open_session
from geoseg.errors import GeosegError, LockedError, ModelError, StaleRevisionError, UsageError
from geoseg.interactive.model import ClickModel, load_click_model
from geoseg.interactive.session import ClickSession
from geoseg.io.edits.edit import Edit, EditKind, VectorName
from geoseg.io.raster.scene import Scene
from geoseg.viewer.gate import Gate
from geoseg.viewer.layers import IMAGERY
from geoseg.viewer.opened import MapView

_log = logging.getLogger(__name__)

_MOST_POINTS: Final = 20_000
_MOST_CLICKS: Final = 64
_ABSOLUTE: Final = re.compile(r"(?<![\w.:/])/(?:[^/\s'\"]+/)+")
_STALE: Final = (
    "The map was changed elsewhere meanwhile. Nothing was done, nothing is lost: look at it again and repeat."
)

F64 = npt.NDArray[np.float64]
Move = Callable[[F64], F64]
SceneIndex = Annotated[int, PathParameter(ge=0, lt=1_000_000)]
Degrees = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    revision: Annotated[int, Field(ge=0, lt=2**53)]


class EditAsked(_Asked):
    """An edit as the page asks for it; the geometry is GeoJSON in degrees."""

    kind: EditKind
    geometry: UntypedDict | None = None
    class_code: Annotated[int, Field(ge=0, le=255)] | None = None
    ids: Annotated[list[int], Field(max_length=1000)] = []
    layer: VectorName = "objects"
    width_px: Annotated[float, Field(gt=0, le=1000)] | None = None


class StepAsked(_Asked):
    """One step back, forward, or a save."""

    step: Literal["undo", "redo", "save"]


class ClicksAsked(BaseModel):
    """Clicks on one object: longitude, latitude, and whether they lie on it."""

    model_config = ConfigDict(extra="forbid")

    clicks: Annotated[list[tuple[Degrees, Degrees, bool]], Field(min_length=1, max_length=_MOST_CLICKS)]


class Editor:
    """Corrects the scenes of a view; sessions are opened when they are first needed.

    Args:
        view: what is shown.
        click_model: name or path of the model that answers clicks.
    """

    def __init__(self, view: MapView, click_model: str) -> None:
        self.view = view
        self._name = click_model
        self._sessions: dict[int, EditSession] = {}
        self._clicking: tuple[str, ClickSession] | None = None
        self._lock = threading.Lock()
        self._model: ClickModel | None = None
        self._refused = ""

    def state(self, scene: int) -> UntypedDict:
        """Describe the corrections of a scene after reading its log again."""
        session = self._session(scene)
        session.refresh()
        return _described(session)

    def apply(self, scene: int, asked: EditAsked) -> UntypedDict:
        """Add an edit to the log."""
        session = self._session(scene)
        geometry = None if asked.geometry is None else _moved(_read(asked.geometry), _to_scene(session))
        edit = Edit(
            kind=asked.kind,
            geometry=geometry,
            class_code=asked.class_code,
            ids=tuple(asked.ids),
            layer=asked.layer,
            width_px=asked.width_px,
        )
        session.apply(edit, revision=asked.revision)
        return _described(session)

    def step(self, scene: int, asked: StepAsked) -> UntypedDict:
        """Undo, redo or save."""
        session = self._session(scene)
        getattr(session, asked.step)(revision=asked.revision)
        if asked.step == "save":
            self.view.run.forget(scene)
        return _described(session)

    def outline(self, scene: int, asked: ClicksAsked) -> UntypedDict:
        """Answer clicks with the outline of an object, GeoJSON in degrees; None where the answer is empty."""
        session = self._session(scene)
        clicking = self._click_session(scene)
        to_scene = _to_scene(session)
        places = to_scene(np.array([click[:2] for click in asked.clicks], float))
        if not np.isfinite(places).all():
            raise UsageError("a click lies beyond the scene's projection.")
        points = [(x, y, click[2]) for (x, y), click in zip(places.tolist(), asked.clicks, strict=True)]
        answer = clicking.predict(points)
        if answer.polygon is None:
            return {"geometry": None}
        return {"geometry": mapping(_moved(answer.polygon, _to_lonlat(session)))}

    def folders(self) -> set[Path]:
        """List the folders of what is shown, which no answer names."""
        bundles = [entry.bundle for entry in self.view.run.scenes if entry.bundle is not None]
        return {path for bundle in bundles for path in (bundle.directory, Path(os.path.realpath(bundle.directory)))}

    def _session(self, scene: int) -> EditSession:
        with self._lock:
            known = self._sessions.get(scene)
            if known is None:
                scenes = self.view.run.scenes
                bundle = scenes[scene].bundle if scene < len(scenes) else None
                if bundle is None or scenes[scene].state != "done":
                    raise HTTPException(404)
                known = self._sessions[scene] = open_session(bundle.directory)
            return known

    def _click_session(self, scene: int) -> ClickSession:
        with self._lock:
            layers = self.view.run.layers(scene)
            shown = f"{scene} {'' if layers is None else layers.version}"
            if self._clicking is not None and self._clicking[0] == shown:
                return self._clicking[1]
            model = self._click_model()
            if model is None or layers is None or IMAGERY not in layers.rasters:
                raise UsageError(self._refused or "the imagery of this map was not found, so clicks have no answer.")
            opened = layers.rasters[IMAGERY].opening
            assert opened is not None  # noqa: S101 - imagery is opened as a scene
            session = ClickSession(Scene(*opened), model)
            self._clicking = shown, session
            return session

    def _click_model(self) -> ClickModel | None:
        if self._model is None and not self._refused:
            try:
                self._model = load_click_model(self._name)
            except ModelError as error:
                self._refused = printable(str(error))
        return self._model


def _described(session: EditSession) -> UntypedDict:
    log, to_lonlat = session.log, _to_lonlat(session)
    pending = [
        {
            "type": "Feature",
            "geometry": mapping(_moved(paint.area, to_lonlat)),
            "properties": {"class_code": paint.code},
        }
        for entry in log.pending
        if entry.state == "active"
        for paint in entry.paints
        if not paint.kept
    ]
    return {
        "revision": log.revision,
        "pending": len(log.pending),
        "can_undo": bool(log.active),
        "can_redo": any(entry.state == "undone" for entry in log.entries),
        "objects": session.finished.has_objects,
        "refused": printable(session.finished.refusal or ""),
        "areas": {"type": "FeatureCollection", "features": pending},
    }


def _to_scene(session: EditSession) -> Move:
    """Return what moves points in degrees to the scene's CRS, whose longitudes may go on beyond 180 degrees."""
    grid = session.finished.grid
    transformer = _transformer("EPSG:4326", str(grid.crs_wkt))
    west, _, east, _ = grid.bounds()
    middle = (west + east) / 2
    beyond = transformer.target_crs is not None and transformer.target_crs.is_geographic and max(-west, east) > 180

    def move(points: F64) -> F64:
        x, y = transformer.transform(points[:, 0], points[:, 1])
        return np.column_stack([(x - middle + 180) % 360 - 180 + middle if beyond else x, y])

    return move


def _to_lonlat(session: EditSession) -> Move:
    """Return what moves points of the scene to degrees from -180 to 180."""
    transformer = _transformer(str(session.finished.grid.crs_wkt), "EPSG:4326")

    def move(points: F64) -> F64:
        lon, lat = transformer.transform(points[:, 0], points[:, 1])
        return np.column_stack([np.where(np.abs(lon) > 180, (lon + 180) % 360 - 180, lon), lat])

    return move


@lru_cache(maxsize=64)
def _transformer(source: str, target: str) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)


def add_editing(app: FastAPI, view: MapView, gate: Gate, click_model: str) -> None:
    """Add the routes that change the map; without them the server only reads."""
    editor = Editor(view, click_model)

    def answered(work: Callable[[], UntypedDict]) -> UntypedDict:
        return _answered(work, editor.folders())

    @app.get("/edits/{scene}")
    async def state(scene: SceneIndex, request: Request) -> UntypedDict:
        return await gate.run(request, lambda: answered(lambda: editor.state(scene)))

    @app.post("/edits/{scene}")
    async def apply(scene: SceneIndex, asked: EditAsked, request: Request) -> UntypedDict:
        return await gate.run(request, lambda: answered(lambda: editor.apply(scene, asked)))

    @app.post("/edits/{scene}/step")
    async def step(scene: SceneIndex, asked: StepAsked, request: Request) -> UntypedDict:
        return await gate.run(request, lambda: answered(lambda: editor.step(scene, asked)))

    @app.post("/clicks/{scene}")
    async def clicks(scene: SceneIndex, asked: ClicksAsked, request: Request) -> UntypedDict:
        return await gate.run(request, lambda: answered(lambda: editor.outline(scene, asked)))


def _answered(work: Callable[[], UntypedDict], folders: Iterable[Path]) -> UntypedDict:
    """Do work, and turn refusals into answers: what the operator can mend says how, the rest is said in the terminal.

    Args:
        work: what is asked for.
        folders: folders that answers do not name.

    Raises:
        HTTPException: 409, another session or process has changed the map or is writing it; 422, what is asked for
            makes no sense; 500, the map or the disk is at fault.
    """
    try:
        return work()
    except StaleRevisionError as error:
        raise HTTPException(409, _STALE) from error
    except LockedError as error:
        raise HTTPException(409, "Another process is writing this map. Try again in a moment.") from error
    except UsageError as error:
        raise HTTPException(422, _without_folders(printable(str(error)), folders)) from error
    except GeosegError as error:
        _log.warning("%s", printable(str(error)))
        raise HTTPException(500, "The map cannot be read or written; geoseg view says why in its terminal.") from error


def _without_folders(text: str, folders: Iterable[Path]) -> str:
    """Name files and folders without the places where they lie."""
    for folder in sorted(map(str, folders), key=len, reverse=True):
        text = text.replace(f"{folder}/", "").replace(folder, Path(folder).name)
    return _ABSOLUTE.sub("", text)


def _read(geometry: UntypedDict) -> BaseGeometry:
    found = read_geometry(geometry)
    points = shapely.get_coordinates(found)
    if not len(points) or len(points) > _MOST_POINTS or not (np.abs(points) <= 180).all():
        raise UsageError(f"the geometry has no points, more than {_MOST_POINTS:,}, or some that are no degrees.")
    valid = shapely.make_valid(found) if "Polygon" in found.geom_type and not found.is_valid else found
    if valid.geom_type == "GeometryCollection":
        parts = [part for part in shapely.get_parts(valid) if "Polygon" in part.geom_type]
        valid = shapely.union_all(parts)
    return valid


def _moved(geometry: BaseGeometry, move: Move) -> BaseGeometry:
    found: BaseGeometry = shapely.transform(geometry, move)
    return found
