"""Large PMTiles, of so many tiles that their directory has leaves: the same bytes in every process, also under load."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import shapely
from pmtiles import reader, writer

from geoseg.core.segments import Segments
from geoseg.io.polygons.pmtiles import write_pmtiles
from geoseg.io.polygons.vector_schema import VectorSchema
from geoseg.testing.segments import LEGEND, UTM, plain

APART_M = 60.0
"""More than a tile at the finest zoom of pixels of 0.1 m."""

MANY = 100
"""Side from which the directory has leaves of itself."""


def squares(side: int) -> Segments:
    """Make squares of many sizes that lie in a tile each."""
    rows, columns = np.divmod(np.arange(side * side), side)
    west, south = 500_000 + APART_M * columns, 5_400_000 + APART_M * rows
    size = np.random.default_rng(0).uniform(3, 43, side * side)
    segments = plain(shapely.box(west, south, west + size, south + size))
    segments.pixels[:] = np.maximum(1, np.rint(segments.area_m2 * 100))
    return segments


def digest(path: Path, side: int) -> str:
    """Write the squares; where they are few, leaves are as small as would be right for many."""
    small = mock.patch.object(writer, "optimize_directories", lambda entries, _: writer.build_roots_leaves(entries, 16))
    with small if side < MANY else nullcontext():
        write_pmtiles(path, [squares(side)], VectorSchema(crs_wkt=UTM, legend=LEGEND))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def in_another_process(path: Path, side: int, hash_seed: int) -> subprocess.Popen[str]:
    """Start the writing of the same file; Python's hashes of bytes, by which tiles are compared, differ."""
    script = f"import pathlib, test_pmtiles_bytes as t; print(t.digest(pathlib.Path({str(path)!r}), {side}))"
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": paths}
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)


@contextmanager
def load() -> Iterator[None]:
    """Keep the processors busy, by compiled code that other threads can run beside."""
    over = threading.Event()

    def burn() -> None:
        content = bytes(2**20)
        while not over.is_set():
            hashlib.sha256(content)

    threads = [threading.Thread(target=burn) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def check(tmp_path: Path, side: int, here: int, elsewhere: int) -> None:
    with load() if side >= MANY else nullcontext():
        others = [in_another_process(tmp_path / f"other{seed}.pmtiles", side, seed + 1) for seed in range(elsewhere)]
        found = {digest(tmp_path / "s.pmtiles", side) for _ in range(here)}
        found |= {process.communicate()[0].strip() for process in others}
    assert len(found) == 1
    with (tmp_path / "s.pmtiles").open("rb") as file:
        header = reader.Reader(reader.MmapSource(file)).header()
    assert header["leaf_directory_length"] > 0
    assert header["addressed_tiles_count"] >= side * side


def test_large_pyramids_have_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    check(tmp_path, 10, here=2, elsewhere=1)


@pytest.mark.slow
def test_larger_pyramids_have_the_same_bytes_twenty_times_under_load(tmp_path: Path) -> None:
    check(tmp_path, MANY, here=16, elsewhere=4)
