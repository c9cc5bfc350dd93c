"""A scene's run in three stages: begin, predict the blocks, finish. Begin and finish may happen in other processes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from geoseg.core.choices import EditPolicy
from geoseg.core.digest import sha256_of_json
from geoseg.core.spec import PredictSpec
from geoseg.core.tiling import Block
from geoseg.core.types.json_value import UntypedDict
from geoseg.core.window import Margin
from geoseg.errors import GeosegError, ResourceError, SceneError, WriteError
from geoseg.inference.passes import readable
from geoseg.io.edits.edit import EditLog
from geoseg.io.files.targets import keep_inputs
from geoseg.io.labels.area_of_interest import read_area
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.commit import RunPaths, commit, roll_back
from geoseg.io.publish.grid import LayerGrid
from geoseg.io.raster.finished_rasters import FinishedRasters
from geoseg.io.raster.scene import Scene
from geoseg.io.raster.surroundings import surroundings
from geoseg.io.store import Store
from geoseg.models.model import Model
from geoseg.run.executor import State
from geoseg.run.output_state import ExistingOutput, existing_output, replace_broken
from geoseg.run.plan import Job, RunPlan, identity, make_plan, with_margin
from geoseg.run.publish import RunStats, publish
from geoseg.run.replay import keep_log, log_to_replay, replay
from geoseg.run.report import Reporter

_WITH_MARGIN = frozenset({"semantic"})
"""Tasks that may read beyond a scene's edges; an object there would belong to the neighbour."""

_UNLIMITED = Margin(top=2**30, bottom=2**30, left=2**30, right=2**30)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedRun:
    """State of a run at its begin; picklable.

    Attributes:
        plan: plan of the run.
        work: paths of the unfinished files.
        key: identity of the result.
        left: blocks that are not stored yet.
        state: of the scene's files when their digest was taken.
        notes: notes for the user.
        finished: record of an existing intact bundle; nothing is to be done then.
        repair: an existing bundle with files that must be rewritten.
        edits: corrections by hand to the map that is replaced, which are made again.
    """

    plan: RunPlan
    work: RunPaths
    key: UntypedDict
    left: list[Block]
    state: State
    notes: tuple[str, ...] = ()
    finished: UntypedDict | None = None
    repair: ExistingOutput | None = None
    edits: EditLog | None = None

    @property
    def store_key(self) -> str:
        """Key of the run in its block store."""
        return sha256_of_json(self.key)

    def store(self) -> Store:
        """Open the store of the run's blocks."""
        return Store(self.work.block_store or self.work.blocks, self.plan.blocks, self.store_key, self.plan.schema)

    def counts(self) -> dict[str, int]:
        """Count all blocks, and those stored before."""
        return {"total": len(self.plan.blocks), "resumed": len(self.plan.blocks) - len(self.left)}

    def facts(self) -> UntypedDict:
        """Return the identity for the run record."""
        return {"pixels": self.key, "layers": self.plan.spec.digest()}


def run_paths(out: Path, name: str, *, blocks: str | None = None) -> RunPaths:
    """Return the paths for the unfinished files of a run; nothing is created.

    Args:
        out: folder of all outputs.
        name: folder and stem of the output.
        blocks: ``s3://`` address of a place for finished blocks, instead of ``out``.
    """
    bundle = Bundle.in_folder(out, name)
    return RunPaths(bundle=bundle, block_store=None if blocks is None else f"{blocks.rstrip('/')}/{bundle.stem}")


def start_run(
    scene: Scene,
    model: Model,
    plan: RunPlan,
    work: RunPaths,
    *,
    overwrite: bool,
    edits: EditPolicy = "refuse",
) -> StartedRun:
    """Compute a scene's digest, check the existing output, prepare the block store. The caller holds the lock.

    Args:
        scene: the scene.
        model: the model.
        plan: plan of the run.
        work: paths of the unfinished files.
        overwrite: replace a finished output of another input, model or option.
        edits: what becomes of corrections by hand where it is replaced.

    Raises:
        UsageError: the output would replace an input.
        OutputError: the output exists and belongs to another run.
        SceneError: the scene changed meanwhile.
        ResourceError: too little disk.
    """
    state = scene.opened_state
    keep_inputs(
        (*scene.files, plan.spec.aoi, *model.source.files),
        folders=(work.bundle.directory, work.building.directory, work.blocks, work.replaced),
    )
    roll_back(work)
    key = identity(scene, model.digest(), plan)
    started = StartedRun(plan=plan, work=work, key=key, left=[], state=state, notes=(*scene.notes, *plan.notes))
    existing = existing_output(work.bundle, started.facts(), overwrite=overwrite, edits=edits)
    if existing is not None and not existing.broken:
        shutil.rmtree(work.blocks, ignore_errors=True)
        return replace(started, finished=existing.record)
    check_unchanged(scene, started)
    _check_disk(plan, work)
    if existing is None:
        shutil.rmtree(work.traces, ignore_errors=True)
        log = log_to_replay(work.bundle, plan, _grid(scene), model.card.legend, edits)
        return replace(started, left=started.store().left(), edits=log)
    started = replace(started, repair=existing, notes=(*started.notes, *existing.notes()))
    return started if _from_rasters(started) else replace(started, left=started.store().left())


def finish_run(scene: Scene, model: Model, started: StartedRun, facts: RunStats, reporter: Reporter) -> UntypedDict:
    """Write the layers of a scene whose blocks are all stored, and commit them. The caller holds the lock.

    Args:
        scene: the scene.
        model: the model.
        started: state from ``start_run``.
        facts: facts about the prediction.
        reporter: receives progress.

    Returns:
        The run record.

    Raises:
        SceneError: the scene changed since the run began.
        WriteError: the disk is full or fails.
    """
    check_unchanged(scene, started)
    store = started.store()
    with ExitStack() as stack:
        source = stack.enter_context(_rasters(started)) if _from_rasters(started) else store
        record = publish(make_job(scene, model, started), source, facts, reporter)
    check_unchanged(scene, started)
    if started.repair is None:
        if started.edits is not None:
            keep_log(started.work, started.edits, _grid(scene), model.card.legend)
        commit(started.work)
    else:
        record = replace_broken(started.work, started.repair, record)
    store.remove()
    return record if started.edits is None else replay(started.work.bundle, started.edits)


def _grid(scene: Scene) -> LayerGrid:
    return LayerGrid(geobox=scene.geobox, gcps=scene.gcps, gcps_crs=scene.gcps_crs)


def _from_rasters(started: StartedRun) -> bool:
    """Return True if a bundle is repaired from its rasters; objects that a run detected are not in them."""
    return started.repair is not None and started.repair.rasters_are_whole and not started.plan.schema.detects


def _rasters(started: StartedRun) -> FinishedRasters:
    """Open the rasters of the bundle that is being repaired."""
    bundle = started.work.bundle
    planes = [(layer, bundle.file_of(layer) if layer.published else None) for layer in started.plan.schema.planes]
    return FinishedRasters(bundle.directory, planes)


def make_job(scene: Scene, model: Model, started: StartedRun) -> Job:
    """Combine scene, model and plan into a job, with the mask of the area of interest."""
    area = started.plan.spec.aoi
    mask = read_area(area, scene.geobox, allow_remote=scene.options.allow_remote) if area else None
    return Job(scene=scene, model=model, plan=started.plan, mask=mask, work=started.work, key=started.key)


def plan_of(scene: Scene, model: Model, spec: PredictSpec) -> RunPlan:
    """Match and tile a scene, and look at its neighbours.

    The area of interest is read once, so that a broken one is refused before any work.

    Args:
        scene: the scene.
        model: the model.
        spec: options of the prediction.

    Raises:
        MatchError, UsageError: the model cannot read the scene, or an option is wrong.
        SceneError: the area of interest cannot be used.
    """
    first, *others = (member.card for member in model.members)
    plan = make_plan(scene, first, spec, others=others, whole=model.card)
    if scene.options.neighbours and all(member.card.task in _WITH_MARGIN for member in model.members):
        around = surroundings(scene, readable(with_margin(plan, _UNLIMITED).passes), plan.bands)
        plan = replace(with_margin(plan, around.available(plan.read.scene_shape)), around=around)
    if spec.aoi:
        read_area(spec.aoi, scene.geobox, allow_remote=scene.options.allow_remote)
    return plan


def check_unchanged(scene: Scene, started: StartedRun) -> None:
    """Check that no file of a scene and its neighbours changed since the run began; else remove what is unfinished.

    Args:
        scene: the scene.
        started: state of the run at its begin.

    Raises:
        SceneError: a file changed.
    """
    around = started.plan.around
    if scene.state() == started.state and (around is None or around.unchanged()):
        return
    shutil.rmtree(started.work.blocks, ignore_errors=True)
    shutil.rmtree(started.work.building.directory, ignore_errors=True)
    what = "it" if scene.state() != started.state else "a neighbour whose pixels it is read with"
    raise SceneError(scene.uri, f"{what} changed while it was being read; nothing is written.", "Run again.")


@contextmanager
def disk_errors(out: Path | str) -> Iterator[None]:
    """Convert errors of the operating system on the output into a ``WriteError`` with a cure.

    Raises:
        WriteError: for any OSError inside.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, GeosegError):
            raise
        raise WriteError(
            f"{error.filename or out}: {error.strerror or error}. Check the folder and run again."
        ) from error


def _check_disk(plan: RunPlan, work: RunPaths) -> None:
    folder = work.lock.parent
    need, free = plan.disk_bytes(), shutil.disk_usage(folder).free
    if free < need:
        raise ResourceError(
            f"{folder}: about {need / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free. "
            "Make room or choose another --out."
        )
