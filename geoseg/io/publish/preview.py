"""Preview: the image next to the prediction, with the legend below."""

from __future__ import annotations

import io
import unicodedata
import warnings
from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from geoseg.core.legend import Legend
from geoseg.core.types.arrays import AnyArray
from geoseg.io.files.writing import write_bytes

_PANEL_PX = 900
VIEW_PX = 1024
"""Longest side of the reduced view of a scene that its preview shows, pixels."""
_MARGIN_PX = 24
_GAP_PX = 16
_INK = (33, 37, 41)
_QUIET = (108, 117, 125)
_PAPER = (255, 255, 255)
_HATCH = ((236, 238, 240), (214, 218, 222))
_LEGEND_ROWS = 24
_CUT = "..."
_SYSTEM_FONTS = ("DejaVuSans.ttf", "LiberationSans-Regular.ttf")
_DASHES = str.maketrans({"\u2013": "-", "\u2014": "-", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u00df": "ss"})
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def write_preview(
    path: Path,
    *,
    image: npt.NDArray[np.uint8],
    codes: npt.NDArray[np.uint8],
    legend: Legend,
    title: str,
    valid: npt.NDArray[np.bool_] | None = None,
    things: AnyArray | None = None,
) -> None:
    """Write a PNG: image, labels and legend with the share of each class.

    Args:
        path: the final ``.png``.
        image: (3, y, x) uint8, the scene in display colours, reduced to about a thousand pixels a side.
        codes: (y, x) uint8, on the image's pixels.
        legend: names and colours.
        title: a line above both.
        valid: (y, x) bool, True where the image is valid; None: everywhere.
        things: (y, x) integers, the number of each pixel's thing, 0 for stuff; things are outlined.

    Raises:
        WriteError: the disk is full or fails.
        ValueError: image and codes differ in size.
    """
    if image.shape != (3, *codes.shape):
        raise ValueError(f"the image is {image.shape}, the codes are {codes.shape}")
    valid = np.ones(codes.shape, bool) if valid is None else valid
    answered = codes != legend.nodata
    photo = _panel(np.moveaxis(image, 0, 2), valid, smooth=True)
    labels = _outlined(_panel(_colours(legend)[codes], answered, smooth=False), things)
    buffer = io.BytesIO()
    _compose(photo, labels, _shares(codes, legend), title).save(buffer, "PNG")
    write_bytes(path, buffer.getvalue())


def redraw_preview(
    path: Path,
    original: Path,
    *,
    codes: npt.NDArray[np.uint8],
    legend: Legend,
    title: str,
    caption: str,
    things: AnyArray | None = None,
) -> None:
    """Write a preview again for other labels of the same scene; the image is taken from the old preview.

    Args:
        path: the final ``.png``.
        original: a preview that ``write_preview`` wrote.
        codes: (y, x) uint8, as many pixels as the old labels had.
        legend: names and colours.
        title: a line above both.
        caption: a line above the labels.
        things: as of ``write_preview``.

    Raises:
        WriteError: the disk is full or fails.
        ValueError: the old preview is damaged.
        OSError: it cannot be read.
    """
    labels = _outlined(_panel(_colours(legend)[codes], codes != legend.nodata, smooth=False), things)
    found = _panels_of(original, labels.size)
    if found is None:
        raise ValueError("it is no preview of this scene")
    photo = found[0]
    buffer = io.BytesIO()
    _compose(photo, labels, _shares(codes, legend), title, caption).save(buffer, "PNG")
    write_bytes(path, buffer.getvalue())


def preview_panels(original: Path, scene_shape: tuple[int, int]) -> tuple[Image.Image, Image.Image] | None:
    """Cut image and labels out of a preview of ``write_preview``.

    Args:
        original: the preview.
        scene_shape: rows and columns of the scene's grid.

    Returns:
        Two RGB pictures of one size; None if the file is not the preview of a scene of this shape.

    Raises:
        OSError: it cannot be read.
    """
    return _panels_of(original, _panel_size(*view_shape(scene_shape)))


def view_shape(scene_shape: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of the reduced view of a scene that its preview shows."""
    step = max(1, -(-max(scene_shape) // VIEW_PX))
    return -(-scene_shape[0] // step), -(-scene_shape[1] // step)


def _panels_of(original: Path, size: tuple[int, int]) -> tuple[Image.Image, Image.Image] | None:
    """Cut both panels of a width and height out of a preview; None if it is none with such panels."""
    width, height = size
    inner, bottom, places = _layout(size)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(original) as picture:
                if picture.width != inner + 2 * _MARGIN_PX or picture.height < bottom:
                    return None
                whole = picture.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        return None
    image, labels = (whole.crop((left, top + 20, left + width, top + 20 + height)) for left, top in places)
    return image, labels


@dataclass(frozen=True, slots=True)
class _Entry:
    text: str
    share: str
    colour: tuple[int, int, int]


def _colours(legend: Legend) -> npt.NDArray[np.uint8]:
    table = np.zeros((256, 3), np.uint8)
    for entry in legend.classes:
        table[entry.code] = entry.rgb
    return table


def _panel(rgb: npt.NDArray[np.uint8], shown: npt.NDArray[np.bool_], *, smooth: bool) -> Image.Image:
    """Fit (y, x, 3) pixels into a panel; pixels without a result are hatched, so that they do not look like a class."""
    height, width = shown.shape
    size = _panel_size(height, width)
    # whole steps up keep pixels square and crisp; steps down average the image but never two classes
    method = Image.Resampling.BOX if smooth and max(shown.shape) > _PANEL_PX else Image.Resampling.NEAREST
    picture = Image.fromarray(np.ascontiguousarray(rgb)).resize(size, method)
    mask = Image.fromarray((~shown).astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST)
    row, col = np.indices((size[1], size[0]))
    hatch = np.asarray(_HATCH, np.uint8)[((row + col) % 12 < 3).astype(int)]
    picture.paste(Image.fromarray(hatch), (0, 0), mask)
    return picture


def _outlined(panel: Image.Image, things: AnyArray | None) -> Image.Image:
    """Draw a line of one pixel along the inner edge of each thing, darker than its colour."""
    if things is None:
        return panel
    rows, cols = (np.arange(n) * side // n for n, side in zip((panel.height, panel.width), things.shape, strict=True))
    shown = np.pad(things[np.ix_(rows, cols)], 1, mode="edge")
    inner = shown[1:-1, 1:-1]
    beside = (shown[:-2, 1:-1], shown[2:, 1:-1], shown[1:-1, :-2], shown[1:-1, 2:])
    edge = (inner > 0) & np.any([other != inner for other in beside], axis=0)
    pixels = np.asarray(panel).copy()
    pixels[edge] //= 3
    return Image.fromarray(pixels)


def _panel_size(height: int, width: int) -> tuple[int, int]:
    """Return width and height of the panel of a view; small views are enlarged by a whole number."""
    scale = _PANEL_PX / max(height, width)
    scale = max(1, int(scale)) if scale >= 1 else scale
    return max(1, round(width * scale)), max(1, round(height * scale))


def _shares(codes: npt.NDArray[np.uint8], legend: Legend) -> list[_Entry]:
    """List the classes of the map, in the legend's order, with their share of the pixels that have a class."""
    counts = np.bincount(codes.ravel(), minlength=256)
    total = max(1, int(counts.sum() - counts[legend.nodata]))
    found = []
    for entry in legend.classes:
        share = 100 * counts[entry.code] / total
        if not counts[entry.code] and len(legend) > _LEGEND_ROWS:
            continue
        text = "0 %" if not counts[entry.code] else "< 0.1 %" if share < 0.1 else f"{share:.1f} %"
        found.append(_Entry(entry.name, text, entry.rgb))
    return found


Places = tuple[tuple[int, int], tuple[int, int]]


def _layout(size: tuple[int, int]) -> tuple[int, int, Places]:
    """Place two panels of one size, below each other if they are wide.

    Returns:
        Width of the content, height down to the end of the panels, and left and top of each caption.
    """
    width, height = size
    stacked = width > 2 * height
    across, down = (1, 2) if stacked else (2, 1)
    inner = max(width * across + _GAP_PX * (across - 1), 480)
    top = _MARGIN_PX + 40
    left = _MARGIN_PX + (inner - width * across - _GAP_PX * (across - 1)) // 2
    second = (left, top + height + 28) if stacked else (left + width + _GAP_PX, top)
    return inner, top + down * (height + 28), ((left, top), second)


def _compose(
    image: Image.Image, labels: Image.Image, entries: list[_Entry], title: str, caption: str = "Prediction"
) -> Image.Image:
    title_font, font, small = _fonts(24, 17, 14)
    inner, bottom, places = _layout(image.size)
    columns = max(1, inner // 260)
    rows = -(-len(entries) // columns)
    sheet = Image.new("RGB", (inner + 2 * _MARGIN_PX, bottom + _GAP_PX + rows * 30 + _MARGIN_PX), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN_PX, _MARGIN_PX - 4), _fitted(draw, title, title_font, inner), _INK, font=title_font)
    for (x, y), panel, text in zip(places, (image, labels), ("Image", caption), strict=True):
        draw.text((x, y), text, _QUIET, font=small)
        sheet.paste(panel, (x, y + 20))
    width = inner // columns
    for number, entry in enumerate(entries):
        x = _MARGIN_PX + (number // rows) * width
        y = bottom + _GAP_PX + (number % rows) * 30
        draw.rectangle((x, y, x + 21, y + 21), entry.colour, outline=_QUIET)
        name = _fitted(draw, entry.text, font, width - 32 - 76)
        draw.text((x + 32, y + 1), name, _INK, font=font)
        after = x + 32 + draw.textlength(name, font=font) + 8
        draw.text((after, y + 3), entry.share, _QUIET, font=small)
    return sheet


def _fonts(*sizes: int) -> list[Font]:
    """Load a system font with accents, Greek and Cyrillic, since Pillow's own has only ASCII."""
    for name in _SYSTEM_FONTS:
        with suppress(OSError):
            return [ImageFont.truetype(name, size) for size in sizes]
    return [ImageFont.load_default(size=size) for size in sizes]


def _readable(text: str, font: Font) -> str:
    """Remove control characters, and accents that the font lacks."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if isinstance(font, ImageFont.FreeTypeFont) and font.getname()[0] in {"DejaVu Sans", "Liberation Sans"}:
        return line
    plain = unicodedata.normalize("NFKD", line.translate(_DASHES))
    return "".join(c if c.isascii() else "?" for c in plain if not unicodedata.combining(c))


def _fitted(draw: ImageDraw.ImageDraw, text: str, font: Font, width_px: float) -> str:
    line = _readable(text, font)
    if draw.textlength(line, font=font) <= width_px:
        return line
    fits = bisect_right(range(min(len(line), 400)), width_px, key=lambda n: draw.textlength(line[:n] + _CUT, font=font))
    return line[: max(0, fits - 1)] + _CUT
