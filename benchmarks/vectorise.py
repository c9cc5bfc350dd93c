"""Polygons per second and memory, beside GDAL's polygonizer and beside it with a coverage simplified by GEOS.

    python benchmarks/vectorise.py [--size 2048] [--simplify-m 1.0] [--repeat 3] [--raster CODES.tif]
    python benchmarks/vectorise.py --memory 20000         # only geoseg, streamed, on a scene of this height

One run measures all on the same map in turn, so that their ratio means something on a shared machine.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from scipy.ndimage import gaussian_filter

from geoseg.core.window import Window
from geoseg.vector.source import ArraySource
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import vectorise_codes

U8 = npt.NDArray[np.uint8]
NODATA = 255


def synthetic(size: int, *, classes: int = 6, sigma: float = 6.0, seed: int = 0) -> U8:
    """Draw the map whose classes are the largest of six smooth random fields: 4,500 polygons per million pixels."""
    rng = np.random.default_rng(seed)
    codes = np.zeros((size, size), np.uint8)
    best = np.full((size, size), -np.inf, np.float32)
    for code in range(classes):
        field = gaussian_filter(rng.standard_normal((size, size), dtype=np.float32), sigma)
        codes[field > best] = code
        np.maximum(best, field, out=best)
    return codes


class TiledSource:
    """A scene of any height made of one map, repeated and shifted; nothing of it is kept."""

    def __init__(self, tile: U8, height: int, width: int) -> None:
        self.shape = height, width
        self._tile = tile

    def read(self, window: Window) -> tuple[U8, U8]:
        """Cut a window; the confidence is the code."""
        size = len(self._tile)
        rows = np.arange(window.row_start, window.row_stop) % size
        cols = np.arange(window.col_start, window.col_stop) % size
        codes = self._tile[rows[:, None], cols]
        return codes, codes


def grid(shape: tuple[int, int]) -> GeoBox:
    """Place a map in UTM, with pixels of 1 m."""
    return GeoBox(shape, Affine(1.0, 0.0, 4e5, 0.0, -1.0, 5e6), "EPSG:32633")


def by_geoseg(codes: U8, spec: VectorSpec) -> npt.NDArray[np.object_]:
    """Vectorise with geoseg, all threads."""
    batches = vectorise_codes(ArraySource(codes), grid(codes.shape), nodata=NODATA, spec=spec)
    return np.concatenate([batch.geometry for batch in batches])


def by_gdal(codes: U8) -> npt.NDArray[np.object_]:
    """Vectorise with ``rasterio.features.shapes``, as shapely geometries."""
    import rasterio.features

    found = rasterio.features.shapes(codes, mask=codes != NODATA, transform=grid(codes.shape).transform)
    return np.array([shapely.geometry.shape(shape) for shape, _ in found], object)


def by_gdal_and_geos(codes: U8, tolerance: float) -> npt.NDArray[np.object_]:
    """Vectorise with ``shapes``, add a vertex per pixel so that it is a coverage, and simplify that."""
    dense = shapely.segmentize(by_gdal(codes), 1.0)
    return np.asarray(shapely.coverage_simplify(dense, tolerance, simplify_boundary=False))


def seconds(function: Callable[[], object], repeat: int) -> float:
    """Take the median time of some calls."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def compare(codes: U8, tolerance: float, repeat: int) -> None:
    """Print pixels per second of all four, and what the simplified ones are like."""
    spec = VectorSpec(simplify_m=tolerance)
    exact, simple = by_geoseg(codes, VectorSpec()), by_geoseg(codes, spec)  # compiles what is not compiled yet
    print(f"{codes.shape[0]} x {codes.shape[1]} pixels, {len(exact):,} polygons")
    rows = {
        "geoseg, exact": (lambda: by_geoseg(codes, VectorSpec()), "gdal"),
        "gdal": (lambda: by_gdal(codes), "gdal"),
        "geoseg, simplified": (lambda: by_geoseg(codes, spec), "gdal + geos"),
        "gdal + geos": (lambda: by_gdal_and_geos(codes, tolerance), "gdal + geos"),
    }
    taken = {
        name: seconds(function, repeat if name.startswith("geoseg") else 1) for name, (function, _) in rows.items()
    }
    for name, (_, rival) in rows.items():
        print(f"  {name:<20} {codes.size / taken[name] / 1e6:8.2f} Mpx/s  {taken[rival] / taken[name]:6.1f} x {rival}")
    edges = shapely.segmentize(shapely.boundary(exact), 0.5)
    rival = by_gdal_and_geos(codes, tolerance)
    pairs = shapely.STRtree(shapely.point_on_surface(exact)).query(by_gdal(codes), predicate="contains")
    same = np.empty(len(exact), np.int64)
    same[pairs[1]] = pairs[0]
    for name, drawn in (("geoseg", simple), ("gdal + geos", rival[same])):
        outlines = shapely.boundary(drawn)
        there, back = shapely.hausdorff_distance(edges, outlines), shapely.hausdorff_distance(outlines, edges)
        far = np.maximum(there, back)
        print(
            f"  {name:<20} {shapely.get_num_coordinates(drawn).sum():>12,} vertices at tolerance {tolerance:g}; "
            f"farthest from the pixels {far.max():.2f}, 99 % of polygons within {np.percentile(far, 99):.2f}"
        )


def stream(height: int, width: int, spec: VectorSpec) -> None:
    """Vectorise a tall scene and print pace and peak memory at every tenth of it."""
    source = TiledSource(synthetic(2039), height, width)
    start = time.perf_counter()
    polygons = reported = 0
    for batch in vectorise_codes(source, grid(source.shape), nodata=NODATA, spec=spec):
        polygons += len(batch)
        row = int((grid(source.shape).transform.f - shapely.bounds(batch.geometry[-1:])[0, 1]) * 10 // height)
        if row > reported:
            reported = row
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            pace = height * width * row / 10 / (time.perf_counter() - start) / 1e6
            print(f"  {row * 10:3d} %  {polygons:>11,} polygons  {pace:6.1f} Mpx/s  peak {peak:.2f} GiB", flush=True)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--simplify-m", type=float, default=1.0)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--raster", type=Path)
    parser.add_argument("--memory", type=int, metavar="ROWS")
    parser.add_argument("--width", type=int, default=20000)
    parser.add_argument("--simplify", action="store_true", help="with --memory: simplify too")
    options = parser.parse_args()
    if options.memory:
        spec = VectorSpec(simplify_m=options.simplify_m) if options.simplify else VectorSpec()
        stream(options.memory, options.width, spec)
        return
    codes = synthetic(options.size)
    if options.raster:
        import rasterio

        with rasterio.open(options.raster) as file:
            codes = file.read(1)
    compare(codes, options.simplify_m, options.repeat)


if __name__ == "__main__":
    main()
