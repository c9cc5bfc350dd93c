"""Predict: one scene in, one bundle of layers out; an interrupted run is resumed when started again."""

from __future__ import annotations

import base64
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg.core.paths import path_text
from geoseg.core.spec import PredictSpec
from geoseg.core.tiling import Block
from geoseg.errors import UsageError
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.notebook_html import html_table
from geoseg.io.raster.scene import Scene, open_scene
from geoseg.io.store import Store
from geoseg.models.model import Model, load_model
from geoseg.run.layer_writers import import_vectoriser
from geoseg.run.lock import locked
from geoseg.run.notebook_progress import default_reporter
from geoseg.run.plan import Job
from geoseg.run.publish import Facts
from geoseg.run.report import Reporter
from geoseg.run.stages import Begun, begin, disk_errors, finish, job_of, plan_of, workplace
from geoseg.run.workers import ThisProcess, Workers

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
    record: dict[str, Any]
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
            shown = (
                f'<img style="max-width:640px" alt="imagery beside prediction" src="data:image/png;base64,{encoded}">'
            )
        return html_table(f"Layers of {self.bundle.stem}", rows + files, below=shown)


def predict(  # noqa: PLR0913 - a run's options, each with a default
    scene: Scene | str | Path,
    model: Model | str | Path,
    out: str | Path,
    *,
    spec: PredictSpec | None = None,
    overwrite: bool = False,
    name: str | None = None,
    workers: Workers | Client | None = None,
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
        name: folder and stem of the output, instead of the scene's own.
        workers: a ``distributed.Client``, whose workers predict the blocks and see all files under the same paths; or
            another executor (see ``geoseg.run.cluster``). Default: this process.
        reporter: receives progress; default: a bar in a notebook, nothing elsewhere.

    Returns:
        The finished layers. A run that was interrupted is resumed; one that is done already is not done again.

    Raises:
        SceneError, ModelError, UsageError: the input, the model or an option is refused; nothing is written.
        OutputError: the output exists and belongs to another run, or another run is writing it.
        ResourceError: disk or memory ran out; run again to resume.

    Example:
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
            options: dict[str, Any] = {"spec": spec, "overwrite": overwrite, "name": name}
            return predict(opened, model, out, **options, workers=executor, reporter=reporter)
    if not isinstance(model, Model):
        model = load_model(model)
    plan = plan_of(scene, model, spec)
    work = workplace(Path(out), name or scene.stem)
    with disk_errors(Path(out)), locked(work.lock):
        begun = begin(scene, model, plan, work, overwrite=overwrite)
        if begun.finished is not None:
            return Layers(bundle=work.bundle, record=begun.finished, fresh=False)
        return Layers(bundle=work.bundle, record=_run(scene, model, begun, executor, reporter))


def _executor(workers: Workers | Client | None) -> Workers:
    """Return the executor that is meant.

    Raises:
        UsageError: it is none.
    """
    if workers is None:
        return ThisProcess()
    distributed = sys.modules.get("distributed")
    if distributed is not None and isinstance(workers, distributed.Client):
        from geoseg.run.dask_workers import DaskWorkers  # noqa: PLC0415 - distributed takes a second to import

        return DaskWorkers(workers)
    if not callable(getattr(workers, "predict", None)):
        raise UsageError(f"predict takes a distributed.Client as workers, not {type(workers).__name__}.")
    return workers


def _run(scene: Scene, model: Model, begun: Begun, workers: Workers, reporter: Reporter) -> dict[str, Any]:
    for note in begun.notes:
        reporter.note(note)
    started, clock = datetime.now(UTC), time.perf_counter()
    job = job_of(scene, model, begun)
    store = begun.store()
    if job.plan.schema.vectors:
        import_vectoriser()
    counts, predicted_px = _predict_blocks(job, store, begun.left, workers, reporter)
    facts = Facts(
        started=started,
        predict_s=time.perf_counter() - clock,
        blocks=begun.counts() | counts,
        predicted_px=predicted_px,
        identity=begun.facts(),
    )
    return finish(scene, model, begun, facts, reporter)


def _predict_blocks(
    job: Job, store: Store, left: list[Block], workers: Workers, reporter: Reporter
) -> tuple[dict[str, int], int]:
    """Predict the pending blocks; return the numbers of predicted and of empty blocks, and of predicted pixels."""
    rows, cols = job.plan.read.scene_shape
    reporter.stage("predict", rows * cols, rows * cols - sum(block.window.pixels for block in left))
    empty = pixels = 0
    for done in workers.predict(job, store, left, reporter.advance):
        empty += done.empty
        pixels += 0 if done.empty else done.block.window.pixels
    return {"predicted": len(left) - empty, "empty": empty}, pixels
