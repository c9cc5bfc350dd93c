"""Segment one scene: ``python flows/segment_scene.py --help``."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from prefect import flow
from prefect.assets import materialize
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from geoseg.core.types.json_value import UntypedDict
from geoseg.flows.artifacts import ArtifactReporter, RunArtifacts
from geoseg.flows.assets import layer_assets, source_assets, whole_path
from geoseg.flows.concurrency import check_limit, gpu_slot
from geoseg.flows.outcome import Outcome, mark_complete, run
from geoseg.flows.parameters import SET_HELP, SceneOptions, checked, fields
from geoseg.flows.prepare import prepare_flow
from geoseg.io.raster.scene import Scene
from geoseg.models.model import ModelSource
from geoseg.run.open_executor import ExecutorChoice, open_executor
from geoseg.run.predict import Layers, predict


@materialize("geoseg://layers", name="segment", task_run_name="{name}", cache_policy=NO_CACHE)
def segment(scene: Scene, name: str, model: str, out: Path, options: SceneOptions, artifacts: RunArtifacts) -> Layers:
    """Segment the scene; its blocks go to the workers."""
    source = ModelSource(
        name_or_path=model, device=options.device, runtime=options.runtime, precision=options.precision
    )
    check_limit(options.gpu_limit)
    slot = partial(gpu_slot, options.gpu_limit)
    with open_executor(ExecutorChoice(processes=options.workers, scheduler=options.scheduler), slot=slot) as workers:
        return predict(
            scene,
            workers.load_model(source),
            out,
            spec=options.predict,
            overwrite=options.overwrite,
            name=name,
            workers=workers,
            reporter=ArtifactReporter(artifacts),
        )


@flow(name="segment-scene")
def segment_scene(scene: str, model: str, out: Path, options: UntypedDict | None = None) -> State[Any]:
    """Segment a scene and write its layers to ``out/NAME``, as ``geoseg predict`` does; resumes what was begun.

    Args:
        scene: path or address.
        model: name of a bundled model or path of a model file.
        out: folder of the outputs.
        options: fields of ``SceneOptions``.
    """
    prepare_flow()
    chosen = checked(SceneOptions, options or {}, "options")
    out = whole_path(out)
    with Scene(scene, chosen.opening.options()) as opened:
        name = chosen.name or opened.stem
        artifacts = RunArtifacts(name)
        made = layer_assets(out, name, chosen.predict)
        one = segment.with_options(assets=made, asset_deps=source_assets(scene, model))
        layers = one(opened, name, model, out, chosen, artifacts)
    if layers.fresh or not artifacts.shows("classes"):
        artifacts.progress(1, 1, last=True)
        artifacts.link("classes", layers.bundle.classes.as_uri(), "Class raster")
    summary = f"{name}: {'done' if layers.fresh else 'done before'}, {layers.bundle.directory}"
    mark_complete(Outcome(summary=summary, reported=not artifacts.lost))
    return Completed(message=summary)


def main(
    scene: Annotated[str, typer.Argument(help="Path or address.")],
    model: Annotated[str, typer.Option(help="Name of a bundled model or a model file.")],
    out: Annotated[Path, typer.Option(help="Folder for the layers; the scene gets its own inside.")],
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help=SET_HELP)] = None,
) -> int:
    """Segment one scene as a Prefect flow; needs no server."""
    return run(partial(segment_scene, scene, model, out, fields(set_), return_state=True))
