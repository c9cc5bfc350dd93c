"""GDAL's own metadata in a TIFF file, which rasterio does not expose completely."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_GDAL_METADATA = 42112
_MOST_BYTES = 32 * 2**20
_MOST_ENTRIES = 4096


def gdal_metadata(path: Path) -> bytes:
    """Read the XML of the tag GDAL_METADATA of the first image; empty if the file has none or is not a TIFF.

    Source:
        TIFF 6.0 (section 2) and https://www.awaresystems.be/imaging/tiff/bigtiff.html for the directory.
    """
    try:
        with path.open("rb") as file:
            return _tag(file, _GDAL_METADATA)
    except (OSError, OverflowError, struct.error):
        return b""


def _tag(file: BinaryIO, sought: int) -> bytes:
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None:
        return b""
    version = struct.unpack(f"{order}H", head[2:4])[0]
    if version not in {42, 43}:
        return b""
    big = version == 43
    offset = struct.unpack(f"{order}Q", head[8:16])[0] if big else struct.unpack(f"{order}I", head[4:8])[0]
    file.seek(offset)
    count = struct.unpack(f"{order}Q", file.read(8))[0] if big else struct.unpack(f"{order}H", file.read(2))[0]
    entry, inline = (f"{order}HHQ8s", 8) if big else (f"{order}HHI4s", 4)
    for _ in range(min(count, _MOST_ENTRIES)):
        tag, _, size, value = struct.unpack(entry, file.read(struct.calcsize(entry)))
        if tag != sought:
            continue
        if size > inline:
            file.seek(struct.unpack(f"{order}{'Q' if big else 'I'}", value)[0])
            value = file.read(min(size, _MOST_BYTES))
        return bytes(value[:size]).rstrip(b"\0")
    return b""
