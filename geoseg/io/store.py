"""Store: block results on disk, one Zarr chunk a block, each with its checksum."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
import zarr.codecs

from geoseg.core.tiling import Block, Blocks
from geoseg.errors import WriteError

_FORMAT = "geoseg-blocks-1"
_LAYERS = 2


class Store:
    """Codes and confidence of finished blocks.

    A chunk holds one block, both layers, zstd with a CRC32C behind it: it is there and whole, or the block counts as
    not done. Zarr writes a chunk under another name and renames it, so writers in several processes are safe as long
    as each block has one.

    Args:
        path: folder of the Zarr array; made when it is not there, emptied when it belongs to another run.
        blocks: the blocks of the run.
        key: digest of everything that can change a pixel (input, model, options).
    """

    def __init__(self, path: Path, blocks: Blocks, key: str) -> None:
        self.path = path
        self._blocks = blocks
        height, width = blocks.max_shape
        attributes = {
            "format": _FORMAT,
            "key": key,
            "scene": list(blocks.tiling.scene_shape),
            "block": [height, width],
        }
        self._array = _open(path, attributes) or _create(path, attributes, (*blocks.shape, _LAYERS, height, width))

    def write(self, block: Block, codes: npt.NDArray[np.uint8], confidence: npt.NDArray[np.uint8]) -> None:
        """Store one block: codes and confidence, both (y, x) uint8 over ``block.window``; replaces what was there.

        Raises:
            WriteError: the disk is full or fails.
        """
        chunk = np.full((_LAYERS, *self._array.shape[3:]), 255, np.uint8)
        rows, cols = block.window.shape
        chunk[0, :rows, :cols], chunk[1, :rows, :cols] = codes, confidence
        try:
            self._array[block.row, block.col] = chunk
        except OSError as error:
            free = shutil.disk_usage(self.path.parent).free if self.path.parent.exists() else 0
            raise WriteError(
                f"{self.path}: a block cannot be stored: {error.strerror or error} ({free / 1e6:.1f} MB are free). "
                "Make room, then run again to resume."
            ) from error

    def read(self, block: Block) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]] | None:
        """Return (codes, confidence) of a block, or None when it is not stored or fails its checksum."""
        if not (self.path / "c" / str(block.row) / str(block.col) / "0" / "0" / "0").exists():
            return None
        try:
            chunk = np.asarray(self._array[block.row, block.col])
        except (ValueError, RuntimeError, OSError):  # what the checksum and the decompressor raise
            return None
        rows, cols = block.window.shape
        return chunk[0, :rows, :cols], chunk[1, :rows, :cols]

    def left(self) -> list[Block]:
        """Blocks that are not done; every stored block is read and checked."""
        return [block for block in self._blocks if self.read(block) is None]

    def remove(self) -> None:
        """Delete the store from disk."""
        shutil.rmtree(self.path, ignore_errors=True)


def _open(path: Path, attributes: dict[str, Any]) -> zarr.Array[Any] | None:
    """Open a store of the same run; one that is broken or of another run is none."""
    if not (path / "zarr.json").exists():
        return None
    try:
        array = zarr.open_array(store=str(path), mode="r+")
    except (ValueError, OSError, KeyError, TypeError, AttributeError):  # whatever stands there instead of metadata
        return None
    return array if dict(array.attrs) == attributes else None


def _create(path: Path, attributes: dict[str, Any], shape: tuple[int, ...]) -> zarr.Array[Any]:
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        raise WriteError(f"{path}: blocks of another run cannot be removed. Remove the folder or choose another --out.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return zarr.create_array(
            store=str(path),
            shape=shape,
            chunks=(1, 1, *shape[2:]),
            dtype="uint8",
            fill_value=255,
            compressors=[zarr.codecs.ZstdCodec(level=1), zarr.codecs.Crc32cCodec()],
            attributes=attributes,
            config={"write_empty_chunks": True},
        )
    except OSError as error:
        raise WriteError(f"{path}: cannot be made: {error.strerror or error}. Choose another --out.") from error
