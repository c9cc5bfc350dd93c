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
        stamp: its state by the listing (size and time of change, ETag); empty if the listing gives none.
        refused: reason for which it is neither opened nor requested; empty: it may be.
    """

    name: str
    uri: str
    bands: tuple[str, ...] | None = None
    stamp: str = ""
    refused: str = ""
