"""Table of the work of each worker, for the web report and the short report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape

from geoseg.archive.report.formatting import duration, memory, readable
from geoseg.run.workers.use import WorkerUse, natural_order

_HEADS = ("Worker", "Scenes written", "Blocks", "Mpx", "Network", "Mpx/s of network", "Layers", "Peak memory")
_SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTable:
    """Cells of the table, as text.

    Attributes:
        heads: of the columns.
        rows: cells of each worker, by name.
        rest: number of workers that are not listed.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    rest: int


def worker_table(workers: Mapping[str, WorkerUse], most: int = _SHOWN) -> WorkerTable:
    """Format the work of workers.

    Args:
        workers: by name.
        most: largest number of rows; workers with the most pixels and scenes are kept.
    """
    busiest = sorted(workers.values(), key=lambda use: (-use.pixels, -use.scenes, use.name))[:most]
    rows = tuple(_cells(use) for use in sorted(busiest, key=lambda use: natural_order(use.name)))
    return WorkerTable(heads=_HEADS, rows=rows, rest=len(workers) - len(rows))


def draw_workers(workers: Mapping[str, WorkerUse]) -> str:
    """Draw the table as a section of the web report; empty if nothing is known."""
    table = worker_table(workers)
    if not table.rows:
        return ""
    first, *others = table.heads
    heads = f"<th>{first}</th>" + "".join(f'<th class="num">{head}</th>' for head in others)
    body = "".join(f'<tr><td class="name">{escape(name)}</td>{_numbers(cells)}</tr>' for name, *cells in table.rows)
    more = f'<p class="quiet">and {table.rest:,} others.</p>' if table.rest else ""
    return (
        f'<section><h2>Workers</h2><div class="wide"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{more}</section>"
    )


def _numbers(cells: Iterable[str]) -> str:
    return "".join(f'<td class="num">{cell}</td>' for cell in cells)


def _cells(use: WorkerUse) -> tuple[str, ...]:
    speed = f"{use.pixels / 1e6 / use.network_s:.2f}" if use.network_s > 0 else ""
    return (
        readable(use.name),
        f"{use.scenes:,}",
        f"{use.blocks:,}",
        f"{use.pixels / 1e6:,.1f}",
        duration(use.network_s) if use.blocks else "",
        speed,
        duration(use.layers_s) if use.scenes else "",
        memory(use.peak_memory_bytes),
    )
