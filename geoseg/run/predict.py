"""Predict: one scene in, one bundle of layers out; killed at any moment and started again it goes on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from geoseg.core.digest import sha256_of_json
from geoseg.core.spec import PredictSpec
from geoseg.core.tiling import Block
from geoseg.engine.model import Model, load_model
from geoseg.engine.predict import BlockInput, empty_result, predict_block, prepare, scene_window
from geoseg.engine.tta import augmented
from geoseg.errors import GeosegError, ResourceError, SceneError, WriteError
from geoseg.io.area_of_interest import read_area
from geoseg.io.bundle import Bundle
from geoseg.io.read_ahead import read_ahead
from geoseg.io.scene import Scene, open_scene
from geoseg.io.store import Store
from geoseg.run.ahead import ahead
from geoseg.run.finished import finished_record, recover, swap
from geoseg.run.lock import locked
from geoseg.run.plan import Job, Workplace, identity, make_plan
from geoseg.run.publish import Facts, publish
from geoseg.run.report import Reporter, Silence


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """The finished layers of one scene.

    Attributes:
        bundle: names of the files.
        record: what ran, as in ``run.json``.
        fresh: False when the bundle was there already and nothing had to be done.
    """

    bundle: Bundle
    record: dict[str, Any]
    fresh: bool = True


def predict(
    scene: Scene | str | Path,
    model: Model | str | Path,
    out: str | Path,
    *,
    spec: PredictSpec | None = None,
    overwrite: bool = False,
    name: str | None = None,
    reporter: Reporter | None = None,
) -> Layers:
    """Segment a scene and write its layers to ``out/NAME/``.

    Args:
        scene: an open scene, or its path or address.
        model: a loaded model, or its name or path.
        out: folder of all outputs.
        spec: options; the default takes everything from the model's card.
        overwrite: replace a finished output that another input, model or option made; the old one stays until the
            new one is whole.
        name: folder and stem of the output, instead of the scene's own.
        reporter: told of progress.

    Returns:
        The finished layers. A run that was interrupted is resumed; one that is done already is not done again.

    Raises:
        SceneError, ModelError, UsageError: the input, the model or an option is refused; nothing is written.
        OutputError: the output exists and is another's, or another run is writing it.
        ResourceError: disk or memory ran out; run again to resume.

    Example:
        >>> layers = predict("scene.tif", "buildings-unet", out="out")  # doctest: +SKIP
        >>> layers.bundle.segments  # doctest: +SKIP
        PosixPath('out/scene/scene_segments.gpkg')
    """
    spec, reporter = spec or PredictSpec(), reporter or Silence()
    if not isinstance(scene, Scene):
        with open_scene(scene) as opened:
            return predict(opened, model, out, spec=spec, overwrite=overwrite, name=name, reporter=reporter)
    if not isinstance(model, Model):
        model = load_model(model)
    plan = make_plan(scene, model.card, spec)
    mask = read_area(spec.aoi, scene.geobox) if spec.aoi else None
    work = Workplace(bundle=Bundle.in_folder(Path(out), name or scene.stem))
    try:
        with locked(work.lock):
            recover(work)
            key = identity(scene, model.digest(), plan)
            finished = finished_record(work.bundle, {"pixels": key, "layers": spec.digest()}, overwrite=overwrite)
            if finished is not None:
                shutil.rmtree(work.blocks, ignore_errors=True)
                return Layers(bundle=work.bundle, record=finished, fresh=False)
            return _run(Job(scene=scene, model=model, plan=plan, mask=mask, work=work, key=key), reporter)
    except OSError as error:
        if isinstance(error, GeosegError):
            raise
        raise WriteError(
            f"{error.filename or out}: {error.strerror or error}. Check the folder and run again."
        ) from error


def _run(job: Job, reporter: Reporter) -> Layers:
    for note in (*job.scene.notes, *job.plan.read.notes):
        reporter.note(note)
    started, clock = datetime.now(UTC), time.perf_counter()
    _check_unchanged(job)
    _check_disk(job)
    store = Store(job.work.blocks, job.plan.blocks, sha256_of_json(job.key))
    left = store.left()
    counts = _predict_blocks(job, store, left, reporter)
    predicted_s = time.perf_counter() - clock
    _check_unchanged(job)
    facts = Facts(
        started=started,
        predict_s=predicted_s,
        blocks={"total": len(job.plan.blocks), "resumed": len(job.plan.blocks) - len(left), **counts},
        predicted_px=counts.pop("pixels"),
        identity={"pixels": job.key, "layers": job.plan.spec.digest()},
    )
    record = publish(job, store, facts, reporter)
    _check_unchanged(job)
    swap(job.work)
    store.remove()
    return Layers(bundle=job.work.bundle, record=record)


def _predict_blocks(job: Job, store: Store, left: list[Block], reporter: Reporter) -> dict[str, int]:
    plan, legend = job.plan, job.model.card.legend
    total = plan.read.scene_shape[0] * plan.read.scene_shape[1]
    reporter.stage("predict", total, total - sum(block.window.pixels for block in left))
    runtime, empty, pixels = augmented(job.model.runtime, plan.spec.tta), 0, 0
    for source in ahead(_inputs(job, left)):
        if source.valid.any():
            result = predict_block(runtime, plan.read, plan.tiling, legend, source)
            pixels += result.block.window.pixels
        else:
            result = empty_result(source.block, legend)
            empty += 1
        store.write(result.block, result.codes, result.confidence)
        reporter.advance(result.block.window.pixels)
    return {"predicted": len(left) - empty, "empty": empty, "pixels": pixels}


def _check_unchanged(job: Job) -> None:
    """The digest was taken of the files as they were opened; any change since makes it a lie."""
    if job.scene.changed():
        shutil.rmtree(job.work.blocks, ignore_errors=True)
        shutil.rmtree(job.work.building.directory, ignore_errors=True)
        raise SceneError(job.scene.uri, "it changed while it was being read; nothing is written.", "Run again.")


def _inputs(job: Job, left: list[Block]) -> Iterator[BlockInput]:
    """Read and prepare the blocks one after another; runs in a thread, ahead of the network."""
    plan = job.plan
    inside = [block for block in left if job.mask is None or job.mask(block.window).any()]
    outside = set(left).difference(inside)
    yield from (_nothing(block) for block in left if block in outside)
    windows = [scene_window(plan.read, plan.tiling, block) for block in inside]
    rasters = read_ahead(job.scene, windows, plan.read.bands)
    for block, (_, raster) in zip(inside, rasters, strict=True):
        wanted = None if job.mask is None else job.mask(block.window)
        yield prepare(plan.read, plan.tiling, block, raster, wanted)


def _nothing(block: Block) -> BlockInput:
    """The input of a block outside the area of interest: nothing is read."""
    values, valid = np.zeros((0, *block.window.shape), np.float32), np.zeros(block.window.shape, bool)
    return BlockInput(block=block, values=values, window=block.window, valid=valid)


def _check_disk(job: Job) -> None:
    need = job.plan.disk_bytes()
    free = shutil.disk_usage(job.work.lock.parent).free
    if free < need:
        raise ResourceError(
            f"{job.work.lock.parent}: about {need / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free. "
            "Make room or choose another --out."
        )
