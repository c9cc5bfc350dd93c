"""HTML of the results viewer. Imports nothing of QGIS."""

from __future__ import annotations

from html import escape
from typing import Any

_HEAD = (
    '<!doctype html><html><head><meta charset="utf-8"><style>body{font-family:sans-serif}'
    "td,th{padding:2px 8px;text-align:right}td:first-child,th:first-child{text-align:left}</style></head><body>"
)


def score_page(report: dict[str, Any]) -> str:
    """Write the scores of ``geoseg evaluate --json`` as a page."""
    parts = [f"<h2>Evaluation ({escape(report['protocol'])})</h2>"]
    for result in report["results"].values():
        parts.append(f"<h3>{escape(result.get('title', ''))}</h3>")
        numbers = {key: value for key, value in result.items() if isinstance(value, (int, float))}
        parts.append(_table(["measure", "value"], [[_words(key), _number(value)] for key, value in numbers.items()]))
        classes = result.get("classes") or []
        if classes:
            columns = [key for key, value in classes[0].items() if key not in {"code", "name"} and not _nested(value)]
            rows = [[entry["name"], *(_number(entry[key]) for key in columns)] for entry in classes]
            parts.append(_table(["class", *map(_words, columns)], rows))
    parts += [f"<p>{escape(note)}</p>" for note in report.get("notes", ())]
    return _HEAD + "\n".join(parts) + "</body></html>"


def inspection_page(facts: dict[str, Any]) -> str:
    """Write the facts of ``geoseg inspect --json`` as a page."""
    sides = [_number(side) for side in facts["gsd_m"]]
    lines = [
        ["file", facts["scene"]],
        ["size", f"{facts['height_px']} x {facts['width_px']} px (rows x columns), {facts['dtype']}"],
        ["CRS", facts["crs"] or "none"],
        ["pixel on the ground", f"{' x '.join(sides)} m"],
        ["nodata", str(facts["nodata"])],
        ["bands", ", ".join(f"{band['index']}: {band['name']}" for band in facts["bands"])],
    ]
    rows = [
        [entry["model"], entry["fit"], entry.get("refused") or "; ".join(entry["notes"])] for entry in facts["models"]
    ]
    notes = "".join(f"<p>{escape(note)}</p>" for note in facts["notes"])
    return (
        f"{_HEAD}<h2>Imagery</h2>{_table(['', ''], lines)}{notes}"
        f"<h2>Models</h2>{_table(['model', 'fit of the pixel size', 'notes'], rows)}</body></html>"
    )


def best_model(facts: dict[str, Any]) -> str:
    """Return the first model whose pixel size fits best; empty if no model reads the scene."""
    for fit in ("good", "resampled"):
        for entry in facts["models"]:
            if entry["fit"] == fit and "refused" not in entry:
                return str(entry["model"])
    return ""


def _table(head: list[str], rows: list[list[str]]) -> str:
    body = [[f"<td>{escape(str(cell))}</td>" for cell in row] for row in rows]
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    return f"<table><tr>{titles}</tr>{''.join('<tr>' + ''.join(row) + '</tr>' for row in body)}</table>"


def _nested(value: Any) -> bool:
    return isinstance(value, (dict, list))


def _words(key: str) -> str:
    return key.replace("_", " ")


def _number(value: Any) -> str:
    if value is None:
        return "unknown"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
