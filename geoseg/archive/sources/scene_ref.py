"""A scene of an archive before it is opened."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneRef:
    """One scene of an archive, not opened.

    Attributes:
        name: its name in the archive: unique there and independent of the other scenes.
        uri: path or address.
        bands: names of its bands in order, where the archive gives them instead of the file.
        time: date and time of the imagery, ISO 8601; empty if the source does not tell it.
        stamp: its state by the listing (size and time of change, ETag); empty if the listing gives none.
        refused: reason for which it is neither opened nor requested; empty: it may be.
    """

    name: str
    uri: str
    bands: tuple[str, ...] | None = None
    time: str = ""
    stamp: str = ""
    refused: str = ""
