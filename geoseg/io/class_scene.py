"""ClassScene: any class raster, read as codes for the vectoriser; its names and colours, where it has them."""

from __future__ import annotations

import colorsys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import RasterioError

from geoseg.core.legend import Legend, LegendClass
from geoseg.core.window import Window
from geoseg.errors import SceneError
from geoseg.io.band_scene import refuse_other_grid
from geoseg.io.formats import driver_of
from geoseg.io.scene import Scene

U8 = npt.NDArray[np.uint8]

NODATA = 255
_SCAN_ROWS = 1024


class ClassScene:
    """Codes of a scene's first band, and the confidence of another one.

    Args:
        classes: whole numbers 0-254; its nodata and its mask say where there is no class.
        confidence: whole percent on the same grid, or None.
        nodata: one more code that means no class.

    Raises:
        SceneError: one is a picture, or the two are not on one grid.
    """

    def __init__(self, classes: Scene, confidence: Scene | None = None, *, nodata: int | None = None) -> None:
        height, width = (int(n) for n in classes.geobox.shape)
        _refuse_picture(classes)
        if confidence is not None:
            _refuse_picture(confidence)
            refuse_other_grid(classes, confidence)
        self.shape: tuple[int, int] = height, width
        self._classes, self._confidence, self._nodata = classes, confidence, nodata

    def read(self, window: Window) -> tuple[U8, U8 | None]:
        """Read codes (255 = no class) and confidence (0-100, 255 = none), both (y, x).

        Raises:
            SceneError: a valid value is not a whole number from 0 to 254, or not a whole percent.
        """
        raster = self._classes.read(window, bands=[1])
        values, valid = raster.values[0], raster.valid
        if self._nodata is not None:
            valid = valid & (values != self._nodata)
        codes, wrong = _whole(values, valid, NODATA - 1)
        if wrong.any():
            raise SceneError(
                self._classes.uri,
                f"it holds the value {values[wrong][0]}; classes are whole numbers from 0 to 254.",
                "Give a class raster, or name its nodata value with --nodata.",
            )
        if self._confidence is None:
            return codes, None
        raster = self._confidence.read(window, bands=[1])
        percent, wrong = _whole(raster.values[0], raster.valid, 100)
        if wrong.any():
            raise SceneError(
                self._confidence.uri,
                f"it holds the value {raster.values[0][wrong][0]}; a confidence is whole percent, from 0 to 100.",
                "Round it to whole percent, or set its nodata value with rio edit-info --nodata.",
            )
        return codes, percent

    def present(self) -> list[int]:
        """List the codes that occur; reads everything once."""
        counts = np.zeros(256, np.int64)
        for top in range(0, self.shape[0], _SCAN_ROWS):
            codes, _ = self.read(Window(top, min(top + _SCAN_ROWS, self.shape[0]), 0, self.shape[1]))
            counts += np.bincount(codes.ravel(), minlength=256)
        return [int(code) for code in np.flatnonzero(counts[:NODATA])]


def _refuse_picture(scene: Scene) -> None:
    """Refuse what is coloured by its first three bands: of a picture the red alone says nothing.

    Raises:
        SceneError: it is a picture.
    """
    names = [band.name for band in scene.bands[:3]]
    if names == ["red", "green", "blue"]:
        raise SceneError(
            scene.uri,
            f"it is a picture (bands {', '.join(names)}), where values of one band are wanted.",
            "Give a raster of one band; if all is in the first of these: rio stack IN.tif --bidx 1 OUT.tif.",
        )


def _whole(values: npt.NDArray[Any], valid: npt.NDArray[np.bool_], top: int) -> tuple[U8, npt.NDArray[np.bool_]]:
    """Cast what is valid and a whole number from 0 to ``top``; 255 elsewhere, and where something valid is none."""
    inside = valid & (values >= 0) & (values <= top)
    whole = np.where(inside, values, NODATA).astype(np.uint8)
    return whole, valid & (~inside | (whole != values))


def legend_of(path: Path, codes: list[int]) -> Legend:
    """Find names and colours of codes in a raster's colour table and category names, or make them up.

    Args:
        path: the raster.
        codes: the codes that occur.
    """
    names, colours = _category_names(path), _colour_table(path)
    taken: set[str] = set()
    classes = []
    for place, code in enumerate(codes or [0]):
        name = names.get(code, "").strip()[:80]
        if not name.isprintable() or not name or name in taken:
            name = f"class {code}"
        taken.add(name)
        colour = colours.get(code) or _made_up(place)
        classes.append(LegendClass(code=code, name=name, colour=colour))
    return Legend(classes=tuple(classes))


def _made_up(place: int) -> str:
    # steps of the golden angle keep neighbours in the list far apart on the colour wheel
    rgb = colorsys.hsv_to_rgb(place * 0.618034 % 1.0, 0.55, 0.85)
    return "#" + "".join(f"{round(255 * value):02x}" for value in rgb)


def _colour_table(path: Path) -> dict[int, str]:
    try:
        with rasterio.open(path, driver=driver_of(str(path), path)) as file:
            table = file.colormap(1)
    except (RasterioError, ValueError):  # ValueError: there is no colour table
        return {}
    return {int(code): f"#{r:02x}{g:02x}{b:02x}" for code, (r, g, b, alpha) in table.items() if alpha}


def _category_names(path: Path) -> dict[int, str]:
    sidecar = path.with_name(path.name + ".aux.xml")
    try:
        root = ET.fromstring(sidecar.read_bytes())  # noqa: S314 - expat expands no entity from outside
    except (OSError, ET.ParseError):
        return {}
    return {code: entry.text or "" for code, entry in enumerate(root.findall(".//CategoryNames/Category"))}
