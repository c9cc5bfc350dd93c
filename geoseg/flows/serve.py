"""Segment an archive on a schedule, on one machine: ``python flows/serve.py --help``."""

import signal
from pathlib import Path
from typing import Annotated

import typer
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule
from prefect.settings import PREFECT_API_URL
from prefect.types.entrypoint import EntrypointType

from geoseg.archive.config import ArchiveConfig
from geoseg.errors import UsageError
from geoseg.flows.assets import whole_path
from geoseg.flows.outcome import api_errors
from geoseg.flows.segment_archive import segment_archive
from geoseg.process.command import print_message


def main(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="The archive; see configs/archives.")],
    name: Annotated[str, typer.Option(help="Of the deployment.")] = "served",
    cron: Annotated[str | None, typer.Option(help='When to run, e.g. "0 2 * * *".')] = None,
    every_s: Annotated[float | None, typer.Option(min=1, help="Run at this interval, seconds.")] = None,
    gpu_limit: Annotated[str | None, typer.Option(help="Global concurrency limit for GPU slots.")] = None,
) -> int:
    """Serve the archive's flow until interrupted; a run that is due while one goes on is cancelled.

    Needs a Prefect server: PREFECT_API_URL=http://127.0.0.1:4200/api
    """
    if PREFECT_API_URL.value() is None:
        raise UsageError("PREFECT_API_URL is not set: schedules need a server. Start one: prefect server start")
    if (cron is None) == (every_s is None):
        raise UsageError("give --cron or --every-s.")
    if cron is not None:
        try:
            CronSchedule(cron=cron)
        except ValueError as error:
            raise UsageError(f'--cron {cron}: this is no time. Give five fields, e.g. "0 2 * * *".') from error
    ArchiveConfig.read(config)  # what is wrong with it is wrong in every run
    limit = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the one that asyncio ends in order for: it pauses then
    how, code = "interrupted", 130
    with api_errors():
        try:
            segment_archive.serve(
                name=name,
                cron=cron,
                interval=every_s,
                parameters={"config": str(whole_path(config)), "gpu_limit": gpu_limit},
                global_limit=limit,
                paused=False,  # stopped in order, the last one left its schedule paused
                print_starting_message=False,
                entrypoint_type=EntrypointType.MODULE_PATH,  # whatever folder it is served from
            )
        except SystemExit:  # so Prefect's runner leaves at SIGTERM
            how, code = "terminated", 143
    print_message(f"{how}; the schedule of segment-archive/{name} is paused: run the same command again to resume it.")
    return code
