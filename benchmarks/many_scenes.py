"""An archive of many small scenes on one pixel grid: seconds a scene, memory of each process, sizes of what is left.

    python benchmarks/many_scenes.py [--scenes 10000] [--side 256] [--workers 1] [--model town-unet] [--folder DIR]

A square of scenes is cut from the town, mirrored, so that all have neighbours. ``geoseg archive run`` segments them on
a Dask scheduler and workers of one thread, each in a process of its own: halos from neighbours, all layers, one layer
over all. Each line tells the scenes done so far, the seconds that the last ones took, and resident memory; the last one
tells how large the records, catalogue and reports are, and how long it takes to find out that nothing is left to do.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import rasterio
from affine import Affine

TOWN = Path(__file__).resolve().parents[1] / "sample_tiles" / "town.tif"
_EVERY_S = 30


def write_scenes(folder: Path, count: int, side: int) -> None:
    """Write ``count`` abutting scenes of ``side`` x ``side`` px, row by row of a square."""
    folder.mkdir(parents=True)
    with rasterio.open(TOWN) as source:
        town, grid, crs = source.read([1, 2, 3]), source.transform, source.crs
    period = [np.r_[np.arange(n), np.arange(n)[::-1]] for n in town.shape[1:]]
    across = math.isqrt(count - 1) + 1
    profile = {"driver": "GTiff", "height": side, "width": side, "count": 3, "dtype": "uint8", "crs": crs}
    for number in range(count):
        place = row, col = number // across * side, number % across * side
        rows, cols = (axis[(np.arange(side) + first) % len(axis)] for axis, first in zip(period, place, strict=True))
        moved = grid * Affine.translation(col, row)
        path = folder / f"r{number // across:03}c{number % across:03}.tif"
        with rasterio.open(path, "w", photometric="RGB", compress="deflate", transform=moved, **profile) as out:
            out.write(town[np.ix_(range(3), rows, cols)])


@contextlib.contextmanager
def cluster(folder: Path, workers: int) -> Iterator[tuple[str, dict[str, psutil.Process]]]:
    """Start a scheduler and workers; its address, and the processes by name."""
    address = folder / "scheduler.json"
    options = ["--no-dashboard", "--scheduler-file", str(address), "--host", "127.0.0.1"]
    dask = [sys.executable, "-m", "distributed.cli.dask_{}"]
    single = {**os.environ, "OMP_NUM_THREADS": "1"}
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": single}
    started = [subprocess.Popen([*dask[:2], dask[2].format("scheduler"), "--port", "0", *options], **quiet)]
    try:
        while not address.exists():
            time.sleep(0.1)
        worker = [*dask[:2], dask[2].format("worker"), "--no-nanny", "--nthreads", "1", "--memory-limit", "0", *options]
        started += [subprocess.Popen(worker, **quiet) for _ in range(workers)]
        names = ["scheduler", *(f"worker{n}" for n in range(1, workers + 1))]
        found = {name: psutil.Process(process.pid) for name, process in zip(names, started, strict=True)}
        yield json.loads(address.read_text())["address"], found
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


def tree_bytes(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


def run(config: Path, out: Path, workers: int, folder: Path) -> float:
    """Run the archive and print a line every half minute; seconds."""
    began, scenes, before = time.perf_counter(), 0, time.perf_counter()
    with cluster(folder, workers) as (address, servers):
        command = [sys.executable, "-m", "geoseg", "archive", "run", str(config), "--scheduler", address, "--quiet"]
        with subprocess.Popen(command) as process:
            processes = {"client": psutil.Process(process.pid), **servers}
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_EVERY_S)
                if process.returncode is not None:
                    break
                done, now = sum(1 for _ in out.glob("r*c*/run.json")), time.perf_counter()
                memory = {f"{name}_mb": round(one.memory_info().rss / 1e6) for name, one in processes.items()}
                spent = round((now - before) / max(1, done - scenes), 3)
                print(json.dumps({"s": round(now - began), "done": done, "s_per_scene": spent} | memory), flush=True)
                scenes, before = done, now
        if process.returncode:
            raise SystemExit(process.returncode)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--model", default="town-unet")
    parser.add_argument("--folder", type=Path, help="an existing folder whose files are left there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        out, config = folder / "out", folder / "archive.yaml"
        write_scenes(folder / "in", given.scenes, given.side)
        config.write_text(f"source: in\nmodel: {given.model}\nout: out\none_layer: parquet\n")
        seconds = run(config, out, given.workers, folder)
        sizes = {path.name: tree_bytes(path) for path in sorted(out.iterdir()) if not (path / "run.json").is_file()}
        began = time.perf_counter()
        again = [sys.executable, "-m", "geoseg", "archive", "run", str(config), "--workers", "0", "--quiet"]
        subprocess.run(again, check=True)
        second_s = time.perf_counter() - began
    total = {"scenes": given.scenes, "side_px": given.side, "seconds": round(seconds), "idle_run_s": round(second_s, 1)}
    print(json.dumps(total | {"s_per_scene": round(seconds / given.scenes, 3), "bytes": sizes}))


if __name__ == "__main__":
    main()
