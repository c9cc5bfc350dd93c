"""Predict: one scene in, one bundle of layers out; an interrupted run is resumed when started again."""

from __future__ import annotations

import base64
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from geoseg.core.choices import EditPolicy
from geoseg.core.paths import path_text
from geoseg.core.spec import PredictSpec
from geoseg.core.tiling import Block
from geoseg.core.types.json_value import UntypedDict
from geoseg.errors import UsageError
from geoseg.io.files.output_lock import locked
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.notebook_html import html_table
from geoseg.io.raster.scene import Scene, open_scene
from geoseg.io.store import Store
from geoseg.models.model import Model, load_model
from geoseg.run.executor import Executor, LocalExecutor
from geoseg.run.layer_writers import import_vectoriser
from geoseg.run.notebook_progress import default_reporter
from geoseg.run.plan import Job
from geoseg.run.publish import RunStats
from geoseg.run.report import Reporter
from geoseg.run.stages import StartedRun, disk_errors, finish_run, make_job, plan_of, run_paths, start_run
from geoseg.run.workers.use import WorkerUse, added

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """The finished layers of one scene.

    Attributes:
        bundle: paths of the files.
        record: the run record, as in ``run.json``.
        fresh: False if the bundle existed already and nothing had to be done.
    """

    bundle: Bundle
    record: UntypedDict
    fresh: bool = True

    def _repr_html_(self) -> str:
        """Areas of the classes, files and the preview, for notebooks."""
        rows = [
            (entry["name"], "area unknown" if entry["area_m2"] is None else f"{entry['area_m2']:,.1f} m²")
            for entry in self.record["classes"]
        ]
        files = [(role, str(path)) for role, path in self.bundle.by_role().items()]
        picture = self.bundle.preview
        shown = ""
        if picture.is_file():
            encoded = base64.b64encode(picture.read_bytes()).decode()
            shown = f'<img style="max-width:640px" alt="imagery and prediction" src="data:image/png;base64,{encoded}">'
        return html_table(f"Layers of {self.bundle.stem}", rows + files, below=shown)


def predict(  # noqa: PLR0913 - a run's options, each with a default
    scene: Scene | str | Path,
    model: Model | str | Path,
    out: str | Path,
    *,
    spec: PredictSpec | None = None,
    overwrite: bool = False,
    edits: EditPolicy = "refuse",
    name: str | None = None,
    blocks: str | None = None,
    workers: Executor | Client | None = None,
    reporter: Reporter | None = None,
) -> Layers:
    """Segment a scene and write its layers to ``out/NAME/``.

    Args:
        scene: an open scene, or its path or address.
        model: a loaded model, or its name or path (of an ensemble file too).
        out: folder of all outputs.
        spec: options; the default takes everything from the model's card.
        overwrite: replace a finished output of another input, model or option; the old one stays until the new one
            is complete.
        edits: what becomes of corrections by hand to an output that is replaced: ``refuse`` does not replace it,
            ``replay`` makes them again on the new map, ``discard`` drops them.
        name: folder and stem of the output, instead of the scene's own.
        blocks: ``s3://`` address of a place for finished blocks, for workers that do not see ``out``.
        workers: a ``distributed.Client``, whose workers predict the blocks and see all files under the same paths; or
            another executor (see ``geoseg.run.cluster``). Default: this process.
        reporter: receives progress; default: a bar in a notebook, nothing elsewhere.

    Returns:
        The finished layers. A run that was interrupted is resumed; one that is done already is not done again.

    Raises:
        SceneError, ModelError, UsageError: the input, the model or an option is refused; nothing is written.
        OutputError: the output exists and belongs to another run, or another run is writing it.
        ResourceError: disk or memory ran out; run again to resume.

    Examples:
        >>> layers = predict("scene.tif", "buildings-unet", out="out")  # doctest: +SKIP
        >>> layers.bundle.segments  # doctest: +SKIP
        PosixPath('out/scene/scene_segments.gpkg')
    """
    if spec is not None and not isinstance(spec, PredictSpec):
        raise UsageError(f"predict takes spec=PredictSpec(...), not {type(spec).__name__}.")
    spec, reporter, executor = spec or PredictSpec(), reporter or default_reporter(), _executor(workers)
    out = path_text(out, function="predict", meant="the folder of the layers as out")
    if not isinstance(scene, Scene):
        uri = path_text(
            scene,
            function="predict",
            meant="an open scene, a path or an address",
            instead="Pixels in memory go to geoseg.segment.",
        )
        with open_scene(uri) as opened:
            return predict(
                opened,
                model,
                out,
                spec=spec,
                overwrite=overwrite,
                edits=edits,
                name=name,
                blocks=blocks,
                workers=executor,
                reporter=reporter,
            )
    if not isinstance(model, Model):
        model = load_model(model)
    plan = plan_of(scene, model, spec)
    work = run_paths(Path(out), name or scene.stem, blocks=blocks)
    with disk_errors(Path(out)), locked(work.lock):
        started = start_run(scene, model, plan, work, overwrite=overwrite, edits=edits)
        if started.finished is not None:
            return Layers(bundle=work.bundle, record=started.finished, fresh=False)
        return Layers(bundle=work.bundle, record=_run(scene, model, started, executor, reporter))


def _executor(workers: Executor | Client | None) -> Executor:
    """Return the executor that is meant.

    Raises:
        UsageError: it is none.
    """
    if workers is None:
        return LocalExecutor()
    distributed = sys.modules.get("distributed")
    if distributed is not None and isinstance(workers, distributed.Client):
        from geoseg.run.dask_executor import DaskExecutor  # noqa: PLC0415 - distributed takes a second to import

        return DaskExecutor(workers)
    if not callable(getattr(workers, "predict_blocks", None)):
        raise UsageError(f"predict takes a distributed.Client as workers, not {type(workers).__name__}.")
    return workers


def _run(scene: Scene, model: Model, started: StartedRun, workers: Executor, reporter: Reporter) -> UntypedDict:
    for note in started.notes:
        reporter.note(note)
    began, clock = datetime.now(UTC), time.perf_counter()
    job = make_job(scene, model, started)
    store = started.store()
    if job.plan.schema.vectors:
        import_vectoriser()
    counts, predicted_px, uses = _predict_blocks(job, store, started.left, workers, reporter)
    facts = RunStats(
        started=began,
        predict_s=time.perf_counter() - clock,
        blocks=started.counts() | counts,
        predicted_px=predicted_px,
        identity=started.facts(),
        workers=uses,
    )
    return finish_run(scene, model, started, facts, reporter)


def _predict_blocks(
    job: Job, store: Store, left: list[Block], workers: Executor, reporter: Reporter
) -> tuple[dict[str, int], int, tuple[WorkerUse, ...]]:
    """Predict the pending blocks; return predicted and empty blocks, predicted pixels, and the work of each process."""
    rows, cols = job.plan.read.scene_shape
    reporter.stage("predict", rows * cols, rows * cols - sum(block.window.pixels for block in left))
    empty = pixels = 0
    uses: tuple[WorkerUse, ...] = ()
    for done in workers.predict_blocks(job, store, left, reporter.advance):
        empty += done.empty
        pixels += 0 if done.empty else done.block.window.pixels
        uses = added(uses, done.use)
    return {"predicted": len(left) - empty, "empty": empty}, pixels, uses
