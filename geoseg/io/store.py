"""Store: block results on disk, one checksummed file per block, written atomically."""

from __future__ import annotations

import errno
import json
import shutil
import socket
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import safetensors.numpy

from geoseg.core.block_result import BlockResult
from geoseg.core.layer import OutputSchema
from geoseg.core.objects import ObjectTable
from geoseg.core.tiling import Block, Blocks
from geoseg.core.types.arrays import AnyArray
from geoseg.core.types.json_value import JsonDict
from geoseg.errors import WriteError
from geoseg.io.files.writing import replace_file, write_json

_FORMAT = "geoseg-blocks-3"
_ABOUT = "store.json"
_HEADER = struct.Struct("<8sI")  # magic, CRC-32 of all that follows
_SIZE = struct.Struct("<Q")  # bytes of the rest before compression
_MAGIC = b"GSBLOCK3"
_OBJECTS = "objects/"
"""Prefix of the names of object columns; names of planes have no slash."""


class Store:
    """Results of finished blocks: planes of any type, and tables of objects.

    A block is one file: a header with a CRC-32, then planes and columns as safetensors, compressed by zstd. The file is
    written under another name and renamed, so it either exists complete or the block counts as not done; several
    processes may write. Files are not synced: damage by a power failure is detected by the checksum.

    Args:
        path: the folder; created if missing, emptied if it belongs to another run.
        blocks: the blocks of the run.
        key: digest of everything that can change a pixel (input, model, options).
        schema: the layers whose planes are kept.
    """

    def __init__(self, path: Path, blocks: Blocks, key: str, schema: OutputSchema) -> None:
        self.path = path
        self.key = key
        self._blocks = blocks
        self._schema = schema
        about = _about(blocks, key, schema)
        if _read_about(path) != about:
            _create(path, about)

    @classmethod
    def of_run(cls, path: Path, blocks: Blocks, key: str, schema: OutputSchema) -> Store:
        """Open the existing store of a run, possibly created on another machine.

        Args:
            path: the folder.
            blocks: the blocks of the run.
            key: digest of everything that can change a pixel.
            schema: the layers whose planes are stored.

        Raises:
            WriteError: the store is not accessible from this machine.
        """
        if _read_about(path) != _about(blocks, key, schema):
            raise WriteError(
                f"{path}: not there for the worker on {socket.gethostname()}. "
                "Choose an --out that all workers see under the same path."
            )
        return cls(path, blocks, key, schema)

    def write(self, result: BlockResult) -> None:
        """Store one block, replacing an existing one.

        Raises:
            WriteError: the disk is full or fails.
            ValueError: the planes are not those of the schema.
        """
        block = result.block
        self._check(result.planes, block)
        arrays = {name: np.ascontiguousarray(plane) for name, plane in result.planes.items()}
        if result.objects is not None:
            arrays |= {_OBJECTS + name: column for name, column in result.objects.columns().items()}
        plain = safetensors.numpy.save(arrays)
        body = _SIZE.pack(len(plain)) + _CODEC.compress(plain, asbytes=True)
        try:
            replace_file(self._file(block), _HEADER.pack(_MAGIC, zlib.crc32(body)) + body)
        except OSError as error:
            cause = getattr(error, "strerror", None) or error
            if self.path.is_dir():
                free = shutil.disk_usage(self.path).free
                cure = f"({free / 1e6:.1f} MB are free). Make room, then run again to resume."
            else:
                cure = "(its folder was removed during the run). Run again."
            raise WriteError(f"{self.path}: a block cannot be stored: {cause} {cure}") from error

    def read(self, block: Block) -> BlockResult | None:
        """Return the result of a block; None if it is not stored or damaged.

        Raises:
            OSError: the process has too many open files, of which the block knows nothing.
        """
        try:
            content = self._file(block).read_bytes()
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE}:
                raise
            return None
        arrays = _unpacked(content)
        if arrays is None:
            return None
        columns = {name.removeprefix(_OBJECTS): arrays.pop(name) for name in list(arrays) if name.startswith(_OBJECTS)}
        try:
            self._check(arrays, block)
            objects = ObjectTable.from_columns(columns) if columns else None
        except ValueError:
            return None
        planes = {layer.name: arrays[layer.name] for layer in self._schema.planes}
        return BlockResult(block=block, planes=planes, objects=objects)

    def left(self) -> list[Block]:
        """Return the blocks that are not done; every stored block is read and checked."""
        return [block for block in self._blocks if self.read(block) is None]

    def remove(self) -> None:
        """Delete the store from disk."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _file(self, block: Block) -> Path:
        return self.path / f"{block.row}-{block.col}.block"

    def _check(self, planes: Mapping[str, AnyArray], block: Block) -> None:
        """Compare planes with the schema.

        Raises:
            ValueError: a plane is missing, unknown, or has another type or shape.
        """
        expected = {layer.name: (np.dtype(layer.dtype), block.window.shape) for layer in self._schema.planes}
        found = {name: (plane.dtype, plane.shape) for name, plane in planes.items()}
        if found != expected:
            raise ValueError(f"planes {found} do not fit the schema: {expected}")


_CODEC = pa.Codec("zstd", compression_level=1)


def _unpacked(content: bytes) -> dict[str, AnyArray] | None:
    """Unpack a block's file; None if it is damaged."""
    if len(content) < _HEADER.size + _SIZE.size:
        return None
    magic, crc = _HEADER.unpack_from(content)
    body = memoryview(content)[_HEADER.size :]
    if magic != _MAGIC or zlib.crc32(body) != crc:
        return None
    (size,) = _SIZE.unpack_from(body)
    plain = _CODEC.decompress(body[_SIZE.size :], size, asbytes=True)
    return dict(safetensors.numpy.load(plain))


def _about(blocks: Blocks, key: str, schema: OutputSchema) -> dict[str, object]:
    planes = {layer.name: [layer.dtype, layer.nodata] for layer in schema.planes}
    scene, block = list(blocks.tiling.scene_shape), list(blocks.max_shape)
    return {"format": _FORMAT, "key": key, "scene": scene, "block": block, "planes": planes}


def _read_about(path: Path) -> JsonDict | None:
    """Read the description of the run whose blocks are in a folder; None if it is missing or invalid."""
    try:
        about = json.loads((path / _ABOUT).read_bytes())
    except (OSError, ValueError):
        return None
    return about if isinstance(about, dict) else None


def _create(path: Path, about: dict[str, object]) -> None:
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        raise WriteError(f"{path}: blocks of another run cannot be removed. Remove the folder or choose another --out.")
    try:
        path.mkdir(parents=True)
        write_json(path / _ABOUT, about)
    except OSError as error:
        cause = getattr(error, "strerror", None) or error
        raise WriteError(f"{path}: cannot be made: {cause}. Choose another --out.") from error
