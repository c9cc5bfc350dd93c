"""Call every writer on a disk that is full after N bytes, and say as JSON what came of it. Run in a process of its own.

usage: full_disk.py FOLDER BYTES
Files may grow to BYTES only (RLIMIT_FSIZE with SIGXFSZ ignored gives EFBIG, the twin of ENOSPC that needs no root).
"""

import json
import resource
import signal
import sys
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
from geoseg.errors import WriteError
from geoseg.io.files.writing import write_json
from geoseg.io.polygons.geopackage import write_segments
from geoseg.io.polygons.registry import VECTOR_SUFFIXES
from geoseg.io.polygons.vector_formats import write_vectors
from geoseg.io.polygons.vector_schema import VectorSchema
from geoseg.io.publish.about import About
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.grid import LayerGrid
from geoseg.io.publish.preview import write_preview
from geoseg.io.publish.stac_item import Run, Source, write_item
from geoseg.io.qgis.project import write_project
from geoseg.io.raster.cog import write_class_cog, write_confidence_cog

folder, limit = Path(sys.argv[1]), int(sys.argv[2])
side = 700
legend = Legend(classes=[LegendClass(code=i, name=f"c{i}", colour=f"#{i:06x}") for i in range(200)])
card = ModelCard.model_validate(
    {
        "name": "m",
        "architecture": {"name": "unet"},
        "bands": [{"name": "red"}],
        "gsd_m": {"min": 0.1, "max": 1},
        "legend": legend,
        "licence": "MIT",
    }
)
grid = LayerGrid(geobox=GeoBox((side, side), Affine(1, 0, 500000, 0, -1, 3000000), "EPSG:32645"))
codes = np.random.default_rng(0).integers(0, 100, (side, side), dtype=np.uint8)
whole = [(Window.whole((side, side)), codes)]
strips = [(Window(r, r + 100, 0, side), codes[r : r + 100]) for r in range(0, side, 100)]
bundle = Bundle(directory=folder, stem="scene")


def polygons(count):
    one = np.ones(count)
    return Segments(
        geometry=shapely.box(np.arange(count), 0, np.arange(count) + 1, 1),
        class_code=one.astype(np.uint8),
        area_m2=one,
        perimeter_m=one,
        confidence=one.astype(np.float32),
        confidence_min=one.astype(np.float32),
        pixels=one.astype(np.int64),
    )


schema = whole_class_map_schema(legend)
writers = {
    "classes, one block": (bundle.classes, lambda: write_class_cog(bundle.classes, grid, whole, legend, tags={})),
    "classes, strips": (bundle.classes, lambda: write_class_cog(bundle.classes, grid, strips, legend, tags={})),
    "classes, stored": (
        bundle.classes,
        lambda: write_class_cog(bundle.classes, grid, strips, legend, compress="NONE", tags={}),
    ),
    "confidence": (bundle.confidence, lambda: write_confidence_cog(bundle.confidence, grid, strips, tags={})),
    "segments": (
        bundle.segments,
        lambda: write_segments(
            bundle.segments, (polygons(5000) for _ in range(3)), VectorSchema(crs_wkt=grid.crs_wkt, legend=legend)
        ),
    ),
    **{
        suffix: (
            folder / f"scene{suffix}",
            lambda suffix=suffix: write_vectors(
                folder / f"scene{suffix}",
                (polygons(5000) for _ in range(3)),
                VectorSchema(crs_wkt=grid.crs_wkt, legend=legend),
            ),
        )
        for suffix in VECTOR_SUFFIXES[1:]
    },
    "project": (
        bundle.project,
        lambda: write_project(bundle, schema, about=About(title="x" * 9000), grid=grid, legend=legend),
    ),
    "item": (
        bundle.item,
        lambda: write_item(
            bundle,
            schema,
            grid=grid,
            card=card,
            source=Source(uri="s.tif"),
            run=Run(finished=datetime(2026, 1, 1, tzinfo=UTC), software={}),
        ),
    ),
    "preview": (
        bundle.preview,
        lambda: write_preview(
            bundle.preview, image=np.stack([codes] * 3), codes=codes, legend=legend, title="noise is hard to pack"
        ),
    ),
    "record": (bundle.run_record, lambda: write_json(bundle.run_record, list(range(9000)))),
}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
told = {}
for name, (target, write) in writers.items():
    for old in (None, b"the old file"):
        for file in folder.iterdir():
            file.unlink()
        if old is not None:
            target.write_bytes(old)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            write()
            message = None
        except WriteError as error:
            message = str(error)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        left = {file.name: file.stat().st_size for file in folder.iterdir()}
        kept = target.exists() and target.read_bytes() == old
        told[f"{name}, {'no' if old is None else 'an'} old file"] = {
            "message": message,
            "target": target.name,
            "left": left,
            "kept": kept,
        }
sys.stdout.write(json.dumps(told))
