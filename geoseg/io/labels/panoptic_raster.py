"""Rasters of panoptic labels: class and thing of a pixel in one number, and the names of classes in the metadata.

A label is ``256 * thing + code``; stuff is thing 0.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import RasterioError

from geoseg.core.types.arrays import AnyArray
from geoseg.errors import SceneError
from geoseg.io.files.drivers import READABLE, driver_of, gdal_settings
from geoseg.io.files.gdal_messages import suppress_gdal_messages
from geoseg.io.files.gdal_name import gdal_name

PER_THING: Final = 256
"""Labels of one thing: as many as there are class codes."""

NO_PANOPTIC_LABEL: Final = -1
"""Label of pixels without a result."""

MOST_THINGS: Final = 2**31 // PER_THING - 1
"""Things that an int32 can number."""

_CLASS = re.compile(r"(thing|stuff) (.+)", re.DOTALL)
_CODE = re.compile(r"class_(\d{1,3})", re.IGNORECASE)


def panoptic_labels(code: AnyArray, thing: AnyArray) -> npt.NDArray[np.int32]:
    """Combine class codes and numbers of things, 0 for stuff.

    Example:
        >>> panoptic_labels(np.array([3, 1]), np.array([0, 2])).tolist()
        [3, 513]
    """
    labels: npt.NDArray[np.int32] = (thing.astype(np.int64) * PER_THING + code).astype(np.int32)
    return labels


def codes_of(labels: AnyArray) -> AnyArray:
    """Return the class code of each label."""
    return labels % PER_THING


def things_of(labels: AnyArray) -> AnyArray:
    """Return the number of the thing of each label, 0 for stuff."""
    return labels // PER_THING


def class_tags(names: dict[int, tuple[str, bool]]) -> dict[str, str]:
    """Make the metadata from name and kind of each code; the inverse of ``classes_in``."""
    return {f"class_{code}": f"{'thing' if is_thing else 'stuff'} {name}" for code, (name, is_thing) in names.items()}


def classes_in(path: Path) -> dict[int, tuple[str, bool]]:
    """Read the name of each class code, and True for things; empty where the raster does not say.

    Args:
        path: a raster that ``geoseg predict`` wrote, or any other.

    Raises:
        SceneError: it is no raster that can be read.
    """
    try:
        with (
            suppress_gdal_messages(),
            gdal_settings(sidecars=True),
            rasterio.open(gdal_name(path), driver=driver_of(str(path), path)) as file,
        ):
            tags = file.tags()
    except RasterioError as error:
        raise SceneError(str(path), "not a raster that can be read.", f"Give a {READABLE}.") from error
    found = {}
    for key, value in tags.items():
        code, words = _CODE.fullmatch(key), _CLASS.fullmatch(value)
        if code and words:
            found[int(code[1])] = (words[2], words[1] == "thing")
    return found
