"""The last words of an archive's run: artifacts, the outcome, and the state Prefect shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from geoseg.archive.publish import MARKDOWN
from geoseg.archive.report.catalogue import CATALOGUE
from geoseg.flows.assets import whole_path
from geoseg.flows.board import Board
from geoseg.flows.ending import Outcome, computed
from geoseg.flows.tally import Tally


def finish(board: Board, tally: Tally, out: Path, *, changed: bool) -> State[Any]:
    """Show what an archive holds and say how its run ended; all outputs are final by now.

    Args:
        board: where it is shown.
        tally: of the run.
        out: the archive's folder, published.
        changed: whether the run tried a scene or published; if not, what is shown already stays as it is.

    Returns:
        Completed, or Failed where scenes failed in this run: it names the first cause.
    """
    if changed or not board.shows("catalogue"):
        board.table("scenes", tally.rows, "Scenes that were tried, bad ones first")
        board.markdown("report", (out / MARKDOWN).read_text(), "What the archive holds")
        board.link("catalogue", whole_path(out / CATALOGUE).as_uri(), "STAC catalogue")
    summary = f"{tally.summary}: {out}"
    computed(Outcome(summary=summary, exit_code=7 if tally.failed else 0, told=not board.lost))
    return Failed(message=f"{summary}; {tally.first_cause}") if tally.failed else Completed(message=summary)
