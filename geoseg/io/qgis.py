"""The QGIS project of one scene's layers."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from geoseg.core.legend import Legend
from geoseg.io.bundle import Bundle
from geoseg.io.formats import local_name
from geoseg.io.grid import LayerGrid
from geoseg.io.percent_layers import percent_layers
from geoseg.io.qgis_document import Shown, write_document
from geoseg.io.stac_item import without_secrets
from geoseg.io.styles import class_pipe, percent_pipe, segments_renderer, xml_text


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


def write_project(
    bundle: Bundle, *, title: str, grid: LayerGrid, legend: Legend, imagery: Imagery | None = None
) -> None:
    """Write ``bundle.project``: segments over classes over percentages (hidden) over the imagery, all styled.

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
    layers = _layers(bundle, grid, legend, imagery)
    write_document(bundle.project, layers, title=title, crs_wkt=grid.crs_wkt, bounds=grid.bounds())


def _layers(bundle: Bundle, grid: LayerGrid, legend: Legend, imagery: Imagery | None) -> list[Shown]:
    place: dict[str, Any] = {"crs_wkt": grid.crs_wkt, "bounds": grid.bounds()}
    own = [
        Shown(
            key="segments",
            name="Segments",
            source=f"./{xml_text(bundle.segments.name)}|layername=segments",
            style=segments_renderer(legend),
            **place,
        ),
        Shown(
            key="classes",
            name="Classes",
            source=f"./{xml_text(bundle.classes.name)}",
            style=class_pipe(legend),
            **place,
        ),
    ]
    files = [bundle.segments, bundle.classes]
    for percent in percent_layers(bundle, legend):
        source = f"./{xml_text(percent.path.name)}"
        style = percent_pipe(percent.ramp)
        own.append(Shown(key=percent.key, name=percent.name, source=source, style=style, checked=False, **place))
        files.append(percent.path)
    shown = [layer for layer, file in zip(own, files, strict=True) if file.exists()]
    if imagery is not None:
        source = _imagery_source(imagery.uri, bundle.directory)
        style = _imagery_pipe(imagery)
        shown.append(
            Shown(key="imagery", name="Imagery", source=xml_text(source), style=style, expanded=False, **place)
        )
    return shown


def _imagery_source(uri: str, directory: Path) -> str:
    if uri.startswith("s3://"):
        return "/vsis3/" + uri.removeprefix("s3://")
    if re.match(r"https?://", uri):
        return "/vsicurl/" + without_secrets(uri)
    if uri.startswith("/vsi"):
        return without_secrets(uri)
    relative = os.path.relpath(local_name(uri), directory)
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
