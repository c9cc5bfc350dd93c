"""Store: block results on disk or an object store, one checksummed file per block, written atomically."""

from __future__ import annotations

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
from geoseg.io.block_places import BlockFolder, BlockObjects, BlockPlace
from geoseg.io.objects.access import is_s3

_FORMAT = "geoseg-blocks-3"
_HEADER = struct.Struct("<8sI")  # magic, CRC-32 of all that follows
_SIZE = struct.Struct("<Q")  # bytes of the rest before compression
_MAGIC = b"GSBLOCK3"
_OBJECTS = "objects/"
"""Prefix of the names of object columns; names of planes have no slash."""


class Store:
    """Results of finished blocks: planes of any type, and tables of objects.

    A block is one file or object: a header with a CRC-32, then planes and columns as safetensors, compressed by zstd.
    It either exists complete or the block counts as not done; several processes may write.

    Args:
        path: the folder, created if missing, emptied if it belongs to another run; or an ``s3://`` address.
        blocks: the blocks of the run.
        key: digest of everything that can change a pixel (input, model, options).
        schema: the layers whose planes are kept.
    """

    def __init__(self, path: Path | str, blocks: Blocks, key: str, schema: OutputSchema) -> None:
        self.path = path
        self.key = key
        self._blocks = blocks
        self._schema = schema
        self._place = _place(path, key)
        about = _about(blocks, key, schema)
        if self._place.read_about() != about:
            self._place.create(about)

    @classmethod
    def of_run(cls, path: Path | str, blocks: Blocks, key: str, schema: OutputSchema) -> Store:
        """Open the existing store of a run, possibly created on another machine.

        Args:
            path: the folder, or an ``s3://`` address.
            blocks: the blocks of the run.
            key: digest of everything that can change a pixel.
            schema: the layers whose planes are stored.

        Raises:
            WriteError: the store is not accessible from this machine.
        """
        place = _place(path, key)
        if place.read_about() != _about(blocks, key, schema):
            raise WriteError(f"{path}: not there for the worker on {socket.gethostname()}. {place.cure}")
        return cls(path, blocks, key, schema)

    @property
    def address(self) -> str:
        """The absolute path or address by which other processes open it."""
        return self._place.address

    def write(self, result: BlockResult) -> None:
        """Store one block, replacing an existing one.

        Raises:
            WriteError: the disk is full or fails, or the object store refuses.
            ValueError: the planes are not those of the schema.
        """
        block = result.block
        self._check(result.planes, block)
        arrays = {name: np.ascontiguousarray(plane) for name, plane in result.planes.items()}
        if result.objects is not None:
            arrays |= {_OBJECTS + name: column for name, column in result.objects.columns().items()}
        plain = safetensors.numpy.save(arrays)
        body = _SIZE.pack(len(plain)) + _CODEC.compress(plain, asbytes=True)
        self._place.write(_name(block), _HEADER.pack(_MAGIC, zlib.crc32(body)) + body)

    def read(self, block: Block) -> BlockResult | None:
        """Return the result of a block; None if it is not stored or damaged.

        Raises:
            OSError: the process has too many open files, or the object store does not answer, of which the block knows
                nothing.
        """
        content = self._place.read(_name(block))
        arrays = None if content is None else _unpacked(content)
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
        """Delete the store."""
        self._place.remove()

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


def _place(path: Path | str, key: str) -> BlockPlace:
    return BlockObjects(str(path), key) if is_s3(str(path)) else BlockFolder(Path(path))


def _name(block: Block) -> str:
    return f"{block.row}-{block.col}.block"


def _about(blocks: Blocks, key: str, schema: OutputSchema) -> JsonDict:
    planes: JsonDict = {layer.name: [layer.dtype, layer.nodata] for layer in schema.planes}
    scene, block = list(blocks.tiling.scene_shape), list(blocks.max_shape)
    return {"format": _FORMAT, "key": key, "scene": scene, "block": block, "planes": planes}
