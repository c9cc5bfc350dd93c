"""Latency and memory of the tiles of ``geoseg view`` on one large image, by a server in a process of its own.

    python benchmarks/view.py [--side 40960] [--tiles 200] [--json]

The image is synthetic, tiled, with overviews, in a temporary folder that is removed. Each tile is asked for once, at a
random place from the coarsest zoom to one beyond the image's own: first one after another, then four at a time.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from math import asinh, log2, pi, radians, tan
from pathlib import Path

import httpx
import numpy as np
import psutil
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.windows import Window
from scipy import ndimage

_BLOCK, _PARALLEL = 2048, 4


def write_image(path: Path, side: int) -> None:
    """Write a JPEG-compressed GeoTIFF of 0.1 m pixels whose blocks are turned copies of one pattern."""
    noise = np.random.default_rng(1).normal(size=(3, _BLOCK, _BLOCK)).astype(np.float32)
    pattern = np.clip(128 + ndimage.gaussian_filter(noise, (0, 3, 3), mode="wrap") * 400, 0, 255).astype(np.uint8)
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": 3,
        "height": side,
        "width": side,
        "crs": "EPSG:32632",
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "jpeg",
        "photometric": "ycbcr",
        "transform": Affine(0.1, 0, 500000, 0, -0.1, 5400000),
        "bigtiff": "yes",
        "num_threads": "2",
    }
    with rasterio.open(path, "w", **profile) as target:
        for number, row in enumerate(range(0, side, _BLOCK)):
            for col in range(0, side, _BLOCK):
                rows, cols = min(_BLOCK, side - row), min(_BLOCK, side - col)
                turned = np.roll(pattern, (number * 97, col // 7), (1, 2))
                target.write(turned[:, :rows, :cols], window=Window(col, row, cols, rows))
    levels = [2**n for n in range(1, int(log2(side / 256)) + 1)]
    with rasterio.Env(GDAL_NUM_THREADS="2"), rasterio.open(path, "r+") as target:
        target.build_overviews(levels, Resampling.average)


def tile_paths(facts: dict, count: int, seed: int) -> list[str]:
    """Choose tiles inside the image at random."""
    rng = random.Random(seed)  # noqa: S311 - places, no secrets
    west, south, east, north = facts["bounds"]
    native = facts["rasters"][0]["max_zoom"]
    found = []
    for _ in range(count):
        zoom = rng.randint(native - 6, native + 1)
        lon, lat = rng.uniform(west, east), rng.uniform(south, north)
        x = int((lon + 180) / 360 * 2**zoom)
        y = int((1 - asinh(tan(radians(lat))) / pi) / 2 * 2**zoom)
        found.append(f"/tiles/a/0/imagery/{zoom}/{x}/{y}")
    return found


def measure(path: Path, count: int) -> dict[str, float]:
    """Ask a server for tiles; milliseconds and MiB."""
    command = [sys.executable, "-m", "geoseg", "view", str(path), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            started = time.perf_counter()
            line = "" if process.stdout is None else process.stdout.readline()
            address = re.search(r"(http://[^/]+)/\?token=(\S+)", line)
            if address is None:
                raise RuntimeError(line)
            start_s = time.perf_counter() - started
            headers = {"Authorization": f"Bearer {address[2]}"}
            with httpx.Client(base_url=address[1], headers=headers, trust_env=False, timeout=60) as client:
                facts = client.get("/api/a/0").json()

                def once(tile: str) -> float:
                    begin = time.perf_counter()
                    client.get(tile).raise_for_status()
                    return 1000 * (time.perf_counter() - begin)

                cold, warm, *_ = [once(tile) for tile in tile_paths(facts, 2, 1)]
                idle = psutil.Process(process.pid).cpu_times()
                alone = [once(tile) for tile in tile_paths(facts, count, 2)]
                with ThreadPoolExecutor(_PARALLEL) as pool:
                    together = list(pool.map(once, tile_paths(facts, count, 3)))
            server = psutil.Process(process.pid)
            memory, used = server.memory_info().rss / 2**20, server.cpu_times()
        finally:
            process.terminate()
    return {
        "start_s": start_s,
        "first_cold_ms": cold,
        "first_warm_ms": warm,
        "alone_p50_ms": float(np.percentile(alone, 50)),
        "alone_p95_ms": float(np.percentile(alone, 95)),
        "four_p50_ms": float(np.percentile(together, 50)),
        "four_p95_ms": float(np.percentile(together, 95)),
        "memory_mib": memory,
        "cpu_ms_a_tile": 1000 * (used.user + used.system - idle.user - idle.system) / (2 * count),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=40960, help="pixels of the image's side")
    parser.add_argument("--tiles", type=int, default=200, help="tiles that are asked for, in each way")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "large.tif")
        write_image(path, asked.side)
        found = {"side": asked.side, "file_mib": path.stat().st_size / 2**20} | measure(path, asked.tiles)
    if asked.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:16} {value:10.1f}")


if __name__ == "__main__":
    main()
