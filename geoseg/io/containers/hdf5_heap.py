"""Fractal heaps and their indexes in HDF5 files, where groups of many members keep their links.

Source:
    HDF5 File Format Specification 3.0, sections III.A.2 and III.G, https://docs.hdfgroup.org/hdf5/v1_14/_f_m_t3.html.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

Reader = Callable[[int, int], bytes]
"""Reads bytes of a file: address and count."""

_MOST_RECORDS = 2_000_000
_MOST_LINK_BYTES = 70_000


class FractalHeap:
    """A fractal heap without filters, whose objects all lie in its blocks.

    Args:
        read: reads bytes of the file.
        address: of the heap's header.

    Raises:
        ValueError: it is damaged, or of another kind.
    """

    def __init__(self, read: Reader, address: int) -> None:
        head = read(address, 142)
        if head[:5] != b"FRHP\0":
            raise ValueError(f"no heap at {address}")
        filters = struct.unpack_from("<H", head, 7)[0]
        if filters:
            raise ValueError("a heap with filters")
        self._read = read
        layout: tuple[int, int, int, int] = struct.unpack_from("<HQQH", head, 110)
        self._width, self._least, self._largest, bits = layout
        root: tuple[int, int] = struct.unpack_from("<QH", head, 132)
        self._root, self._rows = root
        self._offset_bytes = -(-bits // 8)
        if not self._width or not self._least or self._largest < self._least or not 0 < bits <= 64:
            raise ValueError("a heap without blocks")

    def object(self, key: bytes) -> bytes:
        """Return the bytes from the start of an object on, which is a link and tells its own length.

        Args:
            key: the object's number in the heap.
        """
        if key[0]:
            raise ValueError("an object outside of the blocks of its heap")
        offset = int.from_bytes(key[1 : 1 + self._offset_bytes], "little")
        length = int.from_bytes(key[1 + self._offset_bytes :], "little")
        if not 0 < length <= _MOST_LINK_BYTES:
            raise ValueError(f"a link of {length} bytes")
        return self._read(self._place(offset), length)

    def _place(self, offset: int) -> int:
        """Return the address of an offset of the heap."""
        if not self._rows:
            return self._root + offset
        block, rows, start = self._root, self._rows, 0
        while True:
            row, size = 0, self._least
            while offset >= start + size * self._width:
                start += size * self._width
                row += 1
                size = self._least << max(0, row - 1)
                if row >= rows:
                    raise ValueError("an object outside of its heap")
            column = (offset - start) // size
            start += column * size
            if self._read(block, 5) != b"FHIB\0":
                raise ValueError(f"no block of a heap at {block}")
            entry = block + 13 + self._offset_bytes + 8 * (row * self._width + column)
            block = int.from_bytes(self._read(entry, 8), "little")
            if size <= self._largest:
                return block + offset - start
            rows = (size // (self._least * self._width)).bit_length()  # an indirect block of that size


def index_records(read: Reader, address: int) -> Iterator[bytes]:
    """Yield the heap number of every link of an index, a B-tree of version 2.

    Args:
        read: reads bytes of the file.
        address: of the tree's header.

    Raises:
        ValueError: it is damaged, or no index of links.
    """
    head = read(address, 34)
    kind, node_bytes, record_bytes, depth = struct.unpack_from("<BIHH", head, 5)
    root, records = struct.unpack_from("<QH", head, 16)
    if head[:5] != b"BTHD\0" or kind not in {5, 6} or record_bytes != (11 if kind == 5 else 15):
        raise ValueError(f"no index of links at {address}")
    if depth > 8 or node_bytes < 64:
        raise ValueError("an index of unknown depth")
    pointers = _pointer_bytes(node_bytes, record_bytes, depth)
    count_bytes = _bytes_for((node_bytes - 10) // record_bytes)
    pending, taken = ([(root, records, depth)] if records else []), 0
    while pending:
        node, count, level = pending.pop()
        taken += count + 1
        if taken > _MOST_RECORDS:
            raise ValueError("an index without end")
        size = 6 + count * record_bytes + ((count + 1) * pointers[level] if level else 0)
        content = read(node, size)
        if content[:5] != (b"BTIN\0" if level else b"BTLF\0"):
            raise ValueError(f"no node of an index at {node}")
        for n in range(count):
            yield content[6 + (n + 1) * record_bytes - 7 : 6 + (n + 1) * record_bytes]
        for n in range(count + 1 if level else 0):
            at = 6 + count * record_bytes + n * pointers[level]
            child = int.from_bytes(content[at : at + 8], "little")
            pending.append((child, int.from_bytes(content[at + 8 : at + 8 + count_bytes], "little"), level - 1))


def _pointer_bytes(node_bytes: int, record_bytes: int, depth: int) -> list[int]:
    """Return the bytes of a pointer to a child in the nodes of each level; 0 in leaves."""
    most = (node_bytes - 10) // record_bytes
    count_bytes, below, pointers = _bytes_for(most), most, [0]
    for level in range(1, depth + 1):
        pointers.append(8 + count_bytes + (_bytes_for(below) if level > 1 else 0))
        most = (node_bytes - 10 - pointers[level]) // (record_bytes + pointers[level])
        below = (most + 1) * below + most
    return pointers


def _bytes_for(number: int) -> int:
    return (number.bit_length() - 1) // 8 + 1
