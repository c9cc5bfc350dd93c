"""Rows sorted on disk come out as a stable sort in memory would have them."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geoseg.io.files import sorted_spill
from geoseg.io.files.sorted_spill import SortedSpill

SCHEMA = pa.schema([pa.field("key", pa.int64()), pa.field("row", pa.int64()), pa.field("blob", pa.binary())])


def batch(keys, first):
    rows = np.arange(first, first + len(keys))
    blobs = [b"x" * (row % 7) for row in rows]
    return pa.RecordBatch.from_arrays(
        [pa.array(keys, pa.int64()), pa.array(rows), pa.array(blobs, pa.binary())], schema=SCHEMA
    )


@given(
    batches=st.lists(st.lists(st.integers(0, 9) | st.integers(-(2**62), 2**62), max_size=30), max_size=12),
    run_bytes=st.sampled_from([1, 200, 10**6]),
    piece_bytes=st.sampled_from([1, 100, 10**6]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_come_by_key_and_then_as_they_came(tmp_path, monkeypatch, batches, run_bytes, piece_bytes):
    monkeypatch.setattr(sorted_spill, "_PIECE_BYTES", piece_bytes)
    spill = SortedSpill(tmp_path / "s", SCHEMA, run_bytes=run_bytes)
    first = 0
    for keys in batches:
        spill.add(batch(keys, first))
        first += len(keys)
    out = pa.Table.from_batches(spill.read(), SCHEMA)
    keys = np.array([key for keys in batches for key in keys], np.int64)
    order = np.argsort(keys, kind="stable")
    assert out["key"].to_pylist() == keys[order].tolist()
    assert out["row"].to_pylist() == order.tolist()
    assert out["blob"].to_pylist() == [b"x" * (row % 7) for row in order]


def test_memory_holds_a_run_and_pieces_of_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(sorted_spill, "_PIECE_BYTES", 2**14)
    run = 2**20
    spill = SortedSpill(tmp_path / "s", SCHEMA, run_bytes=run)
    rng = np.random.default_rng(0)
    before = pa.total_allocated_bytes()
    highest = 0
    for i in range(200):
        spill.add(batch(rng.integers(0, 2**40, 4000), i * 4000))
        highest = max(highest, pa.total_allocated_bytes() - before)
    rows = 0
    for piece in spill.read():
        rows += piece.num_rows
        highest = max(highest, pa.total_allocated_bytes() - before)
    assert rows == 800_000
    assert len(list(tmp_path.iterdir())) >= 15
    assert highest < 5 * run  # of 18 MB that went through


def test_a_full_disk_is_told(tmp_path):
    spill = SortedSpill(tmp_path / "gone" / "s", SCHEMA, run_bytes=1)
    with pytest.raises(OSError, match="No such file"):
        spill.add(batch([1], 0))
