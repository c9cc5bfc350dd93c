"""Score an archive against references: ``python flows/evaluate_archive.py --help``."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from geoseg.core.choices import ScoreProtocol, Unanswered
from geoseg.errors import GeosegError, SceneError
from geoseg.flows.artifacts import RunArtifacts
from geoseg.flows.assets import whole_path
from geoseg.flows.evaluation_pairs import count_located_pair, find_references, plan_of, score_rows, total_rows
from geoseg.flows.outcome import Outcome, mark_complete, run
from geoseg.flows.prepare import prepare_flow
from geoseg.io.files.writing import write_json
from geoseg.io.labels.nodata import parse_nodata
from geoseg.io.vectors.names import is_folder
from geoseg.score.evaluate import Evaluation

match = task(name="match", cache_policy=NO_CACHE)(find_references)
score = task(name="score", task_run_name="{pair.name}", cache_policy=NO_CACHE)(count_located_pair)


@flow(name="evaluate-archive")
def evaluate_archive(
    archive: Path,
    reference: Path,
    *,
    protocol: ScoreProtocol = "classes",
    eroded: Path | None = None,
    legend: Path | None = None,
    unanswered: Unanswered = "ignore",
    resample: bool = False,
    nodata: str | None = None,
) -> State[Any]:
    """Score every finished scene of an archive that has a reference; one matrix over all, see ``docs/evaluate.md``.

    Writes ``archive/evaluation.json``, what ``geoseg evaluate --out`` writes. A scene that cannot be scored is a failed
    task that names the cause; the others are scored.

    Args:
        archive: folder of its output.
        reference: folder of references, matched by name, or polygons for all scenes.
        protocol: what is counted.
        eroded: isprs: folder of the eroded references; default: derived.
        legend: class names and colours, YAML or JSON; default: the archive's own.
        unanswered: what labelled pixels without prediction are.
        resample: take the nearest label where grids differ.
        nodata: one more value of the references that means no class; ``none``: their own nodata value is a class.
    """
    prepare_flow()
    pairs, without = match(archive, reference, eroded)
    shared = len(pairs) > 1 and not is_folder(reference)
    plan = plan_of(protocol, legend, unanswered, resample=resample, shared=shared, nodata=parse_nodata(nodata))
    evaluation, bad = Evaluation(plan), dict[str, GeosegError]()
    for pair in pairs:
        counts = score(pair, plan, return_state=True).result(raise_on_failure=False)
        if counts is None:
            without.append(pair.name)
        elif isinstance(counts, GeosegError):
            bad[pair.name] = counts
        elif isinstance(counts, BaseException):
            raise counts
        else:
            evaluation.add(pair, counts)
    if evaluation.empty:
        elsewhere = SceneError(str(reference), "no polygon of it lies on a scene.", "Check the file and its CRS.")
        raise next(iter(bad.values()), elsewhere)
    report = evaluation.report()
    failed = [{"scene": name, "cause": str(error)} for name, error in bad.items()]
    values = report.as_json() | {"scenes_without_reference": without, "scenes_failed": failed}
    write_json(archive / "evaluation.json", values)
    artifacts = RunArtifacts(whole_path(archive).name)
    artifacts.table("scores", [*failed, *score_rows(report)], f"Scenes against references, protocol {report.protocol}")
    artifacts.table("totals", total_rows(report), "Over all scenes, one matrix")
    counted = f"{len(report.scenes)} scenes scored, {len(without)} have no reference"
    summary = f"{counted}{f', {len(bad)} failed' if bad else ''}: {archive / 'evaluation.json'}"
    mark_complete(Outcome(summary=summary, exit_code=7 if bad else 0, reported=not artifacts.lost))
    return Failed(message=f"{summary}; {failed[0]['cause']}") if bad else Completed(message=summary)


def main(
    archive: Annotated[Path, typer.Argument(help="Folder of the archive's output.")],
    reference: Annotated[Path, typer.Option(help="Folder of references, matched by name; or polygons for all scenes.")],
    protocol: Annotated[ScoreProtocol, typer.Option(help="What is counted, see docs/evaluate.md.")] = "classes",
    eroded: Annotated[Path | None, typer.Option(help="isprs: the eroded references; default: derived.")] = None,
    legend: Annotated[Path | None, typer.Option(help="Class names and colours, YAML or JSON.")] = None,
    unanswered: Annotated[Unanswered, typer.Option(help="Labelled pixels without prediction.")] = "ignore",
    resample: Annotated[bool, typer.Option("--resample", help="Take the nearest label where grids differ.")] = False,
    nodata: Annotated[str | None, typer.Option(metavar="VALUE|none", help="See geoseg evaluate --help.")] = None,
) -> int:
    """Score the finished scenes of an archive as a Prefect flow; needs no server."""
    call = partial(evaluate_archive, archive, reference, protocol=protocol, eroded=eroded, legend=legend)
    return run(partial(call, unanswered=unanswered, resample=resample, nodata=nodata, return_state=True))
