"""QGIS projects (.qgz) without QGIS: a zip of one XML file, with relative paths, the same bytes every time."""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from pyproj import CRS
from pyproj.exceptions import CRSError

from geoseg.core.legend import Legend
from geoseg.io.bundle import Bundle
from geoseg.io.grid import LayerGrid
from geoseg.io.stac_item import without_secrets
from geoseg.io.styles import class_pipe, confidence_pipe, segments_renderer, xml_text
from geoseg.io.writing import write_bytes

_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the first moment a zip can hold; the run's own time stands in its record


@dataclass(frozen=True, slots=True, kw_only=True)
class Imagery:
    """The scene, as the project shows it.

    Attributes:
        uri: local path, ``https://`` or ``s3://`` address.
        bands: 1-based bands shown as red, green and blue, or one band shown as grey.
        stretch: lowest and highest value shown, for each of ``bands``; None for 8-bit pictures, shown as they are.
    """

    uri: str
    bands: tuple[int, ...] = (1, 2, 3)
    stretch: tuple[tuple[float, float], ...] | None = None

    def __post_init__(self) -> None:
        if len(self.bands) not in {1, 3}:
            raise ValueError(f"one band or three can be shown, not {len(self.bands)}")
        if self.stretch is not None and len(self.stretch) != len(self.bands):
            raise ValueError(f"{len(self.bands)} bands need as many stretches, not {len(self.stretch)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    key: str
    name: str
    source: str
    style: ET.Element
    checked: bool = True

    @property
    def ident(self) -> str:
        # QGIS makes a new id, and orphans the tree's entry, when this one has ten characters or fewer
        return f"{self.key}_{hashlib.sha256(self.source.encode()).hexdigest()[:16]}"

    @property
    def is_vector(self) -> bool:
        return self.style.tag == "renderer-v2"

    @property
    def provider(self) -> str:
        return "ogr" if self.is_vector else "gdal"


def write_project(
    bundle: Bundle, *, title: str, grid: LayerGrid, legend: Legend, imagery: Imagery | None = None
) -> None:
    """Write ``bundle.project``: segments over classes over confidence (hidden) over the imagery, all styled.

    Layers of the bundle that do not exist are left out. Paths are relative, so that the folder may be moved.

    Args:
        bundle: where the layers are and the project goes.
        title: shown in QGIS's title bar.
        grid: the layers' grid: CRS of the project, and what it shows first.
        legend: names and colours.
        imagery: the scene; None leaves it out.

    Raises:
        WriteError: the disk is full or fails.

    Source:
        The .qgs format as QGIS 3.22 reads it (``QgsProject::read``, ``QgsMapLayer::readLayerXml``).
    """
    layers = _layers(bundle, legend, imagery)
    root = ET.Element("qgis", projectname=xml_text(title), version="3.22.16-Białowieża")
    ET.SubElement(root, "title").text = xml_text(title)
    _add_crs(ET.SubElement(root, "projectCrs"), grid.crs_wkt)
    tree = ET.SubElement(root, "layer-tree-group")
    for layer in layers:
        ET.SubElement(
            tree,
            "layer-tree-layer",
            id=layer.ident,
            name=layer.name,
            source=layer.source,
            providerKey=layer.provider,
            checked="Qt::Checked" if layer.checked else "Qt::Unchecked",
            expanded="0" if layer.key == "imagery" else "1",
        )
    _add_view(root, grid)
    order = ET.SubElement(root, "layerorder")
    listed = ET.SubElement(root, "projectlayers")
    for layer in layers:
        ET.SubElement(order, "layer", id=layer.ident)
        listed.append(_layer(layer, grid))
    _add_properties(root)
    ET.indent(root)
    document = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ET.tostring(root, encoding="unicode")
    write_bytes(bundle.project, _zipped(document.encode()))


def _layers(bundle: Bundle, legend: Legend, imagery: Imagery | None) -> list[_Shown]:
    own = [
        _Shown(
            key="segments",
            name="Segments",
            source=f"./{xml_text(bundle.segments.name)}|layername=segments",
            style=segments_renderer(legend),
        ),
        _Shown(key="classes", name="Classes", source=f"./{xml_text(bundle.classes.name)}", style=class_pipe(legend)),
        _Shown(
            key="confidence",
            name="Confidence (%)",
            source=f"./{xml_text(bundle.confidence.name)}",
            style=confidence_pipe(),
            checked=False,
        ),
    ]
    files = (bundle.segments, bundle.classes, bundle.confidence)
    shown = [layer for layer, file in zip(own, files, strict=True) if file.exists()]
    if imagery is not None:
        source = _imagery_source(imagery.uri, bundle.directory)
        shown.append(_Shown(key="imagery", name="Imagery", source=xml_text(source), style=_imagery_pipe(imagery)))
    return shown


def _imagery_source(uri: str, directory: Path) -> str:
    if uri.startswith("s3://"):
        return "/vsis3/" + uri.removeprefix("s3://")
    if re.match(r"https?://", uri):
        return "/vsicurl/" + without_secrets(uri)
    if uri.startswith("/vsi"):
        return uri
    relative = os.path.relpath(uri.removeprefix("file://"), directory)
    return relative if relative.startswith("../") else f"./{relative}"


def _imagery_pipe(imagery: Imagery) -> ET.Element:
    pipe = ET.Element("pipe")
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
    renderer.attrib |= {"opacity": "1", "alphaBand": "-1", "nodataColor": ""}
    for tag, (low, high) in zip(tags, imagery.stretch or (), strict=False):
        stretch = ET.SubElement(renderer, tag)
        ET.SubElement(stretch, "minValue").text = repr(float(low))
        ET.SubElement(stretch, "maxValue").text = repr(float(high))
        ET.SubElement(stretch, "algorithm").text = "StretchToMinimumMaximum"
    return pipe


def _layer(layer: _Shown, grid: LayerGrid) -> ET.Element:
    if layer.is_vector:
        node = ET.Element("maplayer", type="vector", geometry="Polygon", wkbType="Polygon")
    else:
        node = ET.Element("maplayer", type="raster")
    node.attrib |= {
        "autoRefreshEnabled": "0",
        "styleCategories": "AllStyleCategories",
        "hasScaleBasedVisibilityFlag": "0",
    }
    _add_bounds(ET.SubElement(node, "extent"), grid.bounds())
    for tag, text in (("id", layer.ident), ("datasource", layer.source), ("layername", layer.name)):
        ET.SubElement(node, tag).text = text
    _add_crs(ET.SubElement(node, "srs"), grid.crs_wkt)
    ET.SubElement(node, "provider", encoding="UTF-8" if layer.is_vector else "").text = layer.provider
    node.append(layer.style)
    if layer.is_vector:
        ET.SubElement(node, "layerGeometryType").text = "2"
        ET.SubElement(node, "displayfield").text = "class_name"
    else:
        # codes have nothing between them: a zoomed map shows pixels, never a mixture
        ET.SubElement(node, "blendMode").text = "0"
    return node


def _add_view(root: ET.Element, grid: LayerGrid) -> None:
    """Start with the whole layer in view, and a margin of a twentieth."""
    west, south, east, north = grid.bounds()
    dx, dy = (east - west) / 20, (north - south) / 20
    view = (west - dx, south - dy, east + dx, north + dy)
    canvas = ET.SubElement(root, "mapcanvas", name="theMapCanvas", annotationsVisible="1")
    ET.SubElement(canvas, "units").text = _units(grid.crs_wkt)
    _add_bounds(ET.SubElement(canvas, "extent"), view)
    ET.SubElement(canvas, "rotation").text = "0"
    _add_crs(ET.SubElement(canvas, "destinationsrs"), grid.crs_wkt)
    settings = ET.SubElement(root, "ProjectViewSettings", UseProjectScales="0", rotation="0")
    default = ET.SubElement(settings, "DefaultViewExtent")
    default.attrib |= {key: repr(value) for key, value in zip(("xmin", "ymin", "xmax", "ymax"), view, strict=True)}
    _add_crs(default, grid.crs_wkt)


def _add_bounds(node: ET.Element, bounds: tuple[float, float, float, float]) -> None:
    for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), bounds, strict=True):
        ET.SubElement(node, tag).text = repr(value)


def _add_crs(node: ET.Element, wkt: str | None) -> None:
    if wkt is None:
        return
    try:
        crs = CRS.from_wkt(wkt)
    except CRSError:
        return
    authority = crs.to_authority(min_confidence=100)
    system = ET.SubElement(node, "spatialrefsys", nativeFormat="Wkt")
    ET.SubElement(system, "wkt").text = xml_text(crs.to_wkt())
    ET.SubElement(system, "authid").text = ":".join(authority) if authority else ""
    ET.SubElement(system, "description").text = xml_text(crs.name)
    ET.SubElement(system, "geographicflag").text = str(crs.is_geographic).lower()


def _units(wkt: str | None) -> str:
    try:
        return "degrees" if wkt is not None and CRS.from_wkt(wkt).is_geographic else "meters"
    except CRSError:
        return "meters"


def _add_properties(root: ET.Element) -> None:
    properties = ET.SubElement(root, "properties")
    paths = ET.SubElement(properties, "Paths")
    ET.SubElement(paths, "Absolute", type="bool").text = "false"
    system = ET.SubElement(properties, "SpatialRefSys")
    ET.SubElement(system, "ProjectionsEnabled", type="int").text = "1"


def _zipped(document: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo("project.qgs", date_time=_LONG_AGO)
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.external_attr = 0o644 << 16
        archive.writestr(entry, document)
    return buffer.getvalue()
