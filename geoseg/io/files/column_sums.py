"""ColumnSums: a checksum of a table's columns that does not depend on the order of its rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_MODULUS = 2**64


class ColumnSums:
    """Sums over the bits of every value, column by column: one changed bit, or a lost row, changes a sum.

    Attributes:
        rows: rows that were added.
        sums: per column name, the number of nulls and the sum of all values' bits modulo 2**64.

    Examples:
        >>> sums = ColumnSums()
        >>> sums.add({"a": pa.array([1, 2, None])})
        >>> sums.rows, sums.sums
        (3, {'a': (1, 3)})
    """

    def __init__(self) -> None:
        self.rows = 0
        self.sums: dict[str, tuple[int, int]] = {}

    def add(self, columns: Mapping[str, pa.Array]) -> None:
        """Add rows: columns of integers, 64-bit floats, strings or bytes."""
        for name, column in columns.items():
            nulls, total = self.sums.get(name, (0, 0))
            self.sums[name] = nulls + column.null_count, (total + _sum_of_bits(column)) % _MODULUS
        self.rows += len(next(iter(columns.values()), ()))

    def difference(self, other: ColumnSums) -> str | None:
        """Describe the columns in which two tables differ; None if they are equal."""
        if self.rows != other.rows:
            return f"{other.rows} rows instead of {self.rows}"
        names = sorted(
            name for name in {*self.sums, *other.sums} if self.rows and self.sums.get(name) != other.sums.get(name)
        )
        return f"other values in {', '.join(names)}" if names else None


def _sum_of_bits(column: pa.Array) -> int:
    if pa.types.is_integer(column.type):
        return int(pc.sum(column.cast(pa.int64())).as_py() or 0) % _MODULUS
    if pa.types.is_floating(column.type):
        # databases keep no minus zero
        plain = pc.fill_null(column, 0.0).to_numpy(zero_copy_only=False).astype(np.float64) + 0.0
        return int(plain.view(np.uint64).sum(dtype=np.uint64))
    values = pc.fill_null(column.cast(pa.large_binary()), b"")
    content = b"".join(values.to_pylist())
    return int(np.frombuffer(content, np.uint8).sum(dtype=np.uint64)) + 257 * len(content)
