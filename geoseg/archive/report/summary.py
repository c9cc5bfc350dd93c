"""The short report in Markdown: shown by flows and written next to the web report."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from geoseg.archive.record import SceneRecord
from geoseg.archive.report.facts import STATES, Facts
from geoseg.archive.report.formatting import area, duration, moment, pixels, readable, share
from geoseg.archive.report.workers import worker_table
from geoseg.core.legend import Legend

_MOST_CAUSES = 10
_MOST_WORKERS = 20


def report_markdown(records: Iterable[SceneRecord], *, title: str = "", legend: Legend | None = None) -> str:
    """Summarise an archive on one page: states, class areas, causes of failures, times.

    Args:
        records: the scenes, once through; none is kept.
        title: heading; default: ``Archive``.
        legend: order of the classes; default: by area.
    """
    return markdown_of(Facts.of(records), title=title, legend=legend)


def markdown_of(facts: Facts, *, title: str = "", legend: Legend | None = None) -> str:
    """Format totals that were counted already; see ``report_markdown``."""
    lines = [f"# {_plain(title or 'Archive')}", "", _sentence(facts), ""]
    lines += ["| state | scenes |", "|---|---:|"]
    lines += [f"| {state} | {facts.states[state]:,} |" for state in STATES if facts.states[state]]
    lines += [f"| **all** | **{facts.scenes:,}** |", ""]
    if facts.areas_m2:
        lines += ["## Class areas", "", "| class | area | share |", "|---|---:|---:|"]
        largest = max(facts.areas_m2.values())
        for name in class_order(facts, legend):
            part = facts.areas_m2[name]
            lines.append(f"| {_plain(name)} | {area(part, largest)} | {share(part, facts.area_m2)} |")
        lines.append("")
    if facts.causes:
        lines += ["## Failures", "", "| scenes | exit code | cause | for example |", "|---:|---:|---|---|"]
        worst = sorted(facts.causes.values(), key=lambda cause: (-cause.count, cause.text))
        for cause in worst[:_MOST_CAUSES]:
            code = "–" if cause.exit_code is None else cause.exit_code
            lines.append(f"| {cause.count:,} | {code} | {_plain(cause.text)} | {_plain(cause.example)} |")
        if len(worst) > _MOST_CAUSES:
            rest = sum(cause.count for cause in worst[_MOST_CAUSES:])
            lines.append(f"| {rest:,} | | {len(worst) - _MOST_CAUSES} further causes | |")
        lines.append("")
    if len(facts.seconds):
        lines += ["## Times", "", *_times(facts), ""]
    table = worker_table(facts.workers, _MOST_WORKERS)
    if table.rows:
        lines += ["## Workers", "", f"| {' | '.join(table.heads)} |", "|---|" + "---:|" * (len(table.heads) - 1)]
        lines += [f"| {_plain(name)} | {' | '.join(cells)} |" for name, *cells in table.rows]
        lines += [*([f"| {table.rest:,} others |" + " |" * (len(table.heads) - 1)] if table.rest else []), ""]
    return "\n".join(lines)


def class_order(facts: Facts, legend: Legend | None) -> list[str]:
    """Order classes as the legend does; classes that it lacks follow, by area."""
    known = [] if legend is None else [name for name in legend.names if name in facts.areas_m2]
    rest = sorted(facts.areas_m2.keys() - set(known), key=lambda name: -facts.areas_m2[name])
    return [*known, *rest]


def _sentence(facts: Facts) -> str:
    if not facts.scenes:
        return "No scene is known yet."
    text = f"{facts.states['done']:,} of {facts.scenes:,} scenes are done"
    if facts.area_m2:
        text += f": {area(facts.area_m2)} mapped, {pixels(facts.valid_pixels)}"
    if facts.states["failed"]:
        text += f"; {facts.states['failed']:,} failed"
    return text + "."


def _times(facts: Facts) -> list[str]:
    median, slow = np.percentile(np.frombuffer(facts.seconds), [50, 95])
    lines = [f"- A scene: median {duration(median)}, 95 of 100 within {duration(slow)}."]
    total = sum(facts.stages_s.values())
    if total:
        parts = (f"{stage} {share(seconds, total)}" for stage, seconds in facts.stages_s.items())
        lines.append(f"- Stages: {', '.join(parts)}.")
    if facts.blocks["total"]:
        known = ("predicted", "empty", "resumed")
        counts = ", ".join(f"{facts.blocks[name]:,} {name}" for name in known if facts.blocks[name])
        lines.append(f"- Blocks: {facts.blocks['total']:,}" + (f" ({counts})." if counts else "."))
    if facts.retried:
        lines.append(f"- {facts.retried:,} scenes took more than one attempt.")
    lines.append(f"- First begun {moment(facts.first)}, last ended {moment(facts.last)} (UTC).")
    return lines


def _plain(text: str) -> str:
    """Escape text so that it stays in its table cell and is not read as markup."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", readable(text))
