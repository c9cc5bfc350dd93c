"""SceneLayers: everything of one scene that the map shows, opened once."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from geoseg.core.layer import CLASSES, CONFIDENCE, OBJECTS, SEGMENTS, RasterLayer, whole_class_map_schema
from geoseg.core.legend import Legend
from geoseg.core.text import printable, without_logins
from geoseg.core.types.json_value import UntypedDict
from geoseg.errors import GeosegError
from geoseg.io.files.drivers import is_remote
from geoseg.io.labels.raster_legend import legend_of
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.layer_kinds import ramp_of
from geoseg.io.publish.picture_mosaic import shown_imagery
from geoseg.io.publish.styles import LAND_COVER_OPACITY, OBJECT_OPACITY, Ramp
from geoseg.io.qgis.scene_imagery import NO_IMAGERY
from geoseg.io.raster.open_options import OpenOptions
from geoseg.io.services.address import parse_service, service_kind
from geoseg.io.tiles.address import Bounds
from geoseg.io.tiles.pictures import Palette, legend_palette, ramp_palette
from geoseg.io.tiles.placed import PlacedRaster
from geoseg.io.tiles.polygons import PolygonTable
from geoseg.io.tiles.raster import open_imagery, open_layer

if TYPE_CHECKING:
    from geoseg.io.tiles.polygon_archive import PolygonArchive

IMAGERY = "imagery"
_PERCENT_ROLES = {"confidence", "probability", "uncertainty"}
_LABELS = {SEGMENTS: "Polygons", OBJECTS: "Objects"}
_MOST_BYTES = 64 * 2**20
_SAMPLE_PX = 512
_MOST_LETTERS = 300
_NAME = re.compile(r"[A-Za-z0-9_]{1,80}")

Polygons: TypeAlias = "PolygonTable | PolygonArchive"
Kind = Literal["imagery", "classes", "percent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterView:
    """One raster on the map.

    Attributes:
        id: its name in addresses.
        label: display name.
        kind: how it is coloured.
        raster: its pixels.
        palette: colours of its values; None for imagery.
        stretch: of imagery, for each band the values shown as black and as white; None: as they are.
        ramp: of percentages, colours by percent, for the legend.
        opacity: at first.
        visible: at first.
        opening: of imagery, address and options of the scene.
    """

    id: str
    label: str
    kind: Kind
    raster: PlacedRaster
    palette: Palette | None = None
    stretch: tuple[tuple[float, float], ...] | None = None
    ramp: Ramp | None = None
    opacity: float = 1.0
    visible: bool = False
    opening: tuple[str, OpenOptions] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneLayers:
    """The layers of one scene.

    Attributes:
        name: of the scene.
        rasters: by id, the lowest first.
        polygons: by id.
        legend: classes; None for a scene without a class map.
        bounds: west, south, east and north, degrees.
        facts: what the run record says: name and text.
        notes: what is not shown, and why.
        refused: ids of layers that cannot be read.
        version: changes when a file of them does, so that browsers ask for tiles again.
    """

    name: str
    rasters: dict[str, RasterView]
    polygons: dict[str, Polygons]
    legend: Legend | None
    bounds: Bounds
    facts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    refused: frozenset[str] = frozenset()
    version: str = "0"

    def close(self) -> None:
        """Close all files."""
        for view in self.rasters.values():
            view.raster.close()


@dataclass(slots=True)
class _Making:
    """Layers found so far."""

    rasters: dict[str, RasterView] = field(default_factory=dict)
    polygons: dict[str, Polygons] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)


def scene_layers(uri: str, options: OpenOptions) -> SceneLayers:
    """Open a scene that nothing was predicted from.

    Raises:
        SceneError, UsageError: the scene is refused.
    """
    raster = open_imagery(uri, options, ())
    view = RasterView(id=IMAGERY, label="Imagery", kind="imagery", raster=raster, visible=True)
    view = replace(view, stretch=_stretch_of(raster))
    return SceneLayers(name=shown_name(uri), rasters={IMAGERY: view}, polygons={}, legend=None, bounds=raster.bounds)


def shown_name(uri: str) -> str:
    """Name a scene by its file, or by the host of a service; no login or query is in it."""
    if service_kind(uri) is not None:
        service = parse_service(uri)
        return printable(f"{service.host} ({service.kind})")
    return printable(Path(without_logins(uri) if is_remote(uri) else uri).name)


def bundle_layers(bundle: Bundle, options: OpenOptions) -> SceneLayers:
    """Open the layers of a run, and its imagery where it can be found.

    Args:
        bundle: its files.
        options: options of opening the imagery.

    Raises:
        SceneError: the class map cannot be read.
    """
    record = read_record(bundle)
    legend = legend_of(bundle.classes, _codes(record))
    making = _Making()
    classes = open_layer(bundle.classes)
    _add_imagery(making, bundle, record, options, classes)
    hidden = () if legend.background is None else (legend.background,)
    for layer in whole_class_map_schema(legend).rasters:
        path = bundle.file_of(layer)
        if layer.name == CLASSES:
            making.rasters[CLASSES] = RasterView(
                id=CLASSES,
                label="Class map",
                kind="classes",
                raster=classes,
                palette=legend_palette(legend, hidden),
                opacity=LAND_COVER_OPACITY if legend.background is None else OBJECT_OPACITY + 0.25,
                visible=True,
            )
        elif layer.role in _PERCENT_ROLES and path.is_file():
            _add_percent(making, layer, path)
    for role, path in bundle.by_role().items():
        if path.suffix == ".gpkg":
            try:
                making.polygons[role] = PolygonTable(path, role)
            except GeosegError as error:
                making.refused.add(role)
                making.notes.append(printable(str(error)))
    for path in _archives(bundle):
        _add_archive(making, path)
    return SceneLayers(
        name=printable(bundle.stem),
        rasters=making.rasters,
        polygons=dict(sorted(making.polygons.items(), key=lambda item: item[0] != OBJECTS)),
        legend=legend,
        bounds=classes.bounds,
        facts=tuple(_facts(record)),
        notes=tuple(making.notes),
        refused=frozenset(making.refused),
    )


def drawn_files(bundle: Bundle) -> tuple[Path, ...]:
    """List the files of a run that a map of it is drawn from, its imagery included."""
    shown = shown_imagery(read_record(bundle).get("imagery"))
    place = "" if shown is None else _imagery_place(bundle, shown["source"])
    return (*bundle.by_role().values(), *_archives(bundle), *((Path(place),) if place and not is_remote(place) else ()))


def _archives(bundle: Bundle) -> list[Path]:
    """List the PMTiles of a run's folder."""
    return sorted(path for path in bundle.directory.glob("*.pmtiles") if path.name.startswith(f"{bundle.stem}_"))


def _add_archive(making: _Making, path: Path) -> None:
    """Add the polygons of PMTiles, unless a GeoPackage holds that layer."""
    try:
        from geoseg.io.tiles.polygon_archive import MOST_SEARCHED_BYTES, PolygonArchive  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        making.notes.append(f"{printable(path.name)} is not shown: pip install 'geoseg[pmtiles]' ({error.name})")
        return
    try:
        archive = PolygonArchive(path)
    except GeosegError as error:
        making.notes.append(printable(str(error)))
        return
    if archive.layer in making.polygons or archive.layer in making.refused or not _NAME.fullmatch(archive.layer):
        return
    making.polygons[archive.layer] = archive
    name = printable(path.name)
    making.notes.append(f"polygons are those of {name}, with the attributes that its tiles carry")
    if not archive.searched:
        most = MOST_SEARCHED_BYTES // 2**20
        making.notes.append(f"{name} is larger than {most} MiB: its ids are not searched, and its polygons not listed")


def polygon_label(layer: str) -> str:
    """Name a layer of polygons."""
    return _LABELS.get(layer, layer.replace("_", " ").capitalize())


def read_record(bundle: Bundle) -> UntypedDict:
    """Read ``run.json``; empty if it is damaged."""
    with suppress(OSError, ValueError, RecursionError), bundle.run_record.open("rb") as file:
        record = json.loads(file.read(_MOST_BYTES))
        return record if isinstance(record, dict) else {}
    return {}


def _codes(record: UntypedDict) -> list[int]:
    """List the class codes of a run record, as far as they are such."""
    entries = record.get("classes")
    codes = [entry.get("code") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return list(dict.fromkeys(code for code in codes if type(code) is int and 0 <= code < 255))


def _add_percent(making: _Making, layer: RasterLayer, path: Path) -> None:
    ramp = ramp_of(layer)
    try:
        raster = open_layer(path)
    except GeosegError as error:
        making.refused.add(layer.name)
        making.notes.append(printable(str(error)))
        return
    making.rasters[layer.name] = RasterView(
        id=layer.name,
        label=layer.label,
        kind="percent",
        raster=raster,
        palette=ramp_palette(ramp, layer.nodata),
        ramp=ramp,
        opacity=0.8 if layer.name == CONFIDENCE else 0.9,
    )


def _add_imagery(
    making: _Making, bundle: Bundle, record: UntypedDict, options: OpenOptions, classes: PlacedRaster
) -> None:
    shown = shown_imagery(record.get("imagery"))
    if shown is None:
        making.notes.extend(_why_no_imagery(record))
        return
    place = _imagery_place(bundle, shown["source"])
    remote = is_remote(place)
    if remote and not options.allow_remote:
        making.notes.append("imagery at an address is not shown: start geoseg view with --allow-remote to ask for it")
        return
    if service_kind(place) is None:
        options = replace(options, assume_crs=options.assume_crs or classes.crs_wkt)
    else:
        options = OpenOptions(allow_remote=True, max_pixels=options.max_pixels)
    try:
        options = replace(options, subdataset=shown["subdataset"])
        raster = open_imagery(place, options, shown["bands"])
    except GeosegError as error:
        making.notes.append(printable(f"imagery is not shown: {error}"))
        return
    stretch = tuple((low, high) for low, high in shown["stretch"])
    as_is = raster.dtype == "uint8" and all(abs(low) < 1e-6 and abs(high - 255) < 1e-6 for low, high in stretch)
    making.rasters[IMAGERY] = RasterView(
        id=IMAGERY,
        label="Imagery",
        kind="imagery",
        raster=raster,
        stretch=None if as_is else stretch,
        visible=True,
        opening=(place, options),
    )


def _why_no_imagery(record: UntypedDict) -> list[str]:
    """Find what a run says of imagery that it does not name."""
    notes = record.get("notes")
    texts = [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []
    said = [printable(note[:_MOST_LETTERS]) for note in texts if note.startswith(NO_IMAGERY)]
    return said or ["the run record does not name the imagery"]


def _imagery_place(bundle: Bundle, source: str) -> str:
    """Return the path or the address of the imagery that a run record names."""
    for before, after in (("/vsicurl/", ""), ("/vsis3/", "s3://")):
        if source.startswith(before):
            return after + source.removeprefix(before)
    return source if is_remote(source) else os.path.normpath(bundle.directory / source)


def _stretch_of(raster: PlacedRaster) -> tuple[tuple[float, float], ...] | None:
    """Stretch between the 2nd and 98th percentile of a sample; 8-bit values are shown as they are."""
    if raster.dtype == "uint8":
        return None
    grid = raster.grid(raster.sampled_bounds, _SAMPLE_PX)
    if grid is None:
        return None
    pixels = raster.on_grid(grid)
    if not pixels.valid.any():
        return None
    ends = []
    for band in pixels.values:
        low, high = np.percentile(band[pixels.valid].astype(np.float64), (2, 98)).tolist()
        ends.append((low, high if high > low else low + 1))
    return tuple(ends)


def _facts(record: UntypedDict) -> Iterator[tuple[str, str]]:
    with suppress(KeyError, TypeError, ValueError):
        model = record["model"]
        yield "Model", printable(f"{model['name']} {model['version']}")
    with suppress(KeyError, TypeError, ValueError):
        scene = record["scene"]
        yield "Size", f"{int(scene['height_px']):,} x {int(scene['width_px']):,} px"
        yield "Pixel", f"{float(scene['gsd_m'][0]):.3g} m"
    with suppress(KeyError, TypeError, ValueError):
        yield "Finished", printable(str(record["finished"])[:19].replace("T", " "))
