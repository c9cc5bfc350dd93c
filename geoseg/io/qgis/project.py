"""The QGIS project of one scene's layers."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from pyproj import CRS

from geoseg.core.layer import CONFIDENCE, Layer, OutputSchema, RasterLayer, VectorLayer
from geoseg.core.legend import Legend
from geoseg.io.files.drivers import local_name
from geoseg.io.publish.about import About
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.grid import LayerGrid
from geoseg.io.publish.layer_kinds import IMAGERY, RESULT, kind_of
from geoseg.io.publish.stac_item import without_secrets
from geoseg.io.publish.styles import xml_text
from geoseg.io.qgis.document import Shown, write_document
from geoseg.io.qgis.map_themes import bookmarks, least_certain_places, map_themes
from geoseg.io.qgis.print_layout import print_layout

MANY_POLYGONS_BYTES = 30_000_000
"""Size of a GeoPackage, bytes, beyond which QGIS takes seconds to draw it: some fifty thousand polygons."""

_DEGREE_M = 111_320


@dataclass(frozen=True, slots=True, kw_only=True)
class Imagery:
    """Display settings of the scene in the project.

    Attributes:
        uri: local path, ``https://`` or ``s3://`` address.
        bands: 1-based bands shown as red, green and blue, or one band shown as grey.
        alpha: 1-based opacity band; None: the file has none.
        source: what QGIS opens, where it is not the path or address of ``uri``: a subdataset, a service.
        service: True if it is a tile or map service, which is shown in its own colours.
        stretch: lowest and highest value shown, for each of ``bands``; None for 8-bit images, shown unchanged.
    """

    uri: str
    bands: tuple[int, ...] = (1, 2, 3)
    stretch: tuple[tuple[float, float], ...] | None = None
    alpha: int | None = None
    source: str | None = None
    service: bool = False

    def __post_init__(self) -> None:
        if len(self.bands) not in {1, 3}:
            raise ValueError(f"one band or three can be shown, not {len(self.bands)}")
        if self.stretch is not None and len(self.stretch) != len(self.bands):
            raise ValueError(f"{len(self.bands)} bands need as many stretches, not {len(self.stretch)}")


def write_project(
    bundle: Bundle,
    schema: OutputSchema,
    *,
    about: About,
    grid: LayerGrid,
    legend: Legend,
    imagery: Imagery | None = None,
) -> None:
    """Write ``bundle.project``: translucent results over percentages (hidden) over the imagery.

    Of the results the uppermost is visible: polygons, not the equivalent class raster. If there are very many polygons,
    the raster is shown instead at small map scales. Layers of the bundle that do not exist are left out. Paths are
    relative, so that the folder may be moved.

    Args:
        bundle: paths of the layers and the project.
        schema: the possible layers.
        about: metadata of the scene's layers; the title is the scene's name.
        grid: the layers' grid, which gives the CRS and the initial extent of the project.
        legend: names and colours.
        imagery: the scene; None leaves it out.

    Raises:
        WriteError: the disk is full or fails.

    Source:
        The .qgs format as QGIS 3.22 reads it (``QgsProject::read``, ``QgsMapLayer::readLayerXml``).
    """
    layers = _layers(bundle, schema, about, grid, legend)
    if imagery is not None:
        layers.append(
            Shown(
                key="imagery",
                name=f"{about.title} imagery",
                source=xml_text(imagery.source or imagery_source(imagery.uri, bundle.directory)),
                service=imagery.service,
                style=[imagery_pipe(imagery)],
                group=IMAGERY,
                expanded=False,
                about=About(title=f"{about.title} imagery", abstract="The scene that was segmented."),
                crs_wkt=grid.crs_wkt,
                bounds=grid.bounds(),
            )
        )
    wkt, bounds = grid.crs_wkt, grid.bounds()
    confidence = bundle.by_role().get(CONFIDENCE)
    places = [] if confidence is None else least_certain_places(confidence, grid)
    layout = print_layout(layers, about=about, crs_wkt=wkt, bounds=bounds)
    further = [map_themes(layers), bookmarks(places, wkt), layout]
    write_document(bundle.project, layers, about=about, crs_wkt=wkt, bounds=bounds, further=further)


def _layers(bundle: Bundle, schema: OutputSchema, about: About, grid: LayerGrid, legend: Legend) -> list[Shown]:
    """Describe the existing layers of the bundle."""
    listed: tuple[Layer, ...] = (*schema.vectors, *schema.rasters)
    there = [layer for layer in listed if bundle.file_of(layer).exists()]
    results = [layer for layer in there if kind_of(layer).group == RESULT]
    polygons = [layer for layer in results if isinstance(layer, VectorLayer)]
    stand_in = next((layer for layer in results if isinstance(layer, RasterLayer)), None)
    west, _, east, _ = grid.bounds()
    scale = near_scale((east - west) / grid.shape[1], grid.crs_wkt)
    many = any(bundle.file_of(layer).stat().st_size > MANY_POLYGONS_BYTES for layer in polygons)
    near = scale if many else None
    layers = []
    for layer in there:
        path, kind = bundle.file_of(layer), kind_of(layer)
        name = f"{about.title} {layer.label[0].lower()}{layer.label[1:]}"
        within = f"|layername={layer.name}" if isinstance(layer, VectorLayer) else ""
        uppermost = layer is results[0] if results else False
        drawn = isinstance(layer, VectorLayer)
        layers.append(
            Shown(
                key=layer.name,
                name=name,
                source=f"./{xml_text(path.name)}{within}",
                style=kind.style(layer, legend),
                group=kind.group,
                about=about.of_layer(name, f"{layer.title}."),
                crs_wkt=grid.crs_wkt,
                bounds=grid.bounds(),
                checked=uppermost or (layer is stand_in and near is not None),
                expanded=uppermost if layer is stand_in else True,
                closest=near if drawn else None,
                farthest=near if layer is stand_in else None,
                label=class_label(legend) if drawn else None,
                labelled=label_scale(scale),
                listed=entries_listed(layer, legend) if kind.group == RESULT else None,
            )
        )
    return layers


def entries_listed(layer: Layer, legend: Legend) -> tuple[int, ...]:
    """Number the entries of QGIS's legend of a layer that are printed: the classes that are drawn.

    The first entry of a raster is the name of its band.
    """
    first = 1 if isinstance(layer, RasterLayer) else 0
    hidden = None if layer.role == "panoptic_segments" else legend.background
    return tuple(number for number, entry in enumerate(legend.classes, first) if entry.code != hidden)


def class_label(legend: Legend) -> str:
    """Write QGIS's expression for the name of a polygon's class, which is null on the background."""
    name = '"class_name"'
    return name if legend.background is None else f'CASE WHEN "class_code" <> {legend.background} THEN {name} END'


def label_scale(near: int) -> int:
    """Return the map scale from which polygons are labelled: twice as large as that from which they are drawn."""
    return max(1, near // 2)


def near_scale(pixel: float, crs_wkt: str | None) -> int:
    """Return the denominator of the map scale from which a screen shows few enough polygons to draw them.

    A screen pixel (0.28 mm, by the OGC) is then four raster pixels wide.

    Args:
        pixel: side of the raster's pixels in units of the CRS, in which map scales are counted.
        crs_wkt: the CRS.
    """
    scale = 4 * pixel * _unit_m(crs_wkt) / 0.00028
    return max(1, int(float(f"{scale:.1g}")))


def _unit_m(crs_wkt: str | None) -> float:
    """Return the length of a CRS's unit on the ground, metres; that of a degree is one of latitude."""
    crs = None if crs_wkt is None else CRS.from_wkt(crs_wkt)
    if crs is None or not crs.axis_info:
        return 1.0
    return _DEGREE_M if crs.is_geographic else crs.axis_info[0].unit_conversion_factor or 1.0


def imagery_source(uri: str, directory: Path) -> str:
    """Return the GDAL name of a scene: a local file's path relative to a folder, or an address without credentials."""
    if uri.startswith("s3://"):
        return "/vsis3/" + uri.removeprefix("s3://")
    if re.match(r"https?://", uri):
        return "/vsicurl/" + without_secrets(uri)
    if uri.startswith("/vsi"):
        return without_secrets(uri)
    relative = os.path.relpath(local_name(uri), directory)
    return relative if relative.startswith("../") else f"./{relative}"


def imagery_pipe(imagery: Imagery) -> ET.Element:
    """Make the ``pipe`` of a raster style: bands as red, green and blue, one as grey, or a service as it is."""
    pipe = ET.Element("pipe")
    if imagery.service:
        ET.SubElement(pipe, "rasterrenderer", type="singlebandcolordata", band="1", opacity="1", alphaBand="-1")
        return pipe
    if len(imagery.bands) == 1:
        renderer = ET.SubElement(
            pipe, "rasterrenderer", type="singlebandgray", grayBand=str(imagery.bands[0]), gradient="BlackToWhite"
        )
        tags: tuple[str, ...] = ("contrastEnhancement",)
    else:
        red, green, blue = map(str, imagery.bands)
        renderer = ET.SubElement(
            pipe, "rasterrenderer", type="multibandcolor", redBand=red, greenBand=green, blueBand=blue
        )
        tags = ("redContrastEnhancement", "greenContrastEnhancement", "blueContrastEnhancement")
    renderer.attrib |= {"opacity": "1", "alphaBand": str(imagery.alpha or -1), "nodataColor": ""}
    for tag, (low, high) in zip(tags, imagery.stretch or (), strict=False):
        stretch = ET.SubElement(renderer, tag)
        ET.SubElement(stretch, "minValue").text = repr(float(low))
        ET.SubElement(stretch, "maxValue").text = repr(float(high))
        ET.SubElement(stretch, "algorithm").text = "StretchToMinimumMaximum"
    return pipe
