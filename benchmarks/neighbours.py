"""How much the maps of abutting scenes differ along their borders from the map of the same ground in one scene.

    python benchmarks/neighbours.py SCENE.tif [--model buildings-unet] [--cuts 2] [--size-px 2048] [--picture A.png]

Cuts a window of the image into ``cuts`` by ``cuts`` scenes, segments them as an archive with ``neighbours: none`` and
with ``neighbours: auto``, and counts the pixels whose class differs from that of the whole window, by their distance
from the nearest cut. ``--picture`` shows image, both maps and the whole around the first corner of four scenes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from PIL import Image
from rasterio.windows import Window as RasterioWindow

import geoseg
from geoseg.archive.config import ArchiveConfig
from geoseg.archive.run import run_archive
from geoseg.core.choices import Neighbours

BINS_PX = (0, 8, 16, 32, 64, 128, 100_000)
_SHOWN_PX = 384


def write_window(source: Path, target: Path, window: RasterioWindow) -> None:
    """Write a window of an image as a scene of its own, on the image's grid."""
    with rasterio.open(source) as file:
        values = file.read([1, 2, 3], window=window)
        size = {"height": values.shape[1], "width": values.shape[2], "count": 3, "dtype": values.dtype}
        place = {"crs": file.crs, "transform": file.window_transform(window), "nodata": file.nodata}
    target.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(target, "w", driver="GTiff", photometric="RGB", tiled=True, **size, **place) as out:
        out.write(values)


def classes(folder: Path) -> npt.NDArray[np.uint8]:
    """Read the class raster of a scene's output."""
    with rasterio.open(folder / f"{folder.name}_classes.tif") as file:
        codes: npt.NDArray[np.uint8] = file.read(1)
    return codes


def to_cuts(side: int, cuts: list[int]) -> npt.NDArray[np.float64]:
    """Return the distance of each pixel of an axis to the nearest cut."""
    apart: npt.NDArray[np.float64] = np.abs(np.arange(side)[:, None] + 0.5 - np.array(cuts)).min(axis=1)
    return apart


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path)
    parser.add_argument("--model", default="buildings-unet")
    parser.add_argument("--cuts", type=int, default=2)
    parser.add_argument("--size-px", type=int, default=2048)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        with rasterio.open(given.scene) as file:
            rows, cols = min(given.size_px, file.height), min(given.size_px, file.width)
        edges = [[round(side * part / given.cuts) for part in range(given.cuts + 1)] for side in (rows, cols)]
        write_window(given.scene, home / "whole.tif", RasterioWindow(0, 0, cols, rows))
        layers = geoseg.predict(str(home / "whole.tif"), given.model, str(home / "mosaic"))
        whole = classes(layers.bundle.directory)
        windows = {}
        for down in range(given.cuts):
            for right in range(given.cuts):
                (top, bottom), (left, end) = edges[0][down : down + 2], edges[1][right : right + 2]
                windows[f"r{down}c{right}"] = (slice(top, bottom), slice(left, end))
                window = RasterioWindow(left, top, end - left, bottom - top)
                write_window(home / "whole.tif", home / "in" / f"r{down}c{right}.tif", window)
        down, right = (to_cuts(side, cut[1:-1]) for side, cut in zip((rows, cols), edges, strict=True))
        distance = np.minimum(down[:, None], right[None, :])
        maps = dict[str, npt.NDArray[np.uint8]]()
        found: dict[str, Any] = {
            "scene": given.scene.name,
            "model": given.model,
            "px": [rows, cols],
            "cuts": given.cuts,
        }
        modes: tuple[Neighbours, ...] = ("none", "auto")
        for mode in modes:
            start = time.perf_counter()
            config = ArchiveConfig(source=home / "in", model=given.model, out=home / mode, workers=0, neighbours=mode)
            run_archive(config)
            maps[mode] = np.full_like(whole, 255)
            for scene, window in windows.items():
                maps[mode][window] = classes(home / mode / scene)
            differs = maps[mode] != whole
            seconds, equal = time.perf_counter() - start, 100 * float(1 - differs.mean())
            found[mode] = {"seconds": round(seconds, 1), "equal_%": round(equal, 4)}
            for low, high in pairwise(BINS_PX):
                ring = (distance >= low) & (distance < high)
                if ring.any():
                    found[mode][f"{low}-{high} px"] = f"{100 * differs[ring].mean():.4f} %"
        print(json.dumps(found, indent=2))
        if given.picture is not None:
            picture(given.picture, home / "whole.tif", [maps["none"], maps["auto"], whole], (edges[0][1], edges[1][1]))


def picture(path: Path, image: Path, maps: list[npt.NDArray[np.uint8]], middle: tuple[int, int]) -> None:
    """Draw the image and three maps around a corner where four scenes meet; the cut is a thin line."""
    (row, col), half = middle, _SHOWN_PX // 2
    part = (slice(max(0, row - half), row + half), slice(max(0, col - half), col + half))
    with rasterio.open(image) as file:
        shown = np.moveaxis(file.read(), 0, 2)[part]
    views = [shown, *(_tinted(shown, codes[part]) for codes in maps)]
    for view in views[1:3]:
        view[half - 1 : half, ::4], view[::4, half - 1 : half] = (255, 255, 0), (255, 255, 0)
    Image.fromarray(np.concatenate(views, axis=1)).resize((8 * _SHOWN_PX, 2 * _SHOWN_PX)).save(path)


def _tinted(shown: npt.NDArray[np.uint8], codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    tint = np.array(
        [[0, 0, 0], [230, 30, 30], [30, 90, 230], [40, 170, 60], [240, 190, 40], [150, 60, 200]], np.float32
    )
    colour = tint[np.minimum(codes, len(tint) - 1)]
    mixed = np.where((codes > 0)[..., None], 0.5 * shown + 0.5 * colour, shown)
    return np.asarray(mixed, np.uint8)


if __name__ == "__main__":
    main()
