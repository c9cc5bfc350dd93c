"""HTML of values in notebooks: a title, rows of a table, and swatches of classes."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from geoseg.core.legend import Legend
from geoseg.core.text import printable


def html_table(title: str, rows: Iterable[tuple[str, str]], *, below: str = "") -> str:
    """Write a table of two columns.

    Args:
        title: heading, plain text.
        rows: name and value of each row, plain text.
        below: HTML under the table.

    Examples:
        >>> html_table("a < b", [("size", "3 x 4 px")])
        '<div><strong>a &lt; b</strong><table><tr><th>size</th><td>3 x 4 px</td></tr></table></div>'
    """
    cells = "".join(f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in rows)
    return f"<div><strong>{_text(title)}</strong><table>{cells}</table>{below}</div>"


def html_legend(legend: Legend) -> str:
    """Write the classes of a legend, each with a square of its colour."""
    square = "display:inline-block;width:0.8em;height:0.8em;border:1px solid #888;margin:0 0.3em 0 0.8em"
    return "".join(
        f'<span style="{square};background:{entry.colour}"></span>{_text(f"{entry.code} {entry.name}")}'
        for entry in legend.classes
    )


def _text(text: str) -> str:
    return escape(printable(text))
