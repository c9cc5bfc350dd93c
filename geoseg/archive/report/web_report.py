"""The web report: one HTML file that needs no server and no network."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from math import floor
from pathlib import Path

import numpy as np

from geoseg.archive.record import SceneRecord
from geoseg.archive.report.catalogue import around
from geoseg.archive.report.facts import STATES, Facts
from geoseg.archive.report.formatting import area, duration, moment, pixels, readable, share
from geoseg.archive.report.history import Moment
from geoseg.archive.report.summary import class_order
from geoseg.archive.report.thumbnails import Picture, Thumbnail
from geoseg.archive.report.web_charts import area_bars, key, spare_colour, strip, time_columns
from geoseg.archive.report.web_groups import draw_groups as _groups
from geoseg.archive.report.web_groups import draw_trend as _trend
from geoseg.archive.report.web_map import Footprint, View, draw_footprints, draw_map, places, rings_of, slim
from geoseg.archive.report.web_table import Row, table
from geoseg.archive.report.workers import draw_workers
from geoseg.core.legend import Legend
from geoseg.io.files.writing import write_bytes

_MOST_ROWS = 5000
_CELL_PX = 8
_LARGE, _SMALL = (1100, 520), (340, 220)
_LEAST_PX = 300
_CAUSES_SHOWN = 12
_FOOTER = (
    "<footer>Written by geoseg. The same facts: <a href='report.md'>report.md</a>, "
    "<a href='scenes.parquet'>scenes.parquet</a>, <a href='scenes.gpkg'>scenes.gpkg</a>, "
    "<a href='catalog.json'>catalog.json</a>; the map: <a href='archive.qgz'>archive.qgz</a>.</footer>"
)


class ReportData:
    """Scenes for the web report: full rows of some scenes, failed ones first, and the footprints of all.

    Attributes:
        thumbnails: written thumbnails by the path of the preview that they show.
    """

    def __init__(self, most: int = _MOST_ROWS) -> None:
        self._most = most
        self._failed: list[Row] = []
        self._others: list[Row] = []
        self._boxes = array("d")
        self._states = array("b")
        self.thumbnails: dict[str, Thumbnail] = {}

    def add(self, record: SceneRecord, links: Mapping[str, str], picture: Picture | None = None) -> None:
        """Add a scene, the paths of its files by kind, and its preview."""
        rings = rings_of(record.footprint)
        kept = self._failed if record.state == "failed" else self._others
        if len(kept) < self._most:
            light = record.model_copy(update={"footprint": None})
            kept.append(Row(record=light, links=dict(links), rings=slim(rings), picture=picture))
        if rings:
            box = Footprint(rings=rings, state=record.state, title="", anchor="").box
            self._boxes.extend(box)
            self._states.append(STATES.index(record.state))

    @property
    def placed(self) -> int:
        """Number of scenes with a footprint."""
        return len(self._states)

    def rows(self) -> list[Row]:
        """Full rows, sorted by name: all scenes, or the failed ones and some others."""
        chosen = [*self._failed, *self._others][: self._most]
        return sorted(chosen, key=lambda row: row.record.name)

    def pictures(self) -> Iterator[Picture]:
        """Iterate over the previews of the scenes that have a row."""
        return (row.picture for row in self.rows() if row.picture is not None)

    def boxes(self) -> list[tuple[float, float, float, float]]:
        """West, south, east and north of every footprint."""
        return [(w, s, e, n) for w, s, e, n in np.frombuffer(self._boxes).reshape(-1, 4).tolist()]

    def bbox(self) -> tuple[float, float, float, float] | None:
        """West, south, east and north of all footprints; west > east across the antimeridian."""
        boxes = self.boxes()
        if not boxes:
            return None
        west, east = around([(box[0], box[2]) for box in boxes])
        return west, min(box[1] for box in boxes), east, max(box[3] for box in boxes)

    def cells(self, view: View) -> Iterator[str]:
        """Draw a density map of scenes as squares, for archives with too many scenes to draw each."""
        counts: dict[tuple[int, int], Counter[str]] = {}
        for (west, south, east, north), state in zip(self.boxes(), self._states, strict=True):
            x = view.x(west) + ((east - west) % 360) * view.px_per_degree * view.squeeze / 2
            cell = floor(x / _CELL_PX), floor(view.y((south + north) / 2) / _CELL_PX)
            counts.setdefault(cell, Counter())[STATES[state]] += 1
        for (col, row), found in sorted(counts.items()):
            parts_shown = ", ".join(f"{found[name]:,} {name}" for name in STATES if found[name])
            most = max(
                (state for state in found if state != "failed"), key=lambda state: found[state], default="failed"
            )
            shapes = [(most, _CELL_PX - 1.0)]
            if found["failed"] and most != "failed":  # as much of the square as of its scenes
                shapes.append(("failed", (_CELL_PX - 1) * max(0.3, (found["failed"] / found.total()) ** 0.5)))
            for kind, side in shapes:
                x, y = col * _CELL_PX + (_CELL_PX - side) / 2, row * _CELL_PX + (_CELL_PX - side) / 2
                yield (
                    f'<rect class="cell {kind}" x="{x:.1f}" y="{y:.1f}" width="{side:.1f}" height="{side:.1f}">'
                    f"<title>{parts_shown}</title></rect>"
                )


def write_web_report(
    path: Path,
    facts: Facts,
    gathering: ReportData,
    *,
    title: str,
    legend: Legend | None,
    history: Sequence[Moment] = (),
) -> None:
    """Write the report.

    Args:
        path: the final ``.html``, in the archive's folder: it links to the scenes' files by relative paths.
        facts: totals.
        gathering: single scenes.
        title: of the archive.
        legend: order and colours of the classes.
        history: totals after each run, for the trend.

    Raises:
        WriteError: the disk is full or fails.
    """
    colours = _colours(facts, legend)
    page = files("geoseg.archive.report") / "page"
    css, script = (page / "report.css").read_text(), (page / "report.js").read_text()
    name = escape(readable(title))
    rows = gathering.rows()
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{name}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{css}</style></head><body><main>",
        f"<header><h1>{name}</h1><p>{_subtitle(facts)}</p></header>",
        _tiles(facts),
        _states(facts),
        _map(gathering, rows),
        _charts(facts, colours),
        _groups(facts, colours),
        _trend(history, colours),
        draw_workers(facts.workers),
        _causes(facts),
        table(rows, colours, gathering.thumbnails, whole=facts.scenes) if rows else "",
        _FOOTER,
        f"</main><script>{script}</script></body></html>",
    ]
    write_bytes(path, "\n".join(part for part in parts if part).encode())


def _colours(facts: Facts, legend: Legend | None) -> dict[str, str]:
    """Map each class name to its colour, in the order of the legend."""
    own = {} if legend is None else {entry.name: entry.colour for entry in legend.classes}
    return {name: own.get(name, spare_colour(i)) for i, name in enumerate(class_order(facts, legend))}


def _subtitle(facts: Facts) -> str:
    if facts.first is None:
        return "No scene was tried yet."
    return f"First scene begun {moment(facts.first)}, last one ended {moment(facts.last)} (UTC)"


def _tiles(facts: Facts) -> str:
    done, failed = facts.states["done"], facts.states["failed"]
    parts_shown = [
        ("", f"{done:,} of {facts.scenes:,}", "scenes done"),
        ("bad" if failed else "", f"{failed:,}", "failed"),
        ("", area(facts.area_m2), "mapped, true on the ground"),
        ("", pixels(facts.valid_pixels), "got a class"),
        ("", duration(sum(facts.seconds)), "spent on finished scenes"),
    ]
    if facts.blocks["total"]:
        parts_shown.append(("", f"{facts.blocks['total']:,}", f"blocks, {facts.blocks['empty']:,} of them empty"))
    tiles = "".join(
        f'<div class="tile {kind}"><b>{number}</b><span>{of}</span></div>' for kind, number, of in parts_shown
    )
    return f'<div class="tiles">{tiles}</div>'


def _states(facts: Facts) -> str:
    parts = [(state, facts.states[state], f"var(--{state})") for state in STATES]
    parts_shown = [(state, f"{count:,}", colour) for state, count, colour in parts if count]
    return f'<div class="states">{strip(parts)}{key(parts_shown)}</div>' if facts.scenes else ""


def _map(gathering: ReportData, rows: Iterable[Row]) -> str:
    """Draw the map of scenes; groups too small to see get maps of their own."""
    boxes = gathering.boxes()
    if not boxes:
        return ""
    view = View.of(boxes, *_LARGE, least=_LEAST_PX)
    label = f"Map of {len(boxes)} scenes"
    if gathering.placed > _MOST_ROWS:
        drawn = draw_map(view, gathering.cells(view), label=label)
        note = f"{gathering.placed:,} scenes, counted by squares; the red part of a square failed."
        return f'<section><h2>Where</h2>{drawn}<p class="quiet">{note}</p></section>'
    shapes = [row.footprint() for row in rows if row.rings]
    order = {state: i for i, state in enumerate(("done", "waiting", "running", "failed"))}
    shapes.sort(key=lambda shape: order[shape.state])  # what needs attention lies on top
    close = places(shapes, view, 6)
    if len(close) == 1 and len(close[0]) == len(shapes):
        close = []
    marks = [_letter(view, group, chr(65 + i)) for i, group in enumerate(close)]
    drawn = draw_map(view, [*draw_footprints(view, shapes), *marks], label=label)
    details = "".join(_detail(group, chr(65 + i)) for i, group in enumerate(close))
    missing = sum(1 for row in rows if not row.rings)
    note = f'<p class="quiet">Without a footprint yet: {missing:,}.</p>' if missing else ""
    closer = f'<div class="places">{details}</div>' if details else ""
    return f"<section><h2>Where</h2>{drawn}{closer}{note}</section>"


def _letter(view: View, group: list[Footprint], letter: str) -> str:
    boxes = [one.box for one in group]
    west, east = around([(box[0], box[2]) for box in boxes])
    x = view.x(west) + ((east - west) % 360) * view.px_per_degree * view.squeeze
    y = view.y((min(box[1] for box in boxes) + max(box[3] for box in boxes)) / 2)
    return f'<text class="letter" x="{x + 9:.1f}" y="{y + 4:.1f}">{letter}</text>'


def _detail(group: list[Footprint], letter: str) -> str:
    view = View.of([one.box for one in group], *_SMALL)
    many = f"{len(group):,} scene" + ("s" if len(group) > 1 else "")
    drawn = draw_map(view, draw_footprints(view, group), label=f"Map of group {letter}, {many}")
    return f"<div><h3>{letter} · {many}</h3>{drawn}</div>"


def _charts(facts: Facts, colours: Mapping[str, str]) -> str:
    sections = []
    if facts.area_m2:
        bars = area_bars([(readable(name), facts.areas_m2[name], colour) for name, colour in colours.items()])
        sections.append(f"<section><h2>Class areas</h2>{bars}</section>")
    if len(facts.seconds):
        seconds = np.frombuffer(facts.seconds)
        median, slow = np.percentile(seconds, [50, 95])
        body = f"<h3>Seconds each scene took: half within {duration(median)}, 95 % within {duration(slow)}</h3>"
        body += time_columns(seconds)
        total = sum(facts.stages_s.values())
        if total:
            parts = [(name, size, spare_colour(i)) for i, (name, size) in enumerate(facts.stages_s.items())]
            parts_shown = [(name, f"{duration(size)} ({share(size, total)})", colour) for name, size, colour in parts]
            body += f"<h3>By stage</h3>{strip(parts)}{key(parts_shown)}"
        sections.append(f"<section><h2>Time</h2>{body}</section>")
    return f'<div class="pair">{"".join(sections)}</div>' if sections else ""


def _causes(facts: Facts) -> str:
    if not facts.causes:
        return ""
    worst = sorted(facts.causes.values(), key=lambda cause: (-cause.count, cause.text))
    rows = "".join(
        f'<tr><td class="num">{cause.count:,}</td><td class="num">{"" if cause.exit_code is None else cause.exit_code}'
        f'</td><td class="cause">{escape(readable(cause.text))}</td><td>{escape(readable(cause.example))}</td></tr>'
        for cause in worst[:_CAUSES_SHOWN]
    )
    rest = sum(cause.count for cause in worst[_CAUSES_SHOWN:])
    more = f'<p class="quiet">and {rest:,} scenes for other causes.</p>' if rest else ""
    head = '<th class="num">Scenes</th><th class="num">Exit code</th><th>Cause</th><th>For example</th>'
    return (
        f'<section><h2>Why scenes failed</h2><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{more}</section>"
    )
