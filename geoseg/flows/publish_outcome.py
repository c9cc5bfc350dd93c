"""Publication of an archive run: its artifacts, its outcome and the state that Prefect shows."""

from __future__ import annotations

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from geoseg.archive.archive import Archive
from geoseg.archive.publish import MARKDOWN
from geoseg.archive.report.catalogue import CATALOGUE
from geoseg.flows.artifacts import RunArtifacts
from geoseg.flows.assets import whole_path
from geoseg.flows.counts import SceneCounts
from geoseg.flows.outcome import Outcome, mark_complete


def publish_outcome(artifacts: RunArtifacts, counts: SceneCounts, archive: Archive, *, changed: bool) -> State[object]:
    """Show what an archive holds and say how its run ended; all outputs are final by now.

    Args:
        artifacts: where it is shown.
        counts: of the run.
        archive: the archive, published.
        changed: whether the run tried a scene or published; if not, what is shown already stays as it is.

    Returns:
        Completed, or Failed where scenes failed in this run: it names the first cause.
    """
    config = archive.config
    report = archive.output.text_of(MARKDOWN)
    if changed or not artifacts.shows("report", report):  # an earlier run may have changed it without the API
        if changed:
            artifacts.table("scenes", counts.rows, "Scenes that were tried, bad ones first")
        catalogue = (
            whole_path(config.out / CATALOGUE).as_uri() if config.store is None else f"{config.store}/{CATALOGUE}"
        )
        artifacts.markdown("report", report, "What the archive holds")
        artifacts.link("catalogue", catalogue, "STAC catalogue")
    summary = f"{counts.summary}: {config.place}"
    mark_complete(Outcome(summary=summary, exit_code=7 if counts.failed else 0, reported=not artifacts.lost))
    return Failed(message=f"{summary}; {counts.first_cause}") if counts.failed else Completed(message=summary)
