"""Refusal of HDF5 files that lead to other files: external links, external storage, virtual datasets.

The HDF5 library follows these to any path of the machine, and GDAL passes neither warning nor choice on. So the objects
of a file are walked here before GDAL opens it, and a structure that is not understood is refused too.

Source:
    HDF5 File Format Specification 3.0, https://docs.hdfgroup.org/hdf5/v1_14/_f_m_t3.html.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from geoseg.errors import SceneError
from geoseg.io.containers.hdf5_heap import FractalHeap, index_records
from geoseg.io.files.input_file import open_input

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_UNDEFINED = 2**64 - 1
_MOST_OBJECTS = 200_000
_MOST_BYTES = 16 * 2**20
_CURE = "Copy its values into one file, e.g. h5repack, or gdal_translate of a variable you trust."
_LINK_INFO, _LINK, _EXTERNAL_FILES, _LAYOUT, _CONTINUATION, _SYMBOL_TABLE = 0x02, 0x06, 0x07, 0x08, 0x10, 0x11
_SHARED, _VIRTUAL = 0x02, 3


class _LeadsElsewhereError(Exception):
    """An object that leads to another file; the message names its kind."""


def refuse_other_files(uri: str, path: Path) -> None:
    """Refuse an HDF5 file whose pixels may come from another file.

    Args:
        uri: name for messages.
        path: the file, which begins with the signature of HDF5.

    Raises:
        SceneError: it leads to another file, is damaged, or has a structure that is not understood.
    """
    try:
        with open_input(path) as file:
            _Walk(file).run()
    except _LeadsElsewhereError as found:
        raise SceneError(uri, f"it has {found}, which leads to another file.", _CURE) from found
    except OSError as error:
        raise SceneError(uri, f"it cannot be read ({error.strerror or error}).", "Check the disk.") from error
    except (ValueError, IndexError, OverflowError, struct.error) as error:
        cause = f"its HDF5 structure is damaged or of an unknown kind ({error})"
        raise SceneError(uri, f"{cause}, so it may lead to other files.", "Write it again with h5repack.") from error


class _Walk:
    """Visits every object that a file's root group leads to, each once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self._visited: set[int] = set()
        self._pending: list[int] = []

    def run(self) -> None:
        self._pending.append(self._root())
        while self._pending:
            address = self._pending.pop()
            if address in self._visited:
                continue
            if len(self._visited) >= _MOST_OBJECTS:
                raise ValueError(f"more than {_MOST_OBJECTS:,} objects")
            self._visited.add(address)
            for kind, flags, content in self._messages(address):
                self._message(kind, flags, content)

    def _bytes(self, address: int, count: int) -> bytes:
        if count > _MOST_BYTES:
            raise ValueError(f"a block of {count:,} bytes")
        if address + count > self._size:
            raise ValueError("it is cut short")
        self._file.seek(address)
        return self._file.read(count)

    def _root(self) -> int:
        head = self._bytes(0, 48)
        version = head[8]
        if not head.startswith(HDF5_MAGIC) or version > 3:
            raise ValueError(f"superblock of version {version}")
        sizes, base = (head[13:15], 24 + 4 * version) if version < 2 else (head[9:11], 12)
        if sizes != b"\x08\x08" or _whole(self._bytes(base, 8)):
            raise ValueError("addresses are not of 8 bytes from the file's start")
        return _whole(self._bytes(base + 40 if version < 2 else 36, 8))

    def _messages(self, address: int) -> Iterator[tuple[int, int, bytes]]:
        """Yield type, flags and content of each message of an object's header."""
        head = self._bytes(address, 4)
        compact = head == b"OHDR"
        if compact:
            flags = self._bytes(address + 4, 2)[1]
            begin = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
            width = 1 << (flags & 3)
            chunks = [(begin + width, _whole(self._bytes(begin, width)))]
            order_bytes = 2 if flags & 0x04 else 0
        elif head[0] == 1:
            chunks, order_bytes = [(address + 16, _whole(self._bytes(address + 8, 4)))], 0
        else:
            raise ValueError(f"no object at {address}")
        read = 0
        while chunks:
            at, length = chunks.pop()
            read += length
            if read > _MOST_BYTES:
                raise ValueError("an object header without end")
            for kind, flags, content in _split(self._bytes(at, length), order_bytes if compact else None):
                if kind != _CONTINUATION:
                    yield kind, flags, content
                    continue
                offset, size = struct.unpack_from("<QQ", content)
                if compact:
                    if size < 8 or self._bytes(offset, 4) != b"OCHK":
                        raise ValueError("a header goes on nowhere")
                    offset, size = offset + 4, size - 8
                chunks.append((offset, size))

    def _message(self, kind: int, flags: int, content: bytes) -> None:
        if kind == _EXTERNAL_FILES:
            raise _LeadsElsewhereError("a dataset stored in external files")
        if kind in {_LINK_INFO, _LINK, _LAYOUT, _SYMBOL_TABLE} and flags & _SHARED:
            raise ValueError("a shared message of an unknown kind")
        if kind == _LAYOUT:
            if content[0] not in {1, 2, 3, 4, 5}:
                raise ValueError(f"layout of version {content[0]}")
            if content[2 if content[0] < 3 else 1] == _VIRTUAL:
                raise _LeadsElsewhereError("a virtual dataset")
        elif kind == _LINK:
            self._link(content)
        elif kind == _LINK_INFO:
            self._dense_links(content)
        elif kind == _SYMBOL_TABLE:
            self._old_group(_whole(content[:8]))

    def _link(self, content: bytes) -> None:
        if content[0] != 1:
            raise ValueError(f"link of version {content[0]}")
        flags, at = content[1], 2
        kind = 0
        if flags & 0x08:
            kind, at = content[at], at + 1
        at += (8 if flags & 0x04 else 0) + (1 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        at += width + _whole(content[at : at + width])
        if kind > 1:
            raise _LeadsElsewhereError("an external link" if kind == 64 else "a user-defined link")
        if kind == 0:  # a soft link names a path in the same file, which is walked
            self._pending.append(struct.unpack_from("<Q", content, at)[0])

    def _dense_links(self, content: bytes) -> None:
        """Visit the links of a group that keeps them in a heap, by each of its indexes."""
        flags, at = content[1], 10 if content[1] & 1 else 2
        heap_address, *indexes = struct.unpack_from("<QQQ" if flags & 2 else "<QQ", content, at)
        if heap_address == _UNDEFINED:
            return
        heap = FractalHeap(self._bytes, heap_address)
        for index in indexes:
            if index != _UNDEFINED:
                for key in index_records(self._bytes, index):
                    self._link(heap.object(key))

    def _old_group(self, tree: int) -> None:
        """Visit a group of the old kind: a B-tree over nodes of symbols."""
        pending, seen = [tree], set[int]()
        while pending:
            address = pending.pop()
            if address in seen or len(seen) > _MOST_OBJECTS:
                raise ValueError("a group without end")
            seen.add(address)
            head = self._bytes(address, 8)
            entries = _whole(head[6:8])
            if head[:4] == b"SNOD":
                nodes = self._bytes(address + 8, 40 * entries)
                for at in range(0, len(nodes), 40):
                    object_address, cached = struct.unpack_from("<QI", nodes, at + 8)
                    if cached != 2:  # a soft link, which names a path in the same file
                        self._pending.append(object_address)
            elif head[:5] == b"TREE\0":
                children = self._bytes(address + 24, 16 * entries + 8)
                pending += [struct.unpack_from("<Q", children, 16 * n + 8)[0] for n in range(entries)]
            else:
                raise ValueError(f"no group at {address}")


def _whole(content: bytes) -> int:
    return int.from_bytes(content, "little")


def _split(chunk: bytes, order_bytes: int | None) -> Iterator[tuple[int, int, bytes]]:
    """Split a chunk of an object header into messages.

    Args:
        chunk: the bytes.
        order_bytes: of a header of version 2, bytes of the creation order of each message; None: version 1.
    """
    at, head = 0, 8 if order_bytes is None else 4 + order_bytes
    while at + head <= len(chunk):
        if order_bytes is None:
            kind, size, flags = struct.unpack_from("<HHB", chunk, at)
        else:
            kind, size, flags = struct.unpack_from("<BHB", chunk, at)
        at += head
        if at + size > len(chunk):
            raise ValueError("a message is cut short")
        yield kind, flags, chunk[at : at + size]
        at += size
