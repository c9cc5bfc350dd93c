"""Writing of QGIS projects (.qgz) without QGIS: a zip of one XML file, relative paths, deterministic bytes."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree as ET

from pyproj import CRS
from pyproj.exceptions import CRSError

from geoseg.io.files.writing import write_bytes
from geoseg.io.publish.about import About, metadata_node
from geoseg.io.publish.styles import xml_text

Bounds = tuple[float, float, float, float]

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    ET.ParseError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OSError,
    KeyError,
)
"""Errors of zipfile and ElementTree over a damaged document."""
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the first moment a zip can hold; the run's own time stands in its record


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A layer of a project.

    Attributes:
        key: prefix of its id.
        name: name in the layer tree.
        source: source relative to the project, as QGIS writes it.
        service: True if the source is that of a tile or map service.
        style: ``pipe`` of a raster or ``renderer-v2`` of polygons, followed by further style elements.
        group: group in the layer tree; None: top level.
        about: its metadata.
        crs_wkt: its CRS; None when it has none.
        bounds: west, south, east and north in its CRS.
        checked: True if it is visible initially.
        expanded: True if the tree shows its classes initially.
        display: display name field of polygons.
        closest: it is shown only at map scales larger than one to this number; None: at all scales.
        farthest: it is shown only at map scales smaller than one to this number; None: at all scales.
        label: expression of QGIS by which its polygons are labelled; None: they are not.
        labelled: they are labelled at map scales larger than one to this number.
        listed: numbers of the entries of its legend that a printed legend lists; None: it is in no printed legend.
    """

    key: str
    name: str
    source: str
    style: Sequence[ET.Element]
    crs_wkt: str | None
    bounds: Bounds
    group: str | None = None
    about: About | None = None
    checked: bool = True
    expanded: bool = True
    display: str = "class_name"
    closest: int | None = None
    farthest: int | None = None
    label: str | None = None
    labelled: int = 0
    listed: tuple[int, ...] | None = None
    service: bool = False

    @property
    def ident(self) -> str:
        """The layer's id: QGIS makes a new one, and orphans the tree's entry, when it has ten characters or fewer."""
        return f"{self.key}_{hashlib.sha256(self.source.encode()).hexdigest()[:16]}"

    @property
    def is_vector(self) -> bool:
        """True if it is a layer of polygons."""
        return self.style[0].tag == "renderer-v2"

    @property
    def provider(self) -> str:
        """QGIS's name of its data provider."""
        if self.service:
            return "wms"
        return "ogr" if self.is_vector else "gdal"


def write_document(
    path: Path,
    layers: Sequence[Shown],
    *,
    about: About,
    crs_wkt: str | None,
    bounds: Bounds,
    further: Sequence[ET.Element] = (),
) -> None:
    """Write a project.

    Args:
        path: the final ``.qgz``.
        layers: the uppermost first; those of one group follow each other.
        about: its metadata; the title is shown in QGIS's title bar.
        crs_wkt: CRS of the map; None when there is none.
        bounds: initial extent of the map, to which a margin of a twentieth is added.
        further: map themes, bookmarks and print layouts.

    Raises:
        WriteError: the disk is full or fails.

    Source:
        The .qgs format as QGIS 3.22 reads it (``QgsProject::read``, ``QgsMapLayer::readLayerXml``).
    """
    root = ET.Element("qgis", projectname=xml_text(about.title), version="3.22.16-Białowieża")
    ET.SubElement(root, "title").text = xml_text(about.title)
    add_crs(ET.SubElement(root, "projectCrs"), crs_wkt)
    root.append(_tree(layers))
    _add_view(root, crs_wkt, bounds)
    order = ET.SubElement(root, "layerorder")
    listed = ET.SubElement(root, "projectlayers")
    for layer in layers:
        ET.SubElement(order, "layer", id=layer.ident)
        listed.append(_layer(layer))
    _add_properties(root, measured=crs_wkt is not None)
    root.extend(further)
    root.append(metadata_node(about, "projectMetadata"))
    write_bytes(path, _zipped(_text(root).encode()))


def add_layer(document: bytes, layer: Shown) -> bytes:
    """Add a layer at the top of a project that ``write_document`` or QGIS wrote; one of the same source is replaced.

    Args:
        document: content of a ``.qgz``.
        layer: the layer; it stays outside of all groups.

    Returns:
        Content of the new ``.qgz``.

    Raises:
        ValueError: it is no project.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(document)) as archive:
            name = next((name for name in archive.namelist() if name.endswith(".qgs")), None)
            if name is None:
                raise ValueError("it holds no project document")
            root = ET.fromstring(archive.read(name))  # noqa: S314 - expat refuses entities that grow
    except _BROKEN as error:
        raise ValueError(str(error)) from error
    tree, order, listed = root.find("layer-tree-group"), root.find("layerorder"), root.find("projectlayers")
    if tree is None or order is None or listed is None:
        raise ValueError("its document lacks the list of layers")
    for parent, tag in ((tree, "layer-tree-layer"), (order, "layer"), (listed, "maplayer")):
        for child in parent.findall(tag):
            if layer.ident in {child.get("id"), child.findtext("id")}:
                parent.remove(child)
    tree.insert(0, tree_entry(layer))
    order.insert(0, ET.Element("layer", id=layer.ident))
    listed.insert(0, _layer(layer))
    return _zipped(_text(root).encode())


def _text(root: ET.Element) -> str:
    ET.indent(root)
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ET.tostring(root, encoding="unicode")


def _tree(layers: Sequence[Shown]) -> ET.Element:
    """Build the layer tree; a group of hidden layers is collapsed."""
    tree = ET.Element("layer-tree-group")
    for group, members in groupby(layers, key=lambda layer: layer.group):
        listed = list(members)
        branch = tree
        if group is not None:
            opened = any(layer.checked for layer in listed)
            facts = {"name": group, "checked": "Qt::Checked", "expanded": "1" if opened else "0"}
            branch = ET.SubElement(tree, "layer-tree-group", facts)
        for layer in listed:
            branch.append(tree_entry(layer))
    return tree


def tree_entry(layer: Shown) -> ET.Element:
    """Describe a layer in a layer tree: the project's, or that of a printed legend."""
    return ET.Element(
        "layer-tree-layer",
        id=layer.ident,
        name=xml_text(layer.name),
        source=layer.source,
        providerKey=layer.provider,
        checked="Qt::Checked" if layer.checked else "Qt::Unchecked",
        expanded="1" if layer.expanded else "0",
    )


def _layer(layer: Shown) -> ET.Element:
    if layer.is_vector:
        node = ET.Element("maplayer", type="vector", geometry="Polygon", wkbType="Polygon")
    else:
        node = ET.Element("maplayer", type="raster")
    scaled = layer.closest is not None or layer.farthest is not None
    node.attrib |= {
        "autoRefreshEnabled": "0",
        "styleCategories": "AllStyleCategories",
        "hasScaleBasedVisibilityFlag": "1" if scaled else "0",
        **({"minScale": str(layer.closest or 1e8), "maxScale": str(layer.farthest or 0)} if scaled else {}),
    }
    _add_bounds(ET.SubElement(node, "extent"), layer.bounds)
    for tag, text in (("id", layer.ident), ("datasource", layer.source), ("layername", xml_text(layer.name))):
        ET.SubElement(node, tag).text = text
    add_crs(ET.SubElement(node, "srs"), layer.crs_wkt)
    ET.SubElement(node, "provider", encoding="UTF-8" if layer.is_vector else "").text = layer.provider
    if layer.about is not None:
        node.append(metadata_node(layer.about))
    node.extend(layer.style)
    if layer.is_vector:
        ET.SubElement(node, "layerGeometryType").text = "2"
        ET.SubElement(node, "displayfield").text = layer.display
        if layer.label is not None:
            node.set("labelsEnabled", "1")
            node.append(_labels(layer.label, layer.labelled))
    else:
        # codes have nothing between them: a zoomed map shows pixels, never a mixture
        ET.SubElement(node, "blendMode").text = "0"
    return node


def _labels(expression: str, closest: int) -> ET.Element:
    """Label polygons in black with a white edge, at map scales larger than one to ``closest``."""
    labelling = ET.Element("labeling", type="simple")
    settings = ET.SubElement(labelling, "settings", calloutType="simple")
    style = ET.SubElement(
        settings,
        "text-style",
        fieldName=expression,
        isExpression="1",
        fontFamily="Sans Serif",
        fontSize="8",
        fontSizeUnit="Point",
        namedStyle="Regular",
        textColor="0,0,0,255",
        textOpacity="1",
    )
    ET.SubElement(
        style,
        "text-buffer",
        bufferDraw="1",
        bufferSize="0.6",
        bufferSizeUnits="MM",
        bufferColor="255,255,255,255",
        bufferOpacity="0.8",
        bufferNoFill="1",
        bufferJoinStyle="128",
    )
    ET.SubElement(settings, "placement", placement="4", layerType="PolygonGeometry", polygonPlacementFlags="2")
    ET.SubElement(
        settings, "rendering", drawLabels="1", obstacle="1", scaleVisibility="1", scaleMin="0", scaleMax=str(closest)
    )
    return labelling


def with_margin(bounds: Bounds) -> Bounds:
    """Add a twentieth of the width and the height on each side."""
    west, south, east, north = bounds
    dx, dy = (east - west) / 20, (north - south) / 20
    return west - dx, south - dy, east + dx, north + dy


def _add_view(root: ET.Element, crs_wkt: str | None, bounds: Bounds) -> None:
    """Set the initial extent to the bounds plus a margin of a twentieth."""
    view = with_margin(bounds)
    canvas = ET.SubElement(root, "mapcanvas", name="theMapCanvas", annotationsVisible="1")
    ET.SubElement(canvas, "units").text = _units(crs_wkt)
    _add_bounds(ET.SubElement(canvas, "extent"), view)
    ET.SubElement(canvas, "rotation").text = "0"
    add_crs(ET.SubElement(canvas, "destinationsrs"), crs_wkt)
    settings = ET.SubElement(root, "ProjectViewSettings", UseProjectScales="0", rotation="0")
    default = ET.SubElement(settings, "DefaultViewExtent")
    default.attrib |= {key: repr(value) for key, value in zip(("xmin", "ymin", "xmax", "ymax"), view, strict=True)}
    add_crs(default, crs_wkt)


def _add_bounds(node: ET.Element, bounds: Bounds) -> None:
    for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), bounds, strict=True):
        ET.SubElement(node, tag).text = repr(value)


def add_crs(node: ET.Element, wkt: str | None) -> None:
    """Add a CRS to an element, unless there is none or PROJ does not know it."""
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


def _add_properties(root: ET.Element, *, measured: bool) -> None:
    """Set relative paths, and let QGIS measure on WGS 84's ellipsoid, not in the plane of the projection."""
    properties = ET.SubElement(root, "properties")
    if measured:
        ET.SubElement(ET.SubElement(properties, "Measure"), "Ellipsoid", type="QString").text = "EPSG:7030"
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
