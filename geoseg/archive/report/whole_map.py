"""One map of a whole archive: polygons, rasters and imagery of all scenes, by CRS, in a QGIS project."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from affine import Affine
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from geoseg.archive.report.catalogue import FOLDER
from geoseg.archive.report.formatting import readable
from geoseg.core.layer import CLASSES, SEGMENTS, VECTOR_SUFFIX, Layer, segment_layer, whole_class_map_schema
from geoseg.core.legend import Legend
from geoseg.core.types.json_value import UntypedDict, UntypedMapping
from geoseg.errors import SceneError
from geoseg.io.files.writing import make_durable_folder
from geoseg.io.polygons.merged_segments import merge_segments
from geoseg.io.publish.about import About
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.layer_kinds import IMAGERY, RESULT, kind_of
from geoseg.io.publish.mosaic import MosaicGrid, MosaicTile, is_geotiff, north_up, upright, write_mosaic
from geoseg.io.publish.picture_mosaic import Picture, shown_imagery, write_picture_mosaic
from geoseg.io.publish.scene_footprints import LAYER
from geoseg.io.publish.state_style import states_renderer
from geoseg.io.publish.styles import xml_text
from geoseg.io.qgis.document import Bounds, Shown, write_document
from geoseg.io.qgis.map_themes import map_themes
from geoseg.io.qgis.print_layout import print_layout
from geoseg.io.qgis.project import (
    MANY_POLYGONS_BYTES,
    Imagery,
    class_label,
    entries_listed,
    imagery_pipe,
    label_scale,
    near_scale,
)
from geoseg.io.services.address import service_kind

_SHOWN_AT_ANY_SCALE = 200
_CLOSEST = 250_000
_IMAGERY = "imagery"
_MERGED_BYTES = 1_000_000_000
"""Polygons beyond this are not copied together: each scene's own stay in its folder."""

_EMPTY_BYTES = 120_000
_IMAGERY_PX = 400_000_000
"""Imagery beyond this, mostly without overviews, takes seconds to draw as a whole."""

_MOSAIC = Imagery(uri="", alpha=4)
_EARTH = (-180.0, -85.0, 180.0, 85.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Near:
    """Map scales from which layers are drawn: polygons and imagery of large archives, class rasters of many scenes."""

    merged: bool
    polygons: bool
    classes: int | None
    imagery: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Layers of one finished scene on the map."""

    name: str
    classes: MosaicTile
    others: Mapping[str, Path]
    segments: Path | None
    picture: Picture | None


class WholeMap:
    """Writer of the map: collects finished scenes, then writes VRTs, a GeoPackage of all polygons, and the project.

    Scenes are grouped by CRS: a VRT has one. Those on a rotated, south-up or warped grid (ground control points) get a
    small VRT of their own that turns them north up, and are then tiles like the rest. Scenes without a place on Earth
    are left out.

    Args:
        out: the archive's folder; ``out/_catalogue`` exists.
        legend: its classes.
        there: tells whether a layer exists; rasters of north-up grids are not opened.

    Attributes:
        written: files that were written.
        unreadable: scenes with polygons, or with a raster that must be turned, that cannot be read.
    """

    def __init__(self, out: Path, legend: Legend, there: Callable[[Path], bool] = Path.is_file) -> None:
        self._out = out
        self._there = there
        self._legend = legend
        self._classes_layer, *self._others = whole_class_map_schema(legend).rasters
        self._parts: dict[str, list[_Part]] = {}
        self._wkt: dict[str, str | None] = {}
        self.written: list[Path] = []
        self.unreadable: list[str] = []

    def add(self, bundle: Bundle, item: UntypedMapping) -> None:
        """Add the layers of a scene, and its imagery if its run record names it.

        Args:
            bundle: its files.
            item: its STAC item, from which the grid is read.

        Raises:
            WriteError: the disk is full.
        """
        properties = item["properties"]
        wkt = self._crs(properties.get("proj:code") or properties.get("proj:wkt2"))
        if item.get("geometry") is None or wkt is None or not self._there(bundle.classes):
            return
        shape = tuple(properties["proj:shape"])
        transform = Affine(*properties["proj:transform"][:6]) if "proj:transform" in properties else None
        tile = None if transform is None else north_up(bundle.classes, shape, transform)
        turned = tile is None
        if tile is None:
            tile = self._upright(bundle.classes, CLASSES, bundle, nodata=self._legend.nodata)
        if tile is None:
            return
        part = _Part(
            name=self._name(bundle),
            classes=tile,
            others=dict(self._rasters(bundle, item["assets"], turned=turned)),
            segments=bundle.segments if bundle.segments.is_file() else None,
            picture=self._picture(bundle, tile, turned=turned),
        )
        self._parts.setdefault(wkt, []).append(part)

    def _rasters(self, bundle: Bundle, assets: Mapping[str, object], *, turned: bool) -> Iterator[tuple[str, Path]]:
        """Yield name and file of a scene's further rasters; those on a rotated grid get a VRT that is north up."""
        for layer in self._others:
            path = bundle.file_of(layer)
            if layer.name not in assets or not self._there(path):
                continue
            tile = self._upright(path, layer.name, bundle, nodata=layer.nodata) if turned else None
            if tile is not None or not turned:
                yield layer.name, path if tile is None else tile.path

    def _picture(self, bundle: Bundle, classes: MosaicTile, *, turned: bool) -> Picture | None:
        """Find the imagery of a scene; None if its run record does not name it or it is missing."""
        shown = shown_imagery(_run_record(bundle).get("imagery"))
        if shown is None:
            return None
        source = shown.pop("source")
        if shown.pop("subdataset") is not None or service_kind(source) is not None:
            return None  # it is shown in the scene's own project
        if source.startswith("/vsi"):
            return None if turned else Picture(tile=classes, source=source, **shown)
        path = Path(os.path.normpath(bundle.directory / source))
        if not path.is_file():
            return None
        if turned and not is_geotiff(path):
            return None  # it is shown in the scene's own project
        tile = self._upright(path, _IMAGERY, bundle, nodata=None) if turned else replace(classes, path=path)
        return None if tile is None else Picture(tile=tile, source=None, **shown)

    def _name(self, bundle: Bundle) -> str:
        return readable(bundle.directory.relative_to(self._out).as_posix())

    def _upright(self, raster: Path, kind: str, bundle: Bundle, *, nodata: float | None) -> MosaicTile | None:
        """Turn a raster of a scene north up; None, and the scene counts as unreadable, if it cannot be read."""
        name = hashlib.sha256(str(bundle.directory.relative_to(self._out)).encode(errors="surrogateescape"))
        prefix = "" if kind == CLASSES else f"{kind}-"
        vrt = self._out / FOLDER / "upright" / f"{prefix}{name.hexdigest()[:16]}.vrt"
        make_durable_folder(vrt.parent)
        try:
            tile = upright(raster, vrt, nodata=nodata)
        except SceneError:
            if self._name(bundle) not in self.unreadable:
                self.unreadable.append(self._name(bundle))
            return None
        self.written.append(vrt)
        return tile

    def write(self, path: Path, *, title: str, footprints: Path, bbox: Bounds | None) -> list[Path]:
        """Write the files of each CRS, and the project.

        Args:
            path: the final ``.qgz``, in the archive's folder.
            title: shown in QGIS's title bar.
            footprints: GeoPackage with the layer ``scenes``, in the same folder as ``path``.
            bbox: west, south, east and north of all footprints, degrees; None when there is none.

        Returns:
            VRTs and GeoPackages.

        Raises:
            WriteError: the disk is full or fails.
        """
        earth = CRS.from_epsg(4326).to_wkt()
        bbox = bbox or _EARTH
        scenes = Shown(
            key="scenes",
            name="Scenes",
            source=f"./{xml_text(footprints.name)}|layername={LAYER}",
            style=[states_renderer()],
            crs_wkt=earth,
            bounds=bbox,
            display="name",
        )
        about = About(title=title, abstract=f"{sum(map(len, self._parts.values()))} scenes: {self._classes()}.")
        near = self._near()
        layers = [layer for wkt, parts in self._parts.items() for layer in self._layers(wkt, parts, about, near)]
        order = [SEGMENTS, CLASSES, *(layer.name for layer in self._others), _IMAGERY]
        layers.sort(key=lambda layer: order.index(layer.key))
        view = next(iter(self._parts)) if len(self._parts) == 1 else CRS.from_epsg(3857).to_wkt()
        shown, bounds = [scenes, *layers], _turned(bbox, view)
        further = [map_themes(shown), print_layout(shown, about=about, crs_wkt=view, bounds=bounds)]
        write_document(path, shown, about=about, crs_wkt=view, bounds=bounds, further=further)
        return self.written

    def _classes(self) -> str:
        return ", ".join(self._legend.names)

    def _near(self) -> _Near:
        """Choose the map scales from which polygons and rasters draw fast enough."""
        parts = [part for some in self._parts.values() for part in some]
        polygons_bytes = sum(_polygons_bytes(part.segments) for part in parts if part.segments is not None)
        imagery_px = sum(part.classes.shape[0] * part.classes.shape[1] for part in parts if part.picture is not None)
        many = len(parts) > _SHOWN_AT_ANY_SCALE
        return _Near(
            merged=polygons_bytes <= _MERGED_BYTES,
            polygons=polygons_bytes > MANY_POLYGONS_BYTES,
            classes=_CLOSEST if many else None,
            imagery=many or imagery_px > _IMAGERY_PX,
        )

    def _layers(self, wkt: str, parts: list[_Part], about: About, near: _Near) -> Iterator[Shown]:
        """Write the files of one CRS and describe its layers."""
        name, ident = names_of_crs(wkt)
        folder = self._out / FOLDER
        after = "" if len(self._parts) == 1 else f", {name}"
        grid = MosaicGrid.over([part.classes for part in parts])
        scale = near_scale(max(grid.across, grid.down), wkt)
        place: UntypedDict = {"crs_wkt": wkt, "bounds": grid.bounds}

        def shown(layer: Layer, file: Path, **limits: Any) -> Shown:
            kind = kind_of(layer)
            style = kind.style(layer, self._legend)
            listed = entries_listed(layer, self._legend) if kind.group == RESULT else None
            return entry(layer.name, layer.label, file, style, group=kind.group, listed=listed, **limits)

        def entry(key: str, words: str, file: Path, style: Sequence[ET.Element], **more: Any) -> Shown:
            self.written.append(file)
            layer = f"|layername={file.stem.partition('-')[0]}" if file.suffix == ".gpkg" else ""
            facts = about.of_layer(f"{about.title}: {words}{after}")
            source = f"./{FOLDER}/{file.name}{layer}"
            return Shown(key=key, name=f"{words}{after}", source=source, style=style, about=facts, **place, **more)

        sources = [(part.name, part.segments) for part in parts if part.segments is not None] if near.merged else []
        if sources:
            file = folder / f"{SEGMENTS}-{ident}{VECTOR_SUFFIX}"
            self.unreadable += merge_segments(file, sources, crs_wkt=wkt, legend=self._legend)
            closest = scale if near.polygons else None
            yield shown(
                segment_layer(), file, closest=closest, label=class_label(self._legend), labelled=label_scale(scale)
            )
        file = folder / f"{CLASSES}-{ident}.vrt"
        tiles = [part.classes for part in parts]
        write_mosaic(file, tiles, self._classes_layer, crs_wkt=wkt, legend=self._legend)
        stands_alone = not sources or near.polygons
        limits = {"closest": near.classes, "farthest": scale if sources and near.polygons else None}
        limits |= {"checked": stands_alone, "expanded": stands_alone and not sources}
        yield shown(self._classes_layer, file, **limits)
        for layer in self._others:
            tiles = [replace(part.classes, path=part.others[layer.name]) for part in parts if layer.name in part.others]
            if tiles:
                file = folder / f"{layer.name}-{ident}.vrt"
                write_mosaic(file, tiles, layer, crs_wkt=wkt)
                yield shown(layer, file, checked=False, closest=near.classes)
        pictures = [part.picture for part in parts if part.picture is not None]
        if pictures:
            file = folder / f"{_IMAGERY}-{ident}.vrt"
            write_picture_mosaic(file, pictures, crs_wkt=wkt)
            limits = {"closest": 2 * scale if near.imagery else None, "expanded": False}
            yield entry(_IMAGERY, "Imagery", file, [imagery_pipe(_MOSAIC)], group=IMAGERY, **limits)

    def _crs(self, name: str | None) -> str | None:
        """Parse a CRS; None if there is none or PROJ does not know it."""
        if name is None:
            return None
        if name not in self._wkt:
            try:
                self._wkt[name] = CRS.from_user_input(name).to_wkt()
            except CRSError:
                self._wkt[name] = None
        return self._wkt[name]


def _polygons_bytes(segments: Path) -> int:
    """Estimate the bytes of polygons in a GeoPackage, without its empty tables."""
    return max(0, segments.stat().st_size - _EMPTY_BYTES)


def _run_record(bundle: Bundle) -> UntypedDict:
    """Read a scene's run record; empty if it is missing or invalid."""
    try:
        record = json.loads(bundle.run_record.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def names_of_crs(wkt: str) -> tuple[str, str]:
    """Return the display name of a CRS and its name in file names."""
    crs = CRS.from_wkt(wkt)
    authority = crs.to_authority(min_confidence=100)
    if authority:
        return ":".join(authority), "_".join(authority)
    words = re.sub(r"[^0-9A-Za-z]+", "_", crs.name).strip("_")[:40]
    return xml_text(crs.name), f"{words}-{hashlib.sha256(wkt.encode()).hexdigest()[:8]}"


def _turned(bbox: Bounds, wkt: str) -> Bounds:
    """Transform a box from degrees to a CRS, clipped to the latitudes of Web Mercator."""
    west, south, east, north = bbox
    if west > east:
        west, east = -180.0, 180.0
    crs = CRS.from_wkt(wkt)
    if crs.to_epsg() == 3857:
        south, north = max(south, -85.0), min(north, 85.0)
    found = Transformer.from_crs(4326, crs, always_xy=True).transform_bounds(west, south, east, north)
    return tuple(map(float, found))  # type: ignore[return-value]
