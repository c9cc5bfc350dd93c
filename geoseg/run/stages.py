"""A scene's run in three stages: begin, predict the blocks, finish. Begin and finish may happen in other processes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from geoseg.core.digest import sha256_of_json
from geoseg.core.spec import PredictSpec
from geoseg.core.tiling import Block
from geoseg.errors import GeosegError, ResourceError, SceneError, WriteError
from geoseg.io.files.targets import keep_inputs
from geoseg.io.labels.area_of_interest import read_area
from geoseg.io.publish.bundle import Bundle
from geoseg.io.raster.finished_rasters import FinishedRasters
from geoseg.io.raster.scene import Scene
from geoseg.io.store import Store
from geoseg.models.model import Model
from geoseg.run.finished import Standing, recover, replace_broken, standing_bundle, swap
from geoseg.run.plan import Job, RunPlan, Workplace, identity, make_plan
from geoseg.run.publish import Facts, publish
from geoseg.run.report import Reporter

State = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What is known of a run when it begins; picklable.

    Attributes:
        plan: what will be done.
        work: where.
        key: identity of the answer.
        left: blocks that are not stored yet.
        state: of the scene's files when their digest was taken.
        notes: what the user may want to know.
        finished: the record of a bundle that stands already, whole; nothing is to be done then.
        repair: a bundle that stands already, with files that are to be made anew.
    """

    plan: RunPlan
    work: Workplace
    key: dict[str, Any]
    left: list[Block]
    state: State
    notes: tuple[str, ...] = ()
    finished: dict[str, Any] | None = None
    repair: Standing | None = None

    @property
    def store_key(self) -> str:
        """Names the run in the store of its blocks."""
        return sha256_of_json(self.key)

    def store(self) -> Store:
        """Open the store of the run's blocks."""
        return Store(self.work.blocks, self.plan.blocks, self.store_key, self.plan.schema)

    def counts(self) -> dict[str, int]:
        """How many blocks there are, and how many were stored before."""
        return {"total": len(self.plan.blocks), "resumed": len(self.plan.blocks) - len(self.left)}

    def facts(self) -> dict[str, Any]:
        """What the run record says of the identity."""
        return {"pixels": self.key, "layers": self.plan.spec.digest()}


def workplace(out: Path, name: str) -> Workplace:
    """Say where the run of a scene of this name works; nothing is made."""
    return Workplace(bundle=Bundle.in_folder(out, name))


def begin(scene: Scene, model: Model, plan: RunPlan, work: Workplace, *, overwrite: bool) -> Begun:
    """Take a scene's digest, see what stands already, make room for the blocks. The caller holds the lock.

    Raises:
        UsageError: the output would replace what is read.
        OutputError: the output stands and is another's.
        SceneError: the scene changed meanwhile.
        ResourceError: too little disk.
    """
    state = scene.opened_state
    keep_inputs(
        (*scene.files, plan.spec.aoi, *model.source.files),
        folders=(work.bundle.directory, work.building.directory, work.blocks, work.replaced),
    )
    recover(work)
    key = identity(scene, model.digest(), plan)
    begun = Begun(plan=plan, work=work, key=key, left=[], state=state, notes=(*scene.notes, *plan.notes))
    standing = standing_bundle(work.bundle, begun.facts(), overwrite=overwrite)
    if standing is not None and not standing.broken:
        shutil.rmtree(work.blocks, ignore_errors=True)
        return replace(begun, finished=standing.record)
    check_unchanged(scene, state, work)
    _check_disk(plan, work)
    if standing is None:
        return replace(begun, left=begun.store().left())
    begun = replace(begun, repair=standing, notes=(*begun.notes, *standing.notes()))
    return begun if standing.rasters_are_whole else replace(begun, left=begun.store().left())


def finish(scene: Scene, model: Model, begun: Begun, facts: Facts, reporter: Reporter) -> dict[str, Any]:
    """Write the layers of a scene whose blocks are all stored, and put them in their place. The caller holds the lock.

    Returns:
        The run record.

    Raises:
        SceneError: the scene changed since the run began.
        WriteError: the disk is full or fails.
    """
    check_unchanged(scene, begun.state, begun.work)
    store = begun.store()
    with ExitStack() as stack:
        repaired = begun.repair is not None and begun.repair.rasters_are_whole
        source = stack.enter_context(_rasters(begun)) if repaired else store
        record = publish(job_of(scene, model, begun), source, facts, reporter)
    check_unchanged(scene, begun.state, begun.work)
    if begun.repair is None:
        swap(begun.work)
    else:
        record = replace_broken(begun.work, begun.repair, record)
    store.remove()
    return record


def _rasters(begun: Begun) -> FinishedRasters:
    """Open the rasters of the bundle that is repaired."""
    bundle = begun.work.bundle
    planes = [(layer, bundle.file_of(layer) if layer.published else None) for layer in begun.plan.schema.planes]
    return FinishedRasters(bundle.directory, planes)


def job_of(scene: Scene, model: Model, begun: Begun) -> Job:
    """Put scene, model and plan together, with the area of interest drawn."""
    area = begun.plan.spec.aoi
    mask = read_area(area, scene.geobox, allow_remote=scene.options.allow_remote) if area else None
    return Job(scene=scene, model=model, plan=begun.plan, mask=mask, work=begun.work, key=begun.key)


def plan_of(scene: Scene, model: Model, spec: PredictSpec) -> RunPlan:
    """Match and tile; the area of interest is read once to refuse a broken one before any work.

    Raises:
        MatchError, UsageError: the model cannot read the scene, or an option is wrong.
        SceneError: the area of interest cannot be used.
    """
    plan = make_plan(scene, model.members[0].card, spec, others=[member.card for member in model.members[1:]])
    if spec.aoi:
        read_area(spec.aoi, scene.geobox, allow_remote=scene.options.allow_remote)
    return plan


def check_unchanged(scene: Scene, state: State, work: Workplace) -> None:
    """The digest was taken of the files as they were opened; any change since makes it a lie.

    Raises:
        SceneError: a file is not what it was.
    """
    if scene.state() != state:
        shutil.rmtree(work.blocks, ignore_errors=True)
        shutil.rmtree(work.building.directory, ignore_errors=True)
        raise SceneError(scene.uri, "it changed while it was being read; nothing is written.", "Run again.")


@contextmanager
def disk_errors(out: Path) -> Iterator[None]:
    """Turn what the operating system says of the output into an error with a cure.

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


def _check_disk(plan: RunPlan, work: Workplace) -> None:
    folder = work.lock.parent
    need, free = plan.disk_bytes(), shutil.disk_usage(folder).free
    if free < need:
        raise ResourceError(
            f"{folder}: about {need / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free. "
            "Make room or choose another --out."
        )
