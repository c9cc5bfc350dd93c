"""Predict: one scene in, one bundle of layers out; killed at any moment and started again it goes on."""

from __future__ import annotations

import json
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
from geoseg.errors import OutputError, ResourceError, SceneError
from geoseg.io.area_of_interest import read_area
from geoseg.io.bundle import Bundle
from geoseg.io.read_ahead import read_ahead
from geoseg.io.scene import Scene, open_scene
from geoseg.io.store import Store
from geoseg.run.ahead import ahead
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
    with locked(work.lock):
        _recover(work)
        key = identity(scene, model.digest(), plan)
        finished = _finished(work.bundle, {"pixels": key, "layers": spec.digest()}, overwrite=overwrite)
        if finished is not None:
            return Layers(bundle=work.bundle, record=finished, fresh=False)
        return _run(Job(scene=scene, model=model, plan=plan, mask=mask, work=work, key=key), reporter)


def _run(job: Job, reporter: Reporter) -> Layers:
    for note in (*job.scene.notes, *job.plan.read.notes):
        reporter.note(note)
    started, clock = datetime.now(UTC), time.perf_counter()
    before = job.scene.state()
    _check_disk(job)
    store = Store(job.work.blocks, job.plan.blocks, sha256_of_json(job.key))
    left = store.left()
    counts = _predict_blocks(job, store, left, reporter)
    predicted_s = time.perf_counter() - clock
    if job.scene.state() != before:
        store.remove()
        raise SceneError(job.scene.uri, "it changed while it was being read; nothing is written.", "Run again.")
    facts = Facts(
        started=started,
        predict_s=predicted_s,
        blocks={"total": len(job.plan.blocks), "resumed": len(job.plan.blocks) - len(left), **counts},
        predicted_px=sum(block.window.pixels for block in left),
        identity={"pixels": job.key, "layers": job.plan.spec.digest()},
    )
    record = publish(job, store, facts, reporter)
    _swap(job.work)
    store.remove()
    return Layers(bundle=job.work.bundle, record=record)


def _predict_blocks(job: Job, store: Store, left: list[Block], reporter: Reporter) -> dict[str, int]:
    plan, legend = job.plan, job.model.card.legend
    total = plan.read.scene_shape[0] * plan.read.scene_shape[1]
    reporter.stage("predict", total, total - sum(block.window.pixels for block in left))
    runtime, empty = augmented(job.model.runtime, plan.spec.tta), 0
    for source in ahead(_inputs(job, left)):
        if source.valid.any():
            result = predict_block(runtime, plan.read, plan.tiling, legend, source)
        else:
            result = empty_result(source.block, legend)
            empty += 1
        store.write(result.block, result.codes, result.confidence)
        reporter.advance(result.block.window.pixels)
    return {"predicted": len(left) - empty, "empty": empty}


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


def _finished(bundle: Bundle, wanted: dict[str, Any], *, overwrite: bool) -> dict[str, Any] | None:
    """Return the record of a finished bundle of this identity; None when there is work to do.

    Raises:
        OutputError: the folder holds something else and may not be replaced.
    """
    if not bundle.directory.exists():
        return None
    try:
        record = json.loads(bundle.run_record.read_text())
        found = record["identity"]
        whole = all(
            (bundle.directory / file).stat().st_size == facts["size"] for file, facts in record["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        record, found, whole = {}, {}, False
    if found == wanted and whole:
        return dict(record)
    if overwrite:
        return None
    cause = _difference(found, wanted) if found else "which geoseg did not finish"
    raise OutputError(f"{bundle.directory}: exists, {cause}. Pass --overwrite to replace it or choose another --out.")


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    old, new = found.get("pixels", {}), wanted["pixels"]
    if old.get("scene") != new["scene"]:
        return "made from another scene or an older state of it"
    if old.get("model") != new["model"]:
        return "made with another model, device or precision"
    names = [name for name in new if old.get(name) != new[name]]
    if "pixels" in names:
        names.remove("pixels")
        names += [name for name in new["pixels"] if (old.get("pixels") or {}).get(name) != new["pixels"][name]]
    if names:
        return "made with other options (" + ", ".join("--" + name.replace("_", "-") for name in names) + ")"
    if found != wanted:
        return "made with other options for polygons or files"
    return "but a file of it is missing or was changed"


def _swap(work: Workplace) -> None:
    """Put the new bundle in its place; the old one goes when the new one stands."""
    final, replaced = work.bundle.directory, work.replaced
    if final.exists():
        shutil.rmtree(replaced, ignore_errors=True)
        final.rename(replaced)
    work.building.directory.rename(final)
    shutil.rmtree(replaced, ignore_errors=True)


def _recover(work: Workplace) -> None:
    """Finish or undo what a killed run left between two renames."""
    if work.replaced.exists() and not work.bundle.directory.exists():
        work.replaced.rename(work.bundle.directory)
    shutil.rmtree(work.replaced, ignore_errors=True)
    shutil.rmtree(work.building.directory, ignore_errors=True)
