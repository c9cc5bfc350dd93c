"""From finished blocks to the files a person opens."""

from __future__ import annotations

import hashlib
import platform
import resource
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import geoseg
from geoseg.core.ground import pixel_sides_m
from geoseg.core.window import Window
from geoseg.engine.model import Model
from geoseg.errors import OutputError
from geoseg.io.bundle import Bundle
from geoseg.io.code_file import CodeFile
from geoseg.io.cog import write_class_cog, write_confidence_cog
from geoseg.io.geopackage import write_segments
from geoseg.io.grid import LayerGrid
from geoseg.io.overview import overview
from geoseg.io.preview import write_preview
from geoseg.io.qgis import Imagery, write_project
from geoseg.io.scene import Scene
from geoseg.io.stac_item import Run, Source, write_item
from geoseg.io.store import Store
from geoseg.io.writing import write_json
from geoseg.run.plan import Job, RunPlan
from geoseg.run.report import Reporter
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import vectorise_codes

_PREVIEW_PX = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the prediction told about itself, for the run record."""

    started: datetime
    predict_s: float
    blocks: dict[str, int]
    predicted_px: int
    identity: dict[str, Any]


def publish(job: Job, store: Store, facts: Facts, reporter: Reporter) -> dict[str, Any]:
    """Write every layer of a bundle; ``run.json`` comes last and says that the rest is whole.

    Returns:
        The run record.

    Raises:
        WriteError: the disk is full or fails.
    """
    scene, model, plan, bundle = job.scene, job.model, job.plan, job.work.building
    shutil.rmtree(bundle.directory, ignore_errors=True)
    bundle.directory.mkdir(parents=True)
    clock = _Clock()
    grid = LayerGrid(geobox=scene.geobox, gcps=scene.gcps, gcps_crs=scene.gcps_crs)
    legend = model.card.legend
    classes = _assemble(job, store, grid, reporter)
    clock.lap("assemble_s")
    segments = None
    if plan.spec.vector:
        segments = _vectorise(plan, bundle, grid, model, reporter)
        clock.lap("vectorise_s")
    reporter.stage("publish", 0)
    imagery = _picture(scene, plan, bundle, model)
    write_project(bundle, title=bundle.stem, grid=grid, legend=legend, imagery=imagery)
    versions = {"geoseg": geoseg.__version__, "runtime": model.runtime.version, "python": platform.python_version()}
    source = Source(uri=scene.uri, sha256=facts.identity["pixels"]["scene"])
    processed = Run(finished=datetime.now(UTC), software=versions)
    write_item(bundle, grid=grid, card=model.card, source=source, run=processed)
    clock.lap("publish_s")
    record = _record(scene, model, plan, facts) | {
        "classes": classes,
        "segments": segments,
        "versions": versions,
        "timings": {"predict_s": round(facts.predict_s, 3)} | clock.laps,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": {path.name: _file_facts(path) for path in sorted(bundle.directory.iterdir())},
        "identity": facts.identity,
    }
    write_json(bundle.run_record, record)
    return record


class _Clock:
    def __init__(self) -> None:
        self._last = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = round(now - self._last, 3), now


def _stored(plan: RunPlan, store: Store, layer: int) -> Iterator[tuple[Window, npt.NDArray[np.uint8]]]:
    for block in plan.blocks:
        pair = store.read(block)
        if pair is None:
            raise OutputError(f"{store.path}: a finished block is gone or damaged. Run again: it will be redone.")
        yield block.window, pair[layer]


def _assemble(job: Job, store: Store, grid: LayerGrid, reporter: Reporter) -> list[dict[str, Any]]:
    """Write both rasters and count the classes on the way."""
    model, plan, bundle = job.model, job.plan, job.work.building
    legend = model.card.legend
    pixels, area_m2 = np.zeros(256, np.int64), np.zeros(256)
    reporter.stage("assemble", grid.shape[0] * grid.shape[1])

    def counted() -> Iterator[tuple[Window, npt.NDArray[np.uint8]]]:
        for window, codes in _stored(plan, store, 0):
            counts = np.bincount(codes.ravel(), minlength=256)
            middle = (window.row_start + window.row_stop) / 2, (window.col_start + window.col_stop) / 2
            pixels[:] += counts
            area_m2[:] += counts * float(pixel_sides_m(grid.geobox, *middle)[2])
            yield window, codes
            reporter.advance(window.pixels)

    tags = {"GEOSEG_MODEL": model.card.name, "GEOSEG_WEIGHTS_SHA256": model.card.weights_sha256}
    write_class_cog(bundle.classes, grid, counted(), legend, tags=tags)
    if plan.spec.confidence:
        write_confidence_cog(bundle.confidence, grid, _stored(plan, store, 1), tags=tags)
    return [
        {
            "code": entry.code,
            "name": entry.name,
            "pixels": int(pixels[entry.code]),
            "area_m2": round(float(area_m2[entry.code]), 3),
        }
        for entry in legend.classes
    ]


def _vectorise(plan: RunPlan, bundle: Bundle, grid: LayerGrid, model: Model, reporter: Reporter) -> int:
    legend = model.card.legend
    reporter.stage("vectorise", 0)
    spec = VectorSpec(simplify_m=plan.spec.simplify_m, min_area_m2=plan.spec.min_area_m2)
    confidence = bundle.confidence if plan.spec.confidence else None
    with CodeFile(bundle.classes, confidence) as source:
        world = grid.to_world if grid.gcps else None
        batches = vectorise_codes(source, grid.geobox, nodata=legend.nodata, spec=spec, to_world=world)
        return write_segments(bundle.segments, batches, crs_wkt=grid.crs_wkt, legend=legend)


def _picture(scene: Scene, plan: RunPlan, bundle: Bundle, model: Model) -> Imagery | None:
    """Write the preview and say how QGIS shall show the scene, both with the stretch the network saw."""
    card, read = model.card, plan.read
    names = list(card.band_names)
    rgb = [names.index(name) for name in ("red", "green", "blue") if name in names]
    shown = rgb if len(rgb) == 3 else [min(i, len(names) - 1) for i in range(3)]
    view = overview(scene, _PREVIEW_PX, [read.bands[i] for i in shown])
    gain = np.array([read.gain[i] for i in shown])[:, None, None]
    bias = np.array([read.bias[i] for i in shown])[:, None, None]
    image = np.clip(np.nan_to_num(view.values * gain + bias) * 255, 0, 255).astype(np.uint8)
    with CodeFile(bundle.classes, None) as source:
        codes = source.overview(view.valid.shape)
    write_preview(bundle.preview, image=image, valid=view.valid, codes=codes, legend=card.legend, title=bundle.stem)
    stretch = tuple((-b / g, (1 - b) / g) for g, b in zip(gain.ravel(), bias.ravel(), strict=True))
    uri = _imagery_uri(scene)
    return None if uri is None else Imagery(uri=uri, bands=tuple(read.bands[i] for i in shown), stretch=stretch)


def _imagery_uri(scene: Scene) -> str | None:
    """What QGIS opens to show the scene: the file itself, of a STAC item its only image; None if it has several."""
    if scene.driver != "STAC":
        return scene.uri
    images = [file for file in scene.files if not file.endswith(".json")]
    return images[0] if len(images) == 1 else None


def _record(scene: Scene, model: Model, plan: RunPlan, facts: Facts) -> dict[str, Any]:
    rows, cols = plan.read.scene_shape
    speed = facts.predicted_px / facts.predict_s if facts.predict_s > 0 else 0.0
    return {
        "geoseg": geoseg.__version__,
        "started": facts.started.isoformat(timespec="seconds"),
        "scene": {
            "uri": scene.uri,
            "sha256": facts.identity["pixels"]["scene"],
            "height_px": rows,
            "width_px": cols,
            "gsd_m": [round(side, 6) for side in plan.read.scene_gsd_m],
            "bands": list(plan.read.bands),
        },
        "model": {
            "name": model.card.name,
            "version": model.card.version,
            "weights_sha256": model.card.weights_sha256,
            "licence": model.card.licence,
        },
        "runtime": {
            "name": model.runtime.name,
            "device": model.runtime.device,
            "precision": model.runtime.precision,
            "library": model.runtime.version,
            "batch": model.runtime.batch,
        },
        "options": plan.spec.model_dump(mode="json")
        | {"tile_px": plan.tiling.tile_px, "halo_px": plan.tiling.halo_px, "tiles": len(plan.tiling)},
        "notes": [*scene.notes, *plan.read.notes],
        "blocks": facts.blocks,
        "pixels_per_s": round(speed),
    }


def _file_facts(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"size": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
