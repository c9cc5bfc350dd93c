"""``geoseg archive``: many scenes, one configuration, one catalogue."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geoseg.cli.commands.archive_report import report
from geoseg.core.text import printable
from geoseg.core.types.json_value import JsonDict
from geoseg.process.command import print_message

if TYPE_CHECKING:
    from geoseg.archive.config import ArchiveConfig
    from geoseg.archive.record import SceneRecord
    from geoseg.archive.run import ArchiveReport

_LISTED = 20

archive = typer.Typer(help="Segment the scenes of an archive, and show their states.", no_args_is_help=True)

Config = Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="The archive; see configs/archives.")]
Workers = Annotated[int | None, typer.Option(min=0, max=1024, help="Processes on this machine, instead of the file's.")]
Scheduler = Annotated[str | None, typer.Option(help="Address of a Dask scheduler, instead of the file's workers.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for another run on this archive to end.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


@archive.command()
def run(
    config: Config,
    workers: Workers = None,
    scheduler: Scheduler = None,
    wait: Wait = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on with new files of a folder until interrupted.")] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Segment all scenes that are not done; give the same command again to go on after any interruption.

    Exit code 7 when scenes failed. Those that were refused are not tried again before they, the model or an option
    change: later runs count them as known bad, and end with 0. See status and retry-failed.
    """
    chosen = _config(config, workers=workers, scheduler=scheduler, wait=wait)
    return _run(chosen, retry_failed=False, watch=watch, quiet=quiet, as_json=as_json)


@archive.command("retry-failed")
def retry_failed(
    config: Config,
    workers: Workers = None,
    scheduler: Scheduler = None,
    wait: Wait = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Segment all scenes that are not done, those that failed before among them."""
    chosen = _config(config, workers=workers, scheduler=scheduler, wait=wait)
    return _run(chosen, retry_failed=True, watch=False, quiet=quiet, as_json=as_json)


@archive.command()
def status(config: Config, as_json: AsJson = False) -> int:
    """Show the states of an archive's scenes from names, sizes and times. Exit code 7 when scenes failed."""
    from geoseg.archive.archive import Archive
    from geoseg.io.files.output_lock import holder

    looked_at = Archive(_config(config))
    count: Counter[str] = Counter(dict.fromkeys(("done", "failed", "running", "waiting"), 0))
    areas: Counter[str] = Counter()
    failed: list[SceneRecord] = []
    for record in looked_at.iter_records():
        count[record.state] += 1
        areas.update(record.class_areas_m2 if record.state == "done" else {})
        if record.state == "failed":
            failed.append(record)
    if as_json:
        facts = {"scenes": dict(count), "running": holder(looked_at.lock), "class_areas_m2": dict(areas)}
        print(json.dumps(facts | {"failed": [_shown(record) for record in failed]}))
    else:
        print(", ".join(f"{number} {state}" for state, number in count.items()))
        for name, area_m2 in areas.items():
            print(f"  {name:<24} {area_m2:>18,.1f} m2")
        _list(failed)
    return 7 if failed else 0


def _config(
    path: Path, *, workers: int | None = None, scheduler: str | None = None, wait: bool = False
) -> ArchiveConfig:
    from geoseg.archive.config import ArchiveConfig
    from geoseg.errors import UsageError

    config = ArchiveConfig.read(path)
    if workers is not None and scheduler is not None:
        raise UsageError("--workers starts processes here, --scheduler joins a cluster. Pass one of them.")
    changes: dict[str, object] = {}
    if workers is not None or scheduler is not None:
        changes = {"workers": workers, "scheduler": scheduler, "cluster": None}
    if wait:
        changes["on_lock"] = "wait"
    return config.model_copy(update=changes)


def _run(config: ArchiveConfig, *, retry_failed: bool, watch: bool, quiet: bool, as_json: bool) -> int:
    import threading

    from geoseg.archive.run import run_archive
    from geoseg.cli.output.progress import reporter
    from geoseg.run.report import Silence

    call = partial(run_archive, config, retry_failed=retry_failed, watch=threading.Event() if watch else None)
    if quiet or as_json:
        report = call(reporter=Silence())
    else:
        with reporter(config.out.name) as drawn:
            report = call(reporter=drawn, on_record=lambda record: _tell(drawn, record))
    _finish(report, config, quiet=quiet, as_json=as_json)
    return report.exit_code


def _tell(drawn: Any, record: SceneRecord) -> None:
    if record.state == "done":
        seconds = sum(record.timings.get(name, 0.0) for name in ("predict_s", "layers_s", "publish_s"))
        drawn.note(f"{record.name}: {record.pixels / 1e6:.1f} Mpx in {seconds:.0f} s")


def _finish(report: ArchiveReport, config: ArchiveConfig, *, quiet: bool, as_json: bool) -> None:
    if as_json:
        counts = {"done": report.done, "skipped": report.skipped, "elsewhere": report.elsewhere, "out": config.place}
        bad = {"failed": report.failed, "known_bad": report.known_bad}
        print(json.dumps(counts | {kind: [_shown(record) for record in records] for kind, records in bad.items()}))
    elif not quiet:
        known = f", {len(report.known_bad)} known bad" if report.known_bad else ""
        known += f", {report.elsewhere} in work elsewhere" if report.elsewhere else ""
        print(f"{report.done} scenes done, {report.skipped} done before{known}: {printable(config.place)}")
    if report.failed and not as_json:
        _list(report.failed)


def _list(failed: list[SceneRecord] | tuple[SceneRecord, ...]) -> None:
    if not failed:
        return
    print_message(f"{len(failed)} scenes failed:")
    for record in failed[:_LISTED]:
        print_message(f"  {record.name} ({record.exit_code}): {record.cause}")
    if len(failed) > _LISTED:
        print_message(f"  and {len(failed) - _LISTED} more; geoseg archive status --json lists them all.")


def _shown(record: SceneRecord) -> JsonDict:
    return {
        "name": record.name,
        "uri": record.uri,
        "cause": record.cause,
        "exit_code": record.exit_code,
        "attempts": record.attempts,
    }


archive.command()(report)
