"""A scene of an archive before it is opened."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneRef:
    """One scene of an archive, not opened.

    Attributes:
        name: its name in the archive: unique there, and the same whatever other scenes come and go.
        uri: path or address.
        bands: names of its bands in order, where the archive knows them better than the file.
        stamp: what the listing says of its state (size and time of change, ETag); empty where it says nothing.
        refused: why it is neither opened nor asked for; empty: it may be.
    """

    name: str
    uri: str
    bands: tuple[str, ...] | None = None
    stamp: str = ""
    refused: str = ""
