"""Classes in the form of STAC's classification extension."""

from __future__ import annotations

import re

from geoseg.core.legend import Legend


def classification(legend: Legend) -> list[dict[str, object]]:
    """List the classes of a legend, nodata last; names are unique and have no characters that STAC forbids."""
    names: set[str] = set()
    found = []
    for entry in legend.classes:
        name = re.sub(r"[^0-9A-Za-z_-]+", "_", entry.name).strip("_") or f"class_{entry.code}"
        name = name if name not in names else f"{name}_{entry.code}"
        names.add(name)
        colour = entry.colour[1:].upper()
        found.append({"value": entry.code, "name": name, "title": entry.name, "color_hint": colour})
    return [*found, {"value": legend.nodata, "name": "nodata", "title": "no answer", "nodata": True}]
