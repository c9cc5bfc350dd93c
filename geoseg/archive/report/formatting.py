"""Formatting for readers: areas, times, counts, and text that is safe in any file."""

from __future__ import annotations

from datetime import UTC, datetime


def area(area_m2: float, largest_m2: float = 0.0) -> str:
    """Format an area in m², ha or km²; in the unit of ``beside`` where a larger area is shown next to it."""
    largest_m2 = max(area_m2, largest_m2)
    if largest_m2 < 1e4:
        return f"{area_m2:,.0f} m²"
    if largest_m2 < 1e6:
        return f"{area_m2 / 1e4:,.2f} ha"
    return f"{area_m2 / 1e6:,.2f} km²" if largest_m2 < 1e9 else f"{area_m2 / 1e6:,.0f} km²"


def duration(seconds: float) -> str:
    """Write a time span: ``0.4 s``, ``12 s``, ``3 min 05 s``, ``2 h 10 min``, ``3 d 4 h``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days:,} d {hours} h"


def pixels(count: int) -> str:
    """Write a number of pixels."""
    for unit, size in (("Tpx", 1e12), ("Gpx", 1e9), ("Mpx", 1e6)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count:,} px"


def memory(size_bytes: int) -> str:
    """Write an amount of memory in GB, or in MB below one GB."""
    return f"{size_bytes / 1e9:,.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:,.0f} MB"


def share(part: float, whole: float) -> str:
    """Format a share in percent; a share above 0 is never shown as 0 %."""
    if whole <= 0:
        return "–"
    percent = 100 * part / whole
    return "< 0.1 %" if 0 < percent < 0.1 else f"{percent:.1f} %"


def moment(when: datetime | None) -> str:
    """Write a time, UTC, to the minute."""
    return "–" if when is None else when.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def readable(text: str) -> str:
    """Replace undecodable bytes of file names, and control characters, by U+FFFD."""
    return "".join(c if c.isprintable() or c == " " else "\ufffd" for c in text)
