"""Check of PMTiles: every directory entry leads to a tile, and the tiles fill their section."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pmtiles.tile import Compression, Entry, deserialize_directory, deserialize_header, tileid_to_zxy

_HEADER_BYTES = 127


def check_pmtiles(path: Path) -> None:
    """Follow the directories of a PMTiles archive and unpack every tile.

    Raises:
        OSError: the header, a directory or a tile is damaged, or they do not belong together.

    Source:
        https://github.com/protomaps/PMTiles/blob/main/spec/v3/spec.md.
    """
    with path.open("rb") as file:
        try:
            _check(file, path.stat().st_size)
        except (EOFError, zlib.error, ValueError, IndexError, KeyError, RecursionError) as error:
            raise OSError(f"it is damaged: {error}") from error


def _check(file: BinaryIO, size_bytes: int) -> None:
    head = file.read(_HEADER_BYTES)
    if len(head) < _HEADER_BYTES or not head.startswith(b"PMTiles\x03"):
        raise OSError("its first bytes are not those of PMTiles 3")
    header = deserialize_header(head)
    for part in ("root", "metadata", "leaf_directory", "tile_data"):
        if header[f"{part}_offset"] + header[f"{part}_length"] > size_bytes:
            raise OSError(f"its header gives more bytes than the {size_bytes} of the file")
    metadata = json.loads(gzip.decompress(_read(file, header["metadata_offset"], header["metadata_length"])))
    if not isinstance(metadata, dict):
        raise OSError("its metadata is no JSON object")
    entries = tiles = 0
    seen: dict[int, int] = {}
    for entry in _entries(file, header, header["root_offset"], header["root_length"]):
        entries, tiles = entries + 1, tiles + entry.run_length
        if seen.setdefault(entry.offset, entry.length) != entry.length:
            raise OSError("two entries give different lengths of one tile")
        zoom = tileid_to_zxy(entry.tile_id)[0]
        if not header["min_zoom"] <= zoom <= header["max_zoom"]:
            raise OSError(f"it has a tile of zoom {zoom} outside the range of its header")
    _check_tiles(file, header, seen)
    stated = header["tile_entries_count"], header["addressed_tiles_count"], header["tile_contents_count"]
    if stated != (entries, tiles, len(seen)):
        raise OSError(f"it has {len(seen)} tiles, its header says {stated[2]}")


def _check_tiles(file: BinaryIO, header: Any, lengths: dict[int, int]) -> None:
    """Unpack all tiles, by offset; they fill the section of the tiles."""
    end = 0
    for offset, length in sorted(lengths.items()):
        if offset != end:
            raise OSError("its tiles do not follow one another")
        end = offset + length
        content = _read(file, header["tile_data_offset"] + offset, length)
        if header["tile_compression"] == Compression.GZIP:
            gzip.decompress(content)
    if end != header["tile_data_length"]:
        raise OSError(f"its tiles have {end} bytes, its header says {header['tile_data_length']}")


def _entries(file: BinaryIO, header: Any, offset: int, length: int, depth: int = 0) -> Iterator[Entry]:
    if depth > 3:
        raise OSError("its directories go deeper than the format allows")
    for entry in deserialize_directory(_read(file, offset, length)):
        if entry.run_length:
            yield entry
        else:
            leaf = header["leaf_directory_offset"] + entry.offset
            yield from _entries(file, header, leaf, entry.length, depth + 1)


def _read(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    content = file.read(length)
    if len(content) != length:
        raise OSError(f"it ends within {length} bytes at {offset}")
    return content
