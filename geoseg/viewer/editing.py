"""Routes of corrections: apply, undo, redo and save with a revision number, and clicks that outline an object."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import numpy as np
import numpy.typing as npt
import shapely
from fastapi import FastAPI, HTTPException, Request
from fastapi import Path as PathParameter
from pydantic import BaseModel, ConfigDict, Field
from pyproj import Transformer
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from geoseg.core.text import printable
from geoseg.core.types.json_value import UntypedDict
from geoseg.edits.session import EditSession, open_session
from geoseg.errors import GeosegError, ModelError, OutputError, StaleRevisionError, UsageError
from geoseg.interactive.model import ClickModel, load_click_model
from geoseg.interactive.session import ClickSession
from geoseg.io.edits.edit import Edit, EditKind, VectorName
from geoseg.io.raster.scene import Scene
from geoseg.viewer.gate import Gate
from geoseg.viewer.layers import IMAGERY
from geoseg.viewer.opened import MapView

_MOST_POINTS: Final = 20_000
_MOST_CLICKS: Final = 64
_STALE: Final = (
    "The map was changed elsewhere meanwhile. Nothing was done, nothing is lost: look at it again and repeat."
)

F64 = npt.NDArray[np.float64]
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


@dataclass(frozen=True, slots=True)
class _Place:
    """A scene that is edited."""

    session: EditSession
    to_scene: Transformer
    to_lonlat: Transformer


class Editor:
    """Corrects the scenes of a view; sessions are opened when they are first needed.

    Args:
        view: what is shown.
        click_model: name or path of the model that answers clicks.
    """

    def __init__(self, view: MapView, click_model: str) -> None:
        self.view = view
        self._name = click_model
        self._places: dict[int, _Place] = {}
        self._clicking: tuple[int, ClickSession] | None = None
        self._lock = threading.Lock()
        self._model: ClickModel | None = None
        self._refused = ""

    def state(self, scene: int) -> UntypedDict:
        """Describe the corrections of a scene after reading its log again."""
        place = self._place(scene)
        place.session.refresh()
        return self._described(place)

    def apply(self, scene: int, asked: EditAsked) -> UntypedDict:
        """Add an edit to the log."""
        place = self._place(scene)
        geometry = None if asked.geometry is None else _moved(_read(asked.geometry), place.to_scene)
        edit = Edit(
            kind=asked.kind,
            geometry=geometry,
            class_code=asked.class_code,
            ids=tuple(asked.ids),
            layer=asked.layer,
            width_px=asked.width_px,
        )
        place.session.apply(edit, revision=asked.revision)
        return self._described(place)

    def step(self, scene: int, asked: StepAsked) -> UntypedDict:
        """Undo, redo or save."""
        place = self._place(scene)
        getattr(place.session, asked.step)(revision=asked.revision)
        if asked.step == "save":
            with self._lock:
                self._clicking = None
            self.view.run.forget(scene)
        return self._described(place)

    def outline(self, scene: int, asked: ClicksAsked) -> UntypedDict:
        """Answer clicks with the outline of an object, GeoJSON in degrees; None where the answer is empty."""
        place = self._place(scene)
        session = self._click_session(scene)
        points = [(*place.to_scene.transform(lon, lat), positive) for lon, lat, positive in asked.clicks]
        answer = session.predict(points)
        if answer.polygon is None:
            return {"geometry": None}
        return {"geometry": mapping(_moved(answer.polygon, place.to_lonlat))}

    def _place(self, scene: int) -> _Place:
        with self._lock:
            known = self._places.get(scene)
            if known is None:
                scenes = self.view.run.scenes
                bundle = scenes[scene].bundle if scene < len(scenes) else None
                if bundle is None or scenes[scene].state != "done":
                    raise HTTPException(404)
                session = open_session(bundle.directory)
                crs = session.finished.grid.crs_wkt
                known = self._places[scene] = _Place(
                    session,
                    Transformer.from_crs(4326, crs, always_xy=True),
                    Transformer.from_crs(crs, 4326, always_xy=True),
                )
            return known

    def _click_session(self, scene: int) -> ClickSession:
        with self._lock:
            if self._clicking is not None and self._clicking[0] == scene:
                return self._clicking[1]
            model = self._click_model()
            layers = self.view.run.layers(scene)
            if model is None or layers is None or IMAGERY not in layers.rasters:
                raise UsageError(self._refused or "the imagery of this map was not found, so clicks have no answer.")
            opened = layers.rasters[IMAGERY].opening
            assert opened is not None  # noqa: S101 - imagery is opened as a scene
            session = ClickSession(Scene(*opened), model)
            self._clicking = scene, session
            return session

    def _click_model(self) -> ClickModel | None:
        if self._model is None and not self._refused:
            try:
                self._model = load_click_model(self._name)
            except ModelError as error:
                self._refused = printable(str(error))
        return self._model

    def _described(self, place: _Place) -> UntypedDict:
        log = place.session.log
        pending = [
            {
                "type": "Feature",
                "geometry": mapping(_moved(paint.area, place.to_lonlat)),
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
            "areas": {"type": "FeatureCollection", "features": pending},
        }


def add_editing(app: FastAPI, view: MapView, gate: Gate, click_model: str) -> None:
    """Add the routes that change the map; without them the server only reads."""
    editor = Editor(view, click_model)

    @app.get("/edits/{scene}")
    async def state(scene: SceneIndex, request: Request) -> UntypedDict:
        return await gate.run(request, lambda: _answered(lambda: editor.state(scene)))

    @app.post("/edits/{scene}")
    async def apply(scene: SceneIndex, asked: EditAsked, request: Request) -> UntypedDict:
        return await gate.run(request, lambda: _answered(lambda: editor.apply(scene, asked)))

    @app.post("/edits/{scene}/step")
    async def step(scene: SceneIndex, asked: StepAsked, request: Request) -> UntypedDict:
        return await gate.run(request, lambda: _answered(lambda: editor.step(scene, asked)))

    @app.post("/clicks/{scene}")
    async def clicks(scene: SceneIndex, asked: ClicksAsked, request: Request) -> UntypedDict:
        return await gate.run(request, lambda: _answered(lambda: editor.outline(scene, asked)))


def _answered(work: Callable[[], UntypedDict]) -> UntypedDict:
    """Do work, and turn refusals that the operator can mend into answers that say so."""
    try:
        return work()
    except StaleRevisionError as error:
        raise HTTPException(409, _STALE) from error
    except OutputError as error:
        raise HTTPException(409, "Another process is writing this map. Try again in a moment.") from error
    except UsageError as error:
        raise HTTPException(422, printable(str(error))) from error
    except GeosegError:
        raise


def _read(geometry: UntypedDict) -> BaseGeometry:
    try:
        found: BaseGeometry = shape(geometry)
        points = shapely.get_coordinates(found)
    except (KeyError, TypeError, ValueError, AttributeError, shapely.errors.ShapelyError) as error:
        raise UsageError("the geometry is no GeoJSON.") from error
    if not len(points) or len(points) > _MOST_POINTS or not (np.abs(points) <= 180).all():
        raise UsageError(f"the geometry has no points, more than {_MOST_POINTS:,}, or some that are no degrees.")
    valid = shapely.make_valid(found) if "Polygon" in found.geom_type and not found.is_valid else found
    if valid.geom_type == "GeometryCollection":
        parts = [part for part in shapely.get_parts(valid) if "Polygon" in part.geom_type]
        valid = shapely.union_all(parts)
    return valid


def _moved(geometry: BaseGeometry, transformer: Transformer) -> BaseGeometry:
    def move(points: F64) -> F64:
        return np.column_stack(transformer.transform(points[:, 0], points[:, 1]))

    found: BaseGeometry = shapely.transform(geometry, move)
    return found
