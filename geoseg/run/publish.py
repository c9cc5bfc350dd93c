"""Publishing: write the files of a bundle from finished blocks."""

from __future__ import annotations

import platform
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

import geoseg
from geoseg.core.layer import PANOPTIC
from geoseg.core.types.json_value import JsonDict, JsonObject, UntypedDict
from geoseg.inference.passes import InferencePass
from geoseg.inference.tasks.panoptic_layers import map_legend
from geoseg.io.files.recorded_file import file_facts
from geoseg.io.files.writing import is_part, reap_parts, write_json
from geoseg.io.labels.panoptic_raster import things_of
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.grid import LayerGrid
from geoseg.io.publish.preview import VIEW_PX, write_preview
from geoseg.io.publish.stac_item import Run, Source, without_secrets, write_item
from geoseg.io.qgis.project import write_project
from geoseg.io.qgis.scene_imagery import SceneImagery, scene_imagery
from geoseg.io.raster.code_file import CodeFile, LayerFiles
from geoseg.io.raster.overview import overview
from geoseg.io.raster.scene import Scene
from geoseg.io.raster.surroundings import Surroundings
from geoseg.models.ensemble import member_facts
from geoseg.models.model import Model
from geoseg.run.finished_blocks import BlockSource
from geoseg.run.layers import write_layers
from geoseg.run.lineage import about_layers
from geoseg.run.plan import Job, RunPlan
from geoseg.run.report import Reporter
from geoseg.run.workers.use import WorkerUse, added, own_name, peak_memory_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStats:
    """Facts about the prediction, for the run record."""

    started: datetime
    predict_s: float
    blocks: dict[str, int]
    predicted_px: int
    identity: UntypedDict
    workers: tuple[WorkerUse, ...] = ()


def publish(job: Job, store: BlockSource, facts: RunStats, reporter: Reporter) -> UntypedDict:
    """Write every file of a bundle; ``run.json`` is written last and marks the bundle as complete.

    Args:
        job: scene, model and plan.
        store: reads the finished blocks.
        facts: facts about the prediction.
        reporter: receives progress.

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
    written = write_layers(job, store, grid, reporter)
    clock.lap("layers_s")
    reporter.stage("publish", 0)
    imagery = _picture(scene, plan, bundle, model)
    for note in imagery.notes:
        reporter.note(note)
    shown = map_legend(plan.schema, plan.spec, legend)
    write_project(bundle, plan.schema, about=about_layers(job), grid=grid, legend=shown, imagery=imagery.shown)
    versions = {"geoseg": geoseg.__version__, "runtime": model.info.version, "python": platform.python_version()}
    source = Source(
        uri=scene.uri, sha256=facts.identity["pixels"]["scene"], subdataset=scene.subdataset, service=scene.service
    )
    processed = Run(finished=datetime.now(UTC), software=versions, facts=_model_facts(model))
    write_item(bundle, plan.schema, grid=grid, card=model.card, source=source, run=processed)
    clock.lap("publish_s")
    doubts = _doubts(model, written.facts.get("classes", []))
    for doubt in doubts:
        reporter.note(doubt)
    peak, spent_s = peak_memory_bytes(), sum(clock.laps.values())
    wrote = WorkerUse(name=own_name(), scenes=1, layers_s=spent_s, peak_memory_bytes=peak)
    record = _record(scene, model, plan, facts) | {
        "imagery": imagery.facts,
        "notes": [*scene.notes, *plan.notes, *imagery.notes, *doubts],
        "segments": None,
        **written.facts,
        "legend": legend.model_dump(mode="json"),
        "layers": [layer.name for layer in plan.schema.published],
        "versions": versions,
        "timings": {"predict_s": round(facts.predict_s, 3)} | clock.laps | {"of_layers": written.seconds},
        "peak_memory_bytes": wrote.peak_memory_bytes,
        "workers": [use.facts() for use in added(facts.workers, wrote)],
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": _files(bundle),
        "identity": facts.identity,
    }
    write_json(bundle.run_record, record)
    return record


def _doubts(model: Model, classes: list[JsonObject]) -> list[str]:
    """List reasons to doubt a map: the card's warnings, and a map of one class only."""
    doubts = [f"the model's card warns: {warning}" for member in model.members for warning in member.card.warnings]
    present = [entry["name"] for entry in classes if entry["pixels"]]
    if len(present) == 1 and len(classes) > 1:
        doubts.append(f"every pixel is {present[0]!r}: check that the scene is of the kind the model was trained on")
    return doubts


class _Clock:
    def __init__(self) -> None:
        self._last = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = round(now - self._last, 3), now


def _picture(scene: Scene, plan: RunPlan, bundle: Bundle, model: Model) -> SceneImagery:
    """Write the preview and return how QGIS shows the scene, both with the stretch of the network input."""
    card, read = model.members[0].card, plan.read
    names = list(card.band_names)
    rgb = [names.index(name) for name in ("red", "green", "blue") if name in names]
    shown = rgb if len(rgb) == 3 else [min(i, len(names) - 1) for i in range(3)]
    view = overview(scene, VIEW_PX, [read.bands[i] for i in shown])
    gain = np.array([read.gain[i] for i in shown])[:, None, None]
    bias = np.array([read.bias[i] for i in shown])[:, None, None]
    usable = np.where(view.valid, view.values, view.values.dtype.type(0))  # an infinite value cannot be scaled
    image = (np.clip(usable * gain + bias, 0, 1) * 255).astype(np.uint8)
    with CodeFile(bundle.classes, None) as source:
        codes = source.overview(view.valid.shape)
    things = None
    for layer in plan.schema.rasters:
        if layer.role == PANOPTIC:
            with LayerFiles(bundle.file_of(layer)) as labels:
                things = things_of(labels.overview(view.valid.shape))
    write_preview(
        bundle.preview,
        image=image,
        valid=view.valid,
        codes=codes,
        things=things,
        legend=card.legend,
        title=bundle.stem,
    )
    stretch = tuple((-b / g, (1 - b) / g) for g, b in zip(gain.ravel(), bias.ravel(), strict=True))
    return scene_imagery(scene, bundle, bands=tuple(read.bands[i] for i in shown), stretch=stretch)


def _record(scene: Scene, model: Model, plan: RunPlan, facts: RunStats) -> UntypedDict:
    rows, cols = plan.read.scene_shape
    speed = facts.predicted_px / facts.predict_s if facts.predict_s > 0 else 0.0
    return {
        "geoseg": geoseg.__version__,
        "started": facts.started.isoformat(timespec="seconds"),
        "scene": {
            "uri": without_secrets(scene.uri),
            **({} if scene.subdataset is None else {"subdataset": scene.subdataset}),
            **({} if scene.service is None else {"service": scene.service}),
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
            **_model_facts(model),
        },
        "runtime": {
            "name": model.info.name,
            "device": model.info.device,
            "precision": model.info.precision,
            "library": model.info.version,
            "batch": model.batch,
        },
        "options": plan.spec.model_dump(mode="json")
        | {"tile_px": plan.tiling.tile_px, "halo_px": plan.tiling.halo_px, "tiles": len(plan.tiling)}
        | {"work_shape_px": list(plan.read.work_shape), "computed_share": round(plan.computed_share, 4)}
        | ({"margin_px": list(plan.tiling.margin.sides)} if plan.tiling.margin else {}),
        "passes": [_pass(model, one) for one in plan.passes],
        "blocks": facts.blocks,
        "pixels_per_s": round(speed),
    } | ({} if plan.around is None else {"neighbours": _neighbours(plan.around)})


def _neighbours(around: Surroundings) -> JsonDict:
    """Describe the neighbours of a scene: those whose pixels were read, and those left out with the cause."""
    return {
        "used": [without_secrets(uri) for uri in around.used],
        "left_out": {without_secrets(uri): cause.replace(uri, without_secrets(uri)) for uri, cause in around.left_out},
        "sha256": around.digest,
    }


def _model_facts(model: Model) -> UntypedDict:
    """Return facts about a model that its card's record lacks: its temperature or, for an ensemble, its members."""
    if len(model.members) > 1:
        pairs = zip(model.members, model.shares, strict=True)
        return {"members": member_facts([(member.card, share) for member, share in pairs])}
    return {} if model.card.temperature == 1 else {"temperature": model.card.temperature}


def _pass(model: Model, one: InferencePass) -> JsonDict:
    return {
        "model": model.members[one.member].card.name,
        "scale": one.scale,
        "work_shape_px": list(one.read.work_shape),
        "tile_px": one.tiling.tile_px,
        "halo_px": one.tiling.halo_px,
        "tiles": len(one.tiling),
        "computed_share": round(one.tiling.computed_share, 4),
    }


def _files(bundle: Bundle) -> dict[str, JsonDict]:
    """Describe the files of a bundle; leftovers of partial writes are skipped."""
    reap_parts(bundle.directory)
    return {path.name: file_facts(path) for path in sorted(bundle.directory.iterdir()) if not is_part(path.name)}
