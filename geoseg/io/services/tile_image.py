"""Decoding of the image of one tile."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from geoseg.core.text import printable
from geoseg.core.types.arrays import AnyArray, AnyDtype
from geoseg.errors import SceneError
from geoseg.io.files.drivers import gdal_settings, sniff
from geoseg.io.files.gdal_messages import gdal_messages, suppress_gdal_messages
from geoseg.io.files.safe_xml import parse_xml
from geoseg.io.raster.source import JPEG_DAMAGE, reason
from geoseg.io.raster.validity import valid_pixels

_PICTURES = frozenset({"PNG", "JPEG", "WEBP", "GTiff"})
_WORDS = 200


def decode_tile(
    shown: str, content: bytes, shape: tuple[int, int], bands: int, dtype: AnyDtype
) -> tuple[AnyArray, npt.NDArray[np.bool_]]:
    """Decode the image of a tile: PNG, JPEG, WebP or GeoTIFF.

    A palette is expanded to colours, and grey is repeated where three bands are expected.

    Args:
        shown: name of the tile for messages.
        content: what the server sent.
        shape: expected rows and columns.
        bands: expected data bands.
        dtype: expected data type.

    Returns:
        Values (band, y, x), and valid (y, x): False where an alpha band is 0, or all bands are the image's nodata.

    Raises:
        SceneError: it is no image, a damaged one, or another than expected.
    """
    driver = _driver(shown, content)
    try:
        with (
            gdal_messages() as messages,
            gdal_settings(),
            suppress_gdal_messages(),
            MemoryFile(content) as file,
            file.open(driver=driver) as dataset,
        ):
            if dataset.shape != shape:
                found = f"the server sent {dataset.height} x {dataset.width} px"
                cause = f"{found} where {shape[0]} x {shape[1]} are expected."
                raise SceneError(shown, cause, "For tiles of 512 px, add tile=512 to the address.")
            values, valid = _bands_of(dataset)
    except (RasterioError, CPLE_BaseError, UnicodeDecodeError) as error:
        raise SceneError(shown, f"the image cannot be decoded ({reason(error)}).", "Try again.") from error
    if any(map(JPEG_DAMAGE.search, messages)):
        raise SceneError(shown, "the image is cut short.", "Try again.")
    if len(values) == 1 and bands == 3:
        values = np.repeat(values, 3, axis=0)
    if len(values) != bands or values.dtype != dtype:
        raise SceneError(
            shown,
            f"the image has {len(values)} bands of {values.dtype}, expected are {bands} of {dtype}.",
            f"Add bands={len(values)}&dtype={values.dtype} to the address.",
        )
    return values, valid


def _driver(shown: str, content: bytes) -> str:
    driver, kind = sniff(content[:4096])
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        driver = "WEBP"
    if driver in _PICTURES:
        return driver
    words = _exception(content) if kind == "XML" else ""
    cause = f"the server sent {kind} in place of an image" + (f": {words}" if words else "")
    raise SceneError(shown, f"{cause}.", "Check the address, and that you may use it.")


def _exception(content: bytes) -> str:
    """Return the text of a service's exception report."""
    root = parse_xml(content)
    texts = [] if root is None else [element.text or "" for element in root.iter() if "xception" in element.tag]
    return printable(re.sub(r"\s+", " ", " ".join(texts)).strip()[:_WORDS]).rstrip(".")


def _bands_of(dataset: Any) -> tuple[AnyArray, npt.NDArray[np.bool_]]:
    """Read a tile; palettes expanded, alpha taken as validity."""
    names = [colour.name for colour in dataset.colorinterp]
    values = dataset.read()
    if names[0] == "palette" and len(names) == 1:
        table = np.zeros((256, 4), np.uint8)
        for index, colour in dataset.colormap(1).items():
            table[index] = colour
        rgba = np.moveaxis(table[values[0]], -1, 0)
        return rgba[:3], rgba[3] > 0
    data = [place for place, name in enumerate(names) if name != "alpha"]
    valid = np.ones(values.shape[1:], bool)
    for place, name in enumerate(names):
        if name == "alpha":
            valid &= values[place] > 0
    chosen = values[data]
    valid &= valid_pixels(chosen, [dataset.nodatavals[place] for place in data])
    bits = int(dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8))
    if chosen.dtype == np.uint8 and bits < 8:  # grey PNG of 1, 2 or 4 bits, whose largest value is white
        chosen = chosen * np.uint8(255 // (2**bits - 1))
    return chosen, valid
