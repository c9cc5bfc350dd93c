"""Pictures of tiles: codes and percentages by palette, imagery by stretch."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from geoseg.core.legend import Legend
from geoseg.io.publish.styles import Ramp
from geoseg.io.tiles.placed import Pixels

U8 = npt.NDArray[np.uint8]
PNG: Final = "image/png"
JPEG: Final = "image/jpeg"
WEBP: Final = "image/webp"
_QUALITY = 88
_WEBP_QUALITY = 80
"""As good to the eye as JPEG's 88."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An encoded picture.

    Attributes:
        content: bytes.
        media_type: of the content.
    """

    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """Colours of the values of one byte.

    Attributes:
        colours: (256, 4) uint8, red, green, blue and alpha.
    """

    colours: U8

    def picture(self, pixels: Pixels) -> Picture:
        """Colour a tile of one band; values that are no byte, and invalid pixels, are transparent."""
        values = pixels.values[0]
        known = pixels.valid & (values >= 0) & (values <= 255)
        spare = int(np.argmin(self.colours[:, 3]))
        image = Image.fromarray(np.where(known, values, spare).astype(np.uint8), "P")
        image.putpalette(self.colours[:, :3].tobytes())
        return _encoded(image, transparency=self.colours[:, 3].tobytes())


def legend_palette(legend: Legend, hidden: Sequence[int] = ()) -> Palette:
    """Colour classes as the legend says; nodata, other codes and hidden classes are transparent."""
    colours = np.zeros((256, 4), np.uint8)
    for entry in legend.classes:
        if entry.code not in hidden:
            colours[entry.code] = (*entry.rgb, 255)
    return Palette(colours=colours)


def ramp_palette(ramp: Ramp, nodata: float | None) -> Palette:
    """Colour percentages along a ramp, linear between its colours; values over 100 and nodata are transparent."""
    colours = np.zeros((256, 4), np.uint8)
    stops = np.array([stop for stop, _ in ramp], float)
    channels = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for _, colour in ramp], float)
    values = np.arange(101)
    for channel in range(3):
        colours[:101, channel] = np.interp(values, stops, channels[:, channel]).round()
    colours[:101, 3] = 255
    if nodata is not None and 0 <= nodata <= 255:
        colours[int(nodata)] = 0
    return Palette(colours=colours)


def change_palette() -> Palette:
    """Colour changed pixels (1) and leave others (0) transparent."""
    colours = np.zeros((256, 4), np.uint8)
    colours[1] = (214, 39, 160, 255)
    return Palette(colours=colours)


def imagery_picture(pixels: Pixels, stretch: Sequence[tuple[float, float]] | None) -> Picture:
    """Show one or three bands: values from the low to the high end of the stretch, JPEG where all are valid, else WebP.

    Args:
        pixels: (1 or 3, y, x).
        stretch: for each band the values shown as black and as white; None: values are shown as they are, 0 to 255.
    """
    shown = stretched(pixels.values, stretch)
    shown = np.broadcast_to(shown, (3, *shown.shape[1:])) if len(shown) == 1 else shown
    rgb = np.ascontiguousarray(np.moveaxis(shown[:3], 0, 2))
    if pixels.valid.all():
        out = io.BytesIO()
        Image.fromarray(rgb).save(out, "JPEG", quality=_QUALITY)
        return Picture(content=out.getvalue(), media_type=JPEG)
    alpha = pixels.valid.astype(np.uint8) * 255
    out = io.BytesIO()
    transparent = Image.fromarray(np.dstack([rgb * pixels.valid[..., None], alpha]))
    transparent.save(out, "WEBP", quality=_WEBP_QUALITY, method=0)
    return Picture(content=out.getvalue(), media_type=WEBP)


def stretched(values: npt.NDArray[np.generic], stretch: Sequence[tuple[float, float]] | None) -> U8:
    """Stretch bands to 0-255; values beyond the ends are black or white."""
    if stretch is None:
        return np.asarray(np.clip(values, 0, 255), np.uint8)
    low, high = (np.array(end, np.float32)[:, None, None] for end in zip(*stretch, strict=True))
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = (values.astype(np.float32) - low) * (np.float32(255) / (high - low))
    return np.asarray(np.nan_to_num(scaled, nan=0, posinf=255, neginf=0).clip(0, 255).round(), np.uint8)


def code_table(codes: Mapping[int, int]) -> npt.NDArray[np.int16]:
    """Make a table of 256 from code to number; -1 for codes that are not listed."""
    table = np.full(256, -1, np.int16)
    for code, number in codes.items():
        table[code] = number
    return table


@cache
def empty_picture(side_px: int) -> Picture:
    """Return a transparent picture."""
    image = Image.new("P", (side_px, side_px))
    image.putpalette(bytes(3))
    return _encoded(image, transparency=b"\0")


def _encoded(image: Image.Image, transparency: bytes | None = None) -> Picture:
    out = io.BytesIO()
    extra = {} if transparency is None else {"transparency": transparency}
    image.save(out, "PNG", compress_level=1, **extra)
    return Picture(content=out.getvalue(), media_type=PNG)
