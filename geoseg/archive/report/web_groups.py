"""Class areas by folder and month, and their trend over runs, as tables of the web report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from geoseg.archive.report.facts import Facts
from geoseg.archive.report.formatting import area, moment, readable, share
from geoseg.archive.report.groups import Group
from geoseg.archive.report.history import Moment, changes
from geoseg.archive.report.web_charts import strip

_SHOWN = 60


def draw_groups(facts: Facts, colours: Mapping[str, str]) -> str:
    """Draw a table for each kind of group that has more than one, the largest sixty groups of it.

    Args:
        facts: totals.
        colours: CSS colour of each class, in order.
    """
    return "".join(_table(kind, groups, colours) for kind, groups in facts.groups.shown().items())


def draw_trend(history: Sequence[Moment], colours: Mapping[str, str]) -> str:
    """Draw a table of the last runs, the newest first, with what each changed; empty for fewer than two.

    Args:
        history: totals after each run.
        colours: CSS colour of each class, in order.
    """
    if len(history) < 2:
        return ""
    rows = []
    for now, before in changes(history):
        more = "" if before is None else _signed(now.done - before.done)
        worse = "" if before is None else _signed(now.failed - before.failed)
        whole = sum(now.areas_m2.values())
        rows.append(
            f'<tr><td>{moment(now.when)}</td><td class="num">{now.done:,} <span class="quiet">{more}</span></td>'
            f'<td class="num">{now.failed:,} <span class="quiet">{worse}</span></td>'
            f'<td class="num">{area(whole)}</td><td>{_strip(now.areas_m2, colours)}</td></tr>'
        )
    heads = '<th>Run ended (UTC)</th><th class="num">Done</th><th class="num">Failed</th>'
    heads += '<th class="num">Mapped</th><th>Classes</th>'
    return _section("Trend over runs", heads, rows, "")


def _table(kind: str, groups: Mapping[str, Group], colours: Mapping[str, str]) -> str:
    largest = sorted(groups, key=lambda name: -groups[name].area_m2)[:_SHOWN]
    rows = []
    for name in (name for name in groups if name in set(largest)):
        group = groups[name]
        first = max(group.areas_m2, key=lambda label: group.areas_m2[label], default="")
        words = f"{escape(readable(first))} {share(group.areas_m2[first], group.area_m2)}" if first else ""
        rows.append(
            f'<tr><td class="name">{escape(readable(name)) or "(top)"}</td><td class="num">{group.scenes:,}</td>'
            f'<td class="num">{area(group.area_m2)}</td><td>{words}{_strip(group.areas_m2, colours)}</td></tr>'
        )
    rest = len(groups) - len(rows)
    note = f'<p class="quiet">and {rest:,} smaller ones.</p>' if rest else ""
    heads = f'<th>{kind.capitalize()}</th><th class="num">Scenes</th><th class="num">Mapped</th><th>Classes</th>'
    return _section(f"Class areas by {kind}", heads, rows, note)


def _section(title: str, heads: str, rows: Sequence[str], note: str) -> str:
    return (
        f'<section><h2>{title}</h2><div class="wide"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>{note}</section>"
    )


def _strip(areas_m2: Mapping[str, float], colours: Mapping[str, str]) -> str:
    parts = [(readable(name), areas_m2.get(name, 0.0), colour) for name, colour in colours.items()]
    return strip(parts) if any(size for _, size, _ in parts) else ""


def _signed(change: int) -> str:
    return f"({change:+,})" if change else ""
