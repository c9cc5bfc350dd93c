"""Store: block results on disk, one Zarr chunk a block, each with its checksum."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
import zarr.codecs

from geoseg.core.tiling import Block, Blocks
from geoseg.errors import WriteError

_FORMAT = "geoseg-blocks-2"
_CONFIG: Any = {"write_empty_chunks": True}  # of an opened array, not of the store: whoever opens it must say it anew


class Store:
    """Codes and confidence of finished blocks, and what else a run keeps of each pixel.

    A chunk holds one block, all layers, zstd with a CRC32C behind it: it is there and whole, or the block counts as
    not done. Zarr writes a chunk under another name and renames it, so writers in several processes are safe as long
    as each block has one.

    Args:
        path: folder of the Zarr array; made when it is not there, emptied when it belongs to another run.
        blocks: the blocks of the run.
        key: digest of everything that can change a pixel (input, model, options).
        layers: arrays of each block.
    """

    def __init__(self, path: Path, blocks: Blocks, key: str, layers: int = 2) -> None:
        self.path = path
        self.key = key
        self._blocks = blocks
        attributes = _attributes(blocks, key, layers)
        shape = (*blocks.shape, layers, *blocks.max_shape)
        self._array = _open(path, attributes) or _create(path, attributes, shape)

    @classmethod
    def of_run(cls, path: Path, blocks: Blocks, key: str, layers: int = 2) -> Store:
        """Open the store that the run has made already, maybe on another machine.

        Raises:
            WriteError: it cannot be seen from here.
        """
        if _open(path, _attributes(blocks, key, layers)) is None:
            raise WriteError(
                f"{path}: not there for the worker on {socket.gethostname()}. "
                "Choose an --out that all workers see under the same path."
            )
        return cls(path, blocks, key, layers)

    def write(self, block: Block, *layers: npt.NDArray[np.uint8]) -> None:
        """Store one block: codes, confidence and the rest, (y, x) uint8 over ``block.window``; replaces what was there.

        Raises:
            WriteError: the disk is full or fails.
            ValueError: another number of layers than the store has.
        """
        chunk = np.full(self._array.shape[2:], 255, np.uint8)
        rows, cols = block.window.shape
        for place, layer in zip(chunk, layers, strict=True):
            place[:rows, :cols] = layer
        try:
            self._array[block.row, block.col] = chunk
        except OSError as error:
            free = shutil.disk_usage(self.path.parent).free if self.path.parent.exists() else 0
            raise WriteError(
                f"{self.path}: a block cannot be stored: {error.strerror or error} ({free / 1e6:.1f} MB are free). "
                "Make room, then run again to resume."
            ) from error

    def read(self, block: Block) -> tuple[npt.NDArray[np.uint8], ...] | None:
        """Return the layers of a block, codes and confidence first; None when not stored or failing its checksum."""
        if not (self.path / "c" / str(block.row) / str(block.col) / "0" / "0" / "0").exists():
            return None
        try:
            chunk = np.asarray(self._array[block.row, block.col])
        except (ValueError, RuntimeError, OSError):  # what the checksum and the decompressor raise
            return None
        rows, cols = block.window.shape
        return tuple(chunk[:, :rows, :cols])

    def left(self) -> list[Block]:
        """Blocks that are not done; every stored block is read and checked."""
        return [block for block in self._blocks if self.read(block) is None]

    def remove(self) -> None:
        """Delete the store from disk."""
        shutil.rmtree(self.path, ignore_errors=True)


def _attributes(blocks: Blocks, key: str, layers: int) -> dict[str, Any]:
    scene, block = list(blocks.tiling.scene_shape), list(blocks.max_shape)
    return {"format": _FORMAT, "key": key, "scene": scene, "block": block, "layers": layers}


def _open(path: Path, attributes: dict[str, Any]) -> zarr.Array[Any] | None:
    """Open a store of the same run; one that is broken or of another run is none."""
    if not (path / "zarr.json").exists():
        return None
    try:
        array = zarr.open_array(store=str(path), mode="r+")
    except (ValueError, OSError, KeyError, TypeError, AttributeError):  # whatever stands there instead of metadata
        return None
    return array.with_config(_CONFIG) if dict(array.attrs) == attributes else None


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
            config=_CONFIG,
        )
    except OSError as error:
        raise WriteError(f"{path}: cannot be made: {error.strerror or error}. Choose another --out.") from error
