"""Charts of the web report: bars and strips of HTML, columns of SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import ceil, floor, log10

import numpy as np
import numpy.typing as npt

from geoseg.archive.report.formatting import area, duration, share

# for classes without a legend, and for stages
_SPARE = ("#4c78a8", "#e09f3e", "#7a9e7e", "#9a6fb0", "#b5654a", "#6c8ea0")


def strip(parts: Iterable[tuple[str, float, str]]) -> str:
    """Draw a stacked bar from the name, size and CSS colour of each part; parts of size 0 are left out."""
    shown = [(name, size, colour) for name, size, colour in parts if size > 0]
    whole = sum(size for _, size, _ in shown)
    items = "".join(
        f'<i style="flex:{size / whole:.5f};background:{colour}" title="{escape(name)}: {share(size, whole)}"></i>'
        for name, size, colour in shown
    )
    return f'<div class="strip">{items}</div>'


def key(parts: Iterable[tuple[str, str, str]]) -> str:
    """Draw the legend of a stacked bar from the name, value and CSS colour of each part."""
    items = "".join(
        f'<li><span class="dot" style="background:{colour}"></span>{escape(name)} <b>{escape(value)}</b></li>'
        for name, value, colour in parts
    )
    return f'<ul class="key">{items}</ul>'


def area_bars(areas_m2: Sequence[tuple[str, float, str]]) -> str:
    """Draw class areas as bars from the name, area and CSS colour of each; the largest has full width."""
    whole = sum(size for _, size, _ in areas_m2)
    largest = max((size for _, size, _ in areas_m2), default=0) or 1
    rows = "".join(
        f'<div class="name"><span class="dot" style="background:{colour}"></span>{escape(name)}</div>'
        f'<div class="track">{_bar(size / largest, colour)}</div>'
        f'<div class="num">{area(size, largest)}</div><div class="num quiet">{share(size, whole)}</div>'
        for name, size, colour in areas_m2
    )
    return f'<div class="bars">{rows}</div>'


def _bar(part: float, colour: str) -> str:
    return f'<i style="width:{100 * part:.2f}%;background:{colour}"></i>' if part else ""


def time_columns(seconds: npt.NDArray[np.float64]) -> str:
    """Draw a histogram of durations on a logarithmic time axis.

    Args:
        seconds: (scene,) duration of each scene; at least one.
    """
    known = np.maximum(seconds, 0.05)
    low, high = floor(log10(known.min()) * 4) / 4, ceil(log10(known.max()) * 4 + 1e-9) / 4
    bins = max(4, min(28, round((high - low) * 8)))
    counts, edges = np.histogram(np.log10(known), bins=bins, range=(low, max(high, low + 0.5)))
    width, height, bottom = 520, 190, 160
    step = width / bins
    most = int(counts.max())
    columns = []
    for index, count in enumerate(counts.tolist()):
        if not count:
            continue
        tall = max(2.0, (bottom - 18) * count / most)
        left, right = duration(10 ** edges[index]), duration(10 ** edges[index + 1])
        columns.append(
            f'<rect class="column" x="{index * step + 1:.1f}" y="{bottom - tall:.1f}" width="{step - 2:.1f}"'
            f' height="{tall:.1f}" rx="2"><title>{count:,} scenes, {left} to {right}</title></rect>'
        )
    marks = _time_marks(edges[0], edges[-1], width, bottom)
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="Seconds each scene took">'
        f'<path class="axis" d="M0 {bottom}.5H{width}"/>{"".join(columns)}{marks}'
        f'<text x="{width}" y="11" text-anchor="end">highest column: {most:,} scenes</text></svg>'
    )


def spare_colour(index: int) -> str:
    """Return a colour for a class that has none."""
    return _SPARE[index % len(_SPARE)]


def _time_marks(low: float, high: float, width: int, bottom: int) -> str:
    """Place axis labels at round times, far enough apart not to overlap."""
    marks, last = [], -80.0
    for mark in (0.1, 0.3, 1, 3, 10, 30, 60, 300, 900, 3600, 3 * 3600, 12 * 3600, 86400):
        x = (log10(mark) - low) / (high - low) * width
        if 12 < x < width - 12 and x - last > 54:
            words = f"{mark:g} s" if mark < 60 else duration(mark).replace(" 00 s", "").replace(" 00 min", "")
            marks.append(f'<path class="axis" d="M{x:.1f} {bottom}v5"/>')
            marks.append(f'<text x="{x:.1f}" y="{bottom + 19}" text-anchor="middle">{words}</text>')
            last = x
    return "".join(marks)
