"""Write every format again and again while other processes keep the machine busy, and count the different files.

    python benchmarks/same_bytes.py [--times 200] [--busy 2] [--only gpkg ...] [--folder DIR]

Each format is written from one input. A format that gives two different files fails the run (exit code 1), and the
files are kept for comparison.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox

from geoseg.core.card import ModelCard
from geoseg.core.layer import whole_class_map_schema
from geoseg.core.legend import Legend, LegendClass
from geoseg.core.segments import Segments
from geoseg.core.window import Window
from geoseg.io.labels.sample_file import Sample, write_sample
from geoseg.io.polygons.registry import VECTOR_SUFFIXES
from geoseg.io.polygons.vector_formats import write_vectors
from geoseg.io.polygons.vector_schema import VectorSchema
from geoseg.io.publish.about import About
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.grid import LayerGrid
from geoseg.io.publish.preview import write_preview
from geoseg.io.publish.scene_footprints import write_footprints
from geoseg.io.publish.scene_index import write_scene_index
from geoseg.io.publish.stac_item import Run, Source, write_item
from geoseg.io.qgis.project import write_project
from geoseg.io.raster.cog import write_class_cog, write_confidence_cog

_SIDE_PX = 1100
_LEGEND = Legend(classes=[LegendClass(code=i, name=f"c{i}", colour=f"#{i:06x}") for i in range(5)])


def segments(count: int) -> Segments:
    """Make squares of ten metres with confidences, a kilometre of them in a row."""
    rng = np.random.default_rng(count)
    west = 500000 + rng.permutation(count) % 100 * 10.0
    south = 3e6 + rng.permutation(count) // 100 * 10.0
    one = np.ones(count)
    return Segments(
        geometry=shapely.box(west, south, west + 9, south + 9),
        class_code=rng.integers(0, 5, count).astype(np.uint8),
        area_m2=one * 81,
        perimeter_m=one * 36,
        confidence=rng.random(count).astype(np.float32),
        confidence_min=np.full(count, np.nan, np.float32),
        pixels=np.full(count, 81, np.int64),
    )


def writers(folder: Path) -> Mapping[str, tuple[Path, Callable[[], object]]]:
    """Name the file of each format and the call that writes it."""
    grid = LayerGrid(geobox=GeoBox((_SIDE_PX, _SIDE_PX), Affine(1, 0, 500000, 0, -1, 3e6), "EPSG:32645"))
    codes = np.random.default_rng(0).integers(0, 5, (_SIDE_PX, _SIDE_PX), dtype=np.uint8)
    blocks = [(Window(r, min(r + 100, _SIDE_PX), 0, _SIDE_PX), codes[r : r + 100]) for r in range(0, _SIDE_PX, 100)]
    bundle = Bundle(directory=folder, stem="scene")
    index, footprints, sample = folder / "scenes.parquet", folder / "scenes.gpkg", folder / "sample.gpkg"
    places = np.arange(30)
    drawn = Sample(
        rows=places,
        cols=places,
        map_codes=places % 5,
        legend=_LEGEND,
        pixels=np.full(5, 6, np.int64),
        area_m2=np.full(5, 6.0),
    )
    card = ModelCard.model_validate(
        {
            "name": "m",
            "architecture": {"name": "unet"},
            "bands": [{"name": "red"}],
            "gsd_m": {"min": 0.1, "max": 2},
            "legend": _LEGEND,
            "licence": "MIT",
        }
    )
    scenes = [
        {"name": f"s{i}", "state": "done", "geometry": shapely.box(i, 0, i + 1, 1).__geo_interface__} for i in places
    ]
    write_scene_index(index, scenes, _LEGEND)

    def vectors(path: Path, count: int) -> Callable[[], object]:
        some = segments(count)
        return lambda: write_vectors(path, [some], VectorSchema(crs_wkt=grid.crs_wkt, legend=_LEGEND))

    picture = np.stack([codes] * 3)
    about = About(title="scene")
    now = Run(finished=datetime(2026, 1, 1, tzinfo=UTC), software={})
    return {
        **{
            f"{suffix[1:]} of {count}": (path := folder / f"v{count}{suffix}", vectors(path, count))
            for suffix in VECTOR_SUFFIXES
            for count in (3, 3000)
        },
        "classes": (bundle.classes, lambda: write_class_cog(bundle.classes, grid, blocks, _LEGEND, tags={})),
        "confidence": (bundle.confidence, lambda: write_confidence_cog(bundle.confidence, grid, blocks, tags={})),
        "project": (
            bundle.project,
            lambda: write_project(bundle, whole_class_map_schema(_LEGEND), about=about, grid=grid, legend=_LEGEND),
        ),
        "item": (
            bundle.item,
            lambda: write_item(
                bundle, whole_class_map_schema(_LEGEND), grid=grid, card=card, source=Source(uri="s.tif"), run=now
            ),
        ),
        "preview": (
            bundle.preview,
            lambda: write_preview(bundle.preview, image=picture, codes=codes, legend=_LEGEND, title="scene"),
        ),
        "index": (index, lambda: write_scene_index(index, scenes, _LEGEND)),
        "footprints": (footprints, lambda: write_footprints(footprints, index)),
        "sample": (sample, lambda: write_sample(sample, drawn, grid)),
    }


def different_files(path: Path, write: Callable[[], object], times: int) -> Counter[str]:
    """Write a file so many times and count by digest; one of each kind is kept as ``NAME.DIGEST``."""
    seen: Counter[str] = Counter()
    for _ in range(times):
        write()
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:12]
        if digest not in seen:
            path.with_name(f"{path.name}.{digest}").write_bytes(content)
        seen[digest] += 1
    return seen


def main() -> int:
    """Print a line of JSON for each format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--busy", type=int, default=2, help="processes that only burn time meanwhile")
    parser.add_argument("--only", nargs="*", help="formats whose name starts so")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    failed = False
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        for _ in range(options.busy):
            busy = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(busy.kill)
        for name, (path, write) in writers(folder).items():
            if options.only and not name.startswith(tuple(options.only)):
                continue
            start = time.perf_counter()
            seen = different_files(path, write, options.times)
            failed |= len(seen) > 1
            seconds = round(time.perf_counter() - start, 1)
            print(
                json.dumps({"format": name, "files": options.times, "different": len(seen), "seconds": seconds}),
                flush=True,
            )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
