"""Segment all scenes of an archive: ``python flows/segment_archive.py --help``."""

from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any

import typer
from prefect import flow, task
from prefect.assets import materialize
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from geoseg.archive.archive import Archive
from geoseg.archive.config import ClusterClass, Opening
from geoseg.archive.executor import MOST_SCENES, archive_executor, scenes_in_flight
from geoseg.archive.sources.scene_ref import SceneRef
from geoseg.core.choices import Precision, RuntimeName
from geoseg.core.spec import PredictSpec
from geoseg.core.types.json_value import UntypedDict
from geoseg.flows.artifacts import LogReporter, RunArtifacts
from geoseg.flows.assets import lineage
from geoseg.flows.bounded_submit import submit_bounded
from geoseg.flows.concurrency import check_limit, gpu_slot
from geoseg.flows.counts import SceneCounts, count_scenes, publish_archive
from geoseg.flows.crashed import noted_run
from geoseg.flows.events import Ended, emit_scene_event
from geoseg.flows.outcome import run
from geoseg.flows.parameters import SET_HELP, archive_config, fields
from geoseg.flows.prepare import prepare_flow
from geoseg.flows.publish_outcome import publish_outcome
from geoseg.run.executor import Executor

count, publish = task(cache_policy=NO_CACHE)(count_scenes), task(cache_policy=NO_CACHE)(publish_archive)


@materialize("geoseg://layers", name="segment", task_run_name="{ref.name}", cache_policy=NO_CACHE)
def segment(ref: SceneRef, archive: Archive, workers: Executor, ended: Ended) -> State[None]:
    """Segment one scene; its blocks go to the workers. A bad scene is a failed task that says why."""
    record = ended[ref] = archive.segment(ref, workers)
    return emit_scene_event(archive.config.title or archive.config.out.name, record)


@flow(name="segment-archive", task_runner=ThreadPoolTaskRunner(max_workers=MOST_SCENES))  # type: ignore[arg-type]
def segment_archive(
    config: Path | None = None,
    *,
    source: str | None = None,
    model: str | None = None,
    out: Path | None = None,
    device: str | None = None,
    runtime: RuntimeName | None = None,
    precision: Precision | None = None,
    workers: Annotated[int, Field(ge=0, le=1024)] | None = None,
    scheduler: str | None = None,
    cluster: ClusterClass | None = None,
    predict: PredictSpec | None = None,
    opening: Opening | None = None,
    options: UntypedDict | None = None,
    retry_failed: bool = False,
    gpu_limit: str | None = None,
) -> State[Any]:
    """Segment what is not done yet, publish the catalogue, and show both in Prefect.

    Args:
        config: configuration of the archive, YAML; see ``configs/archives``.
        source: folder of the scenes, instead of the file's.
        model: name or file of the model, instead of the file's.
        out: folder of the output, instead of the file's.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``, instead of the file's.
        runtime: what runs the network, instead of the file's.
        precision: of the network's arithmetic, instead of the file's.
        workers: processes on the machine of the run, instead of the file's.
        scheduler: address of a Dask cluster that runs, instead of the file's.
        cluster: a Dask cluster to be started, instead of the file's.
        predict: options of the prediction; those that are given count more than the file's.
        opening: how scenes may be opened; what is given counts more than the file's.
        options: other fields of the configuration, instead of the file's.
        retry_failed: try all failed scenes again.
        gpu_limit: a global concurrency limit; each scene holds one slot of it while its network runs.
    """
    prepare_flow()
    given: UntypedDict = {
        "device": device,
        "runtime": runtime,
        "precision": precision,
        "workers": workers,
        "scheduler": scheduler,
    }
    groups = {"cluster": cluster, "predict": predict, "opening": opening}
    given |= {name: group.model_dump(exclude_unset=True) for name, group in groups.items() if group is not None}
    chosen = archive_config(config, options, source=source, model=model, out=out, **given)
    artifacts = RunArtifacts(chosen.title or chosen.out.name)
    with Archive.open(chosen, reporter=LogReporter()) as archive, noted_run(chosen.out):
        counts = count(archive, retry_failed=retry_failed)
        if counts.left:
            _segment_left(archive, counts, artifacts, retry_failed=retry_failed, gpu_limit=gpu_limit)
        outdated = not archive.published
        if outdated:
            publish(archive)
    return publish_outcome(artifacts, counts, archive, changed=outdated or counts.tried > 0)


def _segment_left(
    archive: Archive, counts: SceneCounts, artifacts: RunArtifacts, *, retry_failed: bool, gpu_limit: str | None
) -> None:
    config, ended = archive.config, Ended()
    check_limit(gpu_limit)
    with archive_executor(config, slot=partial(gpu_slot, gpu_limit)) as workers:
        try:
            archive.load(workers)

            def submit(ref: SceneRef) -> PrefectFuture[Any]:
                one = segment.with_options(**lineage(config, ref))
                return one.submit(ref, archive, workers, ended)

            left = takewhile(lambda _: archive.lost is None, archive.left(retry_failed=retry_failed))
            turns = submit_bounded(left, submit, lambda: scenes_in_flight(config, workers))
            for number, (ref, state) in enumerate(turns, 1):
                if ref not in ended:
                    state.result()  # raises what kept the scene from being tried
                counts.add(ended[ref])
                artifacts.scene(number, counts.left, ended.pop(ref))
        except BaseException:
            archive.close()  # before the workers go, so that no scene is blamed for their going
            raise
    if archive.lost is not None:
        raise archive.lost


def main(
    config: Annotated[Path | None, typer.Argument(metavar="[CONFIG.yaml]", help="The archive.")] = None,
    source: Annotated[str | None, typer.Option(help="Folder of the scenes, instead of the file's.")] = None,
    model: Annotated[str | None, typer.Option(help="Name or file of the model, instead of the file's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the output, instead of the file's.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help=SET_HELP)] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try all failed scenes again.")] = False,
    gpu_limit: Annotated[str | None, typer.Option(help="Global concurrency limit for GPU slots.")] = None,
) -> int:
    """Segment what is not done of an archive, and publish its catalogue; needs no server."""
    call = partial(segment_archive, config, source=source, model=model, out=out, options=fields(set_))
    return run(partial(call, retry_failed=retry_failed, gpu_limit=gpu_limit, return_state=True))
