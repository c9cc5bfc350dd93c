"""One map of a whole archive: its class rasters as a VRT for each CRS, footprints above, in a QGIS project."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from affine import Affine
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from geoseg.archive.catalogue import FOLDER
from geoseg.core.legend import Legend
from geoseg.io.about import About
from geoseg.io.bundle import Bundle
from geoseg.io.mosaic import MosaicTile, north_up, upright, write_mosaic
from geoseg.io.qgis_document import Bounds, Shown, write_document
from geoseg.io.scene_footprints import LAYER
from geoseg.io.state_style import states_renderer
from geoseg.io.styles import class_pipe, xml_text

_SHOWN_AT_ANY_SCALE = 200
_CLOSEST = 250_000
_EARTH = (-180.0, -85.0, 180.0, 85.0)


class WholeMap:
    """Takes up finished scenes as they come, then writes VRTs and project.

    Scenes are grouped by CRS: a VRT has one. Those on a rotated, south-up or warped grid (ground control points) get a
    small VRT of their own that turns them north up, and are then tiles like the rest. Scenes that lie nowhere on Earth
    are left out.

    Args:
        out: the archive's folder; ``out/_catalogue`` exists.
        legend: its classes.
    """

    def __init__(self, out: Path, legend: Legend) -> None:
        self._out = out
        self._legend = legend
        self._tiles: dict[str, list[MosaicTile]] = {}
        self._wkt: dict[str, str | None] = {}
        self.written: list[Path] = []

    def add(self, bundle: Bundle, item: Mapping[str, Any]) -> None:
        """Take up the class raster of a scene.

        Args:
            bundle: its files.
            item: its STAC item, which tells the grid.

        Raises:
            WriteError: a raster that must be turned cannot be read, or the disk is full.
        """
        told = item["properties"]
        wkt = self._crs(told.get("proj:code") or told.get("proj:wkt2"))
        if item.get("geometry") is None or wkt is None or not bundle.classes.is_file():
            return
        shape = tuple(told["proj:shape"])
        tile = None
        if "proj:transform" in told:
            tile = north_up(bundle.classes, shape, Affine(*told["proj:transform"][:6]))
        if tile is None:
            name = hashlib.sha256(str(bundle.directory.relative_to(self._out)).encode(errors="surrogateescape"))
            vrt = self._out / FOLDER / "upright" / f"{name.hexdigest()[:16]}.vrt"
            vrt.parent.mkdir(exist_ok=True)
            tile = upright(bundle.classes, vrt, nodata=self._legend.nodata)
            self.written.append(vrt)
        self._tiles.setdefault(wkt, []).append(tile)

    def write(self, path: Path, *, title: str, footprints: Path, bbox: Bounds | None) -> list[Path]:
        """Write one VRT for each CRS, and the project.

        Args:
            path: the final ``.qgz``, in the archive's folder.
            title: shown in QGIS's title bar.
            footprints: GeoPackage with the layer ``scenes``, beside ``path``.
            bbox: west, south, east and north of all footprints, degrees; None when there is none.

        Returns:
            The VRTs.

        Raises:
            WriteError: the disk is full or fails.
        """
        earth = CRS.from_epsg(4326).to_wkt()
        bbox = bbox or _EARTH
        style = [states_renderer()]
        source = f"./{xml_text(footprints.name)}|layername={LAYER}"
        layers = [
            Shown(key="scenes", name="Scenes", source=source, style=style, crs_wkt=earth, bounds=bbox, display="name")
        ]
        many = sum(map(len, self._tiles.values())) > _SHOWN_AT_ANY_SCALE
        for wkt, tiles in self._tiles.items():
            name, ident = _names(wkt)
            vrt = self._out / FOLDER / f"classes-{ident}.vrt"
            bounds = write_mosaic(vrt, tiles, crs_wkt=wkt, legend=self._legend)
            self.written.append(vrt)
            layers.append(
                Shown(
                    key="classes",
                    name="Classes" if len(self._tiles) == 1 else f"Classes, {name}",
                    source=f"./{FOLDER}/{vrt.name}",
                    style=[class_pipe(self._legend)],
                    crs_wkt=wkt,
                    bounds=bounds,
                    expanded=len(layers) == 1,
                    closest=_CLOSEST if many else None,
                )
            )
        view = next(iter(self._tiles)) if len(self._tiles) == 1 else CRS.from_epsg(3857).to_wkt()
        write_document(path, layers, about=About(title=title), crs_wkt=view, bounds=_turned(bbox, view))
        return self.written

    def _crs(self, name: str | None) -> str | None:
        """Find a CRS; None when there is none or none that is known."""
        if name is None:
            return None
        if name not in self._wkt:
            try:
                self._wkt[name] = CRS.from_user_input(name).to_wkt()
            except CRSError:
                self._wkt[name] = None
        return self._wkt[name]


def _names(wkt: str) -> tuple[str, str]:
    """Name a CRS for people and for files."""
    crs = CRS.from_wkt(wkt)
    authority = crs.to_authority(min_confidence=100)
    if authority:
        return ":".join(authority), "_".join(authority)
    words = re.sub(r"[^0-9A-Za-z]+", "_", crs.name).strip("_")[:40]
    return xml_text(crs.name), f"{words}-{hashlib.sha256(wkt.encode()).hexdigest()[:8]}"


def _turned(bbox: Bounds, wkt: str) -> Bounds:
    """Turn a box of degrees into a CRS; what lies beyond the reach of Mercator is cut off."""
    west, south, east, north = bbox
    if west > east:
        west, east = -180.0, 180.0
    crs = CRS.from_wkt(wkt)
    if crs.to_epsg() == 3857:
        south, north = max(south, -85.0), min(north, 85.0)
    found = Transformer.from_crs(4326, crs, always_xy=True).transform_bounds(west, south, east, north)
    return tuple(map(float, found))  # type: ignore[return-value]
