"""The application: routes of the page, of tiles, and of what the page asks about them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Final, Literal

from fastapi import Depends, FastAPI, HTTPException, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from geoseg.core.text import printable
from geoseg.core.types.json_value import UntypedDict
from geoseg.errors import GeosegError, SceneError
from geoseg.io.tiles.address import MAX_ZOOM, TILE_SIDES, TileAddress
from geoseg.io.tiles.polygons import MVT, Polygon, PolygonTable
from geoseg.viewer import describe
from geoseg.viewer.answers import areas, changes_tile, least_certain, raster_tile
from geoseg.viewer.gate import Gate
from geoseg.viewer.layers import SceneLayers
from geoseg.viewer.opened import MapView
from geoseg.viewer.page_files import PAGE, page_files
from geoseg.viewer.security import Access, Guard

if TYPE_CHECKING:
    from geoseg.io.tiles.polygon_archive import PolygonArchive

_log = logging.getLogger(__name__)

CHANGES: Final = "changes"
_NAME = r"^[A-Za-z0-9_]{1,80}$"
_CACHED: Final = {"Cache-Control": "private, max-age=3600"}

Which = Literal["a", "b"]
SceneIndex = Annotated[int, Path(ge=0, lt=1_000_000)]
LayerName = Annotated[str, Path(pattern=_NAME)]
Zoom = Annotated[int, Path(ge=0, le=MAX_ZOOM)]
Place = Annotated[int, Path(ge=0, lt=2**MAX_ZOOM)]
Row = Annotated[int, Query(ge=0, lt=2**53)]
Longitude = Annotated[float, Query(ge=-180, le=180, allow_inf_nan=False)]
Latitude = Annotated[float, Query(ge=-90, le=90, allow_inf_nan=False)]


def make_app(view: MapView, access: Access) -> FastAPI:
    """Make the application.

    Args:
        view: what it shows.
        access: who may ask.
    """
    app = FastAPI(title="geoseg view", docs_url=None, redoc_url=None, openapi_url=None)
    public = [f"/{name}" for name in page_files() if name != PAGE]
    app.add_middleware(Guard, access=access, public=public)
    _add_errors(app)
    _add_page(app)
    gate = Gate()
    _add_facts(app, view, gate)
    _add_tiles(app, view, gate)
    _add_questions(app, view, gate)
    if view.edit:
        from geoseg.viewer.editing import add_editing  # noqa: PLC0415 - loads torch

        add_editing(app, view, gate, view.click_model)
    return app


def _add_errors(app: FastAPI) -> None:
    """Answer every refusal by a few words that repeat nothing of the request and name no path."""

    @app.exception_handler(StarletteHTTPException)
    async def http(_request: Request, error: StarletteHTTPException) -> Response:
        detail = "not found" if error.status_code == 404 else error.detail
        return JSONResponse({"detail": detail}, error.status_code, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, _error: RequestValidationError) -> Response:
        return JSONResponse({"detail": "a parameter is missing or out of range"}, 422)

    @app.exception_handler(GeosegError)
    async def refused(_request: Request, error: GeosegError) -> Response:
        _log.warning("%s", printable(str(error)))
        return JSONResponse({"detail": "the layer cannot be read; geoseg view says why in its terminal"}, 409)


def _add_page(app: FastAPI) -> None:
    @app.get("/")
    async def page(request: Request) -> Response:
        return _file(PAGE, request)

    @app.get("/page/{name:path}")
    async def asset(name: str, request: Request) -> Response:
        return _file(f"page/{name}", request)


def _file(name: str, request: Request) -> Response:
    known = page_files().get(name)
    if known is None:
        raise HTTPException(404)
    headers = {"Content-Encoding": "gzip", "Cache-Control": "no-cache"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        raise HTTPException(406, "gzip is expected")
    return Response(known.content, media_type=known.media_type, headers=headers)


def _add_facts(app: FastAPI, view: MapView, gate: Gate) -> None:
    @app.get("/api/view")
    async def overview() -> UntypedDict:
        return describe.view(view)

    @app.get("/api/footprints")
    async def footprints() -> UntypedDict:
        return describe.footprints(view.run)

    @app.get("/api/{which}/{scene}")
    async def scene_facts(which: Which, scene: SceneIndex, request: Request) -> UntypedDict:
        return await gate.run(request, lambda: describe.scene(_layers(view, which, scene)))


def _layers(view: MapView, which: Which, scene: int) -> SceneLayers:
    run = view.run if which == "a" else view.other
    if which == "b" and run is not None and 0 <= scene < len(view.run.scenes):
        found = run.index_of(view.run.scenes[scene].name)
        layers = None if found is None else run.layers(found)
    else:
        layers = None if run is None else run.layers(scene)
    if layers is None:
        raise HTTPException(404)
    return layers


class AskedTile:
    """Address and side of a tile that a request asks for."""

    def __init__(self, z: Zoom, x: Place, y: Place, size: Annotated[int, Query()] = 512) -> None:
        if size not in TILE_SIDES or max(x, y) >= 2**z:
            raise HTTPException(422, "there is no such tile")
        self.address, self.side_px = TileAddress(z, x, y), size


class AskedScene:
    """Run and number of the scene that a request asks about."""

    def __init__(self, which: Which, scene: SceneIndex) -> None:
        self.which, self.scene = which, scene

    def layers(self, view: MapView) -> SceneLayers:
        """Open the scene.

        Raises:
            HTTPException: 404, there is nothing to see.
        """
        return _layers(view, self.which, self.scene)


class AskedExtent:
    """Extent that a request asks about, degrees."""

    def __init__(self, west: Longitude, south: Latitude, east: Longitude, north: Latitude) -> None:
        if south >= north or west == east:
            raise HTTPException(422, "the extent is empty")
        self.bounds = west, south, east, north


Tile = Annotated[AskedTile, Depends()]
Scene = Annotated[AskedScene, Depends()]
Extent = Annotated[AskedExtent, Depends()]


def _add_tiles(app: FastAPI, view: MapView, gate: Gate) -> None:
    @app.get("/tiles/{which}/{scene}/{layer}/{z}/{x}/{y}")
    async def tile(of: Scene, layer: LayerName, asked: Tile, request: Request) -> Response:
        def work() -> Response:
            layers = of.layers(view)
            if layer == CHANGES:
                picture = changes_tile(layers, _layers(view, "b", of.scene), asked.address, asked.side_px)
            else:
                picture = raster_tile(layers, layer, asked.address, asked.side_px)
            if picture is None:
                raise _missing(layers, layer)
            return Response(picture.content, media_type=picture.media_type, headers=_CACHED)

        return await gate.run(request, work)

    @app.get("/polygons/{which}/{scene}/{layer}/{z}/{x}/{y}")
    async def polygons(of: Scene, layer: LayerName, asked: Tile, request: Request) -> Response:
        def work() -> Response:
            return Response(_table(of.layers(view), layer).tile(asked.address), media_type=MVT, headers=_CACHED)

        return await gate.run(request, work)


def _table(layers: SceneLayers, name: str) -> PolygonTable | PolygonArchive:
    table = layers.polygons.get(name)
    if table is None:
        raise _missing(layers, name)
    return table


def _missing(layers: SceneLayers, name: str) -> Exception:
    """Return the refusal of a layer that is not there, or that cannot be read."""
    return SceneError(name, "; ".join(layers.notes)) if name in layers.refused else HTTPException(404)


def _add_questions(app: FastAPI, view: MapView, gate: Gate) -> None:
    @app.get("/api/{which}/{scene}/areas")
    async def class_areas(of: Scene, extent: Extent, request: Request) -> UntypedDict:
        def work() -> UntypedDict:
            other = None if view.other is None or of.which == "b" else _layers(view, "b", of.scene)
            return areas(of.layers(view), other, extent.bounds)

        return await gate.run(request, work)

    @app.get("/api/{which}/{scene}/least")
    async def least(
        of: Scene,
        request: Request,
        most: Annotated[int, Query(ge=1, le=500)] = 100,
        least_m2: Annotated[float, Query(ge=0, le=1e12, allow_inf_nan=False)] = 0.0,
    ) -> UntypedDict:
        return await gate.run(request, lambda: least_certain(of.layers(view), most, least_m2))

    @app.get("/api/{which}/{scene}/{layer}/polygon")
    async def polygon(
        of: Scene, layer: LayerName, request: Request, row: Row | None = None, object_id: Row | None = None
    ) -> UntypedDict:
        def work() -> UntypedDict:
            table = _table(of.layers(view), layer)
            if row is not None and object_id is None:
                return _found(table.polygon(row))
            if object_id is not None and row is None:
                return _found(table.with_object(object_id))
            raise HTTPException(422, "row or object_id is expected")

        return await gate.run(request, work)

    @app.get("/api/{which}/{scene}/{layer}/at")
    async def polygon_at(of: Scene, layer: LayerName, request: Request, lon: Longitude, lat: Latitude) -> UntypedDict:
        return await gate.run(request, lambda: _found(_table(of.layers(view), layer).at(lon, lat)))


def _found(polygon: Polygon | None) -> UntypedDict:
    if polygon is None:
        raise HTTPException(404)
    return describe.polygon(polygon)
