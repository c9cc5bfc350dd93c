"""Thumbnails of finished scenes for the web report: imagery beside map, cut from each scene's preview."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from geoseg.core.types.json_value import UntypedMapping
from geoseg.io.files.writing import make_durable_folder, reap_parts, write_bytes
from geoseg.io.publish.preview import preview_panels

FOLDER = "thumbnails"
SIDE_PX = 96
"""Longest side of each half, pixels."""
_GAP_PX = 4
_PAPER = (255, 255, 255)
_MOST_BYTES = 20_000
_QUALITIES = (82, 65, 45, 25)
_JPEG_END = b"\xff\xd9"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Preview of a scene, from which its thumbnail is cut.

    Attributes:
        preview: path of the preview, relative to the archive's folder.
        checksum: checksum of the preview as the scene's item tells it; empty: unknown.
        shape: rows and columns of the scene's grid.
    """

    preview: str
    checksum: str
    shape: tuple[int, int]

    @property
    def name(self) -> str:
        """File name of the thumbnail: it follows from the preview's content, so that a changed scene gets another."""
        facts = f"{self.checksum} {self.shape[0]} {self.shape[1]} {SIDE_PX}"
        return f"{hashlib.sha256(facts.encode()).hexdigest()[:20]}.jpg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """A written thumbnail.

    Attributes:
        path: of the file.
        size: width and height, pixels.
    """

    path: Path
    size: tuple[int, int]


def picture_of(item: UntypedMapping, preview: str) -> Picture | None:
    """Return what a scene's STAC item tells about its preview; None if it has none, or tells no size of its grid."""
    asset, shape = item["assets"].get("preview", {}), item["properties"].get("proj:shape")
    checksum = asset.get("file:checksum", "")
    if not asset or not isinstance(checksum, str) or not isinstance(shape, list) or len(shape) != 2:
        return None
    if not all(isinstance(side, int) and 0 < side < 2**31 for side in shape):
        return None
    return Picture(preview=preview, checksum=checksum, shape=(shape[0], shape[1]))


def write_thumbnails(out: Path, folder: Path, pictures: Iterable[Picture]) -> dict[str, Thumbnail]:
    """Write the thumbnails that are missing; those that are there stay as they are.

    Args:
        out: the archive's folder.
        folder: folder of the thumbnails.
        pictures: the scenes; those whose preview is missing or damaged get no thumbnail.

    Returns:
        The thumbnail for each path of a preview.

    Raises:
        WriteError: the disk is full or fails.
    """
    made: dict[str, Thumbnail] = {}
    reap_parts(folder)
    for known in pictures:
        picture = known if known.checksum else _with_checksum(out, known)
        if picture is None:
            continue
        path = folder / picture.name
        if not _is_whole(path):
            halves = _halves(out / picture.preview, picture.shape)
            if halves is None:
                continue
            make_durable_folder(folder)
            write_bytes(path, _jpeg(halves, picture.shape))
        made[picture.preview] = Thumbnail(path=path, size=_size(picture.shape))
    return made


def _with_checksum(out: Path, picture: Picture) -> Picture | None:
    try:
        with (out / picture.preview).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
    return Picture(preview=picture.preview, checksum=digest, shape=picture.shape)


def _is_whole(path: Path) -> bool:
    """Return True if a file ends as a JPEG file does."""
    try:
        with path.open("rb") as file:
            file.seek(-len(_JPEG_END), os.SEEK_END)
            return file.read() == _JPEG_END
    except OSError:
        return False


def _halves(preview: Path, shape: tuple[int, int]) -> tuple[Image.Image, Image.Image] | None:
    try:
        return preview_panels(preview, shape)
    except OSError:
        return None


def _half_size(shape: tuple[int, int]) -> tuple[int, int]:
    rows, cols = shape
    scale = SIDE_PX / max(rows, cols)
    return max(1, round(cols * scale)), max(1, round(rows * scale))


def _size(shape: tuple[int, int]) -> tuple[int, int]:
    width, height = _half_size(shape)
    return 2 * width + _GAP_PX, height


def _jpeg(halves: tuple[Image.Image, Image.Image], shape: tuple[int, int]) -> bytes:
    """Compose and compress; of the qualities the best that stays below 20 kB."""
    width, height = _half_size(shape)
    sheet = Image.new("RGB", (2 * width + _GAP_PX, height), _PAPER)
    for number, half in enumerate(halves):
        sheet.paste(half.resize((width, height), Image.Resampling.BOX), (number * (width + _GAP_PX), 0))
    content = b""
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        sheet.save(buffer, "JPEG", quality=quality, subsampling=0, optimize=True)
        content = buffer.getvalue()
        if len(content) <= _MOST_BYTES:
            break
    return content
