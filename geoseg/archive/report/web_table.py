"""The table of scenes of the web report: every row is in the page; a script only sorts and hides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape

from geoseg.archive.record import SceneRecord
from geoseg.archive.report.catalogue import FOLDER
from geoseg.archive.report.facts import STATES, seconds_of
from geoseg.archive.report.formatting import area, duration, moment, readable, share
from geoseg.archive.report.thumbnails import FOLDER as THUMBNAILS
from geoseg.archive.report.thumbnails import Picture, Thumbnail
from geoseg.archive.report.web_charts import strip
from geoseg.archive.report.web_map import Footprint, Rings
from geoseg.io.publish.stac_item import href

_PICTURE = "Image, map"
_HEADS = (
    ("State", ""),
    ("Scene", ""),
    (_PICTURE, ""),
    ("Mapped", "num"),
    ("Classes", ""),
    ("Time", "num"),
    ("Mpx/s", "num"),
    ("Tries", "num"),
    ("Ended (UTC)", ""),
    ("Cause", ""),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One scene of the table.

    Attributes:
        record: its record.
        links: paths of its files, relative to the page, by kind: item, preview, layers, ...
        rings: outer rings of its footprint, (lon, lat).
        picture: its preview; None if it has none.
    """

    record: SceneRecord
    links: Mapping[str, str]
    rings: Rings
    picture: Picture | None = None

    @property
    def anchor(self) -> str:
        """The row's id in the page."""
        return "s" + sha256(self.record.name.encode(errors="surrogateescape")).hexdigest()[:12]

    def footprint(self) -> Footprint:
        """The scene on the map."""
        record = self.record
        about = record.cause if record.state == "failed" else area(sum(record.class_areas_m2.values()))
        title = f"{record.name}: {record.state}" + (f", {about}" if record.state in ("done", "failed") else "")
        return Footprint(rings=self.rings, state=record.state, title=readable(title), anchor=self.anchor)


def table(rows: Sequence[Row], colours: Mapping[str, str], thumbnails: Mapping[str, Thumbnail], *, whole: int) -> str:
    """Draw the table.

    Args:
        rows: in the order shown first.
        colours: CSS colour of each class, in order.
        thumbnails: written thumbnails by the path of the preview that they show; without any the column is left out.
        whole: number of scenes; when there are fewer rows, the table says so.
    """
    heads = "".join(
        f'<th scope="col" class="{kind}"><button type="button">{name}</button></th>'
        for name, kind in _HEADS
        if thumbnails or name != _PICTURE
    )
    there = {row.record.state for row in rows}
    boxes = "".join(
        f'<label class="{state}"><input type="checkbox" data-state="{state}" checked> {state}</label>'
        for state in STATES
        if state in there
    )
    left_out = (
        ""
        if whole <= len(rows)
        else (
            f'<p class="quiet">{len(rows):,} of {whole:,} scenes are listed, failed ones first; '
            "<a href='scenes.parquet'>scenes.parquet</a> has them all.</p>"
        )
    )
    body = "\n".join(_row(row, colours, thumbnails) for row in rows)
    return (
        '<section><h2>Scenes</h2><div class="tools">'
        '<input type="search" id="search" placeholder="Name, cause, ..." aria-label="Search">'
        f'{boxes}<output id="shown"></output></div>{left_out}'
        f'<div class="wide"><table id="scenes"><thead><tr>{heads}</tr></thead><tbody>\n{body}\n</tbody></table></div>'
        "</section>"
    )


def _row(row: Row, colours: Mapping[str, str], thumbnails: Mapping[str, Thumbnail]) -> str:
    record, links = row.record, row.links
    mapped = sum(record.class_areas_m2.values())
    seconds = seconds_of(record) if record.finished is not None or record.timings else None
    done = record.state == "done"
    name = escape(readable(record.name))
    if "layers" in links:
        name = f'<a href="{_link(links["layers"])}/">{name}</a>'
    further = " · ".join(
        f'<a href="{_link(links[kind])}">{words}</a>'
        for kind, words in (("preview", "picture"), ("item", "item"))
        if kind in links
    )
    speed = record.valid_pixels / 1e6 / seconds if done and seconds else None
    cells = [
        f'<td><span class="badge">{record.state}</span></td>',
        f'<td class="name">{name}{f"<div class=quiet>{further}</div>" if further else ""}</td>',
        *([_thumbnail(row, thumbnails)] if thumbnails else []),
        _number(mapped if done else None, area(mapped)),
        f"<td data-value='{_leading(record)}'>{_classes(record, colours) if done and mapped else ''}</td>",
        _number(seconds, "" if seconds is None else duration(seconds)),
        _number(speed, "" if speed is None else f"{speed:.2f}"),
        _number(record.attempts or None, str(record.attempts)),
        f'<td class="num">{"" if record.finished is None else moment(record.finished)}</td>',
        f'<td class="cause">{escape(readable(record.cause))}</td>' if record.cause else "<td></td>",
    ]
    return f'<tr id="{row.anchor}" class="{record.state}" data-state="{record.state}">{"".join(cells)}</tr>'


def _thumbnail(row: Row, thumbnails: Mapping[str, Thumbnail]) -> str:
    """Show the thumbnail, which the browser loads when its row comes into view."""
    preview = row.links.get("preview", "")
    thumbnail = thumbnails.get(preview)
    if thumbnail is None:
        return "<td></td>"
    width, height = thumbnail.size
    source = _link(f"{FOLDER}/{THUMBNAILS}/{thumbnail.path.name}")
    picture = f'<img src="{source}" width="{width}" height="{height}" loading="lazy" alt="preview">'
    return f'<td class="picture"><a href="{_link(preview)}">{picture}</a></td>'


def _link(path: str) -> str:
    """Write a path relative to the page as the value of an attribute; ``./``, as a name may look like a scheme."""
    return escape(f"./{href(path)}", quote=True)


def _number(value: float | None, words: str) -> str:
    return (
        '<td class="num" data-value=""></td>'
        if value is None
        else f'<td class="num" data-value="{value:.6g}">{words}</td>'
    )


def _leading(record: SceneRecord) -> str:
    """Name the largest class, by which the column is sorted."""
    areas = record.class_areas_m2
    return escape(readable(max(areas, key=lambda name: areas[name])), quote=True) if areas else ""


def _classes(record: SceneRecord, colours: Mapping[str, str]) -> str:
    areas = record.class_areas_m2
    parts = [(readable(name), areas.get(name, 0.0), colour) for name, colour in colours.items()]
    largest = max(areas, key=lambda name: areas[name])
    words = f"{escape(readable(largest))} {share(areas[largest], sum(areas.values()))}"
    return words + strip(parts)
