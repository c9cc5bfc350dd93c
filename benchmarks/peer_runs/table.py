"""What the comparison computes from its measurements: agreement of class rasters, and the table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window

_ROWS = 512


def agreement(first: Path, second: Path) -> float:
    """Return the share of pixels with the same class in two rasters of one size.

    Raises:
        ValueError: their sizes differ.
    """
    with rasterio.open(first) as one, rasterio.open(second) as other:
        if one.shape != other.shape:
            raise ValueError(f"{first} has {one.shape} pixels, {second} {other.shape}")
        height, width = one.shape
        equal = 0
        for top in range(0, height, _ROWS):
            window = Window(0, top, width, min(_ROWS, height - top))
            equal += int(np.count_nonzero(one.read(1, window=window) == other.read(1, window=window)))
    return equal / (height * width)


def last_object(printed: str) -> dict[str, Any]:
    """Return the JSON object on the last line that holds one; empty where no line does."""
    for line in reversed(printed.splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}


def table(results: Iterable[Mapping[str, Any]]) -> str:
    """Lay results out as a table of Markdown, a side after the other.

    The last column but one is the speed as a multiple of geoai's at the same overlap on the same scene, where it ran.
    """
    rows = sorted(results, key=lambda one: one["side"])
    unit = {one["side"]: one["mpx_per_s"] for one in rows if one["name"] == "geoai" and "mpx_per_s" in one}
    head = ("side, px", "program", "seconds", "processor s", "GB", "Mpx/s", "times geoai", "same class")
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for one in rows:
        if "mpx_per_s" not in one:
            lines.append(f"| {one['side']} | {one['name']} | {one['failed']} |" + " |" * (len(head) - 3))
            continue
        times = f"{one['mpx_per_s'] / unit[one['side']]:.2f}" if one["side"] in unit else ""
        same = f"{one['agreement']:.2%}" if one.get("agreement") is not None else ""
        cells = (
            str(one["side"]),
            one["name"],
            f"{one['wall_s']:.1f}",
            f"{one['cpu_s']:.1f}",
            f"{one['peak_mb'] / 1000:.1f}",
            f"{one['mpx_per_s']:.2f}",
            times,
            same,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
